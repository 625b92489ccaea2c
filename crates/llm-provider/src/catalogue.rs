//! The vendors and servers we know, one row each. No other file of this crate names one.

use std::sync::Arc;

use llm_client::ModelClient;
use llm_client::dialect::{
    Dialect, ErrorPattern, Quirks, ReasoningForm, RefusalForm, Replay, ReplayField, ReplayWhen, SchemaLevel,
    Setting, StreamUsage, SystemRole, TokenLimit,
};
use llm_client::transport::Endpoint;
use llm_types::ReasoningEffort::{High, Low, Max, Medium, Minimal, Off, XHigh};
use llm_types::{Capabilities, Error, ErrorKind, Secret};

use crate::families::Family;
use crate::keys::KeySupply;
use crate::provider::{ModelConfig, Provider as _};
use crate::spec::{AddressVariable, ProviderSpec};
use crate::spec_provider::SpecProvider;

/// Every row, in the order of lists.
#[must_use]
pub fn all() -> &'static [ProviderSpec] {
    ROWS
}

/// The row of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static ProviderSpec> {
    ROWS.iter().find(|row| row.name == name)
}

/// The row that an address belongs to: the vendor's own host, or a port that tells the kind of server.
#[must_use]
pub fn at(address: &Endpoint) -> Option<&'static ProviderSpec> {
    ROWS.iter().find(|row| row.owns(address)).or_else(|| ROWS.iter().find(|row| row.runs(address)))
}

/// A client from a key and a model's name, without any file: the row's address and default settings. Without a name it is
/// the row's default model.
///
/// # Errors
/// `ProviderNotFound` for a name that is no row's; `Config` for a key that no header can carry, for a row without an
/// address of its own, and where no model is named and the row has no default.
pub fn create_simple(
    provider: &str,
    api_key: &str,
    model: Option<&str>,
) -> Result<Arc<dyn ModelClient>, Error> {
    let Some(row) = find(provider) else {
        let known: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
        let message = format!("there is no provider `{provider}`; there are {}", known.join(", "));
        return Err(Error::new(ErrorKind::ProviderNotFound, message));
    };
    let config = |message: String| Error::new(ErrorKind::Config, message);
    let Some(model) = model.or(row.default_model) else {
        return Err(config(format!("name a model: {provider} has none for those who name none")));
    };
    let mut client = SpecProvider::new(row);
    if !api_key.is_empty() {
        let key = Secret::key(api_key).map_err(|e| config(e.to_string()))?;
        client = client.with_keys(KeySupply::fixed("the caller", vec![key]));
    }
    client.create_client(&ModelConfig::new(model))
}

/// The row for any other server of the most common format; the user says where it is.
pub static COMPATIBLE_ROW: ProviderSpec = COMPATIBLE;

pub(crate) const COMPATIBLE: ProviderSpec = ProviderSpec {
    name: "openai-compatible",
    display: "OpenAI-compatible server",
    base_url: None,
    address_env: None,
    key_env: &[],
    key_required: false,
    hosts: &[],
    dialect: Dialect::OpenAiChat,
    quirks: Quirks::COMPATIBLE,
    loopback: false,
    only_models: &[],
    default_model: None,
    capabilities: NOTHING_KNOWN,
};

const NOTHING_KNOWN: Capabilities = Capabilities {
    streaming: None,
    tools: None,
    parallel_tools: None,
    json_schema: None,
    images: None,
    audio: None,
    reasoning: None,
    embeddings: None,
    context_window: None,
    max_output: None,
};

const ROWS: &[ProviderSpec] = &[
    ProviderSpec {
        name: "openai",
        display: "OpenAI",
        base_url: Some("https://api.openai.com/v1"),
        address_env: Some(AddressVariable::Url("OPENAI_BASE_URL")),
        key_env: &["OPENAI_API_KEY"],
        key_required: true,
        // Regional hosts stand below the main one.
        hosts: &["api.openai.com", ".api.openai.com"],
        quirks: Quirks::NONE,
        default_model: Some("gpt-5.4"),
        ..COMPATIBLE
    },
    ProviderSpec {
        name: "deepseek",
        display: "DeepSeek",
        base_url: Some("https://api.deepseek.com/v1"),
        key_env: &["DEEPSEEK_API_KEY"],
        key_required: true,
        hosts: &["api.deepseek.com"],
        quirks: Quirks {
            token_limit: TokenLimit::MaxTokens,
            reasoning: ReasoningForm::Thinking { effort: true },
            efforts: &[
                (Minimal, "low"),
                (Low, "low"),
                (Medium, "high"),
                (High, "high"),
                (XHigh, "high"),
                (Max, "max"),
            ],
            replay: Replay { when: ReplayWhen::WithTools, field: ReplayField::ReasoningContent },
            system_role: SystemRole::System,
            schema: SchemaLevel::JsonObject,
            refusal: RefusalForm::Text,
            ..Quirks::NONE
        },
        default_model: Some("deepseek-chat"),
        // Any part that is not text is refused.
        capabilities: Capabilities { images: Some(false), audio: Some(false), ..NOTHING_KNOWN },
        ..COMPATIBLE
    },
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
            stream_usage: StreamUsage::Given,
            lacks: &[],
            request_id_headers: &["x-generation-id"],
            errors: &[ErrorPattern {
                status: Some(400),
                text: Some(" is not a valid model ID"),
                ..ErrorPattern::new(ErrorKind::ModelNotFound)
            }],
            ..Quirks::NONE
        },
        ..COMPATIBLE
    },
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
        ..COMPATIBLE
    },
    COMPATIBLE,
    ProviderSpec {
        name: "mock",
        display: "Mock server of this program",
        loopback: true,
        quirks: Quirks::NONE,
        only_models: &["echo"],
        default_model: Some("echo"),
        ..COMPATIBLE
    },
];

/// What follows a model's name, the first that matches winning.
pub(crate) const FAMILIES: &[Family] = &[
    // Open weights: whoever serves them is their owner.
    Family { names: &["gpt-oss*"], owner: None, change: None },
    Family {
        names: &["o1-mini*"],
        owner: Some("openai"),
        change: Some(|quirks| {
            quirks.token_limit = TokenLimit::MaxCompletionTokens;
            // Both roles for instructions are refused.
            quirks.system_role = SystemRole::User;
        }),
    },
    Family {
        names: &["o1", "o1-*", "o3", "o3-*", "o4-*", "gpt-5*"],
        owner: Some("openai"),
        // `max_tokens` is refused, wherever it is sent.
        change: Some(|quirks| quirks.token_limit = TokenLimit::MaxCompletionTokens),
    },
    Family {
        names: &["gpt-*", "chatgpt-*", "text-embedding-3-*", "text-embedding-ada-*"],
        owner: Some("openai"),
        change: None,
    },
    Family {
        names: &["deepseek-chat", "deepseek-reasoner", "deepseek-flash", "deepseek-v4-*"],
        owner: Some("deepseek"),
        change: Some(|quirks| {
            template_thinking(quirks);
            // Thinking is on by itself, and then calls are refused that come back without it.
            if quirks.replay.when == ReplayWhen::Never {
                quirks.replay = Replay { when: ReplayWhen::WithTools, field: ReplayField::ReasoningContent };
            }
        }),
    },
    Family { names: &["deepseek-*"], owner: Some("deepseek"), change: Some(template_thinking) },
    Family { names: &["granite-*"], owner: None, change: Some(template_thinking) },
];

/// Where a chat template switches thinking, it calls the switch `thinking` and not `enable_thinking`.
fn template_thinking(quirks: &mut Quirks) {
    if let ReasoningForm::TemplateSwitch { name, .. } = &mut quirks.reasoning {
        *name = "thinking";
    }
}

#[cfg(test)]
mod tests;
