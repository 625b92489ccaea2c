//! What a model's tokens cost, and what a call did. Exact: whole pico-dollars a token.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::day::{Day, time_of_day};
use crate::extra::Invalid;
use crate::money::Money;
use crate::rates::{Class, Rate, Rates};
use crate::usage::{Usage, UsageSource};

/// What a model's tokens cost, class by class, in US dollars for a million tokens.
///
/// A class without a price of its own is unknown, not free: a call that used it has no known cost. Where a class may do
/// without: [`Class::stand_in`].
///
/// In files: `{ input = "0.15", output = "0.60", cache_read = "0.075" }`, and where other prices hold for long prompts, for
/// a service tier or at some hours: `when = [{ above = 200000, input = "0.30" }, { tier = "flex", input = "0.075" }]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Price {
    /// What holds where no rule says otherwise.
    pub rates: Rates,
    /// Other prices, under conditions. The last rule that applies and prices a class counts.
    pub rules: Vec<Rule>,
    /// The day the price begins. `None`: it always held.
    pub from: Option<Day>,
    /// Where the figures come from: `config`, a vendor's page, a table.
    pub source: Option<Arc<str>>,
    /// The day they were true.
    pub as_of: Option<Day>,
}

/// Prices that hold where all its conditions do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rule {
    /// For calls that read more than so many tokens, cached ones included; all tokens of such a call cost this.
    pub above: Option<u64>,
    /// For calls that are served in this tier: `flex`, `priority`, `batch`.
    pub tier: Option<Arc<str>>,
    /// At these hours.
    pub hours: Option<Hours>,
    /// Classes without a price here keep the one they have.
    pub rates: Rates,
}

/// Hours of a day, in UTC: `"01:00-04:00"`, or `"01:00-04:00 mon-fri"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hours {
    /// Minutes after midnight.
    from: u16,
    /// The first minute that is no longer part of them.
    to: u16,
    /// Only from Monday to Friday.
    workdays: bool,
}

/// What a price depends on beside the tokens.
#[derive(Clone, Copy, Debug, Default)]
pub struct Terms<'a> {
    /// The service tier, as the server said it, else as it was asked for.
    pub tier: Option<&'a str>,
    /// When the call was made, in seconds since 1970. `None`: at none of the hours that a rule names.
    pub at: Option<u64>,
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
    pub as_of: Option<Day>,
}

impl Price {
    /// A price of plain input and output alone.
    #[must_use]
    pub fn flat(input: Rate, output: Rate) -> Self {
        Self { rates: Rates::flat(input, output), ..Self::default() }
    }

    /// Whether plain text can be priced: input and output are known.
    #[must_use]
    pub fn is_known(&self) -> bool {
        self.rates.of(Class::Input).is_some() && self.rates.of(Class::Output).is_some()
    }

    /// What a token of a class costs in a call that reads so many tokens on these terms. `None`: not known.
    #[must_use]
    pub fn rate(&self, class: Class, input_tokens: u64, terms: &Terms<'_>) -> Option<Rate> {
        let tier = terms.tier.map(str::trim).filter(|tier| !is_standard(tier));
        if tier.is_some_and(|tier| !self.knows_tier(tier)) {
            return None;
        }
        let holds = |rule: &&Rule| {
            rule.above.is_none_or(|above| input_tokens > above)
                && rule
                    .tier
                    .as_ref()
                    .is_none_or(|own| tier.is_some_and(|tier| own.eq_ignore_ascii_case(tier)))
                && rule.hours.is_none_or(|hours| terms.at.is_some_and(|at| hours.contain(at)))
        };
        let of = |class| {
            let ruled = self.rules.iter().rev().filter(holds).find_map(|rule| rule.rates.of(class));
            ruled.or_else(|| self.rates.of(class))
        };
        of(class).or_else(|| of(class.stand_in()?))
    }

    /// A price that tells tiers apart says nothing of one that it does not name; one that tells none holds for all.
    fn knows_tier(&self, tier: &str) -> bool {
        let mut named = self.rules.iter().filter_map(|rule| rule.tier.as_deref()).peekable();
        named.peek().is_none() || named.any(|own| own.eq_ignore_ascii_case(tier))
    }

    /// What a call cost on the standard terms. `None` when it used a class whose price is not known.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> Option<Cost> {
        self.cost_on(usage, &Terms::default())
    }

    /// The same on these terms.
    #[must_use]
    pub fn cost_on(&self, usage: &Usage, terms: &Terms<'_>) -> Option<Cost> {
        let read = usage.input_total();
        let (mut input, mut output) = (Money::ZERO, Money::ZERO);
        for class in Class::ALL {
            let tokens = class.tokens(usage);
            if tokens > 0 {
                let sum = if class.is_input() { &mut input } else { &mut output };
                *sum = sum.plus(self.rate(class, read, terms)?.of(tokens));
            }
        }
        Some(Cost {
            total: input.plus(output),
            input: Some(input),
            output: Some(output),
            usage: usage.source,
            source: self.source.clone(),
            as_of: self.as_of,
        })
    }

    /// What a call of so much text will cost at most, before it is made: all input fresh, output at its dearest.
    #[must_use]
    pub fn estimate(&self, input_tokens: u64, output_tokens: u64) -> Option<Money> {
        let rate = |class| self.rate(class, input_tokens, &Terms::default());
        let output = rate(Class::Output)?.max(rate(Class::Reasoning)?);
        Some(rate(Class::Input)?.of(input_tokens).plus(output.of(output_tokens)))
    }
}

/// The words of vendors for the tier of whoever asks for none.
fn is_standard(tier: &str) -> bool {
    ["", "default", "standard", "standard_only", "auto", "on_demand"]
        .iter()
        .any(|word| word.eq_ignore_ascii_case(tier))
}

/// What a model costs and has cost: the newest price that has begun on a day holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Prices(Vec<Price>);

impl Prices {
    /// Prices with the days they begin on, in any order.
    #[must_use]
    pub fn new(mut prices: Vec<Price>) -> Self {
        prices.sort_by_key(|price| price.from);
        Self(prices)
    }

    /// What holds on a day. `None`: no price has begun.
    #[must_use]
    pub fn on(&self, day: Day) -> Option<&Price> {
        self.0.iter().rev().find(|price| price.from.is_none_or(|from| from <= day))
    }

    /// All of them, the oldest first.
    #[must_use]
    pub fn all(&self) -> &[Price] {
        &self.0
    }

    /// The same prices, with a remark behind where they come from.
    #[must_use]
    pub fn remarked(&self, remark: &str) -> Self {
        let remarked = |price: &Price| Price {
            source: Some(match &price.source {
                Some(source) => format!("{source} ({remark})").into(),
                None => remark.into(),
            }),
            ..price.clone()
        };
        Self(self.0.iter().map(remarked).collect())
    }

    /// What a call cost at this time, in seconds since 1970, in this service tier.
    #[must_use]
    pub fn cost(&self, usage: &Usage, tier: Option<&str>, at: u64) -> Option<Cost> {
        self.on(Day::of_unix(at))?.cost_on(usage, &Terms { tier, at: Some(at) })
    }
}

impl From<Price> for Prices {
    fn from(price: Price) -> Self {
        Self(vec![price])
    }
}

impl Hours {
    fn contain(self, unix: u64) -> bool {
        let (second, is_workday) = time_of_day(unix);
        let minute = second / 60;
        let (from, to) = (u64::from(self.from), u64::from(self.to));
        let inside = if from <= to { (from..to).contains(&minute) } else { minute >= from || minute < to };
        inside && (is_workday || !self.workdays)
    }
}

impl FromStr for Hours {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Self, Invalid> {
        let wrong = || {
            Invalid::new(
                "",
                format!("`{text}` are no hours: write them as 01:00-04:00 or 01:00-04:00 mon-fri"),
            )
        };
        let (span, days) = text.split_once(' ').unwrap_or((text, ""));
        let minutes = |text: &str| {
            let (hour, minute) = text.split_once(':')?;
            let number = |text: &str| {
                let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
                text.parse::<u16>().ok().filter(|_| digits)
            };
            let (hour, minute) = (number(hour)?, number(minute)?);
            Some(hour * 60 + minute).filter(|at| minute < 60 && *at <= 24 * 60)
        };
        let (from, to) = span.split_once('-').ok_or_else(wrong)?;
        let workdays = match days {
            "" => false,
            "mon-fri" => true,
            _ => return Err(wrong()),
        };
        let (from, to) = minutes(from).zip(minutes(to)).ok_or_else(wrong)?;
        Ok(Self { from, to, workdays })
    }
}

impl fmt::Display for Hours {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, workdays } = self;
        write!(f, "{:02}:{:02}-{:02}:{:02}", from / 60, from % 60, to / 60, to % 60)?;
        if *workdays { f.write_str(" mon-fri") } else { Ok(()) }
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

mod json;
#[cfg(test)]
mod tests;
