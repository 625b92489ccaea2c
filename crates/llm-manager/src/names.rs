//! What a name means: the pure part of the registry.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use llm_client::ModelClient;
use llm_provider::{ModelConfig, Provider};
use llm_types::{Error, ErrorKind};

use crate::nearest::{all_of, did_you_mean, nearest};
use crate::registry::{Found, ModelEntry, Resolved};

/// The most aliases that may stand for one another in a row.
const MOST_ALIASES: usize = 16;

/// Providers, registered clients and aliases, each in its order.
#[derive(Default)]
pub(crate) struct Names {
    providers: Vec<Arc<dyn Provider>>,
    clients: Vec<Arc<dyn ModelClient>>,
    aliases: BTreeMap<String, String>,
    /// What a configuration put here, so that the next one can take it out again.
    configured: Configured,
}

/// Names of one kind each.
#[derive(Default)]
struct Configured {
    providers: BTreeSet<String>,
    clients: BTreeSet<String>,
    aliases: BTreeSet<String>,
}

fn config(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Config, message)
}

/// A provider's name stands before the first `/` or `:`.
pub(crate) fn check_provider(name: &str) -> Result<(), Error> {
    let fine = |c: char| !matches!(c, '/' | ':') && !c.is_whitespace() && !c.is_control();
    if !name.is_empty() && name.chars().all(fine) {
        return Ok(());
    }
    Err(config(format!(
        "{name:?} cannot name a provider: a name has no `/`, no `:` and no space, and is not empty"
    )))
}

/// A client's own id is `provider/model`.
pub(crate) fn check_id(id: &str) -> Result<(), Error> {
    match id.split_once('/') {
        Some((provider, model)) if !model.is_empty() => check_provider(provider),
        _ => Err(config(format!("{id:?} cannot name a client: it has to be `provider/model`"))),
    }
}

impl Names {
    /// Everything here comes from a configuration.
    pub(crate) fn seal(&mut self) {
        self.configured = Configured {
            providers: self.providers.iter().map(|provider| provider.name().to_owned()).collect(),
            clients: self.clients.iter().map(|client| client.id().to_owned()).collect(),
            aliases: self.aliases.keys().cloned().collect(),
        };
    }

    /// Takes the place of older names: of theirs only those stay that were put there by hand and have no new bearer here.
    /// Their order comes after the configuration's own.
    pub(crate) fn succeed(mut self, older: Self) -> Self {
        let Self { providers, clients, aliases, configured } = older;
        for provider in providers {
            let name = provider.name();
            if !configured.providers.contains(name) && self.provider(name).is_none() {
                self.providers.push(provider);
            }
        }
        for client in clients {
            let known = self.clients.iter().any(|new| new.id() == client.id());
            if !configured.clients.contains(client.id()) && !known {
                self.clients.push(client);
            }
        }
        for (alias, target) in aliases {
            if !configured.aliases.contains(&alias) && !self.aliases.contains_key(&alias) {
                self.aliases.insert(alias, target);
            }
        }
        self
    }

    /// Whether this provider's models still have their names.
    pub(crate) fn still_leads_to(&self, provider: &Arc<dyn Provider>) -> bool {
        self.provider(provider.name()).is_some_and(|known| Arc::ptr_eq(known, provider))
    }

    pub(crate) fn clients(&self) -> &[Arc<dyn ModelClient>] {
        &self.clients
    }

    pub(crate) fn put_provider(&mut self, provider: Arc<dyn Provider>) {
        match self.providers.iter_mut().find(|old| old.name() == provider.name()) {
            Some(old) => {
                self.configured.providers.remove(provider.name());
                *old = provider;
            }
            None => self.providers.push(provider),
        }
    }

    pub(crate) fn put_client(&mut self, client: Arc<dyn ModelClient>) {
        match self.clients.iter_mut().find(|old| old.id() == client.id()) {
            Some(old) => {
                self.configured.clients.remove(client.id());
                *old = client;
            }
            None => self.clients.push(client),
        }
    }

    pub(crate) fn take_clients(&mut self) -> Vec<Arc<dyn ModelClient>> {
        std::mem::take(&mut self.clients)
    }

    pub(crate) fn put_alias(&mut self, alias: String, target: String) -> Result<(), Error> {
        if alias.is_empty() || target.is_empty() {
            return Err(config("an alias and what it stands for are not empty"));
        }
        if let Some((provider, model)) = self.split(&alias) {
            return Err(config(format!(
                "`{alias}` cannot be an alias: it already names the model `{model}` of {}",
                provider.name()
            )));
        }
        let mut chain = vec![alias.clone()];
        let mut next = &target;
        loop {
            if *next == alias {
                chain.push(next.clone());
                return Err(config(format!("aliases go round in a circle: {}", chain.join(" → "))));
            }
            let Some(further) = self.aliases.get(next) else { break };
            chain.push(next.clone());
            if chain.len() > MOST_ALIASES {
                return Err(config(format!(
                    "more than {MOST_ALIASES} aliases stand for one another, from `{alias}` on"
                )));
            }
            next = further;
        }
        self.aliases.insert(alias, target);
        Ok(())
    }

    pub(crate) fn provider(&self, name: &str) -> Option<&Arc<dyn Provider>> {
        self.providers.iter().find(|provider| provider.name() == name)
    }

    pub(crate) fn providers(&self) -> &[Arc<dyn Provider>] {
        &self.providers
    }

    pub(crate) fn aliases(&self) -> Vec<(String, String)> {
        self.aliases.iter().map(|(alias, target)| (alias.clone(), target.clone())).collect()
    }

    pub(crate) fn models(&self) -> Vec<ModelEntry> {
        let configured = self.providers.iter().flat_map(|provider| {
            provider.models().iter().map(|model| ModelEntry {
                id: format!("{}/{}", provider.name(), model.name),
                provider: provider.name().to_owned(),
                name: model.name.clone(),
                wire: model.wire().to_owned(),
            })
        });
        let registered = self.clients.iter().filter_map(|client| {
            let (provider, name) = client.id().split_once('/')?;
            let (id, provider) = (client.id().to_owned(), provider.to_owned());
            Some(ModelEntry { id, provider, name: name.to_owned(), wire: name.to_owned() })
        });
        let mut models: Vec<ModelEntry> = configured.collect();
        for entry in registered {
            match models.iter_mut().find(|model| model.id == entry.id) {
                Some(hidden) => *hidden = entry,
                None => models.push(entry),
            }
        }
        models
    }

    /// `provider/model` or `provider:model`, when the head is a provider we know. Tags of models have colons too, and
    /// names of models have slashes, so nothing else is split.
    fn split<'a>(&self, name: &'a str) -> Option<(&Arc<dyn Provider>, &'a str)> {
        ['/', ':'].into_iter().find_map(|mark| {
            let (head, model) = name.split_once(mark)?;
            Some((self.provider(head)?, model))
        })
    }

    /// What a name stands for.
    pub(crate) fn resolve(&self, asked: &str) -> Result<Resolved, Error> {
        let name = asked.trim();
        let mut target = name;
        // Aliases were checked for circles when they were set, but a change of one may have made a long chain.
        for _ in 0..=MOST_ALIASES {
            match self.aliases.get(target) {
                Some(next) => target = next,
                None => break,
            }
        }
        let aliased = target != name;
        let found = self.resolve_plain(target).map_err(|e| {
            if !aliased {
                return e;
            }
            let message = format!("`{name}` is an alias of `{target}`: {}", e.message());
            e.with_message(message)
        })?;
        Ok(match found {
            Resolved::Model { provider, model, .. } if aliased => {
                Resolved::Model { provider, model, by: Found::Configured }
            }
            found => found,
        })
    }

    fn resolve_plain(&self, name: &str) -> Result<Resolved, Error> {
        if name.is_empty() {
            return Err(Error::new(ErrorKind::ModelNotFound, "the model's name is empty"));
        }
        if let Some(client) = self.clients.iter().find(|client| client.id() == name) {
            return Ok(Resolved::Client(client.clone()));
        }
        if let Some((provider, model)) = self.split(name) {
            return self.of_provider(provider, model);
        }
        if let Some(provider) = self.provider(name) {
            return Err(self.only_provider(provider));
        }
        if let Some(found) = self.configured(name)? {
            return Ok(found);
        }
        match self.providers.iter().filter(|provider| provider.claims(name)).collect::<Vec<_>>()[..] {
            [provider] => Ok(Resolved::Model {
                provider: provider.clone(),
                model: Box::new(ModelConfig::new(name)),
                by: Found::Family,
            }),
            [] => Err(self.no_model(name)),
            ref several => {
                let ids = several.iter().map(|provider| format!("{}/{name}", provider.name())).collect();
                Err(ambiguous(name, ids))
            }
        }
    }

    fn of_provider(&self, provider: &Arc<dyn Provider>, model: &str) -> Result<Resolved, Error> {
        if model.is_empty() {
            return Err(self.only_provider(provider));
        }
        let id = format!("{}/{model}", provider.name());
        if let Some(client) = self.clients.iter().find(|client| client.id() == id) {
            return Ok(Resolved::Client(client.clone()));
        }
        let model = Box::new(provider.model(model).cloned().unwrap_or_else(|| ModelConfig::new(model)));
        Ok(Resolved::Model { provider: provider.clone(), model, by: Found::Named })
    }

    /// A bare name that somebody configured.
    fn configured(&self, name: &str) -> Result<Option<Resolved>, Error> {
        let mut found: Vec<Resolved> = Vec::new();
        for provider in &self.providers {
            let registered = format!("{}/{name}", provider.name());
            let hidden = self.clients.iter().any(|client| client.id() == registered);
            if let (Some(model), false) = (provider.model(name), hidden) {
                let (provider, model) = (provider.clone(), Box::new(model.clone()));
                found.push(Resolved::Model { provider, model, by: Found::Configured });
            }
        }
        let registered = |client: &&Arc<dyn ModelClient>| {
            client.id().split_once('/').is_some_and(|(_, model)| model == name)
        };
        found.extend(self.clients.iter().filter(registered).cloned().map(Resolved::Client));
        if found.len() > 1 {
            return Err(ambiguous(name, found.iter().map(Resolved::id).collect()));
        }
        Ok(found.pop())
    }

    fn only_provider(&self, provider: &Arc<dyn Provider>) -> Error {
        let name = provider.name();
        let example = provider.default_model().unwrap_or("MODEL");
        let message =
            format!("`{name}` is a provider, not a model; name one of its models, as in `{name}/{example}`");
        Error::new(ErrorKind::ModelNotFound, message)
    }

    fn no_model(&self, name: &str) -> Error {
        let models = self.models();
        let known: Vec<&str> = models
            .iter()
            .flat_map(|model| [&*model.id, &*model.name])
            .chain(self.aliases.keys().map(String::as_str))
            .collect();
        let message = |rest: &str| format!("there is no model `{name}`{rest}");
        let error = |rest: &str| Error::new(ErrorKind::ModelNotFound, message(rest));
        if let Some(meant) = did_you_mean(name, known) {
            return error(&meant);
        }
        // A slip in the provider's part.
        for mark in ['/', ':'] {
            let Some((head, rest)) = name.split_once(mark) else { continue };
            let heads = nearest(head, self.providers.iter().map(|provider| provider.name()));
            if let Some(head) = heads.first() {
                return error(&format!("; did you mean `{head}/{rest}`?"));
            }
        }
        let providers: Vec<String> = self.providers.iter().map(|p| p.name().to_owned()).collect();
        if providers.is_empty() {
            return error(", and no provider is registered");
        }
        error("").with_hint(format!(
            "name its provider, as in `PROVIDER/{name}`, with one of {}; or configure it",
            providers.join(", ")
        ))
    }

    pub(crate) fn no_provider(&self, name: &str) -> Error {
        let known = self.providers.iter().map(|provider| provider.name());
        let rest = did_you_mean(name, known).unwrap_or_default();
        Error::new(ErrorKind::ProviderNotFound, format!("there is no provider `{name}`{rest}"))
    }
}

fn ambiguous(name: &str, mut ids: Vec<String>) -> Error {
    ids.iter_mut().for_each(|id| *id = format!("`{id}`"));
    config(format!("`{name}` could be {}: say which", all_of(&ids)))
}
