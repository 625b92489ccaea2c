//! Tokens used: overlapping numbers in many places, made into the ledger.

use llm_types::{Totals, Usage, UsageSource};

use super::wire::Tokens;
use crate::dialect::ending::Reported;
use crate::dialect::json::{Raw, Rest};
use crate::dialect::quirks::{InTotal, UsageRule};

/// Reads a usage object; `None` where it says nothing of tokens.
///
/// A part above its total is cut to it. Where `total_tokens` proves that a part lies outside, it is added, whatever the
/// rule says.
pub(super) fn read(raw: Raw<'_>, rule: UsageRule, source: UsageSource) -> Option<Reported> {
    let mut tokens = Tokens::default();
    raw.read_into(&mut tokens)?;
    let first = |of: &[Raw<'_>]| of.iter().find_map(|raw| raw.count());
    let (prompt, completion) = (&tokens.prompt_details, &tokens.completion_details);
    let total = tokens.total_tokens.count();
    let hit_and_miss = || {
        let (hit, miss) = (tokens.prompt_cache_hit_tokens.count()?, tokens.prompt_cache_miss_tokens.count()?);
        hit.checked_add(miss)
    };
    let input = first(&[tokens.prompt_tokens, tokens.input_tokens]).or_else(hit_and_miss);
    let output = first(&[tokens.completion_tokens, tokens.output_tokens]);
    if input.is_none() && output.is_none() && total.is_none() {
        return None;
    }
    let mut totals = Totals {
        input: input.unwrap_or_else(|| total.unwrap_or(0).saturating_sub(output.unwrap_or(0))),
        output: output.unwrap_or_else(|| input.map_or(0, |input| total.unwrap_or(0).saturating_sub(input))),
        cache_read: first(&[
            prompt.cached_tokens,
            tokens.prompt_cache_hit_tokens,
            tokens.cache_read_input_tokens,
            tokens.cached_tokens,
            tokens.num_cached_tokens,
        ]),
        cache_write_5m: first(&[
            tokens.cache_creation.ephemeral_5m,
            prompt.cache_write_tokens,
            prompt.cache_creation_input_tokens,
            tokens.cache_creation_input_tokens,
        ]),
        cache_write_1h: tokens.cache_creation.ephemeral_1h.count(),
        audio_input: prompt.audio_tokens.count(),
        image_input: prompt.image_tokens.count(),
        reasoning: first(&[completion.reasoning_tokens, tokens.reasoning_tokens]),
        audio_output: completion.audio_tokens.count(),
    };
    place_parts(&mut totals, total, rule);
    let more =
        has_more(&tokens.rest) || [prompt, completion].into_iter().any(|details| has_more(&details.rest));
    Some(Reported { usage: Usage::from_totals(totals, source), more })
}

/// Adds parts that lie outside of their totals to them.
fn place_parts(totals: &mut Totals, total: Option<u64>, rule: UsageRule) {
    let sum = totals.input.saturating_add(totals.output);
    let extra = total.map(|total| total.saturating_sub(sum));
    let reasoning = totals.reasoning.filter(|n| *n > 0);
    let audio = totals.audio_input.filter(|n| *n > 0);
    let outside = |part: Option<u64>, rule: InTotal| match (part, extra) {
        (None, _) => false,
        // The total is what prompt and answer hold, or holds just this part besides.
        (Some(_), Some(0)) => false,
        (Some(part), Some(extra)) => part == extra || rule == InTotal::Outside,
        (Some(_), None) => rule == InTotal::Outside,
    };
    if outside(reasoning, rule.reasoning) {
        totals.output = totals.output.saturating_add(reasoning.unwrap_or(0));
    } else if outside(audio, rule.audio) {
        totals.input = totals.input.saturating_add(audio.unwrap_or(0));
    } else if rule.reasoning == InTotal::Remainder
        && reasoning.is_none()
        && let Some(extra @ 1..) = extra
    {
        totals.reasoning = Some(extra);
        totals.output = totals.output.saturating_add(extra);
    }
}

/// Whether unknown members say anything: zeros, empty texts and the like do not.
fn has_more(rest: &Rest<'_>) -> bool {
    rest.iter().any(|(_, raw)| !matches!(raw.get(), "0" | "0.0" | "\"\"" | "{}" | "[]" | "false"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::quirks::Quirks;

    const OUTSIDE: UsageRule = UsageRule { reasoning: InTotal::Outside, audio: InTotal::Outside };
    const REST: UsageRule = UsageRule { reasoning: InTotal::Remainder, audio: InTotal::Inside };

    fn read_json(json: &str, rule: UsageRule) -> Option<Reported> {
        read(serde_json::from_str(json).unwrap(), rule, UsageSource::Reported)
    }

    /// `(input, output, cache read, cache write, audio read, reasoning)`.
    fn check(json: &str, rule: UsageRule, expected: (u64, u64, [Option<u64>; 4])) {
        let u = read_json(json, rule).unwrap_or_else(|| panic!("{json}")).usage;
        let found =
            (u.input_total(), u.output_total(), [u.cache_read, u.cache_write_5m, u.audio_input, u.reasoning]);
        assert_eq!(found, expected, "{json}");
    }

    #[test]
    fn numbers_are_found_wherever_they_stand() {
        let none = Quirks::NONE.usage;
        for (json, expected) in [
            (
                r#"{"prompt_tokens":120,"completion_tokens":48,"total_tokens":168,"prompt_tokens_details":{"cached_tokens":64,"cache_write_tokens":7},"completion_tokens_details":{"reasoning_tokens":32}}"#,
                (120, 48, [Some(64), Some(7), None, Some(32)]),
            ),
            (
                r#"{"completion_tokens":74,"completion_tokens_details":{"reasoning_tokens":27},"prompt_cache_hit_tokens":256,"prompt_cache_miss_tokens":125,"prompt_tokens":381,"total_tokens":455}"#,
                (381, 74, [Some(256), None, None, Some(27)]),
            ),
            (
                r#"{"prompt_cache_hit_tokens":6,"prompt_cache_miss_tokens":4,"completion_tokens":1}"#,
                (10, 1, [Some(6), None, None, None]),
            ),
            (
                r#"{"prompt_tokens":4,"completion_tokens":9,"cached_tokens":3}"#,
                (4, 9, [Some(3), None, None, None]),
            ),
            (
                r#"{"prompt_tokens":9,"completion_tokens":4,"reasoning_tokens":2,"cache_read_input_tokens":1,"cache_creation":{"ephemeral_5m_input_tokens":5}}"#,
                (9, 4, [Some(1), Some(5), None, Some(2)]),
            ),
            (r#"{"input_tokens":"5","output_tokens":2.0}"#, (5, 2, [None; 4])),
            (r#"{"prompt_tokens":5,"total_tokens":5}"#, (5, 0, [None; 4])),
            (r#"{"prompt_tokens":5,"total_tokens":8}"#, (5, 3, [None; 4])),
            (r#"{"prompt_tokens":-1,"completion_tokens":1e400,"total_tokens":8}"#, (8, 0, [None; 4])),
        ] {
            check(json, none, expected);
        }
        for nothing in ["{}", r#"{"cost":1}"#, "[]", "7", r#""x""#] {
            assert!(read_json(nothing, none).is_none(), "{nothing}");
        }
    }

    #[test]
    fn the_total_tells_what_lies_outside_and_the_rule_where_it_is_silent() {
        let none = Quirks::NONE.usage;
        let thought = r#"{"prompt_tokens":12,"completion_tokens":1,"total_tokens":241,"completion_tokens_details":{"reasoning_tokens":228}}"#;
        check(thought, none, (12, 229, [None, None, None, Some(228)]));
        check(thought, OUTSIDE, (12, 229, [None, None, None, Some(228)]));
        let inside = r#"{"prompt_tokens":12,"completion_tokens":9,"total_tokens":21,"completion_tokens_details":{"reasoning_tokens":8}}"#;
        check(inside, OUTSIDE, (12, 9, [None, None, None, Some(8)]));
        let silent = r#"{"prompt_tokens":12,"completion_tokens":1,"completion_tokens_details":{"reasoning_tokens":8}}"#;
        check(silent, OUTSIDE, (12, 9, [None, None, None, Some(8)]));
        check(silent, none, (12, 1, [None, None, None, Some(1)]));
        let heard = r#"{"prompt_tokens":10,"completion_tokens":2,"total_tokens":40,"prompt_tokens_details":{"audio_tokens":28}}"#;
        check(heard, none, (38, 2, [None, None, Some(28), None]));
        let unsaid = r#"{"completion_tokens":12,"prompt_tokens":35,"total_tokens":109}"#;
        check(unsaid, REST, (35, 74, [None, None, None, Some(62)]));
        check(unsaid, none, (35, 12, [None; 4]));
    }

    #[test]
    fn what_the_ledger_has_no_place_for_is_noticed() {
        let none = Quirks::NONE.usage;
        for (json, more) in [
            (r#"{"prompt_tokens":1,"completion_tokens_details":{"accepted_prediction_tokens":0}}"#, false),
            (r#"{"prompt_tokens":1,"completion_tokens_details":{"accepted_prediction_tokens":3}}"#, true),
            (r#"{"prompt_tokens":1,"cost":0.5}"#, true),
        ] {
            assert_eq!(read_json(json, none).unwrap().more, more, "{json}");
        }
    }
}
