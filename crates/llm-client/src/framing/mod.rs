//! Bytes to frames, nothing else: what a frame means is the dialect's business.
//!
//! A decoder is fed the chunks of a body as they come and gives the frames that are complete. Any way of cutting the
//! bytes gives the same frames.

use llm_types::Error;

pub mod json_list;
pub mod sse;

pub use json_list::{JsonListDecoder, JsonListFrames};
pub use sse::{SseDecoder, SseFrame, SseFrames};

/// The decoder of a body, whatever its framing is.
#[derive(Debug)]
pub enum Decoder {
    /// Server-sent events.
    Events(SseDecoder),
    /// The items of a JSON list.
    List(JsonListDecoder),
}

/// The frames completed by one chunk.
#[derive(Debug)]
pub enum Frames<'a> {
    /// Server-sent events.
    Events(SseFrames<'a>),
    /// The items of a JSON list.
    List(JsonListFrames<'a>),
}

impl Decoder {
    /// Takes the next chunk of the body; its frames are to be taken from the result until there are none.
    pub fn feed<'a>(&'a mut self, chunk: &'a [u8]) -> Frames<'a> {
        match self {
            Self::Events(decoder) => Frames::Events(decoder.feed(chunk)),
            Self::List(decoder) => Frames::List(decoder.feed(chunk)),
        }
    }

    /// Ends the body, and gives what only the end closed.
    ///
    /// # Errors
    /// Those of the decoders: a frame that is too large.
    pub fn finish(&mut self) -> Result<Option<SseFrame<'_>>, Error> {
        match self {
            Self::Events(decoder) => decoder.finish(),
            Self::List(decoder) => decoder.finish(),
        }
    }
}

impl Frames<'_> {
    /// The next frame that this chunk completes, or `None` when the chunk is used up.
    ///
    /// # Errors
    /// [`TooLarge`](llm_types::ErrorKind::TooLarge); nothing follows it.
    #[expect(
        clippy::should_implement_trait,
        reason = "the frame borrows from the decoder, which no Iterator can say"
    )]
    pub fn next(&mut self) -> Result<Option<SseFrame<'_>>, Error> {
        match self {
            Self::Events(frames) => frames.next(),
            Self::List(frames) => frames.next(),
        }
    }

    /// How many bytes of the chunk are used up. The frames of the rest may be taken from another feed with it; only a
    /// frame that is whole may stand between.
    #[must_use]
    pub fn used(&self) -> usize {
        match self {
            Self::Events(frames) => frames.used(),
            Self::List(frames) => frames.used(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The data of the frames of a chunk; `alone`: each is taken from a feed of its own.
    fn data(mut decoder: Decoder, chunk: &[u8], alone: bool) -> Vec<String> {
        let (mut found, mut used) = (Vec::new(), 0);
        loop {
            let mut frames = decoder.feed(&chunk[used..]);
            while let Some(frame) = frames.next().unwrap() {
                found.push(frame.data.to_owned());
                if alone {
                    break;
                }
            }
            used += frames.used();
            if used == chunk.len() {
                break;
            }
        }
        found.extend(decoder.finish().unwrap().map(|frame| frame.data.to_owned()));
        found
    }

    #[test]
    fn frames_may_be_taken_from_one_feed_or_from_one_each() {
        let events = || Decoder::Events(SseDecoder::new(1 << 10));
        let list = || Decoder::List(JsonListDecoder::new(1 << 10));
        let stream = b"\xEF\xBB\xBFevent: a\r\ndata: 1\r\ndata: 2\r\n\r\n: x\n\ndata: 3\r\rdata: 4\n\nid: 5\ndata: end";
        assert_eq!(data(events(), stream, true), ["1\n2", "3", "4", "end"]);
        assert_eq!(data(events(), stream, true), data(events(), stream, false));
        let items = b" [ {\"a\": [1, \"]\"]},\n{\"b\": 2} , 3, {\"c\"";
        assert_eq!(data(list(), items, true), ["{\"a\": [1, \"]\"]}", "{\"b\": 2}", "3", "{\"c\""]);
        assert_eq!(data(list(), items, true), data(list(), items, false));
    }
}
