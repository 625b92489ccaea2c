//! What a call would send, for whoever wants to look before anything goes out.

use std::fmt;

use bytes::Bytes;
use http::Method;
use llm_types::Warning;

/// A request as it would be sent. Nothing secret is in it: a key's place is marked, its text is not there.
///
/// The headers that the transport adds (`host`, `content-length`, the `accept-encoding` of a plain call) are not among
/// those shown.
#[derive(Clone, Debug)]
pub struct Preview {
    /// The client that would send it, `provider/model`.
    pub client: String,
    /// The method.
    pub method: Method,
    /// The whole address. Of a query that stands in the base URL the names are shown and the values are not.
    pub url: String,
    /// The headers in order, each with its name in lower case.
    pub headers: Vec<(String, HeaderText)>,
    /// The body, byte for byte.
    pub body: Bytes,
    /// What could not be said in the server's format.
    pub warnings: Vec<Warning>,
}

/// A header's value as far as it may be shown. `Display` gives `[redacted]` for a key and `[hidden]` for a value that
/// the user set, which may hold another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HeaderText {
    /// Harmless.
    Plain(String),
    /// Here stands the key, after this word (`Bearer `, or nothing).
    Key {
        /// What stands before it.
        before: &'static str,
    },
    /// A header of the user's own.
    Hidden,
}

impl fmt::Display for HeaderText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(text) => f.write_str(text),
            Self::Key { before } => write!(f, "{before}[redacted]"),
            Self::Hidden => f.write_str("[hidden]"),
        }
    }
}
