//! How a client is put together: its address, its keys, its row.

use std::borrow::Cow;
use std::sync::Arc;

use llm_client::clock;
use llm_client::dialect::AuthHeader;
use llm_client::transport::Endpoint;
use llm_client::{HttpClient, ModelClient};
use llm_types::{Error, ErrorKind, Prices, Secret};

use super::SpecProvider;
use crate::catalogue;
use crate::families;
use crate::prices::PriceTable;
use crate::provider::{ModelConfig, Provider as _};
use crate::spec::ProviderSpec;

/// What is said of a vendor's price where its models are asked for at another address.
const ELSEWHERE: &str = "the vendor's price; it was asked at another address";

impl SpecProvider {
    /// The client of a model: the one that is kept, where the model is what its name stands for, and one of its own where
    /// it differs. `at` is an address known only now.
    pub(crate) fn create_at(
        &self,
        model: &ModelConfig,
        at: Option<&dyn Fn() -> Result<String, Error>>,
    ) -> Result<Arc<dyn ModelClient>, Error> {
        self.check_model(model)?;
        let configured = self.model(&model.name);
        let usual = configured.map_or_else(|| *model == ModelConfig::new(&model.name), |own| own == model);
        if !usual {
            return Ok(Arc::new(self.make(model, at)?));
        }
        self.clients.shared_http(&model.name, configured.is_some(), || self.make(model, at))
    }

    /// The one place where a client over HTTP is put together.
    pub(crate) fn make(
        &self,
        model: &ModelConfig,
        at: Option<&dyn Fn() -> Result<String, Error>>,
    ) -> Result<HttpClient, Error> {
        let named = |e: Error| e.with_model(&self.name, &model.name);
        let given = match at {
            Some(at) if model.base_url.is_none() => Some(at()?),
            _ => None,
        };
        let Some(base_url) = model.base_url.as_deref().or(given.as_deref()).or(self.base_url.as_deref())
        else {
            let message = format!("{} needs a base URL", self.name);
            return Err(named(
                Error::new(ErrorKind::Config, message)
                    .with_hint("give it with --base-url, or as base_url in the configuration"),
            ));
        };
        let address = Endpoint::parse(base_url).map_err(|e| match self.address_variable {
            Some(variable) if model.base_url.is_none() => {
                let message = format!("{variable}: {}", e.message());
                named(e.with_message(message))
            }
            _ => named(e),
        })?;
        let keys = self.keys_for(model, &address).map_err(named)?;
        self.connect(base_url, &address, model, keys).map_err(named)
    }

    /// The row that an address is spoken to by: this provider's, unless that is the one for any server and the address
    /// tells more.
    fn row_at(&self, address: &Endpoint) -> &'static ProviderSpec {
        let any = self.spec.name == catalogue::COMPATIBLE.name;
        catalogue::at(address).filter(|_| any).unwrap_or(self.spec)
    }

    fn connect(
        &self,
        base_url: &str,
        address: &Endpoint,
        model: &ModelConfig,
        keys: Vec<Secret>,
    ) -> Result<HttpClient, Error> {
        let settings = model.settings.clone().unwrap_or_else(|| self.settings.clone());
        let row = self.row_at(address);
        let guest = row.guest(model.wire()).filter(|_| self.dialect == row.dialect);
        let dialect = guest.map_or(self.dialect, |guest| guest.dialect);
        let base_url = guest.map_or(Cow::Borrowed(base_url), |guest| guest.address(base_url));
        let transport = self.shared.transport(&settings)?;
        // A token stays with whom it was given for, as a key does.
        let own_place = model.base_url.as_deref().is_none_or(|url| self.shares_keys_with(url));
        let sign_in = row.sign_in.as_ref().filter(|_| keys.is_empty() && model.keys.is_none());
        let sign_in = sign_in.filter(|_| row.owns(address) || (self.signed_in.is_chosen() && own_place));
        let tokens = sign_in.map(|sign_in| self.signed_in.tokens(sign_in, transport.clone())).transpose()?;
        let mut builder = HttpClient::builder(&*base_url, model.wire())
            .provider(&self.name)
            // A provider of the user's own name is traced by that name.
            .traced_as(self.spec.traced_as.filter(|_| self.name == self.spec.name).unwrap_or(&self.name))
            .dialect(dialect)
            .transport(transport)
            .registry(self.shared.lanes().clone())
            .settings(settings)
            .headers(model.headers.clone())
            .extra(model.extra.clone());
        for (name, declared) in &self.limits {
            builder = builder.shared_limit(self.shared.lanes().update_limit(name, *declared, clock::now()));
        }
        // What the user says of the price goes before what a server says of the cost, and that before our table.
        let is_told = model.price.is_none()
            && (row.owns(address) || self.is_vendor(row))
            && PriceTable::built_in().tells_cost(row.name);
        builder = builder.tells_cost(is_told);
        if let Some(prices) = self.prices_at(model, Some(address)) {
            builder = builder.prices(Prices::clone(&prices));
        }
        if let Some(tokens) = tokens {
            builder = builder.tokens(tokens);
        }
        builder = match self.keys.identity() {
            // The provider's own keys share the calls of all its models.
            Some(identity) if model.keys.is_none() && !keys.is_empty() => {
                builder.key_pool(self.shared.key_pool(&self.name, identity, keys)?)
            }
            _ => builder.keys(keys),
        };
        let mut quirks = match guest {
            Some(guest) => families::adapted(guest.quirks, row, model.wire()),
            None if dialect == row.dialect => row.quirks_at(address, model.wire()),
            None => families::adapted(dialect.default_quirks(), row, model.wire()),
        };
        let is_bearer = |name: &str| self.keys.is_ambient() && row.bearer_env.contains(&name);
        if model.keys.is_none() && self.keys.identity().is_some_and(is_bearer) {
            quirks.auth = AuthHeader::Bearer;
        }
        quirks.think_tags = model.think_tags.or(self.think_tags).unwrap_or(quirks.think_tags);
        let abilities = catalogue::abilities_in(row, model.wire(), dialect, &quirks);
        builder = builder.quirks(quirks).capabilities(abilities);
        if model.name != model.wire() {
            builder = builder.name(&model.name);
        }
        builder.build()
    }

    /// What a model costs at an address: as its configuration says, else a list of the user's, else our own table. Lists of
    /// a vendor speak for its own hosts, and for a vendor that was moved to another address (a proxy, say), which the
    /// source then tells; not for a server of another name. Without an address it is the vendor's, which follows from what
    /// the user has not said yet.
    pub(super) fn prices_at(&self, model: &ModelConfig, address: Option<&Endpoint>) -> Option<Arc<Prices>> {
        if let Some(price) = &model.price {
            return Some(Arc::new(price.clone()));
        }
        let (row, wire) = (address.map_or(self.spec, |address| self.row_at(address)), model.wire());
        let owns = address.is_none_or(|address| row.owns(address));
        let means_vendor = owns || self.is_vendor(row);
        let of_vendor = |list: &PriceTable| {
            let found = list.find(row.name, wire).filter(|_| means_vendor)?;
            Some(match owns {
                true => Arc::clone(&found.prices),
                false => Arc::new(found.prices.remarked(ELSEWHERE)),
            })
        };
        let listed = self.shared.prices().and_then(|list| {
            // A list that names the provider means it where it is; one that names the vendor, the vendor.
            let own = model.base_url.as_deref().is_none_or(|url| self.shares_keys_with(url));
            let by_name = own.then(|| list.find(&self.name, wire)).flatten();
            by_name.map(|found| Arc::clone(&found.prices)).or_else(|| of_vendor(&list))
        });
        listed.or_else(|| of_vendor(PriceTable::built_in()))
    }

    /// Whether the provider is the vendor of this row by its name, wherever it was moved.
    fn is_vendor(&self, row: &ProviderSpec) -> bool {
        self.name == row.name
    }

    pub(super) fn keys_for(&self, model: &ModelConfig, address: &Endpoint) -> Result<Vec<Secret>, Error> {
        if let Some(keys) = &model.keys {
            return Ok(keys.clone());
        }
        let foreign = model.base_url.as_deref().is_some_and(|url| !self.shares_keys_with(url));
        // A server that asks for none gets no key over an open line just because a variable is set.
        let settings = model.settings.as_ref().unwrap_or(&self.settings);
        let overheard = !address.is_https() && !address.is_loopback() && !settings.allow_http;
        let spared = overheard && self.keys.is_ambient() && !self.spec.key_required;
        let keys = if foreign || spared { Vec::new() } else { self.keys.read()? };
        if keys.is_empty() && self.spec.key_required && self.spec.owns(address) {
            return Err(self.no_key());
        }
        Ok(keys)
    }

    fn no_key(&self) -> Error {
        let advice = match (&self.key_advice, self.spec.key_env) {
            (Some(advice), _) => advice.clone(),
            (None, []) => "give it one".to_owned(),
            (None, names) => format!("set {}", names.join(" or ")),
        };
        Error::new(ErrorKind::Authentication, format!("no key for {}: {advice}", self.name))
    }

    /// Refuses a model that cannot be there.
    pub(crate) fn check_model(&self, model: &ModelConfig) -> Result<(), Error> {
        let (only, wire) = (self.spec.only_models, model.wire());
        if only.is_empty() || only.contains(&wire) {
            return Ok(());
        }
        let known: Vec<String> = only.iter().map(|known| format!("{}/{known}", self.name)).collect();
        let message = format!("{} has no model `{wire}`; there is {}", self.name, known.join(", "));
        Err(Error::new(ErrorKind::ModelNotFound, message).with_model(&self.name, &model.name))
    }
}
