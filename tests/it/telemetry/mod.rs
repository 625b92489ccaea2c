//! What a service sees of its calls: spans, figures, and nothing that it should not see.

mod figures;
pub(crate) mod seen;
mod spans;

use llm_client::telemetry::Telemetry;
use llm_client::{HttpClient, Settings};
use llm_mock::MockServer;
use llm_types::Secret;

/// A client that is told about this way, whatever the process's settings are.
pub(crate) fn observed(server: &MockServer, telemetry: Telemetry) -> HttpClient {
    let mut settings = Settings::default();
    for (key, value) in [("backoff_base_ms", "1"), ("backoff_cap_ms", "60")] {
        settings.set(key, value).unwrap();
    }
    HttpClient::builder(server.base_url(), "mock-model")
        .provider("mock")
        .key(Secret::new("canary-key-0123"))
        .settings(settings)
        .telemetry(telemetry)
        .build()
        .unwrap()
}
