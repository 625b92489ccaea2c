//! What the command line and the environment say about the one model that is asked for.

use std::collections::HashMap;
use std::fmt;

use llm_provider::{ProviderSpec, catalogue};
use llm_types::{Error, Secret};

use super::keys::key_from;
use super::sources::Sources;

/// An address, a name and keys, each of which may be there.
#[derive(Default)]
pub(super) struct Outside {
    base_url: Option<String>,
    variables: HashMap<&'static str, String>,
    /// By option or variable. A broken one hurts only who uses it.
    keys: HashMap<&'static str, Result<Secret, Error>>,
}

/// An address with its origin.
#[derive(Clone, Copy)]
pub(super) struct Given<'a> {
    pub(super) text: &'a str,
    pub(super) by: &'static str,
}

/// A key with its origin.
#[derive(Clone, Copy)]
pub(super) struct GivenKey<'a> {
    key: &'a Result<Secret, Error>,
    pub(super) by: &'static str,
}

impl GivenKey<'_> {
    /// The key, if a header can carry it.
    pub(super) fn key(&self) -> Result<Secret, Error> {
        self.key.clone()
    }
}

const MODEL: [&str; 2] = ["LLM_RS_MODEL", "FLEXLLM_MODEL"];
const BASE_URL: [&str; 2] = ["LLM_RS_BASE_URL", "FLEXLLM_BASE_URL"];
const API_KEY: [&str; 2] = ["LLM_RS_API_KEY", "FLEXLLM_API_KEY"];
const BASE_URL_OPTION: &str = "--base-url";
const API_KEY_OPTION: &str = "--api-key";

impl Outside {
    pub(super) fn read(sources: &Sources<'_>) -> Self {
        let filled =
            |name: &'static str| Some((name, (sources.env)(name).filter(|text| !text.trim().is_empty())?));
        let vendors = catalogue::all().iter().flat_map(|row| row.key_env.iter().copied());
        let variables = API_KEY.into_iter().chain(vendors).filter_map(filled);
        let option = sources.api_key.clone().map(|key| (API_KEY_OPTION, key));
        Self {
            base_url: sources.base_url.clone(),
            variables: MODEL.into_iter().chain(BASE_URL).filter_map(filled).collect(),
            keys: variables.chain(option).map(|(name, text)| (name, key_from(name, text))).collect(),
        }
    }

    /// The model that our own variable names, with the variable.
    pub(super) fn model(&self) -> Option<Given<'_>> {
        self.variable(MODEL[0])
    }

    /// The model that the older tool's variable names, with the variable.
    pub(super) fn older_model(&self) -> Option<Given<'_>> {
        self.variable(MODEL[1])
    }

    /// The address: of the command line; else ours, where it serves the name; else the older tool's, where that does.
    pub(super) fn address(&self, ours: bool, older: bool) -> Option<Given<'_>> {
        let option = || Some(Given { text: self.base_url.as_deref()?, by: BASE_URL_OPTION });
        option()
            .or_else(|| self.variable(BASE_URL[0]).filter(|_| ours))
            .or_else(|| self.variable(BASE_URL[1]).filter(|_| older))
    }

    /// The key of the command line, else ours, where it serves the name.
    pub(super) fn key(&self, serves: bool) -> Option<GivenKey<'_>> {
        self.key_by(API_KEY_OPTION).or_else(|| self.key_by(API_KEY[0]).filter(|_| serves))
    }

    /// The older tool's key. It belongs to the older tool's address where there is one.
    pub(super) fn older_key(&self, address: Option<Given<'_>>) -> Option<GivenKey<'_>> {
        let free = address.is_some_and(Given::is_older) || self.variable(BASE_URL[1]).is_none();
        self.key_by(API_KEY[1]).filter(|_| free)
    }

    /// The key in a vendor's own variable.
    pub(super) fn vendors_key(&self, row: &ProviderSpec) -> Option<GivenKey<'_>> {
        row.key_env.iter().find_map(|name| self.key_by(name))
    }

    /// The key of an option or a variable, by its name.
    pub(super) fn key_named(&self, name: &str) -> Option<Result<Secret, Error>> {
        self.keys.get(name).cloned()
    }

    fn variable(&self, by: &'static str) -> Option<Given<'_>> {
        Some(Given { text: self.variables.get(by)?.trim(), by })
    }

    fn key_by(&self, by: &'static str) -> Option<GivenKey<'_>> {
        Some(GivenKey { key: self.keys.get(by)?, by })
    }
}

impl Given<'_> {
    /// Whether it is the address of the older tool.
    pub(super) fn is_older(self) -> bool {
        self.by == BASE_URL[1]
    }
}

impl fmt::Debug for Outside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut names: Vec<_> = self.variables.keys().chain(self.keys.keys()).collect();
        names.sort_unstable();
        f.debug_struct("Outside").field("given", &names).finish_non_exhaustive()
    }
}
