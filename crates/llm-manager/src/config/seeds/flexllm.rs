//! `flexllm_config.yaml`: `default`, `models` with their endpoints, `batch`.
//!
//! A model is asked for by its `name` or its `id`; the `id` goes on the wire. Keys of a model that we do not know go to the
//! API as they are, as that tool does it, with a warning.

use std::path::Path;

use llm_client::dialect::Dialect;
use llm_types::Error;

use super::carry::{Carry, Row, Unit, model, provider};
use crate::config::reader::{Entry, Section};
use crate::config::schema::{Alias, Config, EndpointEntry, Located, ModelEntry, Setting};
use crate::config::tree::Value;

/// The provider's name.
const NAME: &str = "flexllm";
/// The model that stands for the endpoints of `batch`.
const BATCH: &str = "batch";

/// `retry_times` counts all attempts there.
const CALLS: &[Row] = &[
    ("timeout", "attempt_timeout_secs", Unit::Seconds),
    ("retry_times", "max_retries", Unit::Attempts),
    ("retry_delay", "backoff_base_ms", Unit::SecondsToMillis),
    ("concurrency", "max_concurrent_calls", Unit::Count),
    ("max_qps", "requests_per_minute", Unit::PerSecond),
];
const MODEL: &[Row] = &[
    ("timeout", "attempt_timeout_secs", Unit::Seconds),
    ("retry_times", "max_retries", Unit::Attempts),
    ("retry_delay", "backoff_base_ms", Unit::SecondsToMillis),
    ("concurrency_limit", "max_concurrent_calls", Unit::Count),
    ("max_qps", "requests_per_minute", Unit::PerSecond),
    ("proxy", "proxy", Unit::Text),
    ("failure_threshold", "failure_threshold", Unit::Count),
    ("recovery_time", "recovery_time_secs", Unit::Seconds),
];
/// Over all endpoints together.
const WHOLE: &[Row] = &[
    ("total_concurrency", "max_concurrent_calls", Unit::Count),
    ("total_concurrency_limit", "max_concurrent_calls", Unit::Count),
    ("total_max_qps", "requests_per_minute", Unit::PerSecond),
];

pub(super) fn read(mut top: Section, home: Option<&Path>) -> Result<Config, Error> {
    let mut carry = Carry::new(home);
    let mut config = Config::default();
    let mut found = provider(NAME, top.place())?;
    let mut ids: Vec<Located<String>> = Vec::new();
    if let Some(list) = top.take_set("models") {
        for item in list.items()? {
            if let Some((read, id)) = one(&mut carry, item)? {
                if let Some(first) = found.models.iter().find(|known| known.name == read.name) {
                    return Err(read.place.error(format_args!(
                        "the model `{}` stands here already, at {}",
                        read.name, first.place
                    )));
                }
                ids.push(id);
                found.models.push(read);
            }
        }
    }
    if let Some(entry) = top.take_set("default") {
        config.default = Some(Located { value: entry.filled_text()?.to_owned(), place: entry.place.clone() });
    }
    if let (None, Some(first)) = (&config.default, found.models.first()) {
        config.default =
            Some(Located { value: format!("{NAME}/{}", first.name), place: first.place.clone() });
    }
    if let Some(batch) = top.take_set("batch") {
        batch_of(&mut carry, batch.open()?, &mut config, &mut found.models)?;
    }
    prompts(&mut carry, &mut top);
    carry.finish(&mut top);
    for id in ids {
        let taken = |name: &String| found.models.iter().any(|model| model.name == *name);
        let known = config.aliases.iter().any(|alias| alias.name == id.value);
        if let (false, false, Some(model)) = (
            taken(&id.value),
            known,
            found.models.iter().find(|model| model.model.as_ref() == Some(&id.value)),
        ) {
            let target = format!("{NAME}/{}", model.name);
            config.aliases.push(Alias { name: id.value, target, place: id.place });
        }
    }
    config.providers.push(found);
    config.warnings = carry.warnings;
    Ok(config)
}

/// One of `models`, with its id; `None` for one that this version cannot serve, which is told.
fn one(carry: &mut Carry<'_>, item: Entry) -> Result<Option<(ModelEntry, Located<String>)>, Error> {
    let entry = item.clone();
    let mut section = item.open()?;
    let place = section.place().clone();
    let id = section.take_set("id").filter(|entry| entry.value != Value::Text(String::new()));
    let id = id.map(|entry| entry.filled_text().map(str::to_owned)).transpose()?;
    let name = carry.text(&mut section, "name")?;
    let Some(wire) = id.clone().or_else(|| name.clone()) else {
        carry.lost(&entry, "it has no id, so that the server would choose the model; it is left out");
        return Ok(None);
    };
    if id.is_none() {
        carry.lost(
            &entry,
            "it has no id, so that the server would choose the model; here it is asked for by its name",
        );
    }
    let mut read = model(name.unwrap_or_else(|| wire.clone()), Some(wire.clone()), &place)?;
    let Some(dialect) = dialect(carry, &mut section)? else { return Ok(None) };
    read.dialect = dialect;
    read.keys = carry.keys(&mut section)?;
    read.settings = carry.settings(&mut section, MODEL)?;
    prompts(carry, &mut section);
    if let Some(list) = section.take_set("endpoints") {
        if section.has("base_url") {
            return Err(list.error("give base_url or endpoints, not both"));
        }
        read.endpoints = endpoints(carry, list)?;
        read.balance.settings = carry.settings(&mut section, WHOLE)?;
        read.balance.fallback = section.take_set("fallback").map_or(Ok(true), |entry| entry.switch())?;
    } else {
        read.base_url = carry.base_url(&mut section)?;
        section.take("fallback");
        if read.base_url.is_none() {
            return Err(place.error(format_args!("{} needs base_url or endpoints", section.name())));
        }
    }
    for entry in section.take_all().into_iter().filter(|entry| !entry.is_null()) {
        let value = entry.value.to_json().map_err(|why| entry.error(why))?;
        read.extra.insert(&entry.key, value);
        carry.lost(&entry, "it is not known here and goes to the API as it stands");
    }
    Ok(Some((read, Located { value: wire, place })))
}

/// `provider`: whose format it is. `None` for one that is not spoken, which is told.
fn dialect(carry: &mut Carry<'_>, section: &mut Section) -> Result<Option<Option<Located<Dialect>>>, Error> {
    let Some(entry) = section.take_set("provider") else { return Ok(Some(None)) };
    let name = match entry.filled_text()? {
        "auto" => return Ok(Some(None)),
        "openai" => "openai_chat",
        "claude" => "anthropic",
        other => other,
    };
    match Dialect::parse(name) {
        Some(value) => Ok(Some(Some(Located { value, place: entry.place.clone() }))),
        None => {
            carry.lost(&entry, "this version does not speak that provider's format; the model is left out");
            Ok(None)
        }
    }
}

fn endpoints(carry: &mut Carry<'_>, list: Entry) -> Result<Vec<EndpointEntry>, Error> {
    let (place, full) = (list.place.clone(), list.full.clone());
    let mut endpoints = Vec::new();
    for item in list.items()? {
        let full = item.full.clone();
        let mut section = item.open()?;
        let Some(base_url) = carry.base_url(&mut section)? else {
            return Err(section.place().error(format_args!("{full} needs a base_url")));
        };
        let mut endpoint = EndpointEntry::new(section.place().clone(), base_url);
        endpoint.keys = carry.keys(&mut section)?;
        endpoint.model = match carry.text(&mut section, "model")? {
            Some(wire) => Some(wire),
            None => carry.text(&mut section, "id")?,
        };
        if let Some(entry) = section.take_set("weight") {
            endpoint.weight = weight(&entry)?;
        }
        let Some(dialect) = dialect(carry, &mut section)? else { continue };
        endpoint.dialect = dialect;
        endpoint.settings = carry.settings(&mut section, MODEL)?;
        if let Some(extra) = section.take_set("extra") {
            // There it holds options of the client.
            let mut extra = extra.open()?;
            endpoint.settings.extend(carry.settings(&mut extra, MODEL)?);
            carry.finish(&mut extra);
        }
        carry.finish(&mut section);
        endpoints.push(endpoint);
    }
    if endpoints.is_empty() {
        return Err(place.error(format_args!("{full}: no endpoint is left")));
    }
    Ok(endpoints)
}

/// A share that may have a fraction there.
fn weight(entry: &Entry) -> Result<u32, Error> {
    let text = Unit::Count.convert(entry)?;
    text.parse().ok().filter(|n| *n > 0).ok_or_else(|| entry.error("a weight is a whole number from 1 up"))
}

/// What belongs to prompts and not to models here.
fn prompts(carry: &mut Carry<'_>, section: &mut Section) {
    for (key, why) in [
        ("system", "give it with -s; it has no effect here"),
        ("user_template", "it has no effect here"),
        ("vision", "it has no effect here: images go to every model"),
        ("video", "it has no effect here"),
        ("missing_local_media", "it has no effect here"),
    ] {
        if let Some(entry) = section.take_set(key) {
            carry.lost(&entry, why);
        }
    }
    for entry in section.take_where(|key| key.starts_with("reasoning")) {
        carry.lost(&entry, "ask for it with --thinking; it has no effect here");
    }
}

/// `batch`: what it says of calls holds for all of them here; what it says of the run is the command line's business.
fn batch_of(
    carry: &mut Carry<'_>,
    mut batch: Section,
    config: &mut Config,
    models: &mut Vec<ModelEntry>,
) -> Result<(), Error> {
    config.settings = carry.settings(&mut batch, CALLS)?;
    let whole: Vec<Setting> = carry.settings(&mut batch, WHOLE)?;
    let fallback = batch.take_set("fallback").map_or(Ok(true), |entry| entry.switch())?;
    if let Some(entry) = batch.take_set("model") {
        carry.lost(&entry, "name it with -m; it has no effect here");
    }
    if let Some(list) = batch.take_set("endpoints") {
        let place = list.place.clone();
        carry.lost(&list, "they are the model `batch` here: name it with -m batch");
        let mut all = model(BATCH.to_owned(), None, &place)?;
        all.endpoints = endpoints(carry, list)?;
        all.balance.fallback = fallback;
        all.balance.settings = whole;
        models.push(all);
    } else if let Some(setting) = whole.first() {
        carry.warnings.push(format!(
            "{}: batch: a cap over all endpoints without endpoints has no effect",
            setting.place
        ));
    }
    for entry in batch.take_all().into_iter().filter(|entry| !entry.is_null()) {
        let why = match entry.key.as_str() {
            "cache" | "cache_ttl" => "answers are not cached in this version",
            "flush_interval" => "every answer is written when it comes",
            "return_usage" | "track_cost" => "usage is always kept",
            "preprocess_msg" => "it has no effect here",
            _ => "it is not known and has no effect",
        };
        carry.lost(&entry, why);
    }
    Ok(())
}
