//! The key of a row: a hash of what the row itself asks.
//!
//! It is made of the row's name, its messages and its own settings, read as JSON: reformatting the file, changing metadata
//! or the job's settings keeps it, and one question has one key in every format.

use llm_types::ChatRequest;

use crate::canon::Digest;
use crate::parts;

/// A row's hash, by which a resumed run finds its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Key(pub(crate) u128);

/// What a key begins with: the version of the way it is made.
const KEY_VERSION: &str = "1:";

impl Key {
    /// The form in records.
    pub(crate) fn text(self) -> String {
        format!("{KEY_VERSION}{:032x}", self.0)
    }

    /// Reads the form in records. A key of another version belongs to no row of this one.
    pub(crate) fn parse(text: &str) -> Self {
        let known = text.strip_prefix(KEY_VERSION).filter(|hex| hex.len() == 32);
        Self(known.and_then(|hex| u128::from_str_radix(hex, 16).ok()).unwrap_or_else(|| {
            let mut digest = Digest::new("llm-batch unknown key");
            digest.text(text);
            digest.finish()
        }))
    }

    pub(crate) fn of_request(id: Option<&str>, messages: &str, own: Option<&ChatRequest>) -> Self {
        let mut digest = Digest::new("llm-batch row 1");
        digest.maybe(id);
        digest.json(messages);
        for hash in [own.and_then(parts::parameters), own.and_then(parts::schema)] {
            match hash {
                Some(hash) => digest.bytes(&hash.to_be_bytes()),
                None => digest.maybe(None),
            }
        }
        Self(digest.finish())
    }

    /// A bad row is known by its bytes and by what was said about it, which names its line.
    pub(crate) fn of_bad(line: &[u8], message: &str) -> Self {
        let mut digest = Digest::new("llm-batch bad row 1");
        digest.bytes(line);
        digest.text(message);
        Self(digest.finish())
    }
}
