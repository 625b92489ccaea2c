//! The headers of a request: the format's version, and the names of what is still being tried out.

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue};
use llm_types::{Error, ErrorKind, Extra};

use super::{BETA, USUAL_VERSION, VERSION, WITHOUT_SAMPLING};
use crate::dialect::json::{Few, Text};

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
        if extra.get("anthropic_version").is_some()
            && let Ok(Some(version)) = extra.to_mut().take_as::<String>("anthropic_version")
        {
            head.version = Some(value("anthropic_version", &version)?);
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

    /// Whether temperature and its like are known to the version.
    pub(super) fn has_sampling(&self) -> bool {
        self.version.as_ref().is_none_or(|version| version.as_bytes() < WITHOUT_SAMPLING.as_bytes())
    }

    /// Writes the headers.
    pub(super) fn write(self, headers: &mut HeaderMap) {
        headers.insert(VERSION, self.version.unwrap_or(USUAL_VERSION));
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
