//! A tool loop by hand, with thinking, in every format: what each turn sends, shown by `--dry-run` and then sent.

use llm_mock::{MockServer, Reply, ToolCall};
use serde_json::{Value, json};

use super::harness::Llm;
use super::vendors::{FORMATS, root};

const TOOLS: &str = r#"{
  "tools": [{
    "name": "weather",
    "description": "Tells the weather of a city.",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
  }],
  "tool_choice": "auto"
}"#;

/// A reply that thinks, says a word and calls two tools at once.
fn thoughtful() -> Reply {
    let call = |id: &str, city: &str| ToolCall::new(id, "weather", format!("{{\"city\":\"{city}\"}}"));
    Reply::tool_calls([call("call_1", "Paris"), call("call_2", "Rome")])
        .say("Let me look.")
        .reasoning("Two cities, two calls.")
        .signature("c2lnbmVkIGJ5IHRoZSB2ZW5kb3I=")
}

#[tokio::test]
async fn each_vendor_gets_back_what_it_thought_and_what_its_tools_said() {
    for (model, ..) in FORMATS {
        for stream in ["--stream", "--no-stream"] {
            let (llm, server) = (Llm::new(), MockServer::start().await);
            let root = root(&server);
            llm.write("tools.json", TOOLS);
            let run = async |args: &[&str]| {
                let at =
                    ["ask", "-m", model, "--base-url", &root, "--api-key", "sk-one-two-three-four", stream];
                let ran = llm
                    .run(&[&at[..], &["--thinking", "2000", "--tools", "tools.json"], args].concat())
                    .await;
                ran.exits(0)
            };
            let shown = async |args: &[&str]| {
                run(&[args, &["--dry-run"]].concat()).await.out.replace(&root, "http://server")
            };
            let first_shown = shown(&["Weather in Paris and Rome?"]).await;
            let plan = run(&["Weather in Paris and Rome?", "--dry-run", "--json"]).await.json();
            assert_eq!(server.counts().total, 0, "a dry run sends nothing");

            server.push(thoughtful());
            let mut talk = run(&["Weather in Paris and Rome?", "--json"]).await.json();
            assert_eq!(server.requests()[0].json(), plan["requests"][0]["body"], "{model}");
            // What a script does: each call is answered, and the conversation goes on from there.
            let calls = talk["tool_calls"].as_array().unwrap().clone();
            let messages = talk["messages"].as_array_mut().unwrap();
            for (call, weather) in calls.iter().zip(["rain", "sun"]) {
                messages.push(json!({"role": "tool", "tool_call_id": call["id"], "content": weather}));
            }
            llm.write("talk.json", &talk.to_string());
            let second_shown = shown(&["--messages", "talk.json"]).await;
            let plan = run(&["--messages", "talk.json", "--dry-run", "--json"]).await.json();

            server.push(Reply::text("Rain in Paris, sun in Rome."));
            let last = run(&["--messages", "talk.json", "--json"]).await.json();
            assert_eq!(server.requests()[1].json(), plan["requests"][0]["body"], "{model}");
            assert_eq!(
                (&last["text"], last["error"].is_null()),
                (&"Rain in Paris, sun in Rome.".into(), true)
            );
            assert_eq!(last["messages"].as_array().map(Vec::len), Some(5), "{last}");
            for body in server.requests().iter().map(llm_mock::Request::notes) {
                assert!(body.is_empty(), "{model}: {body:?}");
            }
            // Streamed or not, the conversation is the same: one picture of each format.
            let sent = |shown: &str| shown.replace(":streamGenerateContent?alt=sse", ":generateContent");
            let bare = |shown: String| -> Value {
                serde_json::from_str(shown.split_once("\n\n").unwrap().1).unwrap()
            };
            if stream == "--stream" {
                let name = model.split('/').next().unwrap();
                insta::assert_snapshot!(
                    format!("two_turns_{name}"),
                    format!("{first_shown}\n{second_shown}")
                );
            } else {
                assert!(sent(&second_shown).contains("rain"), "{second_shown}");
                assert!(bare(second_shown).is_object());
            }
        }
    }
}

#[tokio::test]
async fn blocks_that_alternate_go_back_in_their_order_through_a_file() {
    let (llm, server) = (Llm::new(), MockServer::start().await);
    let url = server.base_url();
    llm.write("tools.json", TOOLS);
    let blocks = json!([
        {"type": "thinking", "thinking": "First.", "signature": "c2ln"},
        {"type": "text", "text": "Let me look."},
        {"type": "redacted_thinking", "data": "cmVkYWN0ZWQ="},
        {"type": "thinking", "thinking": "Then.", "signature": "bmF0dXJl"},
        {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Paris"}},
    ]);
    let answer = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-sonnet-4-5", "content": blocks,
        "stop_reason": "tool_use", "stop_sequence": null, "usage": {"input_tokens": 9, "output_tokens": 9},
    });
    server.push(Reply::body(200, answer.to_string()));
    let at = [
        "ask",
        "-m",
        "anthropic/claude-sonnet-4-5",
        "--base-url",
        &url,
        "--api-key",
        "sk-one-two-three-four",
    ];
    let at = [&at[..], &["--no-stream", "--thinking", "2000", "--tools", "tools.json", "--json"]].concat();
    let mut talk = llm.run(&[&at[..], &["Weather?"]].concat()).await.exits(0).json();
    let result = json!({"role": "tool", "tool_call_id": "toolu_1", "content": "rain"});
    talk["messages"].as_array_mut().unwrap().push(result);
    llm.write("talk.json", &talk.to_string());
    let plan = llm.run(&[&at[..], &["--messages", "talk.json", "--dry-run"]].concat()).await.exits(0).json();
    assert_eq!(plan["requests"][0]["body"]["messages"][1]["content"], blocks, "{talk}");
}
