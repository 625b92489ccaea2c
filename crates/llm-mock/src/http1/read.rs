//! Reading a request: head, then a body by length or in chunks.

use std::{ops::Range, sync::OnceLock, time::Instant};

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version};
use tokio::io::AsyncReadExt;

use super::Peer;
use crate::{
    dialect::Marks,
    log::{Received, key_of},
    shared::Shared,
};

const MAX_HEAD: usize = 256 * 1024;
const MAX_HEADERS: usize = 128;
/// Set aside for a body before it has come: a client's claim costs us no more.
const SET_ASIDE: usize = 1024 * 1024;

/// A request that did not become whole, and the status to say so with; `None` when nobody is there to hear it.
pub(super) struct Unread(pub(super) Option<u16>);

const LEFT: Unread = Unread(None);
const BAD: Unread = Unread(Some(400));

/// A head, parsed; its texts are slices of the bytes they were read from.
struct Head {
    method: Method,
    target: Bytes,
    version: Version,
    headers: HeaderMap,
    key: Option<Bytes>,
    marks: Marks,
    framing: Framing,
    /// Whether the client wants to ask more on this connection.
    keep: bool,
    /// Whether it waits for a `100 Continue` before it sends the body.
    expects: bool,
}

#[derive(Clone, Copy)]
enum Framing {
    Length(usize),
    Chunked,
}

/// The next request and whether the connection may be kept; `None` when it was closed, or was idle too long.
pub(super) async fn request(
    peer: &mut Peer<'_>,
    shared: &Shared,
    connection: u64,
    first: bool,
) -> Result<Option<(Received, bool)>, Unread> {
    let head = loop {
        if !peer.ahead.is_empty() {
            if let Some(head) = take_head(&mut peer.ahead, shared.wants_headers())? {
                break head;
            }
            if peer.ahead.len() > MAX_HEAD {
                return Err(Unread(Some(431)));
            }
        }
        let idle = peer.ahead.is_empty();
        let read = peer.read.read_buf(&mut peer.ahead);
        let read = match shared.config.idle {
            Some(limit) if idle && !first => match tokio::time::timeout(limit, read).await {
                Ok(read) => read,
                Err(_) => return Ok(None),
            },
            _ => read.await,
        };
        match read {
            Ok(1..) => {}
            _ if idle => return Ok(None),
            _ => return Err(LEFT),
        }
    };
    let most = shared.config.max_body;
    if head.expects && peer.ahead.is_empty() {
        peer.put(b"HTTP/1.1 100 Continue\r\n\r\n").await.map_err(|super::Gone| LEFT)?;
    }
    let body = match head.framing {
        Framing::Length(0) => Bytes::new(),
        Framing::Length(length) if length > most => return Err(Unread(Some(413))),
        Framing::Length(length) => {
            peer.ahead.reserve(length.saturating_sub(peer.ahead.len()).min(SET_ASIDE));
            while peer.ahead.len() < length {
                more(peer).await?;
            }
            peer.ahead.split_to(length).freeze()
        }
        Framing::Chunked => chunks(peer, most).await?,
    };
    let arrived = Instant::now();
    let received = Received {
        number: 0,
        arrived,
        since_start: arrived.saturating_duration_since(shared.started),
        connection,
        version: head.version,
        method: head.method,
        target: head.target,
        key: head.key,
        marks: head.marks,
        headers: head.headers,
        body,
        notes: OnceLock::new(),
        end: OnceLock::new(),
    };
    Ok(Some((received, head.keep)))
}

async fn more(peer: &mut Peer<'_>) -> Result<(), Unread> {
    match peer.read.read_buf(&mut peer.ahead).await {
        Ok(1..) => Ok(()),
        _ => Err(LEFT),
    }
}

/// Cuts a head off the front of `ahead`, once all of it is there.
fn take_head(ahead: &mut BytesMut, all_headers: bool) -> Result<Option<Head>, Unread> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut parsed = httparse::Request::new(&mut headers);
    match parsed.parse(ahead) {
        Ok(httparse::Status::Complete(length)) => {
            let (mut head, target, key) = head(&parsed, ahead, all_headers)?;
            let bytes = ahead.split_to(length).freeze();
            head.target = bytes.slice(target);
            head.key = key.map(|key| bytes.slice(key));
            Ok(Some(head))
        }
        Ok(httparse::Status::Partial) => Ok(None),
        Err(httparse::Error::TooManyHeaders) => Err(Unread(Some(431))),
        Err(_) => Err(BAD),
    }
}

/// Where `part` lies in `whole`, which it was cut from.
fn place(whole: &[u8], part: &[u8]) -> Range<usize> {
    let start = part.as_ptr().addr().saturating_sub(whole.as_ptr().addr());
    start..start + part.len()
}

/// A head whose target and key are still to be cut out at these places.
type Placed = (Head, Range<usize>, Option<Range<usize>>);

fn head(parsed: &httparse::Request<'_, '_>, whole: &[u8], all_headers: bool) -> Result<Placed, Unread> {
    let (Some(method), Some(target), Some(minor)) = (parsed.method, parsed.path, parsed.version) else {
        return Err(BAD);
    };
    let mut head = Head {
        method: Method::from_bytes(method.as_bytes()).map_err(|_| BAD)?,
        target: Bytes::new(),
        version: if minor == 0 { Version::HTTP_10 } else { Version::HTTP_11 },
        headers: HeaderMap::new(),
        key: None,
        marks: Marks::default(),
        framing: Framing::Length(0),
        keep: minor == 1,
        expects: false,
    };
    let mut key_place = None;
    let mut length = None;
    for header in &*parsed.headers {
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        let says = |word: &str| {
            let text = std::str::from_utf8(header.value).unwrap_or_default();
            text.split(',').any(|part| part.trim().eq_ignore_ascii_case(word))
        };
        if is("content-length") {
            let text = std::str::from_utf8(header.value).map_err(|_| BAD)?;
            let given: usize = text.trim().parse().map_err(|_| BAD)?;
            if length.is_some_and(|length| length != given) {
                return Err(BAD);
            }
            length = Some(given);
        } else if is("transfer-encoding") {
            if !says("chunked") {
                return Err(Unread(Some(501)));
            }
            head.framing = Framing::Chunked;
        } else if is("connection") {
            head.keep = (head.keep || says("keep-alive")) && !says("close");
        } else if is("expect") {
            head.expects = says("100-continue");
        } else if let Some(key) = key_of(header.name, header.value) {
            key_place = Some(place(whole, key));
        }
        head.marks.note(header.name, header.value);
        if all_headers {
            let (name, value) =
                (HeaderName::from_bytes(header.name.as_bytes()), HeaderValue::from_bytes(header.value));
            if let (Ok(name), Ok(value)) = (name, value) {
                head.headers.append(name, value);
            }
        }
    }
    match (length, head.framing) {
        // A head that says both is how requests are smuggled.
        (Some(_), Framing::Chunked) => return Err(BAD),
        (Some(length), Framing::Length(_)) => head.framing = Framing::Length(length),
        (None, _) => {}
    }
    Ok((head, place(whole, target.as_bytes()), key_place))
}

async fn chunks(peer: &mut Peer<'_>, most: usize) -> Result<Bytes, Unread> {
    let mut body = BytesMut::new();
    loop {
        let size = loop {
            match httparse::parse_chunk_size(&peer.ahead) {
                Ok(httparse::Status::Complete((used, size))) => {
                    peer.ahead.advance(used);
                    break usize::try_from(size).unwrap_or(usize::MAX);
                }
                Ok(httparse::Status::Partial) if peer.ahead.len() < MAX_HEAD => more(peer).await?,
                _ => return Err(BAD),
            }
        };
        if size == 0 {
            break;
        }
        if size > most.saturating_sub(body.len()) {
            return Err(Unread(Some(413)));
        }
        while peer.ahead.len() < size.saturating_add(2) {
            more(peer).await?;
        }
        body.extend_from_slice(&peer.ahead.split_to(size));
        if !peer.ahead.starts_with(b"\r\n") {
            return Err(BAD);
        }
        peer.ahead.advance(2);
    }
    // Trailers, up to an empty line; nobody needs them.
    loop {
        match peer.ahead.windows(2).position(|pair| pair == b"\r\n") {
            Some(at) => {
                peer.ahead.advance(at + 2);
                if at == 0 {
                    return Ok(body.freeze());
                }
            }
            None if peer.ahead.len() < MAX_HEAD => more(peer).await?,
            None => return Err(BAD),
        }
    }
}
