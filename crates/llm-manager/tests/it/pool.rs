//! Pools over clients of a user's own, on a paused clock.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use llm_client::{Call, ModelClient, ModelClientExt as _, Settings, Wait};
use llm_manager::{
    Budget, BudgetLimits, Budgeted, Member, Pool, PoolBuilder, Strategy, create_router_from_urls,
};
use llm_types::{ChatRequest, ErrorKind, StreamEvent};

use crate::scripted::{Reply, Scripted};

const MS: Duration = Duration::from_millis(1);
const SEC: Duration = Duration::from_secs(1);

fn pool(members: &[&Arc<Scripted>]) -> PoolBuilder {
    Pool::builder("pool/test").members(members.iter().map(|client| member(client)))
}

fn member(client: &Arc<Scripted>) -> Member {
    Member::new(Arc::clone(client) as Arc<dyn ModelClient>)
}

fn with_retries(max_retries: u32) -> Settings {
    Settings { max_retries, ..Settings::default() }
}

#[tokio::test(start_paused = true)]
async fn a_call_goes_on_at_once_where_a_member_is_down() {
    let (down, up) = (Scripted::failing("a/down", ErrorKind::Connection), Scripted::fine("a/up"));
    let pool = pool(&[&down, &up]).strategy(Strategy::Fallback).build().unwrap();
    let start = tokio::time::Instant::now();
    let response = pool.send(ChatRequest::user("hi")).await.unwrap();
    assert_eq!(response.text(), "a/up");
    assert_eq!(start.elapsed(), 20 * MS, "nobody waits while another member is free");
    let log: Vec<_> = response.attempts.iter().map(|a| (a.endpoint.as_str(), a.kind)).collect();
    assert_eq!(log, [("a/down", Some(ErrorKind::Connection)), ("a/up", None)]);
    assert_eq!(response.timing.total, 20 * MS);
}

#[tokio::test(start_paused = true)]
async fn a_call_makes_at_most_r_plus_e_requests() {
    for kind in [ErrorKind::Connection, ErrorKind::Server, ErrorKind::Overloaded, ErrorKind::RateLimited] {
        for retries in [0, 1, 3] {
            let members: Vec<_> = (0..4).map(|n| Scripted::failing(&format!("a/{n}"), kind)).collect();
            let pool =
                pool(&members.iter().collect::<Vec<_>>()).settings(with_retries(retries)).build().unwrap();
            let error = pool.ask("hi").await.unwrap_err();
            let sent: usize = members.iter().map(|member| member.asked()).sum();
            assert_eq!(error.kind(), kind);
            assert_eq!(sent, 4 + retries as usize, "{kind:?} with {retries} retries");
            assert_eq!(error.attempts().len(), sent);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_without_an_account_of_its_own_has_a_retry_budget_all_the_same() {
    for (percent, requests) in [(0, 1), (100, 2), (200, 3)] {
        let bad = Scripted::failing("a/bad", ErrorKind::Server);
        let settings =
            Settings { retry_budget_percent: percent, retry_budget_per_sec: 0.0, ..with_retries(9) };
        let pool = pool(&[&bad]).settings(settings).build().unwrap();
        pool.ask("hi").await.unwrap_err();
        assert_eq!(bad.asked(), requests, "{percent} %");
    }
}

#[tokio::test(start_paused = true)]
async fn a_caller_s_own_fault_is_asked_once() {
    for kind in [ErrorKind::InvalidRequest, ErrorKind::ContextLength, ErrorKind::ContentFilter] {
        let (one, two) = (Scripted::failing("a/1", kind), Scripted::failing("a/2", kind));
        let pool = pool(&[&one, &two]).build().unwrap();
        assert_eq!(pool.ask("hi").await.unwrap_err().kind(), kind);
        assert_eq!(one.asked() + two.asked(), 1);
        // It says nothing against the member.
        assert!(pool.health().unwrap().healthy);
    }
}

#[tokio::test(start_paused = true)]
async fn without_fallback_a_call_stays_with_its_member() {
    let (down, up) = (Scripted::failing("a/down", ErrorKind::Connection), Scripted::fine("a/up"));
    let pool = pool(&[&down, &up])
        .strategy(Strategy::RoundRobin)
        .fallback(false)
        .settings(with_retries(1))
        .build()
        .unwrap();
    assert_eq!(pool.ask("hi").await.unwrap_err().kind(), ErrorKind::Connection);
    assert_eq!((down.asked(), up.asked()), (2, 0));
    assert_eq!(pool.ask("hi").await.unwrap(), "a/up");
}

#[tokio::test(start_paused = true)]
async fn a_fast_failer_attracts_next_to_nothing() {
    for strategy in Strategy::ALL {
        let bad = Scripted::failing("a/bad", ErrorKind::NotFound).takes(MS);
        let good = [Scripted::fine("a/1").takes(50 * MS), Scripted::fine("a/2").takes(50 * MS)];
        let pool = pool(&[&bad, &good[0], &good[1]]).strategy(strategy).build().unwrap();
        let call = async |number: u32| {
            tokio::time::sleep(number * 5 * MS).await;
            pool.ask("hi").await.unwrap();
        };
        futures_util::future::join_all((0..1000).map(call)).await;
        let share = bad.asked();
        assert!(share < 20 + 50, "{strategy}: {share} of 1000 calls went to the failer");
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_recovers_is_used_again() {
    let (flaky, steady) = (Scripted::failing("a/flaky", ErrorKind::Server), Scripted::fine("a/steady"));
    let pool = pool(&[&flaky, &steady]).strategy(Strategy::RoundRobin).build().unwrap();
    for _ in 0..50 {
        pool.ask("hi").await.unwrap();
    }
    let before = flaky.asked();
    assert!(before <= 5, "{before}");
    flaky.then(Reply::Answer);
    // The breaker rests a minute, give or take; two rests are more than enough.
    tokio::time::sleep(120 * SEC).await;
    for _ in 0..50 {
        pool.ask("hi").await.unwrap();
    }
    assert!(flaky.asked() >= before + 20, "{} calls after it recovered", flaky.asked() - before);
}

#[tokio::test(start_paused = true)]
async fn calls_shift_away_from_a_slow_member() {
    let (slow, quick) = (Scripted::fine("a/slow").takes(2 * SEC), Scripted::fine("a/quick").takes(50 * MS));
    let pool = pool(&[&slow, &quick]).strategy(Strategy::Latency).build().unwrap();
    let call = async |number: u32| {
        tokio::time::sleep(number * 20 * MS).await;
        pool.ask("hi").await.unwrap();
    };
    futures_util::future::join_all((0..500).map(call)).await;
    assert!(slow.asked() < 25, "{} of 500 calls went to the slow one", slow.asked());
}

#[tokio::test(start_paused = true)]
async fn members_of_a_higher_tier_wait_for_the_first_to_be_full() {
    let (first, second) = (Scripted::fine("a/first").takes(SEC), Scripted::fine("a/second").takes(SEC));
    let pool = Pool::builder("pool/tiers")
        .member(member(&second).priority(1))
        .member(member(&first).max_concurrent_calls(2))
        .build()
        .unwrap();
    let calls = (0..3).map(|_| pool.ask("hi"));
    futures_util::future::join_all(calls).await;
    assert_eq!((first.asked(), second.asked()), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn caps_hold_for_streams_until_their_last_event() {
    let (one, two) = (Scripted::fine("a/1"), Scripted::fine("a/2"));
    let pool = pool(&[&one, &two]).max_concurrent_calls(2).build().unwrap();
    let mut first = pool.stream(ChatRequest::user("hi")).await.unwrap();
    let second = pool.stream(ChatRequest::user("hi")).await.unwrap();
    let now = || async { pool.chat(&ChatRequest::user("hi"), &Call::default().waiting(Wait::Never)).await };
    let error = now().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("max_concurrent_calls of limit `pool/test` is used up"), "{error}");
    // Read to its end: there is room.
    while let Some(event) = first.next().await {
        if matches!(event.unwrap(), StreamEvent::End) {
            break;
        }
    }
    now().await.unwrap();
    // Dropped: there is room for one more.
    drop(second);
    let third = pool.stream(ChatRequest::user("hi")).await.unwrap();
    now().await.unwrap();
    drop((first, third));
    assert_eq!(pool.health().unwrap().in_flight, 0);
}

#[tokio::test(start_paused = true)]
async fn calls_wait_their_turn_under_a_cap() {
    let one = Scripted::fine("a/1").takes(SEC);
    let pool = Pool::builder("pool/narrow").member(member(&one).max_concurrent_calls(1)).build().unwrap();
    let start = tokio::time::Instant::now();
    let answers = futures_util::future::join_all((0..3).map(|_| pool.ask("hi"))).await;
    assert!(answers.iter().all(Result::is_ok));
    assert_eq!(start.elapsed(), 3 * SEC);
    assert_eq!(one.most_in_flight.load(Ordering::Relaxed), 1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_breaks_after_content_touches_no_other_member() {
    let (broken, other) = (Scripted::new("a/broken", Reply::Broken), Scripted::fine("a/other"));
    let pool = pool(&[&broken, &other]).strategy(Strategy::Fallback).build().unwrap();
    let stream = pool.stream(ChatRequest::user("hi")).await.unwrap();
    let error = stream.collect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Truncated);
    assert_eq!(error.partial().unwrap().text(), "a/broken");
    assert_eq!(other.asked(), 0);
    assert_eq!(pool.health().unwrap().metrics.failed_requests, 1);
}

#[tokio::test(start_paused = true)]
async fn a_stream_fails_over_before_its_first_content() {
    let (down, up) = (Scripted::failing("a/down", ErrorKind::Overloaded), Scripted::fine("a/up"));
    let pool = pool(&[&down, &up]).strategy(Strategy::Fallback).build().unwrap();
    let response = pool.stream(ChatRequest::user("hi")).await.unwrap().collect().await.unwrap();
    assert_eq!(response.text(), "a/up");
    assert_eq!(response.attempts.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn with_every_breaker_open_the_call_fails_at_once_and_says_when() {
    let members = [Scripted::failing("a/1", ErrorKind::Server), Scripted::failing("a/2", ErrorKind::Server)];
    let pool = pool(&[&members[0], &members[1]]).settings(with_retries(0)).build().unwrap();
    for _ in 0..3 {
        pool.ask("hi").await.unwrap_err();
    }
    let start = tokio::time::Instant::now();
    let error = pool.ask("hi").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert_eq!(start.elapsed(), Duration::ZERO);
    let wait = error.retry_after().unwrap();
    assert!(wait > 20 * SEC && wait <= 90 * SEC, "{wait:?}");
    assert_eq!(members[0].asked() + members[1].asked(), 6);
    let health = pool.health().unwrap();
    assert!(!health.healthy && health.members.len() == 2, "{health:?}");
    assert_eq!((error.provider(), error.model()), (Some("pool"), Some("test")));
    // One that is told to wait does, and gets its answer.
    members.iter().for_each(|member| member.then(Reply::Answer));
    let patient = Call::default().waiting(Wait::Patient);
    assert!(pool.chat(&ChatRequest::user("hi"), &patient).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_member_that_names_a_date_is_left_alone_until_then() {
    let later = Scripted::new("a/later", Reply::Later(ErrorKind::Unavailable, 5 * SEC));
    let other = Scripted::fine("a/other");
    let pool =
        pool(&[&later, &other]).strategy(Strategy::Fallback).settings(with_retries(0)).build().unwrap();
    for _ in 0..10 {
        assert_eq!(pool.ask("hi").await.unwrap(), "a/other");
    }
    assert_eq!(later.asked(), 1);
    later.then(Reply::Answer);
    tokio::time::sleep(5 * SEC).await;
    assert_eq!(pool.ask("hi").await.unwrap(), "a/later");
}

#[tokio::test(start_paused = true)]
async fn a_limited_member_rests_while_the_other_works() {
    let limited = Scripted::new("a/limited", Reply::Later(ErrorKind::RateLimited, 10 * SEC));
    let other = Scripted::fine("a/other");
    let pool = pool(&[&limited, &other]).build().unwrap();
    for _ in 0..100 {
        pool.ask("hi").await.unwrap();
    }
    assert_eq!(limited.asked(), 1);
    assert!(pool.health().unwrap().members[0].healthy, "a limit is no fault");
}

#[tokio::test(start_paused = true)]
async fn pools_within_pools_keep_the_bound_and_find_the_one_that_works() {
    let dead: Vec<_> = (0..3).map(|n| Scripted::failing(&format!("a/{n}"), ErrorKind::Connection)).collect();
    let up = Scripted::fine("b/up");
    let inner = |id: &str, members: &[&Arc<Scripted>]| {
        let inner = Pool::builder(id).members(members.iter().map(|client| member(client)));
        Member::new(Arc::new(inner.strategy(Strategy::Fallback).build().unwrap()))
    };
    let outer = Pool::builder("pool/outer")
        .strategy(Strategy::Fallback)
        .settings(with_retries(0))
        .member(inner("pool/dead", &[&dead[0], &dead[1], &dead[2]]))
        .member(inner("pool/up", &[&up]))
        .build()
        .unwrap();
    let response = outer.send(ChatRequest::user("hi")).await.unwrap();
    assert_eq!(response.text(), "b/up");
    let total: usize = dead.iter().map(|client| client.asked()).sum::<usize>() + up.asked();
    assert!(total <= 4, "{total} requests to 4 endpoints without retries");
    assert_eq!(response.attempts.len(), total);
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_is_switched_off_or_closed_takes_no_call() {
    let one = Scripted::fine("a/1");
    let pool = pool(&[&one]).build().unwrap();
    assert!(pool.set_available(false) && !pool.is_available());
    let error = pool.ask("hi").await.unwrap_err();
    assert_eq!((error.kind(), one.asked()), (ErrorKind::Unavailable, 0));
    assert!(error.message().contains("the pool is switched off"), "{error}");
    assert_eq!(pool.health().unwrap().reason.as_deref(), Some("the pool is switched off (set_available)"));
    pool.set_available(true);
    pool.ask("hi").await.unwrap();
    pool.close().await.unwrap();
    pool.close().await.unwrap();
    assert_eq!(pool.ask("hi").await.unwrap_err().kind(), ErrorKind::Unavailable);
}

#[tokio::test(start_paused = true)]
async fn the_deadline_holds_over_all_members() {
    let slow = [Scripted::fine("a/1").takes(60 * SEC), Scripted::fine("a/2").takes(60 * SEC)];
    let settings = Settings { deadline: Some(3 * SEC), ..Settings::default() };
    let pool = pool(&[&slow[0], &slow[1]]).settings(settings).build().unwrap();
    let start = tokio::time::Instant::now();
    let error = pool.ask("hi").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout(llm_types::Phase::Call));
    assert_eq!(start.elapsed(), 3 * SEC);
    assert_eq!(slow[0].in_flight.load(Ordering::Relaxed) + slow[1].in_flight.load(Ordering::Relaxed), 0);
}

#[test]
fn what_cannot_be_a_pool_is_refused() {
    let one = Scripted::fine("a/1");
    for (builder, message) in [
        (Pool::builder("pool/x"), "pool pool/x: it has no members"),
        (
            Pool::builder("x").member(member(&one)),
            "\"x\" cannot name a client: it has to be `provider/model`",
        ),
        (
            Pool::builder("pool/x").member(member(&one).weight(0)),
            "pool pool/x: a/1 has weight 0; a weight is from 1 up",
        ),
        (
            Pool::builder("pool/x").member(member(&one)).member(member(&one)),
            "pool pool/x: a/1 is a member twice",
        ),
    ] {
        let error = builder.build().unwrap_err();
        assert_eq!((error.kind(), error.to_string().as_str()), (ErrorKind::Config, message));
    }
}

#[tokio::test]
async fn a_router_is_a_pool_of_addresses() {
    let urls = ["http://127.0.0.1:9001/v1", "http://127.0.0.1:9002/v1"];
    let router = create_router_from_urls(&urls, "m", None, Strategy::RoundRobin).unwrap();
    let members: Vec<_> = router.health().unwrap().members.into_iter().map(|m| m.endpoint.unwrap()).collect();
    assert_eq!((router.id(), members), ("router/m", urls.map(str::to_owned).to_vec()));
    for (urls, message) in [
        (&[][..], "has no members"),
        (&["http://127.0.0.1:1/v1", "http://127.0.0.1:1/v1/"][..], "stands in the list twice"),
        (&["nonsense"][..], "nonsense"),
    ] {
        let error = create_router_from_urls(urls, "m", None, Strategy::Random).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_date_is_waited_for_although_another_member_is_only_busy() {
    let (limited, busy) = (Scripted::fine("a/limited"), Scripted::fine("a/busy").takes(600 * SEC));
    let pool = Pool::builder("pool/dates")
        .strategy(Strategy::Fallback)
        .member(member(&limited).requests_per_minute(60))
        .member(member(&busy).max_concurrent_calls(1))
        .build()
        .unwrap();
    // The minute's requests go to the first, one long call to the second.
    let many = async { futures_util::future::join_all((0..60).map(|_| pool.ask("hi"))).await };
    let more = async {
        tokio::time::sleep(MS).await;
        let long = pool.ask("long");
        let waiting = async {
            tokio::time::sleep(MS).await;
            let start = tokio::time::Instant::now();
            pool.ask("hi").await.unwrap();
            start.elapsed()
        };
        tokio::join!(long, waiting).1
    };
    let (answers, waited) = tokio::join!(many, more);
    assert!(answers.iter().all(Result::is_ok));
    assert!(waited < 100 * SEC, "{waited:?}: the first member has room again after a minute");
}

#[tokio::test(start_paused = true)]
async fn a_call_of_which_a_part_is_left_keeps_nobody_from_the_rest() {
    let narrow = Scripted::fine("a/narrow").takes(60 * SEC);
    let free = Scripted::fine("a/free");
    let pool = Pool::builder("pool/part")
        .strategy(Strategy::Fallback)
        .fallback(false)
        .member(member(&narrow).max_concurrent_calls(1))
        .member(member(&free))
        .build()
        .unwrap();
    narrow.next(&[Reply::Fail(ErrorKind::Server)]);
    // The first call fails at the narrow member and has to go there again, where the second sits for a minute by then.
    let first = pool.ask("first");
    let second = async {
        tokio::time::sleep(60 * SEC + MS).await;
        pool.ask("second").await
    };
    let third = async {
        tokio::time::sleep(65 * SEC).await;
        let start = tokio::time::Instant::now();
        pool.ask("third").await.unwrap();
        start.elapsed()
    };
    let (_, _, waited) = tokio::join!(first, second, third);
    assert!(waited < SEC, "{waited:?}: a free member is asked at once");
}

#[tokio::test(start_paused = true)]
async fn a_hasty_call_does_not_stand_behind_a_patient_one() {
    let down = Scripted::failing("a/down", ErrorKind::Server);
    let pool = pool(&[&down]).settings(with_retries(0)).build().unwrap();
    for _ in 0..3 {
        pool.ask("hi").await.unwrap_err();
    }
    let request = ChatRequest::user("hi");
    let patient = Call::default().waiting(Wait::Patient);
    let brief = async {
        tokio::time::sleep(MS).await;
        let start = tokio::time::Instant::now();
        let error = pool.ask("hi").await.unwrap_err();
        (error.kind(), start.elapsed())
    };
    let (_, _, brief) = tokio::join!(pool.chat(&request, &patient), pool.chat(&request, &patient), brief);
    assert_eq!(brief, (ErrorKind::Unavailable, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_member_with_too_little_left_is_passed_over() {
    let (poor, rich) = (Scripted::fine("a/poor"), Scripted::fine("a/rich"));
    let budgeted = |client: &Arc<Scripted>, tokens| {
        let client = Arc::clone(client) as Arc<dyn ModelClient>;
        let budget = Budget::new("its own", BudgetLimits::tokens(tokens));
        Member::new(Arc::new(Budgeted::builder(client).budget(budget).build().unwrap()))
    };
    let request = ChatRequest { max_tokens: Some(50), ..ChatRequest::user("hi") };
    let members = [budgeted(&poor, 20), budgeted(&rich, 1000)];
    let pool = Pool::builder("pool/test").members(members).strategy(Strategy::Fallback).build().unwrap();
    let response = pool.send(request.clone()).await.unwrap();
    assert_eq!((response.text().as_str(), poor.asked()), ("a/rich", 0));
    assert_eq!(response.attempts.len(), 1, "what was not sent is no attempt");
    // Where nobody can pay for it, that is what the caller is told.
    let members = [budgeted(&poor, 20), budgeted(&rich, 30)];
    let pool = Pool::builder("pool/test").members(members).build().unwrap();
    let error = pool.send(request).await.unwrap_err();
    assert_eq!((error.kind(), poor.asked(), rich.asked()), (ErrorKind::Budget, 0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_member_with_too_little_left_is_passed_over_below_another_pool_too() {
    for fallback in [true, false] {
        let (poor, rich) = (Scripted::fine("a/poor"), Scripted::fine("a/rich"));
        let budgeted = |client: &Arc<Scripted>, tokens| {
            let client = Arc::clone(client) as Arc<dyn ModelClient>;
            let budget = Budget::new("its own", BudgetLimits::tokens(tokens));
            Member::new(Arc::new(Budgeted::builder(client).budget(budget).build().unwrap()))
        };
        let request = ChatRequest { max_tokens: Some(50), ..ChatRequest::user("hi") };
        let members = [budgeted(&poor, 20), budgeted(&rich, 1000)];
        let inner = Pool::builder("pool/inner").members(members).strategy(Strategy::Fallback);
        let inner = inner.fallback(fallback).build().unwrap();
        let outer = Pool::builder("pool/outer").member(Member::new(Arc::new(inner))).build().unwrap();
        let answer = outer.send(request.clone()).await.map(|response| response.text());
        assert_eq!(answer.unwrap(), "a/rich", "fallback: {fallback}");
    }
}
