//! `llm mock`: a server for tests and trials.

use std::sync::Arc;
use std::time::Duration;

use llm_mock::{MockConfig, MockError, Script};

use crate::args::Mock;
use crate::exit::Exit;
use crate::failure::{Failure, reason};
use crate::signals::Signals;
use crate::term::Term;

/// A client that does not let go is not waited for longer.
const GRACE: Duration = Duration::from_secs(1);

/// Serves until a signal comes.
///
/// # Errors
/// The script or the address cannot be used; otherwise the signal that ended it.
pub(crate) fn run(args: &Mock, term: &Arc<Term>) -> Result<Exit, Failure> {
    let config = config(args)?;
    let runtime = crate::runtime(2)?;
    let result = runtime.block_on(serve(args, config, term));
    runtime.shutdown_background();
    result
}

fn config(args: &Mock) -> Result<MockConfig, Failure> {
    let mut config = MockConfig::new()
        .bind(args.host)
        .port(args.port)
        .delay_between(args.delay.least, args.delay.most)
        .error_rate(args.error_rate)
        // It runs for ever: nothing is kept of a request that was answered.
        .log(false);
    // 0 means no limit, as it does in the tools that had these flags first.
    if let Some(rps) = args.rps.filter(|&rps| rps > 0.0) {
        config = config.rps(rps);
    }
    if let Some(pace) = args.token_rate.filter(|&pace| pace > 0.0) {
        config = config.tokens_per_sec(pace);
    }
    if let Some(path) = &args.log {
        config = config.log_file(path);
    }
    if let Some(path) = &args.script {
        let script = Script::load(path).map_err(|error| match error {
            MockError::File { path, source } => Failure::file("read", &path, &source),
            other => Failure::usage(format!("{}: {other}", path.display())),
        })?;
        config = config.script(script);
    }
    Ok(config)
}

async fn serve(args: &Mock, config: MockConfig, term: &Term) -> Result<Exit, Failure> {
    let mut signals = Signals::listen().map_err(crate::no_signals)?;
    let server = config.start().await.map_err(|error| match &error {
        MockError::File { path, source } => Failure::file("write", path, source),
        MockError::Bind { source, .. } => {
            Failure::own(Exit::File, "listen", format!("{error}: {}", reason(source)))
                .hint("-p 0 takes a free port")
        }
        _ => Failure::usage(error.to_string()),
    })?;
    if !args.host.is_loopback() {
        term.warn(
            "whoever can reach this machine can use this server: it listens beyond the loopback address",
        );
    }
    term.data(&format!("{}\n", server.base_url()))?;
    if term.err_is_terminal {
        term.note(&term.dim("Ctrl-C ends it"));
    }
    let exit = signals.next().await;
    // Whether it closed in time or not, the process ends now.
    let _in_time = tokio::time::timeout(GRACE, server.shutdown()).await;
    Err(Failure::silent(exit))
}
