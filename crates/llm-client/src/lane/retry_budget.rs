//! The retry budget: retries are a share of the requests, so that they cannot multiply an outage.

use std::time::Duration;

use crate::clock::Instant;
use crate::lane::timeline::Timeline;

/// How long credit lives.
const CREDIT: Duration = Duration::from_secs(10);

/// What an endpoint's calls may spend on retries: so many percent of its requests, and so many per second besides.
///
/// Credit lives ten seconds, and so does a debt. The allowance per second is there from the start, for the whole ten
/// seconds: a single call after a quiet time can make all its retries.
#[derive(Clone, Debug)]
pub struct RetryBudget {
    percent: u32,
    per_sec: f64,
    /// Retries earned, less those spent.
    balance: Timeline<10>,
}

impl RetryBudget {
    /// A full budget. Defaults of the settings: 20 percent, and 1 per second.
    #[must_use]
    pub fn new(percent: u32, per_sec: f64, now: Instant) -> Self {
        Self { percent, per_sec, balance: Timeline::new(Duration::from_secs(1), now) }
    }

    /// The first request of a call: earns credit.
    pub fn deposit(&mut self, now: Instant) {
        self.balance.add(now, f64::from(self.percent) / 100.0);
    }

    /// Spends one retry, or says that there is none.
    pub fn try_withdraw(&mut self, now: Instant) -> bool {
        // A sum of many shares of 0.2 may fall short of a whole number by a rounding error.
        if self.available(now) < 1.0 - 1e-6 {
            return false;
        }
        self.balance.add(now, -1.0);
        true
    }

    /// How many retries could be made now.
    #[must_use]
    pub fn available(&self, now: Instant) -> f64 {
        self.balance.sum(now, CREDIT) + self.per_sec * CREDIT.as_secs_f64()
    }

    /// Other shares; what was earned and spent stays.
    pub(super) fn configure(&mut self, percent: u32, per_sec: f64) {
        (self.percent, self.per_sec) = (percent, per_sec);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BinaryHeap;

    use super::*;
    use crate::Settings;
    use crate::lane::backoff;

    fn budget(now: Instant) -> RetryBudget {
        let settings = Settings::default();
        RetryBudget::new(settings.retry_budget_percent, settings.retry_budget_per_sec, now)
    }

    #[test]
    fn the_budget_follows_the_table() {
        let start = crate::clock::now();
        let at = |secs| start + Duration::from_secs(secs);
        let mut budget = budget(start);
        // Full at the start: ten, and no more.
        assert_eq!((0..20).filter(|_| budget.try_withdraw(at(0))).count(), 10);
        // Five requests earn one.
        for _ in 0..5 {
            assert!(!budget.try_withdraw(at(1)));
            budget.deposit(at(1));
        }
        assert!(budget.try_withdraw(at(1)));
        assert!(!budget.try_withdraw(at(9)));
        // Ten seconds later the allowance is back; what was earned long ago is not.
        assert_eq!((0..20).filter(|_| budget.try_withdraw(at(12))).count(), 10);
        for _ in 0..500 {
            budget.deposit(at(30));
        }
        assert_eq!(budget.available(at(39)).round(), 110.0);
        assert_eq!(budget.available(at(41)).round(), 10.0);
    }

    #[test]
    fn nothing_allowed_means_no_retry_at_all() {
        let now = crate::clock::now();
        let mut budget = RetryBudget::new(0, 0.0, now);
        budget.deposit(now);
        assert!(!budget.try_withdraw(now));
    }

    /// G3: requests per call at 100 calls a second, each with up to three retries after back-off.
    fn load(calls: u32, percent_failing: u32) -> f64 {
        let settings = Settings::default();
        let start = crate::clock::now();
        let mut budget = budget(start);
        let mut due: BinaryHeap<std::cmp::Reverse<(Instant, u32, u32)>> =
            (0..calls).map(|n| std::cmp::Reverse((start + Duration::from_millis(10) * n, n, 0))).collect();
        let mut requests = 0u32;
        while let Some(std::cmp::Reverse((now, call, retry))) = due.pop() {
            if retry == 0 {
                budget.deposit(now);
            } else if !budget.try_withdraw(now) {
                continue;
            }
            requests += 1;
            let fails = requests % 100 < percent_failing;
            if fails && retry < settings.max_retries {
                let wait = backoff(retry, &settings, f64::from(call % 10) / 10.0);
                due.push(std::cmp::Reverse((now + wait, call, retry + 1)));
            }
        }
        f64::from(requests) / f64::from(calls)
    }

    #[test]
    fn retries_cannot_multiply_an_outage() {
        let total = load(1000, 100);
        assert!(total <= 1.3, "{total} requests per call when every request fails");
        assert!(load(10_000, 100) <= 1.25);
        let some = load(1000, 10);
        assert!((1.09..=1.15).contains(&some), "{some} requests per call when one in ten fails");
    }
}
