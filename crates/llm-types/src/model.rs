//! What is known about a model.

use serde::Serialize;

use crate::extra::Extra;

/// A model as a server lists it.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ModelInfo {
    /// The name to put on the wire.
    pub id: String,
    /// When it was made, in seconds since 1970.
    pub created: Option<u64>,
    /// Who owns it.
    pub owned_by: Option<String>,
    /// The most tokens it reads and writes together, where the server says so.
    pub context_window: Option<u64>,
    /// Members we do not know.
    #[serde(skip_serializing_if = "Extra::is_empty")]
    pub extra: Extra,
}

/// What a client can do. `None` means not known: it is tried, and the vendor decides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Answers piece by piece.
    pub streaming: Option<bool>,
    /// Calls tools.
    pub tools: Option<bool>,
    /// Makes several calls in one answer.
    pub parallel_tools: Option<bool>,
    /// Answers in JSON of a schema.
    pub json_schema: Option<bool>,
    /// Sees pictures.
    pub images: Option<bool>,
    /// Hears.
    pub audio: Option<bool>,
    /// Thinks in a way that can be controlled or seen.
    pub reasoning: Option<bool>,
    /// Makes embeddings.
    pub embeddings: Option<bool>,
    /// The most tokens it reads and writes together.
    pub context_window: Option<u64>,
    /// The most tokens it writes.
    pub max_output: Option<u64>,
}
