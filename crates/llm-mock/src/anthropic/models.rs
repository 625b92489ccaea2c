//! `GET /v1/models`, in pages, and `GET /v1/models/{id}`.

use super::errors::Problem;
use crate::{
    answer::Answer,
    log::Received,
    speech::Context,
    target::{percent_decoded, query_value},
    text::{push_json, push_or_null},
};

/// Models on a page when the request does not say, and at most.
const PAGE: usize = 20;
const MOST: usize = 1000;

pub(super) fn one(id: &str, context: &Context<'_>) -> Result<Answer, Problem> {
    let id = percent_decoded(id);
    let known = context.models.iter().find(|known| **known == id);
    let mut out = Vec::new();
    push_model(&mut out, known.ok_or_else(|| Problem::not_found(format!("model: {id}")))?);
    Ok(Answer::json(200, out))
}

pub(super) fn list(request: &Received, context: &Context<'_>) -> Result<Answer, Problem> {
    let value = |name| query_value(request.query(), name);
    let limit = match value("limit") {
        None => PAGE,
        Some(text) => {
            let limit = text.parse().ok().filter(|limit| (1..=MOST).contains(limit));
            limit.ok_or_else(|| Problem::invalid(format!("limit: must be 1 to {MOST}")))?
        }
    };
    let place = |name: &str, id: String| {
        let at = context.models.iter().position(|known| *known == id);
        at.ok_or_else(|| Problem::invalid(format!("{name}: there is no such model")))
    };
    let all = context.models.len();
    let (from, to) = match (value("after_id"), value("before_id")) {
        (Some(_), Some(_)) => return Err(Problem::invalid("after_id and before_id exclude each other")),
        (Some(id), None) => (place("after_id", id)? + 1, all),
        (None, Some(id)) => {
            let to = place("before_id", id)?;
            (to.saturating_sub(limit), to)
        }
        (None, None) => (0, all),
    };
    let page = context.models.get(from..to.min(from.saturating_add(limit))).unwrap_or_default();
    let backwards = value("before_id").is_some();
    let has_more = if backwards { from > 0 } else { from + page.len() < all };
    let mut out = b"{\"data\":[".to_vec();
    for (at, id) in page.iter().enumerate() {
        out.extend_from_slice(if at == 0 { b"" } else { b"," });
        push_model(&mut out, id);
    }
    out.extend_from_slice(b"],\"first_id\":");
    push_or_null(&mut out, page.first().map(String::as_str));
    out.extend_from_slice(b",\"last_id\":");
    push_or_null(&mut out, page.last().map(String::as_str));
    out.extend_from_slice(if has_more { b",\"has_more\":true}" } else { b",\"has_more\":false}" });
    Ok(Answer::json(200, out))
}

fn push_model(out: &mut Vec<u8>, id: &str) {
    for (name, text) in [("{\"id\":", id), (",\"type\":", "model"), (",\"display_name\":", id)] {
        out.extend_from_slice(name.as_bytes());
        push_json(out, text);
    }
    out.extend_from_slice(
        b",\"created_at\":\"2026-01-01T00:00:00Z\",\"max_input_tokens\":200000,\"max_tokens\":64000,\
          \"lifecycle\":\"active\",\"capabilities\":{\"image_input\":{\"supported\":true},\"thinking\":{\
          \"supported\":true,\"types\":{\"adaptive\":{\"supported\":true},\"enabled\":{\"supported\":true}}}}}",
    );
}
