//! What a vendor is made to say, in nobody's format.

use llm_types::{ChatResponse, FinishReason};
use serde_json::Value;

use super::vendor::Vendor;

/// Holds more than one byte a letter, so that a cut may fall inside of one.
pub(super) const TEXT: &str = "Flut um vier, größer als gestern 🌊.";
pub(super) const THOUGHT: &str = "Need the port – Brest.";

/// One answer.
#[derive(Clone, Debug, Default)]
pub(super) struct Say {
    pub(super) thoughts: &'static str,
    pub(super) text: String,
    /// Name and arguments.
    pub(super) calls: Vec<(&'static str, &'static str)>,
    pub(super) end: End,
    /// How many answers of the same words.
    pub(super) n: usize,
    /// With members, parts and events that nobody knows.
    pub(super) odd: bool,
    pub(super) logprobs: bool,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum End {
    #[default]
    Done,
    Cut,
    Calls,
    Withheld,
}

/// Tokens, in totals: the answer's hold those of the thoughts, the prompt's those from the cache.
pub(super) struct Tokens {
    pub(super) input: u64,
    pub(super) cached: u64,
    pub(super) output: u64,
    pub(super) thoughts: u64,
}

/// What every answer of the suite has used.
pub(super) const TOKENS: Tokens = Tokens { input: 40, cached: 16, output: 21, thoughts: 8 };

impl Say {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), n: 1, ..Self::default() }
    }

    pub(super) fn calls(calls: &[(&'static str, &'static str)]) -> Self {
        Self { calls: calls.to_vec(), end: End::Calls, n: 1, ..Self::default() }
    }

    pub(super) fn thinking(self, thoughts: &'static str) -> Self {
        Self { thoughts, ..self }
    }

    pub(super) fn ending(self, end: End) -> Self {
        Self { end, ..self }
    }

    /// The text in three pieces, as streams have them.
    pub(super) fn pieces(text: &str) -> Vec<&str> {
        let cut = |part: usize| {
            (0..=text.len() * part / 3).rev().find(|at| text.is_char_boundary(*at)).unwrap_or_default()
        };
        let (first, rest) = text.split_at(cut(1));
        let (second, third) = rest.split_at(cut(2) - first.len());
        [first, second, third].into_iter().filter(|piece| !piece.is_empty()).collect()
    }

    /// Whether the thoughts can be seen at all.
    pub(super) fn shown(&self, vendor: &Vendor) -> &'static str {
        if vendor.can("thoughts") { self.thoughts } else { "" }
    }

    /// Whether an answer is this one.
    pub(super) fn is_said_by(&self, vendor: &Vendor, response: &ChatResponse) -> Result<(), String> {
        let choices = response.choices.len();
        if choices != self.n {
            return Err(format!("{choices} answers in place of {}", self.n));
        }
        same("the text", &response.text(), &self.text)?;
        same("the thoughts", &response.reasoning(), &self.shown(vendor).to_owned())?;
        let calls: Vec<(String, Value)> = response
            .tool_calls()
            .map(|call| (call.name.clone(), serde_json::from_str(&call.arguments).unwrap_or_default()))
            .collect();
        let expected: Vec<(String, Value)> = self
            .calls
            .iter()
            .map(|(name, arguments)| ((*name).to_owned(), serde_json::from_str(arguments).unwrap()))
            .collect();
        same("the calls", &calls, &expected)?;
        if response.tool_calls().any(|call| call.id.is_empty()) {
            return Err("a call has no id".into());
        }
        let reason = match self.end {
            End::Done => FinishReason::Stop,
            End::Cut => FinishReason::Length,
            End::Calls => FinishReason::ToolCalls,
            End::Withheld => FinishReason::ContentFilter,
        };
        same("the end", &response.finish_reason(), &Some(reason))
    }
}

/// Compares what came with what must be.
pub(super) fn same<T: PartialEq + std::fmt::Debug>(
    what: &str,
    found: &T,
    expected: &T,
) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("{what}: {found:?} in place of {expected:?}")) }
}
