//! From flags, environment and files to the client that a command calls.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::FutureExt as _;
use llm_client::{ModelClient, Settings};
use llm_manager::config::{Choice, Loaded, Sources, load, user_config};
use llm_mock::{MockConfig, MockServer};
use llm_types::{Error, ErrorKind, Prices};

use crate::args::Model;
use crate::exit::Exit;
use crate::failure::{Failure, reason};
use crate::folders::{self, variable};
use crate::term::{Term, safe};

/// Stands for the model's name where a server is asked for its list and no model is meant.
const ANY_MODEL: &str = "any";

/// A client ready to be called, and what is known about how it was chosen.
#[derive(Debug)]
pub(crate) struct Session {
    /// The client.
    pub(crate) client: Arc<dyn ModelClient>,
    /// The settings it was made with.
    pub(crate) settings: Settings,
    /// What the model's tokens cost, where the configuration says so.
    pub(crate) price: Option<Prices>,
    /// The variable that holds the key, or that would.
    pub(crate) key_variable: Option<String>,
}

impl Session {
    /// The client of the model that the user means. Must be called inside the runtime, where a mock server may be
    /// started.
    ///
    /// # Errors
    /// The configuration is wrong, the model is not known, its key is missing.
    pub(crate) fn open(model: &Model, term: &Term) -> Result<Self, Failure> {
        Self::with_defaults(model, &[], term)
    }

    /// The same, with settings of the command's own below everything that the user says.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub(crate) fn with_defaults(
        model: &Model,
        defaults: &[(&str, String)],
        term: &Term,
    ) -> Result<Self, Failure> {
        let loaded = configuration(Some(model), defaults)?;
        warn(&loaded.warnings, term);
        let choice = loaded.choose(model.model.as_deref()).map_err(Failure::from)?;
        warn(&choice.warnings, term);
        Self::of(&loaded, &choice)
    }

    /// The client of the model that the user means, for looking at what it would send: a key that is missing is no
    /// hindrance, where there is one place for it.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub(crate) fn for_preview(model: &Model, term: &Term) -> Result<Self, Failure> {
        let missing = match Self::open(model, term) {
            Err(failure) if failure.exit == Exit::Key && model.api_key.is_none() => failure,
            opened => return opened,
        };
        let Some(session) = Self::keyless(model) else { return Err(missing) };
        let why = missing.lines().into_iter().next().unwrap_or_default();
        term.warn(&format!("the call itself would fail: {why}"));
        Ok(session)
    }

    /// The client of the model that the user means with a text in the key's place: for what is known without asking.
    pub(crate) fn keyless(model: &Model) -> Option<Self> {
        let stand_in = Model { api_key: Some("no-key".to_owned()), ..model.clone() };
        let loaded = configuration(Some(&stand_in), &[]).ok()?;
        let choice = loaded.choose(model.model.as_deref()).ok()?;
        Self::of(&loaded, &choice).ok()
    }

    /// A client of the server that the user means, by the name of a provider or of one of its models, or by its address
    /// alone.
    ///
    /// # Errors
    /// Those of [`open`](Self::open).
    pub(crate) fn for_server(model: &Model, name: Option<&str>, term: &Term) -> Result<Self, Failure> {
        let loaded = configuration(Some(model), &[])?;
        warn(&loaded.warnings, term);
        // A name that says a provider, and is neither that nor a model's, is a slip: whatever address is given.
        if let Some(name) = name
            && loaded.manager.resolve(name).is_err()
        {
            loaded.manager.require_provider(name)?;
        }
        let name = name.or(model.model.as_deref());
        let of_provider = name.and_then(|name| Some(loaded.any_model(&*loaded.manager.provider(name)?)));
        let has_address = model.base_url.is_some()
            || ["LLM_RS_BASE_URL", "FLEXLLM_BASE_URL"].iter().any(|name| variable(name).is_some());
        let nameless = name.is_none() && has_address && loaded.default_model().is_none();
        let asked = of_provider.as_deref().or(name).or(nameless.then_some(ANY_MODEL));
        let choice = loaded.choose(asked).map_err(|error| {
            let is_nameless = asked.is_none() && loaded.default_model().is_none();
            let failure = Failure::from(error);
            if is_nameless {
                failure.hint("name a server: --provider NAME, or --base-url URL")
            } else {
                failure
            }
        })?;
        warn(&choice.warnings, term);
        Self::of(&loaded, &choice)
    }

    fn of(loaded: &Loaded, choice: &Choice) -> Result<Self, Failure> {
        tracing::info!(target: "llm", "{}", described(choice));
        let client = loaded.client(choice).map_err(Failure::from)?;
        let mut settings = Settings::default();
        for set in &choice.settings {
            // They were checked when they were read.
            settings.set(set.key, &set.value).map_err(Error::from)?;
        }
        Ok(Self { client, settings, price: choice.price.clone(), key_variable: key_variable(loaded, choice) })
    }

    /// A call of this client failed.
    pub(crate) fn failure(&self, error: Error) -> Failure {
        Failure::from(error).of_at_most(self.settings.max_retries.saturating_add(1))
    }
}

/// The variable of the model's key: the one that it comes from, else the vendor's own.
fn key_variable(loaded: &Loaded, choice: &Choice) -> Option<String> {
    let by = choice.key_by.as_deref().unwrap_or_default();
    let end =
        by.find(|c: char| !c.is_ascii_uppercase() && !c.is_ascii_digit() && c != '_').unwrap_or(by.len());
    let named = by.get(..end).filter(|name| name.len() > 1);
    let provider = choice.id.split('/').next().and_then(|name| loaded.manager.provider(name));
    let usual = || provider?.spec()?.key_env.first().map(|name| (*name).to_owned());
    named.map(str::to_owned).or_else(usual)
}

/// Reads the configuration.
///
/// # Errors
/// What a file, a variable or an option says wrong.
pub(crate) fn configuration(model: Option<&Model>, defaults: &[(&str, String)]) -> Result<Loaded, Failure> {
    let mut sources = sources(&variable);
    sources.defaults = defaults.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    if let Some(model) = model {
        sources.config.clone_from(&model.config);
        sources.base_url.clone_from(&model.base_url);
        sources.api_key.clone_from(&model.api_key);
        sources.sets.clone_from(&model.settings);
        // The flag is the nearer word for the same setting.
        sources.sets.extend(model.max_retries.map(|n| ("max_retries".to_owned(), n.to_string())));
    }
    load(&sources).map_err(Failure::from)
}

/// This process's surroundings, with the variables as this function tells them.
pub(crate) fn sources<'a>(env: &'a dyn Fn(&str) -> Option<String>) -> Sources<'a> {
    let cwd = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    let mut sources = Sources::new(env, cwd);
    sources.home = std::env::home_dir();
    sources.loopback = Some(Arc::new(start_mock));
    sources
}

pub(crate) fn warn(warnings: &[String], term: &Term) {
    warnings.iter().for_each(|warning| term.warn(warning));
}

/// Where the model, its address and its key come from, on one line.
fn described(choice: &Choice) -> String {
    let mut text = format!("model {} ({})", choice.id, choice.named_by);
    if let Some(address) = &choice.address {
        text.push_str(&format!(", at {address}"));
    }
    if let Some(by) = &choice.address_by {
        text.push_str(&format!(" ({by})"));
    }
    text.push_str(&match &choice.key_by {
        Some(by) => format!(", key from {by}"),
        None => ", no key".to_owned(),
    });
    for set in &choice.settings {
        text.push_str(&format!(", {}={} ({})", set.key, shown(set.key, &set.value), set.origin));
    }
    safe::line(&text)
}

/// The one file that a command changes: the one that is named, else the user's own.
///
/// # Errors
/// Nobody knows where the user's own would be.
pub(crate) fn own_file(option: Option<&Path>) -> Result<PathBuf, Failure> {
    let cwd = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    let named = option.map(PathBuf::from).or_else(|| variable("LLM_RS_CONFIG").map(PathBuf::from));
    let own = || user_config(&variable, std::env::home_dir().as_deref());
    named.map(|path| cwd.join(path)).or_else(own).ok_or_else(folders::homeless)
}

/// What this program writes of its own accord is TOML; its name has to say so.
///
/// # Errors
/// The name says something else.
pub(crate) fn toml_only(path: &Path, what: &str) -> Result<(), Failure> {
    if path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("toml")) {
        return Ok(());
    }
    let message = format!("{what} is written in TOML, and `{}` does not end in .toml", path.display());
    Err(Failure::usage(message))
}

/// A file that could not be written, with the code of that.
pub(crate) fn file_failure(error: Error) -> Failure {
    let cause = std::error::Error::source(&error).and_then(|cause| cause.downcast_ref::<std::io::Error>());
    let Some(cause) = cause else { return error.into() };
    let exit = match cause.kind() {
        std::io::ErrorKind::AlreadyExists => Exit::Conflict,
        _ => Exit::File,
    };
    Failure::own(exit, "file", format!("{}: {}", error.message(), reason(cause)))
}

/// A setting's value for the eye: the address of a proxy may hold a password.
pub(crate) fn shown(key: &str, value: &str) -> String {
    match (value.split_once("://"), value.rsplit_once('@')) {
        _ if key != "proxy" => value.to_owned(),
        (Some((scheme, _)), Some((_, host))) => format!("{scheme}://…@{host}"),
        (None, Some((_, host))) => format!("…@{host}"),
        (_, None) => value.to_owned(),
    }
}

/// The server behind `-m mock/echo`, on a free port of the loopback address. It lives as long as the process and keeps
/// nothing of a request that was answered.
fn start_mock() -> Result<String, Error> {
    // Binding a loopback port does not wait, so that the first look finds it done.
    let started = MockConfig::new().log(false).strict_models(true).start().now_or_never();
    let server: MockServer = match started {
        Some(Ok(server)) => server,
        Some(Err(error)) => {
            let message = "the mock server cannot be started";
            return Err(Error::new(ErrorKind::Internal, message).with_source(error));
        }
        None => return Err(Error::new(ErrorKind::Internal, "the mock server did not start at once")),
    };
    let url = server.base_url();
    std::mem::forget(server);
    Ok(url)
}
