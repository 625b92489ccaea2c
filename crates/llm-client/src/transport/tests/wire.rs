//! What is sent, what comes back, and what is said when it goes wrong.

use tokio::sync::mpsc;

use super::*;
use llm_types::{ErrorKind, Phase};

#[tokio::test]
async fn a_request_goes_out_as_it_should() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = Server::start(move |mut peer, _| {
        let tell = tell.clone();
        async move {
            while let Some(request) = peer.request().await {
                tell.send(request).unwrap();
                peer.send(answer("hello")).await;
            }
        }
    })
    .await;
    let transport = plain();
    let url = format!("{}?x=y", server.url());
    let reply = ask(&transport, &url).await.unwrap();
    assert_eq!((reply.status.as_u16(), reply.reused, reply.resent, reply.http2), (200, false, false, false));
    assert!(reply.waited > Duration::ZERO);
    assert_eq!(reply.headers["content-length"], "5");
    assert_eq!(soon(reply.body.read_to_end(5)).await.unwrap(), "hello");
    let request = told.recv().await.unwrap();
    let mut lines: Vec<&str> = request.split("\r\n").collect();
    assert_eq!(lines.remove(0), "POST /v1/chat?x=y HTTP/1.1");
    lines.sort_unstable();
    let host = format!("host: {}", server.address);
    let expected = [
        "",
        "accept-encoding: identity",
        "content-length: 7",
        "content-type: application/json",
        &host,
        "{\"a\":1}",
    ];
    assert_eq!(lines, expected);
    // The second one goes over the same connection, and a header of the caller's own wins.
    let mut again = post(&url);
    again.headers_mut().insert("accept-encoding", "gzip".parse().unwrap());
    let reply = soon(transport.send(again, NO_TIMERS)).await.unwrap();
    assert!(reply.reused && reply.waited.is_zero());
    drop(reply);
    let request = told.recv().await.unwrap();
    assert!(request.contains("accept-encoding: gzip\r\n") && !request.contains("identity"));
    assert_eq!(server.accepted(), 1);
    let stats = transport.stats();
    assert_eq!((stats.opened_total, stats.reused_total, stats.resent_total), (1, 1, 0));
}

#[tokio::test]
async fn every_framing_of_a_body_is_read() {
    for (wire, text) in [
        (answer("plain"), "plain"),
        (answer(""), ""),
        (format!("{CHUNKED}{}{}0\r\n\r\n", chunk("one "), chunk("two")), "one two"),
        (format!("{CHUNKED}{}0\r\ntrailer: x\r\n\r\n", chunk("one")), "one"),
        ("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nuntil the end".into(), "until the end"),
        ("HTTP/1.0 200 OK\r\n\r\nold".into(), "old"),
        (
            "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n".to_owned()
                + &answer("late"),
            "late",
        ),
    ] {
        let closing = !wire.contains("content-length") && !wire.contains("chunked");
        let server = Server::start(move |mut peer, _| {
            let wire = wire.clone();
            async move {
                while peer.request().await.is_some() {
                    peer.send(&wire).await;
                    if closing {
                        return;
                    }
                }
            }
        })
        .await;
        let transport = plain();
        for _ in 0..2 {
            assert_eq!(ask_text(&transport, &server.url()).await.unwrap(), text);
        }
        until(|| transport.stats().in_use == 0).await;
        assert_eq!(server.accepted(), if closing { 2 } else { 1 }, "{text}");
    }
}

#[tokio::test]
async fn a_redirect_is_an_answer_like_any_other() {
    let head = "HTTP/1.1 307 Temporary Redirect\r\nlocation: http://127.0.0.1:9/x?secret\r\ncontent-length: 0\r\n\r\n";
    let server = Server::answering(head).await;
    let reply = ask(&plain(), &server.url()).await.unwrap();
    let asked = server.url().parse().unwrap();
    let error = redirect_error(reply.status, &reply.headers, &asked).unwrap();
    assert_eq!(error.to_string(), "the server redirects to http://127.0.0.1:9/x; redirects are not followed");
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn a_refused_connection_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = ask(&plain(), &format!("http://{address}/v1?key=canary")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connection);
    assert_eq!(error.to_string(), format!("cannot connect to http://{address}: connection refused"));
    assert_eq!(error.hint(), Some("is the server running?"));
    assert!(!format!("{error:?}").contains("canary"));
}

#[tokio::test]
async fn a_name_that_cannot_be_looked_up_says_so() {
    // A label of more than 63 characters is refused without asking anybody.
    let name = "x".repeat(70);
    let error = ask(&plain(), &format!("http://{name}/v1")).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connection);
    let start = format!("cannot connect to http://{name}:80: the name cannot be looked up (");
    assert!(error.to_string().starts_with(&start), "{error}");
}

#[tokio::test]
async fn a_url_that_is_none_of_ours_is_refused() {
    for url in ["/v1/chat", "ftp://h/x", "http://user:canary@h/x"] {
        let error = ask(&plain(), url).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{url}");
        assert!(!format!("{error:?}").contains("canary"));
    }
}

/// What each broken answer is taken for, on a first connection.
#[tokio::test]
async fn broken_answers_are_told_apart() {
    for (wire, kind, text) in [
        ("", ErrorKind::Connection, "broke before it answered"),
        ("HTTP/1.1 200 O", ErrorKind::Connection, "broke in the middle of its head"),
        ("SSH-2.0-OpenSSH_9.2\r\n", ErrorKind::Protocol, "is not HTTP"),
        ("HTTP/1.1 200 OK\r\nbad header\r\n\r\n", ErrorKind::Protocol, "is not HTTP"),
        ("\x15\x03\x01\x00\x02\x02\x16", ErrorKind::Protocol, "is not HTTP"),
    ] {
        let server = Server::start(move |mut peer, _| async move {
            peer.request().await;
            peer.send(wire).await;
        })
        .await;
        let error = ask(&plain(), &server.url()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{wire:?}: {}", error.chain());
        assert!(error.to_string().contains(text), "{wire:?}: {error}");
        assert!(error.to_string().contains(&format!("http://{}", server.address)), "{error}");
        assert_eq!(server.accepted(), 1, "a first connection is never tried again");
    }
}

#[tokio::test]
async fn broken_bodies_are_told_apart() {
    for (wire, kind) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\npart".to_owned(), ErrorKind::Connection),
        (format!("{CHUNKED}{}", chunk("part")), ErrorKind::Connection),
        (format!("{CHUNKED}{}xyz\r\n", chunk("part")), ErrorKind::Protocol),
    ] {
        let server = Server::start(move |mut peer, _| {
            let wire = wire.clone();
            async move {
                peer.request().await;
                peer.send(&wire).await;
            }
        })
        .await;
        let mut body = ask(&plain(), &server.url()).await.unwrap().body;
        assert_eq!(soon(body.next_chunk()).await.unwrap().unwrap(), "part");
        let error = soon(body.next_chunk()).await.unwrap().unwrap_err();
        assert_eq!(error.kind(), kind, "{}", error.chain());
        assert!(soon(body.next_chunk()).await.is_none(), "nothing comes after an error");
    }
}

#[tokio::test]
async fn each_timer_ends_its_own_wait() {
    let short = Some(Duration::from_millis(40));
    let head = CHUNKED.to_owned();
    let piece = head.clone() + &chunk("x");
    for (wire, timers, phase) in [
        (String::new(), Timers { first_byte: short, ..NO_TIMERS }, Phase::FirstByte),
        (head.clone(), Timers { first_byte: short, ..NO_TIMERS }, Phase::FirstByte),
        (piece.clone(), Timers { first_byte: Some(PATIENCE), idle: short, ..NO_TIMERS }, Phase::Idle),
        (String::new(), Timers { attempt: short, ..NO_TIMERS }, Phase::Attempt),
        (piece, Timers { attempt: short, ..NO_TIMERS }, Phase::Attempt),
    ] {
        let server = Server::start(move |mut peer, _| {
            let wire = wire.clone();
            async move {
                peer.request().await;
                peer.send(&wire).await;
                peer.gone().await;
            }
        })
        .await;
        let transport = plain();
        let asked = async {
            let mut body = transport.send(post(&server.url()), timers).await?.body;
            while let Some(piece) = body.next_chunk().await {
                piece?;
            }
            Ok::<_, Error>(())
        };
        let error = soon(asked).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout(phase), "{error}");
        assert!(
            error.to_string().contains("within 40ms") || error.to_string().contains("for 40ms"),
            "{error}"
        );
        // What timed out is let go.
        until(|| transport.stats().open == 0).await;
    }
}

#[tokio::test]
async fn a_slow_stream_that_keeps_talking_is_not_cut() {
    let server = Server::start(|mut peer, _| async move {
        peer.request().await;
        peer.send(CHUNKED).await;
        for _ in 0..8 {
            tokio::time::sleep(Duration::from_millis(30)).await;
            peer.send(chunk("x")).await;
        }
        peer.send("0\r\n\r\n").await;
    })
    .await;
    let timers = Timers { attempt: None, first_byte: Some(PATIENCE), idle: Some(Duration::from_secs(5)) };
    let reply = soon(plain().send(post(&server.url()), timers)).await.unwrap();
    assert_eq!(soon(reply.body.read_to_end(100)).await.unwrap(), "xxxxxxxx");
}
