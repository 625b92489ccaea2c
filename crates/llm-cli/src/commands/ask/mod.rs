//! `llm ask`: one prompt, one answer.

mod report;
mod talk;

use std::io::IsTerminal as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use llm_types::ChatRequest;

use crate::args::Ask;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::prompt::{self, Parts};
use crate::session::Session;
use crate::term::Term;

/// Asks, and prints the answer.
///
/// # Errors
/// Whatever went wrong, with its exit code.
pub(crate) fn run(args: &Ask, term: &Arc<Term>) -> Result<Exit, Failure> {
    let prepared = message(args, term).and_then(|message| {
        let runtime = crate::runtime(1)?;
        let inside = runtime.enter();
        let session = Session::open(&args.model, term)?;
        drop(inside);
        Ok((message, runtime, session))
    });
    let (message, runtime, session) = match prepared {
        Ok(prepared) => prepared,
        // Nothing was asked: the one object holds the error and nothing else.
        Err(failure) if args.json => {
            term.json(&report::Report::failed(&failure))?;
            return Err(failure);
        }
        Err(failure) => return Err(failure),
    };
    let result = runtime.block_on(talk::talk(args, request(args, message), &session, term));
    // A connection that is still open is not waited for.
    runtime.shutdown_background();
    result
}

fn request(args: &Ask, message: String) -> ChatRequest {
    let request = ChatRequest {
        temperature: args.temperature,
        max_tokens: args.max_tokens,
        ..ChatRequest::user(message)
    };
    match &args.system {
        Some(system) if !system.is_empty() => request.with_system(system),
        _ => request,
    }
}

/// The message to send, from files, stdin and words.
fn message(args: &Ask, term: &Arc<Term>) -> Result<String, Failure> {
    let named_as_word = args.prompt.iter().any(|word| word == "-");
    let named_as_file = args.files.iter().any(|path| prompt::is_stdin(path));
    let named = named_as_word || named_as_file;
    if named && args.no_stdin {
        return Err(Failure::usage("`-` asks for stdin and --no-stdin leaves it unread: give one of them"));
    }
    let words: Vec<&str> = args.prompt.iter().map(String::as_str).filter(|word| *word != "-").collect();
    let is_terminal = std::io::stdin().is_terminal();
    let mut parts = Parts { prompt: (!words.is_empty()).then(|| words.join(" ")), ..Parts::default() };
    for path in args.files.iter().filter(|path| !prompt::is_stdin(path)) {
        parts.files.push(prompt::read_file(path)?);
    }
    let reads = named || (!is_terminal && !args.no_stdin);
    if reads {
        let text = patiently(term, prompt::read_stdin)?;
        if named_as_file {
            parts.files.push(("stdin".to_owned(), text));
        } else {
            parts.stdin = Some(text);
        }
    }
    parts.message().ok_or_else(|| match reads {
        true => {
            Failure::usage("stdin was empty and there is no prompt").hint("llm \"What is backpressure?\"")
        }
        false => Failure::usage("there is no prompt: llm \"What is backpressure?\"")
            .hint("`llm --help` lists what else there is"),
    })
}

/// Reads, and says after a while what it is waiting for.
fn patiently<T>(term: &Arc<Term>, read: impl FnOnce() -> T) -> T {
    if !term.err_is_terminal {
        return read();
    }
    let done = Arc::new(AtomicBool::new(false));
    let (theirs, term) = (Arc::clone(&done), Arc::clone(term));
    // Left to itself when the text comes at once: it ends with the process, or says nothing.
    std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(2));
        if !theirs.load(Ordering::Relaxed) {
            term.note("reading stdin … (Ctrl-D ends it, --no-stdin leaves it unread)");
        }
    });
    let result = read();
    done.store(true, Ordering::Relaxed);
    result
}
