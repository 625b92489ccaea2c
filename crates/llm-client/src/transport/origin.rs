//! Scheme, host and port of a request: what connections are shared by.

use std::fmt;
use std::sync::Arc;

use http::uri::{Authority, Scheme, Uri};
use http::{HeaderValue, header};
use llm_types::{Error, ErrorKind};

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

/// What tells origins apart.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    https: bool,
    authority: Authority,
}

impl Key {
    /// # Errors
    /// [`ErrorKind::Config`] for a URL that is not `http(s)://host…`, or one that holds a user name.
    pub(super) fn of(uri: &Uri) -> Result<Self, Error> {
        let wrong = |what| Err(Error::new(ErrorKind::Config, format!("the URL of a request {what}")));
        let https = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(scheme) if *scheme == Scheme::HTTP => false,
            _ => return wrong("begins with neither http:// nor https://"),
        };
        match uri.authority() {
            Some(authority) if authority.host().is_empty() => wrong("names no host"),
            Some(authority) if authority.as_str().contains('@') => wrong("holds a user name"),
            Some(authority) => Ok(Self { https, authority: authority.clone() }),
            None => wrong("names no host"),
        }
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
