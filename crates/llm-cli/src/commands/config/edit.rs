//! `llm config edit`: the user's file in the user's editor, checked when the editor has closed.

use std::io::IsTerminal as _;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::sync::Arc;

use llm_manager::config::create_new;

use super::check;
use crate::args::ConfigEdit;
use crate::commands::init;
use crate::exit::Exit;
use crate::failure::{Failure, reason};
use crate::folders;
use crate::session;
use crate::signals::Signals;
use crate::term::Term;

/// Opens the file, and checks it afterwards.
///
/// # Errors
/// There is no editor or no terminal; the file cannot be written; what [`check`] finds.
pub(crate) fn run(args: &ConfigEdit, term: &Arc<Term>) -> Result<Exit, Failure> {
    let path = session::own_file(args.config.as_deref())?;
    let editor = folders::variable("VISUAL").or_else(|| folders::variable("EDITOR"));
    let Some(editor) = editor.filter(|editor| !editor.trim().is_empty()) else {
        let hint = format!("set VISUAL or EDITOR, or open {} yourself", path.display());
        return Err(Failure::usage("no editor is named").hint(hint));
    };
    if !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
        let hint = format!("open {} yourself, then `llm config check`", path.display());
        return Err(Failure::usage("an editor needs a terminal").hint(hint));
    }
    if !path.exists() {
        session::toml_only(&path, "a new file")?;
        create_new(&path, &init::text(&folders::variable)).map_err(session::file_failure)?;
    }
    let status = open(&editor, &path)?;
    if !status.success() {
        let message = format!("the editor `{editor}` ended with {status}");
        return Err(
            Failure::own(Exit::Usage, "editor", message).hint(format!("{} stays as it is", path.display()))
        );
    }
    let report = check::one(&path);
    term.data(&report.text())?;
    report.verdict()
}

/// Runs the editor. Its variable may hold options, so that a shell reads it, as everywhere.
fn open(editor: &str, path: &Path) -> Result<ExitStatus, Failure> {
    // A Ctrl-C in the editor is the editor's: while someone listens, it does not end us.
    let runtime = crate::runtime(1)?;
    let inside = runtime.enter();
    let listening = Signals::listen().map_err(crate::no_signals)?;
    drop(inside);
    let mut command = if cfg!(unix) {
        let mut shell = Command::new("/bin/sh");
        shell.arg("-c").arg(format!("{editor} \"$@\"")).arg(editor);
        shell
    } else {
        let mut words = editor.split_whitespace();
        let mut command = Command::new(words.next().unwrap_or_default());
        command.args(words);
        command
    };
    let status = command.arg(path).status();
    drop(listening);
    status.map_err(|e| {
        Failure::own(
            Exit::Usage,
            "editor",
            format!("the editor `{editor}` cannot be started: {}", reason(&e)),
        )
    })
}
