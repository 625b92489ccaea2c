//! Notices that the reader of our output is gone, also while there is nothing to write: then nothing more is paid for.

/// Resolves when nobody reads the standard output any more. Never, where that cannot be known: a file, or another
/// system.
#[cfg(unix)]
pub async fn reader_gone() {
    use std::os::fd::AsFd as _;

    use tokio::io::Interest;
    use tokio::net::unix::pipe::Sender;

    // Unchecked, because it is watched and never written through: the stream stays blocking, as those who share it
    // with us expect. A file cannot be watched, and has no reader that could go.
    if let Ok(out) = std::io::stdout().as_fd().try_clone_to_owned()
        && let Ok(watched) = Sender::from_owned_fd_unchecked(out)
    {
        while let Ok(ready) = watched.ready(Interest::ERROR).await {
            if ready.is_error() {
                return;
            }
        }
    }
    std::future::pending::<()>().await;
}

/// Never resolves: not known on this system.
#[cfg(not(unix))]
pub async fn reader_gone() {
    std::future::pending::<()>().await;
}
