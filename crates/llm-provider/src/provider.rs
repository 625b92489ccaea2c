//! The contract of a provider, and what is said about one of its models.

use std::fmt;
use std::sync::Arc;

use http::HeaderMap;
use llm_client::{ModelClient, Settings};
use llm_types::{Error, Extra, Secret};

use crate::spec::ProviderSpec;

/// One model as it is configured: its name, and where it differs from its provider.
#[derive(Clone, Debug, Default)]
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

/// Makes the clients of one vendor or server. A provider of your own implements the two methods without a body and is
/// registered like ours.
pub trait Provider: fmt::Debug + Send + Sync + 'static {
    /// The name before the slash in `provider/model`: not empty, without `/`, `:` and white space.
    fn name(&self) -> &str;

    /// Makes the client of a model, without sending anything. It may read a key's file, so it may block for a moment.
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
