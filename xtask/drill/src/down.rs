//! Endpoints that are gone, one or all, and one that comes back.

use std::sync::Arc;
use std::time::Duration;

use llm_client::{ModelClient, Settings};
use llm_manager::{Member, Pool, Strategy};
use llm_mock::MockServer;
use llm_types::ErrorKind;
use tokio::time::Instant;

use crate::stage::{self, answering_in, ask, client, load, load_for, pool};
use crate::{Failure, Seen};

/// One of three is killed while it answers, once under each strategy.
pub(crate) async fn killed(quick: bool) -> Result<Seen, Failure> {
    let calls = if quick { 120 } else { 600 };
    let (mut all, mut failed, mut fault) = (0, 0, String::new());
    for strategy in Strategy::ALL {
        let (one, two) = (answering_in(5).start().await?, answering_in(5).start().await?);
        let mut victim = Some(answering_in(5).start().await?);
        let servers = [victim.as_ref(), Some(&one), Some(&two)];
        let pool = pool(&servers.into_iter().flatten().collect::<Vec<_>>(), strategy, &stage::settings())?;
        let load = load(&pool, calls, 16, async |over| {
            // In the middle, with requests on their way to it.
            if over >= calls / 3
                && let Some(victim) = victim.take()
            {
                victim.shutdown().await;
            }
        })
        .await;
        all += load.calls;
        failed += load.failed;
        if load.failed > 0 {
            fault.push_str(&format!("; {}: {}", strategy.as_str(), load.told()));
        }
    }
    let observed = format!("{failed} of {all} failed, over {} strategies{fault}", Strategy::ALL.len());
    Ok(Seen::new(failed == 0 && all > 0, "one of three killed mid-run: 0 failed calls", observed))
}

/// All are gone, and their breakers rest for different times.
pub(crate) async fn all_down() -> Result<Seen, Failure> {
    const RESTS: [u64; 3] = [40, 15, 90];
    let mut members = Vec::new();
    for (rest, name) in RESTS.into_iter().zip(["one", "two", "three"]) {
        let server = answering_in(0).start().await?;
        let settings = Settings { recovery_time: Duration::from_secs(rest), ..stage::settings() };
        members.push(Member::new(Arc::new(client(&server, name, &settings)?)));
        server.shutdown().await;
    }
    let pool = Pool::builder("pool/drill").members(members).settings(stage::settings()).build()?;
    let mut error = None;
    for _ in 0..20 {
        error = ask(&pool).await.err();
        if error.as_ref().is_some_and(|error| error.attempts().is_empty()) {
            break;
        }
    }
    let expected = "all down: nothing is sent, the earliest recovery (two, 15 s) is named";
    let Some(error) = error else { return Ok(Seen::new(false, expected, "a call was answered")) };
    let named = error.retry_after().unwrap_or_default();
    // A rest is stretched by a tenth at most.
    let earliest = Duration::from_secs(13)..Duration::from_millis(16_600);
    let health = pool.health().ok_or("the pool keeps no account")?;
    let resting = health.members.iter().filter_map(|member| member.lanes.as_ref()?.next_trial_ms).min();
    let pass = error.kind() == ErrorKind::Unavailable
        && error.attempts().is_empty()
        && earliest.contains(&named)
        && resting.is_some_and(|ms| Duration::from_millis(ms) <= named)
        && !health.healthy;
    Ok(Seen::new(
        pass,
        expected,
        format!("{}: {error} (retry_after {:.1} s)", error.kind(), named.as_secs_f64()),
    ))
}

/// One of three is killed, rests, and comes back at its address.
pub(crate) async fn recovery() -> Result<Seen, Failure> {
    const REST: Duration = Duration::from_secs(1);
    let settings = Settings { recovery_time: REST, ..stage::settings() };
    let (one, two) = (answering_in(2).start().await?, answering_in(2).start().await?);
    let victim = answering_in(2).start().await?;
    let port = victim.address().port();
    let pool = pool(&[&victim, &one, &two], Strategy::RoundRobin, &settings)?;
    let mut load = load_for(&pool, Duration::from_millis(200), 4).await;
    let before = victim.counts().answered;
    victim.shutdown().await;
    // Through several trials that fail.
    let down = load_for(&pool, REST.mul_f64(4.0), 4).await;
    let back = answering_in(2).port(port).start().await?;
    let (begun, wait) = (Instant::now(), REST.mul_f64(6.0));
    load.failed += down.failed + returns(&pool, &back, wait).await;
    let took = begun.elapsed();
    let answered = back.counts().answered;
    let pass = before > 0 && load.failed == 0 && answered > 0 && took <= REST * 2;
    let observed =
        format!("back after {:.2} rests; {} failed", took.as_secs_f64() / REST.as_secs_f64(), load.failed);
    Ok(Seen::new(pass, "a killed one comes back: in use within two rests, 0 failed calls", observed))
}

/// Calls until the server has answered one, or for so long; gives the calls that failed.
async fn returns(pool: &Pool, server: &MockServer, wait: Duration) -> usize {
    let begun = Instant::now();
    let mut failed = 0;
    while server.counts().answered == 0 && begun.elapsed() < wait {
        failed += usize::from(ask(pool).await.is_err());
    }
    failed
}
