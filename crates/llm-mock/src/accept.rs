//! Accepting connections, and telling HTTP/1.1 from HTTP/2 by their first bytes.

use std::{
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};

use bytes::BytesMut;
use tokio::{
    io::AsyncReadExt,
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinSet,
};

use crate::{
    fault::ConnectionFault,
    http1, http2,
    shared::{Shared, lock},
};

/// What an HTTP/2 client says first.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Accepts until told to stop. The connections' tasks live in its set, so they end with it.
pub(crate) async fn listen(listener: TcpListener, shared: Arc<Shared>, mut stopped: oneshot::Receiver<()>) {
    let mut connections = JoinSet::new();
    let mut number = 0;
    loop {
        tokio::select! {
            biased;
            _ = &mut stopped => break,
            Some(_) = connections.join_next() => {}
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    number += 1;
                    connections.spawn(connection(stream, Arc::clone(&shared), number));
                }
                // Out of file descriptors, or the peer is gone already: the next one may do better.
                Err(_) => tokio::time::sleep(Duration::from_millis(5)).await,
            },
        }
    }
    drop(listener);
    connections.shutdown().await;
}

/// Counts a connection while it is open.
struct Open<'a>(&'a Shared);

impl<'a> Open<'a> {
    fn new(shared: &'a Shared) -> Self {
        shared.counters.connections.fetch_add(1, SeqCst);
        shared.counters.open_connections.fetch_add(1, SeqCst);
        shared.changed.notify_waiters();
        Self(shared)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.counters.open_connections.fetch_sub(1, SeqCst);
        self.0.changed.notify_waiters();
    }
}

async fn connection(mut stream: TcpStream, shared: Arc<Shared>, number: u64) {
    let _open = Open::new(&shared);
    // Without it a paced stream waits for acknowledgements. A peer that is gone already fails here and below.
    let _ = stream.set_nodelay(true);
    let fault = lock(&shared.desk).on_accept.take();
    match fault {
        Some(ConnectionFault::CloseOnAccept) => return,
        Some(ConnectionFault::ResetOnAccept) => {
            let _ = stream.set_zero_linger();
            return;
        }
        Some(ConnectionFault::SilentOnAccept) => {
            return http1::until_left(&stream).await;
        }
        _ => {}
    }
    let mut seen = BytesMut::with_capacity(8 * 1024);
    while seen.len() < PREFACE.len() {
        let read = stream.read_buf(&mut seen);
        let read = match shared.config.idle {
            Some(idle) => tokio::time::timeout(idle, read).await.unwrap_or(Ok(0)),
            None => read.await,
        };
        if !matches!(read, Ok(1..)) {
            return;
        }
        if !PREFACE.starts_with(&seen) {
            break;
        }
    }
    if seen.starts_with(PREFACE) {
        http2::serve(stream, seen.freeze(), shared.clone(), number).await;
    } else {
        http1::serve(stream, seen, &shared, number).await;
    }
}
