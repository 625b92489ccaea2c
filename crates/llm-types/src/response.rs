//! One answer.

use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;

use crate::error::AttemptRecord;
use crate::extra::Extra;
use crate::message::{Message, Role};
use crate::price::Cost;
use crate::tool::ToolCall;
use crate::usage::Usage;

/// A whole answer: what the model said, why it stopped, what it cost, and how the call went.
#[derive(Clone, Debug, Default)]
pub struct ChatResponse {
    /// The vendor's id of the answer.
    pub id: Option<String>,
    /// The model that answered, which may be another snapshot than the one asked for.
    pub model: Option<String>,
    /// When the vendor made it, in seconds since 1970.
    pub created: Option<u64>,
    /// The answers, in order of their index; one unless `n` asked for more.
    pub choices: Vec<Choice>,
    /// Tokens used, where the vendor said so.
    pub usage: Option<Usage>,
    /// What it cost. `None`: not known, which is not nothing.
    pub cost: Option<Cost>,
    /// What was asked for and could not be sent, or came and could not be understood.
    pub warnings: Vec<Warning>,
    /// Members of the answer that we do not know, as sent.
    pub extra: Extra,
    /// The body as it came, when the call asked for it ([`keep_raw`](https://docs.rs/llm-client)).
    pub raw: Option<Arc<[u8]>>,
    /// Every attempt of the call, the successful one last.
    pub attempts: Vec<AttemptRecord>,
    /// How long it took.
    pub timing: Timing,
}

/// How long a call took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// From the call to the end of the answer, waits and retries included.
    pub total: Duration,
    /// The part of it that was spent waiting for a free lane, a cool-down or back-off.
    pub waited: Duration,
    /// From the call to the first piece of content of a stream.
    pub first_content: Option<Duration>,
}

/// One of the answers.
#[derive(Clone, Debug)]
pub struct Choice {
    /// Its place among the answers asked for with `n`.
    pub index: u32,
    /// What the model said, ready to be sent back in the next request.
    pub message: Message,
    /// Why it stopped; `None` where the vendor never said.
    pub finish_reason: Option<FinishReason>,
    /// The vendor's own word for it.
    pub native_finish_reason: Option<String>,
    /// Log probabilities, as sent.
    pub logprobs: Option<Box<RawValue>>,
    /// Members we do not know.
    pub extra: Extra,
}

impl Choice {
    /// An empty answer.
    #[must_use]
    pub fn new(index: u32) -> Self {
        Self {
            index,
            message: Message::new(Role::Assistant, Vec::new()),
            finish_reason: None,
            native_finish_reason: None,
            logprobs: None,
            extra: Extra::new(),
        }
    }
}

/// Why the model stopped, in OpenAI's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// It was done, or met a stop text.
    Stop,
    /// The token limit cut it.
    Length,
    /// It wants tools to be run.
    ToolCalls,
    /// The vendor cut it for its content.
    ContentFilter,
    /// The vendor failed while it wrote.
    Error,
    /// Something else; [`Choice::native_finish_reason`] has the word.
    Other,
}

impl FinishReason {
    /// The word in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::ToolCalls => "tool_calls",
            Self::ContentFilter => "content_filter",
            Self::Error => "error",
            Self::Other => "other",
        }
    }
}

/// Something that was not done as asked, or not understood as sent. Nothing is dropped silently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// What it is about: a setting's name, or a part of the answer.
    pub about: String,
    /// What happened.
    pub message: String,
}

impl Warning {
    /// A warning about a setting or a part of the answer.
    #[must_use]
    pub fn new(about: impl Into<String>, message: impl Into<String>) -> Self {
        Self { about: about.into(), message: message.into() }
    }
}

impl ChatResponse {
    /// The first choice's message.
    #[must_use]
    pub fn message(&self) -> Option<&Message> {
        self.choices.first().map(|choice| &choice.message)
    }

    /// The first choice's text. Empty when the answer holds only reasoning, a refusal or tool calls.
    #[must_use]
    pub fn text(&self) -> String {
        self.message().map(Message::text).unwrap_or_default()
    }

    /// [`text`](Self::text), by value.
    #[must_use]
    pub fn into_text(self) -> String {
        self.text()
    }

    /// The first choice's readable reasoning.
    #[must_use]
    pub fn reasoning(&self) -> String {
        self.message().map(Message::reasoning).unwrap_or_default()
    }

    /// The first choice's refusal.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        self.message().and_then(Message::refusal)
    }

    /// The first choice's tool calls.
    pub fn tool_calls(&self) -> impl Iterator<Item = &ToolCall> {
        self.message().into_iter().flat_map(Message::tool_calls)
    }

    /// Why the first choice stopped.
    #[must_use]
    pub fn finish_reason(&self) -> Option<FinishReason> {
        self.choices.first().and_then(|choice| choice.finish_reason)
    }

    /// Whether there is nothing a caller could use: no text, no refusal and no tool call in any choice.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.choices.iter().all(|choice| {
            let message = &choice.message;
            message.tool_calls().next().is_none()
                && message.refusal().is_none()
                && message.parts.iter().all(|part| part.as_text().is_none_or(str::is_empty))
        })
    }
}
