//! One message from files, stdin and the words of the command line.

use std::fmt::Write as _;
use std::io::Read;
use std::path::Path;

use crate::exit::Exit;
use crate::failure::Failure;

/// More than this is no prompt.
const MOST_BYTES: u64 = 256 << 20;

/// What stands where: `None` is a part that was not there.
#[derive(Debug, Default)]
pub struct Parts {
    /// Files by name, each to be fenced.
    pub files: Vec<(String, String)>,
    /// What came through stdin.
    pub stdin: Option<String>,
    /// The words of the command line.
    pub prompt: Option<String>,
}

impl Parts {
    /// The message: files, then stdin, then the prompt, a blank line between them. `None` when there is nothing but
    /// white space.
    #[must_use]
    pub fn message(&self) -> Option<String> {
        let files = self.files.iter().map(|(name, text)| fenced(name, text));
        let texts = [&self.stdin, &self.prompt].into_iter().flatten().map(|text| {
            // The newline that ends a line is not part of what it says.
            text.trim_end_matches(['\n', '\r']).to_owned()
        });
        let parts: Vec<String> = files.chain(texts.filter(|text| !text.trim().is_empty())).collect();
        (!parts.is_empty()).then(|| parts.join("\n\n"))
    }
}

/// A file's text in a fence longer than any in it, under its name.
fn fenced(name: &str, text: &str) -> String {
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat((longest + 1).max(3));
    let mut out = String::with_capacity(text.len() + name.len() + 16);
    let end = if text.is_empty() || text.ends_with('\n') { "" } else { "\n" };
    let _never_fails = write!(out, "{name}:\n{fence}\n{text}{end}{fence}");
    out
}

/// Reads a file that the user named.
///
/// # Errors
/// Not there, not readable, not text.
pub fn read_file(path: &Path) -> Result<(String, String), Failure> {
    let file = std::fs::File::open(path).map_err(|e| Failure::file("read", path, &e))?;
    let name = path.display().to_string();
    let text = read_text(file, &format!("`{name}`")).map_err(|e| match e {
        Unread::Io(error) => Failure::file("read", path, &error),
        Unread::Other(message) => Failure::own(Exit::Usage, "usage", message),
    })?;
    Ok((name, text))
}

/// Reads stdin to its end.
///
/// # Errors
/// Not readable, not text.
pub fn read_stdin() -> Result<String, Failure> {
    read_text(std::io::stdin().lock(), "stdin").map_err(|e| match e {
        Unread::Io(error) => {
            Failure::own(Exit::File, "file", format!("cannot read stdin: {}", crate::failure::reason(&error)))
        }
        Unread::Other(message) => Failure::own(Exit::Usage, "usage", message),
    })
}

/// Whether a path means stdin.
#[must_use]
pub fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

enum Unread {
    Io(std::io::Error),
    Other(String),
}

fn read_text(source: impl Read, name: &str) -> Result<String, Unread> {
    let mut bytes = Vec::new();
    source.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(Unread::Io)?;
    if u64::try_from(bytes.len()).is_ok_and(|n| n > MOST_BYTES) {
        return Err(Unread::Other(format!("{name} has more than {} MiB", MOST_BYTES >> 20)));
    }
    let text = String::from_utf8(bytes).map_err(|e| {
        let at = e.utf8_error().valid_up_to();
        Unread::Other(format!("{name} is not UTF-8 text (byte {})", at + 1))
    })?;
    // A byte order mark is not part of the text.
    Ok(text.strip_prefix('\u{feff}').map(str::to_owned).unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(files: &[(&str, &str)], stdin: Option<&str>, prompt: Option<&str>) -> Option<String> {
        let own = |text: &str| text.to_owned();
        let files = files.iter().map(|(n, t)| (own(n), own(t))).collect();
        Parts { files, stdin: stdin.map(own), prompt: prompt.map(own) }.message()
    }

    #[test]
    fn stdin_and_prompt_are_both_sent() {
        assert_eq!(message(&[], Some("T\n"), Some("P")).as_deref(), Some("T\n\nP"));
        assert_eq!(message(&[], Some("T\r\n"), None).as_deref(), Some("T"));
        assert_eq!(message(&[], Some("  indented\n\n"), Some("P")).as_deref(), Some("  indented\n\nP"));
    }

    #[test]
    fn files_come_first_each_in_a_fence_under_its_name() {
        assert_eq!(
            message(&[("a.rs", "fn a() {}\n"), ("b.md", "```\nx\n```")], Some("T"), Some("P")).as_deref(),
            Some("a.rs:\n```\nfn a() {}\n```\n\nb.md:\n````\n```\nx\n```\n````\n\nT\n\nP")
        );
    }

    #[test]
    fn nothing_but_white_space_is_nothing() {
        assert_eq!(message(&[], Some(" \n"), None), None);
        assert_eq!(message(&[], Some(""), Some("P")).as_deref(), Some("P"));
        assert_eq!(message(&[], None, None), None);
    }

    #[test]
    fn only_text_is_read_and_a_byte_order_mark_is_left_out() {
        let read = |bytes: &[u8]| match read_text(bytes, "stdin") {
            Ok(text) => text,
            Err(Unread::Other(message)) => message,
            Err(Unread::Io(e)) => panic!("{e}"),
        };
        assert_eq!(read("\u{feff}zwölf".as_bytes()), "zwölf");
        assert_eq!(read(b"ab\xff"), "stdin is not UTF-8 text (byte 3)");
    }
}
