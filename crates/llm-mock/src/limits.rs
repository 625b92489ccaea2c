//! Who may ask and how often: keys, rates, random errors. Pure: the caller gives the time.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    time::{Duration, Instant},
};

use crate::text::fingerprint;

/// Above this many keys a `per_key` rate counts the rest together, so that a client cannot fill our memory.
const METERS: usize = 1024;

/// About 136 years: the longest time a rate is counted over, short enough to be added to any point in time.
const LONGEST: Duration = Duration::from_secs(u32::MAX as u64);

/// What the server refuses. The default refuses nothing. Changed at run time by
/// [`MockServer::set_limits`](crate::MockServer::set_limits).
///
/// Keys are checked on every path, the rest on `POST` only; a refused request takes no scripted reply.
#[derive(Clone, Default)]
pub struct Limits {
    /// How many requests a second or minute are let through; the others get 429 `rate_limit_exceeded`, or what the
    /// vendor calls it. Gemini says when to come back in the body.
    pub rate: Option<RateLimit>,
    /// How many requests may be in flight; one more gets 429 at once.
    pub max_in_flight: Option<u64>,
    /// Whether a request without a key gets 401.
    pub key_required: bool,
    /// The only keys that are accepted; any, when empty. Others get 401 `invalid_api_key`.
    pub accepted_keys: BTreeSet<String>,
    /// Keys that get 401 `invalid_api_key`.
    pub dead_keys: BTreeSet<String>,
    /// Keys that get 429 `insufficient_quota`.
    pub no_quota_keys: BTreeSet<String>,
    /// The share of requests that get a 500, from 0 to 1.
    pub error_rate: f64,
}

/// Shows how many keys there are, never a key.
impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limits")
            .field("rate", &self.rate)
            .field("max_in_flight", &self.max_in_flight)
            .field("key_required", &self.key_required)
            .field("accepted_keys", &self.accepted_keys.len())
            .field("dead_keys", &self.dead_keys.len())
            .field("no_quota_keys", &self.no_quota_keys.len())
            .field("error_rate", &self.error_rate)
            .finish()
    }
}

/// So many requests in so much time.
#[derive(Clone, Debug, PartialEq)]
pub struct RateLimit {
    requests: u32,
    per: Duration,
    window: bool,
    per_key: bool,
    retry_after: RetryAfter,
}

/// What a rate-limited reply says about when to come back.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub enum RetryAfter {
    /// Nothing.
    Silent,
    /// `retry-after` in whole seconds, rounded up, at least 1.
    #[default]
    Seconds,
    /// `retry-after-ms`, rounded up, beside `retry-after`.
    Millis,
    /// `retry-after` with this text, sensible or not.
    Fixed(String),
}

impl RateLimit {
    /// A token bucket: full at the start, it holds `requests` (at least one) and refills evenly, as many again in
    /// the time `per` (at most 136 years).
    #[must_use]
    pub fn bucket(requests: u32, per: Duration) -> Self {
        Self {
            requests: requests.max(1),
            per: per.min(LONGEST),
            window: false,
            per_key: false,
            retry_after: RetryAfter::default(),
        }
    }

    /// `requests` (at least one) in each window of length `per`; windows follow each other from the first request.
    #[must_use]
    pub fn window(requests: u32, per: Duration) -> Self {
        Self { window: true, ..Self::bucket(requests, per) }
    }

    /// A bucket of so many requests a second, which may be a fraction: 0.5 is one request in two seconds, 2.5 is
    /// three in 1.2 seconds. A rate that is not above zero is taken for one request in about 136 years.
    #[must_use]
    pub fn per_second(rate: f64) -> Self {
        let requests = whole(rate.ceil()).unwrap_or(1);
        let per = Duration::try_from_secs_f64(f64::from(requests) / rate).unwrap_or(LONGEST);
        Self::bucket(requests, per)
    }

    /// Counts each key on its own; requests without a key share one count.
    #[must_use]
    pub fn per_key(mut self) -> Self {
        self.per_key = true;
        self
    }

    /// What the 429 says about when to come back.
    #[must_use]
    pub fn retry_after(mut self, retry_after: RetryAfter) -> Self {
        self.retry_after = retry_after;
        self
    }
}

/// Why a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    NoKey,
    BadKey,
    NoQuota,
    Rate { headers: Vec<(String, String)> },
    Busy,
    Failure,
    KeyInUrl,
}

/// The limits and what they have counted so far.
#[derive(Debug)]
pub(crate) struct Gate {
    pub(crate) limits: Limits,
    meters: HashMap<u64, Meter>,
    random: fastrand::Rng,
}

/// One rate's state. `until` is the end of the window, or the time at which the bucket will be full again.
#[derive(Debug, Clone, Copy)]
struct Meter {
    until: Instant,
    count: u32,
}

impl Gate {
    pub(crate) fn new(limits: Limits, seed: u64) -> Self {
        Self { limits, meters: HashMap::new(), random: fastrand::Rng::with_seed(seed) }
    }

    /// A duration between `low` and `high`, both possible.
    pub(crate) fn between(&mut self, low: Duration, high: Duration) -> Duration {
        match high.checked_sub(low) {
            Some(span) if !span.is_zero() => {
                let share = Duration::try_from_secs_f64(span.as_secs_f64() * self.random.f64());
                low + share.unwrap_or(span).min(span)
            }
            _ => low,
        }
    }

    /// `in_flight` counts the asking request too.
    pub(crate) fn check(
        &mut self,
        post: bool,
        key: Option<&str>,
        in_flight: u64,
        now: Instant,
    ) -> Result<(), Refused> {
        let limits = &self.limits;
        match key {
            None if limits.key_required => return Err(Refused::NoKey),
            None => {}
            Some(key) if limits.dead_keys.contains(key) => return Err(Refused::BadKey),
            Some(key) if !limits.accepted_keys.is_empty() && !limits.accepted_keys.contains(key) => {
                return Err(Refused::BadKey);
            }
            Some(key) if post && limits.no_quota_keys.contains(key) => return Err(Refused::NoQuota),
            Some(_) => {}
        }
        if !post {
            return Ok(());
        }
        if limits.max_in_flight.is_some_and(|most| in_flight > most) {
            return Err(Refused::Busy);
        }
        if let Some(rate) = &limits.rate {
            let mut slot = key.filter(|_| rate.per_key).map_or(0, |key| fingerprint(key.as_bytes()));
            if self.meters.len() >= METERS && !self.meters.contains_key(&slot) {
                slot = 0;
            }
            let meter = self.meters.entry(slot).or_insert(Meter { until: now, count: 0 });
            meter
                .admit(rate, now)
                .map_err(|wait| Refused::Rate { headers: rate.retry_after.headers(wait) })?;
        }
        if limits.error_rate > 0.0 && self.random.f64() < limits.error_rate {
            return Err(Refused::Failure);
        }
        Ok(())
    }
}

impl Meter {
    /// Lets one request through, or says how long until the next one may come.
    fn admit(&mut self, rate: &RateLimit, now: Instant) -> Result<(), Duration> {
        if rate.window {
            if self.count == 0 || now >= self.until {
                *self = Self { until: now + rate.per, count: 0 };
            }
            if self.count >= rate.requests {
                return Err(self.until.saturating_duration_since(now));
            }
            self.count += 1;
            return Ok(());
        }
        // A bucket kept as the time at which it will be full: each request moves that time by one share of `per`,
        // and never further than `per` ahead.
        let full_in = self.until.saturating_duration_since(now) + rate.per / rate.requests;
        match full_in.checked_sub(rate.per) {
            Some(wait) if !wait.is_zero() => Err(wait),
            _ => {
                self.until = now + full_in;
                Ok(())
            }
        }
    }
}

impl RetryAfter {
    fn headers(&self, wait: Duration) -> Vec<(String, String)> {
        let millis = wait.as_nanos().div_ceil(1_000_000);
        let seconds = ("retry-after".to_owned(), millis.div_ceil(1000).max(1).to_string());
        match self {
            Self::Silent => Vec::new(),
            Self::Seconds => vec![seconds],
            Self::Millis => vec![("retry-after-ms".to_owned(), millis.to_string()), seconds],
            Self::Fixed(text) => vec![("retry-after".to_owned(), text.clone())],
        }
    }
}

/// A whole number at least 1 that fits; `None` for anything else.
fn whole(number: f64) -> Option<u32> {
    (1.0..=f64::from(u32::MAX)).contains(&number).then(|| format!("{number:.0}").parse().ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn admitted(rate: RateLimit, at_ms: &[u64]) -> Vec<bool> {
        let (mut gate, start) =
            (Gate::new(Limits { rate: Some(rate), ..Limits::default() }, 0), Instant::now());
        at_ms.iter().map(|ms| gate.check(true, None, 1, start + Duration::from_millis(*ms)).is_ok()).collect()
    }

    #[test]
    fn a_bucket_lets_a_burst_through_and_refills_evenly() {
        let rate = RateLimit::bucket(2, SECOND);
        assert_eq!(
            admitted(rate.clone(), &[0, 0, 0, 499, 500, 500, 1000]),
            [true, true, false, false, true, false, true]
        );
        // A long rest fills it only to its size.
        assert_eq!(admitted(rate, &[0, 9000, 9000, 9000]), [true, true, true, false]);
    }

    #[test]
    fn a_window_counts_from_its_own_start() {
        let rate = RateLimit::window(2, SECOND);
        assert_eq!(
            admitted(rate, &[100, 1000, 1099, 1100, 1101, 1102]),
            [true, true, false, true, true, false]
        );
    }

    #[test]
    fn a_fraction_of_a_request_a_second_is_a_longer_time() {
        assert_eq!(RateLimit::per_second(0.5), RateLimit::bucket(1, 2 * SECOND));
        assert_eq!(RateLimit::per_second(10.0), RateLimit::bucket(10, SECOND));
        assert_eq!(RateLimit::per_second(2.5), RateLimit::bucket(3, Duration::from_millis(1200)));
        for odd in [0.0, -1.0, f64::NAN, f64::INFINITY, 1e300] {
            assert_eq!(RateLimit::per_second(odd).requests, 1, "{odd}");
        }
    }

    #[test]
    fn a_refusal_says_when_to_come_back() {
        let headers = |retry_after: RetryAfter| {
            let rate = RateLimit::bucket(1, Duration::from_millis(1500)).retry_after(retry_after);
            let mut gate = Gate::new(Limits { rate: Some(rate), ..Limits::default() }, 0);
            let now = Instant::now();
            gate.check(true, None, 1, now).unwrap();
            match gate.check(true, None, 1, now + Duration::from_micros(1)) {
                Err(Refused::Rate { headers }) => {
                    headers.into_iter().map(|(n, v)| n + "=" + &v).collect::<Vec<_>>()
                }
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(headers(RetryAfter::Seconds), ["retry-after=2"]);
        assert_eq!(headers(RetryAfter::Millis), ["retry-after-ms=1500", "retry-after=2"]);
        assert_eq!(headers(RetryAfter::Fixed("nan".to_owned())), ["retry-after=nan"]);
        assert!(headers(RetryAfter::Silent).is_empty());
    }

    #[test]
    fn keys_are_told_apart() {
        let limits = Limits {
            key_required: true,
            accepted_keys: ["good", "empty", "dead"].map(str::to_owned).into(),
            dead_keys: ["dead".to_owned()].into(),
            no_quota_keys: ["empty".to_owned()].into(),
            rate: Some(RateLimit::bucket(1, SECOND).per_key()),
            max_in_flight: Some(1),
            ..Limits::default()
        };
        let shown = format!("{limits:?}");
        assert!(!shown.contains("good"), "{shown}");
        let (mut gate, now) = (Gate::new(limits, 0), Instant::now());
        let mut check = |post, key, in_flight| gate.check(post, key, in_flight, now).err();
        assert_eq!(check(true, None, 1), Some(Refused::NoKey));
        assert_eq!(check(true, Some("other"), 1), Some(Refused::BadKey));
        assert_eq!(check(false, Some("dead"), 1), Some(Refused::BadKey));
        assert_eq!(check(true, Some("empty"), 1), Some(Refused::NoQuota));
        assert_eq!(check(false, Some("empty"), 1), None);
        assert_eq!(check(true, Some("good"), 2), Some(Refused::Busy));
        assert_eq!(check(true, Some("good"), 1), None);
        assert!(matches!(check(true, Some("good"), 1), Some(Refused::Rate { .. })));
    }

    #[test]
    fn each_key_has_its_own_rate_within_a_bound() {
        let limits = Limits { rate: Some(RateLimit::bucket(1, SECOND).per_key()), ..Limits::default() };
        let (mut gate, now) = (Gate::new(limits, 0), Instant::now());
        let passed = (0..2000).filter(|n| gate.check(true, Some(&format!("k{n}")), 1, now).is_ok()).count();
        assert_eq!(gate.meters.len(), METERS + 1);
        assert_eq!(passed, METERS + 1);
    }

    #[test]
    fn random_errors_follow_the_seed_and_the_share() {
        let failures = |seed, error_rate| {
            let mut gate = Gate::new(Limits { error_rate, ..Limits::default() }, seed);
            let now = Instant::now();
            (0..1000).map(|_| gate.check(true, None, 1, now).is_err()).collect::<Vec<_>>()
        };
        assert_eq!(failures(7, 0.2), failures(7, 0.2));
        assert_ne!(failures(7, 0.2), failures(8, 0.2));
        let failed = failures(7, 0.2).into_iter().filter(|failed| *failed).count();
        assert!((120..280).contains(&failed), "{failed}");
        assert!(failures(7, 1.0).into_iter().all(|failed| failed));
        assert!(!failures(7, 0.0).contains(&true));
    }
}
