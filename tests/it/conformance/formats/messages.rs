//! Messages of content blocks.

use llm_mock::Request;
use serde_json::{Value, json};

use crate::conformance::heard::{Heard, Members};
use crate::conformance::peer::KEY;
use crate::conformance::say::{End, Say, TOKENS};
use crate::conformance::vendor::Vendor;

fn word(vendor: &Vendor, end: End) -> &'static str {
    vendor.words[match end {
        End::Done => 0,
        End::Cut => 1,
        End::Calls => 2,
        End::Withheld => 3,
    }]
}

/// The prompt's classes do not overlap here.
fn usage() -> Value {
    json!({
        "input_tokens": TOKENS.input - TOKENS.cached, "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": TOKENS.cached, "output_tokens": TOKENS.output,
        "output_tokens_details": {"thinking_tokens": TOKENS.thoughts}, "service_tier": "standard",
    })
}

fn blocks(say: &Say) -> Vec<Value> {
    let mut blocks = Vec::new();
    if !say.thoughts.is_empty() {
        blocks.push(json!({"type": "thinking", "thinking": say.thoughts, "signature": "c2ln"}));
    }
    if !say.text.is_empty() {
        blocks.push(json!({"type": "text", "text": say.text}));
    }
    for (at, (name, arguments)) in say.calls.iter().enumerate() {
        let input: Value = serde_json::from_str(arguments).unwrap();
        blocks.push(json!({"type": "tool_use", "id": format!("toolu_{at}"), "name": name, "input": input}));
    }
    if say.odd {
        blocks.push(json!({"type": "x_mood", "calm": true}));
    }
    blocks
}

pub(super) fn body(vendor: &Vendor, say: &Say) -> Value {
    let mut body = json!({
        "id": "msg_1", "type": "message", "role": "assistant", "model": vendor.model, "content": blocks(say),
        "stop_reason": word(vendor, say.end), "stop_sequence": null, "usage": usage(),
    });
    if say.odd {
        body["x_weather"] = json!([1, "calm"]);
    }
    body
}

pub(super) fn stream(vendor: &Vendor, say: &Say) -> String {
    let mut events: Vec<Value> = vec![json!({"type": "message_start", "message": {
        "id": "msg_1", "type": "message", "role": "assistant", "model": vendor.model, "content": [],
        "stop_reason": null, "stop_sequence": null,
        "usage": {"input_tokens": TOKENS.input - TOKENS.cached, "cache_read_input_tokens": TOKENS.cached, "output_tokens": 1},
    }})];
    for (index, block) in blocks(say).into_iter().enumerate() {
        let delta = |delta: Value| json!({"type": "content_block_delta", "index": index, "delta": delta});
        let text = |name: &str| block[name].as_str().unwrap_or_default().to_owned();
        let (start, deltas): (Value, Vec<Value>) = match block["type"].as_str() {
            Some("thinking") => (
                json!({"type": "thinking", "thinking": "", "signature": ""}),
                Say::pieces(&text("thinking"))
                    .into_iter()
                    .map(|piece| delta(json!({"type": "thinking_delta", "thinking": piece})))
                    .chain([delta(json!({"type": "signature_delta", "signature": block["signature"]}))])
                    .collect(),
            ),
            Some("text") => (
                json!({"type": "text", "text": ""}),
                Say::pieces(&text("text"))
                    .into_iter()
                    .map(|piece| delta(json!({"type": "text_delta", "text": piece})))
                    .collect(),
            ),
            Some("tool_use") => {
                let input = block["input"].to_string();
                let mut start = block.clone();
                start["input"] = json!({});
                let pieces = ["", &input].map(|text| if text == "{}" { "" } else { text });
                let pieces =
                    pieces.iter().flat_map(|text| if text.is_empty() { vec![""] } else { Say::pieces(text) });
                (
                    start,
                    pieces
                        .map(|piece| delta(json!({"type": "input_json_delta", "partial_json": piece})))
                        .collect(),
                )
            }
            _ => (block.clone(), vec![delta(json!({"type": "x_mood_delta", "calm": true}))]),
        };
        events.push(json!({"type": "content_block_start", "index": index, "content_block": start}));
        events.push(json!({"type": "ping"}));
        events.extend(deltas);
        events.push(json!({"type": "content_block_stop", "index": index}));
    }
    if say.odd {
        events.push(json!({"type": "x_weather", "calm": true}));
    }
    events.push(json!({"type": "message_delta", "delta": {"stop_reason": word(vendor, say.end), "stop_sequence": null}, "usage": usage()}));
    events.push(json!({"type": "message_stop"}));
    let line = |event: &Value| {
        // Padding before the last brace is seen on the wire.
        let data = event.to_string();
        let data = data.strip_suffix('}').map(|data| format!("{data}   }}")).unwrap_or_default();
        format!("event: {}\ndata: {data}\n\n", event["type"].as_str().unwrap())
    };
    events.iter().map(line).collect()
}

pub(super) fn hear(vendor: &Vendor, request: &Request, body: &Value) -> Result<Heard, String> {
    if request.header("x-api-key") != Some(KEY) || request.header("authorization").is_some() {
        return Err("the key does not stand in x-api-key alone".into());
    }
    if !matches!(request.header("anthropic-version"), Some("2023-06-01" | "2026-10-21")) {
        return Err(format!("the version is {:?}", request.header("anthropic-version")));
    }
    if request.target() != vendor.path {
        return Err(format!("it went to {} and not to {}", request.target(), vendor.path));
    }
    let mut members = Members::of("the body", body)?;
    members.is("model", vendor.model)?;
    let limit = members.need("max_tokens")?.as_u64().ok_or("max_tokens is no number")?;
    let mut heard =
        Heard { stream: members.take("stream") == Some(true.into()), limit: Some(limit), ..Heard::default() };
    heard.system = members.take("system").map(|system| text_of(&system));
    messages(members.list("messages")?, &mut heard)?;
    for tool in members.list("tools")? {
        let mut tool = Members::of("a tool", &tool)?;
        tool.take("description");
        let strict = tool.take("strict").and_then(|strict| strict.as_bool());
        let (name, schema) = (tool.text("name")?, tool.need("input_schema")?);
        tool.end()?;
        if schema["type"] != "object" {
            return Err(format!("{name}: the schema does not say that it is an object"));
        }
        heard.tools.push((name, schema, strict));
    }
    if let Some(choice) = members.take("tool_choice") {
        let mut choice = Members::of("tool_choice", &choice)?;
        heard.choice = Some(match choice.text("type")?.as_str() {
            "any" => "required".to_owned(),
            "tool" => format!("={}", choice.text("name")?),
            word @ ("auto" | "none") => word.to_owned(),
            other => return Err(format!("tool_choice is of type {other}")),
        });
        heard.parallel = choice.take("disable_parallel_tool_use").and_then(|no| no.as_bool()).map(|no| !no);
        choice.end()?;
    }
    if let Some(thinking) = members.take("thinking") {
        heard.knobs.insert("thinking".to_owned(), thinking);
    }
    if let Some(output) = members.take("output_config") {
        let mut output = Members::of("output_config", &output)?;
        if let Some(effort) = output.take("effort") {
            heard.knobs.insert("output_config".to_owned(), json!({"effort": effort}));
        }
        if let Some(format) = output.take("format") {
            let mut format = Members::of("output_config.format", &format)?;
            format.is("type", "json_schema")?;
            heard.schema = Some(format.need("schema")?);
            format.end()?;
        }
        output.end()?;
    }
    heard.stop = serde_json::from_value(members.take("stop_sequences").unwrap_or_else(|| json!([])))
        .map_err(|error| format!("stop_sequences: {error}"))?;
    if !vendor.fixed_sampling {
        heard.temperature = members.take("temperature").and_then(|value| value.as_f64());
    }
    if let Some(metadata) = members.take("metadata") {
        let mut metadata = Members::of("metadata", &metadata)?;
        metadata.take("user_id");
        metadata.end()?;
    }
    heard.extra = members.end()?;
    Ok(heard)
}

fn text_of(content: &Value) -> String {
    match content {
        Value::Array(blocks) => blocks.iter().filter_map(|block| block["text"].as_str()).collect(),
        content => content.as_str().unwrap_or_default().to_owned(),
    }
}

fn messages(list: Vec<Value>, heard: &mut Heard) -> Result<(), String> {
    let mut open: Vec<(String, String)> = Vec::new();
    for message in list {
        let mut message = Members::of("a message", &message)?;
        let role = message.text("role")?;
        let content = message.need("content")?;
        message.end()?;
        if !["user", "assistant"].contains(&role.as_str()) {
            return Err(format!("nobody has the role {role} here"));
        }
        let answers_first = open.clone();
        let mut other = false;
        for block in content.as_array().into_iter().flatten() {
            let mut members = Members::of("a block", block)?;
            match (role.as_str(), members.text("type")?.as_str()) {
                (_, "text") => drop(members.text("text")?),
                ("user", "image") => {
                    let source = members.need("source")?;
                    heard.images.push(match source["type"].as_str() {
                        Some("base64") => format!(
                            "data:{};base64,{}",
                            source["media_type"].as_str().unwrap_or_default(),
                            source["data"].as_str().unwrap_or_default()
                        ),
                        Some("url") => source["url"].as_str().unwrap_or_default().to_owned(),
                        other => return Err(format!("a picture's source is {other:?}")),
                    });
                }
                ("user", "tool_result") => {
                    if other {
                        return Err("a result stands behind what the user says".into());
                    }
                    let id = members.text("tool_use_id")?;
                    let Some(at) = open.iter().position(|(open, _)| *open == id) else {
                        return Err(format!("{id} is no open call"));
                    };
                    members.take("is_error");
                    let content = members.take("content").unwrap_or_default();
                    heard.results.push((open.remove(at).1, text_of(&content)));
                }
                ("assistant", "thinking") => {
                    if !heard.calls.is_empty() {
                        return Err("thoughts stand behind the call they led to".into());
                    }
                    heard.thoughts = block.clone();
                    members.text("thinking")?;
                    members.text("signature")?;
                }
                ("assistant", "tool_use") => {
                    let (id, name) = (members.text("id")?, members.text("name")?);
                    heard.calls.push((name.clone(), members.need("input")?));
                    open.push((id, name));
                }
                (role, kind) => return Err(format!("{role} has no block {kind}")),
            }
            members.end()?;
            other |= block["type"] != "tool_result";
        }
        if role == "user" && !answers_first.is_empty() && !open.is_empty() {
            return Err(format!("{open:?} have no results"));
        }
        let text = text_of(&content);
        if !text.is_empty() {
            heard.said.push((role, text));
        }
    }
    Ok(())
}
