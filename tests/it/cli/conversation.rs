//! `--thinking`, `--messages`, `--tools`: what reaches the server, and what a wrong one is answered with.

use llm_mock::{MockServer, Reply, ToolCall};
use serde_json::Value;

use super::harness::Llm;

fn at(server: &MockServer) -> Llm {
    Llm::new().variable("LLM_RS_BASE_URL", &server.base_url()).variable("LLM_RS_MODEL", "gpt-5")
}

fn last(server: &MockServer) -> Value {
    server.requests().pop().expect("something was sent").json()
}

#[tokio::test]
async fn how_much_to_think_goes_to_the_server_and_what_is_shown_does_not() {
    let server = MockServer::start().await;
    let llm = Llm::new().variable("LLM_RS_BASE_URL", &server.base_url());
    let run = async |args: &[&str]| {
        llm.run(&[&["ask", "-m", "openai/gpt-5", "--base-url", &server.base_url(), "hi"], args].concat())
            .await
    };
    run(&["--thinking", "low"]).await.exits(0);
    assert_eq!(last(&server)["reasoning_effort"], "low");
    run(&["--reasoning-effort", "high", "--reasoning", "hide"]).await.exits(0);
    assert_eq!(last(&server)["reasoning_effort"], "high");
    run(&["--reasoning", "show"]).await.exits(0);
    assert!(last(&server)["reasoning_effort"].is_null());
    // A budget has no word there: it is left out, and that is said.
    run(&["--thinking", "8000"]).await.exits(0).says(&["warning: reasoning.budget_tokens", "8000"]);
    let json = run(&["--thinking", "8000", "--json"]).await.exits(0).json();
    assert_eq!(json["warnings"][0]["about"], "reasoning.budget_tokens");
    let llm = Llm::new().variable("LLM_RS_THINKING", "minimal");
    llm.run(&["ask", "-m", "openai/gpt-5", "--base-url", &server.base_url(), "hi"]).await.exits(0);
    assert_eq!(last(&server)["reasoning_effort"], "minimal");
}

#[tokio::test]
async fn a_level_that_is_none_is_answered_with_those_there_are() {
    let server = MockServer::start().await;
    let llm = at(&server);
    for level in ["loud", "8k", "-1", ""] {
        let flag = format!("--thinking={level}");
        llm.run(&["ask", "hi", &flag]).await.exits(2).says(&["--thinking", "xhigh", "8000"]);
        llm.run(&["batch", "in.jsonl", &flag]).await.exits(2).says(&["--thinking", "xhigh"]);
    }
    llm.run(&["ask", "hi", "--thinking", "0"]).await.exits(2).says(&["`off`"]);
    // Who means the one and writes the other is told.
    llm.run(&["ask", "hi", "--reasoning", "high"]).await.exits(2).says(&["show, hide or only", "--thinking"]);
    assert_eq!(server.counts().total, 0);
}

#[tokio::test]
async fn another_level_is_another_batch() {
    let server = MockServer::start().await;
    let llm = at(&server);
    llm.write("in.jsonl", "{\"q\":\"one\"}\n{\"messages\":[{\"role\":\"user\",\"content\":\"two\"}]}\n");
    let run =
        async |level: &str| llm.run(&["batch", "in.jsonl", "-o", "out.jsonl", "--thinking", level]).await;
    run("low").await.exits(0);
    assert!(server.requests().iter().all(|request| request.json()["reasoning_effort"] == "low"));
    run("high").await.exits(5).says(&["parameters", "--on-change"]);
    run("low").await.exits(0);
    assert_eq!(server.counts().total, 2);
}

#[tokio::test]
async fn a_conversation_goes_on_from_what_json_printed() {
    let server = MockServer::start().await;
    let llm = at(&server);
    server.push(Reply::text("Bonjour."));
    let ran = llm.run(&["ask", "Hello", "-s", "Be brief.", "--json"]).await.exits(0);
    llm.write("talk.json", &ran.out);
    llm.run(&["ask", "--messages", "talk.json", "And now in Dutch"]).await.exits(0);
    let texts = |body: &Value| -> Vec<String> {
        body["messages"]
            .as_array()
            .unwrap()
            .iter()
            .map(|m| format!("{}: {}", m["role"].as_str().unwrap(), m["content"].as_str().unwrap()))
            .collect()
    };
    let whole = ["system: Be brief.", "user: Hello", "assistant: Bonjour.", "user: And now in Dutch"];
    assert_eq!(texts(&last(&server)), whole);
    // Through a pipe too, and its own system prompt stays.
    llm.run_with_stdin(&["ask", "--messages", "-", "And now in Dutch", "-s", "Be long."], &ran.out)
        .await
        .exits(0)
        .says(&["--system is left out"]);
    assert_eq!(texts(&last(&server)), whole);
    // A bare list does, and its last word may be the user's.
    llm.write("list.json", r#"[{"role": "user", "content": "Hello"}]"#);
    llm.run(&["ask", "--messages", "list.json"]).await.exits(0);
    assert_eq!(texts(&last(&server)), ["user: Hello"]);
    llm.write("empty.json", "[]");
    llm.run(&["ask", "--messages", "empty.json", "Hello"]).await.exits(0);
    assert_eq!(texts(&last(&server)), ["user: Hello"]);
}

#[tokio::test]
async fn a_wrong_conversation_is_named_with_its_place() {
    let server = MockServer::start().await;
    let llm = at(&server);
    for (text, said) in [
        ("", "it is empty"),
        ("[{\"role\": \"user\",\n  \"content\": }]", "not JSON: expected value at line 2 column 14"),
        ("\"hello\"", "neither a list of messages nor an object"),
        ("{\"message\": []}", "the object has no `messages`"),
        ("{\"messages\": {}}", "messages: "),
        (
            "[{\"role\": \"user\"}, {\"role\": \"robot\", \"content\": \"x\"}]",
            "messages[1].role: `robot` is not a role",
        ),
        ("[{\"role\": \"user\", \"content\": 5}]", "messages[0].content: neither a text nor a list"),
        (
            "[{\"role\": \"assistant\", \"tool_calls\": [{\"id\": \"c\"}]}]",
            "messages[0].tool_calls[0].function",
        ),
        ("[5]", "messages[0]: "),
    ] {
        llm.write("talk.json", text);
        for command in ["ask", "count"] {
            let args = [command, "--messages", "talk.json", "hi"];
            llm.run(&args).await.exits(2).says(&["`talk.json`", said, "try: "]);
        }
    }
    llm.write("done.json", r#"[{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]"#);
    llm.run(&["ask", "--messages", "done.json"])
        .await
        .exits(2)
        .says(&["`done.json` ends with", "there is no prompt"]);
    llm.run(&["ask", "--messages", "none.json", "hi"]).await.exits(3).says(&["none.json", "No such file"]);
    llm.run(&["ask", "--messages", "-", "-"]).await.exits(2).says(&["stands for stdin once"]);
    llm.run(&["ask", "--messages", "-", "hi", "--no-stdin"]).await.exits(2).says(&["--no-stdin"]);
    std::fs::write(llm.path("bad.json"), b"[\"\xff\"]").unwrap();
    llm.run(&["ask", "--messages", "bad.json", "hi"]).await.exits(2).says(&[
        "bad.json",
        "not UTF-8",
        "byte 3",
    ]);
    assert_eq!(server.counts().total, 0);
}

#[tokio::test]
async fn wrong_tools_are_named_with_their_place() {
    let server = MockServer::start().await;
    let llm = at(&server);
    for (text, said) in [
        ("[{\"name\": }]", "not JSON: expected value at line 1 column 11"),
        ("5", "neither a list of tools"),
        ("[]", "tools: there is none"),
        ("[{\"description\": \"x\"}]", "tools[0].name: missing"),
        ("[{\"name\": \"f\"}, {\"name\": \"f\"}]", "tools[1].name: `f` is there already"),
        ("[{\"name\": \"f\", \"run\": \"ls | wc\"}]", "tools[0].run: a list of a program and its arguments"),
        ("{\"tools\": [{\"name\": \"f\"}], \"tool_choise\": \"auto\"}", "tool_choise: unknown here"),
    ] {
        llm.write("tools.json", text);
        for command in ["ask", "count"] {
            let args = [command, "--tools", "tools.json", "hi"];
            llm.run(&args).await.exits(2).says(&["`tools.json`", said, "try: "]);
        }
    }
    llm.run(&["ask", "--tools", "none.json", "hi"]).await.exits(3).says(&["none.json"]);
    llm.run(&["ask", "--tools", "-", "hi"]).await.exits(2).says(&["--tools FILE"]);
    let json = llm.run(&["ask", "--tools", "none.json", "hi", "--json"]).await.exits(3).json();
    assert_eq!(json["error"]["kind"], "file_not_found");
    assert_eq!(server.counts().total, 0);
}

#[tokio::test]
async fn a_program_behind_a_tool_is_told_to_no_server() {
    let server = MockServer::start().await;
    let llm = at(&server);
    llm.write("tools.json", r#"{"tools": [{"name": "f", "parameters": {"type": "object", "x": 1e2}, "run": ["/bin/sh", "canary"]}], "tool_choice": "none"}"#);
    server.push(Reply::text("done"));
    llm.run(&["ask", "--tools", "tools.json", "hi"]).await.exits(0);
    let sent = String::from_utf8(server.requests()[0].body().to_vec()).unwrap();
    assert!(!sent.contains("canary") && !sent.contains("\"run\""), "{sent}");
    assert!(sent.contains("1e2") && sent.contains("\"tool_choice\":\"none\""), "{sent}");
}

#[tokio::test]
async fn calls_with_nobody_to_run_them_are_shown_and_are_a_good_end() {
    let server = MockServer::start().await;
    let llm = at(&server);
    llm.write("tools.json", r#"[{"name": "f"}]"#);
    server.push(Reply::tool_calls([
        ToolCall::new("call_9", "f", "{\"a\":\"\\u001b[2J\\n\"}"),
        ToolCall::new("call_10", "f", ""),
    ]));
    let ran = llm.run(&["ask", "--tools", "tools.json", "hi"]).await.exits(0);
    assert_eq!(ran.out, "");
    assert!(!ran.err.contains('\u{1b}'), "{:?}", ran.err);
    ran.says(&["tool call: f {\"a\":", "(id call_9)", "tool call: f {} (id call_10)"]).never_says(&["empty"]);
}
