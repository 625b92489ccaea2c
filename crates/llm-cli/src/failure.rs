//! A failed command: what failed, where, what the server said, what to do; and the code it exits with.

use std::fmt::Write as _;

use llm_types::{Error, ErrorKind};
use serde::ser::{Serialize, SerializeMap as _, Serializer};

use crate::exit::Exit;
use crate::term::safe;

/// Why a command ends with anything but 0.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The code it exits with.
    pub exit: Exit,
    what: What,
}

#[derive(Clone, Debug)]
enum What {
    /// Everything is said already, or nothing is to be said.
    Silent,
    /// A call failed.
    Call { error: Error, most_attempts: Option<u32> },
    /// Something of our own: a file, an argument.
    Own { kind: &'static str, message: String, hint: Option<String> },
}

impl Failure {
    /// Ends with this code and says nothing more.
    #[must_use]
    pub const fn silent(exit: Exit) -> Self {
        Self { exit, what: What::Silent }
    }

    /// The command line is wrong.
    #[must_use]
    pub fn usage(message: impl Into<String>) -> Self {
        Self::own(Exit::Usage, "usage", message)
    }

    /// A fault that is no call's: `kind` is its word in JSON.
    #[must_use]
    pub fn own(exit: Exit, kind: &'static str, message: impl Into<String>) -> Self {
        Self { exit, what: What::Own { kind, message: message.into(), hint: None } }
    }

    /// A file that the user named cannot be used for `what` ("read", "write").
    #[must_use]
    pub fn file(what: &str, path: &std::path::Path, error: &std::io::Error) -> Self {
        let (exit, kind) = match error.kind() {
            std::io::ErrorKind::NotFound if what == "read" => (Exit::NotFound, "file_not_found"),
            _ => (Exit::File, "file"),
        };
        Self::own(exit, kind, format!("cannot {what} `{}`: {}", path.display(), reason(error)))
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(mut self, text: impl Into<String>) -> Self {
        match &mut self.what {
            What::Own { hint, .. } => *hint = Some(text.into()),
            What::Call { error, .. } => *error = error.clone().with_hint(text),
            What::Silent => {}
        }
        self
    }

    /// Adds how many attempts the call might have made.
    #[must_use]
    pub fn of_at_most(mut self, attempts: u32) -> Self {
        if let What::Call { most_attempts, .. } = &mut self.what {
            *most_attempts = Some(attempts);
        }
        self
    }

    /// The same failure with another code.
    #[must_use]
    pub fn exits(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// Whether there is nothing to be said.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        matches!(self.what, What::Silent)
    }

    /// The lines for a person, the first without its `error: `. Safe for a terminal.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        match &self.what {
            What::Silent => Vec::new(),
            What::Own { message, hint, .. } => {
                let mut lines: Vec<String> = message.lines().map(safe::line).collect();
                lines.extend(hint.iter().map(|hint| format!("  try: {}", safe::line(hint))));
                lines
            }
            What::Call { error, most_attempts } => {
                let mut lines = vec![safe::line(&error.chain())];
                let place = place(error, *most_attempts);
                if !place.is_empty() {
                    lines.push(format!("  at: {}", safe::line(&place)));
                }
                if let Some(hint) = error.hint().map(str::to_owned).or_else(|| advice(error)) {
                    lines.push(format!("  try: {}", safe::line(&hint)));
                }
                lines
            }
        }
    }
}

/// The one JSON shape of an error, whatever failed; `null` when there is nothing to be said.
impl Serialize for Failure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.what {
            What::Silent => serializer.serialize_none(),
            What::Call { error, .. } => match (error.hint(), advice(error)) {
                (None, Some(advice)) => error.clone().with_hint(advice).serialize(serializer),
                _ => error.serialize(serializer),
            },
            What::Own { kind, message, hint } => {
                let nothing = None::<()>;
                let mut map = serializer.serialize_map(None)?;
                map.serialize_entry("kind", kind)?;
                map.serialize_entry("message", message)?;
                map.serialize_entry("retryable", &false)?;
                for name in ["http_status", "provider", "model", "request_id", "retry_after_ms"] {
                    map.serialize_entry(name, &nothing)?;
                }
                map.serialize_entry("hint", hint)?;
                map.serialize_entry("attempts", &0)?;
                map.serialize_entry("attempt_log", &[(); 0])?;
                map.end()
            }
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { exit: Exit::of(error.kind()), what: What::Call { error, most_attempts: None } }
    }
}

/// An I/O error without the number that only a programmer reads.
#[must_use]
pub fn reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error ") {
        Some(at) => text.get(..at).unwrap_or(&text).to_owned(),
        None => text,
    }
}

/// Where it failed: model, endpoint, status, attempt, request id.
fn place(error: &Error, most_attempts: Option<u32>) -> String {
    let mut place = String::new();
    let mut add = |text: &str| {
        if !place.is_empty() {
            place.push_str(", ");
        }
        place.push_str(text);
    };
    match (error.provider(), error.model()) {
        (Some(provider), Some(model)) => add(&format!("{provider}/{model}")),
        (Some(name), None) | (None, Some(name)) => add(name),
        (None, None) => {}
    }
    if let Some(endpoint) = error.endpoint().or_else(|| Some(&error.attempts().last()?.endpoint)) {
        add(endpoint);
    }
    if let Some(status) = error.status() {
        add(&format!("HTTP {status}"));
    }
    if let Some(code) = error.code() {
        add(code);
    }
    if let Some(last) = error.attempts().last() {
        let mut attempt = format!("attempt {}", last.number);
        if let Some(most) = most_attempts.filter(|&most| most >= last.number) {
            let _never_fails = write!(attempt, " of {most}");
        }
        add(&attempt);
    }
    if let Some(id) = error.request_id() {
        add(&format!("request {id}"));
    }
    place
}

/// What to do, where the error does not say so itself.
fn advice(error: &Error) -> Option<String> {
    let text = match error.kind() {
        ErrorKind::Authentication => "check the key (`llm list` shows where each one comes from)",
        ErrorKind::PermissionDenied => "ask the provider to allow this key the model, or use another key",
        ErrorKind::QuotaExhausted => "add credit at the provider, or use another key",
        ErrorKind::ModelNotFound => {
            "`llm list` shows what is configured, `llm models` what the server offers"
        }
        ErrorKind::ProviderNotFound => "`llm list` shows the providers there are",
        ErrorKind::NotFound => "check the base URL and the model's name: nothing is there",
        ErrorKind::RateLimited | ErrorKind::Overloaded | ErrorKind::Unavailable | ErrorKind::Server => {
            return Some(match error.retry_after() {
                Some(wait) => format!("again in {} s", wait.as_secs().max(1)),
                None => "again later".to_owned(),
            });
        }
        ErrorKind::Connection => "check the address and the network (`llm test` looks step by step)",
        ErrorKind::Timeout(_) => "again later, or raise the time-out with --set (`llm ask --help`)",
        ErrorKind::Tls => "check the address, or name the certificate authority with --set ca_file=FILE",
        ErrorKind::Redirect => "use the address that the server redirects to as --base-url",
        ErrorKind::ContextLength => "shorten the prompt, or use a model that reads more",
        ErrorKind::Protocol => "check that the base URL is that of an API and not of a web page",
        ErrorKind::Truncated => "again: the answer was cut",
        ErrorKind::TooLarge => "raise the limit with --set max_response_bytes=…",
        ErrorKind::Internal => "please report this",
        _ => return None,
    };
    Some(text.to_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use llm_types::AttemptRecord;

    use super::*;

    fn refused() -> Error {
        Error::new(ErrorKind::Authentication, "Incorrect API key provided\x1b[2J")
            .with_model("acme", "m-1")
            .with_status(401)
            .with_request_id("req-1")
            .with_attempts(vec![AttemptRecord {
                number: 1,
                kind: Some(ErrorKind::Authentication),
                wait: Duration::ZERO,
                endpoint: "https://llm.acme.example/v1".to_owned(),
                request_id: Some("req-1".to_owned()),
            }])
    }

    #[test]
    fn a_failed_call_says_what_where_and_what_to_do() {
        let failure = Failure::from(refused()).of_at_most(4);
        assert_eq!(failure.exit, Exit::Key);
        assert_eq!(
            failure.lines(),
            [
                "Incorrect API key provided␛[2J",
                "  at: acme/m-1, https://llm.acme.example/v1, HTTP 401, attempt 1 of 4, request req-1",
                "  try: check the key (`llm list` shows where each one comes from)",
            ]
        );
    }

    #[test]
    fn json_has_the_documented_names_for_every_failure() {
        let names = [
            "kind",
            "message",
            "retryable",
            "http_status",
            "provider",
            "model",
            "request_id",
            "retry_after_ms",
            "hint",
            "attempts",
            "attempt_log",
        ];
        for failure in [Failure::from(refused()), Failure::usage("no prompt")] {
            let json = serde_json::to_value(&failure).unwrap();
            let members = json.as_object().unwrap();
            for name in names {
                assert!(members.contains_key(name), "{name} is missing in {json}");
            }
            assert_eq!(members.len(), names.len(), "{json}");
        }
        let json = serde_json::to_value(Failure::from(refused())).unwrap();
        assert!(json["hint"].is_string());
    }

    #[test]
    fn a_file_that_is_not_there_is_not_found_when_read_only() {
        let missing = std::io::Error::from_raw_os_error(2);
        let path = std::path::Path::new("x/y");
        let read = Failure::file("read", path, &missing);
        assert_eq!(
            (read.exit, read.lines()),
            (Exit::NotFound, vec!["cannot read `x/y`: No such file or directory".to_owned()])
        );
        assert_eq!(Failure::file("write", path, &missing).exit, Exit::File);
    }
}
