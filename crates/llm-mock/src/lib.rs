//! A scripted LLM server: replies, latency, limits, faults and a request log. It speaks OpenAI Chat, Anthropic
//! Messages and Gemini by code of its own, shared with no client, so that a mistake cannot cancel itself out.
//!
//! ```
//! use llm_mock::{MockServer, Reply};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() {
//! let server = MockServer::start().await;
//! server.reply(429, &[("retry-after", "0")], r#"{"error":{"code":"rate_limit_exceeded"}}"#);
//! server.push(Reply::text("Hello!").stall_at(40));
//! // … point a client at `server.base_url()`; without a script the answer is the last user message …
//! assert!(server.requests().is_empty());
//! assert_eq!(server.unused_replies(), 2);
//! # }
//! ```
//! Start at [`MockServer`] (run it, queue replies, read the log), [`Reply`] and [`Fault`] (what is said and what goes
//! wrong), [`Script`] (replies from a file), [`MockConfig`] and [`Limits`] (who is refused, how fast it answers).
//!
//! * The path tells the [`Dialect`]. Each with and without `/v1`: `POST /chat/completions`, `POST /embeddings`,
//!   `POST /messages`, `POST /messages/count_tokens`. Behind any version, project or location:
//!   `POST …/models/{model}:generateContent`, `:streamGenerateContent` (an array, or events with `alt=sse`),
//!   `:countTokens`, `:embedContent`, `:batchEmbedContents`. `GET /v1/models` and `GET /v1/models/{id}` answer in
//!   Anthropic's form to an `anthropic-version`, in Gemini's to an `x-goog-api-key`; `GET /v1beta/models` always does.
//! * HTTP/1.1, and HTTP/2 by prior knowledge, on one port.
//! * One [`Reply`] serves every dialect: text, reasoning, tool calls, refusals, ends and errors take each vendor's form.
//!   Counts and vectors come from the request, whatever the script says. What a vendor refuses is refused: a missing
//!   `max_tokens` or `anthropic-version`, a tool call without its result, an altered signature. Members that the
//!   protocol does not name are noted ([`Request::notes`]); so is a key in a Gemini URL, which gets 400.
//! * Keys are read from `authorization` (bearer), `x-api-key`, `x-goog-api-key` and `api-key`.
//! * The echo is the last user message's text, word for word; streamed, its deltas join to it again.
//! * A token is white space and at most eight other characters after it. Prompt tokens are those of all message texts
//!   (system texts and tool results included), completion tokens those of the answer (reasoning, refusal, tool names and arguments included) times `n`; a stream
//!   reports the same usage as a plain answer, and has one delta a token (a tool's name counts as one delta).
//! * Offsets in a body count the bytes of the body itself, as it is sent.
//! * A client that leaves is noticed at once, in whatever the server is doing, and noted as
//!   [`Outcome::Cancelled`].
//! * With the log off nothing is kept of a request; nothing is ever printed; no key is written to a log file.
mod accept;
mod answer;
mod anthropic;
mod config;
mod counters;
mod decide;
mod dialect;
mod error;
mod fault;
mod gemini;
mod http1;
mod http2;
mod invented;
mod json;
mod limits;
mod log;
mod log_file;
mod openai_chat;
mod script;
mod script_file;
mod server;
mod shared;
mod speech;
mod target;
mod text;

pub use crate::{
    config::MockConfig,
    counters::Counts,
    dialect::Dialect,
    error::MockError,
    fault::{ConnectionFault, Fault, Framing},
    limits::{Limits, RateLimit, RetryAfter},
    log::{Outcome, Request},
    script::{Reply, Script, ToolCall},
    server::MockServer,
};
