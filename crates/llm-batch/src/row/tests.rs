//! Rows of every format, good and bad, and their keys.

use super::*;
use llm_types::Role;

fn read_by(job: &Job, line: &str) -> Result<Parsed, Box<Bad>> {
    parse(7, &Line::Text(line.as_bytes()), job)
}

fn read(line: &str) -> Parsed {
    read_by(&Job::default(), line).unwrap()
}

fn bad(line: &str) -> String {
    read_by(&Job::default(), line).unwrap_err().message
}

fn texts(row: &Parsed) -> Vec<(Role, String)> {
    row.messages.iter().map(|message| (message.role, message.text())).collect()
}

fn metadata(row: &Parsed) -> String {
    serde_json::to_string(&row.metadata).unwrap()
}

#[test]
fn each_format_is_told_by_its_members() {
    let chat = read(r#"{"id":"001","messages":[{"role":"user","content":"hi"}],"score":1.50}"#);
    assert_eq!((chat.format, metadata(&chat).as_str()), (Format::OpenaiChat, r#"{"id":"001","score":1.50}"#));
    assert_eq!(texts(&chat), [(Role::User, "hi".to_owned())]);

    let alpaca = read(r#"{"instruction":"Translate","input":"Hello","output":"Hallo","system":"S","n":1}"#);
    assert_eq!((alpaca.format, metadata(&alpaca).as_str()), (Format::Alpaca, r#"{"n":1}"#));
    assert_eq!(
        texts(&alpaca),
        [(Role::System, "S".to_owned()), (Role::User, "Translate\n\nHello".to_owned())]
    );
    assert_eq!(texts(&read(r#"{"instruction":"Sing","input":""}"#)), [(Role::User, "Sing".to_owned())]);

    for name in ["q", "question", "prompt"] {
        let simple = read(&format!(r#"{{"{name}":"hi","system":"S","answer":"a"}}"#));
        assert_eq!((simple.format, metadata(&simple).as_str()), (Format::Simple, r#"{"answer":"a"}"#));
        assert_eq!(texts(&simple), [(Role::System, "S".to_owned()), (Role::User, "hi".to_owned())]);
    }
    let first = read(r#"{"prompt":"no","q":"yes"}"#);
    assert_eq!((texts(&first)[0].1.as_str(), metadata(&first).as_str()), ("yes", r#"{"prompt":"no"}"#));
}

#[test]
fn a_null_member_counts_as_missing() {
    assert_eq!(read(r#"{"messages":null,"q":null,"prompt":"x"}"#).format, Format::Simple);
    assert_eq!(texts(&read(r#"{"instruction":"a","input":null,"system":null}"#)).len(), 1);
}

#[test]
fn an_openai_batch_line_is_a_request_with_a_name() {
    let row = read(
        r#"{"custom_id":"r-1","method":"POST","url":"/v1/chat/completions","body":{"model":"gpt-x",
            "messages":[{"role":"user","content":"hi"}],"temperature":0.3,"min_p":0.10,"stream":true},"tag":1}"#,
    );
    assert_eq!(
        (row.format, row.id.as_deref(), row.model.as_deref()),
        (Format::OpenaiBatch, Some("r-1"), Some("gpt-x"))
    );
    assert_eq!(metadata(&row), r#"{"tag":1}"#);
    let own = row.own.unwrap();
    assert_eq!(own.temperature, Some(0.3));
    assert_eq!(serde_json::to_string(&own.extra).unwrap(), r#"{"min_p":0.10}"#);
    assert_eq!(read(r#"{"body":{"messages":[{"role":"user","content":"hi"}]}}"#).format, Format::OpenaiBatch);
}

#[test]
fn rows_cannot_set_where_a_request_goes_or_with_whose_key() {
    for field in [
        "base_url",
        "api_key",
        "headers",
        "extra_headers",
        "url",
        "Authorization",
        "api_base",
        "proxy",
        "models",
    ] {
        let line = format!(
            r#"{{"custom_id":"a","body":{{"messages":[{{"role":"user","content":"x"}}],"{field}":"http://evil"}}}}"#
        );
        assert_eq!(bad(&line), format!("line 7: body.{field}: a row may not set this"));
        // Outside a body they are metadata and go nowhere.
        let row = read(&format!(r#"{{"q":"x","{field}":"http://evil"}}"#));
        assert!(row.own.is_none() && metadata(&row).contains(field));
    }
    let job = Job { body_fields: vec!["models".into(), "url".into()], ..Job::default() };
    read_by(&job, r#"{"custom_id":"a","body":{"messages":[{"role":"user","content":"x"}],"models":["b"]}}"#)
        .unwrap();
    read_by(&job, r#"{"custom_id":"a","body":{"messages":[{"role":"user","content":"x"}],"url":"b"}}"#)
        .unwrap_err();
}

#[test]
fn a_bad_row_is_named_by_its_line_and_quotes_nothing_of_it() {
    for (line, message) in [
        ("{\"q\":", "line 7: not a JSON object: it ends too early at column 5"),
        ("{\"q\" \"SECRET\"}", "line 7: not a JSON object: broken at column 6"),
        ("\"SECRET\"", "line 7: not a JSON object"),
        ("[{\"q\":1}]", "line 7: a JSON list; one object a line is needed"),
        ("{}", "line 7: none of messages, instruction, q, question, prompt and body is there; found nothing"),
        (
            "{\"text\":\"SECRET\",\"n\":1}",
            "line 7: none of messages, instruction, q, question, prompt and body is there; found text, n",
        ),
        ("{\"q\":5}", "line 7: q: a number; a text is needed"),
        ("{\"instruction\":[\"SECRET\"]}", "line 7: instruction: a list; a text is needed"),
        ("{\"q\":\"SECRET\",\"system\":{}}", "line 7: system: an object; a text is needed"),
        ("{\"messages\":\"SECRET\"}", "line 7: messages: not a list"),
        ("{\"messages\":[]}", "line 7: messages: empty"),
        ("{\"messages\":[\"SECRET\"]}", "line 7: messages[0]: invalid type: a text, expected a JSON object"),
        (
            "{\"messages\":[{\"role\":\"user\",\"content\":5}]}",
            "line 7: messages[0].content: neither a text nor a list of parts",
        ),
        ("{\"custom_id\":\"a\",\"body\":\"SECRET\"}", "line 7: body: not an object"),
        ("{\"custom_id\":\"a\",\"body\":{}}", "line 7: body.messages: missing"),
        ("{\"custom_id\":\"a\",\"method\":\"GET\",\"body\":{}}", "line 7: method: GET where POST is needed"),
        (
            "{\"custom_id\":\"a\",\"url\":\"/v1/embeddings\",\"body\":{}}",
            "line 7: url: /v1/embeddings is not for chat",
        ),
        (
            "{\"custom_id\":\"a\",\"body\":{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"n\":2}}",
            "line 7: body.n: a batch record holds one answer; leave it out",
        ),
        (
            "{\"custom_id\":\"a\",\"body\":{\"messages\":[{\"role\":\"user\",\"content\":\"x\"}],\"max_tokens\":\"SECRET, x\"}}",
            "line 7: body.max_tokens: invalid type: a text, expected u64",
        ),
        ("{\"custom_id\":true,\"q\":\"x\"}", "line 7: custom_id: neither a text nor a number"),
        ("{\"q\":\"\\ud800 SECRET\"}", "line 7: q: a text with a broken escape"),
    ] {
        let found = bad(line);
        assert_eq!(found, message, "{line}");
        assert!(!found.contains("SECRET"));
    }
    let error = parse(7, &Line::Text(b"{\"q\":\"\xff\"}"), &Job::default()).unwrap_err();
    assert_eq!(error.message, "line 7: not UTF-8 at byte 7");
    let error = parse(7, &Line::TooLong, &Job::default()).unwrap_err();
    assert!(error.message.starts_with("line 7: the row is longer"));
}

#[test]
fn a_bad_row_keeps_what_it_says_besides() {
    let bad = read_by(&Job::default(), r#"{"custom_id":"r","q":5,"tag":"t"}"#).unwrap_err();
    assert_eq!(bad.id.as_deref(), Some("r"));
    assert_eq!(serde_json::to_string(&bad.metadata).unwrap(), r#"{"tag":"t","q":5}"#);
}

#[test]
fn the_key_is_the_rows_own_content_however_it_is_written() {
    let same = [
        r#"{"messages":[{"role":"user","content":"hé"}]}"#,
        r#"{ "messages" : [ { "content" : "h\u00e9", "role" : "user" } ] }"#,
        r#"{"q":"hé"}"#,
        r#"{"prompt":"hé","label":3}"#,
        r#"{"instruction":"hé","output":"other"}"#,
        r#"{"body":{"model":"m","messages":[{"role":"user","content":"hé"}]}}"#,
    ];
    let key = read(same[0]).key;
    for line in same {
        assert_eq!(read(line).key, key, "{line}");
    }
    let other = [
        r#"{"q":"hé "}"#,
        r#"{"q":"hé","system":"s"}"#,
        r#"{"q":"hé","custom_id":"1"}"#,
        r#"{"body":{"messages":[{"role":"user","content":"hé"}],"temperature":1}}"#,
        r#"{"body":{"messages":[{"role":"user","content":"hé"}],"tools":[{"type":"function","function":{"name":"f"}}]}}"#,
        r#"{"messages":[{"role":"user","content":"hé","name":"ann"}]}"#,
    ];
    for (i, a) in other.iter().enumerate() {
        assert_ne!(read(a).key, key, "{a}");
        for b in &other[..i] {
            assert_ne!(read(a).key, read(b).key, "{a} {b}");
        }
    }
    assert_eq!(Key::parse(&key.text()), key);
    assert_ne!(Key::parse("2:00"), key);
}

#[test]
fn the_key_does_not_depend_on_the_job_but_for_the_id_field() {
    let line = r#"{"q":"x","uid":17}"#;
    let job = Job {
        system: Some("s".into()),
        settings: ChatRequest { temperature: Some(1.0), ..ChatRequest::default() },
        ..Job::default()
    };
    assert_eq!(read_by(&job, line).unwrap().key, read(line).key);
    let named = read_by(&Job { id_field: Some("uid".into()), ..Job::default() }, line).unwrap();
    assert_eq!((named.id.as_deref(), metadata(&named).as_str()), (Some("17"), r#"{"uid":17}"#));
    assert_ne!(named.key, read(line).key);
}

#[test]
fn a_request_in_memory_has_the_key_of_the_same_row_in_a_file() {
    let request = BatchRequest::from(ChatRequest::user("hi"));
    assert_eq!(from_request(1, &request).unwrap().key, read(r#"{"q":"hi"}"#).key);
    let two = BatchRequest::from(ChatRequest { n: Some(2), ..ChatRequest::user("hi") });
    assert!(from_request(3, &two).unwrap_err().message.starts_with("request 3: n"));
}

/// The key stands in users' files: another value means that every stored answer would be paid for again.
#[test]
fn the_key_of_version_1_never_changes() {
    assert_eq!(read(r#"{"q":"hi"}"#).key.text(), "1:3b6cff4930f5dd16e5054c2a0ead8148");
}
