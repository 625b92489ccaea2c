//! What is known of one lane: its cool-down, its learned limits, whether its key works for this model.

use std::sync::Arc;
use std::time::Duration;

use llm_types::{Again, Error, ErrorKind, KeyFate, Phase};

use crate::clock::{self, Instant};
use crate::lane::adaptive::Adaptive;
use crate::lane::breaker::Ticket;
use crate::lane::cool_down::{CoolDown, CoolDownRules};
use crate::lane::keys::Parked;
use crate::lane::limit_headers::Limits;
use crate::lane::limiter::Limiter;
use crate::lane::pace::Pace;
use crate::lane::{Cost, DeclaredLimits, LaneId, Refusal, Why};

/// What an admitted call has taken.
#[derive(Clone, Copy)]
pub(super) struct Held {
    pub(super) lane: LaneId,
    pub(super) cost: Cost,
    pub(super) ticket: Ticket,
    pub(super) admitted: Instant,
    /// Calls in flight on the lane then, itself included.
    pub(super) level: u32,
    pub(super) sent: bool,
}

/// A lane's own state; the endpoint's lock guards it.
#[derive(Debug)]
pub(super) struct Condition {
    /// Its calls in flight, and the limits declared for each key.
    pub(super) limiter: Limiter,
    pub(super) cool_down: CoolDown,
    pub(super) adaptive: Adaptive,
    pub(super) pace: Pace,
    /// Why the key does not work for this model.
    pub(super) parked: Option<Arc<Parked>>,
    /// The request that the key was last forbidden (403), by its fingerprint.
    forbidden: Option<u64>,
    /// When the server resets a limit that is used up.
    pub(super) exhausted_until: Option<Instant>,
    /// What the server last said about its limits, and when.
    pub(super) said: Option<(Limits, Instant)>,
}

impl Condition {
    pub(super) fn new(limits: DeclaredLimits, now: Instant) -> Self {
        Self {
            limiter: Limiter::new(limits, now),
            cool_down: CoolDown::default(),
            adaptive: Adaptive::default(),
            pace: Pace::new(now),
            parked: None,
            forbidden: None,
            exhausted_until: None,
            said: None,
        }
    }

    /// Adds to `refusal` what keeps this lane from taking a call.
    pub(super) fn check(&mut self, cost: Cost, now: Instant, refusal: &mut Refusal) {
        if let Some(parked) = &self.parked {
            refusal.add(Why::KeyParked(Arc::clone(parked)), None);
        }
        match self.cool_down.until(now) {
            Some(until) => refusal.add(Why::CoolDown, Some(until)),
            // The rest is over: what was in flight when it began has been answered, so now it can be judged.
            None => {
                if let Some(borne) = self.pace.learn(now) {
                    self.adaptive.cut_to(borne, now);
                }
            }
        }
        if let Some(until) = self.exhausted_until.filter(|until| *until > now) {
            refusal.add(Why::LimitReached, Some(until));
        }
        self.limiter.check(cost, now, |kind, at| refusal.add(Why::KeyLimit(kind), at));
        if !self.adaptive.admits(self.limiter.in_flight, now) {
            refusal.add(Why::Crowded, None);
        }
        if let Err(at) = self.pace.check(now) {
            refusal.add(Why::Pace, Some(at));
        }
    }

    /// Takes a call in; returns how many are in flight now.
    pub(super) fn take(&mut self, cost: Cost, now: Instant) -> u32 {
        self.pace.take(now);
        self.limiter.take(cost, now)
    }

    pub(super) fn succeed(&mut self, held: &Held, now: Instant) {
        self.pace.succeed(held.level);
        self.cool_down.succeed(held.admitted);
        self.adaptive.succeed(self.limiter.in_flight, now);
        self.forbidden = None;
    }

    /// Draws the lane's conclusions from a failure, and says what is to become of the key now.
    pub(super) fn fail(
        &mut self,
        held: &Held,
        error: &Error,
        fingerprint: u64,
        rules: &CoolDownRules,
        now: Instant,
        random: f64,
    ) -> KeyFate {
        let verdict = error.kind().verdict();
        if verdict.same_lane == Again::AfterCoolDown {
            self.cool_down.refuse(error.retry_after(), held.admitted, rules, now, random);
            self.pace.refuse(held.admitted, error.retry_after(), held.level, now);
        } else if error.kind() == ErrorKind::Overloaded && error.retry_after().is_some() {
            self.cool_down.refuse(error.retry_after(), held.admitted, rules, now, random);
        }
        if is_overload(error.kind()) {
            self.adaptive.cut(held.admitted, self.limiter.in_flight, now);
        }
        if verdict.key == KeyFate::ParkedAtSecond {
            let before = self.forbidden.replace(fingerprint);
            if before.is_none_or(|before| before == fingerprint) {
                return KeyFate::Kept;
            }
        }
        verdict.key
    }

    /// Takes the lane out of use: its key does not work for this model.
    pub(super) fn park(&mut self, kind: ErrorKind, reason: String) {
        self.parked = Some(Arc::new(Parked { kind, reason }));
    }

    /// Heeds what the server says is left: it only tightens, and expires.
    pub(super) fn observe(&mut self, limits: &Limits, cap: Duration, now: Instant) {
        if *limits != Limits::default() {
            self.said = Some((*limits, now));
        }
        if let Some(reset) = limits.exhausted_for() {
            // Often the time until the limit is whole again, which may be a day; believed for as long as a Retry-After.
            let until = clock::after(now, reset.min(cap));
            self.exhausted_until = self.exhausted_until.max(Some(until));
        }
    }

    /// Forgets everything but the calls in flight.
    pub(super) fn reset(&mut self, now: Instant) {
        self.reset_limits(now);
        (self.parked, self.forbidden) = (None, None);
    }

    /// Forgets what was learned about limits, and fills the buckets.
    pub(super) fn reset_limits(&mut self, now: Instant) {
        self.limiter.reset(now);
        self.cool_down = CoolDown::default();
        self.adaptive = Adaptive::default();
        self.pace = Pace::new(now);
        (self.exhausted_until, self.said) = (None, None);
    }
}

/// Signs that the server has more calls in flight than it bears.
fn is_overload(kind: ErrorKind) -> bool {
    match kind {
        ErrorKind::Overloaded => true,
        ErrorKind::Timeout(phase) => matches!(phase, Phase::FirstByte | Phase::Idle | Phase::Attempt),
        _ => false,
    }
}
