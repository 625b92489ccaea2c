//! Limits and budgets over real sockets: what several clients share holds for all of them.

use std::sync::Arc;
use std::time::Duration;

use llm_client::lane::{DeclaredLimits, LimitKind, RateLimit, Registry};
use llm_client::{Call, HttpClient, ModelClient, ModelClientExt as _, Settings, Wait, clock};
use llm_manager::{Budget, BudgetLimits, Budgeted, Member, Pool};
use llm_mock::{MockConfig, MockServer, Reply};
use llm_types::{ChatRequest, ErrorKind, Secret};

/// Clients of two models that charge one limit.
fn pair(server: &MockServer, registry: &Arc<Registry>, declared: DeclaredLimits) -> [HttpClient; 2] {
    let limit = registry.limit("account", declared, clock::now()).unwrap();
    ["one", "two"].map(|model| {
        HttpClient::builder(server.base_url(), model)
            .registry(Arc::clone(registry))
            .shared_limit(Arc::clone(&limit))
            .key(Secret::new("sk-0123456789"))
            .build()
            .unwrap()
    })
}

#[tokio::test]
async fn slots_that_clients_share_hold_for_both_and_for_streams() {
    let server = MockConfig::new().delay(Duration::from_millis(20)).start().await.unwrap();
    let registry = Arc::new(Registry::new());
    let slots = DeclaredLimits { max_concurrent_calls: Some(3), ..DeclaredLimits::default() };
    let clients = pair(&server, &registry, slots);
    let calls: Vec<_> = (0..24)
        .map(|n| {
            let client = clients[n % 2].clone();
            tokio::spawn(async move {
                if n % 3 == 0 {
                    let stream = client.stream(ChatRequest::user("hi")).await?;
                    stream.collect().await.map(drop)
                } else {
                    client.ask("hi").await.map(drop)
                }
            })
        })
        .collect();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    // The server may count a call as ended a moment after its client does.
    assert!(server.counts().max_in_flight <= 6, "{:?}", server.counts());
    let held = clients[0].stream(ChatRequest::user("hi")).await.unwrap();
    let status = clients[1].rate_limit_status();
    assert_eq!((status.shared[0].name.as_str(), status.shared[0].in_flight), ("account", 1));
    drop(held);
    assert_eq!(registry.limits(clock::now())[0].in_flight, 0, "a dropped stream gives its slot back");
}

#[tokio::test]
async fn a_bucket_that_clients_share_is_shown_used_up_and_filled_again() {
    let server = MockServer::start().await;
    let registry = Arc::new(Registry::new());
    let hourly = DeclaredLimits { requests: Some(RateLimit::with_burst(1, 2)), ..DeclaredLimits::default() };
    let clients = pair(&server, &registry, hourly);
    for client in &clients {
        client.ask("hi").await.unwrap();
    }
    let call = Call::default().waiting(Wait::Never);
    let error = clients[0].chat(&ChatRequest::user("hi"), &call).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("requests_per_minute of limit `account` is used up"), "{error}");
    let wait = error.retry_after().unwrap();
    assert!(wait > Duration::from_secs(30) && wait <= Duration::from_secs(60), "{wait:?}");
    let json = serde_json::to_string(&clients[1].rate_limit_status()).unwrap();
    assert!(json.contains(r#""id":"account requests","capacity":2"#), "{json}");
    assert!(!json.contains("sk-0123456789"), "{json}");
    let limit = registry.limit("account", hourly, clock::now()).unwrap();
    assert_eq!(
        limit.ready(llm_client::lane::Cost::default(), clock::now()).unwrap_err().kind,
        LimitKind::Requests
    );
    limit.reset(clock::now());
    clients[0].chat(&ChatRequest::user("hi"), &call).await.unwrap();
    assert_eq!(server.counts().total, 3);
}

#[tokio::test]
async fn what_a_keys_bucket_refuses_goes_to_the_next_key() {
    let server = MockServer::start().await;
    let settings =
        Settings { key_requests_per_minute: Some(1), key_requests_burst: Some(1), ..Settings::default() };
    let client = HttpClient::builder(server.base_url(), "m")
        .keys(["sk-aaaaaaaaaaaa", "sk-bbbbbbbbbbbb"].map(Secret::new))
        .settings(settings)
        .build()
        .unwrap();
    let call = Call::default().waiting(Wait::Never);
    let request = ChatRequest::user("hi");
    let ask = || client.chat(&request, &call);
    ask().await.unwrap();
    ask().await.unwrap();
    let error = ask().await.unwrap_err();
    assert!(error.message().contains("key_requests_per_minute is used up on every key"), "{error}");
    client.reset_rate_limit();
    ask().await.unwrap();
    assert_eq!(server.counts().total, 3);
}

#[tokio::test]
async fn budgets_below_a_pool_steer_calls_to_whom_can_still_pay() {
    let usage = r#"{"prompt_tokens": 10, "completion_tokens": 10}"#;
    let start =
        || async { MockConfig::new().default_reply(Reply::text("yes").usage(usage)).start().await.unwrap() };
    let (first, second) = (start().await, start().await);
    let member = |server: &MockServer, budget: &Arc<Budget>| {
        let client = HttpClient::builder(server.base_url(), "m").build().unwrap();
        let builder = Budgeted::builder(Arc::new(client)).price("1/1".parse().unwrap());
        Member::new(Arc::new(builder.budget(Arc::clone(budget)).build().unwrap()) as Arc<dyn ModelClient>)
    };
    let (small, large) =
        (Budget::new("small", BudgetLimits::tokens(60)), Budget::new("large", BudgetLimits::tokens(10_000)));
    let pool = Pool::builder("pool/all")
        .member(member(&first, &small).priority(0))
        .member(member(&second, &large).priority(1))
        .build()
        .unwrap();
    let request = ChatRequest { max_tokens: Some(10), ..ChatRequest::user("0123456789012345678901") };
    for _ in 0..10 {
        pool.chat(&request, &Call::default()).await.unwrap();
    }
    assert_eq!((first.counts().total, second.counts().total), (3, 7));
    assert_eq!((small.spent().tokens, large.spent().tokens), (60, 140));
}
