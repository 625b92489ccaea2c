//! A request in the form that one connection wants, and what is kept of it for the one resend.

use bytes::{BufMut as _, Bytes};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version, header};
use http_body_util::Full;

use super::lease::Lease;
use super::pool::Host;
use super::proxy::{Proxy, Scheme};

/// A request before it is known which connection it goes over.
pub(super) struct Outgoing {
    method: Method,
    target: PathAndQuery,
    headers: HeaderMap,
    body: Bytes,
}

/// A request that may have to be sent again. Cloning a header map costs an allocation for most values, so names and
/// values are copied into one buffer and read back in the rare case.
pub(super) struct Spare {
    method: Method,
    target: PathAndQuery,
    headers: Vec<u8>,
    body: Bytes,
}

impl Outgoing {
    pub(super) fn new(request: Request<Bytes>) -> Self {
        let (Parts { method, uri, mut headers, .. }, body) = request.into_parts();
        if !headers.contains_key(header::ACCEPT_ENCODING) {
            headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        let target = uri.into_parts().path_and_query.unwrap_or(PathAndQuery::from_static("/"));
        Self { method, target, headers, body }
    }

    /// What is needed to make it again.
    pub(super) fn spare(&self) -> Spare {
        let mut headers = Vec::with_capacity(512);
        for (name, value) in &self.headers {
            put(&mut headers, name.as_str().as_bytes());
            headers.put_u8(value.is_sensitive().into());
            put(&mut headers, value.as_bytes());
        }
        Spare { method: self.method.clone(), target: self.target.clone(), headers, body: self.body.clone() }
    }

    /// The request for one connection: with `Host` and origin form (HTTP/1.1), whole (to a proxy, or over HTTP/2).
    pub(super) fn dress(mut self, lease: &Lease, host: &Host) -> Request<Full<Bytes>> {
        let http2 = lease.is_http2();
        if http2 {
            // The authority of the URL says it.
            self.headers.remove(header::HOST);
        } else if !self.headers.contains_key(header::HOST) {
            self.headers.insert(header::HOST, host.origin.host_header());
        }
        let proxy = whole_to(host);
        if let Some(auth) = proxy.and_then(|proxy| proxy.auth.as_ref()) {
            self.headers.insert(header::PROXY_AUTHORIZATION, auth.clone());
        }
        let mut request = Request::new(Full::new(self.body));
        *request.method_mut() = self.method;
        *request.uri_mut() = if http2 || proxy.is_some() {
            host.origin.with_target(self.target)
        } else {
            Uri::from(self.target)
        };
        *request.version_mut() = if http2 { Version::HTTP_2 } else { Version::HTTP_11 };
        *request.headers_mut() = self.headers;
        request
    }
}

impl Spare {
    pub(super) fn again(self) -> Outgoing {
        let mut headers = HeaderMap::new();
        let mut rest = self.headers.as_slice();
        while let Some((name, value)) = next_header(&mut rest) {
            headers.append(name, value);
        }
        Outgoing { method: self.method, target: self.target, headers, body: self.body }
    }
}

/// The HTTP proxy that gets requests to this host whole, because the host is a plain one.
fn whole_to(host: &Host) -> Option<&Proxy> {
    let proxy = host.proxy.as_deref().filter(|_| !host.origin.is_https())?;
    matches!(proxy.scheme, Scheme::Http | Scheme::Https).then_some(proxy)
}

fn put(to: &mut Vec<u8>, bytes: &[u8]) {
    to.put_u64_ne(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    to.put_slice(bytes);
}

fn next_header(rest: &mut &[u8]) -> Option<(HeaderName, HeaderValue)> {
    let name = HeaderName::from_bytes(take(rest)?).ok()?;
    let (sensitive, after) = rest.split_first()?;
    *rest = after;
    let mut value = HeaderValue::from_bytes(take(rest)?).ok()?;
    value.set_sensitive(*sensitive == 1);
    Some((name, value))
}

fn take<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let (length, after) = rest.split_first_chunk()?;
    let (bytes, after) = after.split_at_checked(usize::try_from(u64::from_ne_bytes(*length)).ok()?)?;
    *rest = after;
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spare_is_the_same_request_again() {
        let mut request = Request::post("http://h/v1?x=y").body(Bytes::from_static(b"body")).unwrap();
        let headers = request.headers_mut();
        headers.append("x", HeaderValue::from_static(""));
        headers.append("x", HeaderValue::from_bytes(b"two \xff").unwrap());
        let mut key = HeaderValue::from_static("canary");
        key.set_sensitive(true);
        headers.append("authorization", key);
        let outgoing = Outgoing::new(request);
        let again = outgoing.spare().again();
        assert_eq!(again.headers, outgoing.headers);
        assert_eq!(again.headers.len(), 4);
        assert!(again.headers["authorization"].is_sensitive() && !again.headers["x"].is_sensitive());
        let is = (again.method.as_str(), again.target.as_str(), &*again.body);
        assert_eq!(is, ("POST", "/v1?x=y", &b"body"[..]));
    }
}
