//! The rows against each other, and what they make of names and addresses.

use llm_client::dialect::{
    EmbeddingsForm, ReasoningForm, Replay, ReplayField, ReplayWhen, Setting, SystemRole, TokenLimit,
};

use super::*;
use crate::provider::{ModelConfig, Provider as _};

mod fixtures;
mod knob;
mod recorded;
mod thinking;
mod words;

#[test]
fn every_row_can_be_named_and_reached() {
    for (at, row) in all().iter().enumerate() {
        let name = row.name;
        assert!(!name.contains(['/', ':', ' ']) && name == name.to_lowercase(), "{name}");
        assert!(all().iter().skip(at + 1).all(|other| other.name != name), "{name} stands twice");
        if let Some(url) = row.base_url {
            let address = Endpoint::parse(url).unwrap();
            assert!(row.owns(&address) || address.is_loopback(), "{name} does not own its own address");
        }
        assert!(!row.key_required || !row.key_env.is_empty(), "{name} needs a key and no variable holds it");
    }
}

#[test]
fn an_address_tells_its_row() {
    for (url, name) in [
        ("https://api.openai.com/v1", Some("openai")),
        ("https://eu.api.openai.com/v1", Some("openai")),
        ("http://api.openai.com/v1", None),
        ("https://api.openai.com.evil.example/v1", None),
        ("https://api.anthropic.com", Some("anthropic")),
        ("https://generativelanguage.googleapis.com/v1beta/openai", Some("gemini")),
        ("https://aiplatform.googleapis.com/v1", Some("vertex")),
        ("https://europe-west4-aiplatform.googleapis.com/v1", Some("vertex")),
        ("https://storage.googleapis.com", None),
        ("https://api.deepseek.com", Some("deepseek")),
        ("https://mine.openai.azure.com/openai/deployments/x?api-version=2024-10-21", Some("azure")),
        ("https://mine.services.ai.azure.com/openai/v1", Some("azure")),
        ("https://openai.azure.com", None),
        ("https://openrouter.ai/api/v1", Some("openrouter")),
        ("https://dashscope-intl.aliyuncs.com/compatible-mode/v1", Some("dashscope")),
        ("https://api.moonshot.cn/v1", Some("moonshot")),
        ("https://api.siliconflow.com/v1", Some("siliconflow")),
        ("https://ark.ap-southeast.bytepluses.com/api/v3", Some("volcengine")),
        ("https://open.bigmodel.cn/api/paas/v4", Some("zhipu")),
        ("https://api.z.ai/api/coding/paas/v4", Some("zai")),
        ("http://10.0.0.7:11434/v1", Some("ollama")),
        ("http://10.0.0.7:1234/v1", Some("lmstudio")),
        ("http://127.0.0.1:8000/v1", None),
        ("http://127.0.0.1:8080/v1", None),
    ] {
        assert_eq!(at(&Endpoint::parse(url).unwrap()).map(|row| row.name), name, "{url}");
    }
}

/// Every row by its own address and by each of its hosts; no host is two rows'.
#[test]
fn the_dialect_of_every_row_is_told_by_its_host() {
    for row in all() {
        let told = |url: &str| {
            let address = Endpoint::parse(url).unwrap();
            assert_eq!(Dialect::by_host(address.host()), row.dialect, "{url}");
            at(&address).map(|row| row.name)
        };
        if let Some(url) = row.base_url.filter(|url| url.starts_with("https://")) {
            assert_eq!(told(url), Some(row.name), "{url}");
        }
        for host in row.hosts {
            let url = match (host.strip_prefix(':'), host.strip_prefix('.')) {
                (Some(port), _) => format!("http://10.0.0.7:{port}/v1"),
                (_, Some(domain)) => format!("https://eu.{domain}/v1"),
                _ => format!("https://{host}/v1"),
            };
            assert_eq!(told(&url), Some(row.name), "{url}");
        }
    }
}

#[test]
fn a_bare_name_tells_its_owner() {
    for (model, owner) in [
        ("gpt-4o-mini", Some("openai")),
        ("GPT-5.4", Some("openai")),
        ("chatgpt-4o-latest", Some("openai")),
        ("o1", Some("openai")),
        ("o3-mini", Some("openai")),
        ("ft:gpt-4o:acme::x", Some("openai")),
        ("text-embedding-3-small", Some("openai")),
        ("deepseek-chat", Some("deepseek")),
        ("deepseek-v4-flash", Some("deepseek")),
        ("gpt-oss-120b", None),
        ("openai/gpt-oss-120b", None),
        ("deepseek-ai/deepseek-r1", None),
        ("deepseek-r1:7b", None),
        ("o10", None),
        ("olmo-2", None),
        ("qwen3-8b", None),
        ("qwen-plus-latest", Some("dashscope")),
        ("qwen3-max", Some("dashscope")),
        ("qwq-32b", None),
        ("kimi-k2.6", Some("moonshot")),
        ("moonshotai/kimi-k2.6", None),
        ("moonshot-v1-8k", Some("moonshot")),
        ("glm-4.6", Some("zhipu")),
        ("glm4:9b", None),
        ("doubao-seed-1.6", Some("volcengine")),
        ("ernie-4.5-turbo-128k", Some("qianfan")),
        ("grok-4", Some("xai")),
        ("grok-4-fast-non-reasoning", Some("xai")),
        ("mistral-large-latest", Some("mistral")),
        ("mistral-small:24b", None),
        ("mistral:7b", None),
        ("gemini-2.5-flash", Some("gemini")),
        ("claude-sonnet-5", Some("anthropic")),
        ("claude-3-haiku-20240307", Some("anthropic")),
        ("anthropic/claude-sonnet-5", None),
        ("sonar-pro", Some("perplexity")),
        ("", None),
    ] {
        let owners: Vec<&str> = all().iter().filter(|row| row.claims(model)).map(|row| row.name).collect();
        assert_eq!(owners, Vec::from_iter(owner), "{model}");
    }
}

#[test]
fn behaviour_follows_the_models_name_wherever_it_is_served() {
    let quirks = |row: &str, model: &str| find(row).unwrap().quirks_for(model);
    for (row, model, limit) in [
        ("openai", "gpt-4o", TokenLimit::MaxCompletionTokens),
        ("openai-compatible", "gpt-4o", TokenLimit::MaxTokens),
        ("openai-compatible", "gpt-5.4", TokenLimit::MaxCompletionTokens),
        ("openai-compatible", "o3-mini", TokenLimit::MaxCompletionTokens),
        ("openrouter", "openai/o4-mini-2025-04-16", TokenLimit::MaxCompletionTokens),
        ("openrouter", "anthropic/claude-haiku-4.5", TokenLimit::MaxTokens),
        ("vllm", "openai/gpt-oss-120b", TokenLimit::MaxTokens),
        ("deepseek", "deepseek-chat", TokenLimit::MaxTokens),
    ] {
        assert_eq!(quirks(row, model).token_limit, limit, "{row} {model}");
    }
    assert_eq!(quirks("openai", "o1-mini").system_role, SystemRole::User);
    assert_eq!(quirks("openai", "o3-mini").system_role, SystemRole::Both);
    for (model, switch) in [
        ("Qwen/Qwen3-8B", "enable_thinking"),
        ("deepseek-ai/DeepSeek-V4-Flash", "thinking"),
        ("granite-4", "thinking"),
    ] {
        let ReasoningForm::TemplateSwitch { name, .. } = quirks("vllm", model).reasoning else { panic!() };
        assert_eq!(name, switch, "{model}");
    }
    let replay = |row: &str| quirks(row, "deepseek-reasoner").replay;
    let with_tools = Replay { when: ReplayWhen::WithTools, field: ReplayField::ReasoningContent };
    assert_eq!((replay("deepseek"), replay("openai-compatible")), (with_tools, with_tools));
    assert_eq!(replay("openrouter").field, ReplayField::Details);
}

#[test]
fn a_models_own_rules_hold_where_they_were_seen_and_nowhere_else() {
    let quirks = |row: &str, model: &str| find(row).unwrap().quirks_for(model);
    for (row, model, setting, has) in [
        ("moonshot", "kimi-k2.6", Setting::Temperature, false),
        ("moonshot", "moonshot-v1-8k", Setting::Temperature, true),
        ("vllm", "moonshotai/Kimi-K2.6", Setting::Temperature, true),
        ("xai", "grok-4", Setting::Stop, false),
        ("xai", "grok-4-fast-non-reasoning", Setting::Stop, true),
        ("xai", "grok-3", Setting::Stop, true),
        ("openrouter", "x-ai/grok-4", Setting::Stop, true),
        ("mistral", "mistral-small-latest", Setting::Logprobs, false),
        ("mistral", "mistral-large-latest", Setting::Logprobs, true),
        ("mistral", "mistral-small-latest", Setting::TopK, false),
    ] {
        assert_eq!(quirks(row, model).has(setting), has, "{row} {model} {setting:?}");
    }
    for (row, model, form) in [
        ("xai", "grok-4", ReasoningForm::None),
        ("xai", "grok-3-mini", ReasoningForm::Effort),
        ("moonshot", "kimi-k2.6", ReasoningForm::Thinking { effort: false }),
        ("moonshot", "kimi-k3", ReasoningForm::Effort),
        ("moonshot", "moonshot-v1-8k", ReasoningForm::None),
    ] {
        assert_eq!(quirks(row, model).reasoning, form, "{row} {model}");
    }
    let streamed_only = |row: &str, model: &str| quirks(row, model).thinks_streamed_only;
    assert!(streamed_only("dashscope", "qwen3-235b-a22b") && streamed_only("dashscope", "qwen3-8b"));
    assert!(!streamed_only("dashscope", "qwen-plus") && !streamed_only("siliconflow", "Qwen/Qwen3-8B"));
    let on =
        |row: &str| quirks(row, "qwen/qwen3-32b").efforts.iter().find(|(level, _)| *level == High).unwrap().1;
    assert_eq!((on("groq"), on("deepinfra")), ("default", "high"));
}

#[test]
fn how_a_model_thinks_follows_its_generation() {
    const NONE: ReasoningForm = ReasoningForm::None;
    const BUDGET: ReasoningForm = ReasoningForm::Budget;
    const BOTH: ReasoningForm = ReasoningForm::Adaptive { budget: true, off: true };
    const LEVELS: ReasoningForm = ReasoningForm::Adaptive { budget: false, off: true };
    const ALWAYS: ReasoningForm = ReasoningForm::Adaptive { budget: false, off: false };
    for (model, form, limit, sampling, anywhere) in [
        ("claude-3-haiku-20240307", NONE, 4096, true, false),
        ("claude-3-5-sonnet-latest", NONE, 8192, true, false),
        ("claude-3-7-sonnet-20250219", BUDGET, 32_000, true, false),
        ("claude-sonnet-4-0", BUDGET, 32_000, true, false),
        ("claude-opus-4-20250514", BUDGET, 32_000, true, false),
        ("claude-opus-4-1-20250805", BUDGET, 32_000, true, false),
        ("claude-haiku-4-5", BUDGET, 32_000, true, false),
        ("claude-sonnet-4-5-20250929", BUDGET, 32_000, true, false),
        ("claude-opus-4-6", BOTH, 32_000, true, false),
        ("claude-sonnet-4-6", BOTH, 32_000, true, false),
        ("claude-opus-4-7", LEVELS, 32_000, false, false),
        ("claude-opus-4-8", LEVELS, 32_000, false, true),
        ("claude-sonnet-5", LEVELS, 32_000, false, false),
        ("claude-fable-5", ALWAYS, 32_000, false, true),
        ("claude-mythos-5", ALWAYS, 32_000, false, false),
        ("something-else", BUDGET, 8192, true, false),
    ] {
        let quirks = find("anthropic").unwrap().quirks_for(model);
        let found = (quirks.reasoning, quirks.max_output, quirks.has(Setting::Temperature));
        assert_eq!(found, (form, limit, sampling), "{model}");
        assert_eq!(quirks.system_role == SystemRole::System, anywhere, "{model}");
    }
    // Gateways have words of their own for the same models.
    let routed = find("openrouter").unwrap().quirks_for("anthropic/claude-opus-4-7");
    assert_eq!((routed.reasoning, routed.has(Setting::Temperature)), (ReasoningForm::Object, true));
}

#[test]
fn the_environment_moves_a_row() {
    let env = |name: &str| (name == "OLLAMA_HOST").then(|| "10.0.0.7".to_owned());
    let provider = SpecProvider::from_env(find("ollama").unwrap(), &env);
    assert_eq!(provider.address().as_deref(), Some("http://10.0.0.7:11434/v1"));
    let env = |name: &str| (name == "OPEN_ROUTER_API_KEY").then(|| "sk-or".to_owned());
    assert_eq!(
        SpecProvider::from_env(find("openrouter").unwrap(), &env).key_origin(),
        Some("OPEN_ROUTER_API_KEY")
    );
    let env = |name: &str| (name == "OPENAI_BASE_URL").then(|| "proxy.example".to_owned());
    let error = SpecProvider::from_env(find("openai").unwrap(), &env).create_client(&ModelConfig::new("x"));
    let error = error.unwrap_err();
    assert_eq!((error.kind(), error.message().starts_with("OPENAI_BASE_URL: ")), (ErrorKind::Config, true));
}

#[test]
fn a_key_and_a_name_make_a_client() {
    for row in ["openai", "deepseek", "openrouter", "vllm", "ollama"] {
        assert_eq!(create_simple(row, "sk-1", Some("x/y")).unwrap().id(), format!("{row}/x/y"));
    }
    for (row, model) in [
        ("openai", "gpt-5.4"),
        ("anthropic", "claude-sonnet-5"),
        ("deepseek", "deepseek-chat"),
        ("gemini", "gemini-2.5-flash"),
    ] {
        assert_eq!(create_simple(row, "sk-1", None).unwrap().id(), format!("{row}/{model}"));
    }
    assert_eq!(create_simple("ollama", "", Some("qwen3:8b")).unwrap().id(), "ollama/qwen3:8b");
    for (row, key, model, message) in [
        (
            "acme",
            "sk-1",
            None,
            "there is no provider `acme`; there are openai, anthropic, deepseek, gemini, vertex, mistral, xai, groq, cerebras, together, \
             fireworks, deepinfra, perplexity, azure, huggingface, venice, doubleword, dashscope, moonshot, zhipu, zai, volcengine, qianfan, siliconflow, \
             openrouter, litellm, vllm, sglang, llamacpp, lmstudio, ollama, openai-compatible, mock",
        ),
        ("vllm", "sk-1", None, "name a model: vllm has none for those who name none"),
        (
            "openai",
            "sk 1",
            None,
            "the key has a space at character 3; a key is made of visible ASCII characters only",
        ),
        ("openai", "", None, "no key for openai: set OPENAI_API_KEY"),
        ("openrouter", "", Some("x"), "no key for openrouter: set OPENROUTER_API_KEY or OPEN_ROUTER_API_KEY"),
        ("openai-compatible", "sk-1", Some("x"), "openai-compatible needs a base URL"),
        ("mock", "", Some("parrot"), "mock has no model `parrot`; there is mock/echo"),
    ] {
        assert_eq!(create_simple(row, key, model).unwrap_err().to_string(), message);
    }
}

#[test]
fn what_a_gemini_may_think_follows_its_name_and_its_format() {
    let quirks = |row: &str, model: &str| find(row).unwrap().quirks_for(model);
    let word = |quirks: &Quirks, level: ReasoningEffort| {
        quirks.efforts.iter().find(|(known, _)| *known == level).map(|(_, word)| *word)
    };
    for (model, form, range, off, high) in [
        ("gemini-2.0-flash", ReasoningForm::None, None, None, None),
        ("gemini-2.5-pro", ReasoningForm::ThinkingBudget, Some((128, 32_768)), None, Some("24576")),
        ("gemini-2.5-flash", ReasoningForm::ThinkingBudget, Some((0, 24_576)), Some("0"), Some("24576")),
        (
            "gemini-2.5-flash-lite",
            ReasoningForm::ThinkingBudget,
            Some((512, 24_576)),
            Some("0"),
            Some("24576"),
        ),
        (
            "models/gemini-2.5-flash",
            ReasoningForm::ThinkingBudget,
            Some((0, 24_576)),
            Some("0"),
            Some("24576"),
        ),
        ("gemini-3-pro-preview", ReasoningForm::ThinkingLevel, None, Some("LOW"), Some("HIGH")),
        ("gemini-3.1-pro-preview", ReasoningForm::ThinkingLevel, None, Some("LOW"), Some("HIGH")),
        ("gemini-3-flash-preview", ReasoningForm::ThinkingLevel, None, Some("MINIMAL"), Some("HIGH")),
        ("gemini-flash-latest", ReasoningForm::ThinkingLevel, None, Some("MINIMAL"), Some("HIGH")),
    ] {
        for row in ["gemini", "vertex"] {
            let quirks = quirks(row, model);
            assert_eq!((quirks.reasoning, quirks.budget_range), (form, range), "{row} {model}");
            assert_eq!((word(&quirks, Off), word(&quirks, High)), (off, high), "{row} {model}");
            // Only from 3 on does a call have to be signed.
            let signed = form == ReasoningForm::ThinkingLevel;
            assert_eq!(quirks.signature_stand_in.is_some(), signed, "{row} {model}");
        }
        let routed = quirks("openrouter", &format!("google/{model}"));
        assert_eq!(routed.reasoning, find("openrouter").unwrap().quirks.reasoning, "{model}");
    }
    assert_eq!(quirks("vertex", "text-embedding-005").embeddings_form, EmbeddingsForm::Instances);
    assert_eq!(quirks("vertex", "gemini-embedding-2").embeddings_form, EmbeddingsForm::Config);
    assert_eq!(quirks("gemini", "gemini-embedding-001").embeddings_form, EmbeddingsForm::Contents);
}

#[test]
fn a_project_and_a_place_make_an_address() {
    let row = find("vertex").unwrap();
    for (place, host) in [
        (None, "aiplatform.googleapis.com"),
        (Some("global"), "aiplatform.googleapis.com"),
        (Some("us"), "aiplatform.us.rep.googleapis.com"),
        (Some("eu"), "aiplatform.eu.rep.googleapis.com"),
        (Some("europe-west4"), "europe-west4-aiplatform.googleapis.com"),
    ] {
        let env = |name: &str| match name {
            "GOOGLE_CLOUD_PROJECT" => Some("p-1".to_owned()),
            "GOOGLE_CLOUD_LOCATION" => place.map(str::to_owned),
            _ => None,
        };
        let (variable, url) = row.address_from(&env).unwrap();
        let place = place.unwrap_or("global");
        assert_eq!(variable, "GOOGLE_CLOUD_PROJECT");
        assert_eq!(url, format!("https://{host}/v1/projects/p-1/locations/{place}/publishers/google"));
        assert!(row.owns(&Endpoint::parse(&url).unwrap()), "{url}");
    }
    assert_eq!(row.address_from(&|_| None), None);
}

#[test]
fn a_key_that_goes_before_another_says_so() {
    let env = |name: &str| match name {
        "GOOGLE_API_KEY" => Some("k-1".to_owned()),
        "GEMINI_API_KEY" => Some("k-2".to_owned()),
        _ => None,
    };
    let provider = SpecProvider::from_env(find("gemini").unwrap(), &env);
    assert_eq!(
        provider.key_origin(),
        Some("GOOGLE_API_KEY, which goes before GEMINI_API_KEY: that holds another")
    );
    let env = |name: &str| name.starts_with('G').then(|| "k-1".to_owned());
    let provider = SpecProvider::from_env(find("gemini").unwrap(), &env);
    assert_eq!(provider.key_origin(), Some("GOOGLE_API_KEY"));
}

#[test]
fn an_account_signs_in_at_its_own_hosts_only() {
    let file = std::env::temp_dir().join(format!("llm-provider-no-credentials-{}.json", std::process::id()));
    let env = |name: &str| match name {
        "GOOGLE_CLOUD_PROJECT" => Some("p-1".to_owned()),
        "GOOGLE_APPLICATION_CREDENTIALS" => Some(file.display().to_string()),
        _ => None,
    };
    let provider = SpecProvider::from_env(find("vertex").unwrap(), &env);
    assert_eq!(provider.key_origin(), Some("GOOGLE_APPLICATION_CREDENTIALS"));
    let error = provider.create_client(&ModelConfig::new("gemini-x")).unwrap_err();
    let expected = if cfg!(feature = "vertex") { "cannot be read" } else { "cannot sign in" };
    assert_eq!((error.kind(), error.message().contains(expected)), (ErrorKind::Config, true), "{error:?}");
    // Elsewhere nothing is read and nobody signs in; a file that was chosen for the place is.
    let elsewhere =
        provider.clone().with_base_url("http://127.0.0.1:9/v1/projects/p/locations/l/publishers/google");
    elsewhere.create_client(&ModelConfig::new("gemini-x")).unwrap();
    let chosen = elsewhere.with_credentials(&file);
    assert_eq!(chosen.create_client(&ModelConfig::new("gemini-x")).unwrap_err().kind(), ErrorKind::Config);
    // A key is as good as an account.
    let key = llm_types::Secret::key("k").unwrap();
    let keyed = provider.with_keys(crate::KeySupply::fixed("here", vec![key]));
    keyed.create_client(&ModelConfig::new("gemini-x")).unwrap();
}
