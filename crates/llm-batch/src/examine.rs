//! Reading a file of records: what is whole, what a kill or a crash left behind, and what is not ours.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;

use crate::error::{BatchError, Conflict};
use crate::parts::{self, Parts};
use crate::resume::{Entry, Flag, metadata_hash};
use crate::stored::{self, Stored};

/// No record is longer: a row and its answer are bounded.
const LONGEST: usize = 1 << 30;
const BUFFER: usize = 256 << 10;
/// How many bad lines are told by number.
const TOLD: usize = 5;

/// One line of a file of records.
#[expect(clippy::large_enum_variant, reason = "made and taken apart line by line, never kept")]
pub(crate) enum Found<'a> {
    /// A record, and where it begins. It is not `clean` when something else stood before it on its line.
    Record { offset: u64, stored: Stored<'a>, clean: bool },
    /// A whole line of JSON that is no record of ours, or text in a file without a record.
    Foreign,
    /// A line that cannot be read: torn, overwritten with NULs, not UTF-8.
    Junk,
    /// A last line without its end that is no whole record; the file is good up to here.
    Torn { offset: u64 },
}

/// Reads a file of records line by line.
pub(crate) struct Records {
    reader: BufReader<File>,
    line: Vec<u8>,
    offset: u64,
    number: u64,
    any: bool,
    /// Whether the last line read had its line break.
    pub(crate) is_ended: bool,
}

impl Records {
    pub(crate) fn new(mut file: File) -> io::Result<Self> {
        file.seek(SeekFrom::Start(0))?;
        let reader = BufReader::with_capacity(BUFFER, file);
        Ok(Self { reader, line: Vec::new(), offset: 0, number: 0, any: false, is_ended: true })
    }

    /// The number of the line that `next` gave last, counted from 1.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn next(&mut self) -> io::Result<Option<Found<'_>>> {
        let start = self.offset;
        self.line.clear();
        let limit = LONGEST as u64 + 1;
        let count = (&mut self.reader).take(limit).read_until(b'\n', &mut self.line)?;
        if count == 0 {
            return Ok(None);
        }
        self.number += 1;
        self.offset += count as u64;
        self.is_ended = self.line.ends_with(b"\n");
        if count > LONGEST {
            // No run of ours wrote this.
            return Ok(Some(Found::Foreign));
        }
        let line = self.line.strip_suffix(b"\n").unwrap_or(&self.line);
        Ok(Some(match find(line) {
            Some((skipped, stored)) => {
                self.any = true;
                Found::Record { offset: start + skipped as u64, stored, clean: skipped == 0 }
            }
            None if serde_json::from_slice::<serde::de::IgnoredAny>(line).is_ok() => Found::Foreign,
            None if self.is_ended => Found::Junk,
            None if self.any || is_torn(line) => Found::Torn { offset: start },
            None => Found::Foreign,
        }))
    }
}

/// A record on a line; where a torn line or NULs stand before it, the record behind them.
fn find(line: &[u8]) -> Option<(usize, Stored<'_>)> {
    if let Some(stored) = Stored::parse(line) {
        return Some((0, stored));
    }
    // The record's own text may hold the same bytes as its beginning, as may the torn line's: a few looks are enough.
    memchr::memmem::find_iter(line, stored::HEAD)
        .filter(|at| *at > 0)
        .take(16)
        .find_map(|at| Stored::parse(line.get(at..)?).map(|stored| (at, stored)))
}

/// Whether the only, unended line of a file can be the beginning of our first record.
fn is_torn(line: &[u8]) -> bool {
    let start = line.iter().position(|byte| *byte != 0).unwrap_or(line.len());
    let text = line.get(start..).unwrap_or_default();
    text.starts_with(stored::HEAD) || stored::HEAD.starts_with(text)
}

/// What stands in an output before a run.
#[derive(Debug, Default)]
pub(crate) struct Examined {
    /// One for each record.
    pub(crate) entries: Vec<Entry>,
    /// Where the last whole line ends; what follows is cut off.
    pub(crate) good_len: u64,
    /// The last record lacks its line break.
    pub(crate) needs_newline: bool,
    /// Lines that cannot be read, and the numbers of the first of them.
    pub(crate) junk: u64,
    pub(crate) junk_lines: Vec<u64>,
    /// Whether something stands before a record on its line.
    pub(crate) is_glued: bool,
    /// Whether the records are in the order of their index.
    pub(crate) is_sorted: bool,
    /// The last record's index, where they are.
    pub(crate) last_index: Option<u64>,
    /// In how many answers each part differs from the job's, and in how many any does.
    pub(crate) differing: [u64; 4],
    pub(crate) of_other_job: u64,
}

impl Examined {
    /// The parts in which some answer differs.
    pub(crate) fn differing_parts(&self) -> Vec<&'static str> {
        parts::NAMES
            .into_iter()
            .zip(self.differing)
            .filter(|(_, count)| *count > 0)
            .map(|(name, _)| name)
            .collect()
    }

    /// Whether nothing but good records stands there.
    pub(crate) fn is_clean(&self) -> bool {
        self.junk == 0 && !self.is_glued
    }
}

/// Reads an output (or, with `side`, its side file) through, changing nothing.
pub(crate) fn examine(file: &File, path: &Path, job: &Parts, side: bool) -> Result<Examined, BatchError> {
    let failed = |source| BatchError::io("read", path, source);
    let mut records = Records::new(file.try_clone().map_err(failed)?).map_err(failed)?;
    let mut found = Examined { is_sorted: true, ..Examined::default() };
    let mut foreign = None;
    loop {
        let number = records.number() + 1;
        match records.next().map_err(failed)? {
            None => break,
            Some(Found::Record { offset, stored, clean }) => {
                let entry = found.note(offset, &stored, job, side);
                let entry = entry.ok_or_else(|| {
                    BatchError::Usage(format!("{}: it is too large to be resumed", path.display()))
                })?;
                found.entries.push(entry);
                found.is_glued |= !clean;
            }
            Some(Found::Foreign) => {
                foreign.get_or_insert(number);
                if !side {
                    break;
                }
                found.junk += 1;
            }
            Some(Found::Junk) => {
                found.junk += 1;
                if found.junk_lines.len() < TOLD {
                    found.junk_lines.push(number);
                }
            }
            Some(Found::Torn { offset }) => {
                found.good_len = offset;
                return found.or_foreign(path, foreign, side);
            }
        }
    }
    found.good_len = records.offset;
    found.needs_newline = !records.is_ended && !found.entries.is_empty();
    found.or_foreign(path, foreign, side)
}

impl Examined {
    fn note(&mut self, offset: u64, stored: &Stored<'_>, job: &Parts, side: bool) -> Option<Entry> {
        let success = stored.is_success();
        let mut other_job = false;
        for part in job.differences(stored.parts()) {
            other_job = true;
            if let Some(count) = self.differing.get_mut(part).filter(|_| success) {
                *count += 1;
            }
        }
        self.of_other_job += u64::from(other_job && success);
        self.is_sorted &= self.last_index.is_none_or(|last| last < stored.index);
        self.last_index = Some(stored.index);
        Some(
            Entry::new(stored.key(), offset, stored.index, metadata_hash(stored.metadata()))?
                .with(Flag::Success, success)
                .with(Flag::Retryable, !success && stored.is_retryable())
                .with(Flag::BadRow, stored.is_bad_row())
                .with(Flag::OtherJob, other_job)
                .with(Flag::Side, side),
        )
    }

    /// A file is somebody else's when it holds other JSON, or text and no record at all.
    fn or_foreign(self, path: &Path, foreign: Option<u64>, side: bool) -> Result<Self, BatchError> {
        let unknown = self.junk_lines.first().copied().filter(|_| self.entries.is_empty());
        match foreign.or(unknown) {
            Some(line) if !side => Err(Conflict::Foreign { path: path.to_owned(), line }.into()),
            _ => Ok(self),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn job() -> Parts {
        let [model, system, parameters, schema] = ["m", "s", "p", "t"].map(str::to_owned);
        Parts { model, system, parameters, schema }
    }

    fn line(index: u64) -> String {
        format!(
            "{{\"index\":{index},\"status\":\"success\",\"output\":\"{{\\\"index\\\":9}}\",\"metadata\":{{\"index\":1}},\
             \"key\":\"1:{index:032x}\",\"parts\":{{\"model\":\"m\",\"system\":\"s\",\"parameters\":\"p\",\"schema\":\"t\"}}}}\n"
        )
    }

    fn look(bytes: &[u8]) -> Result<Examined, BatchError> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        examine(&file, Path::new("out.jsonl"), &job(), false)
    }

    fn indexes(found: &Examined) -> Vec<u64> {
        found.entries.iter().map(Entry::index).collect()
    }

    #[test]
    fn a_file_cut_anywhere_keeps_every_whole_record() {
        let whole = line(0) + &line(1) + &line(2);
        let ends: Vec<usize> = (0..3).map(|n| line(0).len() * (n + 1)).collect();
        for cut in 0..=whole.len() {
            let found = look(&whole.as_bytes()[..cut]).unwrap();
            // A record that lacks only its line break is whole.
            let expected = ends.iter().filter(|end| cut >= **end - 1).count();
            assert_eq!(found.entries.len(), expected, "cut at {cut}");
            let good = if ends.contains(&(cut + 1)) { cut } else { expected * line(0).len() };
            assert_eq!(found.good_len, good as u64, "cut at {cut}");
            assert_eq!(found.needs_newline, ends.contains(&(cut + 1)), "cut at {cut}");
            assert!(found.is_clean() && found.is_sorted);
        }
    }

    #[test]
    fn a_tail_of_nuls_or_broken_utf8_is_cut() {
        for tail in [
            &b"\0\0\0\0"[..],
            b"\0\0{\"index\":3",
            b"{\"index\":3,\"output\":\"\xff",
            b"\xff\xfe",
            b"garbage",
        ] {
            let found = look(&[line(0).as_bytes(), tail].concat()).unwrap();
            assert_eq!((indexes(&found), found.good_len), (vec![0], line(0).len() as u64));
        }
        for only in [&b""[..], b"\0\0\0", b"{\"ind", b"{\"index\":0,\"status\":\"succ", b"\0\0{\"index\":1"] {
            let found = look(only).unwrap();
            assert_eq!((found.entries.len(), found.good_len, found.needs_newline), (0, 0, false));
        }
    }

    #[test]
    fn junk_between_records_is_told_and_records_behind_it_are_found() {
        let bytes = [
            line(0).as_bytes(),
            b"{\"index\":1,\"stat\n",
            b"\0\0\0\0\n",
            b"\xff\xff\n",
            b"\n",
            b"\0\0\0",
            line(2).as_bytes(),
            b"{\"index\":5,\"status\":\"succ",
            line(3).as_bytes(),
        ]
        .concat();
        let found = look(&bytes).unwrap();
        assert_eq!(indexes(&found), [0, 2, 3]);
        assert_eq!((found.junk, found.junk_lines.as_slice()), (4, &[2, 3, 4, 5][..]));
        assert!(found.is_glued && !found.is_clean());
        let offset = usize::try_from(found.entries[1].offset()).unwrap();
        assert!(bytes[offset..].starts_with(line(2).as_bytes()));
    }

    #[test]
    fn files_of_others_are_told_by_their_first_strange_line() {
        let other = r#"{"index":0,"output":"x","status":"success","input":[],"metadata":null}"#;
        for (text, at) in [
            (format!("{other}\n"), 1),
            (other.to_owned(), 1),
            ("some notes\nof mine\n".to_owned(), 1),
            ("hello".to_owned(), 1),
            (format!("{}{other}\n{}", line(0), line(1)), 2),
            (format!("{}[]\n", line(0)), 2),
            (format!("{}5", line(0)), 2),
            ("a,b\n1,2\n".to_owned(), 1),
        ] {
            match look(text.as_bytes()) {
                Err(BatchError::Conflict(Conflict::Foreign { line, .. })) => assert_eq!(line, at, "{text}"),
                found => panic!("{text}: {found:?}"),
            }
        }
    }

    #[test]
    fn answers_of_another_job_are_counted_by_part() {
        let other = line(1)
            .replace("\"model\":\"m\"", "\"model\":\"n\"")
            .replace("\"schema\":\"t\"", "\"schema\":\"u\"");
        let found = look((line(0) + &other).as_bytes()).unwrap();
        assert_eq!((found.of_other_job, found.differing_parts()), (1, vec!["model", "schema"]));
        assert!(found.entries[1].is(Flag::OtherJob) && !found.entries[0].is(Flag::OtherJob));
        assert!(!look((line(1) + &line(0)).as_bytes()).unwrap().is_sorted);
    }
}
