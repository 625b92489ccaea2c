//! Faults in and around the head of an answer.

use std::{convert::Infallible, time::Duration};

use super::{Gone, Peer};
use crate::{answer::Answer, fault::Fault};

const INTERIM: &[u8] = b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n";
/// The length of one padding header's value.
const PAD: usize = 4 * 1024;

/// What comes before the head, and what is added to it.
pub(super) async fn before_head(peer: &mut Peer<'_>, answer: &mut Answer) -> Result<(), Gone> {
    match answer.fault {
        Some(Fault::Interim(count)) => {
            for _ in 0..count {
                peer.put(INTERIM).await?;
            }
        }
        Some(Fault::EndlessInterim) => return Err(repeat(peer, &INTERIM.repeat(64)).await),
        Some(Fault::EndlessHead) => {
            peer.put(b"HTTP/1.1 200 OK\r\n").await?;
            let line = format!("x-pad: {}\r\n", "a".repeat(PAD));
            return Err(repeat(peer, line.as_bytes()).await);
        }
        Some(Fault::HugeHead(bytes)) => {
            let lines = (0..bytes.div_ceil(PAD)).map(|n| (format!("x-pad-{n}"), "a".repeat(PAD)));
            answer.headers.extend(lines);
        }
        Some(Fault::ManyHeaders(count)) => {
            answer.headers.extend((0..count).map(|n| (format!("x-many-{n}"), "a".to_owned())));
        }
        _ => {}
    }
    Ok(())
}

/// Sends the head that waits in `out`, if that is to be done in an odd way.
pub(super) async fn head(peer: &mut Peer<'_>, answer: &Answer) -> Result<(), Gone> {
    if let Some(Fault::SlowHead(ms)) = answer.fault {
        for byte in std::mem::take(&mut peer.out) {
            peer.unless_gone(tokio::time::sleep(Duration::from_millis(ms))).await?;
            peer.put(&[byte]).await?;
        }
    }
    Ok(())
}

/// Writes the same bytes until the client leaves.
async fn repeat(peer: &mut Peer<'_>, bytes: &[u8]) -> Gone {
    let forever = async {
        loop {
            peer.put(bytes).await?;
        }
    };
    let ended: Result<Infallible, Gone> = forever.await;
    match ended {
        Ok(never) => match never {},
        Err(gone) => gone,
    }
}
