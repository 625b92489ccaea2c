//! What servers and gateways send that they should not, in the formats that are nobody's imitation: read where the meaning
//! is clear, and else a typed error with what came before it.

use super::tables::{line, said};
use super::*;

/// A format's own way of sending the text "Hi", and what it is when all is well.
struct Own {
    dialect: Dialect,
    target: WireTarget<'static>,
    /// Begins an answer; says a text; says why it stopped.
    begin: &'static str,
    text: &'static str,
    stop: &'static str,
    /// The same in one piece.
    whole: &'static str,
    /// With a reason to stop that nobody knows, an event that nobody knows, and no usage.
    unknown: &'static str,
    said: &'static str,
}

const OWN: &[Own] = &[
    Own {
        dialect: Dialect::Anthropic,
        target: anthropic::TARGET,
        begin: r#"{"type":"message_start","message":{"id":"r","model":"m","content":[],"usage":{"input_tokens":5,"output_tokens":1}}}"#,
        text: r#"{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}"#,
        stop: r#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":2}}"#,
        whole: r#"{"id":"r","model":"m","content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","usage":{"input_tokens":5,"output_tokens":2}}"#,
        unknown: r#"{"id":"r","model":"m","content":[{"type":"text","text":"Hi"}],"stop_reason":"news","x":1}"#,
        said: r#"text "Hi" | finish Some(Stop) native Some("end_turn") | usage 5 in (cached None), 2 out (reasoning None), Reported | id Some("r") model Some("m") extra []"#,
    },
    Own {
        dialect: Dialect::Gemini,
        target: gemini::tests::TARGET,
        begin: r#"{"candidates":[],"usageMetadata":{"promptTokenCount":5},"modelVersion":"m","responseId":"r"}"#,
        text: r#"{"candidates":[{"content":{"parts":[{"text":"Hi"}]}}]}"#,
        stop: r#"{"candidates":[{"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":2}}"#,
        whole: r#"{"candidates":[{"content":{"parts":[{"text":"Hi"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":5,"candidatesTokenCount":2},"modelVersion":"m","responseId":"r"}"#,
        unknown: r#"{"candidates":[{"content":{"parts":[{"text":"Hi"}]},"finishReason":"news"}],"modelVersion":"m","responseId":"r","x":1}"#,
        said: r#"text "Hi" | finish Some(Stop) native Some("STOP") | usage 5 in (cached None), 2 out (reasoning None), Reported | id Some("r") model Some("m") extra []"#,
    },
];

impl Own {
    fn says(&self, body: &[u8]) -> String {
        said(self.dialect, &self.target, body)
    }

    fn events(&self, data: &[&str]) -> String {
        super::tables::events(data)
    }
}

#[test]
fn what_is_clear_is_read() {
    for own in OWN {
        let Own { begin, text, stop, whole, said, .. } = own;
        let stream = own.events(&[begin, text, stop]);
        for body in [
            stream.clone(),
            (*whole).to_owned(),
            // A byte order mark, comments, blank data, an id and a date to come back.
            format!("\u{feff}: hello\n\n{stream}"),
            format!("\u{feff}  {whole}\n"),
            format!("retry: 10\nid: 7\n\ndata:\n\n{stream}: bye\n\n"),
            // Line ends of every kind, and none at the end.
            stream.replace('\n', "\r\n"),
            stream.replace('\n', "\r"),
            stream.trim_end().to_owned(),
            // One object on several lines.
            stream.replace(",\"", ",\ndata: \""),
            // Another format's end, and what is behind an end.
            format!("{stream}data: [DONE]\n\n"),
        ] {
            assert_eq!(own.says(body.as_bytes()), *said, "{body}");
        }
    }
}

#[test]
fn a_body_under_the_wrong_type_is_read() {
    for own in OWN {
        let stream = own.events(&[own.begin, own.text, own.stop]);
        for body in [stream.as_str(), own.whole] {
            let mut events = Vec::new();
            own.dialect.decode_unstreamed(body.as_bytes(), &own.target, &mut events).unwrap();
            assert_eq!(line(&collect(events)), own.said, "in one piece: {body}");
            let (events, result) = stream_in(own.dialect, [body.as_bytes()], &own.target);
            result.unwrap();
            assert_eq!(line(&collect(events)), own.said, "as events: {body}");
            if own.dialect.framing(true, 1).is_some() {
                let (events, result) = stream_by(own.dialect, true, [body.as_bytes()], &own.target);
                result.unwrap_or_else(|error| panic!("as JSON: {body}: {error}"));
                assert_eq!(line(&collect(events)), own.said, "as JSON: {body}");
            }
        }
    }
}

#[test]
fn what_nobody_knows_is_passed_over_or_told() {
    for own in OWN {
        let answer = own.says(own.unknown.as_bytes());
        assert_eq!(
            answer,
            r#"text "Hi" | finish Some(Other) native Some("news") | id Some("r") model Some("m") extra ["x"]"#
        );
        let stream = own.events(&[own.begin, r#"{"type":"news"}"#, own.text, own.stop]);
        let stream =
            stream.replacen("data: {\"type\":\"news\"}", "event: news\ndata: {\"type\":\"news\"}", 1);
        assert!(own.says(stream.as_bytes()).starts_with(r#"text "Hi" | finish Some(Stop)"#), "{stream}");
    }
}

#[test]
fn broken_text_is_mended_and_told() {
    const MENDED: &str =
        " | warning answer: held characters that are not valid JSON or UTF-8; they were replaced";
    for own in OWN {
        for (broken, mended) in [
            (&b"H\xffi"[..], "H\u{fffd}i"),
            (b"H\xf0\x9f\x98i", "H\u{fffd}i"),
            (br"H\ud83di", "H\u{fffd}i"),
            (br"H\ude00i", "H\u{fffd}i"),
            (b"H\x01i", "H\u{1}i"),
            (br"H\xi", r"H\xi"),
        ] {
            let stream = own.events(&[own.begin, own.text, own.stop]);
            for body in [stream.as_str(), own.whole] {
                let (start, end) = body.split_once("Hi").unwrap();
                let body = [start.as_bytes(), broken, end.as_bytes()].concat();
                let expected = own.said.replace("\"Hi\"", &format!("{mended:?}")) + MENDED;
                assert_eq!(own.says(&body), expected, "{}", String::from_utf8_lossy(&body));
            }
        }
    }
}

#[test]
fn numbers_out_of_range_are_no_numbers() {
    for own in OWN {
        for number in
            ["-1", "1e400", "1e30", "99999999999999999999999", "\"x\"", "null", "[]", "{}", "true", "NaN"]
        {
            let stream = own.events(&[own.begin, own.text, own.stop]);
            for body in [stream.as_str(), own.whole] {
                let body = body.replace(":5", &format!(":{number}")).replace(":2}", &format!(":{number}}}"));
                let body = body.replace("\"index\":0", &format!("\"index\":{number}"));
                let line = own.says(body.as_bytes());
                assert!(line.starts_with(r#"text "Hi" | finish Some(Stop)"#), "{body}: {line}");
                assert!(!line.contains(" 5 in") && !line.contains(" 2 out"), "{body}: {line}");
            }
        }
    }
}

#[test]
fn what_is_cut_is_told_with_what_came() {
    for own in OWN {
        let Own { begin, text, stop, .. } = own;
        let half = |body: &str| body.split_at(body.len() - 9).0.to_owned();
        for (body, end) in [
            // Half a line: before anything was said, behind a text, and behind the answer.
            (half(&own.events(&[begin])), "Connection: the stream ended before any content came"),
            (
                half(&own.events(&[begin, text, stop])),
                "Truncated: the stream ended before the answer was whole",
            ),
            (
                own.events(&[begin, text, stop]) + "data: {\"cand",
                "warning answer: the stream was cut after the answer",
            ),
            // Whole events, and no reason to stop.
            (own.events(&[begin]), "Connection: the stream ended before any content came"),
            (own.events(&[begin, text]), "Truncated: the stream ended before the answer was whole"),
            (": ping\n\n".to_owned(), "Connection: the stream ended before any content came"),
            // Half a body.
            (half(own.whole), "Protocol: the body ends in the middle of its JSON"),
            (String::new(), "Protocol: the body is empty"),
        ] {
            let line = own.says(body.as_bytes());
            assert!(line.contains(end), "{body}: {line}");
            assert_eq!(
                line.contains(r#"text "Hi""#),
                body.contains("Hi") && body.starts_with("data"),
                "{body}: {line}"
            );
        }
    }
}

#[test]
fn a_line_of_sixteen_mebibytes_is_read_or_refused_by_the_limit() {
    let long = "x".repeat(16 << 20);
    for own in OWN {
        let whole = own.whole.replace("Hi", &long);
        assert_eq!(own.dialect.decode_chat(whole.as_bytes(), &own.target).unwrap().text(), long);
        let stream = own.events(&[own.begin, &own.text.replace("Hi", &long), own.stop]);
        for (json, body) in [(false, stream), (true, format!("[{whole}]"))] {
            let pieces = body.as_bytes().chunks(1 << 16);
            if own.dialect.framing(json, 1).is_some() {
                let error = stream_by(own.dialect, json, pieces, &own.target).1.unwrap_err();
                assert_eq!(error.kind(), ErrorKind::TooLarge);
            }
        }
    }
}

#[test]
fn pages_texts_and_values_of_no_shape_are_typed_errors() {
    for own in OWN {
        for (body, message) in [
            (
                "<!DOCTYPE html><html><head><title>Sign in</title></head></html>",
                "the body is not JSON but a web page: Sign in",
            ),
            ("<html>", "the body is not JSON but a web page"),
            ("Hello, I am your answer", "the body is not JSON but a text"),
            ("null", "the body is not JSON but a text"),
            ("7", "the body is not JSON but a text"),
        ] {
            let error = own.dialect.decode_chat(body.as_bytes(), &own.target).unwrap_err();
            assert_eq!((error.kind(), error.message()), (ErrorKind::Protocol, message));
            let mut events = Vec::new();
            let error = own.dialect.decode_unstreamed(body.as_bytes(), &own.target, &mut events).unwrap_err();
            assert_eq!((error.message(), events.len()), (message, 0));
            let error = stream_in(own.dialect, [body.as_bytes()], &own.target).1.unwrap_err();
            assert!(!error.message().contains("answer\""), "{error:?}");
        }
        for body in [
            "{}",
            "[]",
            r#"{"candidates":7}"#,
            r#"{"candidates":[7,null]}"#,
            r#"{"content":7}"#,
            r#"{"message":{}}"#,
        ] {
            let error = own.dialect.decode_chat(body.as_bytes(), &own.target).unwrap_err();
            assert!(
                matches!(error.kind(), ErrorKind::Protocol | ErrorKind::Server | ErrorKind::Connection),
                "{body}: {error:?}"
            );
        }
        // Broken JSON in the middle of a stream: an error, and what was said before.
        let stream = own.events(&[own.begin, own.text, "{broken", own.stop]);
        let line = own.says(stream.as_bytes());
        assert!(
            line.starts_with(r#"text "Hi""#)
                && line.contains("Protocol: an event of the stream is not valid JSON"),
            "{line}"
        );
        // An error in a line of its own.
        for error in [
            r#"{"error":{"message":"no room","code":503}}"#,
            r#"error: {"error":{"message":"no room","code":503}}"#,
        ] {
            let stream = format!("{}{error}\n", own.events(&[own.begin, own.text]));
            let line = own.says(stream.as_bytes());
            assert!(
                line.starts_with(r#"text "Hi""#) && line.ends_with("Overloaded: no room"),
                "{error}: {line}"
            );
        }
        // A gateway's error under a good status, plain and in a stream.
        for error in [r#"{"error":{"message":"no room","code":503}}"#, r#"{"error":"no room"}"#] {
            let line = own.says(error.as_bytes());
            assert!(line.ends_with(": no room"), "{error}: {line}");
            let line = own.says(own.events(&[own.begin, own.text, error]).as_bytes());
            assert!(line.starts_with(r#"text "Hi""#) && line.ends_with(": no room"), "{error}: {line}");
        }
    }
}
