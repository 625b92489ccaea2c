//! One model at one endpoint: a plain answer, a streamed one, and what the call cost.
//!
//! Runs offline against the mock server: `cargo run -p llm-tests --example ask`.

use std::io::Write as _;

use llm_client::{HttpClient, ModelClientExt as _};
use llm_mock::MockServer;
use llm_types::{ChatRequest, Secret, StreamEvent};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = MockServer::start().await;
    // With a real provider: HttpClient::builder("https://api.deepseek.com/v1", "deepseek-chat").key(…)
    let client = HttpClient::builder(server.base_url(), "echo").key(Secret::new("any")).build()?;
    let mut out = std::io::stdout();

    writeln!(out, "{}", client.ask("What is backpressure?").await?)?;

    let request =
        ChatRequest { temperature: Some(0.2), ..ChatRequest::user("Tell me more.") }.with_system("Be brief.");
    let mut stream = client.stream(request).await?;
    while let Some(event) = stream.next().await {
        match event? {
            StreamEvent::Text { text, .. } => write!(out, "{text}")?,
            StreamEvent::Usage(usage) => {
                write!(out, "  ({} in, {} out)", usage.input_total(), usage.output_total())?;
            }
            _ => {}
        }
    }
    writeln!(out)?;

    let metrics = client.metrics();
    writeln!(out, "{} calls, {} tokens read", metrics.total_requests, metrics.input_tokens)?;
    Ok(())
}
