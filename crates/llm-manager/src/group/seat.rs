//! What a call holds while it is with a member: its place in the counts, and the gates it passed.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use llm_client::ChatStream;
use llm_client::clock::{self, Instant};
use llm_client::lane::LimitHold;
use llm_types::{Error, ErrorKind, Move, StreamEvent, Usage};

use super::Group;
use super::member::Entry;

/// A call's place with a member. It is ended by [`succeed`](Self::succeed) or [`fail`](Self::fail); dropped without either,
/// the call was cancelled.
pub(crate) struct Seat {
    group: Arc<Group>,
    member: usize,
    /// What the member gave.
    entry: Entry,
    /// The cap of the group.
    cap: Option<LimitHold>,
    since: Instant,
    /// How long until the first content of a stream.
    first: Option<Duration>,
}

impl Seat {
    pub(super) fn new(
        group: &Arc<Group>,
        member: usize,
        entry: Entry,
        cap: Option<LimitHold>,
        since: Instant,
    ) -> Self {
        Self { group: Arc::clone(group), member, entry, cap, since, first: None }
    }

    pub(super) fn member(&self) -> usize {
        self.member
    }

    /// The request begins to leave: it counts against the caps, whatever becomes of it.
    pub(super) fn sent(&mut self) {
        if let Some(guard) = &mut self.entry.guard {
            guard.sent();
        }
        for cap in [&mut self.entry.cap, &mut self.cap].into_iter().flatten() {
            cap.sent();
        }
    }

    /// The member has begun to answer.
    pub(super) fn answering(&mut self) {
        self.first = Some(self.since.elapsed());
        if let Some(guard) = &self.entry.guard {
            guard.answering();
        }
    }

    /// Tells the caps what was used, as far as that is known.
    fn settle(&mut self, used: Option<u64>, now: Instant) {
        for cap in [self.entry.cap.take(), self.cap.take()].into_iter().flatten() {
            match used {
                Some(used) => cap.settle(used, now),
                None => drop(cap),
            }
        }
    }

    /// The call was answered.
    pub(super) fn succeed(mut self, usage: Option<&Usage>) {
        let now = clock::now();
        let took = self.first.unwrap_or_else(|| now.saturating_duration_since(self.since));
        if let Some(condition) = self.group.state().members.get_mut(self.member) {
            condition.succeeded(took, now);
        }
        let used = usage.map(Usage::total);
        if let Some(guard) = self.entry.guard.take() {
            guard.succeed(used, now);
        }
        self.settle(used, now);
    }

    /// The call failed. Nothing was sent where the error says so; then only the date it names is kept.
    pub(super) fn fail(mut self, error: &Error) {
        let (now, random) = (clock::now(), clock::random());
        let verdict = error.kind().verdict();
        let recovery = self.group.settings.recovery_time;
        let silent = self.entry.guard.is_some();
        if let Some(condition) = self.group.state().members.get_mut(self.member) {
            match error.kind() {
                ErrorKind::Unavailable => {
                    // One that keeps account of itself is asked each time; its date may be this call's alone.
                    if let (Some(wait), true) = (error.retry_after(), silent) {
                        condition.refused(clock::after(now, wait));
                    }
                }
                // A limit has its cool-down, and what the caller did wrong says nothing of the member.
                ErrorKind::RateLimited => {}
                _ if verdict.other_lane == Move::Never && !verdict.breaker => {}
                _ => condition.failed(self.since, now, random, recovery),
            }
        }
        if let Some(guard) = self.entry.guard.take() {
            guard.fail(error, 0, now, random);
        }
        if error.kind().is_unsent() {
            for cap in [self.entry.cap.take(), self.cap.take()].into_iter().flatten() {
                cap.unsent();
            }
        }
        // An error in place of an answer: nothing was written.
        let nothing = (error.status() >= Some(400)).then_some(0);
        let partial = error.partial().and_then(|partial| partial.usage.as_ref()).map(Usage::total);
        self.settle(partial.or(nothing), now);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(condition) = self.group.state().members.get_mut(self.member) {
            condition.in_flight = condition.in_flight.saturating_sub(1);
        }
        // The gates give back what they hold before anybody is told that there is room.
        drop((self.entry.guard.take(), self.entry.cap.take(), self.cap.take()));
        self.group.released.notify_waiters();
    }
}

/// A member's open stream, with the call's seat until its last event.
pub(super) struct SeatedStream {
    events: ChatStream,
    /// Events that were read ahead, the next one last.
    ahead: Vec<StreamEvent>,
    seat: Option<Seat>,
    started: Instant,
    usage: Option<Usage>,
    is_over: bool,
}

impl SeatedStream {
    pub(super) fn new(events: ChatStream, ahead: Vec<StreamEvent>, seat: Seat, started: Instant) -> Self {
        Self { events, ahead, seat: Some(seat), started, usage: None, is_over: false }
    }

    fn note(&mut self, event: &StreamEvent) {
        match event {
            StreamEvent::Usage(usage) => self.usage = Some(*usage),
            StreamEvent::End => {
                if let Some(seat) = self.seat.take() {
                    seat.group.metrics.succeeded(self.started.elapsed(), self.usage.as_ref());
                    seat.succeed(self.usage.as_ref());
                }
            }
            _ => {}
        }
    }
}

impl Stream for SeatedStream {
    type Item = Result<StreamEvent, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        let event = match this.ahead.pop() {
            Some(event) => Some(Ok(event)),
            None if this.is_over => None,
            None => std::task::ready!(Pin::new(&mut this.events).poll_next(cx)),
        };
        match &event {
            Some(Ok(event)) => this.note(event),
            Some(Err(error)) => {
                if let Some(seat) = this.seat.take() {
                    seat.group.metrics.failed(this.usage.as_ref());
                    seat.fail(error);
                }
            }
            // A stream of a user's own need not bear to be asked again.
            None => this.is_over = true,
        }
        Poll::Ready(event)
    }
}
