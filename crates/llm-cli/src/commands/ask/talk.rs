//! The call itself: the answer goes out as it comes, and everything that may end it early is listened to.

use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use llm_client::Call;
use llm_types::{
    ChatRequest, ChatResponse, Collector, Error, ErrorKind, FinishReason, Message, Part, ToolCall,
};

use super::printer::Printer;
use super::report::{self, Report};
use super::turns;
use crate::args::Ask;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::session::Session;
use crate::signals::{self, Signals};
use crate::term::{self, Term};
use crate::tools_file::Program;

/// What came of the call.
pub(super) struct Outcome {
    /// What came, whole or not.
    pub(super) response: ChatResponse,
    /// What broke it off.
    pub(super) error: Option<Error>,
    /// Who broke it off.
    pub(super) stopped: Option<Exit>,
    /// From the call to the first piece of text.
    pub(super) first: Option<std::time::Duration>,
    /// From the call to its end.
    pub(super) total: std::time::Duration,
}

/// How the conversation went.
pub(super) struct Went {
    /// All of it: what was asked, the answers that came whole, the results of tools.
    pub(super) messages: Vec<Message>,
    /// How often the model answered.
    pub(super) turns: usize,
}

impl Went {
    /// One call: an answer that is not whole is none to go on from.
    fn once(mut messages: Vec<Message>, outcome: &Outcome) -> Self {
        let answer = outcome.response.message().filter(|_| outcome.error.is_none());
        messages.extend(answer.cloned());
        Self { turns: usize::from(answer.is_some()), messages }
    }

    /// Whether somebody answered this call of the model's.
    pub(super) fn has_result_of(&self, call: &ToolCall) -> bool {
        let is_its = |part: &Part| matches!(part, Part::ToolResult(result) if result.id == call.id);
        self.messages.iter().flat_map(|message| &message.parts).any(is_its)
    }
}

/// Makes the call and prints what comes.
pub(super) async fn talk(
    args: &Ask,
    request: ChatRequest,
    programs: Vec<Program>,
    session: &Session,
    term: &Arc<Term>,
) -> Result<Exit, Failure> {
    let mut signals = Signals::listen().map_err(crate::no_signals)?;
    signals::last_resort(std::time::Duration::from_secs(1));
    let mut printer = Printer::new(args, Arc::clone(term));
    let call = Call::default();
    let (mut outcome, went) = if !programs.is_empty() {
        let (outcome, went) =
            turns::run(args, &request, programs, session, &mut signals, &mut printer, term).await?;
        (outcome, Some(went))
    } else if args.no_stream {
        (whole(session, &request, &call, &mut signals, &mut printer).await?, None)
    } else {
        (streamed(session, &request, &call, &mut signals, &mut printer).await?, None)
    };
    if outcome.error.is_none() {
        outcome.error = no_answer(&outcome.response, session.client.id());
    }
    let went = went.unwrap_or_else(|| Went::once(request.messages, &outcome));
    printer.finish()?;
    if args.json {
        // Nobody reads it: not even the object is wanted.
        if outcome.stopped != Some(Exit::PipeClosed) {
            term.json(&Report::new(session.client.id(), &outcome).after(&went, &outcome))?;
        }
    } else {
        report::calls(&outcome.response, &went, term);
        report::remarks(&outcome.response, outcome.error.is_none() && outcome.stopped.is_none(), term);
    }
    if args.usage && outcome.stopped.is_none() {
        term.note(&term.dim(&report::figures(session.client.id(), &outcome)));
    }
    if let Some(exit) = outcome.stopped {
        return Err(Failure::silent(exit));
    }
    match outcome.error {
        Some(error) => Err(session.failure(error)),
        None => Ok(Exit::Ok),
    }
}

/// An error of ours about what a client did, which names its model as the client's own errors do.
pub(super) fn of_model(error: Error, client: &str) -> Error {
    match client.split_once('/') {
        Some((provider, model)) => error.with_model(provider, model),
        None => error,
    }
}

/// A response that came whole and is not an answer: the model or its vendor declined and said nothing else, or the
/// vendor failed while it wrote.
fn no_answer(response: &ChatResponse, client: &str) -> Option<Error> {
    let error = |kind, message| {
        Some(of_model(Error::new(kind, message), client).with_attempts(response.attempts.clone()))
    };
    match response.finish_reason() {
        Some(FinishReason::Error) => {
            error(ErrorKind::Server, "the provider failed while it wrote the answer")
        }
        _ if !response.text().is_empty() => None,
        Some(FinishReason::ContentFilter) => {
            error(ErrorKind::ContentFilter, "the provider withheld the answer for its content")
        }
        _ if response.refusal().is_some() => error(ErrorKind::ContentFilter, "the model refused to answer"),
        _ => None,
    }
}

async fn whole(
    session: &Session,
    request: &ChatRequest,
    call: &Call,
    signals: &mut Signals,
    printer: &mut Printer,
) -> Result<Outcome, Failure> {
    let started = Instant::now();
    let result = tokio::select! {
        result = session.client.chat(request, call) => result,
        exit = signals.next() => return Ok(stopped(Collector::new(), exit, started)),
        () = term::reader_gone() => return Ok(stopped(Collector::new(), Exit::PipeClosed, started)),
    };
    let (response, error) = match result {
        Ok(response) => (response, None),
        Err(error) => (error.partial().cloned().unwrap_or_default(), Some(error)),
    };
    printer.reasoning(&response.reasoning());
    printer.text(&response.text())?;
    Ok(Outcome { response, error, stopped: None, first: None, total: started.elapsed() })
}

async fn streamed(
    session: &Session,
    request: &ChatRequest,
    call: &Call,
    signals: &mut Signals,
    printer: &mut Printer,
) -> Result<Outcome, Failure> {
    let started = Instant::now();
    let mut reader_gone = pin!(term::reader_gone());
    let mut collector = Collector::new();
    let opened = tokio::select! {
        result = session.client.chat_stream(request, call) => result,
        exit = signals.next() => return Ok(stopped(collector, exit, started)),
        () = &mut reader_gone => return Ok(stopped(collector, Exit::PipeClosed, started)),
    };
    let mut stream = match opened {
        Ok(stream) => stream,
        Err(error) => {
            let response = error.partial().cloned().unwrap_or_default();
            return Ok(Outcome {
                response,
                error: Some(error),
                stopped: None,
                first: None,
                total: started.elapsed(),
            });
        }
    };
    // The first content is there: the client knows best when it came.
    let first = stream.first_content().or_else(|| Some(started.elapsed()));
    let mut error = None;
    let stopped_by = loop {
        let due = printer.answer.due();
        let event = tokio::select! {
            event = stream.next() => event,
            exit = signals.next() => break Some(exit),
            () = &mut reader_gone => break Some(Exit::PipeClosed),
            () = at(due) => {
                printer.flush()?;
                continue;
            }
        };
        match event {
            None => break None,
            Some(Err(failed)) => {
                error = Some(failed);
                break None;
            }
            Some(Ok(event)) => {
                printer.event(&event)?;
                collector.push(event);
            }
        }
    };
    let mut outcome = match stopped_by {
        Some(exit) => Outcome { first, ..stopped(collector, exit, started) },
        None => {
            Outcome { response: collector.finish(), error, stopped: None, first, total: started.elapsed() }
        }
    };
    // What the client knows of a broken answer is at least what we saw of it.
    if let Some(partial) = outcome.error.as_ref().and_then(Error::partial) {
        outcome.response = partial.clone();
    }
    if outcome.response.attempts.is_empty() {
        outcome.response.attempts = stream.attempts().to_vec();
    }
    outcome.error = outcome.error.map(|error| match error.attempts() {
        [] => error.with_attempts(stream.attempts().to_vec()),
        _ => error,
    });
    // A stream that was stopped has not said its cost.
    let response = &mut outcome.response;
    if outcome.stopped.is_some()
        && let (None, Some(cost_of), Some(usage)) = (&response.cost, stream.cost_of(), &response.usage)
    {
        response.cost = cost_of(usage);
    }
    // Dropping the stream cancels the request at the server, where it is not at its end.
    Ok(outcome)
}

/// Somebody ended the call before its answer was whole.
pub(super) fn cancelled() -> Error {
    Error::new(ErrorKind::Cancelled, "the call was stopped before its answer was whole")
}

/// Somebody ended the call.
fn stopped(collector: Collector, exit: Exit, started: Instant) -> Outcome {
    Outcome {
        response: collector.finish(),
        error: Some(cancelled()),
        stopped: Some(exit),
        first: None,
        total: started.elapsed(),
    }
}

pub(super) async fn at(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
