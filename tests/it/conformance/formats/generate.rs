//! `generateContent`, under a key and for an account.

use llm_mock::Request;
use serde_json::{Value, json};

use crate::conformance::heard::{Heard, Members};
use crate::conformance::peer::{KEY, TOKEN};
use crate::conformance::say::{End, Say, TOKENS};
use crate::conformance::vendor::{Generate, Vendor};

fn word(vendor: &Vendor, end: End) -> &'static str {
    vendor.words[match end {
        End::Done => 0,
        End::Cut => 1,
        End::Calls => 2,
        End::Withheld => 3,
    }]
}

fn usage() -> Value {
    json!({
        "promptTokenCount": TOKENS.input, "cachedContentTokenCount": TOKENS.cached,
        "candidatesTokenCount": TOKENS.output - TOKENS.thoughts, "thoughtsTokenCount": TOKENS.thoughts,
        "totalTokenCount": TOKENS.input + TOKENS.output,
    })
}

/// The parts of an answer; text is cut into pieces for a stream.
fn parts(say: &Say, cut: bool) -> Vec<Value> {
    let pieces = |text: &'_ str| -> Vec<String> {
        let pieces = if cut { Say::pieces(text) } else { vec![text] };
        pieces.into_iter().filter(|piece| !piece.is_empty()).map(str::to_owned).collect()
    };
    let mut parts: Vec<Value> =
        pieces(say.thoughts).into_iter().map(|text| json!({"text": text, "thought": true})).collect();
    parts.extend(pieces(&say.text).into_iter().map(|text| json!({"text": text})));
    for (at, (name, arguments)) in say.calls.iter().enumerate() {
        let args: Value = serde_json::from_str(arguments).unwrap();
        let mut part = json!({"functionCall": {"name": name, "args": args}});
        // Of parallel calls the first is signed.
        if at == 0 {
            part["thoughtSignature"] = "c2ln".into();
        }
        parts.push(part);
    }
    if say.odd {
        parts.push(json!({"xMood": {"calm": true}}));
    }
    parts
}

fn answer(vendor: &Vendor, say: &Say, parts: Vec<Value>, ends: bool, usage: Value) -> Value {
    let candidates: Vec<Value> = (0..say.n)
        .map(|index| {
            let mut candidate = json!({"content": {"parts": parts, "role": "model"}, "index": index});
            if ends {
                candidate["finishReason"] = word(vendor, say.end).into();
            }
            if say.logprobs {
                candidate["logprobsResult"] =
                    json!({"chosenCandidates": [{"token": "F", "logProbability": -0.5}]});
            }
            candidate
        })
        .collect();
    let mut answer = json!({
        "candidates": candidates, "usageMetadata": usage, "modelVersion": vendor.model, "responseId": "r-1",
    });
    if say.odd {
        answer["xWeather"] = json!([1, "calm"]);
    }
    answer
}

pub(super) fn body(vendor: &Vendor, say: &Say) -> Value {
    answer(vendor, say, parts(say, false), true, usage())
}

pub(super) fn stream(vendor: &Vendor, say: &Say) -> String {
    let parts = parts(say, true);
    let last = parts.len().saturating_sub(1);
    let early = json!({"promptTokenCount": TOKENS.input, "totalTokenCount": TOKENS.input});
    let mut chunks: Vec<Value> = Vec::new();
    for (at, part) in parts.into_iter().enumerate() {
        let usage = if at == last { usage() } else { early.clone() };
        chunks.push(answer(vendor, say, vec![part], at == last, usage));
    }
    if chunks.is_empty() {
        chunks.push(answer(vendor, say, Vec::new(), true, usage()));
    }
    // Lines end in CRLF, and nothing marks the end.
    chunks.iter().map(|chunk| format!("data: {chunk}\r\n\r\n")).collect()
}

pub(super) fn hear(
    vendor: &Vendor,
    house: &Generate,
    request: &Request,
    body: &Value,
) -> Result<Heard, String> {
    let bearer = format!("Bearer {TOKEN}");
    let (key, token) = if house.signed_in { (None, Some(bearer.as_str())) } else { (Some(KEY), None) };
    if (request.header("x-goog-api-key"), request.header("authorization")) != (key, token) {
        return Err("key or token do not stand in their header alone".into());
    }
    let [plain, streamed] =
        ["generateContent", "streamGenerateContent?alt=sse"].map(|action| vendor.path.replace('*', action));
    let stream = request.target() == streamed;
    if !stream && request.target() != plain {
        return Err(format!("it went to {} and not to {plain}", request.target()));
    }
    let mut members = Members::of("the body", body)?;
    let mut heard = Heard { stream, ..Heard::default() };
    if let Some(system) = members.take("systemInstruction") {
        heard.system = Some(text_of(&system["parts"]));
    }
    contents(members.list("contents")?, &mut heard)?;
    for tool in members.list("tools")? {
        let mut tool = Members::of("a tool", &tool)?;
        for function in tool.list("functionDeclarations")? {
            let mut function = Members::of("a function", &function)?;
            function.take("description");
            heard.tools.push((function.text("name")?, function.need("parametersJsonSchema")?, None));
            function.end()?;
        }
        tool.end()?;
    }
    if let Some(config) = members.take("toolConfig") {
        choice(&config["functionCallingConfig"], &mut heard)?;
    }
    if let Some(config) = members.take("generationConfig") {
        settings(Members::of("generationConfig", &config)?, &mut heard)?;
    }
    for name in house.beside {
        members.take(name);
    }
    heard.extra = members.end()?;
    Ok(heard)
}

fn choice(config: &Value, heard: &mut Heard) -> Result<(), String> {
    let mut config = Members::of("functionCallingConfig", config)?;
    let names: Vec<Value> = config.list("allowedFunctionNames")?;
    heard.choice = match (config.text("mode")?.as_str(), names.as_slice()) {
        ("AUTO", []) => Some("auto".to_owned()),
        ("NONE", []) => Some("none".to_owned()),
        ("ANY", []) => Some("required".to_owned()),
        ("ANY", [name]) => Some(format!("={}", name.as_str().unwrap_or_default())),
        // Calls are free, and follow the schema to the letter.
        ("VALIDATED", []) => {
            heard.tools.iter_mut().for_each(|(_, _, strict)| *strict = Some(true));
            None
        }
        other => return Err(format!("functionCallingConfig is {other:?}")),
    };
    config.end().map(drop)
}

fn settings(mut config: Members, heard: &mut Heard) -> Result<(), String> {
    heard.limit = config.take("maxOutputTokens").and_then(|value| value.as_u64());
    heard.temperature = config.take("temperature").and_then(|value| value.as_f64());
    heard.seed = config.take("seed").and_then(|value| value.as_i64());
    heard.n = config.take("candidateCount").and_then(|value| value.as_u64());
    heard.logprobs = config.take("responseLogprobs") == Some(true.into());
    if !heard.logprobs && config.take("logprobs").is_some() {
        return Err("logprobs has no meaning without responseLogprobs".into());
    }
    config.take("logprobs");
    heard.stop = config
        .list("stopSequences")?
        .into_iter()
        .filter_map(|stop| stop.as_str().map(str::to_owned))
        .collect();
    let json = config.take("responseMimeType") == Some("application/json".into());
    heard.schema = config.take("responseJsonSchema");
    if heard.schema.is_some() && !json {
        return Err("a schema wants application/json".into());
    }
    heard.json = json && heard.schema.is_none();
    if let Some(thinking) = config.take("thinkingConfig") {
        heard.knobs.insert("thinkingConfig".to_owned(), thinking);
    }
    config.end().map(drop)
}

fn text_of(parts: &Value) -> String {
    let texts = parts.as_array().into_iter().flatten().filter(|part| part["thought"] != true);
    texts.filter_map(|part| part["text"].as_str()).collect()
}

fn contents(list: Vec<Value>, heard: &mut Heard) -> Result<(), String> {
    for content in list {
        let mut content = Members::of("a content", &content)?;
        let role = content.text("role")?;
        let parts = content.list("parts")?;
        content.end()?;
        if !["user", "model"].contains(&role.as_str()) || parts.is_empty() {
            return Err(format!("{role} says {parts:?}"));
        }
        for part in &parts {
            let mut members = Members::of("a part", part)?;
            members.take("thought");
            let signature = members.take("thoughtSignature");
            let kinds = ["text", "inlineData", "fileData", "functionCall", "functionResponse"];
            let found: Vec<_> = kinds.iter().filter_map(|kind| Some((*kind, members.take(kind)?))).collect();
            members.end()?;
            match found.as_slice() {
                [("text", _)] => {}
                [("inlineData", data)] => {
                    let text = |name: &str| data[name].as_str().unwrap_or_default();
                    match text("mimeType") {
                        kind if kind.starts_with("audio/") => {
                            heard.sounds.push(format!("{kind} {}", text("data")));
                        }
                        kind => heard.images.push(format!("data:{kind};base64,{}", text("data"))),
                    }
                }
                [("fileData", data)] => {
                    heard.images.push(data["fileUri"].as_str().unwrap_or_default().to_owned());
                }
                [("functionCall", call)] if role == "model" => {
                    let name = call["name"].as_str().ok_or("a call has no name")?;
                    heard.calls.push((name.to_owned(), call["args"].clone()));
                    if let Some(signature) = signature {
                        heard.thoughts = json!({"thoughtSignature": signature, "at": heard.calls.len() - 1});
                    }
                }
                [("functionResponse", result)] if role == "user" => {
                    let name = result["name"].as_str().ok_or("a result has no name")?;
                    let output = result["response"]["output"].as_str().ok_or("a result has no output")?;
                    heard.results.push((name.to_owned(), output.to_owned()));
                }
                other => return Err(format!("{role} has a part {other:?}")),
            }
        }
        let text = text_of(&Value::Array(parts));
        if !text.is_empty() {
            let role = if role == "model" { "assistant".to_owned() } else { role };
            heard.said.push((role, text));
        }
    }
    Ok(())
}
