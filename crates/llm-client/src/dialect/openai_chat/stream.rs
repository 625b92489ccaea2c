//! From chunks to stream events; a whole answer goes the same way as one chunk, so that both give the same.

mod choice;
mod sound;

use std::borrow::Cow;

use llm_types::{Error, ErrorKind, Extra, FinishReason, StreamEvent, UsageSource};
use serde_json::value::RawValue;

use self::choice::{ChoiceState, Shared};
use super::usage;
use super::wire::{Answer, Choice};
use crate::dialect::ending::{self, UsageSoFar};
use crate::dialect::events::{cut, data_of, mended};
use crate::dialect::ids::short_id;
use crate::dialect::json::{self, Raw, Text};
use crate::dialect::members::Members;
use crate::dialect::{KeptTarget, WireTarget, error_body};
use crate::framing::SseFrame;

/// What a stream may make us remember: it has no end that we could count on.
const MOST_CHOICES: usize = 1024;
const MOST_CALLS: usize = 4096;
const MOST_KEPT_BYTES: usize = 32 << 20;
const MOST_WAITING: usize = 64;

/// What is remembered between the chunks of one answer.
#[derive(Debug)]
pub(crate) struct StreamState {
    target: KeptTarget,
    head: Head,
    choices: Vec<ChoiceState>,
    members: Members,
    usage: UsageSoFar,
    /// Something came that a reader has seen.
    content: bool,
    repaired: bool,
    /// The end marker came.
    done: bool,
}

/// The start of the answer, held back until the server names it: first chunks can be placeholders.
#[derive(Debug, Default)]
struct Head {
    given: bool,
    id: Option<String>,
    model: Option<String>,
    created: Option<u64>,
    /// Events that came before the start.
    waiting: Vec<StreamEvent>,
}

impl StreamState {
    pub(crate) fn new(target: &WireTarget<'_>) -> Self {
        Self {
            target: KeptTarget::of(target),
            head: Head::default(),
            choices: Vec::new(),
            members: Members::default(),
            usage: UsageSoFar::default(),
            content: false,
            repaired: false,
            done: false,
        }
    }

    /// Whether the end marker came: what follows it means nothing.
    pub(crate) fn is_done(&self) -> bool {
        self.done
    }

    /// Takes one frame.
    pub(crate) fn step(&mut self, frame: SseFrame<'_>, out: &mut Vec<StreamEvent>) -> Result<(), Error> {
        let Some(data) = data_of(&frame, &mut self.done) else { return Ok(()) };
        let mut scratch = String::new();
        let mut answer = Answer::default();
        let repaired = match json::parse_into(&mut answer, data, &mut scratch) {
            Ok(repaired) => repaired,
            Err(_) if is_several(data) => return self.several(frame, out),
            Err(_) if frame.at_end && !frame.bare => return self.cut_event(out),
            // A sign of life under a name of the server's own.
            Err(_) if is_aside(frame) => return Ok(()),
            Err(error) => return Err(json::broken("an event of the stream", &error)),
        };
        if frame.repaired || repaired {
            self.note_repair(out);
        }
        if data == "null" || (!answer.present && is_aside(frame)) {
            return Ok(());
        }
        let failed = frame.event == "error" || tells_error(&answer) || !answer.present;
        let whole = frame.bare && !failed;
        if whole && answer.choices.is_empty() {
            return Err(no_answer());
        }
        let from = out.len();
        let result = self.answer(&mut answer, whole, out);
        self.content |= out.iter().skip(from).any(StreamEvent::is_content);
        self.done |= whole;
        if failed { Err(self.failure(data)) } else { result }
    }

    /// Takes a frame of several lines as so many events: their server leaves out what parts them.
    fn several(&mut self, frame: SseFrame<'_>, out: &mut Vec<StreamEvent>) -> Result<(), Error> {
        let mut lines = frame.data.lines().peekable();
        while let Some(data) = lines.next() {
            let at_end = (frame.at_end || frame.bare) && lines.peek().is_none();
            self.step(SseFrame { data, at_end, bare: false, ..frame }, out)?;
        }
        Ok(())
    }

    /// Ends the stream after a clean end of the body.
    pub(crate) fn finish(mut self, out: &mut Vec<StreamEvent>) -> Result<(), Error> {
        if !self.done && !self.is_complete() {
            return Err(cut(self.content));
        }
        if self.choices.is_empty() {
            return Err(no_answer());
        }
        self.start(out);
        for choice in std::mem::take(&mut self.choices) {
            choice.close(&self.head, self.target.origin(), out);
        }
        let sent = |json: &str| RawValue::from_string(json.to_owned()).ok();
        self.usage.finish("usage", sent, out);
        out.push(StreamEvent::End);
        Ok(())
    }

    /// Takes an answer whose every choice is whole, as the body of a plain call.
    pub(super) fn whole(
        mut self,
        answer: &mut Answer<'_>,
        repaired: bool,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), Error> {
        if repaired {
            self.note_repair(out);
        }
        self.answer(answer, true, out)?;
        self.done = true;
        self.finish(out)
    }

    /// Takes what came beside an error.
    pub(super) fn broken_off(mut self, answer: &mut Answer<'_>, out: &mut Vec<StreamEvent>) {
        // A second error in it says no more than the first.
        let _ = self.answer(answer, true, out);
    }

    /// Takes an answer or a chunk of one.
    fn answer(
        &mut self,
        answer: &mut Answer<'_>,
        whole: bool,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), Error> {
        let Answer { id, created, model, choices, usage, rest, .. } = answer;
        let mut result = Ok(());
        self.head.learn(id, model, *created);
        if !choices.is_empty() || self.head.id.is_some() {
            self.start(out);
        }
        // Usage stands beside the choices, in one of them, or in a gateway's own object; never are two to be added.
        let mut usage = usage.some().map(Cow::Borrowed);
        for (place, choice) in choices.iter_mut().filter(|choice| choice.present).enumerate() {
            usage = usage.or(choice.usage.some().map(Cow::Borrowed));
            if let Some(error) = choice.error.some().filter(|error| says_error(error)) {
                result = Err(self.failure(error.get()));
            }
            self.choice(place, choice, whole, out)?;
        }
        for (name, raw) in rest.drain() {
            if name.starts_with("x_")
                && let Ok(mut members) = Extra::parse(raw.get())
            {
                if let Some(error) = members.get("error").filter(|error| says_error(error)) {
                    result = Err(self.failure(error.get()));
                }
                usage = usage.or_else(|| members.take("usage").map(Cow::Owned));
            }
            if let Some(value) = self.members.take(&name, raw) {
                self.aside(StreamEvent::Extra { choice: None, name: name.into_owned(), value }, out);
            }
        }
        if let Some(usage) = usage {
            self.take_usage(&usage, out);
        }
        result
    }

    fn choice(
        &mut self,
        place: usize,
        choice: &mut Choice<'_>,
        whole: bool,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), Error> {
        let index = choice.index.count().and_then(|n| u32::try_from(n).ok());
        let open = self.choices.last().filter(|last| place > 0 && last.waits_for_calls());
        let index = index.or(open.map(|last| last.index));
        let index = index.unwrap_or_else(|| u32::try_from(place).unwrap_or(u32::MAX));
        let at = self.choices.iter().position(|known| known.index == index).unwrap_or_else(|| {
            self.choices.push(ChoiceState::new(index, &self.target.quirks));
            self.choices.len() - 1
        });
        if at >= MOST_CHOICES {
            return Err(ending::too_many(&format!("{MOST_CHOICES} choices")));
        }
        let replay = self.target.quirks.replay_members;
        let shared = Shared { head: &self.head, origin: self.target.origin(), replay, whole };
        let Some(state) = self.choices.get_mut(at) else { return Ok(()) };
        state.take(choice, shared, out);
        if state.calls() > MOST_CALLS {
            return Err(ending::too_many(&format!("{MOST_CALLS} tool calls")));
        }
        if state.kept_bytes() > MOST_KEPT_BYTES {
            return Err(ending::too_many(&format!(
                "{MOST_KEPT_BYTES} bytes of sound, annotations and the like"
            )));
        }
        if std::mem::take(&mut state.repaired) {
            self.note_repair(out);
        }
        Ok(())
    }

    /// Gives the start, once.
    fn start(&mut self, out: &mut Vec<StreamEvent>) {
        if std::mem::replace(&mut self.head.given, true) {
            return;
        }
        let Head { id, model, created, .. } = &self.head;
        out.push(StreamEvent::Start { id: id.clone(), model: model.clone(), created: *created });
        out.append(&mut self.head.waiting);
    }

    /// Gives an event that is no content, after the start.
    fn aside(&mut self, event: StreamEvent, out: &mut Vec<StreamEvent>) {
        if self.head.waiting.len() >= MOST_WAITING {
            self.start(out);
        }
        if self.head.given { out.push(event) } else { self.head.waiting.push(event) }
    }

    fn note_repair(&mut self, out: &mut Vec<StreamEvent>) {
        if !std::mem::replace(&mut self.repaired, true) {
            self.aside(mended(), out);
        }
    }

    /// Keeps the last usage that says something, and gives it on when it has changed.
    fn take_usage(&mut self, raw: &RawValue, out: &mut Vec<StreamEvent>) {
        let source = if self.is_complete() { UsageSource::Reported } else { UsageSource::Partial };
        let Some(reported) = usage::read(Raw::of(raw), self.target.quirks.usage, source) else { return };
        if let Some(event) = self.usage.take(&reported, raw.get()) {
            self.aside(event, out);
        }
    }

    /// The error that the server put into the stream.
    fn failure(&self, json: &str) -> Error {
        error_body::failure(json, &self.target.lend())
    }

    /// Every choice that was begun has said why it stopped.
    fn is_complete(&self) -> bool {
        !self.choices.is_empty() && self.choices.iter().all(ChoiceState::is_finished)
    }

    /// Takes a last event that the end of the body cut: it costs nothing when the answer was whole before it.
    fn cut_event(&mut self, out: &mut Vec<StreamEvent>) -> Result<(), Error> {
        if !self.is_complete() {
            return Err(cut(self.content));
        }
        self.aside(StreamEvent::Warning(ending::cut_after_answer()), out);
        Ok(())
    }
}

impl Head {
    fn learn(&mut self, id: &mut Text<'_>, model: &mut Text<'_>, created: Raw<'_>) {
        if self.given {
            return;
        }
        self.id = id.take_owned().or(self.id.take());
        self.model = model.take_owned().or(self.model.take());
        self.created = created.count().filter(|secs| *secs > 0).or(self.created);
    }

    /// An id for a call that has none: the same for the same answer, another for any other answer.
    fn call_id(&self, choice: u32, call: u32) -> String {
        let id = self.id.as_deref().unwrap_or_default();
        format!("call_{}", short_id(&[id.as_bytes(), &choice.to_le_bytes(), &call.to_le_bytes()]))
    }
}

/// Whether the first of several lines is a chunk by itself. One document may be written over several lines, too.
fn is_several(data: &str) -> bool {
    let first = data.split_once('\n').map(|(first, _)| first.trim()).unwrap_or_default();
    first.starts_with('{') && serde_json::from_str::<serde::de::IgnoredAny>(first).is_ok()
}

/// Whether a frame is neither a chunk nor an error, by its name and by what it holds.
fn is_aside(frame: SseFrame<'_>) -> bool {
    let is_text = !frame.data.trim_start().starts_with(['{', '[']);
    is_text && !frame.bare && !matches!(frame.event, "message" | "data" | "error")
}

/// Whether the answer is, or holds, an error.
pub(super) fn tells_error(answer: &Answer<'_>) -> bool {
    let is_there = |raw: Raw<'_>| raw.some().is_some_and(says_error);
    is_there(answer.error)
        || answer.object.as_str() == "error"
        || (answer.choices.is_empty()
            && answer.usage.some().is_none()
            && [answer.message, answer.detail, answer.errors].into_iter().any(is_there))
}

/// Whether a member for errors holds one, and is not just there.
fn says_error(raw: &RawValue) -> bool {
    !matches!(raw.get(), "null" | "\"\"" | "{}" | "false" | "[]" | "0")
}

/// The error of a body that is JSON and holds no answer.
pub(super) fn no_answer() -> Error {
    Error::new(ErrorKind::Protocol, "the body holds no answer (no choices)")
}

/// The reason in our words.
pub(super) fn finish_reason(word: &str, has_calls: bool) -> FinishReason {
    // Behind a colon some say what their filter found.
    let word = word.split_once(": ").map_or(word, |(word, _)| word);
    match word {
        "stop" | "eos" | "eos_token" | "end_turn" | "stop_sequence" if has_calls => FinishReason::ToolCalls,
        "stop" | "eos" | "eos_token" | "end_turn" | "stop_sequence" => FinishReason::Stop,
        "length" | "model_length" | "max_tokens" => FinishReason::Length,
        "tool_calls" | "function_call" | "tool_use" => FinishReason::ToolCalls,
        "content_filter" | "sensitive" => FinishReason::ContentFilter,
        "error" | "insufficient_system_resource" | "network_error" | "function_call_filter" => {
            FinishReason::Error
        }
        _ => FinishReason::Other,
    }
}

#[cfg(test)]
mod tests;
