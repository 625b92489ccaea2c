//! The number of calls in flight, learned from signs of overload: cut at once, raised slowly, forgotten after a while.

use std::time::Duration;

use crate::clock::Instant;

/// What is left of the calls in flight after a sign of overload.
const CUT: f64 = 0.7;
/// A number that the server was seen to bear exactly is not raised for so long.
const HOLD: Duration = Duration::from_secs(30);
/// A limit rises by one for each round of answers; after this time without a sign by more, as the square of the time.
const QUICKER_AFTER: Duration = Duration::from_secs(60);
/// After so long without a sign, the limit is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(300);
/// A limit that is used to less than this share is not raised: nobody has shown that more would be borne.
const IN_USE: f64 = 0.8;

/// No limit until the first sign of overload.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Adaptive {
    learned: Option<Learned>,
}

#[derive(Clone, Copy, Debug)]
struct Learned {
    limit: f64,
    cut: Instant,
    hold: Duration,
}

impl Adaptive {
    /// Whether one more call fits beside `in_flight`. The first always does.
    pub(super) fn admits(&self, in_flight: u32, now: Instant) -> bool {
        self.limit(now).is_none_or(|limit| f64::from(in_flight) + 1.0 <= limit)
    }

    /// A call sent at `sent` met an overloaded server, with `in_flight` calls on their way, itself included.
    ///
    /// Calls sent before the last cut say nothing about the limit since: a volley that fails together cuts once.
    pub(super) fn cut(&mut self, sent: Instant, in_flight: u32, now: Instant) {
        if self.learned.is_none_or(|learned| sent > learned.cut) {
            self.lower(f64::from(in_flight) * CUT, Duration::ZERO, now);
        }
    }

    /// The server was seen to bear `in_flight` calls and no more.
    pub(super) fn cut_to(&mut self, in_flight: u32, now: Instant) {
        self.lower(f64::from(in_flight), HOLD, now);
    }

    fn lower(&mut self, limit: f64, hold: Duration, now: Instant) {
        let limit = self.limit(now).map_or(limit, |old| old.min(limit)).max(1.0);
        self.learned = Some(Learned { limit, cut: now, hold });
    }

    /// A call was answered, with `in_flight` calls on their way, itself included.
    pub(super) fn succeed(&mut self, in_flight: u32, now: Instant) {
        let Some(learned) = &mut self.learned else { return };
        let quiet = now.saturating_duration_since(learned.cut);
        if quiet > FORGOTTEN_AFTER {
            self.learned = None;
        } else if quiet >= learned.hold && f64::from(in_flight) >= IN_USE * learned.limit.floor() {
            let times = (quiet.as_secs_f64() / QUICKER_AFTER.as_secs_f64()).max(1.0);
            learned.limit += times * times / learned.limit;
        }
    }

    /// The learned limit.
    pub(super) fn limit(&self, now: Instant) -> Option<f64> {
        let learned = self.learned.as_ref()?;
        (now.saturating_duration_since(learned.cut) <= FORGOTTEN_AFTER).then_some(learned.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn nothing_is_limited_before_the_first_sign() {
        assert!(Adaptive::default().admits(u32::MAX - 1, clock::now()));
    }

    #[test]
    fn a_volley_that_fails_together_cuts_once() {
        let start = clock::now();
        let mut lane = Adaptive::default();
        for in_flight in (1..=64).rev() {
            lane.cut(start, in_flight, start + secs(1));
        }
        let limit = lane.limit(start + secs(1)).unwrap();
        assert!((limit - 44.8).abs() < 1e-9, "{limit}");
        assert!(lane.admits(43, start + secs(1)));
        assert!(!lane.admits(44, start + secs(1)));
        // The next sign counts when it comes from a call that was sent since.
        lane.cut(start + secs(2), 40, start + secs(3));
        assert!((lane.limit(start + secs(3)).unwrap() - 28.0).abs() < 1e-9);
    }

    #[test]
    fn a_limit_never_falls_below_one_call() {
        let start = clock::now();
        let mut lane = Adaptive::default();
        for n in 0..20 {
            lane.cut(start + secs(2 * n), 1, start + secs(2 * n + 1));
        }
        assert!(lane.admits(0, start + secs(40)));
        assert!(!lane.admits(1, start + secs(40)));
    }

    /// A round is as many answers as the limit allows at a time, one round a second, all slots in use.
    fn rounds(lane: &mut Adaptive, start: Instant, from: u64, until: u64) {
        for at in from..until {
            let in_flight = (1..).find(|n| !lane.admits(*n, start + secs(at))).unwrap();
            (0..in_flight).for_each(|_| lane.succeed(in_flight, start + secs(at)));
        }
    }

    #[test]
    fn a_limit_rises_by_one_a_round_then_faster_then_is_forgotten() {
        let start = clock::now();
        let mut lane = Adaptive::default();
        lane.cut(start, 20, start);
        rounds(&mut lane, start, 1, 11);
        let limit = lane.limit(start + secs(11)).unwrap();
        assert!((22.5..=24.5).contains(&limit), "{limit}");
        rounds(&mut lane, start, 11, 290);
        assert!(lane.limit(start + secs(290)).unwrap() > 500.0);
        assert_eq!(lane.limit(start + secs(301)), None);
        lane.succeed(1, start + secs(301));
        assert!(lane.learned.is_none());
    }

    #[test]
    fn a_limit_that_is_not_used_or_is_known_exactly_does_not_rise() {
        let start = clock::now();
        let mut lane = Adaptive::default();
        lane.cut(start, 20, start);
        (0..1000).for_each(|_| lane.succeed(5, start + secs(20)));
        assert_eq!(lane.limit(start + secs(20)), Some(14.0));
        lane.cut_to(10, start + secs(20));
        rounds(&mut lane, start, 21, 50);
        assert_eq!(lane.limit(start + secs(50)), Some(10.0));
        rounds(&mut lane, start, 50, 52);
        assert!(lane.limit(start + secs(52)) > Some(11.0));
    }
}
