//! Whole lanes against servers that limit requests in their own ways, in virtual time: goal G7.
//!
//! A job is a queue of rows. Each row asks the lane for admission, in order; one that is refused (429) goes back to the end
//! of the queue. The server answers after a latency. Nothing sleeps.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::time::Duration;

use llm_types::{Error, ErrorKind};

use crate::Settings;
use crate::clock::{self, Instant};
use crate::lane::{Admission, AdmitOptions, Cost, EndpointId, LaneGuard, Lanes, Registry};

/// How a server limits requests.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// A bucket with a burst of one second's worth.
    Bucket,
    /// Whole seconds of its own clock.
    Fixed,
    /// Any second.
    Sliding,
    /// So many at a time (the rate is the number).
    AtATime,
}

struct Limiter {
    kind: Kind,
    /// (from when in seconds, requests per second)
    rates: Vec<(f64, f64)>,
    level: f64,
    last: f64,
    window: i64,
    used: f64,
    taken: VecDeque<f64>,
    open: u32,
}

impl Limiter {
    fn new(kind: Kind, rates: &[(f64, f64)]) -> Self {
        Self {
            kind,
            rates: rates.to_vec(),
            level: rates[0].1,
            last: 0.0,
            window: -1,
            used: 0.0,
            taken: VecDeque::new(),
            open: 0,
        }
    }

    fn rate(&self, now: f64) -> f64 {
        self.rates.iter().rev().find(|(from, _)| *from <= now).unwrap().1
    }

    fn takes(&mut self, now: f64) -> bool {
        let rate = self.rate(now);
        match self.kind {
            Kind::Bucket => {
                self.level = (self.level + (now - self.last) * rate).min(rate);
                self.last = now;
                let takes = self.level >= 1.0;
                self.level -= f64::from(u8::from(takes));
                takes
            }
            Kind::Fixed => {
                // The server's second does not begin with ours.
                let window = (now + 0.37).floor() as i64;
                if window != self.window {
                    (self.window, self.used) = (window, 0.0);
                }
                let takes = self.used < rate;
                self.used += f64::from(u8::from(takes));
                takes
            }
            Kind::Sliding => {
                while self.taken.front().is_some_and(|at| *at <= now - 1.0) {
                    self.taken.pop_front();
                }
                let takes = (self.taken.len() as f64) < rate;
                if takes {
                    self.taken.push_back(now);
                }
                takes
            }
            Kind::AtATime => {
                let takes = f64::from(self.open) < rate;
                self.open += u32::from(takes);
                takes
            }
        }
    }
}

#[derive(Clone, Debug)]
struct Job {
    kind: Kind,
    rates: Vec<(f64, f64)>,
    rows: usize,
    concurrency: usize,
    latency: f64,
    /// A refusal comes at once, or as late as an answer.
    quick_refusals: bool,
    retry_after: bool,
    /// Requests reach the server up to so much later, each on its own.
    jitter: f64,
    seed: u64,
}

#[derive(Debug)]
struct Report {
    secs: f64,
    requests: usize,
    refused: usize,
    late_requests: usize,
    late_refused: usize,
}

impl Report {
    fn late_share(&self) -> f64 {
        self.late_refused as f64 / (self.late_requests as f64).max(1.0)
    }
}

enum Event {
    Arrives { sent: f64, guard: LaneGuard },
    Returns { guard: LaneGuard, taken: bool },
}

fn run(job: &Job) -> Report {
    let registry = Registry::new();
    let start = clock::now();
    let id = EndpointId { base_url: "http://server".into(), model: "m".into() };
    let endpoint = registry.endpoint(&id, &Settings::default(), start);
    let lanes = Lanes::new(endpoint, None);
    let mut random = fastrand::Rng::with_seed(job.seed);
    let mut limiter = Limiter::new(job.kind, &job.rates);
    let mut report = Report { secs: 0.0, requests: 0, refused: 0, late_requests: 0, late_refused: 0 };
    let mut queue = job.rows;
    let (mut in_flight, mut done) = (0usize, 0usize);
    // Nanoseconds, then the order in which they were made.
    let mut events: BinaryHeap<Reverse<(u64, u64)>> = BinaryHeap::new();
    let mut pending: std::collections::HashMap<u64, Event> = std::collections::HashMap::new();
    let mut count = 0;
    let mut now_ns = 0u64;
    let ns = |secs: f64| (secs * 1e9).round() as u64;
    let mut post =
        |events: &mut BinaryHeap<_>, pending: &mut std::collections::HashMap<u64, Event>, at: u64, event| {
            count += 1;
            pending.insert(count, event);
            events.push(Reverse((at, count)));
        };
    while done < job.rows {
        let now: Instant = start + Duration::from_nanos(now_ns);
        let mut wake = None;
        while queue > 0 && in_flight < job.concurrency {
            match lanes.admit(Cost::default(), now, &AdmitOptions { sole: true, ..AdmitOptions::default() }) {
                Admission::Granted(mut guard) => {
                    guard.sent();
                    queue -= 1;
                    in_flight += 1;
                    let sent = now_ns as f64 / 1e9;
                    let arrives = now_ns + ns(job.jitter * random.f64());
                    post(&mut events, &mut pending, arrives, Event::Arrives { sent, guard });
                }
                Admission::NotBefore { at, .. } => {
                    // Timers are coarse: they fire at the next whole millisecond.
                    if std::env::var("TRACE").is_ok()
                        && at.is_some_and(|at| at > now + Duration::from_millis(700))
                    {
                        println!(
                            "{:.2} waits until {:.2}, done {done}",
                            now_ns as f64 / 1e9,
                            (at.unwrap() - start).as_secs_f64()
                        );
                    }
                    wake = at.map(|at| ((at - start).as_nanos() as u64).div_ceil(1_000_000) * 1_000_000);
                    break;
                }
            }
        }
        let next = events.peek().map(|Reverse((at, _))| *at);
        match (wake, next) {
            (Some(wake), Some(next)) if wake < next => {
                now_ns = wake;
                continue;
            }
            (Some(wake), None) => {
                now_ns = wake;
                continue;
            }
            (None, None) => panic!("nothing left to wait for"),
            _ => {}
        }
        let Reverse((at, event)) = events.pop().unwrap();
        now_ns = now_ns.max(at);
        let secs = now_ns as f64 / 1e9;
        assert!(secs < 3600.0, "{job:?}: {report:?}");
        match pending.remove(&event).unwrap() {
            Event::Arrives { sent, guard } => {
                let taken = limiter.takes(secs);
                report.requests += 1;
                report.refused += usize::from(!taken);
                if sent >= 2.0 {
                    report.late_requests += 1;
                    report.late_refused += usize::from(!taken);
                }
                let latency = if taken || !job.quick_refusals { job.latency } else { job.latency.min(0.02) };
                post(&mut events, &mut pending, now_ns + ns(latency), Event::Returns { guard, taken });
            }
            Event::Returns { guard, taken: true } => {
                limiter.open = limiter.open.saturating_sub(1);
                done += 1;
                in_flight -= 1;
                report.secs = secs;
                guard.succeed(None, start + Duration::from_nanos(now_ns));
            }
            Event::Returns { guard, taken: false } => {
                in_flight -= 1;
                queue += 1;
                let error = Error::new(ErrorKind::RateLimited, "too many requests").with_status(429);
                let error =
                    if job.retry_after { error.with_retry_after(Duration::from_secs(1)) } else { error };
                guard.fail(&error, 1, start + Duration::from_nanos(now_ns), random.f64());
            }
        }
    }
    report
}

#[test]
fn table() {
    for kind in [Kind::Bucket, Kind::Fixed, Kind::Sliding] {
        for n in [3.0, 10.0, 50.0, 200.0] {
            for latency in [0.0, 0.1, 0.3, 0.5, 1.0] {
                for retry_after in [true, false] {
                    for quick_refusals in [true, false] {
                        let rows = if n > 10.0 { (30.0 * n) as usize } else { 300 };
                        let mut worst = (0.0f64, 0.0f64);
                        let mut sum = 0.0;
                        for seed in 0..5 {
                            let job = Job {
                                kind,
                                rates: vec![(0.0, n)],
                                rows,
                                concurrency: 64,
                                latency,
                                quick_refusals,
                                retry_after,
                                jitter: 0.0,
                                seed,
                            };
                            let report = run(&job);
                            let ideal = (rows as f64 / n).max(rows as f64 * latency / 64.0);
                            let over = report.secs / ideal;
                            worst = (worst.0.max(over), worst.1.max(report.late_share()));
                            sum += over;
                        }
                        let mark = if worst.0 > 1.15 || worst.1 > 0.1 { "<<<" } else { "" };
                        println!(
                            "{kind:?} N={n} L={latency} RA={retry_after} quick={quick_refusals}: {:.3} (avg {:.3}), 429 {:.1} % {mark}",
                            worst.0,
                            sum / 5.0,
                            worst.1 * 100.0
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn one() {
    let get = |name: &str, or: f64| std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(or);
    let kind = match std::env::var("K").as_deref() {
        Ok("bucket") => Kind::Bucket,
        Ok("fixed") => Kind::Fixed,
        Ok("at") => Kind::AtATime,
        _ => Kind::Sliding,
    };
    let n = get("N", 10.0);
    let job = Job {
        kind,
        rates: vec![(0.0, n), (get("T2", 1e9), get("N2", n))],
        rows: get("ROWS", 300.0) as usize,
        concurrency: get("C", 64.0) as usize,
        latency: get("L", 0.5),
        quick_refusals: get("Q", 0.0) > 0.0,
        retry_after: get("RA", 1.0) > 0.0,
        jitter: get("J", 0.0),
        seed: get("SEED", 0.0) as u64,
    };
    let report = run(&job);
    println!("{job:?}\n{report:?} {:.1} %", 100.0 * report.late_share());
}

#[test]
fn explore() {
    let mut random = fastrand::Rng::with_seed(7);
    let mut results = Vec::new();
    let count: usize = std::env::var("COUNT").ok().and_then(|v| v.parse().ok()).unwrap_or(600);
    for seed in 0..count {
        let n = [3.0, 4.0, 5.0, 7.0, 10.0, 10.0, 13.0, 20.0, 30.0, 50.0, 64.0, 100.0, 150.0, 200.0]
            [random.usize(..14)];
        let kind = [Kind::Bucket, Kind::Fixed, Kind::Sliding][random.usize(..3)];
        let job = Job {
            kind,
            rates: vec![(0.0, n)],
            rows: ((n * 30.0) as usize).max(300),
            concurrency: [16, 64, 64, 200][random.usize(..4)],
            latency: random.f64(),
            quick_refusals: random.bool(),
            retry_after: random.bool(),
            jitter: [0.0, 0.005, 0.02, 0.1][random.usize(..4)],
            seed: seed as u64,
        };
        let report = run(&job);
        let rows = job.rows as f64;
        let ideal = (rows / n).max(rows * (job.latency + job.jitter / 2.0) / job.concurrency as f64);
        results.push((
            report.secs / ideal,
            (report.secs - job.latency) / ideal,
            report.late_share(),
            report.late_refused,
            job,
        ));
    }
    results.sort_by(|a, b| b.0.total_cmp(&a.0));
    println!("{} of {} over 1.15", results.iter().filter(|r| r.0 > 1.15).count(), results.len());
    for (over, less, late, count, job) in results.iter().take(25) {
        println!("{over:.3} {less:.3} {:.1}% ({count}) {job:?}", late * 100.0);
    }
    results.sort_by(|a, b| b.2.total_cmp(&a.2));
    println!("{} of {} with 10 % refused", results.iter().filter(|r| r.2 > 0.1).count(), results.len());
    for (over, _, late, count, job) in results.iter().take(12) {
        println!("{over:.3} {:.1}% ({count}) {job:?}", late * 100.0);
    }
}
