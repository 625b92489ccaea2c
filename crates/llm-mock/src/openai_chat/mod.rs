//! The OpenAI Chat dialect: paths, and what each of them says.

mod embeddings;
mod errors;
mod render;
mod request;

use std::time::Duration;

use http::Method;

pub(crate) use self::errors::Problem;
use self::{render::Completion, request::ChatCall};
use crate::{
    answer::{Answer, Cue},
    log::Received,
    script::{Content, Reply},
    text::{first_tokens, push_json, push_number},
};

/// Ten years: as late as anything is due, so that it can be added to any point in time.
const FAR: Duration = Duration::from_secs(10 * 365 * 24 * 3600);

/// When generated tokens leave.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    pub(crate) first_token: Duration,
    pub(crate) tokens_per_sec: Option<f64>,
}

impl Pace {
    /// When token number `index`, from 0, is due after the head.
    pub(crate) fn due(&self, index: u64) -> Duration {
        // Precise up to 2^53 tokens.
        #[expect(clippy::cast_precision_loss, reason = "a pace needs no more precision")]
        let index = index as f64;
        let share = self.tokens_per_sec.map_or(0.0, |pace| index / pace);
        self.first_token.saturating_add(Duration::try_from_secs_f64(share).unwrap_or(FAR)).min(FAR)
    }

    pub(crate) fn is_set(&self) -> bool {
        !self.first_token.is_zero() || self.tokens_per_sec.is_some()
    }
}

/// What the dialect needs to know of the server.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) models: &'a [String],
    /// Whether only these models exist.
    pub(crate) strict_models: bool,
    /// Seconds since 1970.
    pub(crate) now: u64,
}

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
    if context.strict_models && !context.models.iter().any(|known| known == model) {
        return Err(Problem::unknown_model(model));
    }
    Ok(())
}

fn chat(request: &Received, reply: &Reply, pace: Pace, context: &Context<'_>) -> Result<Answer, Problem> {
    let call = ChatCall::parse(&request.body)?;
    check_model(&call.model, context)?;
    let content = match &reply.content {
        Content::Text(text) => Some(text.as_str()),
        Content::Silent => None,
        _ => Some(&*call.user_text),
    };
    let (content, length) = match content {
        Some(text) => {
            let stop = call.stop.iter().filter_map(|stop| text.find(&**stop)).min();
            let text = stop.and_then(|at| text.split_at_checked(at)).map_or(text, |(text, _)| text);
            let (text, cut) = call.max_tokens.map_or((text, false), |limit| first_tokens(text, limit));
            (Some(text), cut)
        }
        None => (None, false),
    };
    let natural = match (length, reply.tool_calls.is_empty()) {
        (true, _) => "length",
        (false, true) => "stop",
        (false, false) => "tool_calls",
    };
    let completion = Completion {
        number: request.number,
        created: context.now,
        content,
        reasoning: reply.reasoning.as_deref(),
        refusal: reply.refusal.as_deref(),
        tool_calls: &reply.tool_calls,
        finish_reason: (!reply.no_end).then(|| reply.finish_reason.as_deref().unwrap_or(natural)),
        usage: &reply.usage,
    };
    if !call.stream {
        let mut out = Vec::with_capacity(512 + content.map_or(0, str::len));
        completion.plain(&call, &mut out);
        let mut answer = Answer::json(200, out);
        answer.delay = pace.due(completion.completion_tokens(&call));
        return Ok(answer);
    }
    let mut out = Vec::with_capacity(1024);
    let mut cues = Vec::new();
    if pace.is_set() {
        let (mut index, mut at_start) = (0, true);
        completion.stream(&call, &mut out, |at| {
            // The role event leaves with the first token.
            cues.push(Cue { at: if std::mem::take(&mut at_start) { 0 } else { at }, due: pace.due(index) });
            index += 1;
        });
        if cues.is_empty() {
            cues.push(Cue { at: 0, due: pace.due(0) });
        }
    } else {
        completion.stream(&call, &mut out, |_| {});
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

/// `%2F` and the like; what is not a code stays as it is.
fn percent_decoded(text: &str) -> String {
    let (mut out, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((first, after)) = rest.split_first() {
        let code = after.split_at_checked(2).filter(|_| *first == b'%');
        let code = code.and_then(|(digits, after)| {
            Some((u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?, after))
        });
        let (byte, after) = code.unwrap_or((*first, after));
        out.push(byte);
        rest = after;
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The text of a body's last user message, for the log.
pub(crate) fn last_user_text(body: &[u8]) -> Option<String> {
    ChatCall::parse(body).ok().map(|call| call.user_text.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_due_at_their_pace_and_never_out_of_reach() {
        let first_token = Duration::from_millis(300);
        let pace = Pace { first_token, tokens_per_sec: Some(20.0) };
        let due: Vec<_> = (0..3).map(|index| pace.due(index).as_millis()).collect();
        assert_eq!(due, [300, 350, 400]);
        assert_eq!(Pace { first_token, tokens_per_sec: None }.due(1_000_000), first_token);
        let slow = Pace { first_token: Duration::MAX, tokens_per_sec: Some(f64::MIN_POSITIVE) };
        assert_eq!(slow.due(u64::MAX), FAR);
        assert!(std::time::Instant::now().checked_add(FAR).is_some());
    }

    #[test]
    fn percent_codes_are_resolved_and_broken_ones_kept() {
        assert_eq!(percent_decoded("org%2Fmodel%3a1"), "org/model:1");
        assert_eq!(percent_decoded("100%, %zz%4"), "100%, %zz%4");
    }
}
