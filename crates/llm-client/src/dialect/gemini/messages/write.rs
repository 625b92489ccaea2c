//! Parts as JSON.

use std::borrow::Cow;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// One part of a content.
pub(in crate::dialect::gemini) enum SentPart<'a> {
    Text {
        text: &'a str,
        thought: bool,
        signature: Option<Signature<'a>>,
        beside: Vec<(&'a str, &'a RawValue)>,
    },
    Data {
        kind: &'a str,
        data: &'a str,
        level: Option<&'static str>,
        beside: Vec<(&'a str, &'a RawValue)>,
    },
    File {
        kind: Option<&'static str>,
        uri: &'a str,
        level: Option<&'static str>,
        beside: Vec<(&'a str, &'a RawValue)>,
    },
    Call {
        id: Option<&'a RawValue>,
        name: &'a str,
        args: Option<Cow<'a, RawValue>>,
        signature: Option<Signature<'a>>,
    },
    Result {
        id: Option<&'a RawValue>,
        name: &'a str,
        failed: bool,
        outcome: Outcome<'a>,
        parts: Vec<SentPart<'a>>,
        /// Its call's place among all calls.
        order: usize,
    },
    Native(&'a RawValue),
}

/// What a tool gave.
pub(in crate::dialect::gemini) enum Outcome<'a> {
    Nothing,
    Text(Cow<'a, str>),
    Json(&'a RawValue),
}

/// A signature.
#[derive(Clone, Copy)]
pub(in crate::dialect::gemini) enum Signature<'a> {
    /// As the server gave it.
    Own(&'a str),
    /// What the server takes for one that it cannot have given.
    StandIn(&'static str),
}

impl<'a> SentPart<'a> {
    pub(super) fn text(text: &'a str) -> Self {
        Self::said(text, false, None)
    }

    pub(super) fn said(text: &'a str, thought: bool, signature: Option<Signature<'a>>) -> Self {
        Self::Text { text, thought, signature, beside: Vec::new() }
    }

    /// Where it goes among its neighbours; only results are ordered, and they stand alone.
    pub(super) fn order(&self) -> usize {
        match self {
            Self::Result { order, .. } => *order,
            _ => 0,
        }
    }
}

impl Serialize for Signature<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Own(text) | Self::StandIn(text) => serializer.serialize_str(text),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Data<'a> {
    mime_type: &'a str,
    data: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct File<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    mime_type: Option<&'a str>,
    file_uri: &'a str,
}

#[derive(Serialize)]
struct Resolution {
    level: &'static str,
}

#[derive(Serialize)]
struct Call<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RawValue>,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    args: Option<&'a RawValue>,
}

#[derive(Serialize)]
struct ResultOf<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a RawValue>,
    name: &'a str,
    response: Response<'a>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    parts: &'a [SentPart<'a>],
}

struct Response<'a> {
    failed: bool,
    outcome: &'a Outcome<'a>,
}

impl Serialize for Response<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let name = if self.failed { "error" } else { "output" };
        let mut map = serializer.serialize_map(None)?;
        match self.outcome {
            Outcome::Nothing if self.failed => map.serialize_entry(name, "")?,
            Outcome::Nothing => {}
            Outcome::Text(text) => map.serialize_entry(name, text)?,
            Outcome::Json(raw) => map.serialize_entry(name, raw)?,
        }
        map.end()
    }
}

impl Serialize for SentPart<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if let Self::Native(raw) = self {
            return raw.serialize(serializer);
        }
        let mut map = serializer.serialize_map(None)?;
        match self {
            Self::Text { text, thought, signature, beside } => {
                map.serialize_entry("text", text)?;
                if *thought {
                    map.serialize_entry("thought", &true)?;
                }
                if let Some(signature) = signature {
                    map.serialize_entry("thoughtSignature", signature)?;
                }
                write_beside(&mut map, None, beside)?;
            }
            Self::Data { kind, data, level, beside } => {
                map.serialize_entry("inlineData", &Data { mime_type: kind, data })?;
                write_beside(&mut map, *level, beside)?;
            }
            Self::File { kind, uri, level, beside } => {
                map.serialize_entry("fileData", &File { mime_type: *kind, file_uri: uri })?;
                write_beside(&mut map, *level, beside)?;
            }
            Self::Call { id, name, args, signature } => {
                map.serialize_entry("functionCall", &Call { id: *id, name, args: args.as_deref() })?;
                if let Some(signature) = signature {
                    map.serialize_entry("thoughtSignature", signature)?;
                }
            }
            Self::Result { id, name, failed, outcome, parts, .. } => {
                let response = Response { failed: *failed, outcome };
                map.serialize_entry("functionResponse", &ResultOf { id: *id, name, response, parts })?;
            }
            Self::Native(_) => {}
        }
        map.end()
    }
}

/// Writes what stands beside the data of a part; the user's own word goes before ours.
fn write_beside<M: SerializeMap>(
    map: &mut M,
    level: Option<&'static str>,
    beside: &[(&str, &RawValue)],
) -> Result<(), M::Error> {
    let own = beside.iter().any(|(name, _)| *name == "mediaResolution");
    if let Some(level) = level.filter(|_| !own) {
        map.serialize_entry("mediaResolution", &Resolution { level })?;
    }
    beside.iter().try_for_each(|(name, value)| map.serialize_entry(name, value))
}
