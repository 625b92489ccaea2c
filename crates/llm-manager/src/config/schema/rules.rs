//! `price`, `[budgets.NAME]` and `[limits.NAME]`: what calls cost, and how much of it may be spent.

use std::fmt;

use llm_types::{Class, Error, Money, Price, Rate, Rates, Rule};

use super::values::{Located, count, names};
use crate::config::reader::{Entry, Place, Section};
use crate::config::tree::Value;

/// `[budgets.NAME]`.
#[derive(Debug)]
pub(in crate::config) struct BudgetEntry {
    pub(in crate::config) name: String,
    pub(in crate::config) place: Place,
    pub(in crate::config) max_cost: Option<Money>,
    pub(in crate::config) max_tokens: Option<u64>,
    pub(in crate::config) per: Per,
    /// The models that it is for; all of them when there are none.
    pub(in crate::config) models: Vec<Located<String>>,
}

impl BudgetEntry {
    /// Takes over what the other one allows less of.
    pub(super) fn tighten(&mut self, other: &Self) {
        self.max_cost = self.max_cost.into_iter().chain(other.max_cost).min();
        self.max_tokens = self.max_tokens.into_iter().chain(other.max_tokens).min();
    }
}

/// Whom a budget is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) enum Per {
    /// Each model for itself.
    Client,
    /// All calls of the process together: one batch job, one command.
    Job,
    /// The calls of one value of a tag.
    Tag(String),
}

impl fmt::Display for Per {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client => f.write_str("client"),
            Self::Job => f.write_str("job"),
            Self::Tag(name) => write!(f, "tag:{name}"),
        }
    }
}

/// `[limits.NAME]`, shared by all who name it.
#[derive(Debug)]
pub(in crate::config) struct LimitEntry {
    pub(in crate::config) name: String,
    pub(in crate::config) place: Place,
    pub(in crate::config) max_concurrent_calls: Option<u32>,
    pub(in crate::config) requests_per_minute: Option<u32>,
    pub(in crate::config) requests_burst: Option<u32>,
    pub(in crate::config) tokens_per_minute: Option<u32>,
    pub(in crate::config) tokens_burst: Option<u32>,
}

/// An amount of money, as a number or a text, to the last digit as it was written.
fn money(entry: &Entry) -> Result<Money, Error> {
    let text = match &entry.value {
        Value::Number(text) | Value::Text(text) => text,
        _ => return Err(entry.unlike("an amount of US dollars")),
    };
    text.parse().map_err(|e: llm_types::Invalid| entry.error(e.to_string()))
}

/// `price = { input = 0.15, output = 0.6, … }`, in US dollars for a million tokens.
pub(super) fn price(entry: Entry) -> Result<Price, Error> {
    let place = entry.place.clone();
    let full = entry.full.clone();
    let mut section = entry.open()?;
    let mut rate = |key: &str| {
        let Some(entry) = section.take(key) else { return Ok(None) };
        let rate = Rate::try_from(money(&entry)?).map_err(|e| entry.error(e.to_string()))?;
        Ok::<_, Error>(Some(rate))
    };
    let mut rates = Rates::default();
    for class in Class::ALL {
        rates = rates.with(class, rate(class.as_str())?);
    }
    let rules = section.take("when").map(|entry| conditions(&entry)).transpose()?.unwrap_or_default();
    let price = Price { rates, rules, source: Some(place.to_string().into()), ..Price::default() };
    section.finish(RATES)?;
    if !price.is_known() {
        return Err(place.error(format_args!("{full}: a price has input and output")));
    }
    Ok(price)
}

/// `when = [{ above = 200000, input = 0.3 }, { tier = "flex", input = 0.075 }]`.
fn conditions(entry: &Entry) -> Result<Vec<Rule>, Error> {
    let json = entry.value.to_json().map_err(|e| entry.error(e))?;
    serde_json::from_str(json.get()).map_err(|e| {
        // Where in the text made of the list it is, helps nobody.
        let message = e.to_string();
        entry.error(message.split(" at line ").next().unwrap_or_default())
    })
}

const RATES: &[&str] = &[
    "input",
    "output",
    "cache_read",
    "cache_write_5m",
    "cache_write_1h",
    "reasoning",
    "audio_input",
    "image_input",
    "audio_output",
    "when",
];

fn own_name(entry: &Entry, what: &str) -> Result<String, Error> {
    if entry.key.trim().is_empty() || entry.key.chars().any(char::is_control) {
        return Err(entry.place.error(format_args!("a {what} needs a name, without control characters")));
    }
    Ok(entry.key.clone())
}

pub(super) fn budget(entry: Entry) -> Result<BudgetEntry, Error> {
    let name = own_name(&entry, "budget")?;
    let mut section = entry.open()?;
    let budget = BudgetEntry {
        name,
        place: section.place().clone(),
        max_cost: section.take("max_cost_usd").map(|entry| money(&entry)).transpose()?,
        max_tokens: section.take("max_tokens").map(|entry| tokens(&entry)).transpose()?,
        per: section.take("per").map_or(Ok(Per::Job), |entry| per(&entry))?,
        models: section.take("models").map(names).transpose()?.unwrap_or_default(),
    };
    if budget.max_cost.is_none() && budget.max_tokens.is_none() {
        return Err(nothing_said(&section, "max_cost_usd or max_tokens"));
    }
    section.finish(&["max_cost_usd", "max_tokens", "per", "models"])?;
    Ok(budget)
}

fn nothing_said(section: &Section, wanted: &str) -> Error {
    // A misspelt key is the likelier mistake.
    let unknown: Vec<&str> = section.keys().collect();
    let found =
        if unknown.is_empty() { String::new() } else { format!("; `{}` is not one", unknown.join("`, `")) };
    section.place().error(format_args!("[{}] needs {wanted}{found}", section.name()))
}

fn tokens(entry: &Entry) -> Result<u64, Error> {
    let text = match &entry.value {
        Value::Number(text) => text,
        _ => return Err(entry.unlike("a whole number")),
    };
    text.parse()
        .ok()
        .filter(|n| *n > 0)
        .ok_or_else(|| entry.error(format_args!("`{text}` is not a whole number from 1 up")))
}

fn per(entry: &Entry) -> Result<Per, Error> {
    let text = entry.filled_text()?;
    match text.split_once(':') {
        None if text == "client" => Ok(Per::Client),
        None if text == "job" => Ok(Per::Job),
        Some(("tag", name)) if !name.trim().is_empty() => Ok(Per::Tag(name.trim().to_owned())),
        _ => {
            let hint = crate::nearest::did_you_mean(text, ["client", "job"]).unwrap_or_default();
            Err(entry.error(format_args!("`{text}` is not client, job or tag:NAME{hint}")))
        }
    }
}

pub(super) fn limit(entry: Entry) -> Result<LimitEntry, Error> {
    let name = own_name(&entry, "limit")?;
    let mut section = entry.open()?;
    let mut most = |key: &str| -> Result<Option<(u32, Entry)>, Error> {
        section.take(key).map(|entry| Ok((count(&entry, 1)?, entry))).transpose()
    };
    let calls = most("max_concurrent_calls")?;
    let requests = most("requests_per_minute")?;
    let requests_burst = most("requests_burst")?;
    let tokens = most("tokens_per_minute")?;
    let tokens_burst = most("tokens_burst")?;
    for (burst, rate, wanted) in
        [(&requests_burst, &requests, "requests_per_minute"), (&tokens_burst, &tokens, "tokens_per_minute")]
    {
        if let (Some((_, entry)), None) = (burst, rate) {
            return Err(entry.error(format_args!("it is of no use without {wanted}")));
        }
    }
    if calls.is_none() && requests.is_none() && tokens.is_none() {
        return Err(nothing_said(&section, "max_concurrent_calls, requests_per_minute or tokens_per_minute"));
    }
    let value = |most: Option<(u32, Entry)>| most.map(|(value, _)| value);
    let place = section.place().clone();
    section.finish(&[
        "max_concurrent_calls",
        "requests_per_minute",
        "requests_burst",
        "tokens_per_minute",
        "tokens_burst",
    ])?;
    Ok(LimitEntry {
        name,
        place,
        max_concurrent_calls: value(calls),
        requests_per_minute: value(requests),
        requests_burst: value(requests_burst),
        tokens_per_minute: value(tokens),
        tokens_burst: value(tokens_burst),
    })
}
