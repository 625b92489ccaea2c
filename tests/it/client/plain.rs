//! Calls that go well.

use llm_client::{Call, Embedder as _, ModelClient, ModelClientExt, ModelLister as _};
use llm_mock::{MockServer, Reply};
use llm_types::{ChatRequest, EmbeddingRequest, FinishReason, StreamEvent};

use super::client_for;

#[tokio::test]
async fn a_prompt_is_answered() {
    let server = MockServer::start().await;
    assert_eq!(client_for(&server).ask("grüß Gott 🙂").await.unwrap(), "grüß Gott 🙂");
}

#[tokio::test]
async fn a_stream_collects_into_what_a_plain_call_gives() {
    let server = MockServer::start().await;
    let client = client_for(&server);
    let request = ChatRequest::user("one two three four five six seven");
    let plain = client.send(request.clone()).await.unwrap();
    let mut stream = client.stream(request.clone()).await.unwrap();
    let mut texts = Vec::new();
    let mut ended = false;
    while let Some(event) = stream.next().await {
        match event.unwrap() {
            StreamEvent::Text { text, .. } => texts.push(text),
            StreamEvent::End => ended = true,
            _ => {}
        }
    }
    assert!(ended);
    assert!(texts.len() > 3, "{texts:?}");
    assert_eq!(texts.concat(), plain.text());
    let collected = client.stream(request).await.unwrap().collect().await.unwrap();
    assert_eq!(collected.text(), plain.text());
    assert_eq!(collected.usage, plain.usage);
    assert_eq!(collected.finish_reason(), Some(FinishReason::Stop));
    assert_eq!(collected.attempts.len(), 1);
    assert!(collected.timing.first_content.is_some());
    let metrics = client.metrics();
    assert_eq!((metrics.total_requests, metrics.successful_requests), (3, 3));
    assert_eq!(metrics.input_tokens, 3 * plain.usage.unwrap().input_total());
}

#[tokio::test]
async fn per_call_headers_and_url_are_used() {
    let server = MockServer::start().await;
    let mut call = Call::default();
    call.headers.insert("x-test", "1".parse().unwrap());
    call.url = Some(format!("{}/chat/completions?tag=a", server.base_url()));
    client_for(&server).chat(&ChatRequest::user("hi"), &call).await.unwrap();
    let request = server.requests().pop().unwrap();
    assert_eq!(request.headers().get("x-test").unwrap(), "1");
    assert!(request.headers().get("user-agent").unwrap().to_str().unwrap().starts_with("llm-rs/"));
}

#[tokio::test]
async fn models_and_embeddings_come_in_order() {
    let server = MockServer::start().await;
    let client = client_for(&server);
    assert!(!client.list_models(&Call::default()).await.unwrap().is_empty());
    let request = EmbeddingRequest::new(["a", "b", "a"]);
    let vectors = client.embed(&request, &Call::default()).await.unwrap().vectors;
    assert_eq!(vectors.len(), 3);
    assert_eq!(vectors[0], vectors[2]);
    assert_ne!(vectors[0], vectors[1]);
}

#[tokio::test]
async fn many_prompts_keep_their_positions_and_failures_their_places() {
    let server = MockServer::start().await;
    let client = client_for(&server);
    let prompts: Vec<String> = (0..20).map(|n| format!("prompt {n}")).collect();
    let prompts: Vec<&str> = prompts.iter().map(String::as_str).collect();
    let answers = client.batch_generate(&prompts, 4, &ChatRequest::default()).await;
    assert_eq!(answers.iter().map(|answer| answer.as_ref().unwrap().text()).collect::<Vec<_>>(), prompts);
    assert!(server.counts().max_in_flight <= 4);

    server.reply(400, &[], r#"{"error":{"message":"no","type":"invalid_request_error"}}"#);
    server.push(Reply::text("yes"));
    let answers = client.batch_generate(&["a", "b"], 1, &ChatRequest::default()).await;
    assert!(answers[0].is_err());
    assert_eq!(answers[1].as_ref().unwrap().text(), "yes");
}

#[tokio::test]
async fn a_closed_client_refuses_and_closing_again_does_nothing() {
    let server = MockServer::start().await;
    let client = client_for(&server);
    client.ask("hi").await.unwrap();
    assert!(client.health_check().healthy);
    client.close().await.unwrap();
    client.close().await.unwrap();
    assert_eq!(client.ask("hi").await.unwrap_err().kind(), llm_types::ErrorKind::Unavailable);
    let health = client.health_check();
    assert!(!health.healthy && health.connection_pool_available == Some(false));
    assert_eq!(server.counts().total, 1);
}
