//! What the files say, merged, each thing with its place: for those who want to see the configuration rather than use it.

use std::fmt;
use std::sync::Arc;

use llm_client::ModelClient;
use llm_provider::{KeySupply, ModelConfig, Provider};
use llm_types::{Error, Extra};

use super::choose::Choice;
use super::keys::{self, KeyForm, KeyState, KeyView};
use super::layers::SetBy;
use super::load::Loaded;
use super::schema::{Config, Located};

/// Stands for the model's name where a server is asked for its list and no model is meant.
const ANY_MODEL: &str = "any";

/// A value and the place it stands at (`FILE:LINE`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The value as text.
    pub value: String,
    /// Where it stands.
    pub origin: String,
}

/// The files' word, merged.
#[derive(Clone, Debug, Default)]
pub struct Outline {
    /// Names that stand for others, by name.
    pub aliases: Vec<(String, Said)>,
    /// The providers that are configured, in their order.
    pub providers: Vec<ProviderOutline>,
}

/// `[providers.NAME]`.
#[derive(Clone, Debug)]
pub struct ProviderOutline {
    /// Its name.
    pub name: String,
    /// Where it begins.
    pub origin: String,
    /// The address.
    pub base_url: Option<Said>,
    /// The format on the wire.
    pub dialect: Option<Said>,
    /// Its keys; an empty list says that none are sent.
    pub keys: Option<Vec<KeyView>>,
    /// The same keys, each by itself.
    pub(super) supplies: Vec<KeySupply>,
    /// Its models, in their order.
    pub models: Vec<ModelOutline>,
}

/// `[providers.NAME.models."NAME"]`.
#[derive(Clone, Debug)]
pub struct ModelOutline {
    /// Its name.
    pub name: String,
    /// Where it begins.
    pub origin: String,
    /// The name on the wire, where it differs.
    pub wire: Option<String>,
    /// Members of the body that are sent as they are.
    pub extra: Extra,
}

/// A client that carries one of a provider's keys.
#[derive(Clone, Debug)]
pub struct KeyClient {
    /// The key.
    pub key: KeyView,
    /// The client, or the error that a call would meet.
    pub client: Result<Arc<dyn ModelClient>, Error>,
}

fn said(located: &Located<impl fmt::Display>) -> Said {
    Said { value: located.value.to_string(), origin: located.place.to_string() }
}

impl Outline {
    pub(super) fn of(config: &Config, env: &dyn Fn(&str) -> Option<String>) -> Self {
        let mut aliases: Vec<_> = config
            .aliases
            .iter()
            .map(|alias| {
                let said = Said { value: alias.target.clone(), origin: alias.place.to_string() };
                (alias.name.clone(), said)
            })
            .collect();
        aliases.sort_by(|one, other| one.0.cmp(&other.0));
        let providers = config
            .providers
            .iter()
            .map(|entry| ProviderOutline {
                name: entry.name.clone(),
                origin: entry.place.to_string(),
                base_url: entry.base_url.as_ref().map(said),
                dialect: entry.dialect.as_ref().map(|dialect| Said {
                    value: dialect.value.as_str().to_owned(),
                    origin: dialect.place.to_string(),
                }),
                keys: entry.keys.as_ref().map(|keys| keys.iter().map(|key| KeyView::of(key, env)).collect()),
                supplies: entry
                    .keys
                    .iter()
                    .flatten()
                    .map(|key| keys::supply(&entry.name, vec![key.clone()], env))
                    .collect(),
                models: entry
                    .models
                    .iter()
                    .map(|model| ModelOutline {
                        name: model.name.clone(),
                        origin: model.place.to_string(),
                        wire: model.model.clone(),
                        extra: model.extra.clone(),
                    })
                    .collect(),
            })
            .collect();
        Self { aliases, providers }
    }
}

impl Loaded {
    /// What the files say about a provider; `None` for one that is only built in.
    #[must_use]
    pub fn configured(&self, provider: &str) -> Option<&ProviderOutline> {
        self.outline.providers.iter().find(|entry| entry.name == provider)
    }

    /// The settings that hold for a provider, or for one of its models, and that somebody changed.
    #[must_use]
    pub fn settings_of(&self, provider: &str, model: Option<&str>) -> Vec<SetBy> {
        self.set_by(provider, model.unwrap_or_default())
    }

    /// The keys that a provider's own address gets, as they are now; a key's file is read for it. Empty when none is sent.
    #[must_use]
    pub fn keys_of(&self, provider: &str) -> Vec<KeyView> {
        let Some(built) = self.manager.provider(provider) else { return Vec::new() };
        let Some(origin) = built.key_origin() else { return Vec::new() };
        let entries = self.configured(provider).and_then(|entry| entry.keys.as_deref()).unwrap_or_default();
        let names: Vec<&str> = entries.iter().map(|entry| entry.name.as_str()).collect();
        if names.join(", ") == origin {
            return entries.iter().map(KeyView::read).collect();
        }
        self.outside_key(origin).into_iter().collect()
    }

    /// The keys that a call of this choice would carry.
    #[must_use]
    pub fn keys_for(&self, choice: &Choice) -> Vec<KeyView> {
        let Some(by) = &choice.key_by else { return Vec::new() };
        match (self.outside_key(by), choice.id.split_once('/')) {
            (Some(key), _) => vec![key],
            (None, Some((provider, _))) => self.keys_of(provider),
            (None, None) => Vec::new(),
        }
    }

    /// The key in a variable that needs no naming (`LLM_RS_API_KEY`, a vendor's own); `None` when it is not set.
    #[must_use]
    pub fn key_in(&self, variable: &str) -> Option<KeyView> {
        self.outside_key(variable)
    }

    /// One client for each key of a provider, at the provider's own address, for whoever tries the keys one by one. A key
    /// that is missing or broken comes with the error that a call would meet.
    #[must_use]
    pub fn clients_by_key(&self, provider: &str) -> Vec<KeyClient> {
        let Some(built) = self.manager.provider(provider) else { return Vec::new() };
        let mut keys = self.keys_of(provider);
        let name = self.any_model(&*built);
        if keys.len() < 2 {
            // Whatever guards the key in a call guards it here.
            let plain = |key| KeyClient { key, client: self.manager.client(&name) };
            return keys.pop().map(plain).into_iter().collect();
        }
        let model = name.split_once('/').map_or("", |(_, model)| model).to_owned();
        let supplies = self.configured(provider).map(|entry| entry.supplies.as_slice()).unwrap_or_default();
        let client = |(key, supply): (KeyView, &KeySupply)| {
            let of =
                |keys| built.create_client(&ModelConfig { keys: Some(keys), ..ModelConfig::new(&model) });
            KeyClient { key, client: supply.read().and_then(of) }
        };
        keys.into_iter().zip(supplies).map(client).collect()
    }

    /// `provider/model` of a provider for whoever wants its server rather than a model.
    #[must_use]
    pub fn any_model(&self, provider: &dyn Provider) -> String {
        let first = provider.models().first().map(|model| model.name.as_str());
        let model = provider.default_model().or(first).unwrap_or(ANY_MODEL);
        format!("{}/{model}", provider.name())
    }

    /// A key of the command line or of a variable that nobody had to name.
    fn outside_key(&self, name: &str) -> Option<KeyView> {
        let key = self.outside.key_named(name)?;
        let form = if name.starts_with('-') { KeyForm::Flag } else { KeyForm::Variable };
        let state = KeyState::of(key.map(Some).map_err(|e| e.chain()));
        Some(KeyView { form, name: name.to_owned(), origin: None, state })
    }
}
