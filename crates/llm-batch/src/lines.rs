//! The lines of a JSONL text: one at a time, with true numbers, whatever their length.

use std::io::{self, BufRead as _, BufReader, Read};
use std::path::PathBuf;

use crate::error::BatchError;

/// A line above this is a bad row; it is skipped without being held in memory.
const LONGEST_ROW: usize = 512 << 20;
const BUFFER: usize = 256 << 10;

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
}
