//! `cargo xtask drill`: three mock endpoints and what happens to them, told by `llm-drill`.

use crate::{Command, Outcome, args::Args, process, run};

pub(crate) const COMMAND: Command = Command {
    name: "drill",
    about: "Kill, slow down, limit and revive mock endpoints under load; print what must be and what was seen",
    usage: "drill [--quick] [NAME…]\n\n  --quick  fewer calls\n  NAME…    only these: killed, fast-failer, limited, slow, dead-key, all-down, recovery, chain, cut-stream, no-fallback\n\n  The code is 1 when a line fails.",
    run,
};

fn run(args: Args) -> Outcome {
    drill(&args.rest())
}

/// What `cargo xtask ci` runs after the tests.
pub(crate) fn quick() -> Outcome {
    drill(&["--quick".to_owned()])
}

/// In a process of its own: this one stays free of what is tested.
fn drill(words: &[String]) -> Outcome {
    run::echo(std::process::Command::new(process::built("llm-drill")?).args(words))
}
