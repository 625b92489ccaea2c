//! What an admitted call holds, until it ends well, badly or not at all.

use std::fmt;
use std::sync::Arc;

use llm_types::{Again, Error, KeyFate, Secret, Usage};

use crate::clock::Instant;
use crate::lane::condition::Held;
use crate::lane::endpoint::State;
use crate::lane::limiter::Limiter;
use crate::lane::{Cost, Endpoint, KeyLease, LaneId, LimitHold, Limits};

/// A slot, a key and a share of the limits, taken together and given back together.
///
/// End it with [`succeed`](Self::succeed) or [`fail`](Self::fail). Dropped without either, the call was cancelled: slot and
/// key are free again, what was not sent is refunded, and nothing is held against the endpoint.
#[must_use]
pub struct LaneGuard {
    endpoint: Arc<Endpoint>,
    lease: Option<KeyLease>,
    held: Held,
    /// What it has taken from limits that others charge too.
    shared: Vec<LimitHold>,
    ended: bool,
}

impl LaneGuard {
    pub(super) fn new(
        endpoint: Arc<Endpoint>,
        lease: Option<KeyLease>,
        held: Held,
        shared: Vec<LimitHold>,
    ) -> Self {
        Self { endpoint, lease, held, shared, ended: false }
    }

    /// The key to authorise the request with; `None` where the endpoint needs none.
    #[must_use]
    pub fn key(&self) -> Option<&Secret> {
        self.lease.as_ref().map(KeyLease::key)
    }

    /// The lane that took the call.
    #[must_use]
    pub fn lane(&self) -> LaneId {
        self.held.lane
    }

    /// Its endpoint.
    #[must_use]
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// The request begins to leave: from now on it counts against the server's limits, whatever becomes of it.
    pub fn sent(&mut self) {
        self.held.sent = true;
        self.shared.iter_mut().for_each(LimitHold::sent);
    }

    /// The server has begun to answer with content. That is proof enough for a breaker's trial; the call goes on.
    pub fn answering(&self) {
        self.endpoint.state().breaker.answered(self.held.ticket);
        self.endpoint.wake();
    }

    /// Heeds the limits in an answer's head: a lane of which nothing is left sends nothing until the reset, at most
    /// `retry_after_cap`. Limits only tighten, and expire.
    pub fn observe(&self, limits: &Limits, now: Instant) {
        let mut state = self.endpoint.state();
        let cap = state.rules.cool_down.retry_after_cap;
        if let Some(lane) = state.known_lane(self.held.lane) {
            lane.observe(limits, cap, now);
        }
    }

    /// The call was answered. `used_tokens`: prompt and answer, where the server said so; the reservation is settled.
    pub fn succeed(mut self, used_tokens: Option<u64>, now: Instant) {
        let used = used_tokens.map_or(Used::Unknown, Used::Tokens);
        self.end(used, now, |state, held| state.succeed(held, now));
    }

    /// The call failed. The error table decides what that means for the breaker and for the key.
    ///
    /// `fingerprint` tells requests apart (a hash of the body): a key that two different requests in a row are forbidden
    /// (403) is out of use for this model. `random` is in [0, 1).
    pub fn fail(mut self, error: &Error, fingerprint: u64, now: Instant, random: f64) {
        let lease = self.lease.take();
        self.end(Used::by_failure(&self.held, error), now, |state, held| {
            match (state.fail(held, error, fingerprint, now, random), &lease) {
                (KeyFate::Kept, _) => {}
                (KeyFate::Parked, Some(lease)) => {
                    lease.pool().park(lease.id(), error.kind(), error.message());
                }
                // A lane without a key cannot share its fate with others.
                (KeyFate::Parked | KeyFate::ParkedAtSecond, lease) => {
                    let reason = error.message();
                    let reason =
                        lease.as_ref().map_or_else(|| reason.to_owned(), |lease| lease.key().scrub(reason));
                    if let Some(lane) = state.known_lane(held.lane) {
                        lane.park(error.kind(), reason);
                    }
                }
            }
        });
    }

    fn end(&mut self, used: Used, now: Instant, outcome: impl FnOnce(&mut State, &Held)) {
        if std::mem::replace(&mut self.ended, true) {
            return;
        }
        let mut state = self.endpoint.state();
        outcome(&mut state, &self.held);
        used.settle(&mut state.limiter, self.held.cost, now);
        state.limiter.release();
        if let Some(lane) = state.known_lane(self.held.lane) {
            used.settle(&mut lane.limiter, self.held.cost, now);
            lane.limiter.release();
            if used == Used::Nothing {
                lane.pace.take_back(self.held.admitted);
            }
        }
        drop(state);
        self.lease = None;
        self.shared.drain(..).for_each(|hold| hold.end(used, now));
        self.endpoint.wake();
    }
}

impl Drop for LaneGuard {
    fn drop(&mut self) {
        let used = if self.held.sent { Used::Unknown } else { Used::Nothing };
        // A refund needs no date, and nothing else is settled here.
        self.end(used, self.held.admitted, State::cancel);
    }
}

impl State {
    fn succeed(&mut self, held: &Held, now: Instant) {
        self.breaker.succeed(held.ticket, now);
        if let Some(lane) = self.known_lane(held.lane) {
            lane.succeed(held, now);
        }
    }

    /// What is to become of the key follows from the verdict and, for a 403, from the request before.
    fn fail(&mut self, held: &Held, error: &Error, fingerprint: u64, now: Instant, random: f64) -> KeyFate {
        let verdict = error.kind().verdict();
        let answered = error.status().is_some();
        if verdict.breaker {
            self.breaker.fail(held.ticket, &self.rules.breaker, now, random);
        } else if answered {
            self.breaker.answered(held.ticket);
        } else {
            self.breaker.release(held.ticket);
        }
        let rules = self.rules.cool_down;
        let lane = self.known_lane(held.lane);
        lane.map_or(KeyFate::Kept, |lane| lane.fail(held, error, fingerprint, &rules, now, random))
    }

    fn cancel(&mut self, held: &Held) {
        self.breaker.release(held.ticket);
    }
}

/// What a call that has ended used of every limit it was charged to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Used {
    /// Nothing: the request never left.
    Nothing,
    /// A request, and no tokens: it was refused.
    Request,
    /// A request and so many tokens.
    Tokens(u64),
    /// A request, and nobody knows how many tokens: what was reserved.
    Unknown,
}

impl Used {
    fn by_failure(held: &Held, error: &Error) -> Self {
        // A server that refuses was asked, whatever its caller says.
        let refused = error.kind().verdict().same_lane == Again::AfterCoolDown;
        if !(held.sent || error.status().is_some() || refused) {
            return Self::Nothing;
        }
        match error.partial().and_then(|partial| partial.usage.as_ref()).map(Usage::total) {
            Some(used) => Self::Tokens(used),
            // An error in place of an answer: nothing was written. After any other end it may have been.
            None if error.status() >= Some(400) => Self::Request,
            None => Self::Unknown,
        }
    }

    /// Turns a reservation into what was used.
    pub(super) fn settle(self, limiter: &mut Limiter, reserved: Cost, now: Instant) {
        match self {
            Self::Nothing => limiter.refund(reserved),
            Self::Request => limiter.refund_tokens(reserved),
            Self::Tokens(used) => limiter.settle(reserved, used, now),
            Self::Unknown => {}
        }
    }
}

impl fmt::Debug for LaneGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LaneGuard")
            .field("endpoint", self.endpoint.id())
            .field("lane", &self.held.lane)
            .field("sent", &self.held.sent)
            .finish_non_exhaustive()
    }
}
