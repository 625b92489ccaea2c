//! `llm test`: can the model be used? The server's list first, then one short chat; each step says how long it took or
//! why it failed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use llm_client::Call;
use llm_types::{ChatRequest, Error, ErrorKind};
use serde_json::{Value, json};

use super::models::no_list;
use crate::args::Test;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::progress::span;
use crate::session::Session;
use crate::signals::Signals;
use crate::term::{Term, safe};

/// Enough for a model that thinks before it says a word.
const MOST_TOKENS: u64 = 256;

/// One step.
struct Step {
    result: Result<String, Error>,
    took: Duration,
}

/// Tries the model.
///
/// # Errors
/// The failed step's own, with its exit code.
pub(crate) fn run(args: &Test, term: &Arc<Term>) -> Result<Exit, Failure> {
    let runtime = crate::runtime(1)?;
    let _inside = runtime.enter();
    let session = Session::open(&args.model, term)?;
    runtime.block_on(async {
        let mut signals = Signals::listen().map_err(crate::no_signals)?;
        tokio::select! {
            result = steps(args, &session, term) => result,
            exit = signals.next() => Err(Failure::silent(exit)),
        }
    })
}

async fn steps(args: &Test, session: &Session, term: &Term) -> Result<Exit, Failure> {
    let say = |line: String| if args.json { Ok(()) } else { term.data(&(line + "\n")) };
    say(format!("model       {}", session.client.id()))?;
    let models = timed(list(args, session)).await;
    say(line("model list", &models, session))?;
    let chat = timed(chat(args, session)).await;
    say(line("chat", &chat, session))?;
    // A server that answers needs no list.
    let failed = match (&models.result, &chat.result) {
        (_, Err(error)) => Some(error),
        (Err(error), Ok(_)) if !is_not_offered(error) => Some(error),
        _ => None,
    };
    if args.json {
        term.json(&json!({
            "v": 1,
            "ok": failed.is_none(),
            "model": session.client.id(),
            "models": step_json(&models, session),
            "chat": step_json(&chat, session),
        }))?;
    }
    match failed {
        Some(error) => Err(session.failure(error.clone())),
        None => Ok(Exit::Ok),
    }
}

async fn timed(step: impl Future<Output = Result<String, Error>>) -> Step {
    let started = Instant::now();
    let result = step.await;
    Step { result, took: started.elapsed() }
}

async fn list(args: &Test, session: &Session) -> Result<String, Error> {
    let lister = session.client.model_lister().ok_or_else(|| no_list(session))?;
    let models = lister.list_models(&Call::within(args.timeout)).await?;
    let wire = session.client.id().split_once('/').map_or("", |(_, model)| model);
    let has = models.iter().any(|model| model.id == wire);
    let count = models.len();
    let (noun, rest) =
        (if count == 1 { "model" } else { "models" }, if has { "" } else { ", this one not by its name" });
    Ok(format!("{count} {noun}{rest}"))
}

async fn chat(args: &Test, session: &Session) -> Result<String, Error> {
    let request = ChatRequest { max_tokens: Some(MOST_TOKENS), ..ChatRequest::user(&args.message) };
    let response = session.client.chat(&request, &Call::within(args.timeout)).await?;
    let text = response.text();
    let said: String = text.trim().chars().take(60).collect();
    Ok(match said.is_empty() {
        true => "it answered without text".to_owned(),
        false => format!("it said: {said}"),
    })
}

/// The path of a list is missing at some servers that answer well.
fn is_not_offered(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::ModelNotFound)
        || matches!(error.status(), Some(404 | 405 | 501))
}

fn line(name: &str, step: &Step, session: &Session) -> String {
    let took = span(step.took);
    match &step.result {
        Ok(text) => format!("{name:<11} ok in {took}, {}", safe::line(text)),
        Err(error) if name != "chat" && is_not_offered(error) => {
            format!("{name:<11} not offered by this server")
        }
        Err(error) => {
            let lines = session.failure(error.clone()).lines();
            format!("{name:<11} failed after {took}: {}", lines.join("\n           "))
        }
    }
}

fn step_json(step: &Step, session: &Session) -> Value {
    let latency_ms = u64::try_from(step.took.as_millis()).unwrap_or(u64::MAX);
    match &step.result {
        Ok(text) => json!({ "ok": true, "latency_ms": latency_ms, "detail": text, "error": null }),
        Err(error) => {
            let failure = session.failure(error.clone());
            json!({ "ok": false, "latency_ms": latency_ms, "detail": null, "error": failure })
        }
    }
}
