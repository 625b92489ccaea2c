//! The files of older clients: their own examples, what each value becomes, and what is told.

use std::path::Path;

use llm_client::Settings;
use llm_manager::config::{Loaded, SeedKind, Sources, load_seed, load_seed_text};

#[cfg(feature = "yaml")]
use crate::support::Lab;

const NO_ENV: &dyn Fn(&str) -> Option<String> = &|_| None;

fn load_with(kind: SeedKind, name: &str, text: &str, env: &dyn Fn(&str) -> Option<String>) -> Loaded {
    let sources = Sources::new(env, "/");
    let forced = load_seed_text(Path::new(name), text, Some(kind), &sources).unwrap();
    // It is known by what stands in it, too.
    load_seed_text(Path::new(name), text, None, &sources).unwrap();
    forced
}

fn load(kind: SeedKind, name: &str, text: &str) -> Loaded {
    load_with(kind, name, text, NO_ENV)
}

fn settings(loaded: &Loaded, provider: &str, model: &str) -> Settings {
    let provider = loaded.manager.provider(provider).unwrap();
    provider.model(model).unwrap().settings.clone().unwrap()
}

fn ids(loaded: &Loaded) -> Vec<String> {
    loaded.manager.models().into_iter().map(|model| model.id).collect()
}

/// Warnings but for those about keys that stand in the file, which these formats know no other way for.
fn told(loaded: &Loaded) -> Vec<&str> {
    loaded
        .warnings
        .iter()
        .map(|warning| &**warning)
        .filter(|warning| !warning.contains("plain text"))
        .collect()
}

const PROVIDER_JSON: &str = r#"{
  "openai": {
    "gpt-3.5-turbo": {
      "api_keys": ["sk-key1", "sk-key2"],
      "base_url": "https://api.openai.com/v1",
      "model": "gpt-3.5-turbo",
      "max_retries": 5,
      "retry_delay": 1.5,
      "rate_limit_capacity": 20,
      "rate_limit_refill_rate": 3.0
    },
    "gpt-4": { "api_keys": ["sk-key3"], "base_url": "https://api.openai.com/v1", "model": "gpt-4" }
  },
  "deepseek": {
    "v3-turbo": {
      "api_keys": ["your-deepseek-key"], "base_url": "https://api.deepseek.com/v1", "model": "deepseek-chat",
      "rate_limit_refill_rate": 0.5, "max_retries": 1
    }
  }
}"#;

#[test]
fn a_provider_file_is_looked_up_by_provider_and_name() {
    let loaded = load(SeedKind::ProviderFile, "provider.json", PROVIDER_JSON);
    assert_eq!(told(&loaded), Vec::<&str>::new());
    assert_eq!(ids(&loaded), ["openai/gpt-3.5-turbo", "openai/gpt-4", "deepseek/v3-turbo"]);
    let turbo = settings(&loaded, "openai", "gpt-3.5-turbo");
    assert_eq!((turbo.max_retries, turbo.backoff_base, turbo.backoff_cap), {
        let delay = std::time::Duration::from_millis(1500);
        (4, delay, delay)
    });
    assert_eq!((turbo.requests_per_minute, turbo.requests_burst), (Some(180), Some(20)));
    let v3 = settings(&loaded, "deepseek", "v3-turbo");
    assert_eq!((v3.max_retries, v3.requests_per_minute, v3.requests_burst), (0, Some(30), None));
    assert_eq!(settings(&loaded, "openai", "gpt-4"), Settings::default());
    for (provider, name) in [("openai", "gpt-4"), ("deepseek", "v3-turbo")] {
        let client = loaded.manager.client_of(provider, name).unwrap();
        assert_eq!(client.id(), format!("{provider}/{name}"));
    }
    let choice = loaded.choose(Some("v3-turbo")).unwrap();
    assert_eq!(choice.wire, "deepseek-chat");
    assert_eq!(choice.key_by.as_deref(), Some("provider.json:16"));
}

#[test]
fn a_list_of_models_is_the_other_spelling() {
    let text = r#"{"ark": [
      {"model_name": "doubao", "api_keys": ["k1"], "base_url": "https://ark.test/v3", "context_window": 200000},
      {"model_name": "other", "api_keys": ["k1"], "base_url": "https://ark.test/v3", "rate_limit_capacity": 5, "tone": 1}
    ]}"#;
    let loaded = load(SeedKind::ProviderFile, "provider.json", text);
    assert_eq!(ids(&loaded), ["ark/doubao", "ark/other"]);
    let other = settings(&loaded, "ark", "other");
    assert_eq!((other.requests_per_minute, other.requests_burst), (Some(60), Some(5)));
    assert_eq!(
        told(&loaded),
        [
            "provider.json:2: ark[0].context_window: how much a model reads is not configured here; it has no effect",
            "provider.json:3: ark[1].tone: it is not known and has no effect",
        ]
    );
    let twice = r#"{"x": [{"model_name": "m", "base_url": "http://h"},
        {"model_name": "m", "base_url": "http://h"}]}"#;
    let error = load_seed_text(Path::new("p.json"), twice, None, &Sources::new(NO_ENV, "/")).unwrap_err();
    assert_eq!(error.to_string(), "p.json:2: x/m stands here already, at p.json:1");
}

#[test]
fn keys_in_a_file_go_before_the_vendors_variable() {
    let env = |name: &str| (name == "OPENAI_API_KEY").then(|| "sk-env".to_owned());
    let loaded = load_with(SeedKind::ProviderFile, "provider.json", PROVIDER_JSON, &env);
    let choice = loaded.choose(Some("openai/gpt-4")).unwrap();
    assert_eq!(choice.key_by.as_deref(), Some("provider.json:12"));
}

#[test]
fn a_map_of_models_is_a_chain_in_its_order() {
    let text = r#"{
        "openai": {"models": {
            "gpt-3.5-turbo": {"api_key": "k1", "base_url": "https://api.openai.com/v1", "timeout": 30.0,
                              "max_retries": 3, "max_concurrent_calls": 10},
            "gpt-4": {"api_key": "k1", "base_url": "https://api.openai.com/v1"}
        }},
        "deepseek": {"models": {
            "deepseek-chat": {"api_key": "k2", "base_url": "https://api.deepseek.com/v1"}
        }}
    }"#;
    let loaded = load(SeedKind::ProviderModels, "models.json", text);
    assert_eq!(told(&loaded), Vec::<&str>::new());
    assert_eq!(ids(&loaded), ["openai/gpt-3.5-turbo", "openai/gpt-4", "deepseek/deepseek-chat", "chain/all"]);
    let turbo = settings(&loaded, "openai", "gpt-3.5-turbo");
    assert_eq!((turbo.max_retries, turbo.max_concurrent_calls), (2, Some(10)));
    assert_eq!(turbo.attempt_timeout, Some(std::time::Duration::from_secs(30)));
    assert_eq!(loaded.manager.default_client().unwrap().id(), "chain/all");
}

#[test]
fn a_settings_map_finds_its_vendors() {
    let text = r#"{"LLM_MODEL": {
        "gpt-3.5-turbo": {"api_key": "sk-1", "base_url": "https://api.openai.com/v1", "model": "gpt-3.5-turbo"},
        "my-deepseek": {"api_key": "sk-2", "base_url": "https://api.deepseek.com/v1", "model": "deepseek-chat"},
        "house": {"api_key": "", "base_url": "http://127.0.0.1:8000/v1", "model": "qwen"}
    }, "DEBUG": true}"#;
    let loaded = load(SeedKind::Settings, "settings.json", text);
    assert_eq!(told(&loaded), ["settings.json:5: DEBUG: it is not known and has no effect"]);
    assert_eq!(ids(&loaded), ["openai/gpt-3.5-turbo", "openai/house", "deepseek/my-deepseek", "chain/all"]);
    assert_eq!(loaded.choose(Some("my-deepseek")).unwrap().wire, "deepseek-chat");
    assert_eq!(loaded.choose(Some("house")).unwrap().key_by, None);
    // The bare map means the same.
    let bare = r#"{"gpt-4": {"api_key": "sk-1", "base_url": "https://api.openai.com/v1", "model": "gpt-4"}}"#;
    assert_eq!(ids(&load(SeedKind::Settings, "settings.json", bare)), ["openai/gpt-4", "chain/all"]);
}

#[cfg(feature = "yaml")]
#[test]
fn the_compression_clients_file_is_read_with_its_variables() {
    let text = "storage:\n  path: x\nllm:\n  cloud_endpoint: \"http://localhost:8045\"\n  timeout: 30.0\n  \
                max_retries: 3\n  rate_limit: 60\n  eager_init: true\n  pool_size: 20\n";
    let loaded = load(SeedKind::Compression, "config.yaml", text);
    assert_eq!(told(&loaded), ["config.yaml: only `llm` is read; `storage` has no effect"]);
    assert_eq!(ids(&loaded), ["cloud/gpt-3.5-turbo"]);
    let provider = loaded.manager.provider("cloud").unwrap();
    assert_eq!((provider.address().as_deref(), provider.key_origin()), (Some("http://localhost:8045"), None));
    let read = settings(&loaded, "cloud", "gpt-3.5-turbo");
    assert_eq!((read.max_retries, read.requests_per_minute), (3, Some(60)));
    assert_eq!((read.eager_init, read.max_connections), (true, 20));
    assert_eq!(loaded.manager.default_client().unwrap().id(), "cloud/gpt-3.5-turbo");

    let env = |name: &str| {
        let set = [
            ("LLM_CLOUD_ENDPOINT", "http://127.0.0.1:11434"),
            ("LLM_CLOUD_API_KEY", "sk-cloud"),
            ("LLM_MAX_RETRIES", "0"),
            ("MAX_CONCURRENT", "7"),
            ("OLLAMA_ENDPOINT", "http://127.0.0.1:9999"),
            ("BATCH_SIZE", "16"),
        ];
        set.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    };
    let loaded = load_with(SeedKind::Compression, "config.yaml", text, &env);
    assert_eq!(ids(&loaded), ["cloud/qwen2.5:7b-instruct", "local/qwen2.5:7b-instruct"]);
    let read = settings(&loaded, "cloud", "qwen2.5:7b-instruct");
    assert_eq!((read.max_retries, read.max_concurrent_calls), (0, Some(7)));
    assert_eq!(loaded.manager.provider("cloud").unwrap().key_origin(), Some("LLM_CLOUD_API_KEY"));
    assert!(told(&loaded).iter().any(|warning| warning.starts_with("BATCH_SIZE: ")));
    let bad = |name: &str| (name == "LLM_TIMEOUT").then(|| "soon".to_owned());
    let error = load_seed_text(Path::new("config.yaml"), text, None, &Sources::new(&bad, "/")).unwrap_err();
    assert_eq!(error.to_string(), "config.yaml:3: LLM_TIMEOUT: `soon` is not a number from 0 up");
}

#[cfg(feature = "yaml")]
const FLEXLLM: &str = r#"
# 默认模型
default: "gpt-4"
models:
  - id: gpt-4
    name: gpt-4
    provider: openai
    base_url: https://api.openai.com/v1
    api_key: your-api-key

  - id: local-ollama
    name: mine
    provider: openai
    base_url: http://localhost:11434/v1
    api_key: EMPTY
    system: Be brief.
    top_k: 20
    retry_times: 3
    max_qps: 0.5

  - id: rack
    name: rack
    endpoints:
      - {base_url: "http://127.0.0.1:1/v1", api_key: k1, model: qwen, weight: 2, max_qps: 50}
      - {base_url: "http://127.0.0.1:2/v1", api_key: k2, concurrency_limit: 4, proxy: "http://127.0.0.1:3"}
    fallback: false
    total_concurrency_limit: 9

  - id: claude-x
    name: claude-x
    provider: no-such
    base_url: https://x.test

batch:
  concurrency: 12
  timeout: 90
  retry_times: 3
  retry_delay: 0.5
  cache: true
  endpoints:
    - {base_url: "http://127.0.0.1:4/v1", model: a}
    - {base_url: "http://127.0.0.1:5/v1", model: a}
"#;

#[cfg(feature = "yaml")]
#[test]
fn the_flexllm_file_is_read_as_that_tool_reads_it() {
    let loaded = load(SeedKind::Flexllm, "flexllm_config.yaml", FLEXLLM);
    assert_eq!(ids(&loaded), ["flexllm/gpt-4", "flexllm/mine", "flexllm/rack", "flexllm/batch"]);
    assert_eq!(loaded.manager.default_client().unwrap().id(), "flexllm/gpt-4");
    // By its name and by its id.
    for name in ["mine", "local-ollama"] {
        let choice = loaded.choose(Some(name)).unwrap();
        assert_eq!((&*choice.id, &*choice.wire), ("flexllm/mine", "local-ollama"));
        assert_eq!((choice.address.as_deref(), choice.key_by), (Some("http://localhost:11434/v1"), None));
    }
    let mine = settings(&loaded, "flexllm", "mine");
    assert_eq!(
        (mine.max_retries, mine.requests_per_minute, mine.max_concurrent_calls),
        (2, Some(30), Some(12))
    );
    assert_eq!(mine.attempt_timeout, Some(std::time::Duration::from_secs(90)));
    assert_eq!(mine.backoff_base, std::time::Duration::from_millis(500));
    let extra = loaded.manager.provider("flexllm").unwrap().model("mine").unwrap().extra.clone();
    assert_eq!(serde_json::to_string(&extra).unwrap(), r#"{"top_k":20}"#);
    for name in ["rack", "batch", "mine"] {
        loaded.manager.client(name).unwrap();
    }
    assert_eq!(
        told(&loaded),
        [
            "flexllm_config.yaml:16: models[1].system: give it with -s; it has no effect here",
            "flexllm_config.yaml:17: models[1].top_k: it is not known here and goes to the API as it stands",
            "flexllm_config.yaml:31: models[3].provider: this version does not speak that provider's format; the model is \
             left out",
            "flexllm_config.yaml:40: batch.endpoints: they are the model `batch` here: name it with -m batch",
            "flexllm_config.yaml:39: batch.cache: answers are not cached in this version",
        ]
    );
}

#[cfg(feature = "yaml")]
#[test]
fn flexllms_own_places_are_read_last_and_announced() {
    let lab = Lab::new().user("max_retries = 7");
    let home = lab.home().join(".flexllm/config.yaml");
    lab.write(&home, FLEXLLM);
    let loaded = lab.load().unwrap();
    assert_eq!(loaded.files, [lab.user_file(), home.clone()]);
    assert_eq!(loaded.manager.default_model().as_deref(), Some("gpt-4"));
    assert_eq!(settings(&loaded, "flexllm", "gpt-4").max_retries, 7);
    let first = lab.plain(&loaded.warnings[0]);
    assert!(
        loaded
            .warnings
            .iter()
            .any(|w| w.ends_with("is read too; it is an older client's and is never written")),
        "{first}"
    );
    // One that somebody else may have put here is not followed.
    let here = lab.home().join("project/deep/flexllm_config.yaml");
    lab.write(&here, FLEXLLM);
    let mut lab = lab;
    let loaded = lab.load().unwrap();
    assert_eq!(loaded.files, [lab.user_file()]);
    assert_eq!(
        lab.plain(&loaded.warnings[0]),
        "~/project/deep/flexllm_config.yaml:8: ~/project/deep/flexllm_config.yaml is not read: a project's file may not set \
         providers.flexllm.base_url; if you trust it, name it: --config ~/project/deep/flexllm_config.yaml"
    );
    lab.args.trust_project = true;
    assert_eq!(lab.load().unwrap().files, [lab.user_file(), here.clone()]);
    lab.args.config = Some(here);
    assert_eq!(lab.load().unwrap().manager.models().len(), 4);
    // A broken one is told and left.
    let lab = Lab::new();
    lab.write(&lab.home().join(".flexllm/config.yaml"), "models: [");
    let warnings = lab.load().unwrap().warnings;
    assert!(lab.plain(&warnings[0]).starts_with("~/.flexllm/config.yaml is not read: "), "{warnings:?}");
}

#[test]
fn what_an_older_file_says_wrong_is_refused_with_its_place() {
    for (kind, text, message) in [
        (
            SeedKind::ProviderFile,
            r#"{"x": {"m": {"base_url": "nowhere"}}}"#,
            "1: x.m.base_url: the URL has no scheme: did you mean https://nowhere?",
        ),
        (
            SeedKind::ProviderFile,
            r#"{"x": {"m": {"base_url": "http://h", "max_retries": "many"}}}"#,
            "1: x.m.max_retries: `many` is not a number from 0 up",
        ),
        (
            SeedKind::ProviderFile,
            r#"{"x": {"m": {"base_url": "http://h", "max_retries": 1.5}}}"#,
            "1: x.m.max_retries: `1.5` is not a whole number",
        ),
        (
            SeedKind::ProviderFile,
            r#"{"x": {"m": {"base_url": "http://h", "rate_limit_capacity": 0}}}"#,
            "1: x.m.rate_limit_capacity: `0` is not a whole number from 1 up, or none",
        ),
        (
            SeedKind::ProviderFile,
            r#"{"x": {"m": {"api_keys": ["a\u000ab"]}}}"#,
            "1: x.m.api_keys[0]: the key has a line break at character 2; a key is made of visible ASCII characters only",
        ),
        (
            SeedKind::ProviderFile,
            r#"{"x": {"m": {"api_keys": ["a"]}}}"#,
            "1: [providers.x] needs base_url: where is it?",
        ),
        (SeedKind::ProviderFile, r#"{"x": [{"base_url": "http://h"}]}"#, "1: x[0] needs a model_name"),
        (SeedKind::ProviderModels, r#"{"x": {"model": {}}}"#, "1: [x] needs models"),
        (
            SeedKind::Compression,
            r#"{"llm": {}}"#,
            "1: llm.cloud_endpoint is missing, and so is LLM_CLOUD_ENDPOINT",
        ),
        (SeedKind::Flexllm, r#"{"models": [{"id": "a"}]}"#, "1: models[0] needs base_url or endpoints"),
    ] {
        let error =
            load_seed_text(Path::new("f.json"), text, Some(kind), &Sources::new(NO_ENV, "/")).unwrap_err();
        assert_eq!(error.to_string(), format!("f.json:{message}"), "{text}");
    }
    let error =
        load_seed_text(Path::new("f.json"), r#"{"a": 1}"#, None, &Sources::new(NO_ENV, "/")).unwrap_err();
    assert_eq!(error.to_string(), "f.json: this is no older client's configuration");
    let missing =
        load_seed(Path::new("/nowhere/provider.json"), None, &Sources::new(NO_ENV, "/")).unwrap_err();
    assert_eq!(missing.kind(), llm_types::ErrorKind::NotFound);
}
