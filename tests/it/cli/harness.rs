//! Runs the binary in a home of its own.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use llm_mock::{Counts, MockServer};
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};

/// No run takes this long: a hang shows as a failed test.
const LIMIT: Duration = Duration::from_secs(60);

/// The binary under test, with an empty home and no other environment.
pub(super) struct Llm {
    home: tempfile::TempDir,
    variables: Vec<(String, String)>,
}

/// What a run left.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) code: i32,
    pub(super) out: String,
    pub(super) err: String,
}

impl Llm {
    pub(super) fn new() -> Self {
        let home = tempfile::tempdir().expect("a temporary folder can be made");
        Self { home, variables: Vec::new() }
    }

    pub(super) fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(super) fn has(&self, variable: &str) -> bool {
        self.variables.iter().any(|(name, _)| name == variable)
    }

    /// A path in its home, which is also its working folder.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(super) fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().expect("it is in the home")).unwrap();
        std::fs::write(path, text).unwrap();
    }

    pub(super) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// The records of an output.
    pub(super) fn records(&self, name: &str) -> Vec<serde_json::Value> {
        self.read(name).lines().map(|line| serde_json::from_str(line).expect("a record is JSON")).collect()
    }

    pub(super) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_llm-under-test"));
        command.args(args);
        self.settle(&mut command);
        command
    }

    /// The environment of every run.
    pub(super) fn settle(&self, command: &mut Command) {
        command
            .env_clear()
            .env("HOME", self.home.path())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.home.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
    }

    pub(super) fn start(&self, args: &[&str]) -> Child {
        self.command(args).spawn().expect("the binary starts")
    }

    pub(super) async fn run(&self, args: &[&str]) -> Ran {
        finish(self.start(args)).await
    }

    pub(super) async fn run_with_stdin(&self, args: &[&str], stdin: &str) -> Ran {
        let mut child = self.command(args).stdin(Stdio::piped()).spawn().expect("the binary starts");
        let mut pipe = child.stdin.take().expect("it was piped");
        // It may leave without reading.
        let _left = pipe.write_all(stdin.as_bytes()).await;
        drop(pipe);
        finish(child).await
    }
}

/// Waits for the end of a run.
pub(super) async fn finish(child: Child) -> Ran {
    let output = tokio::time::timeout(LIMIT, child.wait_with_output()).await.expect("it ends").unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).expect("its output is UTF-8"),
        err: String::from_utf8(output.stderr).expect("its talk is UTF-8"),
    }
}

impl Ran {
    /// Checks the exit code, and shows everything when it is another.
    #[track_caller]
    pub(super) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout: {}\nstderr: {}", self.out, self.err);
        self
    }

    /// Checks that the standard error says all of this.
    #[track_caller]
    pub(super) fn says(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(self.err.contains(text), "`{text}` is missing in: {}", self.err);
        }
        self
    }

    /// Checks that the standard error says none of this.
    #[track_caller]
    pub(super) fn never_says(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(!self.err.contains(text), "`{text}` stands in: {}", self.err);
        }
        self
    }

    /// The standard output as JSON.
    #[track_caller]
    pub(super) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|e| panic!("{e}: {}{}", self.out, self.err))
    }
}

/// Runs the binary on a terminal, made by `script`; stdin too is one unless the command line redirects it. `None` where
/// `script` is not installed.
pub(super) async fn on_terminal(llm: &Llm, args: &str) -> Option<Ran> {
    match scripted(llm, args).spawn() {
        Ok(child) => Some(finish(child).await),
        Err(_) => {
            eprintln!("skipped: `script` is not installed");
            None
        }
    }
}

/// The same, with somebody who types when he is asked.
pub(super) async fn typed_on_terminal(llm: &Llm, args: &str, keys: &str) -> Option<Ran> {
    use tokio::io::AsyncReadExt as _;
    let mut child = scripted(llm, args).stdin(Stdio::piped()).spawn().ok()?;
    let mut out = child.stdout.take().expect("it was piped");
    let mut seen = Vec::new();
    // The question comes when the terminal is quiet.
    while !seen.ends_with(b": ") {
        let mut byte = [0; 1];
        if tokio::time::timeout(LIMIT, out.read(&mut byte)).await.expect("it asks").unwrap() == 0 {
            break;
        }
        seen.extend(byte);
    }
    let mut pipe = child.stdin.take().expect("it was piped");
    pipe.write_all(keys.as_bytes()).await.unwrap();
    pipe.flush().await.unwrap();
    let rest = tokio::time::timeout(LIMIT, out.read_to_end(&mut seen)).await.expect("it ends");
    rest.unwrap();
    drop(pipe);
    let ran = finish(child).await;
    Some(Ran { out: String::from_utf8(seen).expect("its output is UTF-8"), ..ran })
}

fn scripted(llm: &Llm, args: &str) -> Command {
    let line = format!("{} {args}", env!("CARGO_BIN_EXE_llm-under-test"));
    let mut command = Command::new("script");
    command.args(["-q", "-e", "-c", &line, "/dev/null"]);
    llm.settle(&mut command);
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("SHELL", "/bin/sh");
    if !llm.has("TERM") {
        command.env("TERM", "xterm");
    }
    command
}

/// Sends a signal by its name.
pub(super) fn signal(child: &Child, name: &str) {
    let id = child.id().expect("it runs").to_string();
    let sent = std::process::Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap();
    assert!(sent.success());
}

/// Waits until the server's numbers are as wanted.
pub(super) async fn until(server: &MockServer, wanted: impl FnMut(&Counts) -> bool) {
    let counts = tokio::time::timeout(LIMIT, server.wait_for(wanted)).await;
    counts.unwrap_or_else(|_| panic!("it never came to that: {:?}", server.counts()));
}
