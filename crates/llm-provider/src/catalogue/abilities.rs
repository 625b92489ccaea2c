//! What can be done with one model at one row: what the row says, what follows the model's name, and what its quirks and its
//! format rule out.

use llm_client::dialect::{
    Dialect, ImageUrl, Quirks, ReasoningForm, ReplayWhen, SchemaLevel, Setting, StreamUsage,
};
use llm_types::Capabilities;

use crate::families;
use crate::spec::ProviderSpec;

/// Models that can do less or more than their row says.
struct Apart {
    /// How they are named; `*` stands for anything.
    names: &'static [&'static str],
    change: fn(&mut Capabilities),
}

/// Each one that fits changes something, in this order.
const APART: &[Apart] = &[
    Apart {
        names: &["gpt-3.5*", "gpt-4*", "chatgpt-4o*"],
        change: |can| {
            can.reasoning = Some(false);
            (can.stop, can.logprobs) = (Some(true), Some(true));
        },
    },
    Apart {
        names: &["gpt-3.5*", "gpt-4", "gpt-4-0*", "gpt-4-1*"],
        change: |can| (can.images, can.json_schema) = (Some(false), Some(false)),
    },
    Apart { names: &["grok-*-non-reasoning*"], change: |can| can.thoughts = Some(false) },
    Apart {
        names: &["claude-2*", "claude-instant*"],
        change: |can| (can.tools, can.images) = (Some(false), Some(false)),
    },
    Apart {
        names: &["text-embedding-*", "*-embed", "*-embed-*", "*-embedding-*"],
        change: |can| {
            *can = Capabilities {
                embeddings: can.embeddings,
                model_list: can.model_list,
                streaming: Some(false),
                tools: Some(false),
                ..Capabilities::UNKNOWN
            };
        },
    },
];

/// What the model can do at this row, spoken to in the row's format.
pub(crate) fn abilities(row: &ProviderSpec, model: &str) -> Capabilities {
    match row.guest(model) {
        Some(guest) => abilities_in(row, model, guest.dialect, &families::adapted(guest.quirks, row, model)),
        None => abilities_in(row, model, row.dialect, &row.quirks_for(model)),
    }
}

/// The same in whatever format.
pub(crate) fn abilities_in(
    row: &ProviderSpec,
    model: &str,
    dialect: Dialect,
    quirks: &Quirks,
) -> Capabilities {
    let mut can = row.capabilities.clone();
    for apart in APART.iter().filter(|apart| families::is_named(model, apart.names)) {
        (apart.change)(&mut can);
    }
    by_quirks(&mut can, quirks);
    by_format(&mut can, dialect, quirks);
    // One is no use without the other.
    if can.tools == Some(false) {
        (can.parallel_tools, can.tool_choice, can.strict_tools) = (Some(false), Some(false), Some(false));
    }
    if can.images == Some(false) {
        can.image_urls = Some(false);
    }
    if can.streaming == Some(false) {
        can.stream_usage = Some(false);
    }
    can
}

/// What the quirks say in other words.
fn by_quirks(can: &mut Capabilities, quirks: &Quirks) {
    for (setting, able) in [
        (Setting::ToolChoice, &mut can.tool_choice),
        (Setting::Strict, &mut can.strict_tools),
        (Setting::Seed, &mut can.seed),
        (Setting::Stop, &mut can.stop),
        (Setting::N, &mut can.n),
        (Setting::Logprobs, &mut can.logprobs),
    ] {
        if !quirks.has(setting) {
            *able = Some(false);
        }
    }
    match quirks.schema {
        SchemaLevel::JsonSchema => {}
        SchemaLevel::JsonObject => can.json_schema = Some(false),
        SchemaLevel::None => (can.json_object, can.json_schema) = (Some(false), Some(false)),
    }
    if quirks.stream_usage == StreamUsage::Given {
        can.stream_usage = Some(true);
    }
    if quirks.image_url == ImageUrl::OwnOnly {
        can.image_urls = Some(false);
    }
    if quirks.reasoning == ReasoningForm::None {
        can.reasoning = Some(false);
    }
}

/// What there is no form for, whoever speaks it, and what there always is.
fn by_format(can: &mut Capabilities, dialect: Dialect, quirks: &Quirks) {
    match dialect {
        Dialect::OpenAiChat => {
            can.token_counts = Some(false);
            can.replay = Some(quirks.replay.when != ReplayWhen::Never);
        }
        Dialect::Anthropic => {
            can.json_object = Some(false);
            (can.seed, can.n, can.logprobs) = (Some(false), Some(false), Some(false));
            (can.audio, can.embeddings) = (Some(false), Some(false));
            thinks_as_told(can, quirks);
        }
        Dialect::Gemini => thinks_as_told(can, quirks),
        _ => {}
    }
}

/// Thoughts come from models that can be told to think, and go back with their signatures.
fn thinks_as_told(can: &mut Capabilities, quirks: &Quirks) {
    if quirks.reasoning == ReasoningForm::None {
        can.thoughts = Some(false);
    }
    can.replay = Some(can.thoughts != Some(false));
}

#[cfg(test)]
mod tests {
    use crate::catalogue;

    #[test]
    fn what_a_model_can_do_follows_its_row_its_name_and_its_quirks() {
        let can = |row: &str, model: &str| catalogue::find(row).unwrap().capabilities_for(model);
        for (row, model, what, able) in [
            ("openai", "gpt-5.4", "reasoning", Some(true)),
            ("openai", "gpt-4o", "reasoning", Some(false)),
            ("openai", "gpt-4o", "images", Some(true)),
            ("openai", "gpt-3.5-turbo", "images", Some(false)),
            ("openai", "gpt-3.5-turbo", "image_urls", Some(false)),
            ("openai", "text-embedding-3-small", "tools", Some(false)),
            ("openai", "text-embedding-3-small", "embeddings", Some(true)),
            ("openai", "gpt-5.4", "replay", Some(false)),
            ("openai", "gpt-5.4", "token_counts", Some(false)),
            ("anthropic", "claude-sonnet-5", "thoughts", Some(true)),
            ("anthropic", "claude-3-haiku-20240307", "thoughts", Some(false)),
            ("anthropic", "claude-2.1", "tool_choice", Some(false)),
            ("anthropic", "claude-sonnet-5", "seed", Some(false)),
            ("gemini", "gemini-2.0-flash", "reasoning", Some(false)),
            ("deepseek", "deepseek-chat", "json_schema", Some(false)),
            ("deepseek", "deepseek-chat", "json_object", Some(true)),
            ("mistral", "mistral-small-latest", "logprobs", Some(false)),
            ("mistral", "mistral-large-latest", "logprobs", None),
            ("mistral", "mistral-small-latest", "stream_usage", Some(true)),
            ("moonshot", "kimi-k2.6", "image_urls", Some(false)),
            ("moonshot", "kimi-k2.6", "n", Some(false)),
            ("xai", "grok-4", "stop", Some(false)),
            ("xai", "grok-4-fast-non-reasoning", "thoughts", Some(false)),
            ("perplexity", "sonar", "parallel_tools", Some(false)),
            ("openai-compatible", "any", "tools", None),
        ] {
            let found = can(row, model).each().into_iter().find(|(name, _)| *name == what).unwrap().1;
            assert_eq!(found, able, "{row} {model} {what}");
        }
    }
}
