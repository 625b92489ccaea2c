//! Names to clients: one registry for a whole process.

use std::collections::HashMap;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use futures_util::{FutureExt as _, future};
use llm_client::ModelClient;
use llm_provider::{ModelConfig, Provider};
use llm_types::{Error, ErrorKind};
use serde::Serialize;

use crate::names::{self, Names};

/// Finds the client for a model's name, makes each client once, and closes them all.
///
/// All methods may be called from many tasks at once. A look-up of a name that was asked for before takes one read lock
/// and one map access; no lock is held while a client is made or closed. A clone is the same manager.
#[derive(Clone, Default)]
pub struct Manager {
    state: Arc<RwLock<State>>,
}

#[derive(Default)]
pub(crate) struct State {
    pub(crate) names: Names,
    pub(crate) default_model: Option<String>,
    /// Clients made or registered, by `provider/name`.
    pub(crate) clients: HashMap<String, Arc<Slot>>,
    /// Clients that no name leads to, kept to be closed.
    pub(crate) others: Vec<Arc<dyn ModelClient>>,
    /// What names led to before, as they were asked for.
    pub(crate) answers: HashMap<String, Arc<dyn ModelClient>>,
    /// Counts the changes, so that an answer found before one is not kept after it.
    changes: u64,
    pub(crate) closed: bool,
}

/// A client that is made by the first who needs it, while others wait for that one and for nothing else.
pub(crate) struct Slot {
    provider: Arc<dyn Provider>,
    model: Box<ModelConfig>,
    /// Held while it is made.
    making: Mutex<()>,
    client: OnceLock<Arc<dyn ModelClient>>,
}

impl Slot {
    fn new(provider: Arc<dyn Provider>, model: Box<ModelConfig>) -> Self {
        Self { provider, model, making: Mutex::new(()), client: OnceLock::new() }
    }

    fn client(&self) -> Result<Arc<dyn ModelClient>, Error> {
        if let Some(made) = self.client.get() {
            return Ok(made.clone());
        }
        // A provider that panicked has left nothing behind.
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(made) = self.client.get() {
            return Ok(made.clone());
        }
        let made = self.provider.create_client(&self.model)?;
        Ok(self.client.get_or_init(|| made).clone())
    }

    pub(crate) fn provider(&self) -> &Arc<dyn Provider> {
        &self.provider
    }

    /// The client, if it was made; never waits for one that is being made.
    pub(crate) fn made(&self) -> Option<Arc<dyn ModelClient>> {
        self.client.get().cloned()
    }
}

/// What a name stands for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Resolved {
    /// A model of a provider; its client may not exist yet.
    Model {
        /// Who makes the client.
        provider: Arc<dyn Provider>,
        /// What is configured about it.
        model: Box<ModelConfig>,
        /// Why it was found.
        by: Found,
    },
    /// A client that was registered as it is.
    Client(Arc<dyn ModelClient>),
}

/// What made a name known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found {
    /// It names its provider: `provider/model`.
    Named,
    /// Somebody configured it: it is an alias, or a provider lists it.
    Configured,
    /// Nobody did, and one provider's models are named like it.
    Family,
}

impl Resolved {
    /// `provider/name`.
    #[must_use]
    pub fn id(&self) -> String {
        match self {
            Self::Model { provider, model, .. } => format!("{}/{}", provider.name(), model.name),
            Self::Client(client) => client.id().to_owned(),
        }
    }
}

/// A configured model, for lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ModelEntry {
    /// `provider/name`, which always finds it.
    pub id: String,
    /// The provider's name.
    pub provider: String,
    /// The name without the provider.
    pub name: String,
    /// The name on the wire.
    pub wire: String,
}

impl Manager {
    /// A manager that knows nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, State> {
        // Every change is one step of plain data: what a panic left behind is whole.
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn change(&self) -> RwLockWriteGuard<'_, State> {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.changes += 1;
        state.answers.clear();
        state
    }

    /// Adds a provider. One of the same name takes the place of the older, in the older's position; clients that were
    /// handed out before go on working.
    ///
    /// # Errors
    /// Kind `Config`, when no `provider/model` could ever name it.
    pub fn register_provider(&self, provider: Arc<dyn Provider>) -> Result<(), Error> {
        names::check_provider(provider.name())?;
        let mut state = self.change();
        let prefix = format!("{}/", provider.name());
        state.clients.retain(|id, _| !id.starts_with(&prefix));
        state.names.put_provider(provider);
        Ok(())
    }

    /// Adds a client of your own, found by its [`id`](ModelClient::id). One of the same id takes the place of the older.
    ///
    /// # Errors
    /// Kind `Config`, when the id is not `provider/model`.
    pub fn register_client(&self, client: Arc<dyn ModelClient>) -> Result<(), Error> {
        names::check_id(client.id())?;
        let mut state = self.change();
        state.clients.remove(client.id());
        state.names.put_client(client);
        Ok(())
    }

    /// Closes a client together with the others, without giving it a name.
    ///
    /// # Errors
    /// Kind `Config`, when the manager is closed already.
    pub fn close_with(&self, client: Arc<dyn ModelClient>) -> Result<(), Error> {
        let mut state = self.change();
        state.check_open()?;
        state.others.push(client);
        Ok(())
    }

    /// Lets a name stand for another: a model with or without its provider, or an alias.
    ///
    /// # Errors
    /// Kind `Config`, when it would stand for itself in the end, or hide `provider/model` of a known provider.
    pub fn set_alias(&self, alias: impl Into<String>, target: impl Into<String>) -> Result<(), Error> {
        let (alias, target) = (alias.into(), target.into());
        self.change().names.put_alias(alias, target)
    }

    /// The model for those who name none.
    pub fn set_default_model(&self, name: impl Into<String>) {
        self.change().default_model = Some(name.into());
    }

    /// The name given to [`set_default_model`](Self::set_default_model).
    #[must_use]
    pub fn default_model(&self) -> Option<String> {
        self.read().default_model.clone()
    }

    /// The client for a name: `provider/model`, `provider:model`, a configured name, an alias, or a name that tells its
    /// vendor. It is made by the first call and shared by all; nothing is sent.
    ///
    /// # Errors
    /// `ModelNotFound`, with the names that look like it; `Config`, when two providers list it or the manager is closed;
    /// and what [`Provider::create_client`] gives.
    pub fn client(&self, name: &str) -> Result<Arc<dyn ModelClient>, Error> {
        loop {
            let (resolved, changes) = {
                let state = self.read();
                if let Some(client) = state.answers.get(name) {
                    return Ok(client.clone());
                }
                state.check_open()?;
                (state.names.resolve(name)?, state.changes)
            };
            // What the name stood for a moment ago must not come back after a change.
            let Some(client) = self.client_for(&resolved, changes)? else { continue };
            let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
            // Closed meanwhile: nobody would ever close this one.
            state.check_open()?;
            if state.changes == changes {
                state.answers.insert(name.to_owned(), client.clone());
            }
            return Ok(client);
        }
    }

    /// The client, unless something has changed since it was resolved.
    fn client_for(&self, resolved: &Resolved, changes: u64) -> Result<Option<Arc<dyn ModelClient>>, Error> {
        match resolved {
            Resolved::Client(client) => Ok(Some(client.clone())),
            Resolved::Model { provider, model, .. } => {
                let slot = {
                    let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
                    if state.changes != changes {
                        return Ok(None);
                    }
                    let fresh = || Arc::new(Slot::new(provider.clone(), model.clone()));
                    state.clients.entry(resolved.id()).or_insert_with(fresh).clone()
                };
                slot.client().map(Some)
            }
        }
    }

    /// The client of one provider's model.
    ///
    /// # Errors
    /// `ProviderNotFound`, and those of [`client`](Self::client).
    pub fn client_of(&self, provider: &str, model: &str) -> Result<Arc<dyn ModelClient>, Error> {
        self.require_provider(provider)?;
        self.client(&format!("{provider}/{model}"))
    }

    /// The client of the default model.
    ///
    /// # Errors
    /// Kind `Config` when there is no default, and those of [`client`](Self::client).
    pub fn default_client(&self) -> Result<Arc<dyn ModelClient>, Error> {
        let Some(name) = self.default_model() else {
            return Err(Error::new(ErrorKind::Config, "no default model is set"));
        };
        self.client(&name)
    }

    /// What a name stands for, without making a client.
    ///
    /// # Errors
    /// Those of [`client`](Self::client) but for making it.
    pub fn resolve(&self, name: &str) -> Result<Resolved, Error> {
        self.read().names.resolve(name)
    }

    /// The provider that a model's name leads to.
    ///
    /// # Errors
    /// Those of [`resolve`](Self::resolve), and `ProviderNotFound` where the name leads to a client without a provider.
    pub fn find_model_provider(&self, model: &str) -> Result<Arc<dyn Provider>, Error> {
        match self.resolve(model)? {
            Resolved::Model { provider, .. } => Ok(provider),
            Resolved::Client(client) => {
                let provider = client.id().split('/').next().unwrap_or_default();
                self.require_provider(provider)
            }
        }
    }

    /// The provider of this name.
    #[must_use]
    pub fn provider(&self, name: &str) -> Option<Arc<dyn Provider>> {
        self.read().names.provider(name).cloned()
    }

    /// The provider of this name.
    ///
    /// # Errors
    /// `ProviderNotFound`, with the names that look like it.
    pub fn require_provider(&self, name: &str) -> Result<Arc<dyn Provider>, Error> {
        let state = self.read();
        state.names.provider(name).cloned().ok_or_else(|| state.names.no_provider(name))
    }

    /// Every provider, in the order of registration.
    #[must_use]
    pub fn providers(&self) -> Vec<Arc<dyn Provider>> {
        self.read().names.providers().to_vec()
    }

    /// Every configured model and registered client, in the order of registration.
    #[must_use]
    pub fn models(&self) -> Vec<ModelEntry> {
        self.read().names.models()
    }

    /// Every alias with what it stands for, by name.
    #[must_use]
    pub fn aliases(&self) -> Vec<(String, String)> {
        self.read().names.aliases()
    }

    /// Forgets every provider, client, alias and default. Clients that were handed out go on working, since nothing is
    /// closed.
    pub fn clear(&self) {
        let mut state = self.change();
        let closed = state.closed;
        *state = State { changes: state.changes, closed, ..State::default() };
    }

    /// Switches the client of this name off and on by hand; see
    /// [`ModelClient::set_available`]. It is made at need.
    ///
    /// # Errors
    /// Those of [`client`](Self::client), and `Config` for a client that cannot be switched.
    pub fn set_available(&self, name: &str, available: bool) -> Result<(), Error> {
        let client = self.client(name)?;
        if client.set_available(available) {
            return Ok(());
        }
        let message =
            format!("{} cannot be switched off and on: it does not keep `set_available`", client.id());
        Err(Error::new(ErrorKind::Config, message))
    }

    /// Closes every client that was made or registered, and refuses to make more. Calls in flight end as they would. A
    /// second time it does nothing. A client that is slow to close does not keep the others open, nor does one that fails.
    ///
    /// Gives the errors of closing, each with the client it is of.
    pub async fn close_all(&self) -> Vec<Error> {
        let (clients, providers) = {
            let mut state = self.change();
            state.closed = true;
            let made: Vec<Arc<Slot>> = state.clients.drain().map(|(_, slot)| slot).collect();
            let mut clients = std::mem::take(&mut state.others);
            clients.extend(state.names.take_clients());
            clients.extend(made.iter().filter_map(|slot| slot.made()));
            (clients, state.names.providers().to_vec())
        };
        providers.iter().for_each(|provider| provider.close());
        let closing = clients.iter().map(|client| async move {
            // A user's own client may panic; the others are closed all the same.
            let closed = AssertUnwindSafe(client.close()).catch_unwind().await;
            let error = match closed {
                Ok(result) => result.err()?,
                Err(_) => Error::new(ErrorKind::Internal, "the client panicked while it was closed"),
            };
            let (provider, model) = client.id().split_once('/').unwrap_or(("", client.id()));
            Some(if error.model().is_some() { error } else { error.with_model(provider, model) })
        });
        future::join_all(closing).await.into_iter().flatten().collect()
    }

    /// Whether [`close_all`](Self::close_all) was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.read().closed
    }
}

impl State {
    fn check_open(&self) -> Result<(), Error> {
        if self.closed { Err(Error::new(ErrorKind::Config, "the manager is closed")) } else { Ok(()) }
    }
}

impl fmt::Debug for Manager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.read();
        let providers: Vec<&str> = state.names.providers().iter().map(|provider| provider.name()).collect();
        f.debug_struct("Manager")
            .field("providers", &providers)
            .field("clients", &state.clients.len())
            .field("closed", &state.closed)
            .finish_non_exhaustive()
    }
}
