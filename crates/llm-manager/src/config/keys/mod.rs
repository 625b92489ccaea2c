//! Where a key comes from: `api_key = { env = "X" }`, `{ file = "…" }`, `{ cmd = "…" }`, `{ keyring = "…" }`, or the
//! key itself.

mod command;
mod keyring;
mod view;

use std::fmt;
use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use llm_provider::KeySupply;
use llm_types::{Error, ErrorKind, Secret};

use self::command::Command;
pub use self::keyring::{keyring_key, remove_keyring_key, set_keyring_key};
pub use self::view::{KeyForm, KeyState, KeyView};
use super::reader::{Entry, Place, Section, resolve};
use super::tree::Value;
use crate::nearest::any_of;

/// No key is longer.
const MAX_KEY_FILE: u64 = 64 << 10;

/// One entry of `api_key` or `api_keys`.
#[derive(Clone, Debug)]
pub(super) struct KeyEntry {
    origin: KeyOrigin,
    pub(super) place: Place,
}

/// The forms a key may be written in.
#[derive(Clone, Debug)]
enum KeyOrigin {
    /// The key itself.
    Text(Secret),
    /// The name of an environment variable.
    Env(String),
    /// A file that holds the key and nothing else.
    File(PathBuf),
    /// A command that prints it.
    Command(Command),
    /// An entry of the operating system's keyring.
    Keyring(String),
}

impl KeyEntry {
    /// A variable's name, read when the supply is made.
    pub(super) fn variable(name: &str, place: Place) -> Self {
        Self { origin: KeyOrigin::Env(name.to_owned()), place }
    }

    /// Any form of a key.
    pub(super) fn read(entry: Entry, home: Option<&Path>) -> Result<Self, Error> {
        read(entry, home)
    }

    /// Whether the user wrote which variable it is.
    pub(super) fn is_variable(&self) -> bool {
        matches!(self.origin, KeyOrigin::Env(_))
    }
}

impl fmt::Display for KeyEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            KeyOrigin::Text(_) => write!(f, "{}", self.place),
            KeyOrigin::Env(name) => f.write_str(name),
            KeyOrigin::File(path) => write!(f, "{}", path.display()),
            KeyOrigin::Command(command) => f.write_str(&command.name()),
            KeyOrigin::Keyring(name) => f.write_str(&keyring::origin(name)),
        }
    }
}

/// Takes `api_key` or `api_keys` out of a table; `None` when neither stands there. An empty list means: send none.
pub(super) fn take(section: &mut Section, home: Option<&Path>) -> Result<Option<Vec<KeyEntry>>, Error> {
    match (section.take("api_key"), section.take("api_keys")) {
        (Some(_), Some(both)) => Err(both.error("give api_key or api_keys, not both")),
        (Some(one), None) => Ok(Some(vec![read(one, home)?])),
        (None, Some(list)) => {
            list.items()?.into_iter().map(|item| read(item, home)).collect::<Result<_, _>>().map(Some)
        }
        (None, None) => Ok(None),
    }
}

fn read(entry: Entry, home: Option<&Path>) -> Result<KeyEntry, Error> {
    let place = entry.place.clone();
    let origin = match &entry.value {
        Value::Text(text) if text.starts_with('$') => {
            let name = text.trim_matches(['$', '{', '}']);
            return Err(entry.error(format_args!(
                "variables are not filled in here; write {{ env = {name:?} }} for a variable"
            )));
        }
        Value::Text(text) => KeyOrigin::Text(Secret::key(text.as_str()).map_err(|e| entry.error(e))?),
        Value::Table(_) => return from_table(entry, place, home),
        other => {
            return Err(entry.error(format_args!(
                "{} stands here; a key is {{ env = \"VARIABLE\" }}, {{ file = \"PATH\" }}, {{ cmd = \"COMMAND\" }}, {{ keyring = \"NAME\" }} or a text",
                other.describe()
            )));
        }
    };
    Ok(KeyEntry { origin, place })
}

fn from_table(entry: Entry, place: Place, home: Option<&Path>) -> Result<KeyEntry, Error> {
    let full = entry.full.clone();
    let mut table = entry.open()?;
    let mut forms: Vec<Entry> = FORMS.iter().filter_map(|form| table.take(form)).collect();
    table.finish(&FORMS)?;
    let Some(form) = forms.pop() else {
        return Err(place.error(format_args!("{full}: one of {} is wanted here", FORMS.join(", "))));
    };
    if let Some(other) = forms.first() {
        return Err(form.error(format_args!("give {} or {}, not both", other.key, form.key)));
    }
    let origin = match form.key.as_str() {
        "env" => KeyOrigin::Env(variable(&form)?),
        "file" => KeyOrigin::File(resolve(form.filled_text()?, place.folder(), home)),
        "cmd" => KeyOrigin::Command(Command::read(form, home)?),
        _ => {
            let name = form.filled_text()?;
            if name.chars().any(char::is_control) {
                return Err(form.error("a name has no control characters"));
            }
            KeyOrigin::Keyring(name.to_owned())
        }
    };
    Ok(KeyEntry { origin, place })
}

/// The forms of a key that is not the key itself.
const FORMS: [&str; 4] = ["env", "file", "cmd", "keyring"];

fn variable(entry: &Entry) -> Result<String, Error> {
    let name = entry.filled_text()?;
    if name.contains(['=', '\0', ' ', '$']) {
        return Err(entry.error(format_args!("{name:?} cannot name a variable")));
    }
    Ok(name.to_owned())
}

/// What the user should know about how the keys are kept.
pub(super) fn warnings(entries: &[KeyEntry], warnings: &mut Vec<String>) {
    // Many keys of one file are one complaint about the file, and endpoints may share a key.
    let mut tell = |warning: String| {
        if !warnings.contains(&warning) {
            warnings.push(warning);
        }
    };
    for entry in entries {
        let file = match &entry.origin {
            KeyOrigin::Text(_) => {
                tell(format!(
                    "{}: a key stands here as plain text; {{ env = \"VARIABLE\" }} or {{ file = \"PATH\" }} keeps it out \
                     of this file",
                    entry.place
                ));
                entry.place.path()
            }
            KeyOrigin::File(path) => path,
            KeyOrigin::Env(_) | KeyOrigin::Command(_) | KeyOrigin::Keyring(_) => continue,
        };
        if let Some(mode) = open_mode(file) {
            let path = file.display();
            tell(format!(
                "{path}: it holds a key and others can read it (mode {mode:04o}); `chmod 600 {path}` closes it"
            ));
        }
    }
}

/// The mode of a file that others may read or write.
#[cfg(unix)]
fn open_mode(path: &Path) -> Option<u32> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = fs::metadata(path).ok()?.permissions().mode() & 0o777;
    (mode & 0o077 != 0).then_some(mode)
}

#[cfg(not(unix))]
fn open_mode(_: &Path) -> Option<u32> {
    None
}

/// The keys of a provider, read when its first client is made: a file that nobody needs is not opened, and a bad
/// variable hurts only who uses it.
pub(super) fn supply(
    provider: &str,
    entries: Vec<KeyEntry>,
    env: &dyn Fn(&str) -> Option<String>,
) -> KeySupply {
    if entries.is_empty() {
        return KeySupply::none();
    }
    let origins: Vec<String> = entries.iter().map(ToString::to_string).collect();
    let origin = origins.join(", ");
    // The environment belongs to the moment of loading.
    let sources: Vec<Source> = entries
        .into_iter()
        .map(|entry| match entry.origin {
            KeyOrigin::Text(secret) => Source::Ready(Ok(Some(secret))),
            KeyOrigin::Env(name) => Source::Ready(from_env(&name, env)),
            KeyOrigin::File(path) => Source::File(path),
            KeyOrigin::Command(command) => Source::Command(command, Mutex::new(None)),
            KeyOrigin::Keyring(name) => Source::Keyring(name),
        })
        .collect();
    let missing = no_key(provider, &origins);
    KeySupply::lazy(origin, move || {
        let mut keys = Vec::with_capacity(sources.len());
        for source in &sources {
            let key = match source {
                Source::Ready(key) => key.clone()?,
                Source::File(path) => Some(from_file(path)?),
                Source::Command(command, answer) => Some(once(command, answer)?),
                Source::Keyring(name) => Some(keyring_key(name)?),
            };
            keys.extend(key);
        }
        if keys.is_empty() { Err(missing.clone()) } else { Ok(keys) }
    })
}

enum Source {
    Ready(Result<Option<Secret>, Error>),
    File(PathBuf),
    /// A command, and the key that it printed: it may have asked the user for it, so it runs once.
    Command(Command, Mutex<Option<Secret>>),
    Keyring(String),
}

/// The key of a command. One that failed is run again by the next who needs it.
fn once(command: &Command, answer: &Mutex<Option<Secret>>) -> Result<Secret, Error> {
    // Whoever panicked here has left nothing behind.
    let mut answer = answer.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(key) = &*answer {
        return Ok(key.clone());
    }
    Ok(answer.insert(command.run()?).clone())
}

fn no_key(provider: &str, origins: &[String]) -> Error {
    let which = any_of(origins);
    Error::new(ErrorKind::Authentication, format!("no key for {provider}: {which} is not set"))
        .with_hint(format!("set {which}"))
}

/// A key from a variable; unset and empty are the same.
pub(crate) fn from_env(name: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Option<Secret>, Error> {
    let Some(text) = env(name).filter(|text| !text.is_empty()) else { return Ok(None) };
    key_from(name, text).map(Some)
}

/// A key from somewhere that has a name.
pub(crate) fn key_from(origin: &str, text: String) -> Result<Secret, Error> {
    Secret::key(text).map_err(|e| Error::new(ErrorKind::Config, format!("{origin}: {e}")))
}

fn from_file(path: &Path) -> Result<Secret, Error> {
    let text = read_text(path, MAX_KEY_FILE).map_err(|e| {
        let message = format!("the key file {} cannot be read", path.display());
        Error::new(ErrorKind::Authentication, message).with_source(e)
    })?;
    key_from(&path.display().to_string(), text.trim().to_owned())
}

/// A whole text file, unless it is longer than the limit.
pub(super) fn read_text(path: &Path, limit: u64) -> io::Result<String> {
    let mut text = String::new();
    fs::File::open(path)?.take(limit + 1).read_to_string(&mut text)?;
    if text.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is longer than {limit} bytes")));
    }
    Ok(text)
}
