//! What goes over the wire, setting by setting and message by message.

use insta::assert_snapshot;
use llm_types::{
    ErrorKind, Media, MediaSource, Message, Part, Reasoning, ReasoningEffort, ReasoningSetting, Role,
    ToolCall, ToolResult,
};

use super::*;
use crate::dialect::quirks::{
    EmptyContent, FileUrl, Paths, RefusalForm, Replay, ReplayField, ReplayWhen, SystemRole, ToolIds,
};

mod differences;

fn target(quirks: &Quirks) -> WireTarget<'_> {
    WireTarget { model: "gpt-x", quirks, origin: Some("us") }
}

fn sent(request: &ChatRequest, quirks: &Quirks, stream: bool) -> (String, Vec<String>) {
    let encoded = encode(request, &target(quirks), stream).unwrap();
    let body = String::from_utf8(encoded.body.to_vec()).unwrap();
    serde_json::from_str::<serde::de::IgnoredAny>(&body).unwrap();
    (body, encoded.warnings.into_iter().map(|warning| warning.about).collect())
}

/// The body without model and messages, and what is warned of.
fn settings(request: ChatRequest, quirks: &Quirks) -> (String, Vec<String>) {
    let request = ChatRequest { messages: vec![Message::user("hi")], ..request };
    let (body, warnings) = sent(&request, quirks, false);
    let head = r#"{"model":"gpt-x","messages":[{"role":"user","content":"hi"}]"#;
    let rest = body.strip_prefix(head).unwrap().trim_start_matches(',');
    (rest.strip_suffix('}').unwrap().to_owned(), warnings)
}

fn messages(messages: Vec<Message>, quirks: &Quirks) -> String {
    let (body, warnings) = sent(&ChatRequest::new(messages), quirks, false);
    assert!(warnings.is_empty(), "{warnings:?}");
    let list = body.strip_prefix(r#"{"model":"gpt-x","messages":["#).unwrap();
    list.strip_suffix("]}").unwrap().to_owned()
}

fn refused(request: &ChatRequest, quirks: &Quirks) -> String {
    let error = encode(request, &target(quirks), false).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    error.message().to_owned()
}

fn from_json(json: &str) -> ChatRequest {
    ChatRequest::from_openai_json(json).unwrap().0
}

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap()
}

#[test]
fn a_call_without_arguments_goes_back_with_an_empty_object_whatever_word_it_came_with() {
    for arguments in ["", " ", "null", "{}"] {
        let call =
            ToolCall { id: "a".into(), name: "f".into(), arguments: arguments.into(), ..ToolCall::default() };
        let message = Message::new(Role::Assistant, vec![Part::ToolCall(call)]);
        let request = ChatRequest { messages: vec![message], ..ChatRequest::default() };
        let sent = encode(&request, &target(&Quirks::NONE), false).unwrap();
        let body: serde_json::Value = serde_json::from_slice(&sent.body).unwrap();
        assert_eq!(body["messages"][0]["tool_calls"][0]["function"]["arguments"], "{}", "{arguments:?}");
    }
}

#[test]
fn the_worked_example_is_written_to_the_letter() {
    let request = from_json(
        r#"{"messages":[{"role":"developer","content":"Answer briefly."},
            {"role":"user","content":[{"type":"text","text":"What is in this picture?"},
            {"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo=","detail":"low"}}]}],
            "max_completion_tokens":200,"reasoning_effort":"low"}"#,
    );
    assert_snapshot!(sent(&request, &Quirks::NONE, false).0, @r#"{"model":"gpt-x","messages":[{"role":"developer","content":"Answer briefly."},{"role":"user","content":[{"type":"text","text":"What is in this picture?"},{"type":"image_url","image_url":{"url":"data:image/png;base64,iVBORw0KGgo=","detail":"low"}}]}],"max_completion_tokens":200,"reasoning_effort":"low"}"#);
}

#[test]
fn every_setting_has_its_member() {
    let request = from_json(
        r#"{"messages":[{"role":"user","content":"hi"}],"temperature":0.2,"top_p":1.0,"n":2,"stop":["a","b"],"seed":-7,
            "frequency_penalty":0.5,"presence_penalty":-0.5,"logit_bias":{"50256":-100},"logprobs":true,"top_logprobs":3,
            "verbosity":"low","service_tier":"flex","metadata":{"k":"v"},"prompt_cache_key":"p","user":"u",
            "max_tokens":9,"parallel_tool_calls":false,"tool_choice":"required",
            "tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"},"strict":true,"x":1}},
                     {"type":"custom","custom":{"name":"sql","format":{"type":"text"}}}],
            "response_format":{"type":"json_schema","json_schema":{"name":"r","description":"d","strict":true,"schema":{"type":"object"}}},
            "modalities":["text","audio"],"audio":{"voice":"v","format":"pcm16"},"safety_identifier":"s","store":true}"#,
    );
    let (body, warnings) = sent(&request, &Quirks::NONE, false);
    assert!(warnings.is_empty());
    assert_snapshot!(body, @r#"{"model":"gpt-x","messages":[{"role":"user","content":"hi"}],"tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"},"strict":true,"x":1}},{"type":"custom","custom":{"name":"sql","format":{"type":"text"}}}],"tool_choice":"required","parallel_tool_calls":false,"max_completion_tokens":9,"temperature":0.2,"top_p":1.0,"frequency_penalty":0.5,"presence_penalty":-0.5,"n":2,"stop":["a","b"],"seed":-7,"logit_bias":{"50256":-100},"logprobs":true,"top_logprobs":3,"verbosity":"low","service_tier":"flex","metadata":{"k":"v"},"prompt_cache_key":"p","user":"u","response_format":{"type":"json_schema","json_schema":{"name":"r","description":"d","strict":true,"schema":{"type":"object"}}},"modalities":["text","audio"],"audio":{"voice":"v","format":"pcm16"},"safety_identifier":"s","store":true}"#);
}

#[test]
fn a_setting_without_a_word_is_a_warning_or_under_strictness_an_error() {
    let quirks = Quirks {
        lacks: &[
            Setting::Temperature,
            Setting::TopP,
            Setting::TopK,
            Setting::N,
            Setting::Stop,
            Setting::Seed,
            Setting::FrequencyPenalty,
            Setting::PresencePenalty,
            Setting::LogitBias,
            Setting::Logprobs,
            Setting::Verbosity,
            Setting::ServiceTier,
            Setting::Metadata,
            Setting::PromptCacheKey,
            Setting::User,
        ],
        ..Quirks::NONE
    };
    let request = ChatRequest {
        temperature: Some(1.0),
        top_p: Some(1.0),
        top_k: Some(1),
        n: Some(2),
        stop: vec!["x".into()],
        seed: Some(1),
        frequency_penalty: Some(1.0),
        presence_penalty: Some(1.0),
        logit_bias: Some(raw("{}")),
        logprobs: Some(true),
        top_logprobs: Some(1),
        verbosity: Some("low".into()),
        service_tier: Some("flex".into()),
        metadata: Some(raw("{}")),
        prompt_cache_key: Some("k".into()),
        user: Some("u".into()),
        ..ChatRequest::default()
    };
    let (body, warnings) = settings(request, &quirks);
    assert_eq!(body, "");
    let lacking: Vec<&str> = quirks.lacks.iter().map(|setting| setting.as_str()).collect();
    let mut found: Vec<&str> = warnings.iter().map(String::as_str).collect();
    found.sort_by_key(|about| lacking.iter().position(|name| name == about));
    assert_eq!(found, lacking);

    let one = ChatRequest { n: Some(1), ..ChatRequest::default() };
    assert_eq!(settings(one, &quirks), (String::new(), Vec::new()), "one answer is what everybody gives");
    let strict = ChatRequest { top_k: Some(1), strict: true, ..ChatRequest::user("hi") };
    assert_eq!(
        refused(&strict, &Quirks::NONE),
        "top_k: this endpoint has no word for it; it was left out (strict)"
    );
    let odd = ChatRequest { temperature: Some(f64::INFINITY), ..ChatRequest::user("hi") };
    assert_eq!(refused(&odd, &Quirks::NONE), "temperature: inf is not a finite number");
}

#[test]
fn vendors_name_the_limit_and_the_seed_differently() {
    let quirks = Quirks { token_limit: TokenLimit::MaxTokens, seed_field: "random_seed", ..Quirks::NONE };
    let request = ChatRequest { max_tokens: Some(5), seed: Some(1), ..ChatRequest::default() };
    assert_eq!(settings(request, &quirks).0, r#""max_tokens":5,"random_seed":1"#);
}

#[test]
fn tool_choice_has_all_its_forms_and_goes_nowhere_without_tools() {
    let tools = r#""tools":[{"type":"function","function":{"name":"f"}}]"#;
    for choice in [
        r#""none""#,
        r#""auto""#,
        r#""required""#,
        r#"{"type":"function","function":{"name":"f"}}"#,
        r#"{"type":"custom","custom":{"name":"c"}}"#,
        r#"{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[{"type":"function","function":{"name":"f"}}]}}"#,
    ] {
        let request = from_json(&format!(r#"{{{tools},"tool_choice":{choice},"parallel_tool_calls":true}}"#));
        let expected = format!(r#"{tools},"tool_choice":{choice},"parallel_tool_calls":true"#);
        assert_eq!(settings(request, &Quirks::NONE), (expected, Vec::new()));
        let request = from_json(&format!(r#"{{"tool_choice":{choice},"parallel_tool_calls":true}}"#));
        let means_nothing = matches!(choice, r#""none""# | r#""auto""#);
        let warnings = if means_nothing { vec![] } else { vec!["tool_choice".to_owned()] };
        assert_eq!(settings(request, &Quirks::NONE), (String::new(), warnings), "{choice}");
    }
    let quirks =
        Quirks { lacks: &[Setting::ToolChoice, Setting::ParallelToolCalls, Setting::Strict], ..Quirks::NONE };
    let request = from_json(
        r#"{"tools":[{"type":"function","function":{"name":"f","strict":true}}],"tool_choice":"required","parallel_tool_calls":true}"#,
    );
    let about = ["tools[0].strict", "tool_choice", "parallel_tool_calls"].map(str::to_owned);
    assert_eq!(settings(request, &quirks), (tools.to_owned(), about.to_vec()));
    let request = from_json(&format!(r#"{{{tools},"tool_choice":"auto"}}"#));
    assert_eq!(settings(request, &quirks), (tools.to_owned(), Vec::new()));
}

#[test]
fn the_form_of_the_answer_is_asked_for_as_far_as_the_vendor_knows_it() {
    let schema =
        r#"{"type":"json_schema","json_schema":{"name":"r","strict":true,"schema":{"type":"object"}}}"#;
    let unstrict = r#"{"type":"json_schema","json_schema":{"name":"r","schema":{"type":"object"}}}"#;
    let object = r#"{"type":"json_object"}"#;
    let grammar = r#"{"type":"grammar","grammar":"root ::= x"}"#;
    let text = r#"{"type":"text"}"#;
    let full = Quirks::NONE;
    let only_object = Quirks { schema: SchemaLevel::JsonObject, ..Quirks::NONE };
    let nothing = Quirks { schema: SchemaLevel::None, ..Quirks::NONE };
    let no_strict = Quirks { lacks: &[Setting::Strict], ..Quirks::NONE };
    for (quirks, asked, written, warns) in [
        (&full, schema, Some(schema), None),
        (&full, object, Some(object), None),
        (&full, text, Some(text), None),
        (&full, grammar, Some(grammar), None),
        (&only_object, schema, Some(object), Some("response_format")),
        (&only_object, object, Some(object), None),
        (&nothing, schema, None, Some("response_format")),
        (&nothing, object, None, Some("response_format")),
        (&nothing, text, None, None),
        (&nothing, grammar, Some(grammar), None),
        (&no_strict, schema, Some(unstrict), Some("strict")),
    ] {
        let request = from_json(&format!(r#"{{"response_format":{asked}}}"#));
        let expected = written.map(|json| format!(r#""response_format":{json}"#)).unwrap_or_default();
        assert_eq!(settings(request, quirks), (expected, warns.map(str::to_owned).into_iter().collect()));
    }
}

#[test]
fn a_stream_asks_for_its_usage_unless_it_comes_by_itself() {
    let given = Quirks { stream_usage: StreamUsage::Given, ..Quirks::NONE };
    let tail = |request: &ChatRequest, quirks: &Quirks, stream: bool| {
        let (body, warnings) = sent(request, quirks, stream);
        (body.split_once("}],").map(|(_, rest)| rest.to_owned()).unwrap_or_default(), warnings)
    };
    let mut request = ChatRequest::user("hi");
    let asked = r#""stream":true,"stream_options":{"include_usage":true}}"#;
    assert_eq!(tail(&request, &Quirks::NONE, true), (asked.to_owned(), vec![]));
    assert_eq!(tail(&request, &given, true), (r#""stream":true}"#.to_owned(), vec![]));
    request.extra.insert("stream_options", raw(r#"{"include_obfuscation":false}"#));
    let merged = r#""stream":true,"stream_options":{"include_usage":true,"include_obfuscation":false}}"#;
    assert_eq!(tail(&request, &Quirks::NONE, true), (merged.to_owned(), vec![]));
    let theirs = r#""stream":true,"stream_options":{"include_obfuscation":false}}"#;
    assert_eq!(tail(&request, &given, true), (theirs.to_owned(), vec![]));
    // Whether to stream is the call's own business.
    request.extra.insert("stream", raw("true"));
    let about = vec!["stream".to_owned(), "stream_options".to_owned()];
    assert_eq!(tail(&request, &Quirks::NONE, false), (String::new(), about));
}

#[test]
fn head_and_place_of_a_request() {
    let request = ChatRequest::user("hi");
    let head = |stream| {
        let encoded = encode(&request, &target(&Quirks::NONE), stream).unwrap();
        assert_eq!(
            (encoded.method, encoded.path.as_str(), encoded.query),
            (Method::POST, "/chat/completions", None)
        );
        let mut names: Vec<String> = encoded
            .headers
            .iter()
            .map(|(name, value)| format!("{name}: {}", value.to_str().unwrap()))
            .collect();
        names.sort();
        names
    };
    assert_eq!(head(false), ["accept: application/json", "content-type: application/json"]);
    assert_eq!(
        head(true),
        ["accept-encoding: identity", "accept: text/event-stream", "content-type: application/json"]
    );
    let quirks = Quirks { paths: Paths::Deployments { api_version: "2024-10-21" }, ..Quirks::NONE };
    let target = WireTarget { model: "my model/1", ..target(&quirks) };
    let encoded = encode(&request, &target, false).unwrap();
    assert_eq!(encoded.path, "/deployments/my%20model%2F1/chat/completions");
    assert_eq!(encoded.query.as_deref(), Some("api-version=2024-10-21"));
}

#[test]
fn extra_members_are_sent_as_written_and_never_twice() {
    let mut request = ChatRequest { temperature: Some(0.5), ..ChatRequest::default() };
    request.extra.insert("top_a", raw("1.50"));
    request.extra.insert("temperature", raw("2"));
    request.extra.insert("model", raw("\"other\""));
    let (body, warnings) = settings(request, &Quirks::NONE);
    assert_eq!(body, r#""temperature":0.5,"top_a":1.50"#);
    assert_eq!(warnings, ["temperature", "model"]);
}

#[test]
fn every_role_has_its_shape() {
    let call =
        ToolCall { id: "c1".into(), name: "f".into(), arguments: "{\"a\":1".into(), ..ToolCall::default() };
    let empty = ToolCall { id: "c2".into(), name: "g".into(), ..ToolCall::default() };
    let custom = ToolCall {
        id: "c3".into(),
        name: "sql".into(),
        arguments: "select".into(),
        custom: true,
        ..ToolCall::default()
    };
    let list = vec![
        Message::system("s"),
        Message::new(Role::Developer, vec![Part::text("d")]),
        Message { name: Some("ann".into()), ..Message::user("u") },
        Message::assistant("a"),
        Message::new(
            Role::Assistant,
            vec![Part::ToolCall(call), Part::ToolCall(empty), Part::ToolCall(custom)],
        ),
        Message::tool(ToolResult { name: Some("f".into()), ..ToolResult::text("c1", "42") }),
        Message::new(
            Role::User,
            vec![
                Part::ToolResult(ToolResult::text("c2", "43")),
                Part::ToolResult(ToolResult::text("c3", "")),
                Part::text("go on"),
            ],
        ),
        Message::new(Role::Assistant, vec![Part::Refusal { text: "no".into() }]),
        Message::new(Role::Assistant, vec![Part::Reasoning(Reasoning::text("hm"))]),
    ];
    assert_snapshot!(messages(list, &Quirks::NONE).replace("},{\"role", "},\n{\"role"), @r#"
    {"role":"system","content":"s"},
    {"role":"developer","content":"d"},
    {"role":"user","name":"ann","content":"u"},
    {"role":"assistant","content":"a"},
    {"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\":1"}},{"id":"c2","type":"function","function":{"name":"g","arguments":"{}"}},{"id":"c3","type":"custom","custom":{"name":"sql","input":"select"}}]},
    {"role":"tool","tool_call_id":"c1","content":"42"},
    {"role":"tool","tool_call_id":"c2","content":"43"},
    {"role":"tool","tool_call_id":"c3","content":""},
    {"role":"user","content":"go on"},
    {"role":"assistant","content":[{"type":"refusal","refusal":"no"}]},
    {"role":"assistant","content":""}
    "#);
}

#[test]
fn instructions_go_to_the_role_that_the_vendor_has() {
    let list = || vec![Message::system("s"), Message::new(Role::Developer, vec![Part::text("d")])];
    for (role, first, second) in [
        (SystemRole::Both, "system", "developer"),
        (SystemRole::System, "system", "system"),
        (SystemRole::Developer, "developer", "developer"),
        (SystemRole::User, "user", "user"),
    ] {
        let expected = format!(r#"{{"role":"{first}","content":"s"}},{{"role":"{second}","content":"d"}}"#);
        assert_eq!(messages(list(), &Quirks { system_role: role, ..Quirks::NONE }), expected);
    }
}

#[test]
fn every_part_has_its_shape_or_is_refused_by_name() {
    let media = |source| Media { name: Some("n".into()), ..Media::new(source) };
    let base64 =
        |media_type: &str| MediaSource::Base64 { media_type: media_type.into(), data: "QUJD".into() };
    let url = || MediaSource::Url("https://h/x".into());
    let id = || MediaSource::FileId("f-1".into());
    let mut marked = Part::text("t");
    if let Part::Text { extra, .. } = &mut marked {
        extra.insert("cache_control", raw(r#"{"type":"ephemeral"}"#));
    }
    let parts = vec![
        marked,
        Part::Image(Media { detail: Some("low".into()), ..Media::new(url()) }),
        Part::Image(Media::new(base64("image/png"))),
        Part::Image(Media::new(id())),
        Part::Audio(Media::new(base64("audio/mpeg"))),
        Part::Audio(Media::new(base64("audio/x-wav"))),
        Part::Audio(Media::new(id())),
        Part::File(media(base64("application/pdf"))),
        Part::File(media(id())),
        Part::native(raw(r#"{"type":"video_url","video_url":{"url":"u"}}"#)),
    ];
    assert_snapshot!(messages(vec![Message::new(Role::User, parts)], &Quirks::NONE).replace("},{\"type", "},\n{\"type"), @r#"
    {"role":"user","content":[{"type":"text","text":"t","cache_control":{"type":"ephemeral"}},
    {"type":"image_url","image_url":{"url":"https://h/x","detail":"low"}},
    {"type":"image_url","image_url":{"url":"data:image/png;base64,QUJD"}},
    {"type":"file","file":{"file_id":"f-1"}},
    {"type":"input_audio","input_audio":{"data":"QUJD","format":"mp3"}},
    {"type":"input_audio","input_audio":{"data":"QUJD","format":"wav"}},
    {"type":"file","file":{"file_id":"f-1"}},
    {"type":"file","file":{"filename":"n","file_data":"data:application/pdf;base64,QUJD"}},
    {"type":"file","file":{"filename":"n","file_id":"f-1"}},
    {"type":"video_url","video_url":{"url":"u"}}]}
    "#);

    let document = || vec![Message::new(Role::User, vec![Part::File(media(url()))])];
    for (form, expected) in [
        (FileUrl::FileData, r#"{"type":"file","file":{"filename":"n","file_data":"https://h/x"}}"#),
        (FileUrl::DocumentUrl, r#"{"type":"document_url","document_url":"https://h/x","document_name":"n"}"#),
    ] {
        let quirks = Quirks { file_url: form, ..Quirks::NONE };
        assert_eq!(messages(document(), &quirks), format!(r#"{{"role":"user","content":[{expected}]}}"#));
    }
    let call = Part::ToolCall(ToolCall::default());
    for (list, message) in [
        (document(), "messages[0].content[0]: a document behind a URL has no form here; send it as base64"),
        (
            vec![
                Message::user("a"),
                Message::new(Role::User, vec![Part::text("t"), Part::Audio(Media::new(url()))]),
            ],
            "messages[1].content[1]: a sound behind a URL has no form here; send it as base64",
        ),
        (
            vec![Message::new(Role::Tool, vec![Part::text("t")])],
            "messages[0].content[0]: a tool message holds results of tool calls, and nothing else",
        ),
        (
            vec![Message::new(Role::User, vec![call])],
            "messages[0].content[0]: only an assistant message holds tool calls",
        ),
        (vec![], "messages: there are none"),
    ] {
        assert_eq!(refused(&ChatRequest::new(list), &Quirks::NONE), message);
    }
}

#[test]
fn pictures_that_tools_give_follow_the_results_of_the_turn() {
    let picture = |at: &str| Part::Image(Media::from_url(format!("https://h/{at}")));
    let result = |id: &str, content: Vec<Part>| {
        Message::tool(ToolResult { id: id.into(), content, ..ToolResult::default() })
    };
    let turn = || {
        vec![
            result("a", vec![Part::text("t"), picture("1"), picture("2")]),
            result("b", vec![picture("3")]),
            result("c", vec![Part::text("u")]),
        ]
    };
    let expected = concat!(
        r#"{"role":"tool","tool_call_id":"a","content":"t"},"#,
        r#"{"role":"tool","tool_call_id":"b","content":"It follows in the next message of the user."},"#,
        r#"{"role":"tool","tool_call_id":"c","content":"u"},"#,
        r#"{"role":"user","content":[{"type":"text","text":"From the result of the tool call a:"},"#,
        r#"{"type":"image_url","image_url":{"url":"https://h/1"}},{"type":"image_url","image_url":{"url":"https://h/2"}},"#,
        r#"{"type":"text","text":"From the result of the tool call b:"},{"type":"image_url","image_url":{"url":"https://h/3"}}]}"#
    );
    let written = |list: Vec<Message>| sent(&ChatRequest::new(list), &Quirks::NONE, false).0;
    assert!(written(turn()).contains(&format!("[{expected}]")), "{}", written(turn()));
    let gone_on = [turn(), vec![Message::assistant("x")]].concat();
    let (body, warnings) = sent(&ChatRequest::new(gone_on), &Quirks::NONE, false);
    assert!(body.contains(&format!(r#"{expected},{{"role":"assistant","content":"x"}}"#)), "{body}");
    assert_eq!(warnings, ["messages[0].content", "messages[1].content"]);
    // In one message with what the user says, it stands between the two.
    let mut parts: Vec<Part> = turn().into_iter().flat_map(|message| message.parts).collect();
    parts.push(Part::text("look"));
    let all = written(vec![Message::new(Role::User, parts)]);
    assert!(all.contains(&format!(r#"{expected},{{"role":"user","content":"look"}}"#)), "{all}");
}

#[test]
fn a_failed_tool_has_no_mark_here() {
    let result = ToolResult { is_error: true, ..ToolResult::text("c", "broken") };
    let request = ChatRequest::new(vec![Message::tool(result)]);
    let (body, warnings) = sent(&request, &Quirks::NONE, false);
    assert!(body.contains(r#"{"role":"tool","tool_call_id":"c","content":"broken"}"#));
    assert_eq!(warnings, ["messages[0].is_error"]);
    // One that says so itself loses nothing.
    let result = ToolResult { is_error: true, ..ToolResult::text("c", "Error: broken") };
    let request = ChatRequest { strict: true, ..ChatRequest::new(vec![Message::tool(result)]) };
    assert_eq!(sent(&request, &Quirks::NONE, false).1, Vec::<String>::new());
}

const THINKER: Quirks = Quirks {
    replay: Replay { when: ReplayWhen::WithTools, field: ReplayField::ReasoningContent },
    empty_content: EmptyContent::Empty,
    ..Quirks::NONE
};

fn call(id: &str) -> Part {
    let arguments = r#"{"port":"Brest"}"#.to_owned();
    Part::ToolCall(ToolCall { id: id.into(), name: "get_tide".into(), arguments, ..ToolCall::default() })
}

#[test]
fn reasoning_goes_back_with_tools_where_that_is_required() {
    let thought = Part::Reasoning(Reasoning::text("Need the port."));
    let with_tools = Message::new(Role::Assistant, vec![thought.clone(), call("call_0")]);
    assert_snapshot!(messages(vec![with_tools.clone()], &THINKER), @r#"{"role":"assistant","content":"","reasoning_content":"Need the port.","tool_calls":[{"id":"call_0","type":"function","function":{"name":"get_tide","arguments":"{\"port\":\"Brest\"}"}}]}"#);
    // Somebody else's calls came without thoughts; an empty text satisfies the vendor.
    let foreign = Message::new(Role::Assistant, vec![call("c")]);
    assert!(messages(vec![foreign], &THINKER).contains(r#""reasoning_content":"","tool_calls""#));
    let without_tools = Message::new(Role::Assistant, vec![thought, Part::text("b")]);
    assert_eq!(messages(vec![without_tools.clone()], &THINKER), r#"{"role":"assistant","content":"b"}"#);
    assert!(!messages(vec![with_tools], &Quirks::NONE).contains("Need"));
    let always =
        Quirks { replay: Replay { when: ReplayWhen::Always, field: ReplayField::Reasoning }, ..Quirks::NONE };
    let expected = r#"{"role":"assistant","content":"b","reasoning":"Need the port."}"#;
    assert_eq!(messages(vec![without_tools,], &always), expected);
    assert_eq!(messages(vec![Message::assistant("b")], &always), r#"{"role":"assistant","content":"b"}"#);
}

#[test]
fn blocks_of_reasoning_go_back_as_they_came_and_only_to_who_can_read_them() {
    let quirks =
        Quirks { replay: Replay { when: ReplayWhen::Always, field: ReplayField::Details }, ..Quirks::NONE };
    let details = r#"[{"type":"reasoning.text","text":"a","signature":"s","format":"f","index":0},{"type":"reasoning.summary","summary":"b","index":1},{"type":"reasoning.encrypted","data":"xyz","id":"rs_1","index":2}]"#;
    let request = from_json(&format!(
        r#"{{"messages":[{{"role":"assistant","content":"t","reasoning_details":{details}}}]}}"#
    ));
    let expected = format!(r#"{{"role":"assistant","content":"t","reasoning_details":{details}}}"#);
    assert_eq!(messages(request.messages.clone(), &quirks), expected);

    let mut foreign = request;
    for part in &mut foreign.messages[0].parts {
        if let Part::Reasoning(block) = part
            && (block.signature.is_some() || block.encrypted.is_some())
        {
            block.origin = Some("them".to_owned());
        }
    }
    let (body, warnings) = sent(&foreign, &quirks, false);
    assert!(
        body.contains(r#""reasoning_details":[{"type":"reasoning.summary","summary":"b","index":1}]"#),
        "{body}"
    );
    assert_eq!(warnings, ["messages[0].reasoning"]);

    let plain = Message::new(Role::Assistant, vec![Part::Reasoning(Reasoning::text("p")), Part::text("t")]);
    assert_eq!(messages(vec![plain], &quirks), r#"{"role":"assistant","content":"t","reasoning":"p"}"#);
}

#[test]
fn thinking_parts_go_back_into_the_content() {
    let quirks = Quirks {
        replay: Replay { when: ReplayWhen::Always, field: ReplayField::ThinkingParts },
        ..Quirks::NONE
    };
    let mut block = Reasoning { signature: Some("s".into()), ..Reasoning::text("hm") };
    block.extra.insert("closed", raw("true"));
    let message = Message::new(Role::Assistant, vec![Part::Reasoning(block), Part::text("t")]);
    let expected = r#"{"role":"assistant","content":[{"type":"thinking","thinking":[{"type":"text","text":"hm"}],"signature":"s","closed":true},{"type":"text","text":"t"}]}"#;
    assert_eq!(messages(vec![message], &quirks), expected);
}

#[test]
fn ids_are_mapped_the_same_way_for_a_call_and_its_result() {
    let quirks = Quirks { tool_ids: ToolIds::Nine, tool_result_name: true, ..Quirks::NONE };
    let result = ToolResult { name: Some("get_tide".into()), ..ToolResult::text("call_0", "7") };
    let list = vec![
        Message::new(Role::Assistant, vec![call("call_0"), call("FI5qQGzDE")]),
        Message::tool(result),
        Message::tool(ToolResult::text("FI5qQGzDE", "8")),
    ];
    let json = messages(list, &quirks);
    let id = crate::dialect::ids::short_id(&[b"call_0"]);
    assert!(id.len() == 9 && id.bytes().all(|b| b.is_ascii_alphanumeric()), "{id}");
    assert_eq!(json.matches(&format!("\"{id}\"")).count(), 2, "{json}");
    assert_eq!(json.matches("\"FI5qQGzDE\"").count(), 2);
    assert!(
        json.contains(&format!(r#"{{"role":"tool","name":"get_tide","tool_call_id":"{id}","content":"7"}}"#))
    );
}

#[test]
fn members_that_must_come_back_do_and_others_do_not() {
    let quirks = Quirks { replay_members: &["extra_content"], ..Quirks::NONE };
    let mut tool_call = ToolCall { id: "c".into(), name: "f".into(), ..ToolCall::default() };
    tool_call.extra.insert("extra_content", raw(r#"{"v":{"thought_signature":"s"}}"#));
    tool_call.extra.insert("odd", raw("1"));
    let mut message = Message::new(Role::Assistant, vec![Part::ToolCall(tool_call)]);
    message.extra.insert("prefix", raw("true"));
    message.extra.insert("role", raw("\"user\""));
    let call = r#"{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}"#;
    let returned = r#","extra_content":{"v":{"thought_signature":"s"}}"#;
    let expect = |more: &str| {
        format!(r#"{{"role":"assistant","content":null,"tool_calls":[{call}{more}}}],"prefix":true}}"#)
    };
    assert_eq!(messages(vec![message.clone()], &quirks), expect(returned));
    assert_eq!(messages(vec![message], &Quirks::NONE), expect(""));
}

#[test]
fn a_refusal_is_text_where_the_vendor_has_no_part_for_it() {
    let quirks = Quirks { refusal: RefusalForm::Text, ..Quirks::NONE };
    let message = Message::new(Role::Assistant, vec![Part::Refusal { text: "no".into() }]);
    assert_eq!(messages(vec![message], &quirks), r#"{"role":"assistant","content":"no"}"#);
}

#[test]
fn the_one_knob_reaches_the_body() {
    let reasoning = ReasoningSetting { effort: Some(ReasoningEffort::High), ..ReasoningSetting::default() };
    let request = ChatRequest { reasoning: Some(reasoning), ..ChatRequest::default() };
    assert_eq!(settings(request, &Quirks::NONE).0, r#""reasoning_effort":"high""#);
}

#[test]
fn the_same_request_gives_the_same_bytes() {
    let request =
        from_json(r#"{"messages":[{"role":"user","content":"é\n\u0000"}],"temperature":0.1,"x":1e2}"#);
    let first = encode(&request, &target(&Quirks::NONE), true).unwrap();
    assert_eq!(first.body, encode(&request, &target(&Quirks::NONE), true).unwrap().body);
    assert_snapshot!(String::from_utf8_lossy(&first.body), @r#"{"model":"gpt-x","messages":[{"role":"user","content":"é\n\u0000"}],"stream":true,"stream_options":{"include_usage":true},"temperature":0.1,"x":1e2}"#);
}
