//! A request on the wire: its parts, the headers that all formats send alike, and the key's place among them.

use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use llm_types::{Error, ErrorKind, Secret, Warning};

use super::{AuthHeader, Paths, Quirks, WireTarget, body, path};

/// A request on the wire, but for its address and its key.
#[derive(Clone, Debug)]
pub struct Encoded {
    /// The method.
    pub method: Method,
    /// The path under the base URL, with its slash.
    pub path: String,
    /// The query, without its question mark.
    pub query: Option<String>,
    /// The headers of the format. The key is not among them.
    pub headers: HeaderMap,
    /// The body; empty where there is none.
    pub body: Bytes,
    /// What could not be said. They belong into the response.
    pub warnings: Vec<Warning>,
}

impl Encoded {
    /// Puts a body under the path of this name.
    pub(super) fn new(
        method: Method,
        target: &WireTarget<'_>,
        leaf: &str,
        body: body::Body,
        stream: bool,
    ) -> Self {
        let (path, query) = match target.quirks.paths {
            Paths::Deployments { api_version } if method == Method::POST => (
                format!("/deployments/{}/{leaf}", path::segment(target.model)),
                Some(format!("api-version={api_version}")),
            ),
            Paths::Deployments { api_version } => {
                (format!("/{leaf}"), Some(format!("api-version={api_version}")))
            }
            Paths::Plain | Paths::RawPredict { .. } => (format!("/{leaf}"), None),
        };
        Self::at(method, path, query, body, stream)
    }

    /// Puts a body under this path.
    pub(super) fn at(
        method: Method,
        path: String,
        query: Option<String>,
        body: body::Body,
        stream: bool,
    ) -> Self {
        let mut headers = head(stream);
        let (bytes, warnings) = body.finish();
        let body = if method == Method::POST {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            bytes
        } else {
            Bytes::new()
        };
        Self { method, path, query, headers, body, warnings }
    }
}

/// The headers that say what is understood in answer.
pub(super) fn head(stream: bool) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let accept = if stream { "text/event-stream" } else { "application/json" };
    headers.insert(ACCEPT, HeaderValue::from_static(accept));
    if stream {
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    }
    headers
}

/// The key in the header that the quirks name.
pub(super) fn put_key(key: &Secret, quirks: &Quirks, headers: &mut HeaderMap) -> Result<(), Error> {
    let wrong = |_| Error::new(ErrorKind::Config, "the key holds characters that no header may carry");
    let (name, mut value) = match quirks.auth {
        AuthHeader::Bearer => {
            (AUTHORIZATION, HeaderValue::try_from(format!("Bearer {}", key.expose())).map_err(wrong)?)
        }
        AuthHeader::Named(name) => {
            let name = HeaderName::try_from(name).map_err(|_| {
                Error::new(ErrorKind::Config, format!("`{name}` is not the name of a header"))
            })?;
            (name, HeaderValue::try_from(key.expose()).map_err(wrong)?)
        }
    };
    value.set_sensitive(true);
    headers.insert(name, value);
    Ok(())
}
