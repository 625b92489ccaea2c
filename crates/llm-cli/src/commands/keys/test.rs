//! `llm keys test`: one request for the list of models with each key.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use llm_client::{Call, ModelClient};
use llm_manager::config::{KeyClient, Loaded};
use llm_types::{Error, ErrorKind};
use serde_json::{Value, json};

use crate::args::{KeysTest, Model};
use crate::commands::config::KeyLine;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::progress::span;
use crate::session;
use crate::signals::Signals;
use crate::table::aligned;
use crate::term::{Term, safe};

/// One key to try.
struct Trial {
    provider: String,
    key: Option<KeyLine>,
    client: Result<Arc<dyn ModelClient>, Error>,
}

/// How it went.
struct Outcome {
    trial: Trial,
    result: Result<usize, Error>,
    took: Duration,
}

/// Tries each key at its own provider's own address, and nowhere else.
///
/// # Errors
/// [`Exit::Key`] when one is refused or there is none, else the code of the first failure.
pub(crate) fn run(args: &KeysTest, term: &Arc<Term>) -> Result<Exit, Failure> {
    let runtime = crate::runtime(1)?;
    let _inside = runtime.enter();
    // One request each, whatever is configured.
    let settings = vec![("max_retries".to_owned(), "0".to_owned())];
    let model = Model { config: args.config.clone(), settings, ..Model::default() };
    let loaded = session::configuration(Some(&model), &[])?;
    session::warn(&loaded.warnings, term);
    let trials = trials(&loaded, args.provider.as_deref())?;
    if trials.is_empty() {
        return Err(Failure::own(Exit::Key, "authentication", "no key is set")
            .hint("`llm keys list --all` names each provider's variable"));
    }
    let outcomes = runtime.block_on(async {
        let mut signals = Signals::listen().map_err(crate::no_signals)?;
        let tried = trials.into_iter().map(|trial| attempt(trial, args.timeout));
        tokio::select! {
            outcomes = join_all(tried) => Ok(outcomes),
            exit = signals.next() => Err(Failure::silent(exit)),
        }
    })?;
    if args.json {
        let keys: Vec<Value> = outcomes.iter().map(as_json).collect();
        let ok = outcomes.iter().all(|outcome| outcome.result.is_ok());
        term.json(&json!({ "v": 1, "ok": ok, "keys": keys }))?;
    } else {
        term.data(&(aligned(&outcomes.iter().map(row).collect::<Vec<_>>()).join("\n") + "\n"))?;
    }
    verdict(&outcomes)
}

fn trials(loaded: &Loaded, only: Option<&str>) -> Result<Vec<Trial>, Failure> {
    let providers = match only {
        Some(name) => vec![loaded.manager.require_provider(name).map_err(Failure::from)?],
        None => loaded.manager.providers(),
    };
    let mut trials = Vec::new();
    for provider in providers {
        for target in loaded.targets(provider.name()) {
            for KeyClient { key, client } in target.clients_by_key() {
                // Who is named and sends no key is asked without one.
                if key.is_some() || only.is_some() {
                    let key = key.map(KeyLine::of);
                    trials.push(Trial { provider: target.whose.clone(), key, client });
                }
            }
        }
    }
    Ok(trials)
}

async fn attempt(trial: Trial, timeout: Duration) -> Outcome {
    let started = Instant::now();
    let result = match &trial.client {
        Ok(client) => match client.model_lister() {
            Some(lister) => lister.list_models(&Call::within(timeout)).await.map(|models| models.len()),
            None => Err(Error::new(ErrorKind::NotFound, format!("{} has no list of models", client.id()))),
        },
        Err(error) => Err(error.clone()),
    };
    Outcome { trial, result, took: started.elapsed() }
}

impl Outcome {
    /// The word for it: the list may be missing at a server that answers well.
    fn word(&self) -> &'static str {
        match &self.result {
            Ok(_) => "ok",
            Err(error) if is_refusal(error) => "refused",
            Err(error) if matches!(error.status(), Some(404 | 405 | 501)) => "no list",
            Err(_) => "failed",
        }
    }
}

fn is_refusal(error: &Error) -> bool {
    Exit::of(error.kind()) == Exit::Key
}

fn row(outcome: &Outcome) -> [String; 4] {
    let (shown, source) = match &outcome.trial.key {
        Some(key) => (key.shown(), key.source()),
        None => ("-".to_owned(), "no key is sent".to_owned()),
    };
    let detail = match &outcome.result {
        Ok(models) => format!("{models} models in {}", span(outcome.took)),
        Err(error) => error.chain(),
    };
    let said = format!("{}: {detail}", outcome.word());
    [&outcome.trial.provider, &shown, &source, &said].map(|cell| safe::line(cell))
}

fn as_json(outcome: &Outcome) -> Value {
    let latency_ms = u64::try_from(outcome.took.as_millis()).unwrap_or(u64::MAX);
    json!({
        "provider": outcome.trial.provider,
        "key": outcome.trial.key,
        "result": outcome.word(),
        "models": outcome.result.as_ref().ok(),
        "latency_ms": latency_ms,
        "error": outcome.result.as_ref().err().map(|error| Failure::from(error.clone())),
    })
}

fn verdict(outcomes: &[Outcome]) -> Result<Exit, Failure> {
    let errors = || outcomes.iter().filter_map(|outcome| outcome.result.as_ref().err());
    // A server without a list says nothing about the key.
    let failed = || errors().filter(|error| !matches!(error.status(), Some(404 | 405 | 501)));
    let refused = errors().filter(|error| is_refusal(error)).count();
    if refused > 0 {
        let message = format!("{refused} of {} keys refused or missing", outcomes.len());
        return Err(Failure::own(Exit::Key, "authentication", message)
            .hint("`llm keys list` shows where each one comes from"));
    }
    match failed().next() {
        Some(error) => {
            let message = format!("{} of {} keys could not be tried", failed().count(), outcomes.len());
            Err(Failure::own(Exit::of(error.kind()), error.kind().as_str(), message))
        }
        None => Ok(Exit::Ok),
    }
}
