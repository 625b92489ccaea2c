//! The kinds of values that stand in many places: names, addresses, settings, counts, headers.

use std::path::Path;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use llm_client::dialect::{Dialect, ThinkTags};
use llm_client::settings::{self, Settings};
use llm_client::transport::Endpoint;
use llm_types::{Error, Extra};

use crate::config::reader::{Entry, Place, Section, resolve};
use crate::config::tree::Value;
use crate::nearest::did_you_mean;

/// A value and where it stands.
#[derive(Clone, Debug)]
pub(in crate::config) struct Located<T> {
    pub(in crate::config) value: T,
    pub(in crate::config) place: Place,
}

/// A row of the table of settings, with its value as text.
#[derive(Clone, Debug)]
pub(in crate::config) struct Setting {
    pub(in crate::config) key: &'static str,
    pub(in crate::config) value: String,
    pub(in crate::config) place: Place,
}

impl<T> Located<T> {
    pub(super) fn at(entry: &Entry, value: T) -> Self {
        Self { value, place: entry.place.clone() }
    }
}

/// A model's name, an alias or what it stands for.
pub(super) fn named(entry: &Entry) -> Result<Located<String>, Error> {
    let value = entry.filled_text()?.to_owned();
    if value.chars().any(char::is_control) {
        return Err(entry.error("a name has no control characters"));
    }
    Ok(Located::at(entry, value))
}

/// A list of models' names that is not empty.
pub(super) fn names(entry: Entry) -> Result<Vec<Located<String>>, Error> {
    let place = entry.place.clone();
    let full = entry.full.clone();
    let names: Vec<Located<String>> = entry.items()?.iter().map(named).collect::<Result<_, _>>()?;
    if names.is_empty() {
        return Err(place.error(format_args!("{full}: the list is empty")));
    }
    Ok(names)
}

/// A word out of a few.
pub(super) fn word<T: Copy>(
    entry: &Entry,
    what: &str,
    all: &[T],
    name: impl Fn(T) -> &'static str,
) -> Result<Located<T>, Error> {
    let value = entry.filled_text()?;
    match all.iter().find(|known| name(**known) == value) {
        Some(known) => Ok(Located::at(entry, *known)),
        None => {
            let known: Vec<&str> = all.iter().map(|known| name(*known)).collect();
            let hint = did_you_mean(value, known.iter().copied())
                .unwrap_or_else(|| format!("; allowed are {}", known.join(", ")));
            Err(entry.error(format_args!("`{value}` is not {what}{hint}")))
        }
    }
}

pub(super) fn base_url(entry: &Entry) -> Result<Located<String>, Error> {
    let value = entry.filled_text()?;
    Endpoint::parse(value).map_err(|e| entry.error(e.message()))?;
    Ok(Located::at(entry, value.to_owned()))
}

pub(super) fn dialect(entry: &Entry) -> Result<Located<Dialect>, Error> {
    word(entry, "a dialect of this version", Dialect::ALL, Dialect::as_str)
}

/// Where content holds thoughts between tags.
pub(super) fn think_tags(entry: &Entry) -> Result<ThinkTags, Error> {
    let words = entry.filled_text()?;
    ThinkTags::parse(words).ok_or_else(|| {
        entry.error(format_args!(
            "`{words}` is none of off, leading and starts_open, or the open tag behind it is not known"
        ))
    })
}

/// A whole number from a least one up.
pub(super) fn count(entry: &Entry, least: u32) -> Result<u32, Error> {
    let text = match &entry.value {
        Value::Number(digits) => digits.as_str(),
        _ => return Err(entry.unlike("a whole number")),
    };
    text.parse()
        .ok()
        .filter(|n| *n >= least)
        .ok_or_else(|| entry.error(format_args!("`{text}` is not a whole number from {least} up")))
}

/// Fields of the body that are sent as they are.
pub(super) fn extra(section: &mut Section) -> Result<Extra, Error> {
    let mut extra = Extra::new();
    if let Some(entry) = section.take("extra") {
        for member in entry.open()?.take_all() {
            let value = member.value.to_json().map_err(|why| member.error(why))?;
            extra.insert(&member.key, value);
        }
    }
    Ok(extra)
}

/// Headers that are sent with every request.
pub(super) fn headers(section: &mut Section) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    let Some(entry) = section.take("headers") else { return Ok(headers) };
    for member in entry.open()?.take_all() {
        let name: HeaderName = member
            .key
            .parse()
            .map_err(|_| member.error("this is no name of a header: letters, digits and hyphens"))?;
        // Whatever it is, it is nobody else's business.
        let mut value: HeaderValue = member
            .text()?
            .parse()
            .map_err(|_| member.error("a header's value has visible ASCII characters and spaces only"))?;
        value.set_sensitive(true);
        if headers.insert(name, value).is_some() {
            return Err(member.error("the header stands here a second time"));
        }
    }
    Ok(headers)
}

/// The keys that may stand here, beside every setting.
pub(super) fn with_settings(own: &[&'static str]) -> Vec<&'static str> {
    own.iter().copied().chain(settings::table().iter().map(|row| row.key)).collect()
}

/// Takes every setting out, each checked by itself.
pub(super) fn settings_of(section: &mut Section, home: Option<&Path>) -> Result<Vec<Setting>, Error> {
    some_settings_of(section, home, |_| true)
}

/// Takes the settings out that are `wanted`.
pub(super) fn some_settings_of(
    section: &mut Section,
    home: Option<&Path>,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<Setting>, Error> {
    let row = |key: &str| settings::table().iter().find(|row| row.key == key && wanted(key));
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

/// The value of one setting among many.
pub(super) fn setting<'a>(settings: &'a [Setting], key: &str) -> Option<&'a Setting> {
    settings.iter().find(|setting| setting.key == key)
}

pub(super) fn merge_settings(lower: &mut Vec<Setting>, upper: Vec<Setting>) {
    lower.retain(|old| !upper.iter().any(|new| new.key == old.key));
    lower.extend(upper);
}

/// Settings that say through whom a request goes, or whom it trusts on the way.
const GUARDED: &[&str] =
    &["proxy", "ca_file", "client_cert_file", "client_key_file", "tls_roots", "allow_http"];

pub(super) fn guarded(settings: &[Setting]) -> Option<&Setting> {
    settings.iter().find(|setting| GUARDED.contains(&setting.key))
}
