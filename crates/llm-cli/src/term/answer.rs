//! The answer on its way to the standard output, piece by piece, and whether anybody still reads it.

use std::io::{self, Write};
use std::time::{Duration, Instant};

use super::safe::Safe;

/// The longest that a piece is kept before a pipe gets it, so that `tail -f` sees an answer grow.
const PATIENCE: Duration = Duration::from_millis(50);
/// More than this is not kept at all.
const FULL: usize = 16 * 1024;

/// Writes an answer: to a terminal every piece at once, made safe; to a pipe or a file byte for byte, at a newline or
/// after 50 ms, whichever is first.
#[derive(Debug)]
pub struct Answer<W> {
    out: W,
    is_terminal: bool,
    safe: Safe,
    kept: String,
    /// When the oldest kept piece came.
    since: Option<Instant>,
    ends_line: bool,
    any: bool,
}

impl<W: Write> Answer<W> {
    /// An answer that has not begun.
    pub fn new(out: W, is_terminal: bool) -> Self {
        Self {
            out,
            is_terminal,
            safe: Safe::new(),
            kept: String::new(),
            since: None,
            ends_line: true,
            any: false,
        }
    }

    /// Whether anything has come.
    pub fn is_empty(&self) -> bool {
        !self.any
    }

    /// Whether what comes next begins a line.
    pub fn ends_line(&self) -> bool {
        self.ends_line
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// Those of the output.
    pub fn push(&mut self, piece: &str, now: Instant) -> io::Result<()> {
        if piece.is_empty() {
            return Ok(());
        }
        self.any = true;
        self.ends_line = piece.ends_with('\n');
        if self.is_terminal {
            self.safe.push(piece, &mut self.kept);
            return self.flush();
        }
        self.kept.push_str(piece);
        self.since.get_or_insert(now);
        if piece.contains('\n') || self.kept.len() > FULL { self.flush() } else { Ok(()) }
    }

    /// When what is kept must go.
    pub fn due(&self) -> Option<Instant> {
        self.since.map(|since| since + PATIENCE)
    }

    /// Sends off what is kept.
    ///
    /// # Errors
    /// Those of the output.
    pub fn flush(&mut self) -> io::Result<()> {
        self.since = None;
        self.out.write_all(self.kept.as_bytes())?;
        self.kept.clear();
        self.out.flush()
    }

    /// Ends the answer. A terminal gets the newline that the text lacks; nothing else is ever added.
    ///
    /// # Errors
    /// Those of the output.
    pub fn finish(&mut self) -> io::Result<()> {
        if self.is_terminal {
            self.safe.finish(&mut self.kept);
            if self.any && !std::mem::replace(&mut self.ends_line, true) {
                self.kept.push('\n');
            }
        }
        self.flush()
    }
}

/// Resolves when nobody reads the standard output any more. Never, where that cannot be known: a file, or another
/// system.
#[cfg(unix)]
pub async fn reader_gone() {
    use std::os::fd::AsFd as _;

    use tokio::io::Interest;
    use tokio::net::unix::pipe::Sender;

    // Unchecked, because it is watched and never written through: the stream stays blocking, as those who share it
    // with us expect. A file cannot be watched, and has no reader that could go.
    if let Ok(out) = std::io::stdout().as_fd().try_clone_to_owned()
        && let Ok(watched) = Sender::from_owned_fd_unchecked(out)
    {
        while let Ok(ready) = watched.ready(Interest::ERROR).await {
            if ready.is_error() {
                return;
            }
        }
    }
    std::future::pending::<()>().await;
}

/// Never resolves: not known on this system.
#[cfg(not(unix))]
pub async fn reader_gone() {
    std::future::pending::<()>().await;
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Remembers what each flush sent.
    #[derive(Default)]
    struct Sent {
        open: String,
        flushed: Vec<String>,
    }

    impl Write for Sent {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.open.push_str(std::str::from_utf8(bytes).unwrap());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            if !self.open.is_empty() {
                self.flushed.push(std::mem::take(&mut self.open));
            }
            Ok(())
        }
    }

    fn sent(is_terminal: bool, pieces: &[&str]) -> Vec<String> {
        let mut answer = Answer::new(Sent::default(), is_terminal);
        for piece in pieces {
            answer.push(piece, Instant::now()).unwrap();
        }
        answer.finish().unwrap();
        answer.out.flushed
    }

    #[test]
    fn a_terminal_gets_every_delta_at_once_and_a_final_newline() {
        assert_eq!(sent(true, &["Hel", "lo \x1b", "[2J"]), ["Hel", "lo ␛", "[2J", "\n"]);
        assert_eq!(sent(true, &["line\n"]), ["line\n"]);
        assert!(sent(true, &[]).is_empty());
    }

    #[test]
    fn a_pipe_gets_whole_lines_byte_for_byte() {
        assert_eq!(sent(false, &["Hel", "lo \x1b[2J\r\nwo", "rld"]), ["Hello \x1b[2J\r\nwo", "rld"]);
    }

    #[test]
    fn what_a_pipe_waits_for_is_due_after_50_ms() {
        let mut answer = Answer::new(Sent::default(), false);
        let start = Instant::now();
        assert_eq!(answer.due(), None);
        answer.push("a", start).unwrap();
        answer.push("b", start + PATIENCE / 2).unwrap();
        assert_eq!(answer.due(), Some(start + PATIENCE));
        answer.flush().unwrap();
        assert_eq!((answer.due(), answer.out.flushed.as_slice()), (None, ["ab".to_owned()].as_slice()));
    }
}
