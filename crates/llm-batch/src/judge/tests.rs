use super::*;
use llm_types::AttemptRecord;

const MINUTES: Duration = Duration::from_secs(60);

fn judge() -> Judge {
    Judge::new(Limits { max_retries: 3, retry_after_cap: MINUTES, max_outage: 15 * MINUTES, concurrency: 4 })
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// An error after so many attempts, with waits of 1, 2, 4 s between them.
fn error(kind: ErrorKind, attempts: u32) -> Error {
    let log = (1..=attempts).map(|number| AttemptRecord {
        number,
        kind: Some(kind),
        wait: if number == 1 { Duration::ZERO } else { secs(1 << (number - 2)) },
        endpoint: String::new(),
        request_id: None,
    });
    Error::new(kind, "x").with_attempts(log.collect())
}

fn server(attempts: u32) -> Error {
    error(ErrorKind::Server, attempts).with_status(500)
}

/// A row's first failure, other rows around it.
fn failure<'a>(key: u128, error: &'a Error) -> Failure<'a> {
    let attempts = u32::try_from(error.attempts().len()).unwrap();
    Failure {
        error,
        key: Key(key),
        attempts,
        requeues: 0,
        gave_up: None,
        alone: false,
        others_in_flight: false,
    }
}

/// A moment with room before it.
fn start() -> Instant {
    clock::after(clock::now(), secs(3600))
}

#[test]
fn what_follows_each_kind_while_the_endpoint_answers_is_the_written_table() {
    use Decision::{Again, Hold, Stop, Write};
    use ErrorKind as K;
    let now = start();
    let at = |wait| Again(now + secs(wait));
    for (kind, attempts, retry_after, expected) in [
        (K::Authentication, 1, None, Stop(StopReason::Key)),
        (K::QuotaExhausted, 1, None, Stop(StopReason::Quota)),
        (K::Budget, 0, None, Stop(StopReason::Budget)),
        (K::Cancelled, 0, None, Stop(StopReason::Cancelled)),
        (K::PermissionDenied, 1, None, Hold),
        (K::Config, 0, None, Hold),
        (K::InvalidRequest, 1, None, Write),
        (K::ContextLength, 1, None, Write),
        (K::ContentFilter, 1, None, Write),
        (K::NotFound, 1, None, Write),
        (K::ModelNotFound, 1, None, Write),
        (K::Protocol, 1, None, Write),
        (K::TooLarge, 1, None, Write),
        (K::Truncated, 1, None, Write),
        (K::Internal, 0, None, Write),
        (K::Timeout(Phase::Call), 2, None, Write),
        // All retries were made, and others were answered meanwhile: the row's own fault.
        (K::Server, 4, None, Write),
        (K::Connection, 4, None, Write),
        (K::Overloaded, 4, None, Write),
        (K::Timeout(Phase::Attempt), 2, None, Write),
        (K::Tls, 1, None, Write),
        // The retry budget was empty.
        (K::Server, 1, None, at(1)),
        (K::Connection, 3, None, at(1)),
        (K::Timeout(Phase::FirstByte), 1, None, at(1)),
        // A rate limit is never one row's fault.
        (K::RateLimited, 4, None, at(1)),
        (K::RateLimited, 1, Some(120), at(120)),
        (K::Overloaded, 4, Some(61), at(61)),
        (K::Overloaded, 4, Some(59), Write),
        (K::Unavailable, 0, Some(30), at(30)),
        (K::Unavailable, 0, None, at(1)),
    ] {
        let mut judge = judge();
        // An answer while the row was failing.
        judge.answered(now - Duration::from_millis(1));
        let mut error = error(kind, attempts);
        if let Some(wait) = retry_after {
            error = error.with_retry_after(secs(wait));
        }
        let waited = Failure { gave_up: (attempts == 1).then_some(now - secs(1)), ..failure(1, &error) };
        assert_eq!(judge.failed(waited, now, 1.0), expected, "{kind:?} after {attempts}, {retry_after:?}");
    }
}

#[test]
fn x_should_retry_false_is_no_early_end() {
    let (mut judge, now) = (judge(), start());
    judge.answered(now);
    let error = server(1).with_should_retry(false);
    let row = Failure { gave_up: Some(now - secs(1)), ..failure(1, &error) };
    assert_eq!(judge.failed(row, now, 1.0), Decision::Write);
}

#[test]
fn a_row_is_put_back_a_bounded_number_of_times() {
    let (mut judge, now) = (judge(), start());
    let error = error(ErrorKind::RateLimited, 4);
    let mut waits = Vec::new();
    for requeues in 0.. {
        judge.answered(now);
        match judge.failed(Failure { requeues, gave_up: Some(now - secs(1)), ..failure(1, &error) }, now, 1.0)
        {
            Decision::Again(at) => waits.push((at - now).as_secs()),
            decision => {
                assert_eq!(decision, Decision::Write);
                break;
            }
        }
    }
    assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]);
}

#[test]
fn what_is_left_of_a_rows_retries_bounds_its_requests() {
    let (mut judge, now) = (judge(), start());
    judge.answered(now);
    let error = server(1);
    // Three requests before, one now: all four are made.
    assert_eq!(
        judge.failed(
            Failure { attempts: 4, requeues: 2, gave_up: Some(now - secs(1)), ..failure(1, &error) },
            now,
            1.0
        ),
        Decision::Write
    );
    assert!(matches!(
        judge.failed(Failure { attempts: 3, ..failure(2, &error) }, now, 1.0),
        Decision::Again(_)
    ));
}

#[test]
fn a_second_row_with_other_content_settles_whether_the_key_is_refused() {
    let now = start();
    let denied = error(ErrorKind::PermissionDenied, 1);
    let mut judge = judge();
    assert_eq!(judge.failed(failure(1, &denied), now, 1.0), Decision::Hold);
    assert_eq!(judge.failed(failure(1, &denied), now, 1.0), Decision::Hold);
    assert_eq!(judge.failed(failure(2, &denied), now, 1.0), Decision::Stop(StopReason::Key));
    // An answer between them: the first was refused for its own sake.
    judge.answered(now);
    assert!(!judge.is_suspicious());
    assert_eq!(judge.failed(failure(2, &denied), now, 1.0), Decision::Hold);
    // So many rows of one content say enough as well.
    for _ in 1..8 {
        assert_eq!(judge.failed(failure(2, &denied), now, 1.0), Decision::Hold);
    }
    assert_eq!(judge.failed(failure(2, &denied), now, 1.0), Decision::Stop(StopReason::Key));
    let refused = error(ErrorKind::Config, 0);
    judge.answered(now);
    judge.failed(failure(1, &refused), now, 1.0);
    assert_eq!(judge.failed(failure(2, &refused), now, 1.0), Decision::Stop(StopReason::Config));
}

#[test]
fn a_run_in_which_nothing_was_answered_stops_after_one_rows_retries() {
    for error in [
        error(ErrorKind::Connection, 4),
        server(4),
        error(ErrorKind::Timeout(Phase::Attempt), 2),
        error(ErrorKind::Tls, 1),
    ] {
        let (mut judge, now) = (judge(), start());
        assert_eq!(
            judge.failed(failure(1, &error), now, 1.0),
            Decision::Stop(StopReason::Outage),
            "{error:?}"
        );
    }
    // Calls that began beside it may yet be answered: a slow model with one bad row is no dead endpoint.
    let (mut judge, now) = (judge(), start());
    let failed = server(4);
    let row = Failure { others_in_flight: true, ..failure(1, &failed) };
    assert_eq!(judge.failed(row, now, 1.0), Decision::Doubt(now + secs(1)));
    assert!(judge.is_probing());
    judge.answered(now + secs(50));
    let row = Failure { gave_up: Some(now), requeues: 1, ..failure(1, &failed) };
    assert_eq!(judge.failed(row, now + secs(60), 1.0), Decision::Write);
    // Before that, an open breaker or an empty budget is waited for.
    let mut judge = Judge::new(judge.limits);
    let unavailable = error(ErrorKind::Unavailable, 0).with_retry_after(secs(2));
    assert_eq!(judge.failed(failure(2, &unavailable), now, 1.0), Decision::Again(now + secs(2)));
    assert_eq!(judge.failed(failure(3, &server(1)), now, 1.0), Decision::Again(now + secs(1)));
    let last = server(1);
    let row = Failure { attempts: 4, requeues: 3, ..failure(3, &last) };
    assert_eq!(judge.failed(row, now, 1.0), Decision::Stop(StopReason::Outage));
}

#[test]
fn a_single_row_that_the_server_fails_on_is_its_own_fault_and_a_dead_endpoint_is_not() {
    let (mut judge, now) = (judge(), start());
    let (failed, dead) = (server(4), error(ErrorKind::Connection, 4));
    let row = Failure { alone: true, ..failure(1, &failed) };
    assert_eq!(judge.failed(row, now, 1.0), Decision::Write);
    let row = Failure { alone: true, ..failure(1, &dead) };
    assert_eq!(judge.failed(row, now, 1.0), Decision::Stop(StopReason::Outage));
}

#[test]
fn an_outage_pauses_the_queue_probes_and_stops_after_max_outage() {
    let (mut judge, start) = (judge(), start());
    judge.answered(start);
    // The endpoint dies; both rows had begun before and fail for seven seconds.
    let dead = error(ErrorKind::Connection, 4);
    let now = start + secs(8);
    assert_eq!(judge.failed(failure(1, &dead), now, 1.0), Decision::Doubt(now + secs(1)));
    assert!(!judge.is_probing(), "one row is no proof");
    assert_eq!(judge.failed(failure(2, &dead), now, 1.0), Decision::Doubt(now + secs(1)));
    assert!(judge.is_probing());
    assert_eq!(judge.paused_until(now), Some(now + secs(1)));

    // Each probe that fails makes the pause longer.
    let mut at = now;
    let mut pauses = Vec::new();
    let stopped = loop {
        at = judge.paused_until(at).unwrap();
        let row = Failure { requeues: 1, gave_up: Some(now), ..failure(1, &dead) };
        match judge.failed(row, at, 1.0) {
            Decision::Doubt(until) => pauses.push((until - at).as_secs()),
            decision => break decision,
        }
    };
    assert_eq!(stopped, Decision::Stop(StopReason::Outage));
    assert_eq!(pauses[..8], [2, 4, 8, 16, 32, 60, 60, 60]);
    assert!(at - now >= 15 * MINUTES && at - now < 17 * MINUTES);
    assert_eq!(judge.give_up_at(), Some(now + 15 * MINUTES));
}

#[test]
fn an_answer_ends_an_outage_and_the_rows_in_doubt_have_another_try() {
    let (mut judge, now) = (judge(), start());
    judge.answered(now - secs(100));
    let dead = error(ErrorKind::Connection, 4);
    judge.failed(failure(1, &dead), now, 1.0);
    judge.failed(failure(2, &dead), now, 1.0);
    assert!(judge.answered(now + secs(60)));
    assert!(!judge.is_probing() && judge.paused_until(now).is_none() && judge.give_up_at().is_none());
    // The row fails again for its own sake: others were answered since it gave up.
    let row = Failure { requeues: 1, gave_up: Some(now), ..failure(1, &dead) };
    assert_eq!(judge.failed(row, now + secs(70), 1.0), Decision::Write);
}

#[test]
fn a_long_retry_after_is_waited_for_by_all_and_one_beyond_max_outage_is_hopeless() {
    let (mut judge, now) = (judge(), start());
    judge.answered(now);
    let limited = error(ErrorKind::RateLimited, 1).with_retry_after(secs(120));
    assert_eq!(judge.failed(failure(1, &limited), now, 1.0), Decision::Again(now + secs(120)));
    assert_eq!(judge.paused_until(now), Some(now + secs(120)));
    assert!(!judge.is_hopeless(now));
    // An answer that was on its way does not end what the server asked for.
    judge.answered(now + secs(1));
    assert_eq!(judge.paused_until(now + secs(1)), Some(now + secs(120)));
    let endless = error(ErrorKind::RateLimited, 1).with_retry_after(secs(114 * 3600));
    judge.failed(failure(1, &endless), now, 1.0);
    assert!(judge.is_hopeless(now));
    let absurd = error(ErrorKind::Unavailable, 0).with_retry_after(Duration::MAX);
    judge.failed(failure(1, &absurd), now, 1.0);
    assert!(judge.is_hopeless(now));
}

#[test]
fn without_patience_the_first_sign_of_an_outage_ends_the_run_and_a_single_slow_down_does_not() {
    let now = start();
    let mut judge = Judge::new(Limits { max_outage: Duration::ZERO, ..judge().limits });
    judge.answered(now);
    let limited = error(ErrorKind::RateLimited, 1);
    assert!(matches!(judge.failed(failure(1, &limited), now, 1.0), Decision::Again(_)));
    judge.answered(now);
    let unavailable = error(ErrorKind::Unavailable, 0);
    assert_eq!(judge.failed(failure(1, &unavailable), now, 1.0), Decision::Stop(StopReason::Outage));
}

#[test]
fn jitter_halves_at_most() {
    assert_eq!((backoff(0, 0.0), backoff(0, 1.0)), (Duration::from_millis(500), secs(1)));
    assert_eq!((backoff(40, 0.0), backoff(u32::MAX, 1.0)), (secs(30), secs(60)));
}
