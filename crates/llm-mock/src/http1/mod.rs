//! HTTP/1.1 on the bare socket, by our own code: a server library would not let us misbehave at a given byte.

mod faults;
mod read;
mod write;

use std::{future::Future, pin::pin, sync::Arc, time::Duration};

use bytes::BytesMut;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, Interest},
    net::{
        TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
};

use crate::{
    fault::ConnectionFault,
    log::{Exchange, Outcome},
    openai_chat::Problem,
    shared::Shared,
};

/// Bytes a client may send ahead while its request is being answered; beyond that we stop listening to it.
const AHEAD: usize = 64 * 1024;

/// How long a client that was refused may be silent before it is left.
const PARTING: Duration = Duration::from_secs(1);

/// The client has left: its side of the connection is closed or broken.
struct Gone;

/// How a connection goes on.
enum After {
    /// The next request may come.
    Keep,
    /// Close it properly (FIN).
    Close,
    /// Reset it (RST).
    Reset,
}

/// A connection's two directions, and what was read ahead.
struct Peer<'a> {
    read: ReadHalf<'a>,
    write: WriteHalf<'a>,
    /// Read and not yet used.
    ahead: BytesMut,
    /// Reused for heads and small answers.
    out: Vec<u8>,
}

impl Peer<'_> {
    /// Runs `work` to its end, unless the client leaves first. What it sends meanwhile is kept for later.
    ///
    /// A client that closes only its sending side counts as gone too: no HTTP client in use does that.
    async fn unless_gone<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Gone> {
        unless_gone(&mut self.read, &mut self.ahead, work).await
    }

    async fn put(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        unless_gone(&mut self.read, &mut self.ahead, self.write.write_all(bytes)).await?.map_err(|_| Gone)
    }

    /// Writes what was collected in `out`.
    async fn put_out(&mut self) -> Result<(), Gone> {
        let Self { read, write, ahead, out } = self;
        let written = unless_gone(read, ahead, write.write_all(out)).await?;
        out.clear();
        written.map_err(|_| Gone)
    }

    /// Says the last word to a client that may still be sending. Closing at once would reset the connection, and
    /// the client would lose what was said.
    async fn part(&mut self) {
        if self.write.write_all(&self.out).await.is_err() || self.write.shutdown().await.is_err() {
            return;
        }
        loop {
            self.ahead.clear();
            let read = tokio::time::timeout(PARTING, self.read.read_buf(&mut self.ahead)).await;
            if !matches!(read, Ok(Ok(1..))) {
                return;
            }
        }
    }

    /// Says nothing more; ends when the client leaves.
    async fn fall_silent(&mut self) -> Gone {
        match self.unless_gone(std::future::pending::<std::convert::Infallible>()).await {
            Ok(never) => match never {},
            Err(gone) => gone,
        }
    }
}

async fn unless_gone<T>(
    read: &mut ReadHalf<'_>,
    ahead: &mut BytesMut,
    work: impl Future<Output = T>,
) -> Result<T, Gone> {
    let mut work = pin!(work);
    loop {
        tokio::select! {
            // First the work: most of it is done at once and needs no look at the socket.
            biased;
            done = &mut work => return Ok(done),
            got = read.read_buf(ahead), if ahead.len() < AHEAD => {
                if !matches!(got, Ok(1..)) {
                    return Err(Gone);
                }
            }
        }
    }
}

/// Waits until the client leaves, reading nothing. Unread bytes keep the socket readable, so it looks from time to
/// time instead of waiting to be told.
pub(crate) async fn until_left(stream: &TcpStream) {
    while stream.ready(Interest::READABLE).await.is_ok_and(|ready| !ready.is_read_closed()) {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Serves a connection to its end. `ahead` was read from it already.
pub(crate) async fn serve(mut stream: TcpStream, ahead: BytesMut, shared: &Arc<Shared>, connection: u64) {
    let (read, write) = stream.split();
    let mut peer = Peer { read, write, ahead, out: Vec::with_capacity(2 * 1024) };
    let mut served = 0_u64;
    let end = loop {
        let (received, keep) = match read::request(&mut peer, shared, connection, served == 0).await {
            Ok(Some(read)) => read,
            Ok(None) => break After::Close,
            Err(read::Unread(status)) => {
                shared.count_unread();
                if let Some(status) = status {
                    let mut answer = Problem::of_status(status).into_answer();
                    answer.close = true;
                    write::head(&answer, &mut peer.out);
                    peer.out.extend_from_slice(&answer.body);
                    peer.part().await;
                }
                break After::Close;
            }
        };
        let mut exchange = Exchange::begin(shared, received);
        if served > 0
            && let Some(fault) = shared.fault_on_reuse()
        {
            exchange.finish(Outcome::Cut);
            let reset = fault == ConnectionFault::ResetOnReuse;
            break if reset { After::Reset } else { After::Close };
        }
        served += 1;
        let mut answer = shared.answer(&exchange);
        answer.close |= !keep;
        match write::answer(&mut peer, answer, &mut exchange).await {
            Ok(After::Keep) => {}
            Ok(end) => break end,
            // Dropping the exchange notes that it was cancelled.
            Err(Gone) => break After::Close,
        }
    };
    if matches!(end, After::Reset) {
        // A connection that is broken already needs no reset.
        let _ = stream.set_zero_linger();
    }
}
