//! The rows of an input in their order, each with its index and its line.

use std::sync::Arc;

use crate::error::BatchError;
use crate::job::Job;
use crate::key::Key;
use crate::lines::Lines;
use crate::row::{self, Bad, Parsed};
use crate::source::{BatchRequest, Source};

/// One row, good or bad.
pub(crate) struct Row {
    /// Its place among the rows, bad ones included, counted from 0.
    pub(crate) index: u64,
    /// Its line in the file, or its number in memory, counted from 1.
    pub(crate) line: u64,
    pub(crate) parsed: Result<Parsed, Box<Bad>>,
}

impl Row {
    pub(crate) fn key(&self) -> Key {
        match &self.parsed {
            Ok(parsed) => parsed.key,
            Err(bad) => bad.key,
        }
    }

    pub(crate) fn metadata(&self) -> &llm_types::Extra {
        match &self.parsed {
            Ok(parsed) => &parsed.metadata,
            Err(bad) => &bad.metadata,
        }
    }
}

/// Reads a source from its beginning.
pub(crate) struct Rows {
    from: From,
    index: u64,
}

enum From {
    Lines(Lines),
    Memory(Arc<[BatchRequest]>),
}

impl Rows {
    pub(crate) fn open(source: &mut Source) -> Result<Self, BatchError> {
        let from = match source.requests() {
            Some(requests) => From::Memory(requests),
            None => From::Lines(source.lines()?),
        };
        Ok(Self { from, index: 0 })
    }

    pub(crate) fn next(&mut self, job: &Job) -> Result<Option<Row>, BatchError> {
        let index = self.index;
        let (line, parsed) = match &mut self.from {
            From::Lines(lines) => match lines.next()? {
                Some((number, line)) => (number, row::parse(number, &line, job)),
                None => return Ok(None),
            },
            From::Memory(requests) => {
                let at = usize::try_from(index).unwrap_or(usize::MAX);
                match requests.get(at) {
                    Some(request) => (index + 1, row::from_request(index + 1, request)),
                    None => return Ok(None),
                }
            }
        };
        self.index += 1;
        Ok(Some(Row { index, line, parsed }))
    }

    /// Passes over the next row without reading what it says. `false` at the end.
    pub(crate) fn skip(&mut self) -> Result<bool, BatchError> {
        let more = match &mut self.from {
            From::Lines(lines) => lines.next()?.is_some(),
            From::Memory(requests) => self.index < requests.len() as u64,
        };
        self.index += u64::from(more);
        Ok(more)
    }

    /// Whether the next row can be had without waiting for whoever writes the input.
    pub(crate) fn is_at_hand(&self) -> bool {
        match &self.from {
            From::Lines(lines) => lines.is_at_hand(),
            From::Memory(_) => true,
        }
    }

    /// How many rows there were so far.
    pub(crate) fn count(&self) -> u64 {
        self.index
    }

    /// How many blank lines there were so far.
    pub(crate) fn blank(&self) -> u64 {
        match &self.from {
            From::Lines(lines) => lines.blank(),
            From::Memory(_) => 0,
        }
    }
}
