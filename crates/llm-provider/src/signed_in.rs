//! An account that signs in: found on this machine, or named by the user.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use llm_client::login::TokenSource;
use llm_client::transport::Transport;
use llm_types::Error;

use crate::spec::{ProviderSpec, SignIn};

/// What is known of an account before it is needed, and its tokens from then on.
#[derive(Debug, Default)]
#[cfg_attr(not(feature = "vertex"), expect(dead_code, reason = "a build that cannot sign in reads no file"))]
pub(crate) struct SignedIn {
    /// The credentials file that was named.
    file: Option<PathBuf>,
    /// Where it is named, for people.
    origin: Option<String>,
    /// The user named it for this provider, wherever that is.
    chosen: bool,
    /// Where a user's own sign-in may have left one.
    usual: Vec<PathBuf>,
    tokens: Mutex<Option<Arc<dyn TokenSource>>>,
}

impl SignedIn {
    /// What the environment of this process tells.
    pub(crate) fn of_process(spec: &ProviderSpec) -> Self {
        let env = |name: &str| std::env::var(name).ok();
        spec.sign_in.as_ref().map_or_else(Self::default, |sign_in| Self::from_env(sign_in, &env))
    }

    /// What the environment tells.
    pub(crate) fn from_env(sign_in: &SignIn, env: &dyn Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| env(name).filter(|text| !text.trim().is_empty());
        let file = set(sign_in.file_env);
        let below = |name: &str, rest: &str| Some(PathBuf::from(set(name)?).join(rest));
        let usual = [below("APPDATA", sign_in.app_data_file), below("HOME", sign_in.home_file)];
        Self {
            origin: file.is_some().then(|| sign_in.file_env.to_owned()),
            file: file.map(PathBuf::from),
            usual: usual.into_iter().flatten().collect(),
            ..Self::default()
        }
    }

    /// A file that the user chose.
    pub(crate) fn from_file(file: PathBuf) -> Self {
        let origin = Some(file.display().to_string());
        Self { file: Some(file), origin, chosen: true, ..Self::default() }
    }

    pub(crate) fn origin(&self) -> Option<&str> {
        self.origin.as_deref()
    }

    /// Whether its tokens may go to this provider's address though that is not the vendor's own.
    pub(crate) fn is_chosen(&self) -> bool {
        self.chosen
    }

    /// Its tokens, which all models of the provider share.
    ///
    /// # Errors
    /// Kind `Config` for a file that cannot be read or used, and in a build that cannot sign in.
    pub(crate) fn tokens(
        &self,
        sign_in: &SignIn,
        transport: Transport,
    ) -> Result<Arc<dyn TokenSource>, Error> {
        let mut tokens = self.tokens.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(tokens) = &*tokens {
            return Ok(Arc::clone(tokens));
        }
        let made = self.begin(sign_in, transport)?;
        *tokens = Some(Arc::clone(&made));
        Ok(made)
    }

    #[cfg(feature = "vertex")]
    fn begin(&self, sign_in: &SignIn, transport: Transport) -> Result<Arc<dyn TokenSource>, Error> {
        use llm_client::login::{Grant, Session};
        use llm_types::ErrorKind;

        let file = self.file.as_ref().or_else(|| self.usual.iter().find(|file| file.is_file()));
        let grant = match file {
            Some(file) => {
                let place = file.display();
                let json = std::fs::read_to_string(file).map_err(|e| {
                    Error::new(ErrorKind::Config, format!("the credentials {place} cannot be read"))
                        .with_source(e)
                })?;
                Grant::from_json(&json, &sign_in.addresses).map_err(|e| {
                    let message = format!("{place}: {}", e.message());
                    e.with_message(message)
                })?
            }
            // A machine of the vendor's own has an account too.
            None => Grant::machine(&sign_in.addresses),
        };
        Ok(Arc::new(Session::new(grant, transport)?))
    }

    #[cfg(not(feature = "vertex"))]
    #[expect(clippy::unused_self, reason = "the signature is the other build's")]
    fn begin(&self, _: &SignIn, _: Transport) -> Result<Arc<dyn TokenSource>, Error> {
        let message = "this build cannot sign in for tokens (feature vertex); give it a key";
        Err(Error::new(llm_types::ErrorKind::Config, message))
    }
}
