//! Scripted replies, over the wire.

use std::time::{Duration, Instant};

use llm_mock::{Framing, MockConfig, MockServer, Reply, Script, ToolCall};
use serde_json::{Value, json};

use crate::client::{Answer, Socket, ask, body_of, chat, events_of, get, post, send, soon, streamed, user};

async fn stream(server: &MockServer, extra: Value) -> Answer {
    let mut body = streamed("hi");
    body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
    send(server, chat(server, &body)).await
}

#[tokio::test]
async fn queued_replies_come_first_then_the_script_for_ever() {
    let script = Script::parse("{\"text\":\"one\"}\n{\"text\":\"two\"}\n").unwrap();
    let server = MockConfig::new().script(script).start().await.unwrap();
    server.reply(503, &[("retry-after", "1")], "busy");
    server.push_to("/v1/models", Reply::body(200, "{}"));
    let busy = ask(&server, "x").await;
    assert_eq!((busy.status, busy.header("retry-after"), busy.text()), (503, Some("1"), "busy"));
    // A script answers calls only, and a reply for a path waits for it.
    for models in [json!({}), json!("list")] {
        let answer = send(&server, get(&server, "/v1/models")).await.json();
        assert_eq!(if models.is_string() { &answer["object"] } else { &answer }, &models);
    }
    for text in ["one", "two", "two"] {
        assert_eq!(ask(&server, "x").await.json()["choices"][0]["message"]["content"], text);
    }
    assert_eq!(server.unused_replies(), 0);
}

#[tokio::test]
async fn the_default_reply_answers_whatever_is_not_queued() {
    let server = MockConfig::new().default_reply(Reply::error(529)).start().await.unwrap();
    server.push(Reply::echo());
    assert_eq!(ask(&server, "x").await.status, 200);
    for _ in 0..2 {
        let answer = ask(&server, "x").await;
        assert_eq!((answer.status, &answer.json()["error"]["type"]), (529, &json!("server_error")));
    }
}

#[tokio::test]
async fn a_generated_answer_has_all_it_was_told_to() {
    let server = MockServer::start().await;
    let reply = Reply::tool_calls([
        ToolCall::new("call_a", "tide", r#"{"port": "Brest"}"#),
        ToolCall::new("call_b", "wind", ""),
    ]);
    server.push(reply.reasoning("think hard").times(2));
    let plain = ask(&server, "x").await.json();
    let message = &plain["choices"][0]["message"];
    assert_eq!((&message["content"], &message["reasoning_content"]), (&Value::Null, &json!("think hard")));
    assert_eq!(
        message["tool_calls"][0],
        json!({"id": "call_a", "type": "function", "function": {"name": "tide", "arguments": r#"{"port": "Brest"}"#}})
    );
    assert_eq!(plain["choices"][0]["finish_reason"], "tool_calls");
    assert_eq!(plain["usage"]["completion_tokens_details"]["reasoning_tokens"], 2);

    let streamed = stream(&server, json!({"stream_options": {"include_usage": true}})).await.events();
    let deltas: Vec<_> =
        streamed.iter().filter_map(|event| event["choices"].get(0)).map(|choice| &choice["delta"]).collect();
    assert_eq!(deltas[0], &json!({"role": "assistant", "content": null, "refusal": null}));
    let reasoning: String = deltas.iter().filter_map(|delta| delta["reasoning_content"].as_str()).collect();
    assert_eq!(reasoning, "think hard");
    let calls: Vec<_> = deltas.iter().filter_map(|delta| delta["tool_calls"].get(0)).collect();
    assert_eq!(
        calls[0],
        &json!({"index": 0, "id": "call_a", "type": "function", "function": {"name": "tide", "arguments": ""}})
    );
    let arguments: String = calls[1..]
        .iter()
        .filter(|call| call["index"] == 0)
        .map(|call| call["function"]["arguments"].as_str().unwrap())
        .collect();
    assert_eq!(arguments, r#"{"port": "Brest"}"#);
    assert!(calls[1].get("id").is_none());
    assert_eq!(calls[calls.len() - 1]["id"], "call_b");
    assert_eq!(streamed[streamed.len() - 1]["usage"], plain["usage"]);

    server.push(Reply::refusal("No.").finish_reason("content_filter").times(2));
    let plain = ask(&server, "x").await.json();
    assert_eq!(
        (&plain["choices"][0]["message"]["refusal"], &plain["choices"][0]["finish_reason"]),
        (&json!("No."), &json!("content_filter"))
    );
    let events = stream(&server, json!({})).await.events();
    assert_eq!(
        events[0]["choices"][0]["delta"],
        json!({"role": "assistant", "content": null, "refusal": ""})
    );
    assert_eq!(events[1]["choices"][0]["delta"], json!({"refusal": "No."}));

    server.push(Reply::text("x").usage(r#"{"prompt_tokens": "many"}"#));
    assert_eq!(ask(&server, "x").await.json()["usage"], json!({"prompt_tokens": "many"}));
    server.push(Reply::text("x").no_usage().times(2));
    assert!(ask(&server, "x").await.json().get("usage").is_none());
    let events = stream(&server, json!({"stream_options": {"include_usage": true}})).await.events();
    assert!(events.iter().all(|event| event["usage"].is_null()));
    server.push(Reply::text("Too short").status(422));
    let answer = ask(&server, "x").await;
    assert_eq!((answer.status, &answer.json()["error"]["message"]), (422, &json!("Too short")));
}

#[tokio::test]
async fn a_stream_without_its_end_ends_cleanly() {
    let server = MockServer::start().await;
    server.push(Reply::text("a b c").no_end().times(2));
    let answer = stream(&server, json!({"stream_options": {"include_usage": true}})).await;
    let events = events_of(answer.text());
    assert_eq!(events.len(), 4);
    assert!(
        events.iter().all(|event| event["choices"][0]["finish_reason"].is_null() && event["usage"].is_null())
    );
    assert_eq!(ask(&server, "x").await.json()["choices"][0]["finish_reason"], Value::Null);
}

#[tokio::test]
async fn verbatim_bodies_are_what_was_given() {
    let server = MockServer::start().await;
    let sse = ": ping\r\n\r\ndata: {\"x\"\ndata: :1}\n\ndata: [DONE]";
    server.push(Reply::sse(sse));
    let answer = ask(&server, "x").await;
    assert_eq!((answer.text(), answer.header("content-type")), (sse, Some("text/event-stream")));
    server.push(Reply::encoded("gzip", &b"\x1f\x8b\x08not really"[..]));
    let answer = ask(&server, "x").await;
    assert_eq!(
        (answer.header("content-encoding"), answer.body.as_ref()),
        (Some("gzip"), &b"\x1f\x8b\x08not really"[..])
    );
    server.push(Reply::html(502));
    let answer = ask(&server, "x").await;
    assert_eq!((answer.status, answer.header("content-type")), (502, Some("text/html")));
    assert!(answer.text().starts_with("<html>"));
    server.push(Reply::redirect(307, "http://127.0.0.1:1/elsewhere"));
    let answer = ask(&server, "x").await;
    assert_eq!((answer.status, answer.header("location")), (307, Some("http://127.0.0.1:1/elsewhere")));
    server.push(Reply::body(299, "odd").header("Content-Type", "a/b").header("x-request-id", "mine"));
    let answer = ask(&server, "x").await;
    assert_eq!(
        (answer.status, answer.header("content-type"), answer.header("x-request-id")),
        (299, Some("a/b"), Some("mine"))
    );
    server.push(Reply::body(204, ""));
    let answer = ask(&server, "x").await;
    assert_eq!((answer.status, answer.header("content-length"), answer.body.len()), (204, None, 0));
}

#[tokio::test]
async fn a_cut_comes_at_its_byte_in_every_framing() {
    let server = MockServer::start().await;
    let body = Reply::body(200, "0123456789").cut_at(4);
    server.push(body.clone());
    let (answer, ended) = soon(Socket::exchange(&server, &user("x"))).await;
    assert!(answer.contains("content-length: 10") && ended.is_ok());
    assert_eq!(body_of(&answer), "0123");
    server.push(body.clone().framing(Framing::Chunked));
    let (answer, _) = soon(Socket::exchange(&server, &user("x"))).await;
    assert_eq!(body_of(&answer), "4\r\n0123\r\n");
    // Here nothing tells a cut from an end.
    server.push(body.framing(Framing::Close));
    let (answer, _) = soon(Socket::exchange(&server, &user("x"))).await;
    assert!(!answer.contains("content-length") && answer.contains("connection: close"), "{answer}");
    assert_eq!(body_of(&answer), "0123");
    server.push(Reply::sse("data: x\n\n").cut_at(99));
    let (answer, _) = soon(Socket::exchange(&server, &user("x"))).await;
    assert_eq!(body_of(&answer), "9\r\ndata: x\n\n\r\n");
    server.push(Reply::body(200, "0123").cut_at(0));
    let (answer, _) = soon(Socket::exchange(&server, &user("x"))).await;
    assert_eq!(body_of(&answer), "");
    assert_eq!((server.counts().cut, server.counts().status(200)), (5, 5));
}

#[tokio::test]
async fn a_stall_sends_its_bytes_and_then_nothing() {
    let server = MockServer::start().await;
    server.push(Reply::body(200, "0123456789").stall_at(4));
    let mut socket = Socket::open(&server).await;
    socket.say(&crate::client::wire(&user("x"))).await;
    socket.until("\r\n\r\n0123").await;
    socket.assert_silent().await;
}

#[tokio::test]
async fn a_reset_arrives_as_an_error_after_its_bytes() {
    let server = MockServer::start().await;
    server.push(Reply::body(200, "0123456789").reset_at(4));
    let mut socket = Socket::open(&server).await;
    socket.say(&crate::client::wire(&user("x"))).await;
    socket.until("\r\n\r\n0123").await;
    let (rest, ended) = soon(socket.rest()).await;
    assert_eq!((rest.as_str(), ended.unwrap_err().kind()), ("", std::io::ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn tokens_come_at_their_pace() {
    let server = MockServer::start().await;
    let paced = Reply::text("a b c d").first_token(Duration::from_millis(30)).tokens_per_sec(100.0);
    server.push(paced.clone().times(2));
    let started = Instant::now();
    let mut socket = Socket::open(&server).await;
    socket.say(&crate::client::wire(&streamed("x"))).await;
    socket.until("\r\n\r\n").await;
    let mut seen = Vec::new();
    for word in ["\"a\"", "\" b\"", "\" c\"", "\" d\""] {
        socket.until(word).await;
        seen.push(started.elapsed().as_millis());
    }
    // No token is early; how late they are is the machine's affair.
    assert!(seen.iter().zip([30, 40, 50, 60]).all(|(seen, due)| *seen >= due), "{seen:?}");
    let started = Instant::now();
    ask(&server, "x").await;
    assert!(started.elapsed() >= Duration::from_millis(70));
    server.push(Reply::sse("data: a\n\ndata: b\n\n").tokens_per_sec(50.0));
    let started = Instant::now();
    assert_eq!(ask(&server, "x").await.text(), "data: a\n\ndata: b\n\n");
    assert!(started.elapsed() >= Duration::from_millis(20));
}

#[tokio::test]
async fn embeddings_take_faults_and_errors_from_the_script_too() {
    let server = MockServer::start().await;
    server.push(Reply::error(429));
    server.push(Reply::echo().delay(Duration::from_millis(5)).header("x-a", "b"));
    let body = json!({"model": "e", "input": "x"});
    assert_eq!(send(&server, post(&server, "/v1/embeddings", &body)).await.status, 429);
    let answer = send(&server, post(&server, "/v1/embeddings", &body)).await;
    assert_eq!(
        (answer.json()["data"][0]["object"].as_str(), answer.header("x-a")),
        (Some("embedding"), Some("b"))
    );
}

#[tokio::test]
async fn a_stream_may_end_with_an_error() {
    let server = MockServer::start().await;
    server.push(Reply::text("a b").stream_error(500));
    let answer = send(&server, chat(&server, &streamed("hi"))).await;
    let last = events_of(answer.text()).pop().unwrap();
    assert_eq!((answer.status, &last["error"]["type"]), (200, &serde_json::json!("server_error")));
}
