//! `config show --origin` agrees with what is sent, for every pair of sources.

use llm_mock::{MockConfig, MockServer, Reply};
use serde_json::Value;

use super::harness::Llm;

const KEY: &str = "sk-canary-0123456789";
const USER: &str = ".config/llm-rs/config.toml";

/// What one run is given.
#[derive(Default)]
struct Setup {
    args: Vec<String>,
    variables: Vec<(&'static str, String)>,
    /// `llm.toml` of the project: lines at its top, and tables.
    project: [String; 2],
    /// The user's own file.
    user: [String; 2],
}

/// Somebody who can say a value: by what name it is known, and how it is said.
type Source = (&'static str, fn(&mut Setup, &str));

impl Setup {
    fn args(&mut self, args: &[&str]) {
        self.args.extend(args.iter().map(|&arg| arg.to_owned()));
    }

    /// Runs `config show` and `ask` in the same surroundings.
    async fn run(self) -> (Value, i32) {
        let mut llm = Llm::new();
        for (name, value) in &self.variables {
            llm = llm.variable(name, value);
        }
        for (file, parts) in [("llm.toml", &self.project), (USER, &self.user)] {
            if parts.iter().any(|part| !part.is_empty()) {
                llm.write(file, &parts.concat());
            }
        }
        let args: Vec<&str> = self.args.iter().map(String::as_str).collect();
        let show = llm.run(&[&["config", "show", "--origin", "--json"], &args[..]].concat()).await.exits(0);
        assert!(!show.out.contains(KEY) && !show.err.contains(KEY), "{}", show.out);
        let text = llm.run(&[&["config", "show", "--origin"], &args[..]].concat()).await.exits(0);
        assert!(!text.out.contains("canary"), "{}", text.out);
        let shown = show.json();
        let ran = llm.run(&[&["ask", "hi", "--no-stream"], &args[..]].concat()).await;
        (shown, ran.code)
    }
}

/// The one that is nearer, told by its name, goes before the farther one; a source with a path is told by its end.
fn is_from(shown: &Value, source: &str) -> bool {
    let from = shown["from"].as_str().unwrap_or_default();
    from == source || (source.ends_with(".toml") && from.contains(&format!("/{source}:")))
}

/// Every pair of sources, the nearer one first.
fn pairs<T: Copy>(sources: &[T]) -> Vec<(T, T)> {
    let farther = |at: usize| sources[at + 1..].iter().map(move |&far| (sources[at], far));
    (0..sources.len()).flat_map(farther).collect()
}

#[tokio::test]
async fn the_model_that_is_shown_is_the_one_that_is_asked() {
    const SOURCES: [Source; 5] = [
        ("-m", |setup, name| setup.args(&["-m", name])),
        ("LLM_RS_MODEL", |setup, name| setup.variables.push(("LLM_RS_MODEL", name.to_owned()))),
        ("llm.toml", |setup, name| setup.project[0] += &format!("default = \"{name}\"\n")),
        ("config.toml", |setup, name| setup.user[0] += &format!("default = \"{name}\"\n")),
        ("FLEXLLM_MODEL", |setup, name| setup.variables.push(("FLEXLLM_MODEL", name.to_owned()))),
    ];
    let server = MockServer::start().await;
    for (near, far) in pairs(&SOURCES) {
        let mut setup = Setup::default();
        setup.user[1] = format!("[providers.local]\nbase_url = \"{}\"\n", server.base_url());
        (near.1)(&mut setup, "local/near");
        (far.1)(&mut setup, "local/far");
        let (shown, code) = setup.run().await;
        let model = &shown["call"]["model"];
        assert_eq!((code, model["value"].as_str()), (0, Some("local/near")), "{} over {}", near.0, far.0);
        assert!(is_from(model, near.0), "{model} {}", near.0);
        assert_eq!(shown["call"]["wire"], "near");
        assert_eq!(server.requests().pop().unwrap().json()["model"], "near");
    }
}

#[tokio::test]
async fn the_address_that_is_shown_is_the_one_that_is_called() {
    const SOURCES: [Source; 5] = [
        ("--base-url", |setup, url| setup.args(&["--base-url", url])),
        ("LLM_RS_BASE_URL", |setup, url| setup.variables.push(("LLM_RS_BASE_URL", url.to_owned()))),
        ("config.toml", |setup, url| {
            setup.user[1] += &format!("[providers.ollama]\nbase_url = \"{url}\"\n");
        }),
        // A vendor's own variable moves the built-in provider.
        ("OLLAMA_HOST", |setup, url| setup.variables.push(("OLLAMA_HOST", url.to_owned()))),
        ("built-in", |_, _| {}),
    ];
    let (near_server, far_server) = (MockServer::start().await, MockServer::start().await);
    for (near, far) in pairs(&SOURCES) {
        let mut setup = Setup::default();
        setup.user[0] = "default = \"ollama/m\"\n".to_owned();
        (near.1)(&mut setup, &near_server.base_url());
        (far.1)(&mut setup, &far_server.base_url());
        let before = near_server.counts().total;
        let (shown, code) = setup.run().await;
        let url = &shown["call"]["places"][0]["base_url"];
        assert_eq!(code, 0, "{} over {}: {shown}", near.0, far.0);
        assert_eq!(url["value"], near_server.base_url(), "{} over {}", near.0, far.0);
        assert!(is_from(url, near.0), "{url} {}", near.0);
        assert_eq!((near_server.counts().total - before, far_server.counts().total), (1, 0));
    }
    // A project's file may not say it at all.
    let llm = Llm::new();
    let url = far_server.base_url();
    llm.write("llm.toml", &format!("default = \"ollama/m\"\n[providers.ollama]\nbase_url = \"{url}\"\n"));
    for args in [&["config", "show"][..], &["ask", "hi"]] {
        llm.run(args).await.exits(2).says(&["llm.toml:3", "may not set providers.ollama.base_url"]);
    }
    assert_eq!(far_server.counts().total, 0);
}

#[tokio::test]
async fn the_retries_that_are_shown_are_those_that_are_made() {
    const SOURCES: [Source; 8] = [
        ("--max-retries", |setup, n| setup.args(&["--max-retries", n])),
        ("--set max_retries", |setup, n| setup.args(&["--set", &format!("max_retries={n}")])),
        ("LLM_RS_MAX_RETRIES", |setup, n| setup.variables.push(("LLM_RS_MAX_RETRIES", n.to_owned()))),
        ("llm.toml", |setup, n| {
            setup.project[1] += &format!("[providers.local.models.m]\nmax_retries = {n}\n");
        }),
        ("config.toml", |setup, n| setup.user[1] += &format!("max_retries = {n}\n")),
        ("llm.toml", |setup, n| setup.project[0] += &format!("max_retries = {n}\n")),
        ("config.toml", |setup, n| setup.user[0] += &format!("max_retries = {n}\n")),
        ("built-in", |_, _| {}),
    ];
    let failing = MockConfig::new().default_reply(Reply::error(503).header("retry-after-ms", "1"));
    let server = failing.start().await.unwrap();
    for (near, far) in pairs(&SOURCES) {
        let mut setup = Setup::default();
        setup.user[0] = "default = \"local/m\"\nbackoff_base_ms = 1\n".to_owned();
        setup.user[1] = format!("[providers.local]\nbase_url = \"{}\"\n", server.base_url());
        (far.1)(&mut setup, "5");
        (near.1)(&mut setup, "2");
        let before = server.counts().total;
        let (shown, code) = setup.run().await;
        let retries = &shown["call"]["settings"]["max_retries"];
        assert_eq!((code, retries["value"].as_str()), (6, Some("2")), "{} over {}: {retries}", near.0, far.0);
        assert!(is_from(retries, near.0), "{retries} {}", near.0);
        assert_eq!(server.counts().total - before, 3, "{} over {}", near.0, far.0);
    }
    let mut setup = Setup::default();
    setup.user[0] = "default = \"local/m\"\nbackoff_base_ms = 1\n".to_owned();
    setup.user[1] = format!("[providers.local]\nbase_url = \"{}\"\n", server.base_url());
    let before = server.counts().total;
    let (shown, _) = setup.run().await;
    let retries = &shown["call"]["settings"]["max_retries"];
    assert_eq!((retries["value"].as_str(), retries["from"].as_str()), (Some("3"), Some("built-in")));
    assert_eq!(server.counts().total - before, 4);
}

#[tokio::test]
async fn the_key_that_is_shown_is_the_one_that_is_sent() {
    const SOURCES: [Source; 4] = [
        ("--api-key", |setup, key| setup.args(&["--api-key", key])),
        ("LLM_RS_API_KEY", |setup, key| setup.variables.push(("LLM_RS_API_KEY", key.to_owned()))),
        ("OWN_KEY", |setup, key| {
            setup.variables.push(("OWN_KEY", key.to_owned()));
            setup.user[1] += "api_key = { env = \"OWN_KEY\" }\n";
        }),
        // It serves where nothing else does.
        ("FLEXLLM_API_KEY", |setup, key| setup.variables.push(("FLEXLLM_API_KEY", key.to_owned()))),
    ];
    let server = MockServer::start().await;
    let at = |setup: &mut Setup| {
        setup.user[0] = "default = \"local/m\"\n".to_owned();
        setup.user[1] = format!("[providers.local]\nbase_url = \"{}\"\n", server.base_url());
    };
    for (near, far) in pairs(&SOURCES) {
        let mut setup = Setup::default();
        at(&mut setup);
        (near.1)(&mut setup, "sk-near-0123456789-abcd");
        (far.1)(&mut setup, "sk-far-0123456789-wxyz");
        let (shown, code) = setup.run().await;
        let key = &shown["call"]["places"][0]["keys"][0];
        assert_eq!((code, key["last4"].as_str()), (0, Some("…abcd")), "{} over {}: {shown}", near.0, far.0);
        assert_eq!(key["name"], near.0);
        let sent = server.requests().pop().unwrap();
        assert_eq!(sent.key(), Some("sk-near-0123456789-abcd"), "{} over {}", near.0, far.0);
    }
    // Where nobody says a key, none is shown and none is sent.
    let mut setup = Setup::default();
    at(&mut setup);
    let (shown, _) = setup.run().await;
    assert_eq!(shown["call"]["places"][0]["keys"], serde_json::json!([]));
    assert_eq!(server.requests().pop().unwrap().key(), None);
}

#[tokio::test]
async fn a_named_provider_gets_no_address_and_no_key_from_our_variables() {
    let (own, other) = (MockServer::start().await, MockServer::start().await);
    let mut setup = Setup::default();
    setup.user[1] = format!("[providers.local]\nbase_url = \"{}\"\n", own.base_url());
    setup.variables = vec![("LLM_RS_BASE_URL", other.base_url()), ("LLM_RS_API_KEY", KEY.to_owned())];
    setup.args(&["-m", "local/m"]);
    let (shown, code) = setup.run().await;
    assert_eq!((code, &shown["call"]["places"][0]["keys"]), (0, &serde_json::json!([])));
    assert_eq!(shown["call"]["places"][0]["base_url"]["value"], own.base_url());
    assert_eq!((own.requests().pop().unwrap().key(), other.counts().total), (None, 0));
}
