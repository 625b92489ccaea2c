//! Every stream of every vendor reads the same however its bytes are cut.

use std::sync::Arc;

use llm_client::dialect::WireTarget;
use llm_mock::Reply;
use llm_provider::{Shared, catalogue};
use llm_types::{Collector, StreamEvent};

use super::peer::{Cell, Manner};
use super::say::{End, Say, TEXT, THOUGHT, same};
use super::scenarios::talk;
use super::vendor::Vendor;
use super::{formats, vendors};

/// The streams of the suite, one of each kind.
fn says() -> Vec<Say> {
    let calls: &[(&str, &str)] = &[("get_tide", r#"{"port":"Saint-Malo – été"}"#), ("get_time", "{}")];
    vec![
        Say::text(TEXT),
        Say::text(TEXT).thinking(THOUGHT),
        Say::calls(calls).thinking(THOUGHT),
        Say { odd: true, ..Say::text(TEXT) },
        Say::text(TEXT).ending(End::Cut),
    ]
}

/// What a vendor's stream says, read from these pieces.
fn read<'a>(vendor: &Vendor, pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<Vec<StreamEvent>, String> {
    let row = catalogue::find(vendor.row).unwrap();
    let quirks = row.quirks_for(vendor.model);
    let target = WireTarget { model: vendor.model, quirks: &quirks, origin: Some(row.name) };
    let mut decoder = row.dialect.framing(false, 1 << 20).unwrap();
    let mut state = row.dialect.stream(&target);
    let mut events = Vec::new();
    let wrong = |error: llm_types::Error| format!("{error:?}");
    for piece in pieces {
        let mut frames = decoder.feed(piece);
        while let Some(frame) = frames.next().map_err(wrong)? {
            state.step(frame, &mut events).map_err(wrong)?;
        }
    }
    if let Some(frame) = decoder.finish().map_err(wrong)? {
        state.step(frame, &mut events).map_err(wrong)?;
    }
    state.finish(&mut events).map_err(wrong)?;
    Ok(events)
}

#[test]
fn every_vendors_streams_read_the_same_at_every_cut() {
    for (at, vendor) in vendors::all().enumerate() {
        for say in says() {
            let stream = formats::stream(vendor, &say);
            let bytes = stream.as_bytes();
            let told = |result| format!("{}: {result:?}", vendor.row);
            let whole = read(vendor, [bytes]);
            let mut collector = Collector::new();
            whole
                .clone()
                .unwrap_or_else(|why| panic!("{}: {why}", vendor.row))
                .into_iter()
                .for_each(|event| collector.push(event));
            let response = collector.finish();
            say.is_said_by(vendor, &response).unwrap_or_else(|why| panic!("{}: {why}\n{stream}", vendor.row));
            let whole = told(whole);
            assert_eq!(told(read(vendor, bytes.chunks(1))), whole, "byte by byte");
            // Some two dozen cuts, elsewhere in each.
            let step = (bytes.len() / 24).max(1);
            for cut in (at % step..bytes.len()).step_by(step) {
                let (start, end) = bytes.split_at(cut);
                assert_eq!(told(read(vendor, [start, end])), whole, "cut at {cut}");
            }
        }
    }
}

/// The same over a socket: each event in a packet of its own, and two cut in two.
#[tokio::test]
async fn a_paced_stream_gives_what_a_swift_one_gives() {
    let shared = Arc::new(Shared::new(&|_| None));
    for vendor in vendors::all() {
        let cell = Cell::new(vendor, &shared).await;
        let say = Say::text(TEXT).thinking(THOUGHT);
        cell.server.push(Reply::sse(formats::stream(vendor, &say)).tokens_per_sec(2000.0));
        let response = cell.call(&talk::asked(), Manner::Streamed).await.unwrap();
        say.is_said_by(vendor, &response).unwrap_or_else(|why| panic!("{}: {why}", vendor.row));
        same("attempts", &response.attempts.len(), &1).unwrap();
    }
}
