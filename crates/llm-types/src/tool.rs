//! Tools a model may call, its calls, and what they gave.

use serde_json::value::RawValue;

use crate::extra::Extra;
use crate::message::Part;

/// A tool the model may call.
#[derive(Clone, Debug)]
pub enum Tool {
    /// A function with a JSON Schema for its arguments.
    Function(FunctionTool),
    /// A vendor's own tool (`{"type": "custom", …}`, web search …), sent as it is written.
    Native(Box<RawValue>),
}

/// A function the model may call.
#[derive(Clone, Debug, Default)]
pub struct FunctionTool {
    /// Letters, digits, `_` and `-`; at most 64 characters at most vendors.
    pub name: String,
    /// What it does, for the model.
    pub description: Option<String>,
    /// A JSON Schema of an object; `None` for a function without parameters.
    pub parameters: Option<Box<RawValue>>,
    /// Whether the arguments must follow the schema to the letter. `None`: the vendor's default.
    pub strict: Option<bool>,
    /// Members we do not know.
    pub extra: Extra,
}

impl Tool {
    /// A function with a schema for its arguments.
    #[must_use]
    pub fn function(
        name: impl Into<String>,
        description: impl Into<String>,
        parameters: Box<RawValue>,
    ) -> Self {
        Self::Function(FunctionTool {
            name: name.into(),
            description: Some(description.into()),
            parameters: Some(parameters),
            ..FunctionTool::default()
        })
    }
}

/// Which tools the model may or must call.
#[derive(Clone, Debug)]
pub enum ToolChoice {
    /// The model decides.
    Auto,
    /// It must not call any.
    None,
    /// It must call at least one.
    Required,
    /// It must call the function of this name.
    Function(String),
    /// A vendor's own form, sent as it is written.
    Native(Box<RawValue>),
}

/// A call the model made.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ToolCall {
    /// Ties the result to the call. Made up by us where the vendor gives none.
    pub id: String,
    /// The function's name.
    pub name: String,
    /// JSON as the model wrote it. It can be broken (a mistake, or a cut at the token limit) and is kept all the same;
    /// an empty text means no arguments.
    pub arguments: String,
    /// Whether it calls a free-text tool (`type: custom`), whose input is `arguments` as plain text.
    pub custom: bool,
    /// A vendor's signature that must come back with the call.
    pub signature: Option<String>,
    /// Members we do not know.
    pub extra: Extra,
}

impl ToolCall {
    /// The arguments as JSON text: `{}` where the model gave none, which it writes in several ways. Text that is no JSON
    /// stays as it is, and so does the input of a free-text tool.
    #[must_use]
    pub fn json(&self) -> &str {
        match self.arguments.trim() {
            _ if self.custom => &self.arguments,
            "" | "null" => "{}",
            text => text,
        }
    }
}

/// What a tool call gave.
#[derive(Clone, Debug, Default)]
pub struct ToolResult {
    /// The id of the call.
    pub id: String,
    /// The function's name, which some vendors want.
    pub name: Option<String>,
    /// Text, and images where the vendor takes them.
    pub content: Vec<Part>,
    /// Whether the tool failed.
    pub is_error: bool,
}

impl ToolResult {
    /// A result that is plain text.
    #[must_use]
    pub fn text(id: impl Into<String>, text: impl Into<String>) -> Self {
        Self { id: id.into(), content: vec![Part::text(text)], ..Self::default() }
    }
}
