//! Answers that are too large, too many, or packed to become so.

use std::io::Write as _;

use super::*;
use llm_types::ErrorKind;

async fn refused(settings: &Settings, server: &Server) -> Error {
    ask_text(&transport(settings), &server.url()).await.map(drop).unwrap_err()
}

#[tokio::test]
async fn a_head_has_limits() {
    let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\ncontent-length: 0\r\n\r\n", "y".repeat(300_000));
    let many: String = (0..101).map(|n| format!("x-{n}: y\r\n")).collect();
    let many = format!("HTTP/1.1 200 OK\r\n{many}content-length: 0\r\n\r\n");
    for wire in [long, many] {
        let server = Server::answering(wire).await;
        let error = refused(&Settings::default(), &server).await;
        assert_eq!(error.kind(), ErrorKind::TooLarge, "{}", error.chain());
        assert!(error.to_string().contains("262144 bytes (max_head_bytes) or 100 headers"), "{error}");
    }
    // Up to the limit it is read, and the limit is a setting.
    let large = format!("HTTP/1.1 200 OK\r\nx: {}\r\ncontent-length: 0\r\n\r\n", "y".repeat(200_000));
    let server = Server::answering(large.clone()).await;
    assert_eq!(ask_text(&plain(), &server.url()).await.unwrap(), "");
    let small = Settings { max_head_bytes: 10_000, ..Settings::default() };
    assert_eq!(refused(&small, &server).await.kind(), ErrorKind::TooLarge);
    let larger = format!("HTTP/1.1 200 OK\r\nx: {}\r\ncontent-length: 0\r\n\r\n", "y".repeat(900_000));
    let server = Server::answering(larger).await;
    let wide = Settings { max_head_bytes: 1 << 20, ..Settings::default() };
    assert_eq!(ask_text(&transport(&wide), &server.url()).await.unwrap(), "");
}

#[tokio::test]
async fn a_flood_of_interim_answers_ends() {
    let server = Server::start(|mut peer, _| async move {
        peer.request().await;
        let flood = "HTTP/1.1 102 Processing\r\n\r\n".repeat(100);
        while peer.send(&flood).await {}
    })
    .await;
    let error = refused(&Settings::default(), &server).await;
    assert_eq!(error.kind(), ErrorKind::TooLarge, "{}", error.chain());
}

#[tokio::test]
async fn a_body_without_end_is_cut_off() {
    let server = Server::start(|mut peer, _| async move {
        peer.request().await;
        peer.send(CHUNKED).await;
        let piece = chunk(&"x".repeat(10_000));
        while peer.send(&piece).await {}
    })
    .await;
    let settings = Settings { max_response_bytes: 100_000, ..Settings::default() };
    let transport = transport(&settings);
    let mut body = ask(&transport, &server.url()).await.unwrap().body;
    let error = soon(async {
        loop {
            if let Err(error) = body.next_chunk().await.expect("no end") {
                break error;
            }
        }
    })
    .await;
    assert_eq!(error.kind(), ErrorKind::TooLarge);
    assert_eq!(error.to_string(), "the answer is longer than 100000 bytes (max_response_bytes)");
    until(|| transport.stats().open == 0).await;
    // A caller that limits events one by one may take the limit away.
    let mut body = ask(&transport, &server.url()).await.unwrap().body;
    body.without_limit();
    let mut read = 0;
    while read < 300_000 {
        read += soon(body.next_chunk()).await.unwrap().unwrap().len();
    }
    let body = ask(&transport, &server.url()).await.unwrap().body;
    assert_eq!(soon(body.read_to_end(50_000)).await.unwrap_err().kind(), ErrorKind::TooLarge);
}

#[tokio::test]
async fn of_an_error_the_beginning_is_read() {
    let endless = Server::start(|mut peer, _| async move {
        peer.request().await;
        peer.send(CHUNKED.replace("200 OK", "500 Oops")).await;
        let piece = chunk(&"x".repeat(1000));
        while peer.send(&piece).await {}
    })
    .await;
    let transport = plain();
    let body = ask(&transport, &endless.url()).await.unwrap().body;
    assert_eq!(soon(body.read_beginning(65_536)).await.len(), 65_536);
    until(|| transport.stats().open == 0).await;
    // What breaks off or stalls is as good as an end.
    let cut = Server::start(|mut peer, _| async move {
        peer.request().await;
        peer.send("HTTP/1.1 500 Oops\r\ncontent-length: 100\r\n\r\npart").await;
    })
    .await;
    let body = ask(&transport, &cut.url()).await.unwrap().body;
    assert_eq!(soon(body.read_beginning(65_536)).await, "part");
    // One that fits leaves the connection usable.
    let whole = Server::answering(answer("{}")).await;
    for _ in 0..2 {
        let body = ask(&transport, &whole.url()).await.unwrap().body;
        assert_eq!(soon(body.read_beginning(2)).await, "{}");
    }
    assert_eq!(whole.accepted(), 1);
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn packed(coding: &str, body: &[u8]) -> Vec<u8> {
    let head =
        format!("HTTP/1.1 200 OK\r\ncontent-encoding: {coding}\r\ncontent-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

#[tokio::test]
async fn a_packed_body_is_unpacked_and_its_connection_kept() {
    let text = "hello ".repeat(1000);
    let server = Server::answering(packed("gzip", &gzip(text.as_bytes()))).await;
    let transport = plain();
    for _ in 0..2 {
        assert_eq!(ask_text(&transport, &server.url()).await.unwrap(), text);
    }
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn a_packed_stream_comes_piece_by_piece() {
    let server = Server::start(|mut peer, _| async move {
        peer.request().await;
        peer.send(CHUNKED.replace("\r\n\r\n", "\r\ncontent-encoding: gzip\r\n\r\n")).await;
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        for piece in ["one", "two"] {
            encoder.write_all(piece.as_bytes()).unwrap();
            encoder.flush().unwrap();
            let part = std::mem::take(encoder.get_mut());
            peer.send([format!("{:x}\r\n", part.len()).as_bytes(), &part, b"\r\n"].concat()).await;
        }
        peer.gone().await;
    })
    .await;
    let mut body = ask(&plain(), &server.url()).await.unwrap().body;
    assert_eq!(soon(body.next_chunk()).await.unwrap().unwrap(), "one");
    assert_eq!(soon(body.next_chunk()).await.unwrap().unwrap(), "two");
}

#[tokio::test]
async fn a_bomb_counts_by_what_it_unpacks_to() {
    let server = Server::answering(packed("gzip", &gzip(&vec![0; 4 << 20]))).await;
    let settings = Settings { max_response_bytes: 1 << 20, ..Settings::default() };
    assert_eq!(refused(&settings, &server).await.kind(), ErrorKind::TooLarge);
    let body = ask(&plain(), &server.url()).await.unwrap().body;
    assert_eq!(soon(body.read_beginning(1000)).await.len(), 1000);
}

#[tokio::test]
async fn other_codings_are_refused_by_name() {
    for (coding, named) in [("br", "(`br`)"), ("gzip, gzip, gzip", "several codings")] {
        let server = Server::answering(packed(coding, b"????")).await;
        let error = refused(&Settings::default(), &server).await;
        assert_eq!(error.kind(), ErrorKind::Protocol);
        assert!(error.to_string().contains(named), "{error}");
    }
    // The status and the head are there all the same.
    let server = Server::answering(packed("br", b"????")).await;
    assert_eq!(ask(&plain(), &server.url()).await.unwrap().status, 200);
}
