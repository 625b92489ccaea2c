//! The roof: what a run is told before it begins.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use llm_client::settings::Settings;
use llm_client::{Call, ModelClient};
use tokio::sync::mpsc;

use crate::error::BatchError;
use crate::job::Job;
use crate::prepare::OnChange;
use crate::progress::{Observer, Progress};
use crate::record::SaveInput;
use crate::results::BatchResult;
use crate::run::Run;
use crate::shutdown::Shutdown;
use crate::source::Input;
use crate::summary::Summary;

/// One run of a batch: settings first, then [`run`](Self::run), [`stream`](Self::stream) or
/// [`collect`](Self::collect). It needs a tokio runtime with time enabled.
#[must_use = "nothing happens until the run is started"]
pub struct BatchRunner {
    pub(crate) client: Arc<dyn ModelClient>,
    pub(crate) job: Job,
    pub(crate) concurrency: usize,
    pub(crate) strict: bool,
    pub(crate) on_change: OnChange,
    pub(crate) retry_failed: bool,
    pub(crate) limit: Option<u64>,
    pub(crate) unordered: bool,
    pub(crate) save_input: SaveInput,
    pub(crate) max_outage: Duration,
    pub(crate) deadline: Option<Duration>,
    pub(crate) max_retries: u32,
    pub(crate) retry_after_cap: Duration,
    pub(crate) call: Call,
    pub(crate) observer: Option<Arc<dyn Observer>>,
    pub(crate) progress: Progress,
    pub(crate) shutdown: Shutdown,
    /// Puts another disk below the journal.
    #[cfg(test)]
    pub(crate) disk: Option<fn(std::fs::File) -> Arc<dyn crate::journal::Disk>>,
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

    /// Who hears of what happens. A closure over [`Notice`](crate::Notice) will do.
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
        Run::new(self, output.clone()).go(input, output, results).await
    }
}

#[cfg(test)]
mod tests;
