//! `:embedContent` and `:batchEmbedContents`.

use serde::{Deserialize, de::IgnoredAny};

use super::{
    contents::{RawContent, text_of},
    errors::Problem,
};
use crate::{
    answer::Answer,
    invented::{DIMENSIONS, MOST_DIMENSIONS, MOST_INPUTS, vector},
    json::Text,
    text::{fingerprint, push_number, tokens},
};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Raw<'a> {
    #[serde(borrow, default)]
    model: Option<Text<'a>>,
    #[serde(borrow, default)]
    content: Option<RawContent<'a>>,
    #[serde(borrow, default, alias = "task_type")]
    task_type: Option<Text<'a>>,
    title: Option<IgnoredAny>,
    #[serde(alias = "output_dimensionality")]
    output_dimensionality: Option<i64>,
    /// Vertex AI's place for the settings.
    #[serde(alias = "embed_content_config")]
    embed_content_config: Option<Config>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    #[serde(alias = "output_dimensionality")]
    output_dimensionality: Option<i64>,
}

#[derive(Deserialize)]
struct Batch<'a> {
    #[serde(borrow, default)]
    requests: Option<Vec<Raw<'a>>>,
}

const TASKS: &[&str] = &[
    "TASK_TYPE_UNSPECIFIED",
    "RETRIEVAL_QUERY",
    "RETRIEVAL_DOCUMENT",
    "SEMANTIC_SIMILARITY",
    "CLASSIFICATION",
    "CLUSTERING",
    "QUESTION_ANSWERING",
    "FACT_VERIFICATION",
    "CODE_RETRIEVAL_QUERY",
];

pub(super) fn one(body: &[u8]) -> Result<Answer, Problem> {
    let raw: Raw<'_> = serde_json::from_slice(body).map_err(|error| Problem::unreadable(&error))?;
    let mut out = b"{\"embedding\":".to_vec();
    let count = push_embedding(&mut out, raw)?;
    push_usage(&mut out, count);
    Ok(Answer::json(200, out))
}

pub(super) fn batch(body: &[u8], model: &str) -> Result<Answer, Problem> {
    let raw: Batch<'_> = serde_json::from_slice(body).map_err(|error| Problem::unreadable(&error))?;
    let requests = raw.requests.unwrap_or_default();
    if !(1..=MOST_INPUTS).contains(&requests.len()) {
        return Err(Problem::invalid(format!("requests: needs 1 to {MOST_INPUTS} entries.")));
    }
    let mut out = b"{\"embeddings\":[".to_vec();
    let mut total = 0_u64;
    for (at, request) in requests.into_iter().enumerate() {
        let named = request.model.as_ref().and_then(|Text(name)| name.strip_prefix("models/"));
        if named != Some(model) {
            return Err(Problem::invalid(format!("requests[{at}].model: must be models/{model}.")));
        }
        out.extend_from_slice(if at == 0 { b"" } else { b"," });
        total = total.saturating_add(push_embedding(&mut out, request)?);
    }
    out.push(b']');
    push_usage(&mut out, total);
    Ok(Answer::json(200, out))
}

/// Appends `{"values": …}`; returns the tokens of the input.
fn push_embedding(out: &mut Vec<u8>, raw: Raw<'_>) -> Result<u64, Problem> {
    let task = raw.task_type.as_ref().map(|Text(task)| &**task);
    if task.is_some_and(|task| !TASKS.contains(&task)) {
        return Err(Problem::invalid("task_type: is not a known one."));
    }
    if raw.title.is_some() && task != Some("RETRIEVAL_DOCUMENT") {
        return Err(Problem::invalid("title: needs the task type RETRIEVAL_DOCUMENT."));
    }
    let content = raw.content.ok_or_else(|| Problem::invalid("content is not specified."))?;
    let text = text_of(content, "content")?;
    if text.is_empty() {
        return Err(Problem::invalid("content: must not be empty."));
    }
    let given = raw.embed_content_config.and_then(|config| config.output_dimensionality);
    let dimensions = u32::try_from(raw.output_dimensionality.or(given).unwrap_or(DIMENSIONS.into())).ok();
    let dimensions = dimensions.filter(|count| (1..=MOST_DIMENSIONS).contains(count));
    let dimensions = dimensions
        .ok_or_else(|| Problem::invalid(format!("output_dimensionality: must be 1 to {MOST_DIMENSIONS}.")))?;
    out.extend_from_slice(b"{\"values\":");
    // Finite numbers into a Vec: nothing can fail.
    let _ = serde_json::to_writer(&mut *out, &vector(fingerprint(text.as_bytes()), dimensions));
    out.push(b'}');
    Ok(tokens(&text))
}

/// The last member and the end of the object.
fn push_usage(out: &mut Vec<u8>, count: u64) {
    out.extend_from_slice(b",\"usageMetadata\":{\"promptTokenCount\":");
    push_number(out, count);
    out.extend_from_slice(b"}}");
}
