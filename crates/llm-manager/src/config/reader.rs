//! Reads a TOML table key by key, remembering where everything stands, so that every complaint names its line.

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use llm_types::{Error, ErrorKind};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::nearest::did_you_mean;

/// The deepest nesting of tables and lists that a file may have.
const MAX_DEPTH: usize = 64;

/// The text of a configuration file and the path it came from.
#[derive(Debug)]
pub(super) struct Source {
    path: Arc<Path>,
    text: String,
    /// Where each line but the first begins.
    lines: Vec<usize>,
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
        let lines =
            text.bytes().zip(1..).filter_map(|(byte, next)| (byte == b'\n').then_some(next)).collect();
        Self { path: path.into(), text, lines }
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Where an offset of the text is; lines count from 1.
    fn place(&self, at: usize) -> Place {
        Place { path: self.path.clone(), line: 1 + self.lines.partition_point(|&start| start <= at) }
    }

    /// Hands the whole document to `read`.
    ///
    /// # Errors
    /// Kind `Config`, with the line: what TOML does not allow, what nests too deep, and what `read` complains about.
    pub(super) fn read<T>(&self, read: impl FnOnce(Section<'_>) -> Result<T, Error>) -> Result<T, Error> {
        // The parser's own Display would show the line itself, which may hold a key.
        let document = DeTable::parse(&self.text).map_err(|error| {
            let place = self.place(error.span().map_or(0, |span| span.start));
            place.error(format_args!("this is not TOML: {}", error.message()))
        })?;
        let start = document.span().start;
        let table = document.into_inner();
        if let Some(at) = too_deep(table.values(), MAX_DEPTH) {
            return Err(self.place(at).error(format_args!("tables and lists nest deeper than {MAX_DEPTH}")));
        }
        read(Section::new(self, String::new(), String::new(), start, table))
    }
}

/// Where the nesting passes the limit. The parser has a limit of its own, so this cannot run deep either.
fn too_deep<'a, 'i: 'a>(
    values: impl IntoIterator<Item = &'a Spanned<DeValue<'i>>>,
    left: usize,
) -> Option<usize> {
    values.into_iter().find_map(|value| match value.get_ref() {
        DeValue::Array(_) | DeValue::Table(_) if left == 0 => Some(value.span().start),
        DeValue::Array(items) => too_deep(items.iter(), left - 1),
        DeValue::Table(table) => too_deep(table.values(), left - 1),
        _ => None,
    })
}

/// One key of a table with its value.
#[derive(Debug)]
pub(super) struct Entry<'i> {
    pub(super) key: String,
    /// The key with those of the tables around it: `providers.local.base_url`.
    pub(super) full: String,
    pub(super) place: Place,
    pub(super) value: DeValue<'i>,
    span: Range<usize>,
}

impl Entry<'_> {
    /// A complaint about this entry.
    pub(super) fn error(&self, message: impl fmt::Display) -> Error {
        self.place.error(format_args!("{}: {message}", self.full))
    }

    /// The value as text.
    pub(super) fn text(&self) -> Result<&str, Error> {
        match &self.value {
            DeValue::String(text) => Ok(text),
            other => Err(self.error(format_args!("{} stands here, a text is wanted", describe(other)))),
        }
    }

    /// The value as text that says something.
    pub(super) fn filled_text(&self) -> Result<&str, Error> {
        match self.text()?.trim() {
            "" => Err(self.error("the text is empty")),
            text => Ok(text),
        }
    }
}

/// What a value is, in words.
pub(super) fn describe(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) | DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "a switch",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// A table, read by taking its entries one after another; what is left at the end is unknown.
#[derive(Debug)]
pub(super) struct Section<'a> {
    source: &'a Source,
    key: String,
    name: String,
    place: Place,
    entries: Vec<Entry<'a>>,
}

impl<'a> Section<'a> {
    fn new(source: &'a Source, key: String, name: String, at: usize, table: DeTable<'a>) -> Self {
        let mut entries: Vec<Entry<'a>> = table
            .into_iter()
            .map(|(key, value)| {
                let span = key.span();
                let key = key.into_inner().into_owned();
                let full = join(&name, &key);
                Entry { key, full, place: source.place(span.start), value: value.into_inner(), span }
            })
            .collect();
        // The parser sorts by name; the user's order says which provider comes first.
        entries.sort_by_key(|entry| entry.span.start);
        Self { source, place: source.place(at), key, name, entries }
    }

    /// The table's own name, as it is written.
    pub(super) fn key(&self) -> &str {
        &self.key
    }

    /// Where the table begins.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// Takes one entry out.
    pub(super) fn take(&mut self, key: &str) -> Option<Entry<'a>> {
        let at = self.entries.iter().position(|entry| entry.key == key)?;
        Some(self.entries.remove(at))
    }

    /// Takes out every entry, in the order of the file.
    pub(super) fn take_all(&mut self) -> Vec<Entry<'a>> {
        std::mem::take(&mut self.entries)
    }

    /// Takes out every entry that `wanted` knows, in the order of the file.
    pub(super) fn take_where(&mut self, wanted: impl Fn(&str) -> bool) -> Vec<Entry<'a>> {
        let (taken, left) = self.take_all().into_iter().partition(|entry| wanted(&entry.key));
        self.entries = left;
        taken
    }

    /// Opens an entry that is a table.
    pub(super) fn open(&self, entry: Entry<'a>) -> Result<Section<'a>, Error> {
        match entry.value {
            DeValue::Table(table) => {
                Ok(Section::new(self.source, entry.key, entry.full, entry.span.start, table))
            }
            ref other => Err(entry.error(format_args!("{} stands here, a table is wanted", describe(other)))),
        }
    }

    /// Opens an entry that is a list, as entries named `key[0]`, `key[1]` …
    pub(super) fn items(&self, entry: Entry<'a>) -> Result<Vec<Entry<'a>>, Error> {
        let DeValue::Array(items) = entry.value else {
            return Err(entry.error(format_args!("{} stands here, a list is wanted", describe(&entry.value))));
        };
        let item = |(at, value): (usize, Spanned<DeValue<'a>>)| {
            let span = value.span();
            Entry {
                key: format!("{}[{at}]", entry.key),
                full: format!("{}[{at}]", entry.full),
                place: self.source.place(span.start),
                value: value.into_inner(),
                span,
            }
        };
        Ok(items.into_iter().enumerate().map(item).collect())
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
        Err(entry.place.error(format_args!("unknown key `{}`{whose}{hint}", entry.key)))
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
fn join(outer: &str, key: &str) -> String {
    let bare = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    let key = if bare { key.to_owned() } else { format!("{key:?}") };
    if outer.is_empty() { key } else { format!("{outer}.{key}") }
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
                let models = s.take("models").unwrap();
                let mut models = s.open(models)?;
                let model = models.take("a/b").unwrap();
                models.open(model)?.finish(&[])
            })
            .unwrap_err();
        assert_eq!(error.to_string(), "llm.toml:2: unknown key `x` in [models.\"a/b\"]; allowed are ");
    }
}
