//! A stream that settles its call's reservation: with the vendor's numbers at its end, with what is known where it breaks
//! or is dropped.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;
use llm_client::ChatStream;
use llm_types::{Cost, Error, StreamEvent, Usage, UsageSource};

use super::estimate::Learned;
use super::reservation::Reservation;

pub(super) struct Metered {
    inner: ChatStream,
    /// Gone when it is settled.
    reservation: Option<Reservation>,
    learned: Arc<Learned>,
    usage: Option<Usage>,
    /// What those below say that it cost, held back until it is known whether that holds.
    cost: Option<Cost>,
    /// The end or the error, held back until the cost before it is out.
    last: Option<Result<StreamEvent, Error>>,
    /// Bytes of content that have come.
    written: usize,
}

impl Metered {
    pub(super) fn new(inner: ChatStream, reservation: Reservation, learned: Arc<Learned>) -> Self {
        let reservation = Some(reservation);
        Self { inner, reservation, learned, usage: None, cost: None, last: None, written: 0 }
    }

    fn see(&mut self, event: &StreamEvent) {
        match event {
            StreamEvent::Usage(usage) => self.usage = Some(*usage),
            StreamEvent::Text { text, .. }
            | StreamEvent::Reasoning { text, .. }
            | StreamEvent::Refusal { text, .. }
            | StreamEvent::ToolCallDelta { arguments: text, .. } => {
                self.written = self.written.saturating_add(text.len());
            }
            _ => {}
        }
    }

    /// The answer is whole. Gives what it cost.
    fn ended(&mut self) -> Option<Cost> {
        let reservation = self.reservation.take()?;
        let usage = self.usage.unwrap_or_else(|| self.counted(&reservation));
        self.learned.learn(usage.output_total());
        let cost = reservation.answered(Some(&usage), self.cost.as_ref());
        // Of tokens that nobody reported there is no cost that could be told.
        cost.filter(|_| self.usage.is_some() || self.cost.is_some())
    }

    /// What the content that has come amounts to: the vendor's own numbers often come at the end only.
    fn counted(&self, reservation: &Reservation) -> Usage {
        let output = u64::try_from(self.written.div_ceil(4)).unwrap_or(u64::MAX);
        match self.usage {
            None => Usage {
                fresh_input: reservation.estimate().input,
                plain_output: output,
                source: UsageSource::Estimated,
                ..Usage::default()
            },
            Some(mut usage) => {
                let missing = output.saturating_sub(usage.output_total());
                usage.plain_output = usage.plain_output.saturating_add(missing);
                usage.source = if missing > 0 { UsageSource::Estimated } else { UsageSource::Partial };
                usage
            }
        }
    }

    /// Charges what has come of an answer that is not whole.
    fn cut(&mut self) {
        let Some(reservation) = self.reservation.take() else { return };
        let usage = self.counted(&reservation);
        let told = match usage.source {
            UsageSource::Estimated => self.inner.cost_of().and_then(|cost_of| cost_of(&usage)),
            UsageSource::Reported | UsageSource::Partial => None,
        };
        reservation.answered(Some(&usage), told.or_else(|| self.cost.take()).as_ref());
    }

    fn broken(&mut self, error: &Error) {
        match error.partial().and_then(|partial| partial.usage) {
            Some(_) => {
                if let Some(reservation) = self.reservation.take() {
                    reservation.failed(error);
                }
            }
            None => self.cut(),
        }
    }
}

impl Stream for Metered {
    type Item = Result<StreamEvent, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = &mut *self;
        if let Some(last) = this.last.take() {
            return Poll::Ready(Some(last));
        }
        loop {
            let item = std::task::ready!(Pin::new(&mut this.inner).poll_next(cx));
            let cost = match &item {
                Some(Ok(StreamEvent::Cost(cost))) => {
                    this.cost = Some(Cost::clone(cost));
                    continue;
                }
                Some(Ok(StreamEvent::End)) => this.ended(),
                Some(Ok(event)) => {
                    this.see(event);
                    None
                }
                Some(Err(error)) => {
                    let told = this.cost.clone();
                    this.broken(error);
                    told
                }
                None => None,
            };
            return Poll::Ready(match (cost, item) {
                (Some(cost), Some(last)) => {
                    this.last = Some(last);
                    Some(Ok(StreamEvent::Cost(Box::new(cost))))
                }
                (_, item) => item,
            });
        }
    }
}

impl Drop for Metered {
    fn drop(&mut self) {
        self.cut();
    }
}
