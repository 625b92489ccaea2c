//! The mock's idea of a token, and text written as JSON.

/// How many characters one piece holds at most, white space before it not counted.
const LETTERS: u32 = 8;

/// Cuts a text into pieces: white space as it comes, then at most eight other characters. Joined, the pieces are
/// the text again; none ends inside a character. One piece is one token in every count this crate reports.
#[derive(Clone, Debug)]
pub(crate) struct Pieces<'a>(&'a str);

impl<'a> Pieces<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        Self(text)
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.0.is_empty() {
            return None;
        }
        let (piece, rest) = self.0.split_at_checked(piece_len(self.0.as_bytes())).unwrap_or((self.0, ""));
        self.0 = rest;
        Some(piece)
    }
}

/// Tokens of `text`, as the mock counts them.
pub(crate) fn tokens(text: &str) -> u64 {
    let (mut rest, mut count) = (text.as_bytes(), 0);
    while !rest.is_empty() {
        rest = rest.split_at_checked(piece_len(rest)).map_or(&[], |(_, rest)| rest);
        count += 1;
    }
    count
}

/// The text before its piece number `limit`, and whether anything was left out.
pub(crate) fn first_tokens(text: &str, limit: u64) -> (&str, bool) {
    let (mut end, mut rest) = (0, text.as_bytes());
    for _ in 0..limit {
        if rest.is_empty() {
            return (text, false);
        }
        let length = piece_len(rest);
        end += length;
        rest = rest.split_at_checked(length).map_or(&[], |(_, rest)| rest);
    }
    (text.split_at_checked(end).map_or(text, |(kept, _)| kept), !rest.is_empty())
}

fn piece_len(bytes: &[u8]) -> usize {
    let mut letters = 0;
    for (at, byte) in bytes.iter().enumerate() {
        if matches!(byte, b' ' | b'\n' | b'\t' | b'\r') {
            if letters > 0 {
                return at;
            }
        } else if byte & 0b1100_0000 != 0b1000_0000 {
            if letters == LETTERS {
                return at;
            }
            letters += 1;
        }
    }
    bytes.len()
}

/// Appends `text` as a JSON string, quotes included.
pub(crate) fn push_json(out: &mut Vec<u8>, text: &str) {
    // Writing a string into a Vec has no way to fail.
    let _ = serde_json::to_writer(out, text);
}

/// Appends `text` as a JSON string, or `null`.
pub(crate) fn push_or_null(out: &mut Vec<u8>, text: Option<&str>) {
    match text {
        Some(text) => push_json(out, text),
        None => out.extend_from_slice(b"null"),
    }
}

/// Arguments as JSON. Broken ones would break the whole body, so they stand as a string.
pub(crate) fn push_arguments(out: &mut Vec<u8>, arguments: &str) {
    if arguments.trim().is_empty() {
        out.extend_from_slice(b"{}");
    } else if serde_json::from_str::<&serde_json::value::RawValue>(arguments).is_ok() {
        out.extend_from_slice(arguments.as_bytes());
    } else {
        push_json(out, arguments);
    }
}

/// Appends parts one after the other.
pub(crate) fn push_all(out: &mut Vec<u8>, parts: &[&[u8]]) {
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

/// Appends a number in decimal.
pub(crate) fn push_number(out: &mut Vec<u8>, number: u64) {
    use std::io::Write;
    // As above: a Vec takes every write.
    let _ = write!(out, "{number}");
}

/// 64-bit FNV-1a: tells bodies and keys apart in a log, and seeds embeddings. Not a cryptographic hash.
pub(crate) fn fingerprint(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_piece_is_white_space_and_up_to_eight_characters() {
        let pieces: Vec<_> = Pieces::of("  Hello, unbelievable\n世界 x ").collect();
        assert_eq!(pieces, ["  Hello,", " unbeliev", "able", "\n世界", " x", " "]);
    }

    #[test]
    fn the_first_tokens_are_kept_and_the_cut_is_told() {
        assert_eq!(first_tokens("one two three", 2), ("one two", true));
        assert_eq!(first_tokens("one two", 2), ("one two", false));
        assert_eq!(first_tokens("one", 0), ("", true));
        assert_eq!(first_tokens("", 0), ("", false));
    }

    proptest! {
        #[test]
        fn pieces_join_to_the_text_and_count_as_tokens(text in "\\PC*|[ a-zé世😀\n]{0,80}") {
            prop_assert_eq!(Pieces::of(&text).collect::<String>(), text.as_str());
            prop_assert_eq!(Pieces::of(&text).count() as u64, tokens(&text));
            let limit = tokens(&text) / 2;
            let kept: String = Pieces::of(&text).take(limit as usize).collect();
            prop_assert_eq!(first_tokens(&text, limit).0, kept);
        }
    }
}
