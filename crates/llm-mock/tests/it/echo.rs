//! What the endpoints say without a script.

use base64::{Engine, prelude::BASE64_STANDARD};
use llm_mock::{MockConfig, MockServer};
use serde_json::{Value, json};

use crate::client::{Answer, ask, chat, get, post, send, streamed, user};

const TEXTS: [&str; 6] = [
    "Hello, how are you?",
    "",
    " leading and trailing \n",
    "世界 😀 naïve",
    "\"quotes\" \\ \u{1}\t",
    "incomprehensibilities",
];

#[tokio::test]
async fn the_answer_is_the_last_user_message_word_for_word() {
    let server = MockServer::start().await;
    for text in TEXTS {
        let answer = ask(&server, text).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
        let json = answer.json();
        assert_eq!(json["object"], "chat.completion");
        assert_eq!(json["model"], "echo");
        assert_eq!(json["choices"][0]["message"]["content"], text);
        assert_eq!(json["choices"][0]["message"]["role"], "assistant");
        assert_eq!(json["choices"][0]["finish_reason"], "stop");
        assert!(json["choices"][0]["message"].get("tool_calls").is_none());
        assert!(json["id"].as_str().unwrap().starts_with("chatcmpl-"));
        assert!(json["created"].as_u64().unwrap() > 1_700_000_000);
        assert!(answer.header("x-request-id").is_some());
    }
}

#[tokio::test]
async fn a_stream_joins_to_the_same_text_and_has_the_same_usage() {
    let server = MockServer::start().await;
    for text in TEXTS {
        let mut body = streamed(text);
        body["stream_options"] = json!({"include_usage": true});
        let answer = send(&server, chat(&server, &body)).await;
        assert_eq!(answer.header("content-type"), Some("text/event-stream"));
        assert_eq!(answer.content(0), text);
        let events = answer.events();
        let (usage, chunks) = events.split_last().unwrap();
        assert_eq!(usage["choices"], json!([]));
        assert_eq!(usage["usage"], ask(&server, text).await.json()["usage"]);
        for chunk in chunks {
            assert_eq!(chunk["usage"], Value::Null);
            assert!(chunk.as_object().unwrap().contains_key("usage"), "{chunk}");
            assert_eq!((&chunk["id"], &chunk["created"]), (&usage["id"], &usage["created"]));
            assert_eq!(chunk["object"], "chat.completion.chunk");
        }
        let role = &chunks[0]["choices"][0];
        assert_eq!(role["delta"], json!({"role": "assistant", "content": "", "refusal": null}));
        let finish = &chunks[chunks.len() - 1]["choices"][0];
        assert_eq!((&finish["delta"], &finish["finish_reason"]), (&json!({}), &json!("stop")));
        // One delta a token, beside the role and the finish chunk.
        assert_eq!(usage["usage"]["completion_tokens"], chunks.len() - 2);
    }
}

#[tokio::test]
async fn usage_in_a_stream_only_comes_when_asked_for() {
    let server = MockServer::start().await;
    let mut body = streamed("a b");
    for options in [json!(null), json!({}), json!({"include_usage": false})] {
        body["stream_options"] = options;
        let events = send(&server, chat(&server, &body)).await.events();
        assert!(events.iter().all(|event| event.get("usage").is_none()), "{events:?}");
        assert!(
            events.iter().all(|event| event["choices"].as_array().is_some_and(|choices| choices.len() == 1))
        );
    }
}

#[tokio::test]
async fn several_choices_a_stop_and_a_token_limit_are_honoured() {
    let server = MockServer::start().await;
    let ask = async |extra: Value| {
        let mut body = user("one two three four");
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        send(&server, chat(&server, &body)).await
    };
    let json = ask(json!({"n": 2})).await.json();
    assert_eq!(json["choices"].as_array().unwrap().len(), 2);
    assert_eq!((&json["choices"][1]["index"], &json["usage"]["completion_tokens"]), (&json!(1), &json!(8)));

    for limit in ["max_tokens", "max_completion_tokens"] {
        let json = ask(json!({limit: 2})).await.json();
        let choice = &json["choices"][0];
        assert_eq!(
            (&choice["message"]["content"], &choice["finish_reason"]),
            (&json!("one two"), &json!("length"))
        );
        assert_eq!(json["usage"]["completion_tokens"], 2);
    }
    let json = ask(json!({"max_tokens": 4})).await.json();
    assert_eq!(json["choices"][0]["finish_reason"], "stop");

    let json = ask(json!({"stop": ["three", " two"]})).await.json();
    assert_eq!(json["choices"][0]["message"]["content"], "one");
    assert_eq!(json["choices"][0]["finish_reason"], "stop");

    let answer = ask(json!({"n": 2, "stream": true, "max_tokens": 3})).await;
    assert_eq!((answer.content(0).as_str(), answer.content(1).as_str()), ("one two three", "one two three"));
    let finishes =
        answer.events().iter().filter(|event| event["choices"][0]["finish_reason"] == "length").count();
    assert_eq!(finishes, 2);
}

#[tokio::test]
async fn every_path_is_there_with_and_without_a_version() {
    let server = MockConfig::new().models(["echo", "org/model:1"]).start().await.unwrap();
    for prefix in ["", "/v1"] {
        let answer =
            send(&server, post(&server, &format!("{prefix}/chat/completions?x=1"), &user("hi"))).await;
        assert_eq!(answer.json()["choices"][0]["message"]["content"], "hi");
        let models = send(&server, get(&server, &format!("{prefix}/models"))).await.json();
        assert_eq!((&models["object"], &models["data"][1]["id"]), (&json!("list"), &json!("org/model:1")));
        let model = send(&server, get(&server, &format!("{prefix}/models/org%2Fmodel%3A1"))).await.json();
        assert_eq!((&model["id"], &model["object"]), (&json!("org/model:1"), &json!("model")));
    }
}

fn error(answer: &Answer) -> (u16, Value, Value) {
    let json = answer.json();
    assert!(json["error"]["message"].is_string() && json["error"]["type"].is_string(), "{json}");
    (answer.status, json["error"]["code"].clone(), json["error"]["param"].clone())
}

#[tokio::test]
async fn what_is_wrong_is_refused_in_the_dialects_own_shape() {
    let server = MockConfig::new().strict_models(true).start().await.unwrap();
    let none = Value::Null;
    let unknown = send(&server, post(&server, "/v1/v1/chat/completions", &user("x"))).await;
    assert_eq!(error(&unknown), (404, none.clone(), none.clone()));
    assert_eq!(error(&send(&server, get(&server, "/")).await).0, 404);
    let wrong = send(&server, get(&server, "/v1/chat/completions")).await;
    assert_eq!((error(&wrong).0, wrong.header("allow")), (405, Some("POST")));
    let wrong = send(&server, post(&server, "/v1/models", &none)).await;
    assert_eq!((error(&wrong).0, wrong.header("allow")), (405, Some("GET")));
    let mut broken = chat(&server, &none);
    *broken.body_mut() = "{".to_owned();
    assert_eq!(error(&send(&server, broken).await), (400, none.clone(), none.clone()));
    let missing = send(&server, chat(&server, &json!({"messages": []}))).await;
    assert_eq!(error(&missing), (400, json!("missing_required_parameter"), json!("model")));
    let model =
        send(&server, chat(&server, &json!({"model": "other", "messages": user("x")["messages"]}))).await;
    assert_eq!(error(&model), (404, json!("model_not_found"), json!("model")));
    assert_eq!(error(&send(&server, get(&server, "/v1/models/other")).await).0, 404);
}

#[tokio::test]
async fn embeddings_depend_on_the_input_alone() {
    let server = MockServer::start().await;
    let embed = async |body: Value| send(&server, post(&server, "/v1/embeddings", &body)).await;
    let json =
        embed(json!({"model": "e", "input": ["tide", "ebb tide", "tide"], "dimensions": 8})).await.json();
    let data = json["data"].as_array().unwrap();
    assert_eq!(data.len(), 3);
    assert_eq!((&data[0]["embedding"], &data[2]["index"]), (&data[2]["embedding"], &json!(2)));
    assert_ne!(data[0]["embedding"], data[1]["embedding"]);
    let vector: Vec<f64> = serde_json::from_value(data[0]["embedding"].clone()).unwrap();
    let length: f64 = vector.iter().map(|number| number * number).sum();
    assert!(vector.len() == 8 && (length - 1.0).abs() < 1e-6, "{vector:?}");
    assert_eq!(json["usage"], json!({"prompt_tokens": 4, "total_tokens": 4}));

    let packed =
        embed(json!({"model": "e", "input": "tide", "dimensions": 8, "encoding_format": "base64"})).await;
    let bytes = BASE64_STANDARD.decode(packed.json()["data"][0]["embedding"].as_str().unwrap()).unwrap();
    let floats: Vec<f32> = bytes.chunks(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
    let plain: Vec<f32> = serde_json::from_value(data[0]["embedding"].clone()).unwrap();
    assert_eq!(floats, plain);

    let ids = embed(json!({"model": "e", "input": [1, 2, 3]})).await.json();
    assert_eq!((ids["data"].as_array().unwrap().len(), &ids["usage"]["total_tokens"]), (1, &json!(3)));
    let lists = embed(json!({"model": "e", "input": [[1, 2, 3], [4]]})).await.json();
    assert_eq!(lists["data"][0]["embedding"], ids["data"][0]["embedding"]);
    assert_eq!(lists["data"][0]["embedding"].as_array().unwrap().len(), 32);
    for wrong in [
        json!({"model": "e"}),
        json!({"input": "x"}),
        json!({"model": "e", "input": []}),
        json!({"model": "e", "input": ["a", 1]}),
        json!({"model": "e", "input": "x", "dimensions": 0}),
        json!({"model": "e", "input": "x", "encoding_format": "hex"}),
    ] {
        assert_eq!(error(&embed(wrong).await).0, 400);
    }
}
