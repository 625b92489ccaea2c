//! Invariant 2: a vendor's name stands inside its own dialect folder and in the catalogue, nowhere else.

use super::{Finding, source::Source};

/// Files of `llm-provider` that are data about vendors.
const CATALOGUE: [&str; 3] = ["catalogue", "families", "prices"];

/// Words that name a vendor wherever they stand, in any spelling (`DeepSeek`, `DEEPSEEK_API_KEY`).
const NAMES: [&str; 32] = [
    "deepseek",
    "moonshot",
    "dashscope",
    "siliconflow",
    "groq",
    "mistral",
    "openrouter",
    "deepinfra",
    "cerebras",
    "perplexity",
    "minimax",
    "nebius",
    "zhipu",
    "bigmodel",
    "volces",
    "volcengine",
    "huggingface",
    "togetherai",
    "together_ai",
    "fireworksai",
    "fireworks_ai",
    "voyageai",
    "sambanova",
    "qianfan",
    "baidubce",
    "aliyuncs",
    "bytepluses",
    "llamacpp",
    "lmstudio",
    "lm_studio",
    "sglang",
    "litellm",
];

/// Hosts, for vendors whose name is also a format's (and may stand where formats are told apart) or a common word.
const HOSTS: [&str; 18] = [
    "openai.com",
    "anthropic.com",
    "claude.ai",
    "googleapis.com",
    "google.dev",
    "amazonaws.com",
    "azure.com",
    "azure.us",
    "ollama.com",
    "together.xyz",
    "together.ai",
    "fireworks.ai",
    "cohere.com",
    "cohere.ai",
    "x.ai",
    "z.ai",
    "replicate.com",
    "nvidia.com",
];

/// Names of variables that belong to one vendor.
const VARIABLES: [&str; 5] = ["OPENAI_", "ANTHROPIC_", "GEMINI_API", "GOOGLE_API", "AZURE_OPENAI"];

/// What a dialect's own folder may say.
const OWN: [(&str, &[&str]); 6] = [
    ("openai_chat", &["openai.com", "OPENAI_"]),
    ("openai_responses", &["openai.com", "OPENAI_"]),
    ("anthropic", &["anthropic.com", "claude.ai", "ANTHROPIC_"]),
    ("gemini", &["googleapis.com", "google.dev", "GEMINI_API", "GOOGLE_API"]),
    ("bedrock", &["amazonaws.com"]),
    ("ollama", &["ollama.com"]),
];

/// Looks at the shipped code of `crates/*/src`, strings included, comments not; the mock server speaks for vendors.
pub(crate) fn check(source: &Source) -> Vec<Finding> {
    let exempt = source.crate_name().is_none_or(|name| name == "llm-mock") || in_catalogue(&source.path);
    if exempt {
        return Vec::new();
    }
    let own = source.path.split_once("/dialect/").and_then(|(_, rest)| {
        let folder = rest.split(['/', '.']).next()?;
        OWN.iter().find(|(name, _)| *name == folder).map(|(_, words)| *words)
    });
    let mut findings = Vec::new();
    for line in source.shipped() {
        let lower = line.text.to_lowercase();
        let name = NAMES.iter().find(|name| lower.contains(**name));
        let host = || HOSTS.iter().find(|host| has_host(&lower, host));
        let variable = || VARIABLES.iter().find(|variable| line.text.contains(**variable));
        let Some(word) = name.or_else(host).or_else(variable) else { continue };
        if own.is_some_and(|own| own.contains(word)) {
            continue;
        }
        let message = format!(
            "`{word}` names a vendor here; move the fact to llm-provider's catalogue, or express it as a quirk"
        );
        findings.push(Finding::new(&source.path, line.number, message));
    }
    findings
}

fn in_catalogue(path: &str) -> bool {
    let Some(rest) = path.strip_prefix("crates/llm-provider/src/") else { return false };
    CATALOGUE.iter().any(|name| rest.strip_prefix(name).is_some_and(|rest| rest.starts_with(['.', '/'])))
}

/// Whether the host, or one under it, stands in the line.
fn has_host(line: &str, host: &str) -> bool {
    line.match_indices(host).any(|(at, _)| {
        let before = line.get(..at).and_then(|before| before.chars().next_back());
        let after = line.get(at + host.len()..).and_then(|after| after.chars().next());
        let part = |c: Option<char>| c.is_some_and(|c| c.is_alphanumeric() || c == '-' || c == '_');
        !part(before) && !part(after)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, code: &str) -> Vec<usize> {
        check(&Source::new(path, code)).into_iter().map(|finding| finding.line).collect()
    }

    #[test]
    fn a_vendor_outside_its_place_is_found() {
        for planted in [
            "if name == \"deepseek\" {}",
            "let DeepSeekQuirk = 1;",
            "env(\"GROQ_API_KEY\")",
            "\"https://api.openai.com/v1\"",
            "\"https://api.x.ai\"",
            "env(\"OPENAI_API_KEY\")",
            "find(\"lmstudio\")",
            "\"https://qianfan.baidubce.com/v2\"",
        ] {
            let code = format!("//! Doc.\n{planted}\n");
            for path in [
                "crates/llm-manager/src/a.rs",
                "crates/llm-client/src/lane/a.rs",
                "crates/llm-provider/src/spec.rs",
            ] {
                assert_eq!(found(path, &code), [2], "{path}: {planted}");
            }
        }
        assert_eq!(found("crates/llm-client/src/dialect/gemini/wire.rs", "\"mistral\""), [1]);
        assert_eq!(found("crates/llm-client/src/dialect/gemini/wire.rs", "\"api.openai.com\""), [1]);
    }

    #[test]
    fn formats_comments_tests_and_the_catalogue_are_left_alone() {
        let path = "crates/llm-client/src/dialect/mod.rs";
        for fine in [
            "Dialect::OpenAiChat => \"openai_chat\"",
            "\"anthropic\"",
            "// as api.deepseek.com does",
            "\"relax.air\"",
        ] {
            assert_eq!(found(path, fine), [0_usize; 0], "{fine}");
        }
        let planted = "\"https://api.deepseek.com\"";
        for path in [
            "crates/llm-provider/src/catalogue.rs",
            "crates/llm-provider/src/catalogue/rows.rs",
            "crates/llm-mock/src/a.rs",
            "crates/llm-client/src/tests.rs",
            "tests/it/a.rs",
        ] {
            assert_eq!(found(path, planted), [0_usize; 0], "{path}");
        }
        assert_eq!(
            found("crates/llm-client/src/dialect/anthropic/a.rs", "\"api.anthropic.com\""),
            [0_usize; 0]
        );
    }
}
