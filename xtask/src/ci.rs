//! `cargo xtask ci`: everything that must hold before a change lands.

use std::time::{Duration, Instant};

use crate::{Command, Outcome, args::Args, crash, drill, integration, outside, run, test, tidy};

pub(crate) const COMMAND: Command = Command {
    name: "ci",
    about: "Run every check: format, lints, tests, docs, features, dependencies, tidy, a package outside, short drill, crash and end-to-end runs",
    usage: "ci\n\n  Goes on after a failed step, prints each step's time, and ends with a summary.\n  One target folder and one set of features: tests, crash and integration share a build, lints and docs another.",
    run,
};

/// One step: its name, what it runs, and whether it needs the build of the `test` step.
type Step = (&'static str, fn() -> Outcome, bool);

const STEPS: [Step; 11] = [
    ("format", format, false),
    ("tidy", tidy::check, false),
    ("lints", lints, false),
    ("tests", || test::whole(&[]), false),
    ("integration", integration::quick, true),
    ("drill", drill::quick, true),
    ("outside", outside::check, false),
    ("crash", crash::quick, true),
    ("docs", docs, false),
    ("features", features, false),
    ("dependencies", dependencies, false),
];

fn run(args: Args) -> Outcome {
    args.end()?;
    let begun = Instant::now();
    let mut results: Vec<(&str, Duration, Outcome)> = Vec::new();
    let mut built = true;
    for (name, step, needs_build) in STEPS {
        println!("\n=== {name}");
        let start = Instant::now();
        let result = if needs_build && !built {
            Err("not run, since the tests' build failed".to_owned())
        } else {
            step()
        };
        if name == "tests" {
            built = crate::process::binary(None).is_ok();
        }
        if let Err(message) = &result {
            println!("{name} failed: {message}");
        }
        results.push((name, start.elapsed(), result));
    }
    println!("\n=== summary, {} in all", run::spoken(begun.elapsed()));
    print!("{}", summary(&results));
    let failed: Vec<&str> =
        results.iter().filter(|(_, _, result)| result.is_err()).map(|(name, _, _)| *name).collect();
    if failed.is_empty() { Ok(()) } else { Err(format!("failed: {}", failed.join(", "))) }
}

fn summary(results: &[(&str, Duration, Outcome)]) -> String {
    let lines = results.iter().map(|(name, time, result)| {
        let (mark, why) = match result {
            Ok(()) => ("ok  ", String::new()),
            Err(message) => ("FAIL", format!("  {message}")),
        };
        format!("{mark} {name:<13} {:>12}{why}\n", run::spoken(*time))
    });
    lines.collect()
}

fn format() -> Outcome {
    run::echo(run::cargo().args(["fmt", "--all", "--check"]))
}

fn lints() -> Outcome {
    run::echo(run::cargo().arg("clippy").args(run::WHOLE).args(["--all-targets", "--", "-D", "warnings"]))
}

fn docs() -> Outcome {
    run::echo(run::cargo().env("RUSTDOCFLAGS", "-D warnings").arg("doc").args(run::WHOLE).arg("--no-deps"))
}

/// The smaller builds that a library's user may choose compile on their own.
fn features() -> Outcome {
    run::echo(run::cargo().args(["check", "--locked", "--package", "llm-types"]))?;
    run::echo(run::cargo().args(["check", "--locked", "--package", "llm-client", "--no-default-features"]))?;
    // The tests switch everything on; this is what a user installs.
    run::echo(run::cargo().args(["check", "--locked", "--package", "llm-cli"]))
}

fn dependencies() -> Outcome {
    let installed = run::capture(run::cargo().args(["deny", "--version"])).is_ok();
    if !installed {
        println!(
            "cargo-deny is not installed: licences are not checked here; bans and sources were, by tidy"
        );
        return Ok(());
    }
    run::echo(run::cargo().args([
        "deny",
        "--locked",
        "check",
        "--hide-inclusion-graph",
        "licenses",
        "bans",
        "sources",
    ]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_names_each_step_and_what_failed() {
        let results = [
            ("format", Duration::from_millis(500), Ok(())),
            ("tests", Duration::from_secs(200), Err("`cargo test` ended with exit status: 101".to_owned())),
        ];
        let text = summary(&results);
        assert!(text.contains("ok   format"), "{text}");
        assert!(text.contains("FAIL tests           3 min 20 s  `cargo test` ended"), "{text}");
    }
}
