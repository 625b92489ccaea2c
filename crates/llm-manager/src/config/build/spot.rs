//! Where requests go: an address with its format, its keys and its limits, of a provider, of a model or of one endpoint of
//! several.

use http::HeaderMap;
use llm_client::dialect::Dialect;
use llm_client::lane::{DeclaredLimits, RateLimit};
use llm_client::transport::Endpoint;
use llm_provider::{KeySupply, Provider as _, SpecProvider, catalogue};
use llm_types::{Error, Extra};

use super::several::balanced;
use super::{Builder, CONFIGURED};
use crate::config::keys::{self, KeyEntry};
use crate::config::schema::{EndpointEntry, Located, ModelEntry, ProviderEntry};
use crate::config::site::{Own, Site};

/// Where requests go, in whose format, with which keys.
pub(super) struct Spot<'a> {
    pub(super) url: Option<&'a Located<String>>,
    pub(super) dialect: Option<&'a Located<Dialect>>,
    pub(super) keys: Option<&'a [KeyEntry]>,
    /// What tells the keys from others of the provider, beside the address.
    pub(super) identity: String,
}

impl Builder<'_> {
    /// The declared limit of this name; that it is there was checked.
    pub(super) fn limit(&self, name: &Located<String>) -> Option<(String, DeclaredLimits)> {
        let entry = self.limits.iter().find(|limit| limit.name == name.value)?;
        let rate =
            |per_minute: Option<u32>, burst| per_minute.map(|per_minute| RateLimit { per_minute, burst });
        let declared = DeclaredLimits {
            max_concurrent_calls: entry.max_concurrent_calls,
            requests: rate(entry.requests_per_minute, entry.requests_burst),
            tokens: rate(entry.tokens_per_minute, entry.tokens_burst),
        };
        Some((entry.name.clone(), declared))
    }

    pub(super) fn limited(&self, provider: SpecProvider, name: Option<&Located<String>>) -> SpecProvider {
        match name.and_then(|name| self.limit(name)) {
            Some((name, declared)) => provider.with_limit(name, declared),
            None => provider,
        }
    }

    /// One address of a provider, with its keys; `None` where nobody says where it is.
    pub(super) fn spot(
        &self,
        entry: &ProviderEntry,
        spot: &Spot<'_>,
        warnings: &mut Vec<String>,
    ) -> Result<Option<SpecProvider>, Error> {
        let address = spot.url.map(|url| Endpoint::parse(&url.value)).transpose()?;
        let by_name = catalogue::find(&entry.name);
        let by_host_row = address.as_ref().and_then(catalogue::at);
        let row = by_name.or(by_host_row).unwrap_or(&catalogue::COMPATIBLE_ROW);
        let mut provider = SpecProvider::new(row)
            .with_name(&entry.name)
            .with_shared(self.shared.clone())
            .with_sign_in_from(self.sources.env)
            .with_key_advice(self.advice(row, &entry.name));
        // As the user says, else by provider, else by host.
        let told = spot.dialect.map(|dialect| dialect.value);
        let by_host = || address.as_ref().map(|address| Dialect::by_host(address.host()));
        let known = by_name.is_some() || by_host_row.is_some();
        if let Some(dialect) = told.or_else(|| by_host().filter(|_| !known)) {
            provider = provider.with_dialect(dialect);
        }
        if let Some(tags) = entry.think_tags {
            provider = provider.with_think_tags(tags);
        }
        // The vendor's own variables are for the built-in provider, never for an address that somebody wrote down.
        let own = address.as_ref().is_none_or(|address| row.owns(address));
        let from_env = match (spot.url, own) {
            (None, true) => row.address_from(self.sources.env),
            _ => None,
        };
        match (spot.url.map(|url| url.value.clone()), from_env) {
            (Some(url), _) => provider = provider.with_base_url(url),
            (None, Some((variable, url))) => provider = provider.with_base_url_of(variable, url),
            (None, None) if row.base_url.is_none() => return Ok(None),
            (None, None) => {}
        }
        let keys = spot.keys.map(<[KeyEntry]>::to_vec);
        let stored = entry.stored_first && keys.is_some();
        let variable = row.key_from(self.sources.env).filter(|_| by_name.is_some() && !stored);
        let identity = |supply: KeySupply| {
            let address = provider.address().unwrap_or_default();
            let identity = format!("{CONFIGURED}{} at {address}", spot.identity);
            // As the provider names its pools.
            self.key_pools.borrow_mut().insert(format!("{} ({identity})", entry.name));
            supply.with_identity(identity)
        };
        let supply = match (keys, variable) {
            // The user wrote that there is no key: a pool that was there before is gone.
            (Some(keys), _) if keys.is_empty() => KeySupply::none(),
            // The user wrote which variable it is.
            (Some(keys), _) if keys.iter().any(KeyEntry::is_variable) => {
                identity(keys::supply(&entry.name, keys, self.sources.env))
            }
            (stored, Some((name, text))) if own => {
                if let Some(key) = stored.as_ref().and_then(|keys| keys.first()) {
                    warnings.push(format!(
                        "{}: {name} is set and goes before the key that stands here; write api_key = {{ env = \"…\" }} to \
                         say which it is",
                        key.place
                    ));
                }
                KeySupply::from_variable(name, text).before(&row.other_keys(self.sources.env))
            }
            (Some(keys), _) => identity(keys::supply(&entry.name, keys, self.sources.env)),
            (None, Some((name, _))) => {
                if let Some(url) = spot.url {
                    warnings.push(format!(
                        "{}: {name} is not sent there, since it is not one of {}'s own hosts; write api_key = {{ env = \
                         \"{name}\" }} if it is meant to be, or api_keys = [] to be silent",
                        url.place, row.display
                    ));
                }
                KeySupply::none()
            }
            (None, None) => KeySupply::none(),
        };
        Ok(Some(provider.with_keys(supply)))
    }

    /// A model whose address, keys or format are its own.
    pub(super) fn own(
        &self,
        entry: &ProviderEntry,
        model: &ModelEntry,
        base: &SpecProvider,
        keys: Option<&[KeyEntry]>,
        warnings: &mut Vec<String>,
    ) -> Result<Own, Error> {
        if !model.endpoints.is_empty() {
            let levels = [&self.top[..], &entry.settings, &model.settings];
            let whole = self.whole(&levels, &model.balance, &format!("{}/{}", entry.name, model.name))?;
            let sites = model
                .endpoints
                .iter()
                .enumerate()
                .map(|(at, endpoint)| {
                    self.site(
                        entry,
                        endpoint,
                        at,
                        Some(&model.name),
                        model.keys.as_deref().or(keys),
                        warnings,
                    )
                })
                .collect::<Result<_, _>>()?;
            return Ok(Own::Many(Box::new(balanced(sites, &model.balance, whole))));
        }
        // A key that was given for the provider's address stays with that.
        let moved = model.base_url.as_ref().map(|url| base.clone().with_base_url(&url.value));
        let stays = moved.is_none_or(|moved| moved.key_origin().is_some());
        let spot = Spot {
            url: model.base_url.as_ref().or(entry.base_url.as_ref()),
            dialect: model.dialect.as_ref().or(entry.dialect.as_ref()),
            keys: model.keys.as_deref().or(keys.filter(|_| stays)),
            identity: match &model.keys {
                Some(_) => format!("{}/{}", entry.name, model.name),
                None => entry.name.clone(),
            },
        };
        let needs =
            || model.place.error(format_args!("{}/{} needs base_url: where is it?", entry.name, model.name));
        let provider = self.spot(entry, &spot, warnings)?.ok_or_else(needs)?;
        let provider = self.limited(provider, entry.limit.as_ref());
        Ok(Own::One(Box::new(Site {
            provider,
            model: None,
            of_model: true,
            weight: 1,
            priority: 0,
            settings: Vec::new(),
            extra: Extra::new(),
            headers: HeaderMap::new(),
        })))
    }

    /// One of several endpoints, of a provider or of one model.
    pub(super) fn site(
        &self,
        entry: &ProviderEntry,
        endpoint: &EndpointEntry,
        at: usize,
        model: Option<&str>,
        keys: Option<&[KeyEntry]>,
        warnings: &mut Vec<String>,
    ) -> Result<Site, Error> {
        let list = model.map_or_else(String::new, |model| format!("/{model}"));
        let spot = Spot {
            url: Some(&endpoint.base_url),
            dialect: endpoint.dialect.as_ref().or(entry.dialect.as_ref()),
            keys: endpoint.keys.as_deref().or(keys),
            identity: match &endpoint.keys {
                Some(_) => format!("{}{list}[{at}]", entry.name),
                None => format!("{}{list}", entry.name),
            },
        };
        let needs = || endpoint.place.error("this endpoint has no address");
        let provider = self.spot(entry, &spot, warnings)?.ok_or_else(needs)?;
        let provider = self.limited(self.limited(provider, entry.limit.as_ref()), endpoint.limit.as_ref());
        // Found here, with a place, and not when the first client is made.
        let whose = format!("{}{list}[{at}]", entry.name);
        self.layers.over(&[&self.top, &entry.settings, &endpoint.settings], &whose)?;
        let outside = |key: &str| self.layers.above.iter().any(|set| set.key == key);
        let own = endpoint.settings.iter().filter(|setting| !outside(setting.key));
        Ok(Site {
            provider,
            model: endpoint.model.clone(),
            of_model: model.is_some(),
            weight: endpoint.weight,
            priority: endpoint.priority,
            settings: own.map(|setting| (setting.key, setting.value.clone())).collect(),
            extra: endpoint.extra.clone(),
            headers: endpoint.headers.clone(),
        })
    }
}
