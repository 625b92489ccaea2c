//! Runs over real files with a scripted client, checked by a reader of their own.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "the helpers of tests fail as tests do"
)]

mod edits;
mod ends;
mod failures;
mod files;
mod outage;
mod promises;
mod results;
mod support;
