//! Records written and read back, ours and foreign ones.

use super::*;
use crate::stored::{Stored, index_of, moved};
use llm_types::{Choice, ErrorKind, FinishReason, Totals, UsageSource};

pub(crate) fn response(parts: Vec<Part>) -> ChatResponse {
    let mut choice = Choice::new(0);
    choice.message.parts = parts;
    choice.finish_reason = Some(FinishReason::Stop);
    let totals = Totals { input: 3, output: 4, ..Totals::default() };
    ChatResponse {
        model: Some("m-1".into()),
        choices: vec![choice],
        usage: Some(Usage::from_totals(totals, UsageSource::Reported)),
        ..ChatResponse::default()
    }
}

fn parts() -> Parts {
    let [model, system, parameters, schema] = ["a", "b", "c", "d"].map(str::to_owned);
    Parts { model, system, parameters, schema }
}

fn about<'a>(messages: &'a [Message], metadata: &'a Extra, parts: &'a Parts) -> About<'a> {
    About {
        index: 5,
        key: Key(1),
        id: None,
        metadata,
        messages,
        parts,
        save: SaveInput::Full,
        attempts: 2,
        latency: Some(Duration::from_millis(12)),
    }
}

fn text(line: Vec<u8>) -> String {
    String::from_utf8(line).unwrap()
}

#[test]
fn a_success_has_the_documented_members_in_their_order() {
    let metadata = Extra::parse(r#"{"id":"001","x":1.50}"#).unwrap();
    let line = text(success(
        &about(&[Message::user("q")], &metadata, &parts()),
        &response(vec![Part::text("hé \"x\"\n")]),
    ));
    assert_eq!(
        line,
        concat!(
            r#"{"index":5,"status":"success","output":"hé \"x\"\n","input":[{"role":"user","content":"q"}],"#,
            r#""metadata":{"id":"001","x":1.50},"finish_reason":"stop","model":"m-1","#,
            r#""usage":{"input_tokens":3,"output_tokens":4,"source":"reported"},"latency_ms":12,"attempts":2,"#,
            r#""error":null,"key":"1:00000000000000000000000000000001","#,
            r#""parts":{"model":"a","system":"b","parameters":"c","schema":"d"}}"#,
            "\n"
        )
    );
}

#[test]
fn members_that_are_only_sometimes_there_follow() {
    let call =
        ToolCall { id: "c1".into(), name: "f".into(), arguments: "{\"a\":1".into(), ..ToolCall::default() };
    let mut answer = response(vec![
        Part::Reasoning(llm_types::Reasoning::text("thought")),
        Part::Refusal { text: "no".into() },
        Part::ToolCall(call),
    ]);
    answer.warnings.push(Warning::new("seed", "not sent"));
    let (metadata, parts) = (Extra::new(), parts());
    let messages = [Message::user("q")];
    let about = About { id: Some("r-1"), ..about(&messages, &metadata, &parts) };
    let line = text(success(&about, &answer));
    assert!(line.contains(r#""output":"","#) && line.contains(r#""metadata":null,"#));
    assert!(line.ends_with(concat!(
        r#""schema":"d"},"id":"r-1","reasoning":"thought","tool_calls":[{"id":"c1","name":"f","arguments":"{\"a\":1"}],"#,
        r#""refusal":"no","warnings":[{"about":"seed","message":"not sent"}]}"#,
        "\n"
    )));
}

#[test]
fn a_failure_keeps_what_was_paid_but_no_output() {
    let error = Error::new(ErrorKind::Protocol, "empty").with_partial(response(vec![Part::text("half")]));
    let (metadata, parts) = (Extra::new(), parts());
    let line = text(failure(&about(&[Message::user("q")], &metadata, &parts), &error));
    assert!(line.starts_with(r#"{"index":5,"status":"error","output":null,"#));
    assert!(line.contains(r#""input_tokens":3"#) && line.contains(r#""kind":"protocol""#));
    assert!(!line.contains("half"));
}

#[test]
fn what_is_kept_of_the_input_can_be_chosen() {
    let (metadata, parts) = (Extra::new(), parts());
    let messages = [Message::system("s"), Message::user("q"), Message::assistant("a")];
    for (save, expected) in [(SaveInput::Last, r#""input":"q","#), (SaveInput::Nothing, r#""input":null,"#)] {
        let line = text(success(&About { save, ..about(&messages, &metadata, &parts) }, &response(vec![])));
        assert!(line.contains(expected), "{line}");
    }
}

#[test]
fn line_breaks_inside_values_passed_on_as_written_do_not_break_the_line() {
    let metadata = Extra::parse("{\"x\":{\n  \"a\":\r\n 1}}").unwrap();
    let parts = parts();
    let line =
        text(success(&about(&[Message::user("q\n")], &metadata, &parts), &response(vec![Part::text("a")])));
    assert_eq!(line.matches('\n').count(), 1);
    assert!(!line.contains('\r') && line.contains(r#""content":"q\n""#));
    serde_json::from_str::<serde_json::Value>(&line).unwrap();
}

#[test]
fn a_record_reads_back_and_tells_what_may_be_tried_again() {
    let (metadata, parts) = (Extra::parse(r#"{"a":1}"#).unwrap(), parts());
    let messages = [Message::user("q")];
    let about = about(&messages, &metadata, &parts);
    let line = success(&about, &response(vec![Part::text("x")]));
    let stored = Stored::parse(&line).unwrap();
    assert!(stored.is_success());
    assert_eq!((stored.index, stored.key(), stored.metadata()), (5, Key(1), r#"{"a":1}"#));
    assert_eq!(stored.parts(), ["a", "b", "c", "d"]);
    for (kind, retryable) in [
        (ErrorKind::RateLimited, true),
        (ErrorKind::Timeout(llm_types::Phase::Call), true),
        (ErrorKind::InvalidRequest, false),
    ] {
        let line = failure(&about, &Error::new(kind, "x"));
        let stored = Stored::parse(&line).unwrap();
        assert_eq!((stored.is_success(), stored.is_retryable()), (false, retryable));
        assert_eq!(stored.error_kind(), Some(kind.as_str()));
    }
    let later =
        r#"{"index":1,"status":"cached","key":"2:x","error":{"kind":"new_kind","retryable":true},"new":[1]}"#;
    assert!(Stored::parse(later.as_bytes()).unwrap().is_retryable());
    for foreign in [
        r#"{"index":0,"output":"x","status":"success","input":[]}"#,
        r#"{"index":-1,"status":"success","key":"1:0"}"#,
        r#"{"index":1,"status":"done","key":"1:0"}"#,
        "{}",
        "[]",
        "null",
        "",
    ] {
        assert!(Stored::parse(foreign.as_bytes()).is_none(), "{foreign}");
    }
}

#[test]
fn a_record_moves_without_losing_anything() {
    let line = br#"{"index":5,"status":"success","new":{"a":1e2},"metadata":null,"key":"1:0"}"#;
    assert_eq!(index_of(line), Some(5));
    let moved = text(moved(line, 12, Some(r#"{"b":1}"#)).unwrap());
    assert_eq!(
        moved,
        "{\"index\":12,\"status\":\"success\",\"new\":{\"a\":1e2},\"metadata\":{\"b\":1},\"key\":\"1:0\"}\n"
    );
    assert_eq!(index_of(b"{\"index\":"), None);
}
