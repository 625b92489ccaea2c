//! Signals: what is in flight, what is kept, the code.

use std::time::Duration;

use llm_mock::{MockServer, Reply};
use tokio::io::AsyncReadExt as _;

use super::harness::{Llm, finish, signal, until};

#[tokio::test]
async fn a_signal_ends_a_call_with_its_code_and_keeps_what_came() {
    for (name, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let (llm, server) = (Llm::new(), MockServer::start().await);
        let body = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"partial\"}}]}\n\n";
        for json in [false, true] {
            server.push(Reply::sse(body).stall_at(body.len()));
            let url = server.base_url();
            let mut args = vec!["ask", "q", "-m", "x", "--base-url", &url];
            if json {
                args.push("--json");
            }
            let mut child = llm.start(&args);
            let mut seen = String::new();
            if json {
                until(&server, |counts| counts.in_flight == 1).await;
                tokio::time::sleep(Duration::from_millis(200)).await;
            } else {
                let mut first = [0; 7];
                child.stdout.as_mut().unwrap().read_exact(&mut first).await.unwrap();
                seen = String::from_utf8(first.to_vec()).unwrap();
            }
            signal(&child, name);
            let ran = finish(child).await.exits(code);
            if json {
                let json = ran.json();
                assert_eq!(
                    (json["text"].as_str(), json["error"]["kind"].as_str()),
                    (Some("partial"), Some("cancelled"))
                );
            } else {
                assert_eq!((seen + &ran.out, ran.err), ("partial".to_owned(), String::new()));
            }
            until(&server, |counts| counts.in_flight == 0).await;
        }
        assert_eq!(server.counts().cancelled, 2);
    }
}

#[tokio::test]
async fn a_signal_is_heard_while_nobody_reads_the_answer() {
    let (llm, server) = (Llm::new(), MockServer::start().await);
    // More than a pipe holds: the writer is stuck.
    server.push(Reply::text("x".repeat(1 << 20)));
    let mut child = llm.start(&["ask", "q", "-m", "x", "--base-url", &server.base_url()]);
    let out = child.stdout.take().unwrap();
    until(&server, |counts| counts.answered == 1 || counts.in_flight == 1).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    signal(&child, "INT");
    finish(child).await.exits(130);
    drop(out);
}

#[tokio::test]
async fn a_signal_that_the_parent_ignores_stays_ignored() {
    let (llm, server) = (Llm::new(), MockServer::start().await);
    server.push(Reply::text("done").delay(Duration::from_millis(700)));
    let mut shell = tokio::process::Command::new("/bin/sh");
    let command = format!(
        "trap '' HUP; exec {} ask q -m x --base-url {}",
        env!("CARGO_BIN_EXE_llm-under-test"),
        server.base_url()
    );
    shell.args(["-c", &command]);
    llm.settle(&mut shell);
    let child = shell.spawn().unwrap();
    until(&server, |counts| counts.in_flight == 1).await;
    signal(&child, "HUP");
    assert_eq!(finish(child).await.exits(0).out, "done");
}
