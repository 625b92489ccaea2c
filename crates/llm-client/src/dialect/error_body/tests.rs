//! The tables of failed calls, of the dialect's own vendor and of all who imitate it.

use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode};
use llm_types::ErrorKind::{self, *};

use super::*;
use crate::dialect::quirks::{ErrorPattern, Quirks};
use crate::dialect::{Dialect, Hints};

const NONE: WireTarget<'static> = WireTarget { model: "gpt-x", quirks: &Quirks::NONE, origin: None };

fn check(status: u16, body: &str, kind: ErrorKind, code: Option<&str>, message: &str) {
    let status = StatusCode::from_u16(status).unwrap();
    let error =
        Dialect::OpenAiChat.classify(status, &HeaderMap::new(), body.as_bytes(), &NONE, Hints::default());
    assert_eq!((error.kind(), error.code(), error.message()), (kind, code, message), "{status} {body}");
    assert_eq!(error.status(), Some(status.as_u16()));
}

#[test]
fn the_own_vendors_errors_are_told_apart() {
    let body = |kind: &str, code: &str| {
        format!(r#"{{"error":{{"message":"m","type":"{kind}","param":null,"code":{code}}}}}"#)
    };
    for (status, kind, code, expected) in [
        (400, "invalid_request_error", r#""unsupported_parameter""#, InvalidRequest),
        (400, "invalid_request_error", r#""context_length_exceeded""#, ContextLength),
        (400, "invalid_request_error", r#""content_policy_violation""#, ContentFilter),
        (400, "invalid_request_error", r#""model_not_found""#, ModelNotFound),
        (400, "invalid_request_error", "null", InvalidRequest),
        (400, "server_error", "null", InvalidRequest),
        (401, "invalid_request_error", r#""invalid_api_key""#, Authentication),
        (403, "invalid_request_error", r#""unsupported_country_region_territory""#, PermissionDenied),
        (403, "invalid_request_error", r#""model_not_found""#, ModelNotFound),
        (404, "invalid_request_error", r#""model_not_found""#, ModelNotFound),
        (404, "invalid_request_error", "null", NotFound),
        (409, "conflict", "null", Server),
        (413, "invalid_request_error", "null", InvalidRequest),
        (422, "invalid_request_error", "null", InvalidRequest),
        (429, "requests", r#""rate_limit_exceeded""#, RateLimited),
        (429, "tokens", r#""rate_limit_exceeded""#, RateLimited),
        (429, "rate_limit_error", r#""slow_down""#, RateLimited),
        (429, "insufficient_quota", r#""insufficient_quota""#, QuotaExhausted),
        (429, "insufficient_quota", "null", QuotaExhausted),
        (500, "server_error", "null", Server),
        (502, "server_error", "null", Server),
        (503, "service_unavailable_error", r#""server_is_overloaded""#, Overloaded),
        (504, "server_error", "null", Server),
    ] {
        let name = if code == "null" { kind } else { code.trim_matches('"') };
        check(status, &body(kind, code), expected, Some(name), "m");
    }
}

#[test]
fn every_shape_of_body_is_read() {
    for (status, body, kind, code, message) in [
        (400, r#"{"error":"text"}"#, InvalidRequest, None, "text"),
        (
            400,
            r#"{"code":"invalid-argument","error":"Incorrect API key provided."}"#,
            InvalidRequest,
            Some("invalid-argument"),
            "Incorrect API key provided.",
        ),
        (
            400,
            r#"{"object":"error","message":"Invalid model: x","type":"invalid_model","param":null,"code":"1500","raw_status_code":400}"#,
            ModelNotFound,
            Some("1500"),
            "Invalid model: x",
        ),
        (
            400,
            r#"{"object":"error","message":"old","type":"BadRequestError","param":null,"code":400}"#,
            InvalidRequest,
            Some("400"),
            "old",
        ),
        (400, r#"{"id":"x","message":"m"}"#, InvalidRequest, None, "m"),
        (
            400,
            r#"{"code":400,"message":"Validation: no","type":"Bad Request"}"#,
            InvalidRequest,
            Some("400"),
            "Validation: no",
        ),
        (400, r#"{"code":20012,"message":"m","data":null}"#, InvalidRequest, Some("20012"), "m"),
        (401, r#"{"detail":"Invalid API Key"}"#, Authentication, None, "Invalid API Key"),
        (
            401,
            r#"{"error":{"code":"invalid_request_error","message":"m","type":"authentication_error"}}"#,
            Authentication,
            Some("invalid_request_error"),
            "m",
        ),
        (401, r#""Invalid token""#, Authentication, None, "Invalid token"),
        (404, r#"{"error":"Specified model not found: x"}"#, NotFound, None, "Specified model not found: x"),
        (
            404,
            r#"{"error":"Specified model not found: gpt-x."}"#,
            ModelNotFound,
            None,
            "Specified model not found: gpt-x.",
        ),
        (404, r#"[{"error":{"code":404,"message":"m","status":"NOT_FOUND"}}]"#, NotFound, Some("404"), "m"),
        (
            404,
            r#"{"error":{"code":"DeploymentNotFound","message":"m"}}"#,
            ModelNotFound,
            Some("DeploymentNotFound"),
            "m",
        ),
        (
            422,
            r#"{"detail":[{"loc":["body","stop",0],"msg":"bad value","type":"value_error","input":"the prompt"}]}"#,
            InvalidRequest,
            Some("value_error"),
            "body.stop.0: bad value",
        ),
        (422, r#"{"errors":["a",{"message":"b"}]}"#, InvalidRequest, None, "a; b"),
        (
            429,
            r#"{"error":{"code":429,"message":"Slow down","metadata":{"provider_name":"Acme"}}}"#,
            RateLimited,
            Some("429"),
            "Slow down",
        ),
        (429, r#"{"error":{"code":"429","message":"m"}}"#, RateLimited, Some("429"), "m"),
        (502, "<html><title>502 Bad Gateway</title></html>", Server, None, "a web page: 502 Bad Gateway"),
        (502, "", Server, None, "HTTP 502 without an explanation"),
        (502, "{}", Server, None, "HTTP 502 without an explanation"),
        (502, "null", Server, None, "HTTP 502 without an explanation"),
        (502, "upstream\nconnect error", Server, None, "upstream connect error"),
        (
            503,
            r#"{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}"#,
            Overloaded,
            Some("503"),
            "Loading model",
        ),
        (
            529,
            r#"{"error":{"type":"overloaded_error"}}"#,
            Overloaded,
            Some("overloaded_error"),
            "overloaded_error",
        ),
        (
            400,
            r#"{"error":{"code":400,"message":"m","n_ctx":512,"n_prompt_tokens":2009,"type":"exceed_context_size_error"}}"#,
            ContextLength,
            Some("400"),
            "m",
        ),
        (
            501,
            r#"{"error":{"code":501,"message":"m","type":"not_supported_error"}}"#,
            InvalidRequest,
            Some("501"),
            "m",
        ),
        (
            400,
            r#"{"error":{"code":"content_filter","message":"m","param":"prompt","type":null,"status":400,"innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#,
            ContentFilter,
            Some("content_filter"),
            "m",
        ),
        (
            400,
            r#"{"error":{"message":"m","code":null,"innererror":{"code":"ResponsibleAIPolicyViolation"}}}"#,
            ContentFilter,
            Some("ResponsibleAIPolicyViolation"),
            "m",
        ),
        (
            400,
            r#"{"error":{"code":"tool_use_failed","failed_generation":"the answer","message":"m","type":"invalid_request_error"}}"#,
            InvalidRequest,
            Some("tool_use_failed"),
            "m",
        ),
        (
            401,
            r#"{"status":401,"error":{"message":"m","code":"invalid_api_key"}}"#,
            Authentication,
            Some("invalid_api_key"),
            "m",
        ),
        (
            402,
            r#"{"error":{"message":"Insufficient Balance"}}"#,
            QuotaExhausted,
            None,
            "Insufficient Balance",
        ),
        (403, r#"{"error":{"code":"forbidden","message":"m"}}"#, PermissionDenied, Some("forbidden"), "m"),
        (
            500,
            r#"{"error":{"code":500,"message":"tools param requires --jinja flag","type":"server_error"}}"#,
            Server,
            Some("500"),
            "tools param requires --jinja flag",
        ),
        (
            503,
            r#"{"error":{"code":"model_not_found","message":"no channel"}}"#,
            ModelNotFound,
            Some("model_not_found"),
            "no channel",
        ),
        (308, "", Redirect, None, "HTTP 308 without an explanation"),
        (400, "{\"error\":\"cut \\ud800\"}", InvalidRequest, None, "cut \u{FFFD}"),
        (400, "{\"error\":{\"message\":", InvalidRequest, None, "a body that is broken JSON"),
    ] {
        check(status, body, kind, code, message);
    }
    check(400, &"[".repeat(10_000), InvalidRequest, None, "a body that is broken JSON");
}

#[test]
fn an_error_in_a_200_is_told_by_its_inner_status_or_its_words() {
    for (body, kind) in [
        (r#"{"error":{"code":502,"message":"m"}}"#, Server),
        (r#"{"error":{"code":429,"message":"m"}}"#, RateLimited),
        (
            r#"{"error":{"message":"m","type":"invalid_request_error","code":"tool_use_failed","status_code":400}}"#,
            InvalidRequest,
        ),
        (r#"{"error":{"message":"m","type":"server_error","code":null}}"#, Server),
        (r#"{"error":{"message":"m","type":"invalid_request_error"}}"#, InvalidRequest),
        (r#"{"error":{"message":"m","code":"insufficient_quota"}}"#, QuotaExhausted),
        (r#"{"code":"some code","error":"text"}"#, Server),
        (r#"{"object":"error","message":"m","type":"BadRequestError","code":400}"#, InvalidRequest),
    ] {
        let error = parse(body).unwrap().into_error(StatusCode::OK, &NONE);
        assert_eq!(error.kind(), kind, "{body}");
    }
}

#[test]
fn head_and_hints_go_into_the_error() {
    let mut headers = HeaderMap::new();
    headers.insert("x-request-id", HeaderValue::from_static("req-1"));
    headers.insert("x-trace", HeaderValue::from_static("trace-1"));
    let hints = Hints { retry_after: Some(Duration::from_secs(7)), should_retry: Some(false) };
    let error = Dialect::OpenAiChat.classify(StatusCode::TOO_MANY_REQUESTS, &headers, b"{}", &NONE, hints);
    assert_eq!(error.request_id(), Some("req-1"));
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    assert_eq!(error.should_retry(), Some(false));
    let quirks = Quirks { request_id_headers: &["x-trace"], ..Quirks::NONE };
    let target = WireTarget { quirks: &quirks, ..NONE };
    let error = Dialect::OpenAiChat.classify(StatusCode::TOO_MANY_REQUESTS, &headers, b"{}", &target, hints);
    assert_eq!(error.request_id(), Some("trace-1"));
    let body = br#"{"error":{"message":"m"},"request_id":"r-9"}"#;
    let error = Dialect::OpenAiChat.classify(
        StatusCode::BAD_REQUEST,
        &HeaderMap::new(),
        body,
        &NONE,
        Hints::default(),
    );
    assert_eq!(error.request_id(), Some("r-9"));
}

#[test]
fn a_pattern_knows_better_than_status_and_code() {
    const QUIRKS: Quirks = Quirks {
        errors: &[
            ErrorPattern {
                status: Some(400),
                text: Some("Incorrect API key"),
                ..ErrorPattern::new(Authentication)
            },
            ErrorPattern {
                status: Some(500),
                code: Some("server_error"),
                text: Some("requires --jinja"),
                retry: Some(false),
                ..ErrorPattern::new(InvalidRequest)
            },
        ],
        ..Quirks::NONE
    };
    let target = WireTarget { quirks: &QUIRKS, ..NONE };
    for (status, body, kind, retry) in [
        (400, r#"{"code":"invalid-argument","error":"Incorrect API key provided."}"#, Authentication, None),
        (401, r#"{"error":"Incorrect API key provided."}"#, Authentication, None),
        (422, r#"{"error":"Incorrect API key provided."}"#, InvalidRequest, None),
        (
            500,
            r#"{"error":{"type":"server_error","message":"tools param requires --jinja flag"}}"#,
            InvalidRequest,
            Some(false),
        ),
        (500, r#"{"error":{"type":"server_error","message":"other"}}"#, Server, None),
    ] {
        let status = StatusCode::from_u16(status).unwrap();
        let error = Dialect::OpenAiChat.classify(
            status,
            &HeaderMap::new(),
            body.as_bytes(),
            &target,
            Hints::default(),
        );
        assert_eq!((error.kind(), error.should_retry()), (kind, retry), "{status} {body}");
    }
}

#[test]
fn no_prompt_and_no_answer_stands_in_an_error() {
    let body = br#"{"error":{"message":"m","failed_generation":"CANARY","metadata":{"raw":"CANARY"}},"detail":[{"msg":"d","input":"CANARY","ctx":{"x":"CANARY"}}]}"#;
    let error = Dialect::OpenAiChat.classify(
        StatusCode::BAD_REQUEST,
        &HeaderMap::new(),
        body,
        &NONE,
        Hints::default(),
    );
    assert!(!format!("{error} {error:?} {}", error.chain()).contains("CANARY"));
}
