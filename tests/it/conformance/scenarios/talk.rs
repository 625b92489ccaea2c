//! Questions and answers, plain and streamed.

use llm_types::{ChatRequest, Message, StreamEvent};
use serde_json::json;

use super::{QUESTION, question, raw, warned};
use crate::conformance::Outcome;
use crate::conformance::peer::{BOTH, Cell, Manner, once};
use crate::conformance::say::{Say, TEXT, same};
use crate::conformance::vendor::Format;

pub(crate) async fn plain(cell: &Cell) -> Outcome {
    let (response, heard) = cell.ask(&question(), &Say::text(TEXT), Manner::Plain).await?;
    same("what was said", &heard.said, &vec![("user".into(), QUESTION.into())])?;
    same("the system text", &heard.system, &None)?;
    same("warnings", &warned(&response), &Vec::new())?;
    same("attempts", &response.attempts.len(), &1)?;
    same("a model is named", &response.model.is_some(), &true)?;
    if matches!(cell.vendor.format, Format::Mock(_)) {
        // Without a script it says what it is told.
        let echo = cell.call(&question(), Manner::Plain).await.map_err(|error| format!("{error:?}"))?;
        same("the echo", &echo.text().as_str(), &QUESTION)?;
    }
    Ok(())
}

pub(crate) async fn stream(cell: &Cell) -> Outcome {
    cell.will_say(&Say::text(TEXT), Manner::Streamed);
    let call = once();
    let mut stream =
        cell.client.chat_stream(&question(), &call).await.map_err(|error| format!("{error:?}"))?;
    let mut events = Vec::new();
    while let Some(event) = stream.next().await {
        events.push(event.map_err(|error| format!("{error:?}"))?);
    }
    let texts: Vec<&str> = events
        .iter()
        .filter_map(|event| match event {
            StreamEvent::Text { text, .. } => Some(text.as_str()),
            _ => None,
        })
        .collect();
    same("the text", &texts.concat().as_str(), &TEXT)?;
    if texts.len() < 2 {
        return Err(format!("the text came in one piece: {events:?}"));
    }
    let count = |wanted: fn(&StreamEvent) -> bool| events.iter().filter(|event| wanted(event)).count();
    same("finishes", &count(|event| matches!(event, StreamEvent::Finish { .. })), &1)?;
    same("it ends", &matches!(events.last(), Some(StreamEvent::End)), &true)?;
    let heard = cell.heard()?;
    same("streamed", &heard.stream, &true)?;
    same("what was said", &heard.said, &vec![("user".into(), QUESTION.into())])
}

pub(crate) async fn system(cell: &Cell) -> Outcome {
    let request = ChatRequest::new(vec![
        Message::system("You know tides."),
        Message::user("Hello"),
        Message::assistant("Ahoy."),
        Message::user(QUESTION),
    ]);
    for manner in BOTH {
        let (_, heard) = cell.ask(&request, &Say::text(TEXT), manner).await?;
        same("the system text", &heard.system.as_deref(), &Some("You know tides."))?;
        let said: Vec<(&str, &str)> = heard.said.iter().map(|(who, what)| (&**who, &**what)).collect();
        same("the turns", &said, &vec![("user", "Hello"), ("assistant", "Ahoy."), ("user", QUESTION)])?;
    }
    Ok(())
}

/// Members that nobody knows, in both directions.
pub(crate) async fn unknown_fields(cell: &Cell) -> Outcome {
    let mut request = question();
    request.extra.insert("x_client", raw(r#"{"a":1}"#));
    for manner in BOTH {
        let say = Say { odd: true, ..Say::text(TEXT) };
        let (response, heard) = cell.ask(&request, &say, manner).await?;
        same("the caller's own member", &heard.extra.get("x_client"), &Some(&json!({"a": 1})))?;
        if matches!(cell.vendor.format, Format::Mock(_)) {
            continue;
        }
        let kept = response.extra.iter().any(|(name, _)| name == "x_weather" || name == "xWeather");
        // A stream says it in an event of its own there, which has nowhere to stay.
        if !(kept || manner == Manner::Streamed && matches!(cell.vendor.format, Format::Messages)) {
            return Err(format!("{manner:?}: an unknown member is lost: {:?}", response.extra));
        }
    }
    Ok(())
}

/// A question like any.
pub(crate) fn asked() -> ChatRequest {
    question()
}
