//! Settings of a server, set once before it starts.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use crate::{
    MockError, MockServer,
    limits::{Limits, RateLimit},
    log::Request,
    script::{Reply, Script},
};

/// A function that may answer a request.
pub(crate) type Responder = Arc<dyn Fn(&Request) -> Option<Reply> + Send + Sync>;

/// How a server listens, answers, refuses and logs. [`MockConfig::start`] starts it.
///
/// ```
/// # async fn example() -> Result<(), llm_mock::MockError> {
/// use std::time::Duration;
/// use llm_mock::MockConfig;
/// let server = MockConfig::new().port(0).delay(Duration::from_millis(5)).rps(100.0).start().await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct MockConfig {
    pub(crate) bind: IpAddr,
    pub(crate) port: u16,
    pub(crate) limits: Limits,
    pub(crate) seed: u64,
    pub(crate) delay: (Duration, Duration),
    pub(crate) first_token: Duration,
    pub(crate) tokens_per_sec: Option<f64>,
    pub(crate) script: Script,
    pub(crate) responder: Option<Responder>,
    pub(crate) models: Vec<String>,
    pub(crate) strict_models: bool,
    pub(crate) log: bool,
    pub(crate) log_file: Option<PathBuf>,
    pub(crate) log_bodies: bool,
    pub(crate) idle: Option<Duration>,
    pub(crate) max_body: usize,
}

impl Default for MockConfig {
    fn default() -> Self {
        Self::new()
    }
}

impl MockConfig {
    /// A random port on 127.0.0.1, echo without delay or limits, log on.
    #[must_use]
    pub fn new() -> Self {
        Self {
            bind: Ipv4Addr::LOCALHOST.into(),
            port: 0,
            limits: Limits::default(),
            seed: 0,
            delay: (Duration::ZERO, Duration::ZERO),
            first_token: Duration::ZERO,
            tokens_per_sec: None,
            script: Script::default(),
            responder: None,
            models: vec!["echo".to_owned()],
            strict_models: false,
            log: true,
            log_file: None,
            log_bodies: false,
            idle: None,
            max_body: 64 * 1024 * 1024,
        }
    }

    /// Starts the server on the current tokio runtime.
    ///
    /// # Errors
    /// A setting out of its range, an address that cannot be bound, a log file that cannot be opened.
    pub async fn start(self) -> Result<MockServer, MockError> {
        MockServer::start_with(self).await
    }

    /// The address to listen on. Default 127.0.0.1.
    #[must_use]
    pub fn bind(mut self, address: impl Into<IpAddr>) -> Self {
        self.bind = address.into();
        self
    }

    /// The port to listen on; 0, the default, takes a free one.
    #[must_use]
    pub fn port(mut self, port: u16) -> Self {
        self.port = port;
        self
    }

    /// All refusals at once; the methods below set single ones.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// A token bucket of so many requests a second; see [`RateLimit::per_second`].
    #[must_use]
    pub fn rps(self, requests_per_second: f64) -> Self {
        self.rate(RateLimit::per_second(requests_per_second))
    }

    /// A rate limit of any shape.
    #[must_use]
    pub fn rate(mut self, rate: RateLimit) -> Self {
        self.limits.rate = Some(rate);
        self
    }

    /// The share of requests, from 0 to 1, that get a 500 after the usual delay.
    #[must_use]
    pub fn error_rate(mut self, share: f64) -> Self {
        self.limits.error_rate = share;
        self
    }

    /// A key that gets 401.
    #[must_use]
    pub fn dead_key(mut self, key: impl Into<String>) -> Self {
        self.limits.dead_keys.insert(key.into());
        self
    }

    /// A key that gets 429 `insufficient_quota`.
    #[must_use]
    pub fn no_quota_key(mut self, key: impl Into<String>) -> Self {
        self.limits.no_quota_keys.insert(key.into());
        self
    }

    /// Accepts this key, and others only if they are named too; a request without a key gets 401.
    #[must_use]
    pub fn require_key(mut self, key: impl Into<String>) -> Self {
        self.limits.key_required = true;
        self.limits.accepted_keys.insert(key.into());
        self
    }

    /// The start of everything random: errors and delays. Default 0.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Waits this long before each answer. Refusals by key or rate come at once.
    #[must_use]
    pub fn delay(self, delay: Duration) -> Self {
        self.delay_between(delay, delay)
    }

    /// Waits a random time between the two before each answer.
    #[must_use]
    pub fn delay_between(mut self, least: Duration, most: Duration) -> Self {
        self.delay = (least, most);
        self
    }

    /// See [`Reply::first_token`]; for every reply without its own.
    #[must_use]
    pub fn first_token(mut self, wait: Duration) -> Self {
        self.first_token = wait;
        self
    }

    /// See [`Reply::tokens_per_sec`]; for every reply without its own.
    #[must_use]
    pub fn tokens_per_sec(mut self, pace: f64) -> Self {
        self.tokens_per_sec = Some(pace);
        self
    }

    /// Answers to `POST`s, in order; the last one for ever.
    #[must_use]
    pub fn script(mut self, script: Script) -> Self {
        self.script = script;
        self
    }

    /// The answer to every `POST` for which no reply is queued.
    #[must_use]
    pub fn default_reply(self, reply: Reply) -> Self {
        self.script([reply].into_iter().collect())
    }

    /// A function asked for each request that no queued reply answers; `None` leaves it to the script. It runs on
    /// the connection's task, so it must not block.
    #[must_use]
    pub fn respond(mut self, answer: impl Fn(&Request) -> Option<Reply> + Send + Sync + 'static) -> Self {
        self.responder = Some(Arc::new(answer));
        self
    }

    /// What `GET /v1/models` lists. Default `echo`.
    #[must_use]
    pub fn models(mut self, models: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.models = models.into_iter().map(Into::into).collect();
        self
    }

    /// Whether a model that is not listed gets 404 `model_not_found`. Default off.
    #[must_use]
    pub fn strict_models(mut self, strict: bool) -> Self {
        self.strict_models = strict;
        self
    }

    /// Whether requests are kept for [`MockServer::requests`]. Default on; off, nothing is kept of a request once
    /// it is answered, and a million of them need no memory.
    #[must_use]
    pub fn log(mut self, on: bool) -> Self {
        self.log = on;
        self
    }

    /// Appends one JSON line a request to this file when it ends: `n`, `at_ms` and `took_ms` (arrival since the
    /// server's start; until the end), `unix_ms`, `connection`, `method`, `path`, `dialect`, `status`, `outcome`,
    /// `key` (a fingerprint), `body_bytes`, `body_hash`, `notes` (see [`Request::notes`]; left out when there is none). Independent of [`MockConfig::log`].
    #[must_use]
    pub fn log_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.log_file = Some(path.into());
        self
    }

    /// Adds the last user message's text to the log file's lines, as `user`. Default off.
    #[must_use]
    pub fn log_bodies(mut self, on: bool) -> Self {
        self.log_bodies = on;
        self
    }

    /// Closes an HTTP/1.1 connection on which nothing was asked for this long. Default: never.
    #[must_use]
    pub fn idle_close(mut self, after: Duration) -> Self {
        self.idle = Some(after);
        self
    }

    /// A longer request body gets 413. Default 64 MiB.
    #[must_use]
    pub fn max_body_bytes(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    pub(crate) fn check(&self) -> Result<(), MockError> {
        let invalid = |setting, message| Err(MockError::Setting { setting, message });
        let share = self.limits.error_rate;
        if !(0.0..=1.0).contains(&share) {
            return invalid("error_rate", format!("{share} is not within 0 to 1"));
        }
        if let Some(pace) = self.tokens_per_sec.filter(|pace| !(pace.is_finite() && *pace > 0.0)) {
            return invalid("tokens_per_sec", format!("{pace} is not above 0"));
        }
        let (least, most) = self.delay;
        if least > most {
            return invalid("delay", format!("{least:?} is above {most:?}"));
        }
        Ok(())
    }
}

/// Names of models and counts; keys and replies stay out.
impl fmt::Debug for MockConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MockConfig")
            .field("bind", &self.bind)
            .field("port", &self.port)
            .field("limits", &self.limits)
            .field("delay", &self.delay)
            .field("first_token", &self.first_token)
            .field("tokens_per_sec", &self.tokens_per_sec)
            .field("models", &self.models)
            .field("log", &self.log)
            .field("log_file", &self.log_file)
            .finish_non_exhaustive()
    }
}
