//! A client's open stream: the events of the wire, the lane's guard, the call's deadline and the client's counters.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;
use llm_types::{AttemptRecord, ChatResponse, Cost, Error, ErrorKind, Phase, StreamEvent};
use tokio::time::Sleep;

use super::{Inner, plan::fingerprint};
use crate::attempt::{Events, Job};
use crate::call::Call;
use crate::clock::{self, Instant};
use crate::dialect::Billing;
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
    said: Billing,
    /// The service tier that was asked for.
    tier: Option<Box<str>>,
    /// Whether a wrapper above tells the figures what the call cost.
    cost_told: bool,
    /// The end or the error, held back until the cost before it is out.
    last: Option<Result<StreamEvent, Error>>,
    /// For the lane, should the stream fail.
    fingerprint: u64,
}

impl OpenStream {
    pub(super) fn new(
        client: Arc<Inner>,
        events: Box<Events>,
        guard: Option<LaneGuard>,
        call: &Call,
        started: Instant,
        attempts: Vec<AttemptRecord>,
        job: &Job,
    ) -> Self {
        let deadline = call.deadline.map(|at| Box::pin(tokio::time::sleep_until(at)));
        Self {
            client,
            events,
            guard,
            deadline,
            started,
            attempts,
            said: Billing::default(),
            tier: job.tier.clone(),
            cost_told: call.is_cost_told(),
            last: None,
            fingerprint: fingerprint(&job.body),
        }
    }

    /// What has come so far cost this much. Told once: the lane is still held.
    fn cost(&mut self) -> Option<Cost> {
        let cost =
            self.client.pricing.cost(&self.said, self.tier.as_deref()).filter(|_| self.guard.is_some())?;
        self.client.tell_cost(Some(&cost), self.cost_told);
        Some(cost)
    }

    /// The last event, behind the cost of the answer where that is known.
    fn behind_cost(
        &mut self,
        cost: Option<Cost>,
        last: Result<StreamEvent, Error>,
    ) -> Poll<Option<Result<StreamEvent, Error>>> {
        let Some(cost) = cost else { return Poll::Ready(Some(last)) };
        let last = match last {
            Err(error) if error.partial().is_some_and(|partial| partial.cost.is_none()) => {
                let partial = error.partial().cloned().unwrap_or_default();
                Err(error.with_partial(ChatResponse { cost: Some(cost.clone()), ..partial }))
            }
            last => last,
        };
        self.last = Some(last);
        Poll::Ready(Some(Ok(StreamEvent::Cost(Box::new(cost)))))
    }

    fn ended(&mut self) {
        if let Some(guard) = self.guard.take() {
            let now = clock::now();
            guard.succeed(self.said.usage.map(|usage| usage.total()), now);
            self.client.tell_state(now);
            self.client.metrics.succeeded(self.started.elapsed(), self.said.usage.as_ref());
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
            self.client.metrics.failed(self.said.usage.as_ref());
        }
        error
    }
}

impl Stream for OpenStream {
    type Item = Result<StreamEvent, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Some(last) = this.last.take() {
            return Poll::Ready(Some(last));
        }
        // Events are large: one that is merely looked at is handed on where it stands.
        let polled = this.events.poll_next(cx);
        if let Poll::Ready(Some(Ok(event))) = &polled {
            this.said.see(event);
            if matches!(event, StreamEvent::End) {
                let cost = this.cost();
                this.ended();
                return this.behind_cost(cost, Ok(StreamEvent::End));
            }
        }
        match polled {
            Poll::Ready(Some(Ok(_))) | Poll::Ready(None) => polled,
            Poll::Ready(Some(Err(error))) => {
                let cost = this.cost();
                let error = this.failed(error);
                this.behind_cost(cost, Err(error))
            }
            Poll::Pending => {
                let late = this.guard.is_some()
                    && this.deadline.as_mut().is_some_and(|deadline| deadline.as_mut().poll(cx).is_ready());
                if !late {
                    return Poll::Pending;
                }
                this.events.close();
                let message = "the stream was not whole before the call's deadline";
                let cost = this.cost();
                let error = this.failed(Error::new(ErrorKind::Timeout(Phase::Call), message));
                this.behind_cost(cost, Err(error))
            }
        }
    }
}

impl Drop for OpenStream {
    fn drop(&mut self) {
        // Dropped before its end: what has come is paid for.
        self.cost();
    }
}
