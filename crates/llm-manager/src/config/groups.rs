//! The pools and chains of a configuration, as providers named `pool` and `chain`.
//!
//! What their members are is looked up when the configuration is read, so that a name that leads nowhere or round in a
//! circle is found there, with its place; clients are made when they are first asked for.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use llm_client::{ModelClient, Settings};
use llm_provider::{ModelConfig, Provider, Shared};
use llm_types::{Error, ErrorKind};

use super::reader::Place;
use super::schema::{CHAIN, ChainEntry, Located, MemberEntry, POOL, PoolEntry};
use super::spending::Spending;
use crate::registry::{Manager, Resolved};
use crate::{Aggregator, Member, Pool};

/// The deepest nesting of pools and chains.
const MAX_DEPTH: usize = 16;

/// Everything that chooses between models.
#[derive(Debug)]
pub(super) struct Groups {
    pools: Vec<(PoolEntry, Settings)>,
    chains: Vec<(ChainEntry, Settings)>,
    /// What the names in them stand for, as they are written.
    targets: OnceLock<HashMap<String, Target>>,
    shared: Arc<Shared>,
    spending: Arc<Spending>,
}

/// What a name in a pool or chain stands for.
#[derive(Clone, Debug)]
enum Target {
    Model(Arc<dyn Provider>, Box<ModelConfig>),
    Client(Arc<dyn ModelClient>),
    Pool(usize),
    Chain(usize),
}

/// One of the two, in a list of all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Group {
    Pool(usize),
    Chain(usize),
}

impl Groups {
    pub(super) fn new(
        pools: Vec<(PoolEntry, Settings)>,
        chains: Vec<(ChainEntry, Settings)>,
        shared: Arc<Shared>,
        spending: Arc<Spending>,
    ) -> Arc<Self> {
        Arc::new(Self { pools, chains, targets: OnceLock::new(), shared, spending })
    }

    /// Makes the names known, before what they stand for is.
    pub(super) fn register(self: &Arc<Self>, manager: &Manager) -> Result<(), Error> {
        let pools = self.pools.iter().map(|(entry, _)| ModelConfig::new(&entry.name)).collect();
        let chains = self.chains.iter().map(|(entry, _)| ModelConfig::new(&entry.name)).collect();
        for (name, models) in [(POOL, pools), (CHAIN, chains)] {
            let models: Vec<ModelConfig> = models;
            if !models.is_empty() {
                manager.register_provider(Arc::new(Face { name, models, groups: self.clone() }))?;
            }
        }
        Ok(())
    }

    /// `pool` or `chain`, and the name.
    pub(super) fn names(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let pools = self.pools.iter().map(|(entry, _)| (POOL, &*entry.name));
        pools.chain(self.chains.iter().map(|(entry, _)| (CHAIN, &*entry.name)))
    }

    /// Looks up every member.
    ///
    /// # Errors
    /// Kind `Config`, with the place: a name that leads nowhere, a circle, too deep a nesting.
    pub(super) fn link(&self, manager: &Manager) -> Result<(), Error> {
        let mut targets = HashMap::new();
        for name in self.all().flat_map(|group| self.members(group)) {
            if !targets.contains_key(&name.value) {
                targets.insert(name.value.clone(), self.target(manager, name)?);
            }
        }
        let mut heights = HashMap::new();
        for group in self.all() {
            self.check_twice(group, &targets)?;
            self.height(group, &targets, &mut Vec::new(), &mut heights)?;
        }
        // Only this sets it, and once.
        let _ = self.targets.set(targets);
        Ok(())
    }

    fn all(&self) -> impl Iterator<Item = Group> {
        (0..self.pools.len()).map(Group::Pool).chain((0..self.chains.len()).map(Group::Chain))
    }

    /// The names in one, in order.
    fn members(&self, group: Group) -> Vec<&Located<String>> {
        match group {
            Group::Pool(at) => self
                .pools
                .get(at)
                .map(|(entry, _)| entry.members.iter().map(|member| &member.model).collect())
                .unwrap_or_default(),
            Group::Chain(at) => self
                .chains
                .get(at)
                .map(|(entry, _)| {
                    entry.models.iter().chain(entry.on.iter().flat_map(|(_, models)| models)).collect()
                })
                .unwrap_or_default(),
        }
    }

    fn id(&self, group: Group) -> String {
        let name = match group {
            Group::Pool(at) => self.pools.get(at).map(|(entry, _)| (POOL, &entry.name)),
            Group::Chain(at) => self.chains.get(at).map(|(entry, _)| (CHAIN, &entry.name)),
        };
        name.map(|(word, name)| format!("{word}/{name}")).unwrap_or_default()
    }

    fn target(&self, manager: &Manager, name: &Located<String>) -> Result<Target, Error> {
        match resolve(manager, &name.value, &name.place)? {
            Resolved::Client(client) => Ok(Target::Client(client)),
            Resolved::Model { provider, model, .. } => {
                let pool = || self.pools.iter().position(|(entry, _)| entry.name == model.name);
                let chain = || self.chains.iter().position(|(entry, _)| entry.name == model.name);
                let found = match provider.name() {
                    POOL => pool().map(Target::Pool),
                    CHAIN => chain().map(Target::Chain),
                    _ => return Ok(Target::Model(provider, model)),
                };
                found.ok_or_else(|| {
                    let message = format!("there is no {} `{}`", provider.name(), model.name);
                    name.place.error(message)
                })
            }
        }
    }

    /// Refuses a model that stands under two names.
    fn check_twice(&self, group: Group, targets: &HashMap<String, Target>) -> Result<(), Error> {
        let whole = match group {
            Group::Pool(_) => self.members(group),
            // The lists of causes may repeat the order.
            Group::Chain(at) => {
                self.chains.get(at).map(|(entry, _)| entry.models.iter().collect()).unwrap_or_default()
            }
        };
        let mut seen: HashMap<String, &str> = HashMap::new();
        for member in whole {
            let Some(id) = targets.get(&member.value).map(|target| self.target_id(target)) else { continue };
            if let Some(other) = seen.insert(id.clone(), &member.value) {
                return Err(member.place.error(format_args!(
                    "`{}` and `{other}` are the same model, {id}: name it once",
                    member.value
                )));
            }
        }
        Ok(())
    }

    fn target_id(&self, target: &Target) -> String {
        match target {
            Target::Model(provider, model) => format!("{}/{}", provider.name(), model.name),
            Target::Client(client) => client.id().to_owned(),
            Target::Pool(at) => self.id(Group::Pool(*at)),
            Target::Chain(at) => self.id(Group::Chain(*at)),
        }
    }

    /// How many pools and chains stand on one another from this one down. Refuses circles and towers.
    fn height(
        &self,
        group: Group,
        targets: &HashMap<String, Target>,
        above: &mut Vec<Group>,
        known: &mut HashMap<Group, usize>,
    ) -> Result<usize, Error> {
        if let Some(height) = known.get(&group) {
            return Ok(*height);
        }
        above.push(group);
        let mut height = 1;
        for member in self.members(group) {
            let inner = match targets.get(&member.value) {
                Some(Target::Pool(at)) => Group::Pool(*at),
                Some(Target::Chain(at)) => Group::Chain(*at),
                _ => continue,
            };
            if above.contains(&inner) {
                let round: Vec<String> = above
                    .iter()
                    .skip_while(|group| **group != inner)
                    .chain([&inner])
                    .map(|group| self.id(*group))
                    .collect();
                return Err(member
                    .place
                    .error(format_args!("pools and chains go round in a circle: {}", round.join(" → "))));
            }
            let too_deep =
                || member.place.error(format_args!("pools and chains nest deeper than {MAX_DEPTH}"));
            if above.len() >= MAX_DEPTH {
                return Err(too_deep());
            }
            height = height.max(1 + self.height(inner, targets, above, known)?);
            if height > MAX_DEPTH {
                return Err(too_deep());
            }
        }
        above.pop();
        known.insert(group, height);
        Ok(height)
    }

    /// The client of a name; one that was made for this client already is that one, so that a model which stands in two
    /// lists is asked once. `budgets` are those of the pools and chains around it.
    fn client(&self, name: &str, budgets: &[usize], made: &mut Made) -> Result<Arc<dyn ModelClient>, Error> {
        let target = self.targets.get().and_then(|targets| targets.get(name));
        let lost = || Error::new(ErrorKind::Internal, format!("nobody looked up `{name}`"));
        let target = target.ok_or_else(lost)?;
        let id = self.target_id(target);
        let key = (id.clone(), budgets.to_vec());
        if let Some(client) = made.get(&key) {
            return Ok(client.clone());
        }
        let client = match target {
            Target::Model(provider, model) => {
                self.spending.within(&id, budgets, provider.create_client(model)?)?
            }
            Target::Client(client) => self.spending.within(&id, budgets, client.clone())?,
            Target::Pool(at) => self.pool(*at, budgets, made)?,
            Target::Chain(at) => self.chain(*at, budgets, made)?,
        };
        made.insert(key, client.clone());
        Ok(client)
    }

    fn pool(&self, at: usize, outer: &[usize], made: &mut Made) -> Result<Arc<dyn ModelClient>, Error> {
        let (entry, settings) = self.pools.get(at).ok_or_else(gone)?;
        let budgets = self.spending.of_group(&self.id(Group::Pool(at)), outer);
        let mut pool = Pool::builder(format!("{POOL}/{}", entry.name))
            .fallback(entry.balance.fallback)
            .settings(settings.clone())
            .registry(self.shared.lanes().clone());
        if let Some(strategy) = &entry.balance.strategy {
            pool = pool.strategy(strategy.value);
        }
        for member in &entry.members {
            pool = pool.member(seat(member, self.client(&member.model.value, &budgets, made)?));
        }
        Ok(Arc::new(pool.build()?))
    }

    fn chain(&self, at: usize, outer: &[usize], made: &mut Made) -> Result<Arc<dyn ModelClient>, Error> {
        let (entry, settings) = self.chains.get(at).ok_or_else(gone)?;
        let budgets = self.spending.of_group(&self.id(Group::Chain(at)), outer);
        let mut chain = Aggregator::builder(format!("{CHAIN}/{}", entry.name))
            .settings(settings.clone())
            .registry(self.shared.lanes().clone());
        for model in &entry.models {
            chain = chain.model(self.client(&model.value, &budgets, made)?);
        }
        for (cause, models) in &entry.on {
            let clients = models
                .iter()
                .map(|model| self.client(&model.value, &budgets, made))
                .collect::<Result<Vec<_>, _>>()?;
            chain = chain.on(*cause, clients);
        }
        Ok(Arc::new(chain.build()?))
    }
}

/// The clients that were made for one client that is being made, by id and the budgets around them.
type Made = HashMap<(String, Vec<usize>), Arc<dyn ModelClient>>;

fn gone() -> Error {
    Error::new(ErrorKind::Internal, "a pool or chain is gone")
}

fn seat(entry: &MemberEntry, client: Arc<dyn ModelClient>) -> Member {
    let mut member = Member::new(client).weight(entry.weight).priority(entry.priority);
    if let Some(most) = entry.max_concurrent_calls {
        member = member.max_concurrent_calls(most);
    }
    if let Some(most) = entry.requests_per_minute {
        member = member.requests_per_minute(most);
    }
    if let Some(most) = entry.tokens_per_minute {
        member = member.tokens_per_minute(most);
    }
    member
}

/// What a name in a file stands for.
///
/// # Errors
/// Kind `Config`, with the place, when it stands for nothing.
pub(super) fn resolve(manager: &Manager, name: &str, place: &Place) -> Result<Resolved, Error> {
    manager.resolve(name).map_err(|e| {
        let error = place.error(e.message());
        match e.hint() {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    })
}

/// What the manager sees of the pools, or of the chains.
#[derive(Debug)]
struct Face {
    name: &'static str,
    models: Vec<ModelConfig>,
    groups: Arc<Groups>,
}

impl Provider for Face {
    fn name(&self) -> &str {
        self.name
    }

    fn create_client(&self, model: &ModelConfig) -> Result<Arc<dyn ModelClient>, Error> {
        match (self.models.iter().position(|known| known.name == model.name), self.name) {
            (Some(at), POOL) => self.groups.pool(at, &[], &mut Made::new()),
            (Some(at), _) => self.groups.chain(at, &[], &mut Made::new()),
            (None, what) => {
                let message = format!("there is no {what} `{}`", model.name);
                Err(Error::new(ErrorKind::ModelNotFound, message))
            }
        }
    }

    fn models(&self) -> &[ModelConfig] {
        &self.models
    }
}
