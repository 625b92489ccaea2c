//! The driver's rules as written tables: no clock runs here.

use super::*;
use crate::clock;

const SEC: Duration = Duration::from_secs(1);

fn rules(endpoints: &[usize]) -> Rules {
    Rules {
        endpoints: endpoints.to_vec(),
        reserve: Vec::new(),
        max_retries: 3,
        retry_after_cap: 60 * SEC,
        wait: Wait::Brief,
        deadline: None,
    }
}

fn error(kind: ErrorKind) -> Error {
    Error::new(kind, "test")
}

/// Starts a request on lane 0, lets it fail, and tells which lanes may be tried now and when the call would go on.
fn after_one(rules: &Rules, error: &Error) -> (Vec<bool>, Step) {
    let now = clock::now();
    let mut progress = Progress::new(rules);
    progress.started(rules, 0);
    progress.failed(rules, 0, error, 2 * SEC, now);
    let open = progress.open(rules, now);
    let open = (0..rules.endpoints.len()).map(|lane| open.contains(&lane)).collect();
    (open, progress.step(rules, None, now))
}

fn waits(now_step: Step) -> bool {
    matches!(now_step, Step::Wait { .. })
}

#[test]
fn a_failure_opens_other_lanes_by_the_table() {
    use ErrorKind as K;
    // Lane 0 and 1 are two keys of one endpoint, lane 2 is another endpoint.
    let rules = rules(&[0, 0, 1]);
    for (kind, open) in [
        (K::Connection, [false, false, true]),
        (K::Server, [false, false, true]),
        (K::Timeout(llm_types::Phase::Attempt), [false, false, true]),
        (K::RateLimited, [false, true, true]),
        (K::QuotaExhausted, [false, true, true]),
        (K::Authentication, [false, true, true]),
        (K::NotFound, [false, false, true]),
        (K::Tls, [false, false, true]),
        (K::InvalidRequest, [false, false, false]),
        (K::ContentFilter, [false, false, false]),
        (K::Protocol, [false, false, false]),
        (K::Truncated, [false, false, false]),
    ] {
        assert_eq!(after_one(&rules, &error(kind)).0, open, "{kind:?}");
    }
}

#[test]
fn with_one_lane_only_passing_faults_are_waited_out_in_place() {
    use ErrorKind as K;
    let rules = rules(&[0]);
    for (kind, again) in [
        (K::Connection, true),
        (K::Overloaded, true),
        (K::RateLimited, true),
        (K::Timeout(llm_types::Phase::Idle), true),
        (K::Authentication, false),
        (K::NotFound, false),
        (K::InvalidRequest, false),
        (K::Tls, false),
        (K::Budget, false),
    ] {
        assert_eq!(waits(after_one(&rules, &error(kind)).1), again, "{kind:?}");
    }
}

#[test]
fn the_servers_word_outranks_the_table() {
    let rules = rules(&[0]);
    assert!(!waits(after_one(&rules, &error(ErrorKind::Server).with_should_retry(false)).1));
    assert!(waits(after_one(&rules, &error(ErrorKind::InvalidRequest).with_should_retry(true)).1));
}

#[test]
fn a_retry_after_replaces_back_off_and_above_the_cap_is_not_waited_for() {
    let rules = rules(&[0]);
    let now = clock::now();
    for (asked, wait) in [(Some(7 * SEC), Some(7 * SEC)), (None, Some(2 * SEC)), (Some(61 * SEC), None)] {
        let mut failure = error(ErrorKind::RateLimited);
        if let Some(asked) = asked {
            failure = failure.with_retry_after(asked);
        }
        let mut progress = Progress::new(&rules);
        progress.started(&rules, 0);
        progress.failed(&rules, 0, &failure, 2 * SEC, now);
        let expected = wait.map_or(Step::GiveUp { next: None }, |wait| Step::Wait {
            until: Some(now + wait),
            backoff: true,
        });
        assert_eq!(progress.step(&rules, None, now), expected, "{asked:?}");
    }
}

#[test]
fn a_time_out_is_tried_once_more_and_never_twice() {
    let rules = rules(&[0]);
    let mut now = clock::now();
    let mut progress = Progress::new(&rules);
    for round in 0..2 {
        assert!(progress.may_try(&rules, 0, now), "round {round}");
        progress.started(&rules, 0);
        progress.failed(&rules, 0, &error(ErrorKind::Timeout(llm_types::Phase::FirstByte)), SEC, now);
        now += 2 * SEC;
    }
    assert!(!progress.may_try(&rules, 0, now));
}

#[test]
fn a_call_makes_at_most_r_plus_e_requests() {
    // Three endpoints, one of them with two keys, everything fails for ever.
    let rules = rules(&[0, 0, 1, 2]);
    let mut now = clock::now();
    let mut progress = Progress::new(&rules);
    let mut sent = 0;
    loop {
        if let Some(lane) = (0..4).find(|lane| progress.may_try(&rules, *lane, now)) {
            progress.started(&rules, lane);
            sent += 1;
            progress.failed(&rules, lane, &error(ErrorKind::Server), SEC, now);
            continue;
        }
        match progress.step(&rules, None, now) {
            Step::Wait { until: Some(at), .. } => now = at,
            Step::Wait { until: None, .. } => panic!("nothing will wake this call"),
            Step::GiveUp { .. } => break,
        }
    }
    assert_eq!(sent, 3 + 3);
    assert_eq!(progress.retries(), 3);
}

#[test]
fn back_off_never_sleeps_past_the_deadline() {
    let now = clock::now();
    let rules = Rules { deadline: Some(now + SEC), ..rules(&[0]) };
    let mut progress = Progress::new(&rules);
    progress.started(&rules, 0);
    progress.failed(&rules, 0, &error(ErrorKind::Server), 2 * SEC, now);
    assert_eq!(progress.step(&rules, None, now), Step::GiveUp { next: Some(now + 2 * SEC) });
}

#[test]
fn what_is_waited_for_depends_on_the_block_and_on_patience() {
    let now = clock::now();
    let turn = |at| NotBefore { at, block: Block::Turn, reason: "limit".into() };
    let rest = NotBefore { at: Some(now + 9 * SEC), block: Block::Rest, reason: "rest".into() };
    let parked =
        NotBefore { at: None, block: Block::Parked(ErrorKind::Authentication), reason: "parked".into() };
    let until = |at| Step::Wait { until: at, backoff: false };
    let give_up = |next| Step::GiveUp { next };
    for (wait, refusal, expected) in [
        (Wait::Brief, turn(Some(now + SEC)), until(Some(now + SEC))),
        (Wait::Brief, turn(None), until(None)),
        (Wait::Brief, turn(Some(now + 61 * SEC)), give_up(Some(now + 61 * SEC))),
        (Wait::Patient, turn(Some(now + 61 * SEC)), until(Some(now + 61 * SEC))),
        (Wait::Brief, rest.clone(), give_up(rest.at)),
        (Wait::Patient, rest.clone(), until(rest.at)),
        (Wait::Patient, parked, give_up(None)),
        (Wait::Never, turn(Some(now + SEC)), give_up(Some(now + SEC))),
        (Wait::Never, turn(None), give_up(None)),
    ] {
        let rules = Rules { wait, ..rules(&[0]) };
        let found = Progress::new(&rules).step(&rules, Some(&refusal), now);
        assert_eq!(found, expected, "{wait:?} {refusal:?}");
    }
}

#[test]
fn the_earliest_lane_is_waited_for() {
    let now = clock::now();
    let rules = rules(&[0, 1]);
    let mut progress = Progress::new(&rules);
    progress.started(&rules, 0);
    progress.failed(&rules, 0, &error(ErrorKind::Server), 5 * SEC, now);
    let cool = NotBefore { at: Some(now + 2 * SEC), block: Block::Turn, reason: "cool-down".into() };
    let step = progress.step(&rules, Some(&cool), now);
    assert_eq!(step, Step::Wait { until: Some(now + 2 * SEC), backoff: false });
}

#[test]
fn an_unavailable_client_below_costs_no_request() {
    let now = clock::now();
    let rules = rules(&[0]);
    let mut progress = Progress::new(&rules);
    progress.failed(&rules, 0, &error(ErrorKind::Unavailable).with_retry_after(SEC), 2 * SEC, now);
    assert!(!progress.has_begun());
    assert_eq!(progress.step(&rules, None, now), Step::Wait { until: Some(now + SEC), backoff: true });
}
