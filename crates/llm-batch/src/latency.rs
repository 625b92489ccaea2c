//! How long calls took, in a fixed number of buckets: percentiles within 3 %, whatever the number of calls.

use std::time::Duration;

use serde::Serialize;

/// Buckets per doubling.
const FINE_BITS: u32 = 5;
const FINE: u64 = 1 << FINE_BITS;

/// Percentiles of the calls' latencies, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Latency {
    /// Half were at most this long.
    pub p50: f64,
    /// 95 % were.
    pub p95: f64,
    /// 99 % were.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

/// Counts latencies in microseconds.
#[derive(Clone, Debug, Default)]
pub(crate) struct Histogram {
    buckets: Vec<u64>,
    count: u64,
    max: u64,
}

impl Histogram {
    pub(crate) fn record(&mut self, latency: Duration) {
        let micros = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        let at = bucket(micros);
        if self.buckets.len() <= at {
            self.buckets.resize(at + 1, 0);
        }
        if let Some(count) = self.buckets.get_mut(at) {
            *count += 1;
        }
        self.count += 1;
        self.max = self.max.max(micros);
    }

    /// `None` when nothing was recorded.
    pub(crate) fn percentiles(&self) -> Option<Latency> {
        let at = |percent: u64| {
            let rank = (self.count * percent).div_ceil(100).max(1);
            let mut seen = 0;
            let found = self.buckets.iter().position(|count| {
                seen += count;
                seen >= rank
            });
            millis(found.map_or(self.max, upper).min(self.max))
        };
        (self.count > 0).then(|| Latency { p50: at(50), p95: at(95), p99: at(99), max: millis(self.max) })
    }
}

fn millis(micros: u64) -> f64 {
    micros as f64 / 1000.0
}

/// Small values have a bucket each; larger ones share one with those of the same leading bits.
fn bucket(value: u64) -> usize {
    let shift = (u64::BITS - value.leading_zeros()).saturating_sub(FINE_BITS + 1);
    let at = u64::from(shift) * FINE + (value >> shift);
    usize::try_from(at).unwrap_or(usize::MAX)
}

/// The largest value of a bucket.
fn upper(bucket: usize) -> u64 {
    let at = bucket as u64;
    let shift = (at / FINE).saturating_sub(1);
    let lead = at - shift * FINE;
    ((lead + 1) << shift) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_lies_in_its_bucket_and_buckets_are_narrow() {
        for value in (0..5000).chain([1 << 20, (1 << 20) + 7, 123_456_789, u64::MAX >> 1]) {
            let top = upper(bucket(value));
            assert!(top >= value && (top - value) as f64 <= 0.032 * value as f64, "{value} {top}");
            assert_eq!(bucket(top), bucket(value));
            assert_eq!(bucket(top + 1), bucket(value) + 1);
        }
        assert!(bucket(u64::MAX) < 2000);
    }

    #[test]
    fn percentiles_are_those_of_the_sorted_list() {
        let mut histogram = Histogram::default();
        assert_eq!(histogram.percentiles(), None);
        for ms in 1..=1000 {
            histogram.record(Duration::from_millis(ms));
        }
        let Latency { p50, p95, p99, max } = histogram.percentiles().unwrap();
        for (found, exact) in [(p50, 500.0), (p95, 950.0), (p99, 990.0)] {
            assert!((exact..exact * 1.033).contains(&found), "{found} {exact}");
        }
        assert_eq!(max, 1000.0);
    }
}
