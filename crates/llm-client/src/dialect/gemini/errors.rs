//! Failures: one shape, sometimes inside a list, with details of which a few decide what follows.

use std::time::Duration;

use http::StatusCode;
use llm_types::{Error, ErrorKind};

use crate::dialect::WireTarget;
use crate::dialect::failure::Failure;
use crate::dialect::json::{self, Few, Raw, Text, wire};

wire! {
    /// What holds an error.
    struct Body {
        error: Raw<'a> = "error",
    }

    /// The error.
    struct Status {
        code: Raw<'a> = "code",
        message: Text<'a> = "message",
        status: Text<'a> = "status",
        details: Few<Detail<'a>, 2> = "details",
    }

    /// What is said of it besides: each of a kind of its own, told by its members.
    struct Detail {
        reason: Text<'a> = "reason",
        retry_delay: Text<'a> = "retryDelay",
        violations: Few<Violation<'a>, 1> = "violations",
    }

    /// A quota that is used up.
    struct Violation {
        quota: Text<'a> = "quotaId",
    }
}

/// The error in a JSON text, or of a page where JSON should be.
pub(crate) fn error_of(text: &str, status: StatusCode, target: &WireTarget<'_>) -> Error {
    parse(text, status).unwrap_or_else(|| Failure::from_page(text)).into_error(status, target)
}

/// Reads a failure; `None` for what is no JSON of this shape.
pub(super) fn parse(text: &str, http: StatusCode) -> Option<Failure> {
    let mut scratch = String::new();
    let (body, _) = json::parse::<Few<Body<'_>, 1>>(text, &mut scratch).ok()?;
    let error = body.into_iter().find_map(|body| body.error.some())?;
    let (mut inner, mut repaired) = (String::new(), false);
    let error = Raw::of(error);
    let status = error.read::<Status<'_>>(&mut inner, &mut repaired).filter(|status| status.present);
    let Some(Status { code, message, status, details, .. }) = status else {
        // A gateway's own way of saying it.
        let message = error.to_text(&mut repaired)?.into_owned();
        return Some(Failure { message, ..Failure::default() });
    };
    let number = code.count().and_then(|code| u16::try_from(code).ok()).filter(|code| *code >= 400);
    let number = number.or_else(|| number_of(status.as_str()));
    let mut failure = Failure { message: message.owned().unwrap_or_default(), ..Failure::default() };
    failure.status = number;
    // The reason tells more than the status.
    let mut per_day = false;
    for detail in details {
        failure.code(detail.reason.as_str());
        failure.retry_after = failure.retry_after.or(seconds(detail.retry_delay.as_str()));
        per_day |= detail.violations.iter().any(|violation| violation.quota.as_str().contains("PerDay"));
    }
    failure.code(status.as_str());
    if failure.message.is_empty() {
        failure.message = failure.codes.join(", ");
    }
    let effective = if http.as_u16() >= 300 { Some(http.as_u16()) } else { number };
    let has = |word: &str| failure.codes.iter().any(|code| code == word);
    failure.kind = match effective {
        // It is a bad request on paper.
        Some(400) if has("API_KEY_INVALID") || has("API_KEY_EXPIRED") => Some(ErrorKind::Authentication),
        // A day's quota does not come back while anybody waits.
        Some(429) if per_day => Some(ErrorKind::QuotaExhausted),
        _ => None,
    };
    Some(failure)
}

/// The HTTP status of a canonical status, for errors inside of an answer that began well.
fn number_of(status: &str) -> Option<u16> {
    Some(match status {
        "INVALID_ARGUMENT" | "FAILED_PRECONDITION" | "OUT_OF_RANGE" => 400,
        "UNAUTHENTICATED" => 401,
        "PERMISSION_DENIED" => 403,
        "NOT_FOUND" => 404,
        "ABORTED" | "ALREADY_EXISTS" => 409,
        "RESOURCE_EXHAUSTED" => 429,
        "CANCELLED" => 499,
        "INTERNAL" | "UNKNOWN" | "DATA_LOSS" => 500,
        "UNIMPLEMENTED" => 501,
        "UNAVAILABLE" => 503,
        "DEADLINE_EXCEEDED" => 504,
        _ => return None,
    })
}

/// A duration such as `34.4s`. Junk, and what no timer could hold, is none.
fn seconds(text: &str) -> Option<Duration> {
    let number = text.strip_suffix('s')?;
    let plain = number.starts_with(|c: char| c.is_ascii_digit())
        && number.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.');
    let seconds = number.parse::<f64>().ok().filter(|_| plain)?;
    Duration::try_from_secs_f64(seconds).ok().filter(|wait| !wait.is_zero())
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;

    use super::*;
    use crate::dialect::quirks::{ErrorPattern, Quirks};
    use crate::dialect::{Dialect, Hints};

    const TARGET: WireTarget<'static> = WireTarget { model: "gemini-x", quirks: &Quirks::NONE, origin: None };

    fn error(status: u16, body: &str) -> Error {
        let status = StatusCode::from_u16(status).unwrap();
        Dialect::Gemini.classify(status, &HeaderMap::new(), body.as_bytes(), &TARGET, Hints::default())
    }

    fn body(code: u16, status: &str, details: &str) -> String {
        format!(
            r#"{{"error":{{"code":{code},"message":"words","status":"{status}","details":[{details}]}}}}"#
        )
    }

    #[test]
    fn every_status_has_its_kind() {
        use ErrorKind as K;
        let key =
            r#"{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID","domain":"d"}"#;
        let minute = r#"{"violations":[{"quotaId":"GenerateRequestsPerMinutePerProjectPerModel-FreeTier"}]}"#;
        let day = r#"{"violations":[{"quotaId":"GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]}"#;
        for (code, status, details, kind, retry, shown) in [
            (400, "INVALID_ARGUMENT", "", K::InvalidRequest, false, "INVALID_ARGUMENT"),
            (400, "INVALID_ARGUMENT", key, K::Authentication, false, "API_KEY_INVALID"),
            (400, "FAILED_PRECONDITION", "", K::InvalidRequest, false, "FAILED_PRECONDITION"),
            (401, "UNAUTHENTICATED", "", K::Authentication, false, "UNAUTHENTICATED"),
            (402, "FAILED_PRECONDITION", "", K::QuotaExhausted, false, "FAILED_PRECONDITION"),
            (403, "PERMISSION_DENIED", "", K::PermissionDenied, false, "PERMISSION_DENIED"),
            (404, "NOT_FOUND", "", K::NotFound, false, "NOT_FOUND"),
            (408, "DEADLINE_EXCEEDED", "", K::Server, true, "DEADLINE_EXCEEDED"),
            (429, "RESOURCE_EXHAUSTED", "", K::RateLimited, true, "RESOURCE_EXHAUSTED"),
            (429, "RESOURCE_EXHAUSTED", minute, K::RateLimited, true, "RESOURCE_EXHAUSTED"),
            (429, "RESOURCE_EXHAUSTED", day, K::QuotaExhausted, false, "RESOURCE_EXHAUSTED"),
            (499, "CANCELLED", "", K::InvalidRequest, false, "CANCELLED"),
            (500, "INTERNAL", "", K::Server, true, "INTERNAL"),
            (502, "", "", K::Server, true, ""),
            (503, "UNAVAILABLE", "", K::Overloaded, true, "UNAVAILABLE"),
            (504, "DEADLINE_EXCEEDED", "", K::Server, true, "DEADLINE_EXCEEDED"),
        ] {
            let json = body(code, status, details);
            // Alone, in a list, and inside of an answer whose head said that all was well.
            for (http, json) in [(code, json.clone()), (code, format!("[{json}\n]")), (200, json)] {
                let found = error(http, &json);
                assert_eq!((found.kind(), found.is_retryable()), (kind, retry), "{http} {json}");
                assert_eq!((found.message(), found.code().unwrap_or_default()), ("words", shown), "{json}");
            }
        }
        let unnumbered = r#"{"error":{"message":"m","status":"UNAVAILABLE"}}"#;
        assert_eq!(error(200, unnumbered).kind(), K::Overloaded);
        assert_eq!(error(200, r#"{"error":{"message":"m"}}"#).kind(), K::Server);
        let model = r#"{"error":{"code":404,"message":"models/gemini-x is not found for API version v1beta","status":"NOT_FOUND"}}"#;
        assert_eq!(error(404, model).kind(), K::ModelNotFound);
    }

    #[test]
    fn the_delay_in_the_body_has_fractions_and_a_header_goes_before_it() {
        for (delay, wait) in [
            ("34.4s", Some(34_400)),
            ("45.837906927s", Some(45_837)),
            ("7s", Some(7000)),
            ("0s", None),
            ("-3s", None),
            ("3", None),
            ("1e9s", None),
            ("infs", None),
            ("s", None),
            ("99999999999999999999999999s", None),
        ] {
            let json = body(429, "RESOURCE_EXHAUSTED", &format!(r#"{{"retryDelay":"{delay}"}}"#));
            let found = error(429, &json);
            let found = found.retry_after().map(|wait| wait.as_millis());
            assert_eq!(found, wait, "{delay}");
        }
        let json = body(429, "RESOURCE_EXHAUSTED", r#"{"retryDelay":"34.4s"}"#);
        let hints = Hints { retry_after: Some(Duration::from_secs(3)), ..Hints::default() };
        let status = StatusCode::TOO_MANY_REQUESTS;
        let found = Dialect::Gemini.classify(status, &HeaderMap::new(), json.as_bytes(), &TARGET, hints);
        assert_eq!(found.retry_after(), Some(Duration::from_secs(3)));
    }

    #[test]
    fn what_has_another_shape_is_told_all_the_same() {
        for (json, message) in [
            ("<html><title>502</title>", "a web page: 502"),
            ("", "HTTP 502 without an explanation"),
            (r#"{"error":"gone"}"#, "gone"),
            (r#"{"error":{"code":502}}"#, "HTTP 502 without an explanation"),
            (r#"{"error":{"details":[{"reason":"R"}]}}"#, "R"),
            ("{\"error\":{\"message\":\"a\\ud800b\"}}", "a\u{FFFD}b"),
            ("{}", "a body that is broken JSON"),
        ] {
            assert_eq!(error(502, json).message(), message, "{json}");
        }
        const LONG: ErrorPattern = ErrorPattern {
            status: Some(400),
            text: Some("too many tokens"),
            ..ErrorPattern::new(ErrorKind::ContextLength)
        };
        let quirks = Quirks { errors: &[LONG], ..Quirks::NONE };
        let target = WireTarget { quirks: &quirks, ..TARGET };
        let json = r#"{"error":{"code":400,"message":"too many tokens","status":"INVALID_ARGUMENT"}}"#;
        assert_eq!(error_of(json, StatusCode::BAD_REQUEST, &target).kind(), ErrorKind::ContextLength);
    }
}
