//! Script files: one JSON reply a line.

use std::{collections::BTreeMap, fmt, time::Duration};

use bytes::Bytes;
use serde::{
    Deserialize,
    de::{Deserializer, MapAccess, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use crate::{
    MockError,
    fault::{Fault, Framing, millis},
    script::{Content, Ending, Reply, ToolCall, UsageField},
};

/// A line as written. Its field names are the allowed keys, and the message for an unknown key lists them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    status: Option<u16>,
    #[serde(default)]
    headers: Headers,
    text: Option<String>,
    #[serde(default, deserialize_with = "as_written")]
    body: Option<Box<RawValue>>,
    sse: Option<String>,
    raw: Option<String>,
    #[serde(default)]
    tool_calls: Vec<Call>,
    reasoning: Option<String>,
    redacted_reasoning: Option<String>,
    signature: Option<String>,
    cached: Option<(u64, u64)>,
    refusal: Option<String>,
    finish_reason: Option<String>,
    #[serde(default, deserialize_with = "as_written")]
    usage: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "millis")]
    delay_ms: Option<Duration>,
    #[serde(default, deserialize_with = "millis")]
    first_token_ms: Option<Duration>,
    tokens_per_sec: Option<f64>,
    cut_at: Option<usize>,
    stall_at: Option<usize>,
    reset_at: Option<usize>,
    #[serde(default)]
    no_end: bool,
    stream_error: Option<u16>,
    #[serde(default)]
    close: bool,
    framing: Option<Framing>,
    fault: Option<Fault>,
    times: Option<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Call {
    id: Option<String>,
    name: String,
    #[serde(default, deserialize_with = "as_written")]
    arguments: Option<Box<RawValue>>,
}

/// Keeps `null` apart from an absent key.
fn as_written<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Box<RawValue>>, D::Error> {
    Box::<RawValue>::deserialize(from).map(Some)
}

#[derive(Default)]
struct Headers(Vec<(String, String)>);

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = Headers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object of header names and values, or an array of [name, value] pairs")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Headers, A::Error> {
                let mut headers = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    headers.push(pair);
                }
                Ok(Headers(headers))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Headers, A::Error> {
                let mut headers = Vec::new();
                while let Some(pair) = seq.next_element()? {
                    headers.push(pair);
                }
                Ok(Headers(headers))
            }
        }
        from.deserialize_any(Either)
    }
}

pub(crate) fn parse(text: &str) -> Result<Vec<Reply>, MockError> {
    let lines = text.strip_prefix('\u{feff}').unwrap_or(text).lines().enumerate();
    lines
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(at, line)| {
            serde_json::from_str::<Line>(line)
                .map_err(|error| spoken(&error))
                .and_then(Line::into_reply)
                .map_err(|message| MockError::Script { line: at + 1, message })
        })
        .collect()
}

/// The parser's message with only the column: its line is always 1 and would mislead.
fn spoken(error: &serde_json::Error) -> String {
    let whole = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    match whole.strip_suffix(&place) {
        Some(message) => format!("{message} (column {})", error.column()),
        None => whole,
    }
}

impl Line {
    fn into_reply(self) -> Result<Reply, String> {
        let mut contents = Vec::new();
        contents.extend(self.text.map(|text| ("text", Content::Text(text))));
        contents.extend(self.body.map(|body| ("body", Content::Body(verbatim(&body)))));
        contents.extend(self.sse.map(|sse| ("sse", Content::Sse(sse.into()))));
        contents.extend(self.raw.map(|raw| ("raw", Content::Raw(raw.into()))));
        let silent = !self.tool_calls.is_empty() || self.refusal.is_some();
        let (name, content) = at_most_one(contents)?.unwrap_or(if silent {
            ("tool_calls", Content::Silent)
        } else {
            ("echo", Content::Echo)
        });

        let mut endings = Vec::new();
        endings.extend(self.cut_at.map(|at| ("cut_at", Ending::Cut(at))));
        endings.extend(self.stall_at.map(|at| ("stall_at", Ending::Stall(at))));
        endings.extend(self.reset_at.map(|at| ("reset_at", Ending::Reset(at))));
        let ending = at_most_one(endings)?.map_or(Ending::Whole, |(_, ending)| ending);

        // A key that could have no effect is a mistake of the script's writer.
        let generated = !matches!(content, Content::Body(_) | Content::Sse(_) | Content::Raw(_));
        let idle = BTreeMap::from([
            ("tool_calls", !generated && !self.tool_calls.is_empty()),
            ("reasoning", !generated && self.reasoning.is_some()),
            ("redacted_reasoning", !generated && self.redacted_reasoning.is_some()),
            ("signature", !generated && self.signature.is_some()),
            ("cached", !generated && self.cached.is_some()),
            ("refusal", !generated && self.refusal.is_some()),
            ("finish_reason", !generated && self.finish_reason.is_some()),
            ("usage", !generated && self.usage.is_some()),
            ("stream_error", !generated && self.stream_error.is_some()),
            ("no_end", !generated && self.no_end),
            ("tokens_per_sec", !generated && name != "sse" && self.tokens_per_sec.is_some()),
            ("status", name == "raw" && self.status.is_some()),
            ("headers", name == "raw" && !self.headers.0.is_empty()),
            ("framing", name == "raw" && self.framing.is_some()),
        ]);
        if let Some((key, _)) = idle.into_iter().find(|(_, idle)| *idle) {
            return Err(format!("`{key}` has no effect on a reply with `{name}`"));
        }
        if let Some(status) = self.status.filter(|status| !(200..=999).contains(status)) {
            return Err(format!("`status`: {status} is not within 200 to 999"));
        }
        if let Some(status) = self.stream_error.filter(|status| !(400..=999).contains(status)) {
            return Err(format!("`stream_error`: {status} is not within 400 to 999"));
        }
        if let Some(pace) = self.tokens_per_sec.filter(|pace| *pace <= 0.0) {
            return Err(format!("`tokens_per_sec`: {pace} is not above 0"));
        }
        if self.times == Some(0) {
            return Err("`times`: 0 would never answer; the least is 1".to_owned());
        }

        let usage = match self.usage {
            None => UsageField::Counted,
            Some(json) if json.get() == "null" => UsageField::Absent,
            Some(json) => UsageField::Json(json.get().to_owned()),
        };
        let tool_calls = self.tool_calls.into_iter().enumerate().map(|(at, call)| ToolCall {
            id: call.id.unwrap_or_else(|| format!("call_{at}")),
            name: call.name,
            arguments: call.arguments.map_or_else(String::new, |json| {
                serde_json::from_str(json.get()).unwrap_or_else(|_| json.get().to_owned())
            }),
        });
        Ok(Reply {
            status: self.status.unwrap_or(200),
            content,
            headers: self.headers.0,
            tool_calls: tool_calls.collect(),
            reasoning: self.reasoning,
            redacted: self.redacted_reasoning,
            signature: self.signature,
            cached: self.cached.unwrap_or_default(),
            refusal: self.refusal,
            finish_reason: self.finish_reason,
            usage,
            delay: self.delay_ms,
            first_token: self.first_token_ms,
            tokens_per_sec: self.tokens_per_sec,
            ending,
            no_end: self.no_end,
            stream_error: self.stream_error,
            framing: self.framing,
            close: self.close,
            fault: self.fault,
            times: self.times.unwrap_or(1),
        })
    }
}

/// A JSON string's own text, or other JSON as it was written.
fn verbatim(json: &RawValue) -> Bytes {
    match serde_json::from_str::<String>(json.get()) {
        Ok(text) => text.into(),
        Err(_) => json.get().to_owned().into(),
    }
}

fn at_most_one<T>(mut given: Vec<(&'static str, T)>) -> Result<Option<(&'static str, T)>, String> {
    if let [(first, _), (second, _), ..] = given.as_slice() {
        return Err(format!("`{first}` and `{second}` exclude each other"));
    }
    Ok(given.pop())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(line: &str) -> Reply {
        parse(line).unwrap().pop().unwrap()
    }

    fn refusal(text: &str) -> String {
        parse(text).unwrap_err().to_string()
    }

    #[test]
    fn every_key_reaches_the_reply() {
        let reply = one(
            r#"{"status":201,"headers":[["a","1"],["a","2"]],"text":"hi","tool_calls":[{"name":"f","arguments":{"x": 1}},
            {"id":"b","name":"g","arguments":"{bro"}],"reasoning":"r","redacted_reasoning":"s","signature":"t","cached":[4,5],"refusal":"no","finish_reason":"length","usage":{"n": 1},
            "delay_ms":5,"first_token_ms":6,"tokens_per_sec":2.5,"cut_at":7,"no_end":true,"stream_error":529,"close":true,"framing":"close",
            "fault":{"huge_head":300000},"times":3}"#
                .replace('\n', "")
                .as_str(),
        );
        assert_eq!((reply.status, reply.times, reply.no_end, reply.close), (201, 3, true, true));
        assert_eq!(reply.headers, [("a".to_owned(), "1".to_owned()), ("a".to_owned(), "2".to_owned())]);
        assert_eq!(reply.content, Content::Text("hi".to_owned()));
        assert_eq!(
            reply.tool_calls,
            [ToolCall::new("call_0", "f", r#"{"x": 1}"#), ToolCall::new("b", "g", "{bro")]
        );
        assert_eq!((reply.reasoning.as_deref(), reply.refusal.as_deref()), (Some("r"), Some("no")));
        assert_eq!((reply.redacted.as_deref(), reply.signature.as_deref()), (Some("s"), Some("t")));
        assert_eq!((reply.cached, reply.stream_error), ((4, 5), Some(529)));
        assert_eq!((reply.finish_reason.as_deref(), reply.tokens_per_sec), (Some("length"), Some(2.5)));
        assert_eq!(reply.usage, UsageField::Json(r#"{"n": 1}"#.to_owned()));
        assert_eq!(
            reply.delay.zip(reply.first_token).map(|(a, b)| (a.as_millis(), b.as_millis())),
            Some((5, 6))
        );
        assert_eq!((reply.ending, reply.framing), (Ending::Cut(7), Some(Framing::Close)));
        assert_eq!(reply.fault, Some(Fault::HugeHead(300_000)));
    }

    #[test]
    fn an_unknown_key_is_refused_with_its_line_and_the_allowed_names() {
        let message = refusal("{\"status\":200}\n\n{\"statsu\":200}");
        assert!(
            message.starts_with("line 3: unknown field `statsu`, expected one of `status`, `headers`"),
            "{message}"
        );
        assert!(message.contains("`stall_at`") && message.ends_with("(column 9)"), "{message}");
    }

    #[test]
    fn a_body_is_sent_as_written() {
        let body = |line| match one(line).content {
            Content::Body(body) => String::from_utf8(body.to_vec()).unwrap(),
            other => panic!("{other:?}"),
        };
        assert_eq!(body(r#"{"body":{"b": 1e400,"a":[ ]}}"#), r#"{"b": 1e400,"a":[ ]}"#);
        assert_eq!(body(r#"{"body":"<html>\n"}"#), "<html>\n");
        assert_eq!(body(r#"{"body":null}"#), "null");
    }

    #[test]
    fn an_empty_object_echoes_and_null_usage_is_none() {
        assert_eq!(one("{}").content, Content::Echo);
        assert_eq!(one(r#"{"usage":null}"#).usage, UsageField::Absent);
        assert_eq!(one(r#"{"headers":{"x":"y"}}"#).headers, [("x".to_owned(), "y".to_owned())]);
        assert_eq!(one("\u{feff}{\"fault\":\"reset\"}").fault, Some(Fault::Reset));
    }

    #[test]
    fn what_contradicts_itself_or_has_no_effect_is_refused() {
        assert_eq!(refusal(r#"{"text":"a","body":"b"}"#), "line 1: `text` and `body` exclude each other");
        assert_eq!(
            refusal(r#"{"cut_at":1,"stall_at":2}"#),
            "line 1: `cut_at` and `stall_at` exclude each other"
        );
        assert_eq!(
            refusal(r#"{"body":"b","no_end":true}"#),
            "line 1: `no_end` has no effect on a reply with `body`"
        );
        assert_eq!(refusal(r#"{"tokens_per_sec":0}"#), "line 1: `tokens_per_sec`: 0 is not above 0");
        assert_eq!(refusal(r#"{"status":99}"#), "line 1: `status`: 99 is not within 200 to 999");
        assert!(refusal(r#"{"times":0}"#).contains("the least is 1"));
        assert!(refusal("[1]").starts_with("line 1: "), "{}", refusal("[1]"));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,40}|[{}\":a-z_0-9,\\[\\]]{0,60}") {
            let _ = parse(&text);
        }
    }
}
