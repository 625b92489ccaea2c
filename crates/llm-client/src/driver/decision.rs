//! Which lane next, wait how long, or give up: pure functions of what the call has tried, what the lanes answer, the
//! time and a random number. The rules are the error table's; here they meet the plan.

use std::time::Duration;

use llm_types::{Again, Error, ErrorKind, Move};

use crate::call::Wait;
use crate::clock::{Instant, after};
use crate::lane::Why;

/// No lane is asked again sooner, whatever a server or a client says.
const SOONEST: Duration = Duration::from_millis(50);

/// What does not change while a call runs.
#[derive(Clone, Debug)]
pub struct Rules {
    /// The endpoint of each lane, as a small number; lanes of one endpoint share it.
    pub endpoints: Vec<usize>,
    /// Lanes that are asked only where a chain leads to them ([`Plan::chain`](super::Plan::chain)).
    pub reserve: Vec<usize>,
    /// How many requests may go to endpoints that were already tried. One call makes at most this many and one for each
    /// endpoint.
    pub max_retries: u32,
    /// The longest wait a server may ask for.
    pub retry_after_cap: Duration,
    /// What to do while no lane can take the call.
    pub wait: Wait,
    /// When the call must be over.
    pub deadline: Option<Instant>,
}

/// What a call has tried so far.
#[derive(Clone, Debug)]
pub struct Progress {
    lanes: Vec<LaneProgress>,
    /// Whether each endpoint was sent a request.
    tried: Vec<bool>,
    retries: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct LaneProgress {
    /// Not for this call any more.
    out: bool,
    /// A request went out on it.
    asked: bool,
    /// The call's own back-off on this lane.
    not_before: Option<Instant>,
    /// A time-out was already answered by trying once more.
    tried_once_more: bool,
    /// Trying again spends the endpoint's retry budget.
    spends: bool,
}

/// A lane's answer to a call that it cannot take now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotBefore {
    /// When to ask again; `None` when only another call's end can tell.
    pub at: Option<Instant>,
    /// What stands in the way.
    pub block: Block,
    /// The same in words, for the error: "the request limit is used up".
    pub reason: String,
}

impl NotBefore {
    /// A lane's refusal.
    #[must_use]
    pub fn of_lane(at: Option<Instant>, why: &Why) -> Self {
        let block = match why {
            Why::KeyParked(parked) => Block::Parked(parked.kind),
            Why::KeyRemoved | Why::Avoided => Block::Parked(ErrorKind::Unavailable),
            Why::Breaker => Block::Rest,
            _ => Block::Turn,
        };
        Self { at, block, reason: why.to_string() }
    }
}

/// What stands between a call and a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block {
    /// Its turn comes by itself: a slot, a limit, a cool-down.
    Turn,
    /// The endpoint rests after faults; only a patient call waits for the trial.
    Rest,
    /// Nothing will change by waiting: the key is parked, for this kind of refusal.
    Parked(ErrorKind),
}

/// What to do when no lane took the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Ask the lanes again then, or when another call ends.
    Wait {
        /// The moment; `None` when only another call's end can help.
        until: Option<Instant>,
        /// Whether the wait is back-off of this call's own, which does not stand in a queue.
        backoff: bool,
    },
    /// Fail: with the last error where there is one, else saying when the next lane will be free.
    GiveUp {
        /// When that is, where it is known.
        next: Option<Instant>,
    },
}

impl Progress {
    /// A call that has tried nothing.
    #[must_use]
    pub fn new(rules: &Rules) -> Self {
        let endpoints = rules.endpoints.iter().max().map_or(0, |most| most + 1);
        let mut lanes = vec![LaneProgress::default(); rules.endpoints.len()];
        for lane in &rules.reserve {
            if let Some(lane) = lanes.get_mut(*lane) {
                lane.out = true;
            }
        }
        Self { lanes, tried: vec![false; endpoints], retries: 0 }
    }

    /// How many requests went to endpoints that had been tried before.
    #[must_use]
    pub fn retries(&self) -> u32 {
        self.retries
    }

    /// Whether the call has sent anything yet.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.tried.iter().any(|tried| *tried)
    }

    /// Whether some lanes that calls begin with are not for this one any more.
    #[must_use]
    pub fn is_restricted(&self, rules: &Rules) -> bool {
        self.lanes.iter().enumerate().any(|(lane, progress)| progress.out && !rules.reserve.contains(&lane))
    }

    /// Whether a request on this lane would be a retry: its endpoint was tried before.
    #[must_use]
    pub fn is_retry(&self, rules: &Rules, lane: usize) -> bool {
        rules.endpoints.get(lane).and_then(|endpoint| self.tried.get(*endpoint)).copied().unwrap_or(false)
    }

    /// Whether that retry spends the endpoint's retry budget.
    #[must_use]
    pub fn spends_budget(&self, rules: &Rules, lane: usize) -> bool {
        self.is_retry(rules, lane) && self.lanes.get(lane).is_some_and(|lane| lane.spends)
    }

    /// Whether this lane is still one for the call, waiting aside.
    fn is_open(&self, rules: &Rules, lane: usize) -> bool {
        self.lanes.get(lane).is_some_and(|progress| !progress.out)
            && (!self.is_retry(rules, lane) || self.retries < rules.max_retries)
    }

    /// Whether the lane may be asked for admission now.
    #[must_use]
    pub fn may_try(&self, rules: &Rules, lane: usize, now: Instant) -> bool {
        self.is_open(rules, lane)
            && self.lanes.get(lane).and_then(|progress| progress.not_before).is_none_or(|at| at <= now)
    }

    /// Notes that a request went out on this lane.
    pub fn started(&mut self, rules: &Rules, lane: usize) {
        if let Some(progress) = self.lanes.get_mut(lane) {
            progress.asked = true;
        }
        if self.is_retry(rules, lane) {
            self.retries += 1;
        }
        if let Some(tried) = rules.endpoints.get(lane).and_then(|endpoint| self.tried.get_mut(*endpoint)) {
            *tried = true;
        }
    }

    /// Notes that the lane's endpoint has no retry budget left: none of its lanes is one for this call any more.
    pub fn budget_is_empty(&mut self, rules: &Rules, lane: usize) {
        let endpoint = rules.endpoints.get(lane);
        for (other, progress) in self.lanes.iter_mut().enumerate() {
            if rules.endpoints.get(other) == endpoint {
                progress.out = true;
            }
        }
    }

    /// Notes a failure on this lane, by the error table. `backoff` is the wait before the next request to the endpoint.
    pub fn failed(&mut self, rules: &Rules, lane: usize, error: &Error, backoff: Duration, now: Instant) {
        if error.kind().is_unsent() {
            // The client below sent nothing: it only says when to ask again, if ever.
            if let Some(progress) = self.lanes.get_mut(lane) {
                match error.retry_after() {
                    Some(wait) if wait <= rules.retry_after_cap || rules.wait == Wait::Patient => {
                        progress.not_before = Some(after(now, wait.max(SOONEST)));
                    }
                    _ => progress.out = true,
                }
            }
            return;
        }
        let verdict = error.kind().verdict();
        let same_lane = match error.should_retry() {
            Some(false) => Again::Never,
            Some(true) if verdict.same_lane == Again::Never => Again::Backoff,
            _ => verdict.same_lane,
        };
        let too_long = error.retry_after().is_some_and(|wait| wait > rules.retry_after_cap);
        let wait = error.retry_after().map_or(backoff, |asked| asked.max(SOONEST));
        let endpoint = rules.endpoints.get(lane);
        for (other, progress) in self.lanes.iter_mut().enumerate() {
            let same_endpoint = rules.endpoints.get(other) == endpoint;
            if other == lane {
                progress.spends = verdict.retry_budget || same_lane != verdict.same_lane;
                let once = same_lane == Again::Once;
                if too_long || same_lane == Again::Never || (once && progress.tried_once_more) {
                    progress.out = true;
                } else {
                    progress.tried_once_more |= once;
                    progress.not_before = Some(after(now, wait));
                }
                continue;
            }
            match verdict.other_lane {
                Move::Never => progress.out = true,
                Move::OtherEndpoint if same_endpoint => progress.out = true,
                // The fault is the endpoint's, not the key's: another key of it waits all the same, and is a retry that
                // may be paid twice like one on the same lane.
                Move::AnyLane if same_endpoint && verdict.breaker => {
                    progress.spends = verdict.retry_budget;
                    let once = same_lane == Again::Once;
                    if same_lane == Again::Never || (once && progress.tried_once_more) {
                        progress.out = true;
                    } else {
                        progress.tried_once_more |= once;
                        progress.not_before = Some(after(now, wait)).max(progress.not_before);
                    }
                }
                Move::AnyLane if same_endpoint => progress.spends = verdict.retry_budget,
                Move::AnyLane | Move::OtherEndpoint => {}
            }
        }
    }

    /// Goes on with the lanes of a chain, those that were asked already aside, and with no other. Without any nothing
    /// changes.
    pub fn follow(&mut self, chain: &[usize]) {
        if !chain.iter().any(|lane| self.lanes.get(*lane).is_some_and(|lane| !lane.asked)) {
            return;
        }
        for (lane, progress) in self.lanes.iter_mut().enumerate() {
            progress.out = progress.asked || !chain.contains(&lane);
        }
    }

    /// The lanes that may be asked for admission now.
    #[must_use]
    pub fn open(&self, rules: &Rules, now: Instant) -> Vec<usize> {
        (0..self.lanes.len()).filter(|lane| self.may_try(rules, *lane, now)).collect()
    }

    /// What to do when no lane took the call. `refusal` is the answer of the lanes that were asked: of the one that opens
    /// first.
    #[must_use]
    pub fn step(&self, rules: &Rules, refusal: Option<&NotBefore>, now: Instant) -> Step {
        let later = |lane: usize| self.lanes.get(lane)?.not_before.filter(|at| *at > now);
        // The call's own back-off.
        let own = (0..self.lanes.len()).filter(|lane| self.is_open(rules, *lane)).filter_map(later).min();
        // What the lanes themselves wait for.
        let patient = rules.wait == Wait::Patient;
        let (theirs, release) = match refusal {
            None => (None, false),
            Some(NotBefore { block: Block::Parked(_), .. }) => (None, false),
            Some(NotBefore { block: Block::Rest, .. }) if !patient => (None, false),
            Some(NotBefore { at: None, .. }) => (None, true),
            // Cool-downs and limits up to the cap are waited out, longer ones only by a patient call.
            Some(NotBefore { at: Some(at), .. }) => {
                let short = at.saturating_duration_since(now) <= rules.retry_after_cap;
                (Some(*at).filter(|_| patient || short), false)
            }
        };
        let backoff = !release && own.is_some_and(|own| theirs.is_none_or(|theirs| own <= theirs));
        let until = [own, theirs].into_iter().flatten().min();
        let next = [own, refusal.and_then(|refusal| refusal.at)].into_iter().flatten().min();
        let in_time = |at: Instant| rules.deadline.is_none_or(|deadline| at < deadline);
        match until {
            _ if rules.wait == Wait::Never => Step::GiveUp { next },
            Some(at) if in_time(at) => Step::Wait { until: Some(at), backoff },
            _ if release => Step::Wait { until: None, backoff: false },
            _ => Step::GiveUp { next },
        }
    }
}

#[cfg(test)]
mod tests;
