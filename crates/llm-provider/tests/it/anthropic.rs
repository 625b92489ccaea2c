//! Anthropic's messages over real sockets: heads, retries, streams, counts and lists that go on.

use llm_client::dialect::Dialect;
use llm_client::{Call, ModelClientExt as _, Settings};
use llm_mock::{MockServer, Reply};
use llm_provider::{ModelConfig, Provider as _, SpecProvider, catalogue};
use llm_types::{ChatRequest, ErrorKind, FinishReason, Message, ReasoningEffort, ReasoningSetting};

const ANSWER: &str = r#"{"id":"msg_1","type":"message","role":"assistant","model":"m-1","content":[{"type":"text","text":"High at 4."}],"stop_reason":"end_turn","usage":{"input_tokens":3,"output_tokens":4}}"#;
const STREAM: &str =
    include_str!("../../../llm-client/tests/data/anthropic/thinking-interleaved-with-tools-stream.sse");
const BROKEN: &str =
    include_str!("../../../llm-client/tests/data/anthropic/overloaded-in-the-middle-stream.sse");

/// The row at the server's address, with the key that a variable holds.
fn provider(server: &MockServer, variable: &str, key: &str) -> SpecProvider {
    let url = format!("http://{}", server.address());
    let (variable, key) = (variable.to_owned(), key.to_owned());
    let env = move |name: &str| match name {
        "ANTHROPIC_BASE_URL" => Some(url.clone()),
        name => (name == variable).then(|| key.clone()),
    };
    let settings = Settings { backoff_base: std::time::Duration::ZERO, ..Settings::default() };
    SpecProvider::from_env(catalogue::find("anthropic").unwrap(), &env).with_settings(settings)
}

#[tokio::test]
async fn a_call_carries_its_version_and_its_key_and_is_repeated_when_the_server_is_overloaded() {
    let server = MockServer::start().await;
    server.reply(
        529,
        &[("retry-after", "0")],
        r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#,
    );
    server.reply(200, &[("request-id", "req_7"), ("x-request-id", "other")], ANSWER);
    let client = provider(&server, "ANTHROPIC_API_KEY", "sk-ant-api03-x").client("claude-opus-4-7").unwrap();
    let answer = client.send(ChatRequest::user("tide?").with_system("Be brief.")).await.unwrap();
    assert_eq!((answer.text().as_str(), answer.finish_reason()), ("High at 4.", Some(FinishReason::Stop)));
    assert_eq!(answer.attempts.len(), 2);
    assert_eq!(answer.attempts[1].request_id.as_deref(), Some("req_7"));
    let [first, second] = server.requests().try_into().expect("two attempts");
    assert_eq!(first.body(), second.body());
    assert_eq!(first.path(), "/v1/messages");
    assert_eq!((first.header("x-api-key"), first.header("authorization")), (Some("sk-ant-api03-x"), None));
    assert_eq!(first.header("anthropic-version"), Some("2023-06-01"));
    assert_eq!((&first.json()["max_tokens"], &first.json()["system"]), (&21_333.into(), &"Be brief.".into()));
}

#[tokio::test]
async fn a_delay_in_the_head_of_a_good_answer_is_no_reason_to_wait() {
    let server = MockServer::start().await;
    let remaining = ("anthropic-ratelimit-tokens-remaining", "0");
    server.reply(200, &[("retry-after", "61"), remaining], ANSWER);
    server.reply(200, &[], ANSWER);
    let client = provider(&server, "ANTHROPIC_API_KEY", "sk-1").client("m").unwrap();
    for _ in 0..2 {
        let answer = client.send(ChatRequest::user("tide?")).await.unwrap();
        assert!(answer.timing.waited.as_secs() < 60, "{:?}", answer.timing);
    }
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn the_key_of_the_other_variable_is_a_bearer_token() {
    for (variable, key, beta) in [
        ("ANTHROPIC_AUTH_TOKEN", "tok-1", None),
        ("ANTHROPIC_AUTH_TOKEN", "sk-ant-oat01-1", Some("oauth-2025-04-20")),
        ("ANTHROPIC_API_KEY", "sk-ant-oat01-1", Some("oauth-2025-04-20")),
    ] {
        let server = MockServer::start().await;
        server.reply(200, &[], ANSWER);
        provider(&server, variable, key).client("m").unwrap().ask("hi").await.unwrap();
        let request = server.requests().pop().unwrap();
        assert_eq!(request.header("authorization"), Some(format!("Bearer {key}").as_str()));
        assert_eq!((request.header("x-api-key"), request.header("anthropic-beta")), (None, beta));
    }
}

#[tokio::test]
async fn a_stream_thinks_calls_and_goes_back() {
    let server = MockServer::start().await;
    server.push(Reply::sse(STREAM));
    server.reply(200, &[], ANSWER);
    let client = provider(&server, "ANTHROPIC_API_KEY", "sk-1").client("claude-sonnet-4-6").unwrap();
    let reasoning = ReasoningSetting { effort: Some(ReasoningEffort::High), ..ReasoningSetting::default() };
    let mut request = ChatRequest { reasoning: Some(reasoning), ..ChatRequest::user("tide?") };
    let answer = client.stream(request.clone()).await.unwrap().collect().await.unwrap();
    assert_eq!(answer.reasoning(), "Need the tide.And the wind.");
    assert_eq!(answer.tool_calls().count(), 2);
    request.messages.push(answer.message().unwrap().clone());
    for call in answer.tool_calls() {
        request.messages.push(Message::tool(llm_types::ToolResult::text(&call.id, "ok")));
    }
    let last = client.send(request).await.unwrap();
    assert!(last.warnings.is_empty(), "{:?}", last.warnings);
    let sent = server.requests().pop().unwrap().json();
    assert_eq!(sent["output_config"]["effort"], "high");
    let kinds: Vec<&str> = sent["messages"][1]["content"]
        .as_array()
        .unwrap()
        .iter()
        .map(|block| block["type"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["thinking", "tool_use", "thinking", "tool_use"]);
    assert_eq!(sent["messages"][1]["content"][0]["signature"], "c2lnMQ==");
    assert_eq!(sent["messages"][2]["content"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn an_error_in_the_middle_of_a_stream_holds_what_was_said() {
    let server = MockServer::start().await;
    server.push(Reply::sse(BROKEN));
    let client = provider(&server, "ANTHROPIC_API_KEY", "sk-1").client("m").unwrap();
    let error = client.stream(ChatRequest::user("hi")).await.unwrap().collect().await.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::Overloaded, "Overloaded"));
    let partial = error.partial().unwrap();
    assert_eq!((partial.text().as_str(), partial.usage.unwrap().input_total()), ("Tides", 25));
    assert_eq!(server.requests().len(), 1, "what a reader has seen is not asked for again");
}

#[tokio::test]
async fn a_stream_that_breaks_before_it_says_anything_keeps_its_count() {
    let server = MockServer::start().await;
    let begin = BROKEN.split_once("event: content_block_start").unwrap().0;
    let error = "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"no\"}}\n\n";
    server.push(Reply::sse(format!("{begin}{error}")));
    let client = provider(&server, "ANTHROPIC_API_KEY", "sk-1").client("m").unwrap();
    let error = client.stream(ChatRequest::user("hi")).await.unwrap_err();
    assert_eq!(error.partial().unwrap().usage.unwrap().input_total(), 25);
}

#[tokio::test]
async fn tokens_are_counted_and_lists_are_read_to_their_end() {
    let server = MockServer::start().await;
    server.reply(200, &[], r#"{"input_tokens":14}"#);
    let client = provider(&server, "ANTHROPIC_API_KEY", "sk-1").client("claude-opus-4-7").unwrap();
    let counter = client.token_counter().expect("this format counts");
    let request = ChatRequest { seed: Some(1), ..ChatRequest::user("hi") };
    let count = counter.count_tokens(&request, &Call::default()).await.unwrap();
    assert_eq!(count.input_tokens, 14);
    let sent = server.requests().pop().unwrap();
    assert_eq!((sent.path(), sent.json().get("max_tokens")), ("/v1/messages/count_tokens", None));
    server.reply(404, &[], r#"{"type":"error","error":{"type":"not_found_error","message":"Not found"}}"#);
    let missing = counter.count_tokens(&request, &Call::default()).await.unwrap_err();
    assert_eq!(missing.kind(), ErrorKind::NotFound);

    server.clear_requests();
    server.reply(200, &[], r#"{"data":[{"id":"a","type":"model"}],"has_more":true,"last_id":"a"}"#);
    server.reply(200, &[], r#"{"data":[{"id":"b","type":"model"}],"has_more":true,"last_id":"b"}"#);
    server.reply(200, &[], r#"{"data":[{"id":"c","type":"model"}],"has_more":false,"last_id":"c"}"#);
    let lister = client.model_lister().unwrap();
    let ids =
        |models: Vec<llm_types::ModelInfo>| models.into_iter().map(|model| model.id).collect::<Vec<_>>();
    assert_eq!(ids(lister.list_models(&Call::default()).await.unwrap()), ["a", "b", "c"]);
    let targets: Vec<String> = server.requests().iter().map(|request| request.target().to_owned()).collect();
    assert_eq!(
        targets,
        ["/v1/models?limit=1000", "/v1/models?limit=1000&after_id=a", "/v1/models?limit=1000&after_id=b"]
    );
    // A server that gives the same page again does not hold us for ever, and a probe asks for one page only.
    server.clear_requests();
    for _ in 0..3 {
        server.reply(200, &[], r#"{"data":[{"id":"a"}],"has_more":true,"last_id":"a"}"#);
    }
    assert_eq!(ids(lister.list_models(&Call::default()).await.unwrap()), ["a", "a"]);
    client.health_probe().unwrap().probe(&Call::default()).await.unwrap();
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn another_vendors_endpoint_of_this_shape_is_a_word_in_the_configuration() {
    let server = MockServer::start().await;
    server.reply(200, &[], ANSWER);
    let row = catalogue::find("deepseek").unwrap();
    let provider = SpecProvider::new(row)
        .with_base_url(format!("http://{}/anthropic", server.address()))
        .with_dialect(Dialect::parse("anthropic").unwrap());
    let client = provider.create_client(&ModelConfig::new("deepseek-chat")).unwrap();
    assert_eq!(client.ask("hi").await.unwrap(), "High at 4.");
    let request = server.requests().pop().unwrap();
    assert_eq!((request.path(), &request.json()["max_tokens"]), ("/anthropic/v1/messages", &8192.into()));
}
