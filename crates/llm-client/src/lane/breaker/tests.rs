//! The breaker against a written table, a clock in seconds.

use super::*;

const RULES: BreakerRules = BreakerRules { failure_threshold: 3, recovery_time: Duration::from_secs(60) };

/// A breaker and a clock in seconds.
struct Bench {
    breaker: Breaker,
    start: Instant,
}

impl Bench {
    fn new() -> Self {
        let start = clock::now();
        Self { breaker: Breaker::new(start), start }
    }

    fn at(&self, secs: f64) -> Instant {
        self.start + Duration::from_secs_f64(secs)
    }

    /// Seconds until the next trial, or how it may pass.
    fn check(&self, secs: f64, sole: bool) -> Result<Pass, f64> {
        self.breaker.check(&RULES, self.at(secs), sole, false).map_err(|at| (at - self.start).as_secs_f64())
    }

    fn take(&mut self, secs: f64, sole: bool) -> Ticket {
        let now = self.at(secs);
        let pass = self.breaker.check(&RULES, now, sole, true).unwrap();
        self.breaker.take(pass, &RULES, now)
    }

    fn fail(&mut self, ticket: Ticket, secs: f64) {
        let now = self.at(secs);
        self.breaker.fail(ticket, &RULES, now, 0.0);
    }

    fn open_at(&mut self, secs: f64) {
        for _ in 0..3 {
            let ticket = self.take(secs, false);
            self.fail(ticket, secs);
        }
    }
}

#[test]
fn three_faults_in_a_row_open_it_and_a_success_breaks_the_row() {
    let mut bench = Bench::new();
    for round in 0..2 {
        let tickets = [bench.take(0.0, false), bench.take(0.0, false)];
        tickets.into_iter().for_each(|ticket| bench.fail(ticket, 0.0));
        assert_eq!(bench.check(0.0, false), Ok(Pass::Plain), "round {round}");
        let ticket = bench.take(0.0, false);
        bench.breaker.succeed(ticket, bench.at(0.0));
    }
    bench.open_at(5.0);
    assert_eq!(bench.check(5.0, false), Err(65.0));
    assert_eq!(bench.check(64.9, false), Err(65.0));
    assert_eq!(bench.check(65.0, false), Ok(Pass::Trial));
}

#[test]
fn half_of_twenty_calls_within_thirty_seconds_open_it() {
    // (calls, fails every n-th, seconds between calls, opens)
    for (calls, every, step, opens) in
        [(19, 2, 1.0, false), (20, 2, 1.0, true), (40, 3, 0.5, false), (60, 2, 2.0, false)]
    {
        let mut bench = Bench::new();
        for n in 1..=calls {
            let now = f64::from(n) * step;
            if bench.check(now, false).is_err() {
                break;
            }
            let ticket = bench.take(now, false);
            if n % every == 0 {
                bench.fail(ticket, now);
            } else {
                bench.breaker.succeed(ticket, bench.at(now));
            }
        }
        let (state, _, _) = bench.breaker.state(&RULES, bench.at(f64::from(calls) * step));
        assert_eq!(state == BreakerState::Open, opens, "{calls} calls, each {every}. fails");
    }
}

#[test]
fn one_trial_at_a_time_and_its_verdict_decides() {
    let mut bench = Bench::new();
    bench.open_at(0.0);
    let trial = bench.take(60.0, false);
    assert_eq!(bench.breaker.state(&RULES, bench.at(61.0)).0, BreakerState::HalfOpen);
    assert_eq!(bench.check(61.0, false), Err(120.0), "the trial's own time-out");
    bench.fail(trial, 70.0);
    assert_eq!(bench.check(71.0, false), Err(130.0), "a whole rest again");
    let trial = bench.take(130.0, false);
    bench.breaker.succeed(trial, bench.at(131.0));
    assert_eq!(bench.check(131.0, false), Ok(Pass::Plain));
    // The row begins anew.
    let ticket = bench.take(131.0, false);
    bench.fail(ticket, 131.0);
    assert_eq!(bench.check(131.0, false), Ok(Pass::Plain));
}

#[test]
fn a_sole_endpoint_is_tried_after_one_two_four_seconds_up_to_the_whole_rest() {
    let mut bench = Bench::new();
    bench.open_at(0.0);
    let mut now = 0.0;
    for rest in [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0] {
        assert_eq!(bench.check(now, true), Err(now + rest));
        assert_eq!(bench.check(now, false), Err(now + 60.0));
        now += rest;
        let trial = bench.take(now, true);
        bench.fail(trial, now);
    }
}

#[test]
fn a_hanging_trial_does_not_block_for_ever() {
    let mut bench = Bench::new();
    bench.open_at(0.0);
    let hanging = bench.take(60.0, false);
    assert_eq!(bench.check(119.0, false), Err(120.0));
    let second = bench.take(120.0, false);
    assert_eq!(bench.check(121.0, false), Err(180.0), "the second is the trial now");
    // The first one's failure comes late and decides nothing; its success proves the endpoint.
    bench.fail(hanging, 125.0);
    assert_eq!(bench.check(125.0, false), Err(180.0));
    bench.breaker.succeed(hanging, bench.at(126.0));
    assert_eq!(bench.check(126.0, false), Ok(Pass::Plain));
    bench.fail(second, 127.0);
    assert_eq!(bench.check(127.0, false), Ok(Pass::Plain), "one fault in a row");
}

#[test]
fn a_dropped_trial_leaves_its_place_at_once() {
    let mut bench = Bench::new();
    bench.open_at(0.0);
    let trial = bench.take(60.0, false);
    bench.breaker.release(trial);
    assert_eq!(bench.check(60.0, false), Ok(Pass::Trial));
}

#[test]
fn an_answer_that_is_the_callers_fault_proves_a_trial_and_leaves_a_row_as_it_is() {
    let mut bench = Bench::new();
    for _ in 0..2 {
        let ticket = bench.take(0.0, false);
        bench.fail(ticket, 0.0);
        let ticket = bench.take(0.0, false);
        bench.breaker.answered(ticket);
    }
    assert_eq!(bench.breaker.state(&RULES, bench.at(0.0)).1, 2);
    bench.open_at(0.0);
    let trial = bench.take(60.0, false);
    bench.breaker.answered(trial);
    assert_eq!(bench.check(60.0, false), Ok(Pass::Plain));
}

#[test]
fn calls_from_before_the_opening_say_nothing_about_now() {
    let mut bench = Bench::new();
    let early = [0; 5].map(|_| bench.take(0.0, false));
    bench.open_at(1.0);
    bench.fail(early[0], 30.0);
    bench.breaker.succeed(early[1], bench.at(30.0));
    assert_eq!(bench.check(30.0, false), Err(61.0));
    let trial = bench.take(61.0, false);
    bench.breaker.succeed(trial, bench.at(61.0));
    for ticket in &early[2..] {
        bench.fail(*ticket, 62.0);
    }
    assert_eq!(bench.breaker.state(&RULES, bench.at(62.0)), (BreakerState::Closed, 0, None));
}

#[test]
fn a_call_that_retries_is_not_refused_and_takes_the_trial_when_one_is_due() {
    let mut bench = Bench::new();
    bench.open_at(0.0);
    assert_eq!(bench.breaker.check(&RULES, bench.at(1.0), false, true), Ok(Pass::Plain));
    let retry = bench.take(1.0, false);
    bench.fail(retry, 1.0);
    assert_eq!(bench.check(2.0, false), Err(60.0), "its failure changes nothing");
    assert_eq!(bench.breaker.check(&RULES, bench.at(60.0), false, true), Ok(Pass::Trial));
    let retry = bench.take(2.0, false);
    bench.breaker.succeed(retry, bench.at(2.0));
    assert_eq!(bench.check(2.0, false), Ok(Pass::Plain), "its success closes the breaker");
}

#[test]
fn a_rest_is_at_most_a_tenth_longer() {
    let mut bench = Bench::new();
    for _ in 0..3 {
        let ticket = bench.take(0.0, false);
        let now = bench.at(0.0);
        bench.breaker.fail(ticket, &RULES, now, 0.5);
    }
    assert_eq!(bench.check(0.0, false), Err(63.0));
}
