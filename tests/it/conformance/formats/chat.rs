//! Chat completions, as each of their vendors writes them.

use llm_mock::{Reply, ToolCall};
use serde_json::{Value, json};

use crate::conformance::say::{End, Say, TOKENS};
use crate::conformance::vendor::{Calls, Chat, Thoughts, UsageAt, Vendor};

pub(super) use self::hear::hear;

mod hear;

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
    add(chat.placeholders, &mut message);
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
            add(chat.choice_noise, &mut choice);
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
    add(chat.noise, &mut body);
    body
}

/// Adds members that are written without their braces, but for those that are there.
fn add(members: &str, object: &mut Value) {
    let members: Value = serde_json::from_str(&format!("{{{members}}}")).expect(members);
    for (name, value) in members.as_object().into_iter().flatten() {
        if object.get(name).is_none() {
            object[name] = value.clone();
        }
    }
}

/// The deltas of an answer, in order; the last one may belong into the chunk with its end.
fn deltas(chat: &Chat, say: &Say) -> Vec<Value> {
    let mut first = json!({"role": "assistant", "content": ""});
    add(chat.placeholders, &mut first);
    let mut deltas = vec![first];
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
        add(chat.noise, &mut chunk);
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
        add(chat.choice_noise, &mut choice);
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
