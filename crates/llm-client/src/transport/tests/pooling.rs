//! Which connection a request gets, and how connections end.

use super::*;
use llm_types::ErrorKind;
use tokio::sync::mpsc;

/// Polls once.
async fn is_pending<F: Future>(future: &mut std::pin::Pin<Box<F>>) -> bool {
    std::future::poll_fn(|cx| std::task::Poll::Ready(future.as_mut().poll(cx).is_pending())).await
}

#[tokio::test]
async fn no_more_sockets_are_open_than_allowed() {
    let server = Server::start(|mut peer, _| async move {
        while peer.request().await.is_some() {
            tokio::time::sleep(Duration::from_millis(3)).await;
            peer.send(answer("ok")).await;
        }
    })
    .await;
    let transport = transport(&Settings { max_connections: 4, ..Settings::default() });
    let url = server.url();
    let calls = (0..64).map(|_| ask_text(&transport, &url));
    for text in futures_util::future::join_all(calls).await {
        assert_eq!(text.unwrap(), "ok");
    }
    assert_eq!(server.accepted(), 4);
    until(|| transport.stats().in_use == 0).await;
    let stats = transport.stats();
    assert_eq!((stats.open, stats.idle, stats.waiting, stats.opened_total), (4, 4, 0, 4));
    assert_eq!(stats.reused_total, 60);
}

#[tokio::test]
async fn whoever_waits_and_goes_leaves_the_place_to_the_next() {
    let server = Server::answering(answer("ok")).await;
    let transport = transport(&Settings { max_connections: 1, ..Settings::default() });
    let slow = Server::start(|mut peer, _| async move {
        while peer.request().await.is_some() {
            peer.send(CHUNKED).await;
            peer.request().await;
        }
    })
    .await;
    let held = ask(&transport, &slow.url()).await.unwrap();
    let url = slow.url();
    let mut first = Box::pin(ask(&transport, &url));
    let mut second = Box::pin(ask(&transport, &url));
    assert!(is_pending(&mut first).await);
    assert!(is_pending(&mut second).await);
    assert_eq!(transport.stats().waiting, 2);
    drop(first);
    assert_eq!(transport.stats().waiting, 1);
    // Another host has its own cap.
    assert_eq!(ask_text(&transport, &server.url()).await.unwrap(), "ok");
    drop(held);
    soon(second).await.unwrap();
    assert_eq!(slow.accepted(), 2);
}

/// A server that answers the first request of its first connection, then does as told with the second.
async fn stale(second: &'static str) -> Server {
    Server::start(move |mut peer, number| async move {
        if number > 1 {
            while peer.request().await.is_some() {
                peer.send(answer("fresh")).await;
            }
            return;
        }
        peer.request().await;
        peer.send(answer("first")).await;
        peer.request().await;
        peer.send(second).await;
    })
    .await
}

#[tokio::test]
async fn a_request_on_a_dead_connection_is_sent_once_more() {
    let server = stale("").await;
    let transport = plain();
    assert_eq!(ask_text(&transport, &server.url()).await.unwrap(), "first");
    let reply = ask(&transport, &server.url()).await.unwrap();
    assert!(reply.resent && !reply.reused);
    assert_eq!(soon(reply.body.read_to_end(9)).await.unwrap(), "fresh");
    assert_eq!((server.accepted(), transport.stats().resent_total), (2, 1));
}

#[tokio::test]
async fn after_a_byte_of_the_answer_nothing_is_sent_again() {
    let server = stale("HTTP/1.1 2").await;
    let transport = plain();
    assert_eq!(ask_text(&transport, &server.url()).await.unwrap(), "first");
    assert_eq!(ask(&transport, &server.url()).await.unwrap_err().kind(), ErrorKind::Connection);
    assert_eq!((server.accepted(), transport.stats().resent_total), (1, 0));
}

#[tokio::test]
async fn a_request_is_never_sent_three_times() {
    let server = Server::start(|mut peer, number| async move {
        peer.request().await;
        if number == 1 {
            peer.send(answer("first")).await;
            peer.request().await;
        }
    })
    .await;
    let transport = plain();
    assert_eq!(ask_text(&transport, &server.url()).await.unwrap(), "first");
    assert_eq!(ask(&transport, &server.url()).await.unwrap_err().kind(), ErrorKind::Connection);
    assert_eq!(server.accepted(), 2);
}

#[tokio::test]
async fn the_resend_finds_a_place_when_every_socket_is_taken() {
    let server = stale("").await;
    let transport = transport(&Settings { max_connections: 1, ..Settings::default() });
    let url = server.url();
    assert_eq!(ask_text(&transport, &url).await.unwrap(), "first");
    let calls = (0..4).map(|_| ask_text(&transport, &url));
    for text in futures_util::future::join_all(calls).await {
        assert_eq!(text.unwrap(), "fresh");
    }
    assert_eq!(server.accepted(), 2);
}

#[tokio::test]
async fn a_connection_that_the_server_closed_while_idle_is_not_used() {
    let server = Server::start(|mut peer, _| async move {
        peer.request().await;
        peer.send(answer("ok")).await;
    })
    .await;
    let transport = plain();
    for _ in 0..3 {
        assert_eq!(ask_text(&transport, &server.url()).await.unwrap(), "ok");
        until(|| transport.stats().open == 0).await;
    }
    assert_eq!((server.accepted(), transport.stats().resent_total), (3, 0));
}

#[tokio::test]
async fn surplus_bytes_after_an_answer_close_the_connection() {
    // The second answer, smuggled in behind the first, must answer nothing.
    for surplus in ["x".to_owned(), answer("smuggled")] {
        let server = Server::answering(answer("true") + &surplus).await;
        let transport = plain();
        for _ in 0..3 {
            assert_eq!(ask_text(&transport, &server.url()).await.unwrap(), "true");
        }
        assert_eq!(server.accepted(), 3);
    }
}

#[tokio::test]
async fn dropping_a_request_or_a_body_closes_the_connection() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = Server::start(move |mut peer, number| {
        let tell = tell.clone();
        async move {
            peer.request().await;
            if number > 1 {
                peer.send(CHUNKED.to_owned() + &chunk("part")).await;
            }
            tell.send("asked").unwrap();
            peer.gone().await;
            tell.send("gone").unwrap();
        }
    })
    .await;
    let transport = plain();
    let url = server.url();
    let mut asking = Box::pin(transport.send(post(&url), NO_TIMERS));
    soon(async {
        tokio::select! {
            _ = &mut asking => panic!("there is no answer"),
            asked = told.recv() => assert_eq!(asked, Some("asked")),
        }
    })
    .await;
    drop(asking);
    assert_eq!(soon(told.recv()).await, Some("gone"));
    let mut body = ask(&transport, &url).await.unwrap().body;
    assert_eq!(soon(body.next_chunk()).await.unwrap().unwrap(), "part");
    assert_eq!(soon(told.recv()).await, Some("asked"));
    drop(body);
    assert_eq!(soon(told.recv()).await, Some("gone"));
    until(|| transport.stats() == PoolStats { opened_total: 2, ..PoolStats::default() }).await;
}

#[tokio::test]
async fn dropping_a_request_while_its_body_is_sent_closes_the_connection() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = Server::start(move |mut peer, _| {
        let tell = tell.clone();
        async move {
            peer.read().await;
            tell.send("asked").unwrap();
            peer.gone().await;
            tell.send("gone").unwrap();
        }
    })
    .await;
    let transport = plain();
    let large = Request::post(server.url()).body(Bytes::from(vec![b'x'; 32 << 20])).unwrap();
    let asking = tokio::spawn({
        let transport = transport.clone();
        async move { transport.send(large, NO_TIMERS).await.map(drop) }
    });
    assert_eq!(soon(told.recv()).await, Some("asked"));
    asking.abort();
    assert_eq!(soon(told.recv()).await, Some("gone"));
}

#[tokio::test]
async fn dropping_a_request_gives_its_connect_up() {
    // It accepts and never speaks TLS.
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = Server::start(move |mut peer, _| {
        let tell = tell.clone();
        async move {
            peer.read().await;
            tell.send("hello").unwrap();
            peer.gone().await;
            tell.send("gone").unwrap();
        }
    })
    .await;
    let transport = plain();
    let url = format!("https://{}/", server.address);
    let mut asking = Box::pin(transport.send(post(&url), NO_TIMERS));
    soon(async {
        tokio::select! {
            _ = &mut asking => panic!("there is no answer"),
            hello = told.recv() => assert_eq!(hello, Some("hello")),
        }
    })
    .await;
    drop(asking);
    assert_eq!(soon(told.recv()).await, Some("gone"));
    until(|| transport.stats().open == 0).await;
}

#[tokio::test]
async fn after_the_logical_end_the_connection_is_used_again() {
    let server = Server::start(|mut peer, _| async move {
        while peer.request().await.is_some() {
            peer.send(CHUNKED.to_owned() + &chunk("data: [DONE]\n\n")).await;
            tokio::time::sleep(Duration::from_millis(10)).await;
            peer.send("0\r\n\r\n").await;
        }
    })
    .await;
    let transport = plain();
    for _ in 0..3 {
        let mut body = ask(&transport, &server.url()).await.unwrap().body;
        assert_eq!(soon(body.next_chunk()).await.unwrap().unwrap(), "data: [DONE]\n\n");
        body.finish();
        until(|| transport.stats().idle == 1).await;
    }
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn a_hang_after_the_logical_end_holds_nothing_up() {
    let server = Server::start(|mut peer, _| async move {
        peer.request().await;
        peer.send(CHUNKED.to_owned() + &chunk("data: [DONE]\n\n")).await;
        peer.gone().await;
    })
    .await;
    let transport = plain();
    let mut body = ask(&transport, &server.url()).await.unwrap().body;
    soon(body.next_chunk()).await.unwrap().unwrap();
    body.finish();
    until(|| transport.stats().open == 0).await;
}

#[tokio::test]
async fn idle_connections_close_by_themselves() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = Server::start(move |mut peer, _| {
        let tell = tell.clone();
        async move {
            while peer.request().await.is_some() {
                peer.send(answer("ok")).await;
            }
            tell.send("gone").unwrap();
        }
    })
    .await;
    let transport = transport(&Settings { pool_idle: Duration::from_millis(50), ..Settings::default() });
    for _ in 0..2 {
        assert_eq!(ask_text(&transport, &server.url()).await.unwrap(), "ok");
        assert_eq!(soon(told.recv()).await, Some("gone"));
    }
    until(|| transport.stats().open == 0).await;
}

#[tokio::test]
async fn a_closed_transport_refuses_and_lets_go() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = Server::start(move |mut peer, number| {
        let tell = tell.clone();
        async move {
            peer.request().await;
            peer.send(CHUNKED.to_owned() + &chunk("part")).await;
            if number == 1 {
                peer.send("0\r\n\r\n").await;
                peer.gone().await;
                tell.send("gone").unwrap();
            } else {
                tokio::time::sleep(Duration::from_millis(30)).await;
                peer.send(chunk(" and rest") + "0\r\n\r\n").await;
            }
        }
    })
    .await;
    let transport = transport(&Settings { max_connections: 2, ..Settings::default() });
    let url = server.url();
    let idle = ask(&transport, &url).await.unwrap();
    let under_way = ask(&transport, &url).await.unwrap();
    assert_eq!(soon(idle.body.read_to_end(99)).await.unwrap(), "part");
    until(|| transport.stats().idle == 1).await;
    for _ in 0..2 {
        transport.close();
    }
    assert_eq!(soon(told.recv()).await, Some("gone"));
    assert_eq!(soon(under_way.body.read_to_end(99)).await.unwrap(), "part and rest");
    for url in [url.as_str(), "http://127.0.0.1:1/"] {
        let error = ask(&transport, url).await.unwrap_err();
        assert_eq!((error.kind(), error.message()), (ErrorKind::Unavailable, "the client is closed"));
    }
    until(|| transport.stats().open == 0).await;
}

#[tokio::test]
async fn closing_refuses_those_who_wait() {
    let server = Server::start(|mut peer, _| async move {
        peer.request().await;
        peer.send(CHUNKED).await;
        peer.gone().await;
    })
    .await;
    let transport = transport(&Settings { max_connections: 1, ..Settings::default() });
    let url = server.url();
    let _held = ask(&transport, &url).await.unwrap();
    let mut waiting = Box::pin(ask(&transport, &url));
    assert!(is_pending(&mut waiting).await);
    transport.close();
    assert_eq!(soon(waiting).await.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn connections_can_be_opened_ahead() {
    let server = Server::answering(answer("ok")).await;
    let transport = transport(&Settings { max_connections: 6, ..Settings::default() });
    let endpoint = Endpoint::parse(&server.url()).unwrap();
    assert_eq!(soon(transport.warm_up(&endpoint, 4)).await.unwrap(), 4);
    assert_eq!(transport.stats().idle, 4);
    assert_eq!(ask_text(&transport, &server.url()).await.unwrap(), "ok");
    assert_eq!((server.accepted(), transport.stats().reused_total), (4, 1));
    // Four are idle already, and no more than six may be open.
    assert_eq!(soon(transport.warm_up(&endpoint, 99)).await.unwrap(), 2);
    assert_eq!(soon(transport.warm_up(&endpoint, 99)).await.unwrap(), 0);
    assert_eq!((server.accepted(), transport.stats().idle), (6, 6));
    let nobody = Endpoint::parse("http://127.0.0.1:1").unwrap();
    assert_eq!(soon(transport.warm_up(&nobody, 2)).await.unwrap_err().kind(), ErrorKind::Connection);
    until(|| transport.stats().open == 6).await;
}

#[tokio::test]
async fn an_early_answer_to_an_unread_request_holds_nothing_for_long() {
    let server = Server::start(move |mut peer, _| async move {
        peer.read().await;
        peer.send("HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\n\r\nbig").await;
        // It keeps the connection and reads nothing more.
        std::future::pending::<()>().await;
    })
    .await;
    let transport = plain();
    let large = Request::post(server.url()).body(Bytes::from(vec![b'x'; 64 << 20])).unwrap();
    let reply = soon(transport.send(large, NO_TIMERS)).await.unwrap();
    assert_eq!(reply.status, 413);
    assert_eq!(soon(reply.body.read_to_end(9)).await.unwrap(), "big");
    until(|| transport.stats().open == 0).await;
}

#[tokio::test]
async fn a_dropped_transport_closes_its_connections() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = Server::start(move |mut peer, _| {
        let tell = tell.clone();
        async move {
            while peer.request().await.is_some() {
                peer.send(answer("ok")).await;
            }
            tell.send("gone").unwrap();
        }
    })
    .await;
    let transport = plain();
    assert_eq!(ask_text(&transport, &server.url()).await.unwrap(), "ok");
    drop(transport);
    assert_eq!(soon(told.recv()).await, Some("gone"));
}
