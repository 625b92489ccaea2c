//! `llm count`: how many tokens a prompt is read as.

use std::sync::Arc;

use llm_client::Call;
use llm_manager::estimate_input_tokens;
use llm_types::{ChatRequest, ErrorKind, TokenCount, UsageSource, Warning};
use serde::Serialize;

use crate::args::Count;
use crate::conversation;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::session::Session;
use crate::signals::Signals;
use crate::term::Term;

/// The object of `--json`. Its names are a promise.
#[derive(Serialize)]
struct Report {
    v: u8,
    model: Option<String>,
    input_tokens: Option<u64>,
    cache_read_tokens: Option<u64>,
    source: Option<UsageSource>,
    warnings: Vec<Warning>,
    error: Option<Failure>,
}

impl Report {
    fn new(model: Option<String>, count: TokenCount, source: UsageSource) -> Self {
        let TokenCount { input_tokens, cache_read, warnings, .. } = count;
        Self {
            v: 1,
            model,
            input_tokens: Some(input_tokens),
            cache_read_tokens: cache_read,
            source: Some(source),
            warnings,
            error: None,
        }
    }
}

/// Counts, and prints the number.
///
/// # Errors
/// Whatever went wrong, with its exit code.
pub(crate) fn run(args: &Count, term: &Arc<Term>) -> Result<Exit, Failure> {
    match count(args, term) {
        Ok(report) if args.json => term.json(&report).map(|()| Exit::Ok),
        Ok(report) => {
            for Warning { about, message } in &report.warnings {
                term.warn(&format!("{about}: {message}"));
            }
            if report.source == Some(UsageSource::Estimated) {
                term.note("estimated: four bytes a token; the server was not asked");
            }
            term.data(&format!("{}\n", report.input_tokens.unwrap_or_default()))?;
            Ok(Exit::Ok)
        }
        Err(failure) => {
            if args.json && !failure.is_silent() {
                term.json(&Report {
                    v: 1,
                    model: None,
                    input_tokens: None,
                    cache_read_tokens: None,
                    source: None,
                    warnings: Vec::new(),
                    error: Some(failure.clone()),
                })?;
            }
            Err(failure)
        }
    }
}

fn count(args: &Count, term: &Arc<Term>) -> Result<Report, Failure> {
    let request = conversation::read(&args.question, term)?.request;
    if args.estimate {
        return Ok(estimate(args.model.model.clone(), &request));
    }
    let runtime = crate::runtime(1)?;
    let _inside = runtime.enter();
    let session = match Session::open(&args.model, term) {
        Ok(session) => session,
        Err(failure) if failure.exit == Exit::Key => {
            // Where the format has no count, nobody is asked, and a key is not missed.
            let keyless = Session::keyless(&args.model).filter(|s| s.client.token_counter().is_none());
            let hint = "set the key, or guess with --estimate, which needs none";
            keyless.ok_or_else(|| failure.hint(hint))?
        }
        Err(failure) => return Err(failure),
    };
    let model = Some(session.client.id().to_owned());
    let Some(counter) = session.client.token_counter() else { return Ok(estimate(model, &request)) };
    let call = Call::default();
    let counted = runtime.block_on(async {
        let mut signals = Signals::listen().map_err(crate::no_signals)?;
        tokio::select! {
            counted = counter.count_tokens(&request, &call) => Ok(counted),
            exit = signals.next() => Err(Failure::silent(exit)),
        }
    })?;
    match counted {
        Ok(count) => Ok(Report::new(model, count, UsageSource::Reported)),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let mut report = estimate(model, &request);
            report
                .warnings
                .push(Warning::new("count", "the server has no count, which its format would allow"));
            Ok(report)
        }
        Err(error) => Err(session.failure(error)),
    }
}

fn estimate(model: Option<String>, request: &ChatRequest) -> Report {
    let count = TokenCount { input_tokens: estimate_input_tokens(request), ..TokenCount::default() };
    Report::new(model, count, UsageSource::Estimated)
}
