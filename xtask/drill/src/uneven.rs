//! Endpoints that are there and not as good as the others: one fails at once, one is limited, one is slow.

use std::time::Duration;

use llm_client::Settings;
use llm_manager::Strategy;
use llm_mock::{MockConfig, RateLimit, RetryAfter};

use crate::stage::{self, answering_in, load, load_for, percent, pool};
use crate::{Failure, Seen};

/// One fails before the others have begun to think, and so is never busy. Its breaker is kept from opening, so that the
/// choice alone has to notice.
pub(crate) async fn fast_failer(quick: bool) -> Result<Seen, Failure> {
    let calls = if quick { 200 } else { 600 };
    let failing = MockConfig::new().log(false).error_rate(1.0).start().await?;
    let (one, two) = (answering_in(20).start().await?, answering_in(20).start().await?);
    let settings = Settings { failure_threshold: 1_000_000, ..stage::settings() };
    let pool = pool(&[&failing, &one, &two], Strategy::LeastBusy, &settings)?;
    let total = || failing.counts().total + one.counts().total + two.counts().total;
    let mut early = (0, 0);
    let load = load(&pool, calls, 16, async |over| {
        if over == 20 {
            early = (failing.counts().total, total());
        }
    })
    .await;
    let share = percent(failing.counts().total - early.0, total() - early.1);
    let pass = share < 5.0 && load.failed == 0;
    let expected = "one fails at once, least_busy: < 5 % of requests after 20 calls";
    Ok(Seen::new(pass, expected, format!("{share:.1} % went to it; {}", load.told())))
}

/// One bears a fraction of its part, and says so with 429.
pub(crate) async fn limited(quick: bool) -> Result<Seen, Failure> {
    let window = Duration::from_millis(if quick { 1500 } else { 4000 });
    let rate = RateLimit::per_second(30.0).retry_after(RetryAfter::Seconds);
    let limited = answering_in(20).rate(rate).start().await?;
    let (one, two) = (answering_in(20).start().await?, answering_in(20).start().await?);
    // Three times 16 at a time, 20 ms each: about 800 a second to each of the three.
    let pool = pool(&[&limited, &one, &two], Strategy::RoundRobin, &stage::settings())?;
    let mut load = load_for(&pool, Duration::from_secs(2), 48).await;
    let (asked, refused) = (limited.counts().total, limited.counts().status(429));
    let rest = load_for(&pool, window, 48).await;
    load.calls += rest.calls;
    load.failed += rest.failed;
    load.error = load.error.or(rest.error);
    let (asked, refused) = (limited.counts().total - asked, limited.counts().status(429) - refused);
    let share = percent(refused, asked);
    let pass = share < 10.0 && load.failed == 0;
    let expected = "one limited to 30/s: < 10 % of its answers are 429 after 2 s";
    let observed = format!("{share:.1} % ({refused} of {asked}); {}", load.told());
    Ok(Seen::new(pass, expected, observed))
}

/// One takes forty times as long as the others. In turns it would get a third.
pub(crate) async fn slow(quick: bool) -> Result<Seen, Failure> {
    let calls = if quick { 200 } else { 600 };
    let (mut pass, mut shares) = (true, Vec::new());
    for strategy in [Strategy::Latency, Strategy::LeastBusy] {
        let slow = answering_in(400).start().await?;
        let (one, two) = (answering_in(10).start().await?, answering_in(10).start().await?);
        let pool = pool(&[&slow, &one, &two], strategy, &stage::settings())?;
        let load = load(&pool, calls, 12, async |_| {}).await;
        let total = slow.counts().total + one.counts().total + two.counts().total;
        let share = percent(slow.counts().total, total);
        pass &= share < 16.0 && load.failed == 0;
        shares.push(format!("{} {share:.1} %", strategy.as_str()));
    }
    let expected = "one slow: traffic shifts, less than half its third is left";
    Ok(Seen::new(pass, expected, shares.join(", ")))
}
