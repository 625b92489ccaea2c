//! Tests over real sockets, with servers that misbehave byte by byte.

mod http2;
mod limits;
mod logs;
mod pooling;
mod proxies;
mod tls;
mod wire;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use bytes::Bytes;
use http::Request;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// Long enough for any machine; reached only when something is broken.
const PATIENCE: Duration = Duration::from_secs(20);
const NO_TIMERS: Timers = Timers { attempt: None, first_byte: None, idle: None };

/// Fails instead of hanging.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("this should have ended by now")
}

/// Waits until something is so.
async fn until(so: impl Fn() -> bool) {
    soon(async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

fn transport(settings: &Settings) -> Transport {
    Transport::new(settings, &ProxyEnv::none()).unwrap()
}

fn plain() -> Transport {
    transport(&Settings::default())
}

fn post(url: &str) -> Request<Bytes> {
    Request::post(url)
        .header("content-type", "application/json")
        .body(Bytes::from_static(b"{\"a\":1}"))
        .unwrap()
}

async fn ask(transport: &Transport, url: &str) -> Result<Reply, Error> {
    soon(transport.send(post(url), NO_TIMERS)).await
}

/// Asks and reads the whole answer.
async fn ask_text(transport: &Transport, url: &str) -> Result<String, Error> {
    let mut body = ask(transport, url).await?.body;
    let mut read = Vec::new();
    while let Some(piece) = soon(body.next_chunk()).await {
        read.extend_from_slice(&piece?);
    }
    Ok(String::from_utf8(read).unwrap())
}

/// A server that hands each connection, with its number from 1, to a function.
struct Server {
    address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    async fn start<F, Fut>(serve: F) -> Self
    where
        F: Fn(Peer<TcpStream>, usize) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&accepted);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = count.fetch_add(1, SeqCst) + 1;
                tokio::spawn(serve(Peer::new(stream), number));
            }
        });
        Self { address, accepted, task }
    }

    /// One that answers every request with these bytes and keeps its connections.
    async fn answering(answer: impl Into<Vec<u8>>) -> Self {
        let answer = answer.into();
        Self::start(move |mut peer, _| {
            let answer = answer.clone();
            async move {
                while peer.request().await.is_some() {
                    peer.send(&answer).await;
                }
            }
        })
        .await
    }

    fn url(&self) -> String {
        format!("http://{}/v1/chat", self.address)
    }

    fn accepted(&self) -> usize {
        self.accepted.load(SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The server's side of a connection.
struct Peer<S> {
    stream: S,
    buffer: Vec<u8>,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    fn new(stream: S) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    /// Head and body of the next request; `None` when the client is gone.
    async fn request(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let head = String::from_utf8(self.buffer[..end].to_vec()).unwrap();
                let length = head.lines().find_map(|line| {
                    let (name, value) = line.split_once(": ")?;
                    name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().unwrap())
                });
                let whole = end + 4 + length.unwrap_or(0);
                if self.buffer.len() >= whole {
                    let request: Vec<u8> = self.buffer.drain(..whole).collect();
                    return Some(String::from_utf8(request).unwrap());
                }
            }
            self.read().await?;
        }
    }

    async fn read(&mut self) -> Option<()> {
        let mut piece = [0; 4096];
        let read = self.stream.read(&mut piece).await.unwrap_or(0);
        self.buffer.extend_from_slice(&piece[..read]);
        (read > 0).then_some(())
    }

    async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).await.is_ok() && self.stream.flush().await.is_ok()
    }

    /// Waits until the client closes or resets.
    async fn gone(&mut self) {
        while self.read().await.is_some() {}
    }
}

/// An answer with a length.
fn answer(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

fn chunk(data: &str) -> String {
    format!("{:x}\r\n{data}\r\n", data.len())
}
