//! What follows when a call has ended, or a row turns out to need none.

use std::cmp::Reverse;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use llm_client::clock::{self, Instant};
use llm_types::{Error, ErrorKind, Extra, Phase, Usage};
use tokio::task::{Id, JoinError};

use super::{Delayed, Dispatch, interrupted};
use crate::ask::{Answer, Done};
use crate::feed::{Fed, Pending, Store};
use crate::journal::Line;
use crate::judge::{Decision, Failure};
use crate::progress::{Counters, Notice, Stage};
use crate::record::{self, Status};
use crate::results::BatchResult;
use crate::shutdown::Level;
use crate::summary::Stop;

/// A call that would have to wait beyond the deadline fails before it: by at most this, the longest back-off.
const DEADLINE_MARGIN: Duration = Duration::from_secs(60);

impl Dispatch {
    pub(super) fn done(&mut self, done: Result<(Id, Done), JoinError>) {
        self.counters.in_flight.fetch_sub(1, Relaxed);
        let (id, done) = match done {
            Ok((id, done)) => (id, Some(done)),
            // The call was given up.
            Err(error) => (error.id(), None),
        };
        let told = if self.results.is_some() { self.in_flight.remove(&id) } else { None };
        let Some(done) = done else {
            if let Some((index, id, metadata)) = told {
                self.leave(index, id, metadata);
            }
            return;
        };
        let Done { row, latency, attempts, result } = done;
        self.bytes = self.bytes.saturating_sub(row.bytes);
        self.tally.attempts += u64::from(attempts);
        match result {
            Ok(answer) => self.answered(*row, latency, answer),
            Err(error) => self.failed(row, latency, error),
        }
    }

    fn answered(&mut self, row: Pending, latency: Duration, answer: Answer) {
        if self.is_disk_lost() {
            return self.leave(row.index, row.id, row.metadata);
        }
        if self.judge.answered(clock::now()) {
            self.tell(&Notice::Resumed);
        }
        self.release_held();
        let Answer { record, usage, response } = answer;
        self.tally.latency.record(latency);
        self.used(usage.as_ref());
        Counters::add(&self.counters.success, 1);
        llm_client::telemetry::record_batch_row("success");
        self.append(row.index, record, true);
        if let Some(response) = response {
            let empty = BatchResult::empty(row.index, row.id, row.metadata, Status::Success);
            self.hand_on(BatchResult {
                latency: Some(latency),
                attempts: row.attempts,
                response: Some(Arc::clone(&response)),
                ..empty.answered(&response)
            });
        }
    }

    fn used(&mut self, usage: Option<&Usage>) {
        self.tally.used(usage);
        if let Some(usage) = usage {
            Counters::add(&self.counters.input_tokens, usage.input_total());
            Counters::add(&self.counters.output_tokens, usage.output_total());
        }
    }

    fn failed(&mut self, mut row: Box<Pending>, latency: Duration, error: Error) {
        let now = clock::now();
        let kind = error.kind();
        if kind == ErrorKind::Timeout(Phase::Call)
            && let Some(deadline) = self.shared.deadline
            && deadline.saturating_duration_since(now) <= DEADLINE_MARGIN
        {
            // The job's deadline, not the row's: it is left for the next run.
            return self.put_back(row, deadline);
        }
        let failure = Failure {
            error: &error,
            key: row.key,
            attempts: row.attempts,
            requeues: row.requeues,
            gave_up: row.gave_up,
            alone: self.is_alone(),
            others_in_flight: !self.tasks.is_empty(),
        };
        let decision = self.judge.failed(failure, now, clock::random());
        if !self.judge.is_suspicious() {
            self.release_held();
        }
        if kind.verdict().retryable {
            self.last_fault = Some(error.clone());
        }
        match decision {
            Decision::Write => self.write_failure(*row, latency, error),
            _ if self.stop.is_some() => self.leave(row.index, row.id, row.metadata),
            Decision::Again(_) | Decision::Doubt(_) if self.level > Level::Run => {
                self.end(interrupted());
                self.leave(row.index, row.id, row.metadata);
            }
            Decision::Again(at) | Decision::Doubt(at) => {
                if matches!(decision, Decision::Doubt(_)) {
                    row.gave_up.get_or_insert(now);
                }
                row.requeues += u32::from(kind != ErrorKind::Unavailable);
                Counters::add(&self.counters.requeued, 1);
                self.put_back(row, at);
                self.tell_of_pause(now, &error);
            }
            Decision::Hold => self.held.push((row, error, latency)),
            Decision::Stop(reason) => {
                self.end(Stop::by(reason, error));
                self.leave(row.index, row.id, row.metadata);
            }
        }
    }

    /// Whether the row that has just ended is the only one left.
    fn is_alone(&self) -> bool {
        self.tasks.is_empty()
            && self.delayed.is_empty()
            && self.held.is_empty()
            && self.all_read
            && !self.fed.iter().any(|fed| matches!(fed, Fed::Ask(_)))
    }

    fn put_back(&mut self, row: Box<Pending>, at: Instant) {
        if self.stop.is_some() {
            return self.leave(row.index, row.id, row.metadata);
        }
        self.put_back += 1;
        self.delayed.push(Delayed { at: Reverse((at, self.put_back)), row });
    }

    fn tell_of_pause(&mut self, now: Instant, error: &Error) {
        if let Some(until) = self.judge.paused_until(now)
            && !self.pause_told
        {
            self.pause_told = true;
            self.counters.set_stage(Stage::Paused);
            self.tell(&Notice::Paused { wait: until.saturating_duration_since(now), error: error.clone() });
        }
    }

    /// The held rows failed for their own sake after all.
    pub(super) fn release_held(&mut self) {
        for (row, error, latency) in std::mem::take(&mut self.held) {
            self.write_failure(*row, latency, error);
        }
    }

    fn write_failure(&mut self, row: Pending, latency: Duration, error: Error) {
        if self.is_disk_lost() {
            return self.leave(row.index, row.id, row.metadata);
        }
        self.used(error.partial().and_then(|partial| partial.usage.as_ref()));
        if self.shared.records {
            let record = record::failure(&self.shared.about(&row, Some(latency)), &error);
            self.append(row.index, record, false);
        }
        self.count_failure(&error, row.line);
        if self.results.is_some() {
            let empty = BatchResult::empty(row.index, row.id, row.metadata, Status::Error);
            self.hand_on(BatchResult {
                latency: Some(latency),
                attempts: row.attempts,
                ..empty.failed(&error)
            });
        }
    }

    fn count_failure(&mut self, error: &Error, line: u64) {
        Counters::add(&self.counters.failed, 1);
        llm_client::telemetry::record_batch_row("error");
        if self.tally.failed(error, line) {
            self.tell(&Notice::FirstFailure { line, error: error.clone() });
        }
    }

    pub(super) fn store(&mut self, store: Store) {
        let Store { line, bad, result } = store;
        if let Some(Line { index, bytes }) = line {
            self.append(index, bytes, bad.is_none());
        }
        if let Some((error, line)) = bad {
            Counters::add(&self.counters.bad, 1);
            self.count_failure(&error, line);
        }
        if let Some(result) = result {
            self.hand_on(result);
        }
    }

    fn append(&mut self, index: u64, bytes: Vec<u8>, success: bool) {
        if let Some(journal) = &self.journal {
            journal.append(Line { index, bytes });
            self.unwritten.push_back(success);
        }
    }

    fn is_disk_lost(&self) -> bool {
        self.shared.records && self.journal.is_none()
    }

    pub(super) fn hand_on(&mut self, result: BatchResult) {
        if self.results.is_some() {
            self.outbox.push_back(result);
        }
    }

    /// The row stays unrun.
    pub(super) fn leave(&mut self, index: u64, id: Option<String>, metadata: Extra) {
        if self.results.is_some() {
            let error = self.stop.as_ref().map(why_unrun);
            let mut result = BatchResult::empty(index, id, metadata, Status::Unrun);
            result.error =
                Some(error.unwrap_or_else(|| Error::new(ErrorKind::Cancelled, "the run ended before")));
            self.outbox.push_back(result);
        }
    }

    pub(super) fn leave_stored(&mut self, store: Store) {
        match store.result {
            Some(result) if result.restored => self.hand_on(result),
            Some(result) => self.leave(result.index, result.id, result.metadata),
            None => {}
        }
    }
}

/// A row's error when the run ended before it was asked.
fn why_unrun(stop: &Stop) -> Error {
    match &stop.error {
        Some(error) => error.clone(),
        None => Error::new(ErrorKind::Cancelled, format!("not asked: {}", stop.message)),
    }
}
