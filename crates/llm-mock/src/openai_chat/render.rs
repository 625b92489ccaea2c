//! Answers in the dialect's shape: one object, or the events of a stream.

use super::request::ChatCall;
use crate::{
    script::{ToolCall, UsageField},
    text::{Pieces, push_json, push_number, tokens},
};

/// What is said, before it has a shape. The same for every choice.
#[derive(Debug)]
pub(crate) struct Completion<'a> {
    pub(crate) number: u64,
    pub(crate) created: u64,
    pub(crate) content: Option<&'a str>,
    pub(crate) reasoning: Option<&'a str>,
    pub(crate) refusal: Option<&'a str>,
    pub(crate) tool_calls: &'a [ToolCall],
    /// `None` leaves finish reason, usage and end marker out of a stream.
    pub(crate) finish_reason: Option<&'a str>,
    pub(crate) usage: &'a UsageField,
}

impl Completion<'_> {
    /// Tokens of one choice.
    fn tokens(&self) -> u64 {
        let texts = [self.content, self.reasoning, self.refusal].into_iter().flatten();
        let calls = self.tool_calls.iter().flat_map(|call| [call.name.as_str(), call.arguments.as_str()]);
        texts.chain(calls).map(tokens).sum()
    }

    /// Tokens of all choices, as the usage reports them.
    pub(crate) fn completion_tokens(&self, call: &ChatCall<'_>) -> u64 {
        self.tokens().saturating_mul(u64::from(call.choices))
    }

    /// Appends the `chat.completion` object.
    pub(crate) fn plain(&self, call: &ChatCall<'_>, out: &mut Vec<u8>) {
        self.push_opening(call, "chat.completion", out);
        for index in 0..call.choices {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(b"{\"index\":");
            push_number(out, u64::from(index));
            out.extend_from_slice(b",\"message\":{\"role\":\"assistant\",\"content\":");
            push_or_null(out, self.content);
            if let Some(reasoning) = self.reasoning {
                out.extend_from_slice(b",\"reasoning_content\":");
                push_json(out, reasoning);
            }
            for (at, tool_call) in self.tool_calls.iter().enumerate() {
                out.extend_from_slice(if at == 0 { b",\"tool_calls\":[" } else { b"," });
                push_tool_call(out, index, tool_call, &tool_call.arguments);
            }
            if !self.tool_calls.is_empty() {
                out.push(b']');
            }
            out.extend_from_slice(b",\"refusal\":");
            push_or_null(out, self.refusal);
            out.extend_from_slice(b"},\"logprobs\":null,\"finish_reason\":");
            push_or_null(out, self.finish_reason);
            out.push(b'}');
        }
        out.push(b']');
        if *self.usage != UsageField::Absent {
            out.extend_from_slice(b",\"usage\":");
            self.push_usage(call, out);
        }
        out.push(b'}');
    }

    /// Appends the events of a stream. `token_at` is told where each event begins that carries a token.
    pub(crate) fn stream(&self, call: &ChatCall<'_>, out: &mut Vec<u8>, mut token_at: impl FnMut(usize)) {
        // All that repeats is written once and copied.
        let mut opening = b"data: ".to_vec();
        self.push_opening(call, "chat.completion.chunk", &mut opening);
        let closing: &[u8] = if call.include_usage { b"],\"usage\":null}\n\n" } else { b"]}\n\n" };
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
        for index in 0..call.choices {
            event(out, index, None, &mut |out| {
                out.extend_from_slice(b"\"role\":\"assistant\",\"content\":");
                push_or_null(out, self.content.map(|_| ""));
                out.extend_from_slice(b",\"refusal\":");
                push_or_null(out, self.refusal.map(|_| ""));
            });
            let texts = [
                ("\"reasoning_content\":", self.reasoning),
                ("\"content\":", self.content),
                ("\"refusal\":", self.refusal),
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
            for (at, tool_call) in (0_u64..).zip(self.tool_calls) {
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
            if let Some(reason) = self.finish_reason {
                event(out, index, Some(reason), &mut |_| {});
            }
        }
        if self.finish_reason.is_none() {
            return;
        }
        if call.include_usage && *self.usage != UsageField::Absent {
            out.extend_from_slice(&opening);
            out.extend_from_slice(b"],\"usage\":");
            self.push_usage(call, out);
            out.extend_from_slice(b"}\n\n");
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    /// Everything up to and with `"choices":[`.
    fn push_opening(&self, call: &ChatCall<'_>, object: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"id\":\"chatcmpl-mock-");
        push_number(out, self.number);
        out.extend_from_slice(b"\",\"object\":\"");
        out.extend_from_slice(object.as_bytes());
        out.extend_from_slice(b"\",\"created\":");
        push_number(out, self.created);
        out.extend_from_slice(b",\"model\":");
        push_json(out, &call.model);
        out.extend_from_slice(b",\"choices\":[");
    }

    fn push_usage(&self, call: &ChatCall<'_>, out: &mut Vec<u8>) {
        if let UsageField::Json(json) = self.usage {
            out.extend_from_slice(json.as_bytes());
            return;
        }
        let (prompt, completion) = (call.prompt_tokens, self.completion_tokens(call));
        let reasoning = self.reasoning.map_or(0, tokens).saturating_mul(u64::from(call.choices));
        for (name, count) in [
            ("{\"prompt_tokens\":", prompt),
            (",\"completion_tokens\":", completion),
            (",\"total_tokens\":", prompt.saturating_add(completion)),
            (",\"prompt_tokens_details\":{\"cached_tokens\":", 0),
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

fn push_or_null(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => push_json(out, text),
        None => out.extend_from_slice(b"null"),
    }
}
