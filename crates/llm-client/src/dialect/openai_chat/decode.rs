//! Whole bodies: the answer to a plain call, or to a streamed one that came in one piece.

use http::StatusCode;
use llm_types::{Error, StreamEvent};

use super::stream::{StreamState, no_answer, tells_error};
use super::wire::Answer;
use crate::dialect::{WireTarget, error_body, json, whole::Whole};

/// Reads the body of a 200, as the events of a stream. Events that were given before an error are true.
///
/// # Errors
/// The server's own error, where the body holds one; [`Protocol`](llm_types::ErrorKind::Protocol) where it holds no
/// answer.
pub(crate) fn decode_events(
    whole: &Whole<'_>,
    target: &WireTarget<'_>,
    out: &mut Vec<StreamEvent>,
) -> Result<(), Error> {
    whole.is_object(target)?;
    let Whole { text, replaced, .. } = whole;
    let mut scratch = String::new();
    let mut answer = Answer::default();
    let repaired = json::parse_into(&mut answer, text, &mut scratch)
        .map_err(|error| json::broken("the body", &error))?;
    let failed = tells_error(&answer);
    if !failed && answer.choices.is_empty() {
        // A status inside tells a failure of a shape of the server's own.
        let told = error_body::parse(text).filter(|failure| failure.status.is_some());
        return Err(told.map_or_else(no_answer, |failure| failure.into_error(StatusCode::OK, target)));
    }
    let state = StreamState::new(target);
    if failed {
        state.broken_off(&mut answer, out);
        return Err(error_body::failure(text, target));
    }
    state.whole(&mut answer, *replaced || repaired, out)
}
