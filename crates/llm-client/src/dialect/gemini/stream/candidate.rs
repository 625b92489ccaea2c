//! One of the answers: what its chunks add up to.

use llm_types::{Extra, FinishReason, NativePart, Reasoning, StreamEvent};
use serde_json::value::{RawValue, to_raw_value};

use super::pieces::Pieces;
use crate::dialect::events::{one_id_for_two, only_reasoning};
use crate::dialect::gemini::wire::{Call, Candidate, Part};
use crate::dialect::gemini::{LENGTH, NATIVE_ID, SIGNED_BY, THOUGHT, signer};
use crate::dialect::ids::short_id;
use crate::dialect::json::Rest;
use crate::dialect::members::Members;

/// What all candidates of an answer share.
#[derive(Clone, Copy)]
pub(super) struct Shared<'a> {
    /// The server's name for the answer.
    pub(super) answer: &'a str,
    /// The model that was asked: no other can read its signatures.
    pub(super) model: &'a str,
    /// Who was asked.
    pub(super) origin: Option<&'a str>,
}

/// What is remembered of a candidate between its chunks.
#[derive(Debug)]
pub(super) struct CandidateState {
    pub(super) index: u32,
    /// Broken text was repaired.
    pub(super) repaired: bool,
    /// The pieces of a call's arguments are more than may be kept.
    pub(super) overflowed: bool,
    /// Why it stopped, as far as is known.
    finish: Option<String>,
    /// It has thought.
    thought: bool,
    /// It has given something that a caller can use.
    answered: bool,
    /// The last part was a thought that the next one goes on with.
    thinking: bool,
    calls: u32,
    /// Their ids, of those that have one.
    ids: Vec<String>,
    /// The arguments of the last call, while they come in pieces.
    open: Option<Pieces>,
    members: Members,
}

impl CandidateState {
    pub(super) fn new(index: u32) -> Self {
        Self {
            index,
            repaired: false,
            overflowed: false,
            finish: None,
            thought: false,
            answered: false,
            thinking: false,
            calls: 0,
            ids: Vec::new(),
            open: None,
            members: Members::default(),
        }
    }

    /// Whether the server said why it stopped.
    pub(super) fn is_finished(&self) -> bool {
        self.finish.is_some()
    }

    /// How many calls it has made.
    pub(super) fn calls(&self) -> u32 {
        self.calls
    }

    /// Takes a candidate, or a chunk of one.
    pub(super) fn take(
        &mut self,
        candidate: &mut Candidate<'_>,
        shared: Shared<'_>,
        out: &mut Vec<StreamEvent>,
    ) {
        let Candidate { content, finish_reason, logprobs, rest, .. } = candidate;
        for part in content.parts.iter_mut().filter(|part| part.present) {
            self.part(part, shared, out);
        }
        if let Some(logprobs) = logprobs.some() {
            out.push(StreamEvent::Logprobs { choice: self.index, logprobs: logprobs.to_owned() });
        }
        for (name, raw) in rest.drain() {
            if let Some(value) = self.members.take(&name, raw) {
                out.push(StreamEvent::Extra { choice: Some(self.index), name: name.into_owned(), value });
            }
        }
        if let Some(word) = finish_reason.take() {
            self.finish = Some(word.into_owned());
        }
    }

    /// Ends the candidate with the answer.
    pub(super) fn close(mut self, out: &mut Vec<StreamEvent>) {
        self.end_call(out);
        let choice = self.index;
        if self.thought && !self.answered && self.calls == 0 {
            out.push(only_reasoning(choice));
        }
        let reason = finish_reason(self.finish.as_deref(), self.calls > 0);
        out.push(StreamEvent::Finish { choice, reason, native: self.finish });
    }

    fn part(&mut self, part: &mut Part<'_>, shared: Shared<'_>, out: &mut Vec<StreamEvent>) {
        let choice = self.index;
        let Part { text, thought, signature, call, rest, .. } = part;
        let thought = thought.json() == "true";
        let signature = signature.take_owned();
        if call.present {
            self.thinking = false;
            self.call(call, signature, shared, out);
            self.beside(rest, out);
            return;
        }
        if text.as_str().is_empty() && !rest.is_empty() {
            (self.thinking, self.answered) = (false, true);
            let mut members: Extra =
                rest.drain().map(|(name, raw)| (name.into_owned(), raw.to_owned())).collect();
            if thought {
                members.insert("thought", RawValue::TRUE.to_owned());
            }
            let signed = signature.is_none_or(|text| members.set("thoughtSignature", &text).is_ok());
            if let (true, Ok(json)) = (signed, to_raw_value(&members)) {
                // A signature is read by the model that made it, and by no other of its vendor.
                let signed = members.get("thoughtSignature").is_some();
                let origin = if signed {
                    signer(shared.origin, shared.model)
                } else {
                    shared.origin.map(str::to_owned)
                };
                let part = NativePart { json, origin };
                out.push(StreamEvent::Native { choice, part });
            }
            return;
        }
        self.beside(rest, out);
        let text = text.take_owned().unwrap_or_default();
        if thought {
            self.think(text, signature, shared, out);
            return;
        }
        let length = text.len();
        if length > 0 {
            (self.thinking, self.answered) = (false, true);
            out.push(StreamEvent::Text { choice, text });
        }
        if let Some(signature) = signature {
            // It belongs to this text and no other, and to this place where there is no text.
            self.thinking = false;
            let mut block = sealed(signature, shared);
            if length > 0 && block.extra.set(LENGTH, &length).is_err() {
                return;
            }
            out.push(StreamEvent::ReasoningBlock { choice, block: Box::new(block) });
        }
    }

    /// Gives what is said of a text or a call besides.
    fn beside(&self, rest: &mut Rest<'_>, out: &mut Vec<StreamEvent>) {
        for (name, raw) in rest.drain() {
            let value = raw.to_owned();
            out.push(StreamEvent::Extra { choice: Some(self.index), name: name.into_owned(), value });
        }
    }

    /// Takes a summary of thoughts, or a piece of one. A signed part is never one with another.
    fn think(
        &mut self,
        text: String,
        signature: Option<String>,
        shared: Shared<'_>,
        out: &mut Vec<StreamEvent>,
    ) {
        let choice = self.index;
        if text.is_empty() && signature.is_none() {
            return;
        }
        self.thought |= !text.is_empty();
        if self.thinking && signature.is_none() {
            out.push(StreamEvent::Reasoning { choice, text });
            return;
        }
        self.thinking = signature.is_none();
        let block = match signature {
            Some(signature) if text.is_empty() => {
                let mut block = sealed(signature, shared);
                block.extra.insert(THOUGHT, RawValue::TRUE.to_owned());
                block
            }
            signature => Reasoning {
                text,
                summary: true,
                signature,
                origin: shared.origin.map(str::to_owned),
                format: Some(shared.model.to_owned()),
                ..Reasoning::default()
            },
        };
        out.push(StreamEvent::ReasoningBlock { choice, block: Box::new(block) });
    }

    fn call(
        &mut self,
        call: &mut Call<'_>,
        signature: Option<String>,
        shared: Shared<'_>,
        out: &mut Vec<StreamEvent>,
    ) {
        let Call { id, name, args, pieces, goes_on, rest, .. } = call;
        let goes_on = goes_on.json() == "true";
        let named = name.take();
        let says_nothing = args.some().is_none() && pieces.is_empty();
        if named.is_none() && self.open.is_none() && says_nothing {
            return;
        }
        if named.is_some() || self.open.is_none() {
            self.end_call(out);
            let id = id.take_owned();
            let name = named.unwrap_or_default().into_owned();
            self.begin_call(id, name, signature, shared, out);
            for (name, raw) in rest.drain() {
                self.replay(&name, raw.to_owned(), out);
            }
            self.open = Some(Pieces::default());
        }
        let Some(open) = &mut self.open else { return };
        if let Some(args) = args.some() {
            open.set(args);
        }
        for piece in pieces.drain() {
            self.overflowed |= !open.push(piece, &mut self.repaired);
        }
        if !goes_on {
            self.end_call(out);
        }
    }

    fn begin_call(
        &mut self,
        given: Option<String>,
        name: String,
        signature: Option<String>,
        shared: Shared<'_>,
        out: &mut Vec<StreamEvent>,
    ) {
        let (choice, index) = (self.index, self.calls);
        self.calls = self.calls.saturating_add(1);
        let (answer, name_bytes) = (shared.answer.as_bytes(), name.as_bytes());
        let own = given.as_ref().filter(|id| !self.ids.contains(id)).cloned();
        if own.is_none() && given.is_some() {
            out.push(one_id_for_two());
        }
        self.ids.extend(own.clone());
        let id = own.unwrap_or_else(|| {
            let pieces = [answer, &choice.to_le_bytes(), &index.to_le_bytes(), name_bytes];
            format!("call_{}", short_id(&pieces))
        });
        let signed = signature.is_some();
        out.push(StreamEvent::ToolCallStart { choice, index, id, name, custom: false, signature });
        // Only its own id goes back, and only to whom it signed for its signature.
        for (name, value) in
            [(NATIVE_ID, given), (SIGNED_BY, signed.then(|| signer(shared.origin, shared.model)).flatten())]
        {
            if let Some(value) = value.and_then(|value| to_raw_value(&value).ok()) {
                self.replay(name, value, out);
            }
        }
    }

    /// Gives a member that must come back with the call that was begun last.
    fn replay(&self, name: &str, value: Box<RawValue>, out: &mut Vec<StreamEvent>) {
        let call = Some(self.calls.saturating_sub(1));
        out.push(StreamEvent::Replay { choice: self.index, call, name: name.to_owned(), value });
    }

    /// Ends the call that is open.
    fn end_call(&mut self, out: &mut Vec<StreamEvent>) {
        let Some(open) = self.open.take() else { return };
        let (choice, index) = (self.index, self.calls.saturating_sub(1));
        out.push(StreamEvent::ToolCallDelta { choice, index, arguments: open.into_json() });
        out.push(StreamEvent::ToolCallEnd { choice, index });
    }
}

/// A signature that stands by itself.
fn sealed(signature: String, shared: Shared<'_>) -> Reasoning {
    Reasoning {
        encrypted: Some(signature),
        origin: shared.origin.map(str::to_owned),
        format: Some(shared.model.to_owned()),
        ..Reasoning::default()
    }
}

/// The reason in our words. There is none of its own for calls.
fn finish_reason(word: Option<&str>, has_calls: bool) -> FinishReason {
    match word {
        Some("STOP") | None if has_calls => FinishReason::ToolCalls,
        Some("STOP") | None => FinishReason::Stop,
        Some("MAX_TOKENS" | "CONTINUATION") => FinishReason::Length,
        Some(
            "SAFETY"
            | "RECITATION"
            | "LANGUAGE"
            | "BLOCKLIST"
            | "PROHIBITED_CONTENT"
            | "SPII"
            | "IMAGE_SAFETY"
            | "IMAGE_PROHIBITED_CONTENT"
            | "IMAGE_RECITATION"
            | "MODEL_ARMOR"
            | "ESCALATION"
            | "PUP_LIMITED_DISABLED",
        ) => FinishReason::ContentFilter,
        Some(
            "MALFORMED_FUNCTION_CALL"
            | "UNEXPECTED_TOOL_CALL"
            | "TOO_MANY_TOOL_CALLS"
            | "MISSING_THOUGHT_SIGNATURE"
            | "MALFORMED_RESPONSE",
        ) => FinishReason::Error,
        Some(_) => FinishReason::Other,
    }
}
