//! `llm init`: a configuration file that explains itself.

use std::sync::Arc;

use llm_manager::config::{create_new, user_config};
use llm_provider::catalogue;

use crate::args::Init;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::folders;
use crate::session;
use crate::term::{Term, safe};

/// The file, but for the line that depends on the keys at hand.
const TEMPLATE: &str = include_str!("template.toml");

/// Where that line goes.
const DEFAULT: &str = "@DEFAULT@";

/// Writes the file, or prints it. Nothing that is there is ever changed.
///
/// # Errors
/// [`Exit::Conflict`] when there is a file already, [`Exit::File`] when it cannot be written.
pub(crate) fn run(args: &Init, term: &Arc<Term>) -> Result<Exit, Failure> {
    let text = text(&folders::variable);
    let path = match &args.path {
        Some(path) => path.clone(),
        None => session::own_file(None)?,
    };
    session::toml_only(&path, "the file")?;
    if args.dry_run {
        term.data(&text)?;
        return Ok(Exit::Ok);
    }
    create_new(&path, &text).map_err(|error| {
        let failure = session::file_failure(error);
        match failure.exit {
            Exit::Conflict => {
                let message = format!("{} is there already, and stays as it is", path.display());
                Failure::own(Exit::Conflict, "conflict", message).hint(
                    "`llm config edit` opens it; --path FILE writes another; --dry-run prints the new one",
                )
            }
            _ => failure,
        }
    })?;
    term.note(&format!("{} is written, open to you alone", safe::path(&path)));
    let keys = keys(&folders::variable);
    match (implied(&keys), keys.first()) {
        (Some((key, model)), _) => term.note(&format!("default: {model}, since {} is set", key.variable)),
        (None, Some(key)) => {
            term.note(&format!(
                "{} is set: name one of {}'s models with `llm set-model`",
                key.variable, key.provider
            ));
        }
        (None, None) => {
            term.note("no key is set: `llm keys set PROVIDER` keeps one, `llm -m mock/echo hi` needs none");
        }
    }
    let own = user_config(&folders::variable, std::env::home_dir().as_deref());
    let project = path.file_name().is_some_and(|name| name == "llm.toml");
    if args.path.is_some() && own.as_ref() != Some(&path) && !project {
        term.note(&format!("it is read when it is named: --config {}", safe::path(&path)));
    }
    Ok(Exit::Ok)
}

/// A key in a vendor's own variable.
struct Key {
    provider: &'static str,
    variable: &'static str,
    model: Option<&'static str>,
}

fn keys(env: &dyn Fn(&str) -> Option<String>) -> Vec<Key> {
    let rows = catalogue::all().iter();
    rows.filter_map(|row| {
        let (variable, _) = row.key_from(env)?;
        Some(Key { provider: row.name, variable, model: row.default_model })
    })
    .collect()
}

/// The default that the keys at hand imply: the first one's of which we know a model.
fn implied(keys: &[Key]) -> Option<(&Key, String)> {
    keys.iter().find_map(|key| Some((key, format!("{}/{}", key.provider, key.model?))))
}

/// The file's text.
pub(crate) fn text(env: &dyn Fn(&str) -> Option<String>) -> String {
    let keys = keys(env);
    let mut lines = Vec::new();
    match implied(&keys) {
        Some((first, model)) => {
            lines.push(format!("# {} is set, so that this one can be used.", first.variable));
            lines.push(format!("default = \"{model}\""));
            let others: Vec<String> = keys
                .iter()
                .filter(|key| key.provider != first.provider)
                .map(|key| format!("{} ({})", key.variable, key.provider))
                .collect();
            if !others.is_empty() {
                lines.push(format!("# Keys for others are set too: {}.", others.join(", ")));
            }
        }
        None => lines.push("#default = \"local/qwen3-8b\"".to_owned()),
    }
    TEMPLATE.replacen(DEFAULT, &lines.join("\n"), 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_key_names_the_default_and_the_others_are_told() {
        let rows: Vec<_> = catalogue::all().iter().filter(|row| row.default_model.is_some()).collect();
        let [first, second, ..] = rows[..] else { panic!("two vendors have default models") };
        let set = [first.key_env[0], second.key_env[0]];
        let env = |name: &str| set.contains(&name).then(|| "sk-canary-0123456789".to_owned());
        let text = text(&env);
        let default = format!("\ndefault = \"{}/{}\"\n", first.name, first.default_model.unwrap());
        assert!(text.contains(&default), "{text}");
        assert!(text.contains(&format!("{} ({})", second.key_env[0], second.name)), "{text}");
        assert!(!text.contains("canary") && !text.contains(DEFAULT));
    }
}
