//! Sending an answer: head, body by its plan, end.

use http::{Method, StatusCode, Version};
use tokio::time::Instant;

use super::{After, Gone, Peer, faults};
use crate::{
    answer::{Answer, RESET_AFTER, Step},
    fault::{Fault, Framing},
    log::{Exchange, Outcome},
    text::push_number,
};

/// Up to this size head and body go out in one write, by way of a copy.
const TOGETHER: usize = 16 * 1024;

/// What a proper end of the body takes.
struct End {
    chunked: bool,
    /// Of the body.
    length: usize,
    after: After,
}

pub(super) async fn answer(
    peer: &mut Peer<'_>,
    mut answer: Answer,
    exchange: &mut Exchange,
) -> Result<After, Gone> {
    if !answer.delay.is_zero() {
        peer.unless_gone(tokio::time::sleep(answer.delay)).await?;
    }
    match answer.fault {
        Some(Fault::Close) => return Ok(cut(exchange, After::Close)),
        Some(Fault::Reset) => return Ok(cut(exchange, After::Reset)),
        Some(Fault::Hang) => return Err(peer.fall_silent().await),
        _ => {}
    }
    // A method or status without a body has the headers of one, and nothing after them.
    if exchange.request.version == Version::HTTP_10 && answer.framing == Framing::Chunked {
        answer.framing = Framing::Close;
    }
    let bodiless = exchange.request.method == Method::HEAD || matches!(answer.status, 204 | 304);
    faults::before_head(peer, &mut answer).await?;
    if !answer.raw {
        head(&answer, &mut peer.out);
        exchange.head_sent(answer.status);
    }
    faults::head(peer, &answer).await?;

    let chunked = answer.framing == Framing::Chunked && !answer.raw;
    let after = if answer.close || answer.framing == Framing::Close { After::Close } else { After::Keep };
    let end = End { chunked, length: answer.body.len(), after };
    let mut flow = answer.flow(usize::MAX);
    if bodiless {
        exchange.finish(Outcome::Answered);
        peer.put_out().await?;
        return Ok(end.after);
    }
    let started = Instant::now();
    loop {
        match flow.next(started.elapsed()) {
            Step::Send { bytes, last } => {
                if end.chunked {
                    push_hex(&mut peer.out, bytes.len());
                    peer.out.extend_from_slice(b"\r\n");
                }
                let together = bytes.len() <= TOGETHER;
                if together {
                    peer.out.extend_from_slice(&bytes);
                } else {
                    peer.put_out().await?;
                    peer.put(&bytes).await?;
                }
                if end.chunked {
                    peer.out.extend_from_slice(b"\r\n");
                }
                if last {
                    return finish(peer, &answer, exchange, end).await;
                }
                // More of a body that waits for nothing follows: its bytes may go together.
                if peer.out.len() >= TOGETHER || !together {
                    peer.put_out().await?;
                }
            }
            Step::Wait(due) => {
                peer.put_out().await?;
                peer.unless_gone(tokio::time::sleep_until(started + due)).await?;
            }
            Step::Done => return finish(peer, &answer, exchange, end).await,
            Step::Cut => {
                peer.put_out().await?;
                return Ok(cut(exchange, After::Close));
            }
            Step::Reset => {
                peer.put_out().await?;
                peer.unless_gone(tokio::time::sleep(RESET_AFTER)).await?;
                return Ok(cut(exchange, After::Reset));
            }
            Step::Stall => {
                peer.put_out().await?;
                return Err(peer.fall_silent().await);
            }
        }
    }
}

/// Notes the end and writes the last bytes.
async fn finish(
    peer: &mut Peer<'_>,
    answer: &Answer,
    exchange: &mut Exchange,
    end: End,
) -> Result<After, Gone> {
    if end.chunked {
        peer.out.extend_from_slice(b"0\r\n\r\n");
    }
    match &answer.fault {
        Some(Fault::Surplus(bytes)) => peer.out.extend_from_slice(bytes),
        Some(Fault::ContentLength(claim)) if exceeds(*claim, end.length) => {
            peer.put_out().await?;
            return Err(peer.fall_silent().await);
        }
        _ => {}
    }
    // Before the write: who has read the whole answer must find it noted.
    exchange.finish(Outcome::Answered);
    peer.put_out().await?;
    Ok(end.after)
}

fn cut(exchange: &mut Exchange, after: After) -> After {
    exchange.finish(Outcome::Cut);
    after
}

fn exceeds(claim: u64, length: usize) -> bool {
    usize::try_from(claim).map_or(true, |claim| claim > length)
}

/// Appends the head of an answer.
pub(super) fn head(answer: &Answer, out: &mut Vec<u8>) {
    if answer.status == 200 {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    } else {
        out.extend_from_slice(b"HTTP/1.1 ");
        push_number(out, answer.status.into());
        out.push(b' ');
        let reason = StatusCode::from_u16(answer.status).ok().and_then(|status| status.canonical_reason());
        out.extend_from_slice(reason.unwrap_or("Scripted").as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    if !answer.has_header("content-type") {
        out.extend_from_slice(b"content-type: ");
        out.extend_from_slice(answer.content_type.as_bytes());
        out.extend_from_slice(b"\r\n");
    }
    match answer.framing {
        Framing::Length if answer.status == 204 || answer.has_header("content-length") => {}
        Framing::Length => {
            out.extend_from_slice(b"content-length: ");
            let length = u64::try_from(answer.body.len()).unwrap_or(u64::MAX);
            push_number(
                out,
                if let Some(Fault::ContentLength(claim)) = answer.fault { claim } else { length },
            );
            out.extend_from_slice(b"\r\n");
        }
        Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Framing::Close => {}
    }
    if answer.close || answer.framing == Framing::Close {
        out.extend_from_slice(b"connection: close\r\n");
    }
    if let Some((name, number)) = answer.request_id {
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b": req_mock_");
        push_number(out, number);
        out.extend_from_slice(b"\r\n");
    }
    for (name, value) in &answer.headers {
        for part in [name.as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
            out.extend_from_slice(part);
        }
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends the size line's number of a chunk.
fn push_hex(out: &mut Vec<u8>, number: usize) {
    use std::io::Write;
    // A Vec takes every write.
    let _ = write!(out, "{number:x}");
}
