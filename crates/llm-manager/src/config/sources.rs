//! What configuration is read from.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use llm_provider::Shared;
use llm_types::Error;

use crate::Budgets;

/// Starts a server on the loopback and gives its base URL.
pub type StartServer = dyn Fn() -> Result<String, Error> + Send + Sync;

/// Everything that configuration is read from. Nothing else is looked at: neither the environment of the process nor its
/// working directory.
#[derive(Clone)]
pub struct Sources<'a> {
    /// A file to read in place of the project's and the user's (`--config`).
    pub config: Option<PathBuf>,
    /// An address for the model that is asked for (`--base-url`).
    pub base_url: Option<String>,
    /// A key for the model that is asked for (`--api-key`).
    pub api_key: Option<String>,
    /// Settings above all others (`--set key=value`), later ones winning.
    pub sets: Vec<(String, String)>,
    /// Settings of the caller's own below everything that the user says.
    pub defaults: Vec<(String, String)>,
    /// The environment.
    pub env: &'a dyn Fn(&str) -> Option<String>,
    /// Where the search for a project's file begins.
    pub cwd: PathBuf,
    /// The user's home.
    pub home: Option<PathBuf>,
    /// Let a project's file say where requests and keys go.
    pub trust_project: bool,
    /// Starts the server behind the `mock` provider; without it there is no such provider. Called once, when the first
    /// client of it is made.
    pub loopback: Option<Arc<StartServer>>,
    /// The connections and the state of endpoints, keys and limits of an earlier load ([`Loaded::shared`](super::Loaded::shared)), to go on with.
    pub shared: Option<Arc<Shared>>,
    /// The budgets of an earlier load ([`Loaded::budgets`](super::Loaded::budgets)), with what was spent.
    pub budgets: Option<Arc<Budgets>>,
}

impl<'a> Sources<'a> {
    /// The environment and the working directory, nothing else.
    pub fn new(env: &'a dyn Fn(&str) -> Option<String>, cwd: impl Into<PathBuf>) -> Self {
        Self {
            config: None,
            base_url: None,
            api_key: None,
            sets: Vec::new(),
            defaults: Vec::new(),
            env,
            cwd: cwd.into(),
            home: None,
            trust_project: false,
            loopback: None,
            shared: None,
            budgets: None,
        }
    }
}

impl fmt::Debug for Sources<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources")
            .field("config", &self.config)
            .field("sets", &self.sets)
            .field("defaults", &self.defaults)
            .field("cwd", &self.cwd)
            .field("home", &self.home)
            .field("trust_project", &self.trust_project)
            .finish_non_exhaustive()
    }
}
