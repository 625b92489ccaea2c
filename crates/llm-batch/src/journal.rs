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
pub(crate) mod tests {
    use super::*;
    use crate::lock::Target;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    /// A disk that is full after so many bytes, writes at most `piece` bytes at once, and may fail to sync.
    #[derive(Debug)]
    pub(crate) struct Faulty {
        pub(crate) file: File,
        pub(crate) room: AtomicU64,
        pub(crate) piece: usize,
        pub(crate) sync_fails: bool,
        pub(crate) syncs: AtomicU64,
    }

    impl Faulty {
        pub(crate) fn new(file: File, room: u64) -> Self {
            Self { file, room: room.into(), piece: usize::MAX, sync_fails: false, syncs: 0.into() }
        }
    }

    impl Disk for Faulty {
        fn write(&self, bytes: &[u8]) -> io::Result<usize> {
            let count = bytes
                .len()
                .min(self.piece)
                .min(usize::try_from(self.room.load(Relaxed)).unwrap_or(usize::MAX));
            if count == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room.fetch_sub(count as u64, Relaxed);
            Disk::write(&self.file, &bytes[..count])
        }

        fn sync(&self) -> io::Result<()> {
            self.syncs.fetch_add(1, Relaxed);
            if self.sync_fails { Err(io::Error::other("gone")) } else { Ok(()) }
        }

        fn set_len(&self, len: u64) -> io::Result<()> {
            self.file.set_len(len)
        }
    }

    struct Place {
        _folder: tempfile::TempDir,
        path: PathBuf,
        lock: Arc<Lock>,
    }

    fn place() -> Place {
        let folder = tempfile::tempdir().unwrap();
        let target = Target::resolve(&folder.path().join("out.jsonl")).unwrap();
        let lock = Arc::new(Lock::take(&target).unwrap());
        Place { path: target.path().to_owned(), lock, _folder: folder }
    }

    fn open(path: &Path) -> File {
        File::options().append(true).create(true).open(path).unwrap()
    }

    fn line(index: u64) -> Line {
        Line { index, bytes: format!("record {index}\n").into_bytes() }
    }

    async fn written(journal: &mut Journal, count: u64) {
        let mut sum = 0;
        while sum < count {
            match journal.told().await {
                Told::Written(more) => sum += more,
                Told::Failed(error) => panic!("{error}"),
            }
        }
        assert_eq!(sum, count);
    }

    #[tokio::test]
    async fn a_record_is_in_the_file_when_it_counts_as_written() {
        let place = place();
        let disk = Arc::new(Faulty::new(open(&place.path), u64::MAX));
        let mut journal =
            Journal::start(disk.clone(), &place.path, 0, Some(None), place.lock.clone()).unwrap();
        for index in 0..3 {
            journal.append(line(index));
            written(&mut journal, 1).await;
            assert_eq!(std::fs::read_to_string(&place.path).unwrap().lines().count() as u64, index + 1);
        }
        let closed = journal.close().await;
        assert_eq!((closed.written, closed.is_ascending), (3, true));
        assert!(closed.failed.is_none() && disk.syncs.load(Relaxed) >= 1);
    }

    #[tokio::test]
    async fn what_was_written_is_synced_without_being_asked() {
        let place = place();
        let disk = Arc::new(Faulty::new(open(&place.path), u64::MAX));
        let mut journal =
            Journal::start(disk.clone(), &place.path, 0, Some(None), place.lock.clone()).unwrap();
        journal.append(line(0));
        written(&mut journal, 1).await;
        while disk.syncs.load(Relaxed) == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        journal.close().await;
    }

    #[tokio::test]
    async fn order_is_noticed_and_the_lock_is_held_to_the_end() {
        let place = place();
        let order = |last| async move { last };
        for (first, indexes, ascending) in [
            (Some(None), [0, 1], true),
            (Some(None), [1, 0], false),
            (Some(Some(5)), [5, 6], false),
            (None, [7, 8], false),
        ] {
            let disk = Arc::new(open(&place.path));
            let journal =
                Journal::start(disk, &place.path, 0, order(first).await, place.lock.clone()).unwrap();
            indexes.into_iter().for_each(|index| journal.append(line(index)));
            assert_eq!(journal.close().await.is_ascending, ascending);
        }
        assert_eq!(Arc::strong_count(&place.lock), 1);
    }

    #[tokio::test]
    async fn short_writes_are_continued_and_a_full_disk_leaves_whole_lines() {
        for room in 0..30 {
            let place = place();
            let mut disk = Faulty::new(open(&place.path), room);
            disk.piece = 4;
            let mut journal =
                Journal::start(Arc::new(disk), &place.path, 0, Some(None), place.lock.clone()).unwrap();
            (0..3).for_each(|index| journal.append(line(index)));
            let mut whole = 0;
            let told = loop {
                match journal.told().await {
                    Told::Written(more) => whole += more,
                    Told::Failed(error) => break Some(error),
                }
                if whole == 3 {
                    break None;
                }
            };
            let closed = journal.close().await;
            let text = std::fs::read_to_string(&place.path).unwrap();
            let fit = room / line(0).bytes.len() as u64;
            assert_eq!(text.lines().count() as u64, fit.min(3), "room for {room}");
            assert!(text.is_empty() || text.ends_with('\n'));
            if fit < 3 {
                let error = told.unwrap();
                assert!(error.chain().starts_with("cannot write ") && error.chain().contains("out.jsonl: "));
                assert!(closed.failed.is_some());
            }
        }
    }

    #[tokio::test]
    async fn a_failed_sync_ends_the_run() {
        let place = place();
        let mut disk = Faulty::new(open(&place.path), u64::MAX);
        disk.sync_fails = true;
        let mut journal =
            Journal::start(Arc::new(disk), &place.path, 0, Some(None), place.lock.clone()).unwrap();
        journal.append(line(0));
        loop {
            if let Told::Failed(error) = journal.told().await {
                assert!(error.chain().starts_with("cannot sync "), "{}", error.chain());
                break;
            }
        }
        assert!(journal.close().await.failed.is_some());
    }
}
