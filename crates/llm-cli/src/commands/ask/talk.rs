//! The call itself: the answer goes out as it comes, and everything that may end it early is listened to.

use std::pin::pin;
use std::sync::Arc;
use std::time::Instant;

use llm_client::Call;
use llm_types::{ChatRequest, ChatResponse, Collector, Error, ErrorKind, FinishReason, StreamEvent};

use super::report::{self, Report};
use crate::args::{Ask, Reasoning};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::session::Session;
use crate::signals::{self, Signals};
use crate::term::safe::Safe;
use crate::term::{self, Answer, Term};

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

/// Makes the call and prints what comes.
pub(super) async fn talk(
    args: &Ask,
    request: ChatRequest,
    session: &Session,
    term: &Arc<Term>,
) -> Result<Exit, Failure> {
    let mut signals = Signals::listen().map_err(crate::no_signals)?;
    signals::last_resort(std::time::Duration::from_secs(1));
    let mut printer = Printer::new(args, Arc::clone(term));
    let call = Call::default();
    let mut outcome = match args.no_stream {
        true => whole(session, &request, &call, &mut signals, &mut printer).await?,
        false => streamed(session, &request, &call, &mut signals, &mut printer).await?,
    };
    if outcome.error.is_none() {
        outcome.error = no_answer(&outcome.response);
    }
    printer.finish()?;
    if args.json {
        // Nobody reads it: not even the object is wanted.
        if outcome.stopped != Some(Exit::PipeClosed) {
            term.json(&Report::new(session.client.id(), &outcome))?;
        }
    } else {
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

/// A response that came whole and is not an answer: the model or its vendor declined and said nothing else, or the
/// vendor failed while it wrote.
fn no_answer(response: &ChatResponse) -> Option<Error> {
    let error = |kind, message| Some(Error::new(kind, message).with_attempts(response.attempts.clone()));
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
                match &event {
                    StreamEvent::Text { choice: 0, text } => printer.text(text)?,
                    StreamEvent::Reasoning { choice: 0, text } => printer.reasoning(text),
                    StreamEvent::ReasoningBlock { choice: 0, block } => printer.reasoning(&block.text),
                    _ => {}
                }
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
    if let (None, Some(cost_of), Some(usage)) = (&response.cost, stream.cost_of(), &response.usage) {
        response.cost = cost_of(usage);
    }
    // Dropping the stream cancels the request at the server, where it is not at its end.
    Ok(outcome)
}

/// Somebody ended the call.
fn stopped(collector: Collector, exit: Exit, started: Instant) -> Outcome {
    let error = Error::new(ErrorKind::Cancelled, "the call was stopped before its answer was whole");
    Outcome {
        response: collector.finish(),
        error: Some(error),
        stopped: Some(exit),
        first: None,
        total: started.elapsed(),
    }
}

async fn at(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

/// Sends text to the standard output and reasoning to the standard error.
struct Printer {
    answer: Answer<std::io::Stdout>,
    term: Arc<Term>,
    shows_text: bool,
    shows_reasoning: bool,
    reasoning: Safe,
    /// Reasoning was written, and its line is not ended.
    in_reasoning: bool,
}

impl Printer {
    fn new(args: &Ask, term: Arc<Term>) -> Self {
        let reasoning = args.reasoning.unwrap_or(match term.err_is_terminal && !args.json {
            true => Reasoning::Show,
            false => Reasoning::Hide,
        });
        Self {
            answer: Answer::new(std::io::stdout(), term.out_is_terminal),
            shows_text: !args.json && reasoning != Reasoning::Only,
            shows_reasoning: reasoning != Reasoning::Hide,
            reasoning: Safe::new(),
            in_reasoning: false,
            term,
        }
    }

    fn text(&mut self, text: &str) -> Result<(), Failure> {
        if text.is_empty() || !self.shows_text {
            return Ok(());
        }
        self.end_reasoning();
        self.answer.push(text, Instant::now()).map_err(|e| term::out_failed(&e))
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.answer.flush().map_err(|e| term::out_failed(&e))
    }

    fn reasoning(&mut self, text: &str) {
        if text.is_empty() || !self.shows_reasoning {
            return;
        }
        let mut shown = String::new();
        self.reasoning.push(text, &mut shown);
        self.in_reasoning = true;
        self.term.err(&self.term.dim(&shown));
    }

    /// The answer begins on a line of its own.
    fn end_reasoning(&mut self) {
        if std::mem::take(&mut self.in_reasoning) {
            self.term.err("\n\n");
        }
    }

    fn finish(&mut self) -> Result<(), Failure> {
        if std::mem::take(&mut self.in_reasoning) {
            self.term.err("\n");
        }
        self.answer.finish().map_err(|e| term::out_failed(&e))
    }
}
