//! The vendors, one row each, in the order of the catalogue; then second models of some.

mod china;
mod clouds;
mod hosted;
mod others;
mod second;

use super::vendor::Vendor;

/// Every vendor.
pub(super) fn all() -> impl Iterator<Item = &'static Vendor> {
    [hosted::ROWS, clouds::ROWS, china::ROWS, others::ROWS, second::ROWS].into_iter().flatten()
}

/// The thoughts of a first turn, where they come back as a text.
const BACK: &str = r#"{"reasoning_content":"Need the port – Brest."}"#;
const BACK_SHORT: &str = r#"{"reasoning":"Need the port – Brest."}"#;

/// There is no such address.
const NO_PLACE: &str = r#"{"error":{"message":"Unknown request URL","type":"invalid_request_error","param":null,"code":"unknown_url"}}"#;
