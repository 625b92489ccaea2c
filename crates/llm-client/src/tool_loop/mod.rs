//! A conversation in which the model calls functions: asked, run, told the results, asked again, until it stops.

mod drive;
mod execute;
mod function;
mod outcome;
mod stream;
#[cfg(test)]
#[cfg(feature = "http")]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use llm_types::{ChatRequest, Tool};
use serde_json::value::RawValue;

pub use self::function::{FunctionCall, FunctionResult, ToolFunction, ToolReply};
pub use self::outcome::{Ending, ToolLoopError, ToolRun, Turn};
pub use self::stream::{ToolLoopEvent, ToolLoopStream};
use crate::call::Call;
use crate::contract::ModelClient;

/// Runs the functions that a model calls, until it stops: over any [`ModelClient`], a pool or a chain like a plain client.
///
/// ```
/// # use llm_client::{ChatStream, ModelClient};
/// # use llm_types::{Capabilities, ChatResponse, Choice, Error, FinishReason, Message, Part, ToolCall};
/// # /// A model that wants to know the tide, and then tells it.
/// # #[derive(Debug, Default)]
/// # struct Offline(Capabilities);
/// # #[async_trait::async_trait]
/// # impl ModelClient for Offline {
/// #     fn id(&self) -> &str { "local/offline" }
/// #     fn capabilities(&self) -> &Capabilities { &self.0 }
/// #     async fn chat(&self, request: &ChatRequest, _: &Call) -> Result<ChatResponse, Error> {
/// #         let mut choice = Choice::new(0);
/// #         match request.messages.last().map(|last| last.parts.as_slice()) {
/// #             Some([Part::ToolResult(result)]) => {
/// #                 let told = result.content.iter().filter_map(Part::as_text).collect::<String>();
/// #                 choice.message = Message::assistant(format!("High water is at {told}."));
/// #                 choice.finish_reason = Some(FinishReason::Stop);
/// #             }
/// #             _ => {
/// #                 let arguments = r#"{"port":"Brest"}"#.to_owned();
/// #                 let call = ToolCall { id: "1".into(), name: "tide".into(), arguments, ..ToolCall::default() };
/// #                 choice.message.parts.push(Part::ToolCall(call));
/// #                 choice.finish_reason = Some(FinishReason::ToolCalls);
/// #             }
/// #         }
/// #         Ok(ChatResponse { choices: vec![choice], ..ChatResponse::default() })
/// #     }
/// #     async fn chat_stream(&self, _: &ChatRequest, _: &Call) -> Result<ChatStream, Error> {
/// #         Ok(ChatStream::new(futures_util::stream::empty()))
/// #     }
/// # }
/// use llm_client::{Call, ToolLoop};
/// use llm_types::{ChatRequest, Tool};
///
/// #[derive(serde::Deserialize)]
/// struct Where { port: String }
///
/// # let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
/// # runtime.block_on(async {
/// # let client = Offline::default();
/// let schema = r#"{"type":"object","properties":{"port":{"type":"string"}},"required":["port"]}"#;
/// let tide = Tool::function("tide", "When high water is at a port", serde_json::from_str(schema)?);
/// let with_tide = ToolLoop::from(client).tool(tide, |call| async move {
///     let Where { port } = call.arguments()?;
///     if port == "Brest" { Ok("18:42".to_owned()) } else { Err(format!("no tables for {port}")) }
/// });
/// let run = with_tide.run(ChatRequest::user("When is high water in Brest?"), &Call::default()).await?;
/// assert_eq!(run.text(), "High water is at 18:42.");
/// assert_eq!((run.turns.len(), run.messages.len()), (2, 4));
/// # Ok::<_, Box<dyn std::error::Error>>(()) })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
/// * **Results** go back in the order of the calls, each in a message of its own. The calls of one answer run at the same
///   time, at most [`concurrency`](Self::concurrency) of them, all in the task that awaits the loop: work that blocks
///   belongs into `spawn_blocking`.
/// * **What goes wrong with a function is the model's to read**: an error or a panic of the function, a name that there is no
///   function for, arguments that are no JSON object, a time-out. It gets a result that begins with `Error:` and is marked as
///   failed, and the loop goes on.
/// * **Nothing is held while functions run**: no connection, no slot, no place in a pool. Each turn is a call of its own,
///   which waits, is tried again and fails over like any other. The deadline of the [`Call`] bounds them all, functions
///   included.
/// * **The whole conversation is handed out**, also by an error: messages with their reasoning, signatures and calls in order,
///   no call without its result, ready to be gone on with. Calls at the end of a request that have no results yet are run
///   first.
/// * **A choice that forces a call** (`required`, or a function by name) counts for the first turn only, or the model could
///   never stop; see [`tool_choice_on_every_turn`](Self::tool_choice_on_every_turn). A vendor's own form of choice is sent
///   as it is on every turn.
/// * **An answer that was cut** (by the token limit, a content filter, the vendor's failure) ends the loop: its calls may not be
///   whole, and none is run. The finish reason of the last answer tells.
/// * **Tools of the vendor's own** go through in [`ChatRequest::tools`]: the server runs them, and where it pauses such a turn
///   it is asked to go on. Functions that are declared there and have no function here are yours to run:
///   [`Ending::Owed`].
///
/// Dropping the future or the stream cancels the request and every function that runs.
#[derive(Clone)]
pub struct ToolLoop {
    client: Arc<dyn ModelClient>,
    functions: Vec<Arc<dyn ToolFunction>>,
    max_turns: u32,
    concurrency: usize,
    time_out: Option<Duration>,
    choice_on_every_turn: bool,
}

impl<C: ModelClient> From<C> for ToolLoop {
    fn from(client: C) -> Self {
        Self::new(Arc::new(client))
    }
}

impl ToolLoop {
    /// How often the model is asked at most, where nothing else is said.
    pub const MAX_TURNS: u32 = 16;
    /// How many functions run at the same time at most, where nothing else is said.
    pub const CONCURRENCY: usize = 8;

    /// A loop over a shared client; [`From`] takes one by value.
    #[must_use]
    pub fn new(client: Arc<dyn ModelClient>) -> Self {
        Self {
            client,
            functions: Vec::new(),
            max_turns: Self::MAX_TURNS,
            concurrency: Self::CONCURRENCY,
            time_out: None,
            choice_on_every_turn: false,
        }
    }

    /// Adds a tool and the function that is run when the model calls it. It gives a text, JSON or [parts](llm_types::Part),
    /// or a `Result` of one of them and an error whose text the model reads: whatever is a [`ToolReply`].
    ///
    /// A vendor's own tool that the caller runs (`{"type": "custom", …}`, an editor, a shell) is called by the name that it
    /// holds.
    #[must_use]
    pub fn tool<F, Fut>(self, tool: Tool, function: F) -> Self
    where
        F: Fn(FunctionCall) -> Fut + Send + Sync + 'static,
        Fut: Future + Send + 'static,
        Fut::Output: ToolReply,
    {
        self.function(function::Closure { tool, function })
    }

    /// Adds a function that knows its own declaration.
    #[must_use]
    pub fn function(mut self, function: impl ToolFunction) -> Self {
        self.functions.push(Arc::new(function));
        self
    }

    /// How often the model is asked at most. Default: [`MAX_TURNS`](Self::MAX_TURNS); 0 counts as 1. At the limit the calls of
    /// the last answer are run and their results stand in the conversation: [`Ending::TurnLimit`].
    #[must_use]
    pub fn max_turns(mut self, turns: u32) -> Self {
        self.max_turns = turns.max(1);
        self
    }

    /// How many functions run at the same time at most. Default: [`CONCURRENCY`](Self::CONCURRENCY); 0 counts as 1.
    #[must_use]
    pub fn concurrency(mut self, functions: usize) -> Self {
        self.concurrency = functions.max(1);
        self
    }

    /// How long one function may take; then it is dropped, and the model is told. Default: as long as the call's deadline
    /// allows. [`ToolFunction::time_out`] goes before it.
    #[must_use]
    pub fn function_time_out(mut self, limit: Duration) -> Self {
        self.time_out = Some(limit);
        self
    }

    /// Sends [`ChatRequest::tool_choice`] with every turn. By default a choice that forces a call counts for the first turn
    /// only. With one that does, such a loop ends at its limit of turns.
    #[must_use]
    pub fn tool_choice_on_every_turn(mut self, every: bool) -> Self {
        self.choice_on_every_turn = every;
        self
    }

    /// The client that is asked.
    #[must_use]
    pub fn client(&self) -> &Arc<dyn ModelClient> {
        &self.client
    }

    /// Asks, runs the functions that are called, and asks again, until the model stops or a limit is reached.
    ///
    /// # Errors
    /// That of the turn that failed, with the conversation so far; [`Timeout`](llm_types::ErrorKind::Timeout) when the call's
    /// deadline ended functions; [`InvalidRequest`](llm_types::ErrorKind::InvalidRequest) for a request that asks for several
    /// answers, [`Config`](llm_types::ErrorKind::Config) for a tool without a name or two of one name. Nothing was sent by
    /// the last two. `?` turns it into a plain [`Error`](llm_types::Error).
    pub async fn run(&self, request: ChatRequest, call: &Call) -> Result<ToolRun, ToolLoopError> {
        Box::pin(drive::drive(self, request, call, &stream::Face::Whole)).await
    }

    /// The same with the events of each turn as they arrive, and the results of functions between them. Nothing happens
    /// before it is read.
    #[must_use]
    pub fn stream(&self, request: ChatRequest, call: Call) -> ToolLoopStream {
        ToolLoopStream::new(self.clone(), request, call)
    }

    /// [`run`](Self::run) for callers that do not await: see [`blocking`](crate::blocking). The functions run on the thread
    /// of the blocking face.
    ///
    /// # Errors
    /// Those of [`run`](Self::run), and those of [`blocking::wait`](crate::blocking::wait).
    #[cfg(feature = "blocking")]
    pub fn run_blocking(&self, request: ChatRequest, call: &Call) -> Result<ToolRun, ToolLoopError> {
        let (this, call, messages) = (self.clone(), call.clone(), request.messages.clone());
        crate::blocking::wait(async move { this.run(request, &call).await })
            .unwrap_or_else(|error| Err(ToolLoopError::new(messages, Vec::new(), error)))
    }
}

impl fmt::Debug for ToolLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.functions.iter().map(|function| name_of(&function.tool())).collect();
        f.debug_struct("ToolLoop").field("client", &self.client.id()).field("functions", &names).finish()
    }
}

/// The name that a model calls a tool by.
fn name_of(tool: &Tool) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Named {
        name: Option<String>,
        custom: Option<Box<RawValue>>,
    }
    let named = |json: &str| serde_json::from_str::<Named>(json).ok();
    match tool {
        Tool::Function(function) => Some(function.name.clone()),
        Tool::Native(raw) => {
            let outer = named(raw.get())?;
            outer.name.or_else(|| named(outer.custom?.get())?.name)
        }
    }
}
