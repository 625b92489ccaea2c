//! The signals that ask a command to end.

use crate::exit::Exit;

/// The signals that ask a command to end, from the moment they are first listened to.
#[derive(Debug)]
pub(crate) struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
    #[cfg(unix)]
    hang_up: tokio::signal::unix::Signal,
}

impl Signals {
    /// Starts to listen: from here on a signal no longer kills the process by itself.
    ///
    /// # Errors
    /// The system's own.
    #[cfg(unix)]
    pub(crate) fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the next signal and gives the code it ends with: 130, 143 or 129.
    #[cfg(unix)]
    pub(crate) async fn next(&mut self) -> Exit {
        tokio::select! {
            Some(()) = self.interrupt.recv() => Exit::Interrupted,
            Some(()) = self.terminate.recv() => Exit::Terminated,
            Some(()) = self.hang_up.recv() => Exit::HungUp,
            else => std::future::pending().await,
        }
    }

    /// Starts to listen.
    ///
    /// # Errors
    /// None on this system.
    #[cfg(not(unix))]
    pub(crate) fn listen() -> std::io::Result<Self> {
        Ok(Self {})
    }

    /// Waits for Ctrl-C.
    #[cfg(not(unix))]
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
