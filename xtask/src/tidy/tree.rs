//! The dependency tree: how large it may grow, and what never comes into it.

use std::path::Path;

use super::Finding;
use crate::{Outcome, run};

/// How many crates a user of each of ours compiles at most, itself and build dependencies included.
const LIMITS: [(&str, usize); 3] = [("llm-types", 20), ("llm-client", 110), ("llm-cli", 260)];

/// What never stands in the default tree, and what to use instead. The same names stand in `deny.toml`.
const BANS: [(&str, &str); 8] = [
    ("openssl", "TLS is rustls with ring"),
    ("openssl-sys", "TLS is rustls with ring"),
    ("native-tls", "TLS is rustls with ring"),
    ("aws-lc-rs", "the crypto provider is ring: turn off the default features that pull this in"),
    ("aws-lc-sys", "the crypto provider is ring: turn off the default features that pull this in"),
    ("serde_yaml", "it is unmaintained: use serde-saphyr"),
    ("serde_yml", "it is unsound: use serde-saphyr"),
    ("reqwest", "the transport is hyper"),
];

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Counts the tree of each crate that has a limit, with its default features, on this platform.
pub(crate) fn sizes() -> Outcome<Vec<Finding>> {
    let mut findings = Vec::new();
    for (name, limit) in LIMITS {
        let listed = run::capture(run::cargo().args([
            "tree",
            "--locked",
            "--package",
            name,
            "--edges=no-dev",
            "--prefix=none",
            "--format={p}",
        ]))?;
        let count = count(&listed);
        println!("tidy: {name} brings {count} crates of at most {limit}");
        findings.extend(too_many(name, count, limit));
    }
    Ok(findings)
}

/// Distinct packages in the output of `cargo tree --prefix=none`.
fn count(listed: &str) -> usize {
    let mut packages: Vec<&str> =
        listed.lines().map(|line| line.trim_end_matches(" (*)")).filter(|line| line.contains(" v")).collect();
    packages.sort_unstable();
    packages.dedup();
    packages.len()
}

fn too_many(name: &str, count: usize, limit: usize) -> Option<Finding> {
    let message = format!(
        "{count} crates in the tree of {name}, {limit} are allowed; find a lighter one or turn off features (`cargo tree -p {name} -e no-dev`)"
    );
    (count > limit).then(|| Finding::new(format!("crates/{name}/Cargo.toml"), 0, message))
}

/// Banned crates and foreign sources in the lock file. A banned crate may be locked for an optional feature; it is a
/// finding when the default tree of any platform holds it.
pub(crate) fn bans(root: &Path) -> Outcome<Vec<Finding>> {
    let lock =
        std::fs::read_to_string(root.join("Cargo.lock")).map_err(|error| format!("Cargo.lock: {error}"))?;
    let mut findings = foreign_sources(&lock);
    for (line, name, advice) in banned(&lock) {
        let mut cargo = run::cargo();
        cargo.args(["tree", "--locked", "--workspace", "--edges=no-dev", "--target=all", "--prefix=none"]);
        let whole = run::capture(&mut cargo)?;
        if whole.lines().any(|package| package.split(' ').next() == Some(name)) {
            let message = format!(
                "{name} is in the default tree; {advice} (`cargo tree -e no-dev --target all -i {name}`)"
            );
            findings.push(Finding::new("Cargo.lock", line, message));
        }
    }
    Ok(findings)
}

fn banned(lock: &str) -> Vec<(usize, &'static str, &'static str)> {
    let names = lock.lines().enumerate().filter_map(|(at, line)| {
        let name = line.strip_prefix("name = \"")?.strip_suffix('"')?;
        let (name, advice) = BANS.iter().find(|(banned, _)| *banned == name)?;
        Some((at + 1, *name, *advice))
    });
    names.collect()
}

fn foreign_sources(lock: &str) -> Vec<Finding> {
    let foreign = lock.lines().enumerate().filter_map(|(at, line)| {
        let source = line.strip_prefix("source = \"")?.strip_suffix('"')?;
        let message = || {
            format!(
                "`{source}` is not crates.io; use a published crate (no git dependency, no other registry)"
            )
        };
        (source != CRATES_IO).then(|| Finding::new("Cargo.lock", at + 1, message()))
    });
    foreign.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_that_grew_too_large_is_found() {
        let listed = "a v1.0.0 (/w/a)\nb v2.0.0\nc v1.0.0 (proc-macro)\nb v2.0.0 (*)\n[build-dependencies]\nb v1.0.0\n";
        assert_eq!(count(listed), 4);
        assert_eq!(too_many("llm-types", 20, 20), None);
        assert_eq!(too_many("llm-types", 21, 20).unwrap().path, "crates/llm-types/Cargo.toml");
    }

    #[test]
    fn banned_crates_and_foreign_sources_are_found_in_a_lock_file() {
        let lock = "[[package]]\nname = \"openssl\"\nversion = \"0.10.0\"\nsource = \"registry+https://github.com/rust-lang/crates.io-index\"\n\n[[package]]\nname = \"openssl-probe\"\nsource = \"git+https://example.com/x#1\"\n";
        assert_eq!(
            banned(lock).iter().map(|(line, name, _)| (*line, *name)).collect::<Vec<_>>(),
            [(2, "openssl")]
        );
        let foreign = foreign_sources(lock);
        assert_eq!(foreign.len(), 1);
        assert_eq!(foreign[0].line, 8);
    }

    #[test]
    fn the_bans_are_those_of_deny_toml() {
        let written = std::fs::read_to_string(run::root().join("deny.toml")).unwrap();
        let mut denied: Vec<&str> = written
            .lines()
            .filter_map(|line| line.trim().strip_prefix("{ crate = \"")?.split('"').next())
            .collect();
        let mut bans: Vec<&str> = BANS.iter().map(|(name, _)| *name).collect();
        denied.sort_unstable();
        bans.sort_unstable();
        assert_eq!(denied, bans);
    }
}
