//! The one type that holds a key.

use std::fmt;
use std::hash::{Hash, Hasher};

use zeroize::Zeroizing;

/// An API key, token or password: shown as `Secret(…)`, never serialised, overwritten when dropped.
///
/// Equality and hashing look at the text, so that a key can be a map's key.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Zeroizing<String>);

/// Why a text cannot be used as a key. Holds no part of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidSecret {
    /// Nothing but the empty string.
    #[error("the key is empty")]
    Empty,
    /// White space, a control character or a non-ASCII character; the place counts from 1.
    #[error("the key has {what} at character {place}; a key is made of visible ASCII characters only")]
    Character {
        /// What was found there, in words.
        what: &'static str,
        /// Its place in the key, counted from 1.
        place: usize,
    },
}

impl Secret {
    /// Takes any text, for secrets that are not sent as a header as they are (a proxy's password, say).
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// Takes a key that will stand in a header.
    ///
    /// # Errors
    /// [`InvalidSecret`] names the first character that no header may carry (RFC 9110, section 5.5).
    pub fn key(text: impl Into<String>) -> Result<Self, InvalidSecret> {
        let secret = Self::new(text);
        if secret.0.is_empty() {
            return Err(InvalidSecret::Empty);
        }
        for (at, c) in secret.0.chars().enumerate() {
            let what = match c {
                '\r' | '\n' => "a line break",
                '\0' => "a NUL",
                ' ' | '\t' => "a space",
                c if c.is_ascii_graphic() => continue,
                c if c.is_ascii() => "a control character",
                _ => "a non-ASCII character",
            };
            return Err(InvalidSecret::Character { what, place: at + 1 });
        }
        Ok(secret)
    }

    /// The text itself. Every use of this method can be found with one search, which is its purpose.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Replaces every occurrence of the secret in `text`, for what a server sent back.
    #[must_use]
    pub fn scrub(&self, text: &str) -> String {
        // A shorter secret would tear ordinary words apart and is none worth hiding.
        if self.0.len() < 4 { text.to_owned() } else { text.replace(self.0.as_str(), "[redacted]") }
    }

    /// The last four characters, for a list of keys; nothing of a key too short to be recognised safely.
    #[must_use]
    pub fn hint(&self) -> String {
        let count = self.0.chars().count();
        if count < 12 {
            "…".to_owned()
        } else {
            format!("…{}", self.0.chars().skip(count - 4).collect::<String>())
        }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl Hash for Secret {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.as_str().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing_of_the_text() {
        let secret = Secret::new("sk-canary-0123456789");
        assert_eq!(format!("{secret:?}"), "Secret(…)");
        assert_eq!(secret.hint(), "…6789");
        assert_eq!(Secret::new("short").hint(), "…");
    }

    #[test]
    fn a_key_names_the_first_character_that_cannot_be_sent() {
        assert_eq!(Secret::key(""), Err(InvalidSecret::Empty));
        for (text, what, place) in [
            ("sk-1\n", "a line break", 5),
            ("a b", "a space", 2),
            ("ä", "a non-ASCII character", 1),
            ("x\0", "a NUL", 2),
        ] {
            assert_eq!(Secret::key(text), Err(InvalidSecret::Character { what, place }), "{text:?}");
        }
        assert!(Secret::key("sk-proj_A.b-c=").is_ok());
    }

    #[test]
    fn scrubbing_removes_every_occurrence() {
        let secret = Secret::new("sk-canary");
        assert_eq!(secret.scrub("bad key sk-canary (sk-canary)"), "bad key [redacted] ([redacted])");
    }
}
