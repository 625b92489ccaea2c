//! The provider that a configuration describes: models with addresses and keys of their own, and endpoints in a pool.

use std::collections::HashMap;
use std::sync::Arc;

use http::HeaderMap;
use llm_client::lane::DeclaredLimits;
use llm_client::transport::Endpoint;
use llm_client::{ModelClient, Settings};
use llm_provider::{Clients, ModelConfig, Provider, ProviderSpec, Shared, SpecProvider};
use llm_types::{Error, Extra, Prices};

use crate::{Member, Pool, Strategy};

/// `[providers.NAME]`, where there is more to it than one address and its keys.
#[derive(Debug)]
pub(super) struct ConfiguredProvider {
    /// The provider as such: its name, and who speaks for models that are not its own.
    pub(super) base: SpecProvider,
    pub(super) models: Vec<ModelConfig>,
    /// In place of the base's address.
    pub(super) endpoints: Option<Balanced>,
    /// Models that differ, by name.
    pub(super) own: HashMap<String, Own>,
    /// Shared limits of models' own, by model.
    pub(super) limits: HashMap<String, (String, DeclaredLimits)>,
    /// What goes along with models that are not listed.
    pub(super) headers: HeaderMap,
    pub(super) shared: Arc<Shared>,
    pub(super) clients: Clients,
}

/// Where one model's requests go.
#[derive(Debug)]
pub(super) enum Own {
    /// One address.
    One(Box<Site>),
    /// Several.
    Many(Box<Balanced>),
}

/// Endpoints and the choice between them.
#[derive(Debug)]
pub(super) struct Balanced {
    pub(super) sites: Vec<Site>,
    pub(super) strategy: Option<Strategy>,
    pub(super) fallback: bool,
    /// What holds for the whole, with the caps over all endpoints.
    pub(super) settings: Settings,
}

/// One address with its keys.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) provider: SpecProvider,
    /// The name on the wire here, where it differs.
    pub(super) model: Option<String>,
    /// Whether it is one model's own, and not its provider's.
    pub(super) of_model: bool,
    pub(super) weight: u32,
    pub(super) priority: u32,
    /// The endpoint's own settings, above the model's.
    pub(super) settings: Vec<(&'static str, String)>,
    pub(super) extra: Extra,
    pub(super) headers: HeaderMap,
}

impl Site {
    /// The client of a model here.
    fn client(
        &self,
        model: &ModelConfig,
        of: &Settings,
        limit: Option<&(String, DeclaredLimits)>,
    ) -> Result<Arc<dyn ModelClient>, Error> {
        let mut model = model.clone();
        let mut settings = model.settings.take().unwrap_or_else(|| of.clone());
        for (key, value) in &self.settings {
            settings.set(key, value)?;
        }
        model.settings = Some(settings);
        model.base_url = None;
        // The name it is asked for by stays; of the names on the wire the nearer one holds.
        model.model = match self.of_model {
            true => self.model.clone().or(model.model),
            false => model.model.or_else(|| self.model.clone()),
        };
        for (name, value) in self.extra.iter() {
            model.extra.insert(name, value.to_owned());
        }
        model.headers.extend(self.headers.clone());
        limited(&self.provider, limit).create_client(&model)
    }
}

/// The provider, with one more limit on its clients.
fn limited(provider: &SpecProvider, limit: Option<&(String, DeclaredLimits)>) -> SpecProvider {
    let provider = provider.clone();
    match limit {
        Some((name, declared)) => provider.with_limit(name, *declared),
        None => provider,
    }
}

impl ConfiguredProvider {
    fn pool(&self, balanced: &Balanced, model: &ModelConfig) -> Result<Arc<dyn ModelClient>, Error> {
        let of = model.settings.as_ref().unwrap_or(&balanced.settings);
        if let [only] = &balanced.sites[..] {
            return only.client(model, of, self.limits.get(&model.name));
        }
        let mut pool = Pool::builder(format!("{}/{}", self.name(), model.name))
            .fallback(balanced.fallback)
            .settings(balanced.settings.clone())
            .registry(self.shared.lanes().clone());
        if let Some(strategy) = balanced.strategy {
            pool = pool.strategy(strategy);
        }
        for site in &balanced.sites {
            let client = site.client(model, of, self.limits.get(&model.name))?;
            pool = pool.member(Member::new(client).weight(site.weight).priority(site.priority));
        }
        Ok(Arc::new(pool.build()?))
    }

    fn make(&self, model: &ModelConfig) -> Result<Arc<dyn ModelClient>, Error> {
        let limit = self.limits.get(&model.name);
        if self.is_moved(model) {
            return limited(&self.base, limit).create_client(model);
        }
        match (self.own.get(&model.name), &self.endpoints) {
            (Some(Own::One(site)), _) => site.client(model, &Settings::default(), limit),
            (Some(Own::Many(balanced)), _) => self.pool(balanced, model),
            (None, Some(balanced)) => self.pool(balanced, model),
            (None, None) => limited(&self.base, limit).create_client(model),
        }
    }

    /// Whether somebody outside the files wants this model at another address.
    fn is_moved(&self, model: &ModelConfig) -> bool {
        let own = self.model(&model.name).and_then(|own| own.base_url.as_deref());
        model.base_url.is_some() && model.base_url.as_deref() != own
    }

    fn site_of(&self, model: &ModelConfig) -> Option<&SpecProvider> {
        let sites = match self.own.get(&model.name) {
            Some(Own::One(site)) => return Some(&site.provider),
            Some(Own::Many(balanced)) => &balanced.sites,
            None => &self.endpoints.as_ref()?.sites,
        };
        sites.first().map(|site| &site.provider)
    }
}

impl Provider for ConfiguredProvider {
    fn name(&self) -> &str {
        self.base.name()
    }

    fn create_client(&self, model: &ModelConfig) -> Result<Arc<dyn ModelClient>, Error> {
        match self.model(&model.name) {
            Some(own) if own == model => self.clients.shared(&model.name, || self.make(model)),
            Some(_) => self.make(model),
            None => self.make(&ModelConfig { headers: self.headers.clone(), ..model.clone() }),
        }
    }

    fn clients(&self) -> Option<&Clients> {
        Some(&self.clients)
    }

    fn spec(&self) -> Option<&'static ProviderSpec> {
        self.base.spec()
    }

    fn models(&self) -> &[ModelConfig] {
        &self.models
    }

    fn default_model(&self) -> Option<&str> {
        self.models.first().map(|model| &*model.name).or_else(|| self.base.default_model())
    }

    fn claims(&self, model: &str) -> bool {
        self.base.claims(model)
    }

    fn address(&self) -> Option<String> {
        match &self.endpoints {
            Some(balanced) => balanced.sites.first().and_then(|site| site.provider.address()),
            None => self.base.address(),
        }
    }

    fn key_origin(&self) -> Option<&str> {
        match &self.endpoints {
            Some(balanced) => balanced.sites.iter().find_map(|site| site.provider.key_origin()),
            None => self.base.key_origin(),
        }
    }

    fn address_of(&self, model: &ModelConfig) -> Option<String> {
        if self.is_moved(model) {
            return Some(Endpoint::parse(model.base_url.as_deref()?).ok()?.to_string());
        }
        self.site_of(model).map_or_else(|| self.address(), Provider::address)
    }

    fn price_of(&self, model: &ModelConfig) -> Option<Prices> {
        if model.price.is_some() || self.is_moved(model) {
            return model.price.clone();
        }
        let here = match self.site_of(model) {
            Some(site) => site.price_of(&ModelConfig { base_url: None, ..model.clone() }),
            None => self.base.price_of(model),
        };
        here.or_else(|| model.price.clone())
    }

    fn key_origin_of(&self, model: &ModelConfig) -> Option<&str> {
        if self.is_moved(model) {
            return self.base.key_origin();
        }
        self.site_of(model).map_or_else(|| self.key_origin(), Provider::key_origin)
    }

    fn close(&self) {
        self.clients.forget();
        self.base.close();
    }
}
