//! What a configuration file may say, as it stands there: checked key by key, nothing resolved yet.

use std::path::{Path, PathBuf};

use llm_client::dialect::Dialect;
use llm_client::settings::{self, Settings};
use llm_client::transport::Endpoint;
use llm_types::{Error, Extra};

use super::keys::{self, KeyEntry};
use super::reader::{Entry, Place, Section, Source};
use super::tree::Value;
use crate::names;
use crate::nearest::did_you_mean;

/// One file, or several merged by [`over`](Config::over).
#[derive(Debug, Default)]
pub(super) struct Config {
    pub(super) default: Option<Located<String>>,
    pub(super) settings: Vec<Setting>,
    pub(super) aliases: Vec<Alias>,
    pub(super) providers: Vec<ProviderEntry>,
}

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Located<T> {
    pub(super) value: T,
    pub(super) place: Place,
}

/// A row of the table of settings, with its value as text.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) key: &'static str,
    pub(super) value: String,
    pub(super) place: Place,
}

/// A name that stands for another.
#[derive(Debug)]
pub(super) struct Alias {
    pub(super) name: String,
    pub(super) target: String,
    pub(super) place: Place,
}

/// `[providers.NAME]`.
#[derive(Debug)]
pub(super) struct ProviderEntry {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) base_url: Option<Located<String>>,
    pub(super) dialect: Option<Located<Dialect>>,
    pub(super) keys: Option<Vec<KeyEntry>>,
    pub(super) settings: Vec<Setting>,
    pub(super) models: Vec<ModelEntry>,
}

/// `[providers.NAME.models."NAME"]`.
#[derive(Debug)]
pub(super) struct ModelEntry {
    pub(super) name: String,
    pub(super) place: Place,
    /// The name on the wire, where it differs.
    pub(super) model: Option<String>,
    pub(super) settings: Vec<Setting>,
    pub(super) extra: Extra,
}

const TOP: &[&str] = &["default", "aliases", "providers"];
const PROVIDER: &[&str] = &["base_url", "endpoints", "dialect", "api_key", "api_keys", "models"];
const ENDPOINT: &[&str] = &["base_url", "api_key", "api_keys", "model", "weight"];
const MODEL: &[&str] = &["model", "extra"];

impl Config {
    /// Reads one file.
    ///
    /// # Errors
    /// Kind `Config`, with the line: an unknown key, a value that is not allowed, a contradiction.
    pub(super) fn read(source: &Source, home: Option<&Path>) -> Result<Self, Error> {
        source.read(|mut top| {
            let default = top.take("default").map(|entry| named(&entry)).transpose()?;
            let mut config = Self { default, settings: settings_of(&mut top, home)?, ..Self::default() };
            if let Some(aliases) = top.take("aliases") {
                config.aliases = aliases.open()?.take_all().iter().map(alias).collect::<Result<_, _>>()?;
            }
            if let Some(providers) = top.take("providers") {
                let mut providers = providers.open()?;
                for entry in providers.take_all() {
                    let name = entry.key.clone();
                    names::check_provider(&name).map_err(|e| entry.place.error(e.message()))?;
                    config.providers.push(provider(name, entry.open()?, home)?);
                }
            }
            top.finish(&with_settings(TOP))?;
            Ok(config)
        })
    }

    /// This file's word above another's: the same key at the same level is replaced, the rest is kept.
    pub(super) fn over(self, lower: Self) -> Self {
        let mut merged = lower;
        merged.default = self.default.or(merged.default);
        merge_settings(&mut merged.settings, self.settings);
        for alias in self.aliases {
            merged.aliases.retain(|old| old.name != alias.name);
            merged.aliases.push(alias);
        }
        for upper in self.providers {
            match merged.providers.iter_mut().find(|old| old.name == upper.name) {
                Some(old) => old.merge(upper),
                None => merged.providers.push(upper),
            }
        }
        merged
    }

    /// The first thing in the file that only a trusted file may say: where requests go, what they go through, and
    /// which key goes along. Gives its place and its key.
    pub(super) fn needs_trust(&self) -> Option<(&Place, String)> {
        if let Some(setting) = guarded(&self.settings) {
            return Some((&setting.place, setting.key.to_owned()));
        }
        self.providers.iter().find_map(|provider| {
            let inside = |key: &str| format!("providers.{}.{key}", provider.name);
            if let Some(url) = &provider.base_url {
                return Some((&url.place, inside("base_url")));
            }
            if let Some(keys) = &provider.keys {
                let place = keys.first().map_or(&provider.place, |key| &key.place);
                return Some((place, inside("api_key")));
            }
            let models = provider.models.iter().map(|model| &model.settings);
            std::iter::once(&provider.settings).chain(models).find_map(|settings| {
                let setting = guarded(settings)?;
                Some((&setting.place, inside(setting.key)))
            })
        })
    }
}

/// Settings that say through whom a request goes, or whom it trusts on the way.
const GUARDED: &[&str] =
    &["proxy", "ca_file", "client_cert_file", "client_key_file", "tls_roots", "allow_http"];

fn guarded(settings: &[Setting]) -> Option<&Setting> {
    settings.iter().find(|setting| GUARDED.contains(&setting.key))
}

impl ProviderEntry {
    fn merge(&mut self, upper: Self) {
        if upper.base_url.is_some() {
            // A key belongs to the address it was given for.
            (self.base_url, self.keys) = (upper.base_url, upper.keys);
        } else if upper.keys.is_some() {
            self.keys = upper.keys;
        }
        self.dialect = upper.dialect.or(self.dialect.take());
        merge_settings(&mut self.settings, upper.settings);
        for model in upper.models {
            match self.models.iter_mut().find(|old| old.name == model.name) {
                Some(old) => old.merge(model),
                None => self.models.push(model),
            }
        }
    }
}

impl ModelEntry {
    fn merge(&mut self, upper: Self) {
        self.model = upper.model.or(self.model.take());
        merge_settings(&mut self.settings, upper.settings);
        for (name, value) in upper.extra.iter() {
            self.extra.insert(name, value.to_owned());
        }
    }
}

fn merge_settings(lower: &mut Vec<Setting>, upper: Vec<Setting>) {
    lower.retain(|old| !upper.iter().any(|new| new.key == old.key));
    lower.extend(upper);
}

/// A model's name, an alias or what it stands for.
fn named(entry: &Entry) -> Result<Located<String>, Error> {
    let value = entry.filled_text()?.to_owned();
    if value.chars().any(char::is_control) {
        return Err(entry.error("a name has no control characters"));
    }
    Ok(Located { value, place: entry.place.clone() })
}

fn alias(entry: &Entry) -> Result<Alias, Error> {
    if entry.key.trim().is_empty() {
        return Err(entry.place.error("an alias needs a name"));
    }
    let Located { value: target, place } = named(entry)?;
    Ok(Alias { name: entry.key.clone(), target, place })
}

fn provider(name: String, mut section: Section, home: Option<&Path>) -> Result<ProviderEntry, Error> {
    let mut provider = ProviderEntry {
        place: section.place().clone(),
        base_url: section.take("base_url").map(|entry| base_url(&entry)).transpose()?,
        dialect: section.take("dialect").map(|entry| dialect(&entry)).transpose()?,
        keys: keys::take(&mut section, home)?,
        settings: settings_of(&mut section, home)?,
        models: Vec::new(),
        name,
    };
    if let Some(models) = section.take("models") {
        let mut models = models.open()?;
        for entry in models.take_all() {
            provider.models.push(model(entry.open()?, home)?);
        }
    }
    if let Some(endpoints) = section.take("endpoints") {
        endpoint(&mut provider, endpoints, home)?;
    }
    section.finish(&with_settings(PROVIDER))?;
    Ok(provider)
}

/// `endpoints` with its one entry, which says the same as `base_url` and `api_key` beside it.
fn endpoint(provider: &mut ProviderEntry, entry: Entry, home: Option<&Path>) -> Result<(), Error> {
    if provider.base_url.is_some() {
        return Err(entry.error("give base_url or endpoints, not both"));
    }
    let place = entry.place.clone();
    let full = entry.full.clone();
    let mut items = entry.items()?;
    let item = match (items.pop(), items.len()) {
        (Some(item), 0) => item,
        (None, _) => return Err(place.error(format_args!("{full}: the list is empty"))),
        (Some(_), others) => {
            return Err(place.error(format_args!(
                "{full}: {} endpoints stand here, and this version serves one for each provider; pools of endpoints are \
                 to come",
                others + 1
            )));
        }
    };
    let mut item = item.open()?;
    let Some(url) = item.take("base_url") else {
        return Err(item.place().error(format_args!("{full}[0] needs a base_url")));
    };
    provider.base_url = Some(base_url(&url)?);
    provider.keys = keys::take(&mut item, home)?.or(provider.keys.take());
    if let Some(wire) = item.take("model") {
        let wire = named(&wire)?.value;
        for model in provider.models.iter_mut().filter(|model| model.model.is_none()) {
            model.model = Some(wire.clone());
        }
        if provider.models.is_empty() {
            let (settings, extra) = (Vec::new(), Extra::new());
            provider.models.push(ModelEntry {
                name: wire,
                place: place.clone(),
                model: None,
                settings,
                extra,
            });
        }
    }
    if let Some(weight) = item.take("weight") {
        // Checked, so that the file stays good when a second endpoint joins; a single one gets all calls.
        match &weight.value {
            Value::Number(n) if n.parse::<u32>().is_ok_and(|n| n > 0) => {}
            _ => return Err(weight.error("a weight is a whole number from 1 up")),
        }
    }
    item.finish(ENDPOINT)
}

fn model(mut section: Section, home: Option<&Path>) -> Result<ModelEntry, Error> {
    let name = section.key().to_owned();
    if name.trim().is_empty() || name.chars().any(char::is_control) {
        return Err(section.place().error("a model's name is not empty and has no control characters"));
    }
    let place = section.place().clone();
    let wire = section.take("model").map(|entry| named(&entry)).transpose()?;
    let settings = settings_of(&mut section, home)?;
    let mut extra = Extra::new();
    if let Some(entry) = section.take("extra") {
        for member in entry.open()?.take_all() {
            let value = member.value.to_json().map_err(|why| member.error(why))?;
            extra.insert(&member.key, value);
        }
    }
    section.finish(&with_settings(MODEL))?;
    Ok(ModelEntry { name, place, model: wire.map(|wire| wire.value), settings, extra })
}

fn base_url(entry: &Entry) -> Result<Located<String>, Error> {
    let value = entry.filled_text()?;
    Endpoint::parse(value).map_err(|e| entry.error(e.message()))?;
    Ok(Located { value: value.to_owned(), place: entry.place.clone() })
}

fn dialect(entry: &Entry) -> Result<Located<Dialect>, Error> {
    let value = entry.filled_text()?;
    match Dialect::parse(value) {
        Some(value) => Ok(Located { value, place: entry.place.clone() }),
        None => {
            let known: Vec<&str> = Dialect::ALL.iter().map(|dialect| dialect.as_str()).collect();
            let hint = did_you_mean(value, known.iter().copied())
                .unwrap_or_else(|| format!("; allowed are {}", known.join(", ")));
            Err(entry.error(format_args!("`{value}` is not a dialect of this version{hint}")))
        }
    }
}

/// The keys that may stand here, beside every setting.
fn with_settings(own: &[&'static str]) -> Vec<&'static str> {
    own.iter().copied().chain(settings::table().iter().map(|row| row.key)).collect()
}

/// Takes every setting out, each checked by itself.
fn settings_of(section: &mut Section, home: Option<&Path>) -> Result<Vec<Setting>, Error> {
    let row = |key: &str| settings::table().iter().find(|row| row.key == key);
    let taken = section.take_where(|key| row(key).is_some());
    let read = |entry: &Entry| {
        let Some(row) = row(&entry.key) else { return Ok(None) };
        let mut value = match &entry.value {
            Value::Text(text) => text.trim().to_owned(),
            Value::Number(number) => number.clone(),
            Value::Switch(switch) => switch.to_string(),
            _ => return Err(entry.unlike("a plain value")),
        };
        if row.key.ends_with("_file") {
            value = resolve(&value, entry.place.folder(), home).to_string_lossy().into_owned();
        }
        // The key stands in the message already.
        Settings::default().set(row.key, &value).map_err(|invalid| match invalid.found {
            Some(found) => entry.error(format_args!("`{found}` is not {}", invalid.allowed)),
            None => entry.error(invalid),
        })?;
        Ok(Some(Setting { key: row.key, value, place: entry.place.clone() }))
    };
    taken.iter().filter_map(|entry| read(entry).transpose()).collect()
}

/// A path in a file: from the file's folder, or from home behind `~/`.
pub(super) fn resolve(path: &str, folder: &Path, home: Option<&Path>) -> PathBuf {
    match (path.strip_prefix("~/"), home) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => folder.join(path),
    }
}
