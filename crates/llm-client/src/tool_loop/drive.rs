//! The loop itself.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use llm_types::{
    ChatRequest, ChatResponse, Collector, Error, ErrorKind, FinishReason, Message, Part, Phase, Role,
    ToolCall, ToolChoice, ToolResult,
};

use super::execute::{Executed, execute, refused};
use super::function::ToolFunction;
use super::outcome::{Ending, ToolLoopError, ToolRun, Turn};
use super::stream::{Face, ToolLoopEvent};
use super::{ToolLoop, name_of};
use crate::call::Call;
use crate::contract::ModelClient;

/// The word of a server that paused a long turn of its own tools: the conversation is sent back as it is, and it goes on.
const PAUSED: &str = "pause_turn";

/// The functions of a loop by name, and how they are run.
pub(super) struct Functions {
    by_name: HashMap<String, Arc<dyn ToolFunction>>,
    /// Declared by the request, and run by the caller.
    callers: HashSet<String>,
    pub(super) concurrency: usize,
    pub(super) time_out: Option<Duration>,
}

impl Functions {
    /// Finds the functions' names, and declares them in the request.
    fn declare(this: &ToolLoop, request: &mut ChatRequest) -> Result<Self, Error> {
        let mut callers: HashSet<String> = request.tools.iter().filter_map(name_of).collect();
        let mut by_name = HashMap::new();
        for (at, function) in this.functions.iter().enumerate() {
            let tool = function.tool();
            let wrong = |what: &str| Error::new(ErrorKind::Config, format!("tools[{at}]: {what}"));
            let name = name_of(&tool).filter(|name| !name.is_empty());
            let name = name.ok_or_else(|| wrong("it has no name to be called by"))?;
            // A declaration of the request's own stays.
            if !callers.remove(&name) {
                request.tools.push(tool);
            }
            if by_name.insert(name.clone(), Arc::clone(function)).is_some() {
                return Err(wrong(&format!("there are two functions of the name `{name}`")));
            }
        }
        Ok(Self { by_name, callers, concurrency: this.concurrency, time_out: this.time_out })
    }

    pub(super) fn find(&self, name: &str) -> Option<&Arc<dyn ToolFunction>> {
        self.by_name.get(name)
    }

    pub(super) fn is_callers(&self, name: &str) -> bool {
        self.callers.contains(name)
    }

    /// What the model is told of a name that there is no function for.
    pub(super) fn unknown(&self, name: &str) -> String {
        let mut names: Vec<&str> = self.by_name.keys().chain(&self.callers).map(String::as_str).collect();
        names.sort_unstable();
        match names.as_slice() {
            [] => format!("there is no function `{name}`, and no other"),
            names => format!("there is no function `{name}`; there are: {}", names.join(", ")),
        }
    }
}

/// What has been done so far.
struct Progress {
    request: ChatRequest,
    turns: Vec<Turn>,
}

impl Progress {
    fn end(self, ending: Ending) -> ToolRun {
        ToolRun { messages: self.request.messages, turns: self.turns, ending }
    }

    fn fail(self, error: Error) -> ToolLoopError {
        ToolLoopError::new(self.request.messages, self.turns, error)
    }

    fn add(&mut self, results: &[ToolResult]) {
        self.request.messages.extend(results.iter().cloned().map(Message::tool));
    }
}

pub(super) async fn drive(
    this: &ToolLoop,
    mut request: ChatRequest,
    call: &Call,
    face: &Face,
) -> Result<ToolRun, ToolLoopError> {
    let declared = if request.n.is_some_and(|n| n > 1) {
        Err(Error::new(ErrorKind::InvalidRequest, "n: a loop follows one answer, and cannot follow several"))
    } else {
        Functions::declare(this, &mut request)
    };
    let mut progress = Progress { request, turns: Vec::new() };
    let functions = match declared {
        Ok(functions) => functions,
        Err(error) => return Err(progress.fail(error)),
    };
    let waiting = unanswered(&progress.request.messages);
    if !waiting.is_empty() {
        let Executed { results, late } = execute(&functions, &waiting, 0, call.deadline, face).await;
        progress.add(&results);
        if late {
            return Err(progress.fail(too_late()));
        }
        if results.len() < waiting.len() {
            return Ok(progress.end(Ending::Owed));
        }
    }
    for turn in 1..=this.max_turns {
        face.tell(|| ToolLoopEvent::Turn { turn }).await;
        let response = match ask(&*this.client, &progress.request, call, face).await {
            Ok(response) => response,
            Err(error) => return Err(progress.fail(error)),
        };
        let calls: Vec<ToolCall> = response.tool_calls().cloned().collect();
        let next = next(&response, &calls);
        if let Some(message) = response.message().filter(|message| !message.parts.is_empty()) {
            progress.request.messages.push(message.clone());
        }
        progress.turns.push(Turn { response, results: Vec::new() });
        let forced =
            matches!(progress.request.tool_choice, Some(ToolChoice::Required | ToolChoice::Function(_)));
        if forced && !this.choice_on_every_turn {
            progress.request.tool_choice = None;
        }
        let (results, ending) = match next {
            Next::Stop => return Ok(progress.end(Ending::Finished)),
            Next::Cut(why) => (refused(&calls, why), Some(Ok(Ending::Finished))),
            Next::GoOn => continue,
            Next::Run => {
                let Executed { results, late } = execute(&functions, &calls, turn, call.deadline, face).await;
                let owed = results.len() < calls.len();
                let ending = if late { Some(Err(too_late())) } else { owed.then_some(Ok(Ending::Owed)) };
                (results, ending)
            }
        };
        progress.add(&results);
        if let Some(last) = progress.turns.last_mut() {
            last.results = results;
        }
        match ending {
            None => {}
            Some(Ok(ending)) => return Ok(progress.end(ending)),
            Some(Err(error)) => return Err(progress.fail(error)),
        }
    }
    Ok(progress.end(Ending::TurnLimit))
}

fn too_late() -> Error {
    Error::new(ErrorKind::Timeout(Phase::Call), "the deadline came while functions ran")
}

/// What follows an answer.
enum Next {
    /// The model is done.
    Stop,
    /// The answer was cut: its calls are not run, for this reason.
    Cut(&'static str),
    /// Nothing is to be run, and the model wants to go on.
    GoOn,
    Run,
}

fn next(response: &ChatResponse, calls: &[ToolCall]) -> Next {
    let native = response.choices.first().and_then(|choice| choice.native_finish_reason.as_deref());
    match response.finish_reason() {
        _ if calls.is_empty() && native == Some(PAUSED) => Next::GoOn,
        _ if calls.is_empty() => Next::Stop,
        Some(FinishReason::Length) => {
            Next::Cut("it was not run: the answer was cut at the token limit, perhaps within this call")
        }
        Some(FinishReason::ContentFilter) => {
            Next::Cut("it was not run: the answer was cut by a content filter")
        }
        Some(FinishReason::Error) => Next::Cut("it was not run: the answer broke off"),
        // Such calls are in the answer for the record: the server has run them itself.
        Some(FinishReason::Stop) => Next::Stop,
        Some(FinishReason::ToolCalls | FinishReason::Other) | None => Next::Run,
    }
}

/// The calls at the end of a conversation that have no results yet.
fn unanswered(messages: &[Message]) -> Vec<ToolCall> {
    let Some(at) = messages.iter().rposition(|message| message.role == Role::Assistant) else {
        return Vec::new();
    };
    let (before, after) = messages.split_at(at.saturating_add(1));
    let mut answered = HashSet::new();
    for part in after.iter().flat_map(|message| &message.parts) {
        match part {
            Part::ToolResult(result) => answered.insert(result.id.as_str()),
            // The user has gone on without them.
            _ => return Vec::new(),
        };
    }
    let calls = before.last().into_iter().flat_map(Message::tool_calls);
    calls.filter(|call| !answered.contains(call.id.as_str())).cloned().collect()
}

/// One turn. The answer is whole, and nothing of its call is held any more, when this returns.
async fn ask(
    client: &dyn ModelClient,
    request: &ChatRequest,
    call: &Call,
    face: &Face,
) -> Result<ChatResponse, Error> {
    if !face.is_streamed() {
        return client.chat(request, call).await;
    }
    let mut stream = client.chat_stream(request, call).await?;
    let mut collector = Collector::new();
    while let Some(event) = stream.next().await {
        match event {
            Ok(event) => {
                face.tell(|| ToolLoopEvent::Event(event.clone())).await;
                collector.push(event);
            }
            Err(error) if error.partial().is_some() => return Err(error),
            Err(error) => return Err(error.with_partial(stream.response(collector))),
        }
    }
    Ok(stream.response(collector))
}
