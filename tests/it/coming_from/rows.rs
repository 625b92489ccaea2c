//! Rows of the page that nothing else shows.

use std::sync::Arc;
use std::time::Duration;

use llm_batch::{BatchRequest, BatchRunner};
use llm_client::{Call, ModelClient, ModelClientExt as _, Settings};
use llm_manager::{Aggregator, Member, Pool, Strategy};
use llm_mock::{MockServer, Reply};
use llm_types::{ChatRequest, Extra, FinishReason, Message};
use serde_json::{Value, json};

use crate::client::client_for;

#[tokio::test]
async fn without_a_key_no_header_is_sent() {
    let server = MockServer::start().await;
    client_for(&server).ask("hi").await.unwrap();
    assert_eq!(server.requests()[0].header("authorization"), None);
}

#[tokio::test]
async fn the_raw_body_comes_beside_the_answer() {
    let server = MockServer::start().await;
    let body = r#"{"choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}], "x_new": 1}"#;
    server.push(Reply::body(200, body).times(2));
    let client = client_for(&server);
    let mut call = Call::default();
    call.keep_raw = true;
    let answer = client.chat(&ChatRequest::user("hi"), &call).await.unwrap();
    assert_eq!((answer.text().as_str(), answer.raw.as_deref()), ("hi", Some(body.as_bytes())));
    assert_eq!(answer.extra.get("x_new").unwrap().get(), "1");
    assert!(client.send(ChatRequest::user("hi")).await.unwrap().raw.is_none());
}

#[tokio::test]
async fn thoughts_and_answer_come_apart() {
    let server = MockServer::start().await;
    let client = client_for(&server);
    server.push(Reply::text("Four.").reasoning("Two and two").times(2));
    let plain = client.send(ChatRequest::user("2+2?")).await.unwrap();
    let streamed = client.stream(ChatRequest::user("2+2?")).await.unwrap().collect().await.unwrap();
    for answer in [plain, streamed] {
        assert_eq!((answer.text().as_str(), answer.reasoning().as_str()), ("Four.", "Two and two"));
    }
    server.push(Reply::text("").reasoning("Only thoughts"));
    let thoughts = client.send(ChatRequest::user("2+2?")).await.unwrap();
    assert_eq!((thoughts.text().as_str(), thoughts.reasoning().as_str()), ("", "Only thoughts"));
}

#[test]
fn the_seeds_limits_are_settings_of_ours() {
    let mut settings = Settings::default();
    assert_eq!(settings.max_concurrent_calls, None);
    for (key, value) in [
        ("max_concurrent_calls", "10"),
        // max_qps 2.
        ("requests_per_minute", "120"),
        // rate_limit_capacity 20.
        ("requests_burst", "20"),
        // retry_times 3 of all attempts.
        ("max_retries", "2"),
        // retry_delay 1.5 s.
        ("backoff_base_ms", "1500"),
        ("attempt_timeout_secs", "30"),
        ("max_connections", "20"),
    ] {
        settings.set(key, value).unwrap();
    }
    assert_eq!((settings.max_concurrent_calls, settings.requests_per_minute), (Some(10), Some(120)));
    assert_eq!((settings.requests_burst, settings.max_retries, settings.max_connections), (Some(20), 2, 20));
    assert_eq!(settings.backoff_base, Duration::from_millis(1500));
    assert_eq!(settings.attempt_timeout, Some(Duration::from_secs(30)));
}

#[tokio::test]
async fn a_batch_over_a_pool_uses_every_member() {
    let servers = [MockServer::start().await, MockServer::start().await, MockServer::start().await];
    servers[1].push(Reply::error(503).times(5));
    let mut pool = Pool::builder("pool/batch").strategy(Strategy::RoundRobin);
    for server in &servers {
        pool = pool.member(Member::new(Arc::new(client_for(server))));
    }
    let requests = (0..60).map(|row| ChatRequest::user(format!("row {row}"))).collect();
    let answers = BatchRunner::new(Arc::new(pool.build().unwrap())).concurrency(6).collect(requests).await;
    for (row, answer) in answers.into_iter().enumerate() {
        assert_eq!(answer.unwrap().text(), format!("row {row}"));
    }
    for server in &servers {
        assert!(server.counts().total > 0, "{:?}", server.counts());
    }
}

#[tokio::test]
async fn metadata_stays_with_its_request() {
    let server = MockServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.jsonl");
    let request = |prompt: &str, source: &str| BatchRequest {
        metadata: Extra::parse(&format!(r#"{{"source": "{source}"}}"#)).unwrap(),
        ..BatchRequest::from(ChatRequest::user(prompt))
    };
    let requests = vec![request("one", "a"), request("two", "b")];
    let run = BatchRunner::new(Arc::new(client_for(&server))).stream(requests, Some(output.clone()));
    let (results, _) = run.all().await.unwrap();
    let kept: Vec<&str> = results.iter().map(|result| result.metadata.get("source").unwrap().get()).collect();
    assert_eq!(kept, [r#""a""#, r#""b""#]);
    let stored = std::fs::read_to_string(output).unwrap();
    let stored: Vec<Value> = stored.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!((&stored[1]["output"], &stored[1]["metadata"]["source"]), (&json!("two"), &json!("b")));
    assert!(server.requests().iter().all(|request| !request.json().to_string().contains("source")));
}

#[tokio::test]
async fn generate_sends_what_it_is_given_and_nothing_else() {
    let server = MockServer::start().await;
    let client = client_for(&server);
    client.generate("p", Some(50), Some(0.3), &["END"]).await.unwrap();
    client.generate("p", None, None, &[]).await.unwrap();
    let bodies: Vec<Value> = server.requests().iter().map(llm_mock::Request::json).collect();
    assert_eq!((&bodies[0]["temperature"], &bodies[0]["stop"]), (&json!(0.3), &json!(["END"])));
    assert!(bodies[0].to_string().contains(":50"), "{}", bodies[0]);
    let members: Vec<&String> = bodies[1].as_object().unwrap().keys().collect();
    assert!(
        members.iter().all(|name| ["messages", "model", "stream"].contains(&name.as_str())),
        "{members:?}"
    );
}

#[tokio::test]
async fn the_figures_have_the_seeds_names() {
    let server = MockServer::start().await;
    let client = client_for(&server);
    let fresh = serde_json::to_value(client.metrics()).unwrap();
    assert_eq!((&fresh["total_requests"], &fresh["success_rate"]), (&json!(0), &Value::Null));
    client.ask("one two three").await.unwrap();
    server.push(Reply::error(400));
    client.ask("refused").await.unwrap_err();
    client.stream(ChatRequest::user("four five")).await.unwrap().collect().await.unwrap();
    let health = serde_json::to_value(client.health().unwrap()).unwrap();
    assert_eq!((&health["healthy"], &health["connection_pool_available"]), (&json!(true), &json!(true)));
    assert!(health["connection_pool_size"].as_u64().unwrap() > 0);
    let metrics = &health["metrics"];
    assert_eq!((&metrics["total_requests"], &metrics["successful_requests"]), (&json!(3), &json!(2)));
    assert!((metrics["success_rate"].as_f64().unwrap() - 2.0 / 3.0).abs() < 1e-9);
    for figure in ["avg_latency_ms", "avg_tokens_per_request", "input_tokens", "output_tokens"] {
        assert!(metrics[figure].as_f64().unwrap() > 0.0, "{figure}");
    }
}

#[tokio::test]
async fn the_old_response_has_its_members_here() {
    let server = MockServer::start().await;
    let answer = client_for(&server).send(ChatRequest::user("one two")).await.unwrap();
    assert_eq!((answer.text().as_str(), answer.choices.len()), ("one two", 1));
    assert_eq!(answer.finish_reason(), Some(FinishReason::Stop));
    assert_eq!(answer.model.as_deref(), Some("mock-model"));
    let usage = answer.usage.unwrap();
    assert_eq!(usage.total(), usage.input_total() + usage.output_total());
    assert!(answer.timing.total > Duration::ZERO && answer.timing.waited <= answer.timing.total);
}

#[tokio::test]
async fn an_aggregator_gives_text_and_tells_each_models_health() {
    let (bad, good) = (MockServer::start().await, MockServer::start().await);
    bad.push(Reply::error(503).times(10));
    let models = [&bad, &good].map(|server| Arc::new(client_for(server)) as Arc<dyn ModelClient>);
    let mut aggregator = Aggregator::builder("chain/old");
    for model in models {
        aggregator = aggregator.model(model);
    }
    let aggregator = aggregator.build().unwrap();
    let messages = vec![Message::system("Be kind."), Message::user("Who are you?")];
    assert_eq!(aggregator.generate_response(messages).await.unwrap(), "Who are you?");
    let health = aggregator.health().unwrap();
    assert!(health.healthy);
    assert_eq!(health.members.iter().map(|member| member.metrics.total_requests).sum::<u64>(), 2);
    aggregator.close().await.unwrap();
    assert!(aggregator.ask("closed").await.is_err());
}
