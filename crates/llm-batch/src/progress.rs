//! How far a run is: counters that cost a row a few nanoseconds, read as often as anybody likes; and notices of what
//! happens, for those who want them.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use llm_client::clock::{self, Instant};
use llm_types::Error;
use serde::Serialize;

use crate::summary::Stop;

/// The rate is that of the last so many seconds.
const RECENT: Duration = Duration::from_secs(10);

/// A run's counters. Cheap to clone; every clone shows the same run.
#[derive(Clone, Debug)]
pub struct Progress(pub(crate) Arc<Counters>);

#[derive(Debug)]
pub(crate) struct Counters {
    started: Instant,
    stage: AtomicU8,
    total: AtomicU64,
    pub(crate) success: AtomicU64,
    pub(crate) failed: AtomicU64,
    pub(crate) restored: AtomicU64,
    pub(crate) restored_failed: AtomicU64,
    pub(crate) bad: AtomicU64,
    pub(crate) retried: AtomicU64,
    pub(crate) requeued: AtomicU64,
    pub(crate) in_flight: AtomicU64,
    pub(crate) input_tokens: AtomicU64,
    pub(crate) output_tokens: AtomicU64,
    recent: Mutex<VecDeque<(Instant, u64)>>,
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Files are opened and compared; nothing is sent yet.
    Preparing,
    /// Rows are asked.
    Running,
    /// Nothing is sent until a server can be asked again.
    Paused,
    /// Nothing more is sent; what is in flight comes in.
    Draining,
    /// The output is put in order.
    Finishing,
    /// It is over.
    Finished,
}

const STAGES: [Stage; 6] =
    [Stage::Preparing, Stage::Running, Stage::Paused, Stage::Draining, Stage::Finishing, Stage::Finished];

/// A run at one moment.
#[derive(Clone, Debug, Serialize)]
pub struct Snapshot {
    /// Where it stands.
    pub stage: Stage,
    /// All rows, as soon as they are counted.
    pub total: Option<u64>,
    /// Rows that have their record.
    pub done: u64,
    /// Of those, the answered ones.
    pub success: u64,
    /// Of those, the failed ones.
    pub failed: u64,
    /// Of the done rows, those that an earlier run had stored.
    pub restored: u64,
    /// Rows of this run that had failed in an earlier one.
    pub retried: u64,
    /// How often a row was put back because nothing could take it.
    pub requeued: u64,
    /// Calls that run now.
    pub in_flight: u64,
    /// Tokens read in this run.
    pub input_tokens: u64,
    /// Tokens written in this run.
    pub output_tokens: u64,
    /// Since the run began.
    pub elapsed: Duration,
    /// New rows per second over the last ten seconds.
    pub rows_per_sec: f64,
    /// How long the rest takes at that rate.
    pub eta: Option<Duration>,
}

impl Progress {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Counters {
            started: clock::now(),
            stage: AtomicU8::new(0),
            total: AtomicU64::new(u64::MAX),
            success: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            restored: AtomicU64::new(0),
            restored_failed: AtomicU64::new(0),
            bad: AtomicU64::new(0),
            retried: AtomicU64::new(0),
            requeued: AtomicU64::new(0),
            in_flight: AtomicU64::new(0),
            input_tokens: AtomicU64::new(0),
            output_tokens: AtomicU64::new(0),
            recent: Mutex::default(),
        }))
    }

    /// The run as it stands now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let c = &*self.0;
        let now = clock::now();
        let (success, failed, restored) =
            (c.success.load(Relaxed), c.failed.load(Relaxed), c.restored.load(Relaxed));
        let done = success + failed;
        let total = c.total();
        let rows_per_sec = c.rate(now, done.saturating_sub(restored));
        let left = total.map(|total| total.saturating_sub(done));
        let eta = left
            .filter(|_| rows_per_sec > 0.0)
            .map(|left| Duration::try_from_secs_f64(left as f64 / rows_per_sec).unwrap_or(Duration::MAX));
        Snapshot {
            stage: STAGES.get(usize::from(c.stage.load(Relaxed))).copied().unwrap_or(Stage::Finished),
            total,
            done,
            success,
            failed,
            restored,
            retried: c.retried.load(Relaxed),
            requeued: c.requeued.load(Relaxed),
            in_flight: c.in_flight.load(Relaxed),
            input_tokens: c.input_tokens.load(Relaxed),
            output_tokens: c.output_tokens.load(Relaxed),
            elapsed: now.saturating_duration_since(c.started),
            rows_per_sec,
            eta,
        }
    }
}

impl Counters {
    pub(crate) fn set_stage(&self, stage: Stage) {
        let at = STAGES.iter().position(|known| *known == stage).unwrap_or(0);
        self.stage.store(u8::try_from(at).unwrap_or(0), Relaxed);
    }

    pub(crate) fn set_total(&self, total: u64) {
        self.total.store(total, Relaxed);
    }

    pub(crate) fn total(&self) -> Option<u64> {
        Some(self.total.load(Relaxed)).filter(|total| *total != u64::MAX)
    }

    pub(crate) fn add(counter: &AtomicU64, more: u64) {
        counter.fetch_add(more, Relaxed);
    }

    /// New rows per second since the oldest look of the last seconds.
    fn rate(&self, now: Instant, new: u64) -> f64 {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        // One look a tenth of a second is enough, however often somebody looks.
        if recent.back().is_none_or(|(at, _)| now.saturating_duration_since(*at) >= RECENT / 100) {
            recent.push_back((now, new));
        }
        while recent.len() > 2
            && recent.get(1).is_some_and(|(at, _)| now.saturating_duration_since(*at) > RECENT)
        {
            recent.pop_front();
        }
        let (since, then) = match recent.front() {
            Some((at, then)) if now.saturating_duration_since(*at) > RECENT / 10 => (*at, *then),
            _ => (self.started, 0),
        };
        let secs = now.saturating_duration_since(since).as_secs_f64();
        if secs > 0.0 { new.saturating_sub(then) as f64 / secs } else { 0.0 }
    }
}

/// Something a user may want to hear of while a run goes on.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Notice {
    /// The files are compared, and rows are asked from now on.
    Started {
        /// Rows that an earlier run had stored and this one uses; `None` where that is not known beforehand.
        restored: Option<u64>,
        /// All rows, where they are counted already.
        total: Option<u64>,
    },
    /// The first failure of its kind.
    FirstFailure {
        /// The row's line in the input.
        line: u64,
        /// Its error.
        error: Error,
    },
    /// Nothing is sent for now.
    Paused {
        /// For how long, as far as is known.
        wait: Duration,
        /// Why.
        error: Error,
    },
    /// Rows are sent again.
    Resumed,
    /// The run ends early.
    Stopping(Stop),
    /// Anything else worth a line.
    Warning(String),
}

/// Hears of what happens in a run. Called from the run itself: it must not block.
pub trait Observer: Send + Sync + 'static {
    /// Something happened.
    fn notice(&self, notice: &Notice);
}

impl<F: Fn(&Notice) + Send + Sync + 'static> Observer for F {
    fn notice(&self, notice: &Notice) {
        self(notice);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_rate_is_the_recent_one_and_restored_rows_do_not_count() {
        let progress = Progress::new();
        progress.0.set_total(1000);
        Counters::add(&progress.0.success, 500);
        Counters::add(&progress.0.restored, 500);
        for _ in 0..300 {
            tokio::time::advance(Duration::from_millis(100)).await;
            Counters::add(&progress.0.success, 1);
            let _ = progress.snapshot();
        }
        let snapshot = progress.snapshot();
        assert!((9.9..10.1).contains(&snapshot.rows_per_sec), "{}", snapshot.rows_per_sec);
        assert_eq!((snapshot.done, snapshot.restored, snapshot.total), (800, 500, Some(1000)));
        let eta = snapshot.eta.unwrap();
        assert!((Duration::from_secs(19)..Duration::from_secs(21)).contains(&eta), "{eta:?}");
        assert!(progress.0.recent.lock().unwrap().len() < 110);
        tokio::time::advance(Duration::from_secs(20)).await;
        assert!(progress.snapshot().rows_per_sec < 6.0);
    }
}
