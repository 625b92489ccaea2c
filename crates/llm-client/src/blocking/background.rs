//! The process's one background thread: its runtime does what blocking callers wait for.
//!
//! Callers sleep on channels of the standard library, which know nothing of runtimes: a thread that drives one may sleep on
//! them too, where tokio's own blocking functions would panic.

use std::any::Any;
use std::cell::Cell;
use std::fmt;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::sync::{Arc, Mutex, PoisonError, mpsc};

use futures_util::{FutureExt as _, Stream, StreamExt as _};
use llm_types::{Error, ErrorKind};
use tokio::runtime::{Builder, Handle};
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tracing::Instrument as _;
use tracing::instrument::WithSubscriber as _;

/// How many items are read ahead of a caller that pulls them.
const AHEAD: usize = 16;

static RUNTIME: Mutex<Option<Handle>> = Mutex::new(None);

thread_local! {
    /// Whether this is the thread that all blocking callers wait for.
    static IS_BACKGROUND: Cell<bool> = const { Cell::new(false) };
}

/// What a panic left behind.
type Payload = Box<dyn Any + Send>;

/// The background runtime, which is started by the first who asks.
fn runtime() -> Result<Handle, Error> {
    refuse_background()?;
    let mut runtime = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(handle) = &*runtime {
        return Ok(handle.clone());
    }
    let failed = |e: std::io::Error| {
        Error::new(ErrorKind::Internal, "the thread for blocking calls cannot be started").with_source(e)
    };
    let made = Builder::new_current_thread().enable_all().build().map_err(failed)?;
    let handle = made.handle().clone();
    let serve = move || {
        IS_BACKGROUND.set(true);
        made.block_on(std::future::pending::<()>());
    };
    std::thread::Builder::new().name("llm-blocking".to_owned()).spawn(serve).map_err(failed)?;
    Ok(runtime.insert(handle).clone())
}

/// On the background thread nobody may sleep: it would wait for work that only it can do.
fn refuse_background() -> Result<(), Error> {
    if IS_BACKGROUND.get() {
        let message = "a blocking call was made by code that a blocking call runs, and would wait for itself";
        return Err(Error::new(ErrorKind::Config, message).with_hint("await the client's own methods there"));
    }
    Ok(())
}

/// Does the work on the background thread and blocks until it is done: for what has no blocking form of its own, such as
/// a manager's health check.
///
/// It may be called from any thread, also one that drives a runtime; everything else on that thread stands still
/// meanwhile. A panic in the work goes on here.
///
/// # Errors
/// [`ErrorKind::Config`] inside of work that a blocking call runs, [`ErrorKind::Internal`] when the thread cannot be
/// started.
pub fn wait<T: Send + 'static>(work: impl Future<Output = T> + Send + 'static) -> Result<T, Error> {
    let runtime = runtime()?;
    let (to, from) = mpsc::sync_channel::<Result<T, Payload>>(1);
    let work = work.in_current_span().with_current_subscriber();
    runtime.spawn(async move {
        let done = AssertUnwindSafe(work).catch_unwind().await;
        // The caller sleeps until it has it.
        let _ = to.send(done);
    });
    match from.recv() {
        Ok(Ok(done)) => Ok(done),
        Ok(Err(panic)) => resume_unwind(panic),
        Err(_) => Err(Error::new(ErrorKind::Internal, "the thread for blocking calls has ended")),
    }
}

/// Drops something where its connection and timers live.
pub(super) fn discard<T: Send + 'static>(value: T) {
    let runtime = RUNTIME.lock().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some(runtime) = runtime {
        runtime.spawn(async move { drop(value) });
    }
}

/// The items of a stream that the background thread reads, for a caller that blocks for each. It reads a few items
/// ahead. Dropping it drops the stream at once.
pub struct Pull<T> {
    from: mpsc::Receiver<Result<T, Payload>>,
    /// Room for items that are read and not yet taken.
    room: Arc<Semaphore>,
    task: AbortHandle,
}

impl<T: Send + 'static> Pull<T> {
    /// Begins to read.
    ///
    /// # Errors
    /// As [`wait`].
    pub fn new(stream: impl Stream<Item = T> + Send + 'static) -> Result<Self, Error> {
        let runtime = runtime()?;
        let (to, from) = mpsc::channel();
        let room = Arc::new(Semaphore::new(AHEAD));
        let (rest, panicked) = (Arc::clone(&room), to.clone());
        let read = async move {
            let mut stream = std::pin::pin!(stream);
            while let Ok(place) = rest.acquire().await {
                // The caller gives the place back.
                place.forget();
                let Some(item) = stream.next().await else { return };
                if to.send(Ok(item)).is_err() {
                    return;
                }
            }
        };
        let read = read.in_current_span().with_current_subscriber();
        let task = runtime.spawn(async move {
            if let Err(panic) = AssertUnwindSafe(read).catch_unwind().await {
                let _ = panicked.send(Err(panic));
            }
        });
        Ok(Self { from, room, task: task.abort_handle() })
    }

    /// Blocks until the next item is there; `None` after the last. A panic in the stream goes on here.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] inside of work that a blocking call runs.
    pub fn pull(&mut self) -> Result<Option<T>, Error> {
        refuse_background()?;
        match self.from.recv() {
            Ok(Ok(item)) => {
                self.room.add_permits(1);
                Ok(Some(item))
            }
            Ok(Err(panic)) => resume_unwind(panic),
            Err(_) => Ok(None),
        }
    }
}

impl<T> Drop for Pull<T> {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl<T> fmt::Debug for Pull<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pull")
    }
}
