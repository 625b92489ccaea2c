//! Vendors with models or machines of their own, but for China's.

use super::{BACK, BACK_SHORT, NO_PLACE};
use crate::conformance::vendor::{
    CHAT, Calls, Chat, FORGETS, Format, Generate, How, Knob, NO_COUNT, Thoughts, UsageAt, VENDOR, Vendor,
};

pub(super) const ROWS: &[Vendor] = &[
    Vendor {
        row: "openai",
        model: "gpt-5.4",
        format: Format::Chat(Chat {
            limit: "max_completion_tokens",
            thoughts: Thoughts::Nowhere,
            cached: &["prompt_tokens_details", "cached_tokens"],
            noise: r#""obfuscation":"x""#,
            placeholders: r#""refusal":null,"annotations":[]"#,
            ..CHAT
        }),
        // Thoughts are for another format of its own.
        cannot: &[("thoughts", How::Absent), FORGETS, NO_COUNT],
        counts_thoughts: true,
        counts_cached: true,
        ..VENDOR
    },
    Vendor {
        row: "anthropic",
        model: "claude-sonnet-5",
        path: "/v1/messages",
        format: Format::Messages,
        cannot: &[
            ("json_object", How::Warned("response_format")),
            ("seed", How::Warned("seed")),
            ("n", How::Warned("n")),
            ("logprobs", How::Warned("logprobs")),
            ("audio", How::Unsendable),
            ("embeddings", How::Unsendable),
        ],
        much: Knob(r#"{"thinking":{"type":"adaptive"},"output_config":{"effort":"high"}}"#, &[]),
        none: Knob(r#"{"thinking":{"type":"disabled"}}"#, &[]),
        back: r#"{"type":"thinking","thinking":"Need the port – Brest.","signature":"c2ln"}"#,
        counts_thoughts: true,
        counts_cached: true,
        words: ["end_turn", "max_tokens", "tool_use", "refusal"],
        broken: "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n",
        fixed_sampling: true,
        ..VENDOR
    },
    Vendor {
        row: "deepseek",
        model: "deepseek-chat",
        format: Format::Chat(Chat {
            usage: UsageAt::Finish,
            cached: &["prompt_cache_hit_tokens"],
            opening: ": keep-alive\n\n",
            blank: "\n\n",
            ..CHAT
        }),
        cannot: &[
            ("json_schema", How::Warned("response_format")),
            ("images", How::Refused(400, TEXT_ONLY)),
            ("image_urls", How::Refused(400, TEXT_ONLY)),
            ("audio", How::Refused(400, TEXT_ONLY)),
            NO_COUNT,
        ],
        much: Knob(r#"{"thinking":{"type":"enabled"},"reasoning_effort":"high"}"#, &[]),
        none: Knob(r#"{"thinking":{"type":"disabled"}}"#, &[]),
        back: BACK,
        counts_thoughts: true,
        counts_cached: true,
        ..VENDOR
    },
    Vendor {
        row: "gemini",
        model: "gemini-2.5-flash",
        path: "/v1beta/models/gemini-2.5-flash:*",
        format: Format::Generate(Generate { signed_in: false, beside: &["serviceTier", "store"] }),
        much: Knob(r#"{"thinkingConfig":{"includeThoughts":true,"thinkingBudget":24576}}"#, &[]),
        none: Knob(r#"{"thinkingConfig":{"thinkingBudget":0}}"#, &[]),
        ..GOOGLE
    },
    Vendor {
        row: "vertex",
        model: "gemini-3-flash-preview",
        path: "/v1/projects/p/locations/global/publishers/google/models/gemini-3-flash-preview:*",
        format: Format::Generate(Generate { signed_in: true, beside: &["labels"] }),
        unknown: &["model_list"],
        much: Knob(r#"{"thinkingConfig":{"includeThoughts":true,"thinkingLevel":"HIGH"}}"#, &[]),
        none: Knob(r#"{"thinkingConfig":{"thinkingLevel":"MINIMAL"}}"#, &["reasoning.effort"]),
        ..GOOGLE
    },
    Vendor {
        row: "mistral",
        model: "mistral-small-latest",
        format: Format::Chat(Chat {
            seed: "random_seed",
            thoughts: Thoughts::Parts,
            calls: Calls::AtTheEnd,
            short_ids: true,
            usage: UsageAt::Finish,
            asks_usage: false,
            noise: r#""p":"ab""#,
            ..CHAT
        }),
        cannot: &[("logprobs", How::Warned("logprobs")), NO_COUNT],
        back: r#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"Need the port – Brest."}]}]}"#,
        words: ["stop", "model_length", "tool_calls", "content_filter"],
        broken: "data: {\"object\":\"error\",\"message\":\"Service unavailable.\",\"type\":\"internal_server_error\",\"param\":null,\"code\":\"3505\"}\n\n",
        ..VENDOR
    },
    Vendor {
        row: "xai",
        model: "grok-4",
        format: Format::Chat(Chat {
            limit: "max_completion_tokens",
            calls: Calls::Whole,
            usage: UsageAt::Finish,
            outside: true,
            late_finish: true,
            noise: r#""citations":[]"#,
            ..CHAT
        }),
        cannot: &[("reasoning", How::Warned("reasoning")), ("stop", How::Warned("stop")), FORGETS, NO_COUNT],
        counts_thoughts: true,
        broken: "data: {\"code\":\"The service is currently unavailable\",\"error\":\"The model is overloaded\"}\n\n",
        ..VENDOR
    },
    Vendor {
        row: "groq",
        model: "openai/gpt-oss-20b",
        path: "/openai/v1/chat/completions",
        format: Format::Chat(Chat {
            limit: "max_completion_tokens",
            thoughts: Thoughts::Member("reasoning"),
            calls: Calls::Whole,
            usage: UsageAt::Thrice,
            noise: r#""x_groq":{"id":"req_1"}"#,
            ..CHAT
        }),
        cannot: &[
            ("n", How::Warned("n")),
            ("logprobs", How::Warned("logprobs")),
            ("embeddings", How::Refused(404, NO_PLACE)),
            NO_COUNT,
        ],
        back: BACK_SHORT,
        broken: "event: error\ndata: {\"error\":{\"message\":\"Tool call validation failed\",\"type\":\"invalid_request_error\",\"code\":\"tool_use_failed\",\"failed_generation\":\"x\",\"status_code\":400}}\n\n",
        // These models cannot be kept from thinking.
        none: Knob("{}", &["reasoning.effort"]),
        ..VENDOR
    },
    Vendor {
        row: "cerebras",
        model: "gpt-oss-120b",
        format: Format::Chat(Chat {
            thoughts: Thoughts::Member("reasoning"),
            calls: Calls::Whole,
            usage: UsageAt::Finish,
            late_finish: true,
            noise: r#""time_info":{"queue_time":0.001}"#,
            ..CHAT
        }),
        cannot: &[("embeddings", How::Refused(404, NO_PLACE)), FORGETS, NO_COUNT],
        // These models cannot be kept from thinking.
        none: Knob("{}", &["reasoning.effort"]),
        ..VENDOR
    },
    Vendor {
        row: "together",
        model: "meta-llama/demo",
        format: Format::Chat(Chat { thoughts: Thoughts::Tags, noise: r#""warnings":[]"#, ..CHAT }),
        much: Knob(r#"{"reasoning":{"enabled":true},"reasoning_effort":"high"}"#, &[]),
        none: Knob(r#"{"reasoning":{"enabled":false}}"#, &[]),
        words: ["eos", "length", "tool_calls", "content_filter"],
        bare_list: true,
        ..VENDOR
    },
    Vendor {
        row: "fireworks",
        model: "accounts/fireworks/models/demo",
        path: "/inference/v1/chat/completions",
        format: Format::Chat(Chat { usage: UsageAt::Finish, ..CHAT }),
        ..VENDOR
    },
    Vendor {
        row: "deepinfra",
        model: "acme/demo",
        path: "/v1/openai/chat/completions",
        format: Format::Chat(Chat { thoughts: Thoughts::Tags, ..CHAT }),
        ..VENDOR
    },
    Vendor {
        row: "perplexity",
        model: "sonar",
        // Its own address has no path. One elsewhere that has none either would get the usual one.
        path: "/its/own/chat/completions",
        format: Format::Chat(Chat {
            thoughts: Thoughts::Tags,
            usage: UsageAt::Every,
            asks_usage: false,
            late_finish: true,
            done: false,
            noise: r#""citations":["https://a.test"]"#,
            choice_noise: r#""message":{"role":"assistant","content":"all so far"},"delta":{"content":""}"#,
            ..CHAT
        }),
        cannot: &[
            ("tools", How::Refused(400, NO_TOOLS)),
            ("parallel_tools", How::Refused(400, NO_TOOLS)),
            ("tool_choice", How::Refused(400, NO_TOOLS)),
            ("strict_tools", How::Refused(400, NO_TOOLS)),
            ("embeddings", How::Refused(404, NO_PLACE)),
            FORGETS,
            NO_COUNT,
        ],
        ..VENDOR
    },
];

const TEXT_ONLY: &str = r#"{"error":{"message":"Failed to deserialize the JSON body into the target type: messages[0]: unknown variant `image_url`, expected `text`","type":"invalid_request_error","param":null,"code":"invalid_request_error"}}"#;
const NO_TOOLS: &str = r#"{"error":{"message":"Tool calling is not supported for this model","type":"invalid_request","code":400}}"#;

/// One format in two houses.
const GOOGLE: Vendor = Vendor {
    cannot: &[],
    back: r#"{"thoughtSignature":"c2ln","at":0}"#,
    counts_thoughts: true,
    counts_cached: true,
    words: ["STOP", "MAX_TOKENS", "STOP", "SAFETY"],
    broken: "data: {\"error\":{\"code\":503,\"message\":\"The model is overloaded.\",\"status\":\"UNAVAILABLE\"}}\r\n\r\n",
    ..VENDOR
};
