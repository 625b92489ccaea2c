//! The spans of calls, sent to an OpenTelemetry collector (OTLP over HTTP) through the client's own transport.
//!
//! `cargo run -p llm-example-otlp -- http://127.0.0.1:4318`

use std::io::Write as _;

use async_trait::async_trait;
use llm_client::transport::{ProxyEnv, Transport};
use llm_client::{HttpClient, ModelClientExt as _, Settings};
use llm_mock::{MockServer, Reply};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{Bytes, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Instrument as _;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let collector = std::env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:4318".to_owned());
    let (answer, sent) = run(&collector).await?;
    match sent {
        Ok(()) => writeln!(std::io::stdout(), "{answer}\nThe spans are at {collector}.")?,
        Err(error) => writeln!(std::io::stdout(), "{answer}\nNo collector at {collector}: {error}")?,
    }
    Ok(())
}

/// Makes one call, which needs two attempts, and sends its spans.
async fn run(
    collector: &str,
) -> Result<(String, Result<(), opentelemetry_sdk::error::OTelSdkError>), Box<dyn std::error::Error>> {
    let provider = provider(collector)?;
    let spans = tracing_opentelemetry::layer()
        .with_tracer(provider.tracer("llm-rs"))
        // Where in the code a span was made says nothing about the call.
        .with_location(false)
        .with_threads(false)
        // The spans of calls and attempts, and the service's own.
        .with_filter(
            Targets::new()
                .with_target("llm_client::call", LevelFilter::INFO)
                .with_target("my_service", LevelFilter::INFO),
        );
    // A service calls `.init()` in its `main`. The spans are those of whoever is current when a call begins.
    let dispatch = tracing::Dispatch::new(tracing_subscriber::registry().with(spans));

    let server = MockServer::start().await;
    server.reply(503, &[("retry-after-ms", "1")], "busy");
    server.push(Reply::text("A collector gathers."));
    let client = HttpClient::builder(server.base_url(), "echo").provider("mock").build()?;
    let answer = {
        let request = tracing::dispatcher::with_default(
            &dispatch,
            || tracing::info_span!(target: "my_service", "handle_request", otel.kind = "server"),
        );
        let call = client.ask("What does a collector do?").instrument(request);
        tracing::instrument::WithSubscriber::with_subscriber(call, dispatch).await?
    };

    // Before the process ends: what is still in the queue is sent, by a thread of the exporter's own.
    let sent = tokio::task::spawn_blocking(move || provider.shutdown()).await?;
    Ok((answer, sent))
}

/// Collects spans and sends them in batches.
fn provider(collector: &str) -> Result<SdkTracerProvider, Box<dyn std::error::Error>> {
    let exporter = SpanExporter::builder()
        .with_http()
        .with_http_client(Sender {
            transport: Transport::new(&Settings::default(), &ProxyEnv::none())?,
            runtime: tokio::runtime::Handle::current(),
        })
        .with_endpoint(format!("{}/v1/traces", collector.trim_end_matches('/')))
        .build()?;
    let resource = opentelemetry_sdk::Resource::builder_empty().with_service_name("my-service").build();
    Ok(SdkTracerProvider::builder().with_resource(resource).with_batch_exporter(exporter).build())
}

/// The connections that carry calls carry their spans too: no second HTTP stack.
#[derive(Debug)]
struct Sender {
    transport: Transport,
    /// The exporter asks from a thread of its own, which has none.
    runtime: tokio::runtime::Handle,
}

#[async_trait]
impl opentelemetry_http::HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        const MOST: u64 = 64 * 1024;
        let transport = self.transport.clone();
        let timers = Settings::default().timers(false);
        let exchange = async move {
            let reply = transport.send(request, timers).await?;
            let mut response = Response::new(reply.body.read_to_end(MOST).await?);
            *response.status_mut() = reply.status;
            Ok::<_, HttpError>(response)
        };
        self.runtime.spawn(exchange).await?
    }
}

#[cfg(test)]
mod tests;
