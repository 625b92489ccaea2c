//! One open connection: who drives it, what it has heard, how it is let go.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use llm_types::Error;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::AbortHandle;
use tokio::time::Sleep;

use super::connect::Stream;
use super::fault::{HeadFlood, find, no_answer};
use super::origin::Origin;
use super::{Limits, MAX_STREAMS};

/// Pings that find a dead HTTP/2 connection, also while nothing is asked on it.
const PING_EVERY: Duration = Duration::from_secs(20);
const PING_ANSWER: Duration = Duration::from_secs(10);
/// What a server may send ahead of our reading: on one stream, and on all of a connection.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 8 << 20;
/// hyper reads at most two buffers of a body before we take the first piece, and its buffers end near 400 KiB.
const READ_AHEAD: usize = 1 << 20;

type Io = TokioIo<Tap<TokioIo<Stream>>>;

/// An HTTP/1.1 connection, one exchange at a time. Dropping it closes the socket at once, whatever is under way.
pub(super) struct Http1 {
    sender: http1::SendRequest<Full<Bytes>>,
    signs: Arc<Signs>,
    driver: AbortHandle,
    /// A timer for the exchanges on it.
    pub(super) sleep: Option<Pin<Box<Sleep>>>,
}

impl Http1 {
    pub(super) async fn open(stream: Stream, origin: &Origin, limits: &Limits) -> Result<Self, Error> {
        let max_head = usize::try_from(limits.max_head).unwrap_or(usize::MAX);
        let mut builder = http1::Builder::new();
        builder.max_header_size(max_head);
        if max_head > DEFAULT_BUFFER {
            builder.max_buf_size(max_head);
        }
        let signs = Arc::new(Signs::default());
        let tap = Tap { inner: TokioIo::new(stream), signs: Arc::clone(&signs) };
        let handshake = builder.handshake(TokioIo::new(tap)).await;
        let (sender, connection) =
            handshake.map_err(|error| no_answer(origin, false, limits.max_head, None, error))?;
        let driver = tokio::spawn(async move {
            // A failure is told to whoever waits for an answer or reads a body.
            let _ = connection.await;
        });
        Ok(Self { sender, signs, driver: driver.abort_handle(), sleep: None })
    }

    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    pub(super) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }

    /// Waits until the exchange before is over; `false` when the connection ended instead.
    pub(super) async fn ready(&mut self) -> bool {
        self.sender.ready().await.is_ok()
    }

    pub(super) fn send(
        &mut self,
        request: Request<Full<Bytes>>,
        max_head: u64,
    ) -> impl Future<Output = hyper::Result<Response<Incoming>>> + use<> {
        self.signs.request_begins(max_head);
        self.sender.send_request(request)
    }

    /// The head of the answer is here.
    pub(super) fn answered(&self) {
        self.signs.limit.store(usize::MAX, Relaxed);
    }

    /// Whether any byte came since the request began.
    pub(super) fn heard(&self) -> bool {
        self.signs.heard.load(Relaxed) > 0
    }

    /// Why TLS ended the connection, where it did.
    pub(super) fn tls_fault(&self) -> Option<&rustls::Error> {
        self.signs.tls.get()
    }
}

impl Drop for Http1 {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// An HTTP/2 connection, for many streams at a time. It closes when the last handle and the last stream are gone.
#[derive(Clone)]
pub(super) struct Http2 {
    sender: http2::SendRequest<Full<Bytes>>,
    signs: Arc<Signs>,
    /// What the peer allows, as far as it has said.
    allowed: Arc<AtomicUsize>,
}

impl Http2 {
    pub(super) async fn open(stream: Stream, origin: &Origin, limits: &Limits) -> Result<Self, Error> {
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::default())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(u32::try_from(limits.max_head).unwrap_or(u32::MAX))
            .keep_alive_interval(PING_EVERY)
            .keep_alive_timeout(PING_ANSWER)
            .keep_alive_while_idle(true);
        let signs = Arc::new(Signs::default());
        let tap = Tap { inner: TokioIo::new(stream), signs: Arc::clone(&signs) };
        let handshake = builder.handshake::<Io, Full<Bytes>>(TokioIo::new(tap)).await;
        let (sender, mut connection) =
            handshake.map_err(|error| no_answer(origin, false, limits.max_head, None, error))?;
        let allowed = Arc::new(AtomicUsize::new(MAX_STREAMS));
        let seen = Arc::clone(&allowed);
        tokio::spawn(std::future::poll_fn(move |cx| {
            let done = Pin::new(&mut connection).poll(cx);
            seen.store(connection.current_max_send_streams(), Relaxed);
            done.map(drop)
        }));
        Ok(Self { sender, signs, allowed })
    }

    pub(super) fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Why TLS ended the connection, where it did.
    pub(super) fn tls_fault(&self) -> Option<&rustls::Error> {
        self.signs.tls.get()
    }

    /// How many streams it takes before the next connection is used.
    pub(super) fn streams(&self) -> usize {
        self.allowed.load(Relaxed).clamp(1, MAX_STREAMS)
    }

    pub(super) fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> impl Future<Output = hyper::Result<Response<Incoming>>> + use<> {
        self.sender.send_request(request)
    }
}

/// hyper's own bound of a read buffer.
const DEFAULT_BUFFER: usize = 8192 + 4096 * 100;

/// What a connection has heard since its request began.
struct Signs {
    heard: AtomicUsize,
    /// How much may be heard before the head of the answer is whole. Without it a server could send `1xx` answers for ever.
    limit: AtomicUsize,
    /// Why TLS ended the connection. HTTP/2 tells its streams only that it is gone.
    tls: OnceLock<rustls::Error>,
}

impl Default for Signs {
    fn default() -> Self {
        Self { heard: AtomicUsize::new(0), limit: AtomicUsize::new(usize::MAX), tls: OnceLock::new() }
    }
}

impl Signs {
    fn request_begins(&self, max_head: u64) {
        self.heard.store(0, Relaxed);
        self.limit.store(usize::try_from(max_head).unwrap_or(usize::MAX).saturating_add(READ_AHEAD), Relaxed);
    }
}

/// Listens in on what is read, above TLS: an alert or a ticket of TLS is no part of an answer.
struct Tap<T> {
    inner: T,
    signs: Arc<Signs>,
}

impl<T: AsyncRead + Unpin> AsyncRead for Tap<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let heard = self.signs.heard.load(Relaxed);
        if heard > self.signs.limit.load(Relaxed) {
            return Poll::Ready(Err(io::Error::other(HeadFlood)));
        }
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        let read = buf.filled().len().saturating_sub(before);
        if read > 0 {
            self.signs.heard.store(heard.saturating_add(read), Relaxed);
        }
        if let Poll::Ready(Err(error)) = &polled
            && let Some(tls) = find::<rustls::Error>(error)
        {
            let _ = self.signs.tls.set(tls.clone());
        }
        polled
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Tap<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }
}
