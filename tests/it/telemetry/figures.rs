//! Figures: the names and labels of both versions of the conventions, and our own.

use std::sync::Arc;

use llm_client::telemetry::{Names, Observer, Telemetry, record_batch_row};
use llm_client::{ModelClient as _, ModelClientExt as _};
use llm_manager::Budgeted;
use llm_mock::{MockServer, Reply};
use llm_types::ChatRequest;

use super::observed;
use super::seen::Figures;

const USAGE: &str = concat!(
    r#"{"prompt_tokens": 90, "completion_tokens": 30, "total_tokens": 120, "prompt_tokens_details": {"cached_tokens": 50},"#,
    r#" "completion_tokens_details": {"reasoning_tokens": 20}}"#,
);

const CHAT: &[&str] =
    &["gen_ai.operation.name=chat", "gen_ai.provider.name=mock", "gen_ai.request.model=mock-model"];

fn with(more: &[&'static str]) -> Vec<&'static str> {
    [CHAT, more].concat()
}

/// A retried call, a stream of three words, a refused call.
async fn three_calls(names: Names) -> Figures {
    let figures = Figures::default();
    let recording = metrics::set_default_local_recorder(&figures);
    let server = MockServer::start().await;
    server.reply(503, &[], "{}");
    server.push(Reply::text("Hello!").usage(USAGE));
    server.push(Reply::text("one two three").usage(USAGE));
    server.reply(400, &[], r#"{"error":{"message":"canary-prompt"}}"#);
    let client = observed(&server, Telemetry { names, ..Telemetry::default() });
    client.ask("canary-prompt").await.unwrap();
    let stream = client.stream(ChatRequest::user("canary-prompt")).await.unwrap();
    assert_eq!(figures.sum("llm.requests.in_flight", CHAT), 1.0);
    stream.collect().await.unwrap();
    client.ask("canary-prompt").await.unwrap_err();
    assert_eq!(figures.sum("llm.requests.in_flight", CHAT), 0.0);
    client.close().await.unwrap();
    drop(recording);
    figures
}

#[tokio::test]
async fn calls_are_measured_by_the_names_of_today() {
    let figures = three_calls(Names::V1_41).await;
    let ok = |key: &String| !key.contains("error.type");
    let durations = figures.names().into_iter().filter(|k| k.starts_with("gen_ai.client.operation.duration"));
    assert_eq!(durations.clone().count(), 2);
    assert_eq!(durations.filter(ok).count(), 1);
    let failed = with(&["error.type=invalid_request"]);
    assert_eq!(figures.values("gen_ai.client.operation.duration", &failed).len(), 1);
    let tokens = |kind| figures.values("gen_ai.client.token.usage", &with(&[kind]));
    assert_eq!(tokens("gen_ai.token.type=input"), [90.0, 90.0]);
    assert_eq!(tokens("gen_ai.token.type=output"), [30.0, 30.0]);
    assert_eq!(figures.values("gen_ai.client.operation.time_to_first_chunk", CHAT).len(), 1);
    assert!(!figures.values("gen_ai.client.operation.time_per_output_chunk", CHAT).is_empty());
    assert!(!figures.names().iter().any(|name| name.starts_with("gen_ai.client.inference")));
}

#[tokio::test]
async fn calls_are_measured_by_the_next_names_behind_the_switch() {
    let figures = three_calls(Names::Latest).await;
    let used = |name: &str, modality| {
        figures.sum(&format!("gen_ai.client.inference.usage.{name}"), &with(&[modality]))
    };
    assert_eq!(used("input_tokens", "gen_ai.token.modality=text"), 80.0);
    assert_eq!(used("input_tokens", "gen_ai.token.modality=unknown"), 100.0);
    assert_eq!(used("cache_read.input_tokens", "gen_ai.token.modality=unknown"), 100.0);
    assert_eq!(used("output_tokens", "gen_ai.token.modality=text"), 60.0);
    assert_eq!(used("reasoning.output_tokens", "gen_ai.token.modality=text"), 40.0);
    let each = |name: &str| figures.values(&format!("gen_ai.client.inference.{name}"), CHAT);
    assert_eq!(each("operation.input_tokens"), [90.0, 90.0]);
    assert_eq!(each("operation.output_tokens"), [30.0, 30.0]);
    assert_eq!(each("time_to_first_chunk").len(), 1);
    assert!(!each("time_per_output_chunk").is_empty());
    let failed = with(&["error.type=invalid_request"]);
    assert_eq!(figures.values("gen_ai.client.inference.duration", &failed).len(), 1);
    assert!(!figures.names().iter().any(|name| name.starts_with("gen_ai.client.operation")));
}

#[tokio::test]
async fn attempts_waits_endpoints_and_connections_are_counted() {
    let figures = three_calls(Names::V1_41).await;
    let attempts = |marks: &[&'static str]| figures.sum("llm.attempts", &with(marks));
    assert_eq!(attempts(&["reason=first", "error.type=overloaded"]), 1.0);
    assert_eq!(attempts(&["reason=overloaded"]), 1.0);
    assert_eq!(attempts(&["reason=first", "error.type=invalid_request"]), 1.0);
    assert_eq!(figures.values("llm.rate_limit.wait", CHAT).len(), 1, "two of three calls did not wait");
    for (state, expected) in [("closed", 1.0), ("open", 0.0), ("half_open", 0.0)] {
        let state = format!("state={state}");
        let labels =
            ["gen_ai.provider.name=mock", "gen_ai.request.model=mock-model", "llm.endpoint.id=http", &state];
        assert_eq!(figures.sum("llm.endpoint.state", &labels), expected, "{state}");
    }
    let connections = |state| figures.values("llm.pool.connections", &[state]);
    // Three exchanges were under way, and the connection is closed now.
    assert!(connections("state=in_use").iter().filter(|change| **change > 0.0).count() >= 3);
    for state in ["state=in_use", "state=idle", "state=waiting"] {
        assert_eq!(figures.sum("llm.pool.connections", &[state]), 0.0, "{state}");
    }
}

#[tokio::test]
async fn an_endpoint_that_rests_is_seen_to() {
    let figures = Figures::default();
    let _recording = metrics::set_default_local_recorder(&figures);
    let server = MockServer::start().await;
    for _ in 0..4 {
        server.reply(500, &[], "{}");
    }
    let client = observed(&server, Telemetry::default());
    client.ask("hi").await.unwrap_err();
    assert_eq!(figures.sum("llm.endpoint.state", &["state=open"]), 1.0);
    assert_eq!(figures.sum("llm.endpoint.state", &["state=closed"]), 0.0);
}

#[tokio::test]
async fn no_figure_has_a_label_that_grows_with_use_or_tells_a_secret() {
    for names in [Names::V1_41, Names::Latest] {
        let figures = three_calls(names).await;
        for name in figures.names() {
            assert!(!name.contains("canary"), "{name}");
            let labels = name.split_once('{').unwrap().1.trim_end_matches('}');
            for label in labels.split(',') {
                let known = [
                    "gen_ai.operation.name",
                    "gen_ai.provider.name",
                    "gen_ai.request.model",
                    "server.address",
                    "server.port",
                    "error.type",
                    "gen_ai.token.type",
                    "gen_ai.token.modality",
                    "reason",
                    "state",
                    "llm.endpoint.id",
                ];
                assert!(known.contains(&label.split_once('=').unwrap().0), "{name}");
            }
        }
    }
}

#[test]
fn rows_and_money_are_counted_where_they_are_known() {
    let figures = Figures::default();
    metrics::with_local_recorder(&figures, || {
        record_batch_row("success");
        record_batch_row("success");
        record_batch_row("error");
        let observer = Observer::new("mock", "mock-model");
        for usd in [0.25, 0.5, f64::NAN, -1.0] {
            observer.record_cost(usd);
        }
    });
    assert_eq!(figures.sum("llm.batch.rows", &["status=success"]), 2.0);
    assert_eq!(figures.sum("llm.batch.rows", &["status=error"]), 1.0);
    assert_eq!(figures.sum("llm.cost.usd.total", &["gen_ai.provider.name=mock"]), 0.75);
}

#[test]
fn every_figure_stands_in_the_documentation() {
    let page = include_str!("../../../docs/observability.md");
    for metric in llm_client::telemetry::names::METRICS {
        let kind = format!("{:?}", metric.kind).to_lowercase();
        let begins = format!("| `{}` | {kind}", metric.name);
        assert!(page.lines().any(|line| line.starts_with(&begins)), "no row begins with {begins}");
    }
}

#[tokio::test]
async fn what_a_call_costs_is_told_once_by_the_outermost_that_knows_the_price() {
    let figures = Figures::default();
    let _recording = metrics::set_default_local_recorder(&figures);
    let server = MockServer::start().await;
    server.push(Reply::text("Hello!").usage(USAGE));
    server.push(Reply::text("one two three").usage(USAGE));
    server.push(Reply::text("nobody counted").no_usage());
    // A dollar a token, cached or not.
    let priced = |client| {
        let price = "1000000/1000000".parse().unwrap();
        Arc::new(Budgeted::builder(client).price(price).build().unwrap())
    };
    let client = priced(priced(Arc::new(observed(&server, Telemetry::default()))));
    client.ask("hi").await.unwrap();
    client.stream(ChatRequest::user("hi")).await.unwrap().collect().await.unwrap();
    client.ask("hi").await.unwrap();
    let told = figures.values("llm.cost.usd.total", &["gen_ai.request.model=mock-model"]);
    assert_eq!(told, [120.0, 120.0], "an estimate is no cost");
}
