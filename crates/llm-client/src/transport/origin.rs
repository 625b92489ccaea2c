//! Scheme, host and port of a request: what connections are shared by, within one runtime.

use std::fmt;
use std::hash::Hasher;
use std::sync::Arc;

use http::uri::{self, Authority, PathAndQuery, Scheme, Uri};
use http::{HeaderValue, header};
use llm_types::{Error, ErrorKind};
use tokio::runtime::{Handle, Id};

/// Where connections lead. `Display` is `scheme://host:port`.
#[derive(Clone)]
pub(super) struct Origin(Arc<Inner>);

struct Inner {
    key: Key,
    /// `scheme://host:port/`, with the port written out.
    uri: Uri,
    host: HeaderValue,
    shown: String,
}

/// What tells the owners of connections apart. The runtime is one of them: it drives the connections that were opened on
/// it, so that a call from another one would wait for ever while it stands still (which it does while a blocking call
/// is made from its only thread), and find them dead when it has ended.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    https: bool,
    authority: Authority,
    runtime: Option<Id>,
}

impl Key {
    /// The key of a URL that may not be one of ours. Good for finding what [`checked`](Self::checked) let in.
    pub(super) fn of(uri: &Uri) -> Option<Self> {
        Some(Self {
            https: uri.scheme() == Some(&Scheme::HTTPS),
            authority: uri.authority()?.clone(),
            runtime: Handle::try_current().ok().map(|runtime| runtime.id()),
        })
    }

    /// # Errors
    /// [`ErrorKind::Config`] for a URL that is not `http(s)://host…`, or one that holds a user name.
    pub(super) fn checked(uri: &Uri) -> Result<Self, Error> {
        let wrong = |what| Err(Error::new(ErrorKind::Config, format!("the URL of a request {what}")));
        let scheme = uri.scheme();
        if scheme != Some(&Scheme::HTTPS) && scheme != Some(&Scheme::HTTP) {
            return wrong("begins with neither http:// nor https://");
        }
        match Self::of(uri) {
            Some(key) if key.authority.host().is_empty() => wrong("names no host"),
            Some(key) if key.authority.as_str().contains('@') => wrong("holds a user name"),
            Some(key) => Ok(key),
            None => wrong("names no host"),
        }
    }
}

/// Cheaper than the standard hasher for a handful of short keys, which come from the user's own settings.
#[derive(Clone, Copy)]
pub(super) struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Origin {
    pub(super) fn new(key: Key) -> Result<Self, Error> {
        let scheme = if key.https { "https" } else { "http" };
        let port = key.authority.port_u16().unwrap_or(if key.https { 443 } else { 80 });
        let shown = format!("{scheme}://{}:{port}", key.authority.host());
        let wrong = |_| Error::new(ErrorKind::Config, "the host of a request cannot be read");
        let uri = Uri::try_from(format!("{shown}/")).map_err(wrong)?;
        let host = HeaderValue::from_str(key.authority.as_str()).map_err(|_| {
            Error::new(ErrorKind::Config, format!("no {} header can name {shown}", header::HOST))
        })?;
        Ok(Self(Arc::new(Inner { key, uri, host, shown })))
    }

    pub(super) fn is_https(&self) -> bool {
        self.0.key.https
    }

    pub(super) fn uri(&self) -> &Uri {
        &self.0.uri
    }

    /// The whole URL of a request.
    pub(super) fn with_target(&self, target: PathAndQuery) -> Uri {
        let mut parts = uri::Parts::default();
        parts.scheme = Some(if self.is_https() { Scheme::HTTPS } else { Scheme::HTTP });
        parts.authority = Some(self.0.key.authority.clone());
        parts.path_and_query = Some(target);
        // All three are there, which is all that can be wrong.
        Uri::from_parts(parts).unwrap_or_default()
    }

    /// The value of the `Host` header.
    pub(super) fn host_header(&self) -> HeaderValue {
        self.0.host.clone()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.shown)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.shown)
    }
}
