//! The tower layers around one attempt, each with its why, and the seam for a user's own HTTP layers.
//!
//! ```text
//! driver ─► Trace ─► exchange (authorise, send, read, decode or classify)
//!                       └─► a user's own layers ─► transport (all timers of an attempt)
//! ```
//! Deadline and attempt time-out are no layers. The driver cuts the whole call at its deadline, attempts and waits alike;
//! and the attempt's timers start when the exchange has a connection, which only the transport knows: waiting for a
//! free socket is no attempt.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use llm_types::Error;
use tower::{Layer, Service};
use tracing::Instrument as _;

use super::{Attempt, Reply};
use crate::transport::Body;

type Future<T> = Pin<Box<dyn std::future::Future<Output = Result<T, Error>> + Send>>;

/// The transport as a tower service, for layers of a user's own: they see each HTTP exchange of every attempt.
///
/// A layer must pass the request's [extensions](http::Extensions) on: the timers of the attempt stand in them.
pub type HttpService = tower::util::BoxCloneSyncService<http::Request<Bytes>, http::Response<Body>, Error>;

/// The whole stack around one attempt.
pub(crate) type AttemptService = tower::util::BoxCloneSyncService<Attempt, Reply, Error>;

/// Puts the layers around the exchange.
pub(crate) fn stack<S>(exchange: S) -> AttemptService
where
    S: Service<Attempt, Response = Reply, Error = Error> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    let stack = tower::ServiceBuilder::new()
        .layer(TraceLayer) // outermost: the span holds everything an attempt does
        .service(exchange);
    AttemptService::new(stack)
}

/// One span for each attempt, with its outcome. No prompt, no reply, no key.
#[derive(Clone, Copy, Debug)]
struct TraceLayer;

#[derive(Clone, Debug)]
struct Trace<S>(S);

impl<S> Layer<S> for TraceLayer {
    type Service = Trace<S>;

    fn layer(&self, inner: S) -> Trace<S> {
        Trace(inner)
    }
}

impl<S> Service<Attempt> for Trace<S>
where
    S: Service<Attempt, Response = Reply, Error = Error>,
    S::Future: Send + 'static,
{
    type Response = Reply;
    type Error = Error;
    type Future = Future<Reply>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, attempt: Attempt) -> Self::Future {
        let span = tracing::debug_span!(
            "attempt",
            provider = attempt.job.site.provider,
            model = attempt.job.site.model,
            endpoint = attempt.job.site.endpoint,
            operation = ?attempt.job.operation,
            body_bytes = attempt.job.body.len(),
            error.kind = tracing::field::Empty,
            http.status = tracing::field::Empty,
            request_id = tracing::field::Empty,
        );
        let reply = self.0.call(attempt);
        if span.is_disabled() {
            return Box::pin(reply);
        }
        let inner = span.clone();
        Box::pin(
            async move {
                let reply = reply.await;
                if let Err(error) = &reply {
                    span.record("error.kind", error.kind().as_str());
                    if let Some(status) = error.status() {
                        span.record("http.status", status);
                    }
                    if let Some(id) = error.request_id() {
                        span.record("request_id", id);
                    }
                    tracing::debug!(kind = error.kind().as_str(), status = error.status(), "attempt failed");
                } else {
                    tracing::debug!("attempt answered");
                }
                reply
            }
            .instrument(inner),
        )
    }
}
