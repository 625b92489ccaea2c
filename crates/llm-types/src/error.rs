//! One error type for every call: a kind to branch on, a source to read, everything known about the failure.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::response::ChatResponse;

/// What went wrong, to branch on. What may follow is decided once, in [`ErrorKind::verdict`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No model of this name is registered, or the server knows none (404 that names the model).
    ModelNotFound,
    /// No provider of this name is registered.
    ProviderNotFound,
    /// The key is missing or was refused (401).
    Authentication,
    /// The key may not do this (403).
    PermissionDenied,
    /// The server refused the request as it stands (400, 413, 422).
    InvalidRequest,
    /// The prompt is longer than the model reads.
    ContextLength,
    /// The prompt was refused for its content.
    ContentFilter,
    /// The address answers 404 and does not say that the model is missing.
    NotFound,
    /// Too many requests or tokens for now (429).
    RateLimited,
    /// No credit or quota left (402, 429 of that meaning): waiting does not help.
    QuotaExhausted,
    /// The server says it is overloaded (503, 529).
    Overloaded,
    /// The server failed (500, 502, 504), or asks to repeat (408, 409).
    Server,
    /// One of our own timers ran out.
    Timeout(Phase),
    /// No connection, or one that broke before any content came.
    Connection,
    /// The TLS handshake failed: certificate, name or version.
    Tls,
    /// The server redirects; API calls are not followed to another origin.
    Redirect,
    /// A delivered body that cannot be understood.
    Protocol,
    /// A stream that ended after content without being whole. [`Error::partial`] has what came.
    Truncated,
    /// More bytes than the limit allows.
    TooLarge,
    /// Nothing can take the call now; [`Error::retry_after`] says when, where it is known.
    Unavailable,
    /// The caller gave up.
    Cancelled,
    /// A setting, a file or an argument is wrong.
    Config,
    /// A budget of money or tokens is used up.
    Budget,
    /// A fault of this library. Please report it.
    Internal,
}

/// Which timer ran out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Name look-up, TCP, proxy and TLS.
    Connect,
    /// From the request to the first byte of a stream's body (or of any answer, where set).
    FirstByte,
    /// Between two pieces of a body.
    Idle,
    /// One whole attempt.
    Attempt,
    /// The call's deadline, over all attempts.
    Call,
}

impl Phase {
    /// The word used in records and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "connect",
            Self::FirstByte => "first_byte",
            Self::Idle => "idle",
            Self::Attempt => "attempt",
            Self::Call => "call",
        }
    }
}

impl ErrorKind {
    /// Every kind once, time-outs with one phase each.
    pub const ALL: &'static [Self] = &[
        Self::ModelNotFound,
        Self::ProviderNotFound,
        Self::Authentication,
        Self::PermissionDenied,
        Self::InvalidRequest,
        Self::ContextLength,
        Self::ContentFilter,
        Self::NotFound,
        Self::RateLimited,
        Self::QuotaExhausted,
        Self::Overloaded,
        Self::Server,
        Self::Timeout(Phase::Connect),
        Self::Timeout(Phase::FirstByte),
        Self::Timeout(Phase::Idle),
        Self::Timeout(Phase::Attempt),
        Self::Timeout(Phase::Call),
        Self::Connection,
        Self::Tls,
        Self::Redirect,
        Self::Protocol,
        Self::Truncated,
        Self::TooLarge,
        Self::Unavailable,
        Self::Cancelled,
        Self::Config,
        Self::Budget,
        Self::Internal,
    ];

    /// The word used in records and JSON (`rate_limited` …).
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ModelNotFound => "model_not_found",
            Self::ProviderNotFound => "provider_not_found",
            Self::Authentication => "authentication",
            Self::PermissionDenied => "permission_denied",
            Self::InvalidRequest => "invalid_request",
            Self::ContextLength => "context_length",
            Self::ContentFilter => "content_filter",
            Self::NotFound => "not_found",
            Self::RateLimited => "rate_limited",
            Self::QuotaExhausted => "quota_exhausted",
            Self::Overloaded => "overloaded",
            Self::Server => "server",
            Self::Timeout(_) => "timeout",
            Self::Connection => "connection",
            Self::Tls => "tls",
            Self::Redirect => "redirect",
            Self::Protocol => "protocol",
            Self::Truncated => "truncated",
            Self::TooLarge => "too_large",
            Self::Unavailable => "unavailable",
            Self::Cancelled => "cancelled",
            Self::Config => "config",
            Self::Budget => "budget",
            Self::Internal => "internal",
        }
    }

    /// The kind that [`as_str`](Self::as_str) gave, with the phase where it is a time-out.
    #[must_use]
    pub fn parse(word: &str, phase: Option<&str>) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| match kind {
            Self::Timeout(p) => word == "timeout" && phase.is_none_or(|phase| phase == p.as_str()),
            kind => kind.as_str() == word,
        })
    }

    /// The timer, where a timer ran out.
    #[must_use]
    pub const fn phase(self) -> Option<Phase> {
        match self {
            Self::Timeout(phase) => Some(phase),
            _ => None,
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One HTTP exchange of a call, for the log that every result and error carries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRecord {
    /// Counted from 1 over the whole call, whatever wrappers it went through.
    pub number: u32,
    /// How it failed; `None` for the attempt that answered.
    pub kind: Option<ErrorKind>,
    /// How long the call waited before this attempt, for back-off, a cool-down or a free lane.
    pub wait: Duration,
    /// The endpoint: scheme, host and path of its base URL. No query, no user name.
    pub endpoint: String,
    /// The server's name for the exchange, where it gave one.
    pub request_id: Option<String>,
}

impl Serialize for AttemptRecord {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("number", &self.number)?;
        map.serialize_entry("kind", &self.kind.map(ErrorKind::as_str))?;
        if let Some(phase) = self.kind.and_then(ErrorKind::phase) {
            map.serialize_entry("phase", phase.as_str())?;
        }
        map.serialize_entry("wait_ms", &millis(self.wait))?;
        map.serialize_entry("endpoint", &self.endpoint)?;
        map.serialize_entry("request_id", &self.request_id)?;
        map.end()
    }
}

/// A failed call, one pointer wide and cheap to clone.
///
/// `Display` speaks for this level only, [`source`](StdError::source) has what lies below. No prompt, no reply
/// and no key stands in either.
#[derive(Clone)]
pub struct Error(Arc<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    provider: Option<String>,
    model: Option<String>,
    endpoint: Option<String>,
    status: Option<u16>,
    code: Option<String>,
    request_id: Option<String>,
    retry_after: Option<Duration>,
    should_retry: Option<bool>,
    elapsed: Option<Duration>,
    hint: Option<String>,
    attempts: Vec<AttemptRecord>,
    partial: Option<Arc<ChatResponse>>,
    source: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Error {
    /// An error of this kind. The message says what was found and what is allowed, without prompt, reply or key.
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self(Arc::new(Inner {
            kind,
            message: message.into(),
            provider: None,
            model: None,
            endpoint: None,
            status: None,
            code: None,
            request_id: None,
            retry_after: None,
            should_retry: None,
            elapsed: None,
            hint: None,
            attempts: Vec::new(),
            partial: None,
            source: None,
        }))
    }

    /// What went wrong, to branch on.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// The message of this level, as `Display` shows it.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The provider that was asked, by its configured name.
    #[must_use]
    pub fn provider(&self) -> Option<&str> {
        self.0.provider.as_deref()
    }

    /// The model that was asked for.
    #[must_use]
    pub fn model(&self) -> Option<&str> {
        self.0.model.as_deref()
    }

    /// The endpoint that was asked: scheme, host and path of its base URL.
    #[must_use]
    pub fn endpoint(&self) -> Option<&str> {
        self.0.endpoint.as_deref()
    }

    /// The HTTP status, where an answer came.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.0.status
    }

    /// The server's own code or type for the failure (`insufficient_quota` …), as sent.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.0.code.as_deref()
    }

    /// The server's name for the exchange, to quote in a support request.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.0.request_id.as_deref()
    }

    /// How long the server asked to wait, or when the next lane can be tried.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// The server's own word on retrying (`x-should-retry`), which outranks the table's "same lane".
    #[must_use]
    pub fn should_retry(&self) -> Option<bool> {
        self.0.should_retry
    }

    /// How long the whole call took until it failed.
    #[must_use]
    pub fn elapsed(&self) -> Option<Duration> {
        self.0.elapsed
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Every attempt of the call, this failure's last. Empty when nothing was sent.
    #[must_use]
    pub fn attempts(&self) -> &[AttemptRecord] {
        &self.0.attempts
    }

    /// What had come when a stream broke: text, reasoning, tool calls and usage so far.
    #[must_use]
    pub fn partial(&self) -> Option<&ChatResponse> {
        self.0.partial.as_deref()
    }

    /// Whether asking again later may succeed with nothing changed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.0.kind.is_retryable()
    }

    fn with(mut self, set: impl FnOnce(&mut Inner)) -> Self {
        set(Arc::make_mut(&mut self.0));
        self
    }

    /// Replaces the kind, where a later look knows better.
    #[must_use]
    pub fn with_kind(self, kind: ErrorKind) -> Self {
        self.with(|e| e.kind = kind)
    }

    /// Replaces the message.
    #[must_use]
    pub fn with_message(self, message: impl Into<String>) -> Self {
        self.with(|e| e.message = message.into())
    }

    /// Names the provider and the model that were asked.
    #[must_use]
    pub fn with_model(self, provider: impl Into<String>, model: impl Into<String>) -> Self {
        self.with(|e| (e.provider, e.model) = (Some(provider.into()), Some(model.into())))
    }

    /// Names the endpoint: scheme, host and path only.
    #[must_use]
    pub fn with_endpoint(self, endpoint: impl Into<String>) -> Self {
        self.with(|e| e.endpoint = Some(endpoint.into()))
    }

    /// Adds the HTTP status.
    #[must_use]
    pub fn with_status(self, status: u16) -> Self {
        self.with(|e| e.status = Some(status))
    }

    /// Adds the server's own code.
    #[must_use]
    pub fn with_code(self, code: impl Into<String>) -> Self {
        self.with(|e| e.code = Some(code.into()))
    }

    /// Adds the server's name for the exchange.
    #[must_use]
    pub fn with_request_id(self, id: impl Into<String>) -> Self {
        self.with(|e| e.request_id = Some(id.into()))
    }

    /// Adds a waiting time.
    #[must_use]
    pub fn with_retry_after(self, wait: Duration) -> Self {
        self.with(|e| e.retry_after = Some(wait))
    }

    /// Adds the server's own word on retrying.
    #[must_use]
    pub fn with_should_retry(self, should: bool) -> Self {
        self.with(|e| e.should_retry = Some(should))
    }

    /// Adds the time the call took.
    #[must_use]
    pub fn with_elapsed(self, elapsed: Duration) -> Self {
        self.with(|e| e.elapsed = Some(elapsed))
    }

    /// Adds what the user can do.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Self {
        self.with(|e| e.hint = Some(hint.into()))
    }

    /// Adds the log of attempts.
    #[must_use]
    pub fn with_attempts(self, attempts: Vec<AttemptRecord>) -> Self {
        self.with(|e| e.attempts = attempts)
    }

    /// Adds what had come before a stream broke.
    #[must_use]
    pub fn with_partial(self, partial: ChatResponse) -> Self {
        self.with(|e| e.partial = Some(Arc::new(partial)))
    }

    /// Adds the cause.
    #[must_use]
    pub fn with_source(self, source: impl StdError + Send + Sync + 'static) -> Self {
        self.with(|e| e.source = Some(Arc::new(source)))
    }

    /// This error and its causes on one line, `: ` between them.
    #[must_use]
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut next = self.source();
        while let Some(cause) = next {
            let cause_text = cause.to_string();
            // Many libraries repeat their cause in their own text.
            if !text.contains(&cause_text) {
                text.push_str(": ");
                text.push_str(&cause_text);
            }
            next = cause.source();
        }
        text
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let e = &*self.0;
        let mut out = f.debug_struct("Error");
        out.field("kind", &e.kind).field("message", &e.message);
        let texts = [
            ("provider", &e.provider),
            ("model", &e.model),
            ("endpoint", &e.endpoint),
            ("code", &e.code),
            ("request_id", &e.request_id),
            ("hint", &e.hint),
        ];
        for (name, text) in texts.into_iter().filter_map(|(n, t)| Some((n, t.as_ref()?))) {
            out.field(name, text);
        }
        if let Some(status) = e.status {
            out.field("status", &status);
        }
        if let Some(wait) = e.retry_after {
            out.field("retry_after", &wait);
        }
        if !e.attempts.is_empty() {
            out.field("attempts", &e.attempts);
        }
        if let Some(source) = &e.source {
            out.field("source", source);
        }
        // The partial answer is the model's text: it is reachable, not shown.
        out.finish_non_exhaustive()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

/// The one JSON shape of an error: in batch records, `--json` and `--errors json`.
impl Serialize for Error {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let e = &*self.0;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("kind", e.kind.as_str())?;
        if let Some(phase) = e.kind.phase() {
            map.serialize_entry("phase", phase.as_str())?;
        }
        map.serialize_entry("message", &self.chain())?;
        map.serialize_entry("retryable", &self.is_retryable())?;
        map.serialize_entry("http_status", &e.status)?;
        map.serialize_entry("provider", &e.provider)?;
        map.serialize_entry("model", &e.model)?;
        map.serialize_entry("request_id", &e.request_id)?;
        map.serialize_entry("retry_after_ms", &e.retry_after.map(millis))?;
        map.serialize_entry("hint", &e.hint)?;
        map.serialize_entry("attempts", &e.attempts.len())?;
        map.serialize_entry("attempt_log", &e.attempts)?;
        map.end()
    }
}

/// Whole milliseconds, saturating.
fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_pointer_wide() {
        assert_eq!(size_of::<Error>(), size_of::<usize>());
        assert_eq!(size_of::<Result<(), Error>>(), size_of::<usize>());
    }

    #[test]
    fn every_kind_reads_back_from_its_word() {
        for &kind in ErrorKind::ALL {
            assert_eq!(ErrorKind::parse(kind.as_str(), kind.phase().map(Phase::as_str)), Some(kind));
        }
        assert_eq!(ErrorKind::parse("nonsense", None), None);
    }

    #[test]
    fn the_json_shape_is_the_documented_one() {
        let error = Error::new(ErrorKind::Timeout(Phase::Idle), "no data for 120s")
            .with_model("openai", "gpt-x")
            .with_status(200)
            .with_retry_after(Duration::from_millis(1500))
            .with_source(std::io::Error::other("socket closed"));
        assert_eq!(
            serde_json::to_string(&error).unwrap(),
            r#"{"kind":"timeout","phase":"idle","message":"no data for 120s: socket closed","retryable":true,"http_status":200,"provider":"openai","model":"gpt-x","request_id":null,"retry_after_ms":1500,"hint":null,"attempts":0,"attempt_log":[]}"#
        );
    }
}
