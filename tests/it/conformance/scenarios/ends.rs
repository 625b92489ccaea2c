//! How answers end: what they used, why they stop, and what may go wrong.

use std::path::Path;

use llm_mock::Reply;
use llm_types::{ErrorKind, UsageSource};
use serde_json::Value;

use super::question;
use crate::conformance::Outcome;
use crate::conformance::formats;
use crate::conformance::peer::{BOTH, Cell, Manner, once};
use crate::conformance::say::{End, Say, TEXT, TOKENS, same};

async fn used(cell: &Cell, manner: Manner) -> Outcome {
    let (response, _) = cell.ask(&question(), &Say::text(TEXT), manner).await?;
    let usage = response.usage.ok_or("it says nothing of what it used")?;
    let vendor = cell.vendor;
    let thoughts = vendor.counts_thoughts.then_some(TOKENS.thoughts);
    let cached = vendor.counts_cached.then_some(TOKENS.cached);
    same("read", &usage.input_total(), &TOKENS.input)?;
    same("written", &usage.output_total(), &TOKENS.output)?;
    same("thought", &usage.reasoning, &thoughts)?;
    same("from the cache", &usage.cache_read, &cached)?;
    same("the source", &usage.source, &UsageSource::Reported)
}

pub(crate) async fn usage(cell: &Cell) -> Outcome {
    used(cell, Manner::Plain).await
}

pub(crate) async fn stream_usage(cell: &Cell) -> Outcome {
    used(cell, Manner::Streamed).await
}

pub(crate) async fn stop_reasons(cell: &Cell) -> Outcome {
    for manner in BOTH {
        for (end, word) in [End::Done, End::Cut, End::Calls, End::Withheld].into_iter().zip(cell.vendor.words)
        {
            let say = match end {
                End::Calls if !cell.can("tools") => continue,
                End::Calls => Say::calls(&[("get_tide", "{}")]),
                _ => Say::text(TEXT).ending(end),
            };
            let (response, _) = cell.ask(&question(), &say, manner).await?;
            let native = response.choices[0].native_finish_reason.as_deref();
            same("the vendor's word", &native, &Some(word))?;
        }
    }
    Ok(())
}

/// The vendor's errors as its fixture has them, and one in the middle of a stream.
pub(crate) async fn errors(cell: &Cell) -> Outcome {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/llm-client/tests/data/vendors");
    let text = std::fs::read_to_string(folder.join(format!("{}.json", cell.vendor.row))).unwrap();
    let fixture: Value = serde_json::from_str(&text).unwrap();
    for entry in fixture["errors"].as_array().unwrap() {
        let status = u16::try_from(entry["status"].as_u64().unwrap()).unwrap();
        let body = entry["body"].as_str().map_or_else(|| entry["body"].to_string(), str::to_owned);
        let body = body.replace(fixture["model"].as_str().unwrap(), cell.vendor.model);
        // A lane that was refused is left alone for a while, so each has its own.
        let shared = std::sync::Arc::new(llm_provider::Shared::new(&|_| None));
        let fresh = Cell::new(cell.vendor, &shared).await;
        let headers: Vec<(&str, &str)> = entry["headers"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
            .collect();
        fresh.server.reply(status, &headers, body.clone());
        let Err(error) = fresh.call(&question(), Manner::Plain).await else {
            return Err(format!("{status} {body} was taken for an answer"));
        };
        same(&body, &Some(error.kind().as_str()), &entry["kind"].as_str())?;
        if let Some(retryable) = entry["retryable"].as_bool() {
            same(&format!("{body} may be repeated"), &error.is_retryable(), &retryable)?;
        }
        if error.to_string().contains(super::QUESTION) {
            return Err(format!("the prompt stands in an error: {error}"));
        }
    }
    let whole = formats::stream(cell.vendor, &Say::text(TEXT));
    let start = before_the_end(&whole);
    cell.server.push(Reply::sse(format!("{start}{}", cell.vendor.broken)));
    let Err(error) = cell.call(&question(), Manner::Streamed).await else {
        return Err("an error in a stream was taken for an answer".into());
    };
    has_begun(&error)?;
    same("attempts", &cell.requests().len(), &1)
}

/// Whether an error holds what had come of the text; the last piece may stand in the same event as the end.
fn has_begun(error: &llm_types::Error) -> Outcome {
    let begun = error.partial().map(llm_types::ChatResponse::text).unwrap_or_default();
    if begun.len() > TEXT.len() / 2 && TEXT.starts_with(&begun) {
        Ok(())
    } else {
        Err(format!("what had come: {begun:?}"))
    }
}

/// A streamed text up to its last piece: neither why it ended nor anything after that.
fn before_the_end(stream: &str) -> String {
    let event = if stream.contains("\r\n\r\n") { "\r\n\r\n" } else { "\n\n" };
    let ends = ["\"finish_reason\":\"", "\"message_delta\"", "\"content_block_stop\""];
    let mut kept = String::new();
    for piece in stream.split_inclusive(event) {
        if ends.iter().any(|end| piece.contains(end)) {
            break;
        }
        // The last text of this format comes with the reason.
        let (start, _) = piece.split_once(",\"finishReason\"").unwrap_or((piece, ""));
        if start.len() < piece.len() {
            let mut json: Value = serde_json::from_str(piece.trim().trim_start_matches("data: ")).unwrap();
            json["candidates"][0].as_object_mut().unwrap().remove("finishReason");
            kept.push_str(&format!("data: {json}{event}"));
            break;
        }
        kept.push_str(piece);
    }
    kept
}

pub(crate) async fn truncation(cell: &Cell) -> Outcome {
    let whole = formats::stream(cell.vendor, &Say::text(TEXT));
    let start = before_the_end(&whole);
    // Ended in order, and not said why; broken off in the middle of an event.
    for (reply, kinds) in [
        (Reply::sse(start.clone()), &[ErrorKind::Truncated][..]),
        (Reply::sse(whole.clone()).cut_at(start.len() + 3), &[ErrorKind::Truncated, ErrorKind::Connection]),
    ] {
        cell.server.push(reply);
        let Err(error) = cell.call(&question(), Manner::Streamed).await else {
            return Err("a part of a stream was taken for an answer".into());
        };
        if !kinds.contains(&error.kind()) {
            return Err(format!("a part of a stream: {error:?}"));
        }
        has_begun(&error)?;
    }
    let body = formats::body(cell.vendor, &Say::text(TEXT));
    let shared = std::sync::Arc::new(llm_provider::Shared::new(&|_| None));
    let fresh = Cell::new(cell.vendor, &shared).await;
    fresh.server.push(Reply::body(200, body.clone()).cut_at(body.len() / 2));
    match fresh.call(&question(), Manner::Plain).await {
        Err(error) if matches!(error.kind(), ErrorKind::Connection | ErrorKind::Truncated) => Ok(()),
        other => Err(format!("half a body: {other:?}")),
    }
}

/// Dropping a call or its stream cancels the request at the server.
pub(crate) async fn cancellation(cell: &Cell) -> Outcome {
    let call = once();
    let whole = formats::stream(cell.vendor, &Say::text(TEXT));
    let start = before_the_end(&whole);
    cell.server.push(Reply::sse(whole.clone()).stall_at(start.len()));
    let mut stream =
        cell.client.chat_stream(&question(), &call).await.map_err(|error| format!("{error:?}"))?;
    stream.next().await.ok_or("nothing came")?.map_err(|error| format!("{error:?}"))?;
    drop(stream);
    cell.server.wait_for(|counts| counts.cancelled == 1).await;
    let body = formats::body(cell.vendor, &Say::text(TEXT));
    cell.server.push(Reply::body(200, body).stall_at(1));
    let before = cell.server.counts().total;
    let question = question();
    {
        let waiting = cell.client.chat(&question, &call);
        let arrived = cell.server.wait_for(|counts| counts.total > before);
        futures_util::pin_mut!(waiting, arrived);
        if let futures_util::future::Either::Left(_) = futures_util::future::select(waiting, arrived).await {
            return Err("the call ended before it was given up".into());
        }
    }
    cell.server.wait_for(|counts| counts.cancelled == 2).await;
    // The next one is answered.
    cell.ask(&question, &Say::text(TEXT), Manner::Plain).await.map(drop)
}
