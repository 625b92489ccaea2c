//! A JSON list that grows: its items, each as soon as it is whole.
//!
//! A body that is no list becomes one frame ([`SseFrame::bare`]) at its end: an answer or an error that came in one piece.
//! Each byte is looked at once, whatever the chunks are; an item that lies in one chunk is lent, not copied.

use llm_types::{Error, ErrorKind};
use memchr::memchr2;

use super::SseFrame;

#[cfg(test)]
mod tests;

/// Cuts a byte stream that is one JSON list into its items.
///
/// ```
/// # use llm_client::framing::JsonListDecoder;
/// let mut decoder = JsonListDecoder::new(1 << 20);
/// let mut frames = decoder.feed(b"[{\"a\": 1},\n{\"a\"");
/// assert_eq!(frames.next()?.unwrap().data, "{\"a\": 1}");
/// assert_eq!(frames.next()?, None);
/// assert_eq!(decoder.feed(b": 2}]").next()?.unwrap().data, "{\"a\": 2}");
/// assert_eq!(decoder.finish()?, None);
/// # Ok::<(), llm_types::Error>(())
/// ```
#[derive(Debug)]
pub struct JsonListDecoder {
    max_item_bytes: usize,
    place: Place,
    /// An item whose end has not come yet, or a body that is no list.
    item: Vec<u8>,
    /// Repaired data, lent to a frame.
    text: String,
    /// The item was given out: it is to be cleared before anything else.
    given: bool,
}

/// Where in the body the next byte stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// Before everything.
    Start,
    /// Before an item, or the end of the list.
    Between,
    /// In an item.
    Item(Inside),
    /// In a body that is no list.
    Bare,
    /// Behind the list, or an error.
    Over,
}

/// Where in an item the next byte stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Inside {
    depth: usize,
    string: bool,
    escaped: bool,
}

/// The items completed by one chunk. What is not taken before it is dropped is lost.
#[derive(Debug)]
pub struct JsonListFrames<'a> {
    decoder: &'a mut JsonListDecoder,
    chunk: &'a [u8],
    at: usize,
}

impl JsonListDecoder {
    /// A decoder for one body. An item of more bytes than the limit is an error.
    #[must_use]
    pub fn new(max_item_bytes: u64) -> Self {
        Self {
            max_item_bytes: usize::try_from(max_item_bytes).unwrap_or(usize::MAX),
            place: Place::Start,
            item: Vec::new(),
            text: String::new(),
            given: false,
        }
    }

    /// Takes the next chunk of the body; its items are to be taken from the result until there are none.
    pub fn feed<'a>(&'a mut self, chunk: &'a [u8]) -> JsonListFrames<'a> {
        JsonListFrames { decoder: self, chunk, at: 0 }
    }

    /// Ends the body: an item that the end cut is given, and so is a body that is no list.
    ///
    /// # Errors
    /// None so far; as [`SseDecoder::finish`](super::SseDecoder::finish).
    pub fn finish(&mut self) -> Result<Option<SseFrame<'_>>, Error> {
        self.clear_given();
        let bare = self.place == Place::Bare;
        let open = bare || matches!(self.place, Place::Item(_));
        self.place = Place::Over;
        if !open || self.item.is_empty() {
            return Ok(None);
        }
        self.given = true;
        Ok(Some(frame(&self.item, &mut self.text, true, bare)))
    }

    fn clear_given(&mut self) {
        if std::mem::take(&mut self.given) {
            self.item.clear();
        }
    }

    /// Keeps bytes of an item for the next chunk.
    fn keep(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.check(bytes.len())?;
        self.item.extend_from_slice(bytes);
        Ok(())
    }

    /// Refuses an item that this many more bytes make too long.
    fn check(&mut self, more: usize) -> Result<(), Error> {
        if self.item.len().saturating_add(more) <= self.max_item_bytes {
            return Ok(());
        }
        self.place = Place::Over;
        self.item = Vec::new();
        let limit = self.max_item_bytes;
        let message = format!("an event of the stream has more than {limit} bytes (max_event_bytes)");
        Err(Error::new(ErrorKind::TooLarge, message))
    }
}

/// A frame of these bytes.
fn frame<'a>(bytes: &'a [u8], text: &'a mut String, at_end: bool, bare: bool) -> SseFrame<'a> {
    let (data, repaired) = match std::str::from_utf8(bytes) {
        Ok(data) => (data, false),
        Err(_) => {
            text.clear();
            text.push_str(&String::from_utf8_lossy(bytes));
            (text.as_str(), true)
        }
    };
    SseFrame { repaired, at_end, bare, ..SseFrame::message(data) }
}

impl JsonListFrames<'_> {
    /// The next item that this chunk completes, or `None` when the chunk is used up.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] when an item, or a body that is no list, has more bytes than the limit; nothing follows it.
    #[expect(
        clippy::should_implement_trait,
        reason = "the frame borrows from the decoder, which no Iterator can say"
    )]
    pub fn next(&mut self) -> Result<Option<SseFrame<'_>>, Error> {
        self.decoder.clear_given();
        while let Some(rest) = self.chunk.get(self.at..).filter(|rest| !rest.is_empty()) {
            match self.decoder.place {
                Place::Over => self.at = self.chunk.len(),
                Place::Bare => {
                    self.at = self.chunk.len();
                    self.decoder.keep(rest)?;
                }
                Place::Start | Place::Between => self.begin(rest),
                Place::Item(inside) => {
                    let Some(len) = self.item_end(inside, rest) else {
                        self.at = self.chunk.len();
                        self.decoder.keep(rest)?;
                        continue;
                    };
                    let from = self.at;
                    self.at += len;
                    self.decoder.check(len)?;
                    let decoder = &mut *self.decoder;
                    decoder.place = Place::Between;
                    decoder.given = true;
                    let lent = self.chunk.get(from..self.at).unwrap_or_default();
                    if decoder.item.is_empty() {
                        return Ok(Some(frame(lent, &mut decoder.text, false, false)));
                    }
                    decoder.item.extend_from_slice(lent);
                    return Ok(Some(frame(&decoder.item, &mut decoder.text, false, false)));
                }
            }
        }
        Ok(None)
    }

    /// How many bytes of the chunk are used up: another feed may go on from there.
    #[must_use]
    pub fn used(&self) -> usize {
        self.at
    }

    /// Goes to the beginning of an item, or of the list.
    fn begin(&mut self, rest: &[u8]) {
        let first = rest.first().copied().unwrap_or_default();
        let decoder = &mut *self.decoder;
        decoder.place = match (decoder.place, first) {
            (place, b' ' | b'\t' | b'\r' | b'\n') | (place @ Place::Between, b',') => {
                self.at += 1;
                place
            }
            // A byte order mark.
            (Place::Start, 0xEF | 0xBB | 0xBF) => {
                self.at += 1;
                Place::Start
            }
            (Place::Start, b'[') => {
                self.at += 1;
                Place::Between
            }
            (Place::Start, _) => Place::Bare,
            (_, b']') => Place::Over,
            _ => Place::Item(Inside::default()),
        };
    }

    /// How many of the bytes belong to the item, where its end is among them.
    fn item_end(&mut self, mut inside: Inside, rest: &[u8]) -> Option<usize> {
        let mut at = 0;
        while let Some(&byte) = rest.get(at) {
            if inside.string {
                if std::mem::take(&mut inside.escaped) {
                    at += 1;
                    continue;
                }
                let Some(next) = memchr2(b'"', b'\\', rest.get(at..)?) else { break };
                at += next + 1;
                match rest.get(at - 1) {
                    Some(b'"') => inside.string = false,
                    _ => inside.escaped = true,
                }
                if !inside.string && inside.depth == 0 {
                    return Some(at);
                }
                continue;
            }
            match byte {
                b'"' => inside.string = true,
                b'{' | b'[' => inside.depth = inside.depth.saturating_add(1),
                // The end of the list ends an item that is a number or a word.
                b']' | b',' | b' ' | b'\r' | b'\n' if inside.depth == 0 => return Some(at),
                b'}' | b']' => {
                    inside.depth = inside.depth.saturating_sub(1);
                    if inside.depth == 0 {
                        return Some(at + 1);
                    }
                }
                _ => {}
            }
            at += 1;
        }
        self.decoder.place = Place::Item(inside);
        None
    }
}
