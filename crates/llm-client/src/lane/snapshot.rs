//! An endpoint and its lanes as they stand, for health pages and metrics. Plain values, no key.

use std::time::Duration;

use serde::Serialize;

use crate::clock::Instant;
use crate::lane::{BreakerState, Endpoint, EndpointId, KeyId, Parked};

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

impl Endpoint {
    /// Everything as it stands, for health pages and metrics. `hint` shows a key by a few characters.
    pub(super) fn snapshot(&self, hint: impl Fn(KeyId) -> Option<String>, now: Instant) -> EndpointState {
        let state = self.state();
        let ms = |at: Instant| millis(at.saturating_duration_since(now));
        let (breaker, faults_in_row, next_trial) = state.breaker.state(&state.rules.breaker, now);
        let lanes = state.lanes.iter().map(|(id, lane)| LaneState {
            key: id.0.and_then(&hint),
            in_flight: lane.limiter.in_flight,
            cool_down_ms: lane.cool_down.until(now).map(ms),
            limit_reset_ms: lane.exhausted_until.filter(|until| *until > now).map(ms),
            learned_concurrency: lane.adaptive.limit(now),
            learned_per_sec: lane.pace.rate(),
            parked: lane.parked.as_deref().cloned(),
        });
        EndpointState {
            endpoint: self.id().clone(),
            breaker,
            faults_in_row,
            next_trial_ms: next_trial.map(ms),
            in_flight: state.limiter.in_flight,
            max_concurrent_calls: state.rules.limits.max_concurrent_calls,
            requests_available: state.limiter.requests.as_ref().map(|bucket| bucket.info(now).available),
            tokens_available: state.limiter.tokens.as_ref().map(|bucket| bucket.info(now).available),
            retries_available: state.retry_budget.available(now),
            lanes: lanes.collect(),
        }
    }
}

pub(super) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
