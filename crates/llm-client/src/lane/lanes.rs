//! Admitting a call: to one lane, or to the best lane of an endpoint.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future;

use crate::clock::Instant;
use crate::lane::breaker::Pass;
use crate::lane::endpoint::State;
use crate::lane::keys::NoKey;
use crate::lane::{
    Admission, AdmitOptions, Cost, Endpoint, EndpointState, Exhausted, KeyId, KeyLease, KeyPool, LaneGuard,
    LaneId, LimitHold, Refusal, SharedLimit, Why,
};

/// An endpoint with one key, or with none where it needs none. A handle: cheap to clone, the state is the endpoint's.
#[derive(Clone, Debug)]
pub struct Lane {
    endpoint: Arc<Endpoint>,
    key: Option<(Arc<KeyPool>, KeyId)>,
    limits: Arc<[Arc<SharedLimit>]>,
}

/// An endpoint with all keys of a pool. A handle: cheap to clone, the state is the endpoint's and the pool's.
#[derive(Clone, Debug)]
pub struct Lanes {
    endpoint: Arc<Endpoint>,
    pool: Option<Arc<KeyPool>>,
    /// Limits that others charge too.
    limits: Arc<[Arc<SharedLimit>]>,
}

impl Lane {
    /// Its name within the endpoint.
    #[must_use]
    pub fn id(&self) -> LaneId {
        LaneId(self.key.as_ref().map(|(_, id)| *id))
    }

    /// Its endpoint.
    #[must_use]
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// How long it rests because the server asked for a pause, if it does.
    #[must_use]
    pub fn cool_down(&self, now: Instant) -> Option<Duration> {
        let mut state = self.endpoint.state();
        let until = state.known_lane(self.id())?.cool_down.until(now)?;
        Some(until.saturating_duration_since(now))
    }

    /// Calls in flight on it.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.endpoint.state().known_lane(self.id()).map_or(0, |lane| lane.limiter.in_flight)
    }

    /// Admits a call if everything allows it: breaker, cool-down, key, slots, buckets, shared limits, learned limit and pace.
    /// All or nothing: where one refuses, nothing is taken. The guard gives everything back.
    pub fn admit(&self, cost: Cost, now: Instant, options: &AdmitOptions<'_>) -> Admission {
        admit(&self.endpoint, &self.limits, cost, now, options, |ask| match &self.key {
            None => ask.keyless(),
            Some((pool, id)) => {
                pool.pick_one(*id, || ask.offer(LaneId(Some(*id)))).map(Some).map_err(|why| ask.refused(why))
            }
        })
    }
}

impl Lanes {
    /// All lanes of an endpoint: one for each key, or the one without where there is no pool.
    #[must_use]
    pub fn new(endpoint: Arc<Endpoint>, pool: Option<Arc<KeyPool>>) -> Self {
        Self { endpoint, pool, limits: Arc::default() }
    }

    /// The same lanes charging these limits too, which others may share. One that is named twice is charged once.
    #[must_use]
    pub fn with_limits(mut self, limits: impl IntoIterator<Item = Arc<SharedLimit>>) -> Self {
        let mut all: Vec<Arc<SharedLimit>> = self.limits.to_vec();
        for limit in limits {
            if !all.iter().any(|known| Arc::ptr_eq(known, &limit)) {
                all.push(limit);
            }
        }
        self.limits = all.into();
        self
    }

    /// The shared limits they charge.
    #[must_use]
    pub fn limits(&self) -> &[Arc<SharedLimit>] {
        &self.limits
    }

    /// Their endpoint.
    #[must_use]
    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// Their keys.
    #[must_use]
    pub fn pool(&self) -> Option<&Arc<KeyPool>> {
        self.pool.as_ref()
    }

    /// Each of them, parked keys included.
    #[must_use]
    pub fn each(&self) -> Vec<Lane> {
        match &self.pool {
            None => vec![self.lane(None)],
            Some(pool) => {
                let lane = |id| self.lane(Some((Arc::clone(pool), id)));
                pool.ids().into_iter().map(lane).collect()
            }
        }
    }

    fn lane(&self, key: Option<(Arc<KeyPool>, KeyId)>) -> Lane {
        Lane { endpoint: Arc::clone(&self.endpoint), key, limits: Arc::clone(&self.limits) }
    }

    /// Admits a call to the lane with the least loaded key of those that allow it; see [`Lane::admit`]. Where none does,
    /// the date is that of the lane that opens first.
    pub fn admit(&self, cost: Cost, now: Instant, options: &AdmitOptions<'_>) -> Admission {
        admit(&self.endpoint, &self.limits, cost, now, options, |ask| match &self.pool {
            None => ask.keyless(),
            Some(pool) => {
                pool.pick(|id| ask.offer(LaneId(Some(id)))).map(Some).map_err(|why| ask.refused(why))
            }
        })
    }

    /// Whether a call would be admitted. Nothing is taken, so a moment later it may be different.
    ///
    /// # Errors
    /// What stands in the way, and the first moment that could be different; see [`Admission::NotBefore`].
    pub fn check(
        &self,
        cost: Cost,
        now: Instant,
        options: &AdmitOptions<'_>,
    ) -> Result<(), (Option<Instant>, Why)> {
        let mut state = self.endpoint.state();
        let mut shared = Refusal::default();
        state.check(cost, now, options, &mut shared);
        check_shared(&self.limits, cost, now, &mut shared);
        let mut ask = Ask { state: &mut state, shared, best: None, cost, now, avoid: options.avoid };
        let asked = match &self.pool {
            None => ask.keyless().map(|_| ()),
            Some(pool) => pool.any(|id| ask.offer(LaneId(Some(id)))).map_err(|why| ask.refused(why)),
        };
        asked.map_err(Refusal::into_parts)
    }

    /// Ends when something changes that could let a waiting call in before its date: a call ends, a limit is raised, a key
    /// is put back to work. It hears of everything since it was made, so make it before asking for admission.
    pub fn released(&self) -> impl Future<Output = ()> + Send + use<> {
        let endpoint = Box::pin(self.endpoint.released());
        let pool = self.pool.as_ref().map(|pool| Box::pin(pool.changed()));
        let limits: Vec<_> = self.limits.iter().map(|limit| Box::pin(limit.released())).collect();
        async move {
            let own = async move {
                match pool {
                    None => endpoint.await,
                    Some(pool) => {
                        future::select(endpoint, pool).await;
                    }
                }
            };
            if limits.is_empty() {
                own.await;
            } else {
                future::select(std::pin::pin!(own), future::select_all(limits)).await;
            }
        }
    }

    /// The endpoint and its lanes as they stand.
    #[must_use]
    pub fn snapshot(&self, now: Instant) -> EndpointState {
        let keys = self.pool.as_ref().map(|pool| pool.snapshot()).unwrap_or_default();
        let hint = |id| keys.iter().find(|key| key.id == id).map(|key| key.hint.clone());
        self.endpoint.snapshot(hint, now)
    }
}

/// One call that asks one lane after another.
struct Ask<'a> {
    state: &'a mut State,
    /// What the endpoint as a whole has against it.
    shared: Refusal,
    /// What the best lane so far has against it.
    best: Option<Refusal>,
    cost: Cost,
    now: Instant,
    avoid: &'a [LaneId],
}

impl Ask<'_> {
    /// Whether this lane takes the call.
    fn offer(&mut self, id: LaneId) -> bool {
        let mut refusal = self.shared.clone();
        if self.avoid.contains(&id) {
            refusal.add(Why::Avoided, None);
        }
        // One that was never used has nothing against anybody.
        if let Some(lane) = self.state.known_lane(id) {
            lane.check(self.cost, self.now, &mut refusal);
        }
        let granted = refusal.is_none();
        if !granted {
            self.best = Some(match self.best.take() {
                None => refusal,
                Some(best) => best.sooner(refusal),
            });
        }
        granted
    }

    fn keyless(&mut self) -> Result<Option<KeyLease>, Refusal> {
        if self.offer(LaneId(None)) { Ok(None) } else { Err(self.refused(NoKey::Declined)) }
    }

    fn refused(&mut self, why: NoKey) -> Refusal {
        let mut refusal = self.best.take().unwrap_or_else(|| self.shared.clone());
        match why {
            NoKey::Parked(parked) => refusal.add(Why::KeyParked(parked), None),
            NoKey::Removed => refusal.add(Why::KeyRemoved, None),
            NoKey::Declined => {}
        }
        refusal
    }
}

fn admit(
    endpoint: &Arc<Endpoint>,
    limits: &[Arc<SharedLimit>],
    cost: Cost,
    now: Instant,
    options: &AdmitOptions<'_>,
    pick: impl FnOnce(&mut Ask<'_>) -> Result<Option<KeyLease>, Refusal>,
) -> Admission {
    // Locks are taken in this order everywhere: the endpoint's, then the pool's or a shared limit's.
    let mut state = endpoint.state();
    let mut shared = Refusal::default();
    let pass: Pass = state.check(cost, now, options, &mut shared);
    // Looked at before anything is taken: to take and give back would wake those who wait for the same limits, again and
    // again.
    check_shared(limits, cost, now, &mut shared);
    let mut ask = Ask { state: &mut state, shared, best: None, cost, now, avoid: options.avoid };
    let picked = pick(&mut ask).and_then(|lease| Ok((lease, take_shared(limits, cost, now)?)));
    match picked {
        Ok((lease, holds)) => {
            let lane = LaneId(lease.as_ref().map(KeyLease::id));
            let held = state.take(lane, pass, cost, now);
            drop(state);
            Admission::Granted(LaneGuard::new(Arc::clone(endpoint), lease, held, holds))
        }
        Err(refusal) => {
            let (at, why) = refusal.into_parts();
            Admission::NotBefore { at, why }
        }
    }
}

fn check_shared(limits: &[Arc<SharedLimit>], cost: Cost, now: Instant, refusal: &mut Refusal) {
    for limit in limits {
        if let Err(exhausted) = limit.ready(cost, now) {
            refusal.add_shared(exhausted);
        }
    }
}

/// Takes from each, or from none: another endpoint's call may have been quicker since they were looked at.
fn take_shared(limits: &[Arc<SharedLimit>], cost: Cost, now: Instant) -> Result<Vec<LimitHold>, Refusal> {
    limits.iter().map(|limit| limit.try_take(cost, now)).collect::<Result<_, Exhausted>>().map_err(
        |exhausted| {
            let mut refusal = Refusal::default();
            refusal.add_shared(exhausted);
            refusal
        },
    )
}
