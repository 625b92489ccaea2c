//! Plain data of LLM calls: requests, answers, stream events, usage and errors.
//!
//! ```
//! use llm_types::{ChatRequest, Message};
//! let request = ChatRequest { temperature: Some(0.2), ..ChatRequest::user("What is backpressure?") }
//!     .with_system("Answer in one sentence.");
//! assert_eq!(request.messages.len(), 2);
//! # let _: Message = serde_json::from_str(r#"{"role": "user", "content": "hi"}"#).unwrap();
//! ```
//!
//! Start at [`ChatRequest`], [`ChatResponse`] and [`StreamEvent`]; a failure is an [`Error`], and what may follow it
//! stands in one table, [`ErrorKind::verdict`].
//!
//! * No I/O, no clock, no runtime: serde is the only thing that a user of this crate pulls in.
//! * What we do not know is kept as it was written ([`Extra`]), so that it can be sent back.
//! * A [`Secret`] is never shown and never serialised.

mod collect;
mod day;
mod embedding;
mod error;
mod extra;
mod message;
mod message_json;
mod model;
mod money;
mod price;
mod rates;
mod request;
mod response;
mod secret;
mod stream;
mod thoughts;
mod tool;
mod usage;
mod verdict;

pub use crate::collect::Collector;
pub use crate::day::Day;
pub use crate::embedding::{EmbeddingRequest, EmbeddingResponse};
pub use crate::error::{AttemptRecord, Error, ErrorKind, Phase};
pub use crate::extra::{Extra, Invalid};
pub use crate::message::{Media, MediaSource, Message, NativePart, Part, Reasoning, Role};
pub use crate::message_json::messages_from_json;
pub use crate::model::{Capabilities, ModelInfo};
pub use crate::money::Money;
pub use crate::price::{Cost, Hours, Price, Prices, Rule, Terms};
pub use crate::rates::{Class, Rate, Rates};
pub use crate::request::{ChatRequest, ReasoningEffort, ReasoningSetting, ResponseFormat};
pub use crate::response::{ChatResponse, Choice, FinishReason, Timing, Warning};
pub use crate::secret::{InvalidSecret, Secret};
pub use crate::stream::StreamEvent;
pub use crate::thoughts::Thoughts;
pub use crate::tool::{FunctionTool, Tool, ToolCall, ToolChoice, ToolResult};
pub use crate::usage::{TokenCount, Totals, Usage, UsageSource};
pub use crate::verdict::{Again, KeyFate, Move, Verdict};
