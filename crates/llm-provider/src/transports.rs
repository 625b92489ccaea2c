//! Connections shared between providers.

use std::fmt;
use std::sync::{Mutex, PoisonError};

use llm_client::Settings;
use llm_client::transport::{ProxyEnv, Transport};
use llm_types::Error;

/// One [`Transport`] for each set of TLS, proxy and limit settings, made when it is first needed: clients that differ in
/// nothing of these share their connections.
pub struct Transports {
    env: ProxyEnv,
    made: Mutex<Vec<(Settings, Transport)>>,
}

impl Transports {
    /// Transports that follow the proxy and certificate variables of this environment.
    #[must_use]
    pub fn new(env: &dyn Fn(&str) -> Option<String>) -> Self {
        Self { env: ProxyEnv::from_lookup(env), made: Mutex::new(Vec::new()) }
    }

    /// The transport for these settings.
    ///
    /// # Errors
    /// Kind `Config`, naming the setting or the file that cannot be used.
    pub fn with(&self, settings: &Settings) -> Result<Transport, Error> {
        let key = relevant(settings);
        // The list grows by whole entries: what a panic left behind is true.
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, transport)) = made.iter().find(|(known, _)| *known == key) {
            return Ok(transport.clone());
        }
        let transport = Transport::new(&key, &self.env)?;
        made.push((key, transport.clone()));
        Ok(transport)
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

impl fmt::Debug for Transports {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transports").finish_non_exhaustive()
    }
}
