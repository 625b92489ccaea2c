//! Anthropic's messages, and all who imitate them.
//!
//! The format cannot do without a limit for the answer: a request without one gets
//! [`Quirks::max_output`](crate::dialect::Quirks::max_output). Members of a request's `extra` go into the body as they are,
//! but for two that are headers here and members elsewhere: `anthropic_version` and `anthropic_beta` (a text, or a list
//! of them).
//!
//! What is to be cached is marked where it stands: `cache_control` (with `ttl` `5m` or `1h`) among the extra members of a
//! text, a medium, a tool or a call marks that block, of a message its last block, and of a request all of it.

use http::header::{AUTHORIZATION, HeaderName};
use http::{HeaderMap, HeaderValue};
use llm_types::{Error, Secret};

use super::put_key;
use super::quirks::{AuthHeader, Quirks};

mod decode;
mod encode;
mod head;
mod lists;
mod messages;
mod stream;
mod thinking;
mod tools;
mod usage;
mod wire;

pub(crate) use decode::decode_events;
pub(crate) use encode::{encode, encode_count};
pub(crate) use head::limits;
pub(crate) use lists::{decode_count, decode_models, encode_models};
pub(crate) use stream::StreamState;

/// How keys begin that were given to a person who logged in; they go as bearer tokens, and the format's owner wants to be
/// told.
const LOGIN_KEY: &str = "sk-ant-oat";
const LOGIN_BETA: &str = "oauth-2025-04-20";

/// Whether a host is the format's owner's.
pub(crate) fn is_own_host(host: &str) -> bool {
    host.strip_suffix("anthropic.com").is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// Puts the key where it belongs, which its own beginning may tell.
pub(crate) fn authorise(key: &Secret, quirks: &Quirks, headers: &mut HeaderMap) -> Result<(), Error> {
    if !key.expose().starts_with(LOGIN_KEY) {
        return put_key(key, quirks, headers);
    }
    put_key(key, &Quirks { auth: AuthHeader::Bearer, ..*quirks }, headers)?;
    debug_assert!(headers.contains_key(AUTHORIZATION), "a bearer token stands there");
    head::add_beta(LOGIN_BETA, headers);
    Ok(())
}

/// The headers of the format.
const VERSION: HeaderName = HeaderName::from_static("anthropic-version");
const BETA: HeaderName = HeaderName::from_static("anthropic-beta");

/// The version that is asked for unless the user asks for another.
const USUAL_VERSION: HeaderValue = HeaderValue::from_static("2023-06-01");

/// The first version that takes less: no settings for sampling any more, for one. Versions are dates, so that they sort.
const NEWER_VERSION: &str = "2026-10-21";
