//! A client with a budget: what its calls may cost is reserved before them and settled after them.

mod budget;
mod estimate;
mod reservation;
mod stream;
mod tags;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::future;
use llm_client::clock::{self, Instant};
use llm_client::driver::{Block, NotBefore};
use llm_client::telemetry::Observer;
use llm_client::{
    Admission, Call, ChatStream, Embedder, Health, HealthProbe, ModelClient, ModelLister, Previewer,
    TokenCounter, Wait,
};
use llm_types::{
    Capabilities, ChatRequest, ChatResponse, EmbeddingRequest, EmbeddingResponse, Error, ErrorKind, Phase,
    Price, Prices,
};

pub use self::budget::{Budget, BudgetLimits, BudgetState, Budgets, Spend};
use self::budget::{Refusal, unknown_price};
use self::estimate::Learned;
pub use self::estimate::estimate_input_tokens;
use self::reservation::{Estimate, Refused, Reservation, Tariff};
use self::stream::Metered;
pub use self::tags::TagBudgets;

/// When a driven call is to ask again: nobody knows when the others settle.
const SOON: Duration = Duration::from_millis(250);

/// A client with a budget: it keeps what its calls cost, in money and tokens, within limits.
///
/// ```
/// # async fn example(client: std::sync::Arc<dyn llm_client::ModelClient>) -> Result<(), llm_types::Error> {
/// use llm_client::ModelClientExt as _;
/// use llm_manager::{Budget, BudgetLimits, Budgeted};
/// let job = Budget::new("job", BudgetLimits::money("5.00".parse().expect("an amount")));
/// let client = Budgeted::builder(client).price("0.15/0.60".parse().expect("a price")).budget(job.clone()).build()?;
/// println!("{}, for {}", client.ask("What is backpressure?").await?, job.spent().money);
/// # Ok(()) }
/// ```
///
/// * Before a call its likely cost is reserved (prompt bytes / 4, and `max_tokens` or what answers took so far); after it the
///   real cost is charged. Calls in parallel exceed a limit by no more than their estimates were wrong.
/// * A call that no longer fits fails with [`ErrorKind::Budget`] and is not sent. One that would fit if calls in flight
///   cost less than they may waits for them, first come first served; a driven call is told to come again
///   ([`ErrorKind::Unavailable`]).
/// * What was paid is never lost: an answer is handed out even where it cost more than was left.
/// * Streams settle at their end; one that breaks or is dropped with what is known of it, failures with their partial usage.
/// * A model whose price is not known cannot have a limit of money: unknown is not zero.
///
/// It is a wrapper like others: around a client below a pool, each with its own price, all with the same [`Budget`]; or
/// around the pool, where one price fits all members.
pub struct Budgeted {
    client: Arc<dyn ModelClient>,
    price: Option<Tariff>,
    budgets: Vec<Arc<Budget>>,
    tags: Vec<Arc<TagBudgets>>,
    learned: Arc<Learned>,
    /// Who is told what calls cost.
    observer: Arc<Observer>,
}

/// Sets up a [`Budgeted`] client.
#[must_use]
pub struct BudgetedBuilder {
    client: Arc<dyn ModelClient>,
    price: Option<Tariff>,
    budgets: Vec<Arc<Budget>>,
    tags: Vec<Arc<TagBudgets>>,
}

impl BudgetedBuilder {
    /// What the model's tokens cost, whatever its answers say of their cost. Default: unknown, and only tokens can be
    /// limited.
    pub fn price(mut self, price: Price) -> Self {
        self.price = Some(Tariff { prices: Arc::new(price.into()), is_stated: true });
        self
    }

    /// What they usually cost: for what is reserved before a call, and, as an estimate, for answers that do not
    /// say what they cost. A pool's
    /// members may each have a price of their own, which their answers tell.
    pub fn usual_price(mut self, price: impl Into<Prices>) -> Self {
        self.price = Some(Tariff { prices: Arc::new(price.into()), is_stated: false });
        self
    }

    /// A budget that every call draws from: the client's own, or one it shares. One that is named twice is charged once.
    pub fn budget(mut self, budget: Arc<Budget>) -> Self {
        if !self.budgets.iter().any(|known| Arc::ptr_eq(known, &budget)) {
            self.budgets.push(budget);
        }
        self
    }

    /// A budget of its own for each value of this tag ([`Call::tags`]). At most `most` values have one of their own, those
    /// after them share one; a call without the tag draws from none.
    pub fn per_tag(mut self, tag: impl Into<String>, limits: BudgetLimits, most: usize) -> Self {
        self.tags.push(Arc::new(TagBudgets::new(tag.into(), limits, most)));
        self
    }

    /// The budgets of a tag's values, shared with others ([`Budgets::update_tag`]).
    pub fn tag_budgets(mut self, tags: Arc<TagBudgets>) -> Self {
        self.tags.push(tags);
        self
    }

    /// The client.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when money is limited and the price of input or output is not known.
    pub fn build(self) -> Result<Budgeted, Error> {
        let is_known = |tariff: &Tariff| tariff.today().is_some_and(Price::is_known);
        let is_priced = self.price.as_ref().is_some_and(is_known);
        let names = self.budgets.iter().map(|budget| (budget.name().to_string(), budget.limits()));
        let tags = self.tags.iter().map(|tags| (tags.tag().to_owned(), tags.limits()));
        let limited = names.chain(tags).find(|(_, limits)| limits.money.is_some());
        if let (false, Some((name, _))) = (is_priced, limited) {
            return Err(unknown_price(&name).with_message(format!(
                "budget `{name}` limits money, and the price of {} is not known: it could not be kept",
                self.client.id()
            )));
        }
        let (provider, model) = self.client.id().split_once('/').unwrap_or(("", self.client.id()));
        Ok(Budgeted {
            observer: Arc::new(Observer::new(provider, model)),
            client: self.client,
            price: self.price.filter(|_| is_priced),
            budgets: self.budgets,
            tags: self.tags,
            learned: Arc::default(),
        })
    }
}

impl Budgeted {
    /// A client whose calls draw from budgets.
    pub fn builder(client: Arc<dyn ModelClient>) -> BudgetedBuilder {
        BudgetedBuilder { client, price: None, budgets: Vec::new(), tags: Vec::new() }
    }

    /// What it wraps.
    #[must_use]
    pub fn inner(&self) -> &Arc<dyn ModelClient> {
        &self.client
    }

    /// The budgets that every call draws from.
    #[must_use]
    pub fn budgets(&self) -> &[Arc<Budget>] {
        &self.budgets
    }

    /// Changes the limits of a tag's budgets, those to come too. `false` when the tag has none.
    pub fn set_tag_limits(&self, tag: &str, limits: BudgetLimits) -> bool {
        let mut found = false;
        for tags in self.tags.iter().filter(|tags| tags.tag() == tag) {
            tags.set_limits(limits);
            found = true;
        }
        found
    }

    /// Every budget as it stands: those of all calls, then each tag's.
    #[must_use]
    pub fn snapshot(&self) -> Vec<BudgetState> {
        let own = self.budgets.iter().map(|budget| budget.state());
        own.chain(self.tags.iter().flat_map(|tags| tags.states())).collect()
    }

    /// Draws from every budget of this call, and says how long that had to wait for other calls to settle.
    async fn reserve(&self, estimate: Estimate, call: &Call) -> Result<(Reservation, Duration), Error> {
        let mut budgets = self.budgets.clone();
        budgets.extend(self.tags.iter().filter_map(|tags| tags.of(&call.tags)));
        let take = || {
            let reservation = Reservation::take(&budgets, self.price.as_ref(), estimate)?;
            Ok(if call.is_cost_told() { reservation } else { reservation.told_to(&self.observer) })
        };
        let started = clock::now();
        // Whoever comes while others queue stands behind them, unless nobody can help him any more.
        let queued = budgets.iter().position(|budget| budget.queue.try_lock().is_err());
        let asked = match queued {
            None => take().map(Some),
            Some(_) => Reservation::check(&budgets, self.price.as_ref(), estimate).map(|()| None),
        };
        let mut at = match asked {
            Ok(Some(reservation)) => return Ok((reservation, Duration::ZERO)),
            Ok(None) => queued.unwrap_or_default(),
            Err(Refused { refusal: Refusal::Spent(error), .. }) => return Err(self.describe(error)),
            Err(refused) => queued.unwrap_or(refused.at),
        };
        if call.is_driven() || call.wait == Wait::Never {
            return Err(self.reserved());
        }
        // As for a free slot, the wait has no end of its own: the calls in flight have theirs.
        let until = call.deadline.unwrap_or_else(|| clock::after(started, Duration::MAX));
        let waiting = async {
            loop {
                let Some(budget) = budgets.get(at) else { return Err(self.reserved()) };
                let _turn = budget.queue.lock().await;
                loop {
                    let settled = budget.settled();
                    match take() {
                        Ok(reservation) => return Ok(reservation),
                        Err(Refused { refusal: Refusal::Spent(error), .. }) => {
                            return Err(self.describe(error));
                        }
                        Err(refused) if refused.at == at => settled.await,
                        Err(refused) => {
                            at = refused.at;
                            break;
                        }
                    }
                }
            }
        };
        match tokio::time::timeout_at(until, waiting).await {
            Ok(reserved) => Ok((reserved?, clock::now().saturating_duration_since(started))),
            Err(_) => {
                let message =
                    "the calls before it had not settled with its budget before the call's deadline";
                Err(self.describe(Error::new(ErrorKind::Timeout(Phase::Call), message)))
            }
        }
    }

    /// The call as the client below gets it: where the price is stated here, the cost is told here, and once.
    fn handed_down<'a>(&self, call: &'a Call) -> Cow<'a, Call> {
        match self.price {
            Some(Tariff { is_stated: true, .. }) if !call.is_cost_told() => Cow::Owned(call.cost_told()),
            _ => Cow::Borrowed(call),
        }
    }

    fn reserved(&self) -> Error {
        let message = "what is left of the budget is reserved by calls in flight";
        self.describe(Error::new(ErrorKind::Unavailable, message).with_retry_after(SOON))
    }

    fn describe(&self, error: Error) -> Error {
        match self.client.id().split_once('/') {
            Some((provider, model)) => error.with_model(provider, model),
            None => error,
        }
    }
}

#[async_trait]
impl ModelClient for Budgeted {
    fn id(&self) -> &str {
        self.client.id()
    }

    fn capabilities(&self) -> &Capabilities {
        self.client.capabilities()
    }

    async fn chat(&self, request: &ChatRequest, call: &Call) -> Result<ChatResponse, Error> {
        let (reservation, waited) = self.reserve(self.learned.of_chat(request), call).await?;
        match self.client.chat(request, &self.handed_down(call)).await {
            Ok(mut response) => {
                if let Some(usage) = &response.usage {
                    self.learned.learn(usage.output_total());
                }
                response.cost = reservation.answered(response.usage.as_ref(), response.cost.as_ref());
                response.timing.waited += waited;
                response.timing.total += waited;
                Ok(response)
            }
            Err(error) => {
                reservation.failed(&error);
                Err(error)
            }
        }
    }

    async fn chat_stream(&self, request: &ChatRequest, call: &Call) -> Result<ChatStream, Error> {
        let (reservation, _) = self.reserve(self.learned.of_chat(request), call).await?;
        match self.client.chat_stream(request, &self.handed_down(call)).await {
            Ok(stream) => {
                Ok(stream.wrapped(|inner| Metered::new(inner, reservation, Arc::clone(&self.learned))))
            }
            Err(error) => {
                reservation.failed(&error);
                Err(error)
            }
        }
    }

    fn embedder(&self) -> Option<&dyn Embedder> {
        self.client.embedder().map(|_| self as &dyn Embedder)
    }

    fn token_counter(&self) -> Option<&dyn TokenCounter> {
        self.client.token_counter()
    }

    fn previewer(&self) -> Option<&dyn Previewer> {
        self.client.previewer()
    }

    fn model_lister(&self) -> Option<&dyn ModelLister> {
        self.client.model_lister()
    }

    fn health_probe(&self) -> Option<&dyn HealthProbe> {
        self.client.health_probe()
    }

    fn admission(&self) -> Option<&dyn Admission> {
        self.client.admission().map(|_| self as &dyn Admission)
    }

    fn health(&self) -> Option<Health> {
        self.client.health()
    }

    fn is_available(&self) -> bool {
        self.client.is_available()
    }

    fn set_available(&self, available: bool) -> bool {
        self.client.set_available(available)
    }

    async fn close(&self) -> Result<(), Error> {
        self.client.close().await
    }
}

#[async_trait]
impl Embedder for Budgeted {
    async fn embed(&self, request: &EmbeddingRequest, call: &Call) -> Result<EmbeddingResponse, Error> {
        let Some(embedder) = self.client.embedder() else {
            let message = "the client makes no embeddings";
            return Err(self.describe(Error::new(ErrorKind::Config, message)));
        };
        let (reservation, _) = self.reserve(estimate::of_embedding(request), call).await?;
        match embedder.embed(request, &self.handed_down(call)).await {
            Ok(mut response) => {
                response.cost = reservation.answered(response.usage.as_ref(), response.cost.as_ref());
                Ok(response)
            }
            Err(error) => {
                reservation.failed(&error);
                Err(error)
            }
        }
    }
}

/// What the client below says, and that nothing is let in once a budget of every call is spent.
impl Admission for Budgeted {
    fn lanes(&self) -> Vec<usize> {
        self.client.admission().map(Admission::lanes).unwrap_or_default()
    }

    fn ready(&self, now: Instant, retrying: bool) -> Result<(), NotBefore> {
        if let Some(spent) = self.budgets.iter().find(|budget| budget.is_spent()) {
            let reason = format!("budget `{}` is used up", spent.name());
            return Err(NotBefore { at: None, block: Block::Parked(ErrorKind::Budget), reason });
        }
        self.client.admission().map_or(Ok(()), |admission| admission.ready(now, retrying))
    }

    fn in_flight(&self) -> u32 {
        self.client.admission().map_or(0, Admission::in_flight)
    }

    fn spend_retry(&self, now: Instant) -> bool {
        self.client.admission().is_none_or(|admission| admission.spend_retry(now))
    }

    fn released(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let settled = self.budgets.iter().map(|budget| {
            let settled: Pin<Box<dyn Future<Output = ()> + Send + '_>> = Box::pin(budget.settled());
            settled
        });
        let all: Vec<_> =
            self.client.admission().map(Admission::released).into_iter().chain(settled).collect();
        Box::pin(async move {
            if all.is_empty() {
                std::future::pending::<()>().await;
            }
            future::select_all(all).await;
        })
    }
}

impl fmt::Debug for Budgeted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Budgeted").field("client", &self.client).field("budgets", &self.snapshot()).finish()
    }
}
