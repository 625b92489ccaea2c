//! One connection from name to TLS: look-up, TCP, proxy, handshake, under one time-out.

use std::future::ready;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::TryFutureExt as _;
use futures_util::future::MapErr;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{DefaultServerNameResolver, HttpsConnector, MaybeHttpsStream};
use hyper_util::client::legacy::connect::dns::{GaiFuture, GaiResolver, Name};
use hyper_util::client::legacy::connect::{Connected, Connection, HttpConnector};
use hyper_util::rt::TokioIo;
use llm_types::Error;
use std::sync::Arc;
use tokio::net::TcpStream;
use tower::Service;

use super::fault::{self, LookupFailed};
use super::origin::Origin;
use super::pool::Permit;
use super::proxy::{Proxy, Scheme};
use super::tls::Tls;
use super::tunnel::{self, Carrier};

/// How long the system waits for the other side to acknowledge what we sent. Linux only.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(60);
/// A model may think for minutes without a byte; probes keep middle boxes from forgetting the connection.
const KEEPALIVE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);

/// What HTTP is spoken over.
pub(super) type Stream = MaybeHttpsStream<Socket>;

/// Makes connections.
pub(super) struct Connector {
    tcp: HttpConnector<Resolver>,
    tls: Tls,
    limit: Duration,
}

impl Connector {
    pub(super) fn new(tls: Tls, limit: Duration) -> Self {
        let mut tcp = HttpConnector::new_with_resolver(Resolver(GaiResolver::new()));
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        // Shared out among a host's addresses, so that a dead first one does not use up all the time.
        tcp.set_connect_timeout(Some(limit));
        tcp.set_keepalive(Some(KEEPALIVE));
        tcp.set_keepalive_interval(Some(KEEPALIVE_INTERVAL));
        #[cfg(target_os = "linux")]
        tcp.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
        Self { tcp, tls, limit }
    }

    /// Everything up to where HTTP can be spoken, and whether that is HTTP/2 by ALPN. The permit lives as long as the
    /// socket does.
    pub(super) async fn connect(
        &self,
        origin: &Origin,
        proxy: Option<&Proxy>,
        permit: Permit,
    ) -> Result<(Stream, bool), Error> {
        let connecting = self.connect_without_limit(origin, proxy, permit);
        let late = |_| fault::connect_timeout(origin, self.limit);
        tokio::time::timeout(self.limit, connecting).await.map_err(late)?
    }

    async fn connect_without_limit(
        &self,
        origin: &Origin,
        proxy: Option<&Proxy>,
        permit: Permit,
    ) -> Result<(Stream, bool), Error> {
        let carrier = match proxy {
            None => MaybeHttpsStream::Http(self.reach(origin.uri(), &origin.to_string(), None).await?),
            Some(proxy) => self.through(proxy, origin).await?,
        };
        let socket = Socket { carrier, _permit: permit };
        if !origin.is_https() {
            return Ok((MaybeHttpsStream::Http(socket), false));
        }
        let config = Arc::clone(&self.tls.configs().await?.server);
        let stream = handshake(socket, config, origin.uri())
            .await
            .map_err(|error| fault::no_handshake(&origin.to_string(), error))?;
        let http2 = stream.connected().is_negotiated_h2();
        Ok((stream, http2))
    }

    /// TCP to a place, which is a server or the proxy on the way to it.
    async fn reach(
        &self,
        place: &http::Uri,
        shown: &str,
        on_the_way: Option<&Origin>,
    ) -> Result<TokioIo<TcpStream>, Error> {
        let tcp = self.tcp.clone().call(place.clone()).await;
        tcp.map_err(|error| fault::not_connected(shown, on_the_way, Box::new(error)))
    }

    async fn through(&self, proxy: &Proxy, origin: &Origin) -> Result<Carrier, Error> {
        let tcp = self.reach(&proxy.uri, &proxy.shown, Some(origin)).await?;
        let carrier = if proxy.scheme == Scheme::Https {
            let config = Arc::clone(&self.tls.configs().await?.proxy);
            let with = || format!("the proxy {} (on the way to {origin})", proxy.shown);
            handshake(tcp, config, &proxy.uri).await.map_err(|error| fault::no_handshake(&with(), error))?
        } else {
            MaybeHttpsStream::Http(tcp)
        };
        match proxy.scheme {
            // Requests to plain servers are handed to the proxy whole.
            Scheme::Http | Scheme::Https if !origin.is_https() => Ok(carrier),
            Scheme::Http | Scheme::Https => tunnel::connect(carrier, proxy, origin).await,
            _ => tunnel::socks(carrier, proxy, origin).await,
        }
    }
}

/// TLS over a stream that stands already.
async fn handshake<S>(
    stream: S,
    config: Arc<rustls::ClientConfig>,
    uri: &http::Uri,
) -> Result<MaybeHttpsStream<S>, Box<dyn std::error::Error + Send + Sync>>
where
    S: Connection + Read + Write + Send + Unpin + 'static,
{
    let mut stream = Some(stream);
    let dialled = tower::service_fn(move |_: http::Uri| {
        ready(stream.take().ok_or_else(|| io::Error::other("a connection is made once")))
    });
    HttpsConnector::new(dialled, config, true, Arc::new(DefaultServerNameResolver::default()))
        .call(uri.clone())
        .await
}

/// A TCP connection (or a tunnel through a proxy) with the permit to hold it open.
pub(super) struct Socket {
    carrier: Carrier,
    _permit: Permit,
}

impl Connection for Socket {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}

impl Read for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.carrier).poll_read(cx, buf)
    }
}

impl Write for Socket {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.carrier).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.carrier).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.carrier).poll_shutdown(cx)
    }

    fn is_write_vectored(&self) -> bool {
        self.carrier.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.carrier).poll_write_vectored(cx, bufs)
    }
}

/// The system's name look-up, with an error type that can be told from a refused connection.
#[derive(Clone)]
pub(super) struct Resolver(GaiResolver);

impl Service<Name> for Resolver {
    type Response = <GaiResolver as Service<Name>>::Response;
    type Error = LookupFailed;
    type Future = MapErr<GaiFuture, fn(io::Error) -> LookupFailed>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), LookupFailed>> {
        self.0.poll_ready(cx).map_err(LookupFailed)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        self.0.call(name).map_err(LookupFailed as fn(io::Error) -> LookupFailed)
    }
}
