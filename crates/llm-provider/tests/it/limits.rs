//! The most calls in flight for a model, as the server sees it.

use std::time::Duration;

use llm_client::{ModelClientExt as _, Settings};
use llm_mock::{MockConfig, MockServer, Reply};
use llm_provider::{ModelConfig, Provider as _, SpecProvider};
use llm_types::ChatRequest;

fn capped(name: &str, url: &str, most: u32) -> ModelConfig {
    let settings = Settings { max_concurrent_calls: Some(most), ..Settings::default() };
    ModelConfig { base_url: Some(url.into()), settings: Some(settings), ..ModelConfig::new(name) }
}

const ANSWER_AFTER: Duration = Duration::from_millis(20);

/// The most requests that were surely in flight at one time: none is answered before its delay is over.
fn most_at_once(server: &MockServer) -> usize {
    let arrived: Vec<_> = server.requests().iter().map(llm_mock::Request::arrived).collect();
    let at = |now| arrived.iter().filter(|from| **from <= now && now < **from + ANSWER_AFTER).count();
    arrived.iter().map(|now| at(*now)).max().unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_plain_calls_are_in_flight_than_the_model_allows() {
    let server = MockConfig::new().delay(ANSWER_AFTER).start().await.unwrap();
    let provider =
        SpecProvider::create_from_config("acme", vec![capped("m", &server.base_url(), 3)]).unwrap();
    let client = provider.client("m").unwrap();
    let answers = client.batch_generate(&["hi"; 24], 24, &ChatRequest::default()).await;
    assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    server.wait_for_requests(24).await;
    assert!((1..=3).contains(&most_at_once(&server)), "{}", most_at_once(&server));
}

#[tokio::test]
async fn a_stream_holds_its_place_until_its_end_or_until_it_is_dropped() {
    let server = MockServer::start().await;
    let url = server.base_url();
    let provider =
        SpecProvider::create_from_config("acme", vec![capped("m", &url, 1), capped("free", &url, 1)])
            .unwrap();
    let client = provider.client("m").unwrap();
    // Its first content comes, and then nothing.
    server.push(Reply::text("one two three four five six").stall_at(600));
    let mut open = client.stream(ChatRequest::user("hi")).await.unwrap();
    open.next().await.unwrap().unwrap();
    let waiting = tokio::spawn({
        let client = client.clone();
        async move { client.ask("second").await }
    });
    // Another model has places of its own, and is answered while the second call waits.
    assert_eq!(provider.client("free").unwrap().ask("third").await.unwrap(), "third");
    assert_eq!(server.requests().len(), 2, "the second has not been sent");
    assert!(!waiting.is_finished());
    drop(open);
    assert_eq!(waiting.await.unwrap().unwrap(), "second");
    assert_eq!(client.admission().expect("one of ours").in_flight(), 0);
}
