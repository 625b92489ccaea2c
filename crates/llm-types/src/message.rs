//! Messages and the parts they are made of.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::value::RawValue;

use crate::extra::Extra;
use crate::tool::{ToolCall, ToolResult};

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Instructions of the application.
    System,
    /// The same, for models that tell developer and system apart.
    Developer,
    /// The user.
    User,
    /// The model.
    Assistant,
    /// Results of tool calls.
    Tool,
}

impl Role {
    /// The word in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Developer => "developer",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
        }
    }
}

/// One message: a role and what it says, in order.
///
/// Its JSON form is OpenAI's, because that is what users have in their files. Reading is tolerant (role `function`,
/// `function_call`, several names for reasoning); writing loses nothing that reading understands.
#[derive(Clone, Debug)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said, in order: text, media, reasoning, tool calls and results.
    pub parts: Vec<Part>,
    /// The participant's name, where several share a role.
    pub name: Option<String>,
    /// Members we do not know.
    pub extra: Extra,
}

impl Message {
    /// A message of these parts.
    #[must_use]
    pub fn new(role: Role, parts: Vec<Part>) -> Self {
        Self { role, parts, name: None, extra: Extra::new() }
    }

    /// A system message.
    #[must_use]
    pub fn system(text: impl Into<String>) -> Self {
        Self::new(Role::System, vec![Part::text(text)])
    }

    /// A user message.
    #[must_use]
    pub fn user(text: impl Into<String>) -> Self {
        Self::new(Role::User, vec![Part::text(text)])
    }

    /// An earlier answer.
    #[must_use]
    pub fn assistant(text: impl Into<String>) -> Self {
        Self::new(Role::Assistant, vec![Part::text(text)])
    }

    /// A tool's result.
    #[must_use]
    pub fn tool(result: ToolResult) -> Self {
        Self::new(Role::Tool, vec![Part::ToolResult(result)])
    }

    /// All text parts, joined. Reasoning is not text.
    #[must_use]
    pub fn text(&self) -> String {
        join(self.parts.iter().filter_map(Part::as_text))
    }

    /// All readable reasoning, joined: thoughts and summaries, not signatures or encrypted blocks.
    #[must_use]
    pub fn reasoning(&self) -> String {
        join(self.parts.iter().filter_map(|part| match part {
            Part::Reasoning(reasoning) => Some(reasoning.text.as_str()),
            _ => None,
        }))
    }

    /// The refusal, where the model refused in so many words.
    #[must_use]
    pub fn refusal(&self) -> Option<String> {
        let text = join(self.parts.iter().filter_map(|part| match part {
            Part::Refusal { text } => Some(text.as_str()),
            _ => None,
        }));
        (!text.is_empty()).then_some(text)
    }

    /// The calls the model made, in order.
    pub fn tool_calls(&self) -> impl Iterator<Item = &ToolCall> {
        self.parts.iter().filter_map(|part| match part {
            Part::ToolCall(call) => Some(call),
            _ => None,
        })
    }
}

/// Joins without copying when there is one piece only.
fn join<'a>(mut pieces: impl Iterator<Item = &'a str>) -> String {
    let mut text = pieces.next().unwrap_or_default().to_owned();
    pieces.for_each(|piece| text.push_str(piece));
    text
}

/// One piece of a message.
#[derive(Clone, Debug)]
pub enum Part {
    /// Plain text.
    Text {
        /// The text.
        text: String,
        /// Members we do not know, such as a cache mark.
        extra: Extra,
    },
    /// A picture.
    Image(Media),
    /// A sound.
    Audio(Media),
    /// A document.
    File(Media),
    /// What the model thought, with all that is needed to send it back.
    Reasoning(Reasoning),
    /// A call the model made.
    ToolCall(ToolCall),
    /// What a tool gave.
    ToolResult(ToolResult),
    /// The model's refusal.
    Refusal {
        /// Its words.
        text: String,
    },
    /// A vendor's own part, kept as it is written.
    Native(NativePart),
}

impl Part {
    /// A text part.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into(), extra: Extra::new() }
    }

    /// A part of some vendor's own, as the user wrote it: it goes to whoever is asked.
    #[must_use]
    pub fn native(json: Box<RawValue>) -> Self {
        Self::Native(NativePart { json, origin: None })
    }

    /// The text of a text part.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text { text, .. } => Some(text),
            _ => None,
        }
    }
}

/// A picture, sound or document.
#[derive(Clone, Debug)]
pub struct Media {
    /// Where its bytes are.
    pub source: MediaSource,
    /// How closely to look at a picture (`auto`, `low`, `high` …).
    pub detail: Option<String>,
    /// A file name, for documents.
    pub name: Option<String>,
    /// Members we do not know, such as a cache mark.
    pub extra: Extra,
}

/// Where the bytes of a medium are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MediaSource {
    /// The vendor fetches it from there; we never do.
    Url(String),
    /// Here, in base64.
    Base64 {
        /// `image/png`, `audio/wav` … Empty where it is not known.
        media_type: String,
        /// Base64 text.
        data: String,
    },
    /// Uploaded before, under this id.
    FileId(String),
}

impl Media {
    /// A medium from this source.
    #[must_use]
    pub fn new(source: MediaSource) -> Self {
        Self { source, detail: None, name: None, extra: Extra::new() }
    }

    /// A medium from a URL; a `data:` URL is taken apart.
    #[must_use]
    pub fn from_url(url: impl Into<String>) -> Self {
        Self::new(MediaSource::from_url(url.into()))
    }

    /// A medium from its bytes, of this type: `image/png`, `audio/wav`, `application/pdf` …
    #[must_use]
    pub fn from_bytes(media_type: impl Into<String>, bytes: &[u8]) -> Self {
        let data = BASE64_STANDARD.encode(bytes);
        Self::new(MediaSource::Base64 { media_type: media_type.into(), data })
    }
}

impl MediaSource {
    /// A `data:…;base64,…` URL becomes [`Base64`](Self::Base64), any other stays a URL.
    #[must_use]
    pub fn from_url(url: String) -> Self {
        let data = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
        match data {
            Some((media_type, data)) => {
                Self::Base64 { media_type: media_type.to_owned(), data: data.to_owned() }
            }
            None => Self::Url(url),
        }
    }

    /// The source as a URL, where it can be one.
    #[must_use]
    pub fn to_url(&self) -> Option<String> {
        match self {
            Self::Url(url) => Some(url.clone()),
            Self::Base64 { media_type, data } => Some(format!("data:{media_type};base64,{data}")),
            Self::FileId(_) => None,
        }
    }
}

/// A part in a vendor's own form: a server-side tool's call and result, code that ran there, a new kind of medium.
#[derive(Clone, Debug)]
pub struct NativePart {
    /// The part, as it is written.
    pub json: Box<RawValue>,
    /// Who made it, and so can read it (a provider's name); failover leaves it out for anybody else. `None`: the user
    /// wrote it.
    pub origin: Option<String>,
}

impl NativePart {
    /// Whether `provider` did not make it and so cannot be expected to read it. Not where either is unknown.
    #[must_use]
    pub fn is_foreign_to(&self, provider: Option<&str>) -> bool {
        matches!((self.origin.as_deref(), provider), (Some(theirs), Some(ours)) if theirs != ours)
    }
}

/// What the model thought, with all that is needed to send it back to the vendor that made it.
#[derive(Clone, Debug, Default)]
pub struct Reasoning {
    /// Readable text; empty for an encrypted block.
    pub text: String,
    /// Whether the text is a summary by the vendor and not the thoughts themselves.
    pub summary: bool,
    /// The vendor's signature over the text.
    pub signature: Option<String>,
    /// Redacted or encrypted thoughts, as sent.
    pub encrypted: Option<String>,
    /// The vendor's id of the block.
    pub id: Option<String>,
    /// The vendor's name for the block's format, where it gave one.
    pub format: Option<String>,
    /// Who can read signature and encrypted block (a dialect's or vendor's name); failover strips them for anybody else.
    pub origin: Option<String>,
    /// Members we do not know.
    pub extra: Extra,
}

impl Reasoning {
    /// Readable thoughts.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }
}
