//! `generateContent` over real sockets: keys, both framings of a stream, two turns with thoughts and calls, counts, lists.

use std::time::Duration;

use llm_client::{Call, ModelClientExt as _, Settings};
use llm_mock::{MockServer, Reply};
use llm_provider::{Provider as _, SpecProvider, catalogue};
use llm_types::{ChatRequest, ErrorKind, Message, ReasoningSetting, ToolResult};

const ANSWER: &str = r#"{"candidates":[{"content":{"parts":[{"text":"High at 4."}],"role":"model"},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":4,"totalTokenCount":7},"responseId":"r-1"}"#;
const STREAM: &str = include_str!("../../../llm-client/tests/data/gemini/thoughts-then-two-calls-stream.sse");
const LIST: &str = include_str!("../../../llm-client/tests/data/gemini/thoughts-then-two-calls-list.json");

/// The row at the server's address, with its key.
fn provider(server: &MockServer) -> SpecProvider {
    let url = format!("http://{}", server.address());
    let env = move |name: &str| match name {
        "GOOGLE_GEMINI_BASE_URL" => Some(url.clone()),
        "GEMINI_API_KEY" => Some("AIza-CANARY".to_owned()),
        _ => None,
    };
    let settings = Settings { backoff_base: Duration::ZERO, ..Settings::default() };
    SpecProvider::from_env(catalogue::find("gemini").unwrap(), &env).with_settings(settings)
}

#[tokio::test]
async fn the_key_stands_in_a_header_and_the_delay_of_the_body_is_waited_out() {
    let server = MockServer::start().await;
    let busy = r#"[{"error":{"code":429,"message":"slow down","status":"RESOURCE_EXHAUSTED","details":[{"retryDelay":"0.01s"}]}}]"#;
    server.reply(429, &[], busy);
    server.reply(200, &[], ANSWER);
    let client = provider(&server).client("models/gemini-2.5-flash").unwrap();
    let answer = client.ask("tide?").await.unwrap();
    assert_eq!(answer, "High at 4.");
    let [first, second] = server.requests().try_into().expect("two attempts");
    assert_eq!(first.body(), second.body());
    assert_eq!(first.path(), "/v1beta/models/gemini-2.5-flash:generateContent");
    assert_eq!((first.header("x-goog-api-key"), first.header("authorization")), (Some("AIza-CANARY"), None));
    assert!(!first.target().contains("CANARY"));
}

#[tokio::test]
async fn a_stream_is_read_in_either_framing_and_goes_back() {
    let list = Reply::body(200, LIST);
    for reply in [Reply::sse(STREAM), list] {
        let server = MockServer::start().await;
        server.push(reply);
        server.reply(200, &[], ANSWER);
        let client = provider(&server).client("gemini-2.5-flash").unwrap();
        let reasoning = ReasoningSetting { budget_tokens: Some(512), ..ReasoningSetting::default() };
        let mut request = ChatRequest { reasoning: Some(reasoning), ..ChatRequest::user("tide?") };
        let answer = client.stream(request.clone()).await.unwrap().collect().await.unwrap();
        assert_eq!(answer.reasoning(), "**Looking** at the tables");
        let ids: Vec<String> = answer.tool_calls().map(|call| call.id.clone()).collect();
        assert_eq!(ids.len(), 2);
        request.messages.push(answer.message().unwrap().clone());
        // The results come in another order than their calls.
        for id in ids.iter().rev() {
            request.messages.push(Message::tool(ToolResult::text(id, "ok")));
        }
        let last = client.send(request).await.unwrap();
        assert!(last.warnings.is_empty(), "{:?}", last.warnings);
        let [first, second] = server.requests().try_into().expect("two turns");
        assert_eq!(first.target(), "/v1beta/models/gemini-2.5-flash:streamGenerateContent?alt=sse");
        assert_eq!(first.json()["generationConfig"]["thinkingConfig"]["thinkingBudget"], 512);
        let sent = second.json();
        let model = &sent["contents"][1]["parts"];
        assert_eq!(model[0]["thought"], true);
        assert_eq!(model[1]["thoughtSignature"], "c2lnLTE=");
        assert_eq!(
            (&model[1]["functionCall"]["id"], &model[2]["functionCall"]["id"]),
            (&().into(), &"fc-2".into())
        );
        assert_eq!((&model[3]["text"], &model[3]["thoughtSignature"]), (&"".into(), &"c2lnLTI=".into()));
        let results = &sent["contents"][2]["parts"];
        assert_eq!(results[1]["functionResponse"]["id"], "fc-2");
        assert_eq!(results.as_array().unwrap().len(), 2);
    }
}

#[tokio::test]
async fn an_error_under_either_framing_is_typed_before_anything_is_said() {
    let body = r#"[{"error":{"code":400,"message":"no","status":"INVALID_ARGUMENT"}}]"#;
    for reply in [Reply::body(200, body), Reply::sse(body)] {
        let server = MockServer::start().await;
        server.push(reply);
        let client = provider(&server).client("gemini-2.5-flash").unwrap();
        let error = client.stream(ChatRequest::user("hi")).await.unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::InvalidRequest, "no"));
    }
}

#[tokio::test]
async fn tokens_are_counted_and_lists_are_read_to_their_end() {
    let server = MockServer::start().await;
    server.reply(200, &[], r#"{"totalTokens":14}"#);
    server.reply(200, &[], r#"{"models":[{"name":"models/gemini-a"}],"nextPageToken":"p 2"}"#);
    server.reply(200, &[], r#"{"models":[{"name":"models/gemini-b","inputTokenLimit":8}]}"#);
    server.reply(200, &[], r#"{"embeddings":[{"values":[1]},{"values":[2]}]}"#);
    let client = provider(&server).client("gemini-2.5-flash").unwrap();
    let counter = client.token_counter().unwrap();
    assert_eq!(
        counter.count_tokens(&ChatRequest::user("hi"), &Call::default()).await.unwrap().input_tokens,
        14
    );
    let models = client.model_lister().unwrap().list_models(&Call::default()).await.unwrap();
    let ids: Vec<&str> = models.iter().map(|model| model.id.as_str()).collect();
    assert_eq!(ids, ["gemini-a", "gemini-b"]);
    let two = llm_types::EmbeddingRequest::new(["a", "b"]);
    let vectors = client.embedder().unwrap().embed(&two, &Call::default()).await.unwrap().vectors;
    assert_eq!(vectors, [[1.0], [2.0]]);
    let paths: Vec<String> = server.requests().iter().map(|request| request.target().to_owned()).collect();
    assert_eq!(
        paths,
        [
            "/v1beta/models/gemini-2.5-flash:countTokens",
            "/v1beta/models?pageSize=1000",
            "/v1beta/models?pageSize=1000&pageToken=p%202",
            "/v1beta/models/gemini-2.5-flash:batchEmbedContents",
        ]
    );
}

#[tokio::test]
async fn the_cloud_serves_other_houses_models_in_their_own_format() {
    const CLAUDE: &str =
        r#"{"id":"msg_1","content":[{"type":"text","text":"High at 4."}],"stop_reason":"end_turn"}"#;
    let server = MockServer::start().await;
    let url = format!("http://{}/v1/projects/p/locations/global/publishers/google", server.address());
    let key = llm_types::Secret::key("ya29.CANARY").unwrap();
    let cloud = SpecProvider::new(catalogue::find("vertex").unwrap())
        .with_base_url(url)
        .with_keys(llm_provider::KeySupply::fixed("here", vec![key]));
    server.reply(200, &[], CLAUDE);
    server.reply(200, &[], r#"{"input_tokens":14}"#);
    server.reply(200, &[], ANSWER);
    let client = cloud.client("claude-sonnet-4-6@default").unwrap();
    let thinks = ReasoningSetting { enabled: Some(true), ..ReasoningSetting::default() };
    let request = ChatRequest { reasoning: Some(thinks), ..ChatRequest::user("tide?") };
    assert_eq!(client.send(request.clone()).await.unwrap().text(), "High at 4.");
    let count = client.token_counter().unwrap().count_tokens(&request, &Call::default()).await.unwrap();
    assert_eq!(count.input_tokens, 14);
    assert_eq!(cloud.client("gemini-2.5-flash").unwrap().ask("tide?").await.unwrap(), "High at 4.");
    let [chat, count, own] = server.requests().try_into().expect("three calls");
    let house = "/v1/projects/p/locations/global/publishers";
    assert_eq!(chat.path(), format!("{house}/anthropic/models/claude-sonnet-4-6@default:rawPredict"));
    assert_eq!(count.path(), format!("{house}/anthropic/models/count-tokens:rawPredict"));
    assert_eq!(own.path(), format!("{house}/google/models/gemini-2.5-flash:generateContent"));
    for request in [&chat, &count, &own] {
        assert_eq!(request.header("authorization"), Some("Bearer ya29.CANARY"));
        assert_eq!((request.header("x-api-key"), request.header("anthropic-version")), (None, None));
    }
    let sent = chat.json();
    assert_eq!((&sent["anthropic_version"], sent.get("model")), (&"vertex-2023-10-16".into(), None));
    assert_eq!((&sent["thinking"]["type"], &sent["max_tokens"]), (&"adaptive".into(), &21_333.into()));
    assert_eq!(count.json()["model"], "claude-sonnet-4-6@default");
}
