//! A home, a project and an environment of a test's own, and clients that send nothing.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use llm_client::{Call, ChatStream, ModelClient};
use llm_manager::Budgets;
use llm_manager::config::{Loaded, Sources, load};
use llm_provider::{ModelConfig, Provider, Shared};
use llm_types::{Capabilities, ChatRequest, ChatResponse, Error, ErrorKind};

/// A machine with one user: `home/.config/llm-rs/config.toml`, and a project in `home/project`.
pub(crate) struct Lab {
    folder: tempfile::TempDir,
    env: HashMap<String, String>,
    pub(crate) args: Args,
}

/// The command line.
#[derive(Default)]
pub(crate) struct Args {
    pub(crate) config: Option<PathBuf>,
    pub(crate) base_url: Option<String>,
    pub(crate) api_key: Option<String>,
    pub(crate) sets: Vec<(String, String)>,
    pub(crate) trust_project: bool,
    pub(crate) mock: bool,
    pub(crate) shared: Option<Arc<Shared>>,
    pub(crate) budgets: Option<Arc<Budgets>>,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("home/project/deep")).unwrap();
        Self { folder, env: HashMap::new(), args: Args::default() }
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    pub(crate) fn user_file(&self) -> PathBuf {
        self.home().join(".config/llm-rs/config.toml")
    }

    pub(crate) fn project_file(&self) -> PathBuf {
        self.home().join("project/llm.toml")
    }

    pub(crate) fn user(self, text: &str) -> Self {
        self.write(&self.user_file(), text);
        self
    }

    pub(crate) fn project(self, text: &str) -> Self {
        self.write(&self.project_file(), text);
        self
    }

    pub(crate) fn write(&self, path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
        mode(path, 0o600);
    }

    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.env.insert(name.to_owned(), value.to_owned());
        self
    }

    pub(crate) fn load(&self) -> Result<Loaded, Error> {
        let env = |name: &str| self.env.get(name).cloned();
        let mut sources = Sources::new(&env, self.home().join("project/deep"));
        sources.home = Some(self.home());
        sources.config.clone_from(&self.args.config);
        sources.base_url.clone_from(&self.args.base_url);
        sources.api_key.clone_from(&self.args.api_key);
        sources.sets.clone_from(&self.args.sets);
        sources.trust_project = self.args.trust_project;
        sources.shared.clone_from(&self.args.shared);
        sources.budgets.clone_from(&self.args.budgets);
        if self.args.mock {
            sources.loopback = Some(Arc::new(|| Ok("http://127.0.0.1:4711/v1".to_owned())));
        }
        load(&sources)
    }

    /// The message of the error, the lab's own folder taken out.
    pub(crate) fn refused(&self) -> String {
        self.plain(&self.load().unwrap_err().to_string())
    }

    /// A text without the name of the lab's folder.
    pub(crate) fn plain(&self, text: &str) -> String {
        text.replace(&format!("{}/home", self.folder.path().display()), "~")
    }
}

#[cfg(unix)]
pub(crate) fn mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[cfg(not(unix))]
pub(crate) fn mode(_: &Path, _: u32) {}

/// A client that answers nothing and counts how often it is closed.
#[derive(Debug, Default)]
pub(crate) struct FakeClient {
    id: String,
    capabilities: Capabilities,
    pub(crate) closed: AtomicUsize,
}

impl FakeClient {
    pub(crate) fn new(id: &str) -> Arc<Self> {
        Arc::new(Self { id: id.to_owned(), ..Self::default() })
    }
}

#[async_trait]
impl ModelClient for FakeClient {
    fn id(&self) -> &str {
        &self.id
    }

    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    async fn chat(&self, _: &ChatRequest, _: &Call) -> Result<ChatResponse, Error> {
        Err(Error::new(ErrorKind::Unavailable, "nobody is there"))
    }

    async fn chat_stream(&self, _: &ChatRequest, _: &Call) -> Result<ChatStream, Error> {
        Err(Error::new(ErrorKind::Unavailable, "nobody is there"))
    }

    async fn close(&self) -> Result<(), Error> {
        self.closed.fetch_add(1, Ordering::Relaxed);
        tokio::task::yield_now().await;
        match self.id.split_once('/') {
            Some((_, "stubborn")) => Err(Error::new(ErrorKind::Connection, "it would not go")),
            Some((_, "broken")) => panic!("a client of a user's own may panic"),
            _ => Ok(()),
        }
    }
}

/// A provider of a user's own.
#[derive(Debug, Default)]
pub(crate) struct FakeProvider {
    name: String,
    models: Vec<ModelConfig>,
    claims: Vec<String>,
    pub(crate) made: Mutex<Vec<(String, Arc<FakeClient>)>>,
}

impl FakeProvider {
    pub(crate) fn new(name: &str, models: &[&str]) -> Self {
        let models = models.iter().map(|name| ModelConfig::new(*name)).collect();
        Self { name: name.to_owned(), models, ..Self::default() }
    }

    pub(crate) fn claiming(mut self, name: &str) -> Self {
        self.claims.push(name.to_owned());
        self
    }

    /// Every model's client cannot be made.
    pub(crate) fn refusing(mut self) -> Self {
        self.models.iter_mut().for_each(|model| model.model = Some("broken".to_owned()));
        self
    }

    pub(crate) fn made(&self) -> Vec<String> {
        self.made.lock().unwrap().iter().map(|(name, _)| name.clone()).collect()
    }
}

impl Provider for FakeProvider {
    fn name(&self) -> &str {
        &self.name
    }

    fn create_client(&self, model: &ModelConfig) -> Result<Arc<dyn ModelClient>, Error> {
        if model.wire() == "broken" {
            return Err(Error::new(ErrorKind::Config, "it is broken"));
        }
        let client = FakeClient::new(&format!("{}/{}", self.name, model.name));
        self.made.lock().unwrap().push((model.name.clone(), client.clone()));
        Ok(client)
    }

    fn models(&self) -> &[ModelConfig] {
        &self.models
    }

    fn claims(&self, model: &str) -> bool {
        self.claims.iter().any(|claimed| claimed == model)
    }
}
