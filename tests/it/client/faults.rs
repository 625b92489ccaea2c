//! What goes wrong, and what the client makes of it: the kind, the number of attempts, and what it never does.

use std::time::Duration;

use llm_client::{Call, ModelClient, ModelClientExt};
use llm_mock::{MockServer, Reply};
use llm_types::{ChatRequest, ErrorKind, Phase, StreamEvent};

use super::{client_for, client_with};

/// A stream of two pieces of text.
const HELLO: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n\
                data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hello\"}}]}\n\n\
                data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\" you\"}}]}\n\n\
                data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";

#[tokio::test]
async fn a_rate_limited_call_is_repeated_byte_for_byte() {
    let server = MockServer::start().await;
    server.reply(429, &[("retry-after-ms", "1")], r#"{"error":{"code":"rate_limit_exceeded"}}"#);
    server.push(Reply::text("Hello!"));
    let response = client_for(&server).send(ChatRequest::user("hi")).await.unwrap();
    assert_eq!(response.text(), "Hello!");
    let [first, second] = server.requests().try_into().expect("exactly two attempts");
    assert_eq!(first.body(), second.body());
    let log: Vec<_> = response.attempts.iter().map(|attempt| (attempt.number, attempt.kind)).collect();
    assert_eq!(log, [(1, Some(ErrorKind::RateLimited)), (2, None)]);
}

/// The error table over the wire: what the server says, the kind, and how many requests it took with three retries.
#[tokio::test]
async fn every_status_gives_its_kind_and_its_number_of_attempts() {
    let quota = r#"{"error":{"message":"pay","type":"insufficient_quota","code":"insufficient_quota"}}"#;
    let context =
        r#"{"error":{"message":"long","type":"invalid_request_error","code":"context_length_exceeded"}}"#;
    let model = r#"{"error":{"message":"which?","type":"invalid_request_error","code":"model_not_found"}}"#;
    for (status, body, kind, attempts) in [
        (400, "{}", ErrorKind::InvalidRequest, 1),
        (400, context, ErrorKind::ContextLength, 1),
        (401, "{}", ErrorKind::Authentication, 1),
        (402, "{}", ErrorKind::QuotaExhausted, 1),
        (403, "{}", ErrorKind::PermissionDenied, 1),
        (404, "{}", ErrorKind::NotFound, 1),
        (404, model, ErrorKind::ModelNotFound, 1),
        (408, "{}", ErrorKind::Server, 4),
        (409, "{}", ErrorKind::Server, 4),
        (413, "{}", ErrorKind::InvalidRequest, 1),
        (422, "{}", ErrorKind::InvalidRequest, 1),
        (429, quota, ErrorKind::QuotaExhausted, 1),
        (500, "oops", ErrorKind::Server, 4),
        (502, "<html><body>Bad gateway</body></html>", ErrorKind::Server, 4),
        (503, "{}", ErrorKind::Overloaded, 4),
        (504, "", ErrorKind::Server, 4),
        (529, "{}", ErrorKind::Overloaded, 4),
        (301, "", ErrorKind::Redirect, 1),
    ] {
        for streamed in [false, true] {
            let server = MockServer::start().await;
            for _ in 0..4 {
                server.reply(status, &[("location", "https://elsewhere.example/v1")], body);
            }
            let client = client_for(&server);
            let request = ChatRequest::user("hi");
            let error = if streamed {
                client.chat_stream(&request, &Call::default()).await.map(|_| ()).unwrap_err()
            } else {
                client.chat(&request, &Call::default()).await.map(|_| ()).unwrap_err()
            };
            let found = (error.kind(), server.counts().total, error.attempts().len());
            assert_eq!(
                found,
                (kind, attempts, usize::try_from(attempts).unwrap()),
                "{status} {body} {streamed}"
            );
            assert_eq!(error.status(), Some(status));
            assert_eq!((error.provider(), error.model()), (Some("mock"), Some("mock-model")));
        }
    }
}

#[tokio::test]
async fn a_refused_connection_names_the_address_and_is_retried() {
    let server = MockServer::start().await;
    let client = client_for(&server);
    let address = server.base_url();
    server.shutdown().await;
    let error = client.ask("hi").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connection);
    assert_eq!(error.attempts().len(), 4);
    assert!(
        error.chain().contains(address.trim_start_matches("http://").trim_end_matches("/v1")),
        "{}",
        error.chain()
    );
}

#[tokio::test]
async fn a_stream_cut_before_content_is_tried_again_and_one_cut_after_is_not() {
    let body = HELLO;
    let role_end = body.find("\n\n").unwrap() + 2;
    let hello_end = role_end + body[role_end..].find("\n\n").unwrap() + 2;
    for (cut, kind) in [(10, None), (role_end, None), (hello_end, Some(ErrorKind::Truncated))] {
        let server = MockServer::start().await;
        server.push(Reply::sse(body).cut_at(cut));
        server.push(Reply::text("second"));
        let client = client_for(&server);
        let stream = client.stream(ChatRequest::user("hi")).await.unwrap();
        match (stream.collect().await, kind) {
            (Ok(response), None) => {
                assert_eq!(response.text(), "second");
                assert_eq!(server.counts().total, 2);
            }
            (Err(error), Some(kind)) => {
                assert_eq!(error.kind(), kind, "{}", error.chain());
                assert_eq!(error.partial().unwrap().text(), "Hello");
                assert_eq!(server.counts().total, 1);
            }
            (result, _) => panic!("cut at {cut}: {result:?}"),
        }
    }
}

#[tokio::test]
async fn a_clean_end_without_finish_reason_or_marker_is_truncated() {
    let server = MockServer::start().await;
    server.push(Reply::text("Hello there").no_end());
    let client = client_for(&server);
    let error = client.stream(ChatRequest::user("hi")).await.unwrap().collect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Truncated);
    assert_eq!(error.partial().unwrap().text(), "Hello there");
    assert_eq!(client.metrics().failed_requests, 1);
}

#[tokio::test]
async fn timers_end_what_stalls() {
    for (streamed, set, stall, phase) in [
        (false, ("attempt_timeout_secs", "0.05"), 0, Phase::Attempt),
        (false, ("idle_timeout_secs", "0.05"), 30, Phase::Idle),
        (true, ("first_byte_timeout_secs", "0.05"), 0, Phase::FirstByte),
    ] {
        let server = MockServer::start().await;
        server.push(Reply::text("Hello").stall_at(stall));
        let client = client_with(&server, &[set, ("max_retries", "0")]);
        let request = ChatRequest::user("hi");
        let error = if streamed {
            client.stream(request).await.map(|_| ()).unwrap_err()
        } else {
            client.send(request).await.map(|_| ()).unwrap_err()
        };
        assert_eq!(error.kind(), ErrorKind::Timeout(phase), "{}", error.chain());
    }
}

#[tokio::test]
async fn the_deadline_holds_over_all_attempts_and_inside_a_stream() {
    let server = MockServer::start().await;
    server.push(Reply::sse(HELLO).stall_at(HELLO.find(" you").unwrap()));
    let client = client_for(&server);
    let call = Call::within(Duration::from_millis(100));
    let mut stream = client.chat_stream(&ChatRequest::user("hi"), &call).await.unwrap();
    let error = loop {
        match stream.next().await.unwrap() {
            Ok(_) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::Timeout(Phase::Call));
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn dropping_a_call_or_a_stream_cancels_it_at_the_server() {
    let server = MockServer::start().await;
    server.push(Reply::text("never").delay(Duration::from_secs(3600)));
    server.push(Reply::sse(HELLO).stall_at(HELLO.find(" you").unwrap()));
    let client = client_for(&server);
    let waiting = tokio::time::timeout(Duration::from_millis(50), client.ask("hi"));
    assert!(waiting.await.is_err());
    server.wait_for(|counts| counts.cancelled == 1).await;
    let mut stream = client.stream(ChatRequest::user("hi")).await.unwrap();
    assert!(matches!(stream.next().await, Some(Ok(StreamEvent::Start { .. } | StreamEvent::Text { .. }))));
    drop(stream);
    server.wait_for(|counts| counts.cancelled == 2).await;
    assert_eq!(client.lanes().endpoint().in_flight(), 0);
    assert!(client.health_check().healthy);
}

#[tokio::test]
async fn a_200_with_an_error_inside_is_that_error() {
    let server = MockServer::start().await;
    let body = r#"{"error":{"message":"busy","code":503,"type":"overloaded_error"}}"#;
    server.reply(200, &[], body);
    server.push(Reply::text("fine"));
    let response = client_for(&server).send(ChatRequest::user("hi")).await.unwrap();
    assert_eq!(response.text(), "fine");
    assert_eq!(response.attempts.len(), 2);
}

#[tokio::test]
async fn a_web_page_is_no_answer() {
    let server = MockServer::start().await;
    server.reply(200, &[("content-type", "text/html")], "<!DOCTYPE html><title>Log in</title>");
    let error = client_for(&server).ask("hi").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert!(error.hint().unwrap().contains("base URL"), "{error:?}");
    assert_eq!(server.counts().total, 1);
}
