//! Rows that cannot be sent, rows of every format, rows that would set what they may not.

use std::fs;

use llm_batch::{BatchError, ErrorClass, Format, Job};
use llm_types::{ChatRequest, Role};

use crate::support::{Desk, Fake, Reply, prompt, records, runner, statuses};

#[tokio::test]
async fn rows_of_every_format_may_stand_in_one_file() {
    let desk = Desk::new();
    desk.rows(&[
        r#"{"messages":[{"role":"user","content":"chat"}],"id":"001"}"#,
        r#"{"instruction":"alpaca","input":"in","output":"dropped"}"#,
        r#"{"question":"simple","system":"own"}"#,
        r#"{"custom_id":"r-1","method":"POST","url":"/v1/chat/completions","body":{"model":"gpt-9","messages":[{"role":"user","content":"batch"}],"temperature":0.9}}"#,
    ]);
    let job = Job {
        system: Some("job's".into()),
        settings: ChatRequest { temperature: Some(0.1), max_tokens: Some(7), ..ChatRequest::default() },
        ..Job::default()
    };
    let fake = Fake::answering();
    let summary = desk.run_with(runner(&fake).job(job).concurrency(1)).await;
    assert_eq!(fake.asked.lock().unwrap().as_slice(), ["chat", "alpaca\n\nin", "simple", "batch"]);
    let requests = fake.requests.lock().unwrap();
    let systems: Vec<String> = requests.iter().map(|r| r.messages[0].text()).collect();
    assert_eq!(systems, ["job's", "job's", "own", "job's"]);
    assert!(requests.iter().all(|r| r.messages[0].role == Role::System && r.max_tokens == Some(7)));
    assert_eq!(requests.iter().map(|r| r.temperature.unwrap()).collect::<Vec<_>>(), [0.1, 0.1, 0.1, 0.9]);
    let formats: Vec<(Format, u64)> = summary.formats.into_iter().collect();
    assert_eq!(
        formats,
        [(Format::OpenaiChat, 1), (Format::OpenaiBatch, 1), (Format::Alpaca, 1), (Format::Simple, 1)]
    );
    assert!(
        summary.warnings[0].contains("gpt-9") && summary.warnings[0].contains("line 4"),
        "{:?}",
        summary.warnings
    );
    let stored = records(&desk.output());
    assert_eq!(stored[0]["metadata"], serde_json::json!({"id": "001"}));
    assert_eq!((&stored[1]["metadata"], &stored[3]["id"]), (&serde_json::Value::Null, &"r-1".into()));
    assert_eq!(stored[3]["input"][0]["content"], "job's");
}

#[tokio::test]
async fn a_bad_row_is_a_failed_row_named_by_its_line_and_the_job_goes_on() {
    let desk = Desk::new();
    fs::write(
        desk.input(),
        b"\xef\xbb\xbf{\"q\":\"one\"}\r\n\r\n{\"q\":\r\n   \n{\"text\":\"SECRET\"}\n[]\n\xff\xfe\n{\"q\":\"two\"}",
    )
    .unwrap();
    let fake = Fake::answering();
    let summary = desk.run(&fake).await;
    assert_eq!(fake.asked(), ["one", "two"]);
    let stored = records(&desk.output());
    let messages: Vec<Option<&str>> = stored.iter().map(|r| r["error"]["message"].as_str()).collect();
    assert_eq!(
        messages,
        [
            None,
            Some("line 3: not a JSON object: it ends too early at column 5"),
            Some("line 5: none of messages, instruction, q, question, prompt and body is there; found text"),
            Some("line 6: a JSON list; one object a line is needed"),
            Some("line 7: not UTF-8 at byte 1"),
            None,
        ]
    );
    assert_eq!(stored[1]["error"]["kind"], "invalid_request");
    assert_eq!((&stored[1]["attempts"], &stored[1]["input"]), (&0.into(), &serde_json::Value::Null));
    assert_eq!(stored[2]["metadata"]["text"], "SECRET");
    assert_eq!((summary.success, summary.failed, summary.bad_rows, summary.blank_lines), (2, 4, 4, 2));
    assert_eq!(summary.errors[0].count, 4);
    assert_eq!(summary.errors[0].line, 3);

    // A second run has nothing to do; a row that moved is named by its new line.
    let before = fs::read(desk.output()).unwrap();
    desk.run_with(runner(&fake).retry_failed(true)).await;
    assert_eq!((fake.count(), fs::read(desk.output()).unwrap()), (2, before));
    fs::write(desk.input(), "{\"q\":\"one\"}\n\n\n[]\n").unwrap();
    desk.run(&fake).await;
    let stored = records(&desk.output());
    assert_eq!(stored[1]["error"]["message"], "line 4: a JSON list; one object a line is needed");
    assert_eq!((stored.len(), fake.count()), (2, 2));
}

#[tokio::test]
async fn a_bad_row_that_was_mended_is_asked() {
    let desk = Desk::new();
    desk.rows(&[r#"{"q":"a"}"#, r#"{"q":5}"#]);
    let fake = Fake::answering();
    desk.run(&fake).await;
    desk.rows(&[r#"{"q":"a"}"#, r#"{"q":"5"}"#]);
    desk.run(&fake).await;
    assert_eq!((fake.asked(), statuses(&desk.output())["success"]), (vec!["5".to_owned(), "a".into()], 2));
}

#[tokio::test]
async fn strict_refuses_before_anything_is_sent() {
    let desk = Desk::new();
    desk.rows(&[r#"{"q":"a"}"#, "", r#"{"q":5}"#]);
    let fake = Fake::answering();
    let error = runner(&fake).strict(true).run(desk.input(), desk.output()).await.unwrap_err();
    assert_eq!(
        (error.class(), error.to_string().as_str()),
        (ErrorClass::Usage, "line 3: q: a number; a text is needed")
    );
    assert!(matches!(error, BatchError::BadRow { line: 3, .. }));
    assert_eq!((fake.count(), desk.files()), (0, vec!["in.jsonl".to_owned()]));
    // The same from a pipe.
    let pipe = llm_batch::Input::reader("stdin", std::io::Cursor::new("{\"q\":\"a\"}\nx\n"));
    let error = runner(&fake).strict(true).run(pipe, desk.output()).await.unwrap_err();
    assert!(matches!(error, BatchError::BadRow { line: 2, .. }));
    assert_eq!(fake.count(), 0);
    // Rows beyond a limit do not matter.
    desk.run_with(runner(&fake).strict(true).limit(1)).await;
    assert_eq!(fake.count(), 1);
}

/// S25: a hostile row can decide neither where a request goes nor with whose key, nor where answers are stored.
#[tokio::test]
async fn hostile_rows_change_nothing_but_their_own_prompt() {
    let desk = Desk::new();
    let body = |extra: &str| {
        format!(r#"{{"custom_id":"x","body":{{"messages":[{{"role":"user","content":"hi"}}],{extra}}}}}"#)
    };
    desk.rows(&[
        r#"{"q":"plain","base_url":"http://evil","api_key":"k","headers":{"a":"b"},"output_path":"/etc/passwd","index":77,"status":"success","key":"1:0"}"#.to_owned(),
        body(r#""base_url":"http://evil""#),
        body(r#""api_key":"k""#),
        body(r#""extra_headers":{"authorization":"k"}"#),
        body(r#""temperature":0.3"#),
    ]);
    let fake = Fake::answering();
    let summary = desk.run(&fake).await;
    assert_eq!((summary.success, summary.bad_rows), (2, 3));
    for request in fake.requests.lock().unwrap().iter() {
        assert!(request.extra.is_empty());
    }
    for call in fake.calls.lock().unwrap().iter() {
        assert!(call.headers.is_empty() && call.url.is_none());
    }
    let stored = records(&desk.output());
    assert_eq!((stored[0]["index"].as_u64(), stored[0]["metadata"]["index"].as_u64()), (Some(0), Some(77)));
    assert_eq!(desk.files(), ["in.jsonl", "out.jsonl"]);
    desk.run(&fake).await;
    assert_eq!(fake.count(), 2);
}

#[tokio::test]
async fn what_the_caller_wants_of_every_call_reaches_it_with_a_log_of_its_own() {
    let desk = Desk::new();
    desk.questions(&["a", "b"]);
    let mut call = llm_client::Call::default();
    call.tags.push(("team".into(), "x".into()));
    call.keep_raw = true;
    call.max_retries = Some(7);
    let fake = Fake::answering();
    desk.run_with(runner(&fake).call(call)).await;
    for call in fake.calls.lock().unwrap().iter() {
        assert_eq!((call.tags.len(), call.keep_raw, call.max_retries), (1, true, Some(7)));
        assert_eq!(call.wait, llm_client::Wait::Brief);
    }
}

#[tokio::test]
async fn answers_and_rows_with_line_breaks_and_controls_stay_on_their_lines() {
    let desk = Desk::new();
    desk.rows(&[r#"{"q":"a\nb\u2028\u0000","x":"\u001b[31m"}"#]);
    let fake = Fake::new(|_, _| Reply::Text("one\r\ntwo\u{2028}\u{1b}[0m\u{0}".into()));
    desk.run(&fake).await;
    let stored = records(&desk.output());
    assert_eq!(stored[0]["output"], "one\r\ntwo\u{2028}\u{1b}[0m\u{0}");
    assert_eq!(prompt(&stored[0]), "a\nb\u{2028}\u{0}");
    assert_eq!(fs::read(desk.output()).unwrap().iter().filter(|b| b.is_ascii_control()).count(), 1);
}
