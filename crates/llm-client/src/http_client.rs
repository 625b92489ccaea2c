//! The client that talks to a socket: plugs transport, dialect, lanes and driver together and decides nothing.

mod admission;
mod builder;
mod plan;
mod preview;
mod pricing;
mod stream;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use http::header::USER_AGENT;
use http::{HeaderMap, HeaderValue};
use llm_types::{
    Capabilities, ChatRequest, ChatResponse, EmbeddingRequest, EmbeddingResponse, Error, ErrorKind, Extra,
    ModelInfo, Timing, TokenCount,
};

pub use self::builder::HttpClientBuilder;
use self::plan::CallPlan;
use self::pricing::Pricing;
use self::stream::OpenStream;
use crate::attempt::{Answer, AttemptService, Job, Operation, Reply, Site};
use crate::call::Call;
use crate::clock::{self, Instant};
use crate::contract::{
    Admission, ChatStream, Embedder, HealthProbe, ModelClient, ModelLister, Previewer, TokenCounter,
};
use crate::dialect::{Encoded, ModelPage};
use crate::driver::{Driven, Queue, drive};
use crate::health::Health;
use crate::lane::{Cost, LaneGuard, Lanes, RateLimitStatus};
use crate::metrics::{Metrics, MetricsSnapshot};
use crate::settings::Settings;
use crate::telemetry::{Asked, CallSpan, StateGauges};
use crate::transport::{Endpoint, PoolStats, Transport, check_key_over_plain_http};

/// The most pages of one list of models.
const MOST_PAGES: usize = 100;

/// One model at one endpoint, over HTTP. A clone is the same client.
///
/// Calls run until they are answered, fail, or are dropped; dropping cancels the request at the server. Needs a tokio
/// runtime.
#[derive(Clone)]
pub struct HttpClient(Arc<Inner>);

struct Inner {
    id: String,
    provider: String,
    /// The configured name; [`Site::model`] is the one on the wire.
    name: String,
    site: Arc<Site>,
    endpoint: Endpoint,
    settings: Settings,
    capabilities: Capabilities,
    headers: HeaderMap,
    /// Body members sent with every chat request that does not set them itself.
    extra: Extra,
    pricing: Pricing,
    lanes: Lanes,
    queue: Queue,
    attempts: AttemptService,
    transport: Transport,
    owns_transport: bool,
    metrics: Metrics,
    state_gauges: StateGauges,
    closed: AtomicBool,
    available: AtomicBool,
}

impl HttpClient {
    /// A client for the model of this name on the wire, at this base URL.
    pub fn builder(base_url: impl Into<String>, model: impl Into<String>) -> HttpClientBuilder {
        HttpClientBuilder::new(base_url.into(), model.into())
    }

    /// The settings it runs with.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    /// Scheme, host and path of its base URL.
    #[must_use]
    pub fn endpoint(&self) -> &str {
        &self.0.site.endpoint
    }

    /// Its lanes: breaker, cool-downs, limits, keys.
    #[must_use]
    pub fn lanes(&self) -> &Lanes {
        &self.0.lanes
    }

    /// Every limit that can hold a call back, as it stands: buckets, slots, keys by hint, what the server said and what was
    /// learned, with the time until it expires.
    #[must_use]
    pub fn rate_limit_status(&self) -> RateLimitStatus {
        self.0.lanes.rate_limit_status(clock::now())
    }

    /// Fills its buckets and forgets cool-downs and learned limits; see [`Lanes::reset_rate_limit`]. All clients of the
    /// endpoint notice.
    pub fn reset_rate_limit(&self) {
        self.0.lanes.reset_rate_limit(clock::now());
    }

    /// Its counters and latencies.
    #[must_use]
    pub fn metrics(&self) -> MetricsSnapshot {
        self.0.metrics.snapshot()
    }

    /// The numbers of its connection pool, which it may share with other clients.
    #[must_use]
    pub fn pool(&self) -> PoolStats {
        self.0.transport.stats()
    }

    /// Opens connections ahead of need; gives how many stand open.
    ///
    /// # Errors
    /// Those of connecting.
    pub async fn warm_up(&self, connections: usize) -> Result<usize, Error> {
        let opened = self.0.transport.warm_up(&self.0.endpoint, connections).await;
        opened.map_err(|error| self.0.describe(error))
    }

    /// Opens a connection in the background, where there is a runtime to do it on. What goes wrong, the first call tells.
    fn warm_up_soon(&self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (transport, endpoint) = (self.0.transport.clone(), self.0.endpoint.clone());
        drop(runtime.spawn(async move { transport.warm_up(&endpoint, 1).await }));
    }

    /// Whether [`close`](ModelClient::close) was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.closed.load(Ordering::Acquire)
    }

    async fn run(
        &self,
        job: &Arc<Job>,
        cost: Cost,
        call: &Call,
    ) -> Result<Driven<(Reply, Option<LaneGuard>)>, Error> {
        if let Some(why) = self.0.shut() {
            return Err(self.0.describe(Error::new(ErrorKind::Unavailable, why)));
        }
        drive(&CallPlan::new(&self.0, Arc::clone(job), cost, call), call).await
    }

    async fn answer(&self, request: &ChatRequest, call: &Call) -> Result<ChatResponse, Error> {
        let call = call.or_within(self.0.settings.deadline);
        let (job, cost) = self.0.chat_job(request, false, &call).map_err(|error| self.0.describe(error))?;
        let driven = self.count(self.run(&job, cost, &call).await)?;
        let Answer::Chat(mut response) = driven.answer.0.answer else { return Err(mixed_up()) };
        let total = driven.started.elapsed();
        self.0.metrics.succeeded(total, response.usage.as_ref());
        response.attempts = driven.attempts;
        response.timing = Timing { total, waited: driven.waited, first_content: None };
        Ok(*response)
    }

    async fn open_stream(&self, request: &ChatRequest, call: &Call) -> Result<ChatStream, Error> {
        let call = call.or_within(self.0.settings.deadline);
        let (job, cost) = self.0.chat_job(request, true, &call).map_err(|error| self.0.describe(error))?;
        let driven = self.count(self.run(&job, cost, &call).await)?;
        let (Reply { answer: Answer::Stream(events), .. }, guard) = driven.answer else {
            return Err(mixed_up());
        };
        let client = Arc::clone(&self.0);
        let attempts = driven.attempts.clone();
        let stream = OpenStream::new(client, events, guard, &call, driven.started, attempts, &job);
        let cost_of = self.0.pricing.cost_of(job.tier.as_deref());
        Ok(ChatStream::new(stream).with_cost_of(cost_of).with_history(
            driven.started,
            driven.waited,
            driven.attempts,
        ))
    }

    async fn vectors(&self, request: &EmbeddingRequest, call: &Call) -> Result<EmbeddingResponse, Error> {
        let call = call.or_within(self.0.settings.deadline);
        let site = &self.0.site;
        let encoded = site
            .dialect
            .encode_embeddings(request, &site.target())
            .map_err(|error| self.0.describe(error))?;
        let cost = Cost { tokens: u64::try_from(encoded.body.len() / 4).unwrap_or(u64::MAX) };
        let job = Arc::new(self.0.job(Operation::Embed { inputs: request.input.len() }, encoded, &call)?);
        let driven = self.count(self.run(&job, cost, &call).await)?;
        let Answer::Embeddings(mut response) = driven.answer.0.answer else { return Err(mixed_up()) };
        self.0.metrics.succeeded(driven.started.elapsed(), response.usage.as_ref());
        response.attempts = driven.attempts;
        Ok(*response)
    }

    /// One page of the list of models.
    async fn page_of_models(&self, after: Option<&str>, call: &Call) -> Result<ModelPage, Error> {
        let site = &self.0.site;
        let encoded = site.dialect.encode_models(after, &site.target());
        let job = Arc::new(self.0.job(Operation::Models, encoded, call)?);
        let driven = self.run(&job, Cost::default(), call).await?;
        let Answer::Models(page) = driven.answer.0.answer else { return Err(mixed_up()) };
        Ok(page)
    }

    /// Counts the end of a call that gives one answer.
    fn count<T>(&self, result: Result<Driven<T>, Error>) -> Result<Driven<T>, Error> {
        result.inspect_err(|_| self.0.metrics.failed(None))
    }
}

impl Inner {
    fn describe(&self, error: Error) -> Error {
        if error.model().is_some() { error } else { error.with_model(&self.provider, &self.name) }
    }

    /// Puts the state of the breaker into the figures, where it has changed.
    fn tell_state(&self, now: Instant) {
        let state = self.lanes.endpoint().breaker(now);
        self.state_gauges.set(&self.site.observer, &self.site.endpoint, state);
    }

    /// Why no call is taken at all, if none is.
    fn shut(&self) -> Option<&'static str> {
        if self.closed.load(Ordering::Acquire) {
            Some("the client is closed")
        } else if !self.available.load(Ordering::Acquire) {
            Some("the client is switched off (set_available)")
        } else {
            None
        }
    }

    fn job(&self, operation: Operation, encoded: Encoded, call: &Call) -> Result<Job, Error> {
        const AGENT: HeaderValue = HeaderValue::from_static(concat!("llm-rs/", env!("CARGO_PKG_VERSION")));
        let streamed = operation == Operation::Stream;
        let uri = match &call.url {
            Some(url) => {
                let endpoint = Endpoint::parse(url)?;
                if self.lanes.pool().is_some() || self.site.tokens.is_some() {
                    check_key_over_plain_http(&endpoint, self.settings.allow_http)?;
                }
                endpoint.join("", "")?
            }
            None => self.endpoint.join(&encoded.path, encoded.query.as_deref().unwrap_or_default())?,
        };
        let mut headers = encoded.headers;
        headers.insert(USER_AGENT, AGENT);
        for more in [&self.headers, &call.headers] {
            for name in more.keys() {
                headers.remove(name);
            }
            for (name, value) in more {
                headers.append(name, value.clone());
            }
        }
        Ok(Job {
            site: Arc::clone(&self.site),
            operation,
            method: encoded.method,
            uri,
            query: encoded.query,
            headers,
            body: encoded.body,
            warnings: encoded.warnings,
            timers: self.settings.timers(streamed),
            keep_raw: call.keep_raw,
            tier: None,
        })
    }

    fn chat_job(
        &self,
        request: &ChatRequest,
        streamed: bool,
        call: &Call,
    ) -> Result<(Arc<Job>, Cost), Error> {
        let request = self.with_extra(request);
        let encoded = self.site.dialect.encode_chat(&request, &self.site.target(), streamed)?;
        // Four bytes a token is a usual guess; what was really used settles it.
        let prompt = u64::try_from(encoded.body.len() / 4).unwrap_or(u64::MAX);
        let cost = Cost { tokens: prompt.saturating_add(request.max_tokens.unwrap_or(0)) };
        let operation = if streamed { Operation::Stream } else { Operation::Chat };
        let tier = pricing::asked_tier(&request).map(Into::into);
        Ok((Arc::new(Job { tier, ..self.job(operation, encoded, call)? }), cost))
    }

    /// The request with the client's own body members.
    fn with_extra<'a>(&self, request: &'a ChatRequest) -> Cow<'a, ChatRequest> {
        if self.extra.is_empty() {
            return Cow::Borrowed(request);
        }
        let mut request = request.clone();
        for (name, value) in self.extra.iter() {
            if request.extra.get(name).is_none() {
                request.extra.insert(name, value.to_owned());
            }
        }
        Cow::Owned(request)
    }
}

/// A reply of another kind than was asked for cannot come; if it does, it is our fault and not a panic.
fn mixed_up() -> Error {
    Error::new(ErrorKind::Internal, "an exchange gave another kind of answer than was asked for")
}

#[async_trait]
impl ModelClient for HttpClient {
    fn id(&self) -> &str {
        &self.0.id
    }

    fn capabilities(&self) -> &Capabilities {
        &self.0.capabilities
    }

    async fn chat(&self, request: &ChatRequest, call: &Call) -> Result<ChatResponse, Error> {
        let span = CallSpan::begin(&self.0.site.observer, Asked::Chat(request), call);
        let result = span.around(self.answer(request, call)).await;
        span.answered(result)
    }

    async fn chat_stream(&self, request: &ChatRequest, call: &Call) -> Result<ChatStream, Error> {
        let span = CallSpan::begin(&self.0.site.observer, Asked::Stream(request), call);
        let result = span.around(self.open_stream(request, call)).await;
        span.streaming(result)
    }

    fn embedder(&self) -> Option<&dyn Embedder> {
        Some(self)
    }

    fn model_lister(&self) -> Option<&dyn ModelLister> {
        Some(self)
    }

    fn token_counter(&self) -> Option<&dyn TokenCounter> {
        if self.0.site.dialect.counts_tokens() { Some(self) } else { None }
    }

    fn previewer(&self) -> Option<&dyn Previewer> {
        Some(self)
    }

    fn health_probe(&self) -> Option<&dyn HealthProbe> {
        Some(self)
    }

    fn admission(&self) -> Option<&dyn Admission> {
        Some(self)
    }

    fn health(&self) -> Option<Health> {
        Some(self.health_check())
    }

    fn is_available(&self) -> bool {
        self.0.available.load(Ordering::Acquire)
    }

    fn set_available(&self, available: bool) -> bool {
        self.0.available.store(available, Ordering::Release);
        self.0.lanes.endpoint().wake();
        true
    }

    async fn close(&self) -> Result<(), Error> {
        if !self.0.closed.swap(true, Ordering::AcqRel) {
            // A pool that others share is closed by whoever shares it.
            if self.0.owns_transport {
                self.0.transport.close();
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Embedder for HttpClient {
    async fn embed(&self, request: &EmbeddingRequest, call: &Call) -> Result<EmbeddingResponse, Error> {
        let span = CallSpan::begin(&self.0.site.observer, Asked::Embeddings(request), call);
        let result = span.around(self.vectors(request, call)).await;
        span.embedded(result)
    }
}

#[async_trait]
impl ModelLister for HttpClient {
    async fn list_models(&self, call: &Call) -> Result<Vec<ModelInfo>, Error> {
        let call = call.or_within(self.0.settings.deadline);
        let ModelPage { mut models, mut next } = self.page_of_models(None, &call).await?;
        for _ in 1..MOST_PAGES {
            let Some(after) = next else { break };
            let page = self.page_of_models(Some(&after), &call).await?;
            // A server that begins again would never end.
            next = page.next.filter(|next| *next != after && !page.models.is_empty());
            models.extend(page.models);
        }
        Ok(models)
    }
}

#[async_trait]
impl TokenCounter for HttpClient {
    async fn count_tokens(&self, request: &ChatRequest, call: &Call) -> Result<TokenCount, Error> {
        let call = call.or_within(self.0.settings.deadline);
        let site = &self.0.site;
        let request = self.0.with_extra(request);
        let encoded =
            site.dialect.encode_count(&request, &site.target()).map_err(|error| self.0.describe(error))?;
        let job = Arc::new(self.0.job(Operation::Count, encoded, &call)?);
        let driven = self.run(&job, Cost::default(), &call).await?;
        let Answer::Count(count) = driven.answer.0.answer else { return Err(mixed_up()) };
        Ok(*count)
    }
}

#[async_trait]
impl HealthProbe for HttpClient {
    async fn probe(&self, call: &Call) -> Result<(), Error> {
        let call = call.or_within(self.0.settings.deadline);
        self.page_of_models(None, &call).await.map(|_| ())
    }
}

impl fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Inner { id, site, .. } = &*self.0;
        f.debug_struct("HttpClient").field("id", id).field("endpoint", &site.endpoint).finish_non_exhaustive()
    }
}
