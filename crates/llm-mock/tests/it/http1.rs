//! The HTTP/1.1 loop: what clients may do, and what they may not.

use llm_mock::{MockConfig, MockServer};
use serde_json::json;

use crate::client::{Socket, body_of, soon, user, wire};

fn content(body: &str) -> String {
    let json: serde_json::Value = serde_json::from_str(body).unwrap();
    json["choices"][0]["message"]["content"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn requests_may_follow_each_other_on_a_connection_and_ahead_of_the_answers() {
    let server = MockServer::start().await;
    let mut socket = Socket::open(&server).await;
    for text in ["one", "two"] {
        socket.say(&wire(&user(text))).await;
        assert_eq!(content(body_of(&(socket.until("\r\n\r\n").await + &socket.until("}}}").await))), text);
    }
    let mut both = wire(&user("three"));
    both.extend_from_slice(&wire(&user("four")));
    socket.say(&both).await;
    for text in ["three", "four"] {
        assert_eq!(content(body_of(&(socket.until("\r\n\r\n").await + &socket.until("}}}").await))), text);
    }
    let requests = server.requests();
    assert_eq!(requests.iter().map(llm_mock::Request::connection).collect::<Vec<_>>(), [1; 4]);
    assert_eq!(server.counts().connections, 1);
}

#[tokio::test]
async fn a_request_may_come_in_any_pieces() {
    let server = MockServer::start().await;
    let mut socket = Socket::open(&server).await;
    for byte in wire(&user("slowly")) {
        socket.say(&[byte]).await;
        tokio::task::yield_now().await;
    }
    socket.until("\r\n\r\n").await;
    assert_eq!(content(&socket.until("}}}").await), "slowly");
}

#[tokio::test]
async fn chunked_bodies_and_expectations_are_understood() {
    let server = MockServer::start().await;
    let mut socket = Socket::open(&server).await;
    let body = user("in chunks").to_string();
    let (first, second) = body.split_at(20);
    socket.say(b"POST /v1/chat/completions HTTP/1.1\r\ntransfer-encoding: chunked\r\nexpect: 100-continue\r\n\r\n").await;
    assert_eq!(socket.until("\r\n\r\n").await, "HTTP/1.1 100 Continue\r\n\r\n");
    let chunks = format!(
        "{:x};x=y\r\n{first}\r\n{:X}\r\n{second}\r\n0\r\ntrailer: x\r\n\r\n",
        first.len(),
        second.len()
    );
    socket.say(chunks.as_bytes()).await;
    assert!(socket.until("\r\n\r\n").await.starts_with("HTTP/1.1 200 OK\r\n"));
    assert_eq!(content(&socket.until("}}}").await), "in chunks");
    assert_eq!(server.requests()[0].body(), body.as_bytes());
}

#[tokio::test]
async fn a_client_that_wants_no_more_gets_the_connection_closed() {
    let server = MockServer::start().await;
    for head in ["GET /v1/models HTTP/1.0", "GET /v1/models HTTP/1.1\r\nConnection: close"] {
        let mut socket = Socket::open(&server).await;
        socket.say(format!("{head}\r\n\r\n").as_bytes()).await;
        let (answer, ended) = soon(socket.rest()).await;
        assert!(answer.contains("connection: close") && ended.is_ok(), "{answer}");
    }
    // HTTP/1.0 knows no chunks.
    let mut body = user("old");
    body["stream"] = json!(true);
    let body = body.to_string();
    let mut socket = Socket::open(&server).await;
    let head = format!("POST /v1/chat/completions HTTP/1.0\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    socket.say(head.as_bytes()).await;
    let (answer, _) = soon(socket.rest()).await;
    assert!(body_of(&answer).starts_with("data: ") && answer.ends_with("data: [DONE]\n\n"), "{answer}");
    assert!(!answer.contains("chunked"), "{answer}");
}

#[tokio::test]
async fn a_head_request_gets_no_body() {
    let server = MockServer::start().await;
    let mut socket = Socket::open(&server).await;
    socket.say(b"HEAD /v1/models HTTP/1.1\r\n\r\nGET /v1/models HTTP/1.1\r\nconnection: close\r\n\r\n").await;
    let (answers, _) = soon(socket.rest()).await;
    assert_eq!(answers.matches("HTTP/1.1 ").count(), 2, "{answers}");
    assert!(body_of(&answers).starts_with("HTTP/1.1 200 OK"), "{answers}");
}

#[tokio::test]
async fn what_is_not_a_request_is_refused_and_counted() {
    let server = MockConfig::new().max_body_bytes(10).start().await.unwrap();
    let chunked = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n";
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(200));
    let long = format!("GET / HTTP/1.1\r\na: {}", "b".repeat(300 * 1024));
    for (bytes, status) in [
        ("\u{16}\u{3}\u{1} hello TLS\r\n\r\n".to_owned(), 400),
        ("POST / HTTP/1.1\r\ncontent-length: x\r\n\r\n".to_owned(), 400),
        ("POST / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n".to_owned(), 400),
        (format!("{chunked}content-length: 2\r\n\r\n"), 400),
        (format!("{chunked}\r\nzz\r\n"), 400),
        (format!("{chunked}\r\n2\r\nabc\r\n"), 400),
        (format!("{chunked}\r\nb\r\n"), 413),
        ("POST / HTTP/1.1\r\ncontent-length: 11\r\n\r\n".to_owned(), 413),
        (many, 431),
        (long, 431),
    ] {
        let mut socket = Socket::open(&server).await;
        socket.say(bytes.as_bytes()).await;
        let head = soon(socket.until("\r\n\r\n")).await;
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status} ")) && head.contains("connection: close"),
            "{head}"
        );
    }
    let mut socket = Socket::open(&server).await;
    socket.say(b"POST / HTTP/1.1\r\ncontent-length: 10\r\n\r\nhalf").await;
    drop(socket);
    let counts = soon(server.wait_for(|counts| counts.unread == 11)).await;
    assert_eq!((counts.total, counts.unread), (0, 11));
}

#[tokio::test]
async fn a_client_whose_body_is_refused_can_send_it_all_and_hear_why() {
    let server = MockConfig::new().max_body_bytes(10).start().await.unwrap();
    let mut socket = Socket::open(&server).await;
    socket.say(b"POST / HTTP/1.1\r\ncontent-length: 33554432\r\n\r\n").await;
    soon(server.wait_for(|counts| counts.unread == 1)).await;
    socket.say(&vec![b'x'; 32 << 20]).await;
    assert!(soon(socket.until("\r\n\r\n")).await.starts_with("HTTP/1.1 413 "));
}

#[tokio::test]
async fn an_idle_connection_is_closed_when_told_to() {
    let server = MockConfig::new().idle_close(std::time::Duration::from_millis(20)).start().await.unwrap();
    let mut socket = Socket::open(&server).await;
    socket.say(&wire(&user("x"))).await;
    let (answer, ended) = soon(socket.rest()).await;
    assert!(answer.starts_with("HTTP/1.1 200") && ended.is_ok());
}
