//! Error bodies: `{"type": "error", "error": {"type", "message"}, "request_id"}`.

use crate::{
    answer::Answer,
    limits::Refused,
    text::{push_json, push_number},
};

/// An error before it is written. Its status decides its type.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    status: u16,
    message: String,
    /// What a program can branch on, beside the type.
    error_code: Option<&'static str>,
    headers: Vec<(String, String)>,
}

impl Problem {
    fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), error_code: None, headers: Vec::new() }
    }

    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, message)
    }

    /// The parser's own message could repeat a part of the prompt; the place is enough.
    pub(super) fn unreadable(error: &serde_json::Error) -> Self {
        let place = format!("line {} column {}", error.line(), error.column());
        Self::invalid(if error.is_data() {
            format!("A member of the request body has the wrong type, or is given twice, near {place}.")
        } else {
            format!("The request body is not valid JSON: reading stopped at {place}.")
        })
    }

    pub(super) fn not_found(what: impl Into<String>) -> Self {
        Self::new(404, what)
    }

    pub(super) fn wrong_method() -> Self {
        Self { status: 405, ..Self::new(405, "Method Not Allowed") }
    }

    pub(super) fn refused(refused: Refused) -> Self {
        match refused {
            Refused::NoKey => Self::new(401, "x-api-key or a bearer token is required."),
            Refused::BadKey => Self::new(401, "invalid x-api-key"),
            Refused::NoQuota => Self::new(402, "The credit is used up; see plans and billing."),
            Refused::Rate { headers } => Self { headers, ..Self::of_status(429) },
            Refused::Busy => Self::new(429, "Too many requests at the same time."),
            Refused::Failure => Self::of_status(500),
            Refused::KeyInUrl => Self::invalid("A key has no place in a URL."),
        }
    }

    /// What a server says with this status when nothing more is known.
    pub(super) fn of_status(status: u16) -> Self {
        let message = match status {
            401 => "invalid x-api-key",
            402 => "The credit is used up; see plans and billing.",
            403 => "This key may not use the resource.",
            404 => "There is no such resource.",
            409 => "The request conflicts with another one.",
            413 => "The request is larger than the most that is allowed.",
            429 => "This request would exceed the rate limit.",
            504 => "The request took too long.",
            529 => "Overloaded",
            500.. => "Internal server error",
            _ => "The request is not valid.",
        };
        let error_code = (status == 429).then_some("ramp_limit_exceeded");
        Self { error_code, ..Self::new(status, message) }
    }

    pub(super) fn with_message(self, message: &str) -> Self {
        Self { message: message.to_owned(), ..self }
    }

    fn kind(&self) -> &'static str {
        match self.status {
            401 => "authentication_error",
            402 => "billing_error",
            403 => "permission_error",
            404 => "not_found_error",
            409 => "conflict_error",
            413 => "request_too_large",
            429 => "rate_limit_error",
            504 => "timeout_error",
            529 => "overloaded_error",
            500.. => "api_error",
            _ => "invalid_request_error",
        }
    }

    /// The answer to request `number`.
    pub(super) fn into_answer(self, number: u64) -> Answer {
        let mut body = b"{\"type\":\"error\",\"error\":{\"type\":".to_vec();
        push_json(&mut body, self.kind());
        body.extend_from_slice(b",\"message\":");
        push_json(&mut body, &self.message);
        if let Some(code) = self.error_code {
            body.extend_from_slice(b",\"details\":{\"error_code\":");
            push_json(&mut body, code);
            body.push(b'}');
        }
        if self.status == 401 {
            // Nobody is known who could ask about it.
            body.extend_from_slice(b"},\"request_id\":null}");
        } else {
            body.extend_from_slice(b"},\"request_id\":\"req_mock_");
            push_number(&mut body, number);
            body.extend_from_slice(b"\"}");
        }
        Answer { headers: self.headers, ..Answer::json(self.status, body) }
    }
}
