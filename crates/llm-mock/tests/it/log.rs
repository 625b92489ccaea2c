//! The request log, in memory and in a file.

use std::sync::Arc;

use http::Method;
use llm_mock::{MockConfig, MockServer, Outcome, Reply};
use serde_json::{Value, json};

use crate::client::{Socket, ask, chat, get, post, send, soon, streamed, user, wire};

#[tokio::test]
async fn a_request_is_kept_as_it_came() {
    let server = MockServer::start().await;
    let body = user("remember me");
    send(&server, post(&server, "/v1/chat/completions?a=b", &body)).await;
    send(&server, get(&server, "/v1/models")).await;
    let [chat, models]: [_; 2] = server.requests().try_into().unwrap();
    assert_eq!((chat.number(), models.number()), (1, 2));
    assert_eq!(
        (chat.method(), chat.path(), chat.query()),
        (&Method::POST, "/v1/chat/completions", Some("a=b"))
    );
    assert_eq!((models.method(), models.query()), (&Method::GET, None));
    assert_eq!((chat.header("Authorization"), chat.key()), (Some("Bearer sk-canary"), Some("sk-canary")));
    assert_eq!((chat.body().as_ref(), chat.json()), (body.to_string().as_bytes(), body));
    assert_eq!((chat.outcome(), chat.status()), (Outcome::Answered, Some(200)));
    assert!(chat.ended().unwrap() >= chat.arrived() && models.since_start() >= chat.since_start());
    assert_eq!(server.requests_to("/v1/models").len(), 1);
    let shown = format!("{chat:?}");
    assert!(
        shown.contains("authorization") && !shown.contains("canary") && !shown.contains("remember"),
        "{shown}"
    );
    server.clear_requests();
    assert!(server.requests().is_empty());
    assert_eq!(server.counts().total, 2);
}

#[tokio::test]
async fn a_proxy_request_has_a_path_too() {
    let server = MockServer::start().await;
    let mut socket = Socket::open(&server).await;
    socket.say(b"GET http://other.example/v1/models?x HTTP/1.1\r\nconnection: close\r\n\r\n").await;
    assert!(soon(socket.rest()).await.0.starts_with("HTTP/1.1 200"));
    let request = server.requests().pop().unwrap();
    assert_eq!((request.path(), request.target()), ("/v1/models", "http://other.example/v1/models?x"));
}

#[tokio::test]
async fn nothing_is_kept_when_the_log_is_off_but_the_numbers() {
    let server = MockConfig::new().log(false).start().await.unwrap();
    for _ in 0..3 {
        ask(&server, "x").await;
    }
    assert!(soon(server.wait_for_requests(3)).await.is_empty());
    let counts = server.counts();
    assert_eq!((counts.total, counts.answered, counts.connections, counts.max_in_flight), (3, 3, 3, 1));
}

#[tokio::test]
async fn a_responder_sees_the_request_even_when_the_log_is_off() {
    let config = MockConfig::new().log(false).respond(|request| {
        let key = request.header("authorization")?.to_owned();
        (request.path() == "/v1/chat/completions").then(|| Reply::text(format!("you said {key}")).status(401))
    });
    let server = config.start().await.unwrap();
    let answer = ask(&server, "x").await;
    assert_eq!(
        (answer.status, &answer.json()["error"]["message"]),
        (401, &json!("you said Bearer sk-canary"))
    );
    assert_eq!(send(&server, get(&server, "/v1/models")).await.status, 200);
}

fn lines(path: &std::path::Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.is_empty() || text.ends_with('\n'));
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn the_log_file_has_a_line_for_each_request_and_no_key() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log.jsonl");
    let server = MockConfig::new().log(false).log_file(&path).start().await.unwrap();
    ask(&server, "private words").await;
    send(&server, get(&server, "/v1/nothing?sk-canary")).await;
    server.push(Reply::echo().delay(std::time::Duration::from_secs(600)));
    let mut socket = Socket::open(&server).await;
    socket.say(&wire(&streamed("x"))).await;
    soon(server.wait_for_requests(3)).await;
    drop(socket);
    soon(server.wait_for(|counts| counts.cancelled == 1)).await;
    let lines = lines(&path);
    let field = |name: &str| lines.iter().map(|line| line[name].clone()).collect::<Vec<_>>();
    assert_eq!(field("n"), [1, 2, 3]);
    assert_eq!(field("path"), ["/v1/chat/completions", "/v1/nothing", "/v1/chat/completions"]);
    assert_eq!(field("method"), ["POST", "GET", "POST"]);
    assert_eq!(field("status"), [json!(200), json!(404), json!(null)]);
    assert_eq!(field("outcome"), ["answered", "answered", "cancelled"]);
    assert_eq!(lines[0]["body_bytes"], user("private words").to_string().len());
    assert_eq!(lines[0]["key"].as_str().unwrap().len(), 8);
    assert_eq!(lines[1]["key"], Value::Null);
    assert!(lines[1]["at_ms"].as_f64() >= lines[0]["at_ms"].as_f64());
    assert!(lines[0]["unix_ms"].as_u64().unwrap() > 1_700_000_000_000);
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(
        !text.contains("canary") && !text.contains("private") && lines[0].get("user").is_none(),
        "{text}"
    );
    #[cfg(unix)]
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&path.metadata().unwrap().permissions()) & 0o777,
        0o600
    );
}

#[tokio::test]
async fn the_log_file_tells_which_row_was_sent_under_the_option_and_is_appended_to() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log.jsonl");
    for _ in 0..2 {
        let server = MockConfig::new().log_file(&path).log_bodies(true).start().await.unwrap();
        ask(&server, "row 1\n\"quoted\"").await;
        let mut broken = chat(&server, &json!(null));
        broken.body_mut().push('{');
        send(&server, broken).await;
        soon(server.shutdown()).await;
    }
    let users: Vec<_> = lines(&path).iter().map(|line| line.get("user").cloned()).collect();
    let told = Some(json!("row 1\n\"quoted\""));
    assert_eq!(users, [told.clone(), None, told, None]);
}

/// Whoever has read an answer finds its end in the numbers, the log and the file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_end_is_noted_before_the_client_can_see_it() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log.jsonl");
    let server = Arc::new(MockConfig::new().log_file(&path).start().await.unwrap());
    for n in 1..=200 {
        ask(&server, "x").await;
        let counts = server.counts();
        assert_eq!((counts.answered, counts.in_flight), (n, 0));
        assert_eq!(lines(&path).len() as u64, n);
    }
}
