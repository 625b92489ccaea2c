//! `cargo xtask tidy`: the rules that no compiler checks.
//!
//! Each check is a pure function from what stands in the repository to findings, so that each can be shown a planted
//! violation in a test. The tests below run some of them on this very workspace, as the guards of its invariants.

mod crates;
mod invariants;
mod paths;
mod reach;
mod source;
mod style;
mod tree;
mod vendors;

use std::{fmt, path::Path};

use crate::{Command, Outcome, args::Args, run};

pub(crate) const COMMAND: Command = Command {
    name: "tidy",
    about: "Check the rules that no compiler checks: crate arrows, vendor names, printing, docs, dependencies",
    usage: "tidy\n\n  Each finding is `file:line: what is wrong; what to do`.",
    run,
};

/// Something to mend.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    path: String,
    /// From 1; 0 when the finding is about the whole file.
    line: usize,
    message: String,
}

impl Finding {
    fn new(path: impl Into<String>, line: usize, message: impl Into<String>) -> Self {
        Self { path: path.into(), line, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.path, self.message),
            line => write!(f, "{}:{line}: {}", self.path, self.message),
        }
    }
}

fn run(args: Args) -> Outcome {
    args.end()?;
    check()
}

/// Runs every check on this workspace and prints what it finds.
pub(crate) fn check() -> Outcome {
    let root = run::root();
    let files = files(root)?;
    let mut findings = in_files(root, &files)?;
    let metadata =
        run::capture(run::cargo().args(["metadata", "--format-version=1", "--no-deps", "--locked"]))?;
    findings.extend(crates::arrows(&metadata)?);
    findings.extend(tree::sizes()?);
    findings.extend(tree::bans(root)?);
    findings.sort();
    for finding in &findings {
        println!("{finding}");
    }
    if findings.is_empty() {
        println!("tidy: {} files, nothing to mend", files.len());
        Ok(())
    } else {
        Err(format!("{} findings", findings.len()))
    }
}

/// The checks that read files only.
fn in_files(root: &Path, files: &[String]) -> Outcome<Vec<Finding>> {
    let sources = source::load(root, files)?;
    let mut findings = Vec::new();
    for source in &sources {
        findings.extend(style::module_doc(source));
        findings.extend(style::printing(source));
        findings.extend(style::leftovers(source));
        findings.extend(vendors::check(source));
        findings.extend(reach::stack(source));
        findings.extend(reach::addresses(source));
    }
    findings.extend(paths::check(root, files, &paths::Machine::here(root))?);
    findings.extend(crates::lints(root, files)?);
    findings.extend(invariants::check(root, &sources));
    Ok(findings)
}

/// The files of the repository, new ones that are not ignored included, sorted. Without git (an unpacked archive), every
/// file but what cargo builds.
fn files(root: &Path) -> Outcome<Vec<String>> {
    let mut git = std::process::Command::new("git");
    git.current_dir(root).args(["ls-files", "--cached", "--others", "--exclude-standard"]);
    let mut files: Vec<String> = match run::capture(&mut git) {
        Ok(listed) => listed.lines().map(str::to_owned).filter(|path| root.join(path).is_file()).collect(),
        Err(_) => walk(root, "")?,
    };
    files.sort();
    files.dedup();
    Ok(files)
}

/// The files under `folder`, which is given and told from the root, with `/`.
fn walk(root: &Path, folder: &str) -> Outcome<Vec<String>> {
    let mut files = Vec::new();
    let wrong = |error: std::io::Error| format!("{folder}: {error}");
    for entry in std::fs::read_dir(root.join(folder)).map_err(wrong)? {
        let entry = entry.map_err(wrong)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        let kind = entry.file_type().map_err(wrong)?;
        if kind.is_dir() && !matches!(name.as_str(), "target" | ".git") {
            files.extend(walk(root, &path)?);
        } else if kind.is_file() {
            files.push(path);
        }
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings_of(check: impl Fn(&source::Source) -> Vec<Finding>) -> Vec<Finding> {
        let root = run::root();
        let sources = source::load(root, &files(root).unwrap()).unwrap();
        sources.iter().flat_map(check).collect()
    }

    #[test]
    fn files_are_found_without_git_too() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["src/deep", "target", ".ci"] {
            std::fs::create_dir_all(folder.path().join(path)).unwrap();
        }
        for path in ["src/deep/a.rs", "target/x", ".ci/run", "Cargo.toml"] {
            std::fs::write(folder.path().join(path), "").unwrap();
        }
        assert_eq!(files(folder.path()).unwrap(), [".ci/run", "Cargo.toml", "src/deep/a.rs"]);
    }

    #[test]
    fn arrows_between_crates_point_down_only() {
        let mut cargo = run::cargo();
        let metadata =
            run::capture(cargo.args(["metadata", "--format-version=1", "--no-deps", "--offline"])).unwrap();
        assert_eq!(crates::arrows(&metadata).unwrap(), []);
    }

    #[test]
    fn only_the_command_line_prints() {
        assert_eq!(findings_of(style::printing), []);
    }

    #[test]
    fn no_vendor_name_stands_outside_its_dialect_and_the_catalogue() {
        assert_eq!(findings_of(vendors::check), []);
    }

    #[test]
    fn the_http_stack_stays_behind_the_transport() {
        assert_eq!(findings_of(reach::stack), []);
    }

    #[test]
    fn no_address_stands_in_the_code_but_in_the_catalogue() {
        assert_eq!(findings_of(reach::addresses), []);
    }

    #[test]
    fn unsafe_code_is_forbidden_in_every_crate() {
        let root = run::root();
        assert_eq!(crates::lints(root, &files(root).unwrap()).unwrap(), []);
    }
}
