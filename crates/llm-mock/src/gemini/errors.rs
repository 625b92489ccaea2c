//! Error bodies: `{"error": {"code", "message", "status", "details"}}`.

use crate::{
    answer::Answer,
    limits::Refused,
    text::{push_json, push_number},
};

/// An error before it is written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    status: u16,
    message: String,
    detail: Option<Detail>,
    /// When to come back, as a protobuf duration or whatever a script says instead.
    retry_delay: Option<String>,
}

/// What the error is about, as far as a program can read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Detail {
    /// An `ErrorInfo` with this reason.
    Reason(&'static str),
    /// A `QuotaFailure` with this quota.
    Quota(&'static str),
}

impl Problem {
    fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), detail: None, retry_delay: None }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, message)
    }

    /// The parser's own message could repeat a part of the prompt; the place is enough.
    pub(super) fn unreadable(error: &serde_json::Error) -> Self {
        let place = format!("line {} column {}", error.line(), error.column());
        Self::invalid(if error.is_data() {
            format!("A member of the request has the wrong type, or is given twice, near {place}.")
        } else {
            format!("Invalid JSON payload received; reading stopped at {place}.")
        })
    }

    pub(super) fn not_found(message: impl Into<String>) -> Self {
        Self::new(404, message)
    }

    pub(super) fn refused(refused: Refused) -> Self {
        match refused {
            Refused::NoKey => Self::new(403, "Method doesn't allow unregistered callers; a key is needed."),
            Refused::BadKey => Self {
                detail: Some(Detail::Reason("API_KEY_INVALID")),
                ..Self::new(400, "API key not valid. Please pass a valid API key.")
            },
            Refused::NoQuota => Self {
                detail: Some(Detail::Quota("GenerateRequestsPerDayPerProjectPerModel")),
                ..Self::new(429, "The quota of this key is used up; check plan and billing.")
            },
            Refused::Rate { headers } => Self::of_status(429).after(&headers),
            Refused::Busy => Self::of_status(429),
            Refused::Failure => Self::of_status(500),
            Refused::KeyInUrl => Self::invalid("A key has no place in a URL; send it as x-goog-api-key."),
        }
    }

    /// What a server says with this status when nothing more is known.
    pub(super) fn of_status(status: u16) -> Self {
        let (message, detail) = match status {
            401 => ("Request had invalid authentication credentials.", None),
            402 => ("The credit is used up.", None),
            403 => ("The caller does not have permission.", None),
            404 => ("There is no such resource.", None),
            408 | 504 => ("The deadline expired before the operation could complete.", None),
            413 => ("The request payload is too large.", None),
            429 => (
                "Resource has been exhausted (e.g. check quota).",
                Some(Detail::Quota("GenerateRequestsPerMinutePerProjectPerModel")),
            ),
            499 => ("The operation was cancelled.", None),
            503 => ("The model is overloaded. Please try again later.", None),
            500.. => ("An internal error has occurred.", None),
            _ => ("Request contains an invalid argument.", None),
        };
        Self { detail, ..Self::new(status, message) }
    }

    pub(super) fn with_message(self, message: &str) -> Self {
        Self { message: message.to_owned(), ..self }
    }

    /// Takes the time to wait from headers that other vendors would send; this one says it in the body.
    pub(super) fn after(self, headers: &[(String, String)]) -> Self {
        let value = |name: &str| headers.iter().find(|(given, _)| given.eq_ignore_ascii_case(name));
        let millis = value("retry-after-ms").and_then(|(_, text)| text.parse::<u64>().ok());
        let retry_delay = match (millis, value("retry-after")) {
            (Some(ms), _) => Some(format!("{}.{:03}s", ms / 1000, ms % 1000)),
            (None, Some((_, text))) if text.parse::<f64>().is_ok() => Some(format!("{text}s")),
            (None, other) => other.map(|(_, text)| text.clone()),
        };
        Self { retry_delay, ..self }
    }

    fn word(&self) -> &'static str {
        match self.status {
            401 => "UNAUTHENTICATED",
            403 => "PERMISSION_DENIED",
            404 => "NOT_FOUND",
            408 | 504 => "DEADLINE_EXCEEDED",
            409 => "ABORTED",
            402 | 429 => "RESOURCE_EXHAUSTED",
            499 => "CANCELLED",
            501 => "UNIMPLEMENTED",
            503 => "UNAVAILABLE",
            500.. => "INTERNAL",
            _ => "INVALID_ARGUMENT",
        }
    }

    /// `in_array` is for streams without `alt=sse`, whose body is an array.
    pub(super) fn into_answer(self, in_array: bool) -> Answer {
        let mut body = Vec::with_capacity(256);
        body.extend_from_slice(if in_array { b"[{\"error\":{\"code\":" } else { b"{\"error\":{\"code\":" });
        push_number(&mut body, self.status.into());
        body.extend_from_slice(b",\"message\":");
        push_json(&mut body, &self.message);
        body.extend_from_slice(b",\"status\":");
        push_json(&mut body, self.word());
        let mut first = true;
        let mut detail = |body: &mut Vec<u8>, kind: &str| {
            body.extend_from_slice(if std::mem::take(&mut first) { b",\"details\":[" } else { b"," });
            body.extend_from_slice(b"{\"@type\":\"type.googleapis.com/google.rpc.");
            body.extend_from_slice(kind.as_bytes());
        };
        match self.detail {
            None => {}
            Some(Detail::Reason(reason)) => {
                detail(&mut body, "ErrorInfo\",\"reason\":");
                push_json(&mut body, reason);
                body.extend_from_slice(b",\"domain\":\"googleapis.com\"}");
            }
            Some(Detail::Quota(quota)) => {
                detail(&mut body, "QuotaFailure\",\"violations\":[{\"quotaId\":");
                push_json(&mut body, quota);
                body.extend_from_slice(b"}]}");
            }
        }
        if let Some(delay) = &self.retry_delay {
            detail(&mut body, "RetryInfo\",\"retryDelay\":");
            push_json(&mut body, delay);
            body.push(b'}');
        }
        if !first {
            body.push(b']');
        }
        body.extend_from_slice(if in_array { b"}}]" } else { b"}}" });
        Answer::json(self.status, body)
    }
}
