//! What goes over the wire, for whoever turns the log up: request lines and timings at `DEBUG`, headers at `TRACE`, all
//! under the target `llm_client::wire`. Bodies, which are prompts and answers, only where [`log_bodies`] was called: no
//! level of a log alone brings them out.
//!
//! Keys are left out always: a header's value is shown only where it is known to hold none, and the key in use is taken
//! out of what a server says.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use llm_types::{Error, Secret};
use tracing::{Level, enabled};

const TARGET: &str = "llm_client::wire";

/// Request headers whose values are ours or harmless. A user's own may be secrets.
const SHOWN: [HeaderName; 5] = [
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::USER_AGENT,
];

static BODIES: AtomicBool = AtomicBool::new(false);

/// Lets the log of this process show bodies, which are prompts and answers, at `TRACE`. For tools that a person asked to
/// show them; off unless called.
pub fn log_bodies() {
    BODIES.store(true, Relaxed);
}

/// Whether bodies go to the log.
pub(super) fn logs_bodies() -> bool {
    BODIES.load(Relaxed) && enabled!(target: TARGET, Level::TRACE)
}

/// A request that is about to be sent.
pub(super) fn sending<B: AsRef<[u8]>>(request: &http::Request<B>, key: Option<&Secret>) {
    if !enabled!(target: TARGET, Level::DEBUG) {
        return;
    }
    let body = request.body().as_ref();
    tracing::debug!(
        target: TARGET,
        "{} {} ({} bytes)", request.method(), without_query(request.uri()), body.len()
    );
    if enabled!(target: TARGET, Level::TRACE) {
        let shown = |name: &HeaderName, value: &HeaderValue| !value.is_sensitive() && SHOWN.contains(name);
        tracing::trace!(target: TARGET, "> {}", headers(request.headers(), key, shown));
    }
    if logs_bodies() {
        tracing::trace!(target: TARGET, "> {}", scrubbed(body, key));
    }
}

/// The head of an answer.
pub(super) fn answered(status: StatusCode, head: &HeaderMap, took: Duration, key: Option<&Secret>) {
    tracing::debug!(target: TARGET, "{} after {took:.1?}", status.as_u16());
    if enabled!(target: TARGET, Level::TRACE) {
        let shown = |name: &HeaderName, value: &HeaderValue| {
            !value.is_sensitive() && name != header::SET_COOKIE && name != header::WWW_AUTHENTICATE
        };
        tracing::trace!(target: TARGET, "< {}", headers(head, key, shown));
    }
}

/// An exchange without an answer.
pub(super) fn failed(error: &Error, took: Duration, key: Option<&Secret>) {
    if enabled!(target: TARGET, Level::DEBUG) {
        let text = scrubbed(error.chain().as_bytes(), key);
        tracing::debug!(target: TARGET, "no answer after {took:.1?}: {} ({text})", error.kind());
    }
}

/// A body, or a piece of one, as it came.
pub(super) fn received(bytes: &[u8], key: Option<&Secret>) {
    if logs_bodies() {
        tracing::trace!(target: TARGET, "< {}", scrubbed(bytes, key));
    }
}

fn without_query(uri: &Uri) -> String {
    let scheme = uri.scheme_str().map(|scheme| format!("{scheme}://")).unwrap_or_default();
    // A user name and password stand in a header by now, never here.
    let port = uri.port().map(|port| format!(":{port}")).unwrap_or_default();
    format!("{scheme}{}{port}{}", uri.host().unwrap_or_default(), uri.path())
}

fn headers(
    map: &HeaderMap,
    key: Option<&Secret>,
    shown: impl Fn(&HeaderName, &HeaderValue) -> bool,
) -> String {
    let one = |(name, value): (&HeaderName, &HeaderValue)| match shown(name, value) {
        true => format!("{name}: {}", scrubbed(value.as_bytes(), key)),
        false => format!("{name}: [hidden]"),
    };
    map.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn scrubbed(bytes: &[u8], key: Option<&Secret>) -> String {
    let text = String::from_utf8_lossy(bytes);
    match key {
        Some(key) => key.scrub(&text),
        None => text.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_headers_that_hold_no_key_show_their_value() {
        let mut map = HeaderMap::new();
        map.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        map.insert(header::AUTHORIZATION, HeaderValue::from_static("Bearer sk-canary"));
        map.insert("x-own", HeaderValue::from_static("sk-canary"));
        let shown = |name: &HeaderName, _: &HeaderValue| SHOWN.contains(name);
        let key = Secret::new("sk-canary");
        assert_eq!(
            headers(&map, Some(&key), shown),
            "content-type: application/json, authorization: [hidden], x-own: [hidden]"
        );
        assert_eq!(
            headers(&map, Some(&key), |name, _| name == "x-own"),
            "content-type: [hidden], authorization: [hidden], x-own: [redacted]"
        );
    }

    #[test]
    fn an_address_is_shown_without_its_query() {
        let uri: Uri = "http://u:p@127.0.0.1:8000/v1/chat?key=sk-canary".parse().unwrap();
        assert_eq!(without_query(&uri), "http://127.0.0.1:8000/v1/chat");
    }
}
