//! Every statement about streams, chunk by chunk.

use insta::assert_snapshot;
use llm_types::{ChatResponse, Collector};

use super::*;
use crate::dialect::Quirks;
use crate::dialect::quirks::{Replay, ReplayField, ReplayWhen, TagPair, ThinkTags};
use crate::framing::SseDecoder;

const TARGET: WireTarget<'static> =
    WireTarget { model: "some-model", quirks: &Quirks::NONE, origin: Some("us") };

/// A body of these payloads, one event each.
fn body(payloads: &[&str]) -> String {
    payloads.iter().map(|payload| format!("data: {payload}\n\n")).collect()
}

fn read(body: &str, target: &WireTarget<'_>) -> (Vec<StreamEvent>, Result<(), Error>) {
    fn run(body: &str, target: &WireTarget<'_>, out: &mut Vec<StreamEvent>) -> Result<(), Error> {
        let mut decoder = SseDecoder::new(1 << 20);
        let mut state = StreamState::new(target);
        let mut frames = decoder.feed(body.as_bytes());
        while let Some(frame) = frames.next()? {
            state.step(frame, out)?;
        }
        if let Some(frame) = decoder.finish()? {
            state.step(frame, out)?;
        }
        state.finish(out)
    }
    let mut out = Vec::new();
    let result = run(body, target, &mut out);
    check_grammar(&out, result.is_ok());
    (out, result)
}

/// Start first and once, calls begun before they go on and ended once, one finish a choice, nothing after the end.
fn check_grammar(events: &[StreamEvent], whole: bool) {
    let count = |wanted: fn(&StreamEvent) -> bool| events.iter().filter(|event| wanted(event)).count();
    let starts = count(|event| matches!(event, StreamEvent::Start { .. }));
    assert!(starts <= 1);
    assert!(events.is_empty() || starts == 0 || matches!(events[0], StreamEvent::Start { .. }), "{events:?}");
    assert_eq!(count(|event| matches!(event, StreamEvent::End)), usize::from(whole));
    assert!(!whole || matches!(events.last(), Some(StreamEvent::End)));
    let mut finished = std::collections::HashSet::new();
    let mut open = std::collections::HashMap::new();
    for event in events {
        match event {
            StreamEvent::Finish { choice, .. } => assert!(finished.insert(*choice), "two finishes"),
            StreamEvent::ToolCallStart { choice, index, .. } => {
                assert!(open.insert((*choice, *index), true).is_none(), "begun twice");
            }
            StreamEvent::ToolCallDelta { choice, index, .. } => {
                assert_eq!(open.get(&(*choice, *index)), Some(&true), "a delta of a call that is not open");
            }
            StreamEvent::ToolCallEnd { choice, index } => {
                assert_eq!(open.insert((*choice, *index), false), Some(true), "ended twice");
            }
            _ => {}
        }
    }
    assert!(!whole || open.values().all(|open| !open), "a call was not ended");
}

fn collect(events: Vec<StreamEvent>) -> ChatResponse {
    let mut collector = Collector::new();
    events.into_iter().for_each(|event| collector.push(event));
    collector.finish()
}

fn answer_to(payloads: &[&str], target: &WireTarget<'_>) -> ChatResponse {
    let (events, result) = read(&body(payloads), target);
    result.unwrap_or_else(|error| panic!("{error:?}"));
    collect(events)
}

fn answer(payloads: &[&str]) -> ChatResponse {
    answer_to(payloads, &TARGET)
}

fn fails(payloads: &[&str]) -> (ChatResponse, Error) {
    let (events, result) = read(&body(payloads), &TARGET);
    (collect(events), result.expect_err("an error"))
}

/// One choice's chunk with this delta, and a finish reason where there is one.
fn chunk(delta: &str, reason: &str) -> String {
    let reason = if reason.is_empty() { "null".to_owned() } else { format!("\"{reason}\"") };
    format!(r#"{{"id":"c-1","choices":[{{"index":0,"delta":{delta},"finish_reason":{reason}}}]}}"#)
}

fn calls(response: &ChatResponse) -> Vec<(&str, &str, &str)> {
    response.tool_calls().map(|c| (c.id.as_str(), c.name.as_str(), c.arguments.as_str())).collect()
}

#[test]
fn a_plain_stream_reads_as_the_protocol_shows_it() {
    let (events, result) = read(
        &body(&[
            r#"{"id":"c-1","object":"chat.completion.chunk","created":1793500000,"model":"gpt-x","choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"finish_reason":null}],"usage":null,"obfuscation":"xx"}"#,
            r#"{"id":"c-1","object":"chat.completion.chunk","created":1793500000,"model":"gpt-x","choices":[{"index":0,"delta":{"content":"Hel"},"finish_reason":null}],"usage":null,"obfuscation":"y"}"#,
            r#"{"id":"c-1","object":"chat.completion.chunk","created":1793500000,"model":"gpt-x","choices":[{"index":0,"delta":{"content":"lo\n"},"finish_reason":null}],"usage":null}"#,
            r#"{"id":"c-1","object":"chat.completion.chunk","created":1793500000,"model":"gpt-x","choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":null}"#,
            r#"{"id":"c-1","object":"chat.completion.chunk","created":1793500000,"model":"gpt-x","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2,"total_tokens":7}}"#,
            "[DONE]",
            r#"{"choices":[{"index":0,"delta":{"content":"after the end"}}]}"#,
        ]),
        &TARGET,
    );
    result.unwrap();
    let shown: Vec<String> = events.iter().map(|event| format!("{event:?}")).collect();
    assert_snapshot!(shown.join("\n"), @r#"
    Start { id: Some("c-1"), model: Some("gpt-x"), created: Some(1793500000) }
    Text { choice: 0, text: "Hel" }
    Text { choice: 0, text: "lo\n" }
    Finish { choice: 0, reason: Stop, native: Some("stop") }
    Usage(Usage { fresh_input: 5, cache_read: None, cache_write_5m: None, cache_write_1h: None, audio_input: None, image_input: None, plain_output: 2, reasoning: None, audio_output: None, source: Reported })
    End
    "#);
}

#[test]
fn a_tool_call_streams_in_fragments() {
    let response = answer(&[
        &chunk(
            r#"{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"call_a","type":"function","function":{"name":"get_tide","arguments":""}}]}"#,
            "",
        ),
        &chunk(r#"{"tool_calls":[{"index":0,"function":{"arguments":"{\"port\":"}}]}"#, ""),
        &chunk(r#"{"tool_calls":[{"index":0,"function":{"arguments":"\"Brest\"}"}}]}"#, ""),
        &chunk("{}", "tool_calls"),
        r#"{"id":"c-1","choices":[],"usage":{"prompt_tokens":61,"completion_tokens":17,"total_tokens":78}}"#,
        "[DONE]",
    ]);
    assert_eq!(calls(&response), [("call_a", "get_tide", r#"{"port":"Brest"}"#)]);
    assert_eq!(response.finish_reason(), Some(FinishReason::ToolCalls));
    assert_eq!(response.usage.unwrap().total(), 78);
    assert!(response.text().is_empty());
}

#[test]
fn tool_calls_come_in_odd_shapes() {
    let custom = answer(&[
        &chunk(
            r#"{"tool_calls":[{"index":0,"id":"c","type":"custom","custom":{"name":"sql","input":"sel"}}]}"#,
            "",
        ),
        &chunk(r#"{"tool_calls":[{"index":0,"custom":{"input":"ect"}}]}"#, "tool_calls"),
        "[DONE]",
    ]);
    assert_eq!(calls(&custom), [("c", "sql", "select")]);
    assert!(custom.tool_calls().all(|call| call.custom));
    let object = answer(&[&chunk(
        r#"{"tool_calls":[{"id":"c","function":{"name":"f","arguments":{"a": 1.0}}}]}"#,
        "stop",
    )]);
    assert_eq!(calls(&object), [("c", "f", r#"{"a": 1.0}"#)]);
    assert_eq!(object.finish_reason(), Some(FinishReason::ToolCalls), "stop beside calls means calls");
    let unlisted = answer(&[&chunk(r#"{"tool_calls":{"id":"c","function":{"name":"f"}}}"#, "tool_calls")]);
    assert_eq!(calls(&unlisted), [("c", "f", "")]);
    let old = answer(&[
        &chunk(r#"{"function_call":{"name":"f","arguments":""}}"#, ""),
        &chunk(r#"{"function_call":{"arguments":"{}"}}"#, "function_call"),
    ]);
    let call = old.tool_calls().next().unwrap();
    assert_eq!((call.name.as_str(), call.arguments.as_str()), ("f", "{}"));
    assert!(call.id.starts_with("call_"));
    assert_eq!(old.finish_reason(), Some(FinishReason::ToolCalls));
    let nothing = answer(&[&chunk(
        r#"{"content":"x","refusal":"","tool_calls":[],"function_call":{"name":"","arguments":""},"audio":{"id":"","data":"","transcript":"","expires_at":0}}"#,
        "stop",
    )]);
    assert_eq!(nothing.message().unwrap().parts.len(), 1, "placeholders mean nothing");
    assert_eq!(nothing.finish_reason(), Some(FinishReason::Stop));
}

#[test]
fn made_up_ids_are_the_same_for_the_same_answer_only() {
    let id = |answer_id: &str| {
        let payload = chunk(
            r#"{"tool_calls":[{"id":"","function":{"name":"f","arguments":"{}"}},{"function":{"name":"g"}}]}"#,
            "stop",
        );
        let response = answer(&[&payload.replace("c-1", answer_id)]);
        response.tool_calls().map(|call| call.id.clone()).collect::<Vec<_>>()
    };
    assert_eq!(id("a"), id("a"));
    assert_ne!(id("a"), id("b"));
    assert_ne!(id("a")[0], id("a")[1]);
}

#[test]
fn choices_interleave_and_each_ends_by_itself() {
    let at = |index: u32, rest: &str| format!(r#"{{"id":"c","choices":[{{"index":{index},{rest}}}]}}"#);
    let response = answer(&[
        &at(0, r#""delta":{"content":"a"}"#),
        &at(1, r#""delta":{"content":"x"}"#),
        &at(0, r#""delta":{},"finish_reason":"stop""#),
        r#"{"id":"c","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":4}}"#,
        &at(1, r#""delta":{"content":"y"}"#),
        &at(1, r#""delta":{},"finish_reason":"length""#),
        r#"{"id":"c","choices":[],"usage":{"prompt_tokens":1,"completion_tokens":4}}"#,
    ]);
    let seen: Vec<_> =
        response.choices.iter().map(|c| (c.index, c.message.text(), c.finish_reason)).collect();
    assert_eq!(
        seen,
        [(0, "a".to_owned(), Some(FinishReason::Stop)), (1, "xy".to_owned(), Some(FinishReason::Length))]
    );
    assert_eq!(response.usage.unwrap().source, UsageSource::Reported);
}

#[test]
fn an_answer_is_whole_with_a_reason_or_the_end_marker() {
    let text = chunk(r#"{"content":"x"}"#, "");
    let end = chunk("{}", "stop");
    let usage = r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}"#;
    // Reason and no marker; marker and no reason; both.
    for payloads in [&[text.as_str(), &end][..], &[&text, usage, "[DONE]"], &[&text, &end, usage, " [DONE] "]]
    {
        let response = answer(payloads);
        assert_eq!((response.text().as_str(), response.finish_reason()), ("x", Some(FinishReason::Stop)));
    }
    let native = answer(&[&text, "[DONE]"]).choices[0].native_finish_reason.clone();
    assert_eq!(native, None, "nobody said so");
    let called = answer(&[&chunk(r#"{"tool_calls":[{"id":"c","function":{"name":"f"}}]}"#, ""), "[DONE]"]);
    assert_eq!(called.finish_reason(), Some(FinishReason::ToolCalls));

    let (partial, error) = fails(&[&text, usage]);
    assert_eq!(error.kind(), ErrorKind::Truncated);
    assert_eq!(partial.text(), "x");
    assert_eq!(partial.usage.unwrap().source, UsageSource::Partial, "said before the answer was whole");
    // One choice of two is not whole.
    let second = r#"{"choices":[{"index":1,"delta":{"content":"y"}}]}"#;
    assert_eq!(fails(&[&text, second, &end]).1.kind(), ErrorKind::Truncated);
    // Nothing was seen, so it may be asked for again.
    assert_eq!(fails(&[]).1.kind(), ErrorKind::Connection);
    assert_eq!(fails(&[&chunk(r#"{"role":"assistant","content":""}"#, "")]).1.kind(), ErrorKind::Connection);
    // The marker alone is no answer.
    assert_eq!(fails(&["[DONE]"]).1.kind(), ErrorKind::Protocol);
    assert_eq!(fails(&[usage, "[DONE]"]).1.kind(), ErrorKind::Protocol);
}

#[test]
fn a_last_event_that_was_cut_is_no_fault_of_its_json() {
    let end = body(&[&chunk(r#"{"content":"x"}"#, "")]);
    let (events, result) = read(&format!("{end}data: {{\"choices\":[{{\"ind"), &TARGET);
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Truncated);
    assert_eq!(collect(events).text(), "x");
    let (_, result) = read("data: {\"choices\":[{\"ind", &TARGET);
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Connection);
    // The answer was whole before the cut.
    let whole = body(&[&chunk(r#"{"content":"x"}"#, "stop")]);
    let (events, result) = read(&format!("{whole}data: {{\"choices\":[],\"usa"), &TARGET);
    result.unwrap();
    let response = collect(events);
    assert_eq!(response.text(), "x");
    assert_eq!(response.warnings[0].about, "answer");
    let (_, result) = read(&format!("{end}data: [DONE]"), &TARGET);
    result.unwrap();
}

#[test]
fn events_that_are_no_chunks_are_told_apart() {
    let text = chunk(r#"{"content":"x"}"#, "");
    let (events, result) = read(
        &format!(": hi\n\ndata:\n\ndata: null\n\nevent: ping\ndata: {{}}\n\n{}", body(&[&text, "[DONE]"])),
        &TARGET,
    );
    result.unwrap();
    assert_eq!(collect(events).text(), "x");
    let (_, error) = fails(&[&text, "not json CANARY", "[DONE]"]);
    assert_eq!(error.kind(), ErrorKind::Protocol);
    assert_eq!(error.message(), "an event of the stream is not valid JSON (line 1, column 2)");
    // Signs of life under names of their own, and not under the names of chunks and errors.
    for (name, fine) in
        [("ping", true), ("keepalive", true), ("data", false), ("message", false), ("error", false)]
    {
        for sign in ["12:30:01", "7", "\"alive\""] {
            let (_, result) =
                read(&format!("event: {name}\ndata: {sign}\n\n{}", body(&[&text, "[DONE]"])), &TARGET);
            assert_eq!(result.is_ok(), fine, "{name} {sign}");
        }
    }
    let deep = format!(r#"{{"x":{}{}}}"#, "[".repeat(50_000), "]".repeat(50_000));
    assert_eq!(fails(&[&deep]).1.message(), "an event of the stream is nested more than 128 levels deep");
    assert_eq!(fails(&[&"[".repeat(50_000), "x"]).1.kind(), ErrorKind::Protocol);
}

#[test]
fn the_start_waits_for_a_name() {
    let (events, result) = read(
        &body(&[
            r#"{"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{"prompt_index":0}]}"#,
            r#"{"id":"c-9","created":7,"model":"m","choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop"}]}"#,
            r#"{"id":"other","created":8,"model":"n","choices":[]}"#,
        ]),
        &TARGET,
    );
    result.unwrap();
    let shown: Vec<String> = events.iter().take(3).map(|event| format!("{event:?}")).collect();
    assert_snapshot!(shown.join("\n"), @r#"
    Start { id: Some("c-9"), model: Some("m"), created: Some(7) }
    Extra { choice: None, name: "prompt_filter_results", value: RawValue([{"prompt_index":0}]) }
    Text { choice: 0, text: "x" }
    "#);
}

#[test]
fn missing_null_and_empty_members_are_the_same() {
    let response = answer(&[
        r#"{"choices":null}"#,
        r#"{"id":null}"#,
        r#"{"choices":[{}]}"#,
        r#"{"choices":[{"delta":null,"finish_reason":""}]}"#,
        r#"{"choices":[{"delta":{"content":"x","role":null,"tool_calls":null},"finish_reason":"null","logprobs":null}],"usage":{}}"#,
        r#"{"choices":[{"delta":{}}]}"#,
        "[DONE]",
    ]);
    assert_eq!((response.text().as_str(), response.finish_reason()), ("x", Some(FinishReason::Stop)));
    assert_eq!((response.id, response.usage), (None, None));
    assert!(response.extra.is_empty() && response.choices[0].extra.is_empty());
}

#[test]
fn reasons_have_aliases_and_come_once() {
    for (word, reason) in [
        ("stop", FinishReason::Stop),
        ("eos", FinishReason::Stop),
        ("eos_token", FinishReason::Stop),
        ("content_filter: RECITATION", FinishReason::ContentFilter),
        ("function_call_filter: MALFORMED_FUNCTION_CALL", FinishReason::Error),
        ("length", FinishReason::Length),
        ("model_length", FinishReason::Length),
        ("tool_calls", FinishReason::ToolCalls),
        ("content_filter", FinishReason::ContentFilter),
        ("sensitive", FinishReason::ContentFilter),
        ("insufficient_system_resource", FinishReason::Error),
        ("network_error", FinishReason::Error),
        ("error", FinishReason::Error),
        ("something_new", FinishReason::Other),
    ] {
        let response = answer(&[&chunk(r#"{"content":"x"}"#, word), &chunk("{}", word), "[DONE]"]);
        assert_eq!(response.finish_reason(), Some(reason), "{word}");
        assert_eq!(response.choices[0].native_finish_reason.as_deref(), Some(word));
    }
    let cut = r#"{"choices":[{"delta":{"tool_calls":[{"id":"c","function":{"name":"f","arguments":"{\"a"}}]},"finish_reason":"tool_calls","native_finish_reason":"max_output_tokens"}]}"#;
    let response = answer(&[cut]);
    assert_eq!(calls(&response), [("c", "f", "{\"a")]);
    assert_eq!(response.finish_reason(), Some(FinishReason::ToolCalls), "as it was sent");
    assert_eq!(response.choices[0].native_finish_reason.as_deref(), Some("max_output_tokens"));
}

#[test]
fn the_first_name_for_reasoning_that_holds_something_counts() {
    for (delta, thoughts) in [
        (r#"{"reasoning_content":"a"}"#, "a"),
        (r#"{"reasoning":"a"}"#, "a"),
        (r#"{"reasoning_content":"a","reasoning":"a"}"#, "a"),
        (r#"{"reasoning_content":"","reasoning":"b"}"#, "b"),
        (r#"{"content":null,"reasoning_text":"c"}"#, "c"),
        (r#"{"reasoning":"a","reasoning_details":[{"type":"reasoning.text","text":"a"}]}"#, "a"),
        (r#"{"reasoning_details":[{"type":"reasoning.summary","summary":"s"}]}"#, "s"),
        (
            r#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]}"#,
            "ab",
        ),
        (r#"{"content":[{"type":"thinking","thinking":"a"}]}"#, "a"),
        (r#"{"reasoning_content":""}"#, ""),
    ] {
        let response = answer(&[&chunk(delta, ""), &chunk(r#"{"content":"x"}"#, "stop")]);
        assert_eq!((response.reasoning().as_str(), response.text().as_str()), (thoughts, "x"), "{delta}");
    }
}

#[test]
fn blocks_of_reasoning_are_put_together_by_number_and_kind() {
    let detail = |json: &str| chunk(&format!(r#"{{"content":"","reasoning_details":[{json}]}}"#), "");
    let response = answer(&[
        &detail(r#"{"type":"reasoning.summary","summary":"s","format":"f","index":0}"#),
        &detail(r#"{"type":"reasoning.summary","summary":"um","format":"f","index":0}"#),
        &detail(r#"{"type":"reasoning.text","text":"a","index":1}"#),
        &detail(r#"{"type":"reasoning.text","text":"b","index":1}"#),
        &detail(r#"{"type":"reasoning.text","signature":"sig","index":1}"#),
        &detail(r#"{"type":"reasoning.encrypted","data":"xyz","id":"rs_1","index":2}"#),
        &detail(r#"{"type":"reasoning.server_tool_call","name":"search","index":3}"#),
        &detail(r#"{"type":"reasoning.text","index":4,"x":1}"#),
        &chunk(r#"{"content":"t"}"#, "stop"),
    ]);
    let blocks: Vec<_> = response.choices[0]
        .message
        .parts
        .iter()
        .filter_map(|part| match part {
            llm_types::Part::Reasoning(block) => Some(block),
            _ => None,
        })
        .map(|b| {
            (b.text.as_str(), b.summary, b.signature.as_deref(), b.encrypted.as_deref(), b.origin.as_deref())
        })
        .collect();
    assert_eq!(
        blocks,
        [
            ("sum", true, None, None, None),
            ("ab", false, Some("sig"), None, Some("us")),
            ("", false, None, Some("xyz"), Some("us")),
            ("", false, None, None, Some("us")),
        ]
    );
    let kept = response.choices[0].extra.get("reasoning_details").unwrap().get();
    assert_eq!(kept, r#"[{"type":"reasoning.text","index":4,"x":1}]"#);
    assert_eq!(response.text(), "t");
    // In order, and one of a kind of the server's own to the letter.
    let quirks =
        Quirks { replay: Replay { when: ReplayWhen::Always, field: ReplayField::Details }, ..Quirks::NONE };
    let target = WireTarget { quirks: &quirks, ..TARGET };
    let request = llm_types::ChatRequest::new(vec![response.message().unwrap().clone()]);
    let encoded = crate::dialect::openai_chat::encode(&request, &target, false).unwrap();
    assert_snapshot!(String::from_utf8_lossy(&encoded.body), @r#"{"model":"some-model","messages":[{"role":"assistant","content":"t","reasoning_details":[{"type":"reasoning.summary","summary":"sum","format":"f","index":0},{"type":"reasoning.text","text":"ab","signature":"sig","index":1},{"type":"reasoning.encrypted","data":"xyz","id":"rs_1","index":2},{"name":"search","index":3,"type":"reasoning.server_tool_call"}]}]}"#);
}

#[test]
fn pieces_of_blocks_that_come_between_each_other_go_back_as_two_blocks() {
    let detail = |json: &str| chunk(&format!(r#"{{"reasoning_details":[{json}]}}"#), "");
    let response = answer(&[
        &detail(r#"{"type":"reasoning.text","text":"a","format":"f","index":0}"#),
        &detail(r#"{"type":"reasoning.summary","summary":"s","index":1}"#),
        &detail(r#"{"type":"reasoning.text","text":"b","format":"f","index":0}"#),
        &detail(r#"{"type":"reasoning.summary","summary":"um","index":1}"#),
        &detail(r#"{"type":"reasoning.text","text":"c","signature":"sig","format":"f","index":0}"#),
        &detail(r#"{"type":"reasoning.text","text":"d","format":"f","index":0}"#),
        &chunk(r#"{"content":"t"}"#, "stop"),
    ]);
    let quirks =
        Quirks { replay: Replay { when: ReplayWhen::Always, field: ReplayField::Details }, ..Quirks::NONE };
    let target = WireTarget { quirks: &quirks, ..TARGET };
    let request = llm_types::ChatRequest::new(vec![response.message().unwrap().clone()]);
    let encoded = crate::dialect::openai_chat::encode(&request, &target, false).unwrap();
    assert_snapshot!(String::from_utf8_lossy(&encoded.body), @r#"{"model":"some-model","messages":[{"role":"assistant","content":"t","reasoning_details":[{"type":"reasoning.text","text":"abc","signature":"sig","format":"f","index":0},{"type":"reasoning.summary","summary":"sum","index":1},{"type":"reasoning.text","text":"d","format":"f","index":0}]}]}"#);
}

#[test]
fn events_that_nothing_parts_are_told_apart() {
    let (one, two) = (chunk(r#"{"content":"a"}"#, ""), chunk(r#"{"content":"b"}"#, "stop"));
    for stream in [
        format!("data: {one}\ndata: {two}\ndata: [DONE]\n\n"),
        format!("data: {one}\ndata: {two}\ndata: [DONE]"),
        format!("{one}\n{two}\n"),
    ] {
        let (events, result) = read(&stream, &TARGET);
        result.unwrap_or_else(|error| panic!("{stream}: {error:?}"));
        assert_eq!(collect(events).text(), "ab", "{stream}");
    }
    // The last of them is cut.
    let (events, result) = read(&format!("data: {one}\ndata: {{\"choi"), &TARGET);
    assert_eq!((result.unwrap_err().kind(), collect(events).text().as_str()), (ErrorKind::Truncated, "a"));
    // One document over several lines is one.
    let long = two.replace(",\"choices\"", ",\ndata: \"choices\"");
    assert_eq!(collect(read(&format!("data: {long}\n\n"), &TARGET).0).text(), "b");
}

#[test]
fn reasoning_alone_is_no_answer_and_says_so() {
    let response = answer(&[&chunk(r#"{"reasoning":"hm"}"#, "length"), "[DONE]"]);
    assert_eq!((response.text(), response.reasoning()), (String::new(), "hm".to_owned()));
    assert!(response.is_empty());
    assert_eq!(response.warnings[0].message, "holds only reasoning; its text is empty");
    let fine = answer(&[&chunk(r#"{"reasoning":"hm","content":"x"}"#, "stop")]);
    assert!(fine.warnings.is_empty());
    let silent = answer(&[&chunk("{}", "length")]);
    assert!(silent.warnings.is_empty() && silent.is_empty());
}

#[test]
fn tags_are_told_apart_only_where_the_server_does_not() {
    let quirks = Quirks { think_tags: ThinkTags::Leading(TagPair::THINK), ..Quirks::NONE };
    let target = WireTarget { quirks: &quirks, ..TARGET };
    let deltas =
        ["<th", "ink>a</thi", "nk>", "\\n\\nb"].map(|text| chunk(&format!(r#"{{"content":"{text}"}}"#), ""));
    let payloads: Vec<&str> = deltas.iter().map(String::as_str).chain(["[DONE]"]).collect();
    let response = answer_to(&payloads, &target);
    assert_eq!((response.reasoning().as_str(), response.text().as_str()), ("a", "b"));
    assert_eq!(answer(&payloads).text(), "<think>a</think>\n\nb", "off by default");
    let response = answer_to(
        &[&chunk(r#"{"reasoning":"r"}"#, ""), &chunk(r#"{"content":"<think>x</think>"}"#, "stop")],
        &target,
    );
    assert_eq!((response.reasoning().as_str(), response.text().as_str()), ("r", "<think>x</think>"));
    let held = answer_to(&[&chunk(r#"{"content":"<thi"}"#, "stop")], &target);
    assert_eq!(held.text(), "<thi", "given on before the finish");
}

#[test]
fn refusals_and_parts_of_content() {
    let refused = answer(&[
        &chunk(r#"{"role":"assistant","content":null,"refusal":""}"#, ""),
        &chunk(r#"{"refusal":"No"}"#, ""),
        &chunk(r#"{"refusal":"."}"#, "stop"),
    ]);
    assert_eq!((refused.refusal().as_deref(), refused.text().as_str()), (Some("No."), ""));
    assert_eq!(refused.finish_reason(), Some(FinishReason::Stop));
    let parts = answer(&[&chunk(
        r#"{"content":["a",{"type":"text","text":"b"},{"type":"reference","reference_ids":[1]},{"type":"text","text":"c","x":1},7]}"#,
        "stop",
    )]);
    assert_eq!(parts.text(), "abc");
    let native: Vec<&str> = parts.choices[0]
        .message
        .parts
        .iter()
        .filter_map(|part| match part {
            llm_types::Part::Native(part) => Some(part.json.get()),
            _ => None,
        })
        .collect();
    assert_eq!(native, [r#"{"type":"reference","reference_ids":[1]}"#, "7"]);
    assert_eq!(parts.choices[0].extra.get("content").unwrap().get(), r#"[{"type":"text","text":"c","x":1}]"#);
}

#[test]
fn usage_is_taken_from_wherever_it_stands_and_never_summed() {
    let usage = |n: u32| format!(r#"{{"prompt_tokens":9,"completion_tokens":{n},"total_tokens":{}}}"#, 9 + n);
    let with = |delta: &str, rest: &str| format!(r#"{{"choices":[{{"index":0,"delta":{delta}}}]{rest}}}"#);
    let done = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]"#;
    let text = r#"{"content":"x"}"#;
    let cases = [
        // On every chunk, cumulative.
        vec![with(text, &format!(r#","usage":{}"#, usage(1))), format!(r#"{done},"usage":{}}}"#, usage(2))],
        // On the finish chunk, in a gateway's object and once more at the end.
        vec![
            with(text, r#","x_gate":{"id":"r"}"#),
            format!(r#"{done},"usage":{0},"x_gate":{{"usage":{0}}}}}"#, usage(2)),
            format!(r#"{{"choices":[],"usage":{}}}"#, usage(2)),
        ],
        // Only in the gateway's object.
        vec![with(text, ""), format!(r#"{done},"x_gate":{{"usage":{}}}}}"#, usage(2))],
        // In the choice.
        vec![
            with(text, ""),
            format!(r#"{{"choices":[{{"delta":{{}},"finish_reason":"stop","usage":{}}}]}}"#, usage(2)),
        ],
        // After the finish, then null.
        vec![
            with(text, ""),
            format!("{done}}}"),
            format!(r#"{{"choices":[],"usage":{}}}"#, usage(2)),
            r#"{"choices":[],"usage":null}"#.into(),
        ],
        // After the finish, then of nothing but zeros.
        vec![
            with(text, ""),
            format!(r#"{done},"usage":{}}}"#, usage(2)),
            r#"{"choices":[],"usage":{"prompt_tokens":0,"completion_tokens":0,"total_tokens":0}}"#.into(),
        ],
        // Before a marker without a reason.
        vec![with(text, &format!(r#","usage":{}"#, usage(2))), "[DONE]".into()],
    ];
    for payloads in cases {
        let payloads: Vec<&str> = payloads.iter().map(String::as_str).collect();
        let response = answer(&payloads);
        let usage = response.usage.unwrap_or_else(|| panic!("{payloads:?}"));
        assert_eq!((usage.input_total(), usage.output_total()), (9, 2), "{payloads:?}");
        assert_eq!(usage.source, UsageSource::Reported, "{payloads:?}");
    }
}

#[test]
fn the_same_usage_is_given_once() {
    let usage = r#""usage":{"prompt_tokens":9,"completion_tokens":2}"#;
    let end =
        format!(r#"{{"choices":[{{"index":0,"delta":{{"content":"x"}},"finish_reason":"stop"}}],{usage}}}"#);
    let (events, result) = read(&body(&[&end, &format!(r#"{{"choices":[],{usage}}}"#), "[DONE]"]), &TARGET);
    result.unwrap();
    assert_eq!(events.iter().filter(|event| matches!(event, StreamEvent::Usage(_))).count(), 1);
}

#[test]
fn what_the_ledger_has_no_place_for_is_kept_beside_it() {
    let response = answer(&[
        &chunk(r#"{"content":"x"}"#, "stop"),
        r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,"cost":0.50}}"#,
    ]);
    assert_eq!(
        response.extra.get("usage").unwrap().get(),
        r#"{"prompt_tokens":1,"completion_tokens":1,"cost":0.50}"#
    );
}

#[test]
fn unknown_members_are_kept_and_repeated_ones_given_once() {
    let quirks = Quirks { replay_members: &["extra_content"], ..Quirks::NONE };
    let target = WireTarget { quirks: &quirks, ..TARGET };
    let payload = |i: u32| {
        format!(
            r#"{{"choices":[{{"index":0,"delta":{{"content":"x","channel":"final","annotations":[{{"n":{i}}}],"extra_content":{{"s":"t"}},"same":1,"tool_calls":[{{"index":0,"id":"c","function":{{"name":"f","arguments":""}},"extra_content":{{"u":1}}}}]}},"stop_reason":null,"same":2,"token_ids":[{i}]}}],"provider":"p","p":"pad","x_gate":{{"id":1,"n{i}":2}}}}"#
        )
    };
    let (events, result) = read(&body(&[&payload(0), &payload(1), "[DONE]"]), &target);
    result.unwrap();
    let providers =
        events.iter().filter(|e| matches!(e, StreamEvent::Extra { name, .. } if name == "provider"));
    assert_eq!(providers.count(), 1);
    let response = collect(events);
    assert_snapshot!(serde_json::to_string(&response.extra).unwrap(), @r#"{"provider":"p","x_gate":{"id":1,"n0":2,"n1":2}}"#);
    let choice = &response.choices[0];
    assert_snapshot!(serde_json::to_string(&choice.extra).unwrap(), @r#"{"same":2,"token_ids":[1],"channel":"final","message.same":1,"annotations":[{"n":0},{"n":1}]}"#);
    assert_snapshot!(serde_json::to_string(&choice.message.extra).unwrap(), @r#"{"extra_content":{"s":"t"},"made_by":"us"}"#);
    assert_snapshot!(serde_json::to_string(&response.tool_calls().next().unwrap().extra).unwrap(), @r#"{"extra_content":{"u":1}}"#);
}

#[test]
fn a_message_beside_the_delta_is_not_read_twice() {
    let response = answer(&[
        r#"{"choices":[{"index":0,"delta":{"content":"A"},"message":{"content":"A"}}]}"#,
        r#"{"choices":[{"index":0,"delta":{"content":"B"},"message":{"content":"AB"},"finish_reason":"stop"}],"object":"chat.completion.done"}"#,
    ]);
    assert_eq!(response.text(), "AB");
    let whole = answer(&[
        r#"{"choices":[{"index":0,"message":{"content":"whole"},"finish_reason":"stop"}]}"#,
        "[DONE]",
    ]);
    assert_eq!(whole.text(), "whole", "a message where no delta ever came");
}

#[test]
fn log_probabilities_are_joined_and_empty_ones_left_out() {
    let with = |logprobs: &str| {
        format!(r#"{{"choices":[{{"index":0,"delta":{{"content":"x"}},"logprobs":{logprobs}}}]}}"#)
    };
    let response = answer(&[
        &with(r#"{"content":[],"refusal":null}"#),
        &with(r#"{"content":[{"token":"a","logprob":-9999.0,"bytes":null}],"refusal":null}"#),
        &with(r#"{"content":[{"token":"b"}],"refusal":null}"#),
        "[DONE]",
    ]);
    let joined = response.choices[0].logprobs.as_ref().unwrap().get();
    assert_eq!(
        joined,
        r#"{"content":[{"token":"a","logprob":-9999.0,"bytes":null},{"token":"b"}],"refusal":null}"#
    );
    let none = answer(&[&with(r#"{"content":null,"refusal":null}"#), "[DONE]"]);
    assert!(none.choices[0].logprobs.is_none());
}

#[test]
fn sounds_are_put_together_and_can_be_referred_to() {
    let piece = |json: &str| chunk(&format!(r#"{{"audio":{json}}}"#), "");
    let response = answer(&[
        &piece(r#"{"id":"audio_1","data":"QQ==","transcript":"He"}"#),
        &piece(r#"{"data":"Qg==","transcript":"y"}"#),
        &chunk("{}", "stop"),
        r#"{"choices":[{"index":0,"delta":{"audio":{"expires_at":1793500000}}}]}"#,
        "[DONE]",
    ]);
    let choice = &response.choices[0];
    assert_eq!(
        choice.extra.get("audio").unwrap().get(),
        r#"{"id":"audio_1","data":"QUI=","transcript":"Hey","expires_at":1793500000}"#
    );
    assert_eq!(choice.message.extra.get("audio").unwrap().get(), r#"{"id":"audio_1"}"#);
    assert!(response.warnings.is_empty());
}

#[test]
fn errors_in_the_stream_end_it_and_leave_what_came() {
    let text = chunk(r#"{"content":"x"}"#, "");
    for (payloads, kind, code, message) in [
        (
            vec![
                text.as_str(),
                r#"{"error":{"message":"m","type":"server_error","param":null,"code":null}}"#,
            ],
            ErrorKind::Server,
            Some("server_error"),
            "m",
        ),
        (
            vec![
                &text,
                r#"{"id":"gen-1","error":{"code":502,"message":"Upstream closed"},"choices":[{"index":0,"delta":{"content":"y"},"finish_reason":"error"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#,
                "[DONE]",
            ],
            ErrorKind::Server,
            Some("502"),
            "Upstream closed",
        ),
        (vec![&text, r#"{"code":"c","error":"text"}"#], ErrorKind::Server, Some("c"), "text"),
        (
            vec![&text, r#"{"object":"error","message":"m","type":"BadRequestError","code":400}"#],
            ErrorKind::InvalidRequest,
            Some("400"),
            "m",
        ),
        (
            vec![&text, r#"{"choices":[{"delta":{},"error":{"code":429,"message":"m"}}]}"#],
            ErrorKind::RateLimited,
            Some("429"),
            "m",
        ),
        (
            vec![&text, r#"{"choices":[],"x_gate":{"error":"stopped early"}}"#],
            ErrorKind::Server,
            None,
            "stopped early",
        ),
        (vec![&text, r#"[{"error":{"code":404,"message":"m"}}]"#], ErrorKind::NotFound, Some("404"), "m"),
        (vec![&text, r#"{"detail":"m"}"#], ErrorKind::Server, None, "m"),
        (
            vec![&text, r#"{"message":"m","type":"invalid_request_error"}"#],
            ErrorKind::InvalidRequest,
            Some("invalid_request_error"),
            "m",
        ),
    ] {
        let (partial, error) = fails(&payloads);
        assert_eq!((error.kind(), error.code(), error.message()), (kind, code, message), "{payloads:?}");
        assert!(partial.text().starts_with('x'), "{payloads:?}");
    }
    let (events, result) = read(
        &format!(
            "{}event: error\ndata: {{\"message\":\"m\",\"code\":\"tool_use_failed\",\"failed_generation\":\"CANARY\",\"status_code\":400}}\n\n",
            body(&[&text])
        ),
        &TARGET,
    );
    let error = result.unwrap_err();
    assert_eq!(
        (error.kind(), error.code(), error.message()),
        (ErrorKind::InvalidRequest, Some("tool_use_failed"), "m")
    );
    assert_eq!(collect(events).text(), "x");
    // Null, empty and false are no errors.
    let fine = answer(&[
        r#"{"error":null,"choices":[{"delta":{"content":"x"},"finish_reason":"stop"}]}"#,
        r#"{"error":"","choices":[]}"#,
        r#"{"error":0,"choices":[],"x_gate":{"error":""}}"#,
        r#"{"choices":[{"delta":{},"error":{}}],"x_gate":{"error":false}}"#,
    ]);
    assert_eq!(fine.text(), "x");
}

#[test]
fn a_body_without_events_is_read_as_what_it_is() {
    let (events, result) = read(
        "{\"id\":\"c\",\n\"choices\":[{\"index\":0,\"message\":{\"content\":\"whole\"},\"finish_reason\":\"stop\"}]}\n",
        &TARGET,
    );
    result.unwrap();
    assert_eq!(collect(events).text(), "whole");
    let (_, result) =
        read("[{\n  \"error\": {\n    \"code\": 404,\n    \"message\": \"no such model\"\n  }\n}]", &TARGET);
    let error = result.unwrap_err();
    assert_eq!((error.kind(), error.message()), (ErrorKind::NotFound, "no such model"));
    let whole = |body: &str| {
        crate::dialect::Dialect::OpenAiChat
            .decode_unstreamed(body.as_bytes(), &TARGET, &mut Vec::new())
            .unwrap_err()
    };
    let error = whole(r#"{"code":500,"msg":"internal","data":null,"success":false}"#);
    assert_eq!((error.kind(), error.message()), (ErrorKind::Server, "internal"));
    let error = whole(r#"{"code":0,"msg":"ok","data":null}"#);
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::Protocol, "the body holds no answer (no choices)")
    );
    let (_, result) = read("{\"a\":1}", &TARGET);
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Protocol);
    let (_, result) = read("{\"error\":", &TARGET);
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Protocol);
}

#[test]
fn broken_characters_cost_no_answer() {
    let (events, result) = read(
        &body(&[
            &chunk(r#"{"content":"a\ud800","reasoning":"x\n"}"#, ""),
            &chunk(
                r#"{"tool_calls":[{"id":"c","function":{"name":"f","arguments":"{\"q\":\"\udfff\"}"}}]}"#,
                "stop",
            ),
        ]),
        &TARGET,
    );
    result.unwrap();
    let response = collect(events);
    assert_eq!(response.text(), "a\u{FFFD}");
    assert_eq!(calls(&response), [("c", "f", "{\"q\":\"\u{FFFD}\"}")]);
    assert_eq!(response.warnings.len(), 1, "{:?}", response.warnings);
    let odd = answer(&[
        r#"{"created":1e400,"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":"stop","score":NaN}],"usage":{"prompt_tokens":1e400,"completion_tokens":-3,"total_tokens":"7"}}"#,
    ]);
    assert_eq!((odd.text().as_str(), odd.created), ("x", None));
    assert_eq!(odd.usage.unwrap().total(), 7);
}

#[test]
fn an_endless_stream_is_remembered_only_so_far() {
    let fails_with = |payload: &dyn Fn(usize) -> String, message: &str| {
        let mut state = StreamState::new(&TARGET);
        let mut out = Vec::new();
        for i in 0..10_000 {
            out.clear();
            if let Err(error) = state.step(SseFrame::message(&payload(i)), &mut out) {
                assert_eq!((error.kind(), error.message()), (ErrorKind::TooLarge, message));
                return;
            }
        }
        panic!("no end: {message}");
    };
    fails_with(
        &|i| format!(r#"{{"choices":[{{"index":{i},"delta":{{}}}}]}}"#),
        "the answer has more than 1024 choices",
    );
    let call = |i| {
        chunk(&format!(r#"{{"tool_calls":[{{"index":{i},"id":"c{i}","function":{{"name":"f"}}}}]}}"#), "")
    };
    fails_with(&call, "the answer has more than 4096 tool calls");
    let annotation = format!("[\"{}\"]", "x".repeat(100_000));
    fails_with(
        &|_| chunk(&format!(r#"{{"annotations":{annotation}}}"#), ""),
        "the answer has more than 33554432 bytes of sound, annotations and the like",
    );
    // Members of ever new names are given on and not remembered; the start does not wait for ever.
    let mut state = StreamState::new(&TARGET);
    let mut given = 0;
    for i in 0..1000 {
        let mut out = Vec::new();
        state.step(SseFrame::message(&format!(r#"{{"m{i}":{i}}}"#)), &mut out).unwrap();
        given += out.len();
        assert!(state.head.waiting.len() <= MOST_WAITING);
    }
    assert_eq!(given, 1001, "one start and every member");
}

#[test]
fn calls_in_a_nameless_choice_of_their_own_belong_to_the_one_that_stopped_for_them() {
    let call = r#"{"finish_reason":"tool_calls","message":{"tool_calls":[{"id":"t","function":{"name":"f","arguments":"{}"}}]}}"#;
    let body = |first: &str| format!(r#"{{"choices":[{first},{call}]}}"#);
    let read = |first: &str| {
        let body = body(first);
        let response = crate::dialect::Dialect::OpenAiChat.decode_chat(body.as_bytes(), &TARGET).unwrap();
        (response.choices.len(), response.text(), calls(&response).len())
    };
    let one = (1, "I look".to_owned(), 1);
    assert_eq!(read(r#"{"finish_reason":"tool_calls","message":{"content":"I look"}}"#), one);
    for other in [
        r#"{"finish_reason":"stop","message":{"content":"I look"}}"#,
        r#"{"finish_reason":"tool_calls","message":{"content":"I look","tool_calls":[{"id":"s","function":{"name":"f"}}]}}"#,
    ] {
        assert_eq!(read(other).0, 2, "{other}");
    }
}
