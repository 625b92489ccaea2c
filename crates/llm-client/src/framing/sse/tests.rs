//! The conformance table of the event-stream rules, run whole, byte by byte, at every cut and at random cuts.

use proptest::prelude::*;

use super::*;

type Event = (String, String, String);
/// Bytes, and the events they hold.
type Row<'a> = (&'a [u8], &'a [(&'a str, &'a str, &'a str)]);

const LIMIT: u64 = 1 << 20;

/// Feeds the pieces and collects `(event, data, id)`.
fn events<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Vec<Event> {
    let own = |f: SseFrame<'_>| (f.event.to_owned(), f.data.to_owned(), f.id.to_owned());
    let mut decoder = SseDecoder::new(LIMIT);
    let mut found = Vec::new();
    for piece in pieces {
        let mut frames = decoder.feed(piece);
        while let Some(frame) = frames.next().unwrap() {
            found.push(own(frame));
        }
    }
    found.extend(decoder.finish().unwrap().map(own));
    assert_eq!(decoder.finish().unwrap(), None, "the end comes once");
    found
}

fn at_every_cut(bytes: &[u8], check: impl Fn(Vec<Event>, &str)) {
    check(events([bytes]), "whole");
    check(events(bytes.chunks(1)), "byte by byte");
    for cut in 0..=bytes.len() {
        let (a, b) = bytes.split_at(cut);
        check(events([a, b]), &format!("cut at {cut}"));
    }
}

#[test]
fn the_conformance_table_holds_at_every_cut() {
    let message = |data: &'static str| ("message", data, "");
    let table: &[Row<'_>] = &[
        (b"data: a\n\n", &[message("a")]),
        (b"data:a\r\n\r\n", &[message("a")]),
        (b"data: a\r\r", &[message("a")]),
        (b"data: a\r\ndata: b\r\n\r\n", &[message("a\nb")]),
        (b"data: a\ndata:  b\n\n", &[message("a\n b")]),
        (b"\xEF\xBB\xBFdata: a\n\n", &[message("a")]),
        (b"\xEF\xBB\xBF\n\xEF\xBB\xBFdata: a\n\n", &[]),
        (b": hi\n\ndata: a\n\n", &[message("a")]),
        (b"event: x\n\ndata: a\n\n", &[message("a")]),
        (b"event: x\ndata: a\n\ndata: b\n\n", &[("x", "a", ""), message("b")]),
        (b"event: x\nevent: y\ndata: a\n\n", &[("y", "a", "")]),
        (b"data\n\n", &[message("")]),
        (b"data:\n\n", &[message("")]),
        (b"data\ndata\n\n", &[message("\n")]),
        (b"id: 7\ndata: a\n\ndata: b\n\n", &[("message", "a", "7"), ("message", "b", "7")]),
        (b"id: 7\ndata: a\n\nid\ndata: b\n\n", &[("message", "a", "7"), message("b")]),
        (b"id: 7\0\ndata: a\n\n", &[message("a")]),
        (b"retry: 10x\ndata: a\n\n", &[message("a")]),
        (b"Data: a\n\n", &[]),
        (b"data: a", &[message("a")]),
        (b"data: a\n", &[message("a")]),
        (b"data: a\r", &[message("a")]),
        (b"data: a\n\ndata: [DONE]", &[message("a"), message("[DONE]")]),
        (b"data: \xC3\xA9\n\n", &[message("é")]),
        (b"data: \xF0\x9F\x98\x80\r\n\r\n", &[message("😀")]),
        (b"data: a\xFFb\n\n", &[message("a\u{FFFD}b")]),
        (b"data: a\n\n\n\n\ndata: b\n\n", &[message("a"), message("b")]),
        (b"data: {\"x\":\ndata: 1}\n\n", &[message("{\"x\":\n1}")]),
        (b"data:\t a\n\n", &[message("\t a")]),
        (b"\n\n: x\n:\n\ndata: a\n\n: y\n\n", &[message("a")]),
        (b"data: a\n\n{\"b\":1}\n\ndata: c\n\n", &[message("a"), message("c")]),
        (b"data: a\n{\"b\":1}\n\n", &[message("a")]),
        (b"data: a\n{\"error\":1}\n\n", &[message("a")]),
        (b"data: a\n\n{\"error\":1}\n", &[message("a"), ("error", "{\"error\":1}", "")]),
        (
            b"data: a\n\n{\"error\":1}\n\ndata: b\n\n",
            &[message("a"), ("error", "{\"error\":1}", ""), message("b")],
        ),
        (b"data: a\n\nerror: {\"code\":500}\n\n", &[message("a"), ("error", "{\"code\":500}", "")]),
        (b"error: {\"code\":500}\n\n", &[("error", "{\"code\":500}", "")]),
        (b"error: x\ndata: a\n\n", &[message("a")]),
        (b"", &[]),
        (b"\n", &[]),
        (b": only a comment", &[]),
        (b"event: x", &[]),
    ];
    for (bytes, expected) in table {
        let expected: Vec<Event> =
            expected.iter().map(|(e, d, i)| ((*e).to_owned(), (*d).to_owned(), (*i).to_owned())).collect();
        at_every_cut(bytes, |found, how| {
            assert_eq!(found, expected, "{:?} {how}", String::from_utf8_lossy(bytes));
        });
    }
}

#[test]
fn bare_json_becomes_one_frame_at_the_end() {
    for body in ["{\"error\":\n {\"code\": 404}}\n", "\n \n  [{\"error\":1}]", "{\"a\":\"data: x\"}\r\n\r\n"]
    {
        at_every_cut(body.as_bytes(), |found, how| {
            let [(event, data, _)] = found.as_slice() else { panic!("{found:?} {how}") };
            assert_eq!(event, "message");
            // Line ends are white space here; what matters is that the JSON is whole.
            let strip = |text: &str| text.split_whitespace().collect::<String>();
            assert_eq!(strip(data), strip(body), "{how}");
        });
    }
    let mut decoder = SseDecoder::new(LIMIT);
    assert_eq!(decoder.feed(b"{\"a\":1}\n").next().unwrap(), None);
    let frame = decoder.finish().unwrap().unwrap();
    assert!(frame.bare && frame.at_end);
}

#[test]
fn frames_say_how_they_were_closed_and_what_was_repaired() {
    let mut decoder = SseDecoder::new(LIMIT);
    let mut frames = decoder.feed(b"data: a\xFF\n\ndata: b\n\nretry: 1500\ndata: c");
    assert!(frames.next().unwrap().unwrap().repaired);
    let second = frames.next().unwrap().unwrap();
    assert!(!second.repaired && !second.at_end && !second.bare);
    assert_eq!(frames.next().unwrap(), None);
    assert!(decoder.finish().unwrap().unwrap().at_end);
    assert_eq!(decoder.retry(), Some(Duration::from_millis(1500)));
}

#[test]
fn the_limit_bounds_lines_and_events_and_is_named() {
    let fail = |bytes: &[u8], size: usize| {
        let mut decoder = SseDecoder::new(16);
        for piece in bytes.chunks(size) {
            let mut frames = decoder.feed(piece);
            loop {
                match frames.next() {
                    Ok(Some(_)) => {}
                    Ok(None) => break,
                    Err(error) => {
                        assert_eq!(frames.next().unwrap(), None, "nothing follows the error");
                        return Some(error);
                    }
                }
            }
        }
        assert!(decoder.line.len() + decoder.data.len() <= 32);
        None
    };
    for size in [1, 3, 7, 1000] {
        assert!(fail(b"data: 0123456789\n\ndata: 0123456789\n\n", size).is_none());
        for too_large in [
            b"data: 0123456789abcdef\n\n".as_slice(),
            b"data: 0123456\ndata: 0123456789\n\n",
            b": a comment that is too long",
            b"{\"error\":\n\"more than sixteen\"}",
        ] {
            let error = fail(too_large, size).expect("too large");
            assert_eq!(error.kind(), ErrorKind::TooLarge);
            assert_eq!(error.message(), "an event of the stream has more than 16 bytes (max_event_bytes)");
        }
    }
}

#[test]
fn data_in_one_chunk_is_lent() {
    let chunk = b"data: {\"a\":1}\n\ndata: {\"b\":2}\r\n\r\n".to_vec();
    let inside = chunk.as_ptr() as usize..chunk.as_ptr() as usize + chunk.len();
    let mut decoder = SseDecoder::new(LIMIT);
    let mut frames = decoder.feed(&chunk);
    for _ in 0..2 {
        let frame = frames.next().unwrap().unwrap();
        assert!(inside.contains(&(frame.data.as_ptr() as usize)), "{} was copied", frame.data);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_split_gives_the_same_events(
        lines in proptest::collection::vec(
            prop_oneof![
                Just(b"data: x".to_vec()), Just(b"data:{\"y\":1}".to_vec()), Just(b"data".to_vec()),
                Just(b"event: e".to_vec()), Just(b"id: 1".to_vec()), Just(b": c".to_vec()), Just(b"".to_vec()),
                Just(b"{\"bare\":1}".to_vec()), Just("data: é😀".as_bytes().to_vec()), Just(b"\xEF\xBB\xBF".to_vec()),
                proptest::collection::vec(any::<u8>(), 0..12),
            ],
            0..24,
        ),
        ends in proptest::collection::vec(prop_oneof![Just(&b"\n"[..]), Just(&b"\r\n"[..]), Just(&b"\r"[..])], 24),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..8),
    ) {
        let mut bytes = Vec::new();
        for (line, end) in lines.iter().zip(ends) {
            bytes.extend_from_slice(line);
            bytes.extend_from_slice(end);
        }
        let whole = events([bytes.as_slice()]);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut from = 0;
        for cut in cuts {
            pieces.push(&bytes[from..cut]);
            from = cut;
        }
        pieces.push(&bytes[from..]);
        // A body of bare JSON keeps its line ends only where it is collected; they mean nothing there.
        let strip = |events: Vec<Event>| {
            let data = |text: &str| text.replace(['\r', '\n'], "");
            events.into_iter().map(|(e, d, i)| (e, data(&d), i)).collect::<Vec<_>>()
        };
        prop_assert_eq!(strip(events(pieces)), strip(whole.clone()));
        prop_assert_eq!(strip(events(bytes.chunks(1))), strip(whole));
    }
}

#[test]
fn bare_json_behind_events_is_read_where_it_is_expected() {
    let body = b"data: a\r\n\r\n{\r\n  \"error\": {}\r\n}\r\n";
    for cut in 0..=body.len() {
        let (start, end) = body.split_at(cut);
        let mut decoder = SseDecoder::new(1000).with_late_json();
        let mut found = Vec::new();
        for piece in [start, end] {
            let mut frames = decoder.feed(piece);
            while let Some(frame) = frames.next().unwrap() {
                found.push((frame.data.to_owned(), frame.bare));
            }
        }
        found.extend(decoder.finish().unwrap().map(|frame| (frame.data.trim().to_owned(), frame.bare)));
        let [(first, false), (last, true)] = found.as_slice() else { panic!("{found:?} cut at {cut}") };
        assert_eq!(first, "a");
        let json: String = last.chars().filter(|c| !c.is_whitespace()).collect();
        assert_eq!(json, r#"{"error":{}}"#);
    }
}
