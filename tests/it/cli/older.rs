//! Configuration files of older clients: each example is read, and what could not be carried over is said.

use llm_mock::MockServer;

use super::harness::Llm;

/// A file's name, its kind, what it says, and a model that is in it.
const FILES: [(&str, &str, &str, &str); 5] = [
    (
        "flexllm_config.yaml",
        "flexllm",
        "default: \"gpt-4\"\nmodels:\n  - id: gpt-4\n    name: gpt-4\n    provider: openai\n    base_url: BASE\n    \
         api_key: your-api-key\n  - id: local-ollama\n    name: local-ollama\n    provider: openai\n    base_url: BASE\n    \
         api_key: EMPTY\n",
        "gpt-4",
    ),
    (
        "provider.json",
        "provider_file",
        r#"{"openai": {"gpt-3.5-turbo": {"api_keys": ["sk-key1", "sk-key2"], "base_url": "BASE", "model": "gpt-3.5-turbo",
            "max_retries": 5, "retry_delay": 1.0, "rate_limit_capacity": 20, "rate_limit_refill_rate": 3.0}}}"#,
        "openai/gpt-3.5-turbo",
    ),
    (
        "models.json",
        "provider_models",
        r#"{"openai": {"models": {"gpt-4": {"api_key": "your-openai-key", "base_url": "BASE"}}},
            "deepseek": {"models": {"deepseek-chat": {"api_key": "your-deepseek-key", "base_url": "BASE"}}}}"#,
        "deepseek/deepseek-chat",
    ),
    (
        "settings.json",
        "settings",
        r#"{"LLM_MODEL": {"gpt-4": {"api_key": "your-key", "base_url": "BASE", "model": "gpt-4"}}}"#,
        "chain/all",
    ),
    (
        "config.yaml",
        "compression",
        "llm:\n  cloud_endpoint: \"BASE\"\n  timeout: 30.0\n  max_retries: 3\n  rate_limit: 60\n",
        "",
    ),
];

#[tokio::test]
async fn each_example_is_known_checked_and_used() {
    let server = MockServer::start().await;
    for (name, kind, text, model) in FILES {
        let llm = Llm::new();
        llm.write(name, &text.replace("BASE", &server.base_url()));
        let ran = llm.run(&["config", "check", name]).await.exits(0);
        let first = ran.out.lines().next().unwrap_or_default();
        assert!(
            first.starts_with(&format!("{name}: OK")) && first.ends_with(&format!("({kind})")),
            "{}",
            ran.out
        );
        let json = llm.run(&["config", "check", name, "--json"]).await.exits(0).json();
        assert_eq!(json["files"][0]["older"], kind);
        let mut args = vec!["--config", name, "hi"];
        if !model.is_empty() {
            args.extend(["-m", model]);
        }
        let before = server.counts().total;
        llm.run(&args).await.exits(0);
        assert_eq!(server.counts().total - before, 1, "{name}");
        // Where the one that was meant goes, and what it says, can be seen.
        llm.run(&["config", "show", "--config", name, "--origin"]).await.exits(0);
        llm.run(&["keys", "list", "--config", name]).await.exits(0).never_says(&["sk-key1"]);
        // It is another tool's: it is never written.
        llm.run(&["set-model", "mock/echo", "--config", name]).await.exits(2).says(&["older"]);
        assert_eq!(llm.read(name), text.replace("BASE", &server.base_url()));
    }
}

#[tokio::test]
async fn what_could_not_be_carried_is_said_with_its_line() {
    let llm = Llm::new();
    llm.write(
        "flexllm_config.yaml",
        "default: m\nmodels:\n  - id: m\n    name: m\n    base_url: http://127.0.0.1:1/v1\n    system: Be brief.\n",
    );
    let ran = llm.run(&["config", "check", "flexllm_config.yaml"]).await.exits(0);
    assert!(ran.out.contains("flexllm_config.yaml:6") && ran.out.contains("system"), "{}", ran.out);
    // Found at home it is read last; found in a folder it is a project's, and may not say where requests go.
    let last = async |llm: &Llm| {
        let json = llm.run(&["config", "path", "--json"]).await.exits(0).json();
        let last = json["files"].as_array().unwrap().last().unwrap().clone();
        (last["role"].as_str().unwrap().to_owned(), last["read"].as_bool().unwrap())
    };
    assert_eq!(last(&llm).await, ("older".to_owned(), false));
    let text = llm.read("flexllm_config.yaml");
    let llm = Llm::new();
    llm.write(".flexllm/config.yaml", &text);
    assert_eq!(last(&llm).await, ("older".to_owned(), true));
    let json = llm.run(&["config", "show", "--json"]).await.exits(0).json();
    assert!(json["default"]["from"].as_str().unwrap().ends_with(".flexllm/config.yaml:1"), "{json}");
}
