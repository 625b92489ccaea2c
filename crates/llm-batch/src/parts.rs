//! Short hashes that tell one job from another: model, system prompt, parameters, schema and tools.
//!
//! Endpoint, keys and timers are no part of a job: moving it elsewhere keeps its answers.

use std::fmt::Display;

use llm_types::{ChatRequest, FunctionTool, ReasoningSetting, ResponseFormat, Tool, ToolChoice};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::canon::Digest;

/// The parts, in the order and by the names of the records.
pub(crate) const NAMES: [&str; 4] = ["model", "system", "parameters", "schema"];

/// The four hashes of one job, as its records hold them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Parts {
    pub(crate) model: String,
    pub(crate) system: String,
    pub(crate) parameters: String,
    pub(crate) schema: String,
}

impl Parts {
    pub(crate) fn of(
        model: &str,
        system: Option<&str>,
        user_template: Option<&str>,
        settings: &ChatRequest,
    ) -> Self {
        let short = |digest: &Digest| short(digest.finish());
        let mut name = Digest::new("llm-batch model 1");
        name.text(model);
        let mut prompt = Digest::new("llm-batch system 1");
        prompt.maybe(system);
        prompt.maybe(user_template);
        let none = || short(&Digest::new("llm-batch nothing set"));
        Self {
            model: short(&name),
            system: short(&prompt),
            parameters: parameters(settings).map_or_else(none, self::short),
            schema: schema(settings).map_or_else(none, self::short),
        }
    }

    /// The names of the parts in which a record's differ from these.
    pub(crate) fn differences(&self, record: [&str; 4]) -> impl Iterator<Item = usize> {
        let own = [&self.model, &self.system, &self.parameters, &self.schema];
        let differs =
            [0, 1, 2, 3].map(|at: usize| own.get(at).map(|text| text.as_str()) != record.get(at).copied());
        differs.into_iter().enumerate().filter_map(|(at, differs)| differs.then_some(at))
    }
}

/// Twelve hexadecimal digits.
fn short(hash: u128) -> String {
    format!("{:012x}", hash >> 80)
}

/// Named values that were set; what was left open counts as nothing, so that a new setting changes no old hash.
struct Set {
    digest: Digest,
    any: bool,
}

impl Set {
    fn new(domain: &str) -> Self {
        Self { digest: Digest::new(domain), any: false }
    }

    fn name(&mut self, name: &str) -> &mut Digest {
        self.any = true;
        self.digest.text(name);
        &mut self.digest
    }

    fn put(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.name(name).text(&value.to_string());
        }
    }

    fn put_json(&mut self, name: &str, value: Option<&RawValue>) {
        if let Some(value) = value {
            self.name(name).json(value.get());
        }
    }

    fn finish(self) -> Option<u128> {
        self.any.then(|| self.digest.finish())
    }
}

/// A hash of all settings but those of [`schema`]; `None` when none is set. Every field of a request is named here or
/// there, so that a new one cannot be forgotten.
pub(crate) fn parameters(request: &ChatRequest) -> Option<u128> {
    let ChatRequest {
        messages: _, // the row's own
        tools: _,
        tool_choice: _,
        parallel_tool_calls: _,
        response_format: _, // the schema's
        reasoning,
        max_tokens,
        temperature,
        top_p,
        top_k,
        n,
        stop,
        seed,
        frequency_penalty,
        presence_penalty,
        logit_bias,
        logprobs,
        top_logprobs,
        verbosity,
        service_tier,
        metadata,
        prompt_cache_key,
        user,
        extra,
        strict: _, // decides whether a request is sent, not what is sent
    } = request;
    let mut set = Set::new("llm-batch parameters 1");
    if let Some(ReasoningSetting { effort, budget_tokens, enabled }) = reasoning {
        set.put("reasoning.effort", effort.map(llm_types::ReasoningEffort::as_str));
        set.put("reasoning.budget_tokens", *budget_tokens);
        set.put("reasoning.enabled", *enabled);
    }
    set.put("max_tokens", *max_tokens);
    set.put("temperature", *temperature);
    set.put("top_p", *top_p);
    set.put("top_k", *top_k);
    set.put("n", *n);
    for text in stop {
        set.put("stop", Some(text));
    }
    set.put("seed", *seed);
    set.put("frequency_penalty", *frequency_penalty);
    set.put("presence_penalty", *presence_penalty);
    set.put_json("logit_bias", logit_bias.as_deref());
    set.put("logprobs", *logprobs);
    set.put("top_logprobs", *top_logprobs);
    set.put("verbosity", verbosity.as_ref());
    set.put("service_tier", service_tier.as_ref());
    set.put_json("metadata", metadata.as_deref());
    set.put("prompt_cache_key", prompt_cache_key.as_ref());
    set.put("user", user.as_ref());
    let mut members: Vec<_> = extra.iter().collect();
    members.sort_by_key(|(name, _)| *name);
    for (name, value) in members {
        set.put_json(&format!("extra.{name}"), Some(value));
    }
    set.finish()
}

/// A hash of response format and tools; `None` when there are none.
pub(crate) fn schema(request: &ChatRequest) -> Option<u128> {
    let mut set = Set::new("llm-batch schema 1");
    match &request.response_format {
        None => {}
        Some(ResponseFormat::Text) => set.put("format", Some("text")),
        Some(ResponseFormat::JsonObject) => set.put("format", Some("json_object")),
        Some(ResponseFormat::JsonSchema { name, description, schema, strict }) => {
            set.put("format.name", Some(name));
            set.put("format.description", description.as_ref());
            set.put_json("format.schema", Some(schema));
            set.put("format.strict", *strict);
        }
        Some(ResponseFormat::Native(raw)) => set.put_json("format.native", Some(raw)),
    }
    for tool in &request.tools {
        match tool {
            Tool::Native(raw) => set.put_json("tool.native", Some(raw)),
            Tool::Function(FunctionTool { name, description, parameters, strict, extra }) => {
                set.put("tool.name", Some(name));
                set.put("tool.description", description.as_ref());
                set.put_json("tool.parameters", parameters.as_deref());
                set.put("tool.strict", *strict);
                for (name, value) in extra.iter() {
                    set.put_json(&format!("tool.extra.{name}"), Some(value));
                }
            }
        }
    }
    match &request.tool_choice {
        None => {}
        Some(ToolChoice::Auto) => set.put("tool_choice", Some("auto")),
        Some(ToolChoice::None) => set.put("tool_choice", Some("none")),
        Some(ToolChoice::Required) => set.put("tool_choice", Some("required")),
        Some(ToolChoice::Function(name)) => set.put("tool_choice.function", Some(name)),
        Some(ToolChoice::Native(raw)) => set.put_json("tool_choice.native", Some(raw)),
    }
    set.put("parallel_tool_calls", request.parallel_tool_calls);
    set.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts(model: &str, system: Option<&str>, json: &str) -> Parts {
        Parts::of(model, system, None, &ChatRequest::from_openai_json(json).unwrap().0)
    }

    fn differing(a: &Parts, b: &Parts) -> Vec<&'static str> {
        a.differences([&b.model, &b.system, &b.parameters, &b.schema]).map(|at| NAMES[at]).collect()
    }

    #[test]
    fn each_setting_belongs_to_one_part() {
        let base = parts("m", Some("s"), r#"{"temperature":0.5}"#);
        assert_eq!(base.model.len(), 12);
        for (other, expected) in [
            (parts("m", Some("s"), r#"{"temperature":0.50}"#), &[][..]),
            (parts("n", Some("s"), r#"{"temperature":0.5}"#), &["model"]),
            (parts("m", None, r#"{"temperature":0.5}"#), &["system"]),
            (parts("m", Some(""), r#"{"temperature":0.5}"#), &["system"]),
            (parts("m", Some("s"), r#"{"temperature":0.6}"#), &["parameters"]),
            (parts("m", Some("s"), r#"{"temperature":0.5,"top_a":1}"#), &["parameters"]),
            (parts("m", Some("s"), r#"{"temperature":0.5,"reasoning_effort":"low"}"#), &["parameters"]),
            (
                parts("m", Some("s"), r#"{"temperature":0.5,"response_format":{"type":"json_object"}}"#),
                &["schema"],
            ),
            (
                parts(
                    "m",
                    None,
                    r#"{"stop":["a","b"],"tools":[{"type":"function","function":{"name":"f"}}]}"#,
                ),
                &["system", "parameters", "schema"],
            ),
        ] {
            assert_eq!(differing(&base, &other), expected);
        }
    }

    #[test]
    fn schemas_are_compared_by_what_they_say() {
        let with = |schema: &str| {
            let json = format!(
                r#"{{"response_format":{{"type":"json_schema","json_schema":{{"name":"r","schema":{schema}}}}}}}"#
            );
            parts("m", None, &json)
        };
        assert_eq!(with(r#"{"type":"object","a":1}"#), with("{ \"a\": 1, \"type\": \"object\" }"));
        assert_ne!(with(r#"{"type":"object"}"#), with(r#"{"type":"array"}"#));
    }
}
