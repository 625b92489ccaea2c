//! A provider whose server runs in this process and is started by the first client that needs it.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use llm_client::{ModelClient, Settings};
use llm_types::Error;

use crate::clients::Clients;
use crate::provider::{ModelConfig, Provider};
use crate::shared::Shared;
use crate::spec::ProviderSpec;
use crate::spec_provider::SpecProvider;

type Start = dyn Fn() -> Result<String, Error> + Send + Sync;

/// Speaks to a server that `start` brings up on the loopback, over the same HTTP path as to any other.
///
/// This crate cannot start a server itself: whoever can, hands in `start`. It is called once, when the first client
/// is made, and gives the base URL (`http://127.0.0.1:PORT/v1`); after an error it is called again the next time. It may
/// not wait for anything: bind, spawn, return.
pub struct LoopbackProvider {
    server: SpecProvider,
    base_url: Mutex<Option<String>>,
    start: Box<Start>,
}

impl LoopbackProvider {
    /// A provider on a row of the catalogue (`mock`).
    pub fn new(
        spec: &'static ProviderSpec,
        start: impl Fn() -> Result<String, Error> + Send + Sync + 'static,
    ) -> Self {
        Self { server: SpecProvider::new(spec), base_url: Mutex::new(None), start: Box::new(start) }
    }

    /// The settings of its clients.
    #[must_use]
    pub fn with_settings(self, settings: Settings) -> Self {
        Self { server: self.server.with_settings(settings), ..self }
    }

    /// The models to list, in their order.
    #[must_use]
    pub fn with_models(self, models: Vec<ModelConfig>) -> Self {
        Self { server: self.server.with_models(models), ..self }
    }

    /// Connections and the state of endpoints, shared with other providers.
    #[must_use]
    pub fn with_shared(self, shared: Arc<Shared>) -> Self {
        Self { server: self.server.with_shared(shared), ..self }
    }

    fn running(&self) -> Result<String, Error> {
        // The address is a plain value: one that a panic left behind is still true.
        let mut base_url = self.base_url.lock().unwrap_or_else(PoisonError::into_inner);
        match &*base_url {
            Some(url) => Ok(url.clone()),
            None => Ok(base_url.insert((self.start)()?).clone()),
        }
    }
}

impl fmt::Debug for LoopbackProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoopbackProvider").field("server", &self.server).finish_non_exhaustive()
    }
}

impl Provider for LoopbackProvider {
    fn name(&self) -> &str {
        self.server.name()
    }

    fn create_client(&self, model: &ModelConfig) -> Result<Arc<dyn ModelClient>, Error> {
        self.server.create_at(model, Some(&|| self.running()))
    }

    fn clients(&self) -> Option<&Clients> {
        self.server.clients()
    }

    fn spec(&self) -> Option<&'static ProviderSpec> {
        self.server.spec()
    }

    fn models(&self) -> &[ModelConfig] {
        self.server.models()
    }

    fn default_model(&self) -> Option<&str> {
        self.server.default_model()
    }

    fn close(&self) {
        self.server.close();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use llm_types::ErrorKind;

    use super::*;

    static ECHO: ProviderSpec =
        ProviderSpec { name: "inner", loopback: true, only_models: &["echo"], ..ProviderSpec::COMPATIBLE };

    #[test]
    fn the_server_is_started_once_and_only_for_a_model_it_has() {
        let starts = Arc::new(AtomicUsize::new(0));
        let counted = starts.clone();
        let provider = LoopbackProvider::new(&ECHO, move || match counted.fetch_add(1, Ordering::Relaxed) {
            0 => Err(Error::new(ErrorKind::Config, "no port is free")),
            _ => Ok("http://127.0.0.1:4711/v1".to_owned()),
        });
        let create = |name: &str| provider.create_client(&ModelConfig::new(name));
        assert_eq!(create("parrot").unwrap_err().kind(), ErrorKind::ModelNotFound);
        assert_eq!(starts.load(Ordering::Relaxed), 0);
        assert_eq!(create("echo").unwrap_err().to_string(), "no port is free");
        assert_eq!(create("echo").unwrap().id(), "inner/echo");
        assert_eq!(create("echo").unwrap().id(), "inner/echo");
        assert_eq!(starts.load(Ordering::Relaxed), 2);
    }
}
