//! `cargo xtask bench`: what a call costs beside the bare HTTP exchange. Ratios within one run, never absolute promises.

use crate::{Command, Outcome, args::Args};

pub(crate) const COMMAND: Command = Command {
    name: "bench",
    about: "Compare the client with a bare hyper loop; measure batch throughput, memory and start time",
    usage: "bench [--rows N]",
    run,
};

fn run(args: Args) -> Outcome {
    args.end()
}
