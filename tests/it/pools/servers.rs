//! What servers do to a pool, and what its callers notice of it.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use llm_client::{Call, ModelClient as _, ModelClientExt as _, Wait};
use llm_manager::Strategy;
use llm_mock::{ConnectionFault, Fault, MockConfig, MockServer, Reply};
use llm_types::{ChatRequest, ErrorKind, Phase, StreamEvent};

use super::{client, in_order, member, quick};

fn hi() -> ChatRequest {
    ChatRequest::user("hi")
}

#[tokio::test]
async fn no_call_fails_when_a_server_dies_in_the_middle() {
    let doomed = MockConfig::new().delay(Duration::from_millis(20)).start().await.unwrap();
    let (second, third) = (MockServer::start().await, MockServer::start().await);
    let pool = in_order(&[&doomed, &second, &third], &[]).strategy(Strategy::LeastBusy).build().unwrap();
    let calls = async {
        let call = async |n: u64| {
            tokio::time::sleep(Duration::from_millis(n)).await;
            pool.ask("hi").await
        };
        join_all((0..200).map(call)).await
    };
    let death = async {
        doomed.wait_for_requests(5).await;
        doomed.shutdown().await;
    };
    let (answers, ()) = tokio::join!(calls, death);
    let failed: Vec<_> = answers.iter().filter_map(|answer| answer.as_ref().err()).collect();
    assert!(failed.is_empty(), "{} calls failed: {}", failed.len(), failed[0].chain());
    assert!(second.counts().total > 20 && third.counts().total > 20);
}

/// Every way of not answering that is the endpoint's fault: the next one answers, and nobody waits.
#[tokio::test]
async fn whatever_an_endpoint_does_the_next_one_answers() {
    let body = r#"{"error":{"message":"down","type":"server_error"}}"#;
    let good = r#"{"choices":[{"message":{"content":"half an ans"#;
    for (what, reply, kind) in [
        ("500", Reply::error(500), ErrorKind::Server),
        ("503", Reply::error(503), ErrorKind::Overloaded),
        ("429", Reply::error(429).header("retry-after", "30"), ErrorKind::RateLimited),
        ("402", Reply::error(402), ErrorKind::QuotaExhausted),
        ("404", Reply::error(404), ErrorKind::ModelNotFound),
        ("redirect", Reply::redirect(302, "http://127.0.0.1:9/v1"), ErrorKind::Redirect),
        ("closes", Reply::echo().fault(Fault::Close), ErrorKind::Connection),
        ("resets", Reply::echo().fault(Fault::Reset), ErrorKind::Connection),
        ("resets in the body", Reply::body(200, good).reset_at(20), ErrorKind::Connection),
        ("breaks off in the body", Reply::body(200, good).cut_at(20), ErrorKind::Connection),
        ("an error in a 200", Reply::body(200, body), ErrorKind::Server),
        ("hangs", Reply::echo().fault(Fault::Hang), ErrorKind::Timeout(Phase::Attempt)),
    ] {
        let (bad, next) = (MockServer::start().await, MockServer::start().await);
        // One connection that was closed on re-use would be mended below the pool; there is none yet.
        bad.push(reply.times(2));
        let pool = in_order(&[&bad, &next], &[("attempt_timeout_secs", "0.3")]).build().unwrap();
        let response = pool.send(hi()).await.unwrap_or_else(|e| panic!("{what}: {}", e.chain()));
        let log: Vec<_> = response.attempts.iter().map(|attempt| attempt.kind).collect();
        assert_eq!(log, [Some(kind), None], "{what}");
        assert_eq!(next.counts().total, 1, "{what}");
    }
}

#[tokio::test]
async fn a_stream_that_dies_before_content_moves_and_after_it_does_not() {
    let head = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\n";
    let text = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hel\"}}]}\n\n";
    for (sent, reset, moves) in [
        (head.to_owned(), true, true),
        (format!("{head}{text}"), true, false),
        (format!("{head}{text}"), false, false),
    ] {
        let (bad, next) = (MockServer::start().await, MockServer::start().await);
        let whole = format!("{sent}data: {{\"never\":\"sent\"}}\n\n");
        let reply = Reply::sse(whole);
        bad.push(if reset { reply.reset_at(sent.len()) } else { reply.cut_at(sent.len()) });
        let pool = in_order(&[&bad, &next], &[]).build().unwrap();
        let result = match pool.stream(hi()).await {
            Ok(stream) => stream.collect().await,
            Err(error) => Err(error),
        };
        assert_eq!(result.is_ok(), moves, "{sent:?} {result:?}");
        assert_eq!(next.counts().total, u64::from(moves));
        if let Err(error) = result {
            assert_eq!(
                (error.kind(), error.partial().unwrap().text().as_str()),
                (ErrorKind::Truncated, "Hel")
            );
        }
    }
}

/// A server that says nothing is left, although it would answer: it is believed, but no longer than the cap.
#[tokio::test]
async fn a_server_that_lies_about_its_limits_is_left_alone_for_a_while_only() {
    let (liar, other) = (MockServer::start().await, MockServer::start().await);
    let lie = |reset: &str| {
        Reply::echo()
            .header("x-ratelimit-remaining-requests", "0")
            .header("x-ratelimit-reset-requests", reset)
    };
    liar.push(lie("6h0m0s"));
    let pool = in_order(&[&liar, &other], &[("retry_after_cap_secs", "0.4")]).build().unwrap();
    let start = Instant::now();
    for _ in 0..5 {
        pool.ask("hi").await.unwrap();
    }
    if start.elapsed() < Duration::from_millis(300) {
        assert_eq!((liar.counts().total, other.counts().total), (1, 4));
    }
    tokio::time::sleep(Duration::from_millis(500)).await;
    pool.ask("hi").await.unwrap();
    assert_eq!(liar.counts().total, 2, "six hours are not believed");
    // One that says there is plenty, and answers 429, is limited by what it does.
    liar.push(
        Reply::error(429).header("x-ratelimit-remaining-requests", "1000").header("retry-after", "0.3"),
    );
    for _ in 0..5 {
        pool.ask("hi").await.unwrap();
    }
    assert!(liar.counts().total <= 4);
}

#[tokio::test]
async fn a_request_that_is_refused_is_not_carried_round() {
    let (first, second) = (MockServer::start().await, MockServer::start().await);
    first.reply(400, &[], r#"{"error":{"message":"no","type":"invalid_request_error"}}"#);
    let pool = in_order(&[&first, &second], &[]).build().unwrap();
    assert_eq!(pool.ask("hi").await.unwrap_err().kind(), ErrorKind::InvalidRequest);
    assert_eq!(second.counts().total, 0);
}

#[tokio::test]
async fn with_all_servers_down_the_error_names_the_next_trial() {
    let servers = [MockServer::start().await, MockServer::start().await];
    for server in &servers {
        server.break_connections(ConnectionFault::ResetOnAccept, u64::MAX);
    }
    let sets = [("max_retries", "0"), ("recovery_time_secs", "30")];
    let pool = in_order(&[&servers[0], &servers[1]], &sets).build().unwrap();
    for _ in 0..3 {
        assert_eq!(pool.ask("hi").await.unwrap_err().kind(), ErrorKind::Connection);
    }
    let start = Instant::now();
    let error = pool.ask("hi").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("the circuit breaker is open; the next try is due in"), "{error}");
    assert!(error.retry_after().unwrap() <= Duration::from_secs(45), "{error:?}");
    assert!(start.elapsed() < Duration::from_secs(10), "it does not wait for it");
    assert!(error.attempts().is_empty());
}

#[tokio::test]
async fn one_that_is_back_is_used_again_and_tried_by_one_call_first() {
    let (flaky, steady) = (MockServer::start().await, MockServer::start().await);
    flaky.push(Reply::error(500).times(2));
    let sets = [("recovery_time_secs", "0.2"), ("max_retries", "0")];
    let pool = in_order(&[&flaky, &steady], &sets).build().unwrap();
    for _ in 0..6 {
        pool.ask("hi").await.unwrap();
    }
    let failed = flaky.counts().total;
    assert_eq!(failed, 2);
    // It stands behind the other for a while beside the breaker's rest; both are over by then.
    tokio::time::sleep(Duration::from_millis(2500)).await;
    for _ in 0..3 {
        pool.ask("hi").await.unwrap();
    }
    assert!(flaky.counts().total >= failed + 2, "{:?}", flaky.counts());
}

#[tokio::test]
async fn calls_beyond_every_cap_wait_and_none_is_lost() {
    let servers = [
        MockConfig::new().delay(Duration::from_millis(10)).start().await.unwrap(),
        MockConfig::new().delay(Duration::from_millis(10)).start().await.unwrap(),
    ];
    // Caps of the clients themselves, of the members, and of the pool.
    let pool = llm_manager::Pool::builder("pool/caps")
        .settings(quick(&[("max_concurrent_calls", "5")]))
        .member(member(client(&servers[0], &[("max_concurrent_calls", "2")])))
        .member(member(client(&servers[1], &[])).max_concurrent_calls(4))
        .build()
        .unwrap();
    let call = async |streamed: bool| match streamed {
        true => pool.stream(hi()).await.unwrap().collect().await.unwrap(),
        false => pool.send(hi()).await.unwrap(),
    };
    let answers = join_all((0..60).map(|n| call(n % 2 == 0))).await;
    assert!(answers.iter().all(|answer| answer.text() == "hi"));
    let most: Vec<_> = servers.iter().map(|server| server.counts().max_in_flight).collect();
    assert!(most[0] <= 2 && most[1] <= 4, "{most:?}");
    let hasty = Call::default().waiting(Wait::Never);
    assert!(pool.chat(&hi(), &hasty).await.is_ok(), "all seats are free again");
}

#[tokio::test]
async fn a_stream_holds_its_seat_until_it_is_dropped_and_the_server_sees_it() {
    let server = MockConfig::new().tokens_per_sec(20.0).start().await.unwrap();
    let pool = in_order(&[&server], &[]).max_concurrent_calls(1).build().unwrap();
    let long = ChatRequest::user("one two three four five six seven eight nine ten eleven twelve");
    let mut stream = pool.stream(long).await.unwrap();
    assert!(matches!(stream.next().await, Some(Ok(StreamEvent::Start { .. }))));
    let hasty = Call::default().waiting(Wait::Never);
    assert_eq!(pool.chat(&hi(), &hasty).await.unwrap_err().kind(), ErrorKind::Unavailable);
    drop(stream);
    server.wait_for(|counts| counts.cancelled == 1).await;
    pool.chat(&hi(), &hasty).await.unwrap();
}

#[tokio::test]
async fn embeddings_and_lists_go_through_a_pool_too() {
    let (down, up) =
        (MockServer::start().await, MockConfig::new().models(["m1", "m2"]).start().await.unwrap());
    down.push(Reply::error(500).times(100));
    let pool = in_order(&[&down, &up], &[("max_retries", "0")]).build().unwrap();
    let request = llm_types::EmbeddingRequest { input: vec!["a".into(), "b".into()], ..Default::default() };
    let response = pool.embedder().unwrap().embed(&request, &Call::default()).await.unwrap();
    assert_eq!((response.vectors.len(), response.attempts.len()), (2, 2));
    let models = pool.model_lister().unwrap().list_models(&Call::default()).await.unwrap();
    assert_eq!(models.iter().map(|model| model.id.as_str()).collect::<Vec<_>>(), ["m1", "m2"]);
    pool.health_probe().unwrap().probe(&Call::default()).await.unwrap();
}
