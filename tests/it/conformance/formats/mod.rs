//! The vendors' side of the formats, by code of its own: answers written, requests read.

use llm_mock::Request;
use serde_json::Value;

use super::heard::Heard;
use super::say::Say;
use super::vendor::{Format, Vendor};

pub(super) mod chat;
mod generate;
mod messages;

/// A plain answer.
pub(super) fn body(vendor: &Vendor, say: &Say) -> String {
    match &vendor.format {
        Format::Chat(chat) | Format::Mock(chat) => format!("{}{}", chat.blank, chat::body(vendor, chat, say)),
        Format::Messages => messages::body(vendor, say).to_string(),
        Format::Generate(_) => generate::body(vendor, say).to_string(),
    }
}

/// A streamed answer.
pub(super) fn stream(vendor: &Vendor, say: &Say) -> String {
    match &vendor.format {
        Format::Chat(chat) | Format::Mock(chat) => chat::stream(vendor, chat, say),
        Format::Messages => messages::stream(vendor, say),
        Format::Generate(_) => generate::stream(vendor, say),
    }
}

/// Reads a request as strictly as its vendor may.
pub(super) fn hear(vendor: &Vendor, request: &Request) -> Result<Heard, String> {
    let body: Value = serde_json::from_slice(request.body()).map_err(|error| format!("no JSON: {error}"))?;
    if request.header("content-type") != Some("application/json") {
        return Err(format!("the body is called {:?}", request.header("content-type")));
    }
    match &vendor.format {
        Format::Chat(chat) | Format::Mock(chat) => chat::hear(vendor, chat, request, &body),
        Format::Messages => messages::hear(vendor, request, &body),
        Format::Generate(house) => generate::hear(vendor, house, request, &body),
    }
}
