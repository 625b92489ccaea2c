//! Providers over real sockets, against the scripted server.
#![cfg(test)]
#![forbid(unsafe_code)]
#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

mod endpoint;
mod limits;
mod models;
