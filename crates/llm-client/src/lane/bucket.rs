//! The token bucket: at most so many requests, or tokens, in a minute, without a double burst.

use std::time::Duration;

use crate::clock::{self, Instant};

/// A bucket that starts full, is refilled evenly, and never holds more than its capacity.
///
/// The arithmetic is exact: whole numbers of (tokens per minute × nanoseconds), so that an hour of small steps neither
/// gains nor loses a token. `now` may stand still or go back; then nothing is refilled.
#[derive(Clone, Debug)]
pub struct Bucket {
    capacity: u64,
    per_minute: u64,
    /// Below zero while more was taken than was there.
    level: i128,
    refilled: Instant,
}

/// One token in units of the level.
const TOKEN: i128 = 60_000_000_000;

/// What a bucket holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BucketInfo {
    /// The most it can hold.
    pub capacity: u64,
    /// How much comes in per minute.
    pub per_minute: u64,
    /// What it holds now; below zero while a debt is paid off.
    pub available: f64,
    /// When it was last brought up to date.
    pub last_refill: Instant,
}

impl Bucket {
    /// A full bucket. A capacity of 0 is taken as 1.
    #[must_use]
    pub fn new(capacity: u64, per_minute: u64, now: Instant) -> Self {
        let capacity = capacity.max(1);
        Self { capacity, per_minute, level: i128::from(capacity) * TOKEN, refilled: now }
    }

    /// A full bucket that lets at most `limit` through in any minute.
    ///
    /// The burst is one second's worth, at least one, and it is no extra: the refill is smaller by what the burst gives
    /// in advance. (A sum taken when the bucket holds less, because it is larger than the burst, exceeds the limit by no
    /// more than itself.)
    #[must_use]
    pub fn limit(limit: u32, now: Instant) -> Self {
        let limit = u64::from(limit.max(1));
        let burst = (limit / 60).max(1);
        Self::new(burst, limit - (burst - 1), now)
    }

    fn full(&self) -> i128 {
        i128::from(self.capacity) * TOKEN
    }

    fn level_at(&self, now: Instant) -> i128 {
        let elapsed = now.saturating_duration_since(self.refilled).as_nanos();
        let refill = i128::try_from(elapsed).unwrap_or(i128::MAX).saturating_mul(i128::from(self.per_minute));
        self.level.saturating_add(refill).min(self.full())
    }

    fn refill(&mut self, now: Instant) {
        self.level = self.level_at(now);
        self.refilled = self.refilled.max(now);
    }

    /// Whether `n` could be taken now.
    ///
    /// More than the capacity can be taken when the bucket is full; what is missing becomes a debt that those after
    /// wait for. So nothing is too large for ever.
    ///
    /// # Errors
    /// The moment when it could, if nobody else takes anything before.
    pub fn ready(&self, n: u64, now: Instant) -> Result<(), Instant> {
        let missing = i128::from(n.min(self.capacity)) * TOKEN - self.level_at(now);
        if missing <= 0 {
            return Ok(());
        }
        let rate = i128::from(self.per_minute);
        let nanos = if rate == 0 { i128::MAX } else { missing.saturating_add(rate - 1) / rate };
        let wait = u64::try_from(nanos).map_or(Duration::MAX, Duration::from_nanos);
        Err(clock::after(now, wait))
    }

    /// Takes `n`, or nothing at all.
    ///
    /// # Errors
    /// As [`ready`](Self::ready).
    pub fn try_acquire(&mut self, n: u64, now: Instant) -> Result<(), Instant> {
        self.ready(n, now)?;
        self.charge(n, now);
        Ok(())
    }

    /// Puts back what was not used.
    pub fn refund(&mut self, n: u64) {
        self.level = self.level.saturating_add(i128::from(n) * TOKEN).min(self.full());
    }

    /// Takes `n` whether it is there or not, as a debt if need be.
    pub fn charge(&mut self, n: u64, now: Instant) {
        self.refill(now);
        self.level = self.level.saturating_sub(i128::from(n) * TOKEN);
    }

    /// Fills the bucket.
    pub fn reset(&mut self, now: Instant) {
        self.level = self.full();
        self.refilled = self.refilled.max(now);
    }

    /// The same contents under another capacity and rate; what no longer fits is lost.
    pub(super) fn become_like(&mut self, other: &Self, now: Instant) {
        self.refill(now);
        (self.capacity, self.per_minute) = (other.capacity, other.per_minute);
        self.level = self.level.min(self.full());
    }

    /// What it holds now.
    #[must_use]
    pub fn info(&self, now: Instant) -> BucketInfo {
        BucketInfo {
            capacity: self.capacity,
            per_minute: self.per_minute,
            available: self.level_at(now) as f64 / TOKEN as f64,
            last_refill: self.refilled,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ms(n: u64) -> Duration {
        Duration::from_millis(n)
    }

    /// Sends whenever it may, for two and a half minutes; the moments in nanoseconds.
    fn greedy(limit: u32) -> Vec<u128> {
        let start = clock::now();
        let mut bucket = Bucket::limit(limit, start);
        let (mut now, mut sent) = (start, Vec::new());
        while now < start + Duration::from_secs(150) {
            match bucket.try_acquire(1, now) {
                Ok(()) => sent.push((now - start).as_nanos()),
                Err(at) => now = at,
            }
        }
        sent
    }

    #[test]
    fn no_minute_holds_more_than_the_limit() {
        for limit in [1, 2, 3, 59, 60, 61, 119, 120, 600, 1000, 3000] {
            let sent = greedy(limit);
            let most = (0..sent.len())
                .map(|i| sent.iter().skip(i).take_while(|at| **at < sent[i] + 60_000_000_000).count())
                .max();
            assert_eq!(most, Some(usize::try_from(limit).unwrap()), "{limit} a minute");
            // … and no second more than twice its share, the burst that stands in the documentation.
            let share = usize::try_from((limit / 60).max(1)).unwrap();
            let second = (0..sent.len())
                .map(|i| sent.iter().skip(i).take_while(|at| **at < sent[i] + 1_000_000_000).count())
                .max();
            assert!(second.unwrap() <= 2 * share, "{limit} a minute: {second:?} in a second");
        }
    }

    #[test]
    fn a_bucket_follows_the_table() {
        let start = clock::now();
        let mut bucket = Bucket::new(10, 60, start);
        let at = |n| start + ms(n);
        assert_eq!(bucket.try_acquire(4, at(0)), Ok(()));
        assert_eq!(bucket.info(at(0)).available, 6.0);
        // Seven are there in a second; nothing is taken by asking.
        assert_eq!(bucket.try_acquire(7, at(0)), Err(at(1000)));
        assert_eq!(bucket.ready(7, at(999)), Err(at(1000)));
        assert_eq!(bucket.try_acquire(7, at(1000)), Ok(()));
        assert_eq!(bucket.info(at(1500)).available, 0.5);
        bucket.refund(2);
        assert_eq!(bucket.info(at(1500)).available, 2.5);
        // It never holds more than its capacity.
        bucket.refund(100);
        assert_eq!(bucket.info(at(9_000_000)).available, 10.0);
        // Larger than the bucket: only when it is full, and those after wait for the debt.
        assert_eq!(bucket.try_acquire(25, at(9_000_000)), Ok(()));
        assert_eq!(bucket.info(at(9_000_000)).available, -15.0);
        assert_eq!(bucket.try_acquire(1, at(9_000_000)), Err(at(9_016_000)));
        assert_eq!(bucket.try_acquire(25, at(9_016_000)), Err(at(9_025_000)));
        bucket.reset(at(9_016_000));
        assert_eq!(bucket.try_acquire(25, at(9_016_000)), Ok(()));
        let info = bucket.info(at(9_016_000));
        assert_eq!((info.capacity, info.per_minute, info.last_refill), (10, 60, at(9_016_000)));
    }

    #[test]
    fn extremes_neither_panic_nor_starve() {
        let start = clock::now();
        let mut bucket = Bucket::limit(0, start);
        assert_eq!(bucket.try_acquire(u64::MAX, start), Ok(()));
        assert!(bucket.try_acquire(1, start).is_err());
        bucket.charge(u64::MAX, start);
        bucket.refund(u64::MAX);
        bucket.refund(u64::MAX);
        assert_eq!(bucket.try_acquire(1, start), Ok(()));
        let mut dry = Bucket::new(1, 0, start);
        assert_eq!(dry.try_acquire(1, start), Ok(()));
        assert!(dry.try_acquire(1, start).unwrap_err() > start + Duration::from_secs(86_400 * 300));
    }

    #[test]
    fn new_limits_keep_what_was_used() {
        let start = clock::now();
        let mut bucket = Bucket::new(10, 60, start);
        bucket.charge(9, start);
        bucket.become_like(&Bucket::new(100, 6000, start), start);
        assert_eq!(bucket.info(start).available, 1.0);
        bucket.become_like(&Bucket::new(1, 60, start), start + ms(1000));
        assert_eq!(bucket.info(start + ms(1000)).available, 1.0);
    }

    #[derive(Clone, Debug)]
    enum Step {
        Wait(u64),
        Acquire(u64),
        Charge(u64),
        Refund(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0u64..3000).prop_map(Step::Wait),
            (1u64..30).prop_map(Step::Acquire),
            (0u64..15).prop_map(Step::Charge),
            (0u64..15).prop_map(Step::Refund),
        ]
    }

    proptest! {
        /// The model is filled drop by drop, a millisecond at a time.
        #[test]
        fn a_bucket_is_the_simple_model(
            capacity in 1u64..20,
            per_minute in 1u64..400,
            steps in prop::collection::vec(step(), 1..80),
        ) {
            let start = clock::now();
            let mut bucket = Bucket::new(capacity, per_minute, start);
            let full = i128::from(capacity) * 60_000;
            let (mut model, mut at) = (full, 0u64);
            for step in steps {
                let now = start + ms(at);
                match step {
                    Step::Wait(n) => {
                        at += n;
                        for _ in 0..n {
                            model = (model + i128::from(per_minute)).min(full);
                        }
                    }
                    Step::Acquire(n) => {
                        let fits = model >= i128::from(n.min(capacity)) * 60_000;
                        let result = bucket.try_acquire(n, now);
                        prop_assert_eq!(result.is_ok(), fits);
                        if fits {
                            model -= i128::from(n) * 60_000;
                        }
                        if let Err(when) = result {
                            // At that moment it fits, and a nanosecond earlier it does not.
                            prop_assert!(when > now);
                            prop_assert_eq!(bucket.ready(n, when), Ok(()));
                            prop_assert!(bucket.ready(n, when - Duration::from_nanos(1)).is_err());
                        }
                    }
                    Step::Charge(n) => {
                        bucket.charge(n, now);
                        model -= i128::from(n) * 60_000;
                    }
                    Step::Refund(n) => {
                        // Brings the bucket up to date first, as the model is.
                        bucket.charge(0, now);
                        bucket.refund(n);
                        model = (model + i128::from(n) * 60_000).min(full);
                    }
                }
                prop_assert_eq!(bucket.level_at(start + ms(at)), model * 1_000_000);
            }
        }
    }
}
