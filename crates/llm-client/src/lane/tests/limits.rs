//! Declared limits of keys and those that several endpoints share, and how all limits are shown and forgotten.

use super::*;

fn model(bench: &Bench, model: &str, limits: &[&Arc<SharedLimit>]) -> Lanes {
    let id = EndpointId { model: model.into(), ..id() };
    let endpoint = bench.registry.endpoint(&id, &Settings::default(), bench.start);
    Lanes::new(endpoint, bench.lanes.pool().cloned())
        .with_limits(limits.iter().map(|limit| Arc::clone(limit)))
}

fn slots(most: u32) -> DeclaredLimits {
    DeclaredLimits { max_concurrent_calls: Some(most), ..DeclaredLimits::default() }
}

fn admit(lanes: &Lanes, tokens: u64, now: Instant) -> Result<LaneGuard, (Option<Instant>, Why)> {
    match lanes.admit(Cost { tokens }, now, &AdmitOptions::default()) {
        Admission::Granted(guard) => Ok(guard),
        Admission::NotBefore { at, why } => Err((at, why)),
    }
}

fn shared(limit: &str, kind: LimitKind) -> Why {
    Why::SharedLimit { limit: limit.into(), kind }
}

#[test]
fn each_key_has_a_bucket_and_slots_of_its_own() {
    let bench = Bench::with(&["a", "b"], |s| {
        s.key_requests_per_minute = Some(60);
        s.key_requests_burst = Some(2);
        s.key_max_concurrent_calls = Some(3);
    });
    let mut keys = Vec::new();
    for _ in 0..4 {
        let mut guard = bench.admit(0.0).unwrap();
        guard.sent();
        keys.push(guard.key().unwrap().expose().to_owned());
        guard.succeed(None, bench.at(0.0));
    }
    keys.sort();
    assert_eq!(keys, ["a", "a", "b", "b"]);
    assert_eq!(why(bench.admit(0.5)), (Some(1.0), Why::KeyLimit(LimitKind::Requests)));
    // Slots: three a key, as soon as the buckets allow.
    let held: Vec<_> = (2..8).map(|n| bench.admit(f64::from(n) * 10.0).unwrap()).collect();
    assert_eq!(why(bench.admit(600.0)), (None, Why::KeyLimit(LimitKind::Slots)));
    drop(held);
    assert!(bench.admit(600.0).is_ok());
}

#[test]
fn a_keys_tokens_are_settled_and_its_limits_follow_a_reload() {
    let bench = Bench::with(&["a"], |s| {
        s.key_tokens_per_minute = Some(60);
        s.key_tokens_burst = Some(100);
    });
    let mut guard = bench.ask(0.0, 100, AdmitOptions::default()).unwrap();
    guard.sent();
    guard.succeed(Some(30), bench.at(0.0));
    assert!(bench.ask(0.0, 70, AdmitOptions::default()).is_ok());
    assert_eq!(
        why(bench.ask(0.0, 71, AdmitOptions::default())),
        (Some(1.0), Why::KeyLimit(LimitKind::Tokens))
    );
    let _same = bench.registry.endpoint(&id(), &Settings::default(), bench.at(0.0));
    assert!(bench.ask(0.0, 1_000_000, AdmitOptions::default()).is_ok());
}

#[test]
fn a_shared_limit_holds_over_all_who_charge_it() {
    let bench = Bench::with(&["a", "b"], |_| ());
    let now = bench.start;
    let team = bench.registry.limit("team", slots(2), now).unwrap();
    let [first, second] = ["x", "y"].map(|name| model(&bench, name, &[&team, &team]));
    let one = admit(&first, 0, now).unwrap();
    let _two = admit(&second, 0, now).unwrap();
    assert_eq!(team.in_flight(), 2, "named twice, charged once");
    for lanes in [&first, &second] {
        assert_eq!(admit(lanes, 0, now).unwrap_err(), (None, shared("team", LimitKind::Slots)));
    }
    let options = AdmitOptions::default();
    assert_eq!(first.check(Cost::default(), now, &options), Err((None, shared("team", LimitKind::Slots))));
    assert!(bench.admit(0.0).is_ok(), "who does not charge it is free");
    drop(one);
    assert!(admit(&second, 0, now).is_ok());
    // One lane alone charges it too.
    let held = admit(&first, 0, now).unwrap();
    let lane = first.each()[0].clone();
    assert!(matches!(
        lane.admit(Cost::default(), now, &AdmitOptions::default()),
        Admission::NotBefore { at: None, why: Why::SharedLimit { .. } }
    ));
    drop(held);
}

#[test]
fn every_end_of_a_call_settles_the_shared_limit_like_its_own() {
    let declared = DeclaredLimits {
        requests: Some(RateLimit::with_burst(60, 10)),
        tokens: Some(RateLimit::with_burst(60, 600)),
        ..DeclaredLimits::default()
    };
    let now = clock::now();
    type End = fn(LaneGuard, Instant);
    let ends: [(&str, bool, End, (f64, f64)); 6] = [
        ("used less", true, |guard, now| guard.succeed(Some(40), now), (9.0, 560.0)),
        ("not said", true, |guard, now| guard.succeed(None, now), (9.0, 500.0)),
        ("refused", true, |guard, now| guard.fail(&refused(None), 0, now, 0.0), (9.0, 600.0)),
        (
            "never connected",
            false,
            |guard, now| guard.fail(&error(ErrorKind::Connection), 0, now, 0.0),
            (10.0, 600.0),
        ),
        ("dropped on the way", true, |guard, _| drop(guard), (9.0, 500.0)),
        ("dropped before", false, |guard, _| drop(guard), (10.0, 600.0)),
    ];
    for (name, sent, end, left) in ends {
        let bench = Bench::new(|_| ());
        let limit = SharedLimit::new("team", declared, now);
        let mut guard = admit(&model(&bench, "x", &[&limit]), 100, now).unwrap();
        if sent {
            guard.sent();
        }
        end(guard, now);
        let state = limit.state(now);
        assert_eq!((state.requests.unwrap().available, state.tokens.unwrap().available), left, "{name}");
        assert_eq!(state.in_flight, 0, "{name}");
    }
}

#[test]
fn where_a_shared_limit_refuses_nothing_is_taken_anywhere() {
    let bench = Bench::with(&["a"], |_| ());
    let now = bench.start;
    let (wide, narrow) = (SharedLimit::new("wide", slots(9), now), SharedLimit::new("narrow", slots(1), now));
    let lanes = model(&bench, "x", &[&wide, &narrow]);
    let _held = admit(&lanes, 0, now).unwrap();
    let before = (lanes.snapshot(now), bench.lanes.pool().unwrap().snapshot(), wide.state(now));
    assert_eq!(admit(&lanes, 0, now).unwrap_err(), (None, shared("narrow", LimitKind::Slots)));
    assert_eq!((lanes.snapshot(now), bench.lanes.pool().unwrap().snapshot(), wide.state(now)), before);
}

#[test]
fn declaring_a_limit_again_with_other_values_is_an_error_and_an_update_is_not() {
    let bench = Bench::new(|_| ());
    let now = bench.start;
    let team = bench.registry.limit("team", slots(1), now).unwrap();
    assert!(Arc::ptr_eq(&team, &bench.registry.limit("team", slots(1), now).unwrap()));
    let error = bench.registry.limit("team", slots(2), now).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    assert!(error.message().contains("limit `team` is in use with other values"), "{error}");
    let _held = team.try_take(Cost::default(), now).unwrap();
    assert!(Arc::ptr_eq(&team, &bench.registry.update_limit("team", slots(2), now)));
    assert!(team.try_take(Cost::default(), now).is_ok(), "the new value holds at once");
    assert_eq!(bench.registry.limits(now).len(), 1);
    drop((team, _held));
    bench.registry.sweep();
    assert_eq!(bench.registry.limits(now), [], "nobody charges it any more");
}

#[tokio::test(start_paused = true)]
async fn a_call_that_waits_for_a_shared_limit_hears_of_its_release() {
    let bench = Bench::with(&["a"], |_| ());
    let now = bench.start;
    let team = bench.registry.limit("team", slots(1), now).unwrap();
    let [first, second] = ["x", "y"].map(|name| model(&bench, name, &[&team]));
    let guard = admit(&first, 0, now).unwrap();
    let released = second.released();
    assert!(admit(&second, 0, now).is_err());
    // To be refused wakes nobody, or two who wait would wake each other for ever.
    let quiet = second.released();
    assert!(admit(&second, 0, now).is_err());
    assert!(tokio::time::timeout(Duration::from_secs(1), quiet).await.is_err());
    drop(guard);
    tokio::time::timeout(Duration::from_secs(1), released).await.expect("woken");
}

/// Two limits, charged by endpoints in opposite order by many threads: nobody stands still, nothing is exceeded or leaks.
#[test]
fn shared_limits_hold_under_many_threads() {
    let bench = Bench::new(|_| ());
    let now = bench.start;
    let limits = [SharedLimit::new("one", slots(3), now), SharedLimit::new("two", slots(5), now)];
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (bench, limits) = (&bench, &limits);
            scope.spawn(move || {
                let [one, two] = limits;
                let order = if thread % 2 == 0 { [one, two] } else { [two, one] };
                let lanes = model(bench, &format!("m{thread}"), &order);
                for _ in 0..500 {
                    let held: Vec<_> = (0..2).filter_map(|_| admit(&lanes, 0, now).ok()).collect();
                    assert!(one.in_flight() <= 3 && two.in_flight() <= 5);
                    drop(held);
                }
            });
        }
    });
    assert_eq!(limits.map(|limit| limit.in_flight()), [0, 0]);
}

#[test]
fn what_the_server_says_is_shown_until_it_expires_and_never_loosens() {
    let bench = Bench::new(|s| s.requests_per_minute = Some(60));
    let mut guard = bench.admit(0.0).unwrap();
    guard.sent();
    let secs = Duration::from_secs;
    let said = Limits {
        requests: Limit { limit: Some(1_000_000), remaining: Some(999_999), reset: Some(secs(5)) },
        tokens: Limit { limit: Some(9), remaining: None, reset: None },
    };
    guard.observe(&said, bench.at(0.0));
    guard.succeed(None, bench.at(0.0));
    assert_eq!(why(bench.admit(0.5)), (Some(1.0), Why::Requests), "a declared limit is not loosened");
    let server = |at| bench.lanes.rate_limit_status(bench.at(at)).lanes[0].server.clone();
    let [requests, tokens] = server(1.0)[..] else { panic!("{:?}", server(1.0)) };
    assert_eq!(
        (requests.limit, requests.remaining, requests.expires_ms),
        (Some(1_000_000), Some(999_999), 4000)
    );
    assert_eq!((tokens.kind, tokens.expires_ms), (LimitKind::Tokens, 59_000), "no reset: a minute");
    assert_eq!(server(5.0), [ServerLimit { expires_ms: 55_000, ..tokens }]);
    assert_eq!(server(60.0), []);
}

#[test]
fn the_status_is_json_of_this_shape_and_shows_no_key() {
    let bench = Bench::with(&["sk-canary-0123456789"], |s| {
        s.requests_per_minute = Some(60);
        s.requests_burst = Some(10);
    });
    let team = SharedLimit::new("team", slots(2), bench.start);
    let lanes = bench.lanes.clone().with_limits([team]);
    let mut guard = admit(&lanes, 0, bench.start).unwrap();
    guard.sent();
    guard.fail(&refused(Some(3)), 0, bench.at(0.0), 0.0);
    let json = serde_json::to_value(lanes.rate_limit_status(bench.at(0.5))).unwrap();
    let key = &json["keys"][0]["id"];
    let expected = serde_json::json!({
        "endpoint": {"base_url": "https://host/v1", "model": "m"},
        "limits": {
            "name": "https://host/v1 m", "in_flight": 0, "max_concurrent_calls": null,
            "requests": {
                "id": "https://host/v1 m requests", "capacity": 10, "refill_rate": 1.0, "available": 9.5,
                "last_refill_ms": 500,
            },
            "tokens": null,
        },
        "key_pool": "pool",
        "keys": [{"id": key, "hint": "…6789", "in_flight": 0, "parked": null}],
        "lanes": [{
            "key": "…6789",
            "limits": {
                "name": "https://host/v1 m …6789", "in_flight": 0, "max_concurrent_calls": null, "requests": null,
                "tokens": null,
            },
            "cool_down_ms": 2500, "limit_reset_ms": null, "learned_concurrency": null, "learned_per_sec": null,
            "server": [],
        }],
        "shared": [
            {"name": "team", "in_flight": 0, "max_concurrent_calls": 2, "requests": null, "tokens": null},
        ],
    });
    assert_eq!(json, expected);
}

#[test]
fn resetting_the_rate_limits_leaves_breaker_and_parked_keys_alone() {
    let bench = Bench::with(&["a", "b"], |s| {
        s.requests_per_minute = Some(60);
        s.key_requests_per_minute = Some(60);
        s.failure_threshold = 2;
    });
    bench.fail(0.0, &error(ErrorKind::Authentication).with_status(401));
    bench.fail(1.0, &refused(Some(50)));
    assert_eq!(why(bench.admit(1.0)), (Some(51.0), Why::CoolDown));
    bench.lanes.reset_rate_limit(bench.at(1.0));
    let held = bench.admit(1.0).unwrap();
    bench.lanes.reset_rate_limit(bench.at(1.0));
    assert_eq!(bench.lanes.endpoint().in_flight(), 1, "calls in flight stay counted");
    drop(held);
    let parked = bench.lanes.pool().unwrap().snapshot().iter().filter(|key| key.parked.is_some()).count();
    assert_eq!(parked, 1);
    for at in [1.0, 2.0] {
        bench.fail(at, &error(ErrorKind::Server));
    }
    bench.lanes.reset_rate_limit(bench.at(2.0));
    assert!(matches!(why(bench.admit(2.0)), (Some(_), Why::Breaker)));
}
