//! From chunks to stream events; a whole answer goes the same way as one chunk, so that both give the same.
//!
//! A reason to stop is kept until the end of the body: with server-side tools more may follow it.

mod candidate;
mod pieces;

use http::StatusCode;
use llm_types::{Error, ErrorKind, StreamEvent, UsageSource};

use self::candidate::{CandidateState, Shared};
use super::wire::{Answer, Candidate, Feedback};
use super::{errors, usage};
use crate::dialect::ending::{self, UsageSoFar};
use crate::dialect::events::{cut, mended};
use crate::dialect::json::{self, Raw};
use crate::dialect::members::Members;
use crate::dialect::{KeptTarget, WireTarget, date, failure, whole};
use crate::framing::{JsonListDecoder, SseFrame};

/// What a stream may make us remember: it has no end that we could count on.
const MOST_CANDIDATES: usize = 1024;
const MOST_CALLS: u32 = 4096;

/// What is remembered between the chunks of one answer.
#[derive(Debug)]
pub(crate) struct StreamState {
    target: KeptTarget,
    /// The server's name for the answer, once it has begun.
    id: Option<String>,
    started: bool,
    candidates: Vec<CandidateState>,
    members: Members,
    usage: UsageSoFar,
    /// Something came that a reader has seen.
    content: bool,
    repaired: bool,
    /// The answer came in one piece, and is whole.
    done: bool,
}

impl StreamState {
    pub(crate) fn new(target: &WireTarget<'_>) -> Self {
        Self {
            target: KeptTarget::of(target),
            id: None,
            started: false,
            candidates: Vec::new(),
            members: Members::default(),
            usage: UsageSoFar::default(),
            content: false,
            repaired: false,
            done: false,
        }
    }

    /// Whether what follows means nothing. Only the end of the body tells that of a stream.
    pub(crate) fn is_done(&self) -> bool {
        self.done
    }

    /// Takes one frame.
    pub(crate) fn step(&mut self, frame: SseFrame<'_>, out: &mut Vec<StreamEvent>) -> Result<(), Error> {
        let data = frame.data.trim();
        // Gateways put an end marker of another format behind the answer.
        if self.done || data.is_empty() || data.starts_with("[DONE]") {
            return Ok(());
        }
        if frame.repaired {
            self.note_repair(out);
        }
        if frame.bare {
            return self.bare(data, out);
        }
        let mut scratch = String::new();
        let mut answer = Answer::default();
        match json::parse_into(&mut answer, data, &mut scratch) {
            Ok(repaired) => self.chunk(&mut answer, data, repaired, out),
            Err(_) if frame.at_end => self.cut_event(out),
            Err(error) => Err(json::broken("an event of the stream", &error)),
        }
    }

    /// Ends the stream after a clean end of the body.
    pub(crate) fn finish(mut self, out: &mut Vec<StreamEvent>) -> Result<(), Error> {
        if !self.done && !self.is_complete() {
            return Err(cut(self.content));
        }
        if self.candidates.is_empty() {
            return Err(no_answer());
        }
        for candidate in std::mem::take(&mut self.candidates) {
            candidate.close(out);
        }
        self.usage.finish("usageMetadata", usage::sent, out);
        out.push(StreamEvent::End);
        Ok(())
    }

    /// Takes an answer that is whole, as the body of a plain call.
    pub(super) fn whole(
        mut self,
        answer: &mut Answer<'_>,
        json: &str,
        repaired: bool,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), Error> {
        self.chunk(answer, json, repaired, out)?;
        if self.candidates.is_empty() {
            return Err(no_answer());
        }
        self.done = true;
        self.finish(out)
    }

    /// Takes a body, or the rest of one, that is JSON where events were expected.
    fn bare(&mut self, data: &str, out: &mut Vec<StreamEvent>) -> Result<(), Error> {
        let began = self.started;
        if whole::is_stream(data) {
            // Events under a head that speaks of JSON.
            return whole::frames(data.as_bytes(), |frame| self.step(frame, out));
        }
        if data.starts_with('[') {
            return self.list(data.as_bytes(), out);
        }
        if !data.starts_with('{') {
            return Err(whole::not_json(data));
        }
        let (mut scratch, mut answer) = (String::new(), Answer::default());
        let Ok(repaired) = json::parse_into(&mut answer, data, &mut scratch) else {
            return self.cut_event(out);
        };
        self.chunk(&mut answer, data, repaired, out)?;
        // One object is a whole answer, with or without a reason; a list is a stream.
        self.done = !began;
        if self.done && self.candidates.is_empty() { Err(no_answer()) } else { Ok(()) }
    }

    /// Takes a stream that is a list and came in one piece: what its end cut is lost, and nothing before it.
    pub(super) fn list(&mut self, list: &[u8], out: &mut Vec<StreamEvent>) -> Result<(), Error> {
        let mut decoder = JsonListDecoder::new(u64::MAX);
        let mut frames = decoder.feed(list);
        while let Some(frame) = frames.next()? {
            self.step(frame, out)?;
        }
        match decoder.finish()? {
            Some(frame) => self.step(frame, out),
            None => Ok(()),
        }
    }

    /// Takes an answer or a chunk of one. `json` is where it stands.
    fn chunk(
        &mut self,
        answer: &mut Answer<'_>,
        json: &str,
        repaired: bool,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), Error> {
        if repaired {
            self.note_repair(out);
        }
        let failed = answer.error.some().is_some();
        let from = out.len();
        let result = self.answer(answer, json, out);
        self.content |= out.iter().skip(from).any(StreamEvent::is_content);
        if failed { Err(errors::error_of(json, StatusCode::OK, &self.target.lend())) } else { result }
    }

    fn answer(
        &mut self,
        answer: &mut Answer<'_>,
        json: &str,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), Error> {
        let Answer { candidates, feedback, usage, model, id, created, error, rest, .. } = answer;
        if !self.started && error.some().is_none() {
            self.started = true;
            self.id = id.take_owned();
            let created = date::seconds(created.as_str());
            out.push(StreamEvent::Start { id: self.id.clone(), model: model.take_owned(), created });
        }
        let refused = candidates.is_empty();
        for (place, candidate) in candidates.iter_mut().enumerate().filter(|(_, it)| it.present) {
            self.candidate(place, candidate, out)?;
        }
        for (name, raw) in rest.drain() {
            if let Some(value) = self.members.take(&name, raw) {
                out.push(StreamEvent::Extra { choice: None, name: name.into_owned(), value });
            }
        }
        if usage.present {
            let source = if self.is_complete() { UsageSource::Reported } else { UsageSource::Partial };
            if let Some(reported) = usage::read(usage, source) {
                out.extend(self.usage.take(&reported, json));
            }
        }
        self.feedback(*feedback, refused, out)
    }

    /// Takes what was made of the prompt: where it was refused, there is no answer.
    fn feedback(
        &mut self,
        feedback: Raw<'_>,
        refused: bool,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), Error> {
        let Some(raw) = feedback.some() else { return Ok(()) };
        let mut scratch = String::new();
        let read = feedback.read::<Feedback<'_>>(&mut scratch, &mut self.repaired).unwrap_or_default();
        let reason = read.block_reason.some();
        if let Some(reason) = reason.filter(|_| refused && self.candidates.is_empty()) {
            let mut message = format!("the prompt was refused ({reason})");
            if let Some(more) = read.block_message.some() {
                message = failure::excerpt(&format!("{message}: {more}"));
            }
            let error = Error::new(ErrorKind::ContentFilter, message);
            return Err(error.with_code(failure::excerpt(&reason)));
        }
        if let Some(value) = self.members.take("promptFeedback", raw) {
            out.push(StreamEvent::Extra { choice: None, name: "promptFeedback".to_owned(), value });
        }
        Ok(())
    }

    fn candidate(
        &mut self,
        place: usize,
        candidate: &mut Candidate<'_>,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), Error> {
        let index = candidate.index.count().and_then(|n| u32::try_from(n).ok());
        let index = index.unwrap_or_else(|| u32::try_from(place).unwrap_or(u32::MAX));
        let at = self.candidates.iter().position(|known| known.index == index).unwrap_or_else(|| {
            self.candidates.push(CandidateState::new(index));
            self.candidates.len() - 1
        });
        if at >= MOST_CANDIDATES {
            return Err(ending::too_many(&format!("{MOST_CANDIDATES} candidates")));
        }
        let shared = Shared {
            answer: self.id.as_deref().unwrap_or_default(),
            model: &self.target.model,
            origin: self.target.origin(),
        };
        let Some(state) = self.candidates.get_mut(at) else { return Ok(()) };
        state.take(candidate, shared, out);
        if state.calls() > MOST_CALLS {
            return Err(ending::too_many(&format!("{MOST_CALLS} tool calls")));
        }
        if std::mem::take(&mut state.overflowed) {
            return Err(ending::too_many("arguments of a tool call may have"));
        }
        if std::mem::take(&mut state.repaired) {
            self.note_repair(out);
        }
        Ok(())
    }

    fn note_repair(&mut self, out: &mut Vec<StreamEvent>) {
        if !std::mem::replace(&mut self.repaired, true) {
            out.push(mended());
        }
    }

    /// Every candidate that was begun has said why it stopped.
    fn is_complete(&self) -> bool {
        !self.candidates.is_empty() && self.candidates.iter().all(CandidateState::is_finished)
    }

    /// Takes a last event that the end of the body cut: it costs nothing when the answer was whole before it.
    fn cut_event(&mut self, out: &mut Vec<StreamEvent>) -> Result<(), Error> {
        if !self.is_complete() {
            return Err(cut(self.content));
        }
        out.push(StreamEvent::Warning(ending::cut_after_answer()));
        Ok(())
    }
}

/// The error of a body that is JSON and holds no answer.
pub(super) fn no_answer() -> Error {
    Error::new(ErrorKind::Protocol, "the body holds no answer (no candidates)")
}

#[cfg(test)]
mod tests;
