//! Counters and latencies of one client.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use llm_types::Usage;
use serde::Serialize;

/// How many latencies are kept for averages and percentiles.
const KEPT: usize = 1000;
/// How many of them are shown as they are.
const RECENT: usize = 10;

/// Counts calls as the caller sees them: a call with three attempts is one request.
#[derive(Debug, Default)]
pub struct Metrics(Mutex<Counters>);

#[derive(Debug, Default)]
struct Counters {
    successful: u64,
    failed: u64,
    input_tokens: u64,
    output_tokens: u64,
    /// Of successful calls, the latest last.
    latencies: VecDeque<Duration>,
}

/// The figures of one client. Latencies and averages are over successful calls; a call with retries is one request.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct MetricsSnapshot {
    /// Calls that ended, either way.
    pub total_requests: u64,
    /// Calls that were answered.
    pub successful_requests: u64,
    /// Calls that failed. A call that was dropped is neither.
    pub failed_requests: u64,
    /// The share of calls answered, 0 to 1; `None` before the first.
    pub success_rate: Option<f64>,
    /// Tokens read, as far as reported.
    pub input_tokens: u64,
    /// Tokens written, as far as reported.
    pub output_tokens: u64,
    /// Tokens read and written for each answered call.
    pub avg_tokens_per_request: Option<f64>,
    /// Over the last 1,000 answered calls, in milliseconds. A stream ends with its last event.
    pub avg_latency_ms: Option<f64>,
    /// Half of them were faster.
    pub p50_latency_ms: Option<f64>,
    /// 95 % of them were faster.
    pub p95_latency_ms: Option<f64>,
    /// 99 % of them were faster.
    pub p99_latency_ms: Option<f64>,
    /// The last ten, oldest first, in milliseconds.
    pub recent_latencies: Vec<f64>,
}

impl Metrics {
    fn counters(&self) -> std::sync::MutexGuard<'_, Counters> {
        // Plain counters: what a panic left behind is still true.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call that was answered, and how long it took.
    pub fn succeeded(&self, latency: Duration, usage: Option<&Usage>) {
        let mut c = self.counters();
        c.successful += 1;
        if let Some(usage) = usage {
            c.input_tokens = c.input_tokens.saturating_add(usage.input_total());
            c.output_tokens = c.output_tokens.saturating_add(usage.output_total());
        }
        if c.latencies.len() == KEPT {
            c.latencies.pop_front();
        }
        c.latencies.push_back(latency);
    }

    /// A failed call; what a broken stream had used is counted, because it is paid.
    pub fn failed(&self, usage: Option<&Usage>) {
        let mut c = self.counters();
        c.failed += 1;
        if let Some(usage) = usage {
            c.input_tokens = c.input_tokens.saturating_add(usage.input_total());
            c.output_tokens = c.output_tokens.saturating_add(usage.output_total());
        }
    }

    /// The figures so far.
    #[must_use]
    pub fn snapshot(&self) -> MetricsSnapshot {
        let c = self.counters();
        let total = c.successful + c.failed;
        let mut sorted: Vec<Duration> = c.latencies.iter().copied().collect();
        sorted.sort_unstable();
        let sum: Duration = sorted.iter().sum();
        let share = |part: f64, whole: u64| (whole > 0).then(|| part / float(whole));
        MetricsSnapshot {
            total_requests: total,
            successful_requests: c.successful,
            failed_requests: c.failed,
            success_rate: share(float(c.successful), total),
            input_tokens: c.input_tokens,
            output_tokens: c.output_tokens,
            avg_tokens_per_request: share(
                float(c.input_tokens.saturating_add(c.output_tokens)),
                c.successful,
            ),
            avg_latency_ms: share(millis(sum), u64::try_from(sorted.len()).unwrap_or(u64::MAX)),
            p50_latency_ms: percentile(&sorted, 50).map(millis),
            p95_latency_ms: percentile(&sorted, 95).map(millis),
            p99_latency_ms: percentile(&sorted, 99).map(millis),
            recent_latencies: c.latencies.iter().rev().take(RECENT).rev().copied().map(millis).collect(),
        }
    }
}

/// Exact up to 2^53, which no counter reaches.
#[expect(clippy::cast_precision_loss, reason = "statistics for people")]
fn float(n: u64) -> f64 {
    n as f64
}

fn millis(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e3
}

/// The nearest rank: the smallest value that `percent` % of the values do not exceed.
#[must_use]
pub fn percentile(sorted: &[Duration], percent: usize) -> Option<Duration> {
    let rank = (sorted.len() * percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn percentiles_are_nearest_ranks() {
        let hundred: Vec<Duration> = (1..=100).map(|n| n * MS).collect();
        for (percent, expected) in [(50, 50), (95, 95), (99, 99), (100, 100)] {
            assert_eq!(percentile(&hundred, percent), Some(expected * MS));
        }
        assert_eq!(percentile(&[], 50), None);
        assert_eq!(percentile(&[MS], 99), Some(MS));
    }

    #[test]
    fn only_the_last_thousand_latencies_count_and_ten_are_shown() {
        let metrics = Metrics::default();
        let usage = Usage { fresh_input: 3, plain_output: 2, ..Usage::default() };
        for n in 0..1100_u32 {
            metrics.succeeded(if n < 100 { 1_000_000 * MS } else { n * MS }, Some(&usage));
        }
        metrics.failed(None);
        let s = metrics.snapshot();
        assert_eq!((s.total_requests, s.successful_requests, s.failed_requests), (1101, 1100, 1));
        assert_eq!((s.input_tokens, s.output_tokens, s.avg_tokens_per_request), (3300, 2200, Some(5.0)));
        assert_eq!(s.recent_latencies, (1090..1100).map(f64::from).collect::<Vec<_>>());
        assert_eq!(s.p50_latency_ms, Some(599.0));
    }

    #[test]
    fn nothing_is_known_before_the_first_call() {
        let s = Metrics::default().snapshot();
        assert_eq!((s.success_rate, s.avg_latency_ms, s.p99_latency_ms), (None, None, None));
    }
}
