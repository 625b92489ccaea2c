//! A client that answers from a script and keeps count, on the paused clock.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use llm_client::{Call, ChatStream, HealthProbe, ModelClient};
use llm_types::{
    Capabilities, ChatRequest, ChatResponse, Choice, Error, ErrorKind, FinishReason, Message, StreamEvent,
    Usage,
};

/// What it answers.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Its own id, as text.
    Answer,
    /// An answer that was cut for its content before it began.
    Filtered,
    /// An error of this kind.
    Fail(ErrorKind),
    /// An error with a date.
    Later(ErrorKind, Duration),
    /// A stream that breaks after its first words.
    Broken,
}

/// Answers from a script, then for ever as it is told.
#[derive(Debug)]
pub(crate) struct Scripted {
    id: String,
    capabilities: Capabilities,
    script: Mutex<VecDeque<Reply>>,
    then: Mutex<Reply>,
    takes: Mutex<Duration>,
    pub(crate) asked: AtomicUsize,
    pub(crate) in_flight: Arc<AtomicUsize>,
    pub(crate) most_in_flight: AtomicUsize,
    pub(crate) probed: AtomicUsize,
}

/// Counts a call down, whatever became of it.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Scripted {
    pub(crate) fn new(id: &str, then: Reply) -> Arc<Self> {
        Arc::new(Self {
            id: id.to_owned(),
            capabilities: Capabilities::default(),
            script: Mutex::default(),
            then: Mutex::new(then),
            takes: Mutex::new(Duration::from_millis(10)),
            asked: AtomicUsize::new(0),
            in_flight: Arc::default(),
            most_in_flight: AtomicUsize::new(0),
            probed: AtomicUsize::new(0),
        })
    }

    /// One that answers.
    pub(crate) fn fine(id: &str) -> Arc<Self> {
        Self::new(id, Reply::Answer)
    }

    /// One that fails in this way.
    pub(crate) fn failing(id: &str, kind: ErrorKind) -> Arc<Self> {
        Self::new(id, Reply::Fail(kind))
    }

    pub(crate) fn takes(self: Arc<Self>, time: Duration) -> Arc<Self> {
        *self.takes.lock().unwrap() = time;
        self
    }

    pub(crate) fn next(&self, replies: &[Reply]) {
        self.script.lock().unwrap().extend(replies.iter().cloned());
    }

    pub(crate) fn then(&self, reply: Reply) {
        *self.then.lock().unwrap() = reply;
    }

    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }

    async fn reply(&self) -> (Reply, Counted) {
        self.asked.fetch_add(1, Ordering::Relaxed);
        let now = self.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        let counted = Counted(self.in_flight.clone());
        self.most_in_flight.fetch_max(now, Ordering::Relaxed);
        let takes = *self.takes.lock().unwrap();
        tokio::time::sleep(takes).await;
        let next = self.script.lock().unwrap().pop_front();
        (next.unwrap_or_else(|| self.then.lock().unwrap().clone()), counted)
    }

    fn error(&self, kind: ErrorKind) -> Error {
        let (provider, model) = self.id.split_once('/').unwrap();
        Error::new(kind, "scripted").with_model(provider, model)
    }
}

#[async_trait]
impl HealthProbe for Scripted {
    async fn probe(&self, call: &Call) -> Result<(), Error> {
        assert_eq!(call.max_retries, Some(0));
        self.probed.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }
}

fn usage() -> Usage {
    Usage { fresh_input: 3, plain_output: 2, ..Usage::default() }
}

#[async_trait]
impl ModelClient for Scripted {
    fn id(&self) -> &str {
        &self.id
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn health_probe(&self) -> Option<&dyn HealthProbe> {
        Some(self)
    }

    async fn chat(&self, _: &ChatRequest, _: &Call) -> Result<ChatResponse, Error> {
        let (reply, _counted) = self.reply().await;
        let mut choice = Choice::new(0);
        match reply {
            Reply::Answer | Reply::Broken => choice.message = Message::assistant(&self.id),
            Reply::Filtered => choice.finish_reason = Some(FinishReason::ContentFilter),
            Reply::Fail(kind) => return Err(self.error(kind)),
            Reply::Later(kind, wait) => return Err(self.error(kind).with_retry_after(wait)),
        }
        Ok(ChatResponse { choices: vec![choice], usage: Some(usage()), ..ChatResponse::default() })
    }

    async fn chat_stream(&self, _: &ChatRequest, _: &Call) -> Result<ChatStream, Error> {
        let (reply, counted) = self.reply().await;
        let text = StreamEvent::Text { choice: 0, text: self.id.clone() };
        let finish = |reason| StreamEvent::Finish { choice: 0, reason, native: None };
        let events = match reply {
            Reply::Answer => vec![
                Ok(text),
                Ok(StreamEvent::Usage(usage())),
                Ok(finish(FinishReason::Stop)),
                Ok(StreamEvent::End),
            ],
            Reply::Filtered => vec![Ok(finish(FinishReason::ContentFilter)), Ok(StreamEvent::End)],
            Reply::Broken => vec![Ok(text), Err(self.error(ErrorKind::Truncated))],
            Reply::Fail(kind) => return Err(self.error(kind)),
            Reply::Later(kind, wait) => return Err(self.error(kind).with_retry_after(wait)),
        };
        let events = futures_util::stream::iter(events);
        // In flight until the stream is dropped or read to its end.
        let events = futures_util::StreamExt::map(events, move |event| {
            let _ = &counted;
            event
        });
        Ok(ChatStream::new(events))
    }
}
