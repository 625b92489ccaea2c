//! The `llm` command: asks any large language model, one prompt or ten million.
//!
//! [`main`] reads the command line ([`args`]; [`intent`] finds the command a prompt is meant for), runs the command
//! (one file each in `commands`), and turns what went wrong into a message ([`failure`]) and a code ([`exit`]).
//! Everything that is printed goes through [`term`].
//!
//! * Data goes to the standard output, talk to the standard error.
//! * A model's text never controls a terminal.
//! * No key is ever shown, and no prompt or answer but where the user asked for it.

pub mod amount;
pub mod args;
mod commands;
mod conversation;
mod dry_run;
pub mod exit;
#[cfg(feature = "prometheus")]
mod exporter;
pub mod failure;
mod folders;
pub mod intent;
mod logging;
mod program;
pub mod progress;
pub mod prompt;
mod session;
mod signals;
mod table;
pub mod term;
mod tools_file;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;

use clap::{CommandFactory as _, FromArgMatches as _};

use crate::args::{BatchAction, Cli, Command, ConfigAction, KeysAction};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::term::{ErrorForm, Term, colour};

/// Runs the command line of this process.
#[must_use]
pub fn main() -> ExitCode {
    std::panic::set_hook(Box::new(|panic| term::panicked(panic.location())));
    let args = std::env::args_os().collect();
    let exit = std::panic::catch_unwind(|| run(args)).unwrap_or(Exit::Internal);
    ExitCode::from(exit.code())
}

/// Reads the command line, runs the command, and says what went wrong.
fn run(args: Vec<OsString>) -> Exit {
    let variable = |name: &str| std::env::var(name).ok();
    let environment = colour::Environment::read(variable);
    let early_form = match intent::wants_json_errors(&args, std::env::var_os("LLM_RS_ERRORS").as_deref()) {
        true => ErrorForm::Json,
        false => ErrorForm::Text,
    };
    let early = || Term::new(colour::Choice::Auto, &environment, early_form);
    let mut cli = Cli::command();
    let parsed = intent::with_command(args, &cli).map_err(Unparsed::Failed).and_then(|args| {
        let matches = cli.try_get_matches_from_mut(args).map_err(|e| Unparsed::Clap(Box::new(e)))?;
        Cli::from_arg_matches(&matches).map_err(|e| Unparsed::Clap(Box::new(e)))
    });
    let (term, result) = match parsed {
        Ok(Cli { command, .. }) => {
            let talk = command.talk();
            let term = Arc::new(Term::new(talk.color, &environment, talk.errors));
            llm_client::telemetry::Telemetry::from_env(variable).install();
            let result = dispatch(command, &term);
            (term, result)
        }
        Err(unparsed) => {
            let term = Arc::new(early());
            let result = unparsed.show(&term, early_form);
            (term, result)
        }
    };
    match result {
        Ok(exit) => {
            term.finish();
            exit
        }
        Err(failure) => {
            term.failure(&failure);
            failure.exit
        }
    }
}

fn dispatch(command: Command, term: &Arc<Term>) -> Result<Exit, Failure> {
    logging::start(command.talk().verbose, term);
    match command {
        Command::Ask(ask) => commands::ask::run(&ask, term),
        Command::Batch(batch) => match batch.action {
            Some(BatchAction::Verify(verify)) => commands::verify::run(&verify, term),
            Some(BatchAction::Run(run)) => commands::batch::run(&run, term),
            None => commands::batch::run(&batch.run, term),
        },
        Command::Models(models) => commands::models::run(&models, term),
        Command::Count(count) => commands::count::run(&count, term),
        Command::List(list) => commands::list::run(&list, term),
        Command::Price(price) => commands::price::run(&price, term),
        Command::Test(test) => commands::test::run(&test, term),
        Command::Mock(mock) => commands::mock::run(&mock, term),
        Command::Config(config) => match config.action {
            ConfigAction::Show(show) => commands::config::show::run(&show, term),
            ConfigAction::Check(check) => commands::config::check::run(&check, term),
            ConfigAction::Path(path) => commands::config::path::run(&path, term),
            ConfigAction::Edit(edit) => commands::config::edit::run(&edit, term),
        },
        Command::Init(init) => commands::init::run(&init, term),
        Command::SetModel(set) => commands::set_model::run(&set, term),
        Command::Keys(keys) => match keys.action {
            KeysAction::List(list) => commands::keys::list::run(&list, term),
            KeysAction::Test(test) => commands::keys::test::run(&test, term),
            KeysAction::Path(path) => commands::keys::path::run(&path, term),
            KeysAction::Set(set) => commands::keys::keep::set(&set, term),
            KeysAction::Rm(rm) => commands::keys::keep::rm(&rm, term),
        },
        Command::Version(version) => commands::version::run(&version, term),
    }
}

/// The runtime of a command that calls: one thread for the command, and these for its connections.
fn runtime(workers: usize) -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .enable_all()
        .build()
        .map_err(|e| Failure::own(Exit::Internal, "internal", format!("cannot start the runtime: {e}")))
}

fn no_signals(error: std::io::Error) -> Failure {
    Failure::own(Exit::Internal, "internal", format!("cannot listen for signals: {error}"))
}

/// A command line that is no command to run.
enum Unparsed {
    Failed(Failure),
    Clap(Box<clap::Error>),
}

impl Unparsed {
    /// Help and version are data; all else is a usage error, in clap's words.
    fn show(self, term: &Term, form: ErrorForm) -> Result<Exit, Failure> {
        use clap::error::ErrorKind::{DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, DisplayVersion};
        let error = match self {
            Self::Failed(failure) => return Err(failure),
            Self::Clap(error) => error,
        };
        let text = error.render().to_string();
        match error.kind() {
            DisplayHelp | DisplayVersion => term.data(&text).map(|()| Exit::Ok),
            DisplayHelpOnMissingArgumentOrSubcommand => {
                term.err(&term::safe::lines(&text));
                Err(Failure::silent(Exit::Usage))
            }
            _ if form == ErrorForm::Json => {
                let mut lines = text.lines();
                let first = lines.next().unwrap_or_default().trim_start_matches("error: ");
                let failure = Failure::usage(first);
                Err(match lines.find_map(|line| line.trim().strip_prefix("tip: ")) {
                    Some(tip) => failure.hint(tip),
                    None => failure,
                })
            }
            _ => {
                let text = text.trim_start_matches("error: ");
                term.err(&(term.label("error:") + " " + &term::safe::lines(text)));
                Err(Failure::silent(Exit::Usage))
            }
        }
    }
}
