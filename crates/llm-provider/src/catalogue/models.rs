//! What follows a model's name: who is likely its owner, and how it is spoken to.

use llm_client::dialect::{
    EmbeddingsForm, InTotal, Quirks, ReasoningForm, Replay, ReplayField, ReplayWhen, Setting, SystemRole,
    TokenLimit, UsageRule,
};
use llm_types::ReasoningEffort;
use llm_types::ReasoningEffort::{High, Low, Max, Medium, Minimal, Off, XHigh};

use crate::families::Family;

/// The first that matches wins.
pub(crate) const FAMILIES: &[Family] = &[
    Family {
        // Open weights: whoever serves them is their owner.
        names: &["gpt-oss*"],
        // Three levels, wherever there is no other switch, and it cannot be kept from thinking.
        change: Some(|quirks| {
            if matches!(
                quirks.reasoning,
                ReasoningForm::Effort | ReasoningForm::Enabled | ReasoningForm::TemplateSwitch { .. }
            ) {
                (quirks.reasoning, quirks.efforts) = (ReasoningForm::Effort, THREE_LEVELS);
            }
        }),
        ..Family::PLAIN
    },
    Family {
        names: &["o1-mini*", "o1-preview*"],
        owner: Some("openai"),
        change: Some(|quirks| {
            thinks_at(quirks, &[]);
            // Both roles for instructions are refused.
            quirks.system_role = SystemRole::User;
        }),
        ..Family::PLAIN
    },
    Family {
        names: &["o1", "o1-*", "o3", "o3-*", "o4-*"],
        owner: Some("openai"),
        change: Some(|quirks| thinks_at(quirks, THREE_LEVELS)),
        ..Family::PLAIN
    },
    Family {
        names: &["gpt-5-chat*"],
        owner: Some("openai"),
        change: Some(|quirks| thinks_at(quirks, &[])),
        ..Family::PLAIN
    },
    Family {
        names: &["gpt-5-pro*"],
        owner: Some("openai"),
        // One level.
        change: Some(|quirks| {
            thinks_at(
                quirks,
                &[
                    (Minimal, "high"),
                    (Low, "high"),
                    (Medium, "high"),
                    (High, "high"),
                    (XHigh, "high"),
                    (Max, "high"),
                ],
            );
        }),
        ..Family::PLAIN
    },
    Family {
        names: &["gpt-5", "gpt-5-*"],
        owner: Some("openai"),
        change: Some(|quirks| {
            thinks_at(
                quirks,
                &[
                    (Minimal, "minimal"),
                    (Low, "low"),
                    (Medium, "medium"),
                    (High, "high"),
                    (XHigh, "high"),
                    (Max, "high"),
                ],
            );
        }),
        ..Family::PLAIN
    },
    Family {
        names: &["gpt-5.1-codex-max*", "gpt-5.2*"],
        owner: Some("openai"),
        change: Some(|quirks| {
            thinks_at(
                quirks,
                &[
                    (Off, "none"),
                    (Minimal, "low"),
                    (Low, "low"),
                    (Medium, "medium"),
                    (High, "high"),
                    (XHigh, "xhigh"),
                    (Max, "xhigh"),
                ],
            );
        }),
        ..Family::PLAIN
    },
    Family {
        names: &["gpt-5.1*"],
        owner: Some("openai"),
        change: Some(|quirks| thinks_at(quirks, super::LOW_TO_HIGH)),
        ..Family::PLAIN
    },
    Family {
        // Later ones know every level, or say which they do not.
        names: &["gpt-5*"],
        owner: Some("openai"),
        change: Some(|quirks| quirks.token_limit = TokenLimit::MaxCompletionTokens),
        ..Family::PLAIN
    },
    Family {
        names: &["gpt-3*", "gpt-4*", "chatgpt-*"],
        owner: Some("openai"),
        // Elsewhere such a name is often borrowed.
        at: &["openai", "azure"],
        // They do not think, and refuse to be asked.
        change: Some(|quirks| quirks.reasoning = ReasoningForm::None),
    },
    Family {
        names: &["gpt-*", "text-embedding-3-*", "text-embedding-ada-*"],
        owner: Some("openai"),
        ..Family::PLAIN
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
        ..Family::PLAIN
    },
    Family {
        names: &["deepseek-*"],
        owner: Some("deepseek"),
        change: Some(template_thinking),
        ..Family::PLAIN
    },
    Family { names: &["granite-*"], change: Some(template_thinking), ..Family::PLAIN },
    Family {
        names: &["claude-2*", "claude-instant*", "claude-3-haiku*", "claude-3-opus*", "claude-3-sonnet*"],
        owner: Some("anthropic"),
        change: Some(|quirks| claude(quirks, ReasoningForm::None, 4096)),
        ..Family::PLAIN
    },
    Family {
        names: &["claude-3-5-*", "claude-3.5-*"],
        owner: Some("anthropic"),
        change: Some(|quirks| claude(quirks, ReasoningForm::None, 8192)),
        ..Family::PLAIN
    },
    Family {
        names: &[
            "claude-3-7-*",
            "claude-3.7-*",
            "claude-*-4",
            "claude-*-4@*",
            "claude-*-4-2025*",
            "claude-*-4-0*",
            "claude-*-4-1*",
            "claude-*-4.1*",
            "claude-*-4-5*",
            "claude-*-4.5*",
        ],
        owner: Some("anthropic"),
        change: Some(|quirks| claude(quirks, ReasoningForm::Budget, 32_000)),
        ..Family::PLAIN
    },
    Family {
        names: &["claude-*-4-6*", "claude-*-4.6*"],
        owner: Some("anthropic"),
        change: Some(|quirks| {
            claude(quirks, ReasoningForm::Adaptive { budget: true, off: true }, 32_000);
        }),
        ..Family::PLAIN
    },
    Family {
        names: &["claude-fable-*"],
        owner: Some("anthropic"),
        change: Some(|quirks| {
            later_claude(quirks, false);
            instructions_anywhere(quirks);
        }),
        ..Family::PLAIN
    },
    Family {
        names: &["claude-mythos-*"],
        owner: Some("anthropic"),
        change: Some(|quirks| later_claude(quirks, false)),
        ..Family::PLAIN
    },
    Family {
        names: &["claude-opus-4-8*", "claude-opus-4.8*"],
        owner: Some("anthropic"),
        change: Some(|quirks| {
            later_claude(quirks, true);
            instructions_anywhere(quirks);
        }),
        ..Family::PLAIN
    },
    Family {
        names: &["claude-*"],
        owner: Some("anthropic"),
        change: Some(|quirks| later_claude(quirks, true)),
        ..Family::PLAIN
    },
    Family {
        names: &["gemini-1*", "gemini-2.0-*"],
        owner: Some("gemini"),
        change: Some(|quirks| gemini(quirks, ReasoningForm::None, &[], None)),
        ..Family::PLAIN
    },
    Family {
        // They draw or speak, and think of nothing.
        names: &["gemini-2.5-*-image*", "gemini-2.5-*-tts*"],
        owner: Some("gemini"),
        change: Some(|quirks| gemini(quirks, ReasoningForm::None, &[], None)),
        ..Family::PLAIN
    },
    Family {
        names: &["gemini-2.5-pro*"],
        owner: Some("gemini"),
        // It cannot be kept from thinking.
        change: Some(|quirks| {
            gemini(quirks, ReasoningForm::ThinkingBudget, MORE_BUDGETS, Some((128, 32_768)));
        }),
        ..Family::PLAIN
    },
    Family {
        names: &["gemini-2.5-flash-lite*"],
        owner: Some("gemini"),
        change: Some(|quirks| gemini(quirks, ReasoningForm::ThinkingBudget, BUDGETS, Some((512, 24_576)))),
        ..Family::PLAIN
    },
    Family {
        names: &["gemini-2.5-*"],
        owner: Some("gemini"),
        change: Some(|quirks| gemini(quirks, ReasoningForm::ThinkingBudget, BUDGETS, Some((0, 24_576)))),
        ..Family::PLAIN
    },
    Family {
        names: &["gemini-3-pro*"],
        owner: Some("gemini"),
        change: Some(|quirks| {
            levels(
                quirks,
                &[
                    (Off, "LOW"),
                    (Minimal, "LOW"),
                    (Low, "LOW"),
                    (Medium, "HIGH"),
                    (High, "HIGH"),
                    (XHigh, "HIGH"),
                    (Max, "HIGH"),
                ],
            );
        }),
        ..Family::PLAIN
    },
    Family {
        names: &["gemini-3*-pro*"],
        owner: Some("gemini"),
        change: Some(|quirks| {
            levels(
                quirks,
                &[
                    (Off, "LOW"),
                    (Minimal, "LOW"),
                    (Low, "LOW"),
                    (Medium, "MEDIUM"),
                    (High, "HIGH"),
                    (XHigh, "HIGH"),
                    (Max, "HIGH"),
                ],
            );
        }),
        ..Family::PLAIN
    },
    Family {
        names: &["gemini-3*-flash*"],
        owner: Some("gemini"),
        change: Some(|quirks| {
            levels(
                quirks,
                &[
                    (Off, "MINIMAL"),
                    (Minimal, "MINIMAL"),
                    (Low, "LOW"),
                    (Medium, "MEDIUM"),
                    (High, "HIGH"),
                    (XHigh, "HIGH"),
                    (Max, "HIGH"),
                ],
            );
        }),
        ..Family::PLAIN
    },
    Family {
        names: &["gemini-embedding-001", "text-embedding-00*", "text-multilingual-embedding-*"],
        owner: Some("gemini"),
        at: &["vertex"],
        change: Some(|quirks| quirks.embeddings_form = EmbeddingsForm::Instances),
    },
    Family { names: &["gemini-*"], owner: Some("gemini"), change: Some(not_natively), ..Family::PLAIN },
    Family {
        names: &["mistral-small*", "ministral*"],
        owner: Some("mistral"),
        at: &["mistral"],
        // Log probabilities are refused besides.
        change: Some(|quirks| {
            quirks.lacks =
                &[Setting::TopK, Setting::LogitBias, Setting::Verbosity, Setting::User, Setting::Logprobs];
        }),
    },
    Family {
        names: &["magistral-*"],
        owner: Some("mistral"),
        at: &["mistral"],
        change: Some(|quirks| {
            quirks.reasoning = ReasoningForm::Word { member: "prompt_mode", on: "reasoning" };
        }),
    },
    Family {
        names: &["mistral-*-latest", "codestral-*", "magistral-*", "devstral-*", "pixtral-*"],
        owner: Some("mistral"),
        ..Family::PLAIN
    },
    Family { names: &["grok-*-non-reasoning*"], owner: Some("xai"), ..Family::PLAIN },
    Family {
        names: &["grok-3-mini*"],
        owner: Some("xai"),
        at: &["xai"],
        change: Some(|quirks| {
            quirks.reasoning = ReasoningForm::Effort;
            quirks.efforts = &[
                (Minimal, "low"),
                (Low, "low"),
                (Medium, "high"),
                (High, "high"),
                (XHigh, "high"),
                (Max, "high"),
            ];
            quirks.lacks = REFUSED_BY_THINKERS;
        }),
    },
    Family {
        names: &["grok-4.3*", "grok-4.20-multi-agent*"],
        owner: Some("xai"),
        at: &["xai"],
        change: Some(|quirks| {
            quirks.reasoning = ReasoningForm::Effort;
            quirks.lacks = REFUSED_BY_THINKERS;
        }),
    },
    Family {
        names: &["grok-4*", "grok-code-*"],
        owner: Some("xai"),
        at: &["xai"],
        change: Some(|quirks| quirks.lacks = REFUSED_BY_THINKERS),
    },
    Family { names: &["grok-*"], owner: Some("xai"), ..Family::PLAIN },
    Family {
        names: &["qwen3-32b", "qwen3.*-32b", "qwen-qwq*"],
        at: &["groq"],
        // On or off, under words of its own.
        change: Some(|quirks| {
            quirks.efforts = &[
                (Off, "none"),
                (Minimal, "default"),
                (Low, "default"),
                (Medium, "default"),
                (High, "default"),
                (XHigh, "default"),
                (Max, "default"),
            ];
        }),
        ..Family::PLAIN
    },
    Family {
        names: &["qwen3-*b"],
        at: &["dashscope"],
        // Open weights think by themselves there, and a plain call that thinks is refused.
        change: Some(|quirks| quirks.thinks_streamed_only = true),
        ..Family::PLAIN
    },
    Family {
        names: &[
            "qwen-max*",
            "qwen-plus*",
            "qwen-turbo*",
            "qwen-flash*",
            "qwen-long*",
            "qwen-vl-*",
            "qwen3-max*",
            "qwen3-coder-plus*",
            "qwen3-coder-flash*",
            "qwen3-vl-plus*",
            "qwen3-vl-flash*",
            "qwq-plus*",
        ],
        owner: Some("dashscope"),
        ..Family::PLAIN
    },
    Family {
        names: &["moonshot-v1-*"],
        owner: Some("moonshot"),
        at: &["moonshot"],
        change: Some(|quirks| quirks.reasoning = ReasoningForm::None),
    },
    Family {
        names: &["kimi-k3*"],
        owner: Some("moonshot"),
        at: &["moonshot"],
        // It always thinks; how much is a level.
        change: Some(|quirks| {
            quirks.reasoning = ReasoningForm::Effort;
            quirks.efforts = super::LOW_HIGH_MAX;
            quirks.lacks = FIXED_SAMPLING;
        }),
    },
    Family {
        names: &["kimi-*"],
        owner: Some("moonshot"),
        at: &["moonshot"],
        change: Some(|quirks| quirks.lacks = FIXED_SAMPLING),
    },
    Family { names: &["glm-*"], owner: Some("zhipu"), ..Family::PLAIN },
    Family { names: &["doubao-*"], owner: Some("volcengine"), ..Family::PLAIN },
    Family { names: &["ernie-*"], owner: Some("qianfan"), ..Family::PLAIN },
    Family { names: &["sonar", "sonar-*"], owner: Some("perplexity"), ..Family::PLAIN },
];

/// Three levels, and no way to keep the model from thinking.
const THREE_LEVELS: &[(ReasoningEffort, &str)] =
    &[(Minimal, "low"), (Low, "low"), (Medium, "medium"), (High, "high"), (XHigh, "high"), (Max, "high")];

/// These levels, where the row asks for them in the words of the models' own house, and its newer limit everywhere:
/// `max_tokens` is refused, wherever it is sent. No levels: there is nothing to be asked for.
fn thinks_at(quirks: &mut Quirks, efforts: &'static [(ReasoningEffort, &'static str)]) {
    quirks.token_limit = TokenLimit::MaxCompletionTokens;
    if quirks.reasoning == ReasoningForm::Effort {
        quirks.efforts = efforts;
        if efforts.is_empty() {
            quirks.reasoning = ReasoningForm::None;
        }
    }
}

/// In the common format its calls are signed in a member of their own, which has to come back, and its thoughts are counted
/// in the total alone.
fn not_natively(quirks: &mut Quirks) {
    if quirks.reasoning != ReasoningForm::ThinkingLevel {
        quirks.replay_members = &["extra_content"];
        quirks.usage = UsageRule { reasoning: InTotal::Remainder, audio: quirks.usage.audio };
    }
}

/// What models that think refuse at one vendor.
const REFUSED_BY_THINKERS: &[Setting] = &[Setting::Stop, Setting::FrequencyPenalty, Setting::PresencePenalty];

/// The sampling is the vendor's own, and strictness unknown.
const FIXED_SAMPLING: &[Setting] = &[
    Setting::Temperature,
    Setting::TopP,
    Setting::TopK,
    Setting::N,
    Setting::FrequencyPenalty,
    Setting::PresencePenalty,
    Setting::Strict,
];

/// Where a chat template switches thinking, it calls the switch `thinking` and not `enable_thinking`.
fn template_thinking(quirks: &mut Quirks) {
    if let ReasoningForm::TemplateSwitch { name, .. } = &mut quirks.reasoning {
        *name = "thinking";
    }
}

/// Whether the row speaks the format in which these models think: gateways have words of their own.
fn thinks_natively(quirks: &Quirks) -> bool {
    matches!(quirks.reasoning, ReasoningForm::Budget | ReasoningForm::Adaptive { .. })
}

/// Tokens to think with, for models that have no levels.
const BUDGETS: &[(ReasoningEffort, &str)] = &[
    (Off, "0"),
    (Minimal, "512"),
    (Low, "1024"),
    (Medium, "8192"),
    (High, "24576"),
    (XHigh, "24576"),
    (Max, "24576"),
];

/// The same for one that thinks more, and always.
const MORE_BUDGETS: &[(ReasoningEffort, &str)] =
    &[(Minimal, "128"), (Low, "1024"), (Medium, "8192"), (High, "24576"), (XHigh, "32768"), (Max, "32768")];

/// Up to 2.5 a budget of tokens or nothing, and no call has to be signed.
fn gemini(
    quirks: &mut Quirks,
    reasoning: ReasoningForm,
    efforts: &'static [(ReasoningEffort, &'static str)],
    range: Option<(u64, u64)>,
) {
    not_natively(quirks);
    if quirks.reasoning == ReasoningForm::ThinkingLevel {
        quirks.reasoning = reasoning;
        quirks.efforts = efforts;
        quirks.budget_range = range;
        quirks.signature_stand_in = None;
    }
}

/// From 3 on levels, of which each model has some.
fn levels(quirks: &mut Quirks, efforts: &'static [(ReasoningEffort, &'static str)]) {
    not_natively(quirks);
    if quirks.reasoning == ReasoningForm::ThinkingLevel {
        quirks.efforts = efforts;
    }
}

fn claude(quirks: &mut Quirks, reasoning: ReasoningForm, max_output: u64) {
    if thinks_natively(quirks) {
        quirks.reasoning = reasoning;
        quirks.max_output = max_output;
    }
}

/// From 4.7 on: levels only, one more of them, and the sampling is the model's own. Some cannot but think.
fn later_claude(quirks: &mut Quirks, off: bool) {
    if thinks_natively(quirks) {
        claude(quirks, ReasoningForm::Adaptive { budget: false, off }, 32_000);
        quirks.lacks = &[Setting::Temperature, Setting::TopP, Setting::TopK];
        quirks.efforts = &[
            (Minimal, "low"),
            (Low, "low"),
            (Medium, "medium"),
            (High, "high"),
            (XHigh, "xhigh"),
            (Max, "max"),
        ];
    }
}

/// Instructions may stand in the middle of the conversation.
fn instructions_anywhere(quirks: &mut Quirks) {
    if thinks_natively(quirks) {
        quirks.system_role = SystemRole::System;
    }
}
