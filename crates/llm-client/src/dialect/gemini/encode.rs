//! Requests: every setting in the vendor's words, or a warning.

use http::Method;
use llm_types::{ChatRequest, Error, ErrorKind, ResponseFormat};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use super::messages::Messages;
use super::{path, resource, thinking, tools};
use crate::dialect::body::Body;
use crate::dialect::quirks::{CountForm, Quirks, SchemaLevel, Setting, StreamForm};
use crate::dialect::{Encoded, WireTarget};

#[cfg(test)]
mod tests;

/// The user's own member for a prompt that lies in the cache: what is counted begins with it.
const CACHED: &str = "cachedContent";

/// The most texts that end an answer.
const MOST_STOPS: usize = 5;

/// Writes the request for one endpoint. All its attempts send the same bytes.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`] for what no request of this dialect can hold, and, where strictness was asked for, for what
/// would be a warning.
pub(crate) fn encode(request: &ChatRequest, target: &WireTarget<'_>, stream: bool) -> Result<Encoded, Error> {
    let mut body = Body::new(request.strict);
    content(request, target, true, &mut body)?;
    generation(request, target.quirks, &mut body)?;
    beside(request, target.quirks, &mut body)?;
    let (action, query) = match (stream, target.quirks.stream_form) {
        (false, _) => ("generateContent", None),
        (true, StreamForm::Events) => ("streamGenerateContent", Some("alt=sse".to_owned())),
        (true, StreamForm::List) => ("streamGenerateContent", None),
    };
    Ok(Encoded::at(Method::POST, path(target.model, action), query, body, stream))
}

/// Asks how many tokens the request is.
pub(crate) fn encode_count(request: &ChatRequest, target: &WireTarget<'_>) -> Result<Encoded, Error> {
    let mut body = Body::new(request.strict);
    match target.quirks.count_form {
        CountForm::Bare => {
            content(request, target, false, &mut body)?;
            generation(request, target.quirks, &mut body)?;
        }
        CountForm::Whole => {
            let mut inner = Body::new(request.strict);
            inner.member("model", &resource(target.model))?;
            content(request, target, true, &mut inner)?;
            generation(request, target.quirks, &mut inner)?;
            inner.option(CACHED, request.extra.get(CACHED).as_ref())?;
            let (bytes, warnings) = inner.finish();
            for warning in warnings {
                body.warn(warning.about, warning.message)?;
            }
            let wrong = |e: serde_json::Error| {
                Error::new(ErrorKind::Internal, "the request is not JSON").with_source(e)
            };
            let inner: &RawValue = serde_json::from_slice(&bytes).map_err(wrong)?;
            body.member("generateContentRequest", inner)?;
        }
    }
    Ok(Encoded::at(Method::POST, path(target.model, "countTokens"), None, body, false))
}

/// Writes what is said: messages, instructions, tools.
fn content(
    request: &ChatRequest,
    target: &WireTarget<'_>,
    choice: bool,
    body: &mut Body,
) -> Result<(), Error> {
    let messages = Messages::build(request, target, body)?;
    body.member("contents", &messages.contents)?;
    if let Some(system) = &messages.system {
        body.member("systemInstruction", system)?;
    }
    tools::write(request, choice, body)
}

/// The members of the object for settings.
#[derive(Default)]
struct Config(Vec<(&'static str, Box<RawValue>)>);

impl Config {
    fn set<T: Serialize + ?Sized>(&mut self, name: &'static str, value: &T) -> Result<(), Error> {
        let value = to_raw_value(value).map_err(|e| {
            Error::new(ErrorKind::InvalidRequest, format!("{name} cannot be written as JSON")).with_source(e)
        })?;
        self.0.push((name, value));
        Ok(())
    }

    fn option<T: Serialize>(&mut self, name: &'static str, value: Option<T>) -> Result<(), Error> {
        value.map_or(Ok(()), |value| self.set(name, &value))
    }
}

/// Writes how the answer is to be made.
fn generation(request: &ChatRequest, quirks: &Quirks, body: &mut Body) -> Result<(), Error> {
    let mut config = Config::default();
    for (setting, name, value) in [
        (Setting::Temperature, "temperature", request.temperature),
        (Setting::TopP, "topP", request.top_p),
        (Setting::PresencePenalty, "presencePenalty", request.presence_penalty),
        (Setting::FrequencyPenalty, "frequencyPenalty", request.frequency_penalty),
    ] {
        let Some(number) = value else { continue };
        if !number.is_finite() {
            let message = format!("{}: {number} is not a finite number", setting.as_str());
            return Err(Error::new(ErrorKind::InvalidRequest, message));
        }
        if has(setting, quirks, body)? {
            config.set(name, &number)?;
        }
    }
    if request.top_k.is_some() && has(Setting::TopK, quirks, body)? {
        config.option("topK", request.top_k)?;
    }
    if let Some(n) = request.n.filter(|n| *n > 1)
        && has(Setting::N, quirks, body)?
    {
        config.set("candidateCount", &n)?;
    }
    config.option("maxOutputTokens", request.max_tokens)?;
    if !request.stop.is_empty() && has(Setting::Stop, quirks, body)? {
        if request.stop.len() > MOST_STOPS {
            body.warn(
                "stop",
                format!("only {MOST_STOPS} texts can end an answer here; the others were left out"),
            )?;
        }
        let texts: Vec<&String> = request.stop.iter().take(MOST_STOPS).collect();
        config.set("stopSequences", &texts)?;
    }
    if let Some(seed) = request.seed
        && has(Setting::Seed, quirks, body)?
    {
        match i32::try_from(seed) {
            Ok(seed) => config.set("seed", &seed)?,
            Err(_) => body.warn("seed", "it has more than 32 bits; it was left out")?,
        }
    }
    let wanted = request.logprobs.unwrap_or(request.top_logprobs.is_some());
    if wanted && has(Setting::Logprobs, quirks, body)? {
        config.set("responseLogprobs", &true)?;
        config.option("logprobs", request.top_logprobs)?;
    }
    if let Some(format) = &request.response_format {
        response_format(format, quirks, &mut config, body)?;
    }
    if let Some(thinking) = thinking::config(request.reasoning.as_ref(), quirks, body)? {
        config.set("thinkingConfig", &thinking)?;
    }
    if config.0.is_empty() && request.extra.get("generationConfig").is_none() {
        return Ok(());
    }
    let members: Vec<(&str, &RawValue)> = config.0.iter().map(|(name, value)| (*name, &**value)).collect();
    body.object("generationConfig", &members, &request.extra)
}

fn response_format(
    format: &ResponseFormat,
    quirks: &Quirks,
    config: &mut Config,
    body: &mut Body,
) -> Result<(), Error> {
    const JSON: &str = "application/json";
    match format {
        ResponseFormat::Text => Ok(()),
        _ if quirks.schema == SchemaLevel::None => {
            body.warn("response_format", "this endpoint has no word for it; it was left out")
        }
        ResponseFormat::Native(raw) => config.set("responseFormat", raw),
        ResponseFormat::JsonObject => config.set("responseMimeType", JSON),
        ResponseFormat::JsonSchema { .. } if quirks.schema == SchemaLevel::JsonObject => {
            let message = "this endpoint takes no schema; any JSON object was asked for instead";
            body.warn("response_format", message)?;
            config.set("responseMimeType", JSON)
        }
        // Its name is for nobody but the caller, and an answer always follows it to the letter.
        ResponseFormat::JsonSchema { description, schema, .. } => {
            if description.is_some() {
                let message = "this format has no word for it; put it into the schema";
                body.warn("response_format.description", message)?;
            }
            config.set("responseMimeType", JSON)?;
            config.set("responseJsonSchema", schema)
        }
    }
}

/// Writes what stands beside the content, and warns of what has no word at all.
fn beside(request: &ChatRequest, quirks: &Quirks, body: &mut Body) -> Result<(), Error> {
    for (setting, given) in [
        (Setting::LogitBias, request.logit_bias.is_some()),
        (Setting::Verbosity, request.verbosity.is_some()),
        (Setting::PromptCacheKey, request.prompt_cache_key.is_some()),
        (Setting::User, request.user.is_some()),
    ] {
        if given {
            lacking(setting, body)?;
        }
    }
    // Whoever leaves the tier to the vendor gets the vendor's.
    if let Some(tier) = request.service_tier.as_deref().filter(|tier| *tier != "auto")
        && has(Setting::ServiceTier, quirks, body)?
    {
        match tier {
            "default" | "standard" | "standard_only" => body.member("serviceTier", "standard")?,
            "flex" | "priority" => body.member("serviceTier", tier)?,
            _ => body.warn("service_tier", "it is standard, flex or priority here; it was left out")?,
        }
    }
    if let Some(labels) = &request.metadata
        && has(Setting::Metadata, quirks, body)?
    {
        body.member("labels", labels)?;
    }
    body.extra(&request.extra, &["generationConfig", "toolConfig"])
}

/// Whether there is a word for a setting that was given; a warning where there is none.
fn has(setting: Setting, quirks: &Quirks, body: &mut Body) -> Result<bool, Error> {
    if quirks.has(setting) {
        return Ok(true);
    }
    lacking(setting, body).map(|()| false)
}

fn lacking(setting: Setting, body: &mut Body) -> Result<(), Error> {
    body.warn(setting.as_str(), "this endpoint has no word for it; it was left out")
}
