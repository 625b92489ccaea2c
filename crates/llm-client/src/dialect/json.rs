//! Reading JSON that others wrote: nothing but a body that cannot be read at all fails.
//!
//! * A value of an unexpected type counts as absent; `null` and absent are the same.
//! * Unknown members are kept as they are written, without a copy until somebody keeps them.
//! * serde_json refuses a whole document for a lone surrogate, a control character or a number out of range. Such a
//!   document is [repaired](parse) and read again, and the caller learns of it.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use llm_types::{Error, ErrorKind};
use memchr::memchr2;
use serde::de::{Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

mod object;
mod repair;

pub(crate) use object::{Few, Fill, Key, Place, Rest, absent, fill_by_value, wire};
use repair::repair;

/// How deeply arrays and objects may be nested, as in serde_json itself.
const MAX_DEPTH: usize = 128;

/// The text of a body, without blanks around it and without a byte order mark. `true`: bytes that are not UTF-8 were
/// replaced.
pub(crate) fn text(body: &[u8]) -> (Cow<'_, str>, bool) {
    let body = body.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(body).trim_ascii();
    // The check of the common case is much quicker than the repair.
    match std::str::from_utf8(body) {
        Ok(text) => (Cow::Borrowed(text), false),
        Err(_) => (Cow::Owned(String::from_utf8_lossy(body).into_owned()), true),
    }
}

/// Reads a document. Where it is broken only in ways that can be repaired, it is read from its repaired copy in
/// `scratch`, and the second result says so.
pub(crate) fn parse<'a, T: Deserialize<'a>>(
    text: &'a str,
    scratch: &'a mut String,
) -> Result<(T, bool), serde_json::Error> {
    match serde_json::from_str(text) {
        Ok(value) => Ok((value, false)),
        Err(error) => match repair(text) {
            Some(repaired) => {
                *scratch = repaired;
                serde_json::from_str(scratch).map(|value| (value, true))
            }
            None => Err(error),
        },
    }
}

/// [`parse`], into its place.
pub(crate) fn parse_into<'a, T: Fill<'a>>(
    value: &mut T,
    text: &'a str,
    scratch: &'a mut String,
) -> Result<bool, serde_json::Error> {
    let mut fill = |text: &'a str| {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        value.fill(&mut deserializer)?;
        deserializer.end()
    };
    match fill(text) {
        Ok(()) => Ok(false),
        Err(error) => match repair(text) {
            Some(repaired) => {
                *scratch = repaired;
                *value = T::default();
                let mut deserializer = serde_json::Deserializer::from_str(scratch);
                value.fill(&mut deserializer)?;
                deserializer.end()?;
                Ok(true)
            }
            None => Err(error),
        },
    }
}

/// What is wrong with a document, without quoting it: it may hold an answer.
pub(crate) fn broken(what: &str, error: &serde_json::Error) -> Error {
    let message = if error.is_data() {
        format!("{what} is nested more than {MAX_DEPTH} levels deep")
    } else if error.is_eof() {
        format!("{what} ends in the middle of its JSON")
    } else {
        format!("{what} is not valid JSON (line {}, column {})", error.line(), error.column())
    };
    Error::new(ErrorKind::Protocol, message)
}

/// Whether arrays and objects are nested too deeply: serde_json skips values without counting.
fn too_deep(json: &str) -> bool {
    if json.len() <= 2 * MAX_DEPTH || !json.starts_with(['[', '{']) {
        return false;
    }
    let mut depth = 0_usize;
    let mut rest = json.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match byte {
            b'[' | b'{' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return true;
                }
            }
            b']' | b'}' => depth = depth.saturating_sub(1),
            b'"' => {
                while let Some(at) = memchr2(b'"', b'\\', rest) {
                    let quote = rest.get(at) == Some(&b'"');
                    rest = rest.get(at + if quote { 1 } else { 2 }..).unwrap_or_default();
                    if quote {
                        break;
                    }
                }
            }
            _ => {}
        }
    }
    false
}

/// A string, where there is one; numbers and booleans count as their text.
#[derive(Debug, Default)]
pub(crate) struct Text<'a>(Option<Cow<'a, str>>);

impl<'a> Text<'a> {
    /// The text, unless it is empty: an empty one is a placeholder.
    pub(crate) fn some(self) -> Option<Cow<'a, str>> {
        self.0.filter(|text| !text.is_empty())
    }

    /// Takes the text out, unless it is empty.
    pub(crate) fn take(&mut self) -> Option<Cow<'a, str>> {
        std::mem::take(self).some()
    }

    /// [`take`](Self::take), as an owned string.
    pub(crate) fn take_owned(&mut self) -> Option<String> {
        self.take().map(Cow::into_owned)
    }

    /// The text to look at, empty where there is none.
    pub(crate) fn as_str(&self) -> &str {
        self.0.as_deref().unwrap_or_default()
    }

    /// [`some`](Self::some), as an owned string.
    pub(crate) fn owned(self) -> Option<String> {
        self.some().map(Cow::into_owned)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyText<'a>(PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for AnyText<'a> {
            type Value = Text<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'a>, E> {
                Ok(Text(Some(Cow::Borrowed(text))))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'a>, E> {
                Ok(Text(Some(Cow::Owned(text.to_owned()))))
            }

            fn visit_unit<E>(self) -> Result<Text<'a>, E> {
                Ok(Text(None))
            }

            fn visit_bool<E>(self, value: bool) -> Result<Text<'a>, E> {
                Ok(Text(Some(Cow::Borrowed(if value { "true" } else { "false" }))))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Text<'a>, E> {
                Ok(Text(Some(Cow::Owned(value.to_string()))))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Text<'a>, E> {
                Ok(Text(Some(Cow::Owned(value.to_string()))))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Text<'a>, E> {
                Ok(Text(Some(Cow::Owned(value.to_string()))))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, seq: A) -> Result<Text<'a>, A::Error> {
                drain(seq).map(|()| Text(None))
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Text<'a>, A::Error> {
                drain_map(map).map(|()| Text(None))
            }
        }
        deserializer.deserialize_any(AnyText(PhantomData))
    }
}

pub(crate) fn drain<'de, A: SeqAccess<'de>>(mut seq: A) -> Result<(), A::Error> {
    while seq.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

pub(crate) fn drain_map<'de, A: MapAccess<'de>>(mut map: A) -> Result<(), A::Error> {
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}

/// Any value but null, as it is written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Raw<'a>(Option<&'a RawValue>);

impl<'a> Raw<'a> {
    pub(crate) fn some(self) -> Option<&'a RawValue> {
        self.0
    }

    /// The JSON text, empty where there is none.
    pub(crate) fn json(self) -> &'a str {
        self.0.map(RawValue::get).unwrap_or_default()
    }

    /// A whole number from 0 up, however it is written (`7`, `7.0`, `"7"`).
    pub(crate) fn count(self) -> Option<u64> {
        let json = self.0?.get();
        if let Ok(number) = json.parse() {
            return Some(number);
        }
        let token = json.trim_matches('"');
        token.parse().ok().or_else(|| {
            let number: f64 = token.parse().ok()?;
            // Through text, because no cast from a float is exact at its ends.
            (0.0..1e18).contains(&number).then(|| format!("{number:.0}").parse().ok())?
        })
    }

    /// A string's text; of any other value the JSON itself. `None` where there is nothing. Whether it had to be repaired
    /// is noted in `repaired`.
    pub(crate) fn to_text(self, repaired: &mut bool) -> Option<Cow<'a, str>> {
        let json = self.0?.get();
        if !json.starts_with('"') {
            return Some(Cow::Borrowed(json));
        }
        if let Ok(text) = serde_json::from_str::<Text<'a>>(json) {
            return text.0;
        }
        *repaired = true;
        let mut scratch = String::new();
        let (text, _) = parse::<Text<'_>>(json, &mut scratch).ok()?;
        text.0.map(|text| Cow::Owned(text.into_owned()))
    }

    /// Reads it as something else, by way of a repaired copy in `scratch` if need be.
    pub(crate) fn read<T>(self, scratch: &'a mut String, repaired: &mut bool) -> Option<T>
    where
        T: Deserialize<'a>,
    {
        let (value, mended) = parse(self.0?.get(), scratch).ok()?;
        *repaired |= mended;
        Some(value)
    }

    /// Reads it into its place where it is well-formed; else the place may hold a part of it.
    pub(crate) fn read_into<T: Fill<'a>>(self, value: &mut T) -> Option<()> {
        let mut deserializer = serde_json::Deserializer::from_str(self.0?.get());
        value.fill(&mut deserializer).ok()
    }

    /// A value to look at.
    pub(crate) fn of(raw: &'a RawValue) -> Self {
        Self(Some(raw))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Raw<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match <Option<&'de RawValue>>::deserialize(deserializer)? {
            Some(raw) if too_deep(raw.get()) => Err(D::Error::custom("nested too deeply")),
            raw => Ok(Self(raw)),
        }
    }
}

fill_by_value!(Text<'a>, Raw<'a>);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_however_they_are_written() {
        let count = |json: &str| serde_json::from_str::<Raw<'_>>(json).unwrap().count();
        for (json, expected) in [
            ("7", Some(7)),
            ("7.0", Some(7)),
            ("\"7\"", Some(7)),
            ("1.2e1", Some(12)),
            ("-1", None),
            ("1e400", None),
            ("99999999999999999999999", None),
            ("null", None),
            ("{}", None),
            ("true", None),
        ] {
            assert_eq!(count(json), expected, "{json}");
        }
    }

    #[test]
    fn depth_counts_brackets_outside_strings_only() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(!too_deep(&nested(128)));
        assert!(too_deep(&nested(129)));
        assert!(!too_deep(&format!("[\"{}\\\"{}\"]", "[".repeat(200), "{".repeat(200))));
        assert!(serde_json::from_str::<Raw<'_>>(&nested(100_000)).is_err());
    }

    wire! {
        /// For the test.
        struct Thing without "pad" {
            name: Text<'a> = "name",
            size: Raw<'a> = "size",
            parts: Few<Part<'a>, 1> = "parts",
        }
        /// For the test.
        struct Part {
            name: Text<'a> = "name",
        }
    }

    #[test]
    fn a_value_of_another_type_counts_as_absent() {
        let thing: Thing<'_> = serde_json::from_str(
            r#"{"name":{"x":1},"size":3,"pad":"…","other":1.50,"gone":null,"parts":{"name":5}}"#,
        )
        .unwrap();
        assert_eq!((thing.name.as_str(), thing.size.count()), ("", Some(3)));
        assert_eq!(thing.parts.iter().map(|part| part.name.as_str()).collect::<Vec<_>>(), ["5"]);
        let rest: Vec<_> = thing.rest.iter().map(|(name, raw)| (&**name, raw.get())).collect();
        assert_eq!(rest, [("other", "1.50")]);
        for odd in ["null", "1", "-1", "0.5", "\"x\"", "true", "[{}]"] {
            assert!(!serde_json::from_str::<Thing<'_>>(odd).unwrap().present, "{odd}");
        }
        let many: Few<u8, 2> = [1, 2, 3, 4].into_iter().fold(Few::default(), |mut few, n| {
            few.push(n);
            few
        });
        assert_eq!(many.into_iter().collect::<Vec<_>>(), [1, 2, 3, 4]);
    }
}
