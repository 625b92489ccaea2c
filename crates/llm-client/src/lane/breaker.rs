//! The circuit breaker of an endpoint: the only gate that judges its health.
//!
//! Closed, it counts faults. Open, it rests, then lets one trial through at a time; the trial's verdict closes it or
//! opens it anew. A trial that hangs is given up after its own time, one that is dropped leaves its place at once.

use std::time::Duration;

use crate::clock::{self, Instant};
use crate::lane::scaled;
use crate::lane::timeline::Timeline;

/// Half of at least so many calls within [`WINDOW`] open the breaker.
const ENOUGH_CALLS: f64 = 20.0;
const WINDOW: Duration = Duration::from_secs(30);
/// A rest is up to this share longer than asked, so that many clients do not come back at the same moment.
const STRETCH: f64 = 0.1;
/// The first rest of an endpoint that has no stand-in.
const SOLE_REST: Duration = Duration::from_secs(1);

/// When it opens, and how long it rests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct BreakerRules {
    pub(super) failure_threshold: u32,
    pub(super) recovery_time: Duration,
}

/// Faults in a row, faults in the window, and the rest while it is open.
#[derive(Clone, Debug)]
pub(super) struct Breaker {
    faults_in_row: u32,
    calls: Timeline<30>,
    faults: Timeline<30>,
    /// How often it has opened. A call that began before the last opening says nothing about now.
    openings: u64,
    trials: u64,
    open: Option<Open>,
}

#[derive(Clone, Copy, Debug)]
struct Open {
    since: Instant,
    stretch: f64,
    failed_trials: i32,
    trial: Option<Trial>,
}

#[derive(Clone, Copy, Debug)]
struct Trial {
    number: u64,
    given_up: Instant,
}

/// What an admitted call brings back with its verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    openings: u64,
    trial: Option<u64>,
}

/// How a call may pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pass {
    /// As one of many.
    Plain,
    /// As the one trial.
    Trial,
}

/// What is shown of a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// Calls pass.
    Closed,
    /// Calls are refused until the next trial.
    Open,
    /// A trial is on its way.
    HalfOpen,
}

impl Breaker {
    pub(super) fn new(now: Instant) -> Self {
        let second = Duration::from_secs(1);
        Self {
            faults_in_row: 0,
            calls: Timeline::new(second, now),
            faults: Timeline::new(second, now),
            openings: 0,
            trials: 0,
            open: None,
        }
    }

    /// Whether a call may pass. `retrying`: it has asked this endpoint before and is never refused; where a trial is due
    /// it is the trial. `sole`: the caller has no other endpoint, so trials come after 1, 2, 4 … s.
    ///
    /// # Errors
    /// The moment of the next trial.
    pub(super) fn check(
        &self,
        rules: &BreakerRules,
        now: Instant,
        sole: bool,
        retrying: bool,
    ) -> Result<Pass, Instant> {
        let Some(open) = &self.open else { return Ok(Pass::Plain) };
        let due = open.next_trial(rules, sole);
        if now >= due {
            Ok(Pass::Trial)
        } else if retrying {
            Ok(Pass::Plain)
        } else {
            Err(due)
        }
    }

    /// Lets the call pass that [`check`](Self::check) said may.
    pub(super) fn take(&mut self, pass: Pass, rules: &BreakerRules, now: Instant) -> Ticket {
        let trial = match (&mut self.open, pass) {
            (Some(open), Pass::Trial) => {
                self.trials += 1;
                // As long as the rest would be: then another may try while this one hangs.
                let patience = rules.recovery_time.max(SOLE_REST);
                open.trial = Some(Trial { number: self.trials, given_up: clock::after(now, patience) });
                Some(self.trials)
            }
            _ => None,
        };
        Ticket { openings: self.openings, trial }
    }

    /// The call was answered: an open breaker closes, the row of faults ends.
    pub(super) fn succeed(&mut self, ticket: Ticket, now: Instant) {
        if ticket.openings == self.openings {
            self.close();
            self.calls.add(now, 1.0);
        }
    }

    /// The endpoint answered with something that is not its fault: that proves a trial, and counts for nothing else.
    pub(super) fn answered(&mut self, ticket: Ticket) {
        if self.is_current_trial(ticket) {
            self.close();
        }
    }

    /// The call failed through a fault of the endpoint. `random` in [0, 1) lengthens the rest that may follow.
    pub(super) fn fail(&mut self, ticket: Ticket, rules: &BreakerRules, now: Instant, random: f64) {
        if ticket.openings != self.openings {
            return;
        }
        let stretch = 1.0 + STRETCH * random.clamp(0.0, 1.0);
        if let Some(open) = &mut self.open {
            if ticket.trial.is_some() && open.trial.map(|trial| trial.number) == ticket.trial {
                let failed_trials = open.failed_trials.saturating_add(1);
                *open = Open { since: now, stretch, failed_trials, trial: None };
            }
            return;
        }
        self.faults_in_row = self.faults_in_row.saturating_add(1);
        self.calls.add(now, 1.0);
        self.faults.add(now, 1.0);
        let calls = self.calls.sum(now, WINDOW);
        let half = calls >= ENOUGH_CALLS && 2.0 * self.faults.sum(now, WINDOW) >= calls;
        if half || self.faults_in_row >= rules.failure_threshold {
            self.openings += 1;
            self.open = Some(Open { since: now, stretch, failed_trials: 0, trial: None });
            self.calls.clear();
            self.faults.clear();
        }
    }

    /// The call ended without a word about the endpoint: a trial leaves its place to another.
    pub(super) fn release(&mut self, ticket: Ticket) {
        if self.is_current_trial(ticket)
            && let Some(open) = &mut self.open
        {
            open.trial = None;
        }
    }

    fn is_current_trial(&self, ticket: Ticket) -> bool {
        let current = self.open.and_then(|open| open.trial).map(|trial| trial.number);
        current.is_some() && current == ticket.trial
    }

    /// Closed as on the first day.
    pub(super) fn close(&mut self) {
        self.faults_in_row = 0;
        self.open = None;
    }

    /// What to show, the faults in a row, and when the next trial may begin.
    pub(super) fn state(&self, rules: &BreakerRules, now: Instant) -> (BreakerState, u32, Option<Instant>) {
        match &self.open {
            None => (BreakerState::Closed, self.faults_in_row, None),
            Some(open) => {
                let on_its_way = open.trial.is_some_and(|trial| now < trial.given_up);
                let state = if on_its_way { BreakerState::HalfOpen } else { BreakerState::Open };
                (state, self.faults_in_row, Some(open.next_trial(rules, false)))
            }
        }
    }
}

impl Open {
    fn next_trial(&self, rules: &BreakerRules, sole: bool) -> Instant {
        if let Some(trial) = self.trial {
            return trial.given_up;
        }
        let rest = if sole {
            scaled(SOLE_REST, 2f64.powi(self.failed_trials)).min(rules.recovery_time)
        } else {
            rules.recovery_time
        };
        clock::after(self.since, scaled(rest, self.stretch))
    }
}

#[cfg(test)]
mod tests;
