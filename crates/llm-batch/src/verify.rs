//! Proof that an output is whole: every row of the input exactly once, every line good.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::error::BatchError;
use crate::examine::{Found, Records};
use crate::job::Job;
use crate::resume::{Entry, Flag};
use crate::rows::Rows;
use crate::source::{Input, Source};

/// How many lines of a kind are told by number.
const TOLD: usize = 20;

/// What an output holds, compared with its input.
#[derive(Clone, Debug, Default, Serialize)]
pub struct VerifyReport {
    /// The version of this shape: 1.
    pub v: u32,
    /// The input.
    pub input: PathBuf,
    /// The output.
    pub output: PathBuf,
    /// Rows of the input, bad ones included.
    pub rows: u64,
    /// Blank lines of the input.
    pub blank_lines: u64,
    /// Records in the output.
    pub records: u64,
    /// Rows that are answered.
    pub success: u64,
    /// Rows that have failed.
    pub failed: u64,
    /// The failed rows by their errors' kinds.
    pub errors: BTreeMap<String, u64>,
    /// Of the failed rows, those that the next run would ask again by itself.
    pub retryable: u64,
    /// Rows without a record.
    pub missing: Findings,
    /// Records of rows that have one already, by the line of the output.
    pub duplicates: Findings,
    /// Records that belong to no row, by the line of the output.
    pub foreign: Findings,
    /// Lines of the output that are no whole record.
    pub damaged: Findings,
    /// Records whose `index` is not their row's, by the line of the output.
    pub misplaced: Findings,
    /// Whether the records stand in the order of the rows.
    pub in_order: bool,
    /// Whether the last line has its line break.
    pub ended: bool,
}

/// How many, and the first of them by line, counted from 1.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// How many.
    pub count: u64,
    /// The first lines.
    pub lines: Vec<u64>,
}

impl Findings {
    pub(crate) fn add(&mut self, line: u64) {
        self.count += 1;
        if self.lines.len() < TOLD {
            self.lines.push(line);
        }
    }
}

impl VerifyReport {
    /// Whether every row stands in the output exactly once, in a line of its own, and nothing else does.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        let found = [&self.missing, &self.duplicates, &self.foreign, &self.damaged, &self.misplaced];
        found.iter().all(|findings| findings.count == 0) && self.ended
    }
}

/// Compares an output with its input. Of the job only what makes up a row's key counts: `id_field` and `body_fields`.
/// Changes nothing, and needs 32 bytes of memory a record. It blocks.
///
/// # Errors
/// [`BatchError`] when a file cannot be read.
pub fn verify(
    input: impl AsRef<Path>,
    output: impl AsRef<Path>,
    job: &Job,
) -> Result<VerifyReport, BatchError> {
    let (input, output) = (input.as_ref(), output.as_ref());
    let mut report = VerifyReport {
        v: 1,
        input: input.to_owned(),
        output: output.to_owned(),
        in_order: true,
        ended: true,
        ..VerifyReport::default()
    };
    let mut entries = read_output(output, &mut report)?;
    // Equal rows are matched in the order of their index: in a good output each finds its own.
    entries.sort_unstable_by_key(|entry| (entry.key(), entry.index(), entry.offset()));

    let mut source = Source::open(Input::from(input))?;
    let mut rows = Rows::open(&mut source)?;
    while let Some(row) = rows.next(job)? {
        let key = row.key();
        let at = entries
            .partition_point(|entry| entry.key() < key || (entry.key() == key && entry.is(Flag::Taken)));
        match entries.get_mut(at).filter(|entry| entry.key() == key) {
            None => report.missing.add(row.line),
            Some(entry) => {
                entry.set(Flag::Taken);
                let counter = if entry.is(Flag::Success) { &mut report.success } else { &mut report.failed };
                *counter += 1;
                if entry.index() != row.index {
                    entry.set(Flag::Moved);
                }
            }
        }
    }
    report.rows = rows.count();
    report.blank_lines = rows.blank();
    let mut used = None;
    for entry in &mut entries {
        if entry.is(Flag::Taken) {
            used = Some(entry.key());
        } else if used == Some(entry.key()) {
            entry.set(Flag::Claimed);
        }
    }
    // By line, so that the first ones are told.
    entries.sort_unstable_by_key(Entry::offset);
    for entry in &entries {
        match (entry.is(Flag::Taken), entry.is(Flag::Claimed), entry.is(Flag::Moved)) {
            (false, true, _) => report.duplicates.add(entry.offset()),
            (false, false, _) => report.foreign.add(entry.offset()),
            (true, _, true) => report.misplaced.add(entry.offset()),
            (true, _, false) => {}
        }
    }
    Ok(report)
}

/// Reads the records; an entry's offset is the number of its line.
fn read_output(path: &Path, report: &mut VerifyReport) -> Result<Vec<Entry>, BatchError> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => BatchError::InputNotFound { path: path.to_owned() },
        _ => BatchError::io("read", path, source),
    };
    let mut records = File::open(path).and_then(Records::new).map_err(failed)?;
    let mut entries = Vec::new();
    let mut last = None;
    loop {
        let line = records.number() + 1;
        match records.next().map_err(failed)? {
            None => break,
            Some(Found::Record { stored, clean: true, .. }) => {
                if !stored.is_success() {
                    let kind = stored.error_kind().unwrap_or("unknown").to_owned();
                    *report.errors.entry(kind).or_default() += 1;
                    report.retryable += u64::from(stored.is_retryable());
                }
                report.in_order &= last.is_none_or(|last| last < stored.index);
                last = Some(stored.index);
                let entry = Entry::new(stored.key(), line, stored.index, 0).ok_or_else(|| {
                    BatchError::Usage(format!("{}: line {line} has an impossible index", path.display()))
                })?;
                entries.push(entry.with(Flag::Success, stored.is_success()));
            }
            Some(_) => report.damaged.add(line),
        }
    }
    report.records = entries.len() as u64;
    report.ended = records.is_ended;
    Ok(entries)
}
