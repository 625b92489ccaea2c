//! Wire formats: bytes in, values out. No clock, no socket, and no vendor's name: what differs between vendors that
//! speak the same format is [`Quirks`].
//!
//! ```
//! use llm_client::dialect::{Dialect, Quirks, WireTarget};
//! use llm_types::ChatRequest;
//! let target = WireTarget { model: "some-model", quirks: &Quirks::NONE, origin: None };
//! let sent = Dialect::OpenAiChat.encode_chat(&ChatRequest::user("hi"), &target, false)?;
//! assert_eq!(sent.path, "/chat/completions");
//! let body = br#"{"choices": [{"message": {"content": "Hello!"}, "finish_reason": "stop"}]}"#;
//! assert_eq!(Dialect::OpenAiChat.decode_chat(body, &target)?.text(), "Hello!");
//! # Ok::<(), llm_types::Error>(())
//! ```
//! Each format has a folder with the same rooms: its JSON, requests, answers, streams, errors. A format of your own is a
//! [`Codec`].

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, StatusCode};
use llm_types::{
    ChatRequest, ChatResponse, EmbeddingRequest, EmbeddingResponse, Error, ErrorKind, ModelInfo, Secret,
    StreamEvent, TokenCount,
};

use self::encoded::put_key;
use self::stream_state::State;
use self::target::KeptTarget;
use self::whole::Whole;
use crate::framing::{Decoder, JsonListDecoder, SseDecoder};
use crate::lane::Limits;

mod anthropic;
mod billing;
mod body;
mod custom;
mod date;
mod encoded;
mod ending;
mod error_body;
mod events;
mod failure;
mod gemini;
mod ids;
pub(crate) mod json;
mod members;
mod openai_chat;
pub(crate) mod path;
mod quirks;
mod reasoning;
mod stream_state;
mod target;
mod think_tags;
mod tool_deltas;
mod whole;

pub(crate) use self::billing::Billing;
pub(crate) use self::whole::with_partial;

pub use custom::{Codec, CodecStream, CustomDialect};
pub use encoded::Encoded;
pub use events::events_of;
pub use quirks::{
    ALL_EFFORTS, AuthHeader, BodyMember, CountForm, EmbeddingsForm, EmptyContent, ErrorPattern, FileUrl,
    ImageUrl, InTotal, LogprobsForm, Paths, Quirks, ReasoningForm, RefusalForm, Replay, ReplayField,
    ReplayWhen, SchemaLevel, Setting, StreamForm, StreamUsage, SystemRole, TagPair, ThinkTags, TokenLimit,
    ToolIds, Turns, UsageRule,
};
pub use stream_state::StreamState;
pub use target::WireTarget;

/// A wire format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Dialect {
    /// Chat completions, as most servers speak them.
    OpenAiChat,
    /// Anthropic's messages.
    Anthropic,
    /// `generateContent`.
    Gemini,
    /// A format of a user's own.
    Custom(CustomDialect),
}

/// A page of a list of models.
#[derive(Clone, Debug, Default)]
pub struct ModelPage {
    /// The models of this page.
    pub models: Vec<ModelInfo>,
    /// What [`Dialect::encode_models`] takes for the page after it; `None` on the last.
    pub next: Option<String>,
}

/// What the head of a failed answer says of trying again, as read by whoever knows the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// How long the server asks to wait.
    pub retry_after: Option<Duration>,
    /// The server's own word on trying again.
    pub should_retry: Option<bool>,
}

/// A message's member: who made its other members, and so can read them. Never sent.
const MADE_BY: &str = "made_by";

impl Dialect {
    /// Every format of this crate.
    pub const ALL: &'static [Self] = &[Self::OpenAiChat, Self::Anthropic, Self::Gemini];

    /// The name in configuration files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenAiChat => "openai_chat",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
            Self::Custom(custom) => custom.name(),
        }
    }

    /// The format of this crate with this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|dialect| dialect.as_str() == name)
    }

    /// The format that a host speaks. Anybody who is not known to speak another one speaks this.
    #[must_use]
    pub fn by_host(host: &str) -> Self {
        if anthropic::is_own_host(host) {
            Self::Anthropic
        } else if gemini::is_own_host(host) {
            Self::Gemini
        } else {
            Self::OpenAiChat
        }
    }

    /// The path of a base URL, from the path a user wrote: with or without the format's version.
    #[must_use]
    pub fn base_path<'a>(self, given: &'a str, quirks: &Quirks) -> Cow<'a, str> {
        match (self, given) {
            // Any path is used as it is: many servers have their own.
            (Self::OpenAiChat, "" | "/") => Cow::Borrowed(quirks.default_path),
            (Self::OpenAiChat, path) => Cow::Borrowed(path),
            // The version stands before the project there.
            (Self::Anthropic, path) if matches!(quirks.paths, Paths::RawPredict { .. }) => {
                Cow::Borrowed(path.trim_end_matches('/'))
            }
            (Self::Anthropic, path) => path::versioned(path, "/v1"),
            (Self::Gemini, path) => gemini::base_path(path),
            (Self::Custom(custom), path) => Cow::Borrowed(custom.codec().base_path(path)),
        }
    }

    /// How a server of unknown make is spoken to in this format.
    #[must_use]
    pub const fn default_quirks(self) -> Quirks {
        match self {
            Self::OpenAiChat | Self::Custom(_) => Quirks::COMPATIBLE,
            Self::Anthropic => Quirks::ANTHROPIC,
            Self::Gemini => Quirks::GEMINI,
        }
    }

    /// Puts the key into the headers, marked so that no log shows it.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when the key, or the name of its header, cannot stand in a header.
    pub fn authorise(self, key: &Secret, quirks: &Quirks, headers: &mut HeaderMap) -> Result<(), Error> {
        match self {
            Self::OpenAiChat => put_key(key, quirks, headers),
            Self::Anthropic => anthropic::authorise(key, quirks, headers),
            Self::Gemini => gemini::authorise(key, quirks, headers),
            Self::Custom(custom) => custom.codec().authorise(key, quirks, headers),
        }
    }

    /// Writes a request. All attempts at one endpoint send the same bytes.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] for a part of the conversation that the format cannot hold, for a setting that
    /// contradicts itself, and, under [`ChatRequest::strict`], for what would be a warning.
    pub fn encode_chat(
        self,
        request: &ChatRequest,
        target: &WireTarget<'_>,
        stream: bool,
    ) -> Result<Encoded, Error> {
        match self {
            Self::OpenAiChat => openai_chat::encode(request, target, stream),
            Self::Anthropic => anthropic::encode(request, target, stream),
            Self::Gemini => gemini::encode(request, target, stream),
            Self::Custom(custom) => custom.codec().encode_chat(request, target, stream),
        }
    }

    /// Reads the body of a successful answer to a plain call.
    ///
    /// # Errors
    /// The server's own error where the body holds one, with what came beside it as [`Error::partial`];
    /// [`ErrorKind::Protocol`] where the body holds no answer.
    pub fn decode_chat(self, body: &[u8], target: &WireTarget<'_>) -> Result<ChatResponse, Error> {
        match self {
            Self::Custom(custom) => custom.codec().decode_chat(body, target),
            own => whole::response(|out| own.decode_unstreamed(body, target, out)),
        }
    }

    /// Reads a body that came in one piece though a stream was asked for, as the events of a stream.
    ///
    /// # Errors
    /// As [`decode_chat`](Self::decode_chat). Events that are in `out` by then are true.
    pub fn decode_unstreamed(
        self,
        body: &[u8],
        target: &WireTarget<'_>,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), Error> {
        let read: fn(&Whole<'_>, &WireTarget<'_>, &mut Vec<StreamEvent>) -> Result<(), Error> = match self {
            Self::OpenAiChat => openai_chat::decode_events,
            Self::Anthropic => anthropic::decode_events,
            Self::Gemini => gemini::decode_events,
            Self::Custom(custom) => return custom.codec().decode_unstreamed(body, target, out),
        };
        match Whole::of(body) {
            Some(whole) => read(&whole, target, out),
            None => {
                let mut state = self.stream(target);
                whole::frames(body, |frame| state.step(frame, out))?;
                state.finish(out)
            }
        }
    }

    /// Begins to read a stream.
    #[must_use]
    pub fn stream(self, target: &WireTarget<'_>) -> StreamState {
        match self {
            Self::OpenAiChat => StreamState(State::OpenAiChat(openai_chat::StreamState::new(target))),
            Self::Anthropic => StreamState(State::Anthropic(anthropic::StreamState::new(target))),
            Self::Gemini => StreamState(State::Gemini(gemini::StreamState::new(target))),
            Self::Custom(custom) => StreamState(State::Custom(custom.begin(target))),
        }
    }

    /// The decoder for the body of a stream; `json` where its head says that it is JSON and no events. `None`: such a body
    /// is read whole, and [decoded](Self::decode_unstreamed) as it is.
    #[must_use]
    pub fn framing(self, json: bool, max_event_bytes: u64) -> Option<Decoder> {
        match self {
            Self::Gemini if json => Some(Decoder::List(JsonListDecoder::new(max_event_bytes))),
            _ if json => None,
            Self::Gemini => Some(Decoder::Events(SseDecoder::new(max_event_bytes).with_late_json())),
            _ => Some(Decoder::Events(SseDecoder::new(max_event_bytes))),
        }
    }

    /// The error of an answer whose status is none of success.
    #[must_use]
    pub fn classify(
        self,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
        target: &WireTarget<'_>,
        hints: Hints,
    ) -> Error {
        let (text, _) = json::text(body);
        let error = match self {
            Self::OpenAiChat | Self::Anthropic => error_body::error_of(&text, status, target),
            Self::Gemini => gemini::error_of(&text, status, target),
            Self::Custom(custom) => return custom.codec().classify(status, headers, body, target, hints),
        };
        failure::with_head(error, headers, target.quirks, hints)
    }

    /// The server's name for the exchange, from the head of any answer.
    #[must_use]
    pub fn request_id<'a>(self, headers: &'a HeaderMap, quirks: &Quirks) -> Option<&'a str> {
        failure::request_id(headers, quirks)
    }

    /// The server's limits, as the head of an answer states them at `now`.
    #[must_use]
    pub fn limits(self, headers: &HeaderMap, now: SystemTime) -> Limits {
        match self {
            Self::OpenAiChat | Self::Gemini | Self::Custom(_) => Limits::read(headers),
            Self::Anthropic => anthropic::limits(headers, now),
        }
    }

    /// Asks for the list of models, or for the page of it that [`ModelPage::next`] named.
    #[must_use]
    pub fn encode_models(self, after: Option<&str>, target: &WireTarget<'_>) -> Encoded {
        match self {
            Self::OpenAiChat => openai_chat::encode_models(target),
            Self::Anthropic => anthropic::encode_models(after, target),
            Self::Gemini => gemini::encode_models(after),
            Self::Custom(custom) => custom.codec().encode_models(target),
        }
    }

    /// Reads a page of the list of models, in the server's order.
    ///
    /// # Errors
    /// The server's own error, or [`ErrorKind::Protocol`] for a body that is no list.
    pub fn decode_models(self, body: &[u8], target: &WireTarget<'_>) -> Result<ModelPage, Error> {
        match self {
            Self::OpenAiChat => openai_chat::decode_models(body, target),
            Self::Anthropic => anthropic::decode_models(body, target),
            Self::Gemini => gemini::decode_models(body, target),
            Self::Custom(custom) => {
                let models = custom.codec().decode_models(body, target)?;
                Ok(ModelPage { models, next: None })
            }
        }
    }

    /// Whether the format can count a request's tokens without answering it.
    #[must_use]
    pub fn counts_tokens(self) -> bool {
        match self {
            Self::OpenAiChat => false,
            Self::Anthropic => true,
            Self::Gemini => true,
            Self::Custom(custom) => custom.codec().counts_tokens(),
        }
    }

    /// Asks how many tokens a request is.
    ///
    /// # Errors
    /// As [`encode_chat`](Self::encode_chat), and [`ErrorKind::InvalidRequest`] where the format does not count.
    pub fn encode_count(self, request: &ChatRequest, target: &WireTarget<'_>) -> Result<Encoded, Error> {
        match self {
            Self::OpenAiChat => Err(no_count(ErrorKind::InvalidRequest)),
            Self::Anthropic => anthropic::encode_count(request, target),
            Self::Gemini => gemini::encode_count(request, target),
            Self::Custom(custom) => custom.codec().encode_count(request, target),
        }
    }

    /// Reads the count.
    ///
    /// # Errors
    /// The server's own error, or [`ErrorKind::Protocol`] for a body without a number.
    pub fn decode_count(self, body: &[u8], target: &WireTarget<'_>) -> Result<TokenCount, Error> {
        match self {
            Self::OpenAiChat => Err(no_count(ErrorKind::Protocol)),
            Self::Anthropic => anthropic::decode_count(body, target),
            Self::Gemini => gemini::decode_count(body, target),
            Self::Custom(custom) => custom.codec().decode_count(body, target),
        }
    }

    /// Asks for embeddings.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] when there is no text, or an empty one.
    pub fn encode_embeddings(
        self,
        request: &EmbeddingRequest,
        target: &WireTarget<'_>,
    ) -> Result<Encoded, Error> {
        match self {
            Self::OpenAiChat => openai_chat::encode_embeddings(request, target),
            Self::Anthropic => Err(no_embeddings(ErrorKind::InvalidRequest)),
            Self::Gemini => gemini::encode_embeddings(request, target),
            Self::Custom(custom) => custom.codec().encode_embeddings(request, target),
        }
    }

    /// Reads the embeddings of `count` texts, into the order of the texts.
    ///
    /// # Errors
    /// The server's own error, or [`ErrorKind::Protocol`] when there is not one vector for each text.
    pub fn decode_embeddings(
        self,
        body: &[u8],
        count: usize,
        target: &WireTarget<'_>,
    ) -> Result<EmbeddingResponse, Error> {
        match self {
            Self::OpenAiChat => openai_chat::decode_embeddings(body, count, target),
            Self::Anthropic => Err(no_embeddings(ErrorKind::Protocol)),
            Self::Gemini => gemini::decode_embeddings(body, count, target),
            Self::Custom(custom) => custom.codec().decode_embeddings(body, count, target),
        }
    }
}

/// The error of a format that does not count tokens.
fn no_count(kind: ErrorKind) -> Error {
    Error::new(kind, "this wire format has no count of tokens")
}

/// The error of a format that has no embeddings.
fn no_embeddings(kind: ErrorKind) -> Error {
    Error::new(kind, "this wire format has no embeddings")
}

#[cfg(test)]
mod tests;
