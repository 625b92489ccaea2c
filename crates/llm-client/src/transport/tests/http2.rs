//! HTTP/2: shared connections, streams that are reset, servers that say goodbye.

use std::sync::Mutex;
use std::task::Poll;

use super::*;
use h2::server::{Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::Response;
use llm_types::{ErrorKind, Phase};
use tokio::sync::mpsc;

type Respond = SendResponse<Bytes>;
type Asked = (Request<RecvStream>, Respond);

/// A server that hands each stream to a function, with the numbers of its connection and of the stream on it, from 1.
async fn start<F>(streams: u32, serve: F) -> Server
where
    F: Fn(Asked, usize, usize) + Send + Sync + 'static,
{
    let serve = Arc::new(serve);
    Server::start(move |peer, number| {
        let serve = Arc::clone(&serve);
        async move {
            let Ok(mut connection) = accept(peer.stream, streams).await else { return };
            let mut stream = 0;
            while let Some(Ok(asked)) = connection.accept().await {
                stream += 1;
                serve(asked, number, stream);
            }
        }
    })
    .await
}

async fn accept(stream: TcpStream, streams: u32) -> Result<Connection<TcpStream, Bytes>, h2::Error> {
    h2::server::Builder::new().max_concurrent_streams(streams).handshake(stream).await
}

fn respond(respond: &mut Respond, body: &str) {
    let mut stream = respond.send_response(Response::new(()), body.is_empty()).unwrap();
    if !body.is_empty() {
        stream.send_data(Bytes::copy_from_slice(body.as_bytes()), true).unwrap();
    }
}

fn speaking(settings: &Settings) -> Transport {
    let options = TransportOptions { cleartext_http2: true };
    Transport::with_options(settings, &ProxyEnv::none(), options).unwrap()
}

#[tokio::test]
async fn requests_share_a_connection() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = start(100, move |(request, mut answer), _, _| {
        let (head, _) = request.into_parts();
        tell.send(head).unwrap();
        respond(&mut answer, "ok");
    })
    .await;
    let transport = speaking(&Settings::default());
    let url = server.url();
    assert_eq!(ask_text(&transport, &url).await.unwrap(), "ok");
    let calls = (0..32).map(|_| ask_text(&transport, &url));
    for text in futures_util::future::join_all(calls).await {
        assert_eq!(text.unwrap(), "ok");
    }
    let reply = ask(&transport, &url).await.unwrap();
    assert!(reply.http2 && reply.reused);
    drop(reply);
    assert_eq!(server.accepted(), 1);
    let head = told.recv().await.unwrap();
    assert_eq!(head.uri.to_string(), url);
    assert_eq!(head.headers["accept-encoding"], "identity");
    assert_eq!(head.headers["content-length"], "7");
    assert!(!head.headers.contains_key("host"));
    until(|| transport.stats().in_use == 0).await;
    assert_eq!((transport.stats().open, transport.stats().idle), (1, 1));
}

/// A server that keeps every stream open, counting them by connection.
async fn holding(streams: u32) -> (Server, Arc<Mutex<Vec<(usize, Respond)>>>) {
    let held = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&held);
    let server = start(streams, move |(_, mut answer), connection, _| {
        let stream = answer.send_response(Response::new(()), false).unwrap();
        std::mem::forget(stream);
        keep.lock().unwrap().push((connection, answer));
    })
    .await;
    (server, held)
}

#[tokio::test]
async fn a_full_connection_is_followed_by_another() {
    let (server, held) = holding(250).await;
    let transport = speaking(&Settings { max_connections: 2, ..Settings::default() });
    let url = server.url();
    let mut replies = futures_util::future::join_all((0..200).map(|_| ask(&transport, &url))).await;
    assert!(replies.iter().all(Result::is_ok));
    let count = |number| held.lock().unwrap().iter().filter(|(connection, _)| *connection == number).count();
    assert_eq!((count(1), count(2)), (100, 100));
    // All places are taken: the next one waits, and gets the first place that comes free.
    let mut waiting = Box::pin(ask(&transport, &url));
    let polled = std::future::poll_fn(|cx| Poll::Ready(waiting.as_mut().poll(cx).is_pending())).await;
    assert!(polled);
    assert_eq!((transport.stats().waiting, transport.stats().in_use), (1, 200));
    replies.pop();
    let reply = soon(waiting).await.unwrap();
    assert!(reply.reused);
    assert_eq!(server.accepted(), 2);
}

#[tokio::test]
async fn a_servers_own_limit_of_streams_is_kept() {
    let (server, _held) = holding(2).await;
    let transport = speaking(&Settings::default());
    let url = server.url();
    // The limit is known once the server has answered something.
    let mut replies = vec![ask(&transport, &url).await.unwrap()];
    for _ in 0..5 {
        replies.push(ask(&transport, &url).await.unwrap());
    }
    assert_eq!(server.accepted(), 3);
}

#[tokio::test]
async fn refused_streams_and_goodbyes_are_sent_once_more() {
    for refuse in [true, false] {
        let server = Server::start(move |peer, number| async move {
            let Ok(mut connection) = accept(peer.stream, 100).await else { return };
            let mut stream = 0;
            while let Some(Ok((_, mut answer))) = connection.accept().await {
                stream += 1;
                match (number, stream) {
                    (1, 2) if refuse => answer.send_reset(Reason::REFUSED_STREAM),
                    (1, 2) => connection.abrupt_shutdown(Reason::NO_ERROR),
                    _ => respond(&mut answer, "ok"),
                }
            }
        })
        .await;
        let transport = speaking(&Settings::default());
        assert_eq!(ask_text(&transport, &server.url()).await.unwrap(), "ok");
        let reply = ask(&transport, &server.url()).await.unwrap();
        assert!(reply.resent && !reply.reused, "refused: {refuse}");
        assert_eq!(soon(reply.body.read_to_end(9)).await.unwrap(), "ok");
        assert_eq!((server.accepted(), transport.stats().resent_total), (2, 1));
    }
}

#[tokio::test]
async fn what_the_server_began_with_is_not_sent_again() {
    let server = start(100, |(_, mut answer), _, stream| {
        if stream == 1 { respond(&mut answer, "ok") } else { answer.send_reset(Reason::INTERNAL_ERROR) }
    })
    .await;
    let transport = speaking(&Settings::default());
    assert_eq!(ask_text(&transport, &server.url()).await.unwrap(), "ok");
    let error = ask(&transport, &server.url()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connection);
    assert!(error.to_string().contains("the stream was reset ("), "{error}");
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn a_first_connection_is_never_tried_again() {
    let server = start(100, |(_, mut answer), _, _| answer.send_reset(Reason::REFUSED_STREAM)).await;
    let transport = speaking(&Settings::default());
    assert_eq!(ask(&transport, &server.url()).await.unwrap_err().kind(), ErrorKind::Connection);
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn a_dead_connection_is_replaced() {
    let server = Server::start(move |peer, number| async move {
        let Ok(mut connection) = accept(peer.stream, 100).await else { return };
        let mut stream = 0;
        while let Some(Ok((_, mut answer))) = connection.accept().await {
            stream += 1;
            if (number, stream) == (1, 2) {
                return;
            }
            respond(&mut answer, "ok");
        }
    })
    .await;
    let transport = speaking(&Settings::default());
    assert_eq!(ask_text(&transport, &server.url()).await.unwrap(), "ok");
    let reply = ask(&transport, &server.url()).await.unwrap();
    assert!(reply.resent);
    assert_eq!(server.accepted(), 2);
}

#[tokio::test]
async fn dropping_a_request_or_a_body_resets_the_stream() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let server = start(100, move |(_, mut answer), _, stream| {
        let tell = tell.clone();
        tokio::spawn(async move {
            let mut body = None;
            if stream == 2 {
                let mut sending = answer.send_response(Response::new(()), false).unwrap();
                sending.send_data(Bytes::from_static(b"part"), false).unwrap();
                body = Some(sending);
            }
            tell.send(None).unwrap();
            let reset = std::future::poll_fn(|cx| match &mut body {
                Some(body) => body.poll_reset(cx),
                None => answer.poll_reset(cx),
            });
            tell.send(reset.await.ok()).unwrap();
        });
    })
    .await;
    let transport = speaking(&Settings::default());
    let url = server.url();
    let mut asking = Box::pin(transport.send(post(&url), NO_TIMERS));
    soon(async {
        tokio::select! {
            _ = &mut asking => panic!("there is no answer"),
            asked = told.recv() => assert_eq!(asked, Some(None)),
        }
    })
    .await;
    drop(asking);
    assert_eq!(soon(told.recv()).await, Some(Some(Reason::CANCEL)));
    let mut body = ask(&transport, &url).await.unwrap().body;
    assert_eq!(soon(body.next_chunk()).await.unwrap().unwrap(), "part");
    assert_eq!(soon(told.recv()).await, Some(None));
    drop(body);
    assert_eq!(soon(told.recv()).await, Some(Some(Reason::CANCEL)));
    // The connection itself is none the worse.
    assert_eq!((server.accepted(), transport.stats().open, transport.stats().in_use), (1, 1, 0));
}

#[tokio::test]
async fn timers_and_limits_hold_for_streams_too() {
    let (server, _held) = holding(100).await;
    let transport = speaking(&Settings::default());
    let timers = Timers { first_byte: Some(Duration::from_millis(40)), ..NO_TIMERS };
    let asked = async {
        let mut body = transport.send(post(&server.url()), timers).await?.body;
        body.next_chunk().await.expect("no end")
    };
    let error = soon(asked).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout(Phase::FirstByte));
    let many = start(100, |(_, mut answer), _, _| {
        let mut response = Response::new(());
        for n in 0..101 {
            let name = http::HeaderName::try_from(format!("x-{n}")).unwrap();
            response.headers_mut().insert(name, http::HeaderValue::from_static("y"));
        }
        answer.send_response(response, true).unwrap();
    })
    .await;
    assert_eq!(ask(&transport, &many.url()).await.unwrap_err().kind(), ErrorKind::TooLarge);
}

#[tokio::test]
async fn an_idle_connection_closes_by_itself() {
    let server = start(100, |(_, mut answer), _, _| respond(&mut answer, "ok")).await;
    let transport = speaking(&Settings { pool_idle: Duration::from_millis(50), ..Settings::default() });
    for _ in 0..2 {
        assert_eq!(ask_text(&transport, &server.url()).await.unwrap(), "ok");
        until(|| transport.stats().open == 0).await;
    }
    assert_eq!(server.accepted(), 2);
}

#[tokio::test]
async fn a_large_answer_flows_while_others_wait() {
    const SIZE: usize = 6 << 20;
    let server = start(100, |(_, mut answer), _, stream| {
        if stream == 2 {
            respond(&mut answer, "quick");
            return;
        }
        tokio::spawn(async move {
            let mut body = answer.send_response(Response::new(()), false).unwrap();
            let mut left = SIZE;
            while left > 0 {
                body.reserve_capacity(left.min(1 << 16));
                let Some(Ok(room)) = std::future::poll_fn(|cx| body.poll_capacity(cx)).await else { return };
                left -= room.min(left);
                body.send_data(Bytes::from(vec![b'x'; room]), left == 0).unwrap();
            }
        });
    })
    .await;
    let transport = speaking(&Settings::default());
    let large = ask(&transport, &server.url()).await.unwrap();
    assert_eq!(ask_text(&transport, &server.url()).await.unwrap(), "quick");
    assert_eq!(soon(large.body.read_to_end(u64::MAX)).await.unwrap().len(), SIZE);
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn a_server_that_speaks_no_http2_is_an_error() {
    let server = Server::answering("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n").await;
    let error = ask(&speaking(&Settings::default()), &server.url()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connection, "{}", error.chain());
}
