//! `llm ask` with programs behind its tools: the model is asked, what it calls is run, and it is asked again until it stops.

use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use llm_client::{Call, Ending, ToolLoop, ToolLoopError, ToolLoopEvent, ToolRun};
use llm_types::{ChatRequest, ChatResponse, Collector, Cost, Error, ErrorKind, Money, StreamEvent, Tool};

use super::printer::Printer;
use super::talk::{Outcome, Went, at, stopped};
use crate::args::Ask;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::program::ToolProgram;
use crate::session::Session;
use crate::signals::Signals;
use crate::term::{self, Term};
use crate::tools_file::Program;

/// Asks and runs until the model stops, or somebody stops it.
pub(super) async fn run(
    args: &Ask,
    request: &ChatRequest,
    programs: Vec<Program>,
    session: &Session,
    signals: &mut Signals,
    printer: &mut Printer,
    term: &Arc<Term>,
) -> Result<(Outcome, Went), Failure> {
    let mut tools = ToolLoop::new(Arc::clone(&session.client)).max_turns(args.max_turns);
    for program in programs {
        let named = |tool: &&Tool| matches!(tool, Tool::Function(f) if f.name == program.tool);
        if let Some(tool) = request.tools.iter().find(named) {
            tools = tools.function(ToolProgram {
                tool: tool.clone(),
                time_out: args.tool_timeout,
                term: Arc::clone(term),
                program,
            });
        }
    }
    let started = Instant::now();
    let (ended, first) = match args.no_stream {
        true => (whole(&tools, request, signals, printer).await?, None),
        false => streamed(&tools, request, signals, printer, started).await?,
    };
    let run = match ended {
        Ended::Run(run) => run,
        Ended::Stopped(collector, exit) => {
            let outcome = Outcome { first, ..stopped(*collector, exit, started) };
            return Ok((outcome, Went { messages: request.messages.clone(), turns: 0 }));
        }
    };
    let response = last(&run);
    let error = match &run.ending {
        Ending::Failed(error) => Some(error.clone()),
        Ending::TurnLimit => {
            let message = format!("the model wanted to go on after {} turns", run.turns.len());
            let hint = "--max-turns N allows more; `messages` of --json can be gone on with";
            Some(
                Error::new(ErrorKind::Budget, message)
                    .with_hint(hint)
                    .with_attempts(response.attempts.clone()),
            )
        }
        _ => None,
    };
    let outcome = Outcome { response, error, stopped: None, first, total: started.elapsed() };
    Ok((outcome, Went { turns: run.turns.len(), messages: run.messages }))
}

/// How a loop ended.
enum Ended {
    Run(Box<ToolRun>),
    /// Somebody ended it; what had come of the answer that was being written.
    Stopped(Box<Collector>, Exit),
}

async fn whole(
    tools: &ToolLoop,
    request: &ChatRequest,
    signals: &mut Signals,
    printer: &mut Printer,
) -> Result<Ended, Failure> {
    let call = Call::default();
    let result = tokio::select! {
        result = tools.run(request.clone(), &call) => result,
        exit = signals.next() => return Ok(Ended::Stopped(Box::default(), exit)),
        () = term::reader_gone() => return Ok(Ended::Stopped(Box::default(), Exit::PipeClosed)),
    };
    let run = result.unwrap_or_else(ToolLoopError::into_run);
    let broken = match &run.ending {
        Ending::Failed(error) => error.partial(),
        _ => None,
    };
    for response in run.turns.iter().map(|turn| &turn.response).chain(broken) {
        printer.reasoning(&response.reasoning());
        printer.text(&response.text())?;
        printer.pause()?;
    }
    Ok(Ended::Run(Box::new(run)))
}

async fn streamed(
    tools: &ToolLoop,
    request: &ChatRequest,
    signals: &mut Signals,
    printer: &mut Printer,
    started: Instant,
) -> Result<(Ended, Option<std::time::Duration>), Failure> {
    let mut reader_gone = pin!(term::reader_gone());
    let mut events = tools.stream(request.clone(), Call::default());
    let mut collector = Collector::new();
    let mut first = None;
    loop {
        let due = printer.answer.due();
        let event = tokio::select! {
            event = events.next() => event,
            exit = signals.next() => return Ok((Ended::Stopped(Box::new(collector), exit), first)),
            () = &mut reader_gone => return Ok((Ended::Stopped(Box::new(collector), Exit::PipeClosed), first)),
            () = at(due) => {
                printer.flush()?;
                continue;
            }
        };
        match event {
            Some(Ok(ToolLoopEvent::Turn { .. })) => collector = Collector::new(),
            Some(Ok(ToolLoopEvent::Event(event))) => {
                match &event {
                    StreamEvent::Start { .. } => {}
                    StreamEvent::ToolCallStart { .. } => printer.pause()?,
                    _ => {
                        first.get_or_insert_with(|| started.elapsed());
                    }
                }
                printer.event(&event)?;
                collector.push(event);
            }
            Some(Ok(ToolLoopEvent::End(run))) => return Ok((Ended::Run(run), first)),
            Some(Err(failed)) => return Ok((Ended::Run(Box::new(failed.into_run())), first)),
            Some(Ok(_)) => {}
            None => {
                let message = "the loop of tools ended without a result";
                return Err(Failure::from(Error::new(ErrorKind::Internal, message)));
            }
        }
    }
}

/// The last answer, with what all turns used, cost, tried and warned of.
fn last(run: &ToolRun) -> ChatResponse {
    let partial = match &run.ending {
        Ending::Failed(error) => Some(error.partial().cloned().unwrap_or_default()),
        _ => None,
    };
    let mut response = partial.or_else(|| run.response().cloned()).unwrap_or_default();
    let turns = || run.turns.iter().map(|turn| &turn.response);
    response.usage = run.usage();
    response.cost = run.cost().map(|total| {
        let sum =
            |part: fn(&Cost) -> Option<Money>| turns().map(|turn| turn.cost.as_ref().and_then(part)).sum();
        let known = turns().find_map(|turn| turn.cost.clone()).unwrap_or_default();
        let usage = response.usage.map(|usage| usage.source).unwrap_or_default();
        Cost { total, input: sum(|cost| cost.input), output: sum(|cost| cost.output), usage, ..known }
    });
    let failed = match &run.ending {
        Ending::Failed(error) => error.attempts(),
        _ => &[],
    };
    response.attempts = turns().flat_map(|turn| &turn.attempts).chain(failed).cloned().collect();
    let mut warnings = Vec::new();
    for warning in turns().flat_map(|turn| &turn.warnings).chain(&response.warnings) {
        if !warnings.contains(warning) {
            warnings.push(warning.clone());
        }
    }
    response.warnings = warnings;
    response
}
