//! The summary of a run for a person.

use llm_batch::{Spending, Summary};

use crate::progress::{count, span};
use crate::term::safe;

/// The lines of the summary, safe for a terminal.
pub(super) fn lines(summary: &Summary) -> Vec<String> {
    let mut lines = Vec::new();
    let rows = summary.total.map_or_else(
        || format!("{} rows so far", count(summary.success + summary.failed)),
        |total| format!("{} rows", count(total)),
    );
    let mut first =
        vec![format!("{} answered", count(summary.success)), format!("{} failed", count(summary.failed))];
    if let Some(unrun) = summary.unrun.filter(|&unrun| unrun > 0) {
        first.push(format!("{} left to do", count(unrun)));
    }
    let to = summary.output.as_deref().map(|path| format!(" → {}", path.display())).unwrap_or_default();
    lines.push(format!("{rows}: {}{to}", first.join(", ")));

    let mut second = vec![
        format!("{} restored", count(summary.restored)),
        format!("{} new", count(summary.new)),
        format!("{} retried", count(summary.retried)),
    ];
    for (number, name) in [
        (summary.restored_failed, "failed before and not asked again"),
        (summary.requeued, "put back for a while"),
        (summary.bad_rows, "not readable"),
        (summary.blank_lines, "blank lines"),
    ] {
        if number > 0 {
            second.push(format!("{} {name}", count(number)));
        }
    }
    lines.push(format!("  {}", second.join(", ")));

    if !summary.errors.is_empty() {
        let kinds: Vec<String> = summary
            .errors
            .iter()
            .map(|error| format!("{} {} (first on line {})", count(error.count), error.kind, error.line))
            .collect();
        lines.push(format!("  failures: {}", kinds.join(", ")));
    }

    let mut figures = vec![span(summary.elapsed)];
    if summary.new > 0 {
        figures.push(format!("{:.1} rows/s", summary.rows_per_sec));
        figures.push(format!("{} requests", count(summary.attempts)));
    }
    if let Some(usage) = &summary.usage {
        figures.push(format!("{}→{} tok", count(usage.input_total()), count(usage.output_total())));
    }
    if let Some(latency) = &summary.latency_ms {
        figures.push(format!(
            "latency p50 {:.0} ms, p95 {:.0}, p99 {:.0}",
            latency.p50, latency.p95, latency.p99
        ));
    }
    lines.push(format!("  {}", figures.join(", ")));

    if let Some(spending) = &summary.spending {
        lines.push(format!("  {}", spent(spending)));
    }
    if summary.stopped.is_some() {
        lines.push(
            "  it ended early; what is answered is kept, and the same command goes on from here".to_owned(),
        );
    }
    if let Some(unclaimed) = &summary.unclaimed {
        let (added, file) = (count(unclaimed.added), unclaimed.file.display());
        lines.push(format!("  {added} answers that no row claims any more are kept in {file}"));
    }
    lines.iter().map(|line| safe::line(line)).collect()
}

/// What was spent of what, and what is left.
fn spent(spending: &Spending) -> String {
    let mut parts = Vec::new();
    match (spending.cost, spending.max_cost, spending.cost_left) {
        (Some(cost), Some(most), Some(left)) => parts.push(format!("{cost} of {most} spent, {left} left")),
        (Some(cost), ..) => parts.push(format!("{cost} spent")),
        (None, ..) => parts.push("price unknown".to_owned()),
    }
    if let (Some(most), Some(left)) = (spending.max_total_tokens, spending.tokens_left) {
        let tokens = count(spending.tokens);
        parts.push(format!("{tokens} of {} tokens used, {} left", count(most), count(left)));
    }
    if spending.estimated_calls > 0 {
        parts.push(format!("{} calls estimated", count(spending.estimated_calls)));
    }
    parts.join(", ")
}
