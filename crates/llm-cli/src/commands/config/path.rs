//! `llm config path`: which files are read, which would be, and where everything else lies.

use std::path::PathBuf;
use std::sync::Arc;

use llm_manager::config::{Candidate, Role, load, search};
use serde_json::{Value, json};

use crate::args::ConfigPath;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::table::aligned;
use crate::term::{Term, safe};
use crate::{folders, session};

/// Lists the places. No key's file is opened.
///
/// # Errors
/// Two files stand side by side of which only one can hold; the standard output cannot be written.
pub(crate) fn run(args: &ConfigPath, term: &Arc<Term>) -> Result<Exit, Failure> {
    let mut sources = session::sources(&folders::variable);
    sources.config.clone_from(&args.config);
    let mut files = search(&sources).map_err(Failure::from)?;
    // Where they can be read it is known which of them are; where they cannot, which would be.
    if let Ok(loaded) = load(&sources) {
        files.iter_mut().for_each(|file| file.read = loaded.files.contains(&file.path));
    }
    let user = llm_manager::config::user_config(sources.env, sources.home.as_deref());
    let folders = [("keys", folders::keys()), ("state", folders::state()), ("cache", folders::cache())];
    if args.json {
        let mut answer =
            json!({ "v": 1, "files": files.iter().map(as_json).collect::<Vec<_>>(), "user_config": user });
        for (name, folder) in &folders {
            if let Some(members) = answer.as_object_mut() {
                members.insert((*name).to_owned(), json!(folder));
            }
        }
        term.json(&answer)?;
        return Ok(Exit::Ok);
    }
    let mut rows: Vec<[String; 3]> = files
        .iter()
        .map(|file| [file.role.as_str().to_owned(), safe::path(&file.path), state(file).to_owned()])
        .collect();
    rows.extend(folders.into_iter().filter_map(|(name, folder)| folder_row(name, folder?)));
    term.data(&(aligned(&rows).join("\n") + "\n"))?;
    Ok(Exit::Ok)
}

fn state(file: &Candidate) -> &'static str {
    match (file.read, file.exists) {
        (true, _) => "read",
        (false, true) if file.role == Role::Older => "not read: `llm config check` says why",
        (false, true) => "not read: another file is named",
        (false, false) => "not there",
    }
}

fn folder_row(name: &str, folder: PathBuf) -> Option<[String; 3]> {
    let state = match (name, folder.is_dir()) {
        // Nothing of ours is kept there yet, so that it is not missed either.
        ("state" | "cache", false) => "not used so far",
        (_, true) => "",
        (_, false) => "not there",
    };
    Some([name.to_owned(), safe::path(&folder), state.to_owned()])
}

fn as_json(file: &Candidate) -> Value {
    json!({ "path": file.path, "role": file.role.as_str(), "exists": file.exists, "read": file.read })
}
