//! Inputs and outputs as they come: empty, huge, piped, linked, foreign, in the way.

use std::fs;
use std::io::{self, Read};
use std::sync::mpsc;
use std::time::Duration;

use llm_batch::{BatchError, Conflict, ErrorClass, Input, Job, verify};

use crate::support::{Desk, Fake, Reply, assert_answers, questions, records, runner};

#[tokio::test]
async fn an_input_without_rows_is_done_at_once() {
    for text in ["", "\n\n", "\u{feff}", "\r\n"] {
        let desk = Desk::new();
        fs::write(desk.input(), text).unwrap();
        let fake = Fake::answering();
        let summary = desk.run(&fake).await;
        assert_eq!((summary.total, summary.success, fake.count()), (Some(0), 0, 0));
        assert_eq!(fs::read(desk.output()).unwrap(), b"");
        assert!(verify(desk.input(), desk.output(), &Job::default()).unwrap().is_complete());
    }
}

#[tokio::test]
async fn a_row_of_sixteen_mebibytes_is_a_row() {
    let desk = Desk::new();
    let long = "x".repeat(16 << 20);
    desk.questions(&["short", &long, "last"]);
    let fake = Fake::new(|prompt, _| Reply::Text(prompt.len().to_string()));
    let summary = desk.run(&fake).await;
    assert_eq!(summary.success, 3);
    let outputs: Vec<String> =
        records(&desk.output()).iter().map(|r| r["output"].as_str().unwrap().to_owned()).collect();
    assert_eq!(outputs, ["5", "16777216", "4"]);
    let fake = Fake::answering();
    desk.run(&fake).await;
    assert_eq!(fake.count(), 0);
}

#[tokio::test]
async fn compressed_input_is_named_as_such() {
    let desk = Desk::new();
    fs::write(desk.input(), b"\x1f\x8b\x08\0\0\0\0\0").unwrap();
    let fake = Fake::answering();
    let error = runner(&fake).run(desk.input(), desk.output()).await.unwrap_err();
    assert_eq!((error.class(), desk.files()), (ErrorClass::Usage, vec!["in.jsonl".to_owned()]));
    // A pipe is known when it is read: nothing was sent, and the run says why.
    let pipe = Input::reader("stdin", io::Cursor::new(b"\x1f\x8b\x08\0\0\0"));
    let text = runner(&fake).run(pipe, desk.output()).await.unwrap().stopped.unwrap().message;
    assert!(text.contains("gzip") && text.contains("not read yet"), "{text}");
    assert_eq!(fake.count(), 0);
}

#[tokio::test]
async fn the_input_is_never_overwritten() {
    let desk = Desk::new();
    desk.questions(&["a"]);
    let before = fs::read(desk.input()).unwrap();
    fs::hard_link(desk.input(), desk.at("hard.jsonl")).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(desk.input(), desk.at("soft.jsonl")).unwrap();
    let fake = Fake::answering();
    for name in ["in.jsonl", "hard.jsonl", "soft.jsonl"] {
        if !desk.at(name).exists() {
            continue;
        }
        let error = runner(&fake).run(desk.input(), desk.at(name)).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Usage, "{name}: {error}");
        assert_eq!(fs::read(desk.input()).unwrap(), before);
    }
    assert_eq!(fake.count(), 0);
}

#[tokio::test]
async fn files_that_cannot_be_are_told_before_anything_is_sent() {
    let desk = Desk::new();
    desk.questions(&["a"]);
    fs::create_dir(desk.at("folder")).unwrap();
    fs::write(desk.at("other.jsonl"), "{\"index\":0,\"output\":\"x\",\"status\":\"success\",\"input\":[]}\n")
        .unwrap();
    fs::write(desk.at("notes.txt"), "milk\neggs\n").unwrap();
    let fake = Fake::answering();
    for (output, class) in [
        ("folder", ErrorClass::Io),
        ("no/such/folder/out.jsonl", ErrorClass::Io),
        ("other.jsonl", ErrorClass::Conflict),
        ("notes.txt", ErrorClass::Conflict),
    ] {
        let error = runner(&fake).run(desk.input(), desk.at(output)).await.unwrap_err();
        assert_eq!(error.class(), class, "{output}: {error}");
    }
    assert_eq!(fs::read_to_string(desk.at("notes.txt")).unwrap(), "milk\neggs\n");
    for (input, class) in [("missing.jsonl", ErrorClass::NotFound), ("folder", ErrorClass::Io)] {
        let error = runner(&fake).run(desk.at(input), desk.output()).await.unwrap_err();
        assert_eq!(error.class(), class, "{input}: {error}");
    }
    assert!(!desk.output().exists(), "a run that could not begin leaves no output");
    let error = runner(&fake).run(desk.input(), desk.at("notes.txt")).await.unwrap_err();
    assert!(matches!(error, BatchError::Conflict(Conflict::Foreign { line: 1, .. })));
    assert_eq!(fake.count(), 0);
}

#[cfg(unix)]
#[tokio::test]
async fn a_linked_output_stays_a_link_and_keeps_its_mode() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let desk = Desk::new();
    let all = questions(3);
    desk.questions(&all);
    fs::create_dir(desk.at("data")).unwrap();
    symlink(desk.at("data").join("real.jsonl"), desk.output()).unwrap();
    let fake =
        Fake::new(|prompt, n| Reply::to(prompt).after(Duration::from_millis(if n == 0 { 30 } else { 1 })));
    desk.run_with(runner(&fake).limit(1)).await;
    fs::set_permissions(desk.output(), fs::Permissions::from_mode(0o640)).unwrap();
    desk.questions(&["question 2", "question 1", "question 0"]);
    desk.run(&fake).await;
    assert!(fs::symlink_metadata(desk.output()).unwrap().is_symlink());
    assert_eq!(fs::metadata(desk.output()).unwrap().permissions().mode() & 0o777, 0o640);
    assert_answers(&desk.at("data").join("real.jsonl"), &["question 2", "question 1", "question 0"]);
}

/// A pipe whose writer decides when a line comes.
struct Pipe(mpsc::Receiver<Vec<u8>>, Vec<u8>);

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.1.is_empty() {
            match self.0.recv() {
                Ok(bytes) => self.1 = bytes,
                Err(_) => return Ok(0),
            }
        }
        let count = self.1.as_slice().read(buffer)?;
        self.1.drain(..count);
        Ok(count)
    }
}

#[tokio::test]
async fn rows_of_a_slow_pipe_are_asked_as_they_come() {
    let desk = Desk::new();
    let (send, receive) = mpsc::channel();
    let fake = Fake::answering();
    let run = tokio::spawn({
        let run = runner(&fake).run(Input::reader("stdin", Pipe(receive, Vec::new())), desk.output());
        async move { run.await.unwrap() }
    });
    for n in 0..3 {
        // Half a line first: it is no row yet.
        send.send(b"{\"q\":".to_vec()).unwrap();
        send.send(format!("\"question {n}\"}}\n").into_bytes()).unwrap();
        while fake.count() <= n {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        assert!(!run.is_finished());
    }
    drop(send);
    let summary = run.await.unwrap();
    assert_eq!((summary.total, summary.success), (Some(3), 3));
    assert_answers(&desk.output(), &questions(3));
}

#[tokio::test]
async fn a_pipe_is_compared_with_an_output_that_has_rows_before_anything_is_sent() {
    let desk = Desk::new();
    let pipe = |questions: &[&str]| {
        let text: String = questions.iter().map(|q| format!("{{\"q\":\"{q}\"}}\n")).collect();
        Input::reader("stdin", io::Cursor::new(text))
    };
    let fake = Fake::answering();
    runner(&fake).run(pipe(&["a", "b"]), desk.output()).await.unwrap();
    let error = runner(&fake).run(pipe(&["c"]), desk.output()).await.unwrap_err();
    assert!(matches!(error, BatchError::Conflict(Conflict::NothingShared { .. })));
    runner(&fake).run(pipe(&["c", "b", "a"]), desk.output()).await.unwrap();
    assert_eq!(fake.asked(), ["a", "b", "c"]);
    assert_answers(&desk.output(), &["c", "b", "a"]);
    assert_eq!(desk.files(), ["out.jsonl"], "the copy is gone");
}

#[tokio::test]
async fn an_end_is_heard_while_a_pipe_brings_nothing() {
    let desk = Desk::new();
    let (send, receive) = mpsc::channel();
    send.send(b"{\"q\":\"a\"}\n".to_vec()).unwrap();
    let fake = Fake::answering();
    let run = runner(&fake);
    let shutdown = run.shutdown();
    let run = tokio::spawn({
        let run = run.run(Input::reader("stdin", Pipe(receive, Vec::new())), desk.output());
        async move { run.await.unwrap() }
    });
    while fake.count() == 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    shutdown.drain();
    let summary = tokio::time::timeout(Duration::from_secs(5), run).await.expect("it ends").unwrap();
    assert_eq!((summary.success, summary.total, summary.unrun), (1, None, None));
    drop(send);
}

#[tokio::test]
async fn verify_tells_what_is_wrong_and_where() {
    let desk = Desk::new();
    desk.questions(&["a", "b", "b", "c"]);
    desk.run(&Fake::answering()).await;
    let good = fs::read_to_string(desk.output()).unwrap();
    let look = || verify(desk.input(), desk.output(), &Job::default()).unwrap();
    let report = look();
    assert!(report.is_complete() && report.in_order);
    assert_eq!((report.rows, report.records, report.success, report.failed), (4, 4, 4, 0));

    let lines: Vec<&str> = good.lines().collect();
    let write = |lines: &[&str]| fs::write(desk.output(), lines.join("\n") + "\n").unwrap();
    write(&[lines[0], lines[1], lines[3]]);
    assert_eq!((look().missing.lines, look().is_complete()), (vec![3], false));
    write(&[lines[0], lines[1], lines[1], lines[2], lines[3]]);
    assert_eq!((look().duplicates.count, look().missing.count), (1, 0));
    write(&[lines[3], lines[0], lines[1], lines[2]]);
    assert!(look().is_complete() && !look().in_order);
    write(&[lines[0], lines[1], lines[2], &lines[3].replace("\"index\":3", "\"index\":9")]);
    assert_eq!((look().misplaced.lines, look().is_complete()), (vec![4], false));
    write(&[lines[0], "{\"torn", "{}", lines[1], lines[2], lines[3]]);
    assert_eq!(look().damaged.lines, [2, 3]);
    fs::write(desk.output(), good.trim_end()).unwrap();
    assert!(!look().ended && !look().is_complete());
    write(&lines);
    desk.questions(&["a", "b", "b"]);
    assert_eq!((look().foreign.lines, look().is_complete()), (vec![4], false));
}
