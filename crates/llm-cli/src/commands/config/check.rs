//! `llm config check`: whether files are right, and everything that is wrong with them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use llm_manager::config::{Loaded, SeedKind, load_or_all_errors};
use llm_types::{Error, ErrorKind};
use serde::Serialize;

use crate::args::ConfigCheck;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::folders;
use crate::session;
use crate::term::{Term, safe};

/// What was found in a file, or in everything that a call would read.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    /// The file that was named.
    path: Option<PathBuf>,
    /// The older client whose file it is; null for one of ours.
    older: Option<&'static str>,
    /// The files that were read.
    read: Vec<PathBuf>,
    ok: bool,
    #[serde(skip)]
    exit: Exit,
    errors: Vec<Finding>,
    warnings: Vec<String>,
}

/// An error, with its place in the message.
#[derive(Debug, Serialize)]
struct Finding {
    message: String,
    hint: Option<String>,
}

/// The object of `--json`.
#[derive(Serialize)]
struct Answer<'a> {
    v: u8,
    ok: bool,
    files: &'a [Report],
}

/// Checks each file by itself, or what a call would read. Nothing is sent, and no key's file is opened.
///
/// # Errors
/// [`Exit::Usage`] when something is wrong, [`Exit::NotFound`] when a file is not there.
pub(crate) fn run(args: &ConfigCheck, term: &Arc<Term>) -> Result<Exit, Failure> {
    let reports: Vec<Report> = if args.files.is_empty() {
        vec![everything(args.config.clone())]
    } else {
        args.files.iter().map(|file| one(file)).collect()
    };
    if args.json {
        term.json(&Answer { v: 1, ok: reports.iter().all(|report| report.ok), files: &reports })?;
    } else {
        term.data(&reports.iter().map(Report::text).collect::<String>())?;
    }
    match &reports[..] {
        [one] => one.verdict(),
        several => {
            let Some(worst) = several.iter().filter(|r| !r.ok).map(|r| r.exit).min_by_key(|e| e.code())
            else {
                return Ok(Exit::Ok);
            };
            let wrong = several.iter().filter(|report| !report.ok).count();
            let message = format!("{wrong} of {} files cannot be used", several.len());
            Err(Failure::own(worst, "config", message))
        }
    }
}

/// Checks one file by itself: our own variables are left out, since they are not the file's fault.
pub(crate) fn one(file: &Path) -> Report {
    let env = |name: &str| folders::variable(name).filter(|_| !is_ours(name));
    let mut sources = session::sources(&env);
    sources.config = Some(file.to_owned());
    let loaded = load_or_all_errors(&sources).map_err(|errors| {
        // That it came from an option is not what the user wrote.
        let plain = |error: Error| {
            let message = error.message().replace(" (--config)", "");
            error.with_message(message)
        };
        errors.into_iter().map(plain).collect()
    });
    Report::of(Some(file.to_owned()), loaded)
}

/// Whether a variable says something about the configuration, rather than where home is or what a key is.
fn is_ours(name: &str) -> bool {
    (name.starts_with("LLM_RS_") && name != "LLM_RS_HOME") || name.starts_with("FLEXLLM_")
}

fn everything(config: Option<PathBuf>) -> Report {
    let mut sources = session::sources(&folders::variable);
    sources.config.clone_from(&config);
    Report::of(config, load_or_all_errors(&sources))
}

impl Report {
    fn of(path: Option<PathBuf>, loaded: Result<Loaded, Vec<Error>>) -> Self {
        let mut report = Self {
            older: path.as_deref().and_then(SeedKind::of_file).map(SeedKind::as_str),
            path,
            read: Vec::new(),
            ok: true,
            exit: Exit::Ok,
            errors: Vec::new(),
            warnings: Vec::new(),
        };
        match loaded {
            Ok(loaded) => {
                report.read.clone_from(&loaded.files);
                report.warnings.clone_from(&loaded.warnings);
                names(&loaded).into_iter().for_each(|error| report.add(&error));
            }
            Err(errors) => errors.iter().for_each(|error| report.add(error)),
        }
        report
    }

    fn add(&mut self, error: &Error) {
        let exit = match error.kind() {
            ErrorKind::NotFound => Exit::NotFound,
            _ => Exit::Usage,
        };
        (self.ok, self.exit) = (false, exit);
        self.errors.push(Finding { message: error.chain(), hint: error.hint().map(str::to_owned) });
    }

    /// The lines for a person.
    pub(crate) fn text(&self) -> String {
        let name = match &self.path {
            Some(path) => safe::path(path),
            None if self.read.is_empty() => "no configuration file, built-in values only".to_owned(),
            None => self.read.iter().map(|path| safe::path(path)).collect::<Vec<_>>().join(" over "),
        };
        let state = match (self.ok, self.warnings.len()) {
            (true, 0) => "OK".to_owned(),
            (true, 1) => "OK, with a warning".to_owned(),
            (true, n) => format!("OK, with {n} warnings"),
            (false, _) => "not usable".to_owned(),
        };
        let older = self.older.map(|kind| format!(", an older client's file ({kind})")).unwrap_or_default();
        let mut text = format!("{name}: {state}{older}\n");
        for Finding { message, hint } in &self.errors {
            text.push_str(&format!("  error: {}\n", safe::line(message)));
            if let Some(hint) = hint {
                text.push_str(&format!("    try: {}\n", safe::line(hint)));
            }
        }
        for warning in &self.warnings {
            text.push_str(&format!("  warning: {}\n", safe::line(warning)));
        }
        text
    }

    /// How the command ends.
    ///
    /// # Errors
    /// When something is wrong.
    pub(crate) fn verdict(&self) -> Result<Exit, Failure> {
        if self.ok {
            return Ok(Exit::Ok);
        }
        let what = match &self.path {
            Some(path) => path.display().to_string(),
            None => "the configuration".to_owned(),
        };
        Err(Failure::own(self.exit, "config", format!("{what} cannot be used")))
    }
}

/// A default that leads nowhere. Aliases, pools and chains were looked up when they were read.
fn names(loaded: &Loaded) -> Vec<Error> {
    let Some((name, by)) = loaded.default_model() else { return Vec::new() };
    let Err(error) = loaded.manager.resolve(&name) else { return Vec::new() };
    let message = format!("{by}: default: {}", error.message());
    vec![error.with_message(message)]
}
