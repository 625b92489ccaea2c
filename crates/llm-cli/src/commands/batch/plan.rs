//! `llm batch --dry-run`: what a run would do, and the first row as it would be sent. Nothing is sent, and no file is touched.

use std::path::Path;

use llm_batch::{Input, Survey};
use serde::Serialize;

use super::{job, refused};
use crate::args::BatchRun;
use crate::dry_run::{self, Form, Request};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::progress::count;
use crate::prompt;
use crate::session::Session;
use crate::term::{Term, safe};

/// The object of `--json`. Its names are a promise.
#[derive(Serialize)]
struct Report<'a> {
    v: u8,
    model: &'a str,
    output: &'a Path,
    #[serde(flatten)]
    survey: &'a Survey,
    answered: Option<u64>,
    requests: Vec<Request<'a>>,
}

/// Reads the rows, and prints what would come of them.
///
/// # Errors
/// The input cannot be read, or a row cannot be written in the server's format.
pub(super) fn run(
    args: &BatchRun,
    input: Input,
    output: &Path,
    session: &Session,
    term: &Term,
) -> Result<Exit, Failure> {
    let job = job(args);
    let survey = llm_batch::survey(input, &job, args.limit).map_err(|e| refused(&e))?;
    // What is stored is matched with all rows of a file, read a second time.
    let file = args.input.as_deref().filter(|path| !prompt::is_stdin(path) && args.limit.is_none());
    let stored = file.filter(|_| output.exists()).map(|file| llm_batch::verify(file, output, &job));
    let answered = stored.transpose().map_err(|e| refused(&e))?.map(|report| report.success);
    let previews = match &survey.first {
        Some(request) => dry_run::previews(session, request, false)?,
        None => Vec::new(),
    };
    if args.json {
        let requests = previews.iter().map(dry_run::as_json).collect();
        let model = session.client.id();
        term.json(&Report { v: 1, model, output, survey: &survey, answered, requests })?;
        return Ok(Exit::Ok);
    }
    let mut line = format!("{} rows, {} of them bad", count(survey.rows), count(survey.bad.count));
    if let Some(answered) = answered {
        line.push_str(&format!("; {} have an answer in {}", count(answered), output.display()));
    }
    term.note(&safe::line(&line));
    if let Some(fault) = &survey.first_fault {
        term.warn(fault);
    }
    if let Some(line) = survey.first_line {
        term.note(&format!("the row on line {line} would be sent like this:"));
    }
    dry_run::show(&previews, &Form::AsSent, term)?;
    Ok(Exit::Ok)
}
