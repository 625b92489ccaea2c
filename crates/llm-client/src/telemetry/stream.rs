//! A call's span while its answer is being streamed.

use std::time::Duration;

use llm_types::{ChatResponse, Collector, Error, FinishReason, StreamEvent};
use tracing::Span;

use super::content;
use super::names;
use super::open::{Open, Outcome};
use crate::clock::{self, Instant};

/// Looks on as the events of a stream pass.
#[derive(Debug)]
pub(crate) struct Watch {
    /// Gone when the stream has ended: the span ends with the last event, not when somebody drops the stream.
    open: Option<Open>,
    /// The last piece of content.
    last: Option<Instant>,
    reasons: Vec<FinishReason>,
    /// What was answered, where the span carries it.
    answer: Option<Collector>,
}

impl Watch {
    pub(super) fn new(open: Open) -> Self {
        let answer = open.content.then(Collector::new);
        Self { open: Some(open), last: None, reasons: Vec::new(), answer }
    }

    /// The span that the work of the stream belongs to.
    pub(crate) fn span(&self) -> Option<&Span> {
        self.open.as_ref().map(|open| &open.span)
    }

    /// An event, a failure, or the end has come. `first_content`: how long after the call's start the first content came.
    pub(crate) fn saw(&mut self, item: Option<&Result<StreamEvent, Error>>, first_content: Option<Duration>) {
        let Some(open) = &mut self.open else { return };
        match item {
            Some(Ok(event)) => {
                if let Some(answer) = &mut self.answer {
                    answer.push(event.clone());
                }
                match event {
                    StreamEvent::Start { id, model, .. } => {
                        open.response_id(id.as_deref());
                        open.model(model.as_deref());
                    }
                    StreamEvent::Usage(usage) => open.end.usage = Some(*usage),
                    StreamEvent::Finish { reason, .. } => self.reasons.push(*reason),
                    StreamEvent::End => {
                        open.end.outcome = Outcome::Answered;
                        self.end();
                    }
                    event if event.is_content() => {
                        let now = clock::now();
                        match self.last.replace(now) {
                            Some(last) => open.handles.chunk(now.saturating_duration_since(last)),
                            None => {
                                let after = first_content.unwrap_or_else(|| open.started.elapsed());
                                open.handles.first_chunk(after);
                                open.span.record(names::FIRST_CHUNK, after.as_secs_f64());
                            }
                        }
                    }
                    _ => {}
                }
            }
            Some(Err(error)) => {
                open.failed(error);
                self.end();
            }
            // A stream of somebody else's that ends without saying so.
            None => {
                open.end.outcome = Outcome::Answered;
                self.end();
            }
        }
    }

    fn end(&mut self) {
        if let Some(open) = self.open.take() {
            open.finish_reasons(self.reasons.drain(..));
            if let Some(answer) = self.answer.take() {
                let response: ChatResponse = answer.finish();
                content::answered(&open.span, &response);
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.end();
    }
}
