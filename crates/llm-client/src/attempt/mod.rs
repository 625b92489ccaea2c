//! One HTTP exchange: authorise ▸ send ▸ read ▸ decode, or classify. It ends with a decoded answer or a typed error, so
//! that an error inside a 200, a quota 429 and a stream that dies before its first content are all seen by the driver.

mod events;
mod stack;
mod wire_log;

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use llm_types::{ChatResponse, EmbeddingResponse, Error, ErrorKind, Secret, TokenCount, Warning};
use tower::{Service, ServiceExt as _};

pub(crate) use self::events::Events;
pub use self::stack::HttpService;
pub(crate) use self::stack::{AttemptService, stack};
pub use self::wire_log::log_bodies;
use crate::clock;
use crate::dialect::{Dialect, Hints, ModelPage, Quirks, WireTarget};
use crate::lane;
use crate::login::TokenSource;
use crate::settings::Timers;
use crate::telemetry::Observer;
use crate::transport::{Body, Transport, redirect_error, secret_header};

/// What is the same for every attempt of a client: where it talks to, and how.
#[derive(Debug)]
pub(crate) struct Site {
    /// Scheme, host and path of the base URL, for logs and errors.
    pub(crate) endpoint: String,
    pub(crate) provider: String,
    pub(crate) model: String,
    pub(crate) dialect: Dialect,
    pub(crate) quirks: Quirks,
    /// A user name and password that stood in the base URL, used where no key is.
    pub(crate) login: Option<HeaderValue>,
    /// Tokens that expire, used where no key is.
    pub(crate) tokens: Option<Arc<dyn TokenSource>>,
    pub(crate) max_response: u64,
    pub(crate) max_event: u64,
    pub(crate) max_error: u64,
    /// Who makes the attempts, for traces and figures.
    pub(crate) observer: Observer,
}

impl Site {
    /// What a request is written for and an answer read from.
    pub(crate) fn target(&self) -> WireTarget<'_> {
        WireTarget { model: &self.model, quirks: &self.quirks, origin: Some(&self.provider) }
    }
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Chat,
    Stream,
    Embed { inputs: usize },
    Models,
    Count,
}

/// One request as it will be sent, shared by the attempts of a call.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) site: Arc<Site>,
    pub(crate) operation: Operation,
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    /// The part of the address's query that the format asked for.
    pub(crate) query: Option<String>,
    /// Without the key.
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) warnings: Vec<Warning>,
    pub(crate) timers: Timers,
    pub(crate) keep_raw: bool,
    /// The service tier that is asked for.
    pub(crate) tier: Option<Box<str>>,
}

/// One exchange of a job, with the key of its lane.
#[derive(Clone, Debug)]
pub(crate) struct Attempt {
    pub(crate) job: Arc<Job>,
    pub(crate) key: Option<Secret>,
    /// How many attempts of the call came before, and how the last of them failed.
    pub(crate) history: (usize, Option<ErrorKind>),
}

/// What an exchange gave.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) answer: Answer,
    pub(crate) request_id: Option<String>,
    pub(crate) status: StatusCode,
    /// The head, for what it says about limits.
    pub(crate) headers: HeaderMap,
}

/// The decoded answer.
#[derive(Debug)]
pub(crate) enum Answer {
    Chat(Box<ChatResponse>),
    Stream(Box<Events>),
    Embeddings(Box<EmbeddingResponse>),
    Models(ModelPage),
    Count(Box<TokenCount>),
}

/// The transport as the innermost service.
#[derive(Clone, Debug)]
pub(crate) struct Wire(pub(crate) Transport);

type Exchanged<T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send>>;

impl Service<http::Request<Bytes>> for Wire {
    type Response = http::Response<Body>;
    type Error = Error;
    type Future = Exchanged<http::Response<Body>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        // The pool waits while it sends, with the timers of the request.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: http::Request<Bytes>) -> Self::Future {
        let none = Timers { attempt: None, first_byte: None, idle: None };
        let timers = request.extensions_mut().remove::<Timers>().unwrap_or(none);
        let transport = self.0.clone();
        Box::pin(async move {
            let reply = transport.send(request, timers).await?;
            let mut response = http::Response::new(reply.body);
            *response.status_mut() = reply.status;
            *response.headers_mut() = reply.headers;
            Ok(response)
        })
    }
}

/// Authorise, send, read, decode or classify.
#[derive(Clone)]
pub(crate) struct Exchange(pub(crate) HttpService);

impl Service<Attempt> for Exchange {
    type Response = Reply;
    type Error = Error;
    type Future = Exchanged<Reply>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Error>> {
        // The user's layers are asked when the request is there: `oneshot` below.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, attempt: Attempt) -> Self::Future {
        let http = self.0.clone();
        Box::pin(async move {
            let result = exchange(http, &attempt).await;
            result.map_err(|error| finish_error(error, &attempt))
        })
    }
}

/// What every error of an exchange says: where, and nothing of the key.
fn finish_error(error: Error, attempt: &Attempt) -> Error {
    let error = error.with_endpoint(&attempt.job.site.endpoint);
    match &attempt.key {
        Some(key) => {
            let message = key.scrub(error.message());
            error.with_message(message)
        }
        None => error,
    }
}

/// The request of an attempt, with its key or this token.
pub(crate) fn authorise(attempt: &Attempt, token: Option<&Secret>) -> Result<http::Request<Bytes>, Error> {
    let job = &attempt.job;
    let mut request = http::Request::new(job.body.clone());
    *request.method_mut() = job.method.clone();
    *request.uri_mut() = job.uri.clone();
    *request.headers_mut() = job.headers.clone();
    if let Some(token) = token {
        request.headers_mut().insert(header::AUTHORIZATION, secret_header("Bearer ", token)?);
    } else if let Some(key) = &attempt.key {
        job.site.dialect.authorise(key, &job.site.quirks, request.headers_mut())?;
    } else if let Some(login) = &job.site.login
        && !request.headers().contains_key(header::AUTHORIZATION)
    {
        request.headers_mut().insert(header::AUTHORIZATION, login.clone());
    }
    request.extensions_mut().insert(job.timers);
    Ok(request)
}

async fn exchange(http: HttpService, attempt: &Attempt) -> Result<Reply, Error> {
    let tokens = attempt.job.site.tokens.as_ref().filter(|_| attempt.key.is_none());
    let Some(tokens) = tokens else { return exchange_with(http, attempt, None).await };
    let token = tokens.token().await?;
    let scrubbed = |error: Error, token: &Secret| {
        let message = token.scrub(error.message());
        error.with_message(message)
    };
    let error = match exchange_with(http.clone(), attempt, Some(&token)).await {
        Err(error) if error.status() == Some(StatusCode::UNAUTHORIZED.as_u16()) => scrubbed(error, &token),
        result => return result.map_err(|error| scrubbed(error, &token)),
    };
    // It may have been withdrawn before its time: with another one the request was never looked at.
    tokens.refused(&token);
    let fresh = tokens.token().await?;
    if fresh == token {
        return Err(error);
    }
    exchange_with(http, attempt, Some(&fresh)).await.map_err(|error| scrubbed(error, &fresh))
}

async fn exchange_with(http: HttpService, attempt: &Attempt, token: Option<&Secret>) -> Result<Reply, Error> {
    let job = &attempt.job;
    let site = &job.site;
    let (request, key) = (authorise(attempt, token)?, token.or(attempt.key.as_ref()));
    wire_log::sending(&request, key);
    let started = clock::now();
    let response = http.oneshot(request).await;
    let response = response.inspect_err(|error| wire_log::failed(error, started.elapsed(), key))?;
    let (head, body) = response.into_parts();
    wire_log::answered(head.status, &head.headers, started.elapsed(), key);
    let request_id = site.dialect.request_id(&head.headers, &site.quirks).map(str::to_owned);
    let named = |error: Error| match &request_id {
        Some(id) if error.request_id().is_none() => error.with_request_id(id),
        _ => error,
    };
    if let Some(error) = redirect_error(head.status, &head.headers, &job.uri) {
        return Err(named(error));
    }
    if !head.status.is_success() {
        let text = body.read_beginning(site.max_error).await;
        wire_log::received(&text, key);
        return Err(named(classify(site, head.status, &head.headers, &text)));
    }
    let answer = read(job, &head.headers, body, key).await.map_err(|error| {
        let error = if error.status().is_none() { error.with_status(head.status.as_u16()) } else { error };
        named(error)
    })?;
    Ok(Reply { answer, request_id, status: head.status, headers: head.headers })
}

/// The typed error of an answer that is none.
pub(crate) fn classify(site: &Site, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Error {
    let hints = Hints {
        retry_after: lane::retry_after(headers, SystemTime::now()),
        should_retry: lane::should_retry(headers),
    };
    site.dialect.classify(status, headers, body, &site.target(), hints)
}

async fn read(job: &Job, headers: &HeaderMap, body: Body, key: Option<&Secret>) -> Result<Answer, Error> {
    let site = &job.site;
    if job.operation == Operation::Stream {
        return Events::open(site, headers, body, &job.warnings, key)
            .await
            .map(|events| Answer::Stream(Box::new(events)));
    }
    let bytes = body.read_to_end(site.max_response).await?;
    wire_log::received(&bytes, key);
    if is_html(headers, &bytes) {
        return Err(html());
    }
    match job.operation {
        Operation::Chat | Operation::Stream => {
            let mut response = site.dialect.decode_chat(&bytes, &site.target())?;
            response.warnings.splice(0..0, job.warnings.iter().cloned());
            if job.keep_raw {
                response.raw = Some(Arc::from(&*bytes));
            }
            Ok(Answer::Chat(Box::new(response)))
        }
        Operation::Embed { inputs } => {
            let mut response = site.dialect.decode_embeddings(&bytes, inputs, &site.target())?;
            response.warnings.splice(0..0, job.warnings.iter().cloned());
            Ok(Answer::Embeddings(Box::new(response)))
        }
        Operation::Models => site.dialect.decode_models(&bytes, &site.target()).map(Answer::Models),
        Operation::Count => {
            let mut count = site.dialect.decode_count(&bytes, &site.target())?;
            count.warnings.splice(0..0, job.warnings.iter().cloned());
            Ok(Answer::Count(Box::new(count)))
        }
    }
}

/// Whether a 200 is a web page: a proxy's log-in, or a base URL that points at a site and not at an API.
pub(crate) fn is_html(headers: &HeaderMap, beginning: &[u8]) -> bool {
    let told = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    told.is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("text/html"))
        || beginning.trim_ascii_start().get(..9).is_some_and(|start| start.eq_ignore_ascii_case(b"<!doctype"))
        || beginning.trim_ascii_start().get(..5).is_some_and(|start| start.eq_ignore_ascii_case(b"<html"))
}

pub(crate) fn html() -> Error {
    Error::new(ErrorKind::Protocol, "the server answered with a web page, not with an answer of the API")
        .with_hint(
            "check the base URL: it should end where the API begins, often in /v1; or a proxy stands between",
        )
}
