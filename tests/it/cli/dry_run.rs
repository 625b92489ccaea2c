//! `--dry-run` and `--curl`: everything that would be sent, but the key, and nothing sent.

use llm_mock::MockServer;

use super::harness::Llm;
use super::vendors::{FORMATS, root};

const KEY: &str = "sk-canary-0123456789";

#[tokio::test]
async fn what_is_shown_is_what_is_sent_and_the_key_is_in_neither_form() {
    for (model, ..) in FORMATS {
        for stream in ["--stream", "--no-stream"] {
            let (llm, server) = (Llm::new(), MockServer::start().await);
            let root = root(&server);
            let args = [
                "ask",
                "-m",
                model,
                "--base-url",
                &root,
                "--api-key",
                KEY,
                stream,
                "Say 'hi' — $HOME",
                "-t",
                "0.5",
            ];
            let with = async |more: &[&str]| llm.run(&[&args[..], more].concat()).await.exits(0);
            let json = with(&["--dry-run", "--json"]).await;
            let text = with(&["--dry-run"]).await;
            let curl = with(&["--curl"]).await;
            assert_eq!(server.counts().total, 0);
            for ran in [&json, &text, &curl] {
                assert!(!ran.out.contains("canary") && !ran.err.contains("canary"), "{ran:?}");
            }
            assert!(text.out.contains("[redacted]") && curl.out.contains("_API_KEY\""), "{}", curl.out);
            assert!(curl.out.contains(r"Say '\''hi'\'' — $HOME"), "{}", curl.out);
            let json = json.json();
            let request = &json["requests"][0];
            let names: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(names, ["error", "model", "requests", "v"]);
            let names: Vec<&str> = request.as_object().unwrap().keys().map(String::as_str).collect();
            assert_eq!(names, ["body", "client", "headers", "method", "url", "warnings"]);

            with(&[]).await;
            let sent = server.requests().pop().unwrap();
            let url = format!("{root}{}", sent.target());
            assert_eq!(
                (&request["method"], &request["url"]),
                (&"POST".into(), &url.as_str().into()),
                "{model}"
            );
            assert!(text.out.starts_with(&format!("POST {url}\n")), "{}", text.out);
            assert!(curl.out.contains(&format!("-X POST '{url}'")), "{}", curl.out);
            assert_eq!(request["body"], sent.json(), "{model}");
            let (_, body) = text.out.split_once("\n\n").unwrap();
            assert_eq!(serde_json::from_str::<serde_json::Value>(body).unwrap(), sent.json(), "{model}");
            // Every header but those that the transport adds, and no other.
            let mut shown: Vec<&str> =
                request["headers"].as_object().unwrap().keys().map(String::as_str).collect();
            let mut seen: Vec<&str> = sent.headers().keys().map(http::HeaderName::as_str).collect();
            let added: &[&str] = match stream {
                "--stream" => &["host", "content-length"],
                _ => &["host", "content-length", "accept-encoding"],
            };
            seen.retain(|name| !added.contains(name));
            shown.sort_unstable();
            seen.sort_unstable();
            assert_eq!(shown, seen, "{model}");
        }
    }
}

#[tokio::test]
async fn a_missing_key_is_said_and_hinders_nobody_from_looking() {
    // A remark on the choice is made once, though the choice is made twice.
    let args = ["ask", "-m", "azure/gpt-5", "--base-url", "https://llm.invalid", "hi", "--dry-run"];
    let ran = Llm::new().run(&args).await.exits(0);
    assert_eq!(ran.err.matches("is read as the model").count(), 1, "{}", ran.err);
    for (model, variable, _) in FORMATS {
        let llm = Llm::new();
        let ran =
            llm.run(&["ask", "-m", model, "hi", "--dry-run"]).await.exits(0).says(&[variable, "would fail"]);
        assert!(ran.out.starts_with("POST https://") && ran.out.contains("[redacted]"), "{}", ran.out);
        let ran = llm.run(&["ask", "-m", model, "hi", "--curl"]).await.exits(0);
        assert!(ran.out.contains("_API_KEY\""), "{}", ran.out);
    }
}

#[tokio::test]
async fn every_member_that_may_be_asked_is_shown() {
    let llm = Llm::new().variable("ONE_KEY", KEY).variable("TWO_KEY", "sk-canary-9876543210");
    llm.write("llm.toml", "[pools.fast]\nmembers = [\"one/m\", \"two/claude-sonnet-4-5\"]\n");
    llm.write(
        ".config/llm-rs/config.toml",
        concat!(
            "[providers.one]\nbase_url = \"http://127.0.0.1:1/v1\"\napi_key = { env = \"ONE_KEY\" }\n",
            "headers = { x-own = \"sk-canary-own\" }\n[providers.one.models.m]\n",
            "[providers.two]\nbase_url = \"http://127.0.0.1:2\"\ndialect = \"anthropic\"\napi_key = { env = \"TWO_KEY\" }\n",
            "[providers.two.models.\"claude-sonnet-4-5\"]\n",
        ),
    );
    let ran = llm.run(&["-m", "pool/fast", "hi", "--dry-run"]).await.exits(0).says(&["one of these 2"]);
    for text in [
        "# 1 of 2: one/m\nPOST http://127.0.0.1:1/v1/chat/completions\n",
        "# 2 of 2: two/claude-sonnet-4-5\nPOST http://127.0.0.1:2/v1/messages\n",
        "x-own: [hidden]",
        "x-api-key: [redacted]",
        "authorization: Bearer [redacted]",
    ] {
        assert!(ran.out.contains(text), "{text}: {}", ran.out);
    }
    assert!(!ran.out.contains("canary"), "{}", ran.out);
    let json = llm.run(&["-m", "pool/fast", "hi", "--dry-run", "--json"]).await.exits(0).json();
    assert_eq!(json["requests"].as_array().map(Vec::len), Some(2));
    // The variable of the file is the one in the command.
    let ran = llm.run(&["-m", "one/m", "hi", "--curl"]).await.exits(0);
    assert!(ran.out.contains("authorization: Bearer $ONE_KEY\""), "{}", ran.out);
}

#[tokio::test]
async fn what_cannot_be_said_is_a_warning_before_anything_is_sent() {
    let llm = Llm::new();
    let args = ["ask", "-m", "openai/gpt-5", "hi", "--dry-run", "--thinking", "8000"];
    llm.run(&args).await.exits(0).says(&["warning: reasoning.budget_tokens"]);
    let json = llm.run(&[&args[..], &["--json"]].concat()).await.exits(0).json();
    assert_eq!(json["requests"][0]["warnings"][0]["about"], "reasoning.budget_tokens", "{json}");
    llm.run(&["ask", "hi", "--curl", "--json"]).await.exits(2).says(&["--curl", "--json"]);
    llm.run(&["ask", "-m", "nobody/x", "hi", "--dry-run"]).await.exits(3);
}

#[tokio::test]
async fn a_batch_can_be_looked_at_before_it_is_paid_for() {
    let server = MockServer::start().await;
    let llm = Llm::new().variable("LLM_RS_BASE_URL", &server.base_url()).variable("LLM_RS_MODEL", "gpt-5");
    llm.write("in.jsonl", "{\"q\": broken\n{\"q\": \"one\"}\n{\"q\": \"two\"}\n");
    let args = ["batch", "in.jsonl", "-o", "out.jsonl", "-s", "Be brief.", "--thinking", "low"];
    let dry = async |more: &[&str]| llm.run(&[&args[..], &["--dry-run"], more].concat()).await;
    let ran =
        dry(&[]).await.exits(0).says(&["3 rows, 1 of them bad", "warning: line 1", "the row on line 2"]);
    assert!(ran.out.starts_with(&format!("POST {}/chat/completions\n", server.base_url())), "{}", ran.out);
    let (_, body) = ran.out.split_once("\n\n").unwrap();
    let shown: serde_json::Value = serde_json::from_str(body).unwrap();
    assert_eq!((server.counts().total, llm.path("out.jsonl").exists()), (0, false));
    llm.run(&args).await.exits(9);
    assert!(server.requests().iter().any(|request| request.json() == shown), "{shown}");
    let asked = server.counts().total;
    let before = llm.read("out.jsonl");
    dry(&[]).await.exits(0).says(&["2 have an answer in out.jsonl"]);
    let json = dry(&["--json"]).await.exits(0).json();
    assert_eq!(
        (&json["rows"], &json["bad"]["lines"][0], &json["answered"]),
        (&3.into(), &1.into(), &2.into())
    );
    assert_eq!((&json["first_line"], &json["requests"][0]["body"]), (&2.into(), &shown));
    // So many rows, a pipe, no row at all, no file.
    dry(&["-n", "1"]).await.exits(0).says(&["1 rows, 1 of them bad"]).never_says(&["would be sent"]);
    let piped = ["batch", "-", "-o", "out.jsonl", "--dry-run"];
    llm.run_with_stdin(&piped, "{\"q\": \"one\"}\n").await.exits(0).says(&["1 rows, 0 of them bad"]);
    llm.run(&["batch", "none.jsonl", "--dry-run"]).await.exits(3).says(&["none.jsonl"]);
    llm.run(&["batch", "in.jsonl", "--user-template", "x", "--dry-run"]).await.exits(2).says(&["{content}"]);
    assert_eq!((server.counts().total, llm.read("out.jsonl")), (asked, before));
    let llm = Llm::new();
    llm.write("in.jsonl", "{\"q\": \"one\"}\n");
    let args = ["batch", "in.jsonl", "-m", "openai/gpt-5", "--dry-run"];
    llm.run(&args).await.exits(0).says(&["OPENAI_API_KEY", "would fail"]);
}
