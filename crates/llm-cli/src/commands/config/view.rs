//! Everything that holds, with its origin: gathered once, written as text or as JSON.

use llm_client::Settings;
use llm_client::settings;
use llm_manager::config::{
    Choice, KeyState, KeyView, Loaded, ModelOutline, PlaceOutline, Said, SetBy, Table, Target,
};
use llm_provider::Provider;
use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::folders;
use crate::session;

/// What nobody said.
pub(super) const BUILT_IN: &str = "built-in";

/// A value and where it comes from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Fact {
    pub(super) value: Value,
    pub(super) from: String,
}

/// A key, by no more than its last characters.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct KeyLine {
    pub(crate) form: &'static str,
    pub(crate) name: String,
    /// Where the configuration names it.
    pub(crate) from: Option<String>,
    pub(crate) state: &'static str,
    pub(crate) last4: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
}

impl KeyLine {
    pub(crate) fn of(key: KeyView) -> Self {
        let (state, last4, why) = match key.state {
            KeyState::Set(last4) => ("set", Some(last4), None),
            KeyState::Missing => ("missing", None, None),
            KeyState::Unread => ("unread", None, None),
            KeyState::Broken(why) => ("broken", None, Some(why)),
        };
        Self { form: key.form.as_str(), name: key.name, from: key.origin, state, last4, why }
    }

    /// The variable, the file or the flag; the place of a key that stands in a configuration file.
    pub(crate) fn source(&self) -> String {
        match (&self.from, self.form) {
            (_, "text") => self.name.clone(),
            // Their names say what they are.
            (Some(place), "command" | "keyring") => format!("{} ({place})", self.name),
            (Some(place), form) => format!("{form} {} ({place})", self.name),
            (None, form) => format!("{form} {}", self.name),
        }
    }

    /// What can be said about the key itself.
    pub(crate) fn shown(&self) -> String {
        match (&self.last4, &self.why) {
            (Some(last4), _) => last4.clone(),
            (None, Some(why)) => format!("{}: {why}", self.state),
            (None, None) if self.state == "unread" => "not read".to_owned(),
            (None, None) => self.state.to_owned(),
        }
    }
}

/// The whole configuration.
#[derive(Debug, Serialize)]
pub(super) struct View {
    v: u8,
    /// The model for those who name none.
    pub(super) default: Option<Fact>,
    /// The user's own list of prices.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) prices: Option<Fact>,
    /// Where a call would go now.
    pub(super) call: Option<CallView>,
    /// What holds for all models, but for what providers and models say.
    #[serde(serialize_with = "by_key")]
    pub(super) settings: Vec<Row>,
    #[serde(serialize_with = "by_name")]
    pub(super) aliases: Vec<(String, Fact)>,
    pub(super) providers: Vec<ProviderView>,
    pub(super) pools: Vec<TableView>,
    pub(super) chains: Vec<TableView>,
    pub(super) budgets: Vec<TableView>,
    pub(super) limits: Vec<TableView>,
    pub(super) files: Vec<std::path::PathBuf>,
    pub(super) user_config: Option<std::path::PathBuf>,
}

/// One setting.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Row {
    #[serde(skip)]
    pub(super) key: &'static str,
    /// `None` where nothing is set.
    pub(super) value: Option<String>,
    pub(super) from: String,
}

/// So that `.settings.max_retries.value` finds one.
fn by_key<S: Serializer>(rows: &[Row], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(rows.iter().map(|row| (row.key, row)))
}

fn by_name<S: Serializer>(rows: &[(String, Fact)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(rows.iter().map(|(name, to)| (name, to)))
}

/// The call that would be made.
#[derive(Debug, Serialize)]
pub(super) struct CallView {
    /// `provider/name`.
    pub(super) model: Fact,
    pub(super) wire: String,
    /// Where it may go: one address, or several of one provider; none for a pool or a chain, whose members say it.
    pub(super) places: Vec<PlaceView>,
    #[serde(serialize_with = "by_key")]
    pub(super) settings: Vec<Row>,
}

impl CallView {
    /// Whether the name on the wire is another than the one it is asked for by.
    pub(super) fn is_renamed(&self) -> bool {
        let name = self.model.value.as_str().and_then(|id| id.split_once('/'));
        name.is_none_or(|(_, name)| name != self.wire)
    }
}

/// An address, and the keys that go there.
#[derive(Debug, Serialize)]
pub(super) struct PlaceView {
    pub(super) whose: String,
    pub(super) base_url: Option<Fact>,
    pub(super) dialect: Option<Fact>,
    pub(super) keys: Vec<KeyLine>,
    #[serde(serialize_with = "by_name")]
    pub(super) says: Vec<(String, Fact)>,
}

/// A provider, built in or configured.
#[derive(Debug, Serialize)]
pub(super) struct ProviderView {
    pub(super) name: String,
    /// Where it is configured; `built-in` where it is not.
    pub(super) from: String,
    pub(super) places: Vec<PlaceView>,
    #[serde(serialize_with = "by_name")]
    pub(super) says: Vec<(String, Fact)>,
    /// What differs from what holds for all.
    #[serde(serialize_with = "by_key")]
    pub(super) settings: Vec<Row>,
    pub(super) models: Vec<ModelView>,
}

/// A configured model.
#[derive(Debug, Serialize)]
pub(super) struct ModelView {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) wire: String,
    pub(super) from: String,
    /// Its own addresses; none where its provider's hold.
    pub(super) places: Vec<PlaceView>,
    #[serde(serialize_with = "by_name")]
    pub(super) says: Vec<(String, Fact)>,
    /// What differs from its provider.
    #[serde(serialize_with = "by_key")]
    pub(super) settings: Vec<Row>,
}

/// A pool, a chain, a budget or a limit.
#[derive(Debug, Serialize)]
pub(super) struct TableView {
    pub(super) name: String,
    pub(super) from: String,
    #[serde(serialize_with = "by_name")]
    pub(super) says: Vec<(String, Fact)>,
}

fn facts(says: &[Said], rename: &impl Fn(&str) -> String) -> Vec<(String, Fact)> {
    says.iter().map(|said| (said.key.clone(), fact(said, rename))).collect()
}

fn fact(said: &Said, rename: &impl Fn(&str) -> String) -> Fact {
    let value = match said.value.as_str() {
        Some(text) => Value::from(session::shown(&said.key, text)),
        None => said.value.clone(),
    };
    Fact { value, from: rename(&said.origin) }
}

impl View {
    /// Gathers everything. `rename` gives an origin the name that the user knows it by.
    pub(super) fn of(loaded: &Loaded, choice: Option<&Choice>, rename: impl Fn(&str) -> String) -> Self {
        let outline = &loaded.outline;
        let settings = rows(&loaded.settings, &rename);
        let table = |table: &Table| TableView {
            name: table.name.clone(),
            from: table.origin.clone(),
            says: facts(&table.says, &rename),
        };
        let tables = |tables: &[Table]| tables.iter().map(table).collect();
        let providers = loaded.manager.providers();
        let groups = |provider: &&std::sync::Arc<dyn Provider>| {
            // Pools and chains have tables of their own.
            provider.spec().is_some() || loaded.configured(provider.name()).is_some()
        };
        Self {
            v: 1,
            default: loaded.default_model().map(|(value, from)| Fact { value: value.into(), from }),
            prices: outline.prices.as_ref().map(|said| fact(said, &rename)),
            call: choice.map(|choice| call(loaded, choice, &rename)),
            aliases: facts(&outline.aliases, &rename),
            providers: providers
                .iter()
                .filter(groups)
                .map(|one| provider(loaded, &**one, &settings, &rename))
                .collect(),
            pools: tables(&outline.pools),
            chains: tables(&outline.chains),
            budgets: tables(&outline.budgets),
            limits: tables(&outline.limits),
            settings,
            files: loaded.files.clone(),
            user_config: loaded.user_config.clone(),
        }
    }
}

fn provider(
    loaded: &Loaded,
    provider: &dyn Provider,
    settings: &[Row],
    rename: &impl Fn(&str) -> String,
) -> ProviderView {
    let name = provider.name();
    let entry = loaded.configured(name);
    let own = rows(&loaded.settings_of(name, None), rename);
    let targets = loaded.targets(name);
    // `name`, `name[0]`; a model's own begin with `name/`.
    let of = |whose: &str| -> Vec<PlaceView> {
        let is = |target: &&Target| target.whose.split('[').next() == Some(whose);
        targets.iter().filter(is).map(|target| place(loaded, provider, target, rename)).collect()
    };
    let model = |model: &ModelOutline| {
        let id = format!("{name}/{}", model.table.name);
        ModelView {
            wire: model.wire.clone().unwrap_or_else(|| model.table.name.clone()),
            name: model.table.name.clone(),
            from: model.table.origin.clone(),
            places: of(&id),
            says: facts(&model.table.says, rename),
            settings: differing(rows(&loaded.settings_of(name, Some(&model.table.name)), rename), &own),
            id,
        }
    };
    ProviderView {
        name: name.to_owned(),
        from: entry.map_or(BUILT_IN, |entry| &entry.table.origin).to_owned(),
        places: of(name),
        says: entry.map(|entry| facts(&entry.table.says, rename)).unwrap_or_default(),
        models: entry.map(|entry| entry.models.iter().map(model).collect()).unwrap_or_default(),
        settings: differing(own, settings),
    }
}

fn call(loaded: &Loaded, choice: &Choice, rename: &impl Fn(&str) -> String) -> CallView {
    let provider = choice.id.split('/').next().and_then(|name| loaded.manager.provider(name));
    let place = |target: &Target| {
        let mut view = match &provider {
            Some(provider) => place(loaded, &**provider, target, rename),
            None => bare(target),
        };
        if let (Some(url), Some(by)) = (&target.address, &choice.address_by) {
            view.base_url = Some(Fact { value: url.as_str().into(), from: by.clone() });
        }
        view
    };
    CallView {
        model: Fact { value: choice.id.as_str().into(), from: choice.named_by.clone() },
        wire: choice.wire.clone(),
        places: loaded.targets_for(choice).iter().map(place).collect(),
        settings: rows(&choice.settings, rename),
    }
}

fn bare(target: &Target) -> PlaceView {
    PlaceView {
        whose: target.whose.clone(),
        base_url: target.address.as_deref().map(|url| Fact { value: url.into(), from: BUILT_IN.to_owned() }),
        dialect: None,
        keys: target.keys.iter().cloned().map(KeyLine::of).collect(),
        says: Vec::new(),
    }
}

/// An address with who says so.
fn place(
    loaded: &Loaded,
    provider: &dyn Provider,
    target: &Target,
    rename: &impl Fn(&str) -> String,
) -> PlaceView {
    let outlines = outlines(loaded, provider.name(), &target.whose);
    let base_url = target.address.as_deref().map(|url| {
        let said = outlines.iter().find_map(|place| place.base_url.as_ref());
        let from = match said {
            Some(said) => said.origin.clone(),
            None => variable(provider, url).unwrap_or_else(|| BUILT_IN.to_owned()),
        };
        Fact { value: url.into(), from }
    });
    PlaceView {
        base_url,
        dialect: outlines.iter().find_map(|place| place.dialect.as_ref()).map(|said| fact(said, rename)),
        says: outlines.first().map(|place| facts(&place.says, rename)).unwrap_or_default(),
        ..bare(target)
    }
}

/// What the files say about an address, the nearest word first.
fn outlines<'a>(loaded: &'a Loaded, provider: &str, whose: &str) -> Vec<&'a PlaceOutline> {
    let Some(entry) = loaded.configured(provider) else { return Vec::new() };
    let (name, at) = match whose.strip_suffix(']').and_then(|whose| whose.rsplit_once('[')) {
        Some((name, at)) => (name, at.parse::<usize>().ok()),
        None => (whose, None),
    };
    let model = name.split_once('/').map(|(_, model)| model);
    let model = model.and_then(|model| entry.models.iter().find(|one| one.table.name == model));
    let one = |endpoints: &'a [PlaceOutline]| match (at, endpoints) {
        (Some(at), endpoints) => endpoints.get(at),
        (None, [only]) => Some(only),
        (None, _) => None,
    };
    let mut found: Vec<&PlaceOutline> = Vec::new();
    if let Some(model) = model {
        found.extend(one(&model.endpoints));
        found.push(&model.place);
        // A model with an address of its own has nothing of its provider's but the format.
    } else {
        found.extend(one(&entry.endpoints));
    }
    found.push(&entry.place);
    found
}

/// The variable that says where a provider is.
fn variable(provider: &dyn Provider, address: &str) -> Option<String> {
    let (name, url) = provider.spec()?.address_from(&folders::variable)?;
    let same = llm_client::transport::Endpoint::parse(&url).is_ok_and(|url| url.to_string() == address);
    same.then(|| name.to_owned())
}

/// Every setting with the value that holds.
fn rows(set_by: &[SetBy], rename: &impl Fn(&str) -> String) -> Vec<Row> {
    let mut held = Settings::default();
    for set in set_by {
        // They were checked when they were read.
        let _checked = held.set(set.key, &set.value);
    }
    let row = |row: &settings::SettingRow| {
        let said = set_by.iter().find(|set| set.key == row.key);
        Row {
            key: row.key,
            value: row.value(&held).map(|value| session::shown(row.key, &value)),
            from: said.map_or_else(|| BUILT_IN.to_owned(), |set| rename(&set.origin)),
        }
    };
    settings::table().iter().map(row).collect()
}

/// The rows that are not the same one level up.
pub(super) fn differing(rows: Vec<Row>, above: &[Row]) -> Vec<Row> {
    rows.into_iter().filter(|row| !above.contains(row)).collect()
}
