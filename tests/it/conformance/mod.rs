//! The conformance suite: one list of scenarios, run for every row of the catalogue.
//!
//! Each cell is the row's own provider and client, over a real socket, and a peer that behaves as the vendor's descriptions
//! and recorded traffic say ([`vendors`]), by code of its own ([`formats`]): it answers in the vendor's shape, and reads
//! requests as strictly as the vendor may. What a vendor lacks is part of its data. There the cell checks that the client
//! declares it (`Capabilities`), and that the declared way is taken: a warning, a refusal before anything is sent, the
//! vendor's own refusal. A row that declares something else than its vendor does fails, in either direction.
//!
//! `LLM_CONFORMANCE_REPORT=FILE` writes how each cell went; `cargo xtask matrix --run` makes a table of it.

mod formats;
mod heard;
mod peer;
mod say;
mod scenarios;
mod splits;
mod vendor;
mod vendors;

use std::io::Write as _;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use llm_provider::{Shared, catalogue};

use self::peer::Cell;
use self::scenarios::{beside, ends, form, settings, talk, thinking, tools};
use self::vendor::Vendor;

/// What a scenario gives: nothing, or what is wrong.
type Outcome = Result<(), String>;
type Running<'a> = Pin<Box<dyn Future<Output = Outcome> + 'a>>;

/// One thing that every vendor is asked for.
struct Scenario {
    name: &'static str,
    /// The capability without which it cannot be, under its name in `Capabilities::each`.
    needs: Option<&'static str>,
    run: for<'a> fn(&'a Cell) -> Running<'a>,
}

/// How a cell went, where it went well.
#[derive(Clone, Copy)]
enum Went {
    /// The vendor can do it, and it was done.
    Done,
    /// The vendor cannot, and it was refused as declared.
    Refused,
    /// Nothing is known of it, and nothing declared.
    Unknown,
}

/// Makes the list, and a test of each.
macro_rules! scenarios {
    ($($test:ident $name:literal $needs:expr, $run:path;)*) => {
        const SCENARIOS: &[Scenario] =
            &[$(Scenario { name: $name, needs: $needs, run: |cell| Box::pin($run(cell)) }),*];
        $(
            #[tokio::test]
            async fn $test() {
                every_row($name).await;
            }
        )*
    };
}

scenarios! {
    plain_answers "plain" None, talk::plain;
    streams "stream" Some("streaming"), talk::stream;
    instructions "system" None, talk::system;
    unknown_members "unknown fields" None, talk::unknown_fields;
    calls "tools" Some("tools"), tools::tools;
    parallel_calls "parallel tools" Some("parallel_tools"), tools::parallel;
    the_choice_of_a_tool "tool choice" Some("tool_choice"), tools::choice;
    strict_schemas_of_tools "strict tools" Some("strict_tools"), tools::strict;
    results_of_calls "tool results" Some("tools"), tools::results;
    answers_in_json "json" Some("json_object"), form::json;
    answers_of_a_schema "schema" Some("json_schema"), form::schema;
    pictures "image" Some("images"), form::image;
    pictures_behind_an_address "image url" Some("image_urls"), form::image_url;
    sounds "audio" Some("audio"), form::audio;
    how_much_to_think "reasoning" Some("reasoning"), thinking::reasoning;
    what_was_thought "thoughts" Some("thoughts"), thinking::thoughts;
    thoughts_that_go_back "replay" Some("replay"), thinking::replay;
    what_was_used "usage" None, ends::usage;
    what_a_stream_used "stream usage" Some("stream_usage"), ends::stream_usage;
    why_answers_end "stop reasons" None, ends::stop_reasons;
    refusals_and_failures "errors" None, ends::errors;
    answers_that_are_cut "truncation" None, ends::truncation;
    calls_that_are_given_up "cancellation" None, ends::cancellation;
    common_settings "settings" None, settings::common;
    repeatable_sampling "seed" Some("seed"), settings::seed;
    texts_that_end_an_answer "stop" Some("stop"), settings::stop;
    several_answers "n" Some("n"), settings::n;
    likely_words "logprobs" Some("logprobs"), settings::logprobs;
    counted_tokens "token counts" Some("token_counts"), beside::token_counts;
    vectors "embeddings" Some("embeddings"), beside::embeddings;
    lists_of_models "models" Some("model_list"), beside::models;
}

/// Runs one scenario for all rows at once, and fails with every cell that failed.
async fn every_row(name: &str) {
    let scenario = SCENARIOS.iter().find(|scenario| scenario.name == name).unwrap();
    let shared = Arc::new(Shared::new(&|_| None));
    let cells = vendors::all().map(|vendor| one(vendor, scenario, &shared));
    let mut failures = Vec::new();
    let mut report = String::new();
    for (vendor, result) in join_all(cells).await {
        let word = match result {
            Ok(Went::Done) => "done",
            Ok(Went::Refused) => "refused",
            Ok(Went::Unknown) => "unknown",
            Err(why) => {
                failures.push(why);
                "failed"
            }
        };
        report.push_str(&format!("{vendor}\t{name}\t{word}\n"));
    }
    if let Some(path) = std::env::var_os("LLM_CONFORMANCE_REPORT") {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        file.and_then(|mut file| file.write_all(report.as_bytes())).expect("the report is written");
    }
    assert!(failures.is_empty(), "{} cells failed:\n{}", failures.len(), failures.join("\n"));
}

/// One cell, with all there is to know if it fails.
async fn one(
    vendor: &'static Vendor,
    scenario: &Scenario,
    shared: &Arc<Shared>,
) -> (String, Result<Went, String>) {
    let cell = Cell::new(vendor, shared).await;
    let result = match tokio::time::timeout(Duration::from_secs(60), judge(&cell, scenario)).await {
        Ok(result) => result,
        Err(_) => Err("it hangs".to_owned()),
    };
    let told = |why| format!("{} · {}: {why}\n  sent:{}", vendor.label(), scenario.name, cell.sent());
    (vendor.label(), result.map_err(told))
}

/// Compares what is declared with what is so, and runs the scenario either way.
async fn judge(cell: &Cell, scenario: &Scenario) -> Result<Went, String> {
    let Some(needs) = scenario.needs else {
        return (scenario.run)(cell).await.map(|()| Went::Done);
    };
    let each = cell.declared().each();
    let (_, declared) = each.iter().find(|(name, _)| *name == needs).expect(needs);
    let how = cell.how(needs);
    if cell.vendor.unknown.contains(&needs) {
        return match declared {
            None => Ok(Went::Unknown),
            Some(_) => Err(format!("{needs} is declared as {declared:?}, and nothing is known of it")),
        };
    }
    match (declared, how) {
        (Some(false), None) => Err(format!("it declares that it cannot do {needs}, and the vendor can")),
        (None | Some(true), Some(how)) => {
            Err(format!("it declares {needs} as {declared:?}, and the vendor cannot ({how:?})"))
        }
        _ => {
            (scenario.run)(cell).await?;
            Ok(if how.is_some() { Went::Refused } else { Went::Done })
        }
    }
}

#[test]
fn every_row_of_the_catalogue_has_a_vendor_and_every_capability_a_scenario() {
    let vendors: Vec<&str> =
        vendors::all().filter(|vendor| !vendor.second).map(|vendor| vendor.row).collect();
    let rows: Vec<&str> = catalogue::all().iter().map(|row| row.name).collect();
    assert_eq!(vendors, rows);
    for (name, _) in llm_types::Capabilities::UNKNOWN.each() {
        let covered = SCENARIOS.iter().any(|scenario| scenario.needs == Some(name));
        assert!(covered, "{name} is in no scenario");
    }
}
