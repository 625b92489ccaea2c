//! `llm batch --metrics-addr`: figures in Prometheus' own words, while the batch runs.

use std::time::Duration;

use llm_mock::{MockConfig, Reply};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpStream;

use super::harness::{Llm, until};

/// One visit over a plain socket.
async fn fetch(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n").as_bytes()).await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    reply
}

#[tokio::test]
async fn a_running_batch_shows_its_figures_to_prometheus() {
    // The fifth row never ends.
    let server = MockConfig::new()
        .respond(|request| {
            let stuck = String::from_utf8_lossy(request.body()).contains("stuck");
            stuck.then(|| Reply::echo().delay(Duration::from_secs(600)))
        })
        .start()
        .await
        .unwrap();
    server.push(Reply::error(503));
    let llm = Llm::new()
        .variable("LLM_RS_BASE_URL", &server.base_url())
        .variable("LLM_RS_MODEL", "m")
        .variable("LLM_RS_API_KEY", "sk-canary-0123456789");
    let rows: Vec<_> = ["canary 1", "canary 2", "canary 3", "stuck"]
        .iter()
        .map(|q| format!("{{\"q\":\"{q}\"}}\n"))
        .collect();
    llm.write("in.jsonl", &rows.concat());
    let mut child =
        llm.start(&["batch", "in.jsonl", "-c", "1", "--metrics-addr", "127.0.0.1:0", "--progress", "none"]);
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let address = loop {
        let line = lines.next_line().await.unwrap().expect("it says where the figures are");
        if let Some((_, url)) = line.split_once("http://") {
            break url.trim_end_matches("/metrics").to_owned();
        }
    };
    until(&server, |counts| counts.total == 5).await;
    let page = fetch(&address, "/metrics").await;
    child.kill().await.unwrap();

    assert!(page.starts_with("HTTP/1.1 200 OK\r\n") && page.contains("text/plain; version=0.0.4"), "{page}");
    let value = |name: &str, labels: &[&str]| -> f64 {
        let fits = |line: &&str| line.starts_with(name) && labels.iter().all(|label| line.contains(label));
        let found: Vec<&str> = page.lines().filter(fits).collect();
        assert_eq!(found.len(), 1, "one {name} with {labels:?}, not {found:#?} of {page}");
        found[0].rsplit_once(' ').unwrap().1.parse().unwrap()
    };
    let model = r#"gen_ai_request_model="m""#;
    let chat = r#"gen_ai_operation_name="chat""#;
    assert_eq!(value("llm_batch_rows_total{", &[r#"status="success""#]), 3.0);
    assert_eq!(value("llm_requests_in_flight{", &[model, chat]), 1.0);
    assert_eq!(value("llm_attempts_total{", &[r#"reason="first""#, r#"error_type="overloaded""#]), 1.0);
    assert_eq!(value("llm_attempts_total{", &[r#"reason="overloaded""#]), 1.0);
    assert_eq!(value("gen_ai_client_operation_duration_seconds_count{", &[model, chat]), 3.0);
    assert_eq!(value("gen_ai_client_operation_duration_seconds_bucket{", &[r#"le="+Inf""#]), 3.0);
    assert_eq!(value("gen_ai_client_operation_duration_seconds_bucket{", &[r#"le="81.92""#]), 3.0);
    assert_eq!(value("gen_ai_client_token_usage_count{", &[r#"gen_ai_token_type="input""#]), 3.0);
    assert_eq!(value("llm_rate_limit_wait_seconds_count{", &[model]), 1.0);
    assert_eq!(value("llm_endpoint_state{", &[r#"state="closed""#]), 1.0);
    assert_eq!(value("llm_pool_connections{", &[r#"state="in_use""#]), 1.0);
    assert!(page.contains("# TYPE gen_ai_client_operation_duration_seconds histogram"), "{page}");
    assert!(!page.contains("canary"), "{page}");
}

#[tokio::test]
async fn an_address_that_is_taken_is_refused_before_anything_is_sent() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let llm = Llm::new();
    llm.write("in.jsonl", "{\"q\":\"hi\"}\n");
    let args = ["batch", "in.jsonl", "-m", "mock/echo", "--metrics-addr", &address];
    llm.run(&args).await.exits(8).says(&["--metrics-addr", &address]);
    assert!(!llm.path("in.output.jsonl").exists());
    llm.run(&["batch", "in.jsonl", "-m", "mock/echo", "--metrics-addr", "nowhere"]).await.exits(2);
}
