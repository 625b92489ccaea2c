//! Which answer a request gets.

use std::{
    sync::{Arc, atomic::Ordering::SeqCst},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use http::Method;

use crate::{
    answer::{Answer, Cue},
    dialect::Dialect,
    fault::Framing,
    gemini,
    limits::Refused,
    log::{Exchange, Received, Request},
    script::{Content, Reply},
    shared::{Queue, Shared, lock},
    speech::{Context, Pace},
};

impl Shared {
    /// Refusals first, then queued replies, the responder, the script and the echo.
    pub(crate) fn answer(&self, exchange: &Exchange) -> Answer {
        let request = &exchange.request;
        let post = request.method == Method::POST;
        let dialect = Dialect::of(request);
        self.note(dialect, request);
        if dialect == Dialect::Gemini && gemini::key_in_url(request) {
            return self.signed(exchange, dialect.refuse(request, Refused::KeyInUrl));
        }
        let mut desk = lock(&self.desk);
        if let Err(refused) = desk.gate.check(post, request.key(), exchange.in_flight, request.arrived) {
            let late = if refused == Refused::Failure { self.delay(&mut desk.gate) } else { Duration::ZERO };
            drop(desk);
            return self.signed(exchange, Answer { delay: late, ..dialect.refuse(request, refused) });
        }
        let here = if desk.by_path.is_empty() { None } else { desk.by_path.get_mut(request.path()) };
        let mut reply = here.and_then(Queue::take).or_else(|| desk.queue.take());
        if let (None, Some(responder)) = (&reply, &self.config.responder) {
            // The responder is the user's: it runs without the lock, which it may want itself.
            drop(desk);
            reply = responder(&Request(Arc::clone(request))).map(Arc::new);
            desk = lock(&self.desk);
        }
        let reply = reply.or_else(|| if post { desk.script.next() } else { None });
        let delay =
            reply.as_ref().and_then(|reply| reply.delay).unwrap_or_else(|| self.delay(&mut desk.gate));
        drop(desk);
        let answer = match &reply {
            Some(reply) => self.say(exchange, reply),
            None => self.generated(exchange, &Reply::echo()),
        };
        let delay = answer.delay.saturating_add(delay);
        self.signed(exchange, Answer { delay, ..answer })
    }

    fn note(&self, dialect: Dialect, request: &Received) {
        if !self.config.log && self.log_file.is_none() {
            return;
        }
        let notes = dialect.notes(request);
        self.counters.notes.fetch_add(notes.len().try_into().unwrap_or(u64::MAX), SeqCst);
        let _ = request.notes.set(notes);
    }

    fn delay(&self, gate: &mut crate::limits::Gate) -> Duration {
        let (least, most) = self.config.delay;
        gate.between(least, most)
    }

    fn pace(&self, reply: &Reply) -> Pace {
        let pace = reply.tokens_per_sec.or(self.config.tokens_per_sec);
        Pace {
            first_token: reply.first_token.unwrap_or(self.config.first_token),
            tokens_per_sec: pace.filter(|pace| *pace > 0.0),
        }
    }

    fn generated(&self, exchange: &Exchange, reply: &Reply) -> Answer {
        let context = Context {
            models: &self.config.models,
            strict_models: self.config.strict_models,
            now: SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs(),
        };
        let request = &exchange.request;
        Dialect::of(request).answer(request, reply, self.pace(reply), &context)
    }

    /// A scripted reply, its contents and all that goes wrong with it.
    fn say(&self, exchange: &Exchange, reply: &Reply) -> Answer {
        let mut answer = match &reply.content {
            Content::Echo | Content::Text(_) | Content::Silent => self.generated(exchange, reply),
            Content::Body(body) => {
                let answer = Answer::json(reply.status, body.clone());
                Answer { delay: self.pace(reply).first_token, ..answer }
            }
            Content::Sse(body) => {
                let answer = Answer { status: reply.status, ..Answer::event_stream(body.clone()) };
                Answer { cues: event_cues(body, self.pace(reply)), ..answer }
            }
            Content::Raw(bytes) => Answer {
                raw: true,
                close: true,
                framing: Framing::Close,
                delay: self.pace(reply).first_token,
                ..Answer::json(reply.status, bytes.clone())
            },
        };
        // A script's header replaces the one the answer would have had.
        answer
            .headers
            .retain(|(name, _)| !reply.headers.iter().any(|(given, _)| given.eq_ignore_ascii_case(name)));
        answer.headers.extend_from_slice(&reply.headers);
        answer.ending = reply.ending;
        answer.framing = reply.framing.unwrap_or(answer.framing);
        answer.close |= reply.close;
        answer.fault.clone_from(&reply.fault);
        answer
    }

    /// Gives every answer an id to ask about, unless it has one.
    fn signed(&self, exchange: &Exchange, mut answer: Answer) -> Answer {
        let name = Dialect::of(&exchange.request).request_id_header();
        if let Some(name) = name.filter(|name| !answer.raw && !answer.has_header(name)) {
            answer.request_id = Some((name, exchange.request.number));
        }
        answer
    }
}

/// When each event of a verbatim stream is due.
fn event_cues(body: &[u8], pace: Pace) -> Vec<Cue> {
    if !pace.is_set() {
        return Vec::new();
    }
    // An event ends at an empty line.
    let mut starts = vec![0];
    let mut line = 0;
    for (at, byte) in body.iter().enumerate() {
        if *byte != b'\n' {
            continue;
        }
        let empty = matches!(body.get(line..at), Some(b"" | b"\r"));
        line = at + 1;
        if empty && line < body.len() {
            starts.push(line);
        }
    }
    (0_u64..).zip(starts).map(|(index, at)| Cue { at, due: pace.due(index) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verbatim_stream_is_paced_by_its_events() {
        let pace = Pace { first_token: Duration::from_millis(5), tokens_per_sec: Some(100.0) };
        let cues = event_cues(b"data: a\n\n: ping\r\n\r\ndata: b\ndata: c\n\n", pace);
        let cues: Vec<_> = cues.iter().map(|cue| (cue.at, cue.due.as_millis())).collect();
        assert_eq!(cues, [(0, 5), (9, 15), (19, 25)]);
        assert!(event_cues(b"data: a\n\n", Pace::default()).is_empty());
    }
}
