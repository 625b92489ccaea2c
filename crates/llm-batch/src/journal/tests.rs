//! Appending, syncing and what happens when the disk refuses.

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
        let count =
            bytes.len().min(self.piece).min(usize::try_from(self.room.load(Relaxed)).unwrap_or(usize::MAX));
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
    let mut journal = Journal::start(disk.clone(), &place.path, 0, Some(None), place.lock.clone()).unwrap();
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
    let mut journal = Journal::start(disk.clone(), &place.path, 0, Some(None), place.lock.clone()).unwrap();
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
        let journal = Journal::start(disk, &place.path, 0, order(first).await, place.lock.clone()).unwrap();
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
    let mut journal = Journal::start(Arc::new(disk), &place.path, 0, Some(None), place.lock.clone()).unwrap();
    journal.append(line(0));
    loop {
        if let Told::Failed(error) = journal.told().await {
            assert!(error.chain().starts_with("cannot sync "), "{}", error.chain());
            break;
        }
    }
    assert!(journal.close().await.failed.is_some());
}
