//! A wire format of your own: a codec without a socket. Keys, retries, limits, failover, streams and time-outs come from
//! the client around it.
//!
//! The made-up vendor takes `{"model", "say": [{"by", "words"}]}` at `/talk`, answers `{"words", "why_stopped"}`, streams
//! events of the names `words` and `over`, and wants its key in a header of its own.

use std::error::Error as StdError;

use llm_client::dialect::{
    AuthHeader, Codec, CodecStream, CustomDialect, Dialect, Encoded, Quirks, WireTarget,
};
use llm_client::framing::SseFrame;
use llm_client::{HttpClient, ModelClientExt as _};
use llm_mock::{MockServer, Reply};
use llm_provider::{KeySupply, ModelConfig, Provider as _, ProviderSpec, SpecProvider};
use llm_types::{
    ChatRequest, ChatResponse, Choice, Error, ErrorKind, FinishReason, Message, Secret, StreamEvent, Warning,
};
use serde::Deserialize;
use serde_json::json;

/// The format. It holds nothing: what differs between servers stands in the quirks.
#[derive(Debug)]
struct TalkFormat;

static TALK: Dialect = Dialect::Custom(CustomDialect::new("talk", &TalkFormat));

/// With it the vendor is a row of the catalogue like any other, here and in configuration built by code.
static ACME: ProviderSpec = ProviderSpec {
    name: "acme",
    display: "Acme",
    key_env: &["ACME_KEY"],
    dialect: TALK,
    quirks: Quirks { auth: AuthHeader::Named("x-acme-key"), ..Quirks::COMPATIBLE },
    ..ProviderSpec::COMPATIBLE
};

/// An answer, and an event of a stream: both have these members.
#[derive(Deserialize)]
struct Words {
    #[serde(default)]
    words: String,
    #[serde(default)]
    why_stopped: Option<String>,
}

fn read(json: &[u8]) -> Result<Words, Error> {
    serde_json::from_slice(json)
        .map_err(|e| Error::new(ErrorKind::Protocol, "the answer is not of the format `talk`").with_source(e))
}

fn reason(word: &str) -> FinishReason {
    match word {
        "said" => FinishReason::Stop,
        "tired" => FinishReason::Length,
        _ => FinishReason::Other,
    }
}

impl Codec for TalkFormat {
    fn encode_chat(
        &self,
        request: &ChatRequest,
        target: &WireTarget<'_>,
        stream: bool,
    ) -> Result<Encoded, Error> {
        let say: Vec<_> = request
            .messages
            .iter()
            .map(|message| json!({ "by": message.role.as_str(), "words": message.text() }))
            .collect();
        let body = json!({ "model": target.model, "say": say, "at_once": !stream });
        let mut encoded = Encoded::json("/talk", &body, stream)?;
        if request.temperature.is_some() {
            let warning = Warning::new("temperature", "this format has no word for it");
            if request.strict {
                return Err(Error::new(ErrorKind::InvalidRequest, warning.message));
            }
            encoded.warnings.push(warning);
        }
        Ok(encoded)
    }

    fn decode_chat(&self, body: &[u8], _: &WireTarget<'_>) -> Result<ChatResponse, Error> {
        let Words { words, why_stopped } = read(body)?;
        let mut choice = Choice::new(0);
        choice.message = Message::assistant(words);
        choice.finish_reason = why_stopped.as_deref().map(reason);
        choice.native_finish_reason = why_stopped;
        Ok(ChatResponse { choices: vec![choice], ..ChatResponse::default() })
    }

    fn stream(&self, _: &WireTarget<'_>) -> Box<dyn CodecStream> {
        Box::new(TalkStream { over: false })
    }
}

/// What is remembered between two frames.
#[derive(Debug)]
struct TalkStream {
    over: bool,
}

impl CodecStream for TalkStream {
    fn step(&mut self, frame: SseFrame<'_>, out: &mut Vec<StreamEvent>) -> Result<(), Error> {
        let Words { words, why_stopped } = read(frame.data.as_bytes())?;
        match frame.event {
            "words" => out.push(StreamEvent::Text { choice: 0, text: words }),
            "over" => {
                self.over = true;
                let native = why_stopped;
                let reason = native.as_deref().map_or(FinishReason::Other, reason);
                out.push(StreamEvent::Finish { choice: 0, reason, native });
            }
            // A new kind of event must not break an old client.
            _ => {}
        }
        Ok(())
    }

    fn is_done(&self) -> bool {
        self.over
    }

    fn finish(self: Box<Self>, out: &mut Vec<StreamEvent>) -> Result<(), Error> {
        if !self.over {
            return Err(Error::new(ErrorKind::Truncated, "the stream ended in the middle of the answer"));
        }
        out.push(StreamEvent::End);
        Ok(())
    }
}

const ANSWER: &str = r#"{"words": "Good day.", "why_stopped": "said"}"#;
const STREAM: &str = "event: words\ndata: {\"words\": \"Good \"}\n\nevent: words\ndata: {\"words\": \"day.\"}\n\n\
                      event: over\ndata: {\"why_stopped\": \"said\"}\n\n";

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn StdError>> {
    let server = MockServer::start().await;
    let provider = SpecProvider::new(&ACME)
        .with_base_url(server.url("/v0"))
        .with_keys(KeySupply::fixed("this example", vec![Secret::new("acme-1")]));
    let client = provider.create_client(&ModelConfig::new("parrot"))?;

    // A refusal is told by its status, and tried again by the driver.
    server.push_to("/v0/talk", Reply::body(503, r#"{"error": "busy"}"#).header("retry-after-ms", "1"));
    server.push_to("/v0/talk", Reply::body(200, ANSWER));
    let answer = client.send(ChatRequest { temperature: Some(0.5), ..ChatRequest::user("Hello?") }).await?;
    println!("{} after {} attempts, {:?}", answer.text(), answer.attempts.len(), answer.warnings);
    assert_eq!((answer.text().as_str(), answer.attempts.len(), answer.warnings.len()), ("Good day.", 2, 1));
    assert_eq!(answer.finish_reason(), Some(FinishReason::Stop));
    let request = server.requests().pop().ok_or("no request")?;
    assert_eq!(request.header("x-acme-key"), Some("acme-1"));
    assert_eq!(request.json()["say"][0]["words"], "Hello?");

    server.push_to("/v0/talk", Reply::sse(STREAM));
    let streamed = client.stream(ChatRequest::user("Hello?")).await?.collect().await?;
    println!("{}", streamed.text());
    assert_eq!(streamed.text(), "Good day.");

    // Cut after content: an error that holds what had come, and no second request.
    let sent = server.requests().len();
    server.push_to("/v0/talk", Reply::sse(STREAM).cut_at(60));
    let error = client.stream(ChatRequest::user("Hello?")).await?.collect().await.unwrap_err();
    println!("{error}");
    assert_eq!(error.kind(), ErrorKind::Truncated);
    assert_eq!(error.partial().map(ChatResponse::text).as_deref(), Some("Good "));
    assert_eq!(server.requests().len(), sent + 1);

    // Without a catalogue, the format is one line of the client's own builder.
    server.push_to("/v0/talk", Reply::body(200, ANSWER));
    let bare = HttpClient::builder(server.url("/v0"), "parrot").dialect(TALK).build()?;
    assert_eq!(bare.ask("Hello?").await?, "Good day.");
    Ok(())
}
