//! Turns and blocks as JSON.

use llm_types::{Extra, Media, MediaSource};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use super::{Block, Sent, Turn};

/// Members of a call that come back with it.
const OF_CALLS: &[&str] = &["caller", "toolset_name", "cache_control"];

/// A plain text is written as one, anything else as a list of blocks.
pub(super) struct Content<'s, 'a>(pub(super) &'s [Sent<'a>]);

impl Serialize for Content<'_, '_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            [Sent { block: Block::Text(text, None), cache: None }] => serializer.serialize_str(text),
            blocks => serializer.collect_seq(blocks),
        }
    }
}

impl Serialize for Turn<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("role", self.role)?;
        map.serialize_entry("content", &Content(&self.blocks))?;
        map.end()
    }
}

impl Serialize for Sent<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Block::Native(raw) = self.block {
            return raw.serialize(serializer);
        }
        let mut map = serializer.serialize_map(None)?;
        let (extra, only) = match &self.block {
            Block::Text(text, extra) => {
                map.serialize_entry("type", "text")?;
                map.serialize_entry("text", text)?;
                (extra.as_deref(), None)
            }
            Block::Image { media, kind } => {
                map.serialize_entry("type", "image")?;
                map.serialize_entry("source", &Source { media, kind, text: None })?;
                (Some(&media.extra), None)
            }
            Block::Document { media, text } => {
                let kind = match (&media.source, text) {
                    (_, Some(_)) => "text/plain",
                    (MediaSource::Base64 { media_type, .. }, _) if !media_type.is_empty() => media_type,
                    _ => "application/pdf",
                };
                map.serialize_entry("type", "document")?;
                map.serialize_entry("source", &Source { media, kind, text: text.as_deref() })?;
                if let Some(name) = &media.name {
                    map.serialize_entry("title", name)?;
                }
                (Some(&media.extra), None)
            }
            Block::Thinking(block) => {
                map.serialize_entry("type", "thinking")?;
                map.serialize_entry("thinking", &block.text)?;
                map.serialize_entry("signature", block.signature.as_deref().unwrap_or_default())?;
                (Some(&block.extra), None)
            }
            Block::Redacted { block, data } => {
                map.serialize_entry("type", "redacted_thinking")?;
                map.serialize_entry("data", data)?;
                (Some(&block.extra), None)
            }
            Block::ToolUse { id, call, input } => {
                map.serialize_entry("type", "tool_use")?;
                map.serialize_entry("id", id)?;
                map.serialize_entry("name", &call.name)?;
                map.serialize_entry("input", &**input)?;
                (Some(&call.extra), Some(OF_CALLS))
            }
            Block::ToolResult { id, content, is_error } => {
                map.serialize_entry("type", "tool_result")?;
                map.serialize_entry("tool_use_id", id)?;
                if !content.is_empty() {
                    map.serialize_entry("content", &Content(content))?;
                }
                if *is_error {
                    map.serialize_entry("is_error", &true)?;
                }
                (None, None)
            }
            Block::Native(_) => (None, None),
        };
        let is_sent = |name: &str| only.is_none_or(|only| only.contains(&name));
        for (name, value) in extra.into_iter().flat_map(Extra::iter).filter(|(name, _)| is_sent(name)) {
            map.serialize_entry(name, value)?;
        }
        let marked = extra.is_some_and(|extra| extra.get("cache_control").is_some());
        if let Some(mark) = self.cache.filter(|_| !marked) {
            map.serialize_entry("cache_control", mark)?;
        }
        map.end()
    }
}

/// Where the bytes of an image or a document are.
struct Source<'a> {
    media: &'a Media,
    kind: &'a str,
    /// The document is a plain text.
    text: Option<&'a str>,
}

impl Serialize for Source<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match (&self.media.source, self.text) {
            (MediaSource::Url(url), _) => {
                map.serialize_entry("type", "url")?;
                map.serialize_entry("url", url)?;
            }
            (MediaSource::FileId(id), _) => {
                map.serialize_entry("type", "file")?;
                map.serialize_entry("file_id", id)?;
            }
            (MediaSource::Base64 { data, .. }, text) => {
                map.serialize_entry("type", if text.is_some() { "text" } else { "base64" })?;
                map.serialize_entry("media_type", self.kind)?;
                map.serialize_entry("data", text.unwrap_or(data))?;
            }
        }
        map.end()
    }
}
