//! The Gemini dialect: paths, and what each of them says. A path names a model and a method; what stands before the
//! model (`/v1beta`, or Vertex AI's project and location) is of no interest.

mod contents;
mod embeddings;
mod errors;
mod models;
mod render;
mod request;

use std::borrow::Cow;

use http::Method;

use self::{
    errors::Problem,
    render::{Form, Response},
    request::GenerateCall,
};
use crate::{
    answer::Answer,
    limits::Refused,
    log::Received,
    script::{Content, Reply},
    speech::{Asked, Context, Pace, Speech},
    target::{percent_decoded, query_value},
    text::{push_all, push_number},
};

const METHODS: &[&str] =
    &["generateContent", "streamGenerateContent", "countTokens", "embedContent", "batchEmbedContents"];

/// The model and the method a path names.
fn call_of(path: &str) -> Option<(&str, &str)> {
    let (front, method) = path.rsplit_once(':')?;
    let at = ["/models/", "/tunedModels/"].into_iter().filter_map(|name| {
        let at = front.rfind(name)? + name.len();
        front.split_at_checked(at)
    });
    let (_, model) = at.max_by_key(|(before, _)| before.len())?;
    METHODS.contains(&method).then_some((model, method))
}

/// Whether a path is this dialect's, whatever the headers.
pub(crate) fn owns(path: &str) -> bool {
    let versions = ["/v1beta/", "/v1beta1/", "/v1alpha/"];
    versions.iter().any(|version| path.starts_with(version)) && !path.contains("/openai/")
        || call_of(path).is_some()
}

/// Whether a key stands in the query, where logs and proxies see it.
pub(crate) fn key_in_url(request: &Received) -> bool {
    query_value(request.query(), "key").is_some()
}

/// Whether the answer to a request is an array.
fn in_array(request: &Received) -> bool {
    call_of(request.path()).is_some_and(|(_, method)| method == "streamGenerateContent") && !sse(request)
}

fn sse(request: &Received) -> bool {
    ["alt", "$alt"].iter().any(|name| query_value(request.query(), name).as_deref() == Some("sse"))
}

pub(crate) fn answer(request: &Received, reply: &Reply, pace: Pace, context: &Context<'_>) -> Answer {
    if reply.status >= 400 {
        let problem = Problem::of_status(reply.status).after(&reply.headers);
        return match &reply.content {
            Content::Text(message) => problem.with_message(message).into_answer(in_array(request)),
            _ => problem.into_answer(in_array(request)),
        };
    }
    let mut answer =
        route(request, reply, pace, context).unwrap_or_else(|problem| problem.into_answer(in_array(request)));
    if answer.status == 200 {
        answer.status = reply.status;
    }
    answer
}

fn route(request: &Received, reply: &Reply, pace: Pace, context: &Context<'_>) -> Result<Answer, Problem> {
    let path = request.path();
    let unknown = || Problem::not_found(format!("There is no such method: {} {path}", request.method));
    if request.method == Method::GET {
        let place = path.trim_start_matches('/').split_once('/').map_or("", |(_, place)| place);
        return match place.strip_prefix("models") {
            Some("") => models::list(request, context),
            Some(id) => models::one(id.strip_prefix('/').ok_or_else(unknown)?, context),
            None => Err(unknown()),
        };
    }
    let (model, method) = call_of(path).filter(|_| request.method == Method::POST).ok_or_else(unknown)?;
    let model = percent_decoded(model);
    if model.is_empty() || !context.has(&model) {
        let message = format!("models/{model} is not found, or is not supported for {method}.");
        return Err(Problem::not_found(message));
    }
    match method {
        "countTokens" => {
            let count = request::count_tokens(&request.body, &model)?;
            let mut out = b"{\"totalTokens\":".to_vec();
            push_number(&mut out, count);
            out.extend_from_slice(b",\"promptTokensDetails\":[{\"modality\":\"TEXT\",\"tokenCount\":");
            push_number(&mut out, count);
            out.extend_from_slice(b"}]}");
            Ok(Answer { delay: pace.due(0), ..Answer::json(200, out) })
        }
        "embedContent" => Ok(Answer { delay: pace.due(0), ..embeddings::one(&request.body)? }),
        "batchEmbedContents" => {
            Ok(Answer { delay: pace.due(0), ..embeddings::batch(&request.body, &model)? })
        }
        _ => generate(request, reply, pace, &model, method == "streamGenerateContent"),
    }
}

fn generate(
    request: &Received,
    reply: &Reply,
    pace: Pace,
    model: &str,
    stream: bool,
) -> Result<Answer, Problem> {
    let call = GenerateCall::parse(&request.body, model)?;
    let asked = Asked {
        number: request.number,
        user_text: &call.user_text,
        prompt_tokens: call.prompt_tokens,
        stop: &call.stop,
        max_tokens: call.max_tokens,
    };
    let response = Response { said: Speech::new(&asked, reply), call: &call, model };
    let failure = reply.stream_error.map(Problem::of_status);
    if !stream {
        if let Some(problem) = failure {
            return Err(problem);
        }
        let mut out = Vec::with_capacity(512 + response.said.content.map_or(0, str::len));
        response.plain(&mut out);
        return Ok(Answer { delay: pace.due(response.tokens()), ..Answer::json(200, out) });
    }
    let form = if sse(request) { Form::Events } else { Form::Array };
    let (mut out, cues) = pace.stream(|out, token_at| response.stream(form, out, token_at));
    if let Some(problem) = failure {
        let error = problem.into_answer(false).body;
        match form {
            Form::Events => push_all(&mut out, &[b"data: ", &error, b"\r\n\r\n"]),
            Form::Array if out.is_empty() => push_all(&mut out, &[b"[", &error, b"]"]),
            Form::Array => push_all(&mut out, &[b",\r\n", &error, b"]"]),
        }
    }
    let content_type = if form == Form::Events { "text/event-stream" } else { "application/json" };
    Ok(Answer { cues, content_type, ..Answer::event_stream(out) })
}

pub(crate) fn refuse(request: &Received, refused: Refused) -> Answer {
    Problem::refused(refused).into_answer(in_array(request))
}

/// The request's members that the protocol does not name, and a key where none should be.
pub(crate) fn notes(request: &Received) -> Vec<String> {
    let mut notes = Vec::new();
    if key_in_url(request) {
        notes.push("key in the URL".to_owned());
    }
    if let Some((_, "generateContent" | "streamGenerateContent")) = call_of(request.path()) {
        notes.extend(
            request::unknown(&request.body).into_iter().map(|name| format!("unknown member `{name}`")),
        );
    }
    notes
}

pub(crate) fn last_user_text(request: &Received) -> Option<String> {
    let (model, _) = call_of(request.path())?;
    GenerateCall::parse(&request.body, model).ok().map(|call| Cow::into_owned(call.user_text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_a_model_and_a_method_whatever_stands_before() {
        let vertex = "/v1/projects/p/locations/global/publishers/google/models/gemini-x:countTokens";
        assert_eq!(call_of(vertex), Some(("gemini-x", "countTokens")));
        assert_eq!(call_of("/v1beta/models/a%2Fb:embedContent"), Some(("a%2Fb", "embedContent")));
        assert_eq!(call_of("/v1beta/tunedModels/t:generateContent"), Some(("t", "generateContent")));
        assert_eq!(call_of("/v1beta/models/a:fly"), None);
        assert!(owns("/v1beta/models") && owns(vertex) && owns("/models/m:generateContent"));
        assert!(!owns("/v1/models") && !owns("/v1/chat/completions") && !owns("/v1beta/openai/models"));
    }
}
