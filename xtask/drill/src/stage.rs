//! Endpoints, pools over them, and load.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use llm_client::{Call, HttpClient, ModelClient, Settings};
use llm_manager::{Member, Pool, Strategy};
use llm_mock::{MockConfig, MockServer};
use llm_types::{ChatRequest, ChatResponse, Error};

use crate::Failure;

/// The longest one scenario may take; reached only when something hangs.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Defaults, with back-offs that suit servers which answer in milliseconds.
pub(crate) fn settings() -> Settings {
    Settings {
        backoff_base: Duration::from_millis(20),
        backoff_cap: Duration::from_millis(500),
        ..Settings::default()
    }
}

/// An endpoint that takes this long for an answer.
pub(crate) fn answering_in(millis: u64) -> MockConfig {
    MockConfig::new().log(false).delay(Duration::from_millis(millis))
}

/// A client of one endpoint.
pub(crate) fn client(server: &MockServer, name: &str, settings: &Settings) -> Result<HttpClient, Failure> {
    let builder = HttpClient::builder(server.base_url(), "echo").provider(name);
    Ok(builder.settings(settings.clone()).build()?)
}

/// The servers in a row, as one pool.
pub(crate) fn pool(
    servers: &[&MockServer],
    strategy: Strategy,
    settings: &Settings,
) -> Result<Pool, Failure> {
    let mut pool = Pool::builder("pool/drill").strategy(strategy).settings(settings.clone());
    for (server, name) in servers.iter().zip(["one", "two", "three", "four"]) {
        pool = pool.member(Member::new(Arc::new(client(server, name, settings)?)));
    }
    Ok(pool.build()?)
}

pub(crate) async fn ask(client: &dyn ModelClient) -> Result<ChatResponse, Error> {
    client.chat(&ChatRequest::user("Is anybody there?"), &Call::default()).await
}

/// What became of many calls.
#[derive(Default)]
pub(crate) struct Load {
    pub(crate) calls: usize,
    pub(crate) failed: usize,
    /// The first failure.
    pub(crate) error: Option<Error>,
}

impl Load {
    /// The figures, with the first failure's words.
    pub(crate) fn told(&self) -> String {
        let why = self.error.as_ref().map(|error| format!(" ({error})")).unwrap_or_default();
        format!("{} of {} calls failed{why}", self.failed, self.calls)
    }
}

/// Makes so many calls, `at_once` of them in flight, and tells after each how many are over.
pub(crate) async fn load(
    client: &dyn ModelClient,
    calls: usize,
    at_once: usize,
    mut over: impl AsyncFnMut(usize),
) -> Load {
    let mut answers = futures_util::stream::iter(0..calls).map(|_| ask(client)).buffer_unordered(at_once);
    let mut load = Load::default();
    while let Some(answer) = answers.next().await {
        load.calls += 1;
        if let Err(error) = answer {
            load.failed += 1;
            load.error.get_or_insert(error);
        }
        over(load.calls).await;
    }
    load
}

/// Keeps so many calls in flight for this long.
pub(crate) async fn load_for(client: &dyn ModelClient, time: Duration, at_once: usize) -> Load {
    let end = tokio::time::Instant::now() + time;
    let more = futures_util::stream::repeat(()).take_while(|()| {
        let more = tokio::time::Instant::now() < end;
        async move { more }
    });
    let mut answers = std::pin::pin!(more.map(|()| ask(client)).buffer_unordered(at_once));
    let mut load = Load::default();
    while let Some(answer) = answers.next().await {
        load.calls += 1;
        if let Err(error) = answer {
            load.failed += 1;
            load.error.get_or_insert(error);
        }
    }
    load
}

/// A share in percent.
#[expect(clippy::cast_precision_loss, reason = "a share for people to read")]
pub(crate) fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}
