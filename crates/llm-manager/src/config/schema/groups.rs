//! `[pools.NAME]` and `[chains.NAME]`: many behind one name.

use std::path::Path;

use llm_types::Error;

use super::values::{Located, Setting, count, named, names, setting, some_settings_of, word};
use super::{CHAIN, POOL};
use crate::config::reader::{Entry, Place, Section};
use crate::config::tree::Value;
use crate::{Cause, Strategy, names as naming};

/// How calls are shared between endpoints or members.
#[derive(Debug)]
pub(in crate::config) struct Balance {
    pub(in crate::config) strategy: Option<Located<Strategy>>,
    /// Whether a call that fails at one goes on to another.
    pub(in crate::config) fallback: bool,
    /// Caps over all of them together, and what steers the retries of the whole.
    pub(in crate::config) settings: Vec<Setting>,
}

impl Default for Balance {
    fn default() -> Self {
        Self { strategy: None, fallback: true, settings: Vec::new() }
    }
}

/// `[pools.NAME]`.
#[derive(Debug)]
pub(in crate::config) struct PoolEntry {
    pub(in crate::config) name: String,
    pub(in crate::config) place: Place,
    pub(in crate::config) members: Vec<MemberEntry>,
    pub(in crate::config) balance: Balance,
}

/// One of `members`: a name, or a table that says more.
#[derive(Debug)]
pub(in crate::config) struct MemberEntry {
    pub(in crate::config) model: Located<String>,
    pub(in crate::config) weight: u32,
    pub(in crate::config) priority: u32,
    pub(in crate::config) max_concurrent_calls: Option<u32>,
    pub(in crate::config) requests_per_minute: Option<u32>,
    pub(in crate::config) tokens_per_minute: Option<u32>,
}

/// `[chains.NAME]`.
#[derive(Debug)]
pub(in crate::config) struct ChainEntry {
    pub(in crate::config) name: String,
    pub(in crate::config) place: Place,
    pub(in crate::config) models: Vec<Located<String>>,
    pub(in crate::config) on: Vec<(Cause, Vec<Located<String>>)>,
    pub(in crate::config) settings: Vec<Setting>,
}

impl ChainEntry {
    /// Models in their order, and nothing else.
    pub(in crate::config) fn of_models(name: String, place: Place, models: Vec<Located<String>>) -> Self {
        Self { name, place, models, on: Vec::new(), settings: Vec::new() }
    }
}

/// What can be said of a whole: its own caps, and how it tries again. Everything else belongs to the members.
const WHOLE: &[&str] = &[
    "max_concurrent_calls",
    "requests_per_minute",
    "tokens_per_minute",
    "max_retries",
    "backoff_base_ms",
    "backoff_cap_ms",
    "retry_after_cap_secs",
    "deadline_secs",
];
/// The same of a chain, which has no caps of its own.
const CHAIN_SETTINGS: &[&str] =
    &["max_retries", "backoff_base_ms", "backoff_cap_ms", "retry_after_cap_secs", "deadline_secs"];

/// `strategy`, `fallback` and `pool` beside `endpoints`.
pub(super) fn balance(
    section: &mut Section,
    endpoints: usize,
    home: Option<&Path>,
) -> Result<Balance, Error> {
    for key in ["strategy", "fallback", "pool"] {
        if let (0, Some(entry)) = (endpoints, section.peek(key)) {
            return Err(entry.error("this is about several endpoints, and there is no `endpoints` beside it"));
        }
    }
    let mut balance = choice(section)?;
    if let Some(entry) = section.take("pool") {
        let mut pool = entry.open()?;
        balance.settings = whole(&mut pool, home)?;
        pool.finish(WHOLE)?;
    }
    Ok(balance)
}

fn choice(section: &mut Section) -> Result<Balance, Error> {
    let strategy = section
        .take("strategy")
        .map(|entry| word(&entry, "a strategy", &Strategy::ALL, Strategy::as_str))
        .transpose()?;
    let fallback = section.take("fallback").map_or(Ok(true), |entry| entry.switch())?;
    Ok(Balance { strategy, fallback, settings: Vec::new() })
}

fn whole(section: &mut Section, home: Option<&Path>) -> Result<Vec<Setting>, Error> {
    some_settings_of(section, home, |key| WHOLE.contains(&key))
}

/// A pool's or chain's own name.
fn own_name(entry: &Entry, what: &str) -> Result<String, Error> {
    naming::check_provider(&entry.key).map_err(|_| {
        let key = &entry.key;
        entry.place.error(format_args!(
            "{key:?} cannot name a {what}: a name has no `/`, no `:` and no space, and is not empty"
        ))
    })?;
    Ok(entry.key.clone())
}

pub(super) fn pool(entry: Entry, home: Option<&Path>) -> Result<PoolEntry, Error> {
    let name = own_name(&entry, POOL)?;
    let mut section = entry.open()?;
    let Some(list) = section.take("members") else {
        return Err(section
            .place()
            .error(format_args!("[{}] needs members: a list of models", section.name())));
    };
    let members = members(list)?;
    let mut balance = choice(&mut section)?;
    balance.settings = whole(&mut section, home)?;
    let place = section.place().clone();
    let known: Vec<&str> = ["members", "strategy", "fallback"].iter().chain(WHOLE).copied().collect();
    section.finish(&known)?;
    for (key, own) in CAPS {
        let whole = setting(&balance.settings, key).and_then(|whole| whole.value.parse::<u32>().ok());
        let above = |member: &&MemberEntry| own(member) > whole;
        if let (Some(whole), Some(member)) = (whole, members.iter().find(above)) {
            let (name, most) = (&member.model.value, own(member).unwrap_or_default());
            return Err(member.model.place.error(format_args!(
                "`{name}` has {key} = {most}, which the whole pool's {whole} never lets it reach"
            )));
        }
    }
    Ok(PoolEntry { name, place, members, balance })
}

/// A member's own cap.
type Cap = fn(&MemberEntry) -> Option<u32>;

/// The caps that members and the whole may both have.
const CAPS: [(&str, Cap); 3] = [
    ("max_concurrent_calls", |member| member.max_concurrent_calls),
    ("requests_per_minute", |member| member.requests_per_minute),
    ("tokens_per_minute", |member| member.tokens_per_minute),
];

fn members(list: Entry) -> Result<Vec<MemberEntry>, Error> {
    let (place, full) = (list.place.clone(), list.full.clone());
    let mut members: Vec<MemberEntry> = Vec::new();
    for item in list.items()? {
        let member = member(item)?;
        if members.iter().any(|other| other.model.value == member.model.value) {
            let name = &member.model.value;
            return Err(member.model.place.error(format_args!("{full}: `{name}` stands here a second time")));
        }
        members.push(member);
    }
    if members.is_empty() {
        return Err(place.error(format_args!("{full}: the list is empty")));
    }
    Ok(members)
}

fn member(item: Entry) -> Result<MemberEntry, Error> {
    let of = |model| MemberEntry {
        model,
        weight: 1,
        priority: 0,
        max_concurrent_calls: None,
        requests_per_minute: None,
        tokens_per_minute: None,
    };
    if let Value::Text(_) = item.value {
        return Ok(of(named(&item)?));
    }
    let full = item.full.clone();
    let mut table = item.open()?;
    let Some(model) = table.take("model") else {
        return Err(table.place().error(format_args!("{full} needs a model")));
    };
    let mut most = |key: &str| table.take(key).map(|entry| count(&entry, 1)).transpose();
    let mut member = MemberEntry {
        max_concurrent_calls: most("max_concurrent_calls")?,
        requests_per_minute: most("requests_per_minute")?,
        tokens_per_minute: most("tokens_per_minute")?,
        ..of(named(&model)?)
    };
    member.weight = table.take("weight").map_or(Ok(1), |entry| weight(&entry))?;
    member.priority = table.take("priority").map_or(Ok(0), |entry| count(&entry, 0))?;
    table.finish(&[
        "model",
        "weight",
        "priority",
        "max_concurrent_calls",
        "requests_per_minute",
        "tokens_per_minute",
    ])?;
    Ok(member)
}

/// A share of the calls.
pub(super) fn weight(entry: &Entry) -> Result<u32, Error> {
    match &entry.value {
        Value::Number(n) => n.parse::<u32>().ok().filter(|n| *n > 0),
        _ => None,
    }
    .ok_or_else(|| entry.error("a weight is a whole number from 1 up"))
}

pub(super) fn chain(entry: Entry, home: Option<&Path>) -> Result<ChainEntry, Error> {
    let name = own_name(&entry, CHAIN)?;
    let mut section = entry.open()?;
    let Some(list) = section.take("models") else {
        return Err(section
            .place()
            .error(format_args!("[{}] needs models: a list, the first one first", section.name())));
    };
    let models = names(list)?;
    for (at, model) in models.iter().enumerate() {
        if models.iter().take(at).any(|other| other.value == model.value) {
            return Err(model.place.error(format_args!(
                "{}.models: `{}` stands here a second time",
                section.name(),
                model.value
            )));
        }
    }
    let mut on = Vec::new();
    if let Some(entry) = section.take("on") {
        for entry in entry.open()?.take_all() {
            on.push((cause(&entry)?, names(entry)?));
        }
    }
    let settings = some_settings_of(&mut section, home, |key| CHAIN_SETTINGS.contains(&key))?;
    let place = section.place().clone();
    let known: Vec<&str> = ["models", "on"].iter().chain(CHAIN_SETTINGS).copied().collect();
    section.finish(&known)?;
    Ok(ChainEntry { name, place, models, on, settings })
}

fn cause(entry: &Entry) -> Result<Cause, Error> {
    Cause::ALL.iter().copied().find(|cause| cause.as_str() == entry.key).ok_or_else(|| {
        let known: Vec<&str> = Cause::ALL.iter().map(|cause| cause.as_str()).collect();
        let hint = crate::nearest::did_you_mean(&entry.key, known.iter().copied())
            .unwrap_or_else(|| format!("; allowed are {}", known.join(", ")));
        entry.place.error(format_args!("`{}` is not a cause{hint}", entry.key))
    })
}
