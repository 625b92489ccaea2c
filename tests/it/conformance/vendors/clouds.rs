//! Houses that serve other people's models.

use crate::conformance::vendor::{
    CHAT, Chat, FORGETS, Format, How, NO_COUNT, Thoughts, UsageAt, VENDOR, Vendor,
};

pub(super) const ROWS: &[Vendor] = &[
    Vendor {
        row: "azure",
        model: "gpt-5.4",
        path: "/openai/v1/chat/completions",
        format: Format::Chat(Chat {
            key: Some("api-key"),
            limit: "max_completion_tokens",
            thoughts: Thoughts::Nowhere,
            cached: &["prompt_tokens_details", "cached_tokens"],
            opening: FILTERED,
            choice_noise: r#""content_filter_results":{"hate":{"filtered":false,"severity":"safe"}}"#,
            ..CHAT
        }),
        cannot: &[("thoughts", How::Absent), FORGETS, NO_COUNT],
        counts_thoughts: true,
        counts_cached: true,
        ..VENDOR
    },
    Vendor {
        row: "huggingface",
        model: "deepseek-ai/DeepSeek-R1",
        format: Format::Chat(Chat {
            thoughts: Thoughts::Tags,
            usage: UsageAt::Finish,
            choice_noise: r#""text":"again","seed":null"#,
            ..CHAT
        }),
        ..VENDOR
    },
    Vendor {
        row: "venice",
        model: "zai-org-glm-4.7",
        path: "/api/v1/chat/completions",
        format: Format::Chat(Chat {
            noise: r#""cost":{"usd":0.0001,"diem":0}"#,
            placeholders: r#""refusal":"","tool_calls":[],"function_call":{"name":"","arguments":""},"audio":{"id":"","data":"","transcript":"","expires_at":0}"#,
            ..CHAT
        }),
        ..VENDOR
    },
    Vendor {
        row: "doubleword",
        model: "Qwen/Qwen3.5-9B",
        format: Format::Chat(Chat {
            thoughts: Thoughts::Member("reasoning"),
            usage: UsageAt::FinishAgain,
            opening: "\n\n\n",
            ..CHAT
        }),
        counts_thoughts: true,
        ..VENDOR
    },
];

/// What is found in the prompt comes first.
const FILTERED: &str = "data: {\"choices\":[],\"created\":0,\"id\":\"\",\"model\":\"\",\"object\":\"\",\"prompt_filter_results\":[{\"prompt_index\":0,\"content_filter_results\":{\"hate\":{\"filtered\":false,\"severity\":\"safe\"}}}]}\n\n";
