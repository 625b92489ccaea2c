//! Configuration files of older clients, read into the same configuration.
//!
//! | kind | what it looks like | retry count and units |
//! |---|---|---|
//! | [`Flexllm`](SeedKind::Flexllm) | `default`, `models: [{id, name, base_url, …}]`, `batch` | `retry_times` counts all attempts; `retry_delay`, `timeout` in seconds; `max_qps` per second |
//! | [`ProviderFile`](SeedKind::ProviderFile) | provider → name → `{api_keys, base_url, model}`, or provider → list of `{model_name, …}` | `max_retries` counts all attempts; `retry_delay` in seconds, not growing; a bucket of `rate_limit_capacity` filled by `rate_limit_refill_rate` per second |
//! | [`ProviderModels`](SeedKind::ProviderModels) | provider → `models` → name → `{api_key, base_url, …}` | `max_retries` counts all attempts; `timeout` in seconds |
//! | [`Settings`](SeedKind::Settings) | `LLM_MODEL`: name → `{api_key, base_url, model}` | as above |
//! | [`Compression`](SeedKind::Compression) | `llm: {cloud_endpoint, cloud_api_key, …}` | `max_retries` counts after the first; `timeout` in seconds; `rate_limit` per minute |
//!
//! `max_retries` of ours counts after the first attempt. What cannot be carried over is a warning with its place, never
//! silence. A file is known by what stands in it.
//!
//! ```no_run
//! # fn example() -> Result<(), llm_types::Error> {
//! use llm_manager::config::{SeedKind, Sources, load_seed};
//! let env = |name: &str| std::env::var(name).ok();
//! let models = load_seed("provider.json".as_ref(), Some(SeedKind::ProviderFile), &Sources::new(&env, "."))?;
//! let client = models.manager.client_of("openai", "gpt-3.5-turbo")?;
//! # Ok(()) }
//! ```

mod aggregate;
mod carry;
mod compression;
mod flexllm;
mod provider_file;
mod three_layer;

use std::path::Path;

use llm_types::Error;

use super::files;
use super::reader::Section;
use super::schema::Config;
use super::tree::Value;

/// Whose configuration file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SeedKind {
    /// `flexllm_config.yaml`. Its models are those of the provider `flexllm`.
    Flexllm,
    /// `provider.json`, in either spelling.
    ProviderFile,
    /// A map from provider to its models. The chain `all` has every model in order, and is the default.
    ProviderModels,
    /// A `LLM_MODEL` map from name to model. The chain `all` has every model in order, and is the default.
    Settings,
    /// The `llm:` section of the compression client, with the variables that go above it. Its model is that of the
    /// provider `cloud`.
    Compression,
}

impl SeedKind {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Flexllm => "flexllm",
            Self::ProviderFile => "provider_file",
            Self::ProviderModels => "provider_models",
            Self::Settings => "settings",
            Self::Compression => "compression",
        }
    }

    /// Knows a file by what stands in it; `None` for one of ours.
    pub(super) fn detect(top: &Section) -> Option<Self> {
        let ours = ["providers", "aliases", "pools", "chains", "budgets", "limits", "prices"];
        if top.is_empty() || ours.iter().any(|key| top.has(key)) {
            return None;
        }
        let table = |key: &str| top.peek(key).is_some_and(|entry| matches!(entry.value, Value::Table(_)));
        let list = |key: &str| top.peek(key).is_some_and(|entry| matches!(entry.value, Value::List(_)));
        if table("llm") {
            return Some(Self::Compression);
        }
        if table("LLM_MODEL") {
            return Some(Self::Settings);
        }
        if list("models") || table("batch") {
            return Some(Self::Flexllm);
        }
        let all = |fits: fn(&Value) -> bool| top.entries().all(|entry| fits(&entry.value));
        if all(|value| member(value, "models").is_some_and(is_table)) {
            return Some(Self::ProviderModels);
        }
        if all(|value| match value {
            Value::Table(models) => !models.is_empty() && models.iter().all(|m| is_model(&m.node.value)),
            Value::List(models) => !models.is_empty() && models.iter().all(|item| is_model(&item.value)),
            _ => false,
        }) {
            return Some(Self::ProviderFile);
        }
        all(is_model).then_some(Self::Settings)
    }

    /// Whose file this is; `None` for one of ours, and for one that cannot be read.
    #[must_use]
    pub fn of_file(path: &Path) -> Option<Self> {
        let source = files::named(Some(path), Path::new(""), &|_| None).ok()??;
        Self::detect(&source.document().ok()?)
    }

    /// Reads the whole document.
    pub(super) fn read(
        self,
        top: Section,
        home: Option<&Path>,
        env: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Config, Error> {
        match self {
            Self::Flexllm => flexllm::read(top, home),
            Self::ProviderFile => provider_file::read(top, home),
            Self::ProviderModels => three_layer::read(top, home),
            Self::Settings => three_layer::read_settings(top, home),
            Self::Compression => compression::read(top, home, env),
        }
    }
}

fn member<'a>(value: &'a Value, key: &str) -> Option<&'a Value> {
    let Value::Table(members) = value else { return None };
    members.iter().find(|member| member.key == key).map(|member| &member.node.value)
}

fn is_table(value: &Value) -> bool {
    matches!(value, Value::Table(_))
}

/// Whether it describes one model.
fn is_model(value: &Value) -> bool {
    ["api_key", "api_keys", "base_url", "model", "model_name"].iter().any(|key| {
        member(value, key).is_some_and(|value| matches!(value, Value::Text(_) | Value::List(_) | Value::Null))
    })
}
