//! Gateways, and servers that people run themselves.

use super::{BACK, BACK_SHORT};
use crate::conformance::vendor::{
    CHAT, Calls, Chat, FORGETS, Format, How, Knob, NO_COUNT, Thoughts, UsageAt, VENDOR, Vendor,
};

pub(super) const ROWS: &[Vendor] = &[
    Vendor {
        row: "openrouter",
        model: "anthropic/demo",
        path: "/api/v1/chat/completions",
        format: Format::Chat(Chat {
            thoughts: Thoughts::Details,
            usage: UsageAt::FinishAgain,
            asks_usage: false,
            opening: ": OPENROUTER PROCESSING\n\n",
            noise: r#""provider":"Acme""#,
            ..CHAT
        }),
        cannot: &[NO_COUNT],
        much: Knob(r#"{"reasoning":{"effort":"high"}}"#, &[]),
        none: Knob(r#"{"reasoning":{"effort":"none"}}"#, &[]),
        back: r#"{"reasoning_details":[{"type":"reasoning.text","text":"Need the port – Brest.","signature":"c2ln","format":"anthropic-claude-v1","index":0}]}"#,
        broken: "data: {\"id\":\"c-1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\"},\"finish_reason\":\"error\"}],\"error\":{\"code\":502,\"message\":\"Upstream closed\"}}\n\ndata: [DONE]\n\n",
        ..VENDOR
    },
    Vendor {
        row: "litellm",
        model: "company-chat",
        format: Format::Chat(Chat { placeholders: r#""tool_calls":null,"function_call":null"#, ..CHAT }),
        ..VENDOR
    },
    Vendor {
        row: "vllm",
        model: "Qwen/Qwen3-8B",
        format: Format::Chat(Chat {
            thoughts: Thoughts::Member("reasoning"),
            usage: UsageAt::Every,
            noise: r#""prompt_logprobs":null"#,
            choice_noise: r#""stop_reason":null,"token_ids":null"#,
            ..CHAT
        }),
        cannot: &[NO_COUNT],
        much: TEMPLATE_ON,
        none: TEMPLATE_OFF,
        back: BACK_SHORT,
        broken: "data: {\"object\":\"error\",\"message\":\"Engine died\",\"type\":\"InternalServerError\",\"param\":null,\"code\":500}\n\n",
        ..VENDOR
    },
    Vendor {
        row: "sglang",
        model: "Qwen/Qwen3-8B",
        cannot: &[NO_COUNT],
        much: TEMPLATE_ON,
        none: TEMPLATE_OFF,
        back: BACK,
        ..VENDOR
    },
    Vendor {
        row: "llamacpp",
        model: "demo.gguf",
        format: Format::Chat(Chat {
            noise: r#""timings":{"predicted_ms":12.5}"#,
            opening: NOTHING_YET,
            ..CHAT
        }),
        cannot: &[NO_COUNT],
        much: TEMPLATE_ON,
        none: TEMPLATE_OFF,
        back: BACK,
        ..VENDOR
    },
    Vendor {
        row: "lmstudio",
        model: "demo",
        format: Format::Chat(Chat { thoughts: Thoughts::Tags, noise: r#""stats":{}"#, ..CHAT }),
        ..VENDOR
    },
    Vendor {
        row: "ollama",
        model: "qwen3:8b",
        format: Format::Chat(Chat {
            thoughts: Thoughts::Member("reasoning"),
            calls: Calls::Whole,
            noise: r#""system_fingerprint":"fp_ollama""#,
            ..CHAT
        }),
        cannot: &[("tool_choice", How::Warned("tool_choice")), ("n", How::Warned("n")), FORGETS, NO_COUNT],
        ..VENDOR
    },
    Vendor {
        row: "openai-compatible",
        model: "demo",
        format: Format::Chat(Chat { thoughts: Thoughts::Tags, ..CHAT }),
        ..VENDOR
    },
    Vendor {
        row: "mock",
        model: "echo",
        format: Format::Mock(Chat { limit: "max_completion_tokens", thoughts: Thoughts::Nowhere, ..CHAT }),
        // It says what it is told, and nothing else.
        cannot: &[
            ("tools", How::Ignored),
            ("parallel_tools", How::Ignored),
            ("tool_choice", How::Ignored),
            ("strict_tools", How::Ignored),
            ("json_object", How::Ignored),
            ("json_schema", How::Ignored),
            ("images", How::Ignored),
            ("image_urls", How::Ignored),
            ("audio", How::Ignored),
            ("reasoning", How::Ignored),
            ("thoughts", How::Absent),
            ("seed", How::Ignored),
            ("stop", How::Ignored),
            ("logprobs", How::Ignored),
            FORGETS,
            NO_COUNT,
        ],
        ..VENDOR
    },
];

const TEMPLATE_ON: Knob =
    Knob(r#"{"chat_template_kwargs":{"enable_thinking":true},"reasoning_effort":"high"}"#, &[]);
const TEMPLATE_OFF: Knob = Knob(r#"{"chat_template_kwargs":{"enable_thinking":false}}"#, &[]);

/// Somebody is going to speak.
const NOTHING_YET: &str = "data: {\"id\":\"c-1\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":null},\"finish_reason\":null}]}\n\n";
