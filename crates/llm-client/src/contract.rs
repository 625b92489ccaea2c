//! The contract every client keeps, and the short forms written over it.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{Stream, StreamExt as _};
use llm_types::{
    AttemptRecord, Capabilities, ChatRequest, ChatResponse, Collector, Cost, EmbeddingRequest,
    EmbeddingResponse, Error, ModelInfo, StreamEvent, Timing, TokenCount, Usage,
};

use crate::call::Call;
use crate::clock::{self, Instant};
use crate::driver::NotBefore;
use crate::health::Health;
use crate::preview::Preview;
use crate::telemetry::Watch;

/// One model at one endpoint, or a wrapper that chooses between several.
///
/// A client of your own implements the four methods without a body.
#[async_trait]
pub trait ModelClient: fmt::Debug + Send + Sync + 'static {
    /// `provider/model`, as written in configuration and logs.
    fn id(&self) -> &str;

    /// What it can do, as far as that is known.
    fn capabilities(&self) -> &Capabilities;

    /// Sends one request and waits for the whole answer.
    ///
    /// # Errors
    /// Any [`ErrorKind`](llm_types::ErrorKind). Dropping the future cancels the request at the server.
    async fn chat(&self, request: &ChatRequest, call: &Call) -> Result<ChatResponse, Error>;

    /// Resolves at the first content event, then yields events as they arrive. Until then it retries and fails over like
    /// [`chat`](Self::chat), afterwards never.
    ///
    /// # Errors
    /// Any [`ErrorKind`](llm_types::ErrorKind). Dropping the future or the stream cancels the request at the server.
    async fn chat_stream(&self, request: &ChatRequest, call: &Call) -> Result<ChatStream, Error>;

    /// The same model as a maker of embeddings.
    fn embedder(&self) -> Option<&dyn Embedder> {
        None
    }

    /// The endpoint's list of models.
    fn model_lister(&self) -> Option<&dyn ModelLister> {
        None
    }

    /// The server's own count of a request's tokens. `None`: the format has none.
    fn token_counter(&self) -> Option<&dyn TokenCounter> {
        None
    }

    /// What it would send. `None`: it does not tell.
    fn previewer(&self) -> Option<&dyn Previewer> {
        None
    }

    /// Asks the endpoint whether it is there, without prompt data and without cost.
    fn health_probe(&self) -> Option<&dyn HealthProbe> {
        None
    }

    /// What it knows about taking calls before one is sent, for wrappers that choose. A client without it is asked by
    /// trying.
    fn admission(&self) -> Option<&dyn Admission> {
        None
    }

    /// How it is, as far as its own traffic tells; nothing is sent. `None`: it keeps no account.
    fn health(&self) -> Option<Health> {
        None
    }

    /// Whether somebody has switched it off by hand; see [`set_available`](Self::set_available).
    fn is_available(&self) -> bool {
        true
    }

    /// Switches it off and on by hand. One that is off refuses calls (`Unavailable`), so that wrappers go around it; calls
    /// in flight end as they would. Gives whether this client can be switched.
    fn set_available(&self, available: bool) -> bool {
        let _ = available;
        false
    }

    /// Lets connections go. Calls in flight end as they would; later ones fail. Calling it again does nothing.
    ///
    /// # Errors
    /// What could not be let go in order. The client is closed all the same.
    async fn close(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// What a client knows about taking calls, without anything being sent. Nothing is taken by asking: a moment later the
/// answers may be different.
pub trait Admission: Send + Sync {
    /// The endpoint of each of its lanes, as small numbers from 0: `[0, 0]` is one endpoint with two keys. As many requests
    /// may follow each other before it has nothing new to try.
    fn lanes(&self) -> Vec<usize>;

    /// Whether a call would be let in now. `retrying`: it has begun, and is not refused by a breaker that opened since.
    ///
    /// # Errors
    /// [`NotBefore`] of the lane that opens first.
    fn ready(&self, now: Instant, retrying: bool) -> Result<(), NotBefore>;

    /// Calls on their way, whoever made them.
    fn in_flight(&self) -> u32;

    /// Takes one retry from the budget of the endpoint that would be asked; `false` when it is empty.
    fn spend_retry(&self, now: Instant) -> bool;

    /// Ends when something changes that could let a waiting call in before its date. It hears of everything since it was
    /// made, so make it before asking [`ready`](Self::ready).
    fn released(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// Texts to vectors.
#[async_trait]
pub trait Embedder: Send + Sync {
    /// One vector for each text, in their order.
    ///
    /// # Errors
    /// Any [`ErrorKind`](llm_types::ErrorKind).
    async fn embed(&self, request: &EmbeddingRequest, call: &Call) -> Result<EmbeddingResponse, Error>;
}

/// What an endpoint offers.
#[async_trait]
pub trait ModelLister: Send + Sync {
    /// The models the server names, in its order.
    ///
    /// # Errors
    /// Any [`ErrorKind`](llm_types::ErrorKind).
    async fn list_models(&self, call: &Call) -> Result<Vec<ModelInfo>, Error>;
}

/// How long a request is, by the server's own count.
#[async_trait]
pub trait TokenCounter: Send + Sync {
    /// The tokens that the request would be read as. Nothing is answered, and at most vendors nothing is charged.
    ///
    /// # Errors
    /// Any [`ErrorKind`](llm_types::ErrorKind); `NotFound` where a server speaks the format and does not count.
    async fn count_tokens(&self, request: &ChatRequest, call: &Call) -> Result<TokenCount, Error>;
}

/// What a call would send.
pub trait Previewer: Send + Sync {
    /// The request of a call as it would go out now: one of each endpoint that may be asked, in the order of their
    /// declaration. Nothing is sent, taken or counted.
    ///
    /// # Errors
    /// Those of writing the request: `InvalidRequest`, `Config`.
    fn preview(&self, request: &ChatRequest, streamed: bool, call: &Call) -> Result<Vec<Preview>, Error>;
}

/// Whether an endpoint is there.
#[async_trait]
pub trait HealthProbe: Send + Sync {
    /// One request that sends no prompt and costs nothing. It goes through the breaker like any other.
    ///
    /// # Errors
    /// Any [`ErrorKind`](llm_types::ErrorKind).
    async fn probe(&self, call: &Call) -> Result<(), Error>;
}

/// What usage costs, where that is known.
pub type CostOf = Arc<dyn Fn(&Usage) -> Option<Cost> + Send + Sync>;

/// The events of one streamed answer.
///
/// A [`Stream`] of `Result<StreamEvent, Error>` that ends after [`StreamEvent::End`] or the first error. Dropping it
/// cancels the request at the server at once.
pub struct ChatStream {
    events: Pin<Box<dyn Stream<Item = Result<StreamEvent, Error>> + Send>>,
    started: Instant,
    timing: Timing,
    attempts: Vec<AttemptRecord>,
    cost_of: Option<CostOf>,
    /// The call's span, where this stream is a whole call.
    watch: Option<Box<Watch>>,
}

impl ChatStream {
    /// Wraps a stream of events that keeps the grammar of [`StreamEvent`].
    pub fn new(events: impl Stream<Item = Result<StreamEvent, Error>> + Send + 'static) -> Self {
        Self {
            events: Box::pin(events),
            started: clock::now(),
            timing: Timing::default(),
            attempts: Vec::new(),
            cost_of: None,
            watch: None,
        }
    }

    /// Adds how the call went until its first content: when it began, how long it waited, its attempts.
    #[must_use]
    pub fn with_history(self, started: Instant, waited: Duration, attempts: Vec<AttemptRecord>) -> Self {
        let timing = Timing { waited, first_content: Some(started.elapsed()), total: Duration::ZERO };
        Self { started, timing, attempts, ..self }
    }

    /// The same stream with its events passed through `wrap`: how the call went until its first content stays.
    #[must_use]
    pub fn wrapped<S>(self, wrap: impl FnOnce(Self) -> S) -> Self
    where
        S: Stream<Item = Result<StreamEvent, Error>> + Send + 'static,
    {
        let (started, timing, attempts) = (self.started, self.timing, self.attempts.clone());
        let cost_of = self.cost_of.clone();
        Self { events: Box::pin(wrap(self)), started, timing, attempts, cost_of, watch: None }
    }

    /// Adds how usage is priced, for whoever stops reading before the stream's own
    /// [`Cost`](StreamEvent::Cost) has come.
    #[must_use]
    pub fn with_cost_of(self, cost_of: Option<CostOf>) -> Self {
        Self { cost_of, ..self }
    }

    /// How usage is priced here, where that is known.
    #[must_use]
    pub fn cost_of(&self) -> Option<&CostOf> {
        self.cost_of.as_ref()
    }

    /// Keeps the call's span open until the stream ends.
    #[must_use]
    pub(crate) fn watched(self, watch: Watch) -> Self {
        Self { watch: Some(Box::new(watch)), ..self }
    }

    /// How long the call waited until its first content.
    pub(crate) fn waited(&self) -> Duration {
        self.timing.waited
    }

    /// The attempts of the call, the one that answers last.
    #[must_use]
    pub fn attempts(&self) -> &[AttemptRecord] {
        &self.attempts
    }

    /// How long the call took until its first content.
    #[must_use]
    pub fn first_content(&self) -> Option<Duration> {
        self.timing.first_content
    }

    /// The next event; `None` after the end.
    pub async fn next(&mut self) -> Option<Result<StreamEvent, Error>> {
        std::future::poll_fn(|cx| self.poll(cx)).await
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<StreamEvent, Error>>> {
        let Some(watch) = &mut self.watch else { return self.events.as_mut().poll_next(cx) };
        let polled = {
            let _inside = watch.span().map(tracing::Span::enter);
            self.events.as_mut().poll_next(cx)
        };
        if let Poll::Ready(item) = &polled {
            watch.saw(item.as_ref(), self.timing.first_content);
        }
        polled
    }

    /// Reads to the end and gives the response that a plain call would have given.
    ///
    /// # Errors
    /// The stream's own error. It holds what had come as [`Error::partial`].
    pub async fn collect(mut self) -> Result<ChatResponse, Error> {
        let mut collector = Collector::new();
        while let Some(event) = self.next().await {
            match event {
                Ok(event) => collector.push(event),
                Err(error) if error.partial().is_some() => return Err(error),
                Err(error) => return Err(error.with_partial(self.response(collector))),
            }
        }
        Ok(self.response(collector))
    }

    /// What was collected, with the call's history.
    pub(crate) fn response(&mut self, collector: Collector) -> ChatResponse {
        ChatResponse {
            attempts: std::mem::take(&mut self.attempts),
            timing: Timing { total: self.started.elapsed(), ..self.timing },
            ..collector.finish()
        }
    }
}

impl Stream for ChatStream {
    type Item = Result<StreamEvent, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.poll(cx)
    }
}

impl fmt::Debug for ChatStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ChatStream")
    }
}

/// Short forms, written once over the contract; never implemented by hand.
pub trait ModelClientExt: ModelClient {
    /// Asks one question and gives the text of the answer.
    fn ask(&self, prompt: &str) -> impl Future<Output = Result<String, Error>> + Send {
        let request = ChatRequest::user(prompt);
        async move { Ok(self.chat(&request, &Call::default()).await?.into_text()) }
    }

    /// Sends a request with nothing special about the call.
    fn send(&self, request: ChatRequest) -> impl Future<Output = Result<ChatResponse, Error>> + Send {
        async move { self.chat(&request, &Call::default()).await }
    }

    /// Streams the answer to a request with nothing special about the call.
    fn stream(&self, request: ChatRequest) -> impl Future<Output = Result<ChatStream, Error>> + Send {
        async move { self.chat_stream(&request, &Call::default()).await }
    }

    /// One prompt with the settings of the older clients: the most tokens to write, randomness, texts that end the answer.
    fn generate(
        &self,
        prompt: &str,
        max_tokens: Option<u64>,
        temperature: Option<f64>,
        stop: &[&str],
    ) -> impl Future<Output = Result<ChatResponse, Error>> + Send {
        let stop = stop.iter().map(|&text| text.to_owned()).collect();
        self.send(ChatRequest { max_tokens, temperature, stop, ..ChatRequest::user(prompt) })
    }

    /// Many prompts at once, at most `concurrency` of them in flight. The results stand at their prompts' positions,
    /// failures in their places.
    fn batch_generate(
        &self,
        prompts: &[&str],
        concurrency: usize,
        settings: &ChatRequest,
    ) -> impl Future<Output = Vec<Result<ChatResponse, Error>>> + Send {
        let requests: Vec<ChatRequest> = prompts
            .iter()
            .map(|&prompt| {
                let mut request = settings.clone();
                request.messages.push(llm_types::Message::user(prompt));
                request
            })
            .collect();
        async move {
            let call = Call::default();
            let mut answers = Vec::with_capacity(requests.len());
            for (at, request) in requests.iter().enumerate() {
                let answer = self.chat(request, &call);
                answers.push(async move { (at, answer.await) });
            }
            let answers = futures_util::stream::iter(answers).buffer_unordered(concurrency.max(1));
            let mut results: Vec<_> = answers.collect().await;
            results.sort_unstable_by_key(|(at, _)| *at);
            results.into_iter().map(|(_, result)| result).collect()
        }
    }
}

impl<T: ModelClient + ?Sized> ModelClientExt for T {}
