//! Houses that serve other people's models, each below its own account.

use llm_client::dialect::{AuthHeader, ErrorPattern, Paths, Quirks};
use llm_types::{Capabilities, ErrorKind};

use super::{COMPATIBLE, LOW_TO_HIGH, STREAMS};
use crate::spec::{AddressVariable, ProviderSpec};

pub(super) const ROWS: &[ProviderSpec] = &[
    ProviderSpec {
        name: "azure",
        display: "Azure OpenAI",
        traced_as: Some("azure.ai.openai"),
        // It is a customer's own: there is no address without one.
        address_env: Some(AddressVariable::Url("AZURE_OPENAI_ENDPOINT")),
        key_env: &["AZURE_OPENAI_API_KEY", "AZURE_OPENAI_AD_TOKEN"],
        bearer_env: &["AZURE_OPENAI_AD_TOKEN"],
        key_required: true,
        hosts: &[".openai.azure.com", ".services.ai.azure.com", ".cognitiveservices.azure.com"],
        quirks: Quirks {
            // The surface without a date, where a model's name is that of its deployment.
            default_path: "/openai/v1",
            auth: AuthHeader::Named("api-key"),
            embeddings_base64: true,
            ..Quirks::NONE
        },
        // The dated one. Another date stands in the base URL: `…/openai?api-version=2025-04-01-preview`.
        paths_at: &[("/openai", Paths::Deployments { api_version: "2024-10-21" })],
        // What its deployments can do is their models' matter; thoughts are never shown.
        capabilities: Capabilities { thoughts: Some(false), ..STREAMS },
        ..COMPATIBLE
    },
    ProviderSpec {
        name: "huggingface",
        display: "Hugging Face",
        base_url: Some("https://router.huggingface.co/v1"),
        key_env: &["HF_TOKEN"],
        key_required: true,
        hosts: &["router.huggingface.co"],
        // Each model has the shape of whoever serves it.
        quirks: Quirks { efforts: LOW_TO_HIGH, ..Quirks::COMPATIBLE },
        capabilities: STREAMS,
        ..COMPATIBLE
    },
    ProviderSpec {
        name: "venice",
        display: "Venice AI",
        base_url: Some("https://api.venice.ai/api/v1"),
        address_env: Some(AddressVariable::Url("VENICE_BASE_URL")),
        key_env: &["VENICE_API_KEY"],
        key_required: true,
        hosts: &["api.venice.ai"],
        quirks: Quirks { efforts: LOW_TO_HIGH, ..Quirks::COMPATIBLE },
        capabilities: Capabilities {
            stream_usage: Some(true),
            tools: Some(true),
            json_schema: Some(true),
            thoughts: Some(true),
            ..STREAMS
        },
        ..COMPATIBLE
    },
    ProviderSpec {
        name: "doubleword",
        display: "Doubleword",
        base_url: Some("https://api.doubleword.ai/v1"),
        address_env: Some(AddressVariable::Url("DOUBLEWORD_BASE_URL")),
        key_env: &["DOUBLEWORD_API_KEY"],
        key_required: true,
        hosts: &["api.doubleword.ai"],
        quirks: Quirks {
            efforts: LOW_TO_HIGH,
            // What it says of a wrong key.
            errors: &[ErrorPattern {
                status: Some(403),
                code: Some("forbidden"),
                ..ErrorPattern::new(ErrorKind::Authentication)
            }],
            ..Quirks::COMPATIBLE
        },
        capabilities: Capabilities {
            stream_usage: Some(true),
            json_schema: Some(true),
            thoughts: Some(true),
            ..STREAMS
        },
        ..COMPATIBLE
    },
];
