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

use super::{Attempt, Operation, Reply};
use crate::telemetry::{self, AttemptSpan, AttemptStart};
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

/// One span and one count for each attempt, with its outcome. No prompt, no reply, no key.
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
        let job = &attempt.job;
        let (resend, after) = attempt.history;
        let span = AttemptSpan::begin(
            &job.site.observer,
            &AttemptStart {
                operation: job.operation.into(),
                endpoint: &job.site.endpoint,
                method: job.method.as_str(),
                body: job.body.len(),
                resend,
                after,
            },
        );
        let reply = self.0.call(attempt);
        let inside = span.span().clone();
        Box::pin(
            async move {
                let reply = reply.await;
                match &reply {
                    Ok(reply) => span.answered(reply.status.as_u16(), reply.request_id.as_deref()),
                    Err(error) => span.failed(error),
                }
                reply
            }
            .instrument(inside),
        )
    }
}

impl From<Operation> for telemetry::Operation {
    fn from(operation: Operation) -> Self {
        match operation {
            Operation::Chat | Operation::Stream => Self::Chat,
            Operation::Embed { .. } => Self::Embeddings,
            Operation::Models => Self::ListModels,
            Operation::Count => Self::CountTokens,
        }
    }
}
