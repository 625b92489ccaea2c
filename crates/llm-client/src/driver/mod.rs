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

use std::sync::atomic::{AtomicUsize, Ordering};

use llm_types::{Error, ErrorKind, Phase};
use tokio::sync::{Mutex, MutexGuard};

use crate::call::{Call, Wait};
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

    /// Asks these lanes in the plan's order of preference: the best that can take the call does, all or nothing.
    /// `retrying`: the call has begun, and is not refused by a breaker that opened since.
    ///
    /// # Errors
    /// [`NotBefore`] of the lane that opens first.
    fn admit(&self, open: &[usize], now: Instant, retrying: bool)
    -> Result<(usize, Self::Permit), NotBefore>;

    /// Ends when something changes that could let a waiting call in before its date. Made before the lanes are asked, so
    /// that nothing is missed.
    fn released(&self) -> impl Future<Output = ()> + Send;

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

    /// The lanes that an explicit chain names for this failure, the error table aside: the call goes on with those of them
    /// that it has not tried, and with no other.
    fn chain(&self, error: &Error) -> Vec<usize> {
        let _ = error;
        Vec::new()
    }

    /// Whether the call may go on with a part of the lanes only, for a reason of the plan's own.
    fn is_restricted(&self) -> bool {
        false
    }

    /// Where calls wait for admission.
    fn queue(&self) -> &Queue;

    /// Adds what the plan knows to an error that leaves it: provider, model.
    fn describe(&self, error: Error) -> Error;
}

/// Where calls wait for admission, first come first served. The head of the queue is the only one that asks the lanes
/// again; it holds nothing else while it waits. Patient calls, which may wait for long, have a line of their own, so that
/// no other stands behind them.
#[derive(Debug, Default)]
pub struct Queue {
    brief: Line,
    patient: Line,
}

#[derive(Debug, Default)]
struct Line {
    head: Mutex<()>,
    /// Calls that stand in it, the head included.
    standing: AtomicUsize,
}

/// A place in a line; dropping it leaves the line.
struct Place<'a>(&'a Line);

/// The head's place.
struct Turn<'a> {
    // Dropped in this order: the next one asks when this one has left.
    _head: MutexGuard<'a, ()>,
    _place: Place<'a>,
}

impl Queue {
    fn line(&self, wait: Wait) -> &Line {
        if wait == Wait::Patient { &self.patient } else { &self.brief }
    }
}

impl Line {
    fn is_empty(&self) -> bool {
        self.standing.load(Ordering::Acquire) == 0
    }

    async fn turn(&self) -> Turn<'_> {
        self.standing.fetch_add(1, Ordering::AcqRel);
        let place = Place(self);
        Turn { _head: self.head.lock().await, _place: place }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.standing.fetch_sub(1, Ordering::AcqRel);
    }
}

/// An answer, and how the call went.
#[derive(Debug)]
pub struct Driven<T> {
    /// What the plan's attempt gave.
    pub answer: T,
    /// When the call began.
    pub started: Instant,
    /// How long it waited: for back-off, a cool-down or a free lane.
    pub waited: std::time::Duration,
    /// Every attempt, the successful one last.
    pub attempts: Vec<llm_types::AttemptRecord>,
}

/// Makes one call: at most R + E requests over E endpoints, as the error table says.
///
/// # Errors
/// The last attempt's error with the log of all of them; [`ErrorKind::Unavailable`] when nothing was sent.
pub async fn drive<P: Plan>(plan: &P, call: &Call) -> Result<Driven<P::Answer>, Error> {
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
    match result {
        Ok(answer) => Ok(Driven { answer, started, waited: call.waited(), attempts: call.attempts() }),
        Err(error) if call.is_driven() => Err(error),
        Err(error) => Err(error.with_attempts(call.attempts()).with_elapsed(started.elapsed())),
    }
}

async fn run<P: Plan>(plan: &P, call: &Call) -> Result<P::Answer, Error> {
    let rules = plan.rules(call);
    let mut progress = Progress::new(&rules);
    let mut last: Option<Error> = None;
    // Held from the first refusal until a lane admits, so that nobody who came later is asked first.
    let line = plan.queue().line(rules.wait);
    let mut turn: Option<Turn<'_>> = None;
    loop {
        // A call that may use a part of the lanes only waits aside, so that it keeps nobody from the others.
        let aside = progress.is_restricted(&rules) || plan.is_restricted();
        // Whoever comes while others queue stands behind them.
        if turn.is_none() && !aside && !call.is_driven() && !line.is_empty() {
            if rules.wait == Wait::Never {
                let reason = "other calls wait for it already".to_owned();
                let behind = NotBefore { at: None, block: Block::Turn, reason };
                return Err(plan.describe(last.unwrap_or_else(|| unavailable(Some(&behind), clock::now()))));
            }
            turn = Some(wait_for(call, line.turn()).await);
        }
        if aside {
            turn = None;
        }
        let released = (aside || turn.is_some()).then(|| plan.released());
        let now = clock::now();
        let mut refusal = None;
        let open = progress.open(&rules, now);
        if !open.is_empty() {
            match plan.admit(&open, now, progress.has_begun()) {
                Ok((lane, permit))
                    if !progress.spends_budget(&rules, lane) || plan.spend_retry(lane, now) =>
                {
                    turn = None;
                    match plan.attempt(lane, permit, call).await {
                        Ok(answer) => return Ok(answer),
                        Err(error) if call.is_driven() && !error.kind().is_unsent() => {
                            return Err(plan.describe(error));
                        }
                        Err(error) => {
                            // A client below that had no room sent nothing: another may be asked, also where only one
                            // attempt may be made.
                            if !error.kind().is_unsent() {
                                progress.started(&rules, lane);
                            }
                            let backoff = plan.backoff(progress.retries(), clock::random());
                            progress.failed(&rules, lane, &error, backoff, clock::now());
                            progress.follow(&plan.chain(&error));
                            last = Some(worth_more(last, error));
                        }
                    }
                    continue;
                }
                Ok((lane, permit)) => {
                    drop(permit);
                    progress.budget_is_empty(&rules, lane);
                    last = last.map(budget_is_empty);
                    continue;
                }
                Err(not_before) => refusal = Some(not_before),
            }
        }
        match progress.step(&rules, refusal.as_ref(), clock::now()) {
            _ if call.is_driven() => return Err(plan.describe(not_now(last, refusal.as_ref(), now))),
            Step::GiveUp { .. } => {
                let error = last.unwrap_or_else(|| unavailable(refusal.as_ref(), now));
                return Err(plan.describe(error));
            }
            Step::Wait { until: Some(at), backoff: true } => {
                turn = None;
                wait_for(call, clock::sleep_until(at)).await;
            }
            Step::Wait { until, .. } => {
                let Some(released) = released else {
                    // Whoever stood before us may leave a lane free: ask again when it is our turn, then sleep.
                    turn = Some(wait_for(call, line.turn()).await);
                    continue;
                };
                wait_for(call, async {
                    match until {
                        // Either ends the wait: what has changed is asked again.
                        Some(at) => drop(tokio::time::timeout_at(at, released).await),
                        None => released.await,
                    }
                })
                .await;
            }
        }
    }
}

/// What a driven call says when nobody sent it: the error of one that was asked, unless only the others have a date.
fn not_now(asked: Option<Error>, refusal: Option<&NotBefore>, now: Instant) -> Error {
    let is_dated = refusal.is_some_and(|refusal| refusal.at.is_some());
    asked
        .filter(|error| error.retry_after().is_some() || !is_dated)
        .unwrap_or_else(|| unavailable(refusal, now))
}

/// Which of two errors the caller should see: one that a server gave says more than one of a lane that sent nothing, and
/// of those an empty budget more than a lane that may be free later.
fn worth_more(last: Option<Error>, error: Error) -> Error {
    let worth = |error: &Error| match error.kind() {
        ErrorKind::Unavailable => 0_u8,
        kind => 1 + u8::from(!kind.is_unsent()),
    };
    match last {
        Some(last) if worth(&last) > worth(&error) => last,
        _ => error,
    }
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
fn unavailable(refusal: Option<&NotBefore>, now: Instant) -> Error {
    let error = |message| Error::new(ErrorKind::Unavailable, message);
    match refusal {
        None => error("no lane is left for this call".to_owned()),
        Some(NotBefore { at: Some(at), reason, .. }) => {
            let wait = at.saturating_duration_since(now);
            error(format!(
                "nothing can take the call now: {reason}; the next try is due in {:.1} s",
                wait.as_secs_f64()
            ))
            .with_retry_after(wait)
        }
        // What parked the keys is what the caller has to act on.
        Some(NotBefore { block: Block::Parked(kind), reason, .. }) => Error::new(*kind, reason.clone()),
        Some(NotBefore { reason, .. }) => error(format!("nothing can take the call now: {reason}")),
    }
}

#[cfg(test)]
mod tests;
