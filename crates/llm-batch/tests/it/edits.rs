//! Promises P3 and P7: answers follow their rows wherever the input is edited, and nothing paid is deleted.

use std::collections::BTreeMap;
use std::fs;

use llm_batch::{BatchError, Conflict, ErrorClass, Job, OnChange, SaveInput, verify};
use llm_types::{ChatRequest, ErrorKind};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use crate::support::{Desk, Fake, Reply, assert_answers, prompt, questions, records, runner};

fn with_temperature(temperature: f64) -> Job {
    Job {
        settings: ChatRequest { temperature: Some(temperature), ..ChatRequest::default() },
        ..Job::default()
    }
}

#[tokio::test]
async fn inserting_deleting_and_reordering_rows_reuses_every_answer() {
    let desk = Desk::new();
    desk.questions(&["a", "b", "c", "d"]);
    desk.run(&Fake::answering()).await;
    let edited = ["new", "d", "b", "a", "newer"];
    desk.questions(&edited);
    let fake = Fake::answering();
    let summary = desk.run(&fake).await;
    assert_eq!(fake.asked(), ["new", "newer"]);
    assert_answers(&desk.output(), &edited);
    assert_eq!((summary.restored, summary.new, summary.sorted), (3, 2, true));
    // The answer to `c` belongs to nobody now, and was paid.
    let unclaimed = summary.unclaimed.unwrap();
    assert_eq!((unclaimed.added, unclaimed.file.as_path()), (1, desk.side().as_path()));
    assert_eq!(records(&desk.side()).iter().map(prompt).collect::<Vec<_>>(), ["c"]);

    // It comes back with its row.
    let again = ["c", "a", "b"];
    desk.questions(&again);
    let fake = Fake::answering();
    let summary = desk.run(&fake).await;
    assert_eq!((fake.count(), summary.restored), (0, 3));
    assert_answers(&desk.output(), &again);
    let mut aside: Vec<String> = records(&desk.side()).iter().map(|r| prompt(r).to_owned()).collect();
    aside.sort();
    assert_eq!(aside, ["d", "new", "newer"]);

    // When all of it is claimed again, the side file goes.
    let all = ["new", "newer", "d", "c", "a", "b"];
    desk.questions(&all);
    let fake = Fake::answering();
    desk.run(&fake).await;
    assert_eq!(fake.count(), 0);
    assert_answers(&desk.output(), &all);
    assert_eq!(desk.files(), ["in.jsonl", "out.jsonl"]);
}

#[tokio::test]
async fn an_edited_row_is_asked_again() {
    let desk = Desk::new();
    desk.questions(&["a", "b"]);
    desk.run(&Fake::answering()).await;
    desk.questions(&["a", "b!"]);
    let fake = Fake::answering();
    desk.run(&fake).await;
    assert_eq!(fake.asked(), ["b!"]);
    assert_answers(&desk.output(), &["a", "b!"]);
}

#[tokio::test]
async fn equal_rows_are_matched_by_their_number() {
    let desk = Desk::new();
    desk.questions(&["x", "x", "y"]);
    desk.run(&Fake::answering()).await;
    desk.questions(&["x", "y", "x", "x", "x"]);
    let fake = Fake::answering();
    desk.run(&fake).await;
    assert_eq!(fake.asked(), ["x", "x"]);
    assert_answers(&desk.output(), &["x", "y", "x", "x", "x"]);
    desk.questions(&["y", "x"]);
    let summary = desk.run(&Fake::answering()).await;
    assert_eq!(summary.unclaimed.unwrap().added, 3);
    assert_answers(&desk.output(), &["y", "x"]);
}

#[tokio::test]
async fn new_metadata_and_a_reformatted_file_keep_the_answers() {
    let desk = Desk::new();
    desk.rows(&[r#"{"q":"a","label":1}"#, r#"{"q":"b"}"#, r#"{"q":"c","label":1.0}"#]);
    desk.run(&Fake::answering()).await;
    desk.rows(&[
        r#"{ "label": {"x":  2}, "prompt": "a" }"#,
        r#"{"messages":[{"role":"user","content":"b"}],"label":"new"}"#,
        r#"{"q":"c","label":1.0}"#,
    ]);
    let fake = Fake::answering();
    desk.run(&fake).await;
    assert_eq!(fake.count(), 0);
    assert_answers(&desk.output(), &["a", "b", "c"]);
    let text = fs::read_to_string(desk.output()).unwrap();
    let found: Vec<bool> = [
        r#""metadata":{"label":{"x":  2}},"#,
        r#""metadata":{"label":"new"},"#,
        r#""metadata":{"label":1.0},"#,
    ]
    .iter()
    .zip(text.lines())
    .map(|(metadata, line)| line.contains(metadata))
    .collect();
    assert_eq!(found, [true; 3], "{text}");
}

#[tokio::test]
async fn an_edited_input_is_sorted_even_where_completion_order_was_to_stay() {
    let desk = Desk::new();
    desk.questions(&["a", "b", "c"]);
    let fake = Fake::answering();
    desk.run_with(runner(&fake).unordered(true)).await;
    desk.questions(&["c", "b", "a"]);
    desk.run_with(runner(&fake).unordered(true)).await;
    assert_eq!(fake.count(), 3);
    assert_answers(&desk.output(), &["c", "b", "a"]);
}

#[tokio::test]
async fn a_name_is_part_of_the_row() {
    let desk = Desk::new();
    let job = || Job { id_field: Some("uid".into()), ..Job::default() };
    desk.rows(&[r#"{"q":"a","uid":"u1"}"#, r#"{"q":"a","uid":2}"#]);
    let fake = Fake::answering();
    desk.run_with(runner(&fake).job(job())).await;
    assert_eq!(records(&desk.output()).iter().map(|r| r["id"].clone()).collect::<Vec<_>>(), ["u1", "2"]);
    desk.rows(&[r#"{"q":"a","uid":2}"#, r#"{"q":"a","uid":"u3"}"#]);
    desk.run_with(runner(&fake).job(job())).await;
    assert_eq!(fake.count(), 3);
    assert_eq!(records(&desk.output()).iter().map(|r| r["id"].clone()).collect::<Vec<_>>(), ["2", "u3"]);
    assert!(verify(desk.input(), desk.output(), &job()).unwrap().is_complete());
    assert!(!verify(desk.input(), desk.output(), &Job::default()).unwrap().is_complete());
}

#[tokio::test]
async fn a_changed_job_is_refused_with_the_difference_named_and_nothing_touched() {
    let desk = Desk::new();
    desk.questions(&questions(3));
    desk.run_with(runner(&Fake::answering()).job(with_temperature(0.1))).await;
    let before = fs::read(desk.output()).unwrap();
    let tools = ChatRequest::from_openai_json(
        r#"{"tools":[{"type":"function","function":{"name":"f"}}],"temperature":0.1}"#,
    );
    let tools = Job { settings: tools.unwrap().0, ..Job::default() };
    for (job, expected) in [
        (with_temperature(0.2), &["parameters"][..]),
        (Job { system: Some("s".into()), ..with_temperature(0.1) }, &["system"]),
        (Job { user_template: Some("{content}?".into()), ..with_temperature(0.1) }, &["system"]),
        (Job { model: Some("other/model".into()), ..with_temperature(0.1) }, &["model"]),
        (tools, &["schema"]),
        (Job { model: Some("other/model".into()), ..Job::default() }, &["model", "parameters"]),
    ] {
        let fake = Fake::answering();
        let error = runner(&fake).job(job).run(desk.input(), desk.output()).await.unwrap_err();
        match &error {
            BatchError::Conflict(Conflict::JobChanged { parts, answers: 3, .. }) => {
                assert_eq!(parts, expected);
            }
            other => panic!("{other:?}"),
        }
        assert_eq!((error.class(), fake.count()), (ErrorClass::Conflict, 0));
        assert!(error.to_string().contains(expected[0]) && error.hint().unwrap().contains("keep"));
        assert_eq!(fs::read(desk.output()).unwrap(), before);
    }
    // What is no part of the job changes nothing.
    let fake = Fake::answering();
    let same = runner(&fake).job(with_temperature(0.10)).concurrency(1).save_input(SaveInput::Last);
    same.run(desk.input(), desk.output()).await.unwrap();
    assert_eq!(fake.count(), 0);
}

#[tokio::test]
async fn redo_asks_again_and_sets_the_old_answers_aside() {
    let desk = Desk::new();
    let all = questions(3);
    desk.questions(&all);
    desk.run(&Fake::new(|_, _| Reply::Text("old".into()))).await;
    let fake = Fake::answering();
    let summary = desk.run_with(runner(&fake).job(with_temperature(0.5)).on_change(OnChange::Redo)).await;
    assert_eq!((fake.count(), summary.restored, summary.unclaimed.unwrap().added), (3, 0, 3));
    assert_answers(&desk.output(), &all);
    assert!(records(&desk.side()).iter().all(|record| record["output"] == "old"));
    // Back to the first job: its answers are there.
    let fake = Fake::answering();
    desk.run_with(runner(&fake).on_change(OnChange::Redo)).await;
    assert_eq!(fake.count(), 0);
    assert!(records(&desk.output()).iter().all(|record| record["output"] == "old"));
}

#[tokio::test]
async fn a_redo_that_was_interrupted_goes_on() {
    let desk = Desk::new();
    let all = questions(6);
    desk.questions(&all);
    desk.run(&Fake::new(|_, _| Reply::Text("old".into()))).await;
    let dead =
        Fake::new(|prompt, n| if n < 2 { Reply::to(prompt) } else { Reply::fail(ErrorKind::Authentication) });
    let run = |fake| runner(fake).job(with_temperature(0.5)).on_change(OnChange::Redo).concurrency(1);
    assert!(desk.run_with(run(&dead)).await.stopped.is_some());
    let fake = Fake::answering();
    let summary = desk.run_with(run(&fake)).await;
    assert_eq!((fake.count(), summary.restored), (4, 2));
    assert_answers(&desk.output(), &all);
    assert_eq!(records(&desk.side()).len(), 6);
}

#[tokio::test]
async fn keep_uses_old_answers_and_asks_for_the_rest() {
    let desk = Desk::new();
    desk.questions(&["a", "b"]);
    desk.run(&Fake::answering()).await;
    desk.questions(&["a", "b", "c"]);
    let fake = Fake::answering();
    desk.run_with(runner(&fake).job(with_temperature(0.5)).on_change(OnChange::Keep)).await;
    assert_eq!(fake.asked(), ["c"]);
    assert_answers(&desk.output(), &["a", "b", "c"]);
    assert_eq!(desk.files(), ["in.jsonl", "out.jsonl"]);
}

#[tokio::test]
async fn failures_of_another_job_are_no_reason_to_refuse() {
    let desk = Desk::new();
    desk.questions(&["a", "b"]);
    let wrong = Job { model: Some("fake/modle".into()), ..Job::default() };
    let fake = Fake::new(|_, _| Reply::fail(ErrorKind::ModelNotFound));
    desk.run_with(runner(&fake).job(wrong)).await;
    assert_eq!(records(&desk.output())[0]["error"]["kind"], "model_not_found");
    let fake = Fake::answering();
    desk.run(&fake).await;
    assert_eq!(fake.count(), 2);
    assert_answers(&desk.output(), &["a", "b"]);
}

#[tokio::test]
async fn an_output_that_shares_no_row_is_another_jobs() {
    let desk = Desk::new();
    desk.questions(&["a", "b"]);
    desk.run(&Fake::answering()).await;
    let before = fs::read(desk.output()).unwrap();
    desk.questions(&["c", "d"]);
    let fake = Fake::answering();
    let error = runner(&fake).run(desk.input(), desk.output()).await.unwrap_err();
    assert!(matches!(error, BatchError::Conflict(Conflict::NothingShared { records: 2, .. })), "{error:?}");
    assert_eq!((fake.count(), fs::read(desk.output()).unwrap()), (0, before));
    desk.questions::<&str>(&[]);
    runner(&fake).run(desk.input(), desk.output()).await.unwrap_err();
    // Told otherwise, it goes on and keeps what was paid.
    desk.questions(&["c", "d"]);
    desk.run_with(runner(&fake).on_change(OnChange::Keep)).await;
    assert_answers(&desk.output(), &["c", "d"]);
    assert_eq!(records(&desk.side()).len(), 2);
}

#[tokio::test]
async fn with_a_limit_nothing_is_moved_away() {
    let desk = Desk::new();
    desk.questions(&["a", "b", "c", "d"]);
    desk.run(&Fake::answering()).await;
    desk.questions(&["new", "d", "a"]);
    let fake = Fake::answering();
    let summary = desk.run_with(runner(&fake).limit(2)).await;
    assert_eq!((fake.asked(), summary.total, summary.success), (vec!["new".to_owned()], Some(2), 2));
    assert!(summary.unclaimed.is_none() && !desk.side().exists());
    let mut stored: Vec<String> = records(&desk.output()).iter().map(|r| prompt(r).to_owned()).collect();
    stored.sort();
    assert_eq!(stored, ["a", "b", "c", "d", "new"]);
    let fake = Fake::answering();
    desk.run(&fake).await;
    assert_eq!(fake.count(), 0);
    assert_answers(&desk.output(), &["new", "d", "a"]);
    assert_eq!(records(&desk.side()).len(), 2);
}

/// A run killed between filling the side file and replacing the output finds the same answers in both.
#[tokio::test]
async fn answers_that_stand_in_both_files_are_set_aside_once() {
    let desk = Desk::new();
    desk.questions(&["a", "b", "c"]);
    desk.run(&Fake::answering()).await;
    let killed = fs::read(desk.output()).unwrap();
    desk.questions(&["a"]);
    desk.run(&Fake::answering()).await;
    fs::write(desk.output(), &killed).unwrap();
    // Half a line at its end is what a kill leaves.
    let mut side = fs::read(desk.side()).unwrap();
    side.extend_from_slice(b"{\"index\":7,\"stat");
    fs::write(desk.side(), side).unwrap();
    desk.run(&Fake::answering()).await;
    let text = fs::read_to_string(desk.side()).unwrap();
    assert_eq!(text.lines().filter(|line| line.ends_with('}')).count(), 2, "{text}");
    desk.questions(&["a", "b", "c"]);
    let fake = Fake::answering();
    desk.run(&fake).await;
    assert_eq!(fake.count(), 0);
    assert_answers(&desk.output(), &["a", "b", "c"]);
}

#[tokio::test]
async fn a_damaged_line_is_told_and_left_out() {
    let desk = Desk::new();
    let all = questions(4);
    desk.questions(&all);
    desk.run(&Fake::answering()).await;
    let text = fs::read_to_string(desk.output()).unwrap();
    let mut lines: Vec<&str> = text.lines().collect();
    lines[1] = "{\"index\":1,\"status\":\"succ";
    fs::write(desk.output(), lines.join("\n") + "\n").unwrap();
    let fake = Fake::answering();
    let summary = desk.run(&fake).await;
    assert_eq!(fake.asked(), ["question 1"]);
    assert!(summary.warnings[0].contains("line 2"), "{:?}", summary.warnings);
    assert_answers(&desk.output(), &all);
}

/// Any number of random edits and interruptions, against a model that is a list and a counter.
#[test]
fn any_edits_and_kills_keep_the_promises() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let edits = prop::collection::vec((prop::collection::vec(0..6_u8, 1..12), 0..1000_u64), 1..5);
    let mut proptest = TestRunner::new(Config { cases: 60, ..Config::default() });
    proptest
        .run(&edits, |edits| {
            let desk = Desk::new();
            let mut paid: BTreeMap<u8, u64> = BTreeMap::new();
            for (rows, cut) in edits {
                let names: Vec<String> = rows.iter().map(|row| format!("row {row}")).collect();
                desk.questions(&names);
                let fake = Fake::answering();
                let run = runner(&fake).on_change(OnChange::Keep).run(desk.input(), desk.output());
                let summary = runtime.block_on(run).unwrap();
                assert_answers(&desk.output(), &names);
                // Exactly what no answer was paid for, for each content, is asked.
                let mut asked = 0;
                for row in 0..6 {
                    let wanted = rows.iter().filter(|other| **other == row).count() as u64;
                    let have = paid.entry(row).or_default();
                    asked += wanted.saturating_sub(*have);
                    *have = (*have).max(wanted);
                }
                prop_assert_eq!(fake.count(), asked);
                prop_assert_eq!(summary.new, asked);
                let report = verify(desk.input(), desk.output(), &Job::default()).unwrap();
                prop_assert!(report.is_complete() && report.in_order);

                // A crash may cut the file anywhere; what it cuts off is paid again.
                let len = fs::metadata(desk.output()).unwrap().len();
                let cut = cut * len / 1000;
                fs::File::options().write(true).open(desk.output()).unwrap().set_len(cut).unwrap();
                paid.clear();
                for path in [desk.output(), desk.side()] {
                    for line in fs::read_to_string(path).unwrap_or_default().lines() {
                        if let Ok(record) = serde_json::from_str::<serde_json::Value>(line) {
                            let row: u8 = prompt(&record).strip_prefix("row ").unwrap().parse().unwrap();
                            *paid.entry(row).or_default() += 1;
                        }
                    }
                }
            }
            Ok(())
        })
        .unwrap();
}
