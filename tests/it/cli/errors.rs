//! Each fault a user can make or meet: its message, and its exit code.

use llm_mock::{MockConfig, MockServer, Reply};

use super::harness::Llm;

/// A body as OpenAI sends it.
fn refusal(status: u16, kind: &str, code: &str, message: &str) -> Reply {
    Reply::body(
        status,
        format!(r#"{{"error":{{"message":"{message}","type":"{kind}","code":"{code}","param":null}}}}"#),
    )
}

#[tokio::test]
async fn each_refusal_of_a_server_has_its_code_and_its_words() {
    let server = MockServer::start().await;
    let url = server.base_url();
    let llm = Llm::new();
    for (reply, code, kind, said) in [
        (
            refusal(401, "invalid_request_error", "invalid_api_key", "Incorrect API key."),
            4,
            "authentication",
            "Incorrect API key.",
        ),
        (refusal(403, "x", "x", "Not for you."), 4, "permission_denied", "Not for you."),
        (refusal(402, "x", "x", "No money."), 4, "quota_exhausted", "No money."),
        (
            refusal(429, "insufficient_quota", "insufficient_quota", "Quota gone."),
            4,
            "quota_exhausted",
            "Quota gone.",
        ),
        (
            refusal(404, "invalid_request_error", "model_not_found", "No such model."),
            3,
            "model_not_found",
            "No such model.",
        ),
        (Reply::body(404, "nothing here"), 3, "not_found", "404"),
        (refusal(429, "x", "rate_limit_exceeded", "Slow down."), 6, "rate_limited", "Slow down."),
        (refusal(500, "x", "x", "Oops."), 6, "server", "Oops."),
        (refusal(503, "x", "x", "Busy."), 6, "overloaded", "Busy."),
        (Reply::html(502), 6, "server", "502"),
        (refusal(400, "x", "x", "Bad value."), 11, "invalid_request", "Bad value."),
        (refusal(400, "x", "context_length_exceeded", "Too long."), 11, "context_length", "Too long."),
        (Reply::html(200), 11, "protocol", "127.0.0.1"),
        (Reply::redirect(302, "http://127.0.0.1:1/"), 6, "redirect", "127.0.0.1"),
        (Reply::text("x").cut_at(3), 6, "connection", "127.0.0.1"),
    ] {
        for stream in ["--stream", "--no-stream"] {
            server.push(reply.clone());
            let args = ["ask", "hi", "--base-url", &url, "-m", "x", "--max-retries", "0", stream];
            let ran =
                llm.run(&args).await.exits(code).says(&["error: ", said, "127.0.0.1", "attempt 1 of 1"]);
            assert_eq!(ran.out, "", "{kind}");
            assert!(!ran.err.contains("<html>") && ran.err.lines().count() <= 4, "{}", ran.err);

            server.push(reply.clone());
            let ran = llm.run(&[&args[..], &["--errors", "json"]].concat()).await.exits(code);
            let error: serde_json::Value = serde_json::from_str(&ran.err).unwrap();
            assert_eq!(error["kind"], kind, "{error}");
            assert_eq!(error["attempts"], 1, "{error}");
            assert!(error["message"].as_str().is_some_and(|text| !text.is_empty()));
        }
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named() {
    let llm = Llm::new();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let url = format!("http://{free}/v1");
    let args = ["hi", "--base-url", &url, "-m", "x", "--max-retries", "1", "--set", "backoff_base_ms=1"];
    llm.run(&args).await.exits(6).says(&[&free.to_string(), "refused", "attempt 2 of 2", "try: "]);
    llm.run(&["hi", "--base-url", "http://name.invalid/v1", "-m", "x", "--max-retries", "0"])
        .await
        .exits(6)
        .says(&["name.invalid"]);
}

#[tokio::test]
async fn a_missing_key_says_which_variable_to_set() {
    let llm = Llm::new();
    llm.run(&["-m", "openai/gpt-4.1-mini", "hi"])
        .await
        .exits(4)
        .says(&["OPENAI_API_KEY"])
        .never_says(&["attempt"]);
    llm.run(&["-m", "openai/gpt-4.1-mini", "hi", "--json"]).await.exits(4);
    let llm = Llm::new().variable("OPENAI_API_KEY", "sk-with space");
    llm.run(&["-m", "openai/gpt-4.1-mini", "hi"])
        .await
        .exits(2)
        .says(&["OPENAI_API_KEY", "space"])
        .never_says(&["sk-with"]);
}

#[tokio::test]
async fn a_model_that_is_not_known_is_answered_with_near_names() {
    let llm = Llm::new();
    llm.write(
        "llm.toml",
        "default = \"fast\"\n[aliases]\nfast = \"local/qwen3-8b\"\n[providers.local]\n[providers.local.models.\"qwen3-8b\"]\n",
    );
    llm.write(".config/llm-rs/config.toml", "[providers.local]\nbase_url = \"http://127.0.0.1:1/v1\"\n");
    llm.run(&["-m", "qwen3-9b", "hi"]).await.exits(3).says(&["qwen3-9b", "qwen3-8b"]);
    llm.run(&["-m", "fsat", "hi"]).await.exits(3).says(&["`fast`"]);
    llm.run(&["-m", "opnai/gpt-5", "hi"]).await.exits(3).says(&["`openai/gpt-5`"]);
}

#[tokio::test]
async fn without_a_model_the_ways_to_name_one_are_said() {
    let llm = Llm::new();
    llm.run(&["hi there"]).await.exits(2).says(&["-m", "LLM_RS_MODEL", "default"]);
}

#[tokio::test]
async fn a_wrong_address_is_a_usage_error() {
    let llm = Llm::new();
    for url in ["not a url", "ftp://127.0.0.1/", "http://", "127.0.0.1:99999"] {
        llm.run(&["hi", "--base-url", url, "-m", "x"]).await.exits(2).never_says(&["attempt"]);
    }
    // A key is not sent to another machine in the clear.
    let ran = llm
        .run(&["hi", "--base-url", "http://llm.invalid/v1", "-m", "x", "--api-key", "sk-canary-1234567"])
        .await;
    ran.exits(2).says(&["allow_http"]).never_says(&["sk-canary"]);
}

#[tokio::test]
async fn a_wrong_configuration_is_named_with_its_line() {
    let llm = Llm::new();
    let at = |text: &str| {
        llm.write("c.toml", text);
        ["--config", "c.toml", "-m", "mock/echo", "hi"]
    };
    llm.run(&at("default = \n")).await.exits(2).says(&["c.toml:1"]);
    llm.run(&at("\nmax_retrys = 3\n")).await.exits(2).says(&["c.toml:2", "max_retries"]);
    llm.run(&at("max_retries = \"many\"\n")).await.exits(2).says(&["max_retries", "many"]);
    llm.run(&["--config", "missing.toml", "-m", "mock/echo", "hi"]).await.exits(3).says(&["missing.toml"]);
}

#[tokio::test]
async fn a_wrong_option_is_answered_with_what_is_allowed() {
    let llm = Llm::new();
    let run = async |args: &[&str]| llm.run(&[&["-m", "mock/echo", "hi"], args].concat()).await;
    run(&["--set", "max_retry=1"]).await.exits(2).says(&["did you mean `max_retries`?"]);
    run(&["--set", "max_retries"]).await.exits(2).says(&["key=value"]);
    run(&["--set", "idle_timeout_secs=soon"]).await.exits(2).says(&["soon", "seconds"]);
    run(&["--modle", "x"]).await.exits(2).says(&["--model"]);
    run(&["-t", "hot"]).await.exits(2).says(&["a number from 0 up"]);
    run(&["-f", "missing.txt"]).await.exits(3).says(&["missing.txt", "No such file"]);
    let ran = run(&["--nonsense", "--errors", "json"]).await.exits(2);
    let error: serde_json::Value = serde_json::from_str(&ran.err).unwrap();
    assert_eq!(error["kind"], "usage");
    llm.run(&["hi", "--max-retries", "-1"]).await.exits(2);
    let llm = Llm::new().variable("LLM_RS_MAX_RETRIES", "many");
    llm.run(&["-m", "mock/echo", "hi"]).await.exits(2).says(&["LLM_RS_MAX_RETRIES", "many"]);
}

#[tokio::test]
async fn a_key_is_never_shown_not_even_in_the_most_detailed_log() {
    const KEY: &str = "sk-canary-0123456789";
    let server = MockServer::start().await;
    let llm = Llm::new().variable("LLM_RS_BASE_URL", &server.base_url());
    for verbose in ["-v", "-vv", "-vvv"] {
        // A server that says the key aloud.
        server.push(refusal(401, "x", "x", &format!("Bad key {KEY}!")));
        let ran =
            llm.run(&["ask", "hi", "-m", "x", "--api-key", KEY, verbose]).await.exits(4).says(&["Bad key"]);
        assert!(!ran.err.contains(KEY), "{}", ran.err);
        assert!(server.requests().pop().unwrap().key() == Some(KEY));
    }
    // In the argument list other users can see it.
    llm.run(&["ask", "hi", "-m", "x", "--api-key", KEY])
        .await
        .exits(0)
        .says(&["LLM_RS_API_KEY"])
        .never_says(&[KEY]);
    let llm = llm.variable("LLM_RS_API_KEY", KEY);
    let ran = llm.run(&["ask", "hi", "-m", "x"]).await.exits(0);
    assert_eq!(ran.err, "");
    assert_eq!(server.requests().pop().unwrap().key(), Some(KEY));
}

#[tokio::test]
async fn each_level_of_detail_shows_what_it_says_and_no_more() {
    let server = MockServer::start().await;
    let llm = Llm::new().variable("LLM_RS_BASE_URL", &server.base_url());
    let run = async |verbose: &str| {
        llm.run(&["ask", "prompt-canary", "-m", "x", "--no-stream", verbose]).await.exits(0)
    };
    let plain = run("-v").await.says(&["POST", "/v1/chat/completions", "200"]);
    assert!(!plain.err.contains("prompt-canary") && !plain.err.contains("content-type"), "{}", plain.err);
    let headers = run("-vv").await.says(&["content-type"]);
    assert!(!headers.err.contains("prompt-canary"), "{}", headers.err);
    run("-vvv").await.says(&["prompt-canary"]);
}

#[tokio::test]
async fn a_server_cannot_forge_lines_or_steer_a_terminal() {
    let server = MockServer::start().await;
    let llm = Llm::new().variable("LLM_RS_BASE_URL", &server.base_url());
    let evil = r"gone\nerror: forged\u001b]0;title\u0007\u202e";
    for verbose in [&[][..], &["-vvv"]] {
        server.push(refusal(401, "x", "x", evil));
        let ran = llm.run(&[&["ask", "hi", "-m", "x"], verbose].concat()).await.exits(4);
        assert!(!ran.err.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{:?}", ran.err);
        assert!(!ran.err.lines().any(|line| line.starts_with("error: forged")), "{:?}", ran.err);
    }
    // Nor can a name that the user was given.
    let ran = llm.run(&["ask", "hi", "-m", "x", "-f", "a\u{1b}[2J.txt"]).await.exits(3);
    assert!(!ran.err.contains('\u{1b}'), "{:?}", ran.err);
}

#[tokio::test]
async fn a_backtrace_is_shown_to_nobody() {
    let llm = Llm::new().variable("RUST_BACKTRACE", "full").variable("RUST_LIB_BACKTRACE", "1");
    let with = llm
        .run(&["hi", "--base-url", "http://127.0.0.1:1/v1", "-m", "x", "--max-retries", "0"])
        .await
        .exits(6);
    let without =
        Llm::new().run(&["hi", "--base-url", "http://127.0.0.1:1/v1", "-m", "x", "--max-retries", "0"]).await;
    assert_eq!(with.err, without.err);
}

#[tokio::test]
async fn waits_that_are_too_long_are_not_waited_and_are_named() {
    let config = MockConfig::new().default_reply(Reply::error(429).header("retry-after", "3600"));
    let server = config.start().await.unwrap();
    let llm = Llm::new().variable("LLM_RS_BASE_URL", &server.base_url());
    llm.run(&["ask", "hi", "-m", "x"]).await.exits(6).says(&["3600"]);
    assert_eq!(server.counts().total, 1);
}
