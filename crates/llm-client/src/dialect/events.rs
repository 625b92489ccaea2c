//! From a whole answer to the events of a stream that would have given it.

use llm_types::{ChatResponse, Choice, Error, ErrorKind, Message, NativePart, Part, StreamEvent, Warning};

use crate::framing::SseFrame;

/// The events of an answer that came in one piece, for whoever asked for a stream. Collected, they give the same
/// answer, but for how the call went (attempts, timing, the raw body).
#[must_use]
pub fn events_of(response: ChatResponse) -> Vec<StreamEvent> {
    let ChatResponse { id, model, created, choices, usage, cost, warnings, extra, .. } = response;
    let mut out = vec![StreamEvent::Start { id, model, created }];
    out.extend(warnings.into_iter().map(StreamEvent::Warning));
    for choice in choices {
        events_of_choice(choice, &mut out);
    }
    out.extend(extra.iter().map(|(name, value)| StreamEvent::Extra {
        choice: None,
        name: name.to_owned(),
        value: value.to_owned(),
    }));
    out.extend(usage.map(StreamEvent::Usage));
    out.extend(cost.map(|cost| StreamEvent::Cost(Box::new(cost))));
    out.push(StreamEvent::End);
    out
}

fn events_of_choice(choice: Choice, out: &mut Vec<StreamEvent>) {
    let Choice { index: at, message, finish_reason, native_finish_reason, logprobs, extra } = choice;
    let Message { parts, extra: replay, .. } = message;
    let mut calls = 0;
    let mut behind_text = false;
    for part in parts {
        let is_text = matches!(part, Part::Text { .. });
        let goes_on = std::mem::replace(&mut behind_text, is_text);
        match part {
            Part::Text { text, extra } => {
                if goes_on || !extra.is_empty() {
                    out.push(StreamEvent::TextBlock { choice: at, extra });
                }
                out.push(StreamEvent::Text { choice: at, text });
            }
            Part::Refusal { text } => out.push(StreamEvent::Refusal { choice: at, text }),
            Part::Native(part) => out.push(StreamEvent::Native { choice: at, part }),
            Part::Reasoning(block) => {
                out.push(StreamEvent::ReasoningBlock { choice: at, block: Box::new(block) });
            }
            Part::ToolCall(call) => {
                let index = calls;
                calls += 1;
                out.push(StreamEvent::ToolCallStart {
                    choice: at,
                    index,
                    id: call.id,
                    name: call.name,
                    custom: call.custom,
                    signature: call.signature,
                });
                if !call.arguments.is_empty() {
                    out.push(StreamEvent::ToolCallDelta { choice: at, index, arguments: call.arguments });
                }
                replayed(at, Some(index), &call.extra, out);
                out.push(StreamEvent::ToolCallEnd { choice: at, index });
            }
            // An answer has none; as JSON they would still be there.
            part @ (Part::Image(_) | Part::Audio(_) | Part::File(_) | Part::ToolResult(_)) => {
                let message = Message::new(llm_types::Role::Assistant, vec![part]);
                if let Ok(json) = serde_json::value::to_raw_value(&message) {
                    let part = NativePart { json, origin: None };
                    out.push(StreamEvent::Native { choice: at, part });
                }
            }
        }
    }
    replayed(at, None, &replay, out);
    out.extend(logprobs.map(|logprobs| StreamEvent::Logprobs { choice: at, logprobs }));
    out.extend(extra.iter().map(|(name, value)| StreamEvent::Extra {
        choice: Some(at),
        name: name.to_owned(),
        value: value.to_owned(),
    }));
    if let Some(reason) = finish_reason {
        out.push(StreamEvent::Finish { choice: at, reason, native: native_finish_reason });
    }
}

/// The warning of an answer that is none: reasoning is never taken for one.
pub(crate) fn only_reasoning(choice: u32) -> StreamEvent {
    let about = if choice == 0 { "answer".to_owned() } else { format!("choices[{choice}]") };
    StreamEvent::Warning(Warning::new(about, "holds only reasoning; its text is empty"))
}

/// The data of a frame that says something. The end marker says that nothing follows.
pub(crate) fn data_of<'a>(frame: &SseFrame<'a>, done: &mut bool) -> Option<&'a str> {
    let data = frame.data.trim();
    *done |= data.starts_with("[DONE]");
    (!*done && !data.is_empty()).then_some(data)
}

/// The warning of an answer that was mended before it could be read.
pub(crate) fn mended() -> StreamEvent {
    let message = "held characters that are not valid JSON or UTF-8; they were replaced";
    StreamEvent::Warning(Warning::new("answer", message))
}

/// The warning of a call that came under the id of another: results could not be told apart by it.
pub(crate) fn one_id_for_two() -> StreamEvent {
    let message = "two tool calls had one id; the later was given another";
    StreamEvent::Warning(Warning::new("tool_calls", message))
}

/// The error of a stream that ended too early, `seen` being whether a reader has seen any of it.
pub(crate) fn cut(seen: bool) -> Error {
    if seen {
        Error::new(ErrorKind::Truncated, "the stream ended before the answer was whole")
    } else {
        Error::new(ErrorKind::Connection, "the stream ended before any content came")
    }
}

fn replayed(choice: u32, call: Option<u32>, extra: &llm_types::Extra, out: &mut Vec<StreamEvent>) {
    out.extend(extra.iter().map(|(name, value)| StreamEvent::Replay {
        choice,
        call,
        name: name.to_owned(),
        value: value.to_owned(),
    }));
}
