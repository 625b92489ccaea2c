//! `cargo xtask outside`: what users write around us, as they would write it: in a package that is no member of the
//! workspace and sees only what is public.

use std::path::{Path, PathBuf};

use crate::{Command, Outcome, args::Args, run};

pub(crate) const COMMAND: Command = Command {
    name: "outside",
    about: "Build and run `examples/outside`: a provider, a wire format and a tower layer of a user's own",
    usage: "outside\n\n  Offline, with the workspace's lock file and target folder.",
    run,
};

const FOLDER: &str = "examples/outside";

fn run(args: Args) -> Outcome {
    args.end()?;
    check()
}

/// What `cargo xtask ci` runs: format, build, and every program to a good end.
pub(crate) fn check() -> Outcome {
    let folder = run::root().join(FOLDER);
    let manifest = folder.join("Cargo.toml");
    let manifest = manifest.to_string_lossy();
    run::echo(run::cargo().args(["fmt", "--check", "--manifest-path", &manifest]))?;
    let names = programs(&folder)?;
    // The same versions as the workspace's; cargo takes out what is not needed here.
    let (from, to) = (run::root().join("Cargo.lock"), folder.join("Cargo.lock"));
    std::fs::copy(&from, &to).map_err(|error| format!("{}: {error}", to.display()))?;
    let target = run::target_dir();
    let cargo = |verb: &str| {
        let mut command = run::cargo();
        command.args([verb, "--offline", "--manifest-path", &manifest]).arg("--target-dir").arg(&target);
        command
    };
    run::echo(&mut cargo("build"))?;
    for name in names {
        run::echo(cargo("run").args(["--quiet", "--bin", &name]))?;
    }
    Ok(())
}

/// The programs of a package, by their files.
fn programs(folder: &Path) -> Outcome<Vec<String>> {
    let bins = folder.join("src").join("bin");
    let wrong = |error: std::io::Error| format!("{}: {error}", bins.display());
    let files: Vec<PathBuf> = std::fs::read_dir(&bins)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect())
        .map_err(wrong)?;
    let rust = files.iter().filter(|path| path.extension().is_some_and(|end| end == "rs"));
    let mut names: Vec<String> =
        rust.filter_map(|path| path.file_stem()?.to_str().map(str::to_owned)).collect();
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_ways_to_extend_us_each_have_a_program() {
        let names = programs(&run::root().join(FOLDER)).unwrap();
        assert_eq!(names, ["own_dialect", "own_layer", "own_provider"]);
    }
}
