//! What keeps a pool tidy: letting idle and dead connections go, closing, counting.

use std::collections::VecDeque;
use std::sync::Arc;

use tokio::runtime::Handle;

use super::{Host, Shared, State, Trash, closed};
use crate::clock::{self, Instant};
use crate::telemetry::Connections;
use crate::transport::PoolStats;
use crate::transport::lease::Conn;

impl Host {
    /// Takes closed HTTP/2 connections out of the pool.
    pub(super) fn buried(state: &mut State) -> Trash {
        let mut trash = Trash::new();
        while let Some(at) = state.shared.iter().position(|shared| shared.conn.is_closed()) {
            let Shared { conn, id, .. } = state.shared.swap_remove(at);
            trash.push(Conn::Http2 { conn, id });
        }
        trash
    }

    /// Lets idle connections go and refuses what waits. What is under way goes on.
    pub(in crate::transport) fn close(self: &Arc<Self>) {
        let mut dials = Vec::new();
        let mut waiting = VecDeque::new();
        self.change(|state| {
            state.closed = true;
            dials = std::mem::take(&mut state.dials);
            waiting = std::mem::take(&mut state.waiting);
            let shared = state.shared.drain(..).map(|Shared { conn, id, .. }| Conn::Http2 { conn, id });
            let trash: Trash = shared.collect();
            trash.into_iter().chain(state.idle.drain(..).map(|(conn, _)| Conn::Http1(conn))).collect()
        });
        for waiter in waiting {
            let _ = waiter.to.send(Err(closed()));
        }
        for task in dials.into_iter().filter_map(|dial| dial.task) {
            task.abort();
        }
    }

    /// Adds this host's numbers.
    pub(in crate::transport) fn count(&self, stats: &mut PoolStats) {
        let state = self.lock();
        stats.open += state.open;
        let Connections { idle, in_use, waiting } = state.connections();
        stats.idle += idle;
        stats.in_use += in_use;
        stats.waiting += waiting;
    }

    /// Whether nothing is left that would miss it.
    pub(in crate::transport) fn is_unused(&self) -> bool {
        let state = self.lock();
        state.open == 0 && state.waiting.is_empty()
    }

    /// Sees to it that idle connections are closed when their time is up, with or without further calls.
    pub(super) fn start_sweeping(self: &Arc<Self>, state: &mut State) {
        if state.sweeping && state.sweeper.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        let Ok(runtime) = Handle::try_current() else { return };
        state.sweeping = true;
        // A runtime that is shutting down drops the task here, under the lock: it must hold nothing that calls back.
        let host = Arc::downgrade(self);
        // Nothing is due before that; under load a connection is idle for moments only.
        let mut next = Some(clock::after(clock::now(), self.common.limits.pool_idle));
        let task = runtime.spawn(async move {
            while let Some(at) = next {
                clock::sleep_until(at).await;
                next = host.upgrade().and_then(|host| host.sweep());
            }
        });
        state.sweeper = Some(task.abort_handle());
    }

    /// Lets go of what has been idle for too long; says when to look again.
    fn sweep(self: &Arc<Self>) -> Option<Instant> {
        let limit = self.common.limits.pool_idle;
        let now = clock::now();
        let due = |since: Instant| clock::after(since, limit);
        let mut next = None;
        self.change(|state| {
            let mut trash = Self::buried(state);
            let old = state.idle.partition_point(|(_, since)| due(*since) <= now);
            trash.extend(state.idle.drain(..old).map(|(conn, _)| Conn::Http1(conn)));
            while let Some(at) =
                state.shared.iter().position(|shared| shared.streams == 0 && due(shared.idle_since) <= now)
            {
                let Shared { conn, id, .. } = state.shared.remove(at);
                trash.push(Conn::Http2 { conn, id });
            }
            let resting =
                state.shared.iter().filter(|shared| shared.streams == 0).map(|shared| shared.idle_since);
            next = state.idle.first().map(|(_, since)| *since).into_iter().chain(resting).min().map(due);
            state.sweeping = next.is_some();
            trash
        });
        next
    }
}
