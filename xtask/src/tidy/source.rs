//! Rust files as the checks see them: comments blanked, strings blanked where wanted, tests told apart.

use std::path::{Path, PathBuf};

use crate::Outcome;

/// One line of a Rust file.
pub(crate) struct Line {
    /// From 1.
    pub(crate) number: usize,
    /// Without comments.
    pub(crate) text: String,
    /// Without comments and without what stands inside strings.
    pub(crate) code: String,
    /// Inside an item under `#[cfg(test)]`.
    pub(crate) test: bool,
}

/// One Rust file of the workspace.
pub(crate) struct Source {
    /// From the workspace's root, with `/`.
    pub(crate) path: String,
    /// As written.
    pub(crate) raw: String,
    pub(crate) lines: Vec<Line>,
    /// A file of tests only: in a `tests` folder, called `tests.rs`, or a module that only tests compile.
    pub(crate) test: bool,
}

impl Source {
    pub(crate) fn new(path: &str, raw: &str) -> Self {
        let test = path.ends_with("/tests.rs")
            || path.split('/').any(|folder| folder == "tests")
            || path.contains("/benches/");
        Self { path: path.to_owned(), raw: raw.to_owned(), lines: lines(raw), test }
    }

    /// The lines that a user's binary is made of.
    pub(crate) fn shipped(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| !self.test && !line.test)
    }

    /// The crate's folder name when the file is in a library's or binary's `src`.
    pub(crate) fn crate_name(&self) -> Option<&str> {
        let (name, rest) = self.path.strip_prefix("crates/")?.split_once('/')?;
        rest.starts_with("src/").then_some(name)
    }
}

/// Reads all Rust files of a list, and marks the files of modules declared under `#[cfg(test)]`.
pub(crate) fn load(root: &Path, files: &[String]) -> Outcome<Vec<Source>> {
    let mut sources = Vec::new();
    for path in files.iter().filter(|path| path.ends_with(".rs")) {
        let raw = std::fs::read_to_string(root.join(path)).map_err(|error| format!("{path}: {error}"))?;
        sources.push(Source::new(path, &raw));
    }
    let gated: Vec<PathBuf> = sources.iter().flat_map(gated_modules).collect();
    for source in &mut sources {
        source.test |= gated.iter().any(|module| {
            let path = Path::new(&source.path);
            path == module.with_extension("rs") || path.starts_with(module)
        });
    }
    Ok(sources)
}

/// Where the files of `#[cfg(test)] mod name;` are, without the extension.
fn gated_modules(source: &Source) -> Vec<PathBuf> {
    let path = Path::new(&source.path);
    let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    let folder = path.parent().unwrap_or(path);
    let folder = if matches!(stem, "lib" | "main" | "mod") { folder.to_owned() } else { folder.join(stem) };
    let modules = source.lines.iter().filter(|line| line.test).filter_map(|line| {
        let words = line.code.trim().strip_suffix(';')?;
        let name = words.rsplit_once("mod ").map(|(_, name)| name.trim())?;
        Some(folder.join(name))
    });
    modules.collect()
}

/// What the reader of the file is inside of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Inside {
    Code,
    LineComment,
    BlockComment(u32),
    Str,
    RawStr(usize),
}

/// Cuts a file into lines. Good enough for code that `rustfmt` accepts; it never fails.
pub(crate) fn lines(source: &str) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut inside = Inside::Code;
    for (at, raw) in source.lines().enumerate() {
        let (text, code) = blank(raw, &mut inside);
        lines.push(Line { number: at + 1, text, code, test: false });
    }
    mark_tests(&mut lines);
    lines
}

/// One line without comments, and the same without string contents; `inside` carries over to the next line.
fn blank(raw: &str, inside: &mut Inside) -> (String, String) {
    let (mut text, mut code) = (String::new(), String::new());
    let chars: Vec<char> = raw.chars().collect();
    let at = |place: usize| chars.get(place).copied().unwrap_or('\0');
    let mut i = 0;
    while i < chars.len() {
        let (here, next) = (at(i), at(i + 1));
        let mut step = 1;
        match *inside {
            Inside::Code => match (here, next) {
                ('/', '/') => *inside = Inside::LineComment,
                ('/', '*') => {
                    *inside = Inside::BlockComment(1);
                    step = 2;
                }
                ('"', _) => {
                    *inside = Inside::Str;
                    text.push(here);
                    code.push(here);
                }
                ('r', '"' | '#') if !prior_is_word(&code) || ends_with_byte_prefix(&code) => {
                    let hashes = chars.iter().skip(i + 1).take_while(|c| **c == '#').count();
                    if at(i + 1 + hashes) == '"' {
                        *inside = Inside::RawStr(hashes);
                        step = hashes + 2;
                    }
                    let prefix: String = chars.iter().skip(i).take(step).collect();
                    text.push_str(&prefix);
                    code.push_str(&prefix);
                }
                ('\'', _) => {
                    // A character, or a lifetime.
                    step = if next == '\\' {
                        2 + chars.iter().skip(i + 3).take_while(|c| **c != '\'').count() + 2
                    } else if at(i + 2) == '\'' {
                        3
                    } else {
                        1
                    };
                    text.push('\'');
                    code.push('\'');
                }
                _ => {
                    text.push(here);
                    code.push(here);
                }
            },
            Inside::LineComment => {}
            Inside::BlockComment(depth) => match (here, next) {
                ('*', '/') => {
                    *inside = if depth > 1 { Inside::BlockComment(depth - 1) } else { Inside::Code };
                    step = 2;
                }
                ('/', '*') => {
                    *inside = Inside::BlockComment(depth + 1);
                    step = 2;
                }
                _ => {}
            },
            Inside::Str => {
                if here == '\\' {
                    step = 2;
                }
                text.extend(chars.iter().skip(i).take(step));
                if here == '"' {
                    *inside = Inside::Code;
                    code.push(here);
                }
            }
            Inside::RawStr(hashes) => {
                text.push(here);
                let closes =
                    here == '"' && chars.iter().skip(i + 1).take_while(|c| **c == '#').count() >= hashes;
                if closes {
                    *inside = Inside::Code;
                    step = 1 + hashes;
                    code.push(here);
                }
            }
        }
        i += step;
    }
    if *inside == Inside::LineComment {
        *inside = Inside::Code;
    }
    (text, code)
}

fn prior_is_word(code: &str) -> bool {
    code.chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_')
}

fn ends_with_byte_prefix(code: &str) -> bool {
    code.strip_suffix(['b', 'c']).is_some_and(|rest| !prior_is_word(rest))
}

/// Marks the item after each `#[cfg(test)]`, up to its closing brace or semicolon.
fn mark_tests(lines: &mut [Line]) {
    let mut depth = 0_i64;
    // The depth at which the marked item began, once its attribute was seen.
    let mut item: Option<i64> = None;
    for line in lines {
        let gate = line.code.trim_start();
        if item.is_none() && (gate.starts_with("#[cfg(test)]") || gate.starts_with("#[cfg(all(test")) {
            item = Some(depth);
        }
        line.test = item.is_some();
        let mut opened = false;
        for c in line.code.chars() {
            match c {
                '{' => {
                    depth += 1;
                    opened = true;
                }
                '}' => depth -= 1,
                _ => {}
            }
        }
        if let Some(start) = item {
            let body_ended = depth <= start && (opened || gate.starts_with('}'));
            let no_body = depth == start && !opened && line.code.trim_end().ends_with(';');
            if body_ended || no_body {
                item = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(source: &str) -> Vec<String> {
        lines(source).into_iter().map(|line| line.text).collect()
    }

    fn codes(source: &str) -> Vec<String> {
        lines(source).into_iter().map(|line| line.code).collect()
    }

    #[test]
    fn comments_go_and_strings_stay_where_wanted() {
        let source = "let url = \"http://x\"; // http://y\n/* a\n/* b */ c */ code(); /// doc\n";
        assert_eq!(texts(source), ["let url = \"http://x\"; ", "", " code(); "]);
        assert_eq!(codes(source), ["let url = \"\"; ", "", " code(); "]);
    }

    #[test]
    fn strings_over_lines_raw_strings_characters_and_lifetimes() {
        assert_eq!(codes("a(\"x\\\" // y\nz\"); b"), ["a(\"", "\"); b"]);
        assert_eq!(codes("r#\"dbg!( \" \"# + br\"x\" + r\"y\""), ["r#\"\" + br\"\" + r\"\""]);
        assert_eq!(
            codes("fn f<'a>(c: char) { c == '\"' || c == '\\'' || c == '\\u{1b}' } // x"),
            ["fn f<'a>(c: char) { c == ' || c == ' || c == ' } "]
        );
        assert_eq!(codes("let number = r#type + for_\"\"; "), ["let number = r#type + for_\"\"; "]);
    }

    #[test]
    fn items_under_cfg_test_are_marked_to_their_end() {
        let source = "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() { c(); }\n}\nfn d() {}\n#[cfg(test)]\nmod e;\nfn f() {}\n";
        let marked: Vec<usize> =
            lines(source).iter().filter(|line| line.test).map(|line| line.number).collect();
        assert_eq!(marked, [2, 3, 4, 5, 7, 8]);
    }

    #[test]
    fn files_of_modules_that_only_tests_compile_are_tests() {
        let folder = tempfile::tempdir().unwrap();
        let files =
            ["crates/a/src/lib.rs", "crates/a/src/fakes.rs", "crates/a/src/real.rs", "crates/a/src/tests.rs"];
        std::fs::create_dir_all(folder.path().join("crates/a/src")).unwrap();
        for file in files {
            std::fs::write(folder.path().join(file), "#[cfg(test)]\npub(crate) mod fakes;\nmod real;\n")
                .unwrap();
        }
        let sources = load(folder.path(), &files.map(str::to_owned)).unwrap();
        let tests: Vec<&str> = sources.iter().filter(|s| s.test).map(|s| s.path.as_str()).collect();
        assert_eq!(tests, ["crates/a/src/fakes.rs", "crates/a/src/tests.rs"]);
        assert_eq!(sources[0].crate_name(), Some("a"));
    }
}
