//! Ways to misbehave below the level of HTTP.

use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;

/// What goes wrong with one exchange, beside what [`Reply::cut_at`](crate::Reply::cut_at),
/// [`stall_at`](crate::Reply::stall_at) and [`reset_at`](crate::Reply::reset_at) do to its body.
///
/// All faults are exact on HTTP/1.1. HTTP/2 has `Close`, `Reset`, `Hang` and `EndlessBody`; there the others, which
/// are about the bytes of an HTTP/1.1 head, close the connection.
///
/// In a script line: `"fault": "close"`, `"fault": {"huge_head": 300000}`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fault {
    /// Reads the request, then closes the connection (FIN) without an answer.
    Close,
    /// Reads the request, then resets the connection (RST) without an answer.
    Reset,
    /// Reads the request and never answers; ends when the client leaves.
    Hang,
    /// Pads the head of the reply with lines of 4 KiB until it holds at least this many bytes.
    HugeHead(usize),
    /// Adds this many short header lines to the reply.
    ManyHeaders(usize),
    /// Sends a status line and then header lines for ever.
    EndlessHead,
    /// Sends the head byte by byte with this many milliseconds before each, then the body as usual.
    SlowHead(u64),
    /// Sends this many `103 Early Hints` heads before the reply.
    Interim(u64),
    /// Sends `103 Early Hints` heads for ever.
    EndlessInterim,
    /// Claims this `content-length`, whatever the body has. A longer claim leaves the connection open and silent
    /// after the body; a shorter one leaves surplus bytes on it.
    ContentLength(u64),
    /// Sends the whole reply and these bytes after it, in the same write.
    #[serde(deserialize_with = "bytes_of_text")]
    Surplus(Bytes),
    /// Sends the body and then these bytes again and again, for ever.
    #[serde(deserialize_with = "bytes_of_text")]
    EndlessBody(Bytes),
}

fn bytes_of_text<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Bytes, D::Error> {
    String::deserialize(from).map(Bytes::from)
}

/// What goes wrong with a connection, whatever is asked on it. See
/// [`MockServer::break_connections`](crate::MockServer::break_connections).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConnectionFault {
    /// Closes a new connection at once, without reading.
    CloseOnAccept,
    /// Resets a new connection at once.
    ResetOnAccept,
    /// Accepts a connection and never reads from it.
    SilentOnAccept,
    /// Reads the next request on a connection that has already served one, then closes without answering it: what a
    /// client sees whose pooled connection went stale.
    CloseOnReuse,
    /// The same, with a reset.
    ResetOnReuse,
}

impl ConnectionFault {
    pub(crate) fn on_accept(self) -> bool {
        matches!(self, Self::CloseOnAccept | Self::ResetOnAccept | Self::SilentOnAccept)
    }
}

/// How an HTTP/1.1 body says where it ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Framing {
    /// By `content-length`. The default for bodies that are not streams.
    Length,
    /// By `transfer-encoding: chunked`. The default for streams.
    Chunked,
    /// By the end of the connection, so that a cut cannot be told from a proper end.
    Close,
}

/// Milliseconds in a script, a [`Duration`] in code.
pub(crate) fn millis<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<Duration>, D::Error> {
    Option::<u64>::deserialize(from).map(|ms| ms.map(Duration::from_millis))
}
