//! From the schema to a manager: which row of the catalogue, which address, which keys, which settings.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use llm_client::Settings;
use llm_client::dialect::Dialect;
use llm_client::transport::Endpoint;
use llm_provider::{
    KeySupply, LoopbackProvider, ModelConfig, Provider, ProviderSpec, Shared, SpecProvider, catalogue,
};
use llm_types::Error;

use super::keys::{self, KeyEntry};
use super::layers::{Layers, SetBy};
use super::load::Sources;
use super::schema::{Config, ProviderEntry, Setting};
use crate::registry::Manager;

/// A manager, and who set what in it.
pub(super) struct Built {
    pub(super) manager: Manager,
    pub(super) set_by: HashMap<String, Vec<SetBy>>,
}

/// The builder's surroundings.
struct Builder<'a> {
    sources: &'a Sources<'a>,
    layers: &'a Layers,
    top: Vec<Setting>,
    shared: Arc<Shared>,
    /// Where the user would write a key.
    file: String,
    set_by: HashMap<String, Vec<SetBy>>,
}

pub(super) fn build(
    config: Config,
    sources: &Sources<'_>,
    layers: &Layers,
    user_config: Option<&Path>,
    shared: Arc<Shared>,
    warnings: &mut Vec<String>,
) -> Result<Built, Error> {
    let manager = Manager::new();
    let file = user_config.map_or_else(|| "the configuration".to_owned(), |path| path.display().to_string());
    let Config { settings: top, aliases, providers, .. } = config;
    let mut builder = Builder { sources, layers, top, shared, file, set_by: HashMap::new() };
    let configured: Vec<String> = providers.iter().map(|provider| provider.name.clone()).collect();
    for entry in providers {
        manager.register_provider(builder.configured(entry, warnings)?)?;
    }
    for row in catalogue::all() {
        if !configured.iter().any(|name| name == row.name)
            && let Some(provider) = builder.built_in(row)?
        {
            manager.register_provider(provider)?;
        }
    }
    for alias in aliases {
        manager.set_alias(&alias.name, &alias.target).map_err(|e| alias.place.error(e.message()))?;
    }
    Ok(Built { manager, set_by: builder.set_by })
}

impl Builder<'_> {
    /// A row that the configuration does not mention.
    fn built_in(&mut self, row: &'static ProviderSpec) -> Result<Option<Arc<dyn Provider>>, Error> {
        let settings = self.settings(row.name, &[])?;
        if row.loopback {
            return Ok(self.loopback(row, settings, Vec::new()));
        }
        let provider = SpecProvider::from_env(row, self.sources.env)
            .with_shared(self.shared.clone())
            .with_settings(settings)
            .with_key_advice(self.advice(row, row.name));
        Ok(Some(Arc::new(provider)))
    }

    /// `[providers.NAME]`.
    fn configured(
        &mut self,
        mut entry: ProviderEntry,
        warnings: &mut Vec<String>,
    ) -> Result<Arc<dyn Provider>, Error> {
        let keys = entry.keys.take();
        let address = entry.base_url.as_ref().map(|url| Endpoint::parse(&url.value)).transpose()?;
        let by_name = catalogue::find(&entry.name);
        let by_host_row = address.as_ref().and_then(catalogue::at);
        let row = by_name.or(by_host_row).unwrap_or(&catalogue::COMPATIBLE_ROW);
        let settings = self.settings(&entry.name, &entry.settings)?;
        let models = self.models(&entry)?;
        if let (true, None) = (row.loopback, &entry.base_url) {
            return self.loopback(row, settings, models).ok_or_else(|| {
                entry
                    .place
                    .error(format_args!("{} needs the `llm` command, which runs its server", entry.name))
            });
        }
        let mut provider = SpecProvider::new(row)
            .with_name(&entry.name)
            .with_shared(self.shared.clone())
            .with_settings(settings)
            .with_models(models)
            .with_key_advice(self.advice(row, &entry.name));
        // As the user says, else by provider, else by host.
        let told = entry.dialect.as_ref().map(|dialect| dialect.value);
        let by_host = || address.as_ref().map(|address| Dialect::by_host(address.host()));
        let known = by_name.is_some() || by_host_row.is_some();
        if let Some(dialect) = told.or_else(|| by_host().filter(|_| !known)) {
            provider = provider.with_dialect(dialect);
        }
        // The vendor's own variables are for the built-in provider, never for an address that somebody wrote down.
        let own = address.as_ref().is_none_or(|address| row.owns(address));
        let from_env = match (&entry.base_url, own) {
            (None, true) => row.address_from(self.sources.env),
            _ => None,
        };
        match (entry.base_url.as_ref().map(|url| url.value.clone()), from_env) {
            (Some(url), _) => provider = provider.with_base_url(url),
            (None, Some((variable, url))) => provider = provider.with_base_url_of(variable, url),
            (None, None) if row.base_url.is_none() => {
                return Err(entry
                    .place
                    .error(format_args!("[providers.{}] needs base_url: where is it?", entry.name)));
            }
            (None, None) => {}
        }
        if let Some(keys) = &keys {
            keys::warnings(keys, warnings);
        }
        let variable = row.key_from(self.sources.env).filter(|_| by_name.is_some());
        let supply = match (keys, variable) {
            // The user wrote which variable it is, or that there is no key.
            (Some(keys), _) if keys.is_empty() || keys.iter().any(KeyEntry::is_variable) => {
                keys::supply(&entry.name, keys, self.sources.env)
            }
            (stored, Some((name, text))) if own => {
                if let Some(key) = stored.as_ref().and_then(|keys| keys.first()) {
                    warnings.push(format!(
                        "{}: {name} is set and goes before the key that stands here; write api_key = {{ env = \"…\" }} to \
                         say which it is",
                        key.place
                    ));
                }
                KeySupply::from_variable(name, text)
            }
            (Some(keys), _) => keys::supply(&entry.name, keys, self.sources.env),
            (None, Some((name, _))) => {
                if let Some(url) = &entry.base_url {
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
        Ok(Arc::new(provider.with_keys(supply)))
    }

    fn loopback(
        &self,
        row: &'static ProviderSpec,
        settings: Settings,
        models: Vec<ModelConfig>,
    ) -> Option<Arc<dyn Provider>> {
        let start = self.sources.loopback.clone()?;
        let provider = LoopbackProvider::new(row, move || start())
            .with_shared(self.shared.clone())
            .with_settings(settings)
            .with_models(models);
        Some(Arc::new(provider))
    }

    fn models(&mut self, entry: &ProviderEntry) -> Result<Vec<ModelConfig>, Error> {
        let mut models = Vec::with_capacity(entry.models.len());
        for model in &entry.models {
            let whose = format!("{}/{}", entry.name, model.name);
            let (settings, set_by) =
                self.layers.over(&[&self.top, &entry.settings, &model.settings], &whose)?;
            self.set_by.insert(whose, set_by);
            models.push(ModelConfig {
                model: model.model.clone(),
                settings: Some(settings),
                extra: model.extra.clone(),
                ..ModelConfig::new(&model.name)
            });
        }
        Ok(models)
    }

    fn settings(&mut self, provider: &str, own: &[Setting]) -> Result<Settings, Error> {
        let (settings, set_by) = self.layers.over(&[&self.top, own], provider)?;
        self.set_by.insert(provider.to_owned(), set_by);
        Ok(settings)
    }

    /// How to give a provider its key.
    fn advice(&self, row: &ProviderSpec, name: &str) -> String {
        let variable = (name == row.name).then(|| row.key_env.join(" or ")).filter(|names| !names.is_empty());
        let (set, example) = match &variable {
            Some(names) => (format!("set {names}, or "), row.key_env.first().copied().unwrap_or_default()),
            None => (String::new(), "VARIABLE"),
        };
        format!("{set}write api_key = {{ env = \"{example}\" }} under [providers.{name}] in {}", self.file)
    }
}
