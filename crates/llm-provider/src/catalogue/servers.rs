//! Servers that people run themselves.

use llm_client::dialect::{Quirks, ReasoningForm, Replay, ReplayField, ReplayWhen, Setting};
use llm_types::Capabilities;
use llm_types::ReasoningEffort::{High, Low, Max, Medium, Minimal, Off, XHigh};

use super::{COMPATIBLE, STREAMS};
use crate::spec::{AddressVariable, ProviderSpec};

pub(super) const ROWS: &[ProviderSpec] = &[
    ProviderSpec {
        name: "vllm",
        display: "vLLM",
        base_url: Some("http://127.0.0.1:8000/v1"),
        address_env: Some(AddressVariable::Url("VLLM_BASE_URL")),
        key_env: &["VLLM_API_KEY"],
        quirks: Quirks {
            reasoning: ReasoningForm::TemplateSwitch {
                name: "enable_thinking",
                budget: Some("thinking_token_budget"),
            },
            replay: Replay { when: ReplayWhen::Always, field: ReplayField::Reasoning },
            ..Quirks::COMPATIBLE
        },
        capabilities: Capabilities {
            stream_usage: Some(true),
            json_schema: Some(true),
            model_list: Some(true),
            ..STREAMS
        },
        ..COMPATIBLE
    },
    ProviderSpec {
        name: "sglang",
        display: "SGLang",
        base_url: Some("http://127.0.0.1:30000/v1"),
        address_env: Some(AddressVariable::Url("SGLANG_BASE_URL")),
        key_env: &["SGLANG_API_KEY"],
        quirks: Quirks {
            reasoning: TEMPLATE,
            replay: Replay { when: ReplayWhen::Always, field: ReplayField::ReasoningContent },
            ..Quirks::COMPATIBLE
        },
        capabilities: STREAMS,
        ..COMPATIBLE
    },
    ProviderSpec {
        name: "llamacpp",
        display: "llama.cpp",
        base_url: Some("http://127.0.0.1:8080/v1"),
        address_env: Some(AddressVariable::Url("LLAMACPP_BASE_URL")),
        key_env: &["LLAMA_API_KEY"],
        quirks: Quirks {
            reasoning: TEMPLATE,
            replay: Replay { when: ReplayWhen::Always, field: ReplayField::ReasoningContent },
            ..Quirks::COMPATIBLE
        },
        capabilities: Capabilities {
            stream_usage: Some(true),
            json_schema: Some(true),
            n: Some(true),
            ..STREAMS
        },
        ..COMPATIBLE
    },
    ProviderSpec {
        name: "lmstudio",
        display: "LM Studio",
        base_url: Some("http://127.0.0.1:1234/v1"),
        address_env: Some(AddressVariable::Url("LM_STUDIO_API_BASE")),
        key_env: &["LM_STUDIO_API_KEY", "LM_API_TOKEN"],
        hosts: &[":1234"],
        capabilities: STREAMS,
        ..COMPATIBLE
    },
    ProviderSpec {
        name: "ollama",
        display: "Ollama",
        base_url: Some("http://127.0.0.1:11434/v1"),
        address_env: Some(AddressVariable::Host { name: "OLLAMA_HOST", port: 11434, path: "/v1" }),
        key_env: &["OLLAMA_API_KEY"],
        hosts: &["ollama.com", ":11434"],
        quirks: Quirks {
            efforts: &[
                (Off, "none"),
                (Minimal, "low"),
                (Low, "low"),
                (Medium, "medium"),
                (High, "high"),
                (XHigh, "max"),
                (Max, "max"),
            ],
            // Taken and not obeyed, or unknown on this path.
            lacks: &[Setting::ToolChoice, Setting::LogitBias, Setting::N, Setting::User, Setting::TopK],
            ..Quirks::COMPATIBLE
        },
        capabilities: Capabilities {
            tools: Some(true),
            json_schema: Some(true),
            reasoning: Some(true),
            thoughts: Some(true),
            ..STREAMS
        },
        ..COMPATIBLE
    },
];

/// Thinking is switched in the chat template.
const TEMPLATE: ReasoningForm = ReasoningForm::TemplateSwitch { name: "enable_thinking", budget: None };
