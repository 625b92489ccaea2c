//! The client over real sockets, against the mock server.

mod bad_bodies;
mod blocking;
mod cost;
mod faults;
mod limits;
mod plain;

use llm_client::{HttpClient, Settings};
use llm_mock::MockServer;

/// A client of this server whose waits are too short to slow a test down.
pub(crate) fn client_for(server: &MockServer) -> HttpClient {
    client_with(server, &[])
}

/// The same with more settings.
pub(crate) fn client_with(server: &MockServer, sets: &[(&str, &str)]) -> HttpClient {
    let mut settings = Settings::default();
    for (key, value) in [("backoff_base_ms", "1"), ("backoff_cap_ms", "60")].iter().chain(sets) {
        settings.set(key, value).unwrap();
    }
    HttpClient::builder(server.base_url(), "mock-model").provider("mock").settings(settings).build().unwrap()
}
