//! A program behind a tool: the arguments of a call on its stdin as JSON, the result on its stdout. No shell reads anything.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use llm_client::{FunctionCall, FunctionResult, ToolFunction};
use llm_types::{Part, Tool};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use crate::exit::Exit;
use crate::failure::{Failure, reason};
use crate::progress::span;
use crate::term::{Term, safe};
use crate::tools_file::Program;

/// The most that a program may write: more is no result for a model to read.
const MOST_OUTPUT: u64 = 256 * 1024;
/// The end of what it says on stderr that is told when it fails.
const STDERR_TAIL: usize = 2048;

/// A tool that a program answers.
#[derive(Debug)]
pub(crate) struct ToolProgram {
    /// Its declaration.
    pub(crate) tool: Tool,
    /// What is run.
    pub(crate) program: Program,
    /// How long it may take.
    pub(crate) time_out: Duration,
    /// Who is told what runs.
    pub(crate) term: Arc<Term>,
}

/// Checks that what a file names can be run, before a model is asked that costs money.
///
/// # Errors
/// A program that is not there.
pub(crate) fn check(programs: &[Program]) -> Result<(), Failure> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_there = |program: &str| match program.contains(['/', '\\']) {
        true => std::path::Path::new(program).exists(),
        // Elsewhere a name stands for several files.
        false => !cfg!(unix) || std::env::split_paths(&path).any(|folder| folder.join(program).exists()),
    };
    match programs.iter().find(|program| !is_there(&program.program)) {
        None => Ok(()),
        Some(Program { tool, program, .. }) => {
            let message = format!("the program `{program}` of the tool `{tool}` is not there");
            let hint = "name it by its path from here, such as ./weather.sh, or by a name on the PATH";
            Err(Failure::own(Exit::NotFound, "file_not_found", message).hint(hint))
        }
    }
}

#[async_trait]
impl ToolFunction for ToolProgram {
    fn tool(&self) -> Tool {
        self.tool.clone()
    }

    async fn run(&self, call: FunctionCall) -> FunctionResult {
        let Program { tool, program, args } = &self.program;
        let words: Vec<&str> = std::iter::once(program).chain(args).map(String::as_str).collect();
        let name = safe::line(tool);
        let line = format!("tool {tool} {}: running {}", call.json(), words.join(" "));
        self.term.note(&self.term.dim(&safe::line(&line)));
        let started = Instant::now();
        let result = match tokio::time::timeout(self.time_out, output_of(&self.program, call.json())).await {
            Ok(result) => result,
            Err(_) => Err(format!("it gave no result within {}", span(self.time_out))),
        };
        let took = span(started.elapsed());
        let said = match &result {
            Ok(text) => format!("tool {name}: {} bytes in {took}", text.len()),
            Err(message) => format!("tool {name} failed after {took}: {}", safe::line(message)),
        };
        self.term.note(&self.term.dim(&said));
        result.map(|text| vec![Part::text(text)])
    }
}

/// Runs a program to its end. It is killed where this is dropped, with all that it has started.
async fn output_of(program: &Program, arguments: &str) -> Result<String, String> {
    let mut command = Command::new(&program.program);
    command.args(&program.args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    #[cfg(unix)]
    command.process_group(0);
    let mut child = command
        .kill_on_drop(true)
        .spawn()
        .map_err(|e| format!("`{}` cannot be started: {}", program.program, reason(&e)))?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let mut family = Family::of(&child);
    let input = format!("{arguments}\n");
    let write = async {
        if let Some(mut stdin) = stdin {
            // It may leave without reading; its end says whether that was right.
            let _unread = stdin.write_all(input.as_bytes()).await;
        }
    };
    let read = async {
        let text = beginning(stdout).await;
        // Nothing more is read of it: it would wait, or go on for nobody.
        if text.as_ref().is_ok_and(Option::is_none) {
            family.kill();
            let _gone = child.start_kill();
        }
        text
    };
    let (text, said, ()) = tokio::join!(read, end(stderr), write);
    let status = child.wait().await;
    family.leave();
    let broken = |e: io::Error| format!("it broke off: {}", reason(&e));
    let Some(text) = text.map_err(broken)? else {
        return Err(format!("it wrote more than {} KiB", MOST_OUTPUT / 1024));
    };
    let status = status.map_err(broken)?;
    if !status.success() {
        return Err(failed(status, &said));
    }
    let mut text = String::from_utf8(text).map_err(|_| "what it wrote is not UTF-8 text".to_owned())?;
    // The newline that ends a line is not part of what it says.
    text.truncate(text.trim_end_matches(['\n', '\r']).len());
    Ok(text)
}

/// A program and all that it has started, killed where this is dropped. Elsewhere than on Unix that is the program alone.
struct Family {
    #[cfg(unix)]
    group: Option<rustix::process::Pid>,
}

impl Family {
    /// That of a child which leads a process group of its own.
    #[cfg_attr(not(unix), expect(unused_variables, reason = "there are no groups"))]
    fn of(child: &Child) -> Self {
        Self {
            #[cfg(unix)]
            group: child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw),
        }
    }

    fn kill(&self) {
        #[cfg(unix)]
        if let Some(group) = self.group {
            // It may be gone already.
            let _gone = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }

    /// The program has ended, and its number may be another's by now: what it left running on purpose runs on.
    fn leave(&mut self) {
        #[cfg(unix)]
        {
            self.group = None;
        }
    }
}

impl Drop for Family {
    fn drop(&mut self) {
        self.kill();
    }
}

fn failed(status: ExitStatus, said: &str) -> String {
    let how = match status.code() {
        Some(code) => format!("exit code {code}"),
        None => "it was killed by a signal".to_owned(),
    };
    match said.trim() {
        "" => how,
        said => format!("{how}: {said}"),
    }
}

/// All that a program writes; `None` where that is too much.
async fn beginning(source: Option<impl AsyncRead + Unpin>) -> io::Result<Option<Vec<u8>>> {
    let mut bytes = Vec::new();
    if let Some(source) = source {
        source.take(MOST_OUTPUT + 1).read_to_end(&mut bytes).await?;
    }
    let is_much = u64::try_from(bytes.len()).is_ok_and(|length| length > MOST_OUTPUT);
    Ok((!is_much).then_some(bytes))
}

/// The end of what a program says, all of which is read so that it never waits.
async fn end(source: Option<impl AsyncRead + Unpin>) -> String {
    let mut tail = Vec::new();
    let mut piece = [0; 4096];
    if let Some(mut source) = source {
        while let Ok(read @ 1..) = source.read(&mut piece).await {
            tail.extend_from_slice(piece.get(..read).unwrap_or_default());
            let before = tail.len().saturating_sub(STDERR_TAIL);
            tail.drain(..before);
        }
    }
    String::from_utf8_lossy(&tail).into_owned()
}
