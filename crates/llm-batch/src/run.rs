//! One run on its way, from its files to its summary.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use llm_client::clock::{self, Instant};
use tokio::sync::mpsc;

use crate::ask::Shared;
use crate::background::{Counting, on_thread};
use crate::dispatch::{Dispatch, Ended, Setup};
use crate::error::BatchError;
use crate::feed::{FeedEnd, Feeder, Seen};
use crate::finish::{Finish, Finished};
use crate::job::Job;
use crate::journal::{Closed, Disk, Journal};
use crate::judge::Limits;
use crate::parts::Parts;
use crate::prepare::{Output, Plan, Prepared};
use crate::progress::{Notice, Stage};
use crate::results::BatchResult;
use crate::runner::BatchRunner;
use crate::shutdown::Level;
use crate::source::Input;
use crate::summary::{Stop, StopReason, Summary, Unclaimed};

/// How long an aborted run waits for the disk.
const ABORT_GRACE: Duration = Duration::from_millis(800);

/// A run on its way.
pub(crate) struct Run {
    runner: BatchRunner,
    job: Arc<Job>,
    parts: Arc<Parts>,
    started: Instant,
    shown: Option<PathBuf>,
    limit: u64,
}

/// What the summary is made of.
#[derive(Default)]
struct Facts {
    ended: Option<Ended>,
    stop: Option<Stop>,
    seen: Seen,
    finished: Finished,
    warnings: Vec<String>,
    side: Option<PathBuf>,
}

impl Run {
    pub(crate) fn new(runner: BatchRunner, shown: Option<PathBuf>) -> Self {
        let job = Arc::new(runner.job.clone());
        Self {
            parts: Arc::new(job.parts(runner.client.id())),
            started: clock::now(),
            shown,
            limit: runner.limit.unwrap_or(u64::MAX),
            job,
            runner,
        }
    }

    pub(crate) async fn go(
        self,
        input: Input,
        output: Option<PathBuf>,
        results: Option<mpsc::Sender<BatchResult>>,
    ) -> Result<Summary, BatchError> {
        let Some(prepared) = self.prepare(input, output).await? else {
            let stop = self.interrupted();
            return Ok(self.summary(Facts { stop: Some(stop), ..Facts::default() }));
        };
        let Prepared { source, output, resume, total, restored, warnings } = prepared;
        let counters = Arc::clone(&self.runner.progress.0);
        if let Some(total) = total {
            counters.set_total(total);
        }
        counters.set_stage(Stage::Running);
        self.tell(&Notice::Started { restored, total });
        warnings.iter().for_each(|text| self.tell(&Notice::Warning(text.clone())));

        let counting = Counting::start(&source, total, self.limit, &self.runner.progress);
        let is_seekable = source.is_seekable();
        let (journal, stored) = self.open_journal(output)?;
        let (output, side) = stored.as_ref().map_or((None, None), |stored| {
            (stored.output.as_ref().and_then(|file| file.try_clone().ok()), stored.side.as_ref())
        });
        let side = side.and_then(|file| file.try_clone().ok());
        let feed = Feeder {
            source,
            resume,
            job: Arc::clone(&self.job),
            parts: Arc::clone(&self.parts),
            save: self.runner.save_input,
            limit: self.limit,
            counters: Arc::clone(&counters),
            output,
            side,
            records: journal.is_some(),
            results: results.is_some(),
        };
        let feed = feed.start()?;
        let setup = Setup {
            shared: self.shared(journal.is_some(), results.is_some()),
            limits: self.limits(),
            rows: feed.rows,
            report_unread: is_seekable,
            journal,
            results,
            counters: Arc::clone(&counters),
            observer: self.runner.observer.clone(),
            shutdown: self.runner.shutdown.watch(),
        };
        let mut ended = Box::pin(Dispatch::new(setup).run()).await;
        drop(counting);

        let mut facts = Facts { stop: ended.stop.take(), warnings, ..Facts::default() };
        counters.set_stage(Stage::Finishing);
        let closed = self.close(ended.journal.take(), &mut facts).await;
        facts.ended = Some(ended);
        // The thread may be stuck in a read of a pipe; only of a run that went to its end is it known to be over.
        let end = if facts.stop.is_none() { feed.end.await.ok() } else { None };
        facts.seen = feed.seen.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
        match (end, closed, stored) {
            (Some(FeedEnd { failed: Some(error), .. }), ..) => {
                facts.stop = Some(Stop::new(StopReason::Input, error.chain()));
            }
            (Some(end), Some(closed), Some(stored)) => self.finish(end, &closed, stored, &mut facts).await?,
            (None, ..) if facts.stop.is_none() => {
                facts.stop = Some(Stop::new(StopReason::Input, "the reading thread ended unexpectedly"));
            }
            (_, Some(closed), _) => facts.finished.is_sorted = closed.is_ascending,
            _ => {}
        }
        Ok(self.summary(facts))
    }

    /// Looks at the files on a thread of its own. `None` when an end was asked for meanwhile.
    async fn prepare(&self, input: Input, output: Option<PathBuf>) -> Result<Option<Prepared>, BatchError> {
        let plan = Plan {
            job: Arc::clone(&self.job),
            parts: Arc::clone(&self.parts),
            strict: self.runner.strict,
            on_change: self.runner.on_change,
            retry_failed: self.runner.retry_failed,
            limit: self.limit,
        };
        let shutdown = self.runner.shutdown.clone();
        let stop = shutdown.clone();
        let prepare =
            on_thread("llm-batch-prepare", move || plan.prepare(input, output, &|| stop.is_requested()));
        tokio::select! {
            biased;
            _ = shutdown.beyond(Level::Run) => Ok(None),
            prepared = prepare => prepared?.map(Some),
        }
    }

    fn interrupted(&self) -> Stop {
        match self.runner.shutdown.level() {
            Level::Abort => Stop::new(StopReason::Aborted, "the run was aborted before anything was sent"),
            _ => Stop::new(StopReason::Drained, "the run was interrupted before anything was sent"),
        }
    }

    fn open_journal(&self, output: Option<Output>) -> Result<(Option<Journal>, Option<Stored>), BatchError> {
        let Some(output) = output else { return Ok((None, None)) };
        let Output { target, lock, file, stored, side, len, is_clean, order } = output;
        let disk: Arc<dyn Disk> = self.disk(file);
        let journal = Journal::start(disk, target.path(), len, order, Arc::clone(&lock))?;
        Ok((Some(journal), Some(Stored { target, lock, output: stored, side, len, is_clean })))
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "tests put another disk there")]
    fn disk(&self, file: std::fs::File) -> Arc<dyn Disk> {
        Arc::new(file)
    }

    #[cfg(test)]
    fn disk(&self, file: std::fs::File) -> Arc<dyn Disk> {
        match self.runner.disk {
            Some(disk) => disk(file),
            None => Arc::new(file),
        }
    }

    fn shared(&self, records: bool, results: bool) -> Arc<Shared> {
        Arc::new(Shared {
            client: Arc::clone(&self.runner.client),
            parts: Arc::clone(&self.parts),
            save: self.runner.save_input,
            call: self.runner.call.clone(),
            max_retries: self.runner.max_retries,
            deadline: self.runner.deadline.map(|after| clock::after(self.started, after)),
            records,
            results,
        })
    }

    fn limits(&self) -> Limits {
        Limits {
            max_retries: self.runner.max_retries,
            retry_after_cap: self.runner.retry_after_cap,
            max_outage: self.runner.max_outage,
            concurrency: self.runner.concurrency,
        }
    }

    /// Waits until all that was handed over is on the disk; an aborted run does not wait long.
    async fn close(&self, journal: Option<Journal>, facts: &mut Facts) -> Option<Closed> {
        let closing = journal?.close();
        let aborted = facts.stop.as_ref().is_some_and(|stop| stop.reason == StopReason::Aborted);
        let closed =
            if aborted { tokio::time::timeout(ABORT_GRACE, closing).await.ok()? } else { closing.await };
        if let Some(error) = &closed.failed
            && facts.stop.is_none()
        {
            facts.stop = Some(Stop::new(StopReason::Output, error.chain()));
        }
        Some(closed)
    }

    /// Puts the output in order after a clean end.
    async fn finish(
        &self,
        end: FeedEnd,
        closed: &Closed,
        stored: Stored,
        facts: &mut Facts,
    ) -> Result<(), BatchError> {
        if facts.stop.is_some() {
            return Ok(());
        }
        let (new_records, is_ascending) = (closed.written, closed.is_ascending);
        let (unordered, limited) = (self.runner.unordered, self.limit != u64::MAX);
        let job = Arc::clone(&self.job);
        facts.side = Some(stored.target.unclaimed());
        let finish = move || {
            let Stored { target, lock, len, is_clean, .. } = stored;
            let FeedEnd { mut source, resume, .. } = end;
            let finish = Finish {
                target: &target,
                resume,
                new_from: len,
                new_records,
                is_ascending,
                is_clean,
                unordered,
                limited,
                source: &mut source,
                job: &job,
            };
            let finished = finish.run();
            drop(lock);
            finished
        };
        // A thread that is left alone here is no harm: what it writes takes its place in one step, or not at all.
        facts.finished = tokio::select! {
            finished = on_thread("llm-batch-finish", finish) => finished?,
            _ = self.runner.shutdown.beyond(Level::Drain) => {
                Finished { warnings: vec!["the output was left as it is: the run was aborted".to_owned()], ..Finished::default() }
            }
        };
        facts.warnings.extend(facts.finished.warnings.iter().cloned());
        facts.finished.warnings.iter().for_each(|text| self.tell(&Notice::Warning(text.clone())));
        Ok(())
    }

    fn summary(&self, facts: Facts) -> Summary {
        let Facts { ended, stop, seen, finished, mut warnings, side } = facts;
        let tally = ended.map(|ended| ended.tally).unwrap_or_default();
        let counters = &*self.runner.progress.0;
        let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Relaxed);
        let (success, failed) = (count(&counters.success), count(&counters.failed));
        let restored = count(&counters.restored);
        let new = (success + failed).saturating_sub(restored);
        let total = counters.total();
        let elapsed = clock::now().saturating_duration_since(self.started);
        if let Some((model, line)) = &seen.first_model {
            let own = self.job.model.as_deref().unwrap_or(self.runner.client.id());
            let text = format!(
                "{} rows name a model of their own (`{model}` on line {line}); {own} answers them",
                seen.other_models
            );
            warnings.push(text);
        }
        let mut errors = tally.errors;
        errors.sort_by_key(|error| std::cmp::Reverse(error.count));
        counters.set_stage(Stage::Finished);
        Summary {
            v: 1,
            model: self.job.model.clone().unwrap_or_else(|| self.runner.client.id().to_owned()),
            output: self.shown.clone(),
            total,
            success,
            failed,
            restored,
            restored_failed: count(&counters.restored_failed),
            new,
            retried: count(&counters.retried),
            requeued: count(&counters.requeued),
            unrun: total.map(|total| total.saturating_sub(success + failed)),
            bad_rows: count(&counters.bad),
            blank_lines: seen.blank,
            formats: seen.formats,
            errors,
            usage: tally.usage,
            spending: None,
            attempts: tally.attempts,
            elapsed,
            rows_per_sec: if elapsed.is_zero() { 0.0 } else { new as f64 / elapsed.as_secs_f64() },
            latency_ms: tally.latency.percentiles(),
            sorted: finished.is_sorted,
            unclaimed: side
                .filter(|_| finished.unclaimed > 0)
                .map(|file| Unclaimed { file, added: finished.unclaimed }),
            warnings,
            stopped: stop,
        }
    }

    fn tell(&self, notice: &Notice) {
        if let Some(observer) = &self.runner.observer {
            observer.notice(notice);
        }
    }
}

/// The output's files while the journal has the output itself.
struct Stored {
    target: crate::lock::Target,
    lock: Arc<crate::lock::Lock>,
    output: Option<std::fs::File>,
    side: Option<std::fs::File>,
    len: u64,
    is_clean: bool,
}
