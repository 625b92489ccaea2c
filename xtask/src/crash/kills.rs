//! SIGKILL at random moments: while sending, while the tail is mended, while the output is sorted.

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
    /// When the sorted copy appears, a little later.
    Sort(Duration),
}

/// What all jobs together went through.
#[derive(Default)]
struct Tally {
    kills: usize,
    jobs: usize,
    rows: usize,
    repairs: usize,
    sorts: usize,
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
        "{} kills ({} while mending, {} while sorting) over {} jobs of {} rows: each row once; {} answers lost, at most {} at a kill; {} requests sent twice",
        tally.kills,
        tally.repairs,
        tally.sorts,
        tally.jobs,
        tally.rows,
        tally.lost,
        tally.most_lost,
        tally.twice,
    ))
}

/// Kills one job until it is through, or the kills are used up; then lets it finish and checks everything.
fn one_job(job: &Job<'_>, random: &mut fastrand::Rng, tally: &mut Tally) -> Outcome {
    let mut allowed = 0;
    let mut sorts_left = 3;
    while tally.kills < job.trial.kills {
        let all_stored = job.stored()?.len() == job.rows.len();
        if all_stored && sorts_left == 0 {
            break;
        }
        let moment = if all_stored {
            sorts_left -= 1;
            Moment::Sort(Duration::from_micros(random.u64(..4000)))
        } else {
            choose(random)
        };
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
        tally.sorts += usize::from(matches!(moment, Moment::Sort(_)));
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
    if !job.output.exists() {
        return Ok(0);
    }
    let mut bytes = read(&job.output)?;
    match moment {
        Moment::Repair(_) => {
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
        Moment::Sort(_) => {
            let mut lines: Vec<&[u8]> = bytes.split_inclusive(|byte| *byte == b'\n').collect();
            random.shuffle(&mut lines);
            write(&job.output, &lines.concat())?;
            Ok(0)
        }
        Moment::Time(_) | Moment::Growth(_) => Ok(0),
    }
}

/// Waits for the moment and kills. False when the run ended before, which must be with success.
fn kill_at(job: &Job<'_>, running: &mut Running, moment: Moment) -> Outcome<bool> {
    let size = || std::fs::metadata(&job.output).map_or(0, |data| data.len());
    let start = size();
    let copy = job.beside("tmp");
    loop {
        let due = match moment {
            Moment::Time(after) | Moment::Repair(after) => running.age() >= after,
            Moment::Growth(bytes) => size() >= start + bytes,
            Moment::Sort(after) => {
                let there = copy.exists();
                if there {
                    std::thread::sleep(after);
                }
                there
            }
        };
        if due && running.ended()?.is_none() {
            running.kill();
            return Ok(true);
        }
        if running.ended()?.is_some() {
            running.expect(0, LONG)?;
            return Ok(false);
        }
        if running.age() > LONG {
            return Err(format!("neither {moment:?} nor an end came"));
        }
        // The copy lives for a moment only.
        if !matches!(moment, Moment::Sort(_)) {
            std::thread::sleep(Duration::from_micros(300));
        }
    }
}
