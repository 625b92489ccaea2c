//! A client's open stream: the events of the wire, the lane's guard, the call's deadline and the client's counters.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;
use llm_types::{AttemptRecord, Error, ErrorKind, Phase, StreamEvent, Usage};
use tokio::time::Sleep;

use super::{Inner, plan::fingerprint};
use crate::attempt::Events;
use crate::clock::{self, Instant};
use crate::lane::LaneGuard;

pub(super) struct OpenStream {
    client: Arc<Inner>,
    events: Box<Events>,
    /// Gone when the stream has ended either way.
    guard: Option<LaneGuard>,
    deadline: Option<Pin<Box<Sleep>>>,
    started: Instant,
    /// Those of the call; the last one is this stream's.
    attempts: Vec<AttemptRecord>,
    usage: Option<Usage>,
    /// For the lane, should the stream fail.
    fingerprint: u64,
}

impl OpenStream {
    pub(super) fn new(
        client: Arc<Inner>,
        events: Box<Events>,
        guard: Option<LaneGuard>,
        deadline: Option<Instant>,
        started: Instant,
        attempts: Vec<AttemptRecord>,
        body: &[u8],
    ) -> Self {
        let deadline = deadline.map(|at| Box::pin(tokio::time::sleep_until(at)));
        Self {
            client,
            events,
            guard,
            deadline,
            started,
            attempts,
            usage: None,
            fingerprint: fingerprint(body),
        }
    }

    fn ended(&mut self) {
        if let Some(guard) = self.guard.take() {
            let now = clock::now();
            guard.succeed(self.usage.map(|usage| usage.total()), now);
            self.client.tell_state(now);
            self.client.metrics.succeeded(self.started.elapsed(), self.usage.as_ref());
        }
    }

    fn failed(&mut self, error: Error) -> Error {
        let mut attempts = std::mem::take(&mut self.attempts);
        if let Some(last) = attempts.last_mut() {
            last.kind = Some(error.kind());
        }
        let error = self.client.describe(error).with_elapsed(self.started.elapsed()).with_attempts(attempts);
        if let Some(guard) = self.guard.take() {
            let now = clock::now();
            guard.fail(&error, self.fingerprint, now, clock::random());
            self.client.tell_state(now);
            self.client.metrics.failed(self.usage.as_ref());
        }
        error
    }
}

impl Stream for OpenStream {
    type Item = Result<StreamEvent, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        match this.events.poll_next(cx) {
            Poll::Ready(Some(Ok(event))) => {
                match &event {
                    StreamEvent::Usage(usage) => this.usage = Some(*usage),
                    StreamEvent::End => this.ended(),
                    _ => {}
                }
                Poll::Ready(Some(Ok(event)))
            }
            Poll::Ready(Some(Err(error))) => Poll::Ready(Some(Err(this.failed(error)))),
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                let late = this.guard.is_some()
                    && this.deadline.as_mut().is_some_and(|deadline| deadline.as_mut().poll(cx).is_ready());
                if !late {
                    return Poll::Pending;
                }
                this.events.close();
                let message = "the stream was not whole before the call's deadline";
                Poll::Ready(Some(Err(this.failed(Error::new(ErrorKind::Timeout(Phase::Call), message)))))
            }
        }
    }
}
