//! Exit codes: one for each cause, kept true by tests.

use llm_types::ErrorKind;

/// Why the command ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Ok = 0,
    /// A fault of this program.
    Internal = 1,
    /// The command line, the configuration or the input is wrong.
    Usage = 2,
    /// A model, a provider or a file that the user named is not there.
    NotFound = 3,
    /// The key is missing or refused, or there is no credit.
    Key = 4,
    /// The output is another's: a foreign file, a held lock, another job's settings.
    Conflict = 5,
    /// Try again later: network, time-outs, rate limits, server faults.
    Later = 6,
    /// A file cannot be read or written.
    File = 8,
    /// A batch finished, with more failed rows than allowed.
    FailedRows = 9,
    /// The server refused the request.
    Refused = 11,
    /// A budget or the deadline of a job is reached; the state is saved.
    Budget = 13,
    /// SIGHUP.
    HungUp = 129,
    /// SIGINT.
    Interrupted = 130,
    /// The reader of our output went away.
    PipeClosed = 141,
    /// SIGTERM.
    Terminated = 143,
}

impl Exit {
    /// The number that the shell sees.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The code of a failed call.
    #[must_use]
    pub const fn of(kind: ErrorKind) -> Self {
        match kind {
            ErrorKind::Config => Self::Usage,
            ErrorKind::ModelNotFound | ErrorKind::ProviderNotFound | ErrorKind::NotFound => Self::NotFound,
            ErrorKind::Authentication | ErrorKind::PermissionDenied | ErrorKind::QuotaExhausted => Self::Key,
            ErrorKind::Connection
            | ErrorKind::Tls
            | ErrorKind::Redirect
            | ErrorKind::Timeout(_)
            | ErrorKind::RateLimited
            | ErrorKind::Overloaded
            | ErrorKind::Server
            | ErrorKind::Truncated
            | ErrorKind::Unavailable => Self::Later,
            ErrorKind::InvalidRequest
            | ErrorKind::ContextLength
            | ErrorKind::ContentFilter
            | ErrorKind::Protocol
            | ErrorKind::TooLarge => Self::Refused,
            ErrorKind::Budget => Self::Budget,
            ErrorKind::Cancelled => Self::Interrupted,
            // The enum may grow; a test below sees to it that every kind it has today is named above.
            _ => Self::Internal,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_code_of_its_own_meaning() {
        for &kind in ErrorKind::ALL {
            let expected = match kind.as_str() {
                "config" => 2,
                "model_not_found" | "provider_not_found" | "not_found" => 3,
                "authentication" | "permission_denied" | "quota_exhausted" => 4,
                "connection" | "tls" | "redirect" | "timeout" | "rate_limited" | "overloaded" | "server"
                | "truncated" | "unavailable" => 6,
                "invalid_request" | "context_length" | "content_filter" | "protocol" | "too_large" => 11,
                "budget" => 13,
                "cancelled" => 130,
                "internal" => 1,
                other => panic!("`{other}` has no exit code yet"),
            };
            assert_eq!(Exit::of(kind).code(), expected, "{kind}");
        }
    }
}
