//! One line of the output, as it is written.

use std::borrow::Cow;
use std::time::Duration;

use llm_types::{ChatResponse, Error, Extra, Message, Part, Role, ToolCall, Usage, Warning};
use serde::{Serialize, Serializer};

use crate::key::Key;
use crate::parts::Parts;

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It was answered.
    Success,
    /// It failed; its error says why.
    Error,
    /// It was not asked: the run stopped before. Never stands in a file.
    Unrun,
}

/// What of the messages a record keeps as `input`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SaveInput {
    /// All messages as sent.
    #[default]
    Full,
    /// The text of the last user message.
    Last,
    /// Nothing (`null`). A resumed run finds its answers all the same.
    Nothing,
}

/// The row a record is about.
pub(crate) struct About<'a> {
    pub(crate) index: u64,
    pub(crate) key: Key,
    pub(crate) id: Option<&'a str>,
    pub(crate) metadata: &'a Extra,
    /// The messages as sent; empty for a row that could not be sent.
    pub(crate) messages: &'a [Message],
    pub(crate) parts: &'a Parts,
    pub(crate) save: SaveInput,
    /// All requests made for the row.
    pub(crate) attempts: u32,
    /// How long its last call took, without waiting for a free lane.
    pub(crate) latency: Option<Duration>,
}

/// The members of a record, by the names and in the order of the documentation.
#[derive(Serialize)]
struct Record<'a> {
    index: u64,
    status: Status,
    output: Option<&'a str>,
    input: InputJson<'a>,
    #[serde(serialize_with = "metadata")]
    metadata: &'a Extra,
    finish_reason: Option<&'static str>,
    model: Option<&'a str>,
    usage: Option<&'a Usage>,
    latency_ms: Option<u64>,
    attempts: u32,
    error: Option<&'a Error>,
    key: String,
    parts: &'a Parts,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<CallJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "<[Warning]>::is_empty")]
    warnings: &'a [Warning],
}

enum InputJson<'a> {
    Messages(&'a [Message]),
    Text(String),
    Nothing,
}

impl Serialize for InputJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Messages(messages) => messages.serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Nothing => serializer.serialize_none(),
        }
    }
}

#[derive(Serialize)]
struct CallJson<'a> {
    id: &'a str,
    name: &'a str,
    arguments: &'a str,
}

impl<'a> CallJson<'a> {
    fn of(call: &'a ToolCall) -> Self {
        Self { id: &call.id, name: &call.name, arguments: &call.arguments }
    }
}

fn metadata<S: Serializer>(members: &Extra, serializer: S) -> Result<S::Ok, S::Error> {
    if members.is_empty() { serializer.serialize_none() } else { members.serialize(serializer) }
}

/// Metadata as it stands in a record.
pub(crate) fn metadata_text(members: &Extra) -> String {
    if members.is_empty() { "null".to_owned() } else { serde_json::to_string(members).unwrap_or_default() }
}

/// What a record holds of an answer, whole or partial.
struct Answer<'a> {
    text: Cow<'a, str>,
    reasoning: String,
    refusal: Option<String>,
}

impl<'a> Answer<'a> {
    fn of(response: &'a ChatResponse) -> Self {
        let message = response.message();
        // Most answers are one text, which need not be copied.
        let text = match message.map(|message| message.parts.as_slice()) {
            Some([Part::Text { text, .. }]) => Cow::Borrowed(text.as_str()),
            Some(_) => Cow::Owned(response.text()),
            None => Cow::Borrowed(""),
        };
        Self { text, reasoning: response.reasoning(), refusal: response.refusal() }
    }
}

/// The line of an answered row, its line break included.
pub(crate) fn success(about: &About<'_>, response: &ChatResponse) -> Vec<u8> {
    write(about, Some(response), None)
}

/// The line of a failed row, its line break included. What was paid for all the same (usage, reasoning) is kept.
pub(crate) fn failure(about: &About<'_>, error: &Error) -> Vec<u8> {
    write(about, error.partial(), Some(error))
}

fn write(about: &About<'_>, response: Option<&ChatResponse>, error: Option<&Error>) -> Vec<u8> {
    let answer = response.map(Answer::of);
    let last_text = || {
        let last = about.messages.iter().rfind(|message| message.role == Role::User);
        last.map_or(InputJson::Nothing, |message| InputJson::Text(message.text()))
    };
    let record = Record {
        index: about.index,
        status: if error.is_some() { Status::Error } else { Status::Success },
        output: answer.as_ref().map(|answer| &*answer.text).filter(|_| error.is_none()),
        input: match about.save {
            _ if about.messages.is_empty() => InputJson::Nothing,
            SaveInput::Full => InputJson::Messages(about.messages),
            SaveInput::Last => last_text(),
            SaveInput::Nothing => InputJson::Nothing,
        },
        metadata: about.metadata,
        finish_reason: response.and_then(ChatResponse::finish_reason).map(llm_types::FinishReason::as_str),
        model: response.and_then(|response| response.model.as_deref()),
        usage: response.and_then(|response| response.usage.as_ref()),
        latency_ms: about.latency.map(millis),
        attempts: about.attempts,
        error,
        key: about.key.text(),
        parts: about.parts,
        id: about.id,
        reasoning: answer.as_ref().map(|answer| answer.reasoning.as_str()).filter(|text| !text.is_empty()),
        tool_calls: response.into_iter().flat_map(ChatResponse::tool_calls).map(CallJson::of).collect(),
        refusal: answer.as_ref().and_then(|answer| answer.refusal.as_deref()),
        warnings: response.map_or(&[], |response| &response.warnings),
    };
    let mut line = Vec::with_capacity(1024);
    if serde_json::to_writer(&mut line, &record).is_err() {
        // Nothing in a record can fail to serialise; should it ever, the row is asked again on the next run.
        line.clear();
        return line;
    }
    one_line(&mut line);
    line.push(b'\n');
    line
}

/// Values that are passed on as written may hold line breaks between their members. JSON allows them nowhere else, so
/// that a space does as well.
pub(crate) fn one_line(line: &mut [u8]) {
    if memchr::memchr2(b'\n', b'\r', line).is_some() {
        line.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
