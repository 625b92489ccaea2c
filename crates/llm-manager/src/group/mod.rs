//! Clients behind one name: what a pool and an aggregator have in common. Members, how each has done of late, the caps
//! above them, and the choice of one for a call.

mod face;
mod member;
mod plan;
mod seat;

use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt as _;
use llm_client::clock::{self, Instant};
use llm_client::driver::{Block, NotBefore, Queue};
use llm_client::lane::{Cost, DeclaredLimits, Exhausted, Registry, SharedLimit};
use llm_client::telemetry::Observer;
use llm_client::{Metrics, ModelClient, Settings};
use llm_types::{Capabilities, Error, ErrorKind};
use tokio::sync::Notify;

pub(crate) use self::face::speaks_for_its_group;
pub use self::member::Member;
pub(crate) use self::member::{Condition, Slot};
pub(crate) use self::plan::Work;
use self::seat::Seat;
use crate::balance::{Candidate, Strategy, choose};
use crate::names;

/// What is said about a group before it is built.
pub(crate) struct Parts {
    /// What it is called in errors: "pool", "aggregator".
    pub(crate) what: &'static str,
    pub(crate) id: String,
    pub(crate) members: Vec<Member>,
    pub(crate) strategy: Strategy,
    /// Whether a call that failed at one member may go on with another.
    pub(crate) fallback: bool,
    /// Where a failed call goes on, by the kind of its failure; places among the members.
    pub(crate) chains: Vec<(ErrorKind, Vec<usize>)>,
    /// Members that only chains lead to.
    pub(crate) reserve: Vec<usize>,
    pub(crate) settings: Settings,
    pub(crate) registry: Option<Arc<Registry>>,
}

/// Members, how each has done of late, and the caps above them.
pub(crate) struct Group {
    what: &'static str,
    /// Tells groups apart in the log of a call.
    number: u64,
    pub(crate) id: String,
    slots: Vec<Slot>,
    strategy: Strategy,
    fallback: bool,
    chains: Vec<(ErrorKind, Vec<usize>)>,
    reserve: Vec<usize>,
    pub(crate) settings: Settings,
    /// What all members together may have on their way, where that is bounded.
    cap: Option<Arc<SharedLimit>>,
    /// Whether any gate looks at tokens, so that a guess is worth its while.
    counts_tokens: bool,
    state: Mutex<State>,
    queue: Queue,
    released: Arc<Notify>,
    pub(crate) metrics: Metrics,
    pub(crate) capabilities: Capabilities,
    /// Who makes its calls, for traces and figures.
    observer: Observer,
    available: AtomicBool,
    closed: AtomicBool,
}

struct State {
    /// Counts the choices.
    turn: usize,
    members: Vec<Condition>,
}

impl Group {
    pub(crate) fn new(parts: Parts) -> Result<Arc<Self>, Error> {
        let Parts { what, id, members, .. } = parts;
        let config = |message: String| Error::new(ErrorKind::Config, format!("{what} {id}: {message}"));
        names::check_id(&id)?;
        parts.settings.check()?;
        if members.is_empty() {
            return Err(config("it has no members".to_owned()));
        }
        for (at, member) in members.iter().enumerate() {
            if member.weight == 0 {
                return Err(config(format!("{} has weight 0; a weight is from 1 up", member.client.id())));
            }
            let twice = |other: &Member| Arc::ptr_eq(&other.client, &member.client);
            if members.iter().take(at).any(twice) {
                return Err(config(format!("{} is a member twice", member.client.id())));
            }
        }
        let registry = parts.registry.unwrap_or_default();
        let ids: Vec<String> = members.iter().map(|member| member.client.id().to_owned()).collect();
        let nth = |at: usize| ids.iter().take(at + 1).filter(|other| Some(*other) == ids.get(at)).count();
        let slots: Vec<Slot> = members
            .into_iter()
            .enumerate()
            .map(|(at, member)| Slot::new(&id, nth(at), member, &parts.settings, &registry))
            .collect();
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        Ok(Arc::new(Self {
            what,
            number: NUMBER.fetch_add(1, Ordering::Relaxed),
            cap: cap(&id, DeclaredLimits::of_endpoint(&parts.settings), &registry),
            counts_tokens: parts.settings.tokens_per_minute.is_some()
                || slots.iter().any(|slot| slot.counts_tokens),
            state: Mutex::new(State { turn: 0, members: vec![Condition::default(); slots.len()] }),
            capabilities: common(slots.iter().map(|slot| slot.client.capabilities())),
            observer: {
                let (provider, model) = id.split_once('/').unwrap_or((what, &id));
                Observer::new(provider, model)
            },
            id,
            slots,
            strategy: parts.strategy,
            fallback: parts.fallback,
            chains: parts.chains,
            reserve: parts.reserve,
            settings: parts.settings,
            queue: Queue::default(),
            released: Arc::new(Notify::new()),
            metrics: Metrics::default(),
            available: AtomicBool::new(true),
            closed: AtomicBool::new(false),
        }))
    }

    pub(crate) fn members(&self) -> impl Iterator<Item = &Arc<dyn ModelClient>> {
        self.slots.iter().map(|slot| &slot.client)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Plain counts: what a panic left behind is still true.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why no call is taken at all, if none is.
    fn shut(&self) -> Option<String> {
        let why = if self.closed.load(Ordering::Acquire) {
            "closed"
        } else if !self.available.load(Ordering::Acquire) {
            "switched off (set_available)"
        } else {
            return None;
        };
        Some(format!("the {} is {why}", self.what))
    }

    fn check_open(&self) -> Result<(), NotBefore> {
        match self.shut() {
            None => Ok(()),
            Some(reason) => Err(NotBefore { at: None, block: Block::Parked(ErrorKind::Unavailable), reason }),
        }
    }

    fn describe(&self, error: Error) -> Error {
        if error.model().is_some() {
            return error;
        }
        let (provider, model) = self.id.split_once('/').unwrap_or(("", &self.id));
        error.with_model(provider, model)
    }

    /// Takes a seat for a call at the best of these members that would take it: first those that have not failed this
    /// call, then those that have not failed of late, then by priority and strategy. All or nothing: where a cap refuses,
    /// nothing is taken.
    fn admit(
        self: &Arc<Self>,
        wanted: &[usize],
        failures: &Failures,
        cost: Cost,
        now: Instant,
        horizon: Horizon,
    ) -> Result<(usize, Seat), NotBefore> {
        self.check_open()?;
        if let Some(cap) = &self.cap {
            cap.ready(cost, now).map_err(exhausted)?;
        }
        let mut refusal = None;
        let mut state = self.state();
        let mut left: Vec<(Rank, Candidate)> = Vec::with_capacity(wanted.len());
        let by_load = matches!(self.strategy, Strategy::LeastBusy | Strategy::Latency);
        for member in wanted.iter().copied() {
            let (Some(slot), Some(condition)) = (self.slots.get(member), state.members.get(member)) else {
                continue;
            };
            let rank = Rank {
                failed: failures.spent.contains(&member),
                ailing: condition.is_ailing(now),
                priority: slot.priority,
            };
            let latency = if by_load { condition.latency(now) } else { None };
            let in_flight = if by_load { slot.in_flight(condition) } else { 0 };
            left.push((rank, Candidate { member, weight: slot.weight, in_flight, latency }));
        }
        // Whoever is chosen is asked, and nobody else: most often it has room.
        while let Some(best) = left.iter().map(|(rank, _)| *rank).min() {
            let candidates: Vec<Candidate> =
                left.iter().filter(|(rank, _)| *rank == best).map(|(_, candidate)| *candidate).collect();
            let turn = state.turn;
            let chosen = choose(self.strategy, &candidates, self.slots.len(), turn, fastrand::f64);
            let Some((member, slot)) = chosen.and_then(|at| Some((at, self.slots.get(at)?))) else { break };
            let retrying = failures.failed.contains(&member);
            let open = state.members.get(member).map_or(Ok(()), |condition| condition.check(now));
            match open.and_then(|()| slot.admit(cost, now, retrying)) {
                Ok(entry) => {
                    let cap = self.cap.as_ref().map(|cap| cap.try_take(cost, now)).transpose();
                    let cap = cap.map_err(exhausted)?;
                    state.turn = turn.wrapping_add(1);
                    if let Some(condition) = state.members.get_mut(member) {
                        condition.in_flight = condition.in_flight.saturating_add(1);
                    }
                    drop(state);
                    return Ok((member, Seat::new(self, member, entry, cap, now)));
                }
                Err(not_before) => {
                    refusal = Some(sooner(refusal, not_before, horizon));
                    left.retain(|(_, candidate)| candidate.member != member);
                }
            }
        }
        let reason = || format!("no member of the {} is left for this call", self.what);
        Err(refusal.unwrap_or_else(|| NotBefore {
            at: None,
            block: Block::Parked(ErrorKind::Unavailable),
            reason: reason(),
        }))
    }

    /// Whether a call would be taken now, whatever has failed it.
    fn ready(&self, now: Instant, retrying: bool) -> Result<(), NotBefore> {
        self.check_open()?;
        if let Some(cap) = &self.cap {
            cap.ready(Cost::default(), now).map_err(exhausted)?;
        }
        // Of several members the others are asked first, and they have nothing to do with the retry.
        let retrying = retrying && self.slots.len() == 1;
        let horizon = Horizon { patient: false, until: clock::after(now, self.settings.retry_after_cap) };
        let state = self.state();
        let mut refusal = None;
        for (at, (slot, condition)) in self.slots.iter().zip(&state.members).enumerate() {
            if self.reserve.contains(&at) {
                continue;
            }
            let ready = condition.check(now).and_then(|()| slot.ready(Cost::default(), now, retrying));
            match ready {
                Ok(()) => return Ok(()),
                Err(not_before) => refusal = Some(sooner(refusal, not_before, horizon)),
            }
        }
        refusal.map_or(Ok(()), Err)
    }

    /// The member and the endpoint of each lane.
    fn lanes(&self) -> (Vec<usize>, Vec<usize>) {
        let some = self.slots.len();
        let (mut members, mut endpoints) = (Vec::with_capacity(some), Vec::with_capacity(some));
        let mut next = 0;
        for (member, slot) in self.slots.iter().enumerate() {
            let mut most = 0;
            for endpoint in slot.lanes().iter().flatten() {
                members.push(member);
                endpoints.push(next + endpoint);
                most = most.max(*endpoint);
            }
            if members.last() != Some(&member) {
                // One that keeps no account of itself is one lane.
                members.push(member);
                endpoints.push(next);
            }
            next += most + 1;
        }
        (members, endpoints)
    }

    /// Ends when something changes that could let a waiting call in. It hears of everything since it was made.
    fn released(&self) -> impl Future<Output = ()> + Send + '_ {
        let own = Arc::clone(&self.released).notified_owned();
        let mut all: Vec<std::pin::Pin<Box<dyn Future<Output = ()> + Send + '_>>> = vec![Box::pin(own)];
        all.extend(self.cap.iter().map(|cap| Box::pin(cap.released()) as _));
        all.extend(self.slots.iter().flat_map(Slot::released));
        futures_util::future::select_all(all).map(|_| ())
    }
}

/// The members that have failed a call: at all, and with every endpoint they have.
struct Failures {
    failed: Vec<usize>,
    spent: Vec<usize>,
}

/// What comes before the strategy, the least first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    /// It has failed this call with all it has.
    failed: bool,
    /// It has failed others of late.
    ailing: bool,
    /// Its tier.
    priority: u32,
}

/// Until when a date is worth waiting for.
#[derive(Clone, Copy)]
struct Horizon {
    /// The call waits for anything, rests too.
    patient: bool,
    /// Where it does not: longer waits are not waited out.
    until: Instant,
}

/// The refusal to act on: a date worth waiting for, the nearest first, since whoever waits for a date is woken by the end of
/// another call too; else the end of another call; else the nearest date. No date helps a key that is parked, and a call
/// that does not wait for rests is better told of a turn.
fn sooner(one: Option<NotBefore>, other: NotBefore, horizon: Horizon) -> NotBefore {
    let Some(one) = one else { return other };
    let rank = |refusal: &NotBefore| {
        let kind = match refusal.block {
            Block::Turn => 0_u8,
            Block::Rest => u8::from(!horizon.patient),
            Block::Parked(_) => 2,
        };
        let date = match refusal.at {
            Some(at) if horizon.patient || at <= horizon.until => 0_u8,
            None => 1,
            Some(_) => 2,
        };
        (kind, date, refusal.at)
    };
    if rank(&other) < rank(&one) { other } else { one }
}

/// A limit that bounds anything. The registry keeps it by its name, so that what was used outlives the group.
fn cap(name: &str, declared: DeclaredLimits, registry: &Registry) -> Option<Arc<SharedLimit>> {
    let bounded = declared != DeclaredLimits::default();
    bounded.then(|| registry.update_limit(name, declared, clock::now()))
}

/// A cap's refusal as the driver reads it.
fn exhausted(refusal: Exhausted) -> NotBefore {
    NotBefore { at: refusal.at, block: Block::Turn, reason: refusal.to_string() }
}

/// What all of them can do, as far as that is known; limits are the narrowest.
fn common<'a>(mut all: impl Iterator<Item = &'a Capabilities>) -> Capabilities {
    let first = all.next().cloned().unwrap_or_default();
    all.fold(first, |one, other| one.common(other))
}

impl fmt::Debug for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let members: Vec<&str> = self.slots.iter().map(|slot| slot.client.id()).collect();
        f.debug_struct("Group")
            .field("id", &self.id)
            .field("strategy", &self.strategy)
            .field("members", &members)
            .finish_non_exhaustive()
    }
}
