//! The thread that reads the input: rows with a stored answer are counted (or handed on as results), bad rows become
//! records at once, the others become requests, a few at a time.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};

use llm_client::clock::Instant;
use llm_types::{ChatRequest, Error, ErrorKind, Extra};
use tokio::sync::{mpsc, oneshot};

use crate::blocks::Blocks;
use crate::error::BatchError;
use crate::job::Job;
use crate::journal::Line;
use crate::key::Key;
use crate::parts::Parts;
use crate::progress::Counters;
use crate::record::{self, About, SaveInput, Status};
use crate::results::BatchResult;
use crate::resume::{Entry, Flag, Resume, metadata_hash};
use crate::row::Format;
use crate::rows::{Row, Rows};
use crate::source::Source;
use crate::stored;

/// Rows go over in pieces of at most so many, or of about so many bytes.
const PIECE_ROWS: usize = 64;
const PIECE_BYTES: usize = 1 << 20;

/// A row that is to be asked.
pub(crate) struct Pending {
    pub(crate) index: u64,
    pub(crate) line: u64,
    pub(crate) key: Key,
    pub(crate) id: Option<String>,
    pub(crate) metadata: Extra,
    pub(crate) request: ChatRequest,
    /// About how much memory it takes.
    pub(crate) bytes: usize,
    /// Requests made for it so far.
    pub(crate) attempts: u32,
    /// How often it was put back.
    pub(crate) requeues: u32,
    /// When it had run out of its retries for the first time.
    pub(crate) gave_up: Option<Instant>,
}

/// What the thread hands over.
pub(crate) enum Fed {
    /// A row to ask.
    Ask(Box<Pending>),
    /// A record to write as it is.
    Store(Box<Store>),
    /// A result that stands in the output already.
    Restored(Box<BatchResult>),
}

/// A record that needs no call: a bad row's, or one from the side file.
pub(crate) struct Store {
    /// The record, where there is an output.
    pub(crate) line: Option<Line>,
    /// A bad row's error and line.
    pub(crate) bad: Option<(Error, u64)>,
    /// The row as a result, where results are wanted.
    pub(crate) result: Option<BatchResult>,
}

/// What is counted about the input, readable at any time.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) formats: BTreeMap<Format, u64>,
    pub(crate) blank: u64,
    /// Rows that named another model, and the first such name with its line.
    pub(crate) other_models: u64,
    pub(crate) first_model: Option<(String, u64)>,
}

/// How the input ended.
pub(crate) struct FeedEnd {
    pub(crate) source: Source,
    pub(crate) resume: Resume,
    pub(crate) failed: Option<BatchError>,
}

/// The run's end of the thread.
pub(crate) struct Feed {
    pub(crate) rows: mpsc::Receiver<Vec<Fed>>,
    pub(crate) seen: Arc<Mutex<Seen>>,
    pub(crate) end: oneshot::Receiver<FeedEnd>,
}

/// What the thread needs.
pub(crate) struct Feeder {
    pub(crate) source: Source,
    pub(crate) resume: Resume,
    pub(crate) job: Arc<Job>,
    pub(crate) parts: Arc<Parts>,
    pub(crate) save: SaveInput,
    pub(crate) limit: u64,
    pub(crate) counters: Arc<Counters>,
    /// The output and its side file, for reading; `None` without one.
    pub(crate) output: Option<File>,
    pub(crate) side: Option<File>,
    /// Whether there is an output to write to.
    pub(crate) records: bool,
    /// Whether every row is wanted as a result.
    pub(crate) results: bool,
}

/// Whether anybody still listens.
enum Go {
    On,
    Stop,
}

impl Feeder {
    /// Starts the thread. It ends when the receiver is dropped, or with the input.
    pub(crate) fn start(self) -> Result<Feed, BatchError> {
        let (send, rows) = mpsc::channel(2);
        let (finish, end) = oneshot::channel();
        let seen = Arc::<Mutex<Seen>>::default();
        let Self { source, resume, output, side, .. } = self;
        let mut work = Work {
            job: self.job,
            parts: self.parts,
            save: self.save,
            limit: self.limit,
            counters: self.counters,
            records: self.records,
            results: self.results,
            resume,
            output: output.map(Blocks::new),
            side: side.map(Blocks::new),
            seen: Arc::clone(&seen),
            piece: Vec::new(),
            bytes: 0,
            send,
            restored: Vec::new(),
        };
        let mut source = source;
        let thread = move || {
            let failed = work.run(&mut source).err();
            let Work { resume, send, .. } = work;
            // First the end, then the end of the rows: who sees the second finds the first.
            let _ = finish.send(FeedEnd { source, resume, failed });
            drop(send);
        };
        std::thread::Builder::new().name("llm-batch-read".into()).spawn(thread).map_err(|source| {
            BatchError::Io { action: "start a thread to read", path: "the input".into(), source }
        })?;
        Ok(Feed { rows, seen, end })
    }
}

struct Work {
    job: Arc<Job>,
    parts: Arc<Parts>,
    save: SaveInput,
    limit: u64,
    counters: Arc<Counters>,
    records: bool,
    results: bool,
    resume: Resume,
    output: Option<Blocks>,
    side: Option<Blocks>,
    seen: Arc<Mutex<Seen>>,
    piece: Vec<Fed>,
    bytes: usize,
    send: mpsc::Sender<Vec<Fed>>,
    /// One bit a row: handed on as restored in the first of two passes.
    restored: Vec<u64>,
}

/// Which rows a pass over the input is about.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    All,
    Restored,
    Rest,
}

impl Work {
    fn run(&mut self, source: &mut Source) -> Result<(), BatchError> {
        if self.results && !self.resume.is_empty() {
            // Restored rows come first, then the others.
            if let Go::Stop = self.pass(source, Pass::Restored)? {
                return Ok(());
            }
            self.pass(source, Pass::Rest)?;
        } else {
            self.pass(source, Pass::All)?;
        }
        Ok(())
    }

    fn pass(&mut self, source: &mut Source, pass: Pass) -> Result<Go, BatchError> {
        let mut rows = Rows::open(source)?;
        let mut in_limit = 0;
        while rows.count() < self.limit || !self.resume.is_empty() {
            // Rows do not wait here for those that a slow pipe has yet to bring.
            if !rows.is_at_hand()
                && let Go::Stop = self.flush()
            {
                return Ok(Go::Stop);
            }
            let Some(row) = rows.next(&self.job)? else { break };
            let inside = row.index < self.limit;
            in_limit += u64::from(inside);
            if inside && pass != Pass::Restored {
                self.note(&row, rows.blank());
            }
            if let Go::Stop = self.row(row, pass, inside)? {
                return Ok(Go::Stop);
            }
        }
        if pass != Pass::Restored {
            self.seen.lock().unwrap_or_else(PoisonError::into_inner).blank = rows.blank();
            self.counters.set_total(in_limit);
        }
        Ok(self.flush())
    }

    fn note(&self, row: &Row, blank: u64) {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.blank = blank;
        if let Ok(parsed) = &row.parsed {
            *seen.formats.entry(parsed.format).or_default() += 1;
            if let Some(model) = &parsed.model {
                seen.other_models += 1;
                seen.first_model.get_or_insert_with(|| (model.clone(), row.line));
            }
        }
    }

    fn row(&mut self, row: Row, pass: Pass, inside: bool) -> Result<Go, BatchError> {
        let index = row.index;
        let known = match pass {
            Pass::Rest => self.was_restored(index),
            Pass::All | Pass::Restored => match self.take(&row) {
                Some(entry) => match self.restore(&row, &entry, inside)? {
                    Some(go) => return Ok(go),
                    // Its record could not be read after all.
                    None => false,
                },
                None => false,
            },
        };
        if known || pass == Pass::Restored || !inside {
            return Ok(Go::On);
        }
        if self.resume.replace(row.key()) {
            Counters::add(&self.counters.retried, 1);
        }
        Ok(self.ask(row))
    }

    fn take(&mut self, row: &Row) -> Option<Entry> {
        if self.resume.is_empty() {
            return None;
        }
        let metadata = metadata_hash(&record::metadata_text(row.metadata()));
        self.resume.take(row.key(), row.index, metadata)
    }

    fn was_restored(&self, index: u64) -> bool {
        let word = usize::try_from(index / 64).ok().and_then(|at| self.restored.get(at));
        word.is_some_and(|word| word >> (index % 64) & 1 == 1)
    }

    fn set_restored(&mut self, index: u64) {
        let at = usize::try_from(index / 64).unwrap_or(usize::MAX);
        if self.restored.len() <= at {
            self.restored.resize(at + 1, 0);
        }
        if let Some(word) = self.restored.get_mut(at) {
            *word |= 1 << (index % 64);
        }
    }

    /// Counts a row that has its record; hands on what is wanted of it.
    fn restore(&mut self, row: &Row, entry: &Entry, inside: bool) -> Result<Option<Go>, BatchError> {
        let side = entry.is(Flag::Side);
        let mut line = Vec::new();
        if side || (self.results && inside) {
            let blocks = if side { &mut self.side } else { &mut self.output };
            let Some(blocks) = blocks else { return Ok(None) };
            let failed =
                |source| BatchError::Io { action: "read", path: "the stored answers".into(), source };
            blocks.line_at(entry.offset(), &mut line).map_err(failed)?;
        }
        let result = if self.results && inside {
            match BatchResult::restored(&line, row.index, row.metadata().clone()) {
                Some(result) => Some(result),
                None => return Ok(None),
            }
        } else {
            None
        };
        if inside {
            let success = entry.is(Flag::Success);
            let counter = if success { &self.counters.success } else { &self.counters.failed };
            Counters::add(counter, 1);
            Counters::add(&self.counters.restored, 1);
            Counters::add(&self.counters.restored_failed, u64::from(!success));
        }
        if self.results {
            self.set_restored(row.index);
        }
        let fed = if side {
            let metadata = record::metadata_text(row.metadata());
            let Some(bytes) = stored::moved(&line, row.index, Some(&metadata)) else { return Ok(None) };
            Fed::Store(Box::new(Store { line: Some(Line { index: row.index, bytes }), bad: None, result }))
        } else {
            match result {
                Some(result) => Fed::Restored(Box::new(result)),
                None => return Ok(Some(Go::On)),
            }
        };
        Ok(Some(self.push(fed, line.len())))
    }

    fn ask(&mut self, row: Row) -> Go {
        let Row { index, line, parsed } = row;
        match parsed {
            Ok(parsed) => {
                let bytes = parsed.messages.iter().map(size).sum();
                let request = self.job.request(parsed.messages, parsed.own.map(|own| *own));
                let pending = Pending {
                    index,
                    line,
                    key: parsed.key,
                    id: parsed.id,
                    metadata: parsed.metadata,
                    request,
                    bytes,
                    attempts: 0,
                    requeues: 0,
                    gave_up: None,
                };
                self.push(Fed::Ask(Box::new(pending)), bytes)
            }
            Err(bad) => {
                let error = Error::new(ErrorKind::InvalidRequest, bad.message.clone());
                let about = About {
                    index,
                    key: bad.key,
                    id: bad.id.as_deref(),
                    metadata: &bad.metadata,
                    messages: &[],
                    parts: &self.parts,
                    save: self.save,
                    attempts: 0,
                    latency: None,
                };
                let bytes = self.records.then(|| record::failure(&about, &error));
                let size = bytes.as_ref().map_or(0, Vec::len);
                let result = self.results.then(|| {
                    let bad = *bad;
                    BatchResult::empty(index, bad.id, bad.metadata, Status::Error).failed(&error)
                });
                let line_of_record = bytes.map(|bytes| Line { index, bytes });
                let store = Store { line: line_of_record, bad: Some((error, line)), result };
                self.push(Fed::Store(Box::new(store)), size)
            }
        }
    }

    fn push(&mut self, fed: Fed, bytes: usize) -> Go {
        self.piece.push(fed);
        self.bytes += bytes;
        if self.piece.len() >= PIECE_ROWS || self.bytes >= PIECE_BYTES { self.flush() } else { Go::On }
    }

    fn flush(&mut self) -> Go {
        self.bytes = 0;
        let piece = std::mem::take(&mut self.piece);
        if piece.is_empty() || self.send.blocking_send(piece).is_ok() { Go::On } else { Go::Stop }
    }
}

/// About how much memory a message takes.
fn size(message: &llm_types::Message) -> usize {
    use llm_types::{MediaSource, Part};
    let part = |part: &Part| match part {
        Part::Text { text, .. } | Part::Refusal { text } => text.len(),
        Part::Image(media) | Part::Audio(media) | Part::File(media) => match &media.source {
            MediaSource::Url(text) | MediaSource::Base64 { data: text, .. } | MediaSource::FileId(text) => {
                text.len()
            }
        },
        Part::Reasoning(reasoning) => reasoning.text.len(),
        Part::ToolCall(call) => call.arguments.len(),
        Part::ToolResult(result) => result.content.iter().filter_map(Part::as_text).map(str::len).sum(),
        Part::Native(part) => part.json.get().len(),
    };
    message.parts.iter().map(part).sum()
}
