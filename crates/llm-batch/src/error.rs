//! Why a run or a check could not be made at all. A run that began and stopped early is not an error but a
//! [`Stop`](crate::Stop) in its summary.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// A run that was refused or could not begin. Nothing was sent.
///
/// `Display` speaks for this level only; `source()` has the reason the system gave.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BatchError {
    /// The arguments contradict each other, or a file is of the wrong kind.
    #[error("{0}")]
    Usage(String),
    /// A row that cannot be sent, where all of them have to be good.
    #[error("line {line}: {message}")]
    BadRow {
        /// The line of the input, counted from 1.
        line: u64,
        /// What is wrong with it.
        message: String,
    },
    /// The input does not exist.
    #[error("{}: there is no such file", path.display())]
    InputNotFound {
        /// The path as given.
        path: PathBuf,
    },
    /// The output belongs to something else.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// A file could not be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried: `open`, `read`, `write` …
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A fault of this library. Please report it.
    #[error("{0}")]
    Internal(String),
}

/// The sort of a [`BatchError`], for exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorClass {
    /// The caller asked for something that makes no sense.
    Usage,
    /// A file the caller named is not there.
    NotFound,
    /// The output belongs to something else.
    Conflict,
    /// A file could not be read or written.
    Io,
    /// A fault of this library.
    Internal,
}

impl BatchError {
    /// The sort of error, for exit codes.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Usage(_) | Self::BadRow { .. } => ErrorClass::Usage,
            Self::InputNotFound { .. } => ErrorClass::NotFound,
            Self::Conflict(_) => ErrorClass::Conflict,
            Self::Io { .. } => ErrorClass::Io,
            Self::Internal(_) => ErrorClass::Internal,
        }
    }

    /// What the user can do about it.
    #[must_use]
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Conflict(conflict) => Some(conflict.hint()),
            _ => None,
        }
    }

    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }

    /// This error and its cause on one line.
    pub(crate) fn chain(&self) -> String {
        match self {
            Self::Io { source, .. } => format!("{self}: {source}"),
            _ => self.to_string(),
        }
    }
}

/// Why an output is not touched.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Conflict {
    /// Another run is writing to it.
    Locked {
        /// The output.
        path: PathBuf,
        /// The other run's process, where it can be told.
        process: Option<u32>,
    },
    /// It holds lines that are no records of ours.
    Foreign {
        /// The output.
        path: PathBuf,
        /// The first such line, counted from 1.
        line: u64,
    },
    /// Its answers were made with other settings.
    JobChanged {
        /// The output.
        path: PathBuf,
        /// Which parts differ, in the order of the records' `parts`.
        parts: Vec<&'static str>,
        /// How many of its answers they concern.
        answers: u64,
    },
    /// It shares no row with the input.
    NothingShared {
        /// The output.
        path: PathBuf,
        /// How many records it holds.
        records: u64,
    },
}

impl Conflict {
    fn hint(&self) -> &'static str {
        match self {
            Self::Locked { .. } => "wait until it has ended, or write to another file",
            Self::Foreign { .. } => "write to another file",
            Self::JobChanged { .. } | Self::NothingShared { .. } => {
                "write to another file; or on-change redo: ask again and keep the old answers in a side file; or \
                 on-change keep: use the old answers as they are"
            }
        }
    }
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked { path, process: Some(process) } => {
                write!(f, "{}: another run (process {process}) is writing to it", path.display())
            }
            Self::Locked { path, process: None } => {
                write!(f, "{}: another run is writing to it", path.display())
            }
            Self::Foreign { path, line } => {
                write!(
                    f,
                    "{}: line {line} is no record of a batch run; nothing was changed or sent",
                    path.display()
                )
            }
            Self::JobChanged { path, parts, answers } => {
                let others = parts.iter().map(|part| match *part {
                    "parameters" => "other parameters".to_owned(),
                    "system" => "another system prompt".to_owned(),
                    part => format!("another {part}"),
                });
                write!(
                    f,
                    "{}: {answers} of its answers were made with {}; nothing was changed or sent",
                    path.display(),
                    others.collect::<Vec<_>>().join(" and "),
                )
            }
            Self::NothingShared { path, records } => write!(
                f,
                "{}: none of its {records} records belongs to a row of the input, so it is another job's output; \
                 nothing was changed or sent",
                path.display(),
            ),
        }
    }
}

impl std::error::Error for Conflict {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_name_the_file_the_difference_and_what_happened() {
        let path = PathBuf::from("out.jsonl");
        let changed = Conflict::JobChanged {
            path: path.clone(),
            parts: vec!["model", "system", "parameters"],
            answers: 5,
        };
        assert_eq!(
            changed.to_string(),
            "out.jsonl: 5 of its answers were made with another model and another system prompt and other parameters; nothing was changed or sent"
        );
        let error = BatchError::from(changed);
        assert_eq!(error.class(), ErrorClass::Conflict);
        assert!(error.hint().unwrap().contains("on-change redo"));
        let full = BatchError::io("write", &path, io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(full.chain(), "cannot write out.jsonl: no storage space");
        assert_eq!(full.class(), ErrorClass::Io);
    }
}
