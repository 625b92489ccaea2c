//! What a call costs beside the bare HTTP exchange, in each wire format: CPU time, the two sides in turns; or instructions,
//! to be counted by whoever runs this.

use std::time::Duration;

use crate::{
    Failure,
    client::Client,
    raw::Raw,
    wires::{Facts, Wire, named},
};

/// What is asked: a prompt of ordinary size; the plain server echoes it.
const PROMPT: &str = "Summarise the following note for a colleague who was on holiday, in three sentences at most, and \
    say at the end what is still open. The ferry was due at six; at seven the harbour master put up a notice that it \
    would leave at nine; at nine there was fog. At ten the café had run out of soup, and at eleven the passengers voted \
    to sing. The ferry came at dawn with an apology and fresh rolls. Nobody knows who baked them, the log names no \
    stop, and the captain whistles when he is asked. \"Quotation marks\", a line\nbreak and an é are here as well.";

/// What each ratio should stay below.
const GOAL: f64 = 1.5;

/// A way to ask and be answered.
pub(crate) struct Row {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    what: &'static str,
    streamed: bool,
    /// Calls in a round, and the most rounds.
    calls: u32,
    rounds: u16,
    /// Goals besides the one for all, by format.
    older_goal: Option<(&'static str, f64)>,
}

/// At full speed many chunks come with one read, and decoding is all there is; at a model's pace each chunk is a packet of
/// its own, as it is in life.
pub(crate) const ROWS: [Row; 4] = [
    Row {
        name: "plain",
        what: "plain exchange",
        streamed: false,
        calls: 400,
        rounds: u16::MAX,
        older_goal: Some(("openai_chat", 1.25)),
    },
    Row {
        name: "streamed",
        what: "streamed at full speed",
        streamed: true,
        calls: 8,
        rounds: u16::MAX,
        older_goal: Some(("openai_chat", 1.4)),
    },
    Row {
        name: "thought",
        what: "reasoning, text and two tool calls streamed",
        streamed: true,
        calls: 8,
        rounds: u16::MAX,
        older_goal: None,
    },
    Row {
        name: "paced",
        what: "streamed at a model's pace",
        streamed: true,
        calls: 2,
        rounds: 7,
        older_goal: Some(("openai_chat", 1.4)),
    },
];

/// Compares both sides in these formats, in the rows whose servers are named (`plain=PORT`).
pub(crate) async fn compare(formats: &str, rounds: u16, servers: &[&str]) -> Result<(), Failure> {
    for format in formats.split(',') {
        for server in servers {
            let (row, port) = parse(server)?;
            Sides::new(wire(format)?, row, port).await?.compare(rounds.min(row.rounds)).await?;
        }
    }
    Ok(())
}

/// Makes calls from one side only, to be counted by instructions.
pub(crate) async fn calls(format: &str, side: &str, server: &str, calls: u32) -> Result<(), Failure> {
    let (row, port) = parse(server)?;
    let mut sides = Sides::new(wire(format)?, row, port).await?;
    match side {
        "bare" => sides.bare(calls).await,
        "client" => sides.client(calls).await,
        _ => Err(format!("`{side}` is neither bare nor client").into()),
    }
}

fn wire(format: &str) -> Result<&'static Wire, Failure> {
    named(format).ok_or_else(|| format!("no wire format is called `{format}`").into())
}

fn parse(server: &str) -> Result<(&'static Row, u16), Failure> {
    let (name, port) = server.split_once('=').ok_or("a server is written NAME=PORT")?;
    let row = const { &ROWS }.iter().find(|row| row.name == name);
    Ok((row.ok_or_else(|| format!("no row is called `{name}`"))?, port.parse()?))
}

/// The two sides of a row in one format.
struct Sides {
    wire: &'static Wire,
    row: &'static Row,
    raw: Raw,
    client: Client,
    /// What both must find.
    facts: Facts,
    /// Chunks of a stream.
    units: u32,
}

impl Sides {
    async fn new(wire: &'static Wire, row: &'static Row, port: u16) -> Result<Self, Failure> {
        let (mut raw, client) = (Raw::connect(wire, port, PROMPT).await?, Client::new(wire, port, PROMPT)?);
        let (facts, units) = if row.streamed { raw.stream().await? } else { (raw.exchange().await?, 1) };
        if facts.bytes == 0 || facts.tokens == 0 || !facts.finished {
            return Err(format!("{facts:?} is no answer").into());
        }
        Ok(Self { wire, row, raw, client, facts, units: units.max(1) })
    }

    async fn bare(&mut self, calls: u32) -> Result<(), Failure> {
        for _ in 0..calls {
            let found =
                if self.row.streamed { self.raw.stream().await?.0 } else { self.raw.exchange().await? };
            same(found, self.facts)?;
        }
        Ok(())
    }

    async fn client(&self, calls: u32) -> Result<(), Failure> {
        for _ in 0..calls {
            let found =
                if self.row.streamed { self.client.stream().await? } else { self.client.exchange().await? };
            same(found, self.facts)?;
        }
        Ok(())
    }

    async fn compare(mut self, rounds: u16) -> Result<(), Failure> {
        let calls = self.row.calls;
        let units = calls * self.units;
        let (mut bare, mut ours) = (Vec::new(), Vec::new());
        for round in 0..=rounds {
            // The other one first every second time.
            let early = if round.is_multiple_of(2) { None } else { Some(timed(self.client(calls)).await?) };
            let raw = timed(self.bare(calls)).await?;
            let client = match early {
                Some(time) => time,
                None => timed(self.client(calls)).await?,
            };
            // The first round only warms up.
            if round > 0 {
                bare.push(raw / units);
                ours.push(client / units);
            }
        }
        self.report(&bare, &ours);
        Ok(())
    }

    /// Prints the medians, and the median of the rounds' ratios.
    fn report(&self, bare: &[Duration], ours: &[Duration]) {
        let Self { wire, row, units, .. } = self;
        let format = wire.dialect.as_str();
        let (what, unit) = if row.streamed {
            (format!("{} ({units} chunks)", row.what), "chunk")
        } else {
            (row.what.to_owned(), "exchange")
        };
        let micros = |times: &[Duration]| median(times.iter().map(|time| time.as_secs_f64() * 1e6).collect());
        let ratios: Vec<f64> =
            bare.iter().zip(ours).map(|(a, b)| b.as_secs_f64() / a.as_secs_f64()).collect();
        let (low, high) =
            ratios.iter().fold((f64::MAX, f64::MIN), |(low, high), x| (low.min(*x), high.max(*x)));
        let older = row.older_goal.filter(|(name, _)| *name == format);
        let older = older.map(|(_, goal)| format!(", before {goal}")).unwrap_or_default();
        println!(
            "{format}, {what}: CPU per {unit}: bare hyper {:.2} µs, llm-client {:.2} µs, ratio {:.2} (goal {GOAL}{older}; {low:.2} to {high:.2} over {} rounds)",
            micros(bare),
            micros(ours),
            median(ratios.clone()),
            ratios.len(),
        );
    }
}

fn same(found: Facts, expected: Facts) -> Result<(), Failure> {
    if found == expected { Ok(()) } else { Err(format!("{found:?} came, {expected:?} was expected").into()) }
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
