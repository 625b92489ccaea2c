//! SIGKILL at random moments: while sending, while a torn tail is mended, while the output is sorted.

use std::{collections::BTreeSet, time::Duration};

use super::{
    Trial,
    job::{Job, LONG, ensure, read, write},
};
use crate::{
    Outcome,
    process::{Running, sent_twice},
};

/// When the next run is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Moment {
    /// After a time.
    Time(Duration),
    /// When this many more bytes are in the output.
    Growth(u64),
    /// Very soon, with a torn tail to mend first.
    Repair(Duration),
}

/// What all jobs together went through.
#[derive(Default)]
struct Tally {
    kills: usize,
    jobs: usize,
    rows: usize,
    repairs: usize,
    lost: usize,
    twice: usize,
    most_lost: usize,
}

pub(crate) fn run(trial: &Trial) -> Outcome<String> {
    let mut random = fastrand::Rng::with_seed(trial.seed);
    let mut tally = Tally::default();
    while tally.kills < trial.kills {
        tally.jobs += 1;
        let (count, concurrency) =
            (random.usize(500..1500), *random.choice([4, 16, 48].iter()).unwrap_or(&16));
        let name = format!("kills {}", tally.jobs);
        let job = Job::new(trial, &name, count, concurrency, "0.004-0.06")?;
        one_job(&job, &mut random, &mut tally).map_err(|message| {
            format!(
                "job {} ({count} rows, {concurrency} in flight), after {} kills: {message}",
                tally.jobs, tally.kills
            )
        })?;
        let _ = std::fs::remove_dir_all(&job.folder);
    }
    Ok(format!(
        "{} kills ({} with a tail to mend) over {} jobs of {} rows: each row once; {} answers lost, at most {} at a kill; {} requests sent twice",
        tally.kills, tally.repairs, tally.jobs, tally.rows, tally.lost, tally.most_lost, tally.twice,
    ))
}

/// Kills one job until it is through, or the kills are used up; then lets it finish and checks everything.
fn one_job(job: &Job<'_>, random: &mut fastrand::Rng, tally: &mut Tally) -> Outcome {
    let mut allowed = 0;
    while tally.kills < job.trial.kills && job.stored()?.len() < job.rows.len() {
        let moment = choose(random);
        // What we cut off ourselves is asked again.
        allowed += prepare(job, moment, random)?;
        let (before, sent_before) = (job.stored()?, job.sent()?.len());
        let mut running = job.start()?;
        let killed = kill_at(job, &mut running, moment)?;
        let (after, sent_after) = (job.stored()?, job.sent()?.len());
        ensure(before.is_subset(&after), || {
            let gone: Vec<&u64> = before.difference(&after).take(5).collect();
            format!("stored answers vanished ({moment:?}): rows {gone:?}")
        })?;
        let (sent, gained) = (sent_after - sent_before, after.len() - before.len());
        ensure(sent >= gained, || format!("{gained} answers for {sent} requests"))?;
        let lost = sent - gained;
        ensure(lost <= job.concurrency, || {
            format!("{lost} answers lost at one kill ({moment:?}) with {} in flight", job.concurrency)
        })?;
        if !killed {
            ensure(lost == 0, || format!("a run that was not killed sent {lost} requests too many"))?;
            job.check()?;
            continue;
        }
        tally.kills += 1;
        tally.repairs += usize::from(matches!(moment, Moment::Repair(_)));
        tally.lost += lost;
        tally.most_lost = tally.most_lost.max(lost);
        allowed += lost;
    }
    job.finish()?;
    let requests = job.sent()?;
    let bodies: BTreeSet<&str> = requests.iter().map(|request| request.body.as_str()).collect();
    ensure(bodies.len() == job.rows.len(), || {
        format!("{} different requests for {} rows", bodies.len(), job.rows.len())
    })?;
    let twice = sent_twice(&requests);
    ensure(twice <= allowed, || {
        format!("{twice} requests sent twice, {allowed} were in flight at the kills")
    })?;
    job.check_rerun()?;
    tally.twice += twice;
    tally.rows += job.rows.len();
    Ok(())
}

fn choose(random: &mut fastrand::Rng) -> Moment {
    match random.u8(..10) {
        0..=4 => Moment::Time(Duration::from_millis(random.u64(20..700))),
        5..=7 => Moment::Growth(random.u64(1..200_000)),
        _ => Moment::Repair(Duration::from_micros(random.u64(..60_000))),
    }
}

/// Plants what the moment needs; gives the number of stored answers that this destroys.
fn prepare(job: &Job<'_>, moment: Moment, random: &mut fastrand::Rng) -> Outcome<usize> {
    if !matches!(moment, Moment::Repair(_)) || !job.output.exists() {
        return Ok(0);
    }
    let mut bytes = read(&job.output)?;
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let last = bytes.get(..whole.saturating_sub(1)).unwrap_or_default();
    let start = last.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    if whole <= start + 2 {
        return Ok(0);
    }
    bytes.truncate(random.usize(start + 1..whole - 1));
    write(&job.output, &bytes)?;
    Ok(1)
}

/// Waits for the moment and kills. False when the run ended before, which must be with success.
fn kill_at(job: &Job<'_>, running: &mut Running, moment: Moment) -> Outcome<bool> {
    let size = || std::fs::metadata(&job.output).map_or(0, |data| data.len());
    let start = size();
    kill_when(running, Duration::from_micros(300), |age| match moment {
        Moment::Time(after) | Moment::Repair(after) => age >= after,
        Moment::Growth(bytes) => size() >= start + bytes,
    })
}

/// Kills as soon as `due` says so, asked every `pause`. False when the run ended before, which must be with success.
fn kill_when(running: &mut Running, pause: Duration, due: impl Fn(Duration) -> bool) -> Outcome<bool> {
    loop {
        let due = due(running.age());
        if running.ended()?.is_some() {
            running.expect(0, LONG)?;
            return Ok(false);
        }
        if due {
            running.kill();
            return Ok(true);
        }
        if running.age() > LONG {
            return Err("neither the moment to kill nor an end came".to_owned());
        }
        std::thread::sleep(pause);
    }
}

/// Kills while the output is sorted: a finished output is shuffled, and the run that puts it in order is killed when the
/// sorted copy has appeared. No answer may be missing at any time, and nothing is asked again.
pub(crate) fn while_sorting(trial: &Trial) -> Outcome<String> {
    let mut random = fastrand::Rng::with_seed(trial.seed);
    let job = Job::new(trial, "while sorting", 3000, 64, "0")?;
    job.finish()?;
    let sent = job.sent()?.len();
    let (wanted, copy) = ((trial.kills / 5).max(3), job.beside("tmp"));
    let (mut kills, mut rounds) = (0, 0);
    while kills < wanted && rounds < wanted * 10 {
        rounds += 1;
        let bytes = read(&job.output)?;
        let mut lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
        random.shuffle(&mut lines);
        write(&job.output, &lines.concat())?;
        let mut running = job.start()?;
        let later = Duration::from_micros(random.u64(..12_000));
        // The copy lives for a moment only, so there is no pause between the looks.
        let killed = kill_when(&mut running, Duration::ZERO, |_| {
            let there = copy.exists();
            if there {
                std::thread::sleep(later);
            }
            there
        })?;
        kills += usize::from(killed);
        let stored = job.stored()?.len();
        ensure(stored == job.rows.len(), || format!("{stored} answers of {} after a kill", job.rows.len()))?;
    }
    ensure(kills > 0, || format!("no sorted copy was seen in {rounds} runs"))?;
    job.finish()?;
    let again = job.sent()?.len() - sent;
    ensure(again == 0, || format!("{again} requests were sent again"))?;
    Ok(format!(
        "{kills} kills in {rounds} runs, {} answers there every time, none asked again",
        job.rows.len()
    ))
}
