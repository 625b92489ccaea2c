//! A manager as it stands: for health pages, dashboards and logs. Plain data; nothing is sent and no client is made, but
//! where a method says so.

use llm_client::{Call, Health, Metrics, ModelClient};
use llm_types::Error;
use serde::Serialize;

use crate::registry::{Manager, ModelEntry, Resolved};

/// Everything a manager knows, without keys.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Snapshot {
    /// Every provider, in the order of registration.
    pub providers: Vec<ProviderState>,
    /// What each alias stands for, by name.
    pub aliases: Vec<(String, String)>,
    /// The model for those who name none.
    pub default_model: Option<String>,
    /// Every client that was made or registered, those of providers first, each with those below it.
    pub clients: Vec<Health>,
    /// Whether the manager was closed.
    pub closed: bool,
}

/// What is known of a provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProviderState {
    /// The name before the slash.
    pub name: String,
    /// Where requests go: scheme, host and path.
    pub address: Option<String>,
    /// Where its key comes from, in words.
    pub key_origin: Option<String>,
    /// The model for those who name none.
    pub default_model: Option<String>,
    /// The models that are configured, in their order.
    pub models: Vec<ModelEntry>,
}

impl Manager {
    /// Everything as it stands. The figures of one client are of one moment, those of different clients nearly so.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let clients = self.clients().iter().map(|client| health(&**client)).collect();
        let state = self.read();
        let models = state.names.models();
        let providers = state.names.providers().iter().map(|provider| ProviderState {
            name: provider.name().to_owned(),
            address: provider.address(),
            key_origin: provider.key_origin().map(str::to_owned),
            default_model: provider.default_model().map(str::to_owned),
            models: models.iter().filter(|model| model.provider == provider.name()).cloned().collect(),
        });
        Snapshot {
            providers: providers.collect(),
            aliases: state.names.aliases(),
            default_model: state.default_model.clone(),
            clients,
            closed: state.closed,
        }
    }

    /// Every client that was made or registered, each once: those of providers by id, then those registered as they are.
    #[must_use]
    pub fn clients(&self) -> Vec<std::sync::Arc<dyn ModelClient>> {
        let state = self.read();
        let mut made: Vec<_> =
            state.clients.iter().filter_map(|(id, slot)| Some((id, slot.made()?))).collect();
        made.sort_by_key(|(id, _)| *id);
        let registered = state.names.clients().iter().chain(&state.others).cloned();
        made.into_iter().map(|(_, client)| client).chain(registered).collect()
    }

    /// The health of every configured model and registered client, in the order of [`models`](Self::models), as far as its
    /// own traffic tells: nothing is sent. Clients that nobody asked for yet are made; one that cannot be made is not well,
    /// and says why.
    #[must_use]
    pub fn health_check_all(&self) -> Vec<Health> {
        let check = |model: &ModelEntry| match self.client(&model.id) {
            Ok(client) => health(&*client),
            Err(error) => {
                let reason = Some(error.to_string());
                Health::of_members(&model.id, reason, 0, Metrics::default().snapshot(), Vec::new())
            }
        };
        self.models().iter().map(check).collect()
    }

    /// Asks every client that was made or registered whether its endpoint is there, all at once, without prompt data and
    /// without cost; each by its id. A client that has no such question is left out. See [`Prober`](crate::Prober) for
    /// doing it all the time.
    pub async fn probe_all(&self, call: &Call) -> Vec<(String, Result<(), Error>)> {
        let clients = self.clients();
        let probes = clients.iter().filter_map(|client| {
            let probe = client.health_probe()?;
            Some(async move { (client.id().to_owned(), probe.probe(call).await) })
        });
        futures_util::future::join_all(probes).await
    }

    /// What is configured about a model, found as [`client`](Self::client) finds it; `None` for a client that was registered
    /// as it is.
    ///
    /// # Errors
    /// Those of [`resolve`](Self::resolve).
    pub fn model_config(&self, name: &str) -> Result<Option<llm_provider::ModelConfig>, Error> {
        Ok(match self.resolve(name)? {
            Resolved::Model { model, .. } => Some(*model),
            Resolved::Client(_) => None,
        })
    }

    /// What is known of a provider.
    ///
    /// # Errors
    /// `ProviderNotFound`, with the names that look like it.
    pub fn provider_config(&self, name: &str) -> Result<ProviderState, Error> {
        self.require_provider(name)?;
        let found = self.snapshot().providers.into_iter().find(|provider| provider.name == name);
        found.ok_or_else(|| self.read().names.no_provider(name))
    }
}

/// A client that keeps no account of itself is taken to be well while nobody switched it off.
fn health(client: &dyn ModelClient) -> Health {
    client.health().unwrap_or_else(|| {
        let reason =
            (!client.is_available()).then(|| "the client is switched off (set_available)".to_owned());
        let mut health =
            Health::of_members(client.id(), reason, 0, Metrics::default().snapshot(), Vec::new());
        if client.is_available() {
            (health.healthy, health.reason) = (true, None);
        }
        health
    })
}
