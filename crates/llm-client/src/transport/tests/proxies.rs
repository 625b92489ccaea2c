//! Through proxies: tunnels, whole requests, SOCKS; and what proxies get to see.

use tokio::io::copy_bidirectional;
use tokio::sync::mpsc;

use super::tls::{Authority, acceptor, server as tls_server};
use super::*;
use llm_types::ErrorKind;

fn through(proxy: &str, settings: Settings) -> Transport {
    transport(&Settings { proxy: Some(proxy.to_owned()), ..settings })
}

fn keyed(url: &str) -> Request<Bytes> {
    let mut request = post(url);
    let key = llm_types::Secret::new("sk-canary");
    request.headers_mut().insert("authorization", secret_header("Bearer ", &key).unwrap());
    request
}

/// A proxy that tunnels and tells every byte it sees of the client's.
async fn tunnelling(tell: mpsc::UnboundedSender<String>) -> Server {
    Server::start(move |mut peer, _| {
        let tell = tell.clone();
        async move {
            let Some(head) = peer.request().await else { return };
            let target = head.split(' ').nth(1).unwrap().replace("localhost", "127.0.0.1");
            tell.send(head).unwrap();
            let mut onward = TcpStream::connect(target).await.unwrap();
            peer.send("HTTP/1.1 200 Connection established\r\nx: y\r\n\r\n").await;
            peer.read().await;
            tell.send(String::from_utf8_lossy(&peer.buffer).into_owned()).unwrap();
            onward.write_all(&peer.buffer).await.unwrap();
            let _ = copy_bidirectional(&mut peer.stream, &mut onward).await;
        }
    })
    .await
}

#[tokio::test]
async fn https_goes_through_a_tunnel_and_the_key_is_not_seen() {
    let authority = Authority::new();
    for alpn in ["h2", "http/1.1"] {
        let target =
            tls_server(acceptor(&authority.issue("server", "localhost", |_| {}), &[alpn], None)).await;
        let (tell, mut told) = mpsc::unbounded_channel();
        let proxy = tunnelling(tell).await;
        let transport = through(&format!("http://user:pass@{}", proxy.address), authority.trusted());
        let url = format!("https://localhost:{}/v1/secret-path", target.address.port());
        for _ in 0..2 {
            let reply = soon(transport.send(keyed(&url), NO_TIMERS)).await.unwrap();
            assert_eq!(soon(reply.body.read_to_end(9)).await.unwrap(), "ok");
        }
        let place = format!("localhost:{}", target.address.port());
        let head = told.recv().await.unwrap();
        assert!(head.starts_with(&format!("CONNECT {place} HTTP/1.1\r\n")), "{head}");
        assert!(
            head.contains(&format!("host: {place}\r\n"))
                && head.contains("proxy-authorization: Basic dXNlcjpwYXNz\r\n"),
            "{head}"
        );
        let seen = head + &told.recv().await.unwrap();
        assert!(!seen.contains("canary") && !seen.contains("secret-path"), "{seen}");
        assert_eq!((proxy.accepted(), target.accepted()), (1, 1));
    }
}

#[tokio::test]
async fn plain_requests_are_handed_over_whole() {
    let (tell, mut told) = mpsc::unbounded_channel();
    let proxy = Server::start(move |mut peer, _| {
        let tell = tell.clone();
        async move {
            while let Some(request) = peer.request().await {
                tell.send(request).unwrap();
                peer.send(answer("proxied")).await;
            }
        }
    })
    .await;
    let env = format!("http://user:pass@{}", proxy.address);
    let env = ProxyEnv::from_lookup(move |name| (name == "http_proxy").then(|| env.clone()));
    let transport = Transport::new(&Settings::default(), &env).unwrap();
    assert_eq!(ask_text(&transport, "http://model.example:8000/v1?x=y").await.unwrap(), "proxied");
    let request = told.recv().await.unwrap();
    assert!(request.starts_with("POST http://model.example:8000/v1?x=y HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("host: model.example:8000\r\n"), "{request}");
    assert!(request.contains("proxy-authorization: Basic dXNlcjpwYXNz\r\n"), "{request}");
    // This machine is not proxied by the environment, and the proxy's password goes nowhere else.
    let (tell, mut told) = mpsc::unbounded_channel();
    let direct = Server::start(move |mut peer, _| {
        let tell = tell.clone();
        async move {
            tell.send(peer.request().await.unwrap()).unwrap();
            peer.send(answer("direct")).await;
        }
    })
    .await;
    assert_eq!(ask_text(&transport, &direct.url()).await.unwrap(), "direct");
    assert!(!told.recv().await.unwrap().contains("proxy-authorization"));
}

#[tokio::test]
async fn a_proxy_that_refuses_is_named_with_its_status() {
    for (status, kind, text) in [
        ("407 Proxy Authentication Required", ErrorKind::Config, "(HTTP 407)"),
        ("403 Forbidden", ErrorKind::Connection, "it answers HTTP 403"),
        ("", ErrorKind::Connection, "broke the connection off"),
    ] {
        let answer = if status.is_empty() {
            String::new()
        } else {
            format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n")
        };
        let proxy = Server::start(move |mut peer, _| {
            let answer = answer.clone();
            async move {
                peer.request().await;
                peer.send(&answer).await;
            }
        })
        .await;
        let transport = through(&format!("http://user:canary@{}", proxy.address), Settings::default());
        let error = ask(&transport, "https://model.example/v1").await.unwrap_err();
        assert_eq!(error.kind(), kind, "{}", error.chain());
        let start =
            format!("the proxy http://{} does not lead to https://model.example:443: ", proxy.address);
        assert!(error.to_string().starts_with(&start) && error.to_string().contains(text), "{error}");
        assert!(!format!("{error:?} {}", error.chain()).contains("canary"));
        until(|| transport.stats().open == 0).await;
    }
    let error = ask(&through("http://127.0.0.1:1", Settings::default()), "https://model.example/v1")
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot connect to the proxy http://127.0.0.1:1: connection refused (on the way to https://model.example:443)"
    );
}

#[tokio::test]
async fn a_proxy_may_speak_tls_itself() {
    let authority = Authority::new();
    let target =
        tls_server(acceptor(&authority.issue("server", "localhost", |_| {}), &["http/1.1"], None)).await;
    let outer = acceptor(&authority.issue("proxy", "localhost", |_| {}), &[], None);
    let proxy = Server::start(move |peer, _| {
        let outer = outer.clone();
        async move {
            let mut peer = Peer::new(outer.accept(peer.stream).await.unwrap());
            let Some(head) = peer.request().await else { return };
            if !head.starts_with("CONNECT ") {
                peer.send(answer("whole")).await;
                return;
            }
            let target = head.split(' ').nth(1).unwrap().replace("localhost", "127.0.0.1");
            let mut onward = TcpStream::connect(target).await.unwrap();
            peer.send("HTTP/1.1 200 OK\r\n\r\n").await;
            let _ = copy_bidirectional(&mut peer.stream, &mut onward).await;
        }
    })
    .await;
    let address = format!("https://localhost:{}", proxy.address.port());
    let transport = through(&address, authority.trusted());
    let url = format!("https://localhost:{}/", target.address.port());
    assert_eq!(ask_text(&transport, &url).await.unwrap(), "ok");
    assert_eq!(ask_text(&transport, "http://model.example/").await.unwrap(), "whole");
    // A proxy that is not trusted is not spoken to.
    let error = ask(&through(&address, Settings::default()), &url).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Tls);
    assert!(error.to_string().contains(&format!("the proxy {address}")), "{error}");
}

/// A SOCKS proxy, version 4 or 5; it tells what it was asked for, in words.
async fn socks(target: SocketAddr, tell: mpsc::UnboundedSender<String>) -> Server {
    Server::start(move |mut peer, _| {
        let tell = tell.clone();
        async move {
            let stream = &mut peer.stream;
            let mut asked = String::new();
            if stream.read_u8().await.unwrap() == 4 {
                let mut head = [0; 7];
                stream.read_exact(&mut head).await.unwrap();
                let port = u16::from_be_bytes([head[1], head[2]]);
                let mut user = Vec::new();
                loop {
                    match stream.read_u8().await.unwrap() {
                        0 => break,
                        byte => user.push(byte),
                    }
                }
                asked += &format!("{:?}:{port}", &head[3..7]);
                if head[3..6] == [0, 0, 0] {
                    let mut name = Vec::new();
                    loop {
                        match stream.read_u8().await.unwrap() {
                            0 => break,
                            byte => name.push(byte),
                        }
                    }
                    asked = format!("{}:{port}", String::from_utf8(name).unwrap());
                }
                stream.write_all(&[0, 90, 0, 0, 0, 0, 0, 0]).await.unwrap();
            } else {
                let count = stream.read_u8().await.unwrap();
                let mut methods = vec![0; count.into()];
                stream.read_exact(&mut methods).await.unwrap();
                if methods.contains(&2) {
                    stream.write_all(&[5, 2]).await.unwrap();
                    assert_eq!(stream.read_u8().await.unwrap(), 1);
                    for end in [":", "@"] {
                        let mut text = vec![0; stream.read_u8().await.unwrap().into()];
                        stream.read_exact(&mut text).await.unwrap();
                        asked += &(String::from_utf8(text).unwrap() + end);
                    }
                    stream.write_all(&[1, 0]).await.unwrap();
                } else {
                    stream.write_all(&[5, 0]).await.unwrap();
                }
                let mut head = [0; 4];
                stream.read_exact(&mut head).await.unwrap();
                let host = if head[3] == 3 {
                    let mut name = vec![0; stream.read_u8().await.unwrap().into()];
                    stream.read_exact(&mut name).await.unwrap();
                    String::from_utf8(name).unwrap()
                } else {
                    let mut address = vec![0; if head[3] == 1 { 4 } else { 16 }];
                    stream.read_exact(&mut address).await.unwrap();
                    format!("{address:?}")
                };
                asked += &format!("{host}:{}", stream.read_u16().await.unwrap());
                stream.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await.unwrap();
            }
            tell.send(asked).unwrap();
            let mut onward = TcpStream::connect(target).await.unwrap();
            let _ = copy_bidirectional(&mut peer.stream, &mut onward).await;
        }
    })
    .await
}

#[tokio::test]
async fn socks_proxies_of_every_kind_lead_on() {
    let authority = Authority::new();
    let tls = tls_server(acceptor(&authority.issue("server", "localhost", |_| {}), &[], None)).await;
    let plain = Server::answering(answer("plain")).await;
    for (scheme, asked) in [
        ("socks5h://user:pass", "user:pass@localhost:"),
        ("socks5h://", "localhost:"),
        ("socks4a://", "localhost:"),
        ("socks4://", "[127, 0, 0, 1]:"),
    ] {
        for (target, text, url) in [(&tls, "ok", "https"), (&plain, "plain", "http")] {
            let (tell, mut told) = mpsc::unbounded_channel();
            let proxy = socks(target.address, tell).await;
            let login = if scheme.ends_with("//") { "" } else { "@" };
            let transport = through(&format!("{scheme}{login}{}", proxy.address), authority.trusted());
            let port = target.address.port();
            assert_eq!(ask_text(&transport, &format!("{url}://localhost:{port}/")).await.unwrap(), text);
            assert_eq!(told.recv().await.unwrap(), format!("{asked}{port}"), "{scheme}");
        }
    }
    // With `socks5` the name is looked up here; which address comes first is the system's affair.
    let (tell, mut told) = mpsc::unbounded_channel();
    let proxy = socks(plain.address, tell).await;
    let transport = through(&format!("socks5://{}", proxy.address), Settings::default());
    assert_eq!(ask_text(&transport, "http://localhost:7/").await.unwrap(), "plain");
    let asked = told.recv().await.unwrap();
    assert!(asked.starts_with('[') && asked.ends_with("1]:7"), "{asked}");
}

#[tokio::test]
async fn a_socks_proxy_that_refuses_is_named() {
    let proxy = Server::start(|mut peer, _| async move {
        peer.read().await;
        peer.send([5, 0xff]).await;
    })
    .await;
    let transport = through(&format!("socks5h://user:canary@{}", proxy.address), Settings::default());
    let error = ask(&transport, "https://model.example/v1").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connection);
    let start = format!("the proxy socks5h://{} does not lead to https://model.example:443: ", proxy.address);
    assert!(error.to_string().starts_with(&start), "{error}");
    assert!(!format!("{error:?}").contains("canary"));
}
