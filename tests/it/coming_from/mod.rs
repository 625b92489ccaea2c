//! `docs/coming-from.md`: that it names everything, and that what it says of today is so.

mod rows;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// One row of the page.
struct Row<'a> {
    line: usize,
    /// The heading it stands under.
    section: &'a str,
    there: &'a str,
    here: &'a str,
    shown: &'a str,
}

/// What the page is held against.
struct World {
    /// Names by heading.
    names: BTreeMap<String, Vec<String>>,
    /// Functions of the tests and sources.
    functions: BTreeSet<String>,
    /// Words of the sources that are shipped.
    words: BTreeSet<String>,
    /// Releases that are out.
    released: BTreeSet<String>,
}

/// Between back-ticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

fn rows(page: &str) -> Vec<Row<'_>> {
    let mut section = "";
    let mut rows = Vec::new();
    for (at, line) in page.lines().enumerate() {
        if let Some(heading) = line.strip_prefix("## ") {
            section = heading;
        }
        let Some(cells) = line.strip_prefix("| ").and_then(|line| line.strip_suffix(" |")) else { continue };
        let cells: Vec<&str> = cells.split(" | ").collect();
        if let [there, here, _, shown] = cells[..]
            && there != "there"
            && there != "---"
        {
            rows.push(Row { line: at + 1, section, there, here, shown });
        } else {
            assert!(matches!(cells[0], "there" | "---"), "line {}: a row has four cells", at + 1);
        }
    }
    rows
}

/// Everything that is wrong with the page.
fn findings(page: &str, world: &World) -> Vec<String> {
    let rows = rows(page);
    let mut findings = Vec::new();
    for (section, names) in &world.names {
        let named: BTreeSet<&str> =
            rows.iter().filter(|row| row.section == section).flat_map(|row| quoted(row.there)).collect();
        let missing = names.iter().filter(|name| !named.contains(name.as_str()));
        findings.extend(missing.map(|name| format!("{section}: `{name}` has no row")));
    }
    for row in &rows {
        let line = row.line;
        let tests: Vec<&str> = quoted(row.shown).collect();
        if tests.is_empty() {
            let release =
                row.shown.split('.').all(|part| part.parse::<u16>().is_ok()) && row.shown.contains('.');
            // A framework's part is the one thing that is nobody's plan.
            let refused = row.shown == "not planned" && row.there.contains("llm_function");
            if !release && !refused {
                findings.push(format!("line {line}: `{}` is no test and no release", row.shown));
            }
            if world.released.contains(row.shown) {
                findings.push(format!("line {line}: release {} is out; name a test", row.shown));
            }
            continue;
        }
        let unknown = tests.iter().filter(|test| !world.functions.contains(**test));
        findings.extend(unknown.map(|test| format!("line {line}: there is no test `{test}`")));
        let ours = quoted(row.here).flat_map(words).filter(|word| !world.words.contains(*word));
        findings.extend(ours.map(|word| format!("line {line}: nothing of ours is called `{word}`")));
    }
    findings
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// Every Rust file under a folder, with its text.
fn sources(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
            sources(&path, found);
        } else if path.extension().is_some_and(|end| end == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            found.push((path, text));
        }
    }
}

fn world() -> World {
    let mut names: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut section = String::new();
    for line in include_str!("names.txt").lines().filter(|line| !line.is_empty()) {
        match line.strip_prefix("## ") {
            Some(heading) => section = heading.to_owned(),
            None if line.starts_with("# ") || section.is_empty() => {}
            None => names.entry(section.clone()).or_default().push(line.to_owned()),
        }
    }
    let mut files = Vec::new();
    for folder in ["crates", "tests", "xtask"] {
        sources(&root().join(folder), &mut files);
    }
    let after_fn = |text: &str| -> Vec<String> {
        text.split("fn ").skip(1).filter_map(|rest| words(rest).next().map(str::to_owned)).collect()
    };
    let shipped = |path: &Path| path.strip_prefix(root().join("crates")).is_ok();
    let released = read("CHANGELOG.md");
    let released = released.lines().filter_map(|line| line.strip_prefix("## [")?.split(']').next());
    World {
        functions: files.iter().flat_map(|(_, text)| after_fn(text)).collect(),
        words: files
            .iter()
            .filter(|(path, _)| shipped(path))
            .flat_map(|(_, text)| words(text).map(str::to_owned).collect::<Vec<_>>())
            .collect(),
        // `0.2` is out with `0.2.0`.
        released: released.filter_map(|version| Some(version.rsplit_once('.')?.0.to_owned())).collect(),
        names,
    }
}

#[test]
fn every_name_of_the_older_clients_is_on_the_page_with_a_test_or_a_release() {
    let world = world();
    assert_eq!(world.names.len(), 4);
    assert_eq!(findings(&read("docs/coming-from.md"), &world), Vec::<String>::new());
}

#[test]
fn what_is_wrong_with_the_page_is_found() {
    let set = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<BTreeSet<String>>();
    let world = World {
        names: BTreeMap::from([("old".to_owned(), vec!["LLMClient".to_owned(), "close".to_owned()])]),
        functions: set(&["a_test"]),
        words: set(&["HttpClient", "close"]),
        released: set(&["0.1"]),
    };
    let page = |rows: &str| {
        format!("## old\n\n| there | here | what differs | shown by |\n| --- | --- | --- | --- |\n{rows}")
    };
    let good = page("| `LLMClient` | `HttpClient` | x | `a_test` |\n| `close` | `a cache` | x | 0.2 |\n");
    assert_eq!(findings(&good, &world), Vec::<String>::new());
    for (from, to, told) in [
        ("`close` |", "`open` |", "`close` has no row"),
        ("`a_test`", "`no_test`", "there is no test `no_test`"),
        ("`HttpClient`", "`HttpKlient`", "nothing of ours is called `HttpKlient`"),
        ("0.2", "soon", "`soon` is no test and no release"),
        ("0.2", "not planned", "is no test and no release"),
        ("0.2", "0.1", "release 0.1 is out"),
        ("## old", "## older", "`LLMClient` has no row"),
    ] {
        let found = findings(&good.replace(from, to), &world);
        assert!(found.iter().any(|finding| finding.contains(told)), "{to}: {found:?}");
    }
}
