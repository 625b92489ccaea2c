//! What a server says about waiting, in the heads of its answers. Junk is ignored; nothing here can overflow.

use std::time::{Duration, SystemTime};

use http::HeaderMap;

/// A delay beyond this is a mistake, or a date in another unit.
const LONGEST_SECS: f64 = 366.0 * 24.0 * 3600.0;

/// How long the server asks to wait: `retry-after-ms` (milliseconds, fractions allowed), else `Retry-After` (seconds,
/// fractions allowed, or an HTTP date).
///
/// 0 means "at once". What is negative, no number, in the past or more than a year away is ignored.
#[must_use]
pub fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let millis = text(headers, "retry-after-ms").and_then(|text| number(text, 0.001));
    millis.or_else(|| {
        let text = text(headers, "retry-after")?;
        number(text, 1.0).or_else(|| {
            let wait = httpdate::parse_http_date(text).ok()?.duration_since(now).ok()?;
            (wait.as_secs_f64() <= LONGEST_SECS).then_some(wait)
        })
    })
}

/// The server's own word on retrying: `x-should-retry: true` or `false`.
#[must_use]
pub fn should_retry(headers: &HeaderMap) -> Option<bool> {
    match text(headers, "x-should-retry")? {
        word if word.eq_ignore_ascii_case("true") => Some(true),
        word if word.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// Reads `1h2m3.5s`: decimal numbers with units d, h, m, s, ms, us (µs), ns, added up. A bare number is in seconds.
#[must_use]
pub fn compact_duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim();
    if let Some(bare) = number(rest, 1.0) {
        return Some(bare);
    }
    let mut total = 0.0;
    while !rest.is_empty() {
        let (digits, after) = rest.split_at_checked(rest.find(|c: char| !c.is_ascii_digit() && c != '.')?)?;
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, next) = after.split_at_checked(end)?;
        let secs = match unit {
            "d" => 86_400.0,
            "h" => 3600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        total += number(digits, secs)?.as_secs_f64();
        rest = next;
    }
    (!text.trim().is_empty()).then_some(())?;
    in_bounds(total)
}

/// One limit as the server states it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limit {
    /// The most in its window.
    pub limit: Option<u64>,
    /// What is left.
    pub remaining: Option<u64>,
    /// How long until it is whole again.
    pub reset: Option<Duration>,
}

/// The limits that stand in an answer's head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// In requests.
    pub requests: Limit,
    /// In tokens.
    pub tokens: Limit,
}

impl Limits {
    /// Reads `x-ratelimit-{limit,remaining,reset}-{requests,tokens}`.
    #[must_use]
    pub fn read(headers: &HeaderMap) -> Self {
        // Most answers have none, and looking for six is dearer than looking at all.
        if !headers.keys().any(|name| name.as_str().starts_with("x-ratelimit-")) {
            return Self::default();
        }
        let count = |name| text(headers, name)?.parse().ok();
        let reset = |name| compact_duration(text(headers, name)?);
        Self {
            requests: Limit {
                limit: count("x-ratelimit-limit-requests"),
                remaining: count("x-ratelimit-remaining-requests"),
                reset: reset("x-ratelimit-reset-requests"),
            },
            tokens: Limit {
                limit: count("x-ratelimit-limit-tokens"),
                remaining: count("x-ratelimit-remaining-tokens"),
                reset: reset("x-ratelimit-reset-tokens"),
            },
        }
    }

    /// How long nothing is left, if so: the longer of the resets of those limits that are used up.
    #[must_use]
    pub fn exhausted_for(&self) -> Option<Duration> {
        let used_up = [self.requests, self.tokens].into_iter().filter(|limit| limit.remaining == Some(0));
        used_up.filter_map(|limit| limit.reset).max()
    }
}

fn text<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// A decimal number times a unit in seconds.
fn number(text: &str, unit: f64) -> Option<Duration> {
    // `inf`, `nan` and exponents are numbers for Rust, not for HTTP.
    if !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return None;
    }
    in_bounds(text.parse::<f64>().ok()? * unit)
}

fn in_bounds(secs: f64) -> Option<Duration> {
    (0.0..=LONGEST_SECS).contains(&secs).then(|| Duration::try_from_secs_f64(secs).ok())?
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;

    /// 1994-11-06 08:49:37, the example of RFC 9110.
    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777)
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &str)| {
            (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap())
        };
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn a_retry_after_is_read_or_ignored() {
        let secs = |secs: f64| Some(Duration::from_secs_f64(secs));
        for (value, wanted) in [
            ("1", secs(1.0)),
            (" 20 ", secs(20.0)),
            ("1.5", secs(1.5)),
            ("45.837906927", secs(45.837_906_927)),
            ("0", secs(0.0)),
            ("409600", secs(409_600.0)),
            ("31622400", secs(31_622_400.0)),
            ("31622401", None),
            ("10000000000", None),
            ("99999999999999999999999999999999999", None),
            ("100000000000000000000000000000000000", None),
            ("1e5", None),
            ("-1", None),
            ("-10", None),
            ("inf", None),
            ("nan", None),
            ("NaN", None),
            ("infinity", None),
            ("", None),
            (".", None),
            ("1.2.3", None),
            ("soon", None),
            ("1s", None),
            ("0x10", None),
            ("1,5", None),
            ("\u{fffd}", None),
            // Dates: RFC 9110's three forms, the past, and what is no date.
            ("Sun, 06 Nov 1994 08:50:37 GMT", secs(60.0)),
            ("Sunday, 06-Nov-94 08:50:37 GMT", secs(60.0)),
            ("Sun Nov  6 08:50:37 1994", secs(60.0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", secs(0.0)),
            ("Sun, 06 Nov 1994 08:49:36 GMT", None),
            ("Thu, 01 Jan 1970 00:00:00 GMT", None),
            ("Sun, 31 Feb 1995 00:00:00 GMT", None),
            ("Sun, 06 Nov 1994 25:61:61 GMT", None),
            ("Fri, 31 Dec 9999 23:59:59 GMT", None),
            ("Sat, 01 Jan 100000 00:00:00 GMT", None),
        ] {
            assert_eq!(retry_after(&headers(&[("retry-after", value)]), now()), wanted, "{value:?}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now()), None);
    }

    #[test]
    fn milliseconds_come_first_and_junk_falls_through() {
        for (ms, secs, wanted) in [
            ("1500", "9", Some(1500)),
            ("250.5", "9", Some(250)),
            ("0", "9", Some(0)),
            ("-1", "9", Some(9000)),
            ("nan", "9", Some(9000)),
            ("1e400", "9", Some(9000)),
            ("soon", "later", None),
        ] {
            let found = retry_after(&headers(&[("retry-after-ms", ms), ("retry-after", secs)]), now());
            assert_eq!(found.map(|wait| wait.as_millis()), wanted, "{ms} {secs}");
        }
    }

    #[test]
    fn the_servers_word_on_retrying_is_true_or_false() {
        for (value, wanted) in [("true", Some(true)), ("False", Some(false)), ("yes", None), ("", None)] {
            assert_eq!(should_retry(&headers(&[("x-should-retry", value)])), wanted);
        }
        assert_eq!(should_retry(&HeaderMap::new()), None);
    }

    #[test]
    fn compact_durations_add_up() {
        for (text, wanted) in [
            ("17ms", Some(0.017)),
            ("1s", Some(1.0)),
            ("6m0s", Some(360.0)),
            ("1h2m3.5s", Some(3723.5)),
            ("1d", Some(86_400.0)),
            ("250us", Some(0.000_25)),
            ("250µs", Some(0.000_25)),
            ("5ns", Some(5e-9)),
            ("12", Some(12.0)),
            ("0.5", Some(0.5)),
            ("0s", Some(0.0)),
            ("", None),
            (" ", None),
            ("s", None),
            ("1x", None),
            ("1m2", None),
            ("1.2.3s", None),
            ("-1s", None),
            ("1 s", None),
            ("1e3s", None),
            ("9999999999h", None),
            ("1700000000", None),
        ] {
            assert_eq!(compact_duration(text), wanted.map(Duration::from_secs_f64), "{text:?}");
        }
    }

    #[test]
    fn limits_are_read_and_say_how_long_nothing_is_left() {
        let limits = Limits::read(&headers(&[
            ("x-ratelimit-limit-requests", "500"),
            ("x-ratelimit-remaining-requests", "0"),
            ("x-ratelimit-reset-requests", "120ms"),
            ("x-ratelimit-limit-tokens", "many"),
            ("x-ratelimit-remaining-tokens", "-3"),
            ("x-ratelimit-reset-tokens", "6m0s"),
        ]));
        let millis = |ms| Some(Duration::from_millis(ms));
        assert_eq!(limits.requests, Limit { limit: Some(500), remaining: Some(0), reset: millis(120) });
        assert_eq!(limits.tokens, Limit { limit: None, remaining: None, reset: millis(360_000) });
        assert_eq!(limits.exhausted_for(), millis(120));
        let both = Limits { tokens: Limit { remaining: Some(0), ..limits.tokens }, ..limits };
        assert_eq!(both.exhausted_for(), millis(360_000));
        let some = Limits { requests: Limit { remaining: Some(1), ..limits.requests }, ..limits };
        assert_eq!(some.exhausted_for(), None);
        assert_eq!(Limits::read(&HeaderMap::new()), Limits::default());
    }

    proptest! {
        #[test]
        fn nothing_makes_the_readers_panic(text in "[0-9.hmsdun µ-]{0,24}|\\PC{0,24}") {
            let _ = compact_duration(&text);
            if let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) {
                let mut map = HeaderMap::new();
                for name in ["retry-after", "retry-after-ms", "x-ratelimit-reset-tokens"] {
                    map.insert(HeaderName::from_static(name), value.clone());
                }
                let wait = retry_after(&map, now());
                prop_assert!(wait.is_none_or(|wait| wait.as_secs_f64() <= LONGEST_SECS));
                let _ = Limits::read(&map);
            }
        }
    }
}
