//! The manager and its configuration, from outside.
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, clippy::panic, reason = "the helpers of tests fail as tests do")]

mod aggregator;
mod choose;
mod files;
mod formats;
mod groups;
mod life;
mod pool;
mod registry;
mod reload;
mod schema;
mod scripted;
mod seeds;
mod support;
mod wire;
