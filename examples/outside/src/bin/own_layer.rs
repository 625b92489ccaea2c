//! A tower layer of your own around every HTTP exchange: below retries and limits, above the connections. This one signs
//! each request anew, as some gateways ask, and notes how each exchange went.

use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use llm_client::transport::Body;
use llm_client::{HttpClient, HttpService, ModelClientExt as _};
use llm_mock::MockServer;
use llm_types::{ChatRequest, Error};
use tower::{Layer, Service};

/// What the layer has seen, shared with whoever wants to know.
#[derive(Clone, Debug, Default)]
struct Notes {
    sent: Arc<AtomicU64>,
    statuses: Arc<Mutex<Vec<StatusCode>>>,
}

/// Makes the service around the one below.
struct SignLayer(Notes);

impl Layer<HttpService> for SignLayer {
    type Service = Sign;

    fn layer(&self, inner: HttpService) -> Sign {
        Sign { inner, notes: self.0.clone() }
    }
}

#[derive(Clone)]
struct Sign {
    inner: HttpService,
    notes: Notes,
}

impl Service<Request<Bytes>> for Sign {
    type Response = Response<Body>;
    type Error = Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        // Always forward: a limiter below may be holding us back.
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Bytes>) -> Self::Future {
        let number = self.notes.sent.fetch_add(1, Ordering::Relaxed) + 1;
        // The body is whole here, so a signature over it is a header like any other.
        let signature = format!("{number}-{:x}", checksum(request.body()));
        match HeaderValue::try_from(signature) {
            Ok(value) => _ = request.headers_mut().insert("x-signature", value),
            Err(wrong) => {
                let error =
                    Error::new(llm_types::ErrorKind::Config, "the signature is no header").with_source(wrong);
                return Box::pin(async { Err(error) });
            }
        }
        let (reply, statuses) = (self.inner.call(request), Arc::clone(&self.notes.statuses));
        Box::pin(async move {
            let reply = reply.await?;
            if let Ok(mut statuses) = statuses.lock() {
                statuses.push(reply.status());
            }
            Ok(reply)
        })
    }
}

fn checksum(body: &[u8]) -> u32 {
    body.iter().fold(0, |sum, byte| sum.rotate_left(5) ^ u32::from(*byte))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn StdError>> {
    let server = MockServer::start().await;
    server.reply(503, &[("retry-after-ms", "1")], "busy");
    let notes = Notes::default();
    let client = HttpClient::builder(server.base_url(), "echo").layer(SignLayer(notes.clone())).build()?;

    // The retry goes through the layer again, with a signature of its own.
    assert_eq!(client.ask("Sign this.").await?, "Sign this.");
    let streamed = client.stream(ChatRequest::user("And this stream.")).await?.collect().await?;
    assert_eq!(streamed.text(), "And this stream.");

    let signatures: Vec<String> =
        server.requests().iter().filter_map(|r| r.header("x-signature").map(str::to_owned)).collect();
    let statuses = notes.statuses.lock().map_err(|_| "a panic")?.clone();
    println!("{signatures:?} {statuses:?}");
    let numbers: Vec<&str> = signatures.iter().filter_map(|text| text.split('-').next()).collect();
    assert_eq!(numbers, ["1", "2", "3"]);
    assert_eq!(statuses, [503, 200, 200].map(|code| StatusCode::from_u16(code).unwrap_or_default()));
    Ok(())
}
