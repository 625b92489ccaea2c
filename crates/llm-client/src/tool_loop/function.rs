//! Functions of the caller's own: what they are given, and what they may give.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use llm_types::{Part, Tool, ToolCall};
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use crate::clock::Instant;

/// One call of the model's, as a function sees it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct FunctionCall {
    /// The call, as the model made it. What is no JSON object does not reach a function.
    pub call: ToolCall,
    /// In which turn of the loop, from 1; 0 for calls that the request brought along.
    pub turn: u32,
    /// When the whole loop must be over.
    pub deadline: Option<Instant>,
}

impl FunctionCall {
    pub(super) fn new(call: ToolCall, turn: u32, deadline: Option<Instant>) -> Self {
        Self { call, turn, deadline }
    }

    /// The function's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.call.name
    }

    /// The arguments as JSON text: an object, `{}` where the model gave none. The plain text of a free-text tool.
    #[must_use]
    pub fn json(&self) -> &str {
        self.call.json()
    }

    /// The arguments, read into a type.
    ///
    /// # Errors
    /// What does not fit, for the model to read: return it, and the model can try again.
    pub fn arguments<T: DeserializeOwned>(&self) -> Result<T, String> {
        serde_json::from_str(self.json()).map_err(|e| format!("the arguments do not fit: {e}"))
    }
}

/// What a function gave: parts for the model to read, or the text of an error.
pub type FunctionResult = Result<Vec<Part>, String>;

/// A function that knows its own declaration, for what is more than a closure.
#[async_trait]
pub trait ToolFunction: Send + Sync + 'static {
    /// Its declaration. It must be the same each time.
    fn tool(&self) -> Tool;

    /// Runs it. It is dropped where it takes too long, and where the loop is dropped.
    ///
    /// # Errors
    /// A text for the model to read.
    async fn run(&self, call: FunctionCall) -> FunctionResult;

    /// How long it may take. Default: what is set for all functions of the loop.
    fn time_out(&self) -> Option<Duration> {
        None
    }
}

/// A closure and its declaration.
pub(super) struct Closure<F> {
    pub(super) tool: Tool,
    pub(super) function: F,
}

#[async_trait]
impl<F, Fut> ToolFunction for Closure<F>
where
    F: Fn(FunctionCall) -> Fut + Send + Sync + 'static,
    Fut: Future + Send + 'static,
    Fut::Output: ToolReply,
{
    fn tool(&self) -> Tool {
        self.tool.clone()
    }

    async fn run(&self, call: FunctionCall) -> FunctionResult {
        (self.function)(call).await.into_result()
    }
}

/// What a closure may give in answer to a call.
pub trait ToolReply {
    /// As parts for the model to read, or as the text of an error.
    ///
    /// # Errors
    /// The function's own, as a text.
    fn into_result(self) -> FunctionResult;
}

impl ToolReply for String {
    fn into_result(self) -> FunctionResult {
        Ok(vec![Part::text(self)])
    }
}

impl ToolReply for &str {
    fn into_result(self) -> FunctionResult {
        Ok(vec![Part::text(self)])
    }
}

impl ToolReply for Cow<'_, str> {
    fn into_result(self) -> FunctionResult {
        Ok(vec![Part::text(self)])
    }
}

/// JSON, as text.
impl ToolReply for serde_json::Value {
    fn into_result(self) -> FunctionResult {
        Ok(vec![Part::text(self.to_string())])
    }
}

/// JSON, as it is written.
impl ToolReply for Box<RawValue> {
    fn into_result(self) -> FunctionResult {
        Ok(vec![Part::text(self.get())])
    }
}

impl ToolReply for Part {
    fn into_result(self) -> FunctionResult {
        Ok(vec![self])
    }
}

impl ToolReply for Vec<Part> {
    fn into_result(self) -> FunctionResult {
        Ok(self)
    }
}

/// Nothing to tell but that it is done.
impl ToolReply for () {
    fn into_result(self) -> FunctionResult {
        Ok(vec![Part::text("done")])
    }
}

impl<T: ToolReply, E: fmt::Display> ToolReply for Result<T, E> {
    fn into_result(self) -> FunctionResult {
        self.map_err(|error| error.to_string())?.into_result()
    }
}
