//! Everything that holds, with its origin: gathered once, written as text or as JSON.

use llm_client::Settings;
use llm_client::settings;
use llm_manager::config::{Choice, KeyState, KeyView, Loaded, ModelOutline, Said, SetBy};
use llm_provider::Provider;
use llm_types::Error;
use serde::{Serialize, Serializer};

use crate::session;

/// What nobody said.
const BUILT_IN: &str = "built-in";

/// A value and where it comes from.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct From {
    pub(super) value: String,
    pub(super) from: String,
}

/// The whole configuration.
#[derive(Debug, Serialize)]
pub(super) struct View {
    v: u8,
    /// The model for those who name none.
    pub(super) default: Option<From>,
    /// Where a call would go now.
    pub(super) call: Option<CallView>,
    /// What holds for all models, but for what providers and models say.
    #[serde(serialize_with = "by_key")]
    pub(super) settings: Vec<Row>,
    #[serde(serialize_with = "by_name")]
    pub(super) aliases: Vec<(String, From)>,
    pub(super) providers: Vec<ProviderView>,
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

fn by_name<S: Serializer>(rows: &[(String, From)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(rows.iter().map(|(name, to)| (name, to)))
}

/// The call that would be made.
#[derive(Debug, Serialize)]
pub(super) struct CallView {
    /// `provider/name`.
    pub(super) model: From,
    pub(super) wire: String,
    pub(super) base_url: Option<From>,
    pub(super) keys: Vec<KeyLine>,
    #[serde(serialize_with = "by_key")]
    pub(super) settings: Vec<Row>,
}

/// A provider, built in or configured.
#[derive(Debug, Serialize)]
pub(super) struct ProviderView {
    pub(super) name: String,
    /// Where it is configured; `built-in` where it is not.
    pub(super) from: String,
    pub(super) base_url: Option<From>,
    pub(super) dialect: Option<From>,
    pub(super) keys: Vec<KeyLine>,
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
    /// What differs from its provider.
    #[serde(serialize_with = "by_key")]
    pub(super) settings: Vec<Row>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) extra: Option<serde_json::Value>,
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

fn lines(keys: Vec<KeyView>) -> Vec<KeyLine> {
    keys.into_iter().map(KeyLine::of).collect()
}

impl View {
    /// Gathers everything. `rename` gives an origin the name that the user knows it by.
    pub(super) fn of(loaded: &Loaded, choice: Option<&Choice>, rename: impl Fn(&str) -> String) -> Self {
        let all = |set_by: &[SetBy]| rows(set_by, &rename);
        let settings = all(&loaded.settings);
        let said = |said: &Said| From { value: said.value.clone(), from: said.origin.clone() };
        let providers = loaded
            .manager
            .providers()
            .iter()
            .map(|provider| {
                let name = provider.name();
                let entry = loaded.configured(name);
                let own = all(&loaded.settings_of(name, None));
                let models = entry.map(|entry| entry.models.as_slice()).unwrap_or_default();
                let model = |model: &ModelOutline| ModelView {
                    id: format!("{name}/{}", model.name),
                    name: model.name.clone(),
                    wire: model.wire.clone().unwrap_or_else(|| model.name.clone()),
                    from: model.origin.clone(),
                    settings: differing(all(&loaded.settings_of(name, Some(&model.name))), &own),
                    extra: extra(model),
                };
                ProviderView {
                    name: name.to_owned(),
                    from: entry.map_or(BUILT_IN, |entry| &entry.origin).to_owned(),
                    base_url: base_url(loaded, &**provider),
                    dialect: entry.and_then(|entry| entry.dialect.as_ref()).map(said),
                    keys: lines(loaded.keys_of(name)),
                    models: models.iter().map(model).collect(),
                    settings: differing(own, &settings),
                }
            })
            .collect();
        Self {
            v: 1,
            default: loaded.default_model().map(|(value, from)| From { value, from }),
            call: choice.map(|choice| call(loaded, choice, all(&choice.settings))),
            aliases: loaded.outline.aliases.iter().map(|(name, to)| (name.clone(), said(to))).collect(),
            providers,
            settings,
            files: loaded.files.clone(),
            user_config: loaded.user_config.clone(),
        }
    }
}

fn call(loaded: &Loaded, choice: &Choice, settings: Vec<Row>) -> CallView {
    let provider = choice.id.split('/').next().unwrap_or_default();
    let own = || {
        let provider = loaded.manager.provider(provider)?;
        base_url(loaded, &*provider)
    };
    let moved = choice.address.clone().zip(choice.address_by.clone());
    CallView {
        model: From { value: choice.id.clone(), from: choice.named_by.clone() },
        wire: choice.wire.clone(),
        base_url: moved.map(|(value, from)| From { value, from }).or_else(own),
        keys: lines(loaded.keys_for(choice)),
        settings,
    }
}

/// Where a provider is, and who says so.
fn base_url(loaded: &Loaded, provider: &dyn Provider) -> Option<From> {
    let value = provider.address()?;
    let configured = loaded.configured(provider.name()).and_then(|entry| entry.base_url.as_ref());
    let variable = || {
        let (name, url) = provider.spec()?.address_from(&session::variable)?;
        let same = llm_client::transport::Endpoint::parse(&url).is_ok_and(|url| url.to_string() == value);
        same.then(|| name.to_owned())
    };
    let from = match configured {
        Some(said) => said.origin.clone(),
        None => variable().unwrap_or_else(|| BUILT_IN.to_owned()),
    };
    Some(From { value, from })
}

/// Every setting with the value that holds.
fn rows(set_by: &[SetBy], rename: &impl Fn(&str) -> String) -> Vec<Row> {
    let mut held = Settings::default();
    for set in set_by {
        // They were checked when they were read.
        let _checked: Result<(), Error> = held.set(set.key, &set.value).map_err(Error::from);
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

fn extra(model: &ModelOutline) -> Option<serde_json::Value> {
    if model.extra.is_empty() {
        return None;
    }
    serde_json::to_value(&model.extra).ok()
}
