//! What models cost: a table of our own, and lists of a user's.
//!
//! Our table is data (`prices/table.json`), each provider's part read when it is first asked for. Its figures are those of
//! the vendors' public price lists, as the MIT-licensed package that each part names had collected them on the table's day.
//! Nothing is ever fetched. Left out, and so unknown: models that are not paid by the token or write pictures or films, and
//! vendors whose lists are not in US dollars. Searches and other tools of the servers' own are not counted.

mod litellm;
mod matching;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, OnceLock};

use llm_types::{Class, Day, Error, ErrorKind, Price, Prices, Rule};
use serde::Deserialize;
use serde_json::value::RawValue;

use self::matching::Names;

/// Prices by provider and model.
#[derive(Debug, Default)]
pub struct PriceTable {
    sections: BTreeMap<String, Lazy>,
    /// Models that no provider is named for.
    anywhere: Section,
}

/// One model's prices.
#[derive(Clone, Debug, PartialEq)]
pub struct PriceRow {
    /// The model's name in the table.
    pub model: Arc<str>,
    /// What it costs and has cost.
    pub prices: Arc<Prices>,
}

/// A provider's part, as it stands and as it is read.
#[derive(Debug)]
struct Lazy {
    text: Box<RawValue>,
    origin: Origin,
    read: OnceLock<Section>,
}

#[derive(Debug, Default)]
struct Section {
    names: Names<PriceRow>,
    like: Option<String>,
    tells_cost: bool,
}

/// What rows inherit that say nothing themselves.
#[derive(Clone, Debug, Default)]
struct Origin {
    source: Option<Arc<str>>,
    as_of: Option<Day>,
}

/// The whole, in our own shape.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TableJson {
    #[serde(default)]
    v: Option<u32>,
    #[serde(default)]
    as_of: Option<Day>,
    providers: BTreeMap<String, Box<RawValue>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SectionJson {
    #[serde(default)]
    source: Option<Arc<str>>,
    #[serde(default)]
    as_of: Option<Day>,
    /// Another provider, whose models this one has too.
    #[serde(default)]
    like: Option<String>,
    /// Whether the server itself says what an answer cost.
    #[serde(default)]
    tells_cost: bool,
    /// Classes that cost what text does wherever a row has no price for them.
    #[serde(default)]
    as_input: Vec<String>,
    models: BTreeMap<String, Box<RawValue>>,
}

/// A row is a price with the names it goes by, or a list of prices with the days they begin on. The names are taken out by
/// hand: the rest is read as a price is read anywhere.
#[derive(Default)]
struct RowJson {
    names: Vec<String>,
    begins: Vec<String>,
    prices: Prices,
}

static BUILT_IN: LazyLock<PriceTable> =
    LazyLock::new(|| PriceTable::own(include_str!("prices/table.json"), None).unwrap_or_default());

impl PriceTable {
    /// The table that comes with the program.
    #[must_use]
    pub fn built_in() -> &'static Self {
        &BUILT_IN
    }

    /// A user's list, in the shape of our own table or in LiteLLM's (`model` → `input_cost_per_token` …). `source` names it
    /// where it does not say itself where its figures come from.
    ///
    /// # Errors
    /// Kind `Config` says what is wrong, and at which model.
    pub fn parse(json: &str, source: &str) -> Result<Self, Error> {
        let top: BTreeMap<String, Box<RawValue>> = serde_json::from_str(json)
            .map_err(|e| wrong(format_args!("{source}: not a list of prices: {e}")))?;
        let named = |e: Error| {
            let message = format!("{source}: {}", e.message());
            e.with_message(message)
        };
        if !top.contains_key("providers") {
            return litellm::read(&top, source).map_err(named);
        }
        let table = Self::own(json, Some(source.into())).map_err(named)?;
        for (name, lazy) in &table.sections {
            lazy.parse().map_err(|message| named(wrong(format_args!("{name}: {message}"))))?;
        }
        Ok(table)
    }

    fn own(json: &str, source: Option<Arc<str>>) -> Result<Self, Error> {
        let table: TableJson = serde_json::from_str(json).map_err(wrong)?;
        if table.v.is_some_and(|v| v != 1) {
            return Err(wrong("it is of a version that this program does not know"));
        }
        let origin = Origin { source, as_of: table.as_of };
        let lazy = |(name, text): (String, _)| {
            (name.to_lowercase(), Lazy { text, origin: origin.clone(), read: OnceLock::new() })
        };
        Ok(Self { sections: table.providers.into_iter().map(lazy).collect(), anywhere: Section::default() })
    }

    fn section(&self, provider: &str) -> Option<&Section> {
        self.sections.get(&provider.to_lowercase()).map(Lazy::read)
    }

    /// The row of a provider's model: by its name, else by its family, case not counted, with and without a vendor's
    /// folder before it and a date behind it. Of several families the longest name counts.
    #[must_use]
    pub fn find(&self, provider: &str, model: &str) -> Option<&PriceRow> {
        let section = self.section(provider);
        let own = section.and_then(|section| section.names.find(model));
        let like = || self.section(section?.like.as_deref()?)?.names.find(model);
        own.or_else(like).or_else(|| self.anywhere.names.find(model))
    }

    /// Whether this provider's own server says what an answer cost.
    #[must_use]
    pub fn tells_cost(&self, provider: &str) -> bool {
        self.section(provider).is_some_and(|section| section.tells_cost)
    }

    /// The providers that it has prices of, in order.
    pub fn providers(&self) -> impl Iterator<Item = &str> {
        self.sections.keys().map(String::as_str)
    }

    /// A provider's rows, in the order of their names.
    pub fn rows(&self, provider: &str) -> impl Iterator<Item = &PriceRow> {
        let section = self.section(provider);
        let like = section.and_then(|section| self.section(section.like.as_deref()?));
        section.into_iter().chain(like).flat_map(|section| section.names.rows())
    }
}

impl Lazy {
    fn read(&self) -> &Section {
        // A user's list was read when it was taken over; ours is read by a test.
        self.read.get_or_init(|| self.parse().unwrap_or_default())
    }

    fn parse(&self) -> Result<Section, String> {
        let said: SectionJson = serde_json::from_str(self.text.get()).map_err(|e| e.to_string())?;
        let class = |name: &String| {
            Class::by_name(name).ok_or_else(|| format!("as_input: there is no class of tokens `{name}`"))
        };
        let as_input = said.as_input.iter().map(class).collect::<Result<Vec<Class>, String>>()?;
        let origin = Origin {
            source: said.source.or_else(|| self.origin.source.clone()),
            as_of: said.as_of.or(self.origin.as_of),
        };
        let mut names = Names::default();
        for (model, text) in &said.models {
            let row = RowJson::read(text.get()).map_err(|e| format!("{model}: {e}"))?;
            let prices = row.prices.all().iter().map(|price| finished(price, &as_input, &origin)).collect();
            let priced = PriceRow { model: model.as_str().into(), prices: Arc::new(Prices::new(prices)) };
            names.add(model, &row.names, &row.begins, priced);
        }
        Ok(Section { names, like: said.like, tells_cost: said.tells_cost })
    }
}

impl RowJson {
    fn read(text: &str) -> serde_json::Result<Self> {
        let mut members: BTreeMap<String, Box<RawValue>> = serde_json::from_str(text)?;
        let mut list = |name: &str| match members.remove(name) {
            Some(list) => serde_json::from_str(list.get()),
            None => Ok(Vec::new()),
        };
        let (names, begins) = (list("names")?, list("begins")?);
        let prices = match members.remove("prices") {
            Some(list) if members.is_empty() => serde_json::from_str(list.get())?,
            Some(_) => {
                return Err(serde::de::Error::custom("a row has `prices`, or a price of its own, not both"));
            }
            None => serde_json::from_str(serde_json::to_string(&members)?.as_str())?,
        };
        Ok(Self { names, begins, prices })
    }
}

/// The price with what its provider says for all.
fn finished(price: &Price, as_input: &[Class], origin: &Origin) -> Price {
    let mut price = price.clone();
    for &class in as_input {
        if price.rates.of(class).is_none() {
            price.rates = price.rates.clone().with(class, price.rates.of(Class::Input));
            let same = |rule: Rule| Rule {
                rates: rule.rates.clone().with(class, rule.rates.of(Class::Input)),
                ..rule
            };
            price.rules = price.rules.into_iter().map(same).collect();
        }
    }
    price.source = price.source.or_else(|| origin.source.clone());
    price.as_of = price.as_of.or(origin.as_of);
    price
}

fn wrong(message: impl std::fmt::Display) -> Error {
    Error::new(ErrorKind::Config, message.to_string())
}
