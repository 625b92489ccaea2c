//! A chain whose first vendor fails between the turns of a loop: the second goes on, and gets nothing that only the first
//! can read.

use std::sync::Arc;

use llm_client::{Call, ToolLoopEvent};
use llm_manager::Aggregator;
use llm_mock::{MockServer, Reply};
use llm_types::ChatRequest;
use serde_json::{Value, json};

use super::{ROWS, asks, client, with_tide};
use crate::pools::quick;

fn chain(first: (&str, &str), one: &MockServer, second: (&str, &str), other: &MockServer) -> Arc<Aggregator> {
    let models = Aggregator::builder("chain/vendors").settings(quick(&[]));
    let models = models.model(client(first, one, &[])).model(client(second, other, &[]));
    Arc::new(models.build().unwrap())
}

/// Every text in a JSON value.
fn texts(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::String(text) => out.push(text.clone()),
        Value::Array(list) => list.iter().for_each(|value| texts(value, out)),
        Value::Object(members) => members.values().for_each(|value| texts(value, out)),
        _ => {}
    }
}

/// The signatures in a request, wherever a format puts them.
fn signatures(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Array(list) => list.iter().for_each(|value| signatures(value, out)),
        Value::Object(members) => {
            for (name, value) in members {
                match (name.as_str(), value) {
                    ("signature" | "thoughtSignature" | "data", Value::String(text)) => {
                        out.push(text.clone())
                    }
                    _ => signatures(value, out),
                }
            }
        }
        _ => {}
    }
}

#[tokio::test]
async fn a_loop_goes_on_with_another_vendor_and_back_again() {
    for first in ROWS {
        for second in ROWS.into_iter().filter(|second| *second != first) {
            for streamed in [false, true] {
                go_on(first, second, streamed).await;
            }
        }
    }
}

async fn go_on(first: (&str, &str), second: (&str, &str), streamed: bool) {
    let what = format!("{first:?} then {second:?}, streamed {streamed}");
    let (one, other) = (MockServer::start().await, MockServer::start().await);
    let calls = [asks("call/1.a", "Brest"), asks("call/1.b", "Kiel")];
    one.push(
        Reply::tool_calls(calls).say("Let me look.").reasoning("first thought").redacted_reasoning("sealed"),
    );
    one.push(Reply::error(500));
    other.push(Reply::tool_calls([asks("call_2", "Bern")]).reasoning("second thought"));
    one.push(Reply::text("At four."));
    let tools = with_tide(chain(first, &one, second, &other));
    let request = ChatRequest { max_tokens: Some(4096), ..ChatRequest::user("When?") };
    let run = if streamed {
        let mut stream = tools.stream(request, Call::default());
        loop {
            if let ToolLoopEvent::End(run) = stream.next().await.unwrap().expect(&what) {
                break *run;
            }
        }
    } else {
        tools.run(request, &Call::default()).await.expect(&what)
    };
    assert_eq!((run.text().as_str(), run.turns.len()), ("At four.", 3), "{what}");
    let (ones, others) = (one.requests(), other.requests());
    assert_eq!((ones.len(), others.len()), (3, 1), "{what}");
    for request in ones.iter().chain(&others) {
        assert_eq!(request.notes(), Vec::<String>::new(), "{what}");
    }
    // Signatures of the first, as it got them back itself.
    let seals = |request: &llm_mock::Request| {
        let mut found = Vec::new();
        signatures(&request.json(), &mut found);
        found
    };
    let own = seals(&ones[1]);
    let thinks_signed = first.0 != "deepseek";
    assert_eq!(!own.is_empty(), thinks_signed, "{what}");
    let crossing = seals(&others[0]);
    assert!(!crossing.iter().any(|seal| own.contains(seal)), "{what}: {crossing:?}");
    // All else goes along.
    let mut said = Vec::new();
    texts(&others[0].json(), &mut said);
    for text in ["When?", "Let me look.", "4 in Brest", "4 in Kiel", "tide"] {
        assert!(said.iter().any(|said| said == text), "{what}: no {text:?} in {said:?}");
    }
    assert!(!said.iter().any(|said| said == "sealed"), "{what}");
    // Back at the first, its own are there again, and those of the second are not.
    let back = seals(&ones[2]);
    assert!(own.iter().all(|seal| back.contains(seal)), "{what}: {back:?}");
    let mut said = Vec::new();
    texts(&ones[2].json(), &mut said);
    assert!(said.iter().any(|said| said.contains("Bern has no tide")), "{what}: {said:?}");
}

#[tokio::test]
async fn parts_of_one_vendors_own_stay_with_it() {
    let content = json!([
        {"type": "thinking", "thinking": "I search.", "signature": "c2ln"},
        {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "tide"}},
        {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [{"type": "web_search_result", "encrypted_content": "sealed"}]},
        {"type": "text", "text": "Found it.", "citations": [{"type": "web_search_result_location", "encrypted_index": "sealed too"}]},
        {"type": "tool_use", "id": "toolu_1", "name": "tide", "input": {"port": "Brest"}},
    ]);
    let answer = json!({"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": content,
        "stop_reason": "tool_use", "usage": {"input_tokens": 1, "output_tokens": 1}});
    for second in [ROWS[1], ROWS[2], ("openai", "gpt-4o"), ("openrouter", "m")] {
        let (one, other) = (MockServer::start().await, MockServer::start().await);
        one.reply(200, &[], answer.to_string());
        one.push(Reply::error(500));
        other.push(Reply::text("At four."));
        let tools = with_tide(chain(ROWS[0], &one, second, &other));
        let run = tools.run(ChatRequest::user("When?"), &Call::default()).await.unwrap();
        assert_eq!(run.text(), "At four.", "{second:?}");
        // The first gets every block back as it was.
        assert_eq!(one.requests()[1].json()["messages"][1]["content"], content, "{second:?}");
        let crossing = String::from_utf8(other.requests()[0].body().to_vec()).unwrap();
        for sealed in ["sealed", "c2ln\"", "srvtoolu", "web_search", "citations"] {
            assert!(!crossing.contains(sealed), "{second:?} {sealed}: {crossing}");
        }
        assert!(crossing.contains("Found it.") && crossing.contains("4 in Brest"), "{crossing}");
        let warned = &run.response().unwrap().warnings;
        assert!(warned.iter().any(|warning| warning.message.contains("left out")), "{second:?}: {warned:?}");
    }
}
