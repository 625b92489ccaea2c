//! A key that a command prints: `{ cmd = "pass show openai" }` or `{ cmd = ["pass", "show", "openai"] }`.
//!
//! No shell runs: a text is cut at white space, `'…'` and `"…"` hold together, and what a shell would act on is refused.
//! Who wants a shell names it: `["sh", "-c", "…"]`. The first line of what is printed is the key.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command as Process, Stdio};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use llm_types::{Error, ErrorKind, Secret};

use super::key_from;
use crate::config::reader::Entry;
use crate::config::reader::resolve;
use crate::config::tree::Value;

/// How long a command may take: it may ask the user for a passphrase.
const TIME_OUT: Duration = Duration::from_secs(30);
/// The most that is read of what it prints.
const MAX_OUTPUT: usize = 64 << 10;
/// The most of its complaint that is shown.
const MAX_COMPLAINT: usize = 400;

/// A program with its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Command {
    program: PathBuf,
    arguments: Vec<String>,
}

impl Command {
    /// Reads `cmd`. A program with a `/` in its name is meant from the file's folder, any other from the PATH.
    pub(super) fn read(entry: Entry, home: Option<&Path>) -> Result<Self, Error> {
        let place = entry.place.clone();
        let full = entry.full.clone();
        let words = match &entry.value {
            Value::Text(text) => split(text).map_err(|why| entry.error(why))?,
            Value::List(_) => {
                let text = |item: Entry| item.text().map(str::to_owned);
                entry.items()?.into_iter().map(text).collect::<Result<_, _>>()?
            }
            _ => return Err(entry.unlike("a command")),
        };
        if words.iter().any(|word| word.contains('\0')) {
            return Err(place.error(format_args!("{full}: a command has no NUL in it")));
        }
        let mut words = words.into_iter();
        let program = words
            .next()
            .filter(|program| !program.trim().is_empty())
            .ok_or_else(|| place.error(format_args!("{full}: the command is empty")))?;
        let program = match program.contains('/') {
            true => resolve(&program, place.folder(), home),
            false => PathBuf::from(program),
        };
        Ok(Self { program, arguments: words.collect() })
    }

    /// The program alone, for messages: arguments may be private.
    pub(super) fn name(&self) -> String {
        let name = self.program.file_name().unwrap_or(self.program.as_os_str());
        format!("the command `{}`", name.to_string_lossy())
    }

    /// Runs it and takes the key. Blocks, at most half a minute.
    pub(super) fn run(&self) -> Result<Secret, Error> {
        self.run_within(TIME_OUT)
    }

    fn run_within(&self, limit: Duration) -> Result<Secret, Error> {
        let failed = |why: String| Error::new(ErrorKind::Authentication, format!("{} {why}", self.name()));
        let mut child = Process::new(&self.program)
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|e| failed("cannot be run".to_owned()).with_source(e))?;
        let (output, complaint) = (collect(child.stdout.take()), collect(child.stderr.take()));
        let end = Instant::now() + limit;
        let status = match wait(&mut child, end) {
            Ok(Some(status)) => status,
            Ok(None) => return Err(failed(format!("gave no key within {} s", limit.as_secs_f64()))),
            Err(e) => return Err(failed("cannot be waited for".to_owned()).with_source(e)),
        };
        let line = output.text();
        let line = line.lines().next().unwrap_or_default().trim().to_owned();
        if !status.success() {
            return Err(failed(format!("failed ({status}){}", shown(&complaint.text(), &line))));
        }
        if line.is_empty() {
            return Err(failed("printed no key on its first line".to_owned()));
        }
        key_from(&self.name(), line)
    }
}

/// Waits for its end; one that takes too long is killed.
fn wait(child: &mut Child, end: Instant) -> std::io::Result<Option<std::process::ExitStatus>> {
    let mut pause = Duration::from_millis(1);
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= end {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// What comes out of a pipe, read beside the caller.
struct Collected {
    bytes: Arc<Mutex<Vec<u8>>>,
    ended: mpsc::Receiver<()>,
}

/// Reads a pipe to its end; more than the limit is thrown away.
fn collect(pipe: Option<impl Read + Send + 'static>) -> Collected {
    let (end, ended) = mpsc::sync_channel(0);
    let bytes = Arc::<Mutex<Vec<u8>>>::default();
    let kept = bytes.clone();
    thread::spawn(move || {
        // Dropped with the thread's last breath, which is what the receiver waits for.
        let _end: mpsc::SyncSender<()> = end;
        let mut chunk = [0; 4096];
        let mut pipe = pipe;
        while let Some(Ok(count @ 1..)) = pipe.as_mut().map(|pipe| pipe.read(&mut chunk)) {
            let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
            let room = MAX_OUTPUT.saturating_sub(kept.len()).min(count);
            kept.extend_from_slice(chunk.get(..room).unwrap_or_default());
        }
    });
    Collected { bytes, ended }
}

impl Collected {
    /// The text, when its writer has ended. Whoever that one left behind may hold the pipe open: what was written within
    /// a second has to do.
    fn text(&self) -> String {
        let _ = self.ended.recv_timeout(Duration::from_secs(1));
        let bytes = self.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

/// A command's complaint, fit to be shown: bounded, on one line, without what it printed as a key.
fn shown(complaint: &str, key: &str) -> String {
    let scrubbed = Secret::new(key).scrub(complaint);
    let words: Vec<&str> = scrubbed.split_whitespace().collect();
    let text: String = words.join(" ").chars().filter(|c| !c.is_control()).take(MAX_COMPLAINT).collect();
    if text.is_empty() { String::new() } else { format!(": {text}") }
}

/// Cuts a command line into words.
fn split(text: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in text.chars() {
        match (quote, c) {
            (Some(mark), c) if c == mark => quote = None,
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, '|' | '&' | ';' | '<' | '>' | '$' | '`' | '*' | '?' | '(' | ')' | '\\' | '#') => {
                return Err(format!(
                    "no shell runs here, so `{c}` would mean nothing; quote it, or write [\"sh\", \"-c\", \"…\"]"
                ));
            }
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err("a quotation mark is not closed".to_owned());
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_cut_without_a_shell() {
        for (text, words) in [
            ("pass show openai", Ok(&["pass", "show", "openai"][..])),
            ("  op read 'op://My Vault/x' ", Ok(&["op", "read", "op://My Vault/x"])),
            (r#"a "b 'c' $d" ''"#, Ok(&["a", "b 'c' $d", ""])),
            ("a'b'\"c\"", Ok(&["abc"])),
            ("", Ok(&[])),
            ("a 'b", Err("a quotation mark is not closed")),
            ("a | b", Err("no shell runs here, so `|`")),
            ("echo $KEY", Err("no shell runs here, so `$`")),
        ] {
            match (split(text), words) {
                (Ok(found), Ok(words)) => assert_eq!(found, words, "{text}"),
                (Err(found), Err(start)) => assert!(found.starts_with(start), "{found}"),
                (found, _) => panic!("{text}: {found:?}"),
            }
        }
    }

    #[cfg(unix)]
    fn shell(script: &str) -> Command {
        Command { program: "/bin/sh".into(), arguments: vec!["-c".into(), script.into()] }
    }

    #[cfg(unix)]
    #[test]
    fn the_first_line_is_the_key() {
        let key = |script: &str| shell(script).run().map(|key| key.expose().to_owned());
        assert_eq!(key("printf ' sk-1 \\nlogin: me\\n'").unwrap(), "sk-1");
        assert_eq!(key("echo sk-2; sleep 20 & exit 0").unwrap(), "sk-2");
        assert_eq!(key("yes sk-3 | head -c 300000").unwrap(), "sk-3");
        for (script, message) in [
            ("exit 3", "the command `sh` failed (exit status: 3)"),
            (
                "echo sk-canary; printf 'no  store\\033[2J\\n for sk-canary' >&2; exit 1",
                "the command `sh` failed (exit status: 1): no store[2J for [redacted]",
            ),
            ("echo", "the command `sh` printed no key on its first line"),
            (
                "echo 'sk canary'",
                "the command `sh`: the key has a space at character 3; a key is made of visible ASCII characters only",
            ),
        ] {
            assert_eq!(key(script).unwrap_err().to_string(), message);
        }
        let error = Command { program: "/no/such/program".into(), arguments: vec!["secret".into()] }.run();
        assert_eq!(error.unwrap_err().message(), "the command `program` cannot be run");
    }

    #[cfg(unix)]
    #[test]
    fn a_command_that_hangs_is_ended() {
        let error = shell("exec sleep 600").run_within(Duration::from_millis(50)).unwrap_err();
        assert_eq!(error.to_string(), "the command `sh` gave no key within 0.05 s");
    }
}
