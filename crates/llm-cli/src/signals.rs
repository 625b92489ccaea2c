//! The signals that ask a command to end.

#[cfg(unix)]
use std::{sync::OnceLock, task::Poll};

#[cfg(unix)]
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::exit::Exit;

/// The signals that ask a command to end, from the moment they are first listened to.
#[derive(Debug)]
pub(crate) struct Signals {
    #[cfg(unix)]
    listening: Vec<(Signal, Exit)>,
}

#[cfg(unix)]
impl Signals {
    /// Starts to listen: from here on a signal no longer kills the process by itself. One that the parent told us to
    /// ignore, as `nohup` does with SIGHUP, stays ignored.
    ///
    /// # Errors
    /// The system's own.
    pub(crate) fn listen() -> std::io::Result<Self> {
        let ignored = ignored();
        let wanted = [
            (SignalKind::interrupt(), Exit::Interrupted),
            (SignalKind::terminate(), Exit::Terminated),
            (SignalKind::hangup(), Exit::HungUp),
        ];
        let heard = wanted.into_iter().filter(|(kind, _)| {
            let bit = u32::try_from(kind.as_raw_value() - 1).unwrap_or(u32::MAX);
            ignored.checked_shr(bit).is_none_or(|mask| mask & 1 == 0)
        });
        let listening =
            heard.map(|(kind, exit)| Ok((signal(kind)?, exit))).collect::<std::io::Result<_>>()?;
        Ok(Self { listening })
    }

    /// Waits for the next signal and gives the code it ends with: 130, 143 or 129.
    pub(crate) async fn next(&mut self) -> Exit {
        std::future::poll_fn(|cx| {
            let heard = self.listening.iter_mut().find_map(|(signal, exit)| match signal.poll_recv(cx) {
                Poll::Ready(Some(())) => Some(*exit),
                _ => None,
            });
            heard.map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }
}

/// The signals this process ignores from its start, one bit each. None where the system does not say.
#[cfg(unix)]
fn ignored() -> u64 {
    /// Before the first listener changes what the system says.
    static AT_START: OnceLock<u64> = OnceLock::new();
    *AT_START.get_or_init(|| {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
        mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
    })
}

#[cfg(not(unix))]
impl Signals {
    /// Starts to listen.
    ///
    /// # Errors
    /// None on this system.
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self {})
    }

    /// Waits for Ctrl-C.
    pub(crate) async fn next(&mut self) -> Exit {
        match tokio::signal::ctrl_c().await {
            Ok(()) => Exit::Interrupted,
            Err(_) => std::future::pending().await,
        }
    }
}

/// Ends the process itself where the command cannot: a standard output that nobody reads holds its writer for ever.
/// From the first signal on the command has this long; a second signal ends it at once.
pub(crate) fn last_resort(grace: std::time::Duration) {
    tokio::spawn(async move {
        let Ok(mut signals) = Signals::listen() else { return };
        let exit = signals.next().await;
        tokio::select! {
            () = tokio::time::sleep(grace) => {}
            _ = signals.next() => {}
        }
        std::process::exit(i32::from(exit.code()));
    });
}
