//! Everything that is wrong with a file, and not only the first of it.
//!
//! A reader stops at what it cannot read. Here that is taken out of the document, which is read again without it, until
//! nothing more is wrong; a complaint that only tells of what was taken out is left unsaid.

use llm_types::Error;

use super::files;
use super::load::{Loaded, load};
use super::reader::Source;
use super::schema::Config;
use super::search::search;
use super::seeds::SeedKind;
use super::sources::Sources;
use super::tree::{Node, Value};

/// The most that is said about one file.
const MOST: usize = 100;

/// Like [`load()`], but for the errors: all that the files have, each with its place, the first one first.
///
/// # Errors
/// Those of [`load()`]; never an empty list.
pub fn load_or_all_errors(sources: &Sources<'_>) -> Result<Loaded, Vec<Error>> {
    let first = match load(sources) {
        Ok(loaded) => return Ok(loaded),
        Err(error) => error,
    };
    let read = search(sources).unwrap_or_default().into_iter().filter(|file| file.read);
    let mut errors: Vec<Error> = read
        .filter_map(|file| files::found(&file.path).ok().flatten())
        .flat_map(|source| in_file(&source, sources))
        .collect();
    if !errors.iter().any(|error| error.message() == first.message()) {
        errors.insert(0, first);
    }
    Err(errors)
}

fn in_file(source: &Source, sources: &Sources<'_>) -> Vec<Error> {
    let mut node = match source.tree() {
        Ok(node) => node,
        Err(error) => return vec![error],
    };
    if SeedKind::detect(&source.section(node.clone())).is_some() {
        return Vec::new();
    }
    let prefix = format!("{}:", source.path().display());
    let mut errors: Vec<Error> = Vec::new();
    // The tables that something was taken out of.
    let mut torn: Vec<usize> = Vec::new();
    for _ in 0..MOST {
        let Err(error) = Config::of(source.section(node.clone()), sources.home.as_deref()) else { break };
        let line =
            error.message().strip_prefix(&prefix).and_then(|rest| rest.split(':').next()?.parse().ok());
        let line: usize = match line {
            Some(line) => line,
            None => {
                errors.push(error);
                break;
            }
        };
        let follows = torn.contains(&line);
        if !follows {
            errors.push(error.clone());
        }
        // What is not whole any more goes as a whole.
        let message = if follows { "" } else { error.message() };
        if !take_out(&mut node, line, message, &mut torn) {
            break;
        }
    }
    errors
}

/// Takes out what stands on this line and is named in the message, the innermost first; else the outermost that stands
/// there. Notes the lines of the tables around it.
fn take_out(node: &mut Node, line: usize, message: &str, around: &mut Vec<usize>) -> bool {
    inner(node, line, message, around) || outer(node, line, around)
}

/// Takes out the innermost member on this line whose key is named in the message.
fn inner(node: &mut Node, line: usize, message: &str, around: &mut Vec<usize>) -> bool {
    match &mut node.value {
        Value::Table(members) => {
            for member in members.iter_mut() {
                if inner(&mut member.node, line, message, around) {
                    around.push(member.line);
                    return true;
                }
            }
            let named = |key: &str| !key.is_empty() && message.contains(key);
            let here = members.iter().position(|member| member.line == line && named(&member.key));
            here.map(|at| members.remove(at)).is_some()
        }
        Value::List(items) => items.iter_mut().any(|item| {
            let found = inner(item, line, message, around);
            if found {
                around.push(item.line);
            }
            found
        }),
        _ => false,
    }
}

/// Takes out the outermost member or item on this line.
fn outer(node: &mut Node, line: usize, around: &mut Vec<usize>) -> bool {
    match &mut node.value {
        Value::Table(members) => {
            if let Some(at) = members.iter().position(|member| member.line == line) {
                members.remove(at);
                return true;
            }
            let found = members
                .iter_mut()
                .find_map(|member| outer(&mut member.node, line, around).then_some(member.line));
            around.extend(found);
            found.is_some()
        }
        Value::List(items) => {
            if let Some(at) = items.iter().position(|item| item.line == line) {
                items.remove(at);
                return true;
            }
            let found = items.iter_mut().find_map(|item| outer(item, line, around).then_some(item.line));
            around.extend(found);
            found.is_some()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_wrong_is_said_once_and_what_follows_from_it_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("llm.toml");
        let text = r#"
max_retrys = 1
deadline_secs = "soon"
default = ""
[aliases]
a = 1
[providers.one]
base_url = "no address"
timeout = 5
[providers.two]
endpoints = [{ base_url = "http://127.0.0.1:1/v1", weight = 0 }]
[providers.two.models.m]
max_retries = "x"
[pools.p]
strategy = "best"
members = ["two/m"]
[chains.c]
[limits.l]
"#;
        std::fs::write(&path, text).unwrap();
        let none = |_: &str| None;
        let sources = Sources { config: Some(path.clone()), ..Sources::new(&none, folder.path()) };
        let errors = load_or_all_errors(&sources).unwrap_err();
        let prefix = format!("{}:", path.display());
        let mut lines: Vec<usize> = errors
            .iter()
            .map(|e| e.message().strip_prefix(&prefix).unwrap().split(':').next().unwrap().parse().unwrap())
            .collect();
        lines.sort_unstable();
        assert_eq!(lines, [2, 3, 4, 6, 8, 9, 11, 13, 15, 17, 18], "{errors:#?}");
        std::fs::write(&path, "default = 'mock/echo'\n").unwrap();
        load_or_all_errors(&sources).unwrap();
        std::fs::write(&path, "a = [\n").unwrap();
        assert_eq!(load_or_all_errors(&sources).unwrap_err().len(), 1);
    }
}
