//! What tokens cost, and what a call did. Exact: whole pico-dollars a token.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::de::{self, Deserializer};
use serde::{Deserialize, Serialize, Serializer};

use crate::extra::Invalid;
use crate::money::Money;
use crate::usage::{Usage, UsageSource};

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

/// What a model's tokens cost, class by class, in US dollars for a million tokens.
///
/// A class without a price of its own is unknown, not free: a call that used it has no known cost. Two classes are cheaper
/// or equal by their nature and need no price of their own: text read from a cache costs at most what fresh input does, and
/// reasoning is written output.
///
/// In files: `{ input = "0.15", output = "0.60", cache_read = "0.075", source = "vendor's page", as_of = "2026-02-24" }`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Price {
    /// Text read afresh.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<Rate>,
    /// Text written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<Rate>,
    /// Read from the vendor's prompt cache. Default: as fresh input, which is the most it can be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_read: Option<Rate>,
    /// Written to the cache for five minutes, or to a vendor's only kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_5m: Option<Rate>,
    /// Written to the cache for an hour.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_write_1h: Option<Rate>,
    /// Reasoning, where it is priced apart. Default: as output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<Rate>,
    /// Audio read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_input: Option<Rate>,
    /// Images read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_input: Option<Rate>,
    /// Audio written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_output: Option<Rate>,
    /// Where the figures come from: `config`, a vendor's page, a table.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Arc<str>>,
    /// The day they were true, `YYYY-MM-DD`.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "date")]
    pub as_of: Option<Arc<str>>,
}

/// What a call cost, exactly. In JSON the amounts are texts, so that no reader rounds them:
/// `{"total_usd":"0.00015","input_usd":"0.00012","output_usd":"0.00003","usage":"reported","source":"config"}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cost {
    /// All of it.
    #[serde(rename = "total_usd")]
    pub total: Money,
    /// The part for what was read. `None` where only the whole is known, as a server told it.
    #[serde(rename = "input_usd", default, skip_serializing_if = "Option::is_none")]
    pub input: Option<Money>,
    /// The part for what was written, reasoning included.
    #[serde(rename = "output_usd", default, skip_serializing_if = "Option::is_none")]
    pub output: Option<Money>,
    /// How good the count of the tokens is.
    #[serde(default)]
    pub usage: UsageSource,
    /// Where the price comes from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Arc<str>>,
    /// The day the price was true.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub as_of: Option<Arc<str>>,
}

impl Price {
    /// A price of plain input and output alone.
    #[must_use]
    pub fn flat(input: Rate, output: Rate) -> Self {
        Self { input: Some(input), output: Some(output), ..Self::default() }
    }

    /// Whether plain text can be priced: input and output are known.
    #[must_use]
    pub const fn is_known(&self) -> bool {
        self.input.is_some() && self.output.is_some()
    }

    /// What a call cost. `None` when it used a class whose price is not known.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> Option<Cost> {
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
            source,
        } = *usage;
        let sum = |classes: &[(Option<u64>, Option<Rate>)]| {
            let used = classes.iter().filter(|(tokens, _)| tokens.unwrap_or(0) > 0);
            used.map(|(tokens, rate)| Some(rate.as_ref()?.of(tokens.unwrap_or(0)))).sum::<Option<Money>>()
        };
        let input = sum(&[
            (Some(fresh_input), self.input),
            (cache_read, self.cache_read.or(self.input)),
            (cache_write_5m, self.cache_write_5m),
            (cache_write_1h, self.cache_write_1h),
            (audio_input, self.audio_input),
            (image_input, self.image_input),
        ])?;
        let output = sum(&[
            (Some(plain_output), self.output),
            (reasoning, self.reasoning.or(self.output)),
            (audio_output, self.audio_output),
        ])?;
        Some(Cost {
            total: input.plus(output),
            input: Some(input),
            output: Some(output),
            usage: source,
            source: self.source.clone(),
            as_of: self.as_of.clone(),
        })
    }

    /// What a call of so much text will cost at most, before it is made: all input fresh, output at its dearest.
    #[must_use]
    pub fn estimate(&self, input_tokens: u64, output_tokens: u64) -> Option<Money> {
        let output = self.output?.max(self.reasoning.unwrap_or(Rate(0)));
        Some(self.input?.of(input_tokens).plus(output.of(output_tokens)))
    }
}

/// `IN/OUT` in US dollars for a million tokens: `0.15/0.60`.
impl FromStr for Price {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let Some((input, output)) = text.split_once('/') else {
            let message = format!(
                "`{text}` is not a price: input and output in US dollars for a million tokens, such as 0.15/0.60"
            );
            return Err(Invalid::new("", message));
        };
        Ok(Self::flat(input.parse()?, output.parse()?))
    }
}

/// A day as text; what is no day of a calendar is refused.
fn date<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Arc<str>>, D::Error> {
    let Some(text) = Option::<String>::deserialize(deserializer)? else { return Ok(None) };
    let number = |range| text.get(range).and_then(|part: &str| part.parse::<u32>().ok());
    let shape = text.len() == 10
        && text.char_indices().all(|(at, c)| if matches!(at, 4 | 7) { c == '-' } else { c.is_ascii_digit() });
    let sane = number(5..7).is_some_and(|month| (1..=12).contains(&month))
        && number(8..10).is_some_and(|day| (1..=31).contains(&day));
    if !(shape && sane) {
        return Err(de::Error::custom(format!("`{text}` is not a day: write it as YYYY-MM-DD")));
    }
    Ok(Some(text.into()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::usage::Totals;

    fn price() -> Price {
        let json = r#"{"input": "0.15", "output": 0.6, "cache_read": "0.075", "source": "a page", "as_of": "2026-02-24"}"#;
        serde_json::from_str(json).unwrap()
    }

    fn usage(totals: Totals) -> Usage {
        Usage::from_totals(totals, UsageSource::Reported)
    }

    #[test]
    fn a_price_is_exact_and_says_where_it_comes_from() {
        assert_eq!(price().input.unwrap().pico_per_token(), 150_000);
        let cost = price()
            .cost(&usage(Totals { input: 1000, output: 50, cache_read: Some(400), ..Totals::default() }))
            .unwrap();
        // 600 × 0.15 + 400 × 0.075 + 50 × 0.6 dollars for a million.
        assert_eq!(cost.input.unwrap().pico(), 600 * 150_000 + 400 * 75_000);
        assert_eq!(cost.total.pico(), 120_000_000 + 50 * 600_000);
        assert_eq!((cost.source.as_deref(), cost.as_of.as_deref()), (Some("a page"), Some("2026-02-24")));
        assert_eq!(cost.total.to_string(), "$0.00015");
    }

    #[test]
    fn an_unknown_price_is_unknown_and_not_zero() {
        let used = usage(Totals { input: 10, output: 5, cache_write_1h: Some(4), ..Totals::default() });
        assert_eq!(price().cost(&used), None);
        assert_eq!(Price::default().cost(&usage(Totals { input: 1, ..Totals::default() })), None);
        assert_eq!(Price::default().estimate(1, 1), None);
        // A class that was reported as 0 needs no price.
        let none = usage(Totals { input: 10, cache_write_1h: Some(0), ..Totals::default() });
        assert_eq!(price().cost(&none).unwrap().total.pico(), 1_500_000);
        assert!(!Price { input: price().input, ..Price::default() }.is_known());
    }

    #[test]
    fn reasoning_and_cached_text_fall_back_to_output_and_input() {
        let price: Price = "1/10".parse().unwrap();
        let used = usage(Totals {
            input: 100,
            output: 50,
            cache_read: Some(40),
            reasoning: Some(30),
            ..Totals::default()
        });
        let cost = price.cost(&used).unwrap();
        assert_eq!((cost.input.unwrap().pico(), cost.output.unwrap().pico()), (100_000_000, 500_000_000));
        let apart = Price { reasoning: Some("20".parse().unwrap()), ..price };
        assert_eq!(apart.cost(&used).unwrap().output.unwrap().pico(), 200_000_000 + 600_000_000);
        assert_eq!(apart.estimate(1, 2).unwrap().pico(), 1_000_000 + 40_000_000);
    }

    #[test]
    fn bad_prices_are_refused() {
        for json in [
            r#"{"input": "-1"}"#,
            r#"{"input": "0.0000001"}"#,
            r#"{"inptu": "1"}"#,
            r#"{"as_of": "yesterday"}"#,
            r#"{"as_of": "2026-13-01"}"#,
            r#"{"input": 99999999999999999999999}"#,
        ] {
            assert!(serde_json::from_str::<Price>(json).is_err(), "{json}");
        }
        for text in ["", "1", "1/", "/1", "a/b", "1/2/3"] {
            assert!(text.parse::<Price>().is_err(), "{text}");
        }
    }

    #[test]
    fn json_reads_back() {
        let json = serde_json::to_string(&price()).unwrap();
        assert_eq!(
            json,
            r#"{"input":"0.15","output":"0.60","cache_read":"0.075","source":"a page","as_of":"2026-02-24"}"#
        );
        assert_eq!(serde_json::from_str::<Price>(&json).unwrap(), price());
    }

    proptest! {
        #[test]
        fn no_token_is_counted_twice(
            [input, output, read, short, long, image, audio, thought, voice] in any::<[u32; 9]>(),
        ) {
            // One pico-dollar a token for every class: the cost is the number of tokens the vendor reported.
            let one = Some(Rate::from_pico_per_token(1));
            let price = Price {
                input: one, output: one, cache_read: one, cache_write_5m: one, cache_write_1h: one,
                reasoning: one, audio_input: one, image_input: one, audio_output: one, source: None, as_of: None,
            };
            let some = |n: u32| Some(u64::from(n));
            let used = usage(Totals {
                input: input.into(), output: output.into(), cache_read: some(read), cache_write_5m: some(short),
                cache_write_1h: some(long), image_input: some(image), audio_input: some(audio),
                reasoning: some(thought), audio_output: some(voice),
            });
            let cost = price.cost(&used).unwrap();
            prop_assert_eq!((cost.input.unwrap().pico(), cost.output.unwrap().pico()), (u128::from(input), u128::from(output)));
        }
    }
}
