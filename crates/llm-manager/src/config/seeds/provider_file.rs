//! `provider.json`: provider → name → `{api_keys, base_url, model, …}` as its guide has it, or provider → list of
//! `{model_name, api_keys, base_url, …}` as its code wants it. The result is looked up by provider and name.

use std::path::Path;

use llm_types::Error;

use super::carry::{Carry, Row, Unit, model, provider};
use crate::config::reader::Section;
use crate::config::schema::{Config, ModelEntry, Setting};
use crate::config::tree::Value;

/// `max_retries` counts all attempts there; a bucket of `rate_limit_capacity` takes in `rate_limit_refill_rate` each second.
const TABLE: &[Row] = &[
    ("max_retries", "max_retries", Unit::Attempts),
    ("retry_delay", "backoff_base_ms", Unit::SecondsToMillis),
    ("rate_limit_refill_rate", "requests_per_minute", Unit::PerSecond),
    ("rate_limit_capacity", "requests_burst", Unit::Count),
    ("timeout", "attempt_timeout_secs", Unit::Seconds),
];

pub(super) fn read(mut top: Section, home: Option<&Path>) -> Result<Config, Error> {
    let mut carry = Carry::new(home);
    let mut config = Config::default();
    for entry in top.take_all() {
        let mut found = provider(&entry.key, &entry.place)?;
        let is_list = matches!(entry.value, Value::List(_));
        let models = if is_list { entry.items()? } else { entry.open()?.take_all() };
        for item in models {
            let key = item.key.clone();
            let section = item.open()?;
            let read = one(&mut carry, (!is_list).then_some(key), section)?;
            if let Some(first) = found.models.iter().find(|known| known.name == read.name) {
                return Err(read.place.error(format_args!(
                    "{}/{} stands here already, at {}",
                    found.name, read.name, first.place
                )));
            }
            found.models.push(read);
        }
        config.providers.push(found);
    }
    config.warnings = carry.warnings;
    Ok(config)
}

fn one(carry: &mut Carry<'_>, key: Option<String>, mut section: Section) -> Result<ModelEntry, Error> {
    let place = section.place().clone();
    let wire = match carry.text(&mut section, "model_name")? {
        Some(wire) => Some(wire),
        None => carry.text(&mut section, "model")?,
    };
    let name = match (key, &wire) {
        (Some(key), _) => key,
        (None, Some(wire)) => wire.clone(),
        (None, None) => return Err(place.error(format_args!("{} needs a model_name", section.name()))),
    };
    let mut read = model(name, wire, &place)?;
    read.base_url = carry.base_url(&mut section)?;
    read.keys = carry.keys(&mut section)?;
    let capacity = section.peek("rate_limit_capacity").cloned();
    let mut settings = carry.settings(&mut section, TABLE)?;
    let of = |settings: &[Setting], key: &str| settings.iter().find(|set| set.key == key).cloned();
    if let Some(delay) = of(&settings, "backoff_base_ms") {
        // It waits the same each time.
        settings.push(Setting { key: "backoff_cap_ms", ..delay });
    }
    if let (Some(capacity), None) = (capacity, of(&settings, "requests_per_minute")) {
        // One a second is what that client fills in.
        settings.push(Setting { key: "requests_per_minute", value: "60".into(), place: capacity.place });
    }
    read.settings = settings;
    if let Some(entry) = section.take_set("context_window") {
        carry.lost(&entry, "how much a model reads is not configured here; it has no effect");
    }
    carry.finish(&mut section);
    Ok(read)
}
