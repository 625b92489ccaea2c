//! Requests: every setting in the vendor's words, or a warning.

use std::borrow::Cow;

use http::Method;
use llm_types::{ChatRequest, Error, FunctionTool, ResponseFormat, Tool, ToolChoice};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use super::messages::Messages;
use crate::dialect::body::Body;
use crate::dialect::quirks::{LogprobsForm, Quirks, SchemaLevel, Setting, StreamUsage, TokenLimit};
use crate::dialect::{Encoded, WireTarget, reasoning};

#[cfg(test)]
mod tests;

/// Writes the request for one endpoint. All its attempts send the same bytes.
///
/// # Errors
/// [`InvalidRequest`](llm_types::ErrorKind::InvalidRequest) for what no request of this dialect can hold, and, where
/// strictness was asked for, for what would be a warning.
pub(crate) fn encode(request: &ChatRequest, target: &WireTarget<'_>, stream: bool) -> Result<Encoded, Error> {
    let quirks = target.quirks;
    let mut body = Body::new(request.strict);
    let messages = Messages::build(request, target, &mut body)?;
    body.member("model", target.model)?;
    body.member("messages", &messages)?;
    if stream {
        body.member("stream", &true)?;
        let theirs = request.extra.get("stream_options").is_some();
        if quirks.stream_usage == StreamUsage::Asked || theirs {
            let usage =
                (quirks.stream_usage == StreamUsage::Asked).then_some(("include_usage", RawValue::TRUE));
            body.object("stream_options", usage.as_slice(), &request.extra)?;
        }
    }
    tools(request, quirks, &mut body)?;
    let limit = match quirks.token_limit {
        TokenLimit::MaxCompletionTokens => "max_completion_tokens",
        TokenLimit::MaxTokens => "max_tokens",
    };
    body.option(limit, request.max_tokens.as_ref())?;
    settings(request, quirks, &mut body)?;
    let manner = reasoning::Manner { streamed: stream, forced: forces_a_tool(request) };
    reasoning::write(request.reasoning.as_ref(), manner, quirks, &request.extra, &mut body)?;
    if let Some(format) = &request.response_format {
        response_format(format, quirks, &mut body)?;
    }
    extra(request, stream, &mut body)?;
    Ok(Encoded::new(Method::POST, target, "chat/completions", body, stream))
}

fn forces_a_tool(request: &ChatRequest) -> bool {
    let forced = matches!(request.tool_choice, Some(ToolChoice::Required | ToolChoice::Function(_)));
    forced && !request.tools.is_empty()
}

fn tools(request: &ChatRequest, quirks: &Quirks, body: &mut Body) -> Result<(), Error> {
    if !request.tools.is_empty() {
        let lacks_strict = !quirks.has(Setting::Strict);
        for (at, tool) in request.tools.iter().enumerate() {
            if lacks_strict && matches!(tool, Tool::Function(FunctionTool { strict: Some(_), .. })) {
                body.warn(
                    format!("tools[{at}].strict"),
                    "this endpoint has no word for it; it was left out",
                )?;
            }
        }
        let list: Vec<SentTool<'_>> =
            request.tools.iter().map(|tool| SentTool { tool, strict: !lacks_strict }).collect();
        body.member("tools", &list)?;
    }
    // Both are refused where there are no tools.
    let has_tools = !request.tools.is_empty() || request.extra.get("tools").is_some();
    if let Some(choice) = &request.tool_choice {
        let means_nothing =
            matches!(choice, ToolChoice::Auto) || (!has_tools && matches!(choice, ToolChoice::None));
        if !has_tools && !means_nothing {
            body.warn("tool_choice", "there are no tools; it was left out")?;
        } else if has_tools && quirks.has(Setting::ToolChoice) {
            body.member("tool_choice", &SentChoice(choice))?;
        } else if has_tools && !means_nothing {
            lacking(Setting::ToolChoice, body)?;
        }
    }
    if has_tools {
        set(Setting::ParallelToolCalls, request.parallel_tool_calls.as_ref(), quirks, body)?;
    }
    Ok(())
}

fn settings(request: &ChatRequest, quirks: &Quirks, body: &mut Body) -> Result<(), Error> {
    let mut temperature = request.temperature;
    if let Some(member) = quirks.greedy.filter(|_| temperature == Some(0.0)) {
        body.member(member, &false)?;
        temperature = None;
    }
    for (setting, value) in [
        (Setting::Temperature, temperature),
        (Setting::TopP, request.top_p),
        (Setting::FrequencyPenalty, request.frequency_penalty),
        (Setting::PresencePenalty, request.presence_penalty),
    ] {
        if quirks.has(setting) {
            body.number(setting.as_str(), value)?;
        } else if value.is_some() {
            lacking(setting, body)?;
        }
    }
    set(Setting::TopK, request.top_k.as_ref(), quirks, body)?;
    // One answer is what everybody gives.
    let n = request.n.filter(|n| *n > 1 || quirks.has(Setting::N));
    set(Setting::N, n.as_ref(), quirks, body)?;
    let stop = Some(&request.stop).filter(|stop| !stop.is_empty());
    set(Setting::Stop, stop, quirks, body)?;
    if quirks.has(Setting::Seed) {
        body.option(quirks.seed_field, request.seed.as_ref())?;
    } else if request.seed.is_some() {
        lacking(Setting::Seed, body)?;
    }
    set(Setting::LogitBias, request.logit_bias.as_ref(), quirks, body)?;
    logprobs(request, quirks, body)?;
    set(Setting::Verbosity, request.verbosity.as_ref(), quirks, body)?;
    set(Setting::ServiceTier, request.service_tier.as_ref(), quirks, body)?;
    set(Setting::Metadata, request.metadata.as_ref(), quirks, body)?;
    set(Setting::PromptCacheKey, request.prompt_cache_key.as_ref(), quirks, body)?;
    set(Setting::User, request.user.as_ref(), quirks, body)
}

fn logprobs(request: &ChatRequest, quirks: &Quirks, body: &mut Body) -> Result<(), Error> {
    let wanted = request.logprobs.or(request.top_logprobs.map(|_| true));
    match quirks.logprobs {
        _ if !quirks.has(Setting::Logprobs) => match wanted {
            Some(true) => lacking(Setting::Logprobs, body),
            _ => Ok(()),
        },
        LogprobsForm::Flag => {
            // The second is refused without the first.
            body.option("logprobs", wanted.as_ref())?;
            body.option("top_logprobs", request.top_logprobs.as_ref())
        }
        // The likeliest token alone is what a flag would give.
        LogprobsForm::Count if wanted == Some(true) => {
            body.member("logprobs", &request.top_logprobs.unwrap_or(1).max(1))
        }
        LogprobsForm::Count => Ok(()),
    }
}

/// Writes a setting under its own name, or says that the vendor has no word for it.
fn set<T: Serialize>(
    setting: Setting,
    value: Option<&T>,
    quirks: &Quirks,
    body: &mut Body,
) -> Result<(), Error> {
    match value {
        Some(_) if !quirks.has(setting) => lacking(setting, body),
        value => body.option(setting.as_str(), value),
    }
}

fn lacking(setting: Setting, body: &mut Body) -> Result<(), Error> {
    body.warn(setting.as_str(), "this endpoint has no word for it; it was left out")
}

fn response_format(format: &ResponseFormat, quirks: &Quirks, body: &mut Body) -> Result<(), Error> {
    let level = quirks.schema;
    match format {
        ResponseFormat::Text if level == SchemaLevel::None => Ok(()),
        ResponseFormat::Native(raw) => body.member("response_format", raw),
        _ if level == SchemaLevel::None => {
            body.warn("response_format", "this endpoint has no word for it; it was left out")
        }
        ResponseFormat::Text => body.member("response_format", &Typed("text")),
        ResponseFormat::JsonObject => body.member("response_format", &Typed("json_object")),
        ResponseFormat::JsonSchema { .. } if level == SchemaLevel::JsonObject => {
            body.warn(
                "response_format",
                "this endpoint takes no schema; any JSON object was asked for instead",
            )?;
            body.member("response_format", &Typed("json_object"))
        }
        ResponseFormat::JsonSchema { name, description, schema, strict } => {
            let strict = if quirks.has(Setting::Strict) {
                *strict
            } else {
                if strict.is_some() {
                    lacking(Setting::Strict, body)?;
                }
                None
            };
            let description = description.as_deref();
            let json_schema = Schema { name, description, schema, strict };
            body.member("response_format", &SchemaFormat { r#type: "json_schema", json_schema })
        }
    }
}

/// Adds the members that go as they are, but for those that the caller of a client decides.
fn extra(request: &ChatRequest, stream: bool, body: &mut Body) -> Result<(), Error> {
    let mut extra = Cow::Borrowed(&request.extra);
    for name in ["stream", "stream_options"] {
        let decided = name == "stream" || !stream;
        if decided && request.extra.get(name).is_some() {
            body.warn(name, "left out of the extra members: whether to stream is decided by the call")?;
            extra.to_mut().take(name);
        }
    }
    let mut merged = vec!["stream_options"];
    merged.extend_from_slice(reasoning::MERGED);
    body.extra(&extra, &merged)
}

/// `{"type": …}`.
struct Typed(&'static str);

impl Serialize for Typed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry("type", self.0)?;
        map.end()
    }
}

#[derive(Serialize)]
struct SchemaFormat<'a> {
    r#type: &'static str,
    json_schema: Schema<'a>,
}

#[derive(Serialize)]
struct Schema<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    strict: Option<bool>,
    schema: &'a RawValue,
}

struct SentTool<'a> {
    tool: &'a Tool,
    strict: bool,
}

impl Serialize for SentTool<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let function = match self.tool {
            Tool::Function(function) => function,
            Tool::Native(raw) => return raw.serialize(serializer),
        };
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("type", "function")?;
        map.serialize_entry("function", &Function { function, strict: self.strict })?;
        map.end()
    }
}

struct Function<'a> {
    function: &'a FunctionTool,
    strict: bool,
}

impl Serialize for Function<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let FunctionTool { name, description, parameters, strict, extra } = self.function;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("name", name)?;
        if let Some(description) = description {
            map.serialize_entry("description", description)?;
        }
        if let Some(parameters) = parameters {
            map.serialize_entry("parameters", parameters)?;
        }
        if let Some(strict) = strict.filter(|_| self.strict) {
            map.serialize_entry("strict", &strict)?;
        }
        let known = ["name", "description", "parameters", "strict"];
        for (name, value) in extra.iter().filter(|(name, _)| !known.contains(name)) {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

struct SentChoice<'a>(&'a ToolChoice);

impl Serialize for SentChoice<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Named<'a> {
            name: &'a str,
        }
        match self.0 {
            ToolChoice::Auto => serializer.serialize_str("auto"),
            ToolChoice::None => serializer.serialize_str("none"),
            ToolChoice::Required => serializer.serialize_str("required"),
            ToolChoice::Native(raw) => raw.serialize(serializer),
            ToolChoice::Function(name) => {
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry("type", "function")?;
                map.serialize_entry("function", &Named { name })?;
                map.end()
            }
        }
    }
}
