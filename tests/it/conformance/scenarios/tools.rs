//! Tools: offered, chosen, called, answered.

use llm_types::{ChatRequest, Message, Part, Tool, ToolCall, ToolChoice, ToolResult};

use super::{SCHEMA, question, raw, value, warned, with_tool};
use crate::conformance::Outcome;
use crate::conformance::peer::{BOTH, Cell, Manner};
use crate::conformance::say::{Say, same};

const TIDE: (&str, &str) = ("get_tide", r#"{"port":"Brest"}"#);

pub(crate) async fn tools(cell: &Cell) -> Outcome {
    if let Some(how) = cell.how("tools") {
        return cell.lacks(how, &with_tool(), |heard| heard.tools.is_empty()).await;
    }
    for manner in BOTH {
        let (response, heard) = cell.ask(&with_tool(), &Say::calls(&[TIDE]), manner).await?;
        same("the tools", &heard.tools, &vec![("get_tide".into(), value(SCHEMA), None)])?;
        same("the choice", &heard.choice, &None)?;
        same("warnings", &warned(&response), &Vec::new())?;
    }
    Ok(())
}

pub(crate) async fn parallel(cell: &Cell) -> Outcome {
    let two = || {
        let mut request = with_tool();
        request.tools.push(Tool::function(
            "get_time",
            "The hour",
            raw(r#"{"type":"object","properties":{}}"#),
        ));
        request
    };
    if let Some(how) = cell.how("parallel_tools") {
        return cell.lacks(how, &two(), |heard| heard.tools.is_empty()).await;
    }
    for manner in BOTH {
        let say = Say::calls(&[TIDE, ("get_time", "{}"), ("get_tide", r#"{"port":"Saint-Malo – été"}"#)]);
        let (response, heard) = cell.ask(&two(), &say, manner).await?;
        same("the tools", &heard.tools.len(), &2)?;
        let mut ids: Vec<&str> = response.tool_calls().map(|call| call.id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        same("different ids", &ids.len(), &3)?;
    }
    // One at a time, where that can be said.
    let request = ChatRequest { parallel_tool_calls: Some(false), ..two() };
    let (response, heard) = cell.ask(&request, &Say::calls(&[TIDE]), Manner::Plain).await?;
    match (heard.parallel, warned(&response).contains(&"parallel_tool_calls")) {
        (Some(false), false) | (None, true) => Ok(()),
        other => Err(format!("parallel_tool_calls: sent and warned of: {other:?}")),
    }
}

pub(crate) async fn choice(cell: &Cell) -> Outcome {
    let choosing = |choice: ToolChoice| ChatRequest { tool_choice: Some(choice), ..with_tool() };
    if let Some(how) = cell.how("tool_choice") {
        return cell.lacks(how, &choosing(ToolChoice::Required), |heard| heard.choice.is_none()).await;
    }
    for (choice, word, say) in [
        (ToolChoice::Required, "required", Say::calls(&[TIDE])),
        (ToolChoice::Function("get_tide".into()), "=get_tide", Say::calls(&[TIDE])),
        (ToolChoice::None, "none", Say::text("No.")),
    ] {
        let (response, heard) = cell.ask(&choosing(choice), &say, Manner::Plain).await?;
        same("the choice", &heard.choice.as_deref(), &Some(word))?;
        same("warnings", &warned(&response), &Vec::new())?;
    }
    Ok(())
}

pub(crate) async fn strict(cell: &Cell) -> Outcome {
    let mut request = with_tool();
    if let Some(Tool::Function(function)) = request.tools.first_mut() {
        function.strict = Some(true);
    }
    if let Some(how) = cell.how("strict_tools") {
        return cell
            .lacks(how, &request, |heard| heard.tools.iter().all(|(_, _, strict)| strict.is_none()))
            .await;
    }
    let (response, heard) = cell.ask(&request, &Say::calls(&[TIDE]), Manner::Plain).await?;
    same("strict", &heard.tools.first().and_then(|(_, _, strict)| *strict), &Some(true))?;
    same("warnings", &warned(&response), &Vec::new())
}

/// The vendor's own calls come back with their results, and so do calls that somebody else made.
pub(crate) async fn results(cell: &Cell) -> Outcome {
    let theirs = |id: &str, (name, arguments): (&str, &str)| {
        let call =
            ToolCall { id: id.into(), name: name.into(), arguments: arguments.into(), ..ToolCall::default() };
        Message::new(llm_types::Role::Assistant, vec![Part::ToolCall(call)])
    };
    if let Some(how) = cell.how("tools") {
        let mut request = with_tool();
        request.messages.push(theirs("call_a", TIDE));
        request.messages.push(Message::tool(ToolResult::text("call_a", "6.1 m")));
        return cell.lacks(how, &request, |heard| heard.results.is_empty()).await;
    }
    let expected = vec![("get_tide".to_owned(), "6.1 m".to_owned())];
    for manner in BOTH {
        let (first, _) = cell.ask(&with_tool(), &Say::calls(&[TIDE]), manner).await?;
        let id = first.tool_calls().next().ok_or("no call")?.id.clone();
        let mut request = with_tool();
        request.messages.push(first.message().ok_or("no message")?.clone());
        request.messages.push(Message::tool(ToolResult::text(&id, "6.1 m")));
        let (response, heard) = cell.ask(&request, &Say::text("6.1 m at 4."), manner).await?;
        same("the call", &heard.calls, &vec![("get_tide".into(), value(TIDE.1))])?;
        same("the result", &heard.results, &expected)?;
        same("warnings", &warned(&response), &Vec::new())?;
    }
    let mut request = with_tool();
    request.messages.push(theirs("toolu_01-elsewhere", TIDE));
    request.messages.push(Message::tool(ToolResult::text("toolu_01-elsewhere", "6.1 m")));
    request.messages.extend(question().messages);
    let (_, heard) = cell.ask(&request, &Say::text("At 4."), Manner::Plain).await?;
    same("another's call", &heard.calls, &vec![("get_tide".into(), value(TIDE.1))])?;
    same("its result", &heard.results, &expected)
}
