//! Whole bodies: the answer to a plain call, or to a streamed one that came in one piece.

use http::StatusCode;
use llm_types::{Error, StreamEvent};

use super::errors;
use super::stream::StreamState;
use super::wire::Answer;
use crate::dialect::whole::{Whole, not_json};
use crate::dialect::{WireTarget, json};

/// Reads the body of a 200, as the events of a stream. Events that were given before an error are true.
///
/// # Errors
/// The server's own error, where the body holds one; `ContentFilter` where the prompt was refused; `Protocol`
/// where the body holds no answer.
pub(crate) fn decode_events(
    whole: &Whole<'_>,
    target: &WireTarget<'_>,
    out: &mut Vec<StreamEvent>,
) -> Result<(), Error> {
    let Whole { bytes, text, replaced } = whole;
    match text.as_bytes().first() {
        Some(b'{') => {
            let mut scratch = String::new();
            let mut answer = Answer::default();
            let repaired = json::parse_into(&mut answer, text, &mut scratch)
                .map_err(|error| json::broken("the body", &error))?;
            StreamState::new(target).whole(&mut answer, text, *replaced || repaired, out)
        }
        Some(b'[') => {
            let mut state = StreamState::new(target);
            state.list(bytes, out)?;
            state.finish(out)
        }
        Some(b'"') => Err(errors::error_of(text, StatusCode::OK, target)),
        _ => Err(not_json(text)),
    }
}
