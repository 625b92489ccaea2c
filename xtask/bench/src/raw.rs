//! The bare loop: one hyper connection, the same body, the same JSON into the fewest fields. What no client can beat by
//! much.

use std::borrow::Cow;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::TcpStream;

use crate::Failure;

pub(crate) struct Raw {
    sender: http1::SendRequest<Full<Bytes>>,
    host: String,
    plain: Bytes,
    streamed: Bytes,
}

#[derive(Deserialize)]
struct Answer<'a> {
    #[serde(borrow)]
    choices: Vec<Choice<'a>>,
    usage: Usage,
}

#[derive(Deserialize)]
struct Choice<'a> {
    #[serde(borrow)]
    message: Text<'a>,
    finish_reason: Cow<'a, str>,
}

#[derive(Deserialize)]
struct Text<'a> {
    #[serde(borrow, default)]
    content: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
struct Usage {
    prompt_tokens: u64,
    completion_tokens: u64,
}

#[derive(Deserialize)]
struct Chunk<'a> {
    #[serde(borrow, default)]
    choices: Vec<Part<'a>>,
}

#[derive(Deserialize)]
struct Part<'a> {
    #[serde(borrow)]
    delta: Text<'a>,
}

impl Raw {
    pub(crate) async fn connect(port: u16, prompt: &str) -> Result<Self, Failure> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        let messages = serde_json::json!([{"role": "user", "content": prompt}]);
        let plain = serde_json::json!({"model": "bench", "messages": messages});
        let streamed = serde_json::json!({"model": "bench", "messages": messages, "stream": true, "stream_options": {"include_usage": true}});
        Ok(Self {
            sender,
            host: format!("127.0.0.1:{port}"),
            plain: Bytes::from(plain.to_string()),
            streamed: Bytes::from(streamed.to_string()),
        })
    }

    async fn send(&mut self, body: Bytes) -> Result<Response<Incoming>, Failure> {
        self.sender.ready().await?;
        let request = Request::post("/v1/chat/completions")
            .header("host", &self.host)
            .header("content-type", "application/json")
            .body(Full::new(body))?;
        let response = self.sender.send_request(request).await?;
        if response.status() != 200 {
            Err(format!("status {}", response.status()).into())
        } else {
            Ok(response)
        }
    }

    /// The bytes of text in the answer.
    pub(crate) async fn exchange(&mut self) -> Result<usize, Failure> {
        let response = self.send(self.plain.clone()).await?;
        let body = response.into_body().collect().await?.to_bytes();
        let answer: Answer<'_> = serde_json::from_slice(&body)?;
        let choice = answer.choices.first().ok_or("no choice")?;
        if choice.finish_reason != "stop" || answer.usage.prompt_tokens + answer.usage.completion_tokens == 0
        {
            return Err("an answer of another kind".into());
        }
        Ok(choice.message.content.as_ref().map_or(0, |text| text.len()))
    }

    /// The bytes of text in the answer, and how many chunks they came in.
    pub(crate) async fn stream(&mut self) -> Result<(usize, usize), Failure> {
        let mut body = self.send(self.streamed.clone()).await?.into_body();
        let (mut text, mut chunks) = (0, 0);
        let mut kept: Vec<u8> = Vec::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame?.into_data() else { continue };
            kept.extend_from_slice(&data);
            let mut rest = kept.as_slice();
            while let Some(end) = memchr::memchr(b'\n', rest) {
                let (line, after) = rest.split_at(end);
                rest = after.get(1..).unwrap_or_default();
                let Some(data) = line.strip_prefix(b"data: ").filter(|data| *data != b"[DONE]") else {
                    continue;
                };
                let chunk: Chunk<'_> = serde_json::from_slice(data)?;
                chunks += 1;
                text += chunk
                    .choices
                    .first()
                    .and_then(|part| part.delta.content.as_ref())
                    .map_or(0, |text| text.len());
            }
            let used = kept.len() - rest.len();
            kept.drain(..used);
        }
        Ok((text, chunks))
    }
}
