//! Where rows come from: a file, a pipe, or memory.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use llm_types::{ChatRequest, Extra};

use crate::error::BatchError;
use crate::lines::Lines;

/// What is copied of a pipe at once.
const BUFFER: usize = 256 << 10;

/// Where the rows of a batch come from.
pub enum Input {
    /// A JSONL file. A pipe with a name (`/dev/stdin`, a FIFO) is read as a pipe.
    File(PathBuf),
    /// Anything that can be read once, such as standard input.
    Reader {
        /// Its name in messages.
        name: String,
        /// JSONL.
        reader: Box<dyn Read + Send>,
    },
    /// Requests in memory.
    Requests(Arc<[BatchRequest]>),
}

impl Input {
    /// JSONL that can be read once, such as standard input.
    pub fn reader(name: impl Into<String>, reader: impl Read + Send + 'static) -> Self {
        Self::Reader { name: name.into(), reader: Box::new(reader) }
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Reader { name, .. } => f.debug_tuple("Reader").field(name).finish(),
            Self::Requests(requests) => f.debug_tuple("Requests").field(&requests.len()).finish(),
        }
    }
}

impl From<PathBuf> for Input {
    fn from(path: PathBuf) -> Self {
        Self::File(path)
    }
}

impl From<&Path> for Input {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

impl From<&str> for Input {
    fn from(path: &str) -> Self {
        Self::File(path.into())
    }
}

impl From<Vec<BatchRequest>> for Input {
    fn from(requests: Vec<BatchRequest>) -> Self {
        Self::Requests(requests.into())
    }
}

impl From<Vec<ChatRequest>> for Input {
    fn from(requests: Vec<ChatRequest>) -> Self {
        Self::Requests(requests.into_iter().map(BatchRequest::from).collect())
    }
}

/// One request in memory. Settings it leaves open come from the job.
#[derive(Clone, Debug, Default)]
pub struct BatchRequest {
    /// What is asked.
    pub request: ChatRequest,
    /// A name of the caller's own, which becomes part of the row's key.
    pub id: Option<String>,
    /// Kept with the answer, never sent.
    pub metadata: Extra,
}

impl From<ChatRequest> for BatchRequest {
    fn from(request: ChatRequest) -> Self {
        Self { request, ..Self::default() }
    }
}

/// An opened input: can be read from its start as often as it is seekable.
pub(crate) enum Source {
    File { name: PathBuf, file: File },
    Pipe { name: String, reader: Option<Box<dyn Read + Send>> },
    Requests(Arc<[BatchRequest]>),
}

impl Source {
    pub(crate) fn open(input: Input) -> Result<Self, BatchError> {
        match input {
            Input::Requests(requests) => Ok(Self::Requests(requests)),
            Input::Reader { name, reader } => Ok(Self::Pipe { name, reader: Some(reader) }),
            Input::File(path) => {
                let file = File::open(&path).map_err(|source| match source.kind() {
                    io::ErrorKind::NotFound => BatchError::InputNotFound { path: path.clone() },
                    _ => BatchError::io("open", &path, source),
                })?;
                let kind =
                    file.metadata().map_err(|source| BatchError::io("open", &path, source))?.file_type();
                if kind.is_dir() {
                    let source = io::Error::new(io::ErrorKind::IsADirectory, "it is a folder");
                    return Err(BatchError::io("read", &path, source));
                }
                if kind.is_file() {
                    let mut source = Self::File { name: path, file };
                    // What is no JSONL at all is told before anything else happens.
                    source.lines()?;
                    return Ok(source);
                }
                Ok(Self::Pipe { name: path.display().to_string(), reader: Some(Box::new(file)) })
            }
        }
    }

    /// Whether it can be read more than once.
    pub(crate) fn is_seekable(&self) -> bool {
        !matches!(self, Self::Pipe { .. })
    }

    /// Copies what can be read only once to a nameless file in this folder, beside the output.
    pub(crate) fn make_seekable(&mut self, folder: &Path, stop: &dyn Fn() -> bool) -> Result<(), BatchError> {
        let Self::Pipe { name, reader } = self else { return Ok(()) };
        let name = PathBuf::from(&*name);
        let Some(mut reader) = reader.take() else { return Ok(()) };
        let mut file = tempfile::tempfile_in(folder)
            .map_err(|source| BatchError::io("create a copy of the input in", folder, source))?;
        let mut buffer = vec![0; BUFFER];
        while !stop() {
            let count = match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(BatchError::io("read", &name, source)),
            };
            io::Write::write_all(&mut file, buffer.get(..count).unwrap_or_default())
                .map_err(|source| BatchError::io("write a copy of the input in", folder, source))?;
        }
        *self = Self::File { name, file };
        Ok(())
    }

    /// Starts reading, from the beginning where that is possible.
    pub(crate) fn lines(&mut self) -> Result<Lines, BatchError> {
        let failed = |name: &Path, source| BatchError::io("read", name, source);
        match self {
            Self::File { name, file } => {
                let mut file = file.try_clone().map_err(|source| failed(name, source))?;
                file.seek(SeekFrom::Start(0)).map_err(|source| failed(name, source))?;
                Lines::over(name.clone(), Box::new(file))
            }
            Self::Pipe { name, reader } => {
                let reader = reader.take().unwrap_or_else(|| Box::new(io::empty()));
                Lines::over(PathBuf::from(&*name), reader)
            }
            Self::Requests(_) => Lines::over(PathBuf::from("requests"), Box::new(io::empty())),
        }
    }

    /// The requests, where they are in memory.
    pub(crate) fn requests(&self) -> Option<Arc<[BatchRequest]>> {
        match self {
            Self::Requests(requests) => Some(Arc::clone(requests)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lines::Line;

    #[test]
    fn a_file_that_is_no_jsonl_is_refused_when_it_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("in.jsonl.gz");
        std::fs::write(&path, b"\x1f\x8b\x08\0\0").unwrap();
        let error = Source::open(path.as_path().into()).err().unwrap();
        assert!(error.to_string().contains("gzip"), "{error}");
    }

    #[test]
    fn a_pipe_becomes_seekable_by_a_copy() {
        let folder = tempfile::tempdir().unwrap();
        let mut source = Source::open(Input::reader("stdin", io::Cursor::new(b"{}\n[]\n".to_vec()))).unwrap();
        assert!(!source.is_seekable());
        source.make_seekable(folder.path(), &|| false).unwrap();
        assert!(source.is_seekable());
        for _ in 0..2 {
            let mut lines = source.lines().unwrap();
            assert_eq!(lines.next().unwrap(), Some((1, Line::Text(b"{}"))));
            assert_eq!(lines.next().unwrap(), Some((2, Line::Text(b"[]"))));
            assert_eq!(lines.next().unwrap(), None);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn an_input_that_is_missing_or_a_folder_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let missing = Source::open(folder.path().join("no.jsonl").into()).err().unwrap();
        assert!(matches!(missing, BatchError::InputNotFound { .. }));
        let wrong = Source::open(folder.path().into()).err().unwrap();
        assert!(wrong.chain().ends_with("it is a folder"), "{}", wrong.chain());
    }
}
