//! The smaller commands, help, and where a slip leads.

use llm_mock::{MockServer, Reply};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use super::harness::{Llm, finish, signal};

const CONFIG: &str = r#"
default = "fast"
[aliases]
fast = "local/qwen3-8b"
[providers.local]
base_url = "http://127.0.0.1:1/v1"
api_key = { env = "LOCAL_KEY" }
[providers.local.models."qwen3-8b"]
[providers.local.models."big"]
model = "Qwen/Qwen3-235B"
"#;

#[tokio::test]
async fn version_is_said_in_three_ways() {
    let llm = Llm::new();
    let version = env!("CARGO_PKG_VERSION");
    for args in [&["--version"][..], &["-V"], &["version"]] {
        assert_eq!(llm.run(args).await.exits(0).out, format!("llm {version}\n"));
    }
    let json = llm.run(&["version", "--json"]).await.exits(0).json();
    assert_eq!((json["name"].as_str(), json["version"].as_str()), (Some("llm"), Some(version)));
}

#[tokio::test]
async fn every_command_explains_itself_with_examples_codes_and_variables() {
    let llm = Llm::new();
    let top = llm.run(&["--help"]).await.exits(0).out;
    for command in ["ask", "batch", "models", "count", "list", "test", "init", "set-model", "mock", "version"]
    {
        assert!(top.contains(&format!("\n  {command} ")), "{command} is not in: {top}");
        for args in [&[command, "--help"][..], &["help", command]] {
            let help = llm.run(args).await.exits(0).out;
            for text in
                ["Usage: llm", "Examples:", "Exit codes:", "LLM_RS_ERRORS", "LLM_RS_COLOR", "LLM_RS_VERBOSE"]
            {
                assert!(help.contains(text), "`{text}` is missing in the help of {command}: {help}");
            }
            assert!(help.lines().count() < 90, "the help of {command} is long");
            if !matches!(command, "list" | "init" | "set-model" | "mock" | "version") {
                let flags = ["--model", "--base-url", "--api-key", "--max-retries", "--config", "--set"];
                let names = ["MODEL", "BASE_URL", "API_KEY", "MAX_RETRIES", "CONFIG", "<KEY>"];
                let names = names.map(|name| format!("LLM_RS_{name}"));
                for text in flags.into_iter().chain(names.iter().map(String::as_str)) {
                    assert!(help.contains(text), "`{text}` is missing in the help of {command}");
                }
            }
        }
    }
    for (command, actions) in [
        ("batch", &["run", "verify"][..]),
        ("config", &["show", "check", "path", "edit"]),
        ("keys", &["list", "test", "path", "set", "rm"]),
    ] {
        for action in actions {
            let help = llm.run(&[command, action, "--help"]).await.exits(0).out;
            for text in ["Usage: llm", "Examples:", "Exit codes:", "LLM_RS_ERRORS"] {
                assert!(help.contains(text), "`{text}` is missing in the help of {command} {action}: {help}");
            }
        }
    }
}

#[tokio::test]
async fn list_shows_what_is_configured_and_where_keys_come_from() {
    let llm = Llm::new().variable("LOCAL_KEY", "sk-canary-0123456789");
    llm.write(".config/llm-rs/config.toml", CONFIG);
    let ran = llm.run(&["list"]).await.exits(0);
    for text in ["local/qwen3-8b", "local/big", "fast", "LOCAL_KEY"] {
        assert!(ran.out.contains(text), "{text}: {}", ran.out);
    }
    assert!(!ran.out.contains("canary"));
    let json = llm.run(&["list", "--json"]).await.exits(0).json();
    let models = json["models"].as_array().unwrap();
    let big = models.iter().find(|model| model["name"] == "big").unwrap();
    assert_eq!((big["id"].as_str(), big["provider"].as_str()), (Some("Qwen/Qwen3-235B"), Some("local")));
    assert_eq!(big["is_default"], false);
    assert!(models.iter().any(|model| model["name"] == "qwen3-8b" && model["is_default"] == true), "{json}");
}

#[tokio::test]
async fn models_are_those_of_the_server() {
    let llm = Llm::new();
    llm.run(&["models"]).await.exits(2).says(&["no model is named", "--provider NAME"]);
    llm.run(&["models", "--provider", "nobody"])
        .await
        .exits(3)
        .says(&["`nobody`", "shows the providers there are"]);
    llm.run(&["count", "-m", "gemini/gemini-2.5-flash", "hi"])
        .await
        .exits(4)
        .says(&["API_KEY", "--estimate"]);
    // Where the format has no count, nobody is asked, and no key is missed.
    llm.run(&["count", "-m", "openai/gpt-5", "hi"]).await.exits(0).says(&["estimated"]);
    let server = llm_mock::MockConfig::new().models(["alpha", "beta\u{1b}[2J"]).start().await.unwrap();
    let url = server.base_url();
    let ran = llm.run(&["models", "--base-url", &url]).await.exits(0);
    assert_eq!(ran.out.lines().count(), 2);
    assert!(ran.out.starts_with("alpha\n"));
    let json = llm.run(&["models", "--base-url", &url, "--json"]).await.exits(0).json();
    assert_eq!((json["models"][0].as_str(), json["count"].as_u64()), (Some("alpha"), Some(2)));
    assert_eq!(json["v"], 1);
    llm.write(".config/llm-rs/config.toml", &CONFIG.replace("http://127.0.0.1:1/v1", &url));
    let llm = llm.variable("LOCAL_KEY", "k");
    for name in ["local", "fast", "local/big"] {
        assert!(llm.run(&["models", "-n", name]).await.exits(0).out.starts_with("alpha"), "{name}");
    }
    llm.run(&["models", "-n", "locl"]).await.exits(3).says(&["local"]);
}

#[tokio::test]
async fn test_goes_step_by_step_and_says_what_failed() {
    let (llm, server) = (Llm::new(), MockServer::start().await);
    let url = server.base_url();
    let args = ["test", "--base-url", &url, "-m", "echo"];
    let ran = llm.run(&args).await.exits(0);
    assert!(ran.out.contains("model list") && ran.out.contains("chat"), "{}", ran.out);
    let json = llm.run(&[&args[..], &["--json"]].concat()).await.exits(0).json();
    assert_eq!(
        (json["ok"].as_bool(), json["chat"]["ok"].as_bool(), json["models"]["ok"].as_bool()),
        (Some(true), Some(true), Some(true))
    );
    server.push_to("/v1/chat/completions", Reply::error(401));
    let ran = llm.run(&args).await.exits(4);
    assert!(ran.out.contains("failed"), "{}", ran.out);
    let ran = llm
        .run(&["test", "--base-url", "http://127.0.0.1:1/v1", "-m", "x", "--max-retries", "0"])
        .await
        .exits(6);
    assert!(ran.out.contains("refused"), "{}", ran.out);
    // A server without a list is fine when it answers.
    server.push_to("/v1/models", Reply::body(404, "{}"));
    let ran = llm.run(&args).await.exits(0);
    assert!(ran.out.contains("not offered"), "{}", ran.out);
}

#[tokio::test]
async fn mock_prints_its_address_and_serves_until_a_signal() {
    let llm = Llm::new();
    llm.write("script.jsonl", "{\"text\":\"scripted\"}\n");
    let mut child =
        llm.start(&["mock", "-p", "0", "--script", "script.jsonl", "--log", "log.jsonl", "-d", "0.01"]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let url = lines.next_line().await.unwrap().expect("an address");
    assert!(url.starts_with("http://127.0.0.1:") && url.ends_with("/v1"), "{url}");
    assert_eq!(llm.run(&["--base-url", &url, "-m", "any", "hi"]).await.exits(0).out, "scripted");
    let port = url.trim_start_matches("http://127.0.0.1:").trim_end_matches("/v1").to_owned();
    llm.run(&["mock", "-p", &port]).await.exits(8).says(&["cannot listen", "-p 0"]);
    signal(&child, "TERM");
    finish(child).await.exits(143);
    assert_eq!(llm.read("log.jsonl").lines().count(), 1);
    llm.run(&["mock", "--script", "none.jsonl"]).await.exits(3).says(&["none.jsonl"]);
    llm.write("bad.jsonl", "{}\n{\"txt\":1}\n");
    llm.run(&["mock", "--script", "bad.jsonl"]).await.exits(2).says(&["bad.jsonl", "line 2", "txt"]);
    llm.run(&["mock", "--error-rate", "2"]).await.exits(2);
}
