//! Pieces of a request's path.

use std::borrow::Cow;

/// A piece of a path, with everything coded that could be taken for more than that.
pub(crate) fn segment(text: &str) -> String {
    text.bytes().fold(String::with_capacity(text.len()), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => out.push(char::from(byte)),
            b'.' if !text.bytes().all(|b| b == b'.') => out.push('.'),
            byte => out.push_str(&format!("%{byte:02X}")),
        }
        out
    })
}

/// The path of a base URL with the format's version at its end, where it is not there already.
pub(crate) fn versioned<'a>(given: &'a str, version: &str) -> Cow<'a, str> {
    let path = given.trim_end_matches('/');
    if path.ends_with(version) { Cow::Borrowed(path) } else { Cow::Owned(format!("{path}{version}")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_added_once() {
        for (given, path) in [
            ("", "/v1"),
            ("/", "/v1"),
            ("/v1", "/v1"),
            ("/v1/", "/v1"),
            ("/anthropic", "/anthropic/v1"),
            ("/anthropic/v1", "/anthropic/v1"),
        ] {
            assert_eq!(versioned(given, "/v1"), path);
        }
    }

    #[test]
    fn a_name_stays_one_segment() {
        for (name, coded) in [
            ("gpt-x", "gpt-x"),
            ("a/b:c", "a%2Fb%3Ac"),
            ("..", "%2E%2E"),
            ("v1.5", "v1.5"),
            ("a?b#c", "a%3Fb%23c"),
        ] {
            assert_eq!(segment(name), coded);
        }
    }
}
