//! HTTP/2 by prior knowledge, on hyper. One stream's answer can stall, break or be reset; what is about the bytes of
//! an HTTP/1.1 head closes the connection.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use http::{HeaderName, HeaderValue, Method, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::Notify,
    time::{Instant, Sleep},
};

use crate::{
    answer::{Answer, Flow, RESET_AFTER, Step},
    dialect::Marks,
    fault::{ConnectionFault, Fault, Framing},
    log::{Exchange, Outcome, Received, key_of},
    openai_chat::Problem,
    shared::Shared,
};

/// The most one data frame takes, so that a client that leaves is noticed in time.
const FRAME: usize = 16 * 1024;
const STREAMS: u32 = 1024;
/// What a client may send ahead on one stream; the standard's 64 KiB would make large prompts slow.
const WINDOW: u32 = 1024 * 1024;

/// One connection, as its streams see it.
struct Connection {
    shared: Arc<Shared>,
    number: u64,
    served: AtomicU64,
    /// Told when the connection is to end.
    end: Notify,
    /// Whether it ends by a reset.
    reset: Arc<AtomicBool>,
}

/// The error of a body that breaks off.
#[derive(Debug, thiserror::Error)]
#[error("the script breaks the stream off here")]
struct Broken;

/// Serves a connection to its end. `seen` was read from it already.
pub(crate) async fn serve(stream: TcpStream, seen: Bytes, shared: Arc<Shared>, number: u64) {
    let reset = Arc::new(AtomicBool::new(false));
    let connection = Arc::new(Connection {
        shared,
        number,
        served: AtomicU64::new(0),
        end: Notify::new(),
        reset: Arc::clone(&reset),
    });
    let service = service_fn(|request| exchange(Arc::clone(&connection), request));
    let serving = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(8 * WINDOW)
        .auto_date_header(false)
        .serve_connection(TokioIo::new(Rewound { seen, stream, reset }), service);
    tokio::select! {
        // A client that breaks the rules of HTTP/2 has left, as far as we care.
        _ = serving => {}
        () = connection.end.notified() => {}
    }
}

impl Connection {
    /// Ends the whole connection; the caller's own stream ends with it.
    async fn close(&self, exchange: &mut Exchange, reset: bool) -> Broken {
        exchange.finish(Outcome::Cut);
        self.break_off(reset);
        std::future::pending().await
    }

    fn break_off(&self, reset: bool) {
        self.reset.store(reset, SeqCst);
        self.end.notify_one();
    }
}

/// One stream. Dropped when the client resets it, which notes it as cancelled.
async fn exchange(
    connection: Arc<Connection>,
    request: http::Request<Incoming>,
) -> Result<Response<FlowBody>, Broken> {
    let shared = &connection.shared;
    let (parts, body) = request.into_parts();
    let body = match Limited::new(body, shared.config.max_body).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => {
            shared.count_unread();
            if !error.is::<LengthLimitError>() {
                return Err(Broken);
            }
            let answer = Problem::of_status(413).into_answer();
            return Ok(head(&answer, FlowBody::new(answer.body.clone())));
        }
    };
    let key = parts.headers.iter().find_map(|(name, value)| key_of(name.as_str(), value.as_bytes()));
    let mut marks = Marks::default();
    for (name, value) in &parts.headers {
        marks.note(name.as_str(), value.as_bytes());
    }
    let target = parts.uri.path_and_query().map_or("*", http::uri::PathAndQuery::as_str);
    let arrived = std::time::Instant::now();
    let received = Received {
        number: 0,
        arrived,
        since_start: arrived.saturating_duration_since(shared.started),
        connection: connection.number,
        version: parts.version,
        target: Bytes::copy_from_slice(target.as_bytes()),
        key: key.map(Bytes::copy_from_slice),
        marks,
        method: parts.method,
        headers: if shared.wants_headers() { parts.headers } else { http::HeaderMap::new() },
        body,
        notes: OnceLock::new(),
        end: OnceLock::new(),
    };
    let mut exchange = Exchange::begin(shared, received);
    if connection.served.fetch_add(1, SeqCst) > 0
        && let Some(fault) = shared.fault_on_reuse()
    {
        return Err(connection.close(&mut exchange, fault == ConnectionFault::ResetOnReuse).await);
    }
    let mut answer = shared.answer(&exchange);
    if !answer.delay.is_zero() {
        tokio::time::sleep(answer.delay).await;
    }
    match answer.fault {
        None | Some(Fault::EndlessBody(_)) if !answer.raw => {}
        Some(Fault::Hang) => std::future::pending().await,
        ref fault => return Err(connection.close(&mut exchange, *fault == Some(Fault::Reset)).await),
    }
    exchange.head_sent(answer.status);
    let bodiless = exchange.request.method == Method::HEAD || matches!(answer.status, 204 | 304);
    let mut response = head(&answer, FlowBody::new(Bytes::new()));
    let flow = answer.flow(FRAME);
    if bodiless || flow.is_done() {
        exchange.finish(Outcome::Answered);
    } else {
        *response.body_mut() = FlowBody {
            flow,
            started: Instant::now(),
            sleep: None,
            breaking: false,
            exchange: Some(exchange),
            connection: Some(Arc::clone(&connection)),
        };
    }
    Ok(response)
}

/// Headers that HTTP/2 cannot carry are left out.
fn head(answer: &Answer, body: FlowBody) -> Response<FlowBody> {
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static(answer.content_type));
    if answer.framing == Framing::Length && answer.status != 204 {
        headers.insert(http::header::CONTENT_LENGTH, answer.body.len().into());
    }
    if let Some((name, number)) = answer.request_id
        && let Ok(value) = HeaderValue::from_str(&format!("req_mock_{number}"))
    {
        headers.insert(HeaderName::from_static(name), value);
    }
    let mut own: Vec<HeaderName> = Vec::new();
    for (name, value) in &answer.headers {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes())) {
            // The first of a name replaces ours, the next ones stand beside it.
            if own.contains(&name) {
                headers.append(name, value);
            } else {
                headers.insert(name.clone(), value);
                own.push(name);
            }
        }
    }
    response
}

/// A body by its plan.
struct FlowBody {
    flow: Flow,
    started: Instant,
    sleep: Option<Pin<Box<Sleep>>>,
    breaking: bool,
    exchange: Option<Exchange>,
    connection: Option<Arc<Connection>>,
}

impl FlowBody {
    /// A body that is nobody's exchange.
    fn new(bytes: Bytes) -> Self {
        Self {
            flow: Answer::json(200, bytes).flow(FRAME),
            started: Instant::now(),
            sleep: None,
            breaking: false,
            exchange: None,
            connection: None,
        }
    }

    fn note(&mut self, outcome: Outcome) {
        if let Some(exchange) = &mut self.exchange {
            exchange.finish(outcome);
        }
    }
}

impl Body for FlowBody {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        loop {
            if let Some(sleep) = &mut self.sleep {
                ready!(sleep.as_mut().poll(context));
                self.sleep = None;
            }
            let elapsed: Duration = self.started.elapsed();
            match self.flow.next(elapsed) {
                Step::Send { bytes, last } => {
                    if last {
                        self.note(Outcome::Answered);
                    }
                    return Poll::Ready(Some(Ok(Frame::data(bytes))));
                }
                Step::Wait(due) => self.sleep = Some(Box::pin(tokio::time::sleep_until(self.started + due))),
                Step::Done => return Poll::Ready(None),
                Step::Cut | Step::Reset if !self.breaking => {
                    // A reset overtakes what was handed to hyper before it.
                    self.breaking = true;
                    self.sleep = Some(Box::pin(tokio::time::sleep(RESET_AFTER)));
                }
                Step::Cut => {
                    self.note(Outcome::Cut);
                    return Poll::Ready(Some(Err(Broken)));
                }
                Step::Reset => {
                    self.note(Outcome::Cut);
                    if let Some(connection) = &self.connection {
                        connection.break_off(true);
                    }
                    return Poll::Pending;
                }
                // Nobody wakes us: hyper drops this body when the client resets the stream or leaves.
                Step::Stall => return Poll::Pending,
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.flow.is_done()
    }
}

/// A stream with the bytes already read put back in front, which is reset when it is dropped after being told to.
struct Rewound {
    seen: Bytes,
    stream: TcpStream,
    reset: Arc<AtomicBool>,
}

impl Drop for Rewound {
    fn drop(&mut self) {
        if self.reset.load(SeqCst) {
            // A connection that is broken already needs no reset.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Rewound {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.seen.is_empty() {
            return Pin::new(&mut self.stream).poll_read(context, buffer);
        }
        let length = self.seen.len().min(buffer.remaining());
        let (now, _) = self.seen.split_at_checked(length).unwrap_or_default();
        buffer.put_slice(now);
        self.seen.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Rewound {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
