//! What the client tells those who choose between clients, and how it is.

use std::pin::Pin;

use llm_types::ErrorKind;

use super::HttpClient;
use crate::clock::{self, Instant};
use crate::contract::{Admission, ModelClient as _};
use crate::driver::{Block, NotBefore};
use crate::health::Health;
use crate::lane::{AdmitOptions, BreakerState, Cost, EndpointState, KeyState};

impl Admission for HttpClient {
    fn lanes(&self) -> Vec<usize> {
        vec![0; self.0.lanes.pool().map_or(1, |pool| pool.len())]
    }

    fn ready(&self, now: Instant, retrying: bool) -> Result<(), NotBefore> {
        if let Some(why) = self.0.shut() {
            let block = Block::Parked(ErrorKind::Unavailable);
            return Err(NotBefore { at: None, block, reason: why.to_owned() });
        }
        let options = AdmitOptions { retrying, ..AdmitOptions::default() };
        self.0.lanes.check(Cost::default(), now, &options).map_err(|(at, why)| NotBefore::of_lane(at, &why))
    }

    fn in_flight(&self) -> u32 {
        self.0.lanes.endpoint().in_flight()
    }

    fn spend_retry(&self, now: Instant) -> bool {
        self.0.lanes.endpoint().try_withdraw(now)
    }

    fn released(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.0.lanes.released())
    }
}

impl HttpClient {
    /// How it is, as far as its own traffic tells: nothing is sent.
    /// [`HealthProbe::probe`](crate::HealthProbe::probe) asks the server.
    #[must_use]
    pub fn health_check(&self) -> Health {
        let lanes = self.lanes().snapshot(clock::now());
        let pool = self.pool();
        let size = self.settings().max_connections;
        let keys = self.lanes().pool().map(|pool| pool.snapshot()).unwrap_or_default();
        let reason = self.0.shut().map(str::to_owned).or_else(|| ailment(&lanes, &keys));
        let room = pool.idle > 0 || pool.open < usize::try_from(size).unwrap_or(usize::MAX);
        Health {
            id: self.id().to_owned(),
            healthy: reason.is_none(),
            reason,
            in_flight: lanes.in_flight,
            metrics: self.metrics(),
            endpoint: Some(self.endpoint().to_owned()),
            connection_pool_available: Some(!self.is_closed() && room),
            connection_pool_size: Some(size),
            lanes: Some(lanes),
            members: Vec::new(),
        }
    }
}

/// Why an endpoint with these keys is not well, if it is not.
fn ailment(lanes: &EndpointState, keys: &[KeyState]) -> Option<String> {
    if lanes.breaker == BreakerState::Open {
        let due = lanes.next_trial_ms.unwrap_or(0);
        return Some(format!("{} faults in a row; the next trial is due in {due} ms", lanes.faults_in_row));
    }
    if !keys.is_empty() && keys.iter().all(|key| key.parked.is_some()) {
        let why = keys.iter().find_map(|key| key.parked.as_ref());
        return Some(format!("every key is out of use: {}", why.map_or("", |parked| &parked.reason)));
    }
    None
}
