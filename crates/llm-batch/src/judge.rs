//! What follows a failed call: a record, another try, a pause, or the end of the run. Pure: time and chance come in,
//! a decision goes out.
//!
//! The client below has retried already, as often as its settings say; nothing here adds a second layer of retries.
//! A row is asked again only
//!
//! * while the client gave up early (no lane free, its retry budget empty, a `Retry-After` above its cap): then with what
//!   is left of the row's retries, or when the server said, and a bounded number of times;
//! * while nothing else is answered either. Then the failure says nothing about the row: it is an outage. The queue
//!   pauses, one row at a time tries again, and after `max_outage` the run stops. A run in which nothing was ever
//!   answered stops after one row's retries, as soon as the calls that began beside it have failed too.
//!
//! A refused key or an empty quota stops the run at once; what could be either the key's fault or one row's (403, a
//! setting the client refuses) when a second row with other content meets it next.

use std::time::Duration;

use llm_client::clock::{self, Instant};
use llm_types::{Again, Error, ErrorKind, Phase};

use crate::key::Key;
use crate::summary::StopReason;

/// How often a row is asked again because the client gave up early.
const MOST_REQUEUES: u32 = 10;
/// The longest wait that nobody asked for.
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);

/// The settings that bound it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// The client's retries after the first attempt.
    pub(crate) max_retries: u32,
    /// The longest `Retry-After` that the client waits for itself.
    pub(crate) retry_after_cap: Duration,
    pub(crate) max_outage: Duration,
    pub(crate) concurrency: usize,
}

/// A call that failed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Failure<'a> {
    pub(crate) error: &'a Error,
    pub(crate) key: Key,
    /// Requests made for the row, this call's included.
    pub(crate) attempts: u32,
    /// How often the row was asked again by us.
    pub(crate) requeues: u32,
    /// When it had run out of its retries for the first time.
    pub(crate) gave_up: Option<Instant>,
    /// Whether no other row is in flight or waiting.
    pub(crate) alone: bool,
    /// Whether other calls are in flight, which may yet be answered.
    pub(crate) others_in_flight: bool,
}

/// What follows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Decision {
    /// The row failed; its record is written.
    Write,
    /// The client gave up early: the row is asked again, not before this.
    Again(Instant),
    /// The row had its retries, but so may all others have: it is asked again, not before this.
    Doubt(Instant),
    /// The row is kept until the next answer or failure tells more.
    Hold,
    /// The run ends; the row stays unrun.
    Stop(StopReason),
}

/// While nothing is sent.
#[derive(Clone, Copy, Debug)]
struct Pause {
    began: Instant,
    until: Instant,
    /// Whether the server asked for it. Our own guesses end with the next answer.
    stated: bool,
}

/// What the calls so far say about the endpoint.
#[derive(Debug)]
pub(crate) struct Judge {
    limits: Limits,
    last_answer: Option<Instant>,
    /// Since when calls fail and none is answered.
    silent_since: Option<Instant>,
    /// Rows that ran out of retries since then, told apart as far as needed.
    gave_up: Option<(Key, bool)>,
    /// Whether the endpoint is taken for dead: one row at a time.
    outage: bool,
    /// How often in a row that was found true.
    streak: u32,
    pause: Option<Pause>,
    /// The row whose failure may be everybody's, and how many rows of its content are held for it.
    suspect: Option<(Key, usize)>,
}

impl Judge {
    pub(crate) fn new(limits: Limits) -> Self {
        Self {
            limits,
            last_answer: None,
            silent_since: None,
            gave_up: None,
            outage: false,
            streak: 0,
            pause: None,
            suspect: None,
        }
    }

    /// Something was answered: the endpoint lives, and the key is good. Says whether an outage ended by it.
    pub(crate) fn answered(&mut self, now: Instant) -> bool {
        self.last_answer = Some(now);
        self.silent_since = None;
        self.gave_up = None;
        self.suspect = None;
        self.streak = 0;
        self.pause = self.pause.filter(|pause| pause.stated);
        std::mem::take(&mut self.outage)
    }

    /// Until when nothing is sent.
    pub(crate) fn paused_until(&self, now: Instant) -> Option<Instant> {
        self.pause.map(|pause| pause.until).filter(|until| *until > now)
    }

    /// Whether only one row at a time is sent, to see whether anybody answers.
    pub(crate) fn is_probing(&self) -> bool {
        self.outage
    }

    /// When to stop, with nothing in flight, unless something is answered before.
    pub(crate) fn give_up_at(&self) -> Option<Instant> {
        self.silent_since.map(|since| clock::after(since, self.limits.max_outage))
    }

    /// Whether the pause alone outlasts what a run waits for: with nothing in flight there is nothing to wait for.
    pub(crate) fn is_hopeless(&self, now: Instant) -> bool {
        let pause = self.pause.filter(|pause| pause.until > now);
        pause.is_some_and(|pause| pause.until > clock::after(pause.began, self.limits.max_outage))
    }

    pub(crate) fn failed(&mut self, failure: Failure<'_>, now: Instant, random: f64) -> Decision {
        let kind = failure.error.kind();
        match kind {
            ErrorKind::Authentication => Decision::Stop(StopReason::Key),
            ErrorKind::QuotaExhausted => Decision::Stop(StopReason::Quota),
            ErrorKind::Budget => Decision::Stop(StopReason::Budget),
            ErrorKind::Cancelled => Decision::Stop(StopReason::Cancelled),
            ErrorKind::PermissionDenied | ErrorKind::Config | ErrorKind::ProviderNotFound => {
                self.suspected(kind, failure.key)
            }
            // The endpoint said something about this row.
            ErrorKind::InvalidRequest
            | ErrorKind::ContextLength
            | ErrorKind::ContentFilter
            | ErrorKind::NotFound
            | ErrorKind::ModelNotFound
            | ErrorKind::Protocol
            | ErrorKind::TooLarge => {
                self.answered(now);
                Decision::Write
            }
            // It says nothing about the endpoint; a cut stream was paid for and is not asked again in this run.
            ErrorKind::Timeout(Phase::Call) | ErrorKind::Truncated | ErrorKind::Internal => Decision::Write,
            ErrorKind::Connection
            | ErrorKind::Server
            | ErrorKind::Overloaded
            | ErrorKind::RateLimited
            | ErrorKind::Unavailable
            | ErrorKind::Tls
            | ErrorKind::Redirect
            | ErrorKind::Timeout(_) => self.faulty(failure, now, random),
            // A kind of a later version: by the table, like those above.
            kind if kind.verdict().breaker => self.faulty(failure, now, random),
            _ => Decision::Write,
        }
    }

    /// Whether rows are held because their failure may be everybody's.
    pub(crate) fn is_suspicious(&self) -> bool {
        self.suspect.is_some()
    }

    fn suspected(&mut self, kind: ErrorKind, key: Key) -> Decision {
        let held = match self.suspect {
            None => 1,
            Some((other, held)) if other == key && held < 2 * self.limits.concurrency => held + 1,
            Some(_) if kind == ErrorKind::PermissionDenied => return Decision::Stop(StopReason::Key),
            Some(_) => return Decision::Stop(StopReason::Config),
        };
        self.suspect = Some((key, held));
        Decision::Hold
    }

    fn faulty(&mut self, failure: Failure<'_>, now: Instant, random: f64) -> Decision {
        let Failure { error, requeues, .. } = failure;
        let kind = error.kind();
        let stated = error.retry_after();
        let silent = now.saturating_duration_since(*self.silent_since.get_or_insert(now));
        self.outage |= kind == ErrorKind::Unavailable;
        if silent > self.limits.max_outage || (self.outage && silent == self.limits.max_outage) {
            return Decision::Stop(StopReason::Outage);
        }
        if kind == ErrorKind::Unavailable {
            // No request was made. It is nobody's fault, and only a long silence ends it.
            return Decision::Again(self.rest(now, stated, random));
        }

        let had_its_retries = failure.attempts >= self.allowed(kind) || error.should_retry() == Some(false);
        let is_told_to_wait =
            kind == ErrorKind::RateLimited || stated.is_some_and(|wait| wait > self.limits.retry_after_cap);
        let early = requeues < MOST_REQUEUES && (!had_its_retries || is_told_to_wait);
        if early && !(had_its_retries && self.last_answer.is_none()) {
            if let Some(wait) = stated {
                self.pause(now, wait, true);
            }
            return Decision::Again(clock::after(now, stated.unwrap_or_else(|| backoff(requeues, random))));
        }

        // Was anything else answered while this row failed?
        let failing_since = failure.gave_up.unwrap_or_else(|| earlier(now, waits(error)));
        if self.last_answer.is_some_and(|at| at > failing_since) {
            return Decision::Write;
        }
        // With nothing to compare it to, a failure of the server's own making is taken for the row's.
        let alone = failure.alone && kind == ErrorKind::Server && error.status().is_some();
        match self.last_answer {
            None if alone => return Decision::Write,
            None if !failure.others_in_flight => return Decision::Stop(StopReason::Outage),
            // The calls that began beside it tell; until then nothing is sent.
            None => self.outage = true,
            Some(_) if alone && failure.gave_up.is_some() => return Decision::Write,
            Some(_) => {}
        }
        let others = self.gave_up.is_some_and(|(key, others)| others || key != failure.key);
        self.gave_up = Some((failure.key, others));
        self.outage |= others;
        Decision::Doubt(if self.outage {
            self.rest(now, stated, random)
        } else {
            clock::after(now, stated.unwrap_or_else(|| backoff(requeues, random)))
        })
    }

    /// Pauses the queue until the server said, or for longer each time.
    fn rest(&mut self, now: Instant, stated: Option<Duration>, random: f64) -> Instant {
        match stated {
            Some(wait) => self.pause(now, wait, true),
            None if self.paused_until(now).is_none() => {
                self.pause(now, backoff(self.streak, random), false);
                self.streak = self.streak.saturating_add(1);
            }
            None => {}
        }
        self.paused_until(now).unwrap_or(now)
    }

    fn pause(&mut self, now: Instant, wait: Duration, stated: bool) {
        let until = clock::after(now, wait);
        self.pause = Some(match self.pause.filter(|pause| pause.until > now) {
            None => Pause { began: now, until, stated },
            Some(pause) => Pause { until: pause.until.max(until), stated: pause.stated || stated, ..pause },
        });
    }

    /// How many requests one row may cost by the error table.
    fn allowed(&self, kind: ErrorKind) -> u32 {
        let all = self.limits.max_retries.saturating_add(1);
        match kind.verdict().same_lane {
            Again::Never => 1,
            Again::Once => all.min(2),
            Again::Backoff | Again::AfterCoolDown => all,
        }
    }
}

/// 1, 2, 4 … 60 s, each × [0.5, 1].
fn backoff(times: u32, random: f64) -> Duration {
    let whole = Duration::from_secs(1_u64 << times.min(6)).min(LONGEST_BACKOFF);
    whole.mul_f64(0.5 + random / 2.0)
}

/// How long the call waited between its attempts: for at least that long it had been failing.
fn waits(error: &Error) -> Duration {
    error.attempts().iter().skip(1).map(|attempt| attempt.wait).sum()
}

fn earlier(now: Instant, by: Duration) -> Instant {
    now.checked_sub(by).unwrap_or(now)
}

#[cfg(test)]
mod tests;
