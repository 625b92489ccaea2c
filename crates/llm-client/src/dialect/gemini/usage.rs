//! Tokens used: a snapshot in every chunk, of which the last one counts.

use llm_types::{Totals, Usage, UsageSource};
use serde_json::value::RawValue;

use super::wire::{Metered, Modality, Tokens};
use crate::dialect::ending::Reported;
use crate::dialect::json::{self, Few, Raw};

/// Reads the usage of an answer; `None` where it counts nothing.
///
/// The prompt holds what was cached, and not what server-side tools put before the model; the candidates do not hold the
/// thoughts, unless the total proves that they do.
pub(super) fn read(tokens: &Tokens<'_>, source: UsageSource) -> Option<Reported> {
    let [prompt, candidates, thoughts, tool_use, total] =
        [tokens.prompt, tokens.candidates, tokens.thoughts, tokens.tool_use, tokens.total].map(Raw::count);
    if [prompt, candidates, thoughts, tool_use, total].iter().all(Option::is_none) {
        return None;
    }
    let sum = |counts: &[Option<u64>]| counts.iter().flatten().copied().fold(0, u64::saturating_add);
    let beside_thoughts = sum(&[prompt, candidates, tool_use]);
    let inside = total == Some(beside_thoughts) && candidates >= thoughts;
    let output = if inside { sum(&[candidates]) } else { sum(&[candidates, thoughts]) };
    let known = prompt.is_some() || tool_use.is_some();
    let input =
        if known { sum(&[prompt, tool_use]) } else { total.unwrap_or_default().saturating_sub(output) };
    let read = |kind: &str| {
        let all = [&tokens.prompt_details, &tokens.tool_use_details].map(|details| of_kind(details, kind));
        let all = (all.iter().any(Option::is_some)).then(|| sum(&all))?;
        // What came from the cache is counted there.
        Some(all.saturating_sub(of_kind(&tokens.cache_details, kind).unwrap_or_default()))
    };
    let totals = Totals {
        input,
        output,
        cache_read: tokens.cached.count(),
        audio_input: read("AUDIO"),
        image_input: read("IMAGE"),
        reasoning: thoughts,
        audio_output: of_kind(&tokens.candidates_details, "AUDIO"),
        ..Totals::default()
    };
    let other = |details: &Few<Modality<'_>, 1>, known: &[&str]| {
        details.iter().any(|part| !known.contains(&part.kind.as_str()))
    };
    let more = !tokens.rest.is_empty()
        || other(&tokens.prompt_details, &["TEXT", "AUDIO", "IMAGE"])
        || other(&tokens.candidates_details, &["TEXT", "AUDIO"]);
    Some(Reported { usage: Usage::from_totals(totals, source), more })
}

/// The usage of these answers as it was sent, of which the last one counts.
pub(super) fn sent(answers: &str) -> Option<Box<RawValue>> {
    let mut scratch = String::new();
    let (answers, _) = json::parse::<Few<Metered<'_>, 1>>(answers, &mut scratch).ok()?;
    answers.iter().filter_map(|answer| answer.usage.some()).last().map(ToOwned::to_owned)
}

fn of_kind(details: &Few<Modality<'_>, 1>, kind: &str) -> Option<u64> {
    details.iter().find(|part| part.kind.as_str() == kind)?.count.count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_json(json: &str) -> Option<Reported> {
        read(&serde_json::from_str(json).unwrap(), UsageSource::Reported)
    }

    /// `(input, output, [cache read, audio read, image read, reasoning, audio written])`.
    #[test]
    fn the_ledger_is_disjoint_and_its_totals_are_the_servers() {
        for (json, expected) in [
            (
                r#"{"promptTokenCount":23,"candidatesTokenCount":278,"thoughtsTokenCount":315,"toolUsePromptTokenCount":620,"totalTokenCount":1236}"#,
                (643, 593, [None, None, None, Some(315), None]),
            ),
            (
                r#"{"promptTokenCount":15,"thoughtsTokenCount":2,"totalTokenCount":17}"#,
                (15, 2, [None, None, None, Some(2), None]),
            ),
            // The total proves that the thoughts are inside.
            (
                r#"{"promptTokenCount":10,"candidatesTokenCount":30,"thoughtsTokenCount":20,"totalTokenCount":40}"#,
                (10, 30, [None, None, None, Some(20), None]),
            ),
            (
                r#"{"promptTokenCount":10,"candidatesTokenCount":30,"thoughtsTokenCount":20}"#,
                (10, 50, [None, None, None, Some(20), None]),
            ),
            (
                r#"{"promptTokenCount":100,"cachedContentTokenCount":60,"candidatesTokenCount":5,"promptTokensDetails":[{"modality":"TEXT","tokenCount":30},{"modality":"AUDIO","tokenCount":70}],"cacheTokensDetails":[{"modality":"AUDIO","tokenCount":50}],"candidatesTokensDetails":[{"modality":"AUDIO","tokenCount":4}]}"#,
                (100, 5, [Some(60), Some(20), None, None, Some(4)]),
            ),
            (
                r#"{"promptTokenCount":300,"candidatesTokenCount":5,"promptTokensDetails":[{"modality":"IMAGE","tokenCount":258}],"toolUsePromptTokenCount":20,"toolUsePromptTokensDetails":[{"modality":"IMAGE","tokenCount":9}]}"#,
                (320, 5, [None, None, Some(267), None, None]),
            ),
            (r#"{"candidatesTokenCount":5,"totalTokenCount":8}"#, (3, 5, [None; 5])),
            (r#"{"totalTokenCount":8}"#, (8, 0, [None; 5])),
            (r#"{"promptTokenCount":"9","candidatesTokenCount":1e400}"#, (9, 0, [None; 5])),
        ] {
            let u = read_json(json).unwrap_or_else(|| panic!("{json}")).usage;
            let parts = [u.cache_read, u.audio_input, u.image_input, u.reasoning, u.audio_output];
            assert_eq!((u.input_total(), u.output_total(), parts), expected, "{json}");
        }
        for nothing in ["{}", r#"{"trafficType":"ON_DEMAND"}"#, "[]", "7"] {
            assert!(read_json(nothing).is_none(), "{nothing}");
        }
    }

    #[test]
    fn what_the_ledger_has_no_place_for_is_noticed() {
        for (json, more) in [
            (r#"{"promptTokenCount":1,"promptTokensDetails":[{"modality":"TEXT","tokenCount":1}]}"#, false),
            (r#"{"promptTokenCount":1,"promptTokensDetails":[{"modality":"VIDEO","tokenCount":1}]}"#, true),
            (r#"{"promptTokenCount":1,"trafficType":"ON_DEMAND"}"#, true),
        ] {
            assert_eq!(read_json(json).unwrap().more, more, "{json}");
        }
    }
}
