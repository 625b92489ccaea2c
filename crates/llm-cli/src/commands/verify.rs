//! `llm batch verify`: is every row in the output, exactly once?

use std::sync::Arc;

use llm_batch::{Findings, Job, VerifyReport};
use serde::Serialize;

use super::batch::refused;
use crate::args::BatchVerify;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::progress::count;
use crate::term::{Term, safe};

/// Compares an output with its input. Changes nothing.
///
/// # Errors
/// [`Exit::FailedRows`] when the output is not whole; a file that cannot be read.
pub(crate) fn run(args: &BatchVerify, term: &Arc<Term>) -> Result<Exit, Failure> {
    let job =
        Job { id_field: args.id_field.clone(), body_fields: args.body_fields.clone(), ..Job::default() };
    let report = llm_batch::verify(&args.input, &args.output, &job).map_err(|e| refused(&e))?;
    if args.json {
        term.json(&Verdict { complete: report.is_complete(), report: &report })?;
    } else {
        term.data(&(lines(&report).join("\n") + "\n"))?;
    }
    if report.is_complete() {
        return Ok(Exit::Ok);
    }
    let message = format!("{} is not whole", args.output.display());
    Err(Failure::own(Exit::FailedRows, "not_whole", message)
        .hint("run the batch again: it asks what is missing"))
}

/// The object of `--json`.
#[derive(Serialize)]
struct Verdict<'a> {
    complete: bool,
    #[serde(flatten)]
    report: &'a VerifyReport,
}

fn lines(report: &VerifyReport) -> Vec<String> {
    let state = if report.is_complete() { "whole" } else { "not whole" };
    let mut lines = vec![format!(
        "{state}: {} rows, {} records, {} answered, {} failed",
        count(report.rows),
        count(report.records),
        count(report.success),
        count(report.failed)
    )];
    for (kind, number) in &report.errors {
        lines.push(format!("  {} failed with {kind}", count(*number)));
    }
    if report.retryable > 0 {
        lines.push(format!("  {} of them would be asked again by the next run", count(report.retryable)));
    }
    let mut told = |findings: &Findings, what: &str| {
        if findings.count > 0 {
            let numbers: Vec<String> = findings.lines.iter().map(u64::to_string).collect();
            let shown = u64::try_from(numbers.len()).unwrap_or(u64::MAX);
            let more = if findings.count > shown { " …" } else { "" };
            lines.push(format!("  {} {what}: {}{more}", count(findings.count), numbers.join(", ")));
        }
    };
    told(&report.missing, "rows without a record, on lines of the input");
    told(&report.duplicates, "records of rows that have one already, on lines");
    told(&report.foreign, "records that belong to no row, on lines");
    told(&report.damaged, "lines that are no whole record");
    told(&report.misplaced, "records with another row's index, on lines");
    if !report.ended {
        lines.push("  the last line has no line break".to_owned());
    }
    if report.records > 0 && !report.in_order {
        lines.push("  the records stand in the order in which they came".to_owned());
    }
    lines.iter().map(|line| safe::line(line)).collect()
}
