//! The bare loop: one hyper connection, the same body, the same JSON into the fewest fields. What no client can beat by
//! much.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::{
    Failure,
    wires::{Facts, Wire},
};

pub(crate) struct Raw {
    wire: &'static Wire,
    sender: http1::SendRequest<Full<Bytes>>,
    host: String,
    /// Of a plain call, and of a streamed one.
    bodies: [Bytes; 2],
}

impl Raw {
    pub(crate) async fn connect(wire: &'static Wire, port: u16, prompt: &str) -> Result<Self, Failure> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let bodies = [false, true].map(|stream| Bytes::from((wire.body)(prompt, stream).to_string()));
        Ok(Self { wire, sender, host: format!("127.0.0.1:{port}"), bodies })
    }

    async fn send(&mut self, streamed: bool) -> Result<Response<Incoming>, Failure> {
        let ([plain_path, stream_path], [plain, stream]) = (self.wire.paths, &self.bodies);
        let (path, body) = if streamed { (stream_path, stream) } else { (plain_path, plain) };
        self.sender.ready().await?;
        let request = Request::post(path)
            .header("host", &self.host)
            .header("content-type", "application/json")
            .header("anthropic-version", "2023-06-01")
            .body(Full::new(body.clone()))?;
        let response = self.sender.send_request(request).await?;
        if response.status() != 200 {
            Err(format!("status {}", response.status()).into())
        } else {
            Ok(response)
        }
    }

    pub(crate) async fn exchange(&mut self) -> Result<Facts, Failure> {
        let body = self.send(false).await?.into_body().collect().await?.to_bytes();
        let mut facts = Facts::default();
        (self.wire.read)(&body, &mut facts)?;
        Ok(facts)
    }

    /// What the answer says, and how many events it came in.
    pub(crate) async fn stream(&mut self) -> Result<(Facts, u32), Failure> {
        let mut body = self.send(true).await?.into_body();
        let (mut facts, mut events) = (Facts::default(), 0);
        let mut kept: Vec<u8> = Vec::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            kept.extend_from_slice(&data);
            let mut rest = kept.as_slice();
            while let Some(end) = memchr::memchr(b'\n', rest) {
                let (line, after) = rest.split_at(end);
                rest = after.get(1..).unwrap_or_default();
                if let Some(data) = line.strip_prefix(b"data: ") {
                    (self.wire.read)(data, &mut facts)?;
                    events += 1;
                }
            }
            let used = kept.len() - rest.len();
            kept.drain(..used);
        }
        Ok((facts, events))
    }
}
