//! The catalogue as tables: what each provider is called, and what it can do. The same data that clients declare
//! (`Capabilities`) and that the conformance suite holds against the vendors.
//!
//! `llm-matrix` prints the matrix for a terminal, `llm-matrix --docs` the generated part of `docs/providers.md`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "it prints its tables")]

mod page;
mod table;

use std::process::ExitCode;

use llm_client::dialect::Dialect;
use llm_provider::{AddressVariable, ProviderSpec, catalogue};

use crate::table::Table;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => print!("{}{}", abilities(HEADS).plain(), legend()),
        ["--docs"] => print!("{}", page::generated()),
        _ => {
            eprintln!("llm-matrix: the only option is --docs");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

/// A capability's field, and the head of its column.
type Head = (&'static str, &'static str);

const HEADS: &[Head] = &[
    ("streaming", "stream"),
    ("stream_usage", "its usage"),
    ("tools", "tools"),
    ("parallel_tools", "parallel"),
    ("tool_choice", "choice"),
    ("strict_tools", "strict"),
    ("json_object", "JSON"),
    ("json_schema", "schema"),
    ("images", "image"),
    ("image_urls", "its URL"),
    ("audio", "audio"),
    ("reasoning", "thinking"),
    ("thoughts", "thoughts"),
    ("replay", "replay"),
    ("seed", "seed"),
    ("stop", "stop"),
    ("n", "n"),
    ("logprobs", "logprobs"),
    ("token_counts", "count"),
    ("embeddings", "embed"),
    ("model_list", "models"),
];

fn legend() -> &'static str {
    "\nyes, no, or . where it is not known: then it is tried, and the server decides.\n"
}

/// The model of the row's line: its default, where it has one.
fn model(row: &ProviderSpec) -> &'static str {
    row.default_model.unwrap_or_default()
}

/// Providers × capabilities.
fn abilities(heads: &[Head]) -> Table {
    let mut table = Table::new(std::iter::once("provider").chain(heads.iter().map(|(_, head)| *head)));
    for row in catalogue::all() {
        let known = row.capabilities_for(model(row)).each();
        let word = |field: &str| match known.iter().find(|(name, _)| *name == field) {
            Some((_, Some(true))) => "yes",
            Some((_, Some(false))) => "no",
            Some((_, None)) | None => ".",
        };
        let cells = heads.iter().map(|(field, _)| word(field).to_owned());
        table.push(std::iter::once(row.name.to_owned()).chain(cells));
    }
    table
}

fn format_of(row: &ProviderSpec) -> &'static str {
    match row.dialect {
        Dialect::OpenAiChat => "chat completions",
        Dialect::Anthropic => "messages",
        Dialect::Gemini => "generateContent",
        _ => "its own",
    }
}

/// What moves a row's address.
fn variables(row: &ProviderSpec) -> Vec<&'static str> {
    match row.address_env {
        None => Vec::new(),
        Some(AddressVariable::Project { name, place, .. }) => vec![name, place],
        Some(variable) => vec![variable.name()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_capability_has_a_column() {
        let fields: Vec<&str> =
            llm_types::Capabilities::UNKNOWN.each().iter().map(|(name, _)| *name).collect();
        let heads: Vec<&str> = HEADS.iter().map(|(field, _)| *field).collect();
        assert_eq!(heads, fields);
    }

    #[test]
    fn every_provider_has_a_line() {
        let text = abilities(HEADS).plain();
        assert_eq!(text.lines().count(), catalogue::all().len() + 1);
        assert!(text.lines().any(|line| line.starts_with("deepseek ")), "{text}");
    }
}
