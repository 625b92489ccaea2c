//! Vendors with models or machines of their own, but for China's.

use llm_client::dialect::{
    AuthHeader, CountForm, Dialect, EmbeddingsForm, EmptyContent, ErrorPattern, FileUrl, InTotal,
    LogprobsForm, Paths, Quirks, ReasoningForm, RefusalForm, Replay, ReplayField, ReplayWhen, SchemaLevel,
    Setting, StreamUsage, SystemRole, TagPair, ThinkTags, TokenLimit, ToolIds, UsageRule,
};
use llm_client::login::GrantAddresses;
use llm_types::ReasoningEffort::{High, Low, Max, Medium, Minimal, Off, XHigh};
use llm_types::{Capabilities, ErrorKind};

use super::{COMPATIBLE, HOSTED, LOW_HIGH_MAX, LOW_TO_HIGH, STREAMS};
use crate::spec::{AddressVariable, Guest, ProviderSpec, SignIn};

/// What one family of models can do, wherever it is served.
const GEMINI_CAPABILITIES: Capabilities = Capabilities {
    stream_usage: Some(true),
    tools: Some(true),
    parallel_tools: Some(true),
    tool_choice: Some(true),
    strict_tools: Some(true),
    json_object: Some(true),
    json_schema: Some(true),
    images: Some(true),
    audio: Some(true),
    reasoning: Some(true),
    thoughts: Some(true),
    seed: Some(true),
    stop: Some(true),
    n: Some(true),
    logprobs: Some(true),
    token_counts: Some(true),
    embeddings: Some(true),
    ..STREAMS
};

/// A prompt that is too long is a bad argument, as any.
const GEMINI_ERRORS: &[ErrorPattern] = &[ErrorPattern {
    status: Some(400),
    text: Some("exceeds the maximum number of tokens allowed"),
    ..ErrorPattern::new(ErrorKind::ContextLength)
}];

/// All of them are an `invalid_request_error`.
const CLAUDE_ERRORS: &[ErrorPattern] = &[
    ErrorPattern {
        status: Some(400),
        text: Some("prompt is too long"),
        ..ErrorPattern::new(ErrorKind::ContextLength)
    },
    ErrorPattern {
        status: Some(400),
        text: Some("exceed context limit"),
        ..ErrorPattern::new(ErrorKind::ContextLength)
    },
    ErrorPattern {
        status: Some(400),
        text: Some("credit balance is too low"),
        ..ErrorPattern::new(ErrorKind::QuotaExhausted)
    },
    ErrorPattern {
        status: Some(400),
        text: Some("reached your specified API usage limits"),
        ..ErrorPattern::new(ErrorKind::QuotaExhausted)
    },
];

pub(super) const ROWS: &[ProviderSpec] = &[
    ProviderSpec {
        name: "openai",
        display: "OpenAI",
        base_url: Some("https://api.openai.com/v1"),
        address_env: Some(AddressVariable::Url("OPENAI_BASE_URL")),
        key_env: &["OPENAI_API_KEY"],
        key_required: true,
        // Regional hosts stand below the main one.
        hosts: &["api.openai.com", ".api.openai.com"],
        quirks: Quirks { embeddings_base64: true, ..Quirks::NONE },
        default_model: Some("gpt-5.4"),
        capabilities: Capabilities {
            stream_usage: Some(true),
            tools: Some(true),
            parallel_tools: Some(true),
            tool_choice: Some(true),
            strict_tools: Some(true),
            json_object: Some(true),
            json_schema: Some(true),
            images: Some(true),
            image_urls: Some(true),
            reasoning: Some(true),
            // Summaries come in another format.
            thoughts: Some(false),
            seed: Some(true),
            n: Some(true),
            embeddings: Some(true),
            model_list: Some(true),
            ..STREAMS
        },
        ..COMPATIBLE
    },
    ProviderSpec {
        name: "anthropic",
        display: "Anthropic",
        base_url: Some("https://api.anthropic.com/v1"),
        address_env: Some(AddressVariable::Url("ANTHROPIC_BASE_URL")),
        key_env: &["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"],
        bearer_env: &["ANTHROPIC_AUTH_TOKEN"],
        key_required: true,
        hosts: &["api.anthropic.com"],
        dialect: Dialect::Anthropic,
        quirks: Quirks { errors: CLAUDE_ERRORS, ..Quirks::ANTHROPIC },
        default_model: Some("claude-sonnet-5"),
        capabilities: Capabilities {
            stream_usage: Some(true),
            tools: Some(true),
            parallel_tools: Some(true),
            tool_choice: Some(true),
            strict_tools: Some(true),
            json_schema: Some(true),
            images: Some(true),
            image_urls: Some(true),
            reasoning: Some(true),
            thoughts: Some(true),
            stop: Some(true),
            token_counts: Some(true),
            model_list: Some(true),
            ..STREAMS
        },
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
            efforts: LOW_HIGH_MAX,
            thinks_unforced_only: true,
            replay: Replay { when: ReplayWhen::WithTools, field: ReplayField::ReasoningContent },
            system_role: SystemRole::System,
            schema: SchemaLevel::JsonObject,
            empty_content: EmptyContent::Empty,
            refusal: RefusalForm::Text,
            // A model it does not have is a 400.
            errors: &[
                ErrorPattern {
                    status: Some(400),
                    text: Some("Model Not Exist"),
                    ..ErrorPattern::new(ErrorKind::ModelNotFound)
                },
                ErrorPattern::too_long("maximum context length"),
            ],
            ..Quirks::NONE
        },
        default_model: Some("deepseek-chat"),
        capabilities: Capabilities {
            stream_usage: Some(true),
            tools: Some(true),
            tool_choice: Some(true),
            strict_tools: Some(true),
            json_object: Some(true),
            // Any part that is not text is refused.
            images: Some(false),
            audio: Some(false),
            reasoning: Some(true),
            thoughts: Some(true),
            logprobs: Some(true),
            model_list: Some(true),
            ..STREAMS
        },
        ..COMPATIBLE
    },
    ProviderSpec {
        name: "gemini",
        display: "Google Gemini",
        traced_as: Some("gcp.gemini"),
        base_url: Some("https://generativelanguage.googleapis.com/v1beta"),
        address_env: Some(AddressVariable::Url("GOOGLE_GEMINI_BASE_URL")),
        key_env: &["GOOGLE_API_KEY", "GEMINI_API_KEY", "GOOGLE_GENERATIVE_AI_API_KEY"],
        key_required: true,
        hosts: &["generativelanguage.googleapis.com"],
        dialect: Dialect::Gemini,
        quirks: Quirks { errors: GEMINI_ERRORS, ..Quirks::GEMINI },
        default_model: Some("gemini-2.5-flash"),
        capabilities: Capabilities { model_list: Some(true), ..GEMINI_CAPABILITIES },
        ..COMPATIBLE
    },
    ProviderSpec {
        name: "vertex",
        display: "Google Vertex AI",
        traced_as: Some("gcp.vertex_ai"),
        // It is a project's: there is no address without one.
        address_env: Some(AddressVariable::Project {
            name: "GOOGLE_CLOUD_PROJECT",
            place: "GOOGLE_CLOUD_LOCATION",
            usual: "global",
            hosts: &[
                ("global", "aiplatform.googleapis.com"),
                ("us", "aiplatform.us.rep.googleapis.com"),
                ("eu", "aiplatform.eu.rep.googleapis.com"),
            ],
            host: "-aiplatform.googleapis.com",
            path: "/v1/projects/{project}/locations/{place}/publishers/google",
        }),
        hosts: &[
            "aiplatform.googleapis.com",
            "-aiplatform.googleapis.com",
            "aiplatform.us.rep.googleapis.com",
            "aiplatform.eu.rep.googleapis.com",
        ],
        sign_in: Some(SignIn {
            file_env: "GOOGLE_APPLICATION_CREDENTIALS",
            home_file: ".config/gcloud/application_default_credentials.json",
            app_data_file: "gcloud/application_default_credentials.json",
            addresses: GrantAddresses {
                token_url: "https://oauth2.googleapis.com/token",
                machine_url: "http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token",
                machine_header: ("metadata-flavor", "Google"),
                scope: "https://www.googleapis.com/auth/cloud-platform",
            },
        }),
        dialect: Dialect::Gemini,
        quirks: Quirks {
            // Tiers are bought for the project; labels are taken.
            lacks: &[Setting::ServiceTier],
            count_form: CountForm::Bare,
            embeddings_form: EmbeddingsForm::Config,
            errors: GEMINI_ERRORS,
            ..Quirks::GEMINI
        },
        guests: &[Guest {
            names: &["claude-*"],
            dialect: Dialect::Anthropic,
            quirks: Quirks {
                paths: Paths::RawPredict { version: "vertex-2023-10-16" },
                auth: AuthHeader::Bearer,
                errors: CLAUDE_ERRORS,
                ..Quirks::ANTHROPIC
            },
            path: ("/publishers/google", "/publishers/anthropic"),
        }],
        default_model: Some("gemini-2.5-flash"),
        capabilities: GEMINI_CAPABILITIES,
        ..COMPATIBLE
    },
    ProviderSpec {
        name: "mistral",
        display: "Mistral AI",
        traced_as: Some("mistral_ai"),
        base_url: Some("https://api.mistral.ai/v1"),
        key_env: &["MISTRAL_API_KEY"],
        key_required: true,
        hosts: &["api.mistral.ai"],
        quirks: Quirks {
            seed_field: "random_seed",
            stream_usage: StreamUsage::Given,
            // It thinks or it does not.
            efforts: &[
                (Off, "none"),
                (Minimal, "high"),
                (Low, "high"),
                (Medium, "high"),
                (High, "high"),
                (XHigh, "high"),
                (Max, "high"),
            ],
            replay: Replay { when: ReplayWhen::Always, field: ReplayField::ThinkingParts },
            tool_ids: ToolIds::Nine,
            empty_content: EmptyContent::Empty,
            file_url: FileUrl::DocumentUrl,
            dimensions_field: "output_dimension",
            // Members it does not know are refused.
            lacks: &[Setting::TopK, Setting::LogitBias, Setting::Verbosity, Setting::User],
            usage: UsageRule { reasoning: InTotal::Inside, audio: InTotal::Outside },
            request_id_headers: &["mistral-correlation-id"],
            ..HOSTED
        },
        default_model: Some("mistral-small-latest"),
        capabilities: Capabilities {
            tools: Some(true),
            tool_choice: Some(true),
            json_schema: Some(true),
            images: Some(true),
            reasoning: Some(true),
            thoughts: Some(true),
            seed: Some(true),
            n: Some(true),
            embeddings: Some(true),
            ..STREAMS
        },
        ..COMPATIBLE
    },
    ProviderSpec {
        name: "xai",
        display: "xAI",
        traced_as: Some("x_ai"),
        base_url: Some("https://api.x.ai/v1"),
        address_env: Some(AddressVariable::Url("XAI_BASE_URL")),
        key_env: &["XAI_API_KEY"],
        key_required: true,
        // Regional hosts stand beside the main one.
        hosts: &["api.x.ai", ".api.x.ai"],
        quirks: Quirks {
            token_limit: TokenLimit::MaxCompletionTokens,
            // Whether to think is the choice of the model; a few take a level besides.
            reasoning: ReasoningForm::None,
            efforts: LOW_TO_HIGH,
            usage: UsageRule { reasoning: InTotal::Outside, audio: InTotal::Inside },
            // A wrong key and an unknown model are both a 400, or a 200 with an error in it.
            errors: &[
                ErrorPattern {
                    text: Some("Incorrect API key"),
                    ..ErrorPattern::new(ErrorKind::Authentication)
                },
                ErrorPattern { text: Some("Model not found"), ..ErrorPattern::new(ErrorKind::ModelNotFound) },
                ErrorPattern::too_long("maximum prompt length"),
                ErrorPattern {
                    text: Some("does not exist or your team"),
                    ..ErrorPattern::new(ErrorKind::ModelNotFound)
                },
                ErrorPattern {
                    code: Some("invalid-argument"),
                    ..ErrorPattern::new(ErrorKind::InvalidRequest)
                },
            ],
            ..HOSTED
        },
        default_model: Some("grok-4"),
        capabilities: Capabilities { tools: Some(true), thoughts: Some(true), ..STREAMS },
        ..COMPATIBLE
    },
    ProviderSpec {
        name: "groq",
        display: "Groq",
        base_url: Some("https://api.groq.com/openai/v1"),
        address_env: Some(AddressVariable::Url("GROQ_BASE_URL")),
        key_env: &["GROQ_API_KEY"],
        key_required: true,
        hosts: &["api.groq.com"],
        quirks: Quirks {
            token_limit: TokenLimit::MaxCompletionTokens,
            efforts: LOW_TO_HIGH,
            replay: Replay { when: ReplayWhen::Always, field: ReplayField::Reasoning },
            // Some models leave their thoughts in the text unless told otherwise.
            think_tags: ThinkTags::Leading(TagPair::THINK),
            // Refused, but for `top_k`, which is ignored.
            lacks: &[Setting::Logprobs, Setting::LogitBias, Setting::N, Setting::Name, Setting::TopK],
            // No room in the flexible tier.
            errors: &[ErrorPattern { status: Some(498), ..ErrorPattern::new(ErrorKind::Overloaded) }],
            ..HOSTED
        },
        default_model: Some("openai/gpt-oss-20b"),
        capabilities: Capabilities {
            stream_usage: Some(true),
            tools: Some(true),
            tool_choice: Some(true),
            json_schema: Some(true),
            reasoning: Some(true),
            thoughts: Some(true),
            embeddings: Some(false),
            ..STREAMS
        },
        ..COMPATIBLE
    },
    ProviderSpec {
        name: "cerebras",
        display: "Cerebras",
        base_url: Some("https://api.cerebras.ai/v1"),
        address_env: Some(AddressVariable::Url("CEREBRAS_BASE_URL")),
        key_env: &["CEREBRAS_API_KEY"],
        key_required: true,
        hosts: &["api.cerebras.ai"],
        quirks: Quirks {
            efforts: LOW_TO_HIGH,
            // Members it does not know are refused.
            lacks: &[
                Setting::FrequencyPenalty,
                Setting::PresencePenalty,
                Setting::LogitBias,
                Setting::ParallelToolCalls,
                Setting::ServiceTier,
                Setting::TopK,
                Setting::Verbosity,
                Setting::PromptCacheKey,
            ],
            ..HOSTED
        },
        default_model: Some("gpt-oss-120b"),
        capabilities: Capabilities {
            tools: Some(true),
            thoughts: Some(true),
            embeddings: Some(false),
            ..STREAMS
        },
        ..COMPATIBLE
    },
    ProviderSpec {
        name: "together",
        display: "Together AI",
        base_url: Some("https://api.together.xyz/v1"),
        address_env: Some(AddressVariable::Url("TOGETHER_BASE_URL")),
        key_env: &["TOGETHER_API_KEY"],
        key_required: true,
        hosts: &["api.together.xyz", "api.together.ai"],
        quirks: Quirks {
            reasoning: ReasoningForm::Enabled,
            efforts: LOW_TO_HIGH,
            logprobs: LogprobsForm::Count,
            ..Quirks::COMPATIBLE
        },
        capabilities: Capabilities { thoughts: Some(true), logprobs: Some(true), ..STREAMS },
        ..COMPATIBLE
    },
    ProviderSpec {
        name: "fireworks",
        display: "Fireworks AI",
        base_url: Some("https://api.fireworks.ai/inference/v1"),
        key_env: &["FIREWORKS_API_KEY"],
        key_required: true,
        hosts: &["api.fireworks.ai"],
        quirks: Quirks { efforts: LOW_TO_HIGH, ..Quirks::COMPATIBLE },
        capabilities: STREAMS,
        ..COMPATIBLE
    },
    ProviderSpec {
        name: "deepinfra",
        display: "DeepInfra",
        base_url: Some("https://api.deepinfra.com/v1/openai"),
        key_env: &["DEEPINFRA_API_KEY", "DEEPINFRA_TOKEN"],
        key_required: true,
        hosts: &["api.deepinfra.com"],
        quirks: Quirks { efforts: LOW_TO_HIGH, ..Quirks::COMPATIBLE },
        capabilities: STREAMS,
        ..COMPATIBLE
    },
    ProviderSpec {
        name: "perplexity",
        display: "Perplexity",
        // No version stands in its path.
        base_url: Some("https://api.perplexity.ai"),
        key_env: &["PERPLEXITY_API_KEY", "PPLX_API_KEY"],
        key_required: true,
        hosts: &["api.perplexity.ai"],
        quirks: Quirks {
            default_path: "",
            efforts: LOW_TO_HIGH,
            stream_usage: StreamUsage::Given,
            ..Quirks::COMPATIBLE
        },
        default_model: Some("sonar"),
        capabilities: Capabilities { tools: Some(false), embeddings: Some(false), ..STREAMS },
        ..COMPATIBLE
    },
];
