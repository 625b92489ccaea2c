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
