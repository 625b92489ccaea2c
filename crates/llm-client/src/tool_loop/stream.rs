//! The loop as a stream of events.

use std::fmt;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures_util::Stream;
use futures_util::future::BoxFuture;
use llm_types::{ChatRequest, StreamEvent, ToolResult};

use super::drive::drive;
use super::{ToolLoop, ToolLoopError, ToolRun};
use crate::call::Call;

/// Something that happened in a loop.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ToolLoopEvent {
    /// The model is asked.
    Turn {
        /// For the how manieth time, from 1.
        turn: u32,
    },
    /// A piece of its answer. Each turn has a [`StreamEvent::End`] of its own.
    Event(StreamEvent),
    /// A function has ended, as soon as it has; the model gets the results in the order of its calls.
    Result {
        /// The turn that called it; 0 for a call that the request brought along.
        turn: u32,
        /// What it gave.
        result: ToolResult,
    },
    /// The loop has ended. Nothing follows.
    End(Box<ToolRun>),
}

/// Who is told of events, if anybody.
pub(super) enum Face {
    Whole,
    Streamed(Slot),
}

/// Holds one event until it is taken.
type Slot = Arc<Mutex<Option<ToolLoopEvent>>>;

fn take(slot: &Slot) -> Option<ToolLoopEvent> {
    // An event that a panic left behind is still true.
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}

impl Face {
    pub(super) fn is_streamed(&self) -> bool {
        matches!(self, Self::Streamed(_))
    }

    /// Hands an event out, and goes on when it was taken.
    pub(super) async fn tell(&self, event: impl FnOnce() -> ToolLoopEvent) {
        let Self::Streamed(slot) = self else { return };
        *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(event());
        // Whoever takes it polls again: nobody has to be woken.
        std::future::poll_fn(|_| {
            let is_taken = slot.lock().unwrap_or_else(PoisonError::into_inner).is_none();
            if is_taken { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }
}

/// The events of a loop: a [`Stream`] that ends after [`ToolLoopEvent::End`] or the first error. Dropping it cancels the
/// request and every function that runs. While it is not read, nothing goes on.
pub struct ToolLoopStream {
    slot: Slot,
    work: Option<BoxFuture<'static, Result<ToolRun, ToolLoopError>>>,
}

impl ToolLoopStream {
    pub(super) fn new(this: ToolLoop, request: ChatRequest, call: Call) -> Self {
        let slot = Slot::default();
        let face = Face::Streamed(Arc::clone(&slot));
        let work = async move { drive(&this, request, &call, &face).await };
        Self { slot, work: Some(Box::pin(work)) }
    }

    /// The next event; `None` after the end.
    pub async fn next(&mut self) -> Option<Result<ToolLoopEvent, ToolLoopError>> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<ToolLoopEvent, ToolLoopError>>> {
        let Some(work) = &mut self.work else { return Poll::Ready(None) };
        let polled = work.as_mut().poll(cx);
        if let Some(event) = take(&self.slot) {
            return Poll::Ready(Some(Ok(event)));
        }
        let Poll::Ready(ended) = polled else { return Poll::Pending };
        self.work = None;
        Poll::Ready(Some(ended.map(|run| ToolLoopEvent::End(Box::new(run)))))
    }
}

impl Stream for ToolLoopStream {
    type Item = Result<ToolLoopEvent, ToolLoopError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll(cx)
    }
}

impl fmt::Debug for ToolLoopStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ToolLoopStream")
    }
}
