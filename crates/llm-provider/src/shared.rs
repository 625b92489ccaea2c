//! What the clients of one or more providers share: connections, key pools, the state of endpoints.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use llm_client::Settings;
use llm_client::lane::{KeyPool, Registry};
use llm_client::transport::{ProxyEnv, Transport};
use llm_types::{Error, Secret};

use crate::prices::PriceTable;

/// One connection pool for each set of TLS, proxy and limit settings, made when it is first needed; one pool for the keys
/// of a provider, whatever the model; one state for an endpoint, whoever's client speaks to it.
pub struct Shared {
    env: ProxyEnv,
    transports: Mutex<Transports>,
    lanes: Arc<Registry>,
    prices: RwLock<Option<Arc<PriceTable>>>,
}

#[derive(Default)]
struct Transports {
    made: Vec<(Settings, Transport)>,
    closed: bool,
}

impl Shared {
    /// Follows the proxy and certificate variables of this environment.
    #[must_use]
    pub fn new(env: &dyn Fn(&str) -> Option<String>) -> Self {
        Self::of(ProxyEnv::from_lookup(env))
    }

    /// Follows the variables of this process.
    #[must_use]
    pub fn from_process_env() -> Self {
        Self::of(ProxyEnv::from_process_env())
    }

    fn of(env: ProxyEnv) -> Self {
        Self { env, transports: Mutex::default(), lanes: Arc::default(), prices: RwLock::default() }
    }

    /// The state of endpoints and keys: breakers, cool-downs, what was learned.
    #[must_use]
    pub fn lanes(&self) -> &Arc<Registry> {
        &self.lanes
    }

    /// The user's own list of prices, which goes before the table that comes with the program.
    #[must_use]
    pub fn prices(&self) -> Option<Arc<PriceTable>> {
        self.prices.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Puts a list of prices in the place of the one that was there, for the clients that are made from now on.
    pub fn set_prices(&self, prices: Option<Arc<PriceTable>>) {
        *self.prices.write().unwrap_or_else(PoisonError::into_inner) = prices;
    }

    /// The connection pool for these settings.
    ///
    /// # Errors
    /// Kind `Config`, naming the setting or the file that cannot be used.
    pub fn transport(&self, settings: &Settings) -> Result<Transport, Error> {
        let key = relevant(settings);
        let mut transports = self.transports();
        if let Some((_, transport)) = transports.made.iter().find(|(known, _)| *known == key) {
            return Ok(transport.clone());
        }
        let transport = Transport::new(&key, &self.env)?;
        if transports.closed {
            transport.close();
        }
        transports.made.push((key, transport.clone()));
        Ok(transport)
    }

    /// The pool of a provider's keys, told by where they come from. The last word counts: other keys of the same origin
    /// take the place of those that were there.
    pub(crate) fn key_pool(
        &self,
        provider: &str,
        origin: &str,
        keys: Vec<Secret>,
    ) -> Result<Arc<KeyPool>, Error> {
        self.lanes.update_keys(&format!("{provider} ({origin})"), keys)
    }

    /// Lets connections go. Calls in flight end as they would; later ones fail. Calling it again does nothing.
    pub fn close(&self) {
        let mut transports = self.transports();
        transports.closed = true;
        transports.made.iter().for_each(|(_, transport)| transport.close());
    }

    fn transports(&self) -> std::sync::MutexGuard<'_, Transports> {
        // The list grows by whole entries: what a panic left behind is true.
        self.transports.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The settings with everything that a transport does not look at left at its default.
fn relevant(settings: &Settings) -> Settings {
    let from = settings.clone();
    Settings {
        connect_timeout: from.connect_timeout,
        max_connections: from.max_connections,
        pool_idle: from.pool_idle,
        http2: from.http2,
        max_response_bytes: from.max_response_bytes,
        max_head_bytes: from.max_head_bytes,
        proxy: from.proxy,
        ca_file: from.ca_file,
        client_cert_file: from.client_cert_file,
        client_key_file: from.client_key_file,
        tls_roots: from.tls_roots,
        ..Settings::default()
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("transports", &self.transports().made.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pool_is_shared_by_all_who_want_it_the_same() {
        let shared = Shared::new(&|_| None);
        let plain = Settings::default();
        let patient = Settings { max_retries: 9, allow_http: true, ..Settings::default() };
        let wide = Settings { max_connections: 9, ..Settings::default() };
        for (settings, count) in [(&plain, 1), (&patient, 1), (&wide, 2), (&plain, 2)] {
            shared.transport(settings).unwrap();
            assert_eq!(shared.transports().made.len(), count);
        }
        let missing = Settings { ca_file: Some("/nowhere/ca.pem".into()), ..Settings::default() };
        assert!(shared.transport(&missing).unwrap_err().chain().contains("/nowhere/ca.pem"));
    }

    #[test]
    fn keys_are_one_pool_for_each_origin() {
        let shared = Shared::new(&|_| None);
        let pool = |origin: &str, key: &str| shared.key_pool("acme", origin, vec![Secret::new(key)]).unwrap();
        let first = pool("A", "1");
        assert!(Arc::ptr_eq(&first, &pool("A", "1")));
        assert!(!Arc::ptr_eq(&first, &pool("B", "1")));
        assert!(Arc::ptr_eq(&first, &pool("A", "2")));
        assert!(first.has_keys(&[Secret::new("2")]));
    }
}
