//! From the events of a stream to ours; a whole answer goes the same way, block by block, so that both give the same.

mod block;

use llm_types::{Error, ErrorKind, FinishReason, StreamEvent, Usage, UsageSource, Warning};
use serde_json::value::RawValue;

use self::block::{Open, Said};
use super::usage::Ledger;
use super::wire::{Block, Delta, Event, Message};
use crate::dialect::events::{cut, data_of, mended, only_reasoning};
use crate::dialect::json::{self, Few, Raw, Rest};
use crate::dialect::members::Members;
use crate::dialect::{KeptTarget, WireTarget, error_body};
use crate::framing::SseFrame;

#[cfg(test)]
mod tests;

/// What a stream may make us remember: it has no end that we could count on.
const MOST_OPEN: usize = 64;
const MOST_CALLS: u32 = 4096;
const MOST_KEPT_BYTES: usize = 32 << 20;

/// What is remembered between the events of one answer.
#[derive(Debug)]
pub(crate) struct StreamState {
    target: KeptTarget,
    /// The answer's id, once it has begun.
    begun: Option<String>,
    /// Blocks that have not ended. There is one at a time, unless a gateway mixes them.
    open: Vec<Open>,
    said: Said,
    members: Members,
    ledger: Ledger,
    usage: Option<Usage>,
    /// Something came that a reader has seen.
    content: bool,
    repaired: bool,
    /// The server said why it stopped.
    finished: bool,
    /// The end marker came.
    done: bool,
}

impl StreamState {
    pub(crate) fn new(target: &WireTarget<'_>) -> Self {
        Self {
            target: KeptTarget::of(target),
            begun: None,
            open: Vec::new(),
            said: Said::default(),
            members: Members::default(),
            ledger: Ledger::default(),
            usage: None,
            content: false,
            repaired: false,
            finished: false,
            done: false,
        }
    }

    /// Whether the end marker came: what follows it means nothing.
    pub(crate) fn is_done(&self) -> bool {
        self.done
    }

    /// Takes one frame.
    pub(crate) fn step(&mut self, frame: SseFrame<'_>, out: &mut Vec<StreamEvent>) -> Result<(), Error> {
        let Some(data) = data_of(&frame, &mut self.done).filter(|data| *data != "null") else {
            return Ok(());
        };
        let mut scratch = String::new();
        let mut event = Event::default();
        let repaired = match json::parse_into(&mut event, data, &mut scratch) {
            Ok(repaired) => repaired,
            Err(_) if frame.at_end && !frame.bare => return self.cut_event(out),
            Err(error) => return Err(json::broken("an event of the stream", &error)),
        };
        if frame.repaired || repaired {
            self.note_repair(out);
        }
        let kind = event.kind.as_str();
        if kind == "error" || frame.event == "error" || is_there(event.error) || !event.present {
            return Err(self.failure(data));
        }
        let from = out.len();
        let result = if frame.bare || kind == "message" {
            self.whole_frame(data, out)
        } else {
            self.event(frame.event, &mut event, out)
        };
        self.content |= out.iter().skip(from).any(StreamEvent::is_content);
        result
    }

    /// Ends the stream after a clean end of the body.
    pub(crate) fn finish(mut self, out: &mut Vec<StreamEvent>) -> Result<(), Error> {
        if !self.done && !self.finished {
            return Err(cut(self.content));
        }
        if self.begun.is_none() {
            return Err(no_answer());
        }
        self.close_blocks(out);
        if !self.finished {
            let reason = if self.said.calls > 0 { FinishReason::ToolCalls } else { FinishReason::Stop };
            self.give_finish(reason, None, out);
        }
        let reported = self.usage.filter(|usage| usage.source == UsageSource::Partial);
        out.extend(
            reported.map(|usage| StreamEvent::Usage(Usage { source: UsageSource::Reported, ..usage })),
        );
        let json = std::mem::take(&mut self.ledger).into_json();
        out.extend(json.map(|value| StreamEvent::Extra { choice: None, name: "usage".to_owned(), value }));
        out.push(StreamEvent::End);
        Ok(())
    }

    /// Takes an answer that came whole.
    pub(super) fn whole(
        mut self,
        message: Message<'_>,
        repaired: bool,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), Error> {
        if repaired {
            self.note_repair(out);
        }
        self.message(message, out)?;
        self.done = true;
        self.finish(out)
    }

    /// A body that is no stream, or an event that holds the whole answer.
    fn whole_frame(&mut self, data: &str, out: &mut Vec<StreamEvent>) -> Result<(), Error> {
        let mut scratch = String::new();
        let (message, _) = json::parse::<Message<'_>>(data, &mut scratch)
            .map_err(|error| json::broken("an event of the stream", &error))?;
        if !holds_answer(&message) {
            let failure = error_body::parse(data).filter(|failure| !failure.message.is_empty());
            return Err(if failure.is_some() { self.failure(data) } else { no_answer() });
        }
        self.message(message, out)?;
        self.done = true;
        Ok(())
    }

    /// Takes an event; its own word for what it is counts, and the frame's name where it has none.
    fn event(&mut self, name: &str, event: &mut Event<'_>, out: &mut Vec<StreamEvent>) -> Result<(), Error> {
        let Event { kind, index, delta, content_block, message, usage, rest, .. } = event;
        let kind = kind.as_str();
        match if kind.is_empty() { name } else { kind } {
            "content_block_delta" => self.delta(index.count(), delta, out)?,
            "content_block_start" => self.open_block(index.count(), *content_block, out)?,
            "content_block_stop" => self.close_block(index.count(), out),
            "message_start" => {
                let mut scratch = String::new();
                if let Some(message) = message.read::<Message<'_>>(&mut scratch, &mut self.repaired) {
                    self.message(message, out)?;
                }
            }
            "message_delta" => {
                self.ledger.take(*usage);
                self.beside(rest, out);
                self.end(delta, out);
                self.tell_usage(out);
            }
            "message_stop" => self.done = true,
            // Pings, and what came into the format since.
            _ => {}
        }
        Ok(())
    }

    /// Takes the start of an answer, which sometimes is all of it.
    fn message(&mut self, message: Message<'_>, out: &mut Vec<StreamEvent>) -> Result<(), Error> {
        let Message { id, model, content, stop_reason, stop_sequence, stop_details, usage, mut rest, .. } =
            message;
        if let Some(before) = &self.begun {
            if id.as_str().is_empty() || before == id.as_str() {
                return Ok(());
            }
            if self.content {
                let message = "the server began another answer in the middle of one";
                return Err(Error::new(ErrorKind::Truncated, message));
            }
            self.open.clear();
            self.said = Said::default();
            self.ledger = Ledger::default();
        }
        self.begun = Some(id.as_str().to_owned());
        out.push(StreamEvent::Start { id: id.owned(), model: model.owned(), created: None });
        self.ledger.take(usage);
        self.beside(&mut rest, out);
        let (mut scratch, mut repaired) = (String::new(), false);
        let text = text_block(content, &mut repaired);
        let blocks = match &text {
            Some(block) => std::iter::once(Raw::of(block)).collect(),
            None => content.read::<Few<Raw<'_>, 1>>(&mut scratch, &mut repaired).unwrap_or_default(),
        };
        for (place, raw) in blocks.into_iter().enumerate() {
            let index = u64::try_from(place).ok();
            self.open_block(index, raw, out)?;
            self.close_block(index, out);
        }
        if repaired {
            self.note_repair(out);
        }
        let mut delta = Delta { stop_reason, stop_sequence, stop_details, ..Delta::default() };
        self.end(&mut delta, out);
        self.tell_usage(out);
        Ok(())
    }

    fn open_block(
        &mut self,
        index: Option<u64>,
        raw: Raw<'_>,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), Error> {
        let (mut scratch, mut repaired) = (String::new(), false);
        let block = raw.read::<Block<'_>>(&mut scratch, &mut repaired);
        if repaired {
            self.note_repair(out);
        }
        let (Some(json), Some(block)) = (raw.some(), block.filter(|block| block.present)) else {
            return Ok(());
        };
        // It began before, with the same words.
        let again = |open: &Open| Some(open.index) == index && open.is_call(block.id.as_str(), &self.said);
        if self.open.iter().any(again) {
            return Ok(());
        }
        // One that was never ended ends where another takes its place.
        if index.is_none() || self.open.iter().any(|open| Some(open.index) == index) {
            self.close_block(index, out);
        }
        let index = index.unwrap_or_else(|| u64::try_from(self.open.len()).unwrap_or(0));
        let needs_id = block.kind.as_str() == "tool_use" && self.said.needs_id(block.id.as_str());
        let id = needs_id.then(|| self.call_id());
        let open = Open::begin(index, block, json, id, self.target.origin(), &mut self.said, out);
        self.open.push(open);
        if self.open.len() > MOST_OPEN {
            return too_much(&format!("{MOST_OPEN} blocks at once"));
        }
        if self.said.calls > MOST_CALLS {
            return too_much(&format!("{MOST_CALLS} tool calls"));
        }
        Ok(())
    }

    fn delta(
        &mut self,
        index: Option<u64>,
        delta: &mut Delta<'_>,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), Error> {
        let known = self.open.iter().position(|open| Some(open.index) == index || index.is_none());
        let at = match known {
            Some(at) => at,
            // A block whose start was lost: what it is can be told from its text.
            None => {
                let Some(open) = Open::lost(index.unwrap_or(0), delta) else { return Ok(()) };
                self.open.push(open);
                self.open.len() - 1
            }
        };
        if let Some(open) = self.open.get_mut(at) {
            open.add(delta, &mut self.said, out);
        }
        if self.said.kept > MOST_KEPT_BYTES || self.open.len() > MOST_OPEN {
            return too_much(&format!("{MOST_KEPT_BYTES} bytes of blocks of the server's own"));
        }
        Ok(())
    }

    fn close_block(&mut self, index: Option<u64>, out: &mut Vec<StreamEvent>) {
        let at = self.open.iter().position(|open| Some(open.index) == index || index.is_none());
        if let Some(at) = at {
            self.open.remove(at).end(self.target.origin(), &mut self.said, out);
        }
    }

    fn close_blocks(&mut self, out: &mut Vec<StreamEvent>) {
        for open in std::mem::take(&mut self.open) {
            open.end(self.target.origin(), &mut self.said, out);
        }
    }

    /// Takes what is said of the whole message at its end.
    fn end(&mut self, delta: &mut Delta<'_>, out: &mut Vec<StreamEvent>) {
        let Delta { stop_reason, stop_sequence, stop_details, rest, .. } = delta;
        self.beside(rest, out);
        for (name, raw) in [("stop_sequence", *stop_sequence), ("stop_details", *stop_details)] {
            if let Some(value) = raw.some().and_then(|raw| self.members.take(name, raw)) {
                out.push(StreamEvent::Extra { choice: Some(0), name: name.to_owned(), value });
            }
        }
        if let Some(word) = stop_reason.take().filter(|_| !self.finished) {
            self.close_blocks(out);
            self.give_finish(finish_reason(&word), Some(word.into_owned()), out);
        }
    }

    fn give_finish(&mut self, reason: FinishReason, native: Option<String>, out: &mut Vec<StreamEvent>) {
        self.finished = true;
        if self.said.thought && !self.said.answered && self.said.calls == 0 {
            out.push(only_reasoning(0));
        }
        out.push(StreamEvent::Finish { choice: 0, reason, native });
    }

    /// Gives on members of the answer that we do not know, when they are new.
    fn beside(&mut self, rest: &mut Rest<'_>, out: &mut Vec<StreamEvent>) {
        for (name, raw) in rest.drain() {
            if let Some(value) = self.members.take(&name, raw) {
                out.push(StreamEvent::Extra { choice: None, name: name.into_owned(), value });
            }
        }
    }

    fn tell_usage(&mut self, out: &mut Vec<StreamEvent>) {
        let source = if self.finished { UsageSource::Reported } else { UsageSource::Partial };
        let usage = self.ledger.usage(source);
        if let Some(usage) = usage.filter(|_| usage != self.usage) {
            self.usage = Some(usage);
            out.push(StreamEvent::Usage(usage));
        }
    }

    /// An id for a call that has none: the same for the same answer, another for any other answer.
    fn call_id(&self) -> String {
        let id = self.begun.as_deref().unwrap_or_default();
        let digits = crate::dialect::ids::short_id(&[id.as_bytes(), &self.said.calls.to_le_bytes()]);
        format!("toolu_{digits}")
    }

    fn note_repair(&mut self, out: &mut Vec<StreamEvent>) {
        if !std::mem::replace(&mut self.repaired, true) {
            out.push(mended());
        }
    }

    /// The error that the server put into the stream.
    fn failure(&self, json: &str) -> Error {
        error_body::failure(json, &self.target.lend())
    }

    /// Takes a last event that the end of the body cut: it costs nothing when the answer was whole before it.
    fn cut_event(&self, out: &mut Vec<StreamEvent>) -> Result<(), Error> {
        if !self.finished {
            return Err(cut(self.content));
        }
        out.push(StreamEvent::Warning(Warning::new("answer", "the stream was cut after the answer")));
        Ok(())
    }
}

/// The block of a content that is a mere text.
fn text_block(content: Raw<'_>, repaired: &mut bool) -> Option<Box<RawValue>> {
    if !content.json().starts_with('"') {
        return None;
    }
    let text = content.to_text(repaired).unwrap_or_default();
    serde_json::value::to_raw_value(&serde_json::json!({"type": "text", "text": text})).ok()
}

/// Whether it is an answer: one has content, be it none, or says why it stopped.
pub(super) fn holds_answer(message: &Message<'_>) -> bool {
    message.content.json().starts_with(['[', '"']) || !message.stop_reason.as_str().is_empty()
}

/// Whether a member says anything.
pub(super) fn is_there(raw: Raw<'_>) -> bool {
    raw.some().is_some_and(|raw| !matches!(raw.get(), "\"\"" | "{}" | "false" | "[]"))
}

/// The error of a body that is JSON and holds no answer.
pub(super) fn no_answer() -> Error {
    Error::new(ErrorKind::Protocol, "the body holds no answer (no content)")
}

fn too_much(what: &str) -> Result<(), Error> {
    Err(Error::new(ErrorKind::TooLarge, format!("the answer has more than {what}")))
}

/// The reason in our words. Calls beside another reason than theirs were made and answered by the server itself.
fn finish_reason(word: &str) -> FinishReason {
    match word {
        "end_turn" | "stop_sequence" => FinishReason::Stop,
        "max_tokens" | "model_context_window_exceeded" => FinishReason::Length,
        "tool_use" => FinishReason::ToolCalls,
        "refusal" => FinishReason::ContentFilter,
        _ => FinishReason::Other,
    }
}
