//! Declared limits: slots, requests and tokens, taken together. An endpoint has such a set, each of its lanes may, and a
//! [`SharedLimit`](crate::lane::SharedLimit) is one that several endpoints charge.

use serde::Serialize;

use crate::Settings;
use crate::clock::Instant;
use crate::lane::{Bucket, Cost};

/// A rate as it is declared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct RateLimit {
    /// What comes in, evenly, in a minute. 0 is taken as 1.
    pub per_minute: u32,
    /// What may go at once after a pause, on top of `per_minute`. Without it a burst is one second's worth, and no minute
    /// holds more than `per_minute`.
    pub burst: Option<u32>,
}

impl RateLimit {
    /// At most so much in any minute.
    #[must_use]
    pub const fn per_minute(per_minute: u32) -> Self {
        Self { per_minute, burst: None }
    }

    /// A bucket of this capacity with this much coming in per minute.
    #[must_use]
    pub const fn with_burst(per_minute: u32, burst: u32) -> Self {
        Self { per_minute, burst: Some(burst) }
    }

    /// A full bucket that keeps to it.
    #[must_use]
    pub fn bucket(self, now: Instant) -> Bucket {
        match self.burst {
            None => Bucket::limit(self.per_minute, now),
            Some(burst) => Bucket::new(u64::from(burst), u64::from(self.per_minute.max(1)), now),
        }
    }
}

/// Limits as they are declared. [`DeclaredLimits::default`] limits nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DeclaredLimits {
    /// The most calls in flight. 0 is taken as 1.
    pub max_concurrent_calls: Option<u32>,
    /// The most requests, retries included.
    pub requests: Option<RateLimit>,
    /// The most tokens, prompt and answer.
    pub tokens: Option<RateLimit>,
}

impl DeclaredLimits {
    /// Those of an endpoint with these settings.
    #[must_use]
    pub fn of_endpoint(settings: &Settings) -> Self {
        let rate =
            |per_minute: Option<u32>, burst| per_minute.map(|per_minute| RateLimit { per_minute, burst });
        Self {
            max_concurrent_calls: settings.max_concurrent_calls,
            requests: rate(settings.requests_per_minute, settings.requests_burst),
            tokens: rate(settings.tokens_per_minute, settings.tokens_burst),
        }
    }

    /// Those of each of its keys.
    #[must_use]
    pub fn of_key(settings: &Settings) -> Self {
        let rate =
            |per_minute: Option<u32>, burst| per_minute.map(|per_minute| RateLimit { per_minute, burst });
        Self {
            max_concurrent_calls: settings.key_max_concurrent_calls,
            requests: rate(settings.key_requests_per_minute, settings.key_requests_burst),
            tokens: rate(settings.key_tokens_per_minute, settings.key_tokens_burst),
        }
    }

    /// Whether nothing is limited.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Which part of a set of limits is used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitKind {
    /// As many calls are in flight as `max_concurrent_calls` allows. No date: a call's end helps.
    Slots,
    /// `requests_per_minute`.
    Requests,
    /// `tokens_per_minute`.
    Tokens,
}

impl LimitKind {
    /// The key it is declared by.
    #[must_use]
    pub const fn setting(self) -> &'static str {
        match self {
            Self::Slots => "max_concurrent_calls",
            Self::Requests => "requests_per_minute",
            Self::Tokens => "tokens_per_minute",
        }
    }
}

/// The state of a set of declared limits. Whoever holds it locks it.
#[derive(Clone, Debug)]
pub(super) struct Limiter {
    pub(super) declared: DeclaredLimits,
    pub(super) in_flight: u32,
    pub(super) requests: Option<Bucket>,
    pub(super) tokens: Option<Bucket>,
}

impl Limiter {
    pub(super) fn new(declared: DeclaredLimits, now: Instant) -> Self {
        let bucket = |rate: Option<RateLimit>| rate.map(|rate| rate.bucket(now));
        Self { declared, in_flight: 0, requests: bucket(declared.requests), tokens: bucket(declared.tokens) }
    }

    /// Tells `refuse` what keeps a call from being taken, and until when.
    pub(super) fn check(&self, cost: Cost, now: Instant, mut refuse: impl FnMut(LimitKind, Option<Instant>)) {
        if self.declared.max_concurrent_calls.is_some_and(|most| self.in_flight >= most.max(1)) {
            refuse(LimitKind::Slots, None);
        }
        if let Some(Err(at)) = self.requests.as_ref().map(|bucket| bucket.ready(1, now)) {
            refuse(LimitKind::Requests, Some(at));
        }
        if let Some(Err(at)) = self.tokens.as_ref().map(|bucket| bucket.ready(cost.tokens, now)) {
            refuse(LimitKind::Tokens, Some(at));
        }
    }

    /// Takes a call in, which [`check`](Self::check) has found to fit; gives how many are in flight now.
    pub(super) fn take(&mut self, cost: Cost, now: Instant) -> u32 {
        self.in_flight = self.in_flight.saturating_add(1);
        if let Some(bucket) = &mut self.requests {
            bucket.charge(1, now);
        }
        if let Some(bucket) = &mut self.tokens {
            bucket.charge(cost.tokens, now);
        }
        self.in_flight
    }

    /// A call has ended.
    pub(super) fn release(&mut self) {
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Gives back what a request would have used that never left.
    pub(super) fn refund(&mut self, cost: Cost) {
        if let Some(bucket) = &mut self.requests {
            bucket.refund(1);
        }
        self.refund_tokens(cost);
    }

    /// Gives back the tokens of a request that was not answered.
    pub(super) fn refund_tokens(&mut self, cost: Cost) {
        if let Some(bucket) = &mut self.tokens {
            bucket.refund(cost.tokens);
        }
    }

    /// Turns a reservation into what was really used.
    pub(super) fn settle(&mut self, reserved: Cost, used: u64, now: Instant) {
        if let Some(bucket) = &mut self.tokens {
            if used < reserved.tokens {
                bucket.refund(reserved.tokens - used);
            } else {
                bucket.charge(used - reserved.tokens, now);
            }
        }
    }

    /// Takes over other limits; what was used stays used.
    pub(super) fn configure(&mut self, declared: DeclaredLimits, now: Instant) {
        fn adapt(bucket: &mut Option<Bucket>, rate: Option<RateLimit>, now: Instant) {
            let wanted = rate.map(|rate| rate.bucket(now));
            match (bucket, wanted) {
                (Some(bucket), Some(wanted)) => bucket.become_like(&wanted, now),
                (bucket, wanted) => *bucket = wanted,
            }
        }
        if self.declared != declared {
            adapt(&mut self.requests, declared.requests, now);
            adapt(&mut self.tokens, declared.tokens, now);
            self.declared = declared;
        }
    }

    /// Fills the buckets. Calls in flight stay counted.
    pub(super) fn reset(&mut self, now: Instant) {
        for bucket in [&mut self.requests, &mut self.tokens].into_iter().flatten() {
            bucket.reset(now);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock;

    fn refusals(limiter: &Limiter, tokens: u64, now: Instant) -> Vec<(LimitKind, Option<Instant>)> {
        let mut found = Vec::new();
        limiter.check(Cost { tokens }, now, |kind, at| found.push((kind, at)));
        found
    }

    #[test]
    fn a_declared_burst_comes_on_top_of_an_even_refill() {
        // The older clients' bucket: capacity 10, one a second.
        let start = clock::now();
        let declared =
            DeclaredLimits { requests: Some(RateLimit::with_burst(60, 10)), ..DeclaredLimits::default() };
        let mut limiter = Limiter::new(declared, start);
        for _ in 0..10 {
            assert_eq!(refusals(&limiter, 0, start), []);
            limiter.take(Cost::default(), start);
        }
        let soon = start + Duration::from_secs(1);
        assert_eq!(refusals(&limiter, 0, start), [(LimitKind::Requests, Some(soon))]);
        limiter.take(Cost::default(), soon);
        let sent = (1..=120).filter(|half| {
            let now = soon + Duration::from_millis(500) * *half;
            refusals(&limiter, 0, now).is_empty() && limiter.take(Cost::default(), now) > 0
        });
        assert_eq!(sent.count(), 60);
    }

    #[test]
    fn other_limits_keep_what_was_used() {
        let start = clock::now();
        let slots = |most| DeclaredLimits { max_concurrent_calls: Some(most), ..DeclaredLimits::default() };
        let mut limiter = Limiter::new(slots(2), start);
        limiter.take(Cost::default(), start);
        limiter.configure(slots(1), start);
        assert_eq!(refusals(&limiter, 0, start), [(LimitKind::Slots, None)]);
        let tokens =
            DeclaredLimits { tokens: Some(RateLimit::with_burst(60, 100)), ..DeclaredLimits::default() };
        limiter.configure(tokens, start);
        limiter.take(Cost { tokens: 100 }, start);
        limiter.configure(
            DeclaredLimits { tokens: Some(RateLimit::with_burst(120, 1000)), ..DeclaredLimits::default() },
            start,
        );
        let at = start + Duration::from_secs(5);
        assert_eq!(refusals(&limiter, 10, start), [(LimitKind::Tokens, Some(at))], "no second burst");
        limiter.settle(Cost { tokens: 100 }, 40, start);
        assert_eq!(refusals(&limiter, 60, start), []);
        limiter.reset(start);
        assert_eq!(refusals(&limiter, 1000, start), []);
    }
}
