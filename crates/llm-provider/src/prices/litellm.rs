//! Prices in LiteLLM's shape: one object, model to figures, in US dollars for a single token.
//!
//! Numbers are read from their text, never through a float. What is no price of a token is not looked at.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use llm_types::{Class, Error, Money, Price, Prices, Rate, Rates, Rule};
use serde_json::value::RawValue;

use super::matching::Names;
use super::{Lazy, Origin, PriceRow, PriceTable, Section, wrong};

/// The words of figures, and their classes.
const FIGURES: [(&str, Class); 9] = [
    ("input_cost_per_token", Class::Input),
    ("output_cost_per_token", Class::Output),
    ("cache_read_input_token_cost", Class::CacheRead),
    ("cache_creation_input_token_cost", Class::CacheWrite5m),
    ("cache_creation_input_token_cost_above_1hr", Class::CacheWrite1h),
    ("input_cost_per_audio_token", Class::AudioInput),
    ("input_cost_per_image_token", Class::ImageInput),
    ("output_cost_per_reasoning_token", Class::Reasoning),
    ("output_cost_per_audio_token", Class::AudioOutput),
];
const TIERS: [(&str, &str); 4] =
    [("_batches", "batch"), ("_flex", "flex"), ("_priority", "priority"), ("_ultrafast", "ultrafast")];

type Members = BTreeMap<String, Box<RawValue>>;

pub(super) fn read(models: &Members, source: &str) -> Result<PriceTable, Error> {
    let mut sections: BTreeMap<String, Names<PriceRow>> = BTreeMap::new();
    let source: Arc<str> = source.into();
    for (name, text) in models.iter().filter(|(name, _)| *name != "sample_spec") {
        let members: Members = serde_json::from_str(text.get())
            .map_err(|e| wrong(format_args!("{name}: not a model's figures: {e}")))?;
        let price = price(&members).map_err(|message| wrong(format_args!("{name}: {message}")))?;
        let Some(price) = price else { continue };
        let price = Price { source: Some(Arc::clone(&source)), ..price };
        let said =
            members.get("litellm_provider").and_then(|text| serde_json::from_str::<String>(text.get()).ok());
        let provider = said.as_deref().map(row_name).unwrap_or_default();
        // Some names have their provider before them, some not.
        let own = said.as_deref().and_then(|said| name.strip_prefix(said)?.strip_prefix('/')).unwrap_or(name);
        let row = PriceRow { model: own.into(), prices: Arc::new(Prices::from(price)) };
        sections.entry(provider.to_owned()).or_default().add(own, &[], &[], row);
    }
    let anywhere =
        sections.remove("").map(|names| Section { names, ..Section::default() }).unwrap_or_default();
    let known = |(name, names): (String, _)| {
        let section = Section { names, ..Section::default() };
        (name, Lazy { text: RawValue::NULL.to_owned(), origin: Origin::default(), read: section.into() })
    };
    Ok(PriceTable { sections: sections.into_iter().map(known).collect(), anywhere })
}

/// Our name of a provider of theirs.
fn row_name(theirs: &str) -> &str {
    const OTHERS: [(&str, &str); 6] = [
        ("together_ai", "together"),
        ("fireworks_ai", "fireworks"),
        ("z_ai", "zai"),
        ("text-completion-openai", "openai"),
        ("codestral", "mistral"),
        ("dashscope-intl", "dashscope"),
    ];
    if theirs.starts_with("vertex_ai") {
        return "vertex";
    }
    if theirs.starts_with("fireworks_ai") {
        return "fireworks";
    }
    OTHERS.iter().find(|(word, _)| *word == theirs).map_or(theirs, |(_, ours)| ours)
}

/// The price of a model's figures; `None` where tokens have none.
fn price(members: &Members) -> Result<Option<Price>, String> {
    let rate = |name: &str| {
        let Some(text) = members.get(name).map(|value| value.get()).filter(|text| *text != "null") else {
            return Ok(None);
        };
        let money = Money::nearest(text.trim_matches('"')).map_err(|e| format!("{name}: {e}"))?;
        let pico = u64::try_from(money.pico()).map_err(|_| format!("{name}: {text} is beyond reason"))?;
        Ok::<_, String>(Some(Rate::from_pico_per_token(pico)))
    };
    let rates = |end: &str| {
        FIGURES.into_iter().try_fold(Rates::default(), |rates, (word, class)| {
            Ok::<_, String>(rates.with(class, rate(&format!("{word}{end}"))?))
        })
    };
    let base = rates("")?;
    if base.is_empty() {
        return Ok(None);
    }
    let lengths = lengths(members);
    let mut rules = Vec::new();
    // The last rule that applies counts: tiers behind lengths, and of a tier the shortest first.
    for (tier, tier_end) in std::iter::once((None, "")).chain(TIERS.map(|(end, tier)| (Some(tier), end))) {
        let whole = tier.map(|_| None);
        for above in whole.into_iter().chain(lengths.iter().copied().map(Some)) {
            let length_end = above.map(|thousands| format!("_above_{thousands}k_tokens")).unwrap_or_default();
            let rates = rates(&format!("{length_end}{tier_end}"))?;
            if !rates.is_empty() {
                let above = above.map(|thousands| thousands.saturating_mul(1000));
                rules.push(Rule { above, tier: tier.map(Into::into), rates, ..Rule::default() });
            }
        }
    }
    Ok(Some(Price { rates: base, rules, ..Price::default() }))
}

/// The lengths of prompts that have prices of their own, in thousands: `…_above_200k_tokens`, with or without a tier behind.
fn lengths(members: &Members) -> BTreeSet<u64> {
    let length = |name: &String| {
        let (_, rest) = name.rsplit_once("_above_")?;
        let (length, _) = rest.split_once("k_tokens")?;
        length.parse().ok()
    };
    members.keys().filter_map(length).collect()
}
