//! What must hold whatever happens: one dead key costs one key, a call has its bound, and what has begun is not begun
//! again.

use std::sync::Arc;

use llm_client::lane::KeyPool;
use llm_client::{HttpClient, ModelClientExt as _};
use llm_manager::{Aggregator, Member, Pool, Strategy};
use llm_mock::{MockConfig, MockServer, Reply};
use llm_types::{ChatRequest, ErrorKind, Secret};

use crate::stage::{self, answering_in, client, load, pool};
use crate::{Failure, Seen};

/// One of the three keys of an endpoint is refused.
pub(crate) async fn dead_key(quick: bool) -> Result<Seen, Failure> {
    let calls = if quick { 90 } else { 300 };
    let keyed = MockConfig::new().dead_key("sk-drill-dead").start().await?;
    let (one, two) = (answering_in(2).start().await?, answering_in(2).start().await?);
    let keys = ["sk-drill-good", "sk-drill-dead", "sk-drill-fine"];
    let keys = KeyPool::new("drill", keys.map(Secret::new).to_vec())?;
    let builder = HttpClient::builder(keyed.base_url(), "echo").provider("keyed").key_pool(Arc::clone(&keys));
    let mut pool = Pool::builder("pool/drill").strategy(Strategy::RoundRobin).settings(stage::settings());
    pool = pool.member(Member::new(Arc::new(builder.settings(stage::settings()).build()?)));
    for (server, name) in [(&one, "one"), (&two, "two")] {
        pool = pool.member(Member::new(Arc::new(client(server, name, &stage::settings())?)));
    }
    let load = load(&pool.build()?, calls, 6, async |_| {}).await;
    let parked: Vec<bool> = keys.snapshot().iter().map(|key| key.parked.is_some()).collect();
    let sent = |key: &str| keyed.requests().iter().filter(|request| request.key() == Some(key)).count();
    let (dead, good, fine) = (sent("sk-drill-dead"), sent("sk-drill-good"), sent("sk-drill-fine"));
    let (parked_now, dead_is) =
        (parked.iter().filter(|parked| **parked).count(), parked.get(1) == Some(&true));
    // Calls that were on their way with it when the first refusal came.
    let pass = load.failed == 0 && parked_now == 1 && dead_is && dead <= 6 && good > dead && fine > dead;
    let observed = format!(
        "{parked_now} of 3 keys parked; {dead} requests with it, {good} and {fine} with the others; {}",
        load.told()
    );
    Ok(Seen::new(pass, "one key dead: only it is parked, its endpoint works on", observed))
}

/// Four models that fail every call.
pub(crate) async fn failing_models() -> Result<Seen, Failure> {
    let settings = stage::settings();
    let mut servers = Vec::new();
    let mut models = Aggregator::builder("chain/drill").settings(settings.clone());
    for name in ["one", "two", "three", "four"] {
        let server = MockConfig::new().log(false).error_rate(1.0).start().await?;
        models = models.model(Arc::new(client(&server, name, &settings)?));
        servers.push(server);
    }
    let error = models.build()?.ask("Is anybody there?").await.err().ok_or("a call was answered")?;
    let sent: u64 = servers.iter().map(|server| server.counts().total).sum();
    let each = servers.iter().all(|server| server.counts().total > 0);
    let bound = u64::from(settings.max_retries) + 4;
    let told = error.attempts().len();
    let pass = sent <= bound && each && u64::try_from(told) == Ok(sent) && error.kind() == ErrorKind::Server;
    let expected = format!("four failing models: at most R + E = {bound} requests, each told");
    Ok(Seen::new(pass, expected, format!("{sent} requests, {told} attempts in the error ({})", error.kind())))
}

/// A stream that breaks after its first words.
pub(crate) async fn cut_stream() -> Result<Seen, Failure> {
    let mut servers = Vec::new();
    for _ in 0..3 {
        let server = MockConfig::new().log(false).start().await?;
        server.push(Reply::text("These are many words, and the last of them never come.").cut_at(900));
        servers.push(server);
    }
    let pool = pool(&servers.iter().collect::<Vec<&MockServer>>(), Strategy::RoundRobin, &stage::settings())?;
    let collected = pool.stream(ChatRequest::user("Go on.")).await?.collect().await;
    let sent: u64 = servers.iter().map(|server| server.counts().total).sum();
    let expected = "a stream cut after content: one request, the part is kept";
    let Err(error) = collected else { return Ok(Seen::new(false, expected, "the answer came whole")) };
    let part = error.partial().map(llm_types::ChatResponse::text).unwrap_or_default();
    let pass = sent == 1 && error.kind() == ErrorKind::Truncated && !part.is_empty();
    Ok(Seen::new(pass, expected, format!("{sent} request, {}, {} bytes kept", error.kind(), part.len())))
}

/// The same failure where a call was to stay with its endpoint.
pub(crate) async fn no_fallback() -> Result<Seen, Failure> {
    let settings = stage::settings();
    let failing = MockConfig::new().log(false).error_rate(1.0).start().await?;
    let other = answering_in(0).start().await?;
    let pool =
        Pool::builder("pool/drill").strategy(Strategy::Fallback).fallback(false).settings(settings.clone());
    let pool = pool
        .member(Member::new(Arc::new(client(&failing, "one", &settings)?)))
        .member(Member::new(Arc::new(client(&other, "two", &settings)?)))
        .build()?;
    let failed = pool.ask("Is anybody there?").await.is_err();
    let (sent, others) = (failing.counts().total, other.counts().total);
    let bound = u64::from(settings.max_retries) + 1;
    let observed = format!("{sent} requests there, {others} elsewhere");
    let expected = format!("fallback off: at most {bound} requests to one endpoint, none elsewhere");
    Ok(Seen::new(failed && sent <= bound && others == 0, expected, observed))
}
