//! Requests as they go over the wire.

use insta::assert_snapshot;
use llm_types::{
    FunctionTool, Media, MediaSource, Message, Part, Reasoning, ReasoningEffort, ReasoningSetting, Role,
    Tool, ToolCall, ToolChoice, ToolResult,
};

use super::*;
use crate::dialect::quirks::{ReasoningForm, SystemRole};

const TARGET: WireTarget<'static> = WireTarget { model: "m", quirks: &Quirks::ANTHROPIC, origin: Some("us") };

fn extra(json: &str) -> Extra {
    Extra::parse(json).unwrap()
}

fn sent(request: &ChatRequest, quirks: &Quirks, stream: bool) -> (String, Vec<String>) {
    let encoded = encode(request, &WireTarget { quirks, ..TARGET }, stream).unwrap();
    let warnings = encoded.warnings.into_iter().map(|warning| warning.about).collect();
    (String::from_utf8(encoded.body.to_vec()).unwrap(), warnings)
}

/// The members behind model, limit and messages.
fn settings(request: ChatRequest, quirks: &Quirks) -> (String, Vec<String>) {
    let request = ChatRequest { max_tokens: request.max_tokens.or(Some(9)), ..request };
    let (json, warnings) = sent(&request, quirks, false);
    let (_, rest) = json.split_once(r#""content":"hi"}]"#).unwrap();
    (rest.trim_start_matches(',').trim_end_matches('}').to_owned() + &"}".repeat(closing(rest)), warnings)
}

/// How many braces of the rest belong to its own members.
fn closing(rest: &str) -> usize {
    (rest.len() - rest.trim_end_matches('}').len()).saturating_sub(1)
}

fn hi() -> ChatRequest {
    ChatRequest::user("hi")
}

fn conversation(messages: Vec<Message>) -> (String, Vec<String>) {
    let (json, warnings) =
        sent(&ChatRequest { max_tokens: Some(9), ..ChatRequest::new(messages) }, &Quirks::ANTHROPIC, false);
    (json.strip_prefix(r#"{"model":"m","max_tokens":9,"#).unwrap().to_owned(), warnings)
}

fn level(level: ReasoningEffort) -> ReasoningSetting {
    ReasoningSetting { effort: Some(level), ..ReasoningSetting::default() }
}

fn budget(tokens: u64) -> ReasoningSetting {
    ReasoningSetting { budget_tokens: Some(tokens), ..ReasoningSetting::default() }
}

fn switch(on: bool) -> ReasoningSetting {
    ReasoningSetting { enabled: Some(on), ..ReasoningSetting::default() }
}

const BUDGET: Quirks = Quirks { max_output: 32_000, ..Quirks::ANTHROPIC };
const BOTH: Quirks = Quirks { reasoning: ReasoningForm::Adaptive { budget: true, off: true }, ..BUDGET };
const LEVELS: Quirks = Quirks { reasoning: ReasoningForm::Adaptive { budget: false, off: true }, ..BUDGET };
const ALWAYS: Quirks = Quirks { reasoning: ReasoningForm::Adaptive { budget: false, off: false }, ..BUDGET };
const NEVER: Quirks = Quirks { reasoning: ReasoningForm::None, ..BUDGET };

#[test]
fn thinking_is_asked_for_as_the_model_understands_it() {
    use ReasoningEffort::{High, Low, Max, Minimal, XHigh};
    let adaptive = r#""thinking":{"type":"adaptive"}"#;
    let effort = |word: &str| format!(r#"{adaptive},"output_config":{{"effort":"{word}"}}"#);
    let enabled = |tokens: u64| format!(r#""thinking":{{"type":"enabled","budget_tokens":{tokens}}}"#);
    let off = r#""thinking":{"type":"disabled"}"#.to_owned();
    for (quirks, wish, limit, json, about) in [
        (&BUDGET, switch(false), None, off.clone(), &[][..]),
        (&BUDGET, switch(true), None, enabled(10_000), &[]),
        (&BUDGET, level(Minimal), None, enabled(1024), &[]),
        (&BUDGET, level(High), None, enabled(16_000), &[]),
        (&BUDGET, budget(5000), None, enabled(5000), &[]),
        (&BUDGET, budget(9), None, enabled(1024), &["reasoning.budget_tokens"]),
        (
            &BUDGET,
            ReasoningSetting { effort: Some(Low), ..budget(2000) },
            None,
            enabled(2000),
            &["reasoning.effort"],
        ),
        (&BUDGET, budget(5000), Some(4000), enabled(3000), &["reasoning.budget_tokens"]),
        (&BUDGET, budget(5000), Some(1200), enabled(1024), &["reasoning.budget_tokens"]),
        (&BUDGET, budget(5000), Some(1024), String::new(), &["reasoning"]),
        (&BUDGET, budget(5000), Some(5001), enabled(5000), &[]),
        (&BUDGET, budget(5000), Some(5000), enabled(3750), &["reasoning.budget_tokens"]),
        (&BOTH, level(High), None, effort("high"), &[]),
        (&BOTH, level(XHigh), None, effort("max"), &["reasoning.effort"]),
        (&BOTH, level(Minimal), None, effort("low"), &["reasoning.effort"]),
        (&BOTH, budget(5000), None, enabled(5000), &[]),
        (
            &BOTH,
            ReasoningSetting { effort: Some(Max), ..budget(5000) },
            None,
            format!(r#"{},"output_config":{{"effort":"max"}}"#, enabled(5000)),
            &[],
        ),
        (&BOTH, switch(true), None, adaptive.to_owned(), &[]),
        (&LEVELS, budget(5000), None, adaptive.to_owned(), &["reasoning.budget_tokens"]),
        (&LEVELS, switch(false), None, off, &[]),
        (&ALWAYS, switch(false), None, String::new(), &["reasoning"]),
        (&NEVER, switch(false), None, String::new(), &[]),
        (&NEVER, level(Low), None, String::new(), &["reasoning"]),
    ] {
        let request =
            ChatRequest { reasoning: Some(wish.clone()), max_tokens: limit.or(Some(90_000)), ..hi() };
        assert_eq!(
            settings(request, quirks),
            (json, about.iter().map(ToString::to_string).collect()),
            "{wish:?}"
        );
    }
    let wrong = ChatRequest {
        reasoning: Some(ReasoningSetting { enabled: Some(true), ..level(ReasoningEffort::Off) }),
        ..hi()
    };
    assert!(encode(&wrong, &TARGET, false).is_err());
    let strict = ChatRequest { reasoning: Some(budget(9)), strict: true, ..hi() };
    assert_eq!(encode(&strict, &TARGET, false).unwrap_err().kind(), llm_types::ErrorKind::InvalidRequest);
}

#[test]
fn a_request_without_a_limit_gets_the_models_usual_one() {
    let limit = |request: ChatRequest, quirks: &Quirks, stream: bool| {
        let (json, warnings) = sent(&request, quirks, stream);
        assert!(warnings.is_empty());
        let (_, rest) = json.split_once(r#""max_tokens":"#).unwrap();
        rest.split_once(',').unwrap().0.parse::<u64>().unwrap()
    };
    assert_eq!(limit(hi(), &Quirks::ANTHROPIC, false), 8192);
    assert_eq!((limit(hi(), &BUDGET, false), limit(hi(), &BUDGET, true)), (21_333, 32_000));
    assert_eq!(limit(ChatRequest { max_tokens: Some(0), ..hi() }, &BUDGET, true), 0);
    assert_eq!(limit(ChatRequest { max_tokens: Some(99_999), ..hi() }, &BUDGET, false), 99_999);
    // Thoughts count against it, so that a budget makes it longer.
    let thinks = ChatRequest { reasoning: Some(budget(30_000)), ..hi() };
    assert_eq!((limit(thinks.clone(), &BUDGET, false), limit(thinks, &BUDGET, true)), (34_096, 32_000));
    // A level does not, where the model could not write so much.
    for (stream, sent) in [(false, 17_237), (true, 27_904)] {
        let most = ChatRequest { reasoning: Some(level(ReasoningEffort::Max)), ..hi() };
        let (json, _) = self::sent(&most, &BUDGET, stream);
        assert!(json.contains(&format!(r#""budget_tokens":{sent}}}"#)), "{json}");
        assert!(limit(most, &BUDGET, stream) <= if stream { 32_000 } else { 21_333 });
    }
}

#[test]
fn the_users_own_members_are_merged() {
    let own = extra(
        r#"{"thinking":{"display":"omitted"},"output_config":{"task_budget":{"type":"tokens","total":9}},
            "cache_control":{"type":"ephemeral","ttl":"1h"},"context_management":{"edits":[]},"speed":"fast","stream":true}"#,
    );
    let request = ChatRequest { reasoning: Some(level(ReasoningEffort::Low)), extra: own, ..hi() };
    let (json, warnings) = settings(request, &LEVELS);
    assert_snapshot!(json, @r#""thinking":{"type":"adaptive","display":"omitted"},"output_config":{"effort":"low","task_budget":{"type":"tokens","total":9}},"cache_control":{"type":"ephemeral","ttl":"1h"},"context_management":{"edits":[]},"speed":"fast""#);
    assert_eq!(warnings, ["stream"]);
    let (json, _) =
        settings(ChatRequest { extra: extra(r#"{"thinking":{"type":"between_tools"}}"#), ..hi() }, &LEVELS);
    assert_eq!(json, r#""thinking":{"type":"between_tools"}"#);
}

#[test]
fn version_and_betas_are_headers() {
    let head = |json: &str| {
        let request = ChatRequest { extra: extra(json), temperature: Some(0.5), ..hi() };
        let encoded = encode(&request, &TARGET, false).unwrap();
        let told = |name: &str| encoded.headers.get(name).map(|value| value.to_str().unwrap().to_owned());
        let body = String::from_utf8(encoded.body.to_vec()).unwrap();
        assert!(!body.contains("anthropic_"), "{body}");
        (told("anthropic-version").unwrap(), told("anthropic-beta"), body.contains("temperature"))
    };
    let old = || "2023-06-01".to_owned();
    assert_eq!(head("{}"), (old(), None, true));
    assert_eq!(head(r#"{"anthropic_beta":"a-1"}"#), (old(), Some("a-1".into()), true));
    assert_eq!(head(r#"{"anthropic_beta":["a-1","b-2","a-1"]}"#), (old(), Some("a-1,b-2".into()), true));
    // The newer version knows no settings for sampling.
    assert_eq!(head(r#"{"anthropic_version":"2026-10-21"}"#), ("2026-10-21".into(), None, false));
    for broken in [r#"{"anthropic_version":"a\nb"}"#, r#"{"anthropic_beta":["a\nb"]}"#] {
        assert!(encode(&ChatRequest { extra: extra(broken), ..hi() }, &TARGET, false).is_err());
    }
}

#[test]
fn sampling_is_bound_to_model_and_thinking() {
    let with = |temperature, top_p, top_k, thinks: bool, quirks: &Quirks| {
        let reasoning = thinks.then(|| switch(true));
        let request = ChatRequest { temperature, top_p, top_k, reasoning, max_tokens: Some(50_000), ..hi() };
        let (json, warnings) = settings(request, quirks);
        let json = json.replace(r#""thinking":{"type":"adaptive"}"#, "").trim_start_matches(',').to_owned();
        (json, warnings)
    };
    let none = Vec::<String>::new();
    assert_eq!(with(Some(0.2), None, None, false, &BOTH), (r#""temperature":0.2"#.into(), none.clone()));
    assert_eq!(
        with(Some(1.7), None, None, false, &BOTH),
        (r#""temperature":1.0"#.into(), vec!["temperature".into()])
    );
    assert_eq!(
        with(Some(1.0), Some(0.97), None, true, &BOTH),
        (r#""temperature":1.0,"top_p":0.97"#.into(), none.clone())
    );
    let all: Vec<String> = ["temperature", "top_p", "top_k"].map(Into::into).into();
    assert_eq!(with(Some(0.2), Some(0.5), Some(4), true, &BOTH), (String::new(), all.clone()));
    assert_eq!(with(None, Some(0.5), Some(4), false, &BOTH), (r#""top_p":0.5,"top_k":4"#.into(), none));
    let later = Quirks { lacks: &[Setting::Temperature, Setting::TopP, Setting::TopK], ..BOTH };
    assert_eq!(with(Some(1.0), Some(0.5), Some(4), false, &later), (String::new(), all));
    let nan = ChatRequest { temperature: Some(f64::NAN), ..hi() };
    assert!(encode(&nan, &TARGET, false).is_err());
}

#[test]
fn settings_without_a_word_are_warnings() {
    let request = ChatRequest {
        n: Some(2),
        seed: Some(1),
        frequency_penalty: Some(0.1),
        presence_penalty: Some(0.1),
        logprobs: Some(true),
        verbosity: Some("low".into()),
        prompt_cache_key: Some("k".into()),
        service_tier: Some("flex".into()),
        response_format: Some(ResponseFormat::JsonObject),
        metadata: Some(raw(&extra(r#"{"user_id":"u-1","team":"x"}"#)).unwrap()),
        stop: vec!["END".into()],
        ..hi()
    };
    let (json, warnings) = settings(request, &Quirks::ANTHROPIC);
    assert_eq!(json, r#""stop_sequences":["END"],"metadata":{"user_id":"u-1"}"#);
    assert_eq!(
        warnings,
        [
            "response_format",
            "service_tier",
            "metadata.team",
            "n",
            "seed",
            "frequency_penalty",
            "presence_penalty",
            "logprobs",
            "verbosity",
            "prompt_cache_key"
        ]
    );
    let fine =
        ChatRequest { service_tier: Some("standard_only".into()), n: Some(1), logprobs: Some(false), ..hi() };
    assert_eq!(settings(fine, &Quirks::ANTHROPIC), (r#""service_tier":"standard_only""#.into(), vec![]));
}

#[test]
fn a_schema_stands_without_its_name() {
    let schema = |description: Option<&str>| ChatRequest {
        response_format: Some(ResponseFormat::JsonSchema {
            name: "r".into(),
            description: description.map(Into::into),
            schema: RawValue::from_string(r#"{"type": "object", "n": 1.50}"#.into()).unwrap(),
            strict: Some(true),
        }),
        reasoning: Some(level(ReasoningEffort::Low)),
        ..hi()
    };
    let (json, warnings) = settings(schema(Some("d")), &LEVELS);
    assert_eq!(
        json,
        r#""thinking":{"type":"adaptive"},"output_config":{"effort":"low","format":{"type":"json_schema","schema":{"type": "object", "n": 1.50}}}"#
    );
    assert_eq!(warnings, ["response_format.description"]);
    let (json, warnings) = settings(schema(None), &Quirks { schema: SchemaLevel::None, ..NEVER });
    assert_eq!(
        (json.as_str(), warnings.as_slice()),
        ("", &["reasoning".to_owned(), "response_format".to_owned()][..])
    );
}

fn tool(name: &str, parameters: Option<&str>, more: &str) -> Tool {
    let parameters = parameters.map(|json| RawValue::from_string(json.to_owned()).unwrap());
    Tool::Function(FunctionTool {
        name: name.into(),
        parameters,
        extra: extra(more),
        ..FunctionTool::default()
    })
}

#[test]
fn tools_and_the_choice_between_them() {
    let native =
        RawValue::from_string(r#"{"type":"web_search_20260318","name":"web_search"}"#.into()).unwrap();
    let strict = FunctionTool {
        strict: Some(true),
        description: Some("d".into()),
        name: "c".into(),
        ..FunctionTool::default()
    };
    let tools = vec![
        tool(
            "a",
            Some(r#"{"properties":{"x":{"n":1.50}}}"#),
            r#"{"cache_control":{"type":"ephemeral","ttl":"1h"}}"#,
        ),
        tool("b", Some(r#"{"type":"object","properties":{}}"#), "{}"),
        Tool::Function(strict),
        Tool::Native(native),
    ];
    let (json, warnings) = settings(ChatRequest { tools: tools.clone(), ..hi() }, &Quirks::ANTHROPIC);
    assert_snapshot!(json, @r#""tools":[{"name":"a","input_schema":{"type":"object","properties":{"x":{"n":1.50}}},"cache_control":{"type":"ephemeral","ttl":"1h"}},{"name":"b","input_schema":{"type":"object","properties":{}}},{"name":"c","description":"d","input_schema":{"type":"object","properties":{}},"strict":true},{"type":"web_search_20260318","name":"web_search"}]"#);
    assert!(warnings.is_empty());
    let choice = |tool_choice: Option<ToolChoice>,
                  parallel: Option<bool>,
                  reasoning: Option<ReasoningSetting>,
                  quirks| {
        let tools = vec![tool("a", None, "{}")];
        let parallel_tool_calls = parallel;
        let (json, warnings) = settings(
            ChatRequest {
                tools,
                tool_choice,
                parallel_tool_calls,
                reasoning,
                max_tokens: Some(50_000),
                ..hi()
            },
            quirks,
        );
        let rest = json.split_once(r#""properties":{}}}]"#).unwrap().1.trim_start_matches(',').to_owned();
        (rest, warnings)
    };
    let own = &Quirks::ANTHROPIC;
    let native = |json: &str| Some(ToolChoice::Native(RawValue::from_string(json.to_owned()).unwrap()));
    for (given, parallel, json) in [
        (None, None, ""),
        (None, Some(true), ""),
        (None, Some(false), r#""tool_choice":{"type":"auto","disable_parallel_tool_use":true}"#),
        (Some(ToolChoice::Auto), None, r#""tool_choice":{"type":"auto"}"#),
        (Some(ToolChoice::None), Some(false), r#""tool_choice":{"type":"none"}"#),
        (Some(ToolChoice::Required), None, r#""tool_choice":{"type":"any"}"#),
        (
            Some(ToolChoice::Function("a".into())),
            Some(false),
            r#""tool_choice":{"type":"tool","name":"a","disable_parallel_tool_use":true}"#,
        ),
        (native("\"any\""), None, r#""tool_choice":{"type":"any"}"#),
        (
            native(r#"{"type":"tool","name":"z"}"#),
            Some(false),
            r#""tool_choice":{"type":"tool","name":"z","disable_parallel_tool_use":true}"#,
        ),
    ] {
        assert_eq!(choice(given, parallel, None, own), (json.to_owned(), vec![]));
    }
    // Whoever has to call a tool cannot think beforehand, unless it decides by itself how much.
    let forced = Some(ToolChoice::Required);
    let any = r#""tool_choice":{"type":"any"}"#.to_owned();
    assert_eq!(
        choice(forced.clone(), None, Some(switch(true)), own),
        (any.clone(), vec!["reasoning".into()])
    );
    let both = any + r#","thinking":{"type":"adaptive"}"#;
    assert_eq!(choice(forced, None, Some(switch(true)), &BOTH), (both, vec![]));
    let without = ChatRequest { tool_choice: Some(ToolChoice::Required), ..hi() };
    assert_eq!(settings(without, own), (String::new(), vec!["tool_choice".into()]));
}

#[test]
fn instructions_stand_before_the_conversation() {
    let marked =
        Message { extra: extra(r#"{"cache_control":{"type":"ephemeral"}}"#), ..Message::system("b") };
    let developer = Message::new(Role::Developer, vec![Part::text("a")]);
    let (json, warnings) =
        conversation(vec![developer, marked, Message::user("hi"), Message::system("later")]);
    assert_snapshot!(json, @r#""system":[{"type":"text","text":"a"},{"type":"text","text":"b","cache_control":{"type":"ephemeral"}},{"type":"text","text":"later"}],"messages":[{"role":"user","content":"hi"}]}"#);
    assert_eq!(warnings, ["messages[3]"]);
    let anywhere = Quirks { system_role: SystemRole::System, ..Quirks::ANTHROPIC };
    let request = ChatRequest::new(vec![Message::system("a"), Message::user("hi"), Message::system("later")]);
    let (json, warnings) = sent(&request, &anywhere, false);
    assert!(
        json.ends_with(
            r#""system":"a","messages":[{"role":"user","content":"hi"},{"role":"system","content":"later"}]}"#
        ),
        "{json}"
    );
    assert!(warnings.is_empty());
    for nothing in [vec![], vec![Message::system("a")], vec![Message::user(" ")]] {
        let error = encode(&ChatRequest::new(nothing), &TARGET, false).unwrap_err();
        assert_eq!(error.message(), "messages: there are none");
    }
}

#[test]
fn turns_are_joined_and_results_come_first() {
    let call = |id: &str, arguments: &str| {
        Part::ToolCall(ToolCall {
            id: id.into(),
            name: "f".into(),
            arguments: arguments.into(),
            ..ToolCall::default()
        })
    };
    let failed = ToolResult { is_error: true, ..ToolResult::text("c2", "boom") };
    let picture = Part::Image(Media::from_url("data:image/png;base64,iVBO"));
    let seen = ToolResult {
        id: "functions.f:3".into(),
        content: vec![Part::text("look"), picture],
        ..ToolResult::default()
    };
    let (json, warnings) = conversation(vec![
        Message::user("hi"),
        Message::user("there"),
        Message::new(
            Role::Assistant,
            vec![
                Part::text("I look."),
                call("c1", "{\"x\": 1.50}"),
                call("c2", "null"),
                call("functions.f:3", " "),
            ],
        ),
        Message {
            extra: extra(r#"{"cache_control":{"type":"ephemeral","ttl":"1h"}}"#),
            ..Message::tool(ToolResult::text("c1", "1"))
        },
        Message::new(Role::User, vec![Part::text("and?"), Part::ToolResult(failed)]),
        Message::tool(seen),
    ]);
    assert_snapshot!(json, @r#""messages":[{"role":"user","content":[{"type":"text","text":"hi"},{"type":"text","text":"there"}]},{"role":"assistant","content":[{"type":"text","text":"I look."},{"type":"tool_use","id":"c1","name":"f","input":{"x": 1.50}},{"type":"tool_use","id":"c2","name":"f","input":{}},{"type":"tool_use","id":"functions_f_3_k4BBXxarA","name":"f","input":{}}]},{"role":"user","content":[{"type":"tool_result","tool_use_id":"c1","content":"1","cache_control":{"type":"ephemeral","ttl":"1h"}},{"type":"tool_result","tool_use_id":"c2","content":"boom","is_error":true},{"type":"tool_result","tool_use_id":"functions_f_3_k4BBXxarA","content":[{"type":"text","text":"look"},{"type":"image","source":{"type":"base64","media_type":"image/png","data":"iVBO"}}]},{"type":"text","text":"and?"}]}]}"#);
    assert!(warnings.is_empty(), "{warnings:?}");
}

#[test]
fn arguments_that_are_no_object_are_sent_as_one() {
    let call = |arguments: &str, custom: bool| {
        let call = ToolCall {
            id: "c".into(),
            name: "f".into(),
            arguments: arguments.into(),
            custom,
            ..ToolCall::default()
        };
        let (json, warnings) = conversation(vec![Message::new(Role::Assistant, vec![Part::ToolCall(call)])]);
        let (_, input) = json.split_once(r#""input":"#).unwrap();
        (input.strip_suffix("}]}]}").unwrap().to_owned(), warnings.len())
    };
    for (arguments, custom, input, warnings) in [
        ("{}", false, "{}", 0),
        ("", false, "{}", 0),
        ("null", false, "{}", 0),
        (r#"{"a":"#, false, r#"{"arguments":"{\"a\":"}"#, 1),
        ("[1]", false, r#"{"arguments":"[1]"}"#, 1),
        ("free text", true, r#"{"input":"free text"}"#, 1),
    ] {
        assert_eq!(call(arguments, custom), (input.to_owned(), warnings), "{arguments}");
    }
}

#[test]
fn images_and_documents_in_every_form() {
    let of = |source: MediaSource| Media::new(source);
    let base64 =
        |kind: &str, data: &str| of(MediaSource::Base64 { media_type: kind.into(), data: data.into() });
    let marked = Media {
        extra: extra(r#"{"cache_control":{"type":"ephemeral"}}"#),
        ..Media::from_url("https://x/y.png")
    };
    let named = Media { name: Some("book".into()), ..base64("application/pdf", "JVBE") };
    let (json, warnings) = conversation(vec![Message::new(
        Role::User,
        vec![
            Part::Image(base64("image/webp", "UklGRg")),
            Part::Image(base64("", "/9j/4AAQ")),
            Part::Image(marked),
            Part::Image(of(MediaSource::FileId("file_1".into()))),
            Part::File(named),
            Part::File(base64("", "JVBE")),
            Part::File(base64("text/plain", "VGlkZXM=")),
            Part::File(of(MediaSource::Url("https://x/y.pdf".into()))),
            Part::File(of(MediaSource::FileId("file_2".into()))),
            Part::native(RawValue::from_string(r#"{"type":"search_result","n":1.50}"#.into()).unwrap()),
        ],
    )]);
    assert_snapshot!(json, @r#""messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","media_type":"image/webp","data":"UklGRg"}},{"type":"image","source":{"type":"base64","media_type":"image/jpeg","data":"/9j/4AAQ"}},{"type":"image","source":{"type":"url","url":"https://x/y.png"},"cache_control":{"type":"ephemeral"}},{"type":"image","source":{"type":"file","file_id":"file_1"}},{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBE"},"title":"book"},{"type":"document","source":{"type":"base64","media_type":"application/pdf","data":"JVBE"}},{"type":"document","source":{"type":"text","media_type":"text/plain","data":"Tides"}},{"type":"document","source":{"type":"url","url":"https://x/y.pdf"}},{"type":"document","source":{"type":"file","file_id":"file_2"}},{"type":"search_result","n":1.50}]}]}"#);
    assert!(warnings.is_empty());
    let close = Media { detail: Some("high".into()), ..base64("image/png", "iVBO") };
    assert_eq!(
        conversation(vec![Message::new(Role::User, vec![Part::Image(close)])]).1,
        ["messages[0].content[0].detail"]
    );
    for (part, message) in [
        (Part::Audio(base64("audio/wav", "UklG")), "this format has no form for a sound"),
        (Part::Image(base64("", "AAAA")), "the type of the image is not known; give it, as image/png"),
        (Part::File(base64("text/plain", "/w==")), "the text of the document is not UTF-8 in base64"),
    ] {
        let request = ChatRequest::new(vec![Message::new(Role::User, vec![part])]);
        let error = encode(&request, &TARGET, false).unwrap_err();
        assert_eq!(error.message(), format!("messages[0].content[0]: {message}"));
    }
}

#[test]
fn reasoning_goes_back_to_whoever_signed_it() {
    let thought = |text: &str, signature: Option<&str>, origin: Option<&str>| {
        let (signature, origin) = (signature.map(Into::into), origin.map(Into::into));
        Part::Reasoning(Reasoning { signature, origin, ..Reasoning::text(text) })
    };
    let back = |part: Part| {
        let (json, warnings) = conversation(vec![Message::new(Role::Assistant, vec![part, Part::text("t")])]);
        (json.contains(r#""type":"thinking""#), warnings.len())
    };
    assert_eq!(back(thought("a", Some("s"), Some("us"))), (true, 0));
    assert_eq!(back(thought("", Some("s"), Some("us"))), (true, 0));
    assert_eq!(back(thought("a", None, Some("us"))), (true, 0));
    assert_eq!(back(thought("a", Some("s"), None)), (true, 0));
    assert_eq!(back(thought("a", Some("s"), Some("them"))), (false, 1));
    assert_eq!(back(thought("a", None, None)), (false, 1));
}

#[test]
fn what_says_nothing_is_left_out_with_a_word() {
    let named =
        Message { name: Some("ann".into()), extra: extra(r#"{"audio":{"id":"a"}}"#), ..Message::user("hi") };
    let (json, warnings) = conversation(vec![named, Message::assistant(""), Message::user("")]);
    assert_eq!(json, r#""messages":[{"role":"user","content":"hi"}]}"#);
    assert_eq!(warnings, ["messages[0].name", "messages[0].audio", "messages[1]", "messages[2]"]);
    // The last word may be the assistant's: the model goes on from there.
    let (json, _) = conversation(vec![Message::user("hi"), Message::assistant("High water is at")]);
    assert!(json.ends_with(r#"{"role":"assistant","content":"High water is at"}]}"#));
}

#[test]
fn a_count_asks_without_limit_and_stream() {
    let request = ChatRequest {
        tools: vec![tool("a", None, "{}")],
        reasoning: Some(budget(2000)),
        temperature: Some(0.5),
        extra: extra(r#"{"cache_control":{"type":"ephemeral"},"speed":"fast"}"#),
        ..hi().with_system("s")
    };
    let encoded = encode_count(&request, &TARGET).unwrap();
    assert_snapshot!(String::from_utf8_lossy(&encoded.body), @r#"{"model":"m","system":"s","messages":[{"role":"user","content":"hi"}],"tools":[{"name":"a","input_schema":{"type":"object","properties":{}}}],"thinking":{"type":"enabled","budget_tokens":2000},"cache_control":{"type":"ephemeral"}}"#);
    assert_eq!(encoded.path, "/messages/count_tokens");
    assert!(encoded.headers.contains_key("anthropic-version"));
}

#[test]
fn thinking_does_not_begin_between_a_call_and_its_result() {
    let call = Part::ToolCall(ToolCall { id: "c".into(), name: "f".into(), ..ToolCall::default() });
    let thought = Part::Reasoning(Reasoning {
        signature: Some("s".into()),
        origin: Some("us".into()),
        ..Reasoning::text("t")
    });
    let foreign = Part::Reasoning(Reasoning::text("t"));
    let assistant =
        |parts: &[&Part]| Message::new(Role::Assistant, parts.iter().map(|part| (*part).clone()).collect());
    let result = || Message::tool(ToolResult { id: "c".into(), ..ToolResult::default() });
    let user = || Message::user("hi");
    for (quirks, messages, thinks) in [
        (&BUDGET, vec![user(), assistant(&[&thought, &call]), result()], true),
        (&BUDGET, vec![user(), assistant(&[&thought, &call]), result(), assistant(&[&call]), result()], true),
        (&BUDGET, vec![user(), assistant(&[&call]), result(), user()], false),
        (&BUDGET, vec![user(), assistant(&[&call]), result()], false),
        (&BUDGET, vec![user(), assistant(&[&foreign, &call]), result()], false),
        (&BUDGET, vec![user(), assistant(&[&call]), result(), assistant(&[]), user()], false),
        (&BUDGET, vec![user(), assistant(&[&call]), result(), Message::assistant("a"), user()], true),
        (&BOTH, vec![user(), assistant(&[&call]), result()], true),
    ] {
        let request =
            ChatRequest { reasoning: Some(level(ReasoningEffort::Low)), ..ChatRequest::new(messages) };
        let (json, warnings) = sent(&request, quirks, true);
        assert_eq!(json.contains(r#""thinking":{"type""#), thinks, "{json}");
        assert_eq!(warnings.contains(&"reasoning".to_owned()), !thinks, "{warnings:?}");
    }
}
