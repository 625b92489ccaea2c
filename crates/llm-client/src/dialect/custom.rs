//! The seam for a wire format of a user's own: the functions of a format as a trait, behind a name.
//!
//! The formats of this crate do not go through it: they stay plain functions, picked by a `match`.

use std::fmt;
use std::hash::{Hash, Hasher};

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use llm_types::{
    ChatRequest, ChatResponse, EmbeddingRequest, EmbeddingResponse, Error, ErrorKind, ModelInfo, Secret,
    StreamEvent, TokenCount,
};
use serde::Serialize;

use super::encoded::{head, put_key};
use super::{Encoded, Hints, Quirks, WireTarget, events_of, no_count, no_embeddings, openai_chat};
use crate::framing::SseFrame;

/// A wire format of your own: bytes in, values out; no clock, no socket.
///
/// Three methods have no body. The others do what most servers want: the key as a bearer token or in the header that the
/// quirks name, errors and model lists in the shapes that compatible servers give them, no embeddings. Hang it on a name
/// with [`CustomDialect::new`]; from there on it is a [`Dialect`](super::Dialect) like ours.
///
/// A method must not panic, whatever the bytes are, and must not block: it runs between two reads of a socket. What was
/// asked for and cannot be said belongs into [`Encoded::warnings`], or is an error under [`ChatRequest::strict`].
pub trait Codec: fmt::Debug + Send + Sync + 'static {
    /// The path of a base URL, from the path a user wrote. Default: as it is.
    fn base_path<'a>(&self, given: &'a str) -> &'a str {
        given
    }

    /// Puts the key into the headers, marked as sensitive so that no log shows it. Default: where the quirks say, which is
    /// `Authorization: Bearer …` unless they say otherwise.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when the key cannot stand in a header.
    fn authorise(&self, key: &Secret, quirks: &Quirks, headers: &mut HeaderMap) -> Result<(), Error> {
        put_key(key, quirks, headers)
    }

    /// Writes a request: see [`Encoded::json`]. All attempts at one endpoint send the same bytes.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] for what the format cannot hold.
    fn encode_chat(
        &self,
        request: &ChatRequest,
        target: &WireTarget<'_>,
        stream: bool,
    ) -> Result<Encoded, Error>;

    /// Reads the body of a successful answer to a plain call.
    ///
    /// # Errors
    /// The server's own error where the body holds one; [`ErrorKind::Protocol`] where it holds no answer.
    fn decode_chat(&self, body: &[u8], target: &WireTarget<'_>) -> Result<ChatResponse, Error>;

    /// Reads a JSON body that came in one piece though a stream was asked for. Default: the events of the whole answer.
    ///
    /// # Errors
    /// As [`decode_chat`](Self::decode_chat).
    fn decode_unstreamed(
        &self,
        body: &[u8],
        target: &WireTarget<'_>,
        out: &mut Vec<StreamEvent>,
    ) -> Result<(), Error> {
        out.extend(events_of(self.decode_chat(body, target)?));
        Ok(())
    }

    /// Begins to read a stream of server-sent events.
    fn stream(&self, target: &WireTarget<'_>) -> Box<dyn CodecStream>;

    /// The error of an answer whose status is none of success. Its kind decides what follows (retry, another key, another
    /// endpoint). Default: from the status, and from the codes and words in the places where compatible servers put them.
    fn classify(
        &self,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
        target: &WireTarget<'_>,
        hints: Hints,
    ) -> Error {
        super::Dialect::OpenAiChat.classify(status, headers, body, target, hints)
    }

    /// Asks for the list of models, which is also how health is probed. Default: `GET /models`.
    fn encode_models(&self, target: &WireTarget<'_>) -> Encoded {
        openai_chat::encode_models(target)
    }

    /// Reads the list of models, in the server's order. Default: `{"data": [{"id": …}]}` and its relatives.
    ///
    /// # Errors
    /// The server's own error, or [`ErrorKind::Protocol`] for a body that is no list.
    fn decode_models(&self, body: &[u8], target: &WireTarget<'_>) -> Result<Vec<ModelInfo>, Error> {
        openai_chat::decode_models(body, target).map(|page| page.models)
    }

    /// Whether the format can count a request's tokens without answering it. Default: no.
    fn counts_tokens(&self) -> bool {
        false
    }

    /// Asks how many tokens a request is. Default: an error, since the format does not count.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`].
    fn encode_count(&self, request: &ChatRequest, target: &WireTarget<'_>) -> Result<Encoded, Error> {
        let _ = (request, target);
        Err(no_count(ErrorKind::InvalidRequest))
    }

    /// Reads the count. Default: an error.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`] where the body holds no number.
    fn decode_count(&self, body: &[u8], target: &WireTarget<'_>) -> Result<TokenCount, Error> {
        let _ = (body, target);
        Err(no_count(ErrorKind::Protocol))
    }

    /// Asks for embeddings. Default: an error, since the format has none.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`].
    fn encode_embeddings(
        &self,
        request: &EmbeddingRequest,
        target: &WireTarget<'_>,
    ) -> Result<Encoded, Error> {
        let _ = (request, target);
        Err(no_embeddings(ErrorKind::InvalidRequest))
    }

    /// Reads the embeddings of `count` texts, into the order of the texts. Default: an error.
    ///
    /// # Errors
    /// [`ErrorKind::Protocol`] when there is not one vector for each text.
    fn decode_embeddings(
        &self,
        body: &[u8],
        count: usize,
        target: &WireTarget<'_>,
    ) -> Result<EmbeddingResponse, Error> {
        let _ = (body, count, target);
        Err(no_embeddings(ErrorKind::Protocol))
    }
}

/// What a [`Codec`] remembers between the frames of one streamed answer.
pub trait CodecStream: fmt::Debug + Send + Sync {
    /// Takes one frame and adds its events to `out`, in the grammar of [`StreamEvent`].
    ///
    /// # Errors
    /// The server's own error where the frame holds one; [`ErrorKind::Protocol`] for a frame that cannot be read. Events
    /// that are in `out` by then are true and come before the error. Nothing follows.
    fn step(&mut self, frame: SseFrame<'_>, out: &mut Vec<StreamEvent>) -> Result<(), Error>;

    /// Whether the format's end marker came: the rest of the body means nothing, and the connection may be used again.
    fn is_done(&self) -> bool;

    /// Ends the stream, after the end marker or a clean end of the body. Adds [`StreamEvent::End`] when the answer is
    /// whole: a finish reason or the end marker was seen.
    ///
    /// # Errors
    /// [`ErrorKind::Truncated`] when the answer is not whole; before any content that is told as a broken connection, and
    /// the call may be tried again.
    fn finish(self: Box<Self>, out: &mut Vec<StreamEvent>) -> Result<(), Error>;
}

/// A [`Codec`] and its name. Two of the same name count as the same format.
#[derive(Clone, Copy)]
pub struct CustomDialect {
    name: &'static str,
    codec: &'static dyn Codec,
}

impl CustomDialect {
    /// Names a codec. It lives as long as the process, so that a static row of a catalogue can hold it; `examples/outside`
    /// has one whole.
    #[must_use]
    pub const fn new(name: &'static str, codec: &'static dyn Codec) -> Self {
        Self { name, codec }
    }

    /// Its name in logs and errors.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.name
    }

    pub(super) const fn codec(self) -> &'static dyn Codec {
        self.codec
    }

    pub(super) fn begin(self, target: &WireTarget<'_>) -> CustomStream {
        CustomStream { name: self.name, state: self.codec.stream(target) }
    }
}

impl PartialEq for CustomDialect {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for CustomDialect {}

impl Hash for CustomDialect {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
    }
}

impl fmt::Debug for CustomDialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CustomDialect").field(&self.name).finish()
    }
}

/// The open stream of a user's own format.
#[derive(Debug)]
pub(super) struct CustomStream {
    name: &'static str,
    state: Box<dyn CodecStream>,
}

impl CustomStream {
    pub(super) fn step(&mut self, frame: SseFrame<'_>, out: &mut Vec<StreamEvent>) -> Result<(), Error> {
        self.state.step(frame, out)
    }

    pub(super) fn is_done(&self) -> bool {
        self.state.is_done()
    }

    /// A format that forgets to say whether the answer is whole does not make a cut answer a whole one.
    pub(super) fn finish(self, out: &mut Vec<StreamEvent>) -> Result<(), Error> {
        self.state.finish(out)?;
        if matches!(out.last(), Some(StreamEvent::End)) {
            return Ok(());
        }
        let message = format!("the wire format `{}` ended a stream without its end", self.name);
        Err(Error::new(ErrorKind::Truncated, message))
    }
}

impl Encoded {
    /// A JSON body posted to a path under the base URL; `path` begins with a slash. With `stream`, server-sent events are
    /// asked for. Headers, query and warnings can be added to what it gives.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] when the body cannot be written as JSON.
    pub fn json(path: impl Into<String>, body: &impl Serialize, stream: bool) -> Result<Self, Error> {
        let body = serde_json::to_vec(body).map_err(|e| {
            Error::new(ErrorKind::InvalidRequest, "the request cannot be written as JSON").with_source(e)
        })?;
        let mut headers = head(stream);
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(Self {
            method: Method::POST,
            path: path.into(),
            query: None,
            headers,
            body: Bytes::from(body),
            warnings: Vec::new(),
        })
    }
}

#[cfg(test)]
mod tests {
    use http::header::ACCEPT;
    use llm_types::{Choice, FinishReason, Message};

    use super::*;
    use crate::dialect::Dialect;

    /// Bodies are the text of the answer; a stream is whole after `over`, and forgets its end after `forget`.
    #[derive(Debug)]
    struct Plain;

    #[derive(Debug, Default)]
    struct PlainStream {
        last: String,
    }

    impl Codec for Plain {
        fn encode_chat(
            &self,
            request: &ChatRequest,
            target: &WireTarget<'_>,
            stream: bool,
        ) -> Result<Encoded, Error> {
            let prompt = request.messages.last().map(Message::text).unwrap_or_default();
            Encoded::json("/say", &[target.model, &prompt], stream)
        }

        fn decode_chat(&self, body: &[u8], _: &WireTarget<'_>) -> Result<ChatResponse, Error> {
            let mut choice = Choice::new(0);
            choice.message = Message::assistant(String::from_utf8_lossy(body));
            choice.finish_reason = Some(FinishReason::Stop);
            Ok(ChatResponse { choices: vec![choice], ..ChatResponse::default() })
        }

        fn stream(&self, _: &WireTarget<'_>) -> Box<dyn CodecStream> {
            Box::new(PlainStream::default())
        }
    }

    impl CodecStream for PlainStream {
        fn step(&mut self, frame: SseFrame<'_>, out: &mut Vec<StreamEvent>) -> Result<(), Error> {
            frame.data.clone_into(&mut self.last);
            out.push(StreamEvent::Text { choice: 0, text: self.last.clone() });
            Ok(())
        }

        fn is_done(&self) -> bool {
            self.last == "over"
        }

        fn finish(self: Box<Self>, out: &mut Vec<StreamEvent>) -> Result<(), Error> {
            match self.last.as_str() {
                "over" => out.push(StreamEvent::End),
                "forget" => {}
                _ => return Err(Error::new(ErrorKind::Truncated, "cut")),
            }
            Ok(())
        }
    }

    static PLAIN: Dialect = Dialect::Custom(CustomDialect::new("plain", &Plain));
    const TARGET: WireTarget<'static> = WireTarget { model: "m", quirks: &Quirks::COMPATIBLE, origin: None };

    #[test]
    fn a_format_of_ones_own_is_known_by_its_name() {
        assert_eq!(PLAIN.as_str(), "plain");
        assert_eq!(PLAIN, Dialect::Custom(CustomDialect::new("plain", &Plain)));
        assert_ne!(PLAIN, Dialect::Custom(CustomDialect::new("other", &Plain)));
        assert_ne!(PLAIN, Dialect::OpenAiChat);
        assert_eq!(format!("{PLAIN:?}"), "Custom(CustomDialect(\"plain\"))");
        // A file names formats of ours only.
        assert_eq!(Dialect::parse("plain"), None);
        assert!(!Dialect::ALL.contains(&PLAIN));
    }

    #[test]
    fn three_methods_are_enough() {
        for (stream, accept) in [(false, "application/json"), (true, "text/event-stream")] {
            let sent = PLAIN.encode_chat(&ChatRequest::user("hi"), &TARGET, stream).unwrap();
            assert_eq!((sent.path.as_str(), sent.body.as_ref()), ("/say", &br#"["m","hi"]"#[..]));
            assert_eq!(sent.method, Method::POST);
            assert_eq!(sent.headers.get(ACCEPT).unwrap(), accept);
        }
        assert_eq!(PLAIN.decode_chat(b"hi", &TARGET).unwrap().text(), "hi");
        let mut events = Vec::new();
        PLAIN.decode_unstreamed(b"hi", &TARGET, &mut events).unwrap();
        assert!(
            matches!(events.last(), Some(StreamEvent::End)) && events.iter().any(StreamEvent::is_content)
        );
        for given in ["", "/v9"] {
            assert_eq!(PLAIN.base_path(given, &Quirks::COMPATIBLE), given);
        }
        let mut headers = HeaderMap::new();
        PLAIN.authorise(&Secret::new("sk-1"), &Quirks::COMPATIBLE, &mut headers).unwrap();
        assert_eq!(headers.get("authorization").unwrap(), "Bearer sk-1");
        let busy = br#"{"error": {"message": "come back"}}"#;
        let error = PLAIN.classify(StatusCode::TOO_MANY_REQUESTS, &headers, busy, &TARGET, Hints::default());
        assert_eq!((error.kind(), error.message()), (ErrorKind::RateLimited, "come back"));
        assert_eq!(PLAIN.encode_models(None, &TARGET).path, "/models");
        assert_eq!(PLAIN.decode_models(br#"{"data": [{"id": "m"}]}"#, &TARGET).unwrap().models.len(), 1);
        assert!(PLAIN.encode_embeddings(&EmbeddingRequest::default(), &TARGET).is_err());
        assert!(PLAIN.decode_embeddings(b"[]", 1, &TARGET).is_err());
    }

    #[test]
    fn a_stream_that_forgets_its_end_is_no_whole_answer() {
        for (last, kind) in
            [("over", None), ("forget", Some(ErrorKind::Truncated)), ("more", Some(ErrorKind::Truncated))]
        {
            let (mut stream, mut out) = (PLAIN.stream(&TARGET), Vec::new());
            stream.step(SseFrame::message("one"), &mut out).unwrap();
            stream.step(SseFrame::message(last), &mut out).unwrap();
            assert_eq!(stream.is_done(), last == "over");
            assert_eq!(stream.finish(&mut out).err().map(|error| error.kind()), kind, "{last}");
            assert_eq!(matches!(out.last(), Some(StreamEvent::End)), kind.is_none());
        }
    }
}
