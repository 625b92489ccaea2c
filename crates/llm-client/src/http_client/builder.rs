//! Building a client: every part has a default, and one check says what is wrong.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use llm_types::{Capabilities, Error, ErrorKind, Extra, InvalidSecret, Price, Prices, Secret};
use tower::{Layer, Service};

use super::pricing::Pricing;
use super::{HttpClient, Inner};
use crate::attempt::{Exchange, HttpService, Site, Wire, stack};
use crate::clock;
use crate::dialect::{Dialect, Quirks};
use crate::driver::Queue;
use crate::lane::{EndpointId, KeyPool, Lanes, Registry, SharedLimit};
use crate::login::TokenSource;
use crate::metrics::Metrics;
use crate::settings::Settings;
use crate::telemetry::{Observer, StateGauges, Telemetry};
use crate::transport::{Body, Endpoint, ProxyEnv, Transport, check_key_over_plain_http};

type LayerFn = Box<dyn FnOnce(HttpService) -> HttpService + Send>;

/// Sets up an [`HttpClient`]. Nothing is checked before [`build`](Self::build).
#[must_use]
pub struct HttpClientBuilder {
    base_url: String,
    model: String,
    name: Option<String>,
    provider: Option<String>,
    dialect: Option<Dialect>,
    quirks: Option<Quirks>,
    keys: Vec<Secret>,
    pool: Option<Arc<KeyPool>>,
    tokens: Option<Arc<dyn TokenSource>>,
    registry: Option<Arc<Registry>>,
    limits: Vec<Arc<SharedLimit>>,
    settings: Settings,
    transport: Option<Transport>,
    capabilities: Capabilities,
    headers: HeaderMap,
    extra: Extra,
    pricing: Pricing,
    layers: Vec<LayerFn>,
    telemetry: Option<Telemetry>,
    traced_as: Option<String>,
}

impl HttpClientBuilder {
    pub(super) fn new(base_url: String, model: String) -> Self {
        Self {
            base_url,
            model,
            name: None,
            provider: None,
            dialect: None,
            quirks: None,
            keys: Vec::new(),
            pool: None,
            tokens: None,
            registry: None,
            limits: Vec::new(),
            settings: Settings::default(),
            transport: None,
            capabilities: Capabilities::default(),
            headers: HeaderMap::new(),
            extra: Extra::new(),
            pricing: Pricing::default(),
            layers: Vec::new(),
            telemetry: None,
            traced_as: None,
        }
    }

    /// The provider's name in ids, logs and errors. Default: the base URL's host.
    pub fn provider(mut self, name: impl Into<String>) -> Self {
        self.provider = Some(name.into());
        self
    }

    /// The provider's name in traces and figures, where OpenTelemetry has another word for it. Default: the provider's name.
    pub fn traced_as(mut self, name: impl Into<String>) -> Self {
        self.traced_as = Some(name.into());
        self
    }

    /// How this client's calls are told about. Default: the [settings of the process](Telemetry::installed).
    pub fn telemetry(mut self, telemetry: Telemetry) -> Self {
        self.telemetry = Some(telemetry);
        self
    }

    /// The model's configured name, where it differs from the one on the wire.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// The wire format. Default: the one of the base URL's host, else OpenAI's chat format.
    pub fn dialect(mut self, dialect: Dialect) -> Self {
        self.dialect = Some(dialect);
        self
    }

    /// How the server differs from the dialect's own vendor. Default: what most compatible servers understand.
    pub fn quirks(mut self, quirks: Quirks) -> Self {
        self.quirks = Some(quirks);
        self
    }

    /// One more key. With several, each call takes the least loaded one.
    pub fn key(mut self, key: Secret) -> Self {
        self.keys.push(key);
        self
    }

    /// More keys.
    pub fn keys(mut self, keys: impl IntoIterator<Item = Secret>) -> Self {
        self.keys.extend(keys);
        self
    }

    /// Keys that are shared with other clients; [`keys`](Self::keys) are not used then.
    pub fn key_pool(mut self, pool: Arc<KeyPool>) -> Self {
        self.pool = Some(pool);
        self
    }

    /// Where bearer tokens come from that expire; used where there is no key.
    pub fn tokens(mut self, tokens: Arc<dyn TokenSource>) -> Self {
        self.tokens = Some(tokens);
        self
    }

    /// Where the state of the endpoint and its lanes lives: breaker, limits, what was learned. Clients of one registry
    /// with the same base URL and model share it. Default: a state of its own.
    pub fn registry(mut self, registry: Arc<Registry>) -> Self {
        self.registry = Some(registry);
        self
    }

    /// A limit to charge that others charge too, beside those of the settings.
    pub fn shared_limit(mut self, limit: Arc<SharedLimit>) -> Self {
        self.limits.push(limit);
        self
    }

    /// Retries, timers, limits.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// A connection pool to share. Default: one of its own, from the settings and the process's proxy variables.
    pub fn transport(mut self, transport: Transport) -> Self {
        self.transport = Some(transport);
        self
    }

    /// What is known about the model.
    pub fn capabilities(mut self, capabilities: Capabilities) -> Self {
        self.capabilities = capabilities;
        self
    }

    /// A header to send with every request.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Headers to send with every request.
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        self.headers.extend(headers);
        self
    }

    /// Body members to send with every chat request that does not set them itself.
    pub fn extra(mut self, extra: Extra) -> Self {
        self.extra = extra;
        self
    }

    /// What the model's tokens cost, so that each answer says its cost. Default: unknown, which is not nothing.
    pub fn price(self, price: Price) -> Self {
        self.prices(price.into())
    }

    /// The same with the days that prices begin on.
    pub fn prices(mut self, prices: Prices) -> Self {
        self.pricing.prices = Some(Arc::new(prices));
        self
    }

    /// Whether the server is trusted to say what its answers cost (`usage.cost`, in US dollars): then that counts, and the
    /// price only where it says nothing. Default: it is not.
    pub fn tells_cost(mut self, tells_cost: bool) -> Self {
        self.pricing.is_told = tells_cost;
        self
    }

    /// A tower layer of your own around each HTTP exchange, below retries and above the connection pool. The layer added
    /// last is the outermost.
    pub fn layer<L>(mut self, layer: L) -> Self
    where
        L: Layer<HttpService> + Send + 'static,
        L::Service: Service<http::Request<Bytes>, Response = http::Response<Body>, Error = Error>
            + Clone
            + Send
            + Sync
            + 'static,
        <L::Service as Service<http::Request<Bytes>>>::Future: Send + 'static,
    {
        self.layers.push(Box::new(move |inner| HttpService::new(layer.layer(inner))));
        self
    }

    /// The client.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] says which part is wrong: the URL, a key, a setting, a certificate file, or a key that would
    /// go over plain http.
    pub fn build(self) -> Result<HttpClient, Error> {
        let settings = self.settings;
        settings.check()?;
        if self.model.is_empty() {
            return Err(Error::new(ErrorKind::Config, "the model's name is empty"));
        }
        let given = Endpoint::parse(&self.base_url)?;
        let dialect = self.dialect.unwrap_or_else(|| Dialect::by_host(given.host()));
        let quirks = self.quirks.unwrap_or(dialect.default_quirks());
        let endpoint = given.with_path(&dialect.base_path(given.path(), &quirks))?;
        let pool = match self.pool {
            Some(pool) => Some(pool),
            None if self.keys.is_empty() => None,
            None => {
                let keys = self.keys.iter().map(check_key).collect::<Result<_, _>>()?;
                Some(KeyPool::new(endpoint.to_string(), keys)?)
            }
        };
        if pool.is_some() || self.tokens.is_some() || endpoint.basic_auth().is_some() {
            check_key_over_plain_http(&endpoint, settings.allow_http)?;
        }
        let owns_transport = self.transport.is_none();
        let transport = match self.transport {
            Some(transport) => transport,
            None => Transport::new(&settings, &ProxyEnv::from_process_env())?,
        };
        let registry = self.registry.unwrap_or_default();
        let id = EndpointId { base_url: endpoint.to_string(), model: self.model.clone() };
        let state = registry.endpoint(&id, &settings, clock::now());
        let wire = HttpService::new(Wire(transport.clone()));
        let http = self.layers.into_iter().fold(wire, |inner, layer| layer(inner));
        let name = self.name.unwrap_or_else(|| self.model.clone());
        let provider = self.provider.unwrap_or_else(|| endpoint.host().to_owned());
        let traced_as = self.traced_as.unwrap_or_else(|| provider.clone());
        let mut observer =
            Observer::new(traced_as, self.model.clone()).with_server(endpoint.host(), endpoint.port());
        if let Some(telemetry) = self.telemetry {
            observer = observer.with_telemetry(telemetry);
        }
        let site = Site {
            endpoint: endpoint.to_string(),
            provider: provider.clone(),
            model: self.model,
            dialect,
            quirks,
            login: endpoint.basic_auth(),
            tokens: self.tokens,
            max_response: settings.max_response_bytes,
            max_event: settings.max_event_bytes,
            max_error: settings.max_error_bytes,
            observer,
        };
        let client = HttpClient(Arc::new(Inner {
            id: format!("{provider}/{name}"),
            provider,
            name,
            site: Arc::new(site),
            endpoint,
            settings,
            capabilities: self.capabilities,
            headers: self.headers,
            extra: self.extra,
            pricing: self.pricing,
            lanes: Lanes::new(state, pool).with_limits(self.limits),
            queue: Queue::default(),
            attempts: stack(Exchange(http)),
            transport,
            owns_transport,
            metrics: Metrics::default(),
            state_gauges: StateGauges::default(),
            closed: AtomicBool::new(false),
            available: AtomicBool::new(true),
        }));
        if client.settings().eager_init {
            client.warm_up_soon();
        }
        Ok(client)
    }
}

/// A key that no header can carry is found here and not at the first call.
fn check_key(key: &Secret) -> Result<Secret, Error> {
    Secret::key(key.expose()).map_err(|invalid: InvalidSecret| {
        Error::new(ErrorKind::Config, invalid.to_string()).with_hint(
            "a line break or a space at the end often comes from the file or command the key was read from",
        )
    })
}
