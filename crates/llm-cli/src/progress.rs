//! How far a batch is: a bar on a terminal, else plain lines that only ever go forward, or JSON lines.

use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use llm_batch::{Snapshot, Stage};
use serde_json::json;

use crate::term::{Term, safe};

/// How often the bar is drawn and the numbers are looked at.
pub const TICK: Duration = Duration::from_millis(100);
/// A plain line comes at least this often,
const LINE_EVERY: Duration = Duration::from_secs(10);
/// or after this share of the rows, in percent,
const LINE_PERCENT: u64 = 5;
/// but a quick job does not flood the log.
const LINE_AT_MOST: Duration = Duration::from_secs(1);

/// The form of progress.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Form {
    /// None at all.
    None,
    /// One line every 10 s or 5 %.
    Plain,
    /// A bar.
    Bar,
    /// One JSON object a line, as often as a plain line.
    Json,
}

/// Shows how far a batch is.
#[derive(Debug)]
pub struct Progress {
    form: Form,
    term: Arc<Term>,
    bar: Option<ProgressBar>,
    gate: Gate,
}

/// Decides which moments get a line.
#[derive(Debug)]
struct Gate {
    at: Instant,
    percent: u64,
}

impl Gate {
    fn opens(&mut self, now: Instant, percent: Option<u64>) -> bool {
        let waited = now - self.at;
        let percent = percent.unwrap_or(self.percent);
        let far = percent >= self.percent + LINE_PERCENT && waited >= LINE_AT_MOST;
        if far || waited >= LINE_EVERY {
            (self.at, self.percent) = (now, percent);
            return true;
        }
        false
    }
}

impl Progress {
    /// Begins. Without a form of the user's own: a bar where the standard error is a terminal that can move its
    /// cursor and no log lines would tear it, else plain lines.
    #[must_use]
    pub fn start(form: Option<Form>, logging: bool, term: Arc<Term>, now: Instant) -> Self {
        let fits = term.err_is_terminal && term.moves_cursor && !logging;
        let form = form.unwrap_or(if fits { Form::Bar } else { Form::Plain });
        // A bar without a terminal would be a flood of escapes.
        let form = if form == Form::Bar && !term.err_is_terminal { Form::Plain } else { form };
        let bar = (form == Form::Bar).then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(10));
            bar.set_style(style(false));
            term.set_bar(Some(bar.clone()));
            bar
        });
        Self { form, term, bar, gate: Gate { at: now, percent: 0 } }
    }

    /// Shows the run as it stands.
    pub fn tick(&mut self, run: &Snapshot, now: Instant) {
        if let Some(bar) = &self.bar {
            if bar.length() != run.total
                && let Some(total) = run.total
            {
                bar.set_length(total);
                bar.set_style(style(true));
            }
            bar.set_message(words(run, false));
            bar.set_position(run.done);
            bar.tick();
        } else if self.gate.opens(now, percent(run)) {
            self.line(run);
        }
    }

    /// Ends, with a last line where there are lines.
    pub fn finish(&mut self, run: &Snapshot) {
        match self.bar.take() {
            Some(bar) => {
                self.term.set_bar(None);
                bar.finish_and_clear();
            }
            None => self.line(run),
        }
    }

    fn line(&self, run: &Snapshot) {
        match self.form {
            Form::None | Form::Bar => {}
            Form::Plain => self.term.note(&words(run, true)),
            Form::Json => self.term.note(&json(run).to_string()),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.take() {
            self.term.set_bar(None);
            bar.finish_and_clear();
        }
    }
}

fn style(known: bool) -> ProgressStyle {
    let template =
        if known { "{wide_bar:.dim} {pos}/{len} {percent} % {msg}" } else { "{spinner} {pos} rows {msg}" };
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

/// Whole percents, rounded down.
fn percent(run: &Snapshot) -> Option<u64> {
    let total = run.total.filter(|&total| total > 0)?;
    Some((run.done.saturating_mul(100) / total).min(100))
}

fn words(run: &Snapshot, whole: bool) -> String {
    let mut parts = Vec::new();
    if whole {
        parts.push(match (run.total, percent(run)) {
            (Some(total), Some(percent)) => format!("{} of {total} rows, {percent} %", run.done),
            _ => format!("{} rows", run.done),
        });
    }
    let is_done = run.total == Some(run.done);
    if run.rows_per_sec > 0.0 {
        parts.push(format!("{:.1}/s", run.rows_per_sec));
    }
    if let Some(eta) = run.eta.filter(|_| !is_done) {
        parts.push(format!("{} left", span(eta)));
    }
    let tokens = run.input_tokens.saturating_add(run.output_tokens);
    if tokens > 0 {
        parts.push(format!("{} tok", count(tokens)));
    }
    if run.failed > 0 {
        parts.push(format!("{} failed", run.failed));
    }
    match run.stage {
        Stage::Paused => parts.push("paused".to_owned()),
        Stage::Draining => parts.push(format!("stopping, {} in flight", run.in_flight)),
        Stage::Preparing | Stage::Running | Stage::Finishing | Stage::Finished => {}
    }
    safe::line(&parts.join(", "))
}

fn json(run: &Snapshot) -> serde_json::Value {
    json!({
        "progress": {
            "stage": run.stage, "done": run.done, "total": run.total, "success": run.success, "failed": run.failed,
            "restored": run.restored, "retried": run.retried, "in_flight": run.in_flight,
            "input_tokens": run.input_tokens, "output_tokens": run.output_tokens,
            "rows_per_sec": (run.rows_per_sec * 10.0).round() / 10.0,
            "eta_secs": run.eta.map(|eta| eta.as_secs()), "elapsed_secs": run.elapsed.as_secs(),
        }
    })
}

/// A span as people say it: `0.4 s`, `12 s`, `3 min 5 s`, `2 h 10 min`.
#[must_use]
pub fn span(span: Duration) -> String {
    let secs = span.as_secs();
    match secs {
        0..10 => format!("{:.1} s", span.as_secs_f64()),
        10..60 => format!("{secs} s"),
        60..3600 => format!("{} min {} s", secs / 60, secs % 60),
        _ => format!("{} h {} min", secs / 3600, secs % 3600 / 60),
    }
}

/// A number with its thousands apart: `1 204 331`.
#[must_use]
pub fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_at_every_5_percent_or_10_seconds_but_not_in_a_flood() {
        let start = Instant::now();
        let at = |secs: f64| start + Duration::from_secs_f64(secs);
        let mut gate = Gate { at: start, percent: 0 };
        let asked = [(0.1, 50), (1.1, 4), (1.2, 5), (1.3, 90), (2.3, 90), (11.0, 91), (12.3, 91), (22.4, 91)];
        let opened: Vec<f64> = asked
            .iter()
            .filter(|(secs, percent)| gate.opens(at(*secs), Some(*percent)))
            .map(|(s, _)| *s)
            .collect();
        assert_eq!(opened, [1.2, 2.3, 12.3, 22.4]);
    }

    fn snapshot() -> Snapshot {
        Snapshot {
            stage: Stage::Running,
            total: None,
            done: 0,
            success: 0,
            failed: 0,
            restored: 0,
            retried: 0,
            requeued: 0,
            in_flight: 0,
            input_tokens: 0,
            output_tokens: 0,
            elapsed: Duration::ZERO,
            rows_per_sec: 0.0,
            eta: None,
        }
    }

    #[test]
    fn a_line_says_how_far_how_fast_and_how_long() {
        let run = Snapshot {
            total: Some(6000),
            done: 5600,
            failed: 100,
            input_tokens: 1_200_000,
            output_tokens: 4_331,
            rows_per_sec: 10.04,
            eta: Some(Duration::from_secs(40)),
            ..snapshot()
        };
        assert_eq!(
            words(&run, true),
            "5600 of 6000 rows, 93 %, 10.0/s, 40 s left, 1 204 331 tok, 100 failed"
        );
        let stopping = Snapshot { stage: Stage::Draining, in_flight: 3, ..run };
        assert!(words(&stopping, false).ends_with(", stopping, 3 in flight"));
    }

    #[test]
    fn nothing_is_promised_before_anything_is_known() {
        assert_eq!(words(&snapshot(), true), "0 rows");
        let unknown = json(&snapshot());
        assert!(unknown["progress"]["eta_secs"].is_null() && unknown["progress"]["total"].is_null());
    }

    #[test]
    fn spans_and_counts_are_readable() {
        let texts: Vec<_> = [0.42, 12.0, 185.0, 7800.0].map(|s| span(Duration::from_secs_f64(s))).into();
        assert_eq!(texts, ["0.4 s", "12 s", "3 min 5 s", "2 h 10 min"]);
        assert_eq!([count(7), count(1000), count(1_234_567)], ["7", "1 000", "1 234 567"]);
    }
}
