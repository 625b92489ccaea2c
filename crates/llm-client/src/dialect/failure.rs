//! From what a server said of a failure to an error: the same rules for every dialect, whatever shape the body has.

use std::time::Duration;

use http::{HeaderMap, StatusCode};
use llm_types::{Error, ErrorKind};

use super::quirks::{ErrorPattern, Quirks};
use super::{Hints, WireTarget};

/// The longest piece of a server's message that an error holds, in bytes.
const MAX_MESSAGE: usize = 512;

/// What a body says of a failure, freed of its shape.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Failure {
    /// The server's words. No request and no answer: members that repeat them are not read.
    pub(crate) message: String,
    /// Its codes and types, the most telling first, none of them empty.
    pub(crate) codes: Vec<String>,
    /// A status inside the body, which counts where HTTP said that all was well.
    pub(crate) status: Option<u16>,
    pub(crate) request_id: Option<String>,
    /// What it means, where the dialect knows more than status and codes tell.
    pub(crate) kind: Option<ErrorKind>,
    /// How long the body asks to wait.
    pub(crate) retry_after: Option<Duration>,
}

impl Failure {
    /// Adds a code unless it is empty or there already.
    pub(crate) fn code(&mut self, code: impl Into<String>) {
        let code = code.into();
        if !code.is_empty() && !self.codes.contains(&code) {
            self.codes.push(code);
        }
    }

    /// A page or a text where JSON was expected.
    pub(crate) fn from_page(text: &str) -> Self {
        let text = text.trim();
        let is_markup = text.starts_with('<');
        let title = || {
            let lower = text.to_ascii_lowercase();
            let from = lower.find("<title>")? + "<title>".len();
            let to = from + lower.get(from..)?.find("</title>")?;
            text.get(from..to)
        };
        let message = match (is_markup, title()) {
            // It may be cut anywhere, also inside of what repeats the prompt.
            (false, _) if text.starts_with(['{', '[']) => "a body that is broken JSON".to_owned(),
            (false, _) => text.to_owned(),
            (true, Some(title)) => format!("a web page: {}", title.trim()),
            (true, None) => "a web page".to_owned(),
        };
        Self { message, ..Self::default() }
    }

    /// The error of this failure, `http` being the status of the answer.
    pub(crate) fn into_error(self, http: StatusCode, target: &WireTarget<'_>) -> Error {
        let failed = http.as_u16() >= 300;
        let status = if failed { Some(http.as_u16()) } else { self.status };
        let pattern = target.quirks.errors.iter().find(|pattern| self.fits(pattern, status));
        let kind = pattern.map(|pattern| pattern.kind).or(self.kind);
        let kind = kind.unwrap_or_else(|| self.kind_by_words(status, target.model));
        let message = match excerpt(&self.message) {
            text if !text.is_empty() => text,
            _ if failed => format!("HTTP {} without an explanation", http.as_u16()),
            _ => "the server reports a failure without an explanation".to_owned(),
        };
        let mut error = Error::new(kind, message).with_status(http.as_u16());
        if let Some(code) = self.codes.into_iter().next() {
            error = error.with_code(excerpt(&code));
        }
        if let Some(id) = self.request_id {
            error = error.with_request_id(excerpt(&id));
        }
        if let Some(wait) = self.retry_after {
            error = error.with_retry_after(wait);
        }
        match pattern.and_then(|pattern| pattern.retry) {
            Some(retry) => error.with_should_retry(retry),
            None => error,
        }
    }

    fn fits(&self, pattern: &ErrorPattern, status: Option<u16>) -> bool {
        let ErrorPattern { status: wanted, code, text, .. } = pattern;
        wanted.is_none_or(|wanted| status == Some(wanted))
            && code.is_none_or(|code| self.codes.iter().any(|known| is_like(known, code)))
            && text.is_none_or(|text| self.message.contains(text))
    }

    fn kind_by_words(&self, status: Option<u16>, model: &str) -> ErrorKind {
        use ErrorKind as K;
        let word =
            WORDS.iter().find(|(word, _)| self.codes.iter().any(|code| code == word)).map(|(_, kind)| *kind);
        let Some(status) = status else {
            return word.unwrap_or(K::Server);
        };
        let by_status = kind_of(status);
        match (by_status, word) {
            // What the key may do is decided by the status alone, but for an empty account.
            (K::Authentication | K::RateLimited, Some(K::QuotaExhausted)) => K::QuotaExhausted,
            (K::Authentication | K::QuotaExhausted | K::RateLimited | K::Redirect, _) => by_status,
            // Words that say no more than the status, or less.
            (_, Some(K::Server | K::InvalidRequest | K::NotFound)) | (_, None) => {
                // The server knows the address and not the model, when it names the model.
                let named = model.len() >= 3 && self.message.contains(model);
                if by_status == K::NotFound && named { K::ModelNotFound } else { by_status }
            }
            (_, Some(K::Overloaded)) if (400..500).contains(&status) => by_status,
            (_, Some(word)) => word,
        }
    }
}

/// Whether a code is the pattern's, or begins like it where it ends in `*`.
fn is_like(code: &str, pattern: &str) -> bool {
    pattern.strip_suffix('*').map_or(code == pattern, |start| code.starts_with(start))
}

/// Codes and types of several servers, in order of what they tell. Those that tell no more than a status come last.
const WORDS: &[(&str, ErrorKind)] = &[
    ("context_length_exceeded", ErrorKind::ContextLength),
    ("exceed_context_size_error", ErrorKind::ContextLength),
    ("insufficient_quota", ErrorKind::QuotaExhausted),
    ("enforced_spend_limit_reached", ErrorKind::QuotaExhausted),
    ("contract_spend_limit_reached", ErrorKind::QuotaExhausted),
    ("billing_error", ErrorKind::QuotaExhausted),
    ("insufficient_balance", ErrorKind::QuotaExhausted),
    ("billing_hard_limit_reached", ErrorKind::QuotaExhausted),
    ("billing_not_active", ErrorKind::QuotaExhausted),
    ("content_filter", ErrorKind::ContentFilter),
    ("content_policy_violation", ErrorKind::ContentFilter),
    ("ResponsibleAIPolicyViolation", ErrorKind::ContentFilter),
    ("model_not_found", ErrorKind::ModelNotFound),
    ("invalid_model", ErrorKind::ModelNotFound),
    ("DeploymentNotFound", ErrorKind::ModelNotFound),
    ("invalid_api_key", ErrorKind::Authentication),
    ("authentication_error", ErrorKind::Authentication),
    ("permission_error", ErrorKind::PermissionDenied),
    ("permission_denied", ErrorKind::PermissionDenied),
    ("rate_limit_exceeded", ErrorKind::RateLimited),
    ("rate_limit_error", ErrorKind::RateLimited),
    ("slow_down", ErrorKind::RateLimited),
    ("server_is_overloaded", ErrorKind::Overloaded),
    ("overloaded_error", ErrorKind::Overloaded),
    ("service_unavailable_error", ErrorKind::Overloaded),
    ("unavailable_error", ErrorKind::Overloaded),
    ("server_error", ErrorKind::Server),
    ("api_error", ErrorKind::Server),
    ("timeout_error", ErrorKind::Server),
    ("conflict_error", ErrorKind::Server),
    ("internal_server_error", ErrorKind::Server),
    ("not_found_error", ErrorKind::NotFound),
    ("not_supported_error", ErrorKind::InvalidRequest),
    ("tool_use_failed", ErrorKind::InvalidRequest),
    ("request_too_large", ErrorKind::InvalidRequest),
    ("invalid_request_error", ErrorKind::InvalidRequest),
];

/// What a status means by itself.
pub(crate) fn kind_of(status: u16) -> ErrorKind {
    match status {
        300..=399 => ErrorKind::Redirect,
        401 => ErrorKind::Authentication,
        402 => ErrorKind::QuotaExhausted,
        403 => ErrorKind::PermissionDenied,
        404 => ErrorKind::NotFound,
        408 | 409 => ErrorKind::Server,
        429 => ErrorKind::RateLimited,
        // What is not there today is not there in a second.
        501 => ErrorKind::InvalidRequest,
        503 | 529 => ErrorKind::Overloaded,
        400..=499 => ErrorKind::InvalidRequest,
        _ => ErrorKind::Server,
    }
}

/// A server's text on one line, without control characters, cut to what an error may hold.
pub(crate) fn excerpt(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(MAX_MESSAGE));
    for word in text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty()) {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > MAX_MESSAGE {
            let end = line.floor_char_boundary(MAX_MESSAGE - "…".len());
            line.truncate(end);
            line.push('…');
            break;
        }
    }
    line
}

/// The server's name for the exchange.
pub(crate) fn request_id<'a>(headers: &'a HeaderMap, quirks: &Quirks) -> Option<&'a str> {
    let usual = ["x-request-id", "request-id", "apim-request-id", "x-ms-request-id", "x-correlation-id"];
    let names = quirks.request_id_headers.iter().copied().chain(usual);
    names.into_iter().find_map(|name| headers.get(name)?.to_str().ok().filter(|id| !id.is_empty()))
}

/// Adds what the head of the answer says.
pub(crate) fn with_head(error: Error, headers: &HeaderMap, quirks: &Quirks, hints: Hints) -> Error {
    let error = match request_id(headers, quirks) {
        Some(id) => error.with_request_id(excerpt(id)),
        None => error,
    };
    let error = match hints.retry_after {
        Some(wait) => error.with_retry_after(wait),
        None => error,
    };
    match hints.should_retry {
        // An exact pattern knows better than a header that says the same of every error.
        Some(should) if error.should_retry().is_none() => error.with_should_retry(should),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_one_short_line() {
        assert_eq!(excerpt(" a\r\n\tb\u{1b}[31m  c "), "a b [31m c");
        let long = excerpt(&"ä".repeat(600));
        assert!(long.len() <= MAX_MESSAGE && long.ends_with('…'), "{}", long.len());
        assert_eq!(excerpt(&"a".repeat(MAX_MESSAGE)).len(), MAX_MESSAGE);
        assert!(excerpt(&"word ".repeat(1000)).len() <= MAX_MESSAGE);
    }

    #[test]
    fn pages_are_told_by_their_title() {
        for (page, message) in [
            ("<html><head><TITLE> 502 Bad\nGateway </TITLE></head></html>", "a web page: 502 Bad\nGateway"),
            ("<!doctype html><p>x", "a web page"),
            (" plain words ", "plain words"),
        ] {
            assert_eq!(Failure::from_page(page).message, message);
        }
    }

    #[test]
    fn a_pattern_names_a_code_or_its_beginning() {
        for (code, pattern, fits) in [
            ("Limit.Rpm", "Limit.*", true),
            ("Limit.", "Limit.*", true),
            ("Limit", "Limit.*", false),
            ("Limit.Rpm", "Limit.Rpm", true),
            ("Limit.Rpms", "Limit.Rpm", false),
        ] {
            assert_eq!(is_like(code, pattern), fits, "{code} {pattern}");
        }
    }

    #[test]
    fn every_status_has_a_kind() {
        use ErrorKind as K;
        for (status, kind) in [
            (301, K::Redirect),
            (400, K::InvalidRequest),
            (401, K::Authentication),
            (402, K::QuotaExhausted),
            (403, K::PermissionDenied),
            (404, K::NotFound),
            (405, K::InvalidRequest),
            (408, K::Server),
            (409, K::Server),
            (413, K::InvalidRequest),
            (422, K::InvalidRequest),
            (429, K::RateLimited),
            (499, K::InvalidRequest),
            (500, K::Server),
            (501, K::InvalidRequest),
            (502, K::Server),
            (503, K::Overloaded),
            (504, K::Server),
            (520, K::Server),
            (529, K::Overloaded),
            (999, K::Server),
        ] {
            assert_eq!(kind_of(status), kind, "{status}");
        }
    }
}
