//! What the files say, merged, each thing with its place: for those who want to see the configuration rather than use it.

use std::fmt;
use std::path::PathBuf;

use http::HeaderMap;
use llm_provider::KeySupply;
use llm_types::Extra;
use serde_json::{Value, json};

use super::keys::{self, KeyEntry, KeyView};
use super::layers::{Layers, SetBy};
use super::schema::{
    Balance, BudgetEntry, ChainEntry, Config, EndpointEntry, LimitEntry, Located, MemberEntry, ModelEntry,
    PoolEntry, ProviderEntry, Setting,
};
use crate::Strategy;

/// A value and where it comes from: `FILE:LINE`, a variable, or `built-in`.
#[derive(Clone, Debug, PartialEq)]
pub struct Said {
    /// What is said.
    pub key: String,
    /// The value.
    pub value: Value,
    /// Who says it.
    pub origin: String,
}

/// The files' word, merged.
#[derive(Clone, Debug, Default)]
pub struct Outline {
    /// The user's own list of prices.
    pub prices: Option<Said>,
    /// Names that stand for others, by name.
    pub aliases: Vec<Said>,
    /// The providers that are configured, in their order.
    pub providers: Vec<ProviderOutline>,
    /// Endpoints and models behind one name, in their order.
    pub pools: Vec<Table>,
    /// Models to be asked one after another, in their order.
    pub chains: Vec<Table>,
    /// What may be spent.
    pub budgets: Vec<Table>,
    /// Rates that several share.
    pub limits: Vec<Table>,
}

/// A table of a file: its name, its place, and what it says.
#[derive(Clone, Debug)]
pub struct Table {
    /// Its name, as its kind has it.
    pub name: String,
    /// Where it begins.
    pub origin: String,
    /// What it says, but for addresses, keys and the settings of a client.
    pub says: Vec<Said>,
}

/// `[providers.NAME]`.
#[derive(Clone, Debug)]
pub struct ProviderOutline {
    /// Its name and what it says.
    pub table: Table,
    /// Where it is.
    pub place: PlaceOutline,
    /// In place of one address.
    pub endpoints: Vec<PlaceOutline>,
    /// Its models, in their order.
    pub models: Vec<ModelOutline>,
}

/// `[providers.NAME.models."NAME"]`.
#[derive(Clone, Debug)]
pub struct ModelOutline {
    /// Its name and what it says.
    pub table: Table,
    /// The name on the wire, where it differs.
    pub wire: Option<String>,
    /// Where it is, if not where its provider is.
    pub place: PlaceOutline,
    /// In place of one address.
    pub endpoints: Vec<PlaceOutline>,
}

/// Where requests go, and with what.
#[derive(Clone, Debug)]
pub struct PlaceOutline {
    /// Where it stands.
    pub origin: String,
    /// The address.
    pub base_url: Option<Said>,
    /// The format on the wire.
    pub dialect: Option<Said>,
    /// Its keys; an empty list says that none are sent.
    pub keys: Option<Vec<KeyView>>,
    /// What else an endpoint says.
    pub says: Vec<Said>,
    /// The keys, to be read one by one.
    pub(super) supplies: Vec<KeySupply>,
}

/// Makes an outline.
pub(super) struct Reader<'a> {
    pub(super) layers: &'a Layers,
    pub(super) env: &'a dyn Fn(&str) -> Option<String>,
}

fn said(key: &str, value: impl Into<Value>, origin: impl fmt::Display) -> Said {
    Said { key: key.to_owned(), value: value.into(), origin: origin.to_string() }
}

fn values(located: &[Located<String>]) -> Value {
    located.iter().map(|name| Value::from(name.value.as_str())).collect()
}

/// A number as a number.
fn value(text: &str) -> Value {
    match text {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => match serde_json::from_str::<serde_json::Number>(text) {
            Ok(number) => Value::Number(number),
            Err(_) => Value::from(text),
        },
    }
}

impl Reader<'_> {
    pub(super) fn outline(&self, config: &Config) -> Outline {
        let mut aliases: Vec<Said> = config
            .aliases
            .iter()
            .map(|alias| said(&alias.name, alias.target.as_str(), &alias.place))
            .collect();
        aliases.sort_by(|one, other| one.key.cmp(&other.key));
        let list = |file: &Located<PathBuf>| said("prices", file.value.display().to_string(), &file.place);
        Outline {
            prices: config.prices.as_ref().map(list),
            aliases,
            providers: config.providers.iter().map(|entry| self.provider(entry)).collect(),
            pools: config.pools.iter().map(|entry| self.pool(entry)).collect(),
            chains: config.chains.iter().map(|entry| self.chain(entry)).collect(),
            budgets: config.budgets.iter().map(budget).collect(),
            limits: config.limits.iter().map(limit).collect(),
        }
    }

    fn provider(&self, entry: &ProviderEntry) -> ProviderOutline {
        let mut says = self.balance(&entry.balance, entry.endpoints.len(), &entry.place);
        says.extend(headers(&entry.headers, &entry.place));
        says.extend(entry.limit.as_ref().map(|limit| said("limit", limit.value.as_str(), &limit.place)));
        ProviderOutline {
            table: Table { name: entry.name.clone(), origin: entry.place.to_string(), says },
            place: self.place(
                &entry.name,
                &entry.place,
                entry.base_url.as_ref(),
                entry.dialect.as_ref(),
                entry.keys.as_ref(),
            ),
            endpoints: entry.endpoints.iter().map(|endpoint| self.endpoint(&entry.name, endpoint)).collect(),
            models: entry.models.iter().map(|model| self.model(&entry.name, model)).collect(),
        }
    }

    fn model(&self, provider: &str, entry: &ModelEntry) -> ModelOutline {
        let mut says = self.balance(&entry.balance, entry.endpoints.len(), &entry.place);
        says.extend(extra(&entry.extra, &entry.place));
        says.extend(headers(&entry.headers, &entry.place));
        let price = entry.price.as_ref().and_then(|price| serde_json::to_value(price).ok());
        says.extend(price.map(|price| said("price", price, &entry.place)));
        says.extend(entry.limit.as_ref().map(|limit| said("limit", limit.value.as_str(), &limit.place)));
        ModelOutline {
            table: Table { name: entry.name.clone(), origin: entry.place.to_string(), says },
            wire: entry.model.clone(),
            place: self.place(
                provider,
                &entry.place,
                entry.base_url.as_ref(),
                entry.dialect.as_ref(),
                entry.keys.as_ref(),
            ),
            endpoints: entry.endpoints.iter().map(|endpoint| self.endpoint(provider, endpoint)).collect(),
        }
    }

    fn place(
        &self,
        provider: &str,
        place: &impl fmt::Display,
        base_url: Option<&Located<String>>,
        dialect: Option<&Located<llm_client::dialect::Dialect>>,
        keys: Option<&Vec<KeyEntry>>,
    ) -> PlaceOutline {
        PlaceOutline {
            origin: place.to_string(),
            base_url: base_url.map(|url| said("base_url", url.value.as_str(), &url.place)),
            dialect: dialect.map(|dialect| said("dialect", dialect.value.as_str(), &dialect.place)),
            keys: keys.map(|keys| keys.iter().map(|key| KeyView::of(key, self.env)).collect()),
            says: Vec::new(),
            supplies: keys
                .into_iter()
                .flatten()
                .map(|key| keys::supply(provider, vec![key.clone()], self.env))
                .collect(),
        }
    }

    fn endpoint(&self, provider: &str, entry: &EndpointEntry) -> PlaceOutline {
        let mut says: Vec<Said> =
            entry.model.iter().map(|model| said("model", model.as_str(), &entry.place)).collect();
        for (key, number, usual) in [("weight", entry.weight, 1), ("priority", entry.priority, 0)] {
            says.extend((number != usual).then(|| said(key, number, &entry.place)));
        }
        says.extend(self.settings(&entry.settings, |_| true));
        says.extend(extra(&entry.extra, &entry.place));
        says.extend(headers(&entry.headers, &entry.place));
        says.extend(entry.limit.as_ref().map(|limit| said("limit", limit.value.as_str(), &limit.place)));
        let (url, dialect, keys) = (&entry.base_url, entry.dialect.as_ref(), entry.keys.as_ref());
        PlaceOutline { says, ..self.place(provider, &entry.place, Some(url), dialect, keys) }
    }

    /// How calls are shared, where there is something to share between.
    fn balance(&self, balance: &Balance, endpoints: usize, place: &impl fmt::Display) -> Vec<Said> {
        if endpoints < 2 {
            return Vec::new();
        }
        let mut says = choice(balance, place);
        let whole = self.settings(&balance.settings, |key| !is_cap(key));
        says.extend(whole.into_iter().map(|fact| Said { key: format!("pool.{}", fact.key), ..fact }));
        says
    }

    /// Settings that stand here, unless a word from outside goes before them.
    fn settings(&self, own: &[Setting], may_be_outside: impl Fn(&str) -> bool) -> Vec<Said> {
        own.iter()
            .map(|setting| {
                let outside = self.layers.above.iter().rev().find(|set| set.key == setting.key);
                match outside.filter(|_| may_be_outside(setting.key)) {
                    Some(SetBy { key, value: text, origin }) => said(key, value(text), origin),
                    None => said(setting.key, value(&setting.value), &setting.place),
                }
            })
            .collect()
    }

    fn pool(&self, entry: &PoolEntry) -> Table {
        let members: Value = entry.members.iter().map(member).collect();
        let mut says = vec![said("members", members, &entry.place)];
        says.extend(choice(&entry.balance, &entry.place));
        says.extend(self.settings(&entry.balance.settings, |key| !is_cap(key)));
        Table { name: entry.name.clone(), origin: entry.place.to_string(), says }
    }

    fn chain(&self, entry: &ChainEntry) -> Table {
        let mut says = vec![said("models", values(&entry.models), &entry.place)];
        for (cause, models) in &entry.on {
            let place = models.first().map_or(&entry.place, |model| &model.place);
            says.push(said(&format!("on.{}", cause.as_str()), values(models), place));
        }
        says.extend(self.settings(&entry.settings, |key| !is_cap(key)));
        Table { name: entry.name.clone(), origin: entry.place.to_string(), says }
    }
}

/// A cap that stands at a whole is the whole's, whatever is said of each.
fn is_cap(key: &str) -> bool {
    ["max_concurrent_calls", "requests_per_minute", "tokens_per_minute"].contains(&key)
}

fn choice(balance: &Balance, place: &impl fmt::Display) -> Vec<Said> {
    let built_in = "built-in".to_owned();
    let strategy = match &balance.strategy {
        Some(strategy) => said("strategy", strategy.value.as_str(), &strategy.place),
        None => said("strategy", Strategy::default().as_str(), &built_in),
    };
    let told = if balance.fallback { built_in } else { place.to_string() };
    vec![strategy, said("fallback", balance.fallback, told)]
}

fn member(entry: &MemberEntry) -> Value {
    let mut says = json!({ "model": entry.model.value });
    let caps = [
        ("weight", Some(entry.weight).filter(|weight| *weight != 1)),
        ("priority", Some(entry.priority).filter(|priority| *priority != 0)),
        ("max_concurrent_calls", entry.max_concurrent_calls),
        ("requests_per_minute", entry.requests_per_minute),
        ("tokens_per_minute", entry.tokens_per_minute),
    ];
    let caps: Vec<(&str, u32)> = caps.into_iter().filter_map(|(key, most)| Some((key, most?))).collect();
    if caps.is_empty() {
        return Value::from(entry.model.value.as_str());
    }
    if let Some(members) = says.as_object_mut() {
        members.extend(caps.into_iter().map(|(key, most)| (key.to_owned(), Value::from(most))));
    }
    says
}

fn extra(extra: &Extra, place: &impl fmt::Display) -> Option<Said> {
    let value = serde_json::to_value(extra).ok().filter(|_| !extra.is_empty())?;
    Some(said("extra", value, place))
}

/// Headers by their names: their values may be secrets.
fn headers(headers: &HeaderMap, place: &impl fmt::Display) -> Option<Said> {
    let names: Value = headers.keys().map(|name| Value::from(name.as_str())).collect();
    (!headers.is_empty()).then(|| said("headers", names, place))
}

fn budget(entry: &BudgetEntry) -> Table {
    let mut says = Vec::new();
    says.extend(
        entry
            .max_cost
            .map(|most| said("max_cost_usd", serde_json::to_value(most).unwrap_or_default(), &entry.place)),
    );
    says.extend(entry.max_tokens.map(|most| said("max_tokens", most, &entry.place)));
    says.push(said("per", entry.per.to_string(), &entry.place));
    if !entry.models.is_empty() {
        says.push(said("models", values(&entry.models), &entry.place));
    }
    Table { name: entry.name.clone(), origin: entry.place.to_string(), says }
}

fn limit(entry: &LimitEntry) -> Table {
    let says = [
        ("max_concurrent_calls", entry.max_concurrent_calls),
        ("requests_per_minute", entry.requests_per_minute),
        ("requests_burst", entry.requests_burst),
        ("tokens_per_minute", entry.tokens_per_minute),
        ("tokens_burst", entry.tokens_burst),
    ];
    let says = says.into_iter().filter_map(|(key, most)| Some(said(key, most?, &entry.place))).collect();
    Table { name: entry.name.clone(), origin: entry.place.to_string(), says }
}
