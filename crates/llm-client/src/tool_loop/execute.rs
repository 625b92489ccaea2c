//! The calls of one answer: run at the same time, told in their order.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _};
use llm_types::{ToolCall, ToolResult};
use serde_json::value::RawValue;

use super::drive::Functions;
use super::function::{FunctionCall, FunctionResult, ToolFunction};
use super::stream::{Face, ToolLoopEvent};
use crate::clock::Instant;

/// What came of the calls of one answer.
pub(super) struct Executed {
    /// The results, in the order of the calls. Calls that are the caller's own have none.
    pub(super) results: Vec<ToolResult>,
    /// The deadline came first: what did not end has a result that says so.
    pub(super) late: bool,
}

/// Runs the calls that are left to the loop.
pub(super) async fn execute(
    functions: &Functions,
    calls: &[ToolCall],
    turn: u32,
    deadline: Option<Instant>,
    face: &Face,
) -> Executed {
    let mut results: Vec<Option<ToolResult>> = calls.iter().map(|_| None).collect();
    let mut running: Vec<BoxFuture<'static, (usize, ToolResult)>> = Vec::new();
    for (at, call) in calls.iter().enumerate().filter(|(_, call)| !functions.is_callers(&call.name)) {
        let limit = functions.time_out;
        let work = match functions.find(&call.name) {
            None => Err(functions.unknown(&call.name)),
            Some(_) if !call.custom && !is_object(call.json()) => {
                Err("the arguments are no JSON object; call it again with all of them".to_owned())
            }
            Some(function) => Ok((Arc::clone(function), FunctionCall::new(call.clone(), turn, deadline))),
        };
        let (id, name) = (call.id.clone(), call.name.clone());
        running.push(Box::pin(async move {
            let given = match work {
                Err(message) => Err(message),
                Ok((function, call)) => run(function, call, limit).await,
            };
            (at, result(id, name, given))
        }));
    }
    let mut ended = futures_util::stream::iter(running).buffer_unordered(functions.concurrency);
    let mut late = false;
    loop {
        let next = match deadline {
            None => ended.next().await,
            Some(deadline) => match tokio::time::timeout_at(deadline, ended.next()).await {
                Ok(next) => next,
                Err(_) => {
                    late = true;
                    break;
                }
            },
        };
        let Some((at, result)) = next else { break };
        face.tell(|| ToolLoopEvent::Result { turn, result: result.clone() }).await;
        if let Some(place) = results.get_mut(at) {
            *place = Some(result);
        }
    }
    // Those that have not ended are dropped here.
    drop(ended);
    if late {
        for (call, place) in calls.iter().zip(&mut results) {
            if place.is_none() && !functions.is_callers(&call.name) {
                let message = "it was stopped, because the time for the whole call was over".to_owned();
                *place = Some(result(call.id.clone(), call.name.clone(), Err(message)));
            }
        }
    }
    Executed { results: results.into_iter().flatten().collect(), late }
}

/// Runs one function; nothing that happens in it ends the loop.
async fn run(function: Arc<dyn ToolFunction>, call: FunctionCall, limit: Option<Duration>) -> FunctionResult {
    let limit = function.time_out().or(limit);
    // A panic can come before the first await too. What it leaves behind is the caller's own.
    let work = AssertUnwindSafe(async move { function.run(call).await }).catch_unwind();
    let done = match limit {
        None => work.await,
        Some(limit) => match tokio::time::timeout(limit, work).await {
            Ok(done) => done,
            Err(_) => return Err(format!("it gave no result within {limit:?}")),
        },
    };
    done.unwrap_or_else(|_| Err("the function broke down".to_owned()))
}

/// The results of calls of which none was run.
pub(super) fn refused(calls: &[ToolCall], why: &str) -> Vec<ToolResult> {
    calls.iter().map(|call| result(call.id.clone(), call.name.clone(), Err(why.to_owned()))).collect()
}

fn result(id: String, name: String, given: FunctionResult) -> ToolResult {
    let name = Some(name);
    match given {
        Ok(content) => ToolResult { id, name, content, is_error: false },
        Err(message) => {
            let message = if message.is_empty() { "the function failed" } else { &message };
            // In so many words, since not every format has a mark for it.
            ToolResult { name, is_error: true, ..ToolResult::text(id, format!("Error: {message}")) }
        }
    }
}

fn is_object(text: &str) -> bool {
    text.starts_with('{') && serde_json::from_str::<&RawValue>(text).is_ok()
}
