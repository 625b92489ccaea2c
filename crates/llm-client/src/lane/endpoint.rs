//! One model at one base URL: what all its lanes share, and the lock under which a call is admitted.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use tokio::sync::Notify;

use crate::Settings;
use crate::clock::Instant;
use crate::lane::breaker::{Breaker, BreakerRules, BreakerState, Pass};
use crate::lane::condition::{Condition, Held};
use crate::lane::cool_down::CoolDownRules;
use crate::lane::limiter::Limiter;
use crate::lane::{AdmitOptions, Cost, DeclaredLimits, KeyId, LaneId, LimitKind, Refusal, RetryBudget, Why};

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
    pub(super) limits: DeclaredLimits,
    /// Those of each lane.
    pub(super) key_limits: DeclaredLimits,
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
            limits: DeclaredLimits::of_endpoint(settings),
            key_limits: DeclaredLimits::of_key(settings),
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
    pub(super) limiter: Limiter,
    pub(super) retry_budget: RetryBudget,
    /// By lane; one that is not there has never been used.
    pub(super) lanes: BTreeMap<LaneId, Condition>,
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
        self.limiter.check(cost, now, |kind, at| {
            let why = match kind {
                LimitKind::Slots => Why::Slots,
                LimitKind::Requests => Why::Requests,
                LimitKind::Tokens => Why::Tokens,
            };
            refusal.add(why, at);
        });
        pass.unwrap_or(Pass::Plain)
    }

    /// The state of a lane that has been used and not been forgotten since.
    pub(super) fn known_lane(&mut self, id: LaneId) -> Option<&mut Condition> {
        self.lanes.get_mut(&id)
    }

    /// Takes what [`check`](Self::check) and [`Condition::check`] have found to be there.
    pub(super) fn take(&mut self, lane: LaneId, pass: Pass, cost: Cost, now: Instant) -> Held {
        self.limiter.take(cost, now);
        let limits = self.rules.key_limits;
        let level = self.lanes.entry(lane).or_insert_with(|| Condition::new(limits, now)).take(cost, now);
        let ticket = self.breaker.take(pass, &self.rules.breaker, now);
        Held { lane, cost, ticket, admitted: now, level, sent: false }
    }
}

impl Endpoint {
    pub(super) fn new(id: EndpointId, settings: &Settings, now: Instant) -> Arc<Self> {
        let rules = Rules::from(settings);
        let state = State {
            breaker: Breaker::new(now),
            limiter: Limiter::new(rules.limits, now),
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
        let rules = Rules::from(settings);
        let mut state = self.state();
        if state.rules != rules {
            state.limiter.configure(rules.limits, now);
            for lane in state.lanes.values_mut() {
                lane.limiter.configure(rules.key_limits, now);
            }
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
        self.state().limiter.in_flight
    }

    /// What its circuit breaker does.
    #[must_use]
    pub fn breaker(&self, now: Instant) -> BreakerState {
        let state = self.state();
        state.breaker.state(&state.rules.breaker, now).0
    }

    /// Ends when something changes that could let a waiting call in before its date: a call ends, a limit is raised. It
    /// hears of everything since it was made, so make it before asking for admission.
    pub fn released(&self) -> impl Future<Output = ()> + Send + use<> {
        Arc::clone(&self.released).notified_owned()
    }

    /// Lets waiting calls ask again: something outside the lanes has changed in their favour.
    pub fn wake(&self) {
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
        state.limiter.reset(now);
        for lane in state.lanes.values_mut() {
            lane.reset(now);
        }
        self.wake();
    }

    /// Fills the buckets, its own and its lanes', and forgets what the server said and showed about its limits: cool-downs,
    /// learned concurrency and pace. Breaker, parked keys and calls in flight stay as they are.
    pub fn reset_limits(&self, now: Instant) {
        let mut state = self.state();
        state.limiter.reset(now);
        for lane in state.lanes.values_mut() {
            lane.reset_limits(now);
        }
        drop(state);
        self.wake();
    }

    /// Forgets lanes without calls whose keys are gone.
    pub(super) fn sweep(&self, is_gone: impl Fn(KeyId) -> bool) {
        self.state().lanes.retain(|id, lane| !(lane.limiter.in_flight == 0 && id.0.is_some_and(&is_gone)));
    }
}
