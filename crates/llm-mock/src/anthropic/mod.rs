//! The Anthropic Messages dialect: paths, and what each of them says.

mod blocks;
mod errors;
mod models;
mod render;
mod request;

use http::Method;

use self::{errors::Problem, render::Message, request::MessagesCall};
use crate::{
    answer::Answer,
    json::unknown_members,
    limits::Refused,
    log::Received,
    script::{Content, Reply},
    speech::{Asked, Context, Pace, Speech},
    text::{push_all, push_number},
};

/// What a path without its `/v1` asks for.
fn place(path: &str) -> &str {
    path.strip_prefix("/v1").filter(|rest| rest.starts_with('/')).unwrap_or(path)
}

/// Whether a path is this dialect's, whatever the headers.
pub(crate) fn owns(path: &str) -> bool {
    let place = place(path);
    place == "/messages" || place.starts_with("/messages/")
}

pub(crate) fn answer(request: &Received, reply: &Reply, pace: Pace, context: &Context<'_>) -> Answer {
    if reply.status >= 400 {
        let problem = Problem::of_status(reply.status);
        return match &reply.content {
            Content::Text(message) => problem.with_message(message).into_answer(request.number),
            _ => problem.into_answer(request.number),
        };
    }
    let place = place(request.path());
    let answer = match (place, request.method == Method::POST, request.method == Method::GET) {
        ("/messages", true, _) => messages(request, reply, pace, context),
        ("/messages/count_tokens", true, _) => count_tokens(request, pace, context),
        ("/models", _, true) => models::list(request, context),
        ("/messages" | "/messages/count_tokens" | "/models", ..) => Err(Problem::wrong_method()),
        (_, _, get) => match place.strip_prefix("/models/") {
            Some(id) if get => models::one(id, context),
            Some(_) => Err(Problem::wrong_method()),
            None => Err(Problem::not_found("Not Found")),
        },
    };
    let mut answer = answer.unwrap_or_else(|problem| problem.into_answer(request.number));
    if answer.status == 200 {
        answer.status = reply.status;
    }
    answer
}

fn messages(request: &Received, reply: &Reply, pace: Pace, context: &Context<'_>) -> Result<Answer, Problem> {
    let call = MessagesCall::parse(&request.body, request.marks.version, false)?;
    check_model(&call.model, context)?;
    let asked = Asked {
        number: request.number,
        user_text: &call.user_text,
        prompt_tokens: call.prompt_tokens,
        stop: &call.stop,
        max_tokens: call.max_tokens,
    };
    let message = Message { said: Speech::new(&asked, reply), call: &call };
    let failure = reply.stream_error.map(Problem::of_status);
    if !call.stream {
        if let Some(problem) = failure {
            return Err(problem);
        }
        let mut out = Vec::with_capacity(512 + message.said.content.map_or(0, str::len));
        message.plain(&mut out);
        return Ok(Answer { delay: pace.due(message.said.tokens()), ..Answer::json(200, out) });
    }
    let (mut out, cues) = pace.stream(|out, token_at| message.stream(out, token_at));
    if let Some(problem) = failure {
        let error = problem.into_answer(request.number).body;
        push_all(&mut out, &[b"event: error\ndata: ", &error, b"\n\n"]);
    }
    Ok(Answer { cues, ..Answer::event_stream(out) })
}

fn count_tokens(request: &Received, pace: Pace, context: &Context<'_>) -> Result<Answer, Problem> {
    let call = MessagesCall::parse(&request.body, request.marks.version, true)?;
    check_model(&call.model, context)?;
    let mut out = b"{\"input_tokens\":".to_vec();
    push_number(&mut out, call.prompt_tokens);
    out.push(b'}');
    Ok(Answer { delay: pace.due(0), ..Answer::json(200, out) })
}

fn check_model(model: &str, context: &Context<'_>) -> Result<(), Problem> {
    if context.has(model) { Ok(()) } else { Err(Problem::not_found(format!("model: {model}"))) }
}

pub(crate) fn refuse(request: &Received, refused: Refused) -> Answer {
    Problem::refused(refused).into_answer(request.number)
}

/// The request's members that the protocol does not name.
pub(crate) fn notes(request: &Received) -> Vec<String> {
    let unknown = unknown_members(&request.body, |name| request::MEMBERS.contains(&name));
    unknown.into_iter().map(|name| format!("unknown member `{name}`")).collect()
}

pub(crate) fn last_user_text(request: &Received) -> Option<String> {
    let counting = place(request.path()).ends_with("/count_tokens");
    let call = MessagesCall::parse(&request.body, request.marks.version, counting);
    call.ok().map(|call| call.user_text.into_owned())
}
