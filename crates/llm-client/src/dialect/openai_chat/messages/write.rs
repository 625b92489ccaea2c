//! Messages as JSON.

use llm_types::{Extra, MediaSource, Reasoning, ToolCall};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Serialize, Serializer};

use crate::dialect::MADE_BY;

use super::{Content, Messages, Sent, SentCall, SentPart, Thoughts};

impl Serialize for Messages<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(&self.0)
    }
}

impl Serialize for Sent<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let mut written = vec!["role", "content", "name", "tool_call_id", "tool_calls", MADE_BY];
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
            Self::Joined(text) => serializer.serialize_str(text),
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
            Self::Joined(ref text) => {
                map.serialize_entry("type", "text")?;
                map.serialize_entry("text", text)?;
                None
            }
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
        // A block of a kind of the server's own keeps it with the rest of what it holds.
        let own_kind = block.extra.get("type").is_some();
        if !own_kind {
            map.serialize_entry("type", kind)?;
        }
        if let Some(member) = member.filter(|_| !own_kind || !block.text.is_empty()) {
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
            // No arguments are an empty object, whatever word a server had for none; another may parse them.
            let arguments = if matches!(arguments.trim(), "" | "null") { "{}" } else { arguments };
            map.serialize_entry("type", "function")?;
            map.serialize_entry("function", &Function { name, arguments })?;
        }
        for (name, value) in extra.iter().filter(|(name, _)| self.replay.contains(name)) {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}
