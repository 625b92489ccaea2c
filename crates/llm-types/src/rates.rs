//! What a token costs, and what tokens of each class do. Exact: whole pico-dollars a token.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize, Serializer};

use crate::extra::Invalid;
use crate::money::Money;
use crate::usage::Usage;

/// What a token of one class costs. Written, as vendors do, in US dollars for a million tokens: `"0.15"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Rate(u64);

const MILLION: u64 = 1_000_000;

impl Rate {
    /// So many pico-dollars (10⁻¹² $) for a token, which is as many millionths of a dollar for a million tokens.
    #[must_use]
    pub const fn from_pico_per_token(pico: u64) -> Self {
        Self(pico)
    }

    /// In pico-dollars (10⁻¹² $) for a token.
    #[must_use]
    pub const fn pico_per_token(self) -> u64 {
        self.0
    }

    /// From the price of a million tokens. `None` where that has more than six places, or is beyond reason.
    #[must_use]
    pub fn per_million(price: Money) -> Option<Self> {
        let million = u128::from(MILLION);
        if !price.pico().is_multiple_of(million) {
            return None;
        }
        u64::try_from(price.pico() / million).ok().map(Self)
    }

    /// The price of a million tokens.
    #[must_use]
    pub fn for_million(self) -> Money {
        self.of(MILLION)
    }

    /// What so many tokens cost.
    #[must_use]
    pub fn of(self, tokens: u64) -> Money {
        Money::from_pico(u128::from(self.0)).times(tokens)
    }
}

impl FromStr for Rate {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        text.parse::<Money>().and_then(Self::try_from)
    }
}

impl TryFrom<Money> for Rate {
    type Error = Invalid;

    fn try_from(price: Money) -> Result<Self, Invalid> {
        Self::per_million(price).ok_or_else(|| {
            let message = format!(
                "{price:#} for a million tokens is finer than a millionth of a dollar, or beyond reason"
            );
            Invalid::new("", message)
        })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#} per million tokens", self.for_million())
    }
}

impl Serialize for Rate {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.for_million().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Rate {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::try_from(Money::deserialize(deserializer)?).map_err(de::Error::custom)
    }
}

/// A class of tokens that has a price of its own. The classes of a [`Usage`], which do not overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Text read afresh.
    Input,
    /// Read from the vendor's prompt cache.
    CacheRead,
    /// Written to the cache for five minutes, or to a vendor's only kind.
    CacheWrite5m,
    /// Written to the cache for an hour.
    CacheWrite1h,
    /// Audio read.
    AudioInput,
    /// Images read.
    ImageInput,
    /// Text written.
    Output,
    /// Written while thinking.
    Reasoning,
    /// Audio written.
    AudioOutput,
}

impl Class {
    /// Every class, what is read first.
    pub const ALL: [Self; 9] = [
        Self::Input,
        Self::CacheRead,
        Self::CacheWrite5m,
        Self::CacheWrite1h,
        Self::AudioInput,
        Self::ImageInput,
        Self::Output,
        Self::Reasoning,
        Self::AudioOutput,
    ];

    /// The name in files and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::CacheRead => "cache_read",
            Self::CacheWrite5m => "cache_write_5m",
            Self::CacheWrite1h => "cache_write_1h",
            Self::AudioInput => "audio_input",
            Self::ImageInput => "image_input",
            Self::Output => "output",
            Self::Reasoning => "reasoning",
            Self::AudioOutput => "audio_output",
        }
    }

    /// The class of this name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.as_str() == name)
    }

    /// Whether its tokens are read, not written.
    #[must_use]
    pub const fn is_input(self) -> bool {
        match self {
            Self::Input
            | Self::CacheRead
            | Self::CacheWrite5m
            | Self::CacheWrite1h
            | Self::AudioInput
            | Self::ImageInput => true,
            Self::Output | Self::Reasoning | Self::AudioOutput => false,
        }
    }

    /// How many of its tokens were used.
    #[must_use]
    pub const fn tokens(self, usage: &Usage) -> u64 {
        const fn some(tokens: Option<u64>) -> u64 {
            match tokens {
                Some(tokens) => tokens,
                None => 0,
            }
        }
        // By name, so that a new class of tokens cannot be forgotten here.
        let Usage {
            fresh_input,
            cache_read,
            cache_write_5m,
            cache_write_1h,
            audio_input,
            image_input,
            plain_output,
            reasoning,
            audio_output,
            source: _,
        } = *usage;
        match self {
            Self::Input => fresh_input,
            Self::CacheRead => some(cache_read),
            Self::CacheWrite5m => some(cache_write_5m),
            Self::CacheWrite1h => some(cache_write_1h),
            Self::AudioInput => some(audio_input),
            Self::ImageInput => some(image_input),
            Self::Output => plain_output,
            Self::Reasoning => some(reasoning),
            Self::AudioOutput => some(audio_output),
        }
    }

    /// The class whose price holds where it has none of its own: two are cheaper or equal by their nature. Text read from
    /// a cache costs at most what fresh input does, and reasoning is written output.
    #[must_use]
    pub const fn stand_in(self) -> Option<Self> {
        match self {
            Self::CacheRead => Some(Self::Input),
            Self::Reasoning => Some(Self::Output),
            _ => None,
        }
    }
}

/// What tokens cost, class by class. A class without a price is unknown, not free.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rates([Option<Rate>; 9]);

impl Rates {
    /// Plain input and output alone.
    #[must_use]
    pub fn flat(input: Rate, output: Rate) -> Self {
        Self::default().with(Class::Input, Some(input)).with(Class::Output, Some(output))
    }

    /// The class's own price.
    #[must_use]
    pub fn of(&self, class: Class) -> Option<Rate> {
        Class::ALL.iter().zip(&self.0).find(|(own, _)| **own == class).and_then(|(_, rate)| *rate)
    }

    /// The same with another price of a class.
    #[must_use]
    pub fn with(mut self, class: Class, rate: Option<Rate>) -> Self {
        if let Some((_, slot)) = Class::ALL.iter().zip(&mut self.0).find(|(own, _)| **own == class) {
            *slot = rate;
        }
        self
    }

    /// The classes that have a price.
    pub fn iter(&self) -> impl Iterator<Item = (Class, Rate)> {
        Class::ALL.into_iter().zip(&self.0).filter_map(|(class, rate)| Some((class, (*rate)?)))
    }

    /// Whether no class has a price.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}
