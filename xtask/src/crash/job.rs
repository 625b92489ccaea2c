//! One batch job: its input, its output, its server, and what can be said about them at any moment.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use serde_json::Value;

use super::Trial;
use crate::{
    Outcome,
    process::{Mock, Request, Running},
    rows::{self, Row},
};

/// Longer than any run here takes, on any machine that is usable at all.
pub(crate) const LONG: Duration = Duration::from_secs(120);

pub(crate) struct Job<'a> {
    pub(crate) trial: &'a Trial,
    pub(crate) folder: PathBuf,
    pub(crate) input: PathBuf,
    pub(crate) output: PathBuf,
    pub(crate) mock: Mock,
    pub(crate) rows: Vec<Row>,
    pub(crate) concurrency: usize,
    /// The longest time the server takes for an answer.
    pub(crate) longest: Duration,
}

impl<'a> Job<'a> {
    /// A job of `count` rows, its server started, nothing sent. `delay` is the server's, in seconds, as `llm mock` takes it.
    pub(crate) fn new(
        trial: &'a Trial,
        name: &str,
        count: usize,
        concurrency: usize,
        delay: &str,
    ) -> Outcome<Self> {
        let folder = trial.stage.folder(&name.replace(' ', "-"))?;
        let mock = Mock::start(&trial.stage, &folder, "mock", &["--delay", delay])?;
        let longest = delay
            .rsplit('-')
            .next()
            .and_then(|most| most.parse().ok())
            .map_or(Duration::ZERO, Duration::from_secs_f64);
        let rows = rows::rows(count, trial.seed);
        let (input, output) = (folder.join("in.jsonl"), folder.join("out.jsonl"));
        write(&input, rows::file_of(&rows).as_bytes())?;
        Ok(Self { trial, folder, input, output, mock, rows, concurrency, longest })
    }

    /// The same with a script for the server: replies in order, the last one repeated.
    pub(crate) fn scripted(
        trial: &'a Trial,
        name: &str,
        count: usize,
        concurrency: usize,
        script: &str,
    ) -> Outcome<Self> {
        let mut job = Self::new(trial, name, count, concurrency, "0")?;
        let file = job.folder.join("script.jsonl");
        write(&file, script.as_bytes())?;
        let file = file.to_string_lossy().into_owned();
        job.mock = Mock::start(&trial.stage, &job.folder, "scripted", &["--script", &file])?;
        Ok(job)
    }

    /// The command line of a run.
    pub(crate) fn command(&self, more: &[&str]) -> Command {
        let mut command = self.trial.stage.llm(["batch"]);
        self.arguments(&mut command);
        command.args(more);
        command
    }

    /// The arguments after `batch`.
    pub(crate) fn arguments(&self, command: &mut Command) {
        command.arg(&self.input).arg("-o").arg(&self.output);
        command.args(["-m", "made-up", "--base-url", &self.mock.url(), "--progress", "none"]);
        command.args(["-c", &self.concurrency.to_string()]);
    }

    pub(crate) fn start(&self) -> Outcome<Running> {
        self.start_with(&[])
    }

    pub(crate) fn start_with(&self, more: &[&str]) -> Outcome<Running> {
        self.begin(self.command(more))
    }

    /// Starts any command line, its words kept beside the job.
    pub(crate) fn begin(&self, command: Command) -> Outcome<Running> {
        Running::start(command, self.folder.join("said"))
    }

    /// Runs to the end and checks that every row is answered once, and rightly.
    pub(crate) fn finish(&self) -> Outcome {
        self.start()?.expect(0, LONG)?;
        self.check()
    }

    /// Checks a finished output.
    pub(crate) fn check(&self) -> Outcome {
        rows::check(&read(&self.output)?, &self.rows)?;
        let left = self.beside("tmp");
        if left.exists() { Err(format!("{} was left behind", left.display())) } else { Ok(()) }
    }

    /// Runs once more: nothing may be sent, and no byte may change.
    pub(crate) fn check_rerun(&self) -> Outcome {
        let (before, sent) = (read(&self.output)?, self.sent()?.len());
        self.finish()?;
        let again = self.sent()?.len() - sent;
        if again > 0 {
            return Err(format!("a run with nothing to do sent {again} requests"));
        }
        if read(&self.output)? != before {
            return Err("a run with nothing to do changed the output".to_owned());
        }
        Ok(())
    }

    /// Runs once more on an output that only lacks its order: nothing may be sent.
    pub(crate) fn check_rerun_sorts(&self) -> Outcome {
        let sent = self.sent()?.len();
        self.finish()?;
        let again = self.sent()?.len() - sent;
        ensure(again == 0, || format!("a run with nothing but sorting to do sent {again} requests"))
    }

    /// `OUT.name`.
    pub(crate) fn beside(&self, name: &str) -> PathBuf {
        let mut path = self.output.clone().into_os_string();
        path.push(".");
        path.push(name);
        PathBuf::from(path)
    }

    /// Every request that has arrived, once all have ended.
    pub(crate) fn sent(&self) -> Outcome<Vec<Request>> {
        self.mock.settled(self.longest)
    }

    /// The rows stored in the output, which may end in a torn line.
    pub(crate) fn stored(&self) -> Outcome<BTreeSet<u64>> {
        if self.output.exists() { stored(&read(&self.output)?) } else { Ok(BTreeSet::new()) }
    }

    /// Writes other rows as the input.
    pub(crate) fn set_rows(&mut self, rows: Vec<Row>) -> Outcome {
        self.rows = rows;
        write(&self.input, rows::file_of(&self.rows).as_bytes())
    }
}

/// The indices of an output's whole lines. A torn line may only be the last one, and no row may be there twice.
pub(crate) fn stored(output: &[u8]) -> Outcome<BTreeSet<u64>> {
    let mut found = BTreeSet::new();
    for line in output.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n")) {
        let record: Value = serde_json::from_slice(line).map_err(|error| {
            format!(
                "a line that is not JSON: {error}: {}",
                String::from_utf8_lossy(line.get(..80).unwrap_or(line))
            )
        })?;
        let index = record.get("index").and_then(Value::as_u64).ok_or("a record without an index")?;
        if record.get("status").and_then(Value::as_str) != Some("success") {
            return Err(format!(
                "row {index} was stored with status {:?}: {:?}",
                record.get("status"),
                record.get("error")
            ));
        }
        if !found.insert(index) {
            return Err(format!("row {index} was stored twice"));
        }
    }
    Ok(found)
}

pub(crate) fn read(path: &Path) -> Outcome<Vec<u8>> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

pub(crate) fn write(path: &Path, bytes: &[u8]) -> Outcome {
    std::fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))
}

/// An error unless `holds`.
pub(crate) fn ensure(holds: bool, message: impl FnOnce() -> String) -> Outcome {
    if holds { Ok(()) } else { Err(message()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_last_line_may_be_torn() {
        let line = |index: u8| format!("{{\"index\":{index},\"status\":\"success\"}}\n");
        let whole = line(1) + &line(0);
        assert_eq!(stored(whole.as_bytes()).unwrap().len(), 2);
        assert_eq!(stored((whole.clone() + "{\"ind").as_bytes()).unwrap().len(), 2);
        for bad in [
            whole.clone() + &line(1),
            line(0) + "{\"ind\n" + &line(1),
            line(0).replace("success", "error"),
            "{}\n".to_owned(),
        ] {
            assert!(stored(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
