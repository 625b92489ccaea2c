//! What a run did, for people and programs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use llm_types::{Error, ErrorKind, Money, Usage};
use serde::{Serialize, Serializer};

use crate::latency::{Histogram, Latency};
use crate::row::Format;

/// What a run did. Its JSON form is stable: `v` says which.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// The version of this shape: 1.
    pub v: u32,
    /// The model that was asked, by its configured name.
    pub model: String,
    /// The output, where there is one.
    pub output: Option<PathBuf>,
    /// The rows of the input, bad ones included (the first rows only, with a limit). `None` where the run stopped
    /// before it had read them all.
    pub total: Option<u64>,
    /// Rows that are answered, in this run or before.
    pub success: u64,
    /// Rows that have failed, in this run or before.
    pub failed: u64,
    /// Of both, those that an earlier run had stored and this one used.
    pub restored: u64,
    /// Of the restored rows, those that had failed and were not asked again.
    pub restored_failed: u64,
    /// Rows that this run answered or saw fail.
    pub new: u64,
    /// Of the new rows, those that had failed in an earlier run.
    pub retried: u64,
    /// How often a row was put back because nothing could take it.
    pub requeued: u64,
    /// Rows left to do. `None` where `total` is not known.
    pub unrun: Option<u64>,
    /// Rows that could not be read, counted among the failed.
    pub bad_rows: u64,
    /// Blank lines, which are no rows.
    pub blank_lines: u64,
    /// How many rows are written in which format.
    pub formats: BTreeMap<Format, u64>,
    /// This run's failures by kind, the most frequent first.
    pub errors: Vec<ErrorCount>,
    /// Tokens used in this run, where the vendor says so.
    pub usage: Option<Usage>,
    /// What this run spent of its budget. The budget is the client's, so whoever made the client fills this in.
    pub spending: Option<Spending>,
    /// Requests made in this run.
    pub attempts: u64,
    /// How long the run took.
    #[serde(rename = "elapsed_ms", serialize_with = "millis")]
    pub elapsed: Duration,
    /// New rows per second.
    pub rows_per_sec: f64,
    /// How long answers took, without waiting for a free lane.
    pub latency_ms: Option<Latency>,
    /// Whether the output stands in the order of `index`.
    pub sorted: bool,
    /// Answers that no row claims any more, where some were set aside.
    pub unclaimed: Option<Unclaimed>,
    /// What the user should know.
    pub warnings: Vec<String>,
    /// Why the run ended early; `None` when every row has its record.
    pub stopped: Option<Stop>,
}

fn millis<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

impl Summary {
    /// Whether every row has its record, failed or not.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.stopped.is_none()
    }
}

/// What a run spent, and what it might have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Spending {
    /// In US dollars; `None` where the price is not known.
    pub cost: Option<Money>,
    /// The most it might have cost.
    pub max_cost: Option<Money>,
    /// What is left of that.
    pub cost_left: Option<Money>,
    /// Tokens read and written.
    pub tokens: u64,
    /// The most it might have used.
    pub max_total_tokens: Option<u64>,
    /// What is left of that.
    pub tokens_left: Option<u64>,
    /// Calls whose cost is an estimate, because nobody told what they used.
    pub estimated_calls: u64,
}

/// Failures of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ErrorCount {
    /// The kind, as in records.
    #[serde(serialize_with = "kind")]
    pub kind: ErrorKind,
    /// How many rows.
    pub count: u64,
    /// What the first of them said.
    pub example: String,
    /// The first one's line in the input, counted from 1.
    pub line: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands out references")]
fn kind<S: Serializer>(kind: &ErrorKind, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(kind.as_str())
}

/// Answers that no row claims any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Unclaimed {
    /// The file they are kept in. The next run with this output reads it again.
    pub file: PathBuf,
    /// How many this run added.
    pub added: u64,
}

/// Why a run ended early. What was stored stays; the same command goes on from there.
#[derive(Clone, Debug, Serialize)]
pub struct Stop {
    /// The cause, to branch on.
    pub reason: StopReason,
    /// The cause in words.
    pub message: String,
    /// The failed call that decided it, where one did. It is not written as a row's error.
    pub error: Option<Error>,
}

impl Stop {
    pub(crate) fn new(reason: StopReason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), error: None }
    }

    pub(crate) fn by(reason: StopReason, error: Error) -> Self {
        let message = match reason {
            StopReason::Key => "the key was refused",
            StopReason::Quota => "no credit or quota is left",
            // It names the budget and its figures itself.
            StopReason::Budget => return Self { reason, message: error.chain(), error: Some(error) },
            StopReason::Config => "the client refuses every request",
            StopReason::Cancelled => "the client was closed",
            StopReason::Outage => "nothing was answered for too long",
            _ => "stopped",
        };
        Self { reason, message: format!("{message}: {}", error.chain()), error: Some(error) }
    }
}

/// The cause of an early end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum StopReason {
    /// The caller asked to drain: what was in flight is stored.
    Drained,
    /// The caller asked to abort: what was in flight is lost.
    Aborted,
    /// The key was refused.
    Key,
    /// No credit or quota is left.
    Quota,
    /// A budget is used up.
    Budget,
    /// The client refuses every request as it is configured.
    Config,
    /// The client was closed.
    Cancelled,
    /// Nothing was answered for `max_outage`, or from the beginning.
    Outage,
    /// The job's deadline has come.
    Deadline,
    /// The output could not be written.
    Output,
    /// The input could not be read to its end.
    Input,
}

/// How many failed rows are fine: a number, or a share of all rows in percent. The default is none.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum MaxFailures {
    /// So many.
    Rows(u64),
    /// So many of a hundred.
    Percent(f64),
}

impl Default for MaxFailures {
    fn default() -> Self {
        Self::Rows(0)
    }
}

impl MaxFailures {
    /// Whether a run failed more rows than that.
    #[must_use]
    pub fn is_exceeded(self, summary: &Summary) -> bool {
        match self {
            Self::Rows(most) => summary.failed > most,
            Self::Percent(most) => {
                let all = summary.success.saturating_add(summary.failed);
                summary.failed as f64 * 100.0 > most * all as f64
            }
        }
    }
}

/// `12` or `2.5%`.
impl FromStr for MaxFailures {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is neither a number of rows nor a share such as 5%");
        match text.trim().strip_suffix('%') {
            Some(percent) => percent
                .trim()
                .parse()
                .ok()
                .filter(|percent| (0.0..=100.0).contains(percent))
                .map(Self::Percent)
                .ok_or_else(wrong),
            None => text.trim().parse().map(Self::Rows).map_err(|_| wrong()),
        }
    }
}

/// What is counted while a run goes on and progress does not need.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) errors: Vec<ErrorCount>,
    pub(crate) usage: Option<Usage>,
    pub(crate) attempts: u64,
    pub(crate) latency: Histogram,
}

impl Tally {
    /// Counts a failed row. Says whether it is the first of its kind.
    pub(crate) fn failed(&mut self, error: &Error, line: u64) -> bool {
        let word = error.kind().as_str();
        if let Some(known) = self.errors.iter_mut().find(|known| known.kind.as_str() == word) {
            known.count += 1;
            return false;
        }
        self.errors.push(ErrorCount { kind: error.kind(), count: 1, example: error.chain(), line });
        true
    }

    pub(crate) fn used(&mut self, usage: Option<&Usage>) {
        if let Some(usage) = usage {
            match &mut self.usage {
                Some(sum) => sum.add(usage),
                None => self.usage = Some(*usage),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_failures_is_a_number_or_percent() {
        assert_eq!("12".parse(), Ok(MaxFailures::Rows(12)));
        assert_eq!("2.5%".parse(), Ok(MaxFailures::Percent(2.5)));
        for wrong in ["", "-1", "x%", "101%", "NaN%", "1.5"] {
            assert!(wrong.parse::<MaxFailures>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn failures_are_counted_by_kind_with_the_first_example() {
        let mut tally = Tally::default();
        assert!(tally.failed(&Error::new(ErrorKind::Server, "first"), 3));
        assert!(!tally.failed(&Error::new(ErrorKind::Server, "second"), 1));
        assert!(tally.failed(&Error::new(ErrorKind::Timeout(llm_types::Phase::Idle), "slow"), 2));
        assert!(!tally.failed(&Error::new(ErrorKind::Timeout(llm_types::Phase::Attempt), "slow"), 2));
        let json = serde_json::to_string(&tally.errors).unwrap();
        assert_eq!(
            json,
            r#"[{"kind":"server","count":2,"example":"first","line":3},{"kind":"timeout","count":2,"example":"slow","line":2}]"#
        );
    }
}
