//! A running server, and what a test asks of it.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    sync::{Arc, atomic::Ordering::SeqCst},
    time::Duration,
};

use bytes::Bytes;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

use crate::{
    MockError,
    accept::listen,
    config::MockConfig,
    counters::Counts,
    fault::ConnectionFault,
    limits::Limits,
    log::Request,
    script::Reply,
    shared::{Queue, Shared, lock},
};

/// A running server. Dropped, it stops listening and closes every connection.
pub struct MockServer {
    shared: Arc<Shared>,
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    listening: JoinHandle<()>,
}

impl MockServer {
    /// Starts a server with the default settings: a free port on 127.0.0.1, echo, log on.
    ///
    /// # Panics
    /// When no port of the loopback address can be bound. [`MockConfig::start`] returns that as an error.
    #[must_use = "the server stops when it is dropped"]
    pub async fn start() -> Self {
        #[expect(
            clippy::expect_used,
            reason = "documented; made for tests, where a panic is the right answer"
        )]
        MockConfig::new().start().await.expect("the loopback address has a free port")
    }

    pub(crate) async fn start_with(config: MockConfig) -> Result<Self, MockError> {
        config.check()?;
        let address = SocketAddr::new(config.bind, config.port);
        let bind = |source| MockError::Bind { address, source };
        let listener = TcpListener::bind(address).await.map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        let shared = Arc::new(Shared::new(config)?);
        let (stop, stopped) = oneshot::channel();
        let listening = tokio::spawn(listen(listener, Arc::clone(&shared), stopped));
        Ok(Self { shared, address, stop: Some(stop), listening })
    }

    /// The address it listens on.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://127.0.0.1:PORT/v1`.
    #[must_use]
    pub fn base_url(&self) -> String {
        self.url("/v1")
    }

    /// `http://127.0.0.1:PORT` and this path. A server that listens on all interfaces is reached on the loopback one.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        let host = match self.address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        format!("http://{}{path}", SocketAddr::new(host, self.address.port()))
    }

    /// Queues a verbatim reply for the next request, whatever it asks; see [`Reply::body`].
    pub fn reply(&self, status: u16, headers: &[(&str, &str)], body: impl Into<Bytes>) {
        let reply = Reply::body(status, body);
        self.push(headers.iter().fold(reply, |reply, (name, value)| reply.header(*name, *value)));
    }

    /// Queues a reply for the next request, whatever its method and path. When the queue is empty, the responder,
    /// the script and the echo answer, in this order.
    pub fn push(&self, reply: Reply) {
        let times = reply.times;
        lock(&self.shared.desk).queue.push(Arc::new(reply), times);
    }

    /// Queues a reply for the next request with this path (no query), ahead of the replies for any path.
    pub fn push_to(&self, path: impl Into<String>, reply: Reply) {
        let times = reply.times;
        let mut desk = lock(&self.shared.desk);
        desk.by_path.entry(path.into()).or_insert_with(Queue::new).push(Arc::new(reply), times);
    }

    /// How many queued replies nobody has asked for yet; the script's are not counted.
    #[must_use]
    pub fn unused_replies(&self) -> u64 {
        let desk = lock(&self.shared.desk);
        desk.by_path.values().fold(desk.queue.left(), |sum, queue| sum.saturating_add(queue.left()))
    }

    /// Changes what is refused from now on: a key that dies, a limit that is lowered.
    ///
    /// ```
    /// # async fn example(server: llm_mock::MockServer) {
    /// server.set_limits(|limits| limits.dead_keys.insert("sk-1".to_owned()));
    /// # }
    /// ```
    pub fn set_limits<T>(&self, change: impl FnOnce(&mut Limits) -> T) -> T {
        change(&mut lock(&self.shared.desk).gate.limits)
    }

    /// Breaks the next `times` connections that fit the fault: newly accepted ones, or re-used ones. `u64::MAX` is
    /// for ever, or until [`MockServer::mend_connections`].
    pub fn break_connections(&self, fault: ConnectionFault, times: u64) {
        let mut desk = lock(&self.shared.desk);
        let faults = if fault.on_accept() { &mut desk.on_accept } else { &mut desk.on_reuse };
        faults.push(fault, times);
    }

    /// Forgets all faults of connections that have not happened yet.
    pub fn mend_connections(&self) {
        let mut desk = lock(&self.shared.desk);
        desk.on_accept = Queue::new();
        desk.on_reuse = Queue::new();
    }

    /// The requests so far, in order of arrival. Empty when the log is off.
    #[must_use]
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.shared.log).clone()
    }

    /// The requests so far with this path.
    #[must_use]
    pub fn requests_to(&self, path: &str) -> Vec<Request> {
        lock(&self.shared.log).iter().filter(|request| request.path() == path).cloned().collect()
    }

    /// Forgets the requests so far; the numbers stay.
    pub fn clear_requests(&self) {
        lock(&self.shared.log).clear();
    }

    /// Waits until `count` requests have arrived since the start, and returns those the log holds. Waits for ever if
    /// they do not come.
    pub async fn wait_for_requests(&self, count: u64) -> Vec<Request> {
        self.wait_for(|counts| counts.total >= count).await;
        self.requests()
    }

    /// Waits until the numbers are as wanted, and returns them. Waits for ever if they never are.
    pub async fn wait_for(&self, mut wanted: impl FnMut(&Counts) -> bool) -> Counts {
        loop {
            let mut changed = std::pin::pin!(self.shared.changed.notified());
            // Registered before looking, so that no change is missed in between.
            changed.as_mut().enable();
            let counts = self.counts();
            if wanted(&counts) {
                return counts;
            }
            changed.await;
        }
    }

    /// All numbers at this moment. They are kept with the log off too.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.shared.counters.snapshot()
    }

    /// Requests whose client left before the end of the reply.
    #[must_use]
    pub fn cancelled(&self) -> u64 {
        self.counts().cancelled
    }

    /// Since when it is running.
    #[must_use]
    pub fn uptime(&self) -> Duration {
        self.shared.started.elapsed()
    }

    /// Stops listening, closes every connection and waits until that is done. Requests in flight end as
    /// [`Outcome::Shutdown`](crate::Outcome::Shutdown).
    pub async fn shutdown(mut self) {
        self.shared.closing.store(true, SeqCst);
        // Dropping the sender is the signal.
        self.stop = None;
        // A panicked or aborted task has ended too.
        let _ = (&mut self.listening).await;
    }
}

impl Drop for MockServer {
    fn drop(&mut self) {
        self.shared.closing.store(true, SeqCst);
        self.listening.abort();
    }
}

impl fmt::Debug for MockServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockServer").field("address", &self.address).field("counts", &self.counts()).finish()
    }
}
