//! Ending a run from outside: first gently, then at once.

use std::sync::Arc;

use tokio::sync::watch;

/// Ends runs from outside, from any thread. Cheap to clone; every clone ends the same runs.
#[derive(Clone, Debug)]
pub struct Shutdown(Arc<watch::Sender<Level>>);

/// How much of an end was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Level {
    Run,
    Drain,
    Abort,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(Level::Run)))
    }
}

impl Shutdown {
    /// Nothing more is sent; what is in flight comes in and is stored. The run then ends with
    /// [`StopReason::Drained`](crate::StopReason::Drained), unless it was done anyway.
    pub fn drain(&self) {
        self.raise(Level::Drain);
    }

    /// What is in flight is given up; what has come in is stored. The run ends with
    /// [`StopReason::Aborted`](crate::StopReason::Aborted).
    pub fn abort(&self) {
        self.raise(Level::Abort);
    }

    /// Whether an end was asked for.
    #[must_use]
    pub fn is_requested(&self) -> bool {
        self.level() > Level::Run
    }

    pub(crate) fn level(&self) -> Level {
        *self.0.borrow()
    }

    pub(crate) fn watch(&self) -> watch::Receiver<Level> {
        self.0.subscribe()
    }

    fn raise(&self, to: Level) {
        self.0.send_if_modified(|level| {
            let raised = to > *level;
            *level = to.max(*level);
            raised
        });
    }

    /// Waits until more of an end is asked for than this.
    pub(crate) async fn beyond(&self, level: Level) -> Level {
        let mut changes = self.0.subscribe();
        let raised = changes.wait_for(|now| *now > level).await.map(|now| *now);
        match raised {
            Ok(now) => now,
            // Cannot be: we hold the sender. Should it be, nobody can ask for an end any more.
            Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn levels_only_rise() {
        let shutdown = Shutdown::default();
        assert!(!shutdown.is_requested());
        shutdown.drain();
        assert_eq!(shutdown.beyond(Level::Run).await, Level::Drain);
        shutdown.clone().abort();
        shutdown.drain();
        assert_eq!(shutdown.level(), Level::Abort);
        assert_eq!(shutdown.beyond(Level::Drain).await, Level::Abort);
    }
}
