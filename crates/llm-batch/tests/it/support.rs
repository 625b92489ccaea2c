//! A scripted client, and a reader of outputs that shares no code with the engine.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use async_trait::async_trait;
use llm_batch::{BatchRunner, Summary};
use llm_client::{Call, ChatStream, ModelClient};
use llm_types::{
    AttemptRecord, Capabilities, ChatRequest, ChatResponse, Choice, Error, ErrorKind, FinishReason, Message,
    Part, Totals, Usage, UsageSource,
};
use serde_json::Value;

/// What the scripted client does with a call.
pub(crate) enum Reply {
    Text(String),
    Fail(Error),
    After(Duration, Box<Reply>),
    Panic,
    Never,
}

impl Reply {
    /// A text derived from the prompt, so that a mixed-up answer is noticed.
    pub(crate) fn to(prompt: &str) -> Self {
        Self::Text(format!("answer to {prompt}"))
    }

    pub(crate) fn fail(kind: ErrorKind) -> Self {
        Self::Fail(failed(kind, 1))
    }

    pub(crate) fn after(self, wait: Duration) -> Self {
        Self::After(wait, Box::new(self))
    }
}

/// An error after so many attempts.
pub(crate) fn failed(kind: ErrorKind, attempts: u32) -> Error {
    let log = (1..=attempts).map(|number| AttemptRecord {
        number,
        kind: Some(kind),
        wait: Duration::ZERO,
        endpoint: "http://x".into(),
        request_id: None,
    });
    Error::new(kind, format!("scripted {kind}")).with_attempts(log.collect())
}

type Script = dyn Fn(&str, u64) -> Reply + Send + Sync;

/// A client that does as it is told, and remembers what it was asked.
pub(crate) struct Fake {
    script: Box<Script>,
    capabilities: Capabilities,
    pub(crate) asked: Mutex<Vec<String>>,
    pub(crate) requests: Mutex<Vec<ChatRequest>>,
    pub(crate) calls: Mutex<Vec<Call>>,
    pub(crate) keep: bool,
    count: AtomicU64,
    in_flight: AtomicUsize,
    most: AtomicUsize,
}

impl fmt::Debug for Fake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fake")
    }
}

impl Fake {
    /// The script gets the last user text and the number of the call, counted from 0.
    pub(crate) fn new(script: impl Fn(&str, u64) -> Reply + Send + Sync + 'static) -> Arc<Self> {
        Arc::new(Self {
            script: Box::new(script),
            capabilities: Capabilities::default(),
            asked: Mutex::default(),
            requests: Mutex::default(),
            calls: Mutex::default(),
            keep: true,
            count: AtomicU64::new(0),
            in_flight: AtomicUsize::new(0),
            most: AtomicUsize::new(0),
        })
    }

    /// Answers everything at once.
    pub(crate) fn answering() -> Arc<Self> {
        Self::new(|prompt, _| Reply::to(prompt))
    }

    pub(crate) fn count(&self) -> u64 {
        self.count.load(SeqCst)
    }

    /// The most calls that ran at the same time.
    pub(crate) fn most(&self) -> usize {
        self.most.load(SeqCst)
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(SeqCst)
    }

    /// The prompts asked, sorted.
    pub(crate) fn asked(&self) -> Vec<String> {
        let mut asked = self.asked.lock().unwrap().clone();
        asked.sort();
        asked
    }
}

struct Flight<'a>(&'a Fake);

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, SeqCst);
    }
}

#[async_trait]
impl ModelClient for Fake {
    fn id(&self) -> &str {
        "fake/model"
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn chat(&self, request: &ChatRequest, call: &Call) -> Result<ChatResponse, Error> {
        let prompt = request.messages.last().map(Message::text).unwrap_or_default();
        let number = self.count.fetch_add(1, SeqCst);
        if self.keep {
            self.asked.lock().unwrap().push(prompt.clone());
            self.requests.lock().unwrap().push(request.clone());
            self.calls.lock().unwrap().push(call.clone());
        }
        self.most.fetch_max(self.in_flight.fetch_add(1, SeqCst) + 1, SeqCst);
        let _flight = Flight(self);
        let mut reply = (self.script)(&prompt, number);
        loop {
            match reply {
                Reply::Text(text) => return Ok(answer(&text)),
                Reply::Fail(error) => return Err(error),
                Reply::After(wait, then) => {
                    tokio::time::sleep(wait).await;
                    reply = *then;
                }
                Reply::Panic => panic!("planted: {prompt}"),
                Reply::Never => std::future::pending().await,
            }
        }
    }

    async fn chat_stream(&self, _: &ChatRequest, _: &Call) -> Result<ChatStream, Error> {
        Err(Error::new(ErrorKind::Config, "no streams here"))
    }
}

/// A whole answer of this text, three tokens in and two out.
pub(crate) fn answer(text: &str) -> ChatResponse {
    let mut choice = Choice::new(0);
    choice.message.parts = vec![Part::text(text)];
    choice.finish_reason = Some(FinishReason::Stop);
    let totals = Totals { input: 3, output: 2, ..Totals::default() };
    ChatResponse {
        model: Some("model-7".into()),
        choices: vec![choice],
        usage: Some(Usage::from_totals(totals, UsageSource::Reported)),
        ..ChatResponse::default()
    }
}

/// A folder for one test.
pub(crate) struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    pub(crate) fn new() -> Self {
        // Where there is a disk in memory, a sync costs nothing, and these tests make thousands.
        let memory = Path::new("/dev/shm");
        let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        Self { folder: folder.unwrap() }
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn input(&self) -> PathBuf {
        self.at("in.jsonl")
    }

    pub(crate) fn output(&self) -> PathBuf {
        self.at("out.jsonl")
    }

    pub(crate) fn side(&self) -> PathBuf {
        self.at("out.jsonl.unclaimed.jsonl")
    }

    /// Writes lines as the input.
    pub(crate) fn rows<S: AsRef<str>>(&self, rows: &[S]) {
        let text: String = rows.iter().map(|row| format!("{}\n", row.as_ref())).collect();
        std::fs::write(self.input(), text).unwrap();
    }

    /// Writes an input of simple questions.
    pub(crate) fn questions<S: AsRef<str>>(&self, questions: &[S]) {
        let rows: Vec<String> =
            questions.iter().map(|q| serde_json::json!({"q": q.as_ref()}).to_string()).collect();
        self.rows(&rows);
    }

    /// Runs to the end with the defaults.
    pub(crate) async fn run(&self, fake: &Arc<Fake>) -> Summary {
        self.run_with(runner(fake)).await
    }

    pub(crate) async fn run_with(&self, runner: BatchRunner) -> Summary {
        runner.run(self.input(), self.output()).await.unwrap()
    }

    /// The names of all files, but for the lock.
    pub(crate) fn files(&self) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| !name.ends_with(".job"))
            .collect();
        names.sort();
        names
    }
}

pub(crate) fn runner(fake: &Arc<Fake>) -> BatchRunner {
    BatchRunner::new(Arc::clone(fake) as Arc<dyn ModelClient>).concurrency(4)
}

pub(crate) fn questions(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("question {n}")).collect()
}

/// The records of a file: every line whole JSON, the last one ended.
pub(crate) fn records(path: &Path) -> Vec<Value> {
    let bytes = std::fs::read(path).unwrap();
    assert!(bytes.is_empty() || bytes.ends_with(b"\n"), "no line break at the end");
    let text = String::from_utf8(bytes).expect("not UTF-8");
    text.lines()
        .map(|line| {
            let record: Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
            assert!(record.is_object());
            record
        })
        .collect()
}

/// The last user text a record was made for.
pub(crate) fn prompt(record: &Value) -> &str {
    record["input"].as_array().unwrap().last().unwrap()["content"].as_str().unwrap()
}

/// Checks that an output holds each of these questions once, at its place, answered with its own answer.
pub(crate) fn assert_answers<S: AsRef<str>>(path: &Path, questions: &[S]) {
    let records = records(path);
    let found: Vec<(u64, &str, &str)> = records
        .iter()
        .map(|record| {
            assert_eq!(record["status"], "success", "{record}");
            (record["index"].as_u64().unwrap(), prompt(record), record["output"].as_str().unwrap())
        })
        .collect();
    let answers: Vec<String> = questions.iter().map(|q| format!("answer to {}", q.as_ref())).collect();
    let expected: Vec<(u64, &str, &str)> = questions
        .iter()
        .zip(&answers)
        .enumerate()
        .map(|(index, (q, a))| (index as u64, q.as_ref(), a.as_str()))
        .collect();
    assert_eq!(found, expected);
}

/// How often each status stands in a file.
pub(crate) fn statuses(path: &Path) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for record in records(path) {
        *counts.entry(record["status"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    counts
}
