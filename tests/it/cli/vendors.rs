//! The same command lines in every wire format: what is printed does not depend on who answers.

use llm_mock::{MockConfig, MockServer, Reply, ToolCall};

use super::harness::{Llm, Ran};

/// A model of each format, the variable of its key, and the ending of its base URL.
pub(super) const FORMATS: [(&str, &str, &str); 3] = [
    ("openai/gpt-5", "OPENAI_API_KEY", "/v1"),
    ("anthropic/claude-sonnet-4-5", "ANTHROPIC_API_KEY", "/v1"),
    ("gemini/gemini-2.5-flash", "GEMINI_API_KEY", "/v1beta"),
];

/// The address without any version.
pub(super) fn root(server: &MockServer) -> String {
    server.base_url().trim_end_matches("/v1").to_owned()
}

const TOOLS: &str = r#"[{"name": "weather", "description": "Tells the weather.", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}}]"#;

async fn ask(llm: &Llm, server: &MockServer, model: &str, args: &[&str]) -> Ran {
    let root = root(server);
    let at = ["ask", "-m", model, "--base-url", &root, "--api-key", "sk-one-two-three-four"];
    llm.run(&[&at[..], args].concat()).await
}

#[tokio::test]
async fn an_answer_reads_the_same_in_every_format_streamed_and_not() {
    for (model, ..) in FORMATS {
        for stream in ["--stream", "--no-stream"] {
            let (llm, server) = (Llm::new(), MockServer::start().await);
            llm.write("tools.json", TOOLS);
            let place = format!("{model} {stream}");
            server.push(Reply::text("four").reasoning("two and two").cached(3, 0));
            let args = ["--json", stream, "--thinking", "2000", "What is two and two?"];
            let json = ask(&llm, &server, model, &args).await.exits(0).json();
            assert_eq!((&json["text"], &json["finish_reason"]), (&"four".into(), &"stop".into()), "{place}");
            assert_eq!(json["reasoning"], "two and two", "{place}");
            assert!(json["native_finish_reason"].is_string() && json["error"].is_null(), "{place}: {json}");
            assert_eq!((&json["model"], &json["attempts"]), (&model.into(), &1.into()), "{place}");
            let usage = &json["usage"];
            assert_eq!(
                (&usage["source"], &usage["cache_read_tokens"]),
                (&"reported".into(), &3.into()),
                "{place}: {usage}"
            );
            let total =
                |name: &str| usage[name].as_u64().unwrap_or_else(|| panic!("{place}: {name} in {usage}"));
            assert!(total("input_tokens") >= 3 && total("output_tokens") >= 1, "{place}: {usage}");
            assert_eq!(json["messages"][1]["content"], "four", "{place}: {json}");

            let calls = ["Paris", "Rome"].map(|city| {
                ToolCall::new(format!("call_{city}"), "weather", format!("{{\"city\":\"{city}\"}}"))
            });
            server.push(Reply::tool_calls(calls.clone()));
            let args = ["--json", stream, "--tools", "tools.json", "Weather?"];
            let json = ask(&llm, &server, model, &args).await.exits(0).json();
            assert_eq!(
                (&json["text"], &json["finish_reason"]),
                (&"".into(), &"tool_calls".into()),
                "{place}"
            );
            for (at, city) in ["Paris", "Rome"].into_iter().enumerate() {
                let call = &json["tool_calls"][at];
                assert_eq!(
                    (&call["name"], &call["arguments"]),
                    (&"weather".into(), &format!("{{\"city\":\"{city}\"}}").into()),
                    "{place}"
                );
                assert!(call["id"].as_str().is_some_and(|id| !id.is_empty()), "{place}");
            }
            // For the eye: the answer's place stays empty, and each call has its line.
            server.push(Reply::tool_calls(calls));
            let args = [stream, "--tools", "tools.json", "Weather?"];
            let ran = ask(&llm, &server, model, &args).await.exits(0);
            assert_eq!(ran.out, "", "{place}");
            ran.says(&[
                "tool call: weather {\"city\":\"Paris\"} (id ",
                "tool call: weather {\"city\":\"Rome\"}",
            ]);

            server.push(Reply::text("cut off").finish_reason("length"));
            let ran = ask(&llm, &server, model, &[stream, "--usage", "q"]).await.exits(0);
            assert_eq!(ran.out, "cut off", "{place}");
            ran.says(&["the answer is cut", "→", " tok, "]);
        }
    }
}

#[tokio::test]
async fn a_failure_reads_the_same_in_every_format() {
    for (model, variable, _) in FORMATS {
        for stream in ["--stream", "--no-stream"] {
            let (llm, server) = (Llm::new(), MockServer::start().await);
            for (status, code, kind) in [
                (401, 4, "authentication"),
                (403, 4, "permission_denied"),
                (429, 6, "rate_limited"),
                (500, 6, "server"),
                (400, 11, "invalid_request"),
            ] {
                server.push(Reply::error(status));
                let args = ["--json", stream, "--max-retries", "0", "q"];
                let json = ask(&llm, &server, model, &args).await.exits(code).json();
                let error = &json["error"];
                assert_eq!(
                    (&error["kind"], &error["http_status"]),
                    (&kind.into(), &status.into()),
                    "{model}: {error}"
                );
                assert_eq!(json["text"], "", "{model}");
            }
            server.push(Reply::text("one two three").no_end());
            let json =
                ask(&llm, &server, model, &["--json", "--max-retries", "0", "q"]).await.exits(6).json();
            assert_eq!(
                (&json["text"], &json["error"]["kind"]),
                (&"one two three".into(), &"truncated".into()),
                "{model}"
            );
            assert_eq!(json["messages"].as_array().map(Vec::len), Some(1), "half an answer is none: {json}");
            let counted = server.counts().total;
            llm.run(&["ask", "-m", model, "q", stream]).await.exits(4).says(&[variable]);
            assert_eq!(server.counts().total, counted);
        }
    }
}

#[tokio::test]
async fn a_base_url_is_understood_with_its_version_and_without() {
    for (model, _, version) in FORMATS {
        let (llm, server) = (Llm::new(), MockServer::start().await);
        let root = root(&server);
        for ending in ["", "/", version, &format!("{version}/")] {
            let url = format!("{root}{ending}");
            let args = ["ask", "-m", model, "--base-url", &url, "hello"];
            let ran = llm.run(&args).await.exits(0);
            assert_eq!(ran.out, "hello", "{model} at {url}");
            assert!(server.requests().pop().unwrap().path().starts_with(version), "{model} at {url}");
        }
    }
}

#[tokio::test]
async fn a_key_and_a_model_that_the_server_does_not_know_are_named() {
    for (model, _, _) in FORMATS {
        let llm = Llm::new();
        let config = MockConfig::new().strict_models(true).models(["only-this"]);
        let server = config.start().await.unwrap();
        let ran = ask(&llm, &server, model, &["q"]).await.exits(3);
        ran.says(&[model, "404"]).never_says(&["sk-one"]);
        server.push(Reply::error(401));
        ask(&llm, &server, model, &["q"])
            .await
            .exits(4)
            .says(&[model, "401", "check the key"])
            .never_says(&["sk-one"]);
    }
    // A model that nobody has is a name all the same, and the provider is one of ours or is none.
    let llm = Llm::new();
    llm.run(&["ask", "-m", "antropic/claude", "q"]).await.exits(3).says(&["anthropic"]);
}

#[tokio::test]
async fn a_providers_list_is_read_to_its_last_page() {
    let names: Vec<String> = (0..45).map(|n| format!("model-{n:02}")).collect();
    for provider in ["openai", "anthropic", "gemini"] {
        let llm = Llm::new();
        let server = MockConfig::new().models(names.iter().map(String::as_str)).start().await.unwrap();
        let root = root(&server);
        let args =
            ["models", "--provider", provider, "--base-url", &root, "--api-key", "sk-one-two-three-four"];
        let ran = llm.run(&args).await.exits(0);
        assert_eq!(ran.out.lines().collect::<Vec<_>>(), names, "{provider}");
        let json = llm.run(&[&args[..], &["--json"]].concat()).await.exits(0).json();
        assert_eq!((&json["count"], &json["models"][44]), (&45.into(), &"model-44".into()), "{provider}");
        assert_eq!(json["details"][0]["id"], "model-00", "{provider}: {json}");
    }
    let llm = Llm::new();
    llm.run(&["models", "--provider", "anthropc"]).await.exits(3).says(&["`anthropic`"]);
    llm.run(&["models", "--provider", "anthropic"]).await.exits(4).says(&["ANTHROPIC_API_KEY"]);
    llm.run(&["models", "--provider", "openai", "-m", "x"]).await.exits(2).says(&["--provider", "--model"]);
}

#[tokio::test]
async fn tokens_are_counted_by_the_server_or_guessed_and_said_to_be() {
    for (model, ..) in FORMATS {
        let (llm, server) = (Llm::new(), MockServer::start().await);
        llm.write("tools.json", TOOLS);
        llm.write(
            "talk.json",
            r#"[{"role": "user", "content": "one two three"}, {"role": "assistant", "content": "four"}]"#,
        );
        let root = root(&server);
        let run = async |args: &[&str]| {
            let at = ["count", "-m", model, "--base-url", &root, "--api-key", "sk-one-two-three-four"];
            llm.run(&[&at[..], args].concat()).await
        };
        let short = run(&["hi"]).await.exits(0);
        let long = run(&["hi", "--messages", "talk.json", "--tools", "tools.json", "-s", "Be brief."])
            .await
            .exits(0);
        let number =
            |ran: &Ran| ran.out.trim_end().parse::<u64>().unwrap_or_else(|_| panic!("{model}: {ran:?}"));
        assert!(number(&short) > 0 && number(&long) > number(&short), "{model}: {short:?} {long:?}");
        let json = run(&["hi", "--json"]).await.exits(0).json();
        let names: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(names, ["cache_read_tokens", "error", "input_tokens", "model", "source", "v", "warnings"]);
        assert_eq!((&json["input_tokens"], &json["model"]), (&number(&short).into(), &model.into()));
        let estimated = model.starts_with("openai");
        assert_eq!(json["source"], if estimated { "estimated" } else { "reported" }, "{model}");
        assert_eq!(short.err.contains("estimated"), estimated, "{model}: {}", short.err);
        let asked = server.counts().total;
        assert_eq!(asked, if estimated { 0 } else { 3 }, "{model}");
        let guess = run(&["hi", "--estimate", "--json"]).await.exits(0).json();
        assert_eq!((&guess["source"], server.counts().total), (&"estimated".into(), asked), "{model}");
        if !estimated {
            server.push(Reply::error(401));
            let json = run(&["hi", "--json"]).await.exits(4).json();
            assert_eq!(
                (&json["error"]["kind"], &json["input_tokens"]),
                (&"authentication".into(), &serde_json::Value::Null)
            );
            server.push(Reply::error(404));
            run(&["hi"]).await.exits(0).says(&["has no count", "estimated"]);
        }
    }
    // Nobody has to be named for a guess.
    let ran = Llm::new().run_with_stdin(&["count", "--estimate"], "four bytes a token\n").await.exits(0);
    assert_eq!(ran.out, "9\n");
    Llm::new().run(&["count"]).await.exits(2).says(&["there is no prompt"]);
    Llm::new().run(&["count", "hi"]).await.exits(2).says(&["no model is named"]);
}
