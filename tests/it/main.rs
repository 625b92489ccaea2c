//! End to end: real clients and the real binary against the mock server.

mod cli;
mod client;
