//! The environment, and where our own files lie besides the configuration.

use std::path::PathBuf;

use llm_manager::config::user_config;

use crate::failure::Failure;

/// An environment variable that says something.
pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

/// The folder that holds the user's configuration file.
pub(crate) fn config() -> Option<PathBuf> {
    let file = user_config(&variable, std::env::home_dir().as_deref())?;
    file.parent().map(PathBuf::from)
}

/// The folder of the keys that `llm keys set` keeps.
pub(crate) fn keys() -> Option<PathBuf> {
    Some(config()?.join("keys"))
}

/// The folder for what is kept between runs.
pub(crate) fn state() -> Option<PathBuf> {
    of("state", "XDG_STATE_HOME", ".local/state", "LOCALAPPDATA")
}

/// The folder for what can be made again.
pub(crate) fn cache() -> Option<PathBuf> {
    of("cache", "XDG_CACHE_HOME", ".cache", "LOCALAPPDATA")
}

/// Nobody knows where home is.
pub(crate) fn homeless() -> Failure {
    Failure::usage("there is no home folder to keep a configuration in").hint("set HOME, or LLM_RS_HOME")
}

/// `LLM_RS_HOME` moves them all; else each follows the system's habit.
fn of(name: &str, variable_name: &str, below_home: &str, on_windows: &str) -> Option<PathBuf> {
    let folder = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    if let Some(own) = folder("LLM_RS_HOME") {
        return Some(own.join(name));
    }
    if let Some(base) = folder(variable_name) {
        return Some(base.join("llm-rs"));
    }
    if cfg!(windows) {
        return Some(folder(on_windows)?.join("llm-rs").join(name));
    }
    Some(std::env::home_dir()?.join(below_home).join("llm-rs"))
}
