//! Our side: `HttpClient` as a user has it, nothing tuned.

use llm_client::{Call, HttpClient, ModelClient};
use llm_types::{ChatRequest, Part, StreamEvent};

use crate::{
    Failure,
    wires::{Facts, Wire},
};

pub(crate) struct Client {
    client: HttpClient,
    request: ChatRequest,
    call: Call,
}

impl Client {
    pub(crate) fn new(wire: &'static Wire, port: u16, prompt: &str) -> Result<Self, Failure> {
        let base = wire.paths[0].split('/').nth(1).unwrap_or_default();
        let client = HttpClient::builder(format!("http://127.0.0.1:{port}/{base}"), "bench");
        let client = client.dialect(wire.dialect).quirks(wire.dialect.default_quirks()).build()?;
        Ok(Self { client, request: ChatRequest::user(prompt), call: Call::default() })
    }

    pub(crate) async fn exchange(&self) -> Result<Facts, Failure> {
        let answer = self.client.chat(&self.request, &self.call).await?;
        let mut facts = Facts {
            finished: answer.finish_reason().is_some(),
            tokens: answer.usage.map_or(0, |usage| usage.total()),
            ..Facts::default()
        };
        for part in answer.message().map(|message| message.parts.as_slice()).unwrap_or_default() {
            facts.bytes += match part {
                Part::Text { text, .. } => text.len(),
                Part::Reasoning(block) => block.text.len(),
                Part::ToolCall(call) => call.arguments.len(),
                _ => 0,
            };
        }
        Ok(facts)
    }

    pub(crate) async fn stream(&self) -> Result<Facts, Failure> {
        let mut events = self.client.chat_stream(&self.request, &self.call).await?;
        let mut facts = Facts::default();
        while let Some(event) = events.next().await {
            match event? {
                StreamEvent::Text { text, .. }
                | StreamEvent::Reasoning { text, .. }
                | StreamEvent::ToolCallDelta { arguments: text, .. } => facts.bytes += text.len(),
                StreamEvent::ReasoningBlock { block, .. } => facts.bytes += block.text.len(),
                StreamEvent::Finish { .. } => facts.finished = true,
                StreamEvent::Usage(usage) => facts.tokens = usage.total(),
                _ => {}
            }
        }
        Ok(facts)
    }
}
