//! What an answer holds goes back with the next request as it came: every block, unchanged, in its place, whether the
//! answer was streamed or not; and to nobody who cannot read it.

use llm_types::{Message, Part, Reasoning, Role, ToolResult};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

const DETAILS: Quirks =
    Quirks { replay: Replay { when: ReplayWhen::Always, field: ReplayField::Details }, ..Quirks::NONE };

/// The request that follows an answer, with results for its calls.
fn next_request(response: &ChatResponse) -> ChatRequest {
    let answer = response.message().unwrap().clone();
    let results: Vec<Message> =
        answer.tool_calls().map(|call| Message::tool(ToolResult::text(&call.id, "42"))).collect();
    ChatRequest::new([vec![Message::user("hi"), answer], results].concat())
}

/// The body of the next request, as JSON.
fn sent_back(dialect: Dialect, target: &WireTarget<'_>, response: &ChatResponse) -> Value {
    let sent = dialect.encode_chat(&next_request(response), target, false).unwrap();
    serde_json::from_slice(&sent.body).unwrap()
}

fn read_stream(dialect: Dialect, target: &WireTarget<'_>, events: &[Value], end: &str) -> ChatResponse {
    let mut body: String = events.iter().map(|event| format!("data: {event}\n\n")).collect();
    body.push_str(end);
    let (events, result) = stream_in(dialect, [body.as_bytes()], target);
    result.unwrap();
    collect(events)
}

/// A text in pieces.
fn pieces(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    chars.chunks(3).map(|piece| piece.iter().collect()).collect()
}

/// Kinds of blocks in some order, and texts to fill them with.
fn blocks(kinds: u8) -> impl Strategy<Value = Vec<(u8, String)>> {
    // Not blank: a text that says nothing is refused by some.
    prop::collection::vec((0..kinds, "[a-z\"\\\\é😀{}]{1,9}"), 1..9)
}

fn anthropic_blocks(blocks: &[(u8, String)]) -> Vec<Value> {
    let mut out: Vec<Value> = Vec::new();
    for (at, (kind, text)) in blocks.iter().enumerate() {
        let block = match kind {
            0 => json!({"type": "thinking", "thinking": text, "signature": format!("sig{at}{text}")}),
            // Withheld: nothing but the signature.
            1 => json!({"type": "thinking", "thinking": "", "signature": format!("sig{at}")}),
            2 => json!({"type": "redacted_thinking", "data": format!("data{at}{text}")}),
            3 => {
                json!({"type": "tool_use", "id": format!("toolu_{at}"), "name": "f", "input": {"x": text, "n": at}})
            }
            4 => {
                json!({"type": "server_tool_use", "id": format!("srv{at}"), "name": "search", "input": {"q": text}})
            }
            _ => json!({"type": "text", "text": text}),
        };
        // One text after another is one text.
        if !(block["type"] == "text" && out.last().is_some_and(|last| last["type"] == "text")) {
            out.push(block);
        }
    }
    out
}

fn anthropic_stream(blocks: &[Value]) -> Vec<Value> {
    let mut events = vec![
        json!({"type": "message_start", "message": {"id": "m", "content": [], "usage": {"input_tokens": 1, "output_tokens": 1}}}),
    ];
    for (index, block) in blocks.iter().enumerate() {
        let text = |name: &str| pieces(block[name].as_str().unwrap());
        let (start, deltas): (Value, Vec<Value>) = match block["type"].as_str().unwrap() {
            "thinking" => (
                json!({"type": "thinking", "thinking": "", "signature": ""}),
                text("thinking")
                    .into_iter()
                    .map(|piece| json!({"type": "thinking_delta", "thinking": piece}))
                    .chain([json!({"type": "signature_delta", "signature": block["signature"]})])
                    .collect(),
            ),
            "text" => (
                json!({"type": "text", "text": ""}),
                text("text").into_iter().map(|piece| json!({"type": "text_delta", "text": piece})).collect(),
            ),
            "tool_use" | "server_tool_use" => {
                let mut start = block.clone();
                start["input"] = json!({});
                let input = pieces(&block["input"].to_string());
                let delta = |piece| json!({"type": "input_json_delta", "partial_json": piece});
                (start, input.into_iter().map(delta).collect())
            }
            _ => (block.clone(), Vec::new()),
        };
        events.push(json!({"type": "content_block_start", "index": index, "content_block": start}));
        let delta = |delta| json!({"type": "content_block_delta", "index": index, "delta": delta});
        events.extend(deltas.into_iter().map(delta));
        events.push(json!({"type": "content_block_stop", "index": index}));
    }
    let usage = json!({"output_tokens": 2});
    events.push(json!({"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": usage}));
    events.push(json!({"type": "message_stop"}));
    events
}

fn gemini_parts(blocks: &[(u8, String)]) -> Vec<Value> {
    let mut out: Vec<Value> = Vec::new();
    let mut calls = 0;
    for (at, (kind, text)) in blocks.iter().enumerate() {
        let signature = format!("c2ln{at}");
        let part = match kind {
            0 => json!({"text": text, "thought": true}),
            1 => json!({"text": text, "thought": true, "thoughtSignature": signature}),
            2 => json!({"text": text, "thoughtSignature": signature}),
            3 => json!({"text": "", "thoughtSignature": signature}),
            4 => {
                json!({"executableCode": {"language": "PYTHON", "code": text}, "thoughtSignature": signature})
            }
            5 => json!({"executableCode": {"language": "PYTHON", "code": text}}),
            6 => {
                calls += 1;
                let mut part =
                    json!({"functionCall": {"id": format!("own{at}"), "name": "f", "args": {"x": text}}});
                // The first of an answer is signed.
                if calls == 1 || at % 2 == 0 {
                    part["thoughtSignature"] = signature.into();
                }
                part
            }
            _ => json!({"text": text}),
        };
        // Unsigned pieces of one kind are one.
        let unsigned = |part: &Value| part.get("text").is_some() && part.get("thoughtSignature").is_none();
        let goes_on = out.last().is_some_and(|last| {
            unsigned(last) && unsigned(&part) && last.get("thought") == part.get("thought")
        });
        if !goes_on {
            out.push(part);
        }
    }
    out
}

/// One chunk a part, and unsigned texts in pieces.
fn gemini_stream(parts: &[Value]) -> Vec<Value> {
    let mut events = Vec::new();
    let chunk = |part: Value| json!({"candidates": [{"content": {"role": "model", "parts": [part]}, "index": 0}], "responseId": "r"});
    for part in parts {
        match part.get("text").and_then(Value::as_str) {
            Some(text) if part.get("thoughtSignature").is_none() => {
                for piece in pieces(text) {
                    let mut part = part.clone();
                    part["text"] = piece.into();
                    events.push(chunk(part));
                }
            }
            _ => events.push(chunk(part.clone())),
        }
    }
    events.push(json!({"candidates": [{"finishReason": "STOP", "index": 0}], "responseId": "r"}));
    events
}

fn details(blocks: &[(u8, String)]) -> Vec<Value> {
    let of = |(at, (kind, text)): (usize, &(u8, String))| match kind {
        0 => {
            json!({"type": "reasoning.text", "text": text, "signature": format!("sig{at}"), "format": "f-v1", "index": at})
        }
        1 => json!({"type": "reasoning.text", "text": text, "index": at}),
        2 => json!({"type": "reasoning.summary", "summary": text, "id": format!("rs{at}"), "index": at}),
        _ => {
            json!({"type": "reasoning.encrypted", "data": format!("data{text}"), "id": format!("rs{at}"), "index": at})
        }
    };
    blocks.iter().enumerate().map(of).collect()
}

fn details_stream(details: &[Value]) -> Vec<Value> {
    let chunk = |delta: Value| json!({"id": "c", "choices": [{"index": 0, "delta": delta}]});
    let mut events = Vec::new();
    for detail in details {
        let member = ["text", "summary"].into_iter().find(|name| detail.get(*name).is_some());
        let Some(member) = member else {
            events.push(chunk(json!({"reasoning_details": [detail]})));
            continue;
        };
        let text = pieces(detail[member].as_str().unwrap());
        for (at, piece) in text.iter().enumerate() {
            let mut part = detail.clone();
            part[member] = piece.as_str().into();
            // A signature comes with the last piece.
            if at + 1 < text.len() {
                part.as_object_mut().unwrap().remove("signature");
            }
            events.push(chunk(json!({"reasoning": piece, "reasoning_details": [part]})));
        }
    }
    events.push(chunk(json!({"content": "done"})));
    events.push(json!({"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}));
    events
}

proptest! {
    #[test]
    fn blocks_of_messages_go_back_as_they_came(kinds in blocks(6)) {
        let (dialect, target) = (Dialect::Anthropic, anthropic::TARGET);
        let blocks = anthropic_blocks(&kinds);
        let body = json!({"id": "m", "type": "message", "content": blocks, "stop_reason": "tool_use"}).to_string();
        let plain = dialect.decode_chat(body.as_bytes(), &target).unwrap();
        let streamed = read_stream(dialect, &target, &anthropic_stream(&blocks), "");
        for response in [plain, streamed] {
            let sent = sent_back(dialect, &target, &response);
            let content = match &sent["messages"][1]["content"] {
                // One text is written as one.
                Value::String(text) => json!([{"type": "text", "text": text}]),
                content => content.clone(),
            };
            prop_assert_eq!(content, Value::from(blocks.clone()));
        }
    }

    #[test]
    fn parts_of_contents_go_back_as_they_came(kinds in blocks(8)) {
        let (dialect, target) = (Dialect::Gemini, gemini::tests::TARGET);
        let parts = gemini_parts(&kinds);
        let body = json!({"candidates": [{"content": {"parts": parts}, "finishReason": "STOP"}], "responseId": "r"});
        let plain = dialect.decode_chat(body.to_string().as_bytes(), &target).unwrap();
        let streamed = read_stream(dialect, &target, &gemini_stream(&parts), "");
        for response in [plain, streamed] {
            let sent = sent_back(dialect, &target, &response);
            prop_assert_eq!(&sent["contents"][1]["parts"], &Value::from(parts.clone()));
        }
    }

    #[test]
    fn details_of_reasoning_go_back_as_they_came(kinds in blocks(4)) {
        let target = WireTarget { quirks: &DETAILS, ..TARGET };
        let details = details(&kinds);
        let message = json!({"role": "assistant", "content": "done", "reasoning_details": details});
        let body = json!({"id": "c", "choices": [{"index": 0, "message": message, "finish_reason": "stop"}]});
        let plain = DIALECT.decode_chat(body.to_string().as_bytes(), &target).unwrap();
        let streamed = read_stream(DIALECT, &target, &details_stream(&details), "data: [DONE]\n\n");
        for response in [plain, streamed] {
            let sent = sent_back(DIALECT, &target, &response);
            prop_assert_eq!(&sent["messages"][1]["reasoning_details"], &Value::from(details.clone()));
            prop_assert_eq!(&sent["messages"][1]["content"], "done");
        }
    }
}

/// An assistant message of somebody's, with everything that only he can read.
fn sealed(origin: &str) -> Message {
    let secret = |name: &str| Some(format!("SEALED-{name}"));
    let block = Reasoning { origin: Some(origin.into()), ..Reasoning::default() };
    let native = llm_types::NativePart {
        json: serde_json::from_str(r#"{"type":"server_tool_use","id":"SEALED-native"}"#).unwrap(),
        origin: Some(origin.into()),
    };
    let call = llm_types::ToolCall {
        id: "call/1.a".into(),
        name: "f".into(),
        arguments: r#"{"x":1}"#.into(),
        ..llm_types::ToolCall::default()
    };
    let mut message = Message::new(
        Role::Assistant,
        vec![
            Part::Reasoning(Reasoning {
                signature: secret("signature"),
                text: "a thought".into(),
                ..block.clone()
            }),
            Part::Reasoning(Reasoning { encrypted: secret("encrypted"), ..block }),
            Part::text("a text"),
            Part::Native(native),
            Part::ToolCall(call),
        ],
    );
    message.extra.set("extra_content", "SEALED-member").unwrap();
    message.extra.set(MADE_BY, origin).unwrap();
    message
}

#[test]
fn nothing_that_only_another_can_read_goes_along_and_all_else_does() {
    let quirks = Quirks { replay: DETAILS.replay, ..Quirks::NONE };
    let thinking = Quirks {
        replay: Replay { when: ReplayWhen::Always, field: ReplayField::ThinkingParts },
        ..Quirks::NONE
    };
    let openai = |quirks| (Dialect::OpenAiChat, WireTarget { quirks, ..TARGET });
    for (dialect, target) in [
        openai(&Quirks::NONE),
        openai(&quirks),
        openai(&thinking),
        (Dialect::Anthropic, anthropic::TARGET),
        (Dialect::Gemini, gemini::tests::TARGET),
    ] {
        let turns = vec![
            Message::user("hi"),
            sealed("them"),
            Message::tool(ToolResult { name: Some("f".into()), ..ToolResult::text("call/1.a", "42") }),
        ];
        let sent = dialect.encode_chat(&ChatRequest::new(turns), &target, false).unwrap();
        let body = std::str::from_utf8(&sent.body).unwrap();
        let name = dialect.as_str();
        assert!(!body.contains("SEALED") && !body.contains(MADE_BY), "{name}: {body}");
        for kept in ["a text", "42", "x", r#""name":"f""#] {
            assert!(body.contains(kept), "{name}: {body}");
        }
        assert!(!sent.warnings.is_empty(), "{name} says nothing of it");
        // Whoever made it gets it all again.
        let own = ChatRequest::new(vec![Message::user("hi"), sealed("us")]);
        let sent = dialect.encode_chat(&own, &target, false).unwrap();
        let body = std::str::from_utf8(&sent.body).unwrap();
        let sealed_kept = match (dialect, target.quirks.replay.field) {
            (Dialect::Gemini, _) => &["SEALED-signature", "SEALED-encrypted"][..],
            (Dialect::Anthropic, _) => &["SEALED-signature", "SEALED-encrypted", "SEALED-native"],
            _ => &["SEALED-native", "SEALED-member"],
        };
        for kept in sealed_kept {
            assert!(body.contains(kept), "{name} lost {kept}: {body}");
        }
    }
}
