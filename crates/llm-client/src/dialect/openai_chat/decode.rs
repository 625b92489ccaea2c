//! Whole bodies: the answer to a plain call, or to a streamed one that came in one piece.

use http::StatusCode;
use llm_types::{ChatResponse, Collector, Error, ErrorKind, StreamEvent};

use super::errors;
use super::stream::{StreamState, no_answer, tells_error};
use super::wire::Answer;
use crate::dialect::failure::{Failure, excerpt};
use crate::dialect::{WireTarget, json};
use crate::framing::SseDecoder;

/// Reads the body of a 200.
///
/// # Errors
/// The server's own error, where the body holds one; [`ErrorKind::Protocol`] where it holds no answer.
pub(crate) fn decode(body: &[u8], target: &WireTarget<'_>) -> Result<ChatResponse, Error> {
    let mut events = Vec::new();
    let result = decode_events(body, target, &mut events);
    let mut collector = Collector::new();
    events.into_iter().for_each(|event| collector.push(event));
    let response = collector.finish();
    match result {
        Ok(()) => Ok(response),
        Err(error) if response.choices.is_empty() => Err(error),
        // What came with the error is paid for.
        Err(error) => Err(error.with_partial(response)),
    }
}

/// [`decode`], as the events of a stream. Events that were given before an error are true.
pub(crate) fn decode_events(
    body: &[u8],
    target: &WireTarget<'_>,
    out: &mut Vec<StreamEvent>,
) -> Result<(), Error> {
    let (text, replaced) = json::text(body);
    match text.as_bytes().first() {
        None => return Err(Error::new(ErrorKind::Protocol, "the body is empty")),
        Some(b'{') => {}
        Some(b'[' | b'"') => return Err(failure(&text, target)),
        Some(_) if is_stream(&text) => return decode_stream(body, target, out),
        Some(_) => {
            // A text may be an answer, and answers do not stand in errors; the title of a page does.
            let page = text.starts_with('<').then(|| Failure::from_page(&text).message);
            let what = page.unwrap_or_else(|| "a text".to_owned());
            let message = format!("the body is not JSON but {}", excerpt(&what));
            return Err(Error::new(ErrorKind::Protocol, message));
        }
    }
    let mut scratch = String::new();
    let (answer, repaired) =
        json::parse::<Answer<'_>>(&text, &mut scratch).map_err(|error| json::broken("the body", &error))?;
    let failed = tells_error(&answer);
    if !failed && answer.choices.is_empty() {
        return Err(no_answer());
    }
    let state = StreamState::new(target);
    if failed {
        state.broken_off(answer, out);
        return Err(failure(&text, target));
    }
    state.whole(answer, replaced || repaired, out)
}

fn failure(text: &str, target: &WireTarget<'_>) -> Error {
    let failure = errors::parse(text).unwrap_or_else(|| Failure::from_page(text));
    failure.into_error(StatusCode::OK, target)
}

/// Some gateways stream whatever they were asked for.
fn is_stream(text: &str) -> bool {
    ["data:", "event:", ":", "id:", "retry:"].iter().any(|start| text.starts_with(start))
}

fn decode_stream(body: &[u8], target: &WireTarget<'_>, out: &mut Vec<StreamEvent>) -> Result<(), Error> {
    // The body was bounded when it was read.
    let mut decoder = SseDecoder::new(u64::MAX);
    let mut state = StreamState::new(target);
    let mut frames = decoder.feed(body);
    while let Some(frame) = frames.next()? {
        state.step(frame, out)?;
    }
    if let Some(frame) = decoder.finish()? {
        state.step(frame, out)?;
    }
    state.finish(out)
}
