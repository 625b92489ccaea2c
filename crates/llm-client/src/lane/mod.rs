//! Admission: whether a call may start now, and where not, why and not before when.
//!
//! A [`Lane`] is an [`Endpoint`] (one model at one base URL) with one key. Admitting is all or nothing over everything that
//! can hold a call back; nobody waits in here and nothing is held by one who waits. Time and chance are arguments.
//!
//! * [`Lanes::admit`] takes the best key of an endpoint, [`Lane::admit`] one key. Either gives a [`LaneGuard`].
//! * The guard lives until the answer is whole, in a stream until its last event. It is ended by
//!   [`succeed`](LaneGuard::succeed) or [`fail`](LaneGuard::fail); dropped without either, the call was cancelled.
//! * Limits are declared for an endpoint and for each of its keys in [`Settings`](crate::Settings), and by name as a
//!   [`SharedLimit`], which endpoints, clients and pools may charge together: [`SharedLimit::try_take`] gives a
//!   [`LimitHold`] or says [`Exhausted`] `{ limit, kind, at }`, [`SharedLimit::released`] wakes who waits.
//! * State belongs to identities, not to clients: a [`Registry`] keeps it over a change of configuration.

mod adaptive;
mod breaker;
mod bucket;
mod condition;
mod cool_down;
mod endpoint;
mod guard;
mod keys;
mod lanes;
mod limit_headers;
mod limiter;
mod pace;
mod registry;
mod retry_budget;
mod shared_limit;
mod snapshot;
mod status;
mod timeline;

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::clock::Instant;

pub use self::breaker::BreakerState;
pub use self::bucket::{Bucket, BucketInfo};
pub use self::cool_down::backoff;
pub use self::endpoint::{Endpoint, EndpointId};
pub use self::guard::LaneGuard;
pub use self::keys::{KeyId, KeyLease, KeyPool, KeyState, Parked};
pub use self::lanes::{Lane, Lanes};
pub use self::limit_headers::{Limit, Limits, compact_duration, retry_after, should_retry};
pub use self::limiter::{DeclaredLimits, LimitKind, RateLimit};
pub use self::registry::Registry;
pub use self::retry_budget::RetryBudget;
pub use self::shared_limit::{Exhausted, LimitHold, SharedLimit};
pub use self::snapshot::{EndpointState, LaneState};
pub use self::status::{BucketState, LaneLimits, LimitState, RateLimitStatus, ServerLimit};

/// What a call will use, as far as that is known before it is sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cost {
    /// Tokens of the prompt (estimated) and the most that may be written.
    pub tokens: u64,
}

/// What the caller knows about its call.
#[derive(Clone, Copy, Debug, Default)]
pub struct AdmitOptions<'a> {
    /// It has asked this endpoint before: a breaker that opened meanwhile does not refuse it.
    pub retrying: bool,
    /// It has no other endpoint: an open breaker gives trials after 1, 2, 4 … s, up to `recovery_time`.
    pub sole: bool,
    /// Lanes it does not want, because they have just failed it.
    pub avoid: &'a [LaneId],
}

/// The name of a lane within its endpoint: its key, or none where the endpoint needs none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LaneId(pub Option<KeyId>);

/// Whether a call may start.
#[derive(Debug)]
#[must_use]
pub enum Admission {
    /// It may; everything it needs has been taken.
    Granted(LaneGuard),
    /// It may not; nothing has been taken.
    NotBefore {
        /// The first moment that could be different. `None`: only another call's end can help, or nobody knows.
        at: Option<Instant>,
        /// What stands in the way.
        why: Why,
    },
}

/// What keeps a call from starting. Where it is several things, the first in this order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Why {
    /// The key, or every key, is out of use until somebody acts. No date.
    KeyParked(Arc<Parked>),
    /// There is no such key any more. No date.
    KeyRemoved,
    /// The caller wanted none of the lanes there are. No date.
    Avoided,
    /// The circuit breaker is open.
    Breaker,
    /// The server asked for a pause.
    CoolDown,
    /// The server said that nothing is left until its limit is reset.
    LimitReached,
    /// As many calls are in flight as `max_concurrent_calls` allows. No date: a call's end helps.
    Slots,
    /// `requests_per_minute` is used up.
    Requests,
    /// `tokens_per_minute` is used up.
    Tokens,
    /// A limit declared for each key is used up on every key.
    KeyLimit(LimitKind),
    /// A limit that others charge too is used up.
    SharedLimit {
        /// Its name.
        limit: Arc<str>,
        /// Which part of it.
        kind: LimitKind,
    },
    /// As many calls are in flight as the server was seen to bear. No date: a call's end helps.
    Crowded,
    /// The next request would come too soon for a server that has refused such a pace.
    Pace,
}

impl Why {
    /// One word, for metrics and traces.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::KeyParked(_) => "key_parked",
            Self::KeyRemoved => "key_removed",
            Self::Avoided => "avoided",
            Self::Breaker => "breaker",
            Self::CoolDown => "cool_down",
            Self::LimitReached => "limit_reached",
            Self::Slots => "slots",
            Self::Requests => "requests_per_minute",
            Self::Tokens => "tokens_per_minute",
            Self::KeyLimit(_) => "key_limit",
            Self::SharedLimit { .. } => "shared_limit",
            Self::Crowded => "crowded",
            Self::Pace => "pace",
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::KeyParked(_) => 0,
            Self::KeyRemoved => 1,
            Self::Avoided => 2,
            Self::Breaker => 3,
            Self::CoolDown => 4,
            Self::LimitReached => 5,
            Self::Slots => 6,
            Self::Requests => 7,
            Self::Tokens => 8,
            Self::KeyLimit(_) => 9,
            Self::SharedLimit { .. } => 10,
            Self::Crowded => 11,
            Self::Pace => 12,
        }
    }

    /// Whether nothing but an act of a person helps.
    fn is_final(&self) -> bool {
        matches!(self, Self::KeyParked(_) | Self::KeyRemoved | Self::Avoided)
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::KeyParked(parked) => {
                return write!(f, "the key is out of use ({}): {}", parked.kind, parked.reason);
            }
            Self::KeyRemoved => "the key has been removed",
            Self::Avoided => "no other key is left",
            Self::Breaker => "the circuit breaker is open",
            Self::CoolDown => "the server asked for a pause",
            Self::LimitReached => "the server's limit is used up",
            Self::Slots => "max_concurrent_calls are in flight",
            Self::Requests => "requests_per_minute is used up",
            Self::Tokens => "tokens_per_minute is used up",
            Self::KeyLimit(kind) => return write!(f, "key_{} is used up on every key", kind.setting()),
            Self::SharedLimit { limit, kind } => {
                return write!(f, "{} of limit `{limit}` is used up", kind.setting());
            }
            Self::Crowded => "the server bears no more calls at a time",
            Self::Pace => "the server bears no quicker pace",
        })
    }
}

/// Everything that refuses a call, gathered: the first reason by rank, the latest date.
#[derive(Clone, Debug, Default)]
struct Refusal {
    why: Option<Why>,
    at: Option<Instant>,
}

impl Refusal {
    fn add(&mut self, why: Why, at: Option<Instant>) {
        self.at = self.at.max(at);
        if self.why.as_ref().is_none_or(|known| why.rank() < known.rank()) {
            self.why = Some(why);
        }
    }

    fn add_shared(&mut self, exhausted: Exhausted) {
        let Exhausted { limit, kind, at } = exhausted;
        self.add(Why::SharedLimit { limit, kind }, at);
    }

    fn is_none(&self) -> bool {
        self.why.is_none()
    }

    /// The date, unless no date can help.
    fn date(&self) -> Option<Instant> {
        if self.why.as_ref().is_some_and(Why::is_final) { None } else { self.at }
    }

    fn into_parts(self) -> (Option<Instant>, Why) {
        (self.date(), self.why.unwrap_or(Why::KeyRemoved))
    }

    /// Keeps the one of two lanes that opens first; a date is better than none.
    fn sooner(self, other: Self) -> Self {
        match (self.date(), other.date()) {
            (Some(a), Some(b)) if b < a => other,
            (None, Some(_)) => other,
            // Both wait for something without a date: rather for another call's end than for a person.
            (None, None) if self.why.as_ref().is_some_and(Why::is_final) => other,
            _ => self,
        }
    }
}

/// `duration × factor`, saturating; nothing for a factor that makes no sense.
fn scaled(duration: Duration, factor: f64) -> Duration {
    let secs = duration.as_secs_f64() * factor;
    if secs.is_nan() || secs <= 0.0 {
        Duration::ZERO
    } else {
        Duration::try_from_secs_f64(secs).unwrap_or(Duration::MAX)
    }
}
