//! Where an output and the files beside it are, and the lock that keeps a second run away from them.

use std::ffi::OsString;
use std::fs::{self, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use crate::error::{BatchError, Conflict};

/// An output file by its real place: symbolic links are followed, so that two names of one file share one lock and a
/// replaced file stays where the link points.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    path: PathBuf,
}

impl Target {
    /// Finds the real place of an output that may not exist yet.
    pub(crate) fn resolve(given: &Path) -> Result<Self, BatchError> {
        let failed = |source| BatchError::io("open", given, source);
        match fs::canonicalize(given) {
            Ok(path) => {
                let kind = fs::metadata(&path).map_err(failed)?.file_type();
                if kind.is_dir() {
                    return Err(failed(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder")));
                }
                if !kind.is_file() {
                    return Err(failed(io::Error::new(
                        io::ErrorKind::InvalidInput,
                        "it is not a regular file",
                    )));
                }
                Ok(Self { path })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // A link that points to nothing yet is followed, one step, as opening it would.
                let given = match fs::read_link(given) {
                    Ok(to) => given.parent().unwrap_or(Path::new("")).join(to),
                    Err(_) => given.to_owned(),
                };
                let name = given.file_name().ok_or_else(|| {
                    failed(io::Error::new(io::ErrorKind::InvalidInput, "it has no file name"))
                })?;
                let folder = match given.parent() {
                    Some(folder) if folder != Path::new("") => folder,
                    _ => Path::new("."),
                };
                let folder = fs::canonicalize(folder).map_err(|source| match source.kind() {
                    io::ErrorKind::NotFound => {
                        let text = format!("the folder {} does not exist", folder.display());
                        failed(io::Error::new(io::ErrorKind::NotFound, text))
                    }
                    _ => failed(source),
                })?;
                Ok(Self { path: folder.join(name) })
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// The file itself.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Its folder.
    pub(crate) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }

    fn beside(&self, ending: &str) -> PathBuf {
        let mut name = OsString::from(self.path.as_os_str());
        name.push(ending);
        PathBuf::from(name)
    }

    /// `OUT.job`: the lock.
    pub(crate) fn job(&self) -> PathBuf {
        self.beside(".job")
    }

    /// `OUT.tmp`: the sorted file until it takes the output's place.
    pub(crate) fn temporary(&self) -> PathBuf {
        self.beside(".tmp")
    }

    /// `OUT.unclaimed.jsonl`: answers that no row claims any more.
    pub(crate) fn unclaimed(&self) -> PathBuf {
        self.beside(".unclaimed.jsonl")
    }

    /// Refuses an input that is the output, or one of the files beside it, under whatever name.
    pub(crate) fn refuse_as_input(&self, input: &Path) -> Result<(), BatchError> {
        let files = [self.path.clone(), self.job(), self.temporary(), self.unclaimed()];
        for file in files {
            if is_same(input, &file) {
                return Err(BatchError::Usage(format!(
                    "the output {} would overwrite the input {}",
                    file.display(),
                    input.display()
                )));
            }
        }
        Ok(())
    }

    /// Makes a rename or a new file in the folder last.
    pub(crate) fn sync_folder(&self) -> io::Result<()> {
        if cfg!(unix) { File::open(self.folder())?.sync_all() } else { Ok(()) }
    }
}

/// Whether two names mean one file: the same place, or the same inode (hard links).
fn is_same(a: &Path, b: &Path) -> bool {
    let same_place = match (fs::canonicalize(a), fs::canonicalize(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    };
    same_place || matches!((fs::metadata(a), fs::metadata(b)), (Ok(a), Ok(b)) if is_same_inode(&a, &b))
}

#[cfg(unix)]
fn is_same_inode(a: &Metadata, b: &Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    (a.dev(), a.ino()) == (b.dev(), b.ino())
}

#[cfg(not(unix))]
fn is_same_inode(_: &Metadata, _: &Metadata) -> bool {
    false
}

/// One run's hold on an output. Let go when dropped, or by the system when the process dies. The file stays.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock, or fails at once.
    pub(crate) fn take(target: &Target) -> Result<Self, BatchError> {
        let path = target.job();
        let failed = |action, source| BatchError::io(action, &path, source);
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|source| failed("open", source))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // Best effort: some systems do not let a locked file be read.
                let _ = file.take(4096).read_to_string(&mut text);
                let process = serde_json::from_str::<Holder>(&text).ok().map(|holder| holder.process);
                return Err(Conflict::Locked { path: target.path().to_owned(), process }.into());
            }
            Err(TryLockError::Error(source)) => return Err(failed("lock", source)),
        }
        let holder = serde_json::to_vec(&Holder { v: 1, process: std::process::id() }).unwrap_or_default();
        file.set_len(0).and_then(|()| file.write_all(&holder)).map_err(|source| failed("write", source))?;
        Ok(Self { _file: file })
    }
}

/// What stands in `OUT.job`.
#[derive(serde::Serialize, serde::Deserialize)]
struct Holder {
    v: u32,
    process: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorClass;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    #[test]
    fn a_second_lock_fails_at_once_and_names_the_holder() {
        let folder = folder();
        let target = Target::resolve(&folder.path().join("o.jsonl")).unwrap();
        let first = Lock::take(&target).unwrap();
        let error = Lock::take(&target).unwrap_err();
        let expected = Conflict::Locked { path: target.path().to_owned(), process: Some(std::process::id()) };
        assert!(matches!(&error, BatchError::Conflict(conflict) if *conflict == expected), "{error:?}");
        drop(first);
        assert!(target.job().exists());
        Lock::take(&target).unwrap();
    }

    #[test]
    fn outputs_that_cannot_be_are_named() {
        let folder = folder();
        let error = Target::resolve(folder.path()).unwrap_err();
        assert_eq!(error.class(), ErrorClass::Io);
        assert!(error.chain().ends_with("it is a folder"), "{}", error.chain());
        let error = Target::resolve(&folder.path().join("no/such/o.jsonl")).unwrap_err();
        assert!(error.chain().contains("the folder") && error.chain().ends_with("does not exist"));
    }

    #[cfg(unix)]
    #[test]
    fn links_lead_to_one_place() {
        use std::os::unix::fs::symlink;
        let folder = folder();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("in.jsonl"), "x").unwrap();
        symlink(at("in.jsonl"), at("soft.jsonl")).unwrap();
        fs::hard_link(at("in.jsonl"), at("hard.jsonl")).unwrap();
        for name in ["in.jsonl", "soft.jsonl", "hard.jsonl"] {
            let error = Target::resolve(&at(name)).unwrap().refuse_as_input(&at("in.jsonl")).unwrap_err();
            assert_eq!(error.class(), ErrorClass::Usage, "{name}");
        }
        Target::resolve(&at("other.jsonl")).unwrap().refuse_as_input(&at("in.jsonl")).unwrap();
        fs::write(at("o.tmp"), "x").unwrap();
        Target::resolve(&at("o")).unwrap().refuse_as_input(&at("o.tmp")).unwrap_err();

        symlink("later.jsonl", at("dangling.jsonl")).unwrap();
        let target = Target::resolve(&at("dangling.jsonl")).unwrap();
        assert!(target.path().ends_with("later.jsonl"));
        assert!(target.temporary().ends_with("later.jsonl.tmp"));
    }
}
