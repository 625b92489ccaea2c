//! The scenarios, each for any vendor.

pub(super) mod beside;
pub(super) mod ends;
pub(super) mod form;
pub(super) mod settings;
pub(super) mod talk;
pub(super) mod thinking;
pub(super) mod tools;

use llm_types::{ChatRequest, ChatResponse, Tool};
use serde_json::Value;
use serde_json::value::{RawValue, to_raw_value};

const QUESTION: &str = "When is high tide in Brest?";

fn question() -> ChatRequest {
    ChatRequest::user(QUESTION)
}

fn raw(json: &str) -> Box<RawValue> {
    let value: Value = serde_json::from_str(json).unwrap();
    to_raw_value(&value).unwrap()
}

fn value(json: &str) -> Value {
    serde_json::from_str(json).unwrap()
}

const SCHEMA: &str = r#"{"type":"object","properties":{"port":{"type":"string"}},"required":["port"],"additionalProperties":false}"#;

/// A question and a tool to answer it with.
fn with_tool() -> ChatRequest {
    let tide = Tool::function("get_tide", "Tide at a port", raw(SCHEMA));
    ChatRequest { tools: vec![tide], ..question() }
}

/// What the warnings are about.
fn warned(response: &ChatResponse) -> Vec<&str> {
    response.warnings.iter().map(|warning| warning.about.as_str()).collect()
}
