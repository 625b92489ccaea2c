//! Answers in the dialect's shape: one object, or the events of a stream.

use super::request::ChatCall;
use crate::{
    script::{ToolCall, UsageField},
    speech::{End, Speech},
    text::{Pieces, push_json, push_number, push_or_null},
};

/// An answer with what else its shape needs. The same for every choice.
#[derive(Debug)]
pub(crate) struct Completion<'a> {
    pub(crate) said: Speech<'a>,
    pub(crate) created: u64,
    pub(crate) call: &'a ChatCall<'a>,
}

impl Completion<'_> {
    /// Tokens of all choices, as the usage reports them.
    pub(crate) fn completion_tokens(&self) -> u64 {
        self.said.tokens().saturating_mul(u64::from(self.call.choices))
    }

    fn finish_reason(&self) -> Option<&str> {
        match self.said.end {
            End::Stop | End::StopSequence(_) | End::Refusal => Some("stop"),
            End::Length => Some("length"),
            End::ToolCalls => Some("tool_calls"),
            End::Scripted(reason) => Some(reason),
            End::Missing => None,
        }
    }

    /// Appends the `chat.completion` object.
    pub(crate) fn plain(&self, out: &mut Vec<u8>) {
        self.push_opening("chat.completion", out);
        for index in 0..self.call.choices {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(b"{\"index\":");
            push_number(out, u64::from(index));
            out.extend_from_slice(b",\"message\":{\"role\":\"assistant\",\"content\":");
            push_or_null(out, self.said.content);
            if let Some(reasoning) = self.said.reasoning {
                out.extend_from_slice(b",\"reasoning_content\":");
                push_json(out, reasoning);
            }
            for (at, tool_call) in self.said.tool_calls.iter().enumerate() {
                out.extend_from_slice(if at == 0 { b",\"tool_calls\":[" } else { b"," });
                push_tool_call(out, index, tool_call, &tool_call.arguments);
            }
            if !self.said.tool_calls.is_empty() {
                out.push(b']');
            }
            out.extend_from_slice(b",\"refusal\":");
            push_or_null(out, self.said.refusal);
            out.extend_from_slice(b"},\"logprobs\":null,\"finish_reason\":");
            push_or_null(out, self.finish_reason());
            out.push(b'}');
        }
        out.push(b']');
        if *self.said.usage != UsageField::Absent {
            out.extend_from_slice(b",\"usage\":");
            self.push_usage(out);
        }
        out.push(b'}');
    }

    /// Appends the events of a stream. `token_at` is told where each event begins that carries a token.
    pub(crate) fn stream(&self, out: &mut Vec<u8>, token_at: &mut dyn FnMut(usize)) {
        // All that repeats is written once and copied.
        let mut opening = b"data: ".to_vec();
        self.push_opening("chat.completion.chunk", &mut opening);
        let closing: &[u8] = if self.call.include_usage { b"],\"usage\":null}\n\n" } else { b"]}\n\n" };
        let event =
            |out: &mut Vec<u8>, index: u32, finish: Option<&str>, delta: &mut dyn FnMut(&mut Vec<u8>)| {
                out.extend_from_slice(&opening);
                out.extend_from_slice(b"{\"index\":");
                push_number(out, u64::from(index));
                out.extend_from_slice(b",\"delta\":{");
                delta(out);
                out.extend_from_slice(b"},\"logprobs\":null,\"finish_reason\":");
                push_or_null(out, finish);
                out.push(b'}');
                out.extend_from_slice(closing);
            };
        for index in 0..self.call.choices {
            event(out, index, None, &mut |out| {
                out.extend_from_slice(b"\"role\":\"assistant\",\"content\":");
                push_or_null(out, self.said.content.map(|_| ""));
                out.extend_from_slice(b",\"refusal\":");
                push_or_null(out, self.said.refusal.map(|_| ""));
            });
            let texts = [
                ("\"reasoning_content\":", self.said.reasoning),
                ("\"content\":", self.said.content),
                ("\"refusal\":", self.said.refusal),
            ];
            for (name, text) in texts {
                for piece in Pieces::of(text.unwrap_or_default()) {
                    token_at(out.len());
                    event(out, index, None, &mut |out| {
                        out.extend_from_slice(name.as_bytes());
                        push_json(out, piece);
                    });
                }
            }
            for (at, tool_call) in (0_u64..).zip(self.said.tool_calls) {
                token_at(out.len());
                event(out, index, None, &mut |out| {
                    out.extend_from_slice(b"\"tool_calls\":[{\"index\":");
                    push_number(out, at);
                    out.push(b',');
                    // The call's own object without its opening brace: `index` stands before its members.
                    let start = out.len();
                    push_tool_call(out, index, tool_call, "");
                    out.remove(start);
                    out.push(b']');
                });
                for piece in Pieces::of(&tool_call.arguments) {
                    token_at(out.len());
                    event(out, index, None, &mut |out| {
                        out.extend_from_slice(b"\"tool_calls\":[{\"index\":");
                        push_number(out, at);
                        out.extend_from_slice(b",\"function\":{\"arguments\":");
                        push_json(out, piece);
                        out.extend_from_slice(b"}}]");
                    });
                }
            }
            if let Some(reason) = self.finish_reason() {
                event(out, index, Some(reason), &mut |_| {});
            }
        }
        if self.finish_reason().is_none() {
            return;
        }
        if self.call.include_usage && *self.said.usage != UsageField::Absent {
            out.extend_from_slice(&opening);
            out.extend_from_slice(b"],\"usage\":");
            self.push_usage(out);
            out.extend_from_slice(b"}\n\n");
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    /// Everything up to and with `"choices":[`.
    fn push_opening(&self, object: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"id\":\"chatcmpl-mock-");
        push_number(out, self.said.number);
        out.extend_from_slice(b"\",\"object\":\"");
        out.extend_from_slice(object.as_bytes());
        out.extend_from_slice(b"\",\"created\":");
        push_number(out, self.created);
        out.extend_from_slice(b",\"model\":");
        push_json(out, &self.call.model);
        out.extend_from_slice(b",\"choices\":[");
    }

    fn push_usage(&self, out: &mut Vec<u8>) {
        if let UsageField::Json(json) = self.said.usage {
            out.extend_from_slice(json.as_bytes());
            return;
        }
        let (prompt, completion) = (self.said.prompt_tokens, self.completion_tokens());
        let reasoning = self.said.reasoning_tokens().saturating_mul(u64::from(self.call.choices));
        for (name, count) in [
            ("{\"prompt_tokens\":", prompt),
            (",\"completion_tokens\":", completion),
            (",\"total_tokens\":", prompt.saturating_add(completion)),
            (",\"prompt_tokens_details\":{\"cached_tokens\":", self.said.cached.0),
            ("},\"completion_tokens_details\":{\"reasoning_tokens\":", reasoning),
        ] {
            out.extend_from_slice(name.as_bytes());
            push_number(out, count);
        }
        out.extend_from_slice(b"}}");
    }
}

/// Ids are told apart by choice: the first choice has the script's own.
fn push_tool_call(out: &mut Vec<u8>, index: u32, call: &ToolCall, arguments: &str) {
    out.extend_from_slice(b"{\"id\":");
    match index {
        0 => push_json(out, &call.id),
        _ => push_json(out, &format!("{}_{index}", call.id)),
    }
    out.extend_from_slice(b",\"type\":\"function\",\"function\":{\"name\":");
    push_json(out, &call.name);
    out.extend_from_slice(b",\"arguments\":");
    push_json(out, arguments);
    out.extend_from_slice(b"}}");
}
