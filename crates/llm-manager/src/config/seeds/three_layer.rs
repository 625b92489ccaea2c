//! The three-layer services' forms: provider → `models` → name → `{api_key, base_url, …}`, and the older settings'
//! `LLM_MODEL` map from name to model.
//!
//! Both ask the models in the order of the file until one answers: that is the chain `all`, which is the default.

use std::path::Path;

use llm_provider::catalogue;
use llm_types::Error;

use super::carry::{Carry, Row, Unit, model, provider};
use crate::config::reader::{Entry, Section};
use crate::config::schema::{ChainEntry, Config, Located, ModelEntry, ProviderEntry};

/// `max_retries` counts all attempts there.
const TABLE: &[Row] = &[
    ("timeout", "attempt_timeout_secs", Unit::Seconds),
    ("max_retries", "max_retries", Unit::Attempts),
    ("max_concurrent_calls", "max_concurrent_calls", Unit::Count),
];

/// The chain of all models.
const ALL: &str = "all";

pub(super) fn read(mut top: Section, home: Option<&Path>) -> Result<Config, Error> {
    let mut carry = Carry::new(home);
    let mut config = Config::default();
    for entry in top.take_all() {
        let mut found = provider(&entry.key, &entry.place)?;
        let mut section = entry.open()?;
        let Some(models) = section.take_set("models") else {
            return Err(section.place().error(format_args!("[{}] needs models", section.name())));
        };
        for entry in models.open()?.take_all() {
            found.models.push(one(&mut carry, entry)?);
        }
        carry.finish(&mut section);
        config.providers.push(found);
    }
    in_order(&mut config);
    config.warnings = carry.warnings;
    Ok(config)
}

pub(super) fn read_settings(mut top: Section, home: Option<&Path>) -> Result<Config, Error> {
    let mut carry = Carry::new(home);
    let models = match top.take("LLM_MODEL") {
        Some(entry) => {
            let models = entry.open()?.take_all();
            carry.finish(&mut top);
            models
        }
        None => top.take_all(),
    };
    let mut config = Config::default();
    for entry in models {
        let vendor = vendor(&entry.key);
        let place = entry.place.clone();
        let read = one(&mut carry, entry)?;
        match config.providers.iter_mut().find(|provider| provider.name == vendor) {
            Some(known) => known.models.push(read),
            None => config.providers.push(ProviderEntry { models: vec![read], ..provider(vendor, &place)? }),
        }
        // The order of the file is across providers.
        push(&mut config, vendor);
    }
    config.default = default(&config);
    config.warnings = carry.warnings;
    Ok(config)
}

/// Whose model it is: the vendor whose name stands in the model's, else the first of the catalogue, as that client has it.
fn vendor(name: &str) -> &'static str {
    let name = name.to_ascii_lowercase();
    let rows = catalogue::all();
    let named = rows.iter().find(|row| !row.loopback && name.contains(row.name));
    named.or_else(|| rows.iter().find(|row| !row.loopback)).map_or(FIRST, |row| row.name)
}

/// The vendor where the catalogue is empty.
const FIRST: &str = "openai";

fn one(carry: &mut Carry<'_>, entry: Entry) -> Result<ModelEntry, Error> {
    let (name, place) = (entry.key.clone(), entry.place.clone());
    let mut section = entry.open()?;
    let wire = carry.text(&mut section, "model")?;
    let mut read = model(name, wire, &place)?;
    read.base_url = carry.base_url(&mut section)?;
    read.keys = carry.keys(&mut section)?;
    read.settings = carry.settings(&mut section, TABLE)?;
    // It says again what the table around it is called.
    section.take("provider");
    carry.finish(&mut section);
    Ok(read)
}

/// The chain of all models, in the order of the file.
fn in_order(config: &mut Config) {
    let ids: Vec<Located<String>> = config
        .providers
        .iter()
        .flat_map(|provider| {
            provider.models.iter().map(|model| Located {
                value: format!("{}/{}", provider.name, model.name),
                place: model.place.clone(),
            })
        })
        .collect();
    if let Some(first) = ids.first() {
        let place = first.place.clone();
        config.chains.push(ChainEntry::of_models(ALL.to_owned(), place, ids));
    }
    config.default = default(config);
}

/// Puts the provider's last model at the chain's end.
fn push(config: &mut Config, vendor: &str) {
    let provider = config.providers.iter().find(|provider| provider.name == vendor);
    let Some(last) = provider.and_then(|provider| provider.models.last()) else { return };
    let id = Located { value: format!("{vendor}/{}", last.name), place: last.place.clone() };
    match config.chains.first_mut() {
        Some(chain) => chain.models.push(id),
        None => {
            let place = last.place.clone();
            config.chains.push(ChainEntry::of_models(ALL.to_owned(), place, vec![id]));
        }
    }
}

fn default(config: &Config) -> Option<Located<String>> {
    let chain = config.chains.first()?;
    let value = format!("{}/{ALL}", crate::config::schema::CHAIN);
    Some(Located { value, place: chain.place.clone() })
}
