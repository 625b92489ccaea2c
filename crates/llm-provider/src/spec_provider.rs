//! The provider made from a row of the catalogue and what the user says besides.

use std::sync::Arc;

use llm_client::dialect::{Dialect, ThinkTags};
use llm_client::lane::DeclaredLimits;
use llm_client::transport::Endpoint;
use llm_client::{ModelClient, Settings};
use llm_types::{Error, ErrorKind, Prices, Secret};

use crate::catalogue;
use crate::clients::Clients;
use crate::keys::KeySupply;
use crate::provider::{ModelConfig, Provider};
use crate::shared::Shared;
use crate::signed_in::SignedIn;
use crate::spec::ProviderSpec;

mod make;
#[cfg(test)]
mod tests;

/// A [`Provider`] from a row of the catalogue.
///
/// ```
/// use llm_provider::{ModelConfig, Provider, SpecProvider, catalogue};
/// let row = catalogue::find("vllm").unwrap();
/// let provider = SpecProvider::new(row).with_base_url("http://127.0.0.1:8000/v1");
/// let client = provider.create_client(&ModelConfig::new("qwen3-8b")).unwrap();
/// assert_eq!(client.id(), "vllm/qwen3-8b");
/// ```
#[derive(Clone, Debug)]
pub struct SpecProvider {
    spec: &'static ProviderSpec,
    name: String,
    base_url: Option<String>,
    address_variable: Option<&'static str>,
    dialect: Dialect,
    think_tags: Option<ThinkTags>,
    keys: KeySupply,
    signed_in: Arc<SignedIn>,
    settings: Settings,
    models: Vec<ModelConfig>,
    key_advice: Option<String>,
    limits: Vec<(String, DeclaredLimits)>,
    shared: Arc<Shared>,
    /// Another provider than before has other clients: every change begins with none.
    clients: Arc<Clients>,
}

impl SpecProvider {
    /// The row as it stands: its own address, no key, the default settings.
    #[must_use]
    pub fn new(spec: &'static ProviderSpec) -> Self {
        Self {
            spec,
            name: spec.name.to_owned(),
            base_url: spec.base_url.map(str::to_owned),
            address_variable: None,
            dialect: spec.dialect,
            think_tags: None,
            keys: KeySupply::none(),
            signed_in: Arc::new(SignedIn::of_process(spec)),
            settings: Settings::default(),
            models: Vec::new(),
            key_advice: None,
            limits: Vec::new(),
            shared: Arc::new(Shared::from_process_env()),
            clients: Arc::default(),
        }
    }

    /// A provider of one model, without any file: the row's default model and address where none are given.
    ///
    /// # Errors
    /// Kind `Config` for a key that no header can carry, and where no model is named and the row has no default.
    pub fn create_simple(
        spec: &'static ProviderSpec,
        api_key: &str,
        model: Option<&str>,
        base_url: Option<&str>,
    ) -> Result<Self, Error> {
        let config = |message: String| Error::new(ErrorKind::Config, message);
        let Some(model) = model.or(spec.default_model) else {
            return Err(config(format!("name a model: {} has none for those who name none", spec.name)));
        };
        let mut provider = Self::new(spec);
        if let Some(url) = base_url {
            provider = provider.with_base_url(url);
        }
        if !api_key.is_empty() {
            let key = Secret::key(api_key).map_err(|e| config(e.to_string()))?;
            provider = provider.with_keys(KeySupply::fixed("the caller", vec![key]));
        }
        Ok(provider.with_models(vec![ModelConfig::new(model)]))
    }

    /// A provider of this name with these models, which go by their configured names. The row is the one of the name; for
    /// any other name each model's address tells its row, so that it needs a base URL.
    ///
    /// # Errors
    /// Kind `Config`, when two models have the same name, or the same endpoint and other limits: an endpoint's limits are
    /// one for all who call it.
    pub fn create_from_config(name: &str, models: Vec<ModelConfig>) -> Result<Self, Error> {
        let config = |message: String| Err(Error::new(ErrorKind::Config, message));
        let provider = Self::new(catalogue::find(name).unwrap_or(&catalogue::COMPATIBLE_ROW)).with_name(name);
        let limits = |model: &ModelConfig| {
            let settings = model.settings.as_ref().unwrap_or(&provider.settings);
            (settings.max_concurrent_calls, settings.requests_per_minute, settings.tokens_per_minute)
        };
        for (at, model) in models.iter().enumerate() {
            for other in models.iter().take(at) {
                if other.name == model.name {
                    return config(format!("{name} has two models of the name `{}`", model.name));
                }
                let same = other.wire() == model.wire() && other.base_url == model.base_url;
                if same && limits(other) != limits(model) {
                    return config(format!(
                        "{name}: `{}` and `{}` are the same model at the same address, and their limits differ",
                        other.name, model.name
                    ));
                }
            }
        }
        Ok(provider.with_models(models))
    }

    /// The client of the first model, else of the row's default.
    ///
    /// # Errors
    /// Kind `Config` when there is neither, and those of making it.
    pub fn create_default_client(&self) -> Result<Arc<dyn ModelClient>, Error> {
        let Some(model) = self.default_model() else {
            let message = format!("name a model: {} has none for those who name none", self.name);
            return Err(Error::new(ErrorKind::Config, message));
        };
        self.client(model)
    }

    /// Opens connections for a model ahead of need; gives how many were opened. [`Settings::eager_init`] does it by
    /// itself where there is a runtime when the client is made.
    ///
    /// # Errors
    /// Those of making the client and of connecting.
    pub async fn warm_up(&self, model: &str, connections: usize) -> Result<usize, Error> {
        let client = match self.clients.http(model) {
            Some(client) => client,
            None => {
                let configured = self.model(model).cloned();
                self.make(&configured.unwrap_or_else(|| ModelConfig::new(model)), None)?
            }
        };
        client.warm_up(connections).await
    }

    /// The row with the address, the key and the proxies that the environment gives it. A variable that cannot be used is found when a
    /// client is made.
    #[must_use]
    pub fn from_env(spec: &'static ProviderSpec, env: &dyn Fn(&str) -> Option<String>) -> Self {
        let mut provider = Self::new(spec).with_shared(Arc::new(Shared::new(env))).with_sign_in_from(env);
        if let Some((variable, url)) = spec.address_from(env) {
            provider = provider.with_base_url_of(variable, url);
        }
        if let Some((name, text)) = spec.key_from(env) {
            provider.keys = KeySupply::from_variable(name, text).before(&spec.other_keys(env));
        }
        provider
    }

    /// The account that this environment tells of, in place of the process's own, for a row that wants one. Nothing is read before a client is made.
    #[must_use]
    pub fn with_sign_in_from(self, env: &dyn Fn(&str) -> Option<String>) -> Self {
        let Some(sign_in) = &self.spec.sign_in else { return self };
        let signed_in = Arc::new(SignedIn::from_env(sign_in, env));
        Self { signed_in, ..self.anew() }
    }

    /// The credentials file of an account, for a row that wants one. Its tokens go to this provider's address, whichever
    /// that is.
    #[must_use]
    pub fn with_credentials(self, file: impl Into<std::path::PathBuf>) -> Self {
        Self { signed_in: Arc::new(SignedIn::from_file(file.into())), ..self.anew() }
    }

    /// Another name than the row's.
    #[must_use]
    pub fn with_name(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self.anew() }
    }

    /// Another address. Set the keys after it: those that were there before are dropped, unless they were given for the
    /// same origin.
    #[must_use]
    pub fn with_base_url(self, url: impl Into<String>) -> Self {
        let url = url.into();
        let keys = if self.shares_keys_with(&url) { self.keys } else { KeySupply::none() };
        Self { base_url: Some(url), address_variable: None, keys, clients: Arc::default(), ..self }
    }

    /// The address that an environment variable gave.
    #[must_use]
    pub fn with_base_url_of(self, variable: &'static str, url: impl Into<String>) -> Self {
        Self { address_variable: Some(variable), ..self.with_base_url(url) }
    }

    /// Keys to share the calls between.
    #[must_use]
    pub fn with_keys(self, keys: KeySupply) -> Self {
        Self { keys, ..self.anew() }
    }

    /// What to tell the user who has no key, after "no key for NAME: ".
    #[must_use]
    pub fn with_key_advice(self, advice: impl Into<String>) -> Self {
        Self { key_advice: Some(advice.into()), ..self.anew() }
    }

    /// A limit that its clients share with everybody who names it, over the same [`Shared`]. The last values count.
    #[must_use]
    pub fn with_limit(mut self, name: impl Into<String>, declared: DeclaredLimits) -> Self {
        self.limits.push((name.into(), declared));
        self.clients = Arc::default();
        self
    }

    /// Connections, key pools and the state of endpoints, shared with other providers. Without it the clients of this
    /// one share them among themselves.
    #[must_use]
    pub fn with_shared(self, shared: Arc<Shared>) -> Self {
        Self { shared, ..self.anew() }
    }

    /// Another format on the wire. The row's quirks stay only with its own.
    #[must_use]
    pub fn with_dialect(self, dialect: Dialect) -> Self {
        Self { dialect, ..self.anew() }
    }

    /// Where content holds thoughts between tags, in place of what the row says. A server may be started either way, and
    /// its answers do not tell.
    #[must_use]
    pub fn with_think_tags(self, think_tags: ThinkTags) -> Self {
        Self { think_tags: Some(think_tags), ..self.anew() }
    }

    /// The settings of every model that brings none of its own.
    #[must_use]
    pub fn with_settings(self, settings: Settings) -> Self {
        Self { settings, ..self.anew() }
    }

    /// The models to list, in their order.
    #[must_use]
    pub fn with_models(self, models: Vec<ModelConfig>) -> Self {
        Self { models, ..self.anew() }
    }

    fn anew(self) -> Self {
        Self { clients: Arc::default(), ..self }
    }

    fn shares_keys_with(&self, url: &str) -> bool {
        let Ok(other) = Endpoint::parse(url) else { return false };
        let Some(Ok(own)) = self.base_url.as_deref().map(Endpoint::parse) else { return false };
        self.spec.shares_keys(&own, &other)
    }
}

impl Provider for SpecProvider {
    fn name(&self) -> &str {
        &self.name
    }

    fn create_client(&self, model: &ModelConfig) -> Result<Arc<dyn ModelClient>, Error> {
        self.create_at(model, None)
    }

    fn clients(&self) -> Option<&Clients> {
        Some(&self.clients)
    }

    fn spec(&self) -> Option<&'static ProviderSpec> {
        Some(self.spec)
    }

    fn models(&self) -> &[ModelConfig] {
        &self.models
    }

    fn default_model(&self) -> Option<&str> {
        self.models.first().map(|model| &*model.name).or(self.spec.default_model)
    }

    fn claims(&self, model: &str) -> bool {
        // A second provider on the same row is asked for by its name.
        self.name == self.spec.name && self.spec.claims(model)
    }

    fn address(&self) -> Option<String> {
        Some(Endpoint::parse(self.base_url.as_deref()?).ok()?.to_string())
    }

    fn price_of(&self, model: &ModelConfig) -> Option<Prices> {
        let url = model.base_url.as_deref().or(self.base_url.as_deref());
        let address = match url {
            Some(url) => Some(Endpoint::parse(url).ok()?),
            None => None,
        };
        self.prices_at(model, address.as_ref()).map(|prices| Prices::clone(&prices))
    }

    fn key_origin(&self) -> Option<&str> {
        self.keys.origin().or_else(|| self.signed_in.origin())
    }

    fn close(&self) {
        self.clients.forget();
        self.shared.close();
    }
}
