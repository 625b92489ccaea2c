//! JSON objects whose members are all optional, and the short lists in them.

use std::borrow::Cow;
use std::fmt;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::Text;

/// A value that is read into its place: answers are large and mostly empty, and would else be moved from level to level.
///
/// Whatever stood in the place before is gone, as with a member that is written twice.
pub(crate) trait Fill<'de>: Default {
    /// Reads the value.
    fn fill<D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error>;
}

/// Reads a member into its place.
pub(crate) struct Place<'s, T>(pub(crate) &'s mut T);

impl<'de, T: Fill<'de>> DeserializeSeed<'de> for Place<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.0.fill(deserializer)
    }
}

/// Reads an item into its place, which is made when there is one.
struct Item<'s, T>(&'s mut Option<T>);

impl<'de, T: Fill<'de>> DeserializeSeed<'de> for Item<'_, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        self.0.insert(T::default()).fill(deserializer)
    }
}

/// Values that are small enough to be moved.
macro_rules! fill_by_value {
    ($($type:ident $(<$life:lifetime>)?),*) => {$(
        impl<'de $(: $life, $life)?> $crate::dialect::json::Fill<'de> for $type $(<$life>)? {
            fn fill<D: serde::Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error> {
                *self = serde::Deserialize::deserialize(deserializer)?;
                Ok(())
            }
        }
    )*};
}
pub(crate) use fill_by_value;

impl<'de, T: Fill<'de> + Deserialize<'de>> Fill<'de> for Option<Box<T>> {
    fn fill<D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error> {
        *self = Deserialize::deserialize(deserializer)?;
        Ok(())
    }
}

/// A visitor's answers to values of a type that it does not expect: nothing is filled in.
macro_rules! absent {
    () => {
        fn visit_unit<E>(self) -> Result<(), E> {
            Ok(())
        }

        fn visit_bool<E>(self, _: bool) -> Result<(), E> {
            Ok(())
        }

        fn visit_u64<E>(self, _: u64) -> Result<(), E> {
            Ok(())
        }

        fn visit_i64<E>(self, _: i64) -> Result<(), E> {
            Ok(())
        }

        fn visit_f64<E>(self, _: f64) -> Result<(), E> {
            Ok(())
        }

        fn visit_str<E>(self, _: &str) -> Result<(), E> {
            Ok(())
        }
    };
}
pub(crate) use absent;

/// A list whose first `N` items need no allocation.
pub(crate) struct Few<T, const N: usize> {
    first: [Option<T>; N],
    more: Vec<T>,
}

impl<T, const N: usize> Default for Few<T, N> {
    #[inline(always)]
    fn default() -> Self {
        Self { first: [const { None }; N], more: Vec::new() }
    }
}

impl<T, const N: usize> Few<T, N> {
    pub(crate) fn push(&mut self, item: T) {
        match self.first.iter_mut().find(|slot| slot.is_none()) {
            Some(slot) => *slot = Some(item),
            None => self.more.push(item),
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.first.iter().flatten().chain(&self.more)
    }

    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.first.iter_mut().flatten().chain(&mut self.more)
    }

    /// Takes the items out, in their order.
    pub(crate) fn drain(&mut self) -> impl Iterator<Item = T> {
        self.first.iter_mut().filter_map(Option::take).chain(self.more.drain(..))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.first.first().is_none_or(Option::is_none) && self.more.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.iter().count()
    }
}

impl<T, const N: usize> FromIterator<T> for Few<T, N> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut few = Self::default();
        items.into_iter().for_each(|item| few.push(item));
        few
    }
}

impl<T, const N: usize> IntoIterator for Few<T, N> {
    type Item = T;
    type IntoIter =
        std::iter::Chain<std::iter::Flatten<std::array::IntoIter<Option<T>, N>>, std::vec::IntoIter<T>>;

    fn into_iter(self) -> Self::IntoIter {
        self.first.into_iter().flatten().chain(self.more)
    }
}

impl<T: fmt::Debug, const N: usize> fmt::Debug for Few<T, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

/// Items from a list, or the one item where there should be a list; anything else is no item.
impl<'de, T: Fill<'de>, const N: usize> Fill<'de> for Few<T, N> {
    fn fill<D: Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error> {
        struct Items<'s, T, const N: usize>(&'s mut Few<T, N>);
        impl<'de, T: Fill<'de>, const N: usize> Visitor<'de> for Items<'_, T, N> {
            type Value = ();

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
                for slot in &mut self.0.first {
                    if seq.next_element_seed(Item(slot))?.is_none() {
                        return Ok(());
                    }
                }
                let mut item = None;
                while seq.next_element_seed(Item(&mut item))?.is_some() {
                    self.0.more.extend(item.take());
                }
                Ok(())
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
                let mut item = None;
                let slot = self.0.first.first_mut().unwrap_or(&mut item);
                Item(slot).deserialize(MapAccessDeserializer::new(map))?;
                self.0.more.extend(item);
                Ok(())
            }

            absent!();
        }
        if !self.is_empty() {
            *self = Self::default();
        }
        deserializer.deserialize_any(Items(self))
    }
}

impl<'de, T: Fill<'de>, const N: usize> Deserialize<'de> for Few<T, N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut few = Self::default();
        few.fill(deserializer)?;
        Ok(few)
    }
}

/// Members that a type does not know, null ones left out.
pub(crate) type Rest<'a> = Few<(Cow<'a, str>, &'a RawValue), 3>;

/// The name of a member, lent where it has no escapes.
pub(crate) struct Key<'a>(pub(crate) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Key<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Text::deserialize(deserializer).map(|text| Self(text.0.unwrap_or_default()))
    }
}

/// Declares a JSON object: each field with its member's name, and after `without` the names that are noise. Everything else goes to
/// `rest`. A value that is no object reads as one without members, and `present` tells it.
macro_rules! wire {
    ($(
        $(#[$doc:meta])*
        struct $name:ident $(without $($noise:literal)|+)? {
            $($(#[$field_doc:meta])* $field:ident: $type:ty = $key:literal,)*
        }
    )*) => {$(
        $(#[$doc])*
        #[derive(Debug)]
        #[allow(dead_code, reason = "not every object is asked for what it has besides")]
        pub(crate) struct $name<'a> {
            $($(#[$field_doc])* pub(crate) $field: $type,)*
            pub(crate) rest: $crate::dialect::json::Rest<'a>,
            pub(crate) present: bool,
        }

        // In place: a derived one copies from level to level.
        impl Default for $name<'_> {
            #[inline(always)]
            fn default() -> Self {
                Self { $($field: Default::default(),)* rest: Default::default(), present: false }
            }
        }

        impl<'de: 'a, 'a> $crate::dialect::json::Fill<'de> for $name<'a> {
            fn fill<D: serde::Deserializer<'de>>(&mut self, deserializer: D) -> Result<(), D::Error> {
                struct Members<'s, 'a>(&'s mut $name<'a>);
                impl<'de: 'a, 'a> serde::de::Visitor<'de> for Members<'_, 'a> {
                    type Value = ();

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str("an object")
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
                        use $crate::dialect::json::{Key, Place, Raw};
                        let value = self.0;
                        value.present = true;
                        while let Some(key) = map.next_key::<Key<'de>>()? {
                            match &*key.0 {
                                $($key => map.next_value_seed(Place(&mut value.$field))?,)*
                                $($($noise)|+ => {
                                    map.next_value::<serde::de::IgnoredAny>()?;
                                })?
                                _ => {
                                    let raw = map.next_value::<Raw<'de>>()?;
                                    if let Some(raw) = raw.some() {
                                        value.rest.push((key.0, raw));
                                    }
                                }
                            }
                        }
                        Ok(())
                    }

                    fn visit_seq<A: serde::de::SeqAccess<'de>>(self, seq: A) -> Result<(), A::Error> {
                        $crate::dialect::json::drain(seq)
                    }

                    $crate::dialect::json::absent!();
                }
                if self.present {
                    *self = $name::default();
                }
                deserializer.deserialize_any(Members(self))
            }
        }

        impl<'de: 'a, 'a> serde::Deserialize<'de> for $name<'a> {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let mut value = $name::default();
                $crate::dialect::json::Fill::fill(&mut value, deserializer)?;
                Ok(value)
            }
        }
    )*};
}
pub(crate) use wire;
