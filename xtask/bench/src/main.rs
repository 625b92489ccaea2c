//! Measurements that need the client in a process of its own; `cargo xtask` builds it, starts the servers and runs it.
//!
//! * `llm-bench exchange PLAIN_PORT STREAM_PORT PACED_PORT ROUNDS`: what a call costs beside the bare HTTP exchange. Our client and a
//!   bare hyper loop, in turns, in one process; the server is another process, so that only the clients' CPU counts.
//! * `llm-bench calls direct|pooled MODELS CALLS`: calls to clients that answer at once, to be counted by instructions.
//! * `llm-bench memory direct|pooled MODELS PORT PORT CALLS`: what a call in flight takes.
//! * `llm-bench storm PORT CALLS PER_SECOND`: calls at a steady pace, whatever becomes of them.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints its figures")]

mod choosing;
mod client;
mod raw;
mod storm;

use std::{process::ExitCode, time::Duration};

use crate::{client::Client, raw::Raw};

type Failure = Box<dyn std::error::Error>;

/// What is asked: a prompt of ordinary size; the plain server echoes it.
const PROMPT: &str = "Summarise the following note for a colleague who was on holiday, in three sentences at most, and \
    say at the end what is still open. The ferry was due at six; at seven the harbour master put up a notice that it \
    would leave at nine; at nine there was fog. At ten the café had run out of soup, and at eleven the passengers voted \
    to sing. The ferry came at dawn with an apology and fresh rolls. Nobody knows who baked them, the log names no \
    stop, and the captain whistles when he is asked. \"Quotation marks\", a line\nbreak and an é are here as well.";

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
            ["exchange", plain, streamed, paced, rounds] => {
                let rounds = rounds.parse()?;
                plain_exchange(plain.parse()?, rounds).await?;
                streamed_exchange("streamed at full speed", streamed.parse()?, rounds, 8).await?;
                streamed_exchange("streamed at a model's pace", paced.parse()?, rounds.min(7), 2).await
            }
            ["storm", port, calls, per_second] => {
                storm::run(port.parse()?, calls.parse()?, per_second.parse()?).await
            }
            ["calls", way, models, calls] => choosing::calls(way, models.parse()?, calls.parse()?).await,
            ["memory", way, models, one, two, calls] => {
                choosing::memory(way, models.parse()?, [one.parse()?, two.parse()?], calls.parse()?).await
            }
            _ => Err("usage: llm-bench exchange PLAIN_PORT STREAM_PORT PACED_PORT ROUNDS | storm PORT CALLS PER_SECOND | \
                      calls direct|pooled MODELS CALLS | memory direct|pooled MODELS PORT PORT CALLS"
                .into()),
        }
    })
}

/// (a) One request, one answer, on a kept connection.
async fn plain_exchange(port: u16, rounds: u16) -> Result<(), Failure> {
    const EACH: u32 = 400;
    let (mut raw, client) = (Raw::connect(port, PROMPT).await?, Client::new(port, PROMPT)?);
    let (mut bare, mut ours) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        let a = timed(async {
            for _ in 0..EACH {
                same(raw.exchange().await?, PROMPT.len())?;
            }
            Ok(())
        });
        let b = timed(async {
            for _ in 0..EACH {
                same(client.exchange().await?, PROMPT.len())?;
            }
            Ok(())
        });
        let (a, b) = in_turns(round, a, b).await?;
        // The first round only warms up.
        if round > 0 {
            bare.push(a / EACH);
            ours.push(b / EACH);
        }
    }
    report("plain exchange", "exchange", 1.25, &bare, &ours);
    Ok(())
}

/// (b) One request, an answer in many chunks. At full speed many chunks come with one read, and decoding is all there is;
/// at a model's pace each chunk is a packet of its own, as it is in life.
async fn streamed_exchange(what: &str, port: u16, rounds: u16, each: u32) -> Result<(), Failure> {
    let (mut raw, client) = (Raw::connect(port, PROMPT).await?, Client::new(port, PROMPT)?);
    let (text, chunks) = raw.stream().await?;
    let chunks_in_all = each * u32::try_from(chunks)?.max(1);
    let (mut bare, mut ours) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        let a = timed(async {
            for _ in 0..each {
                same(raw.stream().await?.0, text)?;
            }
            Ok(())
        });
        let b = timed(async {
            for _ in 0..each {
                same(client.stream().await?, text)?;
            }
            Ok(())
        });
        let (a, b) = in_turns(round, a, b).await?;
        if round > 0 {
            bare.push(a / chunks_in_all);
            ours.push(b / chunks_in_all);
        }
    }
    report(&format!("{what} ({chunks} chunks)"), "chunk", 1.4, &bare, &ours);
    Ok(())
}

/// Runs both, the other one first every second time.
async fn in_turns<T>(
    round: u16,
    a: impl Future<Output = Result<T, Failure>>,
    b: impl Future<Output = Result<T, Failure>>,
) -> Result<(T, T), Failure> {
    if round.is_multiple_of(2) {
        let first = a.await?;
        Ok((first, b.await?))
    } else {
        let first = b.await?;
        Ok((a.await?, first))
    }
}

/// The CPU time of this process while `work` runs.
async fn timed(work: impl Future<Output = Result<(), Failure>>) -> Result<Duration, Failure> {
    let start = cpu_time();
    work.await?;
    Ok(cpu_time().saturating_sub(start))
}

#[cfg(unix)]
fn cpu_time() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let (seconds, nanos) = (u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0));
    Duration::new(seconds, nanos)
}

/// Elapsed time, where the system has no CPU clock that we know of.
#[cfg(not(unix))]
fn cpu_time() -> Duration {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    START.get_or_init(std::time::Instant::now).elapsed()
}

fn same(found: usize, expected: usize) -> Result<(), Failure> {
    if found == expected {
        Ok(())
    } else {
        Err(format!("{found} bytes of text came, {expected} were expected").into())
    }
}

/// Prints the medians, and the median of the rounds' ratios.
fn report(what: &str, unit: &str, goal: f64, bare: &[Duration], ours: &[Duration]) {
    let micros = |times: &[Duration]| median(times.iter().map(|time| time.as_secs_f64() * 1e6).collect());
    let ratios: Vec<f64> = bare.iter().zip(ours).map(|(a, b)| b.as_secs_f64() / a.as_secs_f64()).collect();
    let (low, high) = ratios.iter().fold((f64::MAX, f64::MIN), |(low, high), x| (low.min(*x), high.max(*x)));
    println!(
        "{what}: CPU per {unit}: bare hyper {:.2} µs, llm-client {:.2} µs, ratio {:.2} (goal {goal}; {low:.2} to {high:.2} over {} rounds)",
        micros(bare),
        micros(ours),
        median(ratios.clone()),
        ratios.len(),
    );
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one() {
        assert_eq!(median(vec![9.0, 1.0, 2.0]), 2.0);
        assert!(median(Vec::new()).is_nan());
        let start = cpu_time();
        let work: u64 = (0..3_000_000).map(std::hint::black_box).sum();
        assert!(work > 0 && cpu_time() > start);
    }
}
