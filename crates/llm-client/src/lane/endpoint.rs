//! One model at one base URL: what all its lanes share, and the lock under which a call is admitted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

use crate::Settings;
use crate::clock::Instant;
use crate::lane::breaker::{Breaker, BreakerRules, Pass};
use crate::lane::cool_down::CoolDownRules;
use crate::lane::core::Core;
use crate::lane::guard::Held;
use crate::lane::{
    AdmitOptions, BreakerState, Bucket, Cost, KeyId, LaneId, Parked, Refusal, RetryBudget, Why,
};

/// What makes two clients use the same endpoint.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct EndpointId {
    /// Scheme, host and path; no user name, no query.
    pub base_url: String,
    /// The model, as the server knows it.
    pub model: String,
}

/// One model at one base URL, shared by everyone who calls it: breaker, retry budget, slots, rate limits, and the state of
/// its lanes.
#[derive(Debug)]
pub struct Endpoint {
    id: EndpointId,
    state: Mutex<State>,
    released: Arc<Notify>,
}

/// What the settings say about an endpoint.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rules {
    pub(super) breaker: BreakerRules,
    pub(super) cool_down: CoolDownRules,
    max_concurrent_calls: Option<u32>,
    requests_per_minute: Option<u32>,
    tokens_per_minute: Option<u32>,
    retry_budget_percent: u32,
    retry_budget_per_sec: f64,
}

impl From<&Settings> for Rules {
    fn from(settings: &Settings) -> Self {
        Self {
            breaker: BreakerRules {
                failure_threshold: settings.failure_threshold,
                recovery_time: settings.recovery_time,
            },
            cool_down: CoolDownRules {
                base: settings.backoff_base,
                cap: settings.backoff_cap,
                retry_after_cap: settings.retry_after_cap,
            },
            max_concurrent_calls: settings.max_concurrent_calls,
            requests_per_minute: settings.requests_per_minute,
            tokens_per_minute: settings.tokens_per_minute,
            retry_budget_percent: settings.retry_budget_percent,
            retry_budget_per_sec: settings.retry_budget_per_sec,
        }
    }
}

/// Everything behind the one lock. It is held for a few comparisons, never across an `await`.
#[derive(Debug)]
pub(super) struct State {
    pub(super) rules: Rules,
    pub(super) breaker: Breaker,
    pub(super) in_flight: u32,
    pub(super) requests: Option<Bucket>,
    pub(super) tokens: Option<Bucket>,
    retry_budget: RetryBudget,
    /// By lane; one that is not there has never been used.
    lanes: BTreeMap<LaneId, Core>,
}

impl State {
    /// Adds to `refusal` what keeps the endpoint as a whole from taking a call, and says how the breaker lets it pass.
    pub(super) fn check(
        &self,
        cost: Cost,
        now: Instant,
        options: &AdmitOptions<'_>,
        refusal: &mut Refusal,
    ) -> Pass {
        let pass = self.breaker.check(&self.rules.breaker, now, options.sole, options.retrying);
        if let Err(at) = pass {
            refusal.add(Why::Breaker, Some(at));
        }
        if self.rules.max_concurrent_calls.is_some_and(|most| self.in_flight >= most) {
            refusal.add(Why::Slots, None);
        }
        if let Some(Err(at)) = self.requests.as_ref().map(|bucket| bucket.ready(1, now)) {
            refusal.add(Why::Requests, Some(at));
        }
        if let Some(Err(at)) = self.tokens.as_ref().map(|bucket| bucket.ready(cost.tokens, now)) {
            refusal.add(Why::Tokens, Some(at));
        }
        pass.unwrap_or(Pass::Plain)
    }

    /// The state of a lane, fresh where it was never used.
    pub(super) fn lane(&mut self, id: LaneId, now: Instant) -> &mut Core {
        self.lanes.entry(id).or_insert_with(|| Core::new(now))
    }

    /// The state of a lane that has been used and not been forgotten since.
    pub(super) fn known_lane(&mut self, id: LaneId) -> Option<&mut Core> {
        self.lanes.get_mut(&id)
    }

    /// Takes what [`check`](Self::check) and [`Core::check`] have found to be there.
    pub(super) fn take(&mut self, lane: LaneId, pass: Pass, cost: Cost, now: Instant) -> Held {
        self.in_flight = self.in_flight.saturating_add(1);
        if let Some(bucket) = &mut self.requests {
            bucket.charge(1, now);
        }
        if let Some(bucket) = &mut self.tokens {
            bucket.charge(cost.tokens, now);
        }
        let level = self.lane(lane, now).take(now);
        let ticket = self.breaker.take(pass, &self.rules.breaker, now);
        Held { lane, cost, ticket, admitted: now, level, sent: false }
    }
}

impl Endpoint {
    pub(super) fn new(id: EndpointId, settings: &Settings, now: Instant) -> Arc<Self> {
        let rules = Rules::from(settings);
        let state = State {
            breaker: Breaker::new(now),
            in_flight: 0,
            requests: rules.requests_per_minute.map(|limit| Bucket::limit(limit, now)),
            tokens: rules.tokens_per_minute.map(|limit| Bucket::limit(limit, now)),
            retry_budget: RetryBudget::new(rules.retry_budget_percent, rules.retry_budget_per_sec, now),
            lanes: BTreeMap::new(),
            rules,
        };
        Arc::new(Self { id, state: Mutex::new(state), released: Arc::new(Notify::new()) })
    }

    /// What it is.
    #[must_use]
    pub fn id(&self) -> &EndpointId {
        &self.id
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        // Every change is finished before the lock is released, so what a panic left behind is still true.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over the limits of these settings; what was used and learned stays.
    pub fn configure(&self, settings: &Settings, now: Instant) {
        fn adapt(bucket: &mut Option<Bucket>, limit: Option<u32>, now: Instant) {
            let wanted = limit.map(|limit| Bucket::limit(limit, now));
            match (bucket, wanted) {
                (Some(bucket), Some(wanted)) => bucket.become_like(&wanted, now),
                (bucket, wanted) => *bucket = wanted,
            }
        }
        let rules = Rules::from(settings);
        let mut state = self.state();
        if state.rules != rules {
            adapt(&mut state.requests, rules.requests_per_minute, now);
            adapt(&mut state.tokens, rules.tokens_per_minute, now);
            state.retry_budget.configure(rules.retry_budget_percent, rules.retry_budget_per_sec);
            state.rules = rules;
            drop(state);
            self.wake();
        }
    }

    /// A call makes its first request here: it earns credit for retries.
    pub fn deposit(&self, now: Instant) {
        self.state().retry_budget.deposit(now);
    }

    /// Spends one retry of the endpoint's budget. `false`: there is none, and the call has to end.
    #[must_use]
    pub fn try_withdraw(&self, now: Instant) -> bool {
        self.state().retry_budget.try_withdraw(now)
    }

    /// Calls in flight over all lanes.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.state().in_flight
    }

    /// Ends when something changes that could let a waiting call in before its date: a call ends, a limit is raised. It
    /// hears of everything since it was made, so make it before asking for admission.
    #[must_use]
    pub fn released(&self) -> OwnedNotified {
        Arc::clone(&self.released).notified_owned()
    }

    pub(super) fn wake(&self) {
        self.released.notify_waiters();
    }

    /// Forgets every fault, refusal, learned limit and parking; the buckets are full. Calls in flight stay counted.
    pub fn reset(&self, now: Instant) {
        let mut state = self.state();
        state.breaker.close();
        let rules = &state.rules;
        let retry_budget = RetryBudget::new(rules.retry_budget_percent, rules.retry_budget_per_sec, now);
        state.retry_budget = retry_budget;
        let state = &mut *state;
        for bucket in [&mut state.requests, &mut state.tokens].into_iter().flatten() {
            bucket.reset(now);
        }
        for lane in state.lanes.values_mut() {
            lane.reset(now);
        }
        self.wake();
    }

    /// Forgets lanes without calls whose keys are gone.
    pub(super) fn sweep(&self, is_gone: impl Fn(KeyId) -> bool) {
        self.state().lanes.retain(|id, lane| !(lane.in_flight == 0 && id.0.is_some_and(&is_gone)));
    }

    /// Everything as it stands, for health pages and metrics. `hint` shows a key by a few characters.
    pub(super) fn snapshot(&self, hint: impl Fn(KeyId) -> Option<String>, now: Instant) -> EndpointState {
        let state = self.state();
        let ms = |at: Instant| millis(at.saturating_duration_since(now));
        let (breaker, faults_in_row, next_trial) = state.breaker.state(&state.rules.breaker, now);
        let lanes = state.lanes.iter().map(|(id, lane)| LaneState {
            key: id.0.and_then(&hint),
            in_flight: lane.in_flight,
            cool_down_ms: lane.cool_down.until(now).map(ms),
            limit_reset_ms: lane.exhausted_until.filter(|until| *until > now).map(ms),
            learned_concurrency: lane.adaptive.limit(now),
            learned_per_sec: lane.pace.rate(),
            parked: lane.parked.as_deref().cloned(),
        });
        EndpointState {
            endpoint: self.id.clone(),
            breaker,
            faults_in_row,
            next_trial_ms: next_trial.map(ms),
            in_flight: state.in_flight,
            max_concurrent_calls: state.rules.max_concurrent_calls,
            requests_available: state.requests.as_ref().map(|bucket| bucket.info(now).available),
            tokens_available: state.tokens.as_ref().map(|bucket| bucket.info(now).available),
            retries_available: state.retry_budget.available(now),
            lanes: lanes.collect(),
        }
    }
}

/// An endpoint as it stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct EndpointState {
    /// Which one.
    pub endpoint: EndpointId,
    /// Its circuit breaker.
    pub breaker: BreakerState,
    /// Endpoint faults since the last success.
    pub faults_in_row: u32,
    /// Milliseconds until the next trial (0: due), while the breaker is not closed.
    pub next_trial_ms: Option<u64>,
    /// Calls on their way, over all lanes.
    pub in_flight: u32,
    /// The most there may be.
    pub max_concurrent_calls: Option<u32>,
    /// Requests left in the bucket; below zero while a debt is paid off.
    pub requests_available: Option<f64>,
    /// Tokens left in the bucket; below zero while a debt is paid off.
    pub tokens_available: Option<f64>,
    /// Retries that could be made now.
    pub retries_available: f64,
    /// Its lanes that have been used.
    pub lanes: Vec<LaneState>,
}

/// A lane as it stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LaneState {
    /// The last characters of its key, where it has one that is long enough.
    pub key: Option<String>,
    /// Calls on their way.
    pub in_flight: u32,
    /// Milliseconds until it sends again, while the server has asked for a pause.
    pub cool_down_ms: Option<u64>,
    /// Milliseconds until the server resets a limit that is used up.
    pub limit_reset_ms: Option<u64>,
    /// The most calls at a time that the server was seen to bear.
    pub learned_concurrency: Option<f64>,
    /// The most requests per second that the server was seen to bear.
    pub learned_per_sec: Option<f64>,
    /// Why its key does not work for this model.
    pub parked: Option<Parked>,
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
