//! What calls cost: in plain answers, in streams, in what is left of broken ones, and in the figures.

use llm_client::dialect::Dialect;
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
    let builder = builder.dialect(Dialect::Anthropic).telemetry(Telemetry::default());
    let client = builder.price("1/10".parse().unwrap()).build().unwrap();
    let expected = (90_000_000, 30_000_000, UsageSource::Partial);

    let broken: Error = client.stream(ChatRequest::user("hi")).await.unwrap().collect().await.unwrap_err();
    assert_eq!(parts(broken.partial().unwrap().cost.as_ref()), expected);

    // Whoever reads the events himself is told before the error.
    let mut stream = client.stream(ChatRequest::user("hi")).await.unwrap();
    let mut before = None;
    while let Ok(event) = stream.next().await.unwrap() {
        before = Some(event);
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

/// A stream in each format that says its usage before its end: its events, the last of which make it whole.
fn formats() -> [(Dialect, Vec<&'static str>, usize); 3] {
    [
        (
            Dialect::OpenAiChat,
            vec![
                r#"{"id":"x","model":"m","choices":[{"index":0,"delta":{"content":"half"}}],"usage":{"prompt_tokens":9,"completion_tokens":1}}"#,
                r#"{"id":"x","model":"m","choices":[{"index":0,"delta":{"content":" more"},"finish_reason":"stop"}],"usage":null}"#,
                r#"{"id":"x","model":"m","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":4,"completion_tokens_details":{"reasoning_tokens":2}}}"#,
                "[DONE]",
            ],
            1,
        ),
        (
            Dialect::Anthropic,
            vec![
                r#"{"type":"message_start","message":{"id":"x","type":"message","role":"assistant","model":"m","content":[],"usage":{"input_tokens":9,"output_tokens":1}}}"#,
                r#"{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}"#,
                r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"half"}}"#,
                r#"{"type":"content_block_stop","index":0}"#,
                r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":4,"output_tokens_details":{"thinking_tokens":2}}}"#,
                r#"{"type":"message_stop"}"#,
            ],
            3,
        ),
        (
            Dialect::Gemini,
            vec![
                r#"{"candidates":[{"content":{"role":"model","parts":[{"text":"half"}]}}],"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":1,"totalTokenCount":10}}"#,
                r#"{"candidates":[{"content":{"role":"model","parts":[{"text":" more"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":9,"candidatesTokenCount":2,"thoughtsTokenCount":2,"totalTokenCount":13}}"#,
            ],
            1,
        ),
    ]
}

fn sse(events: &[&str]) -> String {
    events.iter().map(|data| format!("data: {data}\n\n")).collect()
}

#[tokio::test]
async fn usage_is_partial_until_the_answer_is_whole_in_every_format() {
    for (dialect, events, cut) in formats() {
        let server = MockServer::start().await;
        for events in [&events[..], &events[..cut], &events[..cut]] {
            server.reply(200, &[("content-type", "text/event-stream")], sse(events));
        }
        let builder = HttpClient::builder(server.base_url(), "mock-model").dialect(dialect);
        let client = builder.price("1/10".parse().unwrap()).build().unwrap();
        let whole = client.stream(ChatRequest::user("hi")).await.unwrap().collect().await.unwrap();
        let usage = whole.usage.unwrap();
        assert_eq!((usage.input_total(), usage.output_total()), (9, 4), "{dialect:?}");
        assert_eq!((usage.reasoning, usage.source), (Some(2), UsageSource::Reported), "{dialect:?}");
        assert_eq!(parts(whole.cost.as_ref()), (9_000_000, 40_000_000, UsageSource::Reported), "{dialect:?}");
        let error = client.stream(ChatRequest::user("hi")).await.unwrap().collect().await.unwrap_err();
        let partial = error.partial().unwrap();
        let usage = partial.usage.unwrap();
        assert_eq!(
            (usage.input_total(), usage.output_total(), usage.source),
            (9, 1, UsageSource::Partial),
            "{dialect:?}"
        );
        assert_eq!(
            parts(partial.cost.as_ref()),
            (9_000_000, 10_000_000, UsageSource::Partial),
            "{dialect:?}"
        );
        // Dropped on the way: what a reader has collected says the same.
        let mut stream = client.stream(ChatRequest::user("hi")).await.unwrap();
        let mut collector = Collector::new();
        while collector.snapshot().usage.is_none() {
            collector.push(stream.next().await.unwrap().unwrap());
        }
        assert_eq!(collector.finish().usage.unwrap().source, UsageSource::Partial, "{dialect:?}");
    }
}

#[tokio::test]
async fn usage_that_nobody_reported_is_absent_in_every_format() {
    for (dialect, events, _) in formats() {
        let server = MockServer::start().await;
        let silent = |event: &&str| {
            let mut json: serde_json::Value = serde_json::from_str(event).ok()?;
            let members = json.as_object_mut()?;
            for name in ["usage", "usageMetadata"] {
                members.remove(name);
            }
            if let Some(message) = members.get_mut("message").and_then(|message| message.as_object_mut()) {
                message.remove("usage");
            }
            Some(json.to_string())
        };
        let events: Vec<String> =
            events.iter().map(|event| silent(event).unwrap_or_else(|| (*event).to_owned())).collect();
        let events: Vec<&str> = events.iter().map(String::as_str).collect();
        server.reply(200, &[("content-type", "text/event-stream")], sse(&events));
        let builder = HttpClient::builder(server.base_url(), "mock-model").dialect(dialect);
        let client = builder.price("1/10".parse().unwrap()).build().unwrap();
        let answer = client.stream(ChatRequest::user("hi")).await.unwrap().collect().await.unwrap();
        assert!(answer.usage.is_none() && answer.cost.is_none(), "{dialect:?} {answer:?}");
    }
}

/// Ten times as dear in one tier, half as dear in another.
const TIERS: &str = r#"{"input": "1", "output": "10", "when": [{"tier": "priority", "input": "10", "output": "100"},
    {"tier": "flex", "input": "0.5", "output": "5"}]}"#;

#[tokio::test]
async fn the_tier_that_the_server_names_is_charged_and_else_the_one_that_was_asked_for() {
    let server = MockServer::start().await;
    let builder = HttpClient::builder(server.base_url(), "mock-model");
    let client = builder.price(serde_json::from_str(TIERS).unwrap()).build().unwrap();
    let body = |tier: &str| {
        format!(
            r#"{{"id":"x","model":"m",{tier}"choices":[{{"index":0,"message":{{"role":"assistant","content":"x"}},"finish_reason":"stop"}}],"usage":{{"prompt_tokens":10,"completion_tokens":1}}}}"#
        )
    };
    let chunk = |tier: &str| {
        format!(
            "data: {{\"id\":\"x\",\"model\":\"m\",{tier}\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"x\"}},\"finish_reason\":\"stop\"}}],\"usage\":{{\"prompt_tokens\":10,\"completion_tokens\":1}}}}\n\ndata: [DONE]\n\n"
        )
    };
    for (asked, said, pico) in [
        (None, "", Some(20_000_000)),
        (Some("flex"), "", Some(10_000_000)),
        (Some("flex"), r#""service_tier":"default","#, Some(20_000_000)),
        (Some("auto"), r#""service_tier":"priority","#, Some(200_000_000)),
        (None, r#""service_tier":"scale","#, None),
    ] {
        let request = ChatRequest { service_tier: asked.map(str::to_owned), ..ChatRequest::user("hi") };
        server.reply(200, &[("content-type", "application/json")], body(said));
        let plain = client.send(request.clone()).await.unwrap();
        assert_eq!(plain.cost.map(|cost| cost.total.pico()), pico, "{asked:?} {said}");
        server.reply(200, &[("content-type", "text/event-stream")], chunk(said));
        let streamed = client.stream(request).await.unwrap().collect().await.unwrap();
        assert_eq!(streamed.cost.map(|cost| cost.total.pico()), pico, "{asked:?} {said}, streamed");
    }
}

#[tokio::test]
async fn a_servers_own_figure_counts_only_where_it_is_trusted() {
    let usage = r#"{"prompt_tokens": 10, "completion_tokens": 1, "cost": 1.5e-05}"#;
    let server = MockServer::start().await;
    for _ in 0..4 {
        server.push(Reply::text("x").usage(usage));
    }
    for (trusted, pico, source) in
        [(true, 15_000_000, Some("reported by the server")), (false, 20_000_000, None)]
    {
        let builder = HttpClient::builder(server.base_url(), "mock-model").tells_cost(trusted);
        let client = builder.price("1/10".parse().unwrap()).build().unwrap();
        let plain = client.send(ChatRequest::user("hi")).await.unwrap();
        let streamed = client.stream(ChatRequest::user("hi")).await.unwrap().collect().await.unwrap();
        for answer in [plain, streamed] {
            let cost = answer.cost.unwrap();
            assert_eq!((cost.total.pico(), cost.source.as_deref()), (pico, source));
            assert_eq!(answer.usage.unwrap().input_total(), 10);
            assert!(answer.extra.get("usage").unwrap().get().contains("1.5e-05"), "what was sent is kept");
        }
    }
}
