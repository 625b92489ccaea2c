//! Gemini, plain, as an array and as events.

use std::time::Duration;

use http::Request;
use llm_mock::{Dialect, MockConfig, MockServer, RateLimit, Reply, RetryAfter, ToolCall};
use serde_json::{Value, json};

use crate::client::{Answer, Socket, get, post, send, send2, soon, sse, wire_to};

fn body(text: &str) -> Value {
    json!({"contents": [{"role": "user", "parts": [{"text": text}]}]})
}

fn path(model: &str, method: &str) -> String {
    format!("/v1beta/models/{model}:{method}")
}

fn to(server: &MockServer, path: &str, body: &Value) -> Request<String> {
    let mut request = post(server, path, body);
    request.headers_mut().remove("authorization");
    request.headers_mut().insert("x-goog-api-key", "g-key".parse().unwrap());
    request
}

async fn ask(server: &MockServer, model: &str, body: &Value) -> Answer {
    send(server, to(server, &path(model, "generateContent"), body)).await
}

async fn stream(server: &MockServer, model: &str, body: &Value) -> Answer {
    send(server, to(server, &path(model, "streamGenerateContent?alt=sse"), body)).await
}

fn everything() -> Reply {
    let calls = [ToolCall::new("c1", "get_tide", r#"{"port":"Brest"}"#), ToolCall::new("c2", "now", "")];
    Reply::tool_calls(calls).say("Let me see.").reasoning("Need the tide.").cached(1, 0)
}

/// What the chunks of a stream make: parts joined by the vendor's rule, the last of everything else.
fn assembled(chunks: &[Value]) -> Value {
    let mut parts: Vec<Value> = Vec::new();
    let mut whole = Value::Null;
    for chunk in chunks {
        let new = chunk["candidates"][0]["content"]["parts"].as_array().cloned().unwrap_or_default();
        for part in new {
            let joins = |last: &Value| {
                last["text"].is_string()
                    && part["text"].is_string()
                    && last["thought"] == part["thought"]
                    && last["thoughtSignature"].is_null()
                    && part["thoughtSignature"].is_null()
            };
            match parts.last_mut().filter(|last| joins(last)) {
                Some(last) => {
                    let text = last["text"].as_str().unwrap().to_owned() + part["text"].as_str().unwrap();
                    last["text"] = text.into();
                }
                None => parts.push(part),
            }
        }
        whole = chunk.clone();
    }
    whole["candidates"][0]["content"] = json!({"parts": parts, "role": "model"});
    whole
}

#[tokio::test]
async fn an_echo_has_the_form_of_a_response() {
    let server = MockServer::start().await;
    let answer = ask(&server, "gemini-x", &body("one two")).await;
    assert_eq!(
        answer.json(),
        json!({"candidates": [{"content": {"parts": [{"text": "one two"}], "role": "model"}, "finishReason": "STOP", "index": 0}],
            "usageMetadata": {"promptTokenCount": 2, "candidatesTokenCount": 2, "totalTokenCount": 4,
                "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 2}]},
            "modelVersion": "gemini-x", "responseId": "mock-1"})
    );
    assert_eq!((server.counts().dialect(Dialect::Gemini), server.counts().notes), (1, 0));
    assert_eq!(server.requests()[0].key(), Some("g-key"));
    let vertex = "/v1/projects/p/locations/eu/publishers/google/models/gemini-x:generateContent";
    assert_eq!(send(&server, post(&server, vertex, &body("hi"))).await.json()["modelVersion"], "gemini-x");
}

#[tokio::test]
async fn a_stream_makes_the_same_response_as_a_plain_answer_in_every_form() {
    let server = MockConfig::new().default_reply(everything()).start().await.unwrap();
    let mut plain = ask(&server, "gemini-3-pro", &body("one two three")).await.json();
    let parts = plain["candidates"][0]["content"]["parts"].as_array().unwrap();
    assert_eq!(parts[0], json!({"text": "Need the tide.", "thought": true}));
    assert_eq!(parts[1], json!({"text": "Let me see."}));
    assert_eq!(parts[2]["functionCall"], json!({"name": "get_tide", "args": {"port": "Brest"}, "id": "c1"}));
    assert!(parts[2]["thoughtSignature"].is_string());
    assert_eq!(parts[3], json!({"functionCall": {"name": "now", "args": {}, "id": "c2"}}));
    let usage = json!({"promptTokenCount": 3, "cachedContentTokenCount": 1, "candidatesTokenCount": 7, "thoughtsTokenCount": 3,
        "totalTokenCount": 13, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 3}]});
    assert_eq!(plain["usageMetadata"], usage);
    assert_eq!(plain["candidates"][0]["finishReason"], "STOP");

    let events = stream(&server, "gemini-3-pro", &body("one two three")).await;
    assert_eq!(events.header("content-type"), Some("text/event-stream"));
    assert!(events.text().ends_with("}\r\n\r\n") && !events.text().replace("\r\n", "").contains('\n'));
    let array =
        send(&server, to(&server, &path("gemini-3-pro", "streamGenerateContent"), &body("one two three")))
            .await;
    assert_eq!(
        (array.header("content-type"), array.header("transfer-encoding")),
        (Some("application/json"), Some("chunked"))
    );
    let second = send2(
        &server,
        to(&server, &path("gemini-3-pro", "streamGenerateContent?alt=sse"), &body("one two three")),
    )
    .await;
    let chunks =
        |answer: &Answer| -> Vec<Value> { sse(answer.text()).into_iter().map(|(_, chunk)| chunk).collect() };
    let forms = [chunks(&events), array.json().as_array().unwrap().clone(), chunks(&second)];
    for (number, chunks) in (2..).zip(forms) {
        plain["responseId"] = format!("mock-{number}").into();
        assert!(chunks.len() > 5);
        assert_eq!(assembled(&chunks), plain);
        assert_eq!(chunks[0]["usageMetadata"]["totalTokenCount"], 4);
    }
    // Older models give no ids.
    let old = ask(&server, "gemini-2.5-pro", &body("q")).await.json();
    assert_eq!(
        old["candidates"][0]["content"]["parts"][3],
        json!({"functionCall": {"name": "now", "args": {}}})
    );
}

#[tokio::test]
async fn the_bytes_of_a_stream_are_those_of_the_vendor() {
    let server = MockServer::start().await;
    let reply =
        Reply::tool_calls([ToolCall::new("c", "get_tide", r#"{"port":"Brest"}"#)]).reasoning("Checking");
    server.push(reply.clone().signature("c2ln").no_usage().close().times(2));
    let thought = r#"{"candidates":[{"content":{"parts":[{"text":"Checking","thought":true}],"role":"model"},"index":0}],"modelVersion":"gemini-x","responseId":"mock-N"}"#;
    let call = r#"{"candidates":[{"content":{"parts":[{"functionCall":{"name":"get_tide","args":{"port":"Brest"}},"thoughtSignature":"c2ln"}],"role":"model"},"index":0}],"modelVersion":"gemini-x","responseId":"mock-N"}"#;
    let end = r#"{"candidates":[{"content":{"role":"model"},"finishReason":"STOP","finishMessage":"Model generated function call(s).","index":0}],"modelVersion":"gemini-x","responseId":"mock-N"}"#;
    let expected = [
        (
            "?alt=sse",
            format!("data: {thought}\r\n\r\ndata: {call}\r\n\r\ndata: {end}\r\n\r\n")
                .replace("mock-N", "mock-1"),
        ),
        ("", format!("[{thought},\r\n{call},\r\n{end}]").replace("mock-N", "mock-2")),
    ];
    for (query, expected) in expected {
        let target = path("gemini-x", &format!("streamGenerateContent{query}"));
        let mut socket = Socket::open(&server).await;
        socket.say(&wire_to(&target, "", &body("q"))).await;
        let (response, ended) = socket.rest().await;
        ended.unwrap();
        assert!(response.contains("transfer-encoding: chunked\r\n"), "{response}");
        assert!(response.contains(&format!("\r\n{expected}\r\n0\r\n\r\n")), "{response}\n{expected}");
    }
}

#[tokio::test]
async fn what_was_said_is_taken_back_with_results_and_signatures() {
    let server = MockServer::start().await;
    server.push(everything());
    let mut next = body("Tide in Brest?");
    let said = ask(&server, "gemini-3-pro", &next).await.json()["candidates"][0]["content"].clone();
    let results = json!({"role": "user", "parts": [
        {"functionResponse": {"id": "c1", "name": "get_tide", "response": {"output": 6.1}}},
        {"functionResponse": {"id": "c2", "name": "now", "response": {"error": "no clock"}}}]});
    next["contents"].as_array_mut().unwrap().extend([said, results]);
    assert_eq!(ask(&server, "gemini-3-pro", &next).await.status, 200);
    let mut stripped = next.clone();
    stripped["contents"][1]["parts"][2].as_object_mut().unwrap().remove("thoughtSignature");
    let refused = ask(&server, "gemini-3-pro", &stripped).await;
    assert_eq!((refused.status, &refused.json()["error"]["status"]), (400, &json!("INVALID_ARGUMENT")));
    assert_eq!(ask(&server, "gemini-2.5-pro", &stripped).await.status, 200);
    let mut unanswered = next.clone();
    unanswered["contents"][2]["parts"].as_array_mut().unwrap().pop();
    assert!(
        ask(&server, "gemini-3-pro", &unanswered).await.text().contains("number of function response parts")
    );
}

#[tokio::test]
async fn a_signed_text_ends_with_an_empty_part_and_thoughts_can_be_withheld() {
    let server = MockConfig::new().default_reply(Reply::text("Yes.").reasoning("Hm.")).start().await.unwrap();
    let chunks = sse(stream(&server, "gemini-x", &body("q")).await.text());
    let last = &chunks.last().unwrap().1["candidates"][0];
    assert_eq!((&last["content"]["parts"][0]["text"], &last["finishReason"]), (&json!(""), &json!("STOP")));
    let signature = last["content"]["parts"][0]["thoughtSignature"].clone();
    // Sent back as it came, it is taken; merged with another part, it is not.
    let history = |parts: Value| json!({"contents": [{"role": "user", "parts": [{"text": "q"}]}, {"role": "model", "parts": parts}, {"role": "user", "parts": [{"text": "q"}]}]});
    let apart = history(json!([{"text": "Yes."}, {"text": "", "thoughtSignature": signature}]));
    let merged = history(json!([{"text": "Yes.", "thoughtSignature": signature}]));
    assert_eq!(ask(&server, "gemini-x", &apart).await.status, 200);
    assert_eq!(ask(&server, "gemini-x", &merged).await.status, 400);
    let mut quiet = body("q");
    quiet["generationConfig"] = json!({"thinkingConfig": {"includeThoughts": false}});
    let answer = ask(&server, "gemini-x", &quiet).await.json();
    assert_eq!(answer["candidates"][0]["content"]["parts"].as_array().unwrap().len(), 1);
    assert_eq!(answer["usageMetadata"]["thoughtsTokenCount"], 1);
}

#[tokio::test]
async fn every_end_has_the_vendors_word() {
    let server = MockServer::start().await;
    let mut short = body("one two three");
    short["generationConfig"] = json!({"maxOutputTokens": 2, "candidateCount": 2});
    let answer = ask(&server, "m", &short).await.json();
    assert_eq!(answer["candidates"].as_array().unwrap().len(), 2);
    assert_eq!(
        (&answer["candidates"][1]["finishReason"], &answer["usageMetadata"]["candidatesTokenCount"]),
        (&json!("MAX_TOKENS"), &json!(4))
    );
    for (scripted, word) in [
        ("stop", "STOP"),
        ("length", "MAX_TOKENS"),
        ("tool_calls", "STOP"),
        ("content_filter", "SAFETY"),
        ("RECITATION", "RECITATION"),
    ] {
        server.push(Reply::text("x").finish_reason(scripted));
        assert_eq!(ask(&server, "m", &body("q")).await.json()["candidates"][0]["finishReason"], word);
    }
    server.push(Reply::refusal("Not this.").times(2));
    let refusal = ask(&server, "m", &body("q")).await.json();
    assert_eq!(
        refusal["promptFeedback"],
        json!({"blockReason": "PROHIBITED_CONTENT", "blockReasonMessage": "Not this."})
    );
    assert!(refusal["candidates"].is_null());
    assert_eq!(sse(stream(&server, "m", &body("q")).await.text()).len(), 1);
    server.push(Reply::text("x").no_end().times(3));
    assert!(ask(&server, "m", &body("q")).await.json()["candidates"][0]["finishReason"].is_null());
    let chunks = sse(stream(&server, "m", &body("q")).await.text());
    assert!(chunks.iter().all(|(_, chunk)| chunk["candidates"][0]["finishReason"].is_null()));
    let open = send(&server, to(&server, &path("m", "streamGenerateContent"), &body("q"))).await;
    assert!(serde_json::from_slice::<Value>(&open.body).is_err());
    let usage =
        r#"{"promptTokenCount":30,"candidatesTokenCount":9,"thoughtsTokenCount":22,"totalTokenCount":61}"#;
    server.push(Reply::text("x y").usage(usage).times(2));
    let whole: Value = serde_json::from_str(usage).unwrap();
    assert_eq!(ask(&server, "m", &body("q")).await.json()["usageMetadata"], whole);
    let chunks = sse(stream(&server, "m", &body("q")).await.text());
    assert_eq!(chunks.iter().filter(|(_, chunk)| chunk["usageMetadata"] == whole).count(), 1);
}

#[tokio::test]
async fn errors_have_the_vendors_words_and_delays_stand_in_the_body() {
    let server = MockServer::start().await;
    for (status, word) in [
        (400, "INVALID_ARGUMENT"),
        (401, "UNAUTHENTICATED"),
        (403, "PERMISSION_DENIED"),
        (404, "NOT_FOUND"),
        (429, "RESOURCE_EXHAUSTED"),
        (499, "CANCELLED"),
        (500, "INTERNAL"),
        (503, "UNAVAILABLE"),
        (504, "DEADLINE_EXCEEDED"),
    ] {
        server.push(Reply::error(status));
        let error = ask(&server, "m", &body("q")).await.json()["error"].clone();
        assert_eq!((&error["code"], &error["status"]), (&json!(status), &json!(word)));
    }
    server.push(Reply::error(429).header("retry-after-ms", "34400"));
    let array = send(&server, to(&server, &path("m", "streamGenerateContent"), &body("q"))).await;
    let details = array.json()[0]["error"]["details"].clone();
    assert_eq!(details[0]["@type"], "type.googleapis.com/google.rpc.QuotaFailure");
    assert_eq!(
        details[1],
        json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34.400s"})
    );

    let rate =
        RateLimit::window(1, Duration::from_secs(3600)).retry_after(RetryAfter::Fixed("7.5".to_owned()));
    let server = MockConfig::new().rate(rate).dead_key("g-key").require_key("g-good").start().await.unwrap();
    let with = |key: Option<&str>| {
        let mut request = to(&server, &path("m", "generateContent"), &body("q"));
        request.headers_mut().remove("x-goog-api-key");
        if let Some(key) = key {
            request.headers_mut().insert("x-goog-api-key", key.parse().unwrap());
        }
        request
    };
    let dead = send(&server, with(Some("g-key"))).await;
    assert_eq!(
        (dead.status, &dead.json()["error"]["details"][0]["reason"]),
        (400, &json!("API_KEY_INVALID"))
    );
    assert_eq!(send(&server, with(None)).await.status, 403);
    assert_eq!(send(&server, with(Some("g-good"))).await.status, 200);
    let late = send(&server, with(Some("g-good"))).await;
    assert_eq!((late.status, late.header("retry-after")), (429, None));
    assert_eq!(late.json()["error"]["details"][1]["retryDelay"], "7.5s");
}

#[tokio::test]
async fn a_key_in_the_url_is_refused_and_noted_without_being_told() {
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("log.jsonl");
    let server = MockConfig::new().log_file(&log).start().await.unwrap();
    let target = path("m", "streamGenerateContent?alt=sse&key=g-canary");
    let mut odd = body("q");
    odd["temperature"] = 1.into();
    assert_eq!(send(&server, post(&server, &target, &odd)).await.status, 400);
    assert_eq!(send(&server, get(&server, "/v1/models?key=g-canary")).await.status, 400);
    let requests = server.requests();
    assert_eq!(requests[0].notes(), ["key in the URL", "unknown member `temperature`"]);
    assert_eq!((requests[1].notes(), server.counts().notes), (&["key in the URL".to_owned()][..], 3));
    let lines = std::fs::read_to_string(&log).unwrap();
    assert!(!lines.contains("g-canary"), "{lines}");
    let line: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!((&line["dialect"], &line["notes"][0]), (&json!("gemini"), &json!("key in the URL")));
}

#[tokio::test]
async fn tokens_are_counted_texts_embedded_and_models_listed_in_pages() {
    let names: Vec<String> = (0..5).map(|n| format!("gemini-{n}")).collect();
    let server = MockConfig::new().models(names).start().await.unwrap();
    let count = send(&server, to(&server, &path("m", "countTokens"), &body("one two three"))).await.json();
    assert_eq!(
        count,
        json!({"totalTokens": 3, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 3}]})
    );

    let content = |text: &str| json!({"content": {"parts": [{"text": text}]}, "outputDimensionality": 4});
    let one = send(&server, to(&server, &path("m", "embedContent"), &content("a"))).await.json();
    let mut requests = vec![content("b"), content("a")];
    requests.iter_mut().for_each(|request| request["model"] = "models/m".into());
    let batch = send(&server, to(&server, &path("m", "batchEmbedContents"), &json!({"requests": requests})))
        .await
        .json();
    assert_eq!(one["embedding"]["values"].as_array().unwrap().len(), 4);
    assert_eq!(batch["embeddings"][1], one["embedding"]);
    assert_ne!(batch["embeddings"][0], one["embedding"]);
    let foreign = json!({"requests": [{"model": "models/other", "content": {"parts": [{"text": "a"}]}}]});
    assert_eq!(send(&server, to(&server, &path("m", "batchEmbedContents"), &foreign)).await.status, 400);

    let (mut seen, mut query) = (Vec::new(), "?pageSize=2".to_owned());
    loop {
        let page = send(&server, get(&server, &format!("/v1beta/models{query}"))).await.json();
        seen.extend(
            page["models"].as_array().unwrap().iter().map(|model| model["name"].as_str().unwrap().to_owned()),
        );
        let Some(token) = page["nextPageToken"].as_str() else { break };
        query = format!("?pageSize=2&pageToken={token}");
    }
    assert_eq!(
        seen,
        ["models/gemini-0", "models/gemini-1", "models/gemini-2", "models/gemini-3", "models/gemini-4"]
    );
    assert_eq!(
        send(&server, get(&server, "/v1beta/models/gemini-3")).await.json()["displayName"],
        "gemini-3"
    );
    assert_eq!(send(&server, get(&server, "/v1beta/models/none")).await.status, 404);
    let mut under_v1 = get(&server, "/v1/models?pageSize=1");
    under_v1.headers_mut().insert("x-goog-api-key", "g".parse().unwrap());
    assert_eq!(send(&server, under_v1).await.json()["models"][0]["name"], "models/gemini-0");
}

#[tokio::test]
async fn an_array_is_cut_inside_its_elements() {
    let server = MockServer::start().await;
    server.push(Reply::text("a b c d").cut_at(300));
    let mut socket = Socket::open(&server).await;
    socket.say(&wire_to(&path("m", "streamGenerateContent"), "", &body("q"))).await;
    let (response, _) = socket.rest().await;
    assert!(response.contains("[{\"candidates\"") && !response.ends_with("0\r\n\r\n"), "{response}");
    soon(server.wait_for(|counts| counts.cut == 1)).await;
}

#[tokio::test]
async fn an_error_in_a_stream_stands_where_a_response_would() {
    let server = MockServer::start().await;
    server.push(Reply::text("a b").stream_error(503).times(3));
    let events = stream(&server, "m", &body("q")).await;
    assert_eq!((events.status, events.header("content-type")), (200, Some("text/event-stream")));
    assert_eq!(sse(events.text()).pop().unwrap().1["error"]["status"], "UNAVAILABLE");
    let array = send(&server, to(&server, &path("m", "streamGenerateContent"), &body("q"))).await.json();
    assert_eq!((&array[2]["error"]["code"], array.as_array().unwrap().len()), (&json!(503), 3));
    assert_eq!(ask(&server, "m", &body("q")).await.status, 503);
}
