//! One row of the input: what it asks, by which format, and its key.
//!
//! The formats are told apart row by row:
//!
//! | member | format | meaning |
//! |---|---|---|
//! | `custom_id` and `body` | `openai_batch` | `body` is the request; its `model` gives way to the job's |
//! | `messages` | `openai_chat` | the messages as they are |
//! | `instruction` | `alpaca` | instruction, a blank line, `input`; `system` optional; `output` dropped |
//! | `q`, `question`, `prompt` (the first that is there) | `simple` | one user message; `system` optional |
//! | `body` | `openai_batch` | the same without a name |
//!
//! A member that is `null` counts as missing. All other members are the row's metadata, as written.

use llm_types::{ChatRequest, Extra, Invalid, Message, messages_from_json};
use serde::Serialize;
use serde_json::value::RawValue;

use crate::job::{Job, is_forbidden};
use crate::key::Key;
use crate::lines::Line;
use crate::source::BatchRequest;

/// The members of a row's own request body that are sent. Others make the row a bad one, unless the job allows them
/// ([`Job::body_fields`]). What decides where a request goes and with whose key is never among them.
pub const ALLOWED_BODY_FIELDS: &[&str] = &[
    // What every dialect knows.
    "model",
    "messages",
    "stream",
    "stream_options",
    "tools",
    "tool_choice",
    "functions",
    "function_call",
    "parallel_tool_calls",
    "response_format",
    "reasoning_effort",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "top_k",
    "n",
    "stop",
    "seed",
    "frequency_penalty",
    "presence_penalty",
    "logit_bias",
    "logprobs",
    "top_logprobs",
    "verbosity",
    "service_tier",
    "metadata",
    "prompt_cache_key",
    "user",
    // What single servers know besides, sent as it is written.
    "audio",
    "best_of",
    "chat_template_kwargs",
    "continue_final_message",
    "add_generation_prompt",
    "enable_thinking",
    "guided_choice",
    "guided_grammar",
    "guided_json",
    "guided_regex",
    "ignore_eos",
    "include_reasoning",
    "length_penalty",
    "min_p",
    "min_tokens",
    "modalities",
    "prediction",
    "prompt_cache_retention",
    "reasoning",
    "repetition_penalty",
    "safe_prompt",
    "safety_identifier",
    "safety_settings",
    "skip_special_tokens",
    "stop_token_ids",
    "store",
    "structured_outputs",
    "thinking",
    "thinking_budget",
    "top_a",
    "web_search_options",
];

/// How a row is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// `messages`.
    OpenaiChat,
    /// `custom_id` and `body`: a line of an OpenAI Batch file.
    OpenaiBatch,
    /// `instruction`, `input`.
    Alpaca,
    /// `q`, `question` or `prompt`.
    Simple,
    /// A request in memory.
    Request,
}

/// A row that can be sent.
#[derive(Debug)]
pub(crate) struct Parsed {
    pub(crate) format: Format,
    pub(crate) key: Key,
    pub(crate) id: Option<String>,
    pub(crate) metadata: Extra,
    pub(crate) messages: Vec<Message>,
    /// Settings the row brings itself.
    pub(crate) own: Option<Box<ChatRequest>>,
    /// Another model than the job's, which the row named.
    pub(crate) model: Option<String>,
}

/// A row that cannot be sent.
#[derive(Debug)]
pub(crate) struct Bad {
    pub(crate) key: Key,
    /// What is wrong, with the number of the line. It holds nothing of the row's text.
    pub(crate) message: String,
    pub(crate) id: Option<String>,
    pub(crate) metadata: Extra,
}

/// Reads the row on one line of the input.
pub(crate) fn parse(number: u64, line: &Line<'_>, job: &Job) -> Result<Parsed, Box<Bad>> {
    let bytes = match line {
        Line::Text(bytes) => *bytes,
        Line::TooLong => &[],
    };
    let bad = |message: String, id, metadata| {
        let message = format!("line {number}: {message}");
        Box::new(Bad { key: Key::of_bad(bytes, &message), message, id, metadata })
    };
    let alone = |message: String| bad(message, None, Extra::new());
    if *line == Line::TooLong {
        return Err(alone("the row is longer than a row may be (512 MiB)".to_owned()));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|e| alone(format!("not UTF-8 at byte {}", e.valid_up_to() + 1)))?;
    let mut members = match bytes.first() {
        Some(b'{') => serde_json::from_str::<Extra>(text)
            .map_err(|e| alone(format!("not a JSON object: {} at column {}", category(&e), e.column())))?,
        _ if bytes.starts_with(b"[") => {
            return Err(alone("a JSON list; one object a line is needed".to_owned()));
        }
        _ => return Err(alone("not a JSON object".to_owned())),
    };
    let mut id = None;
    let asked = name(&mut members, job).and_then(|name| {
        id = name;
        ask(&mut members, job)
    });
    match asked {
        Ok(asked) => {
            let Asked { format, messages, raw, own, model } = asked;
            let key = Key::of_request(id.as_deref(), &raw, own.as_deref());
            Ok(Parsed { format, key, id, metadata: members, messages, own, model })
        }
        Err(invalid) => Err(bad(scrub(&invalid.to_string()), id, members)),
    }
}

/// Reads a request in memory as a row.
pub(crate) fn from_request(number: u64, request: &BatchRequest) -> Result<Parsed, Box<Bad>> {
    let BatchRequest { request, id, metadata } = request;
    let raw = serde_json::to_string(&request.messages).unwrap_or_default();
    if let Err(invalid) = one_answer(request) {
        let message = format!("request {number}: {invalid}");
        let key = Key::of_bad(raw.as_bytes(), &message);
        return Err(Box::new(Bad { key, message, id: id.clone(), metadata: metadata.clone() }));
    }
    let own = ChatRequest { messages: Vec::new(), ..request.clone() };
    Ok(Parsed {
        format: Format::Request,
        key: Key::of_request(id.as_deref(), &raw, Some(&own)),
        id: id.clone(),
        metadata: metadata.clone(),
        messages: request.messages.clone(),
        own: Some(Box::new(own)),
        model: None,
    })
}

/// The sort of a JSON error, without what stands in the text.
fn category(error: &serde_json::Error) -> &'static str {
    if error.is_eof() { "it ends too early" } else { "broken" }
}

/// Takes a text of the row out of a message about it: serde's messages quote what they found.
fn scrub(message: &str) -> String {
    for kind in ["invalid type: string \"", "invalid value: string \""] {
        if let Some((before, rest)) = message.split_once(kind)
            && let Some((_, after)) = rest.rsplit_once("\", ")
        {
            return format!("{before}{}a text, {after}", kind.trim_end_matches("string \""));
        }
    }
    message.to_owned()
}

struct Asked {
    format: Format,
    messages: Vec<Message>,
    /// The messages as JSON, for the key.
    raw: String,
    own: Option<Box<ChatRequest>>,
    model: Option<String>,
}

/// The row's name: `custom_id`, which is taken out, or the job's id field, which stays in the metadata.
fn name(members: &mut Extra, job: &Job) -> Result<Option<String>, Invalid> {
    let read = |name: &str, raw: &RawValue| match raw.get().as_bytes().first() {
        Some(b'"') => serde_json::from_str::<String>(raw.get())
            .map(Some)
            .map_err(|_| Invalid::new(name, "a broken text")),
        Some(b'-' | b'0'..=b'9') => Ok(Some(raw.get().to_owned())),
        Some(b'n') => Ok(None),
        _ => Err(Invalid::new(name, "neither a text nor a number")),
    };
    if let Some(field) = &job.id_field
        && let Some(raw) = members.get(field)
    {
        let name = read(field, raw)?;
        if field == "custom_id" {
            members.take(field);
        }
        return Ok(name);
    }
    let name = members.get("custom_id").map_or(Ok(None), |raw| read("custom_id", raw))?;
    if name.is_some() && members.get("body").is_none_or(is_null) {
        members.take("custom_id");
    }
    Ok(name)
}

fn is_null(raw: &RawValue) -> bool {
    raw.get() == "null"
}

/// Finds the row's format and what it asks. What is used is taken out of the members.
fn ask(members: &mut Extra, job: &Job) -> Result<Asked, Invalid> {
    let has = |members: &Extra, name: &str| members.get(name).is_some_and(|raw| !is_null(raw));
    if has(members, "body") && members.get("custom_id").is_some() {
        return batch_line(members, job);
    }
    if has(members, "messages") {
        let raw = members.take("messages").map(|raw| raw.get().to_owned()).unwrap_or_default();
        let messages = messages_of(&raw).map_err(|e| e.inside("messages"))?;
        return Ok(Asked { format: Format::OpenaiChat, messages, raw, own: None, model: None });
    }
    if has(members, "instruction") {
        let mut prompt = text(members, "instruction")?.unwrap_or_default();
        if let Some(input) = text(members, "input")?.filter(|input| !input.is_empty()) {
            prompt.push_str("\n\n");
            prompt.push_str(&input);
        }
        members.take("output");
        return prompted(members, Format::Alpaca, prompt);
    }
    for name in ["q", "question", "prompt"] {
        if let Some(prompt) = text(members, name)? {
            return prompted(members, Format::Simple, prompt);
        }
    }
    if has(members, "body") {
        return batch_line(members, job);
    }
    let found: Vec<&str> = members.iter().map(|(name, _)| name).take(20).collect();
    let found = if found.is_empty() { "nothing".to_owned() } else { found.join(", ") };
    let needed = "none of messages, instruction, q, question, prompt and body is there";
    Err(Invalid::new("", format!("{needed}; found {found}")))
}

/// Takes a text out of the members; `null` is as good as missing.
fn text(members: &mut Extra, name: &str) -> Result<Option<String>, Invalid> {
    let Some(raw) = members.take(name).filter(|raw| !is_null(raw)) else { return Ok(None) };
    let kind = match raw.get().as_bytes().first() {
        Some(b'"') => {
            let broken = |_| Invalid::new(name, "a text with a broken escape");
            return serde_json::from_str(raw.get()).map(Some).map_err(broken);
        }
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b't' | b'f') => "true or false",
        _ => "a number",
    };
    let message = format!("{kind}; a text is needed");
    members.insert(name, raw);
    Err(Invalid::new(name, message))
}

fn prompted(members: &mut Extra, format: Format, prompt: String) -> Result<Asked, Invalid> {
    /// The plainest form of a message, which the key is made of.
    #[derive(Serialize)]
    struct Plain<'a> {
        role: &'a str,
        content: &'a str,
    }
    let system = text(members, "system")?.filter(|system| !system.is_empty());
    let plain: Vec<Plain<'_>> = system
        .iter()
        .map(|text| Plain { role: "system", content: text })
        .chain([Plain { role: "user", content: &prompt }])
        .collect();
    let raw = serde_json::to_string(&plain).unwrap_or_default();
    let messages = system.map(Message::system).into_iter().chain([Message::user(prompt)]).collect();
    Ok(Asked { format, messages, raw, own: None, model: None })
}

fn messages_of(raw: &str) -> Result<Vec<Message>, Invalid> {
    if !raw.starts_with('[') {
        return Err(Invalid::new("", "not a list"));
    }
    let messages = messages_from_json(raw)?;
    if messages.is_empty() { Err(Invalid::new("", "empty")) } else { Ok(messages) }
}

fn batch_line(members: &mut Extra, job: &Job) -> Result<Asked, Invalid> {
    members.take("custom_id");
    if let Some(method) = text(members, "method")?.filter(|method| !method.eq_ignore_ascii_case("post")) {
        return Err(Invalid::new("method", format!("{} where POST is needed", short(&method))));
    }
    if let Some(url) = text(members, "url")?.filter(|url| !url.ends_with("/chat/completions")) {
        return Err(Invalid::new("url", format!("{} is not for chat", short(&url))));
    }
    let body = members.take("body").map(|raw| raw.get().to_owned()).unwrap_or_default();
    if !body.starts_with('{') {
        return Err(Invalid::new("body", "not an object"));
    }
    let inside = |e: Invalid| e.inside("body");
    let fields = Extra::parse(&body).map_err(inside)?;
    for (name, _) in fields.iter() {
        let allowed =
            ALLOWED_BODY_FIELDS.contains(&name) || job.body_fields.iter().any(|field| field == name);
        if is_forbidden(name) || !allowed {
            return Err(Invalid::new(format!("body.{}", short(name)), "a row may not set this"));
        }
    }
    let raw = fields.get("messages").map(|raw| raw.get().to_owned()).unwrap_or_default();
    if raw.is_empty() {
        return Err(Invalid::new("body.messages", "missing"));
    }
    messages_of(&raw).map_err(|e| e.inside("body.messages"))?;
    let (mut own, model) = ChatRequest::from_openai_json(&body).map_err(inside)?;
    one_answer(&own).map_err(inside)?;
    let messages = std::mem::take(&mut own.messages);
    Ok(Asked { format: Format::OpenaiBatch, messages, raw, own: Some(Box::new(own)), model })
}

fn one_answer(request: &ChatRequest) -> Result<(), Invalid> {
    if request.n.is_some_and(|n| n != 1) {
        return Err(Invalid::new("n", "a batch record holds one answer; leave it out"));
    }
    Ok(())
}

fn short(text: &str) -> String {
    text.chars().take(60).collect()
}

#[cfg(test)]
mod tests;
