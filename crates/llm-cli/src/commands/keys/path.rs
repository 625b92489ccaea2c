//! `llm keys path`: where keys are kept.

use std::path::Path;
use std::sync::Arc;

use serde_json::json;

use crate::args::KeysPath;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::term::{Term, safe};
use crate::{folders, session};

/// Prints the folder of the keys that `set` keeps, and the file that points to them.
///
/// # Errors
/// There is no home; the standard output cannot be written.
pub(crate) fn run(args: &KeysPath, term: &Arc<Term>) -> Result<Exit, Failure> {
    let config = session::own_file(None)?;
    let folder = folders::keys().ok_or_else(folders::homeless)?;
    let kept = kept(&folder);
    if args.json {
        term.json(&json!({ "v": 1, "folder": folder, "config": config, "kept": kept }))?;
    } else {
        term.data(&format!("{}\n", safe::path(&folder)))?;
        let names = if kept.is_empty() {
            "no key is kept there".to_owned()
        } else {
            format!("kept there: {}", kept.join(", "))
        };
        term.note(&format!("{}; {} says which keys are used", safe::line(&names), safe::path(&config)));
    }
    Ok(Exit::Ok)
}

/// The providers that have a key in the folder.
fn kept(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.retain(|name| !name.starts_with('.') && !name.ends_with(".tmp"));
    names.sort_unstable();
    names
}
