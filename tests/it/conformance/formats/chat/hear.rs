//! Chat completions, as each of their vendors reads them.

use llm_mock::Request;
use serde_json::{Map, Value, json};

use crate::conformance::heard::{Heard, Members};
use crate::conformance::peer::KEY;
use crate::conformance::vendor::{Chat, Format, How, Thoughts, Vendor};

/// What nearly everybody knows.
const COMMON: &[&str] = &[
    "temperature",
    "top_p",
    "presence_penalty",
    "frequency_penalty",
    "top_logprobs",
    "user",
    "metadata",
    "service_tier",
];

/// The members for thinking, wherever there are any.
const KNOBS: &[&str] = &[
    "reasoning_effort",
    "reasoning",
    "thinking",
    "enable_thinking",
    "thinking_budget",
    "chat_template_kwargs",
    "thinking_token_budget",
];

/// Reads a request.
pub(crate) fn hear(vendor: &Vendor, chat: &Chat, request: &Request, body: &Value) -> Result<Heard, String> {
    let bearer = format!("Bearer {KEY}");
    let (bearer, named) = match chat.key {
        _ if matches!(vendor.format, Format::Mock(_)) => (None, None),
        None => (Some(bearer.as_str()), None),
        Some(_) => (None, Some(KEY)),
    };
    let name = chat.key.unwrap_or("api-key");
    if (request.header("authorization"), request.header(name)) != (bearer, named) {
        return Err("the key does not stand in its header alone".into());
    }
    if request.target() != vendor.path {
        return Err(format!("it went to {} and not to {}", request.target(), vendor.path));
    }
    let mut members = Members::of("the body", body)?;
    members.is("model", vendor.model)?;
    let mut heard = Heard { stream: members.take("stream") == Some(true.into()), ..Heard::default() };
    let options = members.take("stream_options");
    let wanted = (heard.stream && chat.asks_usage).then(|| json!({"include_usage": true}));
    if options != wanted {
        return Err(format!("stream_options is {options:?} and not {wanted:?}"));
    }
    messages(chat, members.list("messages")?, &mut heard)?;
    tools(vendor, &mut members, &mut heard)?;
    match members.take("response_format") {
        None => {}
        Some(format) if format == json!({"type": "json_object"}) => heard.json = true,
        Some(format) => heard.schema = Some(schema(&format)?),
    }
    heard.limit = members.take(chat.limit).and_then(|limit| limit.as_u64());
    heard.seed = members.take(chat.seed).and_then(|seed| seed.as_i64());
    heard.temperature = members.take("temperature").and_then(|value| value.as_f64());
    heard.n = members.take("n").and_then(|n| n.as_u64());
    heard.stop = match members.take("stop") {
        Some(Value::String(text)) => vec![text],
        Some(list) => serde_json::from_value(list).map_err(|error| format!("stop: {error}"))?,
        None => Vec::new(),
    };
    // A number at one vendor, and a switch elsewhere.
    heard.logprobs = members.take("logprobs").is_some_and(|value| value == true || value.as_u64() > Some(0));
    for name in KNOBS {
        if let Some(value) = members.take(name) {
            heard.knobs.insert((*name).to_owned(), value);
        }
    }
    for name in COMMON {
        members.take(name);
    }
    heard.extra = members.end()?;
    Ok(heard)
}

fn schema(format: &Value) -> Result<Value, String> {
    let mut format = Members::of("response_format", format)?;
    format.is("type", "json_schema")?;
    let mut inner = Members::of("response_format.json_schema", &format.need("json_schema")?)?;
    format.end()?;
    inner.text("name")?;
    inner.take("strict");
    let schema = inner.need("schema")?;
    inner.end()?;
    Ok(schema)
}

fn tools(vendor: &Vendor, members: &mut Members, heard: &mut Heard) -> Result<(), String> {
    for tool in members.list("tools")? {
        let mut tool = Members::of("a tool", &tool)?;
        tool.is("type", "function")?;
        let mut function = Members::of("a tool's function", &tool.need("function")?)?;
        tool.end()?;
        function.take("description");
        let strict = function.take("strict").and_then(|strict| strict.as_bool());
        if strict.is_some() && matches!(vendor.how("strict_tools"), Some(How::Warned(_))) {
            return Err("a tool is strict, which has no word here".into());
        }
        heard.tools.push((function.text("name")?, function.need("parameters")?, strict));
        function.end()?;
    }
    heard.parallel = members.take("parallel_tool_calls").and_then(|value| value.as_bool());
    let choice = members.take("tool_choice");
    if heard.tools.is_empty() && (choice.is_some() || heard.parallel.is_some()) {
        return Err("there is a choice of tools, and no tool".into());
    }
    heard.choice = match choice {
        Some(Value::String(word)) => Some(word),
        Some(named) => {
            let name = named["function"]["name"].as_str().unwrap_or_default();
            if named != json!({"type": "function", "function": {"name": name}}) {
                return Err(format!("tool_choice is {named}"));
            }
            Some(format!("={name}"))
        }
        None => None,
    };
    Ok(())
}

fn messages(chat: &Chat, list: Vec<Value>, heard: &mut Heard) -> Result<(), String> {
    let mut open: Vec<(String, String)> = Vec::new();
    let mut turns: Vec<&str> = Vec::new();
    for message in &list {
        let mut message = Members::of("a message", message)?;
        let role = message.text("role")?;
        let content = message.take("content").unwrap_or_default();
        if role != "tool" && !open.is_empty() {
            return Err(format!("{open:?} have no results"));
        }
        match role.as_str() {
            role if role == chat.system => heard.system = content.as_str().map(str::to_owned),
            "user" => {
                let said = parts(&content, heard)?;
                heard.said.push((role, said));
                turns.push("user");
            }
            "assistant" => {
                thoughts(chat, &content, &mut message, heard)?;
                for call in message.list("tool_calls")? {
                    let (id, name) = earlier_call(chat, &call, heard)?;
                    open.push((id, name));
                }
                if open.is_empty() || !text_of(&content).is_empty() {
                    heard.said.push((role, text_of(&content)));
                }
                turns.push("assistant");
            }
            "tool" => {
                let id = message.text("tool_call_id")?;
                let Some(at) = open.iter().position(|(open, _)| *open == id) else {
                    return Err(format!("{id} is no open call"));
                };
                heard.results.push((open.remove(at).1, text_of(&content)));
                turns.push("user");
            }
            other => return Err(format!("nobody has the role {other} here")),
        }
        let left = message.end()?;
        if let Some((name, _)) = left.iter().next() {
            return Err(format!("a message has a member {name}"));
        }
    }
    turns.dedup();
    let said =
        list.iter().filter(|message| message["role"] != chat.system && message["role"] != "tool").count();
    let results = list.iter().any(|message| message["role"] == "tool");
    if chat.alternates && !results && turns.len() != said {
        return Err("user and assistant do not speak in turn".into());
    }
    Ok(())
}

fn earlier_call(chat: &Chat, call: &Value, heard: &mut Heard) -> Result<(String, String), String> {
    let mut call = Members::of("a call", call)?;
    call.is("type", "function")?;
    let id = call.text("id")?;
    if chat.short_ids && (id.len() != 9 || !id.bytes().all(|byte| byte.is_ascii_alphanumeric())) {
        return Err(format!("{id} are not nine letters and digits"));
    }
    let mut function = Members::of("a call's function", &call.need("function")?)?;
    call.end()?;
    let (name, arguments) = (function.text("name")?, function.text("arguments")?);
    function.end()?;
    let arguments = serde_json::from_str(&arguments).map_err(|error| format!("arguments: {error}"))?;
    heard.calls.push((name.clone(), arguments));
    Ok((id, name))
}

/// What of an earlier answer's thoughts came back.
fn thoughts(chat: &Chat, content: &Value, message: &mut Members, heard: &mut Heard) -> Result<(), String> {
    let back = match chat.thoughts {
        Thoughts::Member(name) => message.take(name).map(|thought| json!({name: thought})),
        Thoughts::Details => {
            let details =
                message.take("reasoning_details").map(|details| json!({"reasoning_details": details}));
            // The text besides is welcome, and says nothing new.
            message.take("reasoning");
            details
        }
        Thoughts::Parts => {
            let thinking = content.as_array().map(|parts| {
                parts.iter().filter(|part| part["type"] == "thinking").cloned().collect::<Vec<_>>()
            });
            thinking.filter(|parts| !parts.is_empty()).map(|parts| json!({"content": parts}))
        }
        // What came between tags goes back in a member, where there is one for it.
        Thoughts::Tags => message.take("reasoning").map(|thought| json!({"reasoning": thought})),
        Thoughts::Nowhere => None,
    };
    if let Some(back) = back {
        heard.thoughts = back;
    }
    Ok(())
}

fn text_of(content: &Value) -> String {
    match content {
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        content => content.as_str().unwrap_or_default().to_owned(),
    }
}

/// What a user says, its pictures taken out.
fn parts(content: &Value, heard: &mut Heard) -> Result<String, String> {
    for part in content.as_array().into_iter().flatten() {
        match part["type"].as_str() {
            Some("text") => {}
            Some("image_url") => {
                let mut image: Map<String, Value> =
                    part["image_url"].as_object().cloned().ok_or("image_url is no object")?;
                let url = image.remove("url").and_then(|url| url.as_str().map(str::to_owned));
                heard.images.push(url.ok_or("a picture has no url")?);
            }
            Some("input_audio") => {
                let text = |name: &str| part["input_audio"][name].as_str().unwrap_or_default();
                heard.sounds.push(format!("audio/{} {}", text("format"), text("data")));
            }
            other => return Err(format!("nobody knows a part {other:?} here")),
        }
    }
    Ok(text_of(content))
}
