//! Which model one call of the command line means: `-m`, `--base-url`, `--api-key` and the variables beside them.
//!
//! * A name: `-m`, else `LLM_RS_MODEL`, else the files' `default`, else the only configured model, else `FLEXLLM_MODEL`.
//! * An address: `--base-url`; else `LLM_RS_BASE_URL`, else `FLEXLLM_BASE_URL`, which serve only a name that nobody
//!   configured and a model that `-m` does not name. Where an address is given, a bare name is the name on the wire.
//! * A key: `--api-key`; else `LLM_RS_API_KEY` under the same condition; else the provider's own, unless the address is
//!   foreign to it; else `FLEXLLM_API_KEY`.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use llm_client::ModelClient;
use llm_client::dialect::Dialect;
use llm_client::transport::Endpoint;
use llm_provider::{KeySupply, ModelConfig, Provider, SpecProvider, catalogue};
use llm_types::{Error, ErrorKind, Prices};

use super::layers::SetBy;
use super::load::Loaded;
use super::outside::Given;
use crate::registry::{Found, Resolved};

/// The model that a call goes to, before its client is made.
pub struct Choice {
    /// `provider/name`, as records and errors have it.
    pub id: String,
    /// The name on the wire.
    pub wire: String,
    /// Who said the name: `-m`, a variable, or a place in a file.
    pub named_by: String,
    /// Where requests go: scheme, host and path. `None` when that is known only later.
    pub address: Option<String>,
    /// Who said the address, where it is not the provider's own.
    pub address_by: Option<String>,
    /// Where the key comes from; `None` when none is sent.
    pub key_by: Option<String>,
    /// The settings that somebody changed, with their origins.
    pub settings: Vec<SetBy>,
    /// What its tokens cost: as the configuration says of the model at its own address, else by a list of the user's or our
    /// table.
    pub price: Option<Prices>,
    /// What the user should be told about the choice.
    pub warnings: Vec<String>,
    target: Target,
}

enum Target {
    /// The manager's own client of this name.
    Managed(String),
    /// A client of this call's own.
    Own(Arc<dyn Provider>, Box<ModelConfig>),
}

impl fmt::Debug for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Choice")
            .field("id", &self.id)
            .field("wire", &self.wire)
            .field("named_by", &self.named_by)
            .field("address", &self.address)
            .field("key_by", &self.key_by)
            .finish_non_exhaustive()
    }
}

/// A name that was asked for.
struct Asked<'a> {
    name: Cow<'a, str>,
    by: By,
    said_by: String,
}

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    /// `-m`.
    Argument,
    /// `LLM_RS_MODEL`.
    Variable,
    /// The files.
    Files,
    /// `FLEXLLM_MODEL`, whose names are always names on the wire.
    Older,
}

/// What a call at an address from outside goes to.
struct Aim {
    provider: Arc<dyn Provider>,
    model: Box<ModelConfig>,
    key_by: Option<String>,
}

impl Loaded {
    /// The model for `-m`, or for nothing.
    ///
    /// # Errors
    /// `Config` when no model is named anywhere or something about it is wrong, `ModelNotFound`.
    pub fn choose(&self, model: Option<&str>) -> Result<Choice, Error> {
        let asked = self.asked(model).ok_or_else(|| self.no_model())?;
        let resolved = self.manager.resolve(&asked.name);
        // A name of which the configuration, or its own head, says whose it is.
        let owned = match &resolved {
            Ok(Resolved::Client(_)) => true,
            Ok(Resolved::Model { by, .. }) => matches!(by, Found::Named | Found::Configured),
            Err(_) => false,
        };
        match self.address(&asked, owned) {
            Some(url) => self.at_address(&asked, resolved, url),
            None => self.as_named(&asked, resolved?, owned),
        }
    }

    /// The default model's name, and who says so.
    #[must_use]
    pub fn default_model(&self) -> Option<(String, String)> {
        let asked = self.asked(None)?;
        Some((asked.name.into_owned(), asked.said_by))
    }

    fn asked<'a>(&'a self, model: Option<&'a str>) -> Option<Asked<'a>> {
        let asked =
            |name: &'a str, by, said_by: &str| Asked { name: name.into(), by, said_by: said_by.to_owned() };
        let own = || self.outside.model().map(|given| asked(given.text, By::Variable, given.by));
        let older = || self.outside.older_model().map(|given| asked(given.text, By::Older, given.by));
        let argument = || Some(asked(model?, By::Argument, "-m"));
        let files = || self.default.as_ref().map(|(name, place)| asked(name, By::Files, place));
        let only = || {
            let [model] = &self.manager.models()[..] else { return None };
            let said_by = "the only configured model".to_owned();
            Some(Asked { name: model.id.clone().into(), by: By::Files, said_by })
        };
        argument().or_else(own).or_else(files).or_else(only).or_else(older)
    }

    fn no_model(&self) -> Error {
        let file = self.user_config.as_ref().map(|file| file.display().to_string());
        let file = file.unwrap_or_else(|| "your configuration".to_owned());
        let ids: Vec<String> = self.manager.models().into_iter().map(|model| model.id).collect();
        let with_key = |provider: &Arc<dyn Provider>| {
            let (key, example) = (provider.key_origin()?, provider.default_model()?);
            Some(format!("; {key} is set, so `-m {}/{example}` would work", provider.name()))
        };
        let more = if ids.is_empty() {
            self.manager.providers().iter().find_map(with_key).unwrap_or_default()
        } else {
            format!("; configured are {}", ids.join(", "))
        };
        let hint = format!("name one with -m, in LLM_RS_MODEL, or as `default` in {file}{more}");
        Error::new(ErrorKind::Config, "no model is named").with_hint(hint)
    }

    /// The address that was given from outside, where it serves this name.
    fn address(&self, asked: &Asked<'_>, owned: bool) -> Option<Given<'_>> {
        self.outside.address(asked.by != By::Argument || !owned, asked.by == By::Older || !owned)
    }

    /// A model that is where its provider says.
    fn as_named(&self, asked: &Asked<'_>, resolved: Resolved, owned: bool) -> Result<Choice, Error> {
        let id = resolved.id();
        let Resolved::Model { provider, mut model, .. } = resolved else {
            return Ok(Choice {
                wire: asked.name.to_string(),
                named_by: asked.said_by.clone(),
                address: None,
                address_by: None,
                key_by: None,
                settings: Vec::new(),
                price: None,
                warnings: Vec::new(),
                target: Target::Managed(id.clone()),
                id,
            });
        };
        let serves = asked.by != By::Argument || !owned;
        let given = self.outside.key(serves).or_else(|| {
            let lacking =
                provider.key_origin_of(&model).is_none() && !provider.spec().is_some_and(|row| row.loopback);
            self.outside.older_key(None).filter(|_| lacking && (asked.by == By::Older || !owned))
        });
        let key_by = match &given {
            Some(key) => {
                model.keys = Some(vec![key.key()?]);
                Some(key.by.to_owned())
            }
            None => provider.key_origin_of(&model).map(str::to_owned),
        };
        Ok(Choice {
            wire: model.wire().to_owned(),
            named_by: asked.said_by.clone(),
            address: provider.address_of(&model),
            address_by: None,
            key_by,
            settings: self.set_by(provider.name(), &model.name),
            price: provider.price_of(&model),
            warnings: Vec::new(),
            target: match given {
                Some(_) => Target::Own(provider, model),
                None => Target::Managed(id.clone()),
            },
            id,
        })
    }

    /// A model at an address from outside.
    fn at_address(
        &self,
        asked: &Asked<'_>,
        resolved: Result<Resolved, Error>,
        url: Given<'_>,
    ) -> Result<Choice, Error> {
        let address = Endpoint::parse(url.text).map_err(|e| {
            let message = format!("{}: {}", url.by, e.message());
            e.with_message(message)
        })?;
        // Names of the files are the files' names; others are split only where their head is a provider.
        let named = match resolved {
            Ok(Resolved::Model { by: Found::Configured, provider, model }) if asked.by == By::Files => {
                Some((provider, model))
            }
            Ok(Resolved::Model { by: Found::Named, provider, model }) if asked.by != By::Older => {
                Some((provider, model))
            }
            _ => None,
        };
        let mut warnings = Vec::new();
        let Aim { provider, model, key_by } = match named {
            Some((provider, model)) => self.moved(asked, provider, model, &address, url, &mut warnings)?,
            None => self.ad_hoc(&asked.name, &address, url)?,
        };
        Ok(Choice {
            id: format!("{}/{}", provider.name(), model.name),
            wire: model.wire().to_owned(),
            named_by: asked.said_by.clone(),
            address: Some(address.to_string()),
            address_by: Some(url.by.to_owned()),
            key_by,
            settings: self.set_by(provider.name(), &model.name),
            price: provider.price_of(&model),
            warnings,
            target: Target::Own(provider, model),
        })
    }

    /// A provider's model, asked for at another address: spoken to as that provider, without its key.
    fn moved(
        &self,
        asked: &Asked<'_>,
        provider: Arc<dyn Provider>,
        mut model: Box<ModelConfig>,
        address: &Endpoint,
        url: Given<'_>,
        warnings: &mut Vec<String>,
    ) -> Result<Aim, Error> {
        model.base_url = Some(url.text.to_owned());
        // What it costs at home says nothing of another place.
        model.price = None;
        let own = provider.address().and_then(|own| Endpoint::parse(&own).ok());
        let row = provider.spec().unwrap_or(&catalogue::COMPATIBLE_ROW);
        let home = own.as_ref().is_some_and(|own| row.shares_keys(own, address));
        let key_by = match self.outside.key(asked.by != By::Argument) {
            Some(key) => {
                model.keys = Some(vec![key.key()?]);
                Some(key.by.to_owned())
            }
            None => provider.key_origin().filter(|_| home).map(str::to_owned),
        };
        let (head, tail) = (provider.name(), model.wire());
        if !home && row.key_required && row.name == head && !provider.claims(tail) {
            warnings.push(format!(
                "`{head}/{tail}` is read as the model `{tail}` of {head}; if the server at {address} calls it \
                 `{head}/{tail}`, write `-m {}/{head}/{tail}`",
                catalogue::COMPATIBLE_ROW.name
            ));
        }
        Ok(Aim { provider, model, key_by })
    }

    /// A server that only its address describes.
    fn ad_hoc(&self, wire: &str, address: &Endpoint, url: Given<'_>) -> Result<Aim, Error> {
        let known = catalogue::at(address);
        let row = known.unwrap_or(&catalogue::COMPATIBLE_ROW);
        let vendors = || self.outside.vendors_key(row).filter(|_| row.owns(address));
        let older = || self.outside.older_key(Some(url));
        // The older tool's key goes first to its own address only.
        let older_first = || older().filter(|_| url.is_older());
        let key = self.outside.key(true).or_else(older_first).or_else(vendors).or_else(older);
        let (settings, _) = self.layers.over(&[&self.top], row.name)?;
        let dialect = if known.is_some() { row.dialect } else { Dialect::by_host(address.host()) };
        let mut provider = SpecProvider::new(row)
            .with_dialect(dialect)
            .with_shared(self.shared.clone())
            .with_base_url(url.text)
            .with_settings(settings);
        if let Some(key) = &key {
            provider = provider.with_keys(KeySupply::fixed(key.by, vec![key.key()?]));
        }
        let name = wire.trim();
        if name.is_empty() {
            return Err(Error::new(ErrorKind::ModelNotFound, "the model's name is empty"));
        }
        let model = Box::new(ModelConfig::new(name));
        Ok(Aim { provider: Arc::new(provider), model, key_by: key.map(|key| key.by.to_owned()) })
    }

    pub(super) fn set_by(&self, provider: &str, model: &str) -> Vec<SetBy> {
        let of = |name: &str| self.set_by.get(name).cloned();
        of(&format!("{provider}/{model}")).or_else(|| of(provider)).unwrap_or_else(|| self.settings.clone())
    }

    /// The client for a choice. Nothing is sent.
    ///
    /// # Errors
    /// `Authentication` without a key where one is needed, `ModelNotFound`, `Config`.
    pub fn client(&self, choice: &Choice) -> Result<Arc<dyn ModelClient>, Error> {
        match &choice.target {
            Target::Managed(id) => self.manager.client(id),
            Target::Own(provider, model) => {
                let client = provider.create_client(model)?;
                self.manager.close_with(client.clone())?;
                Ok(client)
            }
        }
    }
}
