//! The contract for callers that do not await: plain functions that return when the answer is there.
//!
//! ```no_run
//! # fn example() -> Result<(), llm_types::Error> {
//! use llm_client::{HttpClient, blocking};
//! use llm_types::ChatRequest;
//! let client = blocking::Client::from(HttpClient::builder("http://127.0.0.1:8000/v1", "qwen3-8b").build()?);
//! println!("{}", client.ask("What is backpressure?")?);
//! for event in client.stream(ChatRequest::user("Write a poem."))? {
//!     println!("{:?}", event?);
//! }
//! # Ok(()) }
//! ```
//! * The work is done by one thread of the process, with a runtime of its own: it is made by the first blocking call, serves
//!   all clients of the process, and stays until the process ends. The caller's thread sleeps meanwhile.
//! * It may be called from anywhere: a plain thread, `spawn_blocking`, and a thread that drives a runtime. There everything
//!   else on the thread stands still until the answer is there, a server of one's own too; use the client's own methods
//!   where that matters.
//! * One place is refused with an error, since it would wait for itself: code that the blocking face itself runs, such as
//!   a client of your own that makes a blocking call inside of `chat`.
//! * Deadlines and limits are the call's and the client's, as ever. Dropping [`ChatEvents`] cancels the request at the
//!   server at once; a plain call ends early by its [`deadline`](Call::deadline) only.
//! * A panic of a client goes on in the thread that called it and leaves all others alone.

mod background;
mod stream;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use llm_types::{
    Capabilities, ChatRequest, ChatResponse, EmbeddingRequest, EmbeddingResponse, Error, ErrorKind,
    ModelInfo, TokenCount,
};

pub use self::background::{Pull, wait};
pub use self::stream::ChatEvents;
use crate::call::Call;
use crate::contract::{ModelClient, ModelClientExt as _};

/// Any [`ModelClient`] with functions that block. A clone is the same client.
#[derive(Clone, Debug)]
pub struct Client(Arc<dyn ModelClient>);

impl<C: ModelClient> From<C> for Client {
    fn from(client: C) -> Self {
        Self(Arc::new(client))
    }
}

impl Client {
    /// The same client for blocking callers: its limits, breakers and connections are shared with those who await.
    #[must_use]
    pub fn new(client: Arc<dyn ModelClient>) -> Self {
        Self(client)
    }

    /// The client for those who await.
    #[must_use]
    pub fn inner(&self) -> &Arc<dyn ModelClient> {
        &self.0
    }

    /// `provider/model`, as written in configuration and logs.
    #[must_use]
    pub fn id(&self) -> &str {
        self.0.id()
    }

    /// What it can do, as far as that is known.
    #[must_use]
    pub fn capabilities(&self) -> &Capabilities {
        self.0.capabilities()
    }

    /// Sends one request and blocks until the whole answer is there.
    ///
    /// # Errors
    /// Those of [`ModelClient::chat`].
    pub fn chat(&self, request: &ChatRequest, call: &Call) -> Result<ChatResponse, Error> {
        self.chat_owned(request.clone(), call.clone())
    }

    /// Sends a request with nothing special about the call.
    ///
    /// # Errors
    /// Those of [`ModelClient::chat`].
    pub fn send(&self, request: ChatRequest) -> Result<ChatResponse, Error> {
        self.chat_owned(request, Call::default())
    }

    fn chat_owned(&self, request: ChatRequest, call: Call) -> Result<ChatResponse, Error> {
        let client = Arc::clone(&self.0);
        wait(async move { client.chat(&request, &call).await })?
    }

    /// Asks one question and gives the text of the answer.
    ///
    /// # Errors
    /// Those of [`ModelClient::chat`].
    pub fn ask(&self, prompt: &str) -> Result<String, Error> {
        self.send(ChatRequest::user(prompt)).map(ChatResponse::into_text)
    }

    /// One prompt with the settings of the older clients: see [`generate`](crate::ModelClientExt::generate).
    ///
    /// # Errors
    /// Those of [`ModelClient::chat`].
    pub fn generate(
        &self,
        prompt: &str,
        max_tokens: Option<u64>,
        temperature: Option<f64>,
        stop: &[&str],
    ) -> Result<ChatResponse, Error> {
        let stop = stop.iter().map(|&text| text.to_owned()).collect();
        self.send(ChatRequest { max_tokens, temperature, stop, ..ChatRequest::user(prompt) })
    }

    /// Blocks until the first content event, then gives the events as they arrive.
    ///
    /// # Errors
    /// Those of [`ModelClient::chat_stream`].
    pub fn chat_stream(&self, request: &ChatRequest, call: &Call) -> Result<ChatEvents, Error> {
        self.stream_owned(request.clone(), call.clone())
    }

    /// Streams the answer to a request with nothing special about the call.
    ///
    /// # Errors
    /// Those of [`ModelClient::chat_stream`].
    pub fn stream(&self, request: ChatRequest) -> Result<ChatEvents, Error> {
        self.stream_owned(request, Call::default())
    }

    fn stream_owned(&self, request: ChatRequest, call: Call) -> Result<ChatEvents, Error> {
        let client = Arc::clone(&self.0);
        let stream = wait(async move { client.chat_stream(&request, &call).await })??;
        Ok(ChatEvents::new(stream))
    }

    /// Many prompts at once, at most `concurrency` of them in flight. The results stand at their prompts' positions,
    /// failures in their places. For files, and for runs that must survive a kill, take `llm-batch`.
    #[must_use]
    pub fn batch_generate(
        &self,
        prompts: &[&str],
        concurrency: usize,
        settings: &ChatRequest,
    ) -> Vec<Result<ChatResponse, Error>> {
        let (client, settings) = (Arc::clone(&self.0), settings.clone());
        let owned: Vec<String> = prompts.iter().map(|&prompt| prompt.to_owned()).collect();
        let all = wait(async move {
            let prompts: Vec<&str> = owned.iter().map(String::as_str).collect();
            client.batch_generate(&prompts, concurrency, &settings).await
        });
        all.unwrap_or_else(|error| prompts.iter().map(|_| Err(error.clone())).collect())
    }

    /// One vector for each text, in their order.
    ///
    /// # Errors
    /// `Config` when the client makes no embeddings; those of [`Embedder::embed`](crate::Embedder::embed).
    pub fn embed(&self, request: &EmbeddingRequest, call: &Call) -> Result<EmbeddingResponse, Error> {
        let (client, request, call) = (Arc::clone(&self.0), request.clone(), call.clone());
        wait(async move {
            let lacks = cannot(client.id(), "make embeddings");
            client.embedder().ok_or(lacks)?.embed(&request, &call).await
        })?
    }

    /// The models that the endpoint names, in its order.
    ///
    /// # Errors
    /// `Config` when the client cannot list them; those of [`ModelLister::list_models`](crate::ModelLister::list_models).
    pub fn list_models(&self, call: &Call) -> Result<Vec<ModelInfo>, Error> {
        let (client, call) = (Arc::clone(&self.0), call.clone());
        wait(async move {
            let lacks = cannot(client.id(), "list models");
            client.model_lister().ok_or(lacks)?.list_models(&call).await
        })?
    }

    /// The tokens that the request would be read as, by the server's own count.
    ///
    /// # Errors
    /// `Config` when the client's format does not count; those of
    /// [`TokenCounter::count_tokens`](crate::TokenCounter::count_tokens).
    pub fn count_tokens(&self, request: &ChatRequest, call: &Call) -> Result<TokenCount, Error> {
        let (client, request, call) = (Arc::clone(&self.0), request.clone(), call.clone());
        wait(async move {
            let lacks = cannot(client.id(), "count tokens");
            client.token_counter().ok_or(lacks)?.count_tokens(&request, &call).await
        })?
    }

    /// Asks the endpoint whether it is there, without prompt data and without cost.
    ///
    /// # Errors
    /// `Config` when the client cannot; those of [`HealthProbe::probe`](crate::HealthProbe::probe).
    pub fn probe(&self, call: &Call) -> Result<(), Error> {
        let (client, call) = (Arc::clone(&self.0), call.clone());
        wait(async move {
            let lacks = cannot(client.id(), "be probed");
            client.health_probe().ok_or(lacks)?.probe(&call).await
        })?
    }

    /// Lets connections go. Calls in flight end as they would; later ones fail. Calling it again does nothing.
    ///
    /// # Errors
    /// Those of [`ModelClient::close`].
    pub fn close(&self) -> Result<(), Error> {
        let client = Arc::clone(&self.0);
        wait(async move { client.close().await })?
    }
}

fn cannot(id: &str, what: &str) -> Error {
    Error::new(ErrorKind::Config, format!("{id} cannot {what}"))
}
