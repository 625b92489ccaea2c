//! The span of a call.

use llm_types::{ChatResponse, EmbeddingResponse, Error};
use tracing::instrument::Instrumented;
use tracing::{Instrument as _, Span};

use super::Observer;
use super::content;
use super::fields::{self, Asked};
use super::open::{End, Open, Outcome};
use super::stream::Watch;
use crate::call::Call;
use crate::clock;
use crate::contract::ChatStream;

/// The span and the figures of one logical call, from its first wait to the end of the answer.
///
/// Give it the result with [`answered`](Self::answered), [`streaming`](Self::streaming) or [`embedded`](Self::embedded).
/// Dropped without one, the call counts as cancelled. Of a [driven](Call::is_driven) call there is none: whoever drives has
/// it, and everything here does nothing.
#[derive(Debug)]
#[must_use = "dropped at once, the call counts as cancelled"]
pub struct CallSpan(Option<Open>);

impl CallSpan {
    /// Opens the span, a child of the caller's current one.
    pub fn begin(observer: &Observer, asked: Asked<'_>, call: &Call) -> Self {
        if call.is_driven() {
            return Self(None);
        }
        let telemetry = observer.telemetry();
        let handles = observer.handles(asked.operation());
        handles.begun();
        let span = fields::open(&observer.who, asked, call, telemetry.names);
        let content = telemetry.content && !span.is_disabled();
        if content && let Some(request) = asked.chat() {
            content::asked(&span, request);
        }
        Self(Some(Open { span, handles, started: clock::now(), content, end: End::default() }))
    }

    /// Runs the call inside its span.
    pub fn around<F: Future>(&self, work: F) -> Instrumented<F> {
        // No span, or one that nobody reads, stays out of the way of the one around it.
        work.instrument(self.0.as_ref().map_or_else(Span::none, |open| open.span.clone()))
    }

    /// The call is over: it was answered, or has failed.
    ///
    /// # Errors
    /// The error it was given.
    pub fn answered(self, result: Result<ChatResponse, Error>) -> Result<ChatResponse, Error> {
        let Some(mut open) = self.0 else { return result };
        match &result {
            Ok(response) => open.chat_ended(response),
            Err(error) => open.failed(error),
        }
        result
    }

    /// The same for vectors.
    ///
    /// # Errors
    /// The error it was given.
    pub fn embedded(self, result: Result<EmbeddingResponse, Error>) -> Result<EmbeddingResponse, Error> {
        let Some(mut open) = self.0 else { return result };
        match &result {
            Ok(response) => {
                open.model(response.model.as_deref());
                open.end.usage = response.usage;
                open.attempts(&response.attempts);
                open.end.outcome = Outcome::Answered;
            }
            Err(error) => open.failed(error),
        }
        result
    }

    /// The answer has begun, and the span goes on until the stream ends, breaks or is dropped; or the call has failed.
    ///
    /// # Errors
    /// The error it was given.
    pub fn streaming(self, result: Result<ChatStream, Error>) -> Result<ChatStream, Error> {
        let Some(mut open) = self.0 else { return result };
        match result {
            Ok(stream) => {
                open.attempts(stream.attempts());
                open.end.waited = stream.waited();
                Ok(stream.watched(Watch::new(open)))
            }
            Err(error) => {
                open.failed(&error);
                Err(error)
            }
        }
    }
}
