//! Results as values: one by one as they come, in groups, or all at once in the order of the rows.

use std::path::PathBuf;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use llm_types::{ChatRequest, ChatResponse, Error, ErrorKind};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::error::BatchError;
use crate::record::Status;
use crate::results::BatchResult;
use crate::runner::BatchRunner;
use crate::source::Input;
use crate::summary::Summary;

/// Results of a run that goes on beside their reader, each row exactly once: first those that an earlier run had
/// stored, then those of this run as they come, then those that were not asked because it ended early.
///
/// A reader that is slow slows the run. Dropping the stream gives up what is in flight; stored answers stay stored.
#[derive(Debug)]
pub struct ResultStream {
    results: mpsc::Receiver<BatchResult>,
    run: JoinHandle<Result<Summary, BatchError>>,
}

impl BatchRunner {
    /// Starts the run and gives its results as they come, storing them in an output as well where one is named.
    ///
    /// # Errors
    /// Those of [`run`](Self::run) come from [`ResultStream::summary`]; the stream is empty then.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn stream(self, input: impl Into<Input>, output: Option<PathBuf>) -> ResultStream {
        let (send, results) = mpsc::channel(64);
        let run = tokio::spawn(self.drive(input.into(), output, Some(send)));
        ResultStream { results, run }
    }

    /// Asks all requests and gives the answers at their requests' places, failures in theirs. Nothing is stored.
    ///
    /// Dropping the future gives up what is in flight.
    pub async fn collect(self, requests: Vec<ChatRequest>) -> Vec<Result<ChatResponse, Error>> {
        let count = requests.len();
        let not_asked = |message: String| Err(Error::new(ErrorKind::Cancelled, message));
        let mut all: Vec<_> = (0..count).map(|_| not_asked("the run ended before".to_owned())).collect();
        if tokio::runtime::Handle::try_current().is_err() {
            return (0..count).map(|_| not_asked("a batch needs a tokio runtime".to_owned())).collect();
        }
        let mut stream = self.stream(requests, None);
        while let Some(result) = stream.next().await {
            let slot = usize::try_from(result.index).ok().and_then(|at| all.get_mut(at));
            if let Some(slot) = slot {
                *slot = into_answer(result);
            }
        }
        match stream.summary().await {
            Ok(_) => all,
            Err(error) => {
                let error = Error::new(ErrorKind::Config, error.to_string());
                (0..count).map(|_| Err(error.clone())).collect()
            }
        }
    }
}

fn into_answer(result: BatchResult) -> Result<ChatResponse, Error> {
    match (result.response, result.error) {
        (Some(response), None) => {
            Ok(std::sync::Arc::try_unwrap(response).unwrap_or_else(|shared| (*shared).clone()))
        }
        (_, Some(error)) => Err(error),
        (None, None) => Err(Error::new(ErrorKind::Internal, "a result without an answer; please report it")),
    }
}

impl ResultStream {
    /// The next result; `None` after the last.
    pub async fn next(&mut self) -> Option<BatchResult> {
        self.results.recv().await
    }

    /// The next results, `size` of them, fewer at the end; `None` after the last.
    pub async fn next_group(&mut self, size: usize) -> Option<Vec<BatchResult>> {
        let mut group = Vec::new();
        while group.len() < size.max(1) {
            match self.next().await {
                Some(result) => group.push(result),
                None => break,
            }
        }
        (!group.is_empty()).then_some(group)
    }

    /// Reads what is left and gives the run's summary.
    ///
    /// # Errors
    /// [`BatchError`] when the run could not begin.
    pub async fn summary(mut self) -> Result<Summary, BatchError> {
        while self.next().await.is_some() {}
        (&mut self.run)
            .await
            .unwrap_or_else(|_| Err(BatchError::Internal("the run ended unexpectedly".to_owned())))
    }

    /// Reads all results, sorted by the rows' places, and the summary.
    ///
    /// # Errors
    /// [`BatchError`] when the run could not begin.
    pub async fn all(mut self) -> Result<(Vec<BatchResult>, Summary), BatchError> {
        let mut all = Vec::new();
        while let Some(result) = self.next().await {
            all.push(result);
        }
        all.sort_by_key(|result| result.index);
        Ok((all, self.summary().await?))
    }
}

impl Stream for ResultStream {
    type Item = BatchResult;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<BatchResult>> {
        self.results.poll_recv(cx)
    }
}

impl Drop for ResultStream {
    fn drop(&mut self) {
        self.run.abort();
    }
}

impl BatchResult {
    /// Whether the row was answered.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.status == Status::Success
    }
}
