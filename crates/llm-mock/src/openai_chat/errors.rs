//! Error bodies: `{"error": {"message", "type", "param", "code"}}`.

use crate::{answer::Answer, limits::Refused, text::push_json};

/// An error before it is written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    pub(crate) status: u16,
    kind: &'static str,
    code: Option<&'static str>,
    param: Option<String>,
    message: String,
    headers: Vec<(String, String)>,
}

impl Problem {
    fn new(status: u16, kind: &'static str, code: Option<&'static str>, message: impl Into<String>) -> Self {
        Self { status, kind, code, param: None, message: message.into(), headers: Vec::new() }
    }

    /// A 400 about one member of the request.
    pub(crate) fn invalid(param: impl Into<String>, code: &'static str, message: impl Into<String>) -> Self {
        Self { param: Some(param.into()), ..Self::new(400, "invalid_request_error", Some(code), message) }
    }

    /// A body that is not JSON, or whose members have the wrong types. The parser's own message could repeat a part
    /// of the prompt; the place is enough.
    pub(crate) fn unreadable(error: &serde_json::Error) -> Self {
        let place = format!("line {} column {}", error.line(), error.column());
        if error.is_data() {
            let message =
                format!("A member of the request body has the wrong type, or is given twice, near {place}.");
            return Self::new(400, "invalid_request_error", Some("invalid_type"), message);
        }
        let message = format!("The request body cannot be read as JSON; reading stopped at {place}.");
        Self::new(400, "invalid_request_error", None, message)
    }

    pub(crate) fn missing(param: &'static str) -> Self {
        Self::invalid(
            param,
            "missing_required_parameter",
            format!("The required parameter '{param}' is missing."),
        )
    }

    pub(crate) fn unknown_model(model: &str) -> Self {
        let message = format!("The model '{model}' does not exist here.");
        Self {
            param: Some("model".to_owned()),
            ..Self::new(404, "invalid_request_error", Some("model_not_found"), message)
        }
    }

    pub(crate) fn unknown_path(method: &str, path: &str) -> Self {
        let message = format!("There is no such URL ({method} {path}).");
        Self::new(404, "invalid_request_error", None, message)
    }

    pub(crate) fn wrong_method(method: &str, path: &str, allowed: &'static str) -> Self {
        let message = format!("{path} takes {allowed}, not {method}.");
        Self {
            headers: vec![("allow".to_owned(), allowed.to_owned())],
            ..Self::new(405, "invalid_request_error", Some("method_not_supported"), message)
        }
    }

    pub(crate) fn refused(refused: Refused) -> Self {
        let auth = "invalid_request_error";
        match refused {
            Refused::NoKey => Self::new(401, auth, None, "An API key is needed, as a bearer token."),
            Refused::BadKey => Self::new(401, auth, Some("invalid_api_key"), "The API key is not valid."),
            Refused::NoQuota => Self::new(
                429,
                "insufficient_quota",
                Some("insufficient_quota"),
                "The quota of this key is used up; check plan and billing.",
            ),
            Refused::Rate { headers } => Self {
                headers,
                ..Self::new(429, "requests", Some("rate_limit_exceeded"), "Too many requests; slow down.")
            },
            Refused::Busy => {
                Self::new(429, "requests", Some("rate_limit_exceeded"), "Too many requests at the same time.")
            }
            Refused::Failure => Self::of_status(500),
            Refused::KeyInUrl => Self::new(400, auth, None, "A key has no place in a URL."),
        }
    }

    /// What a server says with this status when nothing more is known.
    pub(crate) fn of_status(status: u16) -> Self {
        let (kind, code, message) = match status {
            401 => ("invalid_request_error", Some("invalid_api_key"), "The API key is not valid."),
            402 => ("insufficient_quota", Some("insufficient_quota"), "The credit is used up."),
            403 => (
                "invalid_request_error",
                Some("unsupported_country_region_territory"),
                "Not allowed from here.",
            ),
            404 => ("invalid_request_error", Some("model_not_found"), "There is no such model."),
            408 => ("server_error", None, "The request took too long."),
            413 => ("invalid_request_error", None, "The request body is too large."),
            429 => ("requests", Some("rate_limit_exceeded"), "Too many requests; slow down."),
            503 => ("service_unavailable_error", Some("server_is_overloaded"), "The server is overloaded."),
            500.. => ("server_error", None, "The server failed while it worked on the request."),
            _ => ("invalid_request_error", None, "The request is not valid."),
        };
        Self::new(status, kind, code, message)
    }

    pub(crate) fn with_message(self, message: &str) -> Self {
        Self { message: message.to_owned(), ..self }
    }

    pub(crate) fn into_answer(self) -> Answer {
        let mut body = Vec::with_capacity(160);
        body.extend_from_slice(b"{\"error\":{\"message\":");
        push_json(&mut body, &self.message);
        body.extend_from_slice(b",\"type\":");
        push_json(&mut body, self.kind);
        for (name, value) in [("param", self.param.as_deref()), ("code", self.code)] {
            body.push(b',');
            push_json(&mut body, name);
            body.push(b':');
            match value {
                Some(value) => push_json(&mut body, value),
                None => body.extend_from_slice(b"null"),
            }
        }
        body.extend_from_slice(b"}}");
        Answer { headers: self.headers, ..Answer::json(self.status, body) }
    }
}
