//! `cargo xtask test`: every test of the workspace.

use crate::{Command, Outcome, args::Args, run};

pub(crate) const COMMAND: Command = Command {
    name: "test",
    about: "Run every test of the workspace, documentation examples included; `examples/` are compiled",
    usage: "test [FILTER…]\n\n  FILTER…   handed to `cargo test` as they are, for example `retry` or `--test it`",
    run,
};

fn run(args: Args) -> Outcome {
    whole(&args.rest())
}

/// Plain `cargo test`: it runs documentation tests too, and its result lines are the ones people look for. Test binaries
/// run their tests in parallel, so another runner would win little.
pub(crate) fn whole(filters: &[String]) -> Outcome {
    run::echo(run::cargo().arg("test").args(run::WHOLE).args(filters))
}
