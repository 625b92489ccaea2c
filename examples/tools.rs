//! A model that calls functions: run until it stops, streamed, with the cost of all turns.
//!
//! Runs offline against the mock server: `cargo run -p llm-tests --example tools`.

use std::io::Write as _;

use llm_client::{Call, HttpClient, ToolLoop, ToolLoopEvent};
use llm_mock::{MockServer, Reply, ToolCall};
use llm_types::{ChatRequest, Message, Part, StreamEvent, Tool};

/// What the model says, since nobody is there: two calls at once, then an answer.
fn script(server: &MockServer) {
    let calls = ["Brest", "Atlantis"]
        .map(|port| ToolCall::new(format!("call_{port}"), "tide", format!(r#"{{"port":"{port}"}}"#)));
    server.push(Reply::tool_calls(calls).reasoning("Two ports, so I ask for both."));
    server.push(Reply::text("High water in Brest is at 18:42. Atlantis has no tables."));
    server.push(Reply::text("You are welcome."));
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let server = MockServer::start().await;
    script(&server);
    let client = HttpClient::builder(server.base_url(), "some-model").build()?;

    let schema = r#"{"type":"object","properties":{"port":{"type":"string"}},"required":["port"]}"#;
    let tide = Tool::function("tide", "When high water is at a port", serde_json::from_str(schema)?);
    let with_tide = ToolLoop::from(client).max_turns(8).tool(tide, |call| async move {
        let arguments: serde_json::Value = call.arguments()?;
        match arguments["port"].as_str() {
            Some("Brest") => Ok("18:42"),
            // The model reads this, and goes on.
            _ => Err(format!("no tables for {}", arguments["port"])),
        }
    });

    let mut out = std::io::stdout();
    let request = ChatRequest::user("When is high water in Brest, and in Atlantis?");
    let mut stream = with_tide.stream(request, Call::default());
    let mut conversation = Vec::new();
    while let Some(event) = stream.next().await {
        match event? {
            ToolLoopEvent::Turn { turn } => writeln!(out, "-- turn {turn}")?,
            ToolLoopEvent::Event(StreamEvent::Text { text, .. }) => write!(out, "{text}")?,
            ToolLoopEvent::Event(StreamEvent::Reasoning { text, .. }) => write!(out, "{text}")?,
            ToolLoopEvent::Event(StreamEvent::End) => writeln!(out)?,
            ToolLoopEvent::Result { result, .. } => {
                let told: String = result.content.iter().filter_map(Part::as_text).collect();
                writeln!(out, "{}: {told}", result.id)?;
            }
            ToolLoopEvent::End(run) => {
                let tokens = run.usage().map(|usage| usage.total()).unwrap_or_default();
                writeln!(out, "-- {} turns, {tokens} tokens, cost {:?}", run.turns.len(), run.cost())?;
                conversation = run.messages;
            }
            _ => {}
        }
    }

    // The whole conversation, thoughts and signatures included, goes on from there.
    conversation.push(Message::user("Thank you."));
    let run = with_tide.run(ChatRequest::new(conversation), &Call::default()).await?;
    writeln!(out, "{}", run.text())?;
    Ok(())
}
