//! The provider made from a row of the catalogue and what the user says besides.

use std::sync::Arc;

use llm_client::clock;
use llm_client::dialect::Dialect;
use llm_client::lane::DeclaredLimits;
use llm_client::transport::Endpoint;
use llm_client::{HttpClient, ModelClient, Settings};
use llm_types::{Error, ErrorKind, Secret};

use crate::keys::KeySupply;
use crate::provider::{ModelConfig, Provider};
use crate::shared::Shared;
use crate::spec::ProviderSpec;

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
    keys: KeySupply,
    settings: Settings,
    models: Vec<ModelConfig>,
    key_advice: Option<String>,
    limits: Vec<(String, DeclaredLimits)>,
    shared: Arc<Shared>,
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
            keys: KeySupply::none(),
            settings: Settings::default(),
            models: Vec::new(),
            key_advice: None,
            limits: Vec::new(),
            shared: Arc::new(Shared::from_process_env()),
        }
    }

    /// The row with the address, the key and the proxies that the environment gives it. A variable that cannot be used is found when a
    /// client is made.
    #[must_use]
    pub fn from_env(spec: &'static ProviderSpec, env: &dyn Fn(&str) -> Option<String>) -> Self {
        let mut provider = Self::new(spec).with_shared(Arc::new(Shared::new(env)));
        if let Some((variable, url)) = spec.address_from(env) {
            provider = provider.with_base_url_of(variable, url);
        }
        if let Some((name, text)) = spec.key_from(env) {
            provider.keys = KeySupply::from_variable(name, text);
        }
        provider
    }

    /// Another name than the row's.
    #[must_use]
    pub fn with_name(self, name: impl Into<String>) -> Self {
        Self { name: name.into(), ..self }
    }

    /// Another address. Set the keys after it: those that were there before are dropped, unless they were given for the
    /// same origin.
    #[must_use]
    pub fn with_base_url(self, url: impl Into<String>) -> Self {
        let url = url.into();
        let keys = if self.shares_keys_with(&url) { self.keys } else { KeySupply::none() };
        Self { base_url: Some(url), address_variable: None, keys, ..self }
    }

    /// The address that an environment variable gave.
    #[must_use]
    pub fn with_base_url_of(self, variable: &'static str, url: impl Into<String>) -> Self {
        Self { address_variable: Some(variable), ..self.with_base_url(url) }
    }

    /// Keys to share the calls between.
    #[must_use]
    pub fn with_keys(self, keys: KeySupply) -> Self {
        Self { keys, ..self }
    }

    /// What to tell the user who has no key, after "no key for NAME: ".
    #[must_use]
    pub fn with_key_advice(self, advice: impl Into<String>) -> Self {
        Self { key_advice: Some(advice.into()), ..self }
    }

    /// A limit that its clients share with everybody who names it, over the same [`Shared`]. The last values count.
    #[must_use]
    pub fn with_limit(mut self, name: impl Into<String>, declared: DeclaredLimits) -> Self {
        self.limits.push((name.into(), declared));
        self
    }

    /// Connections, key pools and the state of endpoints, shared with other providers. Without it the clients of this
    /// one share them among themselves.
    #[must_use]
    pub fn with_shared(self, shared: Arc<Shared>) -> Self {
        Self { shared, ..self }
    }

    /// Another format on the wire. The row's quirks stay only with its own.
    #[must_use]
    pub fn with_dialect(self, dialect: Dialect) -> Self {
        Self { dialect, ..self }
    }

    /// The settings of every model that brings none of its own.
    #[must_use]
    pub fn with_settings(self, settings: Settings) -> Self {
        Self { settings, ..self }
    }

    /// The models to list, in their order.
    #[must_use]
    pub fn with_models(self, models: Vec<ModelConfig>) -> Self {
        Self { models, ..self }
    }

    fn shares_keys_with(&self, url: &str) -> bool {
        let Ok(other) = Endpoint::parse(url) else { return false };
        let Some(Ok(own)) = self.base_url.as_deref().map(Endpoint::parse) else { return false };
        self.spec.shares_keys(&own, &other)
    }

    fn keys_for(&self, model: &ModelConfig, address: &Endpoint) -> Result<Vec<Secret>, Error> {
        if let Some(keys) = &model.keys {
            return Ok(keys.clone());
        }
        let foreign = model.base_url.as_deref().is_some_and(|url| !self.shares_keys_with(url));
        // A server that asks for none gets no key over an open line just because a variable is set.
        let settings = model.settings.as_ref().unwrap_or(&self.settings);
        let overheard = !address.is_https() && !address.is_loopback() && !settings.allow_http;
        let spared = overheard && self.keys.is_ambient() && !self.spec.key_required;
        let keys = if foreign || spared { Vec::new() } else { self.keys.read()? };
        if keys.is_empty() && self.spec.key_required && self.spec.owns(address) {
            return Err(self.no_key());
        }
        Ok(keys)
    }

    fn no_key(&self) -> Error {
        let advice = match (&self.key_advice, self.spec.key_env) {
            (Some(advice), _) => advice.clone(),
            (None, []) => "give it one".to_owned(),
            (None, names) => format!("set {}", names.join(" or ")),
        };
        Error::new(ErrorKind::Authentication, format!("no key for {}: {advice}", self.name))
    }

    /// Refuses a model that cannot be there.
    pub(crate) fn check_model(&self, model: &ModelConfig) -> Result<(), Error> {
        let (only, wire) = (self.spec.only_models, model.wire());
        if only.is_empty() || only.contains(&wire) {
            return Ok(());
        }
        let known: Vec<String> = only.iter().map(|known| format!("{}/{known}", self.name)).collect();
        let message = format!("{} has no model `{wire}`; there is {}", self.name, known.join(", "));
        Err(Error::new(ErrorKind::ModelNotFound, message).with_model(&self.name, &model.name))
    }
}

impl Provider for SpecProvider {
    fn name(&self) -> &str {
        &self.name
    }

    fn create_client(&self, model: &ModelConfig) -> Result<Arc<dyn ModelClient>, Error> {
        self.check_model(model)?;
        let named = |e: Error| e.with_model(&self.name, &model.name);
        let Some(base_url) = model.base_url.as_deref().or(self.base_url.as_deref()) else {
            let message = format!("{} needs a base URL", self.name);
            return Err(named(
                Error::new(ErrorKind::Config, message)
                    .with_hint("give it with --base-url, or as base_url in the configuration"),
            ));
        };
        let address = Endpoint::parse(base_url).map_err(|e| match self.address_variable {
            Some(variable) if model.base_url.is_none() => {
                let message = format!("{variable}: {}", e.message());
                named(e.with_message(message))
            }
            _ => named(e),
        })?;
        let keys = self.keys_for(model, &address).map_err(named)?;
        self.connect(base_url, model, keys).map_err(named)
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

    fn key_origin(&self) -> Option<&str> {
        self.keys.origin()
    }

    fn close(&self) {
        self.shared.close();
    }
}

impl SpecProvider {
    /// The one place where a client over HTTP is put together.
    fn connect(
        &self,
        base_url: &str,
        model: &ModelConfig,
        keys: Vec<Secret>,
    ) -> Result<Arc<dyn ModelClient>, Error> {
        let settings = model.settings.clone().unwrap_or_else(|| self.settings.clone());
        let mut builder = HttpClient::builder(base_url, model.wire())
            .provider(&self.name)
            .dialect(self.dialect)
            .transport(self.shared.transport(&settings)?)
            .registry(self.shared.lanes().clone())
            .settings(settings)
            .headers(model.headers.clone())
            .extra(model.extra.clone())
            .capabilities(self.spec.capabilities.clone());
        for (name, declared) in &self.limits {
            builder = builder.shared_limit(self.shared.lanes().update_limit(name, *declared, clock::now()));
        }
        builder = match self.keys.identity() {
            // The provider's own keys share the calls of all its models.
            Some(identity) if model.keys.is_none() && !keys.is_empty() => {
                builder.key_pool(self.shared.key_pool(&self.name, identity, keys)?)
            }
            _ => builder.keys(keys),
        };
        if self.dialect == self.spec.dialect {
            builder = builder.quirks(self.spec.quirks_for(model.wire()));
        }
        if model.name != model.wire() {
            builder = builder.name(&model.name);
        }
        Ok(Arc::new(builder.build()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    static ACME: ProviderSpec = ProviderSpec {
        name: "acme",
        base_url: Some("https://api.acme.example/v1"),
        key_env: &["ACME_API_KEY"],
        key_required: true,
        hosts: &[".acme.example"],
        ..ProviderSpec::COMPATIBLE
    };
    static LOCAL: ProviderSpec = ProviderSpec {
        name: "local",
        base_url: Some("http://127.0.0.1:4711/v1"),
        key_env: &["LOCAL_API_KEY"],
        ..ProviderSpec::COMPATIBLE
    };

    fn keys() -> KeySupply {
        KeySupply::fixed("a test", vec![Secret::new("sk-1")])
    }

    /// The keys that would go to an address which one model has for itself.
    fn sent(provider: &SpecProvider, url: Option<&str>) -> Result<usize, String> {
        let model = ModelConfig { base_url: url.map(str::to_owned), ..ModelConfig::new("m") };
        let address = Endpoint::parse(url.or(provider.base_url.as_deref()).unwrap()).unwrap();
        provider.keys_for(&model, &address).map(|keys| keys.len()).map_err(|e| e.to_string())
    }

    #[test]
    fn a_key_stays_with_the_address_it_was_given_for() {
        let provider = SpecProvider::new(&ACME).with_keys(keys());
        for (url, count) in [
            (None, 1),
            (Some("https://api.acme.example/v2"), 1),
            (Some("https://eu.acme.example/v1"), 1),
            (Some("http://api.acme.example/v1"), 0),
            (Some("https://api.acme.example:8443/v1"), 0),
            (Some("https://api.acme.example.evil.test/v1"), 0),
            (Some("http://127.0.0.1:8000/v1"), 0),
        ] {
            assert_eq!(sent(&provider, url), Ok(count), "{url:?}");
        }
        let moved = provider.clone().with_base_url("https://gateway.test/v1");
        assert_eq!(sent(&moved, None), Ok(0));
        let given = moved.with_keys(keys());
        assert_eq!(sent(&given, None), Ok(1));
        assert_eq!(sent(&given, Some("https://gateway.test/other")), Ok(1));
        assert_eq!(
            sent(&given, Some("https://api.acme.example/v1")).unwrap_err(),
            "no key for acme: set ACME_API_KEY"
        );
        let nearer = provider.with_base_url("https://eu.acme.example/v1");
        assert_eq!(sent(&nearer, None), Ok(1));
    }

    #[test]
    fn a_missing_key_says_what_to_set() {
        let bare = SpecProvider::new(&ACME);
        assert_eq!(sent(&bare, None).unwrap_err(), "no key for acme: set ACME_API_KEY");
        let work = bare.clone().with_name("work").with_key_advice("write api_key under [providers.work]");
        assert_eq!(sent(&work, None).unwrap_err(), "no key for work: write api_key under [providers.work]");
        let error = work.create_client(&ModelConfig::new("m")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Authentication);
        assert_eq!((error.provider(), error.model()), (Some("work"), Some("m")));
        // Somebody else's server may want none.
        assert_eq!(sent(&bare.with_base_url("http://127.0.0.1:8000/v1"), None), Ok(0));
        assert_eq!(sent(&SpecProvider::new(&LOCAL), None), Ok(0));
    }

    #[test]
    fn a_key_that_nobody_asked_for_does_not_go_over_an_open_line() {
        let env = |name: &str| (name == "LOCAL_API_KEY").then(|| "sk-1".to_owned());
        let provider = SpecProvider::from_env(&LOCAL, &env);
        for (url, count) in
            [("http://127.0.0.1:4711/v1", 1), ("http://10.0.0.7:4711/v1", 0), ("https://local.test/v1", 1)]
        {
            let mut provider = provider.clone();
            provider.base_url = Some(url.into());
            assert_eq!(sent(&provider, None), Ok(count), "{url}");
            let mut allowed = provider.clone();
            allowed.settings.allow_http = true;
            assert_eq!(sent(&allowed, None), Ok(1), "{url}");
            assert_eq!(sent(&provider.with_keys(keys()), None), Ok(1), "{url}");
        }
    }

    #[test]
    fn a_broken_variable_hurts_only_who_uses_it() {
        let env = |name: &str| (name == "ACME_API_KEY").then(|| "sk-canary\n".to_owned());
        let provider = SpecProvider::from_env(&ACME, &env);
        let error = provider.create_client(&ModelConfig::new("m")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "ACME_API_KEY: the key has a line break at character 10; a key is made of visible ASCII characters only"
        );
        let other = ModelConfig { keys: Some(Vec::new()), ..ModelConfig::new("m") };
        provider.create_client(&other).unwrap();
        assert!(!format!("{provider:?}").contains("canary"));
    }

    #[test]
    fn the_configured_name_is_shown_and_the_wire_name_sent() {
        let provider = SpecProvider::new(&LOCAL).with_name("mine");
        let model = ModelConfig { model: Some("vendor/big-model".into()), ..ModelConfig::new("big") };
        assert_eq!(provider.create_client(&model).unwrap().id(), "mine/big");
        assert_eq!(provider.create_client(&ModelConfig::new("a/b:c")).unwrap().id(), "mine/a/b:c");
    }
}
