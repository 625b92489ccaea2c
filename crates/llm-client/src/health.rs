//! How a client is, as far as its own traffic tells. Nothing is sent: a probe is the caller's decision.

use serde::Serialize;

use crate::lane::EndpointState;
use crate::metrics::MetricsSnapshot;

/// The state of one client, or of a wrapper with those below it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Health {
    /// `provider/model`.
    pub id: String,
    /// Not closed and not switched off, its breaker closed or on trial, and at least one key at work; of a wrapper: at
    /// least one member like that. A client whose every connection or slot is taken is busy, not ill.
    pub healthy: bool,
    /// Why it is not healthy.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Calls on their way.
    pub in_flight: u32,
    /// Counters and latencies.
    pub metrics: MetricsSnapshot,
    /// Scheme, host and path of the base URL, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// Whether a connection could be had now without waiting.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection_pool_available: Option<bool>,
    /// The most connections to a host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection_pool_size: Option<u32>,
    /// Breaker, limits and lanes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lanes: Option<EndpointState>,
    /// The clients that it chooses between, in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub members: Vec<Health>,
}

impl Health {
    /// The health of a wrapper: it is well while one of its members is. `reason`: what stands above them, such as being
    /// switched off.
    #[must_use]
    pub fn of_members(
        id: impl Into<String>,
        reason: Option<String>,
        in_flight: u32,
        metrics: MetricsSnapshot,
        members: Vec<Self>,
    ) -> Self {
        let reason = reason.or_else(|| match members.as_slice() {
            members if members.iter().any(|member| member.healthy) => None,
            [] => Some("it has no members".to_owned()),
            members => {
                let why = members.iter().find_map(|member| member.reason.as_deref()).unwrap_or_default();
                Some(format!("none of its {} members is well: {why}", members.len()))
            }
        });
        Self {
            id: id.into(),
            healthy: reason.is_none(),
            reason,
            in_flight,
            metrics,
            endpoint: None,
            connection_pool_available: None,
            connection_pool_size: None,
            lanes: None,
            members,
        }
    }
}
