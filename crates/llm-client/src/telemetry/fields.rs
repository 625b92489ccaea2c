//! The fields of a call's span: what is known at its start, and room for what its end brings.

use llm_types::{ChatRequest, EmbeddingRequest, ReasoningSetting, ResponseFormat};
use tracing::Span;
use tracing::field::Empty;

use super::Who;
use super::handles::Operation;
use super::names::{self, Names};
use crate::call::Call;

/// Where filters find the spans of calls and attempts.
pub(super) const TARGET: &str = "llm_client::call";

/// What a call asks for.
#[derive(Clone, Copy, Debug)]
pub enum Asked<'a> {
    /// One whole answer.
    Chat(&'a ChatRequest),
    /// An answer in pieces.
    Stream(&'a ChatRequest),
    /// Vectors.
    Embeddings(&'a EmbeddingRequest),
}

impl<'a> Asked<'a> {
    pub(super) const fn operation(self) -> Operation {
        match self {
            Self::Chat(_) | Self::Stream(_) => Operation::Chat,
            Self::Embeddings(_) => Operation::Embeddings,
        }
    }

    pub(super) const fn chat(self) -> Option<&'a ChatRequest> {
        match self {
            Self::Chat(request) | Self::Stream(request) => Some(request),
            Self::Embeddings(_) => None,
        }
    }
}

/// The span of a call, with all it will ever carry: a span's fields are fixed when it is made.
pub(super) fn open(who: &Who, asked: Asked<'_>, call: &Call, names: Names) -> Span {
    let chat = asked.chat();
    let number = |field: fn(&ChatRequest) -> Option<f64>| chat.and_then(field);
    let count = |field: fn(&ChatRequest) -> Option<u64>| chat.and_then(field).map(whole);
    let tag = |name: &str| call.tags.iter().find(|(tag, _)| tag == name).map(|(_, value)| value.as_str());
    let span = tracing::info_span!(
        target: TARGET,
        "call",
        { names::OTEL_NAME } = format!("{} {}", asked.operation().as_str(), &*who.model),
        { names::OTEL_KIND } = "client",
        { names::OTEL_STATUS } = Empty,
        { names::OPERATION } = asked.operation().as_str(),
        { names::PROVIDER } = &*who.provider,
        { names::REQUEST_MODEL } = &*who.model,
        { names::SERVER_ADDRESS } = who.server.as_ref().map(|(host, _)| &**host),
        { names::SERVER_PORT } = who.server.as_ref().map(|(_, port)| i64::from(*port)),
        { names::STREAM } = matches!(asked, Asked::Stream(_)).then_some(true),
        { names::CHOICE_COUNT } = chat.and_then(|request| request.n).filter(|n| *n != 1).map(i64::from),
        { names::SEED } = chat.and_then(|request| request.seed),
        { names::MAX_TOKENS } = count(|request| request.max_tokens),
        { names::TEMPERATURE } = number(|request| request.temperature),
        { names::TOP_P } = number(|request| request.top_p),
        { names::TOP_K } = Empty,
        { names::FREQUENCY_PENALTY } = number(|request| request.frequency_penalty),
        { names::PRESENCE_PENALTY } = number(|request| request.presence_penalty),
        { names::STOP_SEQUENCES } = chat.filter(|r| !r.stop.is_empty()).map(|r| list(&r.stop)),
        { names::ENCODING_FORMATS } = encoding(asked),
        { names::OUTPUT_TYPE } = chat.and_then(|r| r.response_format.as_ref()).and_then(output_type),
        { names::REASONING_LEVEL } = Empty,
        { names::DIMENSIONS } = dimensions(asked),
        { names::CONVERSATION } = tag(names::CONVERSATION),
        { names::PROMPT_NAME } = tag(names::PROMPT_NAME),
        { names::AGENT_NAME } = tag(names::AGENT_NAME),
        { names::TAGS } = tags(call),
        { names::RESPONSE_ID } = Empty,
        { names::RESPONSE_MODEL } = Empty,
        { names::FINISH_REASONS } = Empty,
        { names::FIRST_CHUNK } = Empty,
        { names::INPUT_TOKENS } = Empty,
        { names::OUTPUT_TOKENS } = Empty,
        { names::CACHE_READ_TOKENS } = Empty,
        { names::CACHE_CREATION_TOKENS } = Empty,
        { names::CACHE_WRITE_TOKENS } = Empty,
        { names::REASONING_TOKENS } = Empty,
        { names::AUDIO_INPUT_TOKENS } = Empty,
        { names::AUDIO_OUTPUT_TOKENS } = Empty,
        { names::IMAGE_INPUT_TOKENS } = Empty,
        { names::ERROR_TYPE } = Empty,
        { names::ATTEMPTS } = Empty,
        { names::RETRY_REASON } = Empty,
        { names::WAIT } = Empty,
        { names::ENDPOINT } = Empty,
        { names::COST } = Empty,
        { names::INPUT_MESSAGES } = Empty,
        { names::OUTPUT_MESSAGES } = Empty,
        { names::SYSTEM_INSTRUCTIONS } = Empty,
        { names::TOOL_DEFINITIONS } = Empty,
    );
    if let (Some(request), false) = (chat, span.is_disabled()) {
        of_version(&span, request, names);
    }
    span
}

/// What the versions of the conventions say differently.
fn of_version(span: &Span, request: &ChatRequest, names: Names) {
    if let Some(k) = request.top_k {
        match names {
            Names::Latest => span.record(names::TOP_K, whole(k)),
            Names::V1_41 => span.record(names::TOP_K, f64::from(u32::try_from(k).unwrap_or(u32::MAX))),
        };
    }
    if let (Some(ReasoningSetting { effort: Some(effort), .. }), Names::Latest) = (&request.reasoning, names)
    {
        span.record(names::REASONING_LEVEL, effort.as_str());
    }
}

fn output_type(format: &ResponseFormat) -> Option<&'static str> {
    match format {
        ResponseFormat::Text => Some("text"),
        ResponseFormat::JsonObject | ResponseFormat::JsonSchema { .. } => Some("json"),
        ResponseFormat::Native(_) => None,
    }
}

fn dimensions(asked: Asked<'_>) -> Option<i64> {
    let Asked::Embeddings(request) = asked else { return None };
    request.dimensions.map(i64::from)
}

/// Vectors come as numbers, whatever form they have on the wire.
fn encoding(asked: Asked<'_>) -> Option<&'static str> {
    matches!(asked, Asked::Embeddings(_)).then_some(r#"["float"]"#)
}

/// The caller's labels but for those that have an attribute of their own, as a JSON object.
fn tags(call: &Call) -> Option<String> {
    let own = [names::CONVERSATION, names::PROMPT_NAME, names::AGENT_NAME];
    let others = call.tags.iter().filter(|(name, _)| !own.contains(&name.as_str()));
    let map: serde_json::Map<String, serde_json::Value> =
        others.map(|(name, value)| (name.clone(), value.as_str().into())).collect();
    (!map.is_empty()).then(|| serde_json::Value::Object(map).to_string())
}

/// A list as JSON text: spans carry no lists.
pub(super) fn list(words: &[impl AsRef<str>]) -> String {
    words.iter().map(AsRef::as_ref).collect::<serde_json::Value>().to_string()
}

/// Exporters know signed numbers only.
pub(super) fn whole(n: impl TryInto<i64>) -> i64 {
    n.try_into().unwrap_or(i64::MAX)
}
