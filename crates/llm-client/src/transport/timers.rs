//! The timers of one exchange: first byte, idle, attempt.
//!
//! One `Sleep` serves an exchange from the request to the end of its body. It is not moved for every piece: a wait only
//! notes when it would be over, and a `Sleep` that fires early is set to that. So it can serve the next exchange on the
//! same connection without being registered anew.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use llm_types::Phase;
use tokio::time::Sleep;

use crate::clock::{self, Instant};
use crate::settings::Timers;

/// Watches over one exchange.
pub(super) struct Watch {
    timers: Timers,
    attempt: Option<Instant>,
    first_byte: Option<Instant>,
    /// What ends the wait under way.
    due: Option<(Instant, Phase)>,
    waiting: bool,
    content: bool,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Watch {
    pub(super) fn new(timers: Timers) -> Self {
        Self {
            timers,
            attempt: None,
            first_byte: None,
            due: None,
            waiting: false,
            content: false,
            sleep: None,
        }
    }

    /// Takes a timer that served another exchange. It may still run for that one's limits, which does not matter.
    pub(super) fn reuse(&mut self, sleep: Option<Pin<Box<Sleep>>>) {
        if self.sleep.is_none() {
            self.sleep = sleep;
        }
    }

    /// Gives the timer up, for the next exchange.
    pub(super) fn take_sleep(&mut self) -> Option<Pin<Box<Sleep>>> {
        self.sleep.take()
    }

    /// The attempt begins: we connect, or a connection is there. Later calls change nothing.
    pub(super) fn attempt_begins(&mut self) {
        if let (None, Some(limit)) = (self.attempt, self.timers.attempt) {
            self.attempt = Some(clock::after(clock::now(), limit));
        }
        self.due = self.attempt.map(|at| (at, Phase::Attempt));
        self.waiting = self.due.is_some();
    }

    /// The request goes out.
    pub(super) fn request_begins(&mut self) {
        self.first_byte = self.timers.first_byte.map(|limit| clock::after(clock::now(), limit));
        self.waiting = false;
    }

    /// A piece of the body came.
    pub(super) fn piece(&mut self) {
        self.content = true;
        self.waiting = false;
    }

    /// Nothing is there to read: whether one of the limits is reached. The first call after a piece begins a wait.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<(Phase, Duration)> {
        if !self.waiting {
            self.waiting = true;
            let quiet = match self.timers.idle {
                _ if !self.content => self.first_byte.map(|at| (at, Phase::FirstByte)),
                Some(limit) => Some((clock::after(clock::now(), limit), Phase::Idle)),
                None => None,
            };
            let whole = self.attempt.map(|at| (at, Phase::Attempt));
            self.due = [quiet, whole].into_iter().flatten().min_by_key(|(at, _)| *at);
        }
        let Some((at, phase)) = self.due else { return Poll::Pending };
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(at)));
        if sleep.deadline() > at {
            sleep.as_mut().reset(at);
        }
        loop {
            ready!(sleep.as_mut().poll(cx));
            if sleep.deadline() >= at {
                let limit = match phase {
                    Phase::FirstByte => self.timers.first_byte,
                    Phase::Idle => self.timers.idle,
                    _ => self.timers.attempt,
                };
                return Poll::Ready((phase, limit.unwrap_or_default()));
            }
            sleep.as_mut().reset(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    fn watch(attempt: Option<u64>, first_byte: Option<u64>, idle: Option<u64>) -> Watch {
        let secs = |n: Option<u64>| n.map(Duration::from_secs);
        let timers = Timers { attempt: secs(attempt), first_byte: secs(first_byte), idle: secs(idle) };
        let mut watch = Watch::new(timers);
        watch.attempt_begins();
        watch.request_begins();
        watch
    }

    async fn expiry(watch: &mut Watch) -> (Phase, Duration) {
        let began = clock::now();
        let (phase, limit) = std::future::poll_fn(|cx| watch.poll(cx)).await;
        assert!(limit > Duration::ZERO);
        (phase, clock::now() - began)
    }

    #[tokio::test(start_paused = true)]
    async fn each_phase_has_its_limit() {
        let mut watch = watch(Some(100), Some(30), Some(10));
        tokio::time::sleep(secs(5)).await;
        assert_eq!(expiry(&mut watch).await, (Phase::FirstByte, secs(25)));
        watch.piece();
        assert_eq!(expiry(&mut watch).await, (Phase::Idle, secs(10)));
        for _ in 0..6 {
            watch.piece();
            let waiting = tokio::time::timeout(secs(9), std::future::poll_fn(|cx| watch.poll(cx)));
            assert!(waiting.await.is_err());
        }
        // 94 of 100 seconds have gone.
        watch.piece();
        assert_eq!(expiry(&mut watch).await, (Phase::Attempt, secs(6)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_early_sleep_is_set_to_the_later_limit() {
        let mut watch = watch(None, Some(5), Some(60));
        assert!(tokio::time::timeout(secs(4), std::future::poll_fn(|cx| watch.poll(cx))).await.is_err());
        watch.piece();
        assert_eq!(expiry(&mut watch).await, (Phase::Idle, secs(60)));
    }

    #[tokio::test(start_paused = true)]
    async fn without_limits_nothing_ends_a_wait() {
        let mut watch = watch(None, None, None);
        assert!(tokio::time::timeout(secs(9999), std::future::poll_fn(|cx| watch.poll(cx))).await.is_err());
        watch.piece();
        assert!(tokio::time::timeout(secs(9999), std::future::poll_fn(|cx| watch.poll(cx))).await.is_err());
        assert!(watch.sleep.is_none(), "no timer is made that nobody asked for");
    }
}
