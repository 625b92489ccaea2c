//! Members of a JSON object that we pass on without knowing them, and the reader of JSON objects built on them.

use std::fmt;

use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::ser::SerializeMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

/// Members of a JSON object in their order, each value exactly as it was written (`1e2` stays `1e2`).
///
/// Equality compares the written text. A name that comes twice keeps its last value, as most JSON readers do.
#[derive(Clone, Default)]
pub struct Extra(Vec<(String, Box<RawValue>)>);

impl Extra {
    /// No members.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Whether there are no members.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of members.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The value of a member, as written.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&RawValue> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, value)| &**value)
    }

    /// Sets a member to a value that is already JSON, in place where the name is there.
    pub fn insert(&mut self, name: impl Into<String>, value: Box<RawValue>) {
        let name = name.into();
        match self.0.iter_mut().find(|(n, _)| *n == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    /// Sets a member to anything that serialises.
    ///
    /// # Errors
    /// When the value is not representable as JSON (a map with non-string keys, say).
    pub fn set<T: Serialize + ?Sized>(
        &mut self,
        name: impl Into<String>,
        value: &T,
    ) -> Result<(), serde_json::Error> {
        self.insert(name, serde_json::value::to_raw_value(value)?);
        Ok(())
    }

    /// Removes a member and gives its value.
    pub fn take(&mut self, name: &str) -> Option<Box<RawValue>> {
        let at = self.0.iter().position(|(n, _)| n == name)?;
        Some(self.0.remove(at).1)
    }

    /// Removes a member and reads it; a missing member and `null` are the same.
    ///
    /// # Errors
    /// [`Invalid`] names the member when its value has another type.
    pub fn take_as<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, Invalid> {
        match self.take(name) {
            Some(raw) if raw.get() != "null" => {
                serde_json::from_str(raw.get()).map(Some).map_err(|e| Invalid::new(name, plain(&e)))
            }
            _ => Ok(None),
        }
    }

    /// The members in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &RawValue)> {
        self.0.iter().map(|(name, value)| (name.as_str(), &**value))
    }

    /// Reads a JSON object's members.
    ///
    /// # Errors
    /// [`Invalid`] when the text is not one JSON object.
    pub fn parse(json: &str) -> Result<Self, Invalid> {
        serde_json::from_str(json).map_err(|e| Invalid::new("", plain(&e)))
    }
}

/// serde_json's message without its position, which would be relative to a part the reader never sees alone.
pub(crate) fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    match text.rfind(" at line ") {
        Some(at) => text.get(..at).unwrap_or(&text).to_owned(),
        None => text,
    }
}

impl PartialEq for Extra {
    fn eq(&self, other: &Self) -> bool {
        self.0.len() == other.0.len()
            && self.0.iter().zip(&other.0).all(|(a, b)| a.0 == b.0 && a.1.get() == b.1.get())
    }
}

impl fmt::Debug for Extra {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(name, value)| (name, value.get()))).finish()
    }
}

impl FromIterator<(String, Box<RawValue>)> for Extra {
    fn from_iter<I: IntoIterator<Item = (String, Box<RawValue>)>>(members: I) -> Self {
        let mut extra = Self::new();
        members.into_iter().for_each(|(name, value)| extra.insert(name, value));
        extra
    }
}

impl Serialize for Extra {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl<'de> Deserialize<'de> for Extra {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Extra;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Extra, A::Error> {
                let mut extra = Extra::new();
                while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    extra.insert(name, value);
                }
                Ok(extra)
            }
        }
        deserializer.deserialize_map(Members)
    }
}

/// A value that is not what it should be: where it stands, and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invalid {
    at: String,
    message: String,
}

impl Invalid {
    /// `at` is a path such as `messages[2].role`, or empty for the whole document.
    #[must_use]
    pub fn new(at: impl Into<String>, message: impl Into<String>) -> Self {
        Self { at: at.into(), message: message.into() }
    }

    /// The place, as a path; empty for the whole document.
    #[must_use]
    pub fn at(&self) -> &str {
        &self.at
    }

    /// What is wrong there.
    #[must_use]
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The same error, seen from the object or list that holds the value.
    #[must_use]
    pub fn inside(mut self, outer: &str) -> Self {
        let dot = if self.at.is_empty() || self.at.starts_with('[') { "" } else { "." };
        self.at = format!("{outer}{dot}{}", self.at);
        self
    }
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.at.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{}: {}", self.at, self.message)
        }
    }
}

impl std::error::Error for Invalid {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_pass_through_as_written() {
        let text = r#"{"a":1e2,"b":123456789012345678901234567890,"c":{"x": 1.50}}"#;
        let extra = Extra::parse(text).unwrap();
        assert_eq!(serde_json::to_string(&extra).unwrap(), text);
        assert_eq!(extra.get("a").unwrap().get(), "1e2");
    }

    #[test]
    fn null_is_absent_and_a_wrong_type_names_the_member() {
        let mut extra = Extra::parse(r#"{"a":null,"b":"x"}"#).unwrap();
        assert_eq!(extra.take_as::<u32>("a"), Ok(None));
        let error = extra.take_as::<u32>("b").unwrap_err().inside("row");
        assert_eq!(error.to_string(), "row.b: invalid type: string \"x\", expected u32");
    }

    #[test]
    fn the_last_of_two_equal_names_wins() {
        assert_eq!(
            serde_json::to_string(&Extra::parse(r#"{"a":1,"b":2,"a":3}"#).unwrap()).unwrap(),
            r#"{"a":3,"b":2}"#
        );
    }
}
