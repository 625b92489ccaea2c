//! What was recorded from real servers, each spoken to by its own row, where `LLM_TEST_DATA` names the folder that holds it:
//! what was asked and understood goes out the same way, and what was answered is read by the row's own rules.

use std::path::Path;

use http::{HeaderMap, StatusCode};
use llm_client::dialect::{Hints, WireTarget};
use llm_client::framing::SseDecoder;
use llm_types::{ChatRequest, ChatResponse, Collector, Error, ErrorKind, FinishReason};
use serde_json::Value;

use super::*;

/// A server of which nothing is known.
const PLAIN: WireTarget<'static> =
    WireTarget { model: "some-model", quirks: &Quirks::NONE, origin: Some("us") };

struct Recorded {
    name: String,
    row: &'static ProviderSpec,
    model: String,
    json: Value,
    body: Vec<u8>,
}

fn recorded() -> Vec<Recorded> {
    let Ok(folder) = std::env::var("LLM_TEST_DATA") else {
        println!("skipped: LLM_TEST_DATA is not set");
        return Vec::new();
    };
    let folder = Path::new(&folder).join("recorded");
    let index = std::fs::read_to_string(folder.join("index.jsonl")).expect("the index of recorded answers");
    let rows = index.lines().filter_map(|line| {
        let json: Value = serde_json::from_str(line).unwrap();
        let file = json["file"].as_str().unwrap();
        let name = file.strip_prefix("openai-chat/")?.to_owned();
        let row = find(json["provider"].as_str().unwrap()).filter(|row| row.dialect == Dialect::OpenAiChat);
        Some(Recorded {
            name,
            row: row.unwrap_or(&COMPATIBLE_ROW),
            model: json["model"].as_str().unwrap_or_default().to_owned(),
            body: std::fs::read(folder.join(file)).unwrap(),
            json,
        })
    });
    rows.collect()
}

fn read(one: &Recorded, target: &WireTarget<'_>) -> Result<ChatResponse, Error> {
    if one.json["streamed"] != true {
        return one.row.dialect.decode_chat(&one.body, target);
    }
    let (mut decoder, mut state) = (SseDecoder::new(1 << 25), one.row.dialect.stream(target));
    let mut events = Vec::new();
    let mut frames = decoder.feed(&one.body);
    while let Some(frame) = frames.next()? {
        state.step(frame, &mut events)?;
    }
    state.finish(&mut events)?;
    let mut collector = Collector::new();
    events.into_iter().for_each(|event| collector.push(event));
    Ok(collector.finish())
}

fn refused(one: &Recorded, target: &WireTarget<'_>) -> Error {
    let status = u16::try_from(one.json["status"].as_u64().unwrap()).unwrap();
    let status = StatusCode::from_u16(status).unwrap();
    one.row.dialect.classify(status, &HeaderMap::new(), &one.body, target, Hints::default())
}

#[test]
fn what_was_asked_and_understood_goes_out_again() {
    for one in recorded() {
        let asked = &one.json["request"];
        if one.json["status"] != 200 || !asked.is_object() {
            continue;
        }
        let (request, _) = ChatRequest::from_openai_json(&asked.to_string()).unwrap();
        let quirks = one.row.quirks_for(&one.model);
        let target = WireTarget { model: &one.model, quirks: &quirks, origin: None };
        let encoded = one.row.dialect.encode_chat(&request, &target, asked["stream"] == true).unwrap();
        assert!(encoded.warnings.is_empty(), "{}: {:?}", one.name, encoded.warnings);
        let sent: Value = serde_json::from_slice(&encoded.body).unwrap();
        for (member, value) in asked.as_object().unwrap() {
            let found = match member.as_str() {
                // Under the row's own name.
                "max_tokens" | "max_completion_tokens" => {
                    sent.get("max_tokens").or(sent.get("max_completion_tokens"))
                }
                // What is left out means the same.
                "stream_options" | "model" => continue,
                "stream" if *value == false => continue,
                "n" if *value == 1 => continue,
                "tools" if value.as_array().is_some_and(Vec::is_empty) => continue,
                "tool_choice" if *value == "auto" => continue,
                "reasoning_effort" if sent.get("thinking").is_some() => continue,
                // In another spelling, which the formats' own tests hold against the protocol.
                "messages" | "tools" => {
                    let count = |json: &Value| json[member].as_array().map(Vec::len);
                    assert_eq!(count(&sent), count(asked), "{} {member}", one.name);
                    continue;
                }
                _ => sent.get(member),
            };
            assert_eq!(found, Some(value), "{} {member}", one.name);
        }
    }
}

#[test]
fn what_was_answered_is_read_by_the_rows_own_rules() {
    for one in recorded().iter().filter(|one| one.json["status"] == 200) {
        let quirks = one.row.quirks_for(&one.model);
        let target = WireTarget { model: &one.model, quirks: &quirks, origin: Some(one.row.name) };
        let name = &one.name;
        let response = match read(one, &target) {
            Ok(response) => response,
            Err(error) if name.contains("error-event") => {
                assert_eq!(
                    (error.kind(), error.code()),
                    (ErrorKind::InvalidRequest, Some("tool_use_failed"))
                );
                continue;
            }
            Err(error) => panic!("{name}: {error:?}"),
        };
        assert!(!response.text().contains("<think>"), "{name}");
        let text = String::from_utf8_lossy(&one.body).replace(": ", ":");
        let thought = ["\"reasoning_content\":\"", "\"reasoning\":\""]
            .iter()
            .any(|start| text.split(start).skip(1).any(|rest| !rest.starts_with('"')));
        let thought = thought || text.contains("\"type\":\"thinking\"") || text.contains("\"<think>");
        assert_eq!(!response.reasoning().is_empty(), thought, "{name}: {}", response.reasoning());
        // The sum is the server's own, wherever it counts thoughts and sounds.
        let usage = response.usage.unwrap_or_else(|| panic!("{name}: no usage"));
        let total = format!("\"total_tokens\":{}", usage.total());
        assert!(text.contains(&total), "{name}: {total} is not in it");
        // A second turn: what it said goes back, and nothing of it is warned of.
        let next = vec![response.message().unwrap().clone(), llm_types::Message::user("and?")];
        let encoded = one.row.dialect.encode_chat(&ChatRequest::new(next), &target, false).unwrap();
        assert!(encoded.warnings.is_empty(), "{name}: {:?}", encoded.warnings);
        let body: Value = serde_json::from_slice(&encoded.body).unwrap();
        let back = &body["messages"][0];
        let calls = back["tool_calls"].as_array().map_or(0, Vec::len);
        assert_eq!(calls, response.tool_calls().count(), "{name}");
        if one.row.name == "openrouter" {
            let sealed = ["reasoning-details", "encrypted"].iter().any(|word| name.contains(word));
            assert_eq!(back["reasoning_details"].is_array(), sealed, "{name}: {back}");
        }
        if name.contains("gemini-openai-path") {
            assert!(
                back["tool_calls"][0]["extra_content"].is_object() || back["extra_content"].is_object(),
                "{back}"
            );
        }
    }
}

#[test]
fn what_was_refused_is_told_by_the_rows_own_patterns() {
    for one in recorded().iter().filter(|one| one.json["status"] != 200) {
        use ErrorKind as K;
        let kind = match one.name.as_str() {
            name if name.contains("error-404") || name.starts_with("openrouter-error-400") => {
                K::ModelNotFound
            }
            name if name.contains("error-401") => K::Authentication,
            name if name.contains("context-size") => K::ContextLength,
            _ => K::InvalidRequest,
        };
        let quirks = one.row.quirks_for(&one.model);
        let target = WireTarget { model: &one.model, quirks: &quirks, origin: None };
        let error = refused(one, &target);
        assert_eq!((error.kind(), error.is_retryable()), (kind, false), "{}: {error:?}", one.name);
    }
}

#[test]
fn answers_say_what_they_say_also_where_nothing_is_known_of_their_server() {
    let rows = recorded();
    let read_plainly = |name: &str| {
        let one = rows.iter().find(|one| one.name == name).unwrap_or_else(|| panic!("{name}"));
        read(one, &PLAIN).unwrap_or_else(|error| panic!("{name}: {error:?}"))
    };
    if rows.is_empty() {
        return;
    }
    for (name, text, finish) in [
        ("openai-text-stream.sse", "lantern-42", FinishReason::Stop),
        ("openai-text.json", "OK.", FinishReason::Stop),
        ("openai-two-choices-stream.sse", "cobalt", FinishReason::Stop),
        ("groq-usage-sent-twice-stream.sse", "stream identity probe", FinishReason::Stop),
        ("mistral-thinking-parts.json", "2 + 2 = 4", FinishReason::Stop),
        ("mistral-thinking-parts-stream.sse", "2 + 2 = 4", FinishReason::Stop),
        ("snowflake-empty-placeholders.json", "4", FinishReason::Stop),
        ("xai-total-includes-reasoning.json", "Hello", FinishReason::Stop),
        ("openrouter-comments-reasoning-details-signature-stream.sse", "7.75", FinishReason::Stop),
        ("openai-length-spent-on-reasoning-stream.sse", "", FinishReason::Length),
        ("deepseek-logprobs-of-thinking-cut-by-length-stream.sse", "", FinishReason::Length),
    ] {
        let response = read_plainly(name);
        assert_eq!((response.text().as_str(), response.finish_reason()), (text, Some(finish)), "{name}");
    }
    for (name, arguments, finish) in [
        (
            "openai-tool-arguments-cut-by-length.json",
            r#"{"summary":"The cache warmer raced"#,
            FinishReason::Length,
        ),
        (
            "openrouter-cut-tool-call-says-tool-calls-stream.sse",
            r#"{"summary":"The cache warmer raced"#,
            FinishReason::ToolCalls,
        ),
        ("groq-two-parallel-tool-calls.json", "null", FinishReason::ToolCalls),
        (
            "deepseek-thinking-then-tool-call-stream.sse",
            r#"{"city": "Tokyo, Japan"}"#,
            FinishReason::ToolCalls,
        ),
        ("venice-null-names-late-arguments-stream.sse", r#"{"a": 17, "b": 25}"#, FinishReason::ToolCalls),
        (
            "xai-reasoning-whole-tool-call-stream.sse",
            r#"{"location":"San Francisco"}"#,
            FinishReason::ToolCalls,
        ),
        ("gemini-openai-path-empty-call-id.json", "{}", FinishReason::ToolCalls),
        ("mistral-tool-arguments-cut-by-length-stream.sse", "", FinishReason::Length),
    ] {
        let response = read_plainly(name);
        let found = response.tool_calls().next().map(|call| call.arguments.clone());
        assert_eq!((found.as_deref(), response.finish_reason()), (Some(arguments), Some(finish)), "{name}");
    }
    let usage = read_plainly("xai-total-includes-reasoning.json").usage.unwrap();
    assert_eq!((usage.input_total(), usage.output_total(), usage.total()), (12, 229, 241));
    let refused = read_plainly("openai-refusal.json");
    assert_eq!(refused.refusal().as_deref(), Some("I'm sorry, but I can't assist with that request."));
    let native = read_plainly("openrouter-cut-tool-call-says-tool-calls-stream.sse").choices[0]
        .native_finish_reason
        .clone();
    assert_eq!(native.as_deref(), Some("length"));
}

#[test]
fn errors_have_their_kinds_also_where_nothing_is_known_of_their_server() {
    for one in recorded().iter().filter(|one| one.json["status"] != 200) {
        use ErrorKind as K;
        let name = &one.name;
        let kind = match name.as_str() {
            "openai-error-404-unknown-model.json" | "venice-error-404-plain-string.json" => K::ModelNotFound,
            "mistral-error-401-detail.json" | "groq-error-401-without-param.json" => K::Authentication,
            "llamacpp-error-400-context-size.json" | "llamacpp-error-400-context-size.request.json" => {
                K::ContextLength
            }
            "llamacpp-error-500-not-retryable.json" => K::Server,
            _ => K::InvalidRequest,
        };
        let target = WireTarget { model: &one.model, ..PLAIN };
        let error = refused(one, &target);
        assert_eq!(error.kind(), kind, "{name}: {error:?}");
        assert!(!error.message().is_empty() && !error.message().starts_with("HTTP"), "{name}: {error:?}");
    }
}
