//! From the schema to a manager: which row of the catalogue, which address, which keys, which settings.

mod several;
mod spot;

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use llm_client::Settings;
use llm_client::lane::DeclaredLimits;
use llm_provider::{
    Clients, LoopbackProvider, ModelConfig, Provider, ProviderSpec, Shared, SpecProvider, catalogue,
};
use llm_types::Error;

use self::several::balanced;
use self::spot::Spot;
use super::keys;
use super::layers::{Layers, SetBy};
use super::schema::{Alias, Config, LimitEntry, ModelEntry, ProviderEntry, Setting};
use super::site::ConfiguredProvider;
use super::sources::Sources;
use super::spending::{Budgeting, Spending};
use crate::Budgets;
use crate::registry::Manager;

/// A manager, and who set what in it.
pub(super) struct Built {
    pub(super) manager: Manager,
    pub(super) set_by: HashMap<String, Vec<SetBy>>,
    pub(super) key_pools: HashSet<String>,
    /// The providers with more to them than one address.
    pub(super) sites: HashMap<String, Arc<ConfiguredProvider>>,
}

/// How the identities of all keys begin that a configuration gives, so that a reload can tell them from a service's own.
pub(super) const CONFIGURED: &str = "configured: ";

/// The builder's surroundings.
struct Builder<'a> {
    sources: &'a Sources<'a>,
    layers: &'a Layers,
    top: Vec<Setting>,
    shared: Arc<Shared>,
    /// Where the user would write a key.
    file: String,
    set_by: HashMap<String, Vec<SetBy>>,
    limits: Vec<LimitEntry>,
    key_pools: RefCell<HashSet<String>>,
    sites: HashMap<String, Arc<ConfiguredProvider>>,
}

pub(super) fn build(
    config: Config,
    sources: &Sources<'_>,
    layers: &Layers,
    user_config: Option<&Path>,
    shared: Arc<Shared>,
    purse: &Arc<Budgets>,
    warnings: &mut Vec<String>,
) -> Result<Built, Error> {
    let manager = Manager::new();
    let file = user_config.map_or_else(|| "the configuration".to_owned(), |path| path.display().to_string());
    config.check()?;
    let Config { settings: top, aliases, providers, pools, chains, budgets, limits, .. } = config;
    let mut builder = Builder {
        sources,
        layers,
        top,
        shared,
        file,
        set_by: HashMap::new(),
        limits,
        key_pools: RefCell::default(),
        sites: HashMap::new(),
    };
    let configured: Vec<String> = providers.iter().map(|provider| provider.name.clone()).collect();
    let spending = Arc::new(Spending::default());
    // A client without budgets is not wrapped.
    let budgeted = |provider: Arc<dyn Provider>| -> Arc<dyn Provider> {
        if budgets.is_empty() { provider } else { Arc::new(Budgeting::new(provider, spending.clone())) }
    };
    for entry in providers {
        manager.register_provider(budgeted(builder.configured(entry, warnings)?))?;
    }
    let groups = builder.groups(pools, chains, spending.clone())?;
    groups.register(&manager)?;
    for row in catalogue::all() {
        if !configured.iter().any(|name| name == row.name)
            && let Some(provider) = builder.built_in(row)?
        {
            manager.register_provider(budgeted(provider))?;
        }
    }
    for alias in &aliases {
        manager.set_alias(&alias.name, &alias.target).map_err(|e| alias.place.error(e.message()))?;
    }
    builder.names_of_groups(&manager, &groups)?;
    for alias in &aliases {
        builder.check_alias(&manager, alias)?;
    }
    groups.link(&manager)?;
    // The last step: it takes limits over that may be in use.
    spending.link(&manager, &budgets, purse)?;
    let key_pools = builder.key_pools.into_inner();
    Ok(Built { manager, set_by: builder.set_by, key_pools, sites: builder.sites })
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
        for entries in entry.all_keys().chain(keys.as_ref()) {
            keys::warnings(entries, warnings);
        }
        let settings = self.settings(&entry.name, &entry.settings)?;
        let row = catalogue::find(&entry.name);
        if let (Some(row), None, true) =
            (row.filter(|row| row.loopback), &entry.base_url, entry.endpoints.is_empty())
        {
            let models = self.models(&entry, None)?;
            return self.loopback(row, settings, models).ok_or_else(|| {
                entry
                    .place
                    .error(format_args!("{} needs the `llm` command, which runs its server", entry.name))
            });
        }
        let spot = Spot {
            url: entry.base_url.as_ref().or_else(|| entry.endpoints.first().map(|one| &one.base_url)),
            dialect: entry.dialect.as_ref(),
            keys: keys.as_deref(),
            identity: entry.name.clone(),
        };
        let base = match self.spot(&entry, &spot, warnings)? {
            Some(base) => self.limited(base, entry.limit.as_ref()).with_settings(settings),
            // Every model may have an address of its own.
            None if !entry.models.is_empty() && entry.models.iter().all(ModelEntry::has_address) => {
                SpecProvider::new(&catalogue::COMPATIBLE_ROW)
                    .with_name(&entry.name)
                    .with_shared(self.shared.clone())
                    .with_settings(settings)
            }
            None => {
                return Err(entry
                    .place
                    .error(format_args!("[providers.{}] needs base_url: where is it?", entry.name)));
            }
        };
        let models = self.models(&entry, Some(&base))?;
        let limits: HashMap<String, (String, DeclaredLimits)> = entry
            .models
            .iter()
            .filter_map(|model| Some((model.name.clone(), self.limit(model.limit.as_ref()?)?)))
            .collect();
        let plain = entry.endpoints.is_empty() && entry.models.iter().all(|model| !model.is_own());
        if plain && limits.is_empty() && entry.headers.is_empty() {
            return Ok(Arc::new(base.with_models(models)));
        }
        let mut own = HashMap::new();
        for model in entry.models.iter().filter(|model| model.is_own()) {
            own.insert(model.name.clone(), self.own(&entry, model, &base, keys.as_deref(), warnings)?);
        }
        let endpoints = match &entry.endpoints[..] {
            [] => None,
            endpoints => {
                let levels = [&self.top[..], &entry.settings];
                let whole = self.whole(&levels, &entry.balance, &entry.name)?;
                let sites = endpoints
                    .iter()
                    .enumerate()
                    .map(|(at, endpoint)| self.site(&entry, endpoint, at, None, keys.as_deref(), warnings))
                    .collect::<Result<_, _>>()?;
                Some(balanced(sites, &entry.balance, whole))
            }
        };
        let shared = self.shared.clone();
        let provider = Arc::new(ConfiguredProvider {
            base,
            models,
            endpoints,
            own,
            limits,
            headers: entry.headers,
            shared,
            clients: Clients::new(),
        });
        self.sites.insert(entry.name.clone(), provider.clone());
        Ok(provider)
    }

    /// An alias leads to something.
    fn check_alias(&self, manager: &Manager, alias: &Alias) -> Result<(), Error> {
        // A provider that only the command has is not there for a service that reads the same file.
        let head = alias.target.split(['/', ':']).next().unwrap_or_default();
        if self.sources.loopback.is_none() && catalogue::find(head).is_some_and(|row| row.loopback) {
            return Ok(());
        }
        manager.resolve(&alias.target).map(drop).map_err(|e| {
            let error = alias.place.error(format_args!("`{}` leads nowhere: {}", alias.name, e.message()));
            e.hint().map_or(error.clone(), |hint| error.with_hint(hint))
        })
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

    fn models(
        &mut self,
        entry: &ProviderEntry,
        base: Option<&SpecProvider>,
    ) -> Result<Vec<ModelConfig>, Error> {
        let mut models = Vec::with_capacity(entry.models.len());
        for model in &entry.models {
            let whose = format!("{}/{}", entry.name, model.name);
            let (settings, set_by) =
                self.layers.over(&[&self.top, &entry.settings, &model.settings], &whose)?;
            self.set_by.insert(whose, set_by);
            let mut headers = entry.headers.clone();
            headers.extend(model.headers.clone());
            models.push(ModelConfig {
                model: model.model.clone(),
                base_url: model.base_url.as_ref().filter(|_| base.is_some()).map(|url| url.value.clone()),
                settings: Some(settings),
                price: model.price.clone().map(Into::into),
                think_tags: model.think_tags,
                extra: model.extra.clone(),
                headers,
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
