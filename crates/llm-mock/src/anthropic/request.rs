//! The parts of a request the mock looks at, and the rules it must keep.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{blocks, errors::Problem};
use crate::{
    dialect::Version,
    json::{OneOrMany, Text},
    text::tokens,
};

/// Every member the protocol names.
pub(super) const MEMBERS: &[&str] = &[
    "model",
    "max_tokens",
    "messages",
    "system",
    "stream",
    "stop_sequences",
    "temperature",
    "top_k",
    "top_p",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "cache_control",
    "metadata",
    "service_tier",
    "speed",
    "inference_geo",
    "container",
    "context_management",
    "mcp_servers",
    "diagnostics",
];

const MOST_MESSAGES: usize = 100_000;

/// A checked request.
#[derive(Debug)]
pub(super) struct MessagesCall<'a> {
    pub(super) model: Cow<'a, str>,
    /// The last user message's text blocks, joined as they stand; tool results if it has none.
    pub(super) user_text: Cow<'a, str>,
    pub(super) prompt_tokens: u64,
    pub(super) stream: bool,
    pub(super) max_tokens: Option<u64>,
    pub(super) stop: Vec<Cow<'a, str>>,
    /// Whether thinking is to be shown by its signature only.
    pub(super) omits_thinking: bool,
}

#[derive(Deserialize)]
struct Raw<'a> {
    #[serde(borrow, default)]
    model: Option<Text<'a>>,
    max_tokens: Option<i64>,
    #[serde(borrow, default)]
    messages: Option<Vec<blocks::RawMessage<'a>>>,
    #[serde(borrow, default)]
    system: Option<OneOrMany<'a, blocks::RawBlock<'a>>>,
    stream: Option<bool>,
    #[serde(borrow, default)]
    stop_sequences: Option<Vec<Text<'a>>>,
    temperature: Option<f64>,
    top_k: Option<i64>,
    top_p: Option<f64>,
    #[serde(borrow, default)]
    tools: Option<Vec<RawTool<'a>>>,
    #[serde(borrow, default)]
    tool_choice: Option<RawChoice<'a>>,
    #[serde(borrow, default)]
    thinking: Option<RawThinking<'a>>,
}

#[derive(Deserialize)]
struct RawTool<'a> {
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    r#type: Option<Text<'a>>,
    #[serde(borrow, default)]
    input_schema: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct RawChoice<'a> {
    #[serde(borrow, default)]
    r#type: Option<Text<'a>>,
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    disable_parallel_tool_use: Option<bool>,
}

#[derive(Deserialize)]
struct RawThinking<'a> {
    #[serde(borrow, default)]
    r#type: Option<Text<'a>>,
    budget_tokens: Option<i64>,
    #[serde(borrow, default)]
    display: Option<Text<'a>>,
}

#[derive(Deserialize)]
struct Schema<'a> {
    #[serde(borrow, default)]
    r#type: Option<Text<'a>>,
}

impl<'a> MessagesCall<'a> {
    /// `counting` is for `count_tokens`, which has the same body without what is about the answer.
    pub(super) fn parse(body: &'a [u8], version: Option<Version>, counting: bool) -> Result<Self, Problem> {
        let invalid = |message: &str| Err(Problem::invalid(message));
        match version {
            None => return invalid("anthropic-version: header is required"),
            Some(Version::Unknown) => return invalid("anthropic-version: is not a known version"),
            Some(Version::First | Version::Second) => {}
        }
        let second = version == Some(Version::Second);
        let raw: Raw<'a> = serde_json::from_slice(body).map_err(|error| Problem::unreadable(&error))?;
        let model = text_of(raw.model).filter(|model| !model.is_empty());
        let model = model.ok_or_else(|| Problem::invalid("model: Field required"))?;
        if counting && (raw.max_tokens.is_some() || raw.stream.is_some()) {
            return invalid("max_tokens, stream: Extra inputs are not permitted");
        }
        let max_tokens = match raw.max_tokens {
            None if counting => None,
            None => return invalid("max_tokens: Field required"),
            Some(limit) => match u64::try_from(limit) {
                Ok(limit) => Some(limit),
                Err(_) => return invalid("max_tokens: Input should be greater than or equal to 0"),
            },
        };
        let sampling = raw.temperature.is_some() || raw.top_k.is_some() || raw.top_p.is_some();
        if second && sampling {
            return invalid("temperature, top_p, top_k: Extra inputs are not permitted");
        }
        for (name, given) in [("temperature", raw.temperature), ("top_p", raw.top_p)] {
            if given.is_some_and(|given| !(0.0..=1.0).contains(&given)) {
                return Err(Problem::invalid(format!("{name}: must be 0 to 1")));
            }
        }
        let omits_thinking = check_thinking(raw.thinking.as_ref(), max_tokens)?;
        check_tools(raw.tools.as_deref().unwrap_or_default())?;
        let manual = raw.thinking.as_ref().and_then(|thinking| thinking.r#type.as_ref());
        check_choice(raw.tool_choice.as_ref(), manual.is_some_and(|Text(kind)| kind == "enabled"))?;
        let stop: Vec<_> =
            raw.stop_sequences.unwrap_or_default().into_iter().map(|Text(stop)| stop).collect();
        if stop.iter().any(|stop| stop.trim().is_empty()) {
            return invalid("stop_sequences: each stop sequence must contain non-whitespace");
        }

        let messages = raw.messages.ok_or_else(|| Problem::invalid("messages: Field required"))?;
        if !(1..=MOST_MESSAGES).contains(&messages.len()) {
            return invalid("messages: at least one message is required, and at most 100000");
        }
        let mut prompt_tokens = 0_u64;
        match raw.system {
            None => {}
            Some(OneOrMany::One(text)) => prompt_tokens += tokens(&text),
            Some(OneOrMany::Many(system)) => prompt_tokens += blocks::system_tokens(&system)?,
        }
        let read = blocks::read(messages, second)?;
        Ok(Self {
            model,
            user_text: read.user_text,
            prompt_tokens: prompt_tokens.saturating_add(read.tokens),
            stream: raw.stream.unwrap_or(false),
            max_tokens,
            stop,
            omits_thinking,
        })
    }
}

pub(super) fn text_of(text: Option<Text<'_>>) -> Option<Cow<'_, str>> {
    text.map(|Text(text)| text)
}

/// Whether the thinking's text is to be left out.
fn check_thinking(thinking: Option<&RawThinking<'_>>, max_tokens: Option<u64>) -> Result<bool, Problem> {
    let Some(thinking) = thinking else { return Ok(false) };
    let kind = thinking.r#type.as_ref().map(|Text(kind)| &**kind);
    match (kind, thinking.budget_tokens) {
        (Some("enabled"), Some(budget)) => {
            let budget = u64::try_from(budget).ok().filter(|budget| *budget >= 1024);
            let Some(budget) = budget else {
                return Err(Problem::invalid("thinking.enabled.budget_tokens: must be at least 1024"));
            };
            if max_tokens.is_some_and(|limit| budget >= limit) {
                return Err(Problem::invalid("`max_tokens` must be greater than `thinking.budget_tokens`"));
            }
        }
        (Some("enabled"), None) => {
            return Err(Problem::invalid("thinking.enabled.budget_tokens: Field required"));
        }
        (Some("adaptive" | "disabled" | "between_tools"), None) => {}
        (Some("adaptive" | "disabled" | "between_tools"), Some(_)) => {
            return Err(Problem::invalid("thinking.budget_tokens: Extra inputs are not permitted"));
        }
        _ => {
            let message = "thinking.type: must be adaptive, enabled, disabled or between_tools";
            return Err(Problem::invalid(message));
        }
    }
    match thinking.display.as_ref().map(|Text(display)| &**display) {
        None | Some("summarized") => Ok(false),
        Some("omitted") => Ok(true),
        Some(_) => Err(Problem::invalid("thinking.display: must be summarized or omitted")),
    }
}

fn check_tools(tools: &[RawTool<'_>]) -> Result<(), Problem> {
    for (at, tool) in tools.iter().enumerate() {
        let invalid = |what: &str| Err(Problem::invalid(format!("tools.{at}.{what}")));
        let name = tool.name.as_ref().map(|Text(name)| &**name).unwrap_or_default();
        let legal = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-');
        if !(1..=128).contains(&name.len()) || !name.chars().all(legal) {
            return invalid("name: must be 1 to 128 of A-Z, a-z, 0-9, _ and -");
        }
        if tools.iter().take(at).any(|other| other.name.as_ref().is_some_and(|Text(other)| other == name)) {
            return invalid("name: tool names must be unique");
        }
        let hosted = tool.r#type.as_ref().is_some_and(|Text(kind)| kind != "custom");
        let Some(schema) = tool.input_schema else {
            if hosted {
                continue;
            }
            return invalid("input_schema: Field required");
        };
        let schema: Option<Schema<'_>> = serde_json::from_str(schema.get()).ok();
        if schema.and_then(|schema| text_of(schema.r#type)).as_deref() != Some("object") {
            return invalid("input_schema.type: must be object");
        }
    }
    Ok(())
}

fn check_choice(choice: Option<&RawChoice<'_>>, manual_thinking: bool) -> Result<(), Problem> {
    let Some(choice) = choice else { return Ok(()) };
    let kind = choice.r#type.as_ref().map(|Text(kind)| &**kind);
    match (kind, &choice.name) {
        (Some("auto"), None) => Ok(()),
        (Some("none"), None) if choice.disable_parallel_tool_use.is_none() => Ok(()),
        (Some("any"), None) | (Some("tool"), Some(_)) if manual_thinking => {
            Err(Problem::invalid("Thinking may not be enabled when tool_choice forces tool use."))
        }
        (Some("any"), None) | (Some("tool"), Some(_)) => Ok(()),
        (Some("tool"), None) => Err(Problem::invalid("tool_choice.tool.name: Field required")),
        _ => Err(Problem::invalid("tool_choice: must be auto, any, none, or tool with a name")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str, version: Option<Version>) -> Result<MessagesCall<'_>, String> {
        MessagesCall::parse(body.as_bytes(), version, false).map_err(|problem| {
            let answer = problem.into_answer(1);
            format!("{} {}", answer.status, std::str::from_utf8(&answer.body).unwrap())
        })
    }

    #[test]
    fn the_worked_request_is_taken() {
        let body = r#"{"model":"claude-x","max_tokens":1024,"system":[{"type":"text","text":"You know tides.","cache_control":{"type":"ephemeral"}}],
            "thinking":{"type":"adaptive"},"output_config":{"effort":"medium"},
            "tools":[{"name":"get_tide","description":"Tide at a port","input_schema":{"type":"object","properties":{"port":{"type":"string"}},"required":["port"]}}],
            "messages":[{"role":"user","content":"Tide in Brest?"},
             {"role":"assistant","content":[{"type":"thinking","thinking":"Need the tide.","signature":"c2ln"},{"type":"tool_use","id":"toolu_1","name":"get_tide","input":{"port":"Brest"}}]},
             {"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":"6.1 m"}]}]}"#;
        for version in [Version::First, Version::Second] {
            let call = parse(body, Some(version)).unwrap();
            assert_eq!((&*call.model, &*call.user_text), ("claude-x", "6.1 m"));
            assert_eq!((call.prompt_tokens, call.max_tokens, call.stream), (3 + 3 + 2, Some(1024), false));
        }
    }

    #[test]
    fn what_the_real_server_refuses_is_refused() {
        let with = |more: &str| {
            format!(
                r#"{{"model":"m","max_tokens":2000,"messages":[{{"role":"user","content":"secret"}}]{more}}}"#
            )
        };
        for (body, word) in [
            ("{".to_owned(), "not valid JSON"),
            (r#"{"max_tokens":1,"messages":[]}"#.to_owned(), "model: Field required"),
            (r#"{"model":"m","messages":[]}"#.to_owned(), "max_tokens: Field required"),
            (r#"{"model":"m","max_tokens":1,"messages":[]}"#.to_owned(), "at least one message"),
            (r#"{"model":"m","max_tokens":-1,"messages":[]}"#.to_owned(), "greater than"),
            (with(r#","temperature":1.5"#), "temperature: must be 0 to 1"),
            (with(r#","stream":"secret""#), "wrong type"),
            (with(r#","thinking":{"type":"enabled","budget_tokens":1000}"#), "at least 1024"),
            (with(r#","thinking":{"type":"enabled","budget_tokens":2000}"#), "greater than"),
            (with(r#","thinking":{"type":"adaptive","budget_tokens":2000}"#), "Extra inputs"),
            (with(r#","tools":[{"name":"a b","input_schema":{"type":"object"}}]"#), "tools.0.name"),
            (with(r#","tools":[{"name":"a","input_schema":{"anyOf":[]}}]"#), "input_schema.type"),
            (with(r#","tools":[{"name":"a"}]"#), "input_schema: Field required"),
            (with(r#","tool_choice":{"type":"tool"}"#), "name: Field required"),
            (with(r#","tool_choice":"auto""#), "wrong type"),
            (
                with(r#","tool_choice":{"type":"any"},"thinking":{"type":"enabled","budget_tokens":1024}"#),
                "forces tool use",
            ),
            (with(r#","stop_sequences":[" "]"#), "non-whitespace"),
        ] {
            let problem = parse(&body, Some(Version::First)).unwrap_err();
            assert!(problem.starts_with("400") && problem.contains(word), "{body}: {problem}");
            assert!(!problem.contains("secret"), "{problem}");
        }
        assert!(parse(&with(r#","temperature":1"#), Some(Version::First)).is_ok());
        assert!(parse(&with(r#","temperature":1"#), Some(Version::Second)).unwrap_err().contains("Extra"));
        for version in [None, Some(Version::Unknown)] {
            assert!(parse(&with(""), version).unwrap_err().contains("anthropic-version"));
        }
        let adaptive = r#","tool_choice":{"type":"any"},"thinking":{"type":"adaptive"}"#;
        assert!(parse(&with(adaptive), Some(Version::First)).is_ok());
    }

    #[test]
    fn a_count_has_no_members_about_the_answer() {
        let body = br#"{"model":"m","messages":[{"role":"user","content":"one two"}]}"#;
        let call = MessagesCall::parse(body, Some(Version::First), true).unwrap();
        assert_eq!(call.prompt_tokens, 2);
        let body = br#"{"model":"m","max_tokens":1,"messages":[{"role":"user","content":"one two"}]}"#;
        assert!(MessagesCall::parse(body, Some(Version::First), true).is_err());
    }
}
