//! Many requests: JSONL in and out, safe to kill at any moment, resumed by content.
//!
//! ```no_run
//! # async fn example(client: std::sync::Arc<dyn llm_client::ModelClient>) -> Result<(), llm_batch::BatchError> {
//! use std::path::Path;
//! use llm_batch::BatchRunner;
//! let runner = BatchRunner::new(client).system("Be brief.").concurrency(64);
//! let summary = runner.run(Path::new("questions.jsonl"), "answers.jsonl").await?;
//! println!("{} answered, {} failed", summary.success, summary.failed);
//! # Ok(()) }
//! ```
//! Start at [`BatchRunner`]: [`run`](BatchRunner::run) goes from file to file, [`stream`](BatchRunner::stream) yields each
//! row once, [`collect`](BatchRunner::collect) answers a list in memory. [`verify`] proves that an output is complete.
//!
//! * The output is the journal: a record is handed to the operating system when its answer is complete, and is on disk
//!   within a second. Killed anywhere, the next run ends with every row exactly once.
//! * Rows are matched by what they say, as a multiset, never by position. A changed model, system prompt or parameter is
//!   refused with the difference named, before anything is sent.
//! * Nothing paid is deleted: an answer that no row claims any more moves to a file beside the output.
//! * Memory: at most 32 bytes for each stored row while resuming and sorting, nothing for a row of a first run.
//! * Limits: plain JSONL only (no compressed input), one writer at a time, one file system that can lock and rename.

mod ask;
mod canon;
mod dispatch;
mod error;
mod examine;
mod feed;
mod finish;
mod job;
mod journal;
mod judge;
mod latency;
mod lock;
mod parts;
mod prepare;
mod progress;
mod record;
mod results;
mod resume;
mod row;
mod rows;
mod runner;
mod shutdown;
mod source;
mod stream;
mod summary;
mod verify;

pub use crate::error::{BatchError, Conflict, ErrorClass};
pub use crate::job::Job;
pub use crate::latency::Latency;
pub use crate::prepare::OnChange;
pub use crate::progress::{Notice, Observer, Progress, Snapshot, Stage};
pub use crate::record::{SaveInput, Status};
pub use crate::results::BatchResult;
pub use crate::row::{ALLOWED_BODY_FIELDS, Format};
pub use crate::runner::BatchRunner;
pub use crate::shutdown::Shutdown;
pub use crate::source::{BatchRequest, Input};
pub use crate::stream::ResultStream;
pub use crate::summary::{ErrorCount, MaxFailures, Stop, StopReason, Summary, Unclaimed};
pub use crate::verify::{Findings, VerifyReport, verify};
