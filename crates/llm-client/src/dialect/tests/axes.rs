//! That the axes suffice: sets of them as servers have them, and what they change on the wire. Which server has which stands in the
//! catalogue of vendors, with a fixture for each.

use llm_types::{Message, ReasoningEffort, ReasoningSetting, Role, ToolCall};

use super::*;
use crate::transport::Endpoint;

const SYSTEM_ONLY: Quirks = Quirks {
    token_limit: TokenLimit::MaxTokens,
    system_role: SystemRole::System,
    refusal: RefusalForm::Text,
    ..Quirks::NONE
};

const THINKING_OBJECT: Quirks = Quirks {
    reasoning: ReasoningForm::Thinking { effort: true },
    efforts: &[
        (ReasoningEffort::Minimal, "low"),
        (ReasoningEffort::Low, "low"),
        (ReasoningEffort::Medium, "high"),
        (ReasoningEffort::High, "high"),
        (ReasoningEffort::XHigh, "high"),
        (ReasoningEffort::Max, "max"),
    ],
    replay: Replay { when: ReplayWhen::WithTools, field: ReplayField::ReasoningContent },
    schema: SchemaLevel::JsonObject,
    empty_content: EmptyContent::Empty,
    ..SYSTEM_ONLY
};

const TEMPLATE_SWITCH: Quirks = Quirks {
    reasoning: ReasoningForm::TemplateSwitch {
        name: "enable_thinking",
        budget: Some("thinking_token_budget"),
    },
    replay: Replay { when: ReplayWhen::Always, field: ReplayField::Reasoning },
    think_tags: ThinkTags::Leading(TagPair::THINK),
    lacks: &[],
    ..SYSTEM_ONLY
};

const FEW_SETTINGS: Quirks = Quirks {
    efforts: &[
        (ReasoningEffort::Off, "none"),
        (ReasoningEffort::Minimal, "low"),
        (ReasoningEffort::Low, "low"),
        (ReasoningEffort::Medium, "medium"),
        (ReasoningEffort::High, "high"),
        (ReasoningEffort::XHigh, "high"),
        (ReasoningEffort::Max, "max"),
    ],
    lacks: &[Setting::TopK, Setting::ToolChoice, Setting::LogitBias, Setting::N, Setting::User],
    ..SYSTEM_ONLY
};

const REASONING_OBJECT: Quirks = Quirks {
    reasoning: ReasoningForm::Object,
    replay: Replay { when: ReplayWhen::Always, field: ReplayField::Details },
    stream_usage: StreamUsage::Given,
    file_url: FileUrl::FileData,
    lacks: &[],
    errors: &[ErrorPattern {
        status: Some(400),
        text: Some("is not a valid model ID"),
        ..ErrorPattern::new(ErrorKind::ModelNotFound)
    }],
    ..SYSTEM_ONLY
};

const NINE_CHARACTER_IDS: Quirks = Quirks {
    seed_field: "random_seed",
    stream_usage: StreamUsage::Given,
    tool_ids: ToolIds::Nine,
    replay: Replay { when: ReplayWhen::Always, field: ReplayField::ThinkingParts },
    file_url: FileUrl::DocumentUrl,
    dimensions_field: "output_dimension",
    request_id_headers: &["x-correlation-id"],
    ..SYSTEM_ONLY
};

const THINKING_SWITCH: Quirks = Quirks {
    reasoning: ReasoningForm::Switch { member: "enable_thinking", budget: Some("thinking_budget") },
    lacks: &[],
    errors: &[
        ErrorPattern { code: Some("Arrearage"), ..ErrorPattern::new(ErrorKind::QuotaExhausted) },
        ErrorPattern { code: Some("DataInspectionFailed"), ..ErrorPattern::new(ErrorKind::ContentFilter) },
    ],
    ..SYSTEM_ONLY
};

const REASONING_OUTSIDE: Quirks = Quirks {
    usage: UsageRule { reasoning: InTotal::Outside, audio: InTotal::Inside },
    errors: &[ErrorPattern {
        status: Some(400),
        text: Some("Incorrect API key"),
        ..ErrorPattern::new(ErrorKind::Authentication)
    }],
    ..SYSTEM_ONLY
};

const FINAL_500: Quirks = Quirks {
    errors: &[ErrorPattern {
        status: Some(500),
        text: Some("requires --jinja"),
        retry: Some(false),
        ..ErrorPattern::new(ErrorKind::InvalidRequest)
    }],
    ..Quirks::COMPATIBLE
};

const OWN_STATUS: Quirks = Quirks {
    replay: Replay { when: ReplayWhen::Always, field: ReplayField::Reasoning },
    errors: &[ErrorPattern { status: Some(498), ..ErrorPattern::new(ErrorKind::Overloaded) }],
    system_role: SystemRole::System,
    refusal: RefusalForm::Text,
    ..Quirks::NONE
};

const DEPLOYMENTS: Quirks = Quirks {
    paths: Paths::Deployments { api_version: "2024-10-21" },
    auth: AuthHeader::Named("api-key"),
    ..Quirks::NONE
};

fn target(quirks: &Quirks) -> WireTarget<'_> {
    WireTarget { model: "some-model", quirks, origin: Some("us") }
}

/// The members of a request's body, but for model, messages and tools.
fn members(quirks: &Quirks, effort: Option<ReasoningEffort>, enabled: Option<bool>) -> String {
    let request = ChatRequest {
        reasoning: Some(ReasoningSetting { effort, enabled, budget_tokens: None }),
        max_tokens: Some(9),
        ..ChatRequest::user("hi")
    };
    let encoded = DIALECT.encode_chat(&request, &target(quirks), true).unwrap();
    let body = String::from_utf8(encoded.body.to_vec()).unwrap();
    body.split_once(r#""stream":true,"#)
        .unwrap()
        .1
        .trim_end_matches('}')
        .replace(r#""stream_options":{"include_usage":true},"#, "usage;")
}

#[test]
fn limits_and_thinking_are_asked_for_in_each_ones_words() {
    use ReasoningEffort::Low;
    for (quirks, low, off) in [
        (
            &Quirks::NONE,
            r#"usage;"max_completion_tokens":9,"reasoning_effort":"low""#,
            r#"usage;"max_completion_tokens":9,"reasoning_effort":"none""#,
        ),
        (
            &THINKING_OBJECT,
            r#"usage;"max_tokens":9,"thinking":{"type":"enabled"},"reasoning_effort":"low""#,
            r#"usage;"max_tokens":9,"thinking":{"type":"disabled""#,
        ),
        (
            &TEMPLATE_SWITCH,
            r#"usage;"max_tokens":9,"chat_template_kwargs":{"enable_thinking":true},"reasoning_effort":"low""#,
            r#"usage;"max_tokens":9,"chat_template_kwargs":{"enable_thinking":false"#,
        ),
        (
            &FEW_SETTINGS,
            r#"usage;"max_tokens":9,"reasoning_effort":"low""#,
            r#"usage;"max_tokens":9,"reasoning_effort":"none""#,
        ),
        (
            &REASONING_OBJECT,
            r#""max_tokens":9,"reasoning":{"effort":"low""#,
            r#""max_tokens":9,"reasoning":{"effort":"none""#,
        ),
        (
            &THINKING_SWITCH,
            r#"usage;"max_tokens":9,"enable_thinking":true"#,
            r#"usage;"max_tokens":9,"enable_thinking":false"#,
        ),
        (
            &NINE_CHARACTER_IDS,
            r#""max_tokens":9,"reasoning_effort":"low""#,
            r#""max_tokens":9,"reasoning_effort":"none""#,
        ),
    ] {
        assert_eq!(members(quirks, Some(Low), None), low);
        assert_eq!(members(quirks, None, Some(false)), off);
    }
}

#[test]
fn earlier_reasoning_goes_back_in_each_ones_member() {
    let call =
        ToolCall { id: "call_1".into(), name: "f".into(), arguments: "{}".into(), ..ToolCall::default() };
    let thought = Part::Reasoning(llm_types::Reasoning::text("hm"));
    let with_call = Message::new(Role::Assistant, vec![thought.clone(), Part::ToolCall(call)]);
    let plain = Message::new(Role::Assistant, vec![thought, Part::text("x")]);
    for (quirks, called, said) in [
        (&Quirks::NONE, "", ""),
        (&THINKING_OBJECT, r#""reasoning_content":"hm""#, ""),
        (&TEMPLATE_SWITCH, r#""reasoning":"hm""#, r#""reasoning":"hm""#),
        (&OWN_STATUS, r#""reasoning":"hm""#, r#""reasoning":"hm""#),
        (&REASONING_OBJECT, r#""reasoning":"hm""#, r#""reasoning":"hm""#),
        (
            &NINE_CHARACTER_IDS,
            r#"{"type":"thinking","thinking":[{"type":"text","text":"hm"}]}"#,
            r#"{"type":"thinking","thinking":[{"type":"text","text":"hm"}]}"#,
        ),
        (&FEW_SETTINGS, "", ""),
    ] {
        for (message, expected) in [(&with_call, called), (&plain, said)] {
            let request = ChatRequest::new(vec![message.clone()]);
            let encoded = DIALECT.encode_chat(&request, &target(quirks), false).unwrap();
            let body = String::from_utf8(encoded.body.to_vec()).unwrap();
            if expected.is_empty() {
                assert!(!body.contains("hm"), "{body}");
            } else {
                assert!(body.contains(expected), "{body}");
            }
        }
    }
}

/// The written table of failed calls: `(quirks, status, body, kind, code, retried)`.
#[test]
fn failed_calls_are_what_the_table_says() {
    for (quirks, status, body, kind, code, retried) in [
        (
            &REASONING_OUTSIDE,
            400,
            r#"{"code":"invalid-argument","error":"Incorrect API key provided."}"#,
            ErrorKind::Authentication,
            Some("invalid-argument"),
            false,
        ),
        (
            &NINE_CHARACTER_IDS,
            400,
            r#"{"object":"error","message":"Invalid model: x","type":"invalid_model","param":null,"code":"1500","raw_status_code":400}"#,
            ErrorKind::ModelNotFound,
            Some("1500"),
            false,
        ),
        (&NINE_CHARACTER_IDS, 401, r#"{"detail":"Invalid API Key"}"#, ErrorKind::Authentication, None, false),
        (
            &Quirks::NONE,
            404,
            r#"{"error":"Specified model not found: some-model"}"#,
            ErrorKind::ModelNotFound,
            None,
            false,
        ),
        (
            &TEMPLATE_SWITCH,
            422,
            r#"{"detail":[{"loc":["body","stop"],"msg":"bad value","type":"value_error"}]}"#,
            ErrorKind::InvalidRequest,
            Some("value_error"),
            false,
        ),
        (
            &REASONING_OBJECT,
            429,
            r#"{"error":{"code":429,"message":"Slow down","metadata":{"provider_name":"Acme"}}}"#,
            ErrorKind::RateLimited,
            Some("429"),
            true,
        ),
        (
            &REASONING_OBJECT,
            400,
            r#"{"error":{"code":400,"message":"x/y is not a valid model ID"},"user_id":"u"}"#,
            ErrorKind::ModelNotFound,
            Some("400"),
            false,
        ),
        (&Quirks::NONE, 502, "<html>…</html>", ErrorKind::Server, None, true),
        (&Quirks::NONE, 502, "", ErrorKind::Server, None, true),
        (
            &FINAL_500,
            503,
            r#"{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}"#,
            ErrorKind::Overloaded,
            Some("503"),
            true,
        ),
        (
            &FINAL_500,
            500,
            r#"{"error":{"code":500,"message":"tools param requires --jinja flag","type":"server_error"}}"#,
            ErrorKind::InvalidRequest,
            Some("500"),
            false,
        ),
        (
            &THINKING_SWITCH,
            400,
            r#"{"error":{"code":"Arrearage","message":"m","type":"Arrearage"}}"#,
            ErrorKind::QuotaExhausted,
            Some("Arrearage"),
            false,
        ),
        (
            &THINKING_SWITCH,
            400,
            r#"{"error":{"code":"DataInspectionFailed","message":"m"}}"#,
            ErrorKind::ContentFilter,
            Some("DataInspectionFailed"),
            false,
        ),
        (
            &THINKING_OBJECT,
            402,
            r#"{"error":{"message":"Insufficient Balance","type":"unknown_error","code":"invalid_request_error"}}"#,
            ErrorKind::QuotaExhausted,
            Some("invalid_request_error"),
            false,
        ),
        (&OWN_STATUS, 498, "{}", ErrorKind::Overloaded, None, true),
    ] {
        let status = StatusCode::from_u16(status).unwrap();
        let error =
            DIALECT.classify(status, &HeaderMap::new(), body.as_bytes(), &target(quirks), Hints::default());
        assert_eq!(
            (error.kind(), error.code(), error.is_retryable()),
            (kind, code, retried),
            "{status} {body}"
        );
    }
}

#[test]
fn deployments_have_their_own_address_and_header() {
    let given = Endpoint::parse("https://res.acme.example/openai").unwrap();
    let base = given.with_path(&DIALECT.base_path(given.path(), &DEPLOYMENTS)).unwrap();
    let encoded = DIALECT.encode_chat(&ChatRequest::user("hi"), &target(&DEPLOYMENTS), false).unwrap();
    assert_eq!(
        base.join(&encoded.path, encoded.query.as_deref().unwrap()).unwrap().to_string(),
        "https://res.acme.example/openai/deployments/some-model/chat/completions?api-version=2024-10-21"
    );
    let mut headers = HeaderMap::new();
    DIALECT.authorise(&Secret::key("k-1").unwrap(), &DEPLOYMENTS, &mut headers).unwrap();
    assert_eq!(headers.get("api-key").unwrap(), "k-1");
}
