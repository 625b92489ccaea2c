//! `generateContent` and its relatives: contents made of parts, one answer or a stream of them.
//!
//! What the format needs back and our types have no field for goes along under names of its own: the server's id of a
//! call, for whom a signature was made, and which text it covers.

mod decode;
mod embeddings;
mod encode;
mod errors;
mod lists;
mod messages;
mod stream;
mod thinking;
mod tools;
mod usage;
mod wire;

use std::borrow::Cow;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderValue};
use llm_types::{Error, ErrorKind, Secret};

use super::quirks::{AuthHeader, Quirks};

pub(crate) use decode::decode_events;
pub(crate) use embeddings::{decode_embeddings, encode_embeddings};
pub(crate) use encode::{encode, encode_count};
pub(crate) use errors::error_of;
pub(crate) use lists::{decode_count, decode_models, encode_models};
pub(crate) use stream::StreamState;

/// Whether the host is its vendor's.
pub(crate) fn is_own_host(host: &str) -> bool {
    let Some(name) = host.strip_suffix(".googleapis.com") else { return false };
    // A region's machines stand before the name, or behind it.
    name == "generativelanguage"
        || name == "aiplatform"
        || name.ends_with("-aiplatform")
        || (name.starts_with("aiplatform.") && name.ends_with(".rep"))
}

/// A call's member: the id that the server gave it. Ids of our own are never sent.
const NATIVE_ID: &str = "native_id";
/// A call's member: who can read its signature.
const SIGNED_BY: &str = "signed_by";
/// A signature's member: how many bytes of the text before it are the part that it covers.
const LENGTH: &str = "text_length";
/// A signature's member: it stands on a thought without text.
const THOUGHT: &str = "thought";

/// Who can read a signature: one model of one vendor.
fn signer(origin: Option<&str>, model: &str) -> Option<String> {
    origin.map(|origin| format!("{origin}/{model}"))
}

/// The path of what is done with a model. Its name may be written with the folder it is in.
fn path(model: &str, action: &str) -> String {
    let name = model.strip_prefix("models/").unwrap_or(model);
    let (folder, name) = match name.strip_prefix("tunedModels/") {
        Some(tuned) => ("tunedModels", tuned),
        None => ("models", name),
    };
    format!("/{folder}/{}:{action}", super::path::segment(name))
}

/// The full name of a model, for bodies.
fn resource(model: &str) -> String {
    if model.starts_with("models/") || model.starts_with("tunedModels/") {
        model.to_owned()
    } else {
        format!("models/{model}")
    }
}

/// The path of a base URL with its version. Where it points at the place for another format, the native one lies beside.
pub(crate) fn base_path(given: &str) -> Cow<'_, str> {
    let path = given.trim_end_matches('/');
    let path = path.strip_suffix("/openai").filter(|rest| has_version(rest)).unwrap_or(path);
    if has_version(path) { Cow::Borrowed(path) } else { Cow::Owned(format!("{path}/v1beta")) }
}

/// Whether a path names the version, at its end or before the project or publisher of a model.
fn has_version(path: &str) -> bool {
    let is_version = |segment: &str| {
        let Some(rest) = segment.strip_prefix('v') else { return false };
        let digits = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        digits.len() < rest.len() && digits.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
    segments.iter().enumerate().any(|(at, segment)| {
        is_version(segment)
            && segments.get(at + 1).is_none_or(|next| matches!(*next, "projects" | "publishers"))
    })
}

/// Puts the key into the headers; never into the address. A token that somebody logged in for is no key.
pub(crate) fn authorise(key: &Secret, quirks: &Quirks, headers: &mut HeaderMap) -> Result<(), Error> {
    let token = key.expose().starts_with("ya29.");
    match quirks.auth {
        AuthHeader::Named(_) if !token => super::put_key(key, quirks, headers),
        AuthHeader::Bearer if !token => {
            let quirks = Quirks { auth: AuthHeader::Named("x-goog-api-key"), ..*quirks };
            super::put_key(key, &quirks, headers)
        }
        _ => {
            let wrong =
                |_| Error::new(ErrorKind::Config, "the key holds characters that no header may carry");
            let mut value = HeaderValue::try_from(format!("Bearer {}", key.expose())).map_err(wrong)?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
            Ok(())
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
