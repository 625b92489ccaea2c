//! Our own imitations of what servers send, each through every way of reading it.

use insta::assert_snapshot;

use super::*;

macro_rules! fixtures {
    ($($name:literal),* $(,)?) => {
        /// `(name, body)`.
        pub(super) const ALL: &[(&str, &str)] = &[
            $(($name, include_str!(concat!("../../../tests/data/openai_chat/", $name)))),*
        ];
    };
}

fixtures![
    "text-stream.sse",
    "text.json",
    "two-tool-calls-stream.sse",
    "thinking-then-tool-call-stream.sse",
    "reasoning-details-stream.sse",
    "thinking-parts-stream.sse",
    "whole-tool-calls-without-index-stream.sse",
    "cumulative-message-no-done-stream.sse",
    "usage-three-times-stream.sse",
    "error-event-stream.sse",
    "error-beside-choices-stream.sse",
    "placeholder-first-chunk-crlf-stream.sse",
    "two-choices-logprobs-stream.sse",
    "refusal.json",
    "empty-placeholders.json",
    "reasoning-outside-total.json",
    "inline-think-tag.json",
    "empty-call-id.json",
];

fn body(name: &str) -> &'static [u8] {
    ALL.iter().find(|(known, _)| *known == name).expect("a fixture").1.as_bytes()
}

fn read(name: &str, target: &WireTarget<'_>) -> String {
    if name.ends_with(".json") {
        return shape(&DIALECT.decode_chat(body(name), target).unwrap());
    }
    let (events, result) = stream([body(name)], target);
    let end = result
        .map_or_else(|error| format!("{:?} {:?} {error}\n", error.kind(), error.code()), |()| String::new());
    shape(&collect(events)) + &end
}

#[test]
fn streams_give_the_same_events_at_every_cut() {
    for Spoken { dialect, target, bodies, .. } in SPOKEN {
        for (name, text) in *bodies {
            for json in heads(*dialect).filter(|json| *json || name.ends_with(".sse")) {
                cut_everywhere(*dialect, json, target, name, text.as_bytes(), usize::MAX);
            }
        }
    }
}

/// The streams in the fixtures of vendors, which the catalogue's own tests read with the rows' quirks.
fn of_vendors() -> Vec<(String, String)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/vendors");
    let mut streams = Vec::new();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let fixture: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
        for answer in fixture["answers"].as_array().unwrap() {
            let Some(lines) = answer["stream"].as_array() else { continue };
            let lines: Vec<&str> = lines.iter().map(|line| line.as_str().unwrap()).collect();
            streams.push((path.display().to_string(), lines.join("\n") + "\n"));
        }
    }
    streams
}

#[test]
fn streams_of_vendors_give_the_same_events_at_every_cut() {
    let streams = of_vendors();
    assert!(streams.len() > 10, "{}", streams.len());
    for (name, text) in &streams {
        reads_the_same_at_every_cut(DIALECT, &TARGET, name, text.as_bytes(), usize::MAX);
    }
}

#[test]
fn a_stream_cut_short_is_never_taken_for_a_whole_answer() {
    for Spoken { dialect, target, bodies, reason } in SPOKEN {
        let streams =
            bodies.iter().filter(|(name, _)| name.ends_with(".sse") || name.ends_with("-list.json"));
        for (name, text) in
            streams.filter(|(name, _)| !name.starts_with("error") && !name.starts_with("over"))
        {
            // Up to the first reason to stop nothing is whole.
            for cut in 0..text.find(reason).unwrap() {
                let pieces = [&text.as_bytes()[..cut]];
                let (events, result) = stream_by(*dialect, name.ends_with(".json"), pieces, target);
                let kind = result.expect_err(name).kind();
                let seen = events.iter().any(StreamEvent::is_content);
                let expected = if seen { ErrorKind::Truncated } else { ErrorKind::Connection };
                assert_eq!(kind, expected, "{name} cut at {cut}");
            }
        }
    }
}

#[test]
fn a_whole_body_reads_the_same_where_a_stream_was_asked_for() {
    for (name, text) in ALL.iter().filter(|(name, _)| name.ends_with(".json")) {
        let response = DIALECT.decode_chat(text.as_bytes(), &TARGET).unwrap();
        let mut events = Vec::new();
        DIALECT.decode_unstreamed(text.as_bytes(), &TARGET, &mut events).unwrap();
        assert_eq!(shape(&collect(events)), shape(&response), "{name}");
        let (events, result) = stream([text.as_bytes()], &TARGET);
        result.unwrap();
        assert_eq!(shape(&collect(events)), shape(&response), "{name} as a stream");
        assert_eq!(shape(&collect(events_of(response.clone()))), shape(&response), "{name} as events");
    }
}

#[test]
fn a_stream_reads_the_same_where_a_whole_body_was_asked_for() {
    for (name, text) in ALL.iter().filter(|(name, _)| name.ends_with(".sse")) {
        let (events, result) = stream([text.as_bytes()], &TARGET);
        match (DIALECT.decode_chat(text.as_bytes(), &TARGET), result) {
            (Ok(response), Ok(())) => {
                let collected = collect(events);
                assert_eq!(format!("{response:?}"), format!("{collected:?}"), "{name}");
                assert_eq!(shape(&collect(events_of(collected))), shape(&response), "{name} as events");
            }
            (Err(found), Err(expected)) => {
                assert_eq!(found.kind(), expected.kind(), "{name}");
                assert_eq!(shape(found.partial().unwrap()), shape(&collect(events)), "{name}");
            }
            (found, expected) => panic!("{name}: {found:?} {expected:?}"),
        }
    }
}

#[test]
fn answers_can_be_sent_back() {
    let quirks = Quirks {
        replay: Replay { when: ReplayWhen::Always, field: ReplayField::Details },
        replay_members: &["extra_content"],
        ..Quirks::NONE
    };
    let target = WireTarget { quirks: &quirks, ..TARGET };
    let next = |name: &str| {
        let response = if name.ends_with(".json") {
            DIALECT.decode_chat(body(name), &target).unwrap()
        } else {
            collect(stream([body(name)], &target).0)
        };
        let request = ChatRequest::new(vec![response.message().unwrap().clone()]);
        let encoded = DIALECT.encode_chat(&request, &target, false).unwrap();
        assert!(encoded.warnings.is_empty());
        String::from_utf8(encoded.body.to_vec()).unwrap()
    };
    assert_snapshot!(next("reasoning-details-stream.sse"), @r#"{"model":"some-model","messages":[{"role":"assistant","content":"9","reasoning_details":[{"type":"reasoning.text","text":"17 sheep, 8 run away.","signature":"c2ln","format":"acme-v1","index":0},{"type":"reasoning.encrypted","data":"ZW5j","id":"rs_1","format":"acme-v1","index":1}]}]}"#);
    assert_snapshot!(next("empty-call-id.json"), @r#"{"model":"some-model","messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"call_tF1NfNqHr","type":"function","function":{"name":"now","arguments":"{}"},"extra_content":{"v": {"thought_signature": "c2ln"}}}]}]}"#);
    assert_snapshot!(next("two-tool-calls-stream.sse"), @r#"{"model":"some-model","messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"call_a","type":"function","function":{"name":"tide","arguments":"{\"port\":\"Brest\"}"}},{"id":"call_b","type":"function","function":{"name":"wind","arguments":"{\"port\":\"Ouessant\"}"}}]}]}"#);
    assert_snapshot!(next("refusal.json"), @r#"{"model":"some-model","messages":[{"role":"assistant","content":[{"type":"refusal","refusal":"I can't help with that."}]}]}"#);
    let thinker = Quirks {
        replay: Replay { when: ReplayWhen::WithTools, field: ReplayField::ReasoningContent },
        ..Quirks::NONE
    };
    let target = WireTarget { quirks: &thinker, ..TARGET };
    let response = collect(stream([body("thinking-then-tool-call-stream.sse")], &target).0);
    let request = ChatRequest::new(vec![response.message().unwrap().clone()]);
    let encoded = DIALECT.encode_chat(&request, &target, false).unwrap();
    assert_snapshot!(String::from_utf8_lossy(&encoded.body), @r#"{"model":"some-model","messages":[{"role":"assistant","content":null,"reasoning_content":"Need the port.","tool_calls":[{"id":"call_0","type":"function","function":{"name":"get_tide","arguments":"{\"port\":\"Brest\"}"}}]}]}"#);
}

#[test]
fn what_each_of_them_says() {
    assert_snapshot!(read("text-stream.sse", &TARGET), @r#"
    text "High water at Brest: 04:12 — café 🌊.\n"
    finish Some(Stop) native Some("stop")
    usage 21 in (cached Some(4)), 9 out (reasoning Some(0)), Reported
    id Some("chatcmpl-f1") model Some("sea-1") extra []
    "#);
    assert_snapshot!(read("text.json", &TARGET), @r#"
    text "A lighthouse."
    finish Some(Stop) native Some("stop")
    usage 95 in (cached Some(0)), 22 out (reasoning Some(16)), Reported
    id Some("chatcmpl-f2") model Some("sea-1-2026-09-01") extra ["service_tier"]
    "#);
    assert_snapshot!(read("two-tool-calls-stream.sse", &TARGET), @r#"
    call call_a tide({"port":"Brest"}) {}
    call call_b wind({"port":"Ouessant"}) {}
    finish Some(ToolCalls) native Some("tool_calls")
    usage 21 in (cached Some(4)), 9 out (reasoning Some(0)), Reported
    id Some("chatcmpl-f1") model Some("sea-1") extra []
    "#);
    assert_snapshot!(read("thinking-then-tool-call-stream.sse", &TARGET), @r#"
    thought "Need the port." signature None encrypted None
    call call_0 get_tide({"port":"Brest"}) {}
    finish Some(ToolCalls) native Some("tool_calls")
    usage 30 in (cached Some(10)), 12 out (reasoning Some(4)), Reported
    id Some("chatcmpl-f1") model Some("sea-1") extra []
    "#);
    assert_snapshot!(read("reasoning-details-stream.sse", &TARGET), @r#"
    thought "17 sheep, 8 run away." signature Some("c2ln") encrypted None
    thought "" signature None encrypted Some("ZW5j")
    text "9"
    finish Some(Stop) native Some("end_turn")
    usage 40 in (cached None), 30 out (reasoning Some(30)), Reported
    id Some("chatcmpl-f1") model Some("sea-1") extra ["provider", "usage"]
    "#);
    assert_snapshot!(read("thinking-parts-stream.sse", &TARGET), @r#"
    thought "2+2 is 4." signature None encrypted None
    text "4"
    finish Some(Stop) native Some("stop")
    usage 10 in (cached None), 6 out (reasoning None), Reported
    id Some("chatcmpl-f1") model Some("sea-1") extra []
    "#);
    assert_snapshot!(read("whole-tool-calls-without-index-stream.sse", &TARGET), @r#"
    call FI5qQGzDE tide({}) {}
    call aB3dE6gH9 wind({"port":"Brest"}) {}
    finish Some(ToolCalls) native Some("tool_calls")
    usage 10 in (cached None), 16 out (reasoning None), Reported
    id Some("chatcmpl-f1") model Some("sea-1") extra []
    "#);
    assert_snapshot!(read("cumulative-message-no-done-stream.sse", &TARGET), @r#"
    text "The Moon passes."
    finish Some(Stop) native Some("stop")
    usage 8 in (cached None), 4 out (reasoning None), Reported
    id Some("chatcmpl-f1") model Some("sea-1") extra ["citations", "usage"]
    "#);
    assert_snapshot!(read("usage-three-times-stream.sse", &TARGET), @r#"
    text "Hi"
    finish Some(Stop) native Some("stop")
    usage 9 in (cached None), 2 out (reasoning None), Reported
    id Some("chatcmpl-f1") model Some("sea-1") extra ["x_gate", "usage"]
    "#);
    assert_snapshot!(read("error-event-stream.sse", &TARGET), @r#"
    thought "We need a tool." signature None encrypted None
    finish None native None
    beside {"channel": "\"analysis\""}
    id Some("chatcmpl-f1") model Some("sea-1") extra []
    InvalidRequest Some("tool_use_failed") Tool call validation failed
    "#);
    assert_snapshot!(read("error-beside-choices-stream.sse", &TARGET), @r#"
    text "Tides"
    finish Some(Error) native Some("error")
    id Some("chatcmpl-f1") model Some("sea-1") extra ["provider"]
    Server Some("502") Upstream closed
    "#);
    assert_snapshot!(read("placeholder-first-chunk-crlf-stream.sse", &TARGET), @r#"
    text "Text in larger lumps. And more."
    finish Some(Stop) native Some("stop")
    beside {"content_filter_results": "{\"hate\":{\"filtered\":false,\"severity\":\"safe\"}}"}
    usage 21 in (cached Some(4)), 9 out (reasoning Some(0)), Reported
    id Some("chatcmpl-f1") model Some("sea-1") extra ["prompt_filter_results"]
    "#);
    assert_snapshot!(read("two-choices-logprobs-stream.sse", &TARGET), @r#"
    text "cobalt"
    finish Some(Stop) native Some("stop")
    logprobs {"content":[{"token":"cob","logprob":-0.1,"bytes":[99,111,98],"top_logprobs":[]},{"token":"alt","logprob":-9999.0,"bytes":null,"top_logprobs":[]}],"refusal":null}
    text "azure"
    finish Some(Length) native Some("length")
    usage 21 in (cached Some(4)), 9 out (reasoning Some(0)), Reported
    id Some("chatcmpl-f1") model Some("sea-1") extra []
    "#);
    assert_snapshot!(read("refusal.json", &TARGET), @r#"
    refusal "I can't help with that."
    finish Some(Stop) native Some("stop")
    usage 21 in (cached Some(4)), 9 out (reasoning Some(0)), Reported
    id Some("chatcmpl-f3") model Some("sea-1") extra []
    "#);
    assert_snapshot!(read("empty-placeholders.json", &TARGET), @r#"
    text "4"
    finish Some(Stop) native None
    usage 22 in (cached None), 5 out (reasoning None), Reported
    id None model Some("sea-1") extra ["service_tier", "system_fingerprint"]
    "#);
    assert_snapshot!(read("reasoning-outside-total.json", &TARGET), @r#"
    thought "One word." signature None encrypted None
    text "Hello"
    finish Some(Stop) native Some("stop")
    usage 12 in (cached Some(2)), 229 out (reasoning Some(228)), Reported
    id Some("9d") model Some("sea-1") extra []
    "#);
    assert_snapshot!(read("inline-think-tag.json", &TARGET), @r#"
    text "<think>\nA greeting.\n</think>\n\nHello! How can I help?"
    finish Some(Stop) native Some("stop")
    beside {"seed": "3859899181302555600"}
    usage 4 in (cached Some(0)), 17 out (reasoning None), Reported
    id Some("oV1") model Some("sea-1") extra []
    "#);
    let compatible = WireTarget { quirks: &Quirks::COMPATIBLE, ..TARGET };
    assert_snapshot!(read("inline-think-tag.json", &compatible), @r#"
    thought "A greeting.\n" signature None encrypted None
    text "Hello! How can I help?"
    finish Some(Stop) native Some("stop")
    beside {"seed": "3859899181302555600"}
    usage 4 in (cached Some(0)), 17 out (reasoning None), Reported
    id Some("oV1") model Some("sea-1") extra []
    "#);
    assert_snapshot!(read("empty-call-id.json", &TARGET), @r#"
    call call_tF1NfNqHr now({}) {"extra_content": "{\"v\": {\"thought_signature\": \"c2ln\"}}"}
    finish Some(ToolCalls) native Some("tool_calls")
    usage 35 in (cached None), 12 out (reasoning None), Reported
    id Some("3SE") model Some("sea-1") extra []
    "#);
    let rest = UsageRule { reasoning: InTotal::Remainder, ..Quirks::NONE.usage };
    let quirks = Quirks { usage: rest, ..Quirks::NONE };
    assert_snapshot!(read("empty-call-id.json", &WireTarget { quirks: &quirks, ..TARGET }), @r#"
    call call_tF1NfNqHr now({}) {"extra_content": "{\"v\": {\"thought_signature\": \"c2ln\"}}"}
    finish Some(ToolCalls) native Some("tool_calls")
    usage 35 in (cached None), 74 out (reasoning Some(62)), Reported
    id Some("3SE") model Some("sea-1") extra []
    "#);
}
