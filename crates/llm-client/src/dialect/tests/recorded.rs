//! Answers that were recorded from real servers, where `LLM_TEST_DATA` names the folder that holds them
//! (`recorded/index.jsonl` inside it).

use std::path::Path;

use llm_types::{Extra, FinishReason};

use super::*;

pub(in crate::dialect) struct Recorded {
    pub(in crate::dialect) name: String,
    pub(in crate::dialect) model: String,
    pub(in crate::dialect) streamed: bool,
    pub(in crate::dialect) status: u16,
    pub(in crate::dialect) body: Vec<u8>,
}

fn recorded() -> Vec<Recorded> {
    recorded_in("openai-chat/")
}

/// The recorded bodies below a folder; none where the variable is not set.
pub(in crate::dialect) fn recorded_in(dialect: &str) -> Vec<Recorded> {
    let Ok(folder) = std::env::var("LLM_TEST_DATA") else {
        println!("skipped: LLM_TEST_DATA is not set");
        return Vec::new();
    };
    let folder = Path::new(&folder).join("recorded");
    let index = std::fs::read_to_string(folder.join("index.jsonl")).expect("the index of recorded answers");
    let rows = index.lines().filter_map(|line| {
        let mut row = Extra::parse(line).unwrap();
        let file: String = row.take_as("file").unwrap().unwrap();
        let name = file.strip_prefix(dialect)?.to_owned();
        Some(Recorded {
            name,
            model: row.take_as("model").unwrap().unwrap_or_default(),
            streamed: row.take_as("streamed").unwrap().unwrap_or_default(),
            status: row.take_as("status").unwrap().unwrap_or(200),
            body: std::fs::read(folder.join(&file)).unwrap(),
        })
    });
    rows.collect()
}

#[test]
fn recorded_streams_give_the_same_events_at_every_cut() {
    for Recorded { name, body, .. } in recorded().into_iter().filter(|row| row.streamed) {
        // Every cut of the short ones; of the long ones some two hundred.
        let most = if body.len() < 2500 { usize::MAX } else { 200 };
        reads_the_same_at_every_cut(DIALECT, &TARGET, &name, &body, most);
    }
}

#[test]
fn recorded_answers_are_whole_and_sane() {
    for Recorded { name, model, streamed, body, .. } in recorded().into_iter().filter(|row| row.status == 200)
    {
        let target = WireTarget { model: &model, ..TARGET };
        let response = if streamed {
            let (events, result) = stream([body.as_slice()], &target);
            if name.contains("error-event") {
                assert_eq!(result.unwrap_err().kind(), ErrorKind::InvalidRequest);
                continue;
            }
            result.unwrap_or_else(|error| panic!("{name}: {error:?}"));
            collect(events)
        } else {
            DIALECT.decode_chat(&body, &target).unwrap_or_else(|error| panic!("{name}: {error:?}"))
        };
        let choices = if name.contains("two-choices") { 2 } else { 1 };
        assert_eq!(response.choices.len(), choices, "{name}");
        assert!(response.model.is_some(), "{name}");
        for choice in &response.choices {
            let reason = choice.finish_reason.unwrap_or_else(|| panic!("{name}: no reason"));
            assert!(!matches!(reason, FinishReason::Other | FinishReason::Error), "{name}");
            let calls = choice.message.tool_calls().count();
            assert_eq!(
                calls > 0,
                name.contains("tool") && !name.contains("server-tool")
                    || name.contains("call-id")
                    || name.contains("null-names")
                    || name.contains("old-usage"),
                "{name}"
            );
            assert!(
                choice.message.tool_calls().all(|call| !call.id.is_empty() && !call.name.is_empty()),
                "{name}"
            );
        }
        let usage = response.usage.unwrap_or_else(|| panic!("{name}: no usage"));
        assert!(usage.input_total() > 0 && usage.output_total() > 0, "{name}");
        let length_only = response.finish_reason() == Some(FinishReason::Length);
        assert!(!response.is_empty() || length_only, "{name}");
        assert_eq!(
            response.is_empty() && !response.reasoning().is_empty(),
            !response.warnings.is_empty(),
            "{name}"
        );
        // It can be given on as a stream, and sent back.
        assert_eq!(shape(&collect(events_of(response.clone()))), shape(&response), "{name}");
        let request = ChatRequest::new(vec![response.message().unwrap().clone()]);
        let encoded = DIALECT.encode_chat(&request, &target, false).unwrap();
        serde_json::from_slice::<serde::de::IgnoredAny>(&encoded.body).unwrap();
    }
}

#[test]
fn recorded_answers_say_what_they_say() {
    let rows = recorded();
    let read = |name: &str| {
        let row = rows.iter().find(|row| row.name == name).unwrap_or_else(|| panic!("{name}"));
        if row.streamed {
            collect(stream([row.body.as_slice()], &TARGET).0)
        } else {
            DIALECT.decode_chat(&row.body, &TARGET).unwrap()
        }
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
        let response = read(name);
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
        let response = read(name);
        let found = response.tool_calls().next().map(|call| call.arguments.clone());
        assert_eq!((found.as_deref(), response.finish_reason()), (Some(arguments), Some(finish)), "{name}");
    }
    let usage = read("xai-total-includes-reasoning.json").usage.unwrap();
    assert_eq!((usage.input_total(), usage.output_total(), usage.total()), (12, 229, 241));
    let refused = read("openai-refusal.json");
    assert_eq!(refused.refusal().as_deref(), Some("I'm sorry, but I can't assist with that request."));
    let native =
        read("openrouter-cut-tool-call-says-tool-calls-stream.sse").choices[0].native_finish_reason.clone();
    assert_eq!(native.as_deref(), Some("length"));
}

#[test]
fn recorded_errors_have_their_kinds() {
    for Recorded { name, model, status, body, .. } in recorded().into_iter().filter(|row| row.status != 200) {
        use ErrorKind as K;
        let kind = match name.as_str() {
            "openai-error-404-unknown-model.json" | "venice-error-404-plain-string.json" => K::ModelNotFound,
            "mistral-error-401-detail.json" | "groq-error-401-without-param.json" => K::Authentication,
            "llamacpp-error-400-context-size.json" | "llamacpp-error-400-context-size.request.json" => {
                K::ContextLength
            }
            "llamacpp-error-500-not-retryable.json" => K::Server,
            _ => K::InvalidRequest,
        };
        let target = WireTarget { model: &model, ..TARGET };
        let status = StatusCode::from_u16(status).unwrap();
        let error = DIALECT.classify(status, &HeaderMap::new(), &body, &target, Hints::default());
        assert_eq!(error.kind(), kind, "{name}: {error:?}");
        assert!(!error.message().is_empty() && !error.message().starts_with("HTTP"), "{name}: {error:?}");
    }
}
