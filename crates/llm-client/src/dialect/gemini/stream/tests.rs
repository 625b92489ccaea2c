//! What chunks add up to, and how streams end.

use llm_types::{ChatResponse, FinishReason, Part};

use super::*;
use crate::dialect::Quirks;
use crate::dialect::gemini::encode;
use crate::dialect::gemini::tests::decode;
use crate::dialect::tests::collect;

const TARGET: WireTarget<'static> =
    WireTarget { model: "gemini-x", quirks: &Quirks::GEMINI, origin: Some("us") };

fn run(chunks: &[&str]) -> (Vec<StreamEvent>, Result<(), Error>) {
    fn all(chunks: &[&str], out: &mut Vec<StreamEvent>) -> Result<(), Error> {
        let mut state = StreamState::new(&TARGET);
        for chunk in chunks {
            state.step(SseFrame::message(chunk), out)?;
        }
        state.finish(out)
    }
    let mut out = Vec::new();
    let result = all(chunks, &mut out);
    (out, result)
}

fn read(chunks: &[&str]) -> ChatResponse {
    let (events, result) = run(chunks);
    result.unwrap_or_else(|error| panic!("{chunks:?}: {error:?}"));
    collect(events)
}

/// A chunk with these parts.
fn parts(parts: &str) -> String {
    format!(
        r#"{{"candidates":[{{"content":{{"parts":[{parts}],"role":"model"}},"index":0}}],"responseId":"r1"}}"#
    )
}

const STOP: &str = r#"{"candidates":[{"content":{"role":"model"},"finishReason":"STOP","index":0}]}"#;

/// What the answer's parts become when they are sent back.
fn replayed(response: &ChatResponse) -> String {
    let request = llm_types::ChatRequest::new(vec![response.message().unwrap().clone()]);
    let encoded = encode(&request, &TARGET, false).unwrap();
    assert!(encoded.warnings.is_empty(), "{:?}", encoded.warnings);
    let body = String::from_utf8(encoded.body.to_vec()).unwrap();
    body.split_once(r#""parts":["#).unwrap().1.strip_suffix("]}]}").unwrap().to_owned()
}

#[test]
fn parts_come_back_as_they_were() {
    for (sent, back) in [
        (&[r#"{"text":"a"}"#, r#"{"text":"b"}"#][..], r#"{"text":"ab"}"#),
        // Signed parts are merged with no other.
        (
            &[r#"{"text":"a"}"#, r#"{"text":"b","thoughtSignature":"s1"}"#, r#"{"text":"c"}"#],
            r#"{"text":"a"},{"text":"b","thoughtSignature":"s1"},{"text":"c"}"#,
        ),
        (
            &[r#"{"text":"a"}"#, r#"{"text":"","thoughtSignature":"s1"}"#],
            r#"{"text":"a"},{"text":"","thoughtSignature":"s1"}"#,
        ),
        (
            &[r#"{"text":"t","thought":true}"#, r#"{"text":"u","thought":true}"#, r#"{"text":"a"}"#],
            r#"{"text":"tu","thought":true},{"text":"a"}"#,
        ),
        (
            &[
                r#"{"text":"t","thought":true}"#,
                r#"{"text":"u","thought":true,"thoughtSignature":"s1"}"#,
                r#"{"text":"v","thought":true}"#,
                r#"{"text":"","thought":true,"thoughtSignature":"s2"}"#,
            ],
            r#"{"text":"t","thought":true},{"text":"u","thought":true,"thoughtSignature":"s1"},{"text":"v","thought":true},{"text":"","thought":true,"thoughtSignature":"s2"}"#,
        ),
        (
            &[
                r#"{"functionCall":{"name":"f","args":{"x": 1.50}},"thoughtSignature":"s1"},{"functionCall":{"id":"i-2","name":"g"}}"#,
            ],
            r#"{"functionCall":{"name":"f","args":{"x": 1.50}},"thoughtSignature":"s1"},{"functionCall":{"id":"i-2","name":"g","args":{}}}"#,
        ),
        (
            &[
                r#"{"executableCode":{"language":"PYTHON","code":"1"},"thoughtSignature":"s1"}"#,
                r#"{"codeExecutionResult":{"outcome":"OUTCOME_OK","output":"1"}}"#,
                r#"{"inlineData":{"mimeType":"image/png","data":"AA=="}}"#,
                r#"{"toolCall":{"id":"x","toolType":"T","args":{}}},{"toolResponse":{"id":"x","toolType":"T","response":{}}}"#,
            ],
            r#"{"executableCode":{"language":"PYTHON","code":"1"},"thoughtSignature":"s1"},{"codeExecutionResult":{"outcome":"OUTCOME_OK","output":"1"}},{"inlineData":{"mimeType":"image/png","data":"AA=="}},{"toolCall":{"id":"x","toolType":"T","args":{}}},{"toolResponse":{"id":"x","toolType":"T","response":{}}}"#,
        ),
    ] {
        let mut chunks: Vec<String> = sent.iter().map(|part| parts(part)).collect();
        chunks.push(STOP.to_owned());
        let chunks: Vec<&str> = chunks.iter().map(String::as_str).collect();
        let response = read(&chunks);
        assert_eq!(replayed(&response), back);
    }
}

#[test]
fn calls_have_ids_and_the_reason_of_calls() {
    let chunk = parts(r#"{"functionCall":{"name":"f","args":{}}},{"functionCall":{"name":"f","args":null}}"#);
    let response = read(&[&chunk, STOP]);
    let calls: Vec<(&str, &str)> =
        response.tool_calls().map(|call| (call.id.as_str(), call.arguments.as_str())).collect();
    let [(first, "{}"), (second, "{}")] = calls.as_slice() else { panic!("{calls:?}") };
    assert!(first.starts_with("call_") && first != second);
    assert_eq!(response.finish_reason(), Some(FinishReason::ToolCalls));
    assert_eq!(response.choices[0].native_finish_reason.as_deref(), Some("STOP"));
    // The same answer has the same ids, another has others.
    assert_eq!(read(&[&chunk, STOP]).tool_calls().next().unwrap().id, *first);
    let other = chunk.replace("r1", "r2");
    assert_ne!(read(&[&other, STOP]).tool_calls().next().unwrap().id, *first);
}

#[test]
fn arguments_may_come_in_pieces() {
    let piece = |pieces: &str, more: bool| {
        parts(&format!(r#"{{"functionCall":{{"partialArgs":[{pieces}],"willContinue":{more}}}}}"#))
    };
    let begin = |name: &str| parts(&format!(r#"{{"functionCall":{{"name":"{name}","willContinue":true}}}}"#));
    let end = parts(r#"{"functionCall":{}}"#);
    let chunks = [
        begin("f"),
        piece(r#"{"jsonPath":"$.a","stringValue":"Bo","willContinue":true}"#, true),
        piece(r#"{"jsonPath":"$.a","stringValue":"ston"}"#, true),
        end.clone(),
        // A new name begins the next call, and the end closes what is open.
        begin("g"),
        begin("h"),
        piece(r#"{"jsonPath":"$.n","numberValue":1.50}"#, true),
        STOP.to_owned(),
    ];
    let chunks: Vec<&str> = chunks.iter().map(String::as_str).collect();
    let calls: Vec<String> =
        read(&chunks).tool_calls().map(|call| format!("{}({})", call.name, call.arguments)).collect();
    assert_eq!(calls, [r#"f({"a":"Boston"})"#, "g({})", r#"h({"n":1.50})"#]);
    assert!(read(&[&end, STOP]).tool_calls().next().is_none());
}

#[test]
fn every_reason_to_stop() {
    use FinishReason::{ContentFilter, Error, Length, Other, Stop};
    for (words, reason) in [
        ("STOP", Stop),
        ("MAX_TOKENS CONTINUATION", Length),
        (
            "SAFETY RECITATION LANGUAGE BLOCKLIST PROHIBITED_CONTENT SPII IMAGE_SAFETY IMAGE_PROHIBITED_CONTENT \
             IMAGE_RECITATION MODEL_ARMOR ESCALATION PUP_LIMITED_DISABLED",
            ContentFilter,
        ),
        (
            "MALFORMED_FUNCTION_CALL UNEXPECTED_TOOL_CALL TOO_MANY_TOOL_CALLS MISSING_THOUGHT_SIGNATURE \
             MALFORMED_RESPONSE",
            Error,
        ),
        ("NO_IMAGE IMAGE_OTHER OTHER FINISH_REASON_UNSPECIFIED SOMETHING_NEW", Other),
    ] {
        for word in words.split_whitespace() {
            for content in [r#""content":{},"#, ""] {
                let chunk = format!(r#"{{"candidates":[{{{content}"finishReason":"{word}"}}]}}"#);
                for response in [read(&[&chunk]), decode(chunk.as_bytes(), &TARGET).unwrap()] {
                    assert_eq!(response.finish_reason(), Some(reason), "{word}");
                    assert_eq!(response.choices[0].native_finish_reason.as_deref(), Some(word));
                }
            }
        }
    }
}

#[test]
fn what_follows_a_reason_to_stop_is_read() {
    let stop = r#"{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":70,"candidatesTokenCount":9}}"#;
    let more = r#"{"candidates":[{"content":{"parts":[{"text":"b"}]},"finishReason":"MAX_TOKENS"}],"usageMetadata":{"promptTokenCount":8,"candidatesTokenCount":2}}"#;
    let response = read(&[stop, more]);
    assert_eq!((response.text().as_str(), response.finish_reason()), ("ab", Some(FinishReason::Length)));
    // The last usage counts, not the largest, and not the sum.
    let usage = response.usage.unwrap();
    assert_eq!((usage.input_total(), usage.output_total(), usage.source), (8, 2, UsageSource::Reported));
    let (events, _) = run(&[stop, more]);
    let last = events.iter().rposition(|event| matches!(event, StreamEvent::Finish { .. })).unwrap();
    assert!(!events[last..].iter().any(|event| matches!(event, StreamEvent::Text { .. })));
    assert!(matches!(events.last(), Some(StreamEvent::End)));
}

#[test]
fn a_stream_without_a_reason_is_cut() {
    for (chunks, kind) in [
        (&[][..], ErrorKind::Connection),
        (&[r#"{"usageMetadata":{"promptTokenCount":3}}"#], ErrorKind::Connection),
        (&[r#"{"candidates":[{"content":{"parts":[{"text":"a"}]}}]}"#], ErrorKind::Truncated),
        (
            &[
                r#"{"candidates":[{"index":0,"finishReason":"STOP"}]}"#,
                r#"{"candidates":[{"index":1,"content":{"parts":[{"text":"b"}]}}]}"#,
            ],
            ErrorKind::Truncated,
        ),
    ] {
        assert_eq!(run(chunks).1.unwrap_err().kind(), kind, "{chunks:?}");
    }
    // A plain answer is whole by its braces.
    let plain = decode(br#"{"candidates":[{"content":{"parts":[{"text":"a"}]}}]}"#, &TARGET).unwrap();
    assert_eq!(plain.text(), "a");
}

#[test]
fn a_refused_prompt_is_an_error_with_what_it_cost() {
    for reason in [
        "SAFETY",
        "OTHER",
        "BLOCKLIST",
        "PROHIBITED_CONTENT",
        "IMAGE_SAFETY",
        "MODEL_ARMOR",
        "JAILBREAK",
        "NEW",
    ] {
        let body = format!(
            r#"{{"promptFeedback":{{"blockReason":"{reason}","blockReasonMessage":"words"}},"usageMetadata":{{"promptTokenCount":7}}}}"#
        );
        for error in [run(&[&body]).1.unwrap_err(), decode(body.as_bytes(), &TARGET).unwrap_err()] {
            assert_eq!((error.kind(), error.code()), (ErrorKind::ContentFilter, Some(reason)));
            assert_eq!(error.message(), format!("the prompt was refused ({reason}): words"));
        }
        let partial = decode(body.as_bytes(), &TARGET).unwrap_err();
        assert_eq!(partial.partial().unwrap().usage.unwrap().input_total(), 7);
    }
    let harmless = r#"{"promptFeedback":{"safetyRatings":[]},"candidates":[{"finishReason":"STOP"}]}"#;
    assert!(read(&[harmless]).extra.get("promptFeedback").is_some());
}

#[test]
fn errors_in_a_stream_are_told_with_what_came_before() {
    let text = r#"{"candidates":[{"content":{"parts":[{"text":"a"}]}}]}"#;
    let failed = r#"{"error":{"code":503,"message":"overloaded","status":"UNAVAILABLE"}}"#;
    let (events, result) = run(&[text, failed]);
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Overloaded);
    assert_eq!(collect(events).text(), "a");
    // As bare JSON, alone, in a list, and behind events.
    for (before, json) in
        [(None, failed.to_owned()), (None, format!("[{failed}]")), (Some(text), failed.to_owned())]
    {
        let mut state = StreamState::new(&TARGET);
        let mut out = Vec::new();
        if let Some(before) = before {
            state.step(SseFrame::message(before), &mut out).unwrap();
        }
        let frame = SseFrame { bare: true, at_end: true, ..SseFrame::message(&json) };
        assert_eq!(state.step(frame, &mut out).unwrap_err().kind(), ErrorKind::Overloaded);
    }
}

#[test]
fn bodies_that_are_no_answer_are_typed_errors() {
    for (body, kind, message) in [
        ("", ErrorKind::Protocol, "the body is empty"),
        ("{}", ErrorKind::Protocol, "the body holds no answer (no candidates)"),
        (r#"{"candidates":[]}"#, ErrorKind::Protocol, "the body holds no answer (no candidates)"),
        ("<html><title>Log in</title>", ErrorKind::Protocol, "the body is not JSON but a web page: Log in"),
        ("words", ErrorKind::Protocol, "the body is not JSON but a text"),
        (r#"{"candidates":[{"#, ErrorKind::Protocol, "the body ends in the middle of its JSON"),
        (r#"[{"candidates":[{"#, ErrorKind::Connection, "the stream ended before any content came"),
        (r#""words""#, ErrorKind::Server, r#""words""#),
    ] {
        let error = decode(body.as_bytes(), &TARGET).unwrap_err();
        assert_eq!((error.kind(), error.message()), (kind, message), "{body}");
    }
}

#[test]
fn whole_answers_read_the_same_in_every_wrapping() {
    let answer = r#"{"candidates":[{"content":{"parts":[{"text":"a"}]},"finishReason":"STOP","safetyRatings":[{"category":"C"}],"logprobsResult":{"chosenCandidates":[]}}],"modelVersion":"v","responseId":"r","createTime":"1970-01-01T00:00:07Z","usageMetadata":{"promptTokenCount":1,"trafficType":"ON_DEMAND"},"modelStatus":{"modelStage":"STABLE"}}"#;
    let one = decode(answer.as_bytes(), &TARGET).unwrap();
    assert_eq!((one.id.as_deref(), one.model.as_deref(), one.created), (Some("r"), Some("v"), Some(7)));
    assert!(one.extra.get("usageMetadata").is_some() && one.extra.get("modelStatus").is_some());
    assert!(one.choices[0].extra.get("safetyRatings").is_some() && one.choices[0].logprobs.is_some());
    let events = format!("data: {answer}\r\n\r\n");
    for other in [format!("[{answer}]"), events] {
        let other = decode(other.as_bytes(), &TARGET).unwrap();
        assert_eq!(format!("{other:?}"), format!("{one:?}"));
    }
}

#[test]
fn an_answer_of_thoughts_alone_says_so() {
    let thought = parts(r#"{"text":"t","thought":true}"#);
    let response = read(&[&thought, STOP]);
    assert_eq!((response.text().as_str(), response.reasoning().as_str()), ("", "t"));
    assert_eq!(response.warnings.len(), 1);
    // A signature is no thought.
    assert!(read(&[&parts(r#"{"text":"","thoughtSignature":"s"}"#), STOP]).warnings.is_empty());
    let Some(Part::Reasoning(block)) = response.message().unwrap().parts.first() else { panic!() };
    assert!(block.summary);
}

#[test]
fn odd_values_do_not_fail_an_answer() {
    for chunk in [
        r#"{"candidates":[{"content":null,"finishReason":"STOP","index":-1}]}"#,
        r#"{"candidates":{"content":{"parts":{"text":"a"}},"finishReason":"STOP"}}"#,
        r#"{"candidates":[{"content":{"parts":[null,7,"x",{}]},"finishReason":"STOP"}],"usageMetadata":[]}"#,
        r#"{"candidates":[{"content":{"parts":[{"text":7}]},"finishReason":"STOP"}],"responseId":7}"#,
        r#"{"candidates":[{"content":{"parts":[{"text":"\ud800"}]},"finishReason":"STOP","avgLogprobs":1e400}]}"#,
    ] {
        assert_eq!(read(&[chunk]).finish_reason(), Some(FinishReason::Stop), "{chunk}");
    }
}

#[test]
fn a_list_without_a_head_that_says_so_is_read_up_to_its_cut() {
    let list = format!("[{},\n{}]", parts(r#"{"text":"a"}"#), STOP);
    for (cut, kind) in [(0, None), (1, None), (9, Some(ErrorKind::Truncated))] {
        let (mut state, mut out) = (StreamState::new(&TARGET), Vec::new());
        let data = list.split_at(list.len() - cut).0;
        let frame = SseFrame { bare: true, at_end: true, ..SseFrame::message(data) };
        let result = state.step(frame, &mut out).and_then(|()| state.finish(&mut out));
        assert_eq!(result.err().map(|error| error.kind()), kind, "{data}");
        let said = out.iter().any(|event| matches!(event, StreamEvent::Text { text, .. } if text == "a"));
        assert!(said, "{data}");
    }
}
