//! `llm batch`: what it says, what it leaves, what it refuses.

use std::time::{Duration, Instant};

use llm_mock::{MockConfig, MockServer, Reply};

use super::harness::{Llm, finish, signal, until};

fn rows(count: usize) -> String {
    (0..count).map(|n| format!("{{\"q\":\"question {n}\"}}\n")).collect()
}

/// A configured server, so that command lines stay short.
fn at(server: &MockServer) -> Llm {
    Llm::new().variable("LLM_RS_BASE_URL", &server.base_url()).variable("LLM_RS_MODEL", "m")
}

#[tokio::test]
async fn every_row_is_answered_and_a_second_run_sends_nothing() {
    let server = MockServer::start().await;
    let llm = at(&server);
    llm.write("in.jsonl", &rows(30));
    let ran = llm.run(&["batch", "in.jsonl", "-c", "4"]).await.exits(0).says(&["30"]);
    assert_eq!(ran.out, "");
    let records = llm.records("in.output.jsonl");
    assert_eq!(records.len(), 30);
    for (n, record) in records.iter().enumerate() {
        assert_eq!((record["index"].as_u64(), record["status"].as_str()), (Some(n as u64), Some("success")));
        assert_eq!(record["output"], format!("question {n}"));
    }
    assert_eq!(server.counts().total, 30);
    let ran = llm.run(&["batch", "run", "in.jsonl", "--json"]).await.exits(0).says(&["30 rows are restored"]);
    let json = ran.json();
    assert_eq!(
        (json["v"].as_u64(), json["restored"].as_u64(), json["new"].as_u64()),
        (Some(1), Some(30), Some(0))
    );
    assert_eq!(server.counts().total, 30);
    llm.run(&["batch", "verify", "in.jsonl", "in.output.jsonl"]).await.exits(0);
}

#[tokio::test]
async fn resume_says_what_was_skipped_what_is_retried_and_what_is_new() {
    let server = MockServer::start().await;
    let llm = at(&server);
    llm.write("in.jsonl", &rows(3));
    // One row fails for the moment, one for good.
    server.push(Reply::error(400));
    server.push(Reply::error(500));
    let args =
        ["batch", "in.jsonl", "-o", "out.jsonl", "-c", "1", "--max-retries", "0", "--max-outage", "30s"];
    llm.run(&args).await.exits(9).says(&["invalid_request"]);
    llm.write("in.jsonl", &rows(5));
    let ran = llm.run(&args).await.exits(9).says(&["restored", "new"]);
    assert!(ran.err.contains("2 restored") || ran.err.contains("3 restored"), "{}", ran.err);
    llm.run(&[&args[..], &["--retry-failed"]].concat()).await.exits(0).says(&["1 retried"]);
    assert!(llm.records("out.jsonl").iter().all(|record| record["status"] == "success"));
}

#[tokio::test]
async fn a_batch_in_which_every_row_fails_says_why_once_for_each_kind() {
    let config = MockConfig::new().default_reply(Reply::error(400));
    let server = config.start().await.unwrap();
    let llm = at(&server);
    llm.write("in.jsonl", &rows(20));
    let ran = llm.run(&["batch", "in.jsonl", "-c", "1"]).await.exits(9).says(&["20 failed"]);
    assert_eq!(ran.err.matches("The request is not valid").count(), 1, "{}", ran.err);
    ran.says(&["line 1 failed", "failures: 20 invalid_request"]);
    llm.run(&["batch", "in.jsonl", "--max-failures", "100%", "--retry-failed"]).await.exits(0);
    llm.run(&["batch", "in.jsonl", "--max-failures", "19"]).await.exits(9);
    llm.run(&["batch", "in.jsonl", "--max-failures", "20"]).await.exits(0);
}

#[tokio::test]
async fn a_bad_row_is_named_by_its_true_line_and_the_others_run() {
    let server = MockServer::start().await;
    let llm = at(&server);
    llm.write("in.jsonl", "{\"q\":\"one\"}\n\n{\"q\": broken\n{\"q\":\"three\"}\n");
    llm.run(&["batch", "in.jsonl", "-o", "out.jsonl"]).await.exits(9).says(&["line 3"]);
    let records = llm.records("out.jsonl");
    let status: Vec<_> = records.iter().map(|record| record["status"].as_str().unwrap()).collect();
    assert_eq!(status, ["success", "error", "success"]);
    let sent = server.counts().total;
    llm.run(&["batch", "in.jsonl", "-o", "strict.jsonl", "--strict"]).await.exits(2).says(&["line 3"]);
    assert_eq!(server.counts().total, sent, "nothing is sent before the row is found");
}

#[tokio::test]
async fn outputs_that_cannot_or_must_not_be_written_are_left_alone() {
    let server = MockServer::start().await;
    let llm = at(&server);
    llm.write("in.jsonl", &rows(3));
    let before = llm.read("in.jsonl");
    llm.run(&["batch", "in.jsonl", "-o", "in.jsonl"]).await.exits(2).says(&["in.jsonl"]);
    llm.run(&["batch", "in.jsonl", "-o", "./sub/../in.jsonl"]).await;
    assert_eq!(llm.read("in.jsonl"), before);
    llm.run(&["batch", "in.jsonl", "-o", "no/such/folder/out.jsonl"])
        .await
        .exits(8)
        .says(&["no/such/folder", "does not exist"]);
    std::fs::create_dir(llm.path("folder")).unwrap();
    let ran = llm.run(&["batch", "in.jsonl", "-o", "folder"]).await;
    assert!(matches!(ran.code, 2 | 8), "{ran:?}");
    llm.write("notes.jsonl", "{\"mine\":1}\n");
    llm.run(&["batch", "in.jsonl", "-o", "notes.jsonl"]).await.exits(5).says(&["notes.jsonl"]);
    assert_eq!(llm.read("notes.jsonl"), "{\"mine\":1}\n");
    llm.run(&["batch", "missing.jsonl"]).await.exits(3).says(&["missing.jsonl"]);
    llm.run(&["batch", "-"]).await.exits(2).says(&["-o"]);
    llm.run(&["batch"]).await.exits(2);
    assert_eq!(server.counts().total, 0);
}

#[tokio::test]
async fn the_output_of_another_job_is_refused_with_the_difference() {
    let server = MockServer::start().await;
    let llm = at(&server);
    llm.write("in.jsonl", &rows(3));
    llm.run(&["batch", "in.jsonl", "-o", "out.jsonl", "-s", "Be brief."]).await.exits(0);
    let before = llm.read("out.jsonl");
    for (args, part) in
        [(&["-s", "Be long."][..], "system"), (&["-s", "Be brief.", "-t", "0.5"], "parameters")]
    {
        let args = [&["batch", "in.jsonl", "-o", "out.jsonl"], args].concat();
        llm.run(&args).await.exits(5).says(&[part, "--on-change"]);
    }
    assert_eq!((server.counts().total, llm.read("out.jsonl")), (3, before));
    let args = ["batch", "in.jsonl", "-o", "out.jsonl", "-s", "Be long.", "--on-change"];
    llm.run(&[&args[..], &["keep"]].concat()).await.exits(0);
    assert_eq!(server.counts().total, 3);
    llm.run(&[&args[..], &["redo"]].concat()).await.exits(0);
    assert_eq!(server.counts().total, 6);
}

#[tokio::test]
async fn of_two_runs_on_one_output_the_second_leaves_at_once() {
    let config = MockConfig::new().default_reply(Reply::echo().delay(Duration::from_millis(1500)));
    let server = config.start().await.unwrap();
    let llm = at(&server);
    llm.write("in.jsonl", &rows(2));
    let first = llm.start(&["batch", "in.jsonl", "-o", "out.jsonl"]);
    until(&server, |counts| counts.in_flight > 0).await;
    llm.run(&["batch", "in.jsonl", "-o", "out.jsonl"]).await.exits(5).says(&["out.jsonl"]);
    finish(first).await.exits(0);
    assert_eq!((server.counts().total, llm.records("out.jsonl").len()), (2, 2));
}

#[tokio::test]
async fn rows_come_from_a_pipe_and_only_the_first_are_tried() {
    let server = MockServer::start().await;
    let llm = at(&server);
    let ran = llm.run_with_stdin(&["batch", "-", "-o", "out.jsonl", "-n", "2"], &rows(5)).await.exits(0);
    assert_eq!((ran.out.as_str(), llm.records("out.jsonl").len()), ("", 2));
    assert_eq!(server.counts().total, 2);
}

#[tokio::test]
async fn settings_reach_every_request_and_names_their_records() {
    let server = MockServer::start().await;
    let llm = at(&server);
    llm.write("in.jsonl", "{\"q\":\"a\",\"ref\":\"r-1\"}\n");
    let args = ["batch", "in.jsonl", "-s", "S", "-t", "0.25", "--max-tokens", "7", "--id-field", "ref"];
    llm.run(&args).await.exits(0);
    let body = server.requests().pop().unwrap().json();
    assert_eq!(
        (body["temperature"].as_f64(), body["messages"][0]["content"].as_str()),
        (Some(0.25), Some("S"))
    );
    assert_eq!(body["max_tokens"].as_u64().or(body["max_completion_tokens"].as_u64()), Some(7));
    assert_eq!(llm.records("in.output.jsonl")[0]["id"], "r-1");
}

#[tokio::test]
async fn progress_in_a_pipe_is_monotone_and_without_escapes() {
    let config = MockConfig::new().delay(Duration::from_millis(200));
    let server = config.start().await.unwrap();
    let llm = at(&server).variable("CLICOLOR_FORCE", "1");
    llm.write("in.jsonl", &rows(60));
    let ran = llm.run(&["batch", "in.jsonl", "-c", "4", "--color", "never"]).await.exits(0);
    assert!(!ran.err.contains(['\u{1b}', '\r']), "{:?}", ran.err);
    let done: Vec<u64> = ran
        .err
        .lines()
        .filter(|line| line.contains(" rows, ") && line.contains(" %"))
        .map(|line| line.split(' ').next().unwrap().parse().unwrap())
        .collect();
    assert!(done.len() >= 2 && done.is_sorted() && done.last() == Some(&60), "{}", ran.err);

    llm.write("more.jsonl", &rows(8));
    let ran = llm.run(&["batch", "more.jsonl", "--progress", "json", "--json"]).await.exits(0);
    let line = ran.err.lines().find(|line| line.contains("\"progress\"")).expect("a line of progress");
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["progress"]["done"], 8);
    llm.write("none.jsonl", &rows(8));
    let ran = llm.run(&["batch", "none.jsonl", "--progress", "none"]).await.exits(0);
    assert!(!ran.err.contains(" %"), "{}", ran.err);
}

#[tokio::test]
async fn a_dead_key_stops_the_run_and_the_next_one_goes_on() {
    let server = MockServer::start().await;
    let llm = at(&server);
    llm.write("in.jsonl", &rows(50));
    server.push(Reply::echo().times(10));
    server.push(Reply::error(401).times(100));
    llm.run(&["batch", "in.jsonl", "-c", "4"]).await.exits(4).says(&["key"]);
    assert!(server.counts().total <= 10 + 3 * 4, "{:?}", server.counts());
    assert!(llm.records("in.output.jsonl").iter().all(|record| record["status"] == "success"));
}

#[tokio::test]
async fn a_server_that_is_not_there_ends_the_run_without_row_errors() {
    let llm = Llm::new();
    llm.write("in.jsonl", &rows(5));
    let args = [
        "batch",
        "in.jsonl",
        "-m",
        "m",
        "--base-url",
        "http://127.0.0.1:1/v1",
        "--max-retries",
        "1",
        "--set",
        "backoff_base_ms=1",
    ];
    llm.run(&args).await.exits(6).says(&["127.0.0.1:1"]);
    assert!(!llm.path("in.output.jsonl").exists() || llm.read("in.output.jsonl").is_empty());
}

#[tokio::test]
async fn a_deadline_ends_a_run_that_can_go_on() {
    let config = MockConfig::new().delay(Duration::from_millis(100));
    let server = config.start().await.unwrap();
    let llm = at(&server);
    llm.write("in.jsonl", &rows(200));
    llm.run(&["batch", "in.jsonl", "-c", "2", "--deadline", "1s"]).await.exits(13);
    let stored = llm.records("in.output.jsonl").len();
    assert!((1..200).contains(&stored), "{stored}");
    llm.run(&["batch", "in.jsonl", "-c", "64"]).await.exits(0);
    assert_eq!(llm.records("in.output.jsonl").len(), 200);
}

#[tokio::test]
async fn signals_drain_then_abort_and_the_next_run_goes_on() {
    let server = MockServer::start().await;
    let llm = at(&server);
    llm.write("in.jsonl", &rows(40));
    for (name, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let out = format!("{name}.jsonl");
        server.push(Reply::echo().times(6));
        server.push(Reply::echo().delay(Duration::from_millis(700)).times(4));
        let before = server.counts().total;
        let child = llm.start(&["batch", "in.jsonl", "-o", &out, "-c", "4"]);
        until(&server, |counts| counts.total >= before + 8).await;
        signal(&child, name);
        finish(child).await.exits(code).says(&["nothing more is sent", "the same command goes on"]);
        // What was in flight is stored, nothing else was sent.
        let records = llm.records(&out);
        assert_eq!(records.len() as u64, server.counts().total - before);
        assert!(records.iter().all(|record| record["status"] == "success"));
        llm.run(&["batch", "in.jsonl", "-o", &out]).await.exits(0);
        assert_eq!(llm.records(&out).len(), 40);
        assert_eq!(server.counts().total - before, 40);
    }
    // A second signal does not wait.
    server.push(Reply::echo().delay(Duration::from_secs(50)).times(40));
    let child = llm.start(&["batch", "in.jsonl", "-o", "abort.jsonl", "-c", "4"]);
    until(&server, |counts| counts.in_flight == 4).await;
    signal(&child, "INT");
    tokio::time::sleep(Duration::from_millis(300)).await;
    signal(&child, "INT");
    let second = Instant::now();
    finish(child).await.exits(130);
    assert!(second.elapsed() < Duration::from_secs(10), "{:?}", second.elapsed());
}

#[tokio::test]
async fn verify_finds_what_is_missing() {
    let llm = Llm::new();
    llm.write("in.jsonl", &rows(3));
    llm.run(&["batch", "in.jsonl", "-o", "out.jsonl", "-m", "mock/echo"]).await.exits(0);
    llm.run(&["batch", "verify", "in.jsonl", "out.jsonl"]).await.exits(0);
    let json = llm.run(&["batch", "verify", "in.jsonl", "out.jsonl", "--json"]).await.exits(0).json();
    assert!(json.is_object());
    let whole = llm.read("out.jsonl");
    let short: String = whole.lines().take(2).map(|line| format!("{line}\n")).collect();
    llm.write("short.jsonl", &short);
    llm.run(&["batch", "verify", "in.jsonl", "short.jsonl"]).await.exits(9);
    llm.write("torn.jsonl", &whole[..whole.len() - 9]);
    llm.run(&["batch", "verify", "in.jsonl", "torn.jsonl"]).await.exits(9);
    llm.run(&["batch", "verify", "in.jsonl", "none.jsonl"]).await.exits(3);
}

/// A server whose answers report so many tokens.
async fn metered(input: u64, output: u64) -> MockServer {
    let usage = format!(r#"{{"prompt_tokens": {input}, "completion_tokens": {output}}}"#);
    MockConfig::new().default_reply(Reply::text("yes").usage(usage)).start().await.unwrap()
}

#[tokio::test]
async fn a_spent_budget_stops_the_run_over_all_endpoints_and_keeps_every_answer_that_was_paid() {
    let (one, other) = (metered(4, 100).await, metered(4, 100).await);
    let llm = Llm::new();
    llm.write("in.jsonl", &rows(60));
    llm.write(
        "two.toml",
        &format!(
            "default = \"two/m\"\n[providers.two]\nendpoints = [{{ base_url = \"{}\" }}, {{ base_url = \"{}\" }}]\n\
             [providers.two.models.m]\nprice = {{ input = 0, output = 20 }}\n",
            one.base_url(),
            other.base_url()
        ),
    );
    // Two thousandths of a dollar each: five rows, whatever is in flight.
    let args = ["batch", "in.jsonl", "--config", "two.toml", "-c", "8", "--max-tokens", "100"];
    let ran = llm.run(&[&args[..], &["--max-cost", "0.01"]].concat()).await.exits(13);
    ran.says(&[
        "budget `this run` is used up: of $0.01, $0.01 spent",
        "$0.01 of $0.01 spent, $0 left",
        "55 left to do",
    ]);
    let sent = |server: &MockServer| server.counts().total;
    assert_eq!(sent(&one) + sent(&other), 5);
    let records = llm.records("in.output.jsonl");
    assert_eq!(records.len(), 5);
    assert!(records.iter().all(|record| record["status"] == "success"));
    // A larger budget goes on; it bounds this run and not those before it.
    let ran = llm.run(&[&args[..], &["--max-cost", "0.11", "--json"]].concat()).await.exits(0);
    let spending = &ran.json()["spending"];
    assert_eq!((&spending["cost"], &spending["cost_left"]), (&"0.11".into(), &"0.00".into()), "{spending}");
    assert_eq!((llm.records("in.output.jsonl").len(), sent(&one) + sent(&other)), (60, 60));
}

#[tokio::test]
async fn a_budget_of_tokens_needs_no_price_and_one_of_money_does() {
    let server = metered(10, 40).await;
    let llm = at(&server);
    llm.write("in.jsonl", &rows(20));
    let args = ["batch", "in.jsonl", "-c", "3", "--max-tokens", "40"];
    llm.run(&[&args[..], &["--max-cost", "1"]].concat())
        .await
        .exits(2)
        .says(&["--max-cost needs a price", "--price IN/OUT"]);
    assert_eq!(server.counts().total, 0);
    let ran = llm.run(&[&args[..], &["--max-total-tokens", "200"]].concat()).await.exits(13);
    ran.says(&["of 200 tokens used", "price unknown"]);
    let stored = llm.records("in.output.jsonl").len();
    // What was sent is stored, and the limit is exceeded by no more than the estimates of the prompts were wrong.
    assert!((3..=4).contains(&stored), "{stored} rows of 50 tokens");
    assert_eq!(server.counts().total, stored as u64);
    llm.run(&[&args[..], &["--price", "1/10"]].concat()).await.exits(0).says(&["$0.0"]);
    assert_eq!(llm.records("in.output.jsonl").len(), 20);
    for bad in [["--max-cost", "-1"], ["--price", "1"], ["--max-total-tokens", "0"]] {
        llm.run(&[&args[..], &bad].concat()).await.exits(2);
    }
}
