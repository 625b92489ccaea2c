//! The usage ledger: disjoint classes of tokens, totals as methods, and where the numbers come from.

use serde::{Deserialize, Serialize};

use crate::extra::Extra;
use crate::response::Warning;

/// What a call used, in tokens. The classes do not overlap; a class that was not reported is `None`, not 0.
///
/// In JSON `input_tokens` and `output_tokens` are totals (OpenTelemetry's meaning) and the others their parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "UsageJson", from = "UsageJson")]
pub struct Usage {
    /// Text read afresh: neither from a cache nor written to one, no audio and no image.
    pub fresh_input: u64,
    /// Read from the vendor's prompt cache.
    pub cache_read: Option<u64>,
    /// Written to the cache for five minutes (or a vendor's only kind).
    pub cache_write_5m: Option<u64>,
    /// Written to the cache for an hour.
    pub cache_write_1h: Option<u64>,
    /// Audio read.
    pub audio_input: Option<u64>,
    /// Images read.
    pub image_input: Option<u64>,
    /// Text written, without reasoning and audio.
    pub plain_output: u64,
    /// Written while thinking.
    pub reasoning: Option<u64>,
    /// Audio written.
    pub audio_output: Option<u64>,
    /// Where the numbers come from.
    pub source: UsageSource,
}

/// Where the numbers of a [`Usage`] come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageSource {
    /// The vendor said so, for the whole answer.
    #[default]
    Reported,
    /// The vendor said so before the answer was whole: the stream broke, or was dropped.
    Partial,
    /// We counted.
    Estimated,
}

/// How many tokens a request would be read as, by the server's own count. Nothing was answered.
#[derive(Clone, Debug, Default)]
pub struct TokenCount {
    /// All of it: messages, system text, tools, pictures.
    pub input_tokens: u64,
    /// The part of it that would be read from the prompt cache, where the server says so.
    pub cache_read: Option<u64>,
    /// What of the request could not be said.
    pub warnings: Vec<Warning>,
    /// Members of the answer that we do not know.
    pub extra: Extra,
}

/// A vendor's overlapping numbers: totals that hold their parts.
#[derive(Clone, Copy, Debug, Default)]
pub struct Totals {
    /// All input, cached or not.
    pub input: u64,
    /// All output, reasoning included.
    pub output: u64,
    /// Part of `input`.
    pub cache_read: Option<u64>,
    /// Part of `input`.
    pub cache_write_5m: Option<u64>,
    /// Part of `input`.
    pub cache_write_1h: Option<u64>,
    /// Part of `input`.
    pub audio_input: Option<u64>,
    /// Part of `input`.
    pub image_input: Option<u64>,
    /// Part of `output`.
    pub reasoning: Option<u64>,
    /// Part of `output`.
    pub audio_output: Option<u64>,
}

impl Usage {
    /// All tokens read.
    #[must_use]
    pub fn input_total(&self) -> u64 {
        [self.cache_read, self.cache_write_5m, self.cache_write_1h, self.audio_input, self.image_input]
            .into_iter()
            .flatten()
            .fold(self.fresh_input, u64::saturating_add)
    }

    /// All tokens written.
    #[must_use]
    pub fn output_total(&self) -> u64 {
        [self.reasoning, self.audio_output].into_iter().flatten().fold(self.plain_output, u64::saturating_add)
    }

    /// All tokens read and written.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.input_total().saturating_add(self.output_total())
    }

    /// Makes the classes disjoint. Parts that exceed their total are cut to what is left of it (vendors report such
    /// numbers), so that the totals stay what the vendor said.
    #[must_use]
    pub fn from_totals(totals: Totals, source: UsageSource) -> Self {
        let mut input = totals.input;
        let mut output = totals.output;
        let part = |left: &mut u64, value: Option<u64>| {
            value.map(|value| {
                let value = value.min(*left);
                *left -= value;
                value
            })
        };
        Self {
            cache_read: part(&mut input, totals.cache_read),
            cache_write_5m: part(&mut input, totals.cache_write_5m),
            cache_write_1h: part(&mut input, totals.cache_write_1h),
            audio_input: part(&mut input, totals.audio_input),
            image_input: part(&mut input, totals.image_input),
            fresh_input: input,
            reasoning: part(&mut output, totals.reasoning),
            audio_output: part(&mut output, totals.audio_output),
            plain_output: output,
            source,
        }
    }

    /// Adds another call's numbers, class by class. The sum is only as good as its worst part.
    pub fn add(&mut self, other: &Self) {
        fn sum(to: &mut Option<u64>, from: Option<u64>) {
            *to = match (*to, from) {
                (None, None) => None,
                (a, b) => Some(a.unwrap_or(0).saturating_add(b.unwrap_or(0))),
            };
        }
        self.fresh_input = self.fresh_input.saturating_add(other.fresh_input);
        self.plain_output = self.plain_output.saturating_add(other.plain_output);
        sum(&mut self.cache_read, other.cache_read);
        sum(&mut self.cache_write_5m, other.cache_write_5m);
        sum(&mut self.cache_write_1h, other.cache_write_1h);
        sum(&mut self.audio_input, other.audio_input);
        sum(&mut self.image_input, other.image_input);
        sum(&mut self.reasoning, other.reasoning);
        sum(&mut self.audio_output, other.audio_output);
        self.source = match (self.source, other.source) {
            (UsageSource::Estimated, _) | (_, UsageSource::Estimated) => UsageSource::Estimated,
            (UsageSource::Partial, _) | (_, UsageSource::Partial) => UsageSource::Partial,
            (UsageSource::Reported, UsageSource::Reported) => UsageSource::Reported,
        };
    }
}

/// The names of ECOSYSTEM's JSON: totals, and the parts that were reported.
#[derive(Serialize, Deserialize)]
struct UsageJson {
    input_tokens: u64,
    output_tokens: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cache_read_tokens: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cache_write_5m_tokens: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cache_write_1h_tokens: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reasoning_tokens: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    audio_input_tokens: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    audio_output_tokens: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    image_input_tokens: Option<u64>,
    #[serde(default)]
    source: UsageSource,
}

impl From<Usage> for UsageJson {
    fn from(usage: Usage) -> Self {
        Self {
            input_tokens: usage.input_total(),
            output_tokens: usage.output_total(),
            cache_read_tokens: usage.cache_read,
            cache_write_5m_tokens: usage.cache_write_5m,
            cache_write_1h_tokens: usage.cache_write_1h,
            reasoning_tokens: usage.reasoning,
            audio_input_tokens: usage.audio_input,
            audio_output_tokens: usage.audio_output,
            image_input_tokens: usage.image_input,
            source: usage.source,
        }
    }
}

impl From<UsageJson> for Usage {
    fn from(json: UsageJson) -> Self {
        let totals = Totals {
            input: json.input_tokens,
            output: json.output_tokens,
            cache_read: json.cache_read_tokens,
            cache_write_5m: json.cache_write_5m_tokens,
            cache_write_1h: json.cache_write_1h_tokens,
            audio_input: json.audio_input_tokens,
            image_input: json.image_input_tokens,
            reasoning: json.reasoning_tokens,
            audio_output: json.audio_output_tokens,
        };
        Self::from_totals(totals, json.source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_disjoint_and_totals_stay_as_reported() {
        let usage = Usage::from_totals(
            Totals { input: 120, output: 48, cache_read: Some(64), reasoning: Some(32), ..Totals::default() },
            UsageSource::Reported,
        );
        assert_eq!((usage.fresh_input, usage.plain_output), (56, 16));
        assert_eq!((usage.input_total(), usage.output_total(), usage.total()), (120, 48, 168));
    }

    #[test]
    fn a_part_above_its_total_is_cut_to_it() {
        let usage = Usage::from_totals(
            Totals { input: 5, output: 3, cache_read: Some(9), reasoning: Some(7), ..Totals::default() },
            UsageSource::Reported,
        );
        assert_eq!((usage.input_total(), usage.output_total()), (5, 3));
        assert_eq!((usage.cache_read, usage.reasoning), (Some(5), Some(3)));
    }

    #[test]
    fn json_has_totals_and_only_reported_parts() {
        let usage = Usage::from_totals(
            Totals { input: 10, output: 4, reasoning: Some(0), ..Totals::default() },
            UsageSource::Partial,
        );
        let json = serde_json::to_string(&usage).unwrap();
        assert_eq!(json, r#"{"input_tokens":10,"output_tokens":4,"reasoning_tokens":0,"source":"partial"}"#);
        assert_eq!(serde_json::from_str::<Usage>(&json).unwrap(), usage);
    }

    #[test]
    fn sums_keep_absent_classes_absent() {
        let mut sum = Usage { fresh_input: 1, ..Usage::default() };
        sum.add(&Usage {
            fresh_input: 2,
            cache_read: Some(3),
            source: UsageSource::Partial,
            ..Usage::default()
        });
        assert_eq!((sum.fresh_input, sum.cache_read, sum.reasoning), (3, Some(3), None));
        assert_eq!(sum.source, UsageSource::Partial);
    }
}
