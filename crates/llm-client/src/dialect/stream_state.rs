//! What is remembered between the frames of one streamed answer, in whatever format it comes.

use llm_types::{Error, StreamEvent};

use super::{anthropic, custom, gemini, openai_chat};
use crate::framing::SseFrame;

/// What is remembered between the frames of one streamed answer.
#[derive(Debug)]
pub struct StreamState(pub(super) State);

#[derive(Debug)]
pub(super) enum State {
    OpenAiChat(openai_chat::StreamState),
    Anthropic(anthropic::StreamState),
    Gemini(gemini::StreamState),
    Custom(custom::CustomStream),
}

impl StreamState {
    /// Takes one frame and adds its events to `out`.
    ///
    /// # Errors
    /// The server's own error where the frame holds one; [`Protocol`](llm_types::ErrorKind::Protocol) for a frame that cannot be read;
    /// [`Truncated`](llm_types::ErrorKind::Truncated), or [`Connection`](llm_types::ErrorKind::Connection) before any content, for one that the end cut. Events
    /// that are in `out` by then are true and come before the error. Nothing may follow.
    pub fn step(&mut self, frame: SseFrame<'_>, out: &mut Vec<StreamEvent>) -> Result<(), Error> {
        match &mut self.0 {
            State::OpenAiChat(state) => state.step(frame, out),
            State::Anthropic(state) => state.step(frame, out),
            State::Gemini(state) => state.step(frame, out),
            State::Custom(state) => state.step(frame, out),
        }
    }

    /// Whether the format's end marker came: the rest of the body means nothing.
    #[must_use]
    pub fn is_done(&self) -> bool {
        match &self.0 {
            State::OpenAiChat(state) => state.is_done(),
            State::Anthropic(state) => state.is_done(),
            State::Gemini(state) => state.is_done(),
            State::Custom(state) => state.is_done(),
        }
    }

    /// Ends the stream, after the end marker or a clean end of the body. A body that broke off is never a clean end.
    ///
    /// # Errors
    /// [`Truncated`](llm_types::ErrorKind::Truncated) when the answer is not whole, [`Connection`](llm_types::ErrorKind::Connection) when no content came at all,
    /// [`Protocol`](llm_types::ErrorKind::Protocol) when the end marker came without an answer.
    pub fn finish(self, out: &mut Vec<StreamEvent>) -> Result<(), Error> {
        match self.0 {
            State::OpenAiChat(state) => state.finish(out),
            State::Anthropic(state) => state.finish(out),
            State::Gemini(state) => state.finish(out),
            State::Custom(state) => state.finish(out),
        }
    }
}
