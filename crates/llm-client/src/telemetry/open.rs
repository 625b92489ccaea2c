//! A call's span while it is open, and what is written into it at the end.

use std::time::Duration;

use llm_types::{AttemptRecord, ChatResponse, Error, ErrorKind, FinishReason, Usage};
use tracing::Span;

use super::fields::{list, whole};
use super::handles::Handles;
use super::names::{self, Names};
use super::{Arc, content};
use crate::clock::Instant;

/// How a call has ended, as far as is known.
#[derive(Debug, Default)]
pub(super) struct End {
    pub(super) outcome: Outcome,
    pub(super) usage: Option<Usage>,
    pub(super) waited: Duration,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) enum Outcome {
    /// Nobody has said yet: whoever drops it now has cancelled the call.
    #[default]
    Open,
    Answered,
    Failed(ErrorKind),
}

/// A call under way. Its end is told when it is dropped.
pub(super) struct Open {
    pub(super) span: Span,
    pub(super) handles: Arc<Handles>,
    pub(super) started: Instant,
    /// Whether the span carries what is asked and answered.
    pub(super) content: bool,
    pub(super) end: End,
}

impl Open {
    pub(super) fn chat_ended(&mut self, response: &ChatResponse) {
        self.response_id(response.id.as_deref());
        self.model(response.model.as_deref());
        self.finish_reasons(response.choices.iter().filter_map(|choice| choice.finish_reason));
        self.attempts(&response.attempts);
        self.end.waited = response.timing.waited;
        self.end.usage = response.usage;
        self.end.outcome = Outcome::Answered;
        if self.content {
            content::answered(&self.span, response);
        }
    }

    pub(super) fn failed(&mut self, error: &Error) {
        self.end.outcome = Outcome::Failed(error.kind());
        if !error.attempts().is_empty() {
            self.attempts(error.attempts());
            self.end.waited = error.attempts().iter().map(|attempt| attempt.wait).sum();
        }
        if let Some(partial) = error.partial() {
            self.end.usage = self.end.usage.or(partial.usage);
            if self.content {
                content::answered(&self.span, partial);
            }
        }
    }

    pub(super) fn response_id(&self, id: Option<&str>) {
        if let Some(id) = id {
            self.span.record(names::RESPONSE_ID, id);
        }
    }

    pub(super) fn model(&self, model: Option<&str>) {
        if let Some(model) = model {
            self.span.record(names::RESPONSE_MODEL, model);
        }
    }

    pub(super) fn finish_reasons(&self, reasons: impl Iterator<Item = FinishReason>) {
        if !self.span.is_disabled() {
            let reasons: Vec<&str> = reasons.map(FinishReason::as_str).collect();
            if !reasons.is_empty() {
                self.span.record(names::FINISH_REASONS, list(&reasons));
            }
        }
    }

    pub(super) fn attempts(&self, attempts: &[AttemptRecord]) {
        if self.span.is_disabled() {
            return;
        }
        self.span.record(names::ATTEMPTS, whole(attempts.len()));
        if let Some((last, before)) = attempts.split_last() {
            self.span.record(names::ENDPOINT, last.endpoint.as_str());
            if let Some(kind) = before.last().and_then(|attempt| attempt.kind) {
                self.span.record(names::RETRY_REASON, kind.as_str());
            }
        }
    }

    fn tell_usage(&self, usage: &Usage) {
        let tell = |name: &'static str, tokens: Option<u64>| {
            if let Some(tokens) = tokens {
                self.span.record(name, whole(tokens));
            }
        };
        let written = match (usage.cache_write_5m, usage.cache_write_1h) {
            (None, None) => None,
            (short, long) => Some(short.unwrap_or(0).saturating_add(long.unwrap_or(0))),
        };
        tell(names::INPUT_TOKENS, Some(usage.input_total()));
        tell(names::OUTPUT_TOKENS, Some(usage.output_total()));
        tell(names::CACHE_READ_TOKENS, usage.cache_read);
        tell(names::REASONING_TOKENS, usage.reasoning);
        match self.handles.names() {
            Names::V1_41 => tell(names::CACHE_CREATION_TOKENS, written),
            Names::Latest => {
                tell(names::CACHE_WRITE_TOKENS, written);
                tell(names::AUDIO_INPUT_TOKENS, usage.audio_input);
                tell(names::AUDIO_OUTPUT_TOKENS, usage.audio_output);
                tell(names::IMAGE_INPUT_TOKENS, usage.image_input);
            }
        }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let End { outcome, usage, waited } = &self.end;
        let failure = match outcome {
            Outcome::Open => Some(ErrorKind::Cancelled),
            Outcome::Answered => None,
            Outcome::Failed(kind) => Some(*kind),
        };
        self.handles.ended(self.started.elapsed(), failure, usage.as_ref(), *waited);
        if self.span.is_disabled() {
            return;
        }
        if let Some(kind) = failure {
            self.span.record(names::ERROR_TYPE, kind.as_str());
            self.span.record(names::OTEL_STATUS, "ERROR");
        }
        if let Some(usage) = usage {
            self.tell_usage(usage);
        }
        if *waited > Duration::ZERO {
            self.span.record(names::WAIT, waited.as_secs_f64());
        }
    }
}

impl std::fmt::Debug for Open {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Open").field("started", &self.started).field("end", &self.end).finish_non_exhaustive()
    }
}
