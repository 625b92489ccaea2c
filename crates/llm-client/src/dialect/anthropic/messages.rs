//! The conversation on its way out: instructions before it, then the turns of user and assistant, nothing left out
//! without a word.

use std::borrow::Cow;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use llm_types::{
    ChatRequest, Error, ErrorKind, Extra, Media, MediaSource, Message, Part, Reasoning, Role, ToolCall,
    ToolResult,
};
use serde_json::value::RawValue;

use crate::dialect::body::Body;
use crate::dialect::ids::short_id;
use crate::dialect::quirks::SystemRole;
use crate::dialect::reasoning::raw;
use crate::dialect::{MADE_BY, WireTarget};

mod write;

/// The messages of a request, ready to be written.
#[derive(Default)]
pub(super) struct Conversation<'a> {
    system: Vec<Sent<'a>>,
    turns: Vec<Turn<'a>>,
}

/// What one side says until the other has its turn.
struct Turn<'a> {
    role: &'static str,
    blocks: Vec<Sent<'a>>,
}

/// A block, and the mark that caches all up to it, where the message had one.
struct Sent<'a> {
    block: Block<'a>,
    cache: Option<&'a RawValue>,
}

enum Block<'a> {
    Text(&'a str, Option<Cow<'a, Extra>>),
    Image { media: &'a Media, kind: &'a str },
    Document { media: &'a Media, text: Option<String> },
    Thinking(&'a Reasoning),
    Redacted { block: &'a Reasoning, data: &'a str },
    ToolUse { id: Cow<'a, str>, call: &'a ToolCall, input: Cow<'a, RawValue> },
    ToolResult { id: Cow<'a, str>, content: Vec<Sent<'a>>, is_error: bool },
    Native(&'a RawValue),
}

impl<'a> Conversation<'a> {
    /// Puts the conversation into this dialect's shape, `older` where the format's version is one that took more.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] names a part that has no shape here: a prompt without it would be another prompt.
    pub(super) fn build(
        request: &'a ChatRequest,
        target: &WireTarget<'a>,
        older: bool,
        body: &mut Body,
    ) -> Result<Self, Error> {
        let mut whole = Self::default();
        for (at, message) in request.messages.iter().enumerate() {
            let blocks = Builder { at, message, target, older }.blocks(body)?;
            if blocks.is_empty() {
                if message.role != Role::System && message.role != Role::Developer {
                    body.warn(format!("messages[{at}]"), "it says nothing, and was left out")?;
                }
                continue;
            }
            whole.add(at, message.role, blocks, target, body)?;
        }
        if whole.turns.is_empty() {
            return Err(Error::new(ErrorKind::InvalidRequest, "messages: there are none"));
        }
        Ok(whole)
    }

    fn add(
        &mut self,
        at: usize,
        role: Role,
        mut blocks: Vec<Sent<'a>>,
        target: &WireTarget<'_>,
        body: &mut Body,
    ) -> Result<(), Error> {
        let role = match role {
            Role::System | Role::Developer if self.turns.is_empty() => {
                self.system.append(&mut blocks);
                return Ok(());
            }
            Role::System | Role::Developer if target.quirks.system_role == SystemRole::First => {
                self.system.append(&mut blocks);
                let message = "instructions stand before the conversation here; they were moved there";
                return body.warn(format!("messages[{at}]"), message);
            }
            Role::System | Role::Developer => "system",
            Role::User | Role::Tool => "user",
            Role::Assistant => "assistant",
        };
        match self.turns.last_mut() {
            // The server would join them too, but not every imitation of it. Results follow their calls in one turn.
            Some(turn) if turn.role == role => turn.blocks.append(&mut blocks),
            _ => self.turns.push(Turn { role, blocks }),
        }
        if let Some(turn) = self.turns.last_mut().filter(|turn| turn.role == "user") {
            // Results stand before all else that the user says.
            turn.blocks.sort_by_key(|sent| !matches!(sent.block, Block::ToolResult { .. }));
        }
        Ok(())
    }

    /// Whether the next answer goes on with one that has called tools and had no thought: another vendor's, or one that
    /// began while thinking was off.
    pub(super) fn goes_on_without_thought(&self) -> bool {
        let holds =
            |turn: &Turn<'_>, fits: fn(&Block<'_>) -> bool| turn.blocks.iter().any(|sent| fits(&sent.block));
        let results = |turn: &Turn<'_>| holds(turn, |block| matches!(block, Block::ToolResult { .. }));
        let thought = |turn: &Turn<'_>| {
            holds(turn, |block| matches!(block, Block::Thinking(_) | Block::Redacted { .. }))
        };
        let began = self.turns.iter().rposition(|turn| turn.role == "user" && !results(turn));
        let since = self.turns.get(began.unwrap_or(0)..).unwrap_or_default();
        self.turns.last().is_some_and(results) && !since.iter().any(thought)
    }

    /// Writes both members.
    pub(super) fn write(&self, body: &mut Body) -> Result<(), Error> {
        if !self.system.is_empty() {
            body.member("system", &write::Content(&self.system))?;
        }
        body.member("messages", &self.turns)
    }
}

struct Builder<'a, 't> {
    at: usize,
    message: &'a Message,
    target: &'t WireTarget<'a>,
    older: bool,
}

impl<'a> Builder<'a, '_> {
    fn wrong(&self, part: usize, message: &str) -> Error {
        Error::new(ErrorKind::InvalidRequest, format!("messages[{}].content[{part}]: {message}", self.at))
    }

    fn blocks(&self, body: &mut Body) -> Result<Vec<Sent<'a>>, Error> {
        let message = self.message;
        self.beside(body)?;
        let mut blocks = Vec::with_capacity(message.parts.len());
        for (at, part) in message.parts.iter().enumerate() {
            if let Some(block) = self.block(at, part, body)? {
                blocks.push(Sent { block, cache: None });
            }
        }
        let last = blocks.iter_mut().rev().find(|sent| sent.block.can_be_marked());
        if let (Some(last), Some(mark)) = (last, message.extra.get("cache_control")) {
            last.cache = Some(mark);
        }
        Ok(blocks)
    }

    /// Says what stands beside the content and has no place.
    fn beside(&self, body: &mut Body) -> Result<(), Error> {
        let name = self.message.name.as_ref().map(|_| "name");
        let silent = ["cache_control", MADE_BY];
        let more = self.message.extra.iter().map(|(name, _)| name).filter(|name| !silent.contains(name));
        for name in name.into_iter().chain(more) {
            let about = format!("messages[{}].{name}", self.at);
            body.warn(about, "a message of this format has no place for it; it was left out")?;
        }
        Ok(())
    }

    fn block(&self, at: usize, part: &'a Part, body: &mut Body) -> Result<Option<Block<'a>>, Error> {
        let role = self.message.role;
        let instructs = matches!(role, Role::System | Role::Developer);
        Ok(Some(match part {
            // An empty text is refused.
            Part::Text { text, .. } | Part::Refusal { text } if text.trim().is_empty() => return Ok(None),
            Part::Text { text, extra } => Block::Text(text, self.members(extra, body)?),
            Part::Refusal { text } => Block::Text(text, None),
            // Every block of this format says what it is.
            Part::Native(part)
                if part.is_foreign_to(self.target.origin)
                    || Extra::parse(part.json.get()).is_ok_and(|all| all.get("type").is_none()) =>
            {
                let about = format!("messages[{}].content[{at}]", self.at);
                body.warn(about, "a part of another vendor's own was left out")?;
                return Ok(None);
            }
            Part::Native(part) => Block::Native(&part.json),
            _ if instructs => return Err(self.wrong(at, "instructions are text in this format")),
            Part::Image(_) if role == Role::Assistant => {
                return Err(self.wrong(at, "an assistant message holds no images"));
            }
            Part::Image(media) => self.image(at, media, body)?,
            Part::File(_) if role == Role::Assistant && !self.older => {
                return Err(self.wrong(at, "an assistant message holds no documents in this version"));
            }
            Part::File(media) => self.document(at, media)?,
            Part::Audio(_) => return Err(self.wrong(at, "this format has no form for a sound")),
            Part::Reasoning(block) => return self.thought(block, body),
            Part::ToolCall(call) if role == Role::Assistant => self.call(call, body)?,
            Part::ToolCall(_) => return Err(self.wrong(at, "only an assistant message holds tool calls")),
            Part::ToolResult(_) if role == Role::Assistant => {
                return Err(self.wrong(at, "an assistant message holds no results of tool calls"));
            }
            Part::ToolResult(result) => self.result(result, body)?,
        }))
    }

    /// The members of a text. Only the assistant's may be cited in newer versions.
    fn members(&self, extra: &'a Extra, body: &mut Body) -> Result<Option<Cow<'a, Extra>>, Error> {
        const CITATIONS: &str = "citations";
        let refused = !self.older
            && self.message.role != Role::Assistant
            && extra.get(CITATIONS).is_some_and(|list| list.get() != "[]");
        let mut extra = Cow::Borrowed(extra);
        if refused {
            let about = format!("messages[{}].content.{CITATIONS}", self.at);
            body.warn(about, "a text of the user's has none in this version; they were left out")?;
            extra.to_mut().take(CITATIONS);
        }
        Ok(Some(extra).filter(|extra| !extra.is_empty()))
    }

    fn image(&self, at: usize, media: &'a Media, body: &mut Body) -> Result<Block<'a>, Error> {
        if media.detail.as_deref().is_some_and(|detail| detail != "auto") {
            let about = format!("messages[{}].content[{at}].detail", self.at);
            body.warn(about, "this format has no word for it; it was left out")?;
        }
        let kind = match &media.source {
            MediaSource::Base64 { media_type, data } if media_type.is_empty() => image_type(data)
                .ok_or_else(|| self.wrong(at, "the type of the image is not known; give it, as image/png"))?,
            MediaSource::Base64 { media_type, .. } => media_type,
            MediaSource::Url(_) | MediaSource::FileId(_) => "",
        };
        Ok(Block::Image { media, kind })
    }

    fn document(&self, at: usize, media: &'a Media) -> Result<Block<'a>, Error> {
        let text = match &media.source {
            MediaSource::Base64 { media_type, data } if media_type.starts_with("text/") => {
                let bytes = BASE64_STANDARD.decode(data).ok();
                let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
                Some(text.ok_or_else(|| self.wrong(at, "the text of the document is not UTF-8 in base64"))?)
            }
            _ => None,
        };
        Ok(Block::Document { media, text })
    }

    /// Thoughts go back to whoever wrote them, signed as they came.
    fn thought(&self, block: &'a Reasoning, body: &mut Body) -> Result<Option<Block<'a>>, Error> {
        let sealed = block.signature.is_some() || block.encrypted.is_some();
        let ours = match (&block.origin, self.target.origin) {
            (Some(theirs), Some(ours)) => theirs == ours,
            (None, _) => sealed,
            (Some(_), None) => true,
        };
        if !ours || self.message.role != Role::Assistant {
            let about = format!("messages[{}].reasoning", self.at);
            body.warn(about, "reasoning that this vendor did not sign was left out")?;
            return Ok(None);
        }
        Ok(match &block.encrypted {
            Some(data) => Some(Block::Redacted { block, data }),
            None if block.text.is_empty() && !sealed => None,
            None => Some(Block::Thinking(block)),
        })
    }

    fn call(&self, call: &'a ToolCall, body: &mut Body) -> Result<Block<'a>, Error> {
        let text = call.arguments.trim();
        let wrap = |name: &str| -> Result<Cow<'a, RawValue>, Error> {
            let mut members = Extra::new();
            members.insert(name, raw(&call.arguments)?);
            raw(&members).map(Cow::Owned)
        };
        let about = || format!("messages[{}].tool_calls", self.at);
        let input = if call.custom {
            body.warn(about(), "a call's input is an object here; the free text was sent as its `input`")?;
            wrap("input")?
        } else if text.is_empty() || text == "null" {
            raw(&Extra::new()).map(Cow::Owned)?
        } else if let (true, Ok(input)) = (text.starts_with('{'), serde_json::from_str::<&RawValue>(text)) {
            Cow::Borrowed(input)
        } else {
            let message = "arguments that are no JSON object were sent as the text `arguments` of one";
            body.warn(about(), message)?;
            wrap("arguments")?
        };
        Ok(Block::ToolUse { id: id(&call.id), call, input })
    }

    fn result(&self, result: &'a ToolResult, body: &mut Body) -> Result<Block<'a>, Error> {
        let mut content = Vec::with_capacity(result.content.len());
        for (at, part) in result.content.iter().enumerate() {
            if matches!(part, Part::ToolCall(_) | Part::ToolResult(_) | Part::Reasoning(_)) {
                return Err(self.wrong(at, "a tool result holds text, images and documents"));
            }
            if let Some(block) = self.block(at, part, body)? {
                content.push(Sent { block, cache: None });
            }
        }
        Ok(Block::ToolResult { id: id(&result.id), content, is_error: result.is_error })
    }
}

impl Block<'_> {
    /// Whether the prompt can be cached up to it.
    fn can_be_marked(&self) -> bool {
        !matches!(self, Self::Thinking(_) | Self::Redacted { .. } | Self::Native(_))
    }
}

/// The id with what the format refuses replaced, the same for a call and its result. Other vendors' ids are fine.
fn id(id: &str) -> Cow<'_, str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if id.is_empty() {
        Cow::Borrowed("call")
    } else if id.chars().all(fits) {
        Cow::Borrowed(id)
    } else {
        // Two ids that differ in what is refused alone stay two.
        let fitting: String = id.chars().map(|c| if fits(c) { c } else { '_' }).collect();
        Cow::Owned(format!("{fitting}_{}", short_id(&[id.as_bytes()])))
    }
}

/// The type of an image, from how its base64 begins.
fn image_type(data: &str) -> Option<&'static str> {
    let starts =
        [("iVBOR", "image/png"), ("/9j/", "image/jpeg"), ("R0lGOD", "image/gif"), ("UklGR", "image/webp")];
    starts.iter().find(|(start, _)| data.starts_with(start)).map(|(_, kind)| *kind)
}
