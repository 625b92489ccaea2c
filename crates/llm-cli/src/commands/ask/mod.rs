//! `llm ask`: one prompt, one answer.

mod dry_run;
mod printer;
mod report;
mod talk;
mod turns;

use std::sync::Arc;

use llm_types::ChatRequest;

use crate::args::Ask;
use crate::conversation::{self, Conversation};
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
            dry_run::run(args, &request, &session, term)
        }
        false => runtime.block_on(talk::talk(args, request, programs, &session, term)),
    };
    // A connection that is still open is not waited for.
    runtime.shutdown_background();
    result
}
