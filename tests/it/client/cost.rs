//! What calls cost: in plain answers, in streams, in what is left of broken ones, and in the figures.

use llm_client::telemetry::Telemetry;
use llm_client::{HttpClient, ModelClient as _, ModelClientExt as _};
use llm_mock::{MockServer, Reply};
use llm_types::{ChatRequest, Collector, Cost, Error, StreamEvent, UsageSource};

use super::client_for;
use crate::telemetry::seen::Figures;

const USAGE: &str = concat!(
    r#"{"prompt_tokens": 90, "completion_tokens": 30, "total_tokens": 120, "prompt_tokens_details": {"cached_tokens": 50},"#,
    r#" "completion_tokens_details": {"reasoning_tokens": 20}}"#,
);

/// One dollar for a million tokens read, ten for written.
fn priced(server: &MockServer) -> HttpClient {
    let builder = HttpClient::builder(server.base_url(), "mock-model").provider("mock");
    builder.telemetry(Telemetry::default()).price("1/10".parse().unwrap()).build().unwrap()
}

fn parts(cost: Option<&Cost>) -> (u128, u128, UsageSource) {
    let cost = cost.expect("a cost");
    assert_eq!(cost.total, cost.input.unwrap().plus(cost.output.unwrap()));
    (cost.input.unwrap().pico(), cost.output.unwrap().pico(), cost.usage)
}

#[tokio::test]
async fn each_answer_says_what_it_cost() {
    let figures = Figures::default();
    let _recording = metrics::set_default_local_recorder(&figures);
    let server = MockServer::start().await;
    for _ in 0..2 {
        server.push(Reply::text("one two three").usage(USAGE));
    }
    server.push(Reply::text("nobody counted").no_usage());
    let client = priced(&server);
    let expected = (90_000_000, 300_000_000, UsageSource::Reported);

    let plain = client.send(ChatRequest::user("hi")).await.unwrap();
    assert_eq!(parts(plain.cost.as_ref()), expected);

    let mut stream = client.stream(ChatRequest::user("hi")).await.unwrap();
    let mut events = Vec::new();
    while let Some(event) = stream.next().await {
        events.push(event.unwrap());
    }
    let costs = events.iter().filter(|event| matches!(event, StreamEvent::Cost(_))).count();
    assert_eq!(costs, 1, "{events:?}");
    let [.., StreamEvent::Cost(cost), StreamEvent::End] = &events[..] else { panic!("{events:?}") };
    assert_eq!(parts(Some(cost)), expected);
    let mut collector = Collector::new();
    events.into_iter().for_each(|event| collector.push(event));
    assert_eq!(parts(collector.finish().cost.as_ref()), expected);

    assert_eq!(client.send(ChatRequest::user("hi")).await.unwrap().cost, None, "nobody counted");
    let told = figures.values("llm.cost.usd.total", &["gen_ai.provider.name=mock"]);
    assert_eq!(told, [0.00039, 0.00039]);
}

#[tokio::test]
async fn an_unknown_price_is_no_cost() {
    let server = MockServer::start().await;
    server.push(Reply::text("one two three").usage(USAGE));
    server.push(Reply::text("one two three").usage(USAGE));
    let client = client_for(&server);
    assert_eq!(client.send(ChatRequest::user("hi")).await.unwrap().cost, None);
    let stream = client.stream(ChatRequest::user("hi")).await.unwrap();
    assert!(stream.cost_of().is_none());
    assert_eq!(stream.collect().await.unwrap().cost, None);
}

/// A stream in the format that says its usage first, cut behind its first words.
fn cut_stream() -> String {
    let events = [
        (
            "message_start",
            r#"{"type":"message_start","message":{"id":"m","type":"message","role":"assistant","model":"mock-model","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":40,"cache_read_input_tokens":50,"output_tokens":3}}}"#,
        ),
        (
            "content_block_start",
            r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
        ),
        (
            "content_block_delta",
            r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"half an"}}"#,
        ),
    ];
    events.iter().map(|(name, data)| format!("event: {name}\ndata: {data}\n\n")).collect()
}

#[tokio::test]
async fn what_came_of_a_broken_or_dropped_stream_is_paid_for() {
    let figures = Figures::default();
    let _recording = metrics::set_default_local_recorder(&figures);
    let server = MockServer::start().await;
    for _ in 0..3 {
        server.reply(200, &[("content-type", "text/event-stream")], cut_stream());
    }
    let builder = HttpClient::builder(server.base_url(), "mock-model").provider("mock");
    let builder = builder.dialect(llm_client::dialect::Dialect::Anthropic).telemetry(Telemetry::default());
    let client = builder.price("1/10".parse().unwrap()).build().unwrap();
    let expected = (90_000_000, 30_000_000, UsageSource::Partial);

    let broken: Error = client.stream(ChatRequest::user("hi")).await.unwrap().collect().await.unwrap_err();
    assert_eq!(parts(broken.partial().unwrap().cost.as_ref()), expected);

    // Whoever reads the events himself is told before the error.
    let mut stream = client.stream(ChatRequest::user("hi")).await.unwrap();
    let mut before = None;
    loop {
        match stream.next().await.unwrap() {
            Ok(event) => before = Some(event),
            Err(_) => break,
        }
    }
    let Some(StreamEvent::Cost(cost)) = before else { panic!("{before:?}") };
    assert_eq!(parts(Some(&cost)), expected);

    // Whoever stops reading can price what he has.
    let mut stream = client.stream(ChatRequest::user("hi")).await.unwrap();
    let usage = loop {
        if let StreamEvent::Usage(usage) = stream.next().await.unwrap().unwrap() {
            break usage;
        }
    };
    let cost_of = stream.cost_of().unwrap();
    assert_eq!(parts(cost_of(&usage).as_ref()), expected);
    drop(stream);

    let told = figures.values("llm.cost.usd.total", &["gen_ai.provider.name=mock"]);
    assert_eq!(told, [0.00012; 3]);
}

#[tokio::test]
async fn a_failure_that_was_paid_says_what_it_cost() {
    let server = MockServer::start().await;
    let body = format!(
        r#"{{"id":"x","model":"mock-model","choices":[{{"index":0,"message":{{"role":"assistant","content":"half"}},"finish_reason":"error"}}],"usage":{USAGE},"error":{{"message":"broke","code":400}}}}"#
    );
    server.reply(200, &[("content-type", "application/json")], body);
    let error = priced(&server).send(ChatRequest::user("hi")).await.unwrap_err();
    let partial = error.partial().unwrap_or_else(|| panic!("{error:?}"));
    assert_eq!(partial.cost.as_ref().unwrap().total.pico(), 390_000_000);
}

#[tokio::test]
async fn vectors_have_their_cost() {
    let server = MockServer::start().await;
    let body = r#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5]}],"model":"mock-model","usage":{"prompt_tokens":5,"total_tokens":5}}"#;
    server.reply(200, &[("content-type", "application/json")], body);
    let client = priced(&server);
    let request = llm_types::EmbeddingRequest::new(["hi"]);
    let answer = client.embedder().unwrap().embed(&request, &llm_client::Call::default()).await.unwrap();
    assert_eq!(answer.cost.unwrap().total.pico(), 5_000_000);
}
