//! Text that cannot steer a terminal: what a model, a server or a file name says is shown, never obeyed.
//!
//! Every character that a terminal acts on is replaced by one that can be seen: C0 controls and DEL by their control
//! pictures (`␛`), C1 controls and bidirectional controls by their number (`<U+202E>`). Each is a single character, so
//! that it makes no difference how a text was cut into deltas; only CR LF, which becomes LF, spans two.

/// The filter for text that may have lines: newline and tab pass.
///
/// One value filters one text, whatever pieces it comes in.
#[derive(Debug, Default)]
pub struct Safe {
    /// A CR was seen and not yet shown: LF may follow.
    held_cr: bool,
}

impl Safe {
    /// A filter at the start of a text.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the piece to `out` as it may be shown.
    pub fn push(&mut self, piece: &str, out: &mut String) {
        for c in piece.chars() {
            if std::mem::take(&mut self.held_cr) && c != '\n' {
                out.push('␍');
            }
            match c {
                '\r' => self.held_cr = true,
                '\n' | '\t' => out.push(c),
                c => push_visible(c, out),
            }
        }
    }

    /// Adds what was held back.
    pub fn finish(&mut self, out: &mut String) {
        if std::mem::take(&mut self.held_cr) {
            out.push('␍');
        }
    }
}

/// A whole text, newlines and tabs kept.
#[must_use]
pub fn lines(text: &str) -> String {
    let (mut safe, mut out) = (Safe::new(), String::with_capacity(text.len()));
    safe.push(text, &mut out);
    safe.finish(&mut out);
    out
}

/// A text for one line: a name, a message, a log line. Newlines and tabs are written as `\n` and `\t`, so that no
/// line can be forged.
#[must_use]
pub fn line(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c => push_visible(c, &mut out),
        }
    }
    out
}

/// A file's name for one line, as far as it is text.
#[must_use]
pub fn path(path: &std::path::Path) -> String {
    line(&path.display().to_string())
}

fn push_visible(c: char, out: &mut String) {
    match c {
        // The control pictures stand in the order of the controls.
        '\0'..='\x1f' => out.push(char::from_u32(u32::from(c) + 0x2400).unwrap_or('\u{fffd}')),
        '\x7f' => out.push('\u{2421}'),
        '\u{80}'..='\u{9f}'
        | '\u{61c}'
        | '\u{200e}'
        | '\u{200f}'
        | '\u{2028}'
        | '\u{2029}'
        | '\u{202a}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}'
        // Tags and variation selectors of the supplement: text that only a machine reads.
        | '\u{e0000}'..='\u{e01ef}' => {
            use std::fmt::Write as _;
            let _never_fails = write!(out, "<U+{:04X}>", u32::from(c));
        }
        c => out.push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "a\x1b[31mred\x1b]52;c;Zm9v\x07\x1b\\ \u{9b}2J \x7f\x08 \u{202e}evil\u{2066} \0 ok\tzwölf 漢字 👩‍👩‍👧\r\nnext\rover\n";

    fn can_steer(c: char) -> bool {
        (c.is_control() && c != '\n' && c != '\t')
            || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{61c}')
    }

    #[test]
    fn nothing_that_steers_a_terminal_passes_and_all_else_does() {
        let shown = lines(HOSTILE);
        assert!(!shown.contains(can_steer), "{shown:?}");
        assert_eq!(
            shown,
            "a␛[31mred␛]52;c;Zm9v␇␛\\ <U+009B>2J ␡␈ <U+202E>evil<U+2066> ␀ ok\tzwölf 漢字 👩‍👩‍👧\nnext␍over\n"
        );
    }

    #[test]
    fn any_cut_gives_the_same_text() {
        let whole = lines(HOSTILE);
        let cuts: Vec<usize> = HOSTILE.char_indices().map(|(at, _)| at).collect();
        for (n, &a) in cuts.iter().enumerate() {
            for &b in &cuts[n..] {
                let (mut safe, mut out) = (Safe::new(), String::new());
                let (start, rest) = HOSTILE.split_at(a);
                let (middle, end) = rest.split_at(b - a);
                for piece in [start, middle, end] {
                    safe.push(piece, &mut out);
                }
                safe.finish(&mut out);
                assert_eq!(out, whole, "cut at {a} and {b}");
            }
        }
    }

    #[test]
    fn a_line_stays_one_line() {
        assert_eq!(line("a\r\nERROR: forged\tx\x1b[2K"), "a\\r\\nERROR: forged\\tx␛[2K");
        assert_eq!(path(std::path::Path::new("x\ny")), "x\\ny");
    }

    #[test]
    fn a_lone_return_at_the_end_is_shown() {
        assert_eq!(lines("50 %\r"), "50 %␍");
    }
}
