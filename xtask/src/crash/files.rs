//! Files that changed behind the runner's back: torn outputs, edited inputs, a second writer.

use std::time::Duration;

use super::{
    Trial,
    job::{Job, LONG, ensure, read, stored, write},
};
use crate::{Outcome, process::Mock, rows};

/// The output is cut at many places; each time only the rows whose record is not whole are asked again.
pub(crate) fn torn_tails(trial: &Trial) -> Outcome<String> {
    let job = Job::new(trial, "torn tails", 24, 8, "0")?;
    job.finish()?;
    let whole = read(&job.output)?;
    let line_starts: Vec<usize> =
        whole.iter().enumerate().filter(|(_, byte)| **byte == b'\n').map(|(at, _)| at + 1).collect();
    let third_last =
        line_starts.len().checked_sub(4).and_then(|at| line_starts.get(at)).copied().unwrap_or(0);
    // Every byte around the line ends, and a spread of the others.
    let wanted = if trial.quick { 30 } else { 200 };
    let step = ((whole.len() - third_last) / wanted).max(1);
    let near_end = |at: usize| line_starts.iter().any(|start| at.abs_diff(*start) <= 2);
    let offsets: Vec<usize> = (third_last..=whole.len())
        .filter(|at| near_end(*at) || (at - third_last) % step == 0)
        .chain([0, 1])
        .collect();
    let mut asked = 0;
    for offset in &offsets {
        let cut = whole.get(..*offset).unwrap_or_default();
        write(&job.output, cut)?;
        let missing = job.rows.len() - stored(cut)?.len();
        let before = job.mock.requests()?.len();
        job.finish().map_err(|message| format!("cut at {offset}: {message}"))?;
        let sent = job.mock.requests()?.len() - before;
        ensure(sent <= missing, || format!("cut at {offset}: {sent} requests for {missing} missing rows"))?;
        asked += sent;
    }
    Ok(format!("{} offsets, {asked} rows asked again, each row once every time", offsets.len()))
}

/// What a file system or another program may leave after the last whole line.
pub(crate) fn strange_tails(trial: &Trial) -> Outcome<String> {
    let job = Job::new(trial, "strange tails", 20, 8, "0")?;
    job.finish()?;
    let whole = read(&job.output)?;
    let (zeros, half) = ([0_u8; 4096], "{\"index\": 3, \"output\": \"é".as_bytes());
    let cut_letter = half.get(..half.len() - 1).unwrap_or_default();
    let deep = "[".repeat(200_000);
    let tails: [&[u8]; 6] = [&zeros, half, cut_letter, b"{\"index\":0,\"sta", deep.as_bytes(), b"\xff\xfe"];
    for (at, tail) in tails.iter().enumerate() {
        write(&job.output, &[&whole, *tail].concat())?;
        let before = job.mock.requests()?.len();
        job.finish().map_err(|message| format!("tail {at}: {message}"))?;
        let sent = job.mock.requests()?.len() - before;
        ensure(sent == 0, || format!("tail {at}: {sent} requests sent, though every answer was there"))?;
        ensure(read(&job.output)? == whole, || format!("tail {at}: the output differs from what it was"))?;
    }
    Ok(format!("{} tails cut off, nothing sent, output as before", tails.len()))
}

/// A job that is finished, whose input the scenario then changes.
fn finished<'a>(trial: &'a Trial, name: &str) -> Outcome<Job<'a>> {
    let job = Job::new(trial, name, 60, 8, "0.001-0.01")?;
    job.finish()?;
    Ok(job)
}

/// Runs a changed job and checks how many rows were asked.
fn changed(job: &Job<'_>, expected: usize) -> Outcome {
    let before = job.sent()?.len();
    job.finish()?;
    let sent = job.sent()?.len() - before;
    ensure(sent == expected, || format!("{sent} requests sent, {expected} expected"))?;
    job.check_rerun()
}

pub(crate) fn grown(trial: &Trial) -> Outcome<String> {
    let mut job = finished(trial, "grown input")?;
    let mut all = job.rows.clone();
    let new = rows::rows(5, trial.seed + 1);
    // At the end, at the start and in the middle.
    for (place, row) in [65, 0, 30, 31, 2].into_iter().zip(new) {
        all.insert(place.min(all.len()), row);
    }
    job.set_rows(all)?;
    changed(&job, 5)?;
    Ok("5 rows put in at the start, in the middle and at the end: 5 requests".to_owned())
}

pub(crate) fn edited(trial: &Trial) -> Outcome<String> {
    let mut job = finished(trial, "edited input")?;
    let mut all = job.rows.clone();
    let old = all.clone();
    for (place, row) in [7, 40].into_iter().zip(rows::rows(2, trial.seed + 2)) {
        if let Some(slot) = all.get_mut(place) {
            *slot = row;
        }
    }
    job.set_rows(all)?;
    changed(&job, 2)?;
    // Undone: the old answers are still there, in the side file.
    job.set_rows(old)?;
    changed(&job, 0)?;
    Ok("2 rows edited: 2 requests; edited back: none".to_owned())
}

pub(crate) fn reordered(trial: &Trial) -> Outcome<String> {
    let mut job = finished(trial, "re-ordered input")?;
    let mut all = job.rows.clone();
    fastrand::Rng::with_seed(trial.seed).shuffle(&mut all);
    // The same row twice is two rows.
    all.extend(all.first().cloned());
    job.set_rows(all)?;
    changed(&job, 1)?;
    Ok("60 rows shuffled and one put in twice: 1 request, output in the new order".to_owned())
}

pub(crate) fn shortened(trial: &Trial) -> Outcome<String> {
    let mut job = finished(trial, "shortened input")?;
    let all = job.rows.clone();
    let some: Vec<_> =
        all.iter().enumerate().filter(|(at, _)| at % 3 != 0).map(|(_, row)| row.clone()).collect();
    let dropped = all.len() - some.len();
    job.set_rows(some)?;
    changed(&job, 0)?;
    let side = job.folder.join("out.jsonl.unclaimed.jsonl");
    let short = job.folder.join("out.unclaimed.jsonl");
    let kept = read(if side.exists() { &side } else { &short })?;
    let kept = kept.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count();
    ensure(kept == dropped, || format!("{kept} answers in the side file for {dropped} rows taken out"))?;
    job.set_rows(all)?;
    changed(&job, 0)?;
    Ok(format!("{dropped} rows taken out: nothing sent, their answers kept aside; put back: nothing sent"))
}

/// A second run on the same output leaves at once and harms nothing.
pub(crate) fn two_writers(trial: &Trial) -> Outcome<String> {
    let job = Job::new(trial, "two writers", 60, 4, "0.15-0.25")?;
    let mut first = job.start()?;
    job.mock.wait_for(&mut first, 5, LONG)?;
    let other = Mock::start(&trial.stage, &job.folder, "other", &[])?;
    let mut command = trial.stage.llm(["batch"]);
    command.arg(&job.input).arg("-o").arg(&job.output);
    command.args(["-m", "made-up", "--base-url", &other.url(), "--progress", "none"]);
    let mut second = crate::process::Running::start(command, job.folder.join("second"))?;
    second.expect(5, Duration::from_secs(10))?;
    ensure(first.ended()?.is_none(), || "the first run was over before the second was refused".to_owned())?;
    let sent = other.settled(Duration::ZERO)?.len();
    ensure(sent == 0, || format!("the second run sent {sent} requests"))?;
    first.expect(0, LONG)?;
    job.check()?;
    job.check_rerun()?;
    Ok("the second left with code 5 and sent nothing, the first finished".to_owned())
}
