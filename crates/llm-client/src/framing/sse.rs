//! Server-sent events: the WHATWG algorithm on bytes, with what servers of language models do to it.
//!
//! * An event that only the end of the body closes is given all the same ([`SseDecoder::finish`]).
//! * A body that is bare JSON where events were expected becomes one frame ([`SseFrame::bare`]): gateways answer so.
//! * A line that says `error: {…}`, or is `{"error": …}` behind events, is an event of that name: some servers break a
//!   stream off so.
//! * Bytes that are not UTF-8 become replacement characters, and the frame says so.
//!
//! Each byte is looked at once, whatever the chunks are. A `data` line that lies in one chunk is lent, not copied.

use std::ops::Range;
use std::time::Duration;

use llm_types::{Error, ErrorKind};
use memchr::{memchr, memchr2};

#[cfg(test)]
mod tests;

/// One event of a stream, lent by the decoder.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SseFrame<'a> {
    /// Its name; `message` where the server gave none.
    pub event: &'a str,
    /// Its data, several lines joined by line feeds.
    pub data: &'a str,
    /// The last event id the server sent, empty where it sent none.
    pub id: &'a str,
    /// The data held bytes that are not UTF-8; replacement characters stand for them.
    pub repaired: bool,
    /// Only the end of the body closed it, so that it may be cut short.
    pub at_end: bool,
    /// It is no event: the body is bare JSON, and this is the whole of it.
    pub bare: bool,
}

impl<'a> SseFrame<'a> {
    /// A nameless event with this data, as most streams have them.
    #[must_use]
    pub const fn message(data: &'a str) -> Self {
        Self { event: "message", data, id: "", repaired: false, at_end: false, bare: false }
    }
}

/// Cuts a byte stream into events.
///
/// ```
/// # use llm_client::framing::SseDecoder;
/// let mut decoder = SseDecoder::new(1 << 20);
/// let mut frames = decoder.feed(b": hello\n\ndata: {\"a\":1}\n\ndata: [DO");
/// assert_eq!(frames.next()?.unwrap().data, "{\"a\":1}");
/// assert_eq!(frames.next()?, None);
/// assert_eq!(decoder.feed(b"NE]\n\n").next()?.unwrap().data, "[DONE]");
/// assert_eq!(decoder.finish()?, None);
/// # Ok::<(), llm_types::Error>(())
/// ```
#[derive(Debug)]
pub struct SseDecoder {
    max_event_bytes: usize,
    /// A line whose end has not come yet.
    line: Vec<u8>,
    /// The data of the event so far, from `data_from` on: the line that began it may lie here whole.
    data: Vec<u8>,
    data_from: usize,
    has_data: bool,
    event: String,
    id: String,
    retry: Option<Duration>,
    /// Repaired data, lent to a frame.
    text: String,
    /// The last frame was given out: its parts are to be cleared before anything else.
    given: bool,
    /// A CR ended the last chunk; an LF that comes first belongs to it.
    swallow_lf: bool,
    /// The first line is past, and with it the byte order mark.
    begun: bool,
    /// An event was given out.
    produced: bool,
    /// The body is bare JSON, collected in `data`.
    bare: bool,
    /// Bare JSON may also follow events.
    late_json: bool,
    /// The end, or an error: nothing follows.
    over: bool,
}

/// The events completed by one chunk. What is not taken before it is dropped is lost.
#[derive(Debug)]
pub struct SseFrames<'a> {
    decoder: &'a mut SseDecoder,
    chunk: &'a [u8],
    at: usize,
    /// The event's data while it lies in the chunk in one piece.
    held: Option<Range<usize>>,
}

/// What a line asks for.
enum Line {
    /// Dispatch the event.
    Blank,
    /// The value begins this many bytes in.
    Data(usize),
    /// Bare JSON, if nothing has come before it.
    Json,
    /// Dealt with.
    Other,
}

const BOM: &[u8] = b"\xEF\xBB\xBF";

impl SseDecoder {
    /// A decoder for one body. An event of more bytes than the limit, or a line of them, is an error.
    #[must_use]
    pub fn new(max_event_bytes: u64) -> Self {
        Self {
            max_event_bytes: usize::try_from(max_event_bytes).unwrap_or(usize::MAX),
            line: Vec::new(),
            data: Vec::new(),
            data_from: 0,
            has_data: false,
            event: String::new(),
            id: String::new(),
            retry: None,
            text: String::new(),
            given: false,
            swallow_lf: false,
            begun: false,
            produced: false,
            bare: false,
            late_json: false,
            over: false,
        }
    }

    /// Takes bare JSON also where it follows events, as the last frame: some servers end a stream so when they fail.
    #[must_use]
    pub fn with_late_json(self) -> Self {
        Self { late_json: true, ..self }
    }

    /// Takes the next chunk of the body; its events are to be taken from the result until there are none.
    pub fn feed<'a>(&'a mut self, chunk: &'a [u8]) -> SseFrames<'a> {
        SseFrames { decoder: self, chunk, at: 0, held: None }
    }

    /// Ends the body: an unfinished line counts as a line, and an event that no blank line closed is given.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`], as from [`SseFrames::next`].
    pub fn finish(&mut self) -> Result<Option<SseFrame<'_>>, Error> {
        self.clear_given();
        if std::mem::replace(&mut self.over, true) {
            return Ok(None);
        }
        if self.bare {
            let line = std::mem::take(&mut self.line);
            self.append(&line)?;
        } else if !self.line.is_empty() {
            self.end_line()?;
        }
        if !self.has_data {
            return Ok(None);
        }
        self.given = true;
        Ok(Some(self.frame(None, true)))
    }

    /// How long the server asks a browser to wait before it connects again. Nothing here ever does.
    #[must_use]
    pub fn retry(&self) -> Option<Duration> {
        self.retry
    }

    /// Forgets the event that was given out last.
    fn clear_given(&mut self) {
        if std::mem::take(&mut self.given) {
            self.clear_event();
        }
    }

    fn clear_event(&mut self) {
        self.data.clear();
        self.event.clear();
        (self.data_from, self.has_data) = (0, false);
    }

    fn check(&mut self, bytes: usize) -> Result<(), Error> {
        if bytes <= self.max_event_bytes {
            return Ok(());
        }
        self.over = true;
        self.line = Vec::new();
        self.data = Vec::new();
        self.has_data = false;
        Err(Error::new(
            ErrorKind::TooLarge,
            format!("an event of the stream has more than {} bytes (max_event_bytes)", self.max_event_bytes),
        ))
    }

    /// Adds to the data of the event.
    fn append(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.check(self.data.len().saturating_add(bytes.len()))?;
        self.data.extend_from_slice(bytes);
        self.has_data = true;
        Ok(())
    }

    /// Adds a `data` line: several are joined by line feeds.
    fn append_line(&mut self, value: &[u8]) -> Result<(), Error> {
        if self.has_data {
            self.append(b"\n")?;
        }
        self.append(value)
    }

    /// Reads one whole line. Only `data` is left to the caller, who knows where the bytes lie.
    fn read(&mut self, line: &[u8]) -> Line {
        // The most frequent line first.
        if let Some(value) = line.strip_prefix(b"data:") {
            return Line::Data(if value.first() == Some(&b' ') { 6 } else { 5 });
        }
        let Some(&first) = line.first() else { return Line::Blank };
        if first == b':' {
            return Line::Other;
        }
        if (!self.produced || self.late_json) && matches!(line.trim_ascii_start().first(), Some(b'{' | b'['))
        {
            return Line::Json;
        }
        if first == b'{' && line.starts_with(b"{\"error\"") && !self.has_data {
            return self.error_line(0);
        }
        let colon = memchr(b':', line).unwrap_or(line.len());
        let from = match line.get(colon + 1) {
            Some(b' ') => colon + 2,
            _ => (colon + 1).min(line.len()),
        };
        let value = line.get(from..).unwrap_or_default();
        match line.get(..colon).unwrap_or_default() {
            // Without a colon.
            b"data" => return Line::Data(from),
            b"error" if value.first() == Some(&b'{') && !self.has_data => return self.error_line(from),
            b"event" => {
                self.event.clear();
                match std::str::from_utf8(value) {
                    Ok(name) => self.event.push_str(name),
                    Err(_) => self.event.push_str(&String::from_utf8_lossy(value)),
                }
            }
            b"id" if memchr(0, value).is_none() => {
                self.id.clear();
                self.id.push_str(&String::from_utf8_lossy(value));
            }
            b"retry" if value.iter().all(u8::is_ascii_digit) => {
                let millis = std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok());
                self.retry = millis.map(Duration::from_millis).or(self.retry);
            }
            _ => {}
        }
        Line::Other
    }

    /// An error that stands in a line of its own, from this byte on.
    fn error_line(&mut self, from: usize) -> Line {
        self.event.clear();
        self.event.push_str("error");
        Line::Data(from)
    }

    /// The byte order mark's length, where the body begins with this line.
    fn bom(&mut self, line: &[u8]) -> usize {
        if !std::mem::replace(&mut self.begun, true) && line.starts_with(BOM) { BOM.len() } else { 0 }
    }

    /// Ends the line that was put together in `self.line`; true when the event is to be dispatched.
    fn end_line(&mut self) -> Result<bool, Error> {
        let mut line = std::mem::take(&mut self.line);
        let bom = self.bom(&line);
        line.drain(..bom);
        match self.read(&line) {
            Line::Blank => return Ok(true),
            Line::Data(from) if !self.has_data => {
                // The line becomes the data, without a copy.
                std::mem::swap(&mut self.data, &mut line);
                (self.data_from, self.has_data) = (from, true);
            }
            Line::Data(from) => self.append_line(line.get(from..).unwrap_or_default())?,
            Line::Json if !self.has_data => self.begin_bare(&line)?,
            Line::Json | Line::Other => {}
        }
        line.clear();
        self.line = line;
        Ok(false)
    }

    fn begin_bare(&mut self, line: &[u8]) -> Result<(), Error> {
        self.bare = true;
        self.append(line)?;
        self.append(b"\n")
    }

    /// The event, from data that lies in the chunk or in `self.data`.
    fn frame<'a>(&'a mut self, held: Option<&'a [u8]>, at_end: bool) -> SseFrame<'a> {
        self.produced = true;
        let bytes = held.unwrap_or_else(|| self.data.get(self.data_from..).unwrap_or_default());
        let (data, repaired) = match std::str::from_utf8(bytes) {
            Ok(data) => (data, false),
            Err(_) => {
                self.text.clear();
                self.text.push_str(&String::from_utf8_lossy(bytes));
                (self.text.as_str(), true)
            }
        };
        let event = if self.event.is_empty() { "message" } else { &self.event };
        SseFrame { event, data, id: &self.id, repaired, at_end, bare: self.bare }
    }
}

impl SseFrames<'_> {
    /// The next event that this chunk completes, or `None` when the chunk is used up.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] when an event, or a line, has more bytes than the limit; nothing follows it.
    #[expect(
        clippy::should_implement_trait,
        reason = "the frame borrows from the decoder, which no Iterator can say"
    )]
    pub fn next(&mut self) -> Result<Option<SseFrame<'_>>, Error> {
        self.decoder.clear_given();
        while !self.decoder.over && self.at < self.chunk.len() {
            if self.step()? {
                self.decoder.given = true;
                let held = self.held.take().map(|range| self.chunk.get(range).unwrap_or_default());
                return Ok(Some(self.decoder.frame(held, false)));
            }
        }
        self.keep_held()?;
        Ok(None)
    }

    /// How many bytes of the chunk are used up: another feed may go on from there.
    #[must_use]
    pub fn used(&self) -> usize {
        self.at
    }

    /// Goes one line on; true when the event is to be given out.
    fn step(&mut self) -> Result<bool, Error> {
        let (chunk, decoder) = (self.chunk, &mut *self.decoder);
        let rest = chunk.get(self.at..).unwrap_or_default();
        if decoder.bare {
            self.at = chunk.len();
            return decoder.append(rest).map(|()| false);
        }
        if std::mem::take(&mut decoder.swallow_lf) && rest.first() == Some(&b'\n') {
            self.at += 1;
            return Ok(false);
        }
        let Some(len) = memchr2(b'\n', b'\r', rest) else {
            self.at = chunk.len();
            decoder.check(decoder.line.len().saturating_add(rest.len()))?;
            decoder.line.extend_from_slice(rest);
            return Ok(false);
        };
        let (mut from, to) = (self.at, self.at + len);
        self.at = to + 1;
        if chunk.get(to) == Some(&b'\r') {
            match chunk.get(self.at) {
                Some(b'\n') => self.at += 1,
                Some(_) => {}
                None => decoder.swallow_lf = true,
            }
        }
        let line = rest.get(..len).unwrap_or_default();
        let blank = if decoder.line.is_empty() {
            let bom = decoder.bom(line);
            from += bom;
            let line = line.get(bom..).unwrap_or_default();
            match decoder.read(line) {
                Line::Blank => true,
                Line::Data(skip) => {
                    decoder.check(line.len())?;
                    self.hold(from + skip..to)?;
                    false
                }
                Line::Json if !decoder.has_data => decoder.begin_bare(line).map(|()| false)?,
                Line::Json | Line::Other => false,
            }
        } else {
            decoder.check(decoder.line.len().saturating_add(len))?;
            decoder.line.extend_from_slice(line);
            self.keep_held()?;
            self.decoder.end_line()?
        };
        let decoder = &mut *self.decoder;
        if blank && !decoder.has_data {
            decoder.clear_event();
        }
        Ok(blank && decoder.has_data)
    }

    /// Takes a `data` line of the chunk: lent when it is the event's first, else added to the others.
    fn hold(&mut self, value: Range<usize>) -> Result<(), Error> {
        if !self.decoder.has_data {
            self.decoder.has_data = true;
            self.held = Some(value);
            return Ok(());
        }
        self.keep_held()?;
        self.decoder.append_line(self.chunk.get(value).unwrap_or_default())
    }

    /// Copies lent data that must outlive the chunk, or be added to.
    fn keep_held(&mut self) -> Result<(), Error> {
        match self.held.take() {
            Some(range) => self.decoder.append(self.chunk.get(range).unwrap_or_default()),
            None => Ok(()),
        }
    }
}
