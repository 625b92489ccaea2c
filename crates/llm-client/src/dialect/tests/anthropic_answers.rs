//! The protocol of Anthropic's messages, statement by statement, beyond what the tests beside the code show: answers.

use llm_types::FinishReason;

use super::tables::{are_read, events, line, said, stops};
use super::*;

const DIALECT: Dialect = Dialect::Anthropic;
const TARGET: WireTarget<'static> = anthropic::TARGET;

/// A message whole, and as a stream of the same blocks.
fn both_ways(blocks: &[(&str, &[&str])], reason: &str) -> [String; 2] {
    let ended = |(start, deltas): &(&str, &[&str])| {
        // What a block is when it is whole, by the rules for adding up its pieces.
        let mut block: serde_json::Value = serde_json::from_str(start).unwrap();
        for delta in *deltas {
            let delta: serde_json::Value = serde_json::from_str(delta).unwrap();
            match delta["type"].as_str().unwrap() {
                "text_delta" => {
                    let text = [&block["text"], &delta["text"]].map(|text| text.as_str().unwrap()).concat();
                    block["text"] = text.into();
                }
                "citations_delta" => {
                    let mut list = block["citations"].as_array().cloned().unwrap_or_default();
                    list.push(delta["citation"].clone());
                    block["citations"] = list.into();
                }
                other => panic!("{other}"),
            }
        }
        block.to_string()
    };
    let content: Vec<String> = blocks.iter().map(ended).collect();
    let usage = r#""usage":{"input_tokens":5,"output_tokens":2}"#;
    let plain = format!(
        r#"{{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[{}],"stop_reason":"{reason}","stop_sequence":null,{usage}}}"#,
        content.join(",")
    );
    let mut frames = vec![format!(
        r#"{{"type":"message_start","message":{{"id":"msg_1","type":"message","role":"assistant","model":"m","content":[],"stop_reason":null,{usage}}}}}"#
    )];
    for (index, (start, deltas)) in blocks.iter().enumerate() {
        frames.push(format!(r#"{{"type":"content_block_start","index":{index},"content_block":{start}}}"#));
        frames.push(r#"{"type":"ping"}"#.to_owned());
        frames.extend(
            deltas.iter().map(|delta| {
                format!(r#"{{"type":"content_block_delta","index":{index},"delta":{delta}  }}"#)
            }),
        );
        frames.push(format!(r#"{{"type":"content_block_stop","index":{index}     }}"#));
    }
    frames.push(format!(
        r#"{{"type":"message_delta","delta":{{"stop_reason":"{reason}","stop_sequence":null}},{usage}}}"#
    ));
    frames.push(r#"{"type":"message_stop"}"#.to_owned());
    [plain, events(&frames)]
}

/// §3, §6, §7: blocks of every kind come whole and in pieces, say the same, and go back as they came.
#[test]
fn blocks_of_every_kind_go_back_as_they_came() {
    let citations = [
        "char_location",
        "page_location",
        "content_block_location",
        "search_result_location",
        "web_search_result_location",
    ];
    let cited: Vec<String> = citations
        .iter()
        .map(|kind| {
            format!(r#"{{"type":"citations_delta","citation":{{"type":"{kind}","cited_text":"x"}}}}"#)
        })
        .collect();
    let mut pieces: Vec<&str> = cited.iter().map(String::as_str).collect();
    pieces.extend([r#"{"type":"text_delta","text":"Tides "}"#, r#"{"type":"text_delta","text":"rise."}"#]);
    let opaque = [
        r#"{"type":"server_tool_use","id":"srvtoolu_1","name":"web_search","input":{"query":"x"}}"#,
        r#"{"type":"web_search_tool_result","tool_use_id":"srvtoolu_1","content":[]}"#,
        r#"{"type":"web_fetch_tool_result","tool_use_id":"srvtoolu_1","content":{}}"#,
        r#"{"type":"code_execution_tool_result","tool_use_id":"srvtoolu_1","content":{}}"#,
        r#"{"type":"bash_code_execution_tool_result","tool_use_id":"srvtoolu_1","content":{}}"#,
        r#"{"type":"text_editor_code_execution_tool_result","tool_use_id":"srvtoolu_1","content":{}}"#,
        r#"{"type":"tool_search_tool_result","tool_use_id":"srvtoolu_1","content":{}}"#,
        r#"{"type":"mcp_tool_use","id":"mcptoolu_1","name":"n","server_name":"s","input":{}}"#,
        r#"{"type":"mcp_tool_result","tool_use_id":"mcptoolu_1","content":[]}"#,
        r#"{"type":"advisor_tool_result","tool_use_id":"srvtoolu_1","content":{}}"#,
        r#"{"type":"compaction","content":"c"}"#,
        r#"{"type":"fallback","from":{"model":"a"},"to":{"model":"b"}}"#,
        r#"{"type":"thinking","thinking":"Hm.","signature":"c2ln"}"#,
        r#"{"type":"thinking","thinking":"","signature":"c2ln"}"#,
        r#"{"type":"redacted_thinking","data":"ZW5j"}"#,
        r#"{"type":"tool_use","id":"toolu_1","name":"f","input":{"x":1.50},"caller":{"type":"direct"},"toolset_name":"t"}"#,
    ];
    let mut blocks: Vec<(&str, &[&str])> = vec![(r#"{"type":"text","text":"","citations":null}"#, &pieces)];
    blocks.extend(opaque.iter().map(|block| (*block, &[][..])));
    let said_of: Vec<String> = both_ways(&blocks, "end_turn")
        .iter()
        .map(|body| {
            let response = if body.starts_with('{') {
                DIALECT.decode_chat(body.as_bytes(), &TARGET).unwrap()
            } else {
                collect(stream_in(DIALECT, [body.as_bytes()], &TARGET).0)
            };
            assert!(response.warnings.is_empty(), "{:?}", response.warnings);
            // Calls under this reason were made and answered by the server.
            stops(&response, FinishReason::Stop);
            let asked = ChatRequest::new(vec![response.message().unwrap().clone()]);
            let sent = DIALECT.encode_chat(&asked, &TARGET, false).unwrap();
            assert!(sent.warnings.is_empty(), "{:?}", sent.warnings);
            let body = String::from_utf8(sent.body.to_vec()).unwrap();
            body.split_once(r#""content":["#).unwrap().1.strip_suffix("]}]}").unwrap().to_owned()
        })
        .collect();
    let text: Vec<String> =
        citations.iter().map(|kind| format!(r#"{{"type":"{kind}","cited_text":"x"}}"#)).collect();
    let cited = format!(r#"{{"type":"text","text":"Tides rise.","citations":[{}]}}"#, text.join(","));
    let expected = std::iter::once(cited.as_str()).chain(opaque).collect::<Vec<_>>().join(",");
    // A list that came whole may name its members in another order.
    assert_eq!(said_of[1], expected);
    let values = |text: &str| serde_json::from_str::<serde_json::Value>(&format!("[{text}]")).unwrap();
    assert_eq!(values(&said_of[0]), values(&expected));
}

/// §6, §7: what is said of the whole message, and the odd ways in which events come.
#[test]
fn odd_streams_are_read() {
    const START: &str = r#"{"type":"message_start","message":{"id":"msg_1","model":"m","content":[],"usage":{"input_tokens":5,"output_tokens":1}}}"#;
    const TEXT: &str =
        r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":"Hi"}}"#;
    const CLOSE: &str = r#"{"type":"content_block_stop","index":0}"#;
    const PING: &str = r#"{"type": "ping"}"#;
    const STOP: &str = r#"{"type":"message_stop"}"#;
    let end = |delta: &str, usage: &str| {
        format!(r#"{{"type":"message_delta","delta":{{{delta}}},"usage":{{{usage}}}}}"#)
    };
    let plain_end = end(r#""stop_reason":"end_turn""#, r#""output_tokens":2"#);
    let tail = r#"text "Hi" | finish Some(Stop) native Some("end_turn") | usage 5 in (cached None), 2 out (reasoning None), Reported | id Some("msg_1") model Some("m") extra []"#;
    let with_usage =
        |usage: &str| events(&[START, TEXT, CLOSE, &end(r#""stop_reason":"end_turn""#, usage), STOP]);
    for (body, expected) in [
        // Pings anywhere, also before the start and after the end.
        (events(&[PING, START, PING, TEXT, PING, CLOSE, PING, &plain_end, PING, STOP, PING]), tail.to_owned()),
        // The name of the event alone tells what it is.
        (
            events(&[START, TEXT, CLOSE]) + &format!("event: message_delta\ndata: {}\n\n", plain_end.replace(r#""type":"message_delta","#, ""))
                + "event: message_stop\ndata: {}\n\n",
            tail.to_owned(),
        ),
        // The name in the data goes before that of the event.
        (events(&[START, TEXT, CLOSE, &plain_end, STOP]).replace("data:", "event: ping\ndata:"), tail.to_owned()),
        // CRLF, and no blank line at the end.
        (events(&[START, TEXT, CLOSE, &plain_end, STOP]).replace('\n', "\r\n").trim_end().to_owned(), tail.to_owned()),
        // A gateway's own end, behind ours.
        (events(&[START, TEXT, CLOSE, &plain_end, STOP]) + "event: data\ndata: [DONE]\n\n", tail.to_owned()),
        // A later count replaces an earlier one, those of the input too; null replaces nothing.
        (
            with_usage(r#""input_tokens":61,"output_tokens":2,"cache_read_input_tokens":4,"cache_creation_input_tokens":null"#),
            tail.replace("usage 5 in (cached None)", "usage 65 in (cached Some(4))"),
        ),
        (with_usage(r#""input_tokens":3,"output_tokens":2"#), tail.replace("usage 5 in", "usage 3 in")),
        // Rounds are not added on top; what has no class of its own is kept.
        (
            with_usage(r#""output_tokens":2,"iterations":[{"type":"message","input_tokens":5,"output_tokens":2},{"type":"compaction","input_tokens":50,"output_tokens":20},{"type":"fallback_message","input_tokens":5,"output_tokens":2}],"server_tool_use":{"web_search_requests":1,"web_fetch_requests":0},"service_tier":"batch","inference_geo":"global","speed":"fast""#),
            tail.replace("extra []", r#"extra ["usage"]"#),
        ),
        // Thinking is inside the output.
        (
            with_usage(r#""output_tokens":9,"output_tokens_details":{"thinking_tokens":4}"#),
            tail.replace("2 out (reasoning None)", "9 out (reasoning Some(4))"),
        ),
        // What is said of the message as a whole.
        (
            events(&[
                START,
                TEXT,
                CLOSE,
                r#"{"type":"message_delta","delta":{"stop_reason":"end_turn","container":{"id":"c","expires_at":"x","skills":[]}},"context_management":{"applied_edits":[]},"diagnostics":{},"usage":{"output_tokens":2}}"#,
                STOP,
            ]),
            tail.replace("extra []", r#"extra ["context_management", "diagnostics", "container"]"#),
        ),
        // A signature is set and not added to.
        (
            events(&[
                START,
                r#"{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}"#,
                r#"{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Hm"}}"#,
                r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"b2xk"}}"#,
                r#"{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"c2ln"}}"#,
                CLOSE,
                &TEXT.replace("0,", "1,"),
                &CLOSE.replace('0', "1"),
                &plain_end,
                STOP,
            ]),
            format!(r#"thought "Hm" signature Some("c2ln") encrypted None | {tail}"#),
        ),
        // A refusal may say nothing, but why.
        (
            events(&[START, &end(r#""stop_reason":"refusal","stop_details":{"type":"refusal","category":"bio","explanation":"No.","recommended_model":"m2"}"#, r#""output_tokens":2"#), STOP]),
            r#"finish Some(ContentFilter) native Some("refusal") | beside {"stop_details": "{\"type\":\"refusal\",\"category\":\"bio\",\"explanation\":\"No.\",\"recommended_model\":\"m2\"}"} | usage 5 in (cached None), 2 out (reasoning None), Reported | id Some("msg_1") model Some("m") extra []"#.to_owned(),
        ),
    ] {
        assert_eq!(said(DIALECT, &TARGET, body.as_bytes()), expected, "{body}");
    }
}

/// §6: counts whole, with every class of the cache.
#[test]
fn plain_answers_are_read() {
    are_read(
        DIALECT,
        &TARGET,
        &[
            (
                r#"{"id":"m","type":"message","model":"c","content":[],"stop_reason":"end_turn","usage":{"input_tokens":380,"cache_creation_input_tokens":30,"cache_read_input_tokens":1024,"cache_creation":{"ephemeral_5m_input_tokens":10,"ephemeral_1h_input_tokens":20},"output_tokens":57,"output_tokens_details":{"thinking_tokens":21}}}"#,
                r#"finish Some(Stop) native Some("end_turn") | usage 1434 in (cached Some(1024)), 57 out (reasoning Some(21)), Reported | id Some("m") model Some("c") extra []"#,
            ),
            (
                r#"{"id":"m","type":"message","model":"c","content":[{"type":"text","text":"a"}],"stop_reason":"stop_sequence","stop_sequence":"END"}"#,
                r#"text "a" | finish Some(Stop) native Some("stop_sequence") | beside {"stop_sequence": "\"END\""} | id Some("m") model Some("c") extra []"#,
            ),
            (
                r#"{"id":"m","type":"message","model":"c","content":[{"type":"tool_use","id":"a","name":"f","input":{}},{"type":"tool_use","id":"a","name":"f","input":{}}],"stop_reason":"tool_use"}"#,
                r#"call a f({}) {} | call toolu_A f({}) {} | finish Some(ToolCalls) native Some("tool_use") | id Some("m") model Some("c") extra [] | warning tool_calls: two tool calls had one id; the later was given another"#,
            ),
        ],
    );
}

/// §8.
#[test]
fn every_type_of_error_has_its_kind_alone_and_in_a_stream() {
    use ErrorKind as K;
    for (status, word, code, kind, retried) in [
        (400, "invalid_request_error", "", K::InvalidRequest, false),
        (401, "authentication_error", "", K::Authentication, false),
        (402, "billing_error", "", K::QuotaExhausted, false),
        (403, "permission_error", "", K::PermissionDenied, false),
        (404, "not_found_error", "", K::NotFound, false),
        (409, "conflict_error", "", K::Server, true),
        (413, "request_too_large", "", K::InvalidRequest, false),
        (429, "rate_limit_error", "", K::RateLimited, true),
        (429, "rate_limit_error", "ramp_limit_exceeded", K::RateLimited, true),
        (429, "rate_limit_error", "enforced_spend_limit_reached", K::QuotaExhausted, false),
        (429, "rate_limit_error", "contract_spend_limit_reached", K::QuotaExhausted, false),
        (500, "api_error", "", K::Server, true),
        (504, "timeout_error", "", K::Server, true),
        (529, "overloaded_error", "", K::Overloaded, true),
    ] {
        let details =
            if code.is_empty() { String::new() } else { format!(r#","details":{{"error_code":"{code}"}}"#) };
        let json = format!(
            r#"{{"type":"error","error":{{"type":"{word}","message":"words"{details}}},"request_id":"req_1"}}"#
        );
        let shown = if code.is_empty() { word } else { code };
        let http = StatusCode::from_u16(status).unwrap();
        let alone = DIALECT.classify(http, &HeaderMap::new(), json.as_bytes(), &TARGET, Hints::default());
        let plain = DIALECT.decode_chat(json.as_bytes(), &TARGET).unwrap_err();
        let begun = r#"{"type":"message_start","message":{"id":"m","content":[{"type":"text","text":"Half"}],"usage":{"input_tokens":5,"output_tokens":1}}}"#;
        let body = events(&[begun]) + &format!("event: error\ndata: {json}\n\n");
        let (seen, result) = stream_in(DIALECT, [body.as_bytes()], &TARGET);
        assert_eq!(collect(seen).text(), "Half");
        for error in [alone, plain, result.unwrap_err()] {
            assert_eq!((error.kind(), error.is_retryable()), (kind, retried), "{error:?}");
            assert_eq!(
                (error.message(), error.code(), error.request_id()),
                ("words", Some(shown), Some("req_1"))
            );
        }
    }
    // For a bad key there is no name of the exchange.
    let json = r#"{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"},"request_id":null}"#;
    let error = DIALECT.classify(
        StatusCode::UNAUTHORIZED,
        &HeaderMap::new(),
        json.as_bytes(),
        &TARGET,
        Hints::default(),
    );
    assert_eq!((error.kind(), error.request_id()), (ErrorKind::Authentication, None));
}

/// §10: other hosts' answers have less.
#[test]
fn imitations_leave_out_what_they_like() {
    let body = r#"{"content":[{"type":"thinking","thinking":"Hm.","signature":""},{"type":"text","text":"Hi"}],"stop_reason":"end_turn"}"#;
    let response = DIALECT.decode_chat(body.as_bytes(), &TARGET).unwrap();
    assert_eq!(
        line(&response),
        r#"thought "Hm." signature None encrypted None | text "Hi" | finish Some(Stop) native Some("end_turn") | id None model None extra []"#
    );
    let asked = ChatRequest::new(vec![response.message().unwrap().clone()]);
    let sent = DIALECT.encode_chat(&asked, &TARGET, false).unwrap();
    assert!(
        std::str::from_utf8(&sent.body)
            .unwrap()
            .contains(r#"{"type":"thinking","thinking":"Hm.","signature":""}"#)
    );
}
