//! The headers of a request (the format's version, and the names of what is still being tried out) and of an answer (the
//! server's limits).

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue};
use llm_types::{Error, ErrorKind, Extra, Invalid};

use super::{BETA, NEWER_VERSION, USUAL_VERSION, VERSION};
use crate::dialect::date;
use crate::dialect::json::{Few, Text};
use crate::dialect::quirks::{Paths, Quirks};
use crate::lane::{Limit, Limits};

/// What the user's own members say of the head.
#[derive(Debug, Default)]
pub(super) struct Head {
    version: Option<HeaderValue>,
    betas: Vec<String>,
}

impl Head {
    /// Takes the members that are headers here out of those that go into the body.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidRequest`] for a text that no header can carry.
    pub(super) fn take(extra: &mut Cow<'_, Extra>) -> Result<Self, Error> {
        let mut head = Self::default();
        if extra.get("anthropic_version").is_some() {
            let version = extra.to_mut().take_as::<String>("anthropic_version");
            let wrong = |invalid: Invalid| Error::new(ErrorKind::InvalidRequest, invalid.to_string());
            head.version =
                version.map_err(wrong)?.map(|version| value("anthropic_version", &version)).transpose()?;
        }
        if extra.get("anthropic_beta").is_some()
            && let Some(betas) = extra.to_mut().take("anthropic_beta")
        {
            let one = serde_json::from_str::<Text<'_>>(betas.get()).ok().and_then(Text::owned);
            let many = serde_json::from_str::<Few<Text<'_>, 1>>(betas.get()).unwrap_or_default();
            head.betas = one.into_iter().chain(many.into_iter().filter_map(Text::owned)).collect();
            for beta in &head.betas {
                value("anthropic_beta", beta)?;
            }
        }
        Ok(head)
    }

    /// Whether the version is one that knows temperature and its like, documents of the assistant's, and citations of the
    /// user's.
    pub(super) fn is_older(&self) -> bool {
        // Some hosts put their own name before the date.
        let date = |version: &HeaderValue| {
            let from = version.as_bytes().iter().position(u8::is_ascii_digit);
            from.and_then(|from| version.as_bytes().get(from..)).unwrap_or_default().to_owned()
        };
        self.version.as_ref().is_none_or(|version| date(version).as_slice() < NEWER_VERSION.as_bytes())
    }

    /// The version, where it stands in the body.
    pub(super) fn version_in_body(&self, quirks: &Quirks) -> Option<&str> {
        let Paths::RawPredict { version } = quirks.paths else { return None };
        self.version.as_ref().map_or(Some(version), |theirs| theirs.to_str().ok())
    }

    /// Writes the headers.
    pub(super) fn write(self, quirks: &Quirks, headers: &mut HeaderMap) {
        if self.version_in_body(quirks).is_none() {
            headers.insert(VERSION, self.version.unwrap_or(USUAL_VERSION));
        }
        self.betas.iter().for_each(|beta| add_beta(beta, headers));
    }
}

/// Adds a name to those that are there.
pub(super) fn add_beta(name: &str, headers: &mut HeaderMap) {
    let before: Vec<&str> = headers.get_all(BETA).iter().filter_map(|value| value.to_str().ok()).collect();
    if before.iter().flat_map(|value| value.split(',')).any(|known| known.trim() == name) {
        return;
    }
    let all: Vec<&str> = before.into_iter().chain([name]).collect();
    if let Ok(value) = HeaderValue::try_from(all.join(",")) {
        headers.insert(BETA, value);
    }
}

fn value(name: &str, text: &str) -> Result<HeaderValue, Error> {
    HeaderValue::try_from(text).map_err(|_| {
        Error::new(ErrorKind::InvalidRequest, format!("{name} holds characters that no header may carry"))
    })
}

/// The limits that stand in an answer's head. Those of tokens are for looking at: what is left of them is rounded, so that
/// nothing may be left of them by those words while there is.
pub(crate) fn limits(headers: &HeaderMap, now: SystemTime) -> Limits {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let count = |name: &str| text(name)?.parse().ok();
    let reset = |name: &str| {
        let at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(date::seconds(text(name)?)?))?;
        Some(at.duration_since(now).unwrap_or_default())
    };
    Limits {
        requests: Limit {
            limit: count("anthropic-ratelimit-requests-limit"),
            remaining: count("anthropic-ratelimit-requests-remaining"),
            reset: reset("anthropic-ratelimit-requests-reset"),
        },
        tokens: Limit {
            limit: count("anthropic-ratelimit-tokens-limit"),
            remaining: count("anthropic-ratelimit-tokens-remaining"),
            reset: None,
        },
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    #[test]
    fn the_servers_limits_are_read_from_its_head() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_792_540_800);
        let read = |pairs: &[(&'static str, &'static str)]| {
            let pair = |(name, value): &(&'static str, &'static str)| {
                (HeaderName::from_static(name), HeaderValue::from_static(value))
            };
            limits(&pairs.iter().map(pair).collect(), now)
        };
        let found = read(&[
            ("anthropic-ratelimit-requests-limit", "50"),
            ("anthropic-ratelimit-requests-remaining", "0"),
            ("anthropic-ratelimit-requests-reset", "2026-10-21T00:00:07Z"),
            ("anthropic-ratelimit-tokens-limit", "40000"),
            ("anthropic-ratelimit-tokens-remaining", "0"),
            ("anthropic-ratelimit-tokens-reset", "2026-10-21T00:01:00Z"),
        ]);
        let reset = Some(Duration::from_secs(7));
        assert_eq!(found.requests, Limit { limit: Some(50), remaining: Some(0), reset });
        assert_eq!((found.tokens.limit, found.tokens.remaining), (Some(40_000), Some(0)));
        assert_eq!(found.exhausted_for(), reset);
        let past = read(&[
            ("anthropic-ratelimit-requests-remaining", "0"),
            ("anthropic-ratelimit-requests-reset", "2026-10-20T00:00:07Z"),
        ]);
        assert_eq!(past.exhausted_for(), Some(Duration::ZERO));
        let junk = read(&[
            ("anthropic-ratelimit-requests-remaining", "-1"),
            ("anthropic-ratelimit-requests-reset", "soon"),
        ]);
        assert_eq!(junk, Limits::default());
    }
}
