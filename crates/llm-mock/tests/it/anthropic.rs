//! Anthropic Messages, plain and streamed.

use std::time::{Duration, Instant};

use http::Request;
use llm_mock::{Dialect, MockConfig, MockServer, Outcome, RateLimit, Reply, ToolCall};
use serde_json::{Value, json};

use crate::client::{Answer, Socket, body_of, get, post, send, send2, soon, sse, wire_to};

const MESSAGES: &str = "/v1/messages";
const VERSION: &str = "anthropic-version: 2023-06-01\r\n";

fn body(text: &str) -> Value {
    json!({"model": "claude-x", "max_tokens": 1024, "messages": [{"role": "user", "content": text}]})
}

fn streamed(text: &str) -> Value {
    let mut body = body(text);
    body["stream"] = true.into();
    body
}

fn to(server: &MockServer, path: &str, body: &Value) -> Request<String> {
    let mut request = post(server, path, body);
    request.headers_mut().insert("anthropic-version", "2023-06-01".parse().unwrap());
    request
}

async fn ask(server: &MockServer, body: &Value) -> Answer {
    send(server, to(server, MESSAGES, body)).await
}

/// Everything one reply can say.
fn everything() -> Reply {
    let calls =
        [ToolCall::new("toolu_1", "get_tide", r#"{"port": "Brest"}"#), ToolCall::new("toolu_2", "now", "")];
    Reply::tool_calls(calls)
        .say("Let me see.")
        .reasoning("Need the tide.")
        .redacted_reasoning("c2Vj")
        .cached(1, 1)
}

/// The content blocks and the last state of the message that a stream's events make.
fn assembled(events: &[(Option<String>, Value)]) -> Value {
    let (mut message, mut arguments, mut open) = (Value::Null, String::new(), None);
    for (name, event) in events {
        assert_eq!(name.as_deref(), event["type"].as_str());
        let index = event["index"].as_u64().map(|index| usize::try_from(index).unwrap());
        match event["type"].as_str().unwrap() {
            "message_start" => message = event["message"].clone(),
            "ping" => {}
            "content_block_start" => {
                assert_eq!(open.replace(index.unwrap()), None);
                let blocks = message["content"].as_array_mut().unwrap();
                assert_eq!(blocks.len(), index.unwrap());
                blocks.push(event["content_block"].clone());
                arguments.clear();
            }
            "content_block_delta" => {
                assert_eq!(open, index);
                let block = &mut message["content"][index.unwrap()];
                let delta = &event["delta"];
                let mut append = |member: &str| {
                    let text = block[member].as_str().unwrap().to_owned() + delta[member].as_str().unwrap();
                    block[member] = text.into();
                };
                match delta["type"].as_str().unwrap() {
                    "text_delta" => append("text"),
                    "thinking_delta" => append("thinking"),
                    "signature_delta" => block["signature"] = delta["signature"].clone(),
                    "input_json_delta" => arguments += delta["partial_json"].as_str().unwrap(),
                    other => panic!("{other}"),
                }
            }
            "content_block_stop" => {
                assert_eq!(open.take(), index);
                if !arguments.is_empty() {
                    message["content"][index.unwrap()]["input"] = serde_json::from_str(&arguments).unwrap();
                }
            }
            "message_delta" => {
                for (member, value) in event["delta"].as_object().unwrap() {
                    message[member] = value.clone();
                }
                message["usage"] = event["usage"].clone();
            }
            "message_stop" => assert_eq!(open, None),
            other => panic!("{other}"),
        }
    }
    message
}

#[tokio::test]
async fn an_echo_has_the_form_of_a_message() {
    let server = MockServer::start().await;
    let answer = ask(&server, &body("one two")).await;
    assert_eq!(
        answer.json(),
        json!({"id": "msg_mock_1", "type": "message", "role": "assistant", "model": "claude-x",
            "content": [{"type": "text", "text": "one two"}],
            "stop_reason": "end_turn", "stop_sequence": null,
            "usage": {"input_tokens": 2, "cache_creation_input_tokens": 0, "cache_read_input_tokens": 0,
                "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
                "output_tokens": 2, "output_tokens_details": {"thinking_tokens": 0}, "service_tier": "standard"}})
    );
    assert_eq!((answer.header("request-id"), answer.header("x-request-id")), (Some("req_mock_1"), None));
    let counts = server.counts();
    assert_eq!(
        (counts.dialect(Dialect::Anthropic), counts.dialect(Dialect::OpenAiChat), counts.notes),
        (1, 0, 0)
    );
    assert_eq!(server.requests()[0].dialect(), Dialect::Anthropic);
}

#[tokio::test]
async fn a_stream_makes_the_same_message_as_a_plain_answer_on_both_protocols() {
    let server = MockConfig::new().default_reply(everything()).start().await.unwrap();
    let plain = ask(&server, &body("one two three")).await.json();
    let kinds: Vec<_> = plain["content"].as_array().unwrap().iter().map(|block| &block["type"]).collect();
    assert_eq!(kinds, ["thinking", "redacted_thinking", "text", "tool_use", "tool_use"]);
    assert_eq!(
        plain["content"][3],
        json!({"type": "tool_use", "id": "toolu_1", "name": "get_tide", "input": {"port": "Brest"}})
    );
    assert_eq!((&plain["content"][4]["input"], &plain["stop_reason"]), (&json!({}), &json!("tool_use")));
    let usage = &plain["usage"];
    assert_eq!((&usage["input_tokens"], &usage["cache_read_input_tokens"]), (&json!(1), &json!(1)));
    assert_eq!(usage["cache_creation"]["ephemeral_5m_input_tokens"], 1);
    assert_eq!(
        (&usage["output_tokens"], &usage["output_tokens_details"]["thinking_tokens"]),
        (&json!(10), &json!(3))
    );
    let first = ask(&server, &streamed("one two three")).await;
    assert_eq!(first.header("content-type"), Some("text/event-stream"));
    let second = send2(&server, to(&server, MESSAGES, &streamed("one two three"))).await;
    assert_eq!(second.header("request-id"), Some("req_mock_3"));
    for (number, stream) in [(2, first), (3, second)] {
        let mut plain = plain.clone();
        plain["id"] = format!("msg_mock_{number}").into();
        let events = sse(stream.text());
        assert_eq!(assembled(&events), plain);
        let names: Vec<_> = events.iter().filter_map(|(name, _)| name.as_deref()).collect();
        assert_eq!(names[..3], ["message_start", "content_block_start", "ping"]);
        assert_eq!(names[names.len() - 2..], ["message_delta", "message_stop"]);
        assert_eq!(events[0].1["message"]["usage"]["output_tokens"], 1);
    }
}

#[tokio::test]
async fn the_bytes_of_a_tool_call_are_those_of_the_vendor() {
    let server = MockServer::start().await;
    server.push(
        Reply::tool_calls([ToolCall::new("toolu_2", "get_tide", r#"{"port": "Brest"}"#)]).no_usage().close(),
    );
    let mut socket = Socket::open(&server).await;
    socket.say(&wire_to(MESSAGES, VERSION, &streamed("Tide in Brest?"))).await;
    let (response, ended) = socket.rest().await;
    ended.unwrap();
    let mut body = String::new();
    let mut rest = body_of(&response);
    while let Some((size, chunk)) = rest.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        let (chunk, after) = chunk.split_at(size);
        body += chunk;
        rest = after.strip_prefix("\r\n").unwrap();
    }
    assert_eq!(
        body,
        r#"event: message_start
data: {"type":"message_start","message":{"id":"msg_mock_1","type":"message","role":"assistant","model":"claude-x","content":[],"stop_reason":null,"stop_sequence":null}}

event: content_block_start
data: {"type":"content_block_start","index":0,"content_block":{"type":"tool_use","id":"toolu_2","name":"get_tide","input":{}}}

event: ping
data: {"type": "ping"}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":""}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":"{\"port\":"}}

event: content_block_delta
data: {"type":"content_block_delta","index":0,"delta":{"type":"input_json_delta","partial_json":" \"Brest\"}"}}

event: content_block_stop
data: {"type":"content_block_stop","index":0     }

event: message_delta
data: {"type":"message_delta","delta":{"stop_reason":"tool_use","stop_sequence":null}}

event: message_stop
data: {"type":"message_stop"}

"#
    );
}

#[tokio::test]
async fn what_was_said_is_taken_back_with_results_and_nothing_else() {
    let server = MockServer::start().await;
    server.push(everything());
    let mut next = body("Tide in Brest?");
    let said = ask(&server, &next).await.json()["content"].clone();
    let results = json!([{"type": "tool_result", "tool_use_id": "toolu_2", "content": "noon", "is_error": true},
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": [{"type": "text", "text": "6.1 m"}]}]);
    next["messages"]
        .as_array_mut()
        .unwrap()
        .extend([json!({"role": "assistant", "content": said}), json!({"role": "user", "content": results})]);
    assert_eq!(ask(&server, &next).await.json()["content"][0]["text"], "noon6.1 m");
    let mut altered = next.clone();
    altered["messages"][1]["content"][0]["thinking"] = "Need the time.".into();
    let refused = ask(&server, &altered).await;
    assert_eq!((refused.status, &refused.json()["error"]["type"]), (400, &json!("invalid_request_error")));
    let mut unanswered = next.clone();
    unanswered["messages"][2]["content"].as_array_mut().unwrap().pop();
    assert!(ask(&server, &unanswered).await.text().contains("`tool_use` ids were found without"));
}

#[tokio::test]
async fn every_end_has_the_vendors_word() {
    let server = MockServer::start().await;
    let mut stop = body("one two three");
    stop["stop_sequences"] = json!(["three", "two"]);
    let answer = ask(&server, &stop).await.json();
    assert_eq!((&answer["stop_reason"], &answer["stop_sequence"]), (&json!("stop_sequence"), &json!("two")));
    assert_eq!(answer["content"][0]["text"], "one ");
    let mut short = body("one two three");
    short["max_tokens"] = 2.into();
    assert_eq!(ask(&server, &short).await.json()["stop_reason"], "max_tokens");
    for (scripted, word) in [
        ("stop", "end_turn"),
        ("length", "max_tokens"),
        ("tool_calls", "tool_use"),
        ("content_filter", "refusal"),
        ("pause_turn", "pause_turn"),
    ] {
        server.push(Reply::text("x").finish_reason(scripted));
        assert_eq!(ask(&server, &body("q")).await.json()["stop_reason"], word);
    }
    server.push(Reply::refusal("Not this.").times(2));
    let refusal = ask(&server, &body("q")).await.json();
    assert_eq!((&refusal["content"], &refusal["stop_reason"]), (&json!([]), &json!("refusal")));
    assert_eq!(
        refusal["stop_details"],
        json!({"type": "refusal", "category": null, "explanation": "Not this."})
    );
    let events = sse(ask(&server, &streamed("q")).await.text());
    assert_eq!((events.len(), &assembled(&events)["stop_details"]), (3, &refusal["stop_details"]));
    server.push(Reply::text("x").no_end().times(2));
    assert_eq!(ask(&server, &body("q")).await.json()["stop_reason"], Value::Null);
    let events = sse(ask(&server, &streamed("q")).await.text());
    assert_eq!(events.last().unwrap().0.as_deref(), Some("content_block_stop"));
    let mut omitted = body("q");
    omitted["thinking"] = json!({"type": "adaptive", "display": "omitted"});
    server.push(Reply::text("x").reasoning("hidden").signature("c2ln"));
    let block = ask(&server, &omitted).await.json()["content"][0].clone();
    assert_eq!(block, json!({"type": "thinking", "thinking": "", "signature": "c2ln"}));
}

#[tokio::test]
async fn scripted_usage_is_the_vendors_own_and_the_start_knows_the_prompt_only() {
    let server = MockServer::start().await;
    let usage = r#"{"input_tokens":380,"cache_read_input_tokens":1024,"output_tokens":57,"output_tokens_details":{"thinking_tokens":21}}"#;
    server.push(Reply::text("x").usage(usage).times(2));
    let whole: Value = serde_json::from_str(usage).unwrap();
    assert_eq!(ask(&server, &body("q")).await.json()["usage"], whole);
    let events = sse(ask(&server, &streamed("q")).await.text());
    assert_eq!(
        events[0].1["message"]["usage"],
        json!({"input_tokens": 380, "cache_read_input_tokens": 1024, "output_tokens": 1})
    );
    assert_eq!(assembled(&events)["usage"], whole);
}

#[tokio::test]
async fn errors_have_the_vendors_types() {
    let server = MockServer::start().await;
    for (status, kind) in [
        (400, "invalid_request_error"),
        (401, "authentication_error"),
        (402, "billing_error"),
        (403, "permission_error"),
        (404, "not_found_error"),
        (409, "conflict_error"),
        (413, "request_too_large"),
        (429, "rate_limit_error"),
        (500, "api_error"),
        (504, "timeout_error"),
        (529, "overloaded_error"),
    ] {
        server.push(Reply::error(status).header("retry-after", "3"));
        let answer = ask(&server, &streamed("q")).await;
        let error = answer.json();
        assert_eq!(
            (answer.status, &error["type"], &error["error"]["type"]),
            (status, &json!("error"), &json!(kind))
        );
        assert_eq!(answer.header("retry-after"), Some("3"));
        let id = if status == 401 { Value::Null } else { answer.header("request-id").into() };
        assert_eq!(error["request_id"], id);
    }
    server.push(Reply::text("Overloaded just now").status(529));
    assert_eq!(ask(&server, &body("q")).await.json()["error"]["message"], "Overloaded just now");
    let wrong = send(&server, to(&server, "/v1/messages/fly", &body("q"))).await;
    assert_eq!((wrong.status, &wrong.json()["error"]["type"]), (404, &json!("not_found_error")));
    let unversioned = send(&server, post(&server, MESSAGES, &body("q"))).await;
    assert!(unversioned.status == 400 && unversioned.text().contains("anthropic-version"));
}

#[tokio::test]
async fn keys_and_rates_are_refused_in_the_vendors_form() {
    let server = MockConfig::new()
        .require_key("sk-good")
        .require_key("sk-canary")
        .no_quota_key("sk-canary")
        .rate(RateLimit::window(1, Duration::from_secs(3600)))
        .start()
        .await
        .unwrap();
    let with = |key: Option<&str>| {
        let mut request = to(&server, MESSAGES, &body("q"));
        request.headers_mut().remove("authorization");
        if let Some(key) = key {
            request.headers_mut().insert("x-api-key", key.parse().unwrap());
        }
        request
    };
    for (key, status, kind) in [
        (None, 401, "authentication_error"),
        (Some("sk-bad"), 401, "authentication_error"),
        (Some("sk-canary"), 402, "billing_error"),
    ] {
        let answer = send(&server, with(key)).await;
        assert_eq!((answer.status, &answer.json()["error"]["type"]), (status, &json!(kind)));
    }
    assert_eq!(send(&server, with(Some("sk-good"))).await.status, 200);
    let late = send(&server, with(Some("sk-good"))).await;
    assert_eq!((late.status, &late.json()["error"]["type"]), (429, &json!("rate_limit_error")));
    assert!(late.header("retry-after").unwrap().parse::<u64>().unwrap() > 3000);
    let bearer = send(&server, to(&server, MESSAGES, &body("q"))).await;
    assert_eq!(bearer.status, 402, "a bearer token is a key too");
}

#[tokio::test]
async fn tokens_are_counted_and_models_listed_in_pages() {
    let names: Vec<String> = (0..5).map(|n| format!("claude-{n}")).collect();
    let server = MockConfig::new().models(names).strict_models(true).start().await.unwrap();
    let mut count = body("one two three");
    count["model"] = "claude-1".into();
    count.as_object_mut().unwrap().remove("max_tokens");
    count["system"] = json!([{"type": "text", "text": "Be brief."}]);
    let counted = send(&server, to(&server, "/v1/messages/count_tokens?beta=true", &count)).await;
    assert_eq!(counted.json(), json!({"input_tokens": 5}));
    assert_eq!(ask(&server, &body("q")).await.json()["error"]["type"], "not_found_error");

    let page = async |query: &str| {
        let mut request = get(&server, &format!("/v1/models{query}"));
        request.headers_mut().insert("anthropic-version", "2023-06-01".parse().unwrap());
        send(&server, request).await
    };
    let (mut seen, mut query) = (Vec::new(), "?limit=2".to_owned());
    loop {
        let page = page(&query).await.json();
        seen.extend(
            page["data"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap().to_owned()),
        );
        assert_eq!(page["data"][0]["type"], "model");
        if page["has_more"] == false {
            break;
        }
        query = format!("?limit=2&after_id={}", page["last_id"].as_str().unwrap());
    }
    assert_eq!(seen, ["claude-0", "claude-1", "claude-2", "claude-3", "claude-4"]);
    let before = page("?limit=2&before_id=claude-3").await.json();
    assert_eq!((&before["first_id"], &before["has_more"]), (&json!("claude-1"), &json!(true)));
    assert_eq!(page("/claude-2").await.json()["display_name"], "claude-2");
    assert_eq!((page("/claude-9").await.status, page("?limit=0").await.status), (404, 400));
    // Without the vendor's header the list is the usual one.
    assert_eq!(send(&server, get(&server, "/v1/models")).await.json()["object"], "list");
}

#[tokio::test]
async fn streams_are_paced_cut_and_stalled_as_any_other() {
    let server = MockServer::start().await;
    let whole = ask(&server, &streamed("a b c")).await;
    server.push(Reply::echo().cut_at(400));
    let mut socket = Socket::open(&server).await;
    socket.say(&wire_to(MESSAGES, VERSION, &streamed("a b c"))).await;
    let (response, _) = socket.rest().await;
    assert!(
        response.contains("message_start")
            && !response.contains("message_stop")
            && !response.ends_with("0\r\n\r\n")
    );
    soon(server.wait_for(|counts| counts.cut == 1)).await;
    assert_eq!(server.requests()[1].outcome(), Outcome::Cut);

    server.push(Reply::echo().tokens_per_sec(50.0).first_token(Duration::from_millis(20)));
    let started = Instant::now();
    let paced = ask(&server, &streamed("a b c")).await;
    assert!(started.elapsed() >= Duration::from_millis(60), "three tokens, the last after 20 + 2 * 20 ms");
    assert_eq!(paced.text().replace("msg_mock_3", "msg_mock_1"), whole.text());

    server.push(Reply::echo().stall_at(300));
    let mut socket = Socket::open(&server).await;
    socket.say(&wire_to(MESSAGES, VERSION, &streamed("a b c"))).await;
    socket.until("message_start").await;
    drop(socket);
    soon(server.wait_for(|counts| counts.cancelled == 1)).await;
}

#[tokio::test]
async fn what_the_protocol_does_not_name_is_noted() {
    let server = MockServer::start().await;
    let mut odd = body("q");
    odd["frequency_penalty"] = json!({"a": [1]});
    odd["zeal"] = 1.into();
    assert_eq!(ask(&server, &odd).await.status, 200);
    let mut notes = server.requests()[0].notes().to_vec();
    notes.sort();
    assert_eq!(notes, ["unknown member `frequency_penalty`", "unknown member `zeal`"]);
    assert_eq!(server.counts().notes, 2);
}

#[tokio::test]
async fn an_error_in_a_stream_is_an_event_of_its_own() {
    let server = MockServer::start().await;
    server.push(Reply::text("a b").stream_error(529).times(2));
    let answer = ask(&server, &streamed("q")).await;
    let (name, error) = sse(answer.text()).pop().unwrap();
    assert_eq!((answer.status, name.as_deref(), &error["type"]), (200, Some("error"), &json!("error")));
    assert_eq!(error["error"]["type"], "overloaded_error");
    assert!(answer.text().contains("\" b\"") && !answer.text().contains("message_delta"));
    assert_eq!(ask(&server, &body("q")).await.status, 529);
}
