//! Reads what there is to read and builds a manager from it.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use llm_provider::{PriceTable, Shared};
use llm_types::{Error, ErrorKind};

use super::build;
use super::files;
use super::layers::{Layers, SetBy};
use super::outline::{self, Outline, ProviderOutline};
use super::outside::Outside;
use super::schema::{Config, Located, Setting};
use super::seeds::SeedKind;
use super::site::ConfiguredProvider;
use super::sources::Sources;
use crate::Budgets;
use crate::registry::Manager;

/// A manager with every provider that is built in or configured, and what was noticed on the way.
#[derive(Debug)]
pub struct Loaded {
    /// The manager. [`choose`](Self::choose) knows more than its look-up: the command line and the environment.
    pub manager: Manager,
    /// What the user should be told, each once, in whole sentences without a full stop.
    pub warnings: Vec<String>,
    /// The files that were read, the nearest first.
    pub files: Vec<PathBuf>,
    /// Where the user's own file is, or would be.
    pub user_config: Option<PathBuf>,
    /// The settings that hold for all models, but for what providers and models say, with their origins.
    pub settings: Vec<SetBy>,
    pub(super) outside: Outside,
    pub(super) layers: Layers,
    pub(super) top: Vec<Setting>,
    pub(super) shared: Arc<Shared>,
    /// What the files say, each thing with its place.
    pub outline: Outline,
    /// Who set what, by `provider` and by `provider/model`.
    pub(super) set_by: HashMap<String, Vec<SetBy>>,
    /// The providers with more to them than one address.
    pub(super) sites: HashMap<String, Arc<ConfiguredProvider>>,
    /// The default of the files, with its place.
    pub(super) default: Option<(String, String)>,
    /// The key pools that this configuration may fill.
    pub(super) key_pools: HashSet<String>,
    budgets: Arc<Budgets>,
}

impl Loaded {
    /// What the files say about a provider; `None` for one that is only built in.
    #[must_use]
    pub fn configured(&self, provider: &str) -> Option<&ProviderOutline> {
        self.outline.providers.iter().find(|entry| entry.table.name == provider)
    }

    /// The settings that hold for a provider, or for one of its models, and that somebody changed.
    #[must_use]
    pub fn settings_of(&self, provider: &str, model: Option<&str>) -> Vec<SetBy> {
        self.set_by(provider, model.unwrap_or_default())
    }

    /// The connections and the state of endpoints, keys and limits, for the next load of this process
    /// ([`Sources::shared`]).
    #[must_use]
    pub fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// What the budgets of the files have spent, for the next load of this process ([`Sources::budgets`]) and for reports.
    #[must_use]
    pub fn budgets(&self) -> &Arc<Budgets> {
        &self.budgets
    }

    /// Lets a running manager take this configuration over in one step: see [`Manager::reload`]. Both have to stand on
    /// the same [`shared`](Self::shared). Breakers, cool-downs and what was learned stay; limits hold at once; keys that
    /// are in the files no more are not used any more, not even by a call that is between two attempts.
    ///
    /// Gives the errors of models that were in use and cannot be made any more.
    pub fn take_over(&self, running: &Manager) -> Vec<Error> {
        let errors = running.reload(&self.manager);
        let lanes = self.shared.lanes();
        // Keys that are in use below a pool or a chain only are claimed by no client that was made again just now.
        let held = lanes.key_pools();
        let holds = |name: &str| {
            held.iter().any(|id| self.key_pools.contains(id) && id.starts_with(&format!("{name} (")))
        };
        for model in running.models().iter().filter(|model| holds(&model.provider)) {
            // Whoever asks for one that cannot be made is told so.
            drop(running.client(&model.id));
        }
        lanes.revoke_keys(|id| id.contains(build::CONFIGURED) && !self.key_pools.contains(id));
        lanes.sweep();
        errors
    }
}

/// Reads the configuration and builds the manager. Nothing is sent, and no key's file is opened.
///
/// The files, the nearest first: the one named with `--config` or `LLM_RS_CONFIG` alone; else `llm.toml` of the project,
/// then the user's own; last an older client's `flexllm_config.yaml` here or `~/.flexllm/config.yaml`. Each may be TOML, YAML or JSON; a
/// file that is named may be any older client's ([`SeedKind`]). Without any file the built-in providers stand as they are.
///
/// # Errors
/// `NotFound` when a file that was named is not there; `Config` for everything that a file, a variable or an option says
/// wrong, with its place; `Config` with an [`std::io::Error`] as its source when a file cannot be read.
pub fn load(sources: &Sources<'_>) -> Result<Loaded, Error> {
    let home = sources.home.as_deref();
    let user_config = files::user_config(sources.env, home);
    let (config, files) = read_files(sources, home, user_config.as_deref())?;
    load_config(config, files, sources)
}

/// The most bytes of a list of prices: those of others are long.
const MOST_PRICES: u64 = 16 << 20;

/// The user's own list of prices.
fn price_list(file: &Located<PathBuf>) -> Result<Arc<PriceTable>, Error> {
    let shown = file.value.display();
    let unread = |e: std::io::Error| file.place.error(format_args!("{shown}: {e}")).with_source(e);
    let mut text = String::new();
    let opened = File::open(&file.value).map_err(unread)?;
    opened.take(MOST_PRICES + 1).read_to_string(&mut text).map_err(unread)?;
    if u64::try_from(text.len()).is_ok_and(|length| length > MOST_PRICES) {
        return Err(file
            .place
            .error(format_args!("{shown}: a list of prices has at most {MOST_PRICES} bytes")));
    }
    let table = PriceTable::parse(&text, &shown.to_string()).map_err(|e| file.place.error(e.message()))?;
    Ok(Arc::new(table))
}

/// Builds a manager from a configuration that was read.
pub(super) fn load_config(
    mut config: Config,
    files: Vec<PathBuf>,
    sources: &Sources<'_>,
) -> Result<Loaded, Error> {
    let user_config = files::user_config(sources.env, sources.home.as_deref());
    let layers = Layers::read(&sources.defaults, &sources.sets, sources.env)?;
    let mut warnings = std::mem::take(&mut config.warnings);
    if sources.api_key.is_some() {
        warnings.push(
            "a key on the command line can be seen by other users of this machine; LLM_RS_API_KEY or the configuration \
             keeps it to you"
                .to_owned(),
        );
    }
    let default = config.default.as_ref().map(|default| (default.value.clone(), default.place.to_string()));
    let (_, settings) = layers.over(&[&config.settings], "the settings")?;
    let top = config.settings.clone();
    let outline = outline::Reader { layers: &layers, env: sources.env }.outline(&config);
    let shared = sources.shared.clone().unwrap_or_else(|| Arc::new(Shared::new(sources.env)));
    let budgets = sources.budgets.clone().unwrap_or_default();
    shared.set_prices(config.prices.as_ref().map(price_list).transpose()?);
    let built = build::build(
        config,
        sources,
        &layers,
        user_config.as_deref(),
        shared.clone(),
        &budgets,
        &mut warnings,
    )?;
    if let Some((name, _)) = &default {
        built.manager.set_default_model(name);
    }
    let (outside, set_by, sites) = (Outside::read(sources), built.set_by, built.sites);
    let key_pools = built.key_pools;
    let manager = built.manager;
    // What a caller registers from here on is by hand, and outlives the next configuration.
    manager.seal();
    Ok(Loaded {
        manager,
        warnings,
        files,
        user_config,
        settings,
        outside,
        layers,
        outline,
        top,
        shared,
        set_by,
        sites,
        default,
        key_pools,
        budgets,
    })
}

fn read_files(
    sources: &Sources<'_>,
    home: Option<&Path>,
    user: Option<&Path>,
) -> Result<(Config, Vec<PathBuf>), Error> {
    if let Some(source) = files::named(sources.config.as_deref(), &sources.cwd, sources.env)? {
        return Ok((Config::read_any(&source, home, sources.env)?, vec![source.path().to_owned()]));
    }
    let mut files = Vec::new();
    let mut config = Config::default();
    let own = files::users(sources.env, home)?;
    if let Some(source) = own.as_deref().map(files::found).transpose()?.flatten() {
        config = Config::read(&source, home)?;
        files.push(source.path().to_owned());
    }
    let project = files::project(&sources.cwd, home)?.filter(|path| Some(&**path) != user);
    if let Some(source) = project.as_deref().map(files::found).transpose()?.flatten() {
        let nearer = Config::read(&source, home)?;
        if let (Some((place, key)), false) = (nearer.needs_trust(), sources.trust_project) {
            return Err(untrusted(&place.to_string(), &key, source.path(), user));
        }
        config = nearer.over(config);
        files.insert(0, source.path().to_owned());
    }
    if let Some((path, older)) = read_older(sources, home, &mut config.warnings) {
        config = config.over(older);
        files.push(path);
    }
    Ok((config, files))
}

/// The configuration of an older client, which stands below ours. It is announced, and what is wrong with it is no fault
/// of ours.
fn read_older(
    sources: &Sources<'_>,
    home: Option<&Path>,
    warnings: &mut Vec<String>,
) -> Option<(PathBuf, Config)> {
    let (path, is_own) = files::older(&sources.cwd, home)?;
    let shown = path.display().to_string();
    let read = || -> Result<Option<Config>, Error> {
        let Some(source) = files::found(&path)? else { return Ok(None) };
        SeedKind::Flexllm.read(source.document()?, home, sources.env).map(Some)
    };
    match read() {
        Ok(Some(config)) if is_own || sources.trust_project => {
            warnings.push(format!("{shown} is read too; it is an older client's and is never written"));
            Some((path, config))
        }
        Ok(Some(config)) => {
            if let Some((place, key)) = config.needs_trust() {
                warnings.push(format!(
                    "{place}: {shown} is not read: a project's file may not set {key}; if you trust it, name it: --config \
                     {shown}"
                ));
            }
            None
        }
        Ok(None) => None,
        Err(error) => {
            warnings.push(format!("{shown} is not read: {error}"));
            None
        }
    }
}

/// A cloned repository must not be able to redirect a key.
fn untrusted(place: &str, key: &str, path: &Path, user: Option<&Path>) -> Error {
    let harm = match key {
        "prices" => "it could let more be spent than you want",
        _ => "it could send your keys and prompts elsewhere",
    };
    let message = format!("{place}: a project's file may not set {key}: {harm}");
    let own = user.map_or_else(|| "your own configuration".to_owned(), |user| user.display().to_string());
    Error::new(ErrorKind::Config, message).with_hint(format!(
        "if you trust it, name it: --config {}; or move the line to {own}",
        path.display()
    ))
}
