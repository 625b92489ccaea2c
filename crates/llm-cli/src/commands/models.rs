//! `llm models`: what a server offers.

use std::sync::Arc;

use llm_client::Call;
use llm_types::{Error, ErrorKind};
use serde_json::json;

use crate::args::Models;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::session::Session;
use crate::signals::Signals;
use crate::term::Term;

/// Lists the models of a server, in its order.
///
/// # Errors
/// Whatever went wrong, with its exit code.
pub(crate) fn run(args: &Models, term: &Arc<Term>) -> Result<Exit, Failure> {
    let runtime = crate::runtime(1)?;
    let _inside = runtime.enter();
    let session = Session::for_server(&args.model, args.provider.as_deref(), term)?;
    let models = runtime.block_on(async {
        let mut signals = Signals::listen().map_err(crate::no_signals)?;
        let Some(lister) = session.client.model_lister() else {
            return Err(no_list(&session).into());
        };
        let call = Call::default();
        tokio::select! {
            models = lister.list_models(&call) => models.map_err(|e| session.failure(e)),
            exit = signals.next() => Err(Failure::silent(exit)),
        }
    });
    let models = models?;
    if args.json {
        let ids: Vec<&str> = models.iter().map(|model| model.id.as_str()).collect();
        term.json(&json!({ "v": 1, "models": ids, "count": ids.len(), "details": models }))?;
    } else if models.is_empty() {
        term.note("the server lists no models");
    } else {
        let lines: String = models.iter().map(|model| format!("{}\n", model.id.replace('\n', " "))).collect();
        term.data(&lines)?;
    }
    Ok(Exit::Ok)
}

/// The client has no way to ask for a list.
pub(super) fn no_list(session: &Session) -> Error {
    let message = format!("{} has no list of models", session.client.id());
    Error::new(ErrorKind::NotFound, message)
}
