//! A limit with a name that several endpoints, clients or pools charge.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::clock::Instant;
use crate::lane::guard::Used;
use crate::lane::limiter::Limiter;
use crate::lane::{Cost, DeclaredLimits, LimitKind};

/// A limit with a name that several endpoints, clients or pools charge: an account's requests per minute, a team's slots.
///
/// A client charges it through its lanes ([`Lanes::with_limits`](crate::lane::Lanes::with_limits)); whoever chooses
/// between clients takes from it himself: [`try_take`](SharedLimit::try_take) grants a [`LimitHold`] or says not before
/// when, and [`released`](SharedLimit::released) wakes who waits. The hold is kept until the answer is whole, in a stream
/// until its last event. One that is dropped before [`sent`](LimitHold::sent) gives everything back.
///
/// ```
/// use llm_client::{clock, lane::{Cost, DeclaredLimits, SharedLimit}};
/// let slots = DeclaredLimits { max_concurrent_calls: Some(1), ..DeclaredLimits::default() };
/// let limit = SharedLimit::new("team", slots, clock::now());
/// let hold = limit.try_take(Cost::default(), clock::now()).expect("the first fits");
/// assert!(limit.try_take(Cost::default(), clock::now()).unwrap_err().at.is_none(), "nobody knows when");
/// drop(hold);
/// assert!(limit.try_take(Cost::default(), clock::now()).is_ok());
/// ```
#[derive(Debug)]
pub struct SharedLimit {
    name: Arc<str>,
    limiter: Mutex<Limiter>,
    released: Arc<Notify>,
}

/// Why a limit has nothing to give; nothing was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exhausted {
    /// The limit's name.
    pub limit: Arc<str>,
    /// The first of its parts that is used up.
    pub kind: LimitKind,
    /// The first moment that could be different. `None`: only a call's end can help.
    pub at: Option<Instant>,
}

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of limit `{}` is used up", self.kind.setting(), self.limit)
    }
}

impl SharedLimit {
    /// A limit of which nothing is used. For one that others find by its name, see
    /// [`Registry::limit`](crate::lane::Registry::limit).
    #[must_use]
    pub fn new(name: impl Into<Arc<str>>, declared: DeclaredLimits, now: Instant) -> Arc<Self> {
        let limiter = Mutex::new(Limiter::new(declared, now));
        Arc::new(Self { name: name.into(), limiter, released: Arc::new(Notify::new()) })
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What it allows.
    #[must_use]
    pub fn declared(&self) -> DeclaredLimits {
        self.limiter().declared
    }

    /// Calls that hold it.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.limiter().in_flight
    }

    pub(super) fn limiter(&self) -> MutexGuard<'_, Limiter> {
        // Every change is finished before the lock is released, so what a panic left behind is still true.
        self.limiter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a call could be taken in now. Takes nothing.
    ///
    /// # Errors
    /// What is used up, and the moment when it could.
    pub fn ready(&self, cost: Cost, now: Instant) -> Result<(), Exhausted> {
        self.check(&self.limiter(), cost, now)
    }

    /// Takes a slot, a request and the tokens of a call; all or nothing.
    ///
    /// # Errors
    /// What is used up, and the moment when it could be taken.
    pub fn try_take(self: &Arc<Self>, cost: Cost, now: Instant) -> Result<LimitHold, Exhausted> {
        let mut limiter = self.limiter();
        self.check(&limiter, cost, now)?;
        limiter.take(cost, now);
        drop(limiter);
        Ok(LimitHold { limit: Arc::clone(self), cost, sent: false })
    }

    fn check(&self, limiter: &Limiter, cost: Cost, now: Instant) -> Result<(), Exhausted> {
        let mut found: Option<Exhausted> = None;
        limiter.check(cost, now, |kind, at| match &mut found {
            Some(first) => first.at = first.at.max(at),
            None => found = Some(Exhausted { limit: Arc::clone(&self.name), kind, at }),
        });
        found.map_or(Ok(()), Err)
    }

    /// Takes over other limits; what was used stays used.
    pub fn configure(&self, declared: DeclaredLimits, now: Instant) {
        self.limiter().configure(declared, now);
        self.wake();
    }

    /// Fills its buckets. Calls in flight stay counted.
    pub fn reset(&self, now: Instant) {
        self.limiter().reset(now);
        self.wake();
    }

    /// Ends when something changes that could let a waiting call in before its date: a call ends, the limit is raised. It
    /// hears of everything since it was made, so make it before asking.
    pub fn released(&self) -> impl Future<Output = ()> + Send + use<> {
        Arc::clone(&self.released).notified_owned()
    }

    fn wake(&self) {
        self.released.notify_waiters();
    }
}

/// A slot, a request and tokens of a [`SharedLimit`]. Dropping it frees the slot; a request that was never
/// [`sent`](Self::sent) is given back too.
#[must_use]
pub struct LimitHold {
    limit: Arc<SharedLimit>,
    cost: Cost,
    sent: bool,
}

impl LimitHold {
    /// The limit it is taken from.
    #[must_use]
    pub fn limit(&self) -> &Arc<SharedLimit> {
        &self.limit
    }

    /// The request begins to leave: from now on it counts, whatever becomes of it.
    pub fn sent(&mut self) {
        self.sent = true;
    }

    /// The call was answered: its tokens were really so many, and the reservation becomes that. Counts as sent.
    pub fn settle(self, used_tokens: u64, now: Instant) {
        self.end(Used::Tokens(used_tokens), now);
    }

    /// The request was refused, and nothing was written: its tokens are given back, it itself counts.
    pub fn unanswered(self, now: Instant) {
        self.end(Used::Request, now);
    }

    /// Nothing has left after all: everything is given back.
    pub fn unsent(mut self) {
        self.sent = false;
    }

    pub(super) fn end(mut self, used: Used, now: Instant) {
        used.settle(&mut self.limit.limiter(), self.cost, now);
        self.sent = true;
    }
}

impl Drop for LimitHold {
    fn drop(&mut self) {
        let mut limiter = self.limit.limiter();
        if !self.sent {
            limiter.refund(self.cost);
        }
        limiter.release();
        drop(limiter);
        self.limit.wake();
    }
}

impl fmt::Debug for LimitHold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LimitHold").field("limit", &self.limit.name).field("sent", &self.sent).finish()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock;
    use crate::lane::RateLimit;

    const ONE: Cost = Cost { tokens: 100 };

    fn limit(declared: DeclaredLimits) -> (Arc<SharedLimit>, Instant) {
        let start = clock::now();
        (SharedLimit::new("team", declared, start), start)
    }

    fn available(limit: &SharedLimit, now: Instant) -> (f64, f64) {
        let limiter = limit.limiter();
        let of = |bucket: &Option<crate::lane::Bucket>| bucket.as_ref().unwrap().info(now).available;
        (of(&limiter.requests), of(&limiter.tokens))
    }

    #[test]
    fn a_hold_gives_back_what_was_not_used() {
        let declared = DeclaredLimits {
            max_concurrent_calls: Some(2),
            requests: Some(RateLimit::with_burst(60, 10)),
            tokens: Some(RateLimit::with_burst(60, 1000)),
        };
        let (limit, now) = limit(declared);
        let take = || limit.try_take(ONE, now).unwrap();
        drop(take());
        assert_eq!(available(&limit, now), (10.0, 1000.0), "never sent");
        let mut hold = take();
        hold.sent();
        hold.unsent();
        assert_eq!(available(&limit, now), (10.0, 1000.0), "not sent after all");
        let mut hold = take();
        hold.sent();
        drop(hold);
        assert_eq!(available(&limit, now), (9.0, 900.0), "sent, and nobody knows what was used");
        take().settle(30, now);
        assert_eq!(available(&limit, now), (8.0, 870.0));
        take().settle(170, now);
        assert_eq!(available(&limit, now), (7.0, 700.0));
        take().unanswered(now);
        assert_eq!((available(&limit, now), limit.in_flight()), ((6.0, 700.0), 0));
    }

    #[test]
    fn a_refusal_names_the_limit_and_its_date() {
        let declared = DeclaredLimits {
            max_concurrent_calls: Some(1),
            requests: Some(RateLimit::per_minute(60)),
            tokens: None,
        };
        let (limit, now) = limit(declared);
        let mut hold = limit.try_take(ONE, now).unwrap();
        hold.sent();
        let second = now + Duration::from_secs(1);
        let refusal = limit.try_take(ONE, now).unwrap_err();
        assert_eq!((refusal.kind, refusal.at), (LimitKind::Slots, Some(second)), "the latest date");
        assert_eq!(refusal.to_string(), "max_concurrent_calls of limit `team` is used up");
        assert_eq!(limit.ready(ONE, second).unwrap_err().at, None);
        drop(hold);
        assert_eq!(limit.ready(ONE, now).unwrap_err().kind, LimitKind::Requests);
        assert_eq!(limit.ready(ONE, second), Ok(()));
        limit.reset(now);
        assert_eq!(limit.ready(ONE, now), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_is_woken() {
        let slots = |most| DeclaredLimits { max_concurrent_calls: Some(most), ..DeclaredLimits::default() };
        let (limit, now) = limit(slots(1));
        let mut hold = limit.try_take(ONE, now).ok();
        for act in 0..3 {
            let released = limit.released();
            assert!(limit.try_take(ONE, now).is_err());
            match act {
                0 => limit.configure(slots(1), now),
                1 => limit.reset(now),
                _ => drop(hold.take()),
            }
            tokio::time::timeout(Duration::from_secs(1), released).await.expect("woken");
        }
        assert!(limit.try_take(ONE, now).is_ok());
    }
}
