//! The vendors and servers we know, one row each. No other file of this crate names one.

use std::sync::{Arc, LazyLock};

use llm_client::ModelClient;
use llm_client::dialect::{Dialect, Quirks, ThinkTags};
use llm_client::transport::Endpoint;
use llm_types::ReasoningEffort::{High, Low, Max, Medium, Minimal, Off, XHigh};
use llm_types::{Capabilities, Error, ErrorKind, ReasoningEffort};

use crate::spec::ProviderSpec;
use crate::spec_provider::SpecProvider;

mod abilities;
mod api_type;
mod china;
mod clouds;
mod gateways;
mod hosted;
mod models;
mod servers;

pub(crate) use self::abilities::{abilities, abilities_in};
pub use self::api_type::ApiType;
pub(crate) use self::api_type::default_model;
pub(crate) use self::models::FAMILIES;

/// Vendors first, then gateways, then servers of one's own.
static ROWS: LazyLock<Vec<ProviderSpec>> = LazyLock::new(|| {
    [hosted::ROWS, clouds::ROWS, china::ROWS, gateways::ROWS, servers::ROWS, &[COMPATIBLE, MOCK]].concat()
});

/// Every row, in the order of lists.
#[must_use]
pub fn all() -> &'static [ProviderSpec] {
    &ROWS
}

/// The row of this name.
#[must_use]
pub fn find(name: &str) -> Option<&'static ProviderSpec> {
    ROWS.iter().find(|row| row.name == name)
}

/// The row that an address belongs to: the vendor's own host, or a port that tells the kind of server.
#[must_use]
pub fn at(address: &Endpoint) -> Option<&'static ProviderSpec> {
    ROWS.iter().find(|row| row.owns(address)).or_else(|| ROWS.iter().find(|row| row.runs(address)))
}

/// A client from a key and a model's name, without any file: the row's address and default settings. Without a name it is
/// the row's default model.
///
/// # Errors
/// `ProviderNotFound` for a name that is no row's; `Config` for a key that no header can carry, for a row without an
/// address of its own, and where no model is named and the row has no default.
pub fn create_simple(
    provider: &str,
    api_key: &str,
    model: Option<&str>,
) -> Result<Arc<dyn ModelClient>, Error> {
    let Some(row) = find(provider) else {
        let known: Vec<&str> = all().iter().map(|row| row.name).collect();
        let message = format!("there is no provider `{provider}`; there are {}", known.join(", "));
        return Err(Error::new(ErrorKind::ProviderNotFound, message));
    };
    SpecProvider::create_simple(row, api_key, model, None)?.create_default_client()
}

/// The row for any other server of the most common format; the user says where it is.
pub static COMPATIBLE_ROW: ProviderSpec = COMPATIBLE;

pub(crate) const COMPATIBLE: ProviderSpec = ProviderSpec {
    name: "openai-compatible",
    display: "OpenAI-compatible server",
    traced_as: None,
    base_url: None,
    address_env: None,
    key_env: &[],
    bearer_env: &[],
    key_required: false,
    sign_in: None,
    hosts: &[],
    dialect: Dialect::OpenAiChat,
    quirks: Quirks::COMPATIBLE,
    paths_at: &[],
    guests: &[],
    loopback: false,
    only_models: &[],
    default_model: None,
    capabilities: Capabilities::UNKNOWN,
};

const MOCK: ProviderSpec = ProviderSpec {
    name: "mock",
    display: "Mock server of this program",
    loopback: true,
    quirks: Quirks::NONE,
    only_models: &["echo"],
    default_model: Some("echo"),
    // It says what it is told, and nothing else.
    capabilities: Capabilities {
        stream_usage: Some(true),
        tools: Some(false),
        json_object: Some(false),
        json_schema: Some(false),
        images: Some(false),
        audio: Some(false),
        reasoning: Some(false),
        thoughts: Some(false),
        seed: Some(false),
        stop: Some(false),
        n: Some(true),
        logprobs: Some(false),
        embeddings: Some(true),
        model_list: Some(true),
        ..STREAMS
    },
    ..COMPATIBLE
};

/// What is known of next to everybody.
const STREAMS: Capabilities = Capabilities { streaming: Some(true), ..Capabilities::UNKNOWN };

/// A vendor of its own that speaks the common format: it tells reasoning from text itself.
const HOSTED: Quirks = Quirks { think_tags: ThinkTags::Off, ..Quirks::COMPATIBLE };

/// Three levels, and none.
const LOW_TO_HIGH: &[(ReasoningEffort, &str)] = &[
    (Off, "none"),
    (Minimal, "low"),
    (Low, "low"),
    (Medium, "medium"),
    (High, "high"),
    (XHigh, "high"),
    (Max, "high"),
];

/// Three levels, of which the highest is more than high.
const LOW_HIGH_MAX: &[(ReasoningEffort, &str)] =
    &[(Minimal, "low"), (Low, "low"), (Medium, "high"), (High, "high"), (XHigh, "high"), (Max, "max")];

#[cfg(test)]
mod tests;
