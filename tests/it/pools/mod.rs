//! Pools and aggregators over real sockets: servers that die, lie, hang, break off, refuse a key.

mod keys;
mod servers;
mod vendors;

use std::sync::Arc;

use llm_client::{HttpClient, HttpClientBuilder, ModelClient, Settings};
use llm_manager::{Member, Pool, PoolBuilder, Strategy};
use llm_mock::MockServer;

/// Settings whose waits are too short to slow a test down.
pub(crate) fn quick(sets: &[(&str, &str)]) -> Settings {
    let mut settings = Settings::default();
    for (key, value) in [("backoff_base_ms", "1"), ("backoff_cap_ms", "60")].iter().chain(sets) {
        settings.set(key, value).unwrap();
    }
    settings
}

pub(crate) fn client(server: &MockServer, sets: &[(&str, &str)]) -> HttpClientBuilder {
    HttpClient::builder(server.base_url(), "mock-model").settings(quick(sets))
}

pub(crate) fn member(client: HttpClientBuilder) -> Member {
    Member::new(Arc::new(client.build().unwrap()) as Arc<dyn ModelClient>)
}

/// A pool over these servers, asked in this order.
pub(crate) fn in_order(servers: &[&MockServer], sets: &[(&str, &str)]) -> PoolBuilder {
    Pool::builder("pool/test")
        .strategy(Strategy::Fallback)
        .settings(quick(sets))
        .members(servers.iter().map(|server| member(client(server, sets))))
}
