//! Through a proxy to the server: `CONNECT`, or SOCKS 4 and 5. The key never reaches the proxy.

use std::future::ready;
use std::io;

use bytes::Bytes;
use futures_util::future::{Either, select};
use http::{Request, StatusCode, Uri, header};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_rustls::MaybeHttpsStream;
use hyper_util::client::legacy::connect::proxy::{SocksV4, SocksV5};
use hyper_util::rt::TokioIo;
use llm_types::{Error, ErrorKind};
use tokio::net::TcpStream;
use tower::Service;

use super::fault;
use super::origin::Origin;
use super::proxy::{Proxy, Scheme};

/// Plain TCP, or TLS to a proxy.
pub(super) type Carrier = MaybeHttpsStream<TokioIo<TcpStream>>;

/// The head of a proxy's answer.
const MAX_HEAD: usize = 64 << 10;

/// Asks an HTTP proxy for a tunnel.
pub(super) async fn connect(carrier: Carrier, proxy: &Proxy, origin: &Origin) -> Result<Carrier, Error> {
    let cut = |error: hyper::Error| {
        proxy_fault(ErrorKind::Connection, proxy, origin, "it broke the connection off").with_source(error)
    };
    let Some(place) = origin.uri().authority() else {
        return Err(proxy_fault(ErrorKind::Config, proxy, origin, "no host"));
    };
    let mut request = Request::connect(place.as_str()).header(header::HOST, place.as_str());
    if let Some(auth) = &proxy.auth {
        request = request.header(header::PROXY_AUTHORIZATION, auth);
    }
    let request = request.body(Empty::<Bytes>::new()).map_err(|error| {
        proxy_fault(ErrorKind::Config, proxy, origin, "no such address").with_source(error)
    })?;
    let (mut sender, connection) =
        http1::Builder::new().max_header_size(MAX_HEAD).handshake(carrier).await.map_err(cut)?;
    // Nobody else drives this connection: it ends by becoming the tunnel.
    let answer = Box::pin(sender.send_request(request));
    let driven = Box::pin(connection.without_shutdown());
    let (answer, driven) = match select(answer, driven).await {
        Either::Left((answer, driven)) => (answer, Either::Left(driven)),
        Either::Right((parts, answer)) => (answer.await, Either::Right(parts)),
    };
    let status = answer.map_err(cut)?.status();
    if status == StatusCode::PROXY_AUTHENTICATION_REQUIRED {
        let what = "it wants a user name and password, or other ones (HTTP 407)";
        return Err(proxy_fault(ErrorKind::Config, proxy, origin, what)
            .with_hint("write them into the proxy's URL: http://user:password@host:port"));
    }
    if !status.is_success() {
        return Err(proxy_fault(
            ErrorKind::Connection,
            proxy,
            origin,
            &format!("it answers HTTP {}", status.as_u16()),
        ));
    }
    let parts = match driven {
        Either::Left(driven) => driven.await,
        Either::Right(parts) => parts,
    };
    let parts = parts.map_err(cut)?;
    if !parts.read_buf.is_empty() {
        // The server does not speak first, so these bytes are the proxy's own.
        return Err(proxy_fault(
            ErrorKind::Connection,
            proxy,
            origin,
            "it sends data of its own into the tunnel",
        ));
    }
    Ok(parts.io)
}

/// Asks a SOCKS proxy for a connection. With `socks4` and `socks5` the name is looked up here, with `socks4a` and
/// `socks5h` by the proxy.
pub(super) async fn socks(carrier: Carrier, proxy: &Proxy, origin: &Origin) -> Result<Carrier, Error> {
    let target = match proxy.scheme {
        Scheme::Socks4 | Scheme::Socks5 => looked_up(origin, proxy.scheme == Scheme::Socks4).await?,
        _ => origin.uri().clone(),
    };
    let mut carrier = Some(carrier);
    let dialled = tower::service_fn(move |_: Uri| {
        ready(carrier.take().ok_or_else(|| io::Error::other("a connection is made once")))
    });
    let refused = |what: String| proxy_fault(ErrorKind::Connection, proxy, origin, &what);
    match proxy.scheme {
        Scheme::Socks4 | Scheme::Socks4a => {
            let mut socks = SocksV4::new(proxy.uri.clone(), dialled);
            socks.call(target).await.map_err(|error| refused(error.to_string()))
        }
        _ => {
            let mut socks = SocksV5::new(proxy.uri.clone(), dialled);
            if let Some((user, password)) = &proxy.login {
                socks = socks.with_auth(user.clone(), password.expose().to_owned());
            }
            socks.call(target).await.map_err(|error| refused(error.to_string()))
        }
    }
}

/// The origin with an address in place of its name.
async fn looked_up(origin: &Origin, only_v4: bool) -> Result<Uri, Error> {
    let uri = origin.uri();
    let host = uri.host().unwrap_or_default();
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    let port = uri.port_u16().unwrap_or_default();
    let failed = |error: io::Error| {
        fault::not_connected(&origin.to_string(), None, Box::new(fault::LookupFailed(error)))
    };
    let mut found = tokio::net::lookup_host((bare, port)).await.map_err(failed)?;
    let none = || failed(io::Error::new(io::ErrorKind::NotFound, "no address that the proxy can use"));
    let address = found.find(|address| address.is_ipv4() || !only_v4).ok_or_else(none)?;
    let scheme = uri.scheme_str().unwrap_or_default();
    format!("{scheme}://{address}/").parse().map_err(|_| none())
}

/// A proxy that refused, or broke off while it was asked.
pub(super) fn proxy_fault(kind: ErrorKind, proxy: &Proxy, origin: &Origin, what: &str) -> Error {
    Error::new(kind, format!("the proxy {} does not lead to {origin}: {what}", proxy.shown))
}
