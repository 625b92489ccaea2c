//! The number of calls in flight, learned from signs of overload: cut at once, raised slowly, forgotten after a while.

use std::time::Duration;

use crate::clock::Instant;

/// What is left of the calls in flight after a sign of overload.
const CUT: f64 = 0.7;
/// After a cut nothing is raised for so long.
const HOLD: Duration = Duration::from_secs(10);
/// After so long without a sign, the limit is raised faster: as much again each time the same span has passed.
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
}

impl Adaptive {
    /// Whether one more call fits beside `in_flight`.
    pub(super) fn admits(&self, in_flight: u32, now: Instant) -> bool {
        self.limit(now).is_none_or(|limit| f64::from(in_flight) + 1.0 <= limit.max(1.0))
    }

    /// A call sent at `sent` met an overloaded server, with `in_flight` calls on their way, itself included.
    ///
    /// Calls sent before the last cut say nothing about the limit since.
    pub(super) fn cut(&mut self, sent: Instant, in_flight: u32, now: Instant) {
        if self.learned.is_none_or(|learned| sent > learned.cut) {
            self.cut_to(f64::from(in_flight) * CUT, now);
        }
    }

    /// The server bears `in_flight` calls and no more.
    pub(super) fn cut_to(&mut self, in_flight: f64, now: Instant) {
        let limit = in_flight.max(1.0);
        let limit = self.limit(now).map_or(limit, |old| old.min(limit));
        self.learned = Some(Learned { limit, cut: now });
    }

    /// A call was answered, with `in_flight` calls on their way, itself included.
    pub(super) fn succeed(&mut self, in_flight: u32, now: Instant) {
        let Some(learned) = &mut self.learned else { return };
        let quiet = now.saturating_duration_since(learned.cut);
        if quiet > FORGOTTEN_AFTER {
            self.learned = None;
        } else if quiet >= HOLD && f64::from(in_flight) >= IN_USE * learned.limit {
            // One more for each round of answers, more the longer it has been quiet.
            let step = (quiet.as_secs_f64() / QUICKER_AFTER.as_secs_f64()).max(1.0);
            learned.limit += step * step / learned.limit;
        }
    }

    /// The learned limit.
    pub(super) fn limit(&self, now: Instant) -> Option<f64> {
        let learned = self.learned.as_ref()?;
        (now.saturating_duration_since(learned.cut) <= FORGOTTEN_AFTER).then_some(learned.limit)
    }
}
