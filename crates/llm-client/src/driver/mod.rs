//! The one driver: the only place that retries, moves to another lane, or waits.
//!
//! `HttpClient`, and every wrapper that chooses between clients, describes itself as a [`Plan`] and calls [`drive`].
//! A wrapper hands its call down [driven](Call::driven); the client below then makes at most one attempt and never
//! waits, so that retries cannot multiply, however deep wrappers nest.
//!
//! ```text
//! ask the open lanes in the plan's order ─► one admits ─► attempt ─► answer
//!        ▲                                                   └─► error ─► the error table (decision.rs)
//!        └── wait: back-off alone, everything else in one queue, first come first served ◄─┘
//! ```

mod decision;

use llm_types::{Error, ErrorKind, Phase};
use tokio::sync::{Mutex, MutexGuard, Notify};

use crate::call::Call;
use crate::clock::{self, Instant};
pub use decision::{Block, NotBefore, Progress, Rules, Step};

/// What the driver needs to know of a client: its lanes, and what to do with one.
pub trait Plan: Sync {
    /// What an attempt gives.
    type Answer: Send;
    /// What admission grants; dropping it unused gives everything back.
    type Permit: Send;

    /// The fixed part of the decision, and what this call changes in it.
    fn rules(&self, call: &Call) -> Rules;

    /// The lanes in the order in which they should be asked now.
    fn order(&self, now: Instant) -> Vec<usize>;

    /// Asks one lane, all or nothing. `retrying`: the call has begun, and is not refused by a breaker that opened since.
    ///
    /// # Errors
    /// [`NotBefore`] says when to ask again.
    fn admit(&self, lane: usize, now: Instant, retrying: bool) -> Result<Self::Permit, NotBefore>;

    /// One exchange on the lane; it ends with a decoded answer or a typed error, and settles the permit.
    fn attempt(
        &self,
        lane: usize,
        permit: Self::Permit,
        call: &Call,
    ) -> impl Future<Output = Result<Self::Answer, Error>> + Send;

    /// Takes one retry from the budget of the lane's endpoint; `false` when it is empty.
    fn spend_retry(&self, lane: usize, now: Instant) -> bool;

    /// The wait before the next request to an endpoint that failed, after this many retries.
    fn backoff(&self, retries: u32, random: f64) -> std::time::Duration;

    /// Where calls wait for admission.
    fn queue(&self) -> &Queue;

    /// Adds what the plan knows to an error that leaves it: provider, model.
    fn describe(&self, error: Error) -> Error;
}

/// Where calls wait for admission, first come first served. The head of the queue is the only one that asks the lanes
/// again; it holds nothing else while it waits.
#[derive(Debug, Default)]
pub struct Queue {
    head: Mutex<()>,
    released: Notify,
}

impl Queue {
    /// Wakes the head of the queue: something was given back.
    pub fn release(&self) {
        self.released.notify_one();
    }
}

/// Makes one call: at most R + E requests over E endpoints, as the error table says.
///
/// # Errors
/// The last attempt's error with the log of all of them; [`ErrorKind::Unavailable`] when nothing was sent.
pub async fn drive<P: Plan>(plan: &P, call: &Call) -> Result<P::Answer, Error> {
    let started = clock::now();
    let own;
    let call = if call.is_driven() {
        call
    } else {
        own = call.begin();
        &own
    };
    let result = match call.deadline {
        // Every wait and attempt is cut at the deadline; the decision refuses waits that would reach it.
        Some(deadline) => match tokio::time::timeout_at(deadline, run(plan, call)).await {
            Ok(result) => result,
            Err(_) => {
                call.record_outcome_if_open(ErrorKind::Timeout(Phase::Call));
                let limit = deadline.saturating_duration_since(started);
                let message = format!("no answer before the call's deadline ({limit:.1?} after its start)");
                Err(plan.describe(Error::new(ErrorKind::Timeout(Phase::Call), message)))
            }
        },
        None => run(plan, call).await,
    };
    result.map_err(|error| {
        if call.is_driven() {
            error
        } else {
            error.with_attempts(call.attempts()).with_elapsed(started.elapsed())
        }
    })
}

async fn run<P: Plan>(plan: &P, call: &Call) -> Result<P::Answer, Error> {
    let rules = plan.rules(call);
    let mut progress = Progress::new(&rules);
    let mut last: Option<Error> = None;
    // Held from the first refusal until a lane admits, so that nobody who came later is asked first.
    let mut turn: Option<MutexGuard<'_, ()>> = None;
    loop {
        let now = clock::now();
        let mut refusals = Vec::new();
        let mut granted = None;
        // Whoever comes while others queue stands behind them.
        let my_turn = turn.is_some() || call.is_driven() || queue_is_empty(plan.queue());
        if my_turn {
            for lane in plan.order(now) {
                if !progress.may_try(&rules, lane, now) {
                    continue;
                }
                match plan.admit(lane, now, progress.has_begun()) {
                    Ok(permit) if !progress.spends_budget(&rules, lane) || plan.spend_retry(lane, now) => {
                        granted = Some((lane, permit));
                        break;
                    }
                    Ok(permit) => {
                        drop(permit);
                        progress.budget_is_empty(&rules, lane);
                        last = last.map(budget_is_empty);
                    }
                    Err(refusal) => refusals.push((lane, refusal)),
                }
            }
        }
        if let Some((lane, permit)) = granted {
            turn = None;
            progress.started(&rules, lane);
            match plan.attempt(lane, permit, call).await {
                Ok(answer) => return Ok(answer),
                Err(error) if call.is_driven() => return Err(plan.describe(error)),
                Err(error) => {
                    let backoff = plan.backoff(progress.retries(), clock::random());
                    progress.failed(&rules, lane, &error, backoff, clock::now());
                    last = Some(error);
                    continue;
                }
            }
        }
        if !my_turn {
            turn = Some(wait_for(call, plan.queue().head.lock()).await);
            continue;
        }
        match progress.step(&rules, &refusals, clock::now()) {
            _ if call.is_driven() => return Err(plan.describe(unavailable(&refusals, now))),
            Step::GiveUp { .. } => {
                let error = last.unwrap_or_else(|| unavailable(&refusals, now));
                return Err(plan.describe(error));
            }
            Step::Wait { until: Some(at), backoff: true } => {
                turn = None;
                wait_for(call, clock::sleep_until(at)).await;
            }
            Step::Wait { until, .. } => {
                if turn.is_none() {
                    turn = Some(wait_for(call, plan.queue().head.lock()).await);
                    // Whoever stood before us may have left a lane free: ask first, sleep then.
                    continue;
                }
                let released = plan.queue().released.notified();
                wait_for(call, async {
                    match until {
                        Some(at) => tokio::select! {
                            () = released => {}
                            () = clock::sleep_until(at) => {}
                        },
                        None => released.await,
                    }
                })
                .await;
            }
        }
    }
}

fn queue_is_empty(queue: &Queue) -> bool {
    queue.head.try_lock().is_ok()
}

/// Waits, and writes the time down for the next attempt.
async fn wait_for<T>(call: &Call, what: impl Future<Output = T>) -> T {
    let from = clock::now();
    let result = what.await;
    call.record_wait(from.elapsed());
    result
}

/// The retry that the error table allows was not made, because too many of the endpoint's requests are retries. The
/// error keeps its kind, and says when asking again is worth it.
fn budget_is_empty(error: Error) -> Error {
    const SOON: std::time::Duration = std::time::Duration::from_secs(1);
    let message = format!("{} (not retried: the endpoint's retry budget is used up)", error.message());
    let wait = error.retry_after().unwrap_or(SOON).max(SOON);
    error.with_message(message).with_retry_after(wait)
}

/// Nothing can take the call: why, and from when on something can.
fn unavailable(refusals: &[(usize, NotBefore)], now: Instant) -> Error {
    let earliest = refusals.iter().filter_map(|(_, refusal)| Some((refusal.at?, refusal.reason))).min();
    if let Some((at, reason)) = earliest {
        let wait = at.saturating_duration_since(now);
        let message =
            format!("no lane can take the call now: {reason}; the next can in {:.1} s", wait.as_secs_f64());
        return Error::new(ErrorKind::Unavailable, message).with_retry_after(wait);
    }
    let Some((_, first)) = refusals.first() else {
        return Error::new(ErrorKind::Unavailable, "no lane is left for this call");
    };
    // Nothing but parked keys: the refusal that parked them is what the caller has to act on.
    let kind = match first.block {
        Block::Parked(kind)
            if refusals.iter().all(|(_, refusal)| matches!(refusal.block, Block::Parked(_))) =>
        {
            kind
        }
        _ => ErrorKind::Unavailable,
    };
    Error::new(kind, format!("no lane can take the call: {}", first.reason))
}

#[cfg(test)]
mod tests;
