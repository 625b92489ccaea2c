//! What is read back of a stored record, and how its place is changed.

use std::borrow::Cow;

use llm_types::ErrorKind;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::canon::Members;
use crate::key::Key;
use crate::record::one_line;

/// Every record begins with this; a torn or foreign line is told by it.
pub(crate) const HEAD: &[u8] = b"{\"index\":";

/// What a resumed run needs to know of a stored record. Members it does not know are let pass.
#[derive(Deserialize)]
pub(crate) struct Stored<'a> {
    pub(crate) index: u64,
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow)]
    key: Cow<'a, str>,
    #[serde(borrow, default)]
    metadata: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<StoredError<'a>>,
    #[serde(default)]
    attempts: u64,
    #[serde(borrow, default)]
    parts: Option<StoredParts<'a>>,
}

#[derive(Deserialize)]
struct StoredError<'a> {
    #[serde(borrow, default)]
    kind: Cow<'a, str>,
    #[serde(borrow, default)]
    phase: Option<Cow<'a, str>>,
    #[serde(default)]
    retryable: bool,
}

#[derive(Deserialize)]
struct StoredParts<'a> {
    #[serde(borrow, default)]
    model: Cow<'a, str>,
    #[serde(borrow, default)]
    system: Cow<'a, str>,
    #[serde(borrow, default)]
    parameters: Cow<'a, str>,
    #[serde(borrow, default)]
    schema: Cow<'a, str>,
}

impl<'a> Stored<'a> {
    /// Reads a line; `None` when it is no record of ours, or not whole.
    pub(crate) fn parse(line: &'a [u8]) -> Option<Self> {
        let text = std::str::from_utf8(line).ok()?;
        let stored: Self = serde_json::from_str(text).ok()?;
        matches!(&*stored.status, "success" | "error" | "cached").then_some(stored)
    }

    pub(crate) fn is_success(&self) -> bool {
        self.status != "error"
    }

    pub(crate) fn key(&self) -> Key {
        Key::parse(&self.key)
    }

    /// Whether asking again may help: by the kind that stands in the record, or by its own word where the kind is not
    /// known here.
    pub(crate) fn is_retryable(&self) -> bool {
        self.error.as_ref().is_none_or(|error| {
            ErrorKind::parse(&error.kind, error.phase.as_deref())
                .map_or(error.retryable, ErrorKind::is_retryable)
        })
    }

    /// The word of its error's kind.
    pub(crate) fn error_kind(&self) -> Option<&str> {
        self.error.as_ref().map(|error| &*error.kind)
    }

    /// A row that could not even be sent.
    pub(crate) fn is_bad_row(&self) -> bool {
        !self.is_success()
            && self.attempts == 0
            && self.error_kind() == Some(ErrorKind::InvalidRequest.as_str())
    }

    pub(crate) fn metadata(&self) -> &'a str {
        self.metadata.map_or("null", RawValue::get)
    }

    /// The four part hashes.
    pub(crate) fn parts(&self) -> [&str; 4] {
        self.parts
            .as_ref()
            .map_or([""; 4], |parts| [&*parts.model, &*parts.system, &*parts.parameters, &*parts.schema])
    }
}

/// The index at the head of a line that we wrote.
pub(crate) fn index_of(line: &[u8]) -> Option<u64> {
    let digits = line.strip_prefix(HEAD)?;
    let end = digits.iter().position(|byte| !byte.is_ascii_digit())?;
    std::str::from_utf8(digits.get(..end)?).ok()?.parse().ok()
}

/// The same record at another place, and with other metadata where some is given. All else stays as it is written.
pub(crate) fn moved(line: &[u8], index: u64, metadata: Option<&str>) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(line).ok()?;
    let Members(members) = serde_json::from_str(text).ok()?;
    let mut moved = Vec::with_capacity(line.len() + 16);
    for (name, value) in members {
        moved.push(if moved.is_empty() { b'{' } else { b',' });
        serde_json::to_writer(&mut moved, &*name).ok()?;
        moved.push(b':');
        match (&*name, metadata) {
            ("index", _) => moved.extend_from_slice(index.to_string().as_bytes()),
            ("metadata", Some(metadata)) => moved.extend_from_slice(metadata.as_bytes()),
            _ => moved.extend_from_slice(value.get().as_bytes()),
        }
    }
    moved.push(b'}');
    one_line(&mut moved);
    moved.push(b'\n');
    Some(moved)
}
