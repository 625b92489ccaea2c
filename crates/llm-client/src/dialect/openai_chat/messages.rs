//! The conversation on its way out: each message in the shape of this dialect, nothing left out without a word.

use std::borrow::Cow;

use llm_types::{
    ChatRequest, Error, ErrorKind, Extra, Media, MediaSource, Message, Part, Reasoning, Role, ToolCall,
    ToolResult,
};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

use crate::dialect::WireTarget;
use crate::dialect::body::Body;
use crate::dialect::quirks::{
    EmptyContent, FileUrl, Quirks, RefusalForm, ReplayField, ReplayWhen, SystemRole, ToolIds,
};

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
    Parts(Vec<SentPart<'a>>),
}

enum SentPart<'a> {
    Text(&'a str, Option<&'a Extra>),
    Image(&'a Media),
    Audio { data: &'a str, format: &'a str, extra: &'a Extra },
    File(&'a Media),
    DocumentUrl { url: &'a str, media: &'a Media },
    Refusal(&'a str),
    Thinking(&'a Reasoning),
    Native(&'a RawValue),
}

/// Earlier reasoning that goes back.
enum Thoughts<'a> {
    None,
    Text { member: &'static str, text: String },
    Details { plain: String, blocks: Vec<&'a Reasoning> },
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
        for (at, message) in request.messages.iter().enumerate() {
            let builder = Builder { at, message, target, quirks: target.quirks };
            builder.build(body, &mut sent)?;
        }
        Ok(Self(sent))
    }
}

struct Builder<'a, 't> {
    at: usize,
    message: &'a Message,
    target: &'t WireTarget<'a>,
    quirks: &'a Quirks,
}

impl<'a> Builder<'a, '_> {
    fn wrong(&self, part: usize, message: &str) -> Error {
        Error::new(ErrorKind::InvalidRequest, format!("messages[{}].content[{part}]: {message}", self.at))
    }

    fn build(&self, body: &mut Body, sent: &mut Vec<Sent<'a>>) -> Result<(), Error> {
        let message = self.message;
        let mut extra = Some(&message.extra).filter(|extra| !extra.is_empty());
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
            && match self.quirks.replay.when {
                ReplayWhen::Never => false,
                ReplayWhen::WithTools => !calls.is_empty(),
                ReplayWhen::Always => true,
            };
        let in_parts = replays && self.quirks.replay.field == ReplayField::ThinkingParts;
        let content = self.content(&message.parts, in_parts, !calls.is_empty())?;
        let thoughts = if replays { self.thoughts(body)? } else { Thoughts::None };
        let name = message.name.as_deref();
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
        if result.is_error {
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
        let content = self.content(&result.content, false, false)?;
        let call_id = Some(self.id(&result.id));
        Ok(Sent { role: "tool", name, call_id, content, thoughts: Thoughts::None, calls: Vec::new(), extra })
    }

    /// The id as the vendor wants it; the same for a call and its result.
    fn id(&self, id: &'a str) -> Cow<'a, str> {
        let fits = id.len() == 9 && id.bytes().all(|b| b.is_ascii_alphanumeric());
        match self.quirks.tool_ids {
            ToolIds::Nine if !fits => Cow::Owned(super::short_id(&[id.as_bytes()])),
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
                part => sent.push(self.part(at, part)?),
            }
        }
        Ok(match sent.as_slice() {
            [] if has_calls && self.quirks.empty_content == EmptyContent::Null => Content::Null,
            // A sound that is referred to is the content.
            [] if self.message.extra.get("audio").is_some() => Content::Null,
            [] => Content::Text(""),
            [SentPart::Text(text, None)] => Content::Text(text),
            _ => Content::Parts(sent),
        })
    }

    fn part(&self, at: usize, part: &'a Part) -> Result<SentPart<'a>, Error> {
        Ok(match part {
            Part::Text { text, extra } => SentPart::Text(text, Some(extra).filter(|extra| !extra.is_empty())),
            Part::Refusal { text } => match self.quirks.refusal {
                RefusalForm::Part => SentPart::Refusal(text),
                RefusalForm::Text => SentPart::Text(text, None),
            },
            Part::Image(media) => match &media.source {
                MediaSource::FileId(_) => SentPart::File(media),
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
            Part::Native(raw) => SentPart::Native(raw),
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
            let required = self.quirks.replay.when == ReplayWhen::WithTools;
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
                    Thoughts::Details { plain, blocks: kept }
                }
            }
        })
    }
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

fn audio_format(media_type: &str) -> &str {
    match media_type.strip_prefix("audio/").unwrap_or(media_type) {
        "mpeg" | "mpeg3" | "x-mpeg-3" => "mp3",
        "x-wav" | "wave" | "vnd.wave" => "wav",
        format => format,
    }
}

impl Serialize for Messages<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.0)
    }
}

impl Serialize for Sent<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let mut written = vec!["role", "content", "name", "tool_call_id", "tool_calls"];
        map.serialize_entry("role", self.role)?;
        if let Some(name) = self.name {
            map.serialize_entry("name", name)?;
        }
        if let Some(id) = &self.call_id {
            map.serialize_entry("tool_call_id", id)?;
        }
        map.serialize_entry("content", &self.content)?;
        match &self.thoughts {
            Thoughts::None => {}
            Thoughts::Text { member, text } => {
                map.serialize_entry(member, text)?;
                written.push(member);
            }
            Thoughts::Details { plain, blocks } => {
                if !plain.is_empty() {
                    map.serialize_entry("reasoning", plain)?;
                    written.push("reasoning");
                }
                if !blocks.is_empty() {
                    let blocks: Vec<Block<'_>> = blocks.iter().map(|block| Block(block)).collect();
                    map.serialize_entry("reasoning_details", &blocks)?;
                    written.push("reasoning_details");
                }
            }
        }
        if !self.calls.is_empty() {
            map.serialize_entry("tool_calls", &self.calls)?;
        }
        for (name, value) in self.extra.into_iter().flat_map(Extra::iter) {
            if !written.contains(&name) {
                map.serialize_entry(name, value)?;
            }
        }
        map.end()
    }
}

impl Serialize for Content<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_none(),
            Self::Text(text) => serializer.serialize_str(text),
            Self::Parts(parts) => {
                let mut seq = serializer.serialize_seq(Some(parts.len()))?;
                for part in parts {
                    seq.serialize_element(part)?;
                }
                seq.end()
            }
        }
    }
}

impl Serialize for SentPart<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Image<'a> {
            url: Address<'a>,
            #[serde(skip_serializing_if = "Option::is_none")]
            detail: Option<&'a str>,
        }
        #[derive(Serialize)]
        struct Audio<'a> {
            data: &'a str,
            format: &'a str,
        }
        #[derive(Serialize)]
        struct File<'a> {
            #[serde(skip_serializing_if = "Option::is_none")]
            filename: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            file_id: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            file_data: Option<Address<'a>>,
        }
        #[derive(Serialize)]
        struct Thought<'a> {
            r#type: &'a str,
            text: &'a str,
        }
        if let Self::Native(raw) = self {
            return raw.serialize(serializer);
        }
        let mut map = serializer.serialize_map(None)?;
        let extra = match *self {
            Self::Text(text, extra) => {
                map.serialize_entry("type", "text")?;
                map.serialize_entry("text", text)?;
                extra
            }
            Self::Image(media) => {
                let image = Image { url: Address(&media.source), detail: media.detail.as_deref() };
                map.serialize_entry("type", "image_url")?;
                map.serialize_entry("image_url", &image)?;
                Some(&media.extra)
            }
            Self::Audio { data, format, extra } => {
                map.serialize_entry("type", "input_audio")?;
                map.serialize_entry("input_audio", &Audio { data, format })?;
                Some(extra)
            }
            Self::File(media) => {
                let (file_id, file_data) = match &media.source {
                    MediaSource::FileId(id) => (Some(id.as_str()), None),
                    source => (None, Some(Address(source))),
                };
                let filename = media.name.as_deref();
                map.serialize_entry("type", "file")?;
                map.serialize_entry("file", &File { filename, file_id, file_data })?;
                Some(&media.extra)
            }
            Self::DocumentUrl { url, media } => {
                map.serialize_entry("type", "document_url")?;
                map.serialize_entry("document_url", url)?;
                if let Some(name) = &media.name {
                    map.serialize_entry("document_name", name)?;
                }
                Some(&media.extra)
            }
            Self::Refusal(text) => {
                map.serialize_entry("type", "refusal")?;
                map.serialize_entry("refusal", text)?;
                None
            }
            Self::Thinking(block) => {
                map.serialize_entry("type", "thinking")?;
                map.serialize_entry("thinking", &[Thought { r#type: "text", text: &block.text }])?;
                if let Some(signature) = &block.signature {
                    map.serialize_entry("signature", signature)?;
                }
                Some(&block.extra)
            }
            Self::Native(_) => None,
        };
        for (name, value) in extra.into_iter().flat_map(Extra::iter) {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// A URL, or data written as one without a copy.
struct Address<'a>(&'a MediaSource);

impl Serialize for Address<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            MediaSource::Url(text) | MediaSource::FileId(text) => serializer.serialize_str(text),
            MediaSource::Base64 { media_type, data } => {
                serializer.collect_str(&format_args!("data:{media_type};base64,{data}"))
            }
        }
    }
}

/// A block of reasoning, as it came.
struct Block<'a>(&'a Reasoning);

impl Serialize for Block<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let block = self.0;
        let (kind, member) = match block {
            Reasoning { encrypted: Some(_), .. } if block.text.is_empty() => ("reasoning.encrypted", None),
            Reasoning { summary: true, .. } => ("reasoning.summary", Some("summary")),
            _ => ("reasoning.text", Some("text")),
        };
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("type", kind)?;
        if let Some(member) = member {
            map.serialize_entry(member, &block.text)?;
        }
        let members = [
            ("data", &block.encrypted),
            ("signature", &block.signature),
            ("id", &block.id),
            ("format", &block.format),
        ];
        for (name, value) in members.into_iter().filter_map(|(name, value)| Some((name, value.as_ref()?))) {
            map.serialize_entry(name, value)?;
        }
        for (name, value) in block.extra.iter() {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Serialize for SentCall<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Function<'a> {
            name: &'a str,
            arguments: &'a str,
        }
        #[derive(Serialize)]
        struct Custom<'a> {
            name: &'a str,
            input: &'a str,
        }
        let ToolCall { name, arguments, custom, extra, .. } = self.call;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.id)?;
        if *custom {
            map.serialize_entry("type", "custom")?;
            map.serialize_entry("custom", &Custom { name, input: arguments })?;
        } else {
            // No arguments are an empty object; a server may parse them.
            let arguments = if arguments.trim().is_empty() { "{}" } else { arguments };
            map.serialize_entry("type", "function")?;
            map.serialize_entry("function", &Function { name, arguments })?;
        }
        for (name, value) in extra.iter().filter(|(name, _)| self.replay.contains(name)) {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}
