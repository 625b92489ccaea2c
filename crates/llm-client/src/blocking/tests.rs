//! Clients that do as they are told: where a blocking call may be made, and what ends it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::mpsc;
use std::time::Duration;

use async_trait::async_trait;
use llm_types::{FinishReason, Message, StreamEvent};

use super::*;
use crate::contract::ChatStream;

/// Reached only when something is broken.
const PATIENCE: Duration = Duration::from_secs(20);

/// Does what its prompt says, and tells when a stream of it is dropped.
#[derive(Debug, Default)]
struct Puppet {
    capabilities: Capabilities,
    asked: AtomicUsize,
    produced: Arc<AtomicUsize>,
    dropped: Mutex<Option<mpsc::Sender<()>>>,
}

struct Tell(Option<mpsc::Sender<()>>);

impl Drop for Tell {
    fn drop(&mut self) {
        if let Some(to) = &self.0 {
            to.send(()).unwrap();
        }
    }
}

fn text(piece: &str) -> Result<StreamEvent, Error> {
    Ok(StreamEvent::Text { choice: 0, text: piece.to_owned() })
}

#[async_trait]
impl ModelClient for Puppet {
    fn id(&self) -> &str {
        "test/puppet"
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn chat(&self, request: &ChatRequest, call: &Call) -> Result<ChatResponse, Error> {
        self.asked.fetch_add(1, SeqCst);
        let prompt = request.messages.last().map(Message::text).unwrap_or_default();
        match prompt.as_str() {
            "panic" => panic!("as told"),
            "hang" => match call.deadline {
                Some(deadline) => {
                    crate::clock::sleep_until(deadline).await;
                    Err(Error::new(ErrorKind::Timeout(llm_types::Phase::Call), "late"))
                }
                None => std::future::pending().await,
            },
            "nest" => wait(async { "deadlock" }).map(|_| ChatResponse::default()),
            _ => {
                tokio::task::yield_now().await;
                let mut choice = llm_types::Choice::new(0);
                choice.message = Message::assistant(prompt);
                Ok(ChatResponse { choices: vec![choice], ..ChatResponse::default() })
            }
        }
    }

    async fn chat_stream(&self, request: &ChatRequest, _: &Call) -> Result<ChatStream, Error> {
        let prompt = request.messages.last().map(Message::text).unwrap_or_default();
        let tell = Tell(self.dropped.lock().unwrap().take());
        let produced = Arc::clone(&self.produced);
        let endless = prompt == "endless";
        let events = futures_util::stream::unfold((0_u32, tell), move |(at, tell)| {
            produced.fetch_add(1, SeqCst);
            let event = match at {
                _ if endless => text("more "),
                0 => text("one "),
                1 => text("two"),
                2 if prompt == "panic" => panic!("as told"),
                2 if prompt == "break" => Err(Error::new(ErrorKind::Truncated, "cut")),
                2 => Ok(StreamEvent::Finish { choice: 0, reason: FinishReason::Stop, native: None }),
                3 => Ok(StreamEvent::End),
                _ => return std::future::ready(None),
            };
            std::future::ready(Some((event, (at + 1, tell))))
        });
        Ok(ChatStream::new(events))
    }
}

fn puppet() -> (Arc<Puppet>, Client) {
    let puppet = Arc::new(Puppet::default());
    (Arc::clone(&puppet), Client::new(puppet))
}

fn everything(client: &Client) {
    assert_eq!(client.ask("a plain call").unwrap(), "a plain call");
    let events: Vec<_> = client.stream(ChatRequest::user("hi")).unwrap().collect();
    assert_eq!(events.len(), 4);
    assert!(matches!(events.last(), Some(Ok(StreamEvent::End))));
    let whole = client.stream(ChatRequest::user("hi")).unwrap().into_response().unwrap();
    assert_eq!(whole.text(), "one two");
    let answers = client.batch_generate(&["a", "b", "c"], 2, &ChatRequest::default());
    let texts: Vec<String> = answers.into_iter().map(|answer| answer.unwrap().text()).collect();
    assert_eq!(texts, ["a", "b", "c"]);
    assert_eq!(client.generate("p", Some(5), None, &["end"]).unwrap().text(), "p");
    client.close().unwrap();
}

#[test]
fn a_plain_thread_needs_no_runtime() {
    everything(&puppet().1);
}

#[tokio::test(flavor = "current_thread")]
async fn the_only_thread_of_a_runtime_may_block() {
    everything(&puppet().1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_of_a_runtime_may_block() {
    let (_, client) = puppet();
    let tasks: Vec<_> = (0..4)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move { everything(&client) })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
}

#[tokio::test]
async fn a_thread_for_blocking_work_may_block() {
    let (_, client) = puppet();
    tokio::task::spawn_blocking(move || everything(&client)).await.unwrap();
}

#[test]
fn many_threads_share_the_one_behind() {
    let (puppet, client) = puppet();
    std::thread::scope(|scope| {
        for number in 0..32 {
            let client = &client;
            scope.spawn(move || {
                let prompt = format!("number {number}");
                assert_eq!(client.ask(&prompt).unwrap(), prompt);
            });
        }
    });
    assert_eq!(puppet.asked.load(SeqCst), 32);
}

#[test]
fn a_panic_goes_on_in_the_caller_and_nowhere_else() {
    let (_, client) = puppet();
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| client.ask("panic")));
    assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"as told"));
    let mut events = client.stream(ChatRequest::user("panic")).unwrap();
    assert!(events.next().is_some() && events.next().is_some());
    let caught = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| events.next()));
    assert_eq!(caught.unwrap_err().downcast_ref(), Some(&"as told"));
    everything(&client);
}

#[test]
fn a_call_ends_at_its_deadline() {
    let (_, client) = puppet();
    let call = Call::within(Duration::from_millis(20));
    let error = client.chat(&ChatRequest::user("hang"), &call).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout(llm_types::Phase::Call));
}

#[test]
fn a_blocking_call_inside_of_a_blocking_call_is_refused() {
    let (_, client) = puppet();
    let error = client.ask("nest").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.message().contains("would wait for itself"), "{error}");
}

#[test]
fn dropping_the_events_drops_the_stream_whether_or_not_one_was_taken() {
    for taken in [0, 1, 3] {
        let (puppet, client) = puppet();
        let (tell, told) = mpsc::channel();
        *puppet.dropped.lock().unwrap() = Some(tell);
        let mut events = client.stream(ChatRequest::user("endless")).unwrap();
        assert_eq!(events.by_ref().take(taken).count(), taken);
        assert!(told.try_recv().is_err());
        drop(events);
        told.recv_timeout(PATIENCE).unwrap();
    }
}

#[test]
fn a_slow_reader_holds_the_stream_back() {
    let (puppet, client) = puppet();
    let mut events = client.stream(ChatRequest::user("endless")).unwrap();
    assert_eq!(puppet.produced.load(SeqCst), 0);
    assert!(events.next().is_some());
    // Any other work of the thread behind comes after the reading ahead.
    for _ in 0..20 {
        client.ask("anything").unwrap();
    }
    let produced = puppet.produced.load(SeqCst);
    assert!((2..=18).contains(&produced), "{produced} events were read for one");
}

#[test]
fn a_broken_stream_ends_with_its_error_and_what_had_come() {
    let (_, client) = puppet();
    let mut events = client.stream(ChatRequest::user("break")).unwrap();
    let kinds: Vec<_> = events.by_ref().map(|event| event.err().map(|error| error.kind())).collect();
    assert_eq!(kinds, [None, None, Some(ErrorKind::Truncated)]);
    assert!(events.next().is_none());
    for read in [0, 1] {
        let mut events = client.stream(ChatRequest::user("break")).unwrap();
        assert_eq!(events.by_ref().take(read).count(), read);
        let error = events.into_response().unwrap_err();
        assert_eq!(error.partial().unwrap().text(), if read == 0 { "one two" } else { "two" });
    }
}

#[test]
fn what_a_client_cannot_do_is_said() {
    let (_, client) = puppet();
    let call = Call::default();
    let errors = [
        client.list_models(&call).unwrap_err(),
        client.probe(&call).unwrap_err(),
        client.embed(&EmbeddingRequest::default(), &call).unwrap_err(),
        client.count_tokens(&ChatRequest::user("x"), &call).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.kind(), ErrorKind::Config);
        assert!(error.message().starts_with("test/puppet cannot "), "{error}");
    }
    assert_eq!(client.id(), "test/puppet");
    assert_eq!(client.inner().id(), "test/puppet");
    assert_eq!(client.capabilities(), &Capabilities::default());
}
