//! Requests: every setting in the format's words, or a warning.

use std::borrow::Cow;

use http::Method;
use llm_types::{ChatRequest, Error, Extra, ResponseFormat};
use serde_json::value::RawValue;

use super::head::Head;
use super::messages::Conversation;
use super::thinking::{self, Thinking};
use super::tools;
use crate::dialect::body::Body;
use crate::dialect::quirks::{Paths, Quirks, SchemaLevel, Setting};
use crate::dialect::reasoning::raw;
use crate::dialect::{Encoded, WireTarget, path};

#[cfg(test)]
mod tests;

/// Objects that the user's own members are merged into.
const MERGED: &[&str] = &["thinking", "output_config", "metadata"];

/// The user's own members that are a part of what is counted.
const OF_PROMPT: &[&str] = &[
    "system",
    "tools",
    "tool_choice",
    "thinking",
    "output_config",
    "cache_control",
    "context_management",
    "mcp_servers",
];

/// Writes the request for one endpoint. All its attempts send the same bytes.
///
/// # Errors
/// [`InvalidRequest`](llm_types::ErrorKind::InvalidRequest) for what no request of this dialect can hold, and, where
/// strictness was asked for, for what would be a warning.
pub(crate) fn encode(request: &ChatRequest, target: &WireTarget<'_>, stream: bool) -> Result<Encoded, Error> {
    let quirks = target.quirks;
    let mut extra = Cow::Borrowed(&request.extra);
    let head = Head::take(&mut extra)?;
    let mut body = Body::new(request.strict);
    let conversation = Conversation::build(request, target, head.is_older(), &mut body)?;
    let thinking = Thinking::plan(request, &conversation, stream, quirks, &mut body)?;
    match head.version_in_body(target.quirks) {
        Some(version) => body.member("anthropic_version", version)?,
        None => body.member("model", target.model)?,
    }
    body.member("max_tokens", &thinking.max_tokens)?;
    conversation.write(&mut body)?;
    if stream {
        body.member("stream", &true)?;
    }
    tools::write(request, quirks, &mut body)?;
    thinking.write(&extra, &mut body)?;
    output(request, thinking.effort, &extra, quirks, &mut body)?;
    let thinks = thinking.is_on(extra.get("thinking"));
    thinking::sampling(request, thinks, head.is_older(), quirks, &mut body)?;
    settings(request, &extra, quirks, &mut body)?;
    without_stream(&mut extra, &mut body)?;
    body.extra(&extra, MERGED)?;
    let action = if stream { "streamRawPredict" } else { "rawPredict" };
    Ok(placed(head, target, "messages", (target.model, action), body, stream))
}

/// Asks how many tokens a request is: what it says, and nothing of how to answer.
///
/// # Errors
/// As [`encode`].
pub(crate) fn encode_count(request: &ChatRequest, target: &WireTarget<'_>) -> Result<Encoded, Error> {
    let mut extra = Cow::Borrowed(&request.extra);
    let head = Head::take(&mut extra)?;
    let mut body = Body::new(request.strict);
    let conversation = Conversation::build(request, target, head.is_older(), &mut body)?;
    let thinking = Thinking::plan(request, &conversation, true, target.quirks, &mut body)?;
    if let Some(version) = head.version_in_body(target.quirks) {
        body.member("anthropic_version", version)?;
    }
    body.member("model", target.model)?;
    conversation.write(&mut body)?;
    tools::write(request, target.quirks, &mut body)?;
    thinking.write(&extra, &mut body)?;
    output(request, thinking.effort, &extra, target.quirks, &mut body)?;
    for name in OF_PROMPT.iter().filter(|name| extra.get(name).is_some()) {
        if !body.has(name) {
            body.option(name, extra.get(name).as_ref())?;
        }
    }
    Ok(placed(head, target, "messages/count_tokens", ("count-tokens", "rawPredict"), body, false))
}

/// Puts a body where it belongs: under a leaf, or where a model of this name does something.
fn placed(
    head: Head,
    target: &WireTarget<'_>,
    leaf: &str,
    (model, action): (&str, &str),
    body: Body,
    stream: bool,
) -> Encoded {
    let mut encoded = match target.quirks.paths {
        Paths::RawPredict { .. } => {
            // A model's date stands behind an `@`, which is as good as any letter in a path.
            let path = format!("/models/{}:{action}", path::segment(model).replace("%40", "@"));
            Encoded::at(Method::POST, path, None, body, stream)
        }
        _ => Encoded::new(Method::POST, target, leaf, body, stream),
    };
    head.write(target.quirks, &mut encoded.headers);
    encoded
}

/// Writes how much effort to spend and what form the answer has: both stand in one object.
fn output(
    request: &ChatRequest,
    effort: Option<&str>,
    extra: &Extra,
    quirks: &Quirks,
    body: &mut Body,
) -> Result<(), Error> {
    let effort = effort.map(raw).transpose()?;
    let format = format(request.response_format.as_ref(), quirks, body)?;
    let members: Vec<(&str, &RawValue)> = [("effort", effort.as_deref()), ("format", format.as_deref())]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
        .collect();
    if members.is_empty() { Ok(()) } else { body.object("output_config", &members, extra) }
}

fn format(
    format: Option<&ResponseFormat>,
    quirks: &Quirks,
    body: &mut Body,
) -> Result<Option<Box<RawValue>>, Error> {
    match format {
        None | Some(ResponseFormat::Text) => Ok(None),
        Some(ResponseFormat::Native(native)) => Ok(Some(native.clone())),
        Some(ResponseFormat::JsonObject) => {
            body.warn("response_format", "this format has JSON of a schema only; it was left out")?;
            Ok(None)
        }
        Some(ResponseFormat::JsonSchema { description, schema, .. }) => {
            if quirks.schema != SchemaLevel::JsonSchema {
                body.warn("response_format", "this model has no form for a schema; it was left out")?;
                return Ok(None);
            }
            if description.is_some() {
                let message = "a schema has no description of its own here; it was left out";
                body.warn("response_format.description", message)?;
            }
            let mut members = Extra::new();
            members.insert("type", raw("json_schema")?);
            members.insert("schema", schema.clone());
            raw(&members).map(Some)
        }
    }
}

fn settings(request: &ChatRequest, extra: &Extra, quirks: &Quirks, body: &mut Body) -> Result<(), Error> {
    if !request.stop.is_empty() {
        if quirks.has(Setting::Stop) {
            body.member("stop_sequences", &request.stop)?;
        } else {
            lacking(Setting::Stop, body)?;
        }
    }
    match request.service_tier.as_deref() {
        Some(tier @ ("auto" | "standard_only")) if quirks.has(Setting::ServiceTier) => {
            body.member("service_tier", tier)?;
        }
        // Another vendor's word for the same.
        Some("default" | "standard") if quirks.has(Setting::ServiceTier) => {
            body.member("service_tier", "standard_only")?;
        }
        Some("auto") | None => {}
        Some(_) => body.warn("service_tier", "it is auto or standard_only here; it was left out")?,
    }
    metadata(request, extra, body)?;
    for (setting, is_set) in [
        (Setting::N, request.n.is_some_and(|n| n > 1)),
        (Setting::Seed, request.seed.is_some()),
        (Setting::FrequencyPenalty, request.frequency_penalty.is_some()),
        (Setting::PresencePenalty, request.presence_penalty.is_some()),
        (Setting::LogitBias, request.logit_bias.is_some()),
        (Setting::Logprobs, request.logprobs == Some(true) || request.top_logprobs.is_some()),
        (Setting::Verbosity, request.verbosity.is_some()),
        (Setting::PromptCacheKey, request.prompt_cache_key.is_some()),
    ] {
        if is_set {
            lacking(setting, body)?;
        }
    }
    Ok(())
}

/// Of all labels the format knows the end user's id.
fn metadata(request: &ChatRequest, extra: &Extra, body: &mut Body) -> Result<(), Error> {
    let mut user = request.user.as_deref().map(raw).transpose()?;
    if let Some(labels) = request.metadata.as_ref().and_then(|raw| Extra::parse(raw.get()).ok()) {
        for (name, value) in labels.iter() {
            if name == "user_id" {
                user.get_or_insert_with(|| value.to_owned());
            } else {
                body.warn(format!("metadata.{name}"), "there is only user_id here; it was left out")?;
            }
        }
    }
    match user {
        Some(user) => body.object("metadata", &[("user_id", &user)], extra),
        None => Ok(()),
    }
}

fn lacking(setting: Setting, body: &mut Body) -> Result<(), Error> {
    body.warn(setting.as_str(), "this format has no word for it; it was left out")
}

/// Leaves out what the caller of a client decides.
fn without_stream(extra: &mut Cow<'_, Extra>, body: &mut Body) -> Result<(), Error> {
    for name in ["stream", "stream_options"] {
        if extra.get(name).is_some() {
            body.warn(name, "left out of the extra members: whether to stream is decided by the call")?;
            extra.to_mut().take(name);
        }
    }
    Ok(())
}
