//! Texts to vectors.

use crate::error::AttemptRecord;
use crate::extra::Extra;
use crate::price::Cost;
use crate::response::Warning;
use crate::usage::Usage;

/// What is to be embedded.
#[derive(Clone, Debug, Default)]
pub struct EmbeddingRequest {
    /// The texts; each gets one vector. None of them may be empty.
    pub input: Vec<String>,
    /// The length of the vectors, where the model can shorten them.
    pub dimensions: Option<u32>,
    /// The end user, for the vendor's abuse detection.
    pub user: Option<String>,
    /// Members sent as they are.
    pub extra: Extra,
}

impl EmbeddingRequest {
    /// A request for these texts.
    #[must_use]
    pub fn new(input: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { input: input.into_iter().map(Into::into).collect(), ..Self::default() }
    }
}

/// The vectors, in the order of the texts.
#[derive(Clone, Debug, Default)]
pub struct EmbeddingResponse {
    /// The model that answered.
    pub model: Option<String>,
    /// One vector a text.
    pub vectors: Vec<Vec<f32>>,
    /// Tokens used.
    pub usage: Option<Usage>,
    /// What it cost. `None`: not known, which is not nothing.
    pub cost: Option<Cost>,
    /// What could not be done as asked.
    pub warnings: Vec<Warning>,
    /// Every attempt of the call.
    pub attempts: Vec<AttemptRecord>,
}
