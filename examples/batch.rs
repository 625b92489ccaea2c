//! Many requests: from file to file, safe to kill and resumed by content; and in memory, failures in their places.
//!
//! `cargo run -p llm-tests --example batch`

use std::io::Write as _;
use std::sync::Arc;

use llm_batch::BatchRunner;
use llm_client::{HttpClient, ModelClient};
use llm_mock::MockServer;
use llm_types::ChatRequest;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = MockServer::start().await;
    let client: Arc<dyn ModelClient> = Arc::new(HttpClient::builder(server.base_url(), "echo").build()?);
    let folder = tempfile::tempdir()?;
    let (input, output) = (folder.path().join("in.jsonl"), folder.path().join("out.jsonl"));
    std::fs::write(&input, "{\"q\": \"one\"}\n{\"q\": \"two\"}\nno JSON\n")?;
    let mut out = std::io::stdout();

    let runner = BatchRunner::new(Arc::clone(&client)).system("Be brief.").concurrency(8);
    let summary = runner.run(input.as_path(), &output).await?;
    writeln!(out, "{}", serde_json::to_string_pretty(&summary)?)?;

    let requests = ["three", "four"].map(ChatRequest::user).to_vec();
    for answer in BatchRunner::new(client).collect(requests).await {
        writeln!(out, "{}", answer?.text())?;
    }
    Ok(())
}
