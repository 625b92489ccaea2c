//! Failures as JSON, in the many shapes that servers and gateways give them.

use http::StatusCode;
use llm_types::Error;

use super::WireTarget;
use super::failure::Failure;
use super::json::{self, Few, Raw, Text, wire};

wire! {
    /// An error, or what holds one. Members that may repeat the prompt or the answer are not read.
    struct Body {
        error: Raw<'a> = "error",
        errors: Few<Raw<'a>, 1> = "errors",
        detail: Raw<'a> = "detail",
        message: Raw<'a> = "message",
        msg: Text<'a> = "msg",
        kind: Text<'a> = "type",
        code: Text<'a> = "code",
        status: Text<'a> = "status",
        status_code: Text<'a> = "status_code",
        raw_status_code: Text<'a> = "raw_status_code",
        param: Text<'a> = "param",
        details: Raw<'a> = "details",
        inner: Inner<'a> = "innererror",
        loc: Few<Text<'a>, 1> = "loc",
        request_id: Text<'a> = "request_id",
    }

    /// The cause of an error.
    struct Inner {
        code: Text<'a> = "code",
    }

    /// More of an error, in words of the server's own.
    struct Details {
        error_code: Text<'a> = "error_code",
    }
}

/// The error in the body of an answer that came under this status.
pub(crate) fn error_of(text: &str, status: StatusCode, target: &WireTarget<'_>) -> Error {
    parse(text).unwrap_or_else(|| Failure::from_page(text)).into_error(status, target)
}

/// The error of a body that came under a good status.
pub(crate) fn failure(text: &str, target: &WireTarget<'_>) -> Error {
    error_of(text, StatusCode::OK, target)
}

/// Reads a failure from JSON of any known shape; `None` for what is no JSON.
pub(crate) fn parse(text: &str) -> Option<Failure> {
    let mut scratch = String::new();
    let (raw, _) = json::parse::<Raw<'_>>(text, &mut scratch).ok()?;
    let mut failure = Failure::default();
    read(raw, &mut failure, 0);
    if failure.message.is_empty() {
        // `type` and `code` are all that some servers say.
        failure.message = failure.codes.join(", ");
    }
    Some(failure)
}

/// Takes what a value says, envelopes first. No known shape nests them more than twice.
fn read(raw: Raw<'_>, failure: &mut Failure, depth: u8) {
    let json = raw.json();
    match json.as_bytes().first() {
        Some(b'{') if depth < 4 => {
            let (mut scratch, mut repaired) = (String::new(), false);
            if let Some(body) = raw.read::<Body<'_>>(&mut scratch, &mut repaired) {
                read_object(body, failure, depth);
            }
        }
        Some(b'[') if depth < 4 => {
            let Ok(items) = serde_json::from_str::<Few<Raw<'_>, 1>>(json) else { return };
            items.into_iter().take(3).for_each(|item| read(item, failure, depth + 1));
        }
        Some(b'"') => say(failure, &raw.to_text(&mut false).unwrap_or_default()),
        _ => {}
    }
}

fn read_object(body: Body<'_>, failure: &mut Failure, depth: u8) {
    // What lies inside tells more than what stands beside it.
    for inner in [body.error, body.detail].into_iter().chain(body.errors) {
        read(inner, failure, depth + 1);
    }
    // `message` may be a text, or once more an object.
    if let Some(message) = body.message.some() {
        match message.get().as_bytes().first() {
            Some(b'"') => say(failure, &body.message.to_text(&mut false).unwrap_or_default()),
            _ => read(body.message, failure, depth + 1),
        }
    }
    if !body.msg.as_str().is_empty() {
        let place: Vec<&str> = body.loc.iter().map(Text::as_str).collect();
        let place = if place.is_empty() { String::new() } else { format!("{}: ", place.join(".")) };
        say(failure, &format!("{place}{}", body.msg.as_str()));
    }
    let statuses = [&body.status_code, &body.raw_status_code, &body.status, &body.code];
    let number =
        statuses.into_iter().find_map(|text| text.as_str().parse().ok().filter(|n| (400..600).contains(n)));
    failure.status = failure.status.or(number);
    let mut scratch = String::new();
    if let Some(details) = body.details.read::<Details<'_>>(&mut scratch, &mut false) {
        failure.code(details.error_code.as_str());
    }
    failure.code(body.code.as_str());
    failure.code(body.inner.code.as_str());
    failure.code(body.kind.as_str());
    if failure.request_id.is_none() {
        failure.request_id = body.request_id.owned();
    }
}

/// Adds to the words of a failure.
fn say(failure: &mut Failure, words: &str) {
    if words.is_empty() || failure.message.contains(words) {
        return;
    }
    if !failure.message.is_empty() {
        failure.message.push_str("; ");
    }
    failure.message.push_str(words);
}

#[cfg(test)]
mod tests;
