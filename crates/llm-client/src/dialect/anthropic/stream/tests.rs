//! Single events, and streams as they should not be.

use super::*;
use crate::dialect::Quirks;
use crate::framing::SseDecoder;

const TARGET: WireTarget<'static> = WireTarget { model: "m", quirks: &Quirks::ANTHROPIC, origin: Some("us") };

const START: &str = r#"{"type":"message_start","message":{"id":"msg_1","model":"m-1","content":[],"usage":{"input_tokens":5,"output_tokens":1}}}"#;
const TEXT: &str = r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#;
const HI: &str = r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}"#;
const STOP: &str = r#"{"type":"content_block_stop","index":0}"#;
const END: &str =
    r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}"#;
const MARK: &str = r#"{"type":"message_stop"}"#;

/// The events of frames without names, and the error they end in.
fn run(frames: &[&str]) -> (Vec<StreamEvent>, Result<(), Error>) {
    let (mut out, mut state) = (Vec::new(), StreamState::new(&TARGET));
    for data in frames {
        if let Err(error) = state.step(SseFrame::message(data), &mut out) {
            return (out, Err(error));
        }
    }
    let result = state.finish(&mut out);
    (out, result)
}

fn told(frames: &[&str]) -> String {
    let (events, result) = run(frames);
    let mut line: Vec<String> = events
        .iter()
        .map(|event| match event {
            StreamEvent::Start { .. } => "start".to_owned(),
            StreamEvent::Text { text, .. } => format!("text:{text}"),
            StreamEvent::TextBlock { extra, .. } => format!("block{extra:?}"),
            StreamEvent::Reasoning { text, .. } => format!("think:{text}"),
            StreamEvent::ReasoningBlock { block, .. } => {
                let sign = block.signature.as_deref().unwrap_or("-");
                format!("thought:{}:{sign}:{}", block.text, block.origin.as_deref().unwrap_or("-"))
            }
            StreamEvent::ToolCallStart { index, id, name, .. } => format!("call{index}:{id}:{name}"),
            StreamEvent::ToolCallDelta { index, arguments, .. } => format!("args{index}:{arguments}"),
            StreamEvent::ToolCallEnd { index, .. } => format!("end{index}"),
            StreamEvent::Native { part, .. } => format!("native:{}", part.json),
            StreamEvent::Usage(usage) => {
                format!("usage:{}+{}{:?}", usage.input_total(), usage.output_total(), usage.source)
            }
            StreamEvent::Warning(warning) => format!("warning:{}", warning.message),
            StreamEvent::Extra { name, .. } => format!("extra:{name}"),
            StreamEvent::Finish { reason, native, .. } => {
                format!("finish:{}:{}", reason.as_str(), native.as_deref().unwrap_or("-"))
            }
            StreamEvent::End => "END".to_owned(),
            other => format!("{other:?}"),
        })
        .collect();
    line.extend(result.err().map(|error| format!("error:{}:{error}", error.kind().as_str())));
    line.join(" | ")
}

#[test]
fn a_text_and_its_usage() {
    assert_eq!(
        told(&[START, TEXT, r#"{"type":"ping"}"#, HI, STOP, END, MARK]),
        "start | usage:5+1Partial | text:Hi | finish:stop:end_turn | usage:5+2Reported | END"
    );
}

#[test]
fn every_reason_to_stop_has_its_word() {
    for (word, reason) in [
        ("end_turn", "stop"),
        ("stop_sequence", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("tool_use", "tool_calls"),
        ("pause_turn", "other"),
        ("refusal", "content_filter"),
        ("something_new", "other"),
    ] {
        let end = format!(r#"{{"type":"message_delta","delta":{{"stop_reason":"{word}"}}}}"#);
        let line = told(&[START, &end, MARK]);
        assert!(line.contains(&format!("finish:{reason}:{word}")), "{line}");
    }
}

#[test]
fn what_is_missing_is_made_up_or_the_answer_is_not_whole() {
    for (frames, line) in [
        // No mark, or no reason: one of them is enough.
        (
            &[START, TEXT, HI, STOP, END][..],
            "start | usage:5+1Partial | text:Hi | finish:stop:end_turn | usage:5+2Reported | END",
        ),
        (
            &[START, TEXT, HI, MARK],
            "start | usage:5+1Partial | text:Hi | finish:stop:- | usage:5+1Reported | END",
        ),
        (
            &[START, TEXT, HI, "[DONE]"],
            "start | usage:5+1Partial | text:Hi | finish:stop:- | usage:5+1Reported | END",
        ),
        (
            &[START, TEXT, HI],
            "start | usage:5+1Partial | text:Hi | error:truncated:the stream ended before the answer was whole",
        ),
        (
            &[START, TEXT],
            "start | usage:5+1Partial | error:connection:the stream ended before any content came",
        ),
        (&[], "error:connection:the stream ended before any content came"),
        (&[MARK], "error:protocol:the body holds no answer (no content)"),
        // A block whose start was lost.
        (
            &[START, HI, STOP, END, MARK],
            "start | usage:5+1Partial | text:Hi | finish:stop:end_turn | usage:5+2Reported | END",
        ),
        // One that never ends.
        (
            &[START, TEXT, HI, TEXT, HI, END, MARK],
            "start | usage:5+1Partial | text:Hi | text:Hi | finish:stop:end_turn | usage:5+2Reported | END",
        ),
        // Nothing means anything after the mark.
        (
            &[START, TEXT, HI, STOP, END, MARK, "{broken", HI],
            "start | usage:5+1Partial | text:Hi | finish:stop:end_turn | usage:5+2Reported | END",
        ),
        // Unknown events and pieces.
        (
            &[
                START,
                r#"{"type":"news","x":{}}"#,
                r#"{"no":"type"}"#,
                TEXT,
                r#"{"type":"content_block_delta","index":0,"delta":{"type":"new_delta","x":1}}"#,
                HI,
                STOP,
                END,
                MARK,
            ],
            "start | usage:5+1Partial | text:Hi | finish:stop:end_turn | usage:5+2Reported | END",
        ),
        // Values of other types.
        (
            &[
                r#"{"type":"message_start","message":{"id":7,"model":null,"content":"Hi","usage":[]}}"#,
                r#"{"type":"content_block_start","index":null,"content_block":7}"#,
                MARK,
            ],
            "start | text:Hi | finish:stop:- | END",
        ),
    ] {
        assert_eq!(told(frames), line, "{frames:?}");
    }
}

#[test]
fn an_error_comes_after_what_was_said() {
    for (frame, kind) in [
        (r#"{"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#, "overloaded"),
        (r#"{"type":"error","error":{"type":"api_error","message":"busy"}}"#, "server"),
        (
            r#"{"type":"error","error":{"type":"rate_limit_error","message":"busy","details":{"error_code":"contract_spend_limit_reached"}}}"#,
            "quota_exhausted",
        ),
        (r#"{"error":{"message":"busy"}}"#, "server"),
    ] {
        let line = told(&[START, TEXT, HI, frame]);
        assert_eq!(line, format!("start | usage:5+1Partial | text:Hi | error:{kind}:busy"), "{frame}");
    }
    let (mut state, mut out) = (StreamState::new(&TARGET), Vec::new());
    let named = SseFrame { event: "error", ..SseFrame::message(r#"{"message":"busy"}"#) };
    assert_eq!(state.step(named, &mut out).unwrap_err().message(), "busy");
}

#[test]
fn another_answer_counts_only_before_the_first_has_said_something() {
    let other = START.replace("msg_1", "msg_2");
    assert_eq!(
        told(&[START, TEXT, &other, TEXT, HI, STOP, END, MARK]),
        "start | usage:5+1Partial | start | text:Hi | finish:stop:end_turn | usage:5+2Reported | END"
    );
    assert_eq!(
        told(&[START, TEXT, HI, &other, TEXT, HI, STOP, END, MARK]),
        "start | usage:5+1Partial | text:Hi | error:truncated:the server began another answer in the middle of one"
    );
    assert!(told(&[START, TEXT, HI, START, STOP, END, MARK]).ends_with("END"), "the same one again");
}

#[test]
fn calls_keep_their_arguments_apart_and_always_have_some() {
    let call = |index: u32, id: &str, input: &str| {
        format!(
            r#"{{"type":"content_block_start","index":{index},"content_block":{{"type":"tool_use","id":{id},"name":"f","input":{input}}}}}"#
        )
    };
    let piece = |index: u32, json: &str| {
        let json = serde_json::to_string(json).unwrap();
        format!(
            r#"{{"type":"content_block_delta","index":{index},"delta":{{"type":"input_json_delta","partial_json":{json}}}}}"#
        )
    };
    let stop = |index: u32| format!(r#"{{"type":"content_block_stop","index":{index}}}"#);
    let frames = [
        START.to_owned(),
        call(3, "\"a\"", "{}"),
        // The same start again is no other call.
        call(3, "\"a\"", "{}"),
        call(1, "\"a\"", "{}"),
        piece(1, "{\"y\""),
        piece(3, ""),
        piece(3, "{\"x\":1}"),
        piece(1, ":2}"),
        stop(3),
        stop(1),
        call(4, "\"c\"", r#"{"z": 1.50}"#),
        piece(4, ""),
        stop(4),
        call(5, "null", "{}"),
        stop(5),
        MARK.to_owned(),
    ];
    let frames: Vec<&str> = frames.iter().map(String::as_str).collect();
    let line = told(&frames);
    let id = |call: &str| line.split_once(call).unwrap().1.split_once(':').unwrap().0;
    let (twice, made) = (id("call1:"), id("call3:"));
    assert!(made.starts_with("toolu_") && made.len() == 15 && twice.len() == 15 && twice != made, "{made}");
    assert_eq!(
        line.replace(made, "MADE").replace(twice, "TWICE"),
        r#"start | usage:5+1Partial | call0:a:f | warning:two tool calls had one id; the later was given another | call1:TWICE:f | args1:{"y" | args0:{"x":1} | args1::2} | end0 | end1 | call2:c:f | args2:{"z": 1.50} | end2 | call3:MADE:f | args3:{} | end3 | finish:tool_calls:- | usage:5+1Reported | END"#
    );
}

#[test]
fn broken_json_is_mended_or_told() {
    let lone = HI.replace("Hi", "\\ud83d!");
    let line = told(&[START, TEXT, &lone, STOP, END, MARK]);
    assert!(line.contains("warning:held characters") && line.contains("text:\u{fffd}!"), "{line}");
    let huge = END.replace("2}", "1e999}");
    assert!(told(&[START, TEXT, HI, STOP, &huge, MARK]).ends_with("END"));
    let line = told(&[START, TEXT, HI, "{\"type\":"]);
    assert!(line.ends_with("error:protocol:an event of the stream ends in the middle of its JSON"), "{line}");
}

#[test]
fn a_long_line_and_a_cut_last_event_are_read() {
    let long = "a".repeat(16 << 20);
    let text = HI.replace("Hi", &long);
    let body = [START, TEXT, &text, STOP, END].map(|data| format!("data: {data}\n\n")).concat()
        + "data: {\"type\":\"mess";
    let (mut decoder, mut state, mut out) =
        (SseDecoder::new(32 << 20), StreamState::new(&TARGET), Vec::new());
    for piece in body.as_bytes().chunks(1 << 16) {
        let mut frames = decoder.feed(piece);
        while let Some(frame) = frames.next().unwrap() {
            state.step(frame, &mut out).unwrap();
        }
    }
    state.step(decoder.finish().unwrap().unwrap(), &mut out).unwrap();
    state.finish(&mut out).unwrap();
    let length: usize =
        out.iter().map(|event| if let StreamEvent::Text { text, .. } = event { text.len() } else { 0 }).sum();
    assert_eq!(length, 16 << 20);
    assert!(out.iter().any(|event| matches!(event, StreamEvent::Warning(_))));
}

#[test]
fn what_a_server_may_make_us_keep_is_bounded() {
    let native = r#"{"type":"content_block_start","index":0,"content_block":{"type":"own"}}"#;
    let piece = format!(
        r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"input_json_delta","partial_json":"{}"}}}}"#,
        "x".repeat(1 << 20)
    );
    let mut frames = vec![START, native];
    frames.extend(std::iter::repeat_n(piece.as_str(), 40));
    assert_eq!(run(&frames).1.unwrap_err().kind(), ErrorKind::TooLarge);
    let opened: Vec<String> =
        (0..100).map(|n| TEXT.replace("\"index\":0", &format!("\"index\":{n}"))).collect();
    let frames: Vec<&str> = std::iter::once(START).chain(opened.iter().map(String::as_str)).collect();
    assert_eq!(run(&frames).1.unwrap_err().kind(), ErrorKind::TooLarge);
}

#[test]
fn citations_behind_their_texts_are_kept_for_all_texts() {
    let cite = |n: u32| {
        format!(
            r#"{{"type":"content_block_delta","index":0,"delta":{{"type":"citations_delta","citation":{n}}}}}"#
        )
    };
    let (one, two, three) = (cite(1), cite(2), cite(3));
    let (events, result) = run(&[START, TEXT, HI, &one, &two, STOP, TEXT, HI, &three, STOP, END, MARK]);
    result.unwrap();
    let kept: Vec<&str> = events
        .iter()
        .filter_map(|event| match event {
            StreamEvent::Extra { name, value, .. } if name == "citations" => Some(value.get()),
            _ => None,
        })
        .collect();
    assert_eq!(kept.last(), Some(&"[1,2,3]"));
}
