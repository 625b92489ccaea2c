//! Bodies of real servers, and their imitations, through the whole of a dialect.

use std::fmt::Write as _;

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderName, HeaderValue, Method};
use llm_types::{ChatResponse, Collector, ErrorKind, Part, StreamEvent, Warning};

use super::*;
use crate::transport::Endpoint;

mod anthropic;
mod anthropic_answers;
mod anthropic_protocol;
mod axes;
mod bad_input;
mod fixtures;
mod gemini_protocol;
pub(super) mod recorded;
mod replay;
mod robust;
mod tables;
mod tools;

const DIALECT: Dialect = Dialect::OpenAiChat;
const TARGET: WireTarget<'static> =
    WireTarget { model: "some-model", quirks: &Quirks::NONE, origin: Some("us") };

/// A format, and bodies in it.
struct Spoken {
    dialect: Dialect,
    target: WireTarget<'static>,
    /// `(name, body)`.
    bodies: &'static [(&'static str, &'static str)],
    /// How the reason to stop begins.
    reason: &'static str,
}

/// Every format, for what holds in all of them.
const SPOKEN: &[Spoken] = &[
    Spoken {
        dialect: Dialect::OpenAiChat,
        target: TARGET,
        bodies: fixtures::ALL,
        reason: "\"finish_reason\":\"",
    },
    Spoken {
        dialect: Dialect::Anthropic,
        target: anthropic::TARGET,
        bodies: anthropic::ALL,
        reason: "\"stop_reason\":\"",
    },
    Spoken {
        dialect: Dialect::Gemini,
        target: gemini::tests::TARGET,
        bodies: gemini::tests::ALL,
        reason: "finishReason",
    },
];

/// [`stream_in`] the most common format.
fn stream<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    target: &WireTarget<'_>,
) -> (Vec<StreamEvent>, Result<(), Error>) {
    stream_in(DIALECT, pieces, target)
}

/// Feeds a streamed body in pieces and gives its events, and the error it ends in.
fn stream_in<'a>(
    dialect: Dialect,
    pieces: impl IntoIterator<Item = &'a [u8]>,
    target: &WireTarget<'_>,
) -> (Vec<StreamEvent>, Result<(), Error>) {
    stream_by(dialect, false, pieces, target)
}

/// [`stream_in`] the framing of JSON, where the head says that it is JSON.
pub(super) fn stream_by<'a>(
    dialect: Dialect,
    json: bool,
    pieces: impl IntoIterator<Item = &'a [u8]>,
    target: &WireTarget<'_>,
) -> (Vec<StreamEvent>, Result<(), Error>) {
    fn run<'a>(
        dialect: Dialect,
        json: bool,
        pieces: impl IntoIterator<Item = &'a [u8]>,
        target: &WireTarget<'_>,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), Error> {
        let mut decoder = dialect.framing(json, 1 << 20).expect("a body that is read piece by piece");
        let mut state = dialect.stream(target);
        for piece in pieces {
            let mut frames = decoder.feed(piece);
            while let Some(frame) = frames.next()? {
                state.step(frame, out)?;
            }
        }
        if let Some(frame) = decoder.finish()? {
            state.step(frame, out)?;
        }
        state.finish(out)
    }
    let mut events = Vec::new();
    let result = run(dialect, json, pieces, target, &mut events);
    (events, result)
}

/// Whether a head may say that a stream is JSON, so that it is read piece by piece.
fn heads(dialect: Dialect) -> impl Iterator<Item = bool> {
    [false, true].into_iter().filter(move |json| dialect.framing(*json, 1).is_some())
}

/// Everything a stream gives, to compare two ways of cutting it.
fn outcome_by<'a>(
    dialect: Dialect,
    json: bool,
    pieces: impl IntoIterator<Item = &'a [u8]>,
    target: &WireTarget<'_>,
) -> String {
    let (events, result) = stream_by(dialect, json, pieces, target);
    format!("{events:?} {result:?}")
}

/// Checks that a stream reads the same byte by byte and at some cuts, all of them where it is short.
fn reads_the_same_at_every_cut(
    dialect: Dialect,
    target: &WireTarget<'_>,
    name: &str,
    body: &[u8],
    most: usize,
) {
    cut_everywhere(dialect, false, target, name, body, most);
}

/// [`reads_the_same_at_every_cut`], where the head may say that the body is JSON.
pub(super) fn cut_everywhere(
    dialect: Dialect,
    json: bool,
    target: &WireTarget<'_>,
    name: &str,
    body: &[u8],
    most: usize,
) {
    let whole = outcome_by(dialect, json, [body], target);
    assert_eq!(outcome_by(dialect, json, body.chunks(1), target), whole, "{name} byte by byte");
    for cut in (0..=body.len()).step_by((body.len() / most).max(1)) {
        let (start, end) = body.split_at(cut);
        assert_eq!(outcome_by(dialect, json, [start, end], target), whole, "{name} cut at {cut}");
    }
}

pub(super) fn collect(events: Vec<StreamEvent>) -> ChatResponse {
    let mut collector = Collector::new();
    events.into_iter().for_each(|event| collector.push(event));
    collector.finish()
}

/// An answer in a few lines.
pub(super) fn shape(response: &ChatResponse) -> String {
    let mut out = String::new();
    for choice in &response.choices {
        for part in &choice.message.parts {
            let _ = match part {
                Part::Text { text, .. } => writeln!(out, "text {text:?}"),
                Part::Refusal { text } => writeln!(out, "refusal {text:?}"),
                Part::Reasoning(r) => {
                    let (signature, encrypted) = (r.signature.as_deref(), r.encrypted.as_deref());
                    writeln!(out, "thought {:?} signature {signature:?} encrypted {encrypted:?}", r.text)
                }
                Part::ToolCall(c) => {
                    writeln!(out, "call {} {}({}) {:?}", c.id, c.name, c.arguments, c.extra)
                }
                other => writeln!(out, "{other:?}"),
            };
        }
        let native = choice.native_finish_reason.as_deref();
        let _ = writeln!(out, "finish {:?} native {native:?}", choice.finish_reason);
        if let Some(logprobs) = &choice.logprobs {
            let _ = writeln!(out, "logprobs {logprobs}");
        }
        if !choice.extra.is_empty() {
            let _ = writeln!(out, "beside {:?}", choice.extra);
        }
    }
    if let Some(u) = &response.usage {
        let _ = writeln!(
            out,
            "usage {} in (cached {:?}), {} out (reasoning {:?}), {:?}",
            u.input_total(),
            u.cache_read,
            u.output_total(),
            u.reasoning,
            u.source
        );
    }
    let names: Vec<&str> = response.extra.iter().map(|(name, _)| name).collect();
    let _ = writeln!(out, "id {:?} model {:?} extra {names:?}", response.id, response.model);
    for warning in &response.warnings {
        let _ = writeln!(out, "warning {}: {}", warning.about, warning.message);
    }
    out
}

#[test]
fn names_of_dialects_read_back() {
    for &dialect in Dialect::ALL {
        assert_eq!(Dialect::parse(dialect.as_str()), Some(dialect));
    }
    assert_eq!(Dialect::parse("nonsense"), None);
    for host in ["api.anthropic.com", "anthropic.com"] {
        assert_eq!(Dialect::by_host(host), Dialect::Anthropic);
    }
    assert_eq!(Dialect::by_host("notanthropic.com"), Dialect::OpenAiChat);
    assert_eq!(Dialect::by_host("127.0.0.1"), Dialect::OpenAiChat);
}

#[test]
fn a_request_goes_to_its_place_under_the_base_url() {
    let request = ChatRequest::user("hi");
    let url = |base: &str, quirks: &Quirks| {
        let target = WireTarget { model: "m", quirks, origin: None };
        let given = Endpoint::parse(base).unwrap();
        let base = given.with_path(&DIALECT.base_path(given.path(), quirks)).unwrap();
        let url =
            |e: Encoded| base.join(&e.path, e.query.as_deref().unwrap_or_default()).unwrap().to_string();
        (
            url(DIALECT.encode_chat(&request, &target, false).unwrap()),
            url(DIALECT.encode_models(None, &target)),
        )
    };
    assert_eq!(
        url("https://h", &Quirks::NONE),
        ("https://h/v1/chat/completions".to_owned(), "https://h/v1/models".to_owned())
    );
    assert_eq!(url("https://h/api?k=v", &Quirks::NONE).0, "https://h/api/chat/completions?k=v");
    let quirks = Quirks { paths: Paths::Deployments { api_version: "1" }, ..Quirks::NONE };
    assert_eq!(
        url("https://h/openai?k=v", &quirks),
        (
            "https://h/openai/deployments/m/chat/completions?k=v&api-version=1".to_owned(),
            "https://h/openai/models?k=v&api-version=1".to_owned()
        )
    );
    let models = DIALECT.encode_models(None, &TARGET);
    assert!(models.body.is_empty() && !models.headers.contains_key(CONTENT_TYPE));
    assert_eq!(models.method, Method::GET);
}

#[test]
fn the_key_goes_into_a_header_that_no_log_shows() {
    let key = Secret::key("sk-CANARY").unwrap();
    let mut headers = HeaderMap::new();
    DIALECT.authorise(&key, &Quirks::NONE, &mut headers).unwrap();
    assert_eq!(headers.get(AUTHORIZATION).unwrap(), "Bearer sk-CANARY");
    assert!(headers.get(AUTHORIZATION).unwrap().is_sensitive());
    assert!(!format!("{headers:?}").contains("CANARY"));
    let quirks = Quirks { auth: AuthHeader::Named("api-key"), ..Quirks::NONE };
    let mut headers = HeaderMap::new();
    DIALECT.authorise(&key, &quirks, &mut headers).unwrap();
    assert_eq!(headers.get("api-key").unwrap(), "sk-CANARY");
    let broken = Secret::new("two\nlines CANARY");
    let error = DIALECT.authorise(&broken, &quirks, &mut headers).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(!format!("{error:?} {}", error.chain()).contains("CANARY"));
}

#[test]
fn rows_of_quirks_can_stand_in_statics() {
    static ROW: Quirks =
        Quirks { token_limit: TokenLimit::MaxTokens, lacks: &[Setting::Seed], ..Quirks::COMPATIBLE };
    assert!(!ROW.has(Setting::Seed) && ROW.has(Setting::TopK));
}
