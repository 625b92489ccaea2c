//! One call of a client as the driver sees it: its keys as lanes of one endpoint.

use std::hash::{DefaultHasher, Hasher};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use llm_types::Error;
use tower::ServiceExt as _;

use super::Inner;
use crate::attempt::{Answer, Attempt, Job, Reply};
use crate::call::Call;
use crate::clock::{self, Instant};
use crate::driver::{NotBefore, Plan, Queue, Rules};
use crate::lane::{self, Admission, AdmitOptions, Cost, LaneGuard, LaneId};

pub(super) struct CallPlan<'a> {
    client: &'a Inner,
    job: Arc<Job>,
    cost: Cost,
    /// The lanes of this moment; the driver knows them by their places.
    lanes: Vec<LaneId>,
    /// Nobody above chooses between endpoints: this one is probed, not left alone.
    sole: bool,
    /// Whoever drives the call has sent it here before.
    tried: bool,
}

impl<'a> CallPlan<'a> {
    pub(super) fn new(client: &'a Inner, job: Arc<Job>, cost: Cost, call: &Call) -> Self {
        let lanes = client.lanes.each().iter().map(lane::Lane::id).collect();
        let tried = call.is_driven() && call.has_tried(&job.site.endpoint);
        Self { client, job, cost, lanes, sole: !call.is_driven(), tried }
    }
}

impl Plan for CallPlan<'_> {
    /// A plain answer is settled; a stream takes its guard along.
    type Answer = (Reply, Option<LaneGuard>);
    type Permit = LaneGuard;

    fn rules(&self, call: &Call) -> Rules {
        Rules {
            endpoints: vec![0; self.lanes.len()],
            reserve: Vec::new(),
            max_retries: call.max_retries.unwrap_or(self.client.settings.max_retries),
            retry_after_cap: self.client.settings.retry_after_cap,
            wait: call.wait,
            deadline: call.deadline,
        }
    }

    fn admit(&self, open: &[usize], now: Instant, retrying: bool) -> Result<(usize, LaneGuard), NotBefore> {
        let avoid: Vec<LaneId> =
            self.lanes.iter().enumerate().filter(|(at, _)| !open.contains(at)).map(|(_, id)| *id).collect();
        let options = AdmitOptions { retrying: retrying || self.tried, sole: self.sole, avoid: &avoid };
        match self.client.lanes.admit(self.cost, now, &options) {
            Admission::Granted(guard) => {
                // A key that came with a reload since the call began is as good as the first.
                let at = self.lanes.iter().position(|id| *id == guard.lane()).unwrap_or_default();
                Ok((at, guard))
            }
            Admission::NotBefore { at, why } => Err(NotBefore::of_lane(at, &why)),
        }
    }

    fn released(&self) -> impl Future<Output = ()> + Send {
        self.client.lanes.released()
    }

    async fn attempt(&self, _: usize, mut guard: LaneGuard, call: &Call) -> Result<Self::Answer, Error> {
        // The first request of a call to an endpoint earns it credit for retries.
        if !call.has_tried(&self.job.site.endpoint) {
            guard.endpoint().deposit(clock::now());
        }
        let history = call.history();
        call.record_attempt(&self.job.site.endpoint);
        let attempt = Attempt { job: Arc::clone(&self.job), key: guard.key().cloned(), history };
        guard.sent();
        match self.client.attempts.clone().oneshot(attempt).await {
            Ok(mut reply) => {
                match &mut reply.answer {
                    Answer::Chat(response) => {
                        self.client.price_chat(response, self.job.tier.as_deref(), call);
                    }
                    Answer::Embeddings(response) => self.client.price_vectors(response, call),
                    Answer::Stream(_) | Answer::Models(_) | Answer::Count(_) => {}
                }
                let now = clock::now();
                call.record_outcome(None, reply.request_id.as_deref());
                let said = self.job.site.dialect.limits(&reply.headers, SystemTime::now());
                guard.observe(&said, now);
                let used = match &reply.answer {
                    Answer::Stream(_) => {
                        guard.answering();
                        return Ok((reply, Some(guard)));
                    }
                    Answer::Chat(response) => response.usage.map(|usage| usage.total()),
                    Answer::Embeddings(response) => response.usage.map(|usage| usage.total()),
                    Answer::Models(_) | Answer::Count(_) => None,
                };
                guard.succeed(used, now);
                self.client.tell_state(now);
                Ok((reply, None))
            }
            Err(error) => {
                call.record_outcome(Some(error.kind()), error.request_id());
                let now = clock::now();
                guard.fail(&error, fingerprint(&self.job.body), now, clock::random());
                self.client.tell_state(now);
                Err(self.client.price_failure(error, self.job.tier.as_deref(), call))
            }
        }
    }

    fn spend_retry(&self, _: usize, now: Instant) -> bool {
        self.client.lanes.endpoint().try_withdraw(now)
    }

    fn backoff(&self, retries: u32, random: f64) -> Duration {
        lane::backoff(retries, &self.client.settings, random)
    }

    fn queue(&self) -> &Queue {
        &self.client.queue
    }

    fn describe(&self, error: Error) -> Error {
        self.client.describe(error)
    }
}

/// Tells requests apart: two different ones that are forbidden in a row speak against the key.
pub(super) fn fingerprint(body: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(body);
    hasher.finish()
}
