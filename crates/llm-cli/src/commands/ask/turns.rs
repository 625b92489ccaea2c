//! `llm ask` with programs behind its tools: the model is asked, what it calls is run, and it is asked again until it stops.

use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use llm_client::{Call, Ending, ToolLoop, ToolLoopError, ToolLoopEvent, ToolRun, Turn};
use llm_types::{
    ChatRequest, ChatResponse, Collector, Cost, Error, ErrorKind, Message, Money, StreamEvent, Tool,
    ToolResult,
};

use super::printer::Printer;
use super::talk::{Outcome, Went, at, cancelled, of_model};
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
    let (run, stopped) = match ended {
        Ended::Run(run) => (run, None),
        Ended::Stopped(run, exit) => (run, Some(exit)),
    };
    let response = last(&run);
    let error = match &run.ending {
        Ending::Failed(error) => Some(error.clone()),
        Ending::TurnLimit => {
            let message = format!("the model wanted to go on after {} turns", run.turns.len());
            let hint = "--max-turns N allows more; `messages` of --json can be gone on with";
            let error = of_model(Error::new(ErrorKind::Budget, message), session.client.id());
            Some(error.with_hint(hint).with_attempts(response.attempts.clone()))
        }
        _ => stopped.map(|_| cancelled()),
    };
    let outcome = Outcome { response, error, stopped, first, total: started.elapsed() };
    Ok((outcome, Went { turns: run.turns.len(), messages: run.messages }))
}

/// How a loop ended.
enum Ended {
    Run(Box<ToolRun>),
    /// Somebody ended it; what had come by then.
    Stopped(Box<ToolRun>, Exit),
}

/// What has come of a loop that is under way: paid for, and not to be lost when it is stopped.
#[derive(Default)]
struct Heard {
    turns: Vec<Turn>,
    /// The answer that is being written, or whose calls are being run.
    collector: Collector,
    is_whole: bool,
    /// The results of its calls, in the order in which they came.
    results: Vec<ToolResult>,
    /// The results of calls that the request brought along.
    brought: Vec<ToolResult>,
}

impl Heard {
    /// The answer that was being written, when it came to its end; else the piece of it that came.
    fn settle(&mut self) -> Option<ChatResponse> {
        let response = std::mem::take(&mut self.collector).finish();
        let mut results = std::mem::take(&mut self.results);
        if !std::mem::take(&mut self.is_whole) {
            self.brought.append(&mut results);
            return Some(response);
        }
        let place = |result: &ToolResult| response.tool_calls().position(|call| call.id == result.id);
        results.sort_by_key(place);
        self.turns.push(Turn { response, results });
        None
    }

    /// The conversation as far as it came.
    fn stopped(mut self, request: &ChatRequest) -> Box<ToolRun> {
        let ending = match self.settle() {
            Some(piece) => Ending::Failed(cancelled().with_partial(piece)),
            None => Ending::Owed,
        };
        let told = |results: &[ToolResult]| results.iter().cloned().map(Message::tool).collect::<Vec<_>>();
        let mut messages = request.messages.clone();
        messages.extend(told(&self.brought));
        for Turn { response, results } in &self.turns {
            messages.extend(response.message().cloned());
            messages.extend(told(results));
        }
        Box::new(ToolRun { messages, turns: self.turns, ending })
    }
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
        exit = signals.next() => return Ok(Ended::Stopped(Heard::default().stopped(request), exit)),
        () = term::reader_gone() => {
            return Ok(Ended::Stopped(Heard::default().stopped(request), Exit::PipeClosed));
        }
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
    let mut heard = Heard::default();
    let mut first = None;
    loop {
        let due = printer.answer.due();
        let event = tokio::select! {
            event = events.next() => event,
            exit = signals.next() => return Ok((Ended::Stopped(heard.stopped(request), exit), first)),
            () = &mut reader_gone => {
                return Ok((Ended::Stopped(heard.stopped(request), Exit::PipeClosed), first));
            }
            () = at(due) => {
                printer.flush()?;
                continue;
            }
        };
        match event {
            Some(Ok(ToolLoopEvent::Turn { .. })) => {
                heard.settle();
            }
            Some(Ok(ToolLoopEvent::Result { result, .. })) => heard.results.push(result),
            Some(Ok(ToolLoopEvent::Event(event))) => {
                match &event {
                    StreamEvent::Start { .. } => {}
                    StreamEvent::End => heard.is_whole = true,
                    StreamEvent::ToolCallStart { .. } => printer.pause()?,
                    _ => {
                        first.get_or_insert_with(|| started.elapsed());
                    }
                }
                printer.event(&event)?;
                heard.collector.push(event);
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
    let (failed, partial) = match &run.ending {
        Ending::Failed(error) => (Some(error), error.partial()),
        _ => (None, None),
    };
    let turns = || run.turns.iter().map(|turn| &turn.response);
    let mut response = match failed {
        Some(_) => partial.cloned().unwrap_or_default(),
        None => run.response().cloned().unwrap_or_default(),
    };
    response.usage = run.usage();
    response.cost = run.cost().map(|total| {
        // What came of an answer that failed was paid for too.
        let costs = || turns().chain(partial).map(|answer| answer.cost.as_ref());
        let sum = |part: fn(&Cost) -> Option<Money>| costs().map(|cost| cost.and_then(part)).sum();
        let first = costs().flatten().next().cloned().unwrap_or_default();
        let is_one = costs().flatten().all(|cost| (&cost.source, cost.as_of) == (&first.source, first.as_of));
        let (source, as_of) = if is_one { (first.source, first.as_of) } else { (None, None) };
        let usage = response.usage.map(|usage| usage.source).unwrap_or_default();
        Cost { total, input: sum(|cost| cost.input), output: sum(|cost| cost.output), usage, source, as_of }
    });
    let failed = failed.map_or(&[][..], Error::attempts);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_cost_are_those_of_every_answer_also_of_one_that_broke_off() {
        let cost = |input: u128, output: u128, source: &str| Cost {
            total: Money::from_pico(input + output),
            input: Some(Money::from_pico(input)),
            output: Some(Money::from_pico(output)),
            source: Some(source.into()),
            ..Cost::default()
        };
        let paid = |cost| ChatResponse { cost: Some(cost), ..ChatResponse::default() };
        let run = |second: Cost| ToolRun {
            messages: Vec::new(),
            turns: vec![Turn { response: paid(cost(1, 2, "config")), results: Vec::new() }],
            ending: Ending::Failed(Error::new(ErrorKind::Truncated, "cut").with_partial(paid(second))),
        };
        assert_eq!(last(&run(cost(10, 20, "config"))).cost, Some(cost(11, 22, "config")));
        // A source that is not that of all is none.
        assert_eq!(last(&run(cost(10, 20, "a list"))).cost.and_then(|cost| cost.source), None);
        let nothing = Error::new(ErrorKind::Connection, "refused");
        let none = ToolRun { messages: Vec::new(), turns: Vec::new(), ending: Ending::Failed(nothing) };
        assert_eq!(last(&none).cost, None, "what is not known is not nothing");
    }
}
