//! The OpenAI Chat dialect: paths, and what each of them says.

mod embeddings;
mod errors;
mod render;
mod request;

use http::Method;

pub(crate) use self::errors::Problem;
use self::{render::Completion, request::ChatCall};
use crate::{
    answer::Answer,
    log::Received,
    script::{Content, Reply},
    speech::{Asked, Context, Pace, Speech},
    target::percent_decoded,
    text::{push_all, push_json, push_number},
};

/// The answer to a request, in `reply`'s words. Verbatim replies are none of our business.
pub(crate) fn answer(request: &Received, reply: &Reply, pace: Pace, context: &Context<'_>) -> Answer {
    if reply.status >= 400 {
        let problem = Problem::of_status(reply.status);
        return match &reply.content {
            Content::Text(message) => problem.with_message(message).into_answer(),
            _ => problem.into_answer(),
        };
    }
    let scripted = reply.content != Content::Echo;
    let path = request.path();
    let place = path.strip_prefix("/v1").filter(|rest| rest.starts_with('/')).unwrap_or(path);
    let method = request.method.as_str();
    let (allowed, allowed_name) = match place {
        "/chat/completions" | "/embeddings" => (Method::POST, "POST"),
        _ => (Method::GET, "GET"),
    };
    let known = match place {
        "/chat/completions" | "/embeddings" | "/models" => true,
        _ => place.starts_with("/models/"),
    };
    let answer = if scripted && request.method == Method::POST {
        // A script's answer is a chat answer, wherever it was asked for.
        chat(request, reply, pace, context)
    } else if !known {
        Err(Problem::unknown_path(method, path))
    } else if request.method != allowed {
        Err(Problem::wrong_method(method, path, allowed_name))
    } else if place == "/chat/completions" {
        chat(request, reply, pace, context)
    } else if place == "/embeddings" {
        embeddings::answer(&request.body).and_then(|(model, mut answer)| {
            check_model(&model, context)?;
            answer.delay = pace.due(0);
            Ok(answer)
        })
    } else {
        models(place, context)
    };
    let mut answer = answer.unwrap_or_else(Problem::into_answer);
    if answer.status == 200 {
        answer.status = reply.status;
    }
    answer
}

fn check_model(model: &str, context: &Context<'_>) -> Result<(), Problem> {
    if context.has(model) { Ok(()) } else { Err(Problem::unknown_model(model)) }
}

fn chat(request: &Received, reply: &Reply, pace: Pace, context: &Context<'_>) -> Result<Answer, Problem> {
    let call = ChatCall::parse(&request.body)?;
    check_model(&call.model, context)?;
    let asked = Asked {
        number: request.number,
        user_text: &call.user_text,
        prompt_tokens: call.prompt_tokens,
        stop: &call.stop,
        max_tokens: call.max_tokens,
    };
    let completion = Completion { said: Speech::new(&asked, reply), created: context.now, call: &call };
    let failure = reply.stream_error.map(Problem::of_status);
    if !call.stream {
        if let Some(problem) = failure {
            return Err(problem);
        }
        let mut out = Vec::with_capacity(512 + completion.said.content.map_or(0, str::len));
        completion.plain(&mut out);
        let delay = pace.due(completion.completion_tokens());
        return Ok(Answer { delay, ..Answer::json(200, out) });
    }
    let (mut out, cues) = pace.stream(|out, token_at| completion.stream(out, token_at));
    if let Some(problem) = failure {
        push_all(&mut out, &[b"data: ", &problem.into_answer().body, b"\n\n"]);
    }
    Ok(Answer { cues, ..Answer::event_stream(out) })
}

fn models(place: &str, context: &Context<'_>) -> Result<Answer, Problem> {
    let object = |out: &mut Vec<u8>, id: &str| {
        out.extend_from_slice(b"{\"id\":");
        push_json(out, id);
        out.extend_from_slice(b",\"object\":\"model\",\"created\":");
        push_number(out, 1_700_000_000);
        out.extend_from_slice(b",\"owned_by\":\"mock\"}");
    };
    let mut out = Vec::new();
    if let Some(id) = place.strip_prefix("/models/") {
        let id = percent_decoded(id);
        let known = context.models.iter().find(|known| **known == id);
        object(&mut out, known.ok_or_else(|| Problem::unknown_model(&id))?);
        return Ok(Answer::json(200, out));
    }
    out.extend_from_slice(b"{\"object\":\"list\",\"data\":[");
    for (at, id) in context.models.iter().enumerate() {
        out.extend_from_slice(if at == 0 { b"" } else { b"," });
        object(&mut out, id);
    }
    out.extend_from_slice(b"]}");
    Ok(Answer::json(200, out))
}

/// The text of a body's last user message, for the log.
pub(crate) fn last_user_text(body: &[u8]) -> Option<String> {
    ChatCall::parse(body).ok().map(|call| call.user_text.into_owned())
}
