//! A client that leaves is noticed at once, whatever the server is doing.

use std::time::{Duration, Instant};

use llm_mock::{Fault, MockServer, Outcome, Reply};

use crate::client::{Socket, chat, connect2, soon, streamed, wire};

const LONG: Duration = Duration::from_secs(600);

/// Everything a server may be doing when its client leaves.
fn busy() -> Vec<(&'static str, Reply)> {
    vec![
        ("delaying", Reply::echo().delay(LONG)),
        ("before the first token", Reply::echo().first_token(LONG)),
        ("pacing", Reply::text("a b c").tokens_per_sec(0.001)),
        ("stalled", Reply::text("a b c").stall_at(50)),
        ("hanging", Reply::echo().fault(Fault::Hang)),
        ("sending for ever", Reply::sse("").fault(Fault::EndlessBody(": x\n\n".into()))),
    ]
}

/// The end is noted at once: after a hundredth of what it would have lasted even on a machine that is very busy.
async fn assert_cancelled(server: &MockServer, left: Instant, what: &str) {
    soon(server.wait_for(|counts| counts.in_flight == 0)).await;
    let request = server.requests().pop().unwrap();
    assert_eq!(request.outcome(), Outcome::Cancelled, "{what}");
    let late = request.ended().unwrap().saturating_duration_since(left);
    assert!(late < LONG / 100, "{what}: noticed after {late:?}");
}

#[tokio::test]
async fn a_closed_connection_is_a_cancelled_request() {
    let server = MockServer::start().await;
    let mut count = 0;
    for (what, reply) in busy() {
        server.push(reply);
        let mut socket = Socket::open(&server).await;
        socket.say(&wire(&streamed("hi"))).await;
        count += 1;
        soon(server.wait_for_requests(count)).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert_eq!(server.counts().in_flight, 1, "{what}");
        let left = Instant::now();
        drop(socket);
        assert_cancelled(&server, left, what).await;
    }
    assert_eq!(server.cancelled(), count);
    soon(server.wait_for(|counts| counts.open_connections == 0)).await;
}

#[tokio::test]
async fn a_reset_stream_is_a_cancelled_request_and_its_connection_lives() {
    let server = MockServer::start().await;
    let client = connect2(&server).await;
    let mut count = 0;
    for (what, reply) in busy() {
        server.push(reply);
        let mut sender = client.clone();
        let request = chat(&server, &streamed("hi")).map(Into::into);
        let asking = tokio::spawn(async move {
            // Held, not read, until the task is aborted.
            let _answer = sender.send_request(request).await;
            std::future::pending::<()>().await;
        });
        count += 1;
        soon(server.wait_for_requests(count)).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
        let left = Instant::now();
        asking.abort();
        assert_cancelled(&server, left, what).await;
    }
    assert_eq!(server.cancelled(), count);
    assert_eq!(server.counts().connections, 1);
    assert!(!client.is_closed());
}

#[tokio::test]
async fn a_closed_http2_connection_cancels_all_its_streams() {
    let server = MockServer::start().await;
    let mut client = connect2(&server).await;
    server.push(Reply::echo().delay(LONG).times(3));
    let asking: Vec<_> = (0..3)
        .map(|_| tokio::spawn(client.send_request(chat(&server, &streamed("hi")).map(Into::into))))
        .collect();
    soon(server.wait_for_requests(3)).await;
    drop(client);
    asking.iter().for_each(tokio::task::JoinHandle::abort);
    soon(server.wait_for(|counts| counts.cancelled == 3 && counts.open_connections == 0)).await;
}

#[tokio::test]
async fn a_client_that_stops_reading_and_leaves_is_cancelled() {
    let server = MockServer::start().await;
    server.push(Reply::body(200, vec![b'x'; 32 << 20]));
    let mut socket = Socket::open(&server).await;
    socket.say(&wire(&streamed("hi"))).await;
    socket.until("\r\n\r\n").await;
    assert_eq!(server.counts().in_flight, 1);
    drop(socket);
    soon(server.wait_for(|counts| counts.cancelled == 1)).await;
}

#[tokio::test]
async fn a_shut_down_server_ends_its_requests_as_such() {
    let server = MockServer::start().await;
    server.push(Reply::echo().delay(LONG));
    let mut socket = Socket::open(&server).await;
    socket.say(&wire(&streamed("hi"))).await;
    let request = soon(server.wait_for_requests(1)).await.pop().unwrap();
    assert_eq!(request.outcome(), Outcome::Pending);
    let address = server.address();
    soon(server.shutdown()).await;
    assert_eq!((request.outcome(), request.status()), (Outcome::Shutdown, None));
    assert!(soon(socket.rest()).await.0.is_empty());
    assert!(tokio::net::TcpStream::connect(address).await.is_err());
}

#[tokio::test]
async fn a_dropped_server_closes_everything() {
    let server = MockServer::start().await;
    let (address, mut socket) = (server.address(), Socket::open(&server).await);
    soon(server.wait_for(|counts| counts.open_connections == 1)).await;
    drop(server);
    let _ = soon(socket.rest()).await;
    soon(async {
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
