//! Several endpoints behind one name: each call goes to the one that suits it best, and on to another when that fails.

use std::fmt;
use std::sync::Arc;

use llm_client::lane::Registry;
use llm_client::{HttpClient, ModelClient, Settings};
use llm_types::{Error, Secret};

use crate::balance::Strategy;
use crate::group::{Group, Member, Parts, speaks_for_its_group};

/// Several clients that can stand in for each other, as one client. A clone is the same pool.
///
/// A call makes at most one request to each member and `max_retries` more, whatever the members are; once a stream has
/// begun, no other member is asked. Members that can take no call are passed over: their breaker is open, their limits are
/// used up, they were switched off. Of the others those come last that have failed two calls in a row of late, for 1, 2, 4 …
/// 60 s, so that one that fails at once, and so is never busy, attracts nothing.
///
/// ```no_run
/// # fn example(one: std::sync::Arc<dyn llm_client::ModelClient>, two: std::sync::Arc<dyn llm_client::ModelClient>)
/// # -> Result<(), llm_types::Error> {
/// use llm_manager::{Member, Pool, Strategy};
/// let pool = Pool::builder("pool/fast")
///     .strategy(Strategy::Latency)
///     .member(Member::new(one).weight(2))
///     .member(Member::new(two).priority(1))
///     .build()?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Pool(Arc<Group>);

speaks_for_its_group!(Pool);

impl Pool {
    /// A pool found by this id, `provider/model`.
    pub fn builder(id: impl Into<String>) -> PoolBuilder {
        PoolBuilder {
            id: id.into(),
            members: Vec::new(),
            strategy: Strategy::default(),
            fallback: true,
            settings: Settings::default(),
            registry: None,
        }
    }

    /// The clients it chooses between, in declared order.
    pub fn members(&self) -> impl Iterator<Item = &Arc<dyn ModelClient>> {
        self.0.members()
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pool").field(&self.0).finish()
    }
}

/// Sets up a [`Pool`]. Nothing is checked before [`build`](Self::build).
#[derive(Clone, Debug)]
#[must_use]
pub struct PoolBuilder {
    id: String,
    members: Vec<Member>,
    strategy: Strategy,
    fallback: bool,
    settings: Settings,
    registry: Option<Arc<Registry>>,
}

impl PoolBuilder {
    /// One more member. Their order is that of `fallback` and of lists.
    pub fn member(mut self, member: Member) -> Self {
        self.members.push(member);
        self
    }

    /// More members.
    pub fn members(mut self, members: impl IntoIterator<Item = Member>) -> Self {
        self.members.extend(members);
        self
    }

    /// How to choose. Default: [`Strategy::LeastBusy`].
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = strategy;
        self
    }

    /// Whether a call that failed at one member may go on with another. Off: its retries stay with the member that had it
    /// first. Default: on.
    pub fn fallback(mut self, fallback: bool) -> Self {
        self.fallback = fallback;
        self
    }

    /// Retries, back-off and deadline of its calls; the members' own do not count. `max_concurrent_calls`,
    /// `requests_per_minute` and `tokens_per_minute` are caps over all members together, streams counting to their last
    /// event.
    pub fn settings(mut self, settings: Settings) -> Self {
        self.settings = settings;
        self
    }

    /// The most calls on their way over all members. Default: no bound.
    pub fn max_concurrent_calls(mut self, most: u32) -> Self {
        self.settings.max_concurrent_calls = Some(most);
        self
    }

    /// The most requests a minute over all members, retries included. Default: no bound.
    pub fn requests_per_minute(mut self, most: u32) -> Self {
        self.settings.requests_per_minute = Some(most);
        self
    }

    /// Where the state of its caps lives, so that it outlives the pool: pools of one id and registry share it. Default: a
    /// state of its own.
    pub fn registry(mut self, registry: Arc<Registry>) -> Self {
        self.registry = Some(registry);
        self
    }

    /// The pool.
    ///
    /// # Errors
    /// Kind `Config`: an id that is not `provider/model`, no member, a weight of 0, the same client twice, a setting that
    /// contradicts another.
    pub fn build(self) -> Result<Pool, Error> {
        let group = Group::new(Parts {
            what: "pool",
            id: self.id,
            members: self.members,
            strategy: self.strategy,
            fallback: self.fallback,
            chains: Vec::new(),
            reserve: Vec::new(),
            settings: self.settings,
            registry: self.registry,
        })?;
        Ok(Pool(group))
    }
}

/// A pool of one model at several base URLs, all with the same key: the short form for a rack of servers.
///
/// # Errors
/// Kind `Config`: no URL, one that cannot be read or comes twice, a key that no header can carry.
pub fn create_router_from_urls(
    urls: &[&str],
    model: &str,
    api_key: Option<&str>,
    strategy: Strategy,
) -> Result<Pool, Error> {
    let settings = Settings::default();
    let mut pool = Pool::builder(format!("router/{model}")).strategy(strategy);
    let mut seen: Vec<String> = Vec::new();
    for url in urls {
        let mut client = HttpClient::builder(*url, model).settings(settings.clone());
        if let Some(key) = api_key.filter(|key| !key.is_empty()) {
            let key =
                Secret::key(key).map_err(|e| Error::new(llm_types::ErrorKind::Config, e.to_string()))?;
            client = client.key(key);
        }
        let client = client.build()?;
        if seen.iter().any(|known| known == client.endpoint()) {
            let message = format!("{} stands in the list twice", client.endpoint());
            return Err(Error::new(llm_types::ErrorKind::Config, message));
        }
        seen.push(client.endpoint().to_owned());
        pool = pool.member(Member::new(Arc::new(client)));
    }
    pool.build()
}
