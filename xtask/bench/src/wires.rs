//! The wire formats as the bare loop needs them: where a request goes, and the fewest members of its JSON that say what
//! a user asks for (text, reasoning, arguments of calls, why it stopped, tokens).

use std::borrow::Cow;

use llm_client::dialect::Dialect;
use serde::Deserialize;
use serde_json::{Value, json, value::RawValue};

use crate::Failure;

/// What both sides read of an answer: they must agree.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Facts {
    /// Bytes of text, reasoning and arguments.
    pub(crate) bytes: usize,
    pub(crate) finished: bool,
    /// Read and written, as last said.
    pub(crate) tokens: u64,
}

/// One format.
pub(crate) struct Wire {
    pub(crate) dialect: Dialect,
    /// The path of a plain call, and of a streamed one.
    pub(crate) paths: [&'static str; 2],
    /// The body that asks this; `true` for a stream.
    pub(crate) body: fn(&str, bool) -> Value,
    /// Reads an answer or a piece of one.
    pub(crate) read: fn(&[u8], &mut Facts) -> Result<(), Failure>,
}

static WIRES: [Wire; 3] = [
    Wire {
        dialect: Dialect::OpenAiChat,
        paths: ["/v1/chat/completions"; 2],
        body: |prompt, stream| {
            let mut body = json!({"model": "bench", "messages": [{"role": "user", "content": prompt}]});
            if let Some(members) = body.as_object_mut().filter(|_| stream) {
                members.insert("stream".into(), true.into());
                members.insert("stream_options".into(), json!({"include_usage": true}));
            }
            body
        },
        read: openai_chat,
    },
    Wire {
        dialect: Dialect::Anthropic,
        paths: ["/v1/messages"; 2],
        body: |prompt, stream| {
            let messages = json!([{"role": "user", "content": prompt}]);
            json!({"model": "bench", "max_tokens": 32000, "stream": stream, "messages": messages})
        },
        read: anthropic,
    },
    Wire {
        dialect: Dialect::Gemini,
        paths: ["/v1beta/models/bench:generateContent", "/v1beta/models/bench:streamGenerateContent?alt=sse"],
        body: |prompt, _| json!({"contents": [{"role": "user", "parts": [{"text": prompt}]}]}),
        read: gemini,
    },
];

/// The format of this name.
pub(crate) fn named(name: &str) -> Option<&'static Wire> {
    WIRES.iter().find(|wire| wire.dialect.as_str() == name)
}

type Text<'a> = Option<Cow<'a, str>>;

fn length(text: &Text<'_>) -> usize {
    text.as_ref().map_or(0, |text| text.len())
}

fn openai_chat(json: &[u8], facts: &mut Facts) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Answer<'a> {
        #[serde(borrow)]
        choices: Vec<Choice<'a>>,
        usage: Option<Usage>,
    }
    #[derive(Deserialize)]
    struct Choice<'a> {
        #[serde(borrow, alias = "delta")]
        message: Said<'a>,
        #[serde(borrow)]
        finish_reason: Text<'a>,
    }
    #[derive(Deserialize)]
    struct Said<'a> {
        #[serde(borrow)]
        content: Text<'a>,
        #[serde(borrow)]
        reasoning_content: Text<'a>,
        #[serde(borrow, default)]
        tool_calls: Vec<Call<'a>>,
    }
    #[derive(Deserialize)]
    struct Call<'a> {
        #[serde(borrow)]
        function: Function<'a>,
    }
    #[derive(Deserialize)]
    struct Function<'a> {
        #[serde(borrow)]
        arguments: Text<'a>,
    }
    #[derive(Deserialize)]
    struct Usage {
        prompt_tokens: u64,
        completion_tokens: u64,
    }
    if json == b"[DONE]" {
        return Ok(());
    }
    let answer: Answer<'_> = serde_json::from_slice(json)?;
    for Choice { message, finish_reason } in &answer.choices {
        facts.bytes += length(&message.content) + length(&message.reasoning_content);
        facts.bytes += message.tool_calls.iter().map(|call| length(&call.function.arguments)).sum::<usize>();
        facts.finished |= finish_reason.is_some();
    }
    if let Some(usage) = answer.usage {
        facts.tokens = usage.prompt_tokens + usage.completion_tokens;
    }
    Ok(())
}

/// Also of a whole answer, which is its own only piece.
fn anthropic(json: &[u8], facts: &mut Facts) -> Result<(), Failure> {
    #[derive(Deserialize)]
    struct Event<'a> {
        #[serde(borrow)]
        delta: Option<Said<'a>>,
        #[serde(borrow, default)]
        content: Vec<Said<'a>>,
        #[serde(borrow)]
        stop_reason: Text<'a>,
        usage: Option<Usage>,
    }
    #[derive(Deserialize)]
    struct Said<'a> {
        #[serde(borrow)]
        text: Text<'a>,
        #[serde(borrow)]
        thinking: Text<'a>,
        #[serde(borrow)]
        partial_json: Text<'a>,
        #[serde(borrow)]
        stop_reason: Text<'a>,
    }
    #[derive(Deserialize)]
    struct Usage {
        input_tokens: u64,
        output_tokens: u64,
    }
    let event: Event<'_> = serde_json::from_slice(json)?;
    facts.finished |= event.stop_reason.is_some();
    for said in event.delta.iter().chain(&event.content) {
        facts.bytes += length(&said.text) + length(&said.thinking) + length(&said.partial_json);
        facts.finished |= said.stop_reason.is_some();
    }
    if let Some(usage) = event.usage {
        facts.tokens = usage.input_tokens + usage.output_tokens;
    }
    Ok(())
}

fn gemini(json: &[u8], facts: &mut Facts) -> Result<(), Failure> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer<'a> {
        #[serde(borrow)]
        candidates: Vec<Candidate<'a>>,
        usage_metadata: Option<Usage>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Candidate<'a> {
        #[serde(borrow)]
        content: Content<'a>,
        #[serde(borrow)]
        finish_reason: Text<'a>,
    }
    #[derive(Deserialize)]
    struct Content<'a> {
        #[serde(borrow, default)]
        parts: Vec<Part<'a>>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Part<'a> {
        #[serde(borrow)]
        text: Text<'a>,
        #[serde(borrow)]
        function_call: Option<Call<'a>>,
    }
    #[derive(Deserialize)]
    struct Call<'a> {
        #[serde(borrow)]
        args: Option<&'a RawValue>,
    }
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Usage {
        total_token_count: u64,
    }
    let answer: Answer<'_> = serde_json::from_slice(json)?;
    for Candidate { content, finish_reason } in &answer.candidates {
        for Part { text, function_call } in &content.parts {
            let args = function_call.as_ref().and_then(|call| call.args);
            facts.bytes += length(text) + args.map_or(0, |args| args.get().len());
        }
        facts.finished |= finish_reason.is_some();
    }
    if let Some(usage) = answer.usage_metadata {
        facts.tokens = usage.total_token_count;
    }
    Ok(())
}
