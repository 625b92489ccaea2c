//! Gateways: one key and one address for many vendors' models.

use llm_client::dialect::{
    ErrorPattern, FileUrl, Quirks, ReasoningForm, RefusalForm, Replay, ReplayField, ReplayWhen, StreamUsage,
    SystemRole, TokenLimit,
};
use llm_types::{Capabilities, ErrorKind};

use super::{COMPATIBLE, STREAMS};
use crate::spec::{AddressVariable, ProviderSpec};

pub(super) const ROWS: &[ProviderSpec] = &[
    ProviderSpec {
        name: "openrouter",
        display: "OpenRouter",
        base_url: Some("https://openrouter.ai/api/v1"),
        key_env: &["OPENROUTER_API_KEY", "OPEN_ROUTER_API_KEY"],
        key_required: true,
        hosts: &["openrouter.ai"],
        quirks: Quirks {
            // It takes both names, and not every vendor behind it the newer one.
            token_limit: TokenLimit::MaxTokens,
            reasoning: ReasoningForm::Object,
            replay: Replay { when: ReplayWhen::Always, field: ReplayField::Details },
            system_role: SystemRole::System,
            refusal: RefusalForm::Text,
            file_url: FileUrl::FileData,
            stream_usage: StreamUsage::Given,
            lacks: &[],
            request_id_headers: &["x-generation-id"],
            errors: &[
                ErrorPattern {
                    status: Some(400),
                    text: Some(" is not a valid model ID"),
                    ..ErrorPattern::new(ErrorKind::ModelNotFound)
                },
                ErrorPattern::too_long("maximum context length"),
            ],
            ..Quirks::NONE
        },
        default_model: Some("openrouter/auto"),
        capabilities: Capabilities {
            tools: Some(true),
            tool_choice: Some(true),
            json_schema: Some(true),
            reasoning: Some(true),
            thoughts: Some(true),
            model_list: Some(true),
            ..STREAMS
        },
        ..COMPATIBLE
    },
    ProviderSpec {
        name: "litellm",
        display: "LiteLLM proxy",
        base_url: Some("http://127.0.0.1:4000/v1"),
        address_env: Some(AddressVariable::Url("LITELLM_PROXY_API_BASE")),
        key_env: &["LITELLM_PROXY_API_KEY", "LITELLM_API_KEY"],
        quirks: Quirks {
            request_id_headers: &["x-litellm-call-id"],
            // What stands behind it is told by the names of its own errors.
            errors: &[
                ErrorPattern {
                    code: Some("budget_exceeded"),
                    ..ErrorPattern::new(ErrorKind::QuotaExhausted)
                },
                ErrorPattern {
                    text: Some("ContextWindowExceededError"),
                    ..ErrorPattern::new(ErrorKind::ContextLength)
                },
                ErrorPattern {
                    text: Some("ContentPolicyViolationError"),
                    ..ErrorPattern::new(ErrorKind::ContentFilter)
                },
            ],
            ..Quirks::COMPATIBLE
        },
        ..COMPATIBLE
    },
];
