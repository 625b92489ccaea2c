//! Results as values: in order, one by one, in groups; each row exactly once.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::StreamExt as _;
use llm_batch::{BatchRequest, Job, Status, StopReason};
use llm_types::{ChatRequest, ErrorKind, Extra};

use crate::support::{Desk, Fake, Reply, questions, records, runner};

#[tokio::test]
async fn collect_keeps_the_order_and_failures_in_their_places() {
    let fake = Fake::new(|prompt, n| {
        let reply =
            if prompt == "question 2" { Reply::fail(ErrorKind::ContentFilter) } else { Reply::to(prompt) };
        reply.after(Duration::from_millis(10 - n % 10))
    });
    let requests = questions(10).into_iter().map(ChatRequest::user).collect();
    let answers = runner(&fake).system("s").collect(requests).await;
    assert_eq!(answers.len(), 10);
    for (n, answer) in answers.iter().enumerate() {
        match answer {
            Ok(response) => assert_eq!(response.text(), format!("answer to question {n}")),
            Err(error) => assert_eq!((n, error.kind()), (2, ErrorKind::ContentFilter)),
        }
    }
    assert!(fake.requests.lock().unwrap().iter().all(|request| request.messages.len() == 2));
    assert_eq!(runner(&fake).collect(Vec::new()).await.len(), 0);
}

#[tokio::test]
async fn collect_says_why_a_request_was_not_asked() {
    let fake =
        Fake::new(|prompt, n| if n < 3 { Reply::to(prompt) } else { Reply::fail(ErrorKind::Authentication) });
    let requests = questions(8).into_iter().map(ChatRequest::user).collect();
    let answers = runner(&fake).concurrency(1).collect(requests).await;
    assert_eq!(answers.iter().filter(|answer| answer.is_ok()).count(), 3);
    assert!(
        answers[3..].iter().all(|answer| answer.as_ref().unwrap_err().kind() == ErrorKind::Authentication)
    );
    // A job that makes no sense is every request's error.
    let job = Job { user_template: Some("x".into()), ..Job::default() };
    let answers = runner(&fake).job(job).collect(vec![ChatRequest::user("a")]).await;
    assert_eq!(answers[0].as_ref().unwrap_err().kind(), ErrorKind::Config);
}

#[tokio::test]
async fn a_stream_gives_restored_rows_then_live_ones_then_those_not_asked() {
    let desk = Desk::new();
    let all = questions(30);
    desk.questions(&[&all[20..], &["bad".to_owned()]].concat());
    desk.rows(&{
        let mut rows: Vec<String> = all.iter().map(|q| format!("{{\"q\":\"{q}\",\"n\":\"{q}\"}}")).collect();
        rows.push("bad row".into());
        rows
    });
    // Ten rows from the middle are answered before.
    let first = Fake::new(|prompt, n| {
        let middle = prompt.len() == "question 10".len() && prompt < "question 20";
        if middle || n == 0 { Reply::to(prompt) } else { Reply::fail(ErrorKind::Truncated) }
    });
    desk.run_with(runner(&first).concurrency(1)).await;
    let dead =
        Fake::new(|prompt, n| if n < 5 { Reply::to(prompt) } else { Reply::fail(ErrorKind::Authentication) });
    let mut stream = runner(&dead).concurrency(1).stream(desk.input(), Some(desk.output()));
    let mut seen = BTreeSet::new();
    let mut order = Vec::new();
    while let Some(result) = stream.next().await {
        assert!(seen.insert(result.index), "row {} came twice", result.index);
        order.push(match (result.restored, result.status) {
            (true, _) => 0,
            (false, Status::Unrun) => 2,
            (false, _) => 1,
        });
        match result.status {
            Status::Success => {
                let question = format!("question {}", result.index);
                assert_eq!(result.content.unwrap(), format!("answer to {question}"));
                assert_eq!(result.metadata.get("n").unwrap().get(), format!("\"{question}\""));
                assert_eq!((result.usage.unwrap().total(), result.attempts), (5, 1));
                assert_eq!(
                    (result.model.as_deref(), result.response.is_some()),
                    (Some("model-7"), !result.restored)
                );
                assert!(result.latency.is_some() && result.error.is_none());
            }
            Status::Error => {
                assert_eq!((result.index, result.error.unwrap().kind()), (30, ErrorKind::InvalidRequest));
            }
            Status::Unrun => assert_eq!(result.error.unwrap().kind(), ErrorKind::Authentication),
        }
    }
    assert_eq!(seen.len(), 31);
    assert!(order.is_sorted(), "{order:?}");
    // Eleven answers and the bad row were there; five more were answered before the key was refused.
    assert_eq!([0, 1, 2].map(|kind| order.iter().filter(|k| **k == kind).count()), [12, 5, 14]);
    let summary = stream.summary().await.unwrap();
    assert_eq!(summary.stopped.unwrap().reason, StopReason::Key);
    assert_eq!((summary.restored, summary.success, summary.unrun), (12, 16, Some(14)));
}

#[tokio::test]
async fn groups_have_their_size_and_every_row_once() {
    let fake = Fake::answering();
    let requests: Vec<ChatRequest> = questions(25).into_iter().map(ChatRequest::user).collect();
    let mut stream = runner(&fake).stream(requests.clone(), None);
    let mut sizes = Vec::new();
    let mut seen = BTreeSet::new();
    while let Some(group) = stream.next_group(10).await {
        sizes.push(group.len());
        seen.extend(group.iter().map(|result| result.index));
    }
    assert_eq!((sizes, seen.len()), (vec![10, 10, 5], 25));
    assert_eq!(stream.summary().await.unwrap().success, 25);
    // It is a stream like any other.
    let texts: Vec<String> = runner(&fake).stream(requests, None).map(|r| r.content.unwrap()).collect().await;
    assert_eq!(texts.len(), 25);
}

#[tokio::test]
async fn requests_in_memory_are_stored_and_resumed_like_a_file() {
    let desk = Desk::new();
    let request = |q: &str| BatchRequest {
        request: ChatRequest { temperature: Some(0.5), ..ChatRequest::user(q) },
        id: Some(format!("id of {q}")),
        metadata: Extra::parse(r#"{"source":"data.jsonl","line":1}"#).unwrap(),
    };
    let fake = Fake::answering();
    let two: Vec<BatchRequest> = ["a", "b"].into_iter().map(request).collect();
    runner(&fake).run(two, desk.output()).await.unwrap();
    let three: Vec<BatchRequest> = ["c", "b", "a"].into_iter().map(request).collect();
    let (results, summary) = runner(&fake).stream(three, Some(desk.output())).all().await.unwrap();
    assert_eq!((fake.count(), summary.restored), (3, 2));
    assert_eq!(
        results.iter().map(|r| r.content.clone().unwrap()).collect::<Vec<_>>(),
        ["answer to c", "answer to b", "answer to a"]
    );
    assert_eq!(results.iter().map(|r| r.restored).collect::<Vec<_>>(), [false, true, true]);
    assert!(results.iter().all(llm_batch::BatchResult::is_success));
    let stored = records(&desk.output());
    assert_eq!(
        (&stored[0]["id"], &stored[0]["metadata"]["source"]),
        (&"id of c".into(), &"data.jsonl".into())
    );
    assert_eq!(fake.requests.lock().unwrap()[0].temperature, Some(0.5));
}

#[tokio::test]
async fn a_slow_reader_slows_the_run_and_one_that_leaves_ends_it() {
    let desk = Desk::new();
    desk.questions(&questions(2000));
    let fake = Fake::answering();
    let mut stream = runner(&fake).stream(desk.input(), Some(desk.output()));
    stream.next().await.unwrap();
    tokio::time::sleep(Duration::from_millis(100)).await;
    let asked = fake.count();
    assert!(asked < 300, "{asked} rows were asked for a reader of one");
    drop(stream);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(fake.count() <= asked + 8 && fake.in_flight() == 0);
    let stored = records(&desk.output()).len() as u64;
    assert!(stored >= 1 && stored <= fake.count());
}
