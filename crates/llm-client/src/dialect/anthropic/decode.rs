//! Whole bodies: the answer to a plain call, or to a streamed one that came in one piece.

use llm_types::{Error, StreamEvent};

use super::stream::{StreamState, holds_answer, is_there, no_answer};
use super::wire::Message;
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
    let (message, repaired) =
        json::parse::<Message<'_>>(text, &mut scratch).map_err(|error| json::broken("the body", &error))?;
    if message.kind.as_str() == "error" || is_there(message.error) {
        return Err(error_body::failure(text, target));
    }
    if !holds_answer(&message) {
        // Gateways have shapes of their own for errors.
        let failure = error_body::parse(text).filter(|failure| !failure.message.is_empty());
        return Err(
            failure.map_or_else(no_answer, |failure| failure.into_error(http::StatusCode::OK, target))
        );
    }
    StreamState::new(target).whole(message, *replaced || repaired, out)
}
