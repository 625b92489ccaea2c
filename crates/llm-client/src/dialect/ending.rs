//! How a stream ends, in whatever format, and what it says of tokens on the way: the last of it counts.

use llm_types::{Error, ErrorKind, StreamEvent, Usage, UsageSource, Warning};
use serde_json::value::RawValue;

/// What a server said of tokens.
#[derive(Debug)]
pub(crate) struct Reported {
    pub(crate) usage: Usage,
    /// It holds members that the ledger has no place for.
    pub(crate) more: bool,
}

/// The usage of a stream: a snapshot that each next one replaces.
#[derive(Debug, Default)]
pub(crate) struct UsageSoFar {
    usage: Option<Usage>,
    /// Where it was sent, if it holds more than the ledger has places for.
    json: String,
}

impl UsageSoFar {
    /// Takes the next snapshot, and gives it on when it has changed. `json` holds it as it was sent.
    ///
    /// One of nothing but zeros does not replace one that counts: gateways end streams so.
    pub(crate) fn take(&mut self, reported: &Reported, json: &str) -> Option<StreamEvent> {
        if reported.usage.total() == 0 && self.usage.is_some_and(|known| known.total() > 0) {
            return None;
        }
        self.json.clear();
        if reported.more {
            self.json.push_str(json);
        }
        let changed = self.usage != Some(reported.usage);
        self.usage = Some(reported.usage);
        changed.then_some(StreamEvent::Usage(reported.usage))
    }

    /// What was said of tokens on the way holds for the whole, now that it is whole. What the ledger has no place for is
    /// given under this name, as `sent` finds it in the last JSON.
    pub(crate) fn finish(
        &mut self,
        name: &str,
        sent: impl FnOnce(&str) -> Option<Box<RawValue>>,
        out: &mut Vec<StreamEvent>,
    ) {
        if let Some(usage) = self.usage.filter(|usage| usage.source == UsageSource::Partial) {
            out.push(StreamEvent::Usage(Usage { source: UsageSource::Reported, ..usage }));
        }
        if !self.json.is_empty()
            && let Some(value) = sent(&self.json)
        {
            out.push(StreamEvent::Extra { choice: None, name: name.to_owned(), value });
        }
    }
}

/// The error of an answer without bounds.
pub(crate) fn too_many(what: &str) -> Error {
    Error::new(ErrorKind::TooLarge, format!("the answer has more than {what}"))
}

/// That the end cut what came after the answer.
pub(crate) fn cut_after_answer() -> Warning {
    Warning::new("answer", "the stream was cut after the answer, and perhaps before its usage")
}
