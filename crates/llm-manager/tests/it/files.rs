//! Which files are read, and whose word goes above whose.

use std::fs;

use llm_types::ErrorKind;

use crate::support::Lab;

#[test]
fn without_any_file_the_built_in_providers_stand() {
    let loaded = Lab::new().load().unwrap();
    assert!(loaded.files.is_empty() && loaded.warnings.is_empty() && loaded.manager.models().is_empty());
    assert_eq!(
        loaded.manager.provider("ollama").unwrap().address().as_deref(),
        Some("http://127.0.0.1:11434/v1")
    );
    assert!(loaded.manager.provider("mock").is_none());
}

#[test]
fn a_file_that_was_named_is_the_only_one() {
    let mut lab = Lab::new().user("default = 'user'").project("default = 'project'");
    let named = lab.home().join("named.toml");
    lab.write(&named, "default = 'named'");
    lab.args.config = Some(named.clone());
    let default = |lab: &Lab| lab.load().unwrap().manager.default_model().unwrap();
    assert_eq!((default(&lab), lab.load().unwrap().files), ("named".into(), vec![named.clone()]));
    lab.args.config = None;
    let mut lab = lab.env("LLM_RS_CONFIG", &named.display().to_string());
    assert_eq!(default(&lab), "named");
    lab.args.config = Some(lab.user_file());
    assert_eq!(default(&lab), "user");
    lab.args.config = Some(lab.home().join("gone.toml"));
    assert_eq!(lab.load().unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(lab.refused(), "there is no configuration file ~/gone.toml (--config)");
    let lab = Lab::new().env("LLM_RS_CONFIG", "/nowhere/x.toml");
    assert_eq!(lab.refused(), "there is no configuration file /nowhere/x.toml (LLM_RS_CONFIG)");
}

#[test]
fn a_file_that_cannot_be_read_keeps_its_cause() {
    let mut lab = Lab::new();
    lab.args.config = Some(lab.home());
    let error = lab.load().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(std::error::Error::source(&error).unwrap().is::<std::io::Error>());
}

#[test]
fn the_projects_word_goes_above_the_users() {
    let lab = Lab::new()
        .user(
            r#"
            default = "a"
            max_retries = 1
            failure_threshold = 7
            [aliases]
            a = "openai/one"
            b = "openai/two"
            [providers.local]
            base_url = "http://127.0.0.1:8000/v1"
            max_retries = 2
            [providers.local.models.m]
            model = "wire"
            extra = { top_k = 1, seed = 1 }
            "#,
        )
        .project(
            r#"
            max_retries = 9
            [aliases]
            a = "openai/three"
            [providers.local.models.m]
            extra = { top_k = 2 }
            [providers.local.models.n]
            "#,
        );
    let loaded = lab.load().unwrap();
    assert_eq!(loaded.files, [lab.project_file(), lab.user_file()]);
    assert_eq!(loaded.manager.default_model().as_deref(), Some("a"));
    let aliases: Vec<_> = loaded.manager.aliases();
    assert_eq!(aliases, [("a".into(), "openai/three".into()), ("b".into(), "openai/two".into())]);
    let local = loaded.manager.provider("local").unwrap();
    let model = local.model("m").unwrap();
    // A nearer level of the farther file still wins over the top of the nearer one.
    assert_eq!(model.settings.as_ref().unwrap().max_retries, 2);
    assert_eq!(model.settings.as_ref().unwrap().failure_threshold, 7);
    assert_eq!(model.wire(), "wire");
    assert_eq!(serde_json::to_string(&model.extra).unwrap(), r#"{"top_k":2,"seed":1}"#);
    assert!(local.model("n").is_some());
    let top: Vec<_> = loaded.settings.iter().map(|set| (set.key, lab.plain(&set.origin))).collect();
    assert_eq!(
        top,
        [
            ("failure_threshold", "~/.config/llm-rs/config.toml:4".to_owned()),
            ("max_retries", "~/project/llm.toml:2".to_owned()),
        ]
    );
}

#[test]
fn a_projects_file_may_not_redirect_a_key_unless_it_is_trusted() {
    for (text, line, key) in [
        ("[providers.openai]\nbase_url = 'https://evil.test/v1'", 2, "providers.openai.base_url"),
        ("[providers.x]\nendpoints = [{ base_url = 'https://evil.test/v1' }]", 2, "providers.x.base_url"),
        ("[providers.openrouter]\napi_key = { env = 'OPENAI_API_KEY' }", 2, "providers.openrouter.api_key"),
        ("[providers.openai]\napi_key = { file = '/home/me/.ssh/id' }", 2, "providers.openai.api_key"),
        ("max_retries = 1\nproxy = 'http://evil.test'", 2, "proxy"),
        ("[providers.openai]\nproxy = 'http://evil.test'", 2, "providers.openai.proxy"),
        ("[providers.openai.models.x]\nca_file = 'evil.pem'", 2, "providers.openai.ca_file"),
        ("[providers.openai.models.x]\nbase_url = 'https://evil.test/v1'", 2, "providers.openai.base_url"),
        (
            "[providers.openai.models.x]\nendpoints = [{ base_url = 'https://evil.test' }]",
            2,
            "providers.openai.base_url",
        ),
        ("[providers.openai.models.x]\napi_key = { cmd = 'evil' }", 2, "providers.openai.api_key"),
        ("[providers.openai]\napi_key = { keyring = 'openai' }", 2, "providers.openai.api_key"),
        ("[providers.openai]\nheaders = { x-api-key = 'theirs' }", 1, "providers.openai.headers"),
        ("allow_http = true", 1, "allow_http"),
        ("tls_roots = 'bundled'", 1, "tls_roots"),
    ] {
        let mut lab = Lab::new().project(text);
        let error = lab.load().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{text}");
        assert_eq!(
            lab.plain(&error.to_string()),
            format!(
                "~/project/llm.toml:{line}: a project's file may not set {key}: it could send your keys and prompts \
                 elsewhere"
            ),
        );
        assert_eq!(
            error.hint().map(|hint| lab.plain(hint)).as_deref(),
            Some(
                "if you trust it, name it: --config ~/project/llm.toml; or move the line to \
                 ~/.config/llm-rs/config.toml"
            )
        );
        lab.args.trust_project = true;
        lab.load().unwrap_or_else(|e| panic!("{text}: {e}"));
        lab.args.trust_project = false;
        lab.args.config = Some(lab.project_file());
        lab.load().unwrap_or_else(|e| panic!("{text}: {e}"));
    }
    let error = Lab::new().project("prices = '/etc/hosts'").load().unwrap_err();
    assert!(
        error.message().ends_with("may not set prices: it could let more be spent than you want"),
        "{error}"
    );
    let harmless = "default = 'openai/x'\nmax_retries = 0\n[providers.openai.models.y]\nextra = { a = 1 }";
    Lab::new().project(harmless).load().unwrap();
}

#[test]
fn a_projects_budget_makes_the_users_smaller_and_never_larger() {
    let lab = Lab::new()
        .user("[budgets.b]\nmax_cost_usd = 1\nmax_tokens = 500\n[limits.l]\nmax_concurrent_calls = 1")
        .project("[budgets.b]\nmax_cost_usd = 100\nmax_tokens = 50\n[budgets.c]\nmax_tokens = 5");
    let budgets = lab.load().unwrap().budgets().snapshot();
    let told: Vec<_> =
        budgets.iter().map(|b| (&*b.name, b.limits.money.map(|m| m.to_string()), b.limits.tokens)).collect();
    assert_eq!(told, [("b", Some("$1.00".to_owned()), Some(50)), ("c", None, Some(5))]);
}

#[test]
fn a_trusted_address_does_not_inherit_the_users_key() {
    let mut lab = Lab::new()
        .env("K", "sk-1")
        .user("[providers.x]\nbase_url = 'https://mine.test/v1'\napi_key = { env = 'K' }")
        .project("[providers.x]\nbase_url = 'https://theirs.test/v1'");
    lab.args.trust_project = true;
    let provider = lab.load().unwrap().manager.provider("x").unwrap();
    assert_eq!(
        (provider.address().as_deref(), provider.key_origin()),
        (Some("https://theirs.test/v1"), None)
    );
}

#[test]
fn paths_are_meant_from_the_files_own_folder() {
    let lab = Lab::new().user("ca_file = 'ca.pem'\n[providers.openai.models.x]\nclient_cert_file = '~/c.pem'\nclient_key_file = '/k.pem'");
    let provider = lab.load().unwrap().manager.provider("openai").unwrap();
    let settings = provider.model("x").unwrap().settings.clone().unwrap();
    let plain = |path: Option<String>| lab.plain(&path.unwrap());
    assert_eq!(plain(settings.ca_file), "~/.config/llm-rs/ca.pem");
    assert_eq!(plain(settings.client_cert_file), "~/c.pem");
    assert_eq!(plain(settings.client_key_file), "/k.pem");
}

#[test]
fn a_hostile_file_ends_soon_and_well() {
    for text in [
        "[".repeat(1 << 19),
        format!("x = {}", "[".repeat(10_000)),
        format!("x = {}", "{a=".repeat(10_000)),
        "a.".repeat(200_000),
        "\u{0}".repeat(1000),
        format!("[providers.x.models.{}]", "a".repeat(500_000)),
        "x".repeat((1 << 20) + 1),
    ] {
        assert_eq!(Lab::new().user(&text).load().unwrap_err().kind(), ErrorKind::Config);
    }
}

#[cfg(unix)]
#[test]
fn nothing_but_a_file_is_waited_for() {
    let lab = Lab::new();
    // A name that can be looked up and not read: a link that goes round.
    fs::create_dir_all(lab.user_file().parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(lab.user_file(), lab.user_file()).unwrap();
    std::os::unix::fs::symlink("/dev/zero", lab.project_file()).unwrap();
    assert!(lab.load().unwrap().files.is_empty());
}

#[test]
fn variables_and_options_go_above_every_file() {
    let text =
        "max_retries = 1\n[providers.openai]\nmax_retries = 2\n[providers.openai.models.x]\nmax_retries = 3";
    let mut lab = Lab::new().user(text).env("LLM_RS_MAX_RETRIES", "4");
    let retries = |lab: &Lab| {
        let provider = lab.load().unwrap().manager.provider("openai").unwrap();
        provider.model("x").unwrap().settings.as_ref().unwrap().max_retries
    };
    assert_eq!(retries(&lab), 4);
    lab.args.sets = vec![("max_retries".into(), "5".into()), ("max_retries".into(), "6".into())];
    assert_eq!(retries(&lab), 6);
    lab.args.sets = vec![("max_retry".into(), "5".into())];
    assert_eq!(lab.refused(), "--set max_retry: `max_retry` is not a setting; did you mean `max_retries`?");
    assert_eq!(
        Lab::new().env("LLM_RS_HTTP2", "maybe").refused(),
        "LLM_RS_HTTP2: `maybe` is not true or false"
    );
}
