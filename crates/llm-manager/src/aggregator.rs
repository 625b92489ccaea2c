//! Models in order of preference, over vendors: the next one answers when one cannot.

use std::fmt;
use std::sync::Arc;

use llm_client::lane::Registry;
use llm_client::{Call, ModelClient, Settings};
use llm_types::{ChatRequest, Error, ErrorKind, Message};

use crate::balance::Strategy;
use crate::group::{Group, Member, Parts, speaks_for_its_group};

/// Why a call goes on with other models than the next in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The prompt is longer than the model reads.
    ContextLength,
    /// The vendor refuses the content, or cut the answer for it before it began.
    ContentFilter,
    /// The vendor does not understand the request.
    InvalidRequest,
    /// The answer could not be understood; it was paid.
    Protocol,
    /// The answer was larger than allowed; it was paid.
    TooLarge,
}

impl Cause {
    /// Every cause, in the order of the documentation. Everything else that another model may heal follows the order of
    /// the models.
    pub const ALL: [Self; 5] =
        [Self::ContextLength, Self::ContentFilter, Self::InvalidRequest, Self::Protocol, Self::TooLarge];

    /// Its name in files.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        self.kind().as_str()
    }

    /// The cause of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|cause| cause.as_str() == name)
    }

    /// The kind of failure.
    #[must_use]
    pub const fn kind(self) -> ErrorKind {
        match self {
            Self::ContextLength => ErrorKind::ContextLength,
            Self::ContentFilter => ErrorKind::ContentFilter,
            Self::InvalidRequest => ErrorKind::InvalidRequest,
            Self::Protocol => ErrorKind::Protocol,
            Self::TooLarge => ErrorKind::TooLarge,
        }
    }
}

/// Models in order of preference, as one client. A clone is the same aggregator.
///
/// The first model that can take the call gets it. When it fails in a way that says nothing against the request (its
/// endpoint is down, its keys or credit are refused, it is limited), its other keys are asked, then the next model. A
/// failure that is the request's own ends the call, unless a chain is set for its [`Cause`]. At most one request goes to
/// each endpoint, and `max_retries` more over all; once a stream has begun, no other model is asked. Reasoning that only
/// one vendor can read is left out for the others.
///
/// ```no_run
/// # fn example(good: std::sync::Arc<dyn llm_client::ModelClient>, cheap: std::sync::Arc<dyn llm_client::ModelClient>,
/// # large: std::sync::Arc<dyn llm_client::ModelClient>) -> Result<(), llm_types::Error> {
/// use llm_manager::{Aggregator, Cause};
/// let models = Aggregator::builder("chain/smart")
///     .model(good)
///     .model(cheap)
///     .on(Cause::ContextLength, [large])
///     .build()?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Aggregator(Arc<Group>);

speaks_for_its_group!(Aggregator);

impl Aggregator {
    /// An aggregator found by this id, `provider/model`.
    pub fn builder(id: impl Into<String>) -> AggregatorBuilder {
        AggregatorBuilder {
            id: id.into(),
            members: Vec::new(),
            order: Vec::new(),
            chains: Vec::new(),
            settings: Settings::default(),
            registry: None,
        }
    }

    /// The models in order, those that only chains lead to last.
    pub fn models(&self) -> impl Iterator<Item = &Arc<dyn ModelClient>> {
        self.0.members()
    }

    /// The text of the first model's answer that answers.
    ///
    /// # Errors
    /// The last model's error, with the log of all attempts.
    pub async fn generate_response(&self, messages: Vec<Message>) -> Result<String, Error> {
        let request = ChatRequest::new(messages);
        Ok(self.0.chat(&request, &Call::default()).await?.into_text())
    }
}

impl fmt::Debug for Aggregator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Aggregator").field(&self.0).finish()
    }
}

/// Sets up an [`Aggregator`]. Nothing is checked before [`build`](Self::build).
#[derive(Clone, Debug)]
#[must_use]
pub struct AggregatorBuilder {
    id: String,
    /// All models in the order of their first mention.
    members: Vec<Member>,
    /// Those of the order, in that order.
    order: Vec<usize>,
    chains: Vec<(ErrorKind, Vec<usize>)>,
    settings: Settings,
    registry: Option<Arc<Registry>>,
}

impl AggregatorBuilder {
    /// The next model in order.
    pub fn model(mut self, client: Arc<dyn ModelClient>) -> Self {
        let at = self.place(client);
        self.order.push(at);
        self
    }

    /// Where a call goes on that failed for this cause: these models in this order, and no other. They may stand in the
    /// order of all models too; one that has failed the call is not asked again. A second list for one cause is added to the
    /// first.
    pub fn on(mut self, cause: Cause, models: impl IntoIterator<Item = Arc<dyn ModelClient>>) -> Self {
        let places: Vec<usize> = models.into_iter().map(|client| self.place(client)).collect();
        match self.chains.iter_mut().find(|(kind, _)| *kind == cause.kind()) {
            Some((_, known)) => known.extend(places),
            None => self.chains.push((cause.kind(), places)),
        }
        self
    }

    fn place(&mut self, client: Arc<dyn ModelClient>) -> usize {
        let known = self.members.iter().position(|member| Arc::ptr_eq(&member.client, &client));
        known.unwrap_or_else(|| {
            self.members.push(Member::new(client));
            self.members.len() - 1
        })
    }

    /// Retries, back-off, deadline, and caps over all models; as [`PoolBuilder::settings`](crate::PoolBuilder::settings).
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// Where the state of its caps lives; as [`PoolBuilder::registry`](crate::PoolBuilder::registry).
    pub fn registry(mut self, registry: Arc<Registry>) -> Self {
        self.registry = Some(registry);
        self
    }

    /// The aggregator.
    ///
    /// # Errors
    /// Kind `Config`: an id that is not `provider/model`, no model but those of chains, the same client twice, a chain
    /// without a model, a setting that contradicts another.
    pub fn build(self) -> Result<Aggregator, Error> {
        let config =
            |message: &str| Error::new(ErrorKind::Config, format!("aggregator {}: {message}", self.id));
        if self.order.is_empty() {
            return Err(config("no model stands in its order"));
        }
        for (at, member) in self.order.iter().enumerate() {
            if self.order.iter().take(at).any(|other| other == member) {
                let id = self.members.get(*member).map_or("", |member| member.client.id());
                return Err(config(&format!("{id} stands in its order twice")));
            }
        }
        if let Some((kind, _)) = self.chains.iter().find(|(_, models)| models.is_empty()) {
            return Err(config(&format!("the chain for {} names no model", kind.as_str())));
        }
        // Those of the order first, then those that only chains lead to.
        let others = (0..self.members.len()).filter(|at| !self.order.contains(at));
        let sorted: Vec<usize> = self.order.iter().copied().chain(others).collect();
        let moved = |at: &usize| sorted.iter().position(|old| old == at).unwrap_or_default();
        let chains =
            self.chains.iter().map(|(kind, models)| (*kind, models.iter().map(moved).collect())).collect();
        let members = sorted.iter().filter_map(|at| self.members.get(*at)).cloned().collect();
        let group = Group::new(Parts {
            what: "aggregator",
            id: self.id,
            members,
            strategy: Strategy::Fallback,
            fallback: true,
            chains,
            reserve: (self.order.len()..sorted.len()).collect(),
            settings: self.settings,
            registry: self.registry,
        })?;
        Ok(Aggregator(group))
    }
}
