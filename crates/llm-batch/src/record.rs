//! One line of the output: how it is written, what is read back of it, and how its place is changed.

use std::borrow::Cow;
use std::time::Duration;

use llm_types::{ChatResponse, Error, ErrorKind, Extra, Message, Part, Role, ToolCall, Usage, Warning};
use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::canon::Members;
use crate::parts::Parts;
use crate::row::Key;

/// Every record begins with this; a torn or foreign line is told by it.
pub(crate) const HEAD: &[u8] = b"{\"index\":";

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
fn one_line(line: &mut [u8]) {
    if memchr::memchr2(b'\n', b'\r', line).is_some() {
        line.iter_mut().filter(|byte| matches!(byte, b'\n' | b'\r')).for_each(|byte| *byte = b' ');
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What a resumed run needs to know of a stored record. Members it does not know are let pass.
#[derive(Deserialize)]
pub(crate) struct Stored<'a> {
    pub(crate) index: u64,
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(borrow, default)]
    metadata: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<StoredError<'a>>,
    #[serde(default)]
    attempts: u64,
    #[serde(borrow, default)]
    parts: Option<StoredParts<'a>>,
}

#[derive(Deserialize)]
struct StoredError<'a> {
    #[serde(borrow, default)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    phase: Option<Cow<'a, str>>,
    #[serde(default)]
    retryable: bool,
}

#[derive(Deserialize)]
struct StoredParts<'a> {
    #[serde(borrow, default)]
    model: Cow<'a, str>,
    #[serde(borrow, default)]
    system: Cow<'a, str>,
    #[serde(borrow, default)]
    parameters: Cow<'a, str>,
    #[serde(borrow, default)]
    schema: Cow<'a, str>,
}

impl<'a> Stored<'a> {
    /// Reads a line; `None` when it is no record of ours, or not whole.
    pub(crate) fn parse(line: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(line).ok()?;
        let stored: Self = serde_json::from_str(text).ok()?;
        matches!(&*stored.status, "success" | "error" | "cached").then_some(stored)
    }

    pub(crate) fn is_success(&self) -> bool {
        self.status != "error"
    }

    pub(crate) fn key(&self) -> Key {
        Key::parse(&self.key)
    }

    /// Whether asking again may help: by the kind that stands in the record, or by its own word where the kind is not
    /// known here.
    pub(crate) fn is_retryable(&self) -> bool {
        self.error.as_ref().is_none_or(|error| {
            ErrorKind::parse(&error.kind, error.phase.as_deref())
                .map_or(error.retryable, ErrorKind::is_retryable)
        })
    }

    /// The word of its error's kind.
    pub(crate) fn error_kind(&self) -> Option<&str> {
        self.error.as_ref().map(|error| &*error.kind)
    }

    /// A row that could not even be sent.
    pub(crate) fn is_bad_row(&self) -> bool {
        !self.is_success()
            && self.attempts == 0
            && self.error_kind() == Some(ErrorKind::InvalidRequest.as_str())
    }

    pub(crate) fn metadata(&self) -> &'a str {
        self.metadata.map_or("null", RawValue::get)
    }

    /// The four part hashes.
    pub(crate) fn parts(&self) -> [&str; 4] {
        self.parts
            .as_ref()
            .map_or([""; 4], |parts| [&*parts.model, &*parts.system, &*parts.parameters, &*parts.schema])
    }
}

/// The index at the head of a line that we wrote.
pub(crate) fn index_of(line: &[u8]) -> Option<u64> {
    let digits = line.strip_prefix(HEAD)?;
    let end = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(digits.get(..end)?).ok()?.parse().ok()
}

/// The same record at another place, and with other metadata where some is given. All else stays as it is written.
pub(crate) fn moved(line: &[u8], index: u64, metadata: Option<&str>) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(line).ok()?;
    let Members(members) = serde_json::from_str(text).ok()?;
    let mut moved = Vec::with_capacity(line.len() + 16);
    for (name, value) in members {
        moved.push(if moved.is_empty() { b'{' } else { b',' });
        serde_json::to_writer(&mut moved, &*name).ok()?;
        moved.push(b':');
        match (&*name, metadata) {
            ("index", _) => moved.extend_from_slice(index.to_string().as_bytes()),
            ("metadata", Some(metadata)) => moved.extend_from_slice(metadata.as_bytes()),
            _ => moved.extend_from_slice(value.get().as_bytes()),
        }
    }
    moved.push(b'}');
    one_line(&mut moved);
    moved.push(b'\n');
    Some(moved)
}

#[cfg(test)]
mod tests {
    use super::*;
    use llm_types::{Choice, FinishReason, Totals, UsageSource};

    pub(crate) fn response(parts: Vec<Part>) -> ChatResponse {
        let mut choice = Choice::new(0);
        choice.message.parts = parts;
        choice.finish_reason = Some(FinishReason::Stop);
        let totals = Totals { input: 3, output: 4, ..Totals::default() };
        ChatResponse {
            model: Some("m-1".into()),
            choices: vec![choice],
            usage: Some(Usage::from_totals(totals, UsageSource::Reported)),
            ..ChatResponse::default()
        }
    }

    fn parts() -> Parts {
        let [model, system, parameters, schema] = ["a", "b", "c", "d"].map(str::to_owned);
        Parts { model, system, parameters, schema }
    }

    fn about<'a>(messages: &'a [Message], metadata: &'a Extra, parts: &'a Parts) -> About<'a> {
        About {
            index: 5,
            key: Key(1),
            id: None,
            metadata,
            messages,
            parts,
            save: SaveInput::Full,
            attempts: 2,
            latency: Some(Duration::from_millis(12)),
        }
    }

    fn text(line: Vec<u8>) -> String {
        String::from_utf8(line).unwrap()
    }

    #[test]
    fn a_success_has_the_documented_members_in_their_order() {
        let metadata = Extra::parse(r#"{"id":"001","x":1.50}"#).unwrap();
        let line = text(success(
            &about(&[Message::user("q")], &metadata, &parts()),
            &response(vec![Part::text("hé \"x\"\n")]),
        ));
        assert_eq!(
            line,
            concat!(
                r#"{"index":5,"status":"success","output":"hé \"x\"\n","input":[{"role":"user","content":"q"}],"#,
                r#""metadata":{"id":"001","x":1.50},"finish_reason":"stop","model":"m-1","#,
                r#""usage":{"input_tokens":3,"output_tokens":4,"source":"reported"},"latency_ms":12,"attempts":2,"#,
                r#""error":null,"key":"1:00000000000000000000000000000001","#,
                r#""parts":{"model":"a","system":"b","parameters":"c","schema":"d"}}"#,
                "\n"
            )
        );
    }

    #[test]
    fn members_that_are_only_sometimes_there_follow() {
        let call = ToolCall {
            id: "c1".into(),
            name: "f".into(),
            arguments: "{\"a\":1".into(),
            ..ToolCall::default()
        };
        let mut answer = response(vec![
            Part::Reasoning(llm_types::Reasoning::text("thought")),
            Part::Refusal { text: "no".into() },
            Part::ToolCall(call),
        ]);
        answer.warnings.push(Warning::new("seed", "not sent"));
        let (metadata, parts) = (Extra::new(), parts());
        let messages = [Message::user("q")];
        let about = About { id: Some("r-1"), ..about(&messages, &metadata, &parts) };
        let line = text(success(&about, &answer));
        assert!(line.contains(r#""output":"","#) && line.contains(r#""metadata":null,"#));
        assert!(line.ends_with(concat!(
            r#""schema":"d"},"id":"r-1","reasoning":"thought","tool_calls":[{"id":"c1","name":"f","arguments":"{\"a\":1"}],"#,
            r#""refusal":"no","warnings":[{"about":"seed","message":"not sent"}]}"#,
            "\n"
        )));
    }

    #[test]
    fn a_failure_keeps_what_was_paid_but_no_output() {
        let error = Error::new(ErrorKind::Protocol, "empty").with_partial(response(vec![Part::text("half")]));
        let (metadata, parts) = (Extra::new(), parts());
        let line = text(failure(&about(&[Message::user("q")], &metadata, &parts), &error));
        assert!(line.starts_with(r#"{"index":5,"status":"error","output":null,"#));
        assert!(line.contains(r#""input_tokens":3"#) && line.contains(r#""kind":"protocol""#));
        assert!(!line.contains("half"));
    }

    #[test]
    fn what_is_kept_of_the_input_can_be_chosen() {
        let (metadata, parts) = (Extra::new(), parts());
        let messages = [Message::system("s"), Message::user("q"), Message::assistant("a")];
        for (save, expected) in
            [(SaveInput::Last, r#""input":"q","#), (SaveInput::Nothing, r#""input":null,"#)]
        {
            let line =
                text(success(&About { save, ..about(&messages, &metadata, &parts) }, &response(vec![])));
            assert!(line.contains(expected), "{line}");
        }
    }

    #[test]
    fn line_breaks_inside_values_passed_on_as_written_do_not_break_the_line() {
        let metadata = Extra::parse("{\"x\":{\n  \"a\":\r\n 1}}").unwrap();
        let parts = parts();
        let line = text(success(
            &about(&[Message::user("q\n")], &metadata, &parts),
            &response(vec![Part::text("a")]),
        ));
        assert_eq!(line.matches('\n').count(), 1);
        assert!(!line.contains('\r') && line.contains(r#""content":"q\n""#));
        serde_json::from_str::<serde_json::Value>(&line).unwrap();
    }

    #[test]
    fn a_record_reads_back_and_tells_what_may_be_tried_again() {
        let (metadata, parts) = (Extra::parse(r#"{"a":1}"#).unwrap(), parts());
        let messages = [Message::user("q")];
        let about = about(&messages, &metadata, &parts);
        let line = success(&about, &response(vec![Part::text("x")]));
        let stored = Stored::parse(&line).unwrap();
        assert!(stored.is_success());
        assert_eq!((stored.index, stored.key(), stored.metadata()), (5, Key(1), r#"{"a":1}"#));
        assert_eq!(stored.parts(), ["a", "b", "c", "d"]);
        for (kind, retryable) in [
            (ErrorKind::RateLimited, true),
            (ErrorKind::Timeout(llm_types::Phase::Call), true),
            (ErrorKind::InvalidRequest, false),
        ] {
            let line = failure(&about, &Error::new(kind, "x"));
            let stored = Stored::parse(&line).unwrap();
            assert_eq!((stored.is_success(), stored.is_retryable()), (false, retryable));
            assert_eq!(stored.error_kind(), Some(kind.as_str()));
        }
        let later = r#"{"index":1,"status":"cached","key":"2:x","error":{"kind":"new_kind","retryable":true},"new":[1]}"#;
        assert!(Stored::parse(later.as_bytes()).unwrap().is_retryable());
        for foreign in [
            r#"{"index":0,"output":"x","status":"success","input":[]}"#,
            r#"{"index":-1,"status":"success","key":"1:0"}"#,
            r#"{"index":1,"status":"done","key":"1:0"}"#,
            "{}",
            "[]",
            "null",
            "",
        ] {
            assert!(Stored::parse(foreign.as_bytes()).is_none(), "{foreign}");
        }
    }

    #[test]
    fn a_record_moves_without_losing_anything() {
        let line = br#"{"index":5,"status":"success","new":{"a":1e2},"metadata":null,"key":"1:0"}"#;
        assert_eq!(index_of(line), Some(5));
        let moved = text(moved(line, 12, Some(r#"{"b":1}"#)).unwrap());
        assert_eq!(
            moved,
            "{\"index\":12,\"status\":\"success\",\"new\":{\"a\":1e2},\"metadata\":{\"b\":1},\"key\":\"1:0\"}\n"
        );
        assert_eq!(index_of(b"{\"index\":"), None);
    }
}
