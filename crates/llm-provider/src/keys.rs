//! The keys of a provider, and where they come from.

use std::fmt;
use std::sync::Arc;

use llm_types::{Error, ErrorKind, Secret};

type Read = dyn Fn() -> Result<Vec<Secret>, Error> + Send + Sync;

/// Keys that are read when the first client needs them, and the words for where they come from.
#[derive(Clone)]
pub struct KeySupply {
    origin: Option<String>,
    ambient: bool,
    identity: Option<String>,
    read: Arc<Read>,
}

impl KeySupply {
    /// No key.
    #[must_use]
    pub fn none() -> Self {
        Self { origin: None, ambient: false, identity: None, read: Arc::new(|| Ok(Vec::new())) }
    }

    /// Keys at hand. The origin is shown to the user: a variable's name, a flag, a place in a file.
    #[must_use]
    pub fn fixed(origin: impl Into<String>, keys: Vec<Secret>) -> Self {
        Self::lazy(origin, move || Ok(keys.clone()))
    }

    /// A vendor's own variable. It is looked at when a client is made, so that a broken one hurts only who uses it.
    #[must_use]
    pub fn from_variable(name: &str, text: String) -> Self {
        let key = Secret::key(text).map_err(|e| Error::new(ErrorKind::Config, format!("{name}: {e}")));
        Self { ambient: true, ..Self::lazy(name, move || Ok(vec![key.clone()?])) }
    }

    /// Says where the keys come from besides, for whoever asks: these variables hold others.
    #[must_use]
    pub fn before(self, others: &[&str]) -> Self {
        let Some(origin) = self.origin.clone().filter(|_| !others.is_empty()) else { return self };
        let verb = if others.len() == 1 { "holds" } else { "hold" };
        let told = format!("{origin}, which goes before {}: that {verb} another", others.join(" and "));
        Self { identity: self.identity.or(Some(origin)), origin: Some(told), ..self }
    }

    /// Keys that are read, or found to be missing, when a client is made.
    pub fn lazy(
        origin: impl Into<String>,
        read: impl Fn() -> Result<Vec<Secret>, Error> + Send + Sync + 'static,
    ) -> Self {
        Self { origin: Some(origin.into()), ambient: false, identity: None, read: Arc::new(read) }
    }

    /// What tells these keys from the provider's others, now and after a reload. Clients of one provider whose keys are of
    /// one identity share them, so it must not stand for different addresses. Default: the origin.
    #[must_use]
    pub fn with_identity(self, identity: impl Into<String>) -> Self {
        Self { identity: Some(identity.into()), ..self }
    }

    /// What tells these keys from others.
    pub(crate) fn identity(&self) -> Option<&str> {
        self.identity.as_deref().or(self.origin.as_deref())
    }

    /// Whether the key lies in a vendor's own variable, set for any tool and not for this call.
    pub(crate) fn is_ambient(&self) -> bool {
        self.ambient
    }

    /// Where the keys come from; `None` when there are none.
    #[must_use]
    pub fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// The keys.
    ///
    /// # Errors
    /// Whatever reading them met: a missing variable, a file that cannot be opened, a character no header may carry.
    pub fn read(&self) -> Result<Vec<Secret>, Error> {
        (self.read)()
    }
}

impl Default for KeySupply {
    fn default() -> Self {
        Self::none()
    }
}

impl fmt::Debug for KeySupply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeySupply").field(&self.origin).finish()
    }
}
