//! The roof: a run from its settings to its summary.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use llm_client::clock::{self, Instant};
use llm_client::settings::Settings;
use llm_client::{Call, ModelClient};
use tokio::sync::{mpsc, oneshot};

use crate::ask::Shared;
use crate::dispatch::{Dispatch, Ended, Setup};
use crate::error::BatchError;
use crate::feed::{FeedEnd, Feeder, Seen};
use crate::finish::{Finish, Finished};
use crate::job::Job;
use crate::journal::{Closed, Disk, Journal};
use crate::judge::Limits;
use crate::prepare::{OnChange, Output, Plan, Prepared};
use crate::progress::{Notice, Observer, Progress, Stage};
use crate::record::SaveInput;
use crate::results::BatchResult;
use crate::shutdown::{Level, Shutdown};
use crate::source::{Input, Source};
use crate::summary::{Stop, StopReason, Summary, Unclaimed};

/// How long an aborted run waits for the disk.
const ABORT_GRACE: Duration = Duration::from_millis(800);

/// One run of a batch: settings first, then [`run`](Self::run), [`stream`](Self::stream) or
/// [`collect`](Self::collect). It needs a tokio runtime with time enabled.
#[must_use = "nothing happens until the run is started"]
pub struct BatchRunner {
    client: Arc<dyn ModelClient>,
    job: Job,
    concurrency: usize,
    strict: bool,
    on_change: OnChange,
    retry_failed: bool,
    limit: Option<u64>,
    unordered: bool,
    save_input: SaveInput,
    max_outage: Duration,
    deadline: Option<Duration>,
    max_retries: u32,
    retry_after_cap: Duration,
    call: Call,
    observer: Option<Arc<dyn Observer>>,
    progress: Progress,
    shutdown: Shutdown,
    /// Puts another disk below the journal.
    #[cfg(test)]
    pub(crate) disk: Option<fn(std::fs::File) -> Arc<dyn Disk>>,
}

impl std::fmt::Debug for BatchRunner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BatchRunner").field("client", &self.client).finish_non_exhaustive()
    }
}

impl BatchRunner {
    /// A run that asks this client. Retries, rate limits and pacing are the client's.
    pub fn new(client: Arc<dyn ModelClient>) -> Self {
        let settings = Settings::default();
        Self {
            client,
            job: Job::default(),
            concurrency: 32,
            strict: false,
            on_change: OnChange::default(),
            retry_failed: false,
            limit: None,
            unordered: false,
            save_input: SaveInput::default(),
            max_outage: Duration::from_secs(15 * 60),
            deadline: None,
            max_retries: settings.max_retries,
            retry_after_cap: settings.retry_after_cap,
            call: Call::default(),
            observer: None,
            progress: Progress::new(),
            shutdown: Shutdown::default(),
            #[cfg(test)]
            disk: None,
        }
    }

    /// What all rows share: system prompt, settings, schema, tools. Default: nothing.
    pub fn job(mut self, job: Job) -> Self {
        self.job = job;
        self
    }

    /// A system prompt for every row that has none of its own.
    pub fn system(mut self, text: impl Into<String>) -> Self {
        self.job.system = Some(text.into());
        self
    }

    /// The most calls in flight. Default: 32. The client's own limits hold below it.
    pub fn concurrency(mut self, calls: usize) -> Self {
        self.concurrency = calls.max(1);
        self
    }

    /// Refuse to begin when any row is bad. Default: a bad row becomes an error record, and the job goes on.
    pub fn strict(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }

    /// What to do when the output was made with other settings or holds other rows. Default: refuse.
    pub fn on_change(mut self, what: OnChange) -> Self {
        self.on_change = what;
        self
    }

    /// Ask rows again that failed for their own reasons. Default: only those whose failure may pass.
    pub fn retry_failed(mut self, retry: bool) -> Self {
        self.retry_failed = retry;
        self
    }

    /// Ask the first rows only. Nothing stored is moved away then.
    pub fn limit(mut self, rows: u64) -> Self {
        self.limit = Some(rows);
        self
    }

    /// Leave the output in the order of completion. Default: sorted by `index` at the end. An output whose rows have
    /// moved, because the input was edited, is sorted all the same.
    pub fn unordered(mut self, unordered: bool) -> Self {
        self.unordered = unordered;
        self
    }

    /// What of the messages stands in the records. Default: all of them.
    pub fn save_input(mut self, save: SaveInput) -> Self {
        self.save_input = save;
        self
    }

    /// How long to wait while nothing is answered. Default: 15 min; when nothing was ever answered in the run, one
    /// row's retries.
    pub fn max_outage(mut self, wait: Duration) -> Self {
        self.max_outage = wait;
        self
    }

    /// When the run ends at the latest, counted from its start. What is left stays for the next run. Default: never.
    pub fn deadline(mut self, after: Duration) -> Self {
        self.deadline = Some(after);
        self
    }

    /// The settings the client was built with, so that the run knows its `max_retries` and `retry_after_cap`. Default:
    /// those of [`Settings::default`].
    pub fn client_settings(mut self, settings: &Settings) -> Self {
        self.max_retries = settings.max_retries;
        self.retry_after_cap = settings.retry_after_cap;
        self
    }

    /// What every call is to carry: headers, tags, `max_retries`, whether to keep raw bodies. A wait of
    /// [`Patient`](llm_client::Wait::Patient) would keep outages from the run.
    pub fn call(mut self, call: Call) -> Self {
        self.max_retries = call.max_retries.unwrap_or(self.max_retries);
        self.call = call;
        self
    }

    /// Who hears of what happens. A closure over [`Notice`] will do.
    pub fn observer(mut self, observer: impl Observer) -> Self {
        self.observer = Some(Arc::new(observer));
        self
    }

    /// Ends this run when that handle says so, beside others it ends.
    pub fn with_shutdown(mut self, shutdown: &Shutdown) -> Self {
        self.shutdown = shutdown.clone();
        self
    }

    /// The handle that ends this run.
    #[must_use]
    pub fn shutdown(&self) -> Shutdown {
        self.shutdown.clone()
    }

    /// The run's counters, to be read while it goes on.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Asks every row of the input that has no answer in the output yet, and stores each answer when it comes. A run
    /// that was interrupted, or killed, goes on where it was.
    ///
    /// Dropping the future gives up what is in flight; stored answers stay stored.
    ///
    /// # Errors
    /// [`BatchError`] when the run could not begin: nothing was sent. A run that began and ended early says so in
    /// [`Summary::stopped`].
    pub async fn run(self, input: impl Into<Input>, output: impl AsRef<Path>) -> Result<Summary, BatchError> {
        self.drive(input.into(), Some(output.as_ref().to_owned()), None).await
    }

    pub(crate) async fn drive(
        self,
        input: Input,
        output: Option<PathBuf>,
        results: Option<mpsc::Sender<BatchResult>>,
    ) -> Result<Summary, BatchError> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(BatchError::Usage("a batch needs a tokio runtime".to_owned()));
        }
        self.job.check()?;
        let job = Arc::new(self.job.clone());
        let run = Run {
            parts: Arc::new(job.parts(self.client.id())),
            started: clock::now(),
            shown: output.clone(),
            limit: self.limit.unwrap_or(u64::MAX),
            job,
            runner: self,
        };
        run.go(input, output, results).await
    }
}

/// A run on its way.
struct Run {
    runner: BatchRunner,
    job: Arc<Job>,
    parts: Arc<crate::parts::Parts>,
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
    async fn go(
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

/// Counts a file's rows beside the run, so that progress can say how many there are.
struct Counting(Arc<AtomicBool>);

impl Counting {
    fn start(source: &Source, total: Option<u64>, limit: u64, progress: &Progress) -> Option<Self> {
        let Source::File { name, .. } = source else {
            if let Some(requests) = source.requests() {
                progress.0.set_total((requests.len() as u64).min(limit));
            }
            return None;
        };
        if total.is_some() {
            return None;
        }
        let over = Arc::new(AtomicBool::new(false));
        let (name, progress, stop) = (name.clone(), progress.clone(), Arc::clone(&over));
        let count = move || {
            let mut source = Source::open(Input::File(name))?;
            let mut rows = crate::rows::Rows::open(&mut source)?;
            while rows.count() < limit && rows.skip()? {
                if rows.count() % 1024 == 0 && stop.load(Relaxed) {
                    return Ok(());
                }
            }
            progress.0.set_total(rows.count());
            Ok::<(), BatchError>(())
        };
        // Only progress needs it: a thread that cannot be had, or a file that is gone, is no matter.
        let thread = std::thread::Builder::new().name("llm-batch-count".into()).spawn(count);
        thread.is_ok().then_some(Self(over))
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Runs file work on a thread of its own: the runtime's threads stay free, and a runtime that ends does not wait for a
/// read that never returns.
async fn on_thread<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, BatchError> {
    let (send, result) = oneshot::channel();
    let thread = std::thread::Builder::new().name(name.into()).spawn(move || {
        let _ = send.send(work());
    });
    thread.map_err(|source| BatchError::Io { action: "start a thread for", path: name.into(), source })?;
    result
        .await
        .map_err(|_| BatchError::Internal(format!("the thread {name} ended unexpectedly; please report it")))
}

#[cfg(test)]
mod tests;
