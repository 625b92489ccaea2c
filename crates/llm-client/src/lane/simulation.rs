//! Whole lanes against servers that limit requests in their own ways, in virtual time: goal G7.
//!
//! A job is a queue of rows. Each row asks the lane for admission, in order; one that is refused (429) goes back into the
//! queue. The server answers after a latency. Nothing sleeps: the clock jumps to the next event.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use llm_types::{Error, ErrorKind};

use crate::Settings;
use crate::clock;
use crate::lane::{Admission, AdmitOptions, Cost, EndpointId, LaneGuard, Lanes, Registry};

/// How a server limits requests.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Limit {
    /// A bucket with a burst of one second's worth.
    Bucket,
    /// Whole seconds of its own clock.
    FixedSecond,
    /// Any second.
    SlidingSecond,
    /// Whole minutes of its own clock; the rate is per minute. Says when the next minute begins.
    FixedMinute,
    /// So many calls at a time, whatever their pace.
    AtATime,
    /// None, but the 500th request is refused, for no good reason.
    Whim,
}

const PER_SECOND: [Limit; 3] = [Limit::Bucket, Limit::FixedSecond, Limit::SlidingSecond];

#[derive(Clone, Debug)]
struct Job {
    limit: Limit,
    /// Requests per second (minute, or at a time).
    rate: f64,
    /// Another rate from a moment on, in seconds.
    later: Option<(f64, f64)>,
    rows: u32,
    concurrency: u32,
    /// Seconds from request to answer.
    latency: f64,
    /// A refusal comes within 20 ms, or as late as an answer.
    quick_refusals: bool,
    /// A refusal says `Retry-After`, in whole seconds.
    retry_after: bool,
    /// Latencies differ by up to this share.
    spread: f64,
    /// Requests reach the server up to so many seconds later, each on its own.
    jitter: f64,
    seed: u64,
}

impl Job {
    /// The job of G7: 300 rows, 64 in flight, ten a second.
    fn g7() -> Self {
        Self {
            limit: Limit::Bucket,
            rate: 10.0,
            later: None,
            rows: 300,
            concurrency: 64,
            latency: 0.1,
            quick_refusals: true,
            retry_after: true,
            spread: 0.0,
            jitter: 0.0,
            seed: 0,
        }
    }

    /// The shortest time that the server's limit and the job's own concurrency allow, in seconds.
    fn ideal(&self) -> f64 {
        let rows = f64::from(self.rows);
        let limited = match (self.limit, self.later) {
            (Limit::AtATime, _) => rows * self.latency / self.rate,
            (Limit::Whim, _) => 0.0,
            (Limit::FixedMinute, _) => 60.0 * rows / self.rate,
            (_, None) => rows / self.rate,
            (_, Some((from, rate))) => from + (rows - from * self.rate) / rate,
        };
        limited.max(rows * (self.latency + self.jitter / 2.0) / f64::from(self.concurrency))
    }
}

struct Server {
    limit: Limit,
    level: f64,
    last: Duration,
    window: u64,
    used: f64,
    taken: VecDeque<Duration>,
    open: u32,
    seen: u32,
}

impl Server {
    fn new(job: &Job) -> Self {
        let taken = VecDeque::new();
        Self {
            limit: job.limit,
            level: job.rate,
            last: Duration::ZERO,
            window: u64::MAX,
            used: 0.0,
            taken,
            open: 0,
            seen: 0,
        }
    }

    /// Whether it takes a request; if not, when to come back.
    fn takes(&mut self, rate: f64, now: Duration) -> Result<(), Duration> {
        self.seen += 1;
        let second = Duration::from_secs(1);
        let window = |phase: f64, length: u64| {
            let at = now + Duration::from_secs_f64(phase);
            (at.as_secs() / length, length - at.as_secs() % length)
        };
        let (takes, wait) = match self.limit {
            Limit::Bucket => {
                self.level = (self.level + (now - self.last).as_secs_f64() * rate).min(rate);
                self.last = now;
                (self.level >= 1.0, 1)
            }
            // The server's second does not begin with ours, nor its minute.
            Limit::FixedSecond => self.in_window(window(0.37, 1), rate),
            Limit::FixedMinute => self.in_window(window(22.0, 60), rate),
            Limit::SlidingSecond => {
                self.taken.retain(|at| *at + second > now);
                ((self.taken.len() as f64) < rate, 1)
            }
            Limit::AtATime => (f64::from(self.open) < rate, 1),
            Limit::Whim => (self.seen != 500, 1),
        };
        if takes {
            self.level -= 1.0;
            self.used += 1.0;
            self.open += 1;
            self.taken.push_back(now);
            Ok(())
        } else {
            Err(Duration::from_secs(wait))
        }
    }

    fn in_window(&mut self, (window, left): (u64, u64), rate: f64) -> (bool, u64) {
        if window != self.window {
            (self.window, self.used) = (window, 0.0);
        }
        (self.used < rate, left)
    }
}

#[derive(Debug, Default)]
struct Report {
    secs: f64,
    requests: u32,
    refused: u32,
    /// Sent after the first two seconds.
    late: u32,
    late_refused: u32,
}

impl Report {
    fn late_share(&self) -> f64 {
        f64::from(self.late_refused) / f64::from(self.late.max(1))
    }
}

enum Event {
    Arrives { sent: Duration, guard: LaneGuard },
    Returns { guard: LaneGuard, verdict: Result<(), Duration> },
}

/// Timers are coarse: they fire at the next whole millisecond.
fn whole_millis(at: Duration) -> Duration {
    Duration::from_millis(u64::try_from(at.as_nanos().div_ceil(1_000_000)).unwrap())
}

fn run(job: &Job) -> Report {
    let start = clock::now();
    let id = EndpointId { base_url: "http://server".into(), model: "m".into() };
    let lanes = Lanes::new(Registry::new().endpoint(&id, &Settings::default(), start), None);
    let options = AdmitOptions { sole: true, ..AdmitOptions::default() };
    let mut random = fastrand::Rng::with_seed(job.seed);
    let mut server = Server::new(job);
    let mut report = Report::default();
    let (mut queued, mut in_flight, mut done) = (job.rows, 0, 0);
    // By moment, then in the order in which they were made.
    let mut events: BTreeMap<(Duration, u32), Event> = BTreeMap::new();
    let mut made = 0;
    let mut now = Duration::ZERO;
    while done < job.rows {
        assert!(now < Duration::from_secs(7200), "{job:?}: {report:?}, {done} done");
        let mut wake = None;
        while queued > 0 && in_flight < job.concurrency && wake.is_none() {
            match lanes.admit(Cost::default(), start + now, &options) {
                Admission::Granted(mut guard) => {
                    guard.sent();
                    (queued, in_flight, made) = (queued - 1, in_flight + 1, made + 1);
                    let arrives = now + Duration::from_secs_f64(job.jitter * random.f64());
                    events.insert((arrives, made), Event::Arrives { sent: now, guard });
                }
                Admission::NotBefore { at: Some(at), .. } => wake = Some(whole_millis(at - start)),
                Admission::NotBefore { at: None, .. } => break,
            }
        }
        let next = events.first_key_value().map(|((at, _), _)| *at);
        if let Some(wake) = wake.filter(|wake| next.is_none_or(|next| *wake < next)) {
            now = wake;
            continue;
        }
        let ((at, _), event) = events.pop_first().expect("a lane without calls in flight names a date");
        now = now.max(at);
        match event {
            Event::Arrives { sent, guard } => {
                let later = job.later.filter(|(from, _)| now.as_secs_f64() >= *from);
                let verdict = server.takes(later.map_or(job.rate, |(_, rate)| rate), now);
                let (late, refused) =
                    (u32::from(sent >= Duration::from_secs(2)), u32::from(verdict.is_err()));
                report.requests += 1;
                report.refused += refused;
                report.late += late;
                report.late_refused += late * refused;
                let latency = job.latency * (1.0 + job.spread * (2.0 * random.f64() - 1.0));
                let quick = verdict.is_err() && job.quick_refusals;
                let latency = if quick { latency.min(0.02) } else { latency };
                made += 1;
                events.insert(
                    (now + Duration::from_secs_f64(latency), made),
                    Event::Returns { guard, verdict },
                );
            }
            Event::Returns { guard, verdict: Ok(()) } => {
                (in_flight, done) = (in_flight - 1, done + 1);
                server.open -= 1;
                report.secs = now.as_secs_f64();
                guard.succeed(None, start + now);
            }
            Event::Returns { guard, verdict: Err(wait) } => {
                (in_flight, queued) = (in_flight - 1, queued + 1);
                let error = Error::new(ErrorKind::RateLimited, "too many requests").with_status(429);
                let error = if job.retry_after { error.with_retry_after(wait) } else { error };
                guard.fail(&error, 1, start + now, random.f64());
            }
        }
    }
    report
}

/// Runs the job and asserts the two figures of G7: time as a multiple of the ideal, and the share of refusals after 2 s.
fn assert_within(job: &Job, times_ideal: f64, late_share: f64) {
    let report = run(job);
    let times = report.secs / job.ideal();
    assert!(times <= times_ideal, "{times:.3} times the ideal: {report:?} {job:?}");
    assert!(report.late_share() <= late_share, "{:.3} refused: {report:?} {job:?}", report.late_share());
}

const BOTH: [bool; 2] = [true, false];

#[test]
fn g7_ten_a_second_are_used_without_a_storm_of_refusals() {
    for limit in PER_SECOND {
        for latency in [0.0, 0.05, 0.1, 0.3, 0.5, 1.0] {
            for (retry_after, quick_refusals) in BOTH.into_iter().flat_map(|a| BOTH.map(|b| (a, b))) {
                for seed in 0..4 {
                    let job = Job { limit, latency, retry_after, quick_refusals, seed, ..Job::g7() };
                    assert_within(&job, 1.15, 0.10);
                }
            }
        }
    }
}

#[test]
fn g7_holds_for_three_to_two_hundred_a_second() {
    for limit in PER_SECOND {
        for (rate, rows) in [(3.0, 300), (25.0, 750), (200.0, 6000)] {
            for latency in [0.0, 0.1, 0.3, 1.0] {
                for (retry_after, quick_refusals) in BOTH.into_iter().flat_map(|a| BOTH.map(|b| (a, b))) {
                    let job = Job { limit, rate, rows, latency, retry_after, quick_refusals, ..Job::g7() };
                    if rate < 200.0 || (retry_after && quick_refusals) {
                        assert_within(&job, 1.15, 0.10);
                    }
                }
            }
        }
    }
}

/// No server behaves like the table: any mixture is at most a little slower, and never stormed.
#[test]
fn g7_is_not_far_off_for_servers_of_any_make() {
    let mut random = fastrand::Rng::with_seed(11);
    let mut times = Vec::new();
    for seed in 0..150 {
        let rate = [3.0, 5.0, 7.0, 10.0, 13.0, 20.0, 30.0][random.usize(..7)];
        let job = Job {
            limit: PER_SECOND[random.usize(..3)],
            rate,
            concurrency: [16, 64, 200][random.usize(..3)],
            rows: if rate > 10.0 { 900 } else { 300 },
            latency: random.f64(),
            quick_refusals: random.bool(),
            retry_after: random.bool(),
            spread: [0.0, 0.3, 0.9][random.usize(..3)],
            jitter: [0.0, 0.005, 0.02][random.usize(..3)],
            seed,
            ..Job::g7()
        };
        assert_within(&job, 1.40, 0.10);
        times.push(run(&job).secs / job.ideal());
    }
    times.sort_by(f64::total_cmp);
    assert!(times[142] <= 1.15, "one in twenty takes more than {} times the ideal", times[142]);
}

#[test]
fn a_limit_that_changes_on_the_way_is_followed() {
    for limit in PER_SECOND {
        for (rate, later, rows, times) in
            [(10.0, (30.0, 5.0), 600, 1.2), (5.0, (30.0, 10.0), 600, 1.25), (20.0, (10.0, 2.0), 300, 1.25)]
        {
            for latency in [0.05, 0.3] {
                let job = Job { limit, rate, later: Some(later), rows, latency, ..Job::g7() };
                assert_within(&job, times, 0.10);
            }
        }
    }
}

#[test]
fn a_limit_per_minute_is_used_up_whether_or_not_the_server_says_when_to_come_back() {
    for (rate, rows) in [(60.0, 240), (600.0, 2400)] {
        for retry_after in BOTH {
            let job = Job { limit: Limit::FixedMinute, rate, rows, retry_after, latency: 1.0, ..Job::g7() };
            // The first minute's share goes at once, so that the ideal is beaten.
            assert_within(&job, 1.15, 0.12);
        }
    }
}

#[test]
fn a_limit_on_calls_at_a_time_is_learned_too() {
    for (rate, latency, rows, spread) in [(10.0, 1.0, 300, 0.9), (10.0, 10.0, 300, 0.9), (4.0, 0.5, 300, 0.5)]
    {
        let job = Job { limit: Limit::AtATime, rate, latency, rows, spread, ..Job::g7() };
        assert_within(&job, 1.5, 0.10);
    }
}

#[test]
fn slow_answers_do_not_hide_a_limit_per_second() {
    // Ten a second and ten seconds each: a hundred in flight, and refusals long before the first answer.
    for limit in PER_SECOND {
        let job = Job { limit, latency: 10.0, concurrency: 200, rows: 600, spread: 0.5, ..Job::g7() };
        assert_within(&job, 1.4, 0.10);
    }
}

#[test]
fn one_refusal_without_reason_does_not_slow_a_long_job() {
    // 640 a second are free to go for five minutes; the 500th request is refused.
    let job = Job { limit: Limit::Whim, rows: 60_000, ..Job::g7() };
    let report = run(&job);
    assert_eq!(report.refused, 1);
    assert!(report.secs <= job.ideal() * 1.06, "{report:?}, ideal {}", job.ideal());
}
