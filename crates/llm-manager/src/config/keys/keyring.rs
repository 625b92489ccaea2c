//! A key in the keyring of the operating system: `{ keyring = "openai" }`, the entry of that name of the service
//! `llm-rs`.
//!
//! Behind the feature `keyring`: the Keychain on macOS, the Credential Manager on Windows, the kernel's key retention
//! service on Linux, whose keys last until the machine restarts. A key in a desktop's Secret Service is read with
//! `{ cmd = "secret-tool lookup service llm-rs username openai" }`.

use llm_types::{Error, ErrorKind, Secret};

/// The key of this name.
///
/// # Errors
/// `Authentication` when there is none or the keyring cannot be read; `Config` when this build has no keyring.
pub fn keyring_key(name: &str) -> Result<Secret, Error> {
    let text = store::read(name)?;
    super::key_from(&origin(name), text)
}

/// Puts a key into the keyring under this name, in place of an older one.
///
/// # Errors
/// `Authentication` when the keyring cannot be written; `Config` when this build has no keyring.
pub fn set_keyring_key(name: &str, key: &Secret) -> Result<(), Error> {
    store::write(name, key.expose())
}

/// Removes the key of this name.
///
/// # Errors
/// As [`keyring_key`].
pub fn remove_keyring_key(name: &str) -> Result<(), Error> {
    store::remove(name)
}

/// What the user calls it.
pub(super) fn origin(name: &str) -> String {
    format!("the keyring's `{name}`")
}

#[cfg(all(feature = "keyring", any(target_os = "linux", target_os = "macos", target_os = "windows")))]
mod store {
    use std::sync::Arc;

    use keyring_core::{CredentialStore, Entry};

    use super::{Error, ErrorKind, origin};

    /// The service that our entries belong to.
    const SERVICE: &str = "llm-rs";

    pub(super) fn read(name: &str) -> Result<String, Error> {
        entry(name)?.get_password().map_err(|e| failed(name, "cannot be read", e))
    }

    pub(super) fn write(name: &str, text: &str) -> Result<(), Error> {
        entry(name)?.set_password(text).map_err(|e| failed(name, "cannot be written", e))
    }

    pub(super) fn remove(name: &str) -> Result<(), Error> {
        entry(name)?.delete_credential().map_err(|e| failed(name, "cannot be removed", e))
    }

    fn entry(name: &str) -> Result<Entry, Error> {
        let store = native().map_err(|e| failed(name, "cannot be reached", e))?;
        store.build(SERVICE, name, None).map_err(|e| failed(name, "cannot be named", e))
    }

    fn native() -> keyring_core::Result<Arc<CredentialStore>> {
        #[cfg(target_os = "linux")]
        let store = linux_keyutils_keyring_store::Store::new()?;
        #[cfg(target_os = "macos")]
        let store = apple_native_keyring_store::keychain::Store::new()?;
        #[cfg(target_os = "windows")]
        let store = windows_native_keyring_store::Store::new()?;
        Ok(store)
    }

    /// Neither the store's own words nor its debug output may hold the key, so only some faults are repeated.
    fn failed(name: &str, what: &str, error: keyring_core::Error) -> Error {
        let why = match &error {
            keyring_core::Error::NoEntry => ": there is no such entry".to_owned(),
            keyring_core::Error::PlatformFailure(cause) | keyring_core::Error::NoStorageAccess(cause) => {
                format!(": {cause}")
            }
            _ => String::new(),
        };
        Error::new(ErrorKind::Authentication, format!("{} {what}{why}", origin(name))).with_hint(format!(
            "store it with `llm keys set`, or use {{ env = \"VARIABLE\" }} in place of {name}"
        ))
    }
}

#[cfg(not(all(feature = "keyring", any(target_os = "linux", target_os = "macos", target_os = "windows"))))]
mod store {
    use super::{Error, ErrorKind, origin};

    pub(super) fn read(name: &str) -> Result<String, Error> {
        Err(none(name))
    }

    pub(super) fn write(name: &str, _: &str) -> Result<(), Error> {
        Err(none(name))
    }

    pub(super) fn remove(name: &str) -> Result<(), Error> {
        Err(none(name))
    }

    fn none(name: &str) -> Error {
        Error::new(ErrorKind::Config, format!("{} is out of reach: this build has no keyring", origin(name)))
            .with_hint("build it with the feature `keyring`, or use { env = \"VARIABLE\" }, { file = \"PATH\" } or { cmd = \"COMMAND\" }")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_keyring_or_entry_is_told_and_a_stored_key_comes_back() {
        let name = format!("test-{}", std::process::id());
        let error = keyring_key(&name).unwrap_err();
        assert!(error.message().starts_with(&format!("the keyring's `{name}` ")), "{error}");
        // A machine without a keyring refuses this; one that has one gives back what was put there.
        if set_keyring_key(&name, &Secret::new("sk-stored")).is_ok() {
            assert_eq!(keyring_key(&name).unwrap().expose(), "sk-stored");
            remove_keyring_key(&name).unwrap();
            keyring_key(&name).unwrap_err();
        }
    }
}
