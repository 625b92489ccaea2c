//! End to end: real clients and the real binary against the mock server.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::print_stderr,
    reason = "a test may fail; the exemption of tests does not reach their helpers"
)]

mod cli;
mod client;
mod coming_from;
mod conformance;
mod pools;
mod telemetry;
mod tools;
