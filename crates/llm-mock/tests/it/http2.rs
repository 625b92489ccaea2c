//! HTTP/2 by prior knowledge, on the same port.

use std::time::Duration;

use http::Version;
use http_body_util::BodyExt;
use llm_mock::{ConnectionFault, Fault, MockServer, Outcome, Reply};

use crate::client::{chat, connect2, send2, soon, streamed, user};

#[tokio::test]
async fn plain_and_streamed_answers_are_the_same_as_over_http1() {
    let server = MockServer::start().await;
    let plain = send2(&server, chat(&server, &user("hi there"))).await;
    assert_eq!(plain.json()["choices"][0]["message"]["content"], "hi there");
    assert_eq!(plain.header("content-length").unwrap(), plain.body.len().to_string());
    let stream = send2(&server, chat(&server, &streamed("hi there"))).await;
    assert_eq!(
        (stream.content(0).as_str(), stream.header("content-type")),
        ("hi there", Some("text/event-stream"))
    );
    let request = &server.requests()[0];
    assert_eq!((request.version(), request.key()), (Version::HTTP_2, Some("sk-canary")));
    assert_eq!((request.path(), request.outcome()), ("/v1/chat/completions", Outcome::Answered));
    assert!(server.requests().iter().all(|request| request.status() == Some(200)));
}

#[tokio::test]
async fn many_streams_share_one_connection() {
    let server = MockServer::start().await;
    server.push(Reply::echo().delay(Duration::from_millis(30)).times(50));
    let client = connect2(&server).await;
    let asking: Vec<_> = (0..50)
        .map(|n| {
            let (mut client, request) =
                (client.clone(), chat(&server, &user(&n.to_string())).map(Into::into));
            tokio::spawn(async move {
                let body = client.send_request(request).await.unwrap().collect().await.unwrap().to_bytes();
                assert!(String::from_utf8_lossy(&body).contains(&format!("\"content\":\"{n}\"")));
            })
        })
        .collect();
    for asked in asking {
        soon(asked).await.unwrap();
    }
    let counts = server.counts();
    assert_eq!((counts.connections, counts.answered, counts.in_flight), (1, 50, 0));
    assert!(counts.max_in_flight > 1);
}

#[tokio::test]
async fn a_large_body_goes_through_and_back() {
    let server = MockServer::start().await;
    let text = "x".repeat(3 << 20);
    let answer = soon(send2(&server, chat(&server, &user(&text)))).await;
    assert_eq!(answer.json()["choices"][0]["message"]["content"], text);
}

#[tokio::test]
async fn a_cut_breaks_the_stream_and_a_reset_the_connection() {
    let server = MockServer::start().await;
    let mut client = connect2(&server).await;
    for (reply, alive) in
        [(Reply::text("a b c").cut_at(100), true), (Reply::text("a b c").reset_at(100), false)]
    {
        server.push(reply);
        let request = chat(&server, &streamed("hi")).map(Into::into);
        let mut body = client.send_request(request).await.unwrap().into_body();
        let mut bytes = 0;
        let ended = loop {
            match soon(body.frame()).await {
                Some(Ok(frame)) => bytes += frame.into_data().unwrap().len(),
                other => break other,
            }
        };
        // A stream that is reset and a connection that is reset say so differently.
        let how = if alive { "INTERNAL_ERROR" } else { "ConnectionReset" };
        assert!(matches!(&ended, Some(Err(error)) if format!("{error:?}").contains(how)), "{ended:?}");
        assert_eq!(bytes, 100);
        assert_eq!(client.is_closed(), !alive);
    }
    assert_eq!(server.counts().cut, 2);
}

#[tokio::test]
async fn other_faults_close_the_connection() {
    let server = MockServer::start().await;
    for reply in [
        Reply::raw("HTTP/9 what\r\n\r\n"),
        Reply::echo().fault(Fault::Close),
        Reply::echo().fault(Fault::Reset),
        Reply::echo().fault(Fault::HugeHead(300_000)),
    ] {
        server.push(reply);
        let mut client = connect2(&server).await;
        let request = chat(&server, &user("hi")).map(Into::into);
        assert!(soon(client.send_request(request)).await.is_err());
    }
    let mut client = connect2(&server).await;
    server.break_connections(ConnectionFault::CloseOnReuse, 1);
    for broken in [false, true] {
        let request = chat(&server, &user("hi")).map(Into::into);
        assert_eq!(soon(client.send_request(request)).await.is_err(), broken);
    }
    assert_eq!(server.counts().cut, 5);
}

#[tokio::test]
async fn scripted_headers_replace_and_repeat() {
    let server = MockServer::start().await;
    let reply =
        Reply::body(503, "<html>").header("content-type", "text/html").header("x-a", "1").header("x-a", "2");
    server.push(reply.header("bad name", "x"));
    let answer = send2(&server, chat(&server, &user("hi"))).await;
    assert_eq!((answer.status, answer.header("content-type")), (503, Some("text/html")));
    assert_eq!(answer.headers.get_all("x-a").iter().count(), 2);
    assert_eq!(answer.headers.get_all("content-type").iter().count(), 1);
}
