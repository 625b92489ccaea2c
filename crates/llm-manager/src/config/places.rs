//! Where the requests of a provider or a model go, and with which keys: each address by itself.

use std::sync::Arc;

use llm_client::{ModelClient, Settings};
use llm_provider::{KeySupply, ModelConfig, Provider};
use llm_types::Error;

use super::choose::Choice;
use super::keys::{KeyForm, KeyState, KeyView};
use super::load::Loaded;
use super::outline::PlaceOutline;
use super::site::{ConfiguredProvider, Own, Site};

/// Stands for the model's name where a server is asked for its list and no model is meant.
const ANY_MODEL: &str = "any";

/// One address and the keys that go there.
#[derive(Clone, Debug)]
pub struct Target {
    /// Whose it is: a provider, `provider/model`, and behind it `[0]`, `[1]` … where there are several.
    pub whose: String,
    /// Scheme, host and path. `None` when it is known only later.
    pub address: Option<String>,
    /// The keys that are sent there, as they are now; a key's file is read for it. Empty when none is.
    pub keys: Vec<KeyView>,
    provider: Arc<dyn Provider>,
    /// The settings of a call there.
    settings: Settings,
    /// The same keys, where a file of configuration gives them.
    supplies: Vec<KeySupply>,
}

/// A client that carries one of the keys.
#[derive(Clone, Debug)]
pub struct KeyClient {
    /// The key; `None` where none is sent.
    pub key: Option<KeyView>,
    /// The client, or the error that a call would meet.
    pub client: Result<Arc<dyn ModelClient>, Error>,
}

impl Target {
    /// One client for each key, for whoever tries the keys one by one. A key that is missing or broken comes with the error
    /// that a call would meet.
    #[must_use]
    pub fn clients_by_key(&self) -> Vec<KeyClient> {
        let model = self.provider.default_model().unwrap_or(ANY_MODEL);
        let model =
            |keys| ModelConfig { keys, settings: Some(self.settings.clone()), ..ModelConfig::new(model) };
        if self.keys.len() < 2 || self.keys.len() != self.supplies.len() {
            // Whatever guards the key in a call guards it here.
            let client = self.provider.create_client(&model(None));
            return vec![KeyClient { key: self.keys.first().cloned(), client }];
        }
        let one = |(key, supply): (&KeyView, &KeySupply)| {
            let client = supply.read().and_then(|keys| self.provider.create_client(&model(Some(keys))));
            KeyClient { key: Some(key.clone()), client }
        };
        self.keys.iter().zip(&self.supplies).map(one).collect()
    }
}

impl Loaded {
    /// Every address that a provider has, its models' own among them, with the keys that go there.
    #[must_use]
    pub fn targets(&self, provider: &str) -> Vec<Target> {
        let Some(site) = self.sites.get(provider) else { return self.plain(provider).into_iter().collect() };
        let mut targets = self.of_provider(provider, site);
        for model in &site.models {
            targets.extend(self.of_model(provider, site, &model.name).unwrap_or_default());
        }
        targets
    }

    /// The addresses that a call of this choice may go to. Empty for a pool or a chain, and where the choice is known only to
    /// its client.
    #[must_use]
    pub fn targets_for(&self, choice: &Choice) -> Vec<Target> {
        let Some((provider, model)) = choice.id.split_once('/') else { return Vec::new() };
        let mut targets = match self.sites.get(provider) {
            Some(site) => {
                self.of_model(provider, site, model).unwrap_or_else(|| self.of_provider(provider, site))
            }
            None => self.plain(provider).into_iter().collect(),
        };
        let key = choice.key_by.as_deref();
        if choice.address_by.is_some() || targets.is_empty() {
            // Somewhere else than its provider says, or nobody's provider at all.
            let given = key.and_then(|by| self.outside_key(by)).into_iter().collect();
            let keys = match (choice.key_by.is_some(), targets.first_mut()) {
                (true, Some(first)) if first.provider.key_origin() == key => std::mem::take(&mut first.keys),
                _ => given,
            };
            let Some(provider) = targets.pop().map(|target| target.provider) else { return Vec::new() };
            let (whose, address, settings) = (choice.id.clone(), choice.address.clone(), Settings::default());
            return vec![Target { whose, address, keys, provider, settings, supplies: Vec::new() }];
        }
        if let Some(given) = key.and_then(|by| self.outside_key(by)) {
            for target in &mut targets {
                (target.keys, target.supplies) = (vec![given.clone()], Vec::new());
            }
        }
        targets
    }

    /// The key in a variable that needs no naming (`LLM_RS_API_KEY`, a vendor's own); `None` when it is not set.
    #[must_use]
    pub fn key_in(&self, variable: &str) -> Option<KeyView> {
        self.outside_key(variable)
    }

    /// `provider/model` of a provider for whoever wants its server rather than a model.
    #[must_use]
    pub fn any_model(&self, provider: &dyn Provider) -> String {
        let first = provider.models().first().map(|model| model.name.as_str());
        let model = provider.default_model().or(first).unwrap_or(ANY_MODEL);
        format!("{}/{model}", provider.name())
    }

    /// A provider with one address.
    fn plain(&self, name: &str) -> Option<Target> {
        let provider = self.manager.provider(name)?;
        // Pools and chains have no address of their own.
        if provider.spec().is_none() && provider.address().is_none() {
            return None;
        }
        let places: Vec<&PlaceOutline> =
            self.configured(name).map(|entry| &entry.place).into_iter().collect();
        Some(self.target(name.to_owned(), provider, &places, self.settings_now(name, "")))
    }

    fn of_provider(&self, name: &str, site: &ConfiguredProvider) -> Vec<Target> {
        let entry = self.configured(name);
        let own = entry.map(|entry| &entry.place);
        let Some(balanced) = &site.endpoints else {
            let places: Vec<&PlaceOutline> = own.into_iter().collect();
            let base = Arc::new(site.base.clone());
            let target = self.target(name.to_owned(), base, &places, self.settings_now(name, ""));
            return Some(target).filter(|target| target.address.is_some()).into_iter().collect();
        };
        let endpoints = entry.map(|entry| entry.endpoints.as_slice()).unwrap_or_default();
        self.several(name, name, &balanced.sites, endpoints, own)
    }

    /// The addresses of a model that has its own.
    fn of_model(&self, name: &str, site: &ConfiguredProvider, model: &str) -> Option<Vec<Target>> {
        let entry = self.configured(name);
        let outline = entry.and_then(|entry| entry.models.iter().find(|one| one.table.name == model));
        let whose = format!("{name}/{model}");
        let inherited = entry.map(|entry| &entry.place);
        Some(match site.own.get(model)? {
            Own::One(site) => {
                let places: Vec<&PlaceOutline> =
                    outline.map(|outline| &outline.place).into_iter().chain(inherited).collect();
                let provider = Arc::new(site.provider.clone());
                vec![self.target(whose, provider, &places, self.settings_now(name, model))]
            }
            Own::Many(balanced) => {
                let endpoints = outline.map(|outline| outline.endpoints.as_slice()).unwrap_or_default();
                let own = outline.map(|outline| &outline.place).filter(|place| place.keys.is_some());
                self.several(name, &whose, &balanced.sites, endpoints, own.or(inherited))
            }
        })
    }

    fn several(
        &self,
        name: &str,
        whose: &str,
        sites: &[Site],
        endpoints: &[PlaceOutline],
        inherited: Option<&PlaceOutline>,
    ) -> Vec<Target> {
        let model = whose.split_once('/').map_or("", |(_, model)| model);
        let one = |(at, site): (usize, &Site)| {
            let places: Vec<&PlaceOutline> = endpoints.get(at).into_iter().chain(inherited).collect();
            let mut settings = self.settings_now(name, model);
            for (key, value) in &site.settings {
                // They were checked when they were read.
                let _checked = settings.set(key, value);
            }
            let whose = if sites.len() > 1 { format!("{whose}[{at}]") } else { whose.to_owned() };
            self.target(whose, Arc::new(site.provider.clone()), &places, settings)
        };
        sites.iter().enumerate().map(one).collect()
    }

    /// The provider knows where its keys come from; the outlines know more about them.
    fn target(
        &self,
        whose: String,
        provider: Arc<dyn Provider>,
        places: &[&PlaceOutline],
        settings: Settings,
    ) -> Target {
        let address = provider.address();
        let names =
            |keys: &[KeyView]| keys.iter().map(|key| key.name.as_str()).collect::<Vec<_>>().join(", ");
        let (mut keys, mut supplies) = (Vec::new(), Vec::new());
        if let Some(origin) = provider.key_origin() {
            let known =
                |place: &&&PlaceOutline| place.keys.as_deref().is_some_and(|keys| names(keys) == origin);
            match places.iter().find(known) {
                Some(place) => {
                    keys = place.keys.iter().flatten().map(KeyView::read).collect();
                    supplies.clone_from(&place.supplies);
                }
                None => keys.extend(self.outside_key(origin)),
            }
        }
        Target { whose, address, keys, provider, settings, supplies }
    }

    fn settings_now(&self, provider: &str, model: &str) -> Settings {
        let mut settings = Settings::default();
        for set in self.set_by(provider, model) {
            // They were checked when they were read.
            let _checked = settings.set(set.key, &set.value);
        }
        settings
    }

    /// A key of the command line or of a variable that nobody had to name.
    fn outside_key(&self, name: &str) -> Option<KeyView> {
        let key = self.outside.key_named(name)?;
        let form = if name.starts_with('-') { KeyForm::Flag } else { KeyForm::Variable };
        let state = KeyState::of(key.map(Some).map_err(|e| e.chain()));
        Some(KeyView { form, name: name.to_owned(), origin: None, state })
    }
}
