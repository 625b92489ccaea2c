//! Lists however they are written and cut.

use proptest::prelude::*;

use super::*;

/// `(data, at_end, bare)` of every frame, and the error it ends in.
fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>, limit: u64) -> (Vec<(String, bool, bool)>, bool) {
    let mut decoder = JsonListDecoder::new(limit);
    let mut found = Vec::new();
    for piece in pieces {
        let mut frames = decoder.feed(piece);
        loop {
            match frames.next() {
                Ok(Some(frame)) => found.push((frame.data.to_owned(), frame.at_end, frame.bare)),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::TooLarge);
                    return (found, true);
                }
            }
        }
    }
    if let Some(frame) = decoder.finish().unwrap() {
        found.push((frame.data.to_owned(), frame.at_end, frame.bare));
    }
    assert_eq!(decoder.finish().unwrap(), None);
    (found, false)
}

#[test]
fn items_come_whole_whatever_the_cuts_are() {
    for (body, items, end) in [
        ("", &[][..], None),
        ("[]", &[], None),
        (" [ ] ", &[], None),
        (r#"[{"a":1}]"#, &[r#"{"a":1}"#], None),
        ("[{\r\n\"a\":1\n}\n,\n{\"b\":[[]]}\n]\n", &["{\r\n\"a\":1\n}", "{\"b\":[[]]}"], None),
        ("\u{FEFF}[{\"a\":\"é😀\"}]", &["{\"a\":\"é😀\"}"], None),
        (r#"[{"a":"}]\"\\"},{"b":"["}]"#, &[r#"{"a":"}]\"\\"}"#, r#"{"b":"["}"#], None),
        (r#"[1,"x",null,[2],true]"#, &["1", "\"x\"", "null", "[2]", "true"], None),
        (r#"[{"a":1}] {"b":2}"#, &[r#"{"a":1}"#], None),
        (r#"[{"a":1},{"b"#, &[r#"{"a":1}"#], Some((r#"{"b"#, false))),
        (r#"[{"a":1},"#, &[r#"{"a":1}"#], None),
        (r#"[{"a":1}"#, &[r#"{"a":1}"#], None),
        ("{\n\"error\":{}}\n", &[], Some(("{\n\"error\":{}}\n", true))),
        ("<html>", &[], Some(("<html>", true))),
    ] {
        let mut expected: Vec<_> = items.iter().map(|item| ((*item).to_owned(), false, false)).collect();
        expected.extend(end.map(|(data, bare): (&str, bool)| (data.to_owned(), true, bare)));
        let bytes = body.as_bytes();
        assert_eq!(read([bytes], 1000).0, expected, "{body}");
        assert_eq!(read(bytes.chunks(1), 1000).0, expected, "{body} byte by byte");
        for cut in 0..=bytes.len() {
            let (start, end) = bytes.split_at(cut);
            assert_eq!(read([start, end], 1000).0, expected, "{body} cut at {cut}");
        }
    }
}

#[test]
fn an_item_above_the_limit_is_an_error_however_it_comes() {
    for body in
        ["[{\"a\":\"0123456789\"}]", "[{\"a\":\"0123456789", "{\"a\":\"0123456789\"}", "0123456789012345"]
    {
        assert!(read([body.as_bytes()], 12).1, "{body}");
        assert!(read(body.as_bytes().chunks(1), 12).1, "{body} byte by byte");
        assert!(!read([body.as_bytes()], 40).1, "{body}");
    }
    assert_eq!(read([&b"[{\"a\":1},{\"a\":2}]"[..]], 8).0.len(), 2);
}

#[test]
fn bytes_that_are_no_text_are_replaced() {
    let mut decoder = JsonListDecoder::new(100);
    let mut frames = decoder.feed(b"[\"\xFF\"]");
    let frame = frames.next().unwrap().unwrap();
    assert_eq!((frame.data, frame.repaired), ("\"\u{FFFD}\"", true));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_cut_gives_the_same_items(
        tail in r#"[\[\]{}",: \\a1\n]{0,40}"#,
        listed in any::<bool>(),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..6),
    ) {
        let body = if listed { format!("[{tail}") } else { tail };
        let bytes = body.as_bytes();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut from = 0;
        for cut in cuts.into_iter().chain([bytes.len()]) {
            pieces.push(&bytes[from..cut]);
            from = cut;
        }
        prop_assert_eq!(read(pieces, 30), read([bytes], 30));
    }
}
