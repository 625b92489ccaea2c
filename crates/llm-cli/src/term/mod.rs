//! The one printer. Data goes to the standard output, everything else to the standard error; nothing else in this
//! program writes to either.
//!
//! What comes from a model, a server or a file passes [`safe`] on its way to a terminal. Data that leaves for a file
//! or a pipe stays byte for byte as it is.

mod answer;
pub mod colour;
pub mod safe;

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};

use indicatif::ProgressBar;
use serde::Serialize;
use serde_json::json;

pub use self::answer::{Answer, reader_gone};
use crate::exit::Exit;
use crate::failure::{self, Failure};
use colour::Style;

/// How errors are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ErrorForm {
    /// Lines for a person.
    #[default]
    Text,
    /// One JSON object on the standard error.
    Json,
}

/// The two output streams, and how each is to be written.
#[derive(Debug)]
pub struct Term {
    /// Whether the standard output is a terminal.
    pub out_is_terminal: bool,
    /// Whether the standard error is a terminal.
    pub err_is_terminal: bool,
    /// Whether the standard error is coloured.
    pub err_colour: bool,
    /// Whether a terminal can move its cursor.
    pub moves_cursor: bool,
    errors: ErrorForm,
    /// Warnings kept for the one JSON object.
    held: Mutex<Vec<String>>,
    /// The bar that notes must not tear.
    bar: Mutex<Option<ProgressBar>>,
}

/// The one object on the standard error.
#[derive(Serialize)]
struct Complaint<'a> {
    #[serde(flatten)]
    failure: &'a Failure,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    warnings: Vec<String>,
}

impl Term {
    /// Looks at both streams.
    #[must_use]
    pub fn new(colour: colour::Choice, environment: &colour::Environment, errors: ErrorForm) -> Self {
        let err_is_terminal = io::stderr().is_terminal();
        Self {
            out_is_terminal: io::stdout().is_terminal(),
            err_is_terminal,
            err_colour: environment.colours(colour, err_is_terminal),
            moves_cursor: !environment.dumb,
            errors,
            held: Mutex::default(),
            bar: Mutex::default(),
        }
    }

    /// Writes requested data to the standard output and sends it off.
    ///
    /// # Errors
    /// [`Exit::PipeClosed`] when nobody reads any more, [`Exit::File`] when it cannot be written.
    pub fn data(&self, text: &str) -> Result<(), Failure> {
        let shown = if self.out_is_terminal { safe::lines(text) } else { text.to_owned() };
        let mut out = io::stdout().lock();
        out.write_all(shown.as_bytes()).and_then(|()| out.flush()).map_err(|e| out_failed(&e))
    }

    /// Writes one JSON value and a newline to the standard output.
    ///
    /// # Errors
    /// Those of [`data`](Self::data).
    pub fn json(&self, value: &impl Serialize) -> Result<(), Failure> {
        // JSON escapes every control character but DEL and C1, which the filter turns into other text, not other JSON.
        let text = serde_json::to_string(value)
            .map_err(|e| Failure::own(Exit::Internal, "internal", format!("cannot write JSON: {e}")))?;
        self.data(&(text + "\n"))
    }

    /// A line for the user, such as a summary. Its parts must have been made [`safe`].
    pub fn note(&self, line: &str) {
        self.err(&format!("{line}\n"));
    }

    /// Something the user should know, though the command goes on. Made safe here.
    pub fn warn(&self, text: &str) {
        if self.errors == ErrorForm::Json {
            self.held.lock().unwrap_or_else(PoisonError::into_inner).push(text.to_owned());
        } else {
            let label = Style::Warning.paint("warning:", self.err_colour);
            self.err(&format!("{label} {}\n", safe::line(text)));
        }
    }

    /// Says why the command failed.
    pub fn failure(&self, failure: &Failure) {
        if failure.is_silent() {
            return self.finish();
        }
        if self.errors == ErrorForm::Json {
            let warnings = std::mem::take(&mut *self.held.lock().unwrap_or_else(PoisonError::into_inner));
            let text = serde_json::to_string(&Complaint { failure, warnings });
            return self.err(&(text.unwrap_or_default() + "\n"));
        }
        let mut text = String::new();
        for (n, line) in failure.lines().iter().enumerate() {
            if n == 0 {
                text.push_str(&self.label("error:"));
                text.push(' ');
            }
            text.push_str(line);
            text.push('\n');
        }
        self.err(&text);
    }

    /// Says what was held back for an error that did not come.
    pub fn finish(&self) {
        let held = std::mem::take(&mut *self.held.lock().unwrap_or_else(PoisonError::into_inner));
        if !held.is_empty() {
            self.err(&format!("{}\n", json!({ "warnings": held })));
        }
    }

    /// The word that begins an error.
    #[must_use]
    pub fn label(&self, word: &str) -> String {
        Style::Error.paint(word, self.err_colour)
    }

    /// Text in the dim style, as far as there is colour. Made safe by the caller.
    #[must_use]
    pub fn dim(&self, text: &str) -> String {
        Style::Dim.paint(text, self.err_colour)
    }

    /// Writes to the standard error, past a bar if there is one. A standard error that cannot be written has nobody
    /// to be told.
    pub fn err(&self, text: &str) {
        let write = || {
            let mut err = io::stderr().lock();
            let _nobody_to_tell = err.write_all(text.as_bytes()).and_then(|()| err.flush());
        };
        match &*self.bar.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    /// From now on notes go above this bar; `None` when it is gone.
    pub fn set_bar(&self, bar: Option<ProgressBar>) {
        *self.bar.lock().unwrap_or_else(PoisonError::into_inner) = bar;
    }
}

/// What is said about a panic: one line, whatever `RUST_BACKTRACE` asks for. Its message is left out, because nobody
/// can say what stands in it.
pub fn panicked(place: Option<&std::panic::Location<'_>>) {
    let place = place.map(|place| format!(" at {}:{}", place.file(), place.line())).unwrap_or_default();
    let version = env!("CARGO_PKG_VERSION");
    let mut err = io::stderr().lock();
    let _nobody_to_tell = writeln!(err, "error: internal fault{place} (version {version}), please report it");
}

/// Why the standard output cannot be written.
#[must_use]
pub fn out_failed(error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Failure::silent(Exit::PipeClosed);
    }
    Failure::own(
        Exit::File,
        "file",
        format!("cannot write to the standard output: {}", failure::reason(error)),
    )
}
