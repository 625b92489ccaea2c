//! Our own imitations of what servers send, and recorded answers, each through every way of reading it.

use insta::assert_snapshot;
use llm_types::{ChatRequest, ChatResponse, FinishReason, StreamEvent};

use super::*;
use crate::dialect::tests::recorded::{Recorded, recorded_in};
use crate::dialect::tests::{collect, cut_everywhere, shape, stream_by};
use crate::dialect::{Dialect, Hints, WireTarget, events_of};

pub(in crate::dialect) const TARGET: WireTarget<'static> =
    WireTarget { model: "gemini-x", quirks: &Quirks::GEMINI, origin: Some("us") };

macro_rules! fixtures {
    ($($name:literal),* $(,)?) => {
        /// `(name, body)`.
        pub(in crate::dialect) const ALL: &[(&str, &str)] = &[
            $(($name, include_str!(concat!("../../../tests/data/gemini/", $name)))),*
        ];
    };
}

fixtures![
    "text-stream.sse",
    "text-list.json",
    "thoughts-then-two-calls-stream.sse",
    "thoughts-then-two-calls-list.json",
    "stop-in-the-middle-stream.sse",
    "arguments-in-pieces-stream.sse",
    "two-candidates-stream.sse",
    "error-event-stream.sse",
    "error-list.json",
    "text.json",
    "cut-while-thinking.json",
    "refused-answer.json",
    "refused-prompt.json",
];

fn body(name: &str) -> &'static [u8] {
    ALL.iter().find(|(known, _)| *known == name).expect("a fixture").1.as_bytes()
}

/// The answer in a whole body.
pub(in crate::dialect::gemini) fn decode(
    body: &[u8],
    target: &WireTarget<'_>,
) -> Result<ChatResponse, Error> {
    Dialect::Gemini.decode_chat(body, target)
}

/// The events of a streamed body in pieces, and the error it ends in. `json` is what its head says.
fn stream<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    json: bool,
    target: &WireTarget<'_>,
) -> (Vec<StreamEvent>, Result<(), Error>) {
    stream_by(Dialect::Gemini, json, pieces, target)
}

/// What a body says, whichever way it is read.
fn read(name: &str) -> String {
    let (events, result) = stream([body(name)], name.ends_with(".json"), &TARGET);
    let end = result
        .map_or_else(|error| format!("{:?} {:?} {error}\n", error.kind(), error.code()), |()| String::new());
    shape(&collect(events)) + &end
}

#[test]
fn both_framings_and_a_whole_body_say_the_same() {
    for name in ["text", "thoughts-then-two-calls"] {
        assert_eq!(read(&format!("{name}-stream.sse")), read(&format!("{name}-list.json")), "{name}");
    }
    for (name, text) in ALL.iter().filter(|(name, _)| name.ends_with(".json") && !name.contains("error")) {
        let Ok(response) = decode(text.as_bytes(), &TARGET) else {
            assert_eq!(*name, "refused-prompt.json");
            continue;
        };
        assert_eq!(shape(&response), read(name), "{name}");
        assert_eq!(shape(&collect(events_of(response.clone()))), shape(&response), "{name}");
        // A list under the head of events is read at its end.
        let (events, result) = stream([text.as_bytes()], false, &TARGET);
        result.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        assert_eq!(shape(&collect(events)), shape(&response), "{name}");
    }
}

#[test]
fn every_fixture_says_what_it_says() {
    assert_snapshot!(read("text-stream.sse"), @r#"
    text "Grüße aus 東京 😀."
    finish Some(Stop) native Some("STOP")
    usage 8 in (cached None), 6 out (reasoning None), Reported
    id Some("resp-1") model Some("gemini-x-001") extra []
    "#);
    assert_snapshot!(read("thoughts-then-two-calls-stream.sse"), @r#"
    thought "**Looking** at the tables" signature None encrypted None
    call call_MIfnLCb8U get_tide({"port":"Brest \"B\"","days":[1,2]}) {"signed_by": "\"us/gemini-x\""}
    call fc-2 get_tide({"port":"Le Havre"}) {"native_id": "\"fc-2\""}
    thought "" signature None encrypted Some("c2lnLTI=")
    finish Some(ToolCalls) native Some("STOP")
    beside {"finishMessage": "\"Model generated function call(s).\""}
    usage 30 in (cached None), 59 out (reasoning Some(40)), Reported
    id Some("resp-1") model Some("gemini-x-001") extra ["usageMetadata"]
    "#);
    assert_snapshot!(read("stop-in-the-middle-stream.sse"), @r#"
    Native(NativePart { json: RawValue({"executableCode":{"language":"PYTHON","code":"print(6 * 7)\n"}}), origin: Some("us") })
    Native(NativePart { json: RawValue({"codeExecutionResult":{"outcome":"OUTCOME_OK","output":"42\n"}}), origin: Some("us") })
    text "It is 42."
    finish Some(Stop) native Some("STOP")
    beside {"groundingMetadata": "{\"webSearchQueries\":[\"x\"],\"groundingChunks\":[]}"}
    usage 234 in (cached None), 151 out (reasoning Some(128)), Reported
    id Some("resp-1") model Some("gemini-x-001") extra []
    "#);
    assert_snapshot!(read("arguments-in-pieces-stream.sse"), @r#"
    call call_3Nz1UisP1 weather({"place":{"name":"Boston"},"days":[3]}) {"signed_by": "\"us/gemini-x\""}
    finish Some(ToolCalls) native Some("STOP")
    usage 29 in (cached None), 51 out (reasoning Some(40)), Reported
    id Some("resp-1") model Some("gemini-x-001") extra ["usageMetadata"]
    "#);
    assert_snapshot!(read("two-candidates-stream.sse"), @r#"
    text "one?"
    finish Some(Length) native Some("MAX_TOKENS")
    text "two!"
    finish Some(Stop) native Some("STOP")
    usage 5 in (cached None), 4 out (reasoning None), Reported
    id Some("resp-1") model Some("gemini-x-001") extra []
    "#);
    assert_snapshot!(read("error-event-stream.sse"), @r#"
    text "Half"
    finish None native None
    usage 9 in (cached None), 0 out (reasoning None), Partial
    id Some("resp-1") model Some("gemini-x-001") extra []
    Overloaded Some("UNAVAILABLE") The model is overloaded.
    "#);
    assert_snapshot!(read("error-list.json"), @r#"
    id None model None extra []
    RateLimited Some("RESOURCE_EXHAUSTED") You exceeded your current quota.
    "#);
    assert_snapshot!(read("text.json"), @r#"
    text "Hello."
    finish Some(Stop) native Some("STOP")
    beside {"avgLogprobs": "-0.1", "safetyRatings": "[\n        {\n          \"category\": \"HARM_CATEGORY_HARASSMENT\",\n          \"probability\": \"NEGLIGIBLE\"\n        }\n      ]"}
    usage 4 in (cached None), 2 out (reasoning None), Reported
    id Some("resp-1") model Some("gemini-x-001") extra []
    "#);
    assert_snapshot!(read("cut-while-thinking.json"), @r#"
    finish Some(Length) native Some("MAX_TOKENS")
    usage 15 in (cached None), 2 out (reasoning Some(2)), Reported
    id Some("resp-1") model Some("gemini-x-001") extra []
    "#);
    assert_snapshot!(read("refused-answer.json"), @r#"
    finish Some(ContentFilter) native Some("SAFETY")
    beside {"safetyRatings": "[{\"category\": \"HARM_CATEGORY_DANGEROUS_CONTENT\", \"probability\": \"HIGH\", \"blocked\": true}]"}
    usage 15 in (cached None), 0 out (reasoning None), Reported
    id None model None extra []
    "#);
    assert_snapshot!(read("refused-prompt.json"), @r#"
    id None model Some("gemini-x-001") extra []
    ContentFilter Some("PROHIBITED_CONTENT") the prompt was refused (PROHIBITED_CONTENT)
    "#);
}

#[test]
fn the_key_goes_into_a_header_and_never_into_the_address() {
    for (key, header, value) in [
        ("AIza-CANARY", "x-goog-api-key", "AIza-CANARY"),
        ("ya29.CANARY", "authorization", "Bearer ya29.CANARY"),
    ] {
        for quirks in [Quirks::GEMINI, Quirks::COMPATIBLE] {
            let mut headers = HeaderMap::new();
            Dialect::Gemini.authorise(&Secret::key(key).unwrap(), &quirks, &mut headers).unwrap();
            assert_eq!((headers.len(), headers.get(header).unwrap().to_str().unwrap()), (1, value));
            assert!(headers.get(header).unwrap().is_sensitive());
        }
    }
    let own = Quirks { auth: AuthHeader::Named("x-own"), ..Quirks::GEMINI };
    let mut headers = HeaderMap::new();
    Dialect::Gemini.authorise(&Secret::key("k").unwrap(), &own, &mut headers).unwrap();
    assert!(headers.contains_key("x-own"));
}

#[test]
fn a_base_url_comes_with_or_without_its_version() {
    for (given, path) in [
        ("", "/v1beta"),
        ("/", "/v1beta"),
        ("/v1", "/v1"),
        ("/v1beta", "/v1beta"),
        ("/proxy", "/proxy/v1beta"),
        ("/proxy/", "/proxy/v1beta"),
        ("/v1beta/openai", "/v1beta"),
        ("/v1beta/openai/", "/v1beta"),
        ("/openai", "/openai/v1beta"),
        ("/v1/projects/p/locations/l/publishers/google", "/v1/projects/p/locations/l/publishers/google"),
    ] {
        assert_eq!(Dialect::Gemini.base_path(given, &Quirks::GEMINI), path, "{given}");
    }
}

#[test]
fn its_vendors_hosts_are_known() {
    for (host, own) in [
        ("generativelanguage.googleapis.com", true),
        ("aiplatform.googleapis.com", true),
        ("europe-west4-aiplatform.googleapis.com", true),
        ("aiplatform.eu.rep.googleapis.com", true),
        ("storage.googleapis.com", false),
        ("generativelanguage.googleapis.com.evil.example", false),
        ("h", false),
    ] {
        assert_eq!(Dialect::by_host(host) == Dialect::Gemini, own, "{host}");
    }
}

fn recorded() -> Vec<Recorded> {
    recorded_in("gemini/")
}

#[test]
fn recorded_streams_give_the_same_events_at_every_cut() {
    for Recorded { name, body, .. } in recorded().into_iter().filter(|row| row.streamed) {
        let most = if body.len() < 2500 { usize::MAX } else { 200 };
        cut_everywhere(Dialect::Gemini, name.ends_with(".json"), &TARGET, &name, &body, most);
    }
}

#[test]
fn recorded_answers_are_whole_and_go_back() {
    for Recorded { name, model, streamed, body, .. } in recorded().into_iter().filter(|row| row.status == 200)
    {
        let target = WireTarget { model: &model, ..TARGET };
        let response = if streamed {
            let (events, result) = stream([body.as_slice()], name.ends_with(".json"), &target);
            result.unwrap_or_else(|error| panic!("{name}: {error:?}"));
            collect(events)
        } else if name.contains("prompt-blocked") {
            let error = decode(&body, &target).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ContentFilter, "{name}");
            continue;
        } else {
            decode(&body, &target).unwrap_or_else(|error| panic!("{name}: {error:?}"))
        };
        assert_eq!(response.choices.len(), 1, "{name}");
        assert!(response.model.is_some() && response.id.is_some(), "{name}");
        let reason = response.finish_reason().unwrap();
        let expected = match name.as_str() {
            name if name.contains("max-tokens") => FinishReason::Length,
            name if name.contains("unexpected-tool-call") => FinishReason::Error,
            name if name.contains("tool") => FinishReason::ToolCalls,
            _ => FinishReason::Stop,
        };
        assert_eq!(reason, expected, "{name}");
        assert_eq!(response.tool_calls().count() > 0, name.contains("tool"), "{name}");
        let usage = response.usage.unwrap_or_else(|| panic!("{name}: no usage"));
        assert!(usage.input_total() > 0, "{name}");
        assert_eq!(response.warnings, [], "{name}");
        assert_eq!(shape(&collect(events_of(response.clone()))), shape(&response), "{name}");
        // Every signature that came goes back, and in its order.
        let signatures = |text: &str| -> Vec<String> {
            let pieces = text.split("\"thoughtSignature\"").skip(1);
            pieces.filter_map(|piece| piece.split('"').nth(1).map(str::to_owned)).collect()
        };
        let request = ChatRequest::new(vec![
            ChatRequest::user("q").messages.remove(0),
            response.message().unwrap().clone(),
        ]);
        let unsigned = Quirks { signature_stand_in: None, ..Quirks::GEMINI };
        let encoded = encode(&request, &WireTarget { quirks: &unsigned, ..target }, false).unwrap();
        assert_eq!(encoded.warnings, [], "{name}");
        assert_eq!(
            signatures(std::str::from_utf8(&encoded.body).unwrap()),
            signatures(std::str::from_utf8(&body).unwrap()),
            "{name}"
        );
    }
}

#[test]
fn recorded_answers_say_what_they_say() {
    let rows = recorded();
    if rows.is_empty() {
        return;
    }
    let read = |name: &str| {
        let row = rows.iter().find(|row| row.name == name).unwrap_or_else(|| panic!("{name}"));
        let target = WireTarget { model: &row.model, ..TARGET };
        if row.streamed {
            collect(stream([row.body.as_slice()], name.ends_with(".json"), &target).0)
        } else {
            decode(&row.body, &target).unwrap()
        }
    };
    for (name, text, tokens) in [
        ("text-stream.sse", "The capital of France is Paris.\n", (13, 8)),
        (
            "json-array-stream.json",
            "{\"name\":\"Bob\",\"employer\":{\"company_name\":\"TechCorp\"}}",
            (11, 395),
        ),
        ("stop-in-the-middle-code-execution-stream.sse", "résultats ✅ 42 et 142.", (0, 0)),
        ("max-tokens-spent-on-thinking-no-parts.json", "", (15, 2)),
        ("vertex-logprobs.json", "Hello", (0, 0)),
    ] {
        let response = read(name);
        assert_eq!(response.text().trim_end(), text.trim_end(), "{name}");
        let usage = response.usage.unwrap();
        if tokens != (0, 0) {
            assert_eq!((usage.input_total(), usage.output_total()), tokens, "{name}");
        }
    }
    let usage = read("code-execution-with-thoughts.json").usage.unwrap();
    assert_eq!((usage.input_total(), usage.output_total(), usage.reasoning), (643, 593, Some(315)));
    assert!(read("vertex-logprobs.json").choices[0].logprobs.is_some());
    let calls: Vec<String> = read("streamed-tool-arguments-stream.sse")
        .tool_calls()
        .map(|call| format!("{}({})", call.name, call.arguments))
        .collect();
    assert!(calls[0].starts_with("getWeather({\"location\":\"Boston\""), "{calls:?}");
    assert_eq!(read("three-parallel-tool-calls-first-signed.json").tool_calls().count(), 3);
}

#[test]
fn recorded_errors_have_their_kinds() {
    for Recorded { name, body, status, .. } in recorded().into_iter().filter(|row| row.status != 200) {
        let status = http::StatusCode::from_u16(status).unwrap();
        let error = Dialect::Gemini.classify(status, &HeaderMap::new(), &body, &TARGET, Hints::default());
        let (kind, wait) = match name.as_str() {
            "error-400-bad-key.json" => (ErrorKind::Authentication, None),
            "error-429-retry-info-made-by-hand.json" => (ErrorKind::RateLimited, Some(34_400)),
            other => panic!("{other}"),
        };
        assert_eq!((error.kind(), error.retry_after().map(|wait| wait.as_millis())), (kind, wait), "{name}");
    }
}

#[test]
fn a_name_cannot_leave_its_place_in_the_path() {
    for (model, expected) in [
        ("gemini-2.5-flash", "/models/gemini-2.5-flash:a"),
        ("models/gemini-2.5-flash", "/models/gemini-2.5-flash:a"),
        ("tunedModels/my-tune", "/tunedModels/my-tune:a"),
        ("../../secret?key=1#x", "/models/..%2F..%2Fsecret%3Fkey%3D1%23x:a"),
        ("..", "/models/%2E%2E:a"),
        ("a:b c", "/models/a%3Ab%20c:a"),
        ("tunedModels/../x", "/tunedModels/..%2Fx:a"),
    ] {
        assert_eq!(path(model, "a"), expected);
    }
}

#[test]
fn a_version_is_found_where_it_counts() {
    for (path, has) in [
        ("", false),
        ("/", false),
        ("/v1", true),
        ("/v1beta", true),
        ("/v1beta/", true),
        ("/proxy/v1alpha", true),
        ("/v1beta1/projects/p/locations/global/publishers/google", true),
        ("/v1/publishers/google", true),
        ("/v1/gateway", false),
        ("/vertex", false),
        ("/v", false),
    ] {
        assert_eq!(has_version(path), has, "{path}");
    }
}
