//! What a file may say, and what is said about what it may not.

use std::time::Duration;

use llm_types::ErrorKind;

use crate::support::{Lab, mode};

#[test]
fn a_file_can_say_all_of_this() {
    let lab = Lab::new().env("LOCAL_KEY", "sk-local").user(
        r#"
        default = "fast"
        max_retries = 2
        idle_timeout_secs = 1.5
        http2 = false

        [aliases]
        fast = "local/qwen3-8b"

        [providers.local]
        base_url = "http://127.0.0.1:8000/v1"
        dialect = "openai_chat"
        api_keys = [{ env = "LOCAL_KEY" }, { env = "NO_KEY" }]
        max_retries = 5
        failure_threshold = 9

        [providers.local.models."qwen3-8b"]
        model = "Qwen/Qwen3-8B"
        max_concurrent_calls = 10
        failure_threshold = 4
        extra = { top_k = 20, chat_template_kwargs = { enable_thinking = false }, stop_token_ids = [1, 2], p = 0.5 }

        [providers.local.models.plain]

        [providers.deepseek]
        api_key = { env = "DEEPSEEK_API_KEY" }
        "#,
    );
    let loaded = lab.load().unwrap();
    assert_eq!(loaded.warnings, Vec::<String>::new());
    assert_eq!(loaded.files, [lab.user_file()]);
    let ids: Vec<String> = loaded.manager.models().into_iter().map(|model| model.id).collect();
    assert_eq!(ids, ["local/qwen3-8b", "local/plain"]);
    let names: Vec<String> = loaded.manager.providers().iter().map(|p| p.name().to_owned()).collect();
    // Those of the file come first, then the rest of the catalogue; a loopback server is the command's alone.
    let rest = llm_provider::catalogue::all().iter().filter(|row| !row.loopback && row.name != "deepseek");
    let expected: Vec<&str> = ["local", "deepseek"].into_iter().chain(rest.map(|row| row.name)).collect();
    assert_eq!(names, expected);
    let local = loaded.manager.provider("local").unwrap();
    assert_eq!(local.address().as_deref(), Some("http://127.0.0.1:8000/v1"));
    assert_eq!(local.key_origin(), Some("LOCAL_KEY, NO_KEY"));
    let model = local.model("qwen3-8b").unwrap();
    assert_eq!(model.wire(), "Qwen/Qwen3-8B");
    let settings = model.settings.as_ref().unwrap();
    assert_eq!(
        (settings.max_retries, settings.max_concurrent_calls, settings.failure_threshold),
        (5, Some(10), 4)
    );
    assert_eq!((settings.idle_timeout, settings.http2), (Some(Duration::from_millis(1500)), false));
    assert_eq!(
        serde_json::to_string(&model.extra).unwrap(),
        r#"{"top_k":20,"chat_template_kwargs":{"enable_thinking":false},"stop_token_ids":[1,2],"p":0.5}"#
    );
    let plain = local.model("plain").unwrap().settings.clone().unwrap();
    assert_eq!((plain.failure_threshold, plain.max_concurrent_calls), (9, None));
    assert_eq!(loaded.manager.client("fast").unwrap().id(), "local/qwen3-8b");
}

#[test]
fn a_mistake_is_named_with_its_line_and_what_is_allowed() {
    for (text, message) in [
        ("defualt = 'x'", "1: unknown key `defualt`; did you mean `default`?"),
        ("timeout = 3", "1: unknown key `timeout`; it is called `attempt_timeout_secs` here"),
        ("max_retries = -1", "1: max_retries: `-1` is not a whole number from 0 up"),
        ("max_retries = [1]", "1: max_retries: a list stands here, a plain value is wanted"),
        ("tls_roots = 'mine'", "1: tls_roots: `mine` is not platform or bundled"),
        ("default = 3", "1: default: a number stands here, a text is wanted"),
        ("default = ' '", "1: default: the text is empty"),
        ("\naliases = 3", "2: aliases: a number stands here, a table is wanted"),
        ("[aliases]\na = 'b'\nb = 'a'", "3: aliases go round in a circle: b → a → b"),
        (
            "[aliases]\n\"openai/x\" = 'b'",
            "2: `openai/x` cannot be an alias: it already names the model `x` of openai",
        ),
        ("[providers.local]", "1: [providers.local] needs base_url: where is it?"),
        ("[providers.openai-compatible]", "1: [providers.openai-compatible] needs base_url: where is it?"),
        ("[providers.mock]", "1: mock needs the `llm` command, which runs its server"),
        (
            "[providers.\"a/b\"]",
            "1: \"a/b\" cannot name a provider: a name has no `/`, no `:` and no space, and is not empty",
        ),
        (
            "[providers.openai]\nbase_urls = 'x'",
            "2: unknown key `base_urls` in [providers.openai]; did you mean `base_url`?",
        ),
        (
            "[providers.openai.models.x]\nmax_token = 1",
            "2: unknown key `max_token` in [providers.openai.models.x]; allowed are model, extra, base_url, endpoints, strategy, fallback, pool, dialect …",
        ),
        (
            "[providers.openai.models.\"a/b\"]\nmodle = 'x'",
            "2: unknown key `modle` in [providers.openai.models.\"a/b\"]; did you mean `model`?",
        ),
        (
            "[providers.x]\nbase_url = 'localhost:8000/v1'",
            "2: providers.x.base_url: the URL has no scheme: did you mean http://localhost:8000/v1?",
        ),
        (
            "[providers.x]\nbase_url = 'http://h'\ndialect = 'openai-chat'",
            "3: providers.x.dialect: `openai-chat` is not a dialect of this version; did you mean `openai_chat`?",
        ),
        (
            "[providers.x]\nbase_url = 'http://h'\nendpoints = [{ base_url = 'http://i' }]",
            "3: providers.x.endpoints: give base_url or endpoints, not both",
        ),
        (
            "[providers.x]\nbase_url = 'http://h'\nthink_tags = 'leading <other>'",
            "3: providers.x.think_tags: `leading <other>` is none of off, leading and starts_open, or the open tag behind it is not known",
        ),
        ("[providers.x]\nendpoints = []", "2: providers.x.endpoints: the list is empty"),
        ("[providers.x]\nendpoints = [{ weight = 1 }]", "2: providers.x.endpoints[0] needs a base_url"),
        (
            "[providers.x]\nendpoints = [{ base_url = 'http://h', weight = 0 }]",
            "2: providers.x.endpoints[0].weight: a weight is a whole number from 1 up",
        ),
        (
            "[providers.openai]\napi_key = { env = 'A' }\napi_keys = []",
            "3: providers.openai.api_keys: give api_key or api_keys, not both",
        ),
        (
            "[providers.openai]\napi_key = { cmd = 'pass show x | head -1' }",
            "2: providers.openai.api_key.cmd: no shell runs here, so `|` would mean nothing; quote it, or write [\"sh\", \
             \"-c\", \"…\"]",
        ),
        (
            "[providers.openai]\napi_key = { cmd = ' ' }",
            "2: providers.openai.api_key.cmd: the command is empty",
        ),
        (
            "[providers.openai]\napi_key = { cmd = [] }",
            "2: providers.openai.api_key.cmd: the command is empty",
        ),
        (
            "[providers.openai]\napi_key = { cmd = ['a', 1] }",
            "2: providers.openai.api_key.cmd[1]: a number stands here, a text is wanted",
        ),
        (
            "[providers.openai]\napi_key = { cmd = 'a', keyring = 'b' }",
            "2: providers.openai.api_key.keyring: give cmd or keyring, not both",
        ),
        (
            "[providers.openai]\napi_key = {}",
            "2: providers.openai.api_key: one of env, file, cmd, keyring is wanted here",
        ),
        (
            "[providers.openai]\napi_key = { evn = 'X' }",
            "2: unknown key `evn` in [providers.openai.api_key]; did you mean `env`?",
        ),
        (
            "[providers.openai]\napi_key = { env = '$X' }",
            "2: providers.openai.api_key.env: \"$X\" cannot name a variable",
        ),
        (
            "[providers.openai]\napi_key = '${OPENAI_KEY}'",
            "2: providers.openai.api_key: variables are not filled in here; write { env = \"OPENAI_KEY\" } for a variable",
        ),
        (
            "[providers.openai]\napi_key = 'sk-canary 1'",
            "2: providers.openai.api_key: the key has a space at character 10; a key is made of visible ASCII characters \
             only",
        ),
        ("[providers.openai]\napi_key = ''", "2: providers.openai.api_key: the key is empty"),
        (
            "[providers.openai]\napi_key = 7",
            "2: providers.openai.api_key: a number stands here; a key is { env = \"VARIABLE\" }, { file = \"PATH\" }, { cmd = \
             \"COMMAND\" }, { keyring = \"NAME\" } or a text",
        ),
        (
            "[providers.openai.models.x.extra]\nday = 2026-01-01",
            "2: providers.openai.models.x.extra.day: JSON has no dates; write \"2026-01-01\" as a text",
        ),
        (
            "[providers.openai.models.x.extra]\nx = inf",
            "2: providers.openai.models.x.extra.x: inf cannot be sent as JSON",
        ),
        (
            "[providers.openai.models.x]\nbackoff_base_ms = 90_000",
            "openai/x: backoff_base_ms: `90000` is not at most backoff_cap_ms (60000) (~/.config/llm-rs/config.toml:2)",
        ),
    ] {
        let lab = Lab::new().user(text);
        let error = lab.load().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Config, "{text}");
        let found = lab.plain(&error.to_string());
        let wanted = if message.starts_with("openai/x") {
            message.to_owned()
        } else {
            format!("~/.config/llm-rs/config.toml:{message}")
        };
        assert_eq!(found, wanted);
        assert!(!found.contains("canary"), "{found}");
    }
}

#[test]
fn one_endpoint_is_as_good_as_a_base_url() {
    let lab = Lab::new().env("A", "sk-a").user(
        r#"
        [providers.x]
        endpoints = [{ base_url = "http://h:1/v1", api_key = { env = "A" }, model = "wire", weight = 2 }]
        [providers.x.models.own]
        model = "mine"
        [providers.x.models.free]
        [providers.y]
        api_key = { env = "A" }
        endpoints = [{ base_url = "http://h:2/v1", model = "only" }]
        "#,
    );
    let manager = lab.load().unwrap().manager;
    let x = manager.provider("x").unwrap();
    assert_eq!((x.address().as_deref(), x.key_origin()), (Some("http://h:1/v1"), Some("A")));
    assert_eq!((x.model("own").unwrap().wire(), x.model("free").unwrap().wire()), ("mine", "wire"));
    let y = manager.provider("y").unwrap();
    assert_eq!((y.models()[0].wire(), y.key_origin()), ("only", Some("A")));
}

#[test]
fn how_a_key_is_kept_is_warned_about() {
    let lab = Lab::new().user(
        r#"
        [providers.deepseek]
        api_key = "sk-canary-1"
        [providers.openai]
        api_key = { file = "key" }
        [providers.openrouter]
        api_keys = [{ file = "~/tight" }]
        "#,
    );
    let key = lab.user_file().with_file_name("key");
    lab.write(&key, "sk-2\n");
    lab.write(&lab.home().join("tight"), "sk-3");
    mode(&key, 0o640);
    mode(&lab.user_file(), 0o644);
    let loaded = lab.load().unwrap();
    let warnings: Vec<String> = loaded.warnings.iter().map(|warning| lab.plain(warning)).collect();
    let (plain, rest) = warnings.split_first().unwrap();
    assert_eq!(
        plain,
        "~/.config/llm-rs/config.toml:3: a key stands here as plain text; { env = \"VARIABLE\" } or { file = \"PATH\" } \
         keeps it out of this file"
    );
    if cfg!(unix) {
        assert_eq!(
            rest,
            [
                "~/.config/llm-rs/config.toml: it holds a key and others can read it (mode 0644); `chmod 600 \
                 ~/.config/llm-rs/config.toml` closes it",
                "~/.config/llm-rs/key: it holds a key and others can read it (mode 0640); `chmod 600 \
                 ~/.config/llm-rs/key` closes it",
            ]
        );
    }
    for model in ["deepseek/x", "openai/x", "openrouter/x"] {
        loaded.manager.client(model).unwrap();
    }
    assert!(!format!("{loaded:?}").contains("canary"));
}

#[test]
fn a_key_that_is_missing_is_said_when_it_is_needed() {
    let lab = Lab::new().env("BROKEN", "sk-\u{e9}").user(
        r#"
        [providers.openai]
        api_key = { file = "nowhere" }
        [providers.deepseek]
        api_keys = [{ env = "ONE" }, { env = "TWO" }]
        [providers.openrouter]
        api_key = { env = "BROKEN" }
        [providers.local]
        base_url = "http://127.0.0.1:8000/v1"
        [providers.work]
        base_url = "https://api.openai.com/v1"
        "#,
    );
    let manager = lab.load().unwrap().manager;
    for (model, kind, message) in [
        ("openai/x", ErrorKind::Authentication, "the key file ~/.config/llm-rs/nowhere cannot be read"),
        ("deepseek/x", ErrorKind::Authentication, "no key for deepseek: ONE or TWO is not set"),
        (
            "openrouter/x",
            ErrorKind::Config,
            "BROKEN: the key has a non-ASCII character at character 4; a key is made of visible ASCII characters only",
        ),
        (
            "work/x",
            ErrorKind::Authentication,
            "no key for work: write api_key = { env = \"VARIABLE\" } under [providers.work] in \
             ~/.config/llm-rs/config.toml",
        ),
    ] {
        let error = manager.client(model).unwrap_err();
        assert_eq!((error.kind(), lab.plain(&error.to_string())), (kind, message.to_owned()));
        assert_eq!(error.model(), Some("x"));
    }
    manager.client("local/x").unwrap();
    let bare = Lab::new();
    assert_eq!(
        bare.plain(&bare.load().unwrap().manager.client("openai/x").unwrap_err().to_string()),
        "no key for openai: set OPENAI_API_KEY, or write api_key = { env = \"OPENAI_API_KEY\" } under \
         [providers.openai] in ~/.config/llm-rs/config.toml"
    );
}

#[cfg(unix)]
#[test]
fn a_command_runs_once_and_only_when_its_key_is_needed() {
    let lab = Lab::new();
    let (script, count) = (lab.home().join(".config/llm-rs/key.sh"), lab.home().join("count"));
    lab.write(&script, &format!("#!/bin/sh\necho x >> '{}'\necho sk-$1\n", count.display()));
    let script = script.display();
    let lab = lab.user(&format!(
        r#"
        [providers.openai]
        api_keys = [{{ cmd = "sh '{script}' one" }}, {{ cmd = ["sh", "{script}", "two"] }}]
        [providers.deepseek]
        api_key = {{ cmd = "./no-such-program" }}
        "#,
    ));
    let loaded = lab.load().unwrap();
    assert!(!count.exists());
    assert_eq!(
        loaded.manager.provider("openai").unwrap().key_origin(),
        Some("the command `sh`, the command `sh`")
    );
    for model in ["openai/x", "openai/y"] {
        loaded.manager.client(model).unwrap();
    }
    assert_eq!(std::fs::read_to_string(&count).unwrap(), "x\nx\n");
    let error = loaded.manager.client("deepseek/x").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Authentication);
    assert_eq!(error.to_string(), "the command `no-such-program` cannot be run");
}

/// Whose key goes to a provider of the configuration: a variable that the user set outranks what is stored, and the
/// vendor's own variable is for the vendor's own hosts.
#[test]
fn the_vendors_variable_is_for_the_vendors_hosts() {
    for (text, origin, warning) in [
        ("[providers.openai]", Some("OPENAI_API_KEY"), None),
        ("[providers.openai]\napi_key = { env = 'MINE' }", Some("MINE"), None),
        ("[providers.openai]\napi_keys = []", None, None),
        (
            "[providers.openai]\napi_key = 'sk-stored'",
            Some("OPENAI_API_KEY"),
            Some("OPENAI_API_KEY is set and goes before the key that stands here"),
        ),
        ("[providers.openai]\nbase_url = 'https://eu.api.openai.com/v1'", Some("OPENAI_API_KEY"), None),
        (
            "[providers.openai]\nbase_url = 'https://gateway.test/v1'",
            None,
            Some("OPENAI_API_KEY is not sent there, since it is not one of OpenAI's own hosts"),
        ),
        ("[providers.openai]\nbase_url = 'https://gateway.test/v1'\napi_keys = []", None, None),
        (
            "[providers.openai]\nbase_url = 'https://gateway.test/v1'\napi_key = { env = 'MINE' }",
            Some("MINE"),
            None,
        ),
    ] {
        let lab = Lab::new().env("OPENAI_API_KEY", "sk-env").env("MINE", "sk-mine").user(text);
        let loaded = lab.load().unwrap();
        let provider = loaded.manager.provider("openai").unwrap();
        assert_eq!(provider.key_origin(), origin, "{text}");
        let warnings: Vec<&String> =
            loaded.warnings.iter().filter(|warning| !warning.contains("plain text")).collect();
        match warning {
            None => assert!(warnings.is_empty(), "{text}: {warnings:?}"),
            Some(warning) => {
                assert!(warnings.len() == 1 && warnings[0].contains(warning), "{text}: {warnings:?}");
            }
        }
    }
    // A name of the user's own on the vendor's host: not the built-in provider.
    let lab = Lab::new()
        .env("OPENAI_API_KEY", "sk-env")
        .user("[providers.work]\nbase_url = 'https://api.openai.com/v1'");
    assert_eq!(lab.load().unwrap().manager.provider("work").unwrap().key_origin(), None);
}

#[test]
fn a_variable_moves_the_built_in_provider_and_no_other() {
    let lab = Lab::new()
        .env("OPENAI_BASE_URL", "https://gateway.test/v1")
        .env("OPENAI_API_KEY", "sk-env")
        .user("[providers.work]\nbase_url = 'https://api.openai.com/v1'\napi_keys = []");
    let loaded = lab.load().unwrap();
    let address = |name: &str| loaded.manager.provider(name).unwrap().address().unwrap();
    assert_eq!(
        (&*address("openai"), &*address("work")),
        ("https://gateway.test/v1", "https://api.openai.com/v1")
    );
    // The variables are a pair.
    assert_eq!(loaded.manager.provider("openai").unwrap().key_origin(), Some("OPENAI_API_KEY"));
    let settled = Lab::new()
        .env("OPENAI_BASE_URL", "https://gateway.test/v1")
        .user("[providers.openai]\nbase_url = 'https://mine.test/v1'");
    let provider = settled.load().unwrap().manager.provider("openai").unwrap();
    assert_eq!(provider.address().as_deref(), Some("https://mine.test/v1"));
}
