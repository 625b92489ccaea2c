//! Every **Invariant** line of `ARCHITECTURE.md` names a test that exists.

use std::path::Path;

use super::{Finding, source::Source};

const PAGE: &str = "ARCHITECTURE.md";

pub(crate) fn check(root: &Path, sources: &[Source]) -> Vec<Finding> {
    match std::fs::read_to_string(root.join(PAGE)) {
        Ok(page) => in_page(&page, &test_names(sources)),
        Err(error) => {
            vec![Finding::new(PAGE, 0, format!("{error}; the invariants and their tests are listed there"))]
        }
    }
}

fn in_page(page: &str, tests: &[&str]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let lines: Vec<&str> = page.lines().collect();
    let mut seen = false;
    for (at, line) in lines.iter().enumerate().filter(|(_, line)| line.contains("**Invariant")) {
        seen = true;
        // A statement may run over several lines, up to a blank one or the next statement.
        let statement: Vec<&str> = std::iter::once(*line)
            .chain(lines.iter().skip(at + 1).copied().take_while(|line| {
                !line.trim().is_empty()
                    && !line.contains("**Invariant")
                    && !line.starts_with(['#', '|', '-', '*'])
            }))
            .collect();
        let statement = statement.join(" ");
        let named: Vec<&str> = statement.split('`').skip(1).step_by(2).filter_map(last_name).collect();
        if !named.iter().any(|name| tests.contains(name)) {
            let message = "names no test that exists; name the test that guards it, in backticks";
            findings.push(Finding::new(PAGE, at + 1, message));
        }
        // A sentence in snake case can only be meant as a test's name.
        for gone in named.iter().filter(|name| name.matches('_').count() >= 3 && !tests.contains(name)) {
            findings.push(Finding::new(
                PAGE,
                at + 1,
                format!("there is no test `{gone}`; name the one that guards it"),
            ));
        }
    }
    if !seen {
        findings.push(Finding::new(
            PAGE,
            0,
            "no **Invariant** line; state each invariant with the test that guards it",
        ));
    }
    findings
}

/// `name` of `crate::module::name`, when it could be a function's.
fn last_name(quoted: &str) -> Option<&str> {
    let name = quoted.trim_end_matches("()").rsplit("::").next()?;
    let plain =
        !name.is_empty() && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    plain.then_some(name)
}

/// The functions under a test attribute.
fn test_names(sources: &[Source]) -> Vec<&str> {
    let mut names = Vec::new();
    for source in sources {
        let mut attribute = false;
        for line in &source.lines {
            let code = line.code.trim();
            if code.starts_with("#[test]") || code.starts_with("#[") && code.contains("::test") {
                attribute = true;
            } else if attribute && !code.starts_with("#[") && !code.is_empty() {
                attribute = false;
                let name = code.split_once("fn ").and_then(|(_, rest)| rest.split(['(', '<']).next());
                names.extend(name);
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invariant_without_a_living_test_is_found() {
        let source = Source::new(
            "crates/a/src/a.rs",
            "#[test]\nfn one() {}\n#[tokio::test(flavor = \"current_thread\")]\n#[expect(x)]\nasync fn two() {}\nfn three() {}\n// #[test]\nfn four() {}\n",
        );
        let sources = [source];
        let tests = test_names(&sources);
        assert_eq!(tests, ["one", "two"]);
        let good =
            "1. **Invariant.** Down only: `xtask` `tidy::one`.\n- **Invariant 2**: and\n  more: `two()`\n";
        assert_eq!(in_page(good, &tests), []);
        for bad in [
            "**Invariant** no test named\n\n`one`",
            "**Invariant** `three`",
            "**Invariant** `on`",
            "nothing at all",
        ] {
            assert_eq!(in_page(bad, &tests).len(), 1, "{bad}");
        }
        assert_eq!(in_page("**Invariant** `one`, `what_was_renamed_since`, `serde_json`", &tests).len(), 1);
    }
}
