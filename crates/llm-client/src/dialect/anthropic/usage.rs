//! Tokens used: numbers that do not overlap, told at the start and put right at the end.

use llm_types::{Extra, Totals, Usage, UsageSource};
use serde_json::value::RawValue;

use super::wire::Tokens;
use crate::dialect::json::Raw;

/// So many are kept apart; then they are joined.
const MOST_SENT: usize = 8;

/// What was said of tokens so far. A later number replaces an earlier one; nothing is ever added up.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    said: bool,
    input: u64,
    output: u64,
    cache_read: Option<u64>,
    cache_write: Option<u64>,
    five_minutes: Option<u64>,
    one_hour: Option<u64>,
    thinking: Option<u64>,
    /// What was said, each time as sent, for where there are members that the ledger has no place for.
    sent: Vec<Box<RawValue>>,
    more: bool,
}

impl Ledger {
    /// Takes a usage object; what it does not say stays as it was.
    pub(super) fn take(&mut self, raw: Raw<'_>) {
        let mut tokens = Tokens::default();
        let Some(sent) = raw.some().filter(|_| raw.read_into(&mut tokens).is_some() && tokens.present) else {
            return;
        };
        let counts = [tokens.input.count(), tokens.output.count()];
        self.said |= counts.iter().any(Option::is_some);
        self.input = tokens.input.count().unwrap_or(self.input);
        self.output = tokens.output.count().unwrap_or(self.output);
        for (field, raw) in [
            (&mut self.cache_read, tokens.cache_read),
            (&mut self.cache_write, tokens.cache_write),
            (&mut self.five_minutes, tokens.cache_writes.five_minutes),
            (&mut self.one_hour, tokens.cache_writes.one_hour),
            (&mut self.thinking, tokens.output_details.thinking),
        ] {
            *field = raw.count().or(*field);
        }
        self.more |= !tokens.rest.is_empty();
        self.sent.push(sent.to_owned());
        if self.sent.len() >= MOST_SENT {
            self.sent = self.joined().into_iter().collect();
        }
    }

    /// All that was said: of each member the last that says anything. Said once, it is as sent.
    fn joined(&self) -> Option<Box<RawValue>> {
        if let [only] = self.sent.as_slice()
            && !only.get().contains("null")
        {
            return Some(only.clone());
        }
        let mut all = Extra::new();
        for members in self.sent.iter().filter_map(|sent| Extra::parse(sent.get()).ok()) {
            let said = members.iter().filter(|(_, value)| value.get() != "null");
            said.for_each(|(name, value)| all.insert(name, value.to_owned()));
        }
        serde_json::value::to_raw_value(&all).ok()
    }

    /// The numbers as disjoint classes; `None` where nothing was said.
    pub(super) fn usage(&self, source: UsageSource) -> Option<Usage> {
        if !self.said {
            return None;
        }
        // The sum may be newer than what it is made of: what lies an hour was asked for, the rest is the usual kind.
        let parts = [self.five_minutes, self.one_hour].into_iter().flatten().reduce(u64::saturating_add);
        let written = self.cache_write.or(parts);
        let one_hour = self.one_hour.map(|hour| hour.min(written.unwrap_or(hour)));
        let five_minutes = written.map(|all| all.saturating_sub(one_hour.unwrap_or(0)));
        let cached = [self.cache_read, written].into_iter().flatten();
        let totals = Totals {
            input: cached.fold(self.input, u64::saturating_add),
            output: self.output,
            cache_read: self.cache_read,
            cache_write_5m: five_minutes,
            cache_write_1h: one_hour,
            reasoning: self.thinking,
            ..Totals::default()
        };
        Some(Usage::from_totals(totals, source))
    }

    /// All that was said, where it is more than the ledger holds.
    pub(super) fn into_json(self) -> Option<Box<RawValue>> {
        if self.more { self.joined() } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `(fresh, read, 5 minutes, 1 hour, plain output, thinking)`.
    type Classes = (u64, Option<u64>, Option<u64>, Option<u64>, u64, Option<u64>);

    fn classes(objects: &[&str]) -> Option<Classes> {
        let mut ledger = Ledger::default();
        objects.iter().for_each(|json| ledger.take(serde_json::from_str(json).unwrap()));
        let u = ledger.usage(UsageSource::Reported)?;
        Some((u.fresh_input, u.cache_read, u.cache_write_5m, u.cache_write_1h, u.plain_output, u.reasoning))
    }

    #[test]
    fn the_kinds_of_input_do_not_overlap_and_thinking_is_part_of_the_output() {
        for (json, expected) in [
            (
                r#"{"input_tokens":380,"cache_creation_input_tokens":30,"cache_read_input_tokens":1024,"cache_creation":{"ephemeral_5m_input_tokens":10,"ephemeral_1h_input_tokens":20},"output_tokens":57,"output_tokens_details":{"thinking_tokens":21}}"#,
                (380, Some(1024), Some(10), Some(20), 36, Some(21)),
            ),
            (r#"{"input_tokens":3,"output_tokens":2}"#, (3, None, None, None, 2, None)),
            (
                r#"{"input_tokens":3,"cache_creation_input_tokens":9,"output_tokens":2}"#,
                (3, None, Some(9), None, 2, None),
            ),
            (
                r#"{"input_tokens":3,"cache_creation":{"ephemeral_1h_input_tokens":4},"output_tokens":2}"#,
                (3, None, Some(0), Some(4), 2, None),
            ),
            (
                r#"{"input_tokens":"3","cache_creation":null,"cache_read_input_tokens":null,"output_tokens":2.0,"output_tokens_details":null}"#,
                (3, None, None, None, 2, None),
            ),
            (
                r#"{"input_tokens":1,"output_tokens":2,"output_tokens_details":{"thinking_tokens":7}}"#,
                (1, None, None, None, 0, Some(2)),
            ),
            (
                r#"{"input_tokens":-1,"output_tokens":1e400,"cache_read_input_tokens":18446744073709551615}"#,
                (0, None, None, None, 0, None),
            ),
        ] {
            let expected = Some(expected).filter(|_| !json.contains("-1"));
            assert_eq!(classes(&[json]), expected, "{json}");
        }
        for nothing in ["{}", "[]", "7", r#""x""#, "null", r#"{"service_tier":"standard"}"#] {
            assert_eq!(classes(&[nothing]), None, "{nothing}");
        }
    }

    #[test]
    fn a_later_number_replaces_an_earlier_one() {
        let start = r#"{"input_tokens":43,"cache_creation_input_tokens":8,"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":8},"output_tokens":1}"#;
        for (end, expected) in [
            (r#"{"output_tokens":31}"#, (43, None, Some(0), Some(8), 31, None)),
            (r#"{"input_tokens":61,"output_tokens":2}"#, (61, None, Some(0), Some(8), 2, None)),
            (
                r#"{"input_tokens":61,"cache_creation_input_tokens":8,"cache_read_input_tokens":5,"output_tokens":2}"#,
                (61, Some(5), Some(0), Some(8), 2, None),
            ),
            (r#"{"cache_creation_input_tokens":3,"output_tokens":2}"#, (43, None, Some(0), Some(3), 2, None)),
            (
                r#"{"cache_creation_input_tokens":11,"output_tokens":2}"#,
                (43, None, Some(3), Some(8), 2, None),
            ),
            (r#"{"input_tokens":null,"output_tokens":null}"#, (43, None, Some(0), Some(8), 1, None)),
        ] {
            assert_eq!(classes(&[start, end]), Some(expected), "{end}");
        }
    }

    #[test]
    fn what_the_ledger_has_no_place_for_is_kept_once_and_never_added() {
        let mut ledger = Ledger::default();
        for json in [
            r#"{"input_tokens":5,"output_tokens":1,"service_tier":"standard"}"#,
            r#"{"output_tokens":9,"iterations":[{"type":"message","input_tokens":5,"output_tokens":9},{"type":"advisor_message","input_tokens":70,"output_tokens":80}]}"#,
        ] {
            ledger.take(serde_json::from_str(json).unwrap());
        }
        assert_eq!(ledger.usage(UsageSource::Reported).unwrap().total(), 14);
        let kept = ledger.into_json().unwrap();
        assert!(
            kept.get().starts_with(
                r#"{"input_tokens":5,"output_tokens":9,"service_tier":"standard","iterations":[{"#
            )
        );
        let mut plain = Ledger::default();
        plain.take(serde_json::from_str(r#"{"input_tokens":5,"output_tokens":1}"#).unwrap());
        assert!(plain.into_json().is_none());
    }
}
