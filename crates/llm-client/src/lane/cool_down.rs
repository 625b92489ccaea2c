//! Waits that a server asks for, or that we choose where it does not say: back-off, and the cool-down of a lane.

use std::time::Duration;

use crate::Settings;
use crate::clock::{self, Instant};
use crate::lane::scaled;

/// No wait is shorter.
const SHORTEST: Duration = Duration::from_millis(50);
/// A longer `Retry-After` is asked anew after this time: it may have been a mistake, and asking hourly harms nobody.
const LONGEST: Duration = Duration::from_secs(60 * 60);
/// A `Retry-After` is stretched by up to this share, never shortened.
const STRETCH: f64 = 0.1;

/// The back-off before a retry: `backoff_base` doubled each time up to `backoff_cap`, times a factor in [0.5, 1].
///
/// `retry` counts from 0; `random` is in [0, 1). Never under 50 ms.
#[must_use]
pub fn backoff(retry: u32, settings: &Settings, random: f64) -> Duration {
    schedule(retry, settings.backoff_base, settings.backoff_cap, random)
}

fn schedule(retry: u32, base: Duration, cap: Duration, random: f64) -> Duration {
    let doubled = scaled(base, 2f64.powi(i32::try_from(retry).unwrap_or(i32::MAX)));
    scaled(doubled.min(cap), 0.5 + 0.5 * random.clamp(0.0, 1.0)).max(SHORTEST)
}

/// What the cool-down reads from the settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct CoolDownRules {
    pub(super) base: Duration,
    pub(super) cap: Duration,
    pub(super) retry_after_cap: Duration,
}

/// The time in which a lane sends nothing because the server said so.
#[derive(Clone, Debug, Default)]
pub(super) struct CoolDown {
    until: Option<Instant>,
    /// When the latest refusal that was news came: requests sent before are part of the same story.
    since: Option<Instant>,
    in_row: u32,
}

impl CoolDown {
    /// A request that was sent at `sent` was refused. The lane rests for `asked`, or by back-off where the server did not
    /// say; a longer rest replaces a shorter one, never the other way round. Returns the rest that was chosen.
    pub(super) fn refuse(
        &mut self,
        asked: Option<Duration>,
        sent: Instant,
        rules: &CoolDownRules,
        now: Instant,
        random: f64,
    ) -> Duration {
        let news = self.since.is_none_or(|since| sent > since);
        if news {
            self.in_row = self.in_row.saturating_add(1);
            self.since = Some(now);
        }
        let rest = match asked {
            Some(asked) => stretched(asked, rules.retry_after_cap, random),
            // A whole volley is refused at once: that is one refusal, not sixty doublings.
            None if news => schedule(self.in_row.saturating_sub(1), rules.base, rules.cap, random),
            None => return Duration::ZERO,
        };
        self.extend(clock::after(now, rest));
        rest
    }

    /// Rests until then at least.
    pub(super) fn extend(&mut self, until: Instant) {
        self.until = self.until.max(Some(until));
    }

    /// A request sent at `sent` was answered: if that was after the last refusal, the row of refusals ends.
    pub(super) fn succeed(&mut self, sent: Instant) {
        if self.since.is_some_and(|since| sent > since) {
            self.since = None;
            self.in_row = 0;
        }
    }

    /// The end of the rest, while it lasts.
    pub(super) fn until(&self, now: Instant) -> Option<Instant> {
        self.until.filter(|until| *until > now)
    }
}

/// A server's delay, a little longer so that many clients do not come back at the same moment; but one that is within
/// the cap stays so.
pub(super) fn stretched(asked: Duration, retry_after_cap: Duration, random: f64) -> Duration {
    let most = if asked <= retry_after_cap { retry_after_cap } else { Duration::MAX };
    scaled(asked, 1.0 + STRETCH * random.clamp(0.0, 1.0)).min(most).clamp(SHORTEST, LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: CoolDownRules = CoolDownRules {
        base: Duration::from_secs(1),
        cap: Duration::from_secs(60),
        retry_after_cap: Duration::from_secs(60),
    };

    #[test]
    fn back_off_follows_the_schedule() {
        let settings = Settings::default();
        for (retry, shortest, longest) in [
            (0, 0.5, 1.0),
            (1, 1.0, 2.0),
            (2, 2.0, 4.0),
            (3, 4.0, 8.0),
            (4, 8.0, 16.0),
            (5, 16.0, 32.0),
            (6, 30.0, 60.0),
            (1000, 30.0, 60.0),
            (u32::MAX, 30.0, 60.0),
        ] {
            assert_eq!(backoff(retry, &settings, 0.0).as_secs_f64(), shortest, "retry {retry}");
            assert_eq!(backoff(retry, &settings, 1.0).as_secs_f64(), longest, "retry {retry}");
        }
        let none = Settings { backoff_base: Duration::ZERO, ..settings.clone() };
        assert_eq!(backoff(3, &none, 0.5), SHORTEST);
        let endless = Settings { backoff_base: Duration::MAX, backoff_cap: Duration::MAX, ..settings };
        assert!(backoff(u32::MAX, &endless, 1.0) >= Duration::from_secs(u64::MAX / 4));
    }

    #[test]
    fn refusals_in_a_row_double_the_rest_and_a_success_ends_the_row() {
        let start = clock::now();
        let mut lane = CoolDown::default();
        let mut now = start;
        for rest in [1, 2, 4, 8, 16, 32, 60, 60] {
            let chosen = lane.refuse(None, now, &RULES, now, 1.0);
            assert_eq!(chosen, Duration::from_secs(rest));
            assert_eq!(lane.until(now), Some(now + chosen));
            now += chosen;
            assert_eq!(lane.until(now), None, "over at its very end");
        }
        lane.succeed(now);
        assert_eq!(lane.refuse(None, now, &RULES, now, 1.0), Duration::from_secs(1));
    }

    #[test]
    fn a_volley_is_one_refusal() {
        let start = clock::now();
        let mut lane = CoolDown::default();
        for n in 0..64 {
            lane.refuse(None, start, &RULES, start + Duration::from_millis(n + 1), 1.0);
        }
        let later = start + Duration::from_millis(70);
        assert_eq!(lane.until(later), Some(start + Duration::from_millis(1001)));
        // One of the same volley that was answered does not end the row.
        lane.succeed(start);
        let next = start + Duration::from_secs(2);
        assert_eq!(lane.refuse(None, next, &RULES, next, 1.0), Duration::from_secs(2));
    }

    #[test]
    fn a_longer_wait_extends_and_a_shorter_never_shortens() {
        let start = clock::now();
        let secs = Duration::from_secs;
        let mut lane = CoolDown::default();
        lane.refuse(Some(secs(10)), start, &RULES, start, 0.0);
        lane.refuse(Some(secs(2)), start, &RULES, start + secs(1), 0.0);
        assert_eq!(lane.until(start + secs(1)), Some(start + secs(10)));
        lane.refuse(Some(secs(30)), start, &RULES, start + secs(2), 0.0);
        assert_eq!(lane.until(start + secs(2)), Some(start + secs(32)));
    }

    #[test]
    fn a_servers_delay_is_stretched_upwards_only() {
        for (asked, random, chosen) in [
            (10.0, 0.0, 10.0),
            (10.0, 1.0, 11.0),
            // Within the cap it stays within the cap.
            (58.0, 1.0, 60.0),
            (60.0, 1.0, 60.0),
            (100.0, 1.0, 110.0),
            // "At once" still leaves a breath; beyond reason is asked anew after an hour.
            (0.0, 1.0, 0.05),
            (1e6, 0.5, 3600.0),
        ] {
            let rest = stretched(Duration::from_secs_f64(asked), RULES.retry_after_cap, random);
            assert_eq!(rest.as_secs_f64(), chosen, "{asked} s");
        }
    }
}
