//! Why a server does not start, or a script is not understood.

use std::{io, net::SocketAddr, path::PathBuf};

/// A server that cannot start, or a script that cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MockError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// A script or log file cannot be opened or read.
    #[error("cannot open {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A line of a script is not a reply.
    #[error("line {line}: {message}")]
    Script {
        /// Counted from 1, blank lines included.
        line: usize,
        /// What was found and what is allowed.
        message: String,
    },
    /// A setting is out of its range.
    #[error("{setting}: {message}")]
    Setting {
        /// The setting's name.
        setting: &'static str,
        /// What was found and what is allowed.
        message: String,
    },
}
