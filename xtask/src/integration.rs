//! `cargo xtask integration`: the real binary against mock servers.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{
    Command, Outcome,
    args::Args,
    process::{self, Mock, Running, Stage},
    rows, run,
};

pub(crate) const COMMAND: Command = Command {
    name: "integration",
    about: "Run the end-to-end tests, the rate-limit and failing-server runs and, with LLM_TEST_DATA, a real data set twice",
    usage: "integration [--timing] [--quick] [--bin PATH]\n\n  --timing    also fail when the rate-limit run takes more than 1.15 times the ideal time (a quiet machine)\n  --quick     skip the end-to-end tests and send fewer rows\n  --bin PATH  use this `llm` instead of building one\n\n  LLM_TEST_DATA names a folder that holds gsm8k-test.jsonl.",
    run,
};

fn run(mut args: Args) -> Outcome {
    let (timing, quick) = (args.flag("--timing"), args.flag("--quick"));
    let named = args.value("--bin")?;
    args.end()?;
    if !quick {
        run::echo(
            run::cargo().env("LLM_SDKS", "install").arg("test").args(run::WHOLE).args(["--test", "it"]),
        )?;
    }
    let binary = process::binary(named)?;
    if !quick {
        let stage = Stage::new(binary.clone())?;
        let bench = process::built("llm-bench")?;
        failing(&stage, &bench, "1", 1.3)?;
        failing(&stage, &bench, "0.1", 1.15)?;
    }
    against_the_mock(binary, if quick { 100 } else { 300 }, timing)
}

/// What `cargo xtask ci` runs after the tests.
pub(crate) fn quick() -> Outcome {
    against_the_mock(process::binary(None)?, 100, false)
}

fn against_the_mock(binary: PathBuf, rows: usize, timing: bool) -> Outcome {
    let stage = Stage::new(binary)?;
    rate_limited(&stage, rows, timing)?;
    match std::env::var_os("LLM_TEST_DATA") {
        Some(folder) => data_set(&stage, &Path::new(&folder).join("gsm8k-test.jsonl")),
        None => {
            println!("data set: not run, LLM_TEST_DATA is not set");
            Ok(())
        }
    }
}

/// A batch command line.
fn batch(stage: &Stage, mock: &Mock, input: &Path, output: &Path, concurrency: u32) -> std::process::Command {
    let mut command = stage.llm(["batch"]);
    command.arg(input).arg("-o").arg(output);
    command.args([
        "-m",
        "made-up",
        "--base-url",
        &mock.url(),
        "-c",
        &concurrency.to_string(),
        "--progress",
        "none",
    ]);
    command
}

/// Goal G7: an endpoint that allows 10 requests/s, and more rows than that.
fn rate_limited(stage: &Stage, count: usize, timing: bool) -> Outcome {
    let folder = stage.folder("rate-limit")?;
    let mock = Mock::start(stage, &folder, "mock", &["--rps", "10"])?;
    let (input, output) = (folder.join("in.jsonl"), folder.join("out.jsonl"));
    let rows = rows::rows(count, 10);
    write(&input, rows::file_of(&rows).as_bytes())?;
    let start = Instant::now();
    Running::start(batch(stage, &mock, &input, &output, 32), folder.join("said"))?
        .expect(0, Duration::from_secs(600))?;
    let took = start.elapsed();
    rows::check(&read(&output)?, &rows)?;

    let requests = mock.settled(Duration::from_millis(50))?;
    let begun = requests.first().map_or(Duration::ZERO, |first| first.at);
    let late: Vec<_> =
        requests.iter().filter(|request| request.at > begun + Duration::from_secs(2)).collect();
    let refused = late.iter().filter(|request| request.status == Some(429)).count();
    let share = percent(refused, late.len());
    let rows_u32 = u32::try_from(count).unwrap_or(u32::MAX);
    let ideal = Duration::from_secs(1) * rows_u32 / 10;
    let ratio = took.as_secs_f64() / ideal.as_secs_f64();
    println!(
        "rate limit: {count} rows at 10/s: all answered in {}, {ratio:.2} x ideal (goal 1.15); {} requests, {share:.1} % of them 429 after the first 2 s (goal < 10 %)",
        run::spoken(took),
        requests.len(),
    );
    if share >= 10.0 {
        return Err(format!(
            "rate limit: {share:.1} % of the requests after the first 2 s were refused, 10 % are allowed"
        ));
    }
    // A loaded machine may be late, but not by that much.
    let most = if timing { 1.15 } else { 2.0 };
    if ratio > most {
        return Err(format!("rate limit: {ratio:.2} times the ideal time, {most} is allowed"));
    }
    Ok(())
}

/// Goal G3: a server that fails at this rate gets at most so many requests for each call.
fn failing(stage: &Stage, bench: &Path, rate: &str, most: f64) -> Outcome {
    const CALLS: usize = 1000;
    let folder = stage.folder(&format!("failing-{rate}"))?;
    let mock = Mock::start(stage, &folder, "mock", &["--error-rate", rate])?;
    let mut command = stage.clean(bench);
    command.args(["storm", &mock.port.to_string(), &CALLS.to_string(), "100"]);
    let mut storm = Running::start(command, folder.join("said"))?;
    storm.expect(0, Duration::from_secs(300))?;
    let requests = mock.settled(Duration::from_millis(20))?.len();
    let each = percent(requests, CALLS) / 100.0;
    println!(
        "failing server, rate {rate}: {CALLS} calls at 100/s: {}; {each:.2} requests a call (goal {most})",
        storm.said().trim()
    );
    if each > most {
        Err(format!("failing server: {each:.2} requests a call, {most} are allowed"))
    } else {
        Ok(())
    }
}

/// A real set of questions: each is answered with itself, and a second run has nothing to do.
fn data_set(stage: &Stage, input: &Path) -> Outcome {
    let questions = read(input)?;
    let folder = stage.folder("data-set")?;
    let mock = Mock::start(stage, &folder, "mock", &[])?;
    let output = folder.join("out.jsonl");
    let command = || batch(stage, &mock, input, &output, 32);
    let start = Instant::now();
    Running::start(command(), folder.join("first"))?.expect(0, Duration::from_secs(300))?;
    let took = start.elapsed();
    let first = read(&output)?;
    let sent = mock.settled(Duration::from_millis(20))?.len();
    let count = echoes(&questions, &first)?;
    if sent != count {
        return Err(format!("data set: {sent} requests for {count} rows"));
    }
    Running::start(command(), folder.join("second"))?.expect(0, Duration::from_secs(300))?;
    let again = mock.settled(Duration::from_millis(20))?.len() - sent;
    if again != 0 || read(&output)? != first {
        return Err(format!("data set: the second run sent {again} requests, or changed the output"));
    }
    println!(
        "data set: {count} rows answered with themselves in {}; the second run sent nothing and changed no byte",
        run::spoken(took)
    );
    Ok(())
}

/// Checks that record n answers with question n, and gives the number of rows.
fn echoes(questions: &[u8], records: &[u8]) -> Outcome<usize> {
    let parse = |bytes: &[u8], what: &str| -> Outcome<Vec<Value>> {
        let text = std::str::from_utf8(bytes).map_err(|error| format!("{what}: {error}"))?;
        let lines = text.lines().filter(|line| !line.trim().is_empty());
        lines.map(|line| serde_json::from_str(line).map_err(|error| format!("{what}: {error}"))).collect()
    };
    let (questions, records) = (parse(questions, "the data set")?, parse(records, "the output")?);
    if questions.len() != records.len() {
        return Err(format!("data set: {} records for {} rows", records.len(), questions.len()));
    }
    for (at, (question, record)) in questions.iter().zip(&records).enumerate() {
        let right = record.get("index").and_then(Value::as_u64) == u64::try_from(at).ok()
            && record.get("output") == question.get("question")
            && record.pointer("/metadata/answer") == question.get("answer");
        if !right {
            return Err(format!("data set: record {at} is not the answer to row {at}"));
        }
    }
    Ok(records.len())
}

#[expect(clippy::cast_precision_loss, reason = "a share for people to read")]
fn percent(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

fn read(path: &Path) -> Outcome<Vec<u8>> {
    std::fs::read(path).map_err(|error| format!("{}: {error}", path.display()))
}

fn write(path: &Path, bytes: &[u8]) -> Outcome {
    std::fs::write(path, bytes).map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_to_another_row_is_seen() {
        let questions = b"{\"question\":\"a\",\"answer\":\"1\"}\n\n{\"question\":\"b\",\"answer\":\"2\"}\n";
        let record = |index: u8, output: &str, answer: &str| {
            format!(
                "{{\"index\":{index},\"output\":\"{output}\",\"metadata\":{{\"answer\":\"{answer}\"}}}}\n"
            )
        };
        let good = record(0, "a", "1") + &record(1, "b", "2");
        assert_eq!(echoes(questions, good.as_bytes()), Ok(2));
        for bad in [
            record(0, "a", "1"),
            record(0, "a", "1") + &record(1, "a", "2"),
            record(0, "a", "1") + &record(1, "b", "1"),
        ] {
            assert!(echoes(questions, bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
