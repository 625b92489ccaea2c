//! Runs for callers that do not await. The work is done by the process's one background thread: see
//! [`llm_client::blocking`] for where it may be called from.

use std::path::{Path, PathBuf};

use futures_util::{Stream, StreamExt as _, stream};
use llm_client::blocking::{Pull, wait};
use llm_types::{ChatRequest, ChatResponse, Error};

use crate::error::BatchError;
use crate::results::BatchResult;
use crate::runner::BatchRunner;
use crate::source::Input;
use crate::stream::ResultStream;
use crate::summary::Summary;

/// Results of a run as an iterator that blocks: see [`ResultStream`] for which come, and in which order.
///
/// Dropping it gives up what is in flight; stored answers stay stored.
#[derive(Debug)]
pub struct BlockingResults {
    /// Gone after the last.
    items: Option<Pull<Item>>,
    summary: Option<Result<Summary, BatchError>>,
}

#[derive(Debug)]
enum Item {
    Result(Box<BatchResult>),
    Summary(Box<Result<Summary, BatchError>>),
}

impl BatchRunner {
    /// [`run`](Self::run) for callers that do not await. Another thread may end it with a
    /// [`Shutdown`](crate::Shutdown).
    ///
    /// # Errors
    /// Those of [`run`](Self::run).
    ///
    /// ```no_run
    /// # fn example(client: std::sync::Arc<dyn llm_client::ModelClient>) -> Result<(), llm_batch::BatchError> {
    /// let summary = llm_batch::BatchRunner::new(client).run_blocking("questions.jsonl", "answers.jsonl")?;
    /// # Ok(()) }
    /// ```
    pub fn run_blocking(
        self,
        input: impl Into<Input>,
        output: impl AsRef<Path>,
    ) -> Result<Summary, BatchError> {
        let (input, output) = (input.into(), output.as_ref().to_owned());
        wait(self.run(input, output)).unwrap_or_else(|error| Err(refused(&error)))
    }

    /// [`stream`](Self::stream) for callers that do not await.
    pub fn stream_blocking(self, input: impl Into<Input>, output: Option<PathBuf>) -> BlockingResults {
        let input = input.into();
        // The run is a task of the runtime it is started on.
        let started = wait(async move { self.stream(input, output) });
        match started.and_then(|results| Pull::new(items(results))) {
            Ok(items) => BlockingResults { items: Some(items), summary: None },
            Err(error) => BlockingResults { items: None, summary: Some(Err(refused(&error))) },
        }
    }

    /// [`collect`](Self::collect) for callers that do not await.
    #[must_use]
    pub fn collect_blocking(self, requests: Vec<ChatRequest>) -> Vec<Result<ChatResponse, Error>> {
        let count = requests.len();
        wait(self.collect(requests)).unwrap_or_else(|error| (0..count).map(|_| Err(error.clone())).collect())
    }
}

/// A place where no blocking call may be made, or a thread that cannot be started.
fn refused(error: &Error) -> BatchError {
    BatchError::Usage(error.to_string())
}

/// The results, and the summary behind them.
fn items(results: ResultStream) -> impl Stream<Item = Item> + Send {
    stream::unfold(Some(results), |results| async {
        let mut results = results?;
        match results.next().await {
            Some(result) => Some((Item::Result(Box::new(result)), Some(results))),
            None => Some((Item::Summary(Box::new(results.summary().await)), None)),
        }
    })
    .boxed()
}

impl BlockingResults {
    /// Reads what is left and gives the run's summary.
    ///
    /// # Errors
    /// [`BatchError`] when the run could not begin.
    pub fn summary(mut self) -> Result<Summary, BatchError> {
        self.by_ref().for_each(drop);
        self.summary.unwrap_or_else(|| Err(BatchError::Internal("the run ended unexpectedly".to_owned())))
    }
}

impl Iterator for BlockingResults {
    type Item = BatchResult;

    fn next(&mut self) -> Option<BatchResult> {
        match self.items.as_mut()?.pull() {
            Ok(Some(Item::Result(result))) => return Some(*result),
            Ok(Some(Item::Summary(summary))) => self.summary = Some(*summary),
            Ok(None) => {}
            Err(error) => self.summary = Some(Err(refused(&error))),
        }
        self.items = None;
        None
    }
}
