//! Which dialect a request speaks, and who answers it.

use std::fmt;

use crate::{
    answer::Answer,
    anthropic, gemini,
    limits::Refused,
    log::Received,
    openai_chat,
    script::Reply,
    speech::{Context, Pace},
};

/// A wire format. A request's path tells it; where two share one (`GET /v1/models`), its headers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Dialect {
    /// OpenAI Chat Completions, and whatever no other dialect claims.
    OpenAiChat,
    /// Anthropic Messages.
    Anthropic,
    /// Gemini `generateContent`, under the paths of the Developer API and of Vertex AI.
    Gemini,
}

/// What the headers tell of the dialect, kept when the headers are not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    /// The version an `anthropic-version` header names.
    pub(crate) version: Option<Version>,
    /// Whether the key came in `x-goog-api-key`.
    pub(crate) google_key: bool,
}

/// An API version of Anthropic Messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// `2023-06-01`.
    First,
    /// `2026-10-21`.
    Second,
    Unknown,
}

impl Marks {
    pub(crate) fn note(&mut self, name: &str, value: &[u8]) {
        if name.eq_ignore_ascii_case("anthropic-version") {
            self.version = Some(match value.trim_ascii() {
                b"2023-06-01" => Version::First,
                b"2026-10-21" => Version::Second,
                _ => Version::Unknown,
            });
        } else if name.eq_ignore_ascii_case("x-goog-api-key") {
            self.google_key = true;
        }
    }
}

impl Dialect {
    /// Every dialect.
    pub const ALL: [Self; 3] = [Self::OpenAiChat, Self::Anthropic, Self::Gemini];

    /// `openai_chat`, `anthropic` or `gemini`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OpenAiChat => "openai_chat",
            Self::Anthropic => "anthropic",
            Self::Gemini => "gemini",
        }
    }

    pub(crate) fn of(request: &Received) -> Self {
        let path = request.path();
        let models = path == "/v1/models" || path.starts_with("/v1/models/");
        if gemini::owns(path) || models && (request.marks.google_key || gemini::key_in_url(request)) {
            Self::Gemini
        } else if anthropic::owns(path) || models && request.marks.version.is_some() {
            Self::Anthropic
        } else {
            Self::OpenAiChat
        }
    }

    /// The answer in `reply`'s words. Verbatim replies are none of our business.
    pub(crate) fn answer(
        self,
        request: &Received,
        reply: &Reply,
        pace: Pace,
        context: &Context<'_>,
    ) -> Answer {
        match self {
            Self::OpenAiChat => openai_chat::answer(request, reply, pace, context),
            Self::Anthropic => anthropic::answer(request, reply, pace, context),
            Self::Gemini => gemini::answer(request, reply, pace, context),
        }
    }

    pub(crate) fn refuse(self, request: &Received, refused: Refused) -> Answer {
        match self {
            Self::OpenAiChat => openai_chat::Problem::refused(refused).into_answer(),
            Self::Anthropic => anthropic::refuse(request, refused),
            Self::Gemini => gemini::refuse(request, refused),
        }
    }

    /// The header with which an answer names its request; there is none where the body does.
    pub(crate) fn request_id_header(self) -> Option<&'static str> {
        match self {
            Self::OpenAiChat => Some("x-request-id"),
            Self::Anthropic => Some("request-id"),
            Self::Gemini => None,
        }
    }

    /// What the server does not know, or should not have been told, for the log. Names only, never a value.
    pub(crate) fn notes(self, request: &Received) -> Vec<String> {
        match self {
            Self::OpenAiChat => Vec::new(),
            Self::Anthropic => anthropic::notes(request),
            Self::Gemini => gemini::notes(request),
        }
    }

    /// The last user message's text, for the log.
    pub(crate) fn last_user_text(self, request: &Received) -> Option<String> {
        match self {
            Self::OpenAiChat => openai_chat::last_user_text(&request.body),
            Self::Anthropic => anthropic::last_user_text(request),
            Self::Gemini => gemini::last_user_text(request),
        }
    }
}

impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
