//! `--metrics-addr`: the figures of a run as Prometheus reads them, at `/metrics`, for as long as the run goes on.
//!
//! One page, asked for a few times a minute: each connection is answered once and closed.

use std::net::SocketAddr;
use std::time::Duration;

use llm_client::telemetry::names::{Kind, METRICS};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::exit::Exit;
use crate::failure::{Failure, reason};
use crate::term::Term;

/// How often what was measured is folded into the buckets, so that it does not pile up between two visits.
const UPKEEP: Duration = Duration::from_secs(5);
/// How long one visit may take.
const VISIT: Duration = Duration::from_secs(5);
/// The most a request's head may hold.
const MAX_HEAD: usize = 8 * 1024;

/// Serves the figures of this process from now on, and says where. Needs a runtime, and ends with it.
///
/// # Errors
/// The address cannot be listened at.
pub(crate) async fn start(address: SocketAddr, term: &Term) -> Result<(), Failure> {
    let cannot =
        |why: String| Failure::own(Exit::File, "metrics_address", format!("--metrics-addr {address}: {why}"));
    let listener = TcpListener::bind(address).await.map_err(|error| cannot(reason(&error)))?;
    let bound = listener.local_addr().map_err(|error| cannot(reason(&error)))?;
    let handle = record().map_err(cannot)?;
    tokio::spawn(serve(listener, handle));
    term.note(&format!("metrics: http://{bound}/metrics"));
    Ok(())
}

/// Makes the figures of this process go to one recorder, with the conventions' buckets.
fn record() -> Result<PrometheusHandle, String> {
    let mut builder = PrometheusBuilder::new().with_recommended_naming(true);
    for metric in METRICS.iter().filter(|metric| metric.kind == Kind::Histogram) {
        builder = builder
            .set_buckets_for_metric(Matcher::Full(metric.name.to_owned()), metric.buckets)
            .map_err(|error| error.to_string())?;
    }
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    metrics::set_global_recorder(recorder).map_err(|error| error.to_string())?;
    Ok(handle)
}

async fn serve(listener: TcpListener, handle: PrometheusHandle) {
    let mut upkeep = tokio::time::interval(UPKEEP);
    loop {
        tokio::select! {
            _ = upkeep.tick() => handle.run_upkeep(),
            visitor = listener.accept() => match visitor {
                Ok((stream, _)) => {
                    let handle = handle.clone();
                    tokio::spawn(async move {
                        // A visitor that is slow or gone is no business of the run.
                        let _ = tokio::time::timeout(VISIT, answer(stream, &handle)).await;
                    });
                }
                // Out of file descriptors, most likely: the run needs them more.
                Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
            }
        }
    }
}

/// Reads one request and answers it.
async fn answer(mut stream: TcpStream, handle: &PrometheusHandle) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() > MAX_HEAD || stream.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    let reply = reply(&head, || handle.render());
    stream.write_all(reply.as_bytes()).await?;
    stream.shutdown().await
}

fn reply(head: &[u8], render: impl FnOnce() -> String) -> String {
    let line =
        String::from_utf8_lossy(head.split(|byte| *byte == b'\r').next().unwrap_or_default()).into_owned();
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = target.split('?').next().unwrap_or_default();
    let (status, body) = match (method, path) {
        ("GET" | "HEAD", "/metrics") => ("200 OK", render()),
        ("GET" | "HEAD", _) => ("404 Not Found", "the figures are at /metrics\n".to_owned()),
        _ => ("405 Method Not Allowed", "only GET\n".to_owned()),
    };
    let length = body.len();
    let body = if method == "HEAD" { String::new() } else { body };
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: text/plain; version=0.0.4; charset=utf-8\r\n\
         content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_page_of_figures_is_answered() {
        for (head, status, body) in [
            ("GET /metrics HTTP/1.1\r\nhost: x\r\n\r\n", "200", "figures"),
            ("GET /metrics?name=a HTTP/1.1\r\n\r\n", "200", "figures"),
            ("HEAD /metrics HTTP/1.1\r\n\r\n", "200", ""),
            ("GET / HTTP/1.1\r\n\r\n", "404", "the figures are at /metrics\n"),
            ("POST /metrics HTTP/1.1\r\n\r\n", "405", "only GET\n"),
            ("\r\n\r\n", "405", "only GET\n"),
        ] {
            let reply = reply(head.as_bytes(), || "figures".to_owned());
            assert!(reply.starts_with(&format!("HTTP/1.1 {status} ")), "{head}: {reply}");
            assert_eq!(reply.split_once("\r\n\r\n").unwrap().1, body, "{head}");
        }
    }
}
