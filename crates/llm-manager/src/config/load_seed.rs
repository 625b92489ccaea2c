//! Loads the file of an older client alone.

use std::path::Path;

use llm_types::{Error, ErrorKind};

use super::files;
use super::load::{Loaded, load_config};
use super::reader::Source;
use super::seeds::SeedKind;
use super::sources::Sources;

/// Loads an older client's file alone: neither the project's nor the user's own configuration is looked at. Without a
/// kind it is known by what stands in it.
///
/// # Errors
/// `NotFound` when there is no such file; `Config` for what it says wrong, with its place, and for a file of no older
/// client when no kind is given.
pub fn load_seed(path: &Path, kind: Option<SeedKind>, sources: &Sources<'_>) -> Result<Loaded, Error> {
    let Some(source) = files::named(Some(path), &sources.cwd, &|_| None)? else { return Err(unknown(path)) };
    load_source(&source, kind, sources)
}

/// The same for a text, which a service may have from anywhere. The name stands in messages, and its ending says what the
/// text is written in.
///
/// # Errors
/// Those of [`load_seed`] but for `NotFound`.
pub fn load_seed_text(
    name: &Path,
    text: &str,
    kind: Option<SeedKind>,
    sources: &Sources<'_>,
) -> Result<Loaded, Error> {
    load_source(&Source::new(name, text.to_owned()), kind, sources)
}

fn load_source(source: &Source, kind: Option<SeedKind>, sources: &Sources<'_>) -> Result<Loaded, Error> {
    let top = source.document()?;
    let kind = kind.or_else(|| SeedKind::detect(&top)).ok_or_else(|| unknown(source.path()))?;
    let config = kind.read(top, sources.home.as_deref(), sources.env)?;
    load_config(config, vec![source.path().to_owned()], sources)
}

fn unknown(path: &Path) -> Error {
    let message = format!("{}: this is no older client's configuration", path.display());
    Error::new(ErrorKind::Config, message)
        .with_hint("our own format is read with `load`, or with --config on the command line")
}
