//! The request log as a file: one JSON line a request.

use std::{
    fs::{File, OpenOptions},
    io::{self, Write},
    path::Path,
    sync::Mutex,
    time::{Duration, Instant, SystemTime},
};

use serde::Serialize;

use crate::{
    dialect::Dialect,
    log::{Outcome, Received},
    text::fingerprint,
};

/// An open log file. A line goes to the operating system in one write when its exchange ends, before the client can
/// have read the end of the reply; so the log is complete whenever a client is done, however it died.
#[derive(Debug)]
pub(crate) struct LogFile {
    file: Mutex<File>,
    bodies: bool,
    started: SystemTime,
}

/// One line. Field names are part of what tests and scripts read.
#[derive(Serialize)]
struct Line<'a> {
    /// The request's number, from 1. Lines come in the order of ends, not of arrivals.
    n: u64,
    /// Arrival: milliseconds since the server's start, and since 1970.
    at_ms: f64,
    unix_ms: u128,
    /// From arrival to end.
    took_ms: f64,
    connection: u64,
    method: &'a str,
    path: &'a str,
    dialect: Dialect,
    /// Null when no head was sent.
    status: Option<u16>,
    outcome: Outcome,
    /// Tells keys apart without telling them: 8 hex digits.
    key: Option<String>,
    body_bytes: usize,
    body_hash: String,
    /// See [`Request::notes`](crate::Request::notes).
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    notes: &'a [String],
    /// The last user message's text, under the option for it only.
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
}

impl LogFile {
    /// Appends to `path`; a new file is readable by its owner only.
    pub(crate) fn open(path: &Path, bodies: bool) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Ok(Self { file: Mutex::new(options.open(path)?), bodies, started: SystemTime::now() })
    }

    pub(crate) fn write(&self, request: &Received, outcome: Outcome, status: Option<u16>) -> io::Result<()> {
        let arrived = self.started + request.since_start;
        let line = Line {
            n: request.number,
            at_ms: millis(request.since_start),
            unix_ms: arrived.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis(),
            took_ms: millis(Instant::now().saturating_duration_since(request.arrived)),
            connection: request.connection,
            method: request.method.as_str(),
            path: request.path(),
            dialect: Dialect::of(request),
            status,
            outcome,
            key: request.key.as_deref().map(|key| format!("{:08x}", fingerprint(key) >> 32)),
            body_bytes: request.body.len(),
            body_hash: format!("{:016x}", fingerprint(&request.body)),
            notes: request.notes.get().map_or(&[], Vec::as_slice),
            user: if self.bodies { Dialect::of(request).last_user_text(request) } else { None },
        };
        let mut bytes = serde_json::to_vec(&line)?;
        bytes.push(b'\n');
        self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner).write_all(&bytes)
    }
}

/// Milliseconds to the microsecond.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
