//! What follows a model's name, whoever serves it: how it is spoken to, and who is likely its owner.

use llm_client::dialect::Quirks;

use crate::catalogue::FAMILIES;

/// Models that are named alike and behave alike.
#[derive(Debug)]
pub(crate) struct Family {
    /// How the names look, in lower case; `*` at the end stands for any rest.
    pub(crate) names: &'static [&'static str],
    /// The provider that a bare name of this kind belongs to, if it is one's alone.
    pub(crate) owner: Option<&'static str>,
    /// What differs for these models.
    pub(crate) change: Option<fn(&mut Quirks)>,
}

/// The family of a model, told by its name without what stands before it: a folder (`vendor/name`), or the mark of a
/// fine-tuned copy (`ft:name:…`).
fn family(model: &str) -> Option<&'static Family> {
    let name = model.rsplit('/').next().unwrap_or(model).to_ascii_lowercase();
    let name = name.strip_prefix("ft:").unwrap_or(&name);
    let like = |pattern: &str| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    };
    FAMILIES.iter().find(|family| family.names.iter().any(|pattern| like(pattern)))
}

/// The provider that a bare name likely belongs to. A folder or a tag tells of a copy that somebody else serves.
pub(crate) fn owner(model: &str) -> Option<&'static str> {
    let copy = model.contains('/') || (model.contains(':') && !model.starts_with("ft:"));
    family(model).filter(|_| !copy)?.owner
}

/// A row's quirks, as they hold for one model.
pub(crate) fn quirks(row: &Quirks, model: &str) -> Quirks {
    let mut quirks = *row;
    if let Some(change) = family(model).and_then(|family| family.change) {
        change(&mut quirks);
    }
    quirks
}
