//! A key as it may be shown: how it is given, where, and whether it is there.

use std::fmt;
use std::path::PathBuf;

use llm_types::Secret;

use super::{KeyEntry, KeyOrigin, from_env, from_file};

/// One key. It holds no more of the key itself than its last characters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyView {
    /// How it is given.
    pub form: KeyForm,
    /// The variable, the file, the command, the keyring's entry or the flag; for a key that stands in a configuration file
    /// its place.
    pub name: String,
    /// Where the configuration names it; `None` for a variable that needs no naming, and for a flag.
    pub origin: Option<String>,
    /// Whether it is there.
    pub state: KeyState,
}

/// How a key is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyForm {
    /// On the command line.
    Flag,
    /// In an environment variable.
    Variable,
    /// In a file of its own.
    File,
    /// Printed by a command.
    Command,
    /// In the operating system's keyring.
    Keyring,
    /// In the configuration file itself.
    Text,
}

impl KeyForm {
    /// The form in one word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Flag => "flag",
            Self::Variable => "variable",
            Self::File => "file",
            Self::Command => "command",
            Self::Keyring => "keyring",
            Self::Text => "text",
        }
    }
}

/// Whether a key is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It is; these are its last four characters behind an ellipsis, or the ellipsis alone for a short one.
    Set(String),
    /// It is not.
    Missing,
    /// Nobody looked: a command or a keyring may ask the user something.
    Unread,
    /// It cannot be used; says why, without showing it.
    Broken(String),
}

impl KeyState {
    pub(in crate::config) fn of(key: Result<Option<Secret>, impl fmt::Display>) -> Self {
        match key {
            Ok(Some(key)) => Self::Set(key.hint()),
            Ok(None) => Self::Missing,
            Err(error) => Self::Broken(error.to_string()),
        }
    }
}

impl KeyView {
    pub(in crate::config) fn of(entry: &KeyEntry, env: &dyn Fn(&str) -> Option<String>) -> Self {
        let origin = Some(entry.place.to_string());
        let (form, state) = match &entry.origin {
            KeyOrigin::Text(key) => (KeyForm::Text, KeyState::Set(key.hint())),
            KeyOrigin::Env(name) => {
                (KeyForm::Variable, KeyState::of(from_env(name, env).map_err(|e| e.chain())))
            }
            KeyOrigin::File(_) => (KeyForm::File, KeyState::Unread),
            KeyOrigin::Command(_) => (KeyForm::Command, KeyState::Unread),
            KeyOrigin::Keyring(_) => (KeyForm::Keyring, KeyState::Unread),
        };
        Self { form, name: entry.to_string(), origin, state }
    }

    /// The same key as it is now: a file is read when it is asked for, and not before.
    pub(in crate::config) fn read(&self) -> Self {
        if self.form != KeyForm::File {
            return self.clone();
        }
        let path = PathBuf::from(&self.name);
        let state = match path.try_exists() {
            Ok(false) => KeyState::Missing,
            _ => KeyState::of(from_file(&path).map(Some).map_err(|e| e.chain())),
        };
        Self { state, ..self.clone() }
    }
}
