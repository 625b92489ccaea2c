//! The parts of a chat request the mock looks at, borrowed from the body as far as possible.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize,
    de::{Deserializer, IgnoredAny, SeqAccess, Visitor},
};

use super::errors::Problem;
use crate::{
    json::{OneOrMany, Text},
    text::tokens,
};

/// A checked request.
#[derive(Debug)]
pub(crate) struct ChatCall<'a> {
    pub(crate) model: Cow<'a, str>,
    /// The last user message's text; parts are joined as they stand. Without a user message, the last message's.
    pub(crate) user_text: Cow<'a, str>,
    pub(crate) prompt_tokens: u64,
    pub(crate) stream: bool,
    pub(crate) include_usage: bool,
    /// Choices asked for.
    pub(crate) choices: u32,
    pub(crate) max_tokens: Option<u64>,
    pub(crate) stop: Vec<Cow<'a, str>>,
}

/// More choices than this would only serve to fill memory.
const MOST_CHOICES: u32 = 128;

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow, default)]
    model: Option<Text<'a>>,
    #[serde(borrow, default)]
    messages: Option<Messages<'a>>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    n: Option<i64>,
    max_tokens: Option<i64>,
    max_completion_tokens: Option<i64>,
    #[serde(borrow, default)]
    stop: Option<OneOrMany<'a, Text<'a>>>,
}

#[derive(Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

/// What is left of the conversation after one pass: nothing is kept of messages that cannot be the answer.
#[derive(Default)]
struct Messages<'a> {
    count: u32,
    tokens: u64,
    last_user: Option<Cow<'a, str>>,
    last: Option<Cow<'a, str>>,
    problem: Option<Problem>,
}

#[derive(Deserialize)]
struct RawMessage<'a> {
    #[serde(borrow, default)]
    role: Option<Text<'a>>,
    #[serde(borrow, default)]
    content: Option<OneOrMany<'a, RawPart<'a>>>,
    #[serde(default)]
    tool_calls: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct RawPart<'a> {
    #[serde(borrow, default)]
    text: Option<Text<'a>>,
}

impl<'a> ChatCall<'a> {
    pub(crate) fn parse(body: &'a [u8]) -> Result<Self, Problem> {
        let raw: Raw<'a> = serde_json::from_slice(body).map_err(|error| Problem::unreadable(&error))?;
        let model = raw.model.map(|Text(model)| model).filter(|model| !model.is_empty());
        let model = model.ok_or_else(|| Problem::missing("model"))?;
        let messages = raw.messages.ok_or_else(|| Problem::missing("messages"))?;
        if let Some(problem) = messages.problem {
            return Err(problem);
        }
        if messages.count == 0 {
            return Err(Problem::invalid(
                "messages",
                "empty_array",
                "'messages' needs at least one message.",
            ));
        }
        let stream = raw.stream.unwrap_or(false);
        if raw.stream_options.is_some() && !stream {
            let message = "'stream_options' is only allowed together with 'stream': true.";
            return Err(Problem::invalid("stream_options", "invalid_value", message));
        }
        let choices = u32::try_from(raw.n.unwrap_or(1)).ok().filter(|n| (1..=MOST_CHOICES).contains(n));
        let out_of_range =
            || Problem::invalid("n", "invalid_value", format!("'n' must be 1 to {MOST_CHOICES}."));
        let choices = choices.ok_or_else(out_of_range)?;
        let mut max_tokens = None;
        let limits = [("max_tokens", raw.max_tokens), ("max_completion_tokens", raw.max_completion_tokens)];
        for (name, given) in limits.into_iter().filter_map(|(name, given)| Some((name, given?))) {
            let least_one =
                || Problem::invalid(name, "invalid_value", format!("'{name}' must be at least 1."));
            max_tokens = Some(u64::try_from(given).ok().filter(|limit| *limit > 0).ok_or_else(least_one)?);
        }
        let stop = match raw.stop {
            None => Vec::new(),
            Some(OneOrMany::One(stop)) => vec![stop],
            Some(OneOrMany::Many(stops)) => stops.into_iter().map(|Text(stop)| stop).collect(),
        };
        if stop.len() > 4 || stop.iter().any(|stop| stop.is_empty()) {
            return Err(Problem::invalid(
                "stop",
                "invalid_value",
                "'stop' takes up to 4 strings, none of them empty.",
            ));
        }
        Ok(Self {
            model,
            user_text: messages.last_user.or(messages.last).unwrap_or_default(),
            prompt_tokens: messages.tokens,
            stream,
            include_usage: raw.stream_options.and_then(|options| options.include_usage).unwrap_or(false),
            choices,
            max_tokens,
            stop,
        })
    }
}

impl<'a> Messages<'a> {
    fn take(&mut self, message: RawMessage<'a>) {
        let at = self.count;
        self.count = self.count.saturating_add(1);
        let role = message.role.map_or(Cow::Borrowed(""), |Text(role)| role);
        let known = ["developer", "system", "user", "assistant", "tool", "function"].contains(&&*role);
        if !known && self.problem.is_none() {
            let message = "The role must be developer, system, user, assistant, tool or function.";
            self.problem = Some(Problem::invalid(format!("messages[{at}].role"), "invalid_value", message));
        }
        let silent = message.tool_calls.is_some() || matches!(&*role, "assistant" | "function");
        if message.content.is_none() && !silent && self.problem.is_none() {
            let message = "The content must be a string or an array of parts.";
            self.problem = Some(Problem::invalid(format!("messages[{at}].content"), "invalid_type", message));
        }
        let text = message.content.map_or(Cow::Borrowed(""), RawPart::joined);
        self.tokens = self.tokens.saturating_add(tokens(&text));
        if role == "user" {
            self.last_user = Some(text);
        } else {
            self.last = Some(text);
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Messages<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Take<'a>(Messages<'a>);
        impl<'de: 'a, 'a> Visitor<'de> for Take<'a> {
            type Value = Messages<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an array of messages")
            }

            fn visit_seq<A: SeqAccess<'de>>(mut self, mut seq: A) -> Result<Self::Value, A::Error> {
                while let Some(message) = seq.next_element()? {
                    self.0.take(message);
                }
                Ok(self.0)
            }
        }
        from.deserialize_seq(Take(Messages::default()))
    }
}

impl<'a> RawPart<'a> {
    /// The texts of all parts, with nothing between them; parts of other kinds have none.
    fn joined(content: OneOrMany<'a, Self>) -> Cow<'a, str> {
        let parts = match content {
            OneOrMany::One(text) => return text,
            OneOrMany::Many(parts) => parts,
        };
        let texts = parts.into_iter().filter_map(|part| part.text).map(|Text(text)| text);
        texts.reduce(|whole, text| whole + text).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(body: &str) -> String {
        let answer = ChatCall::parse(body.as_bytes()).unwrap_err().into_answer();
        format!("{} {}", answer.status, std::str::from_utf8(&answer.body).unwrap())
    }

    #[test]
    fn the_last_user_text_is_borrowed_and_the_prompt_counted() {
        let body = r#"{"messages":[{"role":"system","content":"Be brief."},{"role":"user","content":"one two"},
            {"role":"assistant","content":null,"tool_calls":[]},{"role":"tool","content":"3","tool_call_id":"c"}],"model":"m","x":[1]}"#;
        let call = ChatCall::parse(body.as_bytes()).unwrap();
        assert!(matches!(call.user_text, Cow::Borrowed("one two")), "{call:?}");
        assert!(matches!(call.model, Cow::Borrowed("m")));
        assert_eq!((call.prompt_tokens, call.choices, call.stream, call.max_tokens), (5, 1, false, None));
    }

    #[test]
    fn parts_are_joined_and_escapes_resolved() {
        let body = r#"{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":"a\n"},
            {"type":"image_url","image_url":{"url":"data:"}},{"type":"text","text":"\ud83d\ude00b"}]}]}"#;
        assert_eq!(ChatCall::parse(body.as_bytes()).unwrap().user_text, "a\n😀b");
    }

    #[test]
    fn settings_are_read_and_null_is_absent() {
        let body = r#"{"model":"m","messages":[{"role":"user","content":"x"}],"stream":true,"stream_options":{"include_usage":true},
            "n":2,"max_tokens":null,"max_completion_tokens":7,"stop":["a","b"]}"#;
        let call = ChatCall::parse(body.as_bytes()).unwrap();
        assert!(call.stream && call.include_usage);
        assert_eq!((call.choices, call.max_tokens, call.stop.len()), (2, Some(7), 2));
        let body = r#"{"model":"m","messages":[{"role":"assistant","content":"x"}],"stop":"end","n":null,"stream_options":null}"#;
        let call = ChatCall::parse(body.as_bytes()).unwrap();
        assert_eq!((call.stop.as_slice(), &*call.user_text), (&[Cow::Borrowed("end")][..], "x"));
    }

    #[test]
    fn what_the_real_server_refuses_is_refused() {
        let user = r#""messages":[{"role":"user","content":"secret"}]"#;
        for (body, word) in [
            ("{".to_owned(), "cannot be read"),
            (format!(r#"{{"model":"m",{user},"stream":"secret"}}"#), "invalid_type"),
            (format!("{{{user}}}"), r#""param":"model","code":"missing_required_parameter""#),
            (r#"{"model":"m"}"#.to_owned(), r#""param":"messages","code":"missing_required_parameter""#),
            (r#"{"model":"m","messages":[]}"#.to_owned(), "empty_array"),
            (
                r#"{"model":"m","messages":[{"role":"boss","content":"secret"}]}"#.to_owned(),
                "messages[0].role",
            ),
            (r#"{"model":"m","messages":[{"role":"user"}]}"#.to_owned(), "messages[0].content"),
            (format!(r#"{{"model":"m",{user},"stream_options":{{}}}}"#), "stream_options"),
            (format!(r#"{{"model":"m",{user},"n":0}}"#), r#""param":"n""#),
            (format!(r#"{{"model":"m",{user},"max_tokens":-1}}"#), r#""param":"max_tokens""#),
            (format!(r#"{{"model":"m",{user},"stop":[""]}}"#), r#""param":"stop""#),
        ] {
            let problem = problem(&body);
            assert!(problem.starts_with("400") && problem.contains(word), "{body}: {problem}");
            assert!(!problem.contains("secret"), "{problem}");
        }
    }
}
