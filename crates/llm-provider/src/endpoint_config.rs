//! A client from an address and a few numbers, without a provider's name or a file.

use std::time::Duration;

use llm_client::transport::Endpoint;
use llm_client::{HttpClient, Settings};
use llm_types::{Error, ErrorKind, Secret};

use crate::catalogue::{self, ApiType};

/// One endpoint, as the older clients were told of it. Everything but the address has a default, and every field an
/// effect.
///
/// ```
/// use llm_provider::EndpointConfig;
/// # fn example() -> Result<(), llm_types::Error> {
/// let client = EndpointConfig { pool_size: 20, ..EndpointConfig::new("http://localhost:8045") }.create_client()?;
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct EndpointConfig {
    /// The base URL. Without a path it is the row's own.
    pub endpoint: String,
    /// The key, if it wants one.
    pub api_key: Option<Secret>,
    /// The model's name on the wire. Default: the row's, else `gpt-3.5-turbo`, or `qwen2.5:7b-instruct` at an Ollama.
    pub model: Option<String>,
    /// Which row of the catalogue it is spoken to by. Default: told by the address.
    pub api_type: ApiType,
    /// The longest an attempt may take. Default: 30 s.
    pub timeout: Duration,
    /// How often to try again after the first attempt. Default: 3.
    pub max_retries: u32,
    /// The most requests in a minute, retries included. Default: 60.
    pub rate_limit: Option<u32>,
    /// The most connections. Default: 10.
    pub pool_size: u32,
    /// The most calls in flight, streams included. Default: 10.
    pub max_concurrent: Option<u32>,
    /// Whether to open a connection in the background as soon as the client is made. Outside of a runtime nothing is
    /// opened; [`HttpClient::warm_up`] does it then. Default: yes.
    pub eager_init: bool,
}

impl EndpointConfig {
    /// An endpoint with every default.
    #[must_use]
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self {
            endpoint: endpoint.into(),
            api_key: None,
            model: None,
            api_type: ApiType::Auto,
            timeout: Duration::from_secs(30),
            max_retries: 3,
            rate_limit: Some(60),
            pool_size: 10,
            max_concurrent: Some(10),
            eager_init: true,
        }
    }

    /// The settings these numbers stand for.
    ///
    /// # Errors
    /// Kind `Config` for a number that cannot be 0, or a time-out of none.
    pub fn settings(&self) -> Result<Settings, Error> {
        let zero = |what: &str| Error::new(ErrorKind::Config, format!("{what}: 0 is not a number from 1 up"));
        if self.timeout.is_zero() {
            return Err(Error::new(ErrorKind::Config, "timeout: it is 0, so no call could ever succeed"));
        }
        for (what, number) in [
            ("rate_limit", self.rate_limit),
            ("pool_size", Some(self.pool_size)),
            ("max_concurrent", self.max_concurrent),
        ] {
            if number == Some(0) {
                return Err(zero(what));
            }
        }
        Ok(Settings {
            attempt_timeout: Some(self.timeout),
            max_retries: self.max_retries,
            requests_per_minute: self.rate_limit,
            max_connections: self.pool_size,
            max_concurrent_calls: self.max_concurrent,
            eager_init: self.eager_init,
            ..Settings::default()
        })
    }

    /// The client. Nothing is sent; see [`eager_init`](Self::eager_init) for the connection.
    ///
    /// # Errors
    /// Kind `Config` for an address, a key or a number that cannot be used, `Authentication` for a vendor's own host
    /// without a key.
    pub fn create_client(&self) -> Result<HttpClient, Error> {
        let address = Endpoint::parse(&self.endpoint)?;
        let row = self.api_type.row(&address);
        if self.api_key.is_none() && row.key_required && row.owns(&address) {
            let message = format!("no key for {}: give it one", row.name);
            return Err(Error::new(ErrorKind::Authentication, message));
        }
        let model = self.model.as_deref().unwrap_or_else(|| catalogue::default_model(row));
        HttpClient::builder(&self.endpoint, model)
            .provider(row.name)
            .traced_as(row.traced_as.unwrap_or(row.name))
            .dialect(row.dialect)
            .quirks(row.quirks_at(&address, model))
            .capabilities(row.capabilities_for(model))
            .keys(self.api_key.clone())
            .settings(self.settings()?)
            .build()
    }
}
