//! File work beside the runtime, on threads of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use tokio::sync::oneshot;

use crate::error::BatchError;
use crate::progress::Progress;
use crate::rows::Rows;
use crate::source::{Input, Source};

/// Counts a file's rows beside the run, so that progress can say how many there are.
pub(crate) struct Counting(Arc<AtomicBool>);

impl Counting {
    pub(crate) fn start(
        source: &Source,
        total: Option<u64>,
        limit: u64,
        progress: &Progress,
    ) -> Option<Self> {
        let Source::File { name, .. } = source else {
            if let Some(requests) = source.requests() {
                progress.0.set_total((requests.len() as u64).min(limit));
            }
            return None;
        };
        if total.is_some() {
            return None;
        }
        let over = Arc::new(AtomicBool::new(false));
        let (name, progress, stop) = (name.clone(), progress.clone(), Arc::clone(&over));
        let count = move || {
            let mut source = Source::open(Input::File(name))?;
            let mut rows = Rows::open(&mut source)?;
            while rows.count() < limit && rows.skip()? {
                if rows.count() % 1024 == 0 && stop.load(Relaxed) {
                    return Ok(());
                }
            }
            progress.0.set_total(rows.count());
            Ok::<(), BatchError>(())
        };
        // Only progress needs it: a thread that cannot be had, or a file that is gone, is no matter.
        let thread = std::thread::Builder::new().name("llm-batch-count".into()).spawn(count);
        thread.is_ok().then_some(Self(over))
    }
}

impl Drop for Counting {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// Runs file work on a thread of its own: the runtime's threads stay free, and a runtime that ends does not wait for a
/// read that never returns.
pub(crate) async fn on_thread<T: Send + 'static>(
    name: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, BatchError> {
    let (send, result) = oneshot::channel();
    let thread = std::thread::Builder::new().name(name.into()).spawn(move || {
        let _ = send.send(work());
    });
    thread.map_err(|source| BatchError::Io { action: "start a thread for", path: name.into(), source })?;
    result
        .await
        .map_err(|_| BatchError::Internal(format!("the thread {name} ended unexpectedly; please report it")))
}
