//! Bodies that are not what they should be: what can be understood is, and the rest is a typed error with what came before
//! it.

use llm_client::{Call, ModelClient, ModelClientExt};
use llm_mock::{MockServer, Reply};
use llm_types::{ChatRequest, ChatResponse, Error, ErrorKind, FinishReason};

use super::client_for;

const TEXT: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"}}]}\n\n";
const END: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}],\
                   \"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\ndata: [DONE]\n\n";
const WHOLE: &str = r#"{"choices":[{"index":0,"message":{"content":"Hello"},"finish_reason":"stop"}]}"#;

async fn ask(server: &MockServer, streamed: bool) -> Result<ChatResponse, Error> {
    let (client, request) = (client_for(server), ChatRequest::user("hi"));
    if streamed {
        client.stream(request).await?.collect().await
    } else {
        client.chat(&request, &Call::default()).await
    }
}

#[tokio::test]
async fn an_answer_is_read_under_whatever_type_it_comes() {
    let stream = format!("{TEXT}{END}");
    let page_first = format!("\n\n: hello\n\n{TEXT}{END}");
    for body in [stream.as_str(), &page_first, WHOLE, &format!("\u{feff}\n \n{WHOLE}\n")] {
        for kind in ["text/event-stream", "application/json", "text/plain", "application/octet-stream", ""] {
            for streamed in [false, true] {
                let server = MockServer::start().await;
                if kind.is_empty() {
                    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
                    server.push(Reply::raw(format!("{head}{body}")));
                } else {
                    server.reply(200, &[("content-type", kind)], body.to_owned());
                }
                let response = ask(&server, streamed).await;
                let response = response.unwrap_or_else(|e| panic!("{kind:?} {streamed} {body}: {e:?}"));
                assert_eq!(response.text(), "Hello", "{kind:?} {streamed}");
                assert_eq!(server.counts().total, 1);
            }
        }
    }
}

#[tokio::test]
async fn a_web_page_is_told_as_one_and_not_asked_for_again() {
    let page = "<!DOCTYPE html>\n<html><head><title>Log in</title></head><body>…</body></html>";
    for (kind, body) in [
        ("text/html; charset=utf-8", page),
        ("text/event-stream", page),
        ("application/json", page),
        ("text/plain", "\n<html><body>Bad gateway</body></html>"),
    ] {
        for streamed in [false, true] {
            let server = MockServer::start().await;
            server.reply(200, &[("content-type", kind)], body.to_owned());
            let error = ask(&server, streamed).await.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Protocol, "{kind} {streamed}: {error:?}");
            assert!(error.message().contains("web page"), "{kind} {streamed}: {error:?}");
            assert_eq!(server.counts().total, 1, "{kind} {streamed}");
        }
    }
}

#[tokio::test]
async fn half_a_line_is_a_cut_and_never_a_fault_of_the_json() {
    for half in [
        "da",
        "data: ",
        "data: {\"choices\":[{\"ind",
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\\u00",
    ] {
        let server = MockServer::start().await;
        server.reply(200, &[("content-type", "text/event-stream")], format!("{TEXT}{half}"));
        let error = ask(&server, true).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Truncated, "{half}: {error:?}");
        assert_eq!(error.partial().unwrap().text(), "Hello", "{half}");
        assert_eq!(server.counts().total, 1);
        // Before anything was seen it is asked for again.
        let server = MockServer::start().await;
        server.reply(200, &[("content-type", "text/event-stream")], half);
        server.push(Reply::text("second"));
        assert_eq!(ask(&server, true).await.unwrap().text(), "second", "{half}");
    }
}

#[tokio::test]
async fn an_error_inside_a_good_status_keeps_what_came_before_it() {
    let beside = r#"{"choices":[{"index":0,"message":{"content":"Hello"},"finish_reason":"error"}],"error":{"code":400,"message":"stopped"}}"#;
    let inside = "data: {\"error\":{\"message\":\"stopped\",\"type\":\"invalid_request_error\",\"param\":null,\"code\":null}}\n\n";
    for (kind, body, streamed) in [
        ("application/json", beside.to_owned(), false),
        ("application/json", beside.to_owned(), true),
        ("text/event-stream", format!("{TEXT}{inside}"), true),
        ("text/event-stream", format!("{TEXT}event: error\n{inside}data: [DONE]\n\n"), true),
        ("text/event-stream", format!("{TEXT}{inside}"), false),
    ] {
        let server = MockServer::start().await;
        server.reply(200, &[("content-type", kind)], body.clone());
        let error = ask(&server, streamed).await.unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::InvalidRequest, "stopped"), "{body}");
        assert_eq!(error.partial().expect(&body).text(), "Hello", "{streamed} {body}");
        assert_eq!(server.counts().total, 1, "{body}");
    }
}

#[tokio::test]
async fn oddities_cost_no_answer() {
    let call = |index: u32, name: &str, port: &str| {
        format!(
            r#"{{"index":{index},"id":"call_1","function":{{"name":"{name}","arguments":"{{\"port\":\"{port}\"}}"}}}}"#
        )
    };
    let twice = format!(
        r#"data: {{"choices":[{{"index":0,"delta":{{"tool_calls":[{},{}]}},"finish_reason":"tool_calls"}}]}}"#,
        call(0, "tide", "Brest"),
        call(1, "wind", "Sein")
    );
    for (body, text, finish, warnings) in [
        // No usage, an event and a reason that nobody knows.
        (
            format!("event: heartbeat\ndata: 7\n\n{TEXT}data: {{\"choices\":[{{\"delta\":{{}},\"finish_reason\":\"tired\"}}]}}\n\n"),
            "Hello",
            FinishReason::Other,
            0,
        ),
        // Numbers out of range, and of other kinds.
        (
            "data: {\"created\":-1,\"choices\":[{\"index\":-1,\"delta\":{\"content\":\"Hello\"},\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1e999,\"completion_tokens\":-3,\"total_tokens\":99999999999999999999}}\n\n".to_owned(),
            "Hello",
            FinishReason::Stop,
            0,
        ),
        // Half a pair.
        (
            "data: {\"choices\":[{\"delta\":{\"content\":\"a\\ud83d\"},\"finish_reason\":\"stop\"}]}\n\n".to_owned(),
            "a\u{FFFD}",
            FinishReason::Stop,
            1,
        ),
        // One id for two calls: the second gets another, which is said.
        (format!("{twice}\n\n"), "", FinishReason::ToolCalls, 1),
    ] {
        for streamed in [false, true] {
            let server = MockServer::start().await;
            server.reply(200, &[("content-type", "text/event-stream")], body.clone());
            let response = ask(&server, streamed).await.unwrap_or_else(|e| panic!("{body}: {e:?}"));
            assert_eq!((response.text().as_str(), response.finish_reason()), (text, Some(finish)), "{body}");
            assert_eq!(response.warnings.len(), warnings, "{body}: {:?}", response.warnings);
            if finish == FinishReason::ToolCalls {
                let calls: Vec<_> =
                    response.tool_calls().map(|c| format!("{}{}", c.name, c.arguments)).collect();
                assert_eq!(calls, [r#"tide{"port":"Brest"}"#, r#"wind{"port":"Sein"}"#]);
            }
        }
    }
}

#[tokio::test]
async fn bytes_that_are_no_text_are_replaced() {
    let mut body = b"data: {\"choices\":[{\"delta\":{\"content\":\"a\xff".to_vec();
    body.extend_from_slice(b"b\"},\"finish_reason\":\"stop\"}]}\n\n");
    for streamed in [false, true] {
        let server = MockServer::start().await;
        server.reply(200, &[("content-type", "text/event-stream")], body.clone());
        let response = ask(&server, streamed).await.unwrap();
        assert_eq!(response.text(), "a\u{FFFD}b");
        assert_eq!(response.warnings.len(), 1);
    }
}

#[tokio::test]
async fn a_line_of_16_mib_is_one_event_and_one_beyond_the_limit_an_error() {
    let long = |bytes: usize| {
        let text = "x".repeat(bytes);
        format!(
            "data: {{\"choices\":[{{\"delta\":{{\"content\":\"{text}\"}},\"finish_reason\":\"stop\"}}]}}\n\n"
        )
    };
    let server = MockServer::start().await;
    server.reply(200, &[("content-type", "text/event-stream")], long(16 << 20));
    let response = ask(&server, true).await.unwrap();
    assert_eq!(response.text().len(), 16 << 20);
    let server = MockServer::start().await;
    server.reply(200, &[("content-type", "text/event-stream")], format!("{TEXT}{}", long(2000)));
    let client = super::client_with(&server, &[("max_event_bytes", "1000")]);
    let error = client.stream(ChatRequest::user("hi")).await.unwrap().collect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert_eq!(error.partial().unwrap().text(), "Hello");
}
