//! A client of your own: four methods, and everything written over the contract works with it.
//!
//! `cargo run -p llm-tests --example own_client`

use std::io::Write as _;

use async_trait::async_trait;
use llm_client::{Call, ChatStream, ModelClient, ModelClientExt as _};
use llm_types::{Capabilities, ChatRequest, ChatResponse, Choice, Error, FinishReason, Message, StreamEvent};

/// Answers with the prompt in capitals, without any network.
#[derive(Debug, Default)]
struct Shouting(Capabilities);

#[async_trait]
impl ModelClient for Shouting {
    fn id(&self) -> &str {
        "local/shouting"
    }

    fn capabilities(&self) -> &Capabilities {
        &self.0
    }

    async fn chat(&self, request: &ChatRequest, _: &Call) -> Result<ChatResponse, Error> {
        let prompt = request.messages.last().map(Message::text).unwrap_or_default();
        let choice = Choice {
            message: Message::assistant(prompt.to_uppercase()),
            finish_reason: Some(FinishReason::Stop),
            ..Choice::new(0)
        };
        Ok(ChatResponse { choices: vec![choice], ..ChatResponse::default() })
    }

    async fn chat_stream(&self, request: &ChatRequest, call: &Call) -> Result<ChatStream, Error> {
        let text = self.chat(request, call).await?.into_text();
        let events = [
            StreamEvent::Text { choice: 0, text },
            StreamEvent::Finish { choice: 0, reason: FinishReason::Stop, native: None },
            StreamEvent::End,
        ];
        Ok(ChatStream::new(futures_util::stream::iter(events.map(Ok))))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let client = Shouting::default();
    let answers = client.batch_generate(&["quiet", "please"], 2, &ChatRequest::default()).await;
    let mut out = std::io::stdout();
    for answer in answers {
        writeln!(out, "{}", answer?.text())?;
    }
    let streamed = client.stream(ChatRequest::user("once more")).await?.collect().await?;
    writeln!(out, "{}", streamed.text())?;
    Ok(())
}
