//! Tool calls in every form that servers give them, as bytes, streamed and whole: the same calls come out.

use std::fmt::Write as _;

use super::*;

/// The calls of an answer: `choice id name(arguments)`.
fn calls_of(response: &ChatResponse) -> Vec<String> {
    let of = |choice: &llm_types::Choice| {
        let index = choice.index;
        choice
            .message
            .tool_calls()
            .map(move |call| format!("{index} {} {}({})", call.id, call.name, call.arguments))
            .collect::<Vec<_>>()
    };
    response.choices.iter().flat_map(of).collect()
}

/// Reads the events of a stream, at once and byte by byte, checking the grammar of calls.
fn streamed(dialect: Dialect, target: &WireTarget<'_>, events: &[&str], end: &str) -> Vec<String> {
    let mut body = String::new();
    for event in events {
        let _ = write!(body, "data: {event}\n\n");
    }
    body.push_str(end);
    let (events, result) = stream_in(dialect, [body.as_bytes()], target);
    result.unwrap();
    let (again, _) = stream_in(dialect, body.as_bytes().chunks(1), target);
    assert_eq!(format!("{events:?}"), format!("{again:?}"));
    let mut open: Vec<(u32, u32)> = Vec::new();
    for event in &events {
        match event {
            StreamEvent::ToolCallStart { choice, index, .. } => open.push((*choice, *index)),
            StreamEvent::ToolCallDelta { choice, index, .. } => assert!(open.contains(&(*choice, *index))),
            StreamEvent::ToolCallEnd { choice, index } => {
                let at = open.iter().position(|key| *key == (*choice, *index));
                open.remove(at.expect("a call that has begun"));
            }
            _ => {}
        }
    }
    assert_eq!(open, [], "calls that do not end");
    calls_of(&collect(events))
}

/// The calls of a whole body.
fn whole(dialect: Dialect, target: &WireTarget<'_>, body: &str) -> Vec<String> {
    calls_of(&dialect.decode_chat(body.as_bytes(), target).unwrap())
}

/// Puts made-up ids in their place: `#` stands for one.
fn masked(calls: &[String]) -> Vec<String> {
    let is_made =
        |id: &str| id.starts_with("call_") && id.len() == 14 || id.starts_with("toolu_") && id.len() == 15;
    let mask = |call: &String| {
        let words: Vec<&str> = call.splitn(3, ' ').collect();
        let id = if is_made(words[1]) { "#" } else { words[1] };
        format!("{} {id} {}", words[0], words[2])
    };
    let ids: Vec<&str> = calls.iter().map(|call| call.split(' ').nth(1).unwrap()).collect();
    for (at, id) in ids.iter().enumerate() {
        assert!(!id.is_empty() && !ids[..at].contains(id), "ids are unique: {calls:?}");
    }
    calls.iter().map(mask).collect()
}

mod openai_chat {
    use super::*;

    /// Each delta is a list of calls as JSON.
    fn deltas(what: &str, lists: &[&str], expected: &[&str]) {
        let chunks: Vec<String> = lists
            .iter()
            .map(|list| format!(r#"{{"id":"c","choices":[{{"index":0,"delta":{{"tool_calls":{list}}}}}]}}"#))
            .chain([
                r#"{"id":"c","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}"#.to_owned()
            ])
            .collect();
        let chunks: Vec<&str> = chunks.iter().map(String::as_str).collect();
        let calls = streamed(DIALECT, &TARGET, &chunks, "data: [DONE]\n\n");
        assert_eq!(masked(&calls), expected, "{what}");
        if let [list] = lists {
            let body = format!(
                r#"{{"id":"c","choices":[{{"message":{{"content":null,"tool_calls":{list}}},"finish_reason":"stop"}}]}}"#
            );
            assert_eq!(masked(&whole(DIALECT, &TARGET, &body)), expected, "{what}, whole");
        }
    }

    const TWO: &[&str] = &[r#"0 a f({"x":1})"#, r#"0 b g({"y":2})"#];

    #[test]
    fn indexes_may_be_missing_repeated_zero_or_odd() {
        let a = r#""id":"a","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}"#;
        let b = r#""id":"b","type":"function","function":{"name":"g","arguments":"{\"y\":2}"}"#;
        deltas("missing, one list", &[&format!("[{{{a}}},{{{b}}}]")], TWO);
        deltas("missing, one by one", &[&format!("[{{{a}}}]"), &format!("[{{{b}}}]")], TWO);
        for (one, other) in
            [("0", "0"), ("1", "2"), ("0", "7"), ("null", "null"), ("\"0\"", "\"1\""), ("-1", "-1")]
        {
            let (a, b) = (format!(r#"{{"index":{one},{a}}}"#), format!(r#"{{"index":{other},{b}}}"#));
            let what = format!("{one} and {other}");
            deltas(&format!("{what}, one chunk"), &[&format!("[{a},{b}]")], TWO);
            deltas(&format!("{what}, two chunks"), &[&format!("[{a}]"), &format!("[{b}]")], TWO);
        }
    }

    #[test]
    fn two_entries_of_one_chunk_may_share_an_index() {
        deltas(
            "the pieces of one call",
            &[
                r#"[{"index":0,"id":"a","function":{"name":"f","arguments":""}},{"index":0,"function":{"arguments":"{\"x\":1}"}}]"#,
            ],
            &TWO[..1],
        );
        deltas(
            "two calls with ids, then pieces by id",
            &[
                r#"[{"index":0,"id":"a","function":{"name":"f","arguments":""}},{"index":0,"id":"b","function":{"name":"g","arguments":""}}]"#,
                r#"[{"index":0,"id":"a","function":{"arguments":"{\"x\":1}"}},{"index":0,"id":"b","function":{"arguments":"{\"y\":2}"}}]"#,
            ],
            TWO,
        );
        deltas(
            "two whole calls without ids",
            &[
                r#"[{"index":0,"function":{"name":"f","arguments":"{\"x\":1}"}},{"index":0,"function":{"name":"f","arguments":"{\"x\":2}"}}]"#,
            ],
            &[r#"0 # f({"x":1})"#, r#"0 # f({"x":2})"#],
        );
    }

    #[test]
    fn ids_may_come_alone_first_late_often_empty_or_never() {
        deltas(
            "id first, then name, then arguments",
            &[
                r#"[{"index":0,"id":"a"}]"#,
                r#"[{"index":0,"function":{"name":"f"}}]"#,
                r#"[{"index":0,"function":{"arguments":"{\"x\":1}"}}]"#,
            ],
            &TWO[..1],
        );
        deltas(
            "on every piece",
            &[
                r#"[{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\""}}]"#,
                r#"[{"index":0,"id":"a","function":{"name":"f","arguments":":1}"}}]"#,
            ],
            &TWO[..1],
        );
        deltas(
            "empty and null on later pieces",
            &[
                r#"[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":"{\"x\""}}]"#,
                r#"[{"index":0,"id":"","type":null,"function":{"name":"","arguments":":1"}}]"#,
                r#"[{"index":0,"id":null,"function":{"name":null,"arguments":"}"}}]"#,
            ],
            &TWO[..1],
        );
        deltas("never", &[r#"[{"function":{"name":"f","arguments":"{\"x\":1}"}}]"#], &[r#"0 # f({"x":1})"#]);
    }

    #[test]
    fn arguments_may_be_absent_empty_null_or_an_object() {
        for (arguments, given) in [
            ("", ""),
            (r#","arguments":null"#, ""),
            (r#","arguments":"""#, ""),
            (r#","arguments":"null""#, "null"),
            (r#","arguments":"{}""#, "{}"),
            (r#","arguments":{}"#, "{}"),
            (r#","arguments":{"x":1.50}"#, r#"{"x":1.50}"#),
            (r#","arguments":"{\"x\":\"\\u00e9\"}""#, r#"{"x":"\u00e9"}"#),
        ] {
            let call = format!(r#"[{{"index":0,"id":"a","function":{{"name":"f"{arguments}}}}}]"#);
            deltas(arguments, &[&call], &[&format!("0 a f({given})")]);
        }
        // All that mean nothing are one thing to whoever reads them.
        for text in ["", " ", "null", "{}"] {
            let call = llm_types::ToolCall { arguments: text.to_owned(), ..llm_types::ToolCall::default() };
            assert_eq!(call.json(), "{}");
        }
    }

    #[test]
    fn parallel_calls_may_be_interleaved() {
        deltas(
            "interleaved",
            &[
                r#"[{"index":0,"id":"a","function":{"name":"f","arguments":""}}]"#,
                r#"[{"index":1,"id":"b","function":{"name":"g","arguments":""}}]"#,
                r#"[{"index":1,"function":{"arguments":"{\"y\""}},{"index":0,"function":{"arguments":"{\"x\""}}]"#,
                r#"[{"index":0,"function":{"arguments":":1}"}}]"#,
                r#"[{"index":1,"function":{"arguments":":2}"}}]"#,
            ],
            TWO,
        );
    }

    #[test]
    fn ids_may_be_shared_by_two_calls() {
        let two = &[r#"0 a f({"x":1})"#, r#"0 # f({"x":2})"#];
        deltas(
            "one chunk",
            &[
                r#"[{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}},{"index":1,"id":"a","function":{"name":"f","arguments":"{\"x\":2}"}}]"#,
            ],
            two,
        );
        deltas(
            "in pieces",
            &[
                r#"[{"index":0,"id":"a","function":{"name":"f","arguments":""}},{"index":1,"id":"a","function":{"name":"f","arguments":""}}]"#,
                r#"[{"index":1,"function":{"arguments":"{\"x\":2}"}},{"index":0,"function":{"arguments":"{\"x\":1}"}}]"#,
            ],
            two,
        );
    }

    #[test]
    fn several_choices_have_calls_of_their_own() {
        let chunks = [
            r#"{"choices":[{"index":1,"delta":{"tool_calls":[{"index":0,"id":"b","function":{"name":"g","arguments":"{\"y\""}}]}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{\"x\""}}]}},{"index":1,"delta":{"tool_calls":[{"index":0,"function":{"arguments":":2}"}}]}}]}"#,
            r#"{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"function":{"arguments":":1}"}}]},"finish_reason":"tool_calls"}]}"#,
            r#"{"choices":[{"index":1,"delta":{},"finish_reason":"tool_calls"}]}"#,
        ];
        let expected = [r#"0 a f({"x":1})"#, r#"1 b g({"y":2})"#];
        assert_eq!(streamed(DIALECT, &TARGET, &chunks, "data: [DONE]\n\n"), expected);
        let body = r#"{"choices":[
            {"index":0,"message":{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{\"x\":1}"}}]},"finish_reason":"tool_calls"},
            {"index":1,"message":{"tool_calls":[{"id":"b","function":{"name":"g","arguments":"{\"y\":2}"}}]},"finish_reason":"tool_calls"}]}"#;
        assert_eq!(whole(DIALECT, &TARGET, body), expected);
    }
}

mod anthropic_messages {
    use super::*;

    const START: &str = r#"{"type":"message_start","message":{"id":"m","role":"assistant","content":[],"usage":{"input_tokens":1,"output_tokens":1}}}"#;
    const FINISH: &str =
        r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":2}}"#;
    const STOP: &str = r#"{"type":"message_stop"}"#;

    fn blocks(what: &str, events: &[&str], expected: &[&str]) {
        let all: Vec<&str> = [START].iter().chain(events).chain(&[FINISH, STOP]).copied().collect();
        let calls = streamed(Dialect::Anthropic, &anthropic::TARGET, &all, "");
        assert_eq!(masked(&calls), expected, "{what}");
    }

    fn content(what: &str, list: &str, expected: &[&str]) {
        let body = format!(
            r#"{{"id":"m","type":"message","role":"assistant","content":[{list}],"stop_reason":"tool_use"}}"#
        );
        let calls = whole(Dialect::Anthropic, &anthropic::TARGET, &body);
        assert_eq!(masked(&calls), expected, "{what}, whole");
    }

    const TWO: &[&str] = &[r#"0 a f({"x":1})"#, r#"0 b g({"y":2})"#];

    fn start(index: &str, id: &str, name: &str) -> String {
        format!(
            r#"{{"type":"content_block_start"{index},"content_block":{{"type":"tool_use"{id},"name":"{name}","input":{{}}}}}}"#
        )
    }

    fn piece(index: &str, json: &str) -> String {
        let json = serde_json::to_string(json).unwrap();
        format!(
            r#"{{"type":"content_block_delta"{index},"delta":{{"type":"input_json_delta","partial_json":{json}}}}}"#
        )
    }

    fn stop(index: &str) -> String {
        format!(r#"{{"type":"content_block_stop"{index}}}"#)
    }

    #[test]
    fn indexes_may_be_missing_repeated_or_odd() {
        for (one, other) in [
            (r#","index":0"#, r#","index":1"#),
            (r#","index":1"#, r#","index":5"#),
            (r#","index":0"#, r#","index":0"#),
            ("", ""),
            (r#","index":null"#, r#","index":null"#),
        ] {
            let (a, b) = (start(one, r#","id":"a""#, "f"), start(other, r#","id":"b""#, "g"));
            let (x, y) = (piece(one, r#"{"x":1}"#), piece(other, r#"{"y":2}"#));
            let (ends, also) = (stop(one), stop(other));
            blocks(&format!("{one} and {other}"), &[&a, &x, &ends, &b, &y, &also], TWO);
            blocks(&format!("{one} and {other}, without ends"), &[&a, &x, &b, &y], TWO);
        }
    }

    #[test]
    fn blocks_may_be_interleaved_though_they_should_not() {
        let (one, other) = (r#","index":0"#, r#","index":1"#);
        let events = [
            start(one, r#","id":"a""#, "f"),
            start(other, r#","id":"b""#, "g"),
            piece(other, r#"{"y""#),
            piece(one, r#"{"x""#),
            piece(one, ":1}"),
            piece(other, ":2}"),
            stop(other),
            stop(one),
        ];
        blocks("interleaved", &events.each_ref().map(String::as_str), TWO);
    }

    #[test]
    fn inputs_may_be_empty_whole_or_in_the_start() {
        let at = r#","index":0"#;
        let begin = start(at, r#","id":"a""#, "f");
        for pieces in [&[][..], &[""], &["", ""]] {
            let pieces: Vec<String> = pieces.iter().map(|text| piece(at, text)).collect();
            let end = stop(at);
            let events: Vec<&str> =
                [&begin].into_iter().chain(&pieces).chain([&end]).map(String::as_str).collect();
            blocks("empty", &events, &["0 a f({})"]);
        }
        for (input, given) in [
            ("", "{}"),
            (r#","input":null"#, "{}"),
            (r#","input":{}"#, "{}"),
            (r#","input":{"x":1.50}"#, r#"{"x":1.50}"#),
            (r#","input":"{\"x\":1}""#, r#"{"x":1}"#),
        ] {
            let block = format!(r#"{{"type":"tool_use","id":"a","name":"f"{input}}}"#);
            let expected = format!("0 a f({given})");
            content(input, &block, &[&expected]);
            let begin = format!(r#"{{"type":"content_block_start","index":0,"content_block":{block}}}"#);
            blocks(input, &[&begin, &stop(at)], &[&expected]);
        }
    }

    #[test]
    fn ids_may_be_missing_or_shared() {
        let (one, other) = (r#","index":0"#, r#","index":1"#);
        let of = |first: &str, second: &str, expected: &[&str]| {
            let events = [start(one, first, "f"), stop(one), start(other, second, "f"), stop(other)];
            blocks(&format!("{first} {second}"), &events.each_ref().map(String::as_str), expected);
            let block = |id: &str| format!(r#"{{"type":"tool_use"{id},"name":"f","input":{{}}}}"#);
            content(&format!("{first} {second}"), &format!("{},{}", block(first), block(second)), expected);
        };
        of("", "", &["0 # f({})", "0 # f({})"]);
        of(r#","id":"""#, r#","id":null"#, &["0 # f({})", "0 # f({})"]);
        of(r#","id":"a""#, r#","id":"a""#, &["0 a f({})", "0 # f({})"]);
    }
}

mod gemini_contents {
    use super::*;

    fn parts(what: &str, chunks: &[&str], expected: &[&str]) {
        let target = &gemini::tests::TARGET;
        let events: Vec<String> = chunks
            .iter()
            .map(|list| format!(r#"{{"candidates":[{{"content":{{"role":"model","parts":[{list}]}},"index":0}}],"responseId":"r"}}"#))
            .chain([r#"{"candidates":[{"content":{"role":"model"},"finishReason":"STOP","index":0}],"responseId":"r"}"#.to_owned()])
            .collect();
        let events: Vec<&str> = events.iter().map(String::as_str).collect();
        let calls = streamed(Dialect::Gemini, target, &events, "");
        assert_eq!(masked(&calls), expected, "{what}");
        let body = format!(
            r#"{{"candidates":[{{"content":{{"role":"model","parts":[{}]}},"finishReason":"STOP"}}],"responseId":"r"}}"#,
            chunks.join(",")
        );
        assert_eq!(whole(Dialect::Gemini, target, &body), calls, "{what}: the same ids, whole");
    }

    #[test]
    fn calls_without_ids_get_some_that_tell_them_apart() {
        let same = r#"{"functionCall":{"name":"f","args":{"x":1}}}"#;
        let two = &[r#"0 # f({"x":1})"#, r#"0 # f({"x":1})"#];
        parts("one chunk", &[&format!("{same},{same}")], two);
        parts("two chunks", &[same, same], two);
        parts(
            "some with ids",
            &[r#"{"functionCall":{"id":"a","name":"f","args":{}}},{"functionCall":{"id":"","name":"g"}}"#],
            &["0 a f({})", "0 # g({})"],
        );
        let shared = r#"{"functionCall":{"id":"a","name":"f","args":{}}}"#;
        parts("one id for two", &[&format!("{shared},{shared}")], &["0 a f({})", "0 # f({})"]);
    }

    #[test]
    fn arguments_may_be_absent_null_or_empty() {
        for args in ["", r#","args":null"#, r#","args":{}"#] {
            let call = format!(r#"{{"functionCall":{{"id":"a","name":"f"{args}}}}}"#);
            parts(args, &[&call], &["0 a f({})"]);
        }
    }

    #[test]
    fn candidates_have_calls_of_their_own() {
        let chunk = |index: u32, name: &str| {
            format!(
                r#"{{"content":{{"parts":[{{"functionCall":{{"name":"{name}","args":{{}}}}}}]}},"index":{index},"finishReason":"STOP"}}"#
            )
        };
        let target = &gemini::tests::TARGET;
        let body = format!(r#"{{"candidates":[{},{}],"responseId":"r"}}"#, chunk(0, "f"), chunk(1, "f"));
        let calls = whole(Dialect::Gemini, target, &body);
        assert_eq!(masked(&calls), ["0 # f({})", "1 # f({})"]);
        assert_eq!(streamed(Dialect::Gemini, target, &[&body], ""), calls);
    }
}

/// One declaration for all: what each format makes of it, and of every choice.
mod declared {
    use llm_types::{FunctionTool, Tool, ToolChoice};
    use serde_json::{Value, json};

    use super::*;

    const SCHEMA: &str =
        r#"{"type":"object","properties":{"n":{"type":"number","maximum":1.50}},"required":["n"]}"#;

    fn asking(change: impl FnOnce(&mut ChatRequest)) -> ChatRequest {
        let function = FunctionTool {
            name: "f".into(),
            description: Some("does".into()),
            parameters: Some(serde_json::from_str(SCHEMA).unwrap()),
            ..FunctionTool::default()
        };
        let mut request = ChatRequest { tools: vec![Tool::Function(function)], ..ChatRequest::user("hi") };
        change(&mut request);
        request
    }

    /// The members of a body that concern tools, and what could not be said.
    fn sent(at: usize, request: &ChatRequest) -> (Value, Vec<String>) {
        let Spoken { dialect, target, .. } = SPOKEN[at];
        let sent = dialect.encode_chat(request, &target, false).unwrap();
        let body: Value = serde_json::from_slice(&sent.body).unwrap();
        assert!(request.tools.is_empty() || sent.body.windows(4).any(|four| four == b"1.50"), "as written");
        let names = ["tools", "tool_choice", "parallel_tool_calls", "toolConfig"];
        let members = names.iter().filter_map(|name| Some((name.to_string(), body.get(*name)?.clone())));
        (members.collect(), sent.warnings.into_iter().map(|warning| warning.about).collect())
    }

    #[test]
    fn one_declaration_is_written_for_each() {
        let schema: Value = serde_json::from_str(SCHEMA).unwrap();
        let strict = |strict: Option<bool>| {
            asking(|request| {
                let Some(Tool::Function(function)) = request.tools.first_mut() else { panic!("no function") };
                function.strict = strict;
            })
        };
        let openai = |strict: Value| {
            let mut function = json!({"name": "f", "description": "does", "parameters": schema});
            if !strict.is_null() {
                function["strict"] = strict;
            }
            json!({"tools": [{"type": "function", "function": function}]})
        };
        assert_eq!(sent(0, &strict(None)), (openai(Value::Null), vec![]));
        assert_eq!(sent(0, &strict(Some(true))), (openai(true.into()), vec![]));
        let plain = json!({"tools": [{"name": "f", "description": "does", "input_schema": schema}]});
        assert_eq!(sent(1, &strict(None)), (plain.clone(), vec![]));
        let mut exact = plain;
        exact["tools"][0]["strict"] = true.into();
        assert_eq!(sent(1, &strict(Some(true))), (exact, vec![]));
        let declaration = json!({"name": "f", "description": "does", "parametersJsonSchema": schema});
        let plain = json!({"tools": [{"functionDeclarations": [declaration]}]});
        assert_eq!(sent(2, &strict(None)), (plain.clone(), vec![]));
        // Strictness is a mode of calling here.
        let mut exact = plain;
        exact["toolConfig"] = json!({"functionCallingConfig": {"mode": "VALIDATED"}});
        assert_eq!(sent(2, &strict(Some(true))), (exact, vec![]));
    }

    #[test]
    fn every_choice_has_a_word_in_each() {
        for (choice, [openai, anthropic, gemini]) in [
            (ToolChoice::Auto, [json!("auto"), json!({"type": "auto"}), json!({"mode": "AUTO"})]),
            (ToolChoice::None, [json!("none"), json!({"type": "none"}), json!({"mode": "NONE"})]),
            (ToolChoice::Required, [json!("required"), json!({"type": "any"}), json!({"mode": "ANY"})]),
            (
                ToolChoice::Function("f".into()),
                [
                    json!({"type": "function", "function": {"name": "f"}}),
                    json!({"type": "tool", "name": "f"}),
                    json!({"mode": "ANY", "allowedFunctionNames": ["f"]}),
                ],
            ),
        ] {
            let request = asking(|request| request.tool_choice = Some(choice.clone()));
            for (at, expected) in [openai, anthropic].into_iter().enumerate() {
                let (members, warnings) = sent(at, &request);
                assert_eq!((&members["tool_choice"], warnings), (&expected, vec![]));
            }
            let (members, warnings) = sent(2, &request);
            assert_eq!((&members["toolConfig"]["functionCallingConfig"], warnings), (&gemini, vec![]));
            // Without tools a choice is refused by servers, and means nothing.
            let bare = ChatRequest { tool_choice: Some(choice.clone()), ..ChatRequest::user("hi") };
            let forced = !matches!(choice, ToolChoice::Auto | ToolChoice::None);
            for at in 0..SPOKEN.len() {
                let (members, warnings) = sent(at, &bare);
                let told = warnings.iter().any(|about| about == "tool_choice");
                assert_eq!((members, told), (json!({}), forced), "{at} {choice:?}");
            }
        }
    }

    #[test]
    fn one_call_at_a_time_can_be_asked_for() {
        for parallel in [true, false] {
            let request = asking(|request| request.parallel_tool_calls = Some(parallel));
            assert_eq!(sent(0, &request).0["parallel_tool_calls"], parallel);
            let choice = &sent(1, &request).0["tool_choice"];
            let expected = json!({"type": "auto", "disable_parallel_tool_use": true});
            assert_eq!(choice, if parallel { &Value::Null } else { &expected });
            // There is no word for it here.
            assert_eq!(sent(2, &request).1.contains(&"parallel_tool_calls".to_owned()), !parallel);
            // Without tools it is refused, and means nothing.
            let bare = ChatRequest { parallel_tool_calls: Some(parallel), ..ChatRequest::user("hi") };
            for at in 0..SPOKEN.len() {
                assert_eq!(sent(at, &bare).0, json!({}), "{at}");
            }
        }
        // Beside a choice it is a member of it.
        let request = asking(|request| {
            (request.parallel_tool_calls, request.tool_choice) =
                (Some(false), Some(ToolChoice::Function("f".into())));
        });
        let expected = json!({"type": "tool", "name": "f", "disable_parallel_tool_use": true});
        assert_eq!(sent(1, &request).0["tool_choice"], expected);
    }
}
