//! What a command line asks a model: the conversation so far, then one message from files, stdin and words, and the tools
//! that may be called.

use std::io::IsTerminal as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use llm_types::{ChatRequest, Extra, Message, Role, messages_from_json};

use crate::args::Question;
use crate::failure::Failure;
use crate::prompt::{self, Parts};
use crate::term::Term;
use crate::tools_file::{self, Program, check_json};

/// What is asked, and what may be run for it.
#[derive(Debug)]
pub(crate) struct Conversation {
    /// Messages and tools; the settings are the caller's.
    pub(crate) request: ChatRequest,
    /// The programs behind the tools, where there are any.
    pub(crate) programs: Vec<Program>,
}

/// Reads everything that the command line names, and stdin where nobody sits at it.
///
/// # Errors
/// Nothing is asked; a file is not there, or is not what it should be.
pub(crate) fn read(question: &Question, term: &Arc<Term>) -> Result<Conversation, Failure> {
    let messages_from_stdin = question.messages.as_deref().is_some_and(prompt::is_stdin);
    let others = question.prompt.iter().any(|word| word == "-")
        || question.files.iter().any(|path| prompt::is_stdin(path));
    if (others || messages_from_stdin) && question.no_stdin {
        let message = "`-` asks for stdin and --no-stdin leaves it unread: give one of them";
        return Err(Failure::usage(message));
    }
    if others && messages_from_stdin {
        return Err(Failure::usage("`-` stands for stdin once: as the prompt, a file or --messages"));
    }
    let mut messages = match &question.messages {
        Some(path) => earlier(path, term)?,
        None => Vec::new(),
    };
    let mut tools = ChatRequest::default();
    let programs = match &question.tools {
        Some(path) => tools_file::read(path, &mut tools)?,
        None => Vec::new(),
    };
    match message(question, messages_from_stdin, term) {
        Ok(text) => messages.push(Message::user(text)),
        Err(Unasked::Nothing(_)) if waits(messages.last(), &programs) => {}
        Err(Unasked::Nothing(failure)) => {
            return Err(match &question.messages {
                Some(path) if !messages.is_empty() => {
                    let ending = "ends with words that wait for no answer, and there is no prompt";
                    Failure::usage(format!("`{}` {ending}", path.display()))
                        .hint("add a prompt, or a message of the user or of a tool to the file")
                }
                _ => failure,
            });
        }
        Err(Unasked::Wrong(failure)) => return Err(failure),
    }
    let mut request = ChatRequest { messages, ..tools };
    if let Some(system) = question.system.as_deref().filter(|text| !text.is_empty()) {
        request = with_system(request, system, term);
    }
    Ok(Conversation { request, programs })
}

/// Whether a conversation waits for the model: the user or a tool spoke last, or calls are left that can be run here.
fn waits(last: Option<&Message>, programs: &[Program]) -> bool {
    last.is_some_and(|last| match last.role {
        Role::User | Role::Tool => true,
        _ => last.tool_calls().any(|call| programs.iter().any(|program| program.tool == call.name)),
    })
}

/// The conversation's own system prompt stays: whoever goes on with it does not change what it began with.
fn with_system(request: ChatRequest, system: &str, term: &Term) -> ChatRequest {
    let is_system = |message: &&Message| matches!(message.role, Role::System | Role::Developer);
    match request.messages.iter().find(is_system) {
        None => request.with_system(system),
        Some(known) => {
            if known.text() != system {
                term.warn("the conversation has a system prompt of its own: that of --system is left out");
            }
            request
        }
    }
}

/// The conversation so far.
fn earlier(path: &Path, term: &Arc<Term>) -> Result<Vec<Message>, Failure> {
    let (name, text) = match prompt::is_stdin(path) {
        true => ("stdin".to_owned(), patiently(term, prompt::read_stdin)?),
        false => prompt::read_file(path)?,
    };
    let wrong = |message: String| {
        Failure::usage(format!("`{name}`: {message}"))
            .hint(r#"[{"role": "user", "content": "Hello"}, …], or what `llm ask --json` printed"#)
    };
    let json = text.trim();
    check_json(json).map_err(wrong)?;
    if json.starts_with('[') {
        return messages_from_json(json).map_err(|invalid| wrong(invalid.inside("messages").to_string()));
    }
    let members = json.starts_with('{').then(|| Extra::parse(json).ok()).flatten();
    let Some(mut members) = members else {
        return Err(wrong("neither a list of messages nor an object with `messages`".to_owned()));
    };
    let Some(list) = members.take("messages") else {
        return Err(wrong("the object has no `messages`".to_owned()));
    };
    messages_from_json(list.get()).map_err(|invalid| wrong(invalid.inside("messages").to_string()))
}

/// Why there is no message.
enum Unasked {
    /// There is nothing that was said.
    Nothing(Failure),
    /// What was said is wrong.
    Wrong(Failure),
}

impl From<Failure> for Unasked {
    fn from(failure: Failure) -> Self {
        Self::Wrong(failure)
    }
}

/// The message to send, from files, stdin and words. `is_read`: stdin was read for something else.
fn message(question: &Question, is_read: bool, term: &Arc<Term>) -> Result<String, Unasked> {
    let words: Vec<&str> = question.prompt.iter().map(String::as_str).filter(|word| *word != "-").collect();
    let is_terminal = std::io::stdin().is_terminal();
    let mut parts = Parts { prompt: (!words.is_empty()).then(|| words.join(" ")), ..Parts::default() };
    for path in question.files.iter().filter(|path| !prompt::is_stdin(path)) {
        parts.files.push(prompt::read_file(path)?);
    }
    let named_as_file = question.files.iter().any(|path| prompt::is_stdin(path));
    let named = named_as_file || question.prompt.iter().any(|word| word == "-");
    let reads = !is_read && (named || (!is_terminal && !question.no_stdin));
    if reads {
        let text = patiently(term, prompt::read_stdin)?;
        if named_as_file {
            parts.files.push(("stdin".to_owned(), text));
        } else {
            parts.stdin = Some(text);
        }
    }
    parts.message().ok_or_else(|| {
        Unasked::Nothing(match reads {
            true => {
                Failure::usage("stdin was empty and there is no prompt").hint("llm \"What is backpressure?\"")
            }
            false => Failure::usage("there is no prompt: llm \"What is backpressure?\"")
                .hint("`llm --help` lists what else there is"),
        })
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
