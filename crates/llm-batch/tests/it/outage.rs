//! Endpoints that are down, slow down or come back, on a clock that can jump: the engine's threads only carry rows and
//! records, and nothing here is measured from below that a thread could delay.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use llm_batch::{Notice, StopReason};
use llm_types::{AttemptRecord, Error, ErrorKind};
use tokio::time::Instant;

use crate::support::{Desk, Fake, Reply, assert_answers, failed, questions, records, runner, statuses};

const MINUTE: Duration = Duration::from_secs(60);

/// As a client with four attempts fails on a dead endpoint: after seven seconds of back-off.
fn dead() -> Reply {
    let log = (1..=4).map(|number| AttemptRecord {
        number,
        kind: Some(ErrorKind::Connection),
        wait: if number == 1 { Duration::ZERO } else { Duration::from_secs(1 << (number - 2)) },
        endpoint: "http://x".into(),
        request_id: None,
    });
    let error = Error::new(ErrorKind::Connection, "refused").with_attempts(log.collect());
    Reply::Fail(error).after(Duration::from_secs(7))
}

fn unavailable(secs: u64) -> Reply {
    Reply::Fail(failed(ErrorKind::Unavailable, 0).with_retry_after(Duration::from_secs(secs)))
}

#[tokio::test(start_paused = true)]
async fn an_outage_pauses_the_queue_and_loses_no_row() {
    let desk = Desk::new();
    let all = questions(30);
    desk.questions(&all);
    let start = Instant::now();
    let down = move || (Duration::from_secs(5)..10 * MINUTE).contains(&start.elapsed());
    let fake = Fake::new(move |prompt, n| {
        if !down() {
            Reply::to(prompt).after(Duration::from_secs(1))
        } else if n % 2 == 0 {
            dead()
        } else {
            unavailable(30)
        }
    });
    let heard = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&heard);
    let run = runner(&fake).observer(move |notice: &Notice| {
        let word = match notice {
            Notice::Paused { .. } => "paused",
            Notice::Resumed => "resumed",
            _ => return,
        };
        listener.lock().unwrap().push(word);
    });
    let summary = desk.run_with(run).await;
    assert!(summary.is_complete(), "{:?}", summary.stopped);
    assert_eq!((summary.success, summary.failed), (30, 0));
    assert!(summary.requeued > 0);
    assert_answers(&desk.output(), &all);
    // One row at a time asked whether anybody answers.
    assert!(fake.count() < 30 + 80, "{} calls", fake.count());
    let heard = heard.lock().unwrap();
    assert_eq!((heard.first(), heard.last()), (Some(&"paused"), Some(&"resumed")));
}

#[tokio::test(start_paused = true)]
async fn after_max_outage_the_run_stops_without_failures() {
    let desk = Desk::new();
    let all = questions(20);
    desk.questions(&all);
    let start = Instant::now();
    let fake = Fake::new(|prompt, n| if n < 8 { Reply::to(prompt) } else { dead() });
    let summary = desk.run_with(runner(&fake).max_outage(5 * MINUTE)).await;
    let stop = summary.stopped.unwrap();
    assert_eq!((stop.reason, stop.error.unwrap().kind()), (StopReason::Outage, ErrorKind::Connection));
    let took = start.elapsed();
    assert!(took >= 5 * MINUTE && took < 7 * MINUTE, "{took:?}");
    assert_eq!((summary.success, summary.failed, summary.unrun), (8, 0, Some(12)));
    assert_eq!(statuses(&desk.output()).len(), 1);
    let later = Fake::answering();
    desk.run(&later).await;
    assert_eq!(later.count(), 12);
    assert_answers(&desk.output(), &all);
}

#[tokio::test(start_paused = true)]
async fn with_nothing_ever_answered_one_rows_retries_are_enough() {
    let desk = Desk::new();
    desk.questions(&questions(50));
    let start = Instant::now();
    let fake = Fake::new(|_, _| dead());
    let summary = desk.run(&fake).await;
    assert_eq!(summary.stopped.unwrap().reason, StopReason::Outage);
    assert!(start.elapsed() < Duration::from_secs(30), "{:?}", start.elapsed());
    assert_eq!((fake.count(), summary.failed), (4, 0));
    assert_eq!(records(&desk.output()).len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_only_ever_says_not_now_is_given_up_too() {
    let desk = Desk::new();
    desk.questions(&questions(50));
    let start = Instant::now();
    let fake = Fake::new(|_, _| unavailable(60));
    let summary = desk.run_with(runner(&fake).max_outage(10 * MINUTE)).await;
    assert_eq!(summary.stopped.unwrap().reason, StopReason::Outage);
    let took = start.elapsed();
    assert!(took >= 9 * MINUTE && took < 12 * MINUTE, "{took:?}");
    assert!(fake.count() < 20, "{} calls", fake.count());
}

#[tokio::test(start_paused = true)]
async fn an_empty_retry_budget_puts_a_row_back_and_never_fails_it() {
    let desk = Desk::new();
    let all = questions(40);
    desk.questions(&all);
    // Every first call of a row comes back after one attempt: the client had no retries left to spend.
    let seen = Mutex::new(std::collections::HashSet::new());
    let fake = Fake::new(move |prompt, _| {
        if seen.lock().unwrap().insert(prompt.to_owned()) {
            Reply::fail(ErrorKind::Server)
        } else {
            Reply::to(prompt)
        }
    });
    let summary = desk.run(&fake).await;
    assert_eq!((summary.success, summary.failed, summary.requeued), (40, 0, 40));
    assert_eq!((fake.count(), summary.attempts), (80, 80));
    assert_answers(&desk.output(), &all);
    assert!(records(&desk.output()).iter().all(|record| record["attempts"] == 2));
    // What a row has used up is not given to it again.
    let calls = fake.calls.lock().unwrap();
    assert_eq!(calls.iter().filter(|call| call.max_retries == Some(2)).count(), 40);
}

#[tokio::test(start_paused = true)]
async fn a_long_retry_after_is_waited_for_and_one_beyond_max_outage_stops_the_run() {
    let desk = Desk::new();
    let all = questions(6);
    desk.questions(&all);
    let limited =
        |secs| Reply::Fail(failed(ErrorKind::RateLimited, 1).with_retry_after(Duration::from_secs(secs)));
    let start = Instant::now();
    let fake = Fake::new(move |prompt, n| if n == 3 { limited(120) } else { Reply::to(prompt) });
    let summary = desk.run_with(runner(&fake).concurrency(1)).await;
    assert!(summary.is_complete() && start.elapsed() >= Duration::from_secs(120));
    assert_answers(&desk.output(), &all);

    std::fs::remove_file(desk.output()).unwrap();
    let start = Instant::now();
    let fake = Fake::new(move |prompt, n| if n == 3 { limited(114 * 3600) } else { Reply::to(prompt) });
    let summary = desk.run_with(runner(&fake).concurrency(1)).await;
    let stop = summary.stopped.unwrap();
    assert_eq!((stop.reason, stop.error.unwrap().kind()), (StopReason::Outage, ErrorKind::RateLimited));
    assert!(start.elapsed() < 16 * MINUTE);
    assert_eq!((summary.success, summary.failed), (3, 0));
}

#[tokio::test(start_paused = true)]
async fn a_row_that_alone_fails_is_written_as_failed_while_others_are_answered() {
    let desk = Desk::new();
    desk.questions(&questions(20));
    let fake = Fake::new(|prompt, _| match prompt {
        "question 4" => {
            Reply::Fail(failed(ErrorKind::Server, 4).with_status(500)).after(Duration::from_secs(2))
        }
        prompt => Reply::to(prompt).after(Duration::from_secs(1)),
    });
    for concurrency in [1, 4] {
        let _ = std::fs::remove_file(desk.output());
        let summary = desk.run_with(runner(&fake).concurrency(concurrency)).await;
        assert!(summary.is_complete(), "{:?}", summary.stopped);
        assert_eq!((summary.success, summary.failed), (19, 1));
        assert_eq!(records(&desk.output())[4]["error"]["kind"], "server");
    }
}

#[tokio::test]
async fn a_row_that_is_left_alone_and_fails_again_does_not_keep_the_job_from_its_end() {
    let desk = Desk::new();
    desk.questions(&["good", "bad"]);
    let fake = Fake::new(|prompt, _| match prompt {
        "bad" => Reply::Fail(failed(ErrorKind::Server, 4).with_status(500)).after(Duration::from_millis(50)),
        prompt => Reply::to(prompt).after(Duration::from_millis(100)),
    });
    for retried in [0, 1] {
        let summary = desk.run(&fake).await;
        assert!(summary.is_complete(), "{:?}", summary.stopped);
        assert_eq!((summary.success, summary.failed, summary.retried), (1, 1, retried));
    }
    assert_eq!(records(&desk.output()).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_rate_limit_that_passes_costs_no_row() {
    let desk = Desk::new();
    let all = questions(100);
    desk.questions(&all);
    // Ten a second; above that, 429 without a word on when to come back.
    let window = Mutex::new((Instant::now(), 0));
    let fake = Fake::new(move |prompt, _| {
        let mut window = window.lock().unwrap();
        if window.0.elapsed() >= Duration::from_secs(1) {
            *window = (Instant::now(), 0);
        }
        window.1 += 1;
        if window.1 <= 10 { Reply::to(prompt) } else { Reply::fail(ErrorKind::RateLimited) }
    });
    let summary = desk.run_with(runner(&fake).concurrency(32)).await;
    assert!(summary.is_complete());
    assert_eq!((summary.success, summary.failed), (100, 0));
    assert_answers(&desk.output(), &all);
}
