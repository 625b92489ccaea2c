//! The output while it is written: one append per record, in the system's hands when `write` returned, on the disk
//! within a second.
//!
//! Two threads of their own: one writes, one makes what was written last. The first error of either ends the run.

use std::fmt;
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use crate::error::BatchError;
use crate::lock::Lock;

/// From a write to the beginning of the sync that makes it last.
const SYNC_AFTER: Duration = Duration::from_millis(500);
/// How many records are written before the run hears of it.
const TOLD_AFTER: u64 = 64;

/// The file below the journal.
pub(crate) trait Disk: fmt::Debug + Send + Sync {
    fn write(&self, bytes: &[u8]) -> io::Result<usize>;
    fn sync(&self) -> io::Result<()>;
    fn set_len(&self, len: u64) -> io::Result<()>;
}

impl Disk for File {
    fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        (&mut &*self).write(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        Self::set_len(self, len)
    }
}

/// A line to be written, and the index of its record.
pub(crate) struct Line {
    pub(crate) index: u64,
    pub(crate) bytes: Vec<u8>,
}

/// What the threads tell the run.
#[derive(Debug)]
pub(crate) enum Told {
    /// So many more records were written.
    Written(u64),
    /// Nothing more will be written.
    Failed(BatchError),
}

/// How the journal ended.
#[derive(Debug)]
pub(crate) struct Closed {
    /// Records written in this run.
    pub(crate) written: u64,
    /// Whether every index was above the one before it, the older records' included.
    pub(crate) is_ascending: bool,
    /// What went wrong, if anything did and the run has not heard of it.
    pub(crate) failed: Option<BatchError>,
}

/// The run's end of the journal. Dropping it lets the threads finish what was handed over.
#[derive(Debug)]
pub(crate) struct Journal {
    lines: mpsc::UnboundedSender<Line>,
    told: mpsc::UnboundedReceiver<Told>,
    closed: oneshot::Receiver<Closed>,
}

impl Journal {
    /// Starts the threads. `len` is the file's length, `last_index` the last record's where the records are in order.
    /// The lock is held until the last record is written.
    pub(crate) fn start(
        disk: Arc<dyn Disk>,
        path: &Path,
        len: u64,
        order: Option<Option<u64>>,
        lock: Arc<Lock>,
    ) -> Result<Self, BatchError> {
        let (lines, from_run) = mpsc::unbounded_channel();
        let (tell, told) = mpsc::unbounded_channel();
        let (close, closed) = oneshot::channel();
        let sync = Arc::new(Syncer::default());
        let mut writer = Writer {
            disk: Arc::clone(&disk),
            path: path.to_owned(),
            len,
            last: order.flatten(),
            is_ascending: order.is_some(),
            written: 0,
            untold: 0,
            tell: tell.clone(),
        };
        let failed = |source| BatchError::io("start a thread to write", path, source);
        let path = path.to_owned();
        let shared = Arc::clone(&sync);
        let syncer = thread::Builder::new()
            .name("llm-batch-sync".into())
            .spawn(move || shared.run(&*disk, &path, &tell))
            .map_err(failed)?;
        let thread = move || {
            let mut failed = writer.run(from_run, &sync).err();
            sync.close();
            if let Ok(Err(error)) = syncer.join() {
                failed.get_or_insert(error);
            }
            drop(lock);
            let Writer { written, is_ascending, .. } = writer;
            let _ = close.send(Closed { written, is_ascending, failed });
        };
        thread::Builder::new().name("llm-batch-write".into()).spawn(thread).map_err(failed)?;
        Ok(Self { lines, told, closed })
    }

    /// Hands a line over. It counts as stored when `told` says so.
    pub(crate) fn append(&self, line: Line) {
        // The writer is gone only after it told why.
        let _ = self.lines.send(line);
    }

    /// What happened since. Safe to drop.
    pub(crate) async fn told(&mut self) -> Told {
        match self.told.recv().await {
            Some(told) => told,
            // Both threads are gone without a word: only a panic does that.
            None => Told::Failed(BatchError::Internal("the writing thread ended unexpectedly".into())),
        }
    }

    /// Waits until everything handed over is on the disk.
    pub(crate) async fn close(self) -> Closed {
        let Self { lines, told, closed } = self;
        drop(lines);
        let closed = closed.await.unwrap_or_else(|_| Closed {
            written: 0,
            is_ascending: false,
            failed: Some(BatchError::Internal("the writing thread ended unexpectedly".into())),
        });
        drop(told);
        closed
    }
}

/// The same error for two hearers.
fn same(source: &io::Error, action: &'static str, path: &Path) -> BatchError {
    BatchError::io(action, path, io::Error::new(source.kind(), source.to_string()))
}

struct Writer {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    len: u64,
    last: Option<u64>,
    is_ascending: bool,
    written: u64,
    untold: u64,
    tell: mpsc::UnboundedSender<Told>,
}

impl Writer {
    fn run(&mut self, mut lines: mpsc::UnboundedReceiver<Line>, sync: &Syncer) -> Result<(), BatchError> {
        while let Some(line) = lines.blocking_recv() {
            let mut next = Some(line);
            while let Some(line) = next {
                if let Err(source) = self.write(&line) {
                    self.tell();
                    let error = || same(&source, "write", &self.path);
                    let _ = self.tell.send(Told::Failed(error()));
                    return Err(error());
                }
                sync.wrote();
                self.untold += 1;
                if self.untold >= TOLD_AFTER {
                    self.tell();
                }
                next = lines.try_recv().ok();
            }
            self.tell();
        }
        Ok(())
    }

    fn tell(&mut self) {
        let _ = self.tell.send(Told::Written(self.untold));
        self.untold = 0;
    }

    /// One write for one record. A short one is continued; after an error the file is cut to its last whole line.
    fn write(&mut self, line: &Line) -> io::Result<()> {
        let mut rest = line.bytes.as_slice();
        while !rest.is_empty() {
            let result = match self.disk.write(rest) {
                Ok(0) => Err(io::ErrorKind::WriteZero.into()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other,
            };
            match result {
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(error) => {
                    let begun = rest.len() < line.bytes.len();
                    if begun && let Err(uncut) = self.disk.set_len(self.len) {
                        // The next run cuts it.
                        tracing::warn!(path = %self.path.display(), error = %uncut, "cannot cut a torn line off");
                    }
                    return Err(error);
                }
            }
        }
        self.len += line.bytes.len() as u64;
        self.is_ascending &= self.last.is_none_or(|last| last < line.index);
        self.last = Some(line.index);
        self.written += 1;
        Ok(())
    }
}

/// Between the thread that writes and the one that syncs.
#[derive(Debug, Default)]
struct Syncer {
    state: Mutex<SyncState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct SyncState {
    dirty: bool,
    closing: bool,
}

impl Syncer {
    fn state(&self) -> std::sync::MutexGuard<'_, SyncState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wrote(&self) {
        let mut state = self.state();
        if !state.dirty {
            state.dirty = true;
            self.changed.notify_one();
        }
    }

    fn close(&self) {
        self.state().closing = true;
        self.changed.notify_one();
    }

    fn run(
        &self,
        disk: &dyn Disk,
        path: &Path,
        tell: &mpsc::UnboundedSender<Told>,
    ) -> Result<(), BatchError> {
        loop {
            let idle = |state: &mut SyncState| !state.dirty && !state.closing;
            let state = self.changed.wait_while(self.state(), idle).unwrap_or_else(PoisonError::into_inner);
            let open = |state: &mut SyncState| !state.closing;
            let (mut state, _) = self
                .changed
                .wait_timeout_while(state, SYNC_AFTER, open)
                .unwrap_or_else(PoisonError::into_inner);
            if !state.dirty {
                return Ok(());
            }
            state.dirty = false;
            drop(state);
            if let Err(source) = disk.sync() {
                let error = || same(&source, "sync", path);
                let _ = tell.send(Told::Failed(error()));
                return Err(error());
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
