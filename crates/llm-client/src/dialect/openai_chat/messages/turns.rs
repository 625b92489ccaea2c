//! Conversations for servers that want user and assistant in turn.

use llm_types::{Error, ErrorKind};

use super::{Content, Sent, SentPart, Thoughts};

/// Makes one message of those that one side says in a row.
///
/// # Errors
/// [`ErrorKind::InvalidRequest`] when the last word is the assistant's: the server would refuse it.
pub(super) fn alternate(sent: Vec<Sent<'_>>) -> Result<Vec<Sent<'_>>, Error> {
    if sent.last().is_some_and(|last| last.role == "assistant") {
        let message = "messages: the last one has to be the user's or a tool's here";
        return Err(Error::new(ErrorKind::InvalidRequest, message));
    }
    let mut turns: Vec<Sent<'_>> = Vec::with_capacity(sent.len());
    for message in sent {
        match turns.last_mut() {
            Some(before) if can_join(before, &message) => join(before, message),
            _ => turns.push(message),
        }
    }
    Ok(turns)
}

/// Calls keep their message, since their results follow it; so does what was said by somebody else by name.
fn can_join(before: &Sent<'_>, next: &Sent<'_>) -> bool {
    matches!(next.role, "user" | "assistant")
        && before.role == next.role
        && before.name == next.name
        && before.calls.is_empty()
        && before.extra.is_none()
        && next.extra.is_none()
}

fn join<'a>(before: &mut Sent<'a>, next: Sent<'a>) {
    let first = std::mem::replace(&mut before.content, Content::Null);
    before.content = match (text(&first), text(&next.content)) {
        (Some(""), Some(_)) => next.content,
        (Some(_), Some("")) => first,
        // A plain text stays one: not every model behind such a server takes parts.
        (Some(one), Some(other)) => Content::Joined(format!("{one}\n\n{other}")),
        _ => Content::Parts(parts(first).into_iter().chain(parts(next.content)).collect()),
    };
    if matches!(before.thoughts, Thoughts::None) {
        before.thoughts = next.thoughts;
    }
    before.calls = next.calls;
}

fn text<'c>(content: &'c Content<'_>) -> Option<&'c str> {
    match content {
        Content::Null => Some(""),
        Content::Text(text) => Some(text),
        Content::Joined(text) => Some(text),
        Content::Parts(_) => None,
    }
}

fn parts(content: Content<'_>) -> Vec<SentPart<'_>> {
    match content {
        Content::Null | Content::Text("") => Vec::new(),
        Content::Text(text) => vec![SentPart::Text(text, None)],
        Content::Joined(text) => vec![SentPart::Joined(text)],
        Content::Parts(parts) => parts,
    }
}
