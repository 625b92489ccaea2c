//! The `llm:` section of the compression client's `config.yaml`, and the variables that go above it: they are read by this
//! loader and by nobody else.

use std::path::Path;

use llm_types::{Error, ErrorKind};

use super::carry::{Carry, Row, Unit, address, model, provider};
use crate::config::keys::KeyEntry;
use crate::config::reader::{Entry, Place, Section};
use crate::config::schema::{Config, Located};
use crate::config::tree::Value;

/// `max_retries` counts after the first attempt there, as it does here.
const TABLE: &[Row] = &[
    ("timeout", "attempt_timeout_secs", Unit::Seconds),
    ("max_retries", "max_retries", Unit::Retries),
    ("rate_limit", "requests_per_minute", Unit::Count),
    ("pool_size", "max_connections", Unit::Count),
    ("max_concurrent", "max_concurrent_calls", Unit::Count),
    ("eager_init", "eager_init", Unit::Switch),
];

/// Which variable goes above which key.
const VARIABLES: &[(&str, &str)] = &[
    ("LLM_CLOUD_ENDPOINT", "cloud_endpoint"),
    ("LLM_TIMEOUT", "timeout"),
    ("LLM_MAX_RETRIES", "max_retries"),
    ("LLM_RATE_LIMIT", "rate_limit"),
    ("MAX_CONCURRENT", "max_concurrent"),
];

/// The key's own variable; it is named and not read here.
const KEY: &str = "LLM_CLOUD_API_KEY";

/// The provider's name.
const CLOUD: &str = "cloud";
/// The model that client always asks for.
const CLOUD_MODEL: &str = "gpt-3.5-turbo";
/// The one it asks a local server for.
const LOCAL_MODEL: &str = "qwen2.5:7b-instruct";

pub(super) fn read(
    mut top: Section,
    home: Option<&Path>,
    env: &dyn Fn(&str) -> Option<String>,
) -> Result<Config, Error> {
    let mut carry = Carry::new(home);
    let set = |name: &str| env(name).filter(|text| !text.trim().is_empty());
    let place = top.place().clone();
    let mut section = match top.take("llm") {
        Some(entry) => entry.open()?,
        None => return Err(place.error("there is no `llm` section here")),
    };
    let place = section.place().clone();
    for (variable, key) in VARIABLES {
        if let Some(text) = set(variable) {
            section.put(key, (*variable).to_owned(), Value::Text(text));
        }
    }
    let endpoint = section.take_set("cloud_endpoint").map(|entry| address(&entry)).transpose()?;
    let Some(endpoint) = endpoint else {
        return Err(place.error("llm.cloud_endpoint is missing, and so is LLM_CLOUD_ENDPOINT"));
    };
    let mut found = provider(CLOUD, &place)?;
    found.keys = match (set(KEY), section.take_set("cloud_api_key")) {
        (Some(_), _) => Some(vec![KeyEntry::variable(KEY, place.clone())]),
        (None, Some(entry)) if entry.text()?.trim().is_empty() => Some(Vec::new()),
        (None, Some(entry)) => Some(vec![KeyEntry::read(entry, home)?]),
        (None, None) => Some(Vec::new()),
    };
    found.settings = carry.settings(&mut section, TABLE)?;
    let api_type = section.take_set("api_type");
    let local = is_local(&endpoint.value, api_type.as_ref())?;
    let wire = carry.text(&mut section, "model")?;
    let wire = wire.unwrap_or_else(|| if local { LOCAL_MODEL } else { CLOUD_MODEL }.to_owned());
    found.models.push(model(wire.clone(), None, &place)?);
    found.base_url = Some(endpoint);
    carry.finish(&mut section);
    let default = Some(Located { value: format!("{CLOUD}/{wire}"), place: place.clone() });
    let mut config = Config { default, ..Config::default() };
    config.providers.push(found);
    others(&mut top, &mut carry);
    ollama(&mut config, set("OLLAMA_ENDPOINT"), &place)?;
    if set("BATCH_SIZE").is_some() {
        carry
            .warnings
            .push("BATCH_SIZE: a batch runs as many calls as `-c` says; it has no effect".to_owned());
    }
    config.warnings = carry.warnings;
    Ok(config)
}

/// `api_type`, else by the address, as that client has it.
fn is_local(endpoint: &str, api_type: Option<&Entry>) -> Result<bool, Error> {
    let guessed = endpoint.contains("11434") || endpoint.to_ascii_lowercase().contains("ollama");
    let Some(entry) = api_type else { return Ok(guessed) };
    match entry.filled_text()? {
        "auto" => Ok(guessed),
        "openai" => Ok(false),
        "ollama" => Ok(true),
        other => Err(entry.error(format_args!("`{other}` is not auto, openai or ollama"))),
    }
}

/// The sections about other things than calling a model.
fn others(top: &mut Section, carry: &mut Carry<'_>) {
    let names: Vec<String> = top.take_all().into_iter().map(|entry| format!("`{}`", entry.key)).collect();
    if !names.is_empty() {
        let place = top.place().path().display();
        carry.warnings.push(format!("{place}: only `llm` is read; {} has no effect", names.join(", ")));
    }
}

/// The local server that a variable names, as a provider of its own.
fn ollama(config: &mut Config, endpoint: Option<String>, place: &Place) -> Result<(), Error> {
    let Some(url) = endpoint else { return Ok(()) };
    llm_client::transport::Endpoint::parse(&url)
        .map_err(|e| Error::new(ErrorKind::Config, format!("OLLAMA_ENDPOINT: {}", e.message())))?;
    let mut found = provider("local", place)?;
    found.base_url = Some(Located { value: url, place: place.clone() });
    found.keys = Some(Vec::new());
    found.models.push(model(LOCAL_MODEL.to_owned(), None, place)?);
    config.providers.push(found);
    Ok(())
}
