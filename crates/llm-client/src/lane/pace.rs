//! The pace of sending, learned from refusals (429).
//!
//! A limit of N requests a second on quick answers cannot be met by bounding what is in flight; the sends themselves must
//! be spaced. Nothing is spaced until the first refusal. Then the lane rests (its cool-down), and goes on at a rate just
//! below what the server took while it refused. It holds that rate for a while, then raises it slowly, then ever faster,
//! until the next refusal or until the rate binds nothing any more. Where refusals come at the same rate again and again,
//! it holds longer each time, since each of them costs a whole cool-down.

use std::time::Duration;

use crate::clock::{self, Instant};
use crate::lane::timeline::Timeline;

/// Limits are per second or longer: the server's rate is measured over no less.
const LEAST_SPAN: Duration = Duration::from_secs(1);
/// … and over no more.
const MOST_SPAN: Duration = Duration::from_secs(60);
/// The share of the measured rate that is sent.
const BELOW: f64 = 0.97;
/// Where nothing was taken at all, so many a second are tried.
const FIRST_GUESS: f64 = 1.0;
/// No rate is lower: one in ten minutes.
const SLOWEST: f64 = 1.0 / 600.0;
/// Sending at the rate for so long raises it for the first time …
const HOLD_SECS: f64 = 10.0;
/// … and, where the next refusal comes at much the same rate, for twice as long, up to this.
const LONGEST_HOLD_SECS: f64 = 160.0;
/// Sends after so long are a new beginning.
const SILENCE: Duration = Duration::from_millis(900);
/// "Much the same".
const SAME: f64 = 0.1;
/// A rate raised so many times over binds nothing: it is forgotten.
const FORGOTTEN_AT: f64 = 8.0;
/// A rate without any refusal for so long is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(300);
/// A sender that wakes late catches up by so much, so that a coarse timer does not slow a quick lane.
const SLACK: Duration = Duration::from_millis(20);

/// The recent sends of a lane, and the rate learned from refusals, if any.
#[derive(Clone, Debug)]
pub(super) struct Pace {
    /// Sends that were not refused (so far), by their moment: finely for two seconds, coarsely for a minute.
    fine: Timeline<150>,
    coarse: Timeline<64>,
    last_sent: Option<Instant>,
    /// The first send after a silence.
    began: Option<Instant>,
    learned: Option<Learned>,
    refusals: Option<Refusals>,
}

#[derive(Clone, Copy, Debug)]
struct Learned {
    /// What the server took, per second.
    ceiling: f64,
    hold_secs: f64,
    creep: f64,
    /// How long the lane has sent at this rate.
    busy_secs: f64,
    next: Instant,
    since: Instant,
    span: Duration,
    until: Instant,
    /// The most calls in flight at which one was answered since.
    borne: u32,
}

/// Refusals that nothing was learned from yet.
#[derive(Clone, Copy, Debug)]
struct Refusals {
    count: u16,
    /// The fewest calls in flight, itself included, at which one was refused.
    level: u32,
    first_sent: Instant,
    /// The longest rest that the server asked for.
    asked: Duration,
}

impl Learned {
    fn rate(&self) -> f64 {
        let past = (self.busy_secs - self.hold_secs).max(0.0);
        let far = (past - 5.0).max(0.0);
        self.ceiling * BELOW * (1.0 + self.creep * past + 0.01 * far * far)
    }
}

impl Pace {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            fine: Timeline::new(Duration::from_millis(20), now),
            coarse: Timeline::new(LEAST_SPAN, now),
            last_sent: None,
            began: None,
            learned: None,
            refusals: None,
        }
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
        self.fine.add(now, 1.0);
        self.coarse.add(now, 1.0);
        let last_sent = self.last_sent.replace(now);
        if last_sent.is_none_or(|last| now.saturating_duration_since(last) > SILENCE) {
            self.began = Some(now);
        }
        let Some(learned) = &mut self.learned else { return };
        let spacing = Duration::from_secs_f64(1.0 / learned.rate());
        let since = last_sent.map_or(spacing, |last| now.saturating_duration_since(last));
        // Only time spent sending at the rate shows that the server bears it.
        learned.busy_secs += since.min(2 * spacing).as_secs_f64();
        let earliest = now.checked_sub(SLACK).unwrap_or(now);
        learned.next = clock::after(learned.next.max(earliest), spacing);
        if learned.rate() > FORGOTTEN_AT * learned.ceiling
            || now.saturating_duration_since(learned.since) > FORGOTTEN_AFTER
        {
            self.learned = None;
        }
    }

    /// A request sent at `sent` was answered.
    pub(super) fn succeed(&mut self, sent: Instant, level: u32) {
        if let Some(learned) = &mut self.learned
            && sent >= learned.since
        {
            learned.borne = learned.borne.max(level);
        }
    }

    /// A request that was admitted at `sent` never left.
    pub(super) fn take_back(&mut self, sent: Instant) {
        self.fine.add(sent, -1.0);
        self.coarse.add(sent, -1.0);
    }

    /// A request sent at `sent` was refused, and the server asked for a rest.
    pub(super) fn refuse(&mut self, sent: Instant, asked: Option<Duration>, level: u32) {
        self.take_back(sent);
        if let Some(learned) = &mut self.learned
            && sent <= learned.since
        {
            // It was in flight when the lesson was learned, and was counted as taken.
            if sent + learned.span < learned.until {
                return;
            }
            #[cfg(test)]
            if std::env::var("TRACE").is_ok() {
                println!("   late, ceiling {:.2}", learned.ceiling);
            }
            learned.ceiling =
                (learned.ceiling - 1.0 / learned.span.as_secs_f64()).max(learned.ceiling * 0.5).max(SLOWEST);
            return;
        }
        let asked = asked.unwrap_or_default();
        let refusals = self.refusals.get_or_insert(Refusals { count: 0, level, first_sent: sent, asked });
        refusals.count = refusals.count.saturating_add(1);
        refusals.level = refusals.level.min(level);
        refusals.first_sent = refusals.first_sent.min(sent);
        refusals.asked = refusals.asked.max(asked);
    }

    /// Learns from the refusals since the last time, now that the rest is over and the answers to what was in flight are
    /// in. `None` when there were none.
    pub(super) fn learn(&mut self, now: Instant) -> Option<u32> {
        let refusals = self.refusals.take()?;
        let last_sent = self.last_sent?;
        let refused_for = last_sent.saturating_duration_since(refusals.first_sent);
        let span = LEAST_SPAN.max(refusals.asked).max(refused_for).min(MOST_SPAN);
        let fine = span < 3 * LEAST_SPAN;
        let sum = |until| if fine { self.fine.sum(until, span) } else { self.coarse.sum(until, span) };
        let taken: f64 = sum(last_sent);
        let taken = if self.learned.is_none() { taken.max(sum(refusals.first_sent)) } else { taken };
        let measured = taken / span.as_secs_f64();
        let (before, floor) = match &self.learned {
            // A few refusals may be chance; many are not.
            Some(learned) if learned.busy_secs > learned.hold_secs => (learned.rate(), learned.ceiling),
            Some(learned) => (learned.rate(), learned.rate() * 0.5f64.powi(i32::from(refusals.count))),
            None => (f64::INFINITY, FIRST_GUESS),
        };
        let measured = if self.learned.is_some_and(|l| l.busy_secs <= l.hold_secs) {
            measured + 0.5 / span.as_secs_f64()
        } else {
            measured
        };
        let ceiling = measured.min(before).max(floor).max(SLOWEST);
        let borne = self.learned.as_ref().map_or(0, |learned| learned.borne);
        let crowd = borne > 0 && refusals.level > borne && (taken + 1.0) / span.as_secs_f64() < 0.7 * before;
        let hold_secs = match &self.learned {
            Some(old) if (ceiling / old.ceiling - 1.0).abs() <= SAME => {
                (2.0 * old.hold_secs.max(5.0)).min(LONGEST_HOLD_SECS)
            }
            _ if ceiling < 0.85 * before && before.is_finite() => 3.0,
            _ => HOLD_SECS,
        };
        let creep = if ceiling < 0.85 * before && before.is_finite() { 0.05 } else { 0.01 };
        let mut next = now;
        while fine
            && next < now + span
            && self.fine.sum(next, span) + 1.0 > (ceiling * span.as_secs_f64()).max(1.0)
        {
            next += Duration::from_millis(20);
        }
        #[cfg(test)]
        if std::env::var("TRACE").is_ok() {
            println!(
                "   learn before={before:.2} taken={taken} span={span:?} measured={measured:.2} n={} -> ceiling {ceiling:.2} hold {hold_secs} asked {:?}",
                refusals.count, refusals.asked
            );
        }
        self.learned = Some(Learned {
            ceiling,
            hold_secs,
            creep,
            busy_secs: 0.0,
            next,
            since: now,
            span,
            until: last_sent,
            borne: 0,
        });
        crowd.then(|| refusals.level.saturating_sub(1))
    }

    /// The learned rate, per second.
    pub(super) fn rate(&self) -> Option<f64> {
        self.learned.as_ref().map(Learned::rate)
    }
}
