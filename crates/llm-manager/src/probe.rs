//! Asking endpoints whether they are there, before a user's call finds out that they are not.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use llm_client::clock;
use llm_client::{Call, Health, ModelClient, Wait};
use llm_types::{ChatRequest, Error};
use tokio::task::JoinHandle;

use crate::registry::Manager;

/// How often, and how patiently, endpoints are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ProbeRules {
    /// The time between two questions to the same client, each time between three quarters of it and the whole, so that
    /// many processes do not ask at once. Default: 30 s.
    pub interval: Duration,
    /// How long an answer may take. Default: 10 s.
    pub timeout: Duration,
}

impl Default for ProbeRules {
    fn default() -> Self {
        Self { interval: Duration::from_secs(30), timeout: Duration::from_secs(10) }
    }
}

/// Asks the clients of a manager again and again whether their endpoints are there, by the list of models: no prompt is
/// sent and nothing is paid. It stops when it is dropped.
///
/// A client is asked only while it is idle or not well: traffic tells as much. The question goes through the breaker like
/// any call, so that it is the trial of one that is open and due, and never a second gate. One question at a time is on its
/// way to a client, and one in an interval.
#[derive(Debug)]
#[must_use = "it stops when it is dropped"]
pub struct Prober {
    task: JoinHandle<()>,
}

impl Prober {
    /// Starts asking. Needs a tokio runtime.
    pub fn start(manager: &Manager, rules: ProbeRules) -> Self {
        let manager = manager.clone();
        Self { task: tokio::spawn(async move { ask_for_ever(&manager, rules).await }) }
    }
}

impl Drop for Prober {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn ask_for_ever(manager: &Manager, rules: ProbeRules) {
    // How many calls each client had answered or failed when it was last looked at, by id.
    let mut seen: Vec<(String, u64)> = Vec::new();
    loop {
        let pause = rules.interval.mul_f64(0.75 + clock::random() / 4.0);
        tokio::time::sleep(pause.max(Duration::from_millis(1))).await;
        if manager.is_closed() {
            return;
        }
        let clients: Vec<_> = manager.clients().into_iter().map(|client| (client.health(), client)).collect();
        let listed: Vec<Health> = clients.iter().filter_map(|(health, _)| health.clone()).collect();
        let mut now_seen = Vec::with_capacity(clients.len());
        let mut asked: Vec<Arc<dyn ModelClient>> = Vec::new();
        for (health, client) in clients {
            // Members that stand in the list themselves are not asked again for their pool.
            if health.as_ref().is_some_and(|health| is_covered(health, &listed)) {
                continue;
            }
            let calls = health.as_ref().map_or(0, |health| health.metrics.total_requests);
            let idle =
                seen.iter().find(|(id, _)| id == client.id()).is_none_or(|(_, before)| *before == calls);
            let busy = health.as_ref().is_some_and(|health| health.in_flight > 0);
            let well = health.is_none_or(|health| health.healthy);
            now_seen.push((client.id().to_owned(), calls));
            if client.is_available() && (!well || (idle && !busy)) {
                asked.push(client);
            }
        }
        seen = now_seen;
        let mut call = Call::within(rules.timeout).waiting(Wait::Never);
        call.max_retries = Some(0);
        let probes = asked.iter().filter_map(|client| client.health_probe());
        let questions = probes.map(|probe| {
            // A client of a user's own may forget the deadline, or panic: the others are asked all the same.
            let question = AssertUnwindSafe(probe.probe(&call)).catch_unwind();
            tokio::time::timeout(rules.timeout, question)
        });
        // What became of them stands in the breakers.
        futures_util::future::join_all(questions).await;
    }
}

/// Whether every member stands in the list by itself.
fn is_covered(wrapper: &Health, listed: &[Health]) -> bool {
    let alone = |member: &Health| {
        listed.iter().any(|other| {
            other.members.is_empty() && (&other.id, &other.endpoint) == (&member.id, &member.endpoint)
        })
    };
    !wrapper.members.is_empty()
        && wrapper.members.iter().all(|member| alone(member) || is_covered(member, listed))
}

impl Manager {
    /// Asks a model for one word, to see whether the whole way to an answer works. It costs a few tokens; nothing in this
    /// crate does it by itself.
    ///
    /// # Errors
    /// Those of [`client`](Self::client) and of [`chat`](ModelClient::chat).
    pub async fn paid_probe(&self, name: &str, call: &Call) -> Result<(), Error> {
        let request = ChatRequest { max_tokens: Some(16), ..ChatRequest::user("Say OK.") };
        self.client(name)?.chat(&request, call).await.map(|_| ())
    }
}
