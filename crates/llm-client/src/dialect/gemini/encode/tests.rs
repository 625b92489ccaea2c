//! What goes over the wire, setting by setting and message by message.

use insta::assert_snapshot;
use llm_types::{
    Extra, Media, MediaSource, Message, Part, Reasoning, ReasoningEffort, ReasoningSetting, Role, Tool,
    ToolCall, ToolChoice, ToolResult,
};

use super::*;

const TARGET: WireTarget<'static> =
    WireTarget { model: "gemini-x", quirks: &Quirks::GEMINI, origin: Some("us") };

/// Quirks of a model that needs no signatures.
const UNSIGNED: Quirks = Quirks { signature_stand_in: None, ..Quirks::GEMINI };

fn sent_to(request: &ChatRequest, target: &WireTarget<'_>) -> (String, Vec<String>) {
    let encoded = encode(request, target, false).unwrap();
    let body = String::from_utf8(encoded.body.to_vec()).unwrap();
    serde_json::from_str::<serde::de::IgnoredAny>(&body).unwrap();
    (body, encoded.warnings.into_iter().map(|warning| warning.about).collect())
}

fn sent(request: &ChatRequest) -> (String, Vec<String>) {
    sent_to(request, &TARGET)
}

/// The contents, and what is warned of.
fn contents(messages: Vec<Message>, quirks: &Quirks) -> (String, Vec<String>) {
    let target = WireTarget { quirks, ..TARGET };
    let (body, warnings) = sent_to(&ChatRequest::new(messages), &target);
    let list = body.strip_prefix(r#"{"contents":["#).unwrap().strip_suffix("]}").unwrap();
    (list.to_owned(), warnings)
}

fn from_json(json: &str) -> ChatRequest {
    ChatRequest::from_openai_json(json).unwrap().0
}

fn refused(request: &ChatRequest) -> String {
    let error = encode(request, &TARGET, false).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidRequest);
    error.message().to_owned()
}

fn raw(json: &str) -> Box<RawValue> {
    RawValue::from_string(json.to_owned()).unwrap()
}

fn call(id: &str, name: &str, arguments: &str) -> ToolCall {
    ToolCall { id: id.into(), name: name.into(), arguments: arguments.into(), ..ToolCall::default() }
}

fn assistant(parts: Vec<Part>) -> Message {
    Message::new(Role::Assistant, parts)
}

#[test]
fn the_worked_example_is_written_to_the_letter() {
    let mut request = from_json(
        r#"{"messages":[{"role":"system","content":"Answer briefly."},{"role":"user","content":"Tide in Brest?"},
            {"role":"assistant","content":null,"tool_calls":[{"id":"c1","type":"function","function":{"name":"get_tide","arguments":"{\"port\":\"Brest\"}"},"signature":"c2ln"}]},
            {"role":"tool","tool_call_id":"c1","content":"{\"metres\":6.1}"}],
            "tools":[{"type":"function","function":{"name":"get_tide","description":"Tide at a port","parameters":{"type":"object","properties":{"port":{"type":"string"}},"required":["port"]}}}],
            "max_tokens":512}"#,
    );
    request.reasoning =
        Some(ReasoningSetting { effort: Some(ReasoningEffort::Low), ..ReasoningSetting::default() });
    let (body, warnings) = sent(&request);
    assert_eq!(warnings, [""; 0]);
    assert_snapshot!(body, @r#"{"contents":[{"role":"user","parts":[{"text":"Tide in Brest?"}]},{"role":"model","parts":[{"functionCall":{"name":"get_tide","args":{"port":"Brest"}},"thoughtSignature":"c2ln"}]},{"role":"user","parts":[{"functionResponse":{"name":"get_tide","response":{"output":{"metres":6.1}}}}]}],"systemInstruction":{"parts":[{"text":"Answer briefly."}]},"tools":[{"functionDeclarations":[{"name":"get_tide","description":"Tide at a port","parametersJsonSchema":{"type":"object","properties":{"port":{"type":"string"}},"required":["port"]}}]}],"generationConfig":{"maxOutputTokens":512,"thinkingConfig":{"includeThoughts":true,"thinkingLevel":"LOW"}}}"#);
}

#[test]
fn a_request_goes_to_its_place() {
    let request = ChatRequest::user("hi");
    let list = Quirks { stream_form: StreamForm::List, ..Quirks::GEMINI };
    for (stream, quirks, path, query) in [
        (false, &Quirks::GEMINI, "/models/gemini-x:generateContent", None),
        (true, &Quirks::GEMINI, "/models/gemini-x:streamGenerateContent", Some("alt=sse")),
        (true, &list, "/models/gemini-x:streamGenerateContent", None),
    ] {
        let encoded = encode(&request, &WireTarget { quirks, ..TARGET }, stream).unwrap();
        assert_eq!((encoded.path.as_str(), encoded.query.as_deref()), (path, query));
        assert!(!format!("{:?}", encoded.headers).contains("goog"));
    }
}

#[test]
fn every_setting_has_its_member() {
    let request = from_json(
        r#"{"messages":[{"role":"user","content":"hi"}],"temperature":0.2,"top_p":1.0,"top_k":40,"n":2,"stop":["a","b"],"seed":-7,
            "frequency_penalty":0.5,"presence_penalty":-0.5,"logprobs":true,"top_logprobs":3,"service_tier":"default","max_tokens":9,
            "response_format":{"type":"json_schema","json_schema":{"name":"r","strict":true,"schema":{"type":"object"}}},
            "safetySettings":[{"category":"HARM_CATEGORY_HARASSMENT","threshold":"OFF"}],"cachedContent":"cachedContents/x",
            "generationConfig":{"responseModalities":["TEXT"],"topK":1}}"#,
    );
    let (body, warnings) = sent(&request);
    assert_eq!(warnings, [""; 0]);
    assert_snapshot!(body, @r#"{"contents":[{"role":"user","parts":[{"text":"hi"}]}],"generationConfig":{"temperature":0.2,"topP":1.0,"presencePenalty":-0.5,"frequencyPenalty":0.5,"topK":1,"candidateCount":2,"maxOutputTokens":9,"stopSequences":["a","b"],"seed":-7,"responseLogprobs":true,"logprobs":3,"responseMimeType":"application/json","responseJsonSchema":{"type":"object"},"responseModalities":["TEXT"]},"serviceTier":"standard","safetySettings":[{"category":"HARM_CATEGORY_HARASSMENT","threshold":"OFF"}],"cachedContent":"cachedContents/x"}"#);
}

#[test]
fn a_setting_without_a_word_is_a_warning_or_under_strictness_an_error() {
    let request = ChatRequest {
        seed: Some(i64::MAX),
        stop: ["a", "b", "c", "d", "e", "f"].map(str::to_owned).to_vec(),
        logit_bias: Some(raw("{}")),
        verbosity: Some("low".into()),
        metadata: Some(raw("{}")),
        prompt_cache_key: Some("k".into()),
        user: Some("u".into()),
        n: Some(1),
        logprobs: Some(false),
        ..ChatRequest::user("hi")
    };
    let (body, warnings) = sent(&request);
    assert_eq!(
        body,
        r#"{"contents":[{"role":"user","parts":[{"text":"hi"}]}],"generationConfig":{"stopSequences":["a","b","c","d","e"]}}"#
    );
    assert_eq!(warnings, ["stop", "seed", "logit_bias", "verbosity", "prompt_cache_key", "user", "metadata"]);
    let strict = ChatRequest { user: Some("u".into()), strict: true, ..ChatRequest::user("hi") };
    assert_eq!(refused(&strict), "user: this endpoint has no word for it; it was left out (strict)");
    let odd = ChatRequest { temperature: Some(f64::NAN), ..ChatRequest::user("hi") };
    assert_eq!(refused(&odd), "temperature: NaN is not a finite number");
    // In its cloud there are labels and no tiers.
    let cloud = Quirks { lacks: &[Setting::ServiceTier], ..Quirks::GEMINI };
    let request = ChatRequest {
        service_tier: Some("flex".into()),
        metadata: Some(raw(r#"{"team":"a"}"#)),
        ..ChatRequest::user("hi")
    };
    let (body, warnings) = sent_to(&request, &WireTarget { quirks: &cloud, ..TARGET });
    assert!(body.ends_with(r#""labels":{"team":"a"}}"#), "{body}");
    assert_eq!(warnings, ["service_tier"]);
}

#[test]
fn the_forms_of_an_answer() {
    let form = |format: ResponseFormat| {
        let (body, warnings) =
            sent(&ChatRequest { response_format: Some(format), ..ChatRequest::user("hi") });
        let rest = body.split_once(r#""generationConfig":"#).map(|(_, rest)| rest.to_owned());
        (rest.unwrap_or_default(), warnings)
    };
    let schema = |description: Option<&str>| ResponseFormat::JsonSchema {
        name: "r".into(),
        description: description.map(str::to_owned),
        schema: raw(r##"{"$ref":"#/$defs/a","$defs":{"a":{"anyOf":[{"type":"null"}]}}}"##),
        strict: None,
    };
    for (format, json, about) in [
        (ResponseFormat::Text, "", &[][..]),
        (ResponseFormat::JsonObject, r#"{"responseMimeType":"application/json"}}"#, &[]),
        (
            schema(None),
            r##"{"responseMimeType":"application/json","responseJsonSchema":{"$ref":"#/$defs/a","$defs":{"a":{"anyOf":[{"type":"null"}]}}}}}"##,
            &[],
        ),
        (ResponseFormat::Native(raw(r#"[{"x":1}]"#)), r#"{"responseFormat":[{"x":1}]}}"#, &[]),
    ] {
        assert_eq!(form(format), (json.to_owned(), about.to_vec()));
    }
    assert_eq!(form(schema(Some("d"))).1, ["response_format.description"]);
}

#[test]
fn tools_and_the_choice_among_them() {
    let function = Tool::function("f", "d", raw(r#"{"type":"object"}"#));
    let strict = match function.clone() {
        Tool::Function(tool) => Tool::Function(llm_types::FunctionTool { strict: Some(true), ..tool }),
        other => other,
    };
    let search = Tool::Native(raw(r#"{"googleSearch":{}}"#));
    let with = |tools: Vec<Tool>, choice: Option<ToolChoice>, parallel: Option<bool>| {
        let request = ChatRequest {
            tools,
            tool_choice: choice,
            parallel_tool_calls: parallel,
            ..ChatRequest::user("hi")
        };
        let (body, warnings) = sent(&request);
        let rest = body.split_once(r#"}],"tools":"#).map(|(_, rest)| rest.to_owned());
        (rest.unwrap_or_default(), warnings)
    };
    let declared = r#"[{"functionDeclarations":[{"name":"f","description":"d","parametersJsonSchema":{"type":"object"}}]}]"#;
    for (choice, config) in [
        (None, String::new()),
        (Some(ToolChoice::Auto), r#"{"mode":"AUTO"}"#.to_owned()),
        (Some(ToolChoice::None), r#"{"mode":"NONE"}"#.to_owned()),
        (Some(ToolChoice::Required), r#"{"mode":"ANY"}"#.to_owned()),
        (Some(ToolChoice::Function("f".into())), r#"{"mode":"ANY","allowedFunctionNames":["f"]}"#.to_owned()),
        (
            Some(ToolChoice::Native(raw(r#"{"mode":"VALIDATED","allowedFunctionNames":["f"]}"#))),
            r#"{"mode":"VALIDATED","allowedFunctionNames":["f"]}"#.to_owned(),
        ),
    ] {
        let config = match config.as_str() {
            "" => String::new(),
            config => format!(r#","toolConfig":{{"functionCallingConfig":{config}}}"#),
        };
        let expected = (format!("{declared}{config}}}"), Vec::new());
        assert_eq!(with(vec![function.clone()], choice.clone(), Some(true)), expected, "{choice:?}");
    }
    let (body, _) = with(vec![strict], None, None);
    assert!(body.ends_with(r#""functionCallingConfig":{"mode":"VALIDATED"}}}"#), "{body}");
    assert_eq!(with(vec![function.clone()], None, Some(false)).1, ["parallel_tool_calls"]);
    assert_eq!(with(Vec::new(), Some(ToolChoice::Required), Some(false)).1, ["tool_choice"]);
    let (body, warnings) = with(vec![search, function], None, None);
    assert_eq!((body.contains(r#",{"googleSearch":{}}]"#), warnings.len()), (true, 0), "{body}");
    let custom = Tool::Native(raw(r#"{"type":"custom","custom":{"name":"sql"}}"#));
    assert_eq!(with(vec![custom], None, None), (String::new(), vec!["tools[0]".to_owned()]));
    let odd = ToolChoice::Native(raw(r#"{"type":"allowed_tools"}"#));
    let f = Tool::function("f", "d", raw("{}"));
    assert_eq!(with(vec![f], Some(odd), None).1, ["tool_choice"]);
}

#[test]
fn the_users_own_tool_settings_are_kept_beside_ours() {
    let mut request = from_json(
        r#"{"messages":[{"role":"user","content":"hi"}],"tool_choice":"required","tools":[{"type":"function","function":{"name":"f"}}],
            "toolConfig":{"retrievalConfig":{"languageCode":"fr"}}}"#,
    );
    let (body, _) = sent(&request);
    assert!(
        body.ends_with(r#""toolConfig":{"functionCallingConfig":{"mode":"ANY"},"retrievalConfig":{"languageCode":"fr"}}}"#),
        "{body}"
    );
    request.tool_choice = None;
    assert!(sent(&request).0.ends_with(r#""toolConfig":{"retrievalConfig":{"languageCode":"fr"}}}"#));
}

#[test]
fn media_come_as_data_or_as_addresses() {
    let data = |kind: &str, data: &str| {
        Media::new(MediaSource::Base64 { media_type: kind.into(), data: data.into() })
    };
    let low = Media { detail: Some("low".into()), ..data("image/png", "iVBORw0KGgo=") };
    let mut film = Media::from_url("gs://b/film.mp4");
    film.extra = Extra::parse(r#"{"videoMetadata":{"fps":2}}"#).unwrap();
    let parts = vec![
        Part::Image(low),
        Part::Image(data("", "/9j/4AAQ")),
        Part::Audio(data("audio/wav", "UklG")),
        Part::File(film),
        Part::File(Media::new(MediaSource::FileId("https://h/v1beta/files/abc".into()))),
        Part::native(raw(r#"{"text":"x","partMetadata":{}}"#)),
    ];
    let (body, warnings) = contents(vec![Message::new(Role::User, parts)], &Quirks::GEMINI);
    assert_eq!(warnings, [""; 0]);
    assert_snapshot!(body, @r#"{"role":"user","parts":[{"inlineData":{"mimeType":"image/png","data":"iVBORw0KGgo="},"mediaResolution":{"level":"MEDIA_RESOLUTION_LOW"}},{"inlineData":{"mimeType":"image/jpeg","data":"/9j/4AAQ"}},{"inlineData":{"mimeType":"audio/wav","data":"UklG"}},{"fileData":{"mimeType":"video/mp4","fileUri":"gs://b/film.mp4"},"videoMetadata":{"fps":2}},{"fileData":{"fileUri":"https://h/v1beta/files/abc"}},{"text":"x","partMetadata":{}}]}"#);
    let unknown = Message::new(Role::User, vec![Part::Image(data("", "AAAA"))]);
    assert_eq!(
        refused(&ChatRequest::new(vec![unknown])),
        "messages[0].content[0]: say which media type it has (image/png, audio/wav …)"
    );
    let foreign = Message::new(Role::User, vec![Part::native(raw(r#"{"type":"x"}"#))]);
    assert_eq!(
        refused(&ChatRequest::new(vec![foreign])),
        "messages[0].content[0]: this part has no form here"
    );
    let named = Media { name: Some("a.pdf".into()), ..data("application/pdf", "JVBERi") };
    let named = Message::new(Role::User, vec![Part::File(named)]);
    assert_eq!(contents(vec![named], &Quirks::GEMINI).1, ["messages[0].content[0].name"]);
}

#[test]
fn instructions_stand_before_the_conversation() {
    let request = ChatRequest::new(vec![
        Message::system("a"),
        Message::user("hi"),
        Message::new(Role::Developer, vec![Part::text("b")]),
    ]);
    let (body, warnings) = sent(&request);
    assert_eq!(
        body,
        r#"{"contents":[{"role":"user","parts":[{"text":"hi"}]}],"systemInstruction":{"parts":[{"text":"a"},{"text":"b"}]}}"#
    );
    assert_eq!(warnings, ["messages[2]"]);
    let alone = ChatRequest::new(vec![Message::system("a")]);
    assert_eq!(
        sent(&alone).0,
        r#"{"contents":[{"role":"user","parts":[{"text":""}]}],"systemInstruction":{"parts":[{"text":"a"}]}}"#
    );
    assert_eq!(refused(&ChatRequest::default()), "messages: there are none");
}

#[test]
fn results_are_sent_by_name_in_the_order_of_their_calls() {
    let result = |id: &str, text: &str| Message::tool(ToolResult::text(id, text));
    let picture =
        Media::new(MediaSource::Base64 { media_type: "image/png".into(), data: "iVBORw0KGgo=".into() });
    let mut failed = ToolResult::text("c", "no such port");
    failed.is_error = true;
    let mut seen = ToolResult::text("b", "seen");
    seen.content.push(Part::Image(picture));
    let mut own = call("b", "g", "");
    own.extra = Extra::parse(r#"{"native_id":"fc-7"}"#).unwrap();
    let (body, warnings) = contents(
        vec![
            Message::user("hi"),
            assistant(vec![
                Part::ToolCall(call("a", "f", r#"{"x": 1.50}"#)),
                Part::ToolCall(own),
                Part::ToolCall(call("c", "f", "{}")),
            ]),
            Message::tool(failed),
            Message::tool(seen),
            result("a", r#"{"metres":6.1}"#),
            Message::user("and?"),
        ],
        &UNSIGNED,
    );
    assert_eq!(warnings, [""; 0]);
    assert_snapshot!(body, @r#"{"role":"user","parts":[{"text":"hi"}]},{"role":"model","parts":[{"functionCall":{"name":"f","args":{"x": 1.50}}},{"functionCall":{"id":"fc-7","name":"g"}},{"functionCall":{"name":"f","args":{}}}]},{"role":"user","parts":[{"functionResponse":{"name":"f","response":{"output":{"metres":6.1}}}},{"functionResponse":{"id":"fc-7","name":"g","response":{"output":"seen"},"parts":[{"inlineData":{"mimeType":"image/png","data":"iVBORw0KGgo="}}]}},{"functionResponse":{"name":"f","response":{"error":"no such port"}}}]},{"role":"user","parts":[{"text":"and?"}]}"#);
    let unknown = ChatRequest::new(vec![Message::user("hi"), result("z", "x")]);
    assert_eq!(
        refused(&unknown),
        "messages[1].content[0]: it names no function, and no call with its id came before it"
    );
    let named = ToolResult { name: Some("f".into()), ..ToolResult::text("z", "[broken") };
    let (body, _) = contents(vec![Message::tool(named)], &UNSIGNED);
    assert_eq!(
        body,
        r#"{"role":"user","parts":[{"functionResponse":{"name":"f","response":{"output":"[broken"}}}]}"#
    );
}

#[test]
fn the_first_call_of_an_answer_is_signed_whoever_made_it() {
    let stand_in = Quirks::GEMINI.signature_stand_in.unwrap();
    let signed = |by: Option<&str>| {
        let mut call = call("a", "f", "{}");
        call.signature = Some("c2ln".into());
        if let Some(by) = by {
            call.extra.set("signed_by", by).unwrap();
        }
        call
    };
    let second = call("b", "g", "{}");
    let written = |first: ToolCall, quirks: &Quirks| {
        let parts = vec![Part::ToolCall(first), Part::ToolCall(second.clone())];
        contents(vec![assistant(parts)], quirks).0
    };
    let expected = |signature: Option<&str>| {
        let signature = signature.map(|text| format!(r#","thoughtSignature":"{text}""#)).unwrap_or_default();
        format!(
            r#"{{"role":"model","parts":[{{"functionCall":{{"name":"f","args":{{}}}}{signature}}},{{"functionCall":{{"name":"g","args":{{}}}}}}]}}"#
        )
    };
    for (first, quirks, signature) in [
        (signed(None), &Quirks::GEMINI, Some("c2ln")),
        (signed(Some("us/gemini-x")), &Quirks::GEMINI, Some("c2ln")),
        // Another model's, or another vendor's, is read by nobody else.
        (signed(Some("us/gemini-y")), &Quirks::GEMINI, Some(stand_in)),
        (signed(Some("them/gemini-x")), &UNSIGNED, None),
        (call("a", "f", "{}"), &Quirks::GEMINI, Some(stand_in)),
        (call("a", "f", "{}"), &UNSIGNED, None),
    ] {
        assert_eq!(written(first, quirks), expected(signature));
    }
}

#[test]
fn arguments_that_are_no_object_are_wrapped() {
    for (arguments, sent, warned) in [
        ("", "", false),
        ("null", "", false),
        (r#"{"a": 1}"#, r#","args":{"a": 1}"#, false),
        (r#"{"a": "#, r#","args":{"input":"{\"a\": "}"#, true),
        ("select 1", r#","args":{"input":"select 1"}"#, true),
        ("[1]", r#","args":{"input":"[1]"}"#, true),
    ] {
        let (body, warnings) =
            contents(vec![assistant(vec![Part::ToolCall(call("a", "f", arguments))])], &UNSIGNED);
        let expected = format!(r#"{{"role":"model","parts":[{{"functionCall":{{"name":"f"{sent}}}}}]}}"#);
        assert_eq!((body, !warnings.is_empty()), (expected, warned), "{arguments}");
    }
}

#[test]
fn thoughts_and_signatures_go_back_where_they_stood_and_to_nobody_else() {
    let of = |origin: &str, model: &str, block: Reasoning| {
        Part::Reasoning(Reasoning { origin: Some(origin.into()), format: Some(model.into()), ..block })
    };
    let own = |block: Reasoning| of("us", "gemini-x", block);
    let sealed = |extra: &str| Reasoning {
        encrypted: Some("c2ln".into()),
        extra: Extra::parse(extra).unwrap(),
        ..Reasoning::default()
    };
    let (body, warnings) = contents(
        vec![assistant(vec![
            own(Reasoning { summary: true, ..Reasoning::text("hm") }),
            Part::text("one two"),
            own(sealed(r#"{"text_length":3}"#)),
            Part::text("three"),
            own(sealed("{}")),
            own(sealed(r#"{"thought":true}"#)),
        ])],
        &Quirks::GEMINI,
    );
    assert_eq!(warnings, [""; 0]);
    assert_snapshot!(body, @r#"{"role":"model","parts":[{"text":"hm","thought":true},{"text":"one "},{"text":"two","thoughtSignature":"c2ln"},{"text":"three"},{"text":"","thoughtSignature":"c2ln"},{"text":"","thought":true,"thoughtSignature":"c2ln"}]}"#);
    for (origin, model, warned) in [("them", "gemini-x", true), ("us", "gemini-y", true)] {
        let parts = vec![of(origin, model, sealed("{}")), Part::text("a")];
        let (body, warnings) = contents(vec![assistant(parts)], &Quirks::GEMINI);
        assert_eq!(body, r#"{"role":"model","parts":[{"text":"a"}]}"#);
        assert_eq!(warnings == ["messages[0].reasoning"], warned);
    }
    // Plain thoughts of others are nobody's business, and need no warning.
    let parts = vec![Part::Reasoning(Reasoning::text("x")), Part::text("a")];
    assert_eq!(contents(vec![assistant(parts)], &Quirks::GEMINI).1, [""; 0]);
    let lost = vec![own(sealed(r#"{"text_length":3}"#)), Part::text("a")];
    assert_eq!(contents(vec![assistant(lost)], &Quirks::GEMINI).1, ["messages[0].reasoning"]);
}

#[test]
fn parts_in_the_wrong_place_are_refused() {
    for (message, error) in [
        (
            Message::new(Role::User, vec![Part::ToolCall(call("a", "f", ""))]),
            "messages[0].content[0]: only an assistant message holds tool calls and reasoning",
        ),
        (
            Message::new(Role::Tool, vec![Part::text("x")]),
            "messages[0].content[0]: a tool message holds results of tool calls, and nothing else",
        ),
        (
            Message::new(Role::Tool, Vec::new()),
            "messages[0].content[0]: a tool message holds results of tool calls, and nothing else",
        ),
        (
            assistant(vec![Part::ToolResult(ToolResult::text("a", "x"))]),
            "messages[0].content[0]: a result of a tool call is not the assistant's",
        ),
        (
            Message::new(Role::System, vec![Part::Image(Media::from_url("https://h/a.png"))]),
            "messages[0].content[0]: instructions are text in this format",
        ),
    ] {
        assert_eq!(refused(&ChatRequest::new(vec![message])), error);
    }
}

#[test]
fn tokens_are_counted_of_the_whole_request_or_of_what_is_read() {
    let request = ChatRequest {
        tools: vec![Tool::function("f", "d", raw("{}"))],
        tool_choice: Some(ToolChoice::Required),
        max_tokens: Some(5),
        user: Some("u".into()),
        ..ChatRequest::user("hi").with_system("s")
    };
    let whole = encode_count(&request, &TARGET).unwrap();
    assert_eq!(whole.path, "/models/gemini-x:countTokens");
    assert_snapshot!(std::str::from_utf8(&whole.body).unwrap(), @r#"{"generateContentRequest":{"model":"models/gemini-x","contents":[{"role":"user","parts":[{"text":"hi"}]}],"systemInstruction":{"parts":[{"text":"s"}]},"tools":[{"functionDeclarations":[{"name":"f","description":"d","parametersJsonSchema":{}}]}],"toolConfig":{"functionCallingConfig":{"mode":"ANY"}},"generationConfig":{"maxOutputTokens":5}}}"#);
    let bare = Quirks { count_form: CountForm::Bare, ..Quirks::GEMINI };
    let bare = encode_count(&request, &WireTarget { quirks: &bare, ..TARGET }).unwrap();
    assert_snapshot!(std::str::from_utf8(&bare.body).unwrap(), @r#"{"contents":[{"role":"user","parts":[{"text":"hi"}]}],"systemInstruction":{"parts":[{"text":"s"}]},"tools":[{"functionDeclarations":[{"name":"f","description":"d","parametersJsonSchema":{}}]}],"generationConfig":{"maxOutputTokens":5}}"#);
}
