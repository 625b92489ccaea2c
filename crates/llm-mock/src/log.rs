//! What was asked and how it ended: the request log kept in memory, and the guard that never forgets an end.

use std::{
    fmt,
    sync::{Arc, OnceLock, atomic::Ordering::SeqCst},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{HeaderMap, Method, Version};

use crate::{
    dialect::{Dialect, Marks},
    shared::{Shared, lock},
};

/// How an exchange ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Not at its end yet.
    Pending,
    /// The reply was sent to its end. Said just before its last bytes (at most 16 KiB) are written, so that whoever
    /// has read the reply finds it here.
    Answered,
    /// The script or a fault broke the exchange off.
    Cut,
    /// The client left, or reset the stream, before the end of the reply.
    Cancelled,
    /// The server was shut down first.
    Shutdown,
}

/// A request as it arrived, and how it ended. Cheap to clone; a clone shows a later end too.
#[derive(Clone)]
pub struct Request(pub(crate) Arc<Received>);

/// What the transports hand in.
pub(crate) struct Received {
    pub(crate) number: u64,
    pub(crate) arrived: Instant,
    pub(crate) since_start: Duration,
    pub(crate) connection: u64,
    pub(crate) version: Version,
    pub(crate) method: Method,
    /// As on the request line, known to be UTF-8.
    pub(crate) target: Bytes,
    pub(crate) key: Option<Bytes>,
    pub(crate) marks: Marks,
    /// Empty unless somebody is going to look.
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// What is odd about it, once somebody has looked.
    pub(crate) notes: OnceLock<Vec<String>>,
    pub(crate) end: OnceLock<(Instant, Outcome, Option<u16>)>,
}

/// The key in a header that may carry one.
pub(crate) fn key_of<'a>(name: &str, value: &'a [u8]) -> Option<&'a [u8]> {
    if name.eq_ignore_ascii_case("authorization") {
        let (scheme, key) = value.split_at_checked(7)?;
        return scheme.eq_ignore_ascii_case(b"Bearer ").then_some(key.trim_ascii());
    }
    let named =
        ["api-key", "x-api-key", "x-goog-api-key"].iter().any(|known| name.eq_ignore_ascii_case(known));
    named.then_some(value)
}

impl Received {
    pub(crate) fn target(&self) -> &str {
        std::str::from_utf8(&self.target).unwrap_or_default()
    }

    pub(crate) fn path(&self) -> &str {
        let target = self.target();
        // A proxy is asked with the whole URL.
        let path = match target.split_once("://") {
            Some((_, rest)) if !target.starts_with('/') => {
                rest.find('/').and_then(|at| rest.split_at_checked(at)).map_or("/", |(_, path)| path)
            }
            _ => target,
        };
        path.split_once('?').map_or(path, |(path, _)| path)
    }

    pub(crate) fn query(&self) -> Option<&str> {
        self.target().split_once('?').map(|(_, query)| query)
    }

    pub(crate) fn key(&self) -> Option<&str> {
        self.key.as_deref().and_then(|key| std::str::from_utf8(key).ok())
    }
}

impl Request {
    /// The server's count of requests when this one arrived, from 1.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.0.number
    }

    /// When its last byte was read.
    #[must_use]
    pub fn arrived(&self) -> Instant {
        self.0.arrived
    }

    /// The same, since the server's start.
    #[must_use]
    pub fn since_start(&self) -> Duration {
        self.0.since_start
    }

    /// The connection it came on; connections are numbered from 1.
    #[must_use]
    pub fn connection(&self) -> u64 {
        self.0.connection
    }

    /// HTTP/1.0, 1.1 or 2.
    #[must_use]
    pub fn version(&self) -> Version {
        self.0.version
    }

    /// The method.
    #[must_use]
    pub fn method(&self) -> &Method {
        &self.0.method
    }

    /// The request target as it was sent: path and query, or a whole URL when the server was used as a proxy.
    #[must_use]
    pub fn target(&self) -> &str {
        self.0.target()
    }

    /// The path, without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.0.path()
    }

    /// What follows the `?`.
    #[must_use]
    pub fn query(&self) -> Option<&str> {
        self.0.query()
    }

    /// All headers.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    /// One header's first value, if it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.0.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The key: a bearer token, or the value of `api-key`, `x-api-key` or `x-goog-api-key`.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        self.0.key()
    }

    /// The dialect it speaks.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        Dialect::of(&self.0)
    }

    /// What is odd about it, though the real server might take it: members that the protocol does not name
    /// (``unknown member `foo` ``), and `key in the URL`, which is refused. Of Anthropic and Gemini requests only,
    /// and only while there is a log.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        self.0.notes.get().map_or(&[], Vec::as_slice)
    }

    /// The body, byte for byte.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.0.body
    }

    /// The body as JSON; `null` if it is none.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.0.body).unwrap_or_default()
    }

    /// How the exchange ended, by now.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        self.0.end.get().map_or(Outcome::Pending, |(_, outcome, _)| *outcome)
    }

    /// The status that was sent; `None` before the end, or when no head was sent (or a raw one).
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        self.0.end.get().and_then(|(_, _, status)| *status)
    }

    /// When the exchange ended: the answer went out, or the client was seen to leave.
    #[must_use]
    pub fn ended(&self) -> Option<Instant> {
        self.0.end.get().map(|(at, _, _)| *at)
    }
}

/// Names and sizes only: no header value, no query, no body.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("number", &self.0.number)
            .field("since_start", &self.0.since_start)
            .field("connection", &self.0.connection)
            .field("method", &self.0.method)
            .field("path", &self.path())
            .field("headers", &self.0.headers.keys().map(http::HeaderName::as_str).collect::<Vec<_>>())
            .field("body_bytes", &self.0.body.len())
            .field("status", &self.status())
            .field("outcome", &self.outcome())
            .finish()
    }
}

/// One exchange in progress. Dropped without [`Exchange::finish`], it was cancelled, or the server is going down.
pub(crate) struct Exchange {
    shared: Arc<Shared>,
    pub(crate) request: Arc<Received>,
    /// Requests in flight when this one arrived, itself included.
    pub(crate) in_flight: u64,
    /// Set when a head was sent.
    status: Option<u16>,
    finished: bool,
}

impl Exchange {
    /// Counts and logs an arrival. `received.number` is filled in here.
    pub(crate) fn begin(shared: &Arc<Shared>, mut received: Received) -> Self {
        let (number, in_flight) = shared.counters.arrive(Dialect::of(&received));
        received.number = number;
        let request = Arc::new(received);
        if shared.config.log {
            lock(&shared.log).push(Request(Arc::clone(&request)));
        }
        shared.changed.notify_waiters();
        Self { shared: Arc::clone(shared), request, in_flight, status: None, finished: false }
    }

    /// Notes that a head with this status goes out.
    pub(crate) fn head_sent(&mut self, status: u16) {
        self.status = Some(status);
    }

    /// Notes the end. Only the first one counts.
    pub(crate) fn finish(&mut self, outcome: Outcome) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        // First the record, then the numbers: who waits for a number finds the record complete.
        let _ = self.request.end.set((Instant::now(), outcome, self.status));
        if let Some(file) = &self.shared.log_file {
            let written = file.write(&self.request, outcome, self.status);
            self.shared.counters.log_errors.fetch_add(u64::from(written.is_err()), SeqCst);
        }
        self.shared.counters.leave(outcome, self.status);
        self.shared.changed.notify_waiters();
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        let closing = self.shared.closing.load(SeqCst);
        self.finish(if closing { Outcome::Shutdown } else { Outcome::Cancelled });
    }
}
