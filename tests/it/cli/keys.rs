//! `llm keys`: listed, tried, kept; never shown, never sent elsewhere.

use llm_mock::{MockConfig, MockServer, Reply};

use super::harness::{Llm, on_terminal};

const OWN: &str = ".config/llm-rs/config.toml";
const KEY: &str = "sk-canary-0123456789";

#[tokio::test]
async fn list_says_where_each_key_comes_from_and_never_shows_it() {
    let llm = Llm::new().variable("OPENAI_API_KEY", KEY).variable("LLM_RS_API_KEY", "sk-canary-any-wxyz");
    llm.write("kept", "sk-canary-kept-abcd\n");
    llm.write(
        OWN,
        "[providers.local]\nbase_url = \"http://127.0.0.1:1/v1\"\n\
         api_keys = [{ env = \"GONE\" }, { file = \"../../kept\" }, \"sk-canary-text-efgh\"]\n\
         [providers.open]\nbase_url = \"http://127.0.0.1:2/v1\"\n",
    );
    let ran = llm.run(&["keys", "list"]).await.exits(0);
    for text in [
        "…6789",
        "variable OPENAI_API_KEY",
        "missing",
        "variable GONE",
        "…abcd",
        "/kept",
        "…efgh",
        "(any)",
        "…wxyz",
        "sends none",
    ] {
        assert!(ran.out.contains(text), "`{text}` is missing in: {}", ran.out);
    }
    assert!(!ran.out.contains("canary") && !ran.err.contains("canary"), "{}{}", ran.out, ran.err);
    assert!(!ran.out.contains("DEEPSEEK_API_KEY"));
    assert!(llm.run(&["keys", "list", "--all"]).await.exits(0).out.contains("DEEPSEEK_API_KEY"));
    let json = llm.run(&["keys", "list", "--json"]).await.exits(0).json();
    let keys = json["keys"].as_array().unwrap();
    let of = |name: &str| keys.iter().find(|key| key["provider"] == name).unwrap();
    assert_eq!((&of("openai")["state"], &of("openai")["last4"]), (&"set".into(), &"…6789".into()));
    assert_eq!((&of("local")["form"], &of("local")["state"]), (&"variable".into(), &"missing".into()));
    Llm::new().run(&["keys", "list"]).await.exits(0).says(&["no key is set", "--all"]);
}

#[tokio::test]
async fn test_asks_once_with_each_key_and_sends_no_prompt() {
    let server = MockConfig::new().dead_key("sk-dead-0123456789").start().await.unwrap();
    let llm = Llm::new().variable("GOOD", "sk-good-0123456789").variable("DEAD", "sk-dead-0123456789");
    let config = |keys: &str| {
        format!(
            "[providers.local]\nbase_url = \"{}\"\nmax_retries = 9\napi_keys = [{keys}]\n",
            server.base_url()
        )
    };
    llm.write(OWN, &config("{ env = \"GOOD\" }, { env = \"DEAD\" }, { env = \"GONE\" }"));
    let ran = llm.run(&["keys", "test"]).await.exits(4).says(&["2 of 3 keys refused or missing"]);
    let lines: Vec<&str> = ran.out.lines().collect();
    assert!(lines[0].contains("GOOD") && lines[0].contains("ok: "), "{}", ran.out);
    assert!(lines[1].contains("DEAD") && lines[1].contains("refused: "), "{}", ran.out);
    assert!(lines[2].contains("GONE") && lines[2].contains("refused: no key for local"), "{}", ran.out);
    let requests = server.requests();
    let mut sent: Vec<_> = requests.iter().filter_map(|request| request.key()).collect();
    sent.sort_unstable();
    assert_eq!(sent, ["sk-dead-0123456789", "sk-good-0123456789"]);
    assert!(requests.iter().all(|request| request.method() == "GET" && request.body().is_empty()));

    llm.write(OWN, &config("{ env = \"GOOD\" }"));
    let json = llm.run(&["keys", "test", "local", "--json"]).await.exits(0).json();
    assert_eq!((json["ok"].as_bool(), json["keys"][0]["result"].as_str()), (Some(true), Some("ok")));
    server.push_to("/v1/models", Reply::error(503));
    llm.run(&["keys", "test", "local"]).await.exits(6).says(&["could not be tried"]);
    // A server without a list says nothing about a key.
    server.push_to("/v1/models", Reply::body(404, "{}"));
    assert!(llm.run(&["keys", "test", "local"]).await.exits(0).out.contains("no list"));
    llm.run(&["keys", "test", "locl"]).await.exits(3).says(&["`local`"]);
    llm.run(&["keys", "test", "openai"]).await.exits(4).says(&["1 of 1"]);
    Llm::new().run(&["keys", "test"]).await.exits(4).says(&["no key is set"]);
}

#[tokio::test]
async fn each_endpoint_is_tried_with_its_own_key_and_no_other() {
    let (one, other) = (MockServer::start().await, MockServer::start().await);
    let llm = Llm::new().variable("KEY_A", "sk-a-0123456789").variable("KEY_B", "sk-b-0123456789");
    let (a, b) = (one.base_url(), other.base_url());
    llm.write(
        OWN,
        &format!(
            "[providers.twin]\nendpoints = [\n{{ base_url = \"{a}\", api_key = {{ env = \"KEY_A\" }} }},\n\
             {{ base_url = \"{b}\", api_key = {{ env = \"KEY_B\" }} }} ]\n[providers.twin.models.m]\n\
             [providers.twin.models.n]\nbase_url = \"{b}\"\napi_key = {{ cmd = \"echo sk-c-0123456789\" }}\n"
        ),
    );
    let llm = llm.variable("PATH", "/usr/bin:/bin");
    let listed = llm.run(&["keys", "list"]).await.exits(0);
    for text in ["twin[0]", "twin[1]", "twin/n", "the command `echo`", "not read"] {
        assert!(listed.out.contains(text), "`{text}` is missing in: {}", listed.out);
    }
    assert_eq!((one.counts().total, other.counts().total), (0, 0));
    let ran = llm.run(&["keys", "test"]).await.exits(0);
    assert_eq!(ran.out.matches("ok: ").count(), 3, "{}", ran.out);
    let sent = |server: &MockServer| {
        let mut keys: Vec<String> =
            server.requests().iter().map(|request| request.key().unwrap_or_default().to_owned()).collect();
        keys.sort_unstable();
        keys
    };
    assert_eq!(sent(&one), ["sk-a-0123456789"]);
    assert_eq!(sent(&other), ["sk-b-0123456789", "sk-c-0123456789"]);
}

#[tokio::test]
async fn a_vendors_key_is_not_tried_at_an_address_that_is_not_its_own() {
    let server = MockServer::start().await;
    let llm = Llm::new().variable("OPENAI_API_KEY", KEY);
    llm.write(OWN, &format!("[providers.openai]\nbase_url = \"{}\"\n", server.base_url()));
    llm.run(&["keys", "test", "openai"]).await;
    assert!(server.requests().iter().all(|request| request.key().is_none()));
}

#[tokio::test]
async fn set_keeps_a_key_in_a_closed_file_that_is_then_used() {
    let server = MockServer::start().await;
    let llm = Llm::new();
    let text = format!("# Mine.\n[providers.local] # here\nbase_url = \"{}\"\n", server.base_url());
    llm.write(OWN, &text);
    let ran =
        llm.run_with_stdin(&["keys", "set", "local"], &format!("{KEY}\n")).await.exits(0).says(&["…6789"]);
    assert!(!ran.err.contains("canary") && ran.out.is_empty());
    let line = "api_key = { file = \"keys/local\" }\n";
    assert_eq!(llm.read(OWN), text.replace("here\n", &format!("here\n{line}")));
    assert_eq!(llm.read(".config/llm-rs/keys/local"), format!("{KEY}\n"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &str| std::fs::metadata(llm.path(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(".config/llm-rs/keys/local"), mode(".config/llm-rs/keys")), (0o600, 0o700));
    }
    llm.run(&["-m", "local/m", "hi"]).await.exits(0);
    assert_eq!(server.requests().pop().unwrap().key(), Some(KEY));
    assert!(llm.run(&["keys", "list"]).await.exits(0).out.contains("keys/local"));
    let ran = llm.run(&["keys", "path"]).await.exits(0).says(&["kept there: local"]);
    assert!(ran.out.ends_with("/llm-rs/keys\n"), "{}", ran.out);
    // Again replaces the key and leaves the line; `rm` takes out both.
    llm.run_with_stdin(&["keys", "set", "local"], "sk-other-0123456789").await.exits(0);
    assert_eq!(llm.read(".config/llm-rs/keys/local"), "sk-other-0123456789\n");
    llm.run(&["keys", "rm", "local"]).await.exits(0);
    assert_eq!(llm.read(OWN), text);
    assert!(!llm.path(".config/llm-rs/keys/local").exists());
    llm.run(&["keys", "rm", "local"]).await.exits(3).says(&["no key of `local` is kept"]);
}

#[tokio::test]
async fn set_refuses_what_it_cannot_keep_and_leaves_everything() {
    let llm = Llm::new();
    let text = "[providers.local]\nbase_url = \"http://127.0.0.1:1/v1\"\napi_key = { env = \"X\" }\n";
    llm.write(OWN, text);
    for (provider, stdin, code, said) in [
        ("local", KEY, 5, "another key"),
        ("locl", KEY, 3, "`local`"),
        ("openai", "sk-with space", 2, "a space"),
        ("openai", "\n", 2, "empty"),
        ("..", KEY, 2, "name of a file"),
    ] {
        let ran = llm.run_with_stdin(&["keys", "set", provider], stdin).await.exits(code).says(&[said]);
        assert!(!ran.err.contains("canary") && !ran.err.contains("sk-with"), "{}", ran.err);
    }
    assert_eq!(llm.read(OWN), text);
    assert!(!llm.path(".config/llm-rs/keys").exists());
    // A file in another format is told what to hold.
    let llm = Llm::new();
    llm.write(".config/llm-rs/config.yaml", "max_retries: 1\n");
    llm.run_with_stdin(&["keys", "set", "openai"], KEY).await.exits(2).says(&["keys/openai"]);
    assert!(!llm.path(".config/llm-rs/keys").exists());
}

#[tokio::test]
async fn a_variable_that_is_set_is_said_to_go_before_a_kept_key() {
    let llm = Llm::new().variable("OPENAI_API_KEY", "sk-variable-0123456789");
    llm.run_with_stdin(&["keys", "set", "openai"], KEY)
        .await
        .exits(0)
        .says(&["OPENAI_API_KEY is set and goes before"]);
    assert!(llm.run(&["keys", "list"]).await.exits(0).out.contains("variable OPENAI_API_KEY"));
}

#[tokio::test]
async fn a_typed_key_is_never_seen() {
    let llm = Llm::new();
    // The terminal's input comes from here; `script` hands it on.
    let Some(ran) = on_terminal(&llm, "keys set openai < /dev/null").await else { return };
    assert!(ran.out.contains("the key is empty"), "{}", ran.out);
    let typed =
        super::harness::typed_on_terminal(&llm, "keys set openai", &format!("{KEY}x\u{7f}\n")).await.unwrap();
    let typed = typed.exits(0);
    assert!(typed.out.contains("it is not shown") && typed.out.contains("…6789"), "{}", typed.out);
    assert!(!typed.out.contains("canary"), "{}", typed.out);
    assert_eq!(llm.read(".config/llm-rs/keys/openai"), format!("{KEY}\n"));
    let ran = super::harness::typed_on_terminal(&llm, "keys set deepseek", "sk-canary\u{3}").await.unwrap();
    assert!(!ran.exits(130).out.contains("canary"));
    assert!(!llm.path(".config/llm-rs/keys/deepseek").exists());
}
