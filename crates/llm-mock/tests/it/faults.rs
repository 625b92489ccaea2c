//! Misbehaviour below HTTP, byte by byte.

use std::{io::ErrorKind, time::Duration};

use llm_mock::{ConnectionFault, Fault, MockServer, Reply};
use tokio::io::AsyncReadExt;

use crate::client::{Socket, body_of, soon, user, wire};

async fn exchange(server: &MockServer, fault: Fault) -> (String, std::io::Result<()>) {
    server.push(Reply::body(200, "0123").close().fault(fault));
    soon(Socket::exchange(server, &user("x"))).await
}

#[tokio::test]
async fn no_answer_can_be_a_close_a_reset_or_silence() {
    let server = MockServer::start().await;
    let (answer, ended) = exchange(&server, Fault::Close).await;
    assert!(answer.is_empty() && ended.is_ok());
    let (answer, ended) = exchange(&server, Fault::Reset).await;
    assert_eq!((answer.as_str(), ended.unwrap_err().kind()), ("", ErrorKind::ConnectionReset));
    server.push(Reply::echo().fault(Fault::Hang));
    let mut socket = Socket::open(&server).await;
    socket.say(&wire(&user("x"))).await;
    socket.assert_silent().await;
    assert_eq!(server.counts().cut, 2);
}

#[tokio::test]
async fn heads_can_be_huge_crowded_slow_or_preceded() {
    let server = MockServer::start().await;
    let (answer, _) = exchange(&server, Fault::HugeHead(300_000)).await;
    assert!(answer.len() - body_of(&answer).len() >= 300_000);
    assert!(answer.lines().count() < 100 && body_of(&answer) == "0123");
    let (answer, _) = exchange(&server, Fault::ManyHeaders(500)).await;
    assert_eq!(answer.matches("x-many-").count(), 500);
    let (answer, _) = exchange(&server, Fault::SlowHead(0)).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && body_of(&answer) == "0123");
    let (answer, _) = exchange(&server, Fault::Interim(3)).await;
    assert_eq!(answer.matches("HTTP/1.1 103 Early Hints\r\n").count(), 3);
    assert!(answer.contains("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n0123"));
}

#[tokio::test]
async fn a_slow_head_comes_byte_by_byte() {
    let server = MockServer::start().await;
    server.push(Reply::body(200, "0123").fault(Fault::SlowHead(2)));
    let started = std::time::Instant::now();
    let mut socket = Socket::open(&server).await;
    socket.say(&wire(&user("x"))).await;
    let head = soon(socket.until("\r\n\r\n")).await;
    assert!(started.elapsed() >= Duration::from_millis(2) * u32::try_from(head.len()).unwrap());
}

#[tokio::test]
async fn what_is_endless_goes_on_until_the_client_leaves() {
    let server = MockServer::start().await;
    for (reply, part) in [
        (Reply::echo().fault(Fault::EndlessHead), "\r\nx-pad: a"),
        (Reply::echo().fault(Fault::EndlessInterim), "HTTP/1.1 103 "),
        (Reply::sse("data: a\n\n").fault(Fault::EndlessBody(": x\n\n".into())), ": x\n\n"),
    ] {
        server.push(reply);
        let mut socket = Socket::open(&server).await;
        socket.say(&wire(&user("x"))).await;
        let mut bytes = vec![0; 1 << 20];
        soon(socket.0.read_exact(&mut bytes)).await.unwrap();
        assert!(String::from_utf8(bytes).unwrap().contains(part));
    }
    soon(server.wait_for(|counts| counts.cancelled == 3)).await;
}

#[tokio::test]
async fn lengths_can_lie_and_surplus_bytes_follow() {
    let server = MockServer::start().await;
    let (answer, _) = exchange(&server, Fault::ContentLength(2)).await;
    assert!(answer.contains("content-length: 2\r\n") && answer.ends_with("\r\n\r\n0123"));
    let (answer, _) = exchange(&server, Fault::Surplus("HTTP/1.1 200 forged".into())).await;
    assert!(answer.contains("content-length: 4\r\n") && answer.ends_with("\r\n\r\n0123HTTP/1.1 200 forged"));
    server.push(Reply::body(200, "0123").fault(Fault::ContentLength(9)));
    let mut socket = Socket::open(&server).await;
    socket.say(&wire(&user("x"))).await;
    assert!(socket.until("\r\n\r\n0123").await.contains("content-length: 9\r\n"));
    socket.assert_silent().await;
}

#[tokio::test]
async fn a_raw_response_is_all_that_is_sent() {
    let server = MockServer::start().await;
    server.push(Reply::raw("\0\r\ngarbage"));
    let (answer, ended) = soon(Socket::exchange(&server, &user("x"))).await;
    assert!(answer == "\0\r\ngarbage" && ended.is_ok());
    server.push(Reply::raw("HTTP/1.1 200 OK\r\n\r\n").stall_at(9));
    let mut socket = Socket::open(&server).await;
    socket.say(&wire(&user("x"))).await;
    socket.until("HTTP/1.1 ").await;
    socket.assert_silent().await;
    assert_eq!(server.requests()[0].status(), None);
}

#[tokio::test]
async fn new_connections_can_be_closed_reset_or_ignored() {
    let server = MockServer::start().await;
    server.break_connections(ConnectionFault::CloseOnAccept, 1);
    server.break_connections(ConnectionFault::ResetOnAccept, 1);
    server.break_connections(ConnectionFault::SilentOnAccept, 1);
    let closed = soon(Socket::open(&server).await.rest()).await;
    assert!(closed.0.is_empty() && closed.1.is_ok());
    let reset = soon(Socket::open(&server).await.rest()).await;
    assert_eq!(reset.1.unwrap_err().kind(), ErrorKind::ConnectionReset);
    let mut silent = Socket::open(&server).await;
    silent.say(&wire(&user("x"))).await;
    silent.assert_silent().await;
    drop(silent);
    soon(server.wait_for(|counts| counts.open_connections == 0)).await;
    assert_eq!(server.counts().total, 0);

    server.break_connections(ConnectionFault::CloseOnAccept, u64::MAX);
    let _ = soon(Socket::open(&server).await.rest()).await;
    server.mend_connections();
    let mut socket = Socket::open(&server).await;
    socket.say(&wire(&user("x"))).await;
    soon(socket.until("}}}")).await;
}

#[tokio::test]
async fn a_reused_connection_can_turn_out_stale() {
    let server = MockServer::start().await;
    server.break_connections(ConnectionFault::CloseOnReuse, 1);
    server.break_connections(ConnectionFault::ResetOnReuse, 1);
    for reset in [false, true] {
        let mut socket = Socket::open(&server).await;
        socket.say(&wire(&user("fresh"))).await;
        soon(socket.until("}}}")).await;
        socket.say(&wire(&user("stale"))).await;
        let (rest, ended) = soon(socket.rest()).await;
        assert_eq!((rest.as_str(), ended.is_err()), ("", reset));
    }
    let counts = server.counts();
    assert_eq!((counts.total, counts.answered, counts.cut), (4, 2, 2));
}
