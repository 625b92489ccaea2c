//! A tower layer of your own around every HTTP exchange: below retries, above the connection pool.
//!
//! `cargo run -p llm-tests --example http_layer`

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use llm_client::{HttpClient, ModelClientExt as _};
use llm_mock::MockServer;
use tower::ServiceBuilder;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = MockServer::start().await;
    server.reply(503, &[("retry-after-ms", "1")], "busy");
    let sent = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&sent);
    let layer = ServiceBuilder::new().map_request(move |mut request: http::Request<bytes::Bytes>| {
        let number = counter.fetch_add(1, Ordering::Relaxed) + 1;
        request.headers_mut().insert("x-exchange", number.into());
        request
    });
    let client = HttpClient::builder(server.base_url(), "echo").layer(layer.into_inner()).build()?;
    let answer = client.ask("Is the layer there?").await?;
    let numbers: Vec<_> =
        server.requests().iter().map(|r| r.header("x-exchange").map(str::to_owned)).collect();
    writeln!(std::io::stdout(), "{answer} Exchanges: {} {numbers:?}", sent.load(Ordering::Relaxed))?;
    Ok(())
}
