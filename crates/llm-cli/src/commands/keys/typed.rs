//! A key that is typed and never seen.

use crate::exit::Exit;
use crate::failure::{Failure, reason};
use crate::term::Term;

/// No key is longer.
#[cfg(unix)]
const MOST: usize = 64 << 10;

/// Asks for a line that the terminal does not show. Ctrl-C ends the command, Ctrl-D the input.
///
/// # Errors
/// [`Exit::Interrupted`], a terminal that cannot be quietened, a line that is too long.
#[cfg(unix)]
pub(super) fn unseen(question: &str, term: &Term) -> Result<String, Failure> {
    let quiet = Quiet::begin()?;
    term.err(question);
    let line = line();
    drop(quiet);
    // The line break was not shown either.
    term.err("\n");
    line
}

#[cfg(unix)]
fn line() -> Result<String, Failure> {
    use std::io::Read as _;
    let mut typed = Vec::new();
    for byte in std::io::stdin().lock().bytes() {
        match byte.map_err(|e| failed(&e))? {
            b'\n' | b'\r' | 0x04 => break,
            0x03 => return Err(Failure::silent(Exit::Interrupted)),
            0x08 | 0x7f => {
                typed.pop();
            }
            0x15 => typed.clear(),
            byte if typed.len() < MOST => typed.push(byte),
            _ => return Err(Failure::usage("this is longer than any key")),
        }
    }
    String::from_utf8(typed).map_err(|_| Failure::usage("this cannot be a key: it is not text"))
}

#[cfg(unix)]
fn failed(error: &std::io::Error) -> Failure {
    Failure::own(Exit::File, "file", format!("cannot read from the terminal: {}", reason(error)))
}

/// While it lives, the terminal shows nothing of what is typed, and hands on every key as it is.
#[cfg(unix)]
struct Quiet(rustix::termios::Termios);

#[cfg(unix)]
impl Quiet {
    fn begin() -> Result<Self, Failure> {
        use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
        let broken = |e: rustix::io::Errno| failed(&e.into());
        let before = tcgetattr(std::io::stdin()).map_err(broken)?;
        let mut quiet = before.clone();
        // Without ISIG, Ctrl-C comes as a character, and the terminal is set right before the end.
        quiet
            .local_modes
            .remove(LocalModes::ECHO | LocalModes::ECHONL | LocalModes::ICANON | LocalModes::ISIG);
        tcsetattr(std::io::stdin(), OptionalActions::Flush, &quiet).map_err(broken)?;
        Ok(Self(before))
    }
}

#[cfg(unix)]
impl Drop for Quiet {
    fn drop(&mut self) {
        use rustix::termios::{OptionalActions, tcsetattr};
        // A terminal that is gone needs nothing.
        let _gone = tcsetattr(std::io::stdin(), OptionalActions::Drain, &self.0);
    }
}

/// On this system nothing typed can be hidden, so that nothing is asked for.
///
/// # Errors
/// Always.
#[cfg(not(unix))]
pub(super) fn unseen(_: &str, _: &Term) -> Result<String, Failure> {
    Err(Failure::usage("a typed key could be seen here")
        .hint("pipe it in: TYPE-THE-KEY | llm keys set PROVIDER"))
}
