//! Admission as a whole: every gate, all or nothing, and what a call's end gives back. Times in seconds from a start.

use std::sync::Arc;
use std::time::Duration;

use llm_types::{ChatResponse, Error, ErrorKind, Phase, Secret, Usage};

use super::*;
use crate::Settings;
use crate::clock;

mod limits;

/// One endpoint with its lanes, and a clock.
struct Bench {
    registry: Registry,
    lanes: Lanes,
    start: Instant,
}

fn id() -> EndpointId {
    EndpointId { base_url: "https://host/v1".into(), model: "m".into() }
}

impl Bench {
    fn with(keys: &[&str], set: impl FnOnce(&mut Settings)) -> Self {
        let (registry, start) = (Registry::new(), clock::now());
        let mut settings = Settings::default();
        set(&mut settings);
        let keys: Vec<_> = keys.iter().map(|key| Secret::new(*key)).collect();
        let pool = (!keys.is_empty()).then(|| registry.key_pool("pool", keys).unwrap());
        let lanes = Lanes::new(registry.endpoint(&id(), &settings, start), pool);
        Self { registry, lanes, start }
    }

    fn new(set: impl FnOnce(&mut Settings)) -> Self {
        Self::with(&[], set)
    }

    fn at(&self, secs: f64) -> Instant {
        self.start + Duration::from_secs_f64(secs)
    }

    fn ask(
        &self,
        secs: f64,
        tokens: u64,
        options: AdmitOptions<'_>,
    ) -> Result<LaneGuard, (Option<f64>, Why)> {
        match self.lanes.admit(Cost { tokens }, self.at(secs), &options) {
            Admission::Granted(guard) => Ok(guard),
            Admission::NotBefore { at, why } => {
                Err((at.map(|at| ((at - self.start).as_secs_f64() * 1e6).round() / 1e6), why))
            }
        }
    }

    fn admit(&self, secs: f64) -> Result<LaneGuard, (Option<f64>, Why)> {
        self.ask(secs, 0, AdmitOptions::default())
    }

    /// Admits a call, sends it and lets it fail at once.
    fn fail(&self, secs: f64, error: &Error) {
        let mut guard = self.admit(secs).unwrap();
        guard.sent();
        guard.fail(error, 0, self.at(secs), 0.0);
    }

    fn state(&self, secs: f64) -> EndpointState {
        self.lanes.snapshot(self.at(secs))
    }
}

fn error(kind: ErrorKind) -> Error {
    Error::new(kind, "no")
}

fn refused(retry_after: Option<u64>) -> Error {
    let error = error(ErrorKind::RateLimited).with_status(429);
    retry_after.map_or(error.clone(), |secs| error.with_retry_after(Duration::from_secs(secs)))
}

fn why<T: std::fmt::Debug>(result: Result<T, (Option<f64>, Why)>) -> (Option<f64>, Why) {
    result.unwrap_err()
}

#[test]
fn a_lane_without_limits_admits_everybody() {
    let bench = Bench::new(|_| ());
    let guards: Vec<_> = (0..1000).map(|_| bench.admit(0.0).unwrap()).collect();
    assert_eq!((bench.lanes.endpoint().in_flight(), bench.state(0.0).lanes[0].in_flight), (1000, 1000));
    drop(guards);
    assert_eq!((bench.lanes.endpoint().in_flight(), bench.state(0.0).lanes[0].in_flight), (0, 0));
}

#[test]
fn every_gate_says_why_and_when() {
    let slots = Bench::new(|s| s.max_concurrent_calls = Some(1));
    let guard = slots.admit(0.0).unwrap();
    assert_eq!(why(slots.admit(0.0)), (None, Why::Slots));
    drop(guard);
    assert!(slots.admit(0.0).is_ok());

    let requests = Bench::new(|s| s.requests_per_minute = Some(60));
    drop(requests.admit(0.0).unwrap());
    assert!(requests.admit(0.0).is_ok(), "dropped before it was sent");
    let mut guard = requests.admit(0.0).unwrap();
    guard.sent();
    drop(guard);
    assert_eq!(why(requests.admit(0.25)), (Some(1.0), Why::Requests));

    let tokens = Bench::new(|s| s.tokens_per_minute = Some(6000));
    let mut guard = tokens.ask(0.0, 100, AdmitOptions::default()).unwrap();
    guard.sent();
    assert!(tokens.ask(0.0, 0, AdmitOptions::default()).is_ok());
    // 5901 come in per minute.
    assert_eq!(why(tokens.ask(0.0, 50, AdmitOptions::default())), (Some(0.508_388), Why::Tokens));

    let rest = Bench::new(|_| ());
    rest.fail(0.0, &refused(Some(7)));
    assert_eq!(why(rest.admit(1.0)), (Some(7.0), Why::CoolDown));
    rest.admit(7.0).unwrap().succeed(None, rest.at(7.0));
    assert!(matches!(why(rest.admit(7.0)), (Some(at), Why::Pace) if at > 7.0));

    let breaker = Bench::new(|_| ());
    (0..3).for_each(|_| breaker.fail(0.0, &error(ErrorKind::Server)));
    assert_eq!(why(breaker.admit(1.0)), (Some(60.0), Why::Breaker));

    let crowd = Bench::new(|_| ());
    let guards: Vec<_> = (0..4).map(|_| crowd.admit(0.0).unwrap()).collect();
    crowd.admit(0.0).unwrap().fail(&error(ErrorKind::Overloaded), 0, crowd.at(1.0), 0.0);
    assert_eq!(why(crowd.admit(1.0)), (None, Why::Crowded), "four of five are too many");
    drop(guards);
    assert!(crowd.admit(1.0).is_ok());

    let limits = Bench::new(|_| ());
    let guard = limits.admit(0.0).unwrap();
    let used_up = Limit { limit: Some(60), remaining: Some(0), reset: Some(Duration::from_secs(12)) };
    guard.observe(&Limits { requests: used_up, ..Limits::default() }, limits.at(0.0));
    guard.succeed(None, limits.at(0.0));
    assert_eq!(why(limits.admit(1.0)), (Some(12.0), Why::LimitReached));
    assert!(limits.admit(12.0).is_ok());
}

#[test]
fn limits_in_headers_only_tighten_and_are_believed_for_a_minute() {
    let bench = Bench::new(|_| ());
    let guard = bench.admit(0.0).unwrap();
    let limits = |remaining, secs| {
        let limit = Limit { limit: None, remaining: Some(remaining), reset: Some(Duration::from_secs(secs)) };
        Limits { requests: limit, tokens: Limit::default() }
    };
    guard.observe(&limits(0, 86_400), bench.at(0.0));
    guard.observe(&limits(0, 5), bench.at(0.0));
    guard.observe(&limits(9, 1), bench.at(0.0));
    assert_eq!(why(bench.admit(0.0)), (Some(60.0), Why::LimitReached));
}

#[test]
fn where_one_refuses_nothing_is_taken() {
    let bench = Bench::with(&["a", "b"], |s| {
        s.requests_per_minute = Some(600);
        s.tokens_per_minute = Some(600);
        s.max_concurrent_calls = Some(5);
    });
    let full = bench.state(0.0);
    let mut guard = bench.ask(0.0, 10, AdmitOptions::default()).unwrap();
    guard.sent();
    let before = (bench.state(0.0), bench.lanes.pool().unwrap().snapshot());
    for _ in 0..10 {
        assert!(matches!(bench.ask(0.0, 10, AdmitOptions::default()), Err((Some(_), Why::Tokens))));
    }
    assert_eq!((bench.state(0.0), bench.lanes.pool().unwrap().snapshot()), before);
    assert_eq!((full.requests_available, before.0.requests_available), (Some(10.0), Some(9.0)));
}

#[test]
fn the_date_is_that_of_the_last_gate_and_the_reason_that_of_the_first() {
    let bench = Bench::new(|s| {
        s.requests_per_minute = Some(60);
        s.max_concurrent_calls = Some(3);
    });
    let mut guards: Vec<_> = (0..3).map(|n| bench.admit(f64::from(n)).unwrap()).collect();
    guards.iter_mut().for_each(LaneGuard::sent);
    assert_eq!(why(bench.admit(2.0)), (Some(3.0), Why::Slots), "before that no free slot helps");
    assert_eq!(why(bench.admit(3.0)), (None, Why::Slots));
    for guard in guards {
        guard.fail(&error(ErrorKind::Server), 0, bench.at(2.0), 0.0);
    }
    assert_eq!(why(bench.admit(2.0)), (Some(62.0), Why::Breaker));
}

#[test]
fn a_large_call_is_let_in_when_the_bucket_is_full() {
    let bench = Bench::new(|s| s.tokens_per_minute = Some(60));
    let mut guard = bench.ask(0.0, 30, AdmitOptions::default()).unwrap();
    guard.sent();
    let (at, _) = why(bench.ask(0.0, 100, AdmitOptions::default()));
    assert_eq!(at, Some(30.0));
    assert!(bench.ask(30.0, 100, AdmitOptions::default()).is_ok());
}

#[test]
fn a_reservation_is_settled_by_what_was_used() {
    let partial = ChatResponse {
        usage: Some(Usage { fresh_input: 30, plain_output: 10, ..Usage::default() }),
        ..ChatResponse::default()
    };
    let cut = error(ErrorKind::Truncated).with_status(200).with_partial(partial);
    // How a call ends that reserved 100 of 600 tokens, sent or not, and what is left at once.
    enum End {
        Well(Option<u64>),
        Badly(Error),
        Dropped,
    }
    for (name, sent, end, left) in [
        ("used less", true, End::Well(Some(40)), 560.0),
        ("used more", true, End::Well(Some(250)), 350.0),
        ("not said", true, End::Well(None), 500.0),
        ("an error in place of an answer", true, End::Badly(refused(None)), 600.0),
        ("a cut stream", true, End::Badly(cut), 560.0),
        ("no answer", true, End::Badly(error(ErrorKind::Timeout(Phase::Attempt))), 500.0),
        ("not understood", true, End::Badly(error(ErrorKind::Protocol).with_status(200)), 500.0),
        ("dropped on the way", true, End::Dropped, 500.0),
        ("dropped before", false, End::Dropped, 600.0),
        ("never connected", false, End::Badly(error(ErrorKind::Connection)), 600.0),
    ] {
        let bench = Bench::new(|s| s.tokens_per_minute = Some(36_000));
        let mut guard = bench.ask(0.0, 100, AdmitOptions::default()).unwrap();
        if sent {
            guard.sent();
        }
        match end {
            End::Well(used) => guard.succeed(used, bench.at(0.0)),
            End::Badly(error) => guard.fail(&error, 0, bench.at(0.0), 0.0),
            End::Dropped => drop(guard),
        }
        assert_eq!(bench.state(0.0).tokens_available, Some(left), "{name}");
    }
}

#[test]
fn only_faults_of_the_endpoint_open_the_breaker() {
    for &kind in ErrorKind::ALL {
        let bench = Bench::new(|s| s.failure_threshold = 1);
        let mut guard = bench.admit(0.0).unwrap();
        guard.sent();
        guard.fail(&error(kind), 0, bench.at(0.0), 0.0);
        let open = bench.state(0.0).breaker != BreakerState::Closed;
        assert_eq!(open, kind.verdict().breaker, "{kind:?}");
    }
    let bench = Bench::new(|s| s.failure_threshold = 1);
    drop(bench.admit(0.0).unwrap());
    assert_eq!(bench.state(0.0).breaker, BreakerState::Closed, "a cancelled call is no fault");
}

#[test]
fn a_sole_endpoint_and_a_call_that_retries_are_treated_kindly() {
    let bench = Bench::new(|_| ());
    (0..3).for_each(|_| bench.fail(0.0, &error(ErrorKind::Server)));
    let sole = AdmitOptions { sole: true, ..AdmitOptions::default() };
    let retrying = AdmitOptions { retrying: true, ..AdmitOptions::default() };
    assert_eq!(why(bench.admit(0.5)), (Some(60.0), Why::Breaker));
    assert_eq!(why(bench.ask(0.5, 0, sole)), (Some(1.0), Why::Breaker));
    assert!(bench.ask(0.5, 0, retrying).is_ok());
    let trial = bench.ask(1.0, 0, sole).unwrap();
    assert_eq!(why(bench.ask(1.0, 0, sole)), (Some(61.0), Why::Breaker), "one trial at a time");
    assert_eq!(bench.state(1.0).breaker, BreakerState::HalfOpen);
    drop(trial);
    let trial = bench.ask(1.0, 0, sole).unwrap();
    trial.answering();
    assert!(bench.admit(1.0).is_ok(), "a trial stream that has begun to answer proves the endpoint");
    trial.fail(&error(ErrorKind::Truncated), 0, bench.at(2.0), 0.0);
    assert_eq!(bench.state(2.0).faults_in_row, 1);
}

#[test]
fn a_429_neither_counts_as_a_fault_nor_leaves_a_trial_undecided() {
    let bench = Bench::new(|_| ());
    (0..3).for_each(|_| bench.fail(0.0, &error(ErrorKind::Server)));
    bench.fail(60.0, &refused(Some(5)));
    assert_eq!(bench.state(60.0).breaker, BreakerState::Closed);
    assert_eq!(why(bench.admit(60.0)), (Some(65.0), Why::CoolDown));
}

#[test]
fn overload_with_a_date_rests_the_lane() {
    let bench = Bench::new(|_| ());
    bench.fail(0.0, &error(ErrorKind::Overloaded).with_retry_after(Duration::from_secs(9)));
    assert_eq!(why(bench.admit(0.0)), (Some(9.0), Why::CoolDown));
    assert_eq!(bench.state(1.0).lanes[0].cool_down_ms, Some(8000));
    assert_eq!(bench.state(9.0).lanes[0].cool_down_ms, None);
}

#[test]
fn a_refused_key_is_parked_everywhere_and_a_forbidden_one_for_its_model_at_the_second_request() {
    let bench = Bench::with(&["sk-canary-aaaaaaaa", "sk-canary-bbbbbbbb"], |_| ());
    let first = bench.admit(0.0).unwrap();
    let (key, lane) = (first.key().unwrap().clone(), first.lane());
    let said = Error::new(ErrorKind::Authentication, format!("{} is wrong", key.expose())).with_status(401);
    first.fail(&said, 0, bench.at(0.0), 0.0);
    let second = bench.admit(0.0).unwrap();
    assert_ne!(second.lane(), lane, "a parked key draws nothing");
    // 403: the same request twice says nothing new, another one does; a success in between starts anew.
    let forbidden = error(ErrorKind::PermissionDenied).with_status(403);
    second.fail(&forbidden, 7, bench.at(0.0), 0.0);
    bench.admit(0.0).unwrap().fail(&forbidden, 7, bench.at(0.0), 0.0);
    bench.admit(0.0).unwrap().succeed(None, bench.at(0.0));
    bench.admit(0.0).unwrap().fail(&forbidden, 8, bench.at(0.0), 0.0);
    bench.admit(0.0).unwrap().fail(&forbidden, 9, bench.at(0.0), 0.0);
    let (at, reason) = why(bench.admit(1.0));
    assert_eq!(at, None);
    let Why::KeyParked(parked) = reason else { panic!("{reason:?}") };
    assert_eq!(parked.kind, ErrorKind::PermissionDenied);
    let pool = bench.lanes.pool().unwrap();
    let parked: Vec<_> = pool.snapshot().into_iter().filter_map(|key| key.parked).collect();
    assert_eq!(parked.len(), 1, "the other is parked for this model only");
    assert_eq!(parked[0].reason, "[redacted] is wrong");
    assert!(pool.snapshot().iter().all(|key| key.in_flight == 0));
    // Another model with the same keys still has one.
    let other = EndpointId { model: "n".into(), ..id() };
    let other = bench.registry.endpoint(&other, &Settings::default(), bench.start);
    let other = Lanes::new(other, Some(Arc::clone(pool)));
    assert!(matches!(
        other.admit(Cost::default(), bench.start, &AdmitOptions::default()),
        Admission::Granted(_)
    ));
    bench.registry.reset(bench.at(2.0));
    assert!(bench.admit(2.0).is_ok());
}

#[test]
fn an_endpoint_without_a_key_that_wants_one_is_parked_itself() {
    let bench = Bench::new(|_| ());
    bench.fail(0.0, &error(ErrorKind::Authentication).with_status(401));
    assert!(matches!(why(bench.admit(9e6)), (None, Why::KeyParked(_))));
}

#[test]
fn of_several_keys_the_free_one_is_taken_and_else_the_first_date_told() {
    let bench = Bench::with(&["a", "b", "c"], |_| ());
    bench.fail(0.0, &refused(Some(9)));
    bench.fail(0.0, &refused(Some(5)));
    let guard = bench.admit(0.0).unwrap();
    let pool = bench.lanes.pool().unwrap();
    assert_eq!(pool.snapshot()[2].in_flight, 1);
    guard.fail(&refused(Some(20)), 0, bench.at(0.0), 0.0);
    assert_eq!(why(bench.admit(0.0)), (Some(5.0), Why::CoolDown));
    let lanes = bench.lanes.each();
    let avoid: Vec<_> = lanes.iter().map(Lane::id).collect();
    assert_eq!(
        why(bench.ask(5.0, 0, AdmitOptions { avoid: &avoid, ..AdmitOptions::default() })),
        (None, Why::Avoided)
    );
    let others = AdmitOptions { avoid: &avoid[..2], ..AdmitOptions::default() };
    assert_eq!(why(bench.ask(0.0, 0, others)), (Some(20.0), Why::CoolDown));
    assert_eq!(bench.admit(5.0).unwrap().key().unwrap().expose(), "b");
    // One lane alone.
    let now = bench.at(1.0);
    let _two = [bench.admit(5.0), bench.admit(5.0)];
    assert_eq!(lanes[0].cool_down(now), Some(Duration::from_secs(8)));
    assert_eq!((lanes[0].in_flight(), lanes[1].cool_down(bench.at(5.0))), (0, None));
    assert!(matches!(
        lanes[0].admit(Cost::default(), now, &AdmitOptions::default()),
        Admission::NotBefore { at: Some(at), why: Why::CoolDown } if at == bench.at(9.0)
    ));
    pool.update(vec![Secret::new("d")]).unwrap();
    assert!(matches!(
        lanes[0].admit(Cost::default(), now, &AdmitOptions::default()),
        Admission::NotBefore { at: None, why: Why::KeyRemoved }
    ));
    assert_eq!(bench.admit(1.0).unwrap().key().unwrap().expose(), "d");
}

#[test]
fn state_belongs_to_the_endpoint_and_outlives_a_reload() {
    let bench = Bench::with(&["a"], |_| ());
    bench.fail(0.0, &refused(Some(30)));
    [31.0, 33.0].iter().for_each(|secs| bench.fail(*secs, &error(ErrorKind::Server)));
    let settings = Settings { max_concurrent_calls: Some(1), failure_threshold: 9, ..Settings::default() };
    let again = bench.registry.endpoint(&id(), &settings, bench.at(33.0));
    assert!(Arc::ptr_eq(&again, bench.lanes.endpoint()));
    assert_eq!(bench.state(33.0).faults_in_row, 2);
    let guard = bench.admit(35.0).unwrap();
    assert_eq!(why(bench.admit(40.0)), (None, Why::Slots), "the new limit holds");
    drop((again, guard));
    // The same pool with other keys is a mistake, an update is not.
    let other = vec![Secret::new("z")];
    assert_eq!(bench.registry.key_pool("pool", other.clone()).unwrap_err().kind(), ErrorKind::Config);
    assert!(bench.registry.key_pool("pool", vec![Secret::new("a")]).is_ok());
    bench.registry.update_keys("pool", other).unwrap();
    bench.registry.sweep();
    assert_eq!(bench.state(40.0).lanes.len(), 0, "the old key's lane is gone");
    assert_eq!(bench.registry.snapshot(bench.at(40.0)).len(), 1);
    let Bench { registry, lanes, start } = bench;
    drop(lanes);
    registry.sweep();
    assert_eq!(registry.snapshot(start).len(), 0, "nobody uses it any more");
}

#[test]
fn raising_a_limit_gives_no_second_burst() {
    let bench = Bench::new(|s| s.requests_per_minute = Some(60));
    let mut guard = bench.admit(0.0).unwrap();
    guard.sent();
    let settings = Settings { requests_per_minute: Some(600), ..Settings::default() };
    let _same = bench.registry.endpoint(&id(), &settings, bench.at(0.0));
    assert!(matches!(why(bench.admit(0.0)), (Some(at), Why::Requests) if at < 0.2));
    let _same = bench.registry.endpoint(&id(), &Settings::default(), bench.at(0.0));
    assert!(bench.admit(0.0).is_ok());
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_hears_of_everything_since_before_he_asked() {
    let bench = Bench::with(&["a"], |s| s.max_concurrent_calls = Some(1));
    let mut guard = Some(bench.admit(0.0).unwrap());
    let settings = Settings { max_concurrent_calls: Some(1), failure_threshold: 4, ..Settings::default() };
    for act in 0..4 {
        let released = bench.lanes.released();
        assert_eq!(why(bench.admit(0.0)), (None, Why::Slots));
        match act {
            0 => bench.registry.reset(bench.at(0.0)),
            1 => bench.lanes.pool().unwrap().reset(),
            2 => drop(bench.registry.endpoint(&id(), &settings, bench.at(0.0))),
            _ => drop(guard.take()),
        }
        tokio::time::timeout(Duration::from_secs(1), released).await.expect("woken");
    }
}

#[test]
fn a_guard_may_end_anywhere_and_shows_no_key() {
    fn moves<T: Send + 'static>(_: &T) {}
    let bench = Bench::with(&["sk-canary-0123456789"], |_| ());
    let guard = bench.admit(0.0).unwrap();
    moves(&guard);
    let shown = format!("{guard:?} {:?} {:?} {:?}", bench.lanes, bench.registry, bench.state(0.0));
    assert!(!shown.contains("canary"), "{shown}");
    std::thread::spawn(move || drop(guard)).join().unwrap();
    assert_eq!(bench.lanes.endpoint().in_flight(), 0);
}

#[test]
fn the_snapshot_is_json_of_this_shape() {
    let bench = Bench::with(&["sk-canary-0123456789"], |s| s.requests_per_minute = Some(60));
    let mut guard = bench.admit(0.0).unwrap();
    guard.sent();
    guard.fail(&refused(Some(3)), 0, bench.at(0.0), 0.0);
    assert_eq!(
        serde_json::to_string(&bench.registry.snapshot(bench.at(1.0))).unwrap(),
        r#"[{"endpoint":{"base_url":"https://host/v1","model":"m"},"breaker":"closed","faults_in_row":0,"next_trial_ms":null,"in_flight":0,"max_concurrent_calls":null,"requests_available":1.0,"tokens_available":null,"retries_available":10.0,"lanes":[{"key":"…6789","in_flight":0,"cool_down_ms":2000,"limit_reset_ms":null,"learned_concurrency":null,"learned_per_sec":null,"parked":null}]}]"#
    );
}

#[test]
fn the_retry_budget_is_the_endpoints() {
    let bench = Bench::new(|s| s.retry_budget_per_sec = 0.1);
    let endpoint = bench.lanes.endpoint();
    assert!(endpoint.try_withdraw(bench.at(0.0)));
    assert!(!endpoint.try_withdraw(bench.at(0.0)));
    (0..5).for_each(|_| endpoint.deposit(bench.at(0.0)));
    assert!(endpoint.try_withdraw(bench.at(0.0)));
}

/// Many threads, every way a call can end, small limits: at the end nothing is held.
#[test]
fn nothing_leaks_under_many_threads() {
    let bench = Bench::with(&["a", "b", "c"], |s| s.max_concurrent_calls = Some(5));
    std::thread::scope(|scope| {
        for thread in 0..8u32 {
            let bench = &bench;
            scope.spawn(move || {
                for n in 0..500u32 {
                    let now = f64::from(n) / 10.0;
                    assert!(bench.lanes.endpoint().in_flight() <= 5);
                    let Ok(mut guard) = bench.admit(now) else { continue };
                    match (n + thread) % 5 {
                        0 => guard.fail(&error(ErrorKind::Server), 0, bench.at(now), 0.5),
                        1 => guard.fail(&refused(Some(0)), 0, bench.at(now), 0.5),
                        2 => drop(guard),
                        _ => {
                            guard.sent();
                            guard.succeed(Some(1), bench.at(now));
                        }
                    }
                }
            });
        }
    });
    let state = bench.state(50.0);
    assert_eq!(state.in_flight, 0);
    assert!(state.lanes.iter().all(|lane| lane.in_flight == 0));
    assert!(bench.lanes.pool().unwrap().snapshot().iter().all(|key| key.in_flight == 0));
}
