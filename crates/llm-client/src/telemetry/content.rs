//! What was asked and answered, in the conventions' JSON. Recorded only where [`Telemetry::content`](super::Telemetry)
//! says so.

use llm_types::{ChatRequest, ChatResponse, Media, MediaSource, Message, Part, Role, Tool};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use tracing::Span;

use super::names;

/// Records the messages, the system's instructions apart, and the tools.
pub(super) fn asked(span: &Span, request: &ChatRequest) {
    let is_system = |message: &&Message| matches!(message.role, Role::System | Role::Developer);
    let (system, others): (Vec<_>, Vec<_>) = request.messages.iter().partition(is_system);
    span.record(names::INPUT_MESSAGES, others.into_iter().map(message).collect::<Value>().to_string());
    if !system.is_empty() {
        let parts = system.into_iter().flat_map(|message| &message.parts).map(part);
        span.record(names::SYSTEM_INSTRUCTIONS, parts.collect::<Value>().to_string());
    }
    if !request.tools.is_empty() {
        span.record(names::TOOL_DEFINITIONS, request.tools.iter().map(tool).collect::<Value>().to_string());
    }
}

/// Records the answers.
pub(super) fn answered(span: &Span, response: &ChatResponse) {
    if span.is_disabled() {
        return;
    }
    let choices = response.choices.iter().map(|choice| {
        let mut json = message(&choice.message);
        if let (Value::Object(members), Some(reason)) = (&mut json, choice.finish_reason) {
            members.insert("finish_reason".to_owned(), reason.as_str().into());
        }
        json
    });
    span.record(names::OUTPUT_MESSAGES, choices.collect::<Value>().to_string());
}

fn message(message: &Message) -> Value {
    json!({"role": message.role.as_str(), "parts": message.parts.iter().map(part).collect::<Value>()})
}

fn part(part: &Part) -> Value {
    match part {
        Part::Text { text, .. } => json!({"type": "text", "content": text}),
        Part::Refusal { text } => json!({"type": "refusal", "content": text}),
        Part::Reasoning(reasoning) => json!({"type": "reasoning", "content": reasoning.text}),
        Part::Image(medium) => media("image", medium),
        Part::Audio(medium) => media("audio", medium),
        Part::File(medium) => media("file", medium),
        Part::ToolCall(call) => {
            // Arguments that are no JSON are shown as the text they are.
            let arguments = serde_json::from_str(&call.arguments).unwrap_or_else(|_| json!(call.arguments));
            json!({"type": "tool_call", "id": call.id, "name": call.name, "arguments": arguments})
        }
        Part::ToolResult(result) => {
            let response: Value = result.content.iter().map(self::part).collect();
            json!({"type": "tool_call_response", "id": result.id, "response": response})
        }
        Part::Native(native) => native_part(&native.json),
    }
}

fn native_part(native: &RawValue) -> Value {
    json!({"type": "native", "content": serde_json::from_str::<Value>(native.get()).ok()})
}

/// A medium without its bytes: they would be most of the trace.
fn media(modality: &str, media: &Media) -> Value {
    match &media.source {
        MediaSource::Url(url) => json!({"type": "uri", "modality": modality, "uri": url}),
        MediaSource::FileId(id) => json!({"type": "file", "modality": modality, "file_id": id}),
        MediaSource::Base64 { media_type, data } => {
            json!({"type": "blob", "modality": modality, "mime_type": media_type, "base64_bytes": data.len()})
        }
    }
}

fn tool(tool: &Tool) -> Value {
    match tool {
        Tool::Function(function) => {
            let parameters =
                function.parameters.as_ref().and_then(|raw| serde_json::from_str(raw.get()).ok());
            json!({
                "type": "function", "name": function.name, "description": function.description,
                "parameters": parameters.unwrap_or(Value::Null),
            })
        }
        Tool::Native(native) => native_part(native),
    }
}
