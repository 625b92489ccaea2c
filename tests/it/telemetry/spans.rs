//! Spans: one for a call, one for each attempt below it.

use std::sync::Arc;

use llm_client::telemetry::{Names, Telemetry};
use llm_client::{Call, Embedder as _, ModelClient as _, ModelClientExt as _};
use llm_manager::{Member, Pool, Strategy};
use llm_mock::{MockServer, Reply};
use llm_provider::{ModelConfig, Provider as _, ProviderSpec, SpecProvider};
use llm_types::{
    ChatRequest, EmbeddingRequest, ReasoningEffort, ReasoningSetting, ResponseFormat, StreamEvent,
};
use tracing::Instrument as _;

use super::observed;
use super::seen::Spans;

const USAGE: &str = concat!(
    r#"{"prompt_tokens": 90, "completion_tokens": 30, "total_tokens": 120, "prompt_tokens_details": {"cached_tokens": 50, "cache_write_tokens": 10},"#,
    r#" "completion_tokens_details": {"reasoning_tokens": 20}}"#,
);

fn latest() -> Telemetry {
    Telemetry { names: Names::Latest, ..Telemetry::default() }
}

#[tokio::test]
async fn a_call_is_one_client_span_with_a_span_for_each_attempt_below_it() {
    let (spans, _listening) = Spans::listen();
    let server = MockServer::start().await;
    server.reply(429, &[("retry-after-ms", "1"), ("x-request-id", "req-1")], "{}");
    server.push(Reply::text("Hello!").usage(USAGE).header("x-request-id", "req-2"));
    let client = observed(&server, Telemetry::default());
    let request = ChatRequest {
        temperature: Some(0.25),
        max_tokens: Some(64),
        top_k: Some(40),
        seed: Some(-7),
        n: Some(1),
        stop: vec!["END".to_owned()],
        response_format: Some(ResponseFormat::JsonObject),
        ..ChatRequest::user("hi")
    };
    let tags = [("gen_ai.conversation.id", "c-1"), ("team", "red")];
    let tags = tags.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let mut call = Call::default();
    call.tags = tags;
    let outer = tracing::info_span!("outer");
    client.chat(&request, &call).instrument(outer.clone()).await.unwrap();

    let call = spans.call();
    assert!(call.closed && call.is_below(&spans.named("outer")[0]));
    let port = server.base_url().rsplit(':').next().unwrap().split('/').next().unwrap().to_owned();
    call.says(&[
        ("otel.name", "chat mock-model"),
        ("otel.kind", "client"),
        ("gen_ai.operation.name", "chat"),
        ("gen_ai.provider.name", "mock"),
        ("gen_ai.request.model", "mock-model"),
        ("server.address", "127.0.0.1"),
        ("server.port", &port),
        ("gen_ai.request.temperature", "0.25"),
        ("gen_ai.request.max_tokens", "64"),
        ("gen_ai.request.top_k", "40.0"),
        ("gen_ai.request.seed", "-7"),
        ("gen_ai.request.stop_sequences", r#"["END"]"#),
        ("gen_ai.output.type", "json"),
        ("gen_ai.conversation.id", "c-1"),
        ("llm.tags", r#"{"team":"red"}"#),
        ("gen_ai.response.finish_reasons", r#"["stop"]"#),
        ("gen_ai.usage.input_tokens", "90"),
        ("gen_ai.usage.output_tokens", "30"),
        ("gen_ai.usage.cache_read.input_tokens", "50"),
        ("gen_ai.usage.cache_creation.input_tokens", "10"),
        ("gen_ai.usage.reasoning.output_tokens", "20"),
        ("llm.attempts", "2"),
        ("llm.retry.reason", "rate_limited"),
        ("llm.endpoint.id", &server.base_url()),
    ]);
    assert!(call.get("gen_ai.response.id").is_some() && call.get("gen_ai.response.model").is_some());
    assert!(call.get("llm.ratelimit.wait").unwrap().parse::<f64>().unwrap() > 0.0);
    for absent in [
        "error.type",
        "otel.status_code",
        "gen_ai.request.choice.count",
        "gen_ai.request.stream",
        "gen_ai.usage.cache_write.input_tokens",
        "gen_ai.input.messages",
    ] {
        assert_eq!(call.get(absent), None, "{absent}");
    }

    let [first, second] = spans.named("attempt").try_into().unwrap();
    assert!(first.is_below(&call) && second.is_below(&call) && first.closed && second.closed);
    first.says(&[
        ("otel.name", "POST"),
        ("otel.kind", "client"),
        ("otel.status_code", "ERROR"),
        ("http.request.method", "POST"),
        ("http.response.status_code", "429"),
        ("error.type", "rate_limited"),
        ("llm.request.id", "req-1"),
        ("llm.endpoint.id", &server.base_url()),
    ]);
    assert_eq!(first.get("http.request.resend_count"), None);
    second.says(&[
        ("http.request.resend_count", "1"),
        ("llm.retry.reason", "rate_limited"),
        ("http.response.status_code", "200"),
        ("llm.request.id", "req-2"),
    ]);
    assert_eq!((second.get("error.type"), second.get("otel.status_code")), (None, None));
}

#[tokio::test]
async fn the_next_set_of_names_stands_behind_the_switch() {
    let (spans, _listening) = Spans::listen();
    let server = MockServer::start().await;
    server.push(Reply::text("Hello!").usage(USAGE));
    let reasoning = Some(ReasoningSetting { effort: Some(ReasoningEffort::Low), ..Default::default() });
    let request = ChatRequest { top_k: Some(40), n: Some(2), reasoning, ..ChatRequest::user("hi") };
    observed(&server, latest()).send(request).await.unwrap();
    let call = spans.call();
    call.says(&[
        ("gen_ai.request.top_k", "40"),
        ("gen_ai.request.choice.count", "2"),
        ("gen_ai.request.reasoning.level", "low"),
        ("gen_ai.usage.cache_write.input_tokens", "10"),
    ]);
    assert_eq!(call.get("gen_ai.usage.cache_creation.input_tokens"), None);
}

#[tokio::test]
async fn the_span_of_a_stream_lives_until_the_stream_ends() {
    let (spans, _listening) = Spans::listen();
    let server = MockServer::start().await;
    server.push(Reply::text("one two three").usage(USAGE));
    let client = observed(&server, Telemetry::default());
    let mut stream = client.stream(ChatRequest::user("hi")).await.unwrap();
    assert!(!spans.call().closed && spans.named("attempt")[0].closed);
    while !matches!(stream.next().await.unwrap().unwrap(), StreamEvent::End) {
        assert!(!spans.call().closed);
    }
    let call = spans.call();
    assert!(call.closed, "the last event ends the span, not the end of the stream or its drop");
    call.says(&[
        ("gen_ai.request.stream", "true"),
        ("gen_ai.response.finish_reasons", r#"["stop"]"#),
        ("gen_ai.usage.input_tokens", "90"),
        ("llm.attempts", "1"),
    ]);
    assert!(call.get("gen_ai.response.time_to_first_chunk").is_some());
    assert!(call.get("gen_ai.response.model").is_some() && call.get("error.type").is_none());
}

#[tokio::test]
async fn a_call_that_fails_breaks_or_is_dropped_says_so() {
    let server = MockServer::start().await;
    let client = observed(&server, Telemetry::default());
    let after = |spans: &Spans, kind: &str| {
        let call = spans.call();
        assert!(call.closed);
        call.says(&[("error.type", kind), ("otel.status_code", "ERROR")]);
    };

    server.reply(400, &[], "{}");
    let (spans, listening) = Spans::listen();
    client.ask("hi").await.unwrap_err();
    after(&spans, "invalid_request");
    spans.call().says(&[("llm.attempts", "1")]);
    drop(listening);

    // A stream that is cut after content.
    server.push(Reply::text("one two three four five six").no_end());
    let (spans, listening) = Spans::listen();
    client.stream(ChatRequest::user("hi")).await.unwrap().collect().await.unwrap_err();
    after(&spans, "truncated");
    drop(listening);

    // A stream that nobody reads to its end.
    server.push(Reply::text("one two three"));
    let (spans, listening) = Spans::listen();
    drop(client.stream(ChatRequest::user("hi")).await.unwrap());
    after(&spans, "cancelled");
    drop(listening);

    // A call that nobody waits for.
    server.push(Reply::text("late").delay(std::time::Duration::from_secs(600)));
    let (spans, listening) = Spans::listen();
    let call = client.ask("hi");
    tokio::select! {
        _ = call => panic!("the answer comes later"),
        () = async { while server.counts().total < 4 { tokio::task::yield_now().await } } => {}
    }
    after(&spans, "cancelled");
    spans.named("attempt")[0].says(&[("error.type", "cancelled")]);
    drop(listening);
}

#[tokio::test]
async fn a_driven_call_opens_no_span_of_its_own() {
    let (spans, _listening) = Spans::listen();
    let server = MockServer::start().await;
    let client = observed(&server, Telemetry::default());
    let (request, call) = (ChatRequest::user("hi"), Call::default().driven());
    client.chat(&request, &call).await.unwrap();
    client.chat_stream(&request, &call).await.unwrap().collect().await.unwrap();
    assert_eq!(spans.named("call").len(), 0);
    let attempts = spans.named("attempt");
    assert_eq!(attempts.len(), 2);
    // The log is shared, so the count goes on over all clients of the call.
    assert_eq!(attempts[1].get("http.request.resend_count"), Some("1"));
}

#[tokio::test]
async fn embeddings_have_their_own_operation() {
    let (spans, _listening) = Spans::listen();
    let server = MockServer::start().await;
    let client = observed(&server, Telemetry::default());
    let request = EmbeddingRequest { dimensions: Some(8), ..EmbeddingRequest::new(["a", "b"]) };
    client.embed(&request, &Call::default()).await.unwrap();
    spans.call().says(&[
        ("otel.name", "embeddings mock-model"),
        ("gen_ai.operation.name", "embeddings"),
        ("gen_ai.embeddings.dimension.count", "8"),
        ("llm.attempts", "1"),
    ]);
    assert!(spans.call().get("gen_ai.usage.input_tokens").is_some());
}

#[tokio::test]
async fn no_prompt_no_answer_and_no_key_is_traced_unless_content_is_asked_for() {
    for content in [false, true] {
        let (spans, _listening) = Spans::listen();
        let server = MockServer::start().await;
        for _ in 0..3 {
            server.push(Reply::text("canary-answer"));
        }
        server.reply(400, &[], r#"{"error":{"message":"you said canary-prompt with canary-key-0123"}}"#);
        server.push(Reply::text("canary-answer").no_end());
        let client = observed(&server, Telemetry { content, ..Telemetry::default() });
        let request = || ChatRequest::user("canary-prompt").with_system("canary-system");
        client.send(request()).await.unwrap();
        client.stream(request()).await.unwrap().collect().await.unwrap();
        drop(client.stream(request()).await.unwrap());
        client.send(request()).await.unwrap_err();
        client.stream(request()).await.unwrap().collect().await.unwrap_err();
        client.embed(&EmbeddingRequest::new(["canary-prompt"]), &Call::default()).await.unwrap();

        let text = spans.text();
        assert!(text.contains("http.response.status_code") && text.contains("llm_client::wire"), "{text}");
        assert!(!text.contains("canary-key"), "{text}");
        assert_eq!(text.contains("canary"), content, "{text}");
        let calls = spans.named("call");
        assert_eq!(calls.len(), 6);
        if content {
            for call in &calls[..2] {
                call.says(&[
                    (
                        "gen_ai.input.messages",
                        r#"[{"parts":[{"content":"canary-prompt","type":"text"}],"role":"user"}]"#,
                    ),
                    ("gen_ai.system_instructions", r#"[{"content":"canary-system","type":"text"}]"#),
                    (
                        "gen_ai.output.messages",
                        r#"[{"finish_reason":"stop","parts":[{"content":"canary-answer","type":"text"}],"role":"assistant"}]"#,
                    ),
                ]);
            }
        }
    }
}

#[tokio::test]
async fn a_call_of_a_pool_is_one_span_whoever_answers_it() {
    let (spans, _listening) = Spans::listen();
    let (dead, alive) = (MockServer::start().await, MockServer::start().await);
    dead.reply(500, &[], "{}");
    dead.reply(500, &[], "{}");
    alive.push(Reply::text("one two three"));
    let member = |server| Member::new(Arc::new(observed(server, Telemetry::default())));
    let pool =
        Pool::builder("pool/fast").strategy(Strategy::Fallback).member(member(&dead)).member(member(&alive));
    let pool = pool.build().unwrap();
    pool.stream(ChatRequest::user("hi")).await.unwrap().collect().await.unwrap();
    let call = spans.call();
    call.says(&[
        ("otel.name", "chat fast"),
        ("gen_ai.provider.name", "pool"),
        ("llm.attempts", "2"),
        ("llm.retry.reason", "server"),
        ("llm.endpoint.id", &alive.base_url()),
        ("gen_ai.response.finish_reasons", r#"["stop"]"#),
    ]);
    assert_eq!((call.closed, call.get("server.address")), (true, None));
    let [first, second] = spans.named("attempt").try_into().unwrap();
    assert!(first.is_below(&call) && second.is_below(&call));
    first.says(&[("llm.endpoint.id", &dead.base_url()), ("http.response.status_code", "500")]);
    second.says(&[("llm.endpoint.id", &alive.base_url()), ("http.request.resend_count", "1")]);
}

#[tokio::test]
async fn a_vendor_is_traced_by_the_conventions_word_and_a_provider_of_ones_own_by_its_name() {
    static ACME: ProviderSpec =
        ProviderSpec { name: "acme", traced_as: Some("acme_ai"), ..ProviderSpec::COMPATIBLE };
    let server = MockServer::start().await;
    let provider = SpecProvider::new(&ACME).with_base_url(server.base_url());
    for (provider, word) in [(provider.clone().with_name("work"), "work"), (provider, "acme_ai")] {
        let (spans, _listening) = Spans::listen();
        provider.create_client(&ModelConfig::new("m")).unwrap().ask("hi").await.unwrap();
        spans.call().says(&[("gen_ai.provider.name", word)]);
    }
}
