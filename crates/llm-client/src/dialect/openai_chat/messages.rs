//! The conversation on its way out: each message in the shape of this dialect, nothing left out without a word.

use std::borrow::Cow;

use llm_types::{
    ChatRequest, Error, ErrorKind, Extra, Media, MediaSource, Message, Part, Reasoning, Role, ToolCall,
    ToolResult,
};
use serde_json::value::RawValue;

use crate::dialect::body::Body;
use crate::dialect::ids::short_id;
use crate::dialect::quirks::{
    BodyMember, EmptyContent, FileUrl, ImageUrl, Quirks, RefusalForm, ReplayField, ReplayWhen, Setting,
    SystemRole, ToolIds, Turns,
};
use crate::dialect::{MADE_BY, WireTarget};

mod turns;
mod write;

/// The messages of a request, ready to be written.
pub(super) struct Messages<'a>(Vec<Sent<'a>>);

/// One message on the wire.
struct Sent<'a> {
    role: &'static str,
    name: Option<&'a str>,
    call_id: Option<Cow<'a, str>>,
    content: Content<'a>,
    thoughts: Thoughts<'a>,
    calls: Vec<SentCall<'a>>,
    extra: Option<&'a Extra>,
}

enum Content<'a> {
    Null,
    Text(&'a str),
    /// Of several messages.
    Joined(String),
    Parts(Vec<SentPart<'a>>),
}

enum SentPart<'a> {
    Text(&'a str, Option<&'a Extra>),
    /// Of several messages.
    Joined(String),
    Image(&'a Media),
    Audio {
        data: &'a str,
        format: &'a str,
        extra: &'a Extra,
    },
    File(&'a Media),
    DocumentUrl {
        url: &'a str,
        media: &'a Media,
    },
    Refusal(&'a str),
    Thinking(&'a Reasoning),
    Native(&'a RawValue),
}

/// Earlier reasoning that goes back.
enum Thoughts<'a> {
    None,
    Text { member: &'static str, text: String },
    Details { plain: String, blocks: Vec<Cow<'a, Reasoning>> },
}

struct SentCall<'a> {
    id: Cow<'a, str>,
    call: &'a ToolCall,
    replay: &'static [&'static str],
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
        let mut sent = Vec::with_capacity(request.messages.len());
        let replay = match target.quirks.replay_on {
            Some(wanted) if has(&request.extra, wanted) => ReplayWhen::Always,
            _ => target.quirks.replay.when,
        };
        for (at, message) in request.messages.iter().enumerate() {
            let builder = Builder { at, message, target, quirks: target.quirks, replay };
            builder.build(body, &mut sent)?;
        }
        match target.quirks.turns {
            Turns::Any => Ok(Self(sent)),
            Turns::Alternating => turns::alternate(sent).map(Self),
        }
    }
}

/// Whether the user's own members say this.
fn has(extra: &Extra, wanted: BodyMember) -> bool {
    let object = extra.get(wanted.object).and_then(|raw| Extra::parse(raw.get()).ok());
    object.is_some_and(|object| object.get(wanted.member).is_some_and(|raw| raw.get() == wanted.value))
}

struct Builder<'a, 't> {
    at: usize,
    message: &'a Message,
    target: &'t WireTarget<'a>,
    quirks: &'a Quirks,
    replay: ReplayWhen,
}

impl<'a> Builder<'a, '_> {
    fn wrong(&self, part: usize, message: &str) -> Error {
        Error::new(ErrorKind::InvalidRequest, format!("messages[{}].content[{part}]: {message}", self.at))
    }

    fn build(&self, body: &mut Body, sent: &mut Vec<Sent<'a>>) -> Result<(), Error> {
        let message = self.message;
        let mut extra = Some(&message.extra).filter(|extra| !extra.is_empty());
        if message.role == Role::Assistant && self.has_foreign_members() {
            let about = format!("messages[{}]", self.at);
            body.warn(about, "members that only another vendor can read were left out")?;
            extra = None;
        }
        self.note_foreign(&message.parts, body)?;
        for part in &message.parts {
            if let Part::ToolResult(result) = part {
                let extra = if message.role == Role::Tool { extra.take() } else { None };
                sent.push(self.result(result, extra, body)?);
            }
        }
        let others = message.parts.iter().any(|part| !matches!(part, Part::ToolResult(_)));
        if message.role == Role::Tool {
            return if others || message.parts.is_empty() {
                Err(self.wrong(0, "a tool message holds results of tool calls, and nothing else"))
            } else {
                Ok(())
            };
        }
        if !others && !message.parts.is_empty() {
            return Ok(());
        }
        let calls: Vec<SentCall<'a>> = message
            .tool_calls()
            .map(|call| SentCall { id: self.id(&call.id), call, replay: self.quirks.replay_members })
            .collect();
        if !calls.is_empty() && message.role != Role::Assistant {
            return Err(self.wrong(0, "only an assistant message holds tool calls"));
        }
        let replays = message.role == Role::Assistant
            && match self.replay {
                ReplayWhen::Never => false,
                ReplayWhen::WithTools => !calls.is_empty(),
                ReplayWhen::Always => true,
            };
        let in_parts = replays && self.quirks.replay.field == ReplayField::ThinkingParts;
        let content = self.content(&message.parts, in_parts, !calls.is_empty())?;
        let thoughts = if replays { self.thoughts(body)? } else { Thoughts::None };
        let mut name = message.name.as_deref();
        if name.is_some() && !self.quirks.has(Setting::Name) {
            let about = format!("messages[{}].name", self.at);
            body.warn(about, "this endpoint has no word for it; it was left out")?;
            name = None;
        }
        sent.push(Sent { role: self.role(), name, call_id: None, content, thoughts, calls, extra });
        Ok(())
    }

    fn role(&self) -> &'static str {
        match (self.message.role, self.quirks.system_role) {
            (Role::System | Role::Developer, SystemRole::System) => "system",
            (Role::System | Role::Developer, SystemRole::Developer) => "developer",
            (Role::System | Role::Developer, SystemRole::User) => "user",
            (role, _) => role.as_str(),
        }
    }

    fn result(
        &self,
        result: &'a ToolResult,
        extra: Option<&'a Extra>,
        body: &mut Body,
    ) -> Result<Sent<'a>, Error> {
        // A text that begins with the word says so itself.
        let says_so = |text: &str| text.get(..5).is_some_and(|word| word.eq_ignore_ascii_case("error"));
        if result.is_error && !result.content.first().and_then(Part::as_text).is_some_and(says_so) {
            let about = format!("messages[{}].is_error", self.at);
            body.warn(about, "this format has no mark for a failed tool; its result was sent without")?;
        }
        let only_text = |part: &Part| matches!(part, Part::Text { .. } | Part::Native(_));
        if let Some(at) = result.content.iter().position(|part| !only_text(part)) {
            return Err(
                self.wrong(at, "a tool result is text in this format; send the rest as a user message")
            );
        }
        let name = if self.quirks.tool_result_name { result.name.as_deref() } else { None };
        self.note_foreign(&result.content, body)?;
        let content = self.content(&result.content, false, false)?;
        let call_id = Some(self.id(&result.id));
        Ok(Sent { role: "tool", name, call_id, content, thoughts: Thoughts::None, calls: Vec::new(), extra })
    }

    /// Whether somebody else made the members that stand beside the content.
    fn has_foreign_members(&self) -> bool {
        let made_by = self.message.extra.get(MADE_BY).map(|raw| serde_json::from_str::<String>(raw.get()));
        matches!((made_by, self.target.origin), (Some(Ok(theirs)), Some(ours)) if theirs != ours)
    }

    /// Says which parts of another vendor's own stay behind.
    fn note_foreign(&self, parts: &[Part], body: &mut Body) -> Result<(), Error> {
        for (at, part) in parts.iter().enumerate() {
            if matches!(part, Part::Native(part) if part.is_foreign_to(self.target.origin)) {
                let about = format!("messages[{}].content[{at}]", self.at);
                body.warn(about, "a part of another vendor's own was left out")?;
            }
        }
        Ok(())
    }

    /// The id as the vendor wants it; the same for a call and its result.
    fn id(&self, id: &'a str) -> Cow<'a, str> {
        let fits = id.len() == 9 && id.bytes().all(|b| b.is_ascii_alphanumeric());
        match self.quirks.tool_ids {
            ToolIds::Nine if !fits => Cow::Owned(short_id(&[id.as_bytes()])),
            ToolIds::Any | ToolIds::Nine => Cow::Borrowed(id),
        }
    }

    fn content(&self, parts: &'a [Part], thinking: bool, has_calls: bool) -> Result<Content<'a>, Error> {
        let mut sent = Vec::new();
        for (at, part) in parts.iter().enumerate() {
            match part {
                Part::ToolCall(_) | Part::ToolResult(_) => {}
                Part::Reasoning(block) if thinking => {
                    if !block.text.is_empty() && !self.is_foreign(block) {
                        sent.push(SentPart::Thinking(block));
                    }
                }
                Part::Reasoning(_) => {}
                Part::Native(part) if part.is_foreign_to(self.target.origin) => {}
                part => sent.push(self.part(at, part)?),
            }
        }
        Ok(match sent.as_slice() {
            [] if has_calls && self.quirks.empty_content == EmptyContent::Null => Content::Null,
            // A sound that is referred to is the content.
            [] if self.message.extra.get("audio").is_some() && !self.has_foreign_members() => Content::Null,
            [] => Content::Text(""),
            [SentPart::Text(text, None)] => Content::Text(text),
            _ => Content::Parts(sent),
        })
    }

    fn part(&self, at: usize, part: &'a Part) -> Result<SentPart<'a>, Error> {
        Ok(match part {
            Part::Text { text, extra } => {
                // Citations stand in texts of another format only, and are refused in this one.
                let fits = !extra.is_empty() && extra.get("citations").is_none();
                SentPart::Text(text, Some(extra).filter(|_| fits))
            }
            Part::Refusal { text } => match self.quirks.refusal {
                RefusalForm::Part => SentPart::Refusal(text),
                RefusalForm::Text => SentPart::Text(text, None),
            },
            Part::Image(media) => match &media.source {
                MediaSource::FileId(_) => SentPart::File(media),
                MediaSource::Url(url) if self.quirks.image_url == ImageUrl::OwnOnly && is_web(url) => {
                    return Err(
                        self.wrong(at, "an image behind a URL is not fetched here; send it as base64")
                    );
                }
                MediaSource::Url(_) | MediaSource::Base64 { .. } => SentPart::Image(media),
            },
            Part::Audio(media) => match &media.source {
                MediaSource::Base64 { media_type, data } => {
                    SentPart::Audio { data, format: audio_format(media_type), extra: &media.extra }
                }
                MediaSource::FileId(_) => SentPart::File(media),
                MediaSource::Url(_) => {
                    return Err(self.wrong(at, "a sound behind a URL has no form here; send it as base64"));
                }
            },
            Part::File(media) => match (&media.source, self.quirks.file_url) {
                (MediaSource::Url(_), FileUrl::Refused) => {
                    return Err(self.wrong(at, "a document behind a URL has no form here; send it as base64"));
                }
                (MediaSource::Url(url), FileUrl::DocumentUrl) => SentPart::DocumentUrl { url, media },
                _ => SentPart::File(media),
            },
            Part::Native(part) => SentPart::Native(&part.json),
            Part::Reasoning(_) | Part::ToolCall(_) | Part::ToolResult(_) => {
                return Err(self.wrong(at, "this part has a place of its own"));
            }
        })
    }

    /// Whether only somebody else can read the block.
    fn is_foreign(&self, block: &Reasoning) -> bool {
        matches!((&block.origin, self.target.origin), (Some(theirs), Some(ours)) if theirs != ours)
    }

    fn thoughts(&self, body: &mut Body) -> Result<Thoughts<'a>, Error> {
        let message = self.message;
        let blocks = || {
            message.parts.iter().filter_map(|part| match part {
                Part::Reasoning(block) => Some(block),
                _ => None,
            })
        };
        let text = |member| {
            // Required with tools, as an empty text if need be.
            let text = message.reasoning();
            let required = self.replay == ReplayWhen::WithTools;
            if text.is_empty() && !required { Thoughts::None } else { Thoughts::Text { member, text } }
        };
        let foreign = blocks().any(|block| self.is_foreign(block));
        let keeps_blocks =
            matches!(self.quirks.replay.field, ReplayField::Details | ReplayField::ThinkingParts);
        if foreign && keeps_blocks {
            let about = format!("messages[{}].reasoning", self.at);
            body.warn(about, "signed or encrypted reasoning that only another vendor can read was left out")?;
        }
        Ok(match self.quirks.replay.field {
            ReplayField::ReasoningContent => text("reasoning_content"),
            ReplayField::Reasoning => text("reasoning"),
            ReplayField::ThinkingParts => Thoughts::None,
            ReplayField::Details => {
                let (kept, plain): (Vec<&Reasoning>, Vec<&Reasoning>) =
                    blocks().filter(|block| !self.is_foreign(block)).partition(|block| is_block(block));
                let plain: String = plain.iter().map(|block| block.text.as_str()).collect();
                if kept.is_empty() && plain.is_empty() {
                    Thoughts::None
                } else {
                    Thoughts::Details { plain, blocks: put_together(kept) }
                }
            }
        })
    }
}

/// The blocks as the server numbered them: pieces of one may have come between those of another.
fn put_together(blocks: Vec<&Reasoning>) -> Vec<Cow<'_, Reasoning>> {
    let index = |block: &Reasoning| block.extra.get("index").map(|raw| raw.get().to_owned());
    let is_open = |block: &Reasoning| {
        block.signature.is_none() && block.encrypted.is_none() && block.extra.get("type").is_none()
    };
    let mut whole: Vec<Cow<'_, Reasoning>> = Vec::with_capacity(blocks.len());
    for block in blocks {
        let goes_on = |before: &&mut Cow<'_, Reasoning>| {
            is_open(before)
                && block.encrypted.is_none()
                && block.extra.get("type").is_none()
                && index(block).is_some()
                && (index(before), before.summary) == (index(block), block.summary)
        };
        match whole.iter_mut().find(goes_on) {
            Some(before) => {
                let before = before.to_mut();
                before.text.push_str(&block.text);
                before.signature = block.signature.clone();
                before.id = before.id.take().or_else(|| block.id.clone());
            }
            None => whole.push(Cow::Borrowed(block)),
        }
    }
    whole
}

/// Whether reasoning came as a block, and not as plain text.
fn is_block(block: &Reasoning) -> bool {
    block.summary
        || block.signature.is_some()
        || block.encrypted.is_some()
        || block.id.is_some()
        || block.format.is_some()
        || !block.extra.is_empty()
}

fn is_web(url: &str) -> bool {
    let scheme = url.split_once("://").map(|(scheme, _)| scheme).unwrap_or_default();
    scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
}

fn audio_format(media_type: &str) -> &str {
    match media_type.strip_prefix("audio/").unwrap_or(media_type) {
        "mpeg" | "mpeg3" | "x-mpeg-3" => "mp3",
        "x-wav" | "wave" | "vnd.wave" => "wav",
        format => format,
    }
}
