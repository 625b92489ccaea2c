//! Reads a table key by key, remembering where everything stands, so that every complaint names its line.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use llm_types::{Error, ErrorKind};

use super::formats::Format;
use super::tree::{Node, Value};
use crate::nearest::did_you_mean;

/// The text of a configuration file and the path it came from.
#[derive(Debug)]
pub(super) struct Source {
    path: Arc<Path>,
    text: String,
}

/// A place in a file, to be shown to the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    path: Arc<Path>,
    line: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.path.display(), self.line)
    }
}

impl Place {
    /// A complaint about what stands here.
    pub(super) fn error(&self, message: impl fmt::Display) -> Error {
        Error::new(ErrorKind::Config, format!("{self}: {message}"))
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// A relative path in a file is meant from that file's folder.
    pub(super) fn folder(&self) -> &Path {
        self.path.parent().unwrap_or(Path::new("."))
    }
}

impl Source {
    pub(super) fn new(path: &Path, text: String) -> Self {
        Self { path: path.into(), text }
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Hands the whole document to `read`. What it is written in is told by the file's ending.
    ///
    /// # Errors
    /// Kind `Config`, with the line: what the format does not allow, what nests too deep, and what `read` complains about.
    pub(super) fn read<T>(&self, read: impl FnOnce(Section) -> Result<T, Error>) -> Result<T, Error> {
        read(self.document()?)
    }

    /// The whole document, to be read.
    pub(super) fn document(&self) -> Result<Section, Error> {
        Ok(self.section(self.tree()?))
    }

    /// A document of this file, as it stands there or changed.
    pub(super) fn section(&self, node: Node) -> Section {
        Section::new(&self.path, String::new(), String::new(), node)
    }

    /// The document itself, which is a table.
    pub(super) fn tree(&self) -> Result<Node, Error> {
        let place = |line| Place { path: self.path.clone(), line };
        let node = Format::of(&self.path)
            .parse(&self.text)
            .map_err(|unreadable| place(unreadable.line).error(unreadable.message))?;
        match node.value {
            Value::Table(_) => Ok(node),
            other => {
                Err(place(node.line)
                    .error(format_args!("{} stands here, a table is wanted", other.describe())))
            }
        }
    }
}

/// One key of a table with its value.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: String,
    /// The key with those of the tables around it: `providers.local.base_url`.
    pub(super) full: String,
    /// Where the key stands.
    pub(super) place: Place,
    pub(super) value: Value,
}

impl Entry {
    /// A complaint about this entry.
    pub(super) fn error(&self, message: impl fmt::Display) -> Error {
        self.place.error(format_args!("{}: {message}", self.full))
    }

    /// A complaint about the kind of value that stands here.
    pub(super) fn unlike(&self, wanted: &str) -> Error {
        self.error(format_args!("{} stands here, {wanted} is wanted", self.value.describe()))
    }

    /// The value as text.
    pub(super) fn text(&self) -> Result<&str, Error> {
        match &self.value {
            Value::Text(text) => Ok(text),
            _ => Err(self.unlike("a text")),
        }
    }

    /// The value as text that says something.
    pub(super) fn filled_text(&self) -> Result<&str, Error> {
        match self.text()?.trim() {
            "" => Err(self.error("the text is empty")),
            text => Ok(text),
        }
    }

    /// The value as a switch.
    pub(super) fn switch(&self) -> Result<bool, Error> {
        match self.value {
            Value::Switch(switch) => Ok(switch),
            _ => Err(self.unlike("true or false")),
        }
    }

    /// Whether nothing stands behind the key.
    pub(super) fn is_null(&self) -> bool {
        self.value == Value::Null
    }

    /// Opens an entry that is a table; one behind whose key nothing stands is an empty table.
    pub(super) fn open(self) -> Result<Section, Error> {
        match self.value {
            Value::Table(_) | Value::Null => {
                let node = Node { value: self.value, line: self.place.line };
                Ok(Section::new(&self.place.path, self.key, self.full, node))
            }
            _ => Err(self.unlike("a table")),
        }
    }

    /// Opens an entry that is a list, as entries named `key[0]`, `key[1]` …
    pub(super) fn items(self) -> Result<Vec<Entry>, Error> {
        let Value::List(items) = self.value else {
            return Err(self.unlike("a list"));
        };
        let item = |(at, node): (usize, Node)| Entry {
            key: format!("{}[{at}]", self.key),
            full: format!("{}[{at}]", self.full),
            place: Place { path: self.place.path.clone(), line: node.line },
            value: node.value,
        };
        Ok(items.into_iter().enumerate().map(item).collect())
    }
}

/// A table, read by taking its entries one after another; what is left at the end is unknown.
#[derive(Debug)]
pub(super) struct Section {
    key: String,
    name: String,
    place: Place,
    entries: Vec<Entry>,
}

impl Section {
    fn new(path: &Arc<Path>, key: String, name: String, node: Node) -> Self {
        let members = match node.value {
            Value::Table(members) => members,
            _ => Vec::new(),
        };
        let entry = |member: super::tree::Member| Entry {
            full: join(&name, &member.key),
            key: member.key,
            place: Place { path: path.clone(), line: member.line },
            value: member.node.value,
        };
        let entries = members.into_iter().map(entry).collect();
        Self { place: Place { path: path.clone(), line: node.line }, key, name, entries }
    }

    /// The table's own name, as it is written.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// The table's name with those around it, as messages show it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Where the table begins.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Whether the key stands here.
    pub(super) fn has(&self, key: &str) -> bool {
        self.entries.iter().any(|entry| entry.key == key)
    }

    /// The keys that stand here and were not taken yet.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| &*entry.key)
    }

    /// Whether nothing is left.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What is left, in the order of the file.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.iter()
    }

    /// Puts a value in place of one that stands here, or beside the others. Messages call it by `full`.
    pub(super) fn put(&mut self, key: &str, full: String, value: Value) {
        let place = self.place.clone();
        self.entries.retain(|entry| entry.key != key);
        self.entries.push(Entry { key: key.to_owned(), full, place, value });
    }

    /// Looks at an entry without taking it.
    pub(super) fn peek(&self, key: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.key == key)
    }

    /// Takes one entry out.
    pub(super) fn take(&mut self, key: &str) -> Option<Entry> {
        let at = self.entries.iter().position(|entry| entry.key == key)?;
        Some(self.entries.remove(at))
    }

    /// Takes one entry out, as if it were not there when nothing stands behind its key.
    pub(super) fn take_set(&mut self, key: &str) -> Option<Entry> {
        self.take(key).filter(|entry| !entry.is_null())
    }

    /// Takes out every entry, in the order of the file.
    pub(super) fn take_all(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.entries)
    }

    /// Takes out every entry that `wanted` knows, in the order of the file.
    pub(super) fn take_where(&mut self, wanted: impl Fn(&str) -> bool) -> Vec<Entry> {
        let (taken, left) = self.take_all().into_iter().partition(|entry| wanted(&entry.key));
        self.entries = left;
        taken
    }

    /// Ends the reading: whatever nobody took is unknown.
    ///
    /// # Errors
    /// Names the first unknown key, its line, and the known keys that look like it.
    pub(super) fn finish(self, known: &[&str]) -> Result<(), Error> {
        let Some(entry) = self.entries.first() else { return Ok(()) };
        let whose = if self.name.is_empty() { String::new() } else { format!(" in [{}]", self.name) };
        let hint = match replacement(&entry.key) {
            Some(ours) if known.contains(&ours) => format!("; it is called `{ours}` here"),
            _ => did_you_mean(&entry.key, known.iter().copied())
                .unwrap_or_else(|| format!("; allowed are {}", some_of(known))),
        };
        let key = entry.key.escape_debug();
        Err(entry.place.error(format_args!("unknown key `{key}`{whose}{hint}")))
    }
}

/// The first of many names.
fn some_of(names: &[&str]) -> String {
    const MOST: usize = 8;
    match names.get(..MOST) {
        Some(first) if names.len() > MOST => format!("{} …", first.join(", ")),
        _ => names.join(", "),
    }
}

/// What older clients call one of our keys, where the names have too little in common to be found by their letters.
fn replacement(key: &str) -> Option<&'static str> {
    Some(match key {
        "timeout" => "attempt_timeout_secs",
        "retries" | "retry_times" | "num_retries" => "max_retries",
        "retry_delay" => "backoff_base_ms",
        "concurrency" | "concurrency_limit" | "max_concurrent" => "max_concurrent_calls",
        "rpm" | "max_qps" | "rate_limit" => "requests_per_minute",
        "tpm" => "tokens_per_minute",
        "url" | "endpoint" | "api_base" | "host" => "base_url",
        "key" | "token" | "api_key_env" => "api_key",
        "keys" => "api_keys",
        "model_name" | "model_id" => "model",
        "extra_body" | "params" => "extra",
        "default_model" => "default",
        _ => return None,
    })
}

/// A key as TOML would have it written.
pub(super) fn join(outer: &str, key: &str) -> String {
    let bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    let key = if bare { key.to_owned() } else { format!("{key:?}") };
    if outer.is_empty() { key } else { format!("{outer}.{key}") }
}

/// A path in a file: from the file's folder, or from home behind `~/`.
pub(super) fn resolve(path: &str, folder: &Path, home: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => folder.join(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        Source::new(Path::new("llm.toml"), text.into())
    }

    fn refused(text: &str, known: &[&str]) -> String {
        source(text).read(|section| section.finish(known)).unwrap_err().to_string()
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line_and_its_neighbour() {
        for (text, known, message) in [
            (
                "a = 1\nmax_retry = 2",
                &["max_retries", "a"][..],
                "llm.toml:1: unknown key `a`; allowed are max_retries",
            ),
            (
                "\n\nmax_retry = 2",
                &["max_retries"],
                "llm.toml:3: unknown key `max_retry`; did you mean `max_retries`?",
            ),
            (
                "timeout = 2",
                &["attempt_timeout_secs"],
                "llm.toml:1: unknown key `timeout`; it is called `attempt_timeout_secs` here",
            ),
        ] {
            let known: Vec<&str> = known.iter().copied().filter(|key| *key != "a").collect();
            assert_eq!(refused(text, &known), message);
        }
    }

    #[test]
    fn what_is_not_toml_is_said_without_showing_the_line() {
        let error = refused("x = 1\napi_key = \"sk-canary-123\" oops", &[]);
        assert!(error.starts_with("llm.toml:2: this is not TOML: "), "{error}");
        assert!(!error.contains("canary"), "{error}");
    }

    #[test]
    fn entries_come_in_the_order_of_the_file() {
        let keys = source("zebra = 1\napple = 2\nmango = 3")
            .read(|mut section| Ok(section.take_all().into_iter().map(|e| e.key).collect::<Vec<_>>()))
            .unwrap();
        assert_eq!(keys, ["zebra", "apple", "mango"]);
    }

    #[test]
    fn nesting_is_bounded() {
        let list = |depth: usize| format!("x = {}{}", "[".repeat(depth), "]".repeat(depth));
        let read = |text: String| source(&text).read(|mut s| Ok(s.take_all().len()));
        assert_eq!(read(list(64)).unwrap(), 1);
        assert_eq!(
            read(list(65)).unwrap_err().to_string(),
            "llm.toml:1: tables and lists nest deeper than 64"
        );
        for deep in [list(10_000), format!("[{}]", vec!["a"; 10_000].join("."))] {
            read(deep).unwrap_err();
        }
    }

    #[test]
    fn a_full_megabyte_of_keys_is_read_at_once() {
        let text: String = (0..80_000).map(|n| format!("k{n} = {n}\n")).collect();
        let last = source(&text).read(|mut s| Ok(s.take_all().pop().unwrap().place.line)).unwrap();
        assert_eq!(last, 80_000);
    }

    #[test]
    fn quoted_keys_are_shown_quoted() {
        let error = source("[models.\"a/b\"]\nx = 1")
            .read(|mut s| {
                let mut models = s.take("models").unwrap().open()?;
                let model = models.take("a/b").unwrap();
                model.open()?.finish(&[])
            })
            .unwrap_err();
        assert_eq!(error.to_string(), "llm.toml:2: unknown key `x` in [models.\"a/b\"]; allowed are ");
    }
}
