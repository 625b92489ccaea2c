//! How prices stand in files and JSON: classes by name, rules under `when`.

use std::fmt;
use std::sync::Arc;

use serde::de::{self, Deserializer};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Serialize, Serializer};

use super::{Price, Prices, Rule};
use crate::day::Day;
use crate::rates::{Class, Rate, Rates};

/// The members of a price and of a rule in files.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Members {
    input: Option<Rate>,
    output: Option<Rate>,
    cache_read: Option<Rate>,
    cache_write_5m: Option<Rate>,
    cache_write_1h: Option<Rate>,
    reasoning: Option<Rate>,
    audio_input: Option<Rate>,
    image_input: Option<Rate>,
    audio_output: Option<Rate>,
    when: Vec<Rule>,
    from: Option<Day>,
    source: Option<Arc<str>>,
    as_of: Option<Day>,
    above: Option<u64>,
    tier: Option<Arc<str>>,
    hours: Option<String>,
}

impl Members {
    fn rates(&self) -> Rates {
        let rate = |class| match class {
            Class::Input => self.input,
            Class::CacheRead => self.cache_read,
            Class::CacheWrite5m => self.cache_write_5m,
            Class::CacheWrite1h => self.cache_write_1h,
            Class::AudioInput => self.audio_input,
            Class::ImageInput => self.image_input,
            Class::Output => self.output,
            Class::Reasoning => self.reasoning,
            Class::AudioOutput => self.audio_output,
        };
        Class::ALL.into_iter().fold(Rates::default(), |rates, class| rates.with(class, rate(class)))
    }
}

impl<'de> Deserialize<'de> for Price {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let members = Members::deserialize(deserializer)?;
        if members.above.is_some() || members.tier.is_some() || members.hours.is_some() {
            return Err(de::Error::custom("`above`, `tier` and `hours` belong into a rule of `when`"));
        }
        let rates = members.rates();
        let Members { when, from, source, as_of, .. } = members;
        Ok(Self { rates, rules: when, from, source, as_of })
    }
}

impl<'de> Deserialize<'de> for Rule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let members = Members::deserialize(deserializer)?;
        let rates = members.rates();
        let Members { when, from, source, as_of, above, tier, hours, .. } = members;
        if !when.is_empty() || from.is_some() || source.is_some() || as_of.is_some() {
            return Err(de::Error::custom("`when`, `from`, `source` and `as_of` do not belong into a rule"));
        }
        if above.is_none() && tier.is_none() && hours.is_none() {
            return Err(de::Error::custom("a rule needs a condition: `above`, `tier` or `hours`"));
        }
        let hours = hours.map(|text| text.parse()).transpose().map_err(de::Error::custom)?;
        Ok(Self { above, tier, hours, rates })
    }
}

impl Serialize for Price {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { rates, rules, from, source, as_of } = self;
        let mut map = serializer.serialize_map(None)?;
        if let Some(from) = from {
            map.serialize_entry("from", from)?;
        }
        rates.iter().try_for_each(|(class, rate)| map.serialize_entry(class.as_str(), &rate))?;
        if !rules.is_empty() {
            map.serialize_entry("when", rules)?;
        }
        if let Some(source) = source {
            map.serialize_entry("source", source)?;
        }
        if let Some(as_of) = as_of {
            map.serialize_entry("as_of", as_of)?;
        }
        map.end()
    }
}

impl Serialize for Rule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { above, tier, hours, rates } = self;
        let mut map = serializer.serialize_map(None)?;
        if let Some(above) = above {
            map.serialize_entry("above", above)?;
        }
        if let Some(tier) = tier {
            map.serialize_entry("tier", tier)?;
        }
        if let Some(hours) = hours {
            map.serialize_entry("hours", &hours.to_string())?;
        }
        rates.iter().try_for_each(|(class, rate)| map.serialize_entry(class.as_str(), &rate))?;
        map.end()
    }
}

/// A price, or a list of prices with the days they begin on.
impl<'de> Deserialize<'de> for Prices {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOrMore;
        impl<'de> de::Visitor<'de> for OneOrMore {
            type Value = Prices;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a price, or a list of prices with the days they begin on")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Prices, A::Error> {
                Price::deserialize(de::value::MapAccessDeserializer::new(map)).map(Prices::from)
            }

            fn visit_seq<A: de::SeqAccess<'de>>(self, seq: A) -> Result<Prices, A::Error> {
                Vec::deserialize(de::value::SeqAccessDeserializer::new(seq)).map(Prices::new)
            }
        }
        deserializer.deserialize_any(OneOrMore)
    }
}
