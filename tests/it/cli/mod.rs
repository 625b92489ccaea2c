//! The command line: the real binary, its environment cleared and set explicitly, against the mock server.

mod ask;
mod batch;
mod config;
mod conversation;
mod docs;
mod dry_run;
mod errors;
mod harness;
mod keys;
mod metrics;
mod older;
mod origin;
mod other;
mod price;
mod signals;
mod terminal;
mod tools;
mod two_turns;
mod vendors;
