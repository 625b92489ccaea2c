//! What belongs to one call and not to the request: how long it may take, whether it may wait, what it has tried.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use llm_types::AttemptRecord;

use crate::clock::{self, Instant};

/// How one call is to be made. [`Call::default`] asks for nothing special.
///
/// A clone shares the log of attempts with its original.
#[derive(Clone, Debug, Default)]
pub struct Call {
    /// When the call must be over, waits and retries included. Default: none but the client's `deadline_secs`.
    pub deadline: Option<Instant>,
    /// What to do while nothing can take the call.
    pub wait: Wait,
    /// How often to try again after the first attempt. Default: the client's `max_retries`.
    pub max_retries: Option<u32>,
    /// Headers to add to every request of the call. Never part of a body or a cache key.
    pub headers: HeaderMap,
    /// Another URL to send the request to, whole, in place of the endpoint's own.
    pub url: Option<String>,
    /// Keep the body of the answer as it came ([`ChatResponse::raw`](llm_types::ChatResponse::raw)); not for streams.
    pub keep_raw: bool,
    /// Labels of the caller's own, for traces. Never sent.
    pub tags: Vec<(String, String)>,
    driven: bool,
    cost_told: bool,
    log: Arc<Mutex<Log>>,
}

/// What a call does while no lane can take it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wait {
    /// Fails at once with [`Unavailable`](llm_types::ErrorKind::Unavailable), saying when a lane will be free.
    Never,
    /// Waits its turn for slots, rate limits and cool-downs up to `retry_after_cap_secs`; fails at once when every
    /// breaker is open.
    #[default]
    Brief,
    /// Waits for anything, up to the deadline.
    Patient,
}

#[derive(Debug, Default)]
struct Log {
    attempts: Vec<AttemptRecord>,
    /// Waiting time not yet written to an attempt.
    unwritten: Duration,
    waited: Duration,
    /// Which members of which wrappers have failed the call; see [`Call::note_failure`].
    failed: Vec<(u64, usize)>,
    /// With which members wrappers go on; see [`Call::note_chain`].
    chains: Vec<(u64, Vec<usize>)>,
}

impl Call {
    /// A call that must be over within this time from now.
    #[must_use]
    pub fn within(limit: Duration) -> Self {
        Self { deadline: Some(clock::after(clock::now(), limit)), ..Self::default() }
    }

    /// The same call with what it may do while nothing can take it.
    #[must_use]
    pub fn waiting(mut self, wait: Wait) -> Self {
        self.wait = wait;
        self
    }

    /// Whether a wrapper above drives the call: then the client below makes at most one attempt and never waits. It
    /// answers, fails, or says not before when (`Unavailable` with `retry_after`).
    #[must_use]
    pub fn is_driven(&self) -> bool {
        self.driven
    }

    /// The same call as a wrapper hands it down: driven, sharing the log.
    #[must_use]
    pub fn driven(&self) -> Self {
        Self { driven: true, ..self.clone() }
    }

    /// Whether a wrapper above puts what the call costs into the figures, so that nobody below counts it again.
    #[must_use]
    pub fn is_cost_told(&self) -> bool {
        self.cost_told
    }

    /// The same call as a wrapper hands it down that knows its price, and tells what it costs.
    #[must_use]
    pub fn cost_told(&self) -> Self {
        Self { cost_told: true, ..self.clone() }
    }

    /// The same call with a log of its own, as the outermost driver starts it.
    #[must_use]
    pub(crate) fn begin(&self) -> Self {
        Self { log: Arc::default(), ..self.clone() }
    }

    /// The call with a client's own deadline, where it has none and nobody above drives it.
    #[must_use]
    pub fn or_within(&self, limit: Option<Duration>) -> Cow<'_, Self> {
        match limit {
            Some(limit) if self.deadline.is_none() && !self.driven => {
                let deadline = Some(clock::after(clock::now(), limit));
                Cow::Owned(Self { deadline, ..self.clone() })
            }
            _ => Cow::Borrowed(self),
        }
    }

    /// The time left, or `None` without a deadline.
    #[must_use]
    pub fn remaining(&self, now: Instant) -> Option<Duration> {
        self.deadline.map(|deadline| deadline.saturating_duration_since(now))
    }

    fn log(&self) -> std::sync::MutexGuard<'_, Log> {
        // The log holds plain values: one that a panic left behind is still true.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds waiting time to the attempt that comes next.
    pub(crate) fn record_wait(&self, wait: Duration) {
        let mut log = self.log();
        log.unwritten += wait;
        log.waited += wait;
    }

    /// Starts the record of an attempt at an endpoint (scheme, host and path), cancelled until
    /// [`record_outcome`](Self::record_outcome) says otherwise. `HttpClient` does it; a client that talks to the network by
    /// other means may, so that its attempts stand in results and errors.
    pub fn record_attempt(&self, endpoint: &str) {
        let mut log = self.log();
        let number = u32::try_from(log.attempts.len()).unwrap_or(u32::MAX).saturating_add(1);
        let wait = std::mem::take(&mut log.unwritten);
        let kind = Some(llm_types::ErrorKind::Cancelled);
        log.attempts.push(AttemptRecord {
            number,
            kind,
            wait,
            endpoint: endpoint.to_owned(),
            request_id: None,
        });
    }

    /// Ends the record of the latest attempt: `None` when it answered.
    pub fn record_outcome(&self, kind: Option<llm_types::ErrorKind>, request_id: Option<&str>) {
        if let Some(attempt) = self.log().attempts.last_mut() {
            attempt.kind = kind;
            attempt.request_id = request_id.map(str::to_owned).or(attempt.request_id.take());
        }
    }

    /// Ends the record of the latest attempt where nothing else has: the call was cut while it ran.
    pub(crate) fn record_outcome_if_open(&self, kind: llm_types::ErrorKind) {
        if let Some(attempt) = self.log().attempts.last_mut()
            && attempt.kind == Some(llm_types::ErrorKind::Cancelled)
        {
            attempt.kind = Some(kind);
        }
    }

    /// How many attempts there were, and how the latest failed.
    #[cfg(feature = "http")]
    pub(crate) fn history(&self) -> (usize, Option<llm_types::ErrorKind>) {
        let log = self.log();
        (log.attempts.len(), log.attempts.last().and_then(|attempt| attempt.kind))
    }

    /// Whether the call has sent a request to this endpoint.
    #[must_use]
    pub fn has_tried(&self, endpoint: &str) -> bool {
        self.log().attempts.iter().any(|attempt| attempt.endpoint == endpoint)
    }

    /// How many attempts were made so far.
    #[must_use]
    pub fn attempt_count(&self) -> usize {
        self.log().attempts.len()
    }

    /// Notes that a member of a wrapper has failed the call, so that the wrapper, asked again by one above it, prefers
    /// another. `wrapper`: a number of its own.
    pub fn note_failure(&self, wrapper: u64, member: usize) {
        self.log().failed.push((wrapper, member));
    }

    /// The members of this wrapper that have failed the call.
    #[must_use]
    pub fn failures(&self, wrapper: u64) -> Vec<usize> {
        let log = self.log();
        log.failed.iter().filter(|(whose, _)| *whose == wrapper).map(|(_, member)| *member).collect()
    }

    /// Notes that a wrapper, asked again by one above it, goes on with these members and no others: an explicit chain leads
    /// to them.
    pub fn note_chain(&self, wrapper: u64, members: Vec<usize>) {
        self.log().chains.push((wrapper, members));
    }

    /// The members that this wrapper goes on with, where a chain leads to some.
    #[must_use]
    pub fn chain(&self, wrapper: u64) -> Option<Vec<usize>> {
        let log = self.log();
        log.chains.iter().rev().find(|(whose, _)| *whose == wrapper).map(|(_, members)| members.clone())
    }

    /// How many chains were followed so far, by whatever wrapper.
    #[must_use]
    pub fn chain_count(&self) -> usize {
        self.log().chains.len()
    }

    /// Every attempt so far, oldest first.
    #[must_use]
    pub fn attempts(&self) -> Vec<AttemptRecord> {
        self.log().attempts.clone()
    }

    /// How long the call has waited so far: for back-off, a cool-down or a free lane.
    #[must_use]
    pub fn waited(&self) -> Duration {
        self.log().waited
    }
}
