//! The same configuration in TOML, YAML and JSON, and what each of them may not do.

use llm_types::ErrorKind;

use crate::support::Lab;

const TOML: &str = r#"
default = "fast"
max_retries = 2
idle_timeout_secs = 1.50
http2 = false
[aliases]
fast = "local/b"
[providers.local]
base_url = "http://127.0.0.1:8000/v1"
api_keys = [{ env = "LOCAL_KEY" }]
[providers.local.models.b]
model = "Qwen/b"
max_concurrent_calls = 10
extra = { top_k = 20, p = 0.50, deep = { on = [1, 2], no = "no" } }
[providers.local.models.a]
"#;

const JSON: &str = r#"{
  "default": "fast", "max_retries": 2, "idle_timeout_secs": 1.50, "http2": false,
  "aliases": {"fast": "local/b"},
  "providers": {"local": {
    "base_url": "http://127.0.0.1:8000/v1",
    "api_keys": [{"env": "LOCAL_KEY"}],
    "models": {
      "b": {"model": "Qwen/b", "max_concurrent_calls": 10,
            "extra": {"top_k": 20, "p": 0.50, "deep": {"on": [1, 2], "no": "no"}}},
      "a": {}
    }
  }}
}"#;

#[cfg(feature = "yaml")]
const YAML: &str = r"
# What YAML 1.1 would take for switches are words.
default: fast
max_retries: 2
idle_timeout_secs: 1.50
http2: false
aliases: {fast: local/b}
providers:
  local:
    base_url: http://127.0.0.1:8000/v1
    api_keys:
      - env: LOCAL_KEY
    models:
      b:
        model: Qwen/b
        max_concurrent_calls: 10
        extra: {top_k: 20, p: 0.50, deep: {on: [1, 2], no: no}}
      a:
";

/// Everything that a load gives, in words.
fn told(ending: &str, text: &str) -> String {
    let mut lab = Lab::new().env("LOCAL_KEY", "sk-1");
    let file = lab.home().join(format!("named.{ending}"));
    lab.write(&file, text);
    lab.args.config = Some(file);
    let loaded = match lab.load() {
        Ok(loaded) => loaded,
        Err(e) => return lab.plain(&e.to_string()),
    };
    let provider = loaded.manager.provider("local").unwrap();
    let models: Vec<String> = provider
        .models()
        .iter()
        .map(|m| format!("{} {} {:?} {:?}", m.name, m.wire(), m.settings, m.extra))
        .collect();
    let (default, aliases) = (loaded.manager.default_model(), loaded.manager.aliases());
    let settings: Vec<_> = loaded.settings.iter().map(|set| (set.key, &*set.value)).collect();
    let (address, key) = (provider.address(), provider.key_origin());
    format!("{default:?} {aliases:?} {settings:?} {address:?} {key:?} {models:#?}")
}

#[test]
fn the_same_document_means_the_same_in_every_format() {
    let toml = told("toml", TOML);
    assert!(toml.contains("Qwen/b") && toml.contains("0.50"), "{toml}");
    assert_eq!(told("json", JSON), toml);
    #[cfg(feature = "yaml")]
    for ending in ["yaml", "yml", "YAML"] {
        assert_eq!(told(ending, YAML), toml);
    }
}

/// One mistake in three notations: the message differs in the file's name and line only.
#[test]
fn a_mistake_is_told_alike_in_every_format() {
    for (toml, yaml, json, message) in [
        (
            "max_retry = 1",
            "max_retry: 1",
            r#"{"max_retry": 1}"#,
            "1: unknown key `max_retry`; did you mean `max_retries`?",
        ),
        (
            "[providers.x]\nbase_url = 1",
            "providers: {x: {\n base_url: 1}}",
            "{\"providers\": {\"x\": {\n\"base_url\": 1}}}",
            "2: providers.x.base_url: a number stands here, a text is wanted",
        ),
        (
            "[providers.x]\napi_key = \"sk-canary\\nX\"",
            "providers: {x: {\n api_key: \"sk-canary\\nX\"}}",
            "{\"providers\": {\"x\": {\n\"api_key\": \"sk-canary\\nX\"}}}",
            "2: providers.x.api_key: the key has a line break at character 10; a key is made of visible ASCII characters \
             only",
        ),
        (
            "\n\"a\\nb\" = 1",
            "\n\"a\\nb\": 1",
            "{\n\"a\\nb\": 1}",
            "2: unknown key `a\\nb`; allowed are default, prices, aliases, providers",
        ),
        (
            "aliases = [1]",
            "aliases: [1]",
            r#"{"aliases": [1]}"#,
            "1: aliases: a list stands here, a table is wanted",
        ),
    ] {
        for (ending, text) in [("toml", toml), ("yaml", yaml), ("json", json)] {
            if ending == "yaml" && !cfg!(feature = "yaml") {
                continue;
            }
            let found = told(ending, text);
            let wanted = format!("~/named.{ending}:{message}");
            assert!(found.starts_with(&wanted), "{found}\n{wanted}");
            assert!(!found.contains("canary"), "{found}");
        }
    }
}

#[test]
fn what_json_does_not_allow_is_told_with_its_line() {
    for (text, message) in [
        ("", "1: this is not JSON: EOF while parsing a value"),
        ("{\n\"a\": }", "2: this is not JSON: expected value"),
        ("[1]", "1: a list stands here, a table is wanted"),
        ("{} {}", "1: this is not JSON: trailing characters"),
        ("{\n\"default\": \"x\",\n\"default\": \"y\"}", "3: the key \"default\" stands here a second time"),
        ("{\"default\":\nnull}", "1: default: nothing stands here, a text is wanted"),
        ("{\"max_retries\":\n1.5}", "1: max_retries: `1.5` is not a whole number from 0 up"),
    ] {
        assert_eq!(told("json", text), format!("~/named.json:{message}"), "{text:?}");
    }
    let deep = |depth: usize| format!("{{\"x\": {}{}}}", "[".repeat(depth), "]".repeat(depth));
    assert!(told("json", &deep(64)).contains("unknown key `x`"));
    for depth in [65, 200_000] {
        assert!(told("json", &deep(depth)).ends_with("nest deeper than 64"), "{depth}");
    }
}

#[cfg(feature = "yaml")]
#[test]
fn what_yaml_may_not_do_is_told_with_its_line() {
    for (text, message) in [
        ("a: 1\na: 2", "2: the key \"a\" stands here a second time"),
        ("a:\n\t- 1", "2: this is not YAML: "),
        ("a: [1", "2: this is not YAML: "),
        ("default: x\n---\ndefault: y", "2: a second document begins here; a file holds one"),
        ("a: &x [*x]", "1: this alias stands for something that holds it"),
        ("a: *nowhere", "1: this is not YAML: "),
        (
            "a: !!python/object:os.system x",
            "1: the tag \"python/object:os.system\" means nothing in a configuration",
        ),
        ("? [a]\n: 1", "1: a key is a plain text, without anchors, aliases and tags"),
        ("a:\n  <<: 1", "2: `<<` merges tables only"),
        ("- 1", "1: a list stands here, a table is wanted"),
        (
            "default: no\nhttp2: no\nmax_retries: nine",
            "3: max_retries: `nine` is not a whole number from 0 up",
        ),
    ] {
        let found = told("yaml", text);
        let wanted = format!("~/named.yaml:{message}");
        assert!(found.starts_with(&wanted), "{text:?}: {found}");
    }
}

#[cfg(feature = "yaml")]
#[test]
fn a_yaml_bomb_is_refused_at_once() {
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..12 {
        let item = format!("*a{}", level - 1);
        bomb.push_str(&format!("a{level}: &a{level} [{}]\n", vec![item; 10].join(", ")));
    }
    let found = told("yaml", &bomb);
    assert!(found.contains("stand for more values than a configuration can need"), "{found}");
    let flow = |depth: usize| format!("x: {}{}", "[".repeat(depth), "]".repeat(depth));
    let block = |depth: usize| (0..depth).map(|n| format!("{}k:\n", " ".repeat(n))).collect::<String>();
    let dashes = |depth: usize| format!("x:\n{}1", "- ".repeat(depth));
    assert!(told("yaml", &flow(64)).contains("unknown key `x`"));
    for text in [flow(65), flow(400_000), block(70), block(1200), dashes(66), dashes(400_000)] {
        let found = told("yaml", &text);
        assert!(found.ends_with("nest deeper than 64"), "{found}");
    }
    let nested: String = (1..80).map(|n| format!("a{n}: &a{n} [*a{}]\n", n - 1)).collect();
    assert!(told("yaml", &format!("a0: &a0 [1]\n{nested}")).ends_with("nest deeper than 64"));
}

#[cfg(feature = "yaml")]
#[test]
fn hostile_yaml_ends_soon_and_well() {
    for text in [
        "{a: ".repeat(200_000),
        "? ".repeat(400_000),
        "&a ".repeat(300_000),
        "a: ".repeat(300_000),
        "'".repeat(1 << 20),
        "\u{0}".repeat(1000),
        "%TAG ! tag:x,2000:\n".repeat(50_000),
        "!".repeat(1 << 20),
        "- - - ? : [ { & * ! | > ' \" % @ `\n".repeat(20_000),
        "|\n".repeat(400_000),
    ] {
        let found = told("yaml", &text);
        assert!(found.starts_with("~/named.yaml:"), "{}", found.get(..200).unwrap_or(&found));
    }
}

#[test]
fn two_files_side_by_side_are_refused_and_the_endings_are_found() {
    let lab = Lab::new();
    lab.write(&lab.user_file().with_extension("json"), r#"{"default": "of-json"}"#);
    lab.write(&lab.project_file().with_extension("json"), r#"{"max_retries": 7}"#);
    let loaded = lab.load().unwrap();
    assert_eq!(loaded.manager.default_model().as_deref(), Some("of-json"));
    assert_eq!(loaded.user_config, Some(lab.user_file().with_extension("json")));
    assert_eq!(loaded.settings[0].value, "7");
    lab.write(&lab.user_file(), "");
    let error = lab.load().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert_eq!(
        lab.plain(&error.to_string()),
        "~/.config/llm-rs/config.toml and ~/.config/llm-rs/config.json stand side by side"
    );
    let lab = Lab::new().project("");
    lab.write(&lab.project_file().with_extension("yaml"), "");
    assert_eq!(lab.refused(), "~/project/llm.toml and ~/project/llm.yaml stand side by side");
}
