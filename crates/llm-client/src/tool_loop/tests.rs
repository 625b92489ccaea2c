//! What a loop does with a model that says what it is told to.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use async_trait::async_trait;
use llm_types::{
    Capabilities, ChatResponse, Choice, Cost, Error, ErrorKind, FinishReason, Message, Money, Part, Phase,
    Reasoning, Role, StreamEvent, ToolCall, ToolChoice, ToolResult, Usage, UsageSource,
};

use super::*;
use crate::clock;
use crate::contract::ChatStream;

/// A model that says what it is told to, and notes what it is asked.
#[derive(Clone, Debug, Default)]
struct Scripted(Arc<Script>);

#[derive(Debug, Default)]
struct Script {
    capabilities: Capabilities,
    answers: Mutex<VecDeque<Result<ChatResponse, Error>>>,
    asked: Mutex<Vec<ChatRequest>>,
    in_flight: AtomicUsize,
}

/// Counts an answer as on its way while it lives.
struct InFlight(Scripted);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.0.in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Scripted {
    fn new(answers: impl IntoIterator<Item = ChatResponse>) -> Self {
        let script = Self::default();
        script.0.answers.lock().unwrap().extend(answers.into_iter().map(Ok));
        script
    }

    fn then(self, error: Error) -> Self {
        self.0.answers.lock().unwrap().push_back(Err(error));
        self
    }

    fn asked(&self) -> Vec<ChatRequest> {
        self.0.asked.lock().unwrap().clone()
    }

    fn next(&self, request: &ChatRequest) -> (InFlight, Result<ChatResponse, Error>) {
        self.0.in_flight.fetch_add(1, Ordering::SeqCst);
        self.0.asked.lock().unwrap().push(request.clone());
        let answer = self.0.answers.lock().unwrap().pop_front();
        (InFlight(self.clone()), answer.unwrap_or_else(|| Ok(says("nothing more"))))
    }
}

#[async_trait]
impl ModelClient for Scripted {
    fn id(&self) -> &str {
        "local/scripted"
    }

    fn capabilities(&self) -> &Capabilities {
        &self.0.capabilities
    }

    async fn chat(&self, request: &ChatRequest, _: &Call) -> Result<ChatResponse, Error> {
        self.next(request).1
    }

    async fn chat_stream(&self, request: &ChatRequest, _: &Call) -> Result<ChatStream, Error> {
        let (held, answer) = self.next(request);
        let mut events: Vec<Result<StreamEvent, Error>> = Vec::new();
        match answer {
            Ok(response) => events.extend(crate::dialect::events_of(response).into_iter().map(Ok)),
            Err(error) => {
                events.extend([Ok(StreamEvent::Text { choice: 0, text: "so f".into() }), Err(error)]);
            }
        }
        let events = events.into_iter().inspect(move |_| {
            let _ = &held;
        });
        Ok(ChatStream::new(futures_util::stream::iter(events)))
    }
}

fn answer(parts: Vec<Part>, reason: FinishReason) -> ChatResponse {
    let message = Message::new(Role::Assistant, parts);
    let choice = Choice { message, finish_reason: Some(reason), ..Choice::new(0) };
    ChatResponse { choices: vec![choice], ..ChatResponse::default() }
}

fn says(text: &str) -> ChatResponse {
    answer(vec![Part::text(text)], FinishReason::Stop)
}

fn calls(all: &[(&str, &str, &str)]) -> ChatResponse {
    answer(all.iter().copied().map(call).collect(), FinishReason::ToolCalls)
}

fn call((id, name, arguments): (&str, &str, &str)) -> Part {
    Part::ToolCall(ToolCall {
        id: id.into(),
        name: name.into(),
        arguments: arguments.into(),
        ..ToolCall::default()
    })
}

fn tool(name: &str) -> Tool {
    Tool::function(name, "", serde_json::from_str(r#"{"type":"object"}"#).unwrap())
}

/// `id: text`, with `!` before a failure.
fn told(result: &ToolResult) -> String {
    let text: String = result.content.iter().filter_map(Part::as_text).collect();
    format!("{}{}: {text}", if result.is_error { "!" } else { "" }, result.id)
}

/// What was told in the messages of a conversation.
fn results(messages: &[Message]) -> Vec<String> {
    let parts = messages.iter().flat_map(|message| &message.parts);
    parts
        .filter_map(|part| match part {
            Part::ToolResult(result) => Some(told(result)),
            _ => None,
        })
        .collect()
}

fn ask() -> ChatRequest {
    ChatRequest::user("hi")
}

#[tokio::test]
async fn calls_are_run_and_their_results_go_back_in_order() {
    let client = Scripted::new([
        calls(&[("a", "echo", r#"{"n":1}"#), ("b", "count", ""), ("c", "echo", "{\"n\":3}")]),
        says("done"),
    ]);
    let run = ToolLoop::from(client.clone())
        .tool(tool("echo"), |call| async move {
            #[derive(serde::Deserialize)]
            struct Arguments {
                n: u32,
            }
            let Arguments { n } = call.arguments()?;
            // The first ends last.
            for _ in n..5 {
                tokio::task::yield_now().await;
            }
            Ok::<_, String>(n.to_string())
        })
        .tool(
            tool("count"),
            |call| async move { serde_json::json!({"json": call.json(), "turn": call.turn}) },
        )
        .run(ask(), &Call::default())
        .await
        .unwrap();
    assert!(run.is_finished());
    assert_eq!(run.text(), "done");
    let expected = ["a: 1", "b: {\"json\":\"{}\",\"turn\":1}", "c: 3"];
    assert_eq!(results(&run.messages), expected);
    assert_eq!(run.turns[0].results.iter().map(told).collect::<Vec<_>>(), expected);
    let asked = client.asked();
    assert_eq!((asked.len(), asked[0].tools.len(), asked[1].messages.len()), (2, 2, 5));
    // The conversation is the last request's, and the answer to it.
    assert_eq!(run.messages.len(), 6);
}

#[tokio::test]
async fn what_goes_wrong_with_a_function_is_told_to_the_model() {
    let client = Scripted::new([calls(&[
        ("a", "fails", "{}"),
        ("b", "panics", "{}"),
        ("c", "unknown", "{}"),
        ("d", "fails", "[1]"),
        ("e", "fails", "{\"x\":"),
        ("f", "fails", "\"text\""),
        ("g", "works", "null"),
    ])]);
    let run = ToolLoop::from(client.clone())
        .tool(tool("fails"), |_| async { Err::<(), _>("no such port") })
        .tool(tool("panics"), |call| async move {
            if call.name() == "panics" {
                panic!("a secret");
            }
        })
        .tool(tool("works"), |_| async {})
        .run(ask(), &Call::default())
        .await
        .unwrap();
    let no_object = "Error: the arguments are no JSON object; call it again with all of them";
    let expected = [
        "!a: Error: no such port".to_owned(),
        "!b: Error: the function broke down".to_owned(),
        "!c: Error: there is no function `unknown`; there are: fails, panics, works".to_owned(),
        format!("!d: {no_object}"),
        format!("!e: {no_object}"),
        format!("!f: {no_object}"),
        "g: done".to_owned(),
    ];
    assert_eq!(results(&run.messages), expected);
    assert!(run.is_finished());
}

#[tokio::test(start_paused = true)]
async fn time_outs_and_the_cap_of_functions_at_once_hold() {
    let running = Arc::new(AtomicUsize::new(0));
    let most = Arc::new(AtomicUsize::new(0));
    let all: Vec<String> = (0..5).map(|n| n.to_string()).collect();
    let all: Vec<_> = all.iter().map(|id| (id.as_str(), "slow", "{}")).collect();
    let client = Scripted::new([calls(&all), calls(&[("x", "stuck", "{}"), ("y", "own", "{}")])]);
    /// Its own time-out goes before the loop's.
    struct Own;
    #[async_trait]
    impl ToolFunction for Own {
        fn tool(&self) -> Tool {
            tool("own")
        }
        async fn run(&self, _: FunctionCall) -> FunctionResult {
            tokio::time::sleep(Duration::from_secs(30)).await;
            Ok(vec![Part::text("late")])
        }
        fn time_out(&self) -> Option<Duration> {
            Some(Duration::from_secs(60))
        }
    }
    let (counted, peak) = (Arc::clone(&running), Arc::clone(&most));
    let run = ToolLoop::from(client)
        .tool(tool("slow"), move |_| {
            let (running, most) = (Arc::clone(&counted), Arc::clone(&peak));
            async move {
                most.fetch_max(running.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                tokio::time::sleep(Duration::from_secs(1)).await;
                running.fetch_sub(1, Ordering::SeqCst);
            }
        })
        .tool(tool("stuck"), |_| std::future::pending::<()>())
        .function(Own)
        .concurrency(2)
        .function_time_out(Duration::from_secs(10))
        .run(ask(), &Call::default())
        .await
        .unwrap();
    assert_eq!(most.load(Ordering::SeqCst), 2);
    assert_eq!(results(&run.messages)[5..], ["!x: Error: it gave no result within 10s", "y: late"]);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_of_the_call_bounds_functions_too() {
    let client = Scripted::new([calls(&[("a", "quick", "{}"), ("b", "stuck", "{}")])]);
    let begun = clock::now();
    let failed = ToolLoop::from(client.clone())
        .tool(tool("quick"), |_| async { "here" })
        .tool(tool("stuck"), |_| std::future::pending::<()>())
        .run(ask(), &Call::within(Duration::from_secs(5)))
        .await
        .unwrap_err();
    assert_eq!(failed.error().kind(), ErrorKind::Timeout(Phase::Call));
    assert_eq!(begun.elapsed(), Duration::from_secs(5));
    let run = failed.into_run();
    let stopped = "!b: Error: it was stopped, because the time for the whole call was over";
    assert_eq!(results(&run.messages), ["a: here", stopped]);
    // What came of it can be gone on with.
    assert_eq!(client.asked().len(), 1);
    let request = ChatRequest::new(run.messages);
    let run = ToolLoop::from(client).tool(tool("quick"), |_| async {}).run(request, &Call::default()).await;
    assert_eq!(run.unwrap().text(), "nothing more");
}

#[tokio::test]
async fn turns_are_bounded_and_nothing_is_lost_at_the_limit() {
    let again = || calls(&[("a", "again", "{}")]);
    let client = Scripted::new([again(), again(), again(), says("at last")]);
    let counted = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&counted);
    let again = ToolLoop::from(client.clone()).max_turns(2).tool(tool("again"), move |_| {
        count.fetch_add(1, Ordering::SeqCst);
        async {}
    });
    let run = again.run(ask(), &Call::default()).await.unwrap();
    assert!(matches!(run.ending, Ending::TurnLimit), "{:?}", run.ending);
    assert_eq!((run.turns.len(), counted.load(Ordering::SeqCst)), (2, 2));
    assert_eq!((results(&run.messages).len(), run.text().as_str()), (2, ""));
    let run = again.run(ChatRequest::new(run.messages), &Call::default()).await.unwrap();
    assert_eq!((run.text().as_str(), run.messages.len()), ("at last", 8));
    // By default as well.
    let client = Scripted::new((0..100).map(|_| calls(&[("a", "again", "{}")])));
    let run = ToolLoop::from(client).tool(tool("again"), |_| async {}).run(ask(), &Call::default()).await;
    assert_eq!(run.unwrap().turns.len(), ToolLoop::MAX_TURNS as usize);
}

#[tokio::test]
async fn a_forced_choice_counts_for_the_first_turn_only() {
    let choices = |every: bool, choice: ToolChoice| async move {
        let client = Scripted::new([calls(&[("a", "f", "{}")]), calls(&[("b", "f", "{}")])]);
        let request = ChatRequest { tool_choice: Some(choice), ..ask() };
        let forced = ToolLoop::from(client.clone()).tool(tool("f"), |_| async {});
        forced.tool_choice_on_every_turn(every).run(request, &Call::default()).await.unwrap();
        client.asked().into_iter().map(|request| request.tool_choice.is_some()).collect::<Vec<_>>()
    };
    assert_eq!(choices(false, ToolChoice::Required).await, [true, false, false]);
    assert_eq!(choices(false, ToolChoice::Function("f".into())).await, [true, false, false]);
    assert_eq!(choices(true, ToolChoice::Required).await, [true, true, true]);
    assert_eq!(choices(false, ToolChoice::None).await, [true, true, true]);
}

#[tokio::test]
async fn an_error_keeps_the_conversation_and_what_had_come() {
    let usage = |n| Some(Usage { fresh_input: n, plain_output: 1, ..Usage::default() });
    let first = ChatResponse { usage: usage(10), ..calls(&[("a", "f", "{}")]) };
    let partial = ChatResponse {
        usage: usage(5).map(|usage| Usage { source: UsageSource::Partial, ..usage }),
        ..says("so f")
    };
    let error = Error::new(ErrorKind::Truncated, "cut").with_partial(partial);
    let client = Scripted::new([first]).then(error);
    let with_f = ToolLoop::from(client.clone()).tool(tool("f"), |_| async { "1" });
    let failed = with_f.run(ask(), &Call::default()).await.unwrap_err();
    assert_eq!(failed.error().partial().unwrap().text(), "so f");
    assert_eq!(results(&failed.run().messages), ["a: 1"]);
    let usage = failed.run().usage().unwrap();
    assert_eq!((usage.total(), usage.source), (17, UsageSource::Partial));
    assert_eq!(Error::from(failed.clone()).kind(), ErrorKind::Truncated);
    let run = with_f.run(ChatRequest::new(failed.into_run().messages), &Call::default()).await.unwrap();
    assert_eq!(run.text(), "nothing more");
}

#[tokio::test]
async fn usage_and_cost_are_sums_and_unknown_is_not_nothing() {
    let priced = |response: ChatResponse, n: u64| ChatResponse {
        usage: Some(Usage { fresh_input: n, reasoning: Some(n), ..Usage::default() }),
        cost: Some(Cost {
            total: Money::from_pico(u128::from(n)),
            input: None,
            output: None,
            usage: UsageSource::Reported,
            source: None,
            as_of: None,
        }),
        ..response
    };
    let all = [priced(calls(&[("a", "f", "{}")]), 3), priced(says("x"), 4)];
    let run = |answers: Vec<ChatResponse>| async move {
        let client = Scripted::new(answers);
        ToolLoop::from(client).tool(tool("f"), |_| async {}).run(ask(), &Call::default()).await.unwrap()
    };
    let whole = run(all.to_vec()).await;
    let usage = whole.usage().unwrap();
    assert_eq!((usage.fresh_input, usage.reasoning, usage.source), (7, Some(7), UsageSource::Reported));
    assert_eq!(whole.cost(), Some(Money::from_pico(7)));
    let [first, _] = all;
    let lacking = run(vec![first, says("x")]).await;
    assert_eq!((lacking.usage().unwrap().source, lacking.cost()), (UsageSource::Partial, None));
    assert_eq!(run(vec![says("x")]).await.usage(), None);
}

#[tokio::test]
async fn a_cut_answer_ends_the_loop_and_runs_nothing() {
    for reason in [FinishReason::Length, FinishReason::ContentFilter, FinishReason::Error] {
        let client = Scripted::new([answer(vec![call(("a", "f", "{}"))], reason)]);
        let run = ToolLoop::from(client.clone())
            .tool(tool("f"), |_| async { assert_eq!(1, 2, "it was run") })
            .run(ask(), &Call::default())
            .await
            .unwrap();
        assert!(run.is_finished());
        assert_eq!(run.response().unwrap().finish_reason(), Some(reason));
        assert_eq!((client.asked().len(), run.turns[0].results.len()), (1, 1));
        assert!(run.turns[0].results[0].is_error);
    }
    // Such calls were run by the server.
    let client = Scripted::new([answer(vec![call(("a", "f", "{}")), Part::text("x")], FinishReason::Stop)]);
    let run = ToolLoop::from(client).tool(tool("f"), |_| async { assert_eq!(1, 2, "it was run") });
    assert!(run.run(ask(), &Call::default()).await.unwrap().is_finished());
}

#[tokio::test]
async fn a_paused_turn_of_the_servers_own_tools_goes_on() {
    let native = Part::native(serde_json::from_str(r#"{"type":"server_tool_use"}"#).unwrap());
    let mut paused = answer(vec![native], FinishReason::Other);
    paused.choices[0].native_finish_reason = Some("pause_turn".into());
    let client = Scripted::new([paused, says("found")]);
    let run = ToolLoop::from(client.clone()).run(ask(), &Call::default()).await.unwrap();
    assert_eq!((run.text().as_str(), client.asked()[1].messages.len()), ("found", 2));
}

#[tokio::test]
async fn functions_of_the_callers_own_are_owed_and_run_first_when_they_come_back() {
    let client = Scripted::new([calls(&[("a", "mine", "{}"), ("b", "ours", "{}")]), says("done")]);
    let request = ChatRequest { tools: vec![tool("mine")], ..ask() };
    let ours = ToolLoop::from(client.clone()).tool(tool("ours"), |call| async move { call.turn.to_string() });
    let run = ours.run(request.clone(), &Call::default()).await.unwrap();
    assert!(matches!(run.ending, Ending::Owed), "{:?}", run.ending);
    assert_eq!(results(&run.messages), ["b: 1"]);
    // Asked again without it, nothing is sent.
    let request = ChatRequest { messages: run.messages.clone(), ..request };
    let again = ours.run(request.clone(), &Call::default()).await.unwrap();
    assert!(matches!(again.ending, Ending::Owed) && again.turns.is_empty());
    let mut messages = again.messages;
    messages.push(Message::tool(ToolResult::text("a", "given")));
    let run = ours.run(ChatRequest { messages, ..request }, &Call::default()).await.unwrap();
    assert_eq!((run.text().as_str(), client.asked().len()), ("done", 2));
    // Calls that come along without results are run before the model is asked.
    let waiting = Message::new(Role::Assistant, vec![call(("z", "ours", "{}"))]);
    let request = ChatRequest::new(vec![Message::user("hi"), waiting]);
    let run = ours.run(request, &Call::default()).await.unwrap();
    assert_eq!((results(&run.messages), run.text().as_str()), (vec!["z: 0".to_owned()], "nothing more"));
}

#[tokio::test]
async fn what_cannot_be_run_is_refused_before_anything_is_sent() {
    let client = Scripted::default();
    let plain = || ToolLoop::from(client.clone()).tool(tool("f"), |_| async {});
    let kind = |failed: Result<ToolRun, ToolLoopError>| failed.unwrap_err().error().kind();
    let several = ChatRequest { n: Some(2), ..ask() };
    assert_eq!(kind(plain().run(several, &Call::default()).await), ErrorKind::InvalidRequest);
    let twice = plain().tool(tool("f"), |_| async {});
    assert_eq!(kind(twice.run(ask(), &Call::default()).await), ErrorKind::Config);
    let native = |json: &str| Tool::Native(serde_json::from_str(json).unwrap());
    let nameless = plain().tool(native(r#"{"type":"search"}"#), |_| async {});
    assert_eq!(kind(nameless.run(ask(), &Call::default()).await), ErrorKind::Config);
    assert!(client.asked().is_empty());
    // A vendor's own tool with a name is run like any other; its input may be free text.
    let custom = ToolCall {
        custom: true,
        id: "a".into(),
        name: "sql".into(),
        arguments: "select 1".into(),
        ..ToolCall::default()
    };
    let client = Scripted::new([answer(vec![Part::ToolCall(custom)], FinishReason::ToolCalls)]);
    let run = ToolLoop::from(client)
        .tool(
            native(r#"{"type":"custom","custom":{"name":"sql"}}"#),
            |call| async move { call.json().to_owned() },
        )
        .run(ask(), &Call::default())
        .await
        .unwrap();
    assert_eq!(results(&run.messages), ["a: select 1"]);
}

#[tokio::test]
async fn a_stream_gives_the_events_of_each_turn_and_the_same_run() {
    let thought = Part::Reasoning(Reasoning { signature: Some("s".into()), ..Reasoning::text("why") });
    let first =
        answer(vec![thought, call(("a", "f", "{}")), call(("b", "f", "{}"))], FinishReason::ToolCalls);
    let client = Scripted::new([first, says("done")]);
    let at_work = client.clone();
    let with_f = ToolLoop::from(client.clone()).tool(tool("f"), move |_| {
        // Nothing of the answer is held while functions run.
        let held = at_work.0.in_flight.load(Ordering::SeqCst);
        async move { held.to_string() }
    });
    let mut stream = with_f.stream(ask(), Call::default());
    let (mut seen, mut run) = (Vec::new(), None);
    while let Some(event) = stream.next().await {
        match event.unwrap() {
            ToolLoopEvent::Turn { turn } => seen.push(format!("turn {turn}")),
            ToolLoopEvent::Event(StreamEvent::Text { text, .. }) => seen.push(text),
            ToolLoopEvent::Event(StreamEvent::ToolCallStart { id, .. }) => seen.push(format!("calls {id}")),
            ToolLoopEvent::Event(StreamEvent::End) => seen.push("end".into()),
            ToolLoopEvent::Event(_) => {}
            ToolLoopEvent::Result { turn, result } => seen.push(format!("{turn} gave {}", told(&result))),
            ToolLoopEvent::End(ended) => run = Some(ended),
        }
    }
    assert_eq!(
        seen,
        ["turn 1", "calls a", "calls b", "end", "1 gave a: 0", "1 gave b: 0", "turn 2", "done", "end"]
    );
    let run = run.unwrap();
    assert_eq!((run.messages.len(), results(&run.messages)), (5, vec!["a: 0".into(), "b: 0".into()]));
    let Part::Reasoning(kept) = &run.messages[1].parts[0] else { panic!("no reasoning") };
    assert_eq!(kept.signature.as_deref(), Some("s"));
}

#[tokio::test]
async fn a_stream_that_breaks_off_keeps_what_had_come() {
    let client = Scripted::new([calls(&[("a", "f", "{}")])]).then(Error::new(ErrorKind::Truncated, "cut"));
    let mut stream = ToolLoop::from(client).tool(tool("f"), |_| async {}).stream(ask(), Call::default());
    let failed = loop {
        match stream.next().await {
            Some(Ok(_)) => {}
            Some(Err(failed)) => break failed,
            None => panic!("no error"),
        }
    };
    assert_eq!(failed.error().partial().unwrap().text(), "so f");
    assert_eq!(results(&failed.run().messages), ["a: done"]);
    assert!(stream.next().await.is_none());
}

#[tokio::test]
async fn dropping_the_loop_drops_the_functions_that_run() {
    struct Told(Arc<AtomicUsize>);
    impl Drop for Told {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }
    let dropped = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&dropped);
    let client = Scripted::new([calls(&[("a", "stuck", "{}"), ("b", "stuck", "{}")])]);
    let stuck = ToolLoop::from(client).tool(tool("stuck"), move |_| {
        let told = Told(Arc::clone(&counted));
        async move {
            std::future::pending::<()>().await;
            drop(told);
        }
    });
    let call = Call::default();
    let mut work = Box::pin(stuck.run(ask(), &call));
    let once = std::future::poll_fn(|cx| std::task::Poll::Ready(work.as_mut().poll(cx).is_pending()));
    assert!(once.await);
    assert_eq!(dropped.load(Ordering::SeqCst), 0);
    drop(work);
    assert_eq!(dropped.load(Ordering::SeqCst), 2);
}

#[cfg(feature = "blocking")]
#[test]
fn without_await_it_is_the_same() {
    let client = Scripted::new([calls(&[("a", "f", "{}")]), says("done")]);
    let with_f = ToolLoop::from(client).tool(tool("f"), |_| async { "1" });
    let run = with_f.run_blocking(ask(), &Call::default()).unwrap();
    assert_eq!((run.text().as_str(), results(&run.messages)), ("done", vec!["a: 1".to_owned()]));
}
