//! The promises P1 to P8 of the batch runner: killed anywhere, nothing is lost, nothing is paid twice.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use llm_batch::{BatchError, Conflict, ErrorClass, StopReason, verify};
use llm_types::ErrorKind;

use crate::support::{
    Desk, Fake, Reply, assert_answers, failed, prompt, questions, records, runner, statuses,
};

#[tokio::test]
async fn every_row_is_in_the_output_once_and_in_order() {
    let desk = Desk::new();
    let all = questions(50);
    desk.questions(&all);
    // Later rows are answered first.
    let fake = Fake::new(|prompt, n| Reply::to(prompt).after(Duration::from_millis(20 - n % 20)));
    let summary = desk.run(&fake).await;
    assert_answers(&desk.output(), &all);
    assert!(fake.most() <= 4 && fake.most() > 1);
    assert!(summary.is_complete() && summary.sorted);
    assert_eq!((summary.total, summary.success, summary.failed, summary.new), (Some(50), 50, 0, 50));
    assert_eq!(summary.usage.unwrap().total(), 250);
    assert_eq!(desk.files(), ["in.jsonl", "out.jsonl"]);
    assert!(verify(desk.input(), desk.output(), &Default::default()).unwrap().is_complete());
}

/// Promise 1 and invariant 6, by cutting a finished output at every byte: what a kill or a crash can leave.
#[tokio::test]
async fn cut_at_every_byte_and_resumed_each_row_is_there_once_and_whole_answers_are_not_paid_again() {
    let desk = Desk::new();
    let script = |prompt: &str, _| match prompt {
        "fails" => Reply::fail(ErrorKind::ContextLength),
        prompt => Reply::to(prompt),
    };
    desk.rows(&[
        r#"{"q":"one"}"#,
        r#"{"q":"twice"}"#,
        "bad row",
        r#"{"q":"twice","n":1}"#,
        r#"{"q":"fails"}"#,
    ]);
    desk.run(&Fake::new(script)).await;
    let whole = fs::read(desk.output()).unwrap();
    let expected = records(&desk.output());
    let lengths: Vec<usize> = whole.split_inclusive(|byte| *byte == b'\n').map(<[u8]>::len).collect();
    assert_eq!(lengths.len(), 5);

    for cut in 0..whole.len() {
        fs::write(desk.output(), &whole[..cut]).unwrap();
        let fake = Fake::new(script);
        let summary = desk.run(&fake).await;
        let found = records(&desk.output());
        for (found, expected) in found.iter().zip(&expected) {
            for member in ["index", "status", "output", "input", "metadata", "key", "parts", "attempts"] {
                assert_eq!(found[member], expected[member], "cut at {cut}");
            }
        }
        assert_eq!(found.len(), 5, "cut at {cut}");
        // A record that lacks only its line break is whole.
        let mut end = 0;
        let kept = lengths.iter().take_while(|length| {
            end += **length;
            cut + 1 >= end
        });
        let kept = kept.count();
        let paid = 5 - kept - usize::from(kept <= 2);
        assert_eq!((fake.count(), summary.restored), (paid as u64, kept as u64), "cut at {cut}");
        assert_eq!(desk.files(), ["in.jsonl", "out.jsonl"], "cut at {cut}");
    }
}

/// The same with answers in the order of completion, cut inside the file and overwritten with NULs or junk behind.
#[tokio::test]
async fn holes_of_nuls_and_junk_cost_only_the_rows_they_cover() {
    let desk = Desk::new();
    let all = questions(6);
    desk.questions(&all);
    desk.run(&Fake::answering()).await;
    let whole = fs::read(desk.output()).unwrap();
    let ends: Vec<usize> =
        whole.iter().enumerate().filter(|(_, b)| **b == b'\n').map(|(at, _)| at + 1).collect();
    for (from, to, fill) in [
        (ends[1], ends[2], b'\0'),
        (ends[1] + 5, ends[2] + 9, b'\0'),
        (ends[3] - 20, ends[3], b'\xff'),
        (ends[0], ends[5], b'x'),
        (ends[4] + 3, ends[5], b'\0'),
    ] {
        let mut bytes = whole.clone();
        bytes[from..to].fill(fill);
        fs::write(desk.output(), &bytes).unwrap();
        let hurt: Vec<String> = (0..6_usize)
            .filter(|n| ends.get(n.wrapping_sub(1)).copied().unwrap_or(0) < to && ends[*n] > from)
            .map(|n| all[n].clone())
            .collect();
        let fake = Fake::answering();
        let summary = desk.run(&fake).await;
        assert_eq!(fake.asked(), hurt);
        assert_answers(&desk.output(), &all);
        assert!(summary.sorted);
    }
}

#[tokio::test]
async fn a_finished_job_sends_nothing_and_leaves_the_file_alone() {
    let desk = Desk::new();
    desk.questions(&questions(5));
    desk.run(&Fake::answering()).await;
    let before = fs::metadata(desk.output()).unwrap().modified().unwrap();
    let fake = Fake::answering();
    let summary = desk.run(&fake).await;
    assert_eq!((fake.count(), summary.restored, summary.new, summary.success), (0, 5, 0, 5));
    assert_eq!(fs::metadata(desk.output()).unwrap().modified().unwrap(), before);
}

#[tokio::test]
async fn a_run_dropped_in_the_middle_has_stored_what_was_answered() {
    let desk = Desk::new();
    let all = questions(20);
    desk.questions(&all);
    let fake = Fake::new(|prompt, n| if n < 10 { Reply::to(prompt) } else { Reply::Never });
    let run = runner(&fake).run(desk.input(), desk.output());
    assert!(tokio::time::timeout(Duration::from_millis(500), run).await.is_err());
    while fake.in_flight() > 0 {
        // Dropping the run gives up its calls; the runtime drops them when it comes to them.
        tokio::task::yield_now().await;
    }
    // The writer lets go of the lock when it is done.
    let second = Fake::answering();
    let summary = loop {
        match runner(&second).run(desk.input(), desk.output()).await {
            Err(BatchError::Conflict(Conflict::Locked { .. })) => {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            result => break result.unwrap(),
        }
    };
    assert_eq!((summary.restored, second.count()), (10, 10));
    assert_answers(&desk.output(), &all);
}

#[tokio::test]
async fn a_second_run_on_the_output_leaves_at_once_and_sends_nothing() {
    let desk = Desk::new();
    desk.questions(&questions(3));
    let slow = Fake::new(|prompt, _| Reply::to(prompt).after(Duration::from_millis(400)));
    let first = tokio::spawn({
        let run = runner(&slow).run(desk.input(), desk.output());
        async move { run.await.unwrap() }
    });
    while slow.count() == 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let fake = Fake::answering();
    let error = runner(&fake).run(desk.input(), desk.output()).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Conflict);
    let process = Some(std::process::id());
    assert!(
        matches!(error, BatchError::Conflict(Conflict::Locked { process: found, .. }) if found == process)
    );
    assert_eq!(fake.count(), 0);
    assert!(first.await.unwrap().is_complete());
    assert_answers(&desk.output(), &questions(3));
}

#[tokio::test]
async fn failures_are_stored_once_and_tried_again_by_kind() {
    let desk = Desk::new();
    desk.questions(&["good", "busy", "broken"]);
    let first = Fake::new(|prompt, _| match prompt {
        "busy" => Reply::Fail(failed(ErrorKind::Timeout(llm_types::Phase::Call), 2)),
        "broken" => Reply::Fail(failed(ErrorKind::InvalidRequest, 1).with_status(400)),
        prompt => Reply::to(prompt),
    });
    let summary = desk.run(&first).await;
    assert_eq!((summary.success, summary.failed), (1, 2));
    let stored = records(&desk.output());
    assert_eq!(stored[1]["error"]["kind"], "timeout");
    assert_eq!(stored[1]["error"]["phase"], "call");
    assert_eq!(stored[1]["error"]["retryable"], true);
    assert_eq!(stored[1]["attempts"], 2);
    assert_eq!(stored[2]["error"]["http_status"], 400);
    assert_eq!(stored[2]["output"], serde_json::Value::Null);
    let mut kinds: Vec<&str> = summary.errors.iter().map(|error| error.kind.as_str()).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["invalid_request", "timeout"]);

    // What may pass is tried again by itself.
    let second = Fake::answering();
    let summary = desk.run(&second).await;
    assert_eq!(second.asked(), ["busy"]);
    assert_eq!((summary.success, summary.failed, summary.retried, summary.restored), (2, 1, 1, 2));
    assert_eq!(summary.restored_failed, 1);
    assert_eq!(records(&desk.output()).len(), 3);

    // The rest when told to.
    let third = Fake::answering();
    desk.run_with(runner(&third).retry_failed(true)).await;
    assert_eq!(third.asked(), ["broken"]);
    assert_answers(&desk.output(), &["good", "busy", "broken"]);
}

#[tokio::test]
async fn a_row_that_fails_again_still_stands_there_once() {
    let desk = Desk::new();
    desk.questions(&["a", "b"]);
    let script = |prompt: &str, _| match prompt {
        "a" => Reply::fail(ErrorKind::Truncated),
        prompt => Reply::to(prompt),
    };
    for run in 0..3 {
        let fake = Fake::new(script);
        let summary = desk.run(&fake).await;
        assert_eq!((fake.count(), summary.retried), (if run == 0 { 2 } else { 1 }, u64::from(run > 0)));
        assert_eq!(records(&desk.output()).iter().map(prompt).collect::<Vec<_>>(), ["a", "b"]);
    }
}

#[tokio::test]
async fn only_whole_answers_count_as_success() {
    let desk = Desk::new();
    desk.questions(&["empty", "full"]);
    let fake = Fake::new(|prompt, _| match prompt {
        "empty" => Reply::Text(String::new()),
        prompt => Reply::to(prompt),
    });
    let summary = desk.run(&fake).await;
    let stored = records(&desk.output());
    assert_eq!((&stored[0]["status"], &stored[0]["error"]["kind"]), (&"error".into(), &"protocol".into()));
    assert_eq!(stored[0]["usage"]["input_tokens"], 3, "it was paid all the same");
    assert_eq!(summary.usage.unwrap().total(), 10);
    assert_eq!(statuses(&desk.output())["success"], 1);
}

#[tokio::test]
async fn a_panic_in_one_call_costs_one_row() {
    let desk = Desk::new();
    desk.questions(&["a", "boom", "c"]);
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let fake = Fake::new(|prompt, _| if prompt == "boom" { Reply::Panic } else { Reply::to(prompt) });
    let summary = desk.run(&fake).await;
    std::panic::set_hook(hook);
    assert_eq!((summary.success, summary.failed), (2, 1));
    let stored = records(&desk.output());
    assert_eq!(stored[1]["error"]["kind"], "internal");
    assert!(!stored[1]["error"].to_string().contains("planted"), "its text may quote the prompt");
}

#[tokio::test]
async fn a_refused_key_stops_the_run_writes_no_failures_and_a_later_run_goes_on() {
    for (error, reason) in [
        (failed(ErrorKind::Authentication, 1).with_status(401), StopReason::Key),
        (failed(ErrorKind::QuotaExhausted, 1).with_status(402), StopReason::Quota),
        (failed(ErrorKind::QuotaExhausted, 1).with_status(429), StopReason::Quota),
        (failed(ErrorKind::PermissionDenied, 1).with_status(403), StopReason::Key),
        (failed(ErrorKind::Budget, 0), StopReason::Budget),
        (failed(ErrorKind::Config, 0), StopReason::Config),
    ] {
        let desk = Desk::new();
        let all = questions(40);
        desk.questions(&all);
        let told = error.clone();
        let fake = Fake::new(move |prompt, n| {
            let reply = if n < 10 { Reply::to(prompt) } else { Reply::Fail(told.clone()) };
            reply.after(Duration::from_millis(2))
        });
        let summary = desk.run(&fake).await;
        let stop = summary.stopped.clone().unwrap();
        assert_eq!(stop.reason, reason);
        assert_eq!(stop.error.unwrap().kind(), error.kind());
        assert!(fake.count() <= 10 + 3 * 4, "{} requests", fake.count());
        assert_eq!(statuses(&desk.output()).into_iter().collect::<Vec<_>>(), [("success".to_owned(), 10)]);
        assert_eq!((summary.failed, summary.unrun), (0, Some(30)));
        let later = Fake::answering();
        desk.run(&later).await;
        assert_eq!(later.count(), 30);
        assert_answers(&desk.output(), &all);
    }
}

#[tokio::test]
async fn one_row_refused_with_403_is_that_rows_failure() {
    let desk = Desk::new();
    let all = questions(12);
    desk.questions(&all);
    let fake = Fake::new(|prompt, _| match prompt {
        "question 3" | "question 11" => Reply::fail(ErrorKind::PermissionDenied),
        prompt => Reply::to(prompt),
    });
    let summary = desk.run_with(runner(&fake).concurrency(1)).await;
    assert!(summary.is_complete());
    assert_eq!((summary.success, summary.failed), (10, 2));
    assert_eq!(records(&desk.output())[3]["error"]["kind"], "permission_denied");
    assert_eq!(records(&desk.output()).len(), 12);
}

/// Equal rows are one content: the key is not proven dead by the same prompt asked twice.
#[tokio::test]
async fn the_same_row_refused_twice_is_no_proof_against_the_key() {
    let desk = Desk::new();
    desk.questions(&["bad", "bad", "good"]);
    let fake = Fake::new(|prompt, _| match prompt {
        "bad" => Reply::fail(ErrorKind::PermissionDenied),
        prompt => Reply::to(prompt),
    });
    let summary = desk.run_with(runner(&fake).concurrency(1)).await;
    assert_eq!((summary.success, summary.failed), (1, 2));
    assert!(summary.is_complete());
}

#[test]
fn a_whole_run_needs_no_runtime_of_a_certain_kind() {
    let desk = Desk::new();
    desk.questions(&questions(8));
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_time().build().unwrap();
    let fake = Fake::answering();
    runtime.block_on(desk.run(&fake));
    assert_answers(&desk.output(), &questions(8));
    assert_eq!(Arc::strong_count(&fake), 1);
}
