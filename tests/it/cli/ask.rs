//! `llm ask`: what is sent, what is printed.

use std::process::Stdio;
use std::time::{Duration, Instant};

use llm_mock::{MockConfig, MockServer, Reply};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};

use super::harness::{Llm, finish, until};

/// The text of the last user message of the last request.
fn sent(server: &MockServer) -> String {
    let requests = server.requests();
    let body = requests.last().expect("something was sent").json();
    let messages = body["messages"].as_array().expect("messages").clone();
    messages.last().unwrap()["content"].as_str().expect("a text").to_owned()
}

#[tokio::test]
async fn piped_text_and_prompt_are_both_sent() {
    let (llm, server) = (Llm::new(), MockServer::start().await);
    let url = server.base_url();
    let at = ["--base-url", url.as_str(), "-m", "x"];
    let run = async |args: &[&str], stdin: &str| llm.run_with_stdin(&[&at, args].concat(), stdin).await;

    let ran = run(&["P"], "T\n").await.exits(0);
    assert_eq!(ran.out, "T\n\nP");
    assert_eq!(sent(&server), "T\n\nP");
    // An empty pipe with a prompt is fine; a pipe alone is a prompt; `-` says the same.
    for (args, stdin, message) in [
        (&["two", "words"][..], "", "two words"),
        (&[], "alone\n", "alone"),
        (&["-"], "named\n", "named"),
        (&["P", "--no-stdin"], "unread", "P"),
    ] {
        run(args, stdin).await.exits(0);
        assert_eq!(sent(&server), message, "{args:?}");
    }
    llm.write("a.md", "```\ncode\n```\n");
    run(&["P", "-f", "a.md", "-s", "S"], "T").await.exits(0);
    assert_eq!(sent(&server), "a.md:\n````\n```\ncode\n```\n````\n\nT\n\nP");
    let body = server.requests().pop().unwrap().json();
    assert_eq!(body["messages"][0]["role"], "system");
    assert_eq!(body["messages"][0]["content"], "S");
    assert_eq!(body["stream"], true);
}

#[tokio::test]
async fn a_prompt_that_is_not_there_is_asked_for() {
    let llm = Llm::new();
    llm.run(&["ask", "-m", "mock/echo"]).await.exits(2).says(&["stdin was empty"]);
    llm.run(&["ask", "-m", "mock/echo", "--no-stdin"]).await.exits(2).says(&["there is no prompt"]);
    llm.run(&["ask", "-", "--no-stdin"]).await.exits(2).says(&["--no-stdin"]);
}

#[tokio::test]
async fn a_slip_in_a_command_is_not_sent_and_two_dashes_send_it() {
    let (llm, server) = (Llm::new(), MockServer::start().await);
    let url = server.base_url();
    llm.run(&["batc", "x", "--base-url", &url])
        .await
        .exits(2)
        .says(&["did you mean `batch`?", "llm -- batc"]);
    llm.run(&["--base-url", &url, "-m", "x", "modles"]).await.exits(2).says(&["did you mean `models`?"]);
    assert_eq!(server.counts().total, 0);
    let ran = llm.run(&["--base-url", &url, "-m", "x", "--", "batc", "x"]).await.exits(0);
    assert_eq!(ran.out, "batc x");
}

#[tokio::test]
async fn the_built_in_mock_answers_word_for_word() {
    let llm = Llm::new();
    let hostile = "Zwölf 漢字 \u{1b}[31m red \u{202e}\ttab\nline two";
    let ran = llm.run(&["-m", "mock/echo", hostile]).await.exits(0);
    // Not a terminal: byte for byte, nothing added.
    assert_eq!((ran.out.as_str(), ran.err.as_str()), (hostile, ""));
    let ran = llm.run(&["-m", "mock/echo", "--no-stream", hostile]).await.exits(0);
    assert_eq!(ran.out, hostile);
    llm.run(&["-m", "mock/other", "x"]).await.exits(3).says(&["echo"]);
}

#[tokio::test]
async fn json_is_one_object_with_the_promised_names() {
    let (llm, server) = (Llm::new(), MockServer::start().await);
    let url = server.base_url();
    let names = [
        "attempt_log",
        "attempts",
        "cost",
        "error",
        "finish_reason",
        "first_token_ms",
        "latency_ms",
        "messages",
        "model",
        "native_finish_reason",
        "reasoning",
        "refusal",
        "response_model",
        "text",
        "tool_calls",
        "turns",
        "usage",
        "v",
        "warnings",
    ];
    for stream in ["--stream", "--no-stream"] {
        server.push(Reply::error(503).header("retry-after-ms", "1"));
        server.push(Reply::text("four").reasoning("two and two"));
        let args =
            ["--json", stream, "--base-url", &url, "-m", "gpt-x", "2+2?", "--set", "backoff_base_ms=1"];
        let json = llm.run(&args).await.exits(0).json();
        let mut found: Vec<&str> = json.as_object().unwrap().keys().map(String::as_str).collect();
        found.sort_unstable();
        assert_eq!(found, names);
        assert_eq!((json["v"].as_u64(), json["text"].as_str()), (Some(1), Some("four")));
        assert_eq!(
            (json["reasoning"].as_str(), json["finish_reason"].as_str()),
            (Some("two and two"), Some("stop"))
        );
        assert!(json["cost"].is_null() && json["error"].is_null() && json["refusal"].is_null());
        assert!(json["usage"]["input_tokens"].as_u64().is_some(), "{json}");
        assert_eq!(json["attempts"], 2, "{json}");
        assert_eq!(json["attempt_log"][0]["kind"], "overloaded");
        assert!(json["attempt_log"][1]["kind"].is_null());
        assert_eq!(json["first_token_ms"].is_null(), stream == "--no-stream");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_kept_and_is_an_error() {
    let (llm, server) = (Llm::new(), MockServer::start().await);
    let url = server.base_url();
    let at = ["--base-url", url.as_str(), "-m", "x", "q"];
    server.push(Reply::text("one two three").no_end());
    let ran = llm.run(&at).await.exits(6);
    assert_eq!(ran.out, "one two three");
    server.push(Reply::text("one two three").no_end());
    let ran = llm.run(&[&at[..], &["--json", "--errors", "json"]].concat()).await.exits(6);
    let json = ran.json();
    assert_eq!(
        (json["text"].as_str(), json["error"]["kind"].as_str()),
        (Some("one two three"), Some("truncated"))
    );
    let error: serde_json::Value = serde_json::from_str(&ran.err).expect("one object on stderr");
    assert_eq!((error["kind"].as_str(), error["retryable"].as_bool()), (Some("truncated"), Some(true)));
    assert_eq!(server.counts().total, 2, "nothing is repeated after content");
}

#[tokio::test]
async fn reasoning_goes_to_stderr_when_it_is_wanted() {
    let (llm, server) = (Llm::new(), MockServer::start().await);
    let url = server.base_url();
    for (how, out, err) in [("hide", "four", ""), ("show", "four", "hmm"), ("only", "", "hmm")] {
        server.push(Reply::text("four").reasoning("hmm"));
        let ran = llm.run(&["--base-url", &url, "-m", "x", "q", "--reasoning", how]).await.exits(0);
        assert_eq!((ran.out.as_str(), ran.err.trim()), (out, err), "{how}");
    }
}

#[tokio::test]
async fn figures_and_remarks_stand_on_stderr() {
    let (llm, server) = (Llm::new(), MockServer::start().await);
    let url = server.base_url();
    server.push(Reply::text("cut").finish_reason("length"));
    let ran = llm.run(&["--base-url", &url, "-m", "x", "q", "--usage"]).await.exits(0);
    assert_eq!(ran.out, "cut");
    ran.says(&["the answer is cut", "tok, ", "price unknown"]);
    server.push(Reply::refusal("I will not."));
    let ran =
        llm.run(&["--base-url", &url, "-m", "x", "q"]).await.exits(11).says(&["I will not.", "refused"]);
    assert_eq!(ran.out, "");
    server.push(Reply::refusal("I will not."));
    let json = llm.run(&["--base-url", &url, "-m", "x", "q", "--json"]).await.exits(11).json();
    assert_eq!(
        (json["refusal"].as_str(), json["error"]["kind"].as_str()),
        (Some("I will not."), Some("content_filter"))
    );
    assert_eq!(json["error"]["model"], "x", "whose answer it was is said: {json}");
    server.push(Reply::text("").reasoning("Only a thought."));
    let ran = llm.run(&["--base-url", &url, "-m", "x", "q"]).await.exits(0);
    assert_eq!(ran.err.matches("only reasoning").count(), 1, "{}", ran.err);
}

#[tokio::test]
async fn a_pipe_sees_a_slow_answer_grow() {
    let llm = Llm::new();
    let config = MockConfig::new().default_reply(Reply::text("alpha beta gamma delta").tokens_per_sec(4.0));
    let server = config.start().await.unwrap();
    let mut child = llm.start(&["--base-url", &server.base_url(), "-m", "x", "q"]);
    let mut first = [0; 5];
    let mut out = child.stdout.take().unwrap();
    out.read_exact(&mut first).await.unwrap();
    // There is no newline in it, and most of the answer is still to come.
    assert_eq!((&first, server.counts().answered), (b"alpha", 0));
    let mut rest = String::new();
    out.read_to_string(&mut rest).await.unwrap();
    assert_eq!(rest, " beta gamma delta");
    finish(child).await.exits(0);
}

#[tokio::test]
async fn a_closed_pipe_cancels_the_call_at_once_and_in_silence() {
    let llm = Llm::new();
    // After the first line nothing comes for a long time: the end of the reader has to be noticed without a write.
    let body = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"one\\n\"}}]}\n\n";
    let server = MockServer::start().await;
    server.push(Reply::sse(body).stall_at(body.len()));
    let mut child = llm.start(&["--base-url", &server.base_url(), "-m", "x", "q"]);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(lines.next_line().await.unwrap().as_deref(), Some("one"));
    drop(lines);
    let closed = Instant::now();
    until(&server, |counts| counts.cancelled == 1).await;
    let ran = finish(child).await.exits(141);
    assert_eq!(ran.err, "");
    assert!(closed.elapsed() < Duration::from_secs(5), "{:?}", closed.elapsed());
}

#[tokio::test]
async fn a_file_gets_no_escapes_and_no_newline_of_ours() {
    let llm = Llm::new().variable("CLICOLOR_FORCE", "1");
    let file = std::fs::File::create(llm.path("f")).unwrap();
    let child = llm.command(&["-m", "mock/echo", "plain"]).stdout(Stdio::from(file)).spawn().unwrap();
    finish(child).await.exits(0);
    assert_eq!(llm.read("f"), "plain");
}

#[tokio::test]
async fn a_full_disk_is_said() {
    let llm = Llm::new();
    let Ok(full) = std::fs::File::options().write(true).open("/dev/full") else { return };
    let child = llm.command(&["-m", "mock/echo", "plain"]).stdout(Stdio::from(full)).spawn().unwrap();
    finish(child).await.exits(8).says(&["cannot write to the standard output"]);
}
