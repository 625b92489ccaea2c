//! Every setting of a client: its meaning, unit, default and bounds, in one table.
//!
//! The table gives the key in a configuration file, in `--set key=value` and in `LLM_RS_<KEY>`.

use std::fmt;
use std::time::Duration;

/// The settings of one client. Durations are `Duration` here and `_ms` or `_secs` in files.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// How often to try again after the first attempt.
    pub max_retries: u32,
    /// The first wait before a retry; it doubles each time.
    pub backoff_base: Duration,
    /// The longest such wait.
    pub backoff_cap: Duration,
    /// The longest wait that a server's `Retry-After` may ask for; above it the call fails and names the value.
    pub retry_after_cap: Duration,
    /// The retries allowed, as a share of the requests to an endpoint, in percent.
    pub retry_budget_percent: u32,
    /// The retries allowed besides, per second.
    pub retry_budget_per_sec: f64,
    /// Name look-up, TCP, proxy and TLS together.
    pub connect_timeout: Duration,
    /// One whole attempt. Default: 600 s when not streamed, none when streamed.
    pub attempt_timeout: Option<Duration>,
    /// From the request to the first byte of the body. Default: 120 s when streamed, none when not.
    pub first_byte_timeout: Option<Duration>,
    /// Between two pieces of the body. Default: 120 s when streamed, none when not.
    pub idle_timeout: Option<Duration>,
    /// The whole call, waits and retries included.
    pub deadline: Option<Duration>,
    /// Endpoint faults in a row that open its breaker.
    pub failure_threshold: u32,
    /// How long an open breaker rests before a trial.
    pub recovery_time: Duration,
    /// The most calls in flight.
    pub max_concurrent_calls: Option<u32>,
    /// The most requests in a minute, retries included.
    pub requests_per_minute: Option<u32>,
    /// Requests that may go at once after a pause, on top of `requests_per_minute`. Default: a second's worth of them, within
    /// the minute's.
    pub requests_burst: Option<u32>,
    /// The most tokens in a minute, prompt and answer.
    pub tokens_per_minute: Option<u32>,
    /// Tokens that may go at once after a pause, on top of `tokens_per_minute`. Default: a second's worth of them, within the
    /// minute's.
    pub tokens_burst: Option<u32>,
    /// `max_concurrent_calls` for each key.
    pub key_max_concurrent_calls: Option<u32>,
    /// `requests_per_minute` for each key.
    pub key_requests_per_minute: Option<u32>,
    /// `requests_burst` for each key.
    pub key_requests_burst: Option<u32>,
    /// `tokens_per_minute` for each key.
    pub key_tokens_per_minute: Option<u32>,
    /// `tokens_burst` for each key.
    pub key_tokens_burst: Option<u32>,
    /// The most open connections to a host.
    pub max_connections: u32,
    /// How long an unused connection is kept.
    pub pool_idle: Duration,
    /// Speak HTTP/2 where the server offers it. Off: HTTP/1.1 only.
    pub http2: bool,
    /// The largest body of an answer, in bytes.
    pub max_response_bytes: u64,
    /// The largest event of a stream, in bytes.
    pub max_event_bytes: u64,
    /// The largest body of an error that is read, in bytes; the rest is left.
    pub max_error_bytes: u64,
    /// The largest head of an answer, in bytes.
    pub max_head_bytes: u64,
    /// A proxy for everything (`http://…`, `https://…`, `socks5://…`), or `none`. Default: the environment's.
    pub proxy: Option<String>,
    /// A file of PEM certificates to trust besides the roots.
    pub ca_file: Option<String>,
    /// A PEM file with the client's certificate chain.
    pub client_cert_file: Option<String>,
    /// A PEM file with its private key.
    pub client_key_file: Option<String>,
    /// Whose roots to trust.
    pub tls_roots: TlsRoots,
    /// Allow a key to be sent over plain `http://` to another machine.
    pub allow_http: bool,
    /// Open a connection in the background as soon as a client is made, where there is a runtime to do it on.
    pub eager_init: bool,
}

/// Whose roots to trust.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TlsRoots {
    /// The system's, and the bundled ones where the system has none.
    #[default]
    Platform,
    /// Mozilla's, as bundled with this version.
    Bundled,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_retries: 3,
            backoff_base: Duration::from_secs(1),
            backoff_cap: Duration::from_secs(60),
            retry_after_cap: Duration::from_secs(60),
            retry_budget_percent: 20,
            retry_budget_per_sec: 1.0,
            connect_timeout: Duration::from_secs(10),
            attempt_timeout: None,
            first_byte_timeout: None,
            idle_timeout: None,
            deadline: None,
            failure_threshold: 3,
            recovery_time: Duration::from_secs(60),
            max_concurrent_calls: None,
            requests_per_minute: None,
            requests_burst: None,
            tokens_per_minute: None,
            tokens_burst: None,
            key_max_concurrent_calls: None,
            key_requests_per_minute: None,
            key_requests_burst: None,
            key_tokens_per_minute: None,
            key_tokens_burst: None,
            max_connections: 256,
            pool_idle: Duration::from_secs(30),
            http2: true,
            max_response_bytes: 32 << 20,
            max_event_bytes: 32 << 20,
            max_error_bytes: 64 << 10,
            max_head_bytes: 256 << 10,
            proxy: None,
            ca_file: None,
            client_cert_file: None,
            client_key_file: None,
            tls_roots: TlsRoots::Platform,
            allow_http: false,
            eager_init: false,
        }
    }
}

/// The timers of one attempt, after the defaults for streamed and plain calls were filled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timers {
    /// The whole attempt.
    pub attempt: Option<Duration>,
    /// Until the first byte of the body.
    pub first_byte: Option<Duration>,
    /// Between two pieces of the body.
    pub idle: Option<Duration>,
}

impl Settings {
    /// The timers of an attempt. A plain answer comes all at once, so that first byte and idle are timed apart only
    /// where they are set; a stream may take as long as it keeps talking.
    #[must_use]
    pub fn timers(&self, streamed: bool) -> Timers {
        const QUIET: Duration = Duration::from_secs(120);
        const WHOLE: Duration = Duration::from_secs(600);
        Timers {
            attempt: self.attempt_timeout.or((!streamed).then_some(WHOLE)),
            first_byte: self.first_byte_timeout.or(streamed.then_some(QUIET)),
            idle: self.idle_timeout.or(streamed.then_some(QUIET)),
        }
    }

    /// Sets one setting from its text, as it stands in `--set key=value` or the environment.
    ///
    /// # Errors
    /// [`InvalidSetting`] says which key, what was found, and what is allowed.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), InvalidSetting> {
        let Some(row) = TABLE.iter().find(|row| row.key == key) else {
            return Err(InvalidSetting { key: key.to_owned(), found: None, allowed: known_keys() });
        };
        let wrong = |allowed| InvalidSetting { key: key.to_owned(), found: Some(value.to_owned()), allowed };
        (row.set)(self, value.trim()).map_err(wrong)?;
        Ok(())
    }

    /// Checks what single settings cannot say.
    ///
    /// # Errors
    /// [`InvalidSetting`] names the key that contradicts another.
    pub fn check(&self) -> Result<(), InvalidSetting> {
        let wrong = |key: &str, found: String, allowed: String| {
            Err(InvalidSetting { key: key.to_owned(), found: Some(found), allowed })
        };
        if self.backoff_base > self.backoff_cap {
            let allowed = format!("at most backoff_cap_ms ({})", self.backoff_cap.as_millis());
            return wrong("backoff_base_ms", self.backoff_base.as_millis().to_string(), allowed);
        }
        for (burst, rate, burst_key, rate_key) in [
            (self.requests_burst, self.requests_per_minute, "requests_burst", "requests_per_minute"),
            (self.tokens_burst, self.tokens_per_minute, "tokens_burst", "tokens_per_minute"),
            (
                self.key_requests_burst,
                self.key_requests_per_minute,
                "key_requests_burst",
                "key_requests_per_minute",
            ),
            (self.key_tokens_burst, self.key_tokens_per_minute, "key_tokens_burst", "key_tokens_per_minute"),
        ] {
            if let (Some(burst), None) = (burst, rate) {
                return wrong(burst_key, burst.to_string(), format!("of use without {rate_key}"));
            }
        }
        match (&self.client_cert_file, &self.client_key_file) {
            (Some(_), None) => {
                wrong("client_key_file", "nothing".into(), "a file, beside client_cert_file".into())
            }
            (None, Some(_)) => {
                wrong("client_cert_file", "nothing".into(), "a file, beside client_key_file".into())
            }
            _ => Ok(()),
        }
    }
}

/// One row of the table of settings.
#[derive(Debug)]
pub struct SettingRow {
    /// The key in files and in `--set`; `LLM_RS_` and the key in capitals in the environment.
    pub key: &'static str,
    /// One line for help texts.
    pub help: &'static str,
    set: fn(&mut Settings, &str) -> Result<(), String>,
    value: fn(&Settings) -> Option<String>,
}

impl SettingRow {
    /// The value that `settings` hold, as a file would have it; `None` where nothing is set. A `proxy` may hold a
    /// password.
    #[must_use]
    pub fn value(&self, settings: &Settings) -> Option<String> {
        (self.value)(settings)
    }
}

/// Every setting, in the order of the documentation.
#[must_use]
pub fn table() -> &'static [SettingRow] {
    TABLE
}

fn known_keys() -> String {
    let keys: Vec<&str> = TABLE.iter().map(|row| row.key).collect();
    format!("one of {}", keys.join(", "))
}

/// A setting that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidSetting {
    /// The key.
    pub key: String,
    /// The value found; `None` when the key itself is unknown.
    pub found: Option<String>,
    /// What is allowed.
    pub allowed: String,
}

impl fmt::Display for InvalidSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.found {
            Some(found) => write!(f, "{}: `{found}` is not {}", self.key, self.allowed),
            None => write!(f, "`{}` is not a setting: {}", self.key, self.allowed),
        }
    }
}

impl std::error::Error for InvalidSetting {}

impl From<InvalidSetting> for llm_types::Error {
    fn from(invalid: InvalidSetting) -> Self {
        Self::new(llm_types::ErrorKind::Config, invalid.to_string())
    }
}

fn whole<T: std::str::FromStr + PartialOrd>(value: &str, least: T, allowed: &str) -> Result<T, String> {
    value.replace('_', "").parse().ok().filter(|n| *n >= least).ok_or_else(|| allowed.to_owned())
}

fn number(value: &str) -> Result<f64, String> {
    value
        .parse()
        .ok()
        .filter(|n: &f64| n.is_finite() && *n >= 0.0)
        .ok_or_else(|| "a number from 0 up".to_owned())
}

/// A year is as good as for ever, and cannot overflow a timer.
const LONGEST_SECS: f64 = 366.0 * 24.0 * 3600.0;

fn secs(value: &str) -> Result<Duration, String> {
    let allowed = || "a number of seconds from 0 to 31622400 (a fraction is fine)".to_owned();
    let secs: f64 = value.parse().map_err(|_| allowed())?;
    if !(0.0..=LONGEST_SECS).contains(&secs) {
        return Err(allowed());
    }
    Ok(Duration::from_secs_f64(secs))
}

/// `none` and 0 switch a timer off.
fn timer(value: &str) -> Result<Option<Duration>, String> {
    if value == "none" {
        return Ok(Some(Duration::from_secs_f64(LONGEST_SECS)));
    }
    match secs(value) {
        Ok(Duration::ZERO) => Ok(Some(Duration::from_secs_f64(LONGEST_SECS))),
        Ok(limit) => Ok(Some(limit)),
        Err(allowed) => Err(format!("{allowed}, or none")),
    }
}

fn millis(value: &str) -> Result<Duration, String> {
    let most = 31_622_400_000_u64;
    let allowed = "a whole number of milliseconds up to 31622400000";
    whole::<u64>(value, 0, allowed)
        .ok()
        .filter(|ms| *ms <= most)
        .map(Duration::from_millis)
        .ok_or_else(|| allowed.into())
}

fn limit(value: &str) -> Result<Option<u32>, String> {
    if value == "none" {
        return Ok(None);
    }
    whole(value, 1, "a whole number from 1 up, or none").map(Some)
}

fn switch(value: &str) -> Result<bool, String> {
    match value {
        "true" | "yes" | "on" | "1" => Ok(true),
        "false" | "no" | "off" | "0" => Ok(false),
        _ => Err("true or false".to_owned()),
    }
}

fn bytes(value: &str) -> Result<u64, String> {
    whole(value, 1, "a whole number of bytes from 1 up")
}

fn text(value: &str) -> Result<Option<String>, String> {
    if value.is_empty() { Err("a text that is not empty".to_owned()) } else { Ok(Some(value.to_owned())) }
}

/// A value as a file has it under a key, whose end says the unit.
trait Written {
    fn written(&self, key: &str) -> Option<String>;
}

macro_rules! written_plainly {
    ($($kind:ty),*) => {
        $(impl Written for $kind {
            fn written(&self, _: &str) -> Option<String> {
                Some(self.to_string())
            }
        })*
    };
}

written_plainly!(u32, u64, f64, bool, String);

impl Written for Duration {
    fn written(&self, key: &str) -> Option<String> {
        if *self == Self::from_secs_f64(LONGEST_SECS) {
            return Some("none".to_owned());
        }
        let millis = key.ends_with("_ms");
        Some(if millis { self.as_millis().to_string() } else { self.as_secs_f64().to_string() })
    }
}

impl Written for TlsRoots {
    fn written(&self, _: &str) -> Option<String> {
        Some(match self {
            Self::Platform => "platform".to_owned(),
            Self::Bundled => "bundled".to_owned(),
        })
    }
}

impl<T: Written> Written for Option<T> {
    fn written(&self, key: &str) -> Option<String> {
        self.as_ref().and_then(|value| value.written(key))
    }
}

macro_rules! rows {
    ($($key:literal $field:ident $parse:expr, $help:literal;)*) => {
        &[$(SettingRow {
            key: $key,
            help: $help,
            set: |settings, value| {
                settings.$field = $parse(value)?;
                Ok(())
            },
            value: |settings| settings.$field.written($key),
        }),*]
    };
}

const TABLE: &[SettingRow] = rows! {
    "max_retries" max_retries |v| whole(v, 0, "a whole number from 0 up"), "how often to try again after the first attempt (3)";
    "backoff_base_ms" backoff_base millis, "first wait before a retry, doubling (1000)";
    "backoff_cap_ms" backoff_cap millis, "longest such wait (60000)";
    "retry_after_cap_secs" retry_after_cap secs, "longest Retry-After that is waited for (60)";
    "retry_budget_percent" retry_budget_percent |v| whole(v, 0, "a whole number from 0 up"), "retries as a share of requests, per endpoint (20)";
    "retry_budget_per_sec" retry_budget_per_sec number, "retries allowed besides, per second (1)";
    "connect_timeout_secs" connect_timeout secs, "name look-up, TCP, proxy and TLS together (10)";
    "attempt_timeout_secs" attempt_timeout timer, "one whole attempt (600 plain, none streamed)";
    "first_byte_timeout_secs" first_byte_timeout timer, "until the first byte of the body (none plain, 120 streamed)";
    "idle_timeout_secs" idle_timeout timer, "between two pieces of the body (none plain, 120 streamed)";
    "deadline_secs" deadline |v| if v == "none" { Ok(None) } else { secs(v).map(Some) }, "the whole call, retries included (none)";
    "failure_threshold" failure_threshold |v| whole(v, 1, "a whole number from 1 up"), "endpoint faults in a row that open its breaker (3)";
    "recovery_time_secs" recovery_time secs, "how long an open breaker rests (60)";
    "max_concurrent_calls" max_concurrent_calls limit, "most calls in flight (none)";
    "requests_per_minute" requests_per_minute limit, "most requests in a minute, retries included (none)";
    "requests_burst" requests_burst limit, "requests that may go at once after a pause, on top of those a minute (a second's worth, within them)";
    "tokens_per_minute" tokens_per_minute limit, "most tokens in a minute, prompt and answer (none)";
    "tokens_burst" tokens_burst limit, "tokens that may go at once after a pause, on top of those a minute (a second's worth, within them)";
    "key_max_concurrent_calls" key_max_concurrent_calls limit, "most calls in flight on each key (none)";
    "key_requests_per_minute" key_requests_per_minute limit, "most requests in a minute on each key (none)";
    "key_requests_burst" key_requests_burst limit, "requests_burst of each key";
    "key_tokens_per_minute" key_tokens_per_minute limit, "most tokens in a minute on each key (none)";
    "key_tokens_burst" key_tokens_burst limit, "tokens_burst of each key";
    "max_connections" max_connections |v| whole(v, 1, "a whole number from 1 up"), "most open connections to a host (256)";
    "pool_idle_secs" pool_idle secs, "how long an unused connection is kept (30)";
    "http2" http2 switch, "speak HTTP/2 where the server offers it (true)";
    "max_response_bytes" max_response_bytes bytes, "largest body of an answer (33554432)";
    "max_event_bytes" max_event_bytes bytes, "largest event of a stream (33554432)";
    "max_error_bytes" max_error_bytes bytes, "largest body of an error that is read (65536)";
    "max_head_bytes" max_head_bytes |v| whole::<u64>(v, 8192, "a whole number of bytes from 8192 up"), "largest head of an answer (262144)";
    "proxy" proxy text, "a proxy URL for everything, or none (the environment's)";
    "ca_file" ca_file text, "PEM certificates to trust besides the roots";
    "client_cert_file" client_cert_file text, "PEM file with the client's certificate chain";
    "client_key_file" client_key_file text, "PEM file with its private key";
    "tls_roots" tls_roots |v: &str| match v {
        "platform" => Ok(TlsRoots::Platform),
        "bundled" => Ok(TlsRoots::Bundled),
        _ => Err("platform or bundled".to_owned()),
    }, "whose roots to trust: platform or bundled (platform)";
    "allow_http" allow_http switch, "allow a key over plain http to another machine (false)";
    "eager_init" eager_init switch, "open a connection as soon as a client is made (false)";
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_can_be_set_from_text() {
        let mut settings = Settings::default();
        for row in table() {
            let value = match row.key {
                "proxy" | "ca_file" | "client_cert_file" | "client_key_file" => "x",
                "tls_roots" => "bundled",
                "http2" => "off",
                "allow_http" | "eager_init" => "on",
                "max_head_bytes" => "9000",
                _ => "7",
            };
            let before = settings.clone();
            settings.set(row.key, value).unwrap();
            assert_ne!(before, settings, "{} changes nothing", row.key);
        }
    }

    #[test]
    fn what_was_set_is_read_back() {
        for row in table() {
            let value = match row.key {
                "proxy" | "ca_file" | "client_cert_file" | "client_key_file" => "x",
                "tls_roots" => "bundled",
                "http2" | "allow_http" | "eager_init" => "true",
                "max_head_bytes" => "9000",
                "backoff_base_ms" => "250",
                key if key.ends_with("_secs") => "2.5",
                _ => "7",
            };
            let mut settings = Settings::default();
            settings.set(row.key, value).unwrap();
            assert_eq!(row.value(&settings).as_deref(), Some(value), "{}", row.key);
        }
        let row = table().iter().find(|row| row.key == "idle_timeout_secs").unwrap();
        let mut settings = Settings::default();
        assert_eq!(row.value(&settings), None);
        settings.set("idle_timeout_secs", "0").unwrap();
        assert_eq!(row.value(&settings).as_deref(), Some("none"));
    }

    #[test]
    fn a_bad_value_says_what_is_allowed() {
        let mut settings = Settings::default();
        for (key, value, message) in [
            ("max_retries", "-1", "max_retries: `-1` is not a whole number from 0 up"),
            (
                "idle_timeout_secs",
                "soon",
                "idle_timeout_secs: `soon` is not a number of seconds from 0 to 31622400 (a fraction is fine), or none",
            ),
            (
                "connect_timeout_secs",
                "1e300",
                "connect_timeout_secs: `1e300` is not a number of seconds from 0 to 31622400 (a fraction is fine)",
            ),
            ("http2", "maybe", "http2: `maybe` is not true or false"),
            (
                "max_concurrent_calls",
                "0",
                "max_concurrent_calls: `0` is not a whole number from 1 up, or none",
            ),
        ] {
            assert_eq!(settings.set(key, value).unwrap_err().to_string(), message);
        }
        assert!(
            settings
                .set("retries", "1")
                .unwrap_err()
                .to_string()
                .starts_with("`retries` is not a setting: one of max_retries")
        );
        assert_eq!(settings, Settings::default());
    }

    #[test]
    fn the_documentation_lists_every_setting_as_it_is() {
        let page = include_str!("../../../docs/settings.md");
        let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| `")).collect();
        let table: Vec<String> =
            table().iter().map(|row| format!("| `{}` | {} |", row.key, row.help)).collect();
        assert_eq!(rows, table);
    }

    #[test]
    fn contradictions_are_found() {
        let mut settings = Settings::default();
        settings.set("backoff_base_ms", "90000").unwrap();
        assert_eq!(
            settings.check().unwrap_err().to_string(),
            "backoff_base_ms: `90000` is not at most backoff_cap_ms (60000)"
        );
        let mut settings = Settings::default();
        settings.set("key_requests_burst", "10").unwrap();
        assert_eq!(
            settings.check().unwrap_err().to_string(),
            "key_requests_burst: `10` is not of use without key_requests_per_minute"
        );
        settings.set("key_requests_per_minute", "60").unwrap();
        assert_eq!(settings.check(), Ok(()));
    }

    #[test]
    fn streams_have_other_timers_than_plain_calls() {
        let mut settings = Settings::default();
        let secs = |n| Some(Duration::from_secs(n));
        assert_eq!(settings.timers(false), Timers { attempt: secs(600), first_byte: None, idle: None });
        assert_eq!(settings.timers(true), Timers { attempt: None, first_byte: secs(120), idle: secs(120) });
        settings.set("idle_timeout_secs", "2.5").unwrap();
        assert_eq!(settings.timers(false).idle, Some(Duration::from_millis(2500)));
    }
}
