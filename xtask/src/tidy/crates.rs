//! Invariants 1 and 8: arrows between our crates point down only, and every crate is under the workspace's lints.

use std::path::Path;

use serde_json::Value;

use super::Finding;
use crate::Outcome;

/// One crate: what it may use of ours, and what its tests may use besides. Drawn in `DESIGN.md` and `ARCHITECTURE.md`.
struct Row {
    name: &'static str,
    uses: &'static [&'static str],
    tests_use: &'static [&'static str],
}

const fn row(name: &'static str, uses: &'static [&'static str], tests_use: &'static [&'static str]) -> Row {
    Row { name, uses, tests_use }
}

const ALL: &[&str] =
    &["llm-types", "llm-client", "llm-provider", "llm-manager", "llm-batch", "llm-mock", "llm-cli"];

const ROWS: [Row; 13] = [
    row("llm-types", &[], &[]),
    row("llm-client", &["llm-types"], &["llm-mock"]),
    row("llm-provider", &["llm-client", "llm-types"], &["llm-mock"]),
    row("llm-manager", &["llm-provider", "llm-client", "llm-types"], &["llm-mock"]),
    row("llm-batch", &["llm-client", "llm-types"], &["llm-mock"]),
    // The mock server never uses our dialects, not even in its tests, or bugs would cancel out.
    row("llm-mock", &["llm-types"], &[]),
    row("llm-cli", &["llm-manager", "llm-provider", "llm-batch", "llm-mock", "llm-client", "llm-types"], &[]),
    row("llm-tests", &["llm-cli"], ALL),
    row("llm-bench", &["llm-manager", "llm-client", "llm-types"], &[]),
    row("llm-matrix", &["llm-provider", "llm-client", "llm-types"], &[]),
    row("llm-drill", &["llm-manager", "llm-mock", "llm-client", "llm-types"], &[]),
    // Outside the graph: what a user builds.
    row("llm-example-otlp", &["llm-client", "llm-mock"], &[]),
    row("xtask", &[], &[]),
];

/// Crates that would bring I/O, a clock or a runtime into `llm-types`.
const NOT_PLAIN: [&str; 10] = [
    "tokio",
    "hyper",
    "http",
    "tower",
    "tracing",
    "fastrand",
    "futures-util",
    "rustls",
    "tempfile",
    "async-trait",
];

/// Checks `cargo metadata --no-deps`.
pub(crate) fn arrows(metadata: &str) -> Outcome<Vec<Finding>> {
    let metadata: Value =
        serde_json::from_str(metadata).map_err(|error| format!("cargo metadata: {error}"))?;
    let packages = list(&metadata, "packages");
    let ours: Vec<&str> = packages.iter().map(|package| text(package, "name")).collect();
    let root = text(&metadata, "workspace_root");
    let mut findings = Vec::new();
    for package in packages {
        let name = text(package, "name");
        let manifest = text(package, "manifest_path");
        let path = manifest
            .strip_prefix(root)
            .unwrap_or(manifest)
            .trim_start_matches(['/', '\\'])
            .replace('\\', "/");
        let Some(row) = ROWS.iter().find(|row| row.name == name) else {
            let message = format!(
                "{name} is not in the crate graph; draw its arrows in ARCHITECTURE.md and in xtask/src/tidy/crates.rs"
            );
            findings.push(Finding::new(path, 0, message));
            continue;
        };
        let written = std::fs::read_to_string(manifest).unwrap_or_default();
        for dependency in list(package, "dependencies") {
            let used = text(dependency, "name");
            let dev = text(dependency, "kind") == "dev";
            let line = written.lines().position(|line| names(line, used)).map_or(0, |at| at + 1);
            if ours.contains(&used) {
                let allowed = row.uses.contains(&used) || dev && row.tests_use.contains(&used);
                if !allowed {
                    let allowed = if dev { [row.uses, row.tests_use].concat() } else { row.uses.to_vec() };
                    let message = format!(
                        "{name} may not use {used}{}; allowed: {}. Move the code down, or change the graph on purpose",
                        if dev { " in its tests" } else { "" },
                        if allowed.is_empty() { "none of ours".to_owned() } else { allowed.join(", ") },
                    );
                    findings.push(Finding::new(&path, line, message));
                }
            } else if name == "llm-types" && !dev && NOT_PLAIN.contains(&used) {
                let message = format!(
                    "llm-types is plain data and may not use {used}; put what needs it into llm-client"
                );
                findings.push(Finding::new(&path, line, message));
            }
        }
    }
    Ok(findings)
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// Whether a manifest's line declares the dependency `name`.
fn names(line: &str, name: &str) -> bool {
    line.strip_prefix(name).is_some_and(|rest| rest.trim_start().starts_with(['=', '.']))
}

/// Every package inherits the workspace's lints, and those forbid unsafe code.
pub(crate) fn lints(root: &Path, files: &[String]) -> Outcome<Vec<Finding>> {
    let mut findings = Vec::new();
    for path in files.iter().filter(|path| path.rsplit('/').next() == Some("Cargo.toml")) {
        let manifest =
            std::fs::read_to_string(root.join(path)).map_err(|error| format!("{path}: {error}"))?;
        findings.extend(lints_of(path, &manifest));
    }
    Ok(findings)
}

fn lints_of(path: &str, manifest: &str) -> Option<Finding> {
    let has = |wanted: &str, entry: &str| {
        let mut table = "";
        manifest.lines().any(|line| {
            let line = line.trim();
            if line.starts_with('[') {
                table = line;
            }
            let plain: String = line.chars().filter(|c| !c.is_whitespace()).collect();
            table == wanted && plain.split('#').next() == Some(entry)
        })
    };
    if manifest.contains("[workspace]") && !has("[workspace.lints.rust]", "unsafe_code=\"forbid\"") {
        let message = "the workspace's lints do not forbid unsafe code; write `unsafe_code = \"forbid\"` under [workspace.lints.rust]";
        return Some(Finding::new(path, 0, message));
    }
    // A user's package knows no workspace.
    if path.starts_with("examples/outside/") {
        let message = "this package allows unsafe code; write `unsafe_code = \"forbid\"` under [lints.rust]";
        let forbids = has("[lints.rust]", "unsafe_code=\"forbid\"");
        return (!forbids).then(|| Finding::new(path, 0, message));
    }
    let inherits = has("[lints]", "workspace=true")
        || manifest.lines().any(|line| line.trim() == "lints.workspace = true");
    if manifest.contains("[package]") && !inherits {
        let message =
            "this crate is not under the workspace's lints; write `[lints]` and under it `workspace = true`";
        return Some(Finding::new(path, 0, message));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metadata(name: &str, dependencies: &str) -> String {
        format!(
            r#"{{"workspace_root": "/w", "packages": [
                {{"name": "{name}", "manifest_path": "/w/crates/{name}/Cargo.toml", "dependencies": [{dependencies}]}},
                {{"name": "llm-types", "manifest_path": "/w/crates/llm-types/Cargo.toml", "dependencies": []}},
                {{"name": "llm-mock", "manifest_path": "/w/crates/llm-mock/Cargo.toml", "dependencies": []}},
                {{"name": "llm-cli", "manifest_path": "/w/crates/llm-cli/Cargo.toml", "dependencies": []}}]}}"#
        )
    }

    fn found(name: &str, dependencies: &str) -> Vec<Finding> {
        arrows(&metadata(name, dependencies)).unwrap()
    }

    #[test]
    fn an_arrow_that_points_up_or_sideways_is_found() {
        let up = r#"{"name": "llm-cli", "kind": null}"#;
        let side = r#"{"name": "llm-mock", "kind": null}"#;
        let build = r#"{"name": "llm-mock", "kind": "build"}"#;
        for bad in [up, side, build] {
            let found = found("llm-client", bad);
            assert_eq!(found.len(), 1, "{bad}");
            assert_eq!(found[0].path, "crates/llm-client/Cargo.toml");
            assert!(found[0].message.contains("allowed: llm-types"), "{}", found[0]);
        }
        assert_eq!(found("llm-strange", "").len(), 1, "a crate that is not in the graph");
    }

    #[test]
    fn tests_may_use_the_mock_server_but_not_what_is_above_them() {
        assert_eq!(
            found("llm-client", r#"{"name": "llm-mock", "kind": "dev"}, {"name": "serde", "kind": null}"#),
            []
        );
        assert_eq!(found("llm-client", r#"{"name": "llm-cli", "kind": "dev"}"#).len(), 1);
        assert_eq!(found("llm-tests", r#"{"name": "llm-mock", "kind": "dev"}"#), []);
    }

    #[test]
    fn plain_data_stays_plain() {
        let metadata = r#"{"workspace_root": "/w", "packages": [{"name": "llm-types", "manifest_path": "/w/a/Cargo.toml",
            "dependencies": [{"name": "tokio", "kind": null}, {"name": "tempfile", "kind": "dev"}, {"name": "serde", "kind": null}]}]}"#;
        let found = arrows(metadata).unwrap();
        assert_eq!(found.len(), 1);
        assert!(found[0].message.contains("may not use tokio"));
    }

    #[test]
    fn a_crate_outside_the_lints_is_found() {
        let good = "[package]\nname = \"a\"\n\n[lints]\nworkspace = true\n";
        assert_eq!(lints_of("Cargo.toml", good), None);
        for bad in [
            "[package]\nname = \"a\"\n",
            "[package]\n[lints]\nworkspace = false\n",
            "[package]\n[lints.rust]\nworkspace = true\n",
        ] {
            assert!(lints_of("Cargo.toml", bad).is_some(), "{bad}");
        }
        let root = "[workspace]\n[workspace.lints.rust]\nunsafe_code = \"forbid\" # always\n";
        assert_eq!(lints_of("Cargo.toml", root), None);
        assert!(lints_of("Cargo.toml", &root.replace("forbid", "deny")).is_some());
        let user = "[package]\n[lints.rust]\nunsafe_code = \"forbid\"\n";
        assert_eq!(lints_of("examples/outside/Cargo.toml", user), None);
        assert!(lints_of("examples/outside/Cargo.toml", &user.replace("forbid", "warn")).is_some());
        assert!(names("tokio = { workspace = true }", "tokio") && names("tokio.workspace = true", "tokio"));
        assert!(!names("tokio-rustls = \"1\"", "tokio"));
    }
}
