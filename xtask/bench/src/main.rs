//! Measurements that need the client in a process of its own; `cargo xtask` builds it, starts the servers and runs it.
//!
//! * `llm-bench exchange FORMATS ROUNDS ROW=PORT…`: what a call costs beside the bare HTTP exchange. Our client and a bare
//!   hyper loop, in turns, in one process; the server is another process, so that only the clients' CPU counts.
//! * `llm-bench count FORMAT bare|client ROW=PORT CALLS`: calls from one of the two, to be counted by instructions.
//! * `llm-bench calls direct|pooled MODELS CALLS`: calls to clients that answer at once, to be counted by instructions.
//! * `llm-bench memory direct|pooled MODELS PORT PORT CALLS`: what a call in flight takes.
//! * `llm-bench storm PORT CALLS PER_SECOND`: calls at a steady pace, whatever becomes of them.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints its figures")]

mod choosing;
mod client;
mod exchange;
mod raw;
mod storm;
mod wires;

use std::process::ExitCode;

type Failure = Box<dyn std::error::Error>;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("llm-bench: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), Failure> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    // One thread: its CPU time is the whole cost, and nothing is hidden in another.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match words.as_slice() {
            ["exchange", formats, rounds, servers @ ..] => {
                exchange::compare(formats, rounds.parse()?, servers).await
            }
            ["count", format, side, server, calls] => {
                exchange::calls(format, side, server, calls.parse()?).await
            }
            ["storm", port, calls, per_second] => {
                storm::run(port.parse()?, calls.parse()?, per_second.parse()?).await
            }
            ["calls", way, models, calls] => choosing::calls(way, models.parse()?, calls.parse()?).await,
            ["memory", way, models, one, two, calls] => {
                choosing::memory(way, models.parse()?, [one.parse()?, two.parse()?], calls.parse()?).await
            }
            _ => Err("usage: llm-bench exchange FORMATS ROUNDS ROW=PORT… | count FORMAT bare|client ROW=PORT CALLS | \
                      storm PORT CALLS PER_SECOND | calls direct|pooled MODELS CALLS | \
                      memory direct|pooled MODELS PORT PORT CALLS"
                .into()),
        }
    })
}
