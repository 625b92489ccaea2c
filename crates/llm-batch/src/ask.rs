//! One row's call, as a task of its own: a panic in it ends neither the run nor the process.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use llm_client::clock::{self, Instant};
use llm_client::{Call, ModelClient};
use llm_types::{ChatResponse, Error, ErrorKind, FinishReason, Usage};

use crate::feed::Pending;
use crate::parts::Parts;
use crate::record::{self, About, SaveInput};

/// What all calls of a run share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) client: Arc<dyn ModelClient>,
    pub(crate) parts: Arc<Parts>,
    pub(crate) save: SaveInput,
    /// What the caller wants of every call.
    pub(crate) call: Call,
    pub(crate) max_retries: u32,
    pub(crate) deadline: Option<Instant>,
    /// Whether records are written.
    pub(crate) records: bool,
    /// Whether the answers themselves are wanted.
    pub(crate) results: bool,
}

impl Shared {
    /// A call for this row. Each has a log of its own.
    fn call(&self, row: &Pending) -> Call {
        let mut call = Call::default();
        call.deadline = match (self.call.deadline, self.deadline) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        call.wait = self.call.wait;
        // What a row has used up of its retries is not given to it again.
        call.max_retries = match row.attempts {
            0 => self.call.max_retries,
            used => Some(self.max_retries.saturating_sub(used)),
        };
        call.headers.clone_from(&self.call.headers);
        call.url.clone_from(&self.call.url);
        call.keep_raw = self.call.keep_raw;
        call.tags.clone_from(&self.call.tags);
        call
    }

    /// What a record says about a row.
    pub(crate) fn about<'a>(&'a self, row: &'a Pending, latency: Option<Duration>) -> About<'a> {
        About {
            index: row.index,
            key: row.key,
            id: row.id.as_deref(),
            metadata: &row.metadata,
            messages: &row.request.messages,
            parts: &self.parts,
            save: self.save,
            attempts: row.attempts,
            latency,
        }
    }
}

/// A call that ended.
pub(crate) struct Done {
    pub(crate) row: Box<Pending>,
    pub(crate) latency: Duration,
    /// Requests made by this call.
    pub(crate) attempts: u32,
    pub(crate) result: Result<Answer, Error>,
}

/// A whole answer, and its record.
pub(crate) struct Answer {
    pub(crate) record: Vec<u8>,
    pub(crate) usage: Option<Usage>,
    pub(crate) response: Option<Arc<ChatResponse>>,
}

/// Asks for one row.
pub(crate) async fn ask(shared: Arc<Shared>, mut row: Box<Pending>) -> Done {
    let call = shared.call(&row);
    let started = clock::now();
    let client = Arc::clone(&shared.client);
    let answer = AssertUnwindSafe(async { client.chat(&row.request, &call).await }).catch_unwind().await;
    let took = clock::now().saturating_duration_since(started);
    // The panic's text may quote the prompt, so it stays out of records.
    let panicked = |_| Err(Error::new(ErrorKind::Internal, "the call panicked; please report it"));
    match answer.unwrap_or_else(panicked).and_then(whole) {
        Ok(response) => {
            let attempts = count(response.attempts.len()).max(1);
            row.attempts = row.attempts.saturating_add(attempts);
            let latency = took.saturating_sub(response.timing.waited);
            let record = if shared.records {
                record::success(&shared.about(&row, Some(latency)), &response)
            } else {
                Vec::new()
            };
            let usage = response.usage;
            let response = shared.results.then(|| Arc::new(response));
            Done { row, latency, attempts, result: Ok(Answer { record, usage, response }) }
        }
        Err(error) => {
            let made = count(error.attempts().len());
            // A client of the user's own may keep no log: it asked once, unless nothing could be asked.
            let none = matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Config | ErrorKind::Budget);
            let attempts = if none { made } else { made.max(1) };
            row.attempts = row.attempts.saturating_add(attempts);
            Done { row, latency: took, attempts, result: Err(error) }
        }
    }
}

fn count(attempts: usize) -> u32 {
    u32::try_from(attempts).unwrap_or(u32::MAX)
}

/// Only whole answers are kept. One without text, refusal or tool call is none (a thinking model may spend all its
/// tokens before it says anything): `Protocol`, which is not asked again by itself because it was paid and would come
/// again; `ContentFilter` where the vendor withheld it; `Truncated` where the vendor failed while it wrote.
fn whole(response: ChatResponse) -> Result<ChatResponse, Error> {
    let reason = response.finish_reason();
    let (kind, message) = match reason {
        Some(FinishReason::Error) => {
            (ErrorKind::Truncated, "the server failed while it wrote the answer".to_owned())
        }
        _ if !response.is_empty() => return Ok(response),
        Some(FinishReason::ContentFilter) => (ErrorKind::ContentFilter, "the answer was withheld".to_owned()),
        _ => {
            let mut message = "the answer holds no text, refusal or tool call".to_owned();
            if let Some(reason) = reason {
                message += &format!(" (finish reason {})", reason.as_str());
            }
            if !response.reasoning().is_empty() {
                message += ", only reasoning";
            }
            (ErrorKind::Protocol, message)
        }
    };
    let attempts = response.attempts.clone();
    Err(Error::new(kind, message).with_attempts(attempts).with_partial(response))
}

#[cfg(test)]
mod tests {
    use super::*;
    use llm_types::{Choice, Part, Reasoning, ToolCall};

    fn response(parts: Vec<Part>, reason: Option<FinishReason>) -> ChatResponse {
        let mut choice = Choice::new(0);
        choice.message.parts = parts;
        choice.finish_reason = reason;
        ChatResponse { choices: vec![choice], ..ChatResponse::default() }
    }

    #[test]
    fn only_whole_answers_are_kept() {
        use FinishReason::{ContentFilter, Error as Broken, Length, Stop};
        let text = || vec![Part::text("x")];
        let thought = || vec![Part::Reasoning(Reasoning::text("hm")), Part::text("")];
        for (parts, reason, expected) in [
            (text(), Some(Stop), None),
            (text(), Some(Length), None),
            (text(), None, None),
            (vec![Part::Refusal { text: "no".into() }], Some(Stop), None),
            (vec![Part::ToolCall(ToolCall::default())], Some(FinishReason::ToolCalls), None),
            (vec![], Some(Stop), Some(ErrorKind::Protocol)),
            (thought(), Some(Length), Some(ErrorKind::Protocol)),
            (vec![], Some(ContentFilter), Some(ErrorKind::ContentFilter)),
            (text(), Some(Broken), Some(ErrorKind::Truncated)),
        ] {
            let found = whole(response(parts, reason));
            assert_eq!(found.as_ref().err().map(Error::kind), expected, "{found:?}");
        }
        assert_eq!(whole(ChatResponse::default()).unwrap_err().kind(), ErrorKind::Protocol);
        let error = whole(response(thought(), Some(Length))).unwrap_err();
        assert_eq!(
            error.message(),
            "the answer holds no text, refusal or tool call (finish reason length), only reasoning"
        );
        assert_eq!(error.partial().unwrap().reasoning(), "hm");
    }
}
