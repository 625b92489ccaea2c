//! The protocol of Anthropic's messages, statement by statement, beyond what the tests beside the code show: requests.

use super::tables::{Asked, are_written, request};
use super::*;

const DIALECT: Dialect = Dialect::Anthropic;
const TARGET: WireTarget<'static> = anthropic::TARGET;

/// §2: every member of a request, and what stands for the settings that have none.
const REQUESTS: &[Asked] = &[
    (
        "{}",
        r#"{"model":"some-model","max_tokens":8192,"stream":null,"system":null,"temperature":null,"top_p":null,"top_k":null,"thinking":null,"output_config":null,"metadata":null,"service_tier":null,"tools":null,"tool_choice":null,"stop_sequences":null}"#,
        &[],
    ),
    (r#"{"max_tokens":0}"#, r#"{"max_tokens":0}"#, &[]),
    (r#"{"max_completion_tokens":7}"#, r#"{"max_tokens":7}"#, &[]),
    (r#"{"stop":"END"}"#, r#"{"stop_sequences":["END"]}"#, &[]),
    (
        r#"{"stop":["a","b"],"temperature":0.5,"top_p":0.9,"top_k":7}"#,
        r#"{"stop_sequences":["a","b"],"temperature":0.5,"top_p":0.9,"top_k":7}"#,
        &[],
    ),
    (r#"{"temperature":2}"#, r#"{"temperature":1.0}"#, &["temperature"]),
    // Sampling has gone with the newer version, at its default too.
    (
        r#"{"temperature":1,"top_p":0.9,"top_k":7,"anthropic_version":"2026-10-21"}"#,
        r#"{"temperature":null,"top_p":null,"top_k":null,"anthropic_version":null}"#,
        &["temperature", "top_p", "top_k"],
    ),
    // Structured output has a schema without a name.
    (
        r#"{"response_format":{"type":"json_schema","json_schema":{"name":"r","schema":{"$schema":"s","type":"object"},"strict":true}}}"#,
        r#"{"output_config":{"format":{"type":"json_schema","schema":{"$schema":"s","type":"object"}}}}"#,
        &[],
    ),
    (r#"{"response_format":{"type":"json_object"}}"#, r#"{"output_config":null}"#, &["response_format"]),
    (r#"{"response_format":{"type":"text"}}"#, r#"{"output_config":null}"#, &[]),
    (
        r#"{"output_config":{"task_budget":{"type":"tokens","total":9,"remaining":3}}}"#,
        r#"{"output_config":{"task_budget":{"type":"tokens","total":9,"remaining":3}}}"#,
        &[],
    ),
    // The whole request is cached, for five minutes or an hour.
    (r#"{"cache_control":{"type":"ephemeral"}}"#, r#"{"cache_control":{"type":"ephemeral"}}"#, &[]),
    (
        r#"{"cache_control":{"type":"ephemeral","ttl":"1h"}}"#,
        r#"{"cache_control":{"type":"ephemeral","ttl":"1h"}}"#,
        &[],
    ),
    (r#"{"user":"u-1"}"#, r#"{"metadata":{"user_id":"u-1"}}"#, &[]),
    (
        r#"{"user":"u-1","metadata":{"user_id":"u-2","team":"x"}}"#,
        r#"{"metadata":{"user_id":"u-1"}}"#,
        &["metadata.team"],
    ),
    (r#"{"service_tier":"auto"}"#, r#"{"service_tier":"auto"}"#, &[]),
    (r#"{"service_tier":"standard_only"}"#, r#"{"service_tier":"standard_only"}"#, &[]),
    (r#"{"service_tier":"default"}"#, r#"{"service_tier":"standard_only"}"#, &[]),
    (r#"{"service_tier":"priority"}"#, r#"{"service_tier":null}"#, &["service_tier"]),
    // What has a member of its own here and none elsewhere goes as it is written.
    (
        r#"{"speed":"fast","inference_geo":"eu","container":"c-1","diagnostics":{"previous_message_id":null},"context_management":{"edits":[{"type":"compact_20260112","trigger":{"type":"input_tokens","value":9}}]},"mcp_servers":[{"type":"url","url":"https://h"}]}"#,
        r#"{"speed":"fast","inference_geo":"eu","container":"c-1","diagnostics":{"previous_message_id":null},"context_management":{"edits":[{"type":"compact_20260112","trigger":{"type":"input_tokens","value":9}}]},"mcp_servers":[{"type":"url","url":"https://h"}]}"#,
        &[],
    ),
    // What has none at all is a warning each.
    (
        r#"{"n":2,"seed":1,"frequency_penalty":0.1,"presence_penalty":0.1,"logit_bias":{"1":2},"logprobs":true,"top_logprobs":3,"verbosity":"low","prompt_cache_key":"k"}"#,
        r#"{"n":null,"seed":null,"logprobs":null,"top_logprobs":null,"logit_bias":null,"verbosity":null,"prompt_cache_key":null}"#,
        &[
            "n",
            "seed",
            "frequency_penalty",
            "presence_penalty",
            "logit_bias",
            "logprobs",
            "verbosity",
            "prompt_cache_key",
        ],
    ),
    // §3: who may say what.
    (
        r#"{"messages":[{"role":"assistant","content":"a"},{"role":"user","content":"b"},{"role":"user","content":"c"}]}"#,
        r#"{"messages":[{"role":"assistant","content":"a"},{"role":"user","content":[{"type":"text","text":"b"},{"type":"text","text":"c"}]}]}"#,
        &[],
    ),
    (
        r#"{"messages":[{"role":"system","content":[{"type":"text","text":"s","cache_control":{"type":"ephemeral","ttl":"1h"}}]},{"role":"user","content":"b","cache_control":{"type":"ephemeral"}}]}"#,
        r#"{"system":[{"type":"text","text":"s","cache_control":{"type":"ephemeral","ttl":"1h"}}],"messages":[{"role":"user","content":[{"type":"text","text":"b","cache_control":{"type":"ephemeral"}}]}]}"#,
        &[],
    ),
    // Every block may be marked but thinking.
    (
        r#"{"messages":[{"role":"user","content":"t?"},{"role":"assistant","content":null,"cache_control":{"type":"ephemeral"},"reasoning_details":[{"type":"reasoning.text","text":"h","signature":"s"}],"tool_calls":[{"id":"call_1","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"call_1","content":"1","cache_control":{"type":"ephemeral"}}]}"#,
        r#"{"messages":[{"role":"user","content":"t?"},{"role":"assistant","content":[{"type":"thinking","thinking":"h","signature":"s"},{"type":"tool_use","id":"call_1","name":"f","input":{},"cache_control":{"type":"ephemeral"}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"call_1","content":"1","cache_control":{"type":"ephemeral"}}]}]}"#,
        &[],
    ),
    (
        r#"{"messages":[{"role":"assistant","content":null,"cache_control":{"type":"ephemeral"},"reasoning_details":[{"type":"reasoning.text","text":"h","signature":"s"}]}]}"#,
        r#"{"messages":[{"role":"assistant","content":[{"type":"thinking","thinking":"h","signature":"s"}]}]}"#,
        &[],
    ),
    // Images, documents and what has no shape elsewhere.
    (
        r#"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/gif;base64,R0lGOD"},"transformations":{"oversized_image":"error"}},{"type":"image_url","image_url":{"url":"https://h/a.png"}},
         {"type":"file","file":{"file_id":"file_1"},"context":"c","citations":{"enabled":true}},{"type":"file","file":{"filename":"b","file_data":"data:application/pdf;base64,JVBE"}},
         {"type":"document","source":{"type":"content","content":"x"}},{"type":"search_result","source":"s","title":"t","content":[{"type":"text","text":"x"}]},{"type":"container_upload","file_id":"file_2"}]}]}"#,
        r#"{"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/gif","data":"R0lGOD"},"transformations":{"oversized_image":"error"}},{"type":"image","source":{"type":"url","url":"https://h/a.png"}},
         {"type":"document","source":{"type":"file","file_id":"file_1"},"context":"c","citations":{"enabled":true}},{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBE"},"title":"b"},
         {"type":"document","source":{"type":"content","content":"x"}},{"type":"search_result","source":"s","title":"t","content":[{"type":"text","text":"x"}]},{"type":"container_upload","file_id":"file_2"}]}]}"#,
        &[],
    ),
    // A result holds text, images, documents and references, or nothing, and says whether the tool failed.
    (
        r#"{"messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":""}},{"id":"b","type":"function","function":{"name":"f","arguments":"{}"}}]},
         {"role":"tool","tool_call_id":"a","content":"no","is_error":true},{"role":"tool","tool_call_id":"b","content":[{"type":"image_url","image_url":{"url":"https://h/a.png"}},{"type":"file","file":{"file_id":"file_1"}},{"type":"tool_reference","tool_name":"g"}]}]}"#,
        r#"{"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{}},{"type":"tool_use","id":"b","name":"f","input":{}}]},
         {"role":"user","content":[{"type":"tool_result","tool_use_id":"a","content":"no","is_error":true},{"type":"tool_result","tool_use_id":"b","content":[{"type":"image","source":{"type":"url","url":"https://h/a.png"}},{"type":"document","source":{"type":"file","file_id":"file_1"}},{"type":"tool_reference","tool_name":"g"}]}]}]}"#,
        &[],
    ),
    (
        r#"{"messages":[{"role":"assistant","content":null,"tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"a","content":""}]}"#,
        r#"{"messages":[{"role":"assistant","content":[{"type":"tool_use","id":"a","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"a"}]}]}"#,
        &[],
    ),
    // Citations of the user's were fine in the older version.
    (
        r#"{"messages":[{"role":"user","content":[{"type":"text","text":"a","citations":[{"x":1}]}]}]}"#,
        r#"{"messages":[{"role":"user","content":[{"type":"text","text":"a","citations":[{"x":1}]}]}]}"#,
        &[],
    ),
    (
        r#"{"anthropic_version":"2026-10-21","messages":[{"role":"user","content":[{"type":"text","text":"a","citations":[{"x":1}]},{"type":"text","text":"b","citations":[]}]},{"role":"assistant","content":[{"type":"text","text":"c","citations":[{"x":1}]}]}]}"#,
        r#"{"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b","citations":[]}]},{"role":"assistant","content":[{"type":"text","text":"c","citations":[{"x":1}]}]}]}"#,
        &["messages[0].content.citations"],
    ),
    // §4: tools with all that can be said of them.
    (
        r#"{"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"},"strict":true,"cache_control":{"type":"ephemeral"},"input_examples":[{}],"eager_input_streaming":true,"defer_loading":false,"allowed_callers":["direct"],"type":"custom"}},
         {"type":"code_execution_20260521","name":"code_execution"}],"tool_choice":"auto","parallel_tool_calls":false}"#,
        r#"{"tools":[{"name":"f","description":"d","input_schema":{"type":"object"},"strict":true,"cache_control":{"type":"ephemeral"},"input_examples":[{}],"eager_input_streaming":true,"defer_loading":false,"allowed_callers":["direct"],"type":"custom"},
         {"type":"code_execution_20260521","name":"code_execution"}],"tool_choice":{"type":"auto","disable_parallel_tool_use":true}}"#,
        &[],
    ),
    // Marked for the cache from around it.
    (
        r#"{"tools":[{"type":"function","function":{"name":"f"},"cache_control":{"type":"ephemeral","ttl":"1h"}}]}"#,
        r#"{"tools":[{"name":"f","input_schema":{"type":"object","properties":{}},"cache_control":{"type":"ephemeral","ttl":"1h"}}]}"#,
        &[],
    ),
    // A schema goes as it is written, with all that a strict one may have.
    (
        r##"{"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object","properties":{"x":{"$ref":"#/$defs/a"}},"$defs":{"a":{"anyOf":[{"const":1},{"enum":["b"]},{"type":"string","format":"date-time"}],"title":"t"}}}}}]}"##,
        r##"{"tools":[{"name":"f","input_schema":{"type":"object","properties":{"x":{"$ref":"#/$defs/a"}},"$defs":{"a":{"anyOf":[{"const":1},{"enum":["b"]},{"type":"string","format":"date-time"}],"title":"t"}}}}]}"##,
        &[],
    ),
    // §5: the forms of thinking that the knob has no word for.
    (r#"{"thinking":{"type":"between_tools"}}"#, r#"{"thinking":{"type":"between_tools"}}"#, &[]),
    (
        r#"{"thinking":{"type":"adaptive","display":"omitted"},"temperature":0.3}"#,
        r#"{"thinking":{"type":"adaptive","display":"omitted"},"temperature":null}"#,
        &["temperature"],
    ),
    // What the caller decides is left out of the members.
    (r#"{"stream":true,"stream_options":{}}"#, r#"{"stream":null,"stream_options":null}"#, &[]),
];

#[test]
fn every_member_of_a_request_is_written_or_warned_of() {
    are_written(DIALECT, &TARGET, REQUESTS);
    let streamed = DIALECT.encode_chat(&request("{}"), &TARGET, true).unwrap();
    assert!(std::str::from_utf8(&streamed.body).unwrap().contains(r#""stream":true"#));
}

#[test]
fn what_only_some_may_say_is_refused() {
    let version = r#""anthropic_version":"2026-10-21""#;
    let file = r#"{"type":"file","file":{"file_id":"f"}}"#;
    let image = r#"{"type":"image_url","image_url":{"url":"https://h/a.png"}}"#;
    for (version, role, part, error) in [
        ("", "assistant", file, None),
        (version, "assistant", file, Some("an assistant message holds no documents in this version")),
        (version, "user", file, None),
        ("", "assistant", image, Some("an assistant message holds no images")),
        ("", "system", image, Some("instructions are text in this format")),
    ] {
        let comma = if version.is_empty() { "" } else { "," };
        let json = format!(
            r#"{{{version}{comma}"messages":[{{"role":"user","content":"a"}},{{"role":"{role}","content":[{part}]}}]}}"#
        );
        let found = DIALECT.encode_chat(&request(&json), &TARGET, false).err();
        let expected = error.map(|error| format!("messages[1].content[0]: {error}"));
        assert_eq!(found.map(|error| error.message().to_owned()), expected, "{json}");
    }
    let odd = request(r#"{"anthropic_version":7}"#);
    let error = DIALECT.encode_chat(&odd, &TARGET, false).unwrap_err();
    assert!(error.message().starts_with("anthropic_version: "), "{error:?}");
}

/// §11.
#[test]
fn the_worked_request_is_written_to_the_letter() {
    let mut worked = request(
        r#"{"messages":[{"role":"system","content":[{"type":"text","text":"You know tides.","cache_control":{"type":"ephemeral"}}]},{"role":"user","content":"Tide in Brest?"},
            {"role":"assistant","content":null,"reasoning_details":[{"type":"reasoning.text","text":"Need the tide.","signature":"c2ln"}],"tool_calls":[{"id":"toolu_1","type":"function","function":{"name":"get_tide","arguments":"{\"port\":\"Brest\"}"}}]},
            {"role":"tool","tool_call_id":"toolu_1","content":"6.1 m"}],
            "tools":[{"type":"function","function":{"name":"get_tide","description":"Tide at a port","parameters":{"type":"object","properties":{"port":{"type":"string"}},"required":["port"]}}}],
            "max_tokens":1024,"reasoning_effort":"medium"}"#,
    );
    worked.strict = true;
    let quirks =
        Quirks { reasoning: ReasoningForm::Adaptive { budget: false, off: true }, ..Quirks::ANTHROPIC };
    let sent =
        DIALECT.encode_chat(&worked, &WireTarget { model: "claude-x", quirks: &quirks, origin: None }, false);
    let body: serde_json::Value = serde_json::from_slice(&sent.unwrap().body).unwrap();
    let expected: serde_json::Value = serde_json::from_str(
        r#"{"model":"claude-x","max_tokens":1024,"system":[{"type":"text","text":"You know tides.","cache_control":{"type":"ephemeral"}}],
            "thinking":{"type":"adaptive"},"output_config":{"effort":"medium"},
            "tools":[{"name":"get_tide","description":"Tide at a port","input_schema":{"type":"object","properties":{"port":{"type":"string"}},"required":["port"]}}],
            "messages":[{"role":"user","content":"Tide in Brest?"},
             {"role":"assistant","content":[{"type":"thinking","thinking":"Need the tide.","signature":"c2ln"},{"type":"tool_use","id":"toolu_1","name":"get_tide","input":{"port":"Brest"}}]},
             {"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":"6.1 m"}]}]}"#,
    )
    .unwrap();
    assert_eq!(body, expected);
}

/// §9: a count takes what is a part of the prompt, and nothing else.
#[test]
fn a_count_is_asked_of_the_whole_prompt() {
    let asked = request(
        r#"{"max_tokens":9,"temperature":0.5,"stop":"x","user":"u","speed":"fast","thinking":{"type":"adaptive"},"cache_control":{"type":"ephemeral"},
            "context_management":{"edits":[]},"mcp_servers":[],"output_config":{"effort":"low"},"stream":true}"#,
    );
    let sent = DIALECT.encode_count(&asked, &TARGET).unwrap();
    assert_eq!(
        std::str::from_utf8(&sent.body).unwrap(),
        r#"{"model":"some-model","messages":[{"role":"user","content":"hi"}],"thinking":{"type":"adaptive"},"output_config":{"effort":"low"},"cache_control":{"type":"ephemeral"},"context_management":{"edits":[]},"mcp_servers":[]}"#
    );
    assert!(sent.warnings.is_empty());
}

/// §10: where the model stands in the path and the version in the body.
#[test]
fn a_cloud_takes_the_version_in_the_body_and_the_model_in_the_path() {
    let quirks = Quirks { paths: Paths::RawPredict { version: "cloud-2023-10-16" }, ..Quirks::ANTHROPIC };
    let target = WireTarget { model: "sea-4@20250929", quirks: &quirks, origin: None };
    let sent = |json: &str, stream: Option<bool>| {
        let asked = request(json);
        let sent = match stream {
            Some(stream) => DIALECT.encode_chat(&asked, &target, stream).unwrap(),
            None => DIALECT.encode_count(&asked, &target).unwrap(),
        };
        assert!(!sent.headers.contains_key("anthropic-version"));
        let beta = sent.headers.get("anthropic-beta").map(|value| value.to_str().unwrap().to_owned());
        (sent.path, String::from_utf8(sent.body.to_vec()).unwrap(), beta)
    };
    let messages = r#""messages":[{"role":"user","content":"hi"}]"#;
    let body =
        |rest: &str| format!(r#"{{"anthropic_version":"cloud-2023-10-16","max_tokens":9,{messages}{rest}}}"#);
    for (json, stream, path, body, beta) in [
        (r#"{"max_tokens":9}"#, Some(false), "/models/sea-4@20250929:rawPredict", body(""), None),
        (
            r#"{"max_tokens":9}"#,
            Some(true),
            "/models/sea-4@20250929:streamRawPredict",
            body(r#","stream":true"#),
            None,
        ),
        (
            r#"{"max_tokens":9,"anthropic_beta":"b-1","temperature":0.5}"#,
            Some(false),
            "/models/sea-4@20250929:rawPredict",
            body(r#","temperature":0.5"#),
            Some("b-1"),
        ),
        (
            "{}",
            None,
            "/models/count-tokens:rawPredict",
            format!(r#"{{"anthropic_version":"cloud-2023-10-16","model":"sea-4@20250929",{messages}}}"#),
            None,
        ),
        // The user's version goes before the usual one, and what it no longer takes is left out.
        (
            r#"{"max_tokens":9,"anthropic_version":"2026-10-21","temperature":0.5}"#,
            Some(false),
            "/models/sea-4@20250929:rawPredict",
            body("").replace("cloud-2023-10-16", "2026-10-21"),
            None,
        ),
    ] {
        assert_eq!(sent(json, stream), (path.to_owned(), body, beta.map(str::to_owned)), "{json}");
    }
    for (given, path) in [
        ("/v1/projects/p/locations/l/publishers/x", "/v1/projects/p/locations/l/publishers/x"),
        ("/x/", "/x"),
    ] {
        assert_eq!(DIALECT.base_path(given, &quirks), path);
    }
    let odd = r#"{"anthropic_version":"cloud-2026-10-21","temperature":0.5}"#;
    assert!(!sent(odd, Some(false)).1.contains("temperature"));
}
