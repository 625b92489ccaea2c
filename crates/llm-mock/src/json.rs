//! What the dialects read JSON with: texts that stay where they are, and the names of members.

use std::{borrow::Cow, fmt, marker::PhantomData};

use serde::{
    Deserialize,
    de::{self, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

/// A string, borrowed unless it holds escapes.
pub(crate) struct Text<'a>(pub(crate) Cow<'a, str>);

/// A string, or an array.
pub(crate) enum OneOrMany<'a, P> {
    One(Cow<'a, str>),
    Many(Vec<P>),
}

/// The names of an object's members that `known` does not know; none for what is no object.
pub(crate) fn unknown_members(json: &[u8], known: impl Fn(&str) -> bool) -> Vec<String> {
    let names: Names = serde_json::from_slice(json).unwrap_or_default();
    names.0.into_iter().filter(|name| !known(name)).collect()
}

#[derive(Default)]
struct Names(Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Take;
        impl<'de> Visitor<'de> for Take {
            type Value = Names;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Names, A::Error> {
                let mut names = Vec::new();
                while let Some((name, IgnoredAny)) = map.next_entry()? {
                    names.push(name);
                }
                Ok(Names(names))
            }
        }
        from.deserialize_map(Take)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Take<'a>(PhantomData<&'a ()>);
        impl<'de: 'a, 'a> Visitor<'de> for Take<'a> {
            type Value = Text<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        from.deserialize_str(Take(PhantomData))
    }
}

impl<'de: 'a, 'a, P: Deserialize<'de>> Deserialize<'de> for OneOrMany<'a, P> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Take<'a, P>(PhantomData<(&'a (), P)>);
        impl<'de: 'a, 'a, P: Deserialize<'de>> Visitor<'de> for Take<'a, P> {
            type Value = OneOrMany<'a, P>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string or an array")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(OneOrMany::One(Cow::Borrowed(text)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(OneOrMany::One(Cow::Owned(text.to_owned())))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut many = Vec::new();
                while let Some(element) = seq.next_element()? {
                    many.push(element);
                }
                Ok(OneOrMany::Many(many))
            }
        }
        from.deserialize_any(Take(PhantomData))
    }
}
