//! Nothing from the network panics, and no way of cutting bytes changes what they say.

use proptest::prelude::*;

use super::*;

/// Reads bytes in every way there is, in every format.
fn read_all_ways(bytes: &[u8]) {
    let compatible = WireTarget { quirks: &Quirks::COMPATIBLE, ..TARGET };
    let _ = stream(bytes.chunks(7), &compatible);
    for Spoken { dialect, target, .. } in SPOKEN {
        for json in heads(*dialect) {
            let _ = stream_by(*dialect, json, [bytes], target);
        }
        let _ = dialect.decode_chat(bytes, target);
        let _ = dialect.decode_models(bytes, target);
        let _ = dialect.decode_embeddings(bytes, 1, target);
        let _ = dialect.decode_count(bytes, target);
        for status in [200, 400, 404, 429, 503] {
            let status = StatusCode::from_u16(status).unwrap();
            let error = dialect.classify(status, &HeaderMap::new(), bytes, target, Hints::default());
            assert!(error.message().len() <= 512);
        }
    }
}

/// A format, and a fixture of it with some of its bytes changed, doubled or cut out.
fn mutated() -> impl Strategy<Value = (usize, Vec<u8>)> {
    let change = (any::<proptest::sample::Index>(), any::<u8>(), 0..4_u8);
    let changes = proptest::collection::vec(change, 1..8);
    let places: Vec<(usize, usize)> = SPOKEN
        .iter()
        .enumerate()
        .flat_map(|(at, spoken)| (0..spoken.bodies.len()).map(move |body| (at, body)))
        .collect();
    (proptest::sample::select(places), changes).prop_map(|((at, body), changes)| {
        let mut bytes = SPOKEN[at].bodies[body].1.as_bytes().to_vec();
        for (at, byte, how) in changes {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.truncate(at.max(1)),
                2 => bytes.insert(at, byte),
                _ => {
                    let tail = bytes.split_off(at);
                    bytes.extend_from_slice(&tail[tail.len() / 2..]);
                    if bytes.is_empty() {
                        bytes.push(byte);
                    }
                }
            }
        }
        (at, bytes)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn arbitrary_bytes_do_not_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        read_all_ways(&bytes);
    }

    #[test]
    fn mutated_bodies_do_not_panic_and_read_the_same_at_any_cut(
        (at, bytes) in mutated(),
        cuts in proptest::collection::vec(any::<proptest::sample::Index>(), 0..6),
    ) {
        read_all_ways(&bytes);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut from = 0;
        for cut in cuts.into_iter().chain([bytes.len()]) {
            pieces.push(&bytes[from..cut]);
            from = cut;
        }
        // Line ends inside of bare JSON are white space, so that only positions in messages can differ.
        let place = |text: String| text.split("(line").next().unwrap_or_default().to_owned();
        let Spoken { dialect, target, .. } = &SPOKEN[at];
        for json in heads(*dialect) {
            let whole = outcome_by(*dialect, json, [bytes.as_slice()], target);
            prop_assert_eq!(place(outcome_by(*dialect, json, pieces.clone(), target)), place(whole));
        }
    }

    #[test]
    fn json_like_values_do_not_panic(
        members in proptest::collection::vec(
            (
                prop_oneof![
                    Just("id"), Just("choices"), Just("delta"), Just("message"), Just("content"), Just("tool_calls"),
                    Just("function"), Just("index"), Just("usage"), Just("error"), Just("finish_reason"), Just("code"),
                    Just("reasoning_details"), Just("logprobs"), Just("created"), Just("prompt_tokens"), Just("data"),
                    Just("type"), Just("content_block"), Just("stop_reason"), Just("input"), Just("citations"), Just("text"),
                ],
                prop_oneof![
                    Just("null"), Just("1"), Just("-1"), Just("1e400"), Just("\"x\""), Just("[]"), Just("{}"), Just("true"),
                    Just("[null]"), Just("[[]]"), Just("[{}]"), Just("\"\\ud800\""), Just("[{\"index\":null}]"),
                    Just("{\"error\":{}}"), Just("\"message_start\""), Just("\"content_block_start\""),
                    Just("\"content_block_delta\""), Just("\"message_delta\""), Just("{\"type\":\"tool_use\"}"),
                    Just("{\"type\":\"text\",\"text\":\"a\"}"), Just("{\"type\":\"text_delta\",\"text\":\"a\"}"), Just("[{\"delta\":{\"content\":\"a\",\"tool_calls\":[{}]},\"finish_reason\":\"stop\"}]"),
                ],
            ),
            0..6,
        ),
    ) {
        let inner: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        let object = format!("{{{}}}", inner.join(","));
        for text in [
            object.clone(),
            format!("{{\"choices\":[{object}]}}"),
            format!("{{\"choices\":[{{\"message\":{object}}}]}}"),
            format!("data: {{\"choices\":[{{\"delta\":{object}}}]}}\n\ndata: [DONE]\n\n"),
            format!("data: {object}\n\n"),
        ] {
            read_all_ways(text.as_bytes());
        }
    }
}

#[test]
fn depth_and_size_do_not_crash() {
    for open in [
        "[",
        "{\"a\":",
        "{\"choices\":[",
        "{\"error\":",
        "{\"choices\":[{\"message\":{\"x\":[",
        "{\"candidates\":[{\"content\":{\"x\":[",
    ] {
        let bomb = open.repeat(20_000);
        read_all_ways(bomb.as_bytes());
        read_all_ways(format!("data: {bomb}\n\n").as_bytes());
        let error = DIALECT.decode_chat(bomb.as_bytes(), &TARGET).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Protocol | ErrorKind::Server), "{open} {error:?}");
    }
    let nested = format!("{}1{}", "[".repeat(500), "]".repeat(500));
    let body = format!(r#"{{"choices":[{{"message":{{"content":"x","deep":{nested}}}}}]}}"#);
    let error = DIALECT.decode_chat(body.as_bytes(), &TARGET).unwrap_err();
    assert_eq!(
        (error.kind(), error.message()),
        (ErrorKind::Protocol, "the body is nested more than 128 levels deep")
    );
}
