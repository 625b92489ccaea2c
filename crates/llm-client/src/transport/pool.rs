//! The connections to one host: who gets which, when another is opened, how many there may be.
//!
//! All of it is one state under one lock, moved on by events (asked, opened, failed, given back, socket closed). Connections
//! are opened by tasks of their own and handed to whoever waits longest, so a call never hangs on its own slow connect
//! while another connection comes free. **No connection, permit or order is dropped while the lock is held**: each of
//! them calls back.

mod dial;
mod upkeep;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use llm_types::{Error, ErrorKind};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use self::dial::Order;
pub(super) use self::dial::Permit;
use super::connect::Connector;
use super::connection::{Http1, Http2};
use super::lease::{Conn, Lease};
use super::origin::Origin;
use super::proxy::Proxy;
use super::{Limits, MAX_STREAMS};
use crate::clock::{self, Instant};
use crate::telemetry::{Connections, LastTold, PoolGauges};

/// What all hosts of a transport have in common.
pub(super) struct Common {
    pub(super) connector: Connector,
    pub(super) limits: Limits,
    pub(super) opened: AtomicU64,
    pub(super) reused: AtomicU64,
    pub(super) resent: AtomicU64,
    pub(super) gauges: PoolGauges,
}

/// The connections to one host.
pub(super) struct Host {
    pub(super) origin: Origin,
    pub(super) proxy: Option<Arc<Proxy>>,
    pub(super) common: Arc<Common>,
    state: Mutex<State>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Speaks {
    /// Until a first TLS handshake has agreed on something.
    Unknown,
    Http1,
    Http2,
}

struct State {
    speaks: Speaks,
    /// The one used last at the end: it is taken first, so that the others grow old and close.
    idle: Vec<(Http1, Instant)>,
    shared: Vec<Shared>,
    waiting: VecDeque<Waiter>,
    dials: Vec<Dial>,
    /// Permits given out: sockets open or being opened.
    open: usize,
    in_use: usize,
    next: u64,
    /// Whether a task is about that lets old connections go, and which; it ends with its runtime.
    sweeping: bool,
    sweeper: Option<AbortHandle>,
    closed: bool,
    /// The numbers that stand in the figures.
    told: LastTold,
}

/// An HTTP/2 connection in the pool.
struct Shared {
    conn: Http2,
    id: u64,
    streams: usize,
    idle_since: Instant,
}

struct Waiter {
    number: u64,
    /// Wants a connection that nobody has used, after one turned out to be stale.
    fresh: bool,
    to: oneshot::Sender<Result<Lease, Error>>,
}

struct Dial {
    number: u64,
    task: Option<AbortHandle>,
    /// Opened ahead of need: who asked for that hears how it ended.
    ahead: Option<oneshot::Sender<Result<(), Error>>>,
}

/// What must wait until the lock is released: connections to close.
type Trash = Vec<Conn>;

/// What asking for a connection gives.
pub(super) enum Asked {
    Now(Lease),
    Later(Ticket),
}

/// A place in the queue. Dropping it leaves the queue, and gives up a connect that nobody needs any more.
pub(super) struct Ticket {
    host: Arc<Host>,
    number: u64,
    from: oneshot::Receiver<Result<Lease, Error>>,
    /// Whether every socket was taken when the place was drawn, so that this is waiting and not connecting.
    pub(super) queued: bool,
}

impl Ticket {
    /// # Errors
    /// What kept the connection from being made, or that the client was closed.
    pub(super) async fn lease(&mut self) -> Result<Lease, Error> {
        (&mut self.from).await.unwrap_or_else(|_| Err(closed()))
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut surplus = None;
        self.host.change(|state| {
            let before = state.waiting.len();
            state.waiting.retain(|waiter| waiter.number != self.number);
            if state.waiting.len() < before && state.dials.len() > state.wanted() {
                let newest = state.dials.iter().rposition(|dial| dial.ahead.is_none());
                surplus = newest.map(|at| state.dials.remove(at));
            }
            Vec::new()
        });
        if let Some(task) = surplus.and_then(|dial| dial.task) {
            task.abort();
        }
    }
}

pub(super) fn closed() -> Error {
    Error::new(ErrorKind::Unavailable, "the client is closed")
}

impl State {
    /// How many connections should be under way for those who wait.
    fn wanted(&self) -> usize {
        match self.speaks {
            Speaks::Http1 => self.waiting.len(),
            Speaks::Unknown => self.waiting.len().min(1),
            Speaks::Http2 => self.waiting.len().div_ceil(MAX_STREAMS),
        }
    }

    fn connections(&self) -> Connections {
        Connections {
            idle: self.idle.len() + self.shared.iter().filter(|shared| shared.streams == 0).count(),
            in_use: self.in_use,
            waiting: self.waiting.len(),
        }
    }

    /// A place on an HTTP/2 connection; the first with room is filled before the next.
    fn stream(&mut self, only: Option<u64>) -> Option<(Http2, u64)> {
        let room = |shared: &&mut Shared| {
            only.is_none_or(|id| id == shared.id)
                && shared.streams < shared.conn.streams()
                && !shared.conn.is_closed()
        };
        let found = self.shared.iter_mut().find(room)?;
        found.streams += 1;
        self.in_use += 1;
        Some((found.conn.clone(), found.id))
    }
}

impl Host {
    pub(super) fn new(origin: Origin, proxy: Option<Arc<Proxy>>, common: Arc<Common>) -> Arc<Self> {
        let Limits { http2, cleartext_http2, .. } = common.limits;
        let speaks = match (origin.is_https(), http2, cleartext_http2) {
            (true, true, _) => Speaks::Unknown,
            (false, _, true) => Speaks::Http2,
            _ => Speaks::Http1,
        };
        let state = State {
            speaks,
            idle: Vec::new(),
            shared: Vec::new(),
            waiting: VecDeque::new(),
            dials: Vec::new(),
            open: 0,
            in_use: 0,
            next: 0,
            sweeping: false,
            sweeper: None,
            closed: false,
            told: LastTold::default(),
        };
        Arc::new(Self { origin, proxy, common, state: Mutex::new(state) })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing below panics half way through a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets the lock go, and puts what has changed into the figures.
    fn release(&self, mut state: MutexGuard<'_, State>) {
        let now = state.connections();
        let change = state.told.replace(now);
        drop(state);
        if let Some((before, now)) = change {
            self.common.gauges.change(before, now);
        }
    }

    /// Changes the state, opens what is then wanted, and lets go of what the change threw away.
    fn change(self: &Arc<Self>, change: impl FnOnce(&mut State) -> Trash) {
        let mut state = self.lock();
        let mut trash = change(&mut state);
        let orders = self.orders(&mut state, &mut trash);
        self.release(state);
        drop(trash);
        self.carry_out(orders);
    }

    /// The connections to open for those who wait, as far as the cap allows.
    fn orders(self: &Arc<Self>, state: &mut State, trash: &mut Trash) -> Vec<Order> {
        let mut orders = Vec::new();
        while state.dials.len() < state.wanted() && !state.closed {
            if state.open >= self.common.limits.max_connections {
                // Somebody waits for a fresh connection while old ones lie idle: make room.
                if !state.idle.is_empty() {
                    trash.push(Conn::Http1(state.idle.remove(0).0));
                }
                break;
            }
            orders.push(self.order(state, None));
        }
        orders
    }

    /// Asks for a connection; `fresh` for one that nobody has used before.
    ///
    /// # Errors
    /// `Unavailable` when the client was closed.
    pub(super) fn ask(self: &Arc<Self>, fresh: bool) -> Result<Asked, Error> {
        let now = clock::now();
        let mut trash = Trash::new();
        let mut state = self.lock();
        if state.closed {
            return Err(closed());
        }
        if !fresh {
            while let Some((conn, since)) = state.idle.pop() {
                if !conn.is_closed() && now.saturating_duration_since(since) < self.common.limits.pool_idle {
                    state.in_use += 1;
                    self.release(state);
                    drop(trash);
                    self.common.reused.fetch_add(1, Relaxed);
                    return Ok(Asked::Now(Lease::new(Arc::clone(self), Conn::Http1(conn), true)));
                }
                trash.push(Conn::Http1(conn));
            }
            if let Some((conn, id)) = state.stream(None) {
                self.release(state);
                drop(trash);
                self.common.reused.fetch_add(1, Relaxed);
                return Ok(Asked::Now(Lease::new(Arc::clone(self), Conn::Http2 { conn, id }, true)));
            }
        }
        let (to, from) = oneshot::channel();
        state.next += 1;
        let number = state.next;
        let waiter = Waiter { number, fresh, to };
        if fresh {
            // It has had its turn already.
            state.waiting.push_front(waiter);
        } else {
            state.waiting.push_back(waiter);
        }
        let orders = self.orders(&mut state, &mut trash);
        let queued = orders.is_empty() && state.dials.len() < state.wanted();
        self.release(state);
        drop(trash);
        self.carry_out(orders);
        Ok(Asked::Later(Ticket { host: Arc::clone(self), number, from, queued }))
    }

    /// Hands an HTTP/1.1 connection to whoever waits longest, or gives it back.
    fn hand_out(self: &Arc<Self>, state: &mut State, conn: Http1, opened: bool) -> Option<Http1> {
        let mut conn = conn;
        let mut at = 0;
        while let Some(waiter) = state.waiting.get(at) {
            if waiter.fresh && !opened {
                at += 1;
                continue;
            }
            let Some(waiter) = state.waiting.remove(at) else { break };
            let lease = Lease::new(Arc::clone(self), Conn::Http1(conn), !opened);
            match waiter.to.send(Ok(lease)) {
                Ok(()) => {
                    state.in_use += 1;
                    if !opened {
                        self.common.reused.fetch_add(1, Relaxed);
                    }
                    return None;
                }
                // It went away in this moment.
                Err(Ok(lease)) => match lease.into_conn() {
                    Some(Conn::Http1(back)) => conn = back,
                    _ => return None,
                },
                Err(Err(_)) => return None,
            }
        }
        Some(conn)
    }

    /// Hands places on HTTP/2 connections to those who wait.
    fn hand_out_streams(self: &Arc<Self>, state: &mut State, opened: Option<u64>) {
        let mut at = 0;
        while let Some(waiter) = state.waiting.get(at) {
            if waiter.fresh && opened.is_none() {
                at += 1;
                continue;
            }
            let Some((conn, id)) = state.stream(opened) else { return };
            let Some(waiter) = state.waiting.remove(at) else { return };
            let reused = opened.is_none();
            let lease = Lease::new(Arc::clone(self), Conn::Http2 { conn, id }, reused);
            match waiter.to.send(Ok(lease)) {
                Ok(()) if reused => _ = self.common.reused.fetch_add(1, Relaxed),
                Ok(()) => {}
                Err(refused) => {
                    if let Ok(lease) = refused {
                        drop(lease.into_conn());
                    }
                    state.in_use = state.in_use.saturating_sub(1);
                    if let Some(shared) = state.shared.iter_mut().find(|shared| shared.id == id) {
                        shared.streams = shared.streams.saturating_sub(1);
                    }
                }
            }
        }
    }

    /// A connection whose exchange is over comes back, whole.
    pub(super) fn give_back(self: &Arc<Self>, conn: Conn) {
        self.change(|state| {
            state.in_use = state.in_use.saturating_sub(1);
            match conn {
                Conn::Http1(conn) => {
                    if state.closed || conn.is_closed() {
                        return vec![Conn::Http1(conn)];
                    }
                    if let Some(conn) = self.hand_out(state, conn, false) {
                        state.idle.push((conn, clock::now()));
                        self.start_sweeping(state);
                    }
                    Trash::new()
                }
                Conn::Http2 { conn, id } => {
                    if let Some(shared) = state.shared.iter_mut().find(|shared| shared.id == id) {
                        shared.streams = shared.streams.saturating_sub(1);
                        shared.idle_since = clock::now();
                        self.start_sweeping(state);
                    }
                    let trash = Self::buried(state);
                    self.hand_out_streams(state, None);
                    trash.into_iter().chain([Conn::Http2 { conn, id }]).collect()
                }
            }
        });
    }

    /// A connection that was broken off is dropped and no longer counted as in use.
    pub(super) fn lost(self: &Arc<Self>, conn: Conn) {
        self.change(|state| {
            state.in_use = state.in_use.saturating_sub(1);
            vec![conn]
        });
    }

    /// A re-used connection turned out to be dead: those that lie idle are as old, and are let go with it.
    pub(super) fn found_stale(self: &Arc<Self>, stream: Option<u64>) {
        self.change(|state| match stream {
            None => state.idle.drain(..).map(|(conn, _)| Conn::Http1(conn)).collect(),
            Some(stale) => {
                let Some(at) = state.shared.iter().position(|shared| shared.id == stale) else {
                    return Trash::new();
                };
                let Shared { conn, id, .. } = state.shared.remove(at);
                vec![Conn::Http2 { conn, id }]
            }
        });
    }
}
