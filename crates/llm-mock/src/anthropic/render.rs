//! Answers in the dialect's shape: one message, or the events of a stream.

use serde_json::Value;

use super::request::MessagesCall;
use crate::{
    invented::sign,
    script::{ToolCall, UsageField},
    speech::{End, Speech},
    text::{Pieces, push_arguments, push_json, push_number, push_or_null},
};

/// An answer with what else its shape needs.
#[derive(Debug)]
pub(super) struct Message<'a> {
    pub(super) said: Speech<'a>,
    pub(super) call: &'a MessagesCall<'a>,
}

/// A content block.
#[derive(Clone, Copy)]
enum Block<'a> {
    Thinking(&'a str),
    Redacted(&'a str),
    Text(&'a str),
    ToolUse(&'a ToolCall),
}

impl<'a> Message<'a> {
    /// In the order in which a model writes them; an empty text is no block.
    fn blocks(&self) -> impl Iterator<Item = Block<'a>> {
        let said = &self.said;
        let before =
            said.reasoning.map(Block::Thinking).into_iter().chain(said.redacted.map(Block::Redacted));
        let text = said.content.filter(|text| !text.is_empty()).map(Block::Text);
        before.chain(text).chain(said.tool_calls.iter().map(Block::ToolUse))
    }

    /// The thinking as far as the request wants to see it, and its signature.
    fn thinking<'t>(&self, thinking: &'t str) -> (&'t str, String) {
        let shown = if self.call.omits_thinking { "" } else { thinking };
        (shown, self.said.signature.map_or_else(|| sign(shown), str::to_owned))
    }

    /// Appends the `message` object.
    pub(super) fn plain(&self, out: &mut Vec<u8>) {
        self.push_opening(out);
        for (at, block) in self.blocks().enumerate() {
            out.extend_from_slice(if at == 0 { b"" } else { b"," });
            match block {
                Block::Thinking(thinking) => {
                    let (shown, signature) = self.thinking(thinking);
                    out.extend_from_slice(b"{\"type\":\"thinking\",\"thinking\":");
                    push_json(out, shown);
                    out.extend_from_slice(b",\"signature\":");
                    push_json(out, &signature);
                }
                Block::Redacted(data) => push_redacted(out, data),
                Block::Text(text) => {
                    out.extend_from_slice(b"{\"type\":\"text\",\"text\":");
                    push_json(out, text);
                }
                Block::ToolUse(call) => {
                    push_tool_use(out, call);
                    push_arguments(out, &call.arguments);
                }
            }
            out.push(b'}');
        }
        out.extend_from_slice(b"],");
        self.push_stop(out);
        self.push_usage(out, false, self.said.tokens(), self.said.reasoning_tokens());
        out.push(b'}');
    }

    /// Appends the events of a stream. `token_at` is told where each event begins that carries a token.
    pub(super) fn stream(&self, out: &mut Vec<u8>, token_at: &mut dyn FnMut(usize)) {
        out.extend_from_slice(b"event: message_start\ndata: {\"type\":\"message_start\",\"message\":");
        self.push_opening(out);
        out.extend_from_slice(b"],\"stop_reason\":null,\"stop_sequence\":null");
        self.push_usage(out, true, 1, 0);
        out.extend_from_slice(b"}}\n\n");
        let mut pinged = false;
        for (index, block) in (0_u64..).zip(self.blocks()) {
            let start = |out: &mut Vec<u8>, push: &mut dyn FnMut(&mut Vec<u8>)| {
                out.extend_from_slice(b"event: content_block_start\n");
                push_indexed(out, "content_block_start", index);
                out.extend_from_slice(b",\"content_block\":");
                push(out);
                out.extend_from_slice(b"}}\n\n");
            };
            let delta = |out: &mut Vec<u8>, kind: &str, text: &str| {
                out.extend_from_slice(b"event: content_block_delta\n");
                push_indexed(out, "content_block_delta", index);
                out.extend_from_slice(b",\"delta\":{\"type\":\"");
                for part in [kind, "_delta\",\"", member_of(kind), "\":"] {
                    out.extend_from_slice(part.as_bytes());
                }
                push_json(out, text);
                out.extend_from_slice(b"}}\n\n");
            };
            match block {
                Block::Thinking(_) => start(out, &mut |out| {
                    out.extend_from_slice(b"{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"");
                }),
                Block::Redacted(data) => start(out, &mut |out| push_redacted(out, data)),
                Block::Text(_) => {
                    start(out, &mut |out| out.extend_from_slice(b"{\"type\":\"text\",\"text\":\"\""));
                }
                Block::ToolUse(call) => {
                    // The name is a token of its own.
                    token_at(out.len());
                    start(out, &mut |out| {
                        push_tool_use(out, call);
                        out.extend_from_slice(b"{}");
                    });
                }
            }
            if !std::mem::replace(&mut pinged, true) {
                out.extend_from_slice(b"event: ping\ndata: {\"type\": \"ping\"}\n\n");
            }
            match block {
                Block::Thinking(thinking) => {
                    let (shown, signature) = self.thinking(thinking);
                    for piece in Pieces::of(shown) {
                        token_at(out.len());
                        delta(out, "thinking", piece);
                    }
                    delta(out, "signature", &signature);
                }
                Block::Redacted(_) => {}
                Block::Text(text) => {
                    for piece in Pieces::of(text) {
                        token_at(out.len());
                        delta(out, "text", piece);
                    }
                }
                Block::ToolUse(call) => {
                    // Every call begins with an empty delta; one without arguments has no other.
                    delta(out, "input_json", "");
                    let arguments = if call.arguments == "{}" { "" } else { &call.arguments };
                    for piece in Pieces::of(arguments) {
                        token_at(out.len());
                        delta(out, "input_json", piece);
                    }
                }
            }
            out.extend_from_slice(b"event: content_block_stop\n");
            push_indexed(out, "content_block_stop", index);
            // Padding before a closing brace is the vendor's habit.
            out.extend_from_slice(b"     }\n\n");
        }
        if self.said.end == End::Missing {
            return;
        }
        out.extend_from_slice(b"event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{");
        self.push_stop(out);
        out.push(b'}');
        self.push_usage(out, false, self.said.tokens(), self.said.reasoning_tokens());
        out.extend_from_slice(b"}\n\nevent: message_stop\ndata: {\"type\":\"message_stop\"}\n\n");
    }

    /// Everything up to and with `"content":[`.
    fn push_opening(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"id\":\"msg_mock_");
        push_number(out, self.said.number);
        out.extend_from_slice(b"\",\"type\":\"message\",\"role\":\"assistant\",\"model\":");
        push_json(out, &self.call.model);
        out.extend_from_slice(b",\"content\":[");
    }

    /// The members that tell the end.
    fn push_stop(&self, out: &mut Vec<u8>) {
        let (reason, sequence) = match self.said.end {
            End::Stop | End::Scripted("stop") => (Some("end_turn"), None),
            End::StopSequence(stop) => (Some("stop_sequence"), Some(stop)),
            End::Length | End::Scripted("length") => (Some("max_tokens"), None),
            End::ToolCalls | End::Scripted("tool_calls") => (Some("tool_use"), None),
            End::Refusal | End::Scripted("content_filter") => (Some("refusal"), None),
            End::Scripted("stop_sequence") => {
                (Some("stop_sequence"), self.call.stop.first().map(|stop| &**stop))
            }
            End::Scripted(reason) => (Some(reason), None),
            End::Missing => (None, None),
        };
        out.extend_from_slice(b"\"stop_reason\":");
        push_or_null(out, reason);
        out.extend_from_slice(b",\"stop_sequence\":");
        push_or_null(out, sequence);
        if reason == Some("refusal") {
            out.extend_from_slice(
                b",\"stop_details\":{\"type\":\"refusal\",\"category\":null,\"explanation\":",
            );
            push_or_null(out, self.said.refusal);
            out.push(b'}');
        }
    }

    /// A comma and the `usage` member, if there is to be one.
    fn push_usage(&self, out: &mut Vec<u8>, at_start: bool, output: u64, thinking: u64) {
        if *self.said.usage == UsageField::Absent {
            return;
        }
        out.extend_from_slice(b",\"usage\":");
        if let UsageField::Json(json) = self.said.usage {
            // At the start hardly anything is written yet; what is not an object is nobody's usage anyway.
            match serde_json::from_str::<Value>(json) {
                Ok(Value::Object(mut usage)) if at_start => {
                    if let Some(count) = usage.get_mut("output_tokens") {
                        *count = output.into();
                    }
                    usage.remove("output_tokens_details");
                    // A JSON object into a Vec: nothing can fail.
                    let _ = serde_json::to_writer(out, &usage);
                }
                _ => out.extend_from_slice(json.as_bytes()),
            }
            return;
        }
        let (read, written) = self.said.cached;
        for (name, count) in [
            ("{\"input_tokens\":", self.said.prompt_tokens - read - written),
            (",\"cache_creation_input_tokens\":", written),
            (",\"cache_read_input_tokens\":", read),
            (",\"cache_creation\":{\"ephemeral_5m_input_tokens\":", written),
            (",\"ephemeral_1h_input_tokens\":", 0),
            ("},\"output_tokens\":", output),
        ] {
            out.extend_from_slice(name.as_bytes());
            push_number(out, count);
        }
        if !at_start {
            out.extend_from_slice(b",\"output_tokens_details\":{\"thinking_tokens\":");
            push_number(out, thinking);
            out.push(b'}');
        }
        out.extend_from_slice(b",\"service_tier\":\"standard\"}");
    }
}

fn member_of(kind: &str) -> &str {
    if kind == "input_json" { "partial_json" } else { kind }
}

/// The data line of an event about a block, up to its index.
fn push_indexed(out: &mut Vec<u8>, kind: &str, index: u64) {
    for part in ["data: {\"type\":\"", kind, "\",\"index\":"] {
        out.extend_from_slice(part.as_bytes());
    }
    push_number(out, index);
}

fn push_redacted(out: &mut Vec<u8>, data: &str) {
    out.extend_from_slice(b"{\"type\":\"redacted_thinking\",\"data\":");
    push_json(out, data);
}

/// Everything up to and with `"input":`.
fn push_tool_use(out: &mut Vec<u8>, call: &ToolCall) {
    out.extend_from_slice(b"{\"type\":\"tool_use\",\"id\":");
    push_json(out, &call.id);
    out.extend_from_slice(b",\"name\":");
    push_json(out, &call.name);
    out.extend_from_slice(b",\"input\":");
}
