//! What the mock says: one reply, and a list of them.

use std::{path::Path, sync::Arc, time::Duration};

use bytes::Bytes;

use crate::{
    MockError,
    fault::{Fault, Framing},
    script_file,
};

/// One scripted reply: what is answered, when, and how it goes wrong.
///
/// ```
/// use std::time::Duration;
/// use llm_mock::Reply;
/// let slow = Reply::text("Hello!").delay(Duration::from_millis(20));
/// let cut = Reply::echo().cut_at(100);
/// let busy = Reply::error(503).header("retry-after", "1");
/// ```
#[derive(Clone, Debug)]
pub struct Reply {
    pub(crate) status: u16,
    pub(crate) content: Content,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) tool_calls: Vec<ToolCall>,
    pub(crate) reasoning: Option<String>,
    pub(crate) redacted: Option<String>,
    pub(crate) signature: Option<String>,
    pub(crate) cached: (u64, u64),
    pub(crate) refusal: Option<String>,
    pub(crate) finish_reason: Option<String>,
    pub(crate) usage: UsageField,
    pub(crate) delay: Option<Duration>,
    pub(crate) first_token: Option<Duration>,
    pub(crate) tokens_per_sec: Option<f64>,
    pub(crate) ending: Ending,
    pub(crate) no_end: bool,
    pub(crate) stream_error: Option<u16>,
    pub(crate) framing: Option<Framing>,
    pub(crate) close: bool,
    pub(crate) fault: Option<Fault>,
    pub(crate) times: u64,
}

/// Where the words of a reply come from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// What the endpoint says without a script: the last user message, or vectors.
    Echo,
    /// An assistant's text, put into the dialect's shape, plain or streamed as the request asks.
    Text(String),
    /// No text (tool calls or a refusal only).
    Silent,
    /// The body as it is, whatever the request asks.
    Body(Bytes),
    /// The body as it is, sent as an event stream.
    Sse(Bytes),
    /// The whole response as it is, head included; the connection closes after it.
    Raw(Bytes),
}

/// How a body ends; offsets count the body's own bytes, not those of chunked framing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    Whole,
    Cut(usize),
    Stall(usize),
    Reset(usize),
}

/// The usage a generated answer reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UsageField {
    /// Counted: see the crate's front page.
    Counted,
    /// No `usage` at all, even where the request asked for it.
    Absent,
    /// This JSON, as written.
    Json(String),
}

/// A tool call in a scripted answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolCall {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) arguments: String,
}

impl ToolCall {
    /// A call of `name`; `arguments` is sent as it stands, so it may be broken JSON.
    pub fn new(id: impl Into<String>, name: impl Into<String>, arguments: impl Into<String>) -> Self {
        Self { id: id.into(), name: name.into(), arguments: arguments.into() }
    }
}

impl Reply {
    fn of(status: u16, content: Content) -> Self {
        Self {
            status,
            content,
            headers: Vec::new(),
            tool_calls: Vec::new(),
            reasoning: None,
            redacted: None,
            signature: None,
            cached: (0, 0),
            refusal: None,
            finish_reason: None,
            usage: UsageField::Counted,
            delay: None,
            first_token: None,
            tokens_per_sec: None,
            ending: Ending::Whole,
            no_end: false,
            stream_error: None,
            framing: None,
            close: false,
            fault: None,
            times: 1,
        }
    }

    /// What the endpoint answers without a script: the last user message's text word for word, vectors, the models.
    #[must_use]
    pub fn echo() -> Self {
        Self::of(200, Content::Echo)
    }

    /// An assistant's answer, plain or streamed as the request asks.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::of(200, Content::Text(text.into()))
    }

    /// An answer that only calls tools; [`Reply::say`] adds a text.
    #[must_use]
    pub fn tool_calls(calls: impl IntoIterator<Item = ToolCall>) -> Self {
        Self { tool_calls: calls.into_iter().collect(), ..Self::of(200, Content::Silent) }
    }

    /// An answer that refuses: `refusal` instead of content.
    #[must_use]
    pub fn refusal(refusal: impl Into<String>) -> Self {
        Self { refusal: Some(refusal.into()), ..Self::of(200, Content::Silent) }
    }

    /// This body, verbatim, whatever the request asks; `application/json` unless a header says otherwise.
    #[must_use]
    pub fn body(status: u16, body: impl Into<Bytes>) -> Self {
        Self::of(status, Content::Body(body.into()))
    }

    /// The dialect's error body for this status.
    #[must_use]
    pub fn error(status: u16) -> Self {
        Self::of(status, Content::Echo)
    }

    /// This body, verbatim, as an event stream.
    #[must_use]
    pub fn sse(body: impl Into<Bytes>) -> Self {
        Self::of(200, Content::Sse(body.into()))
    }

    /// These bytes instead of a response, head included; then the connection closes. HTTP/1.1 only.
    #[must_use]
    pub fn raw(response: impl Into<Bytes>) -> Self {
        Self::of(200, Content::Raw(response.into()))
    }

    /// A redirect without a body, for example `Reply::redirect(302, "http://127.0.0.1:1/v1/chat/completions")`.
    #[must_use]
    pub fn redirect(status: u16, location: impl Into<String>) -> Self {
        Self::body(status, Bytes::new()).header("location", location)
    }

    /// An HTML page, as a proxy in front of the server would send with a 502.
    #[must_use]
    pub fn html(status: u16) -> Self {
        let page = format!(
            "<html>\r\n<head><title>{status}</title></head>\r\n<body>\r\n<center><h1>{status}</h1></center>\r\n\
             <hr><center>proxy</center>\r\n</body>\r\n</html>\r\n"
        );
        Self::body(status, page).header("content-type", "text/html")
    }

    /// A body that is already compressed, sent verbatim with this `content-encoding`.
    #[must_use]
    pub fn encoded(coding: impl Into<String>, body: impl Into<Bytes>) -> Self {
        Self::body(200, body).header("content-encoding", coding)
    }

    /// The status, for contents that did not name one. From 400 up, a text becomes the message of an error body.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// Makes `text` the content, beside tool calls or reasoning.
    #[must_use]
    pub fn say(mut self, text: impl Into<String>) -> Self {
        self.content = Content::Text(text.into());
        self
    }

    /// Adds a header; one of the mock's own with the same name is left out.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Reasoning before the content: `reasoning_content`, a signed `thinking` block, a `thought` part. Given whether
    /// the request asks for it or not; withheld, with its signature left, where the request says so in as many words
    /// (`"display":"omitted"`, `"includeThoughts":false`).
    #[must_use]
    pub fn reasoning(mut self, reasoning: impl Into<String>) -> Self {
        self.reasoning = Some(reasoning.into());
        self
    }

    /// A `redacted_thinking` block with this data, before the content. Anthropic only; the others have no such thing.
    #[must_use]
    pub fn redacted_reasoning(mut self, data: impl Into<String>) -> Self {
        self.redacted = Some(data.into());
        self
    }

    /// The signature of the reasoning, instead of one that the mock makes from what is signed. One of its own is
    /// checked when it comes back: with another text, or on another part, it gets 400. Not for OpenAI Chat.
    #[must_use]
    pub fn signature(mut self, signature: impl Into<String>) -> Self {
        self.signature = Some(signature.into());
        self
    }

    /// Counts so many of the prompt's tokens as read from a cache, and as written to one, as far as the prompt has
    /// them. Only Anthropic reports what was written.
    #[must_use]
    pub fn cached(mut self, read: u64, written: u64) -> Self {
        self.cached = (read, written);
        self
    }

    /// The finish reason, instead of `stop`, `length` or `tool_calls`. These three and `content_filter` become each
    /// vendor's own word; any other is sent as it stands.
    #[must_use]
    pub fn finish_reason(mut self, reason: impl Into<String>) -> Self {
        self.finish_reason = Some(reason.into());
        self
    }

    /// Reports this JSON as usage, as written, instead of counting.
    #[must_use]
    pub fn usage(mut self, json: impl Into<String>) -> Self {
        self.usage = UsageField::Json(json.into());
        self
    }

    /// Reports no usage at all.
    #[must_use]
    pub fn no_usage(mut self) -> Self {
        self.usage = UsageField::Absent;
        self
    }

    /// Waits this long before the head, instead of the server's own delay.
    #[must_use]
    pub fn delay(mut self, delay: Duration) -> Self {
        self.delay = Some(delay);
        self
    }

    /// Waits this long between the head and the first event of a stream, or before the head of another answer.
    #[must_use]
    pub fn first_token(mut self, wait: Duration) -> Self {
        self.first_token = Some(wait);
        self
    }

    /// The pace of deltas (of events, for [`Reply::sse`]); a plain answer comes after the time its tokens take. Not
    /// above zero means unpaced. A [`Reply::body`] has no tokens and takes no notice.
    #[must_use]
    pub fn tokens_per_sec(mut self, pace: f64) -> Self {
        self.tokens_per_sec = Some(pace);
        self
    }

    /// Closes the connection after this many bytes of the body (HTTP/2: resets the stream). At or past the end of
    /// the body, only the end mark of a chunked body is missing.
    #[must_use]
    pub fn cut_at(mut self, bytes: usize) -> Self {
        self.ending = Ending::Cut(bytes);
        self
    }

    /// Sends this many bytes of the body and then nothing, until the client leaves.
    #[must_use]
    pub fn stall_at(mut self, bytes: usize) -> Self {
        self.ending = Ending::Stall(bytes);
        self
    }

    /// Resets the connection (RST) after this many bytes of the body. On HTTP/2 too it is the connection.
    #[must_use]
    pub fn reset_at(mut self, bytes: usize) -> Self {
        self.ending = Ending::Reset(bytes);
        self
    }

    /// Ends a generated stream cleanly without finish reason, usage and end marker. A plain answer gets no finish
    /// reason, or a null one.
    #[must_use]
    pub fn no_end(mut self) -> Self {
        self.no_end = true;
        self
    }

    /// Ends a generated stream with the vendor's error for this status, after everything else it says and instead of
    /// finish reason and end marker; the status of the answer is 200 all the same. A plain answer is that error.
    #[must_use]
    pub fn stream_error(mut self, status: u16) -> Self {
        self.stream_error = Some(status);
        self
    }

    /// How the HTTP/1.1 body says where it ends.
    #[must_use]
    pub fn framing(mut self, framing: Framing) -> Self {
        self.framing = Some(framing);
        self
    }

    /// Says `connection: close` and closes the connection after the reply. HTTP/1.1 only.
    #[must_use]
    pub fn close(mut self) -> Self {
        self.close = true;
        self
    }

    /// Goes wrong below HTTP as well.
    #[must_use]
    pub fn fault(mut self, fault: Fault) -> Self {
        self.fault = Some(fault);
        self
    }

    /// Answers this many requests in a row instead of one (at least one).
    #[must_use]
    pub fn times(mut self, times: u64) -> Self {
        self.times = times.max(1);
        self
    }
}

/// Replies in order, the last one for ever. An empty script echoes.
#[derive(Clone, Debug, Default)]
pub struct Script {
    lines: Vec<Arc<Reply>>,
}

impl Script {
    /// Reads one JSON reply a line; blank lines are skipped. The keys are those of [`Reply`]'s methods:
    ///
    /// | key | value |
    /// |---|---|
    /// | `status` | number, default 200 |
    /// | `headers` | object, or array of `[name, value]` pairs |
    /// | `text`, `body`, `sse`, `raw` | at most one of them; `body` is a string sent verbatim or any JSON sent as written |
    /// | `tool_calls` | array of `{"name", "arguments", "id"?}`; `arguments` is a string sent verbatim or any JSON |
    /// | `reasoning`, `redacted_reasoning`, `signature`, `refusal`, `finish_reason` | strings |
    /// | `cached` | `[read, written]`: see [`Reply::cached`] |
    /// | `usage` | JSON sent as written; `null` for none |
    /// | `delay_ms`, `first_token_ms`, `tokens_per_sec` | numbers |
    /// | `cut_at`, `stall_at`, `reset_at` | at most one of them: bytes of the body as sent |
    /// | `no_end`, `close` | booleans |
    /// | `stream_error` | a status: see [`Reply::stream_error`] |
    /// | `framing` | `length`, `chunked` or `close` |
    /// | `fault` | see [`Fault`] |
    /// | `times` | how many requests the line answers, default 1 |
    ///
    /// # Errors
    /// A line that is not such an object: its number, what was found and what is allowed.
    pub fn parse(text: &str) -> Result<Self, MockError> {
        script_file::parse(text).map(|replies| replies.into_iter().collect())
    }

    /// Reads a script file; see [`Script::parse`].
    ///
    /// # Errors
    /// A file that cannot be read, or a line that cannot be understood.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, MockError> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path)
            .map_err(|source| MockError::File { path: path.to_owned(), source })?;
        Self::parse(&text)
    }

    /// Whether there is no line, so that the server echoes.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }
}

impl FromIterator<Reply> for Script {
    fn from_iter<I: IntoIterator<Item = Reply>>(replies: I) -> Self {
        Self { lines: replies.into_iter().map(Arc::new).collect() }
    }
}

/// A reader's place in a script.
#[derive(Debug, Default)]
pub(crate) struct Reader {
    script: Script,
    line: usize,
    used: u64,
}

impl Reader {
    pub(crate) fn new(script: Script) -> Self {
        Self { script, line: 0, used: 0 }
    }

    pub(crate) fn next(&mut self) -> Option<Arc<Reply>> {
        let reply = self.script.lines.get(self.line)?;
        self.used = self.used.saturating_add(1);
        if self.used >= reply.times && self.line + 1 < self.script.lines.len() {
            self.line += 1;
            self.used = 0;
        }
        Some(Arc::clone(reply))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_in_order_and_the_last_one_for_ever() {
        let script = [Reply::body(1, "").times(2), Reply::body(2, ""), Reply::body(3, "").times(2)];
        let mut reader = Reader::new(script.into_iter().collect());
        let seen: Vec<_> = (0..7).filter_map(|_| reader.next()).map(|reply| reply.status).collect();
        assert_eq!(seen, [1, 1, 2, 3, 3, 3, 3]);
        assert!(Reader::default().next().is_none());
    }
}
