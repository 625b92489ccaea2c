//! The conversation on its way out: contents of the user and the model in turn, each made of parts.

use std::borrow::Cow;

use llm_types::{
    ChatRequest, Error, ErrorKind, Extra, Media, MediaSource, Message, NativePart, Part, Reasoning, Role,
    ToolCall, ToolResult,
};
use serde::Serialize;
use serde_json::value::RawValue;

use self::media::{media_type, type_of_name};
use self::write::{Outcome, SentPart, Signature};
use super::{LENGTH, NATIVE_ID, SIGNED_BY, THOUGHT, signer};
use crate::dialect::WireTarget;
use crate::dialect::body::Body;

mod media;
mod write;

/// The members that may stand beside the data of a part.
const BESIDE: &[&str] = &["videoMetadata", "mediaResolution", "partMetadata"];

/// The members of which a part has one: so its own parts are told from those of others.
const DATA: &[&str] = &[
    "text",
    "inlineData",
    "inline_data",
    "fileData",
    "file_data",
    "functionCall",
    "function_call",
    "functionResponse",
    "function_response",
    "executableCode",
    "executable_code",
    "codeExecutionResult",
    "code_execution_result",
    "toolCall",
    "toolResponse",
];

/// The conversation, ready to be written.
pub(super) struct Messages<'a> {
    pub(super) contents: Vec<Content<'a>>,
    pub(super) system: Option<System<'a>>,
}

/// What one side says.
#[derive(Serialize)]
pub(super) struct Content<'a> {
    role: &'static str,
    parts: Vec<SentPart<'a>>,
}

/// The instructions.
#[derive(Serialize)]
pub(super) struct System<'a> {
    parts: Vec<SentPart<'a>>,
}

impl<'a> Messages<'a> {
    /// Puts the conversation into this dialect's shape.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] names a part that has no shape here: a prompt without it would be another prompt.
    pub(super) fn build(
        request: &'a ChatRequest,
        target: &WireTarget<'a>,
        body: &mut Body,
    ) -> Result<Self, Error> {
        if request.messages.is_empty() {
            return Err(Error::new(ErrorKind::InvalidRequest, "messages: there are none"));
        }
        let mut builder =
            Builder { at: 0, target, contents: Vec::new(), system: Vec::new(), calls: Vec::new() };
        for (at, message) in request.messages.iter().enumerate() {
            builder.at = at;
            builder.message(message, body)?;
        }
        let Builder { mut contents, system, .. } = builder;
        if contents.is_empty() {
            // Instructions alone are a prompt too, but not without a turn of the user's.
            contents.push(Content { role: "user", parts: vec![SentPart::text("")] });
        }
        for content in &mut contents {
            // Results in the order of their calls, for servers that tell them apart by nothing else.
            content.parts.sort_by_key(SentPart::order);
        }
        let system = (!system.is_empty()).then_some(System { parts: system });
        Ok(Self { contents, system })
    }
}

struct Builder<'a, 't> {
    at: usize,
    target: &'t WireTarget<'a>,
    contents: Vec<Content<'a>>,
    system: Vec<SentPart<'a>>,
    /// Every call so far.
    calls: Vec<&'a ToolCall>,
}

impl<'a> Builder<'a, '_> {
    fn wrong(&self, part: usize, message: &str) -> Error {
        Error::new(ErrorKind::InvalidRequest, format!("messages[{}].content[{part}]: {message}", self.at))
    }

    fn warn(&self, place: &str, message: &str, body: &mut Body) -> Result<(), Error> {
        body.warn(format!("messages[{}]{place}", self.at), message)
    }

    fn message(&mut self, message: &'a Message, body: &mut Body) -> Result<(), Error> {
        if message.name.is_some() {
            self.warn(".name", "this endpoint has no word for it; it was left out", body)?;
        }
        match message.role {
            Role::System | Role::Developer => self.instructions(message, body),
            Role::Assistant => self.answer(message, body),
            Role::User | Role::Tool => self.turn(message, body),
        }
    }

    fn instructions(&mut self, message: &'a Message, body: &mut Body) -> Result<(), Error> {
        if !self.contents.is_empty() {
            let message = "instructions stand before the conversation in this format; they were moved there";
            self.warn("", message, body)?;
        }
        for (at, part) in message.parts.iter().enumerate() {
            match part {
                Part::Text { text, .. } => self.system.push(SentPart::text(text)),
                Part::Native(part) if self.takes(part) => self.system.push(SentPart::Native(&part.json)),
                _ => return Err(self.wrong(at, "instructions are text in this format")),
            }
        }
        Ok(())
    }

    /// A turn of the user's, or of tools.
    fn turn(&mut self, message: &'a Message, body: &mut Body) -> Result<(), Error> {
        let mut parts = Vec::new();
        for (at, part) in message.parts.iter().enumerate() {
            match part {
                Part::ToolResult(result) => {
                    let result = self.result(at, result, body)?;
                    self.put_result(result);
                }
                Part::ToolCall(_) | Part::Reasoning(_) => {
                    return Err(self.wrong(at, "only an assistant message holds tool calls and reasoning"));
                }
                _ if message.role == Role::Tool => {
                    let message = "a tool message holds results of tool calls, and nothing else";
                    return Err(self.wrong(at, message));
                }
                part => parts.push(self.part(at, part, body)?),
            }
        }
        if message.parts.is_empty() && message.role == Role::Tool {
            return Err(self.wrong(0, "a tool message holds results of tool calls, and nothing else"));
        }
        if !parts.is_empty() {
            self.contents.push(Content { role: "user", parts });
        }
        Ok(())
    }

    /// All results of one turn stand in one content.
    fn put_result(&mut self, result: SentPart<'a>) {
        match self.contents.last_mut() {
            Some(Content { role: "user", parts })
                if parts.iter().all(|part| matches!(part, SentPart::Result { .. })) =>
            {
                parts.push(result);
            }
            _ => self.contents.push(Content { role: "user", parts: vec![result] }),
        }
    }

    fn result(&self, at: usize, result: &'a ToolResult, body: &mut Body) -> Result<SentPart<'a>, Error> {
        let call = self.calls.iter().rposition(|call| call.id == result.id);
        let of = call.and_then(|at| self.calls.get(at));
        let Some(name) = of.map(|call| &*call.name).or(result.name.as_deref()) else {
            let message = "it names no function, and no call with its id came before it";
            return Err(self.wrong(at, message));
        };
        let mut texts: Vec<&str> = Vec::new();
        let mut parts = Vec::new();
        for part in &result.content {
            match part {
                Part::Text { text, .. } => texts.push(text),
                part => parts.push(self.part(at, part, body)?),
            }
        }
        let outcome = match texts.as_slice() {
            [] => Outcome::Nothing,
            [one] => match one.trim_start().starts_with(['{', '[']).then(|| serde_json::from_str(one)) {
                Some(Ok(raw)) => Outcome::Json(raw),
                _ => Outcome::Text(Cow::Borrowed(*one)),
            },
            many => Outcome::Text(Cow::Owned(many.concat())),
        };
        Ok(SentPart::Result {
            id: of.and_then(|call| native_id(call)),
            name,
            failed: result.is_error,
            outcome,
            parts,
            order: call.unwrap_or(usize::MAX),
        })
    }

    /// An earlier answer of the model's.
    fn answer(&mut self, message: &'a Message, body: &mut Body) -> Result<(), Error> {
        let mut parts: Vec<SentPart<'a>> = Vec::new();
        let mut foreign = false;
        let mut first_call = true;
        for (at, part) in message.parts.iter().enumerate() {
            match part {
                Part::Text { text, extra } => {
                    if !text.is_empty() {
                        parts.push(self.text(text, extra, body)?);
                    }
                }
                Part::Refusal { text } => parts.push(SentPart::text(text)),
                Part::Reasoning(block) if self.is_own(block) => self.reasoning(block, &mut parts, body)?,
                Part::Reasoning(block) => foreign |= block.signature.is_some() || block.encrypted.is_some(),
                Part::ToolCall(call) => {
                    let call = self.call(call, std::mem::take(&mut first_call), body)?;
                    parts.push(call);
                }
                Part::ToolResult(_) => {
                    return Err(self.wrong(at, "a result of a tool call is not the assistant's"));
                }
                Part::Native(part) if !self.takes(part) => {
                    self.warn("", "a part that only another vendor can read was left out", body)?;
                }
                part => parts.push(self.part(at, part, body)?),
            }
        }
        if foreign {
            let message = "signed or encrypted reasoning that only another vendor can read was left out";
            self.warn(".reasoning", message, body)?;
        }
        if !parts.is_empty() {
            self.contents.push(Content { role: "model", parts });
        }
        Ok(())
    }

    /// Whether the block was made by the model that is asked now: no other can read its signatures.
    fn is_own(&self, block: &Reasoning) -> bool {
        let origin = block.origin.as_deref();
        let same = origin == self.target.origin || self.target.origin.is_none();
        origin.is_some() && same && block.format.as_deref().is_none_or(|model| model == self.target.model)
    }

    /// Whether a native part is one of this format, and nobody else's.
    fn takes(&self, part: &NativePart) -> bool {
        let signed_here =
            part.origin.is_some() && part.origin == signer(self.target.origin, self.target.model);
        (signed_here || !part.is_foreign_to(self.target.origin)) && is_own(&part.json)
    }

    /// Puts a thought, or a signature, where it stood.
    fn reasoning(
        &self,
        block: &'a Reasoning,
        parts: &mut Vec<SentPart<'a>>,
        body: &mut Body,
    ) -> Result<(), Error> {
        let Some(signature) = block.encrypted.as_deref() else {
            let signature = block.signature.as_deref().map(Signature::Own);
            parts.push(SentPart::said(&block.text, true, signature));
            return Ok(());
        };
        let signature = Some(Signature::Own(signature));
        let length = block.extra.get(LENGTH).and_then(|raw| raw.get().parse::<usize>().ok());
        let Some(length) = length else {
            let thought = block.extra.get(THOUGHT).is_some();
            parts.push(SentPart::said("", thought, signature));
            return Ok(());
        };
        // It covers the end of the text before it, which may have come in several parts.
        let covered = match parts.last() {
            Some(SentPart::Text { text, thought: false, signature: None, beside }) if beside.is_empty() => {
                text.len().checked_sub(length).and_then(|at| text.split_at_checked(at))
            }
            _ => None,
        };
        let Some((head, tail)) = covered else {
            return self.warn(".reasoning", "a signature whose text is gone was left out", body);
        };
        parts.pop();
        if !head.is_empty() {
            parts.push(SentPart::text(head));
        }
        parts.push(SentPart::said(tail, false, signature));
        Ok(())
    }

    fn call(&mut self, call: &'a ToolCall, first: bool, body: &mut Body) -> Result<SentPart<'a>, Error> {
        self.calls.push(call);
        let signer = signer(self.target.origin, self.target.model);
        let signed_by =
            call.extra.get(SIGNED_BY).and_then(|raw| serde_json::from_str::<String>(raw.get()).ok());
        let readable = signed_by.is_none() || signer.is_none() || signed_by == signer;
        let signature = call.signature.as_deref().filter(|_| readable).map(Signature::Own);
        // The first call of an answer has to be signed, whoever made it.
        let stand_in = self.target.quirks.signature_stand_in.filter(|_| first).map(Signature::StandIn);
        let arguments = call.arguments.trim();
        let args = match serde_json::from_str::<&RawValue>(arguments) {
            _ if arguments.is_empty() => None,
            Ok(raw) if raw.get().starts_with('{') => Some(Cow::Borrowed(raw)),
            Ok(raw) if raw.get() == "null" => None,
            _ => {
                self.warn(
                    ".tool_calls",
                    "arguments that are no JSON object were sent as the text of one",
                    body,
                )?;
                let mut wrapped = Extra::new();
                let written = wrapped.set("input", &call.arguments);
                let raw = written.and_then(|()| serde_json::value::to_raw_value(&wrapped));
                raw.ok().map(Cow::Owned)
            }
        };
        Ok(SentPart::Call { id: native_id(call), name: &call.name, args, signature: signature.or(stand_in) })
    }

    fn part(&self, at: usize, part: &'a Part, body: &mut Body) -> Result<SentPart<'a>, Error> {
        Ok(match part {
            Part::Text { text, extra } => self.text(text, extra, body)?,
            Part::Refusal { text } => SentPart::text(text),
            Part::Image(media) | Part::Audio(media) | Part::File(media) => self.media(at, media, body)?,
            Part::Native(part) if self.takes(part) => SentPart::Native(&part.json),
            Part::Native(_) => return Err(self.wrong(at, "this part has no form here")),
            Part::Reasoning(_) | Part::ToolCall(_) | Part::ToolResult(_) => {
                return Err(self.wrong(at, "this part has a place of its own"));
            }
        })
    }

    fn text(&self, text: &'a str, extra: &'a Extra, body: &mut Body) -> Result<SentPart<'a>, Error> {
        Ok(SentPart::Text { text, thought: false, signature: None, beside: self.beside(extra, body)? })
    }

    /// The members of a part that have a place here; of the others it says that they have none.
    fn beside(&self, extra: &'a Extra, body: &mut Body) -> Result<Vec<(&'a str, &'a RawValue)>, Error> {
        let (beside, other): (Vec<_>, Vec<_>) = extra.iter().partition(|(name, _)| BESIDE.contains(name));
        for (name, _) in other {
            let place = format!(".content.{name}");
            self.warn(&place, "this format has no word for it; it was left out", body)?;
        }
        Ok(beside)
    }

    fn media(&self, at: usize, media: &'a Media, body: &mut Body) -> Result<SentPart<'a>, Error> {
        let beside = self.beside(&media.extra, body)?;
        if media.name.is_some() {
            let place = format!(".content[{at}].name");
            self.warn(&place, "this format has no word for it; it was left out", body)?;
        }
        let level = match media.detail.as_deref() {
            None | Some("auto") => None,
            Some("low") => Some("MEDIA_RESOLUTION_LOW"),
            Some("medium") => Some("MEDIA_RESOLUTION_MEDIUM"),
            Some("high") => Some("MEDIA_RESOLUTION_HIGH"),
            Some(_) => {
                let place = format!(".content[{at}].detail");
                self.warn(&place, "this format has no such detail; it was left out", body)?;
                None
            }
        };
        Ok(match &media.source {
            MediaSource::Base64 { media_type: given, data } => {
                let Some(kind) = media_type(given, data) else {
                    return Err(self.wrong(at, "say which media type it has (image/png, audio/wav …)"));
                };
                SentPart::Data { kind, data, level, beside }
            }
            MediaSource::Url(uri) | MediaSource::FileId(uri) => {
                SentPart::File { kind: type_of_name(uri), uri, level, beside }
            }
        })
    }
}

/// Whether a native part is one of this format.
fn is_own(raw: &RawValue) -> bool {
    Extra::parse(raw.get())
        .is_ok_and(|part| part.get("type").is_none() && DATA.iter().any(|name| part.get(name).is_some()))
}

/// The id that the server gave the call.
fn native_id(call: &ToolCall) -> Option<&RawValue> {
    call.extra.get(NATIVE_ID)
}
