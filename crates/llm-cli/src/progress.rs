//! How far a batch is: a bar on a terminal, else plain lines that only ever go forward, or JSON lines.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
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
/// The span over which the rate is taken.
const RATE_OVER: Duration = Duration::from_secs(10);

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

/// The numbers of one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Rows in all, once they are known.
    pub total: Option<u64>,
    /// Rows whose answer was there before this run.
    pub restored: u64,
    /// Rows answered in this run.
    pub answered: u64,
    /// Rows that failed in this run.
    pub failed: u64,
    /// Rows in flight.
    pub in_flight: u64,
    /// Tokens read and written in this run.
    pub tokens: u64,
}

impl Numbers {
    fn run(&self) -> u64 {
        self.answered + self.failed
    }

    fn done(&self) -> u64 {
        self.restored + self.run()
    }

    fn percent(&self) -> Option<u64> {
        self.total.filter(|&total| total > 0).map(|total| (self.done() * 100 / total).min(100))
    }
}

/// The rows of the last seconds, to take a rate from.
#[derive(Debug, Default)]
struct Rate(VecDeque<(Instant, u64)>);

impl Rate {
    fn add(&mut self, now: Instant, run: u64) {
        self.0.push_back((now, run));
        while self.0.len() > 2 && self.0.get(1).is_some_and(|(at, _)| now - *at > RATE_OVER) {
            self.0.pop_front();
        }
    }

    /// Rows in a second, once there is a span to take it from.
    fn per_second(&self) -> Option<f64> {
        let ((start, first), (end, last)) = (self.0.front()?, self.0.back()?);
        let span = (*end - *start).as_secs_f64();
        let rows = u32::try_from(last - first).unwrap_or(u32::MAX);
        (span >= 0.2 && rows > 0).then(|| f64::from(rows) / span)
    }
}

/// Shows how far a batch is.
#[derive(Debug)]
pub struct Progress {
    form: Form,
    term: Arc<Term>,
    bar: Option<ProgressBar>,
    rate: Rate,
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
        Self { form, term, bar, rate: Rate::default(), gate: Gate { at: now, percent: 0 } }
    }

    /// Looks at the numbers of a moment.
    pub fn tick(&mut self, numbers: &Numbers, now: Instant) {
        self.rate.add(now, numbers.run());
        if let Some(bar) = &self.bar {
            if bar.length() != numbers.total
                && let Some(total) = numbers.total
            {
                bar.set_length(total);
                bar.set_style(style(true));
            }
            bar.set_message(words(numbers, self.rate.per_second(), false));
            bar.set_position(numbers.done());
            bar.tick();
        } else if self.gate.opens(now, numbers.percent()) {
            self.line(numbers);
        }
    }

    /// Ends, with a last line where there are lines.
    pub fn finish(&mut self, numbers: &Numbers, now: Instant) {
        self.rate.add(now, numbers.run());
        match self.bar.take() {
            Some(bar) => {
                self.term.set_bar(None);
                bar.finish_and_clear();
            }
            None => self.line(numbers),
        }
    }

    fn line(&self, numbers: &Numbers) {
        let rate = self.rate.per_second();
        match self.form {
            Form::None | Form::Bar => {}
            Form::Plain => self.term.note(&words(numbers, rate, true)),
            Form::Json => self.term.note(&json(numbers, rate).to_string()),
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

fn left(numbers: &Numbers, rate: Option<f64>) -> Option<Duration> {
    let rows = u32::try_from(numbers.total?.saturating_sub(numbers.done())).ok()?;
    Duration::try_from_secs_f64(f64::from(rows) / rate?).ok()
}

fn words(numbers: &Numbers, rate: Option<f64>, whole: bool) -> String {
    let mut parts = Vec::new();
    if whole {
        parts.push(match (numbers.total, numbers.percent()) {
            (Some(total), Some(percent)) => format!("{} of {total} rows, {percent} %", numbers.done()),
            _ => format!("{} rows", numbers.done()),
        });
    }
    if let Some(rate) = rate {
        parts.push(format!("{rate:.1}/s"));
    }
    if let Some(left) = left(numbers, rate).filter(|left| !left.is_zero()) {
        parts.push(format!("{} left", span(left)));
    }
    if numbers.tokens > 0 {
        parts.push(format!("{} tok", count(numbers.tokens)));
    }
    if numbers.failed > 0 {
        parts.push(format!("{} failed", numbers.failed));
    }
    safe::line(&parts.join(", "))
}

fn json(numbers: &Numbers, rate: Option<f64>) -> serde_json::Value {
    json!({
        "progress": {
            "done": numbers.done(), "total": numbers.total, "restored": numbers.restored,
            "success": numbers.answered, "failed": numbers.failed, "in_flight": numbers.in_flight,
            "tokens": numbers.tokens, "rows_per_sec": rate.map(|rate| (rate * 10.0).round() / 10.0),
            "eta_secs": left(numbers, rate).map(|left| left.as_secs()),
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

    #[test]
    fn the_rate_is_that_of_the_last_seconds_and_tells_the_time_left() {
        let start = Instant::now();
        let mut rate = Rate::default();
        for second in 0..=100 {
            let rows = if second <= 50 { second * 100 } else { 5000 + (second - 50) * 10 };
            rate.add(start + Duration::from_secs(second), rows);
        }
        let per_second = rate.per_second().unwrap();
        assert!((9.9..10.1).contains(&per_second), "{per_second}");
        let numbers =
            Numbers { total: Some(6000), restored: 100, answered: 5400, failed: 100, ..Numbers::default() };
        assert_eq!(left(&numbers, Some(per_second)).unwrap().as_secs_f64().round(), 40.0);
        assert_eq!(
            words(&Numbers { tokens: 1_204_331, ..numbers }, Some(per_second), true),
            "5600 of 6000 rows, 93 %, 10.0/s, 40 s left, 1 204 331 tok, 100 failed"
        );
    }

    #[test]
    fn nothing_is_promised_before_anything_is_known() {
        assert_eq!(words(&Numbers::default(), None, true), "0 rows");
        assert_eq!(Rate::default().per_second(), None);
        let unknown = json(&Numbers::default(), None);
        assert!(unknown["progress"]["eta_secs"].is_null() && unknown["progress"]["total"].is_null());
    }

    #[test]
    fn spans_and_counts_are_readable() {
        let texts: Vec<_> = [0.42, 12.0, 185.0, 7800.0].map(|s| span(Duration::from_secs_f64(s))).into();
        assert_eq!(texts, ["0.4 s", "12 s", "3 min 5 s", "2 h 10 min"]);
        assert_eq!([count(7), count(1000), count(1_234_567)], ["7", "1 000", "1 234 567"]);
    }
}
