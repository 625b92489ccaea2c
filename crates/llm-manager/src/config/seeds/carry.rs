//! Carries values over from older files: units, counts, and warnings for what cannot be carried.

use std::path::Path;

use llm_client::Settings;
use llm_types::Error;

use crate::config::keys::{self, KeyEntry};
use crate::config::reader::{Entry, Place, Section, resolve};
use crate::config::schema::{Located, ModelEntry, ProviderEntry, Setting};
use crate::config::tree::Value;

/// How an older name becomes one of our settings.
#[derive(Clone, Copy, Debug)]
pub(super) enum Unit {
    /// Attempts, the first one included.
    Attempts,
    /// Retries after the first attempt.
    Retries,
    /// Seconds, as we have them.
    Seconds,
    /// Seconds, in milliseconds of ours.
    SecondsToMillis,
    /// Requests in a second, in ours of a minute.
    PerSecond,
    /// A whole number from 1 up.
    Count,
    /// On or off.
    Switch,
    /// As it stands.
    Text,
}

/// An older name, the setting it becomes, and how.
pub(super) type Row = (&'static str, &'static str, Unit);

impl Unit {
    /// The value as our setting's text, or why it cannot be one.
    pub(super) fn convert(self, entry: &Entry) -> Result<String, Error> {
        let number = || match &entry.value {
            Value::Number(text) | Value::Text(text) => text
                .trim()
                .parse::<f64>()
                .ok()
                .filter(|n| n.is_finite() && *n >= 0.0)
                .ok_or_else(|| entry.error(format_args!("`{text}` is not a number from 0 up"))),
            _ => Err(entry.unlike("a number")),
        };
        let whole = || {
            let number = number()?;
            if number.fract() == 0.0 && number <= f64::from(u32::MAX) {
                Ok(number)
            } else {
                Err(entry.error(format_args!("`{number}` is not a whole number")))
            }
        };
        Ok(match self {
            Self::Attempts => (whole()? - 1.0).max(0.0).to_string(),
            Self::Retries | Self::Count => whole()?.to_string(),
            Self::Seconds => number()?.to_string(),
            Self::SecondsToMillis => (number()? * 1000.0).round().to_string(),
            // A rate below one a minute is still one.
            Self::PerSecond => (number()? * 60.0).floor().max(1.0).to_string(),
            Self::Switch => match &entry.value {
                Value::Text(text) => text.clone(),
                _ => entry.switch()?.to_string(),
            },
            Self::Text => entry.filled_text()?.to_owned(),
        })
    }
}

/// What was carried, and what could not be.
#[derive(Debug)]
pub(super) struct Carry<'a> {
    pub(super) home: Option<&'a Path>,
    pub(super) warnings: Vec<String>,
}

impl<'a> Carry<'a> {
    pub(super) fn new(home: Option<&'a Path>) -> Self {
        Self { home, warnings: Vec::new() }
    }

    /// Tells about something that has no effect here.
    pub(super) fn lost(&mut self, entry: &Entry, why: &str) {
        self.warnings.push(format!("{}: {}: {why}", entry.place, entry.full));
    }

    /// Takes the settings of a table out of a section. Nothing behind a key is as if it were not there.
    pub(super) fn settings(&mut self, section: &mut Section, table: &[Row]) -> Result<Vec<Setting>, Error> {
        let mut settings = Vec::new();
        for (older, key, unit) in table {
            let Some(entry) = section.take_set(older) else { continue };
            let mut value = unit.convert(&entry)?;
            if key.ends_with("_file") {
                value = resolve(&value, entry.place.folder(), self.home).to_string_lossy().into_owned();
            }
            Settings::default()
                .set(key, &value)
                .map_err(|e| entry.error(format_args!("`{value}` is not {}", e.allowed)))?;
            settings.push(Setting { key, value, place: entry.place.clone() });
        }
        Ok(settings)
    }

    /// Warns about every key that is left, as one that nobody knows.
    pub(super) fn finish(&mut self, section: &mut Section) {
        for entry in section.take_all() {
            self.lost(&entry, "it is not known and has no effect");
        }
    }

    /// `api_key` or `api_keys`; placeholders for no key are none.
    pub(super) fn keys(&mut self, section: &mut Section) -> Result<Option<Vec<KeyEntry>>, Error> {
        for key in ["api_key", "api_keys"] {
            let nothing = section.peek(key).is_some_and(|entry| match &entry.value {
                Value::Null => true,
                Value::Text(text) => is_no_key(text),
                _ => false,
            });
            if nothing {
                let stated = section.take(key).is_some_and(|entry| !entry.is_null());
                if stated && !section.has("api_keys") {
                    return Ok(Some(Vec::new()));
                }
            }
        }
        keys::take(section, self.home)
    }

    /// `base_url`, checked.
    pub(super) fn base_url(&mut self, section: &mut Section) -> Result<Option<Located<String>>, Error> {
        section.take_set("base_url").map(|entry| address(&entry)).transpose()
    }

    /// A text that may be missing.
    pub(super) fn text(&mut self, section: &mut Section, key: &str) -> Result<Option<String>, Error> {
        let entry = section.take_set(key);
        entry.map(|entry| entry.filled_text().map(str::to_owned)).transpose()
    }
}

/// What people write where no key is needed.
fn is_no_key(text: &str) -> bool {
    matches!(
        text.trim().to_ascii_lowercase().as_str(),
        "" | "empty" | "none" | "null" | "no-key" | "not-needed"
    )
}

pub(super) fn address(entry: &Entry) -> Result<Located<String>, Error> {
    let value = entry.filled_text()?;
    llm_client::transport::Endpoint::parse(value).map_err(|e| entry.error(e.message()))?;
    Ok(Located { value: value.to_owned(), place: entry.place.clone() })
}

/// A provider of which only the models are known.
pub(super) fn provider(name: &str, place: &Place) -> Result<ProviderEntry, Error> {
    crate::names::check_provider(name).map_err(|e| place.error(e.message()))?;
    Ok(ProviderEntry::of_models(name.to_owned(), place.clone()))
}

/// A model's name, checked.
pub(super) fn model(name: String, wire: Option<String>, place: &Place) -> Result<ModelEntry, Error> {
    if name.trim().is_empty() || name.chars().any(char::is_control) {
        return Err(place.error("a model's name is not empty and has no control characters"));
    }
    let wire = wire.filter(|wire| *wire != name);
    Ok(ModelEntry { model: wire, ..ModelEntry::new(name, place.clone()) })
}
