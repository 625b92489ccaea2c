//! Vendors in China, several with a second house abroad whose keys are its own.

use llm_client::dialect::{
    BodyMember, ErrorPattern, ImageUrl, Quirks, ReasoningForm, Replay, ReplayField, ReplayWhen, Setting,
    TokenLimit, Turns,
};
use llm_types::ReasoningEffort::{High, Low, Max, Medium, Minimal, XHigh};
use llm_types::{Capabilities, ErrorKind};

use super::{COMPATIBLE, HOSTED, STREAMS};
use crate::spec::{AddressVariable, ProviderSpec};

pub(super) const ROWS: &[ProviderSpec] = &[
    ProviderSpec {
        name: "dashscope",
        display: "Alibaba DashScope (Qwen)",
        base_url: Some("https://dashscope.aliyuncs.com/compatible-mode/v1"),
        address_env: Some(AddressVariable::Url("DASHSCOPE_BASE_URL")),
        key_env: &["DASHSCOPE_API_KEY", "ALIBABA_API_KEY"],
        key_required: true,
        hosts: &["dashscope.aliyuncs.com", "dashscope-intl.aliyuncs.com", "dashscope-us.aliyuncs.com"],
        quirks: Quirks {
            reasoning: ReasoningForm::Switch { member: "enable_thinking", budget: Some("thinking_budget") },
            errors: &[
                code("Arrearage", ErrorKind::QuotaExhausted),
                code("DataInspectionFailed", ErrorKind::ContentFilter),
                code("data_inspection_failed", ErrorKind::ContentFilter),
                code("Throttling*", ErrorKind::RateLimited),
            ],
            ..HOSTED
        },
        default_model: Some("qwen-plus"),
        capabilities: Capabilities {
            stream_usage: Some(true),
            reasoning: Some(true),
            thoughts: Some(true),
            ..STREAMS
        },
        ..COMPATIBLE
    },
    ProviderSpec {
        name: "moonshot",
        display: "Moonshot AI (Kimi)",
        traced_as: Some("moonshot_ai"),
        base_url: Some("https://api.moonshot.ai/v1"),
        address_env: Some(AddressVariable::Url("MOONSHOT_BASE_URL")),
        key_env: &["MOONSHOT_API_KEY"],
        key_required: true,
        hosts: &["api.moonshot.ai", "api.moonshot.cn"],
        quirks: Quirks {
            token_limit: TokenLimit::MaxCompletionTokens,
            reasoning: ReasoningForm::Thinking { effort: false },
            replay: Replay { when: ReplayWhen::WithTools, field: ReplayField::ReasoningContent },
            replay_on: Some(BodyMember { object: "thinking", member: "keep", value: "\"all\"" }),
            image_url: ImageUrl::OwnOnly,
            lacks: &[Setting::Strict],
            errors: &[
                code("exceeded_current_quota_error", ErrorKind::QuotaExhausted),
                code("engine_overloaded_error", ErrorKind::Overloaded),
                ErrorPattern {
                    status: Some(400),
                    text: Some("exceeded model token limit"),
                    ..ErrorPattern::new(ErrorKind::ContextLength)
                },
            ],
            ..HOSTED
        },
        default_model: Some("kimi-k2.6"),
        capabilities: Capabilities {
            images: Some(true),
            reasoning: Some(true),
            thoughts: Some(true),
            ..STREAMS
        },
        ..COMPATIBLE
    },
    ProviderSpec {
        name: "zhipu",
        display: "Zhipu (GLM)",
        base_url: Some("https://open.bigmodel.cn/api/paas/v4"),
        address_env: Some(AddressVariable::Url("ZHIPU_BASE_URL")),
        key_env: &["ZHIPU_API_KEY", "ZHIPUAI_API_KEY", "ZAI_API_KEY"],
        hosts: &["open.bigmodel.cn"],
        ..ZAI
    },
    ZAI,
    ProviderSpec {
        name: "volcengine",
        display: "Volcengine Ark",
        base_url: Some("https://ark.cn-beijing.volces.com/api/v3"),
        address_env: Some(AddressVariable::Url("ARK_BASE_URL")),
        key_env: &["ARK_API_KEY"],
        key_required: true,
        hosts: &["ark.cn-beijing.volces.com", "ark.ap-southeast.bytepluses.com"],
        quirks: Quirks {
            // The one of its two limits that counts the thoughts in, as ours does.
            token_limit: TokenLimit::MaxCompletionTokens,
            reasoning: ReasoningForm::Thinking { effort: true },
            // Its `minimal` is no thinking at all.
            efforts: &[
                (Minimal, "low"),
                (Low, "low"),
                (Medium, "medium"),
                (High, "high"),
                (XHigh, "high"),
                (Max, "high"),
            ],
            errors: &[
                code("AccountOverdueError", ErrorKind::QuotaExhausted),
                code("QuotaExceeded", ErrorKind::QuotaExhausted),
                code("SetLimitExceeded", ErrorKind::QuotaExhausted),
                code("RateLimitExceeded*", ErrorKind::RateLimited),
                code("ServerOverloaded", ErrorKind::Overloaded),
                code("SensitiveContentDetected*", ErrorKind::ContentFilter),
                code("InputTextSensitiveContentDetected*", ErrorKind::ContentFilter),
                code("InputImageSensitiveContentDetected*", ErrorKind::ContentFilter),
                code("OutputTextSensitiveContentDetected*", ErrorKind::ContentFilter),
                code("InvalidEndpointOrModel*", ErrorKind::ModelNotFound),
                code("ModelNotOpen", ErrorKind::ModelNotFound),
            ],
            ..HOSTED
        },
        capabilities: Capabilities { reasoning: Some(true), thoughts: Some(true), ..STREAMS },
        ..COMPATIBLE
    },
    ProviderSpec {
        name: "qianfan",
        display: "Baidu Qianfan",
        base_url: Some("https://qianfan.baidubce.com/v2"),
        address_env: Some(AddressVariable::Url("QIANFAN_BASE_URL")),
        key_env: &["QIANFAN_API_KEY"],
        key_required: true,
        hosts: &["qianfan.baidubce.com"],
        quirks: Quirks {
            token_limit: TokenLimit::MaxCompletionTokens,
            reasoning: ReasoningForm::Switch { member: "enable_thinking", budget: Some("thinking_budget") },
            turns: Turns::Alternating,
            errors: &[
                code("tokens_too_long", ErrorKind::ContextLength),
                code("characters_too_long", ErrorKind::ContextLength),
            ],
            ..HOSTED
        },
        capabilities: Capabilities { thoughts: Some(true), ..STREAMS },
        ..COMPATIBLE
    },
    ProviderSpec {
        name: "siliconflow",
        display: "SiliconFlow",
        base_url: Some("https://api.siliconflow.cn/v1"),
        address_env: Some(AddressVariable::Url("SILICONFLOW_BASE_URL")),
        key_env: &["SILICONFLOW_API_KEY"],
        key_required: true,
        hosts: &["api.siliconflow.cn", "api.siliconflow.com"],
        quirks: Quirks {
            reasoning: ReasoningForm::Switch { member: "enable_thinking", budget: Some("thinking_budget") },
            budget_range: Some((128, 32_768)),
            request_id_headers: &["x-siliconcloud-trace-id"],
            errors: &[code("20012", ErrorKind::ModelNotFound), code("30001", ErrorKind::QuotaExhausted)],
            ..HOSTED
        },
        capabilities: Capabilities { reasoning: Some(true), thoughts: Some(true), ..STREAMS },
        ..COMPATIBLE
    },
];

/// The house abroad of the vendor whose row stands before it.
const ZAI: ProviderSpec = ProviderSpec {
    name: "zai",
    display: "Z.ai (GLM)",
    base_url: Some("https://api.z.ai/api/paas/v4"),
    address_env: Some(AddressVariable::Url("ZAI_BASE_URL")),
    key_env: &["ZAI_API_KEY"],
    key_required: true,
    hosts: &["api.z.ai"],
    quirks: Quirks {
        reasoning: ReasoningForm::Thinking { effort: true },
        replay_on: Some(BodyMember { object: "thinking", member: "clear_thinking", value: "false" }),
        greedy: Some("do_sample"),
        lacks: &[Setting::ToolChoice],
        errors: &[
            code("1113", ErrorKind::QuotaExhausted),
            code("1211", ErrorKind::ModelNotFound),
            code("1261", ErrorKind::ContextLength),
            code("1301", ErrorKind::ContentFilter),
            code("1302", ErrorKind::RateLimited),
        ],
        ..HOSTED
    },
    default_model: Some("glm-4.6"),
    capabilities: Capabilities {
        stream_usage: Some(true),
        tools: Some(true),
        reasoning: Some(true),
        thoughts: Some(true),
        ..STREAMS
    },
    ..COMPATIBLE
};

const fn code(code: &'static str, kind: ErrorKind) -> ErrorPattern {
    ErrorPattern { code: Some(code), ..ErrorPattern::new(kind) }
}
