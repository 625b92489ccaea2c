//! Answers in the dialect's shape: one response, or those of a stream.

use super::request::GenerateCall;
use crate::{
    invented::sign,
    script::{ToolCall, UsageField},
    speech::{End, Speech},
    text::{Pieces, push_arguments, push_json, push_number, tokens},
};

/// An answer with what else its shape needs. The same for every candidate.
#[derive(Debug)]
pub(super) struct Response<'a> {
    pub(super) said: Speech<'a>,
    pub(super) call: &'a GenerateCall<'a>,
    pub(super) model: &'a str,
}

/// How a stream's responses follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Server-sent events, with the vendor's CR LF.
    Events,
    /// One JSON array.
    Array,
}

/// A part, with its signature.
#[derive(Clone, Copy)]
enum Part<'a> {
    Thought(&'a str),
    Text { text: &'a str, signed: bool },
    Call { call: &'a ToolCall, signed: bool },
}

/// The counts a chunk reports.
#[derive(Clone, Copy, Default)]
struct Counts {
    candidates: u64,
    thoughts: u64,
    /// Whether nothing follows.
    last: bool,
}

impl<'a> Response<'a> {
    /// Tokens of all candidates.
    pub(super) fn tokens(&self) -> u64 {
        self.said.tokens().saturating_mul(self.call.candidates)
    }

    /// Whether the prompt was refused: then there is no candidate at all.
    fn blocked(&self) -> bool {
        self.said.refusal.is_some() && self.said.content.is_none() && self.said.tool_calls.is_empty()
    }

    fn thoughts(&self) -> Option<&'a str> {
        self.said.reasoning.filter(|_| self.call.shows_thoughts)
    }

    /// Only the first of parallel calls is signed; without a call, it is the text.
    fn calls(&self) -> impl Iterator<Item = Part<'a>> + use<'a> {
        let signs = self.signs();
        let calls = self.said.tool_calls.iter().enumerate();
        calls.map(move |(at, call)| Part::Call { call, signed: signs && at == 0 })
    }

    fn signs(&self) -> bool {
        self.said.reasoning.is_some() || self.said.signature.is_some() || self.call.needs_signatures
    }

    /// Whether the text carries the signature.
    fn signs_text(&self) -> bool {
        self.said.tool_calls.is_empty() && (self.said.reasoning.is_some() || self.said.signature.is_some())
    }

    /// Appends the whole response.
    pub(super) fn plain(&self, out: &mut Vec<u8>) {
        out.push(b'{');
        if self.blocked() {
            self.push_feedback(out);
        } else {
            out.extend_from_slice(b"\"candidates\":[");
            let text = self.said.content.filter(|text| !text.is_empty());
            let text = text.map(|text| Part::Text { text, signed: self.signs_text() });
            let parts: Vec<Part<'_>> =
                self.thoughts().map(Part::Thought).into_iter().chain(text).chain(self.calls()).collect();
            for index in 0..self.call.candidates {
                out.extend_from_slice(if index == 0 { b"" } else { b"," });
                self.push_candidate(out, index, &parts, true);
            }
            out.push(b']');
        }
        self.push_closing(out, self.all());
    }

    /// Appends a stream. `token_at` is told where each response begins that carries a token.
    pub(super) fn stream(&self, form: Form, out: &mut Vec<u8>, token_at: &mut dyn FnMut(usize)) {
        let mut first = true;
        let mut chunk = |out: &mut Vec<u8>, push: &mut dyn FnMut(&mut Vec<u8>)| {
            out.extend_from_slice(match (form, std::mem::take(&mut first)) {
                (Form::Events, _) => b"data: {",
                (Form::Array, true) => b"[{",
                (Form::Array, false) => b",\r\n{",
            });
            push(out);
            if form == Form::Events {
                out.extend_from_slice(b"\r\n\r\n");
            }
        };
        if self.blocked() {
            chunk(out, &mut |out| {
                self.push_feedback(out);
                self.push_closing(out, self.all());
            });
        }
        let mut counts = Counts::default();
        for index in (0..self.call.candidates).filter(|_| !self.blocked()) {
            let mut say = |out: &mut Vec<u8>, part: Part<'_>, counts: Counts| {
                token_at(out.len());
                chunk(out, &mut |out| {
                    out.extend_from_slice(b"\"candidates\":[");
                    self.push_candidate(out, index, &[part], false);
                    out.push(b']');
                    self.push_closing(out, counts);
                });
            };
            for piece in Pieces::of(self.said.reasoning.unwrap_or_default()) {
                counts.thoughts += 1;
                if self.call.shows_thoughts {
                    say(out, Part::Thought(piece), counts);
                }
            }
            for piece in Pieces::of(self.said.content.unwrap_or_default()) {
                counts.candidates += 1;
                say(out, Part::Text { text: piece, signed: false }, counts);
            }
            for part in self.calls() {
                if let Part::Call { call, .. } = part {
                    counts.candidates += tokens(&call.name) + tokens(&call.arguments);
                }
                say(out, part, counts);
            }
            if self.said.end == End::Missing {
                continue;
            }
            // The signature of a text comes on an empty part of its own, at the end.
            let last = [Part::Text { text: "", signed: self.signs_text() }];
            let whole = index + 1 == self.call.candidates;
            chunk(out, &mut |out| {
                out.extend_from_slice(b"\"candidates\":[");
                self.push_candidate(out, index, if self.signs_text() { &last } else { &[] }, true);
                out.push(b']');
                self.push_closing(out, if whole { self.all() } else { counts });
            });
        }
        // The bracket is the end mark.
        if form == Form::Array && self.said.end != End::Missing {
            out.push(b']');
        }
    }

    fn push_candidate(&self, out: &mut Vec<u8>, index: u64, parts: &[Part<'_>], last: bool) {
        out.extend_from_slice(b"{\"content\":{");
        for (at, part) in parts.iter().enumerate() {
            out.extend_from_slice(if at == 0 { b"\"parts\":[" } else { b"," });
            self.push_part(out, *part);
        }
        if !parts.is_empty() {
            out.extend_from_slice(b"],");
        }
        out.extend_from_slice(b"\"role\":\"model\"}");
        if last {
            self.push_finish(out);
        }
        out.extend_from_slice(b",\"index\":");
        push_number(out, index);
        out.push(b'}');
    }

    fn push_part(&self, out: &mut Vec<u8>, part: Part<'_>) {
        let signed = match part {
            Part::Thought(text) => {
                out.extend_from_slice(b"{\"text\":");
                push_json(out, text);
                out.extend_from_slice(b",\"thought\":true");
                None
            }
            Part::Text { text, signed } => {
                out.extend_from_slice(b"{\"text\":");
                push_json(out, text);
                signed.then_some(text)
            }
            Part::Call { call, signed } => {
                out.extend_from_slice(b"{\"functionCall\":{\"name\":");
                push_json(out, &call.name);
                out.extend_from_slice(b",\"args\":");
                push_arguments(out, &call.arguments);
                if self.call.gives_ids {
                    out.extend_from_slice(b",\"id\":");
                    push_json(out, &call.id);
                }
                out.push(b'}');
                signed.then_some(call.name.as_str())
            }
        };
        if let Some(what) = signed {
            out.extend_from_slice(b",\"thoughtSignature\":");
            push_json(out, &self.said.signature.map_or_else(|| sign(what), str::to_owned));
        }
        out.push(b'}');
    }

    /// A comma and the members that tell the end.
    fn push_finish(&self, out: &mut Vec<u8>) {
        let (reason, message) = match self.said.end {
            End::Stop | End::StopSequence(_) | End::Scripted("stop") => ("STOP", None),
            End::ToolCalls | End::Scripted("tool_calls") => {
                ("STOP", Some("Model generated function call(s)."))
            }
            End::Length | End::Scripted("length") => ("MAX_TOKENS", None),
            End::Refusal | End::Scripted("content_filter") => ("SAFETY", self.said.refusal),
            End::Scripted(reason) => (reason, None),
            End::Missing => return,
        };
        out.extend_from_slice(b",\"finishReason\":");
        push_json(out, reason);
        if let Some(message) = message {
            out.extend_from_slice(b",\"finishMessage\":");
            push_json(out, message);
        }
    }

    /// The refusal of a prompt.
    fn push_feedback(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(
            b"\"promptFeedback\":{\"blockReason\":\"PROHIBITED_CONTENT\",\"blockReasonMessage\":",
        );
        push_json(out, self.said.refusal.unwrap_or_default());
        out.push(b'}');
    }

    fn all(&self) -> Counts {
        let thoughts = self.said.reasoning_tokens();
        let refusal = self.said.refusal.map_or(0, tokens);
        let spoken = self.said.tokens() - thoughts - refusal;
        Counts {
            candidates: spoken.saturating_mul(self.call.candidates),
            thoughts: thoughts.saturating_mul(self.call.candidates),
            last: true,
        }
    }

    /// A comma, what stands after the candidates, and the end of the object. Counts of zero are left out.
    fn push_closing(&self, out: &mut Vec<u8>, now: Counts) {
        match self.said.usage {
            UsageField::Absent => {}
            UsageField::Json(json) if now.last => {
                out.extend_from_slice(b",\"usageMetadata\":");
                out.extend_from_slice(json.as_bytes());
            }
            _ => {
                let prompt = self.said.prompt_tokens;
                out.extend_from_slice(b",\"usageMetadata\":{\"promptTokenCount\":");
                push_number(out, prompt);
                for (name, count) in [
                    (",\"cachedContentTokenCount\":", self.said.cached.0),
                    (",\"candidatesTokenCount\":", now.candidates),
                    (",\"thoughtsTokenCount\":", now.thoughts),
                    (",\"totalTokenCount\":", prompt + now.candidates + now.thoughts),
                ] {
                    if count > 0 {
                        out.extend_from_slice(name.as_bytes());
                        push_number(out, count);
                    }
                }
                out.extend_from_slice(b",\"promptTokensDetails\":[{\"modality\":\"TEXT\",\"tokenCount\":");
                push_number(out, prompt);
                out.extend_from_slice(b"}]}");
            }
        }
        out.extend_from_slice(b",\"modelVersion\":");
        push_json(out, self.model);
        out.extend_from_slice(b",\"responseId\":\"mock-");
        push_number(out, self.said.number);
        out.extend_from_slice(b"\"}");
    }
}
