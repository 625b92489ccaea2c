//! Bodies of real servers, and their imitations, through the whole of a dialect.

use llm_types::{ChatResponse, Collector, Error, StreamEvent};

use super::{Dialect, Quirks, WireTarget};
use crate::framing::SseDecoder;

mod recorded;

const DIALECT: Dialect = Dialect::OpenAiChat;
const TARGET: WireTarget<'static> =
    WireTarget { model: "some-model", quirks: &Quirks::NONE, origin: Some("us") };

/// Feeds a streamed body in pieces and gives its events, and the error it ends in.
fn stream<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    target: &WireTarget<'_>,
) -> (Vec<StreamEvent>, Result<(), Error>) {
    let mut events = Vec::new();
    let result = stream_into(pieces, target, &mut events);
    (events, result)
}

fn stream_into<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    target: &WireTarget<'_>,
    out: &mut Vec<StreamEvent>,
) -> Result<(), Error> {
    let mut decoder = SseDecoder::new(1 << 20);
    let mut state = DIALECT.stream(target);
    for piece in pieces {
        let mut frames = decoder.feed(piece);
        while let Some(frame) = frames.next()? {
            state.step(frame, out)?;
        }
    }
    if let Some(frame) = decoder.finish()? {
        state.step(frame, out)?;
    }
    state.finish(out)
}

fn collect(events: Vec<StreamEvent>) -> ChatResponse {
    let mut collector = Collector::new();
    events.into_iter().for_each(|event| collector.push(event));
    collector.finish()
}
