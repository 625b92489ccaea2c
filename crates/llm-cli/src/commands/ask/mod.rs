//! `llm ask`: one prompt, one answer.

mod printer;
mod report;
mod talk;
mod turns;

use std::sync::Arc;

use llm_types::ChatRequest;
use serde::Serialize;

use crate::args::Ask;
use crate::conversation::{self, Conversation};
use crate::dry_run::{self, Form, Request};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::program;
use crate::session::Session;
use crate::term::Term;

/// Asks, and prints the answer.
///
/// # Errors
/// Whatever went wrong, with its exit code.
pub(crate) fn run(args: &Ask, term: &Arc<Term>) -> Result<Exit, Failure> {
    let is_dry = args.dry_run || args.curl;
    let prepared = conversation::read(&args.question, term).and_then(|conversation| {
        if !is_dry {
            program::check(&conversation.programs)?;
        }
        let runtime = crate::runtime(1)?;
        let inside = runtime.enter();
        let session = match is_dry {
            true => Session::for_preview(&args.model, term)?,
            false => Session::open(&args.model, term)?,
        };
        drop(inside);
        Ok((conversation, runtime, session))
    });
    let (Conversation { request, programs }, runtime, session) = match prepared {
        Ok(prepared) => prepared,
        // Nothing was asked: the one object holds the error and nothing else.
        Err(failure) if args.json => {
            term.json(&report::Report::failed(&failure))?;
            return Err(failure);
        }
        Err(failure) => return Err(failure),
    };
    let request = ChatRequest {
        temperature: args.temperature,
        max_tokens: args.max_tokens,
        reasoning: args.thinking.level.clone(),
        ..request
    };
    let result = match is_dry {
        true => {
            let _inside = runtime.enter();
            preview(args, &request, &session, term)
        }
        false => runtime.block_on(talk::talk(args, request, programs, &session, term)),
    };
    // A connection that is still open is not waited for.
    runtime.shutdown_background();
    result
}

/// The object of `--dry-run --json`. Its names are a promise.
#[derive(Serialize)]
struct Plan<'a> {
    v: u8,
    model: &'a str,
    requests: Vec<Request<'a>>,
    error: Option<Failure>,
}

/// Shows what would be sent.
fn preview(args: &Ask, request: &ChatRequest, session: &Session, term: &Term) -> Result<Exit, Failure> {
    let streamed = !args.no_stream;
    let previews = dry_run::previews(session, request, streamed);
    if args.json {
        let requests = previews.iter().flatten().map(dry_run::as_json).collect();
        let error = previews.as_ref().err().cloned();
        term.json(&Plan { v: 1, model: session.client.id(), requests, error })?;
        return previews.map(|_| Exit::Ok);
    }
    let form = match args.curl {
        true => Form::Curl { key_variable: session.key_variable.clone(), streamed },
        false => Form::AsSent,
    };
    dry_run::show(&previews?, &form, term)?;
    Ok(Exit::Ok)
}
