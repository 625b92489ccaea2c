//! A run whose disk fails, and one without a runtime.

use super::*;
use crate::StopReason;
use crate::journal::Disk;
use crate::journal::tests::Faulty;
use async_trait::async_trait;
use llm_client::ChatStream;
use llm_types::{Capabilities, ChatRequest, ChatResponse, Choice, Error, Part};

#[derive(Debug)]
struct Echo(Capabilities);

#[async_trait]
impl ModelClient for Echo {
    fn id(&self) -> &str {
        "echo/1"
    }

    fn capabilities(&self) -> &Capabilities {
        &self.0
    }

    async fn chat(&self, request: &ChatRequest, _: &Call) -> Result<ChatResponse, Error> {
        let mut choice = Choice::new(0);
        choice.message.parts = vec![Part::text(request.messages[0].text())];
        Ok(ChatResponse { choices: vec![choice], ..ChatResponse::default() })
    }

    async fn chat_stream(&self, _: &ChatRequest, _: &Call) -> Result<ChatStream, Error> {
        Err(Error::new(llm_types::ErrorKind::Config, "no streams here"))
    }
}

fn runner() -> BatchRunner {
    BatchRunner::new(Arc::new(Echo(Capabilities::default()))).concurrency(4)
}

fn full(file: std::fs::File) -> Arc<dyn Disk> {
    Arc::new(Faulty::new(file, 5000))
}

fn unsyncable(file: std::fs::File) -> Arc<dyn Disk> {
    let mut disk = Faulty::new(file, u64::MAX);
    disk.sync_fails = true;
    Arc::new(disk)
}

/// Promise 8: a disk that fills up ends the run, with the path and the reason, and whole lines only.
#[tokio::test]
async fn a_disk_that_fails_ends_the_run_with_whole_lines_only() {
    let folder = tempfile::tempdir().unwrap();
    let (input, output) = (folder.path().join("in.jsonl"), folder.path().join("out.jsonl"));
    let rows: String = (0..100).map(|n| format!("{{\"q\":\"question {n}\"}}\n")).collect();
    std::fs::write(&input, rows).unwrap();

    let mut run = runner();
    run.disk = Some(full);
    let summary = run.run(input.as_path(), &output).await.unwrap();
    let stop = summary.stopped.as_ref().unwrap();
    assert_eq!(stop.reason, StopReason::Output);
    assert!(stop.message.contains("out.jsonl") && stop.message.contains("storage space"), "{}", stop.message);
    let text = std::fs::read_to_string(&output).unwrap();
    assert!(text.ends_with('\n') && text.len() <= 5000);
    for line in text.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
    let stored = text.lines().count() as u64;
    assert_eq!((summary.success, summary.unrun), (stored, Some(100 - stored)));

    let mut run = runner();
    run.disk = Some(unsyncable);
    let summary = run.run(input.as_path(), &output).await.unwrap();
    let stop = summary.stopped.unwrap();
    assert_eq!(stop.reason, StopReason::Output);
    assert!(stop.message.starts_with("cannot sync "), "{}", stop.message);

    let summary = runner().run(input.as_path(), &output).await.unwrap();
    assert!(summary.is_complete());
    assert!(summary.restored >= stored);
    assert!(crate::verify(&input, &output, &Job::default()).unwrap().is_complete());
}

#[test]
fn without_a_runtime_a_run_says_so() {
    let run = runner().run("in.jsonl", "out.jsonl");
    let mut run = Box::pin(run);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::future::Future::poll(run.as_mut(), &mut context) {
        std::task::Poll::Ready(Err(BatchError::Usage(text))) => assert!(text.contains("runtime")),
        _ => panic!("not refused"),
    }
}
