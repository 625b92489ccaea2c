//! Results of tool calls: text in this format. What else they hold goes into a user message behind them.

use llm_types::{Error, Extra, Part, ToolResult};

use super::{Builder, Content, Sent, SentPart, Thoughts};
use crate::dialect::body::Body;

impl<'a> Builder<'a, '_> {
    pub(super) fn result(
        &self,
        result: &'a ToolResult,
        extra: Option<&'a Extra>,
        carried: &mut Vec<SentPart<'a>>,
        body: &mut Body,
    ) -> Result<Sent<'a>, Error> {
        // A text that begins with the word says so itself.
        let says_so = |text: &str| text.get(..5).is_some_and(|word| word.eq_ignore_ascii_case("error"));
        if result.is_error && !result.content.first().and_then(Part::as_text).is_some_and(says_so) {
            let about = format!("messages[{}].is_error", self.at);
            body.warn(about, "this format has no mark for a failed tool; its result was sent without")?;
        }
        self.note_foreign(&result.content, body)?;
        let mut texts = Vec::new();
        let mut has_media = false;
        for (at, part) in result.content.iter().enumerate() {
            match part {
                Part::Native(part) if part.is_foreign_to(self.target.origin) => {}
                Part::Image(_) | Part::Audio(_) | Part::File(_) => {
                    if !std::mem::replace(&mut has_media, true) {
                        let id = self.id(&result.id);
                        carried.push(SentPart::Joined(format!("From the result of the tool call {id}:")));
                    }
                    carried.push(self.part(at, part)?);
                }
                Part::Text { .. } | Part::Native(_) | Part::Refusal { .. } => {
                    texts.push(self.part(at, part)?);
                }
                Part::Reasoning(_) | Part::ToolCall(_) | Part::ToolResult(_) => {
                    return Err(self.wrong(at, "a tool result holds text and media"));
                }
            }
        }
        if has_media {
            let about = format!("messages[{}].content", self.at);
            let message =
                "a tool result is text in this format; its media were sent in a user message behind it";
            body.warn(about, message)?;
        }
        let content = match texts.as_slice() {
            [] if has_media => Content::Text("It follows in the next message of the user."),
            [] => Content::Text(""),
            [SentPart::Text(text, None)] => Content::Text(text),
            _ => Content::Parts(texts),
        };
        let name = if self.quirks.tool_result_name { result.name.as_deref() } else { None };
        let call_id = Some(self.id(&result.id));
        Ok(Sent { role: "tool", name, call_id, content, thoughts: Thoughts::None, calls: Vec::new(), extra })
    }
}

/// Puts what was carried into a message, now that all results of the turn have been written.
pub(super) fn hand_over<'a>(carried: &mut Vec<SentPart<'a>>, sent: &mut Vec<Sent<'a>>) {
    if !carried.is_empty() {
        let content = Content::Parts(std::mem::take(carried));
        let (name, call_id, calls, extra) = (None, None, Vec::new(), None);
        sent.push(Sent { role: "user", name, call_id, content, thoughts: Thoughts::None, calls, extra });
    }
}
