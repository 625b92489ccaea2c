//! A provider of your own: two methods make one, and a `Manager` treats it like ours.
//!
//! Its models answer from a table in this process; a client that talks to a server would hold an `HttpClient`, or speak a
//! wire format of its own as `own_dialect.rs` does.

use std::collections::BTreeMap;
use std::error::Error as StdError;
use std::sync::Arc;

use async_trait::async_trait;
use llm_client::{Call, ChatStream, ModelClient, ModelClientExt as _};
use llm_manager::Manager;
use llm_provider::{ModelConfig, Provider};
use llm_types::{
    Capabilities, ChatRequest, ChatResponse, Choice, Error, ErrorKind, FinishReason, Message, StreamEvent,
};

/// Phrase books, by the language they lead to.
#[derive(Debug)]
struct PhraseBooks(BTreeMap<&'static str, &'static [(&'static str, &'static str)]>);

impl Provider for PhraseBooks {
    fn name(&self) -> &str {
        "phrases"
    }

    fn create_client(&self, model: &ModelConfig) -> Result<Arc<dyn ModelClient>, Error> {
        let Some(phrases) = self.0.get(model.wire()) else {
            let message = format!("there is no phrase book for `{}`", model.wire());
            return Err(Error::new(ErrorKind::ModelNotFound, message).with_model("phrases", &model.name));
        };
        let id = format!("phrases/{}", model.name);
        Ok(Arc::new(PhraseBook { id, phrases, capabilities: Capabilities::default() }))
    }
}

/// One of its models.
#[derive(Debug)]
struct PhraseBook {
    id: String,
    phrases: &'static [(&'static str, &'static str)],
    capabilities: Capabilities,
}

#[async_trait]
impl ModelClient for PhraseBook {
    fn id(&self) -> &str {
        &self.id
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn chat(&self, request: &ChatRequest, _: &Call) -> Result<ChatResponse, Error> {
        let asked = request.messages.last().map(Message::text).unwrap_or_default();
        let Some((_, answer)) = self.phrases.iter().find(|(phrase, _)| *phrase == asked) else {
            // No retry and no other endpoint would help: the kind says so to whatever stands above.
            return Err(Error::new(ErrorKind::InvalidRequest, "the phrase is not in the book"));
        };
        let mut choice = Choice::new(0);
        choice.message = Message::assistant(*answer);
        choice.finish_reason = Some(FinishReason::Stop);
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
async fn main() -> Result<(), Box<dyn StdError>> {
    let french: &[_] = &[("good morning", "bonjour"), ("thank you", "merci")];
    let manager = Manager::new();
    manager.register_provider(Arc::new(PhraseBooks(BTreeMap::from([("french", french)]))))?;

    let client = manager.client("phrases/french")?;
    let answers =
        client.batch_generate(&["good morning", "thank you", "what?"], 2, &ChatRequest::default()).await;
    let texts: Vec<_> = answers.into_iter().map(|answer| answer.map(ChatResponse::into_text)).collect();
    println!("{texts:?}");
    assert!(matches!(&texts[..], [Ok(one), Ok(two), Err(_)] if one == "bonjour" && two == "merci"));

    let streamed = client.stream(ChatRequest::user("thank you")).await?.collect().await?;
    assert_eq!(streamed.text(), "merci");
    let error = manager.client("phrases/latin").map(|_| ()).unwrap_err();
    println!("{error}");
    assert_eq!(error.kind(), ErrorKind::ModelNotFound);
    Ok(())
}
