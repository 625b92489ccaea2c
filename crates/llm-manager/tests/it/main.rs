//! The manager and its configuration, from outside.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests fail as tests do")]

mod choose;
mod files;
mod formats;
mod registry;
mod schema;
mod support;
mod wire;
