//! A drill with three mock endpoints and more: they are killed, fail, slow down, run out of limits and come back, under
//! load, over real sockets. One line a scenario: what must be, and what was seen.
//!
//! `llm-drill [--quick] [NAME…]`. The code is 1 when a line fails.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints its table")]

mod down;
mod rules;
mod stage;
mod uneven;

use std::pin::Pin;
use std::process::ExitCode;
use std::time::{Duration, Instant};

/// What stops a drill: a fault of the drill itself.
type Failure = Box<dyn std::error::Error>;

/// How one scenario went.
struct Seen {
    /// What must be.
    expected: String,
    observed: String,
    pass: bool,
}

impl Seen {
    fn new(pass: bool, expected: impl Into<String>, observed: impl Into<String>) -> Self {
        Self { expected: expected.into(), observed: observed.into(), pass }
    }
}

type Running = Pin<Box<dyn Future<Output = Result<Seen, Failure>>>>;

/// One scenario: its name, and how to run it (`true`: shorter).
struct Scenario {
    name: &'static str,
    run: fn(bool) -> Running,
}

const SCENARIOS: [Scenario; 10] = [
    Scenario { name: "killed", run: |quick| Box::pin(down::killed(quick)) },
    Scenario { name: "fast-failer", run: |quick| Box::pin(uneven::fast_failer(quick)) },
    Scenario { name: "limited", run: |quick| Box::pin(uneven::limited(quick)) },
    Scenario { name: "slow", run: |quick| Box::pin(uneven::slow(quick)) },
    Scenario { name: "dead-key", run: |quick| Box::pin(rules::dead_key(quick)) },
    Scenario { name: "all-down", run: |_| Box::pin(down::all_down()) },
    Scenario { name: "recovery", run: |_| Box::pin(down::recovery()) },
    Scenario { name: "chain", run: |_| Box::pin(rules::failing_models()) },
    Scenario { name: "cut-stream", run: |_| Box::pin(rules::cut_stream()) },
    Scenario { name: "no-fallback", run: |_| Box::pin(rules::no_fallback()) },
];

fn main() -> ExitCode {
    let mut words: Vec<String> = std::env::args().skip(1).collect();
    let all = words.len();
    words.retain(|word| word != "--quick");
    let quick = words.len() < all;
    if let Some(unknown) = words.iter().find(|word| SCENARIOS.iter().all(|one| one.name != **word)) {
        let names: Vec<&str> = SCENARIOS.iter().map(|one| one.name).collect();
        eprintln!("llm-drill: there is no `{unknown}`; there are {}", names.join(", "));
        return ExitCode::from(2);
    }
    match drill(&words, quick) {
        Ok(0) => ExitCode::SUCCESS,
        Ok(failed) => {
            eprintln!("llm-drill: {failed} failed");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("llm-drill: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Runs the scenarios one after the other, so that none slows another down, and counts those that failed.
fn drill(names: &[String], quick: bool) -> Result<usize, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut failed = 0;
    println!("{}", line("", "scenario", "must be", "seen", "took"));
    for Scenario { name, run } in SCENARIOS {
        if !names.is_empty() && names.iter().all(|wanted| wanted != name) {
            continue;
        }
        let begun = Instant::now();
        let seen = runtime.block_on(async { tokio::time::timeout(stage::PATIENCE, run(quick)).await });
        let seen = match seen {
            Ok(Ok(seen)) => seen,
            Ok(Err(fault)) => Seen::new(false, "the drill runs", format!("it could not: {fault}")),
            Err(_) => Seen::new(false, "it ends", format!("not within {:?}", stage::PATIENCE)),
        };
        let mark = if seen.pass { "ok" } else { "FAIL" };
        println!("{}", line(mark, name, &seen.expected, &seen.observed, &spoken(begun.elapsed())));
        failed += usize::from(!seen.pass);
    }
    Ok(failed)
}

fn line(mark: &str, scenario: &str, expected: &str, observed: &str, took: &str) -> String {
    format!("{mark:<4} {scenario:<12} {took:>6}  {expected:<72} {observed}")
}

fn spoken(time: Duration) -> String {
    format!("{:.1} s", time.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_shows_what_must_be_beside_what_was_seen() {
        let text = line("FAIL", "killed", "0 failed", "1 of 9 failed", "0.1 s");
        assert!(text.starts_with("FAIL killed "), "{text}");
        assert!(text.find("0 failed").unwrap() < text.find("1 of 9 failed").unwrap());
        let names: std::collections::BTreeSet<&str> = SCENARIOS.iter().map(|one| one.name).collect();
        assert_eq!(names.len(), SCENARIOS.len());
        assert_eq!((stage::percent(1, 4), stage::percent(0, 0)), (25.0, 0.0));
    }

    #[test]
    fn a_fault_that_is_not_taken_away_is_seen() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let load = runtime.block_on(async {
            let gone = stage::answering_in(0).start().await.unwrap();
            let one = stage::client(&gone, "one", &stage::settings()).unwrap();
            gone.shutdown().await;
            stage::load(&one, 2, 1, async |_| {}).await
        });
        assert_eq!((load.calls, load.failed), (2, 2));
        assert!(load.told().starts_with("2 of 2 calls failed ("), "{}", load.told());
    }
}
