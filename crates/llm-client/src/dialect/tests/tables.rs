//! Statements of a protocol as tables: a request and the members it must have, bytes and what they say.

use llm_types::{ChatRequest, FinishReason};
use serde_json::Value;

use super::*;

/// `(request, members of the body, warnings)`. The request is in the shape of users' files; without messages it says hi. A
/// member that is null must not be there.
pub(super) type Asked = (&'static str, &'static str, &'static [&'static str]);

/// The request of a row.
pub(super) fn request(json: &str) -> ChatRequest {
    let mut request = ChatRequest::from_openai_json(json).unwrap_or_else(|error| panic!("{json}: {error}")).0;
    if request.messages.is_empty() {
        request.messages = ChatRequest::user("hi").messages;
    }
    request
}

/// Checks that each request is written as its row says, and that strictness makes an error of each warning.
pub(super) fn are_written(dialect: Dialect, target: &WireTarget<'_>, rows: &[Asked]) {
    for (json, members, warnings) in rows {
        let mut asked = request(json);
        let sent =
            dialect.encode_chat(&asked, target, false).unwrap_or_else(|error| panic!("{json}: {error}"));
        let body: Value = serde_json::from_slice(&sent.body).unwrap();
        let expected: Value =
            serde_json::from_str(members).unwrap_or_else(|error| panic!("{members}: {error}"));
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(body.get(name).unwrap_or(&Value::Null), value, "{name} of {json}");
        }
        let about: Vec<&str> = sent.warnings.iter().map(|warning| warning.about.as_str()).collect();
        assert_eq!(about, *warnings, "{json}");
        asked.strict = true;
        let strict = dialect.encode_chat(&asked, target, false).map_err(|error| error.kind());
        let expected = if warnings.is_empty() { None } else { Some(ErrorKind::InvalidRequest) };
        assert_eq!(strict.err(), expected, "{json} under strictness");
    }
}

/// An answer in a line. The ids that we made up end in a letter each, in their order.
pub(super) fn line(response: &ChatResponse) -> String {
    let made = |id: &str| {
        let digits = ["call_", "toolu_"].iter().find_map(|start| id.strip_prefix(start));
        digits.is_some_and(|digits| {
            digits.len() == 9 && digits.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
    };
    let mut line = shape(response).trim_end().replace('\n', " | ");
    let mut letters = 'A'..='Z';
    for call in response.tool_calls().filter(|call| made(&call.id)) {
        let short = format!("{}_{}", call.id.split('_').next().unwrap(), letters.next().unwrap());
        line = line.replace(&call.id, &short);
    }
    line
}

/// `(bytes, what they say)`: an answer in a line, with the error that it ends in.
pub(super) type Said = (&'static str, &'static str);

/// Reads a body in one piece, and a stream at every cut.
pub(super) fn said(dialect: Dialect, target: &WireTarget<'_>, body: &[u8]) -> String {
    let streamed = whole::is_stream(&json::text(body).0);
    let (response, error) = if streamed {
        let name = String::from_utf8_lossy(body);
        reads_the_same_at_every_cut(dialect, target, &name, body, 120);
        let (events, result) = stream_in(dialect, [body], target);
        (collect(events), result.err())
    } else {
        match dialect.decode_chat(body, target) {
            Ok(response) => (response, None),
            Err(error) => (error.partial().cloned().unwrap_or_default(), Some(error)),
        }
    };
    let end = error.map(|error| format!(" | {:?}: {}", error.kind(), error.message())).unwrap_or_default();
    line(&response) + &end
}

/// Checks what bodies say.
pub(super) fn are_read(dialect: Dialect, target: &WireTarget<'_>, rows: &[Said]) {
    for (body, expected) in rows {
        assert_eq!(said(dialect, target, body.as_bytes()), *expected, "{body}");
    }
}

/// A stream of events without names.
pub(super) fn events<S: AsRef<str>>(data: &[S]) -> String {
    data.iter().map(|data| format!("data: {}\n\n", data.as_ref())).collect()
}

/// Checks the reason to stop.
pub(super) fn stops(response: &ChatResponse, reason: FinishReason) {
    assert_eq!(response.finish_reason(), Some(reason), "{}", line(response));
}
