//! Where lane state lives: by identity, so that it outlives the clients that use it and a change of configuration.

use std::collections::HashSet;
use std::sync::{Arc, LazyLock};

use dashmap::DashMap;
use dashmap::mapref::entry::Entry;
use llm_types::{Error, ErrorKind, Secret};

use crate::Settings;
use crate::clock::Instant;
use crate::lane::{DeclaredLimits, Endpoint, EndpointId, EndpointState, KeyPool, LimitState, SharedLimit};

/// The endpoints, key pools and shared limits of a process, or of a test.
///
/// Whoever asks twice for the same identity gets the same state: breakers, cool-downs, learned limits and counts are
/// shared by all clients of an endpoint, and keys by all endpoints of a pool.
#[derive(Debug, Default)]
pub struct Registry {
    endpoints: DashMap<EndpointId, Arc<Endpoint>>,
    pools: DashMap<String, Arc<KeyPool>>,
    limits: DashMap<String, Arc<SharedLimit>>,
}

impl Registry {
    /// An empty registry, shared with nobody.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The one of this process.
    #[must_use]
    pub fn shared() -> &'static Self {
        static SHARED: LazyLock<Registry> = LazyLock::new(Registry::default);
        &SHARED
    }

    /// The endpoint of this identity, made at need. Where it is there already, it takes over the limits of these settings:
    /// the last word counts, what was used and learned stays.
    #[must_use]
    pub fn endpoint(&self, id: &EndpointId, settings: &Settings, now: Instant) -> Arc<Endpoint> {
        if let Some(known) = self.endpoints.get(id) {
            known.configure(settings, now);
            return Arc::clone(&known);
        }
        match self.endpoints.entry(id.clone()) {
            Entry::Occupied(known) => {
                known.get().configure(settings, now);
                Arc::clone(known.get())
            }
            Entry::Vacant(place) => Arc::clone(&place.insert(Endpoint::new(id.clone(), settings, now))),
        }
    }

    /// The key pool of this name, made at need.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config) when there is no key, or when a pool of this name is there with other keys: that is
    /// [`update_keys`](Self::update_keys)' business, never an accident.
    pub fn key_pool(&self, id: &str, keys: Vec<Secret>) -> Result<Arc<KeyPool>, Error> {
        match self.pools.entry(id.to_owned()) {
            Entry::Occupied(known) if known.get().has_keys(&keys) => Ok(Arc::clone(known.get())),
            Entry::Occupied(_) => {
                let message =
                    format!("key pool `{id}` is in use with other keys: update it, or use another name");
                Err(Error::new(ErrorKind::Config, message))
            }
            Entry::Vacant(place) => Ok(Arc::clone(&place.insert(KeyPool::new(id, keys)?))),
        }
    }

    /// Gives the key pool of this name these keys, and makes it at need. Keys that stay keep their state.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config) when there is no key.
    pub fn update_keys(&self, id: &str, keys: Vec<Secret>) -> Result<Arc<KeyPool>, Error> {
        match self.pools.entry(id.to_owned()) {
            Entry::Occupied(known) => {
                known.get().update(keys)?;
                Ok(Arc::clone(known.get()))
            }
            Entry::Vacant(place) => Ok(Arc::clone(&place.insert(KeyPool::new(id, keys)?))),
        }
    }

    /// The names of all key pools.
    #[must_use]
    pub fn key_pools(&self) -> Vec<String> {
        self.pools.iter().map(|pool| pool.key().clone()).collect()
    }

    /// Takes every key out of the pools whose name is `gone`, so that nobody uses them any more, not even a call that is
    /// between two attempts. For after a reload.
    pub fn revoke_keys(&self, gone: impl Fn(&str) -> bool) {
        self.pools.iter().filter(|pool| gone(pool.key())).for_each(|pool| pool.revoke());
    }

    /// The shared limit of this name, made at need.
    ///
    /// # Errors
    /// [`Config`](ErrorKind::Config) when a limit of this name is there with other values: that is
    /// [`update_limit`](Self::update_limit)'s business, never an accident.
    pub fn limit(
        &self,
        name: &str,
        declared: DeclaredLimits,
        now: Instant,
    ) -> Result<Arc<SharedLimit>, Error> {
        match self.limits.entry(name.to_owned()) {
            Entry::Occupied(known) if known.get().declared() == declared => Ok(Arc::clone(known.get())),
            Entry::Occupied(_) => {
                let message =
                    format!("limit `{name}` is in use with other values: update it, or use another name");
                Err(Error::new(ErrorKind::Config, message))
            }
            Entry::Vacant(place) => Ok(Arc::clone(&place.insert(SharedLimit::new(name, declared, now)))),
        }
    }

    /// Gives the shared limit of this name these values, and makes it at need. What was used stays used.
    pub fn update_limit(&self, name: &str, declared: DeclaredLimits, now: Instant) -> Arc<SharedLimit> {
        match self.limits.entry(name.to_owned()) {
            Entry::Occupied(known) => {
                known.get().configure(declared, now);
                Arc::clone(known.get())
            }
            Entry::Vacant(place) => Arc::clone(&place.insert(SharedLimit::new(name, declared, now))),
        }
    }

    /// Every shared limit as it stands, in order of name.
    #[must_use]
    pub fn limits(&self, now: Instant) -> Vec<LimitState> {
        let mut states: Vec<_> = self.limits.iter().map(|limit| limit.state(now)).collect();
        states.sort_by(|a, b| a.name.cmp(&b.name));
        states
    }

    /// Forgets faults, refusals, learned limits and parkings everywhere; every bucket is full. Calls in flight stay counted.
    pub fn reset(&self, now: Instant) {
        self.pools.iter().for_each(|pool| pool.reset());
        self.limits.iter().for_each(|limit| limit.reset(now));
        self.endpoints.iter().for_each(|endpoint| endpoint.reset(now));
    }

    /// Lets go of what no client holds any more, and of lanes whose keys are in no pool of this
    /// registry. For after a reload.
    pub fn sweep(&self) {
        self.endpoints.retain(|_, endpoint| Arc::strong_count(endpoint) > 1);
        self.pools.retain(|_, pool| Arc::strong_count(pool) > 1);
        self.limits.retain(|_, limit| Arc::strong_count(limit) > 1);
        let keys: HashSet<_> = self.pools.iter().flat_map(|pool| pool.ids()).collect();
        self.endpoints.iter().for_each(|endpoint| endpoint.sweep(|key| !keys.contains(&key)));
    }

    /// Every endpoint with its lanes as it stands, in order of identity.
    #[must_use]
    pub fn snapshot(&self, now: Instant) -> Vec<EndpointState> {
        let keys: std::collections::HashMap<_, _> =
            self.pools.iter().flat_map(|pool| pool.snapshot()).map(|key| (key.id, key.hint)).collect();
        let mut states: Vec<_> = self
            .endpoints
            .iter()
            .map(|endpoint| endpoint.snapshot(|id| keys.get(&id).cloned(), now))
            .collect();
        states.sort_by(|a, b| a.endpoint.cmp(&b.endpoint));
        states
    }
}
