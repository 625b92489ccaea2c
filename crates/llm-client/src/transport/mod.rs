//! Bytes over the network: pooled HTTP/1.1 and HTTP/2 connections, TLS, proxies, limits, timers.
//!
//! A [`Transport`] is made once for each set of TLS, proxy and limit settings and shared by all models.
//!
//! * A request is sent once; once more only when a re-used connection turns out to be dead before any byte of an answer.
//! * Dropping the future of a request, or its [`Body`], closes the connection (HTTP/1.1) or resets the stream (HTTP/2).
//! * No more sockets to a host are open than `max_connections`; whoever comes then waits, first come first served.
//! * Redirects are not followed and cookies not kept; no error shows a query, a user name or a header value.

mod body;
mod connect;
mod connection;
mod decode;
mod endpoint;
mod exchange;
mod fault;
mod lease;
mod origin;
mod outgoing;
mod pool;
mod proxy;
mod safety;
#[cfg(test)]
mod tests;
mod timers;
mod tls;
mod tunnel;

use std::collections::HashMap;
use std::fmt;
use std::hash::BuildHasherDefault;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use llm_types::Error;

pub use self::body::Body;
use self::connect::Connector;
pub use self::endpoint::Endpoint;
use self::origin::{Fnv, Key, Origin};
use self::pool::{Common, Host};
use self::proxy::Proxies;
pub use self::proxy::ProxyEnv;
pub use self::safety::{check_key_over_plain_http, redirect_error, secret_header};
use self::tls::Tls;
use crate::settings::{Settings, Timers};
use crate::telemetry::PoolGauges;

/// The most headers of an answer.
const MAX_HEADERS: usize = 100;
/// The most streams on one HTTP/2 connection before the next is used. Most servers allow between 100 and 250.
const MAX_STREAMS: usize = 100;

/// A pool of connections with one set of TLS, proxy and limit settings. A clone is the same pool.
///
/// Needs a tokio runtime with timers and I/O. Each runtime that uses it has connections of its own, up to
/// `max_connections` to a host; they end with the runtime.
#[derive(Clone)]
pub struct Transport(Arc<Inner>);

struct Inner {
    common: Arc<Common>,
    proxies: Proxies,
    hosts: RwLock<Hosts>,
    closed: AtomicBool,
}

type Hosts = HashMap<Key, Arc<Host>, BuildHasherDefault<Fnv>>;

/// What the settings do not say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TransportOptions {
    /// Speak HTTP/2 to `http://` servers, which must know it. Never guessed.
    pub cleartext_http2: bool,
}

/// The settings that the pool and its connections need.
#[derive(Clone, Copy)]
struct Limits {
    max_connections: usize,
    pool_idle: Duration,
    max_head: u64,
    max_response: u64,
    http2: bool,
    cleartext_http2: bool,
}

/// An answer whose head is here and whose body is still to be read.
#[derive(Debug)]
pub struct Reply {
    /// The status, whatever it is; a redirect too.
    pub status: StatusCode,
    /// The headers; at most 100.
    pub headers: HeaderMap,
    /// The body.
    pub body: Body,
    /// Whether the connection had been open before.
    pub reused: bool,
    /// Whether the request was sent twice, because the first connection was dead.
    pub resent: bool,
    /// Whether it came over HTTP/2.
    pub http2: bool,
    /// How long the request waited for a connection, to be opened or to come free.
    pub waited: Duration,
}

/// Numbers of a pool, over all hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PoolStats {
    /// Sockets open or being opened.
    pub open: usize,
    /// Connections that nothing is on.
    pub idle: usize,
    /// Exchanges under way (with HTTP/2 several on a connection).
    pub in_use: usize,
    /// Requests that wait for a connection.
    pub waiting: usize,
    /// Connections opened so far.
    pub opened_total: u64,
    /// Requests that found a connection open.
    pub reused_total: u64,
    /// Requests sent once more on a fresh connection.
    pub resent_total: u64,
}

impl Transport {
    /// Builds a transport. The user's certificate files are read here.
    ///
    /// Roots: the system's (`SSL_CERT_FILE` in their place where set; `SSL_CERT_DIR` is the system loader's business), or
    /// the bundled ones when the system has none or `tls_roots` says so; `ca_file` comes on top. Certificates are always
    /// checked.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](llm_types::ErrorKind::Config) names the setting or file that cannot be used.
    pub fn new(settings: &Settings, env: &ProxyEnv) -> Result<Self, Error> {
        Self::with_options(settings, env, TransportOptions::default())
    }

    /// [`new`](Self::new) with what the settings do not say.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_options(
        settings: &Settings,
        env: &ProxyEnv,
        options: TransportOptions,
    ) -> Result<Self, Error> {
        let tls = Tls::new(settings, env.cert_file.as_deref())?;
        let limits = Limits {
            max_connections: usize::try_from(settings.max_connections).unwrap_or(usize::MAX).max(1),
            pool_idle: settings.pool_idle,
            max_head: settings.max_head_bytes,
            max_response: settings.max_response_bytes,
            http2: settings.http2,
            cleartext_http2: options.cleartext_http2,
        };
        let common = Common {
            connector: Connector::new(tls, settings.connect_timeout),
            limits,
            opened: AtomicU64::new(0),
            reused: AtomicU64::new(0),
            resent: AtomicU64::new(0),
            gauges: PoolGauges::default(),
        };
        let proxies = Proxies::new(settings.proxy.as_deref(), env)?;
        Ok(Self(Arc::new(Inner {
            common: Arc::new(common),
            proxies,
            hosts: RwLock::default(),
            closed: AtomicBool::new(false),
        })))
    }

    /// Sends a request to its absolute URL and gives the head of the answer, whatever its status.
    ///
    /// `timers` hold here: `attempt` from when connecting or sending begins to the end of the body (waiting because all
    /// sockets to the host are taken is not counted; the caller bounds it by dropping), `first_byte` from sending to the
    /// first byte of the body, `idle` between its pieces. Connecting has `connect_timeout` besides.
    /// Asks for `accept-encoding: identity` unless the request says something else.
    ///
    /// # Errors
    /// `Connection`, `Tls`, `Timeout`, `TooLarge` (the head), `Protocol` (no HTTP), `Config` (the URL, a proxy that wants a
    /// password), `Unavailable` after [`close`](Self::close).
    pub async fn send(&self, request: Request<Bytes>, timers: Timers) -> Result<Reply, Error> {
        let host = self.host(request.uri())?;
        exchange::send(&host, request, timers).await
    }

    /// Opens connections ahead of need, until `count` are idle (one, where HTTP/2 shares it) or `max_connections` are open.
    /// Gives how many were opened for it.
    ///
    /// # Errors
    /// Those of connecting. Dropping the future lets what it began go on.
    pub async fn warm_up(&self, endpoint: &Endpoint, count: usize) -> Result<usize, Error> {
        self.host(&endpoint.join("", "")?)?.open_ahead(count).await
    }

    /// Lets idle connections go and refuses new requests. What is under way ends as it would. Calling it again does nothing.
    pub fn close(&self) {
        self.0.closed.store(true, Relaxed);
        let hosts: Vec<Arc<Host>> = self.hosts().values().cloned().collect();
        for host in hosts {
            host.close();
        }
    }

    /// The numbers of this moment.
    #[must_use]
    pub fn stats(&self) -> PoolStats {
        let common = &self.0.common;
        let mut stats = PoolStats {
            opened_total: common.opened.load(Relaxed),
            reused_total: common.reused.load(Relaxed),
            resent_total: common.resent.load(Relaxed),
            ..PoolStats::default()
        };
        for host in self.hosts().values() {
            host.count(&mut stats);
        }
        stats
    }

    fn hosts(&self) -> std::sync::RwLockReadGuard<'_, Hosts> {
        self.0.hosts.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn host(&self, uri: &http::Uri) -> Result<Arc<Host>, Error> {
        if let Some(host) = Key::of(uri).and_then(|key| self.hosts().get(&key).map(Arc::clone)) {
            return Ok(host);
        }
        let key = Key::checked(uri)?;
        if self.0.closed.load(Relaxed) {
            return Err(pool::closed());
        }
        let origin = Origin::new(key.clone())?;
        let proxy = self.0.proxies.choose(uri);
        let host = Host::new(origin, proxy, Arc::clone(&self.0.common));
        let mut hosts = self.0.hosts.write().unwrap_or_else(PoisonError::into_inner);
        // Hosts that nobody speaks to any more; the map holds the one reference to them.
        hosts.retain(|_, host| Arc::strong_count(host) > 1 || !host.is_unused());
        let host = Arc::clone(hosts.entry(key).or_insert(host));
        drop(hosts);
        if self.0.closed.load(Relaxed) {
            host.close();
        }
        Ok(host)
    }
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
