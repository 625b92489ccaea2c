//! The contract of a provider, and what is said about one of its models.

use std::fmt;
use std::sync::Arc;

use http::HeaderMap;
use llm_client::dialect::ThinkTags;
use llm_client::{ModelClient, Settings};
use llm_types::{Error, ErrorKind, Extra, Prices, Secret};

use crate::clients::Clients;
use crate::spec::ProviderSpec;

/// One model as it is configured: its name, and where it differs from its provider.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelConfig {
    /// The name it is asked for by.
    pub name: String,
    /// The name on the wire, where it differs.
    pub model: Option<String>,
    /// Another address. The provider's keys do not go there, unless it is of the same origin.
    pub base_url: Option<String>,
    /// Other keys. An empty list: none are sent.
    pub keys: Option<Vec<Secret>>,
    /// The settings, complete, in place of the provider's.
    pub settings: Option<Settings>,
    /// What its tokens cost, where the user says so. Else a list of his and our own table are asked.
    pub price: Option<Prices>,
    /// Where its content holds thoughts between tags, in place of what its provider and its name tell.
    pub think_tags: Option<ThinkTags>,
    /// Members of the body that are sent as they are with every request.
    pub extra: Extra,
    /// Headers that are sent with every request.
    pub headers: HeaderMap,
}

impl ModelConfig {
    /// A model with nothing special about it.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), ..Self::default() }
    }

    /// The name that goes on the wire.
    #[must_use]
    pub fn wire(&self) -> &str {
        self.model.as_deref().unwrap_or(&self.name)
    }
}

/// What became of one configured model.
#[derive(Clone, Debug)]
pub struct Initialized {
    /// Its configured name.
    pub model: String,
    /// Its client, or what stands against it.
    pub client: Result<Arc<dyn ModelClient>, Error>,
}

/// Makes the clients of one vendor or server. A provider of your own implements the two methods without a body and is
/// registered like ours.
pub trait Provider: fmt::Debug + Send + Sync + 'static {
    /// The name before the slash in `provider/model`: not empty, without `/`, `:` and white space.
    fn name(&self) -> &str;

    /// Gives the client of a model, without sending anything. It may read a key's file, so it may block for a moment. A
    /// provider that [keeps its clients](Self::clients) gives the same one whenever it is asked for the same model.
    ///
    /// # Errors
    /// `ModelNotFound` for a model it knows not to exist, `Authentication` without a key where one is needed, `Config`.
    fn create_client(&self, model: &ModelConfig) -> Result<Arc<dyn ModelClient>, Error>;

    /// The row of the catalogue it is made from.
    fn spec(&self) -> Option<&'static ProviderSpec> {
        None
    }

    /// The models that are configured, in their order. Others may be asked for all the same.
    fn models(&self) -> &[ModelConfig] {
        &[]
    }

    /// What a configured name stands for.
    fn model(&self, name: &str) -> Option<&ModelConfig> {
        self.models().iter().find(|model| model.name == name)
    }

    /// Where its clients are kept, each made once for a model's name. `None`: it keeps none, and makes one each time.
    fn clients(&self) -> Option<&Clients> {
        None
    }

    /// The client for a model's name, configured or not. One that is switched off is given all the same; it refuses
    /// calls.
    ///
    /// # Errors
    /// Those of [`create_client`](Self::create_client).
    fn client(&self, model: &str) -> Result<Arc<dyn ModelClient>, Error> {
        match self.model(model) {
            Some(model) => self.create_client(model),
            None => self.create_client(&ModelConfig::new(model)),
        }
    }

    /// Puts a client of your own under a model's name, configured or not, in place of the one it would make. A manager that
    /// has handed out that one keeps it until the provider is registered again.
    ///
    /// # Errors
    /// Kind `Config`, when the provider keeps no clients.
    fn register_client(&self, model: &str, client: Arc<dyn ModelClient>) -> Result<(), Error> {
        let Some(clients) = self.clients() else {
            let message = format!("{} keeps no clients, so none can be registered with it", self.name());
            return Err(Error::new(ErrorKind::Config, message));
        };
        clients.register(model, client);
        Ok(())
    }

    /// Makes the client of every configured model, and goes on past those that cannot be made. Nothing is sent. Each model
    /// is in the answer, in the configured order.
    fn initialize_all_models(&self) -> Vec<Initialized> {
        let names = self.models().iter().map(|model| &model.name);
        names.map(|name| Initialized { model: name.clone(), client: self.client(name) }).collect()
    }

    /// The configured models and the names of registered clients, but for those that are switched off.
    fn available_models(&self) -> Vec<String> {
        let mut names: Vec<String> = self.models().iter().map(|model| model.name.clone()).collect();
        let others = self.clients().map(Clients::models).unwrap_or_default();
        names.extend(others.into_iter().filter(|name| self.model(name).is_none()));
        names.retain(|name| self.is_available(name));
        names
    }

    /// Whether a model is configured or registered, and not switched off. It says nothing about the server.
    fn is_available(&self, model: &str) -> bool {
        match self.clients().and_then(|clients| clients.find(model)) {
            Some(client) => client.is_available(),
            None => self.model(model).is_some(),
        }
    }

    /// Switches a model off and on by hand, for everybody who uses its client: one that is off refuses calls, so that pools
    /// and chains go around it. Gives whether it could be switched; a provider that keeps no clients cannot.
    fn set_available(&self, model: &str, available: bool) -> bool {
        let Some(clients) = self.clients() else { return false };
        let known = clients.find(model).or_else(|| self.model(model).and_then(|_| self.client(model).ok()));
        known.is_some_and(|client| client.set_available(available))
    }

    /// The model for those who name none.
    fn default_model(&self) -> Option<&str> {
        None
    }

    /// Whether a bare name that nobody configured is likely one of its models.
    fn claims(&self, model: &str) -> bool {
        let _ = model;
        false
    }

    /// Where requests go: scheme, host and path.
    fn address(&self) -> Option<String> {
        None
    }

    /// What the tokens of one of its models cost. `None`: nobody knows.
    fn price_of(&self, model: &ModelConfig) -> Option<Prices> {
        model.price.clone()
    }

    /// Where its key comes from, in words for the user; `None` when it sends none.
    fn key_origin(&self) -> Option<&str> {
        None
    }

    /// Where requests for one of its models go, where that has an address of its own.
    fn address_of(&self, model: &ModelConfig) -> Option<String> {
        let _ = model;
        self.address()
    }

    /// Where the key of one of its models comes from, where that has one of its own.
    fn key_origin_of(&self, model: &ModelConfig) -> Option<&str> {
        let _ = model;
        self.key_origin()
    }

    /// Lets go of what its clients share. Calls in flight end as they would; later ones fail. Calling it again does
    /// nothing.
    fn close(&self) {}
}
