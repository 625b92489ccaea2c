//! Keys that are refused: the next key, then the next endpoint.

use std::collections::BTreeMap;
use std::sync::Arc;

use llm_client::{ModelClient as _, ModelClientExt as _};
use llm_manager::Aggregator;
use llm_mock::{MockConfig, MockServer};
use llm_types::{ChatRequest, ErrorKind, Secret};

use super::{client, in_order, member, quick};

fn by_key(server: &MockServer) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for request in server.requests() {
        *counts.entry(request.key().unwrap_or_default().to_owned()).or_default() += 1;
    }
    counts
}

#[tokio::test]
async fn a_dead_key_is_parked_alone_and_costs_no_call() {
    let server = MockConfig::new().dead_key("sk-dead-0000").start().await.unwrap();
    let spare = MockServer::start().await;
    let keys = ["sk-dead-0000", "sk-live-0001", "sk-live-0002"].map(Secret::new);
    let pool = llm_manager::Pool::builder("pool/keys")
        .strategy(llm_manager::Strategy::Fallback)
        .settings(quick(&[]))
        .member(member(client(&server, &[]).keys(keys)))
        .member(member(client(&spare, &[])))
        .build()
        .unwrap();
    for _ in 0..30 {
        let response = pool.send(ChatRequest::user("hi")).await.unwrap();
        assert!(response.attempts.len() <= 2);
    }
    let counts = by_key(&server);
    assert_eq!(counts["sk-dead-0000"], 1, "{counts:?}");
    assert!(counts["sk-live-0001"] >= 10 && counts["sk-live-0002"] >= 10, "{counts:?}");
    assert_eq!(spare.counts().total, 0, "the next key comes before the next endpoint");
    let health = pool.health().unwrap();
    assert!(health.members[0].healthy);
    assert!(!serde_json::to_string(&health).unwrap().contains("sk-live-0001"));
}

#[tokio::test]
async fn with_every_key_refused_the_next_endpoint_answers_and_the_cause_is_told_when_there_is_none() {
    let config = || MockConfig::new().dead_key("sk-dead-0000").no_quota_key("sk-poor-0000");
    let (server, spare) = (config().start().await.unwrap(), MockServer::start().await);
    let keys = || ["sk-dead-0000", "sk-poor-0000"].map(Secret::new);
    let broke = || Arc::new(client(&server, &[]).keys(keys()).build().unwrap());
    let models = Aggregator::builder("chain/keys")
        .settings(quick(&[]))
        .model(broke())
        .model(Arc::new(client(&spare, &[]).build().unwrap()))
        .build()
        .unwrap();
    let response = models.send(ChatRequest::user("hi")).await.unwrap();
    let log: Vec<_> = response.attempts.iter().map(|attempt| attempt.kind).collect();
    assert_eq!(log, [Some(ErrorKind::Authentication), Some(ErrorKind::QuotaExhausted), None]);
    // Both keys are parked now: nobody asks again.
    models.ask("hi").await.unwrap();
    assert_eq!((server.counts().total, spare.counts().total), (2, 2));

    let alone = Aggregator::builder("chain/alone").settings(quick(&[])).model(broke()).build().unwrap();
    let error = alone.ask("hi").await.unwrap_err();
    assert_eq!(error.attempts().len(), 2);
    let again = alone.ask("hi").await.unwrap_err();
    assert!(matches!(again.kind(), ErrorKind::Authentication | ErrorKind::QuotaExhausted), "{again:?}");
    assert!(again.attempts().is_empty());
}

#[tokio::test]
async fn a_limit_of_one_key_leaves_the_others_at_work() {
    let server = MockConfig::new()
        .rate(llm_mock::RateLimit::bucket(2, std::time::Duration::from_secs(60)).per_key())
        .start()
        .await
        .unwrap();
    let spare = MockServer::start().await;
    let keys = ["sk-one-00001", "sk-two-00002"].map(Secret::new);
    let pool = in_order(&[], &[])
        .member(member(client(&server, &[]).keys(keys)))
        .member(member(client(&spare, &[])))
        .build()
        .unwrap();
    for _ in 0..10 {
        pool.ask("hi").await.unwrap();
    }
    let refused = server.counts().status(429);
    assert!(refused <= 2, "{refused} refusals: each key learns its limit by itself");
    assert_eq!(server.counts().status(200), 4);
}
