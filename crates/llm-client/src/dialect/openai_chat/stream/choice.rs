//! One choice of an answer: what its chunks add up to.

use std::borrow::Cow;

use llm_types::{Extra, FinishReason, NativePart, Reasoning, StreamEvent};
use serde_json::value::{RawValue, to_raw_value};

use super::Head;
use super::sound::{self, Sound};
use crate::dialect::MADE_BY;
use crate::dialect::events::only_reasoning;
use crate::dialect::json::{Few, Raw, Rest};
use crate::dialect::members::{Lists, Members};
use crate::dialect::openai_chat::wire::{Audio, Call, Choice, Content, ContentPart, Detail, Function, Said};
use crate::dialect::quirks::Quirks;
use crate::dialect::think_tags::{Piece, Splitter};
use crate::dialect::tool_deltas::{Fragment, ToolDeltas};

/// What all choices of an answer share.
#[derive(Clone, Copy)]
pub(super) struct Shared<'a> {
    pub(super) head: &'a Head,
    /// Who can read signatures and encrypted reasoning of this answer.
    pub(super) origin: Option<&'a str>,
    /// Unknown members of a message that must come back with it.
    pub(super) replay: &'a [&'static str],
    /// The choice comes whole.
    pub(super) whole: bool,
}

/// What is remembered of a choice between its chunks.
#[derive(Debug)]
pub(super) struct ChoiceState {
    pub(super) index: u32,
    /// Broken text was repaired.
    pub(super) repaired: bool,
    begun: bool,
    finished: bool,
    /// It stopped for its calls, so it said.
    promised: bool,
    /// It has thought.
    thought: bool,
    /// It has given something that a caller can use: text, a refusal, a sound or a part of the vendor's own.
    answered: bool,
    tags: Option<Splitter>,
    calls: ToolDeltas,
    /// The block of reasoning that is open: its number, and whether it is a summary.
    block: Option<(Option<u64>, bool)>,
    of_choice: Members,
    of_message: Members,
    lists: Lists,
    sound: Option<Sound>,
    /// Something was given that must come back with the message.
    replays: bool,
}

impl ChoiceState {
    pub(super) fn new(index: u32, quirks: &Quirks) -> Self {
        Self {
            index,
            repaired: false,
            begun: false,
            finished: false,
            promised: false,
            thought: false,
            answered: false,
            tags: Splitter::new(quirks.think_tags),
            calls: ToolDeltas::default(),
            block: None,
            of_choice: Members::default(),
            of_message: Members::default(),
            lists: Lists::default(),
            sound: None,
            replays: false,
        }
    }

    /// Whether the server said why it stopped.
    pub(super) fn is_finished(&self) -> bool {
        self.finished
    }

    /// Whether it stopped for calls that have not come: some servers put them into a choice of their own.
    pub(super) fn waits_for_calls(&self) -> bool {
        self.promised && self.calls.is_empty()
    }

    /// How many tool calls it has made.
    pub(super) fn calls(&self) -> usize {
        self.calls.len()
    }

    /// How much of it is held back until its end.
    pub(super) fn kept_bytes(&self) -> usize {
        self.lists.bytes().saturating_add(self.sound.as_ref().map_or(0, Sound::bytes))
    }

    /// Takes a choice, or a chunk of one.
    pub(super) fn take(&mut self, choice: &mut Choice<'_>, shared: Shared<'_>, out: &mut Vec<StreamEvent>) {
        let Choice { delta, message, finish_reason, native_finish_reason, logprobs, rest, .. } = choice;
        // Some servers send the message so far beside each delta. It counts where there is nothing else.
        let said = match message {
            Some(message) if message.present && (shared.whole || !delta.present && !self.begun) => {
                &mut **message
            }
            _ => delta,
        };
        self.begun |= said.present;
        let from = out.len();
        if let Some(logprobs) = logprobs.some().filter(|raw| says_something(raw)) {
            out.push(StreamEvent::Logprobs { choice: self.index, logprobs: logprobs.to_owned() });
        }
        for (name, raw) in rest.drain() {
            if let Some(value) = self.of_choice.take(&name, raw) {
                out.push(StreamEvent::Extra { choice: Some(self.index), name: name.into_owned(), value });
            }
        }
        self.say(said, shared, out);
        self.look(out.get(from..).unwrap_or_default());
        let word = finish_reason.take().filter(|word| word != "null");
        if let Some(word) = word
            && !self.finished
        {
            let from = out.len();
            self.end_parts(shared.head, out);
            self.look(out.get(from..).unwrap_or_default());
            let reason = super::finish_reason(&word, !self.calls.is_empty());
            let native = native_finish_reason.take_owned().unwrap_or_else(|| word.into_owned());
            out.push(StreamEvent::Finish { choice: self.index, reason, native: Some(native) });
            self.finished = true;
            self.promised = reason == FinishReason::ToolCalls;
        }
    }

    /// Ends the choice with the answer.
    pub(super) fn close(mut self, head: &Head, origin: Option<&str>, out: &mut Vec<StreamEvent>) {
        let choice = self.index;
        let from = out.len();
        self.end_parts(head, out);
        self.look(out.get(from..).unwrap_or_default());
        if self.thought && !self.answered && self.calls.is_empty() && self.sound.is_none() {
            out.push(only_reasoning(choice));
        }
        for (name, value) in std::mem::take(&mut self.lists).join() {
            out.push(StreamEvent::Extra { choice: Some(choice), name, value });
        }
        if let Some(sound) = self.sound.take() {
            self.replays |= sound.has_id();
            sound.close(choice, out);
        }
        if let Some(value) = origin.filter(|_| self.replays).and_then(|origin| to_raw_value(origin).ok()) {
            out.push(StreamEvent::Replay { choice, call: None, name: MADE_BY.to_owned(), value });
        }
        if !self.finished {
            let reason = if self.calls.is_empty() { FinishReason::Stop } else { FinishReason::ToolCalls };
            out.push(StreamEvent::Finish { choice, reason, native: None });
        }
    }

    /// Notes what kinds of content were given out.
    fn look(&mut self, events: &[StreamEvent]) {
        for event in events {
            match event {
                StreamEvent::Reasoning { .. } | StreamEvent::ReasoningBlock { .. } => self.thought = true,
                StreamEvent::Text { .. } | StreamEvent::Refusal { .. } | StreamEvent::Native { .. } => {
                    self.answered = true;
                }
                _ => {}
            }
        }
    }

    fn end_parts(&mut self, head: &Head, out: &mut Vec<StreamEvent>) {
        self.end_tags(out);
        let choice = self.index;
        self.calls.finish(choice, |call| head.call_id(choice, call), out);
    }

    fn end_tags(&mut self, out: &mut Vec<StreamEvent>) {
        if let Some(splitter) = self.tags.take() {
            splitter.finish(|piece| out.push(event(self.index, piece)));
        }
    }

    fn say(&mut self, said: &mut Said<'_>, shared: Shared<'_>, out: &mut Vec<StreamEvent>) {
        let Said {
            content, refusal, reasoning_content, reasoning, reasoning_text, reasoning_details, ..
        } = said;
        let thoughts = reasoning_content.take().or(reasoning.take()).or(reasoning_text.take());
        self.think(thoughts, reasoning_details, shared, out);
        match std::mem::take(content) {
            Content::None => {}
            Content::Text(text) => self.text(text, out),
            Content::Parts(parts) => parts.into_iter().for_each(|part| self.part(part, shared, out)),
        }
        if let Some(text) = refusal.take() {
            out.push(StreamEvent::Refusal { choice: self.index, text: text.into_owned() });
        }
        let of = said.tool_calls.len();
        for (place, call) in said.tool_calls.iter_mut().enumerate().filter(|(_, call)| call.present) {
            self.call(call, (place, of), shared.head, out);
        }
        if said.function_call.some().is_some() {
            self.old_call(said.function_call, shared.head, out);
        }
        if said.audio.some().is_some() {
            self.sound(said.audio);
        }
        self.rest(&mut said.rest, shared, out);
    }

    fn text(&mut self, text: Cow<'_, str>, out: &mut Vec<StreamEvent>) {
        if text.is_empty() {
            return;
        }
        self.block = None;
        match &mut self.tags {
            Some(splitter) if !splitter.is_past() => {
                splitter.push(&text, |piece| out.push(event(self.index, piece)));
            }
            _ => out.push(StreamEvent::Text { choice: self.index, text: text.into_owned() }),
        }
    }

    /// Takes one part of a content that is a list.
    fn part(&mut self, raw: &RawValue, shared: Shared<'_>, out: &mut Vec<StreamEvent>) {
        if raw.get().starts_with('"') {
            let text = Raw::of(raw).to_text(&mut self.repaired).unwrap_or_default();
            return self.text(text, out);
        }
        let mut scratch = String::new();
        let part = Raw::of(raw).read::<ContentPart<'_>>(&mut scratch, &mut self.repaired);
        let native = || {
            let part = NativePart { json: raw.to_owned(), origin: shared.origin.map(str::to_owned) };
            StreamEvent::Native { choice: self.index, part }
        };
        let Some(part) = part.filter(|part| part.present) else { return out.push(native()) };
        match part.kind.as_str() {
            "text" | "output_text" | "" => {
                if !part.rest.is_empty() {
                    self.lists.take_item("content", raw);
                }
                self.text(part.text.some().unwrap_or_default(), out);
            }
            "refusal" => {
                let text = part.refusal.owned().unwrap_or_default();
                out.push(StreamEvent::Refusal { choice: self.index, text });
            }
            "thinking" => self.thinking(part, shared, out),
            _ => out.push(native()),
        }
    }

    /// Takes a part of the content that is reasoning: a text, or a list of texts.
    fn thinking(&mut self, part: ContentPart<'_>, shared: Shared<'_>, out: &mut Vec<StreamEvent>) {
        self.end_tags(out);
        let mut scratch = String::new();
        let texts =
            part.thinking.read::<Few<Raw<'_>, 1>>(&mut scratch, &mut self.repaired).unwrap_or_default();
        let mut thoughts = String::new();
        if texts.is_empty() {
            thoughts.push_str(&part.thinking.to_text(&mut self.repaired).unwrap_or_default());
        }
        for raw in texts {
            let mut scratch = String::new();
            let inner = raw.read::<ContentPart<'_>>(&mut scratch, &mut self.repaired).unwrap_or_default();
            match (inner.text.some(), raw.some()) {
                (Some(text), _) => thoughts.push_str(&text),
                (None, Some(raw)) if inner.kind.as_str() != "text" => self.lists.take_item("thinking", raw),
                (None, _) => {}
            }
        }
        if !thoughts.is_empty() && thoughts != "[]" {
            out.push(StreamEvent::Reasoning { choice: self.index, text: thoughts });
        }
        let signature = part.signature.owned();
        if signature.is_some() || !part.rest.is_empty() {
            let origin = signature.is_some().then(|| shared.origin.map(str::to_owned)).flatten();
            let extra = kept(part.rest);
            self.give_block(Reasoning { signature, origin, extra, ..Reasoning::default() }, out);
        }
    }

    /// Takes reasoning that stands in members of its own. Blocks say the same as the plain text and more.
    fn think(
        &mut self,
        text: Option<Cow<'_, str>>,
        details: &Few<Raw<'_>, 1>,
        shared: Shared<'_>,
        out: &mut Vec<StreamEvent>,
    ) {
        if text.is_none() && details.is_empty() {
            return;
        }
        // Whoever tells reasoning apart himself does not put it into the content.
        self.end_tags(out);
        let mut blocks = Vec::new();
        let mut readable = false;
        let mut scratches: Vec<String> = details.iter().map(|_| String::new()).collect();
        for (raw, scratch) in details.iter().zip(&mut scratches) {
            if let Some(detail) = raw.read::<Detail<'_>>(scratch, &mut self.repaired) {
                readable |= !detail.text.as_str().is_empty() || !detail.summary.as_str().is_empty();
                blocks.push((detail, *raw));
            }
        }
        if let Some(text) = text.filter(|_| !readable) {
            out.push(StreamEvent::Reasoning { choice: self.index, text: text.into_owned() });
        }
        for (detail, raw) in blocks {
            self.detail(detail, raw, shared, out);
        }
    }

    fn detail(&mut self, detail: Detail<'_>, raw: Raw<'_>, shared: Shared<'_>, out: &mut Vec<StreamEvent>) {
        let Detail { kind, text, summary, data, signature, id, format, index, rest, .. } = detail;
        let is_summary =
            kind.as_str() == "reasoning.summary" || text.as_str().is_empty() && !summary.as_str().is_empty();
        let text = text.some().or(summary.some());
        let (signature, encrypted) = (signature.owned(), data.owned());
        let known =
            matches!(kind.as_str(), "" | "reasoning.text" | "reasoning.summary" | "reasoning.encrypted");
        if known && text.is_none() && signature.is_none() && encrypted.is_none() {
            // Nothing that we know: kept beside the message.
            if let Some(raw) = raw.some().filter(|_| !rest.is_empty()) {
                self.lists.take_item("reasoning_details", raw);
            }
            return;
        }
        let number = (index.count(), is_summary);
        let sealed = signature.is_some() || encrypted.is_some();
        let goes_on = known && self.block == Some(number) && encrypted.is_none();
        let mut block = Reasoning {
            text: String::new(),
            summary: is_summary,
            origin: sealed.then(|| shared.origin.map(str::to_owned)).flatten(),
            signature,
            encrypted,
            id: id.owned(),
            format: format.owned(),
            extra: kept(rest),
        };
        if let Some(index) = index.some() {
            block.extra.insert("index", index.to_owned());
        }
        if !known && block.extra.set("type", kind.as_str()).is_ok() {
            // Of a kind of the server's own: only he can read it.
            block.origin = shared.origin.map(str::to_owned);
        }
        match text {
            Some(text) if goes_on => {
                out.push(StreamEvent::Reasoning { choice: self.index, text: text.into_owned() });
                if sealed {
                    self.give_block(block, out);
                }
            }
            Some(text) => {
                block.text = text.into_owned();
                self.give_block(block, out);
            }
            None => self.give_block(block, out),
        }
        self.block = (known && !sealed).then_some(number);
    }

    fn give_block(&mut self, block: Reasoning, out: &mut Vec<StreamEvent>) {
        out.push(StreamEvent::ReasoningBlock { choice: self.index, block: Box::new(block) });
    }

    fn call(&mut self, call: &mut Call<'_>, place: (usize, usize), head: &Head, out: &mut Vec<StreamEvent>) {
        let mut scratch = String::new();
        let (function, rest) = (std::mem::take(&mut call.function), std::mem::take(&mut call.rest));
        let free = call.custom.read::<Function<'_>>(&mut scratch, &mut self.repaired);
        let custom = free.is_some() || call.kind.as_str() == "custom";
        let called = free.unwrap_or(function);
        let arguments = if called.arguments.some().is_some() { called.arguments } else { called.input };
        let mut replay = Vec::new();
        for (name, raw) in rest.into_iter().chain(called.rest) {
            replay.push((name.into_owned(), raw.to_owned()));
        }
        let fragment = Fragment {
            index: call.index.count(),
            place,
            id: call.id.take(),
            name: called.name.some(),
            arguments: arguments.to_text(&mut self.repaired),
            custom,
            replay,
        };
        self.fragment(fragment, head, out);
    }

    /// The form before tools: one call, without an id.
    fn old_call(&mut self, call: Raw<'_>, head: &Head, out: &mut Vec<StreamEvent>) {
        let mut scratch = String::new();
        let call = call.read::<Function<'_>>(&mut scratch, &mut self.repaired).unwrap_or_default();
        let arguments = call.arguments.to_text(&mut self.repaired);
        let name = call.name.some();
        if name.is_some() || arguments.as_ref().is_some_and(|text| !text.is_empty()) {
            self.fragment(Fragment { place: (0, 1), name, arguments, ..Fragment::default() }, head, out);
        }
    }

    fn fragment(&mut self, fragment: Fragment<'_>, head: &Head, out: &mut Vec<StreamEvent>) {
        let choice = self.index;
        self.block = None;
        self.calls.push(choice, fragment, |call| head.call_id(choice, call), out);
    }

    fn sound(&mut self, raw: Raw<'_>) {
        let mut scratch = String::new();
        let Some(piece) = raw.read::<Audio<'_>>(&mut scratch, &mut self.repaired) else { return };
        if sound::says_something(&piece) {
            let is_broken = !self.sound.get_or_insert_default().take(piece, raw);
            self.repaired |= is_broken;
        }
    }

    /// Unknown members of the message: lists come in pieces, and what must come back goes into the message.
    fn rest(&mut self, rest: &mut Rest<'_>, shared: Shared<'_>, out: &mut Vec<StreamEvent>) {
        let choice = self.index;
        for (name, raw) in rest.drain() {
            if shared.replay.contains(&&*name) {
                self.replays = true;
                let (name, value) = (name.into_owned(), raw.to_owned());
                out.push(StreamEvent::Replay { choice, call: None, name, value });
            } else if raw.get().starts_with('[') {
                self.lists.take(&name, raw);
            } else if let Some(value) = self.of_message.take(&name, raw) {
                let taken = self.of_choice.has(&name);
                let name = if taken { format!("message.{name}") } else { name.into_owned() };
                out.push(StreamEvent::Extra { choice: Some(choice), name, value });
            }
        }
    }
}

fn event(choice: u32, piece: Piece<'_>) -> StreamEvent {
    match piece {
        Piece::Text(text) => StreamEvent::Text { choice, text: text.to_owned() },
        Piece::Reasoning(text) => StreamEvent::Reasoning { choice, text: text.to_owned() },
    }
}

fn kept(rest: Rest<'_>) -> Extra {
    rest.into_iter().map(|(name, raw)| (name.into_owned(), raw.to_owned())).collect()
}

/// Whether log probabilities hold any: first chunks have empty lists.
fn says_something(raw: &RawValue) -> bool {
    let Ok(members) = Extra::parse(raw.get()) else { return true };
    members.iter().any(|(_, value)| !matches!(value.get(), "null" | "[]"))
}
