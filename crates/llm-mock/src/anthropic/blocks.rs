//! Messages and their blocks: the text in them, and the rules by which they follow each other.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{errors::Problem, request::text_of};
use crate::{
    invented::fits,
    json::{OneOrMany, Text},
    text::tokens,
};

#[derive(Deserialize)]
pub(super) struct RawMessage<'a> {
    #[serde(borrow, default)]
    role: Option<Text<'a>>,
    #[serde(borrow, default)]
    content: Option<OneOrMany<'a, RawBlock<'a>>>,
}

/// A block; what differs from kind to kind stays as it is written.
#[derive(Deserialize)]
pub(super) struct RawBlock<'a> {
    #[serde(borrow, default)]
    r#type: Option<Text<'a>>,
    #[serde(borrow, default)]
    text: Option<Text<'a>>,
    #[serde(borrow, default)]
    citations: Option<&'a RawValue>,
    #[serde(borrow, default)]
    source: Option<&'a RawValue>,
    #[serde(borrow, default)]
    id: Option<Text<'a>>,
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(borrow, default)]
    input: Option<&'a RawValue>,
    #[serde(borrow, default)]
    tool_use_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    thinking: Option<Text<'a>>,
    #[serde(borrow, default)]
    signature: Option<Text<'a>>,
    #[serde(borrow, default)]
    data: Option<&'a RawValue>,
}

/// What is left of the conversation after one pass.
pub(super) struct Conversation<'a> {
    pub(super) user_text: Cow<'a, str>,
    pub(super) tokens: u64,
}

/// Kinds of blocks that are handed on unread.
const OPAQUE: &[&str] = &[
    "server_tool_use",
    "web_search_tool_result",
    "web_fetch_tool_result",
    "code_execution_tool_result",
    "bash_code_execution_tool_result",
    "text_editor_code_execution_tool_result",
    "tool_search_tool_result",
    "mcp_tool_use",
    "mcp_tool_result",
    "advisor_tool_result",
    "compaction",
    "fallback",
];

pub(super) fn system_tokens(system: &[RawBlock<'_>]) -> Result<u64, Problem> {
    let mut sum = 0_u64;
    for (at, block) in system.iter().enumerate() {
        let kind = block.r#type.as_ref().map(|Text(kind)| &**kind);
        let (Some("text"), Some(Text(text))) = (kind, &block.text) else {
            return Err(Problem::invalid(format!("system.{at}: must be a text block")));
        };
        sum = sum.saturating_add(tokens(text));
    }
    Ok(sum)
}

/// `second` is for the rules of the newer API version.
pub(super) fn read(messages: Vec<RawMessage<'_>>, second: bool) -> Result<Conversation<'_>, Problem> {
    let mut reader = Reader { second, open: Vec::new(), seen: Vec::new(), tokens: 0, last_role: Role::User };
    let (mut user_text, mut other) = (None, None);
    for (at, message) in messages.into_iter().enumerate() {
        let role = match text_of(message.role).as_deref() {
            Some("user") => Role::User,
            Some("assistant") => Role::Assistant,
            Some("system") => Role::System,
            _ => {
                let message = format!("messages.{at}.role: must be user, assistant or system");
                return Err(Problem::invalid(message));
            }
        };
        reader.turn(role, at)?;
        let text = match message.content {
            None => return Err(Problem::invalid(format!("messages.{at}.content: Field required"))),
            Some(OneOrMany::One(text)) => {
                reader.tokens = reader.tokens.saturating_add(tokens(&text));
                reader.check_answered(role, at)?;
                text
            }
            Some(OneOrMany::Many(blocks)) => reader.blocks(role, at, blocks)?,
        };
        *(if role == Role::User { &mut user_text } else { &mut other }) = Some(text);
    }
    if !reader.open.is_empty() {
        return Err(unanswered("the last message", &reader.open));
    }
    Ok(Conversation { user_text: user_text.or(other).unwrap_or_default(), tokens: reader.tokens })
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    User,
    Assistant,
    System,
}

struct Reader<'a> {
    second: bool,
    /// Tool uses of the assistant's turn that have no result yet.
    open: Vec<Cow<'a, str>>,
    /// All ids of tool uses so far.
    seen: Vec<Cow<'a, str>>,
    tokens: u64,
    last_role: Role,
}

fn unanswered(place: &str, open: &[Cow<'_, str>]) -> Problem {
    Problem::invalid(format!(
        "{place}: `tool_use` ids were found without `tool_result` blocks immediately after: {}",
        open.join(", ")
    ))
}

impl<'a> Reader<'a> {
    /// Same-role neighbours are one turn. A user's turn ends with every tool use answered.
    fn turn(&mut self, role: Role, at: usize) -> Result<(), Problem> {
        if role == Role::Assistant && self.last_role == Role::User && !self.open.is_empty() {
            return Err(unanswered(&format!("messages.{}", at.saturating_sub(1)), &self.open));
        }
        if role != Role::System {
            self.last_role = role;
        }
        Ok(())
    }

    /// The first content of a user's turn that is no result needs every result before it.
    fn check_answered(&self, role: Role, at: usize) -> Result<(), Problem> {
        if role == Role::User && !self.open.is_empty() {
            return Err(unanswered(&format!("messages.{at}"), &self.open));
        }
        Ok(())
    }

    /// The message's texts, joined as they stand; those of tool results where it has no other.
    fn blocks(&mut self, role: Role, at: usize, blocks: Vec<RawBlock<'a>>) -> Result<Cow<'a, str>, Problem> {
        let (mut own, mut results) = (Cow::Borrowed(""), Cow::Borrowed(""));
        if blocks.is_empty() && role == Role::User {
            return Err(Problem::invalid(format!("messages.{at}: user messages must have content")));
        }
        for (number, block) in blocks.into_iter().enumerate() {
            let place = format!("messages.{at}.content.{number}");
            let kind = text_of(block.r#type).unwrap_or_default();
            let missing = |what: &str| Problem::invalid(format!("{place}.{kind}.{what}: Field required"));
            if !matches!(&*kind, "tool_result" | "tool_addition") {
                self.check_answered(role, at)?;
            }
            match (&*kind, role) {
                ("text", _) => {
                    let text = text_of(block.text).ok_or_else(|| missing("text"))?;
                    let cited = block.citations.is_some_and(|given| !matches!(given.get(), "null" | "[]"));
                    if self.second && role == Role::User && cited {
                        return Err(Problem::invalid(format!("{place}.text.citations: not permitted")));
                    }
                    self.tokens = self.tokens.saturating_add(tokens(&text));
                    own += text;
                }
                ("document", Role::Assistant) if self.second => {
                    return Err(Problem::invalid(format!("{place}: document blocks are for users")));
                }
                ("image", Role::User) | ("document" | "search_result", _) => {
                    block.source.ok_or_else(|| missing("source"))?;
                }
                ("thinking", Role::Assistant) => {
                    let thinking = text_of(block.thinking).ok_or_else(|| missing("thinking"))?;
                    let signature = text_of(block.signature).ok_or_else(|| missing("signature"))?;
                    if !fits(&signature, &thinking) {
                        let message = format!("{place}: Invalid `signature` in `thinking` block");
                        return Err(Problem::invalid(message));
                    }
                }
                ("redacted_thinking", Role::Assistant) => {
                    block.data.ok_or_else(|| missing("data"))?;
                }
                ("tool_use", Role::Assistant) => {
                    let id = text_of(block.id).ok_or_else(|| missing("id"))?;
                    text_of(block.name).ok_or_else(|| missing("name"))?;
                    let input = block.input.ok_or_else(|| missing("input"))?;
                    if !input.get().starts_with('{') {
                        let message = format!("{place}.tool_use.input: Input should be an object");
                        return Err(Problem::invalid(message));
                    }
                    if self.seen.contains(&id) {
                        return Err(Problem::invalid(format!("{place}: `tool_use` ids must be unique")));
                    }
                    self.seen.push(id.clone());
                    self.open.push(id);
                }
                ("tool_result", Role::User) => {
                    let id = text_of(block.tool_use_id).ok_or_else(|| missing("tool_use_id"))?;
                    let Some(open) = self.open.iter().position(|open| *open == id) else {
                        return Err(Problem::invalid(format!(
                            "{place}: unexpected `tool_use_id` found in `tool_result` blocks: {id}"
                        )));
                    };
                    self.open.remove(open);
                    let text = result_text(block.content, &place)?;
                    self.tokens = self.tokens.saturating_add(tokens(&text));
                    results += text;
                }
                ("container_upload", Role::User) | ("tool_addition", Role::System) => {}
                (opaque, Role::Assistant) if OPAQUE.contains(&opaque) => {}
                _ => {
                    let message = format!("{place}.type: no block that this role may have");
                    return Err(Problem::invalid(message));
                }
            }
        }
        Ok(if own.is_empty() { results } else { own })
    }
}

/// The texts of a tool result.
fn result_text<'a>(content: Option<&'a RawValue>, place: &str) -> Result<Cow<'a, str>, Problem> {
    let Some(content) = content else { return Ok(Cow::Borrowed("")) };
    let wrong = || Problem::invalid(format!("{place}.tool_result.content: must be a string or blocks"));
    match serde_json::from_str(content.get()).map_err(|_| wrong())? {
        OneOrMany::One(text) => Ok(text),
        OneOrMany::Many(blocks) => {
            let mut whole = Cow::Borrowed("");
            for block in blocks {
                let RawBlock { r#type, text, .. } = block;
                match (text_of(r#type).as_deref(), text_of(text)) {
                    (Some("text"), Some(text)) => whole += text,
                    (Some("image" | "document" | "search_result" | "tool_reference"), _) => {}
                    _ => return Err(wrong()),
                }
            }
            Ok(whole)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::invented::sign;

    fn read_all(messages: &str, second: bool) -> Result<(String, u64), String> {
        let parsed: Vec<RawMessage<'_>> = serde_json::from_str(messages).unwrap();
        let read = read(parsed, second)
            .map_err(|problem| String::from_utf8(problem.into_answer(1).body.to_vec()).unwrap())?;
        Ok((read.user_text.into_owned(), read.tokens))
    }

    const USE: &str = r#"{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{}},
        {"type":"tool_use","id":"b","name":"f","input":{}}]}"#;

    fn result(id: &str) -> String {
        format!(
            r#"{{"type":"tool_result","tool_use_id":"{id}","content":[{{"type":"text","text":"r{id} "}},
            {{"type":"image","source":{{}}}}],"is_error":true}}"#
        )
    }

    #[test]
    fn every_tool_use_is_answered_in_the_next_turn_and_first_in_it() {
        let user = |blocks: &str| format!(r#"[{USE},{{"role":"user","content":[{blocks}]}}]"#);
        let (a, b) = (result("a"), result("b"));
        assert_eq!(read_all(&user(&format!("{b},{a}")), true).unwrap(), ("rb ra ".to_owned(), 4));
        let after = user(&format!(r#"{a},{b},{{"type":"text","text":"go on"}}"#));
        assert_eq!(read_all(&after, true).unwrap().0, "go on");
        for wrong in [
            user(&a),
            user(&format!(r#"{{"type":"text","text":"go on"}},{a},{b}"#)),
            user(&format!("{a},{a},{b}")),
            user(&result("c")),
            format!("[{USE}]"),
            format!(r#"[{USE},{{"role":"user","content":"go on"}}]"#),
            format!(r#"[{USE},{{"role":"user","content":[{a},{b}]}},{USE}]"#),
        ] {
            let problem = read_all(&wrong, true).unwrap_err();
            assert!(problem.contains("tool_"), "{wrong}: {problem}");
        }
    }

    #[test]
    fn thinking_comes_back_as_it_was_signed() {
        let turn = |thinking: &str, signature: &str| {
            format!(
                r#"[{{"role":"user","content":"q"}},{{"role":"assistant","content":[{{"type":"thinking",
                "thinking":"{thinking}","signature":"{signature}"}},{{"type":"redacted_thinking","data":"x"}},
                {{"type":"text","text":"a"}}]}},{{"role":"user","content":"again"}}]"#
            )
        };
        assert_eq!(read_all(&turn("why", &sign("why")), true).unwrap(), ("again".to_owned(), 3));
        assert!(read_all(&turn("why", "c2ln"), true).is_ok());
        assert!(read_all(&turn("why ", &sign("why")), true).unwrap_err().contains("Invalid `signature`"));
    }

    #[test]
    fn blocks_stand_where_their_kind_and_the_version_allow() {
        let of = |role: &str, block: &str| format!(r#"[{{"role":"{role}","content":[{block}]}}]"#);
        let document = of("assistant", r#"{"type":"document","source":{}}"#);
        let cited = of("user", r#"{"type":"text","text":"t","citations":[{}]}"#);
        for text in [&document, &cited] {
            assert!(read_all(text, false).is_ok() && read_all(text, true).is_err(), "{text}");
        }
        assert!(
            read_all(&of("assistant", r#"{"type":"server_tool_use","input":1,"content":{}}"#), true).is_ok()
        );
        for wrong in [
            of("assistant", r#"{"type":"image","source":{}}"#),
            of("user", r#"{"type":"image"}"#),
            of("user", r#"{"type":"tool_use","id":"a","name":"f","input":{}}"#),
            of("assistant", r#"{"type":"tool_use","id":"a","name":"f","input":"{}"}"#),
            of("user", r#"{"type":"surprise"}"#),
            of("user", ""),
            of("boss", r#"{"type":"text","text":"t"}"#),
            r#"[{"role":"user"}]"#.to_owned(),
        ] {
            assert!(read_all(&wrong, true).is_err(), "{wrong}");
        }
    }
}
