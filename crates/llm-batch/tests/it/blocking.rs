//! Runs for callers that do not await.

use std::sync::Arc;
use std::time::Duration;

use llm_batch::{BatchError, BatchRunner, StopReason};
use llm_types::{ChatRequest, ErrorKind};

use super::support::{Fake, Reply};

const ROWS: &str = "{\"q\": \"one\"}\n{\"q\": \"two\"}\n{\"q\": \"three\"}\n";

/// A run, a resumed one, one result at a time, and requests in memory.
fn everything() {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in.jsonl"), folder.path().join("out.jsonl"));
    std::fs::write(&input, ROWS).unwrap();
    let client = Fake::answering();
    let runner = || BatchRunner::new(Arc::clone(&client) as _);
    let summary = runner().run_blocking(input.as_path(), &output).unwrap();
    assert_eq!((summary.success, summary.failed), (3, 0));
    // Answered rows are not paid for again.
    let mut results = runner().stream_blocking(input.as_path(), Some(output));
    let restored: Vec<bool> = results.by_ref().map(|result| result.restored).collect();
    assert_eq!(restored, [true; 3]);
    assert_eq!(results.summary().unwrap().success, 3);
    assert_eq!(client.count(), 3);
    let answers = runner().collect_blocking(["four", "five"].map(ChatRequest::user).to_vec());
    let texts: Vec<String> = answers.into_iter().map(|answer| answer.unwrap().text()).collect();
    assert_eq!(texts, ["answer to four", "answer to five"]);
}

#[test]
fn a_plain_thread_runs_a_batch() {
    everything();
}

#[tokio::test(flavor = "current_thread")]
async fn the_only_thread_of_a_runtime_runs_a_batch() {
    everything();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_and_a_blocking_thread_run_a_batch() {
    tokio::spawn(async { everything() }).await.unwrap();
    tokio::task::spawn_blocking(everything).await.unwrap();
}

#[test]
fn a_run_that_cannot_begin_says_why() {
    let runner = || BatchRunner::new(Fake::answering());
    let error = runner().run_blocking("no-such-file.jsonl", "out.jsonl").unwrap_err();
    assert!(matches!(error, BatchError::InputNotFound { .. }), "{error}");
    let mut results = runner().stream_blocking("no-such-file.jsonl", None);
    assert!(results.next().is_none());
    assert!(matches!(results.summary(), Err(BatchError::InputNotFound { .. })));
}

#[test]
fn another_thread_ends_a_run() {
    let client = Fake::new(|_, _| Reply::Never);
    let runner = BatchRunner::new(Arc::clone(&client) as _);
    let shutdown = runner.shutdown();
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("out.jsonl");
    let requests = vec![ChatRequest::user("never")];
    std::thread::scope(|scope| {
        let run = scope.spawn(|| runner.run_blocking(requests, &output));
        while client.in_flight() == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        shutdown.abort();
        let stopped = run.join().unwrap().unwrap().stopped.unwrap();
        assert_eq!(stopped.reason, StopReason::Aborted);
    });
}

#[test]
fn dropping_the_results_gives_up_what_is_in_flight() {
    let client = Fake::new(|prompt, _| if prompt == "one" { Reply::to(prompt) } else { Reply::Never });
    let requests = ["one", "two"].map(ChatRequest::user).to_vec();
    let mut results = BatchRunner::new(Arc::clone(&client) as _).stream_blocking(requests, None);
    assert_eq!(results.next().unwrap().index, 0);
    while client.in_flight() == 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(results);
    while client.in_flight() > 0 {
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[tokio::test]
async fn a_blocking_run_inside_of_a_blocking_call_is_refused() {
    let inner = || {
        let mut refused =
            BatchRunner::new(Fake::answering()).stream_blocking(vec![ChatRequest::user("x")], None);
        assert!(refused.next().is_none());
        let answers = BatchRunner::new(Fake::answering()).collect_blocking(vec![ChatRequest::user("x")]);
        (refused.summary().unwrap_err().to_string(), answers[0].as_ref().unwrap_err().kind())
    };
    let (message, kind) = llm_client::blocking::wait(async move { inner() }).unwrap();
    assert!(message.contains("would wait for itself"), "{message}");
    assert_eq!(kind, ErrorKind::Config);
}
