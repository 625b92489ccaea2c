//! One request: messages, tools and settings, and its OpenAI-shaped JSON.

use serde_json::value::RawValue;

use crate::extra::{Extra, Invalid};
use crate::message::Message;
use crate::message_json::{link_legacy_calls, messages_from_json};
use crate::tool::{FunctionTool, Tool, ToolChoice};

/// What is asked of a model. Everything but the messages is optional; `None` leaves the vendor's default.
///
/// The model is not part of the request: a client is one model at one endpoint.
#[derive(Clone, Debug, Default)]
pub struct ChatRequest {
    /// The conversation, oldest first.
    pub messages: Vec<Message>,
    /// Tools the model may call.
    pub tools: Vec<Tool>,
    /// Which of them it may or must call.
    pub tool_choice: Option<ToolChoice>,
    /// Whether it may make several calls in one answer.
    pub parallel_tool_calls: Option<bool>,
    /// Free text, JSON, or JSON of a schema.
    pub response_format: Option<ResponseFormat>,
    /// How much to think.
    pub reasoning: Option<ReasoningSetting>,
    /// The most tokens to write, thinking included.
    pub max_tokens: Option<u64>,
    /// Randomness, 0 to 2 at most vendors.
    pub temperature: Option<f64>,
    /// Nucleus sampling, 0 to 1.
    pub top_p: Option<f64>,
    /// Sample among the k likeliest tokens.
    pub top_k: Option<u64>,
    /// How many answers (choices) to give.
    pub n: Option<u32>,
    /// Texts that end the answer.
    pub stop: Vec<String>,
    /// Repeatable sampling, where the vendor tries.
    pub seed: Option<i64>,
    /// −2 to 2.
    pub frequency_penalty: Option<f64>,
    /// −2 to 2.
    pub presence_penalty: Option<f64>,
    /// Token ids and their bias, as JSON.
    pub logit_bias: Option<Box<RawValue>>,
    /// Whether to report log probabilities.
    pub logprobs: Option<bool>,
    /// How many alternatives to report for each token, 0 to 20.
    pub top_logprobs: Option<u32>,
    /// `low`, `medium`, `high`: how wordy the answer may be.
    pub verbosity: Option<String>,
    /// The vendor's service tier (`auto`, `flex`, `priority` …).
    pub service_tier: Option<String>,
    /// Labels the vendor keeps with the request, as JSON.
    pub metadata: Option<Box<RawValue>>,
    /// Groups requests that share a prompt prefix, for the vendor's prompt cache.
    pub prompt_cache_key: Option<String>,
    /// The end user, for the vendor's abuse detection.
    pub user: Option<String>,
    /// Members sent as they are, for what this type does not know.
    pub extra: Extra,
    /// Makes a setting that the dialect cannot express an error before anything is sent. Off, it is a warning in the
    /// response.
    pub strict: bool,
}

/// The form of the answer.
#[derive(Clone, Debug)]
pub enum ResponseFormat {
    /// Free text.
    Text,
    /// Any JSON object. Most vendors want the word JSON in the prompt.
    JsonObject,
    /// JSON of a schema.
    JsonSchema {
        /// A name for the schema: letters, digits, `_`, `-`; at most 64 characters.
        name: String,
        /// What it is for, for the model.
        description: Option<String>,
        /// The JSON Schema.
        schema: Box<RawValue>,
        /// Whether the answer must follow it to the letter. `None`: the vendor's default.
        strict: Option<bool>,
    },
    /// A vendor's own form, sent as it is written.
    Native(Box<RawValue>),
}

/// How much to think before answering. Compiled to each vendor's own fields; what cannot be said is a warning.
#[derive(Clone, Debug, Default)]
pub struct ReasoningSetting {
    /// A level; [`ReasoningEffort::Off`] asks for none.
    pub effort: Option<ReasoningEffort>,
    /// The most tokens to think with.
    pub budget_tokens: Option<u64>,
    /// On or off, where no level is meant.
    pub enabled: Option<bool>,
}

/// A level of thinking.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReasoningEffort {
    /// None at all.
    Off,
    /// As little as possible.
    Minimal,
    /// Little.
    Low,
    /// Some.
    Medium,
    /// Much.
    High,
    /// More.
    XHigh,
    /// As much as possible.
    Max,
}

impl ReasoningEffort {
    /// Every level, least first.
    pub const ALL: [Self; 7] =
        [Self::Off, Self::Minimal, Self::Low, Self::Medium, Self::High, Self::XHigh, Self::Max];

    /// OpenAI's word for the level (`none` for off).
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Off => "none",
            Self::Minimal => "minimal",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
            Self::XHigh => "xhigh",
            Self::Max => "max",
        }
    }

    /// The level of a word; `off` and `none` are the same.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        if word == "off" {
            return Some(Self::Off);
        }
        Self::ALL.into_iter().find(|level| level.as_str() == word)
    }
}

impl ChatRequest {
    /// A request of one user message.
    #[must_use]
    pub fn user(prompt: impl Into<String>) -> Self {
        Self::new(vec![Message::user(prompt)])
    }

    /// A request of these messages.
    #[must_use]
    pub fn new(messages: Vec<Message>) -> Self {
        Self { messages, ..Self::default() }
    }

    /// Puts a system message first.
    #[must_use]
    pub fn with_system(mut self, text: impl Into<String>) -> Self {
        self.messages.insert(0, Message::system(text));
        self
    }

    /// Reads the body of an OpenAI chat request. Members without a field of their own go to [`extra`](Self::extra);
    /// the body's `model` is given apart, and `stream` and `stream_options` are left out, because the caller decides
    /// them. The old `functions` and `function_call` become tools.
    ///
    /// # Errors
    /// [`Invalid`] names the member that is wrong.
    pub fn from_openai_json(json: &str) -> Result<(Self, Option<String>), Invalid> {
        let mut body = Extra::parse(json)?;
        let model = body.take_as::<String>("model")?;
        let mut request = Self::default();
        if let Some(raw) = body.take("messages") {
            request.messages = messages_from_json(raw.get()).map_err(|e| e.inside("messages"))?;
            link_legacy_calls(&mut request.messages);
        }
        body.take("stream");
        body.take("stream_options");
        request.set_from(body)?;
        Ok((request, model))
    }

    /// Sets every member that has a field of its own, the others become [`extra`](Self::extra) members.
    ///
    /// # Errors
    /// [`Invalid`] names the member that is wrong.
    pub fn set_from(&mut self, mut body: Extra) -> Result<(), Invalid> {
        fn put<T>(field: &mut Option<T>, value: Option<T>) {
            if value.is_some() {
                *field = value;
            }
        }
        if let Some(tools) = body.take_as::<Vec<Box<RawValue>>>("tools")? {
            self.tools = tools
                .iter()
                .enumerate()
                .map(|(i, raw)| tool_from_json(raw.get()).map_err(|e| e.inside(&format!("tools[{i}]"))))
                .collect::<Result<_, _>>()?;
        }
        if let Some(functions) = body.take_as::<Vec<Box<RawValue>>>("functions")? {
            for (i, raw) in functions.iter().enumerate() {
                let function =
                    function_from_json(raw.get()).map_err(|e| e.inside(&format!("functions[{i}]")))?;
                self.tools.push(Tool::Function(function));
            }
        }
        for name in ["tool_choice", "function_call"] {
            if let Some(raw) = body.take(name).filter(|raw| raw.get() != "null") {
                self.tool_choice = Some(tool_choice_from_json(&raw).map_err(|e| e.inside(name))?);
            }
        }
        if let Some(raw) = body.take("response_format").filter(|raw| raw.get() != "null") {
            self.response_format =
                Some(response_format_from_json(raw).map_err(|e| e.inside("response_format"))?);
        }
        if let Some(raw) = body.take("stop").filter(|raw| raw.get() != "null") {
            self.stop =
                if raw.get().starts_with('"') { vec![read(&raw, "stop")?] } else { read(&raw, "stop")? };
        }
        if let Some(raw) = body.take("reasoning_effort").filter(|raw| raw.get() != "null") {
            // A word of a vendor's own stays as it is written.
            match serde_json::from_str::<String>(raw.get()).ok().as_deref().and_then(ReasoningEffort::parse) {
                Some(effort) => {
                    self.reasoning =
                        Some(ReasoningSetting { effort: Some(effort), ..ReasoningSetting::default() });
                }
                None => self.extra.insert("reasoning_effort", raw),
            }
        }
        put(&mut self.parallel_tool_calls, body.take_as("parallel_tool_calls")?);
        put(&mut self.max_tokens, body.take_as("max_tokens")?);
        put(&mut self.max_tokens, body.take_as("max_completion_tokens")?);
        put(&mut self.temperature, body.take_as("temperature")?);
        put(&mut self.top_p, body.take_as("top_p")?);
        put(&mut self.top_k, body.take_as("top_k")?);
        put(&mut self.n, body.take_as("n")?);
        put(&mut self.seed, body.take_as("seed")?);
        put(&mut self.frequency_penalty, body.take_as("frequency_penalty")?);
        put(&mut self.presence_penalty, body.take_as("presence_penalty")?);
        put(&mut self.logit_bias, body.take("logit_bias").filter(|raw| raw.get() != "null"));
        put(&mut self.logprobs, body.take_as("logprobs")?);
        put(&mut self.top_logprobs, body.take_as("top_logprobs")?);
        put(&mut self.verbosity, body.take_as("verbosity")?);
        put(&mut self.service_tier, body.take_as("service_tier")?);
        put(&mut self.metadata, body.take("metadata").filter(|raw| raw.get() != "null"));
        put(&mut self.prompt_cache_key, body.take_as("prompt_cache_key")?);
        put(&mut self.user, body.take_as("user")?);
        for (name, value) in body.iter() {
            self.extra.insert(name, value.to_owned());
        }
        Ok(())
    }
}

fn read<T: serde::de::DeserializeOwned>(raw: &RawValue, name: &str) -> Result<T, Invalid> {
    serde_json::from_str(raw.get()).map_err(|e| Invalid::new(name, crate::extra::plain(&e)))
}

fn tool_from_json(json: &str) -> Result<Tool, Invalid> {
    let mut members = Extra::parse(json)?;
    match (members.take_as::<String>("type")?.as_deref(), members.take("function")) {
        // `type` is optional at some vendors.
        (None | Some("function"), Some(function)) => {
            let mut function = function_from_json(function.get()).map_err(|e| e.inside("function"))?;
            // What stands around the function (a mark for the cache) is said of it too; its own word goes first.
            for (name, value) in members.iter() {
                if function.extra.get(name).is_none() {
                    function.extra.insert(name, value.to_owned());
                }
            }
            Ok(Tool::Function(function))
        }
        (Some("function"), None) => {
            Err(Invalid::new("function", "missing; it holds name, description, parameters"))
        }
        _ => Ok(Tool::Native(
            serde_json::from_str(json).map_err(|e| Invalid::new("", crate::extra::plain(&e)))?,
        )),
    }
}

fn function_from_json(json: &str) -> Result<FunctionTool, Invalid> {
    let mut members = Extra::parse(json)?;
    Ok(FunctionTool {
        name: members.take_as("name")?.ok_or_else(|| Invalid::new("name", "missing"))?,
        description: members.take_as("description")?,
        parameters: members.take("parameters").filter(|raw| raw.get() != "null"),
        strict: members.take_as("strict")?,
        extra: members,
    })
}

fn tool_choice_from_json(raw: &RawValue) -> Result<ToolChoice, Invalid> {
    if raw.get().starts_with('"') {
        return Ok(match read::<String>(raw, "")?.as_str() {
            "auto" => ToolChoice::Auto,
            "none" => ToolChoice::None,
            "required" => ToolChoice::Required,
            _ => ToolChoice::Native(raw.to_owned()),
        });
    }
    let mut members = Extra::parse(raw.get())?;
    let function = match members.take("function") {
        Some(function) => Extra::parse(function.get()).map_err(|e| e.inside("function"))?.take_as("name")?,
        // The old `function_call` names the function at the top.
        None if members.get("type").is_none() => members.take_as::<String>("name")?,
        None => None,
    };
    Ok(function.map_or_else(|| ToolChoice::Native(raw.to_owned()), ToolChoice::Function))
}

fn response_format_from_json(raw: Box<RawValue>) -> Result<ResponseFormat, Invalid> {
    let mut members = Extra::parse(raw.get())?;
    match members.take_as::<String>("type")?.as_deref() {
        Some("text") => Ok(ResponseFormat::Text),
        Some("json_object") => Ok(ResponseFormat::JsonObject),
        Some("json_schema") => {
            let inner = members.take("json_schema").ok_or_else(|| Invalid::new("json_schema", "missing"))?;
            let mut inner = Extra::parse(inner.get()).map_err(|e| e.inside("json_schema"))?;
            let at = |e: Invalid| e.inside("json_schema");
            Ok(ResponseFormat::JsonSchema {
                name: inner.take_as("name").map_err(at)?.unwrap_or_else(|| "response".to_owned()),
                description: inner.take_as("description").map_err(at)?,
                schema: inner.take("schema").ok_or_else(|| Invalid::new("json_schema.schema", "missing"))?,
                strict: inner.take_as("strict").map_err(at)?,
            })
        }
        _ => Ok(ResponseFormat::Native(raw)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_openai_body_is_read_whole_and_unknown_members_are_kept_as_written() {
        let (request, model) = ChatRequest::from_openai_json(
            r#"{"model":"gpt-x","stream":true,"messages":[{"role":"user","content":"hi"}],"temperature":0.2,
                "max_completion_tokens":9,"stop":"END","reasoning_effort":"low","top_a":1.50,
                "tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}},{"type":"custom","custom":{"name":"c"}}],
                "tool_choice":{"type":"function","function":{"name":"f"}},
                "response_format":{"type":"json_schema","json_schema":{"name":"r","schema":{"type":"object"},"strict":true}}}"#,
        )
        .unwrap();
        assert_eq!(model.as_deref(), Some("gpt-x"));
        assert_eq!((request.temperature, request.max_tokens), (Some(0.2), Some(9)));
        assert_eq!(request.stop, ["END"]);
        assert_eq!(request.reasoning.unwrap().effort, Some(ReasoningEffort::Low));
        assert_eq!(serde_json::to_string(&request.extra).unwrap(), r#"{"top_a":1.50}"#);
        assert!(matches!(request.tools.as_slice(), [Tool::Function(f), Tool::Native(_)] if f.name == "f"));
        assert!(matches!(request.tool_choice, Some(ToolChoice::Function(name)) if name == "f"));
        assert!(matches!(
            request.response_format,
            Some(ResponseFormat::JsonSchema { strict: Some(true), .. })
        ));
    }

    #[test]
    fn what_stands_around_a_function_is_kept_with_it() {
        let (request, _) = ChatRequest::from_openai_json(
            r#"{"messages":[],"tools":[{"type":"function","cache_control":{"ttl":"1h"},"x":1,"function":{"name":"f","x":2}}]}"#,
        )
        .unwrap();
        let [Tool::Function(function)] = request.tools.as_slice() else { panic!("one function") };
        assert_eq!(
            serde_json::to_string(&function.extra).unwrap(),
            r#"{"x":2,"cache_control":{"ttl":"1h"}}"#
        );
    }

    #[test]
    fn the_old_functions_become_tools() {
        let (request, _) = ChatRequest::from_openai_json(
            r#"{"messages":[],"functions":[{"name":"f"}],"function_call":{"name":"f"}}"#,
        )
        .unwrap();
        assert!(matches!(request.tools.as_slice(), [Tool::Function(f)] if f.name == "f"));
        assert!(matches!(request.tool_choice, Some(ToolChoice::Function(name)) if name == "f"));
    }

    #[test]
    fn a_wrong_member_is_named_with_its_path() {
        for (json, error) in [
            (r#"{"temperature":"hot"}"#, "temperature: invalid type: string \"hot\", expected f64"),
            (
                r#"{"messages":[{"role":"user"},{"role":"boss","content":"x"}]}"#,
                "messages[1].role: `boss` is not a role; system, developer, user, assistant, tool and function are",
            ),
            (
                r#"{"tools":[{"type":"function"}]}"#,
                "tools[0].function: missing; it holds name, description, parameters",
            ),
        ] {
            assert_eq!(ChatRequest::from_openai_json(json).unwrap_err().to_string(), error);
        }
    }
}
