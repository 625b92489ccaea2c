//! How a client is, as far as its own traffic tells. Nothing is sent: a probe is the caller's decision.

use serde::Serialize;

use crate::clock;
use crate::contract::ModelClient as _;
use crate::http_client::HttpClient;
use crate::lane::{BreakerState, EndpointState, RateLimitStatus};
use crate::metrics::MetricsSnapshot;

/// The state of one client.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Health {
    /// `provider/model`.
    pub id: String,
    /// Scheme, host and path of the base URL.
    pub endpoint: String,
    /// Not closed, its breaker closed or on trial, and at least one key at work. A client whose every connection or slot
    /// is taken is busy, not ill.
    pub healthy: bool,
    /// Why it is not healthy.
    pub reason: Option<String>,
    /// Whether a connection could be had now without waiting.
    pub connection_pool_available: bool,
    /// The most connections to a host.
    pub connection_pool_size: u32,
    /// Counters and latencies.
    pub metrics: MetricsSnapshot,
    /// Breaker, limits and lanes.
    pub lanes: EndpointState,
}

impl HttpClient {
    /// How it is, as far as its own traffic tells: nothing is sent.
    /// [`HealthProbe::probe`](crate::HealthProbe::probe) asks the server.
    #[must_use]
    pub fn health_check(&self) -> Health {
        Health::of(self)
    }

    /// Every limit that can hold a call back, as it stands: buckets, slots, keys by hint, what the server said and what was
    /// learned, with the time until it expires.
    #[must_use]
    pub fn rate_limit_status(&self) -> RateLimitStatus {
        self.lanes().rate_limit_status(clock::now())
    }

    /// Fills its buckets and forgets cool-downs and learned limits; see [`Lanes::reset_rate_limit`]. All clients of the
    /// endpoint notice.
    ///
    /// [`Lanes::reset_rate_limit`]: crate::lane::Lanes::reset_rate_limit
    pub fn reset_rate_limit(&self) {
        self.lanes().reset_rate_limit(clock::now());
    }
}

impl Health {
    fn of(client: &HttpClient) -> Self {
        let now = clock::now();
        let lanes = client.lanes().snapshot(now);
        let pool = client.pool();
        let size = client.settings().max_connections;
        let keys = client.lanes().pool().map(|pool| pool.snapshot()).unwrap_or_default();
        let parked = |key: &crate::lane::KeyState| key.parked.is_some();
        let reason = if client.is_closed() {
            Some("the client is closed".to_owned())
        } else if lanes.breaker == BreakerState::Open {
            let due = lanes.next_trial_ms.unwrap_or(0);
            Some(format!("{} faults in a row; the next trial is due in {due} ms", lanes.faults_in_row))
        } else if !keys.is_empty() && keys.iter().all(parked) {
            let why = keys.iter().find_map(|key| key.parked.as_ref());
            Some(format!("every key is out of use: {}", why.map_or("", |parked| &parked.reason)))
        } else {
            None
        };
        Self {
            id: client.id().to_owned(),
            endpoint: client.endpoint().to_owned(),
            healthy: reason.is_none(),
            reason,
            connection_pool_available: !client.is_closed()
                && (pool.idle > 0 || pool.open < usize::try_from(size).unwrap_or(usize::MAX)),
            connection_pool_size: size,
            metrics: client.metrics(),
            lanes,
        }
    }
}
