//! `GET /models`, in pages, and `GET /models/{id}`.

use super::errors::Problem;
use crate::{
    answer::Answer,
    log::Received,
    speech::Context,
    target::{percent_decoded, query_value},
    text::push_json,
};

/// Models on a page when the request does not say, and at most.
const PAGE: usize = 50;
const MOST: usize = 1000;

pub(super) fn one(id: &str, context: &Context<'_>) -> Result<Answer, Problem> {
    let id = percent_decoded(id);
    let known = context.models.iter().find(|known| **known == id);
    let mut out = Vec::new();
    push_model(&mut out, known.ok_or_else(|| Problem::not_found(format!("models/{id} is not found.")))?);
    Ok(Answer::json(200, out))
}

pub(super) fn list(request: &Received, context: &Context<'_>) -> Result<Answer, Problem> {
    let value = |name| query_value(request.query(), name);
    // Zero is the default, and what is above the most is taken for it.
    let size = match value("pageSize").or_else(|| value("page_size")) {
        None => PAGE,
        Some(text) => match text.parse::<usize>() {
            Ok(0) => PAGE,
            Ok(size) => size.min(MOST),
            Err(_) => return Err(Problem::invalid("Invalid value at 'page_size'.")),
        },
    };
    let from = match value("pageToken").or_else(|| value("page_token")) {
        None => 0,
        Some(token) => {
            let from = token.strip_prefix("mock-page-").and_then(|at| at.parse().ok());
            let from = from.filter(|from| *from <= context.models.len());
            from.ok_or_else(|| Problem::invalid("page_token is not valid."))?
        }
    };
    let to = context.models.len().min(from.saturating_add(size));
    let mut out = b"{\"models\":[".to_vec();
    for (at, id) in context.models.get(from..to).unwrap_or_default().iter().enumerate() {
        out.extend_from_slice(if at == 0 { b"" } else { b"," });
        push_model(&mut out, id);
    }
    out.push(b']');
    if to < context.models.len() {
        out.extend_from_slice(b",\"nextPageToken\":");
        push_json(&mut out, &format!("mock-page-{to}"));
    }
    out.push(b'}');
    Ok(Answer::json(200, out))
}

fn push_model(out: &mut Vec<u8>, id: &str) {
    out.extend_from_slice(b"{\"name\":");
    push_json(out, &format!("models/{id}"));
    out.extend_from_slice(b",\"version\":\"001\",\"displayName\":");
    push_json(out, id);
    out.extend_from_slice(
        b",\"inputTokenLimit\":1048576,\"outputTokenLimit\":65536,\"supportedGenerationMethods\":[\
          \"generateContent\",\"countTokens\",\"embedContent\"],\"thinking\":true}",
    );
}
