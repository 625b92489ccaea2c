//! Now, sleep and chance: the only room that may ask for them.
//!
//! Everything that decides takes `now` and a random number as arguments, so that it can be tested against a written
//! table. Time is tokio's, which tests can pause.

use std::time::{Duration, SystemTime};

pub use tokio::time::Instant;

/// The present moment on the monotonic clock. A jump of the wall clock changes nothing here.
#[must_use]
pub fn now() -> Instant {
    Instant::now()
}

/// Sleeps until `at`; returns at once when that is past.
pub async fn sleep_until(at: Instant) {
    tokio::time::sleep_until(at).await;
}

/// A random number in [0, 1).
#[must_use]
pub fn random() -> f64 {
    fastrand::f64()
}

/// `now + wait`, or a moment far away where that overflows.
#[must_use]
pub fn after(now: Instant, wait: Duration) -> Instant {
    const FAR: Duration = Duration::from_secs(60 * 60 * 24 * 365);
    now.checked_add(wait).unwrap_or_else(|| now + FAR)
}

/// Seconds since 1970 by the wall clock, for what others check against theirs.
#[must_use]
pub fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
