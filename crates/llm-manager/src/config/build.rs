//! From the schema to a manager: which row of the catalogue, which address, which keys, which settings.

use std::cell::RefCell;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use http::HeaderMap;
use llm_client::Settings;
use llm_client::dialect::Dialect;
use llm_client::lane::{DeclaredLimits, RateLimit};
use llm_client::transport::Endpoint;
use llm_provider::{
    Clients, KeySupply, LoopbackProvider, ModelConfig, Provider, ProviderSpec, Shared, SpecProvider,
    catalogue,
};
use llm_types::{Error, ErrorKind, Extra};

use super::groups::Groups;
use super::keys::{self, KeyEntry};
use super::layers::{Layers, SetBy};
use super::load::Sources;
use super::schema::{
    Alias, Balance, ChainEntry, Config, EndpointEntry, LimitEntry, Located, ModelEntry, PoolEntry,
    ProviderEntry, Setting,
};
use super::site::{Balanced, ConfiguredProvider, Own, Site};
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

/// Where requests go, in whose format, with which keys.
struct Spot<'a> {
    url: Option<&'a Located<String>>,
    dialect: Option<&'a Located<Dialect>>,
    keys: Option<&'a [KeyEntry]>,
    /// What tells the keys from others of the provider, beside the address.
    identity: String,
}

fn balanced(sites: Vec<Site>, balance: &Balance, settings: Settings) -> Balanced {
    let strategy = balance.strategy.as_ref().map(|strategy| strategy.value);
    Balanced { sites, strategy, fallback: balance.fallback, settings }
}

fn is_cap(key: &str) -> bool {
    ["max_concurrent_calls", "requests_per_minute", "tokens_per_minute"].contains(&key)
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
    let prices = providers.iter().flat_map(|provider| {
        let price =
            |model: &ModelEntry| Some((format!("{}/{}", provider.name, model.name), model.price.clone()?));
        provider.models.iter().filter_map(price)
    });
    let spending = Arc::new(Spending::new(prices.collect()));
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

    /// The declared limit of this name; that it is there was checked.
    fn limit(&self, name: &Located<String>) -> Option<(String, DeclaredLimits)> {
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

    fn limited(&self, provider: SpecProvider, name: Option<&Located<String>>) -> SpecProvider {
        match name.and_then(|name| self.limit(name)) {
            Some((name, declared)) => provider.with_limit(name, declared),
            None => provider,
        }
    }

    /// One address of a provider, with its keys; `None` where nobody says where it is.
    fn spot(
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
    fn own(
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
    fn site(
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

    /// The settings of several together: those of their level, but for the caps, which are each one's own unless they
    /// are said of the whole.
    fn whole(&self, levels: &[&[Setting]], balance: &Balance, whose: &str) -> Result<Settings, Error> {
        let (settings, _) = self.layers.over(levels, whose)?;
        self.capped(settings, &balance.settings, whose)
    }

    fn capped(&self, mut settings: Settings, own: &[Setting], whose: &str) -> Result<Settings, Error> {
        for key in ["max_concurrent_calls", "requests_per_minute", "tokens_per_minute"] {
            settings.set(key, "none")?;
        }
        let outside = |key: &str| self.layers.above.iter().any(|set| set.key == key && !is_cap(key));
        for setting in own.iter().filter(|setting| !outside(setting.key)) {
            settings.set(setting.key, &setting.value)?;
        }
        settings.check().map_err(|e| Error::new(ErrorKind::Config, format!("{whose}: {e}")))?;
        Ok(settings)
    }

    /// `[pools]` and `[chains]`.
    fn groups(
        &self,
        pools: Vec<PoolEntry>,
        chains: Vec<ChainEntry>,
        spending: Arc<Spending>,
    ) -> Result<Arc<Groups>, Error> {
        let (top, _) = self.layers.over(&[&self.top], "the settings")?;
        let settings = |own: &[Setting], whose: String| self.capped(top.clone(), own, &whose);
        let pools = pools
            .into_iter()
            .map(|pool| Ok((settings(&pool.balance.settings, format!("pool/{}", pool.name))?, pool)))
            .map(|pair| pair.map(|(settings, pool)| (pool, settings)))
            .collect::<Result<_, Error>>()?;
        let chains = chains
            .into_iter()
            .map(|chain| Ok((settings(&chain.settings, format!("chain/{}", chain.name))?, chain)))
            .map(|pair| pair.map(|(settings, chain)| (chain, settings)))
            .collect::<Result<_, Error>>()?;
        Ok(Groups::new(pools, chains, self.shared.clone(), spending))
    }

    /// A pool is often named like the model that its members serve: the bare name is the pool's then.
    fn names_of_groups(&self, manager: &Manager, groups: &Groups) -> Result<(), Error> {
        let models = manager.models();
        for (word, name) in groups.names() {
            if models.iter().any(|model| model.name == name && model.provider != word) {
                manager.set_alias(name, format!("{word}/{name}"))?;
            }
        }
        Ok(())
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
                price: model.price.clone(),
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
