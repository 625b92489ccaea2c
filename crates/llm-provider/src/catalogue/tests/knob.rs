//! The one knob for thinking at every row, and who gets earlier thoughts back.

use llm_client::dialect::WireTarget;
use llm_types::{ChatRequest, ReasoningSetting};
use serde_json::Value;

use super::*;

/// What is sent for a wish, without what every request has; `!` where a warning says that it is not quite that.
fn sent(row: &ProviderSpec, model: &str, wish: &str) -> String {
    let effort = ReasoningEffort::parse(wish);
    let reasoning = ReasoningSetting {
        effort,
        enabled: (wish == "on").then_some(true),
        budget_tokens: wish.parse().ok(),
    };
    let request = ChatRequest { reasoning: Some(reasoning), ..ChatRequest::user("hi") };
    let quirks = row.quirks_for(model);
    let target = WireTarget { model, quirks: &quirks, origin: None };
    let encoded = row.dialect.encode_chat(&request, &target, true).unwrap();
    let body: Value = serde_json::from_slice(&encoded.body).unwrap();
    let usual = ["model", "messages", "stream", "stream_options"];
    let mut out: Vec<String> = body
        .as_object()
        .unwrap()
        .iter()
        .filter(|(name, _)| !usual.contains(&name.as_str()))
        .map(|(name, value)| format!("{name}={value}").replace('"', ""))
        .collect();
    out.sort();
    let mark = if encoded.warnings.is_empty() { "" } else { "!" };
    format!("{}{mark}", out.join("&"))
}

/// Rows, each alone or with a model of its, and what becomes of each wish there.
type Line = (&'static [&'static str], &'static [(&'static str, &'static str)]);

const TABLE: &[Line] = &[
    (
        &["openai", "azure", "litellm", "lmstudio", "openai-compatible", "mock", "openai gpt-5.6"],
        &[
            ("none", "reasoning_effort=none"),
            ("minimal", "reasoning_effort=minimal"),
            ("low", "reasoning_effort=low"),
            ("medium", "reasoning_effort=medium"),
            ("high", "reasoning_effort=high"),
            ("xhigh", "reasoning_effort=xhigh"),
            ("max", "reasoning_effort=max"),
            ("on", "reasoning_effort=medium"),
            ("900", "!"),
        ],
    ),
    (
        &["deepseek"],
        &[
            ("none", "thinking={type:disabled}"),
            ("minimal", "reasoning_effort=low&thinking={type:enabled}!"),
            ("low", "reasoning_effort=low&thinking={type:enabled}"),
            ("medium", "reasoning_effort=high&thinking={type:enabled}!"),
            ("high", "reasoning_effort=high&thinking={type:enabled}"),
            ("xhigh", "reasoning_effort=high&thinking={type:enabled}!"),
            ("max", "reasoning_effort=max&thinking={type:enabled}"),
            ("on", "thinking={type:enabled}"),
            ("900", "thinking={type:enabled}!"),
        ],
    ),
    (
        &["mistral"],
        &[
            ("none", "reasoning_effort=none"),
            ("minimal", "reasoning_effort=high!"),
            ("low", "reasoning_effort=high!"),
            ("medium", "reasoning_effort=high!"),
            ("high", "reasoning_effort=high"),
            ("xhigh", "reasoning_effort=high!"),
            ("max", "reasoning_effort=high!"),
            ("on", "reasoning_effort=high"),
            ("900", "!"),
        ],
    ),
    (
        &["xai", "openai o1-mini", "openai gpt-4o", "xai grok-4", "moonshot moonshot-v1-8k"],
        &[
            ("none", "!"),
            ("minimal", "!"),
            ("low", "!"),
            ("medium", "!"),
            ("high", "!"),
            ("xhigh", "!"),
            ("max", "!"),
            ("on", "!"),
            ("900", "!"),
        ],
    ),
    (
        &[
            "groq",
            "cerebras",
            "fireworks",
            "deepinfra",
            "perplexity",
            "huggingface",
            "venice",
            "doubleword",
            "openai gpt-5.1",
            "xai grok-4.3",
        ],
        &[
            ("none", "reasoning_effort=none"),
            ("minimal", "reasoning_effort=low!"),
            ("low", "reasoning_effort=low"),
            ("medium", "reasoning_effort=medium"),
            ("high", "reasoning_effort=high"),
            ("xhigh", "reasoning_effort=high!"),
            ("max", "reasoning_effort=high!"),
            ("on", "reasoning_effort=medium"),
            ("900", "!"),
        ],
    ),
    (
        &["together"],
        &[
            ("none", "reasoning={enabled:false}"),
            ("minimal", "reasoning={enabled:true}&reasoning_effort=low!"),
            ("low", "reasoning={enabled:true}&reasoning_effort=low"),
            ("medium", "reasoning={enabled:true}&reasoning_effort=medium"),
            ("high", "reasoning={enabled:true}&reasoning_effort=high"),
            ("xhigh", "reasoning={enabled:true}&reasoning_effort=high!"),
            ("max", "reasoning={enabled:true}&reasoning_effort=high!"),
            ("on", "reasoning={enabled:true}"),
            ("900", "reasoning={enabled:true}!"),
        ],
    ),
    (
        &["dashscope", "qianfan", "siliconflow", "dashscope qwen3-8b"],
        &[
            ("none", "enable_thinking=false"),
            ("minimal", "enable_thinking=true!"),
            ("low", "enable_thinking=true!"),
            ("medium", "enable_thinking=true!"),
            ("high", "enable_thinking=true!"),
            ("xhigh", "enable_thinking=true!"),
            ("max", "enable_thinking=true!"),
            ("on", "enable_thinking=true"),
            ("900", "enable_thinking=true&thinking_budget=900"),
        ],
    ),
    (
        &["moonshot"],
        &[
            ("none", "thinking={type:disabled}"),
            ("minimal", "thinking={type:enabled}!"),
            ("low", "thinking={type:enabled}!"),
            ("medium", "thinking={type:enabled}!"),
            ("high", "thinking={type:enabled}!"),
            ("xhigh", "thinking={type:enabled}!"),
            ("max", "thinking={type:enabled}!"),
            ("on", "thinking={type:enabled}"),
            ("900", "thinking={type:enabled}!"),
        ],
    ),
    (
        &["zhipu", "zai"],
        &[
            ("none", "thinking={type:disabled}"),
            ("minimal", "reasoning_effort=minimal&thinking={type:enabled}"),
            ("low", "reasoning_effort=low&thinking={type:enabled}"),
            ("medium", "reasoning_effort=medium&thinking={type:enabled}"),
            ("high", "reasoning_effort=high&thinking={type:enabled}"),
            ("xhigh", "reasoning_effort=xhigh&thinking={type:enabled}"),
            ("max", "reasoning_effort=max&thinking={type:enabled}"),
            ("on", "thinking={type:enabled}"),
            ("900", "thinking={type:enabled}!"),
        ],
    ),
    (
        &["volcengine"],
        &[
            ("none", "thinking={type:disabled}"),
            ("minimal", "reasoning_effort=low&thinking={type:enabled}!"),
            ("low", "reasoning_effort=low&thinking={type:enabled}"),
            ("medium", "reasoning_effort=medium&thinking={type:enabled}"),
            ("high", "reasoning_effort=high&thinking={type:enabled}"),
            ("xhigh", "reasoning_effort=high&thinking={type:enabled}!"),
            ("max", "reasoning_effort=high&thinking={type:enabled}!"),
            ("on", "thinking={type:enabled}"),
            ("900", "thinking={type:enabled}!"),
        ],
    ),
    (
        &["openrouter", "openrouter openai/gpt-oss-20b"],
        &[
            ("none", "reasoning={effort:none}"),
            ("minimal", "reasoning={effort:minimal}"),
            ("low", "reasoning={effort:low}"),
            ("medium", "reasoning={effort:medium}"),
            ("high", "reasoning={effort:high}"),
            ("xhigh", "reasoning={effort:xhigh}"),
            ("max", "reasoning={effort:max}"),
            ("on", "reasoning={enabled:true}"),
            ("900", "reasoning={max_tokens:900}"),
        ],
    ),
    (
        &["vllm"],
        &[
            ("none", "chat_template_kwargs={enable_thinking:false}"),
            ("minimal", "chat_template_kwargs={enable_thinking:true}&reasoning_effort=minimal"),
            ("low", "chat_template_kwargs={enable_thinking:true}&reasoning_effort=low"),
            ("medium", "chat_template_kwargs={enable_thinking:true}&reasoning_effort=medium"),
            ("high", "chat_template_kwargs={enable_thinking:true}&reasoning_effort=high"),
            ("xhigh", "chat_template_kwargs={enable_thinking:true}&reasoning_effort=xhigh"),
            ("max", "chat_template_kwargs={enable_thinking:true}&reasoning_effort=max"),
            ("on", "chat_template_kwargs={enable_thinking:true}"),
            ("900", "chat_template_kwargs={enable_thinking:true}&thinking_token_budget=900"),
        ],
    ),
    (
        &["sglang", "llamacpp"],
        &[
            ("none", "chat_template_kwargs={enable_thinking:false}"),
            ("minimal", "chat_template_kwargs={enable_thinking:true}&reasoning_effort=minimal"),
            ("low", "chat_template_kwargs={enable_thinking:true}&reasoning_effort=low"),
            ("medium", "chat_template_kwargs={enable_thinking:true}&reasoning_effort=medium"),
            ("high", "chat_template_kwargs={enable_thinking:true}&reasoning_effort=high"),
            ("xhigh", "chat_template_kwargs={enable_thinking:true}&reasoning_effort=xhigh"),
            ("max", "chat_template_kwargs={enable_thinking:true}&reasoning_effort=max"),
            ("on", "chat_template_kwargs={enable_thinking:true}"),
            ("900", "chat_template_kwargs={enable_thinking:true}!"),
        ],
    ),
    (
        &["ollama"],
        &[
            ("none", "reasoning_effort=none"),
            ("minimal", "reasoning_effort=low!"),
            ("low", "reasoning_effort=low"),
            ("medium", "reasoning_effort=medium"),
            ("high", "reasoning_effort=high"),
            ("xhigh", "reasoning_effort=max!"),
            ("max", "reasoning_effort=max"),
            ("on", "reasoning_effort=medium"),
            ("900", "!"),
        ],
    ),
    (
        &[
            "openai o3-mini",
            "azure o3",
            "groq openai/gpt-oss-120b",
            "vllm openai/gpt-oss-20b",
            "ollama gpt-oss:20b",
            "together openai/gpt-oss-20b",
            "cerebras gpt-oss-120b",
        ],
        &[
            ("none", "!"),
            ("minimal", "reasoning_effort=low!"),
            ("low", "reasoning_effort=low"),
            ("medium", "reasoning_effort=medium"),
            ("high", "reasoning_effort=high"),
            ("xhigh", "reasoning_effort=high!"),
            ("max", "reasoning_effort=high!"),
            ("on", "reasoning_effort=medium"),
            ("900", "!"),
        ],
    ),
    (
        &["openai gpt-5-mini"],
        &[
            ("none", "!"),
            ("minimal", "reasoning_effort=minimal"),
            ("low", "reasoning_effort=low"),
            ("medium", "reasoning_effort=medium"),
            ("high", "reasoning_effort=high"),
            ("xhigh", "reasoning_effort=high!"),
            ("max", "reasoning_effort=high!"),
            ("on", "reasoning_effort=medium"),
            ("900", "!"),
        ],
    ),
    (
        &["openai gpt-5-pro"],
        &[
            ("none", "!"),
            ("minimal", "reasoning_effort=high!"),
            ("low", "reasoning_effort=high!"),
            ("medium", "reasoning_effort=high!"),
            ("high", "reasoning_effort=high"),
            ("xhigh", "reasoning_effort=high!"),
            ("max", "reasoning_effort=high!"),
            ("on", "reasoning_effort=high"),
            ("900", "!"),
        ],
    ),
    (
        &["openai gpt-5.2"],
        &[
            ("none", "reasoning_effort=none"),
            ("minimal", "reasoning_effort=low!"),
            ("low", "reasoning_effort=low"),
            ("medium", "reasoning_effort=medium"),
            ("high", "reasoning_effort=high"),
            ("xhigh", "reasoning_effort=xhigh"),
            ("max", "reasoning_effort=xhigh!"),
            ("on", "reasoning_effort=medium"),
            ("900", "!"),
        ],
    ),
    (
        &["groq qwen/qwen3-32b"],
        &[
            ("none", "reasoning_effort=none"),
            ("minimal", "reasoning_effort=default!"),
            ("low", "reasoning_effort=default!"),
            ("medium", "reasoning_effort=default!"),
            ("high", "reasoning_effort=default!"),
            ("xhigh", "reasoning_effort=default!"),
            ("max", "reasoning_effort=default!"),
            ("on", "reasoning_effort=default"),
            ("900", "!"),
        ],
    ),
    (
        &["vllm deepseek-ai/DeepSeek-V4", "vllm granite-4"],
        &[
            ("none", "chat_template_kwargs={thinking:false}"),
            ("minimal", "chat_template_kwargs={thinking:true}&reasoning_effort=minimal"),
            ("low", "chat_template_kwargs={thinking:true}&reasoning_effort=low"),
            ("medium", "chat_template_kwargs={thinking:true}&reasoning_effort=medium"),
            ("high", "chat_template_kwargs={thinking:true}&reasoning_effort=high"),
            ("xhigh", "chat_template_kwargs={thinking:true}&reasoning_effort=xhigh"),
            ("max", "chat_template_kwargs={thinking:true}&reasoning_effort=max"),
            ("on", "chat_template_kwargs={thinking:true}"),
            ("900", "chat_template_kwargs={thinking:true}&thinking_token_budget=900"),
        ],
    ),
    (
        &["mistral magistral-medium-latest"],
        &[
            ("none", "!"),
            ("minimal", "prompt_mode=reasoning!"),
            ("low", "prompt_mode=reasoning!"),
            ("medium", "prompt_mode=reasoning!"),
            ("high", "prompt_mode=reasoning!"),
            ("xhigh", "prompt_mode=reasoning!"),
            ("max", "prompt_mode=reasoning!"),
            ("on", "prompt_mode=reasoning"),
            ("900", "prompt_mode=reasoning!"),
        ],
    ),
    (
        &["xai grok-3-mini"],
        &[
            ("none", "!"),
            ("minimal", "reasoning_effort=low!"),
            ("low", "reasoning_effort=low"),
            ("medium", "reasoning_effort=high!"),
            ("high", "reasoning_effort=high"),
            ("xhigh", "reasoning_effort=high!"),
            ("max", "reasoning_effort=high!"),
            ("on", "reasoning_effort=high"),
            ("900", "!"),
        ],
    ),
    (
        &["moonshot kimi-k3"],
        &[
            ("none", "!"),
            ("minimal", "reasoning_effort=low!"),
            ("low", "reasoning_effort=low"),
            ("medium", "reasoning_effort=high!"),
            ("high", "reasoning_effort=high"),
            ("xhigh", "reasoning_effort=high!"),
            ("max", "reasoning_effort=max"),
            ("on", "reasoning_effort=high"),
            ("900", "!"),
        ],
    ),
];

#[test]
fn every_row_and_family_compiles_the_one_knob() {
    for (places, wishes) in TABLE {
        for place in *places {
            let (row, model) = place.split_once(' ').unwrap_or((place, "m"));
            for (wish, expected) in *wishes {
                assert_eq!(sent(find(row).unwrap(), model, wish), *expected, "{place} {wish}");
            }
        }
    }
    for row in all().iter().filter(|row| row.dialect == Dialect::OpenAiChat) {
        assert!(TABLE.iter().any(|(places, _)| places.contains(&row.name)), "{} is in no line", row.name);
    }
}
