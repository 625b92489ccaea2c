//! One client of a group, the gate before it, and how it has done of late.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use llm_client::clock::{self, Instant};
use llm_client::driver::{Block, NotBefore};
use llm_client::lane::{
    self, AdmitOptions, BreakerState, Cost, DeclaredLimits, EndpointId, LaneGuard, Lanes, LimitHold,
    RateLimit, Registry, SharedLimit,
};
use llm_client::{Admission, Health, Metrics, ModelClient, Settings};

use super::{cap, exhausted};
use crate::balance::Latency;

/// A client as a member of a pool or an aggregator, with what is said about it there.
#[derive(Clone, Debug)]
pub struct Member {
    pub(crate) client: Arc<dyn ModelClient>,
    pub(crate) weight: u32,
    pub(crate) priority: u32,
    pub(crate) max_concurrent_calls: Option<u32>,
    pub(crate) requests_per_minute: Option<u32>,
    pub(crate) tokens_per_minute: Option<u32>,
}

impl Member {
    /// A client of weight 1, in the first tier, without caps but its own.
    #[must_use]
    pub fn new(client: Arc<dyn ModelClient>) -> Self {
        Self {
            client,
            weight: 1,
            priority: 0,
            max_concurrent_calls: None,
            requests_per_minute: None,
            tokens_per_minute: None,
        }
    }

    /// Its share of the calls where the strategy looks at weights, and its size for `least_busy`; from 1 up. Default: 1.
    #[must_use]
    pub fn weight(self, weight: u32) -> Self {
        Self { weight, ..self }
    }

    /// Its tier: members of a higher number are asked only while none of a lower one can take the call. Default: 0.
    #[must_use]
    pub fn priority(self, tier: u32) -> Self {
        Self { priority: tier, ..self }
    }

    /// The most calls that it may have on their way through this pool, streams to their last event. Default: no bound but
    /// the client's own.
    #[must_use]
    pub fn max_concurrent_calls(self, most: u32) -> Self {
        Self { max_concurrent_calls: Some(most), ..self }
    }

    /// The most requests a minute through this pool. Default: no bound but the client's own.
    #[must_use]
    pub fn requests_per_minute(self, most: u32) -> Self {
        Self { requests_per_minute: Some(most), ..self }
    }

    /// The most tokens a minute through this pool. Default: no bound but the client's own.
    #[must_use]
    pub fn tokens_per_minute(self, most: u32) -> Self {
        Self { tokens_per_minute: Some(most), ..self }
    }
}

/// What a member has given a call.
pub(super) struct Entry {
    /// Of the gate that stands in for the client's own account.
    pub(super) guard: Option<LaneGuard>,
    /// Of the caps for the member.
    pub(super) cap: Option<LimitHold>,
}

/// A member at its place.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) client: Arc<dyn ModelClient>,
    pub(crate) weight: u32,
    pub(crate) priority: u32,
    /// Breaker, cool-down and retry budget for a client that keeps no account of itself.
    gate: Option<Lanes>,
    /// The caps of this group for the member.
    cap: Option<Arc<SharedLimit>>,
    /// Whether the cap looks at tokens.
    pub(super) counts_tokens: bool,
}

impl Slot {
    /// `nth`: which of the members of the same id it is, from 1.
    pub(super) fn new(
        pool: &str,
        nth: usize,
        member: Member,
        settings: &Settings,
        registry: &Registry,
    ) -> Self {
        // The endpoints of one model are called alike.
        let nth = if nth == 1 { String::new() } else { format!(" #{nth}") };
        let name = format!("{pool} ▸ {}{nth}", member.client.id());
        let gate = member.client.admission().is_none().then(|| {
            // The caps stand apart, and there is no key.
            let rules = Settings {
                max_retries: settings.max_retries,
                backoff_base: settings.backoff_base,
                backoff_cap: settings.backoff_cap,
                retry_after_cap: settings.retry_after_cap,
                retry_budget_percent: settings.retry_budget_percent,
                retry_budget_per_sec: settings.retry_budget_per_sec,
                failure_threshold: settings.failure_threshold,
                recovery_time: settings.recovery_time,
                ..Settings::default()
            };
            let id = EndpointId { base_url: pool.to_owned(), model: format!("{}{nth}", member.client.id()) };
            Lanes::new(registry.endpoint(&id, &rules, clock::now()), None)
        });
        let declared = DeclaredLimits {
            max_concurrent_calls: member.max_concurrent_calls,
            requests: member.requests_per_minute.map(RateLimit::per_minute),
            tokens: member.tokens_per_minute.map(RateLimit::per_minute),
        };
        Self {
            client: member.client,
            weight: member.weight,
            priority: member.priority,
            gate,
            cap: cap(&name, declared, registry),
            counts_tokens: declared.tokens.is_some(),
        }
    }

    /// The endpoints of its lanes, where the client tells of any.
    pub(super) fn lanes(&self) -> Option<Vec<usize>> {
        self.client.admission().map(Admission::lanes)
    }

    pub(super) fn ready(&self, cost: Cost, now: Instant, retrying: bool) -> Result<(), NotBefore> {
        self.asked(cost, now, retrying)?;
        match &self.gate {
            None => Ok(()),
            Some(gate) => {
                let options = AdmitOptions { retrying, ..AdmitOptions::default() };
                gate.check(cost, now, &options).map_err(|(at, why)| NotBefore::of_lane(at, &why))
            }
        }
    }

    /// What the cap and the client itself say.
    fn asked(&self, cost: Cost, now: Instant, retrying: bool) -> Result<(), NotBefore> {
        if let Some(cap) = &self.cap {
            cap.ready(cost, now).map_err(exhausted)?;
        }
        if let Some(client) = self.client.admission() {
            return client.ready(now, retrying);
        }
        if self.client.is_available() {
            return Ok(());
        }
        let reason = format!("{} is switched off (set_available)", self.client.id());
        let block = Block::Parked(llm_types::ErrorKind::Unavailable);
        Err(NotBefore { at: None, block, reason })
    }

    /// Takes a call in, if cap, client and gate let it. Where one does not, nothing is taken.
    pub(super) fn admit(&self, cost: Cost, now: Instant, retrying: bool) -> Result<Entry, NotBefore> {
        self.asked(cost, now, retrying)?;
        let guard = match &self.gate {
            None => None,
            Some(gate) => {
                let options = AdmitOptions { retrying, ..AdmitOptions::default() };
                match gate.admit(cost, now, &options) {
                    lane::Admission::Granted(guard) => Some(guard),
                    lane::Admission::NotBefore { at, why } => return Err(NotBefore::of_lane(at, &why)),
                }
            }
        };
        let cap = self.cap.as_ref().map(|cap| cap.try_take(cost, now)).transpose().map_err(exhausted)?;
        Ok(Entry { guard, cap })
    }

    /// Calls on their way, whoever made them as far as that is known.
    pub(super) fn in_flight(&self, condition: &Condition) -> u32 {
        self.client.admission().map_or(condition.in_flight, Admission::in_flight)
    }

    pub(super) fn spend_retry(&self, now: Instant) -> bool {
        match (self.client.admission(), &self.gate) {
            (Some(client), _) => client.spend_retry(now),
            (None, Some(gate)) => gate.endpoint().try_withdraw(now),
            (None, None) => true,
        }
    }

    /// The first request of a call earns credit for retries. A client that keeps its own account does so itself.
    pub(super) fn deposit(&self, now: Instant) {
        if let Some(gate) = &self.gate {
            gate.endpoint().deposit(now);
        }
    }

    /// How it is, as far as its gate can tell, for a client that keeps no account of itself.
    pub(super) fn health(&self, condition: &Condition) -> Health {
        let lanes = self.gate.as_ref().map(|gate| gate.snapshot(clock::now()));
        let reason = if !self.client.is_available() {
            Some("the client is switched off (set_available)".to_owned())
        } else if lanes.as_ref().is_some_and(|lanes| lanes.breaker == BreakerState::Open) {
            Some("its circuit breaker is open".to_owned())
        } else {
            None
        };
        Health {
            id: self.client.id().to_owned(),
            healthy: reason.is_none(),
            reason,
            in_flight: condition.in_flight,
            metrics: Metrics::default().snapshot(),
            endpoint: None,
            connection_pool_available: None,
            connection_pool_size: None,
            lanes,
            members: Vec::new(),
        }
    }

    pub(super) fn released(&self) -> Vec<Pin<Box<dyn Future<Output = ()> + Send + '_>>> {
        let client = self.client.admission().map(Admission::released);
        let gate = self.gate.as_ref().map(|gate| Box::pin(gate.released()) as _);
        let cap = self.cap.as_ref().map(|cap| Box::pin(cap.released()) as _);
        client.into_iter().chain(gate).chain(cap).collect()
    }
}

/// Failures in a row that move a member behind the others.
const AILING: u32 = 2;
/// The first time it stays there; it doubles with each further failure.
const FIRST_REST: Duration = Duration::from_secs(1);
/// The longest such time.
const LONGEST_REST: Duration = Duration::from_secs(60);

/// How a member has done of late. It only orders the members: the gate is the client's own breaker, or the one that stands
/// in for it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Condition {
    /// Calls on their way through this group.
    pub(crate) in_flight: u32,
    failures_in_row: u32,
    /// Since when and until when it stands behind the others.
    ailing: Option<(Instant, Instant)>,
    latency: Option<Latency>,
    /// It said itself that it takes no call before.
    not_before: Option<Instant>,
}

impl Condition {
    /// Whether it takes calls, as far as it said itself.
    pub(super) fn check(&self, now: Instant) -> Result<(), NotBefore> {
        match self.not_before.filter(|at| *at > now) {
            None => Ok(()),
            Some(at) => {
                let reason = "it takes no calls at the moment".to_owned();
                Err(NotBefore { at: Some(at), block: Block::Turn, reason })
            }
        }
    }

    /// Whether it stands behind the others: it has failed of late, or one call is finding out whether it still does. So one
    /// that fails at once, and is never busy, attracts nothing.
    pub(super) fn is_ailing(&self, now: Instant) -> bool {
        self.ailing.is_some_and(|(_, until)| until > now || self.in_flight > 0)
    }

    pub(super) fn latency(&self, now: Instant) -> Option<f64> {
        self.latency.map(|latency| latency.estimate(now))
    }

    /// It answered, so long after the call was given to it.
    pub(super) fn succeeded(&mut self, took: Duration, now: Instant) {
        (self.failures_in_row, self.ailing, self.not_before) = (0, None, None);
        match &mut self.latency {
            Some(latency) => latency.observe(took, now),
            none => *none = Some(Latency::new(took, now)),
        }
    }

    /// It failed a call that was given to it at `since`, for a reason that another member might not have. `recovery`: how long
    /// a breaker rests, so that one that has come back does not wait here for longer than there.
    pub(super) fn failed(&mut self, since: Instant, now: Instant, random: f64, recovery: Duration) {
        // What was on its way when it was put behind the others tells nothing new.
        if self.ailing.is_some_and(|(from, _)| since < from) {
            return;
        }
        self.failures_in_row = self.failures_in_row.saturating_add(1);
        if self.failures_in_row >= AILING {
            let doublings = (self.failures_in_row - AILING).min(16);
            let rest = FIRST_REST.saturating_mul(1 << doublings).min(LONGEST_REST).min(recovery);
            self.ailing = Some((now, clock::after(now, rest.mul_f64(0.5 + random / 2.0))));
        }
    }

    /// It said that it takes no call before.
    pub(super) fn refused(&mut self, until: Instant) {
        self.not_before = Some(until);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_that_fails_stands_behind_the_others_for_longer_each_time() {
        let start = clock::now();
        let at = |ms: u64| start + Duration::from_millis(ms);
        let mut condition = Condition::default();
        condition.failed(start, start, 1.0, LONGEST_REST);
        assert!(!condition.is_ailing(start), "one failure is no habit");
        condition.failed(at(1), at(1), 1.0, LONGEST_REST);
        assert!(condition.is_ailing(at(900)));
        // Calls that were on their way before say nothing new.
        condition.failed(start, at(2), 1.0, LONGEST_REST);
        assert!(!condition.is_ailing(at(1100)), "its time is over");
        // One call tries; as long as it is on its way, the others go elsewhere.
        condition.in_flight = 1;
        assert!(condition.is_ailing(at(1100)));
        condition.in_flight = 0;
        condition.failed(at(1100), at(1100), 1.0, LONGEST_REST);
        assert!(condition.is_ailing(at(3000)) && !condition.is_ailing(at(3200)));
        condition.succeeded(Duration::from_millis(5), at(3300));
        condition.failed(at(3300), at(3300), 1.0, LONGEST_REST);
        assert!(!condition.is_ailing(at(3300)), "a success makes it whole again");
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_behind_the_others_is_bounded() {
        let start = clock::now();
        let mut condition = Condition::default();
        let mut now = start;
        for _ in 0..100 {
            condition.failed(now, now, 1.0, LONGEST_REST);
            now += Duration::from_secs(61);
            assert!(!condition.is_ailing(now));
        }
        condition.failed(now, now, 1.0, Duration::from_secs(5));
        assert!(condition.is_ailing(now + Duration::from_millis(4900)));
        assert!(!condition.is_ailing(now + Duration::from_millis(5100)), "no longer than a breaker rests");
    }
}
