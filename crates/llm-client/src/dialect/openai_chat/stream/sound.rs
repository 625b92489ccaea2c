//! A sound in an answer: base64 in pieces, put together.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use llm_types::{Extra, StreamEvent};
use serde_json::value::{RawValue, to_raw_value};

use crate::dialect::json::{Raw, Text};
use crate::dialect::openai_chat::wire::Audio;

/// A sound that came in pieces.
#[derive(Debug, Default)]
pub(super) struct Sound {
    pieces: u32,
    /// As sent, while there is one piece only.
    sent: Option<Box<RawValue>>,
    id: Option<String>,
    data: Vec<u8>,
    transcript: String,
    expires_at: Option<Box<RawValue>>,
}

impl Sound {
    /// Adds a piece. `false`: a part of it is broken.
    pub(super) fn take(&mut self, piece: Audio<'_>, raw: Raw<'_>) -> bool {
        self.pieces += 1;
        self.sent = if self.pieces == 1 { raw.some().map(ToOwned::to_owned) } else { None };
        // Each piece is base64 of its own.
        let decoded = BASE64_STANDARD.decode(piece.data.as_str());
        self.transcript.push_str(piece.transcript.as_str());
        self.expires_at = expiry(&piece).map(ToOwned::to_owned).or(self.expires_at.take());
        self.id = piece.id.owned().or(self.id.take());
        decoded.is_ok_and(|bytes| {
            self.data.extend_from_slice(&bytes);
            true
        })
    }

    /// Whether the next request can refer to it.
    pub(super) fn has_id(&self) -> bool {
        self.id.is_some()
    }

    pub(super) fn bytes(&self) -> usize {
        self.data.len().saturating_add(self.transcript.len())
    }

    pub(super) fn close(self, choice: u32, out: &mut Vec<StreamEvent>) {
        let (name, id) = ("audio".to_owned(), self.id.clone());
        if let Some(value) = self.sent.clone().or_else(|| self.join().ok()) {
            out.push(StreamEvent::Extra { choice: Some(choice), name: name.clone(), value });
        }
        // The next request refers to the sound by its id.
        let mut reference = Extra::new();
        if let Some(id) = id
            && reference.set("id", &id).is_ok()
            && let Ok(value) = to_raw_value(&reference)
        {
            out.push(StreamEvent::Replay { choice, call: None, name, value });
        }
    }

    /// The pieces as one object.
    fn join(self) -> Result<Box<RawValue>, serde_json::Error> {
        let mut all = Extra::new();
        all.set("id", &self.id)?;
        all.set("data", &BASE64_STANDARD.encode(&self.data))?;
        all.set("transcript", &self.transcript)?;
        all.set("expires_at", &self.expires_at)?;
        to_raw_value(&all)
    }
}

/// Whether a piece holds anything: some servers send empty ones with every delta.
pub(super) fn says_something(piece: &Audio<'_>) -> bool {
    let says = |text: &Text<'_>| !text.as_str().is_empty();
    says(&piece.id) || says(&piece.data) || says(&piece.transcript) || expiry(piece).is_some()
}

fn expiry<'a>(piece: &Audio<'a>) -> Option<&'a RawValue> {
    piece.expires_at.some().filter(|at| at.get() != "0")
}
