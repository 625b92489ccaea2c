//! One block of an answer, between its start and its end.

use std::borrow::Cow;

use llm_types::{Extra, NativePart, Reasoning, StreamEvent};
use serde_json::value::{RawValue, to_raw_value};

use crate::dialect::anthropic::wire::{Block, Delta};
use crate::dialect::events::one_id_for_two;
use crate::dialect::json::{Few, Raw, Rest};

/// What the blocks of an answer said so far.
#[derive(Debug, Default)]
pub(super) struct Said {
    /// How many calls.
    pub(super) calls: u32,
    /// Their ids.
    ids: Vec<String>,
    pub(super) thought: bool,
    /// It has given something that a caller can use: a text, or a part of the vendor's own.
    pub(super) answered: bool,
    /// Bytes held back until their block ends.
    pub(super) kept: usize,
    /// The text before was a part of its own, so that the next has to begin one.
    apart: bool,
    /// Thoughts without a signature came last: more of them would be taken for the same block.
    unsigned: bool,
    /// Citations that came behind their texts, of all texts.
    late: Vec<Box<RawValue>>,
}

impl Said {
    /// Whether an id is no name for the next call: there is none, or another call has it.
    pub(super) fn needs_id(&self, id: &str) -> bool {
        id.is_empty() || self.ids.iter().any(|taken| taken == id)
    }
}

/// A block that has not ended.
#[derive(Debug)]
pub(super) struct Open {
    pub(super) index: u64,
    kind: Kind,
}

#[derive(Debug)]
enum Kind {
    Text {
        begun: bool,
        citations: Vec<Box<RawValue>>,
        extra: Extra,
    },
    Thinking {
        begun: bool,
        signature: Option<String>,
        extra: Extra,
    },
    Call {
        call: u32,
        begun: bool,
        input: Option<Box<RawValue>>,
    },
    /// The server's own: its start, and what is added to it.
    Native {
        start: Box<RawValue>,
        input: String,
        content: String,
    },
    /// It was given whole with its start.
    Given,
}

impl Open {
    /// Takes the start of a block, which may be all of it. `made_id` is for a call whose own id is none.
    pub(super) fn begin(
        index: u64,
        block: Block<'_>,
        json: &RawValue,
        made_id: Option<String>,
        origin: Option<&str>,
        said: &mut Said,
        out: &mut Vec<StreamEvent>,
    ) -> Self {
        let Block { kind, text, thinking, signature, data, id, name, input, citations, rest, .. } = block;
        let kind = match kind.as_str() {
            "text" => {
                let mut open = Kind::Text { begun: false, citations: list(citations), extra: kept(rest) };
                open.text(text.some(), said, out);
                open
            }
            "thinking" => {
                let mut open =
                    Kind::Thinking { begun: false, signature: signature.owned(), extra: kept(rest) };
                open.think(thinking.some(), said, out);
                open
            }
            "redacted_thinking" => {
                let block = Reasoning {
                    encrypted: Some(data.owned().unwrap_or_default()),
                    origin: origin.map(str::to_owned),
                    extra: kept(rest),
                    ..Reasoning::default()
                };
                (said.thought, said.unsigned) = (true, false);
                out.push(StreamEvent::ReasoningBlock { choice: 0, block: Box::new(block) });
                Kind::Given
            }
            "tool_use" => {
                let call = said.calls;
                if made_id.is_some() && !id.as_str().is_empty() {
                    out.push(one_id_for_two());
                }
                let id = made_id.or_else(|| id.owned()).unwrap_or_default();
                said.ids.push(id.clone());
                said.calls = said.calls.saturating_add(1);
                said.unsigned = false;
                let name = name.owned().unwrap_or_default();
                out.push(StreamEvent::ToolCallStart {
                    choice: 0,
                    index: call,
                    id,
                    name,
                    custom: false,
                    signature: None,
                });
                for (name, raw) in rest {
                    let (name, value) = (name.into_owned(), raw.to_owned());
                    out.push(StreamEvent::Replay { choice: 0, call: Some(call), name, value });
                }
                let input = input.some().filter(|raw| raw.get() != "{}").map(unwrapped);
                Kind::Call { call, begun: false, input }
            }
            _ => {
                said.kept = said.kept.saturating_add(json.get().len());
                Kind::Native { start: json.to_owned(), input: String::new(), content: String::new() }
            }
        };
        Self { index, kind }
    }

    /// Whether it is the call of this id.
    pub(super) fn is_call(&self, id: &str, said: &Said) -> bool {
        let Kind::Call { call, .. } = self.kind else { return false };
        !id.is_empty()
            && usize::try_from(call).ok().and_then(|at| said.ids.get(at)).is_some_and(|it| it == id)
    }

    /// A block of which only a piece is known.
    pub(super) fn lost(index: u64, delta: &Delta<'_>) -> Option<Self> {
        let kind = match delta.kind.as_str() {
            "text_delta" => Kind::Text { begun: false, citations: Vec::new(), extra: Extra::new() },
            "thinking_delta" => Kind::Thinking { begun: false, signature: None, extra: Extra::new() },
            _ => return None,
        };
        Some(Self { index, kind })
    }

    /// Takes a piece. One that does not belong into such a block means nothing.
    pub(super) fn add(&mut self, delta: &mut Delta<'_>, said: &mut Said, out: &mut Vec<StreamEvent>) {
        match (delta.kind.as_str(), &mut self.kind) {
            ("text_delta", kind @ Kind::Text { .. }) => kind.text(delta.text.take(), said, out),
            ("citations_delta", Kind::Text { citations, .. }) => {
                if let Some(citation) = delta.citation.some() {
                    said.kept = said.kept.saturating_add(citation.get().len());
                    citations.push(citation.to_owned());
                }
            }
            ("thinking_delta", kind @ Kind::Thinking { .. }) => {
                kind.think(delta.thinking.take(), said, out);
            }
            ("signature_delta", Kind::Thinking { signature, .. }) => {
                *signature = delta.signature.take_owned();
            }
            ("input_json_delta", Kind::Call { call, begun, .. }) => {
                if let Some(arguments) = delta.partial_json.take_owned() {
                    *begun = true;
                    out.push(StreamEvent::ToolCallDelta { choice: 0, index: *call, arguments });
                }
            }
            ("input_json_delta", Kind::Native { input, .. }) => {
                said.kept = said.kept.saturating_add(delta.partial_json.as_str().len());
                input.push_str(delta.partial_json.as_str());
            }
            ("compaction_delta", Kind::Native { content, .. }) => {
                said.kept = said.kept.saturating_add(delta.content.as_str().len());
                content.push_str(delta.content.as_str());
            }
            _ => {}
        }
    }

    /// Ends the block.
    pub(super) fn end(self, origin: Option<&str>, said: &mut Said, out: &mut Vec<StreamEvent>) {
        match self.kind {
            // Citations come before their text; of those that do not, the text is gone.
            Kind::Text { citations, .. } => {
                if citations.is_empty() {
                    return;
                }
                said.late.extend(citations);
                if let Some(value) = join(&said.late) {
                    let name = "citations".to_owned();
                    out.push(StreamEvent::Extra { choice: Some(0), name, value });
                }
            }
            Kind::Thinking { begun, signature, extra } => {
                if !begun && signature.is_none() && extra.is_empty() {
                    return;
                }
                // Whose it is matters also where nothing is signed: it goes back to nobody else.
                said.unsigned = signature.is_none();
                said.thought |= signature.is_some();
                let origin = origin.map(str::to_owned);
                let block = Reasoning { signature, origin, extra, ..Reasoning::default() };
                out.push(StreamEvent::ReasoningBlock { choice: 0, block: Box::new(block) });
            }
            Kind::Call { call, begun, input } => {
                if !begun {
                    let arguments = input.map_or_else(|| "{}".to_owned(), |raw| raw.get().to_owned());
                    out.push(StreamEvent::ToolCallDelta { choice: 0, index: call, arguments });
                }
                out.push(StreamEvent::ToolCallEnd { choice: 0, index: call });
            }
            Kind::Native { start, input, content } => {
                said.unsigned = false;
                said.answered = true;
                said.apart = false;
                let origin = origin.map(str::to_owned);
                let part = NativePart { json: completed(start, input, &content), origin };
                out.push(StreamEvent::Native { choice: 0, part });
            }
            Kind::Given => {}
        }
    }
}

impl Kind {
    fn text(&mut self, text: Option<Cow<'_, str>>, said: &mut Said, out: &mut Vec<StreamEvent>) {
        let (Self::Text { begun, citations, extra }, Some(text)) = (self, text) else { return };
        if !std::mem::replace(begun, true) {
            let mut extra = std::mem::take(extra);
            if let Some(citations) = join(&std::mem::take(citations)) {
                extra.insert("citations", citations);
            }
            let apart = !extra.is_empty();
            if apart || said.apart {
                out.push(StreamEvent::TextBlock { choice: 0, extra });
            }
            (said.apart, said.answered, said.unsigned) = (apart, true, false);
        }
        out.push(StreamEvent::Text { choice: 0, text: text.into_owned() });
    }

    fn think(&mut self, text: Option<Cow<'_, str>>, said: &mut Said, out: &mut Vec<StreamEvent>) {
        let (Self::Thinking { begun, .. }, Some(text)) = (self, text) else { return };
        said.thought = true;
        let text = text.into_owned();
        if !std::mem::replace(begun, true) && std::mem::take(&mut said.unsigned) {
            let block = Box::new(Reasoning::text(text));
            return out.push(StreamEvent::ReasoningBlock { choice: 0, block });
        }
        out.push(StreamEvent::Reasoning { choice: 0, text });
    }
}

/// The items of a list, each as it is written.
fn list(raw: Raw<'_>) -> Vec<Box<RawValue>> {
    let items = serde_json::from_str::<Few<Raw<'_>, 1>>(raw.json()).unwrap_or_default();
    items.into_iter().filter_map(|item| item.some().map(ToOwned::to_owned)).collect()
}

/// The items as a list; `None` where there are none.
fn join(items: &[Box<RawValue>]) -> Option<Box<RawValue>> {
    if items.is_empty() { None } else { to_raw_value(items).ok() }
}

/// An object that imitations of the format put into a text.
fn unwrapped(raw: &RawValue) -> Box<RawValue> {
    let text =
        serde_json::from_str::<String>(raw.get()).ok().filter(|text| text.trim_start().starts_with('{'));
    text.and_then(|text| RawValue::from_string(text).ok()).unwrap_or_else(|| raw.to_owned())
}

/// A block of the server's own with what came after its start.
fn completed(start: Box<RawValue>, input: String, content: &str) -> Box<RawValue> {
    if input.is_empty() && content.is_empty() {
        return start;
    }
    let Ok(mut members) = Extra::parse(start.get()) else { return start };
    if !input.is_empty() {
        // What is no JSON, because it was cut, is kept as a text.
        let value = RawValue::from_string(input.clone()).or_else(|_| to_raw_value(&input));
        value.into_iter().for_each(|value| members.insert("input", value));
    }
    if !content.is_empty() {
        to_raw_value(content).into_iter().for_each(|value| members.insert("content", value));
    }
    to_raw_value(&members).unwrap_or(start)
}

fn kept(rest: Rest<'_>) -> Extra {
    rest.into_iter().map(|(name, raw)| (name.into_owned(), raw.to_owned())).collect()
}
