//! `--tools` with programs: what the model calls is run, and nothing else is.

use std::time::{Duration, Instant};

use llm_mock::{MockServer, Reply, ToolCall};
use serde_json::Value;

use super::harness::{Llm, finish, signal};
use super::vendors::{FORMATS, root};

fn at(server: &MockServer) -> Llm {
    Llm::new().variable("LLM_RS_BASE_URL", &server.base_url()).variable("LLM_RS_MODEL", "gpt-5")
}

/// One tool, `weather`, behind which a script stands.
fn with_script(llm: &Llm, script: &str) {
    llm.write("weather.sh", script);
    llm.write("tools.json", r#"[{"name": "weather", "run": ["/bin/sh", "weather.sh"]}]"#);
}

fn calls(cities: &[&str]) -> Reply {
    Reply::tool_calls(
        cities
            .iter()
            .map(|city| ToolCall::new(format!("call_{city}"), "weather", format!("{{\"city\":\"{city}\"}}"))),
    )
}

/// What a later request tells of tools: the contents of its results, in order.
fn told(server: &MockServer) -> Vec<String> {
    let body = server.requests().pop().expect("something was sent").json();
    let messages = body["messages"].as_array().expect("messages").clone();
    let results = messages.iter().filter(|message| message["role"] == "tool");
    results.map(|message| message["content"].as_str().expect("a text").to_owned()).collect()
}

#[tokio::test]
async fn what_the_model_calls_is_run_and_told_until_it_stops_in_every_format() {
    for (model, ..) in FORMATS {
        for stream in ["--stream", "--no-stream"] {
            let (llm, server) = (Llm::new(), MockServer::start().await);
            // Every call leaves what it was given.
            with_script(&llm, "read line; echo \"$line\" >> given; echo \"It rains: $line\"");
            let root = root(&server);
            let args =
                ["ask", "-m", model, "--base-url", &root, "--api-key", "sk-one-two-three-four", stream];
            let args = [&args[..], &["--tools", "tools.json", "Weather?"]].concat();
            let script = || {
                server
                    .push(calls(&["Paris", "Rome"]).say("Let me look.").reasoning("Two.").signature("c2ln"));
                server.push(calls(&["Oslo"]));
                server.push(Reply::text("Rain everywhere."));
            };
            script();
            let ran = llm.run(&args).await.exits(0);
            assert_eq!(ran.out, "Let me look.\n\nRain everywhere.", "{model} {stream}");
            let mut given: Vec<String> = llm.read("given").lines().map(str::to_owned).collect();
            given.sort();
            assert_eq!(given, [r#"{"city":"Oslo"}"#, r#"{"city":"Paris"}"#, r#"{"city":"Rome"}"#], "{model}");
            ran.says(&[
                r#"tool weather {"city":"Rome"}: running /bin/sh weather.sh"#,
                "tool weather: 25 bytes in",
            ])
            .never_says(&["tool call:"]);
            assert_eq!(server.counts().total, 3, "{model}");

            script();
            let json = llm.run(&[&args[..], &["--json"]].concat()).await.exits(0).json();
            assert_eq!((&json["text"], &json["turns"]), (&"Rain everywhere.".into(), &3.into()), "{model}");
            assert_eq!(
                (&json["finish_reason"], &json["tool_calls"]),
                (&"stop".into(), &Value::Array(Vec::new()))
            );
            let messages = json["messages"].as_array().unwrap();
            let roles: Vec<&str> = messages.iter().map(|m| m["role"].as_str().unwrap()).collect();
            assert_eq!(
                roles,
                ["user", "assistant", "tool", "tool", "assistant", "tool", "assistant"],
                "{model}"
            );
            assert_eq!(messages[2]["content"], r#"It rains: {"city":"Paris"}"#, "{model}");
            assert_eq!((&json["attempts"], json["error"].is_null()), (&3.into(), true), "{model}");
            // Three answers were paid for: those of one turn are fewer.
            let total = json["usage"]["output_tokens"].as_u64().unwrap();
            assert!(total > 3 && json["usage"]["source"] == "reported", "{model}: {}", json["usage"]);
        }
    }
}

#[tokio::test]
async fn what_goes_wrong_with_a_program_is_told_to_the_model_and_said() {
    let long = "i=0; while [ $i -lt 40000 ]; do echo 0123456789; i=$((i+1)); done";
    let stubborn = format!("trap '' PIPE; sleep 300 & {long} 2>/dev/null; wait");
    for (script, result, said) in [
        ("echo no tables >&2; exit 3", "Error: exit code 3: no tables", "failed after"),
        ("exit 1", "Error: exit code 1", "exit code 1"),
        ("kill -9 $$", "Error: it was killed by a signal", "signal"),
        ("sleep 60", "Error: it gave no result within 0.3 s", "no result within"),
        (long, "Error: it wrote more than 256 KiB", "256 KiB"),
        // One that goes on all the same is not waited for, nor what it has started.
        (&stubborn, "Error: it wrote more than 256 KiB", "256 KiB"),
        ("printf '\\377'", "Error: what it wrote is not UTF-8 text", "UTF-8"),
        // It need not read what it is given, and may say nothing.
        ("exec <&-; echo deaf", "deaf", "4 bytes"),
        (":", "", "0 bytes"),
    ] {
        for stream in ["--stream", "--no-stream"] {
            let server = MockServer::start().await;
            let llm = at(&server);
            with_script(&llm, script);
            server.push(calls(&["Paris"]));
            server.push(Reply::text("done"));
            let limit = if script.starts_with("sleep") { "300ms" } else { "50s" };
            let args = ["ask", "--tools", "tools.json", "hi", "--tool-timeout", limit, stream];
            let ran = llm.run(&args).await.exits(0).says(&[said]);
            assert_eq!(ran.out, "done", "{script}");
            assert_eq!(told(&server), [result], "{script}");
        }
    }
}

#[tokio::test]
async fn nothing_is_run_that_the_file_does_not_name_and_no_shell_reads_it() {
    let server = MockServer::start().await;
    let llm = at(&server);
    llm.write(
        "tools.json",
        r#"[{"name": "say", "run": ["/bin/echo", "a; touch evil", "$HOME"]}, {"name": "mine"}]"#,
    );
    // A name that nobody gave, and arguments that are no JSON.
    let call = |id: &str, name: &str, arguments: &str| ToolCall::new(id, name, arguments);
    server.push(Reply::tool_calls([
        call("1", "/bin/sh", "{\"c\":\"touch evil\"}"),
        call("2", "say", "{\"broken\""),
        call("3", "say", "{\"x\":\"$(touch evil)\"}"),
    ]));
    server.push(Reply::text("done"));
    let ran = llm.run(&["ask", "--tools", "tools.json", "hi"]).await.exits(0);
    let told = told(&server);
    assert!(told[0].starts_with("Error: there is no function `/bin/sh`"), "{told:?}");
    assert!(told[1].starts_with("Error: the arguments are no JSON object"), "{told:?}");
    assert_eq!(told[2], "a; touch evil $HOME");
    assert!(!llm.path("evil").exists());
    assert_eq!(ran.err.matches("running").count(), 1, "{}", ran.err);
    // A tool without a program is the caller's: the loop stops there, and what was run is kept.
    server.push(Reply::tool_calls([call("4", "say", "{}"), call("5", "mine", "{}")]));
    let json = llm.run(&["ask", "--tools", "tools.json", "hi", "--json"]).await.exits(0).json();
    assert_eq!((&json["finish_reason"], &json["turns"]), (&"tool_calls".into(), &1.into()));
    assert_eq!(
        (json["tool_calls"].as_array().map(Vec::len), &json["tool_calls"][0]["id"]),
        (Some(1), &"5".into())
    );
    assert_eq!(json["messages"][2]["tool_call_id"], "4", "{json}");
    server.push(Reply::tool_calls([call("6", "mine", "{}")]));
    llm.run(&["ask", "--tools", "tools.json", "hi"]).await.exits(0).says(&["tool call: mine {} (id 6)"]);
}

#[tokio::test]
async fn a_loop_has_an_end_and_can_be_gone_on_with() {
    let server = MockServer::start().await;
    let llm = at(&server);
    with_script(&llm, "echo rain");
    for _ in 0..2 {
        server.push(calls(&["Paris"]));
    }
    let args = ["ask", "--tools", "tools.json", "--max-turns", "2", "--json"];
    let ran = llm.run(&[&args[..], &["hi"]].concat()).await.exits(13).says(&["2 turns", "--max-turns"]);
    let json = ran.json();
    assert_eq!((&json["error"]["kind"], &json["turns"]), (&"budget".into(), &2.into()), "{json}");
    assert!(json["error"]["model"].is_string(), "{json}");
    assert_eq!(json["messages"].as_array().map(Vec::len), Some(5));
    llm.write("talk.json", &ran.out);
    server.push(Reply::text("Rain."));
    let json = llm.run(&[&args[..], &["--messages", "talk.json"]].concat()).await.exits(0).json();
    assert_eq!((&json["text"], told(&server).len()), (&"Rain.".into(), 2));
    // Calls that were left open are run first.
    llm.write(
        "open.json",
        r#"[{"role": "user", "content": "hi"}, {"role": "assistant", "content": null, "tool_calls": [{"id": "c", "type": "function", "function": {"name": "weather", "arguments": "{}"}}]}]"#,
    );
    server.push(Reply::text("Rain."));
    llm.run(&[&args[..], &["--messages", "open.json"]].concat()).await.exits(0);
    assert_eq!(told(&server), ["rain"]);
    // A turn that fails leaves what was done before it.
    server.push(calls(&["Paris"]));
    server.push(Reply::error(400));
    let json = llm.run(&[&args[..], &["hi"]].concat()).await.exits(11).json();
    assert_eq!((&json["error"]["kind"], &json["turns"]), (&"invalid_request".into(), &1.into()));
    assert_eq!(json["messages"][2]["content"], "rain", "{json}");
}

#[tokio::test]
async fn a_program_that_is_not_there_is_named_before_anything_is_paid_for() {
    let server = MockServer::start().await;
    let llm = at(&server);
    for program in ["./none.sh", "no-such-program"] {
        llm.write("tools.json", &format!(r#"[{{"name": "weather", "run": ["{program}"]}}]"#));
        let args = ["ask", "--tools", "tools.json", "hi"];
        llm.run(&args).await.exits(3).says(&[program, "`weather`", "PATH"]);
        // Looking at the request runs nothing and needs nothing.
        llm.run(&[&args[..], &["--dry-run"]].concat()).await.exits(0);
    }
    for (flag, value, said) in [("--max-turns", "0", "1.."), ("--tool-timeout", "soon", "a time such as")] {
        llm.run(&["ask", "hi", flag, value]).await.exits(2).says(&[flag, said]);
    }
    assert_eq!(server.counts().total, 0);
}

#[tokio::test]
async fn an_interrupt_ends_the_program_and_what_it_has_started() {
    let server = MockServer::start().await;
    let llm = at(&server);
    // A child of the shell's: what the program has started ends too.
    with_script(&llm, "sleep 300 & echo $! > pid; wait");
    server.push(calls(&["Paris"]));
    let child = llm.start(&["ask", "--tools", "tools.json", "--json", "hi"]);
    let begun = Instant::now();
    let alive = |pid: &str| std::path::Path::new("/proc").join(pid).join("exe").exists();
    let pid = loop {
        let pid = std::fs::read_to_string(llm.path("pid")).unwrap_or_default();
        if pid.ends_with('\n') {
            break pid.trim().to_owned();
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "the program never began");
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    signal(&child, "INT");
    // The answer that came is paid for: it can be gone on with.
    let json = finish(child).await.exits(130).json();
    assert_eq!((&json["turns"], &json["error"]["kind"]), (&1.into(), &"cancelled".into()), "{json}");
    assert_eq!(json["messages"][1]["tool_calls"][0]["id"], "call_Paris", "{json}");
    assert_eq!(json["tool_calls"][0]["id"], "call_Paris", "{json}");
    let ended = Instant::now();
    while alive(&pid) {
        assert!(ended.elapsed() < Duration::from_secs(10), "the program lives on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(server.counts().total, 1);
}

#[tokio::test]
async fn what_was_answered_before_an_interrupt_was_paid_for() {
    let server = MockServer::start().await;
    let llm = at(&server);
    with_script(&llm, "echo rain");
    server.push(calls(&["Paris"]));
    server.push(Reply::text("Rain everywhere.").stall_at(200));
    let child = llm.start(&["ask", "--tools", "tools.json", "--json", "hi"]);
    server.wait_for(|counts| counts.total == 2).await;
    signal(&child, "INT");
    let json = finish(child).await.exits(130).json();
    let output = json["usage"]["output_tokens"].as_u64();
    assert!(output.is_some_and(|tokens| tokens > 0), "{json}");
    assert_eq!(json["usage"]["source"], "partial", "the second answer did not say");
    assert!(json["cost"].is_null(), "{json}");
}
