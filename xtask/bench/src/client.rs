//! Our side: `HttpClient` as a user has it, nothing tuned.

use llm_client::{Call, HttpClient, ModelClient};
use llm_types::{ChatRequest, StreamEvent};

use crate::Failure;

pub(crate) struct Client {
    client: HttpClient,
    request: ChatRequest,
    call: Call,
}

impl Client {
    pub(crate) fn new(port: u16, prompt: &str) -> Result<Self, Failure> {
        let client = HttpClient::builder(format!("http://127.0.0.1:{port}/v1"), "bench").build()?;
        Ok(Self { client, request: ChatRequest::user(prompt), call: Call::default() })
    }

    /// The bytes of text in the answer.
    pub(crate) async fn exchange(&self) -> Result<usize, Failure> {
        Ok(self.client.chat(&self.request, &self.call).await?.into_text().len())
    }

    /// The bytes of text in the answer.
    pub(crate) async fn stream(&self) -> Result<usize, Failure> {
        let mut events = self.client.chat_stream(&self.request, &self.call).await?;
        let mut bytes = 0;
        while let Some(event) = events.next().await {
            if let StreamEvent::Text { text, .. } = event? {
                bytes += text.len();
            }
        }
        Ok(bytes)
    }
}
