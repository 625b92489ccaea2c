//! `llm keys set` and `llm keys rm`: a key in a file of its own, and the line that points to it.

use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use llm_manager::config::{Kept, with_key_line, without_key_line, write};
#[cfg(feature = "keyring")]
use llm_manager::config::{keyring_key, remove_keyring_key, set_keyring_key};
use llm_types::Secret;

use super::typed;
use crate::args::{KeysRm, KeysSet, Model};
use crate::commands::init;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::term::{Term, safe};
use crate::{folders, session};

/// No key is longer.
const MOST: u64 = 64 << 10;

/// The places of one provider's key.
struct Places {
    /// The user's own configuration file.
    config: PathBuf,
    /// The file of the key.
    key: PathBuf,
    /// How the configuration calls it: from its own folder.
    relative: String,
}

impl Places {
    fn of(provider: &str) -> Result<Self, Failure> {
        let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if provider.starts_with('.') || !provider.chars().all(fine) {
            let message = format!("`{provider}` cannot be the name of a file");
            return Err(Failure::usage(message)
                .hint("write api_key = { file = \"…\" } into the configuration by hand"));
        }
        let folder = folders::config().ok_or_else(folders::homeless)?;
        let config = llm_manager::config::user_config(&folders::variable, std::env::home_dir().as_deref())
            .ok_or_else(folders::homeless)?;
        let relative = format!("keys/{provider}");
        Ok(Self { config, key: folder.join("keys").join(provider), relative })
    }

    /// The configuration's text, or what `llm init` would write.
    fn text(&self) -> Result<String, Failure> {
        match std::fs::read_to_string(&self.config) {
            Ok(text) => Ok(text),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(init::text(&folders::variable)),
            Err(e) => Err(Failure::file("read", &self.config, &e)),
        }
    }
}

/// Keeps a key. The configuration is looked at first, so that no key lies about that nothing points to.
///
/// # Errors
/// [`Exit::NotFound`] for a provider nobody knows, [`Exit::Conflict`] when the configuration names another key,
/// [`Exit::Usage`] for a text that cannot be a key, [`Exit::File`] when a file cannot be written.
pub(crate) fn set(args: &KeysSet, term: &Arc<Term>) -> Result<Exit, Failure> {
    let places = Places::of(&args.provider)?;
    let config = Some(places.config.clone()).filter(|config| config.exists());
    let loaded = session::configuration(Some(&Model { config, ..Model::default() }), &[])?;
    loaded.manager.require_provider(&args.provider).map_err(Failure::from)?;
    session::toml_only(&places.config, "the line that points to the key")
        .map_err(|failure| failure.hint(by_hand(kept(args, &places))))?;
    let text = places.text()?;
    let kept = kept(args, &places);
    let changed = with_key_line(&text, &args.provider, kept).map_err(|error| {
        let conflict = error.message().contains("another key");
        let failure = Failure::from(error);
        match conflict {
            true => failure.exits(Exit::Conflict).hint(by_hand(kept)),
            false => failure,
        }
    })?;
    let key = read(&args.provider, term)?;
    let place = keep(kept, &places, &key)?;
    if changed != text || !places.config.exists() {
        write(&places.config, &changed).map_err(session::file_failure)?;
    }
    term.note(&format!(
        "the key {} of {} is kept in {}",
        key.hint(),
        safe::line(&args.provider),
        safe::line(&place)
    ));
    // A variable goes before a stored key.
    let model = Model { config: Some(places.config.clone()), ..Model::default() };
    let loaded = session::configuration(Some(&model), &[])?;
    session::warn(&loaded.warnings, term);
    Ok(Exit::Ok)
}

/// Where the key shall be kept: in a file, unless the keyring was asked for.
#[cfg(not(feature = "keyring"))]
fn kept<'a>(_: &'a KeysSet, places: &'a Places) -> Kept<'a> {
    Kept::File(&places.relative)
}

/// Where the key shall be kept: in a file, unless the keyring was asked for.
#[cfg(feature = "keyring")]
fn kept<'a>(args: &'a KeysSet, places: &'a Places) -> Kept<'a> {
    if args.keyring { Kept::Keyring(&args.provider) } else { Kept::File(&places.relative) }
}

/// Puts the key there, and says where that is.
fn keep(kept: Kept<'_>, places: &Places, key: &Secret) -> Result<String, Failure> {
    #[cfg(feature = "keyring")]
    if let Kept::Keyring(name) = kept {
        set_keyring_key(name, key).map_err(Failure::from)?;
        return Ok("the keyring".to_owned());
    }
    debug_assert!(matches!(kept, Kept::File(_)), "without the feature nothing else is asked for");
    write(&places.key, &format!("{}\n", key.expose())).map_err(session::file_failure)?;
    Ok(places.key.display().to_string())
}

fn by_hand(kept: Kept<'_>) -> String {
    format!("`llm config edit` opens it; the line would be {}", kept.line())
}

/// The key, from a pipe or typed unseen.
fn read(provider: &str, term: &Term) -> Result<Secret, Failure> {
    let stdin = std::io::stdin();
    let text = if stdin.is_terminal() {
        typed::unseen(&format!("the key of {} (it is not shown): ", safe::line(provider)), term)?
    } else {
        let mut text = String::new();
        let read = stdin.lock().take(MOST + 1).read_to_string(&mut text);
        read.map_err(|e| {
            Failure::own(Exit::File, "file", format!("cannot read stdin: {}", crate::failure::reason(&e)))
        })?;
        if text.len() as u64 > MOST {
            return Err(Failure::usage(format!(
                "what came on stdin is longer than {MOST} bytes, which no key is"
            )));
        }
        text
    };
    Secret::key(text.trim()).map_err(|e| Failure::usage(format!("this cannot be a key: {e}")))
}

/// Removes a kept key and the line that points to it.
///
/// # Errors
/// [`Exit::NotFound`] when none is kept, [`Exit::Usage`] when the line cannot be taken out by itself, [`Exit::File`].
pub(crate) fn rm(args: &KeysRm, term: &Arc<Term>) -> Result<Exit, Failure> {
    let places = Places::of(&args.provider)?;
    let text = match std::fs::read_to_string(&places.config) {
        Ok(text) => Some(text),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => None,
        Err(e) => return Err(Failure::file("read", &places.config, &e)),
    };
    let mut removed = remove(&places.key)?;
    let ways = [Kept::File(&places.relative), Kept::Keyring(&args.provider)];
    let line =
        text.and_then(|text| ways.iter().find_map(|way| without_key_line(&text, &args.provider, *way)));
    #[cfg(feature = "keyring")]
    if keyring_key(&args.provider).is_ok() {
        remove_keyring_key(&args.provider).map_err(Failure::from)?;
        removed = true;
    }
    if let Some(changed) = &line {
        write(&places.config, changed).map_err(session::file_failure)?;
        removed = true;
    }
    if !removed {
        let message = format!("no key of `{}` is kept", args.provider);
        return Err(Failure::own(Exit::NotFound, "not_found", message)
            .hint("`llm keys list` shows where keys come from"));
    }
    term.note(&format!("the key of {} is removed", safe::line(&args.provider)));
    Ok(Exit::Ok)
}

fn remove(path: &Path) -> Result<bool, Failure> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(e) => Err(Failure::file("remove", path, &e)),
    }
}
