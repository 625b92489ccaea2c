//! Module docs, printing, and what should not be left lying around.

use super::{Finding, source::Source};

/// The first thing in a file says what the file is for.
pub(crate) fn module_doc(source: &Source) -> Vec<Finding> {
    let first = source.raw.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let says = first.strip_prefix("//!").unwrap_or_default().trim().trim_end_matches('.').to_lowercase();
    if says.len() > 3 && !["stub", "todo", "to be written", "tests"].contains(&says.as_str()) {
        return Vec::new();
    }
    vec![Finding::new(
        &source.path,
        1,
        "no module doc at the top; begin the file with a `//!` line that says what it is for",
    )]
}

/// What writes to the terminal. `write!` to a given writer is fine.
const PRINTERS: [&str; 6] = ["println!", "eprintln!", "print!", "eprint!", "io::stdout()", "io::stderr()"];

/// Libraries do not print: their callers own the terminal.
pub(crate) fn printing(source: &Source) -> Vec<Finding> {
    let Some(name) = source.crate_name().filter(|name| *name != "llm-cli") else { return Vec::new() };
    let mut findings = Vec::new();
    for line in source.shipped() {
        if let Some(printer) = PRINTERS.iter().find(|printer| has_word(&line.code, printer)) {
            let message = format!(
                "`{printer}` in {name}; only llm-cli prints: return the text, or use a `tracing` event for a developer"
            );
            findings.push(Finding::new(&source.path, line.number, message));
        }
    }
    findings
}

/// Marks of unfinished work, with what to do about each.
const LEFTOVERS: [(&str, &str); 4] = [
    ("todo!", "finish it, or say in the design what is missing"),
    ("unimplemented!", "finish it, or make the case impossible by type"),
    ("dbg!", "take it out"),
    ("#[ignore", "make the test fast and steady, or delete it"),
];

/// Nothing unfinished is committed, tests included.
pub(crate) fn leftovers(source: &Source) -> Vec<Finding> {
    let mut findings = Vec::new();
    for line in &source.lines {
        for (mark, advice) in LEFTOVERS {
            if has_word(&line.code, mark) {
                findings.push(Finding::new(
                    &source.path,
                    line.number,
                    format!("`{mark}` is left over; {advice}"),
                ));
            }
        }
    }
    findings
}

/// Whether `word` stands in `code` and is not the end of a longer word.
pub(super) fn has_word(code: &str, word: &str) -> bool {
    code.match_indices(word).any(|(at, _)| {
        let before = code.get(..at).and_then(|before| before.chars().next_back());
        !before.is_some_and(|c| c.is_alphanumeric() || c == '_')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_without_a_module_doc_is_found() {
        assert_eq!(module_doc(&Source::new("crates/a/src/b.rs", "//! What b does.\n")), []);
        for bad in [
            "use std::fmt;\n//! late",
            "",
            "//!\n",
            "// no doc\n",
            "/// An item.\nfn f() {}",
            "//! To be written.\n",
        ] {
            let found = module_doc(&Source::new("crates/a/src/b.rs", bad));
            assert_eq!(found.len(), 1, "{bad:?}");
            assert_eq!(found[0].line, 1);
        }
    }

    #[test]
    fn printing_in_a_library_is_found_and_allowed_elsewhere() {
        let code = "//! Doc.\nfn f() { eprintln!(\"x\"); }\n// println!\nfn g() { let s = \"print!\"; }\n#[cfg(test)]\nmod t { fn h() { println!(); } }\n";
        let found = printing(&Source::new("crates/llm-client/src/a.rs", code));
        assert_eq!(found.len(), 1);
        assert_eq!((found[0].line, found[0].message.contains("eprintln!")), (2, true));
        let direct = "fn f() { std::io::stdout().write_all(b\"x\"); }";
        assert_eq!(printing(&Source::new("crates/llm-batch/src/a.rs", direct)).len(), 1);
        for path in
            ["crates/llm-cli/src/a.rs", "xtask/src/a.rs", "crates/llm-client/src/tests.rs", "examples/a.rs"]
        {
            assert_eq!(printing(&Source::new(path, code)), [], "{path}");
        }
        assert_eq!(printing(&Source::new("crates/a/src/a.rs", "fn pprint!() {}")), []);
    }

    #[test]
    fn leftovers_are_found_in_code_and_not_in_words() {
        for bad in ["fn f() { todo!() }", "unimplemented!();", "dbg!(x);", "#[ignore = \"slow\"]\nfn t() {}"]
        {
            assert_eq!(leftovers(&Source::new("crates/a/tests/it/a.rs", bad)).len(), 1, "{bad}");
        }
        for good in ["// todo! one day", "let s = \"dbg!\";", "let ignored = 1;"] {
            assert_eq!(leftovers(&Source::new("crates/a/src/a.rs", good)), [], "{good}");
        }
    }
}
