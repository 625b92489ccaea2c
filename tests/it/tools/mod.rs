//! Loops of tools over real sockets, in every format, and from one vendor to another in the middle.

mod failover;
mod loops;

use std::sync::Arc;

use llm_client::{ModelClient, ToolLoop};
use llm_mock::{MockServer, ToolCall};
use llm_provider::{Provider as _, SpecProvider, catalogue};
use llm_types::Tool;

use crate::pools::quick;

/// One row for each format, with a model that thinks.
const ROWS: [(&str, &str); 3] =
    [("anthropic", "claude-sonnet-4-5"), ("gemini", "gemini-3-pro"), ("deepseek", "deepseek-reasoner")];

/// The model of this row at the server's address; whatever fails is not tried again there.
fn client((row, model): (&str, &str), server: &MockServer, sets: &[(&str, &str)]) -> Arc<dyn ModelClient> {
    let base = if row == "gemini" { server.url("/v1beta") } else { server.base_url() };
    let sets = [&[("max_retries", "0")], sets].concat();
    let provider =
        SpecProvider::new(catalogue::find(row).unwrap()).with_base_url(base).with_settings(quick(&sets));
    provider.client(model).unwrap()
}

/// A loop with a function that tells the tide.
fn with_tide(client: Arc<dyn ModelClient>) -> ToolLoop {
    let schema = r#"{"type":"object","properties":{"port":{"type":"string"}},"required":["port"]}"#;
    let tide = Tool::function("tide", "High water at a port", serde_json::from_str(schema).unwrap());
    ToolLoop::new(client).tool(tide, |call| async move {
        let arguments: serde_json::Value = call.arguments()?;
        let port = arguments["port"].as_str().unwrap_or_default();
        if port == "Bern" { Err("Bern has no tide".to_owned()) } else { Ok(format!("4 in {port}")) }
    })
}

fn asks(id: &str, port: &str) -> ToolCall {
    ToolCall::new(id, "tide", format!(r#"{{"port":"{port}"}}"#))
}
