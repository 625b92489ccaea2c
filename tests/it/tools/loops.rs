//! A loop from its first request to its last answer.

use std::sync::Arc;
use std::time::Duration;

use llm_client::{Call, ModelClient, ModelClientExt as _, ToolLoop, ToolLoopError, ToolLoopEvent, ToolRun};
use llm_manager::{Budget, BudgetLimits, Budgeted};
use llm_mock::{MockServer, Reply};
use llm_types::{
    ChatRequest, ErrorKind, Phase, ReasoningEffort, ReasoningSetting, StreamEvent, Tool, ToolChoice,
};

use super::{ROWS, asks, client, with_tide};
use crate::pools::{in_order, quick};

fn question() -> ChatRequest {
    let reasoning = ReasoningSetting { effort: Some(ReasoningEffort::Low), ..ReasoningSetting::default() };
    ChatRequest { reasoning: Some(reasoning), max_tokens: Some(4096), ..ChatRequest::user("When?") }
}

/// Runs the loop in one of its two ways.
async fn run(tools: &ToolLoop, request: ChatRequest, streamed: bool) -> Result<ToolRun, ToolLoopError> {
    if !streamed {
        return tools.run(request, &Call::default()).await;
    }
    let mut stream = tools.stream(request, Call::default());
    let mut ends = 0;
    loop {
        match stream.next().await.unwrap()? {
            ToolLoopEvent::Event(StreamEvent::End) => ends += 1,
            ToolLoopEvent::End(run) => {
                assert_eq!(run.turns.len(), ends);
                return Ok(*run);
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn two_turns_with_thoughts_and_parallel_calls_mean_the_same_in_every_format() {
    for row in ROWS {
        for streamed in [false, true] {
            let server = MockServer::start().await;
            let calls = [asks("call_1", "Brest"), asks("call_2", "Bern"), asks("call_3", "Kiel")];
            server.push(Reply::tool_calls(calls).reasoning("I need tables."));
            server.push(Reply::text("At four.").reasoning("Now I know."));
            let run = run(&with_tide(client(row, &server, &[])), question(), streamed).await.unwrap();
            let what = format!("{row:?} streamed {streamed}");
            assert_eq!(run.text(), "At four.", "{what}");
            assert!(run.is_finished() && run.messages.len() == 6, "{what}: {run:?}");
            let told: Vec<bool> = run.turns[0].results.iter().map(|result| result.is_error).collect();
            assert_eq!(told, [false, true, false], "{what}");
            // The server checks the signatures of its thoughts, and that every call has its result.
            let requests = server.requests();
            assert_eq!(requests.len(), 2, "{what}");
            let second = String::from_utf8(requests[1].body().to_vec()).unwrap();
            let at =
                |text: &str| second.find(text).unwrap_or_else(|| panic!("{what}: no {text} in {second}"));
            assert!(at("I need tables.") < at("4 in Brest"), "{what}");
            assert!(at("4 in Brest") < at("Bern has no tide") && at("Bern has no tide") < at("4 in Kiel"));
            for request in &requests {
                assert_eq!(request.notes(), Vec::<String>::new(), "{what}");
            }
            let sum = run.turns.iter().map(|turn| turn.response.usage.unwrap().total()).sum::<u64>();
            assert_eq!(run.usage().unwrap().total(), sum, "{what}");
        }
    }
}

#[tokio::test]
async fn no_slot_is_held_while_functions_run() {
    for row in ROWS {
        for streamed in [false, true] {
            let server = MockServer::start().await;
            server.push(Reply::tool_calls([asks("call_1", "Brest"), asks("call_2", "Kiel")]));
            // The functions ask the same client, which makes one call at a time, over one connection.
            let sets = [("max_concurrent_calls", "1"), ("max_connections", "1")];
            let client = client(row, &server, &sets);
            let asked = Arc::clone(&client);
            let schema = serde_json::from_str(r#"{"type":"object"}"#).unwrap();
            let tools = ToolLoop::new(client).tool(Tool::function("tide", "", schema), move |call| {
                let asked = Arc::clone(&asked);
                async move { asked.ask(call.json()).await }
            });
            let run = run(&tools, question(), streamed).await.unwrap();
            let told = &run.turns[0].results[1].content[0].as_text().unwrap();
            assert_eq!(serde_json::from_str::<serde_json::Value>(told).unwrap()["port"], "Kiel");
            assert_eq!(server.requests().len(), 4, "{row:?}");
        }
    }
}

#[tokio::test]
async fn a_stream_cut_in_the_second_turn_keeps_what_had_come_and_can_be_gone_on_with() {
    for row in ROWS {
        let server = MockServer::start().await;
        server.push(Reply::tool_calls([asks("call_1", "Brest")]).reasoning("I need tables."));
        server.push(Reply::text("At four, I would say.").no_end());
        server.push(Reply::text("At four."));
        let tools = with_tide(client(row, &server, &[]));
        let failed = run(&tools, question(), true).await.unwrap_err();
        assert_eq!(failed.error().kind(), ErrorKind::Truncated, "{row:?}");
        assert_eq!(failed.error().partial().unwrap().text(), "At four, I would say.");
        let request = ChatRequest { messages: failed.into_run().messages, ..question() };
        let run = run(&tools, request, true).await.unwrap();
        assert_eq!((run.text().as_str(), run.messages.len()), ("At four.", 4), "{row:?}");
    }
}

#[tokio::test]
async fn the_deadline_holds_across_turns_and_a_dropped_loop_leaves_the_server() {
    let server = MockServer::start().await;
    server.push(Reply::tool_calls([asks("call_1", "Brest")]));
    server.push(Reply::text("never").delay(Duration::from_secs(600)));
    let tools = with_tide(client(ROWS[0], &server, &[]));
    let failed = tools.run(question(), &Call::within(Duration::from_millis(500))).await.unwrap_err();
    assert_eq!(failed.error().kind(), ErrorKind::Timeout(Phase::Call));
    assert_eq!(failed.run().messages.len(), 3);
    server.push(Reply::text("never").delay(Duration::from_secs(600)));
    let call = Call::default();
    let waiting = tools.run(question(), &call);
    assert!(tokio::time::timeout(Duration::from_millis(100), waiting).await.is_err());
    while server.cancelled() < 2 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn a_forced_call_does_not_go_on_for_ever() {
    for row in ROWS {
        let server = MockServer::start().await;
        server.push(Reply::tool_calls([asks("call_1", "Brest")]));
        server.push(Reply::text("At four."));
        let request = ChatRequest {
            tool_choice: Some(ToolChoice::Function("tide".into())),
            ..ChatRequest::user("When?")
        };
        let run = with_tide(client(row, &server, &[])).run(request, &Call::default()).await.unwrap();
        let body = |at: usize| String::from_utf8(server.requests()[at].body().to_vec()).unwrap();
        let forced = |body: &str| body.contains("tool_choice") || body.contains("allowedFunctionNames");
        assert!(run.is_finished() && forced(&body(0)) && !forced(&body(1)), "{row:?}: {}", body(1));
    }
}

#[tokio::test]
async fn over_a_pool_and_a_budget_it_is_the_same() {
    let (dead, alive) = (MockServer::start().await, MockServer::start().await);
    dead.push(Reply::error(500).times(9));
    alive.push(Reply::tool_calls([asks("call_1", "Brest")]));
    alive.push(Reply::text("At four."));
    let pool = in_order(&[&dead, &alive], &[]).settings(quick(&[("max_retries", "3")])).build().unwrap();
    let budget = Budget::new("all", BudgetLimits { tokens: Some(10_000), ..BudgetLimits::default() });
    let budgeted = Budgeted::builder(Arc::new(pool)).budget(Arc::clone(&budget)).build().unwrap();
    let client: Arc<dyn ModelClient> = Arc::new(budgeted);
    let run = with_tide(client).run(ChatRequest::user("When?"), &Call::default()).await.unwrap();
    assert_eq!((run.text().as_str(), alive.requests().len()), ("At four.", 2));
}
