//! The body of an answer: pieces as they come, under limits and timers.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http_body::Body as _;
use hyper::body::Incoming;
use llm_types::{Error, ErrorKind};
use tokio::runtime::Handle;

use super::decode::Decoder;
use super::fault;
use super::lease::Lease;
use super::pool::Host;
use super::timers::Watch;

/// What [`Body::finish`] reads at most, and for how long.
const REST_BYTES: u64 = 64 << 10;
const REST_TIME: std::time::Duration = std::time::Duration::from_secs(1);

/// The body of an answer, which is read piece by piece.
///
/// Dropped before its end it cancels the exchange at once: an HTTP/1.1 connection is closed, an HTTP/2 stream reset.
pub struct Body {
    incoming: Incoming,
    decoder: Decoder,
    watch: Watch,
    /// Gone when the last byte was read.
    lease: Option<Lease>,
    host: std::sync::Arc<Host>,
    read: u64,
    limit: u64,
    /// Nothing more comes: the end was read, or an error told.
    over: bool,
}

impl Body {
    pub(super) fn new(incoming: Incoming, decoder: Decoder, watch: Watch, lease: Lease) -> Self {
        let host = std::sync::Arc::clone(lease.host());
        let limit = host.common.limits.max_response;
        let mut body =
            Self { incoming, decoder, watch, lease: Some(lease), host, read: 0, limit, over: false };
        body.release_at_end();
        body
    }

    /// Takes the limit of the whole body away (by default `max_response_bytes`, counted unpacked), for a stream whose
    /// events are limited one by one.
    pub fn without_limit(&mut self) {
        self.limit = u64::MAX;
    }

    /// The next piece, never empty; `None` after the last. After an error there is nothing more.
    ///
    /// Cancel-safe: a dropped call loses nothing.
    ///
    /// # Errors
    /// `Timeout` when the first byte, the next byte or the whole attempt took too long; `Connection` when the body broke
    /// off; `Protocol` when it is framed or compressed in a way that cannot be read; `TooLarge` over the limit.
    pub async fn next_chunk(&mut self) -> Option<Result<Bytes, Error>> {
        std::future::poll_fn(|cx| self.poll_chunk(cx)).await
    }

    /// [`next_chunk`](Self::next_chunk) for hand-written streams.
    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        if self.over {
            return Poll::Ready(None);
        }
        let piece = ready!(self.poll_piece(cx));
        match piece {
            Some(Ok(piece)) => {
                self.read = self.read.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
                if self.read > self.limit {
                    return Poll::Ready(Some(Err(self.fail(too_large(self.limit, "max_response_bytes")))));
                }
                Poll::Ready(Some(Ok(piece)))
            }
            Some(Err(error)) => Poll::Ready(Some(Err(self.fail(error)))),
            None => {
                self.over = true;
                Poll::Ready(None)
            }
        }
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        loop {
            if let Decoder::Packed(unpacker) = &mut self.decoder
                && let Some(piece) = unpacker.step().transpose()
            {
                return Poll::Ready(Some(piece));
            }
            match (ready!(self.poll_raw(cx)), &mut self.decoder) {
                (Some(Ok(piece)), Decoder::Packed(unpacker)) => unpacker.feed(piece),
                (None, Decoder::Packed(unpacker)) => {
                    let rest = unpacker.finish().transpose();
                    self.decoder = Decoder::Plain;
                    return Poll::Ready(rest);
                }
                (Some(Ok(_)), Decoder::Unknown(coding)) => {
                    let message = format!("the body came compressed ({coding}), which we did not ask for");
                    let error = Error::new(ErrorKind::Protocol, message);
                    return Poll::Ready(Some(Err(error.with_hint("known are gzip and deflate"))));
                }
                (piece, _) => return Poll::Ready(piece),
            }
        }
    }

    /// The next piece as it came over the wire.
    fn poll_raw(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Error>>> {
        if self.lease.is_none() {
            return Poll::Ready(None);
        }
        loop {
            match Pin::new(&mut self.incoming).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    // Trailers say nothing that we need.
                    let Ok(data) = frame.into_data() else { continue };
                    if data.is_empty() {
                        continue;
                    }
                    self.watch.piece();
                    self.release_at_end();
                    return Poll::Ready(Some(Ok(data)));
                }
                Poll::Ready(Some(Err(error))) => {
                    return Poll::Ready(Some(Err(fault::broken_body(&self.host.origin, error))));
                }
                Poll::Ready(None) => {
                    self.release();
                    return Poll::Ready(None);
                }
                Poll::Pending => {
                    let (phase, limit) = ready!(self.watch.poll(cx));
                    return Poll::Ready(Some(Err(fault::timed_out(&self.host.origin, phase, limit))));
                }
            }
        }
    }

    /// Gives the connection back as soon as the last byte is known to be read.
    fn release_at_end(&mut self) {
        if self.incoming.is_end_stream() {
            self.release();
        }
    }

    fn release(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.finish(self.watch.take_sleep());
        }
    }

    /// Ends the exchange: the connection is of no use any more.
    fn fail(&mut self, error: Error) -> Error {
        self.over = true;
        self.lease = None;
        error
    }

    /// Reads all that is left. A body of one piece is not copied.
    ///
    /// # Errors
    /// Those of [`next_chunk`](Self::next_chunk), and `TooLarge` over `limit` bytes (unpacked).
    pub async fn read_to_end(mut self, limit: u64) -> Result<Bytes, Error> {
        self.limit = limit.saturating_add(self.read);
        let Some(first) = self.next_chunk().await.transpose()? else { return Ok(Bytes::new()) };
        let Some(second) = self.next_chunk().await.transpose()? else { return Ok(first) };
        let expected = self.incoming.size_hint().exact().unwrap_or(0).min(limit);
        let expected = usize::try_from(expected).unwrap_or(0);
        let mut whole = BytesMut::with_capacity(first.len() + second.len() + expected);
        whole.extend_from_slice(&first);
        whole.extend_from_slice(&second);
        while let Some(piece) = self.next_chunk().await.transpose()? {
            whole.extend_from_slice(&piece);
        }
        Ok(whole.freeze())
    }

    /// Reads the beginning, for the body of an error: at most `limit` bytes. What breaks or stalls after some bytes is as
    /// good as an end; more than `limit` is left unread (which closes an HTTP/1.1 connection).
    pub async fn read_beginning(mut self, limit: u64) -> Bytes {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        self.without_limit();
        let mut beginning = BytesMut::new();
        while let Some(Ok(piece)) = self.next_chunk().await {
            let room = limit.saturating_sub(beginning.len());
            beginning.extend_from_slice(piece.get(..room).unwrap_or(&piece));
            if piece.len() > room {
                break;
            }
        }
        beginning.freeze()
    }

    /// The caller has seen the logical end (`[DONE]`) and wants no more. The end of the body, which is mostly there
    /// already, is read in the background, for a second at most, so that the connection can be used again.
    pub fn finish(mut self) {
        self.limit = self.read.saturating_add(REST_BYTES);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        while let Poll::Ready(piece) = self.poll_chunk(&mut cx) {
            if !matches!(piece, Some(Ok(_))) {
                return;
            }
        }
        if let Ok(runtime) = Handle::try_current() {
            runtime.spawn(tokio::time::timeout(REST_TIME, async move {
                while let Some(Ok(_)) = self.next_chunk().await {}
            }));
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Body")
            .field("origin", &self.host.origin)
            .field("read", &self.read)
            .finish_non_exhaustive()
    }
}

fn too_large(limit: u64, setting: &str) -> Error {
    let message = format!("the answer is longer than {limit} bytes ({setting})");
    Error::new(ErrorKind::TooLarge, message).with_hint(format!("raise {setting} if such answers are wanted"))
}
