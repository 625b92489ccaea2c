//! What an answer says and when, before a dialect gives it a shape.

use std::{borrow::Cow, time::Duration};

use crate::{
    answer::Cue,
    script::{Content, Reply, ToolCall, UsageField},
    text::{first_tokens, tokens},
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

    /// Writes a stream by `write`, which tells where each event begins that carries a token, and times it.
    pub(crate) fn stream(
        &self,
        write: impl FnOnce(&mut Vec<u8>, &mut dyn FnMut(usize)),
    ) -> (Vec<u8>, Vec<Cue>) {
        let mut out = Vec::with_capacity(1024);
        let mut cues = Vec::new();
        if !self.is_set() {
            write(&mut out, &mut |_| {});
            return (out, cues);
        }
        let mut index = 0;
        write(&mut out, &mut |at| {
            // What opens the stream leaves with the first token.
            cues.push(Cue { at: if index == 0 { 0 } else { at }, due: self.due(index) });
            index += 1;
        });
        if cues.is_empty() {
            cues.push(Cue { at: 0, due: self.due(0) });
        }
        (out, cues)
    }
}

/// What a dialect needs to know of the server.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    pub(crate) models: &'a [String],
    /// Whether only these models exist.
    pub(crate) strict_models: bool,
    /// Seconds since 1970.
    pub(crate) now: u64,
}

impl Context<'_> {
    /// Whether a request may name this model.
    pub(crate) fn has(&self, model: &str) -> bool {
        !self.strict_models || self.models.iter().any(|known| known == model)
    }
}

/// What of a request decides what is said, in every dialect.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) number: u64,
    pub(crate) user_text: &'a str,
    pub(crate) prompt_tokens: u64,
    pub(crate) stop: &'a [Cow<'a, str>],
    pub(crate) max_tokens: Option<u64>,
}

/// Why an answer ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End<'a> {
    Stop,
    StopSequence(&'a str),
    Length,
    ToolCalls,
    Refusal,
    /// The script's own word.
    Scripted(&'a str),
    /// Not told, and a stream has no end mark.
    Missing,
}

/// What is said.
#[derive(Debug)]
pub(crate) struct Speech<'a> {
    pub(crate) number: u64,
    pub(crate) content: Option<&'a str>,
    pub(crate) reasoning: Option<&'a str>,
    pub(crate) redacted: Option<&'a str>,
    pub(crate) signature: Option<&'a str>,
    pub(crate) refusal: Option<&'a str>,
    pub(crate) tool_calls: &'a [ToolCall],
    pub(crate) end: End<'a>,
    pub(crate) usage: &'a UsageField,
    pub(crate) prompt_tokens: u64,
    /// Prompt tokens read from a cache, and written to one; never more than the prompt has.
    pub(crate) cached: (u64, u64),
}

impl<'a> Speech<'a> {
    pub(crate) fn new(asked: &Asked<'a>, reply: &'a Reply) -> Self {
        let content = match &reply.content {
            Content::Text(text) => Some(text.as_str()),
            Content::Silent => None,
            _ => Some(asked.user_text),
        };
        let mut natural = match (&reply.refusal, reply.tool_calls.is_empty()) {
            (Some(_), _) => End::Refusal,
            (None, true) => End::Stop,
            (None, false) => End::ToolCalls,
        };
        let content = content.map(|text| {
            let found = asked.stop.iter().filter_map(|stop| Some((text.find(&**stop)?, &**stop)));
            let stop = found.min_by_key(|(at, _)| *at);
            let kept = stop.and_then(|(at, _)| text.split_at_checked(at)).map_or(text, |(text, _)| text);
            let (kept, cut) = asked.max_tokens.map_or((kept, false), |limit| first_tokens(kept, limit));
            match stop {
                _ if cut => natural = End::Length,
                Some((_, stop)) if natural == End::Stop => natural = End::StopSequence(stop),
                _ => {}
            }
            kept
        });
        let end = match (&reply.finish_reason, reply.no_end || reply.stream_error.is_some()) {
            (_, true) => End::Missing,
            (Some(reason), false) => End::Scripted(reason),
            (None, false) => natural,
        };
        let (read, written) = reply.cached;
        let read = read.min(asked.prompt_tokens);
        Self {
            number: asked.number,
            content,
            reasoning: reply.reasoning.as_deref(),
            redacted: reply.redacted.as_deref(),
            signature: reply.signature.as_deref(),
            refusal: reply.refusal.as_deref(),
            tool_calls: &reply.tool_calls,
            end,
            usage: &reply.usage,
            prompt_tokens: asked.prompt_tokens,
            cached: (read, written.min(asked.prompt_tokens - read)),
        }
    }

    /// Tokens of the answer.
    pub(crate) fn tokens(&self) -> u64 {
        let texts = [self.content, self.reasoning, self.refusal].into_iter().flatten();
        let calls = self.tool_calls.iter().flat_map(|call| [call.name.as_str(), call.arguments.as_str()]);
        texts.chain(calls).map(tokens).sum()
    }

    /// Tokens of the reasoning alone.
    pub(crate) fn reasoning_tokens(&self) -> u64 {
        self.reasoning.map_or(0, tokens)
    }
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
    fn an_answer_ends_where_the_request_or_the_script_says() {
        let stop = [Cow::Borrowed("two"), Cow::Borrowed("three")];
        let asked = Asked {
            number: 1,
            user_text: "one two three",
            prompt_tokens: 5,
            stop: &stop,
            max_tokens: Some(2),
        };
        let said = |reply: &Reply| {
            let said = Speech::new(&asked, reply);
            format!("{:?} {:?} {:?}", said.content, said.end, said.cached)
        };
        assert_eq!(said(&Reply::echo()), r#"Some("one ") StopSequence("two") (0, 0)"#);
        assert_eq!(said(&Reply::text("a b c").cached(3, 9)), r#"Some("a b") Length (3, 2)"#);
        assert_eq!(said(&Reply::refusal("no")), "None Refusal (0, 0)");
        assert_eq!(said(&Reply::text("a").finish_reason("x")), r#"Some("a") Scripted("x") (0, 0)"#);
        assert_eq!(said(&Reply::text("a").no_end()), r#"Some("a") Missing (0, 0)"#);
    }
}
