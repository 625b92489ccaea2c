//! Chat completions, as each of their vendors speaks them.

use llm_mock::{Reply, Request, ToolCall};
use serde_json::{Map, Value, json};

use crate::conformance::heard::{Heard, Members};
use crate::conformance::peer::KEY;
use crate::conformance::say::{End, Say, TOKENS};
use crate::conformance::vendor::{Calls, Chat, Format, How, Thoughts, UsageAt, Vendor};

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

/// The mock server's own words for it.
pub(crate) fn mocked(say: &Say) -> Reply {
    let calls = say.calls.iter().map(|(name, arguments)| ToolCall::new("call_1", *name, *arguments));
    let reply = match (say.calls.is_empty(), say.text.is_empty()) {
        (true, _) => Reply::text(say.text.clone()),
        (false, true) => Reply::tool_calls(calls),
        (false, false) => Reply::tool_calls(calls).say(say.text.clone()),
    };
    let word = match say.end {
        End::Done => "stop",
        End::Cut => "length",
        End::Calls => "tool_calls",
        End::Withheld => "content_filter",
    };
    let usage = json!({"prompt_tokens": TOKENS.input, "completion_tokens": TOKENS.output, "total_tokens": TOKENS.input + TOKENS.output});
    reply.finish_reason(word).usage(usage.to_string())
}

fn usage(vendor: &Vendor, chat: &Chat) -> Value {
    let output = if chat.outside { TOKENS.output - TOKENS.thoughts } else { TOKENS.output };
    let mut usage = json!({
        "prompt_tokens": TOKENS.input, "completion_tokens": output, "total_tokens": TOKENS.input + TOKENS.output,
    });
    if vendor.counts_thoughts {
        usage["completion_tokens_details"] = json!({"reasoning_tokens": TOKENS.thoughts});
    }
    match chat.cached {
        [] => {}
        [name] => usage[*name] = TOKENS.cached.into(),
        [object, name, ..] => usage[*object] = json!({*name: TOKENS.cached}),
    }
    usage
}

fn id(chat: &Chat, at: usize) -> String {
    if chat.short_ids { format!("aB3dE6gH{at}") } else { format!("call_{at}") }
}

fn word(vendor: &Vendor, end: End) -> &'static str {
    vendor.words[match end {
        End::Done => 0,
        End::Cut => 1,
        End::Calls => 2,
        End::Withheld => 3,
    }]
}

/// The signed block of thoughts.
fn details(text: &str) -> Value {
    json!([{"type": "reasoning.text", "text": text, "signature": "c2ln", "format": "anthropic-claude-v1", "index": 0}])
}

pub(crate) fn body(vendor: &Vendor, chat: &Chat, say: &Say) -> Value {
    let mut message = json!({"role": "assistant", "content": say.text});
    if say.text.is_empty() && !say.calls.is_empty() {
        message["content"] = Value::Null;
    }
    if !say.thoughts.is_empty() {
        match chat.thoughts {
            Thoughts::Nowhere => {}
            Thoughts::Member(name) => message[name] = say.thoughts.into(),
            Thoughts::Details => {
                message["reasoning"] = say.thoughts.into();
                message["reasoning_details"] = details(say.thoughts);
            }
            Thoughts::Parts => {
                let thinking =
                    json!({"type": "thinking", "thinking": [{"type": "text", "text": say.thoughts}]});
                message["content"] = if say.text.is_empty() {
                    json!([thinking])
                } else {
                    json!([thinking, {"type": "text", "text": say.text}])
                };
            }
            Thoughts::Tags => {
                message["content"] = format!("<think>{}</think>\n\n{}", say.thoughts, say.text).into();
            }
        }
    }
    if !say.calls.is_empty() {
        let calls = say.calls.iter().enumerate().map(|(at, (name, arguments))| {
            json!({"id": id(chat, at), "type": "function", "function": {"name": name, "arguments": arguments}})
        });
        message["tool_calls"] = calls.collect();
    }
    if say.odd {
        message["x_mood"] = json!({"calm": true});
    }
    let choices: Vec<Value> = (0..say.n)
        .map(|index| {
            let mut choice =
                json!({"index": index, "message": message, "finish_reason": word(vendor, say.end)});
            if say.logprobs {
                choice["logprobs"] =
                    json!({"content": [{"token": "F", "logprob": -0.5, "bytes": [70], "top_logprobs": []}]});
            }
            choice
        })
        .collect();
    let mut body = json!({
        "id": "c-1", "object": "chat.completion", "created": 1_793_527_200, "model": vendor.model,
        "choices": choices, "usage": usage(vendor, chat),
    });
    if say.odd {
        body["x_weather"] = json!([1, "calm"]);
    }
    noise(chat, &mut body);
    body
}

fn noise(chat: &Chat, body: &mut Value) {
    if let Ok(Value::Object(members)) = serde_json::from_str(&format!("{{{}}}", chat.noise)) {
        members.into_iter().for_each(|(name, value)| body[name] = value);
    }
}

/// The deltas of an answer, in order; the last one may belong into the chunk with its end.
fn deltas(chat: &Chat, say: &Say) -> Vec<Value> {
    let mut deltas = vec![json!({"role": "assistant", "content": ""})];
    let thoughts = Say::pieces(say.thoughts);
    match chat.thoughts {
        _ if thoughts.is_empty() => {}
        Thoughts::Nowhere => {}
        Thoughts::Member(name) => {
            deltas.extend(thoughts.iter().map(|piece| json!({"content": null, name: piece})));
        }
        Thoughts::Details => {
            deltas.extend(thoughts.iter().map(|piece| {
                json!({"content": "", "reasoning": piece, "reasoning_details": [{"type": "reasoning.text", "text": piece, "format": "anthropic-claude-v1", "index": 0}]})
            }));
            deltas.push(json!({"content": "", "reasoning_details": [{"type": "reasoning.text", "signature": "c2ln", "format": "anthropic-claude-v1", "index": 0}]}));
        }
        Thoughts::Parts => deltas.extend(thoughts.iter().map(
            |piece| json!({"content": [{"type": "thinking", "thinking": [{"type": "text", "text": piece}]}]}),
        )),
        Thoughts::Tags => {
            deltas.push(json!({"content": "<thi"}));
            deltas.push(json!({"content": format!("nk>{}", say.thoughts)}));
            deltas.push(json!({"content": "</think>\n"}));
            deltas.push(json!({"content": "\n"}));
        }
    }
    deltas.extend(Say::pieces(&say.text).into_iter().map(|piece| json!({"content": piece})));
    let whole = |at: usize, (name, arguments): &(&str, &str)| json!({"index": at, "id": id(chat, at), "type": "function", "function": {"name": name, "arguments": arguments}});
    match chat.calls {
        Calls::Pieces => {
            for (at, (name, arguments)) in say.calls.iter().enumerate() {
                deltas.push(json!({"tool_calls": [{"index": at, "id": id(chat, at), "type": "function", "function": {"name": name, "arguments": ""}}]}));
                deltas.extend(
                    Say::pieces(arguments).into_iter().map(
                        |piece| json!({"tool_calls": [{"index": at, "function": {"arguments": piece}}]}),
                    ),
                );
            }
        }
        Calls::Whole => deltas
            .extend(say.calls.iter().enumerate().map(|(at, call)| json!({"tool_calls": [whole(at, call)]}))),
        Calls::AtTheEnd if say.calls.is_empty() => {}
        Calls::AtTheEnd => {
            let calls: Vec<Value> = say
                .calls
                .iter()
                .enumerate()
                .map(|(at, (name, arguments))| json!({"id": id(chat, at), "function": {"name": name, "arguments": arguments}}))
                .collect();
            deltas.push(json!({"content": "", "tool_calls": calls}));
        }
    }
    if say.odd {
        deltas.push(json!({"x_mood": {"calm": true}}));
    }
    deltas
}

pub(crate) fn stream(vendor: &Vendor, chat: &Chat, say: &Say) -> String {
    let used = usage(vendor, chat);
    let chunk = |choices: Value, usage: Option<&Value>| {
        let mut chunk = json!({
            "id": "c-1", "object": "chat.completion.chunk", "created": 1_793_527_200, "model": vendor.model, "choices": choices,
        });
        if let Some(usage) = usage {
            chunk["usage"] = usage.clone();
        }
        if say.odd {
            chunk["x_weather"] = json!([1, "calm"]);
        }
        noise(chat, &mut chunk);
        chunk
    };
    let every = |so_far: u64| {
        let mut usage = used.clone();
        usage["completion_tokens"] = so_far.into();
        usage["total_tokens"] = (TOKENS.input + so_far).into();
        usage
    };
    let mut deltas = deltas(chat, say);
    let last = if chat.calls == Calls::AtTheEnd { deltas.pop() } else { None };
    let mut chunks = Vec::new();
    for (at, mut delta) in deltas.into_iter().enumerate() {
        if chat.says_role {
            delta["role"] = "assistant".into();
        }
        let mut choice = json!({"index": 0, "delta": delta});
        if !chat.late_finish {
            choice["finish_reason"] = Value::Null;
        }
        let so_far = (chat.usage == UsageAt::Every).then(|| every(at.min(9) as u64));
        chunks.push(chunk(json!([choice]), so_far.as_ref()));
    }
    let end = json!([{"index": 0, "delta": last.unwrap_or_else(|| json!({})), "finish_reason": word(vendor, say.end)}]);
    let again = json!([{"index": 0, "delta": {"content": ""}, "finish_reason": word(vendor, say.end)}]);
    match chat.usage {
        UsageAt::Alone => {
            chunks.push(chunk(end, None));
            chunks.push(chunk(json!([]), Some(&used)));
        }
        UsageAt::Finish | UsageAt::Every => chunks.push(chunk(end, Some(&used))),
        UsageAt::Thrice => {
            let mut both = chunk(end, Some(&used));
            both["x_groq"] = json!({"id": "req_1", "usage": used});
            chunks.push(both);
            chunks.push(chunk(json!([]), Some(&used)));
        }
        UsageAt::FinishAgain => {
            chunks.push(chunk(end, None));
            chunks.push(chunk(again, Some(&used)));
        }
    }
    let mut text = chat.opening.to_owned();
    for chunk in chunks {
        text.push_str(&format!("data: {chunk}\n\n"));
    }
    if chat.done {
        text.push_str("data: [DONE]\n\n");
    }
    text
}

/// Reads a request.
pub(crate) fn hear(vendor: &Vendor, chat: &Chat, request: &Request, body: &Value) -> Result<Heard, String> {
    let bearer = format!("Bearer {KEY}");
    let key = (!matches!(vendor.format, Format::Mock(_))).then_some(bearer.as_str());
    if request.header("authorization") != key {
        return Err("the key is no bearer token".into());
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
        Thoughts::Nowhere | Thoughts::Tags => None,
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
            other => return Err(format!("nobody knows a part {other:?} here")),
        }
    }
    Ok(text_of(content))
}
