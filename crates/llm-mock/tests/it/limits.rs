//! Refusals, over the wire.

use std::time::{Duration, Instant};

use llm_mock::{Limits, MockConfig, MockServer, RateLimit, Reply, RetryAfter};
use serde_json::json;

use crate::client::{ask, chat, get, send, soon, user};

#[tokio::test]
async fn a_rate_above_the_limit_gets_429_and_no_scripted_reply() {
    let hour = Duration::from_secs(3600);
    let rate = RateLimit::bucket(2, hour).retry_after(RetryAfter::Fixed("7".to_owned()));
    let server = MockConfig::new().rate(rate).start().await.unwrap();
    server.push(Reply::text("scripted").times(3));
    let statuses = [ask(&server, "x").await.status, ask(&server, "x").await.status];
    assert_eq!(statuses, [200, 200]);
    let refused = ask(&server, "x").await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("7")));
    assert_eq!(refused.json()["error"]["code"], "rate_limit_exceeded");
    assert_eq!(refused.json()["error"]["type"], "requests");
    // What is not a call is not counted.
    assert_eq!(send(&server, get(&server, "/v1/models")).await.status, 200);
    assert_eq!(server.unused_replies(), 0);
    server.set_limits(|limits| limits.rate = None);
    assert_eq!(ask(&server, "x").await.status, 200);
    assert_eq!((server.counts().status(429), server.counts().status(200)), (1, 4));
}

#[tokio::test]
async fn keys_can_be_dead_empty_required_and_die_later() {
    let server = MockConfig::new().require_key("sk-canary").start().await.unwrap();
    assert_eq!(ask(&server, "x").await.status, 200);
    let mut request = chat(&server, &user("x"));
    request.headers_mut().clear();
    let keyless = send(&server, request).await;
    assert_eq!((keyless.status, &keyless.json()["error"]["code"]), (401, &json!(null)));
    let mut request = chat(&server, &user("x"));
    request.headers_mut().insert("authorization", "Bearer sk-other".parse().unwrap());
    let wrong = send(&server, request).await;
    assert_eq!((wrong.status, &wrong.json()["error"]["code"]), (401, &json!("invalid_api_key")));
    assert!(!wrong.text().contains("sk-other"));

    server.set_limits(|limits| limits.no_quota_keys.insert("sk-canary".to_owned()));
    let empty = ask(&server, "x").await;
    assert_eq!((empty.status, &empty.json()["error"]["code"]), (429, &json!("insufficient_quota")));
    server.set_limits(|limits| limits.dead_keys.insert("sk-canary".to_owned()));
    assert_eq!(ask(&server, "x").await.status, 401);
}

#[tokio::test]
async fn more_than_may_be_in_flight_is_refused_at_once() {
    let limits = Limits { max_in_flight: Some(1), ..Limits::default() };
    let server = MockConfig::new().limits(limits).start().await.unwrap();
    server.push(Reply::echo().delay(Duration::from_secs(600)));
    let (server, request) = (std::sync::Arc::new(server), user("x"));
    let waiting = tokio::spawn({
        let server = server.clone();
        async move { send(&server, chat(&server, &request)).await }
    });
    soon(server.wait_for_requests(1)).await;
    assert_eq!(ask(&server, "x").await.status, 429);
    waiting.abort();
    soon(server.wait_for(|counts| counts.in_flight == 0)).await;
    assert_eq!(ask(&server, "x").await.status, 200);
}

#[tokio::test]
async fn errors_and_delays_are_random_in_their_bounds() {
    let delay = (Duration::from_millis(1), Duration::from_millis(8));
    let config = MockConfig::new().error_rate(0.5).seed(3).delay_between(delay.0, delay.1);
    let server = config.start().await.unwrap();
    let mut statuses = Vec::new();
    for _ in 0..30 {
        let started = Instant::now();
        let answer = ask(&server, "x").await;
        assert!(started.elapsed() >= delay.0);
        statuses.push(answer.status);
        if answer.status != 200 {
            assert_eq!(answer.json()["error"]["type"], "server_error");
        }
    }
    assert!(statuses.contains(&200) && statuses.contains(&500), "{statuses:?}");
    assert_eq!(server.counts().status(500) + server.counts().status(200), 30);
}

#[tokio::test]
async fn settings_out_of_range_do_not_start() {
    let refused = async |config: MockConfig| config.start().await.unwrap_err().to_string();
    assert_eq!(refused(MockConfig::new().error_rate(1.5)).await, "error_rate: 1.5 is not within 0 to 1");
    assert_eq!(refused(MockConfig::new().tokens_per_sec(0.0)).await, "tokens_per_sec: 0 is not above 0");
    let (long, short) = (Duration::from_secs(2), Duration::from_secs(1));
    assert_eq!(refused(MockConfig::new().delay_between(long, short)).await, "delay: 2s is above 1s");
    let taken = MockServer::start().await;
    let message = refused(MockConfig::new().port(taken.address().port())).await;
    assert_eq!(message, format!("cannot listen on {}", taken.address()));
    let message = refused(MockConfig::new().log_file("/nowhere/at/all")).await;
    assert_eq!(message, "cannot open /nowhere/at/all");
}
