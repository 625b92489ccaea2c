//! Admitting a call: to one lane, or to the best lane of an endpoint.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future;

use crate::clock::Instant;
use crate::lane::breaker::Pass;
use crate::lane::endpoint::State;
use crate::lane::keys::NoKey;
use crate::lane::{
    Admission, AdmitOptions, Cost, Endpoint, EndpointState, KeyId, KeyLease, KeyPool, LaneGuard, LaneId,
    Refusal, Why,
};

/// An endpoint with one key, or with none where it needs none. A handle: cheap to clone, the state is the endpoint's.
#[derive(Clone, Debug)]
pub struct Lane {
    endpoint: Arc<Endpoint>,
    key: Option<(Arc<KeyPool>, KeyId)>,
}

/// An endpoint with all keys of a pool. A handle: cheap to clone, the state is the endpoint's and the pool's.
#[derive(Clone, Debug)]
pub struct Lanes {
    endpoint: Arc<Endpoint>,
    pool: Option<Arc<KeyPool>>,
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
        self.endpoint.state().known_lane(self.id()).map_or(0, |lane| lane.in_flight)
    }

    /// Admits a call if everything allows it: breaker, cool-down, key, slot, both buckets, learned limit and pace. All or
    /// nothing: where one refuses, nothing is taken. The guard gives everything back.
    pub fn admit(&self, cost: Cost, now: Instant, options: &AdmitOptions<'_>) -> Admission {
        admit(&self.endpoint, cost, now, options, |ask| match &self.key {
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
        Self { endpoint, pool }
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
            None => vec![Lane { endpoint: Arc::clone(&self.endpoint), key: None }],
            Some(pool) => {
                let lane =
                    |id| Lane { endpoint: Arc::clone(&self.endpoint), key: Some((Arc::clone(pool), id)) };
                pool.ids().into_iter().map(lane).collect()
            }
        }
    }

    /// Admits a call to the lane with the least loaded key of those that allow it; see [`Lane::admit`]. Where none does,
    /// the date is that of the lane that opens first.
    pub fn admit(&self, cost: Cost, now: Instant, options: &AdmitOptions<'_>) -> Admission {
        admit(&self.endpoint, cost, now, options, |ask| match &self.pool {
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
        let mut ask = Ask { state: &mut state, shared, best: None, now, avoid: options.avoid };
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
        async move {
            match pool {
                None => endpoint.await,
                Some(pool) => {
                    future::select(endpoint, pool).await;
                }
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
            lane.check(self.now, &mut refusal);
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
    cost: Cost,
    now: Instant,
    options: &AdmitOptions<'_>,
    pick: impl FnOnce(&mut Ask<'_>) -> Result<Option<KeyLease>, Refusal>,
) -> Admission {
    // Locks are taken in this order everywhere: the endpoint's, then the pool's.
    let mut state = endpoint.state();
    let mut shared = Refusal::default();
    let pass: Pass = state.check(cost, now, options, &mut shared);
    let mut ask = Ask { state: &mut state, shared, best: None, now, avoid: options.avoid };
    match pick(&mut ask) {
        Ok(lease) => {
            let lane = LaneId(lease.as_ref().map(KeyLease::id));
            let held = state.take(lane, pass, cost, now);
            drop(state);
            Admission::Granted(LaneGuard::new(Arc::clone(endpoint), lease, held))
        }
        Err(refusal) => {
            let (at, why) = refusal.into_parts();
            Admission::NotBefore { at, why }
        }
    }
}
