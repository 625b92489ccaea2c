//! What every connection of a server has in common.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Instant,
};

use tokio::sync::Notify;

use crate::{
    MockError,
    config::MockConfig,
    counters::Counters,
    fault::ConnectionFault,
    limits::Gate,
    log::Request,
    log_file::LogFile,
    script::{Reader, Reply},
};

/// What every connection has in common.
pub(crate) struct Shared {
    pub(crate) config: MockConfig,
    pub(crate) started: Instant,
    pub(crate) closing: AtomicBool,
    pub(crate) counters: Counters,
    pub(crate) log: Mutex<Vec<Request>>,
    pub(crate) log_file: Option<LogFile>,
    /// Told whenever a number changes.
    pub(crate) changed: Notify,
    pub(crate) desk: Mutex<Desk>,
}

/// What is still to be said, and to whom not.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) gate: Gate,
    pub(crate) queue: Queue<Arc<Reply>>,
    pub(crate) by_path: HashMap<String, Queue<Arc<Reply>>>,
    pub(crate) script: Reader,
    /// Faults of connections to come.
    pub(crate) on_accept: Queue<ConnectionFault>,
    pub(crate) on_reuse: Queue<ConnectionFault>,
}

/// Things to be used in order, each so many times.
#[derive(Debug)]
pub(crate) struct Queue<T>(VecDeque<(T, u64)>);

impl<T: Clone> Queue<T> {
    pub(crate) fn new() -> Self {
        Self(VecDeque::new())
    }

    pub(crate) fn push(&mut self, item: T, times: u64) {
        if times > 0 {
            self.0.push_back((item, times));
        }
    }

    pub(crate) fn take(&mut self) -> Option<T> {
        let (item, times) = self.0.front_mut()?;
        let item = item.clone();
        *times -= 1;
        if *times == 0 {
            self.0.pop_front();
        }
        Some(item)
    }

    pub(crate) fn left(&self) -> u64 {
        self.0.iter().fold(0, |sum, (_, times)| sum.saturating_add(*times))
    }
}

/// A mutex whose holder panicked is as good as ever here: nothing is left half-changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Shared {
    /// Opens the log file, if there is to be one.
    pub(crate) fn new(config: MockConfig) -> Result<Self, MockError> {
        let log_file = match &config.log_file {
            Some(path) => Some(
                LogFile::open(path, config.log_bodies)
                    .map_err(|source| MockError::File { path: path.clone(), source })?,
            ),
            None => None,
        };
        let desk = Desk {
            gate: Gate::new(config.limits.clone(), config.seed),
            queue: Queue::new(),
            by_path: HashMap::new(),
            script: Reader::new(config.script.clone()),
            on_accept: Queue::new(),
            on_reuse: Queue::new(),
        };
        Ok(Self {
            config,
            started: Instant::now(),
            closing: AtomicBool::new(false),
            counters: Counters::default(),
            log: Mutex::new(Vec::new()),
            log_file,
            changed: Notify::new(),
            desk: Mutex::new(desk),
        })
    }

    /// Takes the next fault for a connection that is used again.
    pub(crate) fn fault_on_reuse(&self) -> Option<ConnectionFault> {
        lock(&self.desk).on_reuse.take()
    }

    /// Counts a request that never became whole.
    pub(crate) fn count_unread(&self) {
        self.counters.unread.fetch_add(1, SeqCst);
        self.changed.notify_waiters();
    }

    /// Whether somebody is going to look at headers.
    pub(crate) fn wants_headers(&self) -> bool {
        self.config.log || self.config.responder.is_some()
    }
}
