//! `cargo xtask crash`: the promises of the batch runner (P1 to P11), tried on the real binary with real signals.
//!
//! Every scenario has a mock server in a process of its own, which echoes; so each row's right answer is known, and the
//! server's log tells what was sent, however the client died. What is asserted counts rows, requests and bytes, hardly
//! ever time: a loaded machine makes a run slower, not wrong.

mod files;
mod job;
mod kills;
mod refusals;
mod signals;

use std::{path::PathBuf, time::Instant};

use crate::{
    Command, Outcome,
    args::Args,
    process::{self, Stage},
    run,
};

pub(crate) const COMMAND: Command = Command {
    name: "crash",
    about: "Kill, stop, interrupt and starve the batch runner, and prove that nothing is lost or paid for twice",
    usage: "crash [--kills N] [--seed N] [--quick] [--only NAME] [--bin PATH]\n\n  --kills N    SIGKILLs at random moments (default 20; 1000 before a release)\n  --seed N     repeat an earlier run's choices; the seed is printed\n  --quick      shorter waits and fewer cut offsets\n  --only NAME  the scenarios whose name contains NAME\n  --bin PATH   use this `llm` instead of building one",
    run,
};

/// What a scenario needs to know.
struct Trial {
    stage: Stage,
    seed: u64,
    kills: usize,
    quick: bool,
}

type Scenario = (&'static str, fn(&Trial) -> Outcome<String>);

const SCENARIOS: [Scenario; 20] = [
    ("kills", kills::run),
    ("kills in the sort", kills::while_sorting),
    ("interrupt", signals::interrupt),
    ("second interrupt", signals::second_interrupt),
    ("terminate", signals::terminate),
    ("hang-up", signals::hang_up),
    ("grace", signals::grace),
    ("stopped", signals::stopped),
    ("torn tails", files::torn_tails),
    ("strange tails", files::strange_tails),
    ("grown input", files::grown),
    ("edited input", files::edited),
    ("re-ordered input", files::reordered),
    ("shortened input", files::shortened),
    ("two writers", files::two_writers),
    ("few descriptors", refusals::few_descriptors),
    ("full disk", refusals::full_disk),
    ("unwritable output", refusals::unwritable),
    ("dead key", refusals::dead_key),
    ("failed rows", refusals::failed_rows),
];

fn run(mut args: Args) -> Outcome {
    let kills = args.value("--kills")?.unwrap_or(20);
    let seed = args.value("--seed")?.unwrap_or_else(|| fastrand::u64(..1_000_000));
    let quick = args.flag("--quick");
    let only: Option<String> = args.value("--only")?;
    let named: Option<PathBuf> = args.value("--bin")?;
    args.end()?;
    try_all(process::binary(named)?, kills, seed, quick, only.as_deref())
}

/// What `cargo xtask ci` runs.
pub(crate) fn quick() -> Outcome {
    try_all(process::binary(None)?, 20, fastrand::u64(..1_000_000), true, None)
}

fn try_all(binary: PathBuf, kills: usize, seed: u64, quick: bool, only: Option<&str>) -> Outcome {
    if !cfg!(unix) {
        println!("crash: not run, this system has no signals");
        return Ok(());
    }
    println!("crash: seed {seed} (repeat with --seed {seed})");
    let trial = Trial { stage: Stage::new(binary)?, seed, kills, quick };
    let mut failed = Vec::new();
    let chosen = SCENARIOS.iter().filter(|(name, _)| only.is_none_or(|only| name.contains(only)));
    for (name, scenario) in chosen {
        let start = Instant::now();
        match scenario(&trial) {
            Ok(figures) => println!("pass  {name:<18} {figures} ({})", run::spoken(start.elapsed())),
            Err(message) => {
                println!("FAIL  {name:<18} {message} ({})", run::spoken(start.elapsed()));
                failed.push(*name);
            }
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(format!("seed {seed}: failed: {}", failed.join(", "))) }
}
