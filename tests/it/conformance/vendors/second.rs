//! Second models of rows where the model's name changes what is sent.

use super::{BACK, BACK_SHORT, NO_PLACE};
use crate::conformance::vendor::{
    CHAT, Calls, Chat, FORGETS, Format, Generate, How, Knob, NO_COUNT, Thoughts, UsageAt, VENDOR, Vendor,
};

pub(super) const ROWS: &[Vendor] = &[
    Vendor {
        row: "anthropic",
        model: "claude-haiku-4-5",
        second: true,
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
        // Up to 4.5 a budget in place of levels.
        much: Knob(r#"{"thinking":{"type":"enabled","budget_tokens":16000}}"#, &[]),
        none: Knob(r#"{"thinking":{"type":"disabled"}}"#, &[]),
        back: r#"{"type":"thinking","thinking":"Need the port – Brest.","signature":"c2ln"}"#,
        counts_thoughts: true,
        counts_cached: true,
        words: ["end_turn", "max_tokens", "tool_use", "refusal"],
        broken: "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}}\n\n",
        ..VENDOR
    },
    Vendor {
        row: "gemini",
        model: "gemini-3-pro-preview",
        second: true,
        path: "/v1beta/models/gemini-3-pro-preview:*",
        format: Format::Generate(Generate { signed_in: false, beside: &["serviceTier", "store"] }),
        cannot: &[],
        // From 3 on levels; it cannot be kept from thinking.
        much: Knob(r#"{"thinkingConfig":{"includeThoughts":true,"thinkingLevel":"HIGH"}}"#, &[]),
        none: Knob(r#"{"thinkingConfig":{"thinkingLevel":"LOW"}}"#, &["reasoning.effort"]),
        back: r#"{"thoughtSignature":"c2ln","at":0}"#,
        counts_thoughts: true,
        counts_cached: true,
        words: ["STOP", "MAX_TOKENS", "STOP", "SAFETY"],
        broken: "data: {\"error\":{\"code\":503,\"message\":\"The model is overloaded.\",\"status\":\"UNAVAILABLE\"}}\r\n\r\n",
        ..VENDOR
    },
    Vendor {
        row: "openai",
        model: "gpt-4o",
        second: true,
        format: Format::Chat(Chat {
            limit: "max_completion_tokens",
            thoughts: Thoughts::Nowhere,
            cached: &["prompt_tokens_details", "cached_tokens"],
            ..CHAT
        }),
        cannot: &[("reasoning", How::Warned("reasoning")), ("thoughts", How::Absent), FORGETS, NO_COUNT],
        counts_thoughts: true,
        counts_cached: true,
        ..VENDOR
    },
    Vendor {
        row: "groq",
        model: "qwen/qwen3-32b",
        second: true,
        path: "/openai/v1/chat/completions",
        // It leaves its thoughts in the text.
        format: Format::Chat(Chat {
            limit: "max_completion_tokens",
            thoughts: Thoughts::Tags,
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
        // On or off, under words of its own.
        much: Knob(r#"{"reasoning_effort":"default"}"#, &["reasoning.effort"]),
        back: BACK_SHORT,
        ..VENDOR
    },
    Vendor {
        row: "vllm",
        model: "deepseek-ai/DeepSeek-V3.2",
        second: true,
        format: Format::Chat(Chat { thoughts: Thoughts::Member("reasoning"), ..CHAT }),
        cannot: &[NO_COUNT],
        // Its template has another name for the switch.
        much: Knob(r#"{"chat_template_kwargs":{"thinking":true},"reasoning_effort":"high"}"#, &[]),
        none: Knob(r#"{"chat_template_kwargs":{"thinking":false}}"#, &[]),
        back: BACK_SHORT,
        ..VENDOR
    },
    Vendor {
        row: "moonshot",
        model: "kimi-k3",
        second: true,
        format: Format::Chat(Chat { limit: "max_completion_tokens", cached: &["cached_tokens"], ..CHAT }),
        cannot: &[
            ("image_urls", How::Unsendable),
            ("strict_tools", How::Warned("tools[0].strict")),
            ("n", How::Warned("n")),
            NO_COUNT,
        ],
        // It always thinks; how much is a level.
        none: Knob("{}", &["reasoning.effort"]),
        back: BACK,
        counts_cached: true,
        fixed_sampling: true,
        ..VENDOR
    },
];
