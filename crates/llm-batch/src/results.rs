//! One row's result, live or restored, as a value.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use llm_types::{ChatResponse, Error, ErrorKind, Extra, FinishReason, ToolCall, Usage};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::record::Status;

/// What became of one row. Its members mean what they mean in a record.
#[derive(Clone, Debug)]
pub struct BatchResult {
    /// The row's place among the rows, counted from 0.
    pub index: u64,
    /// Its name, where it has one.
    pub id: Option<String>,
    /// Whether it was answered, failed, or was not asked.
    pub status: Status,
    /// The text of the answer; `None` without one. Empty when the answer is a refusal or tool calls only.
    pub content: Option<String>,
    /// The model's readable reasoning.
    pub reasoning: Option<String>,
    /// Its refusal.
    pub refusal: Option<String>,
    /// The calls it made.
    pub tool_calls: Vec<ToolCall>,
    /// Why it stopped.
    pub finish_reason: Option<FinishReason>,
    /// The model that answered.
    pub model: Option<String>,
    /// Tokens used.
    pub usage: Option<Usage>,
    /// How long the last call took, without waiting for a free lane.
    pub latency: Option<Duration>,
    /// Requests made for the row.
    pub attempts: u32,
    /// Why it failed, or why it was not asked.
    pub error: Option<Error>,
    /// The row's other members.
    pub metadata: Extra,
    /// Whether it was read from the output of an earlier run.
    pub restored: bool,
    /// The whole answer, where this run got it.
    pub response: Option<Arc<ChatResponse>>,
}

impl BatchResult {
    /// A row of which nothing is known but its place.
    pub(crate) fn empty(index: u64, id: Option<String>, metadata: Extra, status: Status) -> Self {
        Self {
            index,
            id,
            status,
            content: None,
            reasoning: None,
            refusal: None,
            tool_calls: Vec::new(),
            finish_reason: None,
            model: None,
            usage: None,
            latency: None,
            attempts: 0,
            error: None,
            metadata,
            restored: false,
            response: None,
        }
    }

    /// With what an answer holds, whole or partial.
    pub(crate) fn answered(mut self, response: &ChatResponse) -> Self {
        let some = |text: String| (!text.is_empty()).then_some(text);
        if self.status == Status::Success {
            self.content = Some(response.text());
        }
        self.reasoning = some(response.reasoning());
        self.refusal = response.refusal();
        self.tool_calls = response.tool_calls().cloned().collect();
        self.finish_reason = response.finish_reason();
        self.model.clone_from(&response.model);
        self.usage = response.usage;
        self
    }

    pub(crate) fn failed(mut self, error: &Error) -> Self {
        if let Some(partial) = error.partial() {
            self = self.answered(partial);
        }
        self.error = Some(error.clone());
        self
    }

    /// Reads a stored record, which stands at this place and has this metadata now.
    pub(crate) fn restored(line: &[u8], index: u64, metadata: Extra) -> Option<Self> {
        let record: Stored<'_> = serde_json::from_slice(line).ok()?;
        let status = if record.status == "error" { Status::Error } else { Status::Success };
        let usage = record.usage.and_then(|raw| serde_json::from_str(raw.get()).ok());
        let calls = record.tool_calls.into_iter().flatten();
        Some(Self {
            content: record.output,
            reasoning: record.reasoning,
            refusal: record.refusal,
            tool_calls: calls.map(StoredCall::read).collect(),
            finish_reason: record.finish_reason.as_deref().and_then(finish_reason),
            model: record.model,
            usage,
            latency: record.latency_ms.map(Duration::from_millis),
            attempts: u32::try_from(record.attempts).unwrap_or(u32::MAX),
            error: record.error.map(StoredError::read),
            restored: true,
            ..Self::empty(index, record.id, metadata, status)
        })
    }
}

fn finish_reason(word: &str) -> Option<FinishReason> {
    use FinishReason::{ContentFilter, Error, Length, Other, Stop, ToolCalls};
    let all = [Stop, Length, ToolCalls, ContentFilter, Error, Other];
    all.into_iter().find(|reason| reason.as_str() == word)
}

#[derive(Deserialize)]
struct Stored<'a> {
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(default)]
    output: Option<String>,
    #[serde(default)]
    finish_reason: Option<String>,
    #[serde(default)]
    model: Option<String>,
    #[serde(borrow, default)]
    usage: Option<&'a RawValue>,
    #[serde(default)]
    latency_ms: Option<u64>,
    #[serde(default)]
    attempts: u64,
    #[serde(default)]
    error: Option<StoredError>,
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    reasoning: Option<String>,
    #[serde(default)]
    tool_calls: Option<Vec<StoredCall>>,
    #[serde(default)]
    refusal: Option<String>,
}

#[derive(Deserialize)]
struct StoredCall {
    #[serde(default)]
    id: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    arguments: String,
}

impl StoredCall {
    fn read(self) -> ToolCall {
        ToolCall { id: self.id, name: self.name, arguments: self.arguments, ..ToolCall::default() }
    }
}

#[derive(Deserialize)]
struct StoredError {
    #[serde(default)]
    kind: String,
    #[serde(default)]
    phase: Option<String>,
    #[serde(default)]
    message: String,
    #[serde(default)]
    http_status: Option<u16>,
    #[serde(default)]
    provider: Option<String>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    request_id: Option<String>,
    #[serde(default)]
    retry_after_ms: Option<u64>,
}

impl StoredError {
    fn read(self) -> Error {
        let kind = ErrorKind::parse(&self.kind, self.phase.as_deref()).unwrap_or(ErrorKind::Internal);
        let mut error = Error::new(kind, self.message);
        if let Some(status) = self.http_status {
            error = error.with_status(status);
        }
        if let (Some(provider), Some(model)) = (self.provider, self.model) {
            error = error.with_model(provider, model);
        }
        if let Some(id) = self.request_id {
            error = error.with_request_id(id);
        }
        if let Some(wait) = self.retry_after_ms {
            error = error.with_retry_after(Duration::from_millis(wait));
        }
        error
    }
}
