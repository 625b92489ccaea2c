//! One request and the head of its answer, with the one resend on a connection that turned out to be dead.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use bytes::Bytes;
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri, Version, header};
use http_body_util::Full;
use hyper::body::Incoming;
use llm_types::{Error, ErrorKind};

use super::body::Body;
use super::decode::Decoder;
use super::fault;
use super::lease::Lease;
use super::pool::{Asked, Host};
use super::proxy::Scheme;
use super::timers::Watch;
use super::{MAX_HEADERS, Reply};
use crate::settings::Timers;

/// A request in a form that can be sent twice.
struct Outgoing {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
}

impl Outgoing {
    fn new(request: Request<Bytes>) -> Self {
        let (Parts { method, uri, mut headers, .. }, body) = request.into_parts();
        headers.entry(header::ACCEPT_ENCODING).or_insert(HeaderValue::from_static("identity"));
        Self { method, uri, headers, body }
    }

    /// The request as one connection wants it, and itself again where it may be needed for a second try.
    fn dress(mut self, lease: &Lease, host: &Host) -> (Request<Full<Bytes>>, Option<Self>) {
        let spare = lease.reused.then(|| Self {
            method: self.method.clone(),
            uri: self.uri.clone(),
            headers: self.headers.clone(),
            body: self.body.clone(),
        });
        let http2 = lease.is_http2();
        if http2 {
            // The authority of the URL says it.
            self.headers.remove(header::HOST);
        } else {
            self.headers.entry(header::HOST).or_insert_with(|| host.origin.host_header());
        }
        let whole = self.take_proxy_headers(host);
        let mut request = Request::new(Full::new(self.body));
        *request.method_mut() = self.method;
        *request.uri_mut() = match self.uri.path_and_query() {
            _ if http2 || whole => self.uri,
            Some(target) => Uri::from(target.clone()),
            None => Uri::from(PathAndQuery::from_static("/")),
        };
        *request.version_mut() = if http2 { Version::HTTP_2 } else { Version::HTTP_11 };
        *request.headers_mut() = self.headers;
        (request, spare)
    }

    /// Whether the request goes to a proxy, whole; then with the proxy's own header.
    fn take_proxy_headers(&mut self, host: &Host) -> bool {
        let proxy = match &host.proxy {
            Some(proxy) if !host.origin.is_https() => proxy,
            _ => return false,
        };
        let whole = matches!(proxy.scheme, Scheme::Http | Scheme::Https);
        if let (true, Some(auth)) = (whole, &proxy.auth) {
            self.headers.insert(header::PROXY_AUTHORIZATION, auth.clone());
        }
        whole
    }
}

/// Sends a request and reads the head of the answer.
pub(super) async fn send(host: &Arc<Host>, request: Request<Bytes>, timers: Timers) -> Result<Reply, Error> {
    let mut watch = Watch::new(timers);
    let mut lease = lease(host, false, &mut watch).await?;
    let mut outgoing = Outgoing::new(request);
    let mut resent = false;
    loop {
        let reused = lease.reused;
        let (request, spare) = outgoing.dress(&lease, host);
        let Some(answer) = lease.send(request) else {
            return Err(Error::new(ErrorKind::Internal, "a connection was lent out without being there"));
        };
        watch.attempt_begins();
        watch.request_begins();
        let failed = match answered(host, answer, &mut watch).await? {
            Ok(response) => {
                lease.answered();
                return reply(response, lease, watch, resent);
            }
            Err(failed) => failed,
        };
        let heard = lease.heard();
        // At most once: a fresh connection leaves no spare.
        match spare.filter(|_| !heard && (!lease.is_http2() || fault::is_unprocessed(&failed))) {
            Some(again) => {
                tracing::debug!(origin = %host.origin, reused, "the connection was stale; sending once more");
                lease.stale();
                outgoing = again;
                lease = self::lease(host, true, &mut watch).await?;
                resent = true;
            }
            None => {
                let max_head = host.common.limits.max_head;
                return Err(fault::no_answer(&host.origin, heard, max_head, lease.tls_fault(), failed));
            }
        }
    }
}

/// A connection. Connecting is part of the attempt; waiting because every socket is taken is not.
async fn lease(host: &Arc<Host>, fresh: bool, watch: &mut Watch) -> Result<Lease, Error> {
    let mut ticket = match host.ask(fresh)? {
        Asked::Now(lease) => return Ok(lease),
        Asked::Later(ticket) => ticket,
    };
    if ticket.queued {
        return ticket.lease().await;
    }
    watch.attempt_begins();
    let mut waiting = pin!(ticket.lease());
    std::future::poll_fn(|cx| {
        if let Poll::Ready(lease) = waiting.as_mut().poll(cx) {
            return Poll::Ready(lease);
        }
        watch.poll(cx).map(|(phase, limit)| Err(fault::timed_out(&host.origin, phase, limit)))
    })
    .await
}

/// Waits for the head, or for a timer.
async fn answered(
    host: &Host,
    answer: impl Future<Output = hyper::Result<Response<Incoming>>>,
    watch: &mut Watch,
) -> Result<hyper::Result<Response<Incoming>>, Error> {
    let mut answer = pin!(answer);
    std::future::poll_fn(|cx| {
        if let Poll::Ready(response) = answer.as_mut().poll(cx) {
            return Poll::Ready(Ok(response));
        }
        watch.poll(cx).map(|(phase, limit)| Err(fault::timed_out(&host.origin, phase, limit)))
    })
    .await
}

fn reply(response: Response<Incoming>, lease: Lease, watch: Watch, resent: bool) -> Result<Reply, Error> {
    let (head, incoming) = response.into_parts();
    if head.headers.len() > MAX_HEADERS {
        let host = lease.host();
        return Err(fault::head_too_large(&host.origin, host.common.limits.max_head));
    }
    let (reused, http2) = (lease.reused, lease.is_http2());
    let body = Body::new(incoming, Decoder::of(&head.headers), watch, lease);
    Ok(Reply { status: head.status, headers: head.headers, body, reused, resent, http2 })
}
