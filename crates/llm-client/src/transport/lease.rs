//! A connection while one exchange is on it. However the exchange ends, the connection finds its way.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::Either;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use tokio::runtime::Handle;
use tokio::time::Sleep;

use super::connection::{Http1, Http2};
use super::pool::Host;

/// How long a connection may take, after a whole answer, to be ready for the next request.
const SETTLING: Duration = Duration::from_secs(1);

/// A connection of either kind; of HTTP/2, a place on one.
pub(super) enum Conn {
    Http1(Http1),
    Http2 { conn: Http2, id: u64 },
}

/// A connection lent to one exchange. Dropped before the exchange began or after [`finish`](Self::finish), it goes back
/// to the pool; dropped in between, an HTTP/1.1 connection is closed (the server sees it at once).
pub(super) struct Lease {
    host: Arc<Host>,
    conn: Option<Conn>,
    clean: bool,
    /// Whether it had been open before this exchange asked for one.
    pub(super) reused: bool,
}

impl Lease {
    pub(super) fn new(host: Arc<Host>, conn: Conn, reused: bool) -> Self {
        Self { host, conn: Some(conn), clean: true, reused }
    }

    pub(super) fn host(&self) -> &Arc<Host> {
        &self.host
    }

    /// Takes the connection out, without telling the pool.
    pub(super) fn into_conn(mut self) -> Option<Conn> {
        self.conn.take()
    }

    pub(super) fn is_http2(&self) -> bool {
        matches!(self.conn, Some(Conn::Http2 { .. }))
    }

    /// Sends the request; from here on the connection is not clean.
    pub(super) fn send(
        &mut self,
        request: Request<Full<Bytes>>,
    ) -> Option<impl Future<Output = hyper::Result<Response<Incoming>>> + use<>> {
        self.clean = false;
        let max_head = self.host.common.limits.max_head;
        match self.conn.as_mut()? {
            Conn::Http1(conn) => Some(Either::Left(conn.send(request, max_head))),
            Conn::Http2 { conn, .. } => Some(Either::Right(conn.send(request))),
        }
    }

    /// The head of the answer is here.
    pub(super) fn answered(&self) {
        if let Some(Conn::Http1(conn)) = &self.conn {
            conn.answered();
        }
    }

    /// Whether any byte of an answer has come.
    pub(super) fn heard(&self) -> bool {
        matches!(&self.conn, Some(Conn::Http1(conn)) if conn.heard())
    }

    /// Why TLS ended the connection, where it did.
    pub(super) fn tls_fault(&self) -> Option<&rustls::Error> {
        match self.conn.as_ref()? {
            Conn::Http1(conn) => conn.tls_fault(),
            Conn::Http2 { conn, .. } => conn.tls_fault(),
        }
    }

    /// The connection was dead when we used it: so are its like.
    pub(super) fn stale(self) {
        self.host.common.resent.fetch_add(1, Relaxed);
        let stream = match &self.conn {
            Some(Conn::Http2 { id, .. }) => Some(*id),
            _ => None,
        };
        self.host.found_stale(stream);
    }

    /// The timer of the exchange before.
    pub(super) fn take_sleep(&mut self) -> Option<Pin<Box<Sleep>>> {
        match self.conn.as_mut()? {
            Conn::Http1(conn) => conn.sleep.take(),
            Conn::Http2 { .. } => None,
        }
    }

    /// The whole answer has been read. The connection goes back as soon as it can take the next request, with the timer
    /// for the next exchange.
    pub(super) fn finish(mut self, sleep: Option<Pin<Box<Sleep>>>) {
        if let Some(Conn::Http1(conn)) = &mut self.conn {
            conn.sleep = sleep;
        }
        match &mut self.conn {
            Some(Conn::Http1(conn)) if conn.is_closed() => {}
            Some(Conn::Http1(conn)) if !conn.is_ready() => {
                // The driver has a few steps left; or the server answered early and does not read the rest of the request.
                if let Ok(runtime) = Handle::try_current() {
                    runtime.spawn(async move {
                        if let Some(Conn::Http1(conn)) = &mut self.conn {
                            self.clean = tokio::time::timeout(SETTLING, conn.ready()).await.unwrap_or(false);
                        }
                        drop(self);
                    });
                }
            }
            _ => self.clean = true,
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        match self.conn.take() {
            Some(conn @ Conn::Http1(_)) if !self.clean => self.host.lost(conn),
            Some(conn) => self.host.give_back(conn),
            None => {}
        }
    }
}
