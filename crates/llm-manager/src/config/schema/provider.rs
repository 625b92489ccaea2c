//! `[providers.NAME]`, its endpoints and its models.

use std::path::Path;

use http::HeaderMap;
use llm_client::dialect::{Dialect, ThinkTags};
use llm_types::{Error, Extra, Price};

use super::groups::{self, Balance};
use super::rules;
use super::values::{
    Located, Setting, base_url, count, dialect, extra, guarded, headers, merge_settings, named, settings_of,
    think_tags, with_settings,
};
use crate::config::keys::{self, KeyEntry};
use crate::config::reader::{Entry, Place, Section};

/// `[providers.NAME]`.
#[derive(Debug)]
pub(in crate::config) struct ProviderEntry {
    pub(in crate::config) name: String,
    pub(in crate::config) place: Place,
    pub(in crate::config) base_url: Option<Located<String>>,
    pub(in crate::config) dialect: Option<Located<Dialect>>,
    pub(in crate::config) think_tags: Option<ThinkTags>,
    pub(in crate::config) keys: Option<Vec<KeyEntry>>,
    /// Whether a key that stands here goes before the vendor's variable: so it is in older clients' files.
    pub(in crate::config) stored_first: bool,
    pub(in crate::config) settings: Vec<Setting>,
    pub(in crate::config) headers: HeaderMap,
    pub(in crate::config) limit: Option<Located<String>>,
    /// In place of `base_url`.
    pub(in crate::config) endpoints: Vec<EndpointEntry>,
    pub(in crate::config) balance: Balance,
    pub(in crate::config) models: Vec<ModelEntry>,
}

/// `[providers.NAME.models."NAME"]`.
#[derive(Debug)]
pub(in crate::config) struct ModelEntry {
    pub(in crate::config) name: String,
    pub(in crate::config) place: Place,
    /// The name on the wire, where it differs.
    pub(in crate::config) model: Option<String>,
    pub(in crate::config) base_url: Option<Located<String>>,
    pub(in crate::config) dialect: Option<Located<Dialect>>,
    pub(in crate::config) think_tags: Option<ThinkTags>,
    pub(in crate::config) keys: Option<Vec<KeyEntry>>,
    pub(in crate::config) settings: Vec<Setting>,
    pub(in crate::config) extra: Extra,
    pub(in crate::config) headers: HeaderMap,
    pub(in crate::config) price: Option<Price>,
    pub(in crate::config) limit: Option<Located<String>>,
    /// In place of `base_url`, and of the provider's endpoints.
    pub(in crate::config) endpoints: Vec<EndpointEntry>,
    pub(in crate::config) balance: Balance,
}

/// One of `endpoints`.
#[derive(Debug)]
pub(in crate::config) struct EndpointEntry {
    pub(in crate::config) place: Place,
    pub(in crate::config) base_url: Located<String>,
    pub(in crate::config) dialect: Option<Located<Dialect>>,
    pub(in crate::config) keys: Option<Vec<KeyEntry>>,
    /// The name on the wire at this endpoint, where it differs.
    pub(in crate::config) model: Option<String>,
    pub(in crate::config) weight: u32,
    pub(in crate::config) priority: u32,
    pub(in crate::config) settings: Vec<Setting>,
    pub(in crate::config) extra: Extra,
    pub(in crate::config) headers: HeaderMap,
    pub(in crate::config) limit: Option<Located<String>>,
}

const PROVIDER: &[&str] = &[
    "base_url",
    "endpoints",
    "strategy",
    "fallback",
    "pool",
    "dialect",
    "think_tags",
    "api_key",
    "api_keys",
    "headers",
    "limit",
    "models",
];
const ENDPOINT: &[&str] = &[
    "base_url", "api_key", "api_keys", "model", "weight", "priority", "dialect", "extra", "headers", "limit",
];
const MODEL: &[&str] = &[
    "model",
    "extra",
    "base_url",
    "endpoints",
    "strategy",
    "fallback",
    "pool",
    "dialect",
    "think_tags",
    "api_key",
    "api_keys",
    "headers",
    "price",
    "limit",
];

pub(super) fn read(name: String, mut section: Section, home: Option<&Path>) -> Result<ProviderEntry, Error> {
    let endpoints = endpoints(&mut section, home)?;
    let mut provider = ProviderEntry {
        place: section.place().clone(),
        base_url: section.take("base_url").map(|entry| base_url(&entry)).transpose()?,
        dialect: section.take("dialect").map(|entry| dialect(&entry)).transpose()?,
        think_tags: section.take("think_tags").map(|entry| think_tags(&entry)).transpose()?,
        keys: keys::take(&mut section, home)?,
        stored_first: false,
        settings: settings_of(&mut section, home)?,
        headers: headers(&mut section)?,
        limit: section.take("limit").map(|entry| named(&entry)).transpose()?,
        balance: groups::balance(&mut section, endpoints.len(), home)?,
        endpoints,
        models: Vec::new(),
        name,
    };
    if let Some(models) = section.take("models") {
        for entry in models.open()?.take_all() {
            provider.models.push(model(entry.open()?, home)?);
        }
    }
    section.finish(&with_settings(PROVIDER))?;
    provider.list_the_endpoints_model();
    Ok(provider)
}

fn model(mut section: Section, home: Option<&Path>) -> Result<ModelEntry, Error> {
    let name = section.key().to_owned();
    if name.trim().is_empty() || name.chars().any(char::is_control) {
        return Err(section.place().error("a model's name is not empty and has no control characters"));
    }
    let endpoints = endpoints(&mut section, home)?;
    let model = ModelEntry {
        name,
        place: section.place().clone(),
        model: section.take("model").map(|entry| named(&entry)).transpose()?.map(|wire| wire.value),
        base_url: section.take("base_url").map(|entry| base_url(&entry)).transpose()?,
        dialect: section.take("dialect").map(|entry| dialect(&entry)).transpose()?,
        think_tags: section.take("think_tags").map(|entry| think_tags(&entry)).transpose()?,
        keys: keys::take(&mut section, home)?,
        settings: settings_of(&mut section, home)?,
        extra: extra(&mut section)?,
        headers: headers(&mut section)?,
        price: section.take("price").map(rules::price).transpose()?,
        limit: section.take("limit").map(|entry| named(&entry)).transpose()?,
        balance: groups::balance(&mut section, endpoints.len(), home)?,
        endpoints,
    };
    section.finish(&with_settings(MODEL))?;
    Ok(model)
}

/// `endpoints`, in place of `base_url` beside it.
fn endpoints(section: &mut Section, home: Option<&Path>) -> Result<Vec<EndpointEntry>, Error> {
    let Some(entry) = section.take("endpoints") else { return Ok(Vec::new()) };
    if section.has("base_url") {
        return Err(entry.error("give base_url or endpoints, not both"));
    }
    let (place, full) = (entry.place.clone(), entry.full.clone());
    let items = entry.items()?;
    if items.is_empty() {
        return Err(place.error(format_args!("{full}: the list is empty")));
    }
    let endpoints: Vec<EndpointEntry> =
        items.into_iter().map(|item| endpoint(item, home)).collect::<Result<_, _>>()?;
    for (at, one) in endpoints.iter().enumerate() {
        let same = |other: &EndpointEntry| {
            other.base_url.value == one.base_url.value
                && other.model == one.model
                && other.keys.is_none()
                && one.keys.is_none()
        };
        if let Some(first) = endpoints.iter().take(at).position(same) {
            return Err(one.place.error(format_args!(
                "{full}[{at}]: this is {full}[{first}] again: the same address, model and keys"
            )));
        }
    }
    Ok(endpoints)
}

fn endpoint(item: Entry, home: Option<&Path>) -> Result<EndpointEntry, Error> {
    let full = item.full.clone();
    let mut item = item.open()?;
    let Some(url) = item.take("base_url") else {
        return Err(item.place().error(format_args!("{full} needs a base_url")));
    };
    let endpoint = EndpointEntry {
        place: item.place().clone(),
        base_url: base_url(&url)?,
        dialect: item.take("dialect").map(|entry| dialect(&entry)).transpose()?,
        keys: keys::take(&mut item, home)?,
        model: item.take("model").map(|entry| named(&entry)).transpose()?.map(|wire| wire.value),
        weight: item.take("weight").map_or(Ok(1), |entry| groups::weight(&entry))?,
        priority: item.take("priority").map_or(Ok(0), |entry| count(&entry, 0))?,
        settings: settings_of(&mut item, home)?,
        extra: extra(&mut item)?,
        headers: headers(&mut item)?,
        limit: item.take("limit").map(|entry| named(&entry)).transpose()?,
    };
    item.finish(&with_settings(ENDPOINT))?;
    Ok(endpoint)
}

impl ProviderEntry {
    /// A provider of which only the models are to be known.
    pub(in crate::config) fn of_models(name: String, place: Place) -> Self {
        Self {
            name,
            place,
            base_url: None,
            dialect: None,
            think_tags: None,
            keys: None,
            stored_first: true,
            settings: Vec::new(),
            headers: HeaderMap::new(),
            limit: None,
            endpoints: Vec::new(),
            balance: Balance::default(),
            models: Vec::new(),
        }
    }

    /// The keys that stand anywhere below the provider's own.
    pub(in crate::config) fn all_keys(&self) -> impl Iterator<Item = &Vec<KeyEntry>> {
        let inner = self.models.iter().flat_map(|model| &model.endpoints).chain(&self.endpoints);
        let of_models = self.models.iter().filter_map(|model| model.keys.as_ref());
        of_models.chain(inner.filter_map(|endpoint| endpoint.keys.as_ref()))
    }

    /// Endpoints that all serve one model name it for the models that do not; where none is listed, it is listed.
    fn list_the_endpoints_model(&mut self) {
        let mut wires = self.endpoints.iter().map(|endpoint| endpoint.model.as_ref());
        let Some(Some(first)) = wires.next() else { return };
        if !wires.all(|wire| wire == Some(first)) {
            return;
        }
        for model in self.models.iter_mut().filter(|model| model.endpoints.is_empty()) {
            model.model.get_or_insert_with(|| first.clone());
        }
        if self.models.is_empty() {
            self.models.push(ModelEntry::new(first.clone(), self.place.clone()));
        }
    }

    pub(super) fn merge(&mut self, upper: Self) {
        if upper.base_url.is_some() || !upper.endpoints.is_empty() {
            // A key belongs to the address it was given for.
            (self.base_url, self.keys) = (upper.base_url, upper.keys);
            (self.endpoints, self.balance) = (upper.endpoints, upper.balance);
        } else if upper.keys.is_some() {
            self.keys = upper.keys;
        }
        self.dialect = upper.dialect.or(self.dialect.take());
        self.think_tags = upper.think_tags.or(self.think_tags);
        self.limit = upper.limit.or(self.limit.take());
        self.headers.extend(upper.headers);
        merge_settings(&mut self.settings, upper.settings);
        for model in upper.models {
            match self.models.iter_mut().find(|old| old.name == model.name) {
                Some(old) => old.merge(model),
                None => self.models.push(model),
            }
        }
    }

    pub(super) fn needs_trust(&self) -> Option<(&Place, &'static str)> {
        let own =
            told(&self.place, self.base_url.as_ref(), self.keys.as_deref(), &self.settings, &self.headers);
        let inside = || self.models.iter().find_map(ModelEntry::needs_trust);
        own.or_else(|| self.endpoints.iter().find_map(EndpointEntry::needs_trust)).or_else(inside)
    }
}

impl ModelEntry {
    /// A model of which nothing is said but its name.
    pub(in crate::config) fn new(name: String, place: Place) -> Self {
        Self {
            name,
            place,
            model: None,
            base_url: None,
            dialect: None,
            think_tags: None,
            keys: None,
            settings: Vec::new(),
            extra: Extra::new(),
            headers: HeaderMap::new(),
            price: None,
            limit: None,
            endpoints: Vec::new(),
            balance: Balance::default(),
        }
    }

    /// Whether it says where it is.
    pub(in crate::config) fn has_address(&self) -> bool {
        self.base_url.is_some() || !self.endpoints.is_empty()
    }

    /// Whether its requests go another way than its provider's.
    pub(in crate::config) fn is_own(&self) -> bool {
        self.has_address() || self.keys.is_some() || self.dialect.is_some()
    }

    fn merge(&mut self, upper: Self) {
        if upper.base_url.is_some() || !upper.endpoints.is_empty() {
            (self.base_url, self.keys) = (upper.base_url, upper.keys);
            (self.endpoints, self.balance) = (upper.endpoints, upper.balance);
        } else if upper.keys.is_some() {
            self.keys = upper.keys;
        }
        self.model = upper.model.or(self.model.take());
        self.dialect = upper.dialect.or(self.dialect.take());
        self.think_tags = upper.think_tags.or(self.think_tags);
        self.price = upper.price.or(self.price.take());
        self.limit = upper.limit.or(self.limit.take());
        self.headers.extend(upper.headers);
        merge_settings(&mut self.settings, upper.settings);
        for (name, value) in upper.extra.iter() {
            self.extra.insert(name, value.to_owned());
        }
    }

    fn needs_trust(&self) -> Option<(&Place, &'static str)> {
        told(&self.place, self.base_url.as_ref(), self.keys.as_deref(), &self.settings, &self.headers)
            .or_else(|| self.endpoints.iter().find_map(EndpointEntry::needs_trust))
    }
}

impl EndpointEntry {
    /// An endpoint of which nothing is said but its address.
    pub(in crate::config) fn new(place: Place, base_url: Located<String>) -> Self {
        Self {
            place,
            base_url,
            dialect: None,
            keys: None,
            model: None,
            weight: 1,
            priority: 0,
            settings: Vec::new(),
            extra: Extra::new(),
            headers: HeaderMap::new(),
            limit: None,
        }
    }

    fn needs_trust(&self) -> Option<(&Place, &'static str)> {
        told(&self.place, Some(&self.base_url), self.keys.as_deref(), &self.settings, &self.headers)
    }
}

/// What of an address, its keys and its way only a trusted file may say.
fn told<'a>(
    place: &'a Place,
    base_url: Option<&'a Located<String>>,
    keys: Option<&'a [KeyEntry]>,
    settings: &'a [Setting],
    headers: &HeaderMap,
) -> Option<(&'a Place, &'static str)> {
    let address = base_url.map(|url| (&url.place, "base_url"));
    let key = || keys.map(|keys| (keys.first().map_or(place, |key| &key.place), "api_key"));
    let way = || guarded(settings).map(|setting| (&setting.place, setting.key));
    // A header may be a key, too.
    let header = || (!headers.is_empty()).then_some((place, "headers"));
    address.or_else(key).or_else(way).or_else(header)
}
