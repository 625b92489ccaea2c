//! Rate limits as they stand: buckets, slots, keys, what the servers said and what was learned. Plain values, no key; every
//! time is a span on the monotonic clock, counted from the moment of asking.

use std::time::Duration;

use serde::Serialize;

use crate::clock::{self, Instant};
use crate::lane::condition::Condition;
use crate::lane::limiter::Limiter;
use crate::lane::snapshot::millis;
use crate::lane::{Bucket, EndpointId, KeyState, Lanes, Limit, LimitKind, SharedLimit};

/// The rate limits of an endpoint as they stand.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RateLimitStatus {
    /// Which one.
    pub endpoint: EndpointId,
    /// What is declared for it, over all its keys.
    pub limits: LimitState,
    /// The name of the pool its keys are in.
    pub key_pool: Option<String>,
    /// Each of its keys, by hint, with the calls that hold it at any endpoint.
    pub keys: Vec<KeyState>,
    /// Its lanes that have been used: one for each key, or the one without.
    pub lanes: Vec<LaneLimits>,
    /// The limits that others charge too.
    pub shared: Vec<LimitState>,
}

/// A set of declared limits as it stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LimitState {
    /// The shared limit's name; else what is limited.
    pub name: String,
    /// Calls on their way.
    pub in_flight: u32,
    /// The most there may be.
    pub max_concurrent_calls: Option<u32>,
    /// Of requests.
    pub requests: Option<BucketState>,
    /// Of tokens.
    pub tokens: Option<BucketState>,
}

/// A bucket as it stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct BucketState {
    /// The name of what it limits, and `requests` or `tokens`.
    pub id: String,
    /// The most it can hold.
    pub capacity: u64,
    /// What comes in per second.
    pub refill_rate: f64,
    /// What it holds; below zero while a debt is paid off.
    pub available: f64,
    /// Milliseconds since it was last brought up to date.
    pub last_refill_ms: u64,
}

/// The limits of one lane as they stand.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LaneLimits {
    /// The last characters of its key, where it has one that is long enough.
    pub key: Option<String>,
    /// What is declared for each key.
    pub limits: LimitState,
    /// Milliseconds until it sends again, while the server has asked for a pause.
    pub cool_down_ms: Option<u64>,
    /// Milliseconds until the server resets a limit that is used up.
    pub limit_reset_ms: Option<u64>,
    /// The most calls at a time that the server was seen to bear.
    pub learned_concurrency: Option<f64>,
    /// The most requests per second that the server was seen to bear.
    pub learned_per_sec: Option<f64>,
    /// What the server last said, as long as it holds.
    pub server: Vec<ServerLimit>,
}

/// A limit as the server stated it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ServerLimit {
    /// Requests or tokens.
    pub kind: LimitKind,
    /// The most in its window.
    pub limit: Option<u64>,
    /// What was left.
    pub remaining: Option<u64>,
    /// Milliseconds until the statement is out of date.
    pub expires_ms: u64,
}

impl BucketState {
    fn of(id: String, bucket: &Bucket, now: Instant) -> Self {
        let info = bucket.info(now);
        Self {
            id,
            capacity: info.capacity,
            refill_rate: info.per_minute as f64 / 60.0,
            available: info.available,
            last_refill_ms: millis(now.saturating_duration_since(info.last_refill)),
        }
    }
}

impl LimitState {
    fn of(name: String, limiter: &Limiter, now: Instant) -> Self {
        let state = |what: &str, bucket: &Option<Bucket>| {
            bucket.as_ref().map(|bucket| BucketState::of(format!("{name} {what}"), bucket, now))
        };
        Self {
            in_flight: limiter.in_flight,
            max_concurrent_calls: limiter.declared.max_concurrent_calls,
            requests: state("requests", &limiter.requests),
            tokens: state("tokens", &limiter.tokens),
            name,
        }
    }
}

impl SharedLimit {
    /// It as it stands.
    #[must_use]
    pub fn state(&self, now: Instant) -> LimitState {
        LimitState::of(self.name().to_string(), &self.limiter(), now)
    }
}

impl LaneLimits {
    fn of(place: &str, key: Option<String>, lane: &Condition, cap: Duration, now: Instant) -> Self {
        let ms = |at: Instant| millis(at.saturating_duration_since(now));
        let said = lane.said.iter().flat_map(|(limits, at)| {
            [(LimitKind::Requests, limits.requests, *at), (LimitKind::Tokens, limits.tokens, *at)]
        });
        let server = said.filter_map(|(kind, said, at)| {
            let Limit { limit, remaining, reset } = said;
            let expires = clock::after(at, reset.unwrap_or(cap));
            let holds = (limit.is_some() || remaining.is_some()) && expires > now;
            holds.then(|| ServerLimit { kind, limit, remaining, expires_ms: ms(expires) })
        });
        let name = key.as_ref().map_or_else(|| place.to_owned(), |key| format!("{place} {key}"));
        Self {
            key,
            limits: LimitState::of(name, &lane.limiter, now),
            cool_down_ms: lane.cool_down.until(now).map(ms),
            limit_reset_ms: lane.exhausted_until.filter(|until| *until > now).map(ms),
            learned_concurrency: lane.adaptive.limit(now),
            learned_per_sec: lane.pace.rate(),
            server: server.collect(),
        }
    }
}

impl Lanes {
    /// Every limit that can hold a call back, as it stands.
    #[must_use]
    pub fn rate_limit_status(&self, now: Instant) -> RateLimitStatus {
        let id = self.endpoint().id().clone();
        let place = format!("{} {}", id.base_url, id.model);
        let keys = self.pool().map(|pool| pool.snapshot()).unwrap_or_default();
        let state = self.endpoint().state();
        let cap = state.rules.cool_down.retry_after_cap;
        let lanes = state.lanes.iter().map(|(lane, condition)| {
            let hint = keys.iter().find(|key| Some(key.id) == lane.0).map(|key| key.hint.clone());
            LaneLimits::of(&place, hint, condition, cap, now)
        });
        let lanes = lanes.collect();
        let limits = LimitState::of(place, &state.limiter, now);
        drop(state);
        RateLimitStatus {
            endpoint: id,
            limits,
            key_pool: self.pool().map(|pool| pool.id().to_owned()),
            keys,
            lanes,
            shared: self.limits().iter().map(|limit| limit.state(now)).collect(),
        }
    }

    /// Fills the buckets of the endpoint and of its keys, and forgets cool-downs and what was learned about its limits. Calls
    /// in flight stay counted; the breaker, parked keys and limits that others share stay as they are.
    pub fn reset_rate_limit(&self, now: Instant) {
        self.endpoint().reset_limits(now);
    }
}
