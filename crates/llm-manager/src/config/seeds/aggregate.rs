//! An aggregator over all models of an older service's configuration, in its order.

use std::path::Path;
use std::sync::Arc;

use llm_types::Error;

use super::SeedKind;
use crate::Aggregator;
use crate::config::{Loaded, Sources, load_seed_text};

impl Aggregator {
    /// Every model of a map from provider to its models, as JSON, in the order of the text:
    /// `{"openai": {"models": {"gpt": {"api_key": "…", "base_url": "…"}}}}`. Its id is `chain/all`.
    ///
    /// # Errors
    /// Kind `Config` for what the text says wrong, with its line, and for a text without a model; those of making a client.
    pub fn initialize(config: &str, sources: &Sources<'_>) -> Result<Self, Error> {
        let loaded =
            load_seed_text(Path::new("config.json"), config, Some(SeedKind::ProviderModels), sources)?;
        Self::of_all(&loaded)
    }

    /// Every model of a settings map, as JSON, in the order of the text: `{"LLM_MODEL": {"gpt": {"api_key": "…"}}}`. A name
    /// with `gpt` or `openai` in it is OpenAI's, one with `deepseek` DeepSeek's. Its id is `chain/all`.
    ///
    /// # Errors
    /// Those of [`initialize`](Self::initialize).
    pub fn initialize_from_settings(settings: &str, sources: &Sources<'_>) -> Result<Self, Error> {
        let loaded = load_seed_text(Path::new("settings.json"), settings, Some(SeedKind::Settings), sources)?;
        Self::of_all(&loaded)
    }

    fn of_all(loaded: &Loaded) -> Result<Self, Error> {
        let (settings, _) = loaded.layers.over(&[&loaded.top], "chain/all")?;
        let mut all =
            Self::builder("chain/all").settings(settings).registry(Arc::clone(loaded.shared().lanes()));
        for model in loaded.manager.models().iter().filter(|model| model.provider != "chain") {
            all = all.model(loaded.manager.client(&model.id)?);
        }
        all.build()
    }
}
