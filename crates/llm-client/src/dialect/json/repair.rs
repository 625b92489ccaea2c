//! Mends what serde_json refuses a whole document for: lone surrogates, broken escapes, control characters in strings,
//! and numbers that are none in JSON or out of range.

/// A copy that serde_json can read, or `None` when there is nothing that we know to repair.
pub(super) fn repair(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len() + 16);
    let mut changed = false;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let (taken, replaced) = match c {
            '"' => string(rest, &mut out),
            'N' | 'I' | '-' | '0'..='9' => number(rest, &mut out),
            _ => {
                out.push(c);
                (c.len_utf8(), false)
            }
        };
        changed |= replaced;
        rest = rest.get(taken..).unwrap_or_default();
    }
    changed.then_some(out)
}

/// Copies a number; what is none in JSON, or out of range, becomes null.
fn number(text: &str, out: &mut String) -> (usize, bool) {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    let len = text.find(|c| !is_part(c)).unwrap_or(text.len());
    let token = text.get(..len).unwrap_or_default();
    let known = token.starts_with(|c: char| c == '-' || c.is_ascii_digit())
        && token.parse::<f64>().is_ok_and(f64::is_finite);
    out.push_str(if known { token } else { "null" });
    (len, !known)
}

/// Copies a string from its opening quote on, its broken escapes replaced.
fn string(text: &str, out: &mut String) -> (usize, bool) {
    let mut changed = false;
    let mut at = 1;
    out.push('"');
    while let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) {
        at += c.len_utf8();
        match c {
            '"' => {
                out.push('"');
                break;
            }
            '\\' => {
                let (taken, replaced) = escape(text.get(at..).unwrap_or_default(), out);
                at += taken;
                changed |= replaced;
            }
            c if c < ' ' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
                changed = true;
            }
            c => out.push(c),
        }
    }
    (at, changed)
}

/// Copies the escape whose backslash lies before `text`.
fn escape(text: &str, out: &mut String) -> (usize, bool) {
    let unit = |at: usize| {
        let hex = text.get(at..at + 4).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()))?;
        u16::from_str_radix(hex, 16).ok()
    };
    match text.chars().next() {
        Some('u') => match unit(1) {
            Some(0xD800..=0xDBFF) => {
                let low = if text.get(5..7) == Some("\\u") { unit(7) } else { None };
                if low.is_some_and(|low| (0xDC00..=0xDFFF).contains(&low)) {
                    out.push('\\');
                    out.push_str(text.get(..11).unwrap_or_default());
                    return (11, false);
                }
                out.push('\u{FFFD}');
                (5, true)
            }
            Some(0xDC00..=0xDFFF) => {
                out.push('\u{FFFD}');
                (5, true)
            }
            Some(_) => {
                out.push('\\');
                out.push_str(text.get(..5).unwrap_or_default());
                (5, false)
            }
            None => {
                out.push_str("\\\\");
                (0, true)
            }
        },
        Some(c @ ('"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't')) => {
            out.push('\\');
            out.push(c);
            (1, false)
        }
        // A backslash that escapes nothing stands for itself.
        _ => {
            out.push_str("\\\\");
            (0, true)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::de::IgnoredAny;

    use super::*;

    #[test]
    fn broken_escapes_and_numbers_are_repaired_and_nothing_else_is_touched() {
        for (broken, whole) in [
            (r#"{"a":"\ud800x"}"#, "{\"a\":\"\u{FFFD}x\"}"),
            (r#"["\udc00","\ud83d\ude00"]"#, "[\"\u{FFFD}\",\"\\ud83d\\ude00\"]"),
            (r#"["\ud800\ud83d\ude00"]"#, "[\"\u{FFFD}\\ud83d\\ude00\"]"),
            (r#"["\ud800\u0041"]"#, "[\"\u{FFFD}\\u0041\"]"),
            ("[\"a\nb\"]", r#"["a\u000ab"]"#),
            (r#"["\x","\u12","c:\"]"]"#, r#"["\\x","\\u12","c:\"]"]"#),
            ("[NaN,-Infinity,1e400,1e4,-1.5]", "[null,null,null,1e4,-1.5]"),
        ] {
            assert_eq!(repair(broken).as_deref(), Some(whole), "{broken}");
            assert!(serde_json::from_str::<IgnoredAny>(whole).is_ok(), "{whole}");
        }
        for fine in [r#"{"a":"\n \" \\ é","b":[-1.0e-3,true,null]}"#, "", "not json"] {
            assert_eq!(repair(fine), None, "{fine}");
        }
    }

    #[test]
    fn every_cut_of_a_document_can_be_repaired_without_a_panic() {
        let text = r#"{"a":"\ud83d\ude00\ud800é","b":[NaN,1e400]}"#;
        for (at, _) in text.char_indices() {
            let (start, end) = text.split_at(at);
            let _ = (repair(start), repair(end));
        }
    }
}
