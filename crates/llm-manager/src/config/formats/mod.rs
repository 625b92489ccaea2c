//! TOML, YAML and JSON, each made into the same tree.

mod json;
mod toml;
#[cfg(feature = "yaml")]
mod yaml;

#[cfg(test)]
mod tests;

use std::path::Path;

use super::tree::Node;

/// What a file is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Toml,
    Yaml,
    Json,
}

/// The endings a configuration file may have, the first one being the one that is written.
pub(super) const ENDINGS: [&str; 4] = ["toml", "yaml", "yml", "json"];

/// A document that cannot be read. The message never holds the line itself, which may hold a key.
#[derive(Debug)]
pub(super) struct Unreadable {
    pub(super) line: usize,
    pub(super) message: String,
}

impl Unreadable {
    fn new(line: usize, message: impl Into<String>) -> Self {
        Self { line, message: message.into() }
    }

    fn too_deep(line: usize) -> Self {
        Self::new(line, format!("tables and lists nest deeper than {}", super::tree::MAX_DEPTH))
    }

    fn twice(line: usize, key: &str) -> Self {
        Self::new(line, format!("the key {key:?} stands here a second time"))
    }
}

impl Format {
    /// By the file's ending; anything else is TOML.
    pub(super) fn of(path: &Path) -> Self {
        let ending = path.extension().and_then(|ending| ending.to_str()).map(str::to_ascii_lowercase);
        match ending.as_deref() {
            Some("yaml" | "yml") => Self::Yaml,
            Some("json") => Self::Json,
            _ => Self::Toml,
        }
    }

    /// Reads a whole document.
    pub(super) fn parse(self, text: &str) -> Result<Node, Unreadable> {
        match self {
            Self::Toml => toml::parse(text),
            Self::Json => json::parse(text),
            #[cfg(feature = "yaml")]
            Self::Yaml => yaml::parse(text),
            #[cfg(not(feature = "yaml"))]
            Self::Yaml => Err(Unreadable::new(
                1,
                "this build does not read YAML; build it with the feature `yaml`, or write the file as TOML or JSON",
            )),
        }
    }
}

/// The line of each offset in a text.
struct Lines(Vec<usize>);

impl Lines {
    fn of(text: &str) -> Self {
        Self(text.bytes().zip(1..).filter_map(|(byte, next)| (byte == b'\n').then_some(next)).collect())
    }

    /// Counted from 1.
    fn at(&self, offset: usize) -> usize {
        1 + self.0.partition_point(|&start| start <= offset)
    }
}
