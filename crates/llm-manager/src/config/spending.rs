//! `[budgets]` around the clients of a configuration: each model draws from the budgets that name it, whoever asks for it.
//!
//! A budget that names a pool or a chain is drawn from by what is asked through that, at its members, whose prices are
//! known.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use llm_client::ModelClient;
use llm_provider::{Clients, ModelConfig, Provider, ProviderSpec};
use llm_types::{Error, Prices};

use super::groups;
use super::schema::{BudgetEntry, Per};
use crate::registry::Manager;
use crate::{Budget, BudgetLimits, Budgeted, Budgets, TagBudgets};

/// The most values of a tag with a budget of their own.
const MOST_TAGS: usize = 10_000;

/// Every budget of a configuration, and what models cost.
#[derive(Debug, Default)]
pub(super) struct Spending {
    /// By `provider/model`, from the day a client of it is first made.
    prices: Mutex<HashMap<String, Prices>>,
    /// Set when all names are known.
    rules: OnceLock<Vec<Rule>>,
}

/// One budget.
#[derive(Debug)]
struct Rule {
    draws: Draws,
    /// `provider/model`, pools and chains among them; everything where there are none.
    models: HashSet<String>,
}

#[derive(Debug)]
enum Draws {
    Together(Arc<Budget>),
    /// Each model for itself.
    Apart {
        name: String,
        limits: BudgetLimits,
        budgets: Arc<Budgets>,
    },
    Tag(Arc<TagBudgets>),
}

impl Spending {
    /// Looks up what the budgets name, and takes their limits over.
    ///
    /// # Errors
    /// Kind `Config`, with the place, for a name that leads nowhere.
    pub(super) fn link(
        &self,
        manager: &Manager,
        entries: &[BudgetEntry],
        budgets: &Arc<Budgets>,
    ) -> Result<(), Error> {
        let mut named = Vec::with_capacity(entries.len());
        for entry in entries {
            let models = entry.models.iter();
            let ids = models.map(|model| Ok(groups::resolve(manager, &model.value, &model.place)?.id()));
            named.push((entry, ids.collect::<Result<HashSet<String>, Error>>()?));
        }
        let rule = |(entry, models): (&BudgetEntry, HashSet<String>)| {
            let limits = BudgetLimits { money: entry.max_cost, tokens: entry.max_tokens };
            let draws = match &entry.per {
                Per::Job => Draws::Together(budgets.update(&entry.name, limits)),
                Per::Client => {
                    Draws::Apart { name: entry.name.clone(), limits, budgets: Arc::clone(budgets) }
                }
                Per::Tag(tag) => Draws::Tag(budgets.update_tag(&entry.name, tag, limits, MOST_TAGS)),
            };
            Rule { draws, models }
        };
        // Only this sets it, and once.
        let _ = self.rules.set(named.into_iter().map(rule).collect());
        Ok(())
    }

    fn prices(&self) -> MutexGuard<'_, HashMap<String, Prices>> {
        // Entries are whole: what a panic left behind is true.
        self.prices.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn rules(&self) -> &[Rule] {
        self.rules.get().map_or(&[], Vec::as_slice)
    }

    /// The budgets that a model draws from by its own name.
    fn of(&self, id: &str) -> Vec<usize> {
        let covers = |rule: &Rule| rule.models.is_empty() || rule.models.contains(id);
        self.rules().iter().enumerate().filter(|(_, rule)| covers(rule)).map(|(at, _)| at).collect()
    }

    /// The budgets of a pool or chain, on top of those that it is part of.
    pub(super) fn of_group(&self, id: &str, outer: &[usize]) -> Vec<usize> {
        let own = self.rules().iter().enumerate().filter(|(_, rule)| rule.models.contains(id));
        let mut all: Vec<usize> = outer.iter().copied().chain(own.map(|(at, _)| at)).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    /// A member's client, which draws from the budgets of the pools around it, too.
    pub(super) fn within(
        &self,
        id: &str,
        groups: &[usize],
        client: Arc<dyn ModelClient>,
    ) -> Result<Arc<dyn ModelClient>, Error> {
        let own = self.of(id);
        let others: Vec<usize> = groups.iter().copied().filter(|at| !own.contains(at)).collect();
        self.wrap(id, &others, client)
    }

    fn wrap(
        &self,
        id: &str,
        rules: &[usize],
        client: Arc<dyn ModelClient>,
    ) -> Result<Arc<dyn ModelClient>, Error> {
        if rules.is_empty() {
            return Ok(client);
        }
        let mut builder = Budgeted::builder(client);
        if let Some(price) = self.prices().get(id) {
            builder = builder.usual_price(price.clone());
        }
        for rule in rules.iter().filter_map(|at| self.rules().get(*at)) {
            builder = match &rule.draws {
                Draws::Together(budget) => builder.budget(Arc::clone(budget)),
                Draws::Apart { name, limits, budgets } => {
                    builder.budget(budgets.update(&format!("{name} ({id})"), *limits))
                }
                Draws::Tag(tags) => builder.tag_budgets(Arc::clone(tags)),
            };
        }
        let client = builder.build().map_err(|e| {
            e.with_hint(format!(
                "write price = {{ input = …, output = … }}, in US dollars for a million tokens, under the model {id}"
            ))
        })?;
        Ok(Arc::new(client))
    }
}

/// A provider whose clients draw from budgets.
#[derive(Debug)]
pub(super) struct Budgeting {
    inner: Arc<dyn Provider>,
    spending: Arc<Spending>,
    clients: Clients,
}

impl Budgeting {
    pub(super) fn new(inner: Arc<dyn Provider>, spending: Arc<Spending>) -> Self {
        Self { inner, spending, clients: Clients::new() }
    }

    fn make(&self, model: &ModelConfig) -> Result<Arc<dyn ModelClient>, Error> {
        let id = format!("{}/{}", self.name(), model.name);
        if let Some(price) = self.inner.price_of(model) {
            self.spending.prices().insert(id.clone(), price);
        }
        self.spending.wrap(&id, &self.spending.of(&id), self.inner.create_client(model)?)
    }
}

impl Provider for Budgeting {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn create_client(&self, model: &ModelConfig) -> Result<Arc<dyn ModelClient>, Error> {
        match self.model(&model.name) {
            Some(own) if own == model => self.clients.shared(&model.name, || self.make(model)),
            _ => self.make(model),
        }
    }

    fn spec(&self) -> Option<&'static ProviderSpec> {
        self.inner.spec()
    }

    fn models(&self) -> &[ModelConfig] {
        self.inner.models()
    }

    fn model(&self, name: &str) -> Option<&ModelConfig> {
        self.inner.model(name)
    }

    fn clients(&self) -> Option<&Clients> {
        Some(&self.clients)
    }

    fn default_model(&self) -> Option<&str> {
        self.inner.default_model()
    }

    fn claims(&self, model: &str) -> bool {
        self.inner.claims(model)
    }

    fn address(&self) -> Option<String> {
        self.inner.address()
    }

    fn key_origin(&self) -> Option<&str> {
        self.inner.key_origin()
    }

    fn address_of(&self, model: &ModelConfig) -> Option<String> {
        self.inner.address_of(model)
    }

    fn price_of(&self, model: &ModelConfig) -> Option<Prices> {
        self.inner.price_of(model)
    }

    fn key_origin_of(&self, model: &ModelConfig) -> Option<&str> {
        self.inner.key_origin_of(model)
    }

    fn close(&self) {
        self.clients.forget();
        self.inner.close();
    }
}
