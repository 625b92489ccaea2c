//! Aggregators over clients of a user's own, on a paused clock.

use std::sync::Arc;
use std::time::Duration;

use llm_client::{Call, ModelClient, ModelClientExt as _, Settings};
use llm_manager::{Aggregator, Cause, Member, Pool, Strategy};
use llm_types::{ChatRequest, ErrorKind, Message};

use crate::scripted::{Reply, Scripted};

fn client(client: &Arc<Scripted>) -> Arc<dyn ModelClient> {
    Arc::clone(client) as Arc<dyn ModelClient>
}

#[tokio::test(start_paused = true)]
async fn the_first_model_that_can_answers() {
    let models = ["a/1", "b/2", "c/3"].map(Scripted::fine);
    let all = models.iter().fold(Aggregator::builder("chain/all"), |all, model| all.model(client(model)));
    let all = all.build().unwrap();
    let hi = || all.generate_response(vec![Message::user("hi")]);
    assert_eq!(hi().await.unwrap(), "a/1");
    models[0].set_script(ErrorKind::QuotaExhausted);
    assert_eq!(hi().await.unwrap(), "b/2");
    assert_eq!(all.models().map(|model| model.id()).collect::<Vec<_>>(), ["a/1", "b/2", "c/3"]);
    assert_eq!(all.health().unwrap().members.len(), 3);
}

impl Scripted {
    fn set_script(&self, kind: ErrorKind) {
        self.next(&[Reply::Fail(kind)]);
    }
}

#[tokio::test(start_paused = true)]
async fn four_failing_models_cost_r_plus_e_requests() {
    let models: Vec<_> =
        ["a/1", "b/2", "c/3", "d/4"].iter().map(|id| Scripted::failing(id, ErrorKind::Server)).collect();
    let settings = Settings { max_retries: 3, ..Settings::default() };
    let builder = Aggregator::builder("chain/all").settings(settings);
    let all = models.iter().fold(builder, |all, model| all.model(client(model))).build().unwrap();
    let error = all.ask("hi").await.unwrap_err();
    let sent: usize = models.iter().map(|model| model.asked()).sum();
    assert!(sent <= 7, "{sent}");
    assert_eq!((error.kind(), error.attempts().len()), (ErrorKind::Server, sent));
    let endpoints: Vec<_> = error.attempts().iter().take(4).map(|a| a.endpoint.as_str()).collect();
    assert_eq!(endpoints, ["a/1", "b/2", "c/3", "d/4"]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_the_request_follows_its_chain_and_no_other() {
    for (cause, kind) in [
        (Cause::ContextLength, ErrorKind::ContextLength),
        (Cause::ContentFilter, ErrorKind::ContentFilter),
        (Cause::InvalidRequest, ErrorKind::InvalidRequest),
        (Cause::Protocol, ErrorKind::Protocol),
        (Cause::TooLarge, ErrorKind::TooLarge),
    ] {
        let first = Scripted::failing("a/first", kind);
        let second = Scripted::fine("b/second");
        let (down, large) = (Scripted::failing("c/down", ErrorKind::Server), Scripted::fine("d/large"));
        let chained = Aggregator::builder("chain/x")
            // The chain's own order counts, not that of the models.
            .on(cause, [client(&down), client(&large)])
            .model(client(&first))
            .model(client(&second))
            .build()
            .unwrap();
        let response = chained.send(ChatRequest::user("hi")).await.unwrap();
        assert_eq!(response.text(), "d/large", "{cause:?}");
        let log: Vec<_> = response.attempts.iter().map(|a| (a.endpoint.as_str(), a.kind)).collect();
        assert_eq!(log, [("a/first", Some(kind)), ("c/down", Some(ErrorKind::Server)), ("d/large", None)]);
        let plain =
            Aggregator::builder("chain/y").model(client(&first)).model(client(&second)).build().unwrap();
        assert_eq!(plain.ask("hi").await.unwrap_err().kind(), kind);
        assert_eq!(second.asked(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_chain_has_an_order_of_its_own() {
    let first = Scripted::failing("a/first", ErrorKind::ContextLength);
    let (second, large) = (Scripted::fine("b/second"), Scripted::failing("c/large", ErrorKind::Server));
    let chained = Aggregator::builder("chain/x")
        .model(client(&first))
        .model(client(&second))
        .on(Cause::ContextLength, [client(&large), client(&second)])
        .build()
        .unwrap();
    let response = chained.send(ChatRequest::user("hi")).await.unwrap();
    let log: Vec<_> = response.attempts.iter().map(|a| a.endpoint.as_str()).collect();
    assert_eq!(log, ["a/first", "c/large", "b/second"]);
}

#[tokio::test(start_paused = true)]
async fn a_chain_is_followed_below_a_pool_too() {
    for depth in 0..3 {
        let short = Scripted::failing("a/short", ErrorKind::ContextLength);
        let (down, large) = (Scripted::failing("b/down", ErrorKind::Server), Scripted::fine("c/large"));
        let other = Scripted::fine("d/other");
        let chained = Aggregator::builder("chain/x")
            .model(client(&short))
            .on(Cause::ContextLength, [client(&short), client(&down), client(&large)])
            .build()
            .unwrap();
        let mut tower: Arc<dyn ModelClient> = Arc::new(chained);
        for floor in 0..depth {
            let pool = Pool::builder(format!("pool/{floor}")).member(Member::new(tower));
            let pool = pool.member(Member::new(client(&other)));
            tower = Arc::new(pool.strategy(Strategy::Fallback).build().unwrap());
        }
        let response = tower.send(ChatRequest::user("hi")).await.unwrap();
        let log: Vec<_> = response.attempts.iter().map(|a| a.endpoint.as_str()).collect();
        assert_eq!(log, ["a/short", "b/down", "c/large"], "{depth} pools above");
        // Where the whole chain fails so, nobody else is asked.
        large.then(Reply::Fail(ErrorKind::ContextLength));
        down.then(Reply::Fail(ErrorKind::ContextLength));
        let error = tower.send(ChatRequest::user("hi")).await.unwrap_err();
        assert_eq!((error.kind(), error.attempts().len()), (ErrorKind::ContextLength, 3), "{depth}");
        assert_eq!(other.asked(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_pool_without_fallback_below_another_stays_with_its_member() {
    let (down, up) = (Scripted::failing("a/down", ErrorKind::Connection), Scripted::fine("b/up"));
    let other = Scripted::failing("c/other", ErrorKind::Connection);
    let inner =
        Pool::builder("pool/inner").member(Member::new(client(&down))).member(Member::new(client(&up)));
    let inner = inner.strategy(Strategy::Fallback).fallback(false).build().unwrap();
    let outer = Pool::builder("pool/outer").member(Member::new(Arc::new(inner)));
    let outer = outer.member(Member::new(client(&other))).strategy(Strategy::Fallback);
    let outer = outer.settings(Settings { max_retries: 2, ..Settings::default() }).build().unwrap();
    let error = outer.ask("hi").await.unwrap_err();
    assert_eq!((error.kind(), up.asked()), (ErrorKind::Connection, 0));
    assert_eq!(down.asked() + other.asked(), 4, "two members and two retries");
}

#[tokio::test(start_paused = true)]
async fn so_it_does_where_its_member_wants_to_be_asked_later_or_with_another_key() {
    let kinds = [
        ErrorKind::RateLimited,
        ErrorKind::QuotaExhausted,
        ErrorKind::Authentication,
        ErrorKind::PermissionDenied,
        ErrorKind::NotFound,
        ErrorKind::Server,
    ];
    for kind in kinds {
        let first = Scripted::failing("a/first", kind);
        let (up, other) = (Scripted::fine("b/up"), Scripted::failing("c/other", ErrorKind::Server));
        let inner =
            Pool::builder("pool/inner").member(Member::new(client(&first))).member(Member::new(client(&up)));
        let inner = inner.strategy(Strategy::Fallback).fallback(false).build().unwrap();
        let outer = Pool::builder("pool/outer").member(Member::new(Arc::new(inner)));
        let outer = outer.member(Member::new(client(&other))).strategy(Strategy::Fallback);
        let outer = outer.settings(Settings { max_retries: 2, ..Settings::default() }).build().unwrap();
        let error = outer.ask("hi").await.unwrap_err();
        assert_eq!(up.asked(), 0, "{kind:?}: {error:?}");
        assert!(first.asked() > 0 && other.asked() > 0, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_not_sent_is_still_anybodys_below_another_pool() {
    let busy = Scripted::new("a/busy", Reply::Later(ErrorKind::Unavailable, Duration::from_secs(1)));
    let free = Scripted::fine("b/free");
    let inner =
        Pool::builder("pool/inner").member(Member::new(client(&busy))).member(Member::new(client(&free)));
    let inner = inner.strategy(Strategy::RoundRobin).fallback(false).build().unwrap();
    let outer = Pool::builder("pool/outer").member(Member::new(Arc::new(inner))).build().unwrap();
    for _ in 0..2 {
        let call = Call::within(Duration::from_secs(60));
        assert_eq!(outer.chat(&ChatRequest::user("hi"), &call).await.unwrap().text(), "b/free");
    }
}

#[tokio::test(start_paused = true)]
async fn models_of_chains_are_not_asked_for_anything_else() {
    let (down, large) = (Scripted::failing("a/down", ErrorKind::Authentication), Scripted::fine("b/large"));
    let chained = Aggregator::builder("chain/x")
        .model(client(&down))
        .on(Cause::ContextLength, [client(&large)])
        .build()
        .unwrap();
    assert_eq!(chained.ask("hi").await.unwrap_err().kind(), ErrorKind::Authentication);
    assert_eq!(large.asked(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_cut_before_it_began_follows_the_chain_for_content() {
    let (strict, other) = (Scripted::new("a/strict", Reply::Filtered), Scripted::fine("b/other"));
    let chained = Aggregator::builder("chain/x")
        .model(client(&strict))
        .on(Cause::ContentFilter, [client(&other)])
        .build()
        .unwrap();
    assert_eq!(chained.ask("hi").await.unwrap(), "b/other");
    let response = chained.stream(ChatRequest::user("hi")).await.unwrap().collect().await.unwrap();
    assert_eq!((response.text().as_str(), response.attempts.len()), ("b/other", 2));
    // Without such a chain it is the model's answer, and says so.
    let plain = Aggregator::builder("chain/y").model(client(&strict)).build().unwrap();
    let response = plain.send(ChatRequest::user("hi")).await.unwrap();
    assert_eq!(response.choices[0].finish_reason, Some(llm_types::FinishReason::ContentFilter));
}

#[tokio::test(start_paused = true)]
async fn a_stream_is_whole_although_it_was_read_ahead() {
    let fine = Scripted::fine("a/fine");
    let chained = Aggregator::builder("chain/x")
        .model(client(&fine))
        .on(Cause::ContentFilter, [client(&Scripted::fine("b/other"))])
        .build()
        .unwrap();
    let response = chained.stream(ChatRequest::user("hi")).await.unwrap().collect().await.unwrap();
    assert_eq!(response.text(), "a/fine");
    assert_eq!(response.usage.map(|usage| usage.total()), Some(5));
    assert_eq!(chained.health().unwrap().metrics.successful_requests, 1);
}

#[tokio::test(start_paused = true)]
async fn a_pool_may_be_a_model() {
    let down = Scripted::failing("a/down", ErrorKind::Connection);
    let (spare, last) = (Scripted::fine("a/spare"), Scripted::fine("b/last"));
    let pool = Pool::builder("pool/a").member(Member::new(client(&down))).member(Member::new(client(&spare)));
    let pool = Arc::new(pool.strategy(llm_manager::Strategy::Fallback).build().unwrap());
    let all = Aggregator::builder("chain/x").model(pool).model(client(&last)).build().unwrap();
    assert_eq!(all.ask("hi").await.unwrap(), "a/spare");
    spare.then(Reply::Fail(ErrorKind::Overloaded));
    assert_eq!(all.ask("hi").await.unwrap(), "b/last");
}

#[tokio::test]
async fn an_older_service_s_configuration_is_an_aggregator() {
    let env = |_: &str| None;
    let sources = llm_manager::config::Sources::new(&env, "/");
    let map = r#"{
        "deepseek": {"models": {"chat": {"api_key": "sk-1", "model": "deepseek-chat"}}},
        "openai": {"models": {"gpt": {"api_key": "sk-2"}, "own": {"api_key": "sk-3", "base_url": "http://127.0.0.1:9/v1"}}}
    }"#;
    let all = Aggregator::initialize(map, &sources).unwrap();
    assert_eq!(all.id(), "chain/all");
    let ids: Vec<_> = all.models().map(|model| model.id().to_owned()).collect();
    assert_eq!(ids, ["deepseek/chat", "openai/gpt", "openai/own"]);
    let settings = r#"{"LLM_MODEL": {"my-deepseek": {"api_key": "sk-1"}, "my-gpt": {"api_key": "sk-2"}, "other": {"api_key": "sk-3"}}}"#;
    let all = Aggregator::initialize_from_settings(settings, &sources).unwrap();
    let ids: Vec<_> = all.models().map(|model| model.id().to_owned()).collect();
    assert_eq!(ids, ["deepseek/my-deepseek", "openai/my-gpt", "openai/other"]);
    assert_eq!(all.health().unwrap().members.len(), 3);
    for (text, place) in [("{\n\"openai\": {}}", "config.json:2"), ("[", "config.json:1")] {
        let error = Aggregator::initialize(text, &sources).unwrap_err();
        assert!(error.to_string().starts_with(place), "{error}");
    }
}

#[test]
fn what_cannot_be_an_aggregator_is_refused() {
    let one = Scripted::fine("a/1");
    let empty: [Arc<dyn ModelClient>; 0] = [];
    for (builder, message) in [
        (Aggregator::builder("chain/x"), "aggregator chain/x: no model stands in its order"),
        (
            Aggregator::builder("chain/x").on(Cause::TooLarge, [client(&one)]),
            "aggregator chain/x: no model stands in its order",
        ),
        (
            Aggregator::builder("chain/x").model(client(&one)).model(client(&one)),
            "aggregator chain/x: a/1 stands in its order twice",
        ),
        (
            Aggregator::builder("chain/x").model(client(&one)).on(Cause::ContextLength, empty),
            "aggregator chain/x: the chain for context_length names no model",
        ),
    ] {
        let error = builder.build().unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Config, message));
    }
    for cause in Cause::ALL {
        assert_eq!(Cause::parse(cause.as_str()), Some(cause));
    }
    assert_eq!(Cause::parse("rate_limited"), None);
}
