//! `llm set-model`: another default model, in the user's own file.

use std::io::ErrorKind as Io;
use std::path::Path;
use std::sync::Arc;

use llm_manager::config::{SeedKind, with_default_as, write};

use super::init;
use crate::args::{Model, SetModel};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::folders;
use crate::session;
use crate::term::{Term, safe};

/// Changes the line `default` and nothing else; a file that is not there is written as `llm init` would.
///
/// # Errors
/// [`Exit::NotFound`] for a model nobody knows, [`Exit::Usage`] for a file that is wrong or cannot keep its form,
/// [`Exit::File`] when it cannot be read or written.
pub(crate) fn run(args: &SetModel, term: &Arc<Term>) -> Result<Exit, Failure> {
    let path = session::own_file(args.config.as_deref())?;
    let text = match read(&path)? {
        Some(text) => text,
        None => {
            session::toml_only(&path, "a new file")?;
            init::text(&folders::variable)
        }
    };
    if let Some(kind) = SeedKind::of_file(&path) {
        let message = format!(
            "{} is an older client's file ({}), which is never written",
            path.display(),
            kind.as_str()
        );
        return Err(Failure::usage(message)
            .hint("leave --config out: your own file goes before it; or change its default by hand"));
    }
    // The name has to lead somewhere. The file that is changed may be the first one there is.
    let config = Some(path.clone()).filter(|path| args.config.is_some() && path.exists());
    let loaded = session::configuration(Some(&Model { config, ..Model::default() }), &[])?;
    session::warn(&loaded.warnings, term);
    let id = loaded.manager.resolve(&args.name).map_err(Failure::from)?.id();
    let name = args.name.trim();
    let changed = with_default_as(&path, &text, name).map_err(Failure::from)?;
    if args.dry_run {
        term.data(&changed)?;
        return Ok(Exit::Ok);
    }
    write(&path, &changed).map_err(session::file_failure)?;
    let means = if id == name { String::new() } else { format!(" ({})", safe::line(&id)) };
    term.note(&format!("the default model is {}{means}, says {}", safe::line(name), safe::path(&path)));
    hidden(args, &path, term)
}

fn read(path: &Path) -> Result<Option<String>, Failure> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(e) if e.kind() == Io::NotFound => Ok(None),
        Err(e) => Err(Failure::file("read", path, &e)),
    }
}

/// Says so when another word goes before this one.
fn hidden(args: &SetModel, path: &Path, term: &Term) -> Result<Exit, Failure> {
    let config = args.config.clone();
    let loaded = session::configuration(Some(&Model { config, ..Model::default() }), &[])?;
    match loaded.default_model() {
        Some((_, by)) if by.starts_with(&*path.to_string_lossy()) => {}
        Some((other, by)) => term.warn(&format!("{by} goes before it: here the default model is {other}")),
        None => term.warn("the file is not read from here; name it with --config"),
    }
    Ok(Exit::Ok)
}
