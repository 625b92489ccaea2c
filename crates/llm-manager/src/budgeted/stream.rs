//! A stream that settles its call's reservation: with the vendor's numbers at its end, with what is known where it breaks
//! or is dropped.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_util::Stream;
use llm_client::ChatStream;
use llm_types::{Error, StreamEvent, Usage, UsageSource};

use super::estimate::Learned;
use super::reservation::Reservation;

pub(super) struct Metered {
    inner: ChatStream,
    /// Gone when it is settled.
    reservation: Option<Reservation>,
    learned: Arc<Learned>,
    usage: Option<Usage>,
    /// Bytes of content that have come.
    written: usize,
}

impl Metered {
    pub(super) fn new(inner: ChatStream, reservation: Reservation, learned: Arc<Learned>) -> Self {
        Self { inner, reservation: Some(reservation), learned, usage: None, written: 0 }
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
            StreamEvent::End => {
                if let Some(reservation) = self.reservation.take() {
                    let usage = self.usage.unwrap_or_else(|| self.counted(&reservation));
                    self.learned.learn(usage.output_total());
                    reservation.answered(Some(&usage));
                }
            }
            _ => {}
        }
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

    fn broken(&mut self, error: &Error) {
        let Some(reservation) = self.reservation.take() else { return };
        match error.partial().and_then(|partial| partial.usage) {
            Some(_) => reservation.failed(error),
            None => {
                let usage = self.counted(&reservation);
                reservation.answered(Some(&usage));
            }
        }
    }
}

impl Stream for Metered {
    type Item = Result<StreamEvent, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let polled = Pin::new(&mut self.inner).poll_next(cx);
        match &polled {
            Poll::Ready(Some(Ok(event))) => self.see(event),
            Poll::Ready(Some(Err(error))) => self.broken(error),
            Poll::Ready(None) | Poll::Pending => {}
        }
        polled
    }
}

impl Drop for Metered {
    fn drop(&mut self) {
        if let Some(reservation) = self.reservation.take() {
            let usage = self.counted(&reservation);
            reservation.answered(Some(&usage));
        }
    }
}
