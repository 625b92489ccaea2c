//! Without async: questions, a stream as an iterator and a batch, from a plain `main`.
//!
//! `cargo run -p llm-tests --example blocking`

use std::io::Write as _;

use llm_batch::BatchRunner;
use llm_client::{HttpClient, blocking};
use llm_mock::MockServer;
use llm_types::{ChatRequest, StreamEvent};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // The server is the one thing here that has to be awaited.
    let server = blocking::wait(MockServer::start())?;
    let client = blocking::Client::from(HttpClient::builder(server.base_url(), "echo").build()?);
    let mut out = std::io::stdout();
    writeln!(out, "{}", client.ask("Is anybody there?")?)?;
    for event in client.stream(ChatRequest::user("one piece after the other"))? {
        if let StreamEvent::Text { text, .. } = event? {
            write!(out, "[{text}]")?;
        }
    }
    let requests = ["three", "four"].map(ChatRequest::user).to_vec();
    for result in BatchRunner::new(client.inner().clone()).stream_blocking(requests, None) {
        write!(out, " {}: {}", result.index, result.content.unwrap_or_default())?;
    }
    writeln!(out)?;
    Ok(())
}
