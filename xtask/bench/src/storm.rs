//! Calls at a steady pace against a server that fails: how many requests does a call turn into? (Goal G3.)

use std::{sync::Arc, time::Duration};

use llm_client::{Call, HttpClient, ModelClient};
use llm_types::ChatRequest;

use crate::Failure;

/// Starts `calls` calls, `per_second` in a second, none waiting for another, and prints how they ended. The server's log
/// tells how many requests they made.
pub(crate) async fn run(port: u16, calls: u32, per_second: u32) -> Result<(), Failure> {
    let client = Arc::new(HttpClient::builder(format!("http://127.0.0.1:{port}/v1"), "bench").build()?);
    let mut pace = tokio::time::interval(Duration::from_secs(1) / per_second.max(1));
    let mut tasks = Vec::new();
    for number in 0..calls {
        pace.tick().await;
        let client = Arc::clone(&client);
        tasks.push(tokio::spawn(async move {
            let request = ChatRequest::user(format!("Call {number}"));
            client.chat(&request, &Call::default()).await.is_ok()
        }));
    }
    let mut answered = 0;
    for task in tasks {
        answered += u32::from(task.await?);
    }
    println!("{answered} answered, {} failed", calls - answered);
    Ok(())
}
