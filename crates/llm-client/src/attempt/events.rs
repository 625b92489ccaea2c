//! The events of an open stream: bytes from the body, frames from the bytes, events from the frames.

use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, header};
use llm_types::{Error, ErrorKind, Secret, StreamEvent, Warning};

use super::{Site, html, is_html, wire_log};
use crate::dialect::{StreamState, with_partial};
use crate::framing::{Decoder, SseDecoder};
use crate::transport::Body;

/// An answer that is still being written.
#[derive(Debug)]
pub(crate) struct Events {
    /// Gone when the stream has ended.
    body: Option<Body>,
    decoder: Decoder,
    /// Taken by the end.
    state: Option<StreamState>,
    /// What came and was not read yet, from `used` on. It is read event by event, as they are asked for.
    chunk: Bytes,
    used: usize,
    /// Events, given out up to `given`.
    ready: Vec<StreamEvent>,
    given: usize,
    /// Told after the events before it.
    failure: Option<Error>,
    /// What the log must not show, where it shows bodies.
    key: Option<Secret>,
}

impl Events {
    /// Reads until the first content event, so that what fails before it can be tried again.
    pub(super) async fn open(
        site: &Site,
        headers: &HeaderMap,
        mut body: Body,
        warnings: &[Warning],
        key: Option<&Secret>,
    ) -> Result<Self, Error> {
        let json = is_json(headers);
        let Some(decoder) = site.dialect.framing(json, site.max_event) else {
            let bytes = body.read_to_end(site.max_response).await?;
            wire_log::received(&bytes, key);
            return Self::whole(site, &bytes, warnings);
        };
        if is_html(headers, &[]) {
            return Err(html());
        }
        body.without_limit();
        let mut events = Self {
            body: Some(body),
            decoder,
            state: Some(site.dialect.stream(&site.target())),
            chunk: Bytes::new(),
            used: 0,
            ready: warnings.iter().cloned().map(StreamEvent::Warning).collect(),
            given: 0,
            failure: None,
            key: key.filter(|_| wire_log::logs_bodies()).cloned(),
        };
        let mut begun = false;
        loop {
            if events.ready.iter().any(StreamEvent::is_content) {
                return Ok(events);
            }
            if let Some(failure) = events.failure.take() {
                // No word of the answer, but perhaps what its prompt costs.
                return Err(with_partial(before_content(failure), std::mem::take(&mut events.ready)));
            }
            if events.used < events.chunk.len() {
                events.read_on();
                continue;
            }
            let Some(body) = &mut events.body else {
                // A dialect's `finish` ends in `End` or an error.
                return Err(Error::new(ErrorKind::Internal, "a stream ended without saying so"));
            };
            let chunk = body.next_chunk().await;
            let begins = !std::mem::replace(&mut begun, true);
            if begins
                && chunk.as_ref().is_some_and(|c| c.as_ref().is_ok_and(|c| is_html(&HeaderMap::new(), c)))
            {
                return Err(html());
            }
            events.take(chunk);
        }
    }

    /// A server that answers a streaming request with a whole answer, or with an error.
    fn whole(site: &Site, bytes: &Bytes, warnings: &[Warning]) -> Result<Self, Error> {
        let mut ready = Vec::new();
        let failure = match site.dialect.decode_unstreamed(bytes, &site.target(), &mut ready) {
            // What came before a failure is paid for.
            Err(error) if ready.iter().any(StreamEvent::is_content) => Some(error),
            Err(error) => return Err(with_partial(error, ready)),
            Ok(()) => None,
        };
        insert_warnings(&mut ready, warnings);
        Ok(Self {
            body: None,
            decoder: Decoder::Events(SseDecoder::new(site.max_event)),
            state: None,
            chunk: Bytes::new(),
            used: 0,
            ready,
            given: 0,
            failure,
            key: None,
        })
    }

    /// The next event; after an error or the end, nothing.
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<StreamEvent, Error>>> {
        loop {
            if let Some(event) = self.ready.get_mut(self.given) {
                self.given += 1;
                return Poll::Ready(Some(Ok(std::mem::replace(event, StreamEvent::End))));
            }
            self.ready.clear();
            self.given = 0;
            if let Some(failure) = self.failure.take() {
                return Poll::Ready(Some(Err(after_content(failure))));
            }
            if self.used < self.chunk.len() {
                self.read_on();
                continue;
            }
            let Some(body) = &mut self.body else { return Poll::Ready(None) };
            match body.poll_chunk(cx) {
                Poll::Ready(chunk) => self.take(chunk),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Lets the connection go; nothing more comes.
    pub(crate) fn close(&mut self) {
        self.body = None;
        self.forget_chunk();
    }

    fn forget_chunk(&mut self) {
        self.chunk = Bytes::new();
        self.used = 0;
    }

    /// Takes what the body gave. Nothing is left of the chunk before.
    fn take(&mut self, chunk: Option<Result<Bytes, Error>>) {
        match chunk {
            Some(Ok(chunk)) => {
                wire_log::received(&chunk, self.key.as_ref());
                (self.chunk, self.used) = (chunk, 0);
                self.read_on();
            }
            Some(Err(error)) => self.fail(error),
            None => self.end().unwrap_or_else(|error| self.fail(error)),
        }
    }

    fn fail(&mut self, error: Error) {
        self.close();
        self.failure = Some(error);
    }

    /// Goes on in the chunk until there are events, or to its end.
    fn read_on(&mut self) {
        if let Err(error) = self.feed() {
            self.fail(error);
        }
    }

    fn feed(&mut self) -> Result<(), Error> {
        let Some(state) = &mut self.state else {
            self.forget_chunk();
            return Ok(());
        };
        let before = self.ready.len();
        let mut frames = self.decoder.feed(self.chunk.get(self.used..).unwrap_or_default());
        while let Some(frame) = frames.next()? {
            state.step(frame, &mut self.ready)?;
            if state.is_done() {
                // The end marker: the rest of the body is read aside, so that the connection can be used again.
                self.forget_chunk();
                if let Some(body) = self.body.take() {
                    body.finish();
                }
                return self.finish();
            }
            if self.ready.len() > before {
                self.used = self.used.saturating_add(frames.used());
                return Ok(());
            }
        }
        self.forget_chunk();
        Ok(())
    }

    fn end(&mut self) -> Result<(), Error> {
        self.body = None;
        if let (Some(state), Some(frame)) = (&mut self.state, self.decoder.finish()?) {
            state.step(frame, &mut self.ready)?;
        }
        self.finish()
    }

    fn finish(&mut self) -> Result<(), Error> {
        match self.state.take() {
            Some(state) => state.finish(&mut self.ready),
            None => Ok(()),
        }
    }
}

/// What could not be asked for stands right behind the start.
fn insert_warnings(events: &mut Vec<StreamEvent>, warnings: &[Warning]) {
    let at = usize::from(matches!(events.first(), Some(StreamEvent::Start { .. })));
    events.splice(at..at, warnings.iter().cloned().map(StreamEvent::Warning));
}

/// A stream that broke before any content is a broken connection, and may be tried again.
fn before_content(error: Error) -> Error {
    if error.kind() != ErrorKind::Truncated {
        return error;
    }
    let message = format!("{} before any content came", error.message().trim_end_matches('.'));
    error.with_kind(ErrorKind::Connection).with_message(message)
}

/// A connection that breaks after content has cut the answer short: it is never made again.
fn after_content(error: Error) -> Error {
    if error.kind() != ErrorKind::Connection {
        return error;
    }
    let message = format!("the answer was cut short: {}", error.message());
    Error::new(ErrorKind::Truncated, message).with_source(error)
}

fn is_json(headers: &HeaderMap) -> bool {
    let told = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    told.is_some_and(|kind| kind.trim_start().to_ascii_lowercase().starts_with("application/json"))
}
