//! A system or a server that refuses: descriptors, disk space, places to write, keys, single rows.

use std::{path::PathBuf, process::Command, time::Duration};

use super::{
    Trial,
    job::{Job, LONG, ensure, read, write},
};
use crate::{
    Outcome,
    process::{Mock, sent_twice, tail},
};

/// A command line of the job under a shell that first sets a limit.
fn limited(job: &Job<'_>, limit: &str) -> Command {
    let mut command = job.trial.stage.clean("sh");
    command.args(["-c", &format!("{limit} && exec \"$@\""), "sh"]).arg(&job.trial.stage.binary).arg("batch");
    job.arguments(&mut command);
    command
}

/// 64 descriptors, 200 rows in flight: it goes slower, or says so; no row is lost to it.
pub(crate) fn few_descriptors(trial: &Trial) -> Outcome<String> {
    let job = Job::new(trial, "few descriptors", 600, 200, "0.02-0.05")?;
    let mut running = job.begin(limited(&job, "ulimit -n 64"))?;
    let status = running.wait(LONG)?;
    if status.success() {
        let stored = job.stored()?.len();
        ensure(stored == job.rows.len(), || format!("code 0 with {stored} answers of {}", job.rows.len()))?;
        let (twice, warned) = (sent_twice(&job.sent()?), running.said().contains("order of completion"));
        // A sort that failed is a warning, and the next run makes up for it.
        if warned {
            job.check_rerun_sorts()?;
        }
        job.check()?;
        let order = if warned { "in order after the next run" } else { "in order" };
        return Ok(format!("every row answered with 64 descriptors, {order}, {twice} sent twice"));
    }
    // Not a failure as long as it says why and stores no row as failed.
    let said = running.said().to_lowercase();
    ensure(said.contains("open files") || said.contains("descriptor") || said.contains("ulimit"), || {
        format!("ended with {status} and did not say why: {}", tail(&said))
    })?;
    let stored = job.stored()?.len();
    job.finish()?;
    Ok(format!("said that there were too few descriptors after {stored} rows; the next run did the rest"))
}

/// A write that fails in the middle: the run ends, says where, and leaves whole lines.
pub(crate) fn full_disk(trial: &Trial) -> Outcome<String> {
    let job = Job::new(trial, "full disk", 500, 8, "0.001-0.01")?;
    // Signal 25 is SIGXFSZ on Linux, which would kill where an error is wanted.
    let mut running = job.begin(limited(&job, "trap '' 25 && ulimit -f 200"))?;
    let status = running.wait(LONG)?;
    ensure(status.code() == Some(8), || {
        format!("ended with {status}, not with code 8: {}", tail(&running.said()))
    })?;
    ensure(running.said().contains("out.jsonl"), || {
        format!("the path is not named: {}", tail(&running.said()))
    })?;
    let bytes = read(&job.output)?;
    ensure(bytes.is_empty() || bytes.ends_with(b"\n"), || "the output ends in a torn line".to_owned())?;
    let (stored, sent) = (job.stored()?.len(), job.sent()?.len());
    ensure(stored > 0 && sent <= stored + job.concurrency + 1, || {
        format!("{sent} requests for {stored} stored answers")
    })?;
    job.finish()?;
    job.check_rerun()?;
    Ok(format!(
        "code 8 after {stored} rows ({} bytes), whole lines only; the next run did the rest",
        bytes.len()
    ))
}

/// Nothing is paid for when the output cannot be opened.
pub(crate) fn unwritable(trial: &Trial) -> Outcome<String> {
    let mut job = Job::new(trial, "unwritable output", 10, 4, "0")?;
    let plain_file = job.folder.join("file");
    let some_folder = job.folder.join("folder");
    write(&plain_file, b"not a record\n")?;
    std::fs::create_dir_all(&some_folder).map_err(|error| error.to_string())?;
    let input = read(&job.input)?;
    let places: [(&str, PathBuf); 5] = [
        ("under a file", plain_file.join("out.jsonl")),
        ("in a folder that is not there", job.folder.join("missing/out.jsonl")),
        ("a folder", some_folder),
        ("a foreign file", plain_file.clone()),
        ("the input", job.input.clone()),
    ];
    let mut codes = Vec::new();
    for (what, place) in places {
        job.output = place;
        let mut running = job.start()?;
        let status = running.wait(Duration::from_secs(30))?;
        let code = status.code().unwrap_or(-1);
        ensure([2, 3, 5, 8].contains(&code), || {
            format!("{what}: ended with {status}: {}", tail(&running.said()))
        })?;
        let name = job.output.file_name().unwrap_or_default().to_string_lossy().into_owned();
        ensure(running.said().contains(&name), || {
            format!("{what}: the path is not named: {}", tail(&running.said()))
        })?;
        codes.push(format!("{what} {code}"));
    }
    let sent = job.mock.settled(Duration::ZERO)?.len();
    ensure(sent == 0, || format!("{sent} requests were sent"))?;
    ensure(read(&job.input)? == input, || "the input was changed".to_owned())?;
    ensure(read(&plain_file)? == b"not a record\n", || "a foreign file was changed".to_owned())?;
    Ok(format!("nothing sent; codes: {}", codes.join(", ")))
}

/// A key that dies in the middle stops the run at once, writes no row errors, and the next run goes on.
pub(crate) fn dead_key(trial: &Trial) -> Outcome<String> {
    let script = "{\"times\": 40, \"delay_ms\": 5}\n{\"status\": 401}\n";
    let mut job = Job::scripted(trial, "dead key", 150, 8, script)?;
    job.start()?.expect(4, LONG)?;
    let refused = job.sent()?.iter().filter(|request| request.status == Some(401)).count();
    let most = 3 * job.concurrency;
    ensure(refused <= most, || format!("{refused} requests after the key had died, {most} are allowed"))?;
    // `stored` refuses records of failed rows.
    let stored = job.stored()?.len();
    ensure(stored == 40, || format!("{stored} answers stored of 40"))?;
    job.mock = Mock::start(&trial.stage, &job.folder, "healthy", &[])?;
    job.finish()?;
    let rest = job.sent()?.len();
    ensure(rest == job.rows.len() - stored, || format!("{rest} requests for the other rows"))?;
    Ok(format!("code 4 after {refused} refusals, no row failed; {stored} kept, {rest} asked in the next run"))
}

/// Rows that fail for their own reasons are written once, and asked again only on demand.
pub(crate) fn failed_rows(trial: &Trial) -> Outcome<String> {
    let mut job =
        Job::scripted(trial, "failed rows", 50, 4, "{\"status\": 400, \"times\": 3}\n{\"delay_ms\": 1}\n")?;
    job.start()?.expect(9, LONG)?;
    let failed = |bytes: &[u8]| String::from_utf8_lossy(bytes).matches("\"status\":\"error\"").count();
    let first = read(&job.output)?;
    let lines = first.iter().filter(|byte| **byte == b'\n').count();
    ensure(failed(&first) == 3 && lines == 50, || {
        format!("{} failed records of 3, {lines} records of 50", failed(&first))
    })?;
    job.mock = Mock::start(&trial.stage, &job.folder, "healthy", &[])?;
    job.start()?.expect(9, LONG)?;
    let sent = job.sent()?.len();
    ensure(sent == 0, || format!("{sent} refused rows were asked again unasked"))?;
    job.start_with(&["--retry-failed"])?.expect(0, LONG)?;
    job.check()?;
    let sent = job.sent()?.len();
    ensure(sent == 3, || format!("--retry-failed sent {sent} requests for 3 rows"))?;
    Ok("3 rows refused and written once; asked again with --retry-failed only".to_owned())
}
