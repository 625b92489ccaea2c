//! `llm version`.

use serde_json::json;

use crate::args::Version;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::term::Term;

/// Prints the version.
///
/// # Errors
/// The standard output cannot be written.
pub(crate) fn run(args: &Version, term: &Term) -> Result<Exit, Failure> {
    let version = env!("CARGO_PKG_VERSION");
    if args.json {
        let system = format!("{}-{}", std::env::consts::ARCH, std::env::consts::OS);
        term.json(&json!({ "name": "llm", "version": version, "system": system }))?;
    } else {
        term.data(&format!("llm {version}\n"))?;
    }
    Ok(Exit::Ok)
}
