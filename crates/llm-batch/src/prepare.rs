//! Everything that is looked at before the first request: the files, the lock, what is stored, and whether it belongs
//! to this job. Nothing is changed until all of it is found good.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::{BatchError, Conflict};
use crate::examine::{Examined, examine};
use crate::job::Job;
use crate::lock::{Lock, Target};
use crate::parts::Parts;
use crate::resume::{Flag, Resume, Rules};
use crate::rows::Rows;
use crate::source::{Input, Source};

/// What to do when an output was made with other settings, or holds none of the input's rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnChange {
    /// Refuse to run: nothing is sent, nothing is changed.
    #[default]
    Refuse,
    /// Ask all rows again. The old answers go to the side file at the end.
    Redo,
    /// Use the old answers as they are, and ask only for what is missing.
    Keep,
}

/// What is to be prepared.
pub(crate) struct Plan {
    pub(crate) job: Arc<Job>,
    pub(crate) parts: Arc<Parts>,
    pub(crate) strict: bool,
    pub(crate) on_change: OnChange,
    pub(crate) retry_failed: bool,
    pub(crate) limit: u64,
}

/// A run that may begin.
pub(crate) struct Prepared {
    pub(crate) source: Source,
    pub(crate) output: Option<Output>,
    pub(crate) resume: Resume,
    /// All rows, where they were counted.
    pub(crate) total: Option<u64>,
    /// Rows whose record is stored, where that was counted.
    pub(crate) restored: Option<u64>,
    pub(crate) warnings: Vec<String>,
}

/// An output that may be written to.
pub(crate) struct Output {
    pub(crate) target: Target,
    pub(crate) lock: Arc<Lock>,
    /// Opened for appending.
    pub(crate) file: File,
    /// For reading stored answers: the output and its side file.
    pub(crate) stored: Option<File>,
    pub(crate) side: Option<File>,
    /// Where this run's records begin.
    pub(crate) len: u64,
    pub(crate) is_clean: bool,
    /// The last index where the records are in order, for the journal.
    pub(crate) order: Option<Option<u64>>,
}

impl Plan {
    /// Opens and compares. `stop` ends it early; what it gives then is of no use.
    pub(crate) fn prepare(
        &self,
        input: Input,
        output: Option<PathBuf>,
        stop: &dyn Fn() -> bool,
    ) -> Result<Prepared, BatchError> {
        let target = output.as_deref().map(Target::resolve).transpose()?;
        if let (Some(target), Input::File(path)) = (&target, &input) {
            // A missing input is named as such, below.
            target.refuse_as_input(path)?;
        }
        let source = Source::open(input)?;
        let mut prepared = Prepared {
            source,
            output: None,
            resume: Resume::default(),
            total: None,
            restored: None,
            warnings: Vec::new(),
        };
        let Some(target) = target else {
            if self.strict {
                prepared.source.make_seekable(&std::env::temp_dir(), stop)?;
                self.scan(&mut prepared, false, stop)?;
            }
            return Ok(prepared);
        };
        let lock = Arc::new(Lock::take(&target)?);
        let (file, is_new) = open_output(&target)?;
        let result = self.compare(&mut prepared, &target, file, lock, stop);
        match result {
            Ok(output) => prepared.output = Some(output),
            Err(error) => {
                // An output that was not there before is not left behind by a run that did not begin.
                if is_new && fs::metadata(target.path()).is_ok_and(|metadata| metadata.len() == 0) {
                    let _ = fs::remove_file(target.path());
                }
                return Err(error);
            }
        }
        Ok(prepared)
    }

    fn compare(
        &self,
        prepared: &mut Prepared,
        target: &Target,
        mut file: File,
        lock: Arc<Lock>,
        stop: &dyn Fn() -> bool,
    ) -> Result<Output, BatchError> {
        let path = target.path();
        let read = |path: &Path| match File::open(path) {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(BatchError::io("open", path, source)),
        };
        let stored = read(path)?;
        let mut found = match &stored {
            Some(file) => examine(file, path, &self.parts, false)?,
            None => Examined::default(),
        };
        let mut entries = std::mem::take(&mut found.entries);
        let records = entries.len() as u64;
        let side_path = target.unclaimed();
        let side = read(&side_path)?;
        if let Some(side) = &side {
            let set_aside = examine(side, &side_path, &self.parts, true)?;
            if set_aside.junk > 0 {
                let text = format!(
                    "{}: {} lines cannot be read and were left out",
                    side_path.display(),
                    set_aside.junk
                );
                prepared.warnings.push(text);
            }
            // Failures are not set aside; should one stand there, it is of no use.
            entries.extend(set_aside.entries.into_iter().filter(|entry| entry.is(Flag::Success)));
        }
        let stored_any = !entries.is_empty();
        let rules =
            Rules { keep_other_jobs: self.on_change == OnChange::Keep, retry_failed: self.retry_failed };
        prepared.resume = Resume::new(entries, rules);
        if stored_any || self.strict {
            prepared.source.make_seekable(target.folder(), stop)?;
            let shares = self.scan(prepared, stored_any, stop)?;
            if self.on_change == OnChange::Refuse {
                refuse(path, &found, records, shares)?;
            }
        }
        if stop() {
            // What was read may be half of it: nothing follows from that.
            return Err(BatchError::Usage("the run was ended before it began".to_owned()));
        }

        // All is well: from here on the output may be changed.
        let failed = |action, source| BatchError::io(action, path, source);
        let len = file.metadata().map_err(|source| failed("read", source))?.len();
        if found.good_len < len {
            tracing::info!(path = %path.display(), bytes = len - found.good_len, "cutting a torn line off");
            let repair = OpenOptions::new().write(true).open(path);
            repair
                .and_then(|repair| repair.set_len(found.good_len))
                .map_err(|source| failed("repair", source))?;
        }
        let mut len = found.good_len;
        if found.needs_newline {
            file.write_all(b"\n").map_err(|source| failed("repair", source))?;
            len += 1;
        }
        if found.junk > 0 {
            prepared.warnings.push(damaged(path, &found));
        }
        let is_clean = found.is_clean();
        let order = (found.is_sorted && is_clean).then_some(found.last_index);
        Ok(Output { target: target.clone(), lock, file, stored, side, len, is_clean, order })
    }

    /// Reads the input through: checks every row where all have to be good, counts, and claims stored records. Says
    /// whether any row has one in the output.
    fn scan(
        &self,
        prepared: &mut Prepared,
        stored: bool,
        stop: &dyn Fn() -> bool,
    ) -> Result<bool, BatchError> {
        let mut rows = Rows::open(&mut prepared.source)?;
        let (mut shares, mut restored) = (false, 0);
        while let Some(row) = rows.next(&self.job)? {
            let inside = row.index < self.limit;
            if let (Err(bad), true, true) = (&row.parsed, self.strict, inside) {
                let prefix = format!("line {}: ", row.line);
                let message = bad.message.strip_prefix(&prefix).unwrap_or(&bad.message).to_owned();
                return Err(BatchError::BadRow { line: row.line, message });
            }
            if stored {
                let key = row.key();
                shares = shares || prepared.resume.knows(key);
                let claimed = prepared.resume.claim(key).is_some();
                restored += u64::from(claimed && inside);
            } else if !inside {
                break;
            }
            if row.index % 1024 == 0 && stop() {
                break;
            }
        }
        prepared.total = Some(rows.count().min(self.limit));
        prepared.restored = Some(restored);
        Ok(shares)
    }
}

fn refuse(path: &Path, found: &Examined, records: u64, shares: bool) -> Result<(), BatchError> {
    let path = path.to_owned();
    if records > 0 && !shares {
        return Err(Conflict::NothingShared { path, records }.into());
    }
    if found.of_other_job > 0 {
        let parts = found.differing_parts();
        return Err(Conflict::JobChanged { path, parts, answers: found.of_other_job }.into());
    }
    Ok(())
}

fn damaged(path: &Path, found: &Examined) -> String {
    let numbers: Vec<String> = found.junk_lines.iter().map(u64::to_string).collect();
    let more = if found.junk > found.junk_lines.len() as u64 { " …" } else { "" };
    format!(
        "{}: {} damaged lines hold no record and were left out (line {}{more}); their rows are asked again",
        path.display(),
        found.junk,
        numbers.join(", "),
    )
}

/// Opens the output for appending. Says whether it is new.
fn open_output(target: &Target) -> Result<(File, bool), BatchError> {
    let path = target.path();
    let open = |new: bool| {
        let mut options = OpenOptions::new();
        options.append(true).create_new(new);
        options.open(path)
    };
    match open(true) {
        Ok(file) => Ok((file, true)),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            open(false).map(|file| (file, false)).map_err(|source| BatchError::io("open", path, source))
        }
        Err(source) => Err(BatchError::io("open", path, source)),
    }
}
