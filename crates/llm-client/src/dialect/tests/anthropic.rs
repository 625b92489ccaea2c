//! What the Anthropic format makes of whole bodies: our imitations, recorded answers, and the way back.

use insta::assert_snapshot;
use llm_types::{Extra, FinishReason, Message, ToolResult};

use serde_json::value::RawValue;

use super::recorded::{Recorded, recorded_in};
use super::*;

const DIALECT: Dialect = Dialect::Anthropic;
pub(super) const TARGET: WireTarget<'static> =
    WireTarget { model: "some-model", quirks: &Quirks::ANTHROPIC, origin: Some("us") };

macro_rules! fixtures {
    ($($name:literal),* $(,)?) => {
        /// `(name, body)`.
        pub(super) const ALL: &[(&str, &str)] = &[
            $(($name, include_str!(concat!("../../../tests/data/anthropic/", $name)))),*
        ];
    };
}

fixtures![
    "text-stream.sse",
    "thinking-interleaved-with-tools-stream.sse",
    "withheld-and-redacted-thinking-stream.sse",
    "citations-stream.sse",
    "server-tools-stream.sse",
    "overloaded-in-the-middle-stream.sse",
    "whole-in-start-stream.sse",
    "refusal-without-blocks-stream.sse",
    "repeated-start-stream.sse",
    "gateway-names-and-done-stream.sse",
    "only-thinking-stream.sse",
    "message.json",
    "empty-content.json",
];

fn body(name: &str) -> &'static [u8] {
    ALL.iter().find(|(known, _)| *known == name).expect("a fixture").1.as_bytes()
}

fn collected(name: &str) -> (ChatResponse, Result<(), Error>) {
    if name.ends_with(".json") {
        return (DIALECT.decode_chat(body(name), &TARGET).unwrap(), Ok(()));
    }
    let (events, result) = stream_in(DIALECT, [body(name)], &TARGET);
    (collect(events), result)
}

fn read(name: &str) -> String {
    let (response, result) = collected(name);
    let end = result
        .map_or_else(|error| format!("{:?} {:?} {error}\n", error.kind(), error.code()), |()| String::new());
    shape(&response) + &end
}

/// The body of a request that sends the answer back, and the results of its calls.
fn next(response: &ChatResponse, target: &WireTarget<'_>) -> (String, Vec<Warning>) {
    let message = response.message().unwrap().clone();
    let results: Vec<Part> =
        message.tool_calls().map(|call| Part::ToolResult(ToolResult::text(&call.id, "ok"))).collect();
    let mut messages = vec![Message::user("hi"), message];
    if !results.is_empty() {
        messages.extend(results.into_iter().map(|result| Message::new(llm_types::Role::Tool, vec![result])));
    }
    let encoded = DIALECT.encode_chat(&ChatRequest::new(messages), target, false).unwrap();
    (String::from_utf8(encoded.body.to_vec()).unwrap(), encoded.warnings)
}

#[test]
fn what_each_of_them_says() {
    assert_snapshot!(read("text-stream.sse"), @r#"
    text "High water at Brest: 04:12 — café 🌊.\n"
    finish Some(Stop) native Some("end_turn")
    usage 25 in (cached None), 31 out (reasoning None), Reported
    id Some("msg_f1") model Some("sea-1") extra []
    "#);
    assert_snapshot!(read("thinking-interleaved-with-tools-stream.sse"), @r#"
    thought "Need the tide." signature Some("c2lnMQ==") encrypted None
    call toolu_1 tide({"port": "Brest"}) {"caller": "{\"type\":\"direct\"}"}
    thought "And the wind." signature Some("c2lnMg==") encrypted None
    call toolu_2 wind({}) {}
    finish Some(ToolCalls) native Some("tool_use")
    usage 1434 in (cached Some(1024)), 57 out (reasoning Some(21)), Reported
    id Some("msg_f1") model Some("sea-1") extra ["usage"]
    "#);
    assert_snapshot!(read("withheld-and-redacted-thinking-stream.sse"), @r#"
    thought "" signature Some("c2ln") encrypted None
    thought "" signature None encrypted Some("ZW5j")
    text "Four."
    finish Some(Stop) native Some("end_turn")
    usage 25 in (cached None), 31 out (reasoning None), Reported
    id Some("msg_f1") model Some("sea-1") extra []
    "#);
    assert_snapshot!(read("citations-stream.sse"), @r#"
    text "The book says "
    text "tides rise"
    text ", and so on."
    finish Some(Stop) native Some("end_turn")
    usage 25 in (cached None), 31 out (reasoning None), Reported
    id Some("msg_f1") model Some("sea-1") extra []
    "#);
    assert_snapshot!(read("server-tools-stream.sse"), @r#"
    Native(NativePart { json: RawValue({"type":"server_tool_use","id":"srvtoolu_1","name":"code","input":{"code": "1+1"}}), origin: Some("us") })
    Native(NativePart { json: RawValue({"type":"code_execution_tool_result","tool_use_id":"srvtoolu_1","content":{"type":"code_execution_result","stdout":"2\n","return_code":0}}), origin: Some("us") })
    Native(NativePart { json: RawValue({"type":"compaction","content":"Sums were made."}), origin: Some("us") })
    text "It is 2."
    finish Some(Other) native Some("pause_turn")
    usage 90 in (cached None), 12 out (reasoning None), Reported
    id Some("msg_f1") model Some("sea-1") extra ["context_management", "container", "usage"]
    "#);
    assert_snapshot!(read("overloaded-in-the-middle-stream.sse"), @r#"
    text "Tides"
    finish None native None
    usage 25 in (cached None), 1 out (reasoning None), Partial
    id Some("msg_f1") model Some("sea-1") extra []
    Overloaded Some("overloaded_error") Overloaded
    "#);
    assert_snapshot!(read("whole-in-start-stream.sse"), @r#"
    call toolu_3 roll({"player":"two"}) {"caller": "{\"type\":\"code_execution_x\",\"tool_id\":\"srvtoolu_9\"}"}
    finish Some(ToolCalls) native Some("tool_use")
    usage 0 in (cached None), 0 out (reasoning None), Reported
    id Some("msg_f1") model Some("sea-1") extra ["container"]
    "#);
    assert_snapshot!(read("refusal-without-blocks-stream.sse"), @r#"
    finish Some(ContentFilter) native Some("refusal")
    beside {"stop_details": "{\"type\":\"refusal\",\"category\":\"cyber\",\"explanation\":\"No.\"}"}
    usage 25 in (cached None), 5 out (reasoning None), Reported
    id Some("msg_f1") model Some("sea-1") extra []
    "#);
    assert_snapshot!(read("repeated-start-stream.sse"), @r#"
    text "pong"
    finish Some(Stop) native Some("stop_sequence")
    beside {"stop_sequence": "\"END\""}
    usage 61 in (cached None), 2 out (reasoning None), Reported
    id Some("msg_f1") model Some("sea-1") extra []
    "#);
    assert_snapshot!(read("gateway-names-and-done-stream.sse"), @r#"
    text "Hi"
    thought "One." signature None encrypted None
    thought "Two." signature None encrypted None
    finish Some(Length) native Some("max_tokens")
    usage 9 in (cached None), 31 out (reasoning None), Reported
    id Some("msg_f1") model Some("sea-1") extra ["provider"]
    "#);
    assert_snapshot!(read("only-thinking-stream.sse"), @r#"
    thought "Hm." signature Some("c2ln") encrypted None
    finish Some(Length) native Some("model_context_window_exceeded")
    usage 25 in (cached None), 31 out (reasoning None), Reported
    id Some("msg_f1") model Some("sea-1") extra []
    warning answer: holds only reasoning; its text is empty
    "#);
    assert_snapshot!(read("message.json"), @r#"
    thought "Need the tide." signature Some("c2ln") encrypted None
    thought "" signature None encrypted Some("ZW5j")
    text "I look."
    text "Tides rise."
    call toolu_1 get_tide({"port": "Brest", "n": 1.5}) {}
    call toolu_2 now({}) {}
    finish Some(ToolCalls) native Some("tool_use")
    usage 1404 in (cached Some(1024)), 57 out (reasoning Some(21)), Reported
    id Some("msg_e1") model Some("sea-1") extra ["usage"]
    "#);
    assert_snapshot!(read("empty-content.json"), @r#"
    finish Some(Stop) native Some("stop_sequence")
    beside {"stop_sequence": "\"alpha bravo\""}
    usage 20 in (cached None), 3 out (reasoning None), Reported
    id Some("msg_e3") model Some("sea-1") extra []
    "#);
}

#[test]
fn answers_can_be_sent_back() {
    let back = |name: &str| {
        let (json, warnings) = next(&collected(name).0, &TARGET);
        assert!(warnings.is_empty(), "{name}: {warnings:?}");
        json
    };
    assert_snapshot!(back("message.json"), @r#"{"model":"some-model","max_tokens":8192,"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"thinking","thinking":"Need the tide.","signature":"c2ln"},{"type":"redacted_thinking","data":"ZW5j"},{"type":"text","text":"I look."},{"type":"text","text":"Tides rise.","citations":[{"type": "char_location", "cited_text": "Tides rise.", "document_index": 0, "document_title": null, "start_char_index": 0, "end_char_index": 11}]},{"type":"tool_use","id":"toolu_1","name":"get_tide","input":{"port": "Brest", "n": 1.5}},{"type":"tool_use","id":"toolu_2","name":"now","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":"ok"},{"type":"tool_result","tool_use_id":"toolu_2","content":"ok"}]}]}"#);
    assert_snapshot!(back("thinking-interleaved-with-tools-stream.sse"), @r#"{"model":"some-model","max_tokens":8192,"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"thinking","thinking":"Need the tide.","signature":"c2lnMQ=="},{"type":"tool_use","id":"toolu_1","name":"tide","input":{"port": "Brest"},"caller":{"type":"direct"}},{"type":"thinking","thinking":"And the wind.","signature":"c2lnMg=="},{"type":"tool_use","id":"toolu_2","name":"wind","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":"ok"},{"type":"tool_result","tool_use_id":"toolu_2","content":"ok"}]}]}"#);
    assert_snapshot!(back("withheld-and-redacted-thinking-stream.sse"), @r#"{"model":"some-model","max_tokens":8192,"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"thinking","thinking":"","signature":"c2ln"},{"type":"redacted_thinking","data":"ZW5j"},{"type":"text","text":"Four."}]}]}"#);
    assert_snapshot!(back("citations-stream.sse"), @r#"{"model":"some-model","max_tokens":8192,"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"text","text":"The book says "},{"type":"text","text":"tides rise","citations":[{"type":"char_location","cited_text":"Tides rise.","document_index":0,"document_title":null,"start_char_index":0,"end_char_index":11},{"type":"char_location","cited_text":"Tides rise.","document_index":0,"document_title":null,"start_char_index":3,"end_char_index":11}]},{"type":"text","text":", and so on."}]}]}"#);
    assert_snapshot!(back("server-tools-stream.sse"), @r#"{"model":"some-model","max_tokens":8192,"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"server_tool_use","id":"srvtoolu_1","name":"code","input":{"code": "1+1"}},{"type":"code_execution_tool_result","tool_use_id":"srvtoolu_1","content":{"type":"code_execution_result","stdout":"2\n","return_code":0}},{"type":"compaction","content":"Sums were made."},{"type":"text","text":"It is 2."}]}]}"#);
    assert_snapshot!(back("whole-in-start-stream.sse"), @r#"{"model":"some-model","max_tokens":8192,"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"tool_use","id":"toolu_3","name":"roll","input":{"player":"two"},"caller":{"type":"code_execution_x","tool_id":"srvtoolu_9"}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_3","content":"ok"}]}]}"#);
    assert_snapshot!(back("gateway-names-and-done-stream.sse"), @r#"{"model":"some-model","max_tokens":8192,"messages":[{"role":"user","content":"hi"},{"role":"assistant","content":[{"type":"text","text":"Hi"},{"type":"thinking","thinking":"One.","signature":""},{"type":"thinking","thinking":"Two.","signature":""}]}]}"#);
}

#[test]
fn what_only_the_first_vendor_can_read_goes_to_nobody_else() {
    let other = WireTarget { origin: Some("another"), ..TARGET };
    for name in ["message.json", "gateway-names-and-done-stream.sse"] {
        let (json, warnings) = next(&collected(name).0, &other);
        assert!(!json.contains("thinking") && !json.contains("c2ln") && !json.contains("ZW5j"), "{json}");
        let about: Vec<&str> = warnings.iter().map(|warning| warning.about.as_str()).collect();
        assert_eq!(about, ["messages[1].reasoning"], "{name}");
    }
}

#[test]
fn an_answer_goes_to_another_format_without_what_that_refuses() {
    let message = collected("citations-stream.sse").0.message().unwrap().clone();
    let request = ChatRequest::new(vec![message]);
    let encoded = super::DIALECT.encode_chat(&request, &super::TARGET, false).unwrap();
    assert_snapshot!(String::from_utf8_lossy(&encoded.body), @r#"{"model":"some-model","messages":[{"role":"assistant","content":[{"type":"text","text":"The book says "},{"type":"text","text":"tides rise"},{"type":"text","text":", and so on."}]}]}"#);
    let foreign = RawValue::from_string(r#"{"executableCode":{"code":"1"}}"#.to_owned()).unwrap();
    let parts = vec![Part::text("a"), Part::native(foreign)];
    let request = ChatRequest::new(vec![Message::new(llm_types::Role::Assistant, parts)]);
    let encoded = DIALECT.encode_chat(&request, &TARGET, false).unwrap();
    assert!(!String::from_utf8_lossy(&encoded.body).contains("executable"));
    assert_eq!(encoded.warnings[0].about, "messages[0].content[1]");
}

#[test]
fn whole_bodies_streams_and_events_are_one_another() {
    for (name, text) in ALL {
        let bytes = text.as_bytes();
        if name.ends_with(".json") {
            let response = DIALECT.decode_chat(bytes, &TARGET).unwrap();
            let mut events = Vec::new();
            DIALECT.decode_unstreamed(bytes, &TARGET, &mut events).unwrap();
            assert_eq!(shape(&collect(events)), shape(&response), "{name}");
            let (events, result) = stream_in(DIALECT, [bytes], &TARGET);
            result.unwrap();
            assert_eq!(shape(&collect(events)), shape(&response), "{name} as a stream");
            assert_eq!(shape(&collect(events_of(response.clone()))), shape(&response), "{name} as events");
            continue;
        }
        let (events, result) = stream_in(DIALECT, [bytes], &TARGET);
        match (DIALECT.decode_chat(bytes, &TARGET), result) {
            (Ok(response), Ok(())) => {
                let collected = collect(events);
                assert_eq!(format!("{response:?}"), format!("{collected:?}"), "{name}");
                let again = collect(events_of(collected.clone()));
                assert_eq!(format!("{:?}", again.choices), format!("{:?}", collected.choices), "{name}");
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
fn a_person_that_logged_in_has_a_bearer_token() {
    let with = |key: &str, quirks: &Quirks, beta: Option<&'static str>| {
        let mut headers = HeaderMap::new();
        headers.extend(
            beta.map(|beta| (HeaderName::from_static("anthropic-beta"), HeaderValue::from_static(beta))),
        );
        DIALECT.authorise(&Secret::key(key).unwrap(), quirks, &mut headers).unwrap();
        assert!(!format!("{headers:?}").contains("CANARY"));
        let told = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        [told("x-api-key"), told("authorization"), told("anthropic-beta")]
    };
    let some = |text: &str| Some(text.to_owned());
    let own = Quirks::ANTHROPIC;
    assert_eq!(with("sk-ant-api03-CANARY", &own, None), [some("sk-ant-api03-CANARY"), None, None]);
    assert_eq!(
        with("sk-ant-oat01-CANARY", &own, None),
        [None, some("Bearer sk-ant-oat01-CANARY"), some("oauth-2025-04-20")]
    );
    assert_eq!(with("sk-ant-oat01-CANARY", &own, Some("a,b"))[2], some("a,b,oauth-2025-04-20"));
    assert_eq!(with("sk-ant-oat01-CANARY", &own, Some("oauth-2025-04-20"))[2], some("oauth-2025-04-20"));
    let bearer = Quirks { auth: AuthHeader::Bearer, ..own };
    assert_eq!(with("CANARY", &bearer, None), [None, some("Bearer CANARY"), None]);
}

#[test]
fn requests_go_to_their_places() {
    let request = ChatRequest::user("hi");
    for (base, path) in [("https://h", ""), ("https://h/v1", ""), ("https://h/anthropic", "/anthropic")] {
        let given = Endpoint::parse(base).unwrap();
        let base = given.with_path(&DIALECT.base_path(given.path(), &Quirks::ANTHROPIC)).unwrap();
        let url =
            |e: Encoded| base.join(&e.path, e.query.as_deref().unwrap_or_default()).unwrap().to_string();
        let chat = DIALECT.encode_chat(&request, &TARGET, true).unwrap();
        assert_eq!(chat.headers["anthropic-version"], "2023-06-01");
        assert_eq!(url(chat), format!("https://h{path}/v1/messages"));
        let count = DIALECT.encode_count(&request, &TARGET).unwrap();
        assert_eq!(url(count), format!("https://h{path}/v1/messages/count_tokens"));
        assert_eq!(
            url(DIALECT.encode_models(None, &TARGET)),
            format!("https://h{path}/v1/models?limit=1000")
        );
    }
    let mut headers = HeaderMap::new();
    headers.insert("x-request-id", HeaderValue::from_static("gateway"));
    headers.insert("request-id", HeaderValue::from_static("req_1"));
    assert_eq!(DIALECT.request_id(&headers, &Quirks::ANTHROPIC), Some("req_1"));
}

#[test]
fn recorded_answers_are_whole_and_sane_at_every_cut() {
    for Recorded { name, model, streamed, status, body } in recorded_in("anthropic/") {
        let target = WireTarget { model: &model, ..TARGET };
        if status != 200 {
            let kind = if status == 404 { ErrorKind::ModelNotFound } else { ErrorKind::InvalidRequest };
            let http = StatusCode::from_u16(status).unwrap();
            let error = DIALECT.classify(http, &HeaderMap::new(), &body, &target, Hints::default());
            assert_eq!(error.kind(), kind, "{name}: {error:?}");
            assert!(!error.message().is_empty() && error.request_id().is_some(), "{name}");
            continue;
        }
        if name.ends_with(".request.json") {
            continue;
        }
        let response = if streamed {
            let most = if body.len() < 2500 { usize::MAX } else { 300 };
            reads_the_same_at_every_cut(DIALECT, &target, &name, &body, most);
            let (events, result) = stream_in(DIALECT, [body.as_slice()], &target);
            result.unwrap_or_else(|error| panic!("{name}: {error:?}"));
            collect(events)
        } else {
            DIALECT.decode_chat(&body, &target).unwrap_or_else(|error| panic!("{name}: {error:?}"))
        };
        let [choice] = response.choices.as_slice() else { panic!("{name}: one choice") };
        let reason = choice.finish_reason.unwrap();
        let expected = match name.as_str() {
            "cut-by-max-tokens-stream.sse" => FinishReason::Length,
            "refusal-empty-content.json" => FinishReason::ContentFilter,
            name if name.contains("tool-call") || name.contains("whole-message") => FinishReason::ToolCalls,
            _ => FinishReason::Stop,
        };
        assert_eq!(reason, expected, "{name}");
        assert_eq!(expected == FinishReason::ToolCalls, response.tool_calls().next().is_some(), "{name}");
        assert!(response.id.is_some() && response.model.is_some(), "{name}");
        assert!(response.warnings.is_empty(), "{name} {:?}", response.warnings);
        for call in response.tool_calls() {
            serde_json::from_str::<Extra>(&call.arguments).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        let usage = response.usage.unwrap_or_else(|| panic!("{name}: no usage"));
        assert_eq!(usage.source, llm_types::UsageSource::Reported, "{name}");
        assert_eq!(usage.total() > 0, !name.contains("whole-message"), "{name}");
        let again = collect(events_of(response.clone()));
        assert_eq!(format!("{:?}", again.choices), format!("{:?}", response.choices), "{name}");
        if !response.message().unwrap().parts.is_empty() {
            let (json, warnings) = next(&response, &target);
            assert!(warnings.is_empty(), "{name} {warnings:?}");
            serde_json::from_str::<serde::de::IgnoredAny>(&json).unwrap();
        }
    }
}

#[test]
fn recorded_answers_say_what_they_say() {
    let rows = recorded_in("anthropic/");
    if rows.is_empty() {
        return;
    }
    let read = |name: &str| {
        let row = rows.iter().find(|row| row.name == name).unwrap_or_else(|| panic!("{name}"));
        if row.streamed {
            collect(stream_in(DIALECT, [row.body.as_slice()], &TARGET).0)
        } else {
            DIALECT.decode_chat(&row.body, &TARGET).unwrap()
        }
    };
    for (name, text, input, output) in [
        ("text-stream.sse", "2", 20, 5),
        ("cut-by-max-tokens-stream.sse", "# The Ocean: Earth's Vast", 31, 8),
        ("input-tokens-corrected-in-delta-stream.sse", "pong", 61, 2),
        ("stop-sequence-empty-content.json", "", 20, 3),
        ("prompt-cache-usage.json", "OK", 1592, 4),
        ("refusal-empty-content.json", "", 18, 5),
    ] {
        let response = read(name);
        let usage = response.usage.unwrap();
        assert_eq!(
            (response.text().as_str(), usage.input_total(), usage.output_total()),
            (text, input, output)
        );
    }
    let calls = |name: &str| {
        let calls = read(name);
        calls.tool_calls().map(|call| format!("{}({})", call.name, call.arguments)).collect::<Vec<_>>()
    };
    assert_eq!(calls("tool-call-without-arguments-stream.sse"), ["ping({})"]);
    assert_eq!(calls("adaptive-thinking-tool-call-stream.sse"), [r#"get_weather({"city": "Tokyo"})"#]);
    assert_eq!(
        calls("two-parallel-tool-calls-stream.sse"),
        ["lookup_harbor_label({})", "lookup_orchard_label({})"]
    );
    assert_eq!(calls("whole-message-in-start-event-stream.sse"), [r#"rollDie({"player":"player2"})"#]);
    let advised = read("usage-iterations-advisor.json");
    let usage = advised.usage.unwrap();
    assert_eq!((usage.input_total(), usage.output_total(), usage.reasoning), (2390, 121, Some(28)));
    let natives = advised.message().unwrap().parts.iter().filter(|part| matches!(part, Part::Native(_)));
    assert_eq!(natives.count(), 2);
    assert!(advised.extra.get("usage").unwrap().get().contains("iterations"));
    let cited = read("document-citations.json");
    let Part::Text { extra, .. } = &cited.message().unwrap().parts[0] else { panic!("no text") };
    assert!(extra.get("citations").unwrap().get().contains("char_location"));
}
