//! Many requests: JSONL in and out, safe to kill at any moment, resumed by content.
//!
//! ```no_run
//! # async fn example(client: std::sync::Arc<dyn llm_client::ModelClient>) -> Result<(), llm_batch::BatchError> {
//! use llm_batch::BatchRunner;
//! let summary = BatchRunner::new(client)
//!     .system("Answer in one sentence.")
//!     .concurrency(20)
//!     .run("questions.jsonl", "answers.jsonl")
//!     .await?;
//! assert_eq!(summary.success + summary.failed, summary.total.unwrap_or_default());
//! # Ok(()) }
//! ```
//!
//! Start at [`BatchRunner`]: a run from file to file ([`run`](BatchRunner::run)), results one by one
//! ([`stream`](BatchRunner::stream)), or requests in memory ([`collect`](BatchRunner::collect)). A [`Job`] is what all
//! rows share, a [`Summary`] what a run did, [`verify()`] proves an output whole. [`ALLOWED_BODY_FIELDS`] says what a row
//! may set itself.
//!
//! Feature `blocking` (default) has all three for callers that do not await: `run_blocking`, `stream_blocking`,
//! `collect_blocking`.
//!
//! How a row goes: `source` reads a line, `row` parses it and names its key, `resume` says whether an answer exists,
//! `dispatch` puts it into the window and calls the client, `judge` decides what follows a failure; the reply becomes a
//! `record`, one writer appends it to the `journal`; at a clean end `finish` puts the output in order.
//!
//! * Every row of the input is in the output exactly once after a finished run, whatever was killed before.
//! * An answer that was stored is never paid for again and never deleted: answers follow their rows by content, and those
//!   that no row claims any more move to a side file.
//! * Every line of the output is whole JSON. A record is in the system's hands when its row leaves the window, and on the
//!   disk within a second.
//! * One run per output. A second one, an output of another job, and a file of somebody else are refused with nothing
//!   sent and nothing changed.
//! * A dead key, an empty quota and a dead endpoint stop the run and are nobody's failure: the same command goes on later.
//! * Memory does not grow with the number of rows in a first run, and by 32 bytes a row while resuming and sorting.
//! * Rows cannot say where a request goes, nor with whose key.

mod ask;
mod background;
#[cfg(feature = "blocking")]
mod blocking;
mod blocks;
mod canon;
mod dispatch;
mod error;
mod examine;
mod feed;
mod finish;
mod job;
mod journal;
mod judge;
mod key;
mod latency;
mod lines;
mod lock;
mod parts;
mod prepare;
mod progress;
mod record;
mod results;
mod resume;
mod row;
mod rows;
mod run;
mod runner;
mod shutdown;
mod source;
mod stored;
mod stream;
mod summary;
mod survey;
mod verify;

#[cfg(feature = "blocking")]
pub use crate::blocking::BlockingResults;
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
pub use crate::summary::{ErrorCount, MaxFailures, Spending, Stop, StopReason, Summary, Unclaimed};
pub use crate::survey::{Survey, survey};
pub use crate::verify::{Findings, VerifyReport, verify};
