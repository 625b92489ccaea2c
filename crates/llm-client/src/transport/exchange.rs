//! One request and the head of its answer, with the one resend on a connection that turned out to be dead.

use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use hyper::body::Incoming;
use llm_types::{Error, ErrorKind};

use super::body::Body;
use super::decode::Decoder;
use super::fault;
use super::lease::Lease;
use super::outgoing::Outgoing;
use super::pool::{Asked, Host, Ticket};
use super::timers::Watch;
use super::{MAX_HEADERS, Reply};
use crate::clock;
use crate::settings::Timers;

/// Sends a request and reads the head of the answer.
pub(super) async fn send(host: &Arc<Host>, request: Request<Bytes>, timers: Timers) -> Result<Reply, Error> {
    let mut watch = Watch::new(timers);
    let mut waited = Duration::ZERO;
    let mut lease = lease(host, false, &mut watch, &mut waited).await?;
    let mut outgoing = Outgoing::new(request);
    let mut resent = false;
    loop {
        let spare = lease.reused.then(|| outgoing.spare());
        let Some(answer) = lease.send(outgoing.dress(&lease, host)) else {
            return Err(Error::new(ErrorKind::Internal, "a connection was lent out without being there"));
        };
        watch.reuse(lease.take_sleep());
        watch.attempt_begins();
        watch.request_begins();
        let failed = match answered(host, answer, &mut watch).await? {
            Ok(response) => {
                lease.answered();
                return reply(response, lease, watch).map(|reply| Reply { resent, waited, ..reply });
            }
            Err(failed) => failed,
        };
        let heard = lease.heard();
        // At most once: a fresh connection leaves no spare.
        match spare.filter(|_| !heard && (!lease.is_http2() || fault::is_unprocessed(&failed))) {
            Some(again) => {
                tracing::debug!(origin = %host.origin, "the connection was stale; sending once more");
                lease.stale();
                outgoing = again.again();
                lease = self::lease(host, true, &mut watch, &mut waited).await?;
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
async fn lease(
    host: &Arc<Host>,
    fresh: bool,
    watch: &mut Watch,
    waited: &mut Duration,
) -> Result<Lease, Error> {
    let ticket = match host.ask(fresh)? {
        Asked::Now(lease) => return Ok(lease),
        Asked::Later(ticket) => ticket,
    };
    let began = clock::now();
    let lease = wait(host, ticket, watch).await;
    *waited += clock::now().saturating_duration_since(began);
    lease
}

async fn wait(host: &Host, mut ticket: Ticket, watch: &mut Watch) -> Result<Lease, Error> {
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

fn reply(response: Response<Incoming>, lease: Lease, watch: Watch) -> Result<Reply, Error> {
    let (head, incoming) = response.into_parts();
    if head.headers.len() > MAX_HEADERS {
        let host = lease.host();
        return Err(fault::head_too_large(&host.origin, host.common.limits.max_head));
    }
    let (reused, http2) = (lease.reused, lease.is_http2());
    let body = Body::new(incoming, Decoder::of(&head.headers), watch, lease);
    let (status, headers) = (head.status, head.headers);
    Ok(Reply { status, headers, body, reused, resent: false, http2, waited: Duration::ZERO })
}
