//! The pace of sending, learned from refusals (429).
//!
//! A limit of N requests a second on quick answers cannot be met by bounding what is in flight; the sends themselves must
//! be spaced. Nothing is spaced until the first refusal. Then the lane rests (its cool-down), and goes on at a rate just
//! below what the server took while it refused. It holds that rate for a while, creeps upward, then climbs ever faster,
//! until the next refusal or until the rate binds nothing any more. Each refusal costs a whole rest, so where they come at
//! the same rate again and again, it holds longer each time.
//!
//! The figures below are tuned in `simulation`, where goal G7 is asserted over a matrix of servers.

use std::time::Duration;

use crate::clock::{self, Instant};
use crate::lane::timeline::Timeline;

/// Limits are per second or longer: what the server takes is measured over no less …
const LEAST_SPAN: Duration = Duration::from_secs(1);
/// … and over no more.
const MOST_SPAN: Duration = Duration::from_secs(60);
/// The share of the measured rate that is sent.
const BELOW: f64 = 0.97;
/// Where nothing at all was taken, so many a second are tried.
const FIRST_GUESS: f64 = 1.0;
/// No rate is lower: one in ten minutes.
const SLOWEST: f64 = 1.0 / 600.0;

/// A rate is held for so many seconds of sending, …
const HOLD: f64 = 10.0;
/// … twice as long each time a refusal confirms it, up to this, …
const LONGEST_HOLD: f64 = 60.0;
/// … and shorter where it is far below the rate that was refused: it may be too low.
const UNSURE_HOLD: f64 = 3.0;
/// What "confirms" means: the new ceiling is within a tenth of the old one.
const SAME: f64 = 0.1;
/// What "far below" means.
const UNSURE: f64 = 0.85;
/// After the hold the rate creeps up by this share each second …
const CREEP: f64 = 0.01;
/// … or by this, where it may be too low …
const UNSURE_CREEP: f64 = 0.05;
/// … and after so many seconds of creeping by the square of the time as well: the limit must have been raised.
const CLIMB_AFTER: f64 = 5.0;
/// A rate that was raised so many times over and holds nothing back any more is forgotten.
const FORGOTTEN_AT: f64 = 8.0;
/// A rate without any refusal for so long is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(300);

/// A sender that wakes late catches up by so much, so that a coarse timer does not slow a quick lane.
const SLACK: Duration = Duration::from_millis(20);
/// Requests sent together arrive within this time.
const TOGETHER: Duration = Duration::from_millis(40);
const FINE_SLOT: Duration = Duration::from_millis(20);
const FINE_SPAN: Duration = Duration::from_secs(3);

/// The recent sends of a lane, and the rate learned from refusals, if any.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    sends: Sends,
    last_sent: Option<Instant>,
    /// The most calls in flight at which one was answered.
    borne: u32,
    learned: Option<Learned>,
    refusals: Option<Refusals>,
}

/// Sends that were not refused (so far), by their moment: finely for three seconds, coarsely for a minute.
#[derive(Clone, Debug)]
struct Sends {
    fine: Timeline<150>,
    coarse: Timeline<64>,
}

#[derive(Clone, Copy, Debug)]
struct Learned {
    /// What the server takes, per second.
    ceiling: f64,
    hold: f64,
    creep: f64,
    /// Seconds spent sending at this rate.
    busy: f64,
    /// When the next request may be sent.
    next: Instant,
    since: Instant,
    /// What the ceiling was measured by.
    measure: Measure,
}

/// So many requests were taken in the span that ended at a moment.
#[derive(Clone, Copy, Debug)]
struct Measure {
    taken: f64,
    span: Duration,
    end: Instant,
}

/// Refusals that nothing was learned from yet.
#[derive(Clone, Copy, Debug)]
struct Refusals {
    count: u16,
    first_sent: Instant,
    /// The longest that one took to come.
    delay: Duration,
    /// The longest rest that the server asked for.
    asked: Duration,
    /// The fewest calls in flight, itself included, at which one was refused.
    level: u32,
}

impl Sends {
    fn add(&mut self, at: Instant, count: f64) {
        self.fine.add(at, count);
        self.coarse.add(at, count);
    }

    fn sum(&self, end: Instant, span: Duration, now: Instant) -> f64 {
        let remembered = now.saturating_duration_since(end) + span <= FINE_SPAN;
        if remembered { self.fine.sum(end, span) } else { self.coarse.sum(end, span) }
    }
}

impl Measure {
    fn per_sec(&self) -> f64 {
        self.taken / self.span.as_secs_f64()
    }
}

impl Learned {
    fn rate(&self) -> f64 {
        let past = (self.busy - self.hold).max(0.0);
        let climb = (past - CLIMB_AFTER).max(0.0);
        self.ceiling * BELOW * (1.0 + self.creep * past + 0.01 * climb * climb)
    }

    fn is_probing(&self) -> bool {
        self.busy > self.hold
    }
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        let sends = Sends { fine: Timeline::new(FINE_SLOT, now), coarse: Timeline::new(LEAST_SPAN, now) };
        Self { sends, last_sent: None, borne: 0, learned: None, refusals: None }
    }

    /// Whether a request may be sent now.
    ///
    /// # Errors
    /// The moment when it may.
    pub(super) fn check(&self, now: Instant) -> Result<(), Instant> {
        match &self.learned {
            Some(learned) if now < learned.next => Err(learned.next),
            _ => Ok(()),
        }
    }

    /// A request is sent.
    pub(super) fn take(&mut self, now: Instant) {
        self.sends.add(now, 1.0);
        let last_sent = self.last_sent.replace(now);
        let Some(learned) = &mut self.learned else { return };
        let spacing = Duration::from_secs_f64(1.0 / learned.rate());
        let since = last_sent.map_or(spacing, |last| now.saturating_duration_since(last));
        // Only time spent sending at the rate shows that the server bears it.
        learned.busy += since.min(2 * spacing).as_secs_f64();
        let earliest = now.checked_sub(SLACK).unwrap_or(now);
        let unused = now.saturating_duration_since(learned.next) > spacing;
        learned.next = clock::after(learned.next.max(earliest), spacing);
        let quiet = now.saturating_duration_since(learned.since);
        if unused && learned.rate() > FORGOTTEN_AT * learned.ceiling || quiet > FORGOTTEN_AFTER {
            self.learned = None;
        }
    }

    /// A request that was admitted at `sent` never left.
    pub(super) fn take_back(&mut self, sent: Instant) {
        self.sends.add(sent, -1.0);
    }

    /// A request was answered that was sent as one of `level` calls in flight.
    pub(super) fn succeed(&mut self, level: u32) {
        self.borne = self.borne.max(level);
    }

    /// A request sent at `sent`, as one of `level` calls in flight, was refused. The server may have `asked` for a rest.
    pub(super) fn refuse(&mut self, sent: Instant, asked: Option<Duration>, level: u32, now: Instant) {
        self.sends.add(sent, -1.0);
        if let Some(learned) = &mut self.learned
            && sent < learned.since
        {
            learned.correct(sent);
            return;
        }
        let (asked, delay) = (asked.unwrap_or_default(), now.saturating_duration_since(sent));
        let refusals =
            self.refusals.get_or_insert(Refusals { count: 0, first_sent: sent, delay, asked, level });
        refusals.count = refusals.count.saturating_add(1);
        refusals.first_sent = refusals.first_sent.min(sent);
        refusals.delay = refusals.delay.max(delay);
        refusals.asked = refusals.asked.max(asked);
        refusals.level = refusals.level.min(level);
    }

    /// Learns from the refusals since the last time, now that the rest is over and most of what was in flight is decided.
    ///
    /// Gives the number of calls in flight that the server bears, where that explains the refusals: when more were in
    /// flight than any answered call has ever seen. (A first volley proves nothing: it is refused alike by a server that
    /// counts calls and by one that counts seconds.)
    pub(super) fn learn(&mut self, now: Instant) -> Option<u32> {
        let refusals = self.refusals.take()?;
        if now.saturating_duration_since(refusals.first_sent) > FORGOTTEN_AFTER {
            return None;
        }
        let measure = self.measure(&refusals, now)?;
        let old = self.learned;
        let refused = old.map_or(f64::INFINITY, |old| old.rate());
        let ceiling = match old {
            None if measure.taken > 0.0 => measure.per_sec(),
            None => FIRST_GUESS,
            // The old rate was borne as long as it was held; it is what came after that was too much.
            Some(old) if old.is_probing() => measure.per_sec().max(old.ceiling),
            Some(old) => {
                // Of an even pace, up to one request is cut off at the span's edge. A few refusals may be chance, many not.
                let edge = if old.busy > 2.0 { 0.5 } else { 0.0 };
                let taken = (measure.taken + edge) / measure.span.as_secs_f64();
                taken.max(old.rate() * 0.5f64.powi(i32::from(refusals.count)))
            }
        };
        let ceiling = ceiling.min(refused).max(SLOWEST);
        let unsure = measure.taken <= 0.0 || old.is_some() && ceiling < UNSURE * refused;
        let hold = match old {
            Some(old) if (ceiling / old.ceiling - 1.0).abs() <= SAME => {
                (2.0 * old.hold.max(5.0)).min(LONGEST_HOLD)
            }
            _ if unsure => UNSURE_HOLD,
            _ => HOLD,
        };
        let creep = if unsure { UNSURE_CREEP } else { CREEP };
        let next = self.room(ceiling, measure.span, now);
        self.learned = Some(Learned { ceiling, hold, creep, busy: 0.0, next, since: now, measure });
        let crowd = old.is_some() && self.borne > 0 && refusals.level > self.borne;
        if refusals.level <= self.borne {
            // Fewer than ever are borne now, or it is not the number that counts.
            self.borne = refusals.level.max(self.borne - self.borne / 10);
        }
        crowd.then(|| refusals.level.saturating_sub(1))
    }

    /// What the server took while it refused.
    fn measure(&self, refusals: &Refusals, now: Instant) -> Option<Measure> {
        let span = LEAST_SPAN.max(refusals.asked);
        let (span, end) = if self.learned.is_none() {
            // A volley: what came together with the first that was refused, and in the span before.
            (span + TOGETHER, refusals.first_sent + TOGETHER)
        } else {
            // A request that was sent later than a refusal takes to come may still be refused.
            let decided = now.checked_sub(refusals.delay).unwrap_or(now).max(refusals.first_sent);
            let end = self.last_sent?.min(decided);
            (span.max(end.saturating_duration_since(refusals.first_sent)), end)
        };
        let taken = self.sends.sum(end, span.min(MOST_SPAN), now).max(0.0);
        let span = if self.learned.is_none() { span - TOGETHER } else { span };
        Some(Measure { taken, span: span.min(MOST_SPAN), end })
    }

    /// When a server that takes `rate` per second has room again: where it did not say so itself, a volley keeps it busy
    /// until the span it was sent in is over.
    fn room(&self, rate: f64, span: Duration, now: Instant) -> Instant {
        let most = (rate * span.as_secs_f64()).max(1.0);
        let mut at = now;
        while span < FINE_SPAN && at < now + span && self.sends.fine.sum(at, span) + 1.0 > most {
            at += FINE_SLOT;
        }
        at
    }

    /// The learned rate, per second.
    pub(super) fn rate(&self) -> Option<f64> {
        self.learned.as_ref().map(Learned::rate)
    }
}

impl Learned {
    /// A request that was in flight when the lesson was learned, and was counted as taken, has been refused after all.
    fn correct(&mut self, sent: Instant) {
        if sent <= self.measure.end && sent + self.measure.span >= self.measure.end {
            self.measure.taken -= 1.0;
            let measured = self.measure.per_sec().max(0.5 * self.ceiling).max(SLOWEST);
            self.ceiling = self.ceiling.min(measured);
        }
    }
}

#[cfg(test)]
mod tests;
