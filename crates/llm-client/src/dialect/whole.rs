//! Bodies that came in one piece: what every format does with them alike.

use std::borrow::Cow;

use llm_types::{ChatResponse, Collector, Error, ErrorKind, StreamEvent};

use super::failure::{Failure, excerpt};
use super::{WireTarget, error_body, json};
use crate::framing::{SseDecoder, SseFrame};

/// The text of a body that came in one piece and is no stream.
pub(crate) struct Whole<'a> {
    /// As it came.
    pub(crate) bytes: &'a [u8],
    pub(crate) text: Cow<'a, str>,
    /// Whether bytes in it were replaced.
    pub(crate) replaced: bool,
}

impl<'a> Whole<'a> {
    /// `None`: the body is a stream all the same; some gateways stream whatever they were asked for.
    pub(crate) fn of(body: &'a [u8]) -> Option<Self> {
        let (text, replaced) = json::text(body);
        (!is_stream(&text)).then_some(Self { bytes: body, text, replaced })
    }

    /// Checks that it is a JSON object.
    ///
    /// # Errors
    /// The failure that a body of another shape tells of; [`ErrorKind::Protocol`] for one that is no JSON.
    pub(crate) fn is_object(&self, target: &WireTarget<'_>) -> Result<(), Error> {
        match self.text.as_bytes().first() {
            Some(b'{') => Ok(()),
            Some(b'[' | b'"') => Err(error_body::failure(&self.text, target)),
            _ => Err(not_json(&self.text)),
        }
    }
}

/// The answer that a reader's events add up to. What came before an error is paid for: it is the error's partial answer.
pub(crate) fn response(
    read: impl FnOnce(&mut Vec<StreamEvent>) -> Result<(), Error>,
) -> Result<ChatResponse, Error> {
    let mut events = Vec::new();
    match read(&mut events) {
        Ok(()) => Ok(collected(events)),
        Err(error) => Err(with_partial(error, events)),
    }
}

/// The error with what came before it, where any of that was said or counted.
pub(crate) fn with_partial(error: Error, events: Vec<StreamEvent>) -> Error {
    let partial = collected(events);
    if partial.choices.is_empty() && partial.usage.is_none() { error } else { error.with_partial(partial) }
}

fn collected(events: Vec<StreamEvent>) -> ChatResponse {
    let mut collector = Collector::new();
    events.into_iter().for_each(|event| collector.push(event));
    collector.finish()
}

/// Whether a body is a stream of events.
pub(crate) fn is_stream(text: &str) -> bool {
    ["data:", "event:", ":", "id:", "retry:"].iter().any(|start| text.starts_with(start))
}

/// Gives the frames of a stream that came whole. The body was bounded when it was read.
pub(crate) fn frames(
    body: &[u8],
    mut step: impl FnMut(SseFrame<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut decoder = SseDecoder::new(u64::MAX);
    let mut frames = decoder.feed(body);
    while let Some(frame) = frames.next()? {
        step(frame)?;
    }
    match decoder.finish()? {
        Some(frame) => step(frame),
        None => Ok(()),
    }
}

/// The error of a body that is neither JSON nor a stream. A text may be an answer, and answers do not stand in errors; the
/// title of a page does.
pub(crate) fn not_json(text: &str) -> Error {
    if text.is_empty() {
        return Error::new(ErrorKind::Protocol, "the body is empty");
    }
    let page = text.starts_with('<').then(|| Failure::from_page(text).message);
    let what = page.unwrap_or_else(|| "a text".to_owned());
    Error::new(ErrorKind::Protocol, format!("the body is not JSON but {}", excerpt(&what)))
}
