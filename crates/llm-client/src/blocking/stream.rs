//! A streamed answer as an iterator.

use std::time::Duration;

use llm_types::{AttemptRecord, ChatResponse, Collector, Error, StreamEvent};

use super::background::{Pull, discard, wait};
use crate::contract::ChatStream;

/// The events of one streamed answer, each as soon as it is there: an iterator that blocks.
///
/// It ends after [`StreamEvent::End`] or the first error. Dropping it cancels the request at the server at once.
#[derive(Debug)]
pub struct ChatEvents {
    state: State,
    attempts: Vec<AttemptRecord>,
    first_content: Option<Duration>,
}

#[derive(Debug)]
enum State {
    /// Nobody has asked for an event.
    Waiting(ChatStream),
    Reading(Pull<Result<StreamEvent, Error>>),
    Over,
}

impl ChatEvents {
    pub(super) fn new(stream: ChatStream) -> Self {
        let (attempts, first_content) = (stream.attempts().to_vec(), stream.first_content());
        Self { state: State::Waiting(stream), attempts, first_content }
    }

    /// The attempts of the call, the one that answers last.
    #[must_use]
    pub fn attempts(&self) -> &[AttemptRecord] {
        &self.attempts
    }

    /// How long the call took until its first content.
    #[must_use]
    pub fn first_content(&self) -> Option<Duration> {
        self.first_content
    }

    /// Reads to the end and gives the response that a plain call would have given: of what has not been read yet.
    ///
    /// # Errors
    /// The stream's own error. It holds what had come as [`Error::partial`].
    pub fn into_response(mut self) -> Result<ChatResponse, Error> {
        if let Some(stream) = self.unread() {
            return wait(stream.collect())?;
        }
        let mut collector = Collector::new();
        for event in &mut self {
            match event {
                Ok(event) => collector.push(event),
                Err(error) if error.partial().is_some() => return Err(error),
                Err(error) => return Err(error.with_partial(self.response(collector))),
            }
        }
        Ok(self.response(collector))
    }

    fn response(&mut self, collector: Collector) -> ChatResponse {
        ChatResponse { attempts: std::mem::take(&mut self.attempts), ..collector.finish() }
    }

    /// Takes the stream out, unless an event of it was taken already.
    fn unread(&mut self) -> Option<ChatStream> {
        match std::mem::replace(&mut self.state, State::Over) {
            State::Waiting(stream) => Some(stream),
            other => {
                self.state = other;
                None
            }
        }
    }

    fn pull(&mut self) -> Result<Option<StreamEvent>, Error> {
        if let Some(stream) = self.unread() {
            self.state = State::Reading(Pull::new(stream)?);
        }
        let State::Reading(events) = &mut self.state else { return Ok(None) };
        events.pull()?.transpose()
    }
}

impl Drop for ChatEvents {
    fn drop(&mut self) {
        if let Some(stream) = self.unread() {
            // Its connection belongs to the background runtime.
            discard(stream);
        }
    }
}

impl Iterator for ChatEvents {
    type Item = Result<StreamEvent, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.pull().transpose();
        if !matches!(next, Some(Ok(_))) {
            self.state = State::Over;
        }
        next
    }
}
