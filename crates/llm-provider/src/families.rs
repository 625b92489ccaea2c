//! What follows a model's name, whoever serves it: how it is spoken to, and who is likely its owner.

use llm_client::dialect::Quirks;

use crate::catalogue::FAMILIES;
use crate::spec::ProviderSpec;

/// Models that are named alike and behave alike.
#[derive(Debug)]
pub(crate) struct Family {
    /// How the names look, in lower case; `*` stands for anything.
    pub(crate) names: &'static [&'static str],
    /// The provider that a bare name of this kind belongs to, if it is one's alone.
    pub(crate) owner: Option<&'static str>,
    /// The rows where it holds what differs; empty: everywhere.
    pub(crate) at: &'static [&'static str],
    /// What differs for these models.
    pub(crate) change: Option<fn(&mut Quirks)>,
}

impl Family {
    /// Models of nobody's in particular, with nothing special about them.
    pub(crate) const PLAIN: Self = Self { names: &[], owner: None, at: &[], change: None };
}

/// The families of a model, told by its name without what stands before it: a folder (`vendor/name`), or the mark of a
/// fine-tuned copy (`ft:name:…`).
fn families(model: &str) -> impl Iterator<Item = &'static Family> {
    let name = own_name(model);
    FAMILIES.iter().filter(move |family| family.names.iter().any(|pattern| is_like(&name, pattern)))
}

/// Whether a model is named like one of the patterns.
pub(crate) fn is_named(model: &str, patterns: &[&str]) -> bool {
    let name = own_name(model);
    patterns.iter().any(|pattern| is_like(&name, pattern))
}

fn own_name(model: &str) -> String {
    let name = model.rsplit('/').next().unwrap_or(model).to_ascii_lowercase();
    name.strip_prefix("ft:").unwrap_or(&name).to_owned()
}

/// Whether a name is the pattern's, each `*` of which stands for anything.
fn is_like(name: &str, pattern: &str) -> bool {
    let Some((start, rest)) = pattern.split_once('*') else { return name == pattern };
    let Some(name) = name.strip_prefix(start) else { return false };
    let tails = name.char_indices().map(|(at, _)| at).chain([name.len()]);
    rest.is_empty() || tails.filter_map(|at| name.get(at..)).any(|tail| is_like(tail, rest))
}

/// The provider that a bare name likely belongs to. A folder or a tag tells of a copy that somebody else serves.
pub(crate) fn owner(model: &str) -> Option<&'static str> {
    let copy = model.contains('/') || (model.contains(':') && !model.starts_with("ft:"));
    families(model).next().filter(|_| !copy)?.owner
}

/// A row's quirks, as they hold for one model.
pub(crate) fn quirks(row: &ProviderSpec, model: &str) -> Quirks {
    adapted(row.quirks, row, model)
}

/// Quirks of whatever format, as they hold for one model that a row serves.
pub(crate) fn adapted(mut quirks: Quirks, row: &ProviderSpec, model: &str) -> Quirks {
    let here = |family: &&Family| family.at.is_empty() || family.at.contains(&row.name);
    if let Some(change) = families(model).find(here).and_then(|family| family.change) {
        change(&mut quirks);
    }
    quirks
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        for (name, pattern, fits) in [
            ("gpt-5", "gpt-*", true),
            ("gpt-", "gpt-*", true),
            ("gpt", "gpt-*", false),
            ("o1", "o1", true),
            ("o10", "o1", false),
            ("qwen3-30b-a3b", "qwen3-*b", true),
            ("qwen3-30b-a3b-instruct", "qwen3-*b", false),
            ("grok-4-fast-non-reasoning", "grok-*-non-reasoning*", true),
            ("grok-4-fast-reasoning", "grok-*-non-reasoning*", false),
            ("größe-b", "gr*b", true),
        ] {
            assert_eq!(is_like(name, pattern), fits, "{name} {pattern}");
        }
    }
}
