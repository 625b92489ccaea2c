//! Connections as they are opened: by tasks of their own, under a permit, with an end that the pool always hears of.

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};

use llm_types::{Error, ErrorKind};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::{Common, Dial, Host, Shared, Speaks, State, Trash, closed};
use crate::clock;
use crate::transport::connection::{Http1, Http2};
use crate::transport::lease::Conn;

/// The permission to hold a socket open. It is kept inside the connection's IO object, so the count is the truth.
pub(in crate::transport) struct Permit(Weak<Host>);

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(host) = self.0.upgrade() {
            host.change(|state| {
                state.open = state.open.saturating_sub(1);
                Vec::new()
            });
        }
    }
}

/// A connection to be opened: becomes a task once the lock is released.
pub(super) struct Order {
    number: u64,
    permit: Permit,
}

impl Host {
    pub(super) fn order(
        self: &Arc<Self>,
        state: &mut State,
        ahead: Option<oneshot::Sender<Result<(), Error>>>,
    ) -> Order {
        state.open += 1;
        state.next += 1;
        state.dials.push(Dial { number: state.next, task: None, ahead });
        Order { number: state.next, permit: Permit(Arc::downgrade(self)) }
    }

    /// Opens connections ahead of need, until `count` are idle or being opened (one, where HTTP/2 shares it) or the cap is
    /// reached. Gives how many were opened.
    ///
    /// # Errors
    /// The first that failed. The others go on.
    pub(in crate::transport) async fn open_ahead(self: &Arc<Self>, count: usize) -> Result<usize, Error> {
        let mut opened = 0;
        loop {
            let mut ends = Vec::new();
            let mut orders = Vec::new();
            let unknown;
            {
                let mut state = self.lock();
                if state.closed {
                    return Err(closed());
                }
                unknown = state.speaks == Speaks::Unknown;
                let (standing, wanted) = match state.speaks {
                    Speaks::Http1 => (state.idle.len(), count),
                    Speaks::Http2 => {
                        (state.shared.iter().filter(|shared| !shared.conn.is_closed()).count(), count.min(1))
                    }
                    Speaks::Unknown => (0, count.min(1)),
                };
                let room = self.common.limits.max_connections.saturating_sub(state.open);
                let missing = wanted.saturating_sub(standing + state.dials.len()).min(room);
                for _ in 0..missing {
                    let (tell, end) = oneshot::channel();
                    orders.push(self.order(&mut state, Some(tell)));
                    ends.push(end);
                }
            }
            self.carry_out(orders);
            opened += ends.len();
            let found_out = unknown && !ends.is_empty();
            for end in ends {
                end.await.unwrap_or_else(|_| Err(closed()))?;
            }
            // The first one has found out what the server speaks: HTTP/1.1 needs the others too.
            if !found_out {
                return Ok(opened);
            }
        }
    }

    pub(super) fn carry_out(self: &Arc<Self>, orders: Vec<Order>) {
        for order in orders {
            let number = order.number;
            let guard = Dialling { host: Arc::clone(self), number, done: false };
            let Ok(runtime) = Handle::try_current() else { continue };
            let task = runtime.spawn(guard.dial(order.permit)).abort_handle();
            let mut state = self.lock();
            match state.dials.iter_mut().find(|dial| dial.number == number) {
                Some(dial) => dial.task = Some(task),
                // Over already, or given up meanwhile.
                None => {
                    drop(state);
                    task.abort();
                }
            }
        }
    }

    /// Opens one connection, up to where HTTP can be spoken.
    async fn open(&self, permit: Permit) -> Result<Opened, Error> {
        let Common { connector, limits, .. } = &*self.common;
        let (stream, negotiated) = connector.connect(&self.origin, self.proxy.as_deref(), permit).await?;
        if negotiated || (limits.cleartext_http2 && !self.origin.is_https()) {
            Http2::open(stream, &self.origin, limits).await.map(Opened::Http2)
        } else {
            Http1::open(stream, &self.origin, limits).await.map(Opened::Http1)
        }
    }

    fn opened(self: &Arc<Self>, number: u64, opened: Opened) {
        self.common.opened.fetch_add(1, Relaxed);
        tracing::debug!(origin = %self.origin, http2 = matches!(opened, Opened::Http2(_)), "connected");
        let mut ahead = None;
        self.change(|state| {
            if let Some(at) = state.dials.iter().position(|dial| dial.number == number) {
                ahead = state.dials.remove(at).ahead;
            }
            match opened {
                Opened::Http1(conn) if state.closed => return vec![Conn::Http1(conn)],
                Opened::Http2(conn) if state.closed => return vec![Conn::Http2 { conn, id: 0 }],
                Opened::Http1(conn) => {
                    state.speaks = Speaks::Http1;
                    if let Some(conn) = self.hand_out(state, conn, true) {
                        state.idle.push((conn, clock::now()));
                    }
                }
                Opened::Http2(conn) => {
                    state.speaks = Speaks::Http2;
                    state.next += 1;
                    let id = state.next;
                    state.shared.push(Shared { conn, id, streams: 0, idle_since: clock::now() });
                    self.hand_out_streams(state, Some(id));
                }
            }
            self.start_sweeping(state);
            Trash::new()
        });
        if let Some(ahead) = ahead {
            let _ = ahead.send(Ok(()));
        }
    }

    /// A connection that could not be made: those who waited for it hear why. With HTTP/1.1 that is one call, else all
    /// that were there when it was begun.
    fn failed(self: &Arc<Self>, number: u64, error: &Error) {
        self.change(|state| {
            let Some(at) = state.dials.iter().position(|dial| dial.number == number) else {
                return Trash::new();
            };
            if let Some(ahead) = state.dials.remove(at).ahead {
                // Whoever waits gets another one.
                let _ = ahead.send(Err(error.clone()));
                return Trash::new();
            }
            let mut told = 0;
            while let Some(waiter) = state.waiting.front() {
                let shares = state.speaks != Speaks::Http1 && waiter.number < number;
                if told > 0 && !shares {
                    break;
                }
                if let Some(waiter) = state.waiting.pop_front() {
                    // One that went away counts for nothing.
                    told += usize::from(waiter.to.send(Err(error.clone())).is_ok());
                }
            }
            Trash::new()
        });
    }
}

enum Opened {
    Http1(Http1),
    Http2(Http2),
}

/// A connect under way. However its task ends, the pool hears of it.
struct Dialling {
    host: Arc<Host>,
    number: u64,
    done: bool,
}

impl Dialling {
    async fn dial(mut self, permit: Permit) {
        let opened = self.host.open(permit).await;
        self.done = true;
        match opened {
            Ok(opened) => self.host.opened(self.number, opened),
            Err(error) => self.host.failed(self.number, &error),
        }
    }
}

impl Drop for Dialling {
    fn drop(&mut self) {
        if !self.done {
            let error =
                Error::new(ErrorKind::Connection, format!("connecting to {} was given up", self.host.origin));
            self.host.failed(self.number, &error);
        }
    }
}
