//! `llm batch run`: many rows, and going on after a stop.

mod budget;
mod plan;
mod report;

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use llm_batch::{BatchError, BatchRunner, ErrorClass, Input, Job, Notice, Stop, StopReason, Summary};
use llm_types::ChatRequest;

use self::budget::RunBudget;
use crate::args::{BatchRun, OnChange, SaveInput};
use crate::exit::Exit;
use crate::failure::{Failure, reason};
use crate::progress::{Progress, TICK};
use crate::prompt;
use crate::session::Session;
use crate::signals::Signals;
use crate::term::{Term, safe};

/// How long SIGTERM and SIGHUP leave to what is in flight.
const GRACE: Duration = Duration::from_secs(10);
/// How long an aborted run may take to leave.
const LEAVE: Duration = Duration::from_secs(1);

/// Sends every row that has no answer yet.
///
/// # Errors
/// Whatever kept rows from being answered, with its exit code.
pub(crate) fn run(args: &BatchRun, term: &Arc<Term>) -> Result<Exit, Failure> {
    let (input, output) = files(args)?;
    if args.input.as_deref().is_some_and(prompt::is_stdin) && std::io::stdin().is_terminal() {
        term.note("reading rows from the terminal … (Ctrl-D ends them)");
    }
    let runtime = crate::runtime(workers())?;
    let inside = runtime.enter();
    // One connection for each row in flight, where HTTP/1.1 is spoken.
    let connections = args.concurrency.max(llm_client::Settings::default().max_connections);
    if args.dry_run {
        let session = Session::for_preview(&args.model, term)?;
        return plan::run(args, input, &output, &session, term);
    }
    let session = Session::with_defaults(&args.model, &[("max_connections", connections.to_string())], term)?;
    drop(inside);
    let budget = RunBudget::of(args, &session)?;
    #[cfg(feature = "prometheus")]
    if let Some(address) = args.metrics_addr {
        runtime.block_on(crate::exporter::start(address, term))?;
    }
    let result = runtime.block_on(drive(args, input, &output, &session, &budget, term));
    runtime.shutdown_background();
    result
}

/// Threads for connections and, behind `-m mock/…`, the server: on two cores two beat one and three by far. More than
/// four would wait for the one dispatcher.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(2, usize::from).clamp(2, 4)
}

/// Where the rows come from and where the records go.
fn files(args: &BatchRun) -> Result<(Input, PathBuf), Failure> {
    let Some(input) = &args.input else {
        return Err(Failure::usage("no rows are named").hint("llm batch IN.jsonl -o OUT.jsonl"));
    };
    match (&args.output, prompt::is_stdin(input)) {
        (Some(output), _) if prompt::is_stdin(output) => {
            Err(Failure::usage("the output is a file, so that a stopped run can go on from it")
                .hint("-o OUT.jsonl"))
        }
        (Some(output), true) => Ok((Input::reader("stdin", std::io::stdin()), output.clone())),
        (None, true) => Err(Failure::usage("rows from stdin need an output: -o OUT.jsonl")),
        (Some(output), false) => Ok((Input::from(input.as_path()), output.clone())),
        (None, false) => Ok((Input::from(input.as_path()), beside(input))),
    }
}

/// `questions.jsonl` gives `questions.output.jsonl`, beside it.
fn beside(input: &Path) -> PathBuf {
    let mut name = input.file_stem().unwrap_or(input.as_os_str()).to_owned();
    name.push(".output.jsonl");
    input.with_file_name(name)
}

/// What all rows share.
fn job(args: &BatchRun) -> Job {
    Job {
        system: args.system.clone().filter(|text| !text.is_empty()),
        user_template: args.user_template.clone(),
        settings: ChatRequest {
            temperature: args.temperature,
            max_tokens: args.max_tokens,
            reasoning: args.thinking.level.clone(),
            ..ChatRequest::default()
        },
        id_field: args.id_field.clone(),
        body_fields: args.body_fields.clone(),
        ..Job::default()
    }
}

fn runner(args: &BatchRun, session: &Session, budget: &RunBudget, term: &Arc<Term>) -> BatchRunner {
    let told = Arc::clone(term);
    let mut runner = BatchRunner::new(Arc::clone(&budget.client))
        .job(job(args))
        .concurrency(usize::try_from(args.concurrency).unwrap_or(usize::MAX))
        .strict(args.strict)
        .on_change(match args.on_change {
            OnChange::Refuse => llm_batch::OnChange::Refuse,
            OnChange::Redo => llm_batch::OnChange::Redo,
            OnChange::Keep => llm_batch::OnChange::Keep,
        })
        .save_input(match args.save_input {
            SaveInput::Full => llm_batch::SaveInput::Full,
            SaveInput::Last => llm_batch::SaveInput::Last,
            SaveInput::None => llm_batch::SaveInput::Nothing,
        })
        .retry_failed(args.retry_failed)
        .unordered(args.unordered)
        .max_outage(args.max_outage)
        .client_settings(&session.settings)
        .observer(move |notice: &Notice| tell(notice, &told));
    if let Some(rows) = args.limit {
        runner = runner.limit(rows);
    }
    if let Some(after) = args.deadline {
        runner = runner.deadline(after);
    }
    runner
}

/// Says what happens while the run goes on. Warnings come with the summary, which has them all.
fn tell(notice: &Notice, term: &Term) {
    match notice {
        Notice::Started { restored: Some(restored), .. } if *restored > 0 => {
            term.note(&format!("going on: {restored} rows are restored from an earlier run"));
        }
        Notice::FirstFailure { line, error } => {
            let (kind, text) = (error.kind(), error.chain());
            term.note(&safe::line(&format!(
                "line {line} failed: {text} ({kind}; others of this kind are counted)"
            )));
        }
        Notice::Paused { wait, error } => {
            let wait = crate::progress::span(*wait);
            term.note(&safe::line(&format!("nothing is sent for {wait}: {}", error.chain())));
        }
        Notice::Resumed => term.note("rows are sent again"),
        _ => {}
    }
}

async fn drive(
    args: &BatchRun,
    input: Input,
    output: &Path,
    session: &Session,
    budget: &RunBudget,
    term: &Arc<Term>,
) -> Result<Exit, Failure> {
    let mut signals = Signals::listen().map_err(crate::no_signals)?;
    let runner = runner(args, session, budget, term);
    let (numbers, shutdown) = (runner.progress(), runner.shutdown());
    let mut progress =
        Progress::start(args.progress, args.talk.verbose > 0, Arc::clone(term), Instant::now());
    let mut running = pin!(runner.run(input, output));
    let mut ticks = tokio::time::interval(TICK);
    let mut signalled = None;
    // When to abort, and when to leave without the engine.
    let mut next_step: Option<(tokio::time::Instant, bool)> = None;
    let result = loop {
        tokio::select! {
            result = &mut running => break result,
            exit = signals.next() => match signalled.replace(exit) {
                None => {
                    shutdown.drain();
                    let in_flight = numbers.snapshot().in_flight;
                    term.note(&format!(
                        "stopping: nothing more is sent, {in_flight} rows in flight are still stored; once more gives them up"
                    ));
                    if exit != Exit::Interrupted {
                        next_step = Some((tokio::time::Instant::now() + GRACE, false));
                    }
                }
                Some(first) => {
                    signalled = Some(first);
                    shutdown.abort();
                    next_step = Some((tokio::time::Instant::now() + LEAVE, true));
                }
            },
            leave = due(next_step) => {
                if leave {
                    return Err(Failure::silent(signalled.unwrap_or(Exit::Interrupted)));
                }
                shutdown.abort();
                next_step = Some((tokio::time::Instant::now() + LEAVE, true));
            }
            _ = ticks.tick() => progress.tick(&numbers.snapshot(), Instant::now()),
        }
    };
    let summary = match result {
        Ok(summary) => Summary { spending: budget.spending(), ..summary },
        Err(error) => {
            // Nothing was begun: there is no progress to end with a line.
            drop(progress);
            return Err(refused(&error));
        }
    };
    progress.finish(&numbers.snapshot());
    summary.warnings.iter().for_each(|warning| term.warn(warning));
    if args.json {
        term.json(&summary)?;
    } else {
        report::lines(&summary).iter().for_each(|line| term.note(line));
    }
    verdict(args, &summary, signalled, session)
}

async fn due(step: Option<(tokio::time::Instant, bool)>) -> bool {
    match step {
        Some((at, leave)) => {
            tokio::time::sleep_until(at).await;
            leave
        }
        None => std::future::pending().await,
    }
}

/// The code a run ends with, and why.
fn verdict(
    args: &BatchRun,
    summary: &Summary,
    signalled: Option<Exit>,
    session: &Session,
) -> Result<Exit, Failure> {
    let Some(stop) = &summary.stopped else {
        if args.max_failures.is_exceeded(summary) {
            let all = summary.success.saturating_add(summary.failed);
            let message = format!("{} of {all} rows failed", summary.failed);
            return Err(Failure::own(Exit::FailedRows, "failed_rows", message).hint(
                "the same command asks those again that may pass now; --retry-failed asks all of them",
            ));
        }
        return Ok(Exit::Ok);
    };
    let exit = stopped(stop, signalled);
    match &stop.error {
        Some(error) if stop.reason == StopReason::Budget => {
            let failure = session.failure(error.clone().with_message(&stop.message)).exits(exit);
            Err(failure.hint("the same command goes on from here: its limits hold for each run by itself"))
        }
        // The failed call says where it was.
        Some(error) => Err(session.failure(error.clone().with_message(&stop.message)).exits(exit)),
        None => Err(Failure::own(exit, "stopped", &stop.message).hint("the same command goes on from here")),
    }
}

fn stopped(stop: &Stop, signalled: Option<Exit>) -> Exit {
    match (stop.reason, &stop.error) {
        (StopReason::Drained | StopReason::Aborted, _) => signalled.unwrap_or(Exit::Interrupted),
        (_, Some(error)) => Exit::of(error.kind()),
        (StopReason::Key | StopReason::Quota, None) => Exit::Key,
        (StopReason::Budget | StopReason::Deadline, None) => Exit::Budget,
        (StopReason::Config, None) => Exit::Usage,
        (StopReason::Cancelled, None) => Exit::Interrupted,
        (StopReason::Outage, None) => Exit::Later,
        (StopReason::Output | StopReason::Input, None) => Exit::File,
        (_, None) => Exit::Internal,
    }
}

/// A run, or a check, that could not begin.
pub(super) fn refused(error: &BatchError) -> Failure {
    let (exit, kind) = match error.class() {
        ErrorClass::Usage => (Exit::Usage, "usage"),
        ErrorClass::NotFound => (Exit::NotFound, "file_not_found"),
        ErrorClass::Conflict => (Exit::Conflict, "conflict"),
        ErrorClass::Io => (Exit::File, "file"),
        ErrorClass::Internal => (Exit::Internal, "internal"),
    };
    let message = match error {
        BatchError::Io { source, .. } => format!("{error}: {}", reason(source)),
        _ => error.to_string(),
    };
    let failure = Failure::own(exit, kind, message);
    match error.hint() {
        // The engine knows no flags.
        Some(hint) => failure.hint(hint.replace("on-change", "--on-change")),
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    use llm_types::{Error, ErrorKind};

    use super::*;

    #[test]
    fn the_output_stands_beside_the_input() {
        for (input, output) in [
            ("q.jsonl", "q.output.jsonl"),
            ("data/q.v2.jsonl", "data/q.v2.output.jsonl"),
            ("/tmp/rows", "/tmp/rows.output.jsonl"),
        ] {
            assert_eq!(beside(Path::new(input)), Path::new(output));
        }
    }

    #[test]
    fn an_early_end_has_the_code_of_its_cause() {
        let by = |reason, error: Option<ErrorKind>, signalled| {
            let error = error.map(|kind| Error::new(kind, "x"));
            stopped(&Stop { reason, message: "x".to_owned(), error }, signalled).code()
        };
        assert_eq!(by(StopReason::Drained, None, Some(Exit::Terminated)), 143);
        assert_eq!(by(StopReason::Aborted, None, Some(Exit::HungUp)), 129);
        assert_eq!(by(StopReason::Key, Some(ErrorKind::PermissionDenied), None), 4);
        assert_eq!(by(StopReason::Quota, Some(ErrorKind::QuotaExhausted), None), 4);
        assert_eq!(by(StopReason::Outage, Some(ErrorKind::Connection), None), 6);
        assert_eq!(by(StopReason::Outage, None, None), 6);
        assert_eq!(by(StopReason::Deadline, None, None), 13);
        assert_eq!(by(StopReason::Output, None, None), 8);
        assert_eq!(by(StopReason::Config, Some(ErrorKind::Config), None), 2);
    }
}
