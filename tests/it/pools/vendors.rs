//! From one vendor to another: nothing that only the first can read goes along.

use std::sync::Arc;

use llm_client::ModelClientExt as _;
use llm_manager::{Aggregator, Cause};
use llm_mock::{MockServer, Reply};
use llm_provider::{ModelConfig, Provider as _, SpecProvider, catalogue};
use llm_types::{ChatRequest, Message, Part, Reasoning, Role};

use super::{client, quick};

/// A conversation in which the first vendor thought aloud and signed it.
fn conversation(origin: &str) -> ChatRequest {
    let thought = Reasoning {
        text: "a thought".into(),
        signature: Some("c2lnbmF0dXJl".into()),
        origin: Some(origin.into()),
        ..Reasoning::default()
    };
    let parts = vec![Part::Reasoning(thought), Part::text("an answer")];
    let assistant = Message::new(Role::Assistant, parts);
    ChatRequest::new(vec![Message::user("hi"), assistant, Message::user("go on")])
}

#[tokio::test]
async fn foreign_reasoning_stays_behind_on_the_way_to_another_vendor() {
    let (first, second) = (MockServer::start().await, MockServer::start().await);
    first.push(Reply::error(500));
    let at = |row: &str, server: &MockServer| {
        let provider = SpecProvider::new(catalogue::find(row).unwrap())
            .with_base_url(server.base_url())
            .with_settings(quick(&[]));
        provider.create_client(&ModelConfig::new("m")).unwrap()
    };
    // The first of the two sends reasoning back always; the signature is its own.
    let models = Aggregator::builder("chain/vendors")
        .settings(quick(&[]))
        .model(at("openrouter", &first))
        .model(at("vllm", &second))
        .build()
        .unwrap();
    models.send(conversation("openrouter")).await.unwrap();
    let sent = |server: &MockServer| String::from_utf8(server.requests()[0].body().to_vec()).unwrap();
    assert!(sent(&first).contains("c2lnbmF0dXJl"), "{}", sent(&first));
    assert!(!sent(&second).contains("c2lnbmF0dXJl"), "{}", sent(&second));
    assert!(sent(&second).contains("an answer"));
}

#[tokio::test]
async fn a_prompt_that_is_too_long_goes_to_the_larger_model() {
    let (small, large) = (MockServer::start().await, MockServer::start().await);
    small.reply(
        400,
        &[],
        r#"{"error":{"message":"long","type":"invalid_request_error","code":"context_length_exceeded"}}"#,
    );
    let models = Aggregator::builder("chain/long")
        .settings(quick(&[]))
        .model(Arc::new(client(&small, &[]).build().unwrap()))
        .on(Cause::ContextLength, [Arc::new(client(&large, &[]).build().unwrap()) as _])
        .build()
        .unwrap();
    let response = models.send(ChatRequest::user("hi")).await.unwrap();
    assert_eq!((response.text().as_str(), response.attempts.len()), ("hi", 2));
    models.ask("hi").await.unwrap();
    assert_eq!((small.counts().total, large.counts().total), (2, 1));
}
