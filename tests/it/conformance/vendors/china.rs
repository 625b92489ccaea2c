//! Vendors in China.

use super::BACK;
use crate::conformance::vendor::{
    CHAT, Calls, Chat, FORGETS, Format, How, Knob, NO_COUNT, UsageAt, VENDOR, Vendor,
};

pub(super) const ROWS: &[Vendor] = &[
    Vendor {
        row: "dashscope",
        model: "qwen-plus",
        path: "/compatible-mode/v1/chat/completions",
        format: Format::Chat(Chat { cached: &["prompt_tokens_details", "cached_tokens"], ..CHAT }),
        much: SWITCH_ON,
        none: SWITCH_OFF,
        counts_cached: true,
        ..VENDOR
    },
    Vendor {
        row: "moonshot",
        model: "kimi-k2.6",
        format: Format::Chat(Chat { limit: "max_completion_tokens", cached: &["cached_tokens"], ..CHAT }),
        cannot: &[
            ("image_urls", How::Unsendable),
            ("strict_tools", How::Warned("tools[0].strict")),
            ("n", How::Warned("n")),
            NO_COUNT,
        ],
        much: Knob(r#"{"thinking":{"type":"enabled"}}"#, &["reasoning.effort"]),
        none: Knob(r#"{"thinking":{"type":"disabled"}}"#, &[]),
        back: BACK,
        counts_cached: true,
        fixed_sampling: true,
        ..VENDOR
    },
    Vendor { row: "zhipu", ..GLM },
    Vendor { row: "zai", ..GLM },
    Vendor {
        row: "volcengine",
        model: "ep-20261121-abcde",
        path: "/api/v3/chat/completions",
        format: Format::Chat(Chat { limit: "max_completion_tokens", ..CHAT }),
        much: Knob(r#"{"thinking":{"type":"enabled"},"reasoning_effort":"high"}"#, &[]),
        none: Knob(r#"{"thinking":{"type":"disabled"}}"#, &[]),
        counts_thoughts: true,
        ..VENDOR
    },
    Vendor {
        row: "qianfan",
        model: "ernie-4.5-turbo-128k",
        path: "/v2/chat/completions",
        format: Format::Chat(Chat {
            limit: "max_completion_tokens",
            alternates: true,
            noise: r#""flag":0"#,
            ..CHAT
        }),
        much: SWITCH_ON,
        none: SWITCH_OFF,
        ..VENDOR
    },
    Vendor {
        row: "siliconflow",
        model: "Qwen/Qwen3-8B",
        much: SWITCH_ON,
        none: SWITCH_OFF,
        counts_thoughts: true,
        ..VENDOR
    },
];

/// There are no levels beside the switch.
const SWITCH_ON: Knob = Knob(r#"{"enable_thinking":true}"#, &["reasoning.effort"]);
const SWITCH_OFF: Knob = Knob(r#"{"enable_thinking":false}"#, &[]);

/// One vendor in two houses.
const GLM: Vendor = Vendor {
    model: "glm-4.6",
    path: "/api/paas/v4/chat/completions",
    format: Format::Chat(Chat { calls: Calls::Whole, usage: UsageAt::Finish, says_role: true, ..CHAT }),
    cannot: &[("tool_choice", How::Warned("tool_choice")), FORGETS, NO_COUNT],
    much: Knob(r#"{"thinking":{"type":"enabled"},"reasoning_effort":"high"}"#, &[]),
    none: Knob(r#"{"thinking":{"type":"disabled"}}"#, &[]),
    words: ["stop", "length", "tool_calls", "sensitive"],
    ..VENDOR
};
