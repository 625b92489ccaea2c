//! The spans of a call's attempts.

use llm_types::{Error, ErrorKind};
use tracing::Span;
use tracing::field::Empty;

use super::fields::{TARGET, whole};
use super::handles::{Handles, Operation};
use super::open::Outcome;
use super::{Arc, Observer, names};

/// The span and the figure of one attempt, below the call's.
#[derive(Debug)]
pub(crate) struct AttemptSpan {
    span: Span,
    handles: Arc<Handles>,
    after: Option<ErrorKind>,
    outcome: Outcome,
}

/// What an attempt says of itself before it is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct AttemptStart<'a> {
    pub(crate) operation: Operation,
    pub(crate) endpoint: &'a str,
    pub(crate) method: &'a str,
    pub(crate) body: usize,
    /// How many attempts of the call came before.
    pub(crate) resend: usize,
    /// How the one before it failed.
    pub(crate) after: Option<ErrorKind>,
}

impl AttemptSpan {
    pub(crate) fn begin(observer: &Observer, start: &AttemptStart<'_>) -> Self {
        let who = &observer.who;
        let span = tracing::info_span!(
            target: TARGET,
            "attempt",
            { names::OTEL_NAME } = start.method,
            { names::OTEL_KIND } = "client",
            { names::OTEL_STATUS } = Empty,
            { names::OPERATION } = start.operation.as_str(),
            { names::PROVIDER } = &*who.provider,
            { names::REQUEST_MODEL } = &*who.model,
            { names::SERVER_ADDRESS } = who.server.as_ref().map(|(host, _)| &**host),
            { names::SERVER_PORT } = who.server.as_ref().map(|(_, port)| i64::from(*port)),
            { names::ENDPOINT } = start.endpoint,
            { names::HTTP_METHOD } = start.method,
            { names::BODY_SIZE } = whole(start.body),
            { names::RESEND_COUNT } = (start.resend > 0).then(|| whole(start.resend)),
            { names::RETRY_REASON } = start.after.map(ErrorKind::as_str),
            { names::HTTP_STATUS } = Empty,
            { names::REQUEST_ID } = Empty,
            { names::ERROR_TYPE } = Empty,
        );
        let handles = observer.handles(start.operation);
        Self { span, handles, after: start.after, outcome: Outcome::Open }
    }

    pub(crate) fn span(&self) -> &Span {
        &self.span
    }

    /// The attempt gave an answer, or a stream's first content.
    pub(crate) fn answered(mut self, status: u16, request_id: Option<&str>) {
        self.outcome = Outcome::Answered;
        self.head(Some(status), request_id);
        tracing::debug!("attempt answered");
    }

    /// The attempt failed.
    pub(crate) fn failed(mut self, error: &Error) {
        self.outcome = Outcome::Failed(error.kind());
        self.head(error.status(), error.request_id());
        tracing::debug!(kind = error.kind().as_str(), status = error.status(), "attempt failed");
    }

    fn head(&self, status: Option<u16>, request_id: Option<&str>) {
        if let Some(status) = status {
            self.span.record(names::HTTP_STATUS, i64::from(status));
        }
        if let Some(id) = request_id {
            self.span.record(names::REQUEST_ID, id);
        }
    }
}

impl Drop for AttemptSpan {
    fn drop(&mut self) {
        let failure = match self.outcome {
            Outcome::Open => Some(ErrorKind::Cancelled),
            Outcome::Answered => None,
            Outcome::Failed(kind) => Some(kind),
        };
        self.handles.attempted(self.after, failure);
        if let Some(kind) = failure {
            self.span.record(names::ERROR_TYPE, kind.as_str());
            self.span.record(names::OTEL_STATUS, "ERROR");
        }
    }
}
