//! What the tests ask with: bare sockets for exact bytes, hyper for whole exchanges.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use llm_mock::MockServer;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// The payloads of a stream's events, without the end marker, which must be there.
    pub(crate) fn events(&self) -> Vec<Value> {
        let events =
            self.text().strip_suffix("data: [DONE]\n\n").unwrap_or_else(|| panic!("no end: {self:?}"));
        events_of(events)
    }

    /// The content of choice `index` of a stream, joined.
    pub(crate) fn content(&self, index: u64) -> String {
        let events = self.events();
        let choices = events.iter().flat_map(|event| event["choices"].as_array().unwrap());
        let own = choices.filter(|choice| choice["index"] == index);
        own.filter_map(|choice| choice["delta"]["content"].as_str()).collect()
    }
}

pub(crate) fn events_of(text: &str) -> Vec<Value> {
    let payloads = text.split_terminator("\n\n").map(|event| event.strip_prefix("data: ").unwrap());
    payloads.map(|payload| serde_json::from_str(payload).unwrap()).collect()
}

/// Names and payloads of a stream's events, by the rules of server-sent events; none may be unfinished.
pub(crate) fn sse(text: &str) -> Vec<(Option<String>, Value)> {
    let text = text.replace("\r\n", "\n");
    let whole = text.strip_suffix("\n\n").unwrap_or_else(|| panic!("unfinished: {text}"));
    let event = |event: &str| {
        let (mut name, mut data) = (None, Vec::new());
        for line in event.lines() {
            match line.split_once(':').map(|(field, value)| (field, value.strip_prefix(' ').unwrap_or(value)))
            {
                Some(("event", value)) => name = Some(value.to_owned()),
                Some(("data", value)) => data.push(value.to_owned()),
                other => panic!("{other:?} in {event}"),
            }
        }
        (name, serde_json::from_str(&data.join("\n")).unwrap())
    };
    whole.split("\n\n").map(event).collect()
}

pub(crate) fn user(text: &str) -> Value {
    serde_json::json!({"model": "echo", "messages": [{"role": "user", "content": text}]})
}

pub(crate) fn streamed(text: &str) -> Value {
    let mut body = user(text);
    body["stream"] = true.into();
    body
}

/// One exchange on a connection of its own.
pub(crate) async fn send(server: &MockServer, request: Request<String>) -> Answer {
    let stream = TcpStream::connect(server.address()).await.unwrap();
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    soon(async { whole(sender.send_request(request.map(Full::<Bytes>::from)).await.unwrap()).await }).await
}

/// The same over HTTP/2.
pub(crate) async fn send2(server: &MockServer, request: Request<String>) -> Answer {
    let mut sender = connect2(server).await;
    soon(async { whole(sender.send_request(request.map(Full::from)).await.unwrap()).await }).await
}

pub(crate) async fn connect2(server: &MockServer) -> http2::SendRequest<Full<Bytes>> {
    let stream = TcpStream::connect(server.address()).await.unwrap();
    let (sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn whole(answer: http::Response<hyper::body::Incoming>) -> Answer {
    let (parts, body) = answer.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Answer { status: parts.status.as_u16(), headers: parts.headers, body }
}

/// A chat request, with a key.
pub(crate) fn chat(server: &MockServer, body: &Value) -> Request<String> {
    post(server, "/v1/chat/completions", body)
}

pub(crate) fn post(server: &MockServer, path: &str, body: &Value) -> Request<String> {
    let request = Request::post(server.url(path)).header("authorization", "Bearer sk-canary");
    request.header("host", "mock").body(body.to_string()).unwrap()
}

pub(crate) fn get(server: &MockServer, path: &str) -> Request<String> {
    Request::get(server.url(path)).header("host", "mock").body(String::new()).unwrap()
}

pub(crate) async fn ask(server: &MockServer, text: &str) -> Answer {
    send(server, chat(server, &user(text))).await
}

/// A chat request as bytes of HTTP/1.1.
pub(crate) fn wire(body: &Value) -> Vec<u8> {
    wire_to("/v1/chat/completions", "", body)
}

/// A request as bytes of HTTP/1.1; each of the header lines ends with CR LF.
pub(crate) fn wire_to(target: &str, headers: &str, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    let length = body.len();
    format!("POST {target} HTTP/1.1\r\nhost: mock\r\n{headers}content-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

/// A bare connection.
pub(crate) struct Socket(pub(crate) TcpStream);

/// How long a test waits for nothing to happen.
pub(crate) const QUIET: Duration = Duration::from_millis(60);

impl Socket {
    pub(crate) async fn open(server: &MockServer) -> Self {
        Self(TcpStream::connect(server.address()).await.unwrap())
    }

    pub(crate) async fn say(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    /// Sends a chat request and reads to the end of the connection, however it ends.
    pub(crate) async fn exchange(server: &MockServer, body: &Value) -> (String, std::io::Result<()>) {
        let mut socket = Self::open(server).await;
        socket.say(&wire(body)).await;
        socket.rest().await
    }

    /// All that comes until the connection ends, and how it ends.
    pub(crate) async fn rest(&mut self) -> (String, std::io::Result<()>) {
        let mut bytes = Vec::new();
        let ended = self.0.read_to_end(&mut bytes).await.map(|_| ());
        (String::from_utf8(bytes).unwrap(), ended)
    }

    /// Reads until `end` has come.
    pub(crate) async fn until(&mut self, end: &str) -> String {
        let mut bytes = Vec::new();
        while !bytes.ends_with(end.as_bytes()) {
            let mut byte = [0];
            let read = self.0.read(&mut byte).await.unwrap();
            assert_eq!(read, 1, "ended after {:?}", String::from_utf8_lossy(&bytes));
            bytes.extend_from_slice(&byte);
        }
        String::from_utf8(bytes).unwrap()
    }

    /// Asserts that nothing comes for a while and that the connection is open.
    pub(crate) async fn assert_silent(&mut self) {
        let mut byte = [0];
        let read = tokio::time::timeout(QUIET, self.0.read(&mut byte)).await;
        assert!(read.is_err(), "{read:?}");
    }
}

/// A body's part of a response.
pub(crate) fn body_of(response: &str) -> &str {
    response.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no body: {response}")).1
}

/// Waits at most as long as a test may take.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), future).await.expect("within ten seconds")
}
