//! Hashes of JSON by what it says: whitespace, the order of members and the escapes in strings make no difference.
//!
//! Numbers count as they are written (`1` and `1.0` differ), so that no two long numbers are ever taken for the same.

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// Deeper values are hashed as they are written: a hostile file must not use up the stack.
const DEEPEST: u32 = 64;

/// A running hash of named, typed values. Every value is framed by its type and length, so no two lists of values
/// can run into each other.
pub(crate) struct Digest(blake3::Hasher);

impl Digest {
    /// An empty hash. The domain holds the version: another domain never gives the same hash.
    pub(crate) fn new(domain: &str) -> Self {
        let mut digest = Self(blake3::Hasher::new());
        digest.tagged(b'd', domain.as_bytes());
        digest
    }

    fn tagged(&mut self, tag: u8, bytes: &[u8]) {
        self.count(tag, bytes.len());
        self.0.update(bytes);
    }

    fn count(&mut self, tag: u8, count: usize) {
        let mut head = [tag; 9];
        if let Some(rest) = head.get_mut(1..) {
            rest.copy_from_slice(&(count as u64).to_le_bytes());
        }
        self.0.update(&head);
    }

    /// Adds a text.
    pub(crate) fn text(&mut self, text: &str) {
        self.tagged(b's', text.as_bytes());
    }

    /// Adds bytes that are no JSON.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.tagged(b'b', bytes);
    }

    /// Adds a text, or that there is none.
    pub(crate) fn maybe(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.text(text),
            None => self.tagged(b'n', b""),
        }
    }

    /// Starts a list of so many values.
    pub(crate) fn list(&mut self, count: usize) {
        self.count(b'a', count);
    }

    /// Starts an object of so many members, which the caller adds by name.
    pub(crate) fn object(&mut self, count: usize) {
        self.count(b'o', count);
    }

    /// Adds a JSON value. A text that is not JSON is added as it is written.
    pub(crate) fn json(&mut self, json: &str) {
        self.value(json.trim_ascii(), DEEPEST);
    }

    fn value(&mut self, json: &str, deeper: u32) {
        let known = match json.as_bytes().first() {
            Some(b'"') => self.string(json),
            Some(b'[') if deeper > 0 => self.array(json, deeper),
            Some(b'{') if deeper > 0 => self.members(json, deeper),
            _ => None,
        };
        if known.is_none() {
            self.tagged(b'l', json.as_bytes());
        }
    }

    fn string(&mut self, json: &str) -> Option<()> {
        if memchr::memchr(b'\\', json.as_bytes()).is_none() {
            self.text(json.strip_prefix('"')?.strip_suffix('"')?);
        } else {
            self.text(&serde_json::from_str::<Text<'_>>(json).ok()?.0);
        }
        Some(())
    }

    fn array(&mut self, json: &str, deeper: u32) -> Option<()> {
        let items: Vec<&RawValue> = serde_json::from_str(json).ok()?;
        self.list(items.len());
        for item in items {
            self.value(item.get(), deeper - 1);
        }
        Some(())
    }

    fn members(&mut self, json: &str, deeper: u32) -> Option<()> {
        let Members(mut members) = serde_json::from_str(json).ok()?;
        // Of two members of one name the last is the one that counts.
        members.reverse();
        members.sort_by(|(a, _), (b, _)| a.cmp(b));
        members.dedup_by(|(a, _), (b, _)| a == b);
        self.object(members.len());
        for (name, value) in members {
            self.text(&name);
            self.value(value.get(), deeper - 1);
        }
        Some(())
    }

    /// The hash, 128 bits of it.
    pub(crate) fn finish(&self) -> u128 {
        let bytes = self.0.finalize();
        let mut short = [0; 16];
        short.iter_mut().zip(bytes.as_bytes()).for_each(|(to, from)| *to = *from);
        u128::from_be_bytes(short)
    }
}

/// A string, borrowed where it has no escapes.
#[derive(Deserialize)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub(crate) Cow<'a, str>);

/// The members of an object in their order, values as they are written.
pub(crate) struct Members<'a>(pub(crate) Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some((Text(name), value)) = map.next_entry::<Text<'de>, &'de RawValue>()? {
                    members.push((name, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(json: &str) -> u128 {
        let mut digest = Digest::new("test");
        digest.json(json);
        digest.finish()
    }

    #[test]
    fn whitespace_member_order_and_escapes_make_no_difference() {
        assert_eq!(
            hash(r#"{"a":"é","b":[1,{"c":null}]}"#),
            hash(" { \"b\" : [ 1 , {\"c\": null} ] , \"a\" : \"\\u00e9\" } ")
        );
        assert_eq!(hash(r#"{"a":1,"b":2,"a":3}"#), hash(r#"{"b":2,"a":3}"#));
    }

    #[test]
    fn anything_else_makes_a_difference() {
        let all = [
            "1",
            "1.0",
            "\"1\"",
            "[1]",
            "[[1]]",
            "{\"1\":1}",
            "null",
            "true",
            "[]",
            "{}",
            "\"\"",
            "[\"a\",\"b\"]",
            "[\"ab\"]",
            "[\"b\",\"a\"]",
            "123456789012345678901",
            "123456789012345678902",
            "{\"a\":[]}",
            "{\"a\":{}}",
        ];
        for (i, a) in all.iter().enumerate() {
            for b in &all[i + 1..] {
                assert_ne!(hash(a), hash(b), "{a} and {b}");
            }
        }
    }

    #[test]
    fn odd_texts_neither_panic_nor_collide() {
        let deep = |n| "[".repeat(n) + &"]".repeat(n);
        assert_ne!(hash(&deep(100)), hash(&deep(101)));
        assert_ne!(hash("\"\\ud800\""), hash("\"\\ud801\""));
        for junk in ["", "\"", "\"\\", "[1", "{\"a\"", "{]", "[1,]"] {
            hash(junk);
        }
    }
}
