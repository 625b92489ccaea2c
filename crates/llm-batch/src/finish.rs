//! The clean end of a run: answers that no row claims go to the side file, and the output is put in order, unless it
//! already is. Everything is written beside the file and takes its place in one step; what fails is a warning, and the
//! next run finds all records where they were.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, Read as _, Write as _};
use std::path::Path;

use crate::blocks::Blocks;
use crate::error::BatchError;
use crate::job::Job;
use crate::key::Key;
use crate::lock::Target;
use crate::record;
use crate::resume::{Entry, Flag, Resume, metadata_hash};
use crate::rows::Rows;
use crate::source::Source;
use crate::stored::{self, Stored};

/// What is known of the output when the last record was written.
pub(crate) struct Finish<'a> {
    pub(crate) target: &'a Target,
    /// Records that were there before, each with the row that uses it.
    pub(crate) resume: Resume,
    /// Where this run's records begin, and how many they are.
    pub(crate) new_from: u64,
    pub(crate) new_records: u64,
    /// Whether all records stand in the order of their (old) index.
    pub(crate) is_ascending: bool,
    /// Whether nothing but whole records stands there.
    pub(crate) is_clean: bool,
    /// Whether completion order is to stay.
    pub(crate) unordered: bool,
    /// Whether the run looked at the first rows only: then nothing is moved away.
    pub(crate) limited: bool,
    /// The input again, for rows whose metadata changed.
    pub(crate) source: &'a mut Source,
    pub(crate) job: &'a Job,
}

/// What was done.
#[derive(Debug, Default)]
pub(crate) struct Finished {
    /// Whether the output stands in the order of the index now.
    pub(crate) is_sorted: bool,
    /// Answers that were moved to the side file.
    pub(crate) unclaimed: u64,
    pub(crate) warnings: Vec<String>,
}

impl Finish<'_> {
    pub(crate) fn run(mut self) -> Finished {
        let mut finished = Finished { is_sorted: self.is_ascending, ..Finished::default() };
        if let Err(error) = self.try_run(&mut finished) {
            finished
                .warnings
                .push(format!("the output was left in the order of completion: {}", error.chain()));
        }
        finished
    }

    fn try_run(&mut self, finished: &mut Finished) -> Result<(), BatchError> {
        let mut entries = std::mem::take(&mut self.resume).into_entries();
        entries.sort_unstable_by_key(|entry| (entry.is(Flag::Side), entry.offset()));
        let own = entries.partition_point(|entry| !entry.is(Flag::Side));
        let limited = self.limited;
        let leaves = |entry: &Entry| !limited && entry.is(Flag::Success) && !entry.is_used();
        let stays = |entry: &Entry| entry.is_used() || (limited && !entry.is_replaced());

        let (output, side) = entries.split_at_mut(own);
        let leaving = output.iter().filter(|entry| leaves(entry)).count();
        let staying = output.iter().filter(|entry| stays(entry)).count();
        let moved = output.iter().any(|entry| entry.is_used() && entry.is(Flag::Moved));
        if leaving > 0 || side.iter().any(Entry::is_used) {
            finished.unclaimed = self.set_aside(output.iter().filter(|entry| leaves(entry)), side)?;
        }
        let in_order = self.unordered && !moved;
        let as_it_is = staying == own && !moved && self.is_clean && (self.is_ascending || in_order);
        if as_it_is {
            return Ok(());
        }

        entries.truncate(own);
        entries.retain(stays);
        let new = usize::try_from(self.new_records).unwrap_or(usize::MAX);
        entries.reserve_exact(new);
        self.add_new(&mut entries)?;
        if !in_order {
            entries.sort_unstable_by_key(|entry| (!entry.is_used(), entry.index(), entry.offset()));
        }
        self.replace(&entries)?;
        finished.is_sorted = !in_order || entries.is_sorted_by_key(Entry::index);
        Ok(())
    }

    fn read(&self) -> Result<Blocks, BatchError> {
        let path = self.target.path();
        File::open(path).map(Blocks::new).map_err(|source| BatchError::io("read", path, source))
    }

    /// Finds the records of this run, which all begin with their index.
    fn add_new(&self, entries: &mut Vec<Entry>) -> Result<(), BatchError> {
        let mut blocks = self.read()?;
        let failed = |source| BatchError::io("read", self.target.path(), source);
        let (mut offset, mut line) = (self.new_from, Vec::new());
        for _ in 0..self.new_records {
            blocks.line_at(offset, &mut line).map_err(failed)?;
            let entry = stored::index_of(&line).and_then(|index| Entry::new(Key(0), offset, index, 0));
            let entry = entry.ok_or_else(|| {
                BatchError::Internal(format!(
                    "{}: a record is not where it was written",
                    self.target.path().display()
                ))
            })?;
            entries.push(entry.with(Flag::Claimed, true).with(Flag::Taken, true));
            offset += line.len() as u64 + 1;
        }
        Ok(())
    }

    /// Writes the records in this order to the temporary file and puts it in the output's place.
    fn replace(&mut self, entries: &[Entry]) -> Result<(), BatchError> {
        let mut blocks = self.read()?;
        let temporary = self.target.temporary();
        let file = create_new(&temporary).map_err(|source| BatchError::io("write", &temporary, source))?;
        let result = self.write_sorted(entries, &mut blocks, file, &temporary);
        if result.is_err() {
            let _ = fs::remove_file(&temporary);
        }
        result
    }

    fn write_sorted(
        &mut self,
        entries: &[Entry],
        blocks: &mut Blocks,
        file: File,
        temporary: &Path,
    ) -> Result<(), BatchError> {
        let output = self.target.path();
        let failed = |source| BatchError::io("write", temporary, source);
        let mut out = BufWriter::with_capacity(1 << 20, file);
        let mut metadata = MetadataOf { rows: Rows::open(self.source)?, job: self.job };
        let mut line = Vec::new();
        for entry in entries {
            blocks
                .line_at(entry.offset(), &mut line)
                .map_err(|source| BatchError::io("read", output, source))?;
            let moved = entry.is(Flag::Moved) && entry.is_used();
            match moved.then(|| metadata.move_record(entry, &line)).transpose()?.flatten() {
                Some(moved) => out.write_all(&moved).map_err(failed)?,
                None => out.write_all(&line).and_then(|()| out.write_all(b"\n")).map_err(failed)?,
            }
        }
        let file = out.into_inner().map_err(|error| failed(error.into_error()))?;
        let permissions = fs::metadata(output).map_err(failed)?.permissions();
        file.set_permissions(permissions).and_then(|()| file.sync_all()).map_err(failed)?;
        drop(file);
        let renamed = fs::rename(temporary, output).and_then(|()| self.target.sync_folder());
        renamed.map_err(|source| BatchError::io("replace", output, source))
    }

    /// Puts answers without a row into the side file, and takes those out of it that rows use again: their copies
    /// stand in the output by now. Gives the number of answers added.
    fn set_aside<'e>(
        &self,
        leaving: impl Iterator<Item = &'e Entry>,
        side: &mut [Entry],
    ) -> Result<u64, BatchError> {
        let path = self.target.unclaimed();
        let failed = |source| BatchError::io("write", &path, source);
        let mut output = self.read()?;
        let (mut line, mut other) = (Vec::new(), Vec::new());
        let (mut kept, mut added) = (0_u64, 0);
        let rewritten = side.iter().any(Entry::is_used);
        let mut old = match File::open(&path) {
            Ok(file) => Some(Blocks::new(file)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(failed(source)),
        };
        let temporary = self.target.unclaimed().with_added_extension("tmp");
        let mut out = if rewritten {
            let file = create_new(&temporary).map_err(failed)?;
            let mut out = BufWriter::new(file);
            for entry in side.iter().filter(|entry| !entry.is_used()) {
                if let Some(old) = &mut old {
                    old.line_at(entry.offset(), &mut line).map_err(failed)?;
                    out.write_all(&line).and_then(|()| out.write_all(b"\n")).map_err(failed)?;
                    kept += 1;
                }
            }
            out
        } else {
            let mut file = OpenOptions::new().append(true).create(true).open(&path).map_err(failed)?;
            // A run that was killed here may have left half a line.
            if old.as_mut().map_or(Ok(false), Blocks::lacks_line_break).map_err(failed)? {
                file.write_all(b"\n").map_err(failed)?;
            }
            BufWriter::new(file)
        };
        side.sort_unstable_by_key(Entry::key);
        for entry in leaving {
            output.line_at(entry.offset(), &mut line).map_err(failed)?;
            // A run that was killed after this point left the same line in both files.
            let same = side.partition_point(|known| known.key() < entry.key());
            let same =
                side.get(same..).unwrap_or_default().iter().take_while(|known| known.key() == entry.key());
            let mut twice = false;
            for known in same.filter(|known| !known.is_used()) {
                if let Some(old) = &mut old {
                    old.line_at(known.offset(), &mut other).map_err(failed)?;
                    twice |= line == other;
                }
            }
            if !twice {
                out.write_all(&line).and_then(|()| out.write_all(b"\n")).map_err(failed)?;
                added += 1;
            }
        }
        let file = out.into_inner().map_err(|error| failed(error.into_error()))?;
        file.sync_all().map_err(failed)?;
        drop(file);
        if rewritten && kept + added == 0 {
            fs::remove_file(&temporary).and_then(|()| fs::remove_file(&path)).map_err(failed)?;
        } else if rewritten {
            fs::rename(&temporary, &path).map_err(failed)?;
        }
        self.target.sync_folder().map_err(failed)?;
        Ok(added)
    }
}

/// Creates a file that must not be there yet. One that an earlier run left is ours and goes; another stays.
fn create_new(path: &Path) -> io::Result<File> {
    let create = || OpenOptions::new().write(true).create_new(true).open(path);
    match create() {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let mut head = Vec::new();
            if !fs::symlink_metadata(path)?.is_file() {
                return Err(error);
            }
            File::open(path)?.take(stored::HEAD.len() as u64).read_to_end(&mut head)?;
            if !stored::HEAD.starts_with(&head) {
                return Err(io::Error::new(
                    io::ErrorKind::AlreadyExists,
                    "a file of this name is there, and not ours",
                ));
            }
            fs::remove_file(path)?;
            create()
        }
        result => result,
    }
}

/// The metadata of rows, asked for in their order.
struct MetadataOf<'a> {
    rows: Rows,
    job: &'a Job,
}

impl MetadataOf<'_> {
    /// The record with its row's index, and with its row's metadata where that differs.
    fn move_record(&mut self, entry: &Entry, line: &[u8]) -> Result<Option<Vec<u8>>, BatchError> {
        let stored = Stored::parse(line).map(|stored| metadata_hash(stored.metadata()));
        if stored == Some(entry.metadata_hash()) {
            return Ok(stored::moved(line, entry.index(), None));
        }
        while self.rows.count() < entry.index() && self.rows.skip()? {}
        let row = if self.rows.count() == entry.index() { self.rows.next(self.job)? } else { None };
        // Should the input have changed under us, the metadata stays as it was.
        let metadata =
            row.filter(|row| row.key() == entry.key()).map(|row| record::metadata_text(row.metadata()));
        Ok(stored::moved(line, entry.index(), metadata.as_deref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_temporary_file_of_somebody_else_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.tmp");
        fs::write(&path, "{\"index\":0,\"sta").unwrap();
        create_new(&path).unwrap();
        fs::write(&path, "my notes").unwrap();
        assert_eq!(create_new(&path).unwrap_err().to_string(), "a file of this name is there, and not ours");
        assert_eq!(fs::read_to_string(&path).unwrap(), "my notes");
    }
}
