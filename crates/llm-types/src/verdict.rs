//! The error table: what may follow a failure of each kind. Nobody else decides.

use crate::error::ErrorKind;

/// Whether, and when, the lane that failed may be asked again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// The same answer would come, or be billed twice.
    Never,
    /// One more time and no more, after back-off: the first request may be paid.
    Once,
    /// After back-off, as long as the attempt budget lasts.
    Backoff,
    /// When the lane's cool-down is over (`Retry-After`, or back-off where none was sent).
    AfterCoolDown,
}

/// Whether the call may move to another lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Move {
    /// Only where an explicit chain says so.
    Never,
    /// Any other lane, another key of the same endpoint included.
    AnyLane,
    /// Only a lane at another endpoint: a key makes no difference.
    OtherEndpoint,
}

/// What the failure says about the key that was used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFate {
    /// Nothing.
    Kept,
    /// The key is parked: it cannot work until somebody acts.
    Parked,
    /// Parked for this model when a second, different request in a row fails the same way.
    ParkedAtSecond,
}

/// What may follow a failure: one row of the error table in `ARCHITECTURE.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// May the same lane be asked again, and when?
    pub same_lane: Again,
    /// May another lane be asked?
    pub other_lane: Move,
    /// Does it count against the endpoint's circuit breaker?
    pub breaker: bool,
    /// Does asking the same endpoint again spend retry budget?
    pub retry_budget: bool,
    /// What becomes of the key?
    pub key: KeyFate,
    /// Is it worth asking again later, by a person or a resumed batch? The `retryable` of records and JSON.
    pub retryable: bool,
}

impl Verdict {
    /// Nothing follows: the caller has to change something.
    const FINAL: Self = Self {
        same_lane: Again::Never,
        other_lane: Move::Never,
        breaker: false,
        retry_budget: false,
        key: KeyFate::Kept,
        retryable: false,
    };
    /// A passing fault of the endpoint.
    const FAULT: Self = Self {
        same_lane: Again::Backoff,
        other_lane: Move::AnyLane,
        breaker: true,
        retry_budget: true,
        retryable: true,
        ..Self::FINAL
    };
}

impl ErrorKind {
    /// What may follow a failure of this kind. The match names every kind: a new one does not compile until
    /// somebody decides.
    #[must_use]
    pub const fn verdict(self) -> Verdict {
        match self {
            Self::Connection | Self::Server | Self::Overloaded => Verdict::FAULT,
            // Connecting costs nothing, so it is an ordinary fault; any other time-out may be paid twice.
            Self::Timeout(crate::Phase::Connect) => Verdict::FAULT,
            Self::Timeout(crate::Phase::Call) => Verdict { retryable: true, ..Verdict::FINAL },
            Self::Timeout(_) => Verdict { same_lane: Again::Once, ..Verdict::FAULT },
            Self::RateLimited => {
                Verdict { same_lane: Again::AfterCoolDown, breaker: false, ..Verdict::FAULT }
            }
            Self::QuotaExhausted | Self::Authentication => {
                Verdict { other_lane: Move::AnyLane, key: KeyFate::Parked, ..Verdict::FINAL }
            }
            Self::PermissionDenied => {
                Verdict { other_lane: Move::AnyLane, key: KeyFate::ParkedAtSecond, ..Verdict::FINAL }
            }
            Self::NotFound | Self::ModelNotFound => {
                Verdict { other_lane: Move::OtherEndpoint, ..Verdict::FINAL }
            }
            Self::InvalidRequest | Self::ContextLength | Self::ContentFilter => Verdict::FINAL,
            Self::Protocol | Self::TooLarge => Verdict::FINAL,
            Self::Truncated => Verdict { breaker: true, retryable: true, ..Verdict::FINAL },
            Self::Tls | Self::Redirect => {
                Verdict { other_lane: Move::OtherEndpoint, breaker: true, ..Verdict::FINAL }
            }
            // No request was made: another lane may still be free, and the driver asks each lane for its date.
            Self::Unavailable => Verdict { other_lane: Move::AnyLane, retryable: true, ..Verdict::FINAL },
            Self::ProviderNotFound | Self::Cancelled | Self::Config | Self::Budget | Self::Internal => {
                Verdict::FINAL
            }
        }
    }

    /// Whether it tells that no request was made: nothing can take the call, or its budget does not let it go. A wrapper
    /// that chooses asks its other clients then, and none of them counts as tried.
    #[must_use]
    pub const fn is_unsent(self) -> bool {
        matches!(self, Self::Unavailable | Self::Budget)
    }

    /// Whether asking again later may succeed with nothing changed.
    #[must_use]
    pub const fn is_retryable(self) -> bool {
        self.verdict().retryable
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Phase;

    /// The table of `ARCHITECTURE.md`, written out: (kind, same lane, other lane, breaker, budget, retryable).
    #[test]
    fn the_error_table_is_the_written_one() {
        use Again::*;
        use ErrorKind as K;
        use Move::{AnyLane, OtherEndpoint};
        let no = Move::Never;
        for (kind, same, other, breaker, budget, retryable) in [
            (K::Connection, Backoff, AnyLane, true, true, true),
            (K::Timeout(Phase::Connect), Backoff, AnyLane, true, true, true),
            (K::Server, Backoff, AnyLane, true, true, true),
            (K::Overloaded, Backoff, AnyLane, true, true, true),
            (K::Timeout(Phase::FirstByte), Once, AnyLane, true, true, true),
            (K::Timeout(Phase::Idle), Once, AnyLane, true, true, true),
            (K::Timeout(Phase::Attempt), Once, AnyLane, true, true, true),
            (K::RateLimited, AfterCoolDown, AnyLane, false, true, true),
            (K::QuotaExhausted, Never, AnyLane, false, false, false),
            (K::Authentication, Never, AnyLane, false, false, false),
            (K::PermissionDenied, Never, AnyLane, false, false, false),
            (K::NotFound, Never, OtherEndpoint, false, false, false),
            (K::ModelNotFound, Never, OtherEndpoint, false, false, false),
            (K::InvalidRequest, Never, no, false, false, false),
            (K::ContextLength, Never, no, false, false, false),
            (K::ContentFilter, Never, no, false, false, false),
            (K::Protocol, Never, no, false, false, false),
            (K::TooLarge, Never, no, false, false, false),
            (K::Truncated, Never, no, true, false, true),
            (K::Tls, Never, OtherEndpoint, true, false, false),
            (K::Redirect, Never, OtherEndpoint, true, false, false),
            (K::Unavailable, Never, AnyLane, false, false, true),
            (K::Timeout(Phase::Call), Never, no, false, false, true),
            (K::Budget, Never, no, false, false, false),
            (K::Cancelled, Never, no, false, false, false),
            (K::Config, Never, no, false, false, false),
        ] {
            let v = kind.verdict();
            let found = (v.same_lane, v.other_lane, v.breaker, v.retry_budget, v.retryable);
            assert_eq!(found, (same, other, breaker, budget, retryable), "{kind:?}");
        }
    }

    #[test]
    fn only_refusals_of_the_key_park_it() {
        assert_eq!(ErrorKind::Authentication.verdict().key, KeyFate::Parked);
        assert_eq!(ErrorKind::QuotaExhausted.verdict().key, KeyFate::Parked);
        assert_eq!(ErrorKind::PermissionDenied.verdict().key, KeyFate::ParkedAtSecond);
        assert_eq!(ErrorKind::RateLimited.verdict().key, KeyFate::Kept);
    }
}
