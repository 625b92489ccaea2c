//! What a configuration file may say, as it stands there: checked key by key, nothing resolved yet.

mod groups;
mod provider;
mod rules;
mod values;

use std::path::{Path, PathBuf};

use llm_types::Error;

pub(super) use self::groups::{Balance, ChainEntry, MemberEntry, PoolEntry};
pub(super) use self::provider::{EndpointEntry, ModelEntry, ProviderEntry};
pub(super) use self::rules::{BudgetEntry, LimitEntry, Per};
pub(super) use self::values::{Located, Setting};
use self::values::{guarded, merge_settings, named, settings_of, with_settings};
use super::reader::{Entry, Place, Section, Source, resolve};
use super::seeds::SeedKind;
use crate::names;

/// One file, or several merged by [`over`](Config::over).
#[derive(Debug, Default)]
pub(super) struct Config {
    pub(super) default: Option<Located<String>>,
    /// A file with prices.
    pub(super) prices: Option<Located<PathBuf>>,
    pub(super) settings: Vec<Setting>,
    pub(super) aliases: Vec<Alias>,
    pub(super) providers: Vec<ProviderEntry>,
    pub(super) pools: Vec<PoolEntry>,
    pub(super) chains: Vec<ChainEntry>,
    pub(super) budgets: Vec<BudgetEntry>,
    pub(super) limits: Vec<LimitEntry>,
    /// What could not be carried over from an older client's file.
    pub(super) warnings: Vec<String>,
}

/// A name that stands for another.
#[derive(Debug)]
pub(super) struct Alias {
    pub(super) name: String,
    pub(super) target: String,
    pub(super) place: Place,
}

const TOP: &[&str] = &["default", "prices", "aliases", "providers", "pools", "chains", "budgets", "limits"];

impl Config {
    /// Reads one file.
    ///
    /// # Errors
    /// Kind `Config`, with the line: an unknown key, a value that is not allowed, a contradiction.
    pub(super) fn read(source: &Source, home: Option<&Path>) -> Result<Self, Error> {
        source.read(|top| Self::of(top, home))
    }

    /// Reads one file of ours or of an older client, known by what stands in it.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub(super) fn read_any(
        source: &Source,
        home: Option<&Path>,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Self, Error> {
        source.read(|top| match SeedKind::detect(&top) {
            Some(kind) => kind.read(top, home, env),
            None => Self::of(top, home),
        })
    }

    /// Reads a document of ours.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub(super) fn of(mut top: Section, home: Option<&Path>) -> Result<Self, Error> {
        let default = top.take("default").map(|entry| named(&entry)).transpose()?;
        let prices = top.take("prices").map(|entry| price_file(&entry, home)).transpose()?;
        let settings = settings_of(&mut top, home)?;
        let aliases = each(&mut top, "aliases", |entry| alias(&entry))?;
        let providers = each(&mut top, "providers", |entry| {
            let name = entry.key.clone();
            names::check_provider(&name).map_err(|e| entry.place.error(e.message()))?;
            if [POOL, CHAIN].contains(&name.as_str()) {
                let message =
                    format!("`{name}` cannot name a provider: it is the word before the names of [{name}s]");
                return Err(entry.place.error(message));
            }
            provider::read(name, entry.open()?, home)
        })?;
        let pools = each(&mut top, "pools", |entry| groups::pool(entry, home))?;
        let chains = each(&mut top, "chains", |entry| groups::chain(entry, home))?;
        let budgets = each(&mut top, "budgets", rules::budget)?;
        let limits = each(&mut top, "limits", rules::limit)?;
        top.finish(&with_settings(TOP))?;
        Ok(Self {
            default,
            prices,
            settings,
            aliases,
            providers,
            pools,
            chains,
            budgets,
            limits,
            warnings: Vec::new(),
        })
    }

    /// This file's word above another's: the same key at the same level is replaced, the rest is kept. A pool, a chain and
    /// a limit are replaced as a whole; of two budgets of one name the smaller amounts hold.
    pub(super) fn over(self, lower: Self) -> Self {
        let mut merged = lower;
        merged.default = self.default.or(merged.default);
        merged.prices = self.prices.or(merged.prices);
        merge_settings(&mut merged.settings, self.settings);
        replace(&mut merged.aliases, self.aliases, |alias| &alias.name);
        for upper in self.providers {
            match merged.providers.iter_mut().find(|old| old.name == upper.name) {
                Some(old) => old.merge(upper),
                None => merged.providers.push(upper),
            }
        }
        replace(&mut merged.pools, self.pools, |pool| &pool.name);
        replace(&mut merged.chains, self.chains, |chain| &chain.name);
        for upper in self.budgets {
            match merged.budgets.iter_mut().find(|old| old.name == upper.name) {
                // A project may not spend what its user does not want to.
                Some(old) => old.tighten(&upper),
                None => merged.budgets.push(upper),
            }
        }
        replace(&mut merged.limits, self.limits, |limit| &limit.name);
        merged.warnings.extend(self.warnings);
        merged
    }

    /// Checks what no entry can see alone: names that stand twice, limits that nobody declared.
    ///
    /// # Errors
    /// Kind `Config`, with the place.
    pub(super) fn check(&self) -> Result<(), Error> {
        self.check_names()?;
        self.check_limits()
    }

    /// A bare name means one thing.
    fn check_names(&self) -> Result<(), Error> {
        let aliases = self.aliases.iter().map(|alias| (&alias.name, "an alias", &alias.place));
        let providers = self.providers.iter().map(|entry| (&entry.name, "a provider", &entry.place));
        let pools = self.pools.iter().map(|entry| (&entry.name, "a pool", &entry.place));
        let chains = self.chains.iter().map(|entry| (&entry.name, "a chain", &entry.place));
        let mut seen: Vec<(&String, &str, &Place)> = providers.chain(aliases).collect();
        for (name, what, place) in pools.chain(chains) {
            if let Some((_, other, at)) = seen.iter().find(|(known, _, _)| *known == name) {
                return Err(place
                    .error(format_args!("`{name}` names {other} already ({at}); give {what} another name")));
            }
            seen.push((name, what, place));
        }
        Ok(())
    }

    fn check_limits(&self) -> Result<(), Error> {
        let of_providers = self.providers.iter().flat_map(|provider| {
            let models = provider.models.iter();
            let inner = models.clone().flat_map(|model| model.endpoints.iter()).chain(&provider.endpoints);
            let limits = models.map(|model| &model.limit).chain(inner.map(|endpoint| &endpoint.limit));
            std::iter::once(&provider.limit).chain(limits)
        });
        for used in of_providers.flatten() {
            if !self.limits.iter().any(|limit| limit.name == used.value) {
                let known = self.limits.iter().map(|limit| &*limit.name);
                let hint = crate::nearest::did_you_mean(&used.value, known)
                    .unwrap_or_else(|| format!("; declare it as [limits.{}]", used.value));
                return Err(used.place.error(format_args!("there is no limit `{}`{hint}", used.value)));
            }
        }
        Ok(())
    }

    /// The first thing in the file that only a trusted file may say: where requests go, what they go through, and
    /// which key goes along. Gives its place and its key.
    pub(super) fn needs_trust(&self) -> Option<(&Place, String)> {
        // Lower prices would let more be spent than the user wants to.
        if let Some(prices) = &self.prices {
            return Some((&prices.place, "prices".to_owned()));
        }
        if let Some(setting) = guarded(&self.settings) {
            return Some((&setting.place, setting.key.to_owned()));
        }
        self.providers.iter().find_map(|provider| {
            let (place, key) = provider.needs_trust()?;
            Some((place, format!("providers.{}.{key}", provider.name)))
        })
    }
}

/// The word before a pool's name where a model is named.
pub(super) const POOL: &str = "pool";
/// The word before a chain's name where a model is named.
pub(super) const CHAIN: &str = "chain";

/// Reads each entry of a table of named things.
fn each<T>(top: &mut Section, key: &str, read: impl Fn(Entry) -> Result<T, Error>) -> Result<Vec<T>, Error> {
    let Some(table) = top.take(key) else { return Ok(Vec::new()) };
    table.open()?.take_all().into_iter().map(read).collect()
}

/// Puts the upper file's entries in the place of those of the same name.
fn replace<T>(lower: &mut Vec<T>, upper: Vec<T>, name: impl Fn(&T) -> &String) {
    lower.retain(|old| !upper.iter().any(|new| name(new) == name(old)));
    lower.extend(upper);
}

/// `prices = "prices.json"`.
fn price_file(entry: &Entry, home: Option<&Path>) -> Result<Located<PathBuf>, Error> {
    let path = resolve(entry.filled_text()?, entry.place.folder(), home);
    Ok(Located { value: path, place: entry.place.clone() })
}

fn alias(entry: &Entry) -> Result<Alias, Error> {
    if entry.key.trim().is_empty() || entry.key.chars().any(char::is_control) {
        return Err(entry.place.error("an alias needs a name, without control characters"));
    }
    let Located { value: target, place } = named(entry)?;
    Ok(Alias { name: entry.key.clone(), target, place })
}
