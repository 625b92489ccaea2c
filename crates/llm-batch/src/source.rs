//! Where rows come from, and the lines of a file: one at a time, with true numbers, whatever their length.

use std::fmt;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use llm_types::{ChatRequest, Extra};

use crate::error::BatchError;

/// A line above this is a bad row; it is skipped without being held in memory.
const LONGEST_ROW: usize = 512 << 20;
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

/// The lines of a JSONL text that hold something.
pub(crate) struct Lines {
    name: PathBuf,
    reader: BufReader<Box<dyn Read + Send>>,
    line: Vec<u8>,
    number: u64,
    blank: u64,
    longest: usize,
}

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Line<'a> {
    /// Its bytes, without the end of the line.
    Text(&'a [u8]),
    /// More bytes than a row may have.
    TooLong,
}

/// What files that are no JSONL begin with.
const OTHER_KINDS: [(&[u8], &str); 7] = [
    (&[0x1f, 0x8b], "it is compressed (gzip), and compressed input is not read yet"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "it is compressed (zstd), and compressed input is not read yet"),
    (b"\xfd7zXZ", "it is compressed (xz), and compressed input is not read yet"),
    (b"BZh", "it is compressed (bzip2), and compressed input is not read yet"),
    (b"PK\x03\x04", "it is a zip archive, and compressed input is not read yet"),
    (&[0xff, 0xfe], "it is in UTF-16"),
    (&[0xfe, 0xff], "it is in UTF-16"),
];
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

impl Lines {
    /// Skips a byte order mark, and refuses what is plainly not JSONL.
    pub(crate) fn over(name: PathBuf, mut reader: Box<dyn Read + Send>) -> Result<Self, BatchError> {
        // A pipe may hand out its first bytes one by one, and must not be waited for once it is plainly text.
        let mut head = Vec::with_capacity(5);
        let starts = |head: &[u8]| {
            let mut known = OTHER_KINDS.iter().map(|(magic, _)| *magic).chain([BYTE_ORDER_MARK]);
            known.any(|magic| magic.len() > head.len() && magic.starts_with(head))
        };
        while starts(&head) {
            let mut byte = [0];
            match reader.read(&mut byte) {
                Ok(0) => break,
                Ok(_) => head.extend(byte),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(source) => return Err(BatchError::io("read", &name, source)),
            }
        }
        if let Some((_, what)) = OTHER_KINDS.iter().find(|(magic, _)| head == *magic) {
            return Err(BatchError::Usage(format!("{}: {what}; JSONL in UTF-8 is needed", name.display())));
        }
        if head == BYTE_ORDER_MARK {
            head.clear();
        }
        let reader: Box<dyn Read + Send> = Box::new(io::Cursor::new(head).chain(reader));
        let reader = BufReader::with_capacity(BUFFER, reader);
        Ok(Self { name, reader, line: Vec::new(), number: 0, blank: 0, longest: LONGEST_ROW })
    }

    /// The next line that is not blank, with its number counted from 1; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, Line<'_>)>, BatchError> {
        loop {
            let Some(too_long) = self.read_line()? else { return Ok(None) };
            self.number += 1;
            if too_long {
                return Ok(Some((self.number, Line::TooLong)));
            }
            if !self.line.trim_ascii().is_empty() {
                break;
            }
            self.blank += 1;
        }
        Ok(Some((self.number, Line::Text(self.line.trim_ascii()))))
    }

    /// Reads up to the end of a line. `None` at the end of the input, else whether the line was too long.
    fn read_line(&mut self) -> Result<Option<bool>, BatchError> {
        // The memory of one huge row is not kept for the small ones after it.
        if self.line.capacity() > 4 * BUFFER {
            self.line = Vec::new();
        }
        self.line.clear();
        let mut too_long = false;
        let mut any = false;
        loop {
            let piece = match self.reader.fill_buf() {
                Ok(piece) => piece,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(BatchError::io("read", &self.name, source)),
            };
            if piece.is_empty() {
                return Ok(any.then_some(too_long));
            }
            any = true;
            let end = memchr::memchr(b'\n', piece);
            let count = end.map_or(piece.len(), |at| at + 1);
            if self.line.len() + count > self.longest {
                too_long = true;
                self.line.clear();
            } else if !too_long {
                self.line.extend_from_slice(piece.get(..count).unwrap_or_default());
            }
            self.reader.consume(count);
            if end.is_some() {
                return Ok(Some(too_long));
            }
        }
    }

    /// Whether the next line can be had without waiting for whoever writes the input.
    pub(crate) fn is_at_hand(&self) -> bool {
        memchr::memchr(b'\n', self.reader.buffer()).is_some()
    }

    /// Blank lines so far.
    pub(crate) fn blank(&self) -> u64 {
        self.blank
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives one byte at a time, as a slow pipe may.
    struct Slow(io::Cursor<Vec<u8>>);

    impl Read for Slow {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let one = buffer.len().min(1);
            self.0.read(&mut buffer[..one])
        }
    }

    fn read(text: &[u8]) -> Vec<(u64, String)> {
        let all = |reader: Box<dyn Read + Send>| {
            let mut lines = Lines::over("in".into(), reader).unwrap();
            let mut found = Vec::new();
            while let Some((number, line)) = lines.next().unwrap() {
                let Line::Text(line) = line else { panic!("too long") };
                found.push((number, String::from_utf8_lossy(line).into_owned()));
            }
            (found, lines.blank())
        };
        let fast = all(Box::new(io::Cursor::new(text.to_vec())));
        assert_eq!(fast, all(Box::new(Slow(io::Cursor::new(text.to_vec())))));
        fast.0
    }

    fn lines(expected: &[(u64, &str)]) -> Vec<(u64, String)> {
        expected.iter().map(|(n, text)| (*n, (*text).to_owned())).collect()
    }

    #[test]
    fn lines_keep_their_true_numbers() {
        assert_eq!(read(b"{\"a\":1}\n\n{\"b\":2}\n"), lines(&[(1, "{\"a\":1}"), (3, "{\"b\":2}")]));
        assert_eq!(read(b"\n\n \t\n{}"), lines(&[(4, "{}")]));
        assert_eq!(read(b"\r\n{\"a\":1}\r\n{}\r\n"), lines(&[(2, "{\"a\":1}"), (3, "{}")]));
        assert_eq!(read(b"\xef\xbb\xbf{\"a\":1}\nx"), lines(&[(1, "{\"a\":1}"), (2, "x")]));
        assert_eq!(read(b"\xef\xbb\xbf\nx"), lines(&[(2, "x")]));
        assert_eq!(read(b"abc\ndefghijk\nl"), lines(&[(1, "abc"), (2, "defghijk"), (3, "l")]));
        assert_eq!(read(b"a\nb\nc\nd\n"), lines(&[(1, "a"), (2, "b"), (3, "c"), (4, "d")]));
        assert_eq!(read(b""), []);
        assert_eq!(read(b"\n"), []);
        assert_eq!(read(b"\xef\xbb\xbf"), []);
        assert_eq!(read(b"a"), lines(&[(1, "a")]));
    }

    #[test]
    fn a_line_may_be_longer_than_any_buffer_and_one_above_the_limit_is_skipped() {
        let long = "x".repeat(3 * BUFFER + 7);
        assert_eq!(read(format!("{long}\ny\n").as_bytes()), lines(&[(1, &long), (2, "y")]));
        let text = format!("a\n{long}\nb\n");
        let mut input = Lines::over("in".into(), Box::new(io::Cursor::new(text.into_bytes()))).unwrap();
        input.longest = 1000;
        assert_eq!(input.next().unwrap(), Some((1, Line::Text(b"a"))));
        assert_eq!(input.next().unwrap(), Some((2, Line::TooLong)));
        assert_eq!(input.next().unwrap(), Some((3, Line::Text(b"b"))));
        assert_eq!(input.next().unwrap(), None);
    }

    #[test]
    fn what_is_not_jsonl_is_named() {
        for (bytes, word) in [
            (&b"\x1f\x8b\x08\0\0\0"[..], "gzip"),
            (b"\x28\xb5\x2f\xfd\0\0\0", "zstd"),
            (b"PK\x03\x04....", "zip"),
            (b"BZh91AY", "bzip2"),
            (b"\xfd7zXZ\0\0", "xz"),
            (b"\xff\xfe{\0}\0", "UTF-16"),
        ] {
            let error =
                Lines::over("in.jsonl".into(), Box::new(io::Cursor::new(bytes.to_vec()))).err().unwrap();
            assert!(error.to_string().contains(word), "{error}");
        }
    }

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
