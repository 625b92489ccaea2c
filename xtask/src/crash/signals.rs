//! Signals: what is in flight drains and is stored, and the exit code tells which signal it was.

use std::time::{Duration, Instant};

use super::{
    Trial,
    job::{Job, LONG, ensure},
};
use crate::{
    Outcome,
    process::{sent_twice, since_1970},
    run,
};

pub(crate) fn interrupt(trial: &Trial) -> Outcome<String> {
    drains(trial, "interrupt", "INT", 130)
}

pub(crate) fn terminate(trial: &Trial) -> Outcome<String> {
    drains(trial, "terminate", "TERM", 143)
}

pub(crate) fn hang_up(trial: &Trial) -> Outcome<String> {
    drains(trial, "hang up", "HUP", 129)
}

/// One signal: no new request, everything sent is stored, the right code; then the rest is done as if nothing had been.
fn drains(trial: &Trial, name: &str, signal: &str, code: i32) -> Outcome<String> {
    let job = Job::new(trial, name, 160, 16, "0.1-0.3")?;
    let mut running = job.start()?;
    job.mock.wait_for(&mut running, 20, LONG)?;
    let asked = since_1970();
    running.signal(signal)?;
    running.expect(code, Duration::from_secs(30))?;
    let (requests, stored) = (job.sent()?, job.stored()?.len());
    // The signal needs a moment to be seen; one that is ignored lets hundreds of requests out.
    let late = requests.iter().filter(|request| request.unix > asked + Duration::from_millis(250)).count();
    ensure(late == 0, || format!("{late} requests were sent after the signal"))?;
    ensure(stored == requests.len(), || {
        format!("{} requests were sent, {stored} answers stored", requests.len())
    })?;
    ensure(stored < job.rows.len(), || "the run was over before the signal came".to_owned())?;
    job.finish()?;
    let all = job.sent()?;
    ensure(sent_twice(&all) == 0, || format!("{} requests were sent twice", sent_twice(&all)))?;
    job.check_rerun()?;
    Ok(format!("code {code}; {stored} sent and stored, {} after it, none twice", all.len() - stored))
}

/// Twenty quick answers, then only answers that take half a minute.
const SLOW: &str = "{\"times\": 20, \"delay_ms\": 5}\n{\"delay_ms\": 30000}\n";

/// A second signal does not wait for answers.
pub(crate) fn second_interrupt(trial: &Trial) -> Outcome<String> {
    let job = Job::scripted(trial, "second interrupt", 100, 8, SLOW)?;
    let mut running = job.start()?;
    job.mock.wait_for(&mut running, 20, LONG)?;
    std::thread::sleep(Duration::from_millis(300));
    running.signal("INT")?;
    std::thread::sleep(Duration::from_millis(300));
    ensure(running.ended()?.is_none(), || "it did not wait for the answers that were under way".to_owned())?;
    let second = Instant::now();
    running.signal("INT")?;
    // One second is the promise; the rest is for a loaded machine.
    running.expect(130, Duration::from_secs(5))?;
    let took = second.elapsed();
    let stored = job.stored()?.len();
    ensure(stored == 20, || format!("{stored} answers stored of 20"))?;
    resumed_elsewhere(job, took, 20)
}

/// SIGTERM waits for answers, but not for ever: ten seconds.
pub(crate) fn grace(trial: &Trial) -> Outcome<String> {
    if trial.quick {
        return Ok("skipped, since it takes ten seconds (run without --quick)".to_owned());
    }
    let job = Job::scripted(trial, "grace", 100, 8, SLOW)?;
    let mut running = job.start()?;
    job.mock.wait_for(&mut running, 20, LONG)?;
    std::thread::sleep(Duration::from_millis(300));
    let asked = Instant::now();
    running.signal("TERM")?;
    running.expect(143, Duration::from_secs(20))?;
    let took = asked.elapsed();
    ensure(took > Duration::from_secs(8), || {
        format!("it waited only {} for its answers", run::spoken(took))
    })?;
    resumed_elsewhere(job, took, 20)
}

/// Finishes the job against a server that answers at once.
fn resumed_elsewhere(mut job: Job<'_>, took: Duration, stored: usize) -> Outcome<String> {
    job.mock = crate::process::Mock::start(&job.trial.stage, &job.folder, "quick", &[])?;
    job.finish()?;
    let rest = job.sent()?.len();
    ensure(rest == job.rows.len() - stored, || {
        format!("{rest} requests for the other {} rows", job.rows.len() - stored)
    })?;
    Ok(format!("gone after {}; {stored} answers kept, {rest} asked in the next run", run::spoken(took)))
}

/// SIGSTOP for a while, as a closed lid does it.
pub(crate) fn stopped(trial: &Trial) -> Outcome<String> {
    let pause = Duration::from_secs(if trial.quick { 2 } else { 30 });
    let job = Job::new(trial, "stopped", 200, 16, "0.02-0.1")?;
    let mut running = job.start()?;
    job.mock.wait_for(&mut running, 30, LONG)?;
    running.signal("STOP")?;
    std::thread::sleep(pause);
    running.signal("CONT")?;
    running.expect(0, LONG)?;
    job.check()?;
    let twice = sent_twice(&job.sent()?);
    ensure(twice == 0, || format!("{twice} requests were sent twice"))?;
    Ok(format!("stopped for {}; every row once, none sent twice", run::spoken(pause)))
}
