//! The blocking face over real sockets. The server runs on a thread of its own: the caller's stands still.

use std::time::Duration;

use llm_client::dialect::Dialect;
use llm_client::{Call, HttpClient, ModelClientExt as _, blocking};
use llm_mock::{MockServer, Reply};
use llm_types::{ChatRequest, EmbeddingRequest, ErrorKind, Phase, StreamEvent};
use tokio::runtime::{Builder, Runtime};

use super::client_for;

/// A server with a runtime of its own. Made and dropped by threads of their own: a caller that drives a runtime may
/// neither enter nor end another one.
struct Apart(Option<(MockServer, Runtime)>);

impl Apart {
    fn start() -> Self {
        let make = || {
            let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            let server = runtime.block_on(MockServer::start());
            Self(Some((server, runtime)))
        };
        std::thread::spawn(make).join().unwrap()
    }

    fn server(&self) -> &MockServer {
        &self.0.as_ref().unwrap().0
    }

    fn client(&self) -> HttpClient {
        client_for(self.server())
    }

    /// Waits until a client has left.
    fn wait_for_cancel(&self) {
        let (server, runtime) = self.0.as_ref().unwrap();
        let left = async {
            let left = server.wait_for(|counts| counts.cancelled > 0);
            tokio::time::timeout(Duration::from_secs(20), left).await.unwrap();
        };
        std::thread::scope(|scope| scope.spawn(|| runtime.block_on(left)).join().unwrap());
    }
}

impl Drop for Apart {
    fn drop(&mut self) {
        let parts = self.0.take();
        std::thread::spawn(|| drop(parts)).join().unwrap();
    }
}

fn round(apart: &Apart, client: &blocking::Client) {
    assert_eq!(client.ask("hi there").unwrap(), "hi there");
    let stream = client.stream(ChatRequest::user("one two three four five")).unwrap();
    let mut text = String::new();
    for event in stream {
        if let StreamEvent::Text { text: piece, .. } = event.unwrap() {
            text.push_str(&piece);
        }
    }
    assert_eq!(text, "one two three four five");
    let answers = client.batch_generate(&["a", "b", "c", "d"], 3, &ChatRequest::default());
    let texts: Vec<String> = answers.into_iter().map(|answer| answer.unwrap().text()).collect();
    assert_eq!(texts, ["a", "b", "c", "d"]);
    let call = Call::default();
    assert!(!client.list_models(&call).unwrap().is_empty());
    client.probe(&call).unwrap();
    let embedded = client.embed(&EmbeddingRequest::new(["x", "y"]), &call).unwrap();
    assert_eq!(embedded.vectors.len(), 2);
    let counting = HttpClient::builder(apart.server().base_url(), "m").dialect(Dialect::Anthropic);
    let counting = blocking::Client::new(std::sync::Arc::new(counting.build().unwrap()));
    assert!(counting.count_tokens(&ChatRequest::user("one two three"), &call).unwrap().input_tokens > 0);
    assert_eq!(apart.server().cancelled(), 0);
}

#[test]
fn outside_of_a_runtime() {
    let apart = Apart::start();
    round(&apart, &blocking::Client::from(apart.client()));
}

#[tokio::test(flavor = "current_thread")]
async fn in_the_only_thread_of_a_runtime_also_after_awaited_calls() {
    let apart = Apart::start();
    let client = apart.client();
    let blocking = blocking::Client::from(client.clone());
    for _ in 0..3 {
        // Its connection lies idle and belongs to this runtime, which stands still while the next call blocks.
        assert_eq!(client.ask("awaited").await.unwrap(), "awaited");
        assert_eq!(blocking.ask("blocked").unwrap(), "blocked");
    }
    round(&apart, &blocking);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_runtime_of_many_threads_and_in_its_blocking_ones() {
    let apart = Apart::start();
    let client = blocking::Client::from(apart.client());
    round(&apart, &client);
    let from_task = client.clone();
    tokio::spawn(async move { assert_eq!(from_task.ask("task").unwrap(), "task") }).await.unwrap();
    let from_pool = client.clone();
    let answer = tokio::task::spawn_blocking(move || from_pool.ask("pool")).await.unwrap();
    assert_eq!(answer.unwrap(), "pool");
}

#[test]
fn a_dropped_iterator_cancels_the_request_at_once() {
    for taken in [0, 1, 4] {
        let apart = Apart::start();
        // It would go on for about an hour.
        apart.server().push(Reply::text("word ".repeat(40_000)).tokens_per_sec(10.0));
        let client = blocking::Client::from(apart.client());
        let mut events = client.stream(ChatRequest::user("hi")).unwrap();
        assert_eq!(events.by_ref().take(taken).filter(Result::is_ok).count(), taken);
        assert_eq!(apart.server().cancelled(), 0);
        drop(events);
        apart.wait_for_cancel();
    }
}

#[test]
fn a_call_ends_at_its_deadline_and_is_cancelled() {
    let apart = Apart::start();
    apart.server().push(Reply::echo().delay(Duration::from_secs(3600)));
    let client = blocking::Client::from(apart.client());
    let error = client.chat(&ChatRequest::user("hi"), &Call::within(Duration::from_millis(100))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout(Phase::Call));
    apart.wait_for_cancel();
}

#[test]
fn many_threads_at_once() {
    let apart = Apart::start();
    let client = blocking::Client::from(apart.client());
    std::thread::scope(|scope| {
        for number in 0..24 {
            let client = &client;
            scope.spawn(move || {
                for turn in 0..4 {
                    let prompt = format!("thread {number}, turn {turn}");
                    assert_eq!(client.ask(&prompt).unwrap(), prompt);
                }
            });
        }
    });
    assert_eq!(apart.server().counts().answered, 96);
}
