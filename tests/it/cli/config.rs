//! `llm config`, `llm init`, `llm set-model`: files seen, checked and changed.

use super::harness::{Llm, on_terminal};

const OWN: &str = ".config/llm-rs/config.toml";

#[cfg(unix)]
fn mode(llm: &Llm, path: &str) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(llm.path(path)).unwrap().permissions().mode() & 0o777
}

#[tokio::test]
async fn show_names_every_value_and_hides_every_key() {
    const KEY: &str = "sk-canary-0123456789";
    let llm =
        Llm::new().variable("LOCAL_KEY", KEY).variable("LLM_RS_PROXY", "http://me:canary-pw@127.0.0.1:9");
    llm.write(
        OWN,
        r#"
default = "fast"
[aliases]
fast = "local/qwen3-8b"
[providers.local]
base_url = "http://127.0.0.1:1/v1"
api_keys = [{ env = "LOCAL_KEY" }, { env = "OTHER_KEY" }, { file = "missing.key" }]
max_retries = 1
[providers.local.models."qwen3-8b"]
model = "Qwen/Qwen3-8B"
idle_timeout_secs = 2.5
extra = { top_k = 20 }
"#,
    );
    let plain = llm.run(&["config", "show"]).await.exits(0);
    let shown = llm.run(&["config", "show", "--origin"]).await.exits(0);
    for ran in [&plain, &shown] {
        for line in [
            "model = \"local/qwen3-8b\"",
            "sent_as = \"Qwen/Qwen3-8B\"",
            "fast = \"local/qwen3-8b\"",
            "[providers.local.models.qwen3-8b]",
            "idle_timeout_secs = 2.5",
            "api_key = \"…6789\"",
            "api_key = \"missing\"",
            "proxy = \"http://…@127.0.0.1:9\"",
            "extra = {\"top_k\":20}",
            "backoff_cap_ms = 60000",
            "Built in besides",
        ] {
            assert!(ran.out.contains(line), "`{line}` is missing in: {}", ran.out);
        }
        assert!(!ran.out.contains("canary") && !ran.err.contains("canary"), "{}", ran.out);
    }
    for origin in ["config.toml:8", "config.toml:11", "variable LOCAL_KEY", "LLM_RS_PROXY", "# built-in"] {
        assert!(shown.out.contains(origin), "`{origin}` is missing in: {}", shown.out);
        assert!(!plain.out.contains(origin), "`{origin}` stands in: {}", plain.out);
    }
    let json = llm.run(&["config", "show", "--json", "--max-retries", "7"]).await.exits(0).json();
    assert_eq!(json["v"], 1);
    assert_eq!(json["settings"]["max_retries"]["value"], "7");
    assert_eq!(json["settings"]["max_retries"]["from"], "--max-retries");
    assert!(json["aliases"]["fast"]["from"].as_str().unwrap().ends_with("config.toml:4"), "{json}");
    let local = json["providers"].as_array().unwrap().iter().find(|p| p["name"] == "local").unwrap();
    let states: Vec<_> =
        local["places"][0]["keys"].as_array().unwrap().iter().map(|key| key["state"].clone()).collect();
    assert_eq!(states, ["set", "missing", "missing"]);
    assert_eq!(local["models"][0]["settings"]["idle_timeout_secs"]["value"], "2.5");
}

#[tokio::test]
async fn show_tells_endpoints_pools_and_chains_apart() {
    let llm =
        Llm::new().variable("KEY_A", "sk-canary-a-0123-aaaa").variable("KEY_B", "sk-canary-b-0123-bbbb");
    llm.write(
        OWN,
        r#"
default = "smart"
[providers.twin]
strategy = "weighted"
endpoints = [
  { base_url = "http://127.0.0.1:1/v1", api_key = { env = "KEY_A" }, weight = 3 },
  { base_url = "http://127.0.0.1:2/v1", api_key = { env = "KEY_B" }, idle_timeout_secs = 5 },
]
pool = { max_concurrent_calls = 9 }
[providers.twin.models.m]
[providers.twin.models.n]
base_url = "http://127.0.0.1:3/v1"
[pools.fast]
members = ["twin/m", { model = "mock/echo", priority = 1 }]
[chains.smart]
models = ["pool/fast", "twin/n"]
on.context_length = ["mock/echo"]
[budgets.team]
max_cost_usd = 1.50
[limits.shared]
requests_per_minute = 60
"#,
    );
    let shown = llm.run(&["config", "show", "--origin"]).await.exits(0);
    for text in [
        "model = \"chain/smart\"",
        "[[providers.twin.endpoints]]",
        "strategy = \"weighted\"",
        "pool.max_concurrent_calls = 9",
        "weight = 3",
        "…aaaa",
        "…bbbb",
        "[providers.twin.models.n]",
        "http://127.0.0.1:3/v1",
        "[pools.fast]",
        "members = [\"twin/m\",{\"model\":\"mock/echo\",\"priority\":1}]",
        "[chains.smart]",
        "on.context_length = [\"mock/echo\"]",
        "max_cost_usd = \"1.5",
        "[limits.shared]",
    ] {
        assert!(shown.out.contains(text), "`{text}` is missing in: {}", shown.out);
    }
    assert!(!shown.out.contains("canary"));
    let json = llm.run(&["config", "show", "--json", "-m", "twin/m"]).await.exits(0).json();
    let places = json["call"]["places"].as_array().unwrap();
    let of = |at: usize| {
        let key = &places[at]["keys"][0];
        (
            places[at]["base_url"]["value"].as_str().unwrap().to_owned(),
            key["last4"].as_str().unwrap().to_owned(),
        )
    };
    assert_eq!(of(0), ("http://127.0.0.1:1/v1".to_owned(), "…aaaa".to_owned()));
    assert_eq!(of(1), ("http://127.0.0.1:2/v1".to_owned(), "…bbbb".to_owned()));
    assert!(places[1]["says"]["idle_timeout_secs"]["from"].as_str().unwrap().ends_with("config.toml:7"));
    let json = llm.run(&["config", "show", "--json", "-m", "twin/n"]).await.exits(0).json();
    assert_eq!(json["call"]["places"][0]["base_url"]["value"], "http://127.0.0.1:3/v1");
    assert_eq!(json["call"]["places"][0]["keys"], serde_json::json!([]));
    // A pool has members in place of an address; each says where it goes.
    let json = llm.run(&["config", "show", "--json"]).await.exits(0).json();
    assert_eq!(json["call"]["places"], serde_json::json!([]));
    assert_eq!(json["pools"][0]["says"]["members"]["value"][0], "twin/m");
}

#[tokio::test]
async fn show_without_a_model_says_so_and_with_an_unknown_one_fails() {
    let llm = Llm::new();
    let ran = llm.run(&["config", "show"]).await.exits(0);
    assert!(ran.out.starts_with("# No model is named"), "{}", ran.out);
    assert!(ran.out.contains("No configuration file; yours would be"), "{}", ran.out);
    assert!(llm.run(&["config", "show", "--json"]).await.exits(0).json()["call"].is_null());
    llm.run(&["config", "show", "-m", "nosuch"]).await.exits(3).says(&["nosuch"]);
    llm.run(&["config", "show", "--config", "none.toml"]).await.exits(3).says(&["none.toml"]);
    llm.run(&["config", "show", "--set", "max_retry=1"]).await.exits(2).says(&["did you mean `max_retries`"]);
    // Options may stand before the command, as everywhere.
    llm.run(&["--errors", "json", "config", "show"]).await.exits(0);
}

#[tokio::test]
async fn check_says_what_is_wrong_with_each_file() {
    let llm = Llm::new().variable("LLM_RS_MAX_RETRIES", "many");
    llm.write("good.toml", "default = \"mock/echo\"\n");
    llm.write(
        "warned.toml",
        "[providers.local]\nbase_url = \"http://127.0.0.1:1/v1\"\napi_key = \"sk-canary-01234\"\n",
    );
    llm.write("typo.toml", "\nmax_retrys = 3\n");
    llm.write("nowhere.toml", "[aliases]\nfast = \"local/x/y\"\n");
    llm.write("default.toml", "max_retries = 1\ndefault = \"nosuch\"\n");
    llm.write("many.toml", "max_retrys = 3\n[providers.x]\nbase_url = \"\"\nweight = 2\n");
    llm.write("good.json", "{\"default\": \"mock/echo\"}");
    llm.write("good.yaml", "default: mock/echo\n");
    llm.write("bad.yaml", "default: [\n");
    // A variable of ours is no fault of a file.
    for file in ["good.toml", "good.json", "good.yaml"] {
        let ran = llm.run(&["config", "check", file]).await.exits(0);
        assert_eq!((ran.out.as_str(), ran.err.as_str()), (&*format!("{file}: OK\n"), ""));
    }
    let ran = llm.run(&["config", "check", "warned.toml"]).await.exits(0);
    assert!(ran.out.contains("OK, with") && ran.out.contains("warned.toml:3"), "{}", ran.out);
    assert!(!ran.out.contains("canary"), "{}", ran.out);
    for (file, code, texts) in [
        ("typo.toml", 2, &["typo.toml:2", "did you mean `max_retries`"][..]),
        ("nowhere.toml", 2, &["nowhere.toml:2", "`fast` leads nowhere"]),
        ("default.toml", 2, &["default.toml:2", "nosuch"]),
        ("many.toml", 2, &["many.toml:1", "many.toml:3", "many.toml:4"]),
        ("bad.yaml", 2, &["bad.yaml:", "YAML"]),
        ("missing.toml", 3, &["missing.toml"]),
    ] {
        let ran = llm.run(&["config", "check", file]).await.exits(code).says(&["error: ", file]);
        for text in texts {
            assert!(ran.out.contains(text), "`{text}` is missing in: {}", ran.out);
        }
        assert!(ran.out.contains("not usable") && !ran.out.contains("--config"), "{}", ran.out);
        let json = llm.run(&["config", "check", file, "--json"]).await.exits(code).json();
        assert_eq!((json["v"].as_u64(), json["ok"].as_bool()), (Some(1), Some(false)));
        assert!(json["files"][0]["errors"][0]["message"].as_str().is_some_and(|text| !text.is_empty()));
    }
    let ran = llm.run(&["config", "check", "good.toml", "missing.toml", "typo.toml"]).await.exits(2);
    let ran = ran.says(&["2 of 3 files cannot be used"]);
    assert_eq!(ran.out.matches(": OK\n").count(), 1, "{}", ran.out);
    // What a call would read, variables included.
    let ran = llm.run(&["config", "check"]).await.exits(2);
    assert!(ran.out.contains("LLM_RS_MAX_RETRIES"), "{}", ran.out);
    let ran = Llm::new().run(&["config", "check"]).await.exits(0);
    assert!(ran.out.contains("no configuration file"), "{}", ran.out);
}

#[tokio::test]
async fn path_says_what_is_read_and_what_would_be() {
    let llm = Llm::new();
    let paths = |json: &serde_json::Value| {
        let line = |file: &serde_json::Value| {
            let name = file["path"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
            (file["role"].as_str().unwrap().to_owned(), name, file["read"].as_bool().unwrap())
        };
        json["files"].as_array().unwrap().iter().map(line).collect::<Vec<_>>()
    };
    let of = |role: &str, name: &str, read| (role.to_owned(), name.to_owned(), read);
    let json = llm.run(&["config", "path", "--json"]).await.exits(0).json();
    assert_eq!(paths(&json)[..2], [of("project", "llm.toml", false), of("user", "config.toml", false)]);
    llm.write("llm.toml", "");
    // A broken file has a place, too.
    llm.write(OWN, "broken =");
    llm.write("own.toml", "");
    let json = llm.run(&["config", "path", "--json"]).await.exits(0).json();
    assert_eq!(paths(&json)[..2], [of("project", "llm.toml", true), of("user", "config.toml", true)]);
    let json = llm.run(&["config", "path", "--json", "--config", "own.toml"]).await.exits(0).json();
    assert_eq!(paths(&json)[..2], [of("--config", "own.toml", true), of("project", "llm.toml", false)]);
    for (folder, end) in [("keys", "/llm-rs/keys"), ("state", "/llm-rs"), ("cache", "/llm-rs")] {
        assert!(json[folder].as_str().unwrap().ends_with(end), "{json}");
    }
    let ran = llm.run(&["config", "path"]).await.exits(0);
    assert!(ran.out.contains(OWN) && ran.out.contains("not used so far"), "{}", ran.out);
    let home = llm.path("all").display().to_string();
    let json = llm.variable("LLM_RS_HOME", &home).run(&["config", "path", "--json"]).await.exits(0).json();
    for name in ["user_config", "keys", "state", "cache"] {
        assert!(json[name].as_str().unwrap().starts_with(&home), "{name}: {json}");
    }
}

#[tokio::test]
async fn init_writes_a_closed_file_once() {
    let llm = Llm::new();
    let dry = llm.run(&["init", "--dry-run"]).await.exits(0);
    assert!(!llm.path(OWN).exists());
    llm.run(&["init"]).await.exits(0).says(&[OWN, "no key is set"]);
    assert_eq!(llm.read(OWN), dry.out);
    #[cfg(unix)]
    assert_eq!((mode(&llm, OWN), mode(&llm, ".config/llm-rs")), (0o600, 0o700));
    llm.run(&["config", "check"]).await.exits(0);
    llm.write(OWN, "# mine\n");
    llm.run(&["init"]).await.exits(5).says(&[OWN, "stays as it is"]);
    assert_eq!(llm.read(OWN), "# mine\n");
    llm.run(&["init", "-p", "sub/llm.toml"]).await.exits(0);
    assert_eq!(llm.read("sub/llm.toml"), dry.out);
    llm.run(&["init", "-p", "other.yaml"]).await.exits(2).says(&["TOML"]);
    llm.run(&["init", "-p", "/dev/null/x.toml"]).await.exits(8).says(&["/dev/null/x.toml"]);
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink(llm.path("elsewhere"), llm.path("link.toml")).unwrap();
        llm.run(&["init", "-p", "link.toml"]).await.exits(5);
        assert!(!llm.path("elsewhere").exists());
    }
}

#[tokio::test]
async fn init_names_the_default_that_a_key_implies() {
    let llm = Llm::new().variable("OPENAI_API_KEY", "sk-canary-0123456789");
    let ran = llm.run(&["init"]).await.exits(0).says(&["openai/", "OPENAI_API_KEY is set"]);
    assert!(!ran.err.contains("canary") && !llm.read(OWN).contains("canary"));
    assert!(llm.read(OWN).contains("\ndefault = \"openai/"), "{}", llm.read(OWN));
    let json = llm.run(&["config", "show", "--json"]).await.exits(0).json();
    assert_eq!(json["call"]["places"][0]["keys"][0]["name"], "OPENAI_API_KEY");
}

/// Lines that begin with `#` alone are examples.
fn with_examples(text: &str) -> String {
    let line = |line: &str| match line.strip_prefix('#') {
        Some(rest) if !rest.is_empty() && !rest.starts_with(' ') => format!("{rest}\n"),
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

#[tokio::test]
async fn every_example_in_the_written_file_is_true() {
    let llm = Llm::new().variable("SHARED_KEY_1", "sk-shared-0123456789");
    let text = llm.run(&["init", "--dry-run"]).await.exits(0).out;
    let examples = with_examples(&text);
    assert!(examples.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).count() > 10);
    llm.write("examples.toml", &examples);
    let ran = llm.run(&["config", "check", "examples.toml"]).await.exits(0);
    assert_eq!(ran.out, "examples.toml: OK\n");
    // What they say has an effect.
    let json = llm.run(&["config", "show", "--json", "--config", "examples.toml"]).await.exits(0).json();
    assert_eq!(json["call"]["model"]["value"], "local/qwen3-8b");
    assert_eq!(json["call"]["wire"], "Qwen/Qwen3-8B-Instruct");
    let list = llm.run(&["list", "--config", "examples.toml"]).await.exits(0).out;
    for line in ["of farm/qwen3-32b, local/qwen3-8b", "of pool/quick → openai/gpt-5.4"] {
        assert!(list.contains(line), "`{line}` is missing in: {list}");
    }
}

#[tokio::test]
async fn set_model_changes_one_line() {
    let llm = Llm::new();
    llm.run(&["set-model", "mock/echo"]).await.exits(0).says(&["mock/echo", OWN]);
    assert!(llm.read(OWN).contains("\ndefault = \"mock/echo\"\n"));
    assert_eq!(llm.run(&["hello"]).await.exits(0).out, "hello");
    let text = "# Mine.\ndefault = 'x/y' # for now\nmax_retries = 1\n[aliases]\necho = 'mock/echo'\n";
    llm.write(OWN, text);
    let dry = llm.run(&["set-model", "echo", "--dry-run"]).await.exits(0);
    assert_eq!(dry.out, text.replace("'x/y'", "\"echo\""));
    assert_eq!(llm.read(OWN), text);
    llm.run(&["set-model", "echo"]).await.exits(0).says(&["echo (mock/echo)"]);
    assert_eq!(llm.read(OWN), dry.out);
    #[cfg(unix)]
    assert_eq!(mode(&llm, OWN), 0o600);
    for (name, code, said) in
        [("ehco", 3, "`echo`"), ("opnai/x", 3, "`openai/x`"), ("nosuch", 3, "nosuch"), ("", 3, "empty")]
    {
        llm.run(&["set-model", name]).await.exits(code).says(&[said]);
    }
    assert_eq!(llm.read(OWN), dry.out);
    // Who goes before it is told.
    llm.write("llm.toml", "default = \"mock/echo\"\n");
    llm.run(&["set-model", "echo"]).await.exits(0).says(&["llm.toml:1 goes before it"]);
    llm.write(OWN, "default =\n");
    llm.run(&["set-model", "mock/echo"]).await.exits(2).says(&["config.toml:1"]);
}

#[tokio::test]
async fn set_model_keeps_the_form_of_other_formats_or_says_what_to_write() {
    let llm = Llm::new();
    let yaml = ".config/llm-rs/config.yaml";
    llm.write(yaml, "# Mine.\nmax_retries: 1 # few\ndefault: x/y # now\n");
    llm.run(&["set-model", "mock/echo"]).await.exits(0);
    assert_eq!(llm.read(yaml), "# Mine.\nmax_retries: 1 # few\ndefault: \"mock/echo\" # now\n");
    llm.write(yaml, "{default: x/y, max_retries: 1}\n");
    llm.run(&["set-model", "mock/echo"]).await.exits(2).says(&[
        "config.yaml",
        "default: \"mock/echo\"",
        "by hand",
    ]);
    assert_eq!(llm.read(yaml), "{default: x/y, max_retries: 1}\n");
    llm.write("c.json", "{\n  \"max_retries\": 1\n}\n");
    llm.run(&["set-model", "mock/echo", "--config", "c.json"]).await.exits(0);
    assert_eq!(llm.read("c.json"), "{\n  \"default\": \"mock/echo\",\n  \"max_retries\": 1\n}\n");
    llm.run(&["set-model", "mock/echo", "--config", "new.json"]).await.exits(2).says(&["TOML"]);
}

#[tokio::test]
async fn edit_needs_an_editor_and_a_terminal() {
    Llm::new().run(&["config", "edit"]).await.exits(2).says(&["no editor", "VISUAL or EDITOR", OWN]);
    let llm = Llm::new().variable("EDITOR", "true");
    llm.run(&["config", "edit"]).await.exits(2).says(&["terminal", OWN]);
    assert!(!llm.path(OWN).exists());
}

#[tokio::test]
async fn edit_opens_the_file_and_checks_it() {
    let llm = Llm::new().variable("EDITOR", "cp saved.toml").variable("PATH", "/usr/bin:/bin");
    llm.write("saved.toml", "default = \"mock/echo\"\n");
    let Some(ran) = on_terminal(&llm, "config edit").await else { return };
    assert!(ran.exits(0).out.contains("config.toml: OK"));
    assert_eq!(llm.read(OWN), "default = \"mock/echo\"\n");
    // What is saved stays, also when it is wrong.
    llm.write("saved.toml", "\nmax_retrys = 1\n");
    let ran = on_terminal(&llm, "config edit").await.unwrap().exits(2);
    assert!(ran.out.contains("config.toml:2") && ran.out.contains("max_retries"), "{}", ran.out);
    assert_eq!(llm.read(OWN), "\nmax_retrys = 1\n");
    let llm = llm.variable("VISUAL", "false");
    let ran = on_terminal(&llm, "config edit").await.unwrap().exits(2);
    assert!(ran.out.contains("the editor `false` ended"), "{}", ran.out);
    // A file that is not there is written as `init` would.
    let fresh = Llm::new().variable("EDITOR", "touch").variable("PATH", "/usr/bin:/bin");
    on_terminal(&fresh, "config edit").await.unwrap().exits(0);
    assert!(fresh.read(OWN).contains("[providers.local]"));
}

#[tokio::test]
async fn a_slip_in_an_action_is_not_sent() {
    let llm = Llm::new();
    llm.run(&["confg", "show"]).await.exits(2).says(&["did you mean `config`?"]);
    llm.run(&["config", "shwo"]).await.exits(2).says(&["show"]);
    llm.run(&["kyes"]).await.exits(2).says(&["did you mean `keys`?"]);
    for bare in ["config", "keys"] {
        llm.run(&[bare]).await.exits(2).says(&["Usage:", "Examples:"]);
    }
}
