//! What a collector gets: a stand-in for one reads the spans off a socket.

use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span, Status};
use prost::Message as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

type Received = Arc<Mutex<Vec<ResourceSpans>>>;

/// Takes every request for spans, and answers as a collector does.
async fn collector() -> (String, Received) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let received = Received::default();
    let to = Arc::clone(&received);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            while let Some(body) = request(&mut stream).await {
                let request = ExportTraceServiceRequest::decode(&*body).expect("protobuf of spans");
                to.lock().unwrap().extend(request.resource_spans);
                stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.unwrap();
            }
        }
    });
    (url, received)
}

/// The body of the next request on the connection.
async fn request(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
    assert!(head.contains("content-type: application/x-protobuf\r\n"), "{head}");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).await.unwrap();
    Some(body)
}

fn text(span: &Span, name: &str) -> Option<String> {
    let value = span.attributes.iter().find(|attribute| attribute.key == name)?.value.clone()?.value?;
    Some(match value {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        Value::DoubleValue(number) => number.to_string(),
        Value::BoolValue(yes) => yes.to_string(),
        other => panic!("{name} is {other:?}"),
    })
}

#[track_caller]
fn says(span: &Span, attributes: &[(&str, &str)]) {
    for (name, value) in attributes {
        assert_eq!(text(span, name).as_deref(), Some(*value), "{name} of {span:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_collector_gets_the_call_its_attempts_and_whose_they_are() {
    let (url, received) = collector().await;
    let (answer, sent) = super::run(&url).await.unwrap();
    assert_eq!(answer, "A collector gathers.");
    sent.unwrap();

    let received = received.lock().unwrap();
    let service = received.iter().flat_map(|spans| &spans.resource).flat_map(|resource| &resource.attributes);
    let service: Vec<_> = service.map(|attribute| attribute.key.as_str()).collect();
    assert!(service.contains(&"service.name"), "{service:?}");
    let spans: Vec<&Span> =
        received.iter().flat_map(|spans| &spans.scope_spans).flat_map(|scope| &scope.spans).collect();
    let named =
        |name: &str| -> Vec<&Span> { spans.iter().copied().filter(|span| span.name == name).collect() };
    let ([request], [call]) = (&*named("handle_request"), &*named("chat echo")) else {
        panic!("one request with one call: {spans:#?}")
    };
    let mut attempts = named("POST");
    attempts.sort_by_key(|span| span.start_time_unix_nano);
    let [first, second] = &*attempts else { panic!("two attempts: {spans:#?}") };
    assert_eq!(spans.len(), 4, "{spans:#?}");

    assert_eq!(request.kind(), SpanKind::Server);
    assert_eq!((call.kind(), call.parent_span_id.clone()), (SpanKind::Client, request.span_id.clone()));
    says(
        call,
        &[
            ("gen_ai.operation.name", "chat"),
            ("gen_ai.provider.name", "mock"),
            ("gen_ai.request.model", "echo"),
            ("server.address", "127.0.0.1"),
            ("gen_ai.response.finish_reasons", r#"["stop"]"#),
            ("llm.attempts", "2"),
            ("llm.retry.reason", "overloaded"),
        ],
    );
    let number = |name: &str| text(call, name).unwrap().parse::<u64>().unwrap();
    assert!(number("server.port") > 0 && number("gen_ai.usage.output_tokens") > 0);
    assert_eq!(text(call, "gen_ai.input.messages"), None, "content is opt-in");
    for attempt in [first, second] {
        assert_eq!(attempt.kind(), SpanKind::Client);
        assert_eq!((&attempt.trace_id, &attempt.parent_span_id), (&request.trace_id, &call.span_id));
        assert!(attempt.start_time_unix_nano >= call.start_time_unix_nano);
        assert!(attempt.end_time_unix_nano <= call.end_time_unix_nano);
    }
    let status = |span: &Span| span.status.as_ref().map(Status::code);
    assert_eq!(status(first), Some(StatusCode::Error));
    assert_ne!(status(second), Some(StatusCode::Error));
    assert_ne!(status(call), Some(StatusCode::Error));
    says(first, &[("http.response.status_code", "503"), ("error.type", "overloaded")]);
    says(second, &[("http.response.status_code", "200"), ("http.request.resend_count", "1")]);
}
