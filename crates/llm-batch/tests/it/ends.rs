//! How runs end: drained, aborted, at a deadline, after the first rows, in the order that was asked for.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use llm_batch::{MaxFailures, Notice, SaveInput, Shutdown, Stage, StopReason};
use llm_types::{ErrorKind, Phase};

use crate::support::{
    Desk, Fake, Reply, assert_answers, failed, prompt, questions, records, runner, statuses,
};

/// A client that answers ten rows and then asks for an end of the run.
fn ending_after_ten(shutdown: &Shutdown, end: fn(&Shutdown)) -> Arc<Fake> {
    let shutdown = shutdown.clone();
    Fake::new(move |prompt, n| {
        if n == 10 {
            end(&shutdown);
        }
        Reply::to(prompt).after(Duration::from_millis(20))
    })
}

#[tokio::test]
async fn drained_nothing_more_is_sent_and_what_is_in_flight_is_stored() {
    let desk = Desk::new();
    let all = questions(40);
    desk.questions(&all);
    let shutdown = Shutdown::default();
    let fake = ending_after_ten(&shutdown, Shutdown::drain);
    let summary = desk.run_with(runner(&fake).with_shutdown(&shutdown)).await;
    assert_eq!(summary.stopped.as_ref().unwrap().reason, StopReason::Drained);
    // The end was asked for in the eleventh call; up to three more may have begun beside it.
    assert!((11..=14).contains(&fake.count()), "{}", fake.count());
    assert_eq!(statuses(&desk.output())["success"] as u64, fake.count());
    assert_eq!((summary.success, summary.unrun), (fake.count(), Some(40 - fake.count())));
    let later = Fake::answering();
    let summary = desk.run(&later).await;
    assert_eq!((later.count(), summary.is_complete()), (40 - fake.count(), true));
    assert_answers(&desk.output(), &all);
}

#[tokio::test]
async fn aborted_what_is_in_flight_is_given_up_at_once_and_what_came_in_is_stored() {
    let desk = Desk::new();
    let all = questions(20);
    desk.questions(&all);
    let shutdown = Shutdown::default();
    let fake = Fake::new(|prompt, n| if n < 10 { Reply::to(prompt) } else { Reply::Never });
    let run = tokio::spawn({
        let run = runner(&fake).with_shutdown(&shutdown).run(desk.input(), desk.output());
        async move { run.await.unwrap() }
    });
    while fake.count() < 14 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    // Draining alone would wait for ever.
    shutdown.drain();
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(!run.is_finished());
    shutdown.abort();
    let summary = tokio::time::timeout(Duration::from_secs(1), run).await.expect("within a second").unwrap();
    assert_eq!(summary.stopped.unwrap().reason, StopReason::Aborted);
    assert_eq!(fake.in_flight(), 0);
    assert_eq!(summary.success, 10);
    let later = Fake::answering();
    desk.run(&later).await;
    assert_eq!(later.count(), 10);
    assert_answers(&desk.output(), &all);
}

#[tokio::test]
async fn a_drain_with_nothing_left_to_send_changes_nothing() {
    let desk = Desk::new();
    desk.questions(&["a"]);
    let shutdown = Shutdown::default();
    let end = shutdown.clone();
    let fake = Fake::new(move |prompt, _| {
        end.drain();
        Reply::to(prompt).after(Duration::from_millis(20))
    });
    let summary = desk.run_with(runner(&fake).with_shutdown(&shutdown)).await;
    assert!(summary.is_complete());
}

#[tokio::test]
async fn a_row_put_back_while_draining_is_not_sent_again() {
    let desk = Desk::new();
    desk.questions(&["a"]);
    let shutdown = Shutdown::default();
    let end = shutdown.clone();
    let fake = Fake::new(move |_, _| {
        end.drain();
        Reply::Fail(failed(ErrorKind::Unavailable, 0).with_retry_after(Duration::ZERO))
            .after(Duration::from_millis(5))
    });
    let summary = desk.run_with(runner(&fake).with_shutdown(&shutdown)).await;
    assert_eq!((fake.count(), summary.stopped.unwrap().reason), (1, StopReason::Drained));
    assert_eq!((summary.failed, summary.unrun), (0, Some(1)));
}

#[tokio::test]
async fn an_end_before_the_beginning_sends_nothing() {
    let desk = Desk::new();
    desk.questions(&["a"]);
    let fake = Fake::answering();
    let run = runner(&fake);
    run.shutdown().drain();
    let summary = desk.run_with(run).await;
    assert_eq!((fake.count(), summary.stopped.unwrap().reason), (0, StopReason::Drained));
}

#[tokio::test]
async fn at_the_deadline_the_run_ends_without_failures() {
    let desk = Desk::new();
    let all = questions(10);
    desk.questions(&all);
    // One client that does not keep the deadline, one that does.
    for keeps in [false, true] {
        let _ = std::fs::remove_file(desk.output());
        let fake = Fake::new(move |prompt, n| match (n < 3, keeps) {
            (true, _) => Reply::to(prompt),
            (false, false) => Reply::Never,
            (false, true) => Reply::fail(ErrorKind::Timeout(Phase::Call)).after(Duration::from_millis(250)),
        });
        let summary = desk.run_with(runner(&fake).deadline(Duration::from_millis(300))).await;
        assert_eq!(summary.stopped.unwrap().reason, StopReason::Deadline);
        assert_eq!((summary.success, summary.failed, summary.unrun), (3, 0, Some(7)));
        assert!(fake.calls.lock().unwrap().iter().all(|call| call.deadline.is_some()));
    }
    desk.run(&Fake::answering()).await;
    assert_answers(&desk.output(), &all);
}

#[tokio::test]
async fn a_limit_asks_the_first_rows_only() {
    let desk = Desk::new();
    let all = questions(10);
    desk.questions(&all);
    let fake = Fake::answering();
    let summary = desk.run_with(runner(&fake).limit(4)).await;
    assert_answers(&desk.output(), &all[..4]);
    assert_eq!((summary.total, summary.unrun, summary.is_complete()), (Some(4), Some(0), true));
    desk.run_with(runner(&fake).limit(6)).await;
    assert_eq!(fake.count(), 6);
    assert_answers(&desk.output(), &all[..6]);
    desk.run(&fake).await;
    assert_eq!(fake.count(), 10);
    assert_answers(&desk.output(), &all);
}

#[tokio::test]
async fn unordered_leaves_the_order_of_completion() {
    let desk = Desk::new();
    desk.questions(&questions(4));
    let fake =
        Fake::new(|prompt, n| Reply::to(prompt).after(Duration::from_millis(if n == 0 { 100 } else { 1 })));
    let summary = desk.run_with(runner(&fake).unordered(true)).await;
    let order: Vec<u64> = records(&desk.output()).iter().map(|r| r["index"].as_u64().unwrap()).collect();
    assert_eq!((order.last(), order.len(), summary.sorted), (Some(&0), 4, false));
    // The same file, sorted by a later run.
    let summary = desk.run(&fake).await;
    assert_eq!((fake.count(), summary.sorted), (4, true));
    assert_answers(&desk.output(), &questions(4));
}

#[tokio::test]
async fn a_failed_sort_is_a_warning_and_costs_nothing() {
    let desk = Desk::new();
    let all = questions(4);
    desk.questions(&all);
    std::fs::write(desk.at("out.jsonl.tmp"), "somebody's notes").unwrap();
    let fake =
        Fake::new(|prompt, n| Reply::to(prompt).after(Duration::from_millis(if n == 0 { 50 } else { 1 })));
    let summary = desk.run(&fake).await;
    assert!(summary.is_complete() && !summary.sorted);
    assert!(summary.warnings[0].contains("order of completion"), "{:?}", summary.warnings);
    assert_eq!(records(&desk.output()).len(), 4);
    assert_eq!(std::fs::read_to_string(desk.at("out.jsonl.tmp")).unwrap(), "somebody's notes");
    std::fs::remove_file(desk.at("out.jsonl.tmp")).unwrap();
    desk.run(&fake).await;
    assert_eq!(fake.count(), 4);
    assert_answers(&desk.output(), &all);
}

#[tokio::test]
async fn the_input_is_kept_as_far_as_wanted() {
    let desk = Desk::new();
    desk.rows(&[r#"{"q":"a","system":"s"}"#]);
    let fake = Fake::answering();
    for (save, expected) in [
        (SaveInput::Last, serde_json::json!("a")),
        (SaveInput::Nothing, serde_json::json!(null)),
        (SaveInput::Full, serde_json::json!([{"role":"system","content":"s"},{"role":"user","content":"a"}])),
    ] {
        let _ = std::fs::remove_file(desk.output());
        desk.run_with(runner(&fake).save_input(save)).await;
        assert_eq!(records(&desk.output())[0]["input"], expected);
        // Nothing of it is needed to go on.
        desk.run(&fake).await;
    }
    assert_eq!(fake.count(), 3);
}

#[tokio::test]
async fn progress_counts_and_notices_come_as_things_happen() {
    let desk = Desk::new();
    desk.rows(&[r#"{"q":"a"}"#, "bad", r#"{"q":"b"}"#, r#"{"q":"fails"}"#, r#"{"q":"c"}"#]);
    desk.run_with(runner(&Fake::answering()).limit(1)).await;
    let heard = Arc::new(Mutex::new(Vec::new()));
    let listener = Arc::clone(&heard);
    let fake = Fake::new(|prompt, _| match prompt {
        "fails" => Reply::fail(ErrorKind::ContextLength),
        prompt => Reply::to(prompt),
    });
    let run = runner(&fake).observer(move |notice: &Notice| {
        listener.lock().unwrap().push(match notice {
            Notice::Started { restored, total } => format!("started {restored:?} {total:?}"),
            Notice::FirstFailure { line, error } => format!("line {line}: {}", error.kind()),
            other => format!("{other:?}"),
        });
    });
    let progress = run.progress();
    assert_eq!(progress.snapshot().stage, Stage::Preparing);
    let summary = desk.run_with(run).await;
    let snapshot = progress.snapshot();
    assert_eq!((snapshot.stage, snapshot.total, snapshot.done), (Stage::Finished, Some(5), 5));
    assert_eq!((snapshot.success, snapshot.failed, snapshot.restored, snapshot.in_flight), (3, 2, 1, 0));
    assert_eq!((snapshot.input_tokens, snapshot.output_tokens), (6, 4));
    let mut heard = heard.lock().unwrap().clone();
    assert_eq!(heard.remove(0), "started Some(1) Some(5)");
    heard.sort();
    assert_eq!(heard, ["line 2: invalid_request", "line 4: context_length"]);
    assert!(MaxFailures::Rows(1).is_exceeded(&summary) && !MaxFailures::Percent(40.0).is_exceeded(&summary));
    let json = serde_json::to_value(&summary).unwrap();
    assert_eq!(
        (&json["v"], &json["success"], &json["stopped"]),
        (&1.into(), &3.into(), &serde_json::Value::Null)
    );
    assert_eq!(json["formats"]["simple"], 4);
    assert!(json["latency_ms"]["p99"].is_number() && json["elapsed_ms"].is_u64());
    assert_eq!(records(&desk.output()).iter().filter(|r| !r["input"].is_null()).map(prompt).count(), 4);
}
