//! Thinking: how much, what comes of it, and what goes back.

use llm_types::{ChatRequest, Message, ReasoningEffort, ReasoningSetting, ToolResult};
use serde_json::Value;

use super::{question, value, warned, with_tool};
use crate::conformance::Outcome;
use crate::conformance::peer::{BOTH, Cell, Manner};
use crate::conformance::say::{Say, TEXT, THOUGHT, same};
use crate::conformance::vendor::Knob;

fn thinking(effort: ReasoningEffort) -> ChatRequest {
    let setting = ReasoningSetting { effort: Some(effort), ..ReasoningSetting::default() };
    ChatRequest { reasoning: Some(setting), ..question() }
}

pub(crate) async fn reasoning(cell: &Cell) -> Outcome {
    if let Some(how) = cell.how("reasoning") {
        return cell.lacks(how, &thinking(ReasoningEffort::High), |heard| heard.knobs.is_empty()).await;
    }
    for manner in BOTH {
        for (effort, Knob(members, warnings), thoughts) in
            [(ReasoningEffort::High, cell.vendor.much, THOUGHT), (ReasoningEffort::Off, cell.vendor.none, "")]
        {
            let say = Say::text(TEXT).thinking(thoughts);
            let (response, heard) = cell.ask(&thinking(effort), &say, manner).await?;
            same(effort.as_str(), &Value::Object(heard.knobs), &value(members))?;
            same("warnings", &warned(&response), &warnings.to_vec())?;
        }
    }
    // Nobody who is not asked says anything.
    let (_, heard) = cell.ask(&question(), &Say::text(TEXT), Manner::Streamed).await?;
    same("unasked", &heard.knobs.len(), &0)
}

/// Thoughts come where they can be seen, and are never taken for the answer.
pub(crate) async fn thoughts(cell: &Cell) -> Outcome {
    for manner in BOTH {
        cell.ask(&question(), &Say::text(TEXT).thinking(THOUGHT), manner).await?;
        if cell.can("tools") {
            let say = Say::calls(&[("get_tide", r#"{"port":"Brest"}"#)]).thinking(THOUGHT);
            cell.ask(&with_tool(), &say, manner).await?;
        }
    }
    Ok(())
}

/// The second turn of a conversation holds what its vendor wants of the first one's thoughts, and nothing else.
pub(crate) async fn replay(cell: &Cell) -> Outcome {
    let calls = cell.can("tools");
    for manner in BOTH {
        let (ask, say) = if calls {
            (with_tool(), Say::calls(&[("get_tide", r#"{"port":"Brest"}"#)]))
        } else {
            (question(), Say::text(TEXT))
        };
        let (first, _) = cell.ask(&ask, &say.thinking(THOUGHT), manner).await?;
        let mut request = ask;
        let message = first.message().ok_or("no message")?.clone();
        let id = message.tool_calls().next().map(|call| call.id.clone());
        request.messages.push(message);
        request.messages.push(match id {
            Some(id) => Message::tool(ToolResult::text(id, "6.1 m")),
            None => Message::user("And the day after?"),
        });
        let (response, heard) = cell.ask(&request, &Say::text(TEXT), manner).await?;
        same("what came back", &heard.thoughts, &value(cell.vendor.back))?;
        same("warnings", &warned(&response), &Vec::new())?;
    }
    Ok(())
}
